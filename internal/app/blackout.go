package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"muster/internal/schedule"
	"muster/internal/settings"
	"muster/inventory"
)

// heldBack are devices that a run found in a blackout. They are kept in memory
// only: after a restart they wait for the next scheduled backup.
type heldBack struct {
	mu  sync.Mutex
	ids map[int64]bool
}

// closed reports whether a scope is in its blackout, and until when.
func (a *App) closed(scope string) (until time.Time, closed bool) {
	set := a.settings.Load()
	s, ok := set.Scope(scope)
	if !ok {
		return time.Time{}, false
	}
	return s.Blackout(a.o.Now(), set.Timezone)
}

// hold reports whether a device is in a blackout, and remembers it for its end.
func (a *App) hold(dev inventory.Device) (until time.Time, held bool) {
	until, held = a.closed(dev.Scope)
	if held {
		a.held.mu.Lock()
		defer a.held.mu.Unlock()
		if a.held.ids == nil {
			a.held.ids = map[int64]bool{}
		}
		a.held.ids[dev.ID] = true
	}
	return until, held
}

// afterBlackout backs up what was held back and is not any more.
func (a *App) afterBlackout(ctx context.Context) error {
	a.held.mu.Lock()
	defer a.held.mu.Unlock()
	ready := map[int64]string{}
	for id := range a.held.ids {
		dev, err := a.devices.ByID(ctx, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil || dev.Disabled || dev.Retired || !dev.Managed: // deleted, or not wanted meanwhile
			delete(a.held.ids, id)
			continue
		}
		if _, held := a.closed(dev.Scope); !held {
			ready[id] = byName(dev)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Values(ready))
	if _, err := a.runner.Start(ctx, schedule.JobBackup, schedule.Request{By: schedule.BySchedule, Devices: names}); err != nil {
		return fmt.Errorf("back up what waited for the end of a blackout: %w", err)
	}
	for id := range ready {
		delete(a.held.ids, id)
	}
	return nil
}

// checkBlackouts warns of scopes in whose blackout every backup would begin.
func checkBlackouts(set *settings.Settings, now time.Time) (warnings []string) {
	cron := set.Schedules.Backup.Cron
	if cron == "" {
		return nil
	}
	times, err := schedule.NextTimes(cron, set.Timezone, now, 60)
	if err != nil || len(times) == 0 {
		return nil // where the settings are read, a faulty expression is refused
	}
	for _, s := range set.Scopes {
		if !slices.ContainsFunc(times, func(at time.Time) bool { _, closed := s.Blackout(at, set.Timezone); return !closed }) {
			until, _ := s.Blackout(times[0], set.Timezone)
			warnings = append(warnings, fmt.Sprintf("warning: every scheduled backup (%s) begins in the blackout of scope %s: its devices always wait for the end, next on %s. Move one of them", cron, s.Name, until.Format("Mon 2006-01-02 15:04 MST")))
		}
	}
	return warnings
}
