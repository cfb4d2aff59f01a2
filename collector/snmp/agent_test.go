package snmp

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
	"muster/internal/secret"
)

// agent is a small SNMP agent that can be made to misbehave where the lab's
// cannot: it encodes with gosnmp, so it proves nothing about encoding.
type agent struct {
	t     *testing.T
	conn  *net.UDPConn
	addr  netip.AddrPort
	table []gosnmp.SnmpPDU // in order; leading dots

	mu     sync.Mutex // guards what follows
	asked  []gosnmp.SnmpPacket
	answer func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket // nil: a.honest
	raw    func(sent []byte) []byte                                // changes what goes out; nil: nothing
	from   *net.UDPConn                                            // sends the answers; nil: conn
	usm    *gosnmp.UsmSecurityParameters                           // nil: no SNMPv3
}

const testCommunity = "fake-community"

var testEngine = []byte{0x80, 0, 0, 0, 1, 1, 2, 3}

// startAgent runs an agent on a loopback address until the test ends. Rows are
// sorted here.
func startAgent(t *testing.T, at netip.AddrPort, rows ...gosnmp.SnmpPDU) *agent {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), table: append([]gosnmp.SnmpPDU{
		text(oidSysDescr, "Small agent"),
		{Name: oidSysObjectID, Type: gosnmp.ObjectIdentifier, Value: ".1.3.6.1.4.1.99999.1"},
		{Name: oidSysUpTime, Type: gosnmp.TimeTicks, Value: uint32(4200)},
		text(oidSysName, "small"),
	}, rows...)}
	slices.SortStableFunc(a.table, func(x, y gosnmp.SnmpPDU) int { return compareOIDs(x.Name[1:], y.Name[1:]) })
	done := make(chan struct{})
	go func() { defer close(done); a.serve() }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return a
}

func loopback(t *testing.T, rows ...gosnmp.SnmpPDU) *agent {
	t.Helper()
	return startAgent(t, netip.MustParseAddrPort("127.0.0.1:0"), rows...)
}

func text(oid, v string) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.OctetString, Value: v}
}

func integer(oid string, n int) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.Integer, Value: n}
}

// withUser makes the agent speak SNMPv3 with one user, auth SHA-256.
func (a *agent) withUser(name, password string, engineID []byte) *agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.usm = &gosnmp.UsmSecurityParameters{
		UserName: name, AuthoritativeEngineID: string(engineID), AuthoritativeEngineBoots: 3, AuthoritativeEngineTime: 100,
		AuthenticationProtocol: gosnmp.SHA256, PrivacyProtocol: gosnmp.NoPriv,
		SecretKey: localized(authProtocols["sha256"].hash, password, engineID),
	}
	return a
}

func (a *agent) misbehave(f func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket) *agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
	return a
}

func (a *agent) garble(f func(sent []byte) []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raw = f
}

// requests is how many requests came that keep says yes to; nil: all.
func (a *agent) requests(keep func(q gosnmp.SnmpPacket) bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, q := range a.asked {
		if keep == nil || keep(q) {
			n++
		}
	}
	return n
}

func (a *agent) serve() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		out := a.conn
		answers := a.handle(buf[:n])
		a.mu.Lock()
		if a.from != nil {
			out = a.from
		}
		a.mu.Unlock()
		for _, b := range answers {
			_, _ = out.WriteToUDPAddrPort(b, from) // the asker may be gone
		}
	}
}

func (a *agent) handle(b []byte) [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, ok := peek(b)
	if !ok {
		return nil
	}
	dec := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
	if m.version == 3 {
		if a.usm == nil {
			return nil
		}
		if !bytes.Equal(m.engineID, []byte(a.usm.AuthoritativeEngineID)) {
			a.asked = append(a.asked, gosnmp.SnmpPacket{Version: gosnmp.Version3})
			return a.encode(a.report(m, ".1.3.6.1.6.3.15.1.1.4.0", gosnmp.NoAuthNoPriv))
		}
		known := a.usm.Copy()
		dec = &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: gosnmp.AuthNoPriv, SecurityParameters: known}
	}
	q, err := dec.SnmpDecodePacket(bytes.Clone(b))
	if err != nil {
		return nil
	}
	a.asked = append(a.asked, *q)
	if q.Version == gosnmp.Version3 {
		if u := q.SecurityParameters.(*gosnmp.UsmSecurityParameters); u.UserName != a.usm.UserName {
			return a.encode(a.report(m, ".1.3.6.1.6.3.15.1.1.3.0", gosnmp.NoAuthNoPriv))
		}
		if !a.signed(b) {
			return a.encode(a.report(m, ".1.3.6.1.6.3.15.1.1.5.0", gosnmp.NoAuthNoPriv))
		}
	} else if q.Community != testCommunity {
		return nil
	}
	if a.answer != nil {
		return a.encode(a.answer(a, *q)...)
	}
	return a.encode(a.honest(*q))
}

// signed verifies a request by signing it again.
func (a *agent) signed(b []byte) bool {
	again := bytes.Clone(b)
	x := &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: gosnmp.AuthNoPriv, SecurityParameters: a.usm.Copy()}
	q, err := x.SnmpDecodePacket(again) // blanks the signature in again
	if err != nil {
		return false
	}
	sp := q.SecurityParameters.(*gosnmp.UsmSecurityParameters)
	h := authProtocols["sha256"].hash
	mac := hmacOf(h.New, a.usm.SecretKey, again)[:24]
	return bytes.Equal(mac, []byte(sp.AuthenticationParameters))
}

func (a *agent) encode(packets ...gosnmp.SnmpPacket) [][]byte {
	var out [][]byte
	for i := range packets {
		b, err := packets[i].MarshalMsg()
		if err != nil {
			a.t.Errorf("the test's agent cannot encode: %v", err)
			continue
		}
		if a.raw != nil {
			b = a.raw(b)
		}
		if b != nil {
			out = append(out, b)
		}
	}
	return out
}

// reply is an answer to q without variables.
func (a *agent) reply(q gosnmp.SnmpPacket) gosnmp.SnmpPacket {
	p := gosnmp.SnmpPacket{Version: q.Version, Community: q.Community, PDUType: gosnmp.GetResponse, RequestID: q.RequestID, MsgID: q.MsgID}
	if q.Version == gosnmp.Version3 {
		p.MsgFlags, p.SecurityModel = gosnmp.AuthNoPriv, gosnmp.UserSecurityModel
		p.SecurityParameters, p.ContextEngineID = a.usm.Copy(), a.usm.AuthoritativeEngineID
	}
	return p
}

func (a *agent) report(m message, counter string, flags gosnmp.SnmpV3MsgFlags) gosnmp.SnmpPacket {
	sp := a.usm.Copy().(*gosnmp.UsmSecurityParameters)
	if flags == gosnmp.NoAuthNoPriv {
		sp.UserName = ""
	}
	return gosnmp.SnmpPacket{
		Version: gosnmp.Version3, MsgFlags: flags, SecurityModel: gosnmp.UserSecurityModel, SecurityParameters: sp,
		ContextEngineID: sp.AuthoritativeEngineID, PDUType: gosnmp.Report, MsgID: m.msgID, RequestID: m.requestID,
		Variables: []gosnmp.SnmpPDU{{Name: counter, Type: gosnmp.Counter32, Value: uint(1)}},
	}
}

func (a *agent) status(q gosnmp.SnmpPacket, e gosnmp.SNMPError, index int) gosnmp.SnmpPacket {
	p := a.reply(q)
	p.Error, p.ErrorIndex, p.Variables = e, uint8(index), q.Variables
	return p
}

// honest answers as an agent should.
func (a *agent) honest(q gosnmp.SnmpPacket) gosnmp.SnmpPacket {
	p := a.reply(q)
	repetitions := 1
	if q.PDUType == gosnmp.GetBulkRequest {
		repetitions = int(q.MaxRepetitions)
	}
	cur := make([]string, len(q.Variables))
	for i, v := range q.Variables {
		cur[i] = v.Name
	}
	for range repetitions {
		for i := range cur {
			v := a.next(cur[i], q.PDUType == gosnmp.GetRequest)
			if q.Version == gosnmp.Version1 && (v.Type == gosnmp.NoSuchInstance || v.Type == gosnmp.EndOfMibView) {
				return a.status(q, gosnmp.NoSuchName, i+1)
			}
			p.Variables = append(p.Variables, v)
			cur[i] = v.Name
		}
	}
	return p
}

func (a *agent) next(oid string, itself bool) gosnmp.SnmpPDU {
	for _, v := range a.table {
		if itself && v.Name == oid || !itself && compareOIDs(v.Name[1:], oid[1:]) > 0 {
			return v
		}
	}
	if itself {
		return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.NoSuchInstance}
	}
	return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.EndOfMibView}
}

// target is the agent with short deadlines and a community.
func (a *agent) target() collector.Target {
	return collector.Target{
		Device: "small", Addr: a.addr,
		Credential: collector.Credential{Name: "ro", Kind: collector.KindSNMPv2c, Community: secret.New(testCommunity)},
		Limits:     collector.Limits{SNMPTimeout: 100 * time.Millisecond},
	}
}

// targetV3 is the agent with a user.
func (a *agent) targetV3(user, password string) collector.Target {
	t := a.target()
	t.Credential = userCredential("v3", user, password)
	return t
}

func userCredential(name, user, password string) collector.Credential {
	return collector.Credential{Name: name, Kind: collector.KindSNMPv3, User: user, AuthProtocol: "sha256", Auth: secret.New(password)}
}

// mustOpen opens a session that the test closes.
func mustOpen(t *testing.T, target collector.Target) *Session {
	t.Helper()
	s, err := Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// mustRead opens, reads and gives the reading.
func mustRead(t *testing.T, target collector.Target) Reading {
	t.Helper()
	r, err := mustOpen(t, target).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// faultOf gives the fault of a table, or nil.
func faultOf(r Reading, table string) *collector.Error {
	for _, f := range r.Faults {
		if f.Step == collector.Step(table) {
			return f
		}
	}
	return nil
}

// interfaceRows makes n rows of ifTable.
func interfaceRows(n int) []gosnmp.SnmpPDU {
	var rows []gosnmp.SnmpPDU
	for i := 1; i <= n; i++ {
		id := "." + itoa(i)
		rows = append(rows, text(oidIfEntry+".2"+id, "port "+itoa(i)), integer(oidIfEntry+".3"+id, 6), integer(oidIfEntry+".8"+id, 1),
			text(oidIfXEntry+".1"+id, "p"+itoa(i)))
	}
	return rows
}
