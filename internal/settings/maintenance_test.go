package settings

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMaintenanceIsReadInTheTimeZoneOfTheSettings(t *testing.T) {
	utc := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	tests := map[string]struct {
		text string
		want Maintenance
	}{
		"again": {`{ name: w, cron: "0 22 * * 2", duration: 4h, sites: [paris, lyon], filter: "tag:rack7 platform:cisco_*" }`,
			Maintenance{Name: "w", Cron: "0 22 * * 2", Duration: 4 * time.Hour, Sites: []string{"paris", "lyon"}, Filter: "tag:rack7 platform:cisco_*"}},
		"once, winter": {`{ name: w, start: "2026-12-05 20:00", end: "2026-12-06 04:00", scopes: [campus] }`,
			Maintenance{Name: "w", Start: utc("2026-12-05T19:00:00Z"), End: utc("2026-12-06T03:00:00Z"), Scopes: []string{"campus"}}},
		"once, summer, unquoted": {`{ name: w, start: 2026-07-05T20:00, duration: 90m }`,
			Maintenance{Name: "w", Start: utc("2026-07-05T18:00:00Z"), End: utc("2026-07-05T19:30:00Z")}},
		"with its own offset": {`{ name: w, start: "2026-07-05T20:00:00-04:00", end: "2026-07-06 02:00Z" }`,
			Maintenance{Name: "w", Start: utc("2026-07-06T00:00:00Z"), End: utc("2026-07-06T02:00:00Z")}},
		"times that come twice, both within": {`{ name: w, start: "2026-10-25 02:30", end: "2026-10-25 02:45" }`,
			Maintenance{Name: "w", Start: utc("2026-10-25T00:30:00Z"), End: utc("2026-10-25T01:45:00Z")}},
		"over the night with 23 h": {`{ name: w, start: "2026-03-28 22:00", end: "2026-03-29 04:00" }`,
			Maintenance{Name: "w", Start: utc("2026-03-28T21:00:00Z"), End: utc("2026-03-29T02:00:00Z")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// The time zone and the scopes stand behind it.
			s, faults := Parse("muster.yaml", []byte("maintenance: ["+tt.text+"]\ntimezone: Europe/Paris\nscopes: [{ name: campus, addresses: [192.0.2.1] }]\n"), Options{})
			if faults != nil {
				t.Fatal(faults)
			}
			if d := cmp.Diff([]Maintenance{tt.want}, s.Maintenance); d != "" {
				t.Errorf("maintenance (-want +got):\n%s", d)
			}
		})
	}
}
