package web

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
)

var errNoPage = errors.New("there is no such page; the list at the left has those that there are")

// overviewRows is how many rows of one kind the overview shows.
const overviewRows = 12

type overviewData struct {
	Alerts     []alert.Alert // worst first
	MoreAlerts int
	Drift      []driftGroup
	MoreDrift  int
	Runs       []schedule.Run
	AllWell    bool
}

func (w *site) overview(r *http.Request) (string, view, error) {
	var d overviewData
	alerts, err := w.api.Alerts(r.Context(), false)
	if err != nil {
		return "", view{}, err
	}
	order := map[string]int{"bad": 0, "warn": 1, "info": 2}
	alerts = slices.Clone(alerts)
	slices.SortStableFunc(alerts, func(a, b alert.Alert) int { return order[severity(a)] - order[severity(b)] })
	drifts, err := w.api.Drift(r.Context(), "")
	if err != nil {
		return "", view{}, err
	}
	groups := groupDrift(drifts)
	d.AllWell = len(groups) == 0 && !slices.ContainsFunc(alerts, urgent)
	d.Alerts, d.MoreAlerts = head(alerts, overviewRows)
	d.Drift, d.MoreDrift = head(groups, overviewRows)
	d.Runs, err = w.api.Runs(r.Context(), 5)
	return "overview", view{Title: "Overview", Nav: "overview", Data: d}, err
}

// head is the first n of a list, and how many more there are.
func head[T any](list []T, n int) ([]T, int) {
	if len(list) <= n {
		return list, 0
	}
	return list[:n], len(list) - n
}

type devicesData struct {
	Query   string
	Devices []api.Device
	Fault   string // what is wrong with the query
}

func (w *site) devices(r *http.Request) (string, view, error) {
	d := devicesData{Query: strings.TrimSpace(r.FormValue("q"))}
	var err error
	if d.Devices, err = w.api.Devices(r.Context(), d.Query); err == nil && len(d.Devices) == 0 && d.Query != "" {
		d.Devices, err = w.search(r, d.Query)
	}
	if err != nil && d.Query != "" {
		// A word that no field fits is the reader's to mend, on the same page.
		d.Fault, err = err.Error(), nil
	}
	return "devices", view{Title: "Devices", Nav: "devices", Data: d}, err
}

// search is for a query that fits nothing to the letter: people type a part of a
// name, or a serial.
func (w *site) search(r *http.Request, query string) ([]api.Device, error) {
	wider := strings.Fields(query)
	for i, word := range wider {
		if !strings.ContainsAny(word, ":*?[") {
			wider[i] = "*" + word + "*"
		}
	}
	found, err := w.api.Devices(r.Context(), strings.Join(wider, " "))
	if err != nil || len(found) > 0 || len(wider) > 1 {
		return found, err
	}
	if one, err := w.api.Device(r.Context(), query); err == nil {
		return []api.Device{one.Device}, nil
	}
	return nil, nil
}

// driftGroup is one change, on all devices that have it: one decision.
type driftGroup struct {
	backup.Drift          // of the device that had it first
	Devices      []string // names
	Diff         string   // page that shows it, of the first device
	Do           string
}

// groupDrift joins drifts of one kind with the same fingerprint, unsaved ones
// first: they are gone at the next reload.
func groupDrift(drifts []backup.Drift) []driftGroup {
	type key struct {
		kind  backup.DriftKind
		group string
	}
	at := map[key]int{}
	var groups []driftGroup
	for _, d := range drifts {
		k := key{d.Kind, d.Group}
		if d.Group == "" {
			k.group = "\x00" + d.Device // of no group: by itself
		}
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, driftGroup{Drift: d})
		}
		g := &groups[i]
		g.Devices = append(g.Devices, d.Device)
		if d.Since.Before(g.Since) {
			g.Drift = d
		}
	}
	for i := range groups {
		g := &groups[i]
		slices.Sort(g.Devices)
		g.Diff, g.Do = diffOf(g.Device, g.Kind), driftDo(g.Kind, g.Devices)
	}
	order := map[backup.DriftKind]int{backup.DriftUnsaved: 0, backup.DriftPending: 1, backup.DriftChanged: 2, backup.DriftOffBaseline: 3}
	slices.SortStableFunc(groups, func(a, b driftGroup) int {
		return cmp.Or(order[a.Kind]-order[b.Kind], a.Since.Compare(b.Since))
	})
	return groups
}

// driftDo is what to do about a drift. muster never does it itself.
func driftDo(kind backup.DriftKind, devices []string) string {
	name := "NAME"
	if len(devices) == 1 {
		name = devices[0]
	}
	switch kind {
	case backup.DriftUnsaved:
		return "Save it on the device, or put it back there: the next reload loses it."
	case backup.DriftPending:
		return "Commit or discard it on the device."
	case backup.DriftOffBaseline:
		return "Put it back on the device, or move the baseline: muster config baseline " + name
	}
	return "As it should be? muster config approve " + name + ". If not, put it back on the device."
}

func (w *site) drift(r *http.Request) (string, view, error) {
	d, err := w.api.Drift(r.Context(), "")
	return "drift", view{Title: "Drift", Nav: "drift", Data: groupDrift(d)}, err
}

type alertsData struct {
	All    bool
	Alerts []alert.Alert
}

func (w *site) alerts(r *http.Request) (string, view, error) {
	d := alertsData{All: r.FormValue("all") == "1"}
	var err error
	d.Alerts, err = w.api.Alerts(r.Context(), d.All)
	return "alerts", view{Title: "Alerts", Nav: "alerts", Data: d}, err
}
