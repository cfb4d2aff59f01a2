package cli

import (
	"bytes"
	"regexp"
	"regexp/syntax"
)

// noise takes a session's own lines (log messages) out of an answer. To hold
// every line against every pattern would cost as much as the whole session; so
// a literal that the pattern cannot do without is looked for first.
type noise struct {
	re      []*regexp.Regexp
	literal [][]byte // per pattern; nil: it has none
}

func newNoise(patterns []*regexp.Regexp) noise {
	n := noise{re: patterns}
	for _, re := range patterns {
		n.literal = append(n.literal, literalOf(re.String()))
	}
	return n
}

// literalOf is the longest literal that every match of the pattern holds.
func literalOf(pattern string) []byte {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	var longest string
	var look func(*syntax.Regexp)
	look = func(re *syntax.Regexp) {
		switch re.Op {
		case syntax.OpLiteral:
			if re.Flags&syntax.FoldCase == 0 && len(string(re.Rune)) > len(longest) {
				longest = string(re.Rune)
			}
		case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
			for _, sub := range re.Sub {
				look(sub)
			}
		}
	}
	look(re)
	return []byte(longest)
}

// is reports whether a line is noise.
func (n noise) is(line []byte) bool {
	for i, re := range n.re {
		if bytes.Contains(line, n.literal[i]) && re.Match(line) {
			return true
		}
	}
	return false
}

// remove takes the noise lines out of text.
func (n noise) remove(text []byte) []byte {
	found := false
	for _, l := range n.literal {
		found = found || bytes.Contains(text, l)
	}
	if !found {
		return text
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		text = text[len(line):]
		if !n.is(bytes.TrimSuffix(line, []byte("\n"))) {
			out = append(out, line...)
		}
	}
	return out
}
