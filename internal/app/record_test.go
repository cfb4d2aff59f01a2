package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/collector"
	"muster/internal/api"
)

// A platform that is read twice, since its text has no end: the record holds both
// readings.
func TestRecordIsPlayedInItsOrder(t *testing.T) {
	const whole, short = "\nRunning configuration:\n\n; JL256A Configuration Editor; Created on release #WC.16.11.0012\nhostname \"sw1\"\nvlan 1\n   name \"DEFAULT_VLAN\"\n   exit\nno autorun\n", "\nRunning configuration:\n\n; JL256A Configuration Editor; Created on release #WC.16.11.0012\nhostname \"sw1\"\nvlan 1\n   name \"DEFAULT_VLAN\"\n   exit\n"
	tests := map[string]struct {
		readings []string
		want     string
	}{
		"twice the same":       {[]string{whole, whole}, ""},
		"the second is cut":    {[]string{whole, short}, "would wait in quarantine: proof-missing"},
		"read once, then lost": {[]string{whole}, "would wait in quarantine: part-missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := Record{Device: "sw1", Platform: "hp_procurve", Steps: []collector.StepTime{{Step: collector.StepPrompt}}, Said: []api.Said{{Answer: "sw1# "}}}
			for _, text := range tt.readings {
				r.Said = append(r.Said, api.Said{Command: "show running-config", Answer: text})
			}
			file := filepath.Join(t.TempDir(), "sw1.yaml")
			f, err := os.Create(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Write(f); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			said, err := TestPlatform("", file)
			if tt.want == "" && (err != nil || !strings.Contains(strings.Join(said, "\n"), "would become a version")) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("said %q, %v; want %q", said, err, tt.want)
			}
		})
	}
}
