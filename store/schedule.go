package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"muster/internal/schedule"
)

var _ schedule.Store = (*Store)(nil)

const runColumns = `id, job, state, started_by, started_at, ended_at, planning, total, done, failed, counts, next_try, message, request`

// AddRun stores a run that begins and returns its id.
func (s *Store) AddRun(ctx context.Context, run schedule.Run) (id int64, err error) {
	const insert = `
INSERT INTO run (job, state, started_by, started_at, ended_at, planning, message, request)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`
	request, err := json.Marshal(run.Request)
	if err != nil {
		return 0, fmt.Errorf("store run: %w", err)
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.Exec(insert, run.Job, run.State, run.By, ms(run.StartedAt), msOrNull(run.EndedAt), run.Planning, run.Message, string(request))
		if err != nil {
			return fmt.Errorf("store run: %w", err)
		}
		id, err = res.LastInsertId()
		return err
	})
	return id, err
}

// SaveRun stores a run as it stands, with tasks of it that are new or changed.
func (s *Store) SaveRun(ctx context.Context, run schedule.Run, tasks []schedule.Task) error {
	const update = `
UPDATE run SET state = ?2, ended_at = ?3, planning = ?4, total = ?5, done = ?6, failed = ?7, counts = ?8, next_try = ?9, message = ?10
WHERE id = +?1`
	counts, err := json.Marshal(run.Counts)
	if err != nil {
		return fmt.Errorf("store run %d: %w", run.ID, err)
	}
	results := make([][]byte, len(tasks))
	for i, t := range tasks {
		if len(t.Result) > 0 {
			results[i] = s.key.Seal(t.Result, taskIdentity(run.ID, t.N))
		}
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.Exec(update, run.ID, run.State, msOrNull(run.EndedAt), run.Planning,
			run.Total, run.Done, run.Failed, string(counts), msOrNull(run.NextTry), run.Message)
		if err != nil {
			return fmt.Errorf("store run %d: %w", run.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("store run %d: %w", run.ID, schedule.ErrNoRun), err)
		}
		return putTasks(tx, run.ID, tasks, results)
	})
}

// taskIdentity is what a sealed result is bound to.
func taskIdentity(run int64, n int) []byte { return fmt.Appendf(nil, "run_task/%d/%d", run, n) }

// putTasks stores tasks with their sealed results (nil: none).
func putTasks(tx *sql.Tx, runID int64, tasks []schedule.Task, results [][]byte) (err error) {
	const put = `
INSERT INTO run_task (run_id, n, seq, subject, device_id, scope, state, tries, step, outcome, failed, kind, message, started_at, took_ms, result)
VALUES (?1, ?2, nullif(?3, 0), ?4, nullif(?5, 0), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT (run_id, n) DO UPDATE SET seq = excluded.seq, subject = excluded.subject, device_id = excluded.device_id,
    state = excluded.state, tries = excluded.tries, step = excluded.step, outcome = excluded.outcome, failed = excluded.failed,
    kind = excluded.kind, message = excluded.message, started_at = excluded.started_at, took_ms = excluded.took_ms, result = excluded.result`
	if len(tasks) == 0 {
		return nil
	}
	stmt, err := tx.Prepare(put)
	if err != nil {
		return fmt.Errorf("store tasks of run %d: %w", runID, err)
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	for i, t := range tasks {
		if _, err := stmt.Exec(runID, t.N, t.Seq, t.Subject, t.DeviceID, t.Scope, t.State, t.Tries, t.Step,
			t.Outcome, t.Failed, t.Kind, t.Message, msOrNull(t.StartedAt), t.TookMs, results[i]); err != nil {
			return fmt.Errorf("store task %d of run %d: %w", t.N, runID, err)
		}
	}
	return nil
}

// RunOf returns one run.
func (s *Store) RunOf(ctx context.Context, id int64) (schedule.Run, error) {
	runs, err := s.runs(ctx, `SELECT `+runColumns+` FROM run WHERE id = +?1`, id)
	if err == nil && len(runs) == 0 {
		err = fmt.Errorf("run %d: %w", id, schedule.ErrNoRun)
	}
	if err != nil {
		return schedule.Run{}, err
	}
	return runs[0], nil
}

// Runs lists runs, newest first; limit 0 means 100, job "" all jobs.
func (s *Store) Runs(ctx context.Context, job string, limit int) ([]schedule.Run, error) {
	const query = `SELECT ` + runColumns + ` FROM run WHERE ?1 = '' OR job = +?1 ORDER BY id DESC LIMIT +?2`
	if limit <= 0 {
		limit = 100
	}
	return s.runs(ctx, query, job, limit)
}

func (s *Store) runs(ctx context.Context, query string, args ...any) (all []schedule.Run, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", damaged(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []schedule.Run{}
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func scanRun(rows *sql.Rows) (schedule.Run, error) {
	var r schedule.Run
	var started int64
	var ended, next sql.NullInt64
	var counts, request string
	err := rows.Scan(&r.ID, &r.Job, &r.State, &r.By, &started, &ended, &r.Planning, &r.Total, &r.Done, &r.Failed, &counts, &next, &r.Message, &request)
	if err == nil {
		err = errors.Join(json.Unmarshal([]byte(counts), &r.Counts), json.Unmarshal([]byte(request), &r.Request))
	}
	if err != nil {
		return r, fmt.Errorf("read runs: %w", damaged(err))
	}
	r.StartedAt, r.EndedAt, r.NextTry = fromMs(started), fromMsOrNull(ended), fromMsOrNull(next)
	if r.Counts == nil {
		r.Counts = map[string]int{}
	}
	return r, nil
}

const taskColumns = `run_id, n, coalesce(seq, 0), subject, coalesce(device_id, 0), scope, state, tries, step, outcome, failed, kind, message, started_at, took_ms, result`

// RunTasks lists all tasks of a run in the order of its plan.
func (s *Store) RunTasks(ctx context.Context, id int64) ([]schedule.Task, error) {
	return s.tasks(ctx, `SELECT `+taskColumns+` FROM run_task WHERE run_id = +?1 ORDER BY n`, id)
}

// EndedTasks lists tasks of a run in the order in which they ended, those after
// the one with the Seq after.
func (s *Store) EndedTasks(ctx context.Context, id int64, after, limit int) ([]schedule.Task, error) {
	return s.tasks(ctx, `SELECT `+taskColumns+` FROM run_task WHERE run_id = +?1 AND seq > ?2 ORDER BY seq LIMIT +?3`, id, after, limit)
}

// DeviceTasks lists the newest tasks about one device, newest first.
func (s *Store) DeviceTasks(ctx context.Context, deviceID int64, limit int) ([]schedule.Task, error) {
	return s.tasks(ctx, `SELECT `+taskColumns+` FROM run_task WHERE device_id = +?1 ORDER BY run_id DESC, n DESC LIMIT +?2`, deviceID, limit)
}

func (s *Store) tasks(ctx context.Context, query string, args ...any) (all []schedule.Task, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read tasks: %w", damaged(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []schedule.Task{}
	for rows.Next() {
		var t schedule.Task
		var started sql.NullInt64
		var result []byte
		if err := rows.Scan(&t.RunID, &t.N, &t.Seq, &t.Subject, &t.DeviceID, &t.Scope, &t.State, &t.Tries, &t.Step,
			&t.Outcome, &t.Failed, &t.Kind, &t.Message, &started, &t.TookMs, &result); err != nil {
			return nil, fmt.Errorf("read tasks: %w", damaged(err))
		}
		t.StartedAt = fromMsOrNull(started)
		if result != nil {
			if t.Result, err = s.key.Open(result, taskIdentity(t.RunID, t.N)); err != nil {
				return nil, fmt.Errorf("read task %d of run %d: %w", t.N, t.RunID, err)
			}
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// InterruptRuns marks what an earlier process left running as interrupted.
func (s *Store) InterruptRuns(ctx context.Context, at time.Time) ([]schedule.Run, error) {
	const (
		tasks = `
UPDATE run_task SET state = 'interrupted', outcome = 'interrupted'
WHERE seq IS NULL AND state IN ('waiting', 'running') AND run_id IN (SELECT id FROM run WHERE state = 'running')`
		runs = `UPDATE run SET state = 'interrupted', ended_at = ?1, planning = 0, next_try = NULL WHERE state = 'running'`
	)
	was, err := s.runs(ctx, `SELECT `+runColumns+` FROM run WHERE state = 'running' ORDER BY id`)
	if err != nil || len(was) == 0 {
		return was, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(tasks); err != nil {
			return fmt.Errorf("interrupt tasks: %w", err)
		}
		if _, err := tx.Exec(runs, ms(at)); err != nil {
			return fmt.Errorf("interrupt runs: %w", err)
		}
		return nil
	})
	for i := range was {
		was[i].State, was[i].EndedAt, was[i].Planning, was[i].NextTry = schedule.Interrupted, at.UTC(), false, time.Time{}
	}
	return was, err
}

// DeleteRuns removes runs that began before a time, with their tasks, and
// returns how many they were. Running ones stay.
func (s *Store) DeleteRuns(ctx context.Context, before time.Time) (n int64, err error) {
	const old = `SELECT id FROM run WHERE started_at < ?1 AND state <> 'running'`
	const del = `DELETE FROM run WHERE id IN (SELECT value FROM json_each(?1))`
	const atOnce = 1 // a run may have a task for each device
	if n, err = s.deleteRows(ctx, atOnce, del, old, ms(before)); err != nil {
		return n, fmt.Errorf("delete old runs: %w", err)
	}
	return n, nil
}

// ScheduleMark returns what an entry last did; the zero Mark where it never did.
func (s *Store) ScheduleMark(ctx context.Context, name string) (schedule.Mark, error) {
	const query = `SELECT due_at, coalesce(run_id, 0) FROM schedule_mark WHERE name = +?1`
	m := schedule.Mark{Name: name}
	var due int64
	err := s.read.QueryRowContext(ctx, query, name).Scan(&due, &m.RunID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return schedule.Mark{}, nil
	case err != nil:
		return schedule.Mark{}, fmt.Errorf("read mark of schedule %s: %w", name, damaged(err))
	}
	m.Due = fromMs(due)
	return m, nil
}

// SaveScheduleMark stores what an entry did.
func (s *Store) SaveScheduleMark(ctx context.Context, m schedule.Mark) error {
	const upsert = `
INSERT INTO schedule_mark (name, due_at, run_id) VALUES (?1, ?2, nullif(?3, 0))
ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at, run_id = excluded.run_id`
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(upsert, m.Name, ms(m.Due), m.RunID); err != nil {
			return fmt.Errorf("store mark of schedule %s: %w", m.Name, err)
		}
		return nil
	})
}
