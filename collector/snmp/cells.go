package snmp

import (
	"fmt"
	"strconv"

	"muster/collector"
)

// misfit counts the values of one table whose type is not their object's.
type misfit struct {
	table string
	count int
	first string // what the first was, for people
}

// misfit notes a value of the wrong type. It is left out, and its table blamed.
func (s *Session) misfit(table, oid string, want shape, got value) {
	for i := range s.misfits {
		if s.misfits[i].table == table {
			s.misfits[i].count++
			return
		}
	}
	s.misfits = append(s.misfits, misfit{table, 1, fmt.Sprintf("%s is %s, not %s", oid[1:], got.shape, want)})
}

// blameMisfits turns what was noted into faults.
func (s *Session) blameMisfits() {
	for _, m := range s.misfits {
		s.blame(&collector.Error{
			Device: s.target.Device, Addr: s.target.Addr, Step: collector.Step(m.table), Kind: collector.ErrImplausible,
			Seen: fmt.Sprintf("%d values of a wrong type; %s", m.count, m.first),
			Do:   "Update the agent: values of a wrong type are left out",
		})
	}
	s.misfits = nil
}

// cells gives what was walked of a column; nil where nothing was.
func (s *Session) cells(oid string) []cell {
	if c := s.columns[oid]; c != nil {
		return c.cells
	}
	return nil
}

// knowEmpty notes columns that the agent said it does not have.
func (s *Session) knowEmpty(specs []spec) {
	for _, sp := range specs {
		if s.columns[sp.oid] == nil {
			s.columns[sp.oid] = &column{oid: sp.oid, table: sp.table, done: true}
		}
	}
}

// eachText calls f with the text of every cell of the column.
func (s *Session) eachText(sp spec, f func(index, text string)) {
	s.eachBytes(sp, func(index, bytes string) { f(index, legible(bytes)) })
}

// eachBytes calls f with the octets of every cell of the column.
func (s *Session) eachBytes(sp spec, f func(index, bytes string)) {
	for _, c := range s.cells(sp.oid) {
		if c.value.shape != octets {
			s.misfit(sp.table, sp.oid+"."+c.index, octets, c.value)
			continue
		}
		f(c.index, c.value.text)
	}
}

// eachNumber calls f with the number in every cell of the column. Numbers of
// another type than the object's are taken: Gauge32 or INTEGER, the value is right.
func (s *Session) eachNumber(sp spec, f func(index string, n int64)) {
	for _, c := range s.cells(sp.oid) {
		n, ok := c.value.int64()
		if !ok {
			s.misfit(sp.table, sp.oid+"."+c.index, number, c.value)
			continue
		}
		f(c.index, n)
	}
}

// eachOf calls f with every cell of the column that has the shape.
func (s *Session) eachOf(sp spec, want shape, f func(index, text string)) {
	for _, c := range s.cells(sp.oid) {
		if c.value.shape != want {
			s.misfit(sp.table, sp.oid+"."+c.index, want, c.value)
			continue
		}
		f(c.index, c.value.text)
	}
}

// int64 is the number, where it is one and fits.
func (v value) int64() (int64, bool) {
	if v.shape != number || !v.neg && v.num > 1<<63-1 {
		return 0, false
	}
	return int64(v.num), true
}

// scalarBytes gives the octets of a scalar that was read; "" where there are none.
func (s *Session) scalarBytes(table, oid string) string {
	switch v := s.scalars[oid]; v.shape {
	case absent:
		return ""
	case octets:
		return v.text
	default:
		s.misfit(table, oid, octets, v)
		return ""
	}
}

// scalarNumber gives a scalar that was read as a number; false where it is none.
func (s *Session) scalarNumber(table, oid string) (int64, bool) {
	v := s.scalars[oid]
	n, ok := v.int64()
	if !ok && v.shape != absent {
		s.misfit(table, oid, number, v)
	}
	return n, ok
}

// rowIndex reads the index of a table that has one number for it, 1…2147483647.
func rowIndex(index string) (int32, bool) {
	n, err := strconv.ParseInt(index, 10, 32)
	return int32(n), err == nil && n > 0
}

// readSystem makes the system group of the scalars that were read.
func (s *Session) readSystem() System {
	const table = string(collector.StepSystem)
	text := func(oid string) string { return legible(s.scalarBytes(table, oid)) }
	sys := System{
		Descr:    text(oidSysDescr),
		Contact:  text(oidSysContact),
		Name:     text(oidSysName),
		Location: text(oidSysLocation),
	}
	switch v := s.scalars[oidSysObjectID]; v.shape {
	case object:
		sys.ObjectID = v.text
	case absent:
	default:
		s.misfit(table, oidSysObjectID, object, v)
	}
	if n, ok := s.scalarNumber(table, oidSysUpTime); ok && n >= 0 && n <= 1<<32-1 {
		sys.UpTime = ticks(uint64(n))
	}
	if id := s.scalarBytes(table, oidEngineID); id != "" {
		sys.EngineID = []byte(id)
	}
	sys.EngineBoots, _ = s.scalarNumber(table, oidEngineBoots)
	sys.EngineTime, _ = s.scalarNumber(table, oidEngineTime)
	if s.engine.valid() { // SNMPv3 was spoken: what its messages were signed for
		sys.EngineID = append([]byte(nil), s.engine.id...)
		sys.EngineBoots, sys.EngineTime = s.engineClock()
	}
	return sys
}
