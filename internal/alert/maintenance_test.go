package alert

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/schedule"
	"muster/inventory"
)

// work is a window on the devices named, from a time on.
func work(from time.Time, last time.Duration, devices ...string) Window {
	return Window{
		Name:   "work",
		Covers: covers(devices...),
		Open: func(at time.Time) (time.Time, bool) {
			return from.Add(last), !at.Before(from) && at.Before(from.Add(last))
		},
	}
}

// covers selects the devices named; none: all.
func covers(devices ...string) func(inventory.Device) bool {
	return func(d inventory.Device) bool {
		return len(devices) == 0 || strings.Contains(" "+strings.Join(devices, " ")+" ", " "+d.Name+" ")
	}
}

// stops says that a credential was stopped, and which devices rejected it.
func (h *house) stops(credential string, devices ...string) {
	e := event(inventory.EventCredentialStopped, map[string]any{"devices": devices})
	e.At, e.DeviceID, e.Device, e.Subject = time.Now(), 0, "", credential
	h.store.happens(e)
}

func TestNobodyIsToldOfWorkUntilItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		begun := time.Now()
		h.alerts.SetWindows([]Window{work(begun.Add(time.Hour), 4*time.Hour, "d1", "d2", "d3", "d4")})
		h.run(to("ops"), ops)
		h.goes(inventory.StateDown, 4) // before
		after(time.Hour + time.Minute)
		h.goes(inventory.StateDown, 1)
		after(20 * time.Minute)
		h.goes(inventory.StateDown, 2)
		after(20 * time.Minute)
		h.goes(inventory.StateDown, 3)
		after(20 * time.Minute)
		h.goes(inventory.StateUp, 2) // went and came within
		h.goes(inventory.StateDown, 9)
		after(time.Minute)
		if all, err := h.alerts.List(t.Context(), Filter{State: Firing}); err != nil || len(all) != 4 {
			t.Errorf("%d alerts fire, %v, want four: they open at once", len(all), err)
		}
		all, err := h.alerts.List(t.Context(), Filter{State: Firing})
		for _, a := range all {
			waits := a.Devices[0] == "d1" || a.Devices[0] == "d3"
			if waits != (a.WaitsFor == "work" && a.WaitsUntil.Equal(begun.Add(5*time.Hour))) || !waits && !a.WaitsUntil.IsZero() {
				t.Errorf("%v waits for %q until %s (%v)", a.Devices, a.WaitsFor, a.WaitsUntil, err)
			}
		}
		if got, want := ops.subjects(), "unreachable: d4; unreachable: d9"; got != want {
			t.Errorf("told during the work: %s, want %s", got, want)
		}
		h.goes(inventory.StateUp, 4) // who was told is told
		after(time.Minute)
		if got, want := ops.subjects(), "unreachable: d4; unreachable: d9; resolved: unreachable: d4"; got != want {
			t.Errorf("told during the work: %s, want %s", got, want)
		}
		h.end()
		after(time.Minute)
		h.run(to("ops"), ops) // another process: the settings say the same
		after(4 * time.Hour)
		if got, want := ops.subjects(), "unreachable: d4; unreachable: d9; resolved: unreachable: d4; unreachable: d1; unreachable: d3"; got != want {
			t.Errorf("told: %s, want %s", got, want)
		}
		for _, at := range ops.at[3:] {
			if got := at.Sub(begun); got != 5*time.Hour {
				t.Errorf("told after %s, want as the work ended, after 5 h", got)
			}
		}
		h.goes(inventory.StateUp, 1)
		after(time.Minute)
		if got := ops.subjects(); !strings.HasSuffix(got, "; resolved: unreachable: d1") {
			t.Errorf("told: %s, want the recovery too", got)
		}
		h.end()
	})
}

func TestOnlyWhatIsBeingWorkedOnWaits(t *testing.T) {
	tests := map[string]struct {
		covered []string
		happens func(h *house)
		want    string // told within a minute
	}{
		"a change of one":             {[]string{"d1"}, func(h *house) { h.drifts("changed", false, 1) }, ""},
		"a change of one that is not": {[]string{"d1"}, func(h *house) { h.drifts("changed", false, 2) }, "changed: d2"},
		"a change of both":            {[]string{"d1"}, func(h *house) { h.drifts("changed", false, 1, 2) }, "changed: 2 devices"},
		"a change of two":             {[]string{"d1", "d2"}, func(h *house) { h.drifts("changed", false, 1, 2) }, ""},
		"a credential of devices that are": {[]string{"d1", "d2"}, func(h *house) {
			h.stops("noc", "d1", "d2")
		}, ""},
		"a credential of no device": {nil, func(h *house) { h.stops("noc") }, "credential-stopped: noc"},
		"the store":                 {nil, func(h *house) { h.on(0, inventory.EventStore, map[string]string{"message": "disk full"}) }, "store-problem: store"},
		"a new device":              {nil, func(h *house) { h.on(1, inventory.EventDeviceNew, nil) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ops := &inbox{name: "ops"}
				h := newHouse(t, 5, Options{})
				h.alerts.SetWindows([]Window{work(time.Now(), time.Hour, tt.covered...)})
				h.run(to("ops"), ops)
				tt.happens(h)
				after(time.Minute)
				if got := ops.subjects(); got != tt.want {
					t.Errorf("told: %s, want %s", got, tt.want)
				}
				after(time.Hour)
				if len(ops.got) != 1 {
					t.Errorf("told in the end: %s, want it once", ops.subjects())
				}
				h.end()
			})
		})
	}
}

func TestWhatWaitsForWorkThatIsTakenOutIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		begun := time.Now()
		h.alerts.SetWindows([]Window{work(begun, time.Hour), work(begun, 8*time.Hour)})
		h.run(to("ops"), ops)
		h.goes(inventory.StateDown, 1)
		after(2 * time.Hour) // the longer one still holds it
		if got := ops.subjects(); got != "" {
			t.Errorf("told: %s, want nothing yet", got)
		}
		h.alerts.SetWindows(nil)
		after(time.Second)
		if got := ops.subjects(); got != "unreachable: d1" {
			t.Errorf("told: %s, want it as the settings are read", got)
		}
		h.end()
	})
}

func TestUnsavedIsReadAgainWhenTheWorkIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		var reread []time.Duration
		begun := time.Now()
		h := newHouse(t, 10, Options{Recheck: func(context.Context, []int64) { reread = append(reread, time.Since(begun)) }})
		h.alerts.SetWindows([]Window{work(begun, 5*time.Hour)})
		h.run(to("ops"), ops)
		h.drifts("unsaved", false, 1)
		after(6 * time.Hour)
		h.end()
		if len(reread) != 1 || reread[0] != 5*time.Hour {
			t.Errorf("read again after %v, want once after 5 h", reread)
		}
		if len(ops.at) != 1 || ops.at[0].Sub(begun) != 5*time.Hour+recheckWait {
			t.Errorf("told: %s at %v, want once after that", ops.subjects(), ops.at)
		}
	})
}

// TestFirstFailedNightInWorkIsInTheDigestAfter: the digest is at 08:00; the work
// goes on from 04:00 to 10:00.
func TestFirstFailedNightInWorkIsInTheDigestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		begun := time.Now() // midnight
		h.alerts.SetWindows([]Window{work(begun.Add(4*time.Hour), 6*time.Hour, "d1", "d2")})
		h.run([]Route{{Kinds: []Kind{BackupFailed}, To: []string{"ops"}}}, ops)
		after(5 * time.Hour)
		fails := func(n int) {
			h.on(n, inventory.EventBackup, backup.Result{Outcome: backup.Failed, Step: collector.StepOutput, Kind: collector.ErrTimedOut})
			after(time.Minute)
		}
		fails(1)
		fails(2)
		after(2 * time.Hour)
		h.on(2, inventory.EventBackup, backup.Result{Outcome: backup.Stored})
		after(7 * time.Hour)
		if got := ops.subjects(); got != "" {
			t.Errorf("told: %s, want nothing: the digest came in the middle of the work", got)
		}
		fails(3)
		after(3 * 24 * time.Hour)
		h.end()
		if got := ops.subjects(); got != "digest: 2 new, 0 over, 0 still open" || !strings.Contains(ops.got[0].Text, "d1") || !strings.Contains(ops.got[0].Text, "d3") {
			t.Errorf("told: %s, want d1 and d3 in one digest and d2, which was mended within, in none", got)
		}
	})
}

// TestWindowsFollowTheWallClockOverBothChanges: on Saturdays at 22:00, 6 h that
// pass, over the nights with 23 and with 25 hours.
func TestWindowsFollowTheWallClockOverBothChanges(t *testing.T) {
	tests := map[string]struct{ zone, opens, closes string }{ // in UTC; bubbles begin in 2000
		"Paris, an ordinary night": {"Europe/Paris", "2000-02-12T21:00:00Z", "2000-02-13T03:00:00Z"}, // 22:00 to 04:00 CET
		"Paris forward":            {"Europe/Paris", "2000-03-25T21:00:00Z", "2000-03-26T03:00:00Z"}, // 22:00 CET to 05:00 CEST
		"Paris in summer":          {"Europe/Paris", "2000-04-01T20:00:00Z", "2000-04-02T02:00:00Z"}, // 22:00 to 04:00 CEST
		"Paris back":               {"Europe/Paris", "2000-10-28T20:00:00Z", "2000-10-29T02:00:00Z"}, // 22:00 CEST to 03:00 CET
		"New York forward":         {"America/New_York", "2000-04-02T03:00:00Z", "2000-04-02T09:00:00Z"},
		"New York back":            {"America/New_York", "2000-10-29T02:00:00Z", "2000-10-29T08:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone, err := time.LoadLocation(tt.zone)
				if err != nil {
					t.Fatal(err)
				}
				opens, err := time.Parse(time.RFC3339, tt.opens)
				if err != nil {
					t.Fatal(err)
				}
				ops := &inbox{name: "ops"}
				h := newHouse(t, 10, Options{Zone: zone})
				h.alerts.SetWindows([]Window{{Name: "saturday", Covers: covers(), Open: func(at time.Time) (time.Time, bool) {
					until, open, err := schedule.Within("0 22 * * 6", zone, 6*time.Hour, at)
					if err != nil {
						t.Error(err)
					}
					return until, open
				}}})
				after(time.Until(opens) - 10*time.Minute)
				h.run(to("ops"), ops)
				h.goes(inventory.StateDown, 1)
				after(9 * time.Minute)
				h.goes(inventory.StateDown, 2)
				after(10 * time.Minute) // open for 9 minutes
				h.goes(inventory.StateDown, 3)
				after(7 * time.Hour)
				h.end()
				var got []string
				for i, at := range ops.at {
					got = append(got, strings.TrimPrefix(ops.got[i].Subject, "[muster] unreachable: ")+" "+at.UTC().Format(time.RFC3339))
				}
				want := []string{"d1 " + opens.Add(-10*time.Minute+30*time.Second).Format(time.RFC3339), "d2 " + opens.Add(-30*time.Second).Format(time.RFC3339), "d3 " + tt.closes}
				if strings.Join(got, ", ") != strings.Join(want, ", ") {
					t.Errorf("told %v, want %v", got, want)
				}
			})
		})
	}
}
