package snmp

import "bytes"

// message is what the outside of an SNMP message tells without keys: enough to
// see whom it answers and whether it is a Report. Values are decoded by gosnmp.
type message struct {
	version   int    // 0: v1, 1: v2c, 3: v3
	requestID uint32 // of the PDU; 0 where the PDU is encrypted
	pdu       byte   // tag of the PDU; 0 where it is encrypted
	report    report // of a Report in clear; empty: another PDU or another counter

	// v3 only.
	msgID       uint32
	flags       byte // 1: authenticated, 2: encrypted, 4: reportable
	engineID    []byte
	boots, time uint32 // of the engine; time in s
}

// The PDU tags that we look at.
const (
	pduResponse = 0xa2
	pduReport   = 0xa8
)

const flagAuthenticated = 1

// report is the counter that a Report names: why an engine did not process what
// it was sent (RFC 3414 §3.2, RFC 3412 §7.2).
type report string

const (
	reportLevel       report = "usmStatsUnsupportedSecLevels"
	reportTime        report = "usmStatsNotInTimeWindows"
	reportUser        report = "usmStatsUnknownUserNames"
	reportEngine      report = "usmStatsUnknownEngineIDs"
	reportDigest      report = "usmStatsWrongDigests"
	reportDecryption  report = "usmStatsDecryptionErrors"
	reportModel       report = "snmpUnknownSecurityModels"
	reportInvalid     report = "snmpInvalidMsgs"
	reportHandler     report = "snmpUnknownPDUHandlers"
	reportContext     report = "snmpUnknownContexts"
	reportUnavailable report = "snmpUnavailableContexts"
)

// The parents of those counters, as BER encodes them.
var (
	usmStats     = []byte{0x2b, 6, 1, 6, 3, 15, 1, 1}
	mpdStats     = []byte{0x2b, 6, 1, 6, 3, 11, 2, 1}
	contextStats = []byte{0x2b, 6, 1, 6, 3, 12, 1}
)

// reportOf names the counter that oid (BER content) is an instance of.
func reportOf(oid []byte) report {
	name := func(parent []byte, names ...report) report {
		rest, ok := bytes.CutPrefix(oid, parent)
		if !ok || len(rest) == 0 || rest[0] == 0 || int(rest[0]) > len(names) {
			return ""
		}
		return names[rest[0]-1]
	}
	if r := name(usmStats, reportLevel, reportTime, reportUser, reportEngine, reportDigest, reportDecryption); r != "" {
		return r
	}
	if r := name(mpdStats, reportModel, reportInvalid, reportHandler); r != "" {
		return r
	}
	return name(contextStats, "", "", "", reportUnavailable, reportContext)
}

// peek reads the outside of an SNMP message. False means that it is none, or a
// broken one.
func peek(b []byte) (message, bool) {
	var m message
	msg := inside(b, 0x30)
	m.version = int(msg.number())
	if m.version != 3 {
		msg.take(0x04) // community
		return m, m.readPDU(&msg) && !msg.bad()
	}
	head := msg.into(0x30)
	m.msgID = uint32(head.number())
	head.number() // msgMaxSize
	if flags := head.take(0x04); len(flags) == 1 {
		m.flags = flags[0]
	}
	security := inside(msg.take(0x04), 0x30)
	m.engineID = security.take(0x04)
	m.boots = uint32(security.number())
	m.time = uint32(security.number())
	if head.bad() || security.bad() || msg.bad() {
		return m, false
	}
	if len(msg.b) > 0 && msg.b[0] == 0x04 {
		return m, true // encrypted
	}
	scoped := msg.into(0x30)
	scoped.take(0x04) // contextEngineID
	scoped.take(0x04) // contextName
	return m, m.readPDU(&scoped) && !scoped.bad()
}

// readPDU reads the PDU that r stands before.
func (m *message) readPDU(r *ber) bool {
	if len(r.b) == 0 {
		return false
	}
	m.pdu = r.b[0]
	pdu := r.into(m.pdu)
	m.requestID = uint32(pdu.number())
	if pdu.bad() {
		return false
	}
	if m.pdu == pduReport {
		pdu.number() // error-status
		pdu.number() // error-index
		list := pdu.into(0x30)
		first := list.into(0x30)
		m.report = reportOf(first.take(0x06))
	}
	return true
}

// ber reads BER elements one after the other. After an error it has no bytes
// any more, and bad says so.
type ber struct{ b []byte }

// fail marks the reader: no slice of a datagram is nil.
func (r *ber) fail() []byte { r.b = nil; return nil }

func (r *ber) bad() bool { return r.b == nil }

// take returns the content of the next element, which must have this tag.
func (r *ber) take(tag byte) []byte {
	if len(r.b) < 2 || r.b[0] != tag {
		return r.fail()
	}
	n, head := int(r.b[1]), 2
	if n >= 0x80 {
		octets := n & 0x7f
		if octets == 0 || octets > 4 || len(r.b) < 2+octets {
			return r.fail()
		}
		n = 0
		for _, c := range r.b[2 : 2+octets] {
			n = n<<8 | int(c)
		}
		head += octets
	}
	if n > len(r.b)-head {
		return r.fail()
	}
	content := r.b[head : head+n : head+n]
	r.b = r.b[head+n:]
	return content
}

// into takes the next element and returns a reader of what is inside.
func (r *ber) into(tag byte) ber { return ber{r.take(tag)} }

// number takes an INTEGER; 0 where it is broken or longer than 64 bits.
func (r *ber) number() int64 {
	content := r.take(0x02)
	if len(content) == 0 || len(content) > 8 {
		r.fail()
		return 0
	}
	n := int64(int8(content[0]))
	for _, c := range content[1:] {
		n = n<<8 | int64(c)
	}
	return n
}

// inside returns a reader of what is inside the one element that b holds.
func inside(b []byte, tag byte) ber {
	r := ber{b}
	return r.into(tag)
}
