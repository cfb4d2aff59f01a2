package snmp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filled makes a session that has read these cells: OID without leading dot → value.
func filled(specs []spec, cells map[string]value) *Session {
	s := &Session{columns: map[string]*column{}, scalars: map[string]value{}}
	for oid, v := range cells {
		for _, sp := range specs {
			if len(oid) > len(sp.oid) && oid[:len(sp.oid)] == sp.oid && oid[len(sp.oid)] == '.' {
				if s.columns[sp.oid] == nil {
					s.columns[sp.oid] = &column{oid: sp.oid, table: sp.table}
				}
				s.columns[sp.oid].cells = append(s.columns[sp.oid].cells, cell{oid[len(sp.oid)+1:], v})
			}
		}
	}
	return s
}

func num(n uint64) value  { return value{shape: number, num: n} }
func oct(t string) value  { return value{shape: octets, text: t} }
func oid(t string) value  { return value{shape: object, text: t} }
func ipad(t string) value { return value{shape: address, text: t} }

func TestAddressesOfAllGenerations(t *testing.T) {
	const newIP, old, v6, prefixes = oidIPAddress, oidIPAddrEntry, oidIPv6Addr, oidIPPrefix
	s := filled(concat(ipAddressColumns, ipAddrColumns, ipv6AddrColumns, prefixColumns), map[string]value{
		// IPv4 in both tables: the new one's prefix.
		newIP + ".3.1.4.192.0.2.1": num(7),
		newIP + ".4.1.4.192.0.2.1": num(1),
		newIP + ".5.1.4.192.0.2.1": oid("1.3.6.1.2.1.4.32.1.5.7.1.4.192.0.2.0.24"),
		old + ".2.192.0.2.1":       num(7),
		old + ".3.192.0.2.1":       ipad("255.255.255.128"),
		// A broadcast address is none of ours.
		newIP + ".3.1.4.192.0.2.255": num(7),
		newIP + ".4.1.4.192.0.2.255": num(3),
		// Only in the old table.
		old + ".2.198.51.100.9": num(8),
		old + ".3.198.51.100.9": ipad("255.255.255.252"),
		// Points to no prefix: looked up.
		newIP + ".3.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1":         num(9),
		newIP + ".5.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1":         oid("0.0"),
		prefixes + ".5.9.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0.64": num(1),
		prefixes + ".5.9.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0.32": num(1),
		// With a zone, without the length, and as text.
		newIP + ".3.4.20.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.9": num(9),
		newIP + ".3.2.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.3.0.0.0.0":    num(9),
		newIP + ".3.2.7.102.101.56.48.58.58.52":                       num(9),
		// IPV6-MIB.
		v6 + ".2.4.32.1.13.184.0.1.0.0.0.0.0.0.0.0.0.1": num(48),
		// Nonsense.
		newIP + ".3.1.4.1.2":     num(1),
		newIP + ".3.9.1.1":       num(1),
		old + ".2.300.1.1.1":     num(1),
		old + ".2.0.0.0.0":       num(1),
		v6 + ".2.4.1.2.3":        num(1),
		newIP + ".3.2.3.0.255.9": num(1),
	})
	want := []Address{
		{netip.MustParseAddr("192.0.2.1"), 24, 7},
		{netip.MustParseAddr("198.51.100.9"), 30, 8},
		{netip.MustParseAddr("2001:db8::1"), 64, 9},
		{netip.MustParseAddr("2001:db8:1::1"), 48, 4},
		{netip.MustParseAddr("fe80::2"), 0, 9},
		{netip.MustParseAddr("fe80::3"), 0, 9},
		{netip.MustParseAddr("fe80::4"), 0, 9},
	}
	if diff := cmp.Diff(want, s.addresses(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func concat(all ...[]spec) []spec {
	var list []spec
	for _, s := range all {
		list = append(list, s...)
	}
	return list
}

func TestNetmasksWithHolesHaveNoLength(t *testing.T) {
	for mask, want := range map[string]int{"255.255.255.0": 24, "255.255.255.255": 32, "0.0.0.0": 0, "128.0.0.0": 1, "255.0.255.0": 0, "no mask": 0, "::": 0} {
		if got := maskLength(mask); got != want {
			t.Errorf("maskLength(%s) = %d, want %d", mask, got, want)
		}
	}
}

func TestLocalPortsAreFoundBySubtype(t *testing.T) {
	interfaces := []Interface{
		{IfIndex: 1, Name: "Gi0/1", Descr: "GigabitEthernet0/1", Alias: "uplink", MAC: "00:11:22:33:44:01"},
		{IfIndex: 2, Name: "Gi0/2", Descr: "GigabitEthernet0/2", Alias: "spare", MAC: "00:11:22:33:44:02"},
		{IfIndex: 3, Name: "Gi0/3", Descr: "GigabitEthernet0/3", Alias: "spare", MAC: "00:11:22:33:44:03"},
		{IfIndex: 49, Name: "Te1", Descr: "TenGigabit1"},
	}
	none := ports{local: map[uint32]*localPort{}, base: map[uint32]int32{}}
	with := func(p localPort) ports {
		return ports{local: map[uint32]*localPort{5: &p}, base: map[uint32]int32{}}
	}
	tests := map[string]struct {
		number  uint32
		ports   ports
		ifIndex int32
		name    string
	}{
		"interfaceName is ifName":              {5, with(localPort{5, "Gi0/2", ""}), 2, "Gi0/2"},
		"interfaceName is ifDescr":             {5, with(localPort{5, "GigabitEthernet0/2", ""}), 2, "Gi0/2"},
		"interfaceAlias":                       {5, with(localPort{1, "uplink", ""}), 1, "Gi0/1"},
		"interfaceAlias of two, then by descr": {5, with(localPort{1, "spare", "GigabitEthernet0/3"}), 3, "Gi0/3"},
		"macAddress":                           {5, with(localPort{3, "\x00\x11\x22\x33\x44\x02", ""}), 2, "Gi0/2"},
		"local that is an ifIndex":             {5, with(localPort{7, "49", ""}), 49, "Te1"},
		"local that is an ifName":              {5, with(localPort{7, "Gi0/1", ""}), 1, "Gi0/1"},
		"portComponent":                        {5, with(localPort{2, "Gi0/1", ""}), 1, "Gi0/1"},
		"nothing fits: LLDP's own word":        {5, with(localPort{5, "eth99", "the port"}), 0, "eth99"},
		"MAC of nobody: its description":       {5, with(localPort{3, "\x00\x11\x22\x33\x44\x09", "the port"}), 0, "the port"},
		"no lldpLocPortTable, a bridge":        {1, ports{none.local, map[uint32]int32{1: 49}}, 49, "Te1"},
		"no lldpLocPortTable, no bridge":       {2, none, 2, "Gi0/2"},
		"nobody knows":                         {77, none, 0, "77"},
		"largest number":                       {1<<32 - 1, none, 0, "4294967295"},
	}
	known := newPortIndex(interfaces)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if i, n := known.resolve(tt.number, tt.ports); i != tt.ifIndex || n != tt.name {
				t.Errorf("resolve = %d %q, want %d %q", i, n, tt.ifIndex, tt.name)
			}
		})
	}
}

func TestRemoteEndsAreWrittenBySubtype(t *testing.T) {
	rem := func(col, row string) string { return oidRemEntry + "." + col + ".0.1." + row }
	s := filled(remColumns, map[string]value{
		rem("4", "1"): num(4), rem("5", "1"): oct("\x00\x11\x22\x33\x44\x55"), rem("6", "1"): num(5), rem("7", "1"): oct("Et1"), rem("9", "1"): oct("b"), rem("8", "1"): oct("to core"),
		rem("4", "2"): num(5), rem("5", "2"): oct("\x01\xc0\x00\x02\x07"), rem("6", "2"): num(3), rem("7", "2"): oct("\x00\x11\x22\x33\x44\x66"), rem("8", "2"): oct("eth0"), rem("9", "2"): oct("c"),
		rem("4", "3"): num(7), rem("5", "3"): oct("phone"), rem("6", "3"): num(3), rem("7", "3"): oct("\x00\x11\x22\x33\x44\x77"), rem("9", "3"): oct("d"),
		rem("4", "4"): num(6), rem("5", "4"): oct("\x00\x11\x22\x33\x44\x88"), rem("6", "4"): num(4), rem("7", "4"): oct("\x02" + string(make([]byte, 15)) + "\x01"), rem("9", "4"): oct("e"),
	})
	want := []Neighbor{
		{Protocol: "lldp", LocalPort: "1", RemoteSysName: "b", RemotePort: "Et1", RemoteChassisID: "00:11:22:33:44:55"},
		{Protocol: "lldp", LocalPort: "1", RemoteSysName: "c", RemotePort: "eth0", RemoteChassisID: "192.0.2.7"},
		{Protocol: "lldp", LocalPort: "1", RemoteSysName: "d", RemotePort: "00:11:22:33:44:77", RemoteChassisID: "phone"},
		{Protocol: "lldp", LocalPort: "1", RemoteSysName: "e", RemotePort: "::1", RemoteChassisID: "00:11:22:33:44:88"},
	}
	if diff := cmp.Diff(want, s.neighbors(nil)); diff != "" {
		t.Errorf("neighbors (-want +got):\n%s", diff)
	}
}

func TestVLANsOfTheSuccessorWhereThereAreNoOthers(t *testing.T) {
	s := filled(concat(vlanColumns, ieeeVLANColumns), map[string]value{
		oidIEEEVLAN + ".3.1.10": oct("users"), oidIEEEVLAN + ".3.1.4095": oct("reserved"),
	})
	if diff := cmp.Diff([]VLAN{{10, "users"}}, s.vlans()); diff != "" {
		t.Errorf("successor (-want +got):\n%s", diff)
	}
	s = filled(concat(vlanColumns, ieeeVLANColumns), map[string]value{
		oidVLANStatic + ".1.1": oct("default"), oidVLANStatic + ".5.1": num(1), oidVLANStatic + ".5.20": num(1), oidIEEEVLAN + ".3.1.10": oct("users"),
	})
	if diff := cmp.Diff([]VLAN{{1, "default"}, {20, ""}}, s.vlans()); diff != "" {
		t.Errorf("Q-BRIDGE-MIB (-want +got):\n%s", diff)
	}
}
