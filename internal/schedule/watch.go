package schedule

import (
	"context"
	"iter"
	"time"
)

// ItemKind says what an Item tells.
type ItemKind string

// The kinds of items.
const (
	ItemRun      ItemKind = "run"      // the run as it stands; the last item says how it ended
	ItemStarted  ItemKind = "started"  // a task began, or its second try did
	ItemStep     ItemKind = "step"     // a task went on to another step
	ItemFinished ItemKind = "finished" // a task ended and its row is committed
)

// Item is one piece of progress.
type Item struct {
	Kind ItemKind `json:"item"`
	Run  *Run     `json:"run,omitempty"`
	Task *Task    `json:"task,omitempty"`
}

// pace is how long news of a run gather before they are told.
const pace = 20 * time.Millisecond

// pageSize is how many ended tasks are read from the store at a time.
const pageSize = 200

// Watch tells the progress of a run from its beginning, also where it began long
// ago or has ended. Every ended task comes exactly once, in the order of the
// commits; what happens to running ones is told as it stands whenever the
// watcher asks for the next item, so a slow watcher misses steps and costs no
// memory. The last item is the ended run. An error ends the sequence.
func (r *Runner) Watch(ctx context.Context, id int64) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		w := &watcher{r: r, l: r.find(id), id: id, seen: map[int]Task{}}
		for {
			more, err := w.next(ctx, yield)
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// watcher is how far one who watches has come.
type watcher struct {
	r     *Runner
	l     *live // nil: the run had ended when watching began
	id    int64
	after int          // Seq of the last ended task that was told
	seen  map[int]Task // running tasks as they were told, by N
	told  bool         // the run was told once
	done  int          // Run.Done when it was told last
	said  string       // Run.Message likewise
	total int
}

// next tells what is new and waits where nothing is.
func (w *watcher) next(ctx context.Context, yield func(Item, error) bool) (more bool, err error) {
	run, running, news, over, err := w.look(ctx)
	if err != nil {
		return false, err
	}
	if !w.told {
		w.told = true
		if !over && !yield(Item{Kind: ItemRun, Run: &run}, nil) {
			return false, nil
		}
	}
	for _, t := range running {
		before, known := w.seen[t.N]
		kind := ItemStep
		switch {
		case !known || before.Tries != t.Tries:
			kind = ItemStarted
		case before.Step == t.Step:
			continue
		}
		w.seen[t.N] = t
		if !yield(Item{Kind: kind, Task: &t}, nil) {
			return false, nil
		}
	}
	for {
		tasks, err := w.ended(ctx)
		if err != nil {
			return false, err
		}
		for _, t := range tasks {
			w.after = t.Seq
			delete(w.seen, t.N)
			if !yield(Item{Kind: ItemFinished, Task: &t}, nil) {
				return false, nil
			}
		}
		if len(tasks) < pageSize {
			break
		}
	}
	if over {
		yield(Item{Kind: ItemRun, Run: &run}, nil)
		return false, nil
	}
	if run.Done != w.done || run.Message != w.said || run.Total != w.total {
		w.done, w.said, w.total = run.Done, run.Message, run.Total
		if !yield(Item{Kind: ItemRun, Run: &run}, nil) {
			return false, nil
		}
	}
	select {
	case <-news:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	select { // hundreds of tasks that run at a time make news all the while
	case <-time.After(pace):
	case <-w.l.ended:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return true, nil
}

// look takes the run and its running tasks as they stand, and the channel that
// is closed at the next change. over: the end is committed.
func (w *watcher) look(ctx context.Context) (run Run, running []Task, news <-chan struct{}, over bool, err error) {
	if w.l == nil {
		run, err = w.r.store.RunOf(ctx, w.id)
		return run, nil, nil, true, err
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	select {
	case <-w.l.ended:
		over = true
	default:
	}
	for _, at := range w.l.working {
		running = append(running, at.task)
	}
	return w.l.copy(), running, w.l.news, over, nil
}

// ended returns the next committed tasks, from memory where they still are.
func (w *watcher) ended(ctx context.Context) ([]Task, error) {
	if w.l != nil {
		w.r.mu.Lock()
		ring := w.l.ring
		w.r.mu.Unlock()
		if len(ring) == 0 {
			return nil, nil
		}
		if skip := w.after + 1 - ring[0].Seq; skip >= 0 {
			ring = ring[min(skip, len(ring)):]
			return ring[:min(len(ring), pageSize)], nil
		}
	}
	return w.r.store.EndedTasks(ctx, w.id, w.after, pageSize)
}
