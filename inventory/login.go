package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/collector"
	"muster/collector/cli"
	"muster/inventory/platform"
)

// login is one call of Run.Open.
type login struct {
	r     *Run
	a     *Access
	net   Network
	d     cli.Dialogue
	o     cli.Options
	st    standing
	steps []collector.StepTime
	out   *flight
	// mayLogIn waits until the password may go out.
	mayLogIn func(ctx context.Context) error
	in       func() // is called when the device has let the login in that is under way
	more     bool   // there is another credential to try
	again    bool   // a secret was changed under way, and both were rejected
	doubted  bool   // a device had rejected the credential when this login went out, and none had accepted it since

	way        *passage // through the jump host; nil: directly
	isJump     bool     // it is the login of a jump host
	credential string   // of a jump host, as its scope names it; empty: what holds for the device
}

// open tries the credentials that may be tried, until one is accepted or
// something else than a rejection ends it.
func (l *login) open(ctx context.Context, id int64) (*Session, error) {
	err := l.a.o.Store.View(ctx, func(tx Reader) (err error) {
		l.st, err = readStanding(tx, id, l.a.o.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	if l.credential != "" {
		l.st.dev.Credential = l.credential
	}
	var def *platform.Definition
	if l.st.dev.Platform != "" && !l.isJump { // nobody talks to the shell of a jump host
		def, _ = l.a.o.Platforms().ByName(l.st.dev.Platform)
	}
	try, err := l.a.may(ctx, l.net, l.st, def)
	if err != nil {
		return nil, l.settleMissing(ctx, err)
	}
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	for i, c := range try {
		l.more = i < len(try)-1
		var s *Session
		s, err = l.one(ctx, c)
		if errors.Is(err, cli.ErrJumpGone) && !l.isJump {
			// It was open from an earlier session and has ended unnoticed.
			l.way.leave()
			if err := l.pass(ctx); err != nil {
				return nil, err
			}
			s, err = l.one(ctx, c)
		}
		switch kind := collector.KindOf(err); {
		case err == nil:
			return s, nil
		case l.again: // those were two
		case (kind == collector.ErrLoginRejected || kind == collector.ErrCredentialStopped) && l.more:
			continue
		}
		break
	}
	return nil, err
}

// pass takes the way through the jump host, where there is one.
func (l *login) pass(ctx context.Context) (err error) {
	if l.isJump {
		return nil
	}
	begun := l.a.o.Now()
	l.way, err = l.r.through(ctx, l.st.dev)
	var e *collector.Error
	if errors.As(err, &e) {
		l.steps = append(l.steps, collector.StepTime{Step: e.Step, Detail: e.Addr.String(), Kind: e.Kind, Seen: e.Seen, Do: e.Do, TookMs: l.a.o.Now().Sub(begun).Milliseconds()})
	}
	return err
}

// settleMissing keeps at the device why it cannot be opened.
func (l *login) settleMissing(ctx context.Context, why error) error {
	var e *collector.Error
	if dev := l.st.dev; !errors.As(why, &e) || !noteMissing(&dev, e) {
		return why
	}
	err := l.a.o.Store.Update(ctx, func(tx Tx) error {
		dev, err := tx.Device(l.st.dev.ID)
		if err != nil || !noteMissing(&dev, e) {
			return err
		}
		return tx.PutDevice(&dev)
	})
	if err != nil {
		return err
	}
	return why
}

// one tries one credential: when its turn comes, at most 5 at a time, and once
// more where its secret turns out to have changed meanwhile.
func (l *login) one(ctx context.Context, c candidate) (*Session, error) {
	g, err := l.r.gate(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := l.reach(ctx, g, c); err != nil {
		return nil, err
	}
	alone, err := g.enter(ctx)
	if errors.Is(err, collector.ErrCredentialStopped) {
		return nil, l.stopped(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	defer func() { g.leave(alone) }()
	// The login that this one waited for may have found a changed secret.
	if now, err := l.net.resolve(ctx, c.Name); err == nil {
		c = candidate{now, l.a.digest(now)}
	}
	if err := l.a.flights.board(ctx, c.Name); err != nil {
		return nil, err
	}

	l.mayLogIn = func(ctx context.Context) (err error) {
		for {
			if l.out, err = l.a.flights.start(ctx, c.Name); err != nil {
				return err
			}
			if err = l.weigh(ctx, g, c); err != nil || g.lets(alone) {
				return err
			}
			// It has come into doubt since this one was called, or the others have
			// waited long enough for this one.
			l.out.end(false)
			if alone, err = g.again(ctx); err != nil {
				return err
			}
		}
	}
	// A device that has let the login in goes on without the others waiting.
	in := false
	l.in = func() { in = true; g.passed(l.out.order()); l.out.end(true) }
	// Its place is free when the gate knows what it said, and not before: the next
	// one would go out with a credential that is in doubt.
	defer func() { l.out.end(false) }()
	s, rej, err := l.dial(ctx, c)
	if errors.Is(err, collector.ErrCredentialStopped) {
		return nil, l.stopped(ctx, c)
	}
	if isRejection(err) && rej > 0 {
		// The secret may have been changed since it was read.
		if again, e := l.a.o.Network().resolve(ctx, c.Name); e == nil && l.a.digest(again) != c.digest {
			l.r.secrets.changed(again)
			old := c
			c = candidate{again, l.a.digest(again)}
			if err := l.note(ctx, Attempt{Credential: old.Name, Digest: old.digest, Rejected: rej}); err != nil {
				return nil, err
			}
			s, rej, err = l.dial(ctx, c)
			l.again = rej > 0
		}
	}
	return l.conclude(ctx, g, c, s, rej, in, alone != nil, err)
}

// reach makes sure that a device is there before all others may have to wait for
// its login, unless it answered just now: one dead site at the head of the list
// would keep a run waiting for a timeout each.
func (l *login) reach(ctx context.Context, g *gate, c candidate) error {
	// Through a jump host the timeout is that host's affair, and it answers for
	// what is behind it.
	if !g.asks() || l.st.dev.State == StateUp || l.way != nil {
		return nil
	}
	begun := l.a.o.Now()
	t := l.net.SSHTarget(l.st.dev, c.Credential, l.st.keys)
	err := l.a.reach(ctx, t)
	if err == nil {
		return nil
	}
	step := collector.StepTime{Step: collector.StepConnect, Detail: t.Addr.String(), TookMs: l.a.o.Now().Sub(begun).Milliseconds()}
	var e *collector.Error
	if errors.As(err, &e) {
		step.Kind, step.Do = e.Kind, e.Do
	}
	l.steps = append(l.steps, step)
	return err
}

// isRejection reports whether the device refused a password.
func isRejection(err error) bool {
	return errors.Is(err, collector.ErrLoginRejected) || errors.Is(err, collector.ErrEnableRejected)
}

// stopped is the failure of those that come after a credential was stopped.
func (l *login) stopped(ctx context.Context, c candidate) error {
	var st CredentialState
	var names []string
	err := l.a.o.Store.View(ctx, func(tx Reader) (err error) {
		if st, err = tx.Credential(c.Name); err != nil {
			return err
		}
		for _, id := range st.RejectedBy {
			if d, err := tx.Device(id); err == nil { // one that was deleted has no name
				names = append(names, d.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	since := "" // it is being stored
	if !st.StoppedAt.IsZero() {
		since = " since " + forPeople(st.StoppedAt)
	}
	if len(names) > 0 {
		since += ", rejected by " + several(names)
	}
	e := &collector.Error{Device: l.st.dev.Name, Addr: sshAddr(l.st.dev, l.net.scope(l.st.dev)), Step: collector.StepLogin,
		Kind: collector.ErrCredentialStopped,
		Do: fmt.Sprintf("Not sent: credential %s is stopped%s. Store the right password: %s, then muster secret retry %s",
			c.Name, since, c.SetLogin(), c.Name)}
	l.steps = append(l.steps, collector.StepTime{Step: e.Step, Detail: c.Name, Kind: e.Kind, Do: e.Do})
	return e
}

// several joins names, of many the first ones.
func several(names []string) string {
	const most = 5
	if n := len(names) - most; n > 1 {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// forPeople writes a time into a message.
func forPeople(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// dial opens one session and says how many passwords the device refused in it.
func (l *login) dial(ctx context.Context, c candidate) (opened, int, error) {
	refused, inside := 0, false
	var shown collector.HostKey
	rec := recorder{now: l.a.o.Now}
	o := l.o
	l.out.end(false) // of a try with the secret before
	l.out = nil
	o.MayLogIn = func(ctx context.Context) error {
		if inside { // a further connection of the session, with what worked a moment ago
			return nil
		}
		return l.mayLogIn(ctx)
	}
	o.Attempt = func(method string, accepted bool) {
		switch {
		case accepted || method == "publickey" || method == "none":
		case inside: // by a further connection of the session
			a := Attempt{Credential: c.Name, Digest: c.digest, Method: method, Rejected: 1}
			if err := l.note(ctx, a); err != nil {
				l.a.o.Log.ErrorContext(ctx, "rejected login was not kept", "device", l.st.dev.Name, "credential", c.Name, "err", err)
			}
		default:
			refused++
		}
		if l.o.Attempt != nil {
			l.o.Attempt(method, accepted)
		}
	}
	o.Progress = func(step collector.Step, detail string) {
		if step == collector.StepPrompt && !inside {
			l.in()
		}
		rec.begin(step, detail)
		if l.o.Progress != nil {
			l.o.Progress(step, detail)
		}
	}
	o.Shown = func(k collector.HostKey) { shown = k }
	o.HostKey = func(k collector.HostKey) error {
		if l.o.HostKey != nil {
			if err := l.o.HostKey(k); err != nil {
				return err
			}
		}
		return l.pin(ctx, k)
	}
	if c.Name == l.st.dev.SSHCredential {
		o.Method = l.st.dev.SSHMethod
	}
	if l.way != nil {
		o.Dial = l.way.conn.Dial
	}
	t := l.net.SSHTarget(l.st.dev, c.Credential, l.st.keys)
	var s opened
	var err error
	if l.isJump {
		s, err = l.a.openJump(ctx, t, o)
	} else {
		s, err = l.a.open(ctx, t, l.d, o)
	}
	if err == nil {
		l.out.end(true)
		l.steps = append(l.steps, s.steps...)
		inside = true
		return s, refused, nil
	}
	l.steps = append(l.steps, rec.end(err)...)
	switch {
	case errors.Is(err, collector.ErrHostKeyChanged), errors.Is(err, collector.ErrHostKeyUnknown):
		if e := l.askAboutKey(ctx, shown); e != nil {
			return opened{}, refused, e
		}
	case errors.Is(err, collector.ErrEnableRejected) && refused == 0:
		refused++
	}
	return opened{}, refused, err
}

// conclude stores what a login said, tells the gate, and makes the session.
// in: the device took the login, whatever came after. alone: all others wait for it.
func (l *login) conclude(ctx context.Context, g *gate, c candidate, s opened, rej int, in, alone bool, failed error) (*Session, error) {
	dev := l.st.dev
	v, method := noVerdict, ""
	switch {
	case failed == nil:
		v, method = accepted, s.method
	case errors.Is(failed, collector.ErrEnableRejected):
		v, method = accepted, methodEnable // the account works; its enable secret does not
	case errors.Is(failed, collector.ErrLoginRejected) && rej > 0:
		v = rejected
	case in:
		v, method = accepted, methodAt(failed) // the account works; the shell does not
	}
	stop, release := g.judge(said{v, dev.ID, l.out.order(), dev.SSHCredential == c.Name, l.more, in, alone})
	doubt := v == rejected && g.doubts(dev.ID)
	l.out.end(false)
	// What the device saw is kept even where the run is being stopped.
	store := context.WithoutCancel(ctx)
	err := l.a.o.Store.Update(store, func(tx Tx) error {
		switch {
		case failed == nil || isRejection(failed):
			if err := l.record(tx, c, method, rej, failed); err != nil {
				return err
			}
		case rej > 0:
			// A password that got no answer: the device may have counted it, so it
			// is one of the two of the day. It says nothing about the password.
			if err := tx.PutAttempt(Attempt{DeviceID: dev.ID, Credential: c.Name, Method: method, Digest: c.digest, Rejected: rej, Forgiven: true, At: l.a.o.Now()}); err != nil {
				return err
			}
		}
		switch {
		case stop:
			return l.stop(tx, c, g)
		case release:
			return l.release(tx, c)
		case doubt:
			return l.doubt(tx, c)
		case v == accepted && l.doubted:
			return l.believe(tx, c)
		}
		return nil
	})
	if err != nil {
		if s.session != nil {
			_ = s.session.Close() // the error that counts is the store's
		}
		if s.jump != nil {
			_ = s.jump.Close()
		}
		return nil, fmt.Errorf("keep what the login at %s said: %w", dev.Name, err)
	}
	if failed != nil {
		if ctx.Err() != nil && !isRejection(failed) {
			return nil, context.Cause(ctx)
		}
		return nil, failure(failed, dev.Name, sshAddr(dev, l.net.scope(dev)), collector.StepConnect)
	}
	return &Session{Session: s.session, jump: s.jump, Credential: c.Name}, nil
}

// methodAt is the method of an attempt whose session failed behind the login.
func methodAt(failed error) string {
	var e *collector.Error
	if errors.As(failed, &e) && e.Step == collector.StepEnable {
		return methodEnable
	}
	return ""
}

// record writes an accepted or rejected login and what follows from it.
func (l *login) record(tx Tx, c candidate, method string, rej int, failed error) error {
	at := l.a.o.Now()
	dev, err := tx.Device(l.st.dev.ID)
	if err != nil {
		return err
	}
	a := Attempt{DeviceID: dev.ID, Credential: c.Name, Digest: c.digest, Method: method, Accepted: failed == nil, Rejected: rej, At: at}
	if err := tx.PutAttempt(a); err != nil {
		return err
	}
	data := map[string]string{"credential": c.Name}
	if failed != nil {
		return emit(tx, at, EventLoginRejected, dev, "", data)
	}
	asked, err := dropPending(tx, dev.ID, at)
	if err != nil {
		return err
	}
	if n := len(l.st.attempts); n > 0 && !l.st.attempts[n-1].Accepted || dev.SSHCredential != c.Name || asked {
		if err := emit(tx, at, EventLoginAccepted, dev, "", data); err != nil {
			return err
		}
	}
	dev.SSHCredential, dev.SSHMethod, dev.LastSeen = c.Name, method, at
	dev.Missing, dev.MissingReason = "", ""
	return tx.PutDevice(&dev)
}

// note writes a rejection that counts against the secret that was sent only.
func (l *login) note(ctx context.Context, a Attempt) error {
	a.DeviceID, a.At = l.st.dev.ID, l.a.o.Now()
	return l.a.o.Store.Update(context.WithoutCancel(ctx), func(tx Tx) error { return tx.PutAttempt(a) })
}

func (l *login) stop(tx Tx, c candidate, g *gate) error {
	before, err := tx.Credential(c.Name)
	if err != nil {
		return err
	}
	at := l.a.o.Now()
	g.mu.Lock()
	by := slices.Clone(g.rejected)
	was := !before.StoppedAt.IsZero() && before.Digest == c.digest && !g.changed
	g.mu.Unlock()
	if was {
		at = before.StoppedAt
		by = append(slices.Clone(before.RejectedBy), by...)
		slices.Sort(by)
		by = slices.Compact(by)
	}
	var names []string
	for _, id := range by {
		if d, err := tx.Device(id); err == nil {
			names = append(names, d.Name)
		}
	}
	err = tx.PutCredential(CredentialState{Name: c.Name, Digest: c.digest, StoppedAt: at, RejectedBy: by,
		Reason: fmt.Sprintf("rejected by %d devices, the last one %s", len(by), l.st.dev.Name)})
	if err != nil || was {
		return err // told before: one alert for as long as it lasts
	}
	return emit(tx, at, EventCredentialStopped, Device{}, c.Name, map[string]any{"credential": c.Name, "devices": names, "set": c.SetLogin()})
}

// release ends that a credential is stopped: what it was rejected for then is no
// reason any more not to try it again.
func (l *login) release(tx Tx, c candidate) error {
	if err := tx.PutCredential(CredentialState{Name: c.Name, Digest: c.digest}); err != nil {
		return err
	}
	if err := tx.Forgive(0, c.Name); err != nil {
		return err
	}
	return emit(tx, l.a.o.Now(), EventCredentialWorks, Device{}, c.Name, map[string]string{"credential": c.Name})
}

// gate returns the run's gate of a credential. A credential that an earlier run
// stopped, with the same secret, gets one login.
func (r *Run) gate(ctx context.Context, c candidate) (*gate, error) {
	r.mu.Lock()
	g, ok := r.gates[c.Name]
	r.mu.Unlock()
	if ok {
		return g, nil
	}
	var st CredentialState
	err := r.access.o.Store.View(ctx, func(tx Reader) (err error) {
		st, err = tx.Credential(c.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if g, ok := r.gates[c.Name]; ok {
		return g, nil
	}
	g = &gate{wake: make(chan struct{}), doubtful: !st.StoppedAt.IsZero(), stoppedAt: st.StoppedAt}
	if st.Digest != c.digest {
		// Another secret: it works or not like a new one, and when it works the
		// alert about the old one has to end.
		g.changed = g.doubtful
	} else if r.look {
		g.stopped = g.doubtful
	}
	r.gates[c.Name] = g
	return g, nil
}

// recorder makes steps of the starts that a session reports, for sessions that
// never came to be.
type recorder struct {
	now   func() time.Time
	begun time.Time
	steps []collector.StepTime
}

func (r *recorder) begin(step collector.Step, detail string) {
	r.close()
	r.begun = r.now()
	r.steps = append(r.steps, collector.StepTime{Step: step, Detail: detail})
}

func (r *recorder) close() {
	if n := len(r.steps); n > 0 && r.steps[n-1].TookMs == 0 {
		r.steps[n-1].TookMs = r.now().Sub(r.begun).Milliseconds()
	}
}

// end closes the last step with what it failed of.
func (r *recorder) end(err error) []collector.StepTime {
	r.close()
	var e *collector.Error
	if !errors.As(err, &e) {
		return r.steps
	}
	if n := len(r.steps); n == 0 || r.steps[n-1].Step != e.Step {
		r.steps = append(r.steps, collector.StepTime{Step: e.Step})
	}
	last := &r.steps[len(r.steps)-1]
	last.Kind, last.Seen, last.Do = e.Kind, e.Seen, e.Do
	return r.steps
}
