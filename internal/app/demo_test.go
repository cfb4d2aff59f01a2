package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/api"
	"muster/internal/lab"
)

// TestDemoShowsWhatItPromises runs the demo with nothing held back: it has an
// end, and a good one.
func TestDemoShowsWhatItPromises(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	var out bytes.Buffer
	progress := map[string]int{}
	err := Demo(t.Context(), DemoOptions{For: 5 * time.Minute, Brisk: true, Keep: dir, Listen: "127.0.0.1:0", Stdout: &out, Progress: func(what string, _ api.Progress) { progress[what]++ }})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"paris  ", "lyon  ", "par-core-1 … par-core-2", "Juniper ", "juniper_junos ", "MX480 ", "44 devices of 13 platforms", "44 of 44 devices backed up", "--dir " + dir + " drift",
		"✕ par-acc-2  changed ", "✕ par-dist-1 unsaved ", "✕ lyo-acc-4  unreachable ", "✕ lyo-fw-2   login-rejected ", "✕ par-core-2 quarantined ",
		"✓ par-acc-2  changed ", "✓ par-dist-1 unsaved ", "✓ lyo-acc-4  unreachable ", "✓ lyo-fw-2   login-rejected ", "✓ par-core-2 quarantined ",
		"muster device retry lyo-fw-2", "Verdict, read through the API alone",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not print %q:\n%s", want, &out)
		}
	}
	if progress["sweeping"] == 0 || progress["backing up"] == 0 {
		t.Errorf("progress was shown %v", progress)
	}
	// What is kept answers later, by its folder alone.
	for _, name := range []string{"muster.db", "muster.yaml", "muster.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	c, done, err := Connect(t.Context(), Options{Dir: dir, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	alerts, err := c.Alerts(t.Context(), true)
	if err != nil || len(alerts) < 5 {
		t.Errorf("the kept house tells of %d alerts (%v)", len(alerts), err)
	}
	if drift, err := c.Drift(t.Context()); err != nil || len(drift) > 0 {
		t.Errorf("the demo leaves drift behind: %v (%v)", drift, err)
	}
}

// TestVerdictMissesWhatWasHeldBack holds back each fault and each recovery in
// turn, inside the simulated network: the verdict must name that and nothing else.
func TestVerdictMissesWhatWasHeldBack(t *testing.T) {
	t.Parallel()
	tests := map[lab.Fault][]string{
		lab.FaultChange:   {"par-acc-2 changed", "par-acc-2 changed: over"},
		lab.FaultUnsaved:  {"par-dist-1 has unsaved changes", "par-dist-1 has unsaved changes: over"},
		lab.FaultStop:     {"lyo-acc-4 stopped answering", "lyo-acc-4 stopped answering: over"},
		lab.FaultReject:   {"lyo-fw-2 rejects the login", "lyo-fw-2 rejects the login: over"},
		lab.FaultTruncate: {"par-core-2 sends a truncated configuration", "par-core-2 sends a truncated configuration: over"},
		lab.FaultRevert:   {"par-acc-2 changed: over"},
		lab.FaultSave:     {"par-dist-1 has unsaved changes: over"},
		lab.FaultResume:   {"lyo-acc-4 stopped answering: over"},
		lab.FaultAccept:   {"lyo-fw-2 rejects the login: over"},
		lab.FaultWhole:    {"par-core-2 sends a truncated configuration: over"},
	}
	type ending struct {
		out bytes.Buffer
		err error
	}
	endings := map[lab.Fault]*ending{}
	var showing sync.WaitGroup
	free := make(chan struct{}, demosAtOnce)
	for held := range tests {
		e := &ending{}
		endings[held] = e
		showing.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			e.err = Demo(t.Context(), DemoOptions{For: 5 * time.Minute, Brisk: true, Patience: demoPatience, Listen: "127.0.0.1:0", Stdout: &e.out, Hold: []lab.Fault{held}})
		})
	}
	showing.Wait()
	for held, want := range tests {
		t.Run(string(held), func(t *testing.T) {
			e := endings[held]
			var refused *api.Error
			if !errors.As(e.err, &refused) || refused.Exit != 1 {
				t.Fatalf("the verdict is %v:\n%s", e.err, &e.out)
			}
			var missing []string
			for line := range strings.Lines(e.out.String()) {
				if what, ok := strings.CutPrefix(line, "  not seen: "); ok {
					missing = append(missing, strings.TrimSpace(what))
				}
			}
			if !slices.Equal(missing, want) {
				t.Errorf("missing is %q, want %q:\n%s", missing, want, &e.out)
			}
		})
	}
}
