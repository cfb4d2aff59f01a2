package lab

import (
	"fmt"
	"net/netip"
)

// IANAifType values that the lab's ports have.
const (
	ifEthernet = 6
	ifLoopback = 24
	ifPropVirt = 53 // routed VLAN interfaces, Junos units
)

const gigabit = 1_000_000_000 // bit/s

// port is one interface of a device, as SNMP and the configuration both show it.
type port struct {
	index    uint32 // ifIndex
	lldp     uint32 // lldpLocPortNum; 0: LLDP does not run here. Not ifIndex on every platform
	name     string // ifName
	descr    string // ifDescr, and the name in the configuration
	kind     uint32 // ifType
	speed    uint64 // bit/s
	mtu      uint32
	addrs    []netip.Prefix
	mgmt     bool // carries the address that the lab listens on
	parent   *port
	peer     *node // what the cable leads to; nil: nothing
	peerPort *port
}

// up says whether the port works: it leads somewhere, or is no cable's end.
func (p *port) up() bool {
	if p.parent != nil {
		return p.parent.up()
	}
	return p.peer != nil || p.mgmt || p.kind != ifEthernet
}

// alias is ifAlias and the description in the configuration.
func (p *port) alias() string {
	switch {
	case p.peer != nil:
		return "to " + p.peer.spec.Name + " " + p.peerPort.name
	case p.mgmt:
		return "management"
	}
	return ""
}

func (d *node) port(name string) *port {
	for _, p := range d.ports {
		if p.name == name {
			return p
		}
	}
	return nil
}

// ethernet adds a port with LLDP.
func (d *node) ethernet(index uint32, name, descr string, speed uint64) *port {
	p := &port{index: index, lldp: index, name: name, descr: descr, kind: ifEthernet, speed: speed, mtu: 1500}
	d.ports = append(d.ports, p)
	return p
}

func (d *node) virtual(index uint32, name, descr string, kind uint32) *port {
	p := &port{index: index, name: name, descr: descr, kind: kind, mtu: 1500}
	d.ports = append(d.ports, p)
	return p
}

func (d *node) loopback(index uint32, name, descr string) {
	p := d.virtual(index, name, descr, ifLoopback)
	p.mtu = 65535
	n := d.index + 1
	p.addrs = []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 255, byte(n >> 8), byte(n)}), 32),
		netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:255::%x", n)), 128),
	}
}

// makePorts gives the device the interfaces of a usual model of its platform.
func (d *node) makePorts() {
	switch d.spec.Platform {
	case IOSXE, IOS:
		d.virtual(1, "Vl1", "Vlan1", ifPropVirt)
		for i := range uint32(24) {
			p := d.ethernet(9+i, fmt.Sprintf("Gi1/0/%d", i+1), fmt.Sprintf("GigabitEthernet1/0/%d", i+1), gigabit)
			p.lldp = 1 + i // the bridge port: IEEE 802.1AB-2005 §12 does not promise ifIndex
		}
		for i := range uint32(4) {
			p := d.ethernet(37+i, fmt.Sprintf("Te1/1/%d", i+1), fmt.Sprintf("TenGigabitEthernet1/1/%d", i+1), 10*gigabit)
			p.lldp = 29 + i
		}
		p := d.virtual(60, "Vl10", "Vlan10", ifPropVirt)
		p.mgmt, p.speed = true, gigabit
		d.loopback(61, "Lo0", "Loopback0")
	case EOS:
		for i := range uint32(48) {
			name := fmt.Sprintf("Ethernet%d", i+1)
			d.ethernet(1+i, name, name, 25*gigabit)
		}
		for i := range uint32(8) {
			name := fmt.Sprintf("Ethernet%d/1", 49+i)
			d.ethernet(49001+1000*i, name, name, 100*gigabit)
		}
		p := d.ethernet(999001, "Management1", "Management1", gigabit)
		p.mgmt = true
		d.loopback(5000000, "Loopback0", "Loopback0")
	case Junos:
		p := d.ethernet(1, "fxp0", "fxp0", gigabit)
		p.lldp, p.mgmt = 0, true
		d.loopback(16, "lo0.0", "lo0.0")
		for i := range uint32(12) {
			name := fmt.Sprintf("xe-0/%d/%d", i/4, i%4)
			p := d.ethernet(501+2*i, name, name, 10*gigabit)
			u := d.virtual(502+2*i, name+".0", name+".0", ifPropVirt)
			u.parent, u.speed = p, p.speed
		}
	case FortiOS:
		names := []string{"mgmt", "ha1", "ha2", "wan1", "wan2", "dmz", "x1", "x2"}
		for i := range 20 {
			names = append(names, fmt.Sprintf("port%d", i+1))
		}
		for i, name := range names {
			p := d.ethernet(uint32(i+1), name, "", gigabit)
			if p.mgmt = name == "mgmt"; p.mgmt {
				p.lldp = 0
			}
			if name == "x1" || name == "x2" {
				p.speed = 10 * gigabit
			}
		}
		d.loopback(40, "lo-mgmt", "")
	case FRR:
		d.loopback(1, "lo", "lo")
		for i := range uint32(4) {
			name := fmt.Sprintf("eth%d", i)
			p := d.ethernet(2+i, name, name, 10*gigabit)
			p.mgmt = i == 0
		}
	}
	for _, s := range models[d.spec.Platform].ports {
		d.makeSeries(s)
	}
}

func (d *node) makeSeries(s series) {
	names := s.names
	for i := range s.count {
		names = append(names, fmt.Sprintf(s.name, s.from+i))
	}
	for i, name := range names {
		descr := name
		if s.descr != "" {
			descr = fmt.Sprintf(s.descr, name)
		}
		p := d.ethernet(s.first+s.step*uint32(i), name, descr, s.speed)
		p.mgmt = s.mgmt
		if s.kind != 0 {
			p.kind = s.kind
		}
		if s.mute {
			p.lldp = 0
		}
	}
}

// routed says whether a port of this platform has an address of its own when it
// leads to another router.
func (d *node) routed() bool {
	switch d.spec.Platform {
	case EOS, Junos, FortiOS, FRR:
		return true
	}
	return models[d.spec.Platform].routes
}

// addressLinks gives both ends of link number i a /30.
func addressLinks(i int, a, b *port, an, bn *node) {
	if !an.routed() || !bn.routed() {
		return
	}
	net := netip.AddrFrom4([4]byte{10, byte(i >> 6), byte(i << 2), 0}).Next()
	for _, end := range []struct {
		d *node
		p *port
	}{{an, a}, {bn, b}} {
		p := end.p
		if unit := end.d.port(p.name + ".0"); unit != nil {
			p = unit
		}
		p.addrs = append(p.addrs, netip.PrefixFrom(net, 30))
		net = net.Next()
	}
}

// mac is the port's address: locally administered, unique in the network.
func (d *node) mac(p *port) []byte {
	var n uint32
	if p != nil {
		n = p.index ^ p.index>>16 // some platforms number their ports in the upper bits
	}
	return []byte{0x02, 0x4d, byte(d.index >> 8), byte(d.index), byte(n >> 8), byte(n)}
}

// addresses are the port's, that of the lab first.
func (d *node) addresses(p *port) []netip.Prefix {
	if !p.mgmt {
		return p.addrs
	}
	return append([]netip.Prefix{netip.PrefixFrom(d.addr, 24)}, p.addrs...)
}
