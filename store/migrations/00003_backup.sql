-- What was read of devices' configurations, what of it counts, and what people
-- decided about it.
-- +goose Up

-- One attempt to back up a device, good or bad.
CREATE TABLE capture (
    id         INTEGER PRIMARY KEY,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    run_id     INTEGER,            -- NULL: not in a run; a run goes before its captures do
    platform   TEXT    NOT NULL,   -- definition that it was read with; '' where none was known
    rules      TEXT    NOT NULL,   -- revision of the rules that judged it; '' where it was not judged
    taken_at   INTEGER NOT NULL,   -- Unix ms, UTC: when the session began
    took_ms    INTEGER NOT NULL,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('stored', 'unchanged', 'quarantined', 'failed')),
    step       TEXT    NOT NULL,   -- where it failed; '' where it did not
    kind       TEXT    NOT NULL,   -- why; '' where it did not fail
    message    TEXT    NOT NULL,   -- for people, secrets masked
    credential TEXT    NOT NULL,   -- name of what opened the session; '': none did
    method     TEXT    NOT NULL,
    weak       TEXT    NOT NULL,   -- weak algorithms of the session; '': none
    size       INTEGER NOT NULL,   -- bytes of the raw running config
    steps      TEXT    NOT NULL CHECK (json_valid(steps)),  -- collector.StepTime, in order
    proofs     TEXT    NOT NULL CHECK (json_valid(proofs))  -- platform.Proof
) STRICT;

-- Answers "the newest attempt" and "the newest good one of this device".
CREATE INDEX capture_by_device ON capture (device_id, id, outcome);

-- Answers "which captures are older than the retention".
CREATE INDEX capture_by_time ON capture (taken_at);

-- A text, once for each device. Redacted ones are readable by whoever has the
-- file and hold tokens for secrets; raw ones are sealed with the master key.
CREATE TABLE text (
    id        INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind      TEXT    NOT NULL CHECK (kind IN ('redacted', 'raw')),
    part      TEXT    NOT NULL,
    address   BLOB    NOT NULL CHECK (length(address) = 32),  -- keyed hash of the text
    base_id   INTEGER REFERENCES text (id),  -- the redacted text that it is packed against; NULL: none
    size      INTEGER NOT NULL,              -- bytes of the text itself
    blob      BLOB    NOT NULL,              -- the first 16 MB of the packed text
    CHECK (base_id IS NOT id),
    UNIQUE (device_id, kind, part, address)
) STRICT;

-- Answers "which texts need this one to be read".
CREATE INDEX text_by_base ON text (base_id) WHERE base_id IS NOT NULL;

-- The rest of a packed text of over 16 MB, in order.
CREATE TABLE text_piece (
    text_id INTEGER NOT NULL REFERENCES text (id) ON DELETE CASCADE,
    n       INTEGER NOT NULL CHECK (n > 0),
    blob    BLOB    NOT NULL,
    PRIMARY KEY (text_id, n)
) STRICT;

-- The parts of a capture, in the order in which they were read.
CREATE TABLE capture_part (
    capture_id INTEGER NOT NULL REFERENCES capture (id) ON DELETE CASCADE,
    n          INTEGER NOT NULL,
    part       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    note       TEXT    NOT NULL,   -- why it could not be read; '' where it was
    raw_id     INTEGER REFERENCES text (id),  -- NULL: not read, or not kept any more
    PRIMARY KEY (capture_id, n)
) STRICT;

-- Answers "who still needs this text".
CREATE INDEX capture_part_by_text ON capture_part (raw_id) WHERE raw_id IS NOT NULL;

-- A capture proved complete whose redacted text differs from the version before
-- it. Never changed, and removed by a purge only.
CREATE TABLE version (
    id            INTEGER PRIMARY KEY,
    device_id     INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL CHECK (number > 0),  -- 1, 2, … per device
    capture_id    INTEGER NOT NULL REFERENCES capture (id),
    at            INTEGER NOT NULL,  -- Unix ms, UTC: when its capture was taken
    reason        TEXT    NOT NULL CHECK (reason IN ('first', 'changed', 'secret changed', 'accepted from quarantine', 'imported')),
    lines_added   INTEGER NOT NULL,  -- against the version before it
    lines_removed INTEGER NOT NULL,
    rules         TEXT    NOT NULL,  -- revision of the rules that made it
    derived       TEXT    NOT NULL,  -- revision under which its redacted texts stand here
    digest        BLOB    NOT NULL,  -- SHA-256 of the raw first part, sealed: in the clear, guessed secrets could be tried against it
    UNIQUE (device_id, number)
) STRICT;

-- Versions whose bytes a person had removed. Their numbers are not used again.
CREATE TABLE purged_version (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,  -- Unix ms, UTC
    who       TEXT    NOT NULL,
    PRIMARY KEY (device_id, number)
) STRICT, WITHOUT ROWID;

-- The parts of a version, the running config first.
CREATE TABLE version_part (
    version_id  INTEGER NOT NULL REFERENCES version (id) ON DELETE CASCADE,
    n           INTEGER NOT NULL,
    part        TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    redacted_id INTEGER NOT NULL REFERENCES text (id),
    raw_id      INTEGER NOT NULL REFERENCES text (id),
    PRIMARY KEY (version_id, n)
) STRICT;

-- Answer "who still needs this text".
CREATE INDEX version_part_by_redacted ON version_part (redacted_id);
CREATE INDEX version_part_by_raw ON version_part (raw_id);

-- A capture that was read and could not be proved whole must neither become a
-- version nor be thrown away: it waits here until someone accepts or discards
-- it, or a later capture takes its place.
CREATE TABLE quarantine (
    capture_id INTEGER PRIMARY KEY REFERENCES capture (id) ON DELETE CASCADE,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,
    missing    TEXT    NOT NULL,  -- the proof that failed, for people
    decided_at INTEGER,           -- Unix ms, UTC; NULL while it waits
    decision   TEXT CHECK (decision IN ('accepted', 'discarded', 'superseded')),
    who        TEXT,              -- NULL while it waits; 'muster' where a later capture superseded it
    CHECK ((decided_at IS NULL) = (decision IS NULL)),
    CHECK ((decided_at IS NULL) = (who IS NULL))
) STRICT;

-- Answers "which captures of this device were accepted".
CREATE INDEX quarantine_by_device ON quarantine (device_id, decision, capture_id);

-- At most one capture of a device waits.
CREATE UNIQUE INDEX quarantine_waiting ON quarantine (device_id) WHERE decided_at IS NULL;

-- What was said to be how a device should be, newest last: that one holds.
CREATE TABLE approval (
    id         INTEGER PRIMARY KEY,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    version_id INTEGER NOT NULL REFERENCES version (id) ON DELETE CASCADE,
    at         INTEGER NOT NULL,  -- Unix ms, UTC
    knowing    INTEGER NOT NULL,  -- number of the newest version then: who approves an older one objects to it
    how        TEXT    NOT NULL CHECK (how IN ('first', 'same text', 'person', 'age', 'at once')),
    who        TEXT    NOT NULL
) STRICT;

-- Answers "which version is approved".
CREATE INDEX approval_by_device ON approval (device_id, id);

-- The version that someone pinned as how a device should be.
CREATE TABLE baseline (
    id         INTEGER PRIMARY KEY,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    version_id INTEGER NOT NULL REFERENCES version (id) ON DELETE CASCADE,
    since      INTEGER NOT NULL,  -- Unix ms, UTC
    until      INTEGER,           -- NULL: it is pinned
    who        TEXT    NOT NULL,
    CHECK (until IS NULL OR until >= since)
) STRICT;

-- At most one version of a device is pinned.
CREATE UNIQUE INDEX baseline_pinned ON baseline (device_id) WHERE until IS NULL;

-- One way in which a device differed from how it should be, for as long as it did.
CREATE TABLE drift (
    id            INTEGER PRIMARY KEY,
    device_id     INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind          TEXT    NOT NULL CHECK (kind IN ('changed', 'unsaved', 'pending', 'off-baseline')),
    since         INTEGER NOT NULL,  -- Unix ms, UTC: when it was first seen
    until         INTEGER,           -- NULL: it still is
    lines_added   INTEGER NOT NULL,
    lines_removed INTEGER NOT NULL,
    fingerprint   TEXT    NOT NULL,  -- of the diff: the same change on many devices has the same one
    message       TEXT    NOT NULL,
    CHECK (until IS NULL OR until >= since)
) STRICT;

-- At most one drift of a kind is open for a device; answers "what has drifted".
CREATE UNIQUE INDEX drift_open ON drift (device_id, kind) WHERE until IS NULL;
