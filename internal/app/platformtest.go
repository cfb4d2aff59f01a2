package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"muster/inventory/platform"
)

// TestPlatform says what a platform definition would be and send, without
// putting it in force, or all of its faults. With a record of a dialogue it says
// what a backup of that device would come to; the definition may be left out then
// and is the built-in one. It needs no data directory.
func TestPlatform(file, record string) ([]string, error) {
	if record == "" && file == "" {
		return nil, refuse("name a definition file, or --bundle FILE, or both")
	}
	if record == "" {
		_, said, err := checkPlatform(file)
		return said, err
	}
	r, err := ReadRecord(record)
	if err != nil {
		return nil, err
	}
	var d *platform.Definition
	if file != "" {
		if d, _, err = checkPlatform(file); err != nil {
			return nil, err
		}
	} else {
		set, _ := platform.Load(nil)
		var known bool
		if d, known = set.ByName(r.Platform); !known {
			return nil, refuse("there is no built-in platform %q: name a definition file beside the bundle", r.Platform)
		}
	}
	return r.Play(d)
}

func checkPlatform(file string) (*platform.Definition, []string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, refuse("the definition cannot be read: %v", err)
	}
	d, faults := platform.Check(filepath.Base(file), src)
	if len(faults) > 0 {
		all := Faults{}
		for _, f := range faults {
			all = append(all, f)
		}
		return nil, nil, all
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
	return d, append(said, "To use it: copy it into the folder platforms of the data directory, then muster reload."), nil
}
