package platform

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
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
