package main

import (
	"context"
	"fmt"

	"muster/backup"
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
			column[backup.Drift]{"device", func(d backup.Drift) string { return d.Device }},
			column[backup.Drift]{"kind", func(d backup.Drift) string { return string(d.Kind) }},
			column[backup.Drift]{"since", func(d backup.Drift) string { return when(&d.Since) }},
			column[backup.Drift]{"lines added", func(d backup.Drift) string { return fmt.Sprint(d.LinesAdded) }},
			column[backup.Drift]{"lines removed", func(d backup.Drift) string { return fmt.Sprint(d.LinesRemoved) }},
			column[backup.Drift]{"group", func(d backup.Drift) string { return d.Group }},
		)
		if err != nil {
			return err
		}
		if c.Output == "table" && len(d) > 0 {
			switch d[0].Kind {
			case backup.DriftUnsaved:
				fmt.Fprintf(s.stderr, "muster config diff %s --unsaved shows the lines\n", d[0].Device)
			case backup.DriftOffBaseline:
				fmt.Fprintf(s.stderr, "muster config diff %s --baseline shows the lines\n", d[0].Device)
			default:
				fmt.Fprintf(s.stderr, "muster config diff %s shows the lines, muster config approve %s accepts them\n", d[0].Device, d[0].Device)
			}
		}
		if c.ExitCode && len(d) > 0 {
			return exitCode(exitDrift)
		}
		return nil
	})
}
