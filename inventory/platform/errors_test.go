package platform

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each line of a fixture's errors is taken for what it is, and each pattern of the
// definition is needed for one of them.
func TestEveryErrorPatternHasASample(t *testing.T) {
	for _, f := range fixtures(t) {
		lines := f.lines("errors")
		if lines == nil {
			continue // no samples yet
		}
		c := &f.def.rules.cli
		kinds := map[string][]*regexp.Regexp{"command": c.command, "denied": c.denied, "busy": c.busy, "noise": c.noise}
		if c.enable != nil {
			kinds["enable"] = c.enable.fails
		}
		samples := map[string][]string{}
		for _, l := range lines {
			kind, text, _ := strings.Cut(l, " ")
			samples[kind] = append(samples[kind], text)
			if !slices.ContainsFunc(kinds[kind], func(re *regexp.Regexp) bool { return re.MatchString(text) }) {
				t.Errorf("%s: %q is not taken for %s", f.def.Name, text, kind)
			}
		}
		for kind, patterns := range kinds {
			for i, re := range patterns {
				others := slices.Delete(slices.Clone(patterns), i, i+1)
				if !slices.ContainsFunc(samples[kind], func(text string) bool {
					return re.MatchString(text) && !slices.ContainsFunc(others, func(o *regexp.Regexp) bool { return o.MatchString(text) })
				}) {
					t.Errorf("%s: no sample of %s needs %s", f.def.Name, kind, re)
				}
			}
		}
	}
}

// Words of people in a banner, a description or a contact are no refusal.
func TestWordsOfPeopleAreNoRefusal(t *testing.T) {
	s := definitions(t)
	for name, lines := range map[string][]string{
		"paloalto_panos":   {`          login-banner "If you are not authorized, leave.`, `  comment "permission denied to guests";`},
		"fortinet_fortios": {`    set buffer "Permission denied to guests`, `        set comments "what you are not allowed to do"`},
		"cisco_smb":        {`banner login "If you are not authorized, leave"`, ` description "permission denied"`},
		"aruba_aoscx":      {`    description for who is not authorized`, `snmp-server system-contact "not authorized to say"`},
		"aruba_instant":    {` description "you are not allowed to move it"`, `name "not authorized to say"`},
		"aruba_os":         {`   description "authorization failed here"`, `location "not allowed to say"`},
		"frr":              {` description permission denied`, `access-list A remark permission denied`, ` description failed to connect to any daemons`},
		"garderos":         {`system.location=permission denied`},
		"cisco_ftd":        {`banner login If you are not authorized, leave`, ` description permission denied`},
		"netgate_tnsr":     {`    description access denied`, `    description "protocol access-denied"`},
		"ciena_saos":       {`port set port 1 description "permission denied"`, `port set port 1 description "insufficient privilege"`},
		"dlink_xstack":     {`config ports 1 description permission denied`},
		"westermo_weos":    {`   description "permission denied"`, `   description bicycles are not allowed`},
	} {
		d, ok := s.ByName(name)
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		for _, l := range lines {
			for _, re := range d.Dialogue().Errors.Denied {
				if re.MatchString(l) {
					t.Errorf("%s: %q is a refusal for %s", name, l, re)
				}
			}
		}
	}
}
