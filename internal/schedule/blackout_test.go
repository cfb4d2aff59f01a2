package schedule

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muster/backup"
	"muster/inventory"
)

// slowBackups take a minute each.
type slowBackups struct {
	mu    *sync.Mutex
	taken map[string]int
}

func (f slowBackups) Take(ctx context.Context, _ *inventory.Run, _ int64, dev inventory.Device, _ func(string)) backup.Result {
	sleep(ctx, time.Minute)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken[dev.Name]++
	return backup.Result{Outcome: backup.Stored, Version: 1}
}

// A run that reaches the blackout of a scope goes on with the others; what a
// person starts knows none.
func TestRunThatReachesABlackoutOpensNoSessionThere(t *testing.T) {
	type outcomes map[string]string
	tests := map[string]struct {
		by         string
		after      time.Duration // the blackout of "shop" begins so long after the run
		backup     outcomes
		discovered outcomes
	}{
		"begun before it, reached on the way": {BySchedule, 30 * time.Second, outcomes{"shop-1": "stored", "shop-2": "skipped", "dc-1": "stored", "dc-2": "stored"}, nil},
		"begun within it":                     {BySchedule, 0, outcomes{"shop-1": "skipped", "shop-2": "skipped", "dc-1": "stored", "dc-2": "stored"}, outcomes{"192.0.2.1": "skipped", "192.0.2.2": "new"}},
		"what was missed":                     {ByCatchUp, 0, outcomes{"shop-1": "skipped", "shop-2": "skipped", "dc-1": "stored", "dc-2": "stored"}, outcomes{"192.0.2.1": "skipped", "192.0.2.2": "new"}},
		"asked for by a person":               {ByCommand, 0, outcomes{"shop-1": "stored", "shop-2": "stored", "dc-1": "stored", "dc-2": "stored"}, outcomes{"192.0.2.1": "new", "192.0.2.2": "new"}},
	}
	devs := fakeInventory{
		{ID: 1, Name: "shop-1", Scope: "shop", State: inventory.StateUp}, {ID: 2, Name: "dc-1", Scope: "dc", State: inventory.StateUp},
		{ID: 3, Name: "shop-2", Scope: "shop", State: inventory.StateUp}, {ID: 4, Name: "dc-2", Scope: "dc", State: inventory.StateUp},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begins := time.Now().Add(tt.after)
				until := begins.Add(10 * time.Hour)
				closed := func(scope string) (time.Time, bool) { return until, scope == "shop" && !time.Now().Before(begins) }
				taken := map[string]int{}
				jobs := []Job{
					&Backup{Access: &fakeAccess{}, Devices: devs, Backups: slowBackups{new(sync.Mutex), taken},
						Hold: func(d inventory.Device) (time.Time, bool) { return closed(d.Scope) }},
					&Discovery{Access: &fakeAccess{}, Closed: closed, Discovery: fakeSweep{found: []inventory.Candidate{
						{Addr: netip.MustParseAddr("192.0.2.1"), Scope: "shop", Credential: "ro"}, {Addr: netip.MustParseAddr("192.0.2.2"), Scope: "dc", Credential: "ro"}}}},
				}
				r := New(newMemStore(), jobs, quiet(Options{Patience: time.Hour, ScopeLimit: func(string) int { return 1 }}))
				defer r.Close()
				for job, want := range map[string]outcomes{JobBackup: tt.backup, JobDiscovery: tt.discovered} {
					if want == nil {
						continue
					}
					run, err := r.Start(t.Context(), job, Request{By: tt.by, Dry: job == JobDiscovery})
					if err != nil {
						t.Fatal(err)
					}
					if run, err = r.Wait(t.Context(), run.ID); err != nil || run.State != Done {
						t.Fatalf("run = %+v, %v", run, err)
					}
					tasks, err := r.Tasks(t.Context(), run.ID)
					if err != nil || len(tasks) != len(want) {
						t.Fatalf("%d tasks, %v, want %d", len(tasks), err, len(want))
					}
					for _, task := range tasks {
						if task.Outcome != want[task.Subject] {
							t.Errorf("%s = %s (%s), want %s", task.Subject, task.Outcome, task.Message, want[task.Subject])
						}
						left := "is backed up after it"
						if job == JobDiscovery {
							left = "is left to the next discovery"
						}
						if says := task.Subject + " is in the blackout of scope shop until " + clock(until) + " and " + left; task.Outcome == "skipped" && task.Message != says {
							t.Errorf("it says %q, want %q", task.Message, says)
						}
						if job == JobBackup && (taken[task.Subject] == 1) != (task.Outcome == "stored") {
							t.Errorf("%s was opened %d times", task.Subject, taken[task.Subject])
						}
					}
				}
			})
		})
	}
}
