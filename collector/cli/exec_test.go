package cli

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

func TestExec(t *testing.T) {
	answer := "Building configuration...\nhostname r1  \nend\n"
	tests := map[string]struct {
		exec   func(*tty, string) int
		text   string
		status int
		step   collector.Step
		kind   collector.Kind
		seen   string
		atMost time.Duration
	}{
		"answer":            {exec: func(tt *tty, _ string) int { tt.puts(answer); return 0 }, text: answer},
		"CR LF":             {exec: func(tt *tty, _ string) int { tt.puts(crlf(answer)); return 0 }, text: answer},
		"no line end":       {exec: func(tt *tty, _ string) int { tt.puts("r1"); return 0 }, text: "r1"},
		"empty":             {exec: func(tt *tty, _ string) int { return 0 }},
		"status":            {exec: func(tt *tty, _ string) int { tt.puts("x\n"); return 3 }, text: "x\n", status: 3},
		"noise":             {exec: func(tt *tty, _ string) int { tt.puts("%SYS-5-CONFIG_I: x\na\n"); return 0 }, text: "a\n"},
		"no status":         {exec: func(tt *tty, _ string) int { tt.puts(answer[:20]); return -1 }, step: collector.StepOutput, kind: collector.ErrClosed, seen: "Building"},
		"no status, stderr": {exec: func(tt *tty, _ string) int { _, _ = tt.ch.Stderr().Write([]byte("out of memory")); return -1 }, step: collector.StepOutput, kind: collector.ErrClosed, seen: "out of memory"},
		"signal": {exec: func(tt *tty, _ string) int {
			_, _ = tt.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				Err    string
				Lang   string
			}{"KILL", false, "", ""}))
			return -1
		}, step: collector.StepOutput, kind: collector.ErrClosed},
		"signal with words": {exec: func(tt *tty, _ string) int {
			tt.puts("Building")
			_, _ = tt.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				Err    string
				Lang   string
			}{"ABRT" + strings.Repeat("x", 5000), true, "aborted for " + testPassword, ""}))
			return -1
		}, step: collector.StepOutput, kind: collector.ErrClosed, seen: "Building\\naborted for"},
		"connection lost":  {exec: func(tt *tty, _ string) int { tt.puts(answer[:20]); _ = tt.conn.Close(); return -1 }, step: collector.StepOutput, kind: collector.ErrClosed, seen: "Building"},
		"unknown command":  {exec: func(tt *tty, _ string) int { tt.puts("% Unknown command: show run\n"); return 0 }, step: collector.StepCommand, kind: collector.ErrCommandRejected, seen: "Unknown command"},
		"denied on stderr": {exec: func(tt *tty, _ string) int { _, _ = tt.ch.Stderr().Write([]byte("% Authorization failed\n")); return 1 }, step: collector.StepCommand, kind: collector.ErrRightsMissing, seen: ""},
		"too large":        {exec: func(tt *tty, _ string) int { tt.puts(strings.Repeat("x\n", 60000)); return 0 }, step: collector.StepOutput, kind: collector.ErrTooLarge},
		"endless": {exec: func(tt *tty, _ string) int {
			for {
				if _, err := tt.ch.Write(make([]byte, 4096)); err != nil {
					return -1
				}
			}
		}, step: collector.StepOutput, kind: collector.ErrTooLarge},
		"its own shell": {exec: func(tt *tty, _ string) int { tt.puts("Hello, this is FRR\r\n\r\nr1# "); tt.freeze(); return -1 }, step: collector.StepCommand, kind: collector.ErrCommandRejected, seen: "r1#", atMost: interactive + 2*time.Second},
		"refused":       {step: collector.StepCommand, kind: collector.ErrCommandRejected},
	}
	for name, tt := range tests {
		for _, with := range []string{"alone", "beside a shell"} {
			t.Run(name+", "+with, func(t *testing.T) {
				t.Parallel()
				d := (&device{exec: tt.exec, sessions: 1, shell: prompting("r1# ", map[string]string{"show version": "FRR\n"})}).start(t)
				target, dialogue := d.target(), plainDialogue()
				target.Limits.MaxBytes = 100000
				target.Limits.FirstByte, target.Limits.Silence = 20*time.Second, 20*time.Second
				target.Limits.Session = 60 * time.Second
				dialogue.ExecOnly = with == "alone"
				s := mustOpen(t, target, dialogue, Options{})
				start := time.Now()
				out, err := s.Exec(context.Background(), "show run")
				if tt.kind != "" {
					if e := wantError(t, err, tt.step, tt.kind); !strings.Contains(e.Seen, tt.seen) {
						t.Errorf("Seen = %q, want %q in it", e.Seen, tt.seen)
					}
					if len(out.Text) > 0 {
						t.Errorf("a text came with the error: %q", out.Text)
					}
				} else if err != nil || string(out.Text) != tt.text || out.ExitStatus != tt.status {
					t.Errorf("Exec = %q, %d, %v; want %q, %d", out.Text, out.ExitStatus, err, tt.text, tt.status)
				}
				if took := time.Since(start); tt.atMost > 0 && took > tt.atMost {
					t.Errorf("took %v", took)
				}
				// Whatever became of it, the session goes on.
				if _, err := s.Exec(context.Background(), "show run"); tt.kind == "" && err != nil {
					t.Errorf("a second request: %v", err)
				}
				if with != "alone" {
					if out, err := s.Run(context.Background(), "show version"); err != nil || string(out.Text) != "FRR\n" {
						t.Errorf("the shell afterwards: %q, %v", out.Text, err)
					}
				}
			})
		}
	}
}

// resets makes the end of a connection a reset, as a device sends it that has not read
// all that we sent.
func resets(nc net.Conn) net.Conn {
	_ = nc.(*net.TCPConn).SetLinger(0)
	return nc
}

// Devices that end the connection with each request are asked on a new one, and
// never with another method than the one that worked.
func TestExecOnDevicesThatHangUpAfterEachRequest(t *testing.T) {
	for name, d := range map[string]*device{
		"the connection ends": {sessions: 1, once: true, exec: func(tt *tty, command string) int {
			tt.puts(command + "\n")
			tt.end(0)
			_ = tt.ch.Close()
			_ = tt.conn.Close()
			return -1
		}},
		"the connection is reset": {sessions: 1, once: true, wrap: resets, exec: func(tt *tty, command string) int {
			tt.puts(command + "\n")
			tt.end(0)
			_ = tt.ch.Close()
			_ = tt.conn.Close()
			return -1
		}},
		"one request a connection": {sessions: 1, once: true, exec: func(tt *tty, command string) int { tt.puts(command + "\n"); return 0 }},
	} {
		d.start(t)
		dialogue := plainDialogue()
		dialogue.ExecOnly = true
		s := mustOpen(t, d.target(), dialogue, Options{})
		for _, command := range []string{"one", "two", "three"} {
			out, err := s.Exec(context.Background(), command)
			if err != nil || string(out.Text) != command+"\n" {
				t.Fatalf("%s: Exec(%s) = %q, %v", name, command, out.Text, err)
			}
		}
		if n := d.did("connect"); n != 3 {
			t.Errorf("%s: %d connections, want 3", name, n)
		}
		if _, err := s.Run(context.Background(), "show run"); collector.KindOf(err) != collector.ErrNoPrompt {
			t.Errorf("Run without a shell: %v", err)
		}
	}
}

// RFC 4254 lets the exit status come before the rest of the text: where the channel
// then ends with its connection, or since our time is over, the text is half.
func TestExecStatusBeforeTheTextProvesNothing(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(tt *tty, socket *net.TCPConn){
		"the connection ends":     func(tt *tty, _ *net.TCPConn) { _ = tt.conn.Close() },
		"the connection is reset": func(_ *tty, socket *net.TCPConn) { _ = errors.Join(socket.SetLinger(0), socket.Close()) },
		"silence":                 func(tt *tty, _ *net.TCPConn) { tt.freeze() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sockets := make(chan *net.TCPConn, 1)
			d := (&device{
				wrap: func(nc net.Conn) net.Conn { sockets <- nc.(*net.TCPConn); return nc },
				exec: func(tt *tty, _ string) int {
					tt.end(0)
					tt.puts("hostname r1\ninterface eth")
					time.Sleep(20 * time.Millisecond) // it is on its way
					then(tt, <-sockets)
					return -1
				},
			}).start(t)
			target, dialogue := d.target(), plainDialogue()
			target.Limits.Session = 4 * time.Second
			dialogue.ExecOnly = true
			s := mustOpen(t, target, dialogue, Options{})
			out, err := s.Exec(context.Background(), "show run")
			if err == nil || len(out.Text) > 0 {
				t.Errorf("half a text is an answer: %q, status %d, %v", out.Text, out.ExitStatus, err)
			}
		})
	}
}

// Standard input stays open: a device that starts its shell for an exec request
// would take the end of it for "exit" and report success with no answer.
func TestExecDoesNotEndStandardInput(t *testing.T) {
	t.Parallel()
	d := (&device{exec: func(tt *tty, _ string) int {
		tt.puts("r1# ")
		if _, err := tt.in.ReadByte(); err == nil {
			return 1
		}
		return 0
	}}).start(t)
	dialogue := plainDialogue()
	dialogue.ExecOnly = true
	s := mustOpen(t, d.target(), dialogue, Options{})
	_, err := s.Exec(context.Background(), "show run")
	if err == nil {
		t.Error("the prompt of a shell came back as an answer")
	}
}

func TestStepsTellTheSession(t *testing.T) {
	d := (&device{shell: prompting("r1# ", map[string]string{"terminal length 0": "", "show run": "end\n"})}).start(t)
	dialogue := plainDialogue()
	dialogue.Paging = []string{"terminal length 0"}
	var progress []string
	s := mustOpen(t, d.target(), dialogue, Options{Progress: func(step collector.Step, detail string) { progress = append(progress, string(step)) }})
	if _, err := s.Run(context.Background(), "show run"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(context.Background(), "nonsense"); err == nil {
		t.Fatal("nonsense is known")
	}
	const want = "connect key-exchange host-key login prompt paging output output"
	if got := strings.Join(progress, " "); got != want {
		t.Errorf("progress %q, want %q", got, want)
	}
	steps := s.Steps()
	last := steps[len(steps)-1]
	if len(steps) != 8 || steps[3].Kind != "" || !strings.HasPrefix(steps[3].Detail, "noc by password") ||
		last.Step != collector.StepCommand || last.Kind != collector.ErrCommandRejected || last.Do == "" {
		t.Errorf("steps %+v", steps)
	}
}

// At its prompt a session says good-bye, so that the device's log shows a
// logout and its line is free at once.
func TestCloseIsPolite(t *testing.T) {
	left := make(chan string, 1)
	d := (&device{shell: func(tt *tty) {
		for {
			tt.puts("r1# ")
			l, ok := tt.line()
			if !ok {
				left <- "cut"
				return
			}
			if l != "" {
				left <- l
				return
			}
		}
	}}).start(t)
	s, err := Open(context.Background(), d.target(), plainDialogue(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_ = s.Close()
	if got := <-left; got != "exit" {
		t.Errorf("the device saw %q, want exit", got)
	}
}
