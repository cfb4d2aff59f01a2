package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"muster/collector"
	"muster/internal/api"
	"muster/internal/app"
)

type doctorCmd struct {
	Device string `arg:"" optional:"" help:"Name, address or serial; none: the installation itself."`
	Bundle string `placeholder:"FILE" type:"path" help:"Write what the device said into a new file, secrets hidden, for whoever is to help."`
	Output string `short:"o" enum:"text,ndjson" default:"text" help:"text or ndjson."`
}

// Help is shown below the summary of --help.
func (c *doctorCmd) Help() string {
	return "It opens a session as a backup does and stores no backup. A login that the device rejects counts: it is one of the two rejected logins that a device sees a day. " +
		"A credential that is stopped is not sent, and where the day's two are used up no session is opened."
}

func (c *doctorCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if c.Device == "" {
			return c.installation(ctx, s, cl)
		}
		failed := false
		record := app.Record{Version: built(), Device: c.Device}
		err := cl.Doctor(ctx, c.Device, c.Bundle != "", func(l api.Line) error {
			if l.Step != nil {
				record.Steps = append(record.Steps, *l.Step)
			}
			switch {
			case l.Said != nil:
				record.Said = append(record.Said, *l.Said)
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
		if err == nil && c.Bundle != "" {
			err = c.write(ctx, s, cl, record)
		}
		if err == nil && failed {
			return exitCode(exitFailed)
		}
		return err
	})
}

// write writes the bundle, over no file.
func (c *doctorCmd) write(ctx context.Context, s *session, cl *api.Client, r app.Record) error {
	d, err := cl.Device(ctx, c.Device)
	if err != nil {
		return err
	}
	r.Platform = d.Platform
	f, err := os.OpenFile(c.Bundle, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &api.Error{Message: c.Bundle + " exists; name another file", Exit: exitUsage}
	}
	if err != nil {
		return err
	}
	if err := errors.Join(r.Write(f), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "%s: %d answers, secrets hidden; read it before you send it; muster platform test --bundle %s plays it\n", c.Bundle, len(r.Said), c.Bundle)
	return nil
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
