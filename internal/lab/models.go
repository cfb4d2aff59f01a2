package lab

import (
	"fmt"
	"strings"
)

// models are the usual hardware and release of each platform.
var models = map[Platform]hardware{
	IOSXE:   {maker: "Cisco Systems, Inc.", model: "C9300-24P", version: "17.9.4a", serial: "FAK2640X%03d", enterprise: 9, cdp: true},
	IOS:     {maker: "Cisco Systems, Inc.", model: "WS-C2960X-24TS-L", version: "15.2(7)E4", serial: "FAK2610Y%03d", enterprise: 9, cdp: true},
	EOS:     {maker: "Arista Networks", model: "DCS-7050SX3-48YC8", version: "4.28.3M", serial: "FAK2640%04d", enterprise: 30065, vlans: true},
	Junos:   {maker: "Juniper Networks", model: "mx480", version: "21.4R3-S5.4", serial: "FAK26%03dAFA", enterprise: 2636},
	FortiOS: {maker: "Fortinet", model: "FGT_100F", version: "7.4.4", serial: "FG100FTK26%06d", enterprise: 12356},
	FRR:     {version: "8.4.4", serial: "FAKFRR%03d", enterprise: 8072},
	NXOS: {
		maker: "Cisco Systems, Inc.", model: "N9K-C93180YC-FX", version: "10.3(4a)", serial: "FAKN26%04d", enterprise: 9, cdp: true, vlans: true,
		oid:     "1.3.6.1.4.1.9.12.3.1.3.2180",
		descr:   "Cisco NX-OS(tm) nxos64-cs.10.3.4a.M.bin, Software (nxos64-cs), Version {version}, RELEASE SOFTWARE Copyright (c) 2002-2023 by Cisco Systems, Inc. Compiled 9/22/2023 12:00:00",
		chassis: 149,
		ports: []series{
			{first: 83886080, names: []string{"mgmt0"}, speed: gigabit, mgmt: true},
			{first: 436207616, step: 512, name: "Ethernet1/%d", from: 1, count: 54, speed: 25 * gigabit},
		},
		routes: true,
	},
	ASA: {
		maker: "Cisco Systems, Inc.", model: "ASA5525", version: "9.12(4)67", serial: "FAKA26%04d", enterprise: 9,
		oid:   "1.3.6.1.4.1.9.1.1408", // ciscoASA5525
		descr: "Cisco Adaptive Security Appliance Version {version}", chassis: 1,
		ports: []series{
			{first: 3, step: 1, names: []string{"outside", "inside", "dmz"}, descr: "Adaptive Security Appliance '%s' interface", speed: gigabit, mute: true},
			{first: 12, names: []string{"management"}, descr: "Adaptive Security Appliance '%s' interface", speed: gigabit, mgmt: true, mute: true},
		},
		routes: true,
	},
	RouterOS: {
		maker: "MikroTik", model: "RB5009UG+S+", version: "7.16.2", serial: "HFAKE26%04d", enterprise: 14988,
		oid: "1.3.6.1.4.1.14988.1", descr: "RouterOS {model}",
		ports: []series{
			{first: 1, step: 1, name: "ether%d", from: 1, count: 8, speed: gigabit},
			{first: 9, names: []string{"sfp-sfpplus1"}, speed: 10 * gigabit, mgmt: true},
		},
		routes: true,
	},
	ProCurve: {
		maker: "HP", model: "JL256A", version: "WC.16.11.0012", serial: "FAKP26%04d", enterprise: 11, vlans: true,
		oid:     "1.3.6.1.4.1.11.2.3.7.11.181.18",
		descr:   "Aruba {model} 2930F-48G-PoE+-4SFP+ Switch, revision {version}, ROM WC.16.01.0010 (/ws/swbuildm/rel_ajanta/code/build/lvm(swbuildm_rel_ajanta))",
		chassis: 1,
		ports: []series{
			{first: 1, step: 1, name: "%d", from: 1, count: 48, speed: gigabit},
			{first: 49, step: 1, name: "%d", from: 49, count: 4, speed: 10 * gigabit},
			{first: 1025, names: []string{"VLAN10"}, kind: ifPropVirt, speed: gigabit, mgmt: true, mute: true},
		},
	},
	AOSCX: {
		maker: "HPE Aruba", model: "JL661A", version: "FL.10.13.1000", serial: "SGFAKE26%04d", enterprise: 47196, vlans: true,
		oid: "1.3.6.1.4.1.47196.4.1.1.1.50", descr: "Aruba {model} 6300M 48G CL4 PoE 4SFP56 Swch {version}", chassis: 1001,
		ports: []series{
			{first: 1, step: 1, name: "1/1/%d", from: 1, count: 48, speed: gigabit},
			{first: 49, step: 1, name: "1/1/%d", from: 49, count: 4, speed: 25 * gigabit},
			{first: 16777226, names: []string{"vlan10"}, kind: ifPropVirt, speed: gigabit, mgmt: true, mute: true},
		},
	},
	VRP: {
		maker: "Huawei", model: "S5720-28X-SI-AC", version: "V200R019C10SPC500", serial: "2102FAKE26%06d", enterprise: 2011, vlans: true,
		oid:     "1.3.6.1.4.1.2011.2.23.425",
		descr:   "{model}\r\nHuawei Versatile Routing Platform Software\r\nVRP (R) software, Version 5.170 (S5720 {version})\r\nCopyright (C) 2000-2020 HUAWEI TECH CO., LTD",
		chassis: 67108867, board: 67108873,
		ports: []series{
			{first: 6, step: 1, name: "GigabitEthernet0/0/%d", from: 1, count: 24, speed: gigabit},
			{first: 30, step: 1, name: "XGigabitEthernet0/0/%d", from: 1, count: 4, speed: 10 * gigabit},
			{first: 40, names: []string{"Vlanif10"}, kind: ifPropVirt, speed: gigabit, mgmt: true, mute: true},
		},
	},
	PANOS: {
		maker: "Palo Alto Networks", model: "PA-850", version: "10.2.9-h1", serial: "0165FAKE%06d", enterprise: 25461,
		oid: "1.3.6.1.4.1.25461.2.3.36", descr: "Palo Alto Networks PA-800 series firewall", chassis: 1,
		ports: []series{
			{first: 1, names: []string{"mgmt"}, speed: gigabit, mgmt: true, mute: true},
			{first: 2, step: 1, name: "ethernet1/%d", from: 1, count: 12, speed: gigabit},
		},
		routes: true,
	},
	IOSXR: {
		maker: "Cisco Systems, Inc.", model: "ASR-9001", version: "6.9.2", serial: "FAKX26%04d", enterprise: 9,
		oid:     "1.3.6.1.4.1.9.1.1762", // ciscoASR9001
		descr:   "Cisco IOS XR Software (Cisco ASR9K Series),  Version {version}[Default]\r\nCopyright (c) 2020 by Cisco Systems, Inc.",
		chassis: 8384513,
		ports: []series{
			{first: 2, names: []string{"MgmtEth0/RSP0/CPU0/0"}, speed: gigabit, mgmt: true},
			{first: 6, step: 1, name: "TenGigE0/0/2/%d", from: 0, count: 4, speed: 10 * gigabit},
		},
		routes: true,
	},
	SMB: {
		maker: "Cisco Systems, Inc.", model: "SG350-28", version: "2.5.9.54", serial: "FAKS26%04d", enterprise: 9, vlans: true,
		oid: "1.3.6.1.4.1.9.6.1.95.28.1", descr: "{model} 28-Port Gigabit Managed Switch", chassis: 67108992,
		ports: []series{
			{first: 49, step: 1, name: "gi%d", from: 1, count: 28, speed: gigabit},
			{first: 100010, names: []string{"vlan10"}, kind: ifPropVirt, speed: gigabit, mgmt: true, mute: true},
		},
	},
	VyOS: {
		version: "1.4.0", serial: "FAKV26%04d", enterprise: 44641,
		oid: "1.3.6.1.4.1.44641", descr: "VyOS {version}",
		ports:  []series{{first: 2, names: []string{"eth0"}, speed: gigabit, mgmt: true}, {first: 3, step: 1, name: "eth%d", from: 1, count: 3, speed: gigabit}},
		routes: true,
	},
	TMOS: {
		maker: "F5", model: "BIG-IP i5800", version: "15.1.8", serial: "f5-fak%04d", enterprise: 3375,
		oid:   "1.3.6.1.4.1.3375.2.1.3.4.43",
		descr: "BIG-IP {model} : Linux 3.10.0-862.14.4.el7.ve.x86_64 : BIG-IP software release {version}, build 0.0.5",
		ports: []series{{first: 32, names: []string{"mgmt"}, speed: gigabit, mgmt: true}, {first: 48, step: 16, name: "1.%d", from: 1, count: 4, speed: 10 * gigabit}},
	},
	OS10: {
		maker: "Dell EMC", model: "S5248F-ON", version: "10.5.3.4", serial: "FAKD%03d", enterprise: 674,
		oid:   "1.3.6.1.4.1.674.11000.5000.100.2.1.18",
		descr: "Dell EMC Networking OS10 Enterprise.\r\nCopyright (c) 1999-2022 by Dell Inc. All Rights Reserved.\r\nSystem Description: OS10 Enterprise.\r\nOS Version: {version}.\r\nSystem Type: {model}",
		ports: []series{
			{first: 4, names: []string{"mgmt1/1/1"}, speed: gigabit, mgmt: true},
			{first: 16, step: 1, name: "ethernet1/1/%d", from: 1, count: 48, speed: 25 * gigabit},
		},
	},
	EXOS: {
		maker: "Extreme Networks", model: "X440-48t", version: "16.2.5.4", serial: "1234F-%05d", enterprise: 1916, vlans: true,
		oid: "1.3.6.1.4.1.1916.2.175", descr: "ExtremeXOS ({model}) version {version} by release-manager on Tue Aug 20 09:12:44 EDT 2019", chassis: 1,
		ports: []series{
			{first: 1001, step: 1, name: "%d", from: 1, count: 48, speed: gigabit},
			{first: 1000000, names: []string{"Mgmt"}, kind: ifPropVirt, speed: gigabit, mgmt: true, mute: true},
		},
	},
	Onyx: {
		maker: "Mellanox", model: "MSN2010", version: "3.10.4500", serial: "FAKO26%04d", enterprise: 33049,
		oid: "1.3.6.1.4.1.33049.1.1.1.2010", descr: "Mellanox {model},Onyx,SWv{version}", chassis: 1001,
		ports: []series{{first: 1, names: []string{"mgmt0"}, speed: gigabit, mgmt: true}, {first: 11, step: 1, name: "1/%d", from: 1, count: 22, speed: 25 * gigabit}},
	},
	VSOL: {
		maker: "V-SOL", model: "V1600G1", version: "V1.4.12R", serial: "FAKL26%04d", enterprise: 37950,
		oid: "1.3.6.1.4.1.37950.1.1.5", descr: "{model}",
		ports: []series{{first: 1, step: 1, name: "ge0/%d", from: 1, count: 8, speed: gigabit}, {first: 100, names: []string{"aux"}, speed: gigabit, mgmt: true}},
	},
	SonicOS: {
		maker: "SonicWALL", model: "TZ 470", version: "7.0.1-5051", serial: "FA0040%06d", enterprise: 8741,
		oid: "1.3.6.1.4.1.8741.1", descr: "SonicWALL {model} (SonicOS {version})",
		ports: []series{{first: 1, names: []string{"X0"}, speed: gigabit, mgmt: true}, {first: 2, step: 1, name: "X%d", from: 1, count: 7, speed: gigabit}},
	},
	QNOS: {
		maker: "Quanta", model: "QuantaMesh T3048-LY9", version: "5.4.03", serial: "FAKQ26%04d", enterprise: 7244,
		oid: "1.3.6.1.4.1.7244.2.1.1", descr: "Quanta {model}, {version}, Linux 3.8.13",
		ports: []series{{first: 1, step: 1, name: "0/%d", from: 1, count: 48, speed: gigabit}, {first: 500, names: []string{"mgmt"}, speed: gigabit, mgmt: true}},
	},
}

// hardware is what a platform usually runs on, and how its agent speaks of it.
// What is empty is made by code of the platform's own.
type hardware struct {
	maker, model, version string
	serial                string // format that takes the device's number
	enterprise            uint32 // of the vendor, in the engine ID
	oid, descr            string // sysObjectID, sysDescr with {model} and {version}
	chassis               uint32 // entPhysicalIndex of the chassis; 0: no row
	board                 uint32 // row that has the serial instead; 0: the chassis has it
	ports                 []series
	routes                bool // a link's end has an address where the far end routes, too
	cdp                   bool // CISCO-CDP-MIB is answered
	vlans                 bool // Q-BRIDGE-MIB names the VLANs
}

// series are ports of one kind: names, or count ports whose name is a format
// that takes numbers from from on.
type series struct {
	first, step uint32 // ifIndex of the first one, and how far it is to the next
	names       []string
	name        string
	from, count int
	descr       string // format of ifDescr, where that is not ifName
	kind        uint32 // ifType; 0: Ethernet
	speed       uint64
	mgmt        bool // carries the address that the lab listens on
	mute        bool // speaks no LLDP
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
	// Empty on FortiOS: the administrator's free text.
	return strings.NewReplacer("{model}", s.Model, "{version}", s.Version).Replace(models[s.Platform].descr)
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
	if oid := models[d.spec.Platform].oid; oid != "" {
		return oid
	}
	return "1.3.6.1.4.1.8072.3.2.10" // netSnmpAgentOIDs.linux
}

// engineID follows RFC 3411 §5: the vendor's number, then a MAC address.
func (d *node) engineID() []byte {
	enterprise := models[d.spec.Platform].enterprise
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
	case RouterOS:
		const mtxr = "1.3.6.1.4.1.14988.1.1" // MIKROTIK-MIB
		m.text(s.Version, mtxr+".4.4.0")
		m.text(s.Serial, mtxr+".7.3.0")
		m.text(s.Model, mtxr+".7.9.0")
	case ProCurve:
		m.text(s.Version, "1.3.6.1.4.1.11.2.14.11.5.1.1.3.0")                   // NETSWITCH-MIB::hpSwitchOsVersion
		m.text(fmt.Sprintf("%-16s", s.Serial), "1.3.6.1.4.1.11.2.36.1.1.2.9.0") // SEMI-MIB::hpHttpMgSerialNumber, padded
	case TMOS:
		const system = "1.3.6.1.4.1.3375.2.1" // F5-BIGIP-SYSTEM-MIB
		m.text(s.Serial, system+".3.3.3.0")
		m.text(s.Model, system+".3.5.2.0")
		m.text(s.Version, system+".4.2.0")
	case EXOS:
		m.text("800474-00-03 "+s.Serial, "1.3.6.1.4.1.1916.1.1.1.16.0") // EXTREME-SYSTEM-MIB::extremeSystemID
	case VRP:
		m.text(s.Model, "1.3.6.1.4.1.2011.5.25.31.6.5.0") // HUAWEI-ENTITY-EXTENT-MIB::hwEntitySystemModel
	case PANOS:
		const sys = "1.3.6.1.4.1.25461.2.1.2.1" // PAN-COMMON-MIB::panSys
		m.text(s.Version, sys+".1.0")
		m.text(s.Serial, sys+".3.0")
		state := "disabled"
		if d.twin() != nil {
			state = d.role()
		}
		m.text(state, sys+".11.0") // panSysHAState
	}
}
