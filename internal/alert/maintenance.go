package alert

import (
	"context"
	"fmt"
	"slices"
	"time"

	"muster/inventory"
)

// Window is a time in which work is done on devices. Alerts about them open as
// ever, but nobody is told until it is over, and then only of what still holds.
// Who was told of an alert before is told of its end at once.
type Window struct {
	Name   string
	Covers func(d inventory.Device) bool
	// Open reports whether the window is open at a time, and until when: the first
	// moment at which it is not.
	Open func(at time.Time) (until time.Time, open bool)
}

// SetWindows says when notifications wait, at the start and at every reload. What
// waits for a window that is gone is told at once.
func (a *Alerts) SetWindows(windows []Window) {
	a.mu.Lock()
	a.windows = slices.Clone(windows)
	a.mu.Unlock()
	a.poke()
}

// openWindow is a window that is open now.
type openWindow struct {
	Window
	until time.Time
}

// works are the windows that are open at a time, and the devices that they are
// held against.
type works struct {
	open    []openWindow
	devices map[int64]inventory.Device
}

// worksAt returns what is under way now.
func (a *Alerts) worksAt(ctx context.Context, at time.Time) (w works, err error) {
	for _, win := range a.windows {
		if until, open := win.Open(at); open && until.After(at) {
			w.open = append(w.open, openWindow{win, until})
		}
	}
	if len(w.open) == 0 {
		return w, nil
	}
	devices, err := a.o.Devices(ctx)
	if err != nil {
		return w, fmt.Errorf("read devices: %w", err)
	}
	w.devices = newWorld(devices).byID
	return w, nil
}

// holds returns the window for whose end the notification of an alert waits: then
// it is to be looked at again. It does when every device of the alert is being worked on: one that is
// not makes it a fault that somebody wants to know of. What is about no device
// (the store, a receiver) never waits.
func (w works) holds(a *Alert) (by openWindow, held bool) {
	if len(w.open) == 0 || a.State != Firing || len(a.Members) == 0 {
		return by, false
	}
	for _, m := range a.Members {
		var longest openWindow
		if d, known := w.devices[m.DeviceID]; known && m.DeviceID != 0 {
			for _, o := range w.open {
				if o.until.After(longest.until) && o.Covers(d) {
					longest = o
				}
			}
		}
		if longest.until.IsZero() {
			return by, false
		}
		if by.until.IsZero() || longest.until.Before(by.until) {
			by = longest
		}
	}
	return by, true
}
