package snmp

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// interfaces joins ifTable with ifXTable. A row is what either of them has.
func (s *Session) interfaces() []Interface {
	rows := map[int32]*Interface{}
	row := func(index string) *Interface {
		n, ok := rowIndex(index)
		if !ok {
			return &Interface{} // no ifIndex: goes nowhere
		}
		if rows[n] == nil {
			rows[n] = &Interface{IfIndex: n}
		}
		return rows[n]
	}
	s.eachText(ifColumns[0], func(i, v string) { row(i).Descr = v })
	s.eachNumber(ifColumns[1], func(i string, n int64) { row(i).Type = named(ifTypes, n) })
	s.eachNumber(ifColumns[2], func(i string, n int64) {
		if n > 0 && n <= 1<<31-1 {
			row(i).MTU = int32(n)
		}
	})
	s.eachNumber(ifColumns[3], func(i string, n int64) { row(i).SpeedBps = uint64(max(n, 0)) })
	s.eachBytes(ifColumns[4], func(i, v string) { row(i).MAC = macText(v) })
	s.eachNumber(ifColumns[5], func(i string, n int64) { row(i).Admin = named(adminStates, n) })
	s.eachNumber(ifColumns[6], func(i string, n int64) { row(i).Oper = named(operStates, n) })
	s.eachText(ifXColumns[0], func(i, v string) { row(i).Name = v })
	s.eachNumber(ifXColumns[1], func(i string, n int64) { r := row(i); r.SpeedBps = speed(r.SpeedBps, n) })
	s.eachText(ifXColumns[2], func(i, v string) { row(i).Alias = v })

	list := make([]Interface, 0, len(rows))
	for _, r := range rows {
		if r.Name == "" {
			r.Name = r.Descr
		}
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Interface) int { return cmp.Compare(a.IfIndex, b.IfIndex) })
	return list
}

// speed chooses between ifSpeed, exact but at most 2³²-1 bit/s, and ifHighSpeed,
// rounded to 10⁶ bit/s (RFC 2863): ifSpeed where ifHighSpeed rounds it.
func speed(ifSpeed uint64, ifHighSpeed int64) uint64 {
	const mega = 1_000_000
	if ifHighSpeed <= 0 {
		return ifSpeed
	}
	high := uint64(min(ifHighSpeed, 1<<32-1)) * mega
	if ifSpeed > 0 && ifSpeed < 1<<32-1 && ifSpeed+mega/2 >= high && ifSpeed <= high+mega/2 {
		return ifSpeed
	}
	return high
}

// addresses joins what the generations of address tables tell, newest first
// where they tell the same address.
func (s *Session) addresses() []Address {
	rows := map[netip.Addr]*Address{}
	row := func(ip netip.Addr) *Address {
		if rows[ip] == nil {
			rows[ip] = &Address{IP: ip}
		}
		return rows[ip]
	}

	broadcast := map[string]bool{}
	s.eachNumber(ipAddressColumns[1], func(i string, n int64) { broadcast[i] = n == 3 }) // unicast(1), anycast(2), broadcast(3)
	fromNew := func(i string, f func(*Address)) {
		if ip, ok := inetAddress(i); ok && !broadcast[i] {
			f(row(ip))
		}
	}
	s.eachNumber(ipAddressColumns[0], func(i string, n int64) {
		fromNew(i, func(a *Address) { a.IfIndex = int32(min(max(n, 0), 1<<31-1)) })
	})
	s.eachOf(ipAddressColumns[2], object, func(i, prefix string) {
		fromNew(i, func(a *Address) { a.Prefix = prefixOf(prefix, a.IP) })
	})

	s.eachNumber(ipAddrColumns[0], func(i string, n int64) {
		if ip, ok := ipv4Index(i); ok && row(ip).IfIndex == 0 {
			row(ip).IfIndex = int32(min(max(n, 0), 1<<31-1))
		}
	})
	s.eachOf(ipAddrColumns[1], address, func(i, mask string) {
		if ip, ok := ipv4Index(i); ok && row(ip).Prefix == 0 {
			row(ip).Prefix = maskLength(mask)
		}
	})

	s.eachNumber(ipv6AddrColumns[0], func(i string, n int64) {
		ids, ok := subIDs(i)
		if !ok || len(ids) < 17 {
			return
		}
		ip, ok := addressOf(ids[len(ids)-16:]) // ipv6IfIndex, ipv6AddrAddress
		if !ok {
			return
		}
		a := row(ip)
		if a.IfIndex == 0 {
			a.IfIndex = int32(min(ids[0], 1<<31-1))
		}
		if a.Prefix == 0 && n > 0 && n <= 128 {
			a.Prefix = int(n)
		}
	})

	list := make([]Address, 0, len(rows))
	for _, r := range rows {
		if !r.IP.IsUnspecified() {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, func(a, b Address) int { return a.IP.Compare(b.IP) })
	return list
}

// inetAddress reads the index of ipAddressTable: InetAddressType, length, bytes
// (RFC 4001). The zone of ipv4z and ipv6z is left out.
func inetAddress(index string) (netip.Addr, bool) {
	ids, ok := subIDs(index)
	if !ok || len(ids) < 2 || int64(ids[1]) != int64(len(ids)-2) {
		return netip.Addr{}, false
	}
	bytes := map[uint32]int{1: 4, 2: 16, 3: 4, 4: 16}[ids[0]]
	if bytes == 0 || len(ids)-2 < bytes {
		return netip.Addr{}, false
	}
	return addressOf(ids[2 : 2+bytes])
}

// ipv4Index reads the index of ipAddrTable.
func ipv4Index(index string) (netip.Addr, bool) {
	ids, ok := subIDs(index)
	if !ok || len(ids) != 4 {
		return netip.Addr{}, false
	}
	return addressOf(ids)
}

// prefixOf reads ipAddressPrefix, which points to a row of ipAddressPrefixTable:
// the last part of its index is the length. 0.0 points nowhere.
func prefixOf(pointer string, ip netip.Addr) int {
	row, ok := strings.CutPrefix(pointer, "1.3.6.1.2.1.4.32.1.")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(row[strings.LastIndexByte(row, '.')+1:])
	if err != nil || n < 0 || n > ip.BitLen() {
		return 0
	}
	return n
}

// maskLength counts the bits of a netmask; 0 where it has holes.
func maskLength(mask string) int {
	ip, err := netip.ParseAddr(mask)
	if err != nil || !ip.Is4() {
		return 0
	}
	b := ip.As4()
	m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for n := range 33 {
		if m == ^uint32(0)<<(32-n) {
			return n
		}
	}
	return 0
}
