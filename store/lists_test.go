package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"muster/backup"
	"muster/inventory"
	"muster/inventory/platform"
)

// attempt commits one attempt at a device.
func attempt(t *testing.T, s *Store, id int64, number int, outcome backup.Outcome, at time.Time, drift ...backup.DriftChange) {
	t.Helper()
	if err := s.CommitBackup(t.Context(), attemptAt(id, number, outcome, at, drift...)); err != nil {
		t.Fatal(err)
	}
}

func attemptAt(id int64, number int, outcome backup.Outcome, at time.Time, drift ...backup.DriftChange) backup.Commit {
	raw := fmt.Appendf(nil, "hostname r%d\nversion %d\nend\n", id, number)
	c := backup.Commit{At: at, DeviceID: id, Drifts: drift, Capture: &backup.Captured{
		Capture: backup.Capture{DeviceID: id, Platform: "cisco_ios", TakenAt: at, Texts: []backup.Text{{Part: "running", Role: platform.RoleRunning, Raw: raw}}},
		Result:  backup.Result{Outcome: outcome, Version: number},
	}}
	if outcome == backup.Failed {
		c.Capture.Texts = nil
	}
	if outcome == backup.Stored {
		c.Version = &backup.NewVersion{Version: backup.Version{DeviceID: id, Number: number, At: at, Reason: backup.ReasonChanged, Rules: "r", Parts: []string{"running"}},
			Parts: []backup.VersionPart{{Part: "running", Role: platform.RoleRunning, Raw: raw, Redacted: raw}}}
	}
	return c
}

// Whatever was written, the lists say what the tables say.
func TestListsFollowTheTables(t *testing.T) {
	s := openNew(t)
	const devices = 12
	at := time.Date(2026, 11, 1, 4, 20, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(7, 7))
	var ids []int64
	versions := map[int64]int{}
	check := func(did string) {
		t.Helper()
		var want []inventory.Device
		view(t, s, func(tx inventory.Reader) (err error) { want, err = tx.Devices(); return err })
		got, err := s.Inventory().Devices(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(inventory.Device{}.Address)); d != "" {
			t.Fatalf("devices after %s:\n%s", did, d)
		}
		var stand map[int64]backup.Standing
		err = s.view(t.Context(), func(tx *sql.Tx) (err error) { stand, err = readStandings(tx, 0); return err })
		if err != nil {
			t.Fatal(err)
		}
		kept, err := s.BackupStandings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(stand, kept); d != "" {
			t.Fatalf("standings after %s:\n%s", did, d)
		}
	}
	for i := range devices {
		ids = append(ids, newDevice(t, s, fmt.Sprintf("%c-sw%d", "aBcDe"[i%5], i), fmt.Sprintf("192.0.2.%d", i+1)).ID)
	}
	check("devices were added")
	done := map[string]int{}
	for step := range 300 {
		at = at.Add(time.Hour)
		id := ids[r.IntN(len(ids))]
		var did string
		switch n := r.IntN(20); {
		case n < 6:
			did = "a version"
			versions[id]++
			attempt(t, s, id, versions[id], backup.Stored, at)
		case n < 9:
			did = "a failed backup"
			attempt(t, s, id, versions[id], backup.Failed, at)
		case n < 11:
			did = "a capture in quarantine"
			attempt(t, s, id, versions[id], backup.Quarantined, at)
		case n < 13:
			did = "a drift"
			attempt(t, s, id, versions[id], backup.Unchanged, at, backup.DriftChange{OpenDrift: backup.OpenDrift{DeviceID: id, Kind: backup.DriftUnsaved, Since: at}, Closed: n == 12})
		case n < 15:
			did = "a renamed device"
			update(t, s, func(tx inventory.Tx) error {
				d, err := tx.Device(id)
				if err != nil {
					return err
				}
				d.Name, d.Tags = fmt.Sprintf("%c-%d", "xYz"[step%3], step), []string{"core"}
				return tx.PutDevice(&d)
			})
		case n == 15:
			did = "an update that was taken back"
			wrong := errors.New("wrong")
			err := s.Inventory().Update(t.Context(), func(tx inventory.Tx) error {
				d, err := tx.Device(id)
				if err != nil {
					return err
				}
				d.Name = "never"
				return errors.Join(wrong, tx.PutDevice(&d))
			})
			if !errors.Is(err, wrong) {
				t.Fatal(err)
			}
		case n == 16 && versions[id] > 1:
			did = "a purge"
			if err := s.PurgeVersion(t.Context(), id, versions[id]-1, backup.Audit{}, at); err != nil && !errors.Is(err, backup.ErrNotStored) {
				t.Fatal(err)
			}
		case n == 17:
			did = "old captures pruned"
			if _, err := s.PruneCaptures(t.Context(), at.Add(-40*time.Hour)); err != nil {
				t.Fatal(err)
			}
		case n == 18 && len(ids) > 6:
			did = "a merged device"
			into := ids[r.IntN(len(ids))]
			if into == id {
				continue
			}
			update(t, s, func(tx inventory.Tx) error { return tx.Join(id, into, at) })
			ids = without(ids, id)
		case n == 19 && len(ids) > 6:
			did = "a deleted device"
			update(t, s, func(tx inventory.Tx) error { return tx.DeleteDevice(id) })
			ids = without(ids, id)
		default:
			continue
		}
		done[did]++
		check(did)
	}
	if len(done) < 9 {
		t.Errorf("only %v happened", done)
	}
}

func without(ids []int64, id int64) (rest []int64) {
	for _, other := range ids {
		if other != id {
			rest = append(rest, other)
		}
	}
	return rest
}

// What was acknowledged is in the next list, however many write and list.
func TestAcknowledgedWritesAreListed(t *testing.T) {
	s := openNew(t)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for i := range 25 {
				d := inventory.Device{Name: fmt.Sprintf("r%d-%d", n, i)}
				err := s.Inventory().Update(t.Context(), func(tx inventory.Tx) error { return tx.PutDevice(&d) })
				if err == nil {
					err = s.CommitBackup(t.Context(), attemptAt(d.ID, 1, backup.Stored, time.Now()))
				}
				if err != nil {
					t.Error(err)
					return
				}
				standings, err := s.BackupStandings(t.Context())
				if err != nil || standings[d.ID].Versions != 1 {
					t.Errorf("%s has a version, and the list says %+v, %v", d.Name, standings[d.ID], err)
				}
				all, err := s.Inventory().Devices(t.Context())
				if err != nil {
					t.Error(err)
				}
				found := false
				for _, other := range all {
					found = found || other.ID == d.ID
				}
				if !found {
					t.Errorf("%s was added and is in no list", d.Name)
				}
			}
		})
	}
	group.Wait()
}

// A writing connection that is made anew watches too.
func TestListsOutliveAConnection(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "r1", "192.0.2.1")
	attempt(t, s, d.ID, 1, backup.Stored, time.Now())
	if _, err := s.BackupStandings(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.alone(t.Context(), func(ctx context.Context, db *sql.DB) error {
		db.SetMaxIdleConns(-1) // closes it
		db.SetMaxIdleConns(1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	attempt(t, s, d.ID, 2, backup.Stored, time.Now())
	standings, err := s.BackupStandings(t.Context())
	if err != nil || standings[d.ID].Versions != 2 {
		t.Errorf("the list says %+v, %v", standings[d.ID], err)
	}
}
