package main

import (
	"context"
	"fmt"

	"muster/collector"
	"muster/internal/api"
	"muster/inventory"
)

type discoverCmd struct {
	Scope   []string `arg:"" optional:"" help:"Scopes to sweep; none: all."`
	DryRun  bool     `help:"Show what would be found; store nothing, open no SSH session."`
	Explain string   `filled:"" help:"Say step by step what muster would do at an address or a device, why, and what would change that; ask its SNMP agent, store nothing, open no SSH session." placeholder:"ADDRESS"`
	streaming
}

func (c *discoverCmd) Run(s *session) error {
	if c.Explain != "" {
		return c.explain(s)
	}
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		results, err := following[inventory.Result]{
			what: "sweeping",
			call: func(each func(api.Line) error) error {
				return cl.Discover(ctx, api.RunRequest{Filter: c.Scope, DryRun: c.DryRun}, each)
			},
			pick: func(l api.Line) *inventory.Result { return l.Found },
			row: func(p *progress, r inventory.Result) {
				p.line(s.stdout, "%-15s  %-8s  %-20s  %-18s  %s", r.Address, r.Outcome, dash(collector.Escape(r.Device)), dash(r.Platform), collector.Escape(r.Message))
			},
		}.follow(s, c.streaming)
		if err != nil {
			return err
		}
		counts := map[inventory.Outcome]int{}
		for _, r := range results {
			counts[r.Outcome]++
		}
		if c.Output == "table" {
			fmt.Fprintln(s.stderr, summed(counts, c.DryRun))
		}
		if counts[inventory.OutcomeFailed] > 0 {
			return exitCode(exitSomeFailed)
		}
		return nil
	})
}

// explain says what would be done at one address.
func (c *discoverCmd) explain(s *session) error {
	if len(c.Scope) > 0 || c.DryRun {
		return &api.Error{Message: "--explain is about one address: leave out scopes and --dry-run", Exit: exitUsage}
	}
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		steps, err := cl.Explain(ctx, c.Explain)
		if err != nil {
			return err
		}
		if c.Output == "ndjson" {
			for _, st := range steps {
				if err := printLine(s.stdout, st); err != nil {
					return err
				}
			}
			return nil
		}
		return list(s, listing{Output: c.Output}, steps, "",
			text("step", func(e inventory.Explained) string { return e.Step }),
			text("verdict", func(e inventory.Explained) string { return e.Verdict }),
			text("message", func(e inventory.Explained) string { return e.Message }),
			sentence("do", func(e inventory.Explained) string { return e.Do }),
		)
	})
}

// summed counts outcomes; rare ones are named where there are any.
func summed(counts map[inventory.Outcome]int, dry bool) string {
	text := fmt.Sprintf("%d new, %d known", counts[inventory.OutcomeNew], counts[inventory.OutcomeKnown])
	for _, rare := range []struct {
		outcome inventory.Outcome
		what    string
	}{
		{inventory.OutcomeMerged, "at a further address of a known device"},
		{inventory.OutcomeSilent, "known and silent"},
		{inventory.OutcomeExcluded, "in no scope any more"},
		{inventory.OutcomeSkipped, "left alone in a blackout"},
	} {
		if n := counts[rare.outcome]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, rare.what)
		}
	}
	text += fmt.Sprintf(", %d failed", counts[inventory.OutcomeFailed])
	if dry {
		text += "; nothing was stored, nobody was logged in to"
	}
	return text
}
