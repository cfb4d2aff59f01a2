package app

import (
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/alert"
	"muster/internal/lab"
	"muster/internal/schedule"
)

// TestClockThatJumpsAheadLetsNothingGo: what is old by a clock that was set ahead is
// kept for a night, and let go where that is the time in the next one too.
func TestClockThatJumpsAheadLetsNothingGo(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // of the clock
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, "", func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	h.discover()
	runs := func() int {
		t.Helper()
		all, err := h.c.Runs(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	night := func() {
		t.Helper()
		if _, err := h.app.housekeeping(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		if err := h.app.store.SaveScheduleMark(t.Context(), schedule.Mark{Name: jobHousekeeping, Due: h.app.o.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	night()
	kept := runs()
	ahead.Store(int64(500 * 24 * time.Hour))
	night()
	if n := runs(); n != kept || kept == 0 {
		t.Errorf("%d of %d runs are there after the clock was set ahead", n, kept)
	}
	ahead.Add(int64(24 * time.Hour))
	night()
	if n := runs(); n != 0 {
		t.Errorf("%d runs of 500 days ago are still there in the night after", n)
	}
}

// TestEventsAndAlertsGoAfterTheirRetention: what alerts have read and what is over is
// kept for retention.events, and no longer.
func TestEventsAndAlertsGoAfterTheirRetention(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // of the clock
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}, {Name: "sw2", Platform: lab.IOSXE}}}, "retention: { events: 400d }", func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	h.discover()
	if _, _, err := h.app.alerts.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, al := range h.firing(alert.NewDevice) {
		if _, err := h.app.alerts.Ack(t.Context(), al.ID, "ops", ""); err != nil { // it is over with that
			t.Fatal(err)
		}
	}
	kept := func(days int) (events, alerts int) {
		t.Helper()
		ahead.Store(int64(days) * int64(24*time.Hour))
		if err := h.app.store.SaveScheduleMark(t.Context(), schedule.Mark{Name: jobHousekeeping, Due: h.app.o.Now()}); err != nil {
			t.Fatal(err) // the night before was no year ago
		}
		if _, err := h.app.housekeeping(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		e, err := h.app.store.Events(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		a, err := h.app.alerts.List(t.Context(), alert.Filter{State: alert.Resolved})
		if err != nil {
			t.Fatal(err)
		}
		return len(e), len(a)
	}
	if events, alerts := kept(399); events < 2 || alerts == 0 {
		t.Errorf("%d events and %d alerts are there after 399 days, want all", events, alerts)
	}
	if events, alerts := kept(401); events != 1 || alerts != 0 {
		t.Errorf("%d events and %d alerts are there after 401 days, want the newest event only", events, alerts)
	}
}
