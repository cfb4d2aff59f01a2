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
	mute := u.mute.over(startup, lines)
	for i, l := range lines {
		if !l.inside && mute.first(i) >= 0 {
			return running, startup, false
		}
	}
	if u.lastLine != nil {
		last, ok := lastLine(startup, lines)
		if !ok || last.inside || !u.lastLine.Match(last.of(startup)) {
			return running, startup, false
		}
	}
	return sx.even(d.Normal(running), &u.running, &u.both), sx.even(d.Normal(startup), &u.startup, &u.both), true
}

// even frees text of what own and both name.
func (s *syntaxRules) even(text []byte, own, both *evenRules) []byte {
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
	var drops, folds [2]patternMatches
	for k, e := range []*evenRules{own, both} {
		drops[k], folds[k] = e.drop.over(text, lines), e.fold.over(text, lines)
	}
	out := make([]byte, 0, len(text)+1)
next:
	for i := from; i < len(lines); i++ {
		l := lines[i]
		b := l.of(text)
		for k := 0; k < 2 && !l.inside; k++ {
			if drops[k].first(i) >= 0 {
				continue next
			}
		}
		for k, e := range []*evenRules{own, both} {
			n := -1
			if !l.inside {
				n = folds[k].first(i)
			}
			if n < 0 {
				continue
			}
			b = e.fold.list[n].FindSubmatch(b)[1]
			for while := e.while[n]; while != nil && i+1 < len(lines) && while.Match(lines[i+1].of(text)); {
				i++
			}
			break
		}
		out = append(append(out, b...), '\n')
	}
	return out
}
