package snmp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// receive reads a socket until it is closed. Only what carries the request-id of
// the very address that it comes from is looked at.
func (s *sweep) receive(c *net.UDPConn) {
	buf := make([]byte, 1<<16)
	decoder := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // an ICMP error about one address; the next read is another's
			continue
		}
		if e, ok := s.understand(decoder, buf[:n], from); ok {
			s.events <- e
		}
	}
}

// understand makes an event of a datagram.
func (s *sweep) understand(decoder *gosnmp.GoSNMP, b []byte, from netip.AddrPort) (event, bool) {
	m, ok := peek(b)
	if !ok {
		return event{}, false
	}
	id := m.requestID
	if m.version == 3 {
		id = m.msgID
	}
	round, i, ok := s.whose(id)
	if !ok {
		return event{}, false
	}
	h := &s.hosts[i]
	if h.addr.Port() != from.Port() || h.addr.Addr() != from.Addr().Unmap().WithZone(h.addr.Addr().Zone()) || round >= len(h.steps) {
		return event{}, false
	}
	e := event{host: i, round: round}
	step := &h.steps[round]
	if step.users != nil {
		e.engine = engine{bytes.Clone(m.engineID), m.boots, m.time}
		return e, m.version == 3 && m.pdu == pduReport && e.engine.valid()
	}
	version := 1
	if step.credential.Kind == collector.KindSNMPv1 {
		version = 0
	}
	if m.version != version || m.pdu != pduResponse {
		return event{}, false
	}
	e.answer = &Answer{Addr: h.addr, Credential: step.credential.Name, System: decodeSystem(decoder, b)}
	return e, true
}

// decodeSystem reads what a community was answered. A text that cannot be read
// is left out: that the agent answers is what counts here.
func decodeSystem(decoder *gosnmp.GoSNMP, b []byte) (sys System) {
	defer func() { _ = recover() }() // no datagram may end the sweep
	p, err := decoder.SnmpDecodePacket(b)
	if err != nil || p.Error != gosnmp.NoError {
		return sys
	}
	for _, v := range p.Variables {
		value := valueOf(v)
		switch {
		case v.Name == oidSysDescr && value.shape == octets:
			sys.Descr = legible(value.text)
		case v.Name == oidSysName && value.shape == octets:
			sys.Name = legible(value.text)
		case v.Name == oidSysObjectID && value.shape == object:
			sys.ObjectID = value.text
		}
	}
	return sys
}

// settleAll takes events in until there are no more, and tells of engines that
// no user could be found for.
func (s *sweep) settleAll() {
	defer close(s.settled)
	for e := range s.events {
		if a := s.settle(e); a != nil {
			s.found(*a)
		}
		select {
		case s.moved <- struct{}{}:
		default:
		}
	}
	if !s.whole {
		return
	}
	for i := range s.hosts {
		h := &s.hosts[i]
		if h.closed || h.fault == nil {
			continue
		}
		s.mu.Lock()
		h.closed = true
		s.rejected++
		s.mu.Unlock()
		s.found(Answer{Addr: h.addr, Fault: h.fault, System: System{
			EngineID: h.engine.id, EngineBoots: int64(h.engine.boots), EngineTime: int64(h.engine.time),
		}})
	}
}

// settle takes one event in; the answer that it returns is to be told.
func (s *sweep) settle(e event) *Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.hosts[e.host]
	if e.tried {
		s.pending--
	}
	switch {
	case h.closed:
	case e.answer != nil:
		h.closed = true
		s.answered++
		s.hear(h, e.round)
		return e.answer
	case e.engine.valid():
		h.engine = e.engine
		s.hear(h, e.round)
		s.tryLater(h, e.host, e.round, e.engine)
	case e.fault != nil && (h.fault == nil || h.fault.Kind != collector.ErrLoginRejected):
		h.fault = e.fault
	}
	return nil
}

// hear notes that the host said something in the round. s.mu is held.
func (s *sweep) hear(h *host, round int) {
	if h.heard <= round {
		if s.round >= h.heard && s.round <= round {
			s.open--
		}
		h.heard = round + 1
	}
}

// tryLater gives the host's users of the round to the workers, once. s.mu is held.
func (s *sweep) tryLater(h *host, i, round int, e engine) {
	if h.tried > round || s.stopping {
		return
	}
	h.tried = round + 1
	s.pending++
	s.work <- userTask{i, round, e}
}

// endWork lets the workers finish what they have begun and forgets the rest: what
// was heard too late, or belongs to a sweep that was cut short.
func (s *sweep) endWork() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	for {
		select {
		case <-s.work:
		default:
			close(s.work)
			return
		}
	}
}

// tryUsers tries the SNMPv3 users of a host in their order, each with one session:
// only the library's sessions verify what an agent signed.
func (s *sweep) tryUsers(ctx context.Context, task userTask) event {
	h := &s.hosts[task.host]
	e := event{host: task.host, round: task.round, tried: true}
	for _, c := range h.steps[task.round].users {
		t := collector.Target{Addr: h.addr, Source: s.options.Source, Credential: c}
		t.Limits.SNMPTimeout = s.options.Timeout
		t.Limits.SNMPRetries = s.options.Tries - 1
		if t.Limits.SNMPRetries == 0 {
			t.Limits.SNMPRetries = -1 // zero means the default
		}
		session, err := open(ctx, t, options{engine: task.engine, pace: func() error { return s.limiter.Wait(ctx) }})
		if err == nil {
			e.answer = &Answer{Addr: h.addr, Credential: c.Name, PrivProtocol: session.PrivProtocol(), System: session.System()}
			_ = session.Close() // nothing is lost with the socket
			return e
		}
		var fault *collector.Error
		if errors.As(err, &fault) && (e.fault == nil || e.fault.Kind != collector.ErrLoginRejected) {
			e.fault = fault
		}
		if ctx.Err() != nil {
			break
		}
	}
	return e
}
