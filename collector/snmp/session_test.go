package snmp

import (
	"context"
	"crypto/hmac"
	"errors"
	"hash"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
	"muster/internal/secret"
)

func itoa(n int) string { return strconv.Itoa(n) }

func hmacOf(h func() hash.Hash, key, text []byte) []byte {
	m := hmac.New(h, key)
	m.Write(text)
	return m.Sum(nil)
}

// gosnmp 1.47 takes an answer with request-id 0 for the answer to anything.
func TestRequestIDZeroIsNoAnswer(t *testing.T) {
	a := loopback(t).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		p := a.honest(q)
		p.RequestID = 0
		return []gosnmp.SnmpPacket{p}
	})
	if _, err := Open(t.Context(), a.target()); !errors.Is(err, collector.ErrTimedOut) || !strings.Contains(err.Error(), "answer no question of ours") {
		t.Errorf("Open = %v, want timed-out and what came instead", err)
	}
}

// gosnmp 1.47 verifies an answer with keys made for whatever engine it names.
// Made from no password, anybody can make them.
func TestForgedEngineIsNotBelieved(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	a.misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		p := a.honest(q)
		forged := p.SecurityParameters.(*gosnmp.UsmSecurityParameters)
		forged.AuthoritativeEngineID = "forged engine"
		forged.SecretKey = []byte{}
		return []gosnmp.SnmpPacket{p}
	})
	if _, err := Open(t.Context(), a.targetV3("muster", "fake-password")); !errors.Is(err, collector.ErrTimedOut) {
		t.Errorf("Open = %v, want timed-out: nothing that was signed by the engine came", err)
	}
}

func TestUnsignedAnswerIsNotBelieved(t *testing.T) {
	a := loopback(t).withUser("muster", "fake-password", testEngine)
	a.misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		p := a.honest(q)
		p.MsgFlags = gosnmp.NoAuthNoPriv
		return []gosnmp.SnmpPacket{p}
	})
	if _, err := Open(t.Context(), a.targetV3("muster", "fake-password")); !errors.Is(err, collector.ErrImplausible) || !strings.Contains(err.Error(), "did not sign") {
		t.Errorf("Open = %v, want that the answer is not signed", err)
	}
}

func TestRejectedUserIsToldAtOnceAndOnce(t *testing.T) {
	tests := map[string]struct{ user, password, seen string }{
		"unknown user":   {"nobody", "fake-password", "usmStatsUnknownUserNames"},
		"wrong password": {"muster", "wrong-password", "usmStatsWrongDigests"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := loopback(t).withUser("muster", "fake-password", testEngine)
			_, err := Open(t.Context(), a.targetV3(tt.user, tt.password))
			var e *collector.Error
			if !errors.As(err, &e) || e.Kind != collector.ErrLoginRejected || e.Seen != tt.seen || e.Do == "" || e.Step != collector.StepSystem {
				t.Errorf("Open = %v, want login-rejected with %s and what to do", err, tt.seen)
			}
			if strings.Contains(err.Error(), tt.password) {
				t.Error("the password is in the error")
			}
			if n := a.requests(func(q gosnmp.SnmpPacket) bool { return q.MsgID != 0 }); n != 1 {
				t.Errorf("the user was tried %d times", n)
			}
		})
	}
}

func TestEngineThatBeginsAnewIsFollowed(t *testing.T) {
	a := loopback(t, interfaceRows(40)...).withUser("muster", "fake-password", testEngine)
	s := mustOpen(t, a.targetV3("muster", "fake-password"))
	a.withUser("muster", "fake-password", []byte("another engine"))
	r, err := s.Read(t.Context())
	if err != nil || len(r.Interfaces) != 40 {
		t.Fatalf("Read = %d interfaces, %v", len(r.Interfaces), err)
	}
	if faultOf(r, "engine") == nil {
		t.Error("nothing tells that the engine changed")
	}
}

func TestEngineOutsideTheTimeWindowIsFollowed(t *testing.T) {
	a := loopback(t, interfaceRows(3)...).withUser("muster", "fake-password", testEngine)
	first := true
	a.misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		if first {
			first = false
			a.usm.AuthoritativeEngineTime = 90_000
			return []gosnmp.SnmpPacket{a.report(message{msgID: q.MsgID, requestID: q.RequestID}, ".1.3.6.1.6.3.15.1.1.2.0", gosnmp.AuthNoPriv)}
		}
		return []gosnmp.SnmpPacket{a.honest(q)}
	})
	s := mustOpen(t, a.targetV3("muster", "fake-password"))
	if sys := s.System(); sys.Name != "small" || sys.EngineTime != 90_000 || string(sys.EngineID) != string(testEngine) {
		t.Errorf("System = %+v", sys)
	}
}

func TestCancelEndsAWait(t *testing.T) {
	tests := map[string]func(a *agent) collector.Target{
		"v2c": (*agent).target,
		"v3":  func(a *agent) collector.Target { return a.targetV3("muster", "fake-password") },
	}
	for name, target := range tests {
		t.Run(name, func(t *testing.T) {
			a := loopback(t).withUser("muster", "fake-password", testEngine)
			ctx, cancel := context.WithCancel(t.Context())
			a.garble(func([]byte) []byte { cancel(); return nil }) // asked, and silent
			tg := target(a)
			tg.Limits.SNMPTimeout = time.Hour
			if _, err := Open(ctx, tg); !errors.Is(err, context.Canceled) {
				t.Errorf("Open = %v, want the context's end", err)
			}
		})
	}
}

func TestClosedPortIsRefused(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	_ = conn.Close()
	if _, err := Open(t.Context(), a.target()); !errors.Is(err, collector.ErrRefused) {
		t.Errorf("Open = %v, want refused", err)
	}
}

func TestSilenceNamesTheAccessList(t *testing.T) {
	a := loopback(t)
	tg := a.target()
	tg.Credential.Community = secret.New("wrong-community")
	_, err := Open(t.Context(), tg)
	if !errors.Is(err, collector.ErrTimedOut) || !strings.Contains(err.Error(), "agents ignore askers outside it") || strings.Contains(err.Error(), "wrong-community") {
		t.Errorf("Open = %v", err)
	}
	if n := a.requests(nil); n != 3 {
		t.Errorf("asked %d times, want the first and 2 retries", n)
	}
}

func TestCredentialsThatCannotWorkAreNotSent(t *testing.T) {
	a := loopback(t)
	tests := map[string]func(c *collector.Credential){
		"no community":     func(c *collector.Credential) { c.Community = secret.Value{} },
		"an SSH account":   func(c *collector.Credential) { c.Kind = collector.KindSSH },
		"unknown protocol": func(c *collector.Credential) { *c = userCredential("v3", "u", "p"); c.AuthProtocol = "sha3" },
		"privacy without auth": func(c *collector.Credential) {
			*c = userCredential("v3", "u", "p")
			c.AuthProtocol, c.PrivProtocol = "", "aes"
		},
		"empty password": func(c *collector.Credential) { *c = userCredential("v3", "u", "") },
	}
	for name, change := range tests {
		tg := a.target()
		change(&tg.Credential)
		if _, err := Open(t.Context(), tg); !errors.Is(err, collector.ErrNeedsCredential) {
			t.Errorf("%s: Open = %v, want needs-credential", name, err)
		}
	}
	if n := a.requests(nil); n != 0 {
		t.Errorf("%d packets went out", n)
	}
}

func TestV1AgentThatMissesAScalarIsRead(t *testing.T) {
	a := loopback(t, interfaceRows(4)...)
	tg := a.target()
	tg.Credential.Kind = collector.KindSNMPv1
	r := mustRead(t, tg)
	if r.System.Name != "small" || r.System.UpTime != 42*time.Second || len(r.Interfaces) != 4 || len(r.Faults) != 0 {
		t.Errorf("Read = %+v", r)
	}
}

func TestPingIsOneRequest(t *testing.T) {
	a := loopback(t, integer(oidEngineBoots, 7))
	sys, err := Ping(t.Context(), a.target())
	if err != nil || sys.UpTime != 42*time.Second || sys.EngineBoots != 7 {
		t.Errorf("Ping = %+v, %v", sys, err)
	}
	if n := a.requests(nil); n != 1 {
		t.Errorf("Ping sent %d requests", n)
	}
}

func TestGetAndColumnAskOnceOnly(t *testing.T) {
	a := loopback(t, append(interfaceRows(30),
		gosnmp.SnmpPDU{Name: ".1.3.6.1.4.1.99999.2.1.0", Type: gosnmp.OctetString, Value: "\x00\x1b\x21"},
		gosnmp.SnmpPDU{Name: ".1.3.6.1.4.1.99999.2.2.0", Type: gosnmp.ObjectIdentifier, Value: ".1.3.6"},
		integer(".1.3.6.1.4.1.99999.2.3.0", -5))...)
	s := mustOpen(t, a.target())
	if _, err := s.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func() (map[string]string, map[string]string) {
		got, err := s.Get(t.Context(), "1.3.6.1.4.1.99999.2.1.0", ".1.3.6.1.4.1.99999.2.2.0", "1.3.6.1.4.1.99999.2.3.0", "1.3.6.1.4.1.99999.2.9.0",
			"1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.2.2.1.2.7")
		if err != nil {
			t.Fatal(err)
		}
		col, err := s.Column(t.Context(), "1.3.6.1.2.1.2.2.1.2")
		if err != nil {
			t.Fatal(err)
		}
		return got, col
	}
	before := a.requests(nil)
	got, col := ask()
	want := map[string]string{
		"1.3.6.1.4.1.99999.2.1.0": "00:1b:21", "1.3.6.1.4.1.99999.2.2.0": "1.3.6", "1.3.6.1.4.1.99999.2.3.0": "-5",
		"1.3.6.1.2.1.1.5.0": "small", "1.3.6.1.2.1.2.2.1.2.7": "port 7",
	}
	if len(got) != len(want) {
		t.Errorf("Get = %v", got)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("Get %s = %q, want %q", k, got[k], v)
		}
	}
	if len(col) != 30 || col["30"] != "port 30" {
		t.Errorf("Column = %v", col)
	}
	if n := a.requests(nil) - before; n != 1 {
		t.Errorf("%d requests for four unknown scalars", n)
	}
	ask()
	if n := a.requests(nil) - before; n != 1 {
		t.Errorf("asked again: %d requests", n)
	}
	for _, bad := range []string{"", "ifDescr", "1.3.-6", "9.9.9"} {
		if _, err := s.Get(t.Context(), bad); err == nil {
			t.Errorf("Get(%q) has no error", bad)
		}
	}
}

func TestClosedSessionAnswersWithAnError(t *testing.T) {
	a := loopback(t)
	s := mustOpen(t, a.target())
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if _, err := s.Get(t.Context(), "1.3.6.1.4.1.1.1.0"); err == nil {
		t.Error("Get on a closed session has no error")
	}
}

func TestStackDumpsAreCutOff(t *testing.T) {
	err := shortened(errors.New("recover: index out of range Stack:goroutine 1 [running]:\nmain.main()"))
	if err.Error() != "recover: index out of range" {
		t.Errorf("shortened = %q", err)
	}
}
