package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// Entry is one schedule: a job at times of the wall clock, or something small
// over and over.
type Entry struct {
	Name string // unique; the name under schedules: in muster.yaml

	Cron    string         // five fields; empty: Every counts
	Zone    *time.Location // nil: UTC
	Splay   time.Duration  // a random wait below it before each start; 0: none
	Job     string         // what is started
	Request Request        // with what; By is set by the scheduler

	Every time.Duration                   // start to start, the first at once
	Do    func(ctx context.Context) error // no rows are kept; an error is logged
}

// Upcoming is when an entry runs next, for showing.
type Upcoming struct {
	Name string      `json:"name"`
	Job  string      `json:"job"`
	Next []time.Time `json:"next"` // UTC, splay not counted
	Last time.Time   `json:"last,omitzero"`
	Run  int64       `json:"run,omitempty"` // the run that was for Last
}

const (
	// lookEvery is how often the wall clock is compared with what was due: the
	// library's timers stand still while a machine sleeps.
	lookEvery = time.Minute
	// onTime is how late a run may begin and still count as the schedule's own.
	onTime = 2 * time.Minute
	// soon is how near the next due time must be for a missed one to be left to it.
	soon = time.Hour
	// stepBack is how far a clock that is set right may put a mark into the future and
	// leave it true: the run for it was a short while ago, and is not to come twice.
	stepBack = time.Hour
)

// Scheduler starts what is due. Its methods may be called from any goroutine.
type Scheduler struct {
	runner *Runner
	store  Store
	log    *slog.Logger
	now    func() time.Time

	replacing chan struct{} // capacity 1: one Set or Close at a time. A bubble's clock stands still at a mutex
	closed    bool          // guarded by replacing

	mu      sync.Mutex // guards what follows
	entries []*entry
	at      map[string]bool // entries at work, by name; it outlives a reload
	cron    *cron.Cron
	cancel  context.CancelFunc // ends what waits when the entries are replaced or closed
	wg      sync.WaitGroup
}

// entry is an Entry, read.
type entry struct {
	Entry
	spec  cron.Schedule
	daily bool
}

// NewScheduler makes a Scheduler that starts runs with runner and remembers in
// its store what was due.
func NewScheduler(runner *Runner) *Scheduler {
	return &Scheduler{
		runner: runner, store: runner.store, log: runner.o.Log, now: runner.o.Now,
		at: map[string]bool{}, replacing: make(chan struct{}, 1),
	}
}

// Set replaces all entries and starts them; the first call begins. What an entry
// owes (due while muster did not run, or interrupted) is started once, by
// "catch-up". Where one entry is faulty nothing is replaced and all faults are
// said. What is at work goes on.
func (s *Scheduler) Set(entries []Entry) error {
	read, err := readEntries(entries)
	if err != nil {
		return err
	}
	s.replacing <- struct{}{}
	defer func() { <-s.replacing }()
	if s.closed {
		return ErrClosed
	}
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = read
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	log := cronLog{func(msg string, err error) { s.log.Error("schedule failed", "seen", msg, "err", err) }}
	// In this order: the other way round one panic would keep the job's token for ever.
	s.cron = cron.New(cron.WithLocation(time.UTC), cron.WithLogger(log),
		cron.WithChain(cron.SkipIfStillRunning(log), cron.Recover(log)))
	for _, e := range read {
		if e.spec == nil {
			s.wg.Add(1)
			go s.repeat(ctx, e)
			continue
		}
		s.cron.Schedule(e.spec, cron.FuncJob(func() { s.look(ctx, e) }))
		s.wg.Add(1)
		go s.watch(ctx, e)
	}
	s.cron.Start()
	return nil
}

func readEntries(entries []Entry) ([]*entry, error) {
	var read []*entry
	var errs []error
	for _, e := range entries {
		if e.Zone == nil {
			e.Zone = time.UTC
		}
		r := &entry{Entry: e}
		switch {
		case slices.ContainsFunc(read, func(o *entry) bool { return o.Name == e.Name }):
			errs = append(errs, fmt.Errorf("%w %s is there twice", errEntry, e.Name))
		case e.Cron != "":
			spec, err := parse(e.Cron, e.Zone)
			if err != nil {
				errs = append(errs, fmt.Errorf("%w %s: %w", errEntry, e.Name, err))
			}
			r.spec, r.daily = spec, daily(e.Cron)
		case e.Every <= 0 || e.Do == nil:
			errs = append(errs, fmt.Errorf("%w %s has neither cron: nor every: with a time above 0", errEntry, e.Name))
		}
		read = append(read, r)
	}
	return read, errors.Join(errs...)
}

// Close ends all entries for good and returns when nothing of them goes on but
// their runs, which are the Runner's to close, afterwards.
func (s *Scheduler) Close() {
	s.replacing <- struct{}{}
	defer func() { <-s.replacing }()
	s.closed = true
	s.end()
}

// end ends all entries. s.replacing is held.
func (s *Scheduler) end() {
	s.mu.Lock()
	c, cancel := s.cron, s.cancel
	s.cron, s.entries = nil, nil
	s.mu.Unlock()
	if c == nil {
		return
	}
	cancel()
	<-c.Stop().Done()
	s.wg.Wait()
}

// Next lists the next n times of every entry with a cron expression.
func (s *Scheduler) Next(ctx context.Context, n int) ([]Upcoming, error) {
	s.mu.Lock()
	entries := s.entries
	s.mu.Unlock()
	all := []Upcoming{}
	for _, e := range entries {
		if e.spec == nil {
			continue
		}
		m, err := s.store.ScheduleMark(ctx, e.Name)
		if err != nil {
			return nil, err
		}
		u := Upcoming{Name: e.Name, Job: e.Job, Next: make([]time.Time, 0, n)}
		if m.RunID != 0 {
			u.Last, u.Run = m.Due, m.RunID
		}
		for at := s.now(); len(u.Next) < n; {
			if at = e.spec.Next(at); at.IsZero() {
				break
			}
			if !e.again(m, at) {
				u.Next = append(u.Next, at.UTC())
			}
		}
		all = append(all, u)
	}
	return all, nil
}

// again reports whether a daily entry had its run for the local time of due: 02:30
// comes twice when clocks go back. At another time of that day it is another run,
// since somebody has moved it.
func (e *entry) again(m Mark, due time.Time) bool {
	const wall = "2006-01-02 15:04"
	return e.daily && m.RunID != 0 && m.Due.In(e.Zone).Format(wall) == due.In(e.Zone).Format(wall)
}

// watch looks at the start and then every minute whether something is owed.
func (s *Scheduler) watch(ctx context.Context, e *entry) {
	defer s.wg.Done()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := contain(func() error { s.look(ctx, e); return nil }); err != nil {
			s.log.Error("schedule failed", "task", e.Name, "err", err, "seen", stack(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look starts what an entry owes. There is one rule for what is due now, what was
// missed, and what was interrupted: a due time that no run was ended for.
func (s *Scheduler) look(ctx context.Context, e *entry) {
	if !s.enter(e.Name) {
		return
	}
	due, err := s.owed(ctx, e)
	if err != nil && ctx.Err() == nil {
		s.log.Error("schedule was not read", "task", e.Name, "err", err)
	}
	if err != nil || due.IsZero() || !sleep(ctx, e.wait(s.now(), due)) {
		s.leave(e.Name)
		return
	}
	req := e.Request
	req.By = BySchedule
	if s.now().Sub(due) > onTime+e.Splay {
		req.By = ByCatchUp
	}
	// The place is kept until the run has ended, also over a reload.
	_, err = s.runner.start(ctx, e.Job, req, func(run Run) {
		defer s.leave(e.Name)
		if run.State == Interrupted {
			return // owed again after the next start
		}
		if err := s.store.SaveScheduleMark(context.Background(), Mark{e.Name, due.UTC(), run.ID}); err != nil {
			s.log.Error("schedule was not marked as done", "task", e.Name, "run", run.ID, "err", err)
		}
	})
	if err != nil {
		s.leave(e.Name)
		if ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			s.log.Error("scheduled run did not start", "task", e.Name, "err", err)
		}
	}
}

// owed returns the due time that a run is to be started for now, or zero.
func (s *Scheduler) owed(ctx context.Context, e *entry) (time.Time, error) {
	m, err := s.store.ScheduleMark(ctx, e.Name)
	if err != nil {
		return time.Time{}, err
	}
	now := s.now()
	if m.Due.IsZero() || m.Due.After(now.Add(stepBack)) || m.Due.After(e.spec.Next(now)) {
		// The first start owes nothing. Neither does one with a mark of the future
		// that would leave a time out: the clock was ahead, and must not stop backups.
		// A mark for the very next time leaves that one out.
		return time.Time{}, s.store.SaveScheduleMark(ctx, Mark{e.Name, now.UTC(), 0})
	}
	due := latest(e.spec, m.Due, now)
	switch {
	case due.IsZero(), e.again(m, due):
		return time.Time{}, nil
	case now.Sub(due) > onTime+e.Splay && e.spec.Next(now).Sub(now) < soon:
		return time.Time{}, nil
	}
	return due, nil
}

// wait draws the splay of a start: after a reload what is left of it.
func (e *entry) wait(now, due time.Time) time.Duration {
	window := e.Splay
	if late := now.Sub(due); late > 0 && late < window {
		window -= late
	}
	if window <= 0 {
		return 0
	}
	return rand.N(window)
}

// repeat does a small thing over and over, never twice at a time. The same error
// again and again is logged once.
func (s *Scheduler) repeat(ctx context.Context, e *entry) {
	defer s.wg.Done()
	tick := time.NewTicker(e.Every)
	defer tick.Stop()
	var said string
	for {
		err := contain(func() error { return e.Do(ctx) })
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && said != "":
			s.log.Info("schedule works again", "task", e.Name)
			said = ""
		case err != nil && err.Error() != said:
			s.log.Error("schedule failed", "task", e.Name, "err", err, "seen", stack(err))
			said = err.Error()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// enter takes the one place of an entry; false: it is taken.
func (s *Scheduler) enter(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[name] {
		return false
	}
	s.at[name] = true
	return true
}

func (s *Scheduler) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, name)
}

// sleep waits; false: ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
