package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/schedule"
)

var night = time.Date(2026, 3, 1, 4, 20, 0, 0, time.UTC)

func addRun(t *testing.T, s *Store, job string) schedule.Run {
	t.Helper()
	run := schedule.Run{Job: job, State: schedule.Running, By: schedule.BySchedule, StartedAt: night, Planning: true,
		Counts: map[string]int{}, Request: schedule.Request{By: schedule.BySchedule, Scopes: []string{"campus"}}}
	id, err := s.AddRun(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	run.ID = id
	return run
}

func TestRunAndTasksComeBackAsStored(t *testing.T) {
	s := openNew(t)
	run := addRun(t, s, "backup")
	waiting := schedule.Task{RunID: run.ID, N: 1, Subject: "sw1", DeviceID: 7, Scope: "campus", State: schedule.Waiting}
	ended := schedule.Task{RunID: run.ID, N: 2, Seq: 1, Subject: "sw2", State: schedule.Done, Tries: 2, Step: "login", Outcome: "failed", Failed: true,
		Kind: "timed-out", Message: "why", StartedAt: night, TookMs: 12, Result: json.RawMessage(`{"device":"sw2"}`)}
	run.Total, run.Done, run.Failed, run.Counts["failed"], run.NextTry, run.Message = 2, 1, 1, 1, night.Add(time.Minute), "note"
	if err := s.SaveRun(t.Context(), run, []schedule.Task{waiting, ended}); err != nil {
		t.Fatal(err)
	}
	got, err := s.RunOf(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(run, got); d != "" {
		t.Errorf("run (-want +got):\n%s", d)
	}
	tasks, err := s.RunTasks(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]schedule.Task{waiting, ended}, tasks); d != "" {
		t.Errorf("tasks (-want +got):\n%s", d)
	}
	waiting.Seq, waiting.State, waiting.Outcome = 2, schedule.Done, "stored"
	if err := s.SaveRun(t.Context(), run, []schedule.Task{waiting}); err != nil {
		t.Fatal(err)
	}
	after, err := s.EndedTasks(t.Context(), run.ID, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]schedule.Task{waiting}, after); d != "" {
		t.Errorf("tasks that ended after the first (-want +got):\n%s", d)
	}
}

func TestRunningRunsAreMarkedInterrupted(t *testing.T) {
	s := openNew(t)
	run := addRun(t, s, "backup")
	if err := s.SaveRun(t.Context(), run, []schedule.Task{
		{RunID: run.ID, N: 1, Subject: "sw1", State: schedule.Waiting},
		{RunID: run.ID, N: 2, Seq: 1, Subject: "sw2", State: schedule.Done, Outcome: "stored"},
	}); err != nil {
		t.Fatal(err)
	}
	was, err := s.InterruptRuns(t.Context(), night.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if len(was) != 1 || was[0].ID != run.ID || was[0].State != schedule.Interrupted {
		t.Errorf("InterruptRuns = %+v, want run %d as interrupted", was, run.ID)
	}
	tasks, err := s.RunTasks(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if tasks[0].State != schedule.Interrupted || tasks[1].State != schedule.Done {
		t.Errorf("task states = %s, %s, want interrupted, done", tasks[0].State, tasks[1].State)
	}
	if again, err := s.InterruptRuns(t.Context(), night.Add(2*time.Hour)); err != nil || len(again) != 0 {
		t.Errorf("second InterruptRuns = %v, %v, want none", again, err)
	}
}

func TestUnknownRunIsSaidSo(t *testing.T) {
	s := openNew(t)
	if _, err := s.RunOf(t.Context(), 99); !errors.Is(err, schedule.ErrNoRun) {
		t.Errorf("RunOf(99) = %v, want ErrNoRun", err)
	}
}

func TestOldRunsGoAndRunningOnesStay(t *testing.T) {
	s := openNew(t)
	old, running := addRun(t, s, "backup"), addRun(t, s, "discovery")
	old.State, old.EndedAt, old.Planning = schedule.Done, night, false
	if err := s.SaveRun(t.Context(), old, []schedule.Task{{RunID: old.ID, N: 1, Subject: "sw1", State: schedule.Done}}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.DeleteRuns(t.Context(), night.Add(time.Hour)); err != nil || n != 1 {
		t.Fatalf("DeleteRuns = %d, %v, want 1", n, err)
	}
	runs, err := s.Runs(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 1 || runs[0].ID != running.ID {
		t.Errorf("runs left = %+v, want only %d", runs, running.ID)
	}
}

func TestScheduleMarkComesBack(t *testing.T) {
	s := openNew(t)
	if m, err := s.ScheduleMark(t.Context(), "backup"); err != nil || m != (schedule.Mark{}) {
		t.Fatalf("mark of an entry that never ran = %+v, %v, want zero", m, err)
	}
	for _, want := range []schedule.Mark{{Name: "backup", Due: night}, {Name: "backup", Due: night.Add(time.Hour), RunID: 4}} {
		if err := s.SaveScheduleMark(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ScheduleMark(t.Context(), "backup"); err != nil || got != want {
			t.Errorf("mark = %+v, %v, want %+v", got, err, want)
		}
	}
}

// The result of a task has the SHA-256 of a raw text; beside the redacted text,
// secrets could be guessed against it by whoever has the file.
func TestResultsOfTasksAreSealed(t *testing.T) {
	s := openNew(t)
	run := schedule.Run{Job: "backup", State: schedule.Running, StartedAt: time.Now(), Counts: map[string]int{}}
	id, err := s.AddRun(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	run.ID = id
	const result = `{"sha256":"plain-digest-of-a-raw-text"}`
	task := schedule.Task{RunID: id, N: 1, Seq: 1, Subject: "core1", State: schedule.Done, Result: []byte(result)}
	if err := s.SaveRun(t.Context(), run, []schedule.Task{task}); err != nil {
		t.Fatal(err)
	}
	got, err := s.RunTasks(t.Context(), id)
	if err != nil || len(got) != 1 || string(got[0].Result) != result {
		t.Fatalf("read back %v, %v", got, err)
	}
	for _, name := range []string{"muster.db", "muster.db-wal"} {
		text, err := os.ReadFile(filepath.Join(s.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("plain-digest")) {
			t.Errorf("%s holds the result in clear", name)
		}
	}
}
