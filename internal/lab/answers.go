package lab

import (
	"fmt"
	"strings"
)

// The answers to show commands that tell what a device is.

func ciscoVersion(d *node) string {
	xe := ""
	if d.spec.Platform == IOSXE {
		xe = "Cisco IOS XE Software, Version " + d.spec.Version + "\n"
	}
	return xe + strings.ReplaceAll(d.sysDescr(), "\r\n", "\n") + fmt.Sprintf("\n\nROM: IOS-XE ROMMON\n%s uptime is 14 weeks, 2 days, 5 hours, 12 minutes\nSystem returned to ROM by reload\nSystem image file is \"flash:packages.conf\"\n\ncisco %s (ARM64) processor with 1419044K/6147K bytes of memory.\nProcessor board ID %s\n\nModel Number                       : %[2]s\nSystem Serial Number               : %[3]s\n\nConfiguration register is 0x102\n\n", d.spec.Name, d.spec.Model, d.spec.Serial)
}

func ciscoInventory(d *node) string {
	return fmt.Sprintf("NAME: \"c93xx Stack\", DESCR: \"c93xx Stack\"\nPID: %s         , VID: V02  , SN: %s\n\nNAME: \"Switch 1\", DESCR: \"%[1]s\"\nPID: %[1]s         , VID: V02  , SN: %[2]s\n\n", d.spec.Model, d.spec.Serial)
}

func eosVersion(d *node) string {
	return fmt.Sprintf("Arista %s\nHardware version:      11.02\nSerial number:         %s\n\nSoftware image version: %s\nArchitecture:           x86_64\n\nUptime:                 15 weeks, 2 days, 5 hours and 12 minutes\n\n", d.spec.Model, d.spec.Serial, d.spec.Version)
}

func junosVersion(d *node) string {
	return fmt.Sprintf("Hostname: %s\nModel: %s\nJunos: %s\nJUNOS OS Kernel 64-bit  [20230822.a]\n", d.spec.Name, d.spec.Model, d.spec.Version)
}

func junosRights(d *node) string {
	return fmt.Sprintf("Current user: '%s' login: '%[1]s' class 'super-user'\nPermissions:\n    all         -- All permission bits turned on\n", d.spec.User)
}

func junosCommits(d *node) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("0   %s by noc via cli\n1   2026-01-05 09:12:44 UTC by noc via cli\n", d.texts.changedAt.Format("2006-01-02 15:04:05 MST"))
}

func fortiosStatus(d *node) string {
	return fmt.Sprintf("Version: FortiGate-100F v%s,build2662,240514 (GA.F)\nSerial-Number: %s\nHostname: %s\nOperation Mode: NAT\nCurrent virtual domain: root\nMax number of virtual domains: 10\nVirtual domains status: 1 in NAT mode, 0 in TP mode\nVirtual domain configuration: disable\nCurrent HA mode: a-p\n", d.spec.Version, d.spec.Serial, d.spec.Name)
}

func fortiosHA(d *node) string {
	out := "HA Health Status: OK\nModel: FortiGate-100F\nMode: HA A-P\nGroup Name: lab-ha\n"
	for _, m := range d.haMembers() {
		out += fmt.Sprintf("%-10s: %s, HA cluster index = %d\n", m.spec.Name, m.spec.Serial, m.index)
	}
	return out
}

func frrVersion(d *node) string {
	return fmt.Sprintf("FRRouting %s (%s) on Linux(6.1.0-18-amd64).\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\nconfigured with:\n    '--build=x86_64-linux-gnu' '--prefix=/usr' '--enable-vtysh=yes'\n", d.spec.Version, d.spec.Name)
}

// haPort is the name of the port that leads to the other unit of a cluster.
func haPort(d *node) string {
	switch d.spec.Platform {
	case FortiOS:
		return "ha1"
	case PANOS:
		return "ethernet1/12"
	}
	return ""
}

// twin is the other unit of a firewall pair; nil: there is none.
func (d *node) twin() *node {
	if p := d.port(haPort(d)); p != nil && p.peer != nil && p.peer.spec.Platform == d.spec.Platform {
		return p.peer
	}
	return nil
}

// haMembers are the units of a pair, the first one active; or the device alone.
func (d *node) haMembers() []*node {
	switch t := d.twin(); {
	case t == nil:
		return []*node{d}
	case t.index < d.index:
		return []*node{t, d}
	default:
		return []*node{d, t}
	}
}

// role is that of a unit of a pair.
func (d *node) role() string {
	if d.haMembers()[0] == d {
		return "active"
	}
	return "passive"
}
