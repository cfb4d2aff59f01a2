package platform

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
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

// What is known of a text by one that ends alike is what a look at it says.
func TestLookLikeAnotherIsALook(t *testing.T) {
	t.Parallel()
	opening := []string{`description "open`, "banner motd ^C", "/* comment", " certificate self-signed 01", "snmp-server location a\"b", "", "!", "% Invalid input"}
	rules := func(l *look, i int) ruleSet {
		if l.may.of == nil {
			return ruleSet{}
		}
		return *l.may.at(i)
	}
	derived := map[string]int{}
	for _, f := range fixtures(t) {
		running, ok := f.def.part(RoleRunning)
		if !ok || len(f.parts[running.Name]) == 0 {
			continue
		}
		text := f.parts[running.Name]
		r := f.def.r()
		before := r.look(new(look), text)
		lines := bytes.SplitAfter(text, []byte{'\n'})
		rapid.Check(t, func(rt *rapid.T) {
			cut := rapid.IntRange(0, len(lines)/2).Draw(rt, "lines that are others")
			var other []byte
			for range rapid.IntRange(0, 4).Draw(rt, "lines in their place") {
				if rapid.Bool().Draw(rt, "known") {
					other = append(other, rapid.SampledFrom(lines).Draw(rt, "line")...)
				} else {
					other = append(other, rapid.SampledFrom(opening).Draw(rt, "line")+"\n"...)
				}
			}
			other = append(other, bytes.Join(lines[cut:], nil)...)
			if len(other) == 0 {
				return
			}
			got := new(look)
			if !r.lookLike(got, other, before) {
				return
			}
			derived[f.def.Name]++
			want := r.look(new(look), other)
			if !slices.Equal(got.lines, want.lines) {
				rt.Fatalf("%s: lines are not those of a look", f.def.Name)
			}
			for i := range want.lines {
				if rules(got, i) != rules(want, i) {
					rt.Fatalf("%s: line %d may match other rules than by a look", f.def.Name, i)
				}
			}
		})
	}
	if len(derived) < 20 {
		t.Errorf("known by another text only of %d platforms", len(derived))
	}
}
