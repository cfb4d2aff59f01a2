-- Alerts and the messages about them that wait for their receivers.
-- +goose Up

-- One fault as people see it: opened once, updated, resolved once.
CREATE TABLE alert (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT    NOT NULL,
    subject     TEXT    NOT NULL,  -- a device, a cause, a site, or the fingerprint of a diff
    state       TEXT    NOT NULL CHECK (state IN ('firing', 'resolved')),
    opened_at   INTEGER NOT NULL,  -- Unix ms, UTC
    resolved_at INTEGER,           -- Unix ms, UTC; NULL while it fires
    message     TEXT    NOT NULL,
    devices     TEXT    NOT NULL CHECK (json_valid(devices)),  -- array of names
    acked_by    TEXT    NOT NULL DEFAULT '',
    acked_at    INTEGER,           -- Unix ms, UTC; NULL: nobody has
    ack_note    TEXT    NOT NULL DEFAULT '',
    notify_at   INTEGER,           -- Unix ms, UTC: when the next notification is due; NULL: none
    detail      TEXT    NOT NULL CHECK (json_valid(detail)),   -- alert.Detail: the conditions in force
    CHECK ((state = 'firing') = (resolved_at IS NULL))
) STRICT;

-- There is one alert of a kind and subject at a time. Answers "what fires" too.
CREATE UNIQUE INDEX alert_firing ON alert (kind, subject) WHERE state = 'firing';

-- Answers "whose notification is due".
CREATE INDEX alert_due ON alert (notify_at) WHERE notify_at IS NOT NULL;

-- Answers "how often was this one opened of late", for what flaps.
CREATE INDEX alert_by_subject ON alert (kind, subject, opened_at);

-- A message on its way to one receiver. It is repeated with the same id until the
-- receiver has taken it.
CREATE TABLE outbox (
    id         TEXT    PRIMARY KEY,
    seq        INTEGER NOT NULL UNIQUE,  -- order of writing
    receiver   TEXT    NOT NULL,
    event      TEXT    NOT NULL,         -- 'firing', 'updated', 'resolved', 'digest'
    alert_id   INTEGER,                  -- NULL: a digest. No reference: alerts go after 400 days
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    created_at INTEGER NOT NULL,         -- Unix ms, UTC
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,         -- Unix ms, UTC: not before
    error      TEXT    NOT NULL DEFAULT '',  -- of the last attempt
    done_at    INTEGER                   -- Unix ms, UTC: taken, or with an error given up; NULL: it waits
) STRICT;

-- Answers "what waits".
CREATE INDEX outbox_waiting ON outbox (seq) WHERE done_at IS NULL;

-- Times that alerting keeps between two steps: up to when a receiver has had its
-- digests.
CREATE TABLE alert_mark (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL  -- Unix ms, UTC
) STRICT, WITHOUT ROWID;
