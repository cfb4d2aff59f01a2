package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"muster/backup"
	"muster/internal/api"
)

const (
	// textLines is how many lines of a text a page shows, diffLines how many of a
	// diff. More is for the command, and for an editor.
	textLines = 25000
	diffLines = 5000
	// blockLines is how many lines are one table: browsers lay out the blocks that
	// are near, and nothing else.
	blockLines = 500
	// logTabs is how many of the newest versions a page offers.
	logTabs = 10
)

type configData struct {
	Device   string
	Version  int    // 0: not a version but Part
	Part     string // startup, quarantined
	At       *api.Version
	Newest   bool
	Lines    int
	More     int // lines that are not shown
	Blocks   []block
	Log      []api.Version // the newest, and the one that is shown
	Unlisted int           // versions that Log leaves out
	Command  string        // that prints all of it
	Capture  string        // id of what is in quarantine; empty: without one it can be looked at only
}

// block is a run of lines; First is the number of its first one.
type block struct {
	First int
	Lines []string
}

func (w *site) config(r *http.Request) (string, view, error) {
	dev, err := w.api.Device(r.Context(), r.PathValue("name"))
	if err != nil {
		return "", view{}, err
	}
	d := configData{Device: dev.Name}
	which := backup.Which{}
	switch v := r.PathValue("version"); v {
	case "startup":
		d.Part, which.Part, d.Command = v, v, "--part startup"
	case "quarantined":
		d.Part, which.Quarantined, d.Command = v, true, "--quarantined"
		if held, err := w.api.Quarantined(r.Context(), d.Device); err == nil {
			d.Capture, which.Capture = held.Capture, held.Capture
		}
	default:
		if d.Version, err = versionNumber(v); err != nil {
			return "", view{}, err
		}
		which.Version, d.Command = d.Version, fmt.Sprintf("--version %d", d.Version)
	}
	d.Command = "muster config show " + d.Device + " " + d.Command
	text, err := w.api.Text(r.Context(), d.Device, which)
	if err != nil {
		return "", view{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	d.Lines = len(lines)
	lines, d.More = head(lines, textLines)
	for i := 0; i < len(lines); i += blockLines {
		d.Blocks = append(d.Blocks, block{i + 1, lines[i:min(i+blockLines, len(lines))]})
	}
	log, err := w.api.Versions(r.Context(), d.Device)
	for i := range log {
		if log[i].Version == d.Version {
			d.At, d.Newest = &log[i], i == 0
		}
		if i < logTabs || log[i].Version == d.Version {
			d.Log = append(d.Log, log[i])
		}
	}
	d.Unlisted = len(log) - len(d.Log)
	return "config", view{Title: d.Device + " configuration", Nav: "devices", Data: d}, err
}

// versionNumber reads "3" or "v3".
func versionNumber(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "v"))
	if err != nil || n < 1 {
		return 0, errNoPage
	}
	return n, nil
}

type diffData struct {
	Device         string
	A, B           string // what is held against what, in words
	Added, Removed int
	Hunks          []hunk
	More           int // lines that are not shown
	Older, Newer   string
	Command        string // that prints it
	Do             string // what to do about it, where something is to be done
}

// diffOf is the page that shows a drift.
func diffOf(device string, kind backup.DriftKind) string {
	base := "/diff/" + url.PathEscape(device)
	switch kind {
	case backup.DriftUnsaved:
		return base + "/startup/running"
	case backup.DriftOffBaseline:
		return base + "/baseline/running"
	case backup.DriftPending: // a candidate is not read: the device shows it
		return ""
	}
	return base + "/approved/newest"
}

// diff shows two versions (v1/v2), the approved one against the newest, startup
// against running, or the baseline against the newest.
func (w *site) diff(r *http.Request) (string, view, error) {
	dev, err := w.api.Device(r.Context(), r.PathValue("name"))
	if err != nil {
		return "", view{}, err
	}
	log, err := w.api.Versions(r.Context(), dev.Name)
	if err != nil {
		return "", view{}, err
	}
	d := diffData{Device: dev.Name, Command: "muster config diff " + dev.Name}
	var text bytes.Buffer
	newer := backup.Which{} // the text that the new side's line numbers are of
	switch pair := r.PathValue("a") + "/" + r.PathValue("b"); pair {
	case "startup/running":
		d.A, d.B, d.Command = "startup", "running", d.Command+" --unsaved"
		d.Do = driftDo(backup.DriftUnsaved, []string{dev.Name})
		err = w.api.Diff(r.Context(), &text, dev.Name, 0, 0, "unsaved")
	case "baseline/running":
		d.A, d.B, d.Command = "baseline", "newest version", d.Command+" --baseline"
		d.Do = driftDo(backup.DriftOffBaseline, []string{dev.Name})
		err = w.api.Diff(r.Context(), &text, dev.Name, 0, 0, "baseline")
	default:
		var a, b int
		if a, b, err = versionPair(r.PathValue("a"), r.PathValue("b"), log); err != nil {
			return "", view{}, err
		}
		d.A, d.B, d.Command = fmt.Sprintf("v%d", a), fmt.Sprintf("v%d", b), fmt.Sprintf("%s %d %d", d.Command, a, b)
		newer.Version = b
		d.Older, d.Newer = besides(dev.Name, b, log)
		if len(log) > 0 && log[0].Version == b && !log[0].Approved {
			d.Do = driftDo(backup.DriftChanged, []string{dev.Name})
		}
		if a != b {
			err = w.api.Diff(r.Context(), &text, dev.Name, a, b, "")
		}
	}
	if err != nil {
		return "", view{}, err
	}
	d.Hunks = parseUnified(text.String())
	for _, h := range d.Hunks {
		for _, l := range h.Lines {
			switch l.Mark {
			case "+":
				d.Added++
			case "-":
				d.Removed++
			}
		}
	}
	if len(d.Hunks) == 0 {
		d.Do = ""
	} else if t, err := w.api.Text(r.Context(), dev.Name, newer); err == nil { // without it hunks have no parents, and that is all
		addParents(d.Hunks, strings.Split(string(t), "\n"))
	}
	d.Hunks, d.More = cut(d.Hunks, diffLines)
	return "diff", view{Title: d.Device + " " + d.A + " to " + d.B, Nav: "devices", Data: d}, nil
}

// versionPair reads the two versions of a diff's address; "approved" is the
// newest that is, "newest" the newest.
func versionPair(a, b string, log []api.Version) (x, y int, err error) {
	if a == "approved" && b == "newest" {
		if len(log) == 0 {
			return 0, 0, backup.NotStored("there is no version yet; muster backup takes one")
		}
		for _, v := range log {
			if v.Approved {
				return v.Version, log[0].Version, nil
			}
		}
		return 0, 0, backup.NotStored("no version is approved; muster config approve does it")
	}
	if x, err = versionNumber(a); err != nil {
		return 0, 0, err
	}
	y, err = versionNumber(b)
	return x, y, err
}

// besides are the pages of the change before the one that made version b, and of
// the one after it. log has the newest first, and may have gaps.
func besides(device string, b int, log []api.Version) (older, newer string) {
	page := func(i int) string { // the change that made log[i]
		return fmt.Sprintf("/diff/%s/v%d/v%d", url.PathEscape(device), log[i+1].Version, log[i].Version)
	}
	for i, v := range log {
		if v.Version != b {
			continue
		}
		if i+2 < len(log) {
			older = page(i + 1)
		}
		if i > 0 {
			newer = page(i - 1)
		}
	}
	return older, newer
}
