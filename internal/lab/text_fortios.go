package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// fortiosConfig writes FortiOS texts. Values behind ENC differ at each display;
// administrators' hashes (SH2) do not. The empty line at the end is the one that
// FortiOS prints before its prompt.
func fortiosConfig(w *pen) {
	d := w.d
	w.f("#config-version=%s-%s-FW-build2662-240514:opmode=0:vdom=0:user=%s\n", strings.ReplaceAll(strings.Replace(d.spec.Model, "FGT_", "FGT", 1), "_", ""), d.spec.Version, d.spec.User)
	w.f("#conf_file_ver=%d\n#buildno=2662\n#global_vdom=1\n", 183740000000000+int64(d.texts.writes)*1024+int64(d.index))
	w.f("config system global\n    set admintimeout 15\n    set alias \"%s\"\n    set hostname \"%[1]s\"\n    set timezone \"Etc/UTC\"\nend\n", d.spec.Name)
	w.f("config system interface\n")
	for _, p := range d.ports {
		fortiosPort(w, p)
	}
	w.f("end\nconfig system admin\n    edit \"admin\"\n        set accprofile \"super_admin\"\n        set vdom \"root\"\n        set password ENC SH2%s=\n    next\n", w.secret("admin", 60, base64Set))
	w.f("    edit \"%s\"\n        set accprofile \"super_admin_readonly\"\n        set vdom \"root\"\n        set password ENC SH2%s=\n    next\nend\n", d.spec.User, w.secret("login", 60, base64Set))
	w.f("config system ha\n    set group-name \"lab-ha\"\n    set mode a-p\n    set password %s\n    set hbdev \"ha1\" 50 \"ha2\" 40\n    set ha-mgmt-status enable\n    config ha-mgmt-interfaces\n        edit 1\n            set interface \"mgmt\"\n            set gateway 192.0.2.1\n        next\n    end\n    set override disable\n    set priority %d\nend\n", w.enc("ha", 94), 200-10*(d.index%10))
	w.f("config vpn certificate local\n    edit \"Fortinet_GUI_Server\"\n        set password %s\n        set private-key \"%s\"\n        set certificate \"%s\"\n        set range global\n    next\nend\n",
		w.enc("gui", 94), w.known(pemBlock(d.stream(fmt.Sprintf("key/%d", w.show)), "ENCRYPTED PRIVATE KEY", 4)), pemBlock(d.stream("gui"), "CERTIFICATE", 6))
	w.f("config system ntp\n    set ntpsync enable\n    set type custom\n    config ntpserver\n        edit 1\n            set server \"192.0.2.23\"\n        next\n    end\nend\n")
	w.f("config system snmp sysinfo\n    set status enable\n    set contact-info \"noc@example.net\"\n    set location \"%s\"\nend\n", d.location())
	if d.spec.Community != "" {
		w.f("config system snmp community\n    edit 1\n        set name \"%s\"\n        config hosts\n            edit 1\n                set ip 192.0.2.0 255.255.255.0\n            next\n        end\n    next\nend\n", w.known(d.spec.Community))
	}
	for _, u := range d.spec.SNMPUsers {
		w.f("config system snmp user\n    edit \"%s\"\n        set security-level auth-priv\n        set auth-proto %s\n        set auth-pwd %s\n        set priv-proto %s\n        set priv-pwd %s\n    next\nend\n", u.Name, u.Auth, w.enc("auth"+u.Name, 60), u.Priv, w.enc("priv"+u.Name, 60))
	}
	w.f("config firewall address\n    edit \"mgmt-net\"\n        set subnet 192.0.2.0 255.255.255.0\n    next\n")
	for i := range w.changes {
		w.f("    edit \"partner-%d\"\n        set comment \"added on request\"\n        set subnet 198.51.100.%d 255.255.255.255\n    next\n", i+1, i+1)
	}
	w.f("%send\n", d.texts.bulk)
	w.f("config vpn ipsec phase1-interface\n    edit \"branch\"\n        set interface \"wan1\"\n        set ike-version 2\n        set proposal aes256-sha256\n        set remote-gw 203.0.113.9\n        set psksecret %s\n    next\nend\n", w.enc("psk", 60))
	w.f("config firewall policy\n    edit 1\n        set name \"outbound\"\n        set srcintf \"x1\"\n        set dstintf \"wan1\"\n        set action accept\n        set srcaddr \"all\"\n        set dstaddr \"all\"\n        set schedule \"always\"\n        set service \"ALL\"\n        set logtraffic all\n        set nat enable\n    next\nend\n")
	w.f("config system replacemsg admin \"pre_admin-disclaimer-text\"\n    set buffer \"Authorised use only.\n\nWhat is done here is recorded.\n\"\nend\n")
	w.f("config router static\n    edit 1\n        set gateway 203.0.113.1\n        set device \"wan1\"\n    next\nend\n\n")
}

func fortiosPort(w *pen, p *port) {
	w.f("    edit \"%s\"\n        set vdom \"root\"\n", p.name)
	if a, ok := w.d.first4(p); ok {
		w.f("        set ip %s %s\n        set allowaccess ping ssh snmp\n", a.Addr(), mask4(a))
	}
	switch {
	case p.kind == ifLoopback:
		w.f("        set type loopback\n")
	default:
		w.f("        set type physical\n")
	}
	alias := p.alias()
	if w.changes > 0 && p.name == "port1" {
		alias = fmt.Sprintf("moved to patch panel %d", w.changes)
	}
	if alias != "" {
		w.f("        set description \"%s\"\n", alias)
	}
	w.f("        set snmp-index %d\n    next\n", p.index)
}

func fortiosBulk(r *rand.Rand, n int) string {
	return fill(n, func(b *strings.Builder, i int) {
		fmt.Fprintf(b, "    edit \"host-%d\"\n        set uuid %08x-%04x-51ef-%04x-%012x\n        set subnet %s 255.255.255.255\n    next\n",
			i+1, r.Uint32(), r.IntN(65536), r.IntN(65536), r.Int64N(1<<48), randomIP(r))
	})
}
