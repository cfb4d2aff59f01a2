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

	"muster/collector/snmp"
	"muster/inventory/platform"
)

// polled is what one poll of an address brought.
type polled struct {
	addr    string
	name    string
	serials []string // the first one speaks for itself, the others are members
	context string
	engine  string
	base    string
	key     string // SSH host key
	boots   int64  // of the engine; 0: 1
}

// poll settles one sighting, a minute after the one before.
func (m *memory) poll(t *testing.T, at time.Time, p polled) verb {
	t.Helper()
	r := snmp.Reading{System: snmp.System{Name: p.name, ObjectID: "1.2.3"}, BaseMAC: p.base}
	var facts []platform.Fact
	if len(p.serials) > 0 {
		facts = append(facts, platform.Fact{Name: "serial", Value: p.serials[0]}, platform.Fact{Name: "context", Value: p.context})
		for i, s := range p.serials[1:] {
			r.Components = append(r.Components, snmp.Component{Index: int32(i + 1), Class: "chassis", Serial: s})
		}
	}
	mark := EngineMark{}
	if p.engine != "" {
		r.System.EngineID = []byte("\x80\x00\x00\x09\x03" + p.engine)
		mark = EngineMark{Boots: max(p.boots, 1), Time: int64(at.Sub(noon)/time.Second) + 1000, ReadAt: at}
	}
	addr := netip.MustParseAddr(p.addr)
	s := sighting{addr: addr, at: at, sysName: p.name, engine: mark, identifiers: evidence("v", r, facts)}
	if p.key != "" {
		s.identifiers = append(s.identifiers, Identifier{IDHostKey, p.key})
	}
	o := Observation{At: at, Via: ViaSNMP, Addr: addr, Identifiers: s.identifiers, Engine: mark, Whole: true}
	_, d, err := settle(memoryTx{m}, s, o, profile{facts: facts})
	if err != nil {
		t.Fatalf("settle %s: %v", p.addr, err)
	}
	return d.verb
}

// Each row is a thing that happens to networks; what has to come out are the
// devices with their addresses, and what was said of it beside device-new.
func TestWhatHappensToNetworksKeepsDevicesTheirIdentity(t *testing.T) {
	r1 := polled{addr: "192.0.2.1", name: "r1", serials: []string{"FOC1234X0AB"}, engine: "r1r1r1", base: "00:11:22:33:44:01", key: "k1"}
	at := func(p polled, addr string) polled { p.addr = addr; return p }
	change := func(p polled, f func(*polled)) polled { f(&p); return p }
	var router, keyed []polled
	var manyKeyed []string
	for i := range 5 {
		router = append(router, at(r1, fmt.Sprintf("192.0.2.%d", i+1)))
	}
	for i := range 200 {
		p := polled{addr: fmt.Sprintf("198.51.100.%d", i+1), name: fmt.Sprintf("sw%d", i), key: "k-of-all"}
		keyed = append(keyed, p)
		manyKeyed = append(manyKeyed, p.name+" "+p.addr)
	}
	stack := polled{addr: "192.0.2.1", name: "st", serials: []string{"FOC1111X0AA", "FOC1111X0AA", "FOC2222X0BB"}, engine: "ststst", base: "00:11:22:33:44:01", key: "k1"}
	unit1 := polled{addr: "192.0.2.1", name: "fw", serials: []string{"FGT60E0000000001", "FGT60E0000000002"}, engine: "unit-1", base: "00:11:22:33:44:01", key: "k1"}
	unit2 := polled{addr: "192.0.2.1", name: "fw", serials: []string{"FGT60E0000000002", "FGT60E0000000001"}, engine: "unit-2", base: "00:11:22:33:44:02", key: "k1"}
	vdc := func(n int) polled {
		return polled{addr: fmt.Sprintf("192.0.2.%d", n), name: fmt.Sprintf("n7k-vdc%d", n), serials: []string{"JAF1234ABCD"}, context: fmt.Sprintf("vdc%d", n),
			engine: fmt.Sprintf("vdc-%d", n), base: "00:11:22:33:44:ff"}
	}
	context := func(n int) polled {
		return polled{addr: fmt.Sprintf("192.0.2.%d", n), name: fmt.Sprintf("asa-%d", n), serials: []string{"JMX1234ABCD"}, context: fmt.Sprintf("ctx%d", n)}
	}
	left := polled{addr: "192.0.2.2", name: "left", serials: []string{"FOC1111X0AA"}, engine: "left11", base: "00:11:22:33:44:02"}
	right := polled{addr: "192.0.2.3", name: "right", serials: []string{"FOC2222X0BB"}, engine: "right1", base: "00:11:22:33:44:03"}

	tests := map[string]struct {
		polls []polled
		want  []string // name and addresses, sorted
		said  []string // kind and subject, each once
	}{
		"five addresses of one router": {router, []string{"r1 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5"}, nil},
		"renamed": {[]polled{r1, change(r1, func(p *polled) { p.name = "core1" })},
			[]string{"core1 192.0.2.1"}, nil},
		"readdressed": {[]polled{r1, at(r1, "203.0.113.7")},
			[]string{"r1 192.0.2.1 203.0.113.7"}, nil},
		"readdressed, and another device where it was": {[]polled{r1, at(r1, "203.0.113.7"), at(left, "192.0.2.1")},
			[]string{"left 192.0.2.1", "r1 203.0.113.7"}, nil},
		"replaced": {[]polled{r1, {addr: r1.addr, name: r1.name, serials: []string{"FOC9999X0ZZ"}, engine: "r1new", base: "00:11:22:33:44:09", key: "k9"}},
			[]string{"r1 192.0.2.1"}, []string{"device-replaced "}},
		"rekeyed": {[]polled{r1, change(r1, func(p *polled) { p.key = "k2" }), change(r1, func(p *polled) { p.key, p.engine = "k3", "again1" })},
			[]string{"r1 192.0.2.1"}, nil},
		"stack member added": {[]polled{stack, change(stack, func(p *polled) { p.serials = append(slices.Clone(p.serials), "FOC3333X0CC") })},
			[]string{"st 192.0.2.1"}, nil},
		"master changed": {[]polled{stack, change(stack, func(p *polled) {
			p.serials, p.base, p.engine = []string{"FOC2222X0BB", "FOC2222X0BB", "FOC1111X0AA"}, "00:11:22:33:44:02", "master"
		})}, []string{"st 192.0.2.1"}, nil},
		"master changed, and the old one left": {[]polled{stack, change(stack, func(p *polled) {
			p.serials, p.base = []string{"FOC2222X0BB"}, "00:11:22:33:44:02"
		})}, []string{"st 192.0.2.1"}, nil},
		"HA failover":          {[]polled{unit1, unit2, unit1}, []string{"fw 192.0.2.1"}, nil},
		"VDCs with one serial": {[]polled{vdc(1), vdc(2), vdc(3), vdc(1), vdc(2)}, []string{"n7k-vdc1 192.0.2.1", "n7k-vdc2 192.0.2.2", "n7k-vdc3 192.0.2.3"}, nil},
		"ASA contexts with one serial": {[]polled{context(1), context(2), context(1)},
			[]string{"asa-1 192.0.2.1", "asa-2 192.0.2.2"}, nil},
		"two devices with the same sysName": {[]polled{change(left, func(p *polled) { p.name = "sw" }), change(right, func(p *polled) { p.name = "sw" })},
			[]string{"sw 192.0.2.2", "sw~2 192.0.2.3"}, nil},
		"two devices with the same sysName and nothing else": {[]polled{{addr: "192.0.2.2", name: "sw"}, {addr: "192.0.2.3", name: "sw"}},
			[]string{"sw 192.0.2.2", "sw~2 192.0.2.3"}, nil},
		"cloned engine IDs": {[]polled{change(left, func(p *polled) { p.engine = "cloned" }), change(right, func(p *polled) { p.engine = "cloned" })},
			[]string{"left 192.0.2.2", "right 192.0.2.3"}, []string{"identity-clash engine-id 8000000903636c6f6e6564"}},
		"cloned engine IDs and no serial": {[]polled{{addr: "192.0.2.2", name: "left", engine: "cloned"}, {addr: "192.0.2.3", name: "right", engine: "cloned", boots: 7}},
			[]string{"left 192.0.2.2", "right 192.0.2.3"}, []string{"identity-clash engine-id 8000000903636c6f6e6564"}},
		"one host key on 200 devices": {keyed, manyKeyed, []string{"identity-clash host-key k-of-all"}},
		"shared HSRP/VRRP address": {[]polled{left, right, at(left, "192.0.2.254"), at(right, "192.0.2.254"), left, right, at(left, "192.0.2.254")},
			[]string{"left 192.0.2.2 192.0.2.254", "right 192.0.2.3"}, nil},
		"anonymised serials": {[]polled{
			{addr: "192.0.2.2", name: "left", serials: []string{"Not Specified"}}, {addr: "192.0.2.3", name: "right", serials: []string{"Not Specified"}},
			{addr: "192.0.2.8", name: "yours", serials: []string{"<private>"}}, {addr: "192.0.2.9", name: "mine", serials: []string{"<private>"}},
			{addr: "192.0.2.4", name: "up", serials: []string{"XXXXXXXXXXX"}}, {addr: "192.0.2.5", name: "down", serials: []string{"XXXXXXXXXXX"}},
			{addr: "192.0.2.6", name: "in", serials: []string{"00000000000"}}, {addr: "192.0.2.7", name: "out", serials: []string{"00000000000"}}},
			[]string{"down 192.0.2.5", "in 192.0.2.6", "left 192.0.2.2", "mine 192.0.2.9", "out 192.0.2.7", "right 192.0.2.3", "up 192.0.2.4", "yours 192.0.2.8"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			now := noon
			for _, p := range tt.polls {
				now = now.Add(time.Minute)
				m.poll(t, now, p)
			}
			var got []string
			for id, d := range m.devices {
				words := []string{d.Name}
				for _, a := range m.addresses[id] {
					words = append(words, a.String())
				}
				sort.Strings(words[1:])
				got = append(got, strings.Join(words, " "))
			}
			sort.Strings(got)
			sort.Strings(tt.want)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("devices (-want +got):\n%s", diff)
			}
			var said []string // one alert is opened for each of them
			for _, e := range m.events {
				if about := string(e.Kind) + " " + e.Subject; e.Kind != EventDeviceNew && !slices.Contains(said, about) {
					said = append(said, about)
				}
			}
			if !slices.Equal(said, tt.said) {
				t.Errorf("said %q, want %q", said, tt.said)
			}
		})
	}
}
