package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster/collector/snmp"
	"muster/inventory/platform"
)

var (
	at1 = netip.MustParseAddr("192.0.2.1")
	at2 = netip.MustParseAddr("192.0.2.2")
	at3 = netip.MustParseAddr("192.0.2.3")
)

// ids makes identifiers of "kind=value" words.
func ids(words ...string) []Identifier {
	var all []Identifier
	for _, w := range words {
		kind, value, _ := strings.Cut(w, "=")
		switch kind {
		case "serial":
			vendor, rest, ok := strings.Cut(value, "/")
			if !ok {
				vendor, rest = "v", value
			}
			serial, context, _ := strings.Cut(rest, "/")
			all = append(all, serialID(vendor, serial, context))
		case "name":
			all = append(all, Identifier{IDSysName, value + "|1.2.3"})
		default:
			all = append(all, Identifier{IdentifierKind(kind), value})
		}
	}
	return all
}

func device(id int64, addr netip.Addr, evidence ...string) Known {
	k := Known{Device: Device{ID: id, Name: fmt.Sprint("d", id), Address: addr}, Identifiers: ids(evidence...)}
	if addr.IsValid() {
		k.Answered = []netip.Addr{addr}
	}
	return k
}

func seen(addr netip.Addr, evidence ...string) sighting {
	s := sighting{addr: addr, at: noon, identifiers: ids(evidence...)}
	for _, i := range s.identifiers {
		if i.Kind == IDSysName {
			s.sysName, _, _ = strings.Cut(i.Value, "|")
		}
	}
	return s
}

func person(k Known) Known { k.Device.AddedByPerson = true; return k }

func retired(k Known) Known { k.Device.Retired = true; return k }

func clocked(k Known, boots, secs int64) Known {
	k.Engine = EngineMark{boots, secs, noon.Add(-time.Hour)}
	return k
}

func (s sighting) clocked(boots, secs int64) sighting {
	s.engine = EngineMark{boots, secs, s.at}
	return s
}

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		s    sighting
		have []Known
		want decision
	}{
		"nobody knows it": {seen(at1, "serial=AAAA1"), nil, decision{verb: verbNew}},
		"second address of a router": {seen(at2, "serial=AAAA1", "name=r1"), []Known{device(1, at1, "serial=AAAA1", "name=r1")},
			decision{verb: verbMerged, into: 1}},
		"same sysName alone is two devices": {seen(at2, "name=sw"), []Known{device(1, at1, "name=sw")}, decision{verb: verbNew}},
		"same sysName, other serials, is two": {seen(at2, "name=sw", "serial=BBBB2"), []Known{device(1, at1, "name=sw", "serial=AAAA1")},
			decision{verb: verbNew}},
		"shared base MAC but serials disagree": {seen(at2, "base-mac=00:11:22:33:44:55", "serial=BBBB2"),
			[]Known{device(1, at1, "base-mac=00:11:22:33:44:55", "serial=AAAA1")}, decision{verb: verbNew}},
		"known at its address": {seen(at1, "serial=AAAA1"), []Known{device(1, at1, "serial=AAAA1")}, decision{verb: verbKnown, into: 1}},
		"known at its address though it told nothing": {seen(at1), []Known{device(1, at1, "serial=AAAA1")},
			decision{verb: verbKnown, into: 1}},
		"renamed": {seen(at1, "name=new", "engine-id=e1"), []Known{device(1, at1, "name=old", "engine-id=e1")},
			decision{verb: verbKnown, into: 1}},
		"engine changed while address and name stayed": {seen(at1, "name=r1", "engine-id=e2"), []Known{device(1, at1, "name=r1", "engine-id=e1")},
			decision{verb: verbKnown, into: 1}},
		"another name and another engine at the address": {seen(at1, "name=r2", "engine-id=e2"), []Known{device(1, at1, "name=r1", "engine-id=e1")},
			decision{verb: verbNew, takes: []int64{1}}},
		"replaced chassis": {seen(at1, "name=r1", "serial=BBBB2"), []Known{device(1, at1, "name=r1", "serial=AAAA1")},
			decision{verb: verbReplaced, into: 1}},
		"another chassis where a retired one was": {seen(at1, "name=r1", "serial=BBBB2"), []Known{retired(device(1, at1, "name=r1", "serial=AAAA1"))},
			decision{verb: verbNew, takes: []int64{1}}},
		"another device at the address": {seen(at1, "name=r2", "serial=BBBB2"), []Known{device(1, at1, "name=r1", "serial=AAAA1")},
			decision{verb: verbNew, takes: []int64{1}}},
		"address moved to a known device": {seen(at1, "name=r2", "serial=BBBB2"),
			[]Known{device(1, at1, "name=r1", "serial=AAAA1"), device(2, at2, "name=r2", "serial=BBBB2")},
			decision{verb: verbMerged, into: 2, takes: []int64{1}}},
		"failover of a pair is no replacement": {seen(at1, "name=fw", "serial=BBBB2"), []Known{device(1, at1, "name=fw", "serial=AAAA1", "serial=BBBB2")},
			decision{verb: verbKnown, into: 1}},
		"new master of a stack": {seen(at1, "name=st", "serial=BBBB2", "serial=CCCC3", "base-mac=00:11:22:33:44:02"),
			[]Known{device(1, at1, "name=st", "serial=AAAA1", "serial=BBBB2", "base-mac=00:11:22:33:44:01")}, decision{verb: verbKnown, into: 1}},
		"a member that moved to another stack": {seen(at2, "serial=DDDD4", "serial=CCCC3"),
			[]Known{device(1, at1, "serial=AAAA1", "serial=CCCC3"), device(2, at2, "serial=DDDD4")}, decision{verb: verbKnown, into: 2}},
		"two contexts of one chassis": {seen(at2, "serial=v/AAAA1/vdc2", "base-mac=00:11:22:33:44:55"),
			[]Known{device(1, at1, "serial=v/AAAA1/vdc1", "base-mac=00:11:22:33:44:55")}, decision{verb: verbNew}},
		"contexts that do not tell their name": {seen(at2, "serial=AAAA1", "name=b", "engine-id=e2", "base-mac=00:11:22:33:44:02"),
			[]Known{device(1, at1, "serial=AAAA1", "name=a", "engine-id=e1", "base-mac=00:11:22:33:44:01")}, decision{verb: verbNew}},
		"serial before and after the vendor is known": {seen(at2, "serial=v/AAAA1"), []Known{device(1, at1, "serial=/AAAA1")},
			decision{verb: verbMerged, into: 1}},
		"engine with a plausible clock": {seen(at2, "engine-id=e1").clocked(3, 4000), []Known{clocked(device(1, at1, "engine-id=e1"), 3, 400)},
			decision{verb: verbMerged, into: 1}},
		"engine that has booted since": {seen(at2, "engine-id=e1").clocked(4, 60), []Known{clocked(device(1, at1, "engine-id=e1"), 3, 400)},
			decision{verb: verbMerged, into: 1}},
		"cloned engine with another clock": {seen(at2, "engine-id=e1").clocked(3, 9000), []Known{clocked(device(1, at1, "engine-id=e1"), 3, 400)},
			decision{verb: verbNew}},
		"cloned engine that booted before it was read": {seen(at2, "engine-id=e1").clocked(4, 9000),
			[]Known{clocked(device(1, at1, "engine-id=e1"), 3, 400)}, decision{verb: verbNew}},
		"cloned engine without a clock, names differ": {seen(at2, "engine-id=e1", "name=b"), []Known{device(1, at1, "engine-id=e1", "name=a")},
			decision{verb: verbNew}},
		"host key and name":         {seen(at2, "host-key=k", "name=a"), []Known{device(1, at1, "host-key=k", "name=a")}, decision{verb: verbMerged, into: 1}},
		"host key without the name": {seen(at2, "host-key=k", "name=b"), []Known{device(1, at1, "host-key=k", "name=a")}, decision{verb: verbNew}},
		"a value on two living devices is none": {seen(at3, "base-mac=00:11:22:33:44:55"),
			[]Known{device(1, at1, "base-mac=00:11:22:33:44:55"), device(2, at2, "base-mac=00:11:22:33:44:55")}, decision{verb: verbNew}},
		"two records turn out to be one": {seen(at2, "serial=AAAA1", "name=r1"), []Known{device(1, at1, "serial=AAAA1", "name=r1"), device(2, at2, "name=r1")},
			decision{verb: verbMerged, into: 1, join: []int64{2}}},
		"a person's device is not merged unasked": {seen(at2, "serial=AAAA1"), []Known{device(1, at1, "serial=AAAA1"), person(device(2, at2))},
			decision{verb: verbKnown, into: 2}},
		"nor does it take another in": {seen(at1, "serial=AAAA1", "name=r1"), []Known{device(1, at1, "name=r1"), person(device(2, at2, "serial=AAAA1"))},
			decision{verb: verbMerged, into: 2, takes: []int64{1}}},
		"another serial at a person's address": {seen(at1, "serial=BBBB2", "name=b"), []Known{person(device(1, at1, "serial=AAAA1", "name=a"))},
			decision{verb: verbReplaced, into: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // in both orders
				slices.Reverse(tt.have)
				got := decide(tt.s, tt.have)
				if got.why == "" {
					t.Error("the decision has no reason")
				}
				got.why = ""
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(decision{})); diff != "" {
					t.Errorf("decide (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestWhatManyDevicesShareIsNoEvidence(t *testing.T) {
	for _, s := range []string{"", "0", "N/A", "n/a", "Not Specified", "00000000", "--------", "None", "abc", "0123456789", "To be filled by O.E.M."} {
		if serialTells(s) {
			t.Errorf("serial %q is taken for evidence", s)
		}
	}
	for _, s := range []string{"FOC1234X0AB", "JPE12345678", "FGT60E4Q16012345"} {
		if !serialTells(s) {
			t.Errorf("serial %q is not taken for evidence", s)
		}
	}
	for _, s := range []string{"", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:0c:07:ac:01", "00:00:5e:00:01:0a", "00:00:5e:00:02:0a", "Ethernet1", "192.0.2.1"} {
		if got := mac(s); got != "" {
			t.Errorf("mac(%q) = %q, want none", s, got)
		}
	}
	if got := mac("001C.7312.3456"); got != "00:1c:73:12:34:56" {
		t.Errorf("mac of another notation = %q", got)
	}
	for _, e := range [][]byte{nil, {0x80, 0, 0x1f, 0x88}, {0x80, 0, 0x1f, 0x88, 0, 0, 0, 0}, {0x80, 0, 0, 9, 0xff, 0xff}} {
		if engineTells(e) {
			t.Errorf("engine ID %x is taken for evidence", e)
		}
	}
	got := evidence("Cisco", snmp.Reading{System: snmp.System{Name: "localhost"}, LocalChassisID: "switch",
		Components: []snmp.Component{{Class: "chassis", Serial: "Not Specified"}, {Class: "module", Serial: "FOC9999X0AB"}}},
		[]platform.Fact{{Name: "serial", Value: "N/A"}})
	if len(got) != 0 {
		t.Errorf("evidence = %v, want none", got)
	}
}

// box is a real device of the simulated network.
type box struct {
	name, serial, engine, base, context string
	booted                              time.Time
	addrs                               []netip.Addr
}

// sight makes the sighting of a poll of a box at an address; lost are kinds of
// evidence whose answers did not come.
func (b box) sight(addr netip.Addr, at time.Time, lost map[string]bool) (sighting, Observation) {
	r := snmp.Reading{System: snmp.System{Name: b.name, ObjectID: "1.2.3"}}
	var facts []platform.Fact
	if b.serial != "" && !lost["serial"] {
		facts = append(facts, platform.Fact{Name: "serial", Value: b.serial}, platform.Fact{Name: "context", Value: b.context})
	}
	if b.base != "" && !lost["base"] {
		r.BaseMAC = b.base
	}
	mark := EngineMark{}
	if b.engine != "" && !lost["engine"] {
		r.System.EngineID = []byte(b.engine)
		mark = EngineMark{Boots: 1, Time: int64(at.Sub(b.booted) / time.Second), ReadAt: at}
	}
	s := sighting{addr: addr, at: at, sysName: b.name, engine: mark, identifiers: evidence("v", r, facts)}
	return s, Observation{At: at, Via: ViaSNMP, Addr: addr, Identifiers: s.identifiers, Engine: mark, Whole: len(lost) == 0}
}

// partition says which addresses are one device.
func (m *memory) partition() []string {
	var all []string
	for id := range m.devices {
		var as []string
		for _, a := range m.addresses[id] {
			as = append(as, a.String())
		}
		sort.Strings(as)
		all = append(all, strings.Join(as, " "))
	}
	sort.Strings(all)
	return all
}

// Whatever the order of polls and whatever answers were lost, once all addresses
// have answered in whole the devices are those that there are.
func TestAnyOrderOfPollsEndsInTheSameDevices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		boxes := world(t)
		type poll struct {
			b    box
			addr netip.Addr
		}
		var whole []poll
		var want []string
		for _, b := range boxes {
			var as []string
			for _, a := range b.addrs {
				whole = append(whole, poll{b, a})
				as = append(as, a.String())
			}
			sort.Strings(as)
			want = append(want, strings.Join(as, " "))
		}
		sort.Strings(want)
		m := newMemory()
		now := noon
		run := func(p poll, lost map[string]bool) {
			now = now.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second)
			s, o := p.b.sight(p.addr, now, lost)
			if _, _, err := settle(memoryTx{m}, s, o, profile{}); err != nil {
				t.Fatalf("settle %s: %v", p.addr, err)
			}
		}
		for range rapid.IntRange(0, 20).Draw(t, "lossy polls") {
			lost := map[string]bool{}
			for _, kind := range []string{"serial", "base", "engine"} {
				if rapid.Bool().Draw(t, "lost "+kind) {
					lost[kind] = true
				}
			}
			run(rapid.SampledFrom(whole).Draw(t, "poll"), lost)
		}
		for range 2 {
			for _, p := range rapid.Permutation(whole).Draw(t, "order") {
				run(p, nil)
			}
		}
		if diff := cmp.Diff(want, m.partition()); diff != "" {
			t.Fatalf("devices (-want +got):\n%s", diff)
		}
	})
}

// world draws boxes: routers with several addresses, clones that share an engine
// ID, contexts of one chassis, names given twice, serials that nobody wrote.
func world(t *rapid.T) []box {
	n := rapid.IntRange(1, 5).Draw(t, "boxes")
	last := byte(0)
	var boxes []box
	for i := range n {
		b := box{
			name:   rapid.SampledFrom([]string{"core", "switch", "edge", fmt.Sprint("own", i)}).Draw(t, "name"),
			serial: fmt.Sprintf("SER%05d", i), engine: fmt.Sprintf("\x80\x00\x00\x09\x03own%02d", i), base: fmt.Sprintf("00:11:22:33:44:%02x", i+1),
			booted: noon.Add(-time.Duration(i+1) * 24 * time.Hour),
		}
		switch rapid.IntRange(0, 3).Draw(t, "sort") {
		case 0: // one of several machines from one image
			b.engine = "\x80\x00\x00\x09\x03clone"
		case 1: // a context: chassis and its MAC are shared
			b.serial, b.context, b.base, b.name = "SER-CHASSIS", fmt.Sprint("vdc", i), "00:11:22:33:44:ff", fmt.Sprint("context", i)
		case 2: // nobody wrote a serial
			b.serial = "N/A"
		}
		for range rapid.IntRange(1, 3).Draw(t, "addresses") {
			last++
			b.addrs = append(b.addrs, netip.AddrFrom4([4]byte{192, 0, 2, last}))
		}
		boxes = append(boxes, b)
	}
	return boxes
}
