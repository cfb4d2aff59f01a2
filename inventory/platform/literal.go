package platform

import (
	"bytes"
	"math/bits"
	"regexp"
	"regexp/syntax"
	"slices"
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

// guard is fixed texts, of each of which a line has to hold one before a pattern
// is worth trying. It says no sooner than RE2 does.
type guard [][][]byte

// guardOf takes what a pattern demands of a line apart.
func guardOf(pattern string) guard {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	var g guard
	for _, p := range parts {
		var set [][]byte
		for _, l := range literals(p) {
			set = append(set, []byte(l))
		}
		if set != nil {
			g = append(g, set)
		}
	}
	return g
}

// passes reports whether the line, in lower case, holds all that is demanded.
func (g guard) passes(lower []byte) bool {
	for _, set := range g {
		if !slices.ContainsFunc(set, func(w []byte) bool { return bytes.Contains(lower, w) }) {
			return false
		}
	}
	return true
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

// maxRules is how many rules an index can tell apart.
const maxRules = 128

// ruleSet is a set of rule numbers below maxRules.
type ruleSet [maxRules / 64]uint64

func (s *ruleSet) add(rule int) { s[rule/64] |= 1 << (rule % 64) }

func (s *ruleSet) empty() bool { return s[0]|s[1] == 0 }

// each calls do for every rule of the set, in order, until it returns false.
func (s *ruleSet) each(do func(rule int) bool) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			if !do(w*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// index finds, for a set of numbered rules, the lines that may match each.
type index struct {
	words []indexWord
}

type indexWord struct {
	text  []byte
	rules ruleSet
}

func (x *index) add(rule int, words []string) {
next:
	for _, w := range words {
		for i := range x.words {
			if string(x.words[i].text) == w {
				x.words[i].rules.add(rule)
				continue next
			}
		}
		n := indexWord{text: []byte(w)}
		n.rules.add(rule)
		x.words = append(x.words, n)
	}
}

// indexOf indexes patterns by their place in the list. A pattern without fixed
// text is tried on every line.
func indexOf(patterns []*regexp.Regexp) index {
	var x index
	for i, re := range patterns {
		words := literalsOf(re.String())
		if words == nil {
			words = []string{""}
		}
		x.add(i, words)
	}
	return x
}

// candidates gives for each line the rules to try there; nil where there is
// none anywhere. lower is the text in lower case, lines its lines.
func (x *index) candidates(lower []byte, lines []line) []ruleSet {
	var out []ruleSet
	for _, w := range x.words {
		at, ln := 0, 0
		for at < len(lower) {
			i := bytes.Index(lower[at:], w.text)
			if i < 0 {
				break
			}
			at += i
			for lines[ln].end < at {
				ln++
			}
			if out == nil {
				out = make([]ruleSet, len(lines))
			}
			for k := range w.rules {
				out[ln][k] |= w.rules[k]
			}
			at = lines[ln].end + 1 // one occurrence a line is enough
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
