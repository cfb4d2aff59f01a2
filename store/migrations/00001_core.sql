-- What everything else in the file rests on: who the directory is, what is
-- sealed, what people did and what happened.
-- +goose Up

-- Facts about the data directory itself, one a row.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,  -- 'id': the directory's identity, names its key file; 'created_at': Unix ms
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Small values that only the master key opens.
CREATE TABLE sealed (
    purpose TEXT    NOT NULL CHECK (purpose IN ('test', 'redaction', 'secret')),
    name    TEXT    NOT NULL,  -- 'secret': the name of "muster secret set NAME"; else ''
    blob    BLOB    NOT NULL,  -- secret.Key.Seal, bound to directory, purpose and name
    set_at  INTEGER NOT NULL,  -- Unix ms, UTC
    PRIMARY KEY (purpose, name)
) STRICT, WITHOUT ROWID;

-- What people decided or read that not everybody may read. Never a secret.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,             -- Unix ms, UTC
    who     TEXT    NOT NULL,             -- the account on the collector's machine, 'muster' for muster itself
    action  TEXT    NOT NULL,             -- the verb: 'secret set', 'config show --raw', 'device accept-key'
    subject TEXT    NOT NULL,             -- what it was done to: a device's or a secret's name
    detail  TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Answers "what was done to this one".
CREATE INDEX audit_by_subject ON audit (subject, at);

-- What happened, written in the transaction of the facts that show it. Readers
-- follow by id, which grows with the order of commits and is never used twice.
-- An event outlives its device: hence no reference.
CREATE TABLE event (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,            -- Unix ms, UTC
    kind      TEXT    NOT NULL,
    device_id INTEGER,                     -- NULL: it is about no single device
    device    TEXT    NOT NULL DEFAULT '', -- the device's name when it happened
    subject   TEXT    NOT NULL DEFAULT '', -- what the event is about, where that is no device
    data      TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(data))
) STRICT;

-- Answers "what happened to this device".
CREATE INDEX event_by_device ON event (device_id, id) WHERE device_id IS NOT NULL;

-- Answers "which events are older than the retention".
CREATE INDEX event_by_time ON event (at);

-- How far each reader of events has come. A cursor moves in the transaction
-- that stores what its reader made of the events.
CREATE TABLE event_cursor (
    name    TEXT PRIMARY KEY,  -- the reader: 'alert'
    last_id INTEGER NOT NULL   -- the last event that was worked on
) STRICT, WITHOUT ROWID;
