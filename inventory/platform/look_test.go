package platform

import (
	"bytes"
	"fmt"
	"testing"
)

// What the rules say of a capture is the same in memory that another capture has
// used before, and what is kept of it outlives that memory.
func TestOneCaptureLeavesNothingToTheNext(t *testing.T) {
	t.Parallel()
	key := []byte("key")
	type said struct {
		redacted [][]byte
		rest     string // what is no text, as it was said
	}
	say := func(d *Definition, texts map[string][]byte) (s said) {
		proofs, err := d.Judge(texts, 0)
		running, _ := d.part(RoleRunning)
		for _, p := range d.Parts {
			if text := texts[p.Name]; text != nil {
				s.redacted = append(s.redacted, d.Redact(d.Normal(text), key))
				saved, of, known := d.SavedForm(texts[running.Name], text)
				s.rest += fmt.Sprintf("%x %x %t ", saved, of, known)
				s.rest += fmt.Sprint(d.Volatile(text))
			}
		}
		s.rest += fmt.Sprint(proofs, err, d.TextFacts(texts))
		return s
	}
	type pair struct{ alone, shared said }
	var all []pair
	var names []string
	for _, f := range fixtures(t) {
		texts := f.parts
		alone := say(f.def, texts)
		d := f.def.ForCapture()
		shared := say(d, texts)
		d.Forget()
		all, names = append(all, pair{alone, shared}), append(names, f.def.Name)
	}
	for i, p := range all { // only now, when all memory has been used by others
		if p.alone.rest != p.shared.rest {
			t.Errorf("%s: alone %.300s\nin used memory %.300s", names[i], p.alone.rest, p.shared.rest)
		}
		for k, text := range p.alone.redacted {
			if !bytes.Equal(text, p.shared.redacted[k]) {
				t.Errorf("%s: text %d was %.200q and is %.200q", names[i], k, text, p.shared.redacted[k])
			}
		}
	}
}

// Each combination of words in a line has its set, however many there are.
func TestMarksJoinTheSetsOfALine(t *testing.T) {
	t.Parallel()
	var x index
	words := []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", ""}
	for n, w := range words {
		x.add(n, []string{w})
	}
	var text bytes.Buffer
	for n := range 1 << 7 {
		for k := range 7 {
			if n>>k&1 == 1 {
				text.WriteString(words[k] + " ")
			}
		}
		text.WriteByte('\n')
	}
	lines := splitLines(text.Bytes())
	m := x.candidates(text.Bytes(), lines, nil)
	for n := range 1 << 7 {
		var got []int
		m.at(n).each(func(rule int) bool { got = append(got, rule); return true })
		var want []int
		for k, w := range words {
			if bytes.Contains(lines[n].of(text.Bytes()), []byte(w)) {
				want = append(want, k)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("line %d: rules %v, want %v", n, got, want)
		}
	}
}
