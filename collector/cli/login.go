package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

const (
	questionSettle = 100 * time.Millisecond // silence after which a line counts as a question
	pagerSettle    = 10 * time.Millisecond  // the same for a pager: there may be hundreds
	wakeUp         = 2 * time.Second        // silence of a new shell after which an empty line is sent
	maxEmpty       = 5                      // empty lines sent to learn one prompt
	maxAnswers     = 3                      // times that one question is answered
	defaultWidth   = 511                    // columns of the terminal
)

// openShell starts a shell, logs in there once more where it asks for that, learns
// its prompt, gets the privilege and turns paging off. Each of these has the login
// deadline for itself.
func (s *Session) openShell(ctx context.Context) error {
	if s.d.AsksLogin && s.c.telnet == nil {
		if err := s.step(ctx, collector.StepLogin, s.c.t.Credential.Name, s.c.lim.Login, s.logInInside); err != nil {
			return err
		}
	}
	if err := s.step(ctx, collector.StepPrompt, "", s.c.lim.Login, s.start); err != nil {
		return err
	}
	if s.d.Enable.When != nil && s.d.Enable.When.MatchString(s.prompt.line) {
		if err := s.step(ctx, collector.StepEnable, s.d.Enable.Command, s.c.lim.Login, s.enable); err != nil {
			return err
		}
	}
	s.said("", []byte(s.prompt.line))
	unpaged := len(s.d.Paging) > 0
	for _, command := range s.d.Paging {
		err := s.step(ctx, collector.StepPaging, command, 0, func(ctx context.Context) error {
			_, err := s.ask(ctx, collector.StepPaging, command)
			return err
		})
		// A refusal is kept among the steps; the pager is answered then, where we
		// know it.
		if err != nil && (!s.atPrompt.Load() || s.d.Pager == nil) {
			return err
		}
		unpaged = unpaged && err == nil
	}
	s.unpaged = unpaged
	return nil
}

// start opens the shell's channel, where there is none yet, and learns the prompt.
func (s *Session) start(ctx context.Context) error {
	if s.con == nil {
		if err := s.openConsole(); err != nil {
			return err
		}
	}
	return s.learnPrompt(ctx)
}

// openConsole opens the shell's channel and puts the console over it.
func (s *Session) openConsole() error {
	width := s.d.Width
	if width == 0 {
		width = defaultWidth
	}
	if s.c.telnet != nil {
		return s.converse(newTerminal(s.c.telnet, nil, width, s.c.lim.MaxBytes))
	}
	ch, reqs, err := s.c.client.OpenChannel("session", nil)
	if err != nil {
		return s.refusedChannel(collector.StepPrompt, err)
	}
	go ssh.DiscardRequests(reqs)
	if err := shell(ch, width); err != nil {
		if errors.Is(err, errNoShell) {
			return s.c.fail(collector.StepPrompt, collector.ErrNoPrompt, nil,
				fmt.Sprintf("Let account %s have a shell on %s", collector.Escape(s.c.t.Credential.User), s.c.name()), err)
		}
		return err
	}
	return s.converse(newTerminal(ch, ch.Stderr(), width, s.c.lim.MaxBytes))
}

// converse puts the console over a terminal.
func (s *Session) converse(t *terminal) error {
	sc, err := t.over()
	if err != nil {
		return err
	}
	s.con = &console{t: t, ch: sc, enter: "\n"}
	if s.d.Enter != "" && s.c.telnet == nil { // Telnet has a line end of its own
		s.con.enter = s.d.Enter
	}
	return nil
}

// refusedChannel tells of a device that refuses a channel on a connection that
// it has let in.
func (s *Session) refusedChannel(step collector.Step, err error) error {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return s.c.fail(step, collector.ErrBusy, []byte(refused.Message),
			"Wait for other sessions to end, or allow more sessions on the device", err)
	}
	return err
}

// looksLikePrompt matches the general shape on a line.
func (s *Session) looksLikePrompt(line []byte) bool {
	if len(bytes.TrimSpace(line)) == 0 || len(line) > lookBack {
		return false
	}
	if s.d.Prompt != nil {
		return s.d.Prompt.Match(line)
	}
	return anyPrompt.Match(line)
}

// learnPrompt waits for a line that has the shape of a prompt, sends an empty
// line and learns the prompt when the same line comes again and nothing else. So
// no look-alike in a banner is taken, however slowly that comes.
func (s *Session) learnPrompt(ctx context.Context) error {
	s.con.t.expect(func(line, _ []byte) bool { return s.looksLikePrompt(line) || s.pagerAt(line) != nil })
	var candidate, answered []byte // answered is the line on which a question got its answer
	asks := func() *Question {
		text := s.con.tail(4096)
		if rest, ok := bytes.CutPrefix(text, answered); ok && len(answered) > 0 {
			return s.question(rest, rest)
		}
		return s.question(s.con.line, text)
	}
	for empty := 0; ; {
		p := patience{first: wakeUp, silence: wakeUp, settle: func(v verdict) time.Duration {
			if s.behind(candidate) {
				return noEcho
			}
			return s.settle(v)
		}}
		v, end := s.con.wait(ctx, p, func() verdict {
			switch {
			case s.behind(candidate):
				return atPrompt
			case candidate != nil && s.con.lines == nil:
				return unfinished // nothing has come since the empty line
			case asks() != nil:
				return atQuestion
			case s.pagerAt(s.con.line) != nil:
				return atPager
			case s.looksLikePrompt(s.con.line):
				return atPrompt
			}
			return unfinished
		})
		switch {
		case end == stopped || end == closedByDevice || end == overLimit:
			return s.waitError(ctx, end, collector.StepPrompt)
		case end == silent && empty < maxEmpty && len(bytes.TrimSpace(s.con.line)) == 0:
			candidate, empty = nil, empty+1
			if err := s.con.send(""); err != nil {
				return err
			}
		case end == silent && s.con.lines == nil && len(answered) > 0 && bytes.Equal(s.con.line, answered):
			answered = nil // nothing came of the answer: it gets another one
		case end == silent:
			// Something else stands there: it may still go on until the deadline.
		case v == atPager:
			if err := s.turnPage(); err != nil {
				return err
			}
		case v == atQuestion:
			q := asks()
			candidate, answered = nil, bytes.Clone(s.con.line)
			if err := s.answerQuestion(collector.StepPrompt, q); err != nil {
				return err
			}
		case s.behind(candidate):
			s.con.t.breakAt(s.con.line, len(candidate))
		case candidate != nil && s.again(candidate) && s.nothingBut(candidate):
			s.prompt = learnAs(candidate, s.d.Prompt)
			s.con.lines = nil
			s.atPrompt.Store(true)
			return nil
		case empty < maxEmpty:
			candidate, empty = bytes.Clone(s.con.line), empty+1
			if err := s.con.send(""); err != nil {
				return err
			}
		default:
			return s.c.fail(collector.StepPrompt, collector.ErrNoPrompt, s.seen(),
				"Report the last lines: the device does not show the same prompt twice", nil)
		}
	}
}

// again reports whether the last line is that prompt once more; its count of
// commands may have gone on.
func (s *Session) again(candidate []byte) bool {
	p := learnAs(candidate, s.d.Prompt)
	return bytes.Equal(candidate, s.con.line) || p.counts && p.is(s.con.line)
}

// behind reports whether a prompt stands right behind that one: a device that
// does not return the end of an empty line.
func (s *Session) behind(candidate []byte) bool {
	next, ok := bytes.CutPrefix(s.con.line, candidate)
	return ok && len(candidate) > 0 && s.con.lines == nil && s.looksLikePrompt(next)
}

// nothingBut reports whether all that was printed since the empty line is that
// prompt, blank lines, and noise.
func (s *Session) nothingBut(prompt []byte) bool {
	p := bytes.TrimRight(prompt, " ")
	for line := range bytes.Lines(s.con.lines) {
		line = bytes.TrimRight(line, " \n")
		if len(line) > 0 && !bytes.Equal(line, p) && !s.noise.is(line) {
			return false
		}
	}
	return true
}

// settle is how long a verdict has to stand without further bytes.
func (s *Session) settle(v verdict) time.Duration {
	switch v {
	case atPager:
		return pagerSettle
	case atQuestion, atPassword:
		return questionSettle
	}
	if s.d.Settle > 0 {
		return time.Duration(s.d.Settle) * time.Millisecond
	}
	return 30 * time.Millisecond
}

// question is the one of the dialogue that stands on the line, nil for none.
func (s *Session) question(line, text []byte) *Question {
	if len(line) == 0 && len(text) == 0 {
		return nil
	}
	for i := range s.d.Login {
		q := &s.d.Login[i]
		if q.When != nil && (q.When.Match(line) || text != nil && q.When.Match(text)) {
			return q
		}
	}
	return nil
}

// answerQuestion answers q, or ends the session with its reason.
func (s *Session) answerQuestion(step collector.Step, q *Question) error {
	if q.Stop {
		why := strings.TrimSuffix(q.Why, ".")
		if why == "" {
			why = "the device asks something that only a person should answer"
		}
		return s.c.fail(step, collector.ErrNoPrompt, s.seen(),
			fmt.Sprintf("Log in to %s by hand once: %s", s.c.name(), why), nil)
	}
	if s.answered[q]++; s.answered[q] > maxAnswers {
		return s.c.fail(step, collector.ErrNoPrompt, s.seen(),
			fmt.Sprintf("Log in to %s by hand once: it asks the same again and again", s.c.name()), nil)
	}
	return s.con.send(q.Send)
}

// pagerAt is where on the line the pager stands, nil for nowhere. A group of the
// pattern is the pager where it may stand behind text of the same line.
func (s *Session) pagerAt(line []byte) []int {
	if s.d.Pager == nil || len(line) == 0 || len(line) > lookBack {
		return nil
	}
	m := s.d.Pager.FindSubmatchIndex(line)
	if len(m) == 4 && m[2] >= 0 {
		return m[2:]
	}
	return m
}

// turnPage answers the pager and makes what it printed void.
func (s *Session) turnPage() error {
	at := s.pagerAt(s.con.line)
	if at == nil || !s.con.t.wiping(s.con.line, at[0], at[1]) {
		return nil // it has changed: look again
	}
	s.con.line = bytes.Clone(s.con.line[:at[0]]) // until the next chunk
	s.pages++
	key := s.d.PagerKey
	if key == "" {
		key = " "
	}
	return s.con.t.Write([]byte(key))
}

// enable gets the right to read everything: command, password, another prompt.
// A second question means that the password was refused; there is one try.
func (s *Session) enable(ctx context.Context) error {
	e := s.d.Enable
	asked := false
	asks := func(line []byte) bool { return e.Asks != nil && len(line) > 0 && e.Asks.Match(line) }
	s.con.t.expect(func(line, _ []byte) bool { return asks(line) || s.looksLikePrompt(line) })
	judge := func() verdict {
		switch {
		case s.con.lines == nil:
			return unfinished // what we sent has not come back yet
		case asks(s.con.line):
			return atPassword
		case s.looksLikePrompt(s.con.line) && (asked || !s.stillUser(e) || !s.nothingBut(s.con.line)):
			return atPrompt // and not the late answer to an empty line
		}
		return unfinished
	}
	s.atPrompt.Store(false)
	if err := s.con.send(e.Command); err != nil {
		return err
	}
	for {
		v, end := s.con.wait(ctx, patience{silence: s.c.lim.Login, settle: s.settle}, judge)
		said := s.seen()
		refused := func(cause error) error {
			if asked {
				s.c.attempt("enable", false)
			}
			return s.c.fail(collector.StepEnable, collector.ErrEnableRejected, said,
				fmt.Sprintf("Store the right enable secret of credential %s (%s), then run muster device retry %s", s.c.credential(), s.c.t.Credential.Kept.Enable.Set(), s.c.name()), cause)
		}
		switch {
		case end != found:
			if asked {
				s.c.attempt("enable", false) // no verdict came: it may have been a refusal
			}
			return s.waitError(ctx, end, collector.StepEnable)
		case v == atPassword && asked:
			return refused(nil)
		case v == atPassword && s.c.t.Credential.Enable.Empty():
			return s.c.fail(collector.StepEnable, collector.ErrEnableRejected, said,
				fmt.Sprintf("Store an enable secret for credential %s: name it in muster.yaml (enable: { secret: NAME }), then muster secret set NAME", s.c.credential()), nil)
		case v == atPassword:
			asked = true
			if err := s.con.send(s.c.t.Credential.Enable.Reveal()); err != nil {
				return err
			}
		case s.stillUser(e) || s.fails(e):
			return refused(nil)
		default:
			if asked {
				s.c.attempt("enable", true)
			}
			s.prompt = learnAs(s.con.line, s.d.Prompt)
			s.con.lines = nil
			s.atPrompt.Store(true)
			return nil
		}
	}
}

// stillUser reports whether the line is the prompt without the privilege.
func (s *Session) stillUser(e Enable) bool {
	return e.When.Match(bytes.TrimRight(s.con.line, " ")) || e.When.Match(s.con.line)
}

// fails looks for a refusal of the privilege.
func (s *Session) fails(e Enable) bool {
	for line := range bytes.Lines(s.con.lines) {
		if matches(e.Fails, bytes.TrimRight(line, "\n")) {
			return true
		}
	}
	return false
}
