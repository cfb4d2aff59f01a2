package snmp

import (
	"cmp"
	"slices"
)

// interfaces joins ifTable with ifXTable. A row is what either of them has.
func (s *Session) interfaces() []Interface {
	rows := map[int32]*Interface{}
	row := func(index string) *Interface {
		n, ok := rowIndex(index)
		if !ok {
			return &Interface{} // no ifIndex: goes nowhere
		}
		if rows[n] == nil {
			rows[n] = &Interface{IfIndex: n}
		}
		return rows[n]
	}
	s.eachText(ifColumns[0], func(i, v string) { row(i).Descr = v })
	s.eachNumber(ifColumns[1], func(i string, n int64) { row(i).Type = named(ifTypes, n) })
	s.eachNumber(ifColumns[2], func(i string, n int64) {
		if n > 0 && n <= 1<<31-1 {
			row(i).MTU = int32(n)
		}
	})
	s.eachNumber(ifColumns[3], func(i string, n int64) { row(i).SpeedBps = uint64(max(n, 0)) })
	s.eachBytes(ifColumns[4], func(i, v string) { row(i).MAC = macText(v) })
	s.eachNumber(ifColumns[5], func(i string, n int64) { row(i).Admin = named(adminStates, n) })
	s.eachNumber(ifColumns[6], func(i string, n int64) { row(i).Oper = named(operStates, n) })
	s.eachText(ifXColumns[0], func(i, v string) { row(i).Name = v })
	s.eachNumber(ifXColumns[1], func(i string, n int64) { r := row(i); r.SpeedBps = speed(r.SpeedBps, n) })
	s.eachText(ifXColumns[2], func(i, v string) { row(i).Alias = v })

	list := make([]Interface, 0, len(rows))
	for _, r := range rows {
		if r.Name == "" {
			r.Name = r.Descr
		}
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Interface) int { return cmp.Compare(a.IfIndex, b.IfIndex) })
	return list
}

// speed chooses between ifSpeed, exact but at most 2³²-1 bit/s, and ifHighSpeed,
// rounded to 10⁶ bit/s (RFC 2863): ifSpeed where ifHighSpeed rounds it.
func speed(ifSpeed uint64, ifHighSpeed int64) uint64 {
	const mega = 1_000_000
	if ifHighSpeed <= 0 {
		return ifSpeed
	}
	high := uint64(min(ifHighSpeed, 1<<32-1)) * mega
	if ifSpeed > 0 && ifSpeed < 1<<32-1 && ifSpeed+mega/2 >= high && ifSpeed <= high+mega/2 {
		return ifSpeed
	}
	return high
}
