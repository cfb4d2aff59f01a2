package platform

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"muster/collector"
)

// withParts are the fixtures of platforms that have something to back up.
func withParts(t *testing.T) []*fixture {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(fixtures(t)), func(f *fixture) bool { return !f.def.HasParts() })
}

func TestWholeConfigIsProved(t *testing.T) {
	for _, f := range withParts(t) {
		t.Run(f.def.Name, func(t *testing.T) {
			proofs, err := f.def.Judge(f.parts, len(f.running()))
			if err != nil {
				t.Fatal(err)
			}
			if len(proofs) < 3 {
				t.Errorf("only %d proofs: %v", len(proofs), proofs)
			}
		})
	}
}

// What other models and releases print is whole as well.
func TestOtherFormsAreProved(t *testing.T) {
	for _, f := range fixtures(t) {
		f.each("whole", func(name, script string) {
			if _, err := f.def.Judge(f.changed(t, script), 0); err != nil {
				t.Errorf("%s/%s: %v", f.def.Name, name, err)
			}
		})
	}
}

// Wherever an answer is cut, it is no version; only blanks at its end may go.
func TestTruncatedConfigIsNotProved(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.def.Name, func(t *testing.T) {
			run, _ := f.def.part(RoleRunning)
			whole := f.running()
			texts := map[string][]byte{}
			for k, v := range f.parts {
				texts[k] = v
			}
			for at := range whole {
				texts[run.Name] = whole[:at]
				_, err := f.def.Judge(texts, 0)
				if lost := whole[at:]; err == nil && len(bytes.TrimSpace(lost)) > 0 {
					t.Fatalf("cut at byte %d (%q) it still passes", at, lost[:min(40, len(lost))])
				}
			}
		})
	}
}

func TestBrokenCapturesAreNotProved(t *testing.T) {
	for _, f := range fixtures(t) {
		f.each("broken", func(name, data string) {
			t.Run(f.def.Name+"/"+name, func(t *testing.T) {
				kind, script, _ := strings.Cut(data, "\n")
				_, err := f.def.Judge(f.changed(t, script), 0)
				var e *collector.Error
				if !errors.As(err, &e) {
					t.Fatalf("Judge() = %v, want %s", err, kind)
				}
				if string(e.Kind) != kind || e.Step != collector.StepJudge {
					t.Errorf("Judge() = %s at %s, want %s at judge: %v", e.Kind, e.Step, kind, err)
				}
				if e.Do == "" || e.Cause == nil {
					t.Errorf("the error does not say what to do: %#v", e)
				}
			})
		})
	}
}

// Each proof is needed: without it, one of the broken captures would pass.
func TestEveryProofCatchesSomething(t *testing.T) {
	seen := map[string]bool{} // by Revision: IOS-XE has the rules of IOS
	for _, f := range withParts(t) {
		if seen[f.def.Revision] {
			continue
		}
		seen[f.def.Revision] = true
		t.Run(f.def.Name, func(t *testing.T) {
			run, _ := f.def.part(RoleRunning)
			c := f.def.rules.complete[run.Name]
			without := map[string]func(*rules, *completeRules){
				"start":     func(_ *rules, c *completeRules) { c.start = nil },
				"last_line": func(_ *rules, c *completeRules) { c.lastLine = nil },
				"count":     func(_ *rules, c *completeRules) { c.count = nil },
				"braces":    func(_ *rules, c *completeRules) { c.braces = [2]byte{} },
				"blocks":    func(_ *rules, c *completeRules) { c.blocks = nil },
				"contexts":  func(_ *rules, c *completeRules) { c.contexts = nil },
				"answered":  func(_ *rules, c *completeRules) { c.answered = nil },
				"outline":   func(_ *rules, c *completeRules) { c.outline = nil },
				"texts":     func(r *rules, _ *completeRules) { r.syntax.texts = freeTexts{}; r.gather() },
				"quotes":    func(r *rules, _ *completeRules) { r.syntax.quote = 0 },
				"comments":  func(r *rules, _ *completeRules) { r.syntax.comments, r.syntax.blockComments = nil, [2]string{} },
				"pager":     func(r *rules, _ *completeRules) { r.cli.pager = nil; r.gather() },
				"denied":    func(r *rules, _ *completeRules) { r.cli.denied = nil; r.gather() },
				"command":   func(r *rules, _ *completeRules) { r.cli.command = nil; r.gather() },
				"busy":      func(r *rules, _ *completeRules) { r.cli.busy = nil; r.gather() },
			}
			for i := range c.sections {
				without[fmt.Sprintf("sections[%d]", i)] = func(_ *rules, c *completeRules) { c.sections = slices.Delete(slices.Clone(c.sections), i, i+1) }
			}
			if c.contexts != nil {
				without["contexts.also"] = func(_ *rules, c *completeRules) { x := *c.contexts; x.also = nil; c.contexts = &x }
			}
			for i, r := range f.def.rules.rights {
				for k := range r.demands {
					without[fmt.Sprintf("rights[%d].demand[%d]", i, k)] = func(r *rules, _ *completeRules) {
						r.rights[i].demands = slices.Delete(slices.Clone(r.rights[i].demands), k, k+1)
					}
				}
				for k := range r.marks {
					without[fmt.Sprintf("rights[%d].never[%d]", i, k)] = func(r *rules, _ *completeRules) {
						r.rights[i].marks = slices.Delete(slices.Clone(r.rights[i].marks), k, k+1)
					}
				}
			}
			verdicts := func(d *Definition) []bool {
				_, err := d.Judge(f.parts, 0)
				v := []bool{err == nil}
				f.each("broken", func(_, data string) {
					_, script, _ := strings.Cut(data, "\n")
					_, err := d.Judge(f.changed(t, script), 0)
					v = append(v, err == nil)
				})
				return v
			}
			full := verdicts(f.def)
			for name, change := range without {
				r := *f.def.rules
				c := c
				r.rights = slices.Clone(r.rights)
				change(&r, &c)
				r.complete = map[string]completeRules{run.Name: c}
				d := *f.def
				d.rules = &r
				if given(&r, f.def.rules, &c, f.def.rules.complete[run.Name]) && slices.Equal(verdicts(&d), full) {
					t.Errorf("without %s the fixture's captures are judged the same", name)
				}
			}
		})
	}
}

// given reports whether taking a rule out has changed anything.
func given(r, was *rules, c *completeRules, cWas completeRules) bool {
	a, b := *r, *was
	for _, x := range []*rules{&a, &b} { // made from the others
		x.statements, x.syntax.texts.index = statements{}, index{}
	}
	return fmt.Sprintf("%v %v", a, *c) != fmt.Sprintf("%v %v", b, cWas)
}

func TestHalfOfTheLastSizeIsImplausible(t *testing.T) {
	for _, f := range withParts(t) {
		size := len(f.running())
		if _, err := f.def.Judge(f.parts, size*2); err != nil {
			t.Errorf("%s: half of the last size is refused: %v", f.def.Name, err)
		}
		if _, err := f.def.Judge(f.parts, size*2+2); !errors.Is(err, collector.ErrImplausible) {
			t.Errorf("%s: less than half of the last size: %v, want %s", f.def.Name, err, collector.ErrImplausible)
		}
	}
}

func TestEmptyAndForeignTextsAreNotProved(t *testing.T) {
	for _, f := range fixtures(t) {
		run, _ := f.def.part(RoleRunning)
		for _, text := range []string{"", "\n\n", "end\n", "}\n", "% Invalid input detected at '^' marker.\n", "login: ", "\x00\xff\xfe", strings.Repeat("{", 100)} {
			texts := map[string][]byte{}
			for k, v := range f.parts {
				texts[k] = v
			}
			texts[run.Name] = []byte(text)
			if proofs, err := f.def.Judge(texts, 0); err == nil {
				t.Errorf("%s: %q is proved: %v", f.def.Name, text, proofs)
			}
		}
	}
}

// What an error quotes of a configuration has its secrets masked, also those that
// begin far above the quoted end.
func TestJudgementShowsNoSecret(t *testing.T) {
	s := definitions(t)
	for name, text := range map[string]string{
		"cisco_ios":        "Building configuration...\n\nCurrent configuration : 90 bytes\n!\nusername ops password 0 hunter2hunter2\nsnmp-server community hunter2hunter2 RO\n",
		"fortinet_fortios": "#config-version=FGT\nconfig vpn certificate local\n    edit \"web\"\n        set private-key \"-----BEGIN KEY-----\n" + strings.Repeat("hunter2hunter2\n", 1000),
		"juniper_junos":    "version 1;\nsystem {\n    secret \"$9$hunter2hunter2",
	} {
		d, _ := s.ByName(name)
		_, err := d.Judge(map[string][]byte{"running": []byte(text)}, 0)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Judge() = %v", err)
		}
	}
}

// A proof is shown and stored as it is: what it quotes is no secret, also where
// only the rules of the platform know it for one.
func TestProofsQuoteNoSecret(t *testing.T) {
	for _, f := range withParts(t) {
		if f.def.Name != "hp_procurve" {
			continue
		}
		const hash = "5baa61e4c9b93f3f"
		texts := map[string][]byte{}
		for name, text := range f.parts {
			texts[name] = append(slices.Clone(text), `password port-access user-name "ops" sha1 "`+hash+"\"\n"...)
		}
		proofs, err := f.def.Judge(texts, 0)
		if err != nil {
			t.Fatal(err)
		}
		last := slices.IndexFunc(proofs, func(p Proof) bool { return p.Rule == "last line" })
		if last < 0 || !strings.HasPrefix(proofs[last].Seen, "password port-access ") || strings.Contains(fmt.Sprint(proofs), hash) {
			t.Errorf("the proofs are %v", proofs)
		}
	}
}
