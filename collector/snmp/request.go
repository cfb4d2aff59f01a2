package snmp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gosnmp/gosnmp"
)

// query is one request.
type query struct {
	pdu         gosnmp.PDUType // GetRequest, GetNextRequest or GetBulkRequest
	oids        []string       // leading dot
	repetitions int            // of a GETBULK
}

// ask sends one request, once, and returns the variables of its answer. An
// engine that began anew in between is followed.
func (s *Session) ask(ctx context.Context, q query) ([]gosnmp.SnmpPDU, *trouble) {
	for {
		vars, t := s.askOnce(ctx, q)
		if t == nil || t.why != renewed || s.version != gosnmp.Version3 {
			return vars, t
		}
		if t := s.renew(ctx); t != nil {
			return nil, t
		}
	}
}

func (s *Session) askOnce(ctx context.Context, q query) (vars []gosnmp.SnmpPDU, t *trouble) {
	// The library recovers round most of its decoding, not round all of it.
	defer func() {
		if r := recover(); r != nil {
			vars, t = nil, &trouble{why: garbled, err: shortened(fmt.Errorf("decoding an answer: %v", r))}
		}
	}()
	if s.closed {
		return nil, &trouble{why: silent, err: errors.New("the session is closed")}
	}
	if err := ctx.Err(); err != nil {
		return nil, &trouble{why: silent, err: err}
	}
	var answer *gosnmp.SnmpPacket
	var err error
	switch q.pdu {
	case gosnmp.GetBulkRequest:
		answer, err = s.lib.GetBulk(q.oids, 0, uint32(q.repetitions))
	case gosnmp.GetNextRequest:
		answer, err = s.lib.GetNext(q.oids)
	default:
		answer, err = s.lib.Get(q.oids)
	}
	if err != nil {
		t := troubleOf(err)
		t.strays = s.wire.strays
		return nil, t
	}
	switch {
	case answer.PDUType == gosnmp.Report:
		return nil, &trouble{why: renewed, report: reportTime, err: errors.New("a Report instead of an answer")}
	case answer.PDUType != gosnmp.GetResponse:
		return nil, &trouble{why: garbled, err: fmt.Errorf("a %s instead of an answer", answer.PDUType)}
	case answer.Error != gosnmp.NoError:
		return nil, &trouble{why: status, status: answer.Error, index: int(answer.ErrorIndex), err: fmt.Errorf("error-status %s", answer.Error)}
	case len(answer.Variables) == 0:
		return nil, &trouble{why: garbled, err: errors.New("an answer without variables")}
	case len(answer.Variables) > len(q.oids)*max(1, q.repetitions):
		return nil, &trouble{why: garbled, err: errors.New("an answer with more variables than were asked for")}
	}
	return answer.Variables, nil
}

// insist asks until there is an answer that can be read, as often as the limits
// allow. An error-status is an answer.
func (s *Session) insist(ctx context.Context, q query) ([]gosnmp.SnmpPDU, *trouble) {
	var last *trouble
	for range s.limits.SNMPRetries + 1 {
		vars, t := s.ask(ctx, q)
		if t == nil {
			return vars, nil
		}
		last = t
		if ctx.Err() != nil || !t.passing() {
			break
		}
	}
	return nil, last
}

// getChunk is how many scalars go into one GET: an answer of 20 short texts fits
// the 484 bytes that every agent must be able to send (RFC 3417 §3.2), nearly.
const getChunk = 20

// getAll gets scalars into s.scalars; one that does not exist is kept as absent.
// unread is called for each that the agent could not answer for. The trouble is
// not nil where the agent stopped answering.
func (s *Session) getAll(ctx context.Context, oids []string, unread func(oid string, t *trouble)) *trouble {
	var todo []string
	for _, oid := range oids {
		if _, ok := s.scalars[oid]; !ok {
			todo = append(todo, oid)
		}
	}
	for len(todo) > 0 {
		n := min(len(todo), getChunk)
		if t := s.getSome(ctx, todo[:n], unread); t != nil {
			return t
		}
		todo = todo[n:]
	}
	return nil
}

// getSome gets oids in one request, and where that cannot be answered in parts:
// v1 refuses all for one that is missing, others answer tooBig or genErr, and a
// broken value spoils the whole answer.
func (s *Session) getSome(ctx context.Context, oids []string, unread func(oid string, t *trouble)) *trouble {
	if len(oids) == 0 {
		return nil
	}
	vars, t := s.insist(ctx, query{pdu: gosnmp.GetRequest, oids: oids})
	if t == nil && !answers(vars, oids) {
		t = &trouble{why: garbled, err: errors.New("an answer about other objects than were asked for")}
	}
	switch {
	case t == nil:
		s.keep(vars)
		return nil
	case t.why != status && t.why != garbled:
		return t
	case t.why == status && t.status == gosnmp.NoSuchName && len(oids) == 1:
		s.scalars[oids[0]] = value{}
		return nil
	case t.why == status && t.status == gosnmp.NoSuchName && t.index >= 1 && t.index <= len(oids):
		s.scalars[oids[t.index-1]] = value{}
		return s.getSome(ctx, slices.Delete(slices.Clone(oids), t.index-1, t.index), unread)
	case len(oids) == 1:
		unread(oids[0], t)
		return nil
	}
	half := len(oids) / 2
	if t := s.getSome(ctx, oids[:half], unread); t != nil {
		return t
	}
	return s.getSome(ctx, oids[half:], unread)
}

// keep notes scalars that were read.
func (s *Session) keep(vars []gosnmp.SnmpPDU) {
	for _, v := range vars {
		s.scalars[v.Name] = valueOf(v)
	}
}

// answers reports whether vars are the values of oids, in order.
func answers(vars []gosnmp.SnmpPDU, oids []string) bool {
	if len(vars) != len(oids) {
		return false
	}
	for i, v := range vars {
		if v.Name != oids[i] {
			return false
		}
	}
	return true
}
