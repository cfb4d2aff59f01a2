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
