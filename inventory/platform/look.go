package platform

import (
	"sort"
	"sync"
)

// A capture asks the rules of the same text many times over: whether it is whole,
// what of it is volatile, what its startup config says. Fixed text of all those
// rules is therefore looked for in one pass, and a definition that serves one
// capture remembers what it saw.

// look is a text with its lines, and for each line the rules that may match it.
type look struct {
	text     []byte
	lines    []line
	may      marks
	volatile *volatileFinds // nil: nobody asked yet
	normal   []byte         // likewise
	room     []byte         // memory for normal
}

// statements are the lists of rules that are held against the lines of a text as
// it was read, one behind the other in one index.
type statements struct {
	index                       index
	volatile, messages, unknown int // where each list begins; those of free text come first
}

// gather puts together what answers must not hold, and the index of all that is
// looked for in a text. It reports whether an index can tell that many apart.
func (r *rules) gather() bool {
	r.gatherMessages()
	s := &r.statements
	*s = statements{}
	n := len(r.syntax.texts.list) + len(r.volatile) + len(r.messages)
	if r.unsaved != nil {
		n += len(r.unsaved.unknown)
	}
	if n > maxRules {
		return false
	}
	n = 0
	add := func(pattern string) {
		words := literalsOf(pattern)
		if words == nil {
			words = []string{""} // tried on every line
		}
		s.index.add(n, words)
		n++
	}
	for _, f := range r.syntax.texts.list {
		add(f.start.String())
	}
	s.volatile = n
	for i := range r.volatile {
		add(r.volatile[i].match.String())
	}
	s.messages = n
	for _, m := range r.messages {
		add(m.match.String())
	}
	s.unknown = n
	if r.unsaved != nil {
		for _, re := range r.unsaved.unknown {
			add(re.String())
		}
	}
	return true
}

// ForCapture is d for the texts of one capture: it remembers what it saw in them,
// so none may be changed meanwhile. It serves one goroutine, and nothing after
// [Definition.Forget].
func (d *Definition) ForCapture() *Definition {
	c := *d
	c.looks = map[*byte]*look{}
	return &c
}

// Forget gives back the memory of what d, which is from [Definition.ForCapture],
// remembers. What Normal and SavedForm gave out goes with it; redacted texts, facts
// and proofs stay.
func (d *Definition) Forget() {
	for _, l := range d.looks {
		l.giveBack()
	}
	d.looks = nil
}

// look walks over a text once.
func (d *Definition) look(text []byte) *look {
	if len(text) == 0 || d.looks == nil {
		return d.r().look(&look{}, text)
	}
	if l := d.looks[&text[0]]; l != nil && len(l.text) == len(text) {
		return l
	}
	l := borrow()
	known := false
	for _, before := range d.looks {
		known = known || d.r().lookLike(l, text, before)
	}
	if !known {
		d.r().look(l, text)
	}
	d.looks[&text[0]] = l
	return l
}

// look fills l, whose memory it uses.
func (r *rules) look(l *look, text []byte) *look {
	l.text, l.lines = text, splitInto(l.lines, text)
	l.may = r.statements.index.candidates(text, l.lines, l.may.of)
	r.syntax.mark(text, l.lines, &l.may)
	return l
}

// lookLike is look where most of the text is the end of one that was looked at
// before, as the startup config of a device that is saved is of its running config:
// what is noted of a line hangs on nothing above it unless it is inside of something.
// false: it is not so, and l says nothing of text.
func (r *rules) lookLike(l *look, text []byte, before *look) bool {
	n := commonEnd(before.text, text)
	if n < len(text)/2 {
		return false
	}
	// The first line that is common with the line end in front of it.
	first := sort.Search(len(before.lines), func(i int) bool { return before.lines[i].start > len(before.text)-n })
	if first == len(before.lines) || before.lines[first].inside {
		return false
	}
	shift := len(text) - len(before.text)
	above := text[:before.lines[first].start+shift]
	lines := splitInto(l.lines, above)
	index := &r.statements.index
	may := index.candidates(above, lines, l.may.of)
	if r.syntax.mark(above, lines, &may) || !index.extend(&may, len(lines), &before.may, len(before.lines)-first) {
		return false
	}
	for _, b := range before.lines[first:] {
		b.start, b.end = b.start+shift, b.end+shift
		lines = append(lines, b)
	}
	l.text, l.lines, l.may = text, lines, may
	return true
}

// Looks whose memory nobody uses: what is noted of a text is larger than it.
var looks = sync.Pool{New: func() any { return new(look) }}

func borrow() *look { return looks.Get().(*look) }

func (l *look) giveBack() {
	const most = 1 << 20
	if cap(l.room) > most || cap(l.lines) > most/16 {
		return // a text of unusual size: its memory is for all
	}
	lines, of, room := l.lines[:0], l.may.of[:0], l.room[:0]
	*l = look{lines: lines, may: marks{of: of}, room: room}
	looks.Put(l)
}

// marked is the first line from i on that a rule may match, or one behind the last.
func (l *look) marked(i int) int {
	if i < len(l.may.of) && l.may.sets[0].empty() {
		for i < len(l.may.of) && l.may.of[i] == 0 {
			i++
		}
	}
	return i
}

// each calls do for the rules of a list, which begins at from and ends before to,
// that may match line i, until it returns false.
func (l *look) each(i, from, to int, do func(n int) bool) {
	if l.lines[i].inside {
		return
	}
	l.may.at(i).each(func(n int) bool {
		if n < from {
			return true
		}
		return n < to && do(n-from)
	})
}
