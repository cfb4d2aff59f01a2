// Package snmp asks SNMP agents: one-socket sweeps of a scope, sessions with one
// agent, and the standard tables as typed rows.
//
// Everything an agent sends is hostile input: rows, bytes and time are bounded,
// loops and disorder noticed, and what is right is kept beside a named fault for
// what is not.
package snmp

import (
	"net/netip"
	"time"
)

// System is SNMPv2-MIB's system group (RFC 3418), with the engine's own word
// where SNMPv3 was spoken or SNMP-FRAMEWORK-MIB answered.
type System struct {
	Descr       string        // sysDescr.0
	ObjectID    string        // sysObjectID.0, dotted without leading dot; "0.0": none
	UpTime      time.Duration // sysUpTime.0, 10 ms steps
	Contact     string
	Name        string // sysName.0
	Location    string
	EngineID    []byte // SNMP-FRAMEWORK-MIB::snmpEngineID; nil: not told
	EngineBoots int64  // snmpEngineBoots; 0: not told
	EngineTime  int64  // snmpEngineTime, s
}

// Interface is one row of IF-MIB::ifTable joined with its ifXTable row.
// ifIndex is unique within the device but may change at a reboot (RFC 2863
// §3.1.5); history is therefore keyed by Name.
type Interface struct {
	IfIndex  int32  `json:"if_index"`            // IF-MIB::ifIndex, 1…2147483647
	Name     string `json:"name,omitempty"`      // IF-MIB::ifName, e.g. "Gi1/0/24"; ifDescr where there is none
	Descr    string `json:"descr,omitempty"`     // IF-MIB::ifDescr
	Type     string `json:"type,omitempty"`      // IANAifType name, e.g. "ethernetCsmacd"; the number where unknown
	MTU      int32  `json:"mtu,omitempty"`       // bytes; 0: not told
	Admin    string `json:"admin,omitempty"`     // ifAdminStatus: up, down, testing
	Oper     string `json:"oper,omitempty"`      // ifOperStatus: up, down, testing, unknown, dormant, notPresent, lowerLayerDown
	MAC      string `json:"mac,omitempty"`       // ifPhysAddress, "00:11:22:33:44:55"; empty: none; zeros as told
	SpeedBps uint64 `json:"speed_bps,omitempty"` // bit/s; from ifHighSpeed (10⁶ bit/s), or ifSpeed; 0: not told
	Alias    string `json:"alias,omitempty"`     // IF-MIB::ifAlias
}

// Address is one address of the device: IP-MIB::ipAddressTable (RFC 4293), or
// the older ipAddrTable where that is all there is.
type Address struct {
	IP      netip.Addr `json:"ip"`
	Prefix  int        `json:"prefix,omitempty"` // length in bits; 0: not told
	IfIndex int32      `json:"if_index,omitempty"`
}

// Component is one row of ENTITY-MIB::entPhysicalTable (RFC 6933).
type Component struct {
	Index    int32  `json:"index"`           // entPhysicalIndex
	Parent   int32  `json:"parent"`          // entPhysicalContainedIn; 0: contained in nothing
	Class    string `json:"class,omitempty"` // entPhysicalClass name: chassis, module, powerSupply, …
	Name     string `json:"name,omitempty"`
	Descr    string `json:"descr,omitempty"`
	Model    string `json:"model,omitempty"` // entPhysicalModelName
	Serial   string `json:"serial,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Software string `json:"software,omitempty"`
}

// Neighbor is one row of LLDP-MIB::lldpRemTable (IEEE 802.1AB) or of
// CISCO-CDP-MIB::cdpCacheTable. Both protocols on one link are two rows.
type Neighbor struct {
	Protocol        string `json:"protocol"` // "lldp", "cdp"
	LocalIfIndex    int32  `json:"local_if_index,omitempty"`
	LocalPort       string `json:"local_port,omitempty"`        // ifName of the local interface, else what LLDP calls it
	RemoteSysName   string `json:"remote_sys_name,omitempty"`   // CDP: the device ID without serial number; of one without name, its address
	RemotePort      string `json:"remote_port,omitempty"`       // remote port id, or its description where the id is a MAC
	RemoteChassisID string `json:"remote_chassis_id,omitempty"` // CDP: the serial number or MAC in the device ID
	RemoteSysDescr  string `json:"remote_sys_descr,omitempty"`  // CDP: cdpCachePlatform, cdpCacheVersion
}

// VLAN is a row of Q-BRIDGE-MIB::dot1qVlanStaticTable or dot1qVlanCurrentTable,
// of their successor in IEEE8021-Q-BRIDGE-MIB, or of CISCO-VTP-MIB::vtpVlanTable.
type VLAN struct {
	ID   int    `json:"id"` // 1…4094
	Name string `json:"name,omitempty"`
}
