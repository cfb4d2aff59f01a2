// Package cli talks to a device's command line: SSH and Telnet, host keys,
// algorithms, login, the dialogue with its prompt and pager, exec requests and
// files by SFTP.
//
// A [Session] ends when its context ends; whatever a device does, no goroutine
// and no socket stays behind. What comes back is the exact text that the device
// printed, without echo, prompt, pager and escapes, or a [collector.Error].
//
// Below is a connection (x/crypto/ssh: host key, login; or Telnet, only where the
// target says so), on it a terminal (the pump that cleans bytes and feeds
// scrapligo's channel), on that a console (text since the last line sent, waiting
// for a prompt), and on top the dialogue. Only this package knows scrapligo; what
// it is used for and what not is libs.md §1.
package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"muster/collector"
)

// Options are the hooks by which a session tells its caller what happens.
// The zero value is fine.
type Options struct {
	// HostKey is called with a key that the device proved to have and that is not
	// pinned, where the policy is accept-new and nothing is pinned yet. An error
	// refuses the key. nil: accepted for this session only.
	HostKey func(key collector.HostKey) error
	// Progress is called at the start of every step.
	Progress func(step collector.Step, detail string)
	// MayLogIn is called when the device has shown its key and nothing secret has
	// been sent yet. It may block; its error ends the session. nil: it may.
	MayLogIn func(ctx context.Context) error
	// Method is the authentication method that worked last, see [Session.Method].
	// If set, only that one is tried, unless the device does not offer it any more.
	Method string
	// Attempt is called with the outcome of every login attempt: method is
	// "publickey", "password", "keyboard-interactive", "none" or "enable". A
	// session sends at most one password and one enable secret. One that got no
	// answer (the device hung up, or was silent until the deadline) counts as a
	// refusal; the kind of the error tells it apart. It is called from the goroutine
	// that called Open, Exec or File.
	Attempt func(method string, accepted bool)
	// Dial connects to the device, see [Jump.Dial]; nil: directly.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Said is called with every command that a shell or an exec request was given
	// and all that came of it, also of one that failed; with the prompt first, as
	// the answer to no command. Nothing is masked. nil: nobody listens.
	Said func(command string, answer []byte)
	// Shown is called with every key that the device proved to have, before it is
	// held against the pinned ones; a refused one is known only from here.
	Shown func(key collector.HostKey)

	first collector.HostKey // of the session's first connection; Type is empty for that one
}

// Output is a command's answer.
type Output struct {
	Text       []byte // as the device printed it, LF line ends; no echo, prompt, pager, escapes
	ExitStatus int    // of an exec request; -1: not told, or a shell
	Stderr     []byte // of an exec request, its last 64 KiB; empty for a shell
	Pages      int    // pagers answered; 0 for an exec request
}

// Negotiated is what the two sides agreed on, and whether any of it is weak.
type Negotiated struct {
	KeyExchange string `json:"key_exchange"`
	HostKey     string `json:"host_key"`
	Cipher      string `json:"cipher"`
	MAC         string `json:"mac"`  // empty: the cipher authenticates by itself
	Weak        bool   `json:"weak"` // true: the modern profile would not have it
}

// Session is one authenticated connection to one device. It is used from one
// goroutine; Close may be called from any.
//
// Beside a shell, Exec and File use a second connection (same account, method
// and host key; made when first needed, then kept), since many devices allow one
// session a connection, and some end the connection with the first one.
type Session struct {
	d      Dialogue
	c      *connection // of the shell; without one, of exec requests and files too
	con    *console    // nil: no shell
	j      *journal
	said   func(command string, answer []byte)
	prompt prompt
	noise  noise
	pages  int

	unpaged bool // the device has taken all commands that turn paging off

	answered map[*Question]int
	atPrompt atomic.Bool // the shell waits for a command
	end      func()      // takes the caller's context off the session
	once     sync.Once

	mu     sync.Mutex              // guards what follows
	side   *connection             // the second connection; nil: none
	dialed context.CancelCauseFunc // stops the dialling of it
	why    error                   // why the session is over; nil: it is not
}

var errClosed = errors.New("the session was closed")

// Open connects to t, checks its host key, logs in with t.Credential and, unless
// d.ExecOnly, opens a shell, learns the prompt, gets the privilege and turns
// paging off. ctx bounds the whole session, not only Open.
//
// The error is a *collector.Error, or the cause of ctx where that was cancelled.
// Passwords leave only after the host key was accepted.
func Open(ctx context.Context, t collector.Target, d Dialogue, o Options) (*Session, error) {
	j := &journal{progress: o.Progress}
	return open(ctx, t, d, o, j)
}

func open(ctx context.Context, t collector.Target, d Dialogue, o Options, j *journal) (*Session, error) {
	s := &Session{d: d, j: j, said: o.Said, noise: newNoise(d.Errors.Noise), answered: map[*Question]int{}}
	if s.said == nil {
		s.said = func(string, []byte) {}
	}
	sctx, cancel := context.WithTimeoutCause(ctx, t.Limits.WithDefaults().Session, collector.ErrTimedOut)
	enter := dial
	if t.Telnet {
		enter = (&telnetLogin{d: d}).dial
	}
	c, err := enter(sctx, t, o, j)
	if err != nil {
		cancel()
		return nil, err
	}
	s.c = c
	stop := context.AfterFunc(sctx, func() { s.over(context.Cause(sctx)) })
	s.end = func() { stop(); cancel() }
	if d.ExecOnly {
		return s, nil
	}
	if err := s.openShell(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Hostname is the name in the learned prompt; empty before one was learned.
func (s *Session) Hostname() string { return s.prompt.name }

// Prompt is the learned prompt, without blanks at its end; empty without a shell.
func (s *Session) Prompt() string { return s.prompt.line }

// HostKey is the key that the device proved to hold.
func (s *Session) HostKey() collector.HostKey { return s.c.hostKey() }

// Steps are the steps so far, in order, with their times.
func (s *Session) Steps() []collector.StepTime { return s.j.all() }

// Negotiated tells the algorithms of the connection.
func (s *Session) Negotiated() Negotiated {
	if s.c.client == nil {
		return Negotiated{KeyExchange: "telnet", HostKey: "none", Cipher: "none", MAC: "none", Weak: true}
	}
	return negotiated(s.c.client.Conn)
}

// Method is the authentication method that worked: "publickey", "password" or
// "keyboard-interactive"; "none" where the device asked for nothing.
func (s *Session) Method() string { return s.c.method }

// Close ends the session: politely where the shell is at its prompt, in any case
// at once. It is idempotent.
func (s *Session) Close() error {
	s.once.Do(func() {
		if s.con != nil && s.d.Exit != "" && s.atPrompt.Swap(false) {
			_ = s.c.nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_ = s.con.t.Write([]byte(s.d.Exit + "\n"))
		}
		s.end()
		s.over(errClosed)
		s.c.close()
		if s.con != nil {
			// The transport first: scrapligo's channel waits 62.5 ms for it otherwise.
			_ = s.con.t.Close()
			_ = s.con.ch.Close()
			s.con.t.release()
		}
		s.mu.Lock()
		side := s.side
		s.mu.Unlock()
		if side != nil {
			side.close()
		}
	})
	return nil
}

// over ends all that is under way; the first reason stays.
func (s *Session) over(why error) {
	s.mu.Lock()
	if s.why == nil {
		s.why = why
	}
	side, dialed := s.side, s.dialed
	s.mu.Unlock()
	if dialed != nil {
		dialed(why)
	}
	s.c.kill(why)
	if side != nil {
		side.kill(why)
	}
}

// step runs f under a deadline of its own; limit 0 leaves it to f. A step that
// fails ends the session, unless the shell is back at its prompt.
func (s *Session) step(ctx context.Context, step collector.Step, detail string, limit time.Duration, f func(context.Context) error) error {
	done := s.j.begin(step, detail)
	fctx, cancel := ctx, func() {}
	if limit > 0 {
		fctx, cancel = context.WithTimeoutCause(ctx, limit, collector.ErrTimedOut)
	}
	defer cancel()
	// The socket is what a blocked write or request waits for.
	stop := context.AfterFunc(fctx, func() { s.c.kill(context.Cause(fctx)) })
	err := f(fctx)
	inTime := stop()
	var e *collector.Error
	switch {
	case err == nil && inTime:
	case errors.As(err, &e):
		err = e
	default:
		if err == nil {
			err = collector.ErrTimedOut
		}
		err = s.wrap(fctx, step, err)
	}
	done(err)
	if err != nil && !s.atPrompt.Load() {
		s.over(err)
	}
	return err
}

// wrap makes an error of a library, or a context that ended, a step's.
func (s *Session) wrap(ctx context.Context, step collector.Step, err error) error {
	if stopped := s.c.stopped(ctx); stopped != nil {
		return s.halted(step, stopped)
	}
	return s.c.fail(step, collector.ErrClosed, s.seen(),
		s.hungUp(), err)
}

// expired are the words with which a device asks for a new password before it lets
// anybody on.
var expired = regexp.MustCompile(`(?i)password\W+(?:\w+\W+){0,4}(?:expired|must be changed)|change (?:the|your) (?:expired |old |initial )?password`)

// halted is the error for what our side ended: a deadline is the step's failure,
// anything else the caller's wish.
func (s *Session) halted(step collector.Step, why error) error {
	var e *collector.Error
	switch {
	case errors.As(why, &e):
		return e // an earlier step's
	case !errors.Is(why, collector.ErrTimedOut):
		return why
	}
	seen, kind, do := s.seen(), collector.ErrTimedOut, slow(s.c)
	switch {
	case step == collector.StepPrompt && expired.Match(seen):
		kind, do = collector.ErrNoPrompt, fmt.Sprintf("Set a new password for account %s on %s by hand, then store it (%s)", collector.Escape(s.c.t.Credential.User), s.c.name(), s.c.t.Credential.Kept.Password.Set())
	case step == collector.StepPrompt && len(seen) > 0:
		kind, do = collector.ErrNoPrompt, fmt.Sprintf("Log in to %s by hand once and see what it waits for; where that is its prompt, check that the platform is the right one", s.c.name())
	case step == collector.StepPrompt:
		do = "Check the device's load: it takes the login but starts no shell"
	}
	return s.c.fail(step, kind, seen, do, why)
}

// seen is the end of what the shell has printed.
func (s *Session) seen() []byte {
	if s.con == nil {
		return nil
	}
	s.con.drain()
	const n = 2 * collector.SeenLimit
	if b := s.con.t.unseen(n); b != nil {
		return append(bytes.Clone(s.con.lines[max(0, len(s.con.lines)-n):]), b...)
	}
	return s.con.tail(n)
}

// waitError is the error for a wait without a verdict.
func (s *Session) waitError(ctx context.Context, end waitEnd, step collector.Step) error {
	if stopped := s.c.stopped(ctx); stopped != nil {
		return s.halted(step, stopped)
	}
	switch end {
	case silent:
		return s.halted(step, collector.ErrTimedOut)
	case overLimit:
		return s.c.fail(step, collector.ErrTooLarge, s.seen(),
			tooLong(s.c.lim.MaxBytes), nil)
	}
	last := lastLines(s.con.tail(4096))
	if step == collector.StepOutput && len(last) < len(s.con.lines)+len(s.con.line) {
		last = nil // of a longer text, where a banner may quote a refusal
	}
	if e := s.refusal(step, last); e != nil {
		return e
	}
	return s.c.fail(step, collector.ErrClosed, s.seen(),
		s.hungUp(), nil)
}

// longSilence is more than the pauses that a device makes while it works.
const longSilence = 3 * time.Second

// hungUp says what to do about a device that ended the session.
func (s *Session) hungUp() string {
	if s.con == nil {
		return endedAfter(s.c.name(), 0)
	}
	return endedAfter(s.c.name(), time.Since(s.con.t.status().last))
}

// endedAfter is that for a session in which the device had been silent for a time.
func endedAfter(device string, silent time.Duration) string {
	do := fmt.Sprintf("Look in the log of %s for why it ended the session", device)
	if silent = silent.Round(time.Second); silent >= longSilence {
		do += fmt.Sprintf(", after %d s of silence: an idle timeout, since something there does not answer", int(silent.Seconds()))
	}
	return do
}

// tooLong says what to do about an answer that does not end in time.
func tooLong(limit int64) string {
	return fmt.Sprintf("Look by hand at what the device prints there: it is over %s, and no answer that long is kept", size(limit))
}

// size is a number of bytes for people.
func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// alive is nil, or why the session can do no more.
func (s *Session) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}
