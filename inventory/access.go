package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/collector"
	"muster/collector/cli"
	"muster/inventory/platform"
)

// Access is the one door to a device's command line. It knows which credentials
// may be tried, in which order and how often, where passwords may go, and which
// host keys are pinned; nobody else opens a cli.Session.
//
//   - No device sees more than 2 rejected logins in 24 h, over all credentials,
//     keyboard-interactive rounds and enable counted.
//   - Every run begins with one login of each credential, alone, before the
//     others go out; a rejection where it worked before, or of that first login,
//     is held against a second device, and stops the credential for the run when
//     that rejects it too.
//   - At most 5 logins are in flight per credential, and one session is open per
//     device.
//
// It is safe for concurrent use.
type Access struct {
	o        Options
	open     opener
	openJump func(ctx context.Context, t collector.Target, o cli.Options) (opened, error)
	reach    func(ctx context.Context, t collector.Target) error
	sessions locks[int64] // one session a device
	flights  flights
	jumps    jumps
}

// opener opens a session; openCLI is the real one.
type opener func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error)

// opened is an open session with what is kept of it.
type opened struct {
	session *cli.Session
	jump    jumpConn // instead of a session, where it is a jump host's
	method  string
	steps   []collector.StepTime
}

func openCLI(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
	s, err := cli.Open(ctx, t, d, o)
	if err != nil {
		return opened{}, err
	}
	return opened{session: s, method: s.Method(), steps: s.Steps()}, nil
}

// NewAccess builds the door. There is one in a process, since it counts the
// sessions and logins of all runs.
func NewAccess(o Options) *Access {
	return &Access{o: o.withDefaults(), open: openCLI, openJump: openJump, reach: cli.Reach, sessions: locks[int64]{size: 1},
		jumps: jumps{idle: jumpIdle, opening: locks[int64]{size: 1}, places: locks[int64]{size: jumpPlaces}}}
}

// Run is the memory of one run: which credentials have proved themselves in it
// and which were stopped. Safe for concurrent use.
type Run struct {
	access  *Access
	secrets *credentials // read once a run
	look    bool         // somebody only looks: what is stopped stays so

	mu          sync.Mutex // guards what follows
	gates       map[string]*gate
	failedJumps map[int64]failedJump
}

// Begin starts the memory of a run.
func (a *Access) Begin() *Run {
	return &Run{access: a, secrets: newCredentials(), gates: map[string]*gate{}, failedJumps: map[int64]failedJump{}}
}

// BeginLook starts the memory of a run that only looks, for `doctor`: a credential
// that is stopped gets no login in it, so that looking again and again does not lock
// the account after all.
func (a *Access) BeginLook() *Run {
	r := a.Begin()
	r.look = true
	return r
}

// network is the settings in force, with the secrets that the run has read.
func (r *Run) network() Network { return r.access.o.Network().remember(r.secrets) }

// Session is an open session with what opening it taught.
type Session struct {
	*cli.Session
	Credential string // name of the one that worked

	jump jumpConn // instead of the session, where it is a jump host's
	free func()
}

// Close ends the session and lets the next one at the device begin. It is
// idempotent.
func (s *Session) Close() error {
	var err error
	if s.Session != nil {
		err = s.Session.Close()
	}
	if s.free != nil {
		s.free()
	}
	return err
}

// Open opens a session at dev with dialogue d, trying the credentials that the
// rules allow. What it learns (the credential and method that work, host keys,
// rejections) is stored before it returns, with the events that tell of it.
//
// The error is a *collector.Error, or that of a ctx that ended; kinds of its own
// are needs-decision (no password may go there), needs-credential (none fits, or
// the budget is used up), credential-stopped and platform-unknown. steps are
// what was done, also where it failed.
func (r *Run) Open(ctx context.Context, dev Device, d cli.Dialogue, o cli.Options) (s *Session, steps []collector.StepTime, err error) {
	free, err := r.access.sessions.take(ctx, dev.ID)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if s == nil {
			free()
		}
	}()
	l := &login{r: r, a: r.access, net: r.network(), d: d, o: o}
	if s, err = l.open(ctx, dev.ID); s != nil {
		way := l.way
		s.free = func() { way.leave(); free() }
	} else {
		l.way.leave()
	}
	return s, l.steps, err
}

// Allowed reports whether a session may be opened at dev at all, without opening
// one: nil, or the *collector.Error that Open would return at once. def is the
// platform that dev is to be talked to as; nil is platform-unknown.
func (a *Access) Allowed(ctx context.Context, dev Device, def *platform.Definition) error {
	if def == nil {
		return a.unknownPlatform(dev)
	}
	var st standing
	err := a.o.Store.View(ctx, func(tx Reader) (err error) {
		st, err = readStanding(tx, dev.ID, a.o.Now())
		return err
	})
	if err != nil {
		return err
	}
	_, err = a.may(ctx, a.o.Network(), st, def)
	return err
}

// Review finds out anew what stands in the way of each managed device, and keeps
// it there for the lists. Call it after the settings have changed.
func (a *Access) Review(ctx context.Context) error {
	var all []Device
	if err := a.o.Store.View(ctx, func(tx Reader) (err error) {
		all, err = tx.Devices()
		return err
	}); err != nil {
		return err
	}
	n := a.o.Network().remember(newCredentials())
	for _, d := range all {
		if err := a.review(ctx, n, d.ID); err != nil {
			return fmt.Errorf("review %s: %w", d.Name, err)
		}
	}
	return nil
}

// review keeps at one device which scope and site it belongs to, and what stands
// in the way of opening it.
func (a *Access) review(ctx context.Context, n Network, id int64) error {
	_, _, err := a.bar(ctx, n, id)
	return err
}

// bar reviews a device and returns it with what stands in the way of opening it;
// nil: nothing, or nothing that anybody needs to know.
func (a *Access) bar(ctx context.Context, n Network, id int64) (Device, *collector.Error, error) {
	var st standing
	if err := a.o.Store.View(ctx, func(tx Reader) (err error) {
		st, err = readStanding(tx, id, a.o.Now())
		return err
	}); err != nil {
		return Device{}, nil, err
	}
	return a.barOf(ctx, n, st)
}

// barOf is bar where it is known already how the device stands.
func (a *Access) barOf(ctx context.Context, n Network, st standing) (Device, *collector.Error, error) {
	dev := st.dev
	var why error
	def, known := a.o.Platforms().ByName(dev.Platform)
	switch {
	case dev.Retired, dev.Disabled:
	case dev.Managed && known:
		_, why = a.may(ctx, n, st, def)
	case dev.Managed:
		// Where nothing may be sent there, nobody can find out what it runs either.
		if dev.Platform == "" {
			_, why = a.may(ctx, n, st, nil)
		}
		if why == nil {
			why = a.unknownPlatform(dev)
		}
	case dev.Platform == "" && !dev.ManagedGiven:
		// It may be network gear, which only a session can tell: a person may say
		// yes to that. Whatever else is missing at it is nobody's concern.
		if _, err := a.may(ctx, n, st, nil); errors.Is(err, collector.ErrNeedsDecision) {
			why = err
		}
	}
	var e *collector.Error
	if why != nil && !errors.As(why, &e) {
		return dev, nil, why
	}
	sc := n.scope(dev)
	news := func(dev *Device) bool {
		placed := placeIn(dev, sc)
		return noteMissing(dev, e) || placed
	}
	if !news(&dev) { // as at most times: a write of nothing is not free
		return dev, e, nil
	}
	err := a.o.Store.Update(ctx, func(tx Tx) (err error) {
		if dev, err = tx.Device(dev.ID); err != nil || !news(&dev) {
			return err
		}
		return tx.PutDevice(&dev)
	})
	return dev, e, err
}

// placeIn puts a device that has an address into its scope and that scope's site;
// false: it is there already.
func placeIn(dev *Device, sc Scope) bool {
	site := dev.Site
	if !dev.SiteGiven {
		site = sc.Site
	}
	if !dev.Address.IsValid() || dev.Scope == sc.Name && dev.Site == site {
		return false
	}
	dev.Scope, dev.Site = sc.Name, site
	return true
}

// noteMissing writes into a device what stands in the way of opening it (nil:
// nothing); false: that is no news.
func noteMissing(dev *Device, e *collector.Error) bool {
	kind, reason := collector.Kind(""), ""
	if e != nil {
		switch e.Kind {
		case collector.ErrNeedsDecision, collector.ErrNeedsCredential, collector.ErrPlatformUnknown:
			kind, reason = e.Kind, e.Do
		default:
			return false // a fault of today, told by its task
		}
	}
	if dev.Missing == kind && dev.MissingReason == reason {
		return false
	}
	dev.Missing, dev.MissingReason = kind, reason
	return true
}

func (a *Access) unknownPlatform(dev Device) error {
	do := fmt.Sprintf("Tell what it runs: muster device set %s --platform NAME", dev.Name)
	if dev.Platform != "" {
		do = fmt.Sprintf("There is no definition of platform %s. Give it another: muster device set %s --platform NAME", dev.Platform, dev.Name)
	}
	return &collector.Error{Device: dev.Name, Step: collector.StepResolve, Kind: collector.ErrPlatformUnknown, Do: do}
}

// standing is what the store knows of logins at one device.
type standing struct {
	dev      Device
	keys     []Key
	attempts []Attempt
}

// attemptsBack is how far back logins are read. It is longer than any count.
const attemptsBack = 30 * 24 * time.Hour

func readStanding(tx Reader, id int64, now time.Time) (st standing, err error) {
	if st.dev, err = tx.Device(id); err != nil {
		return st, err
	}
	if st.keys, err = tx.Keys(id); err != nil {
		return st, err
	}
	if st.attempts, err = tx.Attempts(id, now.Add(-attemptsBack)); err != nil {
		return st, err
	}
	// Times that are yet to come are of a clock that was ahead. A new count would begin
	// only then; and of a login, when a person began one is what says that it is over.
	if st.dev.CountFrom.After(now) {
		st.dev.CountFrom = time.Time{}
	}
	for i := range st.attempts {
		if a := &st.attempts[i]; a.At.After(now) && a.Forgiven {
			a.Rejected = 0
		}
	}
	return st, nil
}

// may lists the credentials that may be tried at a device now. def is nil for a
// session that finds out what the device is.
func (a *Access) may(ctx context.Context, n Network, st standing, def *platform.Definition) ([]candidate, error) {
	dev, sc := st.dev, n.scope(st.dev)
	fail := func(kind collector.Kind, do string) error {
		return &collector.Error{Device: dev.Name, Addr: sshAddr(dev, sc), Step: collector.StepLogin, Kind: kind, Do: do}
	}
	if !dev.Address.IsValid() {
		return nil, &collector.Error{Device: dev.Name, Step: collector.StepResolve, Kind: collector.ErrUnreachable,
			Do: fmt.Sprintf("It has no address: %s. Find it with muster discover; or add it where it answers now (muster device add ADDRESS), "+
				"then make one of the two: muster device merge %s NAME", dev.AddressReason, dev.Name)}
	}
	creds, unread, snmpKind := n.credentialsFor(ctx, dev)
	may, bound, why := passwordsMay(dev, sc, st.keys, snmpKind, creds)
	if !may {
		return nil, fail(collector.ErrNeedsDecision, why)
	}
	if ok, why := platformMay(def, sc); !ok {
		return nil, fail(collector.ErrNeedsDecision, why)
	}
	list := order(dev, creds, bound)
	if len(list) == 0 {
		why := fmt.Sprintf("No SSH credential of scope %q fits %s. Name one in the scope, or give it one: muster device set %s --credential NAME", sc.Name, dev.Address, dev.Name)
		if len(unread) > 0 {
			why = "A secret cannot be read: " + strings.Join(unread, "; ") // which says where it is looked for
		}
		return nil, fail(collector.ErrNeedsCredential, why)
	}
	var cands []candidate
	for _, c := range list {
		cands = append(cands, candidate{c, a.digest(c)})
	}
	try, next := allowance(dev, cands, st.attempts, a.o.Now())
	if len(try) == 0 {
		step, why := refused(dev, cands, counted(dev, cands, st.attempts, a.o.Now()), next)
		return nil, &collector.Error{Device: dev.Name, Addr: sshAddr(dev, sc), Step: step, Kind: collector.ErrNeedsCredential, Do: why}
	}
	return try, nil
}

// credentialsFor reads what could be used at a device: what a person gave it, else
// what its scope names; unread are those whose secrets cannot be read. snmpKind
// is how SNMP authenticates the device; empty: not at all.
func (n Network) credentialsFor(ctx context.Context, dev Device) (creds []collector.Credential, unread []string, snmpKind collector.CredentialKind) {
	names := n.scope(dev).Credentials
	if dev.Credential != "" {
		names = []string{dev.Credential}
	}
	for _, name := range names {
		c, err := n.resolve(ctx, name)
		if err != nil {
			unread = append(unread, err.Error())
			continue
		}
		creds = append(creds, c)
	}
	if dev.SNMPCredential != "" {
		// Where its secret cannot be read, nothing is authenticated by it.
		if c, err := n.resolve(ctx, dev.SNMPCredential); err == nil && (c.Kind != collector.KindSNMPv3 || c.AuthProtocol != "") {
			snmpKind = c.Kind // noAuthNoPriv authenticates nobody
		}
	}
	return creds, unread, snmpKind
}

// methodEnable is the method of an attempt whose login was accepted and whose
// enable secret was not.
const methodEnable = "enable"

// refused says what the device rejected of the attempts that count, so that nothing is
// tried before next, and what to do about it; step is where.
func refused(dev Device, cands []candidate, count []Attempt, next time.Time) (step collector.Step, why string) {
	of := map[string]candidate{}
	for _, c := range cands {
		of[c.Name] = c
	}
	var newest Attempt
	var logins, enables, set, lacking []string
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, a := range slices.Backward(count) {
		c, known := of[a.Credential]
		if a.Accepted && newest.Rejected > 0 {
			break // what was rejected before is no reason any more
		}
		if a.Rejected == 0 {
			continue
		}
		if newest.Rejected == 0 {
			newest = a
		}
		switch {
		case a.Method != methodEnable:
			add(&logins, a.Credential)
			add(&set, c.SetLogin())
		case known && c.Enable.Empty():
			add(&lacking, a.Credential)
		default:
			add(&enables, a.Credential)
			add(&set, c.Kept.Enable.Set())
		}
	}
	slices.Sort(logins)
	slices.Sort(enables)
	slices.Sort(set)
	how, with, at, then := "rejected", "", forPeople(newest.At), forPeople(next)
	if newest.Forgiven {
		how, with = "rejected or did not answer", "logins with "
	}
	retry := "then muster device retry " + dev.Name
	store := "Store the right one: " + strings.Join(set, ", and ") + ", " + retry
	switch {
	case len(logins) == 0 && len(enables) == 0 && len(lacking) > 0:
		return collector.StepEnable, fmt.Sprintf("It asked for an enable secret at %s, and credential %s has none; not tried again before %s. "+
			"Give it one in muster.yaml (enable: { secret: NAME }) and store it: muster secret set NAME, %s", at, strings.Join(lacking, " and "), then, retry)
	case len(logins) == 0:
		return collector.StepEnable, fmt.Sprintf("It %s the enable secret of credential %s at %s; not tried again before %s. %s",
			how, strings.Join(enables, " and "), at, then, store)
	}
	what := with + "credential " + strings.Join(logins, " and ")
	if len(enables) > 0 {
		what += " and the enable secret of credential " + strings.Join(enables, " and ")
	}
	return collector.StepLogin, fmt.Sprintf("It %s %s at %s; one further login is tried after %s. %s", how, what, at, then, store)
}

func sshAddr(dev Device, sc Scope) netip.AddrPort {
	return netip.AddrPortFrom(dev.Address, first(dev.SSHPort, sc.TelnetPort, sc.SSHPort, 22))
}
