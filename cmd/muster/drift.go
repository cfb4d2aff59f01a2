package main

import (
	"context"
	"fmt"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/api"
)

type driftCmd struct {
	Filter   []string `arg:"" optional:"" help:"Device names or filter words."`
	ExitCode bool     `help:"Exit with 4 when there is drift."`
	listing
}

func (c *driftCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		d, err := cl.Drift(ctx, c.Filter...)
		if err != nil {
			return err
		}
		err = list(s, c.listing, d, "no drift",
			text("device", func(d backup.Drift) string { return d.Device }),
			text("kind", func(d backup.Drift) string { return string(d.Kind) }),
			moment("since", func(d backup.Drift) *time.Time { return &d.Since }),
			text("lines added", func(d backup.Drift) string { return fmt.Sprint(d.LinesAdded) }),
			text("lines removed", func(d backup.Drift) string { return fmt.Sprint(d.LinesRemoved) }),
			text("group", func(d backup.Drift) string { return d.Group }),
		)
		if err != nil {
			return err
		}
		if c.Output == "table" {
			advise(s, d)
		}
		if c.ExitCode && len(d) > 0 {
			return exitCode(exitDrift)
		}
		return nil
	})
}

// advise says once for each kind of drift how to see it and how to end it.
func advise(s *session, drifts []backup.Drift) {
	said := map[backup.DriftKind]bool{}
	for _, d := range drifts {
		if said[d.Kind] {
			continue
		}
		said[d.Kind] = true
		name := collector.Escape(d.Device)
		switch d.Kind {
		case backup.DriftUnsaved:
			fmt.Fprintf(s.stderr, "unsaved: muster config diff %s --unsaved shows the lines; save them on the device\n", name)
		case backup.DriftOffBaseline:
			fmt.Fprintf(s.stderr, "off-baseline: muster config diff %s --baseline shows the lines; muster config baseline %s pins the newest version\n", name, name)
		case backup.DriftPending:
			fmt.Fprintf(s.stderr, "pending: muster config diff %s --pending shows what waits; commit, confirm or drop it on the device\n", name)
		default:
			fmt.Fprintf(s.stderr, "changed: muster config diff %s shows the lines; muster config approve %s says that they are right\n", name, name)
		}
	}
}
