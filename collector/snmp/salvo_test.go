package snmp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/net/ipv4"
)

// kernel takes packets by its own rules: at most most at a time, and none where says
// has an error.
type kernel struct {
	most int
	says func(to string, asked int) error // asked: how often it was asked for this one
	took []string
	ask  map[string]int
}

func (k *kernel) WriteBatch(ms []ipv4.Message, _ int) (int, error) {
	for n, m := range ms {
		to := m.Addr.(*net.UDPAddr).String()
		if n == k.most {
			return n, nil
		}
		k.ask[to]++
		if err := k.says(to, k.ask[to]); err != nil {
			if n > 0 { // as sendmmsg(2): what was sent is told first
				k.ask[to]--
				return n, nil
			}
			return -1, fmt.Errorf("sendmmsg: %w", err)
		}
		k.took = append(k.took, to+" "+string(m.Buffers[0]))
	}
	return len(ms), nil
}

// Each request goes out once, in order, whatever the kernel takes at a time; one that
// it refuses is noted, and those behind it go out.
func TestSalvoSendsEachOnce(t *testing.T) {
	t.Parallel()
	noRoute := syscall.EHOSTUNREACH
	cases := map[string]struct {
		most    int
		says    func(to string, asked int) error
		refused []int
		failed  error
	}{
		"all at once":   {most: salvoMax, says: func(string, int) error { return nil }},
		"few at a time": {most: 3, says: func(string, int) error { return nil }},
		"no route to some": {most: salvoMax, refused: []int{0, 7, 8, 99}, failed: noRoute, says: func(to string, _ int) error {
			if slices.Contains([]string{"10.0.0.0:161", "10.0.0.7:161", "10.0.0.8:161", "10.0.0.99:161"}, to) {
				return noRoute
			}
			return nil
		}},
		"full for a moment": {most: salvoMax, says: func(to string, asked int) error {
			if to == "10.0.0.5:161" && asked < 4 {
				return syscall.ENOBUFS
			}
			return nil
		}},
		"full for long": {most: salvoMax, refused: []int{5}, failed: syscall.ENOBUFS, says: func(to string, _ int) error {
			if to == "10.0.0.5:161" {
				return syscall.ENOBUFS
			}
			return nil
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kernel{most: c.most, says: c.says, ask: map[string]int{}}
			socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			s := newSalvo(socket, "udp4")
			s.socket = k
			hosts, packet := make([]host, 100), []byte("p--")
			var want []string
			for i := range hosts {
				hosts[i].addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 161)
				packet = fmt.Appendf(packet[:1], "%02d", i)
				s.add(&hosts[i], packet)
				if !slices.Contains(c.refused, i) {
					want = append(want, fmt.Sprintf("10.0.0.%d:161 p%02d", i, i))
				}
			}
			s.fire()
			s.fire() // nothing is left
			if !slices.Equal(k.took, want) {
				t.Errorf("sent %q\nwant %q", k.took, want)
			}
			for i, h := range hosts {
				if refused := slices.Contains(c.refused, i); h.refused != refused || h.reached == refused {
					t.Errorf("host %d: reached %t, refused %t", i, h.reached, h.refused)
				}
			}
			if !errors.Is(s.failed, c.failed) {
				t.Errorf("failed: %v, want %v", s.failed, c.failed)
			}
		})
	}
}
