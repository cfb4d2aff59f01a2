package platform

import (
	"bytes"
	"regexp"
)

// SavedForm turns a running config and a startup config into the two texts that
// `unsaved` compares: headers that only one of them has, and forms that differ
// without a difference (an IOS certificate as hex or as file name), are evened
// out. known is false where the platform keeps no startup of its own or the
// stored text is empty or unreadable: then nothing is known, never a difference.
func (d *Definition) SavedForm(running, startup []byte) (r, s []byte, known bool) {
	u := d.r().unsaved
	if u == nil || len(bytes.TrimSpace(startup)) == 0 || len(bytes.TrimSpace(running)) == 0 {
		return running, startup, false
	}
	if l := d.look(startup); d.r().mute(l) || u.lastLine != nil && !endsWith(l, u.lastLine) {
		return running, startup, false
	}
	sx := &d.r().syntax
	r, s = d.Normal(running), d.Normal(startup)
	if u.alike(sx, r, s) {
		return r, r, true
	}
	return u.ofRunning.of(sx, r), u.ofStartup.of(sx, s), true
}

// mute reports whether a stored text says that there is none, or is a message.
func (r *rules) mute(l *look) (found bool) {
	for i := l.marked(0); i < len(l.may.of); i = l.marked(i + 1) {
		l.each(i, r.statements.messages, maxRules, func(n int) bool {
			var re *regexp.Regexp
			if n < len(r.messages) {
				if re = r.messages[n].match; r.messages[n].kind == messagePager {
					return true
				}
			} else {
				re = r.unsaved.unknown[n-len(r.messages)]
			}
			found = re.Match(l.lines[i].of(l.text))
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

func endsWith(l *look, re *regexp.Regexp) bool {
	last, ok := lastLine(l.text, l.lines)
	return ok && !last.inside && re.Match(last.of(l.text))
}

// alike reports whether two texts say the same, by what stands in front of their
// common end alone: of a device whose configuration is saved this is the header.
// What is evened out in a line depends on nothing above it once no quote, free
// text or fold is open. false is no answer.
func (u *unsavedRules) alike(sx *syntaxRules, running, startup []byte) bool {
	if bytes.Equal(running, startup) {
		return true
	}
	n := commonEnd(running, startup)
	tail := running[len(running)-n:]
	_, tail, _ = bytes.Cut(tail, []byte{'\n'}) // it may begin in mid-line
	first, _, whole := bytes.Cut(tail, []byte{'\n'})
	if !whole {
		return false
	}
	r, known := u.ofRunning.head(sx, running[:len(running)-len(tail)+len(first)+1], first)
	if !known {
		return false
	}
	s, known := u.ofStartup.head(sx, startup[:len(startup)-len(tail)+len(first)+1], first)
	return known && bytes.Equal(r, s)
}

// head evens out a text up to and including its line last. known is false where
// what follows could be evened out in another way than by itself.
func (e *evening) head(sx *syntaxRules, text, last []byte) (out []byte, known bool) {
	lines := sx.lines(text)
	n := len(lines) - 1
	if lines[n].inside {
		return nil, false
	}
	above, text := lines[:n], text[:lines[n].start]
	if e.through != nil {
		if _, ok := firstMatch(e.through, text, above); !ok {
			return nil, false
		}
	}
	for i := range e.folds {
		if w := e.folds[i].while; w != nil && w.Match(last) {
			return nil, false
		}
	}
	if n == 0 {
		return nil, true
	}
	return e.over(text, above), true
}

// commonEnd is how many bytes a and b have in common at their ends.
func commonEnd(a, b []byte) int {
	const step = 256
	n := 0
	for limit := min(len(a), len(b)); n+step <= limit && bytes.Equal(a[len(a)-n-step:len(a)-n], b[len(b)-n-step:len(b)-n]); {
		n += step
	}
	for n < len(a) && n < len(b) && a[len(a)-n-1] == b[len(b)-n-1] {
		n++
	}
	return n
}

// of frees text of what differs without a difference.
func (e *evening) of(sx *syntaxRules, text []byte) []byte {
	return e.over(text, sx.lines(text))
}

// over is of for the given lines of text.
func (e *evening) over(text []byte, lines []line) []byte {
	from := 0
	if e.through != nil {
		for i, l := range lines {
			if !l.inside && e.through.Match(l.of(text)) {
				from = i + 1
				break
			}
		}
	}
	drops := len(e.rules.list) - len(e.folds)
	matches := e.rules.over(text, lines)
	out := make([]byte, 0, len(text)+1)
	for i := from; i < len(lines); i++ {
		b := lines[i].of(text)
		if n := matches.first(i); n >= 0 && !lines[i].inside {
			if n < drops {
				continue
			}
			f := &e.folds[n-drops]
			b = f.match.FindSubmatch(b)[1]
			for f.while != nil && i+1 < len(lines) && f.while.Match(lines[i+1].of(text)) {
				i++
			}
		}
		out = append(append(out, b...), '\n')
	}
	return out
}
