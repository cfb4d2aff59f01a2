package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"muster/internal/api"
)

type secretCmd struct {
	Set   secretSetCmd   `cmd:"" help:"Seal a secret: asks for it, or reads standard input."`
	List  secretListCmd  `cmd:"" help:"List the names of sealed secrets."`
	Retry secretRetryCmd `cmd:"" help:"Try a stopped credential again, now that its secret is right."`
}

type secretSetCmd struct {
	Name string `arg:"" help:"Name, as in { secret: NAME }."`
	File string `help:"Read it from this file, e.g. a private key." placeholder:"FILE"`
}

func (c *secretSetCmd) Run(s *session) error {
	value, err := c.read(s)
	if err != nil {
		return err
	}
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		use, err := cl.SetSecret(ctx, c.Name, value)
		if err != nil {
			return err
		}
		if use.Config == "" {
			fmt.Fprintf(s.stdout, "%s is set; credentials that use it start a new count\n", c.Name)
			return nil
		}
		fmt.Fprintf(s.stdout, "%s is set\n", c.Name)
		fmt.Fprintf(s.stderr, "warning: no credential and no receiver in %s uses %q", use.Config, c.Name)
		if use.Nearest != "" {
			fmt.Fprintf(s.stderr, "; did you mean %s? Then: muster secret set %s", use.Nearest, use.Nearest)
		}
		fmt.Fprintln(s.stderr)
		return nil
	})
}

func (c *secretSetCmd) read(s *session) (string, error) {
	if c.File != "" {
		b, err := os.ReadFile(c.File)
		return string(b), err
	}
	in := bufio.NewReader(s.stdin)
	v, err := askSecret(s, in, c.Name)
	if err == nil && v == "" {
		return "", &api.Error{Message: "an empty secret is no secret; nothing was changed", Exit: exitUsage}
	}
	if err != nil || !onTerminal(s.stdin) {
		return v, err
	}
	// Nobody sees what is typed, and a wrong one is told by rejected logins only.
	again, err := askSecret(s, in, c.Name+" once more")
	if err == nil && again != v {
		return "", &api.Error{Message: "the two are not the same; nothing was changed", Exit: exitUsage}
	}
	return v, err
}

// onTerminal reports whether a stream is a person's.
func onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// askSecret reads one line without showing it on a terminal.
func askSecret(s *session, in *bufio.Reader, what string) (string, error) {
	if onTerminal(s.stdin) {
		fd := int(s.stdin.(*os.File).Fd())
		before, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(s.stderr, "%s (not shown): ", what)
		text, err := s.answer(func() (string, error) {
			b, err := term.ReadPassword(fd)
			return string(b), err
		})
		fmt.Fprintln(s.stderr)
		if s.ctx.Err() != nil {
			_ = term.Restore(fd, before) // a terminal that shows nothing is no present for the shell
		}
		return text, err
	}
	line, err := s.answer(func() (string, error) { return in.ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// answer waits for an answer, or for Ctrl-C: a read from a terminal knows no
// context.
func (s *session) answer(read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-s.ctx.Done():
		return "", s.ctx.Err()
	case a := <-got:
		return a.text, a.err
	}
}

type secretListCmd struct{ listing }

func (c *secretListCmd) Run(s *session) error {
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		names, err := cl.Secrets(ctx)
		if err != nil {
			return err
		}
		return list(s, c.listing, names, "no secret is sealed here",
			text("name", func(n api.Secret) string { return n.Name }),
			moment("set", func(n api.Secret) *time.Time { return &n.SetAt }).keyed("set_at"),
			text("used by", func(n api.Secret) string { return strings.Join(n.UsedBy, ",") }),
			text("stopped", func(n api.Secret) string { return yes(n.Stopped) }),
		)
	})
}

type secretRetryCmd struct {
	Name string `arg:"" help:"Name of the secret, or of the credential."`
}

func (c *secretRetryCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := cl.RetrySecret(ctx, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s will be tried again, one login first; next: muster backup\n", c.Name)
		return nil
	})
}
