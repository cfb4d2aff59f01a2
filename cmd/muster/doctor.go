package main

import (
	"context"
	"fmt"
	"strings"

	"muster/collector"
	"muster/internal/api"
)

type doctorCmd struct {
	Device string `arg:"" optional:"" help:"Name, address or serial; none: the installation itself."`
	Output string `short:"o" enum:"text,ndjson" default:"text" help:"text or ndjson."`
}

func (c *doctorCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if c.Device == "" {
			return c.installation(ctx, s, cl)
		}
		failed := false
		err := cl.Doctor(ctx, c.Device, func(l api.Line) error {
			switch {
			case l.Note != "":
				fmt.Fprintln(s.stderr, collector.Escape(l.Note))
			case l.Step != nil:
				failed = failed || l.Step.Kind != ""
				if c.Output == "ndjson" {
					return printLine(s.stdout, l.Step)
				}
				mark := "ok  "
				if l.Step.Kind != "" {
					mark = "FAIL"
				}
				fmt.Fprintln(s.stdout, strings.TrimRight(fmt.Sprintf("%s  %-13s %7d ms  %s", mark, l.Step.Step, l.Step.TookMs, collector.Escape(l.Step.Detail)), " "))
				if l.Step.Kind != "" {
					fmt.Fprintf(s.stdout, "      %s", l.Step.Kind)
					if l.Step.Seen != "" {
						fmt.Fprintf(s.stdout, `; seen: "%s"`, l.Step.Seen)
					}
					fmt.Fprintf(s.stdout, "\n      %s\n", collector.Escape(l.Step.Do))
				}
			}
			return nil
		})
		if err == nil && failed {
			return exitCode(exitFailed)
		}
		return err
	})
}

func (c *doctorCmd) installation(ctx context.Context, s *session, cl *api.Client) error {
	findings, err := cl.Examine(ctx)
	if err != nil {
		return err
	}
	bad := false
	for _, f := range findings {
		mark := "ok  "
		if !f.Good {
			mark, bad = "FAIL", true
		}
		fmt.Fprintf(s.stdout, "%s  %-14s %s\n", mark, f.Check, collector.Escape(f.Seen))
		if f.Do != "" {
			fmt.Fprintf(s.stdout, "      %s\n", f.Do)
		}
	}
	if bad {
		return exitCode(exitFailed)
	}
	return nil
}
