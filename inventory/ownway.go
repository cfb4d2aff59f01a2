package inventory

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// ThisMachine stands as Device.Behind of what is not reached because the machine
// that muster runs on has no way there.
const ThisMachine = "this machine"

// lack is what keeps this machine from an address.
type lack struct {
	what    string     // for people; empty: nothing that could be seen from here
	gateway netip.Addr // where it is a gateway that does not answer
}

// machine is what this machine knows of its own links and gateways at a time.
type machine struct {
	links  map[netip.Addr]net.Interface // by own address
	routes []route
	mute   map[netip.Addr]bool // neighbors that do not answer ARP
}

// route is an IPv4 route through a gateway, or (gateway not valid) directly.
type route struct {
	to      netip.Prefix
	gateway netip.Addr
	link    string
}

// lookAtMachine takes what the kernel tells now. What it does not tell (of IPv6 and
// of other systems than Linux it tells no gateways) is taken to be well.
func lookAtMachine() func(addr, source netip.Addr) lack {
	m := machine{links: map[netip.Addr]net.Interface{}, mute: map[netip.Addr]bool{}}
	links, _ := net.Interfaces()
	for _, l := range links {
		addrs, _ := l.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				m.links[p.Addr().Unmap()] = l
			}
		}
	}
	m.routes = readRoutes("/proc/thread-self/net/route")
	for _, f := range rows("/proc/thread-self/net/arp") { // address, hardware type, flags, …
		if addr, err := netip.ParseAddr(f[0]); err == nil && len(f) > 2 && f[2] == "0x0" {
			m.mute[addr] = true
		}
	}
	return m.lacks
}

// lacks says what keeps this machine from an address. It sends nothing.
func (m machine) lacks(addr, source netip.Addr) lack {
	var from *net.UDPAddr
	if source.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	// Connecting a datagram socket asks the kernel for the way and nobody else.
	c, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return lack{what: fmt.Sprintf("this machine has no route to %s", addr)}
	case errors.Is(err, syscall.EADDRNOTAVAIL) && source.IsValid():
		return lack{what: fmt.Sprintf("this machine has no address %s", source)}
	case err != nil:
		return lack{}
	}
	own, _ := netip.ParseAddrPort(c.LocalAddr().String())
	_ = c.Close()
	if l, ok := m.links[own.Addr().Unmap().WithZone("")]; ok && l.Flags&net.FlagRunning == 0 {
		return lack{what: fmt.Sprintf("interface %s of this machine has no link", l.Name)}
	}
	if r, ok := m.route(addr); ok && m.mute[r.gateway] {
		return lack{what: fmt.Sprintf("gateway %s of this machine does not answer on %s", r.gateway, r.link), gateway: r.gateway}
	}
	return lack{}
}

// route is the one with the longest prefix.
func (m machine) route(addr netip.Addr) (best route, ok bool) {
	for _, r := range m.routes {
		if r.to.Contains(addr.Unmap()) && (!ok || r.to.Bits() > best.to.Bits()) {
			best, ok = r, true
		}
	}
	return best, ok
}

// readRoutes reads the kernel's IPv4 routes: interface, destination, gateway, …, mask
// as the eighth, each address as a word in the machine's byte order.
func readRoutes(file string) (all []route) {
	word := func(s string) (netip.Addr, bool) {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != 4 {
			return netip.Addr{}, false
		}
		var a [4]byte
		binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(b))
		return netip.AddrFrom4(a), true
	}
	for _, f := range rows(file) {
		if len(f) < 8 {
			continue
		}
		to, ok1 := word(f[1])
		gateway, ok2 := word(f[2])
		mask, ok3 := word(f[7])
		if !ok1 || !ok2 || !ok3 {
			continue
		}
		bits, _ := net.IPMask(mask.AsSlice()).Size()
		all = append(all, route{netip.PrefixFrom(to, bits), gateway, f[0]})
	}
	return all
}

// rows are the fields of the lines of a table of the kernel, without its heading.
func rows(file string) (all [][]string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	lines.Scan()
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 0 {
			all = append(all, fields)
		}
	}
	return all
}
