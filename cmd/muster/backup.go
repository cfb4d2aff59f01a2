package main

import (
	"context"
	"fmt"
	"strings"

	"muster/backup"
	"muster/collector"
	"muster/internal/api"
	"muster/internal/schedule"
)

type backupCmd struct {
	Name []string `arg:"" optional:"" help:"Device names or filter words (platform:frr site:paris); none: all managed devices."`
	streaming
}

func (c *backupCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		p := newProgress(s.stderr, "backing up")
		all := []backup.Result{}
		counts := map[backup.Outcome]int{}
		var run schedule.Run
		err := cl.Backup(ctx, api.RunRequest{Filter: c.Name}, func(l api.Line) error {
			switch {
			case l.Progress != nil:
				p.show(*l.Progress)
			case l.Run != nil:
				run = *l.Run
			case l.Note != "":
				p.note(collector.Escape(l.Note))
			case l.Backup != nil:
				r := *l.Backup
				counts[r.Outcome]++
				switch c.Output {
				case "ndjson":
					return printLine(s.stdout, r)
				case "json":
					all = append(all, r)
				default:
					printBackup(s, p, r)
				}
			}
			return nil
		})
		if err == nil {
			err = stopped(run)
		}
		p.end(s.stderr, err)
		if c.Output == "json" {
			if err := printJSON(s.stdout, all); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if c.Output == "table" {
			fmt.Fprintf(s.stderr, "%d stored, %d unchanged, %d quarantined, %d failed, %d skipped\n",
				counts[backup.Stored], counts[backup.Unchanged], counts[backup.Quarantined], counts[backup.Failed], counts[backup.Skipped])
		}
		if counts[backup.Failed]+counts[backup.Quarantined]+counts[backup.Skipped] > 0 {
			return exitCode(exitSomeFailed)
		}
		return nil
	})
}

func printBackup(s *session, p *progress, r backup.Result) {
	name := collector.Escape(r.Device)
	switch r.Outcome {
	case backup.Stored, backup.Unchanged:
		p.line(s.stdout, "%-20s  %-11s  version %-4d  %5.1f s", name, r.Outcome, r.Version, r.Seconds)
	default:
		p.line(s.stdout, "%-20s  %-11s  %s", name, r.Outcome, strings.ReplaceAll(string(r.Kind), "-", " "))
		// The whole sentence is a message, the row is the result.
		p.line(s.stderr, "  %s", collector.Escape(r.Message))
	}
}
