-- The devices, the evidence of their identity, what they told of themselves and
-- what logging in to them has taught. What changes carries since and until.
-- +goose Up

-- One managed thing, with one identity for life.
CREATE TABLE device (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL CHECK (name <> ''),
    name_given      INTEGER NOT NULL DEFAULT 0 CHECK (name_given IN (0, 1)),  -- a person chose it
    address         TEXT    NOT NULL DEFAULT '',  -- management address; '': it has none at the moment
    address_reason  TEXT    NOT NULL DEFAULT '',
    ssh_port        INTEGER NOT NULL DEFAULT 0 CHECK (ssh_port BETWEEN 0 AND 65535),  -- 0: the scope's
    scope           TEXT    NOT NULL DEFAULT '',
    site            TEXT    NOT NULL DEFAULT '',
    site_given      INTEGER NOT NULL DEFAULT 0 CHECK (site_given IN (0, 1)),
    tags            TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(tags)),
    platform        TEXT    NOT NULL DEFAULT '',  -- definition's name; '': not known
    platform_reason TEXT    NOT NULL DEFAULT '',
    platform_given  INTEGER NOT NULL DEFAULT 0 CHECK (platform_given IN (0, 1)),
    identified      INTEGER NOT NULL DEFAULT 0 CHECK (identified IN (0, 1)),  -- SNMP by itself proved the platform
    vendor          TEXT    NOT NULL DEFAULT '',
    model           TEXT    NOT NULL DEFAULT '',
    version         TEXT    NOT NULL DEFAULT '',
    serial          TEXT    NOT NULL DEFAULT '',
    managed         INTEGER NOT NULL DEFAULT 0 CHECK (managed IN (0, 1)),
    managed_given   INTEGER NOT NULL DEFAULT 0 CHECK (managed_given IN (0, 1)),
    added_by_person INTEGER NOT NULL DEFAULT 0 CHECK (added_by_person IN (0, 1)),
    disabled        INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    retired         INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
    snmp_credential TEXT    NOT NULL DEFAULT '',  -- the one that works
    snmp_detail     TEXT    NOT NULL DEFAULT '',  -- SNMPv3: privacy protocol that worked
    ssh_credential  TEXT    NOT NULL DEFAULT '',  -- the one that worked last
    ssh_method      TEXT    NOT NULL DEFAULT '',
    credential      TEXT    NOT NULL DEFAULT '',  -- set by a person: the only one to try
    algorithms      TEXT    NOT NULL DEFAULT '',  -- set by a person; '': the scope's
    timeout_ms      INTEGER NOT NULL DEFAULT 0,   -- set by a person; 0: the scope's
    state           TEXT    NOT NULL CHECK (state IN ('unknown', 'up', 'degraded', 'down', 'behind')),
    state_since     INTEGER,                      -- Unix ms, UTC
    behind          TEXT    NOT NULL DEFAULT '',  -- name of the device in front, where state is behind
    first_seen      INTEGER,                      -- Unix ms, UTC; NULL: never answered
    last_seen       INTEGER,                      -- Unix ms, UTC
    missing         TEXT    NOT NULL DEFAULT '',  -- kind of what keeps it from being opened; '': nothing
    missing_reason  TEXT    NOT NULL DEFAULT '',
    question        TEXT    NOT NULL DEFAULT '',  -- what a person has to confirm; '': nothing
    count_from      INTEGER,                      -- Unix ms: rejected logins before do not count; NULL: all do
    engine_boots    INTEGER NOT NULL DEFAULT 0,   -- snmpEngineBoots
    engine_time_s   INTEGER NOT NULL DEFAULT 0,   -- snmpEngineTime, s
    engine_read_at  INTEGER,                      -- Unix ms: when these two were read
    merged_into     INTEGER REFERENCES device (id) ON DELETE CASCADE  -- NULL: it is a device of its own
) STRICT;

-- Names are unique; those of devices that became part of another do not count.
CREATE UNIQUE INDEX device_by_name ON device (name COLLATE NOCASE) WHERE merged_into IS NULL;

-- Evidence of identity, while it holds.
CREATE TABLE identifier (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind      TEXT    NOT NULL,
    value     TEXT    NOT NULL,
    key       TEXT    NOT NULL,   -- what its holders are looked up by: the serial without vendor and context, else the value
    since     INTEGER NOT NULL,   -- Unix ms, UTC
    until     INTEGER             -- Unix ms; NULL: it holds
) STRICT;

CREATE UNIQUE INDEX identifier_of_device ON identifier (device_id, kind, value) WHERE until IS NULL;
-- Answers "who holds this".
CREATE INDEX identifier_by_key ON identifier (kind, key) WHERE until IS NULL;

-- Addresses at which a device answered. At one time an address is one device's.
CREATE TABLE answered (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    ip        TEXT    NOT NULL,
    since     INTEGER NOT NULL,   -- Unix ms, UTC
    until     INTEGER             -- Unix ms; NULL: still
) STRICT;

CREATE UNIQUE INDEX answered_by_ip ON answered (ip) WHERE until IS NULL;
CREATE INDEX answered_of_device ON answered (device_id, since);

-- What a device said of itself: model, version, serial, …
CREATE TABLE fact (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    via       TEXT    NOT NULL CHECK (via IN ('snmp', 'ssh')),
    name      TEXT    NOT NULL,
    value     TEXT    NOT NULL,
    source    TEXT    NOT NULL,   -- OID by name, or command
    since     INTEGER NOT NULL,   -- Unix ms: first reading that said so
    read_at   INTEGER NOT NULL,   -- Unix ms: newest reading that said so
    until     INTEGER             -- Unix ms: reading that said otherwise; NULL: it holds
) STRICT;

CREATE UNIQUE INDEX fact_of_device ON fact (device_id, via, name) WHERE until IS NULL;

-- IF-MIB::ifTable with ifXTable. History goes by name: if_index may change at a reboot.
CREATE TABLE interface (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    if_index  INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    descr     TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    mtu       INTEGER NOT NULL,   -- bytes; 0: not told
    admin     TEXT    NOT NULL,
    oper      TEXT    NOT NULL,
    mac       TEXT    NOT NULL,
    speed_bps INTEGER NOT NULL,   -- bit/s; 0: not told
    alias     TEXT    NOT NULL,
    since     INTEGER NOT NULL,   -- Unix ms, UTC
    until     INTEGER             -- Unix ms; NULL: it holds
) STRICT;

CREATE INDEX interface_of_device ON interface (device_id, if_index) WHERE until IS NULL;

-- IP-MIB addresses that a device told; it need not answer at them.
CREATE TABLE address (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    ip        TEXT    NOT NULL,
    prefix    INTEGER NOT NULL,   -- length in bits; 0: not told
    if_index  INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    until     INTEGER
) STRICT;

CREATE INDEX address_of_device ON address (device_id) WHERE until IS NULL;

-- Q-BRIDGE-MIB::dot1qVlanStaticTable.
CREATE TABLE vlan (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    vlan_id   INTEGER NOT NULL,   -- 1…4094
    name      TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    until     INTEGER
) STRICT;

CREATE INDEX vlan_of_device ON vlan (device_id) WHERE until IS NULL;

-- ENTITY-MIB::entPhysicalTable.
CREATE TABLE component (
    device_id       INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    component_index INTEGER NOT NULL,   -- entPhysicalIndex
    parent          INTEGER NOT NULL,   -- entPhysicalContainedIn
    class           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    descr           TEXT    NOT NULL,
    model           TEXT    NOT NULL,
    serial          TEXT    NOT NULL,
    firmware        TEXT    NOT NULL,
    software        TEXT    NOT NULL,
    since           INTEGER NOT NULL,
    until           INTEGER
) STRICT;

CREATE INDEX component_of_device ON component (device_id) WHERE until IS NULL;
-- Answers "which device has the part with this serial".
CREATE INDEX component_by_serial ON component (serial) WHERE until IS NULL AND serial <> '';

-- LLDP-MIB::lldpRemTable.
CREATE TABLE neighbor (
    device_id         INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    protocol          TEXT    NOT NULL,
    local_if_index    INTEGER NOT NULL,
    local_port        TEXT    NOT NULL,
    remote_sys_name   TEXT    NOT NULL,
    remote_port       TEXT    NOT NULL,
    remote_chassis_id TEXT    NOT NULL,
    remote_sys_descr  TEXT    NOT NULL,
    since             INTEGER NOT NULL,
    until             INTEGER
) STRICT;

CREATE INDEX neighbor_of_device ON neighbor (device_id) WHERE until IS NULL;

-- Times in one state, so that availability can be told.
CREATE TABLE state_interval (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    state     TEXT    NOT NULL,
    since     INTEGER NOT NULL,             -- Unix ms: e.g. the first lost answer
    until     INTEGER,                      -- Unix ms; NULL: it lasts
    behind    TEXT    NOT NULL DEFAULT '',
    message   TEXT    NOT NULL DEFAULT ''   -- what was tried and seen
) STRICT;

CREATE INDEX state_interval_of_device ON state_interval (device_id, since);
CREATE UNIQUE INDEX state_interval_now ON state_interval (device_id) WHERE until IS NULL;

-- What reachability remembers between rounds and over restarts.
CREATE TABLE reach (
    device_id       INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    snmp_worked     INTEGER NOT NULL CHECK (snmp_worked IN (0, 1)),  -- it ever answered by that protocol
    icmp_worked     INTEGER NOT NULL CHECK (icmp_worked IN (0, 1)),
    tcp_worked      INTEGER NOT NULL CHECK (tcp_worked IN (0, 1)),
    knocked_at      INTEGER,   -- Unix ms: last connect to the CLI port; NULL: never
    knock_answered  INTEGER NOT NULL DEFAULT 0 CHECK (knock_answered IN (0, 1)),  -- if only by a refusal
    lost_since      INTEGER,   -- Unix ms: first round without any answer; NULL: something answers
    snmp_lost_since INTEGER    -- Unix ms: first round without an SNMP answer; NULL: SNMP answers, or never did
) STRICT;

-- SSH host keys: accepted ones, and those that wait for a person.
CREATE TABLE host_key (
    device_id   INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    type        TEXT    NOT NULL,
    blob        BLOB    NOT NULL,   -- wire format (RFC 4253 §6.6)
    fingerprint TEXT    NOT NULL,   -- SHA256:…
    state       TEXT    NOT NULL CHECK (state IN ('pinned', 'pending', 'dropped')),
    by_person   INTEGER NOT NULL CHECK (by_person IN (0, 1)),
    at          INTEGER NOT NULL,   -- Unix ms: when it came into this state
    PRIMARY KEY (device_id, blob)
) STRICT, WITHOUT ROWID;

-- Every login that a device accepted or refused: the budget is counted from here.
CREATE TABLE login_attempt (
    id         INTEGER PRIMARY KEY,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    credential TEXT    NOT NULL,
    method     TEXT    NOT NULL DEFAULT '',
    digest     TEXT    NOT NULL DEFAULT '',  -- keyed digest of the secrets that were used
    accepted   INTEGER NOT NULL CHECK (accepted IN (0, 1)),
    rejected   INTEGER NOT NULL CHECK (rejected >= 0),  -- passwords that the device refused in it
    forgiven   INTEGER NOT NULL DEFAULT 0 CHECK (forgiven IN (0, 1)),
    at         INTEGER NOT NULL              -- Unix ms, UTC
) STRICT;

CREATE INDEX login_attempt_of_device ON login_attempt (device_id, at);
CREATE INDEX login_attempt_by_credential ON login_attempt (credential) WHERE rejected > 0;

-- Credentials that were stopped: nobody sends them but one login a run.
CREATE TABLE credential_state (
    name        TEXT PRIMARY KEY,
    digest      TEXT NOT NULL,      -- of the secrets that this is about
    stopped_at  INTEGER,            -- Unix ms; NULL: it may be used
    reason      TEXT NOT NULL DEFAULT '',
    rejected_by TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(rejected_by))  -- ids of devices
) STRICT, WITHOUT ROWID;
