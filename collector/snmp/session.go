package snmp

import (
	"context"
	"errors"
	"net/netip"

	"muster/collector"
)

// Reading is what one session with an agent brought back. Faults names what is
// wrong or missing, table by table; what is right stands beside it.
type Reading struct {
	Credential     string // name of the credential that the agent answers to
	System         System
	LocalChassisID string // LLDP-MIB::lldpLocChassisId; empty: none
	BaseMAC        string // BRIDGE-MIB::dot1dBaseBridgeAddress; empty: none
	Interfaces     []Interface
	Addresses      []Address
	Components     []Component
	Neighbors      []Neighbor
	VLANs          []VLAN
	Faults         []*collector.Error // Step is the table's name
}

// Session asks one agent. It is used from one goroutine, keeps the columns that
// it has read, and ends with its context.
type Session struct{}

// Open finds out that the agent answers t.Credential (engine discovery for v3)
// and reads the system group. The error is a *collector.Error.
func Open(ctx context.Context, t collector.Target) (*Session, error) {
	return nil, errors.New("not built yet")
}

// System is the system group that Open has read.
func (s *Session) System() System { return System{} }

// Get reads scalars or cells; the answer maps each OID (dotted, no leading dot)
// that exists to its value as text. Numbers are decimal; octet strings that are
// no text are given as lower-case hex with colons.
func (s *Session) Get(ctx context.Context, oids ...string) (map[string]string, error) {
	return nil, errors.New("not built yet")
}

// Column walks one column of a table; the answer maps the index (the OID behind
// the column, dotted) to the value as text.
func (s *Session) Column(ctx context.Context, oid string) (map[string]string, error) {
	return nil, errors.New("not built yet")
}

// Read reads all standard tables. It fails only when nothing could be read;
// partial trouble is in Reading.Faults.
func (s *Session) Read(ctx context.Context) (Reading, error) {
	return Reading{}, errors.New("not built yet")
}

// Close frees the socket. It is idempotent.
func (s *Session) Close() error { return nil }

// Ping sends one GET of sysUpTime and engine boots with a credential that is
// known to work. A nil error means that the agent answered.
func Ping(ctx context.Context, t collector.Target) (System, error) {
	return System{}, errors.New("not built yet")
}

// SweepTarget is one address to ask, with the credentials to try in order.
type SweepTarget struct {
	Addr        netip.AddrPort
	Credentials []collector.Credential
}

// Answer is what a sweep got from one address.
type Answer struct {
	Addr       netip.AddrPort
	Credential string // name of the credential that was answered
	System     System // Descr, ObjectID, Name (v1/v2c); EngineID (v3)
}

// SweepOptions tunes a sweep. The zero value is polite to a production network.
type SweepOptions struct {
	Source   netip.Addr                      // own address to ask from; invalid: the kernel's choice
	Rate     int                             // packets/s over the whole sweep; 0 means 100. Higher finds sooner and fills ARP tables faster
	Tries    int                             // attempts per address and credential, the first included; 0 means 2
	Progress func(sent, total, answered int) // called about four times a second; nil: nobody listens
}

// SweepResult tells how a sweep went as a whole.
type SweepResult struct {
	Asked    int // addresses
	Answered int
	From     netip.Addr // own address that was asked from, as far as the kernel tells
}

// Sweep asks every target over one socket, credentials in order, and calls found
// for each address that answers, once, from one goroutine.
func Sweep(ctx context.Context, targets []SweepTarget, o SweepOptions, found func(Answer)) (SweepResult, error) {
	return SweepResult{}, errors.New("not built yet")
}
