package snmp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// The bounds of a walk. An agent that invents ever larger OIDs gave 447,000 rows
// in 3 s; the largest real tables that we read have some ten thousand.
const (
	mostRows        = 100_000         // of one column
	mostTableTime   = 2 * time.Minute // for the columns walked together
	valuesPerPage   = 100
	mostRepetitions = 25
	minRepetitions  = 10 // at first; what the agent can bear may be less
	mostSideBySide  = 10 // columns in one request
	streakToGrow    = 8  // pages without trouble after which the ceiling doubles
)

var errTableTime = fmt.Errorf("rows came too slowly: the walk took more than %s", mostTableTime)

// column is one column of a table as it was walked.
type column struct {
	oid   string // leading dot
	table string // to blame
	cells []cell
	fault *trouble // why it is not whole; nil: it is

	last   string          // index of the last cell, or "" before the first
	seen   map[string]bool // indexes, once they came out of order
	done   bool
	broken bool // rows out of order
}

type cell struct {
	index string // the OID behind the column, no leading dot
	value value
}

// from is the OID that the next cell follows.
func (c *column) from() string {
	if c.last == "" {
		return c.oid
	}
	return c.oid + "." + c.last
}

func (c *column) end(t *trouble) { c.done, c.fault = true, t }

// spec names a column to walk: its OID with leading dot, and its table.
type spec struct{ oid, table string }

// walk reads columns side by side, unless they were read before. rows is how
// many rows are expected; 0: nobody knows. Trouble stays with the columns and is
// told of in s.faults.
func (s *Session) walk(ctx context.Context, specs []spec, rows int) {
	var todo []*column
	for _, sp := range specs {
		if s.columns[sp.oid] == nil {
			c := &column{oid: sp.oid, table: sp.table}
			s.columns[sp.oid] = c
			todo = append(todo, c)
		}
	}
	for len(todo) > 0 {
		n := min(len(todo), mostSideBySide)
		if len(todo) > n && len(todo) < 2*n {
			n = (len(todo) + 1) / 2
		}
		s.run(ctx, todo[:n], rows, time.Now())
		for _, c := range todo[:n] {
			s.judge(c)
		}
		todo = todo[n:]
	}
}

// judge notes what is wrong with a column's table.
func (s *Session) judge(c *column) {
	switch {
	case c.fault != nil:
		s.blame(s.errorAt(collector.Step(c.table), c.fault))
	case c.broken:
		s.blame(s.errorAt(collector.Step(c.table), &trouble{why: garbled, err: errors.New("rows out of order")}))
	}
	c.seen = nil
}

// blame keeps the first fault of each table.
func (s *Session) blame(e *collector.Error) {
	for _, f := range s.faults {
		if f.Step == e.Step {
			return
		}
	}
	s.faults = append(s.faults, e)
}

// run reads columns until each has ended.
func (s *Session) run(ctx context.Context, cols []*column, rows int, since time.Time) {
	active := make([]*column, 0, len(cols))
	for {
		active = active[:0]
		for _, c := range cols {
			if !c.done {
				active = append(active, c)
			}
		}
		if len(active) == 0 {
			return
		}
		if t := s.stopped(ctx, since); t != nil {
			for _, c := range active {
				c.end(t)
			}
			return
		}
		vars, t := s.page(ctx, active, rows)
		if t == nil {
			s.take(vars, active)
			continue
		}
		s.salvage(ctx, active, rows, since, t)
	}
}

// stopped says why nothing more is asked, or nil.
func (s *Session) stopped(ctx context.Context, since time.Time) *trouble {
	switch {
	case s.dead != nil:
		return s.dead
	case ctx.Err() != nil:
		return &trouble{why: silent, err: context.Cause(ctx)}
	case time.Since(since) > mostTableTime:
		return &trouble{why: silent, err: errTableTime}
	}
	return nil
}

// salvage goes on after a page that could not be had: with the columns one by
// one, so that only the one that is wrong is lost.
func (s *Session) salvage(ctx context.Context, active []*column, rows int, since time.Time, t *trouble) {
	switch {
	case s.version == gosnmp.Version1 && t.why == status && t.status == gosnmp.NoSuchName && t.index >= 1 && t.index <= len(active):
		active[t.index-1].done = true // v1 says so at the end of the MIB
		return
	case s.version == gosnmp.Version1 && t.why == status && t.status == gosnmp.NoSuchName && len(active) == 1:
		active[0].done = true
		return
	case !t.passing() && t.why != status:
		s.dead = t
	case t.why == silent && ctx.Err() == nil && !s.alive(ctx):
		s.dead = t
	}
	if s.dead != nil || len(active) == 1 {
		for _, c := range active {
			c.end(t)
		}
		return
	}
	for _, c := range active {
		s.run(ctx, []*column{c}, rows, since)
	}
}

// alive asks for the one value that every agent has.
func (s *Session) alive(ctx context.Context) bool {
	_, t := s.ask(ctx, query{pdu: gosnmp.GetRequest, oids: []string{oidSysUpTime}})
	return t == nil || t.why == status || t.why == garbled
}

// page gets the next rows of the columns. It asks for less after silence and
// tooBig, and at last for one row by GETNEXT: some agents answer that alone.
func (s *Session) page(ctx context.Context, active []*column, rows int) ([]gosnmp.SnmpPDU, *trouble) {
	oids := make([]string, len(active))
	for i, c := range active {
		oids[i] = c.from()
	}
	tries := s.limits.SNMPRetries + 1
	var last *trouble
	for try := 0; try < tries; {
		q := query{pdu: gosnmp.GetBulkRequest, oids: oids, repetitions: s.repetitions(active, rows)}
		if s.version == gosnmp.Version1 || s.noBulk || try > 0 && try == tries-1 {
			q.pdu, q.repetitions = gosnmp.GetNextRequest, 1
		}
		vars, t := s.ask(ctx, q)
		if t == nil {
			s.praise(q.pdu == gosnmp.GetBulkRequest, last)
			return vars, nil
		}
		last = t
		switch {
		case ctx.Err() != nil:
			return nil, t
		case t.why == status && t.status == gosnmp.TooBig && q.repetitions > 1:
			s.ceiling, s.streak = max(1, q.repetitions/2), 0
		case t.why == silent:
			s.ceiling, s.streak = max(1, q.repetitions/2), 0
			try++
		case t.why == garbled, t.why == unsigned:
			try++
		default:
			return nil, t
		}
	}
	return nil, last
}

// repetitions is how many rows the next GETBULK asks for.
func (s *Session) repetitions(active []*column, rows int) int {
	n := min(max(valuesPerPage/len(active), minRepetitions), mostRepetitions)
	if left := rows - len(active[0].cells); rows > 0 && left >= 0 {
		n = min(n, left+1) // one more shows the end
	}
	return max(1, min(n, s.ceiling))
}

// praise notes that a request went well, after last where that is not nil.
func (s *Session) praise(bulk bool, last *trouble) {
	switch {
	case bulk:
		s.bulkWorked = true
		if s.streak++; s.streak >= streakToGrow {
			s.ceiling, s.streak = min(2*s.ceiling, mostRepetitions), 0
		}
	case last != nil && last.why == silent && !s.bulkWorked:
		s.noBulk = true
	}
}

// take sorts the variables of a page into its columns: the answer goes through
// them row by row, and may be cut anywhere.
func (s *Session) take(vars []gosnmp.SnmpPDU, active []*column) {
	progress := false
	for i, v := range vars {
		c := active[i%len(active)]
		if c.done {
			continue
		}
		progress = true
		if c.add(v) {
			continue
		}
		c.done = true
	}
	if !progress {
		for _, c := range active {
			c.end(&trouble{why: garbled, err: errors.New("an answer that leads nowhere")})
		}
	}
}

// add takes one variable in; false: the column is at its end.
func (c *column) add(v gosnmp.SnmpPDU) bool {
	switch v.Type {
	case gosnmp.EndOfMibView, gosnmp.NoSuchObject, gosnmp.NoSuchInstance:
		return false
	}
	n := len(c.oid)
	if len(v.Name) <= n+1 || v.Name[n] != '.' || !strings.HasPrefix(v.Name, c.oid) {
		return false
	}
	index := v.Name[n+1:]
	if len(c.cells) > 0 && compareOIDs(index, c.last) <= 0 {
		if c.seen == nil {
			c.seen = make(map[string]bool, len(c.cells))
			for _, cell := range c.cells {
				c.seen[cell.index] = true
			}
		}
		c.broken = true
	}
	if c.seen != nil {
		if c.seen[index] {
			c.fault = &trouble{why: garbled, err: fmt.Errorf("the walk goes in a circle: row %s came twice", index)}
			return false
		}
		c.seen[index] = true
	}
	if len(c.cells) >= mostRows {
		c.fault = &trouble{why: tooMuch, err: fmt.Errorf("more than %d rows", mostRows)}
		return false
	}
	c.cells = append(c.cells, cell{index, valueOf(v)})
	c.last = index
	return true
}
