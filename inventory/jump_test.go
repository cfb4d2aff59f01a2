package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/collector"
	"muster/collector/cli"
)

// fakeJump is a connection to a jump host that reaches nothing.
type fakeJump struct {
	mu     sync.Mutex
	gone   bool // it ended, and nobody has noticed
	closed bool
}

func (f *fakeJump) Dial(context.Context, netip.AddrPort) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil, cli.ErrJumpGone
	}
	return nil, nil
}
func (f *fakeJump) Alive() bool { f.mu.Lock(); defer f.mu.Unlock(); return !f.closed }
func (f *fakeJump) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// behind makes the bench's scope one behind a jump host; what it returns are the
// connections that were opened to jump hosts.
func (b *bench) behind(j JumpHost) *[]*fakeJump {
	b.scope.Jump = j
	var all []*fakeJump
	play := b.open
	b.a.openJump = func(ctx context.Context, t collector.Target, o cli.Options) (opened, error) {
		s, err := play(ctx, t, cli.Dialogue{}, o)
		if err == nil {
			f := &fakeJump{}
			all = append(all, f)
			s.jump = f
		}
		return s, err
	}
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		if o.Dial == nil {
			b.t.Errorf("%s was reached directly", t.Device)
		} else if _, err := o.Dial(ctx, t.Addr); err != nil {
			return opened{}, &collector.Error{Device: t.Device, Addr: t.Addr, Step: collector.StepConnect, Kind: collector.ErrUnreachable, Cause: err}
		}
		return play(ctx, t, d, o)
	}
	return &all
}

func TestSessionsShareOneConnectionToTheirJumpHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("ops", "right")
		jumps := b.behind(JumpHost{Host: "bastion"})
		b.device("bastion", nil)
		var all []Device
		for _, name := range []string{"sw1", "sw2", "sw3", "sw4"} {
			all = append(all, b.device(name, nil))
		}
		r := b.a.Begin()
		var wg sync.WaitGroup
		for _, d := range all {
			wg.Go(func() {
				if err := b.try(r, d); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := b.try(b.a.Begin(), all[0]); err != nil { // of another run
			t.Error(err)
		}
		if len(*jumps) != 1 {
			t.Fatalf("%d connections to the jump host, want 1", len(*jumps))
		}
		if !(*jumps)[0].Alive() {
			t.Error("closed at once")
		}
		time.Sleep(jumpIdle + time.Second)
		synctest.Wait()
		if (*jumps)[0].Alive() {
			t.Error("still open though idle")
		}
		if err := b.try(b.a.Begin(), all[1]); err != nil || len(*jumps) != 2 {
			t.Errorf("after the idle close: %v, %d connections", err, len(*jumps))
		}
		b.a.Close()
		if (*jumps)[1].Alive() {
			t.Error("Close left it open")
		}
	})
}

func TestAJumpHostThatEndedUnnoticedIsAskedOnceMore(t *testing.T) {
	b := newBench(t)
	b.credential("ops", "right")
	jumps := b.behind(JumpHost{Host: "bastion"})
	b.device("bastion", nil)
	sw1 := b.device("sw1", nil)
	defer b.a.Close()
	if err := b.try(b.a.Begin(), sw1); err != nil {
		t.Fatal(err)
	}
	first := (*jumps)[0]
	first.mu.Lock()
	first.gone, first.closed = true, true
	first.mu.Unlock()
	if err := b.try(b.a.Begin(), sw1); err != nil || len(*jumps) != 2 {
		t.Errorf("%v, %d connections", err, len(*jumps))
	}
}

func TestAJumpHostThatRejectsTheLoginWearsItsOwnBudget(t *testing.T) {
	b := newBench(t)
	b.credential("ops", "wrong")
	b.behind(JumpHost{Host: "bastion"})
	bastion := b.device("bastion", nil)
	sw1, sw2 := b.device("sw1", nil), b.device("sw2", nil)
	b.accepts = func(device string, _ collector.Credential) bool { return device != "bastion" }
	r := b.a.Begin()
	for _, d := range []Device{sw1, sw2} {
		err := b.try(r, d)
		var e *collector.Error
		if !errors.As(err, &e) || e.Kind != collector.ErrUnreachable || e.Step != collector.StepConnect || e.Device != d.Name ||
			!strings.Contains(e.Do, "Jump host bastion is not usable, at login: login rejected") {
			t.Errorf("%s: %v", d.Name, err)
		}
		if attempts, _ := (memoryTx{b.m}).Attempts(d.ID, time.Time{}); len(attempts) != 0 {
			t.Errorf("%s wears %v", d.Name, attempts)
		}
	}
	if n := b.rejected["bastion"]; n != 1 {
		t.Errorf("the jump host rejected %d logins, want 1", n)
	}
	if attempts, _ := (memoryTx{b.m}).Attempts(bastion.ID, time.Time{}); len(attempts) != 1 || attempts[0].Rejected != 1 {
		t.Errorf("kept of the jump host: %v", attempts)
	}
}

func TestAJumpHostByAddressBecomesADeviceThatIsNotManaged(t *testing.T) {
	b := newBench(t)
	b.credential("ops", "right")
	b.secrets["gate"] = collector.Credential{Name: "gate", Kind: collector.KindSSH, User: "gate"}
	b.behind(JumpHost{Host: "192.0.2.1", Credential: "gate"})
	b.host = func(device string) collector.HostKey {
		return collector.HostKey{Type: "ssh-ed25519", Blob: []byte(device), Fingerprint: "SHA256:" + device}
	}
	sw1 := b.device("sw1", nil)
	defer b.a.Close()
	if err := b.try(b.a.Begin(), sw1); err != nil {
		t.Fatal(err)
	}
	host, err := findJump(memoryTx{b.m}, b.scope.Jump)
	if err != nil || host.Managed || !host.ManagedGiven || host.SSHCredential != "gate" {
		t.Fatalf("%+v, %v", host, err)
	}
	if keys, _ := (memoryTx{b.m}).Keys(host.ID); len(keys) != 1 || keys[0].Fingerprint != "SHA256:192.0.2.1" {
		t.Errorf("pinned: %v", keys)
	}
	if got := strings.Join(b.logins, "; "); got != "192.0.2.1 gate; sw1 ops" {
		t.Errorf("logins: %s", got)
	}
}

func TestJumpHostsThatCannotBeAreNamed(t *testing.T) {
	b := newBench(t)
	b.credential("ops", "right")
	b.behind(JumpHost{})
	a1 := b.device("a1", nil)
	b1 := b.device("b1", nil)
	other := b.device("c1", nil)
	network := b.a.o.Network
	b.a.o.Network = func() Network {
		n := network()
		scopes := map[netip.Addr]Scope{}
		for addr, via := range map[netip.Addr]string{a1.Address: "b1", b1.Address: "a1", other.Address: "nobody"} {
			sc := b.scope
			sc.Name, sc.Jump.Host = "behind "+via, via
			scopes[addr] = sc
		}
		n.Scopes = []Scope{scopes[a1.Address], scopes[b1.Address], scopes[other.Address]}
		n.ScopeOf = func(addr netip.Addr) (Scope, bool) { sc, ok := scopes[addr]; return sc, ok }
		return n
	}
	for d, want := range map[*Device]string{
		&a1:    "each is to be reached through the next: a1, b1, a1",
		&other: "There is no jump host nobody in the inventory",
	} {
		if err := b.try(b.a.Begin(), *d); !errors.Is(err, collector.ErrUnreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
	wrong, err := b.a.CheckJumps(t.Context())
	if err != nil || len(wrong) != 3 || !strings.Contains(strings.Join(wrong, "\n"), "a1, b1, a1") && !strings.Contains(strings.Join(wrong, "\n"), "b1, a1, b1") {
		t.Errorf("check: %q, %v", wrong, err)
	}
	if len(b.logins) != 0 {
		t.Errorf("logins: %v", b.logins)
	}
}

// Whoever says yes to all devices behind a jump host that is down waits for it once.
func TestAJumpHostThatIsDownIsAskedOnceForAllThatAreAllowed(t *testing.T) {
	b := newBench(t)
	b.credential("ops", "right")
	b.behind(JumpHost{Host: "bastion"})
	b.fails["bastion"] = collector.ErrTimedOut
	b.device("bastion", nil)
	tries := atomic.Int32{}
	b.a.reach = func(ctx context.Context, t collector.Target) error {
		tries.Add(1)
		return b.reach(ctx, t)
	}
	for i := range 20 {
		b.device(fmt.Sprint("web", i), func(d *Device) { d.Identified, d.Tags = false, []string{"web"} })
	}
	got, err := NewDevices(b.a.o, b.a).Allow(t.Context(), mustFilter(t, "tag:web"), AllowOptions{}, "ops")
	if err != nil || len(got) != 20 {
		t.Fatalf("%d devices: %v", len(got), err)
	}
	for _, a := range got {
		if a.Outcome != AllowFailed || !strings.Contains(a.Message, "Jump host bastion is not usable") {
			t.Errorf("%+v", a)
		}
	}
	if n := tries.Load(); n != 1 {
		t.Errorf("the jump host was connected to %d times, want once", n)
	}
}
