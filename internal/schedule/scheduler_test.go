package schedule

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A bubble's clock begins at midnight UTC, 2000-01-01.

// nightly is the entry of the tests, due at 04:20 each day.
func nightly() Entry { return Entry{Name: "backup", Cron: "20 4 * * *", Job: "test"} }

// quick is a job that takes a minute.
func quick() testJob {
	return testJob{specs: devices("campus", 1, 1), do: func(ctx context.Context, _ Spec, _ func(string)) Outcome {
		return wait(ctx, time.Minute)
	}}
}

// starts lists when runs began, oldest first, with who began them.
func starts(s *memStore) string {
	var all []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		all = append(all, r.StartedAt.UTC().Format("02 15:04")+" "+r.By)
	}
	return strings.Join(all, ", ")
}

// serve runs a scheduler with entries for a while, as one process does.
func serve(t *testing.T, s *memStore, job Job, d time.Duration, entries ...Entry) {
	t.Helper()
	r := New(s, []Job{job}, quiet(Options{Grace: -1}))
	if _, err := r.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	sch := NewScheduler(r)
	if err := sch.Set(entries); err != nil {
		t.Fatal(err)
	}
	time.Sleep(d)
	sch.Close()
	r.Close()
}

func TestTenNightsAreTenRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		serve(t, s, quick(), 10*24*time.Hour, nightly())
		if n := strings.Count(starts(s), " 04:20 schedule"); n != 10 || len(s.runs) != 10 {
			t.Errorf("runs began %s, want ten at 04:20", starts(s))
		}
	})
}

func TestMissedNightsAreCaughtUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		serve(t, s, quick(), 5*time.Hour, nightly()) // the first start owes nothing, and then 04:20 comes
		time.Sleep(3*24*time.Hour + 5*time.Hour)     // off for three nights, back on day 4 at 10:00
		serve(t, s, quick(), 24*time.Hour, nightly())
		if got, want := starts(s), "01 04:20 schedule, 04 10:00 catch-up, 05 04:20 schedule"; got != want {
			t.Errorf("runs began %s, want %s", got, want)
		}
	})
}

func TestMissedRunIsLeftToTheNextWhenThatIsNear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		serve(t, s, quick(), 5*time.Hour, nightly())
		time.Sleep(46*time.Hour + 30*time.Minute) // back on day 3 at 03:30
		serve(t, s, quick(), time.Hour, nightly())
		if got, want := starts(s), "01 04:20 schedule, 03 04:20 schedule"; got != want {
			t.Errorf("runs began %s, want %s", got, want)
		}
	})
}

func TestInterruptedScheduledRunIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		slow := testJob{specs: devices("campus", 1, 1), do: func(ctx context.Context, _ Spec, _ func(string)) Outcome {
			return wait(ctx, time.Hour)
		}}
		serve(t, s, slow, 4*time.Hour+30*time.Minute, nightly()) // ends ten minutes into the run
		serve(t, s, quick(), time.Hour, nightly())
		if got, want := starts(s), "01 04:20 schedule, 01 04:30 catch-up"; got != want {
			t.Errorf("runs began %s, want %s", got, want)
		}
		if s.runs[0].State != Interrupted || s.runs[1].State != Done {
			t.Errorf("states = %s, %s, want interrupted, done", s.runs[0].State, s.runs[1].State)
		}
	})
}

func TestKilledProcessLeavesAnInterruptedRunThatIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		serve(t, s, quick(), time.Hour, nightly())
		time.Sleep(3*time.Hour + 20*time.Minute) // 04:20: the run of a process that is killed in it
		if _, err := s.AddRun(t.Context(), Run{Job: "test", State: Running, By: BySchedule, StartedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		serve(t, s, quick(), time.Hour, nightly())
		if got, want := starts(s), "01 04:20 schedule, 01 04:30 catch-up"; got != want || s.runs[0].State != Interrupted {
			t.Errorf("runs began %s, first is %s, want %s, interrupted", got, s.runs[0].State, want)
		}
	})
}

func TestRunsOfOneEntryNeverOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		job := testJob{specs: devices("campus", 1, 1), do: func(ctx context.Context, _ Spec, _ func(string)) Outcome {
			return wait(ctx, 150*time.Minute)
		}}
		e := nightly()
		e.Cron = "0 * * * *"
		serve(t, s, job, 7*time.Hour+30*time.Minute, e)
		if len(s.runs) > 3 || len(s.runs) < 2 {
			t.Errorf("runs of 150 min began %s, want no overlap", starts(s))
		}
		for i := 1; i < len(s.runs); i++ {
			if s.runs[i].StartedAt.Before(s.runs[i-1].EndedAt) {
				t.Errorf("run %d began before %d ended", i+1, i)
			}
		}
	})
}

func TestNoNightIsBackedUpTwiceOverBothChangesOfClocks(t *testing.T) {
	tests := map[string]struct {
		zone, cron string
		from       string // in the zone, for 48 h
		want       string // in UTC
	}{
		"Paris, 02:30 is left out":         {"Europe/Paris", "30 2 * * *", "2000-03-25 12:00", "27 00:30 schedule"},
		"Paris, 02:30 comes twice":         {"Europe/Paris", "30 2 * * *", "2000-10-28 12:00", "29 00:30 schedule, 30 01:30 schedule"},
		"Paris, 04:20, 23 h":               {"Europe/Paris", "20 4 * * *", "2000-03-25 12:00", "26 02:20 schedule, 27 02:20 schedule"},
		"Paris, 04:20, 25 h":               {"Europe/Paris", "20 4 * * *", "2000-10-28 12:00", "29 03:20 schedule, 30 03:20 schedule"},
		"New York, 02:30 is left out":      {"America/New_York", "30 2 * * *", "2000-04-01 12:00", "03 06:30 schedule"},
		"New York, 01:30 comes twice":      {"America/New_York", "30 1 * * *", "2000-10-28 12:00", "29 05:30 schedule, 30 06:30 schedule"},
		"New York, 04:20, 23 h":            {"America/New_York", "20 4 * * *", "2000-04-01 12:00", "02 08:20 schedule, 03 08:20 schedule"},
		"New York, 04:20, 25 h":            {"America/New_York", "20 4 * * *", "2000-10-28 12:00", "29 09:20 schedule, 30 09:20 schedule"},
		"New York on a day of Paris's own": {"America/New_York", "30 2 * * *", "2000-03-25 12:00", "26 07:30 schedule, 27 07:30 schedule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(tt.zone) // outside of the bubble: it may read a file
			if err != nil {
				t.Fatal(err)
			}
			from, err := time.ParseInLocation("2006-01-02 15:04", tt.from, zone)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore()
				e := nightly()
				e.Cron, e.Zone = tt.cron, zone
				time.Sleep(time.Until(from))
				serve(t, s, quick(), 48*time.Hour, e)
				if got := starts(s); got != tt.want {
					t.Errorf("runs began (UTC) %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestSplayIsAWaitBelowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		e := nightly()
		e.Splay = 15 * time.Minute
		serve(t, s, quick(), 20*24*time.Hour, e)
		spread := map[time.Duration]bool{}
		for _, r := range s.runs {
			late := r.StartedAt.Sub(r.StartedAt.Truncate(24 * time.Hour).Add(4*time.Hour + 20*time.Minute))
			if late < 0 || late >= 15*time.Minute || r.By != BySchedule {
				t.Errorf("run began %s late by %s, want below 15 min by the schedule", late, r.By)
			}
			spread[late] = true
		}
		if len(s.runs) != 20 || len(spread) < 15 {
			t.Errorf("%d runs at %d different delays, want 20 spread out", len(s.runs), len(spread))
		}
	})
}

func TestClockThatWasInTheFutureDoesNotStopBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		s.marks["backup"] = Mark{"backup", time.Now().AddDate(30, 0, 0), 1}
		serve(t, s, quick(), 2*24*time.Hour, nightly())
		if len(s.runs) != 2 {
			t.Errorf("runs began %s, want two", starts(s))
		}
	})
}

func TestClockThatWasHoursAheadLeavesNoHourOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		s.marks["backup"] = Mark{"backup", time.Now().Add(6 * time.Hour), 1}
		hourly := nightly()
		hourly.Cron = "20 * * * *"
		serve(t, s, quick(), 3*time.Hour, hourly)
		if got, want := starts(s), "01 00:20 schedule, 01 01:20 schedule, 01 02:20 schedule"; got != want {
			t.Errorf("runs began %s, want %s", got, want)
		}
	})
}

// A faulty time server sets the clock ahead for ten minutes of the first morning.
func TestClockThatWasAheadForMinutesLeavesNoTimeOut(t *testing.T) {
	tests := map[string]struct {
		cron  string
		ahead time.Duration
		want  string // until the end of day 3; what ran by the wrong clock bears its time
	}{
		"to the next morning":      {"20 4 * * *", 20 * time.Hour, "01 04:20 schedule, 02 06:00 catch-up, 02 04:20 schedule, 03 04:20 schedule"},
		"to a month later":         {"20 4 * * *", 30 * 24 * time.Hour, "01 04:20 schedule, 31 10:00 catch-up, 02 04:20 schedule, 03 04:20 schedule"},
		"a few minutes, run once":  {"5 10 * * *", 7 * time.Minute, "01 10:07 schedule, 02 10:05 schedule, 03 10:05 schedule"},
		"half an hour, run once":   {"20 10 * * *", 30 * time.Minute, "01 10:30 catch-up, 02 10:20 schedule, 03 10:20 schedule"},
		"every eight hours, seven": {"0 */8 * * *", 7 * time.Hour, "01 08:00 schedule, 01 17:00 catch-up, 01 16:00 schedule, 02 00:00 schedule, 02 08:00 schedule, 02 16:00 schedule, 03 00:00 schedule, 03 08:00 schedule, 03 16:00 schedule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore()
				var ahead atomic.Int64
				o := quiet(Options{Grace: -1})
				o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				r := New(s, []Job{quick()}, o)
				sch := NewScheduler(r)
				e := nightly()
				e.Cron = tt.cron
				if err := sch.Set([]Entry{e}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10*time.Hour - time.Second) // between two looks
				ahead.Store(int64(tt.ahead))
				time.Sleep(10 * time.Minute)
				ahead.Store(0)
				time.Sleep(3*24*time.Hour - 10*time.Hour - 10*time.Minute)
				sch.Close()
				r.Close()
				if got := starts(s); got != tt.want {
					t.Errorf("runs began %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestClockThatWasAheadLeavesNoTimeOutOfAScheduleThatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		time.Sleep(6 * time.Hour)
		s.marks["backup"] = Mark{"backup", time.Now().Add(22*time.Hour + 20*time.Minute), 1} // tomorrow, 04:20
		later := nightly()
		later.Cron = "0 5 * * *"
		serve(t, s, quick(), 2*24*time.Hour, later)
		if got, want := starts(s), "02 05:00 schedule, 03 05:00 schedule"; got != want {
			t.Errorf("runs began %s, want %s", got, want)
		}
	})
}

func TestReloadDuringTheSplayLeavesNoHourOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		r := New(s, []Job{quick()}, quiet(Options{Grace: -1}))
		sch := NewScheduler(r)
		hourly := nightly()
		hourly.Cron, hourly.Splay = "0 * * * *", 15*time.Minute
		for range 25 { // at three minutes past
			if err := sch.Set([]Entry{hourly}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour + 3*time.Minute)))
		}
		sch.Close()
		r.Close()
		hours := map[time.Time]bool{}
		for _, run := range s.runs {
			hour := run.StartedAt.Truncate(time.Hour)
			if late := run.StartedAt.Sub(hour); late >= 15*time.Minute || run.By != BySchedule || hours[hour] {
				t.Errorf("run began %s late by %s, want one in each hour, below 15 min by the schedule", late, run.By)
			}
			hours[hour] = true
		}
		if len(hours) < 24 {
			t.Errorf("runs began %s, want one in each of 24 hours", starts(s))
		}
	})
}

// What comes twice by itself is an hour when clocks go back, and never another time.
func TestScheduleThatMovesToLaterTheSameDayRunsThatDay(t *testing.T) {
	tests := map[string]struct{ before, then, want string }{
		"each night":   {"20 4 * * *", "0 22 * * *", "01 04:20 schedule, 01 22:00 schedule, 02 22:00 schedule"},
		"once a week":  {"20 4 * * 6", "0 22 * * 6", "01 04:20 schedule, 01 22:00 schedule"},
		"once a month": {"20 4 1 * *", "0 22 1 * *", "01 04:20 schedule, 01 22:00 schedule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // begins on a Saturday
				s := newMemStore()
				r := New(s, []Job{quick()}, quiet(Options{Grace: -1}))
				sch := NewScheduler(r)
				e := nightly()
				for _, e.Cron = range []string{tt.before, tt.then} {
					if err := sch.Set([]Entry{e}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(12 * time.Hour)
				}
				time.Sleep(24 * time.Hour)
				sch.Close()
				r.Close()
				if got := starts(s); got != tt.want {
					t.Errorf("runs began %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestFaultyEntriesReplaceNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		r := New(s, []Job{quick()}, quiet(Options{}))
		sch := NewScheduler(r)
		if err := sch.Set([]Entry{nightly()}); err != nil {
			t.Fatal(err)
		}
		err := sch.Set([]Entry{nightly(), nightly(), {Name: "moon", Cron: "0 0 31 2 *"}, {Name: "idle"}})
		for _, says := range []string{"backup is there twice", "moon", "never comes", "idle has neither"} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("Set = %v, want all faults, also %q", err, says)
			}
		}
		next, err := sch.Next(t.Context(), 2)
		if err != nil || len(next) != 1 || len(next[0].Next) != 2 || next[0].Next[0].Format("02 15:04") != "01 04:20" {
			t.Errorf("Next = %+v, %v, want the old entry's times", next, err)
		}
		sch.Close()
		r.Close()
	})
}

func TestReloadWhileARunGoesOnStartsNoSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		job := testJob{specs: devices("campus", 1, 1), do: func(ctx context.Context, _ Spec, _ func(string)) Outcome {
			return wait(ctx, time.Hour)
		}}
		r := New(s, []Job{job}, quiet(Options{}))
		sch := NewScheduler(r)
		if err := sch.Set([]Entry{nightly()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4*time.Hour + 30*time.Minute)
		if err := sch.Set([]Entry{nightly()}); err != nil { // SIGHUP, ten minutes into the run
			t.Fatal(err)
		}
		time.Sleep(18 * time.Hour)
		sch.Close()
		r.Close() // nobody writes any more
		if len(s.runs) != 1 || s.runs[0].State != Done {
			t.Errorf("runs began %s, want the one", starts(s))
		}
	})
}

// SIGTERM comes while a reload waits for what is at work; another reload after it.
func TestReloadAtTheEndStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(newMemStore(), nil, quiet(Options{}))
		sch := NewScheduler(r)
		var atWork, n atomic.Int32
		slow := Entry{Name: "reachability", Every: time.Minute, Do: func(ctx context.Context) error {
			atWork.Add(1)
			defer atWork.Add(-1)
			<-ctx.Done()
			time.Sleep(10 * time.Second)
			return nil
		}}
		next := Entry{Name: "reachability", Every: time.Minute, Do: func(context.Context) error { n.Add(1); return nil }}
		if err := sch.Set([]Entry{slow}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		go func() { _ = sch.Set([]Entry{next}) }() // nothing of it may go on, whatever it says
		time.Sleep(time.Second)
		sch.Close()
		if atWork.Load() != 0 {
			t.Error("it is closed while something is at work")
		}
		before := n.Load()
		err := sch.Set([]Entry{next})
		time.Sleep(time.Hour)
		if n.Load() != before || !errors.Is(err, ErrClosed) {
			t.Errorf("after it was closed it was done %d times more, and Set = %v, want never and ErrClosed", n.Load()-before, err)
		}
		sch.Close()
		r.Close()
	})
}

func TestSmallThingsAreRepeatedAndSurviveTheirFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		e := Entry{Name: "reachability", Every: time.Minute, Do: func(ctx context.Context) error {
			switch n.Add(1) {
			case 2:
				panic("nil map")
			case 3:
				return errors.New("no socket")
			case 4:
				sleep(ctx, 150*time.Second) // longer than its interval
			}
			return nil
		}}
		r := New(newMemStore(), nil, quiet(Options{}))
		sch := NewScheduler(r)
		if err := sch.Set([]Entry{e}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute + time.Second)
		// At 0, 1, 2, 3 (until 5:30, its tick of 4 waits), 5:30, 6, 7, 8, 9, 10.
		if got := n.Load(); got != 10 {
			t.Errorf("it was done %d times in ten minutes, want 10", got)
		}
		sch.Close()
		r.Close()
	})
}
