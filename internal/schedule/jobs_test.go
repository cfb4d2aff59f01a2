package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

// fakeAccess counts the memories that were begun.
type fakeAccess struct{ begun int }

func (a *fakeAccess) Begin() *inventory.Run { a.begun++; return &inventory.Run{} }

// fakeInventory is a list of devices.
type fakeInventory []inventory.Device

func (f fakeInventory) Select(_ context.Context, req Request) ([]inventory.Device, error) {
	if len(req.Devices) == 1 && req.Devices[0] == "moon" {
		return nil, errors.New("no device is called moon")
	}
	return f, nil
}

func (f fakeInventory) Device(_ context.Context, id int64) (inventory.Device, error) {
	return f[id-1], nil
}

// fakeBackups answers with a result per device name, the last one for ever.
type fakeBackups struct {
	mu      sync.Mutex
	results map[string][]backup.Result
	taken   map[string]int
}

func (f *fakeBackups) Take(_ context.Context, _ *inventory.Run, _ int64, dev inventory.Device, _ func(string)) backup.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	rs := f.results[dev.Name]
	res := rs[min(f.taken[dev.Name], len(rs)-1)]
	f.taken[dev.Name]++
	return res
}

func TestBackupJobSkipsWhatIsDownAndRetriesPassingFaults(t *testing.T) {
	up := inventory.StateUp
	devs := fakeInventory{
		{ID: 1, Name: "good", State: up}, {ID: 2, Name: "down", State: inventory.StateDown}, {ID: 3, Name: "off", State: up, Disabled: true},
		{ID: 4, Name: "busy", State: up}, {ID: 5, Name: "wrong", State: up}, {ID: 6, Name: "cut", State: up}, {ID: 7, Name: "gone", Retired: true},
	}
	failed := func(k collector.Kind) backup.Result {
		return backup.Result{Outcome: backup.Failed, Step: collector.StepLogin, Kind: k, Message: "why"}
	}
	tests := map[string]struct {
		req   Request
		state State
		want  map[string]string // outcome by device
		taken map[string]int
	}{
		"all": {Request{}, Done,
			map[string]string{"good": "stored", "down": "skipped", "off": "skipped", "busy": "unchanged", "wrong": "failed", "cut": "quarantined"},
			map[string]int{"good": 1, "down": 0, "off": 0, "busy": 2, "wrong": 1, "cut": 1}},
		"a person who names a device means it": {Request{Devices: []string{"*"}}, Done,
			map[string]string{"down": "stored", "off": "skipped"}, map[string]int{"down": 1, "off": 0}},
		"a name that does not exist": {Request{Devices: []string{"moon"}}, Failed, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &fakeBackups{taken: map[string]int{}, results: map[string][]backup.Result{
					"good": {{Outcome: backup.Stored, Version: 1}}, "down": {{Outcome: backup.Stored}},
					"busy":  {failed(collector.ErrBusy), {Outcome: backup.Unchanged}},
					"wrong": {failed(collector.ErrLoginRejected)}, "cut": {{Outcome: backup.Quarantined, Kind: collector.ErrProofMissing}},
				}}
				access := &fakeAccess{}
				r := New(newMemStore(), []Job{&Backup{Access: access, Backups: b, Devices: devs}}, quiet(Options{}))
				run, err := r.Start(t.Context(), JobBackup, tt.req)
				if err != nil {
					t.Fatal(err)
				}
				if run, err = r.Wait(t.Context(), run.ID); err != nil || run.State != tt.state {
					t.Fatalf("run = %+v, %v, want %s", run, err, tt.state)
				}
				tasks, err := r.Tasks(t.Context(), run.ID)
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]Task{}
				for _, task := range tasks {
					got[task.Subject] = task
				}
				for dev, outcome := range tt.want {
					var res backup.Result
					if err := json.Unmarshal(got[dev].Result, &res); err != nil || res.Device != dev || got[dev].Outcome != outcome {
						t.Errorf("%s = %+v (%s), %v, want %s", dev, got[dev], got[dev].Result, err, outcome)
					}
				}
				for dev, n := range tt.taken {
					if b.taken[dev] != n {
						t.Errorf("%s was tried %d times, want %d", dev, b.taken[dev], n)
					}
				}
				if off := got["off"]; off.Outcome == "skipped" && !strings.Contains(off.Message, "muster device set off --enable") {
					t.Errorf("a disabled device says %q", off.Message)
				}
				if _, there := got["gone"]; there {
					t.Error("a retired device was planned")
				}
				if access.begun != 1 {
					t.Errorf("%d memories of credentials in one run, want 1", access.begun)
				}
				r.Close()
			})
		})
	}
}

// fakeSweep finds its addresses a second apart.
type fakeSweep struct {
	found []inventory.Candidate
	err   error
}

func (f fakeSweep) Sweep(ctx context.Context, _ []string, progress func(int, int, int), found func(inventory.Candidate)) (inventory.SweepSummary, error) {
	for i, c := range f.found {
		if !sleep(ctx, time.Second) {
			return inventory.SweepSummary{}, context.Cause(ctx)
		}
		found(c)
		progress(i+1, 254, i+1)
	}
	return inventory.SweepSummary{Asked: 254, Answered: len(f.found)}, f.err
}

func (f fakeSweep) Examine(ctx context.Context, _ *inventory.Run, c inventory.Candidate, dry bool) inventory.Result {
	if !dry || c.Credential == "" {
		return inventory.Result{Address: c.Addr, Outcome: inventory.OutcomeFailed, Kind: collector.ErrIncomplete, Message: "candidate was not handed on"}
	}
	sleep(ctx, 500*time.Millisecond)
	return inventory.Result{Address: c.Addr, Outcome: inventory.OutcomeNew, Device: "sw"}
}

func TestDiscoveryExaminesWhileTheSweepGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var found []inventory.Candidate
		for i := range 5 {
			found = append(found, inventory.Candidate{Scope: "campus", Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Credential: "ro"})
		}
		r := New(newMemStore(), []Job{&Discovery{Access: &fakeAccess{}, Discovery: fakeSweep{found: found}}}, quiet(Options{}))
		run, err := r.Start(t.Context(), JobDiscovery, Request{Dry: true})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*time.Second + 100*time.Millisecond)
		if now, _ := r.Run(t.Context(), run.ID); now.Done != 2 || now.Total != 3 || now.Message != "asked 3 of 254 addresses, 3 answered" {
			t.Errorf("in the middle: %+v, want 2 of 3 done", now)
		}
		if run, err = r.Wait(t.Context(), run.ID); err != nil || run.Counts["new"] != 5 || run.Message != "asked 254 addresses, 5 answered, 0 excluded" {
			t.Errorf("run = %+v, %v, want 5 new", run, err)
		}
		r.Close()
	})
}

func TestSweepThatFailsSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(newMemStore(), []Job{&Discovery{Access: &fakeAccess{}, Discovery: fakeSweep{err: errors.New("no socket")}}}, quiet(Options{}))
		run, err := r.Start(t.Context(), JobDiscovery, Request{})
		if err != nil {
			t.Fatal(err)
		}
		if run, err = r.Wait(t.Context(), run.ID); err != nil || run.State != Failed || run.Message != "sweep: no socket" {
			t.Errorf("run = %+v, %v, want failed with the reason", run, err)
		}
		r.Close()
	})
}

func TestSingleJobIsARunOfOneTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(newMemStore(), []Job{
			Single("housekeeping", func(context.Context, func(string)) (string, error) { return "3 runs deleted", nil }),
			Single("broken", func(context.Context, func(string)) (string, error) { return "", errors.New("disk is full") }),
		}, quiet(Options{}))
		for job, want := range map[string]string{"housekeeping": "3 runs deleted", "broken": "disk is full"} {
			run, err := r.Start(t.Context(), job, Request{})
			if err != nil {
				t.Fatal(err)
			}
			if run, err = r.Wait(t.Context(), run.ID); err != nil || run.Done != 1 || run.Failed != map[string]int{"broken": 1}[job] {
				t.Errorf("%s = %+v, %v", job, run, err)
			}
			if tasks, err := r.Tasks(t.Context(), run.ID); err != nil || tasks[0].Message != want {
				t.Errorf("%s: tasks = %+v, %v, want %q", job, tasks, err, want)
			}
		}
		r.Close()
	})
}
