package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options tunes a Runner. The zero value is polite to a production network.
type Options struct {
	Log        *slog.Logger           // nil: slog.Default
	Now        func() time.Time       // for times that are stored; nil: time.Now
	RunLimit   func() int             // tasks at a time per run; nil or 0: 50. Asked each time
	ScopeLimit func(scope string) int // tasks at a time per scope over all runs; nil or 0: 20. Asked each time
	Patience   time.Duration          // a task that stays in one step for longer gives its place away; 0: 15 s
	RetryAfter time.Duration          // least wait before a second try; 0: 20 s
	Grace      time.Duration          // what running tasks get when a run is stopped; 0: 30 s. Negative: nothing
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Second
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = 20 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	ofRun, ofScope := o.RunLimit, o.ScopeLimit
	o.RunLimit = func() int {
		if ofRun != nil {
			if n := ofRun(); n > 0 {
				return n
			}
		}
		return 50
	}
	o.ScopeLimit = func(scope string) int {
		if ofScope != nil {
			if n := ofScope(scope); n > 0 {
				return n
			}
		}
		return 20
	}
	return o
}

// Runner works on runs. Its methods may be called from any goroutine.
type Runner struct {
	store Store
	jobs  map[string]Job
	o     Options
	wg    sync.WaitGroup // everything that runs starts

	mu     sync.Mutex      // guards what follows, and all of each live
	live   []*live         // runs that have not ended, oldest first
	turn   int             // whose turn it is in live
	scopes map[string]int  // tasks at work by scope, over all runs, without the stuck ones
	stuck  map[string]int  // tasks by scope that gave their place away
	busy   map[string]bool // devices and addresses at work
	freed  chan struct{}   // closed and replaced when one of busy is given back
	closed bool
}

// New makes a Runner for jobs.
func New(store Store, jobs []Job, o Options) *Runner {
	r := &Runner{
		store: store, jobs: map[string]Job{}, o: o.withDefaults(),
		scopes: map[string]int{}, stuck: map[string]int{}, busy: map[string]bool{}, freed: make(chan struct{}),
	}
	for _, j := range jobs {
		r.jobs[j.Name()] = j
	}
	return r
}

// Recover marks what an earlier process left running as interrupted and returns
// it. It is called once, before anything is started; what a schedule owes is
// started again by [Scheduler.Start].
func (r *Runner) Recover(ctx context.Context) ([]Run, error) {
	runs, err := r.store.InterruptRuns(ctx, r.o.Now().UTC())
	if err != nil {
		return nil, fmt.Errorf("mark interrupted runs: %w", err)
	}
	for _, run := range runs {
		r.o.Log.WarnContext(ctx, "run was interrupted when muster last stopped", "run", run.ID, "job", run.Job, "done", run.Done, "total", run.Total)
	}
	return runs, nil
}

// Start starts a job and returns the run as it is stored. ctx is for the start
// only: the run goes on until it ends, is stopped, or the Runner is closed.
func (r *Runner) Start(ctx context.Context, job string, req Request) (Run, error) {
	return r.start(ctx, job, req, nil)
}

// start is Start with what is to be done after the run's end; Close waits for it.
// Where start returns an error it is not called.
func (r *Runner) start(ctx context.Context, job string, req Request, after func(Run)) (Run, error) {
	j, ok := r.jobs[job]
	if !ok {
		return Run{}, fmt.Errorf("start %q: %w", job, ErrNoJob)
	}
	if req.By == "" {
		req.By = ByCommand
	}
	if r.isClosed() {
		return Run{}, ErrClosed
	}
	run := Run{
		Job: job, State: Running, By: req.By, StartedAt: r.o.Now().UTC(),
		Planning: true, Counts: map[string]int{}, Request: req,
	}
	id, err := r.store.AddRun(ctx, run)
	if err != nil {
		return Run{}, fmt.Errorf("start %s: %w", job, err)
	}
	run.ID = id
	l := newLive(r, run)
	l.after = after
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		run.State, run.EndedAt, run.Planning = Interrupted, r.o.Now().UTC(), false
		return Run{}, errors.Join(ErrClosed, r.store.SaveRun(context.WithoutCancel(ctx), run, nil))
	}
	r.live = append(r.live, l)
	r.wg.Add(2)
	r.mu.Unlock()
	go l.plan(j)
	go l.commit()
	return run, nil
}

func (r *Runner) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// find returns a run that has not ended, or nil.
func (r *Runner) find(id int64) *live {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.live {
		if l.run.ID == id {
			return l
		}
	}
	return nil
}

// Stop ends a run for a person: nothing new is begun, what is at work gets its
// grace. It returns at once; Wait tells when the run has ended.
func (r *Runner) Stop(ctx context.Context, id int64) error {
	if l := r.find(id); l != nil {
		l.stop(Stopped)
		return nil
	}
	if _, err := r.store.RunOf(ctx, id); err != nil {
		return fmt.Errorf("stop run %d: %w", id, err)
	}
	return fmt.Errorf("stop run %d: %w", id, ErrEnded)
}

// Wait returns the run after its end is committed.
func (r *Runner) Wait(ctx context.Context, id int64) (Run, error) {
	if l := r.find(id); l != nil {
		select {
		case <-l.ended:
			if l.err != nil {
				return l.snapshot(), fmt.Errorf("store the end of run %d: %w", id, l.err)
			}
		case <-ctx.Done():
			return Run{}, context.Cause(ctx)
		}
	}
	return r.Run(ctx, id)
}

// Run returns a run as it stands now.
func (r *Runner) Run(ctx context.Context, id int64) (Run, error) {
	if l := r.find(id); l != nil {
		return l.snapshot(), nil
	}
	return r.store.RunOf(ctx, id)
}

// Runs lists runs as they stand now, newest first; limit 0 means 100.
func (r *Runner) Runs(ctx context.Context, job string, limit int) ([]Run, error) {
	runs, err := r.store.Runs(ctx, job, limit)
	for i := range runs {
		if l := r.find(runs[i].ID); l != nil {
			runs[i] = l.snapshot()
		}
	}
	return runs, err
}

// Tasks lists the tasks of a run as they stand now, by N.
func (r *Runner) Tasks(ctx context.Context, id int64) ([]Task, error) {
	l := r.find(id)
	tasks, err := r.store.RunTasks(ctx, id)
	if err != nil || l == nil {
		return tasks, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, t := range tasks {
		if at := l.working[t.N]; at != nil && t.Seq == 0 {
			tasks[i] = at.task
		}
	}
	return tasks, nil
}

// Hold takes a device for a session outside of all runs (doctor, retry) and
// waits while a task is at it. release gives it back and may be called twice.
func (r *Runner) Hold(ctx context.Context, deviceID int64) (release func(), err error) {
	key := keyOf(Spec{DeviceID: deviceID})
	for {
		r.mu.Lock()
		if !r.busy[key] {
			r.busy[key] = true
			r.mu.Unlock()
			return sync.OnceFunc(func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.free(key)
				r.dispatch()
			}), nil
		}
		freed := r.freed
		r.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Close starts nothing new, interrupts all runs, gives tasks at work their grace
// and returns when everything that finished is committed.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	runs := slices.Clone(r.live)
	r.mu.Unlock()
	for _, l := range runs {
		l.stop(Interrupted)
	}
	r.wg.Wait()
}

// keyOf names what no two tasks may work on at a time.
func keyOf(s Spec) string {
	if s.DeviceID != 0 {
		return "device " + strconv.FormatInt(s.DeviceID, 10)
	}
	return "subject " + s.Subject
}

// free gives a device back. r.mu is held.
func (r *Runner) free(key string) {
	delete(r.busy, key)
	close(r.freed)
	r.freed = make(chan struct{})
}

// dispatch starts all tasks that may start: the runs in turn, and within a run
// the scopes in turn, so that neither a large run nor a slow scope keeps the
// others waiting. r.mu is held.
func (r *Runner) dispatch() {
	for idle := 0; idle < len(r.live); {
		r.turn++
		l := r.live[r.turn%len(r.live)]
		if t := l.pick(); t != nil {
			idle = 0
			l.start(t)
			continue
		}
		idle++
	}
}
