package alert

import (
	"encoding/json"
	"fmt"
	"strings"

	"muster/backup"
	"muster/inventory"
)

// verb is what an event does to a condition.
type verb int

const (
	opens  verb = iota // or updates, where it is open already
	closes             // the fault is over
	moves              // closed because something else tells of it: no recovery is told
)

// change is what an event does to one condition.
type change struct {
	verb verb
	kind Kind   // empty: all kinds
	m    Member // which one; with neither device nor subject: all of the kind
}

// changesOf says what an event changes. It is the one place where an event meets
// a kind of alert; which kind of failure tells of itself through which alert is
// decided by [backup.Rulings]. An event that it does not know changes nothing: a
// newer muster may have written it. A Data that cannot be read is an error.
func changesOf(e inventory.Event, w world) ([]change, error) {
	on := Member{DeviceID: e.DeviceID, Device: e.Device, Since: e.At}
	if d, ok := w.byID[e.DeviceID]; ok {
		on.Site, on.Device = d.Site, d.Name // as it is called now: another may have its name
	}
	with := func(seen string) Member { m := on; m.Seen = seen; return m }
	named := func(subject, seen string) Member { m := on; m.Subject, m.Seen = subject, seen; return m }

	switch e.Kind {
	case inventory.EventDeviceNew:
		return []change{{opens, NewDevice, on}}, nil
	case inventory.EventDeviceRemoved, inventory.EventDeviceMerged:
		return []change{{moves, "", on}}, nil
	case inventory.EventDeviceReplaced:
		var data struct {
			Old string `json:"old_serial"`
			New string `json:"new_serial"`
		}
		err := read(e, &data)
		return []change{{opens, DeviceReplaced, with(fmt.Sprintf("its serial was %s and is %s", data.Old, data.New))}}, err
	case inventory.EventIdentityClash:
		var data struct {
			Identifier string   `json:"identifier"`
			Devices    []string `json:"devices"`
		}
		err := read(e, &data)
		return w.each(opens, IdentityClash, data.Devices, named(data.Identifier, "")), err
	case inventory.EventState:
		return stateChanges(e, on)
	case inventory.EventHostKeyChanged:
		var data struct {
			Pinned []string `json:"pinned"`
			Shown  string   `json:"shown"`
		}
		err := read(e, &data)
		seen := "it shows " + data.Shown
		if len(data.Pinned) > 0 {
			seen += ", pinned is " + strings.Join(data.Pinned, ", ")
		} else {
			seen += ", and none is pinned"
		}
		return []change{{opens, HostKeyChanged, with(seen)}}, err
	case inventory.EventHostKeyAccepted:
		return []change{{closes, HostKeyChanged, on}, {moves, DeviceReplaced, on}}, nil
	case inventory.EventLoginRejected:
		var data struct {
			Credential string `json:"credential"`
		}
		err := read(e, &data)
		m := with("it rejects credential " + data.Credential)
		m.Cause = data.Credential
		return []change{{opens, LoginRejected, m}}, err
	case inventory.EventLoginAccepted:
		return []change{{closes, LoginRejected, on}, {closes, HostKeyChanged, on}}, nil
	case inventory.EventCredentialStopped:
		var data struct {
			Devices []string `json:"devices"`
			Set     string   `json:"set"`
		}
		err := read(e, &data)
		on.DeviceID, on.Device = 0, ""
		all := w.each(opens, CredentialStopped, data.Devices, named(e.Subject, data.Set))
		if len(data.Devices) == 0 {
			all = []change{{opens, CredentialStopped, named(e.Subject, data.Set)}}
		}
		return append(all, w.each(moves, LoginRejected, data.Devices, on)...), err
	case inventory.EventCredentialWorks:
		return []change{{closes, CredentialStopped, Member{Subject: e.Subject}}}, nil
	case inventory.EventBackup:
		return backupChanges(e, on, w)
	case inventory.EventDrift:
		var d backup.Drift
		if err := read(e, &d); err != nil {
			return nil, err
		}
		if d.Closed {
			return []change{{closes, Kind(d.Kind), on}}, nil
		}
		return []change{drifted(d, on)}, nil
	case inventory.EventStore:
		var data struct {
			Message string `json:"message"`
		}
		err := read(e, &data)
		return []change{{opens, StoreProblem, Member{Subject: "store", Since: e.At, Seen: data.Message}}}, err
	case inventory.EventStoreGood:
		return []change{{closes, StoreProblem, Member{Subject: "store"}}}, nil
	}
	return nil, nil
}

// drifted opens what a drift is about, on the device of m.
func drifted(d backup.Drift, m Member) change {
	m.Subject = d.Group
	m.Seen = fmt.Sprintf("%d %s added, %d removed", d.LinesAdded, plural(d.LinesAdded == 1, "line", "lines"), d.LinesRemoved)
	if !d.Since.IsZero() {
		m.Since = d.Since
	}
	return change{opens, Kind(d.Kind), m}
}

func read(e inventory.Event, into any) error {
	if err := json.Unmarshal(e.Data, into); err != nil {
		return fmt.Errorf("read event %d (%s of %s): %w", e.ID, e.Kind, e.Device, err)
	}
	return nil
}

// ownLink is the Cause of devices to which muster's own machine has no way.
const ownLink = "own link"

// stateChanges: a device that is down is unreachable; degraded is not an alert,
// and neither is what is behind a device that has one.
func stateChanges(e inventory.Event, on Member) ([]change, error) {
	var c inventory.StateChange
	if err := read(e, &c); err != nil {
		return nil, err
	}
	if !c.Since.IsZero() {
		on.Since = c.Since
	}
	if c.Site != "" {
		on.Site = c.Site
	}
	on.Seen = c.Message
	switch c.To {
	case inventory.StateDown:
		return []change{{opens, Unreachable, on}}, nil
	case inventory.StateUp, inventory.StateDegraded:
		return []change{{closes, Unreachable, on}}, nil
	case inventory.StateBehind:
		if c.Behind == inventory.ThisMachine {
			on.Cause = ownLink
			return []change{{opens, Unreachable, on}}, nil
		}
		return []change{{moves, Unreachable, on}}, nil
	}
	return nil, nil
}

// backupChanges: a good backup ends all that stood against one, a quarantined
// capture proves that the login works, and a failure is told through one alert.
func backupChanges(e inventory.Event, on Member, w world) ([]change, error) {
	var r backup.Result
	if err := read(e, &r); err != nil {
		return nil, err
	}
	on.Seen, on.Step = r.Message, string(r.Step)
	on.Cause = strings.Join([]string{orUnknown(w.byID[e.DeviceID].Platform), orUnknown(string(r.Step)), orUnknown(string(r.Kind))}, " ")
	switch r.Outcome {
	case backup.Stored, backup.Unchanged:
		return []change{
			{closes, BackupFailed, on}, {closes, Quarantined, on}, {closes, LoginRejected, on},
			{closes, HostKeyChanged, on}, {closes, BackupOverdue, on},
		}, nil
	case backup.Quarantined:
		return []change{
			{moves, BackupFailed, on}, {closes, LoginRejected, on}, {closes, HostKeyChanged, on}, {opens, Quarantined, on},
		}, nil
	case backup.Skipped: // said of a capture in quarantine that was discarded
		return []change{{closes, Quarantined, on}}, nil
	case backup.Failed:
		switch kind := Kind(backup.Rule(r.Kind).Alert); kind {
		case BackupFailed, Quarantined: // nothing was read that could be quarantined
			return []change{{opens, BackupFailed, on}}, nil
		case LoginRejected, HostKeyChanged:
			on.Cause = ""
			return []change{{moves, BackupFailed, on}, {opens, kind, on}}, nil
		default: // its own event tells of it, or status lists it
			return []change{{moves, BackupFailed, on}}, nil
		}
	}
	return nil, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
