package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"muster/internal/api"
	"muster/internal/app"
)

type serveCmd struct {
	Link bool `help:"Ask the process that serves for a new one-time link to its pages, and end."`
}

func (c *serveCmd) Run(s *session) error {
	if c.Link {
		return s.client(func(ctx context.Context, cl *api.Client) error {
			link, err := cl.OpenLink(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintln(s.stdout, link)
			return nil
		})
	}
	o := s.options()
	o.Log = slog.LevelInfo
	o.Say = func(format string, args ...any) { fmt.Fprintf(s.stderr, format+"\n", args...) }
	return app.Serve(s.ctx, o)
}

type reloadCmd struct{}

func (c *reloadCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		note, err := cl.Reload(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.stdout, note)
		return nil
	})
}

type checkCmd struct{}

func (c *checkCmd) Run(s *session) error {
	notes, err := app.Check(s.ctx, s.options())
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(s.stdout, n)
	}
	return nil
}

type demoCmd struct {
	For  time.Duration `help:"End by itself after this time; exit 0 only if everything was seen." placeholder:"60s"`
	Keep string        `help:"Keep muster.db, muster.yaml and muster.key in this folder." placeholder:"DIR" type:"path"`
}

func (c *demoCmd) Run(s *session) error {
	return app.Demo(s.ctx, app.DemoOptions{For: c.For, Keep: c.Keep, Stdout: s.stdout, Stderr: s.stderr})
}
