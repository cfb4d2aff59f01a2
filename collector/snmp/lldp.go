package snmp

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The subtypes of LldpChassisIdSubtype and LldpPortIdSubtype (IEEE 802.1AB §8.5)
// whose identifiers are no plain text.
const (
	chassisMAC     = 4
	chassisNetwork = 5
	portMAC        = 3
	portNetwork    = 4
)

// The other subtypes of a port that say what to compare it with.
const (
	portAlias = 1

	portLocal = 7
)

// chassisID writes a chassis ID by its subtype.
func chassisID(subtype int64, id string) string {
	switch subtype {
	case chassisMAC:
		return ownMAC(id)
	case chassisNetwork:
		return networkAddress(id)
	}
	return identifier(id)
}

// portID writes a port ID by its subtype.
func portID(subtype int64, id string) string {
	switch subtype {
	case portMAC:
		return macText(id)
	case portNetwork:
		return networkAddress(id)
	}
	return identifier(id)
}

// identifier is text where it is some, else hex: agents put addresses under
// subtypes of text.
func identifier(id string) string {
	if t := strings.TrimRight(id, "\x00"); printable(t) {
		return t
	}
	if len(id) == 6 {
		return hexColons(id)
	}
	if t := legible(id); strings.Count(t, "\uFFFD")*4 <= len(t) && !strings.ContainsFunc(t, func(r rune) bool { return r < ' ' }) {
		return t
	}
	return hexColons(id)
}

// networkAddress writes an address behind its IANA address family (1: IPv4, 2:
// IPv6).
func networkAddress(id string) string {
	if len(id) == 5 && id[0] == 1 || len(id) == 17 && id[0] == 2 {
		ip, _ := netip.AddrFromSlice([]byte(id[1:]))
		return ip.String()
	}
	return identifier(id)
}

// localPort is a row of lldpLocPortTable.
type localPort struct {
	subtype  int64
	id, desc string
}

// remote is a row of lldpRemTable.
type remote struct {
	index                       string // lldpRemTimeMark, lldpRemLocalPortNum, lldpRemIndex
	chassisSubtype, portSubtype int64
	chassis, port, portDesc     string
	sysName, sysDesc            string
}

// neighbors joins lldpRemTable with the interfaces that it was heard on.
func (s *Session) neighbors(interfaces []Interface) []Neighbor {
	rows := map[string]*remote{}
	row := func(index string) *remote {
		if rows[index] == nil {
			rows[index] = &remote{index: index}
		}
		return rows[index]
	}
	s.eachNumber(remColumns[0], func(i string, n int64) { row(i).chassisSubtype = n })
	s.eachBytes(remColumns[1], func(i, v string) { row(i).chassis = v })
	s.eachNumber(remColumns[2], func(i string, n int64) { row(i).portSubtype = n })
	s.eachBytes(remColumns[3], func(i, v string) { row(i).port = v })
	s.eachText(remColumns[4], func(i, v string) { row(i).portDesc = v })
	s.eachText(remColumns[5], func(i, v string) { row(i).sysName = v })
	s.eachText(remColumns[6], func(i, v string) { row(i).sysDesc = v })

	ports := s.localPorts()
	known := newPortIndex(interfaces)
	type keyed struct {
		port uint32
		Neighbor
	}
	list := make([]keyed, 0, len(rows))
	for _, r := range rows {
		ids, ok := subIDs(r.index)
		if !ok || len(ids) < 3 {
			continue
		}
		port := ids[len(ids)-2]
		n := Neighbor{
			Protocol:        "lldp",
			RemoteSysName:   r.sysName,
			RemotePort:      portID(r.portSubtype, r.port),
			RemoteChassisID: chassisID(r.chassisSubtype, r.chassis),
			RemoteSysDescr:  r.sysDesc,
		}
		if r.portSubtype == portMAC && r.portDesc != "" {
			n.RemotePort = r.portDesc
		}
		n.LocalIfIndex, n.LocalPort = known.resolve(port, ports)
		list = append(list, keyed{port, n})
	}
	slices.SortFunc(list, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.RemoteSysName, b.RemoteSysName),
			cmp.Compare(a.RemoteChassisID, b.RemoteChassisID), cmp.Compare(a.RemotePort, b.RemotePort))
	})
	neighbors := make([]Neighbor, 0, len(list))
	for _, k := range list {
		// Agents that reboot or retime a neighbor keep both rows for a while.
		if n := len(neighbors); n > 0 && neighbors[n-1] == k.Neighbor {
			continue
		}
		neighbors = append(neighbors, k.Neighbor)
	}
	return neighbors
}

// ports is what LLDP and BRIDGE-MIB say about port numbers.
type ports struct {
	local map[uint32]*localPort // by lldpLocPortNum
	base  map[uint32]int32      // dot1dBasePort → ifIndex
}

func (s *Session) localPorts() ports {
	p := ports{local: map[uint32]*localPort{}, base: map[uint32]int32{}}
	row := func(index string) *localPort {
		n, ok := rowIndex(index)
		if !ok {
			return &localPort{}
		}
		if p.local[uint32(n)] == nil {
			p.local[uint32(n)] = &localPort{}
		}
		return p.local[uint32(n)]
	}
	s.eachNumber(locPortColumns[0], func(i string, n int64) { row(i).subtype = n })
	s.eachBytes(locPortColumns[1], func(i, v string) { row(i).id = v })
	s.eachText(locPortColumns[2], func(i, v string) { row(i).desc = v })
	s.eachNumber(basePortColumns[0], func(i string, n int64) {
		if port, ok := rowIndex(i); ok && n > 0 && n <= 1<<31-1 {
			p.base[uint32(port)] = int32(n)
		}
	})
	return p
}

// portIndex finds interfaces by what names them. A name that two interfaces
// share names none.
type portIndex struct {
	byIndex                      map[int32]*Interface
	name, descr, alias, hardware map[string]*Interface
}

func newPortIndex(interfaces []Interface) *portIndex {
	x := &portIndex{map[int32]*Interface{}, map[string]*Interface{}, map[string]*Interface{}, map[string]*Interface{}, map[string]*Interface{}}
	put := func(m map[string]*Interface, key string, i *Interface) {
		if key == "" {
			return
		}
		if _, taken := m[key]; taken {
			i = nil
		}
		m[key] = i
	}
	for n := range interfaces {
		i := &interfaces[n]
		x.byIndex[i.IfIndex] = i
		put(x.name, i.Name, i)
		put(x.descr, i.Descr, i)
		put(x.alias, i.Alias, i)
		put(x.hardware, i.MAC, i)
	}
	return x
}

// resolve finds the interface behind an LldpPortNumber, and its name: ifName
// where there is an interface, else what LLDP calls the port. lldpLocPortTable's
// own word comes first. Without it, IEEE 802.1AB says that the number is a
// bridge's dot1dBasePort, and otherwise an ifIndex.
func (x *portIndex) resolve(number uint32, p ports) (int32, string) {
	local := p.local[number]
	if local != nil {
		if i := x.find(local); i != nil {
			return i.IfIndex, i.Name
		}
	}
	if i := x.byIndex[p.base[number]]; i != nil {
		return i.IfIndex, i.Name
	}
	if i := x.byIndex[int32(min(number, 1<<31-1))]; i != nil && p.base[number] == 0 {
		return i.IfIndex, i.Name
	}
	switch {
	case local == nil:
		return p.base[number], strconv.FormatUint(uint64(number), 10)
	case local.subtype == portMAC && local.desc != "":
		return p.base[number], local.desc
	case local.id != "":
		return p.base[number], portID(local.subtype, local.id)
	case local.desc != "":
		return p.base[number], local.desc
	}
	return p.base[number], strconv.FormatUint(uint64(number), 10)
}

// find looks a row of lldpLocPortTable up by its ID, as its subtype says, then
// by its description, which should be ifDescr (IEEE 802.1AB §8.5.5).
func (x *portIndex) find(p *localPort) *Interface {
	id := portID(p.subtype, p.id)
	var i *Interface
	switch p.subtype {
	case portMAC:
		i = x.hardware[id]
	case portAlias:
		i = cmp.Or(x.alias[id], x.name[id], x.descr[id])
	case portLocal:
		i = cmp.Or(x.name[id], x.descr[id])
		if n, ok := rowIndex(id); ok && i == nil {
			i = x.byIndex[n]
		}
	default: // portName, and components whose names agents take from their ports
		i = cmp.Or(x.name[id], x.descr[id], x.alias[id])
	}
	return cmp.Or(i, x.name[p.desc], x.descr[p.desc], x.alias[p.desc])
}
