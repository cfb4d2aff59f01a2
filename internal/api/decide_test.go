package api

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"muster/backup"
	"muster/inventory"
)

// deciding notes which devices were approved.
type deciding struct {
	fakeConfigs
	approved []int64
}

func (d *deciding) Approve(_ context.Context, device int64, _ string) (int, error) {
	d.approved = append(d.approved, device)
	return 2, nil
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
