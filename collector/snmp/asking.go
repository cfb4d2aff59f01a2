package snmp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// sweep is one sweep under way. The caller's goroutine sends; one goroutine per
// socket receives; a few try SNMPv3 users; one settles what came of it all and
// calls found.
type sweep struct {
	options SweepOptions
	found   func(Answer)
	limiter *rate.Limiter
	v4, v6  *net.UDPConn

	unusable []*collector.Error // credentials

	base    uint32    // request-id of host 0 in round 0; see id
	rounds  [][]int32 // the hosts that have a step of this number
	events  chan event
	work    chan userTask
	moved   chan struct{} // the round or a user's attempt may be over
	whole   bool          // the sweep was not cut short; set before events is closed
	settled chan struct{} // closed when found is called no more

	// Of the sending goroutine.
	out4, out6  *salvo // through v4 and v6
	done, total int    // packets sent or spared; packets at most
	reported    time.Time

	mu                 sync.Mutex // guards what follows and the marked part of hosts
	hosts              []host
	round              int  // under way
	open               int  // hosts of the round that said nothing yet
	pending            int  // hosts whose users are being tried
	stopping           bool // no further user is tried
	answered, rejected int
}

// host is one address of a sweep.
type host struct {
	addr  netip.AddrPort
	steps []askStep // hosts may share them

	reached, refused bool // the kernel sent a packet; would not. Of the sending goroutine

	// Guarded by sweep.mu.
	closed bool   // answered: nothing more is asked
	heard  int    // 1 + the last round that was heard of
	tried  int    // 1 + the last round whose users were tried
	engine engine // valid: SNMPv3 discovery was answered
	fault  *collector.Error
}

// askStep is a place in a host's list of credentials: a community, or users of
// SNMPv3 that stand next to each other. For them one probe is enough.
type askStep struct {
	users      []collector.Credential // SNMPv3; nil: a community
	credential collector.Credential   // community
	packet     *template
}

// event is something that a host said, or that was found out about it.
type event struct {
	host, round int
	answer      *Answer // a credential works
	engine      engine  // valid: discovery was answered
	tried       bool    // its users were tried; fault: in vain
	fault       *collector.Error
}

// userTask is a host whose users are to be tried.
type userTask struct {
	host, round int
	engine      engine
}

// stepsOf groups the credentials that may be used at addr.
func stepsOf(addr netip.Addr, credentials []collector.Credential) []askStep {
	var steps []askStep
	for _, c := range credentials {
		if !c.Kind.SNMP() || !c.Fits(addr) || checkCredential(c) != nil {
			continue
		}
		switch n := len(steps); {
		case c.Kind != collector.KindSNMPv3:
			steps = append(steps, askStep{credential: c})
		case n > 0 && steps[n-1].users != nil:
			steps[n-1].users = append(steps[n-1].users, c)
		default:
			steps = append(steps, askStep{users: []collector.Credential{c}})
		}
	}
	return steps
}

// template is an encoded request; the four bytes at each offset are its ID.
type template struct {
	bytes   []byte
	offsets []int
}

// newTemplate encodes with two IDs and looks where the bytes differ.
func newTemplate(encode func(id uint32) ([]byte, error)) (*template, error) {
	const one, other = 0x11121314, 0x61626364
	a, err := encode(one)
	if err != nil {
		return nil, err
	}
	b, err := encode(other)
	if err != nil {
		return nil, err
	}
	t := &template{bytes: a}
	for i := 0; i+4 <= len(a) && len(a) == len(b); i++ {
		if binary.BigEndian.Uint32(a[i:]) == one && binary.BigEndian.Uint32(b[i:]) == other {
			t.offsets = append(t.offsets, i)
		}
	}
	if len(t.offsets) == 0 {
		return nil, errors.New("no request-id in an encoded request")
	}
	return t, nil
}

// with returns the packet with the ID; it is overwritten by the next call.
func (t *template) with(id uint32) []byte {
	for _, at := range t.offsets {
		binary.BigEndian.PutUint32(t.bytes[at:], id)
	}
	return t.bytes
}

// sweepOIDs are what a community is tried with.
var sweepOIDs = []string{oidSysDescr, oidSysObjectID, oidSysName}

// communityRequest encodes the GET for a community.
func communityRequest(c collector.Credential) func(id uint32) ([]byte, error) {
	return func(id uint32) ([]byte, error) {
		p := gosnmp.SnmpPacket{
			Version: gosnmp.Version2c, Community: c.Community.Reveal(),
			PDUType: gosnmp.GetRequest, RequestID: id,
		}
		if c.Kind == collector.KindSNMPv1 {
			p.Version = gosnmp.Version1
		}
		for _, oid := range sweepOIDs {
			p.Variables = append(p.Variables, gosnmp.SnmpPDU{Name: oid, Type: gosnmp.Null})
		}
		return p.MarshalMsg()
	}
}

// layOut makes the rounds, one template for each different request, and the base
// of the request-ids.
func (s *sweep) layOut() error {
	type request struct {
		kind      collector.CredentialKind
		community string
	}
	templates := map[request]*template{}
	for i := range s.hosts {
		for k := range s.hosts[i].steps {
			if k == len(s.rounds) {
				s.rounds = append(s.rounds, nil)
			}
			s.rounds[k] = append(s.rounds[k], int32(i))
			s.total += s.options.Tries
			step := &s.hosts[i].steps[k]
			if step.packet != nil {
				continue
			}
			r, encode := request{kind: collector.KindSNMPv3}, discoveryProbe
			if step.users == nil {
				r = request{step.credential.Kind, step.credential.Community.Reveal()}
				encode = communityRequest(step.credential)
			}
			if templates[r] == nil {
				t, err := newTemplate(encode)
				if err != nil {
					return fmt.Errorf("encode a request: %w", err)
				}
				templates[r] = t
			}
			step.packet = templates[r]
		}
	}
	const first, last = 0x01000000, 0x7fffffff // four bytes, and positive
	span := uint64(len(s.rounds)) * uint64(len(s.hosts))
	if span > (last-first)/2 {
		return fmt.Errorf("%d addresses with %d credentials are more than one sweep can tell apart", len(s.hosts), len(s.rounds))
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	s.base = first + uint32(binary.BigEndian.Uint64(b[:])%(last-first-span))
	return nil
}

// id is the request-id for a host in a round; the same for each attempt, so that
// a late answer counts.
func (s *sweep) id(round, host int) uint32 {
	return s.base + uint32(round)*uint32(len(s.hosts)) + uint32(host)
}

// whose is the reverse of id.
func (s *sweep) whose(id uint32) (round, host int, ok bool) {
	n := uint32(len(s.hosts))
	if id < s.base || id-s.base >= n*uint32(len(s.rounds)) {
		return 0, 0, false
	}
	return int((id - s.base) / n), int((id - s.base) % n), true
}

const v3Workers = 16 // hosts whose users are tried at once; each takes a socket

// run sends all rounds and waits for what they bring.
func (s *sweep) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var receivers, workers sync.WaitGroup
	for _, c := range []*net.UDPConn{s.v4, s.v6} {
		if c != nil {
			receivers.Go(func() { s.receive(c) })
		}
	}
	for range v3Workers {
		workers.Go(func() {
			for task := range s.work {
				s.events <- s.tryUsers(ctx, task)
			}
		})
	}
	s.settled = make(chan struct{})
	go s.settleAll()

	err := s.sendAll(ctx)
	if err != nil {
		cancel()
	}
	s.close() // ends the receivers
	receivers.Wait()
	s.endWork()
	workers.Wait()
	s.whole = err == nil
	close(s.events)
	<-s.settled
	s.report(true)
	return err
}

// sendAll goes through the rounds. A round is over when all its hosts have been
// heard of or have let their attempts pass, and all users have been tried.
func (s *sweep) sendAll(ctx context.Context) error {
	for k := range s.rounds {
		s.begin(k)
		for range s.options.Tries {
			sent, err := s.pass(ctx, k)
			if err != nil {
				return err
			}
			if !sent {
				continue
			}
			if err := s.wait(ctx, s.options.Timeout, func() bool { return s.open == 0 }); err != nil {
				return err
			}
		}
		if err := s.wait(ctx, -1, func() bool { return s.pending == 0 }); err != nil {
			return err
		}
	}
	return nil
}

// begin counts whom round k waits for.
func (s *sweep) begin(k int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round, s.open = k, 0
	for _, i := range s.rounds[k] {
		if h := &s.hosts[i]; !h.closed && h.heard <= k {
			s.open++
		}
	}
}

// pass asks each host of the round once that was not heard of.
func (s *sweep) pass(ctx context.Context, k int) (sent bool, err error) {
	defer s.fire()
	tokens := 0
	for n, i := range s.rounds[k] {
		if n%256 == 0 {
			if ctx.Err() != nil {
				return sent, context.Cause(ctx)
			}
			s.report(false)
		}
		s.done++
		if !s.asks(k, int(i)) {
			continue
		}
		if tokens == 0 {
			s.fire()
			tokens = s.limiter.Burst()
			if err := s.limiter.WaitN(ctx, tokens); err != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				return sent, err
			}
			s.report(false)
		}
		tokens--
		sent = true
		s.send(k, int(i))
	}
	return sent, nil
}

// asks reports whether the host is still to be asked in the round. A host whose
// engine is known from an earlier round goes to the workers at once.
func (s *sweep) asks(k, i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.hosts[i]
	if h.closed || h.heard > k {
		return false
	}
	if h.steps[k].users == nil || !h.engine.valid() {
		return true
	}
	s.hear(h, k)
	s.tryLater(h, i, k, h.engine)
	return false
}

// send adds the request of the round to a host to what goes out next.
func (s *sweep) send(k, i int) {
	h := &s.hosts[i]
	out := s.out4
	if h.addr.Addr().Is6() {
		out = s.out6
	}
	if out == nil {
		h.refused = true
		return
	}
	out.add(h, h.steps[k].packet.with(s.id(k, i)))
}

// fire sends what waits to go out.
func (s *sweep) fire() {
	for _, out := range []*salvo{s.out4, s.out6} {
		if out != nil {
			out.fire()
		}
	}
}

// wait waits until over is true or, if d is not negative, d has passed.
func (s *sweep) wait(ctx context.Context, d time.Duration, over func() bool) error {
	var end <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		end = t.C
	}
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		s.mu.Lock()
		yes := over()
		s.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-s.moved:
		case <-tick.C:
			s.report(false)
		case <-end:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const reportEvery = 250 * time.Millisecond

// report tells how far we are, not too often.
func (s *sweep) report(now bool) {
	if s.options.Progress == nil || !now && time.Since(s.reported) < reportEvery {
		return
	}
	s.reported = time.Now()
	s.mu.Lock()
	answered := s.answered
	s.mu.Unlock()
	s.options.Progress(s.done, s.total, answered)
}
