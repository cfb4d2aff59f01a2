package schedule

import (
	"context"
	"slices"
	"time"
)

// gather is how long after a commit tasks that end wait for each other: a commit
// costs as much for one row as for twenty.
const gather = 100 * time.Millisecond

// commit is the one goroutine that writes rows of the run, in the order in which
// tasks ended, many in one transaction. Nobody is shown a task as ended before
// its row is on disk.
func (l *live) commit() {
	defer l.r.wg.Done()
	defer l.unplan(errStopped)
	defer l.cut(errStopped)
	ctx := context.Background() // what was finished is committed, whoever stops
	var tasks []Task            // not on disk yet
	pause := time.After(0)
	for {
		<-l.dirty
		l.rest(pause)
		l.r.mu.Lock()
		l.count(l.pending)
		tasks = append(tasks, l.pending...)
		l.pending = nil
		over := l.over()
		if over {
			l.run.State, l.run.EndedAt, l.run.NextTry = Done, l.r.o.Now().UTC(), time.Time{}
			if l.stopping != "" {
				l.run.State = l.stopping
			}
		}
		run := l.copy()
		l.r.mu.Unlock()

		err := l.r.store.SaveRun(ctx, run, tasks)
		pause = time.After(gather)
		if err != nil {
			l.fail(err)
		}
		l.r.mu.Lock()
		if err == nil {
			l.publish(tasks)
			tasks = nil
		}
		l.tell()
		if over {
			l.finish(err)
			l.r.mu.Unlock()
			if l.after != nil {
				if err != nil {
					run.State = Interrupted // as the next start will find it
				}
				l.after(run)
			}
			return
		}
		l.r.mu.Unlock()
	}
}

// rest waits until the pause is over. The end of the run waits for nothing.
func (l *live) rest(pause <-chan time.Time) {
	for {
		l.r.mu.Lock()
		over := l.over()
		l.r.mu.Unlock()
		if over {
			return
		}
		select {
		case <-pause:
			return
		case <-l.dirty:
		}
	}
}

// count adds ended tasks to the run's numbers. r.mu is held.
func (l *live) count(tasks []Task) {
	for _, t := range tasks {
		if t.Seq == 0 {
			continue
		}
		l.run.Done++
		l.run.Counts[t.Outcome]++
		if t.Failed {
			l.run.Failed++
		}
	}
}

// publish shows tasks whose rows are on disk to those who watch. r.mu is held.
func (l *live) publish(tasks []Task) {
	for _, t := range tasks {
		if t.Seq > 0 {
			l.ring = append(l.ring, t)
		}
	}
	if n := len(l.ring) - ringSize; n > 0 {
		l.ring = slices.Clone(l.ring[n:])
	}
}

// fail stops a run whose rows cannot be written: what is not accounted for must
// not go on.
func (l *live) fail(err error) {
	l.r.o.Log.Error("rows of a run were not stored", "run", l.run.ID, "err", err)
	l.stop(Interrupted)
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.run.Message = "its rows could not be stored: " + err.Error()
}

// finish takes the run off the list; err says why its end is not on disk. r.mu
// is held.
func (l *live) finish(err error) {
	l.err = err
	if l.grace != nil {
		l.grace.Stop()
	}
	l.r.live = slices.DeleteFunc(l.r.live, func(o *live) bool { return o == l })
	close(l.ended)
	run := l.run
	l.r.o.Log.Info("run ended", "run", run.ID, "job", run.Job, "state", run.State, "total", run.Total,
		"done", run.Done, "failed", run.Failed, "took_ms", run.EndedAt.Sub(run.StartedAt).Milliseconds())
}
