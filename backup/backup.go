package backup

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"muster/collector"
	"muster/collector/cli"
	"muster/inventory"
	"muster/inventory/platform"
)

// Backups takes backups and answers for what is stored. Its methods may be
// called from any goroutine.
type Backups struct {
	store Store
	key   []byte // of the tokens in redacted texts
	o     Options
	rules func(name string) (rules, bool)

	mu      sync.Mutex            // guards the maps
	session map[int64]bool        // devices with a session of ours
	commit  map[int64]*sync.Mutex // per device: from reading its Ground to the commit
}

// Options are what Backups needs of others. Definitions is necessary.
type Options struct {
	// Definitions are the platforms in force; asked anew for every backup.
	Definitions func() *platform.Set
	// Approval is how new versions of a device are approved; nil: after 7 days.
	Approval func(dev inventory.Device) ApprovalPolicy
	// Devices lists all devices that are not retired. Necessary for all but Take
	// and the reading of one device.
	Devices func(ctx context.Context) ([]inventory.Device, error)
	// Facts is given what the texts of a good capture say of the device.
	Facts func(ctx context.Context, dev inventory.Device, facts []platform.Fact, at time.Time) error
	// Open opens a session; nil: run.Open.
	Open func(ctx context.Context, run *inventory.Run, dev inventory.Device, d cli.Dialogue, o cli.Options) (s Session, credential string, steps []collector.StepTime, err error)
	// StaleAfter is the age of the last good backup from which on a device is
	// stale; 0: 3 days.
	StaleAfter time.Duration
	Log        *slog.Logger     // nil: slog.Default
	Now        func() time.Time // nil: time.Now
}

// ApprovalPolicy is how a version that nobody has looked at becomes the approved
// one.
type ApprovalPolicy struct {
	Manual bool          // only a person approves
	After  time.Duration // otherwise: when nobody objected for so long; 0: at once
}

// DefaultApproval approves after seven days.
var DefaultApproval = ApprovalPolicy{After: 7 * 24 * time.Hour}

// ParseApproval reads a policy as inventory.Scope carries it. Empty is the default.
func ParseApproval(approval string, age time.Duration) ApprovalPolicy {
	switch approval {
	case "manual":
		return ApprovalPolicy{Manual: true}
	case "at-once":
		return ApprovalPolicy{}
	case "after":
		return ApprovalPolicy{After: age}
	}
	return DefaultApproval
}

// Session is what a backup needs of an open session; *inventory.Session is one.
type Session interface {
	reader
	Steps() []collector.StepTime
	Negotiated() cli.Negotiated
	Method() string
	Close() error
}

// reader is what the reading of parts needs of a session.
type reader interface {
	platform.Talker
	// Switch sends a command behind which the prompt may be another one.
	Switch(ctx context.Context, command string) error
}

// rules is what backup asks of a platform; *platform.Definition is the real one.
type rules interface {
	Dialogue() cli.Dialogue
	Judge(texts map[string][]byte, lastSize int) ([]platform.Proof, error)
	Normal(raw []byte) []byte
	Redact(text []byte, key []byte) []byte
	SavedForm(running, startup []byte) (r, s []byte, known bool)
	TextFacts(texts map[string][]byte) []platform.Fact
	Volatile(raw []byte) []platform.Fact
	Waiting(texts map[string][]byte) (says []string, known bool)
	WaitingParts() []string
	// Spec is the part of a definition that is data.
	Spec() *platform.Definition
}

type definition struct{ *platform.Definition }

func (d definition) Spec() *platform.Definition { return d.Definition }

// New makes Backups on a store. key is the redaction key of that store: tokens
// made with another one would show every secret as changed.
func New(store Store, key []byte, o Options) *Backups {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StaleAfter == 0 {
		o.StaleAfter = 3 * 24 * time.Hour
	}
	if o.Approval == nil {
		o.Approval = func(inventory.Device) ApprovalPolicy { return DefaultApproval }
	}
	if o.Open == nil {
		o.Open = func(ctx context.Context, run *inventory.Run, dev inventory.Device, d cli.Dialogue, co cli.Options) (Session, string, []collector.StepTime, error) {
			s, steps, err := run.Open(ctx, dev, d, co)
			if err != nil {
				return nil, "", steps, err
			}
			return s, s.Credential, steps, nil
		}
	}
	b := &Backups{
		store: store, key: key, o: o,
		session: map[int64]bool{}, commit: map[int64]*sync.Mutex{},
	}
	b.rules = func(name string) (rules, bool) {
		d, ok := o.Definitions().ByName(name)
		return definition{d}, ok
	}
	return b
}

// enter claims the one session that a device may have with us; false: there is one.
func (b *Backups) enter(device int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session[device] {
		return false
	}
	b.session[device] = true
	return true
}

func (b *Backups) leave(device int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.session, device)
}

// hold keeps all others from changing a device's versions until release is
// called, so that what is computed from its Ground still holds at the commit.
func (b *Backups) hold(device int64) (release func()) {
	b.mu.Lock()
	m := b.commit[device]
	if m == nil {
		m = new(sync.Mutex)
		b.commit[device] = m
	}
	b.mu.Unlock()
	m.Lock()
	return m.Unlock
}
