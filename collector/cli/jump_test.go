package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// jumpHost is an SSH server that forwards, or does with a channel what then says.
type jumpHost struct {
	mu    sync.Mutex
	conns []net.Conn // every one that came
	wg    sync.WaitGroup
	ln    net.Listener
	then  func(ssh.NewChannel) bool // true: it has dealt with it
}

func startJumpHost(t *testing.T, then func(ssh.NewChannel) bool) *jumpHost {
	t.Helper()
	ln, err := net.Listen("tcp", "127.32.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &jumpHost{ln: ln, then: then}
	cfg := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, pw []byte) (*ssh.Permissions, error) {
		if string(pw) != testPassword {
			return nil, errDenied
		}
		return nil, nil
	}}
	cfg.AddHostKey(newKey(t, 9))
	h.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, nc)
			h.mu.Unlock()
			h.wg.Go(func() { h.serve(nc, cfg) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); h.hangUp(); h.wg.Wait() })
	return h
}

func (h *jumpHost) serve(nc net.Conn, cfg *ssh.ServerConfig) {
	defer func() { _ = nc.Close() }()
	_, chans, reqs, err := ssh.NewServerConn(nc, cfg)
	if err != nil {
		return
	}
	h.wg.Go(func() { ssh.DiscardRequests(reqs) })
	for nch := range chans {
		h.wg.Go(func() { h.forward(nch) })
	}
}

func (h *jumpHost) forward(nch ssh.NewChannel) {
	if h.then != nil && h.then(nch) {
		return
	}
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if err := ssh.Unmarshal(nch.ExtraData(), &to); err != nil {
		_ = nch.Reject(ssh.Prohibited, "bad request")
		return
	}
	out, err := net.Dial("tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		_ = nch.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	ch, reqs, err := nch.Accept()
	if err != nil {
		_ = out.Close()
		return
	}
	h.wg.Go(func() { ssh.DiscardRequests(reqs) })
	h.wg.Go(func() { _, _ = io.Copy(out, ch); _ = out.Close() })
	_, _ = io.Copy(ch, out)
	_ = ch.Close()
}

func (h *jumpHost) hangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, nc := range h.conns {
		_ = nc.Close()
	}
}

func (h *jumpHost) seen() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *jumpHost) open(t *testing.T) *Jump {
	t.Helper()
	to := (&device{ln: h.ln}).target()
	to.Device = "bastion"
	j, err := OpenJump(t.Context(), to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestFiftySessionsShareOneConnectionToTheJumpHost(t *testing.T) {
	t.Parallel()
	h := startJumpHost(t, nil)
	j := h.open(t)
	d := (&device{shell: prompting("sw1#", map[string]string{"show clock": "noon\r\n"})}).start(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			s, err := Open(t.Context(), d.target(), Dialogue{}, Options{Dial: j.Dial})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = s.Close() }()
			out, err := s.Run(t.Context(), "show clock")
			if err != nil || strings.TrimSpace(string(out.Text)) != "noon" {
				t.Errorf("%q, %v", out.Text, err)
			}
		})
	}
	wg.Wait()
	if n := h.seen(); n != 1 {
		t.Errorf("the jump host saw %d connections, want 1", n)
	}
	if n := d.did("connect"); n != 50 {
		t.Errorf("the device saw %d connections, want 50", n)
	}
}

// A relic behind a jump host: Telnet inside the channel, and a channel that the jump
// host refuses is told as for SSH.
func TestTelnetThroughAJumpHost(t *testing.T) {
	t.Parallel()
	h := startJumpHost(t, nil)
	j := h.open(t)
	target := telnetDevice(t, func(e *telnetEnd) {
		if e.login() {
			e.commands(map[string]string{"show run": "hostname edge-r1\r\nend\r\n"})
		}
	})
	s := mustOpen(t, target, plainDialogue(), Options{Dial: j.Dial})
	out, err := s.Run(t.Context(), "show run")
	if err != nil || string(out.Text) != "hostname edge-r1\nend\n" || h.seen() != 1 {
		t.Errorf("%q, %v; the jump host saw %d connections, want 1", out.Text, err, h.seen())
	}
	h.hangUp()
	_, err = s.Run(t.Context(), "show run")
	if e := wantError(t, err, collector.StepOutput, collector.ErrClosed); !strings.Contains(e.Error(), "bastion") {
		t.Errorf("the end of the jump host is told as %v, want it named", e)
	}

	target.Addr = netip.AddrPortFrom(target.Addr.Addr(), 1)
	j = startJumpHost(t, nil).open(t)
	_, err = Open(t.Context(), target, plainDialogue(), Options{Dial: j.Dial})
	if e := wantError(t, err, collector.StepConnect, collector.ErrRefused); strings.Contains(e.Do, "SSH") {
		t.Errorf("what is read by Telnet is to switch on SSH: %s", e.Do)
	}
}

func TestRefusalsOfAJumpHostNameItAndTheMend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason ssh.RejectionReason
		said   string
		kind   collector.Kind
		do     string
	}{
		{ssh.Prohibited, "administratively prohibited: open failed", collector.ErrForwardingRefused, "Let jump host bastion forward TCP to"},
		{ssh.UnknownChannelType, "unsupported channel type", collector.ErrForwardingRefused, "Let jump host bastion forward TCP to"},
		{ssh.ConnectionFailed, "Connection refused", collector.ErrRefused, "Switch on what should listen at"},
		{ssh.ConnectionFailed, "No route to host", collector.ErrUnreachable, "that jump host bastion has a route"},
		{ssh.ResourceShortage, "too many", collector.ErrBusy, "Allow more sessions on jump host bastion"},
	} {
		t.Run(c.said, func(t *testing.T) {
			t.Parallel()
			h := startJumpHost(t, func(nch ssh.NewChannel) bool { _ = nch.Reject(c.reason, c.said); return true })
			j := h.open(t)
			to := (&device{ln: h.ln}).target()
			to.Device = "sw1"
			_, err := Open(t.Context(), to, Dialogue{}, Options{Dial: j.Dial, Attempt: func(string, bool) { t.Error("a login was counted") }})
			var e *collector.Error
			if !errors.As(err, &e) || e.Kind != c.kind || e.Step != collector.StepConnect || e.Device != "sw1" || !strings.Contains(e.Do, c.said) || !strings.Contains(e.Do, c.do) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, ErrJumpGone) {
				t.Error("the connection stands, and is said to have ended")
			}
		})
	}
}

func TestAJumpHostThatHangsUpUnderASessionIsNamed(t *testing.T) {
	t.Parallel()
	h := startJumpHost(t, nil)
	j := h.open(t)
	d := (&device{shell: func(tt *tty) {
		tt.puts("sw1#")
		for {
			l, ok := tt.line()
			if !ok {
				return
			}
			if l == "show run" {
				tt.puts("hostname sw1\r\n")
				h.hangUp()
				tt.freeze()
				return
			}
			tt.puts("sw1#")
		}
	}}).start(t)
	s, err := Open(t.Context(), d.target(), Dialogue{}, Options{Dial: j.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	_, err = s.Run(t.Context(), "show run")
	if !errors.Is(err, collector.ErrClosed) || !strings.Contains(err.Error(), "Look at jump host bastion") {
		t.Errorf("got %v", err)
	}
	_, err = Open(t.Context(), d.target(), Dialogue{}, Options{Dial: j.Dial})
	if !errors.Is(err, ErrJumpGone) || !errors.Is(err, collector.ErrUnreachable) || !strings.Contains(err.Error(), "Look at jump host bastion") {
		t.Errorf("a session on the dead connection: %v", err)
	}
}

func TestADeviceThatHangsUpIsNotTakenForItsJumpHost(t *testing.T) {
	t.Parallel()
	j := startJumpHost(t, nil).open(t)
	d := (&device{shell: func(tt *tty) {
		tt.puts("sw1#")
		for {
			if l, ok := tt.line(); !ok || l == "show run" {
				_ = tt.conn.Close()
				return
			}
			tt.puts("sw1#")
		}
	}}).start(t)
	s, err := Open(t.Context(), d.target(), Dialogue{}, Options{Dial: j.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err = s.Run(t.Context(), "show run"); !errors.Is(err, collector.ErrClosed) || strings.Contains(err.Error(), "jump host") || !j.Alive() {
		t.Errorf("got %v", err)
	}
}

func TestAJumpHostThatWaitsForTheDeviceHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	h := startJumpHost(t, func(nch ssh.NewChannel) bool { <-hold; _ = nch.Reject(ssh.ConnectionFailed, "late"); return true })
	j := h.open(t)
	to := (&device{ln: h.ln}).target()
	to.Limits.Connect = 100 * time.Millisecond
	_, err := Open(t.Context(), to, Dialogue{}, Options{Dial: j.Dial})
	if !errors.Is(err, collector.ErrTimedOut) || !strings.Contains(err.Error(), "jump host bastion") || !j.Alive() {
		t.Errorf("past the deadline: %v, alive %v", err, j.Alive())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := j.Dial(ctx, netip.MustParseAddrPort("127.32.0.2:22")); !errors.Is(err, enough) {
		t.Errorf("cancelled: %v", err)
	}
}
