package cli

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"muster/collector"
)

const (
	errorLines = 5           // lines at the start of an answer in which a refusal is looked for
	echoLines  = 50          // lines before the echo that may be noise
	unlikely   = time.Second // silence after which a question, or a pager that was turned off, is believed: a line of the text may look like it
	noEcho     = time.Second // silence after which a prompt without an echo before it is the end
)

// Run sends one command and returns its whole answer: all that the device
// printed between the echoed command and its next prompt.
//
// Half an answer is never returned: what does not end in the prompt is an error,
// and so is text that comes without the command's echo before it, since it
// belongs to the command before.
func (s *Session) Run(ctx context.Context, command string) (Output, error) {
	var out Output
	if err := s.alive(); err != nil {
		return out, s.halted(collector.StepCommand, err)
	}
	if s.con == nil {
		return out, s.c.fail(collector.StepCommand, collector.ErrNoPrompt, nil, "Use exec requests: the session has no shell", nil)
	}
	err := s.step(ctx, collector.StepOutput, command, 0, func(ctx context.Context) (err error) {
		out, err = s.ask(ctx, collector.StepCommand, command)
		return err
	})
	return out, err
}

// Switch sends a command that goes into another context of the device, behind
// which the prompt may be another one: it is learned anew. After a refusal the
// session is where it was.
func (s *Session) Switch(ctx context.Context, command string) error {
	if err := s.alive(); err != nil {
		return s.halted(collector.StepCommand, err)
	}
	if s.con == nil {
		return s.c.fail(collector.StepCommand, collector.ErrNoPrompt, nil, "Only a shell has contexts", nil)
	}
	return s.step(ctx, collector.StepPrompt, command, s.c.lim.Login, func(ctx context.Context) error {
		if err := s.inStep(); err != nil {
			return err
		}
		s.con.t.expect(func(line, _ []byte) bool { return s.looksLikePrompt(line) })
		if err := s.con.send(command); err != nil {
			return err
		}
		_, end := s.con.wait(ctx, patience{silence: s.c.lim.Login, settle: s.settle}, func() verdict {
			if s.con.lines != nil && s.looksLikePrompt(s.con.line) {
				return atPrompt
			}
			return unfinished
		})
		if end != found {
			return s.waitError(ctx, end, collector.StepPrompt)
		}
		said := bytes.Clone(s.con.lines)
		if err := s.learnPrompt(ctx); err != nil {
			return err
		}
		if i := bytes.IndexByte(said, '\n'); i >= 0 { // the echo
			said = said[i+1:]
		}
		return s.refusal(collector.StepCommand, firstLines(said))
	})
}

// ask sends a command and takes its answer. Refusals are failures of step.
func (s *Session) ask(ctx context.Context, step collector.Step, command string) (Output, error) {
	out := Output{ExitStatus: -1}
	var refused []byte
	defer func() {
		switch {
		case refused != nil:
			s.said(command, refused)
		case s.atPrompt.Load():
			s.said(command, out.Text)
		default:
			s.said(command, s.con.tail(len(s.con.lines)+len(s.con.line)))
		}
	}()
	if strings.ContainsAny(command, "\r\n") {
		return out, s.c.fail(step, collector.ErrCommandRejected, nil, "Send one line at a time: the command holds a line end", nil)
	}
	if err := s.inStep(); err != nil {
		return out, err
	}
	a := &answer{s: s, command: command}
	s.pages = 0
	s.con.t.expect(func(line, lines []byte) bool {
		return s.prompt.is(line) || s.pagerAt(line) != nil || len(line) == 0 && s.promptBefore(lines) >= 0
	})
	if err := s.con.send(command); err != nil {
		return out, err
	}
	p := patience{first: s.c.lim.FirstByte, silence: s.c.lim.Silence, answers: a.begun, settle: a.settle}
	for {
		v, end := s.con.wait(ctx, p, a.judge)
		switch {
		case a.foreign:
			return out, s.outOfStep()
		case end != found:
			return out, s.waitError(ctx, end, collector.StepOutput)
		case v == atPager:
			if err := s.turnPage(); err != nil {
				return out, err
			}
			continue
		case v == atQuestion:
			if err := s.answerInside(s.question(s.con.line, nil)); err != nil {
				return out, err
			}
			continue
		case !a.echoed:
			return out, s.c.fail(collector.StepOutput, collector.ErrIncomplete, s.seen(),
				"Set no_echo in the platform's definition where the device does not echo commands; otherwise report this", nil)
		}
		out.Text, out.Pages = s.noise.remove(s.con.lines[a.start:a.end:a.end]), s.pages
		s.con.lines = nil
		s.atPrompt.Store(true)
		if e := s.refusal(step, firstLines(out.Text)); e != nil {
			refused = out.Text
			return Output{ExitStatus: -1}, e
		}
		return out, nil
	}
}

// answer is one command's answer while it comes.
type answer struct {
	s       *Session
	command string
	echoed  bool
	foreign bool // there is text before the echo that is not ours
	start   int  // where the answer begins in the console's lines
	end     int  // where the prompt behind it begins
}

// judge looks at the end of the text only: it is called for every chunk.
func (a *answer) judge() verdict {
	s := a.s
	if s.con.lines == nil {
		return unfinished // our own line end has not come back yet
	}
	if !a.echoed {
		a.findEcho()
		if a.foreign {
			return atPrompt
		}
	}
	switch {
	case s.pagerAt(s.con.line) != nil:
		return atPager
	case s.question(s.con.line, nil) != nil:
		return atQuestion
	}
	if a.end = s.promptEnd(); a.end >= a.start {
		return atPrompt
	}
	return unfinished
}

// begun says whether anything of the answer is there.
func (a *answer) begun() bool {
	return a.echoed && (len(a.s.con.lines) > a.start || len(a.s.con.line) > 0)
}

func (a *answer) settle(v verdict) time.Duration {
	switch {
	case v == atPrompt && !a.echoed && !a.foreign:
		return noEcho
	case v == atQuestion, v == atPager && a.s.unpaged:
		return unlikely
	}
	return a.s.settle(v)
}

// findEcho looks for the echoed command. What may stand before it are prompts
// (an empty line's answer that came late), blank lines and noise.
func (a *answer) findEcho() {
	text := a.s.con.lines
	if a.s.d.NoEcho {
		// The answer follows the prompt that stood there.
		a.start, a.echoed = a.s.prompt.length(firstLine(text)), true
		if a.start < len(text) && text[a.start] == '\n' {
			a.start++
		}
		return
	}
	for off, n := 0, 0; off < len(text) && n < echoLines; n++ {
		line := firstLine(text[off:])
		at := off + a.s.prompt.length(bytes.TrimSuffix(line, []byte("\n")))
		length, more := echo(text[at:], a.command)
		if length > 0 {
			a.start, a.echoed = at+length, true
			return
		}
		if more {
			return
		}
		if !a.s.ignorable(line) {
			a.foreign = true
			return
		}
		off += len(line)
	}
}

// echo is the length of the echoed command at the start of text, its line end
// included; 0: it is not there; more: it may be, once more has come.
//
// A terminal may break the line at its width or scroll it sideways ("$"), and a
// device may add blanks: only the letters are compared.
func echo(text []byte, command string) (length int, more bool) {
	line := firstLine(text)
	if rest, ok := bytes.CutPrefix(line, []byte("$")); ok {
		if tail := strings.TrimRight(string(rest), " \n"); tail != "" && strings.HasSuffix(command, tail) {
			if line[len(line)-1] != '\n' {
				return 0, true
			}
			return len(line), false
		}
	}
	i, j := 0, 0
	for j < len(command) && i < len(text) {
		switch {
		case text[i] == command[j]:
			i, j = i+1, j+1
		case text[i] == ' ' || text[i] == '\n' && j > 0:
			i++
		case command[j] == ' ':
			j++
		default:
			return 0, false
		}
	}
	for i < len(text) && text[i] == ' ' {
		i++
	}
	switch {
	case i == len(text):
		return 0, true
	case text[i] != '\n':
		return 0, false
	}
	return i + 1, false
}

func firstLine(text []byte) []byte {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return text[:i+1]
	}
	return text
}

// firstLines are the lines in which a refusal is looked for.
func firstLines(text []byte) []byte {
	end := 0
	for n := 0; n < errorLines && end < len(text); {
		line := firstLine(text[end:])
		if len(bytes.TrimSpace(line)) > 0 {
			n++
		}
		end += len(line)
	}
	return text[:end]
}

// lastLines are the last lines of a text that are not blank: what a device says
// before it hangs up. Further up, the text of a banner may say the same.
func lastLines(text []byte) []byte {
	begin := len(text)
	for n := 0; n < errorLines && begin > 0; {
		at := bytes.LastIndexByte(bytes.TrimSuffix(text[:begin], []byte("\n")), '\n') + 1
		if len(bytes.TrimSpace(text[at:begin])) > 0 {
			n++
		}
		begin = at
	}
	return text[begin:]
}

// ignorable reports whether a line between answers means nothing.
func (s *Session) ignorable(line []byte) bool {
	line = bytes.TrimRight(line, " \n")
	if len(line) == 0 || s.noise.is(line) {
		return true
	}
	line = append(bytes.Clone(line), ' ') // the one that may belong to the prompt
	n := s.prompt.length(line)
	rest := bytes.TrimSpace(line[n:])
	return n > 0 && (len(rest) == 0 || s.noise.is(rest))
}

// promptEnd is where the prompt begins that ends the text, -1: it does not end
// in one.
func (s *Session) promptEnd() int {
	line := s.con.line
	if n := s.prompt.length(line); n > 0 && (n == len(line) || s.noise.is(line[n:])) {
		return len(s.con.lines)
	}
	if len(line) > 0 {
		return -1
	}
	from := max(0, len(s.con.lines)-lookBack)
	if at := s.promptBefore(s.con.lines[from:]); at >= 0 {
		return from + at
	}
	return -1
}

// promptBefore finds the prompt that a log message was printed behind: FRR's
// vtysh does that and shows no new prompt. It is -1 where the last line is no
// noise.
func (s *Session) promptBefore(lines []byte) int {
	if len(s.noise.re) == 0 || len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return -1
	}
	for len(lines) > 0 {
		text := lines[:len(lines)-1]
		at := bytes.LastIndexByte(text, '\n') + 1
		line := text[at:]
		if n := s.prompt.length(line); n > 0 && s.noise.is(line[n:]) {
			return at
		}
		if len(line) > 0 && !s.noise.is(line) {
			return -1
		}
		lines = lines[:at]
	}
	return -1
}

// inStep fails where the device has printed more since its prompt, and takes the
// session off the prompt.
func (s *Session) inStep() error {
	s.con.drain()
	s.atPrompt.Store(false)
	for line := range bytes.Lines(s.con.lines) {
		if !s.ignorable(line) {
			return s.outOfStep()
		}
	}
	return nil
}

// outOfStep is the failure of an answer that went on behind its prompt: the one
// before was only half of it.
func (s *Session) outOfStep() error {
	return s.c.fail(collector.StepOutput, collector.ErrIncomplete, s.seen(),
		"Read the device again: it printed more after its prompt, so an answer before this one was cut", nil)
}

// answerInside answers a question that a command asks.
func (s *Session) answerInside(q *Question) error {
	if q.Stop {
		return s.answerQuestion(collector.StepOutput, q)
	}
	if s.answered[q]++; s.answered[q] > maxAnswers {
		return s.answerQuestion(collector.StepOutput, q)
	}
	s.con.line = nil
	return s.con.t.Write([]byte(q.Send + "\n"))
}

// refusal is the failure that the lines tell of, nil for none.
func (s *Session) refusal(step collector.Step, lines []byte) error {
	for line := range bytes.Lines(lines) {
		line = bytes.TrimRight(line, "\n")
		e := s.d.Errors
		switch e.kind(line) {
		case collector.ErrRightsMissing:
			right := "to this command"
			if step == collector.StepPrompt {
				right = "to open a shell"
			}
			do := fmt.Sprintf("Give account %s the right %s on %s", collector.Escape(s.c.t.Credential.User), right, s.c.name())
			if e.Right != "" {
				do += " (" + e.Right + ")"
			}
			return s.c.fail(step, collector.ErrRightsMissing, lines, do, nil)
		case collector.ErrBusy:
			return s.c.fail(step, collector.ErrBusy, lines, "Try again when nobody else holds the configuration", nil)
		case collector.ErrCommandRejected:
			do := fmt.Sprintf("Check that the platform and its version are the right ones, and the rights of account %s: the device does not know this command, or not for it", collector.Escape(s.c.t.Credential.User))
			if step == collector.StepPrompt {
				do = fmt.Sprintf("Log in to %s by hand once, and correct what it runs for account %s at login", s.c.name(), collector.Escape(s.c.t.Credential.User))
			}
			return s.c.fail(step, collector.ErrCommandRejected, lines, do, nil)
		}
	}
	return nil
}

func matches(patterns []*regexp.Regexp, line []byte) bool {
	for _, re := range patterns {
		if re.Match(line) {
			return true
		}
	}
	return false
}
