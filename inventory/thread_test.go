package inventory_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/collector"
	"muster/collector/cli"
	"muster/internal/lab"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
	"muster/store"
)

// thread is the inventory over a real store in front of the simulated network.
type thread struct {
	t     *testing.T
	net   *lab.Network
	dir   string
	key   secret.Key
	st    *store.Store
	scope inventory.Scope
	creds map[string]collector.Credential

	access    *inventory.Access
	discovery *inventory.Discovery
	devices   *inventory.Devices
	reach     *inventory.Reachability
}

func newThread(t *testing.T, o lab.Options) *thread {
	t.Helper()
	n, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	th := &thread{t: t, net: n, dir: filepath.Join(t.TempDir(), "muster"), key: secret.NewKey(), creds: map[string]collector.Credential{
		"ro":  {Name: "ro", Kind: collector.KindSNMPv2c, Community: secret.New(lab.Community)},
		"noc": {Name: "noc", Kind: collector.KindSSH, User: lab.User, Password: secret.New(lab.Password), Enable: secret.New(lab.Enable)},
	}}
	th.scope = inventory.Scope{Name: "lab", Contains: n.Prefix().Contains, Credentials: []string{"ro", "noc"}, PasswordsTo: inventory.ToIdentified,
		Declared: true, HostKeys: collector.AcceptNew, SNMPPort: n.SNMPPort(), SNMPRate: 2000, SSHPort: n.SSHPort(),
		Limits: collector.Limits{SNMPTimeout: 300 * time.Millisecond, SNMPRetries: 1},
		Addresses: func(context.Context) ([]netip.Addr, error) {
			var all []netip.Addr
			for _, d := range n.Devices() {
				all = append(all, n.Addr(d.Name))
			}
			return all, nil
		}}
	th.begin()
	t.Cleanup(func() {
		if err := th.st.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return th
}

// begin opens the store and builds the parts, as a start of the program does.
func (th *thread) begin() {
	th.t.Helper()
	var err error
	if th.st, err = store.Open(th.dir, th.key, store.Options{}); err != nil {
		th.t.Fatal(err)
	}
	set, faults := platform.Load(nil)
	if len(faults) > 0 {
		th.t.Fatal(faults)
	}
	o := inventory.Options{Store: th.st.Inventory(), Platforms: func() *platform.Set { return set }, DigestKey: []byte("0123456789abcdef"),
		Network: func() inventory.Network {
			return inventory.Network{Scopes: []inventory.Scope{th.scope}, Names: []string{"ro", "noc"},
				ScopeOf: func(a netip.Addr) (inventory.Scope, bool) { return th.scope, th.scope.Contains(a) },
				Credential: func(_ context.Context, name string) (collector.Credential, error) {
					c, ok := th.creds[name]
					if !ok {
						return c, fmt.Errorf("there is no credential %s", name)
					}
					return c, nil
				}}
		}}
	th.access = inventory.NewAccess(o)
	th.discovery = inventory.NewDiscovery(o, th.access)
	th.devices = inventory.NewDevices(o, th.access)
	th.reach = inventory.NewReachability(o)
}

func (th *thread) discover() []inventory.Result {
	th.t.Helper()
	var found []inventory.Candidate
	if _, err := th.discovery.Sweep(th.t.Context(), nil, nil, func(c inventory.Candidate) { found = append(found, c) }); err != nil {
		th.t.Fatal(err)
	}
	run := th.access.Begin()
	results := make([]inventory.Result, len(found))
	var group sync.WaitGroup
	for i, c := range found {
		group.Go(func() { results[i] = th.discovery.Examine(th.t.Context(), run, c, false) })
	}
	group.Wait()
	slices.SortFunc(results, func(a, b inventory.Result) int { return a.Address.Compare(b.Address) })
	return results
}

func TestDemoNetworkIsFoundNamedAndOpened(t *testing.T) {
	demo := lab.Demo()
	demo.Devices = slices.DeleteFunc(demo.Devices, func(d lab.Device) bool { return d.Platform == lab.FRR }) // tells no model and no serial: see the next test
	demo.Links = slices.DeleteFunc(demo.Links, func(l lab.Link) bool { return strings.Contains(l.A+l.B, "-rr-") })
	th := newThread(t, demo)
	for _, r := range th.discover() {
		if r.Outcome != inventory.OutcomeNew || r.Kind != "" {
			t.Errorf("discovery: %+v", r)
		}
	}
	// A restart forgets nothing, and finds nothing new.
	if err := th.st.Close(); err != nil {
		t.Fatal(err)
	}
	th.begin()
	for _, r := range th.discover() {
		if r.Outcome != inventory.OutcomeKnown || r.Kind != "" {
			t.Errorf("second discovery: %+v", r)
		}
	}
	// Each half of the firewall pair lists both serials: that is no clash.
	events, err := th.st.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == inventory.EventIdentityClash {
			t.Errorf("%s: %s %s", e.Kind, e.Device, e.Subject)
		}
	}
	// A device that is dead is not taken for alive because the kernel answers at
	// its address of this machine.
	th.net.Stop("par-acc-1")
	if err := th.reach.Round(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := th.reach.Round(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if d, err := th.devices.Show(t.Context(), "par-acc-1"); err != nil || d.State != inventory.StateDown {
		t.Errorf("a stopped device is %s (%v)", d.State, err)
	}
	if err := th.net.Resume("par-acc-1"); err != nil {
		t.Fatal(err)
	}
	if err := th.reach.Round(t.Context(), time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	set, _ := platform.Load(nil)
	run := th.access.Begin()
	for _, want := range th.net.Devices() {
		d, err := th.devices.Show(t.Context(), want.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if d.Platform != string(want.Platform) || d.Model == "" || d.Version == "" || d.Serial != want.Serial || d.Vendor == "" || d.State != inventory.StateUp {
			t.Errorf("%s: platform %q model %q version %q serial %q vendor %q state %q; the device is %+v", d.Name, d.Platform, d.Model, d.Version, d.Serial, d.Vendor, d.State, want)
		}
		f, err := th.devices.FactsOf(t.Context(), d.ID)
		if err != nil || len(f.Interfaces) == 0 || (len(f.Neighbors) == 0 && want.Platform != lab.ASA) || len(f.Identifiers) == 0 {
			t.Errorf("%s: %d interfaces, %d neighbors, identifiers %v (%v)", d.Name, len(f.Interfaces), len(f.Neighbors), f.Identifiers, err)
		}
		def, _ := set.ByName(d.Platform)
		s, steps, err := run.Open(t.Context(), d, def.Dialogue(), cli.Options{})
		if err != nil {
			t.Errorf("open: %v", err)
			continue
		}
		if err := s.Close(); err != nil || s.Credential != "noc" || len(steps) < 4 {
			t.Errorf("%s: close %v, credential %q, steps %v", d.Name, err, s.Credential, steps)
		}
	}
}

func TestRogueAndHintlessDevicesOfTheLab(t *testing.T) {
	th := newThread(t, lab.Options{Devices: []lab.Device{
		{Name: "frr1", Platform: lab.FRR, SysDescr: "Linux frr1 6.1.0", SysObjectID: "1.3.6.1.4.1.8072.3.2.10"},
		{Name: "rogue", Rogue: true},
		{Name: "nosnmp", Platform: lab.FRR, NoSNMP: true},
		{Name: "sw1", Platform: lab.IOSXE},
	}})
	bound := th.creds["noc"]
	bound.For = []netip.Prefix{netip.PrefixFrom(th.net.Addr("frr1"), 32), netip.PrefixFrom(th.net.Addr("nosnmp"), 32), netip.PrefixFrom(th.net.Addr("sw1"), 32)}
	th.creds["noc"] = bound
	if _, err := th.devices.Add(t.Context(), inventory.NewDevice{Address: th.net.Addr("nosnmp").String(), Name: "nosnmp"}, "ops"); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]string{}
	for _, r := range th.discover() {
		outcomes[r.Device] = strings.TrimSpace(fmt.Sprint(r.Outcome, " ", r.Platform, " ", r.Kind))
		if r.Kind != "" {
			t.Errorf("%+v", r)
		}
	}
	want := map[string]string{"frr1": "new frr", "nosnmp": "known frr", "sw1": "new cisco_iosxe"}
	for name, w := range want {
		if outcomes[name] != w {
			t.Errorf("%s: %q, want %q", name, outcomes[name], w)
		}
	}
	if th.net.PasswordSeen("rogue") {
		t.Error("the rogue server got a password")
	}
	if err := th.net.Rekey("sw1"); err != nil {
		t.Fatal(err)
	}
	d, err := th.devices.Show(t.Context(), "sw1")
	if err != nil {
		t.Fatal(err)
	}
	set, _ := platform.Load(nil)
	def, _ := set.ByName("cisco_iosxe")
	open := func() error {
		s, _, err := th.access.Begin().Open(t.Context(), d, def.Dialogue(), cli.Options{})
		if s != nil {
			_ = s.Close()
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatalf("first session pins the key: %v", err)
	}
	if err := th.net.Rekey("sw1"); err != nil {
		t.Fatal(err)
	}
	logins := len(th.net.LoginLog("sw1"))
	if err := open(); collector.KindOf(err) != collector.ErrHostKeyChanged || len(th.net.LoginLog("sw1")) != logins {
		t.Errorf("after the key changed: %v and %d logins more", err, len(th.net.LoginLog("sw1"))-logins)
	}
	f, err := inventory.ParseFilter("sw1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := th.devices.AcceptKey(t.Context(), f, "ops"); err != nil || len(got) != 1 {
		t.Fatalf("accept-key: %v, %v", got, err)
	}
	if err := open(); err != nil {
		t.Errorf("after accept-key: %v", err)
	}
}
