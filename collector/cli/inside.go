package cli

import (
	"context"
	"fmt"
	"time"

	"muster/collector"
)

// logInInside answers the questions for user and password that the shell of some
// devices asks, since their SSH lets everybody in. Each is answered once. It is
// part of the login that is under way, which was allowed as a whole. A shell that
// asks nothing, since SSH has asked already, costs the short wait for a question.
func (s *Session) logInInside(ctx context.Context) error {
	cr := s.c.t.Credential
	if err := s.c.ofOneLine(); err != nil {
		return err
	}
	if err := s.openConsole(); err != nil {
		return err
	}
	named, sent := false, false
	asks := func(line []byte) bool { return asksUser(line) || asksPassword(line) }
	s.con.t.expect(func(line, _ []byte) bool { return asks(line) || s.looksLikePrompt(line) })
	p := patience{silence: s.c.lim.Login, settle: func(v verdict) time.Duration {
		if v == atPrompt && !sent {
			return wakeUp // a banner may stop at such a line for a moment
		}
		return questionSettle
	}}
	for {
		v, end := s.con.wait(ctx, p, func() verdict {
			switch {
			case asksPassword(s.con.line):
				return atPassword
			case asksUser(s.con.line):
				return atQuestion
			case s.looksLikePrompt(s.con.line):
				return atPrompt
			}
			return unfinished
		})
		switch {
		case end == closedByDevice && sent && refusal.Match(s.con.tail(collector.SeenLimit)):
			return s.refusedInside() // it said no and hung up
		case end != found:
			if sent {
				s.c.attempt(methodPassword, false) // no verdict came: it may have been a refusal
			}
			return s.waitError(ctx, end, collector.StepLogin)
		case v == atPrompt:
			if sent {
				s.c.attempt(methodPassword, true)
			}
			return nil
		case sent || v == atQuestion && named:
			return s.refusedInside()
		case cr.Password.Empty(): // whom the key lets in may be asked nothing
			return s.c.fail(collector.StepLogin, collector.ErrNeedsCredential, nil,
				fmt.Sprintf("Give credential %s a password: the shell of %s asks for one", s.c.credential(), s.c.name()), nil)
		case v == atQuestion:
			named = true
			if err := s.con.send(cr.User); err != nil {
				return err
			}
		default:
			sent = true
			if err := s.con.send(cr.Password.Reveal()); err != nil {
				return err
			}
		}
	}
}

// refusedInside is a question that comes again.
func (s *Session) refusedInside() error {
	s.c.attempt(methodPassword, false)
	return (&authenticator{c: s.c}).rejected("in the shell")
}
