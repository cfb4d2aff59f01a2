package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"muster/collector"
)

// ringSize is how many ended tasks a run keeps in memory for those who watch;
// who is further behind reads them from the store.
const ringSize = 256

// errStopped is the cause of contexts that end because their run does.
var errStopped = errors.New("the run was stopped")

// live is a run that has not ended. Everything below the channels is guarded by
// Runner.mu.
type live struct {
	r      *Runner
	tasks  context.Context // of tasks; ends after the grace
	cut    context.CancelCauseFunc
	plans  context.Context // of the plan; ends at once when the run is stopped
	unplan context.CancelCauseFunc
	dirty  chan struct{} // capacity 1: the committer has something to do
	ended  chan struct{} // closed when the end is committed, or cannot be

	run      Run
	work     Work
	waiting  map[string][]*errand // by scope
	order    []string             // scopes in the order in which they came
	turn     int                  // whose turn it is in order
	again    []*errand            // tried once, to be tried once more
	timer    *time.Timer          // for the first of again
	working  map[int]*errand      // by N
	stuck    int                  // how many of working gave their place away
	stopping State                // Stopped, Interrupted or Failed; empty: no
	n, seq   int                  // last N and Seq given
	pending  []Task               // to be committed, in order
	ring     []Task               // the last that were, by Seq
	news     chan struct{}        // closed and replaced at every change
	grace    *time.Timer
	err      error // why the end could not be committed
	after    func(Run)
}

// errand is one task with what it needs to be done.
type errand struct {
	spec  Spec
	task  Task
	first Outcome   // of the first try, while the second waits
	due   time.Time // of the second try
	stuck bool      // it gave its place away
	slow  *time.Timer
}

func newLive(r *Runner, run Run) *live {
	l := &live{
		r: r, run: run, dirty: make(chan struct{}, 1), ended: make(chan struct{}),
		waiting: map[string][]*errand{}, working: map[int]*errand{}, news: make(chan struct{}),
	}
	l.tasks, l.cut = context.WithCancelCause(context.Background())
	l.plans, l.unplan = context.WithCancelCause(context.Background())
	return l
}

// Feed is where a plan puts tasks.
type Feed struct{ l *live }

// Add appends tasks to the run; they start as soon as limits allow. It returns
// the cause when the run is being stopped.
func (f *Feed) Add(specs ...Spec) error {
	l := f.l
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if l.stopping != "" {
		return errStopped
	}
	for _, s := range specs {
		l.n++
		w := &errand{spec: s, task: Task{
			RunID: l.run.ID, N: l.n, Subject: s.Subject, DeviceID: s.DeviceID, Scope: s.Scope, State: Waiting,
		}}
		if _, ok := l.waiting[s.Scope]; !ok {
			l.order = append(l.order, s.Scope)
		}
		l.waiting[s.Scope] = append(l.waiting[s.Scope], w)
		l.run.Total++
		l.pending = append(l.pending, w.task)
	}
	l.changed()
	l.r.dispatch()
	return nil
}

// Say shows a sentence beside the run's progress; the last one stays.
func (f *Feed) Say(message string) {
	f.l.r.mu.Lock()
	defer f.l.r.mu.Unlock()
	f.l.run.Message = message
	f.l.tell()
}

// plan makes the work and lets it plan.
func (l *live) plan(j Job) {
	defer l.r.wg.Done()
	err := contain(func() error {
		w := j.Begin(l.snapshot())
		l.r.mu.Lock()
		l.work = w
		l.r.mu.Unlock()
		return w.Plan(l.plans, &Feed{l})
	})
	l.r.mu.Lock()
	l.run.Planning = false
	if err != nil && l.stopping == "" {
		l.r.o.Log.Error("plan of a run failed", "run", l.run.ID, "job", l.run.Job, "err", err, "seen", stack(err))
		l.run.Message = err.Error()
		l.stopping = Failed // what was planned before is still done
	}
	l.changed()
	l.r.dispatch() // the second tries may have waited for the end of the plan
	l.r.mu.Unlock()
}

// panicked is a panic as an error. Its text is one line, for the task's row; the
// stack is for the log.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string {
	return "muster's own fault, please report it: panic: " + collector.Escape(fmt.Sprint(p.value))
}

// stack returns where err panicked; empty: it did not.
func stack(err error) string {
	if p, ok := errors.AsType[*panicked](err); ok {
		return string(p.stack)
	}
	return ""
}

// contain turns a panic into an error.
func contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return f()
}

// pick takes the next task that may start now, or nil. r.mu is held.
func (l *live) pick() *errand {
	limit := l.r.o.RunLimit()
	if l.run.Request.Concurrency > 0 {
		limit = l.run.Request.Concurrency
	}
	if l.stopping == Stopped || l.stopping == Interrupted || len(l.working)-l.stuck >= limit {
		return nil
	}
	for range l.order {
		l.turn++
		scope := l.order[l.turn%len(l.order)]
		if l.r.scopes[scope] >= l.r.o.ScopeLimit(scope) {
			continue
		}
		if i := slices.IndexFunc(l.waiting[scope], l.idle); i >= 0 {
			w := l.waiting[scope][i]
			l.waiting[scope] = slices.Delete(l.waiting[scope], i, i+1)
			return w
		}
	}
	// Second tries are for later: when nothing waits for its first.
	if l.run.Planning || l.unbegun() > 0 {
		return nil
	}
	now := time.Now()
	for i, w := range l.again {
		if !w.due.After(now) && l.idle(w) && l.r.scopes[w.spec.Scope] < l.r.o.ScopeLimit(w.spec.Scope) {
			l.again = slices.Delete(l.again, i, i+1)
			return w
		}
	}
	l.wake(now)
	return nil
}

func (l *live) idle(w *errand) bool { return !l.r.busy[keyOf(w.spec)] }

// unbegun counts the tasks that wait for their first try.
func (l *live) unbegun() (n int) {
	for _, ws := range l.waiting {
		n += len(ws)
	}
	return n
}

// wake sets the timer for the first second try that is still to come.
func (l *live) wake(now time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.run.NextTry = time.Time{}
	for _, w := range l.again {
		if l.run.NextTry.IsZero() || w.due.Before(l.run.NextTry) {
			l.run.NextTry = w.due.UTC()
		}
	}
	if wait := l.run.NextTry.Sub(now); !l.run.NextTry.IsZero() && wait > 0 {
		l.timer = time.AfterFunc(wait, func() {
			l.r.mu.Lock()
			defer l.r.mu.Unlock()
			l.r.dispatch()
		})
	}
}

// start begins a task. r.mu is held.
func (l *live) start(w *errand) {
	l.r.busy[keyOf(w.spec)] = true
	l.r.scopes[w.spec.Scope]++
	l.working[w.task.N] = w
	w.task.State = Running
	w.task.Tries++
	w.task.Step = ""
	w.task.StartedAt = l.r.o.Now().UTC()
	w.slow = time.AfterFunc(l.r.o.Patience, func() { l.giveUpPlace(w) })
	l.tell()
	l.r.wg.Add(1)
	go l.do(w)
}

// stuckFor is how many tasks may be stuck for each that may be at work.
const stuckFor = 3

// giveUpPlace lets another task begin beside one that does not get on: devices
// that hang would take all places one by one, and then nobody's turn comes.
func (l *live) giveUpPlace(w *errand) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	scope := w.spec.Scope
	if l.working[w.task.N] != w || w.stuck || l.r.stuck[scope] >= stuckFor*l.r.o.ScopeLimit(scope) {
		return
	}
	w.stuck = true
	l.stuck++
	l.r.stuck[scope]++
	l.r.scopes[scope]--
	l.r.dispatch()
}

// do works on one task and accounts for it.
func (l *live) do(w *errand) {
	defer l.r.wg.Done()
	begun := time.Now()
	var out Outcome
	var result json.RawMessage
	state := Done
	err := contain(func() (err error) {
		out = l.work.Do(l.tasks, w.spec, func(step string) {
			l.r.mu.Lock()
			defer l.r.mu.Unlock()
			w.task.Step = step
			w.slow.Reset(l.r.o.Patience)
			l.tell()
		})
		if out.Result != nil {
			result, err = json.Marshal(out.Result)
		}
		return err
	})
	if err != nil {
		l.r.o.Log.Error("task panicked", "run", l.run.ID, "device", w.spec.Subject, "err", err, "seen", stack(err))
		state, out, result = Failed, Outcome{Outcome: "failed", Failed: true, Kind: "panic", Message: collector.Escape(w.spec.Subject) + ": " + err.Error()}, nil
	}

	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	delete(l.working, w.task.N)
	w.slow.Stop()
	if w.stuck {
		w.stuck = false
		l.stuck--
		l.r.stuck[w.spec.Scope]--
	} else {
		l.r.scopes[w.spec.Scope]--
	}
	l.r.free(keyOf(w.spec))
	w.task.TookMs = time.Since(begun).Milliseconds()
	switch {
	case out.Again && w.task.Tries < 2 && (l.stopping == "" || l.stopping == Failed):
		w.first, w.due = out, time.Now().Add(l.r.o.RetryAfter)
		w.first.Result = result
		w.task.State, w.task.Kind, w.task.Message = Waiting, out.Kind, out.Message
		l.again = append(l.again, w)
		l.pending = append(l.pending, w.task)
		l.wake(time.Now())
		l.tell()
	default:
		if context.Cause(l.tasks) != nil {
			state = l.stopping
		}
		l.end(w, state, out, result)
	}
	l.changed()
	l.r.dispatch()
}

// end gives a task its outcome and its Seq. r.mu is held.
func (l *live) end(w *errand, state State, out Outcome, result json.RawMessage) {
	l.seq++
	t := &w.task
	t.Seq, t.State, t.Outcome, t.Failed = l.seq, state, out.Outcome, out.Failed
	t.Step, t.Kind, t.Message, t.Result = string(out.Step), out.Kind, out.Message, result
	if out.Subject != "" {
		t.Subject = out.Subject
	}
	if out.DeviceID != 0 {
		t.DeviceID = out.DeviceID
	}
	l.pending = append(l.pending, *t)
}

// stop lets nothing new begin; what is at work gets its grace.
func (l *live) stop(as State) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if l.stopping == Stopped || l.stopping == Interrupted {
		return
	}
	l.stopping = as
	l.unplan(errStopped)
	for _, scope := range l.order {
		for _, w := range l.waiting[scope] {
			l.end(w, as, Outcome{Outcome: string(as)}, nil)
		}
		delete(l.waiting, scope)
	}
	for _, w := range l.again { // the first try counts
		result, _ := w.first.Result.(json.RawMessage)
		l.end(w, Done, w.first, result)
	}
	l.again = nil
	l.wake(time.Now())
	if l.r.o.Grace > 0 {
		l.grace = time.AfterFunc(l.r.o.Grace, func() { l.cut(errStopped) })
	} else {
		l.cut(errStopped)
	}
	l.changed()
}

// changed wakes the committer and those who watch. r.mu is held.
func (l *live) changed() {
	select {
	case l.dirty <- struct{}{}:
	default:
	}
	l.tell()
}

// tell wakes those who watch. r.mu is held.
func (l *live) tell() {
	close(l.news)
	l.news = make(chan struct{})
}

// snapshot is the run as it stands now.
func (l *live) snapshot() Run {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.copy()
}

func (l *live) copy() Run {
	run := l.run
	run.Counts = make(map[string]int, len(l.run.Counts))
	for k, v := range l.run.Counts {
		run.Counts[k] = v
	}
	return run
}

// over reports whether nothing more can happen. r.mu is held.
func (l *live) over() bool {
	return !l.run.Planning && len(l.working) == 0 && l.unbegun() == 0 && len(l.again) == 0
}
