package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"muster/collector"
)

const (
	echoTimeout = time.Second
	echoTries   = 2
)

// echoSeq tells the echo requests of this process apart. A ping socket has an
// id of its own from the kernel; a raw one sees everybody's answers.
var echoSeq atomic.Uint32

// echo sends echo requests to addr until one is answered: over the kernel's ping
// socket (net.ipv4.ping_group_range), or a raw one where we are allowed to. It
// fails with errNoICMP where there is neither.
func echo(ctx context.Context, addr, source netip.Addr) error {
	conn, raw, err := echoSocket(addr, source)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing was written that could be lost
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	var last error
	for range echoTries {
		if last = echoOnce(ctx, conn, raw, addr); last == nil || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return last
}

func echoSocket(addr, source netip.Addr) (conn *icmp.PacketConn, raw bool, err error) {
	networks, own := [2]string{"udp4", "ip4:icmp"}, "0.0.0.0"
	if addr.Unmap().Is6() {
		networks, own = [2]string{"udp6", "ip6:ipv6-icmp"}, "::"
	}
	if source.IsValid() {
		own = source.String()
	}
	for i, network := range networks {
		if conn, err = icmp.ListenPacket(network, own); err == nil {
			return conn, i == 1, nil
		}
	}
	if errors.Is(err, os.ErrPermission) {
		err = nil // the reason that errNoICMP stands for
	}
	return nil, false, errors.Join(errNoICMP, err)
}

func echoOnce(ctx context.Context, conn *icmp.PacketConn, raw bool, addr netip.Addr) error {
	seq := int(echoSeq.Add(1) & 0xffff)
	id := os.Getpid() & 0xffff
	var kind icmp.Type = ipv4.ICMPTypeEcho
	proto := ipv4.ICMPTypeEchoReply.Protocol()
	if addr.Unmap().Is6() {
		kind, proto = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply.Protocol()
	}
	packet, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: id, Seq: seq, Data: []byte("muster")}}).Marshal(nil)
	if err != nil {
		return fmt.Errorf("make an echo request: %w", err)
	}
	to := net.Addr(&net.UDPAddr{IP: addr.Unmap().AsSlice(), Zone: addr.Zone()})
	if raw {
		to = &net.IPAddr{IP: addr.Unmap().AsSlice(), Zone: addr.Zone()}
	}
	if _, err := conn.WriteTo(packet, to); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(echoTimeout)); err != nil {
		return err
	}
	if ctx.Err() != nil { // it ended before the deadline was set, which undid what AfterFunc set
		return context.Cause(ctx)
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return collector.ErrTimedOut
		}
		if err != nil {
			return err
		}
		if isReply(proto, buf[:n], from, addr, id, seq, raw) {
			return nil
		}
	}
}

// isReply reports whether a packet answers our request: raw sockets see those of
// everybody, and anybody may send one.
func isReply(proto int, packet []byte, from net.Addr, addr netip.Addr, id, seq int, raw bool) bool {
	m, err := icmp.ParseMessage(proto, packet)
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
		return false
	}
	body, ok := m.Body.(*icmp.Echo)
	if !ok || body.Seq != seq || raw && body.ID != id {
		return false
	}
	var ip net.IP
	switch a := from.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	got, ok := netip.AddrFromSlice(ip)
	return ok && got.Unmap() == addr.Unmap().WithZone("")
}
