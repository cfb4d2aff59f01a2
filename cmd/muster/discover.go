package main

import (
	"context"
	"fmt"

	"muster/collector"
	"muster/internal/api"
	"muster/inventory"
)

type discoverCmd struct {
	Scope  []string `arg:"" optional:"" help:"Scopes to sweep; none: all."`
	DryRun bool     `help:"Show what would be found; store nothing, open no SSH session."`
	Silent bool     `help:"List addresses that did not answer, too."`
	streaming
}

// streaming is the flag of verbs that start a run.
type streaming struct {
	Output string `short:"o" enum:"table,json,ndjson" default:"table" help:"table, json, or ndjson: one line a device as it is committed."`
}

func (c *discoverCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		p := newProgress(s.stderr, "sweeping")
		all := []inventory.Result{}
		failed, counts := 0, map[inventory.Outcome]int{}
		err := cl.Discover(ctx, api.RunRequest{Filter: c.Scope, DryRun: c.DryRun}, func(l api.Line) error {
			switch {
			case l.Progress != nil:
				p.show(*l.Progress)
			case l.Note != "":
				p.note(collector.Escape(l.Note))
			case l.Found != nil:
				r := *l.Found
				counts[r.Outcome]++
				if r.Outcome == inventory.OutcomeFailed {
					failed++
				}
				if r.Outcome == inventory.OutcomeSilent && !c.Silent {
					return nil
				}
				switch c.Output {
				case "ndjson":
					return printLine(s.stdout, r)
				case "json":
					all = append(all, r)
				default:
					p.line(s.stdout, "%-15s  %-8s  %-20s  %-18s  %s", r.Address, r.Outcome, dash(collector.Escape(r.Device)), dash(r.Platform), collector.Escape(r.Message))
				}
			}
			return nil
		})
		p.end(s.stderr)
		if c.Output == "json" {
			if err := printJSON(s.stdout, all); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if c.Output == "table" {
			dry := ""
			if c.DryRun {
				dry = "; nothing was stored, nobody was logged in to"
			}
			fmt.Fprintf(s.stderr, "%d new, %d known, %d at a further address of a known device, %d failed%s\n",
				counts[inventory.OutcomeNew], counts[inventory.OutcomeKnown], counts[inventory.OutcomeMerged], failed, dry)
		}
		if failed > 0 {
			return exitCode(exitSomeFailed)
		}
		return nil
	})
}
