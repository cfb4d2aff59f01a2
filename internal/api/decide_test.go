package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"muster/backup"
	"muster/inventory"
)

// deciding notes which devices were approved. Those in later changed otherwise since
// their drift was listed.
type deciding struct {
	fakeConfigs
	approved []int64
	later    map[int64]string
	captures []string
}

func (d *deciding) ApproveChange(_ context.Context, device int64, group, _ string) (int, error) {
	if now, other := d.later[device]; other && now != group {
		return 0, fmt.Errorf("sw%d: %w", device, backup.ErrOtherChange)
	}
	d.approved = append(d.approved, device)
	return 2, nil
}

func (d *deciding) Quarantined(context.Context, int64) (backup.Held, error) {
	return backup.Held{ID: "feed", TakenAt: noon}, nil
}

func (d *deciding) Accept(_ context.Context, _ int64, capture, _ string) (int, backup.Held, error) {
	d.captures = append(d.captures, capture)
	if capture == "old" {
		return 0, backup.Held{}, fmt.Errorf("r1: %w", backup.ErrReplaced)
	}
	return 3, backup.Held{ID: "feed", TakenAt: noon}, nil
}

// A group is of one change: what changed otherwise since, or drifted otherwise, is
// no part of what somebody saw.
func TestApprovalOfAGroupTakesNothingElse(t *testing.T) {
	configs := &deciding{}
	devices := &fakeDevices{}
	for i, group := range []string{"feed", "feed", "beef"} {
		name := fmt.Sprintf("sw%d", i+1)
		devices.list = append(devices.list, inventory.Device{ID: int64(i + 1), Name: name})
		configs.drifts = append(configs.drifts, backup.Drift{Device: name, Kind: backup.DriftChanged, Group: group},
			backup.Drift{Device: name, Kind: backup.DriftUnsaved, Group: "feed"})
	}
	s := &Server{configs: configs, devices: devices}
	all, err := s.decideMany(t.Context(), "approve", "", "feed")
	if err != nil || len(all) != 2 || !slices.Equal(configs.approved, []int64{1, 2}) {
		t.Errorf("decideMany() = %+v, %v; approved %v, want 1 and 2", all, err, configs.approved)
	}
}

// What comes between the list of a group and its approval is refused for the one
// device alone.
func TestApprovalOfAGroupTellsWhatChangedSince(t *testing.T) {
	configs := &deciding{later: map[int64]string{2: "beef"}}
	devices := &fakeDevices{}
	for i := range 3 {
		name := fmt.Sprintf("sw%d", i+1)
		devices.list = append(devices.list, inventory.Device{ID: int64(i + 1), Name: name})
		configs.drifts = append(configs.drifts, backup.Drift{Device: name, Kind: backup.DriftChanged, Group: "feed"})
	}
	s := &Server{configs: configs, devices: devices}
	all, err := s.decideMany(t.Context(), "approve", "", "feed")
	if err != nil || len(all) != 3 || !slices.Equal(configs.approved, []int64{1, 3}) {
		t.Fatalf("decideMany() = %+v, %v; approved %v, want 1 and 3", all, err, configs.approved)
	}
	if all[0].Failed || !all[1].Failed || all[2].Failed || !strings.Contains(all[1].Note, "another one") {
		t.Errorf("told %+v", all)
	}
}

// The id of a capture goes from the answer that names it to the decision.
func TestDecisionCarriesTheCaptureThatIsMeant(t *testing.T) {
	configs := &deciding{}
	s := &Server{configs: configs, devices: &fakeDevices{list: []inventory.Device{router1()}}}
	c := dial(t, s.Local())
	held, err := c.Quarantined(t.Context(), "r1")
	if err != nil || held != (Held{Device: "r1", Capture: "feed", TakenAt: noon}) {
		t.Fatalf("held %+v, %v", held, err)
	}
	d, err := c.Decide(t.Context(), "r1", "accept", Meant{Capture: held.Capture})
	if err != nil || d.Version != 3 || d.Capture != "feed" || !strings.Contains(d.Note, "feed of 2026-11-03T12:00:00Z is version 3") {
		t.Errorf("decided %+v, %v", d, err)
	}
	if _, err := c.Decide(t.Context(), "r1", "accept", Meant{Capture: "old"}); err == nil || !strings.Contains(err.Error(), "another capture") {
		t.Errorf("a capture that was replaced: %v", err)
	}
	if !slices.Equal(configs.captures, []string{"feed", "old"}) {
		t.Errorf("meant %v", configs.captures)
	}
}
