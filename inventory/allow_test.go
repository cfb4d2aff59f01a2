package inventory

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"muster/collector"
)

// allowBench is an inventory with a machine web1 that SNMP does not prove, and
// that shows the key named by show.
func allowBench(t *testing.T) (s *search, d *Devices, show *string) {
	s = newSearch(t)
	s.credential("noc", "secret")
	s.agents[at1] = agentOf("Linux", "web1", "")
	key := "first"
	s.host = func(string) collector.HostKey {
		return collector.HostKey{Type: "ssh-ed25519", Blob: []byte(key), Fingerprint: "SHA256:" + key}
	}
	s.discover(false)
	return s, NewDevices(s.a.o, s.a), &key
}

func (s *search) allowed(d *Devices, o AllowOptions, words ...string) []Allowed {
	s.t.Helper()
	got, err := d.Allow(s.t.Context(), mustFilter(s.t, words...), o, "ops")
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func TestWhatWaitsForAYesIsListedAndGetsOne(t *testing.T) {
	s, d, _ := allowBench(t)
	waiting, err := d.List(t.Context(), mustFilter(t, "missing:needs-decision"))
	if err != nil || len(waiting) != 1 || waiting[0].Name != "web1" || waiting[0].Managed || !strings.Contains(waiting[0].MissingReason, "muster device allow web1") {
		t.Fatalf("waiting: %+v %v", waiting, err)
	}
	got := s.allowed(d, AllowOptions{}, "missing:needs-decision")
	want := Allowed{Device: "web1", Address: at1, Outcome: AllowWould, Type: "ssh-ed25519", Fingerprint: "SHA256:first"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("preview: %+v", got)
	}
	if keys, _ := d.KeysOf(t.Context(), waiting[0].ID); len(keys) > 0 {
		t.Errorf("a preview pinned %+v", keys)
	}
	want.Outcome = AllowDone
	if got = s.allowed(d, AllowOptions{Apply: true, Keys: map[string]string{"web1": "SHA256:first"}}, "web1"); len(got) != 1 || got[0] != want {
		t.Errorf("yes: %+v", got)
	}
	if len(s.logins) > 0 {
		t.Errorf("a password left before the yes was kept: %v", s.logins)
	}
	if !slices.Contains(s.m.audit, "ops device allow web1 ssh-ed25519 SHA256:first") {
		t.Errorf("audit: %q", s.m.audit)
	}
	if waiting, _ = d.List(t.Context(), mustFilter(t, "missing:needs-decision")); len(waiting) > 0 {
		t.Errorf("still waiting: %+v", waiting)
	}
	if got = s.allowed(d, AllowOptions{Apply: true}, "web1"); got[0].Outcome != AllowLeft {
		t.Errorf("a second yes: %+v", got)
	}
	s.set.proof = "frr"
	s.discover(false)
	if dev, _ := d.Show(t.Context(), "web1"); dev.Platform != "frr" || !dev.Managed || !slices.Equal(s.logins, []string{"web1 noc"}) {
		t.Errorf("after the yes: %+v, logins %v", dev, s.logins)
	}
}

func TestAYesIsForOneKeyOnly(t *testing.T) {
	s, d, show := allowBench(t)
	*show = "other"
	got := s.allowed(d, AllowOptions{Apply: true, Keys: map[string]string{"web1": "SHA256:first"}}, "web1")
	if got[0].Outcome != AllowFailed || got[0].Kind != collector.ErrHostKeyChanged || !strings.Contains(got[0].Message, "SHA256:first") {
		t.Errorf("another key than the one that was seen: %+v", got)
	}
	*show = "first"
	s.allowed(d, AllowOptions{Apply: true}, "web1")
	*show = "stranger"
	s.set.proof = "frr"
	s.discover(false)
	if len(s.logins) > 0 {
		t.Errorf("a stranger at the address got a password: %v", s.logins)
	}
}

func TestAYesSaysWhatStillStandsInTheWay(t *testing.T) {
	s, d, _ := allowBench(t)
	if err := s.m.Update(t.Context(), func(tx Tx) error { // no address
		return tx.PutDevice(&Device{Name: "lost", Managed: true})
	}); err != nil {
		t.Fatal(err)
	}
	s.fails["dead"] = collector.ErrRefused
	s.device("dead", func(dev *Device) { dev.Identified, dev.Address = false, netip.MustParseAddr("10.1.1.1") })
	s.device("off", func(dev *Device) { dev.Identified, dev.Disabled = false, true })
	if got := s.allowed(d, AllowOptions{Apply: true}, "off"); got[0].Outcome != AllowLeft || !strings.Contains(got[0].Message, "--enable") {
		t.Errorf("a disabled device was asked: %+v", got)
	}
	got := s.allowed(d, AllowOptions{Apply: true}, "dead", "lost", "web1")
	kinds := map[string]collector.Kind{}
	for _, a := range got {
		kinds[a.Device] = a.Kind
	}
	if len(got) != 3 || kinds["dead"] != collector.ErrRefused || kinds["lost"] != collector.ErrUnreachable || kinds["web1"] != "" {
		t.Errorf("%+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Allow(ctx, Filter{}, AllowOptions{}, "ops"); err == nil {
		t.Error("it went on after its end")
	}
}
