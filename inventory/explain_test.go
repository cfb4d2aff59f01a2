package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
	"muster/collector/cli"
)

// explained runs Explain and flattens what it said; nothing may have been stored
// and nobody logged in to.
func (s *search) explained(key, excludedBy string) []string {
	s.t.Helper()
	events, audit, logins := len(s.m.events), len(s.m.audit), len(s.logins)
	kept := func() string {
		all := map[int64]Device{} // fmt prints maps in the order of their keys
		for id, d := range s.m.devices {
			all[id] = *d
		}
		return fmt.Sprintf("%+v %+v %+v", all, s.m.keys, s.m.attempts)
	}
	before := kept()
	steps, err := s.d.Explain(s.t.Context(), key, func(netip.Addr) string { return excludedBy })
	if err != nil {
		s.t.Fatal(err)
	}
	if len(s.m.events) != events || len(s.m.audit) != audit || len(s.logins) != logins || kept() != before {
		s.t.Error("an explanation changed something")
	}
	var all []string
	for _, e := range steps {
		text := e.Step + " " + e.Verdict + ": " + e.Message
		if e.Do != "" {
			text += " | " + e.Do
		}
		all = append(all, text)
	}
	return all
}

// like holds said against expressions: their beginnings, in order, all of them.
func (s *search) like(what string, said []string, want ...string) {
	s.t.Helper()
	var heads []string
	for i, line := range said {
		if i < len(want) && strings.HasPrefix(line, want[i]) {
			line = want[i]
		}
		heads = append(heads, line)
	}
	if diff := cmp.Diff(want, heads); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestExplainSaysWhatADiscoveryWouldDo(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "secret")
	s.credential("elsewhere", "secret", "10.9.9.9/32")
	s.agents[at1] = agentOf("cisco_iosxe", "sw1", "FOC1")
	s.agents[at2] = agentOf("Linux", "web1", "")
	creds := []string{"credential yes: ro (snmp-v2c): fits", "credential yes: rw (snmp-v2c): fits", "credential yes: noc (ssh): fits",
		"credential no: elsewhere (ssh): its for does not hold "}

	s.like("network gear", s.explained(at1.String(), ""), slices.Concat([]string{
		"address info: " + at1.String() + " is in the inventory under no device", "scope yes: scope campus holds it"}, creds, []string{
		`snmp yes: ro: answered as "sw1", sysObjectID 1.2.3; the others are not asked with`,
		"identity info: it would be a new device, sw1",
		"platform yes: cisco_iosxe, by sysObjectID",
		"passwords yes: passwords may go there (passwords_to: identified): SNMP proves what it is",
		"declared yes: platform cisco_iosxe is lab",
		"budget yes: 0 of 2 rejected logins of the last 24 hours",
		"host key info: none is pinned",
		"verdict yes: a session to " + at1.String() + ":22 would be opened with noc, to read it"})...)

	s.like("what SNMP does not prove", s.explained(at2.String(), ""), slices.Concat([]string{"address info", "scope yes"}, creds, []string{
		`snmp yes: ro: answered as "web1"`, "identity info: it would be a new device, web1",
		"platform info: SNMP does not tell: nothing; a proof over SSH has to",
		"passwords no: no password may go there (passwords_to: identified) | SNMP does not prove what web1 is",
		"budget yes: 0 of 2", "host key info: none is pinned",
		"verdict no: no session would be opened: needs-decision | SNMP does not prove what web1 is"})...)

	s.agents[at3] = agentOf("apc_nmc", "ups1", "")
	s.like("what is inventory and nothing else", s.explained(at3.String(), ""), slices.Concat([]string{"address info", "scope yes"}, creds, []string{
		`snmp yes: ro: answered as "ups1"`, "identity info: it would be a new device, ups1", "platform yes: apc_nmc, by sysObjectID",
		"verdict no: it is inventory and nothing else: apc_nmc has nothing to back up, so no session is opened: no command prints it"})...)
	delete(s.agents, at3)
	s.like("silence", s.explained(at3.String(), ""), slices.Concat([]string{"address info", "scope yes"}, creds, []string{
		"snmp no: ro: ", "snmp no: rw: ", "verdict no: discovery would not find it"})...)
	s.a.o.Network = func() Network {
		n := s.network()
		n.ScopeOf = mustScope(t, "10.0.0.0/8", s.scope)
		return n
	}
	s.d.o = s.a.o
	s.like("excluded", s.explained("192.0.2.77", "campus"), "address info", "scope no: scope campus excludes it | Take it out of the exclude list of scope campus",
		"verdict no: muster would ask nothing there")
	s.like("in no scope", s.explained("192.0.2.77", ""), "address info", "scope no: no scope holds it | Add it to the addresses of a scope",
		"verdict no: muster would ask nothing there")
}

// The way in is said where it is another than SSH from here.
func TestExplainNamesTheWayIn(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "secret")
	s.agents[at1] = agentOf("cisco_iosxe", "sw1", "FOC1")
	heads := func(of ...string) (found []string) {
		for _, line := range s.explained(at1.String(), "") {
			if step, _, _ := strings.Cut(line, ": "); slices.Contains(of, strings.Fields(step)[0]) {
				found = append(found, line)
			}
		}
		return found
	}
	s.like("SSH from here", heads("way"))
	s.scope.Jump = JumpHost{Host: "bastion"}
	s.like("through a jump host", heads("way"), "way in info: SSH on TCP port 22, through jump host bastion")
	s.scope.TelnetPort = 2323
	s.like("Telnet", heads("way", "host", "verdict"), "way in info: Telnet on TCP port 2323, through jump host bastion, and never SSH, since scope campus says telnet: passwords and configurations travel in clear",
		"host key info: Telnet has none", "verdict yes: a session to "+at1.String()+":2323 would be opened with noc")
}

func TestExplainKnowsWhatIsKnown(t *testing.T) {
	s := newSearch(t)
	s.credential("noc", "secret")
	s.agents[at1] = agentOf("cisco_iosxe", "sw1", "FOC1")
	s.host = func(string) collector.HostKey {
		return collector.HostKey{Type: "ssh-ed25519", Blob: []byte("k"), Fingerprint: "SHA256:k"}
	}
	s.accepts = func(string, collector.Credential) bool { return false }
	s.discover(false)
	dev, err := NewDevices(s.a.o, s.a).Show(t.Context(), "sw1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.d.Explain(t.Context(), "sw2", func(netip.Addr) string { return "" }); err == nil || !strings.Contains(err.Error(), "did you mean sw1?; nor is it an address") {
		t.Errorf("a name that is none: %v", err)
	}
	s.device("lost", func(d *Device) { d.Address, d.AddressReason = netip.Addr{}, "its address is another device's now" })
	s.like("no address", s.explained("lost", ""), "verdict no: muster would ask nothing: lost has no address (its address is another device's now) | Find it with muster discover")
	delete(s.agents, at1)
	s.agents[at2] = agentOf("cisco_iosxe", "sw1", "FOC1")
	s.like("a further address of it", s.explained(at2.String(), "")[:6], "address info: "+at2.String()+" is in the inventory under no device", "scope yes",
		"credential yes: ro", "credential yes: rw", "credential yes: noc", "snmp yes: ro")
	if got := s.explained(at2.String(), ""); !slices.Contains(got, "identity info: it would be taken for sw1, which is in the inventory") {
		t.Errorf("a further address: %s", strings.Join(got, "\n"))
	}
	_, _, _ = s.a.Begin().Open(t.Context(), dev, cli.Dialogue{}, cli.Options{})
	_, _, _ = s.a.Begin().Open(t.Context(), dev, cli.Dialogue{}, cli.Options{})
	s.credential("second", "other")
	_, _, _ = s.a.Begin().Open(t.Context(), dev, cli.Dialogue{}, cli.Options{})
	got := s.explained("sw1", "")
	for _, want := range []string{"credential info: rw (snmp-v2c): not asked with, since ro works there", "budget no: 2 of 2 rejected logins", "host key yes: ssh-ed25519 SHA256:k, accepted at first use",
		"verdict no: no session would be opened: needs-credential"} {
		if !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
}
