package snmp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// The objects that are read, with leading dots as the library has them.
const (
	oidSysDescr    = ".1.3.6.1.2.1.1.1.0" // SNMPv2-MIB (RFC 3418)
	oidSysObjectID = ".1.3.6.1.2.1.1.2.0"
	oidSysUpTime   = ".1.3.6.1.2.1.1.3.0"
	oidSysContact  = ".1.3.6.1.2.1.1.4.0"
	oidSysName     = ".1.3.6.1.2.1.1.5.0"
	oidSysLocation = ".1.3.6.1.2.1.1.6.0"

	oidEngineID    = ".1.3.6.1.6.3.10.2.1.1.0" // SNMP-FRAMEWORK-MIB (RFC 3411)
	oidEngineBoots = ".1.3.6.1.6.3.10.2.1.2.0"
	oidEngineTime  = ".1.3.6.1.6.3.10.2.1.3.0"

	oidIfNumber      = ".1.3.6.1.2.1.2.1.0"           // IF-MIB (RFC 2863)
	oidBaseAddress   = ".1.3.6.1.2.1.17.1.1.0"        // BRIDGE-MIB (RFC 4188)
	oidChassisIDType = ".1.0.8802.1.1.2.1.3.1.0"      // LLDP-MIB (IEEE 802.1AB-2005)
	oidChassisID     = ".1.0.8802.1.1.2.1.3.2.0"      //
	oidIfEntry       = ".1.3.6.1.2.1.2.2.1"           // IF-MIB
	oidIfXEntry      = ".1.3.6.1.2.1.31.1.1.1"        // IF-MIB
	oidIPAddrEntry   = ".1.3.6.1.2.1.4.20.1"          // IP-MIB, deprecated
	oidIPAddress     = ".1.3.6.1.2.1.4.34.1"          // IP-MIB (RFC 4293)
	oidIPPrefix      = ".1.3.6.1.2.1.4.32.1"          // IP-MIB
	oidIPv6Addr      = ".1.3.6.1.2.1.55.1.8.1"        // IPV6-MIB (RFC 2465), obsolete and still the only one in places
	oidPhysical      = ".1.3.6.1.2.1.47.1.1.1.1"      // ENTITY-MIB (RFC 6933)
	oidLocPort       = ".1.0.8802.1.1.2.1.3.7.1"      // LLDP-MIB
	oidRemEntry      = ".1.0.8802.1.1.2.1.4.1.1"      // LLDP-MIB
	oidBasePort      = ".1.3.6.1.2.1.17.1.4.1"        // BRIDGE-MIB
	oidVLANStatic    = ".1.3.6.1.2.1.17.7.1.4.3.1"    // Q-BRIDGE-MIB (RFC 4363)
	oidIEEEVLAN      = ".1.3.111.2.802.1.1.4.1.4.3.1" // IEEE8021-Q-BRIDGE-MIB, its successor
	oidVLANCurrent   = ".1.3.6.1.2.1.17.7.1.4.2.1"    // Q-BRIDGE-MIB
	oidVTPVLAN       = ".1.3.6.1.4.1.9.9.46.1.3.1.1"  // CISCO-VTP-MIB: IOS has no Q-BRIDGE-MIB
	oidCDPCache      = ".1.3.6.1.4.1.9.9.23.1.2.1.1"  // CISCO-CDP-MIB
)

var (
	systemOIDs = []string{oidSysDescr, oidSysObjectID, oidSysUpTime, oidSysContact, oidSysName, oidSysLocation,
		oidEngineID, oidEngineBoots, oidEngineTime}
	pingOIDs = []string{oidSysUpTime, oidEngineBoots}

	// What may be missing, looked for before any table is walked.
	looseScalars = []string{oidChassisIDType, oidChassisID, oidIfNumber, oidBaseAddress}
	entries      = []string{oidIfEntry, oidIfXEntry, oidIPAddrEntry, oidIPAddress, oidIPv6Addr, oidPhysical, oidRemEntry, oidVLANStatic, oidIEEEVLAN,
		oidVLANCurrent, oidVTPVLAN, oidCDPCache}
)

// columnsOf lists columns of one table.
func columnsOf(table, entry string, ids ...int) []spec {
	specs := make([]spec, len(ids))
	for i, id := range ids {
		specs[i] = spec{entry + "." + strconv.Itoa(id), table}
	}
	return specs
}

var (
	ifColumns        = columnsOf("ifTable", oidIfEntry, 2, 3, 4, 5, 6, 7, 8) // ifDescr … ifOperStatus
	ifXColumns       = columnsOf("ifXTable", oidIfXEntry, 1, 15, 18)         // ifName, ifHighSpeed, ifAlias
	ipAddrColumns    = columnsOf("ipAddrTable", oidIPAddrEntry, 2, 3)        // ipAdEntIfIndex, ipAdEntNetMask
	ipAddressColumns = columnsOf("ipAddressTable", oidIPAddress, 3, 4, 5)    // ipAddressIfIndex, …Type, …Prefix
	prefixColumns    = columnsOf("ipAddressPrefixTable", oidIPPrefix, 5)     // ipAddressPrefixOrigin: the index is what is wanted
	ipv6AddrColumns  = columnsOf("ipv6AddrTable", oidIPv6Addr, 2)            // ipv6AddrPfxLength
	physicalColumns  = columnsOf("entPhysicalTable", oidPhysical, 2, 4, 5, 7, 9, 10, 11, 13)
	remColumns       = columnsOf("lldpRemTable", oidRemEntry, 4, 5, 6, 7, 8, 9, 10)  // lldpRemChassisIdSubtype … lldpRemSysDesc
	locPortColumns   = columnsOf("lldpLocPortTable", oidLocPort, 2, 3, 4)            // lldpLocPortIdSubtype, …Id, …Desc
	basePortColumns  = columnsOf("dot1dBasePortTable", oidBasePort, 2)               // dot1dBasePortIfIndex
	vlanColumns      = columnsOf("dot1qVlanStaticTable", oidVLANStatic, 1, 5)        // dot1qVlanStaticName, …RowStatus
	ieeeVLANColumns  = columnsOf("ieee8021QBridgeVlanStaticTable", oidIEEEVLAN, 3)   // ieee8021QBridgeVlanStaticName
	vlanNowColumns   = columnsOf("dot1qVlanCurrentTable", oidVLANCurrent, 3, 6)      // dot1qVlanFdbId, …Status
	vtpColumns       = columnsOf("vtpVlanTable", oidVTPVLAN, 2, 3, 4)                // vtpVlanState, …Type, …Name
	cdpColumns       = columnsOf("cdpCacheTable", oidCDPCache, 3, 4, 5, 6, 7, 8, 17) // cdpCacheAddressType … cdpCachePlatform, …SysName
)

// Read reads all standard tables. It fails only when nothing could be read;
// partial trouble is in Reading.Faults.
func (s *Session) Read(ctx context.Context) (Reading, error) {
	ctx, done := s.asking(ctx)
	defer done()

	s.misfits = nil
	s.system = s.readSystem()
	present := s.lookAround(ctx)
	walk := func(rows int, tables ...[]spec) {
		var specs []spec
		for _, t := range tables {
			if entry := t[0].oid[:strings.LastIndexByte(t[0].oid, '.')]; present[entry] {
				specs = append(specs, t...)
			} else {
				s.knowEmpty(t)
			}
		}
		s.walk(ctx, specs, rows)
	}
	ifNumber, _ := s.scalarNumber("interfaces", oidIfNumber)
	walk(int(min(max(ifNumber, 0), mostRows)), ifColumns, ifXColumns)
	walk(0, physicalColumns)
	walk(0, ipAddrColumns, ipAddressColumns, ipv6AddrColumns, vlanColumns, ieeeVLANColumns, vlanNowColumns, vtpColumns)
	if s.lacksPrefix() {
		s.walk(ctx, prefixColumns, 0)
	}
	walk(0, remColumns)
	walk(0, cdpColumns)
	if present[oidRemEntry] {
		s.walk(ctx, slices.Concat(locPortColumns, basePortColumns), 0)
	}

	r := Reading{Credential: s.target.Credential.Name, PrivProtocol: s.priv, System: s.system}
	r.Interfaces = s.interfaces()
	r.Addresses = s.addresses()
	r.Components = s.components()
	r.Neighbors = append(s.neighbors(r.Interfaces), s.cdpNeighbors(r.Interfaces)...)
	r.VLANs = s.vlans()
	r.BaseMAC = ownMAC(s.scalarBytes("dot1dBase", oidBaseAddress))
	subtype, _ := s.scalarNumber("lldpLocalSystemData", oidChassisIDType)
	r.LocalChassisID = chassisID(subtype, s.scalarBytes("lldpLocalSystemData", oidChassisID))
	s.blameMisfits()
	if s.scalars[oidSysDescr].shape == absent && s.scalars[oidSysObjectID].shape == absent && s.dead == nil {
		s.blame(&collector.Error{
			Device: s.target.Device, Addr: s.target.Addr, Step: collector.StepSystem, Kind: collector.ErrRightsMissing,
			Seen: "neither sysDescr nor sysObjectID", Do: "Widen the view that the device gives credential " + s.target.Credential.Name,
		})
	}
	if s.changes > 0 {
		s.blame(s.errorAt(collector.StepEngine, &trouble{why: renewed, err: fmt.Errorf("the engine began anew %d times", s.changes)}))
	}
	r.Faults = s.faults

	cause := stoppedBy(ctx)
	switch {
	case cause != nil:
		return r, cause
	case s.dead != nil && len(r.Interfaces)+len(r.Components)+len(r.Addresses) == 0 && r.System.Descr == "" && r.System.ObjectID == "":
		return r, s.fail(ctx, collector.StepSystem, s.dead)
	}
	return r, nil
}

// lookAround asks once what is there, so that what is not costs no walk: most
// devices have half of these tables. A table counts as present unless the agent
// said what stands in its place.
func (s *Session) lookAround(ctx context.Context) (present map[string]bool) {
	present = map[string]bool{}
	var ask []string
	for _, oid := range looseScalars {
		ask = append(ask, strings.TrimSuffix(oid, ".0"))
	}
	ask = append(ask, entries...)
	for _, oid := range ask {
		present[oid] = true
	}
	for len(ask) > 0 && s.stopped(ctx, time.Now()) == nil {
		vars, t := s.insist(ctx, query{pdu: gosnmp.GetNextRequest, oids: ask})
		if t != nil && t.why == status && t.index >= 1 && t.index <= len(ask) {
			if t.status == gosnmp.NoSuchName {
				present[ask[t.index-1]] = false // v1: nothing comes after it
			}
			ask = slices.Delete(slices.Clone(ask), t.index-1, t.index)
			continue
		}
		if t != nil || len(vars) != len(ask) {
			break // the walks will tell
		}
		for i, v := range vars {
			value := valueOf(v)
			present[ask[i]] = strings.HasPrefix(v.Name, ask[i]+".") && value.shape != absent
			if v.Name == ask[i]+".0" && slices.Contains(looseScalars, v.Name) {
				s.scalars[v.Name] = value
			}
		}
		break
	}
	var left []string
	for _, oid := range looseScalars {
		if _, known := s.scalars[oid]; !known && present[strings.TrimSuffix(oid, ".0")] {
			left = append(left, oid)
		}
	}
	if t := s.getAll(ctx, left, func(oid string, t *trouble) { s.blame(s.errorAt(scalarTable(oid), t)) }); t != nil && ctx.Err() == nil {
		s.dead = t
	}
	return present
}

// scalarTable names what a loose scalar belongs to, for its fault.
func scalarTable(oid string) collector.Step {
	switch oid {
	case oidIfNumber:
		return "interfaces"
	case oidBaseAddress:
		return "dot1dBase"
	}
	return "lldpLocalSystemData"
}
