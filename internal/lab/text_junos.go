package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// junosConfig writes Junos texts: braces, four blanks, no end line.
func junosConfig(w *pen) {
	d, t := w.d, &w.d.texts
	w.f("## Last commit: %s by noc\n", t.changedAt.Format("2006-01-02 15:04:05 MST"))
	w.f("version %s;\n", d.spec.Version)
	w.f("system {\n    host-name %s;\n    domain-name example.net;\n", d.spec.Name)
	w.f("    root-authentication {\n        encrypted-password \"$6$%s\"; ## SECRET-DATA\n    }\n", "FAKEFAKE$"+w.secret("root", 86, base64Set))
	w.f("    login {\n        user noc {\n            uid 2000;\n            class super-user;\n            authentication {\n                encrypted-password \"$6$FAKEFAKE$%s\"; ## SECRET-DATA\n            }\n        }\n", w.secret("noc", 86, base64Set))
	w.f("        user %s {\n            uid 2001;\n            class super-user;\n            authentication {\n                encrypted-password \"$6$FAKEFAKE$%s\"; ## SECRET-DATA\n            }\n        }\n", d.spec.User, w.secret("login", 86, base64Set))
	w.f("        message \"Authorised use only. What is done here is recorded.\\n\";\n    }\n")
	w.f("    services {\n        ssh {\n            root-login deny;\n        }\n        netconf {\n            ssh;\n        }\n    }\n")
	w.f("    tacplus-server {\n        192.0.2.22 secret \"$9$%s\"; ## SECRET-DATA\n    }\n", w.secret("tacacs", 20, base64Set))
	w.f("    syslog {\n        host 192.0.2.20 {\n            any notice;\n        }\n        file messages {\n            any notice;\n            authorization info;\n        }\n    }\n")
	w.f("    ntp {\n        server 192.0.2.23;\n    }\n}\n")
	w.f("chassis {\n    aggregated-devices {\n        ethernet {\n            device-count 8;\n        }\n    }\n}\n")
	w.f("interfaces {\n")
	for _, p := range d.ports {
		if p.parent == nil {
			junosPort(w, p)
		}
	}
	w.f("}\nsnmp {\n    location \"%s\";\n    contact \"noc@example.net\";\n", d.location())
	if d.spec.Community != "" {
		w.f("    community %s {\n        authorization read-only;\n        clients {\n            192.0.2.0/24;\n        }\n    }\n", w.known(d.spec.Community))
	}
	w.f("}\npolicy-options {\n    prefix-list MGMT {\n        192.0.2.0/24;\n")
	for i := range w.changes {
		w.f("        198.51.100.%d/32;\n", i+1)
	}
	w.f("    }\n}\nfirewall {\n    family inet {\n        filter PROTECT-RE {\n            term ssh {\n                from {\n                    prefix-list {\n                        MGMT;\n                    }\n                    protocol tcp;\n                    destination-port ssh;\n                }\n                then accept;\n            }\n        }\n%s    }\n}\n", d.texts.bulk)
	w.f("routing-options {\n    static {\n        route 0.0.0.0/0 next-hop 192.0.2.1;\n    }\n    router-id 10.255.0.%d;\n    autonomous-system 65000;\n}\n", d.index+1)
	w.f("protocols {\n    bgp {\n        group DIST {\n            type external;\n            authentication-key \"$9$%s\"; ## SECRET-DATA\n            peer-as 65010;\n        }\n    }\n", w.secret("bgp", 24, base64Set))
	w.f("    lldp {\n        port-id-subtype interface-name;\n        interface all;\n    }\n}\n")
}

func junosPort(w *pen, p *port) {
	alias := p.alias()
	if w.changes > 0 && p.name == "xe-0/2/0" {
		alias = fmt.Sprintf("moved to patch panel %d", w.changes)
	}
	holder := p
	if u := w.d.port(p.name + ".0"); u != nil {
		holder = u
	}
	addrs := w.d.addresses(holder)
	if alias == "" && len(addrs) == 0 {
		return
	}
	w.f("    %s {\n", strings.TrimSuffix(p.name, ".0"))
	if alias != "" {
		w.f("        description \"%s\";\n", alias)
	}
	if len(addrs) > 0 {
		w.f("        unit 0 {\n")
		for _, a := range addrs {
			family := "inet"
			if a.Addr().Is6() {
				family = "inet6"
			}
			w.f("            family %s {\n                address %s;\n            }\n", family, a)
		}
		w.f("        }\n")
	}
	w.f("    }\n")
}

func junosBulk(r *rand.Rand, n int) string {
	return fill(n, func(b *strings.Builder, i int) {
		fmt.Fprintf(b, "        filter F-%d {\n", i+100)
		for k := range 6 {
			fmt.Fprintf(b, "            term t%d {\n                from {\n                    source-address {\n                        %s/32;\n                    }\n                    protocol %s;\n                    destination-port %d;\n                }\n                then %s;\n            }\n",
				k, randomIP(r), pick(r, "tcp", "udp"), r.IntN(60000)+20, pick(r, "accept", "discard"))
		}
		b.WriteString("        }\n")
	})
}
