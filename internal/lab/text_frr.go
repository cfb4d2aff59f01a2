package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// frrConfig writes FRR's running config, or, for startup, what /etc/frr/frr.conf
// holds: the same without the lines to the first ! and without the end line.
func frrConfig(w *pen) {
	d := w.d
	if !w.startup {
		w.f("Building configuration...\n\nCurrent configuration:\n!\n")
	}
	w.f("frr version %s\nfrr defaults traditional\nhostname %s\nlog syslog informational\nservice integrated-vtysh-config\n!\n", d.spec.Version, d.spec.Name)
	w.f("password %s\nenable password %s\n!\n", w.secret("vty", 12, lowerSet), w.secret("enable", 12, lowerSet))
	w.f("ip prefix-list MGMT seq 5 permit 192.0.2.0/24\n")
	for i := range w.changes {
		w.f("ip prefix-list MGMT seq %d permit 198.51.100.%d/32\n", 10+5*i, i+1)
	}
	w.f("!\n%s", d.texts.bulk)
	for _, p := range d.ports {
		frrPort(w, p)
	}
	w.f("router bgp 65010\n bgp router-id 10.255.0.%d\n neighbor 192.0.2.9 remote-as 65000\n neighbor 192.0.2.9 password %s\n !\n address-family ipv4 unicast\n  neighbor 192.0.2.9 prefix-list MGMT in\n exit-address-family\nexit\n!\n", d.index+1, w.secret("bgp", 14, lowerSet))
	w.f("router ospf\n ospf router-id 10.255.0.%d\n area 0 authentication message-digest\nexit\n!\n", d.index+1)
	for i := range w.unsaved {
		w.f("ip route 198.51.100.%d/32 Null0\n!\n", 200+i)
	}
	if !w.startup {
		w.f("end\n")
	}
}

func frrPort(w *pen, p *port) {
	if p.mgmt || (p.kind == ifEthernet && p.peer == nil && w.changes == 0) {
		return
	}
	alias := p.alias()
	if w.changes > 0 && p.name == "eth1" {
		alias = fmt.Sprintf("moved to patch panel %d", w.changes)
	}
	w.f("interface %s\n", p.name)
	if alias != "" {
		w.f(" description %s\n", alias)
	}
	if a, ok := w.d.first4(p); ok {
		w.f(" ip address %s\n", a)
	}
	if p.kind == ifEthernet {
		w.f(" ip ospf area 0\n ip ospf message-digest-key 7 md5 %s\n", w.secret("ospf", 14, lowerSet))
	}
	w.f("exit\n!\n")
}

// frrDaemons is /etc/frr/daemons.
func frrDaemons() string {
	var b strings.Builder
	b.WriteString("# zebra and staticd always run.\n")
	for _, d := range []string{"bgpd=yes", "ospfd=yes", "ospf6d=no", "ripd=no", "isisd=no", "pimd=no", "ldpd=no", "bfdd=no"} {
		b.WriteString(d + "\n")
	}
	b.WriteString("\nvtysh_enable=yes\nzebra_options=\"  -A 127.0.0.1 -s 90000000\"\nbgpd_options=\"   -A 127.0.0.1\"\nospfd_options=\"  -A 127.0.0.1\"\nstaticd_options=\"-A 127.0.0.1\"\n")
	return b.String()
}

func frrBulk(r *rand.Rand, n int) string {
	return fill(n, func(b *strings.Builder, i int) {
		for k := range 10 {
			fmt.Fprintf(b, "bgp community-list standard CL-%d seq %d permit 65010:%d\n", i+100, 5*k+5, r.IntN(65535))
		}
		b.WriteString("!\n")
	})
}
