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
	return u.ofRunning.of(sx, d.Normal(running)), u.ofStartup.of(sx, d.Normal(startup)), true
}

// of frees text of what differs without a difference.
func (e *evening) of(sx *syntaxRules, text []byte) []byte {
	lines := sx.lines(text)
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
