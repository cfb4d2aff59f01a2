package app

import (
	"strings"
	"testing"
	"time"

	"muster/internal/settings"
	"muster/inventory"
)

const maintained = `timezone: Europe/Paris
scopes: [{ name: campus, addresses: [192.0.2.0/24] }]
maintenance:
  - { name: all, start: "2026-12-05 20:00", duration: 8h }
  - { name: narrow, cron: "0 22 * * 2", duration: 4h, scopes: [campus], sites: [paris, lyon], filter: "tag:rack7 platform:cisco_*" }
`

func TestMaintenanceCoversWhatFitsAllThatItNames(t *testing.T) {
	set, faults := settings.Parse("muster.yaml", []byte(maintained), settingsOptions())
	if faults != nil {
		t.Fatal(faults)
	}
	all := windows(set)
	fits := inventory.Device{Name: "sw1", Scope: "campus", Site: "lyon", Platform: "cisco_ios", Tags: []string{"rack7"}}
	tests := map[string]struct {
		change func(d *inventory.Device)
		want   bool
	}{
		"fits":             {func(*inventory.Device) {}, true},
		"another scope":    {func(d *inventory.Device) { d.Scope = "wan" }, false},
		"another site":     {func(d *inventory.Device) { d.Site = "" }, false},
		"another platform": {func(d *inventory.Device) { d.Platform = "frr" }, false},
		"without the tag":  {func(d *inventory.Device) { d.Tags = nil }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := fits
			tt.change(&d)
			if got := all[1].Covers(d); got != tt.want {
				t.Errorf("narrow covers it: %t, want %t", got, tt.want)
			}
			if !all[0].Covers(d) {
				t.Error("a window that names nothing covers all")
			}
		})
	}
}

func TestMaintenanceIsOpenAndCheckSaysWhen(t *testing.T) {
	set, faults := settings.Parse("muster.yaml", []byte(maintained), settingsOptions())
	if faults != nil {
		t.Fatal(faults)
	}
	tests := map[string]struct {
		window int
		at     string // in Paris
		open   bool
		says   string
	}{
		"once, before":  {0, "2026-12-05 19:59", false, "next from Sat 2026-12-05 20:00 CET to Sun 2026-12-06 04:00 CET"},
		"once, begins":  {0, "2026-12-05 20:00", true, "open since Sat 2026-12-05 20:00 CET, until Sun 2026-12-06 04:00 CET"},
		"once, within":  {0, "2026-12-06 03:59", true, "open since"},
		"once, over":    {0, "2026-12-06 04:00", false, "is over since Sun 2026-12-06 04:00 CET"},
		"again, before": {1, "2026-12-07 23:00", false, "next from Tue 2026-12-08 22:00 CET to Wed 2026-12-09 02:00 CET"},
		"again, within": {1, "2026-12-09 01:00", true, "open since Tue 2026-12-08 22:00 CET, until Wed 2026-12-09 02:00 CET"},
		"again, after":  {1, "2026-12-09 02:00", false, "next from Tue 2026-12-15 22:00 CET"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, err := time.ParseInLocation("2006-01-02 15:04", tt.at, set.Timezone)
			if err != nil {
				t.Fatal(err)
			}
			until, open := windows(set)[tt.window].Open(at)
			if open != tt.open || open && !until.After(at) {
				t.Errorf("open: %t until %s, want %t", open, until, tt.open)
			}
			if got := describeMaintenance(set, set.Maintenance[tt.window], at); !strings.Contains(got, tt.says) {
				t.Errorf("check says %q, want %q", got, tt.says)
			}
		})
	}
}
