package lab

import "fmt"

// The v3 user of the demo's devices (SHA-256, AES-256 with Blumenthal's keys).
const (
	SNMPUserName = "muster"
	AuthPassword = "fake-auth-password"
	PrivPassword = "fake-priv-password"
)

// Demo is the network of the demo: two Juniper cores, two Arista distribution
// switches, six Cisco access switches and a pair of FortiGates. All take the
// account User and Password (the Cisco ones Enable too), the community and the
// v3 user.
func Demo() Options {
	var o Options
	user := SNMPUser{Name: SNMPUserName, Auth: "sha256", AuthPassword: AuthPassword, Priv: "aes256", PrivPassword: PrivPassword}
	add := func(p Platform, name string) {
		d := Device{Name: name, Platform: p, Community: Community, SNMPUsers: []SNMPUser{user}}
		if p == IOSXE {
			d.Enable = Enable
		}
		o.Devices = append(o.Devices, d)
	}
	link := func(a, aPort, b, bPort string) {
		o.Links = append(o.Links, Link{A: a, APort: aPort, B: b, BPort: bPort})
	}
	for i := range 2 {
		add(Junos, fmt.Sprintf("core-%d", i+1))
	}
	for i := range 2 {
		add(EOS, fmt.Sprintf("dist-%d", i+1))
	}
	for i := range 6 {
		add(IOSXE, fmt.Sprintf("access-%d", i+1))
	}
	for i := range 2 {
		add(FortiOS, fmt.Sprintf("fw-%d", i+1))
	}
	link("core-1", "xe-0/0/0", "core-2", "xe-0/0/0")
	link("dist-1", "Ethernet47", "dist-2", "Ethernet47")
	link("fw-1", "ha1", "fw-2", "ha1")
	for i := range 2 {
		core, fw, dist := fmt.Sprintf("core-%d", i+1), fmt.Sprintf("fw-%d", i+1), fmt.Sprintf("dist-%d", i+1)
		link(core, "xe-0/1/0", fw, "x1")
		for j := range 2 {
			link(core, fmt.Sprintf("xe-0/0/%d", 1+j), fmt.Sprintf("dist-%d", j+1), fmt.Sprintf("Ethernet%d/1", 49+i))
		}
		for j := range 6 {
			link(dist, fmt.Sprintf("Ethernet%d", j+1), fmt.Sprintf("access-%d", j+1), fmt.Sprintf("Te1/1/%d", i+1))
		}
	}
	return o
}
