package platform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"muster/collector"
)

// Each mark of a change that waits is needed for one of the fixture's cases, and
// the parts as they are hold none.
func TestEveryMarkOfPendingHasACase(t *testing.T) {
	seenRules := map[string]bool{} // by Revision: IOS-XE has the rules of IOS
	for _, f := range fixtures(t) {
		marks := f.def.rules.pending
		if len(marks) == 0 || seenRules[f.def.Revision] {
			continue
		}
		seenRules[f.def.Revision] = true
		if says, known := f.def.Waiting(f.parts); len(says) > 0 || !known {
			t.Errorf("%s: Waiting() = %q, %v; nothing waits in the fixture", f.def.Name, says, known)
		}
		if _, known := f.def.Waiting(map[string][]byte{"running": nil}); known {
			t.Errorf("%s: what waits is known without a part that shows it", f.def.Name)
		}
		seen := map[string]bool{}
		f.each("waiting", func(name, data string) {
			says, _ := f.def.Waiting(f.changed(t, data))
			if len(says) != 1 {
				t.Errorf("%s: %s: Waiting() = %q, want one", f.def.Name, name, says)
			}
			for _, s := range says {
				seen[s] = true
			}
		})
		for _, m := range marks {
			if !seen[m.says] {
				t.Errorf("%s: no case of waiting/ needs the mark %s", f.def.Name, m.match)
			}
		}
	}
}

// Each proof of a part beside the running config is needed, and so is each line
// that decides whether a part is read.
func TestEveryProofOfOtherPartsCatchesSomething(t *testing.T) {
	seen := map[string]bool{} // likewise
	never := regexp.MustCompile(`^\x00(\x00)`)
	for _, f := range fixtures(t) {
		if seen[f.def.Revision] {
			continue
		}
		seen[f.def.Revision] = true
		run, _ := f.def.part(RoleRunning)
		verdicts := func(d *Definition) (v []bool) {
			_, err := d.Judge(f.parts, 0)
			v = append(v, err == nil)
			f.each("broken", func(_, data string) {
				_, script, _ := strings.Cut(data, "\n")
				_, err := d.Judge(f.changed(t, script), 0)
				v = append(v, err == nil)
			})
			return v
		}
		full := verdicts(f.def)
		try := func(name string, change func(d *Definition, r *rules)) {
			d, r := *f.def, *f.def.rules
			d.Parts, r.complete = slices.Clone(d.Parts), maps.Clone(r.complete)
			d.rules = &r
			change(&d, &r)
			if slices.Equal(verdicts(&d), full) {
				t.Errorf("%s: without %s the fixture's captures are judged the same", f.def.Name, name)
			}
		}
		for part, c := range f.def.rules.complete {
			if part == run.Name || f.def.Evidence.Kind == Declared && f.parts[part] == nil {
				continue
			}
			put := func(change func(*completeRules)) func(*Definition, *rules) {
				return func(_ *Definition, r *rules) { x := c; change(&x); r.complete[part] = x }
			}
			if c.start != nil {
				try(part+".start", put(func(c *completeRules) { c.start = nil }))
			}
			if c.lastLine != nil {
				try(part+".last_line", put(func(c *completeRules) { c.lastLine = nil }))
			}
			if c.braces[0] != 0 {
				try(part+".braces", put(func(c *completeRules) { c.braces = [2]byte{} }))
			}
			for i := range c.sections {
				try(fmt.Sprintf("%s.sections[%d]", part, i), put(func(c *completeRules) { c.sections = slices.Delete(slices.Clone(c.sections), i, i+1) }))
			}
		}
		for i, p := range f.def.Parts {
			if p.each != nil {
				try(p.Name+".each", func(d *Definition, _ *rules) { d.Parts[i].each = &condition{p.each.part, never} })
			}
			if p.when != nil && !p.Optional {
				try(p.Name+".when", func(d *Definition, _ *rules) { d.Parts[i].when = &condition{p.when.part, never} })
			}
		}
	}
}

func TestReadings(t *testing.T) {
	d, _ := definitions(t).ByName("cisco_asa")
	var context, contexts Part
	for _, p := range d.Parts {
		switch p.Name {
		case "context":
			context = p
		case "contexts":
			contexts = p
		}
	}
	list := "Context Name\n*admin  default\n dmz    default\n dmz    default\nTotal active Security Contexts: 2\n"
	for _, tt := range []struct {
		name  string
		part  Part
		texts map[string][]byte
		want  []string
		known bool
		fails bool
	}{
		{"the list was not read", context, nil, nil, false, false},
		{"there are none", context, map[string][]byte{"contexts": []byte("Context Name\n")}, nil, true, false},
		{"each once", context, map[string][]byte{"contexts": []byte(list)}, []string{"context:admin changeto context admin", "context:dmz changeto context dmz"}, true, false},
		{"a name that is no word", context, map[string][]byte{"contexts": []byte("*.x default\n")}, nil, true, true},
		{"what decides was not read", contexts, nil, nil, false, false},
		{"single mode", contexts, map[string][]byte{"mode": []byte("Security context mode: single\n")}, nil, true, false},
		{"multiple mode", contexts, map[string][]byte{"mode": []byte("Security context mode: multiple\n")}, []string{"contexts changeto system"}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, known, err := tt.part.Readings(tt.texts)
			var got []string
			for _, r := range all {
				got = append(got, r.Name+" "+r.Before[0])
				for _, c := range append(r.Before, r.Source) {
					if !Allowed(c) {
						t.Errorf("%q is sent and not allowed", c)
					}
				}
			}
			if !slices.Equal(got, tt.want) || known != tt.known || (err != nil) != tt.fails {
				t.Errorf("Readings() = %q, %v, %v", got, known, err)
			}
		})
	}
}

// A switch module of a router (EtherSwitch) prints its VLANs in the form of a switch,
// with numbers in the table of SAIDs, and answers "show vlan" with an error.
func TestVLANsOfASwitchModuleAreWhole(t *testing.T) {
	const vlans = `
VLAN Name                             Status    Ports
---- -------------------------------- --------- -------------------------------
1    default                          active    Fa0/1/0, Fa0/1/1, Fa0/1/3
20   voice                            active    Fa0/1/2
1002 fddi-default                     active    
1005 trnet-default                    active    

VLAN Type  SAID       MTU   Parent RingNo BridgeNo Stp  BrdgMode Trans1 Trans2
---- ----- ---------- ----- ------ ------ -------- ---- -------- ------ ------
1    enet  100001     1500  -      -      -        -    -        1002   1003
20   enet  100020     1500  -      -      -        -    -        0      0
1002 fddi  101002     1500  -      -      -        -    -        1      1003
1005 trnet 101005     1500  -      -      1        ibm  -        0      0
`
	for _, f := range fixtures(t) {
		if f.def.Name != "cisco_ios" {
			continue
		}
		if d := f.def.Dialogue(); d.Errors.Refusal([]byte(`% Ambiguous command:  "show vlan"`)) != collector.ErrCommandRejected {
			t.Error("an ambiguous command is not taken for one that the device does not know")
		}
		texts := maps.Clone(f.parts)
		texts["vlans"] = []byte(vlans)
		if proofs, err := f.def.Judge(texts, 0); err != nil {
			t.Errorf("%v: %v", proofs, err)
		}
		texts["vlans"] = []byte(vlans[:len(vlans)/2])
		if _, err := f.def.Judge(texts, 0); collector.KindOf(err) != collector.ErrProofMissing {
			t.Errorf("half of them: %v, want proof-missing", err)
		}
	}
}
