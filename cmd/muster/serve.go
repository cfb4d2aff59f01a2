package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
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
	bar := &demoBar{s: s}
	return app.Demo(s.ctx, app.DemoOptions{For: c.For, Keep: c.Keep, Stdout: bar, Progress: bar.show})
}

// demoBar shows what the demo's runs do, and takes the bar away before anything
// else is printed.
type demoBar struct {
	s  *session
	mu sync.Mutex // guards p: the house speaks from goroutines of its own
	p  *progress  // nil: no bar is shown
}

func (b *demoBar) show(what string, at api.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p == nil {
		b.p = newProgress(b.s.stderr, what)
	}
	b.p.show(at)
}

func (b *demoBar) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p != nil {
		b.p.end(b.s.stderr, nil)
		b.p = nil
	}
	return b.s.stdout.Write(text)
}
