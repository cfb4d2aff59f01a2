-- Runs, their tasks, and what schedules have done.
-- +goose Up

-- One start of a job over many devices.
CREATE TABLE run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job        TEXT    NOT NULL,  -- 'discovery', 'backup', 'housekeeping', …
    state      TEXT    NOT NULL CHECK (state IN ('running', 'done', 'failed', 'stopped', 'interrupted')),
    started_by TEXT    NOT NULL,  -- 'schedule', 'catch-up', 'command'
    started_at INTEGER NOT NULL,  -- Unix ms, UTC
    ended_at   INTEGER,           -- Unix ms, UTC; NULL while it runs
    planning   INTEGER NOT NULL CHECK (planning IN (0, 1)),  -- 1: total is not final
    total      INTEGER NOT NULL DEFAULT 0,
    done       INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    counts     TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(counts)),  -- ended tasks by outcome
    next_try   INTEGER,           -- Unix ms, UTC, of the first second try; NULL: none waits
    message    TEXT    NOT NULL DEFAULT '',
    request    TEXT    NOT NULL CHECK (json_valid(request)),
    CHECK ((state = 'running') = (ended_at IS NULL))
) STRICT;

-- Answers "the last runs of this job", and at a start "what was running".
CREATE INDEX run_by_job ON run (job, id);
CREATE INDEX run_running ON run (id) WHERE state = 'running';

-- Answers "which runs are older than the retention".
CREATE INDEX run_by_time ON run (started_at);

-- The work of a run on one device or address. It outlives its device: hence no
-- reference.
CREATE TABLE run_task (
    run_id     INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    n          INTEGER NOT NULL,  -- 1, 2, … in the order of the plan
    seq        INTEGER,           -- 1, 2, … in the order in which tasks ended; NULL: it has not
    subject    TEXT    NOT NULL,  -- the device's name at that time, or an address
    device_id  INTEGER,           -- NULL: not known to be a device
    scope      TEXT    NOT NULL DEFAULT '',
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'stopped', 'interrupted')),
    tries      INTEGER NOT NULL DEFAULT 0,
    step       TEXT    NOT NULL DEFAULT '',  -- the step that failed
    outcome    TEXT    NOT NULL DEFAULT '',
    failed     INTEGER NOT NULL DEFAULT 0 CHECK (failed IN (0, 1)),
    kind       TEXT    NOT NULL DEFAULT '',  -- collector.Kind of the failure
    message    TEXT    NOT NULL DEFAULT '',
    started_at INTEGER,           -- Unix ms, UTC; NULL: it never began
    took_ms    INTEGER NOT NULL DEFAULT 0,
    result     BLOB,                 -- the job's own JSON, sealed: it has the SHA-256 of a raw text, against which secrets could be guessed
    PRIMARY KEY (run_id, n)
) STRICT, WITHOUT ROWID;

-- Answers "what ended after this one", for those who watch a run.
CREATE UNIQUE INDEX run_task_by_seq ON run_task (run_id, seq) WHERE seq IS NOT NULL;

-- Answers "what was done with this device".
CREATE INDEX run_task_by_device ON run_task (device_id, run_id) WHERE device_id IS NOT NULL;

-- What each entry under schedules: last did. Moved when the run for it has ended,
-- so that what was interrupted is owed again.
CREATE TABLE schedule_mark (
    name   TEXT PRIMARY KEY,
    due_at INTEGER NOT NULL,  -- Unix ms, UTC: the newest due time that needs no run any more
    run_id INTEGER            -- the run that was for it; NULL: the entry's first start. No reference: runs go after 90 days
) STRICT, WITHOUT ROWID;
