package cli

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"muster/collector"
	"muster/internal/secret"
)

func TestMain(m *testing.M) {
	if os.Getenv(benchDevice) != "" {
		serveBenchDevice()
	}
	// These tests wait for deadlines, they do not compute: more of them at a time
	// than there are cores.
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	testPassword = "hunter2 & more"
	testEnable   = "s3cret-enable"
)

// device is an SSH server that plays a network device on loopback.
type device struct {
	tb       testing.TB
	key      ssh.Signer
	users    ssh.PublicKey                                // key that logs in; nil: none does
	password bool                                         // offers password
	asks     func(ssh.KeyboardInteractiveChallenge) error // offers keyboard-interactive
	verdict  func(password string) error                  // nil: testPassword is right
	shell    func(*tty)                                   // nil: refused
	exec     func(t *tty, command string) (status int)    // nil: refused; below 0: closes without a status
	files    sftp.Handlers                                // of the subsystem
	sftp     bool                                         // has the subsystem
	sessions int                                          // channels at one time on a connection; 0: any number
	once     bool                                         // that many over the connection's whole life
	config   func(*ssh.ServerConfig)                      // last touch
	wrap     func(net.Conn) net.Conn                      // between the socket and SSH
	banner   string                                       //
	log      []string                                     // guarded by mu: what clients did
	conns    map[net.Conn]bool                            // guarded by mu
	mu       sync.Mutex                                   //
	wg       sync.WaitGroup                               //
	ln       net.Listener                                 //
}

func newKey(tb testing.TB, seed byte) ssh.Signer {
	tb.Helper()
	k := ed25519.NewKeyFromSeed(bytesOf(seed))
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func bytesOf(b byte) []byte {
	s := make([]byte, ed25519.SeedSize)
	for i := range s {
		s[i] = b
	}
	return s
}

// start serves the device until the test ends.
func (d *device) start(tb testing.TB) *device {
	tb.Helper()
	d.tb, d.conns = tb, map[net.Conn]bool{}
	if d.key == nil {
		d.key = newKey(tb, 1)
	}
	if !d.password && d.asks == nil && d.users == nil {
		d.password = true
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d.ln = ln
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns[nc] = true
			d.mu.Unlock()
			d.wg.Add(1)
			go func() { defer d.wg.Done(); d.serve(nc) }()
		}
	}()
	tb.Cleanup(func() {
		_ = ln.Close()
		d.mu.Lock()
		for nc := range d.conns {
			_ = nc.Close()
		}
		d.mu.Unlock()
		d.wg.Wait()
	})
	return d
}

func (d *device) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, fmt.Sprintf(format, args...))
}

// did is how often clients did something.
func (d *device) did(what string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.log {
		if l == what {
			n++
		}
	}
	return n
}

func (d *device) addr() netip.AddrPort { return d.ln.Addr().(*net.TCPAddr).AddrPort() }

var errDenied = errors.New("denied")

func (d *device) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	d.note("connect")
	check := func(password string) error {
		if d.verdict != nil {
			return d.verdict(password)
		}
		if password != testPassword {
			return errDenied
		}
		return nil
	}
	cfg := &ssh.ServerConfig{}
	d.mu.Lock()
	cfg.AddHostKey(d.key)
	d.mu.Unlock()
	if d.banner != "" {
		cfg.BannerCallback = func(ssh.ConnMetadata) string { return d.banner }
	}
	if d.password {
		cfg.PasswordCallback = func(_ ssh.ConnMetadata, pw []byte) (*ssh.Permissions, error) {
			d.note("password")
			return nil, check(string(pw))
		}
	}
	if d.asks != nil {
		cfg.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			d.note("keyboard-interactive")
			return nil, d.asks(ask)
		}
	}
	if d.users != nil {
		cfg.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			d.note("publickey")
			if string(k.Marshal()) == string(d.users.Marshal()) {
				return nil, nil
			}
			return nil, errDenied
		}
	}
	if d.config != nil {
		d.config(cfg)
	}
	c := nc
	if d.wrap != nil {
		c = d.wrap(nc)
	}
	sc, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		_, _ = io.Copy(io.Discard, nc) // until the client leaves
		return
	}
	go ssh.DiscardRequests(reqs)
	var wg sync.WaitGroup
	slots := make(chan bool, max(d.sessions, 1))
	for nch := range chans {
		if d.sessions > 0 {
			select {
			case slots <- true:
			case <-time.After(100 * time.Millisecond): // the one before may be about to end
				_ = nch.Reject(ssh.Prohibited, "open failed")
				continue
			}
		}
		ch, creqs, err := nch.Accept()
		if err != nil {
			break
		}
		d.note("session")
		wg.Add(1)
		go func() {
			defer wg.Done()
			d.session(sc, ch, creqs)
			if d.sessions > 0 && !d.once {
				<-slots
			}
		}()
	}
	_ = sc.Close()
	wg.Wait()
}

func (d *device) session(sc *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer func() { _ = ch.Close() }()
	t := &tty{ch: ch, in: bufio.NewReader(ch), d: d, conn: sc}
	var running sync.WaitGroup
	defer running.Wait()
	for r := range reqs {
		run := func(ok bool, f func()) {
			if r.WantReply {
				_ = r.Reply(ok, nil)
			}
			if ok {
				running.Add(1)
				go func() { defer running.Done(); f(); _ = ch.Close() }()
			}
		}
		switch r.Type {
		case "pty-req":
			t.width = int(binary.BigEndian.Uint32(r.Payload[4+binary.BigEndian.Uint32(r.Payload):]))
			_ = r.Reply(true, nil)
		case "shell":
			run(d.shell != nil, func() { d.shell(t); t.end(0) })
		case "exec":
			command := string(r.Payload[4:])
			run(d.exec != nil, func() {
				d.note("exec %s", command)
				if status := d.exec(t, command); status >= 0 {
					t.end(status)
				}
			})
		case "subsystem":
			run(d.sftp, func() {
				srv := sftp.NewRequestServer(ch, d.files)
				_ = srv.Serve()
			})
		default:
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	}
}

// tty is the device's end of a session.
type tty struct {
	ch    ssh.Channel
	in    *bufio.Reader
	d     *device
	conn  *ssh.ServerConn
	width int
}

func (t *tty) puts(s string) { _, _ = io.WriteString(t.ch, s) }

// line reads one line and echoes it.
func (t *tty) line() (string, bool) {
	l, ok := t.silent()
	if ok {
		t.puts(l + "\r\n")
	}
	return l, ok
}

// silent reads one line without echo.
func (t *tty) silent() (string, bool) {
	l, err := t.in.ReadString('\n')
	l = strings.TrimRight(l, "\r\n")
	if err == nil {
		t.d.note("> %s", l)
	}
	return l, err == nil
}

func (t *tty) key() (byte, bool) {
	b, err := t.in.ReadByte()
	return b, err == nil
}

// freeze says nothing until the client leaves.
func (t *tty) freeze() { _, _ = io.Copy(io.Discard, t.ch); _ = t.conn.Wait() }

func (t *tty) end(status int) {
	_, _ = t.ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, uint32(status)))
	_ = t.ch.CloseWrite()
}

// prompting is a shell that answers each command with text, until "exit". A text
// that is nil (no entry) is an unknown command.
func prompting(prompt string, answers map[string]string) func(*tty) {
	return func(t *tty) {
		for {
			t.puts(prompt)
			l, ok := t.line()
			if !ok || l == "exit" {
				return
			}
			text, known := answers[l]
			switch {
			case known:
				t.puts(strings.ReplaceAll(text, "\n", "\r\n"))
			case l != "":
				t.puts("% Unknown command\r\n")
			}
		}
	}
}

// after runs a shell behind a text.
func after(text string, shell func(*tty)) func(*tty) {
	return func(t *tty) { t.puts(text); shell(t) }
}

func patterns(ss ...string) (out []*regexp.Regexp) {
	for _, s := range ss {
		out = append(out, regexp.MustCompile(s))
	}
	return out
}

var anyPager = regexp.MustCompile(`^ ?-- ?[Mm]ore ?-- ?$`)

// plainDialogue is how the tests talk to most devices.
func plainDialogue() Dialogue {
	return Dialogue{
		Prompt: regexp.MustCompile(`^[\w.\-]{1,63}(?:\([\w.\-]{1,32}\))?[#>] ?$`),
		Pager:  anyPager,
		Exit:   "exit",
		Errors: Errors{
			Command: patterns(`^% ?Unknown command`, `^% Invalid`),
			Denied:  patterns(`(?i)^% ?authorization failed`),
			Busy:    patterns(`^% Configuration is locked`),
			Noise:   patterns(`^\S+ \S+ \[\S+\] STARVATION: task `, `^%[A-Z]+-\d-\w+: `),
		},
	}
}

func (d *device) target() collector.Target { return targetAt(d.addr()) }

func targetAt(addr netip.AddrPort) collector.Target {
	return collector.Target{
		Device: "edge-r1", Addr: addr,
		Credential: collector.Credential{Name: "noc", Kind: collector.KindSSH, User: "backup",
			Password: secret.New(testPassword), Enable: secret.New(testEnable)},
		Limits: collector.Limits{Connect: 2 * time.Second, KeyExchange: 2 * time.Second, Login: 2 * time.Second,
			FirstByte: 2 * time.Second, Silence: 2 * time.Second, Session: 10 * time.Second},
	}
}

// mustOpen opens a session that ends with the test.
func mustOpen(tb testing.TB, t collector.Target, d Dialogue, o Options) *Session {
	tb.Helper()
	s, err := Open(context.Background(), t, d, o)
	if err != nil {
		tb.Fatalf("Open: %v (cause: %v)", err, errors.Unwrap(err))
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// wantError checks kind and step, and that no secret is in the text.
func wantError(tb testing.TB, err error, step collector.Step, kind collector.Kind) *collector.Error {
	tb.Helper()
	var e *collector.Error
	if !errors.As(err, &e) {
		tb.Fatalf("error is %v, want %s at %s", err, kind, step)
	}
	if e.Kind != kind || e.Step != step {
		tb.Fatalf("%s at %s, want %s at %s: %v (cause: %v)", e.Kind, e.Step, kind, step, e, e.Cause)
	}
	if e.Device == "" || !e.Addr.IsValid() || e.Do == "" {
		tb.Errorf("error does not name device, address and mend: %+v", e)
	}
	for err := error(e); err != nil; err = errors.Unwrap(err) {
		for _, s := range []string{testPassword, testEnable} {
			if strings.Contains(err.Error(), s) {
				tb.Errorf("secret in an error: %v", err)
			}
		}
	}
	return e
}
