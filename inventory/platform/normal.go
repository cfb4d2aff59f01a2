package platform

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Normal is raw without what changes by itself (the volatile rules). The result
// is what a change is judged by; raw stays as it is.
func (d *Definition) Normal(raw []byte) []byte {
	if len(d.r().volatile) == 0 || len(raw) == 0 {
		return raw
	}
	l := d.look(raw)
	if l.normal == nil {
		l.normal = raw
		if cuts := l.volatileFinds(d.r()).cuts; len(cuts) > 0 {
			l.room = without(slices.Grow(l.room[:0], len(raw)), raw, cuts)
			l.normal = l.room
		}
	}
	return l.normal
}

// without appends text without the cuts to out.
func without(out, text []byte, cuts []span) []byte {
	at := 0
	for _, c := range cuts {
		if c.end <= at {
			continue
		}
		out = append(out, text[at:max(at, c.start)]...)
		at = c.end
	}
	return append(out, text[at:]...)
}

// FactChanged is the fact in which a text says itself when it was changed last, and
// by whom where it tells: no clock of ours, no format of ours.
const FactChanged = "changed"

// Volatile tells facts kept aside from the ignored lines, such as who changed
// the configuration last. (Name → value.)
func (d *Definition) Volatile(raw []byte) []Fact {
	if len(d.r().volatile) == 0 || len(raw) == 0 {
		return nil
	}
	return d.look(raw).volatileFinds(d.r()).facts
}

// span is a piece of a text, from start up to end.
type span struct{ start, end int }

type volatileFinds struct {
	cuts  []span // in order
	facts []Fact
}

// volatileFinds is what the volatile rules of r take out of a text. What stands inside
// a quoted value or free text is left alone: a banner may say anything.
func (l *look) volatileFinds(r *rules) *volatileFinds {
	if l.volatile != nil {
		return l.volatile
	}
	f := volatileFinder{r: r, text: l.text, lines: l.lines}
	for i := l.marked(0); i < len(l.may.of); i = l.marked(i + 1) {
		last := i
		l.each(i, r.statements.volatile, r.statements.messages, func(n int) bool {
			var goOn bool
			last, goOn = f.try(n, i)
			return goOn
		})
		i = last
	}
	l.volatile = &f.volatileFinds
	return l.volatile
}

// volatileFinder is one pass over one text.
type volatileFinder struct {
	volatileFinds
	r       *rules
	text    []byte
	lines   []line
	above   *ancestry       // nil until a rule asks
	endless map[int]bool    // rules whose until does not come any more
	holds   map[[2]int]bool // rule and parent: whether the block holds the rule's with
}

// try looks at line i with rule n. It returns the last line that the rule takes
// and whether further rules may look at the line.
func (f *volatileFinder) try(n, i int) (last int, goOn bool) {
	v := &f.r.volatile[n]
	b := f.lines[i].of(f.text)
	m := v.match.FindSubmatchIndex(b)
	if m == nil || f.endless[n] || !f.applies(n, i) {
		return i, true
	}
	if v.fact != "" {
		if k := v.keep.FindSubmatch(b); k != nil {
			f.facts = append(f.facts, Fact{Name: v.fact, Value: string(bytes.TrimSpace(k[1])), Source: "header"})
		}
	}
	cuts, last := v.cut(f.text, f.lines, i, m)
	if cuts == nil { // what has no end from here on has none further down either
		if f.endless == nil {
			f.endless = map[int]bool{}
		}
		f.endless[n] = true
		return i, true
	}
	f.cuts = append(f.cuts, cuts...)
	return last, last == i && v.match.NumSubexp() == 1
}

// applies checks what rule n demands of the lines around line i.
func (f *volatileFinder) applies(n, i int) bool {
	v := &f.r.volatile[n]
	if v.under == nil && v.with == nil {
		return true
	}
	if f.above == nil {
		f.above = f.r.syntax.ancestry(f.text, f.lines)
	}
	if v.under != nil && !f.above.below(i, v.under) {
		return false
	}
	if v.with == nil {
		return true
	}
	parent := f.above.up[i]
	key := [2]int{n, int(parent)}
	has, known := f.holds[key]
	if !known {
		has = f.above.blockHas(parent, v.with)
		if f.holds == nil {
			f.holds = map[[2]int]bool{}
		}
		f.holds[key] = has
	}
	return has
}

// cut tells what goes where v matched line i with the groups m, and the last
// line that is touched. A block that never ends is left alone: what is missing
// must show.
//
// An until that begins with ^ names a line, and that goes too. Any other ends a
// value in mid-line and stays, so that a quote that was opened is closed.
func (v *volatileRule) cut(text []byte, lines []line, i int, m []int) ([]span, int) {
	l := lines[i]
	grouped := v.match.NumSubexp() == 1 && m[2] >= 0
	if v.until == nil {
		if grouped {
			return []span{{l.start + m[2], l.start + m[3]}}, i
		}
		return []span{{l.start, next(text, l.end)}}, i
	}
	wholeLine := strings.HasPrefix(v.until.String(), "^")
	from := l.start
	if grouped {
		from += m[2]
	}
	if !wholeLine {
		at := from
		for j := i; j < len(lines); j++ {
			if e := v.until.FindIndex(text[at:lines[j].end]); e != nil {
				return []span{{from, at + e[0]}}, j
			}
			at = next(text, lines[j].end)
		}
		return nil, i
	}
	for j := i + 1; j < len(lines); j++ {
		switch {
		case !v.until.Match(lines[j].of(text)):
		case grouped:
			return []span{{from, l.start + m[3]}, {next(text, l.end), next(text, lines[j].end)}}, j
		default:
			return []span{{from, next(text, lines[j].end)}}, j
		}
	}
	return nil, i
}

// next is where the line after the one that ends at end begins.
func next(text []byte, end int) int { return min(end+1, len(text)) }

// blockHas reports whether a line right below parent matches. What stands at the
// outermost level is in no block.
func (a *ancestry) blockHas(parent int32, re *regexp.Regexp) bool {
	if parent < 0 {
		return false
	}
	for j := int(parent) + 1; j < len(a.lines) && a.up[j] >= parent; j++ {
		if a.up[j] == parent && re.Match(a.lines[j].of(a.text)) {
			return true
		}
	}
	return false
}
