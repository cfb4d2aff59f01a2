package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"muster/backup"
	"muster/collector/snmp"
	"muster/internal/alert"
	"muster/internal/api"
)

type deviceData struct {
	api.DeviceDetail
	Log       []api.Version
	Notes     []note // what is wrong, each thing once
	Drifts    []driftGroup
	Ports     []port
	PortState string // "6 up, 42 down"
	InUse     int    // ports that are down though somebody uses them
	Neighbors []neighbor
	Addresses []address
}

// note is one thing that somebody should know of the device.
type note struct {
	Class, What    string
	Since          *time.Time
	Text           string
	Link, LinkText string
	AckedBy        string
	AckedAt        time.Time
	AckNote        string
}

// port is an interface with what its state means.
type port struct {
	snmp.Interface
	State string // up, down, shut (by its administrator), or what the device says
	Mind  bool   // down though somebody uses it: it has a description, or was seen with a neighbor
}

// neighbor is one with its page, where it is a device of ours.
type neighbor struct {
	snmp.Neighbor
	Device string // name; empty: not in the inventory
}

// address is one with the name of its port.
type address struct {
	snmp.Address
	Port string
}

func (w *site) device(r *http.Request) (string, view, error) {
	var d deviceData
	var err error
	if d.DeviceDetail, err = w.api.Device(r.Context(), r.PathValue("name")); err != nil {
		return "", view{}, err
	}
	if d.Log, err = w.api.Versions(r.Context(), d.Name); err != nil {
		return "", view{}, err
	}
	drifts, err := w.api.Drift(r.Context(), "")
	if err != nil {
		return "", view{}, err
	}
	d.Drifts = groupDrift(slices.DeleteFunc(slices.Clone(drifts), func(x backup.Drift) bool { return x.Device != d.Name }))
	alerts, err := w.api.Alerts(r.Context(), false)
	if err != nil {
		return "", view{}, err
	}
	d.Notes = notes(d.Device, d.Drifts, slices.DeleteFunc(slices.Clone(alerts), func(a alert.Alert) bool { return !slices.Contains(a.Devices, d.Name) }))
	all, err := w.api.Devices(r.Context(), "")
	if err != nil {
		return "", view{}, err
	}
	d.Neighbors = neighbors(d.DeviceDetail.Neighbors, all)
	d.Ports, d.PortState, d.InUse = ports(d.Interfaces, d.DeviceDetail.Neighbors)
	d.Addresses = addresses(d.DeviceDetail.Addresses, d.Interfaces)
	return "device", view{Title: d.Name, Nav: "devices", Data: d}, nil
}

// notes joins what alerts, drift and the last backup say: one fault is one note.
func notes(dev api.Device, drifts []driftGroup, alerts []alert.Alert) []note {
	var out []note
	for _, a := range alerts {
		if a.Kind == alert.NewDevice {
			continue // the page says when it was first seen
		}
		n := note{Class: severity(a), What: words(a.Kind), Since: &a.OpenedAt, Text: a.Message, AckedBy: a.AckedBy, AckedAt: a.AckedAt, AckNote: a.AckNote}
		out = append(out, n)
	}
	for _, d := range drifts {
		i := slices.IndexFunc(out, func(n note) bool { return n.What == words(d.Kind) })
		if i < 0 {
			i = len(out)
			out = append(out, note{Class: marks[string(d.Kind)][1], What: words(d.Kind), Since: &d.Since, Text: fmt.Sprintf("%d lines added, %d removed. %s", d.LinesAdded, d.LinesRemoved, d.Do)})
		}
		if d.Diff != "" {
			out[i].Link, out[i].LinkText = d.Diff, "Open diff"
		}
	}
	if p := strings.TrimRight(dev.Problem, ". "); p != "" && !slices.ContainsFunc(out, func(n note) bool { return strings.Contains(n.Text, p) }) {
		out = append(out, note{Class: "warn", What: "not backed up", Text: dev.Problem})
	}
	if dev.BackupState == backup.QuarantineHeld {
		i := slices.IndexFunc(out, func(n note) bool { return n.What == words(alert.Quarantined) })
		if i < 0 {
			i = len(out)
			out = append(out, note{Class: "warn", What: words(alert.Quarantined), Text: "a capture waits for somebody to accept or discard it."})
		}
		out[i].Link, out[i].LinkText = "/devices/"+url.PathEscape(dev.Name)+"/config/quarantined", "Read it"
	}
	return out
}

// ports says what the states of interfaces mean. A port that is down because
// nothing is plugged in is how most ports of a switch are, and no fault.
func ports(ifs []snmp.Interface, ns []snmp.Neighbor) (out []port, state string, inUse int) {
	known := map[string]bool{}
	for _, n := range ns {
		known[n.LocalPort] = true
	}
	count := map[string]int{}
	for _, i := range ifs {
		p := port{Interface: i, State: i.Oper}
		switch {
		case i.Admin == "down":
			p.State = "shut"
		case i.Oper == "down" || i.Oper == "lowerLayerDown":
			p.State = "down"
			p.Mind = i.Alias != "" || known[i.Name]
		case i.Oper == "":
			p.State = "not told"
		}
		if p.Mind {
			inUse++
		}
		count[p.State]++
		out = append(out, p)
	}
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
	}
	return out, strings.Join(parts, ", "), inUse
}

// neighbors finds the pages of neighbors that are devices of ours: by name, also
// where one of the two sides carries the domain.
func neighbors(ns []snmp.Neighbor, devices []api.Device) []neighbor {
	byName := map[string]string{}
	for _, d := range devices {
		short, _, _ := strings.Cut(strings.ToLower(d.Name), ".")
		if _, taken := byName[short]; taken {
			byName[short] = "" // of several sites: nobody can tell
		} else {
			byName[short] = d.Name
		}
	}
	for _, d := range devices {
		byName[strings.ToLower(d.Name)] = d.Name
	}
	out := make([]neighbor, 0, len(ns))
	for _, n := range ns {
		name := strings.ToLower(n.RemoteSysName)
		short, _, _ := strings.Cut(name, ".")
		dev, ok := byName[name]
		if !ok {
			dev = byName[short]
		}
		out = append(out, neighbor{n, dev})
	}
	return out
}

func addresses(as []snmp.Address, ifs []snmp.Interface) []address {
	port := map[int32]string{}
	for _, i := range ifs {
		port[i.IfIndex] = i.Name
	}
	out := make([]address, 0, len(as))
	for _, a := range as {
		out = append(out, address{a, port[a.IfIndex]})
	}
	return out
}
