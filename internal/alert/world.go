package alert

import (
	"strconv"

	"muster/inventory"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// world is what is known of the devices at the time of a pass.
type world struct {
	byID   map[int64]inventory.Device
	byName map[string]int64
	behind map[string]int // how many are not reached through this one
}

func newWorld(devices []inventory.Device) world {
	w := world{make(map[int64]inventory.Device, len(devices)), make(map[string]int64, len(devices)), map[string]int{}}
	for _, d := range devices {
		w.byID[d.ID] = d
		w.byName[d.Name] = d.ID
		if d.State == inventory.StateBehind {
			w.behind[d.Behind]++
		}
	}
	return w
}

// each makes a change for each of the devices named.
func (w world) each(v verb, k Kind, devices []string, m Member) []change {
	all := make([]change, 0, len(devices))
	for _, name := range devices {
		m.Device, m.DeviceID = name, w.byName[name]
		all = append(all, change{v, k, m})
	}
	return all
}

// tells reports whether faults of a device are told: a person may have disabled
// or retired it after the event, and what is not managed is only listed.
func (w world) tells(k Kind, m Member) bool {
	if m.DeviceID == 0 {
		return true
	}
	d, ok := w.byID[m.DeviceID]
	switch {
	case !ok:
		return len(w.byID) == 0 // deleted meanwhile
	case d.Disabled || d.Retired:
		return false
	case k == NewDevice || k == IdentityClash || k == DeviceReplaced:
		return true
	}
	return d.Managed
}

// reach counts the devices that are watched.
type reach struct {
	all, answering, silent int // up or degraded; down or behind
}

// count counts those of a site, or with all all of them.
func (w world) count(in func(inventory.Device) bool) (r reach) {
	for _, d := range w.byID {
		if !d.Managed || d.Disabled || d.Retired || !in(d) {
			continue
		}
		r.all++
		switch d.State {
		case inventory.StateUp, inventory.StateDegraded:
			r.answering++
		case inventory.StateDown, inventory.StateBehind:
			r.silent++
		}
	}
	return r
}

// isolatedFrom is how many devices must be silent, and all of them, before it is
// muster's own connection that is to blame.
const isolatedFrom = 5

// isolated reports whether nothing answers at all.
func (w world) isolated() bool {
	r := w.count(func(inventory.Device) bool { return true })
	return r.answering == 0 && r.silent >= isolatedFrom
}
