package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"muster/collector"
	"muster/internal/api"
	"muster/inventory"
)

type deviceAllowCmd struct {
	Filter []string `arg:"" optional:"" help:"Device names or filter words, e.g. missing:needs-decision."`
	Yes    bool     `help:"Do it; without, show the host keys and, on a terminal, ask."`
	listing
}

func (c *deviceAllowCmd) Run(s *session) error {
	if len(c.Filter) == 0 {
		return &api.Error{Message: "name the devices that passwords may go to; muster device list missing:needs-decision lists those that wait", Exit: exitUsage}
	}
	return s.client(func(ctx context.Context, cl *api.Client) error {
		rows, err := cl.Allow(ctx, api.Allow{Filter: c.Filter, Apply: c.Yes})
		if err != nil {
			return err
		}
		if len(rows) == 0 && slices.ContainsFunc(c.Filter, func(w string) bool { return !strings.Contains(w, ":") }) {
			return &api.Error{Message: "no device is called " + collector.Escape(strings.Join(c.Filter, " ")) + "; muster device list shows all", Exit: exitFailed}
		}
		if err := c.print(s, rows); err != nil {
			return err
		}
		seen := map[string]string{}
		for _, r := range rows {
			if r.Outcome == inventory.AllowWould {
				seen[r.Device] = r.Fingerprint
			}
		}
		switch {
		case c.Yes || len(seen) == 0:
		case !s.asks(c.listing):
			fmt.Fprintln(s.stderr, "nothing was done yet, and no password was sent: compare the fingerprints at the devices; the same with --yes accepts what they show then")
		default:
			yes, err := s.saysYes("These keys would be pinned, and passwords may go to whoever holds them")
			if err != nil || !yes {
				return err
			}
			names := make([]string, 0, len(seen))
			for name := range seen {
				names = append(names, "name:"+name)
			}
			slices.Sort(names)
			if rows, err = cl.Allow(ctx, api.Allow{Filter: names, Keys: seen, Apply: true}); err != nil {
				return err
			}
			if err := c.print(s, rows); err != nil {
				return err
			}
		}
		return c.sum(s, rows)
	})
}

// sum says what comes next, and fails where a device did.
func (c *deviceAllowCmd) sum(s *session, rows []inventory.Allowed) error {
	count := map[string]int{}
	for _, r := range rows {
		count[r.Outcome]++
	}
	if n := count[inventory.AllowDone]; n > 0 {
		fmt.Fprintln(s.stderr, plural(n, "device")+" allowed; next: muster discover proves what runs there, muster backup reads it")
	}
	if count[inventory.AllowFailed] > 0 {
		return exitCode(exitSomeFailed)
	}
	return nil
}

func (c *deviceAllowCmd) print(s *session, rows []inventory.Allowed) error {
	type row = inventory.Allowed
	return list(s, c.listing, rows, "no device is chosen by that filter",
		text("device", func(r row) string { return r.Device }),
		text("address", func(r row) string { return r.Address.String() }),
		text("outcome", func(r row) string { return r.Outcome }),
		text("type", func(r row) string { return r.Type }),
		text("fingerprint", func(r row) string { return r.Fingerprint }),
		text("step", func(r row) string { return string(r.Step) }).optional(),
		text("kind", func(r row) string { return string(r.Kind) }).optional(),
		sentence("message", func(r row) string { return r.Message }),
	)
}
