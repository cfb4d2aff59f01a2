package web

import (
	"net/http"
	"slices"
	"strings"

	"muster/backup"
	"muster/collector/snmp"
	"muster/internal/alert"
	"muster/internal/api"
)

type deviceData struct {
	api.DeviceDetail
	Log       []api.Version
	Drifts    []driftGroup // of this device alone
	Alerts    []alert.Alert
	Ports     []port
	PortState map[string]int
	Neighbors []neighbor
	Addresses []address
	// Quarantined: a capture waits there, and can be read.
	Quarantined bool
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
	d.Drifts = groupDrift(slices.DeleteFunc(drifts, func(x backup.Drift) bool { return x.Device != d.Name }))
	alerts, err := w.api.Alerts(r.Context(), false)
	if err != nil {
		return "", view{}, err
	}
	d.Alerts = slices.DeleteFunc(alerts, func(a alert.Alert) bool { return !slices.Contains(a.Devices, d.Name) })
	all, err := w.api.Devices(r.Context(), "")
	if err != nil {
		return "", view{}, err
	}
	d.Neighbors = neighbors(d.DeviceDetail.Neighbors, all)
	d.Ports, d.PortState = ports(d.Interfaces, d.DeviceDetail.Neighbors)
	d.Addresses = addresses(d.DeviceDetail.Addresses, d.Interfaces)
	d.Quarantined = d.BackupState == backup.QuarantineHeld
	return "device", view{Title: d.Name, Nav: "devices", Data: d}, nil
}

// ports says what the states of interfaces mean. A port that is down because
// nothing is plugged in is how most ports of a switch are, and no fault.
func ports(ifs []snmp.Interface, ns []snmp.Neighbor) ([]port, map[string]int) {
	known := map[string]bool{}
	for _, n := range ns {
		known[n.LocalPort] = true
	}
	count := map[string]int{}
	out := make([]port, 0, len(ifs))
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
		count[p.State]++
		out = append(out, p)
	}
	return out, count
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
