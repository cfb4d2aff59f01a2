package app

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"muster/backup"
	"muster/internal/settings"
)

func guide(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGuideTellsOfEveryFailure holds the guide's table against the rulings.
func TestGuideTellsOfEveryFailure(t *testing.T) {
	text := guide(t)
	for kind, r := range backup.Rulings {
		told, again := r.Alert, "no"
		if told == "" {
			told = "none"
		}
		if r.Retry {
			again = "yes"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s | %s | ", kind, r.Outcome, told, again); !strings.Contains(text, row) {
			t.Errorf("the guide has no row %q", row)
		}
	}
	if rows := strings.Count(text, "\n| `"); rows != len(backup.Rulings) {
		t.Errorf("the guide has %d rows for %d kinds", rows, len(backup.Rulings))
	}
}

// TestSettingsOfTheGuideAreGood reads them as a user's.
func TestSettingsOfTheGuideAreGood(t *testing.T) {
	text := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(guide(t))
	if text == nil {
		t.Fatal("the guide has no settings")
	}
	s, faults := settings.Parse("muster.yaml", []byte(text[1]), settingsOptions())
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if len(s.Warnings) > 0 {
		t.Error(s.Warnings)
	}
}
