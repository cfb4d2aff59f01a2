package snmp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCDPNeighborsOfOddRows(t *testing.T) {
	const e = oidCDPCache
	s := filled(cdpColumns, map[string]value{
		e + ".6.7.2": oct("core(SSI1234567A)"), e + ".7.7.2": oct("Ethernet1/1"), e + ".8.7.2": oct("N9K-C9300v"), e + ".5.7.2": oct("NX-OS 10"),
		e + ".6.7.1": oct("TBA04251336(attic)"),                                                // no other column
		e + ".3.9.1": num(1), e + ".4.9.1": oct("\xc0\x00\x02\x09"), e + ".7.9.1": oct("eth0"), // no device ID
		e + ".6.10.1": oct("\x00\x00\x5e\x00\x53\x01"), e + ".7.10.1": oct("Port 1"), e + ".17.10.1": oct("phone"),
		e + ".6.11.1": oct("caf\xe9"),
		e + ".6.12.1": oct(""), e + ".8.12.1": oct("half a row"),
		e + ".6.13": oct("no device index"), e + ".6.0.1": oct("no interface"),
	})
	want := []Neighbor{
		{Protocol: "cdp", LocalIfIndex: 7, LocalPort: "Gi0/7", RemoteSysName: "attic", RemoteChassisID: "TBA04251336"},
		{Protocol: "cdp", LocalIfIndex: 7, LocalPort: "Gi0/7", RemoteSysName: "core", RemotePort: "Ethernet1/1",
			RemoteChassisID: "SSI1234567A", RemoteSysDescr: "N9K-C9300v, NX-OS 10"},
		{Protocol: "cdp", LocalIfIndex: 9, LocalPort: "9", RemoteSysName: "192.0.2.9", RemotePort: "eth0"},
		{Protocol: "cdp", LocalIfIndex: 10, LocalPort: "10", RemoteSysName: "phone", RemotePort: "Port 1", RemoteChassisID: "00:00:5e:00:53:01"},
		{Protocol: "cdp", LocalIfIndex: 11, LocalPort: "11", RemoteSysName: "caf\uFFFD"},
	}
	if diff := cmp.Diff(want, s.cdpNeighbors([]Interface{{IfIndex: 7, Name: "Gi0/7"}})); diff != "" {
		t.Errorf("neighbors (-want +got):\n%s", diff)
	}
}

func TestCDPDeviceIDs(t *testing.T) {
	for _, c := range []struct{ id, name, chassis string }{
		{"sw1.example.net", "sw1.example.net", ""},
		{"SEP00005E005301", "SEP00005E005301", ""},
		{"00005e005301", "", "00:00:5e:00:53:01"},
		{"0000.5e00.5301", "", "00:00:5e:00:53:01"},
		{"lab (old)", "lab (old)", ""},
	} {
		if name, chassis := cdpDeviceID(c.id); name != c.name || chassis != c.chassis {
			t.Errorf("cdpDeviceID(%q) = %q, %q, not %q, %q", c.id, name, chassis, c.name, c.chassis)
		}
	}
}

func TestVLANsOfVTPAndOfUnorderedTimeMarks(t *testing.T) {
	s := filled(concat(vlanColumns, ieeeVLANColumns, vtpColumns, vlanNowColumns), map[string]value{
		oidVTPVLAN + ".2.1.1": num(1), oidVTPVLAN + ".4.1.1": oct("default"), oidVTPVLAN + ".2.1.20": num(1), oidVTPVLAN + ".4.1.30": oct("b\xfcro"),
		oidVTPVLAN + ".3.1.1": num(1), oidVTPVLAN + ".2.1.1002": num(1), oidVTPVLAN + ".3.1.1002": num(2), oidVTPVLAN + ".4.1.1002": oct("fddi-default"),
		oidVLANCurrent + ".6.900.40": num(2), oidVLANCurrent + ".6.0.40": num(2), oidVLANCurrent + ".3.5.1": num(1), oidVLANCurrent + ".6.0.4095": num(2),
	})
	if diff := cmp.Diff([]VLAN{{1, "default"}, {20, ""}, {30, "b\uFFFDro"}, {40, ""}}, s.vlans()); diff != "" {
		t.Error(diff)
	}
	s = filled(concat(vlanColumns, vtpColumns), map[string]value{oidVLANStatic + ".1.10": oct("users"), oidVTPVLAN + ".4.1.1002": oct("fddi-default")})
	if diff := cmp.Diff([]VLAN{{10, "users"}}, s.vlans()); diff != "" {
		t.Error(diff)
	}
}

func FuzzCDPAddress(f *testing.F) {
	f.Add(int64(1), "\xc0\x00\x02\x01")
	f.Add(int64(20), "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	f.Add(int64(20), "\x00")
	f.Fuzz(func(t *testing.T, protocol int64, octets string) {
		got := cdpAddress(protocol, octets)
		if got == "" {
			return
		}
		ip, err := netip.ParseAddr(got)
		if err != nil || string(ip.AsSlice()) != octets || ip.IsUnspecified() {
			t.Errorf("cdpAddress(%d, %q) = %q", protocol, octets, got)
		}
	})
}
