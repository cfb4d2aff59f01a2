package platform

import "bytes"

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
	sx := &d.r().syntax
	lines := sx.lines(startup)
	for _, l := range lines {
		if l.inside {
			continue
		}
		b := l.of(startup)
		c := &d.r().cli
		if matchesAny(u.unknown, b) || matchesAny(c.command, b) || matchesAny(c.denied, b) || matchesAny(c.busy, b) {
			return running, startup, false
		}
	}
	if u.lastLine != nil {
		last, ok := lastLine(startup, lines)
		if !ok || last.inside || !u.lastLine.Match(last.of(startup)) {
			return running, startup, false
		}
	}
	return sx.even(d.Normal(running), u.running, u.both), sx.even(d.Normal(startup), u.startup, u.both), true
}

// even frees text of what own and both name.
func (s *syntaxRules) even(text []byte, own, both evenRules) []byte {
	lines := s.lines(text)
	from := 0
	if own.through != nil {
		for i, l := range lines {
			if !l.inside && own.through.Match(l.of(text)) {
				from = i + 1
				break
			}
		}
	}
	out := make([]byte, 0, len(text))
	for i := from; i < len(lines); i++ {
		l := lines[i]
		b := l.of(text)
		if !l.inside {
			if matchesAny(own.drop, b) || matchesAny(both.drop, b) {
				continue
			}
			var last int
			if b, last = foldLine(text, lines, i, own.fold, both.fold); last > i {
				i = last
			}
		}
		out = append(append(out, b...), '\n')
	}
	return out
}

// foldLine shortens line i where a fold matches, and tells the last line that
// goes with it.
func foldLine(text []byte, lines []line, i int, lists ...[]fold) ([]byte, int) {
	b := lines[i].of(text)
	for _, list := range lists {
		for _, f := range list {
			m := f.match.FindSubmatch(b)
			if m == nil {
				continue
			}
			last := i
			for f.while != nil && last+1 < len(lines) && f.while.Match(lines[last+1].of(text)) {
				last++
			}
			return m[1], last
		}
	}
	return b, i
}
