package alert

import (
	"cmp"
	"slices"
	"time"

	"muster/collector"
	"muster/inventory"
)

const (
	// groupFrom is how many devices with one cause are one alert.
	groupFrom = 3
	// together is how far apart devices of one site may go down and still have
	// gone down together, and a backup fail and its device go down.
	together = 10 * time.Minute
	// newNight is how long after a failed backup another one counts as another
	// night: second tries and a person's own attempts do not.
	newNight = 6 * time.Hour
)

// pass works changes into the alerts that fire. It is a value of one step of the
// work: made, used and thrown away; nothing in it waits or fails.
type pass struct {
	world
	at      time.Time
	policy  *policy
	opened  func(k Kind, subject string) int // in the last hour, for what flaps
	firing  []*Alert
	rolls   map[Kind]*roll // conditions in force; those of collector-isolated are unreachable's
	touched map[Kind]bool
	dirty   []*Alert // what is to be stored
}

// roll is the conditions of one kind, by key, in the order in which they came.
// It is made for ten thousand that come at once.
type roll struct {
	members map[string]Member
	order   []string        // keys; those that members has no more are dead
	over    map[string]bool // keys that were closed as over, not moved
}

func (r *roll) put(key string, m Member) {
	if _, there := r.members[key]; !there {
		r.order = append(r.order, key)
	}
	r.members[key] = m
}

// list returns the conditions in order, each once.
func (r *roll) list() []Member {
	all := make([]Member, 0, len(r.members))
	seen := make(map[string]bool, len(r.members))
	for _, key := range r.order {
		if m, there := r.members[key]; there && !seen[key] {
			seen[key] = true
			all = append(all, m)
		}
	}
	return all
}

func newPass(at time.Time, w world, p *policy, alive []*Alert, opened func(Kind, string) int) *pass {
	x := &pass{world: w, at: at, policy: p, opened: opened, rolls: map[Kind]*roll{}, touched: map[Kind]bool{}}
	for _, k := range Kinds() {
		x.rolls[k] = &roll{members: map[string]Member{}, over: map[string]bool{}}
	}
	for _, a := range alive {
		if a.State != Firing {
			continue
		}
		x.firing = append(x.firing, a)
		k := family(a.Kind)
		for i, m := range a.Members {
			if d, known := w.byID[m.DeviceID]; known && d.Name != m.Device { // renamed meanwhile
				if !a.Group && a.Subject == m.Device {
					a.Subject = d.Name
				}
				m.Device, a.Members[i].Device = d.Name, d.Name
			}
			x.rolls[k].put(m.key(k), m)
		}
	}
	return x
}

// family is the kind under which conditions are kept: unreachable devices are
// told as such, or as a collector that is isolated.
func family(k Kind) Kind {
	if k == CollectorIsolated {
		return Unreachable
	}
	return k
}

// apply works one change in.
func (x *pass) apply(c change) {
	if c.verb == opens {
		x.open(c.kind, c.m)
		return
	}
	if c.verb == moves && c.kind == Unreachable { // it is behind one that is down
		x.excuse(c.m)
	}
	kinds := []Kind{c.kind}
	if c.kind == "" {
		kinds = Kinds()
	}
	for _, k := range kinds {
		for _, key := range x.meant(k, c.m) {
			delete(x.rolls[k].members, key)
			x.touched[k] = true
			if c.verb == closes {
				x.rolls[k].over[key] = true
			}
		}
	}
}

// meant returns the keys of the conditions in force that a change about m means:
// those of a device, or without one all with a subject.
func (x *pass) meant(k Kind, m Member) (keys []string) {
	r := x.rolls[k]
	if !several(k) {
		if _, there := r.members[m.key(k)]; there {
			return []string{m.key(k)}
		}
		return nil
	}
	for key, o := range r.members {
		switch {
		case m.Device == "" && m.DeviceID == 0:
			if o.Subject == m.Subject {
				keys = append(keys, key)
			}
		case m.DeviceID != 0 && o.DeviceID == m.DeviceID, m.DeviceID == 0 && o.Device == m.Device:
			keys = append(keys, key)
		}
	}
	return keys
}

// open puts a condition in force, or brings it up to date.
func (x *pass) open(k Kind, m Member) {
	if x.rolls[k] == nil || !x.tells(k, m) || x.toldOtherwise(k, m) {
		return
	}
	x.touched[k] = true
	if k == Unreachable {
		x.excuse(m)
	}
	key := m.key(k)
	old, there := x.rolls[k].members[key]
	if !there {
		m.Fails, m.FailedAt = 1, m.Since
		x.rolls[k].put(key, m)
		return
	}
	m.Fails, m.FailedAt = old.Fails, old.FailedAt
	if m.Since.Sub(old.FailedAt) >= newNight {
		m.Fails, m.FailedAt = m.Fails+1, m.Since
	}
	m.Since = old.Since // of the condition, not of the event
	if k == LoginRejected && m.Cause == "" {
		m.Cause = old.Cause // a backup tells what was seen; the login told the credential
	}
	x.rolls[k].put(key, m)
}

// excuse takes back that a backup failed because its device is not reached since m
// says: that has no alert of its own. What failed in the nights before goes on.
func (x *pass) excuse(m Member) {
	for _, key := range x.meant(BackupFailed, m) {
		if o := x.rolls[BackupFailed].members[key]; unconnected(o) && o.Since.After(m.Since.Add(-together)) {
			delete(x.rolls[BackupFailed].members, key)
			x.touched[BackupFailed] = true
		}
	}
}

// toldOtherwise reports whether another alert tells of the same fault already.
func (x *pass) toldOtherwise(k Kind, m Member) bool {
	switch k {
	case LoginRejected:
		return len(x.meant(CredentialStopped, m)) > 0
	case BackupFailed:
		d := x.byID[m.DeviceID]
		behind := d.State == inventory.StateBehind && m.Since.After(d.StateSince.Add(-together))
		return unconnected(m) && (behind || len(x.meant(Unreachable, m)) > 0)
	}
	return false
}

// unconnected reports whether a backup failed before there was a connection.
func unconnected(m Member) bool {
	return m.Step == string(collector.StepResolve) || m.Step == string(collector.StepConnect)
}

// cell is one alert as it should be.
type cell struct {
	kind    Kind
	subject string
	group   bool
	members []Member
}

// settle makes the alerts of all kinds that were touched fit their conditions,
// and returns what has to be stored.
func (x *pass) settle() []*Alert {
	for _, k := range Kinds() {
		if x.touched[k] {
			x.reconcile(k, x.partition(k))
		}
	}
	return x.dirty
}

// partition says which alerts the conditions of a kind make.
func (x *pass) partition(k Kind) []cell {
	ms := x.rolls[k].list()
	switch k {
	case Unreachable:
		if len(ms) > 0 && x.isolated() {
			return []cell{{CollectorIsolated, "collector", true, ms}}
		}
		var cells []cell
		if own := slices.DeleteFunc(slices.Clone(ms), func(m Member) bool { return m.Cause != ownLink }); len(own) > 0 {
			cells = append(cells, cell{CollectorIsolated, "collector", true, own})
			ms = slices.DeleteFunc(ms, func(m Member) bool { return m.Cause == ownLink })
		}
		return append(cells, x.bunch(k, ms, func(m Member) string { return m.Site }, wentTogether)...)
	case BackupFailed, Quarantined, LoginRejected:
		return x.bunch(k, ms, func(m Member) string { return m.Cause }, func(ms []Member) bool { return len(ms) >= groupFrom })
	case NewDevice:
		return bySubject(k, ms, func(Member) string { return "discovery" })
	case IdentityClash: // of one device that is left it is none
		return slices.DeleteFunc(bySubject(k, ms, func(m Member) string { return m.Subject }), func(c cell) bool { return len(c.members) < 2 })
	case Changed, Unsaved, Pending, OffBaseline, CredentialStopped, ReceiverDown, StoreProblem:
		return bySubject(k, ms, func(m Member) string { return cmp.Or(m.Subject, m.Device) })
	}
	return bySubject(k, ms, func(m Member) string { return m.Device })
}

// bySubject makes an alert per subject, in the order of the conditions.
func bySubject(k Kind, ms []Member, subject func(Member) string) (cells []cell) {
	at := map[string]int{}
	for _, m := range ms {
		s := subject(m)
		i, ok := at[s]
		if !ok {
			i = len(cells)
			at[s] = i
			cells = append(cells, cell{kind: k, subject: s})
		}
		cells[i].members = append(cells[i].members, m)
	}
	return cells
}

// bunch makes one alert of conditions with a common cause, where they are many
// or where there is an alert of that cause already, and single ones of the rest.
func (x *pass) bunch(k Kind, ms []Member, cause func(Member) string, many func([]Member) bool) (cells []cell) {
	var single []Member // all of them together: two cells of one name cannot both be stored
	for _, c := range bySubject(k, ms, cause) {
		isGroup := slices.ContainsFunc(x.firing, func(a *Alert) bool { return a.Kind == k && a.Group && a.Subject == c.subject })
		if c.subject != "" && (isGroup || many(c.members)) {
			c.group = true
			cells = append(cells, c)
			continue
		}
		single = append(single, c.members...)
	}
	return append(cells, bySubject(k, single, func(m Member) string { return m.Device })...)
}

// wentTogether reports whether groupFrom of the conditions began within a short time.
func wentTogether(ms []Member) bool {
	since := make([]time.Time, len(ms))
	for i, m := range ms {
		since[i] = m.Since
	}
	slices.SortFunc(since, time.Time.Compare)
	for i := groupFrom - 1; i < len(since); i++ {
		if since[i].Sub(since[i-groupFrom+1]) <= together {
			return true
		}
	}
	return false
}

// reconcile makes the firing alerts of a family be the cells. An alert whose
// conditions went on under another subject takes that subject along, so that it
// stays one fault with one recovery; only one whose conditions are over is
// resolved as a recovery.
func (x *pass) reconcile(k Kind, cells []cell) {
	var left []*Alert // firing alerts of the family that no cell has taken
	for _, a := range x.firing {
		if family(a.Kind) == k {
			left = append(left, a)
		}
	}
	take := func(fits func(*Alert) bool) *Alert {
		i := slices.IndexFunc(left, fits)
		if i < 0 {
			return nil
		}
		a := left[i]
		left = slices.Delete(left, i, i+1)
		return a
	}
	alerts := make([]*Alert, len(cells))
	for i, c := range cells {
		// A site or a credential may be called like a device.
		alerts[i] = take(func(a *Alert) bool { return a.Kind == c.kind && a.Subject == c.subject && a.Group == c.group })
	}
	for i, c := range cells {
		if alerts[i] == nil {
			in := keys(k, c.members)
			alerts[i] = take(func(a *Alert) bool {
				return a.Kind == c.kind && slices.ContainsFunc(a.Members, func(m Member) bool { return in[m.key(k)] })
			})
		}
		if alerts[i] == nil {
			x.begin(c, left)
			continue
		}
		x.update(alerts[i], c)
	}
	for _, a := range left {
		x.resolve(a, k)
	}
}

// keys is the set of the keys of members.
func keys(k Kind, ms []Member) map[string]bool {
	set := make(map[string]bool, len(ms))
	for _, m := range ms {
		set[m.key(k)] = true
	}
	return set
}

// begin opens an alert. before are alerts of the family that end now.
func (x *pass) begin(c cell, before []*Alert) {
	a := &Alert{Kind: c.kind, Subject: c.subject, State: Firing, OpenedAt: x.at}
	a.Since = earliest(c.members)
	a.Members, a.Group, a.Devices = c.members, c.group, names(c.members)
	a.Message = x.describe(a)
	wait := x.policy.wait(a)
	if slices.ContainsFunc(before, func(b *Alert) bool { return b.Kind == CollectorIsolated && c.kind == Unreachable }) {
		wait = max(wait, afterSplit)
	}
	if x.opened != nil && x.opened(a.Kind, a.Subject) >= flapsFrom {
		wait = max(wait, flapHold)
	}
	if wait >= 0 {
		a.NotifyAt = x.at.Add(wait)
	}
	x.firing = append(x.firing, a)
	x.dirty = append(x.dirty, a)
}

func earliest(ms []Member) (t time.Time) {
	for _, m := range ms {
		if t.IsZero() || m.Since.Before(t) {
			t = m.Since
		}
	}
	return t
}

// update brings an alert up to its conditions.
func (x *pass) update(a *Alert, c cell) {
	after := names(c.members)
	past := append(a.Past, names(a.Members)...)
	slices.Sort(past)
	past = slices.Compact(past)
	// back: what it has was in it before, and left it not long ago.
	back := x.at.Sub(a.FewerAt) < flapsWithin && !slices.ContainsFunc(after, func(n string) bool {
		_, was := slices.BinarySearch(past, n)
		return !was
	})
	a.Past = slices.DeleteFunc(past, func(n string) bool {
		_, still := slices.BinarySearch(after, n)
		return still
	})
	moved := a.Subject != c.subject || (c.group && !a.Group)
	if moved {
		a.Rechecked = false // it is another text now
	}
	a.Subject, a.Group, a.Members, a.Devices = c.subject, c.group, c.members, after
	if e := earliest(c.members); e.Before(a.Since) {
		a.Since = e
	}
	a.Message = x.describe(a)
	// Of a site that came back but for one device, the next outage is news.
	if n := len(after); n < a.Told {
		a.Told, a.FewerAt = n, x.at
	}
	grown := len(after) >= 2*max(a.Told, 1) && len(after) > a.Told
	another := moved && a.Kind != Unreachable
	wait := x.policy.wait(a)
	switch {
	case !a.AckedAt.IsZero():
		x.acked(a, another, grown, back)
	case wait < 0:
	case a.NotifiedAt.IsZero():
		// Of what waits the time stands; what only the digest knew (a first failed
		// night) is told when it turned out to be more.
		if a.NotifyAt.IsZero() {
			a.NotifyAt = x.at.Add(wait)
		}
	case a.NotifyAt.IsZero() && (grown || another):
		if grown && back {
			wait = max(wait, flapHold)
		}
		a.NotifyAt = x.at.Add(wait)
	}
	x.dirty = append(x.dirty, a)
}

// acked decides whether an acknowledgement still holds. It covers what somebody has
// seen: this change, on however many devices, or this group while it has less than
// twice as many. What is more is told, and its acknowledgement is over.
func (x *pass) acked(a *Alert, another, grown, back bool) {
	switch {
	case back && !another:
		a.Told = max(a.Told, len(a.Devices)) // they were seen
	case another || a.Group && grown:
		a.AckedBy, a.AckedAt, a.AckNote = "", time.Time{}, ""
		if wait := x.policy.wait(a); wait >= 0 {
			a.NotifyAt = x.at.Add(wait)
		}
	}
}

// resolve ends an alert. Where its conditions moved on, or ended because the
// device is gone, that is no recovery; but who was told of an alert is told of
// its end.
func (x *pass) resolve(a *Alert, k Kind) {
	a.State, a.ResolvedAt, a.NotifyAt = Resolved, x.at, time.Time{}
	a.Devices = slices.Clone(a.Past)
	over := false
	for _, m := range a.Members {
		over = over || x.rolls[k].over[m.key(k)]
		if m.Device != "" {
			a.Devices = append(a.Devices, m.Device)
		}
	}
	if a.Kind == CollectorIsolated && !x.isolated() {
		over = true
	}
	slices.Sort(a.Devices)
	a.Devices = slices.Compact(a.Devices)
	a.Merged = !over && lasting(a.Kind)
	a.Message = x.describe(a)
	if !a.NotifiedAt.IsZero() && lasting(a.Kind) {
		a.NotifyAt = x.at
	}
	x.firing = slices.DeleteFunc(x.firing, func(o *Alert) bool { return o == a })
	x.dirty = append(x.dirty, a)
}

// lasting reports whether alerts of a kind end by themselves when things are well
// again. The others only tell of something once, until somebody has seen it.
func lasting(k Kind) bool { return k != NewDevice && k != DeviceReplaced && k != IdentityClash }

// siteOf selects the devices of a site.
func siteOf(site string) func(inventory.Device) bool {
	return func(d inventory.Device) bool { return d.Site == site }
}
