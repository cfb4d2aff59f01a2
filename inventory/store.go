package inventory

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"muster/collector"
	"muster/collector/snmp"
	"muster/inventory/platform"
)

// ErrNoDevice says that there is no such device in the inventory.
var ErrNoDevice = errors.New("no such device")

// Store keeps devices. Package store has the real one; it may be called from any
// goroutine.
type Store interface {
	// View runs f on one consistent state and waits for no writer.
	View(ctx context.Context, f func(Reader) error) error
	// Devices lists all devices as they were acknowledged, by name, without a look
	// at the database for those that did not change.
	Devices(ctx context.Context) ([]Device, error)
	// Update runs f once, in one transaction: all of it is on disk when Update
	// returns nil, nothing of it otherwise. f must not wait for anything.
	Update(ctx context.Context, f func(Tx) error) error
}

// Reader answers questions about one state of the inventory. Devices that were
// merged into others are never seen; retired ones are.
type Reader interface {
	Devices() ([]Device, error)              // by name
	Device(id int64) (Device, error)         // ErrNoDevice
	Facts(id int64) (Facts, error)           // what holds now
	Keys(id int64) ([]Key, error)            // host keys, oldest first
	Answered() (map[netip.Addr]int64, error) // whose an address is
	Links() (map[int64][]Link, error)        // what LLDP told, of all devices
	Chassis() (map[string]int64, error)      // who has a MAC address as LLDP chassis id or base MAC
	Reach() (map[int64]Reach, error)         // what reachability remembers
	Intervals(id int64, since time.Time) ([]Interval, error)
	Attempts(id int64, since time.Time) ([]Attempt, error) // logins at the device, oldest first
	Credential(name string) (CredentialState, error)       // zero: never used

	// Known returns the devices that hold any of the identifiers, that answered at
	// addr, or whose id it is (0: none), with their evidence.
	Known(ids []Identifier, addr netip.Addr, id int64) ([]Known, error)
	// NameTaken reports whether a device other than id has the name, upper and
	// lower case being the same.
	NameTaken(name string, id int64) (bool, error)
}

// Tx is a Reader that also writes.
type Tx interface {
	Reader
	PutDevice(d *Device) error // new where ID is 0, which it then sets
	DeleteDevice(id int64) error
	Observe(id int64, o Observation) error
	// TakeAddress ends that a device answers at addr.
	TakeAddress(id int64, addr netip.Addr, at time.Time) error
	// EndIdentifiers ends the device's identifiers of a kind.
	EndIdentifiers(id int64, kind IdentifierKind, at time.Time) error
	// Join makes from a part of into: its addresses, identifiers and keys move,
	// its history stays readable, and it is seen no more.
	Join(from, into int64, at time.Time) error

	PutKey(id int64, k Key) error // new, or the same key with another state
	PutAttempt(a Attempt) error
	// Forgive makes the rejections of a credential (empty: of all) at a device
	// (0: at all) no reason any more not to try again.
	Forgive(id int64, credential string) error
	// Recount makes the rejections of a credential count for nothing any more.
	Recount(credential string) error
	PutCredential(c CredentialState) error
	PutState(id int64, i Interval) error // ends the interval before
	PutReach(id int64, r Reach) error
	Emit(e Event) error
	Audit(at time.Time, who, action, subject, detail string) error
}

// Known is a device with the evidence by which sightings are held against it.
type Known struct {
	Device      Device
	Identifiers []Identifier // in force
	Answered    []netip.Addr // where it answered, oldest first
	Engine      EngineMark
}

// EngineMark is what an SNMP engine said of its clock, and when: two sightings
// with one engine ID are one engine only where their clocks agree.
type EngineMark struct {
	Boots  int64     // snmpEngineBoots; 0: not told
	Time   int64     // snmpEngineTime, s since the last boot
	ReadAt time.Time // zero: never read
}

// Via is by which protocol a device told its facts.
type Via string

// The protocols.
const (
	ViaSNMP Via = "snmp"
	ViaSSH  Via = "ssh"
)

// Observation is what one reading brought, for the device that it was decided to
// be. Tables that are nil were not read and stay as they are; empty ones were
// read and have no rows.
type Observation struct {
	At          time.Time
	Via         Via
	Addr        netip.Addr // where it answered; invalid: nowhere new
	Identifiers []Identifier
	Whole       bool // nothing is missing: serials and facts of Via that are not listed have ended
	Engine      EngineMark
	Facts       []platform.Fact
	Interfaces  []snmp.Interface
	Addresses   []snmp.Address
	VLANs       []snmp.VLAN
	Components  []snmp.Component
	Neighbors   []snmp.Neighbor
	Partial     map[string]bool // tables read in part ("interfaces", …): kept only where there is nothing better
}

// KeyState is what became of a host key.
type KeyState string

// The states of a key.
const (
	KeyPinned  KeyState = "pinned"
	KeyPending KeyState = "pending" // shown, not accepted: waits for a person
	KeyDropped KeyState = "dropped" // was pinned, and the device was replaced; or was shown, and an accepted one again
)

// Key is a host key that a device has shown, or that a person expects of it.
type Key struct {
	collector.HostKey
	State    KeyState
	ByPerson bool // a person accepted it; else it was the first one shown
	At       time.Time
}

// Attempt is one login at one device.
type Attempt struct {
	DeviceID   int64
	Credential string
	Method     string // that worked, or "enable" where that was rejected and the login was not; empty: not told
	Digest     string // keyed digest of the secrets used; a changed secret has another one
	Accepted   bool
	Rejected   int  // passwords that the device refused in it, rounds of keyboard-interactive and enable counted
	Forgiven   bool // counts for the 24 hours only: it is no reason not to try again
	At         time.Time
}

// CredentialState is what the logins of all devices say of one credential.
type CredentialState struct {
	Name       string
	Digest     string    // of the secrets that Stopped is about
	StoppedAt  time.Time // zero: not stopped
	Reason     string
	RejectedBy []int64 // devices at which it was rejected when it was stopped
}

// Interval is a time in one state.
type Interval struct {
	State   State
	Since   time.Time
	Until   time.Time // zero: it lasts
	Behind  string
	Message string
}

// Link is one neighbor of a device as LLDP names it.
type Link struct {
	SysName   string
	ChassisID string
}

// Reach is what reachability remembers of a device.
type Reach struct {
	SNMPWorked, ICMPWorked, TCPWorked bool // it ever answered by that protocol: only those count

	KnockedAt     time.Time // last TCP connect to the CLI port; zero: never
	KnockAnswered bool      // it was answered, if only by a refusal
	LostSince     time.Time // first round in which nothing answered; zero: something does
	SNMPLostSince time.Time // first round in which SNMP did not; zero: it does, or never did
}
