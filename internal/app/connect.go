package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"muster/internal/api"
	"muster/store"
)

// Connect makes a client for a verb: of the process that holds the data
// directory, or of this one, which then holds it and serves the socket until
// done is called, so that a second verb works meanwhile.
func Connect(ctx context.Context, o Options) (c *api.Client, done func(), err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	// The holder may be about to end, or not yet listen: a few tries decide.
	for try := range 50 {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
		pid, err := store.Holder(o.Dir)
		if whose := notYours(o, err); whose != nil {
			return nil, nil, whose
		}
		if noRights(err) {
			return nil, nil, refuse("%s cannot hold muster's data (%v); give a directory that you may write with --dir", o.Dir, err)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, nil, err
		}
		if pid == 0 {
			if begun, err := store.Begun(o.Dir); o.Begun && err == nil && !begun {
				return nil, nil, refuse("%s holds no data of muster; muster init or muster discover makes it, or name the right one with --dir", o.Dir)
			}
			a, err := Open(ctx, o)
			if errors.Is(err, store.ErrLocked) {
				continue // somebody was faster
			}
			if err != nil {
				return nil, nil, err
			}
			path, err := socketPath(o.Dir)
			if err != nil {
				a.Close()
				return nil, nil, err
			}
			c := api.Dial(path)
			return c, func() { c.Close(); a.Close() }, nil
		}
		c, err := dial(ctx, o)
		if err == nil {
			return c, c.Close, nil
		}
		var refused *api.Error
		if errors.As(err, &refused) && refused.Exit == 2 {
			return nil, nil, err
		}
	}
	pid, _ := store.Holder(o.Dir)
	return nil, nil, fmt.Errorf("process %d holds %s but does not answer on its socket; look at it, or end it", pid, o.Dir)
}

// dial connects to the holder and sees that it works with the same settings.
func dial(ctx context.Context, o Options) (*api.Client, error) {
	path, err := socketPath(o.Dir)
	if err != nil {
		return nil, err
	}
	c := api.Dial(path)
	hello, err := c.Hello(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	if same, err := sameFile(hello.Config, o.Config); err != nil || !same {
		c.Close()
		return nil, refuse("process %d holds %s with the settings of %s, not of %s; give --config %s, or stop it first", hello.PID, o.Dir, hello.Config, o.Config, hello.Config)
	}
	return c, nil
}

// sameFile reports whether two paths name one file. Paths that are equal do,
// also where the file has gone meanwhile.
func sameFile(a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(x, y), nil
}

// Serve runs muster until ctx ends.
func Serve(ctx context.Context, o Options) error {
	a, err := Open(ctx, o)
	if errors.Is(err, store.ErrLocked) {
		return &api.Error{Message: err.Error(), Exit: 1}
	}
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	hup := onHangUp()
	defer hup.stop()
	a.o.Say("muster serves %s with the settings of %s.", a.o.Dir, a.o.Config)
	for _, w := range telnetWarnings(nil, a.settings.Load()) {
		a.o.Say("%s", w)
	}
	next, err := a.Next(ctx)
	if err != nil {
		return err
	}
	zone := a.settings.Load().Timezone
	for _, n := range next {
		a.o.Say("Next %s: %s", n.Job, n.At.In(zone).Format("2006-01-02 15:04 MST"))
	}
	for {
		select {
		case <-ctx.Done():
			a.o.Say("Stopping: what was finished is stored.")
			return nil
		case <-hup.c:
			note, warnings, err := a.reload(ctx)
			if err != nil {
				note = "muster: " + err.Error()
			}
			a.o.Say("%s", strings.Join(append([]string{note}, warnings...), "\n"))
		}
	}
}
