package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
)

// client asks the device's agent as g says; the zero value asks over v2c.
func client(t *testing.T, n *Network, name string, g *gosnmp.GoSNMP) *gosnmp.GoSNMP {
	t.Helper()
	at := n.SNMP(name)
	g.Target, g.Port, g.Retries, g.MaxOids = at.Addr().String(), at.Port(), 0, 60
	if g.Timeout == 0 {
		g.Timeout = 3 * time.Second
	}
	if g.Version == gosnmp.Version1 && g.Community == "" {
		g.Version, g.Community = gosnmp.Version2c, Community
	}
	if err := g.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Conn.Close() })
	return g
}

// walk reads a subtree by GETBULK, as text by the OID behind the root.
func walk(t *testing.T, g *gosnmp.GoSNMP, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := g.BulkWalk(root, func(p gosnmp.SnmpPDU) error {
		v := fmt.Sprint(p.Value)
		if b, ok := p.Value.([]byte); ok {
			v = string(b)
		}
		out[strings.TrimPrefix(p.Name, "."+root+".")] = v
		return nil
	})
	if err != nil {
		t.Fatalf("walk %s: %v", root, err)
	}
	return out
}

func TestWhatDevicesAreCanBeFoundTheVendorsWay(t *testing.T) {
	o := Demo()
	o.Devices = append(o.Devices, Device{Name: "sw-9", Platform: IOS}, Device{Name: "r-9", Platform: FRR, SysDescr: "Network element"})
	n := start(t, o)
	tests := map[string]struct{ oid, want string }{
		"par-acc-1":  {"1.3.6.1.2.1.47.1.1.1.1.11.1000", "FAK2640X007"},
		"sw-9":       {"1.3.6.1.2.1.47.1.1.1.1.13.1001", "WS-C2960X-24TS-L"},
		"par-dist-2": {"1.3.6.1.2.1.1.1.0", "Arista Networks EOS version 4.28.3M running on an Arista Networks DCS-7050SX3-48YC8"},
		"par-core-1": {"1.3.6.1.4.1.2636.3.1.3.0", "FAK26001AFA"},
		"par-core-2": {"1.3.6.1.4.1.2636.3.1.2.0", "Juniper MX480 Internet Backbone Router"},
		"par-fw-1":   {"1.3.6.1.4.1.12356.100.1.1.1.0", "FG100FTK26000021"},
		"par-fw-2":   {"1.3.6.1.4.1.12356.101.13.2.1.1.2.1", "FG100FTK26000021"},
		"par-acc-3":  {"1.3.6.1.4.1.9.9.23.1.3.4.0", "par-acc-3.example.net"},
		"par-dist-1": {"1.3.6.1.2.1.17.7.1.4.3.1.1.20", "office"},
		"r-9":        {"1.3.6.1.2.1.1.1.0", "Network element"},
	}
	for name, tt := range tests {
		p, err := client(t, n, name, &gosnmp.GoSNMP{}).Get([]string{tt.oid, "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.99.0"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v := p.Variables
		if got := string(v[0].Value.([]byte)); got != tt.want {
			t.Errorf("%s: %s is %q, want %q", name, tt.oid, got, tt.want)
		}
		if got := string(v[1].Value.([]byte)); got != name {
			t.Errorf("%s: sysName is %q", name, got)
		}
		if v[2].Type != gosnmp.TimeTicks || v[3].Type != gosnmp.NoSuchObject {
			t.Errorf("%s: sysUpTime has type %v, an unknown object %v", name, v[2].Type, v[3].Type)
		}
	}
}

func TestNeighborsAgreeAtBothEnds(t *testing.T) {
	o := Demo()
	n := start(t, o)
	const ports, remote = "1.0.8802.1.1.2.1.3.7.1.3", "1.0.8802.1.1.2.1.4.1.1"
	seen := map[string]bool{}
	for _, d := range n.Devices() {
		g := client(t, n, d.Name, &gosnmp.GoSNMP{})
		local, names, far := walk(t, g, ports), walk(t, g, remote+".9"), walk(t, g, remote+".7")
		for index, peer := range names {
			seen[d.Name+" "+local[strings.Split(index, ".")[1]]+" > "+peer+" "+far[index]] = true
		}
	}
	ends := 0
	for _, l := range o.Links {
		if n.node(l.A).port(l.APort).lldp == 0 || n.node(l.B).port(l.BPort).lldp == 0 {
			continue // an ASA speaks no LLDP
		}
		ends += 2
		for _, want := range []string{l.A + " " + l.APort + " > " + l.B + " " + l.BPort, l.B + " " + l.BPort + " > " + l.A + " " + l.APort} {
			if !seen[want] {
				t.Errorf("nobody says %s", want)
			}
		}
	}
	if len(seen) != ends || ends < 80 {
		t.Errorf("%d neighbors are told of, the links have %d ends", len(seen), ends)
	}
}

func TestCiscoDevicesTellOfEachOtherByCDP(t *testing.T) {
	n := start(t, Demo())
	const ids, ports = "1.3.6.1.4.1.9.9.23.1.2.1.1.6", "1.3.6.1.4.1.9.9.23.1.2.1.1.7"
	acc, core := n.node("lyo-acc-1"), n.node("lyo-core-1")
	g := client(t, n, "lyo-acc-1", &gosnmp.GoSNMP{})
	at := fmt.Sprintf("%d.", acc.port("Te1/1/1").index)
	for index, id := range walk(t, g, ids) {
		if strings.HasPrefix(index, at) && (id != "lyo-core-1("+core.spec.Serial+")" || walk(t, g, ports)[index] != "Ethernet1/11") {
			t.Errorf("lyo-acc-1 says %s %s of %s", id, walk(t, g, ports)[index], index)
		}
	}
	if got := len(walk(t, g, ids)); got != 2 {
		t.Errorf("lyo-acc-1 has %d neighbors by CDP, not the two cores", got)
	}
	if got := walk(t, client(t, n, "par-dist-1", &gosnmp.GoSNMP{}), ids); len(got) > 0 {
		t.Errorf("an Arista switch speaks CDP: %v", got)
	}
}

func TestStackHasChassisAndSerialOfEachMember(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "stack", Members: 3}}})
	g := client(t, n, "stack", &gosnmp.GoSNMP{})
	serials := map[string]bool{}
	rows := walk(t, g, "1.3.6.1.2.1.47.1.1.1.1.11")
	for index, class := range walk(t, g, "1.3.6.1.2.1.47.1.1.1.1.5") {
		if class == fmt.Sprint(classChassis) {
			serials[rows[index]] = true
		}
	}
	if len(serials) != 3 {
		t.Errorf("three members have the serials %v", serials)
	}
}

func TestTablesHoldTheAddressThatAnswers(t *testing.T) {
	n := start(t, Demo())
	for _, d := range n.Devices() {
		g := client(t, n, d.Name, &gosnmp.GoSNMP{})
		addr := n.Addr(d.Name).String()
		index := walk(t, g, "1.3.6.1.2.1.4.20.1.2")[addr]
		if index == "" || walk(t, g, "1.3.6.1.2.1.4.34.1.3")["1.4."+addr] != index {
			t.Errorf("%s: %s is on interface %q of ipAddrTable", d.Name, addr, index)
		}
		if name := walk(t, g, "1.3.6.1.2.1.31.1.1.1.1")[index]; name == "" {
			t.Errorf("%s: no interface %q in ifXTable", d.Name, index)
		}
		if len(walk(t, g, "1.3.6.1.2.1.2.2.1.6")) != len(n.node(d.Name).ports) {
			t.Errorf("%s: rows of ifTable are missing", d.Name)
		}
	}
}

func TestEveryUSMCombinationIsAnswered(t *testing.T) {
	auths := map[string]gosnmp.SnmpV3AuthProtocol{"md5": gosnmp.MD5, "sha": gosnmp.SHA, "sha224": gosnmp.SHA224, "sha256": gosnmp.SHA256, "sha384": gosnmp.SHA384, "sha512": gosnmp.SHA512}
	privs := map[string]gosnmp.SnmpV3PrivProtocol{"": gosnmp.NoPriv, "des": gosnmp.DES, "aes": gosnmp.AES, "aes192": gosnmp.AES192, "aes256": gosnmp.AES256, "aes192c": gosnmp.AES192C, "aes256c": gosnmp.AES256C}
	d := Device{Name: "r1", Platform: FRR}
	for a := range auths {
		for p := range privs {
			d.SNMPUsers = append(d.SNMPUsers, SNMPUser{Name: a + "-" + p, Auth: a, AuthPassword: AuthPassword, Priv: p, PrivPassword: PrivPassword})
		}
	}
	d.SNMPUsers = append(d.SNMPUsers, SNMPUser{Name: "open"})
	n := start(t, Options{Devices: []Device{d}})
	for _, u := range d.SNMPUsers {
		g := v3(u, auths[u.Auth], privs[u.Priv])
		if rows := walk(t, client(t, n, "r1", g), "1.3.6.1.2.1.31.1.1.1.1"); len(rows) != 5 || rows["3"] != "eth1" {
			t.Errorf("%s: got %v", u.Name, rows)
		}
	}
	for what, u := range map[string]SNMPUser{
		"unknown user":     {Name: "nobody", AuthPassword: AuthPassword, PrivPassword: PrivPassword},
		"wrong password":   {Name: "sha-aes", AuthPassword: "wrong-password", PrivPassword: PrivPassword},
		"wrong privacy":    {Name: "sha-aes", AuthPassword: AuthPassword, PrivPassword: "wrong-password"},
		"unfit level":      {Name: "sha-", AuthPassword: AuthPassword, PrivPassword: PrivPassword},
		"community, no v3": {},
	} {
		g := v3(u, gosnmp.SHA, gosnmp.AES)
		if u.Name == "" {
			g = &gosnmp.GoSNMP{}
		}
		g.Timeout = 50 * time.Millisecond
		if _, err := client(t, n, "r1", g).Get([]string{"1.3.6.1.2.1.1.5.0"}); err == nil {
			t.Errorf("%s: answered", what)
		}
	}
	if c := n.AgentCount("r1"); c.WrongCredential < 4 || c.Sets != 0 || c.Answers == 0 {
		t.Errorf("the agent counted %+v", c)
	}
}

func v3(u SNMPUser, auth gosnmp.SnmpV3AuthProtocol, priv gosnmp.SnmpV3PrivProtocol) *gosnmp.GoSNMP {
	flags := gosnmp.NoAuthNoPriv
	if u.Auth != "" || u.AuthPassword != "" {
		flags = gosnmp.AuthNoPriv
		if priv != gosnmp.NoPriv {
			flags = gosnmp.AuthPriv
		}
	} else {
		auth, priv = gosnmp.NoAuth, gosnmp.NoPriv
	}
	return &gosnmp.GoSNMP{
		Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: flags,
		SecurityParameters: &gosnmp.UsmSecurityParameters{
			UserName: u.Name, AuthenticationProtocol: auth, AuthenticationPassphrase: u.AuthPassword,
			PrivacyProtocol: priv, PrivacyPassphrase: u.PrivPassword,
		},
	}
}

func TestVersion1HasNoCounter64(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR}}})
	g := client(t, n, "r1", &gosnmp.GoSNMP{Version: gosnmp.Version1, Community: Community})
	rows, err := g.WalkAll("1.3.6.1.2.1.31.1.1.1")
	if err != nil || len(rows) != 5*4 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestAgentFaultsShowAndEnd(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "sw1"}}})
	const descr = "1.3.6.1.2.1.2.2.1.2"
	column := func(g *gosnmp.GoSNMP) (index []string, err error) {
		at := descr
		for range 80 {
			p, err := g.GetNext([]string{at})
			if err != nil {
				return index, err
			}
			at = strings.TrimPrefix(p.Variables[0].Name, ".")
			if !strings.HasPrefix(at, descr+".") {
				return index, nil
			}
			index = append(index, at[len(descr)+1:])
		}
		return index, nil
	}
	healthy, err := column(client(t, n, "sw1", &gosnmp.GoSNMP{}))
	if err != nil || len(healthy) != 31 {
		t.Fatalf("a healthy agent has the rows %v, %v", healthy, err)
	}
	tests := map[AgentFault]func(rows []string, err error) bool{
		AgentDead:     func(_ []string, err error) bool { return err != nil },
		AgentSlow:     func(_ []string, err error) bool { return err != nil },
		AgentGarbage:  func(_ []string, err error) bool { return err != nil },
		AgentWrongID:  func(_ []string, err error) bool { return err != nil },
		AgentLoop:     func(rows []string, err error) bool { return err == nil && len(rows) == 80 && rows[31] == rows[0] },
		AgentDisorder: func(rows []string, err error) bool { return err == nil && len(rows) == 31 && slices.IsSorted(rows) },
	}
	for fault, shows := range tests {
		n.SetAgentFault("sw1", fault)
		if rows, err := column(client(t, n, "sw1", &gosnmp.GoSNMP{Timeout: 100 * time.Millisecond})); !shows(rows, err) {
			t.Errorf("%s: got rows %v, %v", fault, rows, err)
		}
		n.SetAgentFault("sw1", AgentHealthy)
		if rows, err := column(client(t, n, "sw1", &gosnmp.GoSNMP{})); err != nil || !slices.Equal(rows, healthy) {
			t.Errorf("after %s: got rows %v, %v", fault, rows, err)
		}
	}
}

// FuzzAgentSurvivesAnyDatagram: an agent that dies of a client's bytes would take
// the test that found a faulty client with it.
func FuzzAgentSurvivesAnyDatagram(f *testing.F) {
	d, err := newNode(&Network{passKeys: &passwordKeys{}}, 0, Device{
		Name: "r1", Platform: FRR, Community: Community,
		SNMPUsers: []SNMPUser{{Name: "u", Auth: "sha", AuthPassword: AuthPassword, Priv: "aes", PrivPassword: PrivPassword}},
	})
	if err != nil {
		f.Fatal(err)
	}
	oid := seq(tagSeq, makeVarbind(oidContent(ifDescr), []byte{tagNull, 0}))
	for _, typ := range []byte{pduGet, pduNext, pduBulk, pduSet} {
		p := seq(typ, putInt(nil, 7), putInt(nil, 0), putInt(nil, 20), oid)
		f.Add(seq(tagSeq, putInt(nil, 1), putTLV(nil, tagOctets, []byte(Community)), p))
		a := agent{node: d, engine: d.agent.engine}
		m := v3Message{id: []byte{9}, user: []byte("u")}
		f.Add(a.v3Answer(&m, &d.spec.SNMPUsers[0], flagAuth|flagPriv, nil, p))
		f.Add(a.v3Answer(&m, nil, 0, nil, p))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		for _, fault := range []AgentFault{AgentHealthy, AgentLoop, AgentDisorder, AgentSlow} {
			d.agent.fault = fault
			if out, _ := d.agent.answer(datagram); len(out) > max(maxMessage, len(datagram)+100) {
				t.Errorf("an answer of %d bytes", len(out))
			}
		}
	})
}
