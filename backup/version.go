// Package backup turns what a device printed into versions that can be restored.
//
// A capture is what one session brought back, good or bad. It becomes a version
// only with a proof that it is whole; without one it waits in quarantine. People
// read the redacted text; what is restored is the raw one.
//
// backup opens sessions only through inventory's Access and knows no SQL: see
// [Store].
package backup

import (
	"time"

	"muster/collector"
	"muster/inventory/platform"
)

// Outcome is how a backup of one device ended.
type Outcome string

// The outcomes.
const (
	Stored      Outcome = "stored"      // a new version
	Unchanged   Outcome = "unchanged"   // proved whole, same as the newest version
	Quarantined Outcome = "quarantined" // read, not trusted
	Failed      Outcome = "failed"
	Skipped     Outcome = "skipped" // not tried: the device is down, disabled, or already in a session
)

// Result is the outcome of one device's backup, said after it is committed. Its
// JSON is a stable call.
type Result struct {
	Device  string         `json:"device"`
	Outcome Outcome        `json:"outcome"`
	Step    collector.Step `json:"step,omitempty"`
	Kind    collector.Kind `json:"kind,omitempty"`
	Message string         `json:"message,omitempty"` // which device, step, what was seen, what to do
	Version int            `json:"version,omitempty"` // number of the version that now stands
	SHA256  string         `json:"sha256,omitempty"`  // hex, of the raw first part of this capture
	Seconds float64        `json:"seconds"`
}

// State is how a device stands with its backups.
type State string

// The backup states.
const (
	Good           State = "good"        // the newest attempt was stored or unchanged
	QuarantineHeld State = "quarantined" // the newest capture waits for a person
	FailedLast     State = "failed"
	Stale          State = "stale" // good once, but not for longer than backup-overdue allows
	Never          State = "never"
	Disabled       State = "disabled"
)

// Capture is what one session brought back. It is a value that can be sent.
type Capture struct {
	ID       int64 // 0: not stored
	DeviceID int64
	Device   string
	Platform string
	RunID    int64
	TakenAt  time.Time
	Took     time.Duration
	Texts    []Text
	Steps    []collector.StepTime
	Proofs   []platform.Proof
	// Credential and Method are what opened the session; Weak names weak
	// algorithms that it used.
	Credential, Method, Weak string
}

// Text is one part of a capture.
type Text struct {
	Part string
	Role platform.Role
	Raw  []byte // LF line ends, no echo, prompt, pager, escapes
	Note string // why it is missing, where an optional part could not be read
}

// Reason is why a version exists.
type Reason string

// The reasons.
const (
	ReasonFirst         Reason = "first"
	ReasonChanged       Reason = "changed"
	ReasonSecretChanged Reason = "secret changed"
	ReasonAccepted      Reason = "accepted from quarantine"
	ReasonImported      Reason = "imported"
)

// Version is a capture proved complete whose text differs from the one before.
type Version struct {
	DeviceID     int64
	Number       int // 1, 2, … per device
	At           time.Time
	Reason       Reason
	Approved     bool
	LinesAdded   int
	LinesRemoved int
	LastChange   string // what its text says: when it was changed last, and by whom; empty: nothing
	Rules        string // platform.Definition.Revision that made it
	SHA256       string // hex, of the raw first part
	Parts        []string
}

// DriftKind is how a device differs from how it should be.
type DriftKind string

// The kinds of drift.
const (
	DriftChanged     DriftKind = "changed"
	DriftUnsaved     DriftKind = "unsaved"
	DriftPending     DriftKind = "pending"
	DriftOffBaseline DriftKind = "off-baseline"
)

// Drift is one way in which a device drifted. Its JSON is a stable call; it is
// the Data of an inventory.EventDrift too.
type Drift struct {
	Device       string    `json:"device"`
	Kind         DriftKind `json:"kind"`
	Since        time.Time `json:"since"`
	LinesAdded   int       `json:"lines_added"`
	LinesRemoved int       `json:"lines_removed"`
	Group        string    `json:"group"`            // fingerprint of the diff: same change, same group
	Closed       bool      `json:"closed,omitempty"` // in events: the drift is over
	Message      string    `json:"message,omitempty"`
}
