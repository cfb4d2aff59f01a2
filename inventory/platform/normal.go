package platform

import (
	"bytes"
	"regexp"
	"strings"
)

// Normal is raw without what changes by itself (the volatile rules). The result
// is what a change is judged by; raw stays as it is.
func (d *Definition) Normal(raw []byte) []byte {
	r := d.r()
	if len(r.volatile) == 0 || len(raw) == 0 {
		return raw
	}
	v := r.volatileIn(raw)
	if len(v.cuts) == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	at := 0
	for _, c := range v.cuts {
		if c.end <= at {
			continue
		}
		out = append(out, raw[at:max(at, c.start)]...)
		at = c.end
	}
	return append(out, raw[at:]...)
}

// Volatile tells facts kept aside from the ignored lines, such as who changed
// the configuration last. (Name → value.)
func (d *Definition) Volatile(raw []byte) []Fact {
	r := d.r()
	if len(r.volatile) == 0 || len(raw) == 0 {
		return nil
	}
	return r.volatileIn(raw).facts
}

// span is a piece of a text, from start up to end.
type span struct{ start, end int }

type volatileFinds struct {
	cuts  []span // in order
	facts []Fact
}

// volatileIn finds what the volatile rules take out of text. What stands inside
// a quoted value or free text is left alone: a banner may say anything.
func (r *rules) volatileIn(text []byte) volatileFinds {
	var out volatileFinds
	lines := r.syntax.lines(text)
	candidates := r.volatileIndex.candidates(lowerASCII(text), lines)
	var up []int32
	for i := 0; i < len(lines); i++ {
		rules := candidates[i]
		if len(rules) == 0 || lines[i].inside {
			continue
		}
		for _, n := range rules {
			v := &r.volatile[n]
			l := lines[i]
			m := v.match.FindSubmatchIndex(l.of(text))
			if m == nil {
				continue
			}
			if v.under != nil || v.with != nil {
				if up == nil {
					up = parents(text, lines)
				}
				if v.under != nil && !below(text, lines, up, i, v.under) || v.with != nil && !blockHas(text, lines, up, i, v.with) {
					continue
				}
			}
			if v.fact != "" {
				if k := v.keep.FindSubmatch(l.of(text)); k != nil {
					out.facts = append(out.facts, Fact{Name: v.fact, Value: string(bytes.TrimSpace(k[1])), Source: "header"})
				}
			}
			cut, last := v.cut(text, lines, i, m)
			out.cuts = append(out.cuts, cut...)
			if last > i { // the lines of a block are gone: no rule is left to look at them
				i = last
				break
			}
			if v.match.NumSubexp() == 0 {
				break
			}
		}
	}
	return out
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

// below reports whether a line above i, indented less, matches.
func below(text []byte, lines []line, up []int32, i int, re *regexp.Regexp) bool {
	for p := up[i]; p >= 0; p = up[p] {
		if re.Match(trimmed(lines[p].of(text))) {
			return true
		}
	}
	return false
}

// blockHas reports whether the block of line i, that is the lines with the same
// parent around it, has a line that matches.
func blockHas(text []byte, lines []line, up []int32, i int, re *regexp.Regexp) bool {
	for j := i; j >= 0 && j > int(up[i]); j-- {
		if up[j] == up[i] && re.Match(lines[j].of(text)) {
			return true
		}
	}
	for j := i + 1; j < len(lines) && up[j] >= up[i] && up[i] >= 0; j++ {
		if up[j] == up[i] && re.Match(lines[j].of(text)) {
			return true
		}
	}
	return false
}
