package platform

import (
	"bytes"
	"math"
	"math/bits"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
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
// how few there are. Blanks tell little, unless there are many.
func weight(set []string) int {
	shortest := 1 << 10
	for _, s := range set {
		said := len(strings.Trim(s, " "))
		shortest = min(shortest, said+(len(s)-said)/8)
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
const maxRules = 256

// ruleSet is a set of rule numbers below maxRules.
type ruleSet [maxRules / 64]uint64

func (s *ruleSet) add(rule int) { s[rule/64] |= 1 << (rule % 64) }

func (s *ruleSet) join(o *ruleSet) {
	for k := range o {
		s[k] |= o[k]
	}
}

func (s *ruleSet) empty() bool { return *s == ruleSet{} }

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
	scan  *automaton // of words; a new one with each word. nil: there are none
}

type indexWord struct {
	text  []byte // in lower case
	rules ruleSet
}

func (x *index) add(rule int, words []string) {
	x.scan = new(automaton)
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

// candidates tells for each line of text the rules to try there. room, which may be
// nil, is memory that the answer may use.
func (x *index) candidates(text []byte, lines []line, room []uint16) marks {
	if x.scan == nil {
		return marks{}
	}
	x.scan.once.Do(func() { x.scan.build(x.words) })
	return x.scan.over(text, lines, room)
}

// marks tells for each line of a text which rules may match there. Lines are many
// and the sets of rules that meet in one are few.
type marks struct {
	of   []uint16  // by line: the number of its set; nil: no rule may match anywhere
	sets []ruleSet // the first is that of lines without a word
	met  map[[2]uint16]uint16
}

func (m *marks) at(i int) *ruleSet { return &m.sets[m.of[i]] }

// join is the number of the set of all that are in a or b.
func (m *marks) join(a, b uint16) uint16 {
	both := m.sets[a]
	both.join(&m.sets[b])
	switch n, known := m.met[[2]uint16{a, b}]; {
	case known:
		return n
	case both == m.sets[a]:
		return a
	case both == m.sets[b]:
		return b
	case len(m.sets) == math.MaxUint16: // no text of ours has so many: one set for all
		for i := range m.sets {
			both.join(&m.sets[i])
		}
	case len(m.sets) > math.MaxUint16:
		return math.MaxUint16
	}
	if m.met == nil {
		m.met = map[[2]uint16]uint16{}
	}
	n := uint16(len(m.sets))
	m.sets, m.met[[2]uint16{a, b}] = append(m.sets, both), n
	return n
}

// extend puts the marks that before has of its last lines behind those of m, which
// are of n lines. false: they have too many sets together, and m is of no use.
func (x *index) extend(m *marks, n int, before *marks, last int) bool {
	if m.of == nil && before.of == nil {
		return true
	}
	if m.of == nil {
		m.of = make([]uint16, n, n+last)
	}
	if before.of == nil {
		m.of = append(m.of, make([]uint16, last)...)
		return true
	}
	shared := len(x.scan.sets) // sets with lower numbers are the same in both
	shift := len(m.sets) - shared
	if len(before.sets)+shift > math.MaxUint16 {
		return false
	}
	m.sets = append(m.sets, before.sets[shared:]...)
	for _, set := range before.of[len(before.of)-last:] {
		if int(set) >= shared {
			set += uint16(shift)
		}
		m.of = append(m.of, set)
	}
	return true
}

// automaton finds all words of an index in one pass over a text, whatever their
// number and case (Aho and Corasick, 1975).
type automaton struct {
	once  sync.Once
	class [256]uint8 // bytes that no word holds are class 0
	width uint32     // number of classes
	next  []uint32   // state + class → state; a state is the place of its row
	from  uint32     // states below it end no word
	sets  []ruleSet  // the rules that are tried on every line, and with them those of each state from there on
}

func (s *automaton) build(words []indexWord) {
	classes := 1
	for _, w := range words {
		for _, c := range w.text {
			if s.class[c] == 0 {
				s.class[c] = uint8(classes)
				if 'a' <= c && c <= 'z' {
					s.class[c-'a'+'A'] = uint8(classes)
				}
				classes++
			}
		}
	}
	s.width = uint32(classes)
	// The trie of the words, then its failure links, breadth first. State 0 is
	// the root; a link that is not there is 0, too.
	type node struct {
		to   []uint16
		fail uint16
		hit  ruleSet
	}
	trie := []node{{to: make([]uint16, classes)}}
	var every ruleSet
	for _, w := range words {
		if len(w.text) == 0 {
			every.join(&w.rules)
			continue
		}
		at := uint16(0)
		for _, c := range w.text {
			k := s.class[c]
			if trie[at].to[k] == 0 {
				trie = append(trie, node{to: make([]uint16, classes)})
				trie[at].to[k] = uint16(len(trie) - 1)
			}
			at = trie[at].to[k]
		}
		trie[at].hit.join(&w.rules)
	}
	order := make([]uint16, 1, len(trie))
	for i := 0; i < len(order); i++ {
		at := order[i]
		fail := trie[at].fail
		trie[at].hit.join(&trie[fail].hit)
		for k := range classes {
			child := trie[at].to[k]
			switch {
			case child == 0:
				trie[at].to[k] = trie[fail].to[k]
			default:
				if at != 0 {
					trie[child].fail = trie[fail].to[k]
				}
				order = append(order, child)
			}
		}
	}
	// States that end a word come last, so that one comparison tells them apart.
	slices.SortStableFunc(order, func(a, b uint16) int {
		return btoi(!trie[a].hit.empty()) - btoi(!trie[b].hit.empty())
	})
	number := make([]uint16, len(trie))
	for i, at := range order {
		number[at] = uint16(i)
	}
	s.next, s.sets = make([]uint32, len(order)*classes), []ruleSet{every}
	s.from = uint32(len(s.next))
	for i, at := range order {
		if hit := trie[at].hit; !hit.empty() {
			s.from = min(s.from, uint32(i*classes))
			hit.join(&every)
			s.sets = append(s.sets, hit)
		}
		for k := range classes {
			s.next[i*classes+k] = uint32(number[trie[at].to[k]]) * s.width
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// over tells for each line the rules whose words it holds.
func (s *automaton) over(text []byte, lines []line, room []uint16) marks {
	m := marks{sets: s.sets[:len(s.sets):len(s.sets)]}
	begin := func() {
		m.of = slices.Grow(room[:0], len(lines))[:len(lines)]
		clear(m.of)
	}
	if !s.sets[0].empty() {
		begin()
	}
	// hit notes what ends at a place of text; ln is the line of the hit before.
	hit := func(at, ln int, state uint32) int {
		if m.of == nil {
			begin()
		}
		for lines[ln].end < at {
			ln++
		}
		n := uint16((state-s.from)/s.width) + 1
		if was := m.of[ln]; was == 0 {
			m.of[ln] = n
		} else if was != n {
			m.of[ln] = m.join(was, n)
		}
		return ln
	}
	// No word goes over a line: its end is class 0, which leads back to the root.
	// A state waits for the one before it, so two halves are walked at a time: this
	// takes a third of the time that one walk takes.
	from, next, class := s.from, s.next, &s.class
	ln, lm := 0, len(lines)/2
	split := lines[lm].start
	both := min(split, len(text)-split)
	var p, q uint32
	first, second := text[:both], text[split:split+both]
	for i, c := range first {
		p, q = next[p+uint32(class[c])], next[q+uint32(class[second[i]])]
		if p >= from {
			ln = hit(i, ln, p)
		}
		if q >= from {
			lm = hit(split+i, lm, q)
		}
	}
	rest := func(at, end, ln int, state uint32) {
		for ; at < end; at++ {
			if state = next[state+uint32(class[text[at]])]; state >= from {
				ln = hit(at, ln, state)
			}
		}
	}
	rest(both, split, ln, p)
	rest(split+both, len(text), lm, q)
	return m
}

// patternSet is patterns of which most lines match none, with an index.
type patternSet struct {
	list  []*regexp.Regexp
	index index
}

func newPatternSet(list ...*regexp.Regexp) patternSet {
	return patternSet{list: list, index: indexOf(list)}
}

// over prepares a look at the lines of text.
func (p *patternSet) over(text []byte, lines []line) patternMatches {
	return patternMatches{p, text, lines, p.index.candidates(text, lines, nil)}
}

type patternMatches struct {
	set        *patternSet
	text       []byte
	lines      []line
	candidates marks
}

// first is the number of the first pattern that matches line i, -1 for none.
func (m *patternMatches) first(i int) int {
	found := -1
	if m.candidates.of != nil {
		m.candidates.at(i).each(func(n int) bool {
			if m.set.list[n].Match(m.lines[i].of(m.text)) {
				found = n
			}
			return found < 0
		})
	}
	return found
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
