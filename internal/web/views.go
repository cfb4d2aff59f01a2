package web

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
)

var errNoPage = errors.New("there is no such page")

type overviewData struct {
	Alerts []alert.Alert
	Drift  []backup.Drift
	Runs   []schedule.Run
}

func (w *site) overview(r *http.Request) (string, view, error) {
	var d overviewData
	var err error
	if d.Alerts, err = w.api.Alerts(r.Context(), false); err != nil {
		return "", view{}, err
	}
	if d.Drift, err = w.api.Drift(r.Context(), ""); err != nil {
		return "", view{}, err
	}
	d.Runs, err = w.api.Runs(r.Context(), 5)
	return "overview", view{Title: "Overview", Nav: "overview", Data: d}, err
}

type devicesData struct {
	Query   string
	Devices []api.Device
	Fault   string // what is wrong with the query
}

func (w *site) devices(r *http.Request) (string, view, error) {
	d := devicesData{Query: r.FormValue("q")}
	var err error
	if d.Devices, err = w.api.Devices(r.Context(), d.Query); err != nil && d.Query != "" {
		// A word that no field fits is the reader's to mend, on the same page.
		d.Fault, err = err.Error(), nil
	}
	return "devices", view{Title: "Devices", Nav: "devices", Data: d}, err
}

type deviceData struct {
	api.DeviceDetail
	Log    []api.Version
	Drifts []backup.Drift
	Alerts []alert.Alert
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
	for _, x := range drifts {
		if x.Device == d.Name {
			d.Drifts = append(d.Drifts, x)
		}
	}
	alerts, err := w.api.Alerts(r.Context(), false)
	for _, a := range alerts {
		for _, n := range a.Devices {
			if n == d.Name {
				d.Alerts = append(d.Alerts, a)
			}
		}
	}
	return "device", view{Title: d.Name, Nav: "devices", Data: d}, err
}

type configData struct {
	Device  string
	Version int // 0: not a version but Part
	Part    string
	Lines   []string
	Log     []api.Version
}

func (w *site) config(r *http.Request) (string, view, error) {
	d := configData{Device: r.PathValue("name")}
	which := backup.Which{}
	switch v := r.PathValue("version"); v {
	case "startup":
		d.Part, which.Part = v, v
	case "quarantined":
		d.Part, which.Quarantined = v, true
	default:
		n, err := strconv.Atoi(strings.TrimPrefix(v, "v"))
		if err != nil || n < 1 {
			return "", view{}, errNoPage
		}
		d.Version, which.Version = n, n
	}
	text, err := w.api.Text(r.Context(), d.Device, which)
	if err != nil {
		return "", view{}, err
	}
	d.Lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	d.Log, err = w.api.Versions(r.Context(), d.Device)
	return "config", view{Title: d.Device + " configuration", Nav: "devices", Data: d}, err
}

type diffData struct {
	Device string
	A, B   string
	Hunks  []hunk
}

// diff shows two versions (v1/v2), startup/running, or baseline/running.
func (w *site) diff(r *http.Request) (string, view, error) {
	d := diffData{Device: r.PathValue("name"), A: r.PathValue("a"), B: r.PathValue("b")}
	var text bytes.Buffer
	var err error
	switch d.A {
	case "startup":
		err = w.api.Diff(r.Context(), &text, d.Device, 0, 0, "unsaved")
	case "baseline":
		err = w.api.Diff(r.Context(), &text, d.Device, 0, 0, "baseline")
	default:
		a, errA := strconv.Atoi(strings.TrimPrefix(d.A, "v"))
		b, errB := strconv.Atoi(strings.TrimPrefix(d.B, "v"))
		if errA != nil || errB != nil || a < 1 || b < 1 {
			return "", view{}, errNoPage
		}
		err = w.api.Diff(r.Context(), &text, d.Device, a, b, "")
	}
	d.Hunks = parseUnified(text.String())
	return "diff", view{Title: d.Device + " " + d.A + " to " + d.B, Nav: "devices", Data: d}, err
}

func (w *site) drift(r *http.Request) (string, view, error) {
	d, err := w.api.Drift(r.Context(), "")
	return "drift", view{Title: "Drift", Nav: "drift", Data: d}, err
}

func (w *site) alerts(r *http.Request) (string, view, error) {
	a, err := w.api.Alerts(r.Context(), r.FormValue("all") == "1")
	return "alerts", view{Title: "Alerts", Nav: "alerts", Data: a}, err
}

func (w *site) runs(r *http.Request) (string, view, error) {
	d, err := w.api.Runs(r.Context(), 50)
	return "runs", view{Title: "Runs", Nav: "runs", Data: d}, err
}

func (w *site) run(r *http.Request) (string, view, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return "", view{}, schedule.ErrNoRun
	}
	d, err := w.api.Run(r.Context(), id)
	return "run", view{Title: "Run " + r.PathValue("id"), Nav: "runs", Data: d}, err
}

// hunk is one group of lines of a unified diff.
type hunk struct {
	Head  string
	Lines []diffLine
}

// diffLine is one line: Mark is "+", "-" or " "; A and B are line numbers, 0: not on that side.
type diffLine struct {
	Mark string
	A, B int
	Text string
}

// parseUnified reads the diff that the API prints, for showing it as a table.
func parseUnified(text string) []hunk {
	var hunks []hunk
	a, b := 0, 0
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(l, "@@ "):
			hunks = append(hunks, hunk{Head: l})
			a, b = begins(l)
		case len(hunks) == 0 || l == "":
			// the header's two lines
		default:
			h := &hunks[len(hunks)-1]
			d := diffLine{Mark: l[:1], Text: l[1:]}
			switch d.Mark {
			case "+":
				d.B = b
				b++
			case "-":
				d.A = a
				a++
			case " ":
				d.A, d.B = a, b
				a++
				b++
			}
			h.Lines = append(h.Lines, d)
		}
	}
	return hunks
}

// begins reads the first line numbers of "@@ -A,n +B,m @@".
func begins(head string) (a, b int) {
	for _, f := range strings.Fields(head) {
		n, _ := strconv.Atoi(strings.SplitN(strings.TrimLeft(f, "+-"), ",", 2)[0])
		switch {
		case strings.HasPrefix(f, "-"):
			a = n
		case strings.HasPrefix(f, "+"):
			b = n
		}
	}
	return a, b
}
