package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"muster/collector"
	"muster/internal/api"
	"muster/internal/app"
	"muster/internal/schedule"
)

type runCmd struct {
	List runListCmd `cmd:"" help:"List the newest runs."`
	Show runShowCmd `cmd:"" help:"Show one run, device by device."`
	Stop runStopCmd `cmd:"" help:"Stop a run; what was finished is stored."`
}

type runListCmd struct {
	Limit int `default:"20" help:"How many."`
	listing
}

func (c *runListCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		runs, err := cl.Runs(ctx, c.Limit)
		if err != nil {
			return err
		}
		return list(s, c.listing, runs, "no run yet",
			text("id", func(r schedule.Run) string { return fmt.Sprint(r.ID) }),
			text("job", job),
			text("state", func(r schedule.Run) string { return string(r.State) }),
			text("by", func(r schedule.Run) string { return r.By }),
			moment("started", func(r schedule.Run) *time.Time { return &r.StartedAt }).keyed("started_at"),
			text("done", func(r schedule.Run) string { return fmt.Sprintf("%d of %d", r.Done, r.Total) }),
			text("outcomes", func(r schedule.Run) string { return outcomes(r.Counts) }),
		)
	})
}

// job is what a run does; a dry one says so.
func job(r schedule.Run) string {
	if r.Request.Dry {
		return r.Job + " (dry)"
	}
	return r.Job
}

func outcomes(m map[string]int) string {
	var s []string
	for k, n := range m {
		s = append(s, fmt.Sprintf("%d %s", n, k))
	}
	sort.Strings(s)
	return strings.Join(s, ", ")
}

type runShowCmd struct {
	ID int64 `arg:"" optional:"" help:"Id of the run; none: the newest."`
	listing
}

func (c *runShowCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		r, err := cl.Run(ctx, c.ID)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return printJSON(s.stdout, r)
		}
		fmt.Fprintf(s.stderr, "run %d, %s, %s, by %s, started %s: %d of %d done: %s\n", r.ID, job(r.Run), r.State, r.By, when(&r.StartedAt), r.Done, r.Total, outcomes(r.Counts))
		return list(s, c.listing, r.Tasks, "no tasks",
			text("subject", func(t schedule.Task) string { return t.Subject }),
			text("state", func(t schedule.Task) string { return string(t.State) }),
			text("outcome", func(t schedule.Task) string { return t.Outcome }),
			text("step", func(t schedule.Task) string { return t.Step }).optional(),
			text("seconds", func(t schedule.Task) string { return fmt.Sprintf("%.1f", float64(t.TookMs)/1000) }),
			sentence("message", func(t schedule.Task) string { return t.Message }),
		)
	})
}

// stopped says what a run that was stopped has not done; nil: it did all.
func stopped(r schedule.Run) error {
	if left := r.Total - r.Done; left > 0 {
		return &api.Error{Message: fmt.Sprintf("run %d was stopped before %d of %d had ended; what was finished is stored", r.ID, left, r.Total), Exit: exitFailed}
	}
	return nil
}

type runStopCmd struct {
	ID int64 `arg:"" help:"Id of the run."`
}

func (c *runStopCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := cl.StopRun(ctx, c.ID); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "run %d is stopping: no new devices, running ones get their grace\n", c.ID)
		return nil
	})
}

type platformCmd struct {
	List platformListCmd `cmd:"" help:"List platforms, with the evidence for each."`
	Show platformShowCmd `cmd:"" help:"Show one."`
	Test platformTestCmd `cmd:"" help:"Say what a definition of yours would be and send, or all its faults."`
}

type platformTestCmd struct {
	File   string `arg:"" optional:"" help:"Definition file (YAML)." type:"path"`
	Bundle string `placeholder:"FILE" type:"path" help:"Play what muster doctor --bundle wrote through the definition; without one, through the built-in one of its platform."`
}

func (c *platformTestCmd) Run(s *session) error {
	said, err := app.TestPlatform(c.File, c.Bundle)
	for _, l := range said {
		fmt.Fprintln(s.stdout, collector.Escape(l))
	}
	return err
}

type platformListCmd struct{ listing }

func (c *platformListCmd) Run(s *session) error {
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		p, err := cl.Platforms(ctx)
		if err != nil {
			return err
		}
		return list(s, c.listing, p, "no platforms",
			text("name", func(p api.Platform) string { return p.Name }),
			text("vendor", func(p api.Platform) string { return p.Vendor }),
			text("evidence", func(p api.Platform) string { return string(p.Evidence.Kind) }),
			text("restorable", func(p api.Platform) string { return p.Restorable.Text }),
			text("parts", func(p api.Platform) string { return strings.Join(p.Parts, ",") }),
			text("devices", func(p api.Platform) string { return fmt.Sprint(p.Devices) }),
			text("origin", func(p api.Platform) string { return p.Origin }),
		)
	})
}

type platformShowCmd struct {
	Name     string `arg:"" help:"Name of the platform."`
	Commands bool   `help:"Print every command that may ever be sent, and nothing else."`
	Output   string `short:"o" enum:"text,json" default:"text" help:"text or json."`
}

func (c *platformShowCmd) Run(s *session) error {
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		p, err := cl.Platform(ctx, c.Name)
		if err != nil {
			return err
		}
		switch {
		case c.Output == "json":
			return printJSON(s.stdout, p)
		case c.Commands:
			for _, l := range p.Commands {
				fmt.Fprintln(s.stdout, collector.Escape(l))
			}
			return nil
		}
		fmt.Fprintf(s.stdout, "%s: %s %s\nevidence: %s, %s\nrestorable: %s, %s\nparts: %s\nrules: %s (%s)\n", p.Name, p.Vendor, p.Family, p.Evidence.Kind, p.Evidence.Source,
			p.Restorable.Text, p.Restorable.Why, strings.Join(p.Parts, ", "), p.Revision, p.Origin)
		return nil
	})
}
