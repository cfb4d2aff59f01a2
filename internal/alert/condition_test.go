package alert

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

var night = time.Date(2026, 3, 1, 2, 14, 0, 0, time.UTC)

// event makes an event about device id 1, edge-r1, with data as its Data.
func event(kind inventory.EventKind, data any) inventory.Event {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return inventory.Event{ID: 1, At: night, Kind: kind, DeviceID: 1, Device: "edge-r1", Data: text}
}

func backupEvent(o backup.Outcome, k collector.Kind) inventory.Event {
	return event(inventory.EventBackup, backup.Result{Device: "edge-r1", Outcome: o, Step: collector.StepOutput, Kind: k, Message: "why"})
}

// shown writes changes as a table does.
func shown(cs []change) []string {
	all := []string{}
	for _, c := range cs {
		s := [...]string{"open", "close", "move"}[c.verb] + " " + string(c.kind)
		if c.m.Device != "" {
			s += " of " + c.m.Device
		}
		if c.m.Subject != "" {
			s += " about " + c.m.Subject
		}
		all = append(all, s)
	}
	return all
}

func TestEventsOpenUpdateAndCloseConditions(t *testing.T) {
	type m = map[string]any
	stopped := event(inventory.EventCredentialStopped, m{"credential": "noc", "devices": []string{"edge-r1", "core"}})
	stopped.DeviceID, stopped.Device, stopped.Subject = 0, "", "noc"
	stoppedAlone := stopped
	stoppedAlone.Data = json.RawMessage(`{}`)
	released := stopped
	released.Kind = inventory.EventCredentialWorks
	good := []string{"close backup-failed of edge-r1", "close quarantined of edge-r1", "close login-rejected of edge-r1",
		"close host-key-changed of edge-r1", "close backup-overdue of edge-r1"}
	failed := []string{"open backup-failed of edge-r1"}
	quiet := []string{"move backup-failed of edge-r1"}
	told := func(k string) []string { return []string{"move backup-failed of edge-r1", "open " + k + " of edge-r1"} }
	drift := func(k backup.DriftKind, closed bool) inventory.Event {
		return event(inventory.EventDrift, backup.Drift{Device: "edge-r1", Kind: k, Group: "3f9a", Closed: closed})
	}

	tests := map[string]struct {
		e    inventory.Event
		want []string
	}{
		"new device":                  {event(inventory.EventDeviceNew, nil), []string{"open new-device of edge-r1"}},
		"merged into another":         {event(inventory.EventDeviceMerged, m{"into": "core"}), []string{"move  of edge-r1"}},
		"removed by a person":         {event(inventory.EventDeviceRemoved, nil), []string{"move  of edge-r1"}},
		"another serial":              {event(inventory.EventDeviceReplaced, m{"old_serial": "A", "new_serial": "B"}), []string{"open device-replaced of edge-r1"}},
		"one identifier, two devices": {event(inventory.EventIdentityClash, m{"identifier": "serial X", "devices": []string{"edge-r1", "core"}}), []string{"open identity-clash of edge-r1 about serial X", "open identity-clash of core about serial X"}},

		"down":                             {event(inventory.EventState, inventory.StateChange{To: inventory.StateDown}), []string{"open unreachable of edge-r1"}},
		"up":                               {event(inventory.EventState, inventory.StateChange{To: inventory.StateUp}), []string{"close unreachable of edge-r1"}},
		"degraded answers":                 {event(inventory.EventState, inventory.StateChange{To: inventory.StateDegraded}), []string{"close unreachable of edge-r1"}},
		"behind a dead one":                {event(inventory.EventState, inventory.StateChange{To: inventory.StateBehind}), []string{"move unreachable of edge-r1"}},
		"state not known":                  {event(inventory.EventState, inventory.StateChange{To: inventory.StateUnknown}), []string{}},
		"host key changed":                 {event(inventory.EventHostKeyChanged, m{"pinned": []string{"SHA256:a"}, "shown": "SHA256:b"}), []string{"open host-key-changed of edge-r1"}},
		"host key accepted":                {event(inventory.EventHostKeyAccepted, m{"fingerprint": "SHA256:b"}), []string{"close host-key-changed of edge-r1", "move device-replaced of edge-r1"}},
		"login rejected":                   {event(inventory.EventLoginRejected, m{"credential": "noc"}), []string{"open login-rejected of edge-r1"}},
		"login accepted":                   {event(inventory.EventLoginAccepted, m{"credential": "noc"}), []string{"close login-rejected of edge-r1", "close host-key-changed of edge-r1"}},
		"credential stopped":               {stopped, []string{"open credential-stopped of edge-r1 about noc", "open credential-stopped of core about noc", "move login-rejected of edge-r1", "move login-rejected of core"}},
		"credential stopped, nobody named": {stoppedAlone, []string{"open credential-stopped about noc"}},
		"credential works":                 {released, []string{"close credential-stopped about noc"}},

		"stored":      {backupEvent(backup.Stored, ""), good},
		"unchanged":   {backupEvent(backup.Unchanged, ""), good},
		"quarantined": {backupEvent(backup.Quarantined, collector.ErrProofMissing), []string{"move backup-failed of edge-r1", "close login-rejected of edge-r1", "close host-key-changed of edge-r1", "open quarantined of edge-r1"}},
		"discarded":   {backupEvent(backup.Skipped, ""), []string{"close quarantined of edge-r1"}},

		"failed: unreachable":        {backupEvent(backup.Failed, collector.ErrUnreachable), failed},
		"failed: refused":            {backupEvent(backup.Failed, collector.ErrRefused), failed},
		"failed: timed out":          {backupEvent(backup.Failed, collector.ErrTimedOut), failed},
		"failed: no algorithm":       {backupEvent(backup.Failed, collector.ErrNoCommonAlgorithm), failed},
		"failed: key unknown":        {backupEvent(backup.Failed, collector.ErrHostKeyUnknown), told("host-key-changed")},
		"failed: key changed":        {backupEvent(backup.Failed, collector.ErrHostKeyChanged), told("host-key-changed")},
		"failed: login rejected":     {backupEvent(backup.Failed, collector.ErrLoginRejected), told("login-rejected")},
		"failed: enable rejected":    {backupEvent(backup.Failed, collector.ErrEnableRejected), told("login-rejected")},
		"failed: no prompt":          {backupEvent(backup.Failed, collector.ErrNoPrompt), failed},
		"failed: command rejected":   {backupEvent(backup.Failed, collector.ErrCommandRejected), failed},
		"failed: rights missing":     {backupEvent(backup.Failed, collector.ErrRightsMissing), failed},
		"failed: incomplete":         {backupEvent(backup.Failed, collector.ErrIncomplete), failed},
		"failed: too large":          {backupEvent(backup.Failed, collector.ErrTooLarge), failed},
		"failed: closed":             {backupEvent(backup.Failed, collector.ErrClosed), failed},
		"failed: busy":               {backupEvent(backup.Failed, collector.ErrBusy), failed},
		"failed: forwarding":         {backupEvent(backup.Failed, collector.ErrForwardingRefused), failed},
		"failed: platform unknown":   {backupEvent(backup.Failed, collector.ErrPlatformUnknown), quiet},
		"failed: needs credential":   {backupEvent(backup.Failed, collector.ErrNeedsCredential), quiet},
		"failed: needs decision":     {backupEvent(backup.Failed, collector.ErrNeedsDecision), quiet},
		"failed: credential stopped": {backupEvent(backup.Failed, collector.ErrCredentialStopped), quiet},
		"failed: a kind to come":     {backupEvent(backup.Failed, "out-of-coffee"), failed},

		"changed":           {drift(backup.DriftChanged, false), []string{"open changed of edge-r1 about 3f9a"}},
		"unsaved":           {drift(backup.DriftUnsaved, false), []string{"open unsaved of edge-r1 about 3f9a"}},
		"pending":           {drift(backup.DriftPending, false), []string{"open pending of edge-r1 about 3f9a"}},
		"off baseline":      {drift(backup.DriftOffBaseline, false), []string{"open off-baseline of edge-r1 about 3f9a"}},
		"saved":             {drift(backup.DriftUnsaved, true), []string{"close unsaved of edge-r1"}},
		"approved":          {drift(backup.DriftChanged, true), []string{"close changed of edge-r1"}},
		"store problem":     {event(inventory.EventStore, m{"message": "disk is full"}), []string{"open store-problem about store"}},
		"store good":        {event(inventory.EventStoreGood, nil), []string{"close store-problem about store"}},
		"of a newer muster": {event("coffee-machine", m{}), []string{}},
		"outcome to come":   {backupEvent("brewed", ""), []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := changesOf(tt.e, newWorld(nil))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, shown(got)); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
			for _, c := range got {
				if c.verb == opens && c.m.Since.IsZero() {
					t.Errorf("%s has no time", c.kind)
				}
			}
		})
	}
}

func TestEventThatCannotBeReadIsAnError(t *testing.T) {
	for _, kind := range []inventory.EventKind{
		inventory.EventState, inventory.EventBackup, inventory.EventDrift, inventory.EventHostKeyChanged,
		inventory.EventLoginRejected, inventory.EventIdentityClash, inventory.EventDeviceReplaced, inventory.EventStore,
	} {
		e := event(kind, nil)
		e.Data = json.RawMessage(`[1`)
		if _, err := changesOf(e, newWorld(nil)); err == nil {
			t.Errorf("%s with broken data is no error", kind)
		}
	}
}

func TestDriftIsTalliedInWords(t *testing.T) {
	for want, d := range map[string]backup.Drift{
		"1 line added, 0 removed":  {LinesAdded: 1},
		"2 lines added, 1 removed": {LinesAdded: 2, LinesRemoved: 1},
	} {
		d.Kind = backup.DriftChanged
		got, err := changesOf(event(inventory.EventDrift, d), newWorld(nil))
		if err != nil || len(got) != 1 || got[0].m.Seen != want {
			t.Errorf("changes %+v, %v, want one that says %q", got, err, want)
		}
	}
}
