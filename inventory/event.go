package inventory

import (
	"encoding/json"
	"time"
)

// EventKind names what happened. Alerts hang on it.
type EventKind string

// The kinds of events. The comment names the Data that goes with one.
const (
	EventDeviceNew         EventKind = "device-new"          // nil
	EventDeviceMerged      EventKind = "device-merged"       // {"into": NAME}
	EventDeviceReplaced    EventKind = "device-replaced"     // {"old_serial", "new_serial"}
	EventDeviceRemoved     EventKind = "device-removed"      // retired, deleted, disabled or not managed any more: its alerts end
	EventIdentityClash     EventKind = "identity-clash"      // {"identifier", "devices"}
	EventState             EventKind = "state"               // StateChange
	EventHostKeyChanged    EventKind = "host-key-changed"    // {"pinned": [fingerprint], "shown": fingerprint}
	EventHostKeyAccepted   EventKind = "host-key-accepted"   // {"fingerprint"}
	EventLoginRejected     EventKind = "login-rejected"      // {"credential"}
	EventLoginAccepted     EventKind = "login-accepted"      // {"credential"}
	EventCredentialStopped EventKind = "credential-stopped"  // Subject is the credential's name
	EventCredentialWorks   EventKind = "credential-released" // Subject is the credential's name
	EventBackup            EventKind = "backup"              // backup.Result
	EventDrift             EventKind = "drift"               // backup.Drift: opened, updated or closed
	EventStore             EventKind = "store-problem"       // {"message"}
	EventStoreGood         EventKind = "store-good"          // nil
)

// Event is something that happened, written in the same transaction as the facts
// that show it.
type Event struct {
	ID       int64           `json:"id"` // rises; 0: not stored yet
	At       time.Time       `json:"at"`
	Kind     EventKind       `json:"kind"`
	DeviceID int64           `json:"-"`                // 0: about no device
	Device   string          `json:"device,omitempty"` // its name at that time
	Subject  string          `json:"subject,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}
