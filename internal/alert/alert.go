// Package alert turns events into alerts, and alerts into messages that arrive.
//
// An event is something that happened. A condition is that something is so with
// one device (or credential, receiver, the store): an event opens, updates or
// closes it. An alert is one fault as people see it: conditions with one subject,
// which is a device, a cause, a site, or the fingerprint of a diff. It opens at
// once and is resolved once; what may wait is the notification. Notifications
// wait in the outbox until their receiver has taken them.
//
//	events → [changesOf] → conditions → [pass] → alerts → [notify] → outbox → receivers
//
// The first three arrows are pure functions. alert knows no SQL: see [Store].
// wneessen/go-mail is imported here and nowhere else.
package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/inventory"
)

// Kind is what an alert is about. Routes hang on it.
type Kind string

// The kinds of alerts.
const (
	Unreachable       Kind = "unreachable"
	LoginRejected     Kind = "login-rejected"
	CredentialStopped Kind = "credential-stopped"
	HostKeyChanged    Kind = "host-key-changed"
	BackupFailed      Kind = "backup-failed"
	Quarantined       Kind = "quarantined"
	BackupOverdue     Kind = "backup-overdue"
	Changed           Kind = "changed"
	Unsaved           Kind = "unsaved"
	Pending           Kind = "pending"
	OffBaseline       Kind = "off-baseline"
	DeviceReplaced    Kind = "device-replaced"
	NewDevice         Kind = "new-device"
	IdentityClash     Kind = "identity-clash"
	CollectorIsolated Kind = "collector-isolated"
	ReceiverDown      Kind = "receiver-down"
	StoreProblem      Kind = "store-problem"
)

// Kinds lists all of them: what `kinds:` of a route may name.
func Kinds() []Kind {
	return []Kind{
		Unreachable, LoginRejected, CredentialStopped, HostKeyChanged, BackupFailed, Quarantined, BackupOverdue,
		Changed, Unsaved, Pending, OffBaseline, DeviceReplaced, NewDevice, IdentityClash, CollectorIsolated,
		ReceiverDown, StoreProblem,
	}
}

// State is whether an alert still holds.
type State string

// The states.
const (
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Alert is one fault. Its JSON is a stable call.
type Alert struct {
	ID         int64     `json:"id"`
	Kind       Kind      `json:"kind"`
	Subject    string    `json:"subject"`
	Devices    []string  `json:"devices"` // names; of a resolved alert all that had part in it
	State      State     `json:"state"`
	OpenedAt   time.Time `json:"opened_at"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	Message    string    `json:"message"` // which devices, what, since when, seen, what to do
	AckedBy    string    `json:"acked_by,omitempty"`
	AckedAt    time.Time `json:"acked_at,omitzero"`
	AckNote    string    `json:"ack_note,omitempty"`
	// Of one that nobody has been told of yet, since it is being worked on: for which
	// maintenance it waits, and until when. Only [Alerts.List] fills them.
	WaitsFor   string    `json:"waits_for,omitempty"`
	WaitsUntil time.Time `json:"waits_until,omitzero"`

	Detail `json:"-"`
}

// Detail is what the package remembers of an alert beyond what it shows. The
// store keeps it as JSON.
type Detail struct {
	Members    []Member  `json:"members"`               // the conditions in force
	Past       []string  `json:"past,omitempty"`        // devices that had part in it and have no more
	Since      time.Time `json:"since"`                 // when the first of its conditions began
	Group      bool      `json:"group,omitempty"`       // a cause or site: takes in others, and stays one until all are over
	NotifyAt   time.Time `json:"notify_at,omitzero"`    // when the next notification is due; zero: none
	NotifiedAt time.Time `json:"notified_at,omitzero"`  // when the first went out; zero: nobody was told
	LastToldAt time.Time `json:"last_told_at,omitzero"` // when the last went out that told of a fault; zero in what an older muster stored
	Told       int       `json:"told,omitempty"`        // how many devices were told or acknowledged last; fewer, where some have left since
	FewerAt    time.Time `json:"fewer_at,omitzero"`     // when Told became fewer
	Rechecked  bool      `json:"rechecked,omitempty"`   // the grace is over and the texts were read again
	Merged     bool      `json:"merged,omitempty"`      // resolved only because another alert tells of the same
	HeldFrom   time.Time `json:"held_from,omitzero"`    // when it first waited for the end of a maintenance window
	HeldUntil  time.Time `json:"held_until,omitzero"`   // the end of the window for which it waits, or waited last
	HeldBy     string    `json:"held_by,omitempty"`     // the name of that window
}

// Member is one condition in force.
type Member struct {
	DeviceID int64     `json:"device_id,omitempty"` // 0: about no device
	Device   string    `json:"device,omitempty"`
	Subject  string    `json:"subject,omitempty"` // diff group, credential, identifier, receiver, where the kind has one
	Cause    string    `json:"cause,omitempty"`   // for grouping: "platform step kind", the credential, or ownLink
	Site     string    `json:"site,omitempty"`
	Since    time.Time `json:"since"`
	Seen     string    `json:"seen,omitempty"`     // the event's own sentence
	Step     string    `json:"step,omitempty"`     // of a failed backup
	Fails    int       `json:"fails,omitempty"`    // nights in a row, for backup-failed
	FailedAt time.Time `json:"failed_at,omitzero"` // when Fails was counted last
}

// key tells conditions of one kind apart. Most are about a device; those about a
// credential or an identifier name several devices each.
func (m Member) key(k Kind) string {
	device := m.Device
	if m.DeviceID != 0 {
		device = "#" + itoa(m.DeviceID)
	}
	if several(k) {
		return m.Subject + "\x00" + device
	}
	return device
}

// several reports whether one device may have several conditions of a kind, and
// one subject several devices.
func several(k Kind) bool {
	return k == CredentialStopped || k == IdentityClash || k == ReceiverDown || k == StoreProblem
}

// names lists the devices of members, each once, by name.
func names(ms []Member) []string {
	all := []string{}
	for _, m := range ms {
		if m.Device != "" {
			all = append(all, m.Device)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Delivery is one notification on its way to one receiver.
type Delivery struct {
	ID       string // the same on every attempt; goes out with it
	Receiver string
	Event    string // MessageFiring, …
	AlertID  int64  // 0: a digest
	Body     json.RawMessage
	At       time.Time
	Attempts int
	NextAt   time.Time // not before
	Error    string    // of the last attempt
	DoneAt   time.Time // delivered, or given up (then Error says so); zero: it waits
}

// Filter selects alerts.
type Filter struct {
	State  State  // empty: all
	Device string // name; empty: all
	Kind   Kind   // empty: all
	Limit  int    // 0: 500
}

// ErrNoAlert says that there is no alert with an id.
var ErrNoAlert = errors.New("there is no such alert. See: muster alert list")

// Unstorable says that an alert of a batch breaks a rule of the store: another
// attempt will not help.
type Unstorable struct {
	Alert *Alert
	Cause error
}

func (e *Unstorable) Error() string {
	return fmt.Sprintf("store alert %s of %s: %v", e.Alert.Kind, e.Alert.Subject, e.Cause)
}

func (e *Unstorable) Unwrap() error { return e.Cause }

// CursorName is the reader under which the store keeps how far events are worked on.
const CursorName = "alert"

// Batch is what one step of the work changes, in one transaction.
type Batch struct {
	From, To   int64    // the cursor before and after; To 0: it is not moved
	Alerts     []*Alert // new where ID is 0, which is then set
	Deliveries []Delivery
	Marks      map[string]time.Time // see Store.AlertMark
}

// Store keeps alerts, the outbox and the cursor.
type Store interface {
	Events(ctx context.Context, after int64, limit int) ([]inventory.Event, error)
	// WaitEvents returns when there is an event after the given one.
	WaitEvents(ctx context.Context, after int64) error
	Cursor(ctx context.Context, name string) (int64, error)

	// Alerts lists what a filter selects, newest first.
	Alerts(ctx context.Context, f Filter) ([]Alert, error)
	// AlertOf returns one alert, or ErrNoAlert.
	AlertOf(ctx context.Context, id int64) (Alert, error)
	// LiveAlerts lists all that fire and all with a notification that is due, by id.
	LiveAlerts(ctx context.Context) ([]*Alert, error)
	// OpenedSince counts the alerts of a kind and subject that were opened since a time.
	OpenedSince(ctx context.Context, k Kind, subject string, since time.Time) (int, error)
	// CommitAlerts stores a batch. Where the cursor is not at From it stores
	// nothing and returns an error: somebody else has worked on the events. Two
	// alerts that fire have not the same kind, subject and Group: a batch that
	// would make it so is not stored either, and the error is an [Unstorable].
	CommitAlerts(ctx context.Context, b Batch) error
	// AlertMark returns a time that was kept in Batch.Marks; zero: never.
	AlertMark(ctx context.Context, name string) (time.Time, error)

	// Outbox lists the deliveries that wait, of each receiver up to limit of the
	// oldest, in the order in which they were stored.
	Outbox(ctx context.Context, limit int) ([]Delivery, error)
	// SaveDelivery stores how an attempt went.
	SaveDelivery(ctx context.Context, d Delivery) error
}
