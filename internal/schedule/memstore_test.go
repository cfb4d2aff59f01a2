package schedule

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memStore keeps rows in memory. (package store has the real one)
type memStore struct {
	mu    sync.Mutex
	runs  []Run
	tasks map[int64]map[int]Task
	marks map[string]Mark
	full  bool // every write fails
	saves int  // commits so far
}

var errFull = errors.New("disk is full")

func newMemStore() *memStore {
	return &memStore{tasks: map[int64]map[int]Task{}, marks: map[string]Mark{}}
}

func (s *memStore) AddRun(_ context.Context, run Run) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run.ID = int64(len(s.runs) + 1)
	s.runs = append(s.runs, run)
	s.tasks[run.ID] = map[int]Task{}
	return run.ID, nil
}

func (s *memStore) SaveRun(_ context.Context, run Run, tasks []Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errFull
	}
	s.saves++
	s.runs[run.ID-1] = run
	for _, t := range tasks {
		s.tasks[run.ID][t.N] = t
	}
	return nil
}

func (s *memStore) RunOf(_ context.Context, id int64) (Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || int(id) > len(s.runs) {
		return Run{}, ErrNoRun
	}
	return s.runs[id-1], nil
}

func (s *memStore) Runs(_ context.Context, job string, _ int) ([]Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Run
	for _, r := range slices.Backward(s.runs) {
		if job == "" || r.Job == job {
			all = append(all, r)
		}
	}
	return all, nil
}

func (s *memStore) RunTasks(_ context.Context, id int64) ([]Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Task
	for _, t := range s.tasks[id] {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Task) int { return cmp.Compare(a.N, b.N) })
	return all, nil
}

func (s *memStore) EndedTasks(ctx context.Context, id int64, after, limit int) ([]Task, error) {
	all, err := s.RunTasks(ctx, id)
	slices.SortFunc(all, func(a, b Task) int { return cmp.Compare(a.Seq, b.Seq) })
	all = slices.DeleteFunc(all, func(t Task) bool { return t.Seq <= after })
	return all[:min(len(all), limit)], err
}

func (s *memStore) InterruptRuns(_ context.Context, at time.Time) ([]Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var was []Run
	for i := range s.runs {
		if s.runs[i].State == Running {
			s.runs[i].State, s.runs[i].EndedAt = Interrupted, at
			was = append(was, s.runs[i])
		}
	}
	return was, nil
}

func (s *memStore) ScheduleMark(_ context.Context, name string) (Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[name], nil
}

func (s *memStore) SaveScheduleMark(_ context.Context, m Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks[m.Name] = m
	return nil
}

// setFull makes every further write fail.
func (s *memStore) setFull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = true
}

// testJob plans specs and does them with do.
type testJob struct {
	specs []Spec
	plan  func(ctx context.Context, feed *Feed) error // instead of specs
	do    func(ctx context.Context, spec Spec, step func(string)) Outcome
}

func (j testJob) Name() string   { return "test" }
func (j testJob) Begin(Run) Work { return j }

func (j testJob) Plan(ctx context.Context, feed *Feed) error {
	if j.plan != nil {
		return j.plan(ctx, feed)
	}
	return feed.Add(j.specs...)
}

func (j testJob) Do(ctx context.Context, spec Spec, step func(string)) Outcome {
	return j.do(ctx, spec, step)
}

// wait takes time as a device does, and ends with ctx.
func wait(ctx context.Context, d time.Duration) Outcome {
	if !sleep(ctx, d) {
		return Outcome{Outcome: "failed", Failed: true, Message: context.Cause(ctx).Error()}
	}
	return Outcome{Outcome: "stored"}
}
