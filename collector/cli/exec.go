package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

const (
	maxStderr   = 64 << 10
	maxSignal   = 32              // bytes of a signal's name
	interactive = 2 * time.Second // silence after which a prompt at the end of an exec request's answer means a shell
)

// Exec sends one command as an exec request on a channel of its own and returns
// what it printed and its exit status. A status other than 0 is no error: only
// the platform knows what it means.
//
// command-rejected at the step command means that this device does not do exec
// requests (it refuses them, or starts its interactive shell instead): the
// caller may fall back to a shell. So may it where the request timed out.
func (s *Session) Exec(ctx context.Context, command string) (Output, error) {
	var out Output
	err := s.aside(ctx, command, func(ctx context.Context, c *connection, ch ssh.Channel, reqs <-chan *ssh.Request) (err error) {
		x := &execution{s: s, c: c, ch: ch}
		out, err = x.run(ctx, reqs, command)
		return err
	})
	s.said(command, out.Text)
	return out, err
}

// aside runs f on a channel beside the shell, as one step.
func (s *Session) aside(ctx context.Context, detail string, f func(context.Context, *connection, ssh.Channel, <-chan *ssh.Request) error) error {
	if err := s.alive(); err != nil {
		return s.halted(collector.StepCommand, err)
	}
	if s.c.telnet != nil {
		err := s.c.telnetLacks()
		s.j.begin(collector.StepCommand, detail)(err)
		return err
	}
	c, ch, reqs, err := s.channel(ctx)
	if err != nil {
		return err
	}
	done := s.j.begin(collector.StepOutput, detail)
	stop := context.AfterFunc(ctx, func() { c.kill(context.Cause(ctx)) })
	err = f(ctx, c, ch, reqs)
	inTime := stop()
	_ = ch.Close()
	var e *collector.Error
	switch {
	case err == nil && inTime:
	case errors.As(err, &e):
		err = e
	default:
		if why := c.stopped(ctx); why != nil && !errors.Is(why, collector.ErrTimedOut) {
			err = why
		} else if why != nil {
			err = c.fail(collector.StepOutput, collector.ErrTimedOut, nil, slow(c), err)
		} else {
			err = c.fail(collector.StepOutput, collector.ErrClosed, nil, fmt.Sprintf("Look in the log of %s for why it ended the session", c.name()), err)
		}
	}
	done(err)
	switch collector.KindOf(err) {
	case "", collector.ErrPartMissing, collector.ErrRightsMissing, collector.ErrCommandRejected, collector.ErrBusy:
	default:
		// Whatever still runs there ends with its connection; a shell has its own.
		c.kill(err)
	}
	return err
}

// channel opens a session channel beside the shell, and the connection for it
// where there is none. Where the device has ended that connection with the
// request before, or allows no further one on it, a new one is made.
func (s *Session) channel(ctx context.Context) (*connection, ssh.Channel, <-chan *ssh.Request, error) {
	for fresh := false; ; fresh = true {
		c, err := s.beside(ctx, fresh)
		if err != nil {
			return nil, nil, nil, err
		}
		stop := context.AfterFunc(ctx, func() { c.kill(context.Cause(ctx)) })
		limit := time.AfterFunc(c.lim.Login, func() { c.kill(collector.ErrTimedOut) })
		ch, reqs, err := c.client.OpenChannel("session", nil)
		stop()
		limit.Stop()
		if err == nil {
			return c, ch, reqs, nil
		}
		var refused *ssh.OpenChannelError
		errors.As(err, &refused)
		if ctx.Err() == nil && !fresh {
			continue
		}
		done := s.j.begin(collector.StepCommand, "channel")
		if why := c.stopped(ctx); why != nil {
			err = s.halted(collector.StepCommand, why)
		} else if refused != nil {
			err = s.refusedChannel(collector.StepCommand, err)
		} else {
			err = c.fail(collector.StepCommand, collector.ErrClosed, nil, fmt.Sprintf("Look in the log of %s for why it ended the session", c.name()), err)
		}
		done(err)
		return nil, nil, nil, err
	}
}

// beside is the connection for exec requests and files.
func (s *Session) beside(ctx context.Context, fresh bool) (*connection, error) {
	s.mu.Lock()
	old := s.side
	s.mu.Unlock()
	switch {
	case fresh && old != nil:
		old.close()
	case old != nil:
		return old, nil
	case s.con == nil && !fresh:
		return s.c, nil
	}
	t, o := s.c.t, s.c.o
	o.first = s.c.hostKey()
	if !slices.ContainsFunc(t.SSH.Pinned, func(k collector.HostKey) bool { return sameKey(k, o.first) }) {
		t.SSH.Pinned = append(slices.Clone(t.SSH.Pinned), o.first)
	}
	if o.Method = s.c.method; o.Method == "none" {
		o.Method = ""
	}
	dctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	if why := s.why; why != nil {
		s.mu.Unlock()
		return nil, s.halted(collector.StepCommand, why)
	}
	s.dialed = cancel
	s.mu.Unlock()
	c, err := dial(dctx, t, o, s.j)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.side, s.dialed = c, nil
	why := s.why
	s.mu.Unlock()
	if why != nil {
		c.kill(why)
	}
	return c, nil
}

// execution is one exec request under way.
type execution struct {
	s  *Session
	c  *connection
	ch ssh.Channel

	mu     sync.Mutex // guards what follows
	clean  cleaner
	stderr []byte
	last   time.Time
	got    int64
	large  bool
}

func (x *execution) run(ctx context.Context, reqs <-chan *ssh.Request, command string) (Output, error) {
	out := Output{ExitStatus: -1}
	status := make(chan exit, 1)
	x.last = time.Now()
	go func() {
		end := exitOf(reqs)
		end.cut = x.c.nc.ended.Load()
		status <- end
	}()
	watch := time.AfterFunc(x.c.lim.FirstByte, func() { x.c.kill(collector.ErrTimedOut) })
	ok, err := x.ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	watch.Stop()
	switch {
	case err != nil:
		return out, err
	case !ok:
		return out, x.c.fail(collector.StepCommand, collector.ErrCommandRejected, nil,
			"Use a shell for this device: it refuses exec requests", nil)
	}
	// Standard input stays open: a device that starts a shell instead would take
	// its end for "exit" and report success.
	read := make(chan struct{}, 1)
	ended, quiet := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); x.read(x.ch, false, read) }()
	go func() { defer close(quiet); x.read(x.ch.Stderr(), true, read) }()
	if err := x.await(ctx, read, ended); err != nil {
		return out, err
	}
	end := exit{}
	select {
	case end = <-status: // the channel is closed: nothing more can come
		<-quiet
	case <-time.After(x.c.lim.Silence):
	case <-ctx.Done():
		return out, context.Cause(ctx)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.large {
		return out, x.tooLarge(x.clean.out)
	}
	out.Text = x.clean.all()
	out.Stderr = x.stderr
	if why := x.c.stopped(ctx); why != nil {
		return Output{ExitStatus: -1}, why
	}
	if !end.told || end.cut { // RFC 4254 §6.10 lets the status come before the rest of the text
		do := "Read the device again: it ended the answer without saying that the command was done"
		if end.signal != "" {
			do = fmt.Sprintf("Look in the log of %s: the command was ended by signal %s", x.c.name(), collector.Escape(end.signal))
			out.Text = fmt.Appendf(bytes.Clone(out.Text), "\n%s", end.words)
		}
		return Output{ExitStatus: -1}, x.c.fail(collector.StepOutput, collector.ErrClosed, x.seen(out), do, nil)
	}
	out.ExitStatus = int(end.status)
	out.Text = x.s.noise.remove(out.Text)
	for _, lines := range [][]byte{firstLines(out.Text), firstLines(out.Stderr)} {
		if e := x.s.refusal(collector.StepCommand, lines); e != nil {
			return Output{ExitStatus: -1}, e
		}
	}
	return out, nil
}

func (x *execution) tooLarge(seen []byte) error {
	return x.c.fail(collector.StepOutput, collector.ErrTooLarge, seen, tooLong(x.c.lim.MaxBytes), nil)
}

// seen is what the device said last: its answer, or what it complained of.
func (x *execution) seen(out Output) []byte {
	if len(bytes.TrimSpace(out.Text)) == 0 {
		return out.Stderr
	}
	return out.Text
}

// read takes one stream until it ends.
func (x *execution) read(r io.Reader, stderr bool, read chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		x.mu.Lock()
		if n > 0 {
			x.last = time.Now()
			x.got += int64(n)
			switch {
			case stderr:
				if x.stderr = append(x.stderr, buf[:n]...); len(x.stderr) > maxStderr {
					x.stderr = slices.Clone(x.stderr[len(x.stderr)-maxStderr:])
				}
			case !x.large:
				x.clean.feed(buf[:n])
				x.large = int64(len(x.clean.out)) > x.c.lim.MaxBytes || x.got > 4*x.c.lim.MaxBytes+1<<20
			}
		}
		x.mu.Unlock()
		if n > 0 {
			signal(read)
		}
		if err != nil {
			return
		}
	}
}

// await waits until the answer ends.
func (x *execution) await(ctx context.Context, read, ended <-chan struct{}) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		x.mu.Lock()
		last, got, large := x.last, x.got, x.large
		line := bytes.Clone(x.clean.line())
		tail := x.clean.out[max(0, len(x.clean.out)-2*collector.SeenLimit):]
		seen := bytes.Clone(tail)
		if len(seen) == 0 {
			seen = bytes.Clone(x.stderr[max(0, len(x.stderr)-2*collector.SeenLimit):])
		}
		x.mu.Unlock()
		left := x.c.lim.FirstByte - time.Since(start)
		if got > 0 {
			left = x.c.lim.Silence - time.Since(last)
		}
		shell := x.s.looksLikePrompt(line)
		switch {
		case large:
			return x.tooLarge(seen)
		case shell && time.Since(last) >= interactive:
			err := x.c.fail(collector.StepCommand, collector.ErrCommandRejected, seen,
				"Use a shell for this device: it answers exec requests with its own shell", nil)
			x.c.kill(err) // that shell would stay
			return err
		case left <= 0:
			return x.c.fail(collector.StepOutput, collector.ErrTimedOut, seen, slow(x.c), nil)
		case shell:
			left = min(left, interactive-time.Since(last))
		}
		timer.Reset(left)
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-read:
		case <-timer.C:
		}
	}
}

// exit is how a command ended.
type exit struct {
	told   bool
	cut    bool // the channel ended with its connection
	status uint32
	signal string // its name; empty: not by one
	words  string // of the device about the signal
}

// exitOf reads the requests of a channel until it closes.
func exitOf(reqs <-chan *ssh.Request) (e exit) {
	for r := range reqs {
		switch r.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil {
				e.told, e.status = true, m.Status
			}
		case "exit-signal":
			var m struct {
				Signal     string
				CoreDumped bool
				Error      string
				Lang       string
			}
			if ssh.Unmarshal(r.Payload, &m) == nil {
				e.signal, e.words = m.Signal[:min(len(m.Signal), maxSignal)], m.Error
			}
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
	return e
}
