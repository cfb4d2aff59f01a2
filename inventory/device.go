// Package inventory knows what devices there are: what each one is, under which
// identity it is known, whether it can be reached, with which credential it was
// opened, and what changed between two looks at it.
//
// A device is one managed thing with one identity for life, however many
// addresses it answers on. Sightings (a sweep's answer with what the agent told)
// are merged into devices in one transaction with the events that tell of them.
//
// inventory opens sockets only through collector and knows no SQL: see [Store].
package inventory

import (
	"net/netip"
	"time"

	"muster/collector"
	"muster/collector/snmp"
	"muster/inventory/platform"
)

// State says whether a device can be reached.
type State string

// The states.
const (
	StateUnknown  State = "unknown" // never asked
	StateUp       State = "up"
	StateDegraded State = "degraded" // one of the protocols that ever worked does not answer
	StateDown     State = "down"     // nothing answered for the configured time
	StateBehind   State = "behind"   // not reached through another device, which is down
)

// StateChange is the Data of EventState.
type StateChange struct {
	From    State     `json:"from"`
	To      State     `json:"to"`
	Since   time.Time `json:"since"`            // when the new state began, e.g. the first lost answer
	Behind  string    `json:"behind,omitempty"` // name of the device in front, or ThisMachine
	Message string    `json:"message"`          // what was tried and seen
	Site    string    `json:"site,omitempty"`
}

// Device is one managed thing.
type Device struct {
	ID            int64
	Name          string // unique in the inventory; sysName, made unique by ~2, ~3, or given by a person
	NameGiven     bool   // a person chose it
	Address       netip.Addr
	AddressReason string // why this of all addresses: "configured", "answered first", …
	SSHPort       uint16 // 0: the scope's
	Scope         string // name; empty: outside every scope
	Site          string
	SiteGiven     bool // a person chose it; else the scope's
	Tags          []string

	Platform       string // definition's name; empty: not known
	PlatformReason string // "sysObjectID …", "show version says FRRouting"
	PlatformGiven  bool   // a person chose it
	Identified     bool   // SNMP by itself proved the platform (Net-SNMP on Linux does not)
	Vendor         string
	Model          string
	Version        string
	Serial         string // of the chassis that speaks; the others of a stack or HA pair are facts

	Managed       bool // backed up, checked, alerted about
	ManagedGiven  bool // a person said so, or the contrary
	AddedByPerson bool // `device add`: passwords may go there, never merged unasked
	Disabled      bool // by a person: not asked, not alerted about
	Retired       bool

	SNMPCredential string               // name of the one that works; the only one asked with
	SNMPDetail     string               // what collector/snmp wants remembered of it (key extension); opaque
	SSHCredential  string               // name of the one that worked last
	SSHMethod      string               // method that worked last
	Credential     string               // set by a person: the only one to try
	Algorithms     collector.Algorithms // set by a person for this device; empty: the scope's
	Timeout        time.Duration        // `device set --timeout`: first byte and silence, and login where it is longer; 0: the scope's

	State      State
	StateSince time.Time
	Behind     string
	FirstSeen  time.Time
	LastSeen   time.Time // last answer over any protocol

	// Missing says why a managed device cannot be opened yet (needs-decision,
	// needs-credential, platform-unknown), with the mend. Empty kind: nothing.
	Missing       collector.Kind
	MissingReason string

	// Question is what a person has to confirm (device replace), with the mend:
	// the serial changed while address and name stayed. Empty: nothing.
	Question string
	// CountFrom is when the count of rejected logins began anew by a person's
	// word; zero: never.
	CountFrom time.Time
}

// Facts is everything else that is known of a device, with the time it was read.
type Facts struct {
	ReadAt      time.Time
	Facts       []FactAt
	Interfaces  []snmp.Interface
	Addresses   []snmp.Address
	VLANs       []snmp.VLAN
	Components  []snmp.Component
	Neighbors   []snmp.Neighbor
	Identifiers []Identifier
	HostKeys    []collector.HostKey
}

// FactAt is a platform.Fact with the time it was read.
type FactAt struct {
	platform.Fact
	ReadAt time.Time `json:"read_at"`
}

// IdentifierKind is a kind of evidence that two sightings are one device.
type IdentifierKind string

// The kinds, strong ones first.
const (
	IDSerial   IdentifierKind = "serial"    // vendor/serial/context
	IDEngine   IdentifierKind = "engine-id" // SNMP-FRAMEWORK-MIB::snmpEngineID
	IDBaseMAC  IdentifierKind = "base-mac"
	IDChassis  IdentifierKind = "chassis-id" // LLDP-MIB::lldpLocChassisId
	IDHostKey  IdentifierKind = "host-key"   // fingerprint; alone only where the names agree
	IDSysName  IdentifierKind = "sys-name"   // sysName with sysObjectID; weak
	IDMgmtAddr IdentifierKind = "address"    // weak
)

// Identifier is one piece of evidence.
type Identifier struct {
	Kind  IdentifierKind `json:"kind"`
	Value string         `json:"value"`
}
