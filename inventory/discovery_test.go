package inventory

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
	"muster/collector/snmp"
	"muster/inventory/platform"
)

// fakeAgent answers one SNMP session.
type fakeAgent struct {
	r     snmp.Reading
	cells map[string]string // by OID
	dead  error
}

func (a fakeAgent) System() snmp.System                                       { return a.r.System }
func (a fakeAgent) PrivProtocol() string                                      { return a.r.PrivProtocol }
func (a fakeAgent) Close() error                                              { return nil }
func (a fakeAgent) Read(context.Context) (snmp.Reading, error)                { return a.r, a.dead }
func (a fakeAgent) Get(context.Context, ...string) (map[string]string, error) { return a.cells, nil }
func (a fakeAgent) Column(context.Context, string) (map[string]string, error) { return nil, nil }

// fakeSet recognises a platform by sysDescr "NAME" or "maybe NAME", and proves
// the one named proof.
type fakeSet struct{ proof string }

// fakeDefinition is one with something to back up, but for apc_nmc.
func fakeDefinition(name string) *platform.Definition {
	if name == "apc_nmc" {
		return &platform.Definition{Name: name, Vendor: "V", Evidence: platform.Evidence{Kind: platform.Lab}, Restorable: platform.Restorable{Why: "no command prints it"}}
	}
	return &platform.Definition{Name: name, Vendor: "V", Evidence: platform.Evidence{Kind: platform.Lab}, Parts: []platform.Part{{Name: "running"}}}
}

func (f fakeSet) Asks() []string { return nil }

func (f fakeSet) Identify(sys snmp.System, _ map[string]string) platform.Match {
	if name, guess := strings.CutPrefix(sys.Descr, "maybe "); guess {
		return platform.Match{Platform: fakeDefinition(name), Reason: "guess"}
	}
	if sys.Descr == "cisco_iosxe" || sys.Descr == "apc_nmc" {
		return platform.Match{Platform: fakeDefinition(sys.Descr), Certain: true, Reason: "sysObjectID"}
	}
	return platform.Match{Reason: "nothing"}
}

func (f fakeSet) Prove(context.Context, platform.Talker) (platform.Match, error) {
	switch f.proof {
	case "":
		return platform.Match{Reason: "nothing"}, nil
	case "closed":
		return platform.Match{}, &collector.Error{Step: collector.StepCommand, Kind: collector.ErrClosed}
	}
	return platform.Match{Platform: fakeDefinition(f.proof), Certain: true, Reason: "show version"}, nil
}

func (f fakeSet) ByName(name string) (*platform.Definition, bool) {
	return fakeDefinition(name), name != ""
}

// search is a bench with a Discovery on top; agents answer by address.
type search struct {
	*bench
	d      *Discovery
	agents map[netip.Addr]fakeAgent
	set    fakeSet
	asked  map[netip.Addr][]string // credentials of the sweep, by address
}

func newSearch(t *testing.T) *search {
	s := &search{bench: newBench(t), agents: map[netip.Addr]fakeAgent{}, asked: map[netip.Addr][]string{}}
	s.secrets["ro"] = collector.Credential{Name: "ro", Kind: collector.KindSNMPv2c}
	s.secrets["rw"] = collector.Credential{Name: "rw", Kind: collector.KindSNMPv2c}
	s.scope.Credentials = []string{"ro", "rw"}
	s.scope.Addresses = func(context.Context) ([]netip.Addr, error) { return []netip.Addr{at1, at2, at3}, nil }
	s.d = NewDiscovery(s.a.o, s.a)
	s.d.known = func() recogniser { return s.set }
	s.d.ask = func(_ context.Context, t collector.Target) (agent, error) {
		a, ok := s.agents[t.Addr.Addr()]
		if !ok {
			return nil, &collector.Error{Addr: t.Addr, Step: collector.StepSystem, Kind: collector.ErrTimedOut}
		}
		return a, nil
	}
	s.d.sweep = func(_ context.Context, targets []snmp.SweepTarget, o snmp.SweepOptions, found func(snmp.Answer)) (snmp.SweepResult, error) {
		res := snmp.SweepResult{Asked: len(targets), From: netip.MustParseAddr("192.0.2.250")}
		for _, t := range targets {
			for _, c := range t.Credentials {
				s.asked[t.Addr.Addr()] = append(s.asked[t.Addr.Addr()], c.Name)
			}
			if _, ok := s.agents[t.Addr.Addr()]; ok {
				res.Answered++
				found(snmp.Answer{Addr: t.Addr, Credential: "ro"})
			}
		}
		o.Progress(len(targets), len(targets), res.Answered)
		return res, nil
	}
	return s
}

func agentOf(descr, name, serial string) fakeAgent {
	r := snmp.Reading{System: snmp.System{Descr: descr, ObjectID: "1.2.3", Name: name}, Interfaces: []snmp.Interface{{IfIndex: 1, Name: "Gi1"}}}
	if serial != "" {
		r.Components = []snmp.Component{{Index: 1, Class: "chassis", Serial: serial}}
	}
	return fakeAgent{r: r}
}

// What a vendor's MIB tells is for people: boards are shipped with one serial.
func TestVendorFactsAreNoEvidence(t *testing.T) {
	s := newSearch(t)
	for addr, name := range map[netip.Addr]string{at1: "nas1", at2: "nas2", at3: "nas3"} {
		a := agentOf("Linux "+name, name, "")
		a.r.System.ObjectID = "1.3.6.1.4.1.8072.3.2.10"
		a.cells = map[string]string{"1.3.6.1.4.1.6574.1.5.1.0": "DS920+", "1.3.6.1.4.1.6574.1.5.2.0": "2040SBR000001"}
		s.agents[addr] = a
	}
	a := s.agents[at3]
	a.cells = map[string]string{"1.3.6.1.4.1.6574.1.5.2.0": "FFFFFFFF"} // nobody's
	s.agents[at3] = a
	s.discover(false)
	if len(s.m.devices) != 3 {
		t.Fatalf("%d devices, want 3", len(s.m.devices))
	}
	for name, want := range map[string][2]string{"nas1": {"DS920+", "2040SBR000001"}, "nas2": {"DS920+", "2040SBR000001"}, "nas3": {}} {
		d, err := NewDevices(s.a.o, s.a).Show(t.Context(), name)
		if err != nil || [2]string{d.Model, d.Serial} != want {
			t.Errorf("%s is a %q, serial %q (%v), want %q", name, d.Model, d.Serial, err, want)
		}
	}
}

func (s *search) discover(dry bool) []Result {
	s.t.Helper()
	var found []Candidate
	if _, err := s.d.Sweep(s.t.Context(), nil, nil, func(c Candidate) { found = append(found, c) }); err != nil {
		s.t.Fatal(err)
	}
	run := s.a.Begin()
	var all []Result
	for _, c := range found {
		r := s.d.Examine(s.t.Context(), run, c, dry)
		if r.Why == nil && r.Outcome == OutcomeFailed || r.Why != nil && (r.Why.Kind != r.Kind || r.Why.Step != r.Step) {
			s.t.Errorf("why %v, and the result is %+v", r.Why, r)
		}
		r.Message, r.DeviceID, r.Why, r.Proof = "", 0, nil, nil
		all = append(all, r)
	}
	return all
}

var byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func (s *search) want(what string, got, want []Result) {
	s.t.Helper()
	if diff := cmp.Diff(want, got, byAddr); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestTwoAddressesOfOneRouterAreOneDevice(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "x")
	s.agents[at1], s.agents[at2] = agentOf("cisco_iosxe", "r1", "SER00001"), agentOf("cisco_iosxe", "r1", "SER00001")
	s.agents[at3] = agentOf("cisco_iosxe", "r1", "SER00002") // another one with the same name
	first := []Result{
		{Address: at1, Outcome: OutcomeNew, Device: "r1", Platform: "cisco_iosxe"},
		{Address: at2, Outcome: OutcomeMerged, Device: "r1", Platform: "cisco_iosxe"},
		{Address: at3, Outcome: OutcomeNew, Device: "r1~2", Platform: "cisco_iosxe"},
	}
	dry := []Result{first[0], first[0], first[0]}
	dry[1].Address, dry[2].Address = at2, at3
	s.want("dry run", s.discover(true), dry)
	if len(s.m.devices) != 0 {
		t.Error("a dry run has stored devices")
	}
	s.want("first run", s.discover(false), first)
	second := append([]Result{}, first...)
	for i := range second {
		second[i].Outcome = OutcomeKnown
	}
	s.want("second run", s.discover(false), second)
	if got := s.m.kinds(); len(got) != 2 || got[0] != EventDeviceNew || got[1] != EventDeviceNew {
		t.Errorf("events %v, want two new devices", got)
	}
	d, err := NewDevices(s.a.o, s.a).Show(t.Context(), at2.String())
	if err != nil || d.Name != "r1" || d.Address != at1 || d.AddressReason != "answered first" || !d.Managed || !d.Identified {
		t.Errorf("device %+v (%v), want r1 at %s, managed and identified", d, err, at1)
	}
}

func TestKnownDevicesAreAskedOnlyWithTheCredentialThatWorks(t *testing.T) {
	s := newSearch(t)
	s.agents[at1] = agentOf("cisco_iosxe", "r1", "SER00001")
	s.discover(false)
	clear(s.asked)
	s.discover(false)
	want := map[netip.Addr][]string{at1: {"ro"}, at2: {"ro", "rw"}, at3: {"ro", "rw"}}
	if diff := cmp.Diff(want, s.asked, byAddr); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestKnownDeviceThatIsSilentIsSaid(t *testing.T) {
	s := newSearch(t)
	s.agents[at1] = agentOf("cisco_iosxe", "r1", "SER00001")
	s.discover(false)
	delete(s.agents, at1)
	s.want("silent", s.discover(false), []Result{{Address: at1, Outcome: OutcomeSilent, Device: "r1", Platform: "cisco_iosxe"}})
}

func TestUncertainPlatformIsProvedOverSSHWherePasswordsMayGo(t *testing.T) {
	s := newSearch(t)
	s.set.proof = "frr"
	s.agents[at1], s.agents[at2] = agentOf("maybe linux", "dist2", ""), agentOf("maybe linux", "host", "")
	s.credential("own", "x", "192.0.2.1/32")
	got := s.discover(false)
	s.want("proof", got, []Result{
		{Address: at1, Outcome: OutcomeNew, Device: "dist2", Platform: "frr"},
		{Address: at2, Outcome: OutcomeNew, Device: "host", Platform: "linux", Step: collector.StepLogin, Kind: collector.ErrNeedsDecision},
	})
	if diff := cmp.Diff([]string{"dist2 own"}, s.logins); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
	s.want("again: a guess does not replace the proof", s.discover(false), []Result{
		{Address: at1, Outcome: OutcomeKnown, Device: "dist2", Platform: "frr"},
		{Address: at2, Outcome: OutcomeKnown, Device: "host", Platform: "linux", Step: collector.StepLogin, Kind: collector.ErrNeedsDecision},
	})
}

func TestFailingProofLeavesTheDeviceNew(t *testing.T) {
	s := newSearch(t)
	s.set.proof = "closed"
	s.agents[at1] = agentOf("maybe linux", "dist2", "")
	s.credential("own", "x", "192.0.2.1/32")
	s.want("closed", s.discover(false), []Result{{Address: at1, Outcome: OutcomeNew, Device: "dist2", Platform: "linux", Step: collector.StepCommand, Kind: collector.ErrClosed}})
	s.fails["dist2"] = collector.ErrRefused
	s.want("refused", s.discover(false), []Result{{Address: at1, Outcome: OutcomeKnown, Device: "dist2", Platform: "linux", Step: collector.StepConnect, Kind: collector.ErrRefused}})
}

func TestAddedDeviceWithoutSNMPIsExaminedOverSSH(t *testing.T) {
	s := newSearch(t)
	s.set.proof = "frr"
	s.credential("noc", "x")
	devices := NewDevices(s.a.o, s.a)
	d, err := devices.Add(t.Context(), NewDevice{Address: "192.0.2.3:2222", Name: "rr2"}, "ops")
	if err != nil {
		t.Fatal(err)
	}
	if !d.AddedByPerson || !d.Managed || d.SSHPort != 2222 || d.Scope != "campus" || d.Missing != collector.ErrPlatformUnknown {
		t.Errorf("added %+v", d)
	}
	s.want("by SSH", s.discover(false), []Result{{Address: at3, Outcome: OutcomeKnown, Device: "rr2", Platform: "frr"}})
	s.fails["rr2"] = collector.ErrTimedOut
	s.want("nothing answers", s.discover(false), []Result{{Address: at3, Outcome: OutcomeFailed, Device: "rr2", Platform: "frr", Step: collector.StepConnect, Kind: collector.ErrTimedOut}})
	if _, err := devices.Add(t.Context(), NewDevice{Address: "192.0.2.3"}, "ops"); err == nil || !strings.Contains(err.Error(), "rr2") {
		t.Errorf("adding it again: %v, want a refusal that names rr2", err)
	}
}

func TestNothingAnsweringIsExplained(t *testing.T) {
	s := newSearch(t)
	sum, err := s.d.Sweep(t.Context(), []string{"campus"}, nil, func(Candidate) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"none of 3", "access list", "192.0.2.250"} {
		if !strings.Contains(sum.Message, want) {
			t.Errorf("message %q lacks %q", sum.Message, want)
		}
	}
	if _, err := s.d.Sweep(t.Context(), []string{"nowhere"}, nil, nil); err == nil || !strings.Contains(err.Error(), "campus") {
		t.Errorf("unknown scope: %v, want the names that there are", err)
	}
}

func TestAgentThatDiesIsAFailure(t *testing.T) {
	s := newSearch(t)
	r := s.d.Examine(t.Context(), s.a.Begin(), Candidate{Scope: "campus", Addr: at1, Credential: "ro"}, false)
	if r.Outcome != OutcomeFailed || r.Kind != collector.ErrTimedOut || r.Step != collector.StepSystem {
		t.Errorf("result %+v, want failed, timed-out at system", r)
	}
}

func TestPartOfTheAnswersIsKeptAndSaid(t *testing.T) {
	s := newSearch(t)
	a := agentOf("cisco_iosxe", "r1", "")
	a.r.Faults = []*collector.Error{{Step: "lldpRemTable", Kind: collector.ErrTimedOut}}
	s.agents[at1] = a
	s.credential("noc", "x")
	r := s.d.Examine(t.Context(), s.a.Begin(), Candidate{Scope: "campus", Addr: at1, Credential: "ro"}, false)
	if r.Outcome != OutcomeNew || !strings.Contains(r.Message, "lldpRemTable") {
		t.Errorf("result %+v, want new, and the table that is missing", r)
	}
}

func TestClashIsReportedOnce(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "x")
	for i, addr := range []netip.Addr{at1, at2} {
		a := agentOf("cisco_iosxe", []string{"a", "b"}[i], []string{"SER00001", "SER00002"}[i])
		a.r.BaseMAC = "00:11:22:33:44:55"
		s.agents[addr] = a
	}
	s.discover(false)
	s.discover(false)
	if n := s.m.count(EventIdentityClash); n != 1 {
		t.Errorf("%d events identity-clash, want 1", n)
	}
	if len(s.m.devices) != 2 {
		t.Errorf("%d devices, want 2", len(s.m.devices))
	}
}

func TestReplacedDeviceKeepsItsHistoryAndAsks(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "x")
	s.agents[at1] = agentOf("cisco_iosxe", "r1", "SER00001")
	s.discover(false)
	s.agents[at1] = agentOf("cisco_iosxe", "r1", "SER00002")
	s.discover(false)
	if len(s.m.devices) != 1 || s.m.count(EventDeviceReplaced) != 1 {
		t.Fatalf("%d devices, events %v; want one device, replaced", len(s.m.devices), s.m.kinds())
	}
	devices := NewDevices(s.a.o, s.a)
	d, err := devices.Show(t.Context(), "r1")
	if err != nil || d.Serial != "SER00002" || !strings.Contains(d.Question, "device replace r1") {
		t.Errorf("device %+v (%v), want the new serial and a question", d, err)
	}
	if d, err = devices.Replace(t.Context(), "r1", "ops"); err != nil || d.Question != "" {
		t.Errorf("after device replace: question %q (%v), want none", d.Question, err)
	}
}

// Nobody asks a device that is not managed whether it is up again: an alert about
// one that was down would fire for ever.
func TestDeviceThatIsManagedNoMoreIsAtRest(t *testing.T) {
	card, yes, no := "apc_nmc", true, false
	set := func(c Change) func(*search) error {
		return func(s *search) error {
			_, err := NewDevices(s.a.o, s.a).Set(s.t.Context(), "r1", c, "ops")
			return err
		}
	}
	rested := []EventKind{EventDeviceNew, EventDeviceRemoved}
	tests := map[string]struct {
		happens func(s *search) error
		state   State
		events  []EventKind
	}{
		"a person says so":                         {set(Change{Managed: &no}), StateUnknown, rested},
		"a person names a platform without a text": {set(Change{Platform: &card}), StateUnknown, rested},
		"named, and to be managed all the same":    {set(Change{Platform: &card, Managed: &yes}), StateDown, rested[:1]},
		"it is recognised as one": {func(s *search) error {
			s.agents[at1] = agentOf(card, "r1", "SER00001")
			s.discover(false)
			return nil
		}, StateUnknown, rested},
		"it is seen again": {func(s *search) error { s.discover(false); return nil }, StateDown, rested[:1]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSearch(t)
			s.credential("noc", "x")
			s.agents[at1] = agentOf("cisco_iosxe", "r1", "SER00001")
			s.discover(false)
			d, err := NewDevices(s.a.o, s.a).Show(t.Context(), "r1")
			if err != nil || !d.Managed {
				t.Fatalf("device %+v, %v, want it managed", d, err)
			}
			s.m.devices[d.ID].State = StateDown
			s.m.reach[d.ID] = Reach{LostSince: noon, SNMPLostSince: noon}
			if err := tt.happens(s); err != nil {
				t.Fatal(err)
			}
			if got := s.stored(d).State; got != tt.state {
				t.Errorf("it is %s, want %s", got, tt.state)
			}
			if lost := !s.m.reach[d.ID].LostSince.IsZero(); lost != (tt.state == StateDown) {
				t.Errorf("it is remembered as lost: %t", lost)
			}
			if diff := cmp.Diff(tt.events, s.m.kinds()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPersonsDecisionsOutliveDiscovery(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "x")
	s.agents[at1] = agentOf("cisco_iosxe", "r1", "SER00001")
	s.discover(false)
	name, site, platformName, off := "core", "lyon", "frr", false
	devices := NewDevices(s.a.o, s.a)
	if _, err := devices.Set(t.Context(), "r1", Change{Name: &name, Site: &site, Platform: &platformName, Managed: &off}, "ops"); err != nil {
		t.Fatal(err)
	}
	s.discover(false)
	d, err := devices.Show(t.Context(), "core")
	if err != nil || d.Site != "lyon" || d.Platform != "frr" || d.Managed {
		t.Errorf("device %+v (%v), want what the person said", d, err)
	}
	if got := s.m.audit[len(s.m.audit)-1]; got != "ops device set r1 name=core platform=frr site=lyon managed=false" {
		t.Errorf("audit row %q", got)
	}
	wrong := "nonesuch"
	for _, c := range []Change{{Platform: &wrong}, {Credential: &wrong}, {Address: new(string)}} {
		if _, err := devices.Set(t.Context(), "core", c, "ops"); err == nil {
			t.Errorf("Set(%+v) was taken", c)
		}
	}
	if _, err := devices.Show(t.Context(), "cor"); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "did you mean core?") {
		t.Errorf("Show(cor) = %v, want no such device and the nearest", err)
	}
}

func TestFilter(t *testing.T) {
	all := []Device{
		{Name: "core1", Platform: "cisco_iosxe", Site: "paris", Managed: true, Tags: []string{"edge"}, Address: at1},
		{Name: "core2", Platform: "frr", Site: "lyon", State: StateDown, Address: at2},
		{Name: "old", Retired: true, Address: at3},
	}
	tests := map[string]string{
		"":                        "core1 core2",
		"core*":                   "core1 core2",
		"CORE1":                   "core1",
		"192.0.2.2":               "core2",
		"platform:cisco_*":        "core1",
		"site:paris site:lyon":    "core1 core2",
		"site:paris platform:frr": "",
		"state:down":              "core2",
		"tag:edge":                "core1",
		"is:managed":              "core1",
		"is:retired":              "old",
	}
	for words, want := range tests {
		f := mustFilter(t, words)
		var got []string
		for _, d := range all {
			if f.Match(d) {
				got = append(got, d.Name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q chooses %v, want %q", words, got, want)
		}
	}
	for _, words := range []string{"colour:red", "core["} {
		if _, err := ParseFilter(words); err == nil {
			t.Errorf("ParseFilter(%q) was taken", words)
		}
	}
}

// Settings may hold a value that no device has; a person who types one is told
// those that there are.
func TestFilterNamesTheValuesThatThereAre(t *testing.T) {
	for words, want := range map[string]string{
		"state:foo":          "there is no state:foo; state is one of behind, degraded, down, unknown, up",
		"core* missing:foo":  "there is no missing:foo; missing is one of needs-credential, needs-decision, platform-unknown",
		"is:managed is:foo*": "there is no is:foo*; is is one of added, disabled, managed, retired, unmanaged",
		"state:d* missing:":  "",
		"site:anything":      "",
	} {
		said := ""
		if err := mustFilter(t, words).Check(); err != nil {
			said = err.Error()
		}
		if said != want {
			t.Errorf("%q is said to be %q, want %q", words, said, want)
		}
	}
}

func TestKnownHostsPinBeforeTheFirstSession(t *testing.T) {
	b := newBench(t)
	b.device("r1", func(d *Device) { d.Address, d.Identified = at1, false })
	b.device("r2", func(d *Device) { d.Address, d.SSHPort = at2, 2222 })
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA+TlkTaw88jcmT3FyB9b4pObTyVmOILNIcWzOkHcJmW"
	file := "# comment\n192.0.2.1 " + ed + "\n|1|MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=|" + hashOf("[192.0.2.2]:2222") + " " + ed + "\n192.0.2.2 " + ed + "\n@revoked r1 " + ed + "\n"
	got, err := NewDevices(b.a.o, b.a).AcceptKnownHosts(t.Context(), Filter{}, strings.NewReader(file), "ops")
	if err != nil || len(got) != 2 || got[0].Device != "r1" || got[1].Device != "r2" {
		t.Fatalf("accepted %v (%v), want one key at each", got, err)
	}
	keys, _ := memoryTx{b.m}.Keys(1)
	if len(keys) != 1 || !keys[0].ByPerson || keys[0].State != KeyPinned {
		t.Errorf("keys %+v, want one pinned by a person", keys)
	}
	if _, err := NewDevices(b.a.o, b.a).AcceptKnownHosts(t.Context(), Filter{}, strings.NewReader("\nr1 nonsense\n"), "ops"); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("faulty file: %v, want its line", err)
	}
}

// hashOf is the hash part of a hashed known_hosts name with the salt above.
func hashOf(name string) string {
	h := hmac.New(sha1.New, []byte("12345678901234567890"))
	h.Write([]byte(name))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
