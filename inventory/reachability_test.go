package inventory

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
)

func TestNextState(t *testing.T) {
	const after = 5 * time.Minute
	min := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	snmp := Device{SNMPCredential: "ro", State: StateUp, StateSince: min(-60)}
	in := func(d Device, s State) Device { d.State = s; return d }
	behind := Device{SNMPCredential: "ro", State: StateBehind, Behind: "dist1", StateSince: min(-9)}
	lost := func(m int) Reach { return Reach{SNMPWorked: true, LostSince: min(m), SNMPLostSince: min(m)} }
	tests := map[string]struct {
		d     Device
		m     Reach
		h     heard
		front string
		want  State
		since time.Time
	}{
		"first answer":                          {in(snmp, StateUnknown), Reach{}, heard{snmp: answers, alive: true}, "", StateUp, min(0)},
		"goes on answering":                     {snmp, Reach{}, heard{snmp: answers, alive: true}, "", StateUp, min(-60)},
		"one lost answer":                       {snmp, Reach{}, heard{snmp: silent, icmp: silent, tcp: silent}, "", StateUp, min(-60)},
		"lost for less than the time":           {snmp, lost(-4), heard{snmp: silent}, "", StateUp, min(-60)},
		"down, since the first lost answer":     {snmp, lost(-5), heard{snmp: silent}, "", StateDown, min(-5)},
		"behind what does not answer either":    {snmp, lost(-5), heard{snmp: silent}, "dist1", StateBehind, min(-5)},
		"the one in front is just back":         {behind, lost(-9), heard{snmp: silent}, "", StateBehind, min(-9)},
		"the one in front is back for a while":  {behind, lost(-4), heard{snmp: silent}, "", StateBehind, min(-9)},
		"the one in front is back for long":     {behind, lost(-5), heard{snmp: silent}, "", StateDown, min(-9)},
		"the one in front is lost once more":    {behind, lost(-4), heard{snmp: silent}, "dist1", StateBehind, min(-9)},
		"up at once":                            {in(snmp, StateDown), lost(-9), heard{snmp: answers, alive: true}, "", StateUp, min(0)},
		"SNMP lost for a while, ICMP answers":   {snmp, Reach{SNMPWorked: true, SNMPLostSince: min(-1)}, heard{snmp: silent, icmp: answers, alive: true}, "", StateUp, min(-60)},
		"SNMP lost for long, ICMP answers":      {snmp, Reach{SNMPWorked: true, SNMPLostSince: min(-5)}, heard{snmp: silent, icmp: answers, alive: true}, "", StateDegraded, min(-5)},
		"SNMP lost, port refuses: it is there":  {snmp, Reach{SNMPWorked: true, SNMPLostSince: min(-5)}, heard{snmp: silent, tcp: silent, alive: true}, "", StateDegraded, min(-5)},
		"SNMP is back":                          {in(snmp, StateDegraded), Reach{SNMPWorked: true, SNMPLostSince: min(-9)}, heard{snmp: answers, alive: true}, "", StateUp, min(0)},
		"ICMP that never worked does not count": {Device{State: StateUnknown}, Reach{}, heard{icmp: silent}, "", StateUnknown, time.Time{}},
		"nothing ever worked":                   {Device{State: StateUnknown}, Reach{}, heard{icmp: silent, tcp: silent}, "", StateUnknown, time.Time{}},
		"nothing ever worked, for long":         {Device{State: StateUnknown}, Reach{LostSince: min(-5)}, heard{icmp: silent, tcp: silent}, "", StateDown, min(-5)},
		"nothing ever worked, port not asked":   {Device{State: StateUnknown}, Reach{LostSince: min(-5)}, heard{icmp: silent}, "", StateUnknown, time.Time{}},
		"SSH alone, lost":                       {Device{SSHCredential: "noc", State: StateUp, StateSince: min(-60)}, Reach{TCPWorked: true, LostSince: min(-5)}, heard{tcp: silent}, "", StateDown, min(-5)},
		"SSH alone, refused":                    {Device{SSHCredential: "noc", State: StateUp}, Reach{TCPWorked: true}, heard{tcp: silent, alive: true}, "", StateDegraded, min(0)},
		"not asked in this round":               {Device{SSHCredential: "noc", State: StateUp, StateSince: min(-60)}, Reach{TCPWorked: true, LostSince: min(-9)}, heard{}, "", StateUp, min(-60)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := next(tt.d, tt.m, tt.h, tt.front, after, noon, noon)
			if got.To != tt.want || !got.Since.Equal(tt.since) || got.From != tt.d.State || (got.To == StateBehind) != (got.Behind != "") {
				t.Errorf("next = %+v, want %s since %s", got, tt.want, tt.since)
			}
		})
	}
}

func TestBehindFollowsTheNeighbors(t *testing.T) {
	// core answers; dist does not, and hangs on core; acc1 and acc2 hang on dist; lone hangs on nobody.
	devices := []Device{{ID: 1, Name: "acc1"}, {ID: 2, Name: "acc2"}, {ID: 3, Name: "core"}, {ID: 4, Name: "dist"}, {ID: 5, Name: "lone"}}
	dark := heard{snmp: silent}
	all := []heard{dark, dark, {snmp: answers, alive: true}, dark, dark}
	links := map[int64][]Link{4: {{SysName: "core"}, {ChassisID: "00:11:22:33:44:01"}}, 2: {{SysName: "DIST"}, {SysName: "stranger"}}}
	chassis := map[string]int64{"00:11:22:33:44:01": 1}
	if diff := cmp.Diff(map[int64]string{1: "dist", 2: "dist"}, inFront(devices, all, links, chassis)); diff != "" {
		t.Errorf("in front (-want +got):\n%s", diff)
	}
	all[2] = dark // nothing answers: nothing says from which side we look
	if got := inFront(devices, all, links, chassis); len(got) != 0 {
		t.Errorf("in front = %v, want nobody", got)
	}
}

// watch is a bench with a Reachability on top, whose devices answer as told.
type watch struct {
	*bench
	r                   *Reachability
	pings, echos, dials atomic.Int32
	snmp, icmp, tcp     error
	lacks               map[netip.Addr]lack // what this machine lacks
}

func newWatch(t *testing.T) *watch {
	w := &watch{bench: newBench(t)}
	w.secrets["ro"] = collector.Credential{Name: "ro", Kind: collector.KindSNMPv2c}
	w.r = NewReachability(w.a.o)
	w.r.ping = func(context.Context, collector.Target) error { w.pings.Add(1); return w.snmp }
	w.r.echo = func(context.Context, netip.Addr, netip.Addr) error { w.echos.Add(1); return w.icmp }
	w.r.dial = func(context.Context, collector.Target) error { w.dials.Add(1); return w.tcp }
	w.r.own = func() func(netip.Addr, netip.Addr) lack {
		return func(addr, _ netip.Addr) lack { return w.lacks[addr] }
	}
	return w
}

func (w *watch) round(minutes int) {
	w.t.Helper()
	if err := w.r.Round(w.t.Context(), noon.Add(time.Duration(minutes)*time.Minute)); err != nil {
		w.t.Fatal(err)
	}
}

func TestDownIsSaidWithinTheConfiguredTimeHoweverLongTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const downAfter, every = 5 * time.Second, time.Second
		w := newWatch(t)
		w.r.o.Now = time.Now
		w.r.o.Network = func() Network {
			n := w.network()
			n.DownAfter, n.TCPEvery = downAfter, every
			return n
		}
		// Nothing answers, and each wait is waited to its end.
		w.r.ping = func(_ context.Context, t collector.Target) error {
			time.Sleep(time.Duration(1+t.Limits.SNMPRetries) * t.Limits.SNMPTimeout)
			return collector.ErrTimedOut
		}
		w.r.echo = func(ctx context.Context, _, _ netip.Addr) error { <-ctx.Done(); return context.Cause(ctx) }
		w.r.dial = func(_ context.Context, t collector.Target) error {
			time.Sleep(t.Limits.Connect)
			return collector.ErrTimedOut
		}
		d := w.device("core1", func(d *Device) { d.SNMPCredential, d.State = "ro", StateUp })
		died, rounds := time.Now(), 0
		for w.stored(d).State != StateDown {
			if rounds++; rounds > 20 {
				t.Fatal("it is never down")
			}
			if err := w.r.Round(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(every - time.Since(died)%every)
		}
		if took := time.Since(died); rounds < 2 || took < downAfter || took > downAfter+downAfter/2+every {
			t.Errorf("down after %s and %d rounds, want about %s and two at least", took, rounds, downAfter)
		}
	})
}

func TestClockThatGoesBackKeepsNoDeviceFromBeingDown(t *testing.T) {
	w := newWatch(t)
	d := w.device("core1", func(d *Device) { d.SNMPCredential, d.State = "ro", StateUp })
	w.snmp, w.icmp, w.tcp = collector.ErrTimedOut, errNoICMP, collector.ErrTimedOut
	w.round(24 * 60) // the clock is a day ahead
	for m := range 7 {
		w.round(m)
	}
	now := w.stored(d)
	if now.State != StateDown || !now.StateSince.Equal(noon) {
		t.Errorf("state %s since %s, want down since noon", now.State, now.StateSince)
	}
	if n := w.dials.Load(); n != 3 {
		t.Errorf("%d knocks, want one of the wrong time, and one in 5 minutes after it", n)
	}
}

func TestSSHIsKnockedOnlyWhenAllElseFailsAndNotOften(t *testing.T) {
	w := newWatch(t)
	d := w.device("core1", func(d *Device) { d.SNMPCredential = "ro" })
	w.round(0)
	if w.pings.Load() != 1 || w.echos.Load() != 0 || w.dials.Load() != 0 {
		t.Errorf("a device that answers SNMP: %d pings, %d echos, %d knocks; want one ping", w.pings.Load(), w.echos.Load(), w.dials.Load())
	}
	w.snmp, w.icmp, w.tcp = collector.ErrTimedOut, errNoICMP, collector.ErrTimedOut
	for m := 1; m <= 11; m++ {
		w.round(m)
	}
	if n := w.dials.Load(); n != 3 {
		t.Errorf("%d knocks in 11 minutes, want 3: one in 5 minutes", n)
	}
	now := w.stored(d)
	if now.State != StateDown || !now.StateSince.Equal(noon.Add(time.Minute)) {
		t.Errorf("state %s since %s, want down since the first lost answer", now.State, now.StateSince)
	}
	w.snmp = nil
	w.round(12)
	if now := w.stored(d); now.State != StateUp {
		t.Errorf("state %s after an answer, want up at once", now.State)
	}
	var states []State
	for _, i := range w.m.intervals[d.ID] {
		states = append(states, i.State)
	}
	if diff := cmp.Diff([]State{StateUp, StateDown, StateUp}, states); diff != "" || w.m.count(EventState) != 3 {
		t.Errorf("intervals (-want +got):\n%s and %d events, want 3", diff, w.m.count(EventState))
	}
	if msg := w.m.intervals[d.ID][1].Message; !strings.Contains(msg, "SNMP: no answer") || !strings.Contains(msg, "TCP 22") {
		t.Errorf("message %q, want what was tried", msg)
	}
}

// The last knock speaks for a device until the next one: a port that refuses does so
// in the rounds between, too.
func TestAPortThatRefusesIsOneTimeOfBeingDegraded(t *testing.T) {
	w := newWatch(t)
	d := w.device("sw1", func(d *Device) { d.SSHCredential, d.State, d.StateSince = "noc", StateUp, noon.Add(-time.Hour) })
	w.icmp, w.tcp = collector.ErrTimedOut, collector.ErrRefused
	for m := range 12 {
		w.round(m)
	}
	w.tcp = nil
	for m := 12; m < 17; m++ {
		w.round(m)
	}
	var states []State
	for _, i := range w.m.intervals[d.ID] {
		states = append(states, i.State)
	}
	if diff := cmp.Diff([]State{StateDegraded, StateUp}, states); diff != "" || w.m.count(EventState) != 2 {
		t.Errorf("intervals (-want +got):\n%s and %d events, want 2", diff, w.m.count(EventState))
	}
}

// What this machine itself cannot reach is not down: nobody knows. Where what it
// lacks is a device of the inventory, that one is in front.
func TestWhatThisMachineHasNoWayToIsNotDown(t *testing.T) {
	w := newWatch(t)
	known := func(d *Device) { d.SNMPCredential, d.State = "ro", StateUp }
	cut, alone, gate, beyond := w.device("cut", known), w.device("alone", known), w.device("gate", known), w.device("beyond", known)
	dead := w.device("dead", func(d *Device) { known(d); d.State = StateDown })
	noLink := lack{what: "interface eth0 of this machine has no link"}
	w.lacks = map[netip.Addr]lack{cut.Address: noLink, dead.Address: noLink, beyond.Address: {what: "gateway is mute", gateway: gate.Address}}
	w.snmp, w.icmp, w.tcp = collector.ErrTimedOut, collector.ErrTimedOut, collector.ErrTimedOut
	for m := range 7 {
		w.round(m)
	}
	for d, want := range map[*Device]string{&cut: "behind this machine", &alone: "down ", &gate: "down ", &beyond: "behind gate", &dead: "down "} {
		if now := w.stored(*d); string(now.State)+" "+now.Behind != want {
			t.Errorf("%s is %s %s, want %s", d.Name, now.State, now.Behind, want)
		}
	}
	all := w.m.intervals[cut.ID]
	if msg := all[len(all)-1].Message; !strings.HasSuffix(msg, noLink.what) {
		t.Errorf("message %q, want it to end with what is missing", msg)
	}
	// The link is back, and the device is not: it is down when routing had its time.
	w.lacks = nil
	w.round(7)
	if now := w.stored(cut); now.State != StateBehind {
		t.Errorf("%s is %s as soon as the link is back", cut.Name, now.State)
	}
	w.round(12)
	if now := w.stored(cut); now.State != StateDown {
		t.Errorf("%s is %s though there is a way to it", cut.Name, now.State)
	}
	w.snmp = nil
	w.round(13)
	if now := w.stored(cut); now.State != StateUp {
		t.Errorf("%s is %s after an answer", cut.Name, now.State)
	}
}

func TestMemoryOfReachabilityOutlivesARestart(t *testing.T) {
	w := newWatch(t)
	d := w.device("core1", func(d *Device) { d.SNMPCredential = "ro" })
	w.round(0)
	w.snmp, w.icmp, w.tcp = collector.ErrTimedOut, collector.ErrTimedOut, collector.ErrTimedOut
	w.round(1)
	again := newWatch(t)
	again.m, again.r.o.Store = w.m, w.m
	again.snmp, again.icmp, again.tcp = w.snmp, w.icmp, w.tcp
	again.round(6)
	if now := w.stored(d); now.State != StateDown || !now.StateSince.Equal(noon.Add(time.Minute)) {
		t.Errorf("state %s since %s, want down since before the restart", now.State, now.StateSince)
	}
}

func TestOnlyManagedDevicesAreAsked(t *testing.T) {
	w := newWatch(t)
	for name, change := range map[string]func(*Device){
		"a": func(d *Device) { d.Managed = false }, "b": func(d *Device) { d.Disabled = true }, "c": func(d *Device) { d.Retired = true }} {
		w.device(name, change)
	}
	w.device("noaddress", func(d *Device) { d.Address, d.SNMPCredential = netip.Addr{}, "ro" })
	w.round(0)
	if w.pings.Load()+w.echos.Load()+w.dials.Load() != 0 {
		t.Error("somebody was asked")
	}
}

func TestRefusingDeviceIsThere(t *testing.T) {
	w := newWatch(t)
	d := w.device("core1", func(d *Device) { d.SNMPCredential = "ro" })
	w.round(0)
	w.snmp, w.icmp, w.tcp = collector.ErrTimedOut, collector.ErrTimedOut, syscall.ECONNREFUSED
	for m := 1; m <= 8; m++ {
		w.round(m)
	}
	if now := w.stored(d); now.State != StateDegraded {
		t.Errorf("state %s, want degraded: it refuses, so it is there", now.State)
	}
}

func TestOneFrozenDeviceDoesNotHoldUpTheOthers(t *testing.T) {
	w := newWatch(t)
	for _, name := range []string{"frozen", "good"} {
		w.device(name, func(d *Device) { d.SNMPCredential = "ro" })
	}
	good := make(chan struct{})
	w.r.ping = func(ctx context.Context, t collector.Target) error {
		if t.Device == "good" {
			close(good)
			return nil
		}
		select { // answers only after the other was asked
		case <-good:
			return collector.ErrTimedOut
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	w.icmp, w.tcp = collector.ErrTimedOut, collector.ErrTimedOut
	w.round(0)
}

func TestRoundEndsWithItsContextAndKeepsNothing(t *testing.T) {
	w := newWatch(t)
	d := w.device("core1", func(d *Device) { d.SNMPCredential = "ro" })
	ctx, cancel := context.WithCancel(t.Context())
	w.r.ping = func(ctx context.Context, _ collector.Target) error { cancel(); <-ctx.Done(); return context.Cause(ctx) }
	w.r.echo = func(ctx context.Context, _, _ netip.Addr) error { return context.Cause(ctx) }
	w.r.dial = func(ctx context.Context, _ collector.Target) error { return context.Cause(ctx) }
	if err := w.r.Round(ctx, noon); err == nil {
		t.Error("the round went well")
	}
	if now := w.stored(d); now.State != "" || len(w.m.reach) != 0 {
		t.Errorf("state %q and memory %v, want what was there before", now.State, w.m.reach)
	}
}

func TestEchoAndKnockOnLoopback(t *testing.T) {
	lo := netip.MustParseAddr("127.0.0.1")
	if err := echo(t.Context(), lo, netip.Addr{}); err != nil && !strings.Contains(err.Error(), errNoICMP.Error()) {
		t.Errorf("echo = %v, want an answer, or no socket", err)
	}
	err := knock(t.Context(), collector.Target{Addr: netip.AddrPortFrom(lo, 1)})
	if err == nil {
		t.Error("port 1 answers")
	}
	var h heard
	if h.note(&h.tcp, "TCP 1", err); h.said[0] != "TCP 1: refused" {
		t.Errorf("said %q, want refused", h.said)
	}
}

// A device that resets a connection as soon as it has it is there. About every
// tenth of these connects sees the reset before it sees the connection.
func TestKnockThatIsResetIsAnswered(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	target := collector.Target{Addr: ln.Addr().(*net.TCPAddr).AddrPort()}
	for range 500 {
		if err := knock(t.Context(), target); err != nil {
			t.Fatalf("knock = %v, want an answer", err)
		}
	}
}
