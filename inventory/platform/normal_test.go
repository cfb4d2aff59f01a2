package platform

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compared is what versions are compared by: the running config and the extra parts.
func (f *fixture) compared(texts map[string][]byte) []byte {
	var all []byte
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if slices.ContainsFunc(f.def.Parts, func(p Part) bool { return p.Owns(name) && (p.Role == RoleRunning || p.Role == RoleExtra) }) {
			all = append(all, f.def.Redact(f.def.Normal(texts[name]), testKey)...)
		}
	}
	return all
}

// What changes by itself is no change, whatever night it is.
func TestNoiseIsNoChange(t *testing.T) {
	for _, f := range fixtures(t) {
		before := f.compared(f.parts)
		f.each("same", func(name, script string) {
			texts := f.changed(t, script)
			if maps.EqualFunc(texts, f.parts, bytes.Equal) {
				t.Errorf("%s/%s changes nothing", f.def.Name, name)
			}
			after := f.compared(texts)
			if d := cmp.Diff(string(before), string(after)); d != "" {
				t.Errorf("%s/%s counts as a change:\n%s", f.def.Name, name, d)
			}
		})
	}
}

// What a person changed shows, secrets included.
func TestChangesShow(t *testing.T) {
	for _, f := range fixtures(t) {
		before := f.compared(f.parts)
		f.each("differs", func(name, script string) {
			after := f.compared(f.changed(t, script))
			if bytes.Equal(before, after) {
				t.Errorf("%s/%s does not show", f.def.Name, name)
			}
		})
	}
}

// Each volatile rule is needed: without it a reading of the fixtures would differ.
func TestEveryVolatileRuleIgnoresSomething(t *testing.T) {
	seen := map[string]bool{} // by Revision: IOS-XE has the rules of IOS
	for _, f := range fixtures(t) {
		if seen[f.def.Revision] {
			continue
		}
		seen[f.def.Revision] = true
		var texts [][]byte
		for _, x := range f.parts {
			texts = append(texts, x)
		}
		run, _ := f.def.part(RoleRunning)
		f.each("same", func(_, script string) { texts = append(texts, f.changed(t, script)[run.Name]) })
		for i, v := range f.def.rules.volatile {
			d := *f.def
			d.rules = f.def.rules.withoutVolatile(i)
			needed := false
			for _, x := range texts {
				needed = needed || !bytes.Equal(d.Normal(x), f.def.Normal(x))
			}
			if !needed {
				t.Errorf("%s: nothing in the fixture needs %s", f.def.Name, v.match)
			}
		}
	}
}

func TestNormalKeepsWhatNoRuleNames(t *testing.T) {
	d, _ := definitions(t).ByName("cisco_ios")
	for _, text := range []string{
		"",
		"hostname r1\n",
		"hostname r1",                           // no line end is added
		" certificate self-signed 01\n  3082\n", // the block is not closed: what is missing shows
		"banner motd ^C\n! Last configuration change at noon\n^C\n",
	} {
		if got := string(d.Normal([]byte(text))); got != text {
			t.Errorf("Normal(%q) = %q", text, got)
		}
	}
}

// saysOfChange is what the running config says of its last change, under rules.
func (f *fixture) saysOfChange(rules *rules) (said string) {
	d := *f.def
	d.rules = rules
	for _, fact := range d.Volatile(f.running()) {
		if fact.Name == FactChanged {
			said += fact.Value + "\n"
		}
	}
	return said
}

// What a text says of its last change is kept, by every rule that reads it, and
// the line where it says so is no change.
func TestLastChangeIsKeptAsFact(t *testing.T) {
	n := 0
	for _, f := range fixtures(t) {
		f.golden(t, "changed", []byte(f.saysOfChange(f.def.rules)))
		for i, v := range f.def.rules.volatile {
			if v.fact != FactChanged {
				continue
			}
			n++
			if f.saysOfChange(f.def.rules.withoutVolatile(i)) == f.saysOfChange(f.def.rules) {
				t.Errorf("%s: nothing in the fixture needs %s", f.def.Name, v.keep)
			}
		}
	}
	if n < 8 && *only == "" {
		t.Errorf("only %d platforms tell who changed them", n)
	}
}

// withoutVolatile is r without one of its volatile rules.
func (r *rules) withoutVolatile(i int) *rules {
	fewer := *r
	fewer.volatile = slices.Delete(slices.Clone(r.volatile), i, i+1)
	fewer.gather()
	return &fewer
}

func TestSavedConfigIsNotUnsaved(t *testing.T) {
	for _, f := range fixtures(t) {
		start, keeps := f.def.part(RoleStartup)
		r, s, known := f.def.SavedForm(f.running(), f.parts[start.Name])
		if known != keeps {
			t.Errorf("%s: known = %t, want %t", f.def.Name, known, keeps)
		}
		if d := cmp.Diff(string(s), string(r)); keeps && d != "" {
			t.Errorf("%s: saved, but it differs:\n%s", f.def.Name, d)
		}
	}
}

func TestUnsavedChangeShows(t *testing.T) {
	for _, f := range fixtures(t) {
		run, _ := f.def.part(RoleRunning)
		start, _ := f.def.part(RoleStartup)
		f.each("unsaved", func(name, script string) {
			r, s, known := f.def.SavedForm(f.changed(t, script)[run.Name], f.parts[start.Name])
			if !known || bytes.Equal(r, s) {
				t.Errorf("%s/%s: known %t, and no difference", f.def.Name, name, known)
			}
		})
	}
}

// A stored text that could not be read tells nothing, least of all a difference.
func TestUnreadableStartupIsNotKnown(t *testing.T) {
	for _, f := range fixtures(t) {
		f.each("unknown", func(name, startup string) {
			if _, _, known := f.def.SavedForm(f.running(), []byte(startup)); known {
				t.Errorf("%s/%s counts as known", f.def.Name, name)
			}
		})
		if _, _, known := f.def.SavedForm(f.running(), nil); known {
			t.Errorf("%s: no startup config counts as known", f.def.Name)
		}
	}
}
