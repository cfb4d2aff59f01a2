package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/api"
)

type configCmd struct {
	Show     configShowCmd     `cmd:"" help:"Print a stored configuration."`
	Log      configLogCmd      `cmd:"" help:"List the versions of a device."`
	Diff     configDiffCmd     `cmd:"" help:"What changed between two versions, or is unsaved."`
	Grep     configGrepCmd     `cmd:"" help:"Search the newest configurations (a Go regular expression)."`
	Export   configExportCmd   `cmd:"" help:"Write one redacted file a device, ready for git."`
	Approve  configApproveCmd  `cmd:"" help:"Say that the newest version is as it should be."`
	Accept   configAcceptCmd   `cmd:"" help:"Make the quarantined capture a version."`
	Discard  configDiscardCmd  `cmd:"" help:"Discard the quarantined capture."`
	Baseline configBaselineCmd `cmd:"" help:"Pin a version as how the device should be."`
	Purge    configPurgeCmd    `cmd:"" help:"Remove a version's bytes from every place, e.g. a secret that nothing masked."`
}

type configShowCmd struct {
	Name        string `arg:"" help:"Name, address or serial."`
	Version     int    `help:"Number of the version; 0: the newest."`
	Part        string `help:"Part, e.g. startup; empty: the running config."`
	Raw         bool   `help:"As the device sent it, secrets and all. Written to the audit log."`
	Quarantined bool   `help:"The capture that waits in quarantine."`
}

func (c *configShowCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		which := backup.Which{Version: c.Version, Part: c.Part, Raw: c.Raw, Quarantined: c.Quarantined}
		var held api.Held
		if c.Quarantined {
			// Without an id, as where its definition is gone, it can still be looked at.
			held, _ = cl.Quarantined(ctx, c.Name)
			which.Capture = held.Capture
		}
		r, err := cl.Text(ctx, c.Name, which)
		if err != nil {
			return err
		}
		if err := copyOut(s.stdout, r); err != nil || held.Capture == "" {
			return err
		}
		name := collector.Escape(held.Device)
		fmt.Fprintf(s.stderr, "capture %s of %s; to make it a version: muster config accept %s --capture %s\n", held.Capture, held.TakenAt.UTC().Format(time.RFC3339), name, held.Capture)
		return nil
	})
}

// copyOut prints what the API streams.
func copyOut(w io.Writer, r io.ReadCloser) error {
	defer r.Close()
	_, err := io.Copy(w, r)
	return err
}

type configLogCmd struct {
	Name string `arg:"" help:"Name, address or serial."`
	listing
}

func (c *configLogCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		v, err := cl.Versions(ctx, c.Name)
		if err != nil {
			return err
		}
		return list(s, c.listing, v, "no version of "+c.Name+" yet; muster backup "+c.Name+" takes one",
			text("version", func(v api.Version) string { return fmt.Sprint(v.Version) }),
			moment("at", func(v api.Version) *time.Time { return &v.At }),
			text("reason", func(v api.Version) string { return string(v.Reason) }),
			text("approved", func(v api.Version) string { return yes(v.Approved) }),
			text("lines added", func(v api.Version) string { return fmt.Sprint(v.LinesAdded) }),
			text("lines removed", func(v api.Version) string { return fmt.Sprint(v.LinesRemoved) }),
			text("last change", func(v api.Version) string { return v.LastChange }).optional(),
			text("rules", func(v api.Version) string { return v.Rules }),
		)
	})
}

type configDiffCmd struct {
	Name     string `arg:"" help:"Name, address or serial."`
	A        int    `arg:"" optional:"" help:"Older version; 0: the one before the newest."`
	B        int    `arg:"" optional:"" help:"Newer version; 0: the newest."`
	Unsaved  bool   `xor:"against" help:"Startup config against running config."`
	Baseline bool   `xor:"against" help:"Baseline against the newest version."`
	Pending  bool   `xor:"against" help:"What the device says of changes that wait for a commit or its confirmation."`
}

func (c *configDiffCmd) Run(s *session) error {
	against := ""
	switch {
	case c.Unsaved:
		against = "unsaved"
	case c.Baseline:
		against = "baseline"
	case c.Pending:
		against = "pending"
	}
	return s.client(func(ctx context.Context, cl *api.Client) error {
		r, err := cl.Diff(ctx, c.Name, c.A, c.B, against)
		if err != nil {
			return err
		}
		return copyOut(s.stdout, r)
	})
}

type configGrepCmd struct {
	Pattern string   `arg:"" any:"" help:"Go regular expression (RE2), matched on each line."`
	Filter  []string `arg:"" optional:"" help:"Device names or filter words."`
	Output  string   `short:"o" enum:"text,ndjson" default:"text" help:"text or ndjson."`
}

func (c *configGrepCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		found := false
		err := cl.Grep(ctx, c.Pattern, c.Filter, func(l api.Line) error {
			if l.Hit == nil {
				return nil
			}
			found = true
			if c.Output == "ndjson" {
				return printLine(s.stdout, l.Hit)
			}
			_, err := fmt.Fprintf(s.stdout, "%s:%d:%s\n", collector.Escape(l.Hit.Device), l.Hit.Line, collector.Escape(l.Hit.Text))
			return err
		})
		if err != nil {
			return err
		}
		if !found {
			if err := noteUnread(ctx, s, cl, c.Filter, "to search"); err != nil {
				return err
			}
			return exitCode(exitFailed) // as grep does
		}
		return nil
	})
}

type configExportCmd struct {
	Dir    string   `arg:"" help:"Folder to write to; made where it is missing." type:"path"`
	Filter []string `arg:"" optional:"" help:"Device names or filter words."`
}

func (c *configExportCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		dir, err := backup.OpenExportDir(c.Dir)
		if err != nil {
			return err
		}
		n := 0
		err = cl.Export(ctx, c.Filter, func(l api.Line) error {
			if l.File == nil {
				return nil
			}
			n++
			return dir.Put(backup.File{Name: l.File.Name, Text: l.File.Text})
		})
		if err != nil {
			return err
		}
		if err := dir.Close(len(c.Filter) == 0); err != nil {
			return err
		}
		fmt.Fprintf(s.stderr, "%s written to %s, secrets replaced by ‹secret›\n", plural(n, "file"), c.Dir)
		return noteUnread(ctx, s, cl, c.Filter, "to write")
	})
}

// noteUnread says of which devices there was nothing to work on.
func noteUnread(ctx context.Context, s *session, cl *api.Client, filter []string, to string) error {
	_, without, err := readOf(ctx, cl, filter)
	if note := unread(without, to); note != "" {
		fmt.Fprintln(s.stderr, note)
	}
	return err
}

// configDecision is a verb that decides about one device's configuration.
type configDecision struct {
	Name string `arg:"" help:"Name, address or serial."`
}

func (c configDecision) run(s *session, verb string, m api.Meant) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		d, err := cl.Decide(ctx, c.Name, verb, m)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s: %s\n", collector.Escape(d.Device), collector.Escape(d.Note))
		return nil
	})
}

// configDecisions is a verb that decides about several devices' configurations.
type configDecisions struct {
	Filter []string `arg:"" optional:"" help:"One device by name, address or serial; or several names or filter words, e.g. site:paris."`
}

func (c configDecisions) run(s *session, verb, group, capture string) error {
	if len(c.Filter) == 1 && group == "" && (capture != "" || !strings.ContainsAny(c.Filter[0], ":*")) {
		return configDecision{Name: c.Filter[0]}.run(s, verb, api.Meant{Capture: capture})
	}
	if capture != "" {
		return &api.Error{Message: "--capture is of one device: name that one alone", Exit: exitUsage}
	}
	return s.client(func(ctx context.Context, cl *api.Client) error {
		all, err := cl.DecideMany(ctx, verb, c.Filter, group)
		if err != nil {
			return err
		}
		failed := 0
		for _, d := range all {
			out := s.stdout
			if d.Failed {
				out, failed = s.stderr, failed+1
			}
			fmt.Fprintf(out, "%s: %s\n", collector.Escape(d.Device), collector.Escape(d.Note))
		}
		if failed > 0 {
			return exitCode(exitSomeFailed)
		}
		return nil
	})
}

type configApproveCmd struct {
	configDecisions
	Group string `filled:"" help:"All devices with this change; muster drift shows the groups." placeholder:"G"`
}

func (c *configApproveCmd) Run(s *session) error { return c.run(s, "approve", c.Group, "") }

type configAcceptCmd struct {
	configDecisions
	heldFlag
}

// heldFlag keeps a decision from hitting a capture that came after the one that
// somebody looked at.
type heldFlag struct {
	Capture string `filled:"" help:"Only if it is this one; muster config show NAME --quarantined names it." placeholder:"ID"`
}

func (c *configAcceptCmd) Run(s *session) error { return c.run(s, "accept", "", c.Capture) }

type configDiscardCmd struct {
	configDecisions
	heldFlag
}

func (c *configDiscardCmd) Run(s *session) error { return c.run(s, "discard", "", c.Capture) }

type configBaselineCmd struct {
	configDecision
	Version int  `help:"Number of the version; 0: the newest."`
	Clear   bool `help:"Take the baseline away."`
}

func (c *configBaselineCmd) Run(s *session) error {
	if c.Clear {
		return c.run(s, "unpin", api.Meant{})
	}
	return c.run(s, "baseline", api.Meant{Version: c.Version})
}

type configPurgeCmd struct {
	configDecision
	Version int  `help:"Number of the version." required:"" placeholder:"N"`
	Yes     bool `help:"It cannot be brought back." required:""`
}

func (c *configPurgeCmd) Run(s *session) error {
	return c.run(s, "purge", api.Meant{Version: c.Version})
}
