package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
	"muster/collector/cli"
	"muster/internal/secret"
	"muster/inventory/platform"
)

// bench is an Access in front of devices that are played by one function.
type bench struct {
	t       *testing.T
	m       *memory
	a       *Access
	now     time.Time
	scope   Scope
	secrets map[string]collector.Credential
	host    func(device string) collector.HostKey // nil: no host keys are shown
	accepts func(device string, c collector.Credential) bool
	fails   map[string]error // what a device does instead of judging a login

	mu       sync.Mutex // guards below
	logins   []string   // "device credential method" in order
	rejected map[string]int
	inFlight map[string]int
	most     int // logins in flight of one credential at a time
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, m: newMemory(), now: noon, secrets: map[string]collector.Credential{}, rejected: map[string]int{},
		inFlight: map[string]int{}, fails: map[string]error{},
		scope: Scope{Name: "campus", PasswordsTo: ToIdentified, HostKeys: collector.AcceptNew, Contains: func(netip.Addr) bool { return true }},
	}
	b.accepts = func(string, collector.Credential) bool { return true }
	b.a = b.access()
	return b
}

// access builds an Access anew, as after a restart.
func (b *bench) access() *Access {
	defs, faults := platform.Load(nil)
	if len(faults) > 0 {
		b.t.Fatal(faults)
	}
	a := NewAccess(Options{Store: b.m, Network: b.network, Platforms: func() *platform.Set { return defs },
		Now: func() time.Time { return b.now }, DigestKey: []byte("0123456789abcdef")})
	a.open, a.reach = b.open, b.reach
	return a
}

func (b *bench) network() Network {
	return Network{Scopes: []Scope{b.scope}, ScopeOf: func(netip.Addr) (Scope, bool) { return b.scope, true }, Names: b.scope.Credentials,
		Credential: func(_ context.Context, name string) (collector.Credential, error) {
			c, ok := b.secrets[name]
			if !ok {
				return c, errors.New("no such secret")
			}
			return c, nil
		}}
}

// credential puts an SSH account at the end of the scope's list.
func (b *bench) credential(name, password string, for_ ...string) {
	c := collector.Credential{Name: name, Kind: collector.KindSSH, User: name, Password: secret.New(password)}
	for _, p := range for_ {
		c.For = append(c.For, netip.MustParsePrefix(p))
	}
	b.secrets[name] = c
	if !slices.Contains(b.scope.Credentials, name) {
		b.scope.Credentials = append(b.scope.Credentials, name)
	}
}

func (b *bench) device(name string, change func(*Device)) Device {
	d := Device{Name: name, Address: netip.AddrFrom4([4]byte{10, 0, byte(b.m.last >> 8), byte(b.m.last)}), Identified: true, Managed: true, Platform: "cisco_iosxe"}
	if change != nil {
		change(&d)
	}
	if err := b.m.Update(b.t.Context(), func(tx Tx) error { return tx.PutDevice(&d) }); err != nil {
		b.t.Fatal(err)
	}
	return d
}

// reach finds every device but those that fail.
func (b *bench) reach(_ context.Context, t collector.Target) error {
	if err := b.fails[t.Device]; err != nil {
		return &collector.Error{Device: t.Device, Addr: t.Addr, Step: collector.StepConnect, Kind: collector.KindOf(err)}
	}
	return nil
}

func (b *bench) open(ctx context.Context, t collector.Target, _ cli.Dialogue, o cli.Options) (opened, error) {
	fail := func(step collector.Step, kind collector.Kind) (opened, error) {
		return opened{}, &collector.Error{Device: t.Device, Addr: t.Addr, Step: step, Kind: kind}
	}
	o.Progress(collector.StepConnect, t.Addr.String())
	if err := b.fails[t.Device]; err != nil {
		return fail(collector.StepConnect, collector.KindOf(err))
	}
	if b.host != nil {
		key := b.host(t.Device)
		o.Shown(key)
		switch pinned := slices.ContainsFunc(t.SSH.Pinned, func(k collector.HostKey) bool { return sameHostKey(k, key) }); {
		case pinned:
		case len(t.SSH.Pinned) > 0:
			return fail(collector.StepHostKey, collector.ErrHostKeyChanged)
		case t.SSH.HostKeys == collector.Strict:
			return fail(collector.StepHostKey, collector.ErrHostKeyUnknown)
		default:
			if err := o.HostKey(key); err != nil {
				return opened{}, err
			}
		}
	}
	if o.MayLogIn != nil {
		if err := o.MayLogIn(ctx); err != nil {
			return opened{}, err
		}
	}
	o.Progress(collector.StepLogin, t.Credential.Name)
	name := t.Credential.Name
	b.mu.Lock()
	b.logins = append(b.logins, strings.TrimSpace(t.Device+" "+name+" "+o.Method))
	b.inFlight[name]++
	b.most = max(b.most, b.inFlight[name])
	ok := b.accepts(t.Device, t.Credential)
	if !ok {
		b.rejected[t.Device]++
	}
	b.mu.Unlock()
	defer func() { b.mu.Lock(); b.inFlight[name]--; b.mu.Unlock() }()
	o.Attempt("password", ok)
	if !ok {
		return fail(collector.StepLogin, collector.ErrLoginRejected)
	}
	return opened{method: "password"}, nil
}

// try opens a session at a device in a run and closes it.
func (b *bench) try(r *Run, d Device) error {
	b.t.Helper()
	s, _, err := r.Open(b.t.Context(), d, cli.Dialogue{}, cli.Options{})
	if s != nil {
		if err := s.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
	}
	return err
}

// kind is try's kind.
func (b *bench) kind(r *Run, d Device) collector.Kind { return collector.KindOf(b.try(r, d)) }

func (b *bench) stored(d Device) Device {
	now, err := memoryTx{b.m}.Device(d.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return now
}

func TestPasswordsGoOnlyWhereTheyMay(t *testing.T) {
	v3 := collector.KindSNMPv3
	tests := map[string]struct {
		to    PasswordsTo
		dev   Device
		keys  []Key
		snmp  collector.CredentialKind
		bound bool // a credential names the device's address
		want  bool
	}{
		"identified by SNMP":                 {ToIdentified, Device{Identified: true}, nil, "", false, true},
		"not identified: a rogue SSH server": {ToIdentified, Device{}, nil, "", false, false},
		"identified is the default":          {"", Device{}, nil, "", false, false},
		"Net-SNMP on Linux, even with v3":    {ToIdentified, Device{Platform: "frr"}, nil, v3, false, false},
		"added by a person":                  {ToIdentified, Device{AddedByPerson: true}, nil, "", false, true},
		"key pinned by a person":             {ToIdentified, Device{}, []Key{{State: KeyPinned, ByPerson: true}}, "", false, true},
		"key pinned at first use":            {ToIdentified, Device{}, []Key{{State: KeyPinned}}, "", false, false},
		"key that waits":                     {ToIdentified, Device{}, []Key{{State: KeyPending, ByPerson: true}}, "", false, false},
		"credential bound to the address":    {ToIdentified, Device{}, nil, "", true, true},
		"authenticated: v2c does not":        {ToAuthenticated, Device{Identified: true, AddedByPerson: true}, nil, collector.KindSNMPv2c, true, false},
		"authenticated: v3 does":             {ToAuthenticated, Device{}, nil, v3, false, true},
		"authenticated: a pinned key does":   {ToAuthenticated, Device{}, []Key{{State: KeyPinned, ByPerson: true}}, "", false, true},
		"any":                                {ToAny, Device{}, nil, "", false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.dev.Name, tt.dev.Address = "x", at1
			c := collector.Credential{Name: "noc", Kind: collector.KindSSH}
			if tt.bound {
				c.For = []netip.Prefix{netip.PrefixFrom(at1, 32)}
			}
			got, _, why := passwordsMay(tt.dev, Scope{Name: "s", PasswordsTo: tt.to}, tt.keys, tt.snmp, []collector.Credential{c})
			if got != tt.want || got == (why != "") {
				t.Errorf("passwordsMay = %t, %q; want %t", got, why, tt.want)
			}
		})
	}
}

func TestRogueServerGetsNoPassword(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	d := b.device("rogue", func(d *Device) { d.Identified = false })
	if got := b.kind(b.a.Begin(), d); got != collector.ErrNeedsDecision {
		t.Errorf("kind %q, want needs-decision", got)
	}
	if len(b.logins) > 0 {
		t.Errorf("logins went out: %v", b.logins)
	}
	if now := b.stored(d); now.Missing != collector.ErrNeedsDecision || !strings.Contains(now.MissingReason, "for: ["+d.Address.String()+"]") {
		t.Errorf("device says %q %q, want needs-decision with the mend", now.Missing, now.MissingReason)
	}
}

func TestCredentialBoundToTheAddressGoesThereAlone(t *testing.T) {
	b := newBench(t)
	b.credential("other", "x")
	d := b.device("dist2", func(d *Device) { d.Identified = false })
	b.credential("own", "y", d.Address.String()+"/32")
	b.accepts = func(_ string, c collector.Credential) bool { return c.Name == "own" }
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dist2 own"}, b.logins); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
}

func TestOrderOfCredentials(t *testing.T) {
	creds := func() []collector.Credential {
		all := []collector.Credential{{Name: "snmp", Kind: collector.KindSNMPv2c}, {Name: "a", Kind: collector.KindSSH}, {Name: "b", Kind: collector.KindSSH},
			{Name: "far", Kind: collector.KindSSH, For: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
			{Name: "near", Kind: collector.KindSSH, For: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}}
		return all
	}
	tests := map[string]struct {
		dev   Device
		bound bool
		want  string
	}{
		"as the scope names them, where they fit": {Device{}, false, "a b near"},
		"the last that worked first":              {Device{SSHCredential: "b"}, false, "b a near"},
		"a person's own alone":                    {Device{Credential: "b", SSHCredential: "a"}, false, "b"},
		"bound ones only":                         {Device{SSHCredential: "a"}, true, "near"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.dev.Address = at1
			var got []string
			for _, c := range order(tt.dev, creds(), tt.bound) {
				got = append(got, c.Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("order = %v, want %s", got, tt.want)
			}
		})
	}
}

func TestAllowance(t *testing.T) {
	h := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	rej := func(c string, hours int) Attempt { return Attempt{Credential: c, Digest: c, Rejected: 1, At: h(hours)} }
	ok := func(c string, hours int) Attempt {
		return Attempt{Credential: c, Digest: c, Accepted: true, At: h(hours)}
	}
	tests := map[string]struct {
		dev      Device
		list     string
		attempts []Attempt
		want     string
	}{
		"nothing happened yet: two of three":      {Device{}, "a b c", nil, "a b"},
		"one was rejected: one more":              {Device{}, "a b c", []Attempt{rej("a", -1)}, "b"},
		"two were rejected: none":                 {Device{}, "a b c", []Attempt{rej("a", -2), rej("b", -1)}, ""},
		"a day later: one further":                {Device{}, "a b c d", []Attempt{rej("a", -26), rej("b", -25)}, "c"},
		"and then none for a day":                 {Device{}, "a b c d", []Attempt{rej("a", -50), rej("b", -49), rej("c", -1)}, ""},
		"all were rejected: the oldest, daily":    {Device{}, "a b", []Attempt{rej("a", -50), rej("b", -49)}, "a"},
		"the only one was rejected":               {Device{}, "a", []Attempt{rej("a", -1)}, ""},
		"the only one, a day later":               {Device{}, "a", []Attempt{rej("a", -25)}, "a"},
		"what works is tried alone":               {Device{SSHCredential: "b"}, "b a", []Attempt{ok("b", -20)}, "b"},
		"what worked is rejected: one a day":      {Device{SSHCredential: "b"}, "b a", []Attempt{ok("b", -20), rej("b", -1)}, ""},
		"what worked is rejected: then the other": {Device{SSHCredential: "b"}, "b a", []Attempt{ok("b", -50), rej("b", -25)}, "a"},
		"a person said retry":                     {Device{CountFrom: h(0)}, "a", []Attempt{rej("a", -1)}, "a"},
		"the secret was changed":                  {Device{}, "a", []Attempt{{Credential: "a", Digest: "old", Rejected: 2, At: h(-1)}}, "a"},
		"the secret is another each time":         {Device{}, "a", []Attempt{{Credential: "a", Digest: "1", Rejected: 2, At: h(-2)}, {Credential: "a", Digest: "2", Rejected: 2, At: h(-1)}}, ""},
		"and once more a day later":               {Device{}, "a", []Attempt{{Credential: "a", Digest: "1", Rejected: 2, At: h(-26)}, {Credential: "a", Digest: "2", Rejected: 2, At: h(-25)}}, "a"},
		"a person said retry of those, too":       {Device{CountFrom: h(0)}, "a", []Attempt{{Credential: "a", Digest: "1", Rejected: 2, At: h(-2)}, {Credential: "a", Digest: "2", Rejected: 2, At: h(-1)}}, "a"},
		"forgiven, but the device saw it":         {Device{}, "a b", []Attempt{{Credential: "a", Digest: "a", Rejected: 1, Forgiven: true, At: h(-1)}}, "a"},
		"forgiven twice in a day":                 {Device{}, "a", []Attempt{{Credential: "a", Digest: "a", Rejected: 2, Forgiven: true, At: h(-1)}}, ""},
		"two passwords in one login":              {Device{}, "a b", []Attempt{{Credential: "a", Digest: "a", Rejected: 2, At: h(-1)}}, ""},
		"refused keys cost nothing":               {Device{}, "a", []Attempt{{Credential: "a", Digest: "a", At: h(-1)}}, "a"},
		"accepted, then two rejected in a day":    {Device{}, "a b c", []Attempt{rej("a", -5), ok("b", -4), rej("c", -3)}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var list []candidate
			for _, n := range strings.Fields(tt.list) {
				list = append(list, candidate{collector.Credential{Name: n}, n})
			}
			try, next := allowance(tt.dev, list, tt.attempts, noon)
			var got []string
			for _, c := range try {
				got = append(got, c.Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("allowance = %v, want %q", got, tt.want)
			}
			if len(got) == 0 && !next.After(noon) {
				t.Errorf("next is %v, want a time to come", next)
			}
		})
	}
}

// The login test: 200 devices behind one account whose password was changed.
func TestChangedAccountPasswordTouchesAtMostThreeDevices(t *testing.T) {
	for _, worked := range []bool{false, true} {
		t.Run(fmt.Sprintf("worked before %t", worked), func(t *testing.T) {
			b := newBench(t)
			b.credential("noc", "old")
			b.accepts = func(string, collector.Credential) bool { return false }
			var all []Device
			for i := range 200 {
				all = append(all, b.device(fmt.Sprintf("sw%03d", i), func(d *Device) {
					if worked {
						d.SSHCredential, d.SSHMethod = "noc", "password"
					}
				}))
			}
			night := func() map[collector.Kind]int {
				run, kinds := b.a.Begin(), map[collector.Kind]int{}
				var mu sync.Mutex
				var group sync.WaitGroup
				for _, d := range all {
					group.Go(func() {
						_, _, err := run.Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
						mu.Lock()
						defer mu.Unlock()
						kinds[collector.KindOf(err)]++
					})
				}
				group.Wait()
				return kinds
			}
			want := map[collector.Kind]int{collector.ErrLoginRejected: 2, collector.ErrCredentialStopped: 198}
			if diff := cmp.Diff(want, night()); diff != "" {
				t.Errorf("first night (-want +got):\n%s", diff)
			}
			b.a = b.access() // a restart forgets nothing
			b.now = b.now.Add(time.Hour)
			if kinds := night(); kinds[collector.ErrLoginRejected] != 1 {
				t.Errorf("next run: %v, want one login", kinds)
			}
			if len(b.rejected) > 3 {
				t.Errorf("%d devices were touched, want at most 3", len(b.rejected))
			}
			for d, n := range b.rejected {
				if n > 2 {
					t.Errorf("%s rejected %d logins, want at most 2", d, n)
				}
			}
			if n := b.m.count(EventCredentialStopped); n != 1 {
				t.Errorf("%d events credential-stopped, want one for as long as it lasts", n)
			}
			// The account's password is put right where the account is kept.
			b.accepts = func(string, collector.Credential) bool { return true }
			b.now = b.now.Add(24 * time.Hour)
			if kinds := night(); kinds[""] != 200 {
				t.Errorf("after the mend: %v, want 200 open", kinds)
			}
			if n := b.m.count(EventCredentialWorks); n != 1 {
				t.Errorf("%d events credential-released, want 1", n)
			}
		})
	}
}

func TestOneDevicesRejectionDoesNotCostTheNight(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("it comes first %t", first), func(t *testing.T) {
			b := newBench(t)
			b.credential("noc", "right")
			b.accepts = func(d string, _ collector.Credential) bool { return d != "bad" }
			works := func(d *Device) { d.SSHCredential, d.SSHMethod = "noc", "password" }
			good1, bad, good2 := b.device("good1", works), b.device("bad", works), b.device("good2", works)
			order := []Device{good1, bad, good2}
			if first {
				order = []Device{bad, good1, good2}
			}
			run := b.a.Begin()
			for _, d := range order {
				want := collector.Kind("")
				if d.Name == "bad" {
					want = collector.ErrLoginRejected
				}
				if got := b.kind(run, d); got != want {
					t.Errorf("%s: kind %q, want %q", d.Name, got, want)
				}
			}
			if b.m.count(EventCredentialStopped) != 0 {
				t.Error("the credential was stopped")
			}
			// The device rejected what it knew; it is not asked again until somebody says so.
			if got := b.kind(b.a.Begin(), bad); got != collector.ErrNeedsCredential {
				t.Errorf("next run: kind %q, want needs-credential", got)
			}
			b.accepts = func(string, collector.Credential) bool { return true }
			if _, err := NewDevices(b.a.o, b.a).Retry(t.Context(), "bad", "ops"); err != nil {
				t.Fatal(err)
			}
			if err := b.try(b.a.Begin(), bad); err != nil {
				t.Errorf("after device retry: %v", err)
			}
			if n := b.m.count(EventLoginAccepted); n != 1 {
				t.Errorf("%d events login-accepted, want 1", n)
			}
		})
	}
}

func TestPasswordChangedDuringTheRunStopsTheCredential(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	works := func(d *Device) { d.SSHCredential, d.SSHMethod = "noc", "password" }
	run := b.a.Begin()
	if err := b.try(run, b.device("d0", works)); err != nil {
		t.Fatal(err)
	}
	b.accepts = func(string, collector.Credential) bool { return false }
	var got []collector.Kind
	for i := range 4 {
		got = append(got, b.kind(run, b.device(fmt.Sprint("d", i+1), works)))
	}
	want := []collector.Kind{collector.ErrLoginRejected, collector.ErrLoginRejected, collector.ErrCredentialStopped, collector.ErrCredentialStopped}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestProvedCredentialIsNotStoppedByDevicesThatNeverKnewIt(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	b.accepts = func(d string, _ collector.Credential) bool { return d == "d0" }
	run := b.a.Begin()
	if err := b.try(run, b.device("d0", nil)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if got := b.kind(run, b.device(fmt.Sprint("d", i+1), nil)); got != collector.ErrLoginRejected {
			t.Errorf("kind %q, want login-rejected", got)
		}
	}
	if b.m.count(EventCredentialStopped) != 0 {
		t.Error("the credential was stopped")
	}
}

func TestSecretsAreReadOnceARun(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	var reads atomic.Int32
	network := b.a.o.Network
	b.a.o.Network = func() Network {
		n := network()
		read := n.Credential
		n.Credential = func(ctx context.Context, name string) (collector.Credential, error) {
			reads.Add(1)
			return read(ctx, name)
		}
		return n
	}
	for run := range 2 {
		r := b.a.Begin()
		for i := range 5 {
			if err := b.try(r, b.device(fmt.Sprint("d", run, i), nil)); err != nil {
				t.Error(err)
			}
		}
	}
	if n := reads.Load(); n != 2 {
		t.Errorf("the secret was read %d times in 2 runs, want 2", n)
	}
}

func TestUnreachableCanaryPassesTheTokenOn(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	b.fails["dead"] = collector.ErrTimedOut
	dead, alive := b.device("dead", nil), b.device("alive", nil)
	run := b.a.Begin()
	if got := b.kind(run, dead); got != collector.ErrTimedOut {
		t.Errorf("kind %q, want timed-out", got)
	}
	if err := b.try(run, alive); err != nil {
		t.Error(err)
	}
}

func TestFirstLoginGoesAloneAndThenFiveAtATime(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	var open atomic.Int32
	b.accepts = func(string, collector.Credential) bool {
		if n := open.Add(1); n == 1 && len(b.logins) != 1 {
			t.Errorf("%d logins are out beside the first", len(b.logins)-1)
		}
		return true
	}
	var all []Device
	for i := range 60 {
		all = append(all, b.device(fmt.Sprint("d", i), nil))
	}
	run := b.a.Begin()
	var group sync.WaitGroup
	for _, d := range all {
		group.Go(func() { _ = b.try(run, d) })
	}
	group.Wait()
	if b.most > 5 || len(b.logins) != 60 {
		t.Errorf("%d logins, %d at a time; want 60, at most 5", len(b.logins), b.most)
	}
}

func TestOneSessionADevice(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	d := b.device("d", nil)
	first, _, err := b.a.Begin().Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, _, err := b.a.Begin().Open(ctx, d, cli.Dialogue{}, cli.Options{})
		waited <- err
	}()
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("second session: %v, want it to wait until its context ends", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
}

func TestChangedSecretStartsANewCountAndIsReadBeforeARejectionCounts(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "old")
	b.accepts = func(_ string, c collector.Credential) bool {
		b.credential("noc", "new") // rotated by the vault while we log in
		return c.Password.Reveal() == "new"
	}
	d := b.device("d", nil)
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Errorf("the rotated secret was not read again: %v", err)
	}
	if n := b.m.count(EventLoginRejected); n != 0 {
		t.Errorf("%d events login-rejected, want none", n)
	}
	b.accepts = func(_ string, c collector.Credential) bool { return c.Password.Reveal() == "newer" }
	for _, want := range []collector.Kind{collector.ErrLoginRejected, collector.ErrNeedsCredential} {
		if got := b.kind(b.a.Begin(), d); got != want {
			t.Errorf("kind %q, want %q", got, want)
		}
	}
	b.credential("noc", "newer")
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Errorf("with the changed secret: %v", err)
	}
	if now := b.stored(d); now.Missing != "" || now.SSHMethod != "password" {
		t.Errorf("device says %q and method %q, want nothing missing and password", now.Missing, now.SSHMethod)
	}
}

func TestMethodAndCredentialThatWorkedAreUsedAgain(t *testing.T) {
	b := newBench(t)
	b.credential("a", "x")
	b.credential("b", "y")
	b.accepts = func(_ string, c collector.Credential) bool { return c.Name == "b" }
	d := b.device("d", nil)
	for range 2 {
		if err := b.try(b.a.Begin(), d); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"d a", "d b", "d b password"}, b.logins); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
}

// key makes a host key of a name.
func key(name string) collector.HostKey {
	return collector.HostKey{Type: "ssh-ed25519", Blob: []byte(name), Fingerprint: "SHA256:" + name}
}

func TestChangedHostKeyStopsBeforeAPasswordUntilAPersonAcceptsIt(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	shown := "one"
	b.host = func(string) collector.HostKey { return key(shown) }
	d := b.device("d", nil)
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Fatal(err)
	}
	shown = "two"
	before := len(b.logins)
	for range 2 {
		if got := b.kind(b.a.Begin(), d); got != collector.ErrHostKeyChanged {
			t.Errorf("kind %q, want host-key-changed", got)
		}
	}
	if len(b.logins) != before {
		t.Error("a password left after the key had changed")
	}
	if n := b.m.count(EventHostKeyChanged); n != 1 {
		t.Errorf("%d events host-key-changed, want 1", n)
	}
	event := b.m.events[len(b.m.events)-1]
	if got := string(event.Data); got != `{"pinned":["SHA256:one"],"shown":"SHA256:two"}` {
		t.Errorf("the event says %s, want both fingerprints", got)
	}
	devices := NewDevices(b.a.o, b.a)
	accepted, err := devices.AcceptKey(t.Context(), mustFilter(t, "d"), "ops")
	if diff := cmp.Diff([]Accepted{{"d", "ssh-ed25519", "SHA256:two"}}, accepted); diff != "" || err != nil {
		t.Errorf("AcceptKey: %v (-want +got):\n%s", err, diff)
	}
	for _, shown = range []string{"two", "one"} { // an HA pair shows one, then the other
		if err := b.try(b.a.Begin(), d); err != nil {
			t.Errorf("key %s: %v", shown, err)
		}
	}
	shown = "three"
	_ = b.try(b.a.Begin(), d)
	if _, err := devices.Replace(t.Context(), "d", "ops"); err != nil {
		t.Fatal(err)
	}
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Errorf("after device replace: %v", err)
	}
	shown = "one"
	if got := b.kind(b.a.Begin(), d); got != collector.ErrHostKeyChanged {
		t.Errorf("the key of the replaced device: kind %q, want host-key-changed", got)
	}
}

func TestQuestionAboutAKeyEndsWhenTheAcceptedOneIsBack(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	shown := "own"
	b.host = func(string) collector.HostKey { return key(shown) }
	d := b.device("d", nil)
	for _, shown = range []string{"own", "stranger", "own", "stranger"} {
		_ = b.try(b.a.Begin(), d)
	}
	want := []EventKind{EventHostKeyAccepted, EventLoginAccepted, EventHostKeyChanged, EventLoginAccepted, EventHostKeyChanged}
	if diff := cmp.Diff(want, b.m.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestStrictNeedsThePinBeforehand(t *testing.T) {
	b := newBench(t)
	b.scope.HostKeys = collector.Strict
	b.credential("noc", "right")
	b.host = func(string) collector.HostKey { return key("one") }
	d := b.device("d", nil)
	if got := b.kind(b.a.Begin(), d); got != collector.ErrHostKeyUnknown || len(b.logins) > 0 {
		t.Errorf("kind %q and logins %v, want host-key-unknown and none", got, b.logins)
	}
	if _, err := NewDevices(b.a.o, b.a).AcceptKey(t.Context(), mustFilter(t, "d"), "ops"); err != nil {
		t.Fatal(err)
	}
	if err := b.try(b.a.Begin(), d); err != nil {
		t.Errorf("after accept-key: %v", err)
	}
}

func TestEnableRejectionCounts(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	d := b.device("d", nil)
	open := b.a.open
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		if _, err := open(ctx, t, d, o); err != nil {
			return opened{}, err
		}
		o.Attempt("enable", false)
		return opened{}, &collector.Error{Device: t.Device, Step: collector.StepEnable, Kind: collector.ErrEnableRejected}
	}
	if got := b.kind(b.a.Begin(), d); got != collector.ErrEnableRejected {
		t.Errorf("kind %q, want enable-rejected", got)
	}
	if len(b.m.attempts) != 1 || b.m.attempts[0].Rejected != 1 || b.m.attempts[0].Accepted {
		t.Errorf("attempts %+v, want one with one rejection", b.m.attempts)
	}
	_, _, err := b.a.Begin().Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
	if collector.KindOf(err) != collector.ErrNeedsCredential {
		t.Errorf("next run: %v, want needs-credential", err)
	}
}

func TestEnableRejectionIsSaidOfTheEnableSecret(t *testing.T) {
	const again = "; not tried again before 2026-03-02 12:00 UTC. "
	for name, tt := range map[string]struct{ enable, want string }{
		"a wrong one": {"wrong", "It rejected the enable secret of credential noc at 2026-03-01 12:00 UTC" + again +
			"Store the right one: muster secret set noc-enable, then muster device retry d"},
		"none": {"", "It asked for an enable secret at 2026-03-01 12:00 UTC, and credential noc has none" + again +
			"Give it one in muster.yaml (enable: { secret: NAME }) and store it: muster secret set NAME, then muster device retry d"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.credential("noc", "right")
			c := b.secrets["noc"]
			c.Enable, c.Kept.Password.Secret = secret.New(tt.enable), "noc-password"
			if tt.enable != "" {
				c.Kept.Enable.Secret = "noc-enable"
			}
			b.secrets["noc"] = c
			d := b.device("d", nil)
			open := b.a.open
			b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
				if _, err := open(ctx, t, d, o); err != nil {
					return opened{}, err
				}
				return opened{}, &collector.Error{Device: t.Device, Step: collector.StepEnable, Kind: collector.ErrEnableRejected}
			}
			_ = b.kind(b.a.Begin(), d)
			_, _, err := b.a.Begin().Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
			var e *collector.Error
			if !errors.As(err, &e) || e.Kind != collector.ErrNeedsCredential || e.Step != collector.StepEnable || e.Do != tt.want {
				t.Errorf("next run: %v, want %q", err, tt.want)
			}
			if now, err := NewDevices(b.a.o, b.a).Show(t.Context(), "d"); err != nil || now.MissingReason != tt.want {
				t.Errorf("kept is %q (%v)", now.MissingReason, err)
			}
		})
	}
}

func TestWhatWasRejectedIsSaidWithWhereItsSecretIs(t *testing.T) {
	now := noon
	noc := candidate{collector.Credential{Name: "noc", Password: secret.New("x"), Enable: secret.New("y")}, "n"}
	noc.Kept.Password.Secret, noc.Kept.Enable.File = "noc", "/etc/noc-enable"
	ops := candidate{collector.Credential{Name: "ops", Key: secret.New("k")}, "o"}
	ops.Kept.Key.Env = "OPS_KEY"
	at := func(hours int) time.Time { return now.Add(time.Duration(hours) * time.Hour) }
	for name, tt := range map[string]struct {
		attempts []Attempt
		step     collector.Step
		want     string
	}{
		"a password": {[]Attempt{{Credential: "noc", Digest: "n", Rejected: 1, At: at(-1)}}, collector.StepLogin,
			"It rejected credential noc at 2026-03-01 11:00 UTC; one further login is tried after 2026-03-02 12:00 UTC. Store the right one: muster secret set noc, then muster device retry d"},
		"no answer": {[]Attempt{{Credential: "noc", Digest: "n", Rejected: 1, Forgiven: true, At: at(-1)}}, collector.StepLogin,
			"It rejected or did not answer logins with credential noc at 2026-03-01 11:00 UTC; one further login is tried after 2026-03-02 12:00 UTC. Store the right one: muster secret set noc, then muster device retry d"},
		"a password and an enable secret": {[]Attempt{{Credential: "noc", Digest: "n", Method: "enable", Rejected: 1, At: at(-2)}, {Credential: "ops", Digest: "o", Rejected: 1, At: at(-1)}}, collector.StepLogin,
			"It rejected credential ops and the enable secret of credential noc at 2026-03-01 11:00 UTC; one further login is tried after 2026-03-02 12:00 UTC. " +
				"Store the right one: in the environment variable OPS_KEY of muster, which is then started anew, and in the file /etc/noc-enable, then muster device retry d"},
		"before and after a login": {[]Attempt{{Credential: "ops", Digest: "o", Rejected: 1, At: at(-3)}, {Credential: "noc", Digest: "n", Accepted: true, At: at(-2)}, {Credential: "noc", Digest: "n", Method: "enable", Rejected: 1, At: at(-1)}}, collector.StepEnable,
			"It rejected the enable secret of credential noc at 2026-03-01 11:00 UTC; not tried again before 2026-03-02 12:00 UTC. Store the right one: in the file /etc/noc-enable, then muster device retry d"},
		"another secret each time": {[]Attempt{{Credential: "noc", Digest: "1", Rejected: 2, At: at(-3)}, {Credential: "noc", Digest: "2", Rejected: 2, At: at(-1)}}, collector.StepLogin,
			"It rejected credential noc at 2026-03-01 11:00 UTC; one further login is tried after 2026-03-02 12:00 UTC. Store the right one: muster secret set noc, then muster device retry d"},
		"an enable secret, after a password that was changed": {[]Attempt{{Credential: "noc", Digest: "old", Rejected: 1, At: at(-3)}, {Credential: "noc", Digest: "n", Method: "enable", Rejected: 1, At: at(-1)}}, collector.StepEnable,
			"It rejected the enable secret of credential noc at 2026-03-01 11:00 UTC; not tried again before 2026-03-02 12:00 UTC. Store the right one: in the file /etc/noc-enable, then muster device retry d"},
	} {
		d, list := Device{Name: "d"}, []candidate{noc, ops}
		step, why := refused(d, list, counted(d, list, tt.attempts, now), at(24))
		if step != tt.step || why != tt.want {
			t.Errorf("%s: at %s, %q\nwant at %s, %q", name, step, why, tt.step, tt.want)
		}
	}
}

func TestALookDoesNotSendAStoppedCredential(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "wrong")
	c := b.secrets["noc"]
	c.Kept.Password.Secret = "noc-password"
	b.secrets["noc"] = c
	b.accepts = func(_ string, c collector.Credential) bool { return c.Password.Reveal() == "right" }
	run := b.a.Begin()
	for _, name := range []string{"sw5", "sw8"} {
		_ = b.kind(run, b.device(name, nil))
	}
	d := b.device("sw1", nil)
	before := len(b.logins)
	for range 5 {
		_, steps, err := b.a.BeginLook().Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
		var e *collector.Error
		const want = "Not sent: credential noc is stopped since 2026-03-01 12:00 UTC, rejected by sw5, sw8. Store the right password: muster secret set noc-password, then muster secret retry noc"
		if !errors.As(err, &e) || e.Kind != collector.ErrCredentialStopped || e.Step != collector.StepLogin || e.Do != want {
			t.Fatalf("a look: %v, want %q", err, want)
		}
		if len(steps) != 1 || steps[0].Kind != e.Kind || steps[0].Do != want {
			t.Errorf("steps %+v", steps)
		}
	}
	if len(b.logins) != before {
		t.Errorf("%d looks at it were logins", len(b.logins)-before)
	}
	if got := b.kind(b.a.Begin(), d); got != collector.ErrLoginRejected {
		t.Errorf("a run: kind %q, want its one login", got)
	}
	if err := NewDevices(b.a.o, b.a).RetryCredential(t.Context(), "noc", "ops"); err != nil {
		t.Fatal(err)
	}
	b.accepts = func(string, collector.Credential) bool { return true }
	if err := b.try(b.a.BeginLook(), d); err != nil {
		t.Errorf("a look after secret retry: %v", err)
	}
}

func TestDeclaredPlatformNeedsTheScopesWord(t *testing.T) {
	def := &platform.Definition{Name: "x", Evidence: platform.Evidence{Kind: platform.Declared}}
	if ok, why := platformMay(def, Scope{Name: "s"}); ok || !strings.Contains(why, "declared: allow") {
		t.Errorf("platformMay = %t, %q; want no, with the mend", ok, why)
	}
	if ok, _ := platformMay(def, Scope{Declared: true}); !ok {
		t.Error("the scope's word does not help")
	}
	if ok, _ := platformMay(&platform.Definition{Evidence: platform.Evidence{Kind: platform.Lab}}, Scope{}); !ok {
		t.Error("a proved platform needs the scope's word")
	}
}

func TestAllowedSaysWhatStandsInTheWay(t *testing.T) {
	b := newBench(t)
	d := b.device("d", nil)
	def := &platform.Definition{Name: "cisco_iosxe", Parts: []platform.Part{{Name: "running"}}}
	if got := collector.KindOf(b.a.Allowed(t.Context(), d, nil)); got != collector.ErrPlatformUnknown {
		t.Errorf("no definition: kind %q, want platform-unknown", got)
	}
	if got := collector.KindOf(b.a.Allowed(t.Context(), d, def)); got != collector.ErrNeedsCredential {
		t.Errorf("no credential: kind %q, want needs-credential", got)
	}
	b.credential("noc", "x")
	if err := b.a.Allowed(t.Context(), d, def); err != nil {
		t.Errorf("Allowed = %v, want nil", err)
	}
}

func TestStepsAreToldWhereOpeningFails(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "wrong")
	b.accepts = func(string, collector.Credential) bool { return false }
	d := b.device("d", nil)
	_, steps, err := b.a.Begin().Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
	if len(steps) != 2 || steps[0].Step != collector.StepConnect || steps[1].Kind != collector.ErrLoginRejected {
		t.Errorf("steps %+v (%v), want connect and the rejected login", steps, err)
	}
}

func TestDigestsTellSecretsApartWithoutTellingThem(t *testing.T) {
	b := newBench(t)
	one := collector.Credential{Name: "noc", Password: secret.New("ab"), Enable: secret.New("c")}
	two := collector.Credential{Name: "noc", Password: secret.New("a"), Enable: secret.New("bc")}
	same := one
	if b.a.digest(one) == b.a.digest(two) || b.a.digest(one) != b.a.digest(same) {
		t.Error("digests do not follow the secrets")
	}
	other := NewAccess(Options{DigestKey: []byte("another key of ours")})
	if other.digest(one) == b.a.digest(one) {
		t.Error("the digest does not depend on the key")
	}
}

func mustFilter(t *testing.T, words ...string) Filter {
	t.Helper()
	f, err := ParseFilter(words...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The password changes in the middle of the first run over a network: no device
// has been seen before, and still hardly any is touched.
func TestPasswordChangedAmidTheFirstRunTouchesFew(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "old")
	let := 0
	b.accepts = func(string, collector.Credential) bool { let++; return let <= 20 }
	run := b.a.Begin()
	var group sync.WaitGroup
	for i := range 200 {
		d := b.device(fmt.Sprintf("sw%03d", i), nil)
		group.Go(func() { _ = b.try(run, d) })
	}
	group.Wait()
	if n := len(b.rejected); n < 2 || n > streakMax+flightsPerCredential {
		t.Errorf("%d devices were touched, want at most %d: five in a row, and what was out meanwhile", n, streakMax+flightsPerCredential)
	}
	if n := b.m.count(EventCredentialStopped); n != 1 {
		t.Errorf("%d events credential-stopped, want 1", n)
	}
}

// Where several accounts are in use, most devices reject the first one that is
// tried: that stops nobody.
func TestAccountOfFewDevicesIsNotStopped(t *testing.T) {
	b := newBench(t)
	b.credential("few", "a")
	b.credential("most", "b")
	b.accepts = func(device string, c collector.Credential) bool {
		return c.Name == "most" || device == "sw000" || device == "sw099"
	}
	run := b.a.Begin()
	for i := range 100 {
		d := b.device(fmt.Sprintf("sw%03d", i), nil)
		if err := b.try(run, d); err != nil {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
	if got := b.logins[len(b.logins)-1]; got != "sw099 few" {
		t.Errorf("the last login is %q, want the account that only few know to be tried to the end", got)
	}
}
