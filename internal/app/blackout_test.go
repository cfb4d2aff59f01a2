package app

import (
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/lab"
	"muster/internal/schedule"
	"muster/internal/settings"
	"muster/inventory"
)

// TestWhatABlackoutHeldBackIsBackedUpAfterIt starts a scheduled run within a
// blackout: no session is opened before it is over, and then one is.
func TestWhatABlackoutHeldBackIsBackedUpAfterIt(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[time.Time]
	morning := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC) // a Wednesday
	now.Store(&morning)
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, `    blackout: ["Mon-Fri 08:00-18:00"]`,
		func(o *Options) { o.Now = func() time.Time { return *now.Load() } })
	h.discover() // a person asked: the blackout is not for them
	run, err := h.app.runner.Start(t.Context(), schedule.JobBackup, schedule.Request{By: schedule.BySchedule})
	if err != nil {
		t.Fatal(err)
	}
	outcome := func(id int64) string {
		t.Helper()
		if _, err := h.app.runner.Wait(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		tasks, err := h.app.runner.Tasks(t.Context(), id)
		if err != nil || len(tasks) != 1 {
			t.Fatalf("%d tasks, %v, want 1", len(tasks), err)
		}
		return tasks[0].Outcome + " " + tasks[0].Message
	}
	if got, want := outcome(run.ID), "skipped sw1 is in the blackout of scope lab until 2026-07-01 18:00 UTC and is backed up after it"; got != want {
		t.Errorf("within: %q, want %q", got, want)
	}
	runs := func() int {
		t.Helper()
		if err := h.app.afterBlackout(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := h.app.runner.Runs(t.Context(), schedule.JobBackup, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if n := runs(); n != 1 {
		t.Errorf("%d runs before the end, want 1", n)
	}
	evening := morning.Add(9 * time.Hour)
	now.Store(&evening)
	if n := runs(); n != 2 {
		t.Fatalf("%d runs after the end, want 2", n)
	}
	if got := outcome(run.ID + 1); !strings.HasPrefix(got, "stored") {
		t.Errorf("after: %q, want stored", got)
	}
	if n := runs(); n != 2 {
		t.Errorf("%d runs, want no third", n)
	}
}

// The last blackout is taken out of the settings while devices wait for its end.
func TestReloadWithoutABlackoutLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	morning := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC) // a Wednesday
	const blackout = `    blackout: ["Mon-Fri 08:00-18:00"]`
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, blackout,
		func(o *Options) { o.Now = func() time.Time { return morning } })
	h.discover()
	run, err := h.app.runner.Start(t.Context(), schedule.JobBackup, schedule.Request{By: schedule.BySchedule})
	if err != nil {
		t.Fatal(err)
	}
	if run, err = h.app.runner.Wait(t.Context(), run.ID); err != nil || run.Counts["skipped"] != 1 {
		t.Fatalf("within the blackout: %v (%v), want it skipped", run.Counts, err)
	}
	text, err := os.ReadFile(h.app.o.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.app.o.Config, []byte(strings.Replace(string(text), blackout, "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 200 { // what runs by itself begins at once
		if all, err := h.app.runner.Runs(t.Context(), schedule.JobBackup, 1); err != nil || all[0].ID != run.ID {
			if run, err = h.app.runner.Wait(t.Context(), all[0].ID); err != nil || run.Counts["stored"] != 1 {
				t.Errorf("after the reload: %v (%v), want it stored", run.Counts, err)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("no run began for what waited")
}

// A name may look like a filter, and have more than one colon.
func TestWhatWaitsIsBackedUpWhateverItIsCalled(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	morning := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC) // a Wednesday
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}, {Name: "sw2", Platform: lab.IOSXE}, {Name: "sw3", Platform: lab.IOSXE}}},
		`    blackout: ["Mon-Fri 08:00-18:00"]`, func(o *Options) {
			o.Now = func() time.Time {
				if closed.Load() {
					return morning
				}
				return morning.Add(9 * time.Hour)
			}
		})
	h.discover()
	var ids []int64
	for name, called := range map[string]string{"sw1": "rack:sw1", "sw2": "00:11:22:33:44:55"} {
		dev, err := h.app.devices.Set(t.Context(), name, inventory.Change{Name: &called}, "test")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, dev.ID)
	}
	newest := func() schedule.Run {
		t.Helper()
		all, err := h.app.runner.Runs(t.Context(), schedule.JobBackup, 1)
		if err != nil || len(all) != 1 {
			t.Fatalf("%d runs, %v, want one", len(all), err)
		}
		run, err := h.app.runner.Wait(t.Context(), all[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}

	closed.Store(true)
	if _, err := h.app.runner.Start(t.Context(), schedule.JobBackup, schedule.Request{By: schedule.BySchedule}); err != nil {
		t.Fatal(err)
	}
	if run := newest(); run.Counts["skipped"] != 3 {
		t.Fatalf("within the blackout: %v, want all skipped", run.Counts)
	}
	closed.Store(false)
	if err := h.app.afterBlackout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if run := newest(); run.Counts["stored"] != 3 {
		t.Errorf("after it: %v %s, want all three stored", run.Counts, run.Message)
	}
	h.app.recheck(t.Context(), ids)
	if run := newest(); run.Counts["unchanged"] != 2 {
		t.Errorf("read again: %v %s, want both unchanged", run.Counts, run.Message)
	}
}

func TestCheckWarnsOfABackupThatOnlyBeginsInABlackout(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		cron, blackout string
		warned         bool
	}{
		"at night, closed by day": {"20 4 * * *", "Mon-Fri 08:00-18:00", false},
		"at noon, closed by day":  {"0 12 * * *", "08:00-18:00", true},
		"at noon, open on Sunday": {"0 12 * * *", "Mon-Sat 08:00-18:00", false},
		"of the clock in Paris":   {"30 8 * * 1-5", "Mon-Fri 08:00-09:00", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			set, faults := settings.Parse("muster.yaml", []byte(`timezone: Europe/Paris
scopes: [{ name: shop, addresses: [192.0.2.0/24], blackout: ["`+tt.blackout+`"] }]
schedules: { backup: { cron: "`+tt.cron+`" } }
`), settingsOptions())
			if faults != nil {
				t.Fatal(faults)
			}
			got := checkBlackouts(set, now)
			if (len(got) == 1) != tt.warned || tt.warned && !(strings.Contains(got[0], "blackout of scope shop") && strings.Contains(got[0], "Move one of them")) {
				t.Errorf("check says %q, warned: want %t", got, tt.warned)
			}
		})
	}
}
