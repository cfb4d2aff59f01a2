package lab

import (
	"fmt"
	"net/netip"
)

// mib makes all that the device's agent knows.
func (d *node) mib() *mib {
	m := &mib{}
	d.system(m)
	for _, p := range d.ports {
		d.interfaceRows(m, p)
		for _, a := range d.addresses(p) {
			addressRows(m, p, a)
		}
	}
	m.int(int64(len(d.ports)), "1.3.6.1.2.1.2.1.0") // ifNumber
	d.components(m)
	d.lldp(m)
	d.cdp(m)
	d.bridge(m)
	d.vendor(m)
	m.sort()
	return m
}

func (d *node) system(m *mib) {
	const system = "1.3.6.1.2.1.1"
	m.text(d.sysDescr(), system+".1.0")
	m.pointer(arcsOf(d.sysObjectID()), system+".2.0")
	m.add(tagTicks, nil, system+".3.0").live = func() []byte { return uintBytes(uint64(d.agent.engineTime()) * 100) }
	m.text("noc@example.net", system+".4.0")
	m.text(d.spec.Name, system+".5.0")
	m.text(d.location(), system+".6.0")
	m.int(78, system+".7.0")
	const engine = "1.3.6.1.6.3.10.2.1" // SNMP-FRAMEWORK-MIB::snmpEngine
	m.add(tagOctets, d.agent.engine, engine+".1.0")
	m.int(engineBoots, engine+".2.0")
	m.add(tagInt, nil, engine+".3.0").live = func() []byte { return uintBytes(uint64(d.agent.engineTime())) }
	m.int(65507, engine+".4.0")
}

func (d *node) interfaceRows(m *mib, p *port) {
	const row, ext = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
	oper := int64(2)
	if p.up() {
		oper = 1
	}
	mac := []byte{}
	if p.kind != ifLoopback {
		mac = d.mac(p)
	}
	traffic := uint64(p.index) * 7_000_003 % 4_000_000_000
	i := p.index
	m.int(int64(i), row+".1", i)
	m.text(p.descr, row+".2", i)
	m.int(int64(p.kind), row+".3", i)
	m.int(int64(p.mtu), row+".4", i)
	m.gauge(min(p.speed, 4294967295), row+".5", i)
	m.add(tagOctets, mac, row+".6", i)
	m.int(1, row+".7", i)
	m.int(oper, row+".8", i)
	m.ticks(4200, row+".9", i)
	m.counter(traffic, row+".10", i)
	m.counter(traffic/900, row+".11", i)
	m.counter(0, row+".13", i)
	m.counter(0, row+".14", i)
	m.counter(traffic/2, row+".16", i)
	m.counter(traffic/1100, row+".17", i)
	m.counter(0, row+".19", i)
	m.counter(0, row+".20", i)
	m.text(p.name, ext+".1", i)
	m.counter64(traffic*97, ext+".6", i)
	m.counter64(traffic*53, ext+".10", i)
	m.gauge(p.speed/1_000_000, ext+".15", i)
	connector := int64(2)
	if p.kind == ifEthernet {
		connector = 1
	}
	m.int(connector, ext+".17", i)
	m.text(p.alias(), ext+".18", i)
}

// addressRows fills ipAddrTable, ipAddressPrefixTable and ipAddressTable (RFC 4293).
func addressRows(m *mib, p *port, a netip.Prefix) {
	addr := octetArcs(a.Addr().AsSlice())
	kind := uint32(2) // InetAddressType ipv6
	if a.Addr().Is4() {
		kind = 1
		const old = "1.3.6.1.2.1.4.20.1"
		m.ip(a.Addr(), old+".1", addr...)
		m.int(int64(p.index), old+".2", addr...)
		m.ip(mask4(a), old+".3", addr...)
		m.int(1, old+".4", addr...)
		m.int(65535, old+".5", addr...)
	}
	network := octetArcs(a.Masked().Addr().AsSlice())
	prefix := append([]uint32{p.index, kind, uint32(len(network))}, append(network, uint32(a.Bits()))...)
	const prefixOrigin = "1.3.6.1.2.1.4.32.1.5"
	m.int(2, prefixOrigin, prefix...)
	index := append([]uint32{kind, uint32(len(addr))}, addr...)
	const row = "1.3.6.1.2.1.4.34.1"
	m.int(int64(p.index), row+".3", index...)
	m.int(1, row+".4", index...)
	m.pointer(append(arcsOf(prefixOrigin), prefix...), row+".5", index...)
	m.int(2, row+".6", index...)
	m.int(1, row+".7", index...)
	m.ticks(100, row+".8", index...)
	m.ticks(100, row+".9", index...)
	m.int(1, row+".10", index...)
	m.int(2, row+".11", index...)
}

// entPhysicalClass values (RFC 6933).
const (
	classChassis = 3
	classPower   = 6
	classFan     = 7
	classModule  = 9
	classStack   = 11
)

func (d *node) entity(m *mib, i, parent uint32, class int64, descr, name, serial, model string) {
	const row = "1.3.6.1.2.1.47.1.1.1.1"
	m.text(descr, row+".2", i)
	m.pointer([]uint32{0, 0}, row+".3", i)
	m.int(int64(parent), row+".4", i)
	m.int(class, row+".5", i)
	m.int(1, row+".6", i)
	m.text(name, row+".7", i)
	m.text("V02", row+".8", i)
	m.text("", row+".9", i)
	m.text(d.spec.Version, row+".10", i)
	m.text(serial, row+".11", i)
	m.text(models[d.spec.Platform].maker, row+".12", i)
	m.text(model, row+".13", i)
	m.text("", row+".14", i)
	m.text("", row+".15", i)
	m.int(1, row+".16", i)
}

// components fills entPhysicalTable the way the platform numbers its rows.
func (d *node) components(m *mib) {
	s := &d.spec
	psu := func(i, parent uint32, n int) {
		d.entity(m, i, parent, classPower, "power supply", fmt.Sprintf("PSU %d", n), fmt.Sprintf("FAKEPSU%04d%d", d.index+1, n), "PWR-FAKE-715")
	}
	switch s.Platform {
	case IOSXE:
		d.entity(m, 1, 0, classStack, "c93xx Stack", "c93xx Stack", s.Serial, s.Model)
		serial := s.Serial // the stack's is that of its active switch
		for i := range uint32(max(s.Members, 1)) {
			at := 1000 * (i + 1)
			d.entity(m, at, 1, classChassis, s.Model, fmt.Sprintf("Switch %d", i+1), serial, s.Model)
			psu(at+11, at, int(2*i+1))
			psu(at+12, at, int(2*i+2))
			d.entity(m, at+20, at, classFan, "fan", fmt.Sprintf("Switch %d - FAN 1", i+1), "", "")
			serial = fmt.Sprintf("%sM%d", s.Serial, i+2)
		}
	case IOS:
		d.entity(m, 1001, 0, classChassis, s.Model, "1", s.Serial, s.Model)
		psu(1002, 1001, 1)
	case EOS:
		d.entity(m, 1, 0, classChassis, "48-port SFP+ 25GigE 1RU", "", s.Serial, s.Model)
		psu(100711001, 1, 1)
		psu(100721001, 1, 2)
	case FortiOS:
		d.entity(m, 1, 0, classChassis, "Fortinet "+s.Model+", HW Serial#: "+s.Serial, s.Name, s.Serial, s.Model)
	}
	kind := models[s.Platform]
	if kind.chassis == 0 {
		return
	}
	if kind.board == 0 {
		d.entity(m, kind.chassis, 0, classChassis, s.Model+" Chassis", "Chassis", s.Serial, s.Model)
		return
	}
	d.entity(m, kind.chassis, 0, classChassis, s.Model, "Chassis", "", "")
	d.entity(m, kind.board, kind.chassis, classModule, s.Model+" main board", "Main board", s.Serial, s.Model)
}

// lldp fills LLDP-MIB (IEEE 802.1AB-2005 §12): who this is, and who hangs at
// the far end of each cable.
func (d *node) lldp(m *mib) {
	const local, ports, remote, manAddr = "1.0.8802.1.1.2.1.3", "1.0.8802.1.1.2.1.3.7.1", "1.0.8802.1.1.2.1.4.1.1", "1.0.8802.1.1.2.1.4.2.1"
	const (
		subtypeMAC    = 4
		subtypeIfName = 5
	)
	bridgeRouter := []byte{0x28, 0}
	m.int(subtypeMAC, local+".1.0")
	m.add(tagOctets, d.mac(nil), local+".2.0")
	m.text(d.spec.Name, local+".3.0")
	m.text(d.sysDescr(), local+".4.0")
	m.add(tagOctets, bridgeRouter, local+".5.0")
	m.add(tagOctets, bridgeRouter, local+".6.0")
	for _, p := range d.ports {
		if p.lldp == 0 {
			continue
		}
		m.int(subtypeIfName, ports+".2", p.lldp)
		m.text(p.name, ports+".3", p.lldp)
		m.text(p.alias(), ports+".4", p.lldp)
		if p.peer == nil || p.peerPort.lldp == 0 {
			continue
		}
		index := []uint32{4711, p.lldp, 1} // lldpRemTimeMark, lldpRemLocalPortNum, lldpRemIndex
		m.int(subtypeMAC, remote+".4", index...)
		m.add(tagOctets, p.peer.mac(nil), remote+".5", index...)
		m.int(subtypeIfName, remote+".6", index...)
		m.text(p.peerPort.name, remote+".7", index...)
		m.text(p.peerPort.alias(), remote+".8", index...)
		m.text(p.peer.spec.Name, remote+".9", index...)
		m.text(p.peer.sysDescr(), remote+".10", index...)
		m.add(tagOctets, bridgeRouter, remote+".11", index...)
		m.add(tagOctets, bridgeRouter, remote+".12", index...)
		at := append(append(index, 1, 4), octetArcs(p.peer.addr.AsSlice())...)
		m.int(2, manAddr+".3", at...)
		m.int(1, manAddr+".4", at...)
		m.pointer([]uint32{0, 0}, manAddr+".5", at...)
	}
}

// cdp fills CISCO-CDP-MIB: what hangs at the far end of cables between devices
// that both speak CDP. Rows are indexed by ifIndex and cdpCacheDeviceIndex.
func (d *node) cdp(m *mib) {
	const global, cache = "1.3.6.1.4.1.9.9.23.1.3", "1.3.6.1.4.1.9.9.23.1.2.1.1"
	if !models[d.spec.Platform].cdp {
		return
	}
	m.int(1, global+".1.0")
	m.text(d.cdpID(), global+".4.0")
	for i, p := range d.ports {
		if p.peer == nil || !models[p.peer.spec.Platform].cdp {
			continue
		}
		index := []uint32{p.index, uint32(i + 1)}
		m.int(1, cache+".3", index...) // cdpCacheAddressType: ip
		m.add(tagOctets, p.peer.addr.AsSlice(), cache+".4", index...)
		m.text(p.peer.sysDescr(), cache+".5", index...)
		m.text(p.peer.cdpID(), cache+".6", index...)
		m.text(p.peerPort.descr, cache+".7", index...)
		m.text("cisco "+p.peer.spec.Model, cache+".8", index...)
		m.add(tagOctets, []byte{0, 0, 0, 0x28}, cache+".9", index...)
		m.int(1, cache+".11", index...)
		m.int(3, cache+".12", index...)
	}
}

// cdpID is cdpGlobalDeviceId: NX-OS puts its serial behind its name.
func (d *node) cdpID() string {
	if d.spec.Platform == NXOS {
		return d.spec.Name + "(" + d.spec.Serial + ")"
	}
	return d.spec.Name + ".example.net"
}

// bridge fills the names of dot1qVlanStaticTable (RFC 4363).
func (d *node) bridge(m *mib) {
	const row = "1.3.6.1.2.1.17.7.1.4.3.1"
	if !models[d.spec.Platform].vlans {
		return
	}
	for _, v := range append([]vlan{{1, "DEFAULT_VLAN"}}, vlans...) {
		m.text(v.Name, row+".1", v.ID)
		m.int(1, row+".5", v.ID)
	}
}
