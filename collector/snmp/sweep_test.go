package snmp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
	"muster/internal/secret"
)

// fastSweep is for tests: loopback bears it.
var fastSweep = SweepOptions{Rate: 5000, Timeout: 100 * time.Millisecond}

func community(name, text string) collector.Credential {
	return collector.Credential{Name: name, Kind: collector.KindSNMPv2c, Community: secret.New(text)}
}

// sweepAll sweeps and gives the answers by address.
func sweepAll(t *testing.T, o SweepOptions, targets ...SweepTarget) (SweepResult, map[netip.AddrPort]Answer) {
	t.Helper()
	answers := map[netip.AddrPort]Answer{}
	r, err := Sweep(t.Context(), targets, o, func(a Answer) {
		if _, twice := answers[a.Addr]; twice {
			t.Errorf("%s was told of twice", a.Addr)
		}
		answers[a.Addr] = a
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, answers
}

// agentsAt starts n agents on neighboring addresses and one port.
func agentsAt(t *testing.T, block string, n int) []*agent {
	t.Helper()
	first := startAgent(t, netip.AddrPortFrom(netip.MustParseAddr(block), 0))
	agents := []*agent{first}
	for ip := first.addr.Addr().Next(); len(agents) < n; ip = ip.Next() {
		agents = append(agents, startAgent(t, netip.AddrPortFrom(ip, first.addr.Port())))
	}
	return agents
}

func TestSweepFindsWhatAnswers(t *testing.T) {
	agents := agentsAt(t, "127.88.1.1", 3)
	var targets []SweepTarget
	for ip, i := agents[0].addr.Addr(), 0; i < 40; ip, i = ip.Next(), i+1 {
		targets = append(targets, SweepTarget{netip.AddrPortFrom(ip, agents[0].addr.Port()), []collector.Credential{community("ro", testCommunity)}})
	}
	targets = append(targets, targets[0]) // twice in the list, asked once
	var sent, total, told int
	o := fastSweep
	o.Progress = func(s, n, a int) { sent, total, told = s, n, a }
	r, answers := sweepAll(t, o, targets...)
	if r.Asked != 40 || r.Answered != 3 || r.Rejected != 0 || r.From != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("result %+v", r)
	}
	for _, a := range agents {
		got := answers[a.addr]
		if got.Credential != "ro" || got.System.Descr != "Small agent" || got.System.ObjectID != "1.3.6.1.4.1.99999.1" || got.System.Name != "small" {
			t.Errorf("%s: %+v", a.addr, got)
		}
		if n := a.requests(nil); n != 1 {
			t.Errorf("%s answered and was asked %d times", a.addr, n)
		}
	}
	if sent != 80 || total != 80 || told != 3 {
		t.Errorf("progress ended at %d of %d, %d answered", sent, total, told)
	}
}

func TestFirstCredentialThatWorksIsTheOnlyOneGoneOn(t *testing.T) {
	a := loopback(t)
	_, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{
		{Name: "noc", Kind: collector.KindSSH, User: "u", Password: secret.New("fake-ssh-password")},
		community("wrong", "wrong-community"), community("right", testCommunity), community("later", "later-community"),
	}})
	if got := answers[a.addr]; got.Credential != "right" || got.Fault != nil {
		t.Errorf("answer %+v", got)
	}
	var asked []string
	a.requests(func(q gosnmp.SnmpPacket) bool { asked = append(asked, q.Community); return true })
	if slices.Contains(asked, "later-community") || len(asked) != 3 {
		t.Errorf("asked with %q", asked)
	}
}

func TestUserBeforeCommunityKeepsTheCommunityHome(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	_, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{
		userCredential("wrong", "nobody", "fake-password"), userCredential("v3", "muster", "fake-password"), community("ro", testCommunity),
	}})
	got := answers[a.addr]
	if got.Credential != "v3" || got.System.Descr != "Small agent" || string(got.System.EngineID) != string(testEngine) || got.Fault != nil {
		t.Errorf("answer %+v", got)
	}
	if n := a.requests(func(q gosnmp.SnmpPacket) bool { return q.Version != gosnmp.Version3 }); n != 0 {
		t.Errorf("the community was sent %d times", n)
	}
	if n := a.requests(func(q gosnmp.SnmpPacket) bool { return q.MsgID == 0 }); n != 1 {
		t.Errorf("%d discoveries", n)
	}
}

func TestAgentThatRejectsAllUsersIsToldOf(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	r, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{
		userCredential("v3", "muster", "old-password"), community("ro", "wrong-community"),
	}})
	got := answers[a.addr]
	if got.Credential != "" || !errors.Is(got.Fault, collector.ErrLoginRejected) || got.Fault.Addr != a.addr || string(got.System.EngineID) != string(testEngine) {
		t.Errorf("answer %+v", got)
	}
	if r.Answered != 0 || r.Rejected != 1 {
		t.Errorf("result %+v", r)
	}
}

func TestCommunityBehindRejectedUserIsStillTried(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	_, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{
		userCredential("v3", "muster", "old-password"), community("ro", testCommunity), userCredential("second", "muster", "fake-password"),
	}})
	if got := answers[a.addr]; got.Credential != "ro" || got.Fault != nil {
		t.Errorf("answer %+v", got)
	}
}

func TestLaterUserNeedsNoSecondDiscovery(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	_, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{
		userCredential("v3", "muster", "old-password"), community("ro", "wrong-community"), userCredential("second", "muster", "fake-password"),
	}})
	if got := answers[a.addr]; got.Credential != "second" || got.Fault != nil {
		t.Errorf("answer %+v", got)
	}
	if n := a.requests(func(q gosnmp.SnmpPacket) bool { return q.Version == gosnmp.Version3 && q.MsgID == 0 }); n != 1 {
		t.Errorf("%d discoveries", n)
	}
}

func TestAnswersOfOthersAreNotBelieved(t *testing.T) {
	agents := agentsAt(t, "127.88.2.1", 2)
	other := agents[1]
	agents[0].misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket { return nil })
	for name, f := range map[string]func(p *gosnmp.SnmpPacket){
		"another request-id": func(p *gosnmp.SnmpPacket) { p.RequestID++ },
		"request-id 0":       func(p *gosnmp.SnmpPacket) { p.RequestID = 0 },
		"another version":    func(p *gosnmp.SnmpPacket) { p.Version = gosnmp.Version1 },
		"no response":        func(p *gosnmp.SnmpPacket) { p.PDUType = gosnmp.GetRequest },
	} {
		other.misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
			p := a.honest(q)
			f(&p)
			return []gosnmp.SnmpPacket{p}
		})
		_, answers := sweepAll(t, fastSweep, SweepTarget{other.addr, []collector.Credential{community("ro", testCommunity)}})
		if len(answers) != 0 {
			t.Errorf("%s: %+v", name, answers)
		}
	}
	// The first's request, answered from the second's address.
	agents[0].misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket { return []gosnmp.SnmpPacket{a.honest(q)} })
	agents[0].mu.Lock()
	agents[0].from = other.conn
	agents[0].mu.Unlock()
	_, answers := sweepAll(t, fastSweep, SweepTarget{agents[0].addr, []collector.Credential{community("ro", testCommunity)}})
	if len(answers) != 0 {
		t.Errorf("an answer from another address counts: %+v", answers)
	}
}

func TestAddressThatCannotBeSentToStopsNobody(t *testing.T) {
	a := loopback(t)
	ro := []collector.Credential{community("ro", testCommunity)}
	nowhere := SweepTarget{netip.MustParseAddrPort("127.0.0.1:0"), ro} // the kernel refuses port 0
	r, answers := sweepAll(t, fastSweep, nowhere, SweepTarget{a.addr, ro})
	if len(answers) != 1 || r.Unsent != 1 {
		t.Errorf("result %+v", r)
	}
	_, err := Sweep(t.Context(), []SweepTarget{nowhere}, fastSweep, func(Answer) {})
	if !errors.Is(err, collector.ErrUnreachable) {
		t.Errorf("nothing could be sent: %v", err)
	}
}

func TestOwnAddressThatIsNotOursIsRefused(t *testing.T) {
	o := fastSweep
	o.Source = netip.MustParseAddr("192.0.2.1")
	_, err := Sweep(t.Context(), []SweepTarget{{netip.MustParseAddrPort("127.0.0.1:161"), []collector.Credential{community("ro", "x")}}}, o, func(Answer) {})
	if !errors.Is(err, collector.ErrUnreachable) || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("Sweep = %v", err)
	}
}

func TestCredentialThatCannotBeUsedIsNamed(t *testing.T) {
	a := loopback(t)
	r, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{community("empty", ""), community("ro", testCommunity)}})
	if len(answers) != 1 || len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Error(), "empty") {
		t.Errorf("result %+v", r)
	}
}

func TestCredentialStaysWithinItsAddresses(t *testing.T) {
	a := loopback(t)
	c := community("ro", testCommunity)
	c.For = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	if _, answers := sweepAll(t, fastSweep, SweepTarget{a.addr, []collector.Credential{c}}); len(answers) != 0 || a.requests(nil) != 0 {
		t.Errorf("asked %d times outside of it", a.requests(nil))
	}
}

func TestSweepKeepsItsRate(t *testing.T) {
	var targets []SweepTarget
	for ip := netip.MustParseAddr("127.88.3.1"); len(targets) < 25; ip = ip.Next() {
		targets = append(targets, SweepTarget{netip.AddrPortFrom(ip, 1), []collector.Credential{community("ro", "x")}})
	}
	begin := time.Now()
	sweepAll(t, SweepOptions{Tries: 1, Timeout: time.Millisecond}, targets...)
	if took := time.Since(begin); took < 240*time.Millisecond {
		t.Errorf("25 packets at 100 a second took %s", took)
	}
}

// Waiting for leave to send must not use up the time that the agent has.
func TestSlowRateLeavesUsersTheirTime(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	o := SweepOptions{Rate: 10, Tries: 1, Timeout: 60 * time.Millisecond}
	_, answers := sweepAll(t, o, SweepTarget{a.addr, []collector.Credential{userCredential("v3", "muster", "fake-password")}})
	if got := answers[a.addr]; got.Credential != "v3" {
		t.Errorf("answer %+v", got)
	}
}

func TestSweepEndsWithItsContext(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	ctx, cancel := context.WithCancel(t.Context())
	a.misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket { cancel(); return nil })
	o := SweepOptions{Rate: 5000, Timeout: time.Hour}
	_, err := Sweep(ctx, []SweepTarget{
		{a.addr, []collector.Credential{userCredential("v3", "muster", "fake-password")}},
		{netip.MustParseAddrPort("127.88.4.1:1"), []collector.Credential{community("ro", "x")}},
	}, o, func(a Answer) { t.Errorf("told of %+v", a) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep = %v", err)
	}
}

func TestSweepOfNothing(t *testing.T) {
	r, answers := sweepAll(t, fastSweep)
	if r.Asked != 0 || len(answers) != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestNeighborsInTheNetworkAreNotAskedInARow(t *testing.T) {
	var targets []SweepTarget
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2"} {
		targets = append(targets, SweepTarget{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 161)})
	}
	var got []string
	for _, t := range interleaved(targets) {
		got = append(got, t.Addr.Addr().String())
	}
	want := []string{"192.0.2.1", "198.51.100.1", "2001:db8::1", "192.0.2.2", "198.51.100.2", "2001:db8::2", "192.0.2.3"}
	if !slices.Equal(got, want) {
		t.Errorf("order %q", got)
	}
}
