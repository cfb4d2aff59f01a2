package snmp

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gosnmp/gosnmp"
)

func TestValuesAsText(t *testing.T) {
	tests := map[string]struct {
		in   gosnmp.SnmpPDU
		want string
	}{
		"negative INTEGER":        {gosnmp.SnmpPDU{Type: gosnmp.Integer, Value: -7}, "-7"},
		"largest Counter64":       {gosnmp.SnmpPDU{Type: gosnmp.Counter64, Value: ^uint64(0)}, "18446744073709551615"},
		"OID without leading dot": {gosnmp.SnmpPDU{Type: gosnmp.ObjectIdentifier, Value: ".1.3.6.1"}, "1.3.6.1"},
		"text":                    {gosnmp.SnmpPDU{Type: gosnmp.OctetString, Value: []byte("C9300-48P\x00\x00")}, "C9300-48P"},
		"UTF-8 text":              {gosnmp.SnmpPDU{Type: gosnmp.OctetString, Value: []byte("Zürich\r\nHB")}, "Zürich\r\nHB"},
		"MAC":                     {gosnmp.SnmpPDU{Type: gosnmp.OctetString, Value: []byte{0, 0x1b, 0x21, 0xAB, 0, 0}}, "00:1b:21:ab:00:00"},
		"address":                 {gosnmp.SnmpPDU{Type: gosnmp.IPAddress, Value: "192.0.2.1"}, "192.0.2.1"},
		"address of no bytes":     {gosnmp.SnmpPDU{Type: gosnmp.IPAddress, Value: nil}, ""},
		"ticks":                   {gosnmp.SnmpPDU{Type: gosnmp.TimeTicks, Value: uint32(9)}, "9"},
		"NULL":                    {gosnmp.SnmpPDU{Type: gosnmp.Null}, ""},
		"opaque float":            {gosnmp.SnmpPDU{Type: gosnmp.OpaqueFloat, Value: float32(1.5)}, "1.5"},
	}
	for name, tt := range tests {
		if got := valueOf(tt.in).plain(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestBytesThatAreNoTextGetAMark(t *testing.T) {
	if got := legible("Z\xfcrich\x00\x00"); got != "Z\uFFFDrich" {
		t.Errorf("legible = %q", got)
	}
}

func TestMACsHoweverTheyAreSent(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x11\x22\x33\x44\x55": "00:11:22:33:44:55",
		"0:11:22:33:44:5":          "00:11:22:33:44:05",
		"00-11-22-33-44-AA":        "00:11:22:33:44:aa",
		"":                         "",
		"\x00\x00\x00\x00\x00\x00": "00:00:00:00:00:00",
		"abcdef":                   "61:62:63:64:65:66",
	} {
		if got := macText(in); got != want {
			t.Errorf("macText(%q) = %q, want %q", in, got, want)
		}
	}
	if got := ownMAC("\x00\x00\x00\x00\x00\x00"); got != "" {
		t.Errorf("zeros stand for a device: %q", got)
	}
}

func TestOIDsAreOrderedByNumber(t *testing.T) {
	sorted := []string{"1", "1.0", "1.2", "1.10", "2", "2.1", "10", "4294967295"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := compareOIDs(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("compareOIDs(%s, %s) = %d", a, b, got)
			}
		}
	}
}

func TestInterfaceTypesHaveIANAsNames(t *testing.T) {
	for n, want := range map[int64]string{1: "other", 6: "ethernetCsmacd", 24: "softwareLoopback", 53: "propVirtual", 71: "ieee80211", 100: "voiceEM",
		131: "tunnel", 135: "l2vlan", 136: "l3ipvlan", 145: "if-gsn", 161: "ieee8023adLag", 166: "mpls", 200: "teLink", 209: "bridge", 250: "gpon", 262: "ifVfiType",
		272: "vmwareNicTeam", 274: "274", 277: "docsOfdmDownstream", 290: "ghn", 303: "p2pOverLan", 304: "304", 0: "0", -1: "-1"} {
		if got := named(ifTypes, n); got != want {
			t.Errorf("ifType %d = %s, want %s", n, got, want)
		}
	}
}

func TestSpeedIsAsExactAsItIsTold(t *testing.T) {
	tests := map[string]struct {
		speed uint64
		high  int64
		want  uint64
	}{
		"T1, rounded by ifHighSpeed":     {1_544_000, 2, 1_544_000},
		"gigabit":                        {1_000_000_000, 1000, 1_000_000_000},
		"ten gigabit does not fit":       {1<<32 - 1, 10_000, 10_000_000_000},
		"no ifXTable":                    {100_000_000, 0, 100_000_000},
		"ifSpeed wrong":                  {10_000_000, 1000, 1_000_000_000},
		"negative":                       {9600, -1, 9600},
		"400 gigabit, ifSpeed wrapped":   {1_215_752_192, 400_000, 400_000_000_000},
		"nothing told":                   {0, 0, 0},
		"below ifHighSpeed's resolution": {64_000, 0, 64_000},
	}
	for name, tt := range tests {
		if got := speed(tt.speed, tt.high); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestMessagesThatAreNoneAreRefused(t *testing.T) {
	probe, err := discoveryProbe(77)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := peek(probe); !ok || m.msgID != 77 || m.requestID != 77 || m.version != 3 {
		t.Errorf("peek = %+v, %t", m, ok)
	}
	for n := range probe {
		if _, ok := peek(probe[:n]); ok {
			t.Errorf("the first %d bytes of %d pass for a message", n, len(probe))
		}
	}
}

func FuzzPeek(f *testing.F) {
	probe, _ := discoveryProbe(77)
	f.Add(probe)
	f.Add([]byte("0\x84\xff\xff\xff\xff\x02\x01\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := slices.Clone(b)
		peek(b)
		if !slices.Equal(whole, b) {
			t.Error("peek changed the datagram")
		}
	})
}

// FuzzAnswer feeds datagrams to the library and what it makes of them to ours.
func FuzzAnswer(f *testing.F) {
	p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "c", PDUType: gosnmp.GetResponse, RequestID: 5, Variables: []gosnmp.SnmpPDU{
		text(oidSysDescr, "d"), integer(oidIfEntry+".3.1", 6), {Name: oidIPAddrEntry + ".3.192.0.2.1", Type: gosnmp.IPAddress, Value: "255.255.255.0"},
	}}
	seed, err := p.MarshalMsg()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		decoder := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
		sys := decodeSystem(decoder, slices.Clone(b))
		if !utf8.ValidString(sys.Descr + sys.Name + sys.ObjectID) {
			t.Errorf("no UTF-8: %+v", sys)
		}
		answer, err := decoder.SnmpDecodePacket(slices.Clone(b))
		if err != nil {
			return
		}
		for _, v := range answer.Variables {
			if got := valueOf(v).plain(); !utf8.ValidString(got) {
				t.Errorf("no UTF-8: %q", got)
			}
		}
	})
}

// FuzzRows joins whatever an agent may put into the tables. Three bytes say
// column, type and length of an index, its bytes and a value follow.
func FuzzRows(f *testing.F) {
	specs := slices.Concat(ifColumns, ifXColumns, ipAddrColumns, ipAddressColumns, prefixColumns, ipv6AddrColumns, physicalColumns,
		remColumns, locPortColumns, basePortColumns, vlanColumns, ieeeVLANColumns)
	f.Add([]byte("\x00\x02\x01\x01\x04eth0\x0c\x02\x05\x01\x04\xc0\x00\x02\x04text"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Session{columns: map[string]*column{}, scalars: map[string]value{}}
		for len(b) > 4 {
			sp, kind, n := specs[int(b[0])%len(specs)], shape(b[1]%7), int(b[2]%24)
			b = b[3:]
			if len(b) < n+2 {
				break
			}
			index := ""
			for i, c := range b[:n] {
				if i > 0 {
					index += "."
				}
				index += itoa(int(c))
			}
			m := min(int(b[n]), len(b)-n-1)
			v := value{shape: kind, text: string(b[n+1 : n+1+m])}
			for _, c := range []byte(v.text) {
				v.num = v.num<<8 | uint64(c)
			}
			b = b[n+1+m:]
			if s.columns[sp.oid] == nil {
				s.columns[sp.oid] = &column{oid: sp.oid, table: sp.table}
			}
			s.columns[sp.oid].cells = append(s.columns[sp.oid].cells, cell{index, v})
		}
		s.lacksPrefix()
		r := Reading{Interfaces: s.interfaces(), Addresses: s.addresses(), Components: s.components(), VLANs: s.vlans()}
		r.Neighbors = s.neighbors(r.Interfaces)
		s.blameMisfits()
		for i, row := range r.Interfaces {
			if row.IfIndex <= 0 || i > 0 && row.IfIndex <= r.Interfaces[i-1].IfIndex {
				t.Errorf("interface %d has ifIndex %d", i, row.IfIndex)
			}
		}
		for _, a := range r.Addresses {
			if a.Prefix < 0 || a.Prefix > a.IP.BitLen() {
				t.Errorf("address %v/%d", a.IP, a.Prefix)
			}
		}
		for _, v := range r.VLANs {
			if v.ID < 1 || v.ID > 4094 {
				t.Errorf("VLAN %d", v.ID)
			}
		}
		for _, n := range r.Neighbors {
			if all := n.LocalPort + n.RemotePort + n.RemoteChassisID + n.RemoteSysName + n.RemoteSysDescr; !utf8.ValidString(all) {
				t.Errorf("neighbor is no UTF-8: %+q", n)
			}
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}
