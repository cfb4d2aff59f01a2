package platform

import (
	"bytes"
	"sort"
)

// folds are the places where a text was joined, in order.
type folds []struct {
	at      int // in the joined text: what follows stood in the next line
	removed int // bytes taken out up to and including this place
}

// start is where a value begins in the text as it was; one that begins at a fold
// begins behind it.
func (f folds) start(at int) int { return at + f.before(at+1) }

// end is where a value ends in the text as it was; one that ends at a fold ends
// in front of it.
func (f folds) end(at int) int { return at + f.before(at) }

// before counts the bytes that were taken out in front of a place.
func (f folds) before(at int) int {
	if i := sort.Search(len(f), func(i int) bool { return f[i].at >= at }); i > 0 {
		return f[i-1].removed
	}
	return 0
}

// unfold joins the lines that end with the mark of a folded line with the next
// one, without the blanks that the device put in front of it. Where nothing is
// folded it gives text itself and nil.
func (s *syntaxRules) unfold(text []byte) ([]byte, folds) {
	if s.fold == 0 || !bytes.Contains(text, []byte{s.fold, '\n'}) {
		return text, nil
	}
	var (
		out     = make([]byte, 0, len(text))
		places  folds
		removed int
	)
	for i := 0; i < len(text); i++ {
		if text[i] != s.fold || i+1 == len(text) || text[i+1] != '\n' {
			out = append(out, text[i])
			continue
		}
		from := i
		for i++; i+1 < len(text) && text[i+1] == ' '; {
			i++
		}
		removed += i + 1 - from
		places = append(places, struct{ at, removed int }{len(out), removed})
	}
	return out, places
}
