package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"muster/collector"
	"muster/collector/cli"
)

// A scope's telnet decides for all its devices: protocol, port, and that a host
// key which was pinned while they spoke SSH is no proof any more.
func TestScopeSaysTelnet(t *testing.T) {
	dev := Device{Name: "relic", Address: at1}
	sc := Scope{Name: "old", SSHPort: 2222, TelnetPort: 23}
	n := Network{ScopeOf: func(netip.Addr) (Scope, bool) { return sc, true }}
	if tg := n.SSHTarget(dev, collector.Credential{}, nil); !tg.Telnet || tg.Addr.Port() != 23 {
		t.Errorf("target %+v", tg)
	}
	sc.TelnetPort = 0
	if tg := n.SSHTarget(dev, collector.Credential{}, nil); tg.Telnet || tg.Addr.Port() != 2222 {
		t.Errorf("target %+v", tg)
	}
	sc.TelnetPort = 23
	pinned := []Key{{State: KeyPinned, ByPerson: true}}
	for _, to := range []PasswordsTo{ToIdentified, ToAuthenticated} {
		sc.PasswordsTo = to
		may, _, why := passwordsMay(dev, sc, pinned, "", nil)
		if may || !strings.Contains(why, "telnet has no host key") || strings.Contains(why, "device allow") {
			t.Errorf("passwords to %s: %t, %q", to, may, why)
		}
	}
	sc.PasswordsTo = ToAuthenticated
	if may, _, _ := passwordsMay(dev, sc, nil, collector.KindSNMPv3, nil); !may {
		t.Error("SNMPv3 does not authenticate a device that is read by Telnet")
	}
}

// Behind a jump host the relic is read by Telnet, and the jump host by SSH as ever.
func TestTelnetBehindAJumpHost(t *testing.T) {
	b := newBench(t)
	b.credential("ops", "right")
	b.behind(JumpHost{})
	b.device("bastion", nil)
	relic := b.device("relic", nil)
	old := b.scope
	old.Name, old.TelnetPort, old.Jump = "old", 23, JumpHost{Host: "bastion"}
	network := b.a.o.Network
	b.a.o.Network = func() Network {
		n := network()
		n.Scopes = append(n.Scopes, old)
		n.ScopeOf = func(addr netip.Addr) (Scope, bool) {
			if addr == relic.Address {
				return old, true
			}
			return b.scope, true
		}
		return n
	}
	var ways []string
	note := func(t collector.Target, through string) {
		ways = append(ways, fmt.Sprintf("%s by %s on %d%s", t.Device, t.Protocol(), t.Addr.Port(), through))
	}
	openJump, open := b.a.openJump, b.a.open
	b.a.openJump = func(ctx context.Context, t collector.Target, o cli.Options) (opened, error) {
		note(t, "")
		return openJump(ctx, t, o)
	}
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		if o.Dial != nil {
			note(t, " through it")
		}
		return open(ctx, t, d, o)
	}
	defer b.a.Close()
	if err := b.try(b.a.Begin(), relic); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(ways, "; "), "bastion by SSH on 22; relic by Telnet on 23 through it"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The look at a host key opens nothing where there is none: it would log in.
func TestNoLookByTelnet(t *testing.T) {
	a := NewAccess(Options{})
	a.open = func(context.Context, collector.Target, cli.Dialogue, cli.Options) (opened, error) {
		t.Error("a session was opened")
		return opened{}, nil
	}
	n := Network{ScopeOf: func(netip.Addr) (Scope, bool) { return Scope{Name: "old", TelnetPort: 23}, true }}
	_, err := a.Begin().shownKey(t.Context(), n, Device{Name: "relic", Address: at1})
	if collector.KindOf(err) != collector.ErrNeedsDecision || !strings.Contains(err.Error(), "scope old says telnet") {
		t.Errorf("error %v", err)
	}
}
