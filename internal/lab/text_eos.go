package lab

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

const eosStamp = "Mon Jan _2 15:04:05 2006"

// eosConfig writes EOS texts. The line with the time differs at each display.
func eosConfig(w *pen) {
	d, t := w.d, &w.d.texts
	if w.startup {
		w.f("! Command: show startup-config\n! Startup-config last modified at %s by noc\n", t.savedAt.Format(eosStamp))
	} else {
		w.f("! Command: show running-config\n! Time: %s\n", w.now().Format(eosStamp))
	}
	w.f("! device: %s (%s, EOS-%s)\n!\n! boot system flash:/EOS-%[3]s.swi\n!\n", d.spec.Name, d.spec.Model, d.spec.Version)
	w.f("no aaa root\n!\n")
	w.f("username noc privilege 15 role network-admin secret sha512 $6$FAKEFAKE$%s\n", w.secret("noc", 86, base64Set))
	w.f("username %s privilege 15 role network-operator secret sha512 $6$FAKEFAKE$%s\n!\n", d.spec.User, w.secret("login", 86, base64Set))
	w.f("tacacs-server host 192.0.2.22 key 7 %s\n!\n", w.hex("tacacs", 8))
	w.f("transceiver qsfp default-mode 4x10G\n!\nservice routing protocols model multi-agent\n!\n")
	w.f("logging host 192.0.2.20\n!\nhostname %s\nip name-server vrf default 192.0.2.24\ndns domain example.net\n!\n", d.spec.Name)
	w.f("lldp timer 30\n!\nntp authentication-key 1 md5 7 %s\nntp server 192.0.2.23\n", w.hex("ntp", 6))
	for i := range w.unsaved {
		w.f("ntp server 198.51.100.%d\n", 200+i)
	}
	w.f("!\nsnmp-server contact noc@example.net\nsnmp-server location %s\n", d.location())
	if d.spec.Community != "" {
		w.f("snmp-server community %s ro MGMT\n", w.known(d.spec.Community))
	}
	for _, u := range d.spec.SNMPUsers {
		w.f("snmp-server user %s lab-ro v3 localized %s auth %s %s priv %s %s\n", u.Name, hex.EncodeToString(d.agent.engine),
			u.Auth, w.lowerHex("auth"+u.Name, 20), u.Priv, w.lowerHex("priv"+u.Name, 16))
	}
	w.f("!\nspanning-tree mode mstp\n!\nvlan 10\n   name management\n!\nvlan 20,30\n!\n")
	for i, p := range d.ports {
		eosPort(w, i, p)
	}
	w.f("ip access-list standard MGMT\n   10 permit 192.0.2.0/24\n")
	for i := range w.changes {
		w.f("   %d permit host 198.51.100.%d\n", 20+10*i, i+1)
	}
	w.f("!\n%sip routing\n!\n", d.texts.bulk)
	w.f("router bgp 65010\n   router-id 10.255.0.%d\n   neighbor CORE peer group\n   neighbor CORE remote-as 65000\n   neighbor CORE password 7 %s\n!\n",
		d.index+1, w.secret("bgp", 22, base64Set)+"==")
	w.f("banner login\nAuthorised use only. What is done here is recorded.\nEOF\n!\n")
	w.f("management api http-commands\n   no shutdown\n!\nmanagement ssh\n   idle-timeout 15\n!\nend\n")
}

func eosPort(w *pen, i int, p *port) {
	w.f("interface %s\n", p.descr)
	alias := p.alias()
	if w.changes > 0 && p.name == "Ethernet24" {
		alias = fmt.Sprintf("moved to patch panel %d", w.changes)
	}
	if alias != "" {
		w.f("   description %s\n", alias)
	}
	a, has := w.d.first4(p)
	switch {
	case has:
		if p.peer != nil {
			w.f("   mtu 9214\n   no switchport\n")
		}
		w.f("   ip address %s\n", a)
	case p.peer != nil:
		w.f("   switchport trunk allowed vlan 10,20,30\n   switchport mode trunk\n")
	case i%3 == 2:
		w.f("   shutdown\n")
	}
	w.f("!\n")
}

func eosBulk(r *rand.Rand, n int) string {
	return fill(n, func(b *strings.Builder, i int) {
		fmt.Fprintf(b, "ip access-list ACL-%d\n", i+100)
		for k := range 10 {
			fmt.Fprintf(b, "   %d %s host %s host %s eq %d\n", 10*k+10, pick(r, "permit tcp", "deny udp"), randomIP(r), randomIP(r), r.IntN(60000)+20)
		}
		b.WriteString("!\n")
	})
}
