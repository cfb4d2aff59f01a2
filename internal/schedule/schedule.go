// Package schedule starts work over many devices and keeps account of it.
//
// A job is a kind of work (discovery, backup, housekeeping). A run is one start
// of a job; its tasks are the work on one device each. Runs and tasks are rows in
// the store, so that progress is visible while it happens and afterwards. An
// entry starts a job at times of the wall clock (cron), or does something small
// over and over without rows (every).
//
// schedule opens no sockets and knows no SQL: jobs do the work, see [Job], and
// rows are kept by a [Store]. robfig/cron is imported here and nowhere else.
package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"muster/collector"
)

// State is where a run or a task stands.
type State string

// The states. A task is waiting before it is running.
const (
	Waiting     State = "waiting"
	Running     State = "running"
	Done        State = "done"        // all that was planned was tried; single devices may have failed
	Failed      State = "failed"      // muster itself could not: no plan, no store, a panic in a task
	Stopped     State = "stopped"     // by a person
	Interrupted State = "interrupted" // muster ended meanwhile
)

// Who starts runs.
const (
	BySchedule = "schedule"
	ByCatchUp  = "catch-up" // what was missed while muster did not run
	ByCommand  = "command"
)

// Refusals, to be asked for with errors.Is.
var (
	ErrNoRun  = errors.New("there is no such run. See: muster run list")
	ErrNoJob  = errors.New("there is no such job")
	ErrClosed = errors.New("muster is stopping and starts nothing new")
	ErrEnded  = errors.New("the run has ended already")
)

// Request says what a run is to cover. It is stored with the run. Which fields
// count is the job's matter.
type Request struct {
	By          string   `json:"by,omitempty"`          // BySchedule, ByCatchUp, ByCommand; empty: ByCommand
	Devices     []string `json:"devices,omitempty"`     // names or patterns that a person gave; empty: all
	Scopes      []string `json:"scopes,omitempty"`      // empty: all
	Dry         bool     `json:"dry,omitempty"`         // look only, store nothing of it
	Concurrency int      `json:"concurrency,omitempty"` // tasks at a time in this run; 0: Options.RunLimit
}

// Run is one start of a job over many devices. Its JSON is what `run list` shows.
type Run struct {
	ID        int64          `json:"id"`
	Job       string         `json:"job"`
	State     State          `json:"state"`
	By        string         `json:"by"`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	Planning  bool           `json:"planning"`          // more tasks may come: Total is not final
	Total     int            `json:"total"`             // tasks known so far
	Done      int            `json:"done"`              // tasks that have ended
	Failed    int            `json:"failed"`            // of these: what makes the command exit with 3
	Counts    map[string]int `json:"counts"`            // ended tasks by outcome
	NextTry   time.Time      `json:"next_try,omitzero"` // when the first second try goes out; zero: none waits
	Message   string         `json:"message,omitempty"` // what the plan has to say, or why the run failed
	Request   Request        `json:"request"`
}

// Ended reports whether nothing more will happen in the run.
func (r Run) Ended() bool { return r.State != Running }

// Task is the work of a run on one device or address.
type Task struct {
	RunID     int64           `json:"run"`
	N         int             `json:"n"`                   // 1, 2, … in the order of the plan
	Seq       int             `json:"seq,omitempty"`       // 1, 2, … in the order in which tasks ended; 0: it has not
	Subject   string          `json:"subject"`             // the device's name, or an address
	DeviceID  int64           `json:"device_id,omitempty"` // 0: not known to be a device
	Scope     string          `json:"scope,omitempty"`
	State     State           `json:"state"`
	Tries     int             `json:"tries"`          // 2: it was tried once more
	Step      string          `json:"step,omitempty"` // the step it is in; after the end the one that failed
	Outcome   string          `json:"outcome,omitempty"`
	Failed    bool            `json:"failed,omitempty"`
	Kind      collector.Kind  `json:"kind,omitempty"`
	Message   string          `json:"message,omitempty"`
	StartedAt time.Time       `json:"started_at,omitzero"`
	TookMs    int64           `json:"took_ms,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"` // the job's own JSON of the outcome
}

// Spec is one task of a plan. It is a value that can be sent.
type Spec struct {
	Subject  string          `json:"subject"`
	DeviceID int64           `json:"device_id,omitempty"`
	Scope    string          `json:"scope,omitempty"` // whose limit counts; empty is a scope too
	Args     json.RawMessage `json:"args,omitempty"`  // the job's own
}

// Outcome is how a task ended.
type Outcome struct {
	Outcome  string // the job's word: stored, unchanged, failed, skipped, new, known, …
	Failed   bool   // counts as failed
	Subject  string // where the work taught a better name than the plan's; else empty
	DeviceID int64  // likewise
	Step     collector.Step
	Kind     collector.Kind
	Message  string
	Result   any  // marshalled into Task.Result; nil: none
	Again    bool // a passing fault: one further try later in the same run
}

// Job is a kind of work. The app makes the list of them.
type Job interface {
	Name() string
	// Begin is called once per run, with the run as it is stored. What a run must
	// remember from task to task lives in the Work.
	Begin(run Run) Work
}

// Work is a job at work in one run.
type Work interface {
	// Plan adds tasks to the feed; they start while Plan goes on. It is called
	// once and ends early when its context does.
	Plan(ctx context.Context, feed *Feed) error
	// Do works on one task and returns when its outcome is committed. It is called
	// from many goroutines, never twice at a time for the same device. step may be
	// called from the goroutine of Do only.
	Do(ctx context.Context, spec Spec, step func(string)) Outcome
}

// Store keeps runs, tasks and what schedules have done. Every method returns
// after the commit.
type Store interface {
	AddRun(ctx context.Context, run Run) (id int64, err error)
	// SaveRun stores the run as it stands and inserts or replaces tasks (by RunID
	// and N), in one transaction.
	SaveRun(ctx context.Context, run Run, tasks []Task) error
	// RunOf returns one run, or ErrNoRun.
	RunOf(ctx context.Context, id int64) (Run, error)
	// Runs lists runs, newest first; limit 0 means 100, job "" all jobs.
	Runs(ctx context.Context, job string, limit int) ([]Run, error)
	// RunTasks lists all tasks of a run by N.
	RunTasks(ctx context.Context, id int64) ([]Task, error)
	// EndedTasks lists up to limit tasks of a run with a Seq above after, by Seq.
	EndedTasks(ctx context.Context, id int64, after, limit int) ([]Task, error)
	// InterruptRuns marks what is running as interrupted, with its open tasks, and
	// returns those runs.
	InterruptRuns(ctx context.Context, at time.Time) ([]Run, error)
	// ScheduleMark returns what an entry last did; the zero Mark where it never did.
	ScheduleMark(ctx context.Context, name string) (Mark, error)
	SaveScheduleMark(ctx context.Context, m Mark) error
}

// Mark is what an entry with a cron expression last did.
type Mark struct {
	Name  string
	Due   time.Time // the newest due time that needs no run any more
	RunID int64     // the run that was for it; 0: none was needed (first start)
}
