package platform

import (
	"bytes"
	"regexp/syntax"
	"strings"
)

// A plain loop over all patterns of a platform took 70 to 80 ms for 65 kB. So
// every pattern is known by fixed text that each of its matches holds, and only
// lines with that text see the pattern.

// literals returns lower-case texts of which every match of re holds at least
// one; nil where there is no such set.
func literals(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		s := string(re.Rune)
		for _, r := range re.Rune {
			if r >= 0x80 {
				return nil // lower-casing is ASCII only, so that offsets stay
			}
		}
		return []string{strings.ToLower(s)}
	case syntax.OpCharClass:
		// [Pp] and the like; larger classes are no text to look for.
		var out []string
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r >= 0x80 || len(out) == 4 {
					return nil
				}
				out = append(out, strings.ToLower(string(r)))
			}
		}
		return out
	case syntax.OpCapture, syntax.OpPlus:
		return literals(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min >= 1 {
			return literals(re.Sub[0])
		}
	case syntax.OpAlternate:
		var out []string
		for _, s := range re.Sub {
			l := literals(s)
			if l == nil {
				return nil
			}
			out = append(out, l...)
		}
		return out
	case syntax.OpConcat:
		var best []string
		for _, s := range re.Sub {
			if l := literals(s); l != nil && (best == nil || weight(l) > weight(best)) {
				best = l
			}
		}
		return best
	}
	return nil
}

// weight says how well a set tells lines apart: by its shortest text, then by
// how few there are.
func weight(set []string) int {
	shortest := 1 << 10
	for _, s := range set {
		shortest = min(shortest, len(strings.Trim(s, " ")))
	}
	return shortest<<8 - len(set)
}

func literalsOf(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	return literals(re)
}

// index finds, for a set of numbered rules, the lines that may match each.
type index struct {
	words []indexWord
}

type indexWord struct {
	text  []byte
	rules []int
}

func (x *index) add(rule int, words []string) {
next:
	for _, w := range words {
		for i := range x.words {
			if string(x.words[i].text) == w {
				x.words[i].rules = append(x.words[i].rules, rule)
				continue next
			}
		}
		x.words = append(x.words, indexWord{[]byte(w), []int{rule}})
	}
}

// candidates maps line numbers to the rules to try there, each once and in
// order. lower is the text in lower case, lines its lines.
func (x *index) candidates(lower []byte, lines []line) map[int][]int {
	out := map[int][]int{}
	for _, w := range x.words {
		at, ln := 0, 0
		for {
			i := bytes.Index(lower[at:], w.text)
			if i < 0 {
				break
			}
			at += i
			for lines[ln].end < at {
				ln++
			}
			out[ln] = merge(out[ln], w.rules)
			if at = lines[ln].end; at >= len(lower) {
				break
			}
		}
	}
	return out
}

// merge adds sorted b to sorted a.
func merge(a, b []int) []int {
	if len(a) == 0 {
		return append([]int(nil), b...)
	}
	out := make([]int, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return out
}

// lowerASCII is a copy of b with A–Z in lower case; offsets stay.
func lowerASCII(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return out
}
