package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const ciscoStamp = "15:04:05 UTC Mon Jan 2 2006"

// ciscoConfig writes IOS and IOS-XE texts. The count in the first lines is that
// of the text from the line after it to the end line, with LF line ends.
func ciscoConfig(w *pen) {
	t := &w.d.texts
	body := &pen{d: w.d, startup: w.startup, show: w.show, changes: w.changes, unsaved: w.unsaved}
	body.f("!\n! Last configuration change at %s by noc\n", t.changedAt.Format(ciscoStamp))
	body.f("! NVRAM config last updated at %s by noc\n!\n", t.savedAt.Format(ciscoStamp))
	ciscoBody(body)
	body.f("end\n")
	if w.startup {
		w.f("Using %d out of 2097152 bytes\n", body.Len())
	} else {
		w.f("Building configuration...\n\nCurrent configuration : %d bytes\n", body.Len())
	}
	w.f("%s\n", body.String())
}

func ciscoBody(w *pen) {
	d := w.d
	major := strings.Join(strings.SplitN(d.spec.Version, ".", 3)[:2], ".")
	if i := strings.IndexByte(major, '('); i > 0 {
		major = major[:i]
	}
	w.f("version %s\nservice timestamps debug datetime msec\nservice timestamps log datetime msec\n", major)
	w.f("service password-encryption\n")
	if d.spec.Platform == IOSXE {
		w.f("! Call-home is enabled by Smart-Licensing.\nservice call-home\nplatform punt-keepalive disable-kernel-core\n")
	}
	w.f("!\nhostname %s\n!\n!\nvrf definition Mgmt-vrf\n !\n address-family ipv4\n exit-address-family\n!\n", d.spec.Name)
	w.f("enable secret 9 $9$%s\n!\n", w.secret("enable", 14, base64Set)+"$"+w.secret("enable2", 43, base64Set))
	w.f("aaa new-model\naaa authentication login default group tacacs+ local\naaa authorization exec default group tacacs+ local\n!\n")
	w.f("no ip domain lookup\nip domain name example.net\n!\n")
	w.f("username noc privilege 15 secret 9 $9$%s$%s\n", w.secret("noc", 14, base64Set), w.secret("noc2", 43, base64Set))
	w.f("username %s privilege 15 secret 5 $1$FAKE$%s\n!\n", d.spec.User, w.secret("login", 22, base64Set))
	w.f("crypto pki trustpoint TP-self-signed-%d\n enrollment selfsigned\n subject-name cn=IOS-Self-Signed-Certificate-%[1]d\n revocation-check none\n rsakeypair TP-self-signed-%[1]d\n!\n", 1000000+d.index)
	w.f("crypto pki certificate chain TP-self-signed-%d\n", 1000000+d.index)
	if w.startup { // saved, the certificate is a file; running, it is shown
		w.f(" certificate self-signed 01 nvram:IOS-Self-Sig#1.cer\n!\n")
	} else {
		w.f(" certificate self-signed 01\n%s  \tquit\n!\n", hexBlock(d.stream("certificate"), 380))
	}
	w.f("spanning-tree mode rapid-pvst\nspanning-tree extend system-id\n!\nvlan 10\n name management\n!\nvlan 20,30\n!\nlldp run\n!\n")
	for i, p := range d.ports {
		ciscoPort(w, i, p)
	}
	w.f("ip default-gateway 192.0.2.1\nip tacacs source-interface Vlan10\nip ssh version 2\n!\n")
	w.f("ip access-list standard MGMT\n permit 192.0.2.0 0.0.0.255\n")
	for i := range w.changes {
		w.f(" permit 198.51.100.%d\n", i+1)
	}
	w.f(" deny   any log\n!\n%s", d.texts.bulk)
	w.f("logging host 192.0.2.20\n")
	if d.spec.Community != "" {
		w.f("snmp-server community %s RO MGMT\n", w.known(d.spec.Community))
	}
	w.f("snmp-server location %s\nsnmp-server contact noc@example.net\n", d.location())
	w.f("snmp-server host 192.0.2.21 version 2c %s \n!\n", w.secret("trap", 12, lowerSet))
	w.f("tacacs server T1\n address ipv4 192.0.2.22\n key 7 %s\n!\n", w.hex("tacacs", 8))
	w.f("banner login ^C\nAuthorised use only. What is done here is recorded.\n^C\n!\n")
	w.f("line con 0\n stopbits 1\nline vty 0 4\n access-class MGMT in\n exec-timeout 15 0\n transport input ssh\nline vty 5 15\n transport input none\n!\n")
	w.f("ntp authentication-key 1 md5 %s 7\nntp server 192.0.2.23\n", w.hex("ntp", 6))
	for i := range w.unsaved {
		w.f("ntp server 198.51.100.%d\n", 200+i)
	}
}

func ciscoPort(w *pen, i int, p *port) {
	d := w.d
	w.f("interface %s\n", p.descr)
	alias := p.alias()
	if w.changes > 0 && p.name == "Gi1/0/1" {
		alias = fmt.Sprintf("moved to patch panel %d", w.changes)
	}
	if alias != "" {
		w.f(" description %s\n", alias)
	}
	a, has := d.first4(p)
	switch {
	case has:
		w.f(" ip address %s %s\n", a.Addr(), mask4(a))
	case p.kind != ifEthernet:
		w.f(" no ip address\n shutdown\n")
	case p.peer != nil:
		w.f(" switchport trunk allowed vlan 10,20,30\n switchport mode trunk\n")
	case i%5 == 4:
		w.f(" shutdown\n")
	default:
		w.f(" switchport access vlan 20\n switchport mode access\n switchport voice vlan 30\n spanning-tree portfast\n")
	}
	w.f("!\n")
}

func ciscoBulk(r *rand.Rand, n int) string {
	return fill(n, func(b *strings.Builder, i int) {
		fmt.Fprintf(b, "ip access-list extended ACL-%d\n", i+100)
		for range 10 {
			fmt.Fprintf(b, " %s host %s host %s eq %d\n", pick(r, "permit tcp", "deny   udp"), randomIP(r), randomIP(r), r.IntN(60000)+20)
		}
		b.WriteString("!\n")
	})
}
