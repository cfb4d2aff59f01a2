package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/collector"
	"muster/internal/secret"
)

// telnetDevice plays a device that speaks Telnet; talk has one connection.
func telnetDevice(t *testing.T, talk func(*telnetEnd)) collector.Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = nc.Close() }()
				defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
				talk(&telnetEnd{Conn: nc, in: bufio.NewReader(nc)})
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); cancel(); wg.Wait() })
	target := targetAt(ln.Addr().(*net.TCPAddr).AddrPort())
	target.Telnet, target.Scope = true, "old"
	return target
}

// telnetEnd is the device's end of a connection.
type telnetEnd struct {
	net.Conn
	in *bufio.Reader
}

func (e *telnetEnd) puts(s string) { _, _ = io.WriteString(e, s) }

// line reads a line, passing over options; echo returns it.
func (e *telnetEnd) line(echo bool) (string, bool) {
	var l []byte
	for {
		b, err := e.in.ReadByte()
		if err != nil {
			return "", false
		}
		switch b {
		case telnetIAC:
			verb, _ := e.in.ReadByte()
			switch {
			case verb == telnetIAC:
				l = append(l, telnetIAC)
			case verb == telnetSB:
				for prev := byte(0); ; {
					c, err := e.in.ReadByte()
					if err != nil || prev == telnetIAC && c == telnetSE {
						break
					}
					prev = c
				}
			default:
				_, _ = e.in.ReadByte()
			}
		case '\r':
		case '\n':
			if echo {
				e.puts(string(l) + "\r\n")
			}
			return string(l), true
		default:
			l = append(l, b)
		}
	}
}

// login asks for name and password up to three times, as most devices do.
func (e *telnetEnd) login() bool {
	for range 3 {
		e.puts("\r\nUsername: ")
		user, _ := e.line(true)
		e.puts("Password: ")
		pass, ok := e.line(false)
		if !ok {
			return false
		}
		e.puts("\r\n")
		if user == "backup" && pass == testPassword {
			return true
		}
		e.puts("% Login invalid\r\n")
	}
	return false
}

// commands is a prompt that knows some commands.
func (e *telnetEnd) commands(answers map[string]string) {
	for {
		e.puts("edge-r1#")
		l, ok := e.line(true)
		if !ok || l == "exit" {
			return
		}
		if l != "" {
			e.puts(answers[l])
		}
	}
}

func TestTelnetSession(t *testing.T) {
	t.Parallel()
	const iac = "\xff"
	heard := make(chan []byte, 1)
	target := telnetDevice(t, func(e *telnetEnd) {
		e.puts(iac + "\xfb\x01" + iac + "\xfb\x03" + iac + "\xfd\x18" + iac + "\xfd\x1f" + iac + "\xfd\x22" + iac + "\xfb\x05" +
			iac + "\xfa\x18\x01" + iac + "\xf0")
		want := iac + "\xfd\x01" + iac + "\xfd\x03" + iac + "\xfb\x18" + iac + "\xfb\x1f" +
			iac + "\xfa\x1f\x01\xff\xff\x00\xff\xff" + iac + "\xf0" + // 511 columns, 255 rows; 255 is doubled
			iac + "\xfc\x22" + iac + "\xfe\x05" + iac + "\xfa\x18\x00VT100" + iac + "\xf0"
		b := make([]byte, len(want))
		_, _ = io.ReadFull(e.in, b)
		if string(b) != want {
			t.Errorf("options were answered with % x, want % x", b, want)
		}
		heard <- b
		e.puts("Last login: ")
		e.puts("Mon\r\nUser Access Verification\r\n")
		if !e.login() {
			return
		}
		e.commands(map[string]string{"show run": "hostname edge-r1\r\nbanner \xc3\xbc\xff\xf1\xff\xf9x caf\xff\xff\r\x00\nend\r\n"})
	})
	var attempts []string
	asked := 0
	s := mustOpen(t, target, plainDialogue(), Options{
		Attempt:  func(m string, ok bool) { attempts = append(attempts, m+map[bool]string{true: "+", false: "-"}[ok]) },
		MayLogIn: func(context.Context) error { asked++; return nil },
	})
	<-heard
	if !slices.Equal(attempts, []string{"password+"}) || asked != 1 || s.Method() != "password" {
		t.Errorf("attempts %v, asked %d, method %s", attempts, asked, s.Method())
	}
	if k := s.HostKey(); k.Type != "" {
		t.Errorf("Telnet has host key %v", k)
	}
	out, err := s.Run(context.Background(), "show run")
	if err != nil {
		t.Fatal(err)
	}
	if want := "hostname edge-r1\nbanner üx caf\xff\nend\n"; string(out.Text) != want {
		t.Errorf("answer %q, want %q", out.Text, want)
	}
	_, err = s.Exec(context.Background(), "show run")
	_ = wantError(t, err, collector.StepCommand, collector.ErrCommandRejected)
	_, err = s.File(context.Background(), "/config")
	if e := wantError(t, err, collector.StepCommand, collector.ErrCommandRejected); !strings.Contains(e.Do, "Telnet has neither") {
		t.Errorf("says %q", e.Do)
	}
	if out, err = s.Run(context.Background(), "show run"); err != nil || len(out.Text) == 0 {
		t.Errorf("the shell is gone after a refused exec request: %v", err)
	}
}

// A password goes out once, whatever the device does with it.
func TestTelnetLoginFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		talk     func(*telnetEnd)
		change   func(*collector.Target)
		kind     collector.Kind
		rejected int
	}{
		"wrong": {func(e *telnetEnd) { e.login() }, func(t *collector.Target) { t.Credential.Password = secret.New("wrong-1") }, collector.ErrLoginRejected, 1},
		"password again": {func(e *telnetEnd) {
			e.puts("Password: ")
			e.line(false)
			e.puts("\r\nPassword: ")
			e.line(false)
		}, nil, collector.ErrLoginRejected, 1},
		"refused and closed": {func(e *telnetEnd) {
			e.puts("login: ")
			e.line(true)
			e.puts("Password: ")
			e.line(false)
			e.puts("\r\nLogin incorrect\r\n")
		}, nil, collector.ErrLoginRejected, 1},
		"closed at once": {func(*telnetEnd) {}, nil, collector.ErrClosed, 0},
		"closed after the password": {func(e *telnetEnd) {
			e.puts("Password: ")
			e.line(false)
		}, nil, collector.ErrClosed, 1},
		"frozen at once": {func(e *telnetEnd) { _, _ = io.Copy(io.Discard, e) }, nil, collector.ErrTimedOut, 0},
		"frozen after the password": {func(e *telnetEnd) {
			e.puts("Password: ")
			e.line(false)
			_, _ = io.Copy(io.Discard, e.in)
		}, nil, collector.ErrTimedOut, 1},
		"frozen in an option": {func(e *telnetEnd) { e.puts("\xff\xfa\x18"); _, _ = io.Copy(io.Discard, e) }, nil, collector.ErrTimedOut, 0},
		"asks for a token": {func(e *telnetEnd) {
			e.puts("Username: ")
			e.line(true)
			e.puts("One-time password: ")
			_, _ = io.Copy(io.Discard, e.in)
		}, nil, collector.ErrTimedOut, 0},
		"endless banner": {func(e *telnetEnd) {
			for b := bytes.Repeat([]byte("banner\r\n"), 1000); ; {
				if _, err := e.Write(b); err != nil {
					return
				}
			}
		}, nil, collector.ErrTooLarge, 0},
		"endless after the password": {func(e *telnetEnd) {
			e.puts("Password: ")
			e.line(false)
			for b := bytes.Repeat([]byte("banner\r\n"), 1000); ; {
				if _, err := e.Write(b); err != nil {
					return
				}
			}
		}, nil, collector.ErrTooLarge, 1},
		"no password": {func(*telnetEnd) { t.Error("connected") }, func(t *collector.Target) { t.Credential.Password = secret.Value{} }, collector.ErrNeedsCredential, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := telnetDevice(t, tt.talk)
			if tt.change != nil {
				tt.change(&target)
			}
			if tt.kind == collector.ErrTooLarge {
				target.Limits.Login = time.Minute // to read as much takes its time on a busy machine
			}
			var rejected int
			_, err := Open(context.Background(), target, plainDialogue(), Options{Attempt: func(_ string, ok bool) {
				if !ok {
					rejected++
				}
			}})
			_ = wantError(t, err, collector.StepLogin, tt.kind)
			if rejected != tt.rejected {
				t.Errorf("%d refusals counted, want %d", rejected, tt.rejected)
			}
		})
	}
}

// Nobody logs in where the caller says no, and a cancelled session ends at once.
func TestTelnetIsStopped(t *testing.T) {
	t.Parallel()
	target := telnetDevice(t, func(e *telnetEnd) {
		e.puts("Username: ")
		if l, ok := e.line(true); ok {
			t.Errorf("%q was sent", l)
		}
	})
	no := errors.New("not now")
	if _, err := Open(context.Background(), target, plainDialogue(), Options{MayLogIn: func(context.Context) error { return no }}); !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	frozen := telnetDevice(t, func(e *telnetEnd) { _, _ = io.Copy(io.Discard, e) })
	frozen.Limits.Login = time.Minute
	ctx, cancel := context.WithCancelCause(context.Background())
	_, err := Open(ctx, frozen, plainDialogue(), Options{Progress: func(step collector.Step, _ string) {
		if step == collector.StepLogin {
			cancel(no)
		}
	}})
	if !errors.Is(err, no) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// Telnet where an SSH server answers, and the other way round: neither is tried
// after the other.
func TestTelnetIsNoFallBack(t *testing.T) {
	t.Parallel()
	d := (&device{shell: prompting("edge-r1#", nil)}).start(t)
	target := d.target()
	target.Telnet = true
	_, err := Open(context.Background(), target, plainDialogue(), Options{})
	_ = wantError(t, err, collector.StepLogin, collector.ErrTimedOut)
	if n := d.did("password"); n != 0 {
		t.Errorf("%d SSH logins", n)
	}
	if n := d.did("connect"); n != 1 {
		t.Errorf("%d connections", n)
	}
	_, err = OpenJump(context.Background(), target, Options{})
	_ = wantError(t, err, collector.StepConnect, collector.ErrForwardingRefused)
	exec := plainDialogue()
	exec.ExecOnly = true
	_, err = Open(context.Background(), target, exec, Options{})
	_ = wantError(t, err, collector.StepCommand, collector.ErrCommandRejected)
	if n := d.did("connect"); n != 1 {
		t.Errorf("%d connections", n)
	}
}
