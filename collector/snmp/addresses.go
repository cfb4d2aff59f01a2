package snmp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

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

	s.addPrefixes(rows)
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
// (RFC 4001). The zone of ipv4z and ipv6z is left out. Agents that leave out the
// length (OcNOS), add a zone to ipv6 or write the address as text (Fabric OS) are
// understood.
func inetAddress(index string) (netip.Addr, bool) {
	ids, ok := subIDs(index)
	if !ok || len(ids) < 5 {
		return netip.Addr{}, false
	}
	kind, bytes := ids[0], ids[1:]
	if int64(bytes[0]) == int64(len(bytes)-1) {
		bytes = bytes[1:]
	}
	switch n := len(bytes); {
	case (kind == 1 || kind == 3) && (n == 4 || n == 8): // ipv4, ipv4z
		return addressOf(bytes[:4])
	case (kind == 2 || kind == 4) && (n == 16 || n == 20): // ipv6, ipv6z
		return addressOf(bytes[:16])
	}
	text := make([]byte, len(bytes))
	for i, n := range bytes {
		if n > 0x7f {
			return netip.Addr{}, false
		}
		text[i] = byte(n)
	}
	ip, err := netip.ParseAddr(string(text))
	return ip.WithZone(""), err == nil
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

// addPrefixes looks addresses without a prefix up in ipAddressPrefixTable: the
// longest of their interface that holds them.
func (s *Session) addPrefixes(rows map[netip.Addr]*Address) {
	longest := map[netip.Addr]int{}
	for _, c := range s.cells(prefixColumns[0].oid) {
		ids, ok := subIDs(c.index) // ifIndex, InetAddressType, length, bytes, prefix length
		if !ok || len(ids) < 4 {
			continue
		}
		_, rest, _ := strings.Cut(c.index, ".")
		ip, ok := inetAddress(rest[:strings.LastIndexByte(rest, '.')])
		if !ok {
			continue
		}
		prefix, err := ip.Prefix(int(min(ids[len(ids)-1], 255)))
		if err != nil {
			continue
		}
		for _, a := range rows {
			if a.Prefix == 0 && a.IfIndex == int32(min(ids[0], 1<<31-1)) && prefix.Contains(a.IP) {
				longest[a.IP] = max(longest[a.IP], prefix.Bits())
			}
		}
	}
	for ip, bits := range longest {
		rows[ip].Prefix = bits
	}
}

// lacksPrefix reports whether an address of ipAddressTable points to no prefix.
func (s *Session) lacksPrefix() bool {
	pointers := s.cells(ipAddressColumns[2].oid)
	return len(s.cells(ipAddressColumns[0].oid)) > len(pointers) ||
		slices.ContainsFunc(pointers, func(c cell) bool { return c.value.text == "0.0" })
}
