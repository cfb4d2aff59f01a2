package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/collector"
	"muster/collector/snmp"
)

// probing is how many devices are asked at a time: enough that a dead thousand
// does not fill the round, few enough for every access list and table.
const probing = 64

// Reachability finds out which devices answer and keeps the times in each state.
type Reachability struct {
	o Options

	// What it does to the network; the fields are for tests.
	ping func(ctx context.Context, t collector.Target) error
	echo func(ctx context.Context, addr, source netip.Addr) error // errNoICMP where the kernel does not let us
	dial func(ctx context.Context, t collector.Target) error
	own  func() func(addr, source netip.Addr) lack // looks at this machine
}

// errNoICMP says that the kernel lets us send no echo requests.
var errNoICMP = errors.New("no ICMP socket")

// NewReachability builds the watch.
func NewReachability(o Options) *Reachability {
	return &Reachability{
		o: o.withDefaults(),
		ping: func(ctx context.Context, t collector.Target) error {
			_, err := snmp.Ping(ctx, t)
			return err
		},
		echo: echo, dial: knock, own: lookAtMachine,
	}
}

// Round asks every managed device once and keeps what that says of its state as
// of at. It takes as long as the slowest device, and returns an error only for
// what is muster's own fault or for a ctx that ended, after which nothing of the
// round is kept. Two rounds must not run at once.
//
// A device is asked by SNMP with the credential that works for it; when that
// fails, by ICMP where the kernel lets us; only when both fail, or neither ever
// worked, by a TCP connect to its CLI port, and that not more often than
// Network.TCPEvery.
func (r *Reachability) Round(ctx context.Context, at time.Time) error {
	n := r.o.Network().remember(newCredentials())
	var devices []Device
	var memory map[int64]Reach
	var links map[int64][]Link
	var chassis map[string]int64
	err := r.o.Store.View(ctx, func(tx Reader) (err error) {
		all, err := tx.Devices()
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.Managed && !d.Disabled && !d.Retired {
				devices = append(devices, d)
			}
		}
		if memory, err = tx.Reach(); err != nil {
			return err
		}
		for id, m := range memory {
			memory[id] = m.until(at)
		}
		if links, err = tx.Links(); err != nil {
			return err
		}
		chassis, err = tx.Chassis()
		return err
	})
	if err != nil {
		return fmt.Errorf("begin a round of reachability: %w", err)
	}
	heard, begun := make([]heard, len(devices)), r.o.Now()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(probing)
	for i, d := range devices {
		group.Go(func() error {
			heard[i] = r.probe(gctx, n, d, memory[d.ID], at)
			return context.Cause(gctx)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fronts := inFront(devices, heard, links, chassis)
	r.blameThisMachine(n, devices, heard, fronts)
	return r.keep(ctx, n, devices, memory, heard, fronts, at, at.Add(r.o.Now().Sub(begun)))
}

// patience is how long one device may be waited for in a round: no longer than
// leaves two rounds within the time after which it is down.
func patience(n Network) time.Duration { return first(n.DownAfter, 5*time.Minute) / 2 }

// hurry shortens the waits for SNMP so that all tries fit into half of patience.
func hurry(l collector.Limits, patience time.Duration) collector.Limits {
	l = l.WithDefaults()
	tries := 1 + max(l.SNMPRetries, 0)
	l.SNMPTimeout = min(l.SNMPTimeout, max(patience/2/time.Duration(tries), 100*time.Millisecond))
	return l
}

// answer is what one protocol said.
type answer int

const (
	notAsked answer = iota
	answers
	silent
)

// heard is what a device answered in one round.
type heard struct {
	snmp, icmp, tcp answer
	alive           bool     // something answered, if only by refusing a connection
	said            []string // what was tried and seen, for people
}

// silentAll reports whether the device was asked and nothing of it answered.
func (h heard) silentAll() bool {
	return !h.alive && (h.snmp == silent || h.icmp == silent || h.tcp == silent)
}

// probe asks one device, the cheapest and quietest way first.
func (r *Reachability) probe(ctx context.Context, n Network, d Device, m Reach, at time.Time) (h heard) {
	if !d.Address.IsValid() {
		h.said = append(h.said, "it has no address: "+d.AddressReason)
		return h
	}
	if d.SNMPCredential != "" {
		c, err := n.resolve(ctx, d.SNMPCredential)
		if err == nil {
			t := n.SNMPTarget(d, c)
			t.Limits = hurry(t.Limits, patience(n))
			err = r.ping(ctx, t)
			h.note(&h.snmp, "SNMP", err)
		} else {
			h.said = append(h.said, "SNMP not asked: "+err.Error())
		}
		if err == nil {
			return h
		}
	}
	if j := n.jumpOf(d); j.Host != "" {
		// From here nothing but SNMP goes to it, and its silence would say nothing.
		h.said = append(h.said, "TCP not asked: it is behind jump host "+j.Host)
		return h
	}
	t := n.SSHTarget(d, collector.Credential{}, nil)
	// At an address of this machine the kernel itself answers echo requests and
	// refuses connections, whatever became of the program behind it.
	kernelSpeaks := d.Address.IsLoopback()
	if !kernelSpeaks {
		ectx, cancel := context.WithTimeoutCause(ctx, patience(n)/4, collector.ErrTimedOut)
		err := r.echo(ectx, d.Address, t.Source)
		cancel()
		if !errors.Is(err, errNoICMP) {
			h.note(&h.icmp, "ICMP", err)
			if err == nil {
				return h
			}
		}
	}
	if !m.KnockedAt.IsZero() && at.Sub(m.KnockedAt) < first(n.TCPEvery, 5*time.Minute) {
		// Until it is due again, the last knock speaks for the device.
		h.alive = m.KnockAnswered
		h.said = append(h.said, fmt.Sprintf("TCP %d was asked at %s", t.Addr.Port(), m.KnockedAt.UTC().Format("15:04:05")))
		return h
	}
	t.Limits.Connect = min(t.Limits.WithDefaults().Connect, patience(n)/4)
	err := r.dial(ctx, t)
	h.note(&h.tcp, fmt.Sprintf("TCP %d", t.Addr.Port()), err)
	if !kernelSpeaks && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, collector.ErrRefused)) {
		h.alive = true // whoever refuses is there
	}
	return h
}

// note keeps what one protocol said.
func (h *heard) note(a *answer, name string, err error) {
	if err == nil {
		*a, h.alive = answers, true
		h.said = append(h.said, name+" answers")
		return
	}
	*a = silent
	why := "no answer"
	switch kind := collector.KindOf(err); {
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "refused"
	case kind != "" && kind != collector.ErrTimedOut:
		why = strings.ReplaceAll(string(kind), "-", " ")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		why = "no route"
	}
	h.said = append(h.said, name+": "+why)
}

// converges is what routing and spanning tree take to find the way to a device
// again when what stands in front of it is back: OSPF's dead interval of 40 s
// (RFC 2328 C.3), spanning tree's two times 15 s (IEEE 802.1D-1998 8.10.2).
const converges = time.Minute

// until forgets what is later than at: the clock was ahead when it was written. A
// device would else be neither asked nor said to be down before that time.
func (m Reach) until(at time.Time) Reach {
	for _, t := range []*time.Time{&m.KnockedAt, &m.LostSince, &m.SNMPLostSince} {
		if t.After(at) {
			*t = time.Time{}
		}
	}
	return m
}

// next is the state machine: what a device's state is after a round, given what
// it remembered. front is the name of the device that stands in front of it and
// does not answer either; empty: none.
//
// Down after downAfter without any answer, and back at once; what was behind
// another has that time anew when the other is back. A protocol counts
// only from its first answer on; where none ever answered (a person added the
// device), the port that a backup would go to counts. at is when the round began, now when it is over:
// what did not answer was silent until then.
func next(d Device, m Reach, h heard, front string, downAfter time.Duration, at, now time.Time) (Reach, StateChange) {
	m.SNMPWorked = m.SNMPWorked || h.snmp == answers || d.SNMPCredential != ""
	m.ICMPWorked = m.ICMPWorked || h.icmp == answers
	m.TCPWorked = m.TCPWorked || h.tcp == answers || d.SSHCredential != ""
	if h.tcp != notAsked {
		m.KnockedAt, m.KnockAnswered = at, h.alive
	}
	if h.snmp == answers {
		m.SNMPLostSince = time.Time{}
	} else if h.snmp == silent && m.SNMPWorked && m.SNMPLostSince.IsZero() {
		m.SNMPLostSince = at
	}
	change := StateChange{From: d.State, To: d.State, Since: d.StateSince, Behind: d.Behind, Site: d.Site, Message: strings.Join(h.said, ", ")}
	never := !m.SNMPWorked && !m.ICMPWorked && !m.TCPWorked
	counts := h.snmp == silent && m.SNMPWorked || h.icmp == silent && m.ICMPWorked || h.tcp == silent && (m.TCPWorked || never)
	switch {
	case h.alive:
		m.LostSince = time.Time{}
		change.Behind = ""
		switch since := m.SNMPLostSince; {
		case !since.IsZero() && at.Sub(since) >= downAfter:
			change.To, change.Since = StateDegraded, since
		case h.tcp == silent && m.TCPWorked && !m.SNMPWorked && !m.ICMPWorked:
			change.To, change.Since = StateDegraded, at // refused: there, but not for us
		case h.tcp == notAsked && d.State == StateDegraded && m.TCPWorked && !m.SNMPWorked && !m.ICMPWorked:
			// The last knock speaks for it, and that was refused.
		case d.State == StateDegraded && !since.IsZero():
			// Lost again before it was whole: it stays what it was.
		default:
			change.To, change.Since = StateUp, at
		}
	case counts:
		if m.LostSince.IsZero() {
			m.LostSince = at
		}
		since, wait := m.LostSince, downAfter
		if d.State == StateBehind {
			// The way to it is back before it is: its own time begins with that round.
			since, wait = d.StateSince, max(downAfter, converges)
			switch {
			case front != "":
				m.LostSince = since
			case !m.LostSince.After(since):
				m.LostSince = at
			}
		}
		settled := d.State == StateDown || d.State == StateBehind && front != ""
		if now.Sub(m.LostSince) < wait && !settled {
			break
		}
		change.To, change.Since, change.Behind = StateDown, since, ""
		if front != "" {
			change.To, change.Behind = StateBehind, front
		}
		if front != "" && front != ThisMachine {
			change.Message += "; " + front + " in front of it does not answer either"
		}
	}
	if change.To == d.State && change.Behind == d.Behind {
		change.Since = d.StateSince
	}
	return m, change
}

// inFront finds, for each device that does not answer, the silent device that
// stands between it and those that do: its neighbor on the shortest way, by what
// LLDP told, to a device that answers. A silent device with a neighbor that
// answers has none, and neither have those of a part of the network in which
// nothing answers: nothing says from which side we look at it.
func inFront(devices []Device, all []heard, links map[int64][]Link, chassis map[string]int64) map[int64]string {
	byName := map[string]int64{}
	dark := map[int64]bool{}
	lit := map[int64]bool{}
	names := map[int64]string{}
	for i, d := range devices {
		names[d.ID] = d.Name
		byName[strings.ToLower(d.Name)] = d.ID
		dark[d.ID] = all[i].silentAll()
		lit[d.ID] = all[i].alive
	}
	next := map[int64]map[int64]bool{}
	link := func(a, b int64) {
		if next[a] == nil {
			next[a] = map[int64]bool{}
		}
		next[a][b] = true
	}
	for id, ls := range links {
		for _, l := range ls {
			other, ok := chassis[l.ChassisID]
			if !ok {
				other, ok = byName[strings.ToLower(cleanName(l.SysName))]
			}
			if ok && other != id {
				link(id, other)
				link(other, id)
			}
		}
	}
	// From the devices that answer into the dark, one step at a time. What the
	// first step reaches is the front; what a later one reaches is behind it.
	front := map[int64]string{}
	seen := map[int64]bool{}
	var edge []int64
	for _, d := range devices {
		if !dark[d.ID] {
			continue
		}
		for other := range next[d.ID] {
			if lit[other] && !seen[d.ID] {
				seen[d.ID] = true
				edge = append(edge, d.ID)
			}
		}
	}
	for len(edge) > 0 {
		var further []int64
		for _, id := range edge {
			for _, d := range devices { // in the order of names, so that the result is one
				if other := d.ID; next[id][other] && dark[other] && !seen[other] {
					seen[other] = true
					front[other] = names[id]
					further = append(further, other)
				}
			}
		}
		edge = further
	}
	return front
}

// blameThisMachine finds, of the devices that do not answer and were not down
// before, those to which this machine itself has no way: no route, no link, or a
// gateway that does not answer. That gateway may be a device of the inventory; then
// it is the one in front, and not this machine.
func (r *Reachability) blameThisMachine(n Network, devices []Device, all []heard, fronts map[int64]string) {
	var lacks func(addr, source netip.Addr) lack
	byAddr := map[netip.Addr]int{}
	for i, d := range devices {
		byAddr[d.Address] = i
	}
	for i, d := range devices {
		if !all[i].silentAll() || d.State == StateDown || d.Address.IsLoopback() {
			continue
		}
		if lacks == nil {
			lacks = r.own()
		}
		l := lacks(d.Address, n.SSHTarget(d, collector.Credential{}, nil).Source)
		if l.what == "" {
			continue
		}
		all[i].said = append(all[i].said, l.what)
		gateway, known := byAddr[l.gateway]
		switch {
		case !l.gateway.IsValid() || !known:
			fronts[d.ID] = ThisMachine
		case all[gateway].silentAll():
			fronts[d.ID] = devices[gateway].Name
		}
	}
}

// keep stores a round: what changed, in one transaction with its events.
func (r *Reachability) keep(ctx context.Context, n Network, devices []Device, memory map[int64]Reach, all []heard, fronts map[int64]string, at, now time.Time) error {
	downAfter := first(n.DownAfter, 5*time.Minute)
	err := r.o.Store.Update(ctx, func(tx Tx) error {
		for i, old := range devices {
			was, known := memory[old.ID]
			m, change := next(old, was, all[i], fronts[old.ID], downAfter, at, now)
			if m != was || !known {
				if err := tx.PutReach(old.ID, m); err != nil {
					return err
				}
			}
			seen := all[i].alive && at.Sub(old.LastSeen) >= 10*time.Minute
			changed := change.To != old.State || change.Behind != old.Behind
			if !changed && !seen {
				continue
			}
			// A person, or another job, may have changed the device meanwhile.
			d, err := tx.Device(old.ID)
			if errors.Is(err, ErrNoDevice) || err == nil && (d.ID != old.ID || d.State != old.State) {
				continue
			}
			if err != nil {
				return err
			}
			if all[i].alive {
				d.LastSeen = at
			}
			if changed {
				d.State, d.StateSince, d.Behind = change.To, change.Since, change.Behind
				if err := tx.PutState(d.ID, Interval{State: change.To, Since: change.Since, Behind: change.Behind, Message: change.Message}); err != nil {
					return err
				}
				if err := emit(tx, at, EventState, d, "", change); err != nil {
					return err
				}
			}
			if err := tx.PutDevice(&d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep a round of reachability: %w", err)
	}
	return nil
}

// knock connects to the CLI port and hangs up. A device that takes the connection
// and resets it at once has answered.
func knock(ctx context.Context, t collector.Target) error {
	ctx, cancel := context.WithTimeoutCause(ctx, min(t.Limits.WithDefaults().Connect, 5*time.Second), collector.ErrTimedOut)
	defer cancel()
	var d net.Dialer
	if t.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: t.Source.AsSlice(), Zone: t.Source.Zone()}
	}
	c, err := d.DialContext(ctx, "tcp", t.Addr.String())
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return nil
	case err != nil:
		return err
	}
	return c.Close()
}
