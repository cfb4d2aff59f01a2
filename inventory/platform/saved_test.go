package platform

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Each rule by which running and startup config are held against each other is
// needed: without it the saved one of the fixture would differ, or a stored text
// that tells nothing would count.
func TestEveryUnsavedRuleIsNeeded(t *testing.T) {
	seen := map[string]bool{} // by Revision: IOS-XE has the rules of IOS
	for _, f := range fixtures(t) {
		u := f.def.rules.unsaved
		if u == nil || seen[f.def.Revision] {
			continue
		}
		seen[f.def.Revision] = true
		without := map[string]func(*unsavedRules){}
		for where, pick := range map[string]func(*unsavedRules) *evenRules{
			"running": func(u *unsavedRules) *evenRules { return &u.running },
			"startup": func(u *unsavedRules) *evenRules { return &u.startup },
			"both":    func(u *unsavedRules) *evenRules { return &u.both },
		} {
			e := pick(u)
			if e.through != nil {
				without[where+".through"] = func(u *unsavedRules) { pick(u).through = nil }
			}
			for i, re := range e.drop {
				without[fmt.Sprintf("%s.drop %s", where, re)] = func(u *unsavedRules) {
					pick(u).drop = slices.Delete(slices.Clone(e.drop), i, i+1)
				}
			}
			for i, fo := range e.fold {
				without[fmt.Sprintf("%s.fold %s", where, fo.match)] = func(u *unsavedRules) {
					pick(u).fold = slices.Delete(slices.Clone(e.fold), i, i+1)
				}
			}
		}
		for _, re := range u.unknown {
			sampled := false
			f.each("unknown", func(_, startup string) {
				for l := range strings.Lines(startup) {
					sampled = sampled || re.MatchString(strings.TrimSuffix(l, "\n"))
				}
			})
			if !sampled {
				t.Errorf("%s: no sample of an unknown startup config has a line for %s", f.def.Name, re)
			}
		}
		if u.lastLine != nil {
			without["last_line"] = func(u *unsavedRules) { u.lastLine = nil }
		}
		start, _ := f.def.part(RoleStartup)
		verdict := func(d *Definition) (v []bool) {
			r, s, known := d.SavedForm(f.running(), f.parts[start.Name])
			v = append(v, known && bytes.Equal(r, s))
			f.each("unknown", func(_, startup string) {
				_, _, known := d.SavedForm(f.running(), []byte(startup))
				v = append(v, known)
			})
			return v
		}
		full := verdict(f.def)
		for name, change := range without {
			r, own := *f.def.rules, *u
			change(&own)
			own.put()
			r.unsaved = &own
			d := *f.def
			d.rules = &r
			if slices.Equal(verdict(&d), full) {
				t.Errorf("%s: nothing in the fixture needs unsaved.%s", f.def.Name, name)
			}
		}
	}
}

// What the common end of two texts lets skip must not change the answer, whatever
// differs in front of it.
func TestCommonEndChangesNoVerdict(t *testing.T) {
	skipped := 0
	for _, f := range fixtures(t) {
		u := f.def.rules.unsaved
		if u == nil {
			continue
		}
		sx := &f.def.rules.syntax
		start, _ := f.def.part(RoleStartup)
		rapid.Check(t, func(rt *rapid.T) {
			shuffled := func(name string, text []byte) []byte {
				lines := bytes.SplitAfter(f.def.Normal(text), []byte{'\n'})
				for range rapid.IntRange(0, 3).Draw(rt, name) {
					i, j := rapid.IntRange(0, len(lines)-1).Draw(rt, "line"), rapid.IntRange(0, len(lines)-1).Draw(rt, "from")
					switch rapid.IntRange(0, 2).Draw(rt, "how") {
					case 0:
						lines = slices.Insert(lines, i, lines[j])
					case 1:
						lines = slices.Insert(lines, i, []byte(rapid.SampledFrom([]string{"\"", "banner motd ^C", "quit", "\n", "!\n", "x"}).Draw(rt, "text")))
					case 2:
						lines = append(lines[:i:i], lines[min(i+1, len(lines)-1):]...)
					}
				}
				return bytes.Join(lines, nil)
			}
			r := shuffled("running", f.running())
			s := shuffled("startup", rapid.SampledFrom([][]byte{f.running(), f.parts[start.Name]}).Draw(rt, "of"))
			// A rule for one of the two alone says of a line that both have that they
			// differ, which is no difference: each list is taken for both.
			for _, e := range []evening{u.ofRunning, u.ofStartup} {
				same := unsavedRules{ofRunning: e, ofStartup: e}
				if !same.alike(sx, r, s) {
					continue
				}
				skipped++
				if a, b := e.of(sx, r), e.of(sx, s); !bytes.Equal(a, b) {
					rt.Fatalf("%s: alike, but as a whole\n%s\nand\n%s", f.def.Name, a, b)
				}
			}
		})
	}
	if skipped < 100 && *only == "" {
		t.Errorf("only %d pairs were alike by their ends", skipped)
	}
}

// What is open at the begin of the common end reaches into it.
func TestCommonEndStandsByItself(t *testing.T) {
	var sx syntaxRules
	sx.texts.add(freeText{start: regexp.MustCompile(`^banner (\S)`)})
	u := unsavedRules{both: evenRules{
		drop: []*regexp.Regexp{regexp.MustCompile(`^banner`), regexp.MustCompile(`^!`)},
		fold: []fold{
			{match: regexp.MustCompile(`^(cert) file$`)},
			{match: regexp.MustCompile(`^(cert)$`), while: regexp.MustCompile(`^ \d+$`)},
		},
	}}
	u.put()
	for _, c := range []struct {
		name, running, startup string
		alike                  bool
	}{
		{"plain", "! one\na\nb\nend\n", "! two\na\nb\nend\n", true},
		{"open text", "banner #\n! of a banner\nend\n", "!\n! of a banner\nend\n", false},
		{"open fold", "cert\n 10\n 20\nend\n", "cert file\n 10\n 20\nend\n", false},
		{"no end in common", "a\nend", "b\nend\n", false},
	} {
		if got := u.alike(&sx, []byte(c.running), []byte(c.startup)); got != c.alike {
			t.Errorf("%s: alike %t", c.name, got)
		}
	}
}
