package platform

import (
	"bytes"
	"regexp"
	"slices"
)

// line is one line of a text, without its line end.
type line struct {
	start, end int
	// inside: the line begins in a quoted value, a comment over lines or free
	// text, so what it says is no statement.
	inside bool
	// open: a quoted value is open at the end of the line although the syntax
	// has none over lines: the line was cut.
	open bool
}

func (l line) of(text []byte) []byte { return text[l.start:l.end] }

// splitLines cuts text at line feeds. There is always at least one line; what
// follows a final line feed is no line.
func splitLines(text []byte) []line { return splitInto(nil, text) }

// splitInto is splitLines in the memory of lines.
func splitInto(lines []line, text []byte) []line {
	lines = slices.Grow(lines[:0], 1+bytes.Count(text, []byte{'\n'}))
	at := 0
	for {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			if at < len(text) || len(lines) == 0 {
				lines = append(lines, line{start: at, end: len(text)})
			}
			return lines
		}
		lines = append(lines, line{start: at, end: at + i})
		at += i + 1
	}
}

// lines cuts text and marks what stands inside of something.
func (s *syntaxRules) lines(text []byte) []line {
	lines := splitLines(text)
	begins := s.texts.index.candidates(text, lines, nil)
	s.mark(text, lines, &begins)
	return lines
}

// mark notes of each line whether it is inside of something. begins has for each
// line the free texts that may begin there, under the numbers of the first rules.
// open reports whether a line behind the last one would be inside of something.
func (s *syntaxRules) mark(text []byte, lines []line, begins *marks) (open bool) {
	var (
		quoted, comment bool
		free            *freeText
		delim           []byte
	)
	for i := range lines {
		l := &lines[i]
		b := l.of(text)
		l.inside = quoted || comment || free != nil
		if free != nil {
			if delim != nil && bytes.Contains(b, delim) || free.end != nil && free.end.Match(b) {
				free, delim = nil, nil
			}
			continue
		}
		if begins.of != nil && !begins.at(i).empty() && !quoted && !comment {
			if f, d, open := s.texts.at(b, begins.at(i)); f != nil {
				if open {
					free, delim = f, d
				}
				continue
			}
		}
		quoted, comment = s.scan(b, quoted, comment, nil)
		if quoted && !s.manyLines {
			l.open, quoted = true, false
		}
	}
	return quoted || comment || free != nil
}

// at tells whether free text of the set may begins at the line b, by which
// delimiter it ends, and whether it is still open at the end of the line.
func (t *freeTexts) at(b []byte, may *ruleSet) (found *freeText, delim []byte, open bool) {
	may.each(func(n int) bool {
		if n >= len(t.list) {
			return false
		}
		f := &t.list[n]
		m := f.start.FindSubmatchIndex(b)
		if m == nil {
			return true
		}
		found, open = f, true
		if f.start.NumSubexp() == 1 && m[2] >= 0 {
			delim = b[m[2]:m[3]]
			open = !bytes.Contains(b[m[1]:], delim)
		}
		return false
	})
	return found, delim, open
}

// scan walks over one line. plain, where not nil, gets the bytes that are
// neither quoted nor comment, the others as blanks.
func (s *syntaxRules) scan(b []byte, quoted, comment bool, plain []byte) (bool, bool) {
	if s.quote == 0 && s.blockComments[0] == "" && len(s.comments) == 0 {
		copy(plain, b)
		return false, false
	}
	put := func(i int, c byte) {
		if plain != nil {
			plain[i] = c
		}
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		put(i, ' ')
		switch {
		case comment:
			if bytes.HasPrefix(b[i:], []byte(s.blockComments[1])) {
				comment = false
				for range len(s.blockComments[1]) - 1 {
					i++
					put(i, ' ')
				}
			}
		case quoted:
			if s.escape != 0 && c == s.escape && i+1 < len(b) {
				i++
				put(i, ' ')
			} else if c == s.quote {
				quoted = false
			}
		case s.quote != 0 && c == s.quote:
			quoted = true
		case s.blockComments[0] != "" && apart(b, i) && bytes.HasPrefix(b[i:], []byte(s.blockComments[0])):
			comment = true
			i++
			put(i, ' ')
		default:
			for _, p := range s.comments {
				if apart(b, i) && bytes.HasPrefix(b[i:], []byte(p)) {
					for ; i < len(b); i++ {
						put(i, ' ')
					}
					return quoted, comment
				}
			}
			put(i, c)
		}
	}
	return quoted, comment
}

// apart reports whether a word begins at i: ge-0/0/* opens no comment.
func apart(b []byte, i int) bool { return i == 0 || b[i-1] == ' ' || b[i-1] == '\t' }

// indent is the number of blanks before the first other character; a tab
// counts as one.
func indent(b []byte) int {
	return len(b) - len(bytes.TrimLeft(b, " \t"))
}

// parents gives each line the number of the nearest line above it that is
// indented less, -1 for none. Lines inside of something and blank lines belong
// to the statement before them. Where the syntax has headings, everything else
// counts as indented below them.
func (s *syntaxRules) parents(text []byte, lines []line) []int32 {
	out := make([]int32, len(lines))
	type level struct {
		indent int
		line   int32
	}
	var stack []level
	for i, l := range lines {
		b := l.of(text)
		if l.inside || len(bytes.TrimSpace(b)) == 0 {
			out[i] = -1
			if len(stack) > 0 {
				out[i] = stack[len(stack)-1].line
			}
			continue
		}
		n := indent(b)
		if s.heading != nil && !s.heading.Match(b) {
			n++
		}
		for len(stack) > 0 && stack[len(stack)-1].indent >= n {
			stack = stack[:len(stack)-1]
		}
		out[i] = -1
		if len(stack) > 0 {
			out[i] = stack[len(stack)-1].line
		}
		stack = append(stack, level{n, int32(i)})
	}
	return out
}

// ancestry answers whether a line is below one that matches, each line and
// pattern once: a text may go as deep as it has lines.
type ancestry struct {
	text  []byte
	lines []line
	up    []int32
	known map[*regexp.Regexp][]int8 // per line, itself and its parents: 0 not looked at, 1 matches, -1 does not
}

func (s *syntaxRules) ancestry(text []byte, lines []line) *ancestry {
	return &ancestry{text: text, lines: lines, up: s.parents(text, lines), known: map[*regexp.Regexp][]int8{}}
}

// below reports whether a line above i, indented less, matches.
func (a *ancestry) below(i int, re *regexp.Regexp) bool {
	known := a.known[re]
	if known == nil {
		known = make([]int8, len(a.lines))
		a.known[re] = known
	}
	var path []int32
	answer := int8(-1)
	for p := a.up[i]; p >= 0; p = a.up[p] {
		if known[p] == 0 && re.Match(trimmed(a.lines[p].of(a.text))) {
			known[p] = 1
		}
		if known[p] != 0 {
			answer = known[p]
			break
		}
		path = append(path, p)
	}
	for _, p := range path {
		known[p] = answer
	}
	return answer == 1
}

func trimmed(b []byte) []byte { return bytes.TrimLeft(b, " \t") }
