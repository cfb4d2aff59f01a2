package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/lab"
	"muster/internal/schedule"
)

// phase is an act of the demo.
type phase int

const (
	flagged phase = iota // a fault is there and flagged
	mended               // it is over, and that is said
)

// sign is one thing that must be seen through the API.
type sign struct {
	phase phase
	what  string // for the verdict
	// seen tells whether the sign is there, and how to say it.
	seen func(s sight) (string, bool)
	at   string // how it was said; empty: not seen yet
}

// sight is what the API shows at one moment.
type sight struct {
	alerts []alert.Alert
	drift  []backup.Drift
	tasks  map[string]schedule.Task // of each device in the newest backup run in which it has ended
}

// fault is one of the five things that go wrong, as the API shows it.
type fault struct {
	device string
	kind   alert.Kind
	what   string // for the verdict
	next   string // what to type to see it
	// seen adds what the API shows beside the alert: a few words of it, and
	// whether it is there.
	seen func(s sight) (string, bool)
}

// watch collects the signs of a demo. It asks nothing but the API: what the
// simulated network did is not its business.
type watch struct {
	c     *api.Client
	signs []*sign
	first []string // what was wrong with discovery or first backup
	told  bool     // discovery and backup were looked at
}

func newWatch(c *api.Client) *watch {
	w := &watch{c: c}
	lines := func(device string, kind backup.DriftKind) func(sight) (string, bool) {
		return func(s sight) (string, bool) {
			for _, d := range s.drift {
				if d.Device == device && d.Kind == kind {
					return fmt.Sprintf("%s added, %d removed", counted(d.LinesAdded, "line"), d.LinesRemoved), true
				}
			}
			return "", false
		}
	}
	ended := func(device string, outcome backup.Outcome) func(sight) (string, bool) {
		return func(s sight) (string, bool) {
			t := s.tasks[device]
			return fmt.Sprintf("backup %s at %s: %s", t.Outcome, t.Step, t.Kind), backup.Outcome(t.Outcome) == outcome
		}
	}
	for _, f := range []fault{
		{demoChanged, alert.Changed, "changed", "config diff " + demoChanged, lines(demoChanged, backup.DriftChanged)},
		{demoUnsaved, alert.Unsaved, "has unsaved changes", "config diff " + demoUnsaved + " --unsaved", lines(demoUnsaved, backup.DriftUnsaved)},
		{demoStopped, alert.Unreachable, "stopped answering", "doctor " + demoStopped, func(sight) (string, bool) { return "answers nothing any more", true }},
		{demoRejected, alert.LoginRejected, "rejects the login", "device show " + demoRejected, ended(demoRejected, backup.Failed)},
		{demoTruncated, alert.Quarantined, "sends a truncated configuration", "config show " + demoTruncated + " --quarantined", ended(demoTruncated, backup.Quarantined)},
	} {
		w.signs = append(w.signs,
			&sign{phase: flagged, what: f.device + " " + f.what, seen: f.flagged},
			&sign{phase: mended, what: f.device + " " + f.what + ": over", seen: f.over})
	}
	return w
}

// flagged reports whether the fault is flagged for what it is: by a firing alert
// of its kind, and by what the API shows beside it.
func (f fault) flagged(s sight) (string, bool) {
	detail, ok := f.seen(s)
	firing := slices.ContainsFunc(s.alerts, func(a alert.Alert) bool {
		return a.Kind == f.kind && a.State == alert.Firing && slices.Contains(a.Devices, f.device)
	})
	return fmt.Sprintf("✕ %-10s %-15s %-45s muster %s", f.device, f.kind, detail, f.next), ok && firing
}

// over reports whether the fault was flagged and is no more: its alert is
// resolved, and what the API shows beside it has gone.
func (f fault) over(s sight) (string, bool) {
	said := ""
	for _, a := range s.alerts {
		if a.Kind != f.kind || !slices.Contains(a.Devices, f.device) {
			continue
		}
		if a.State == alert.Firing {
			return "", false
		}
		if said == "" { // newest first
			said = a.Message
		}
	}
	if said == "" || drifted(s, f.device, f.kind) {
		return "", false
	}
	return fmt.Sprintf("✓ %-10s %-15s %s", f.device, f.kind, oneLine(said, 90)), true
}

// drifted reports whether the drift that an alert of kind is about still stands.
func drifted(s sight, device string, kind alert.Kind) bool {
	return slices.ContainsFunc(s.drift, func(d backup.Drift) bool { return d.Device == device && string(d.Kind) == string(kind) })
}

// found looks at what discovery brought.
func (w *watch) found(rows []api.Device, want int) {
	w.told = true
	if len(rows) != want {
		w.first = append(w.first, fmt.Sprintf("%d devices were found, not %d", len(rows), want))
	}
	for _, r := range rows {
		if r.Platform == string(lab.FRR) && r.Version != "" {
			continue // a host's agent tells no model and no serial
		}
		if r.Vendor == "" || r.Platform == "" || r.Model == "" || r.Version == "" || r.Serial == "" {
			w.first = append(w.first, fmt.Sprintf("%s: vendor %q, platform %q, model %q, version %q, serial %q are not all known", r.Name, r.Vendor, r.Platform, r.Model, r.Version, r.Serial))
		}
	}
}

// backedUp looks at the first backup.
func (w *watch) backedUp(results []backup.Result, want int) {
	stored := 0
	for _, r := range results {
		if r.Outcome == backup.Stored {
			stored++
		}
	}
	if stored != want {
		w.first = append(w.first, fmt.Sprintf("%d of %d devices were backed up at first", stored, want))
	}
}

// look asks the API once and returns what is newly seen of a phase.
func (w *watch) look(ctx context.Context, p phase) ([]string, error) {
	s := sight{tasks: map[string]schedule.Task{}}
	var err error
	if s.alerts, err = w.c.Alerts(ctx, true); err != nil {
		return nil, err
	}
	if s.drift, err = w.c.Drift(ctx); err != nil {
		return nil, err
	}
	runs, err := w.c.Runs(ctx, 4)
	if err != nil {
		return nil, err
	}
	for _, r := range runs { // newest first
		if r.Job != "backup" {
			continue
		}
		run, err := w.c.Run(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		for _, t := range run.Tasks {
			if _, ok := s.tasks[t.Subject]; !ok && t.Outcome != "" {
				s.tasks[t.Subject] = t
			}
		}
	}
	var news []string
	for _, g := range w.signs {
		if g.phase != p || g.at != "" {
			continue
		}
		if said, ok := g.seen(s); ok {
			g.at = said
			news = append(news, said)
		}
	}
	return news, nil
}

// missing counts the signs of a phase that were not seen yet.
func (w *watch) missing(p phase) int {
	n := 0
	for _, g := range w.signs {
		if g.phase == p && g.at == "" {
			n++
		}
	}
	return n
}

// verdict says what was not seen; nil: everything was.
func (w *watch) verdict(out io.Writer) error {
	if w == nil || !w.told {
		return &api.Error{Message: "the demo ended before the network was found; give it more time with --for", Exit: 1}
	}
	missing := slices.Clone(w.first)
	for _, g := range w.signs {
		if g.at == "" {
			missing = append(missing, "not seen: "+g.what)
		}
	}
	for _, m := range missing {
		fmt.Fprintln(out, "  "+m)
	}
	if len(missing) > 0 {
		return &api.Error{Message: "the demo did not show what it promises: " + counted(len(missing), "thing") + " missing, see above", Exit: 1}
	}
	fmt.Fprintln(out, "Verdict, read through the API alone: found, backed up, five faults flagged, five recoveries said.")
	return nil
}

// oneLine makes a message fit for one line of the terminal.
func oneLine(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
