package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// devices makes n specs of one scope.
func devices(scope string, from, n int) []Spec {
	specs := make([]Spec, n)
	for i := range specs {
		specs[i] = Spec{Subject: fmt.Sprintf("%s-%d", scope, from+i), DeviceID: int64(from + i), Scope: scope}
	}
	return specs
}

func quiet(o Options) Options {
	o.Log = slog.New(slog.DiscardHandler)
	return o
}

// runAll starts the job, waits for its end and returns run and tasks.
func runAll(t *testing.T, r *Runner, req Request) (Run, []Task) {
	t.Helper()
	run, err := r.Start(t.Context(), "test", req)
	if err != nil {
		t.Fatal(err)
	}
	run, err = r.Wait(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := r.Tasks(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	return run, tasks
}

func TestSlowDeviceDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{specs: devices("campus", 1, 20), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			if spec.DeviceID == 1 {
				return wait(ctx, 15*time.Minute)
			}
			return wait(ctx, time.Second)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{RunLimit: always(2)}))
		begun := time.Now()
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if now, _ := r.Run(t.Context(), run.ID); now.Done != 19 {
			t.Errorf("after 20 s %d of 20 are done, want all but the frozen one", now.Done)
		}
		run, err = r.Wait(t.Context(), run.ID)
		if err != nil || run.State != Done || run.Counts["stored"] != 20 || time.Since(begun) != 15*time.Minute {
			t.Errorf("run = %+v, %v after %s, want 20 stored after 15 min", run, err, time.Since(begun))
		}
		r.Close()
	})
}

func TestTasksThatEndInAMomentShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{specs: devices("campus", 1, 200), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			return wait(ctx, time.Duration(spec.DeviceID)*time.Millisecond)
		}}
		store := newMemStore()
		r := New(store, []Job{job}, quiet(Options{RunLimit: always(200), ScopeLimit: func(string) int { return 200 }}))
		begun := time.Now()
		run, tasks := runAll(t, r, Request{})
		if run.Done != 200 || len(tasks) != 200 || time.Since(begun) != 200*time.Millisecond {
			t.Errorf("%d done, %d rows after %s; want 200 and no wait behind the last", run.Done, len(tasks), time.Since(begun))
		}
		if store.saves > 5 {
			t.Errorf("200 tasks that ended within 200 ms took %d commits", store.saves)
		}
		r.Close()
	})
}

// Devices that hang would take all places: what gets on has its turn all the
// same, and no more than four times the limit are at work.
func TestStuckTasksGiveTheirPlaceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at, most := 0, 0
		job := testJob{specs: devices("campus", 1, 100), do: func(ctx context.Context, spec Spec, step func(string)) Outcome {
			mu.Lock()
			at++
			most = max(most, at)
			mu.Unlock()
			defer func() { mu.Lock(); defer mu.Unlock(); at-- }()
			switch {
			case spec.DeviceID <= 20:
				return wait(ctx, 10*time.Minute) // frozen
			case spec.DeviceID == 21: // slow, but it gets on
				for range 20 {
					step("output")
					time.Sleep(10 * time.Second)
				}
			}
			return wait(ctx, time.Second)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{ScopeLimit: func(string) int { return 10 }}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if now, _ := r.Run(t.Context(), run.ID); now.Done != 79 {
			t.Errorf("after a minute %d of 100 are done, want all but the 20 frozen and the slow one", now.Done)
		}
		if _, err = r.Wait(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if most != 30 {
			t.Errorf("at most %d at a time, want 10 and the 20 that are stuck", most)
		}
	})
}

func TestNoMoreThanSomeAreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at, most := 0, 0
		job := testJob{specs: devices("campus", 1, 100), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			mu.Lock()
			at++
			most = max(most, at)
			mu.Unlock()
			defer func() { mu.Lock(); defer mu.Unlock(); at-- }()
			return wait(ctx, 10*time.Minute)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{ScopeLimit: func(string) int { return 5 }}))
		run, _ := runAll(t, r, Request{})
		r.Close()
		if run.Done != 100 || most != 20 {
			t.Errorf("done %d, at most %d at a time; want 100, and 20: four times the scope's 5", run.Done, most)
		}
	})
}

func TestLimitsHoldPerRunAndPerScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at, most := map[string]int{}, map[string]int{}
		job := testJob{specs: append(devices("campus", 1, 40), devices("wan", 100, 10)...),
			do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
				mu.Lock()
				for _, k := range []string{spec.Scope, "all"} {
					at[k]++
					most[k] = max(most[k], at[k])
				}
				mu.Unlock()
				out := wait(ctx, time.Second)
				mu.Lock()
				defer mu.Unlock()
				at[spec.Scope]--
				at["all"]--
				return out
			}}
		r := New(newMemStore(), []Job{job}, quiet(Options{RunLimit: always(6), ScopeLimit: func(scope string) int {
			if scope == "wan" {
				return 2
			}
			return 5
		}}))
		// Two runs at a time: the scopes' limits hold over both.
		a, err := r.Start(t.Context(), "test", Request{Concurrency: 4})
		if err != nil {
			t.Fatal(err)
		}
		run, _ := runAll(t, r, Request{})
		if _, err := r.Wait(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if run.Done != 50 || most["campus"] != 5 || most["wan"] != 2 || most["all"] > 7 {
			t.Errorf("done %d; at most at a time %v, want campus 5, wan 2", run.Done, most)
		}
	})
}

func TestScopesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		job := testJob{specs: append(devices("campus", 1, 4), devices("wan", 10, 4)...),
			do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
				order = append(order, spec.Scope)
				return wait(ctx, time.Second)
			}}
		r := New(newMemStore(), []Job{job}, quiet(Options{RunLimit: always(1)}))
		runAll(t, r, Request{})
		r.Close()
		for i := 1; i < len(order); i++ {
			if order[i] == order[i-1] {
				t.Fatalf("order of scopes = %v, want them in turn", order)
			}
		}
	})
}

func TestOneSessionAtATimePerDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at := map[int64]int{}
		enter := func(id int64, by int) {
			mu.Lock()
			defer mu.Unlock()
			if at[id] += by; at[id] > 1 {
				t.Errorf("device %d has %d sessions at a time", id, at[id])
			}
		}
		job := testJob{specs: devices("campus", 1, 5), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			enter(spec.DeviceID, 1)
			defer enter(spec.DeviceID, -1)
			return wait(ctx, time.Second)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{}))
		release, err := r.Hold(t.Context(), 3) // doctor is at it
		if err != nil {
			t.Fatal(err)
		}
		enter(3, 1)
		a, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, id := range []int64{a.ID, b.ID} {
			if run, _ := r.Run(t.Context(), id); run.Done != 4 {
				t.Errorf("run %d: %d done while device 3 is held, want 4", id, run.Done)
			}
		}
		enter(3, -1)
		release()
		for _, id := range []int64{a.ID, b.ID} {
			if run, err := r.Wait(t.Context(), id); err != nil || run.Done != 5 {
				t.Errorf("run %d = %+v, %v, want 5 done", id, run, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release, _ = r.Hold(t.Context(), 3)
		if _, err := r.Hold(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second Hold = %v, want it to wait until its context ends", err)
		}
		release()
		r.Close()
	})
}

func TestPassingFaultIsTriedOnceMoreLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		tries := map[string]int{}
		job := testJob{specs: devices("campus", 1, 3), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			order = append(order, spec.Subject)
			tries[spec.Subject]++
			time.Sleep(time.Second)
			switch {
			case spec.DeviceID == 1 && tries[spec.Subject] == 1:
				return Outcome{Outcome: "failed", Failed: true, Kind: "busy", Again: true}
			case spec.DeviceID == 2: // it never works
				return Outcome{Outcome: "failed", Failed: true, Kind: "timed-out", Again: true}
			}
			return Outcome{Outcome: "stored"}
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{RunLimit: always(1), RetryAfter: time.Minute}))
		begun := time.Now()
		first, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second) // all were tried, two wait
		synctest.Wait()
		now, _ := r.Run(t.Context(), first.ID)
		waiting, _ := r.Tasks(t.Context(), first.ID)
		if now.Done != 1 || now.NextTry.Sub(begun) != 61*time.Second || waiting[0].State != Waiting || waiting[0].Kind != "busy" {
			t.Errorf("in between: %+v, first task %+v, want it to say why it waits and until when", now, waiting[0])
		}
		run, err := r.Wait(t.Context(), first.ID)
		if err != nil {
			t.Fatal(err)
		}
		tasks, _ := r.Tasks(t.Context(), run.ID)
		r.Close()
		if got := strings.Join(order, " "); got != "campus-1 campus-2 campus-3 campus-1 campus-2" {
			t.Errorf("order = %s, want the second tries after all first ones", got)
		}
		if run.Counts["stored"] != 2 || run.Counts["failed"] != 1 || run.Failed != 1 || run.Done != 3 {
			t.Errorf("run = %+v, want 2 stored, 1 failed", run)
		}
		if tasks[0].Tries != 2 || tasks[2].Tries != 1 {
			t.Errorf("tries = %d, %d, want 2 and 1", tasks[0].Tries, tasks[2].Tries)
		}
		if took := time.Since(begun); took < time.Minute || took > 70*time.Second {
			t.Errorf("run took %s, want the second try a minute after the first", took)
		}
	})
}

func TestPanicIsThatTasksFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{specs: devices("campus", 1, 3), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			if spec.DeviceID == 2 {
				panic("index out of range")
			}
			return wait(ctx, time.Second)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{}))
		run, tasks := runAll(t, r, Request{})
		r.Close()
		if run.State != Done || run.Failed != 1 || run.Counts["stored"] != 2 {
			t.Errorf("run = %+v, want 2 stored and 1 failed", run)
		}
		if got := tasks[1]; got.State != Failed || !strings.Contains(got.Message, "index out of range") || strings.Contains(got.Message, "\n") {
			t.Errorf("task = %+v, want failed with the panic in one line", got)
		}
	})
}

func TestStopBeginsNothingNewAndGivesGrace(t *testing.T) {
	tests := map[string]struct {
		takes   time.Duration // of a task
		outcome string        // of the one at work
		after   time.Duration // of the stop the run has ended
	}{
		"task ends within the grace":     {20 * time.Second, "stored", 10 * time.Second},
		"task is cut when grace is over": {time.Hour, "failed", 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				job := testJob{specs: devices("campus", 1, 3), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
					return wait(ctx, tt.takes)
				}}
				r := New(newMemStore(), []Job{job}, quiet(Options{RunLimit: always(1)}))
				run, err := r.Start(t.Context(), "test", Request{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				begun := time.Now()
				if err := r.Stop(t.Context(), run.ID); err != nil {
					t.Fatal(err)
				}
				run, err = r.Wait(t.Context(), run.ID)
				if err != nil || run.State != Stopped || run.Counts[tt.outcome] != 1 || run.Counts["stopped"] != 2 || run.Done != 3 {
					t.Errorf("run = %+v, %v, want 1 %s and 2 stopped", run, err, tt.outcome)
				}
				if got := time.Since(begun); got != tt.after {
					t.Errorf("run ended %s after the stop, want %s", got, tt.after)
				}
				if err := r.Stop(t.Context(), run.ID); !errors.Is(err, ErrEnded) {
					t.Errorf("second Stop = %v, want ErrEnded", err)
				}
				if err := r.Stop(t.Context(), 77); !errors.Is(err, ErrNoRun) {
					t.Errorf("Stop of no run = %v, want ErrNoRun", err)
				}
				r.Close()
			})
		})
	}
}

func TestCloseCommitsWhatFinishedAndStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		job := testJob{specs: devices("campus", 1, 3), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			return wait(ctx, 10*time.Second)
		}}
		r := New(s, []Job{job}, quiet(Options{RunLimit: always(1)}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		r.Close()
		run, _ = s.RunOf(t.Context(), run.ID)
		if run.State != Interrupted || run.Counts["stored"] != 2 || run.Counts["interrupted"] != 1 || run.EndedAt.IsZero() {
			t.Errorf("run = %+v, want interrupted with 2 stored", run)
		}
		if _, err := r.Start(t.Context(), "test", Request{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Start after Close = %v, want ErrClosed", err)
		}
	})
}

func TestTasksAreAddedWhileTheRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{
			plan: func(ctx context.Context, feed *Feed) error {
				for i := range 5 {
					if err := feed.Add(devices("campus", i, 1)...); err != nil {
						return err
					}
					feed.Say(fmt.Sprintf("asked %d of 5", i+1))
					if !sleep(ctx, time.Minute) {
						return context.Cause(ctx)
					}
				}
				return nil
			},
			do: func(ctx context.Context, _ Spec, _ func(string)) Outcome { return wait(ctx, time.Second) },
		}
		r := New(newMemStore(), []Job{job}, quiet(Options{}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Second)
		if now, _ := r.Run(t.Context(), run.ID); now.Done != 3 || !now.Planning || now.Message != "asked 3 of 5" {
			t.Errorf("in the middle: %+v, want 3 done while planning", now)
		}
		if run, err = r.Wait(t.Context(), run.ID); err != nil || run.Done != 5 || run.Planning {
			t.Errorf("run = %+v, %v, want 5 done", run, err)
		}
		// A plan that is stopped ends at once.
		run, err = r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := r.Stop(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
		if run, err = r.Wait(t.Context(), run.ID); err != nil || run.State != Stopped || run.Done != 1 || run.EndedAt.Sub(run.StartedAt) != 10*time.Second {
			t.Errorf("stopped run = %+v, %v", run, err)
		}
		r.Close()
	})
}

func TestFaultyPlanFailsTheRunAndSaysWhy(t *testing.T) {
	for name, plan := range map[string]func(context.Context, *Feed) error{
		"error": func(context.Context, *Feed) error { return errors.New("no scope is called moon") },
		"panic": func(context.Context, *Feed) error { panic("no scope is called moon") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := New(newMemStore(), []Job{testJob{plan: plan}}, quiet(Options{}))
				run, _ := runAll(t, r, Request{})
				r.Close()
				if run.State != Failed || !strings.Contains(run.Message, "no scope is called moon") {
					t.Errorf("run = %+v, want failed with the reason", run)
				}
			})
		})
	}
}

func TestRunEndsWhenItsRowsCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		job := testJob{specs: devices("campus", 1, 10), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			if spec.DeviceID == 5 {
				s.setFull()
			}
			return wait(ctx, time.Second)
		}}
		r := New(s, []Job{job}, quiet(Options{RunLimit: always(1)}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Wait(t.Context(), run.ID); !errors.Is(err, errFull) {
			t.Errorf("Wait = %v, want the store's error", err)
		}
		if tasks, _ := s.RunTasks(t.Context(), run.ID); tasks[5].Seq != 0 || tasks[0].Seq != 1 {
			t.Errorf("tasks = %+v, want the first stored and none after the fifth", tasks)
		}
		r.Close()
	})
}

func TestUnknownJobIsRefused(t *testing.T) {
	r := New(newMemStore(), nil, quiet(Options{}))
	defer r.Close()
	if _, err := r.Start(t.Context(), "moonwalk", Request{}); !errors.Is(err, ErrNoJob) {
		t.Errorf("Start = %v, want ErrNoJob", err)
	}
}

func always(n int) func() int { return func() int { return n } }
