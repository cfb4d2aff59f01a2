package inventory

import (
	"context"
	"errors"
	"net/netip"

	"muster/collector"
)

// Outcome is how a discovery of one address ended.
type Outcome string

// The outcomes.
const (
	OutcomeNew      Outcome = "new"
	OutcomeKnown    Outcome = "known"
	OutcomeMerged   Outcome = "merged" // another address of a device that is known
	OutcomeSilent   Outcome = "silent"
	OutcomeFailed   Outcome = "failed"
	OutcomeExcluded Outcome = "excluded"
)

// Result is what discovery found at one address. Its JSON is a stable call.
type Result struct {
	Address  netip.Addr     `json:"address"`
	Outcome  Outcome        `json:"outcome"`
	Device   string         `json:"device,omitempty"`
	Platform string         `json:"platform,omitempty"`
	Step     collector.Step `json:"step,omitempty"`
	Kind     collector.Kind `json:"kind,omitempty"`
	Message  string         `json:"message,omitempty"`
}

// Discovery finds devices. Its methods are called by the discovery job.
type Discovery struct{}

// Candidate is an address that answered, or a device that a person added.
type Candidate struct {
	Scope      string
	Addr       netip.Addr
	Credential string // SNMP credential that was answered; empty: no SNMP
	DeviceID   int64  // a known device that is read again; 0: not known
}

// Sweep asks all addresses of the scopes (names; none: all) and the known
// devices of them with the credential that works for each. found is called for
// each answer as it comes. The message of the summary tells, when nothing
// answered, that agents often ignore askers outside their access list, and from
// which address was asked.
func (d *Discovery) Sweep(ctx context.Context, scopes []string, progress func(sent, total, answered int), found func(Candidate)) (SweepSummary, error) {
	return SweepSummary{}, errors.New("not built yet")
}

// SweepSummary tells how a sweep went as a whole.
type SweepSummary struct {
	Asked, Answered, Excluded int
	From                      []netip.Addr
	Message                   string // for people; empty when all is well
}

// Examine reads one candidate (facts, tables), finds its platform (by SNMP, else
// by proof over SSH where passwords may go), and merges it. dry: nothing is
// stored and no SSH session is opened; the result says what would be.
func (d *Discovery) Examine(ctx context.Context, run *Run, c Candidate, dry bool) Result {
	return Result{}
}
