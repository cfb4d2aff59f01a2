package lab

import (
	"net/netip"
	"slices"
	"sort"
)

// entry is one object instance. live, where set, makes the value anew at each read.
type entry struct {
	arcs []uint32
	oid  []byte // encoded content
	tag  byte
	val  []byte
	live func() []byte
}

// varbind encodes the instance with the value that it has now.
func (e *entry) varbind() []byte {
	val := e.val
	if e.live != nil {
		val = e.live()
	}
	return makeVarbind(e.oid, putTLV(nil, e.tag, val))
}

func makeVarbind(oid, value []byte) []byte {
	return seq(tagSeq, putTLV(nil, tagOID, oid), value)
}

// mib is all that an agent knows, in OID order once sorted.
type mib struct{ entries []entry }

func (m *mib) sort() {
	slices.SortFunc(m.entries, func(a, b entry) int { return slices.Compare(a.arcs, b.arcs) })
}

// at gives the index of the instance, or -1.
func (m *mib) at(arcs []uint32) int {
	i := m.from(arcs)
	if i < len(m.entries) && slices.Equal(m.entries[i].arcs, arcs) {
		return i
	}
	return -1
}

// from gives the index of the first entry that is not before arcs.
func (m *mib) from(arcs []uint32) int {
	return sort.Search(len(m.entries), func(i int) bool { return slices.Compare(m.entries[i].arcs, arcs) >= 0 })
}

// after gives the index of the first entry behind arcs; len(entries) at the end.
func (m *mib) after(arcs []uint32) int {
	i := m.from(arcs)
	if i < len(m.entries) && slices.Equal(m.entries[i].arcs, arcs) {
		i++
	}
	return i
}

// span gives the entries below prefix.
func (m *mib) span(prefix []uint32) (from, to int) {
	from = m.from(prefix)
	for to = from; to < len(m.entries); to++ {
		a := m.entries[to].arcs
		if len(a) < len(prefix) || !slices.Equal(a[:len(prefix)], prefix) {
			break
		}
	}
	return from, to
}

func (m *mib) add(tag byte, val []byte, oid string, index ...uint32) *entry {
	arcs := append(arcsOf(oid), index...)
	m.entries = append(m.entries, entry{arcs: arcs, oid: oidContent(arcs), tag: tag, val: val})
	return &m.entries[len(m.entries)-1]
}

func (m *mib) text(s, oid string, index ...uint32) { m.add(tagOctets, []byte(s), oid, index...) }
func (m *mib) int(v int64, oid string, index ...uint32) {
	m.add(tagInt, intBytes(v), oid, index...)
}
func (m *mib) gauge(v uint64, oid string, index ...uint32) {
	m.add(tagGauge32, uintBytes(v), oid, index...)
}
func (m *mib) counter(v uint64, oid string, index ...uint32) {
	m.add(tagCounter32, uintBytes(v), oid, index...)
}
func (m *mib) counter64(v uint64, oid string, index ...uint32) {
	m.add(tagCounter64, uintBytes(v), oid, index...)
}
func (m *mib) ticks(v uint64, oid string, index ...uint32) {
	m.add(tagTicks, uintBytes(v), oid, index...)
}
func (m *mib) pointer(v []uint32, oid string, index ...uint32) {
	m.add(tagOID, oidContent(v), oid, index...)
}
func (m *mib) ip(a netip.Addr, oid string, index ...uint32) {
	m.add(tagIP, a.AsSlice(), oid, index...)
}

// octetArcs is how octets travel inside an index.
func octetArcs(b []byte) []uint32 {
	out := make([]uint32, len(b))
	for i, x := range b {
		out[i] = uint32(x)
	}
	return out
}
