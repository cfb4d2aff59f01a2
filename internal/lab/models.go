package lab

import (
	"fmt"
	"strings"
)

// models are the usual hardware and release of each platform. serial is a
// format that takes the device's number.
var models = map[Platform]struct{ maker, model, version, serial string }{
	IOSXE:   {"Cisco Systems, Inc.", "C9300-24P", "17.9.4a", "FAK2640X%03d"},
	IOS:     {"Cisco Systems, Inc.", "WS-C2960X-24TS-L", "15.2(7)E4", "FAK2610Y%03d"},
	EOS:     {"Arista Networks", "DCS-7050SX3-48YC8", "4.28.3M", "FAK2640%04d"},
	Junos:   {"Juniper Networks", "mx480", "21.4R3-S5.4", "FAK26%03dAFA"},
	FortiOS: {"Fortinet", "FGT_100F", "7.4.4", "FG100FTK26%06d"},
	FRR:     {"", "", "8.4.4", "FAKFRR%03d"},
}

// sysDescr is what the agent says it runs, worded as the vendor does; Cisco's has
// lines that end in CR LF.
func (d *node) sysDescr() string {
	s := &d.spec
	if s.SysDescr != "" {
		return s.SysDescr
	}
	switch s.Platform {
	case IOSXE:
		return "Cisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K_IOSXE), Version " + s.Version + ", RELEASE SOFTWARE (fc3)\r\nTechnical Support: http://www.cisco.com/techsupport\r\nCopyright (c) 1986-2023 by Cisco Systems, Inc.\r\nCompiled Fri 20-Oct-23 10:44 by mcpre"
	case IOS:
		return "Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version " + s.Version + ", RELEASE SOFTWARE (fc2)\r\nTechnical Support: http://www.cisco.com/techsupport\r\nCopyright (c) 1986-2020 by Cisco Systems, Inc.\r\nCompiled Mon 27-Jan-20 21:46 by prod_rel_team"
	case EOS:
		return "Arista Networks EOS version " + s.Version + " running on an Arista Networks " + s.Model
	case Junos:
		return "Juniper Networks, Inc. " + s.Model + " internet router, kernel JUNOS " + s.Version + ", Build date: 2023-08-22 06:04:44 UTC Copyright (c) 1996-2023 Juniper Networks, Inc."
	case FRR:
		return "FRRouting " + s.Version + " on Linux 6.1.0-18-amd64"
	}
	return "" // FortiOS: the administrator's free text, empty unless set
}

func (d *node) sysObjectID() string {
	if d.spec.SysObjectID != "" {
		return d.spec.SysObjectID
	}
	switch d.spec.Platform {
	case IOSXE:
		return "1.3.6.1.4.1.9.1.2494" // a stack of fixed Catalyst 9300
	case IOS:
		return "1.3.6.1.4.1.9.1.1208" // a stack of Catalyst 29xx
	case EOS:
		return "1.3.6.1.4.1.30065.1.3011.7050.3741.3.48.3282.8"
	case Junos:
		return "1.3.6.1.4.1.2636.1.1.1.2.25" // jnxProductNameMX480
	case FortiOS:
		return "1.3.6.1.4.1.12356.101.1.1041"
	}
	return "1.3.6.1.4.1.8072.3.2.10" // netSnmpAgentOIDs.linux
}

// engineID follows RFC 3411 §5: the vendor's number, then a MAC address.
func (d *node) engineID() []byte {
	enterprise := map[Platform]uint32{IOSXE: 9, IOS: 9, EOS: 30065, Junos: 2636, FortiOS: 12356, FRR: 8072}[d.spec.Platform]
	head := []byte{0x80 | byte(enterprise>>24), byte(enterprise >> 16), byte(enterprise >> 8), byte(enterprise), 3}
	return append(head, d.mac(nil)...)
}

// vendor fills the vendors' own objects that tell model, version and serial.
func (d *node) vendor(m *mib) {
	s := &d.spec
	switch s.Platform {
	case Junos:
		const box = "1.3.6.1.4.1.2636.3.1" // JUNIPER-MIB
		m.pointer(arcsOf("1.3.6.1.4.1.2636.1.1.1.1.25.0"), box+".1.0")
		m.text("Juniper "+strings.ToUpper(s.Model)+" Internet Backbone Router", box+".2.0")
		m.text(s.Serial, box+".3.0")
	case FortiOS:
		m.text(s.Serial, "1.3.6.1.4.1.12356.100.1.1.1.0")                                              // fnSysSerial
		m.text(fmt.Sprintf("v%s,build2662,240514 (GA.F)", s.Version), "1.3.6.1.4.1.12356.101.4.1.1.0") // fgSysVersion
		const ha = "1.3.6.1.4.1.12356.101.13"
		units := d.haMembers()
		mode := int64(1)
		if len(units) > 1 {
			mode = 3 // active-passive
		}
		m.int(mode, ha+".1.1.0")
		for i, u := range units {
			m.int(int64(i+1), ha+".2.1.1.1", uint32(i+1))
			m.text(u.spec.Serial, ha+".2.1.1.2", uint32(i+1)) // fgHaStatsSerial
			m.text(u.spec.Name, ha+".2.1.1.11", uint32(i+1))  // fgHaStatsHostname
		}
	}
}
