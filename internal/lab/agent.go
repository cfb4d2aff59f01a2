package lab

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"time"
)

// AgentFault is how an SNMP agent misbehaves.
type AgentFault string

// The faults of an agent. AgentHealthy is the reverse of all others.
const (
	AgentHealthy  AgentFault = ""
	AgentDead     AgentFault = "dead"     // never answers
	AgentSlow     AgentFault = "slow"     // one varbind an answer, each after 0.9 s
	AgentLoop     AgentFault = "loop"     // ifDescr goes back to its first row, for ever
	AgentDisorder AgentFault = "disorder" // rows of ifTable in text order of their index: 1, 10, 2
	AgentGarbage  AgentFault = "garbage"  // two of three answers are cut short or lie about their length
	AgentWrongID  AgentFault = "wrong-id" // answers carry another request-id
)

// AgentCount is what an agent has seen since the start.
type AgentCount struct {
	Requests        int // datagrams, answered or not
	Answers         int // Reports included
	WrongCredential int // wrong communities; unknown users, wrong digests and levels
	Sets            int // SET requests: an inventory sends none
}

const (
	maxMessage   = 1472 // bytes of an answer: what fits an Ethernet frame
	engineBoots  = 7
	engineOffset = 86_400 // seconds that the engines had been up when the lab started
)

// agent is the SNMP engine of one device.
type agent struct {
	node   *node
	engine []byte

	mu       sync.Mutex // guards all below
	fault    AgentFault
	count    AgentCount
	view     *mib // made at the first request
	disorder map[int]int
	keys     map[string]usmKeys
	salt     uint64
}

// pdu is a request as far as the agent reads it.
type pdu struct {
	typ  byte
	id   []byte // content of request-id
	a, b int64  // error-status and -index, or non-repeaters and max-repetitions
	oids [][]byte
	raw  []byte // the whole varbind list
}

func readPDU(typ byte, body []byte) (p pdu, err error) {
	p.typ = typ
	c := cursor{body}
	if p.id, err = c.want(tagInt); err != nil {
		return p, err
	}
	if p.a, err = c.integer(); err != nil {
		return p, err
	}
	if p.b, err = c.integer(); err != nil {
		return p, err
	}
	list, err := c.want(tagSeq)
	if err != nil {
		return p, err
	}
	p.raw = putTLV(nil, tagSeq, list)
	for c = (cursor{list}); len(c.b) > 0; {
		vb, err := c.want(tagSeq)
		if err != nil {
			return p, err
		}
		vc := cursor{vb}
		oid, err := vc.want(tagOID)
		if err != nil {
			return p, err
		}
		p.oids = append(p.oids, oid)
	}
	return p, nil
}

// answer handles one datagram; nil means silence.
func (a *agent) answer(req []byte) (out []byte, delay time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count.Requests++
	spec := &a.node.spec
	if spec.NoSNMP || spec.Rogue || a.fault == AgentDead {
		return nil, 0
	}
	c := cursor{req}
	msg, err := c.want(tagSeq)
	if err != nil {
		return nil, 0
	}
	c = cursor{msg}
	version, err := c.integer()
	if err != nil {
		return nil, 0
	}
	switch version {
	case 0, 1:
		out = a.community(version, &c)
	case 3:
		out = a.usm(&c, req)
	}
	if out == nil {
		return nil, 0
	}
	a.count.Answers++
	switch a.fault {
	case AgentSlow:
		delay = 900 * time.Millisecond
	case AgentGarbage:
		switch a.count.Requests % 3 {
		case 1:
			out = out[:len(out)*2/3]
		case 2:
			out[1] ^= 0x15
		}
	}
	return out, delay
}

// community handles the rest of a v1 or v2c message.
func (a *agent) community(version int64, c *cursor) []byte {
	name, err := c.want(tagOctets)
	if err != nil {
		return nil
	}
	t, body, _, err := c.next()
	if err != nil {
		return nil
	}
	p, err := readPDU(t, body)
	if err != nil {
		return nil
	}
	if want := a.node.spec.Community; want == "" || string(name) != want {
		a.count.WrongCredential++
		return nil
	}
	head := putTLV([]byte{tagInt, 1, byte(version)}, tagOctets, name)
	out := a.respond(&p, version, maxMessage-len(head)-4)
	if out == nil {
		return nil
	}
	return seq(tagSeq, head, out)
}

// Error statuses of RFC 3416 §3.
const (
	errTooBig      = 1
	errNoSuchName  = 2
	errNotWritable = 17
)

// respond builds the Response-PDU, at most room bytes.
func (a *agent) respond(p *pdu, version int64, room int) []byte {
	id := p.id
	if a.fault == AgentWrongID && len(id) > 0 {
		id = bytes.Clone(id)
		id[len(id)-1] ^= 1
	}
	fail := func(code byte, index int) []byte {
		list := p.raw
		if code == errTooBig && version > 0 {
			list = []byte{tagSeq, 0}
		}
		return seq(pduResponse, putTLV(nil, tagInt, id), []byte{tagInt, 1, code}, putInt(nil, int64(index)), list)
	}
	arcs := make([][]uint32, len(p.oids))
	for i, oid := range p.oids {
		var ok bool
		if arcs[i], ok = oidArcs(oid); !ok {
			return nil
		}
	}
	room -= len(id) + 16
	var body []byte
	var code byte
	var index int
	switch p.typ {
	case pduSet:
		a.count.Sets++
		if version == 0 {
			return fail(errNoSuchName, 1)
		}
		return fail(errNotWritable, 1)
	case pduGet, pduNext:
		body, code, index = a.get(p, arcs, version, room)
	case pduBulk:
		if version == 0 {
			return nil
		}
		body, code, index = a.bulk(p, arcs, room)
	default:
		return nil
	}
	if code != 0 {
		return fail(code, index)
	}
	return seq(pduResponse, putTLV(nil, tagInt, id), []byte{tagInt, 1, 0, tagInt, 1, 0}, seq(tagSeq, body))
}

func (a *agent) get(p *pdu, arcs [][]uint32, version int64, room int) (body []byte, code byte, index int) {
	m := a.data()
	for i, oid := range p.oids {
		var j int
		if p.typ == pduNext {
			j = a.next(arcs[i], version)
		} else if j = m.at(arcs[i]); j >= 0 && version == 0 && m.entries[j].tag == tagCounter64 {
			j = -1 // RFC 3584 §4.2.2.1: v1 has no Counter64
		}
		switch {
		case j >= 0:
			body = append(body, m.entries[j].varbind()...)
		case version == 0:
			return nil, errNoSuchName, i + 1
		case p.typ == pduNext:
			body = append(body, makeVarbind(oid, []byte{endOfMibView, 0})...)
		default:
			body = append(body, makeVarbind(oid, []byte{a.absent(arcs[i]), 0})...)
		}
		if len(body) > room {
			return nil, errTooBig, 0
		}
	}
	return body, 0, 0
}

func (a *agent) bulk(p *pdu, arcs [][]uint32, room int) (body []byte, code byte, index int) {
	m := a.data()
	single := int(min(max(p.a, 0), int64(len(arcs))))
	rounds := int(min(max(p.b, 0), 1<<16))
	if a.fault == AgentSlow {
		single, rounds = min(single, 1), min(rounds, 1)
	}
	last := slices.Clone(p.oids)
	full := false
	step := func(i int) (more bool) {
		j := a.next(arcs[i], 1)
		vb := makeVarbind(last[i], []byte{endOfMibView, 0})
		if j >= 0 {
			vb = m.entries[j].varbind()
		}
		if full = len(body)+len(vb) > room; full {
			return false
		}
		body = append(body, vb...)
		if j >= 0 {
			arcs[i], last[i] = m.entries[j].arcs, m.entries[j].oid
		}
		return j >= 0
	}
	for i := 0; i < single && !full; i++ {
		step(i)
	}
	for r := 0; r < rounds && !full && single < len(arcs); r++ {
		more := false
		for i := single; i < len(arcs) && !full; i++ {
			more = step(i) || more
			if a.fault == AgentSlow {
				break
			}
		}
		if !more {
			break
		}
	}
	if len(body) == 0 && full {
		return nil, errTooBig, 0
	}
	return body, 0, 0
}

var (
	ifEntry = arcsOf("1.3.6.1.2.1.2.2.1")
	ifDescr = arcsOf("1.3.6.1.2.1.2.2.1.2")
)

// next gives the entry that follows arcs as this agent walks, or -1.
func (a *agent) next(arcs []uint32, version int64) int {
	m := a.data()
	j := m.after(arcs)
	prev := j - 1
	if prev >= 0 && !slices.Equal(m.entries[prev].arcs, arcs) {
		prev = -1 // arcs names no instance
	}
	switch a.fault {
	case AgentLoop:
		if first, end := m.span(ifDescr); prev == end-1 {
			j = first
		}
	case AgentDisorder:
		if a.disorder == nil {
			a.disorder = textOrder(m)
		}
		if k, ok := a.disorder[prev]; ok && prev >= 0 {
			j = k
		}
	}
	for version == 0 && j < len(m.entries) && m.entries[j].tag == tagCounter64 {
		j++
	}
	if j >= len(m.entries) {
		return -1
	}
	return j
}

// textOrder gives the successors of ifTable's entries when each column is sorted
// by the text of its index. Its first row is the same in both orders.
func textOrder(m *mib) map[int]int {
	next := map[int]int{}
	for from, end := m.span(ifEntry); from < end; {
		_, to := m.span(m.entries[from].arcs[:len(ifEntry)+1])
		order := make([]int, 0, to-from)
		for j := from; j < to; j++ {
			order = append(order, j)
		}
		text := func(j int) string {
			arcs := m.entries[j].arcs
			return strconv.Itoa(int(arcs[len(arcs)-1]))
		}
		slices.SortFunc(order, func(x, y int) int { return bytes.Compare([]byte(text(x)), []byte(text(y))) })
		for i, j := range order[1:] {
			next[order[i]] = j
		}
		next[order[len(order)-1]] = to
		from = to
	}
	return next
}

// absent tells noSuchInstance (a sibling exists) from noSuchObject.
func (a *agent) absent(arcs []uint32) byte {
	if from, to := a.data().span(arcs[:len(arcs)-1]); to > from {
		return noSuchInstance
	}
	return noSuchObject
}

// data gives what the agent knows, made when first asked for.
func (a *agent) data() *mib {
	if a.view == nil {
		a.view = a.node.mib()
	}
	return a.view
}

// engineTime is snmpEngineTime: seconds since the engine's last boot.
func (a *agent) engineTime() uint32 {
	return uint32(time.Since(a.node.net.started)/time.Second) + engineOffset
}
