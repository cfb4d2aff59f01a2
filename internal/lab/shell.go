package lab

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
)

// shell is one dialogue with a device's command line, or one exec request.
type shell struct {
	*tty
	d          *node
	user       string
	exec       bool
	privileged bool
	paging     bool
	pager      pager
	prompts    int  // so far
	failed     bool // the last command was no command
	cut        bool // the connection is to be closed without a farewell
}

func (d *node) newShell(t *tty, user string, rows int) *shell {
	s := &shell{tty: t, d: d, user: user, paging: true, pager: d.dialect.pager}
	if s.pager.pty && rows > 1 {
		s.pager.rows = rows - 1
	}
	s.privileged = !d.dialect.levels || (d.spec.Enable == "" && !d.dialect.freely)
	return s
}

// freeze is silent until the client leaves.
func (s *shell) freeze() {
	s.flush()
	_, _ = io.Copy(io.Discard, s.rw)
	s.cut = true
}

// dialogue talks until the user leaves.
func (s *shell) dialogue() {
	if s.d.frozenAt(AtPrompt) {
		s.freeze()
		return
	}
	if !s.sleep(s.d.latencyNow()) {
		return
	}
	p := s.d.dialect
	s.write(crlf(p.motd(s.d) + s.d.spec.Motd))
	if p.anyKey != "" {
		s.puts(p.anyKey)
		if _, err := s.key(); err != nil {
			return
		}
		s.puts("\r\n")
	}
	gap := ""
	for {
		s.prompts++
		s.puts(gap + p.prompt(s))
		line, err := s.readLine(true)
		gap = ""
		switch {
		case err == nil:
		case errors.Is(err, errLineKilled):
			s.puts("^C\r\n")
			continue
		default:
			return
		}
		s.puts(p.newline)
		if strings.TrimSpace(line) == "" {
			continue
		}
		if !s.command(line) || s.err != nil {
			return
		}
		gap = p.gap
	}
}

// request runs the command of an exec request and gives its exit status.
func (s *shell) request(command string) uint32 {
	s.exec, s.paging = true, false
	if s.d.frozenAt(AtPrompt) {
		s.freeze()
		return 0
	}
	for line := range strings.SplitSeq(command, "\n") { // vtysh takes several
		if strings.TrimSpace(line) != "" && (!s.command(line) || s.failed) {
			break
		}
	}
	s.flush()
	if s.failed {
		return 1
	}
	return 0
}

var pipe = regexp.MustCompile(`\s+\|\s*`)

// command runs one line and says whether the dialogue goes on.
func (s *shell) command(line string) bool {
	line = strings.TrimRight(line, " ")
	s.d.note(line)
	if !s.sleep(s.d.latencyNow()) {
		return false
	}
	s.failed = false
	pipes := pipe.Split(strings.TrimSpace(line), -1)
	words := strings.Fields(pipes[0])
	if len(words) == 0 {
		return true
	}
	if text, ok := s.d.answer(strings.Join(words, " ")); ok {
		return s.emit(text, pipes[1:])
	}
	p, good := s.d.dialect, 0
	is := func(commands ...string) bool {
		hit := false
		for _, c := range commands {
			ok, n := match(c, words, p.exact)
			hit, good = hit || ok, max(good, n)
		}
		return hit
	}
	switch {
	case is("exit", "quit") || (p.levels && is("logout")):
		return false
	case p.levels && is("enable"):
		return s.enable()
	case p.levels && is("disable"):
		s.privileged = false
		return true
	}
	for c, answer := range p.session {
		if is(c) {
			if slices.Contains(p.unpaged, c) {
				s.paging = false
			}
			return s.emit(answer, nil)
		}
	}
	config := is(p.running...) || is(p.startup...)
	switch {
	case config && s.privileged:
		if is(p.running...) {
			return s.showRunning(pipes[1:])
		}
		s.d.mu.Lock()
		text := s.d.startup()
		s.d.mu.Unlock()
		return s.emit(text, pipes[1:])
	case config && p.denied != "":
		s.failed = true
		return s.emit(p.denied, nil)
	case config: // as if the command did not exist
		good--
	}
	for c, answer := range p.answers {
		if is(c) {
			return s.emit(answer(s.d), pipes[1:])
		}
	}
	s.failed = true
	return s.emit(p.unknown(s, line, words, max(good, 0)), nil)
}

// enable goes to the privileged level, after three questions at most.
func (s *shell) enable() bool {
	if s.privileged || s.d.spec.Enable == "" {
		s.privileged = true
		return true
	}
	for range 3 {
		s.puts("Password: ")
		answer, err := s.readLine(false)
		if err != nil {
			return errors.Is(err, errLineKilled)
		}
		s.puts("\r\n")
		if s.d.enabled(answer) {
			s.privileged = true
			return true
		}
	}
	s.write(crlf(s.d.dialect.badEnable))
	return true
}

// showRunning prints the running config, or what the device's fault leaves of it.
func (s *shell) showRunning(pipes []string) bool {
	d := s.d
	text := d.show()
	half := text[:max(0, len(text)/2-d.cutBy())]
	switch {
	case d.frozenAt(AtOutput):
		s.emit(half, pipes)
		s.freeze()
		return false
	case d.is(&d.cutting):
		s.emit(half, pipes)
		s.flush()
		s.cut = true
		return false
	case d.is(&d.truncating):
		return s.emit(half+"\n", pipes)
	}
	if !s.exec && d.dialect.gap != "" && strings.HasSuffix(text, "\n\n") {
		text = text[:len(text)-1] // the gap before the prompt prints the last line end
	}
	return s.emit(text, pipes)
}

// cutBy moves the place at which the text is cut from one display to the next, as
// a line that loses bytes does.
func (d *node) cutBy() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.texts.shows % 2 * 61
}

// emit prints text (LF line ends) through the pipes and the pager.
func (s *shell) emit(text string, pipes []string) bool {
	paging := s.paging
	for _, p := range pipes {
		word, arg, _ := strings.Cut(strings.TrimSpace(p), " ")
		switch word {
		case "no-more":
			paging = false
		case "display": // Junos: omit, inheritance
		case "include", "grep", "match", "exclude", "except":
			re, err := regexp.Compile(strings.Trim(arg, `"`))
			if err != nil {
				s.puts("% Invalid regular expression\r\n")
				return true
			}
			keep := word != "exclude" && word != "except"
			var kept strings.Builder
			for l := range strings.Lines(text) {
				if re.MatchString(strings.TrimSuffix(l, "\n")) == keep {
					kept.WriteString(l)
				}
			}
			text = kept.String()
		default:
			s.failed = true
			s.puts("% Invalid filter\r\n")
			return true
		}
	}
	out := []byte(text)
	if !s.exec || !s.d.dialect.plainLF {
		out = bytes.ReplaceAll(out, []byte("\n"), []byte("\r\n"))
	}
	if !paging {
		s.write(out)
		return true
	}
	return s.page(out, s.pager) == nil
}
