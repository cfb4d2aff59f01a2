package snmp

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// salvo is the requests that leave a socket by one system call: nearly all that a
// sweep costs is spent in the kernel, and a call for each costs a quarter more.
type salvo struct {
	socket interface {
		WriteBatch(ms []ipv4.Message, flags int) (sent int, err error)
	}
	messages []ipv4.Message // of which len(hosts) are to be sent; the others are memory
	hosts    []*host
	failed   error // the last one
}

const salvoMax = 64 // requests

func newSalvo(c *net.UDPConn, network string) *salvo {
	s := &salvo{socket: ipv4.NewPacketConn(c), messages: make([]ipv4.Message, salvoMax)}
	if network == "udp6" {
		s.socket = ipv6.NewPacketConn(c)
	}
	for i := range s.messages {
		s.messages[i].Addr, s.messages[i].Buffers = &net.UDPAddr{}, [][]byte{nil}
	}
	return s
}

// add takes a request to h; the packet may be overwritten afterwards.
func (s *salvo) add(h *host, packet []byte) {
	m := &s.messages[len(s.hosts)]
	to, addr := m.Addr.(*net.UDPAddr), h.addr.Addr()
	to.IP, to.Port, to.Zone = append(to.IP[:0], addr.AsSlice()...), int(h.addr.Port()), addr.Zone()
	m.Buffers[0] = append(m.Buffers[0][:0], packet...)
	if s.hosts = append(s.hosts, h); len(s.hosts) == salvoMax {
		s.fire()
	}
}

// fire sends what was added. That the kernel refuses one address (no route, a
// firewall rule) says nothing about the others.
func (s *salvo) fire() {
	const tries = 5
	for next, failures := 0, 0; next < len(s.hosts); {
		sent, err := s.socket.WriteBatch(s.messages[next:len(s.hosts)], 0)
		for ; sent > 0; sent-- {
			s.hosts[next].reached = true
			next, failures = next+1, 0
		}
		if err == nil {
			continue
		}
		if failures++; errors.Is(err, syscall.ENOBUFS) && failures < tries {
			time.Sleep(time.Millisecond) // the interface's queue is full
			continue
		}
		s.hosts[next].refused, s.failed = true, err
		next, failures = next+1, 0
	}
	s.hosts = s.hosts[:0]
}
