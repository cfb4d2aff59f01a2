package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"muster/collector"
	"muster/collector/cli"
)

// AllowOptions says what Allow does with the keys that devices show.
type AllowOptions struct {
	Apply bool // accept them; else only tell
	// Keys are the fingerprints that a person saw, by device: at a device that is
	// in it no other key is accepted.
	Keys map[string]string
}

// Allowed is what a person's yes did, or would do, at one device.
type Allowed struct {
	Device      string         `json:"device"`
	Address     netip.Addr     `json:"address"`
	Outcome     string         `json:"outcome"` // allow (would), allowed, left, failed
	Type        string         `json:"type,omitempty"`
	Fingerprint string         `json:"fingerprint,omitempty"`
	Step        collector.Step `json:"step,omitempty"`
	Kind        collector.Kind `json:"kind,omitempty"`
	Message     string         `json:"message,omitempty"`
}

// The outcomes of Allow.
const (
	AllowWould  = "allow"
	AllowDone   = "allowed"
	AllowLeft   = "left" // passwords may go there already
	AllowFailed = "failed"
)

// looksAtOnce is how many devices are asked for their key at a time.
const looksAtOnce = 8

// Allow is a person's yes that passwords may go to the devices that the filter
// chooses. It is bound to the host key that each one shows: the key exchange is
// gone through, nothing secret is sent, and the key is pinned on the person's
// word, with an audit row. So a stranger who answers there later gets no password.
func (d *Devices) Allow(ctx context.Context, f Filter, o AllowOptions, by string) ([]Allowed, error) {
	chosen, err := d.List(ctx, f)
	if err != nil {
		return nil, err
	}
	n := d.o.Network().remember(newCredentials())
	run := d.access.Begin() // one for all: they may stand behind one jump host
	out := make([]Allowed, len(chosen))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(looksAtOnce)
	for i, dev := range chosen {
		group.Go(func() (err error) {
			out[i], err = d.allow(gctx, run, n, dev, o, by)
			return err
		})
	}
	return out, group.Wait()
}

func (d *Devices) allow(ctx context.Context, run *Run, n Network, dev Device, o AllowOptions, by string) (Allowed, error) {
	a := Allowed{Device: dev.Name, Address: dev.Address, Outcome: AllowWould}
	fail := func(err error) (Allowed, error) {
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		e := failure(err, dev.Name, netip.AddrPort{}, collector.StepConnect)
		a.Outcome, a.Step, a.Kind, a.Message = AllowFailed, e.Step, e.Kind, e.Error()
		return a, nil
	}
	st, ok, err := d.openTo(ctx, n, dev.ID)
	switch {
	case err != nil:
		return fail(err)
	case dev.Disabled:
		a.Outcome, a.Message = AllowLeft, "a person disabled it: muster device set "+dev.Name+" --enable"
		return a, nil
	case ok:
		a.Outcome, a.Message = AllowLeft, "passwords may go there already"
		return a, nil
	}
	key, err := run.shownKey(ctx, n, st.dev)
	if err != nil {
		return fail(err)
	}
	a.Type, a.Fingerprint = key.Type, key.Fingerprint
	if seen := o.Keys[dev.Name]; seen != "" && seen != key.Fingerprint {
		return fail(&collector.Error{Step: collector.StepHostKey, Kind: collector.ErrHostKeyChanged, Seen: key.Fingerprint,
			Do: "It showed " + seen + " a moment ago. Somebody else may answer there: compare the key at the device"})
	}
	for _, k := range st.keys {
		if k.State == KeyPinned && !sameHostKey(k.HostKey, key) {
			return fail(&collector.Error{Step: collector.StepHostKey, Kind: collector.ErrHostKeyChanged, Seen: key.Fingerprint,
				Do: fmt.Sprintf("Another key is pinned (%s). Compare it at the device; then muster device replace %s", k.Fingerprint, dev.Name)})
		}
	}
	if !o.Apply {
		return a, nil
	}
	err = d.o.Store.Update(ctx, func(tx Tx) error {
		var accepted []Accepted
		return d.accept(tx, st.dev, key, by, "device allow", &accepted)
	})
	if err == nil {
		err = d.access.review(ctx, n, dev.ID)
	}
	if err != nil {
		return a, fmt.Errorf("allow %s: %w", dev.Name, err)
	}
	a.Outcome = AllowDone
	if now, err := d.ByID(ctx, dev.ID); err == nil && now.Missing != "" {
		a.Message = now.MissingReason // there is more to decide, such as declared: allow
	}
	return a, nil
}

// openTo reports whether passwords may go to a device, with what is known of it.
// The error is why a yes would not help.
func (d *Devices) openTo(ctx context.Context, n Network, id int64) (st standing, ok bool, err error) {
	err = d.o.Store.View(ctx, func(tx Reader) (err error) {
		st, err = readStanding(tx, id, d.o.Now())
		return err
	})
	if err != nil {
		return st, false, err
	}
	if !st.dev.Address.IsValid() {
		return st, false, &collector.Error{Step: collector.StepResolve, Kind: collector.ErrUnreachable, Do: "It has no address"}
	}
	creds, _, snmpKind := n.credentialsFor(ctx, st.dev)
	ok, _, _ = passwordsMay(st.dev, n.scope(st.dev), st.keys, snmpKind, creds)
	if !ok {
		return st, false, nil
	}
	def, _ := d.o.Platforms().ByName(st.dev.Platform)
	if may, why := platformMay(def, n.scope(st.dev)); !may {
		return st, true, &collector.Error{Step: collector.StepLogin, Kind: collector.ErrNeedsDecision, Do: why}
	}
	return st, true, nil
}

// shownKey goes as far as the host key that a device shows, and no further: a strict
// session without a pinned key ends before anything secret is sent.
func (r *Run) shownKey(ctx context.Context, n Network, dev Device) (collector.HostKey, error) {
	a := r.access
	t := n.SSHTarget(dev, collector.Credential{}, nil)
	if t.Telnet {
		return collector.HostKey{}, &collector.Error{Step: collector.StepHostKey, Kind: collector.ErrNeedsDecision,
			Do: fmt.Sprintf("Bind a credential to its address (for: [%s]), or give it one (muster device set %s --credential NAME): scope %s says telnet, which has no host key to say yes to", dev.Address, dev.Name, t.Scope)}
	}
	free, err := a.sessions.take(ctx, dev.ID)
	if err != nil {
		return collector.HostKey{}, err
	}
	defer free()
	way, err := r.through(ctx, dev)
	if err != nil {
		return collector.HostKey{}, err
	}
	defer way.leave()
	t.SSH.HostKeys = collector.Strict
	var shown collector.HostKey
	o := cli.Options{Shown: func(k collector.HostKey) { shown = k }, Progress: func(collector.Step, string) {}, Attempt: func(string, bool) {}}
	if way != nil {
		o.Dial = way.conn.Dial
	}
	s, err := a.open(ctx, t, a.o.Platforms().ProbeDialogue(), o)
	if err == nil { // cannot be: no key was pinned
		err = errors.New("a session was opened though it should have ended at the host key")
		if s.session != nil {
			err = errors.Join(err, s.session.Close())
		}
		return shown, err
	}
	if shown.Type != "" && errors.Is(err, collector.ErrHostKeyUnknown) {
		return shown, nil
	}
	return shown, err
}
