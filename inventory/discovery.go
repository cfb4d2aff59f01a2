package inventory

import (
	"context"
	"net/netip"

	"muster/collector"
	"muster/collector/snmp"
	"muster/inventory/platform"
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
	OutcomeSkipped  Outcome = "skipped" // its scope is in its blackout
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

	DeviceID int64 `json:"-"` // 0: none, or a dry run
	// Why is what Step, Kind and Message tell of, where a step failed; nil: none did.
	Why *collector.Error `json:"-"`
	// Proof is what was done over SSH to find out what the device runs.
	Proof []collector.StepTime `json:"-"`
}

// Discovery finds devices. Its methods are called by the discovery job and are
// safe for concurrent use.
type Discovery struct {
	o      Options
	access *Access

	// What it does to the network; the fields are for tests.
	sweep func(ctx context.Context, targets []snmp.SweepTarget, o snmp.SweepOptions, found func(snmp.Answer)) (snmp.SweepResult, error)
	ask   func(ctx context.Context, t collector.Target) (agent, error)
	known func() recogniser
}

// NewDiscovery builds the finder of devices; a is the door by which it proves
// platforms over SSH.
func NewDiscovery(o Options, a *Access) *Discovery {
	o = o.withDefaults()
	return &Discovery{
		o: o, access: a, sweep: snmp.Sweep,
		ask: func(ctx context.Context, t collector.Target) (agent, error) {
			s, err := snmp.Open(ctx, t)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		known: func() recogniser { return o.Platforms() },
	}
}

// agent is one SNMP session; *snmp.Session is one.
type agent interface {
	platform.Asker
	System() snmp.System
	Read(ctx context.Context) (snmp.Reading, error)
	PrivProtocol() string
	Close() error
}

// recogniser knows platforms; *platform.Set is one.
type recogniser interface {
	Asks() []string
	Identify(sys snmp.System, values map[string]string) platform.Match
	Prove(ctx context.Context, t platform.Talker) (platform.Match, error)
	ByName(name string) (*platform.Definition, bool)
}

// Candidate is an address that answered, or a device that is known.
type Candidate struct {
	Scope      string
	Addr       netip.Addr
	Credential string // SNMP credential that was answered; empty: no SNMP
	DeviceID   int64  // a known device that is read again; 0: not known
	Silent     bool   // the known device did not answer the sweep
	Excluded   bool   // the known device's address is not in any scope's addresses any more
}

// SweepSummary tells how a sweep went as a whole.
type SweepSummary struct {
	Asked, Answered, Excluded int
	From                      []netip.Addr
	Message                   string // for people; empty when all is well
}
