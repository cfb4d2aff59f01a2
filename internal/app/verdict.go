package app

import (
	"context"
	"fmt"
	"io"
	"slices"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
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
	tasks  map[string]string // outcome of each device in the newest backup run that has one
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
	both := func(device string, kind alert.Kind, extra func(sight) bool, what string) {
		w.signs = append(w.signs,
			&sign{phase: flagged, what: device + " " + what, seen: func(s sight) (string, bool) {
				for _, a := range s.alerts {
					if a.Kind == kind && a.State == alert.Firing && slices.Contains(a.Devices, device) && extra(s) {
						return fmt.Sprintf("✕ %-14s %-10s %s", kind, device, oneLine(a.Message, 150)), true
					}
				}
				return "", false
			}},
			&sign{phase: mended, what: device + " " + what + ": over", seen: func(s sight) (string, bool) {
				over := false
				for _, a := range s.alerts {
					if a.Kind != kind || !slices.Contains(a.Devices, device) {
						continue
					}
					if a.State == alert.Firing {
						return "", false
					}
					over = true
				}
				if !over || drifted(s, device, kind) {
					return "", false
				}
				return fmt.Sprintf("✓ %-14s %-10s resolved", kind, device), true
			}})
	}
	drift := func(device string, kind backup.DriftKind) func(sight) bool {
		return func(s sight) bool {
			return slices.ContainsFunc(s.drift, func(d backup.Drift) bool { return d.Device == device && d.Kind == kind })
		}
	}
	task := func(device string, outcomes ...backup.Outcome) func(sight) bool {
		return func(s sight) bool { return slices.Contains(outcomes, backup.Outcome(s.tasks[device])) }
	}
	both(demoChanged, alert.Changed, drift(demoChanged, backup.DriftChanged), "changed")
	both(demoUnsaved, alert.Unsaved, drift(demoUnsaved, backup.DriftUnsaved), "has unsaved changes")
	both(demoStopped, alert.Unreachable, func(sight) bool { return true }, "stopped answering")
	both(demoRejected, alert.LoginRejected, task(demoRejected, backup.Failed), "rejects the login")
	both(demoTruncated, alert.Quarantined, task(demoTruncated, backup.Quarantined), "sends a truncated configuration")
	return w
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
	s := sight{tasks: map[string]string{}}
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
			if t.Outcome != "" && s.tasks[t.Subject] == "" {
				s.tasks[t.Subject] = t.Outcome
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

// all reports whether every sign of a phase was seen.
func (w *watch) all(p phase) bool {
	return !slices.ContainsFunc(w.signs, func(g *sign) bool { return g.phase == p && g.at == "" })
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
		return &api.Error{Message: fmt.Sprintf("the demo did not show what it promises: %d things are missing", len(missing)), Exit: 1}
	}
	fmt.Fprintln(out, "Verdict, read through the API alone: found, backed up, five faults flagged, five recoveries said.")
	return nil
}
