package snmp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"muster/collector"
)

// SweepTarget is one address to ask, with the credentials to try in order.
type SweepTarget struct {
	Addr        netip.AddrPort
	Credentials []collector.Credential // those of SSH are passed over
}

// Answer is what a sweep got from one address.
type Answer struct {
	Addr         netip.AddrPort
	Credential   string // name of the credential that was answered; empty: see Fault
	PrivProtocol string // SNMPv3: the privacy protocol that worked, see Session.PrivProtocol
	System       System // Descr, ObjectID, Name (v1/v2c); all of it (v3)

	// Fault says why none of the SNMPv3 credentials works where an engine
	// answered and no other credential was answered either. System then holds
	// the engine ID that it told, unauthenticated. Nil: a credential works.
	Fault *collector.Error
}

// SweepOptions tunes a sweep. The zero value is polite to a production network.
type SweepOptions struct {
	Source   netip.Addr                      // own address to ask from; invalid: the kernel's choice
	Rate     int                             // packets/s over the whole sweep; 0 means 100. Higher finds sooner and fills ARP tables faster
	Tries    int                             // attempts per address and credential, the first included; 0 means 2
	Timeout  time.Duration                   // wait for one answer; 0 means 1 s
	Progress func(sent, total, answered int) // called about four times a second; nil: nobody listens
}

func (o SweepOptions) withDefaults() SweepOptions {
	if o.Rate <= 0 {
		o.Rate = 100
	}
	if o.Tries <= 0 {
		o.Tries = 2
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	return o
}

// SweepResult tells how a sweep went as a whole.
type SweepResult struct {
	Asked    int                // addresses
	Answered int                // addresses where a credential works
	Rejected int                // addresses where an SNMPv3 engine answered and no credential works
	Unsent   int                // addresses that the kernel would send nothing to
	Faults   []*collector.Error // credentials that cannot be used at all, once each
	From     netip.Addr         // own address that was asked from, as far as the kernel tells
}

// Sweep asks every target over one socket, credentials in order, and calls found
// for each address that answers, once, from one goroutine. SNMP v1 and v2c are
// asked for the system group; SNMPv3 for the engine ID and then, where there is
// an engine, for the system group as the user. An address that answered is not
// asked with later credentials. The error is the context's, or tells that not
// one packet could be sent.
func Sweep(ctx context.Context, targets []SweepTarget, o SweepOptions, found func(Answer)) (SweepResult, error) {
	s, err := newSweep(targets, o.withDefaults(), found)
	if err != nil {
		return SweepResult{Asked: len(targets)}, err
	}
	defer s.close()
	if err = s.run(ctx); err != nil {
		return s.result(), err
	}
	r := s.result()
	return r, s.sendError(r)
}

// newSweep lays out what is to be sent and opens the sockets. The order is round
// robin over /24s (/64s for IPv6), so that no single router gets all the ARP work
// at once.
func newSweep(targets []SweepTarget, o SweepOptions, found func(Answer)) (*sweep, error) {
	s := &sweep{
		options: o,
		found:   found,
		limiter: rate.NewLimiter(rate.Limit(o.Rate), burst(o.Rate)),
		events:  make(chan event, 256),
		moved:   make(chan struct{}, 1),
	}
	s.findUnusable(targets)
	seen := make(map[netip.AddrPort]bool, len(targets))
	s.hosts = make([]host, 0, len(targets))
	var before []collector.Credential // of the host before: mostly the same list
	var steps []askStep
	for _, t := range interleaved(targets) {
		addr := netip.AddrPortFrom(t.Addr.Addr().Unmap(), t.Addr.Port())
		if !addr.IsValid() || seen[addr] {
			continue
		}
		seen[addr] = true
		if !sameForAll(before, t.Credentials) {
			before, steps = t.Credentials, stepsOf(addr.Addr(), t.Credentials)
		}
		s.hosts = append(s.hosts, host{addr: addr, steps: steps})
	}
	s.work = make(chan userTask, len(s.hosts)) // each host is in it at most once
	if err := s.layOut(); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// sameForAll reports whether two lists are one and the same, with nothing in it that
// is for some addresses only.
func sameForAll(a, b []collector.Credential) bool {
	return len(a) > 0 && len(a) == len(b) && &a[0] == &b[0] &&
		!slices.ContainsFunc(a, func(c collector.Credential) bool { return len(c.For) > 0 })
}

// findUnusable notes the credentials that no address is asked with.
func (s *sweep) findUnusable(targets []SweepTarget) {
	seen := map[string]bool{}
	for _, t := range targets {
		for _, c := range t.Credentials {
			if seen[c.Name] || !c.Kind.SNMP() {
				continue
			}
			seen[c.Name] = true
			if err := checkCredential(c); err != nil {
				one := Session{target: collector.Target{Credential: c}}
				s.unusable = append(s.unusable, one.errorAt(collector.StepSend, &trouble{why: unusable, err: err}))
			}
		}
	}
}

// burst is how many packets may go out at once after a pause: 10 ms' worth, so
// that timers need not be finer.
func burst(perSecond int) int { return max(1, perSecond/100) }

// interleaved orders targets so that neighbors in the order are not neighbors in
// the network.
func interleaved(targets []SweepTarget) []SweepTarget {
	seen := map[netip.Prefix]int{}
	ranks := make([]int, len(targets))
	var perRank []int
	for i, t := range targets {
		bits := 24
		if t.Addr.Addr().Unmap().Is6() {
			bits = 64
		}
		p, _ := t.Addr.Addr().Unmap().Prefix(bits) // the zero Prefix for no address
		ranks[i] = seen[p]
		seen[p]++
		if ranks[i] == len(perRank) {
			perRank = append(perRank, 0)
		}
		perRank[ranks[i]]++
	}
	next := make([]int, len(perRank))
	for r := 1; r < len(perRank); r++ {
		next[r] = next[r-1] + perRank[r-1]
	}
	list := make([]SweepTarget, len(targets))
	for i, t := range targets {
		list[next[ranks[i]]] = t
		next[ranks[i]]++
	}
	return list
}

// receiveBuffer holds the answers that come while we do something else: 8 MB are
// some 20,000. The kernel may grant less; then a retry covers what is lost.
const receiveBuffer = 8 << 20

// sendBuffer holds what waits for ARP: some 10,000 requests. With Linux's default
// of 208 kB a /24 that is mostly empty takes over three times as long.
const sendBuffer = 8 << 20

// listen opens one socket for each IP version among the targets. It is not
// connected, so ICMP errors about one address do not come between the others.
func (s *sweep) listen() error {
	var v4, v6 bool
	for _, h := range s.hosts {
		v4 = v4 || h.addr.Addr().Is4()
		v6 = v6 || h.addr.Addr().Is6()
	}
	source := s.options.Source.Unmap()
	if source.IsValid() {
		v4, v6 = v4 && source.Is4(), v6 && source.Is6()
	}
	open := func(network string) (*net.UDPConn, *salvo, error) {
		var local *net.UDPAddr
		if source.IsValid() {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
		c, err := net.ListenUDP(network, local)
		if err != nil {
			return nil, nil, &collector.Error{
				Step: collector.StepSend, Kind: collector.ErrUnreachable, Cause: err,
				Do: fmt.Sprintf("Correct the own address to ask from (%s): this machine cannot use it", s.options.Source),
			}
		}
		_ = c.SetReadBuffer(receiveBuffer) // less is slower, not wrong
		// A packet to an address of our own link where nobody is stays in the buffer
		// until ARP gives up, some 3 s: a small one lets few out at a time.
		_ = c.SetWriteBuffer(sendBuffer)
		return c, newSalvo(c, network), nil
	}
	var err error
	if v4 {
		s.v4, s.out4, err = open("udp4")
	}
	if v6 && err == nil {
		s.v6, s.out6, err = open("udp6")
	}
	return err
}

func (s *sweep) close() {
	for _, c := range []*net.UDPConn{s.v4, s.v6} {
		if c != nil {
			_ = c.Close()
		}
	}
}

// result sums up.
func (s *sweep) result() SweepResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := SweepResult{Asked: len(s.hosts), Answered: s.answered, Rejected: s.rejected, Faults: s.unusable, From: s.options.Source}
	for i := range s.hosts {
		if h := &s.hosts[i]; !h.reached && h.refused {
			r.Unsent++
		}
	}
	if !r.From.IsValid() && len(s.hosts) > 0 {
		// Connecting a UDP socket sends nothing and makes the kernel choose.
		if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.hosts[0].addr)); err == nil {
			r.From = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
			_ = c.Close()
		}
	}
	return r
}

// sendError is why nothing could be sent at all, or nil.
func (s *sweep) sendError(r SweepResult) error {
	if r.Unsent == 0 || r.Unsent < r.Asked {
		return nil
	}
	var cause error
	for _, out := range []*salvo{s.out4, s.out6} {
		if out != nil && out.failed != nil {
			cause = out.failed
		}
	}
	return &collector.Error{
		Step: collector.StepSend, Kind: collector.ErrUnreachable, Cause: cause,
		Do: "Check the routes and the firewall of this machine: the kernel sent none of the packets",
	}
}
