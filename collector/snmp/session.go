package snmp

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// Reading is what one session with an agent brought back. Faults names what is
// wrong or missing, table by table; what is right stands beside it.
type Reading struct {
	Credential     string // name of the credential that the agent answers to
	PrivProtocol   string // SNMPv3: the privacy protocol that worked, see Session.PrivProtocol
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
type Session struct {
	target  collector.Target
	limits  collector.Limits
	version gosnmp.SnmpVersion
	lib     *gosnmp.GoSNMP
	wire    *wire
	opened  context.Context // Open's: the session ends with it
	closed  bool
	started time.Time

	engine  engine // v3
	priv    string // v3: privacy protocol in use, a key of privProtocols
	changes int    // v3: how often the engine has begun anew under us

	system System

	// How the agent likes to be asked.
	ceiling    int  // most repetitions of a GETBULK
	streak     int  // pages without trouble since the ceiling was lowered
	noBulk     bool // GETBULK is never answered
	bulkWorked bool
	dead       *trouble // not nil: it stopped answering, nothing more is asked

	columns map[string]*column // by OID, leading dot; whole or with a fault
	scalars map[string]value   // by OID, leading dot; absent ones too
	faults  []*collector.Error // at most one a table
	misfits []misfit           // values of the wrong type, by table
}

// options are what a sweep changes in a session of its own.
type options struct {
	pace   func() error // waits for leave to send; nil: none is needed
	engine engine       // valid: what discovery told already
}

// Open finds out that the agent answers t.Credential (engine discovery for v3)
// and reads the system group. The error is a *collector.Error, or the context's
// own where that ended.
func Open(ctx context.Context, t collector.Target) (*Session, error) {
	return open(ctx, t, options{})
}

func open(ctx context.Context, t collector.Target, o options) (*Session, error) {
	s, err := dial(ctx, t, o)
	if err != nil {
		return nil, err
	}
	if err := s.logIn(ctx, systemOIDs); err != nil {
		_ = s.Close() // the reason why it is closed is told
		return nil, err
	}
	s.system = s.readSystem()
	return s, nil
}

// Ping sends one GET of sysUpTime and engine boots with a credential that is
// known to work. A nil error means that the agent answered.
func Ping(ctx context.Context, t collector.Target) (System, error) {
	s, err := dial(ctx, t, options{})
	if err != nil {
		return System{}, err
	}
	defer s.Close()
	if err := s.logIn(ctx, pingOIDs); err != nil {
		return System{}, err
	}
	return s.readSystem(), nil
}

// dial opens the socket; nothing is sent yet.
func dial(ctx context.Context, t collector.Target, o options) (*Session, error) {
	s := &Session{
		target:  t,
		limits:  t.Limits.WithDefaults(),
		opened:  ctx,
		started: time.Now(),
		ceiling: mostRepetitions,
		columns: map[string]*column{},
		scalars: map[string]value{},
	}
	if s.limits.SNMPRetries < 0 {
		s.limits.SNMPRetries = 0
	}
	c := t.Credential
	if err := checkCredential(c); err != nil {
		return nil, s.errorAt(collector.StepSend, &trouble{why: unusable, err: err})
	}
	if !t.Addr.IsValid() {
		return nil, s.errorAt(collector.StepSend, &trouble{why: noRoute, err: errors.New("no address")})
	}
	switch c.Kind {
	case collector.KindSNMPv1:
		s.version = gosnmp.Version1
	case collector.KindSNMPv2c:
		s.version = gosnmp.Version2c
	default:
		s.version = gosnmp.Version3
	}
	s.lib = &gosnmp.GoSNMP{
		Target:    t.Addr.Addr().Unmap().String(),
		Port:      t.Addr.Port(),
		Transport: "udp",
		Version:   s.version,
		Community: c.Community.Reveal(),
		Timeout:   s.limits.SNMPTimeout,
		Retries:   0, // we repeat ourselves: smaller, or one by one
		MaxOids:   gosnmp.MaxOids,
		Context:   ctx,
	}
	if s.version == gosnmp.Version3 {
		s.lib.Version = gosnmp.Version2c // until the engine is known; see arm
	}
	if t.Source.IsValid() {
		s.lib.LocalAddr = netip.AddrPortFrom(t.Source.Unmap(), 0).String()
	}
	if err := s.lib.Connect(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, s.errorAt(collector.StepSend, troubleOf(err))
	}
	s.wire = &wire{Conn: s.lib.Conn, pace: o.pace, timeout: s.limits.SNMPTimeout, version: int(s.version), maxBytes: s.limits.MaxBytes}
	s.lib.Conn = s.wire
	if o.engine.valid() {
		s.engine, s.wire.engineID = o.engine, o.engine.id
	}
	return s, nil
}

// System is the system group that Open has read.
func (s *Session) System() System { return s.system }

// PrivProtocol is the privacy protocol that the agent understood. It differs
// from the credential's where that left the key extension open: "aes256c" for
// "aes256". A caller that puts it into the credential of the next session saves
// the attempt. Empty: no privacy.
func (s *Session) PrivProtocol() string { return s.priv }

// Close frees the socket. It is idempotent.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.lib.Close()
}

// asking limits ctx by Open's context and by what is left of the session's own
// time. When it ends, so does what is waited for, and never before: whoever finds
// a wait ended can see in ctx why. done must be called when the asking is over.
func (s *Session) asking(ctx context.Context) (limited context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.opened, func() { cancel(context.Cause(s.opened)) })
	ctx, release := context.WithDeadlineCause(ctx, s.started.Add(s.limits.Session), collector.ErrTimedOut)
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.wire.interrupt()
		close(interrupted)
	})
	s.lib.Context = ctx
	return ctx, func() {
		if !stop() {
			<-interrupted
			s.wire.resume()
		}
		unhook()
		release()
		cancel(nil)
	}
}

// stoppedBy is why somebody above ended the asking, or nil. That the session's
// time is over is the device's doing.
func stoppedBy(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, collector.ErrTimedOut) {
		return cause
	}
	return nil
}

// fail makes the error that the caller gets: the context's own where somebody
// above has stopped us, which is not the device's fault.
func (s *Session) fail(ctx context.Context, step collector.Step, t *trouble) error {
	if cause := stoppedBy(ctx); cause != nil {
		return cause
	}
	return s.errorAt(step, t)
}

// logIn gets oids with the credential: what an agent that accepts it answers.
func (s *Session) logIn(ctx context.Context, oids []string) error {
	ctx, done := s.asking(ctx)
	defer done()
	if s.version != gosnmp.Version3 {
		return s.firstGet(ctx, oids)
	}
	if !s.engine.valid() {
		if t := s.discover(ctx); t != nil {
			return s.fail(ctx, collector.StepEngine, t)
		}
	}
	return s.logInV3(ctx, oids)
}

// logInV3 makes keys for the engine and gets oids as the user.
func (s *Session) logInV3(ctx context.Context, oids []string) error {
	forms := variants(s.target.Credential)
	if len(forms) > 1 {
		if err := s.choosePriv(ctx, forms, oids); err != nil {
			return err
		}
		return s.firstGet(ctx, oids)
	}
	s.priv = forms[0]
	if t := s.arm(); t != nil {
		return s.fail(ctx, collector.StepEngine, t)
	}
	return s.firstGet(ctx, oids)
}

// choosePriv finds out which of the forms of the privacy key the agent means. A
// wrong key gets a Report from some agents and silence from others, so silence
// goes on to the next form too, and is final only when all have had their
// attempts.
func (s *Session) choosePriv(ctx context.Context, forms, oids []string) error {
	var last *trouble
	for try := 0; try <= s.limits.SNMPRetries && len(forms) > 0; try++ {
		var left []string // forms that were not rejected
		for _, s.priv = range forms {
			if t := s.arm(); t != nil {
				return s.fail(ctx, collector.StepEngine, t)
			}
			vars, t := s.ask(ctx, query{pdu: gosnmp.GetRequest, oids: oids})
			if t == nil && answers(vars, oids) {
				s.keep(vars)
			}
			if t == nil || t.why == status {
				return nil
			}
			last = t
			switch {
			case ctx.Err() != nil, t.why == refused, t.why == noRoute, t.why == tooMuch,
				t.why == rejected && t.report != reportDecryption:
				return s.fail(ctx, collector.StepSystem, t)
			case t.why != rejected:
				left = append(left, s.priv)
			}
		}
		forms = left
	}
	return s.fail(ctx, collector.StepSystem, last)
}

// firstGet gets oids into s.scalars. An agent that answers has accepted the
// credential, even where it shows nothing.
func (s *Session) firstGet(ctx context.Context, oids []string) error {
	var answered bool
	var unread *trouble
	t := s.getAll(ctx, oids, func(_ string, t *trouble) {
		answered = answered || t.why == status
		unread = t
		s.blame(s.errorAt(collector.StepSystem, t))
	})
	if !answered && len(s.scalars) == 0 {
		return s.fail(ctx, collector.StepSystem, cmp.Or(t, unread))
	}
	if t != nil {
		s.dead = t
	}
	return nil
}
