package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/collector"
	"muster/inventory"
	"muster/inventory/platform"
)

// ErrNotStored is what a [Store] answers, wrapped, where there is no such text.
var ErrNotStored = errors.New("not stored")

// NotStored is ErrNotStored in a sentence of its own: "not stored" behind a command
// to type would be typed with it.
func NotStored(format string, args ...any) error { return absent(fmt.Sprintf(format, args...)) }

type absent string

func (a absent) Error() string { return string(a) }

func (a absent) Is(target error) bool { return target == ErrNotStored }

// Store keeps captures, versions, decisions and drift. *store.Store is the real
// one. All may be called from any goroutine; Backups sees to it that at most one
// CommitBackup of a device is under way, and that what it was computed from has
// not changed since.
type Store interface {
	// BackupGround tells what a new capture is held against. A device without
	// captures has the zero Ground.
	BackupGround(ctx context.Context, deviceID int64) (Ground, error)
	// BackupStandings tells how all devices stand that ever had an attempt; State
	// is left empty.
	BackupStandings(ctx context.Context) (map[int64]Standing, error)
	// ConfigVersions lists the versions of a device, newest first.
	ConfigVersions(ctx context.Context, deviceID int64) ([]Version, error)
	// VersionTexts reads the redacted texts of a version, and the raw ones where
	// raw is set. number 0 is the newest.
	VersionTexts(ctx context.Context, deviceID int64, number int, raw bool) (VersionTexts, error)
	// CaptureTexts reads what is kept of a capture: all raw texts of the newest
	// good one and of the one that waits in quarantine.
	CaptureTexts(ctx context.Context, captureID int64) (Capture, error)
	// OpenDrifts lists what has drifted, oldest first; deviceID 0: of all devices.
	OpenDrifts(ctx context.Context, deviceID int64) ([]OpenDrift, error)
	// CommitBackup stores all of c or nothing. What is slow (compressing,
	// sealing) happens before its transaction.
	CommitBackup(ctx context.Context, c Commit) error
	// PurgeVersion removes a version and the bytes of its texts from every file of
	// the data directory, and proves it: an error after the removal names the file
	// where some were found. What else hangs on those texts is packed anew.
	PurgeVersion(ctx context.Context, deviceID int64, number int, audit Audit, at time.Time) error
	// Derivations lists under which rules the redacted texts of all versions stand.
	Derivations(ctx context.Context) ([]Derivation, error)
	// PutDerived replaces the redacted texts of versions of a device, and notes
	// their Derived and LastChange.
	PutDerived(ctx context.Context, deviceID int64, versions []VersionTexts) error
	// Rewrite frees the file of what PutDerived and PurgeVersion removed from it, also
	// where the process that removed it ended before; it costs nothing where that is done.
	Rewrite(ctx context.Context) error
	// AuditRawRead writes down who read a raw text, and returns when that is on disk.
	AuditRawRead(ctx context.Context, at time.Time, who, device, detail string) error
}

// Ground is what a new capture of a device is held against.
type Ground struct {
	Newest       int       // number of the newest version; 0: none yet
	Last         int       // highest number that a version ever had: Newest, or that of a purged one
	NewestAt     time.Time // when that was taken
	Approved     int       // number of the version approved last; 0: none
	Objected     bool      // a person approved another version than the newest, knowing that one
	Baseline     int       // number of the pinned version; 0: none
	LastGood     int64     // the newest capture that was stored, unchanged or accepted; 0: none
	LastGoodSize int       // bytes of its raw running config
	Waiting      int64     // the capture in quarantine; 0: none
	Drifts       []OpenDrift
}

// Standing is how one device stands with its backups.
type Standing struct {
	State    State     // filled by Backups.Standings
	Outcome  Outcome   // of the newest attempt
	At       time.Time // of the newest attempt
	Step     collector.Step
	Kind     collector.Kind
	Message  string    // of the newest attempt, where it was not good
	LastGood time.Time // newest capture that was stored, unchanged or accepted; zero: never
	Versions int
	Waiting  bool // a capture is in quarantine
	Drift    []DriftKind
}

// VersionTexts is a version with what it consists of.
type VersionTexts struct {
	Version
	Platform string // name of the definition that it was read with
	Derived  string // revision of the rules under which Redacted stands
	Parts    []VersionPart
}

// Derivation tells that a device has versions, the first of which is First,
// whose redacted texts stand under a revision of the rules.
type Derivation struct {
	DeviceID int64
	Platform string
	Derived  string
	First    int
}

// VersionPart is one text of a version.
type VersionPart struct {
	Part     string
	Role     platform.Role
	Redacted []byte // with tokens; derived under VersionTexts.Derived
	Raw      []byte // as the device sent it; nil where it was not asked for
}

// OpenDrift is a drift as it is kept.
type OpenDrift struct {
	DeviceID     int64
	Kind         DriftKind
	Since        time.Time
	LinesAdded   int
	LinesRemoved int
	Group        string
	Message      string
}

// Commit is what one attempt, or one decision of a person, changes. Nil and
// empty parts change nothing.
type Commit struct {
	At        time.Time
	DeviceID  int64
	Capture   *Captured
	Version   *NewVersion
	Decision  *Decision
	Approvals []Approval // in this order: a person's comes before what follows from it
	Baseline  *Baseline
	Drifts    []DriftChange
	Events    []inventory.Event
	Audit     *Audit
}

// Captured is one attempt as it is kept. A waiting capture of the device is
// superseded by one that is good or quarantined; texts are kept of these only.
type Captured struct {
	Capture
	Result Result
	Rules  string // platform.Definition.Revision that judged it
}

// NewVersion is a version to store.
type NewVersion struct {
	Version
	FromCapture int64 // the capture accepted from quarantine; 0: the Capture of the same Commit
	Parts       []VersionPart
}

// Decision is what a person said about the capture in quarantine.
type Decision struct {
	CaptureID int64
	Accepted  bool // false: discarded
	Who       string
}

// Approval says that a version is how the device should be.
type Approval struct {
	Number int
	How    string // first, same text, person, age, at once
	Who    string // empty: muster itself
}

// Baseline pins a version, or lets it go.
type Baseline struct {
	Number int // 0: nothing is pinned any more
	Who    string
}

// DriftChange opens, updates or closes the drift of a kind.
type DriftChange struct {
	OpenDrift
	Closed bool
}

// Audit is the row that tells of a person's act.
type Audit struct {
	Who, Action, Subject, Detail string
}
