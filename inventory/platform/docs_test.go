package platform

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/platforms.md is made of the definitions, so that it cannot say anything
// else: go test ./inventory/platform -run Generated -update writes it.
func TestPlatformsPageIsGenerated(t *testing.T) {
	const page = "../../docs/platforms.md"
	want := platformsPage(definitions(t))
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/platforms.md is stale (go test -update rewrites it):\n%s", firstDifference(want, string(got)))
	}
}

func platformsPage(s *Set) string {
	var b strings.Builder
	b.WriteString(`# Platforms

Made from the definitions in inventory/platform/definitions; do not edit. "muster platform list" says the same of what is
installed, "muster platform show NAME --commands" prints every command that may be sent.

Evidence: *recorded* was played against recordings of real devices, *lab* against real software, *declared* stands on documents
alone: no session is opened until the scope says "declared: allow", and the first capture waits in quarantine. Restorable says
whether the text loads back. Unsaved says whether muster sees that running and startup config differ.

| platform | vendor | family | evidence | restorable | unsaved |
|---|---|---|---|---|---|
`)
	for _, d := range s.All() {
		unsaved := "no"
		if _, ok := d.part(RoleStartup); ok {
			unsaved = "yes"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", d.Name, d.Name, d.Vendor, d.Family, d.Evidence.Kind, d.Restorable.Text, unsaved)
	}
	for _, d := range s.All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s %s.\n\n", d.Name, d.Vendor, d.Family)
		fmt.Fprintf(&b, "- Evidence (%s): %s\n", d.Evidence.Kind, stopped(d.Evidence.Source))
		fmt.Fprintf(&b, "- Restorable (%s): %s\n", d.Restorable.Text, stopped(d.Restorable.Why))
		if d.Pending != "" {
			fmt.Fprintf(&b, "- Pending: %s\n", stopped(d.Pending))
		}
		for _, name := range []string{"model", "version", "serial"} {
			fmt.Fprintf(&b, "- %s: %s.\n", strings.ToUpper(name[:1])+name[1:], d.factSources(name))
		}
		for _, p := range d.Parts {
			optional := ""
			if p.Optional {
				optional = ", optional"
			}
			alternative := ""
			if p.Else != "" {
				alternative = fmt.Sprintf(", or `%s` where the device does not know that", p.Else)
			}
			fmt.Fprintf(&b, "- Reads %s (%s by %s%s): `%s`%s\n", p.Name, p.Role, p.Via, optional, p.Source, alternative)
		}
		if len(d.Parts) > 0 {
			fmt.Fprintf(&b, "- Proofs of the running config: %s.\n", strings.Join(d.proofNames(), ", "))
		}
		for _, r := range d.r().rights {
			fmt.Fprintf(&b, "- Rights: %s\n", r.do)
		}
		if slices.ContainsFunc(d.r().secrets, func(s secretRule) bool { return s.class == classReencrypted }) {
			b.WriteString("- Some values are encrypted anew at each display: that one comes or goes is seen, that one changed is not.\n")
		}
	}
	return b.String()
}

// factSources tells where a fact comes from, the first source that answers winning.
func (d *Definition) factSources(name string) string {
	var from []string
	for _, f := range d.r().facts {
		if f.name != name {
			continue
		}
		for _, s := range f.sources {
			one := s.from
			if s.kind == fromPart {
				one = "`" + s.from + "`"
			}
			if !slices.Contains(from, one) {
				from = append(from, one)
			}
		}
	}
	if len(from) == 0 {
		return "no source is known"
	}
	return strings.Join(from, ", then ")
}

// stopped ends with a full stop.
func stopped(s string) string { return strings.TrimSuffix(strings.TrimSpace(s), ".") + "." }

// proofNames tells what has to hold for the running config.
func (d *Definition) proofNames() []string {
	run, _ := d.part(RoleRunning)
	c := d.r().complete[run.Name]
	var names []string
	for _, p := range []struct {
		given bool
		name  string
	}{
		{c.start != nil, "first line"},
		{c.lastLine != nil, "last line"},
		{c.count != nil, "byte count"},
		{c.braces[0] != 0 || len(c.blocks) > 0, "balance"},
		{len(c.sections) > 0, "sections"},
		{c.contexts != nil, "contexts"},
		{c.answered != nil, "daemons that answered"},
		{c.outline != nil, "comparison with another reading"},
		{slices.ContainsFunc(d.r().rights, func(r rightsRule) bool { return r.part == run.Name }), "marks of full rights"},
	} {
		if p.given {
			names = append(names, p.name)
		}
	}
	return append(names, "no error message and no pager inside", "not below half of the last size")
}
