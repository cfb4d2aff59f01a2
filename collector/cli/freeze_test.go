package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/collector"
	"muster/internal/secret"
)

// stallConn swallows all writes after the first n: the peer sees a server that
// falls silent in the middle of the handshake.
type stallConn struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (c *stallConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func stalled(after int) func(net.Conn) net.Conn {
	return func(nc net.Conn) net.Conn { return &stallConn{Conn: nc, left: after} }
}

// fullBacklog is an address where a TCP connection is never answered.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", addr.String(), 50*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the backlog does not fill")
	return addr
}

// A device that freezes at any stage costs its own step's deadline and nothing
// else: right step, right kind, in time, no goroutine left (goleak in TestMain).
func TestEachFreezeEndsAtItsOwnDeadline(t *testing.T) {
	const own, other = 150 * time.Millisecond, 20 * time.Second
	frozen := func(tt *tty) { tt.freeze() }
	enableFreeze := func(tt *tty) {
		tt.puts("r1>")
		tt.line()
		tt.puts("r1>")
		tt.line()
		tt.freeze()
	}
	halfAnswer := func(tt *tty) {
		tt.puts("r1#")
		tt.line()
		tt.puts("r1#")
		tt.line()
		tt.puts("hostname r1\r\ninterface Eth")
		tt.freeze()
	}
	noAnswer := func(tt *tty) {
		tt.puts("r1#")
		tt.line()
		tt.puts("r1#")
		tt.line()
		tt.freeze()
	}
	ok := prompting("r1#", map[string]string{"show run": "hostname r1\nend\n"})
	enabling := plainDialogue()
	enabling.Enable = Enable{When: patterns(`>$`)[0], Command: "enable", Asks: patterns(`^Password: $`)[0]}
	paging := plainDialogue()
	paging.Paging = []string{"terminal length 0"}
	execOnly := plainDialogue()
	execOnly.ExecOnly = true

	tests := map[string]struct {
		device   *device
		dialogue Dialogue
		limits   collector.Limits
		step     collector.Step
		kind     collector.Kind
		exec     bool
		file     bool
	}{
		"no identification": {device: &device{wrap: stalled(0)}, limits: collector.Limits{KeyExchange: own}, step: collector.StepKeyExchange},
		"no key exchange":   {device: &device{wrap: stalled(1)}, limits: collector.Limits{KeyExchange: own}, step: collector.StepKeyExchange},
		"key exchange half": {device: &device{wrap: stalled(2)}, limits: collector.Limits{KeyExchange: own}, step: collector.StepKeyExchange},
		"before the login":  {device: &device{wrap: stalled(4)}, limits: collector.Limits{Login: own}, step: collector.StepLogin},
		"password": {device: &device{verdict: func(string) error { time.Sleep(400 * time.Millisecond); return errDenied }},
			limits: collector.Limits{Login: own}, step: collector.StepLogin},
		"no shell":          {device: &device{shell: frozen}, limits: collector.Limits{Login: own}, step: collector.StepPrompt},
		"banner, no prompt": {device: &device{shell: after("Welcome\r\nto r1\r\n", frozen)}, limits: collector.Limits{Login: own}, step: collector.StepPrompt, kind: collector.ErrNoPrompt},
		"enable":            {device: &device{shell: enableFreeze}, dialogue: enabling, limits: collector.Limits{Login: own}, step: collector.StepEnable},
		"paging":            {device: &device{shell: noAnswer}, dialogue: paging, limits: collector.Limits{FirstByte: own}, step: collector.StepOutput},
		"no answer":         {device: &device{shell: noAnswer}, limits: collector.Limits{FirstByte: own}, step: collector.StepOutput},
		"half an answer":    {device: &device{shell: halfAnswer}, limits: collector.Limits{Silence: own}, step: collector.StepOutput},
		"whole session":     {device: &device{shell: halfAnswer}, limits: collector.Limits{Session: 4 * own}, step: collector.StepOutput},
		"exec, no answer": {device: &device{exec: func(tt *tty, _ string) int { tt.freeze(); return 0 }}, dialogue: execOnly,
			limits: collector.Limits{FirstByte: own}, step: collector.StepOutput, exec: true},
		"exec, half an answer": {device: &device{exec: func(tt *tty, _ string) int { tt.puts("hostname r1\n"); tt.freeze(); return 0 }}, dialogue: execOnly,
			limits: collector.Limits{Silence: own}, step: collector.StepOutput, exec: true},
		"file": {device: &device{shell: ok, sftp: true, files: frozenFiles()}, limits: collector.Limits{FirstByte: own, Silence: own}, step: collector.StepOutput, file: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tt.device
			if d.shell == nil {
				d.shell = ok
			}
			d.start(t)
			target := d.target()
			lim := &target.Limits
			*lim = collector.Limits{Connect: other, KeyExchange: other, Login: other, FirstByte: other, Silence: other, Session: other}
			deadline := own
			for _, l := range []struct{ set, to *time.Duration }{
				{&tt.limits.KeyExchange, &lim.KeyExchange}, {&tt.limits.Login, &lim.Login}, {&tt.limits.FirstByte, &lim.FirstByte},
				{&tt.limits.Silence, &lim.Silence}, {&tt.limits.Session, &lim.Session},
			} {
				if *l.set > 0 {
					*l.to, deadline = *l.set, *l.set
				}
			}
			dialogue := tt.dialogue
			if dialogue.Prompt == nil {
				dialogue = plainDialogue()
			}
			start := time.Now()
			s, err := Open(context.Background(), target, dialogue, Options{})
			if err == nil {
				start = later(start, time.Now().Add(-50*time.Millisecond))
				switch {
				case tt.exec:
					_, err = s.Exec(context.Background(), "show run")
				case tt.file:
					_, err = s.File(context.Background(), "/etc/frr.conf")
				default:
					_, err = s.Run(context.Background(), "show run")
				}
				_ = s.Close()
			}
			if tt.kind == "" {
				tt.kind = collector.ErrTimedOut
			}
			_ = wantError(t, err, tt.step, tt.kind)
			if took := time.Since(start); took < deadline-60*time.Millisecond && tt.limits.Session == 0 || took > deadline+3*time.Second {
				t.Errorf("took %v, the deadline is %v", took, deadline)
			}
		})
	}
	t.Run("connect", func(t *testing.T) {
		t.Parallel()
		_, err := Open(context.Background(), collector.Target{Device: "r1", Addr: fullBacklog(t), Limits: collector.Limits{Connect: own}}, plainDialogue(), Options{})
		_ = wantError(t, err, collector.StepConnect, collector.ErrTimedOut)
	})
}

// What the caller stops is not the device's fault: its own reason comes back.
func TestCancelledSessionSaysWhy(t *testing.T) {
	d := (&device{shell: after("r1#", func(tt *tty) { tt.line(); tt.puts("r1#"); tt.line(); tt.freeze() })}).start(t)
	why := errors.New("run stopped by a person")
	ctx, cancel := context.WithCancelCause(context.Background())
	s, err := Open(ctx, d.target(), plainDialogue(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	time.AfterFunc(30*time.Millisecond, func() { cancel(why) })
	if _, err := s.Run(context.Background(), "show run"); !errors.Is(err, why) {
		t.Errorf("Run = %v, want the cause of the context", err)
	}
	if _, err := s.Run(context.Background(), "show run"); !errors.Is(err, why) {
		t.Errorf("Run after the end = %v", err)
	}
	if _, err := s.Exec(context.Background(), "show run"); !errors.Is(err, why) {
		t.Errorf("Exec after the end = %v", err)
	}
}

// Close may come from anywhere at any time.
func TestCloseEndsARunningCommand(t *testing.T) {
	d := (&device{shell: after("r1#", func(tt *tty) { tt.line(); tt.puts("r1#"); tt.line(); tt.freeze() })}).start(t)
	s := mustOpen(t, d.target(), plainDialogue(), Options{})
	time.AfterFunc(30*time.Millisecond, func() { _ = s.Close() })
	start := time.Now()
	if _, err := s.Run(context.Background(), "show run"); err == nil || time.Since(start) > time.Second {
		t.Errorf("Run = %v after %v", err, time.Since(start))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnreachableDevicesAreToldApart(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().(*net.TCPAddr).AddrPort()
	_ = ln.Close()
	garbage := (&device{wrap: func(nc net.Conn) net.Conn {
		_, _ = nc.Write([]byte(strings.Repeat("\xff", 400)))
		_ = nc.Close()
		return nc
	}}).start(t)
	talks := (&device{wrap: func(nc net.Conn) net.Conn { // a console server, a Telnet port
		_, _ = nc.Write([]byte("User Access Verification\r\nUsername: "))
		_, _ = io.Copy(io.Discard, nc)
		return nc
	}}).start(t)
	wrongPort := talks.target()
	wrongPort.Limits.KeyExchange = 200 * time.Millisecond
	hangsUp := (&device{wrap: func(nc net.Conn) net.Conn { _ = nc.Close(); return nc }}).start(t)
	ours := netip.MustParseAddr("203.0.113.77")
	tests := map[string]struct {
		target collector.Target
		step   collector.Step
		kind   collector.Kind
		do     string
	}{
		"port closed":      {collector.Target{Device: "r1", Addr: closed}, collector.StepConnect, collector.ErrRefused, "Switch SSH on"},
		"no such source":   {collector.Target{Device: "r1", Addr: closed, Source: ours}, collector.StepConnect, collector.ErrUnreachable, "203.0.113.77"},
		"no route":         {collector.Target{Device: "r1", Addr: netip.MustParseAddrPort("[2001:db8:dead::1]:22"), Source: netip.MustParseAddr("::1"), Limits: collector.Limits{Connect: time.Second}}, collector.StepConnect, "", ""},
		"no SSH":           {garbage.target(), collector.StepKeyExchange, collector.ErrClosed, "is no SSH server"},
		"no SSH, silent":   {wrongPort, collector.StepKeyExchange, collector.ErrTimedOut, "is no SSH server"},
		"hangs up at once": {hangsUp.target(), collector.StepKeyExchange, collector.ErrClosed, "SSH server"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// Reach says the same of a connection that cannot be made, and no more.
			if err, same := Reach(context.Background(), tt.target), tt.step == collector.StepConnect; (err != nil) != same {
				t.Errorf("Reach = %v", err)
			} else if same && tt.kind != "" {
				_ = wantError(t, err, tt.step, tt.kind)
			}
			_, err := Open(context.Background(), tt.target, plainDialogue(), Options{})
			if tt.kind == "" {
				if k := collector.KindOf(err); k != collector.ErrUnreachable && k != collector.ErrTimedOut {
					t.Errorf("kind %q: %v", k, err)
				}
				return
			}
			if e := wantError(t, err, tt.step, tt.kind); !strings.Contains(e.Do, tt.do) {
				t.Errorf("Do = %q, want %q in it", e.Do, tt.do)
			}
		})
	}
}

// A connection that is reset before the dialer looks at it was made all the same.
func TestResetAtOnceIsNoMissingConnection(t *testing.T) {
	t.Parallel()
	reset := func(context.Context, netip.AddrPort) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNRESET)}
	}
	for _, tt := range []struct {
		telnet bool
		step   collector.Step
		do     string
	}{{false, collector.StepKeyExchange, "SSH server"}, {true, collector.StepLogin, "Telnet"}} {
		target := collector.Target{Device: "r1", Addr: netip.MustParseAddrPort("127.0.0.1:22"), Telnet: tt.telnet,
			Credential: collector.Credential{Name: "ro", User: "u", Password: secret.New("p")}}
		_, err := Open(context.Background(), target, plainDialogue(), Options{Dial: reset})
		if e := wantError(t, err, tt.step, collector.ErrClosed); !strings.Contains(e.Do, tt.do) {
			t.Errorf("Do = %q, want %q in it", e.Do, tt.do)
		}
	}
}
