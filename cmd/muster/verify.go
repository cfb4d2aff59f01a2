package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"

	"muster/collector"
	"muster/internal/api"
	"muster/internal/app"
)

type verifyCmd struct{}

func (c *verifyCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		v, err := cl.Verify(ctx)
		if err != nil {
			return err
		}
		for _, f := range v.Faults {
			fmt.Fprintln(s.stderr, "muster: "+collector.Escape(f))
		}
		if len(v.Faults) > 0 {
			fmt.Fprintln(s.stderr, "muster: what is named there is damaged, all else goes on; a copy made before may have it: muster --dir NEW self restore COPY")
		}
		fmt.Fprintf(s.stdout, "%s read and checked: %s\n", plural(v.Versions, "version"), map[bool]string{true: "all whole", false: plural(len(v.Faults), "fault")}[len(v.Faults) == 0])
		if len(v.Faults) > 0 {
			return exitCode(exitFailed)
		}
		return nil
	})
}

type selfCmd struct {
	Backup  selfBackupCmd  `cmd:"" help:"Write a checked copy of muster.db, also while serving."`
	Restore selfRestoreCmd `cmd:"" help:"Make a copy the database of an empty data directory."`
}

type selfRestoreCmd struct {
	File string `arg:"" help:"Copy that muster self backup wrote." type:"path"`
}

func (c *selfRestoreCmd) Run(s *session) error {
	said, err := app.Restore(s.ctx, s.options(), c.File)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, said)
	return nil
}

type selfBackupCmd struct {
	File string `arg:"" help:"File to write; must not exist." type:"path"`
}

func (c *selfBackupCmd) Run(s *session) error {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := cl.SelfBackup(ctx, file); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s written and checked; the master key is not in it, keep it elsewhere\n", file)
		return nil
	})
}

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = ""

type versionCmd struct{}

func (c *versionCmd) Run(s *session) error {
	fmt.Fprintf(s.stdout, "muster %s\n", built())
	return nil
}

// built says which muster this is, from which commit, by which compiler.
func built() string {
	v, at := version, ""
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, set := range b.Settings {
			if set.Key == "vcs.revision" && len(set.Value) >= 12 {
				at = " (" + set.Value[:12] + ")"
			}
		}
		at += " " + b.GoVersion
	}
	if v == "" {
		v = "development"
	}
	return v + at
}

type manCmd struct{}

func (c *manCmd) Run(s *session, k *kong.Kong) error {
	_, err := fmt.Fprint(s.stdout, mangokong.NewManPage(1, k.Model).Build(roff.NewDocument()))
	return err
}
