package schedule

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// watchAll collects what a watcher is told to the end.
func watchAll(t *testing.T, r *Runner, id int64) (items []Item) {
	t.Helper()
	for item, err := range r.Watch(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

// ended lists the Seqs of the tasks that items say have ended.
func ended(items []Item) (seqs []int) {
	for _, i := range items {
		if i.Kind == ItemFinished {
			seqs = append(seqs, i.Task.Seq)
		}
	}
	return seqs
}

func TestEveryWatcherHearsOfEveryTaskOnce(t *testing.T) {
	const tasks = 3*ringSize + 7
	tests := map[string]time.Duration{ // of the run's beginning
		"from the beginning":                         0,
		"late, when the first are only in the store": 25 * time.Second,
		"after the end":                              time.Hour,
	}
	for name, late := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				job := testJob{specs: devices("campus", 1, tasks), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
					return wait(ctx, time.Second)
				}}
				r := New(newMemStore(), []Job{job}, quiet(Options{}))
				run, err := r.Start(t.Context(), "test", Request{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(late)
				items := watchAll(t, r, run.ID)
				seqs := ended(items)
				if len(seqs) != tasks {
					t.Fatalf("%d ended tasks were told, want %d", len(seqs), tasks)
				}
				for i, seq := range seqs {
					if seq != i+1 {
						t.Fatalf("ended task %d has Seq %d: out of order or told twice", i, seq)
					}
				}
				last := items[len(items)-1]
				if last.Kind != ItemRun || last.Run.State != Done || last.Run.Done != tasks {
					t.Errorf("last item = %+v, want the ended run", last)
				}
				r.Close()
			})
		})
	}
}

func TestSlowWatcherDelaysNobodyAndMissesNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{specs: devices("campus", 1, 2*ringSize), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			return wait(ctx, time.Second)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		var n int
		for item, err := range r.Watch(t.Context(), run.ID) {
			if err != nil {
				t.Fatal(err)
			}
			if item.Kind == ItemFinished {
				n++
			}
			time.Sleep(time.Second)
		}
		if n != 2*ringSize {
			t.Errorf("slow watcher heard of %d ends, want %d", n, 2*ringSize)
		}
		if run, err = r.Run(t.Context(), run.ID); err != nil || run.EndedAt.Sub(run.StartedAt) > time.Minute {
			t.Errorf("run = %+v, %v: the watcher held it up", run, err)
		}
		r.Close()
	})
}

func TestWatcherSeesStepsWhileTheyHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{specs: devices("campus", 1, 1), do: func(ctx context.Context, spec Spec, step func(string)) Outcome {
			for _, s := range []string{"connect", "login", "output"} {
				step(s)
				time.Sleep(time.Second)
			}
			return Outcome{Outcome: "stored", Result: map[string]string{"device": spec.Subject}}
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, i := range watchAll(t, r, run.ID) {
			switch i.Kind {
			case ItemStarted, ItemStep:
				told = append(told, i.Task.Step)
			case ItemFinished:
				told = append(told, string(i.Task.Result))
			}
		}
		if got := strings.Join(told, " "); !strings.HasSuffix(got, `login output {"device":"campus-1"}`) {
			t.Errorf("told %s, want the steps and the result", got)
		}
		r.Close()
	})
}

func TestWatchEndsWithItsContextAndRefusesNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob{specs: devices("campus", 1, 1), do: func(ctx context.Context, spec Spec, _ func(string)) Outcome {
			return wait(ctx, time.Hour)
		}}
		r := New(newMemStore(), []Job{job}, quiet(Options{Grace: -1}))
		run, err := r.Start(t.Context(), "test", Request{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var last error
		for _, err := range r.Watch(ctx, run.ID) {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) {
			t.Errorf("watch ended with %v, want its context's end", last)
		}
		for _, err := range r.Watch(t.Context(), 99) {
			last = err
		}
		if !errors.Is(last, ErrNoRun) {
			t.Errorf("watch of no run ended with %v, want ErrNoRun", last)
		}
		r.Close()
	})
}
