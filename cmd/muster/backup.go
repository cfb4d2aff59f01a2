package main

import (
	"context"
	"fmt"
	"strings"

	"muster/backup"
	"muster/collector"
	"muster/internal/api"
)

type backupCmd struct {
	Name []string `arg:"" optional:"" help:"Device names or filter words (platform:frr site:paris); none: all managed devices."`
	streaming
}

func (c *backupCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		results, err := following[backup.Result]{
			what: "backing up",
			call: func(each func(api.Line) error) error { return cl.Backup(ctx, api.RunRequest{Filter: c.Name}, each) },
			pick: func(l api.Line) *backup.Result { return l.Backup },
			row:  func(p *progress, r backup.Result) { printBackup(s, p, r) },
		}.follow(s, c.streaming)
		if err != nil {
			return err
		}
		counts := map[backup.Outcome]int{}
		for _, r := range results {
			counts[r.Outcome]++
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
