package lab

import "fmt"

// The v3 user of the demo's devices (SHA-256, AES-256 with Blumenthal's keys).
const (
	SNMPUserName = "muster"
	AuthPassword = "fake-auth-password"
	PrivPassword = "fake-priv-password"
)

// The sites of the demo, as Device.Site tells them.
const (
	Paris = "paris"
	Lyon  = "lyon"
)

// Demo is the network of the demo: 44 devices of 13 platforms at two sites, the
// addresses of Paris first. par-acc-1 is a stack of three, each site has a pair of
// firewalls. All take the account User and Password (IOS-XE, ASA and ProCurve
// Enable too), the community and the v3 user.
func Demo() Options {
	var o Options
	user := SNMPUser{Name: SNMPUserName, Auth: "sha256", AuthPassword: AuthPassword, Priv: "aes256", PrivPassword: PrivPassword}
	for _, group := range []struct {
		site string
		p    Platform
		name string
		n    int
	}{
		{Paris, Junos, "par-core", 2}, {Paris, EOS, "par-dist", 2}, {Paris, NXOS, "par-dc", 2},
		{Paris, IOSXE, "par-acc", 8}, {Paris, ProCurve, "par-flr", 4}, {Paris, AOSCX, "par-cx", 2},
		{Paris, FortiOS, "par-fw", 2}, {Paris, ASA, "par-vpn", 1}, {Paris, FRR, "par-rr", 2},
		{Lyon, NXOS, "lyo-core", 2}, {Lyon, VRP, "lyo-dist", 2}, {Lyon, IOS, "lyo-acc", 4},
		{Lyon, AOSCX, "lyo-cx", 3}, {Lyon, PANOS, "lyo-fw", 2}, {Lyon, ASA, "lyo-vpn", 1},
		{Lyon, RouterOS, "lyo-br", 4}, {Lyon, FRR, "lyo-rr", 1},
	} {
		for i := range group.n {
			d := Device{Name: fmt.Sprintf("%s-%d", group.name, i+1), Platform: group.p, Site: group.site, Community: Community, SNMPUsers: []SNMPUser{user}}
			switch group.p {
			case IOSXE, ASA, ProCurve:
				d.Enable = Enable
			}
			o.Devices = append(o.Devices, d)
		}
	}
	for i := range o.Devices {
		if o.Devices[i].Name == "par-acc-1" {
			o.Devices[i].Members = 3
		}
	}
	o.Links = demoLinks()
	return o
}

// demoLinks are the cables of the demo: two of everything that many hang on.
func demoLinks() []Link {
	var out []Link
	link := func(a, aPort, b, bPort string) { out = append(out, Link{A: a, APort: aPort, B: b, BPort: bPort}) }
	n := fmt.Sprintf
	link("par-core-1", "xe-0/0/0", "par-core-2", "xe-0/0/0")
	link("par-dist-1", "Ethernet47", "par-dist-2", "Ethernet47")
	link("par-fw-1", "ha1", "par-fw-2", "ha1")
	link("par-dc-1", "Ethernet1/53", "par-dc-2", "Ethernet1/53")
	link("lyo-core-1", "Ethernet1/53", "lyo-core-2", "Ethernet1/53")
	link("lyo-dist-1", "XGigabitEthernet0/0/4", "lyo-dist-2", "XGigabitEthernet0/0/4")
	link("lyo-fw-1", "ethernet1/12", "lyo-fw-2", "ethernet1/12")
	link("par-vpn-1", "inside", "par-core-1", "xe-0/2/0")
	link("lyo-vpn-1", "inside", "lyo-core-1", "Ethernet1/48")
	link("par-core-2", "xe-0/2/0", "lyo-core-2", "Ethernet1/54")
	link("lyo-rr-1", "eth1", "lyo-core-1", "Ethernet1/47")
	for i := range 2 {
		core, dist := n("par-core-%d", i+1), n("par-dist-%d", i+1)
		link(core, "xe-0/1/0", n("par-fw-%d", i+1), "x1")
		link(core, "xe-0/1/1", n("par-rr-%d", i+1), "eth1")
		link(core, "xe-0/1/2", n("par-dc-%d", i+1), "Ethernet1/54")
		for j := range 2 {
			link(core, n("xe-0/0/%d", 1+j), n("par-dist-%d", j+1), n("Ethernet%d/1", 49+i))
		}
		for j := range 8 {
			link(dist, n("Ethernet%d", j+1), n("par-acc-%d", j+1), n("Te1/1/%d", i+1))
		}
		for j := range 4 {
			link(dist, n("Ethernet%d", j+11), n("par-flr-%d", j+1), n("%d", 49+i))
		}
		for j := range 2 {
			link(dist, n("Ethernet%d", j+21), n("par-cx-%d", j+1), n("1/1/%d", 49+i))
		}
		core, dist = n("lyo-core-%d", i+1), n("lyo-dist-%d", i+1)
		link(core, "Ethernet1/1", n("lyo-fw-%d", i+1), "ethernet1/1")
		for j := range 2 {
			link(core, n("Ethernet1/%d", 2+j), n("lyo-dist-%d", j+1), n("XGigabitEthernet0/0/%d", 1+i))
			link(n("lyo-fw-%d", i+1), n("ethernet1/%d", 3+j), n("lyo-br-%d", 2*i+j+1), "ether1")
		}
		for j := range 4 {
			link(core, n("Ethernet1/%d", j+11), n("lyo-acc-%d", j+1), n("Te1/1/%d", i+1))
		}
		for j := range 3 {
			link(dist, n("GigabitEthernet0/0/%d", j+1), n("lyo-cx-%d", j+1), n("1/1/%d", 49+i))
		}
	}
	return out
}
