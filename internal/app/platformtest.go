package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"muster/inventory/platform"
)

// TestPlatform says what a platform definition would be and send, without
// putting it in force, or all of its faults. It needs no data directory.
func TestPlatform(file string) ([]string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, refuse("the definition cannot be read: %v", err)
	}
	d, faults := platform.Check(filepath.Base(file), src)
	if len(faults) > 0 {
		all := Faults{}
		for _, f := range faults {
			all = append(all, f)
		}
		return nil, all
	}
	var parts []string
	for _, p := range d.Parts {
		parts = append(parts, fmt.Sprintf("%s (%s)", p.Name, p.Role))
	}
	said := []string{
		fmt.Sprintf("%s is good: platform %s, %s", file, d.Name, strings.TrimSpace(d.Vendor+" "+d.Family)),
		fmt.Sprintf("evidence: %s, %s", d.Evidence.Kind, d.Evidence.Source),
		"parts: " + strings.Join(parts, ", "),
		"may send or read:",
	}
	for _, c := range d.Commands() {
		said = append(said, "  "+c)
	}
	if d.Evidence.Kind == platform.Declared {
		said = append(said, "It is only declared: sessions need declared: allow in the scope, and the first capture waits in quarantine.")
	}
	return append(said, "To use it: copy it into the folder platforms of the data directory, then muster reload."), nil
}
