package main

import (
	"context"
	"fmt"
	"strings"
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
		none, rest := "", ""
		if c.Output == "table" {
			with, without, err := readOf(ctx, cl, c.Filter)
			if err != nil {
				return err
			}
			none, rest = noDrift(with, without), unread(without, "to compare")
		}
		err = list(s, c.listing, d, none,
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
			if len(d) > 0 && rest != "" {
				fmt.Fprintln(s.stderr, rest)
			}
		}
		if c.ExitCode && len(d) > 0 {
			return exitCode(exitDrift)
		}
		return nil
	})
}

// noDrift says that nothing drifted, of no device more than was compared.
func noDrift(with, without []string) string {
	rest := unread(without, "to compare")
	switch {
	case len(with) == 0 && rest == "":
		return "nothing to compare: no device is to be backed up"
	case len(with) == 0:
		return "nothing to compare: " + rest + "; muster backup takes the first one"
	case rest == "":
		return "no drift on " + plural(len(with), "device")
	}
	return "no drift on " + plural(len(with), "device") + "; " + rest
}

// readOf tells of which devices there are versions, and of which ones there should
// be and are none: what a verb says of stored configurations says nothing of them.
func readOf(ctx context.Context, cl *api.Client, filter []string) (with, without []string, err error) {
	devices, err := cl.Devices(ctx, filter...)
	for _, d := range devices {
		switch {
		case d.Versions > 0:
			with = append(with, d.Name)
		case len(filter) > 0, d.Managed && d.BackupState != backup.Disabled:
			without = append(without, d.Name)
		}
	}
	return with, without, err
}

// unread says of which devices there is no version; empty: of all there is one.
func unread(names []string, to string) string {
	if len(names) == 0 {
		return ""
	}
	some, more := names, ""
	if len(some) > 5 {
		some, more = names[:5], fmt.Sprintf(" and %d more", len(names)-5)
	}
	has := "have"
	if len(names) == 1 {
		has = "has"
	}
	return fmt.Sprintf("%s %s no version %s: %s%s", plural(len(names), "device"), has, to, collector.Escape(strings.Join(some, ", ")), more)
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
