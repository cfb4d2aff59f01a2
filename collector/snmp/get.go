package snmp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"muster/collector"
)

// Get reads scalars or cells; the answer maps each OID (dotted, no leading dot)
// that exists to its value as text. Numbers are decimal; octet strings that are
// no text are given as lower-case hex with colons. What the session has read
// before is not asked again. An error stands beside what could be read.
func (s *Session) Get(ctx context.Context, oids ...string) (map[string]string, error) {
	ctx, done := s.asking(ctx)
	defer done()

	found := make(map[string]string, len(oids))
	var ask []string
	for _, oid := range oids {
		dotted := "." + strings.TrimPrefix(oid, ".")
		if err := checkOID(dotted); err != nil {
			return nil, err
		}
		if c := s.columnHolding(dotted); c != nil {
			for _, cell := range c.cells {
				if cell.index == dotted[len(c.oid)+1:] {
					found[dotted[1:]] = cell.value.plain()
				}
			}
			continue
		}
		ask = append(ask, dotted)
	}
	var failed error
	if s.dead != nil {
		failed = s.fail(ctx, stepGet, s.dead)
	} else if t := s.getAll(ctx, ask, func(_ string, t *trouble) { failed = s.fail(ctx, stepGet, t) }); t != nil {
		failed = s.fail(ctx, stepGet, t)
	}
	for _, oid := range ask {
		if v, ok := s.scalars[oid]; ok && v.shape != absent {
			found[oid[1:]] = v.plain()
		}
	}
	return found, failed
}

// Column walks one column of a table; the answer maps the index (the OID behind
// the column, dotted) to the value as text. A column that was read before is not
// asked again. An error stands beside the rows that could be read.
func (s *Session) Column(ctx context.Context, oid string) (map[string]string, error) {
	ctx, done := s.asking(ctx)
	defer done()

	dotted := "." + strings.TrimPrefix(oid, ".")
	if err := checkOID(dotted); err != nil {
		return nil, err
	}
	known := s.faults
	s.walk(ctx, []spec{{dotted, dotted[1:]}}, 0)
	s.faults = known // this fault is the caller's, not the next Reading's
	c := s.columns[dotted]
	rows := make(map[string]string, len(c.cells))
	for _, cell := range c.cells {
		rows[cell.index] = cell.value.plain()
	}
	switch {
	case c.fault != nil:
		return rows, s.fail(ctx, collector.Step(c.table), c.fault)
	case c.broken:
		return rows, s.errorAt(collector.Step(c.table), &trouble{why: garbled, err: errors.New("rows out of order")})
	}
	return rows, nil
}

// stepGet is the step of a Get: the OIDs would be too long a name.
const stepGet collector.Step = "get"

// columnHolding finds a column, read whole, that has the cell.
func (s *Session) columnHolding(oid string) *column {
	for i := len(oid) - 1; i > 0; i-- {
		if oid[i] != '.' {
			continue
		}
		if c := s.columns[oid[:i]]; c != nil && c.fault == nil {
			return c
		}
	}
	return nil
}

// checkOID refuses what is no OID before it gets into a request.
func checkOID(dotted string) error {
	ids, ok := subIDs(dotted[1:])
	if !ok || len(ids) < 2 || len(ids) > 128 || ids[0] > 2 {
		return fmt.Errorf("%q is no OID", dotted[1:])
	}
	return nil
}
