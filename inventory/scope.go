package inventory

import (
	"context"
	"net/netip"
	"time"

	"muster/collector"
)

// PasswordsTo says to which devices of a scope passwords may be sent.
type PasswordsTo string

const (
	// ToIdentified is the default: SNMP matched a platform that has parts, or a
	// person added the device, pinned its key or bound a credential to its address.
	ToIdentified PasswordsTo = "identified"
	// ToAuthenticated needs SNMPv3 or a pinned host key.
	ToAuthenticated PasswordsTo = "authenticated"
	// ToAny sends them to whatever answers in the scope.
	ToAny PasswordsTo = "any"
)

// Scope is a named set of addresses with what holds there. The app fills it from
// the settings.
type Scope struct {
	Name     string
	Contains func(netip.Addr) bool
	// Addresses lists all of them, exclusions left out, host names resolved.
	Addresses   func(ctx context.Context) ([]netip.Addr, error)
	Credentials []string // names, in the order in which they are tried
	Site        string
	PasswordsTo PasswordsTo
	Declared    bool          // platforms that are only declared may be opened
	Approval    string        // manual, after, at-once
	ApprovalAge time.Duration // of "after"
	Source      netip.Addr
	SNMPPort    uint16 // 0: 161
	SNMPRate    int    // packets/s; 0: 100
	SSHPort     uint16 // 0: 22
	TelnetPort  uint16 // devices are read by Telnet on it, and not by SSH; 0: by SSH
	Algorithms  collector.Algorithms
	HostKeys    collector.HostKeyPolicy
	Concurrency int // sessions at a time; 0: 20
	Limits      collector.Limits
	Jump        JumpHost
}

// Network is the part of the settings that says where things are and who we are
// there. It is replaced as a whole at a reload.
type Network struct {
	Scopes []Scope
	// ScopeOf finds the scope of an address (longest prefix).
	ScopeOf func(netip.Addr) (Scope, bool)
	// Credential resolves one by name, reading its secrets anew. An error names it.
	Credential func(ctx context.Context, name string) (collector.Credential, error)
	// Names lists all credentials, in the order of the settings.
	Names []string
	// DownAfter is how long nothing must answer before a device is down; TCPEvery
	// is the least time between two knocks on the CLI port.
	DownAfter, TCPEvery time.Duration
}
