package snmp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

func TestLoopIsNoticedAndRowsAreKept(t *testing.T) {
	a := loopback(t, interfaceRows(12)...).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		p := a.honest(q)
		for i, v := range p.Variables {
			if strings.HasPrefix(v.Name, oidIfEntry+".3.") && q.PDUType == gosnmp.GetBulkRequest { // after the last ifDescr comes the first
				p.Variables[i] = text(oidIfEntry+".2.1", "port 1")
			}
		}
		return []gosnmp.SnmpPacket{p}
	})
	r := mustRead(t, a.target())
	f := faultOf(r, "ifTable")
	if len(r.Interfaces) != 12 || r.Interfaces[11].Descr != "port 12" || f == nil || f.Kind != collector.ErrImplausible || !strings.Contains(f.Seen, "circle") {
		t.Errorf("%d interfaces, fault %v", len(r.Interfaces), f)
	}
	if a.requests(nil) > 20 {
		t.Errorf("%d requests", a.requests(nil))
	}
}

func TestRowsOutOfOrderAreReadAndTold(t *testing.T) {
	order := map[string]string{"": "1", "1": "10", "10": "2", "2": "30", "30": "3"} // as text sorts them
	a := loopback(t, interfaceRows(30)...).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		if q.PDUType != gosnmp.GetBulkRequest {
			return []gosnmp.SnmpPacket{a.honest(q)}
		}
		p := a.reply(q)
		cur := make([]string, len(q.Variables))
		for i, v := range q.Variables {
			cur[i] = v.Name
		}
		for range q.MaxRepetitions {
			for i := range cur {
				v := a.next(cur[i], false)
				if strings.HasPrefix(cur[i]+".", oidIfEntry+".2.") {
					next, more := order[strings.TrimPrefix(strings.TrimPrefix(cur[i], oidIfEntry+".2"), ".")]
					if more {
						v = text(oidIfEntry+".2."+next, "port "+next)
					} else {
						v = integer(oidIfEntry+".3.1", 6)
					}
				}
				p.Variables = append(p.Variables, v)
				cur[i] = v.Name
			}
		}
		return []gosnmp.SnmpPacket{p}
	})
	r := mustRead(t, a.target())
	var told []string
	for _, i := range r.Interfaces {
		if i.Descr != "" {
			told = append(told, i.Descr)
		}
	}
	f := faultOf(r, "ifTable")
	if len(told) != 5 || len(r.Interfaces) != 30 || f == nil || !strings.Contains(f.Seen, "out of order") {
		t.Errorf("%d interfaces, told %q, fault %v", len(r.Interfaces), told, f)
	}
}

func TestTableThatNeverEndsIsCut(t *testing.T) {
	n := 0
	a := loopback(t).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		p := a.reply(q)
		for range q.MaxRepetitions {
			n++
			p.Variables = append(p.Variables, integer(".1.3.6.1.4.1.99999.3."+itoa(n), 1))
		}
		if q.PDUType != gosnmp.GetBulkRequest {
			p = a.honest(q)
		}
		return []gosnmp.SnmpPacket{p}
	})
	s := mustOpen(t, a.target())
	rows, err := s.Column(t.Context(), "1.3.6.1.4.1.99999.3")
	if !errors.Is(err, collector.ErrTooLarge) || len(rows) != mostRows {
		t.Errorf("Column = %d rows, %v", len(rows), err)
	}
}

func TestMoreBytesThanAllowedEndTheSession(t *testing.T) {
	a := loopback(t, interfaceRows(200)...)
	tg := a.target()
	tg.Limits.MaxBytes = 8000
	s := mustOpen(t, tg)
	r, err := s.Read(t.Context())
	f := faultOf(r, "ifTable")
	if err != nil || f == nil || f.Kind != collector.ErrTooLarge {
		t.Errorf("Read: fault %v, err %v", f, err)
	}
	if len(r.Interfaces) == 0 {
		t.Error("what came before is lost")
	}
}

func TestTooBigIsAskedForLess(t *testing.T) {
	a := loopback(t, interfaceRows(50)...).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		if p := a.honest(q); len(p.Variables) <= 12 {
			return []gosnmp.SnmpPacket{p}
		}
		return []gosnmp.SnmpPacket{a.status(q, gosnmp.TooBig, 0)}
	})
	if r := mustRead(t, a.target()); len(r.Interfaces) != 50 || len(r.Faults) != 0 {
		t.Errorf("%d interfaces, faults %v", len(r.Interfaces), r.Faults)
	}
}

func TestAgentWithoutBulkIsRead(t *testing.T) {
	a := loopback(t, interfaceRows(9)...).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		if q.PDUType == gosnmp.GetBulkRequest {
			return nil
		}
		return []gosnmp.SnmpPacket{a.honest(q)}
	})
	if r := mustRead(t, a.target()); len(r.Interfaces) != 9 || len(r.Faults) != 0 {
		t.Errorf("%d interfaces, faults %v", len(r.Interfaces), r.Faults)
	}
	if n := a.requests(func(q gosnmp.SnmpPacket) bool { return q.PDUType == gosnmp.GetBulkRequest }); n > 2 {
		t.Errorf("%d GETBULKs: each waits out its time", n)
	}
}

func TestGenErrCostsItsTableOnly(t *testing.T) {
	a := loopback(t, append(interfaceRows(5), text(oidRemEntry+".9.0.1.1", "other"))...)
	a.misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		for i, v := range q.Variables {
			if strings.HasPrefix(v.Name, ".1.0.8802.") {
				return []gosnmp.SnmpPacket{a.status(q, gosnmp.GenErr, i+1)}
			}
		}
		return []gosnmp.SnmpPacket{a.honest(q)}
	})
	r := mustRead(t, a.target())
	f := faultOf(r, "lldpRemTable")
	if len(r.Interfaces) != 5 || faultOf(r, "ifTable") != nil || f == nil || f.Kind != collector.ErrIncomplete || !strings.Contains(f.Seen, "GenErr") {
		t.Errorf("%d interfaces, faults %v", len(r.Interfaces), r.Faults)
	}
}

// One value that cannot be decoded spoils every page that it is on.
func TestBrokenValueCostsItsColumnOnly(t *testing.T) {
	a := loopback(t, append(interfaceRows(30), gosnmp.SnmpPDU{Name: oidIfEntry + ".6.17", Type: gosnmp.OctetString, Value: "BROKEN"})...)
	a.garble(func(b []byte) []byte {
		if i := strings.Index(string(b), "\x04\x06BROKEN"); i >= 0 {
			b[i], b[i+1] = byte(gosnmp.IPAddress), 6 // an IP address of six bytes
		}
		return b
	})
	r := mustRead(t, a.target())
	f := faultOf(r, "ifTable")
	if f == nil || f.Kind != collector.ErrImplausible {
		t.Errorf("fault %v", f)
	}
	if len(r.Interfaces) != 30 || r.Interfaces[29].Descr != "port 30" || r.Interfaces[29].Type != "ethernetCsmacd" || r.Interfaces[29].Name != "p30" {
		t.Errorf("interfaces: %+v", r.Interfaces)
	}
}

func TestValuesOfWrongTypeAreLeftOutAndTold(t *testing.T) {
	a := loopback(t, text(oidIfEntry+".2.1", "eth0"), text(oidIfEntry+".3.1", "six"), integer(oidIfXEntry+".18.1", 4),
		gosnmp.SnmpPDU{Name: oidIfEntry + ".5.1", Type: gosnmp.IPAddress, Value: "192.0.2.1"},
		gosnmp.SnmpPDU{Name: oidIfEntry + ".6.1", Type: gosnmp.Null})
	r := mustRead(t, a.target())
	if len(r.Interfaces) != 1 || r.Interfaces[0].Descr != "eth0" || r.Interfaces[0].Type != "" || r.Interfaces[0].SpeedBps != 0 {
		t.Errorf("interfaces: %+v", r.Interfaces)
	}
	if f := faultOf(r, "ifTable"); f == nil || !strings.Contains(f.Seen, "3 values of a wrong type") {
		t.Errorf("fault %v", f)
	}
	if f := faultOf(r, "ifXTable"); f == nil {
		t.Errorf("a number for ifAlias is no fault: %v", r.Faults)
	}
}

func TestAgentThatStopsIsLeftAfterOneTable(t *testing.T) {
	rows := append(interfaceRows(60), text(oidPhysical+".7.1", "chassis"), integer(oidVLANStatic+".5.1", 1))
	a := loopback(t, rows...).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		if len(a.asked) > 4 {
			return nil
		}
		return []gosnmp.SnmpPacket{a.honest(q)}
	})
	begin := time.Now()
	r := mustRead(t, a.target())
	if took := time.Since(begin); took > time.Second {
		t.Errorf("took %s: each table had its own patience", took)
	}
	if f := faultOf(r, "ifTable"); f == nil || f.Kind != collector.ErrTimedOut || len(r.Interfaces) == 0 {
		t.Errorf("%d interfaces, fault %v", len(r.Interfaces), f)
	}
	if faultOf(r, "entPhysicalTable") == nil || faultOf(r, "dot1qVlanStaticTable") == nil {
		t.Errorf("tables that were not read are not named: %v", r.Faults)
	}
}

func TestAnswersCutShortAreReadOn(t *testing.T) {
	a := loopback(t, interfaceRows(40)...).misbehave(func(a *agent, q gosnmp.SnmpPacket) []gosnmp.SnmpPacket {
		p := a.honest(q)
		if q.PDUType == gosnmp.GetBulkRequest && len(p.Variables) > 7 {
			p.Variables = p.Variables[:7] // in the middle of a row
		}
		return []gosnmp.SnmpPacket{p}
	})
	r := mustRead(t, a.target())
	if len(r.Interfaces) != 40 || r.Interfaces[39].Name != "p40" || r.Interfaces[39].Oper != "up" || len(r.Faults) != 0 {
		t.Errorf("%d interfaces, faults %v", len(r.Interfaces), r.Faults)
	}
}

func TestSystemGroupOutOfViewIsNamed(t *testing.T) {
	a := loopback(t)
	a.mu.Lock()
	a.table = []gosnmp.SnmpPDU{integer(".1.3.6.1.4.1.99999.1.0", 1)}
	a.mu.Unlock()
	r := mustRead(t, a.target())
	if f := faultOf(r, "system"); f == nil || f.Kind != collector.ErrRightsMissing {
		t.Errorf("fault %v", f)
	}
}
