package backup

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
)

// context is how many unchanged lines stand around a change.
const contextLines = 3

// difference is two texts held against each other.
type difference struct {
	a, b    [][]byte
	changes []change
}

func newDifference(a, b []byte) difference {
	d := difference{a: splitLines(a), b: splitLines(b)}
	d.changes = diffLines(d.a, d.b)
	return d
}

// counts tells how many lines were added and removed.
func (d difference) counts() (added, removed int) {
	for _, c := range d.changes {
		added += c.bTo - c.bFrom
		removed += c.aTo - c.aFrom
	}
	return added, removed
}

// writeTo prints d in the unified form that patch(1) reads. render turns the
// removed and added lines of one change into what is shown of them, line by
// line; nil shows them as they are. Unchanged lines go through plain.
func (d difference) writeTo(w io.Writer, nameA, nameB string, render func(removed, added [][]byte) (r, a [][]byte), plain func([]byte) []byte) error {
	if len(d.changes) == 0 {
		return nil
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "--- %s\n+++ %s\n", nameA, nameB)
	line := func(sign byte, l []byte) { // an error of out stays in it until Flush
		fmt.Fprintf(out, "%c%s", sign, l)
		if !bytes.HasSuffix(l, []byte{'\n'}) {
			fmt.Fprint(out, "\n\\ No newline at end of file\n")
		}
	}
	for i := 0; i < len(d.changes); {
		// A hunk takes in all changes that are nearer than twice the context.
		j := i
		for j+1 < len(d.changes) && d.changes[j+1].aFrom-d.changes[j].aTo <= 2*contextLines {
			j++
		}
		first, last := d.changes[i], d.changes[j]
		lead := min(contextLines, first.aFrom, first.bFrom)
		tail := min(contextLines, len(d.a)-last.aTo)
		fmt.Fprintf(out, "@@ -%s +%s @@\n",
			span(first.aFrom-lead, last.aTo+tail), span(first.bFrom-lead, last.bTo+tail))
		at := first.aFrom - lead
		for ; i <= j; i++ {
			c := d.changes[i]
			for ; at < c.aFrom; at++ {
				line(' ', plain(d.a[at]))
			}
			removed, added := d.a[c.aFrom:c.aTo], d.b[c.bFrom:c.bTo]
			if render != nil {
				removed, added = render(removed, added)
			}
			for _, l := range removed {
				line('-', l)
			}
			for _, l := range added {
				line('+', l)
			}
			at = c.aTo
		}
		for end := at + tail; at < end; at++ {
			line(' ', plain(d.a[at]))
		}
	}
	return out.Flush()
}

// span is a range of lines as unified diffs write it: an empty one names the
// line before it, one line has no count.
func span(from, to int) string {
	switch n := to - from; n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprintf("%d", from+1)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}

// token is how platform.Redact marks a secret: with the digest of it, or without
// where none is safe to keep.
var token = regexp.MustCompile(`‹secret(?: ([^›\n]*))?›`)

// The marks that stand for a token in a diff. A secret that has no digest, or
// no counterpart on the other side, is neither known to have changed nor to be
// the same.
const (
	markSecret  = "‹secret›"
	markChanged = "‹secret changed›"
	markSame    = "‹secret same›"
)

// outwardLine shows an unchanged line: its secrets are nobody's business.
func outwardLine(l []byte) []byte { return token.ReplaceAll(l, []byte(markSecret)) }

// remark shows removed and added lines without tokens. Lines that are the same
// but for their tokens are held against each other first, then those that stand
// in the same place and have as many tokens; each token becomes "secret changed"
// or "secret same".
func remark(removed, added [][]byte) (r, a [][]byte) {
	r, a = make([][]byte, len(removed)), make([][]byte, len(added))
	partner := pair(removed, added)
	for i, l := range removed {
		if j, ok := partner[i]; ok {
			r[i], a[j] = markTokens(l, added[j])
		}
	}
	for i := range r {
		if r[i] == nil {
			r[i] = outwardLine(removed[i])
		}
	}
	for j := range a {
		if a[j] == nil {
			a[j] = outwardLine(added[j])
		}
	}
	return r, a
}

// pair finds, for removed lines with tokens, the added line to compare them with.
func pair(removed, added [][]byte) map[int]int {
	skeleton := func(l []byte) string { return string(token.ReplaceAll(l, []byte(markSecret))) }
	waiting := map[string][]int{}
	for j, l := range added {
		if token.Match(l) {
			s := skeleton(l)
			waiting[s] = append(waiting[s], j)
		}
	}
	partner, taken := map[int]int{}, map[int]bool{}
	var rest []int
	for i, l := range removed {
		if !token.Match(l) {
			continue
		}
		s := skeleton(l)
		if js := waiting[s]; len(js) > 0 {
			partner[i], waiting[s] = js[0], js[1:]
			taken[js[0]] = true
			continue
		}
		rest = append(rest, i)
	}
	for _, i := range rest {
		want := len(token.FindAllIndex(removed[i], -1))
		for j, l := range added {
			if !taken[j] && firstWord(l) == firstWord(removed[i]) && len(token.FindAllIndex(l, -1)) == want {
				partner[i], taken[j] = j, true
				break
			}
		}
	}
	return partner
}

func firstWord(l []byte) string {
	word, _, _ := bytes.Cut(bytes.TrimSpace(l), []byte{' '})
	return string(word)
}

// markTokens replaces the tokens of two lines, which have equally many, by what
// comparing them says.
func markTokens(x, y []byte) (mx, my []byte) {
	tx, ty := token.FindAllSubmatch(x, -1), token.FindAllSubmatch(y, -1)
	mark := func(i int) []byte {
		switch dx, dy := tx[i][1], ty[i][1]; {
		case len(dx) == 0 || len(dy) == 0:
			return []byte(markSecret)
		case bytes.Equal(dx, dy):
			return []byte(markSame)
		}
		return []byte(markChanged)
	}
	replace := func(l []byte) []byte {
		i := -1
		return token.ReplaceAllFunc(l, func([]byte) []byte { i++; return mark(i) })
	}
	return replace(x), replace(y)
}
