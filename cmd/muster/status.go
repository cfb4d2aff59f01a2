package main

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"muster/collector"
	"muster/internal/api"
)

type statusCmd struct {
	Output string `short:"o" enum:"text,json" default:"text" help:"text or json."`
}

func (c *statusCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return printJSON(s.stdout, st)
		}
		w := s.stdout
		if st.Devices == 0 {
			fmt.Fprintln(w, "No devices yet: muster discover finds them, muster device add ADDRESS adds one.")
			return nil
		}
		fmt.Fprintf(w, "%d of %s backed up", st.BackedUp, plural(st.Managed, "managed device"))
		if rest := st.Devices - st.Managed; rest > 0 {
			fmt.Fprintf(w, " (%s more in the inventory)", plural(rest, "device"))
		}
		fmt.Fprintln(w)
		fmt.Fprintf(w, "state   %s\n", counted(st.States))
		if len(st.Drift) > 0 {
			fmt.Fprintf(w, "drift   %s\n", counted(st.Drift))
		}
		if st.Alerts > 0 {
			fmt.Fprintf(w, "alerts  %d firing (muster alert list)\n", st.Alerts)
		}
		if len(st.Causes) > 0 {
			fmt.Fprintln(w, "\nnot backed up:")
			for _, cause := range st.Causes {
				at := ""
				if cause.Step != "" {
					at = " at " + cause.Step
				}
				names := strings.Join(cause.Devices, ", ")
				if more := cause.Count - len(cause.Devices); more > 0 {
					names += fmt.Sprintf(" and %d more", more)
				}
				fmt.Fprintf(w, "  %4d  %s%s: %s\n", cause.Count, strings.ReplaceAll(cause.Kind, "-", " "), at, collector.Escape(names))
				if cause.Mend != "" {
					fmt.Fprintf(w, "        %s\n", collector.Escape(cause.Mend))
				}
			}
		}
		if len(st.Next) == 0 {
			fmt.Fprintln(w, "\nNothing is scheduled and nobody watches: muster serve does both.")
		}
		if len(st.Next) > 0 {
			fmt.Fprintln(w)
		}
		for _, n := range st.Next {
			fmt.Fprintf(w, "next %s: %s\n", n.Job, n.At.Local().Format("2006-01-02 15:04 MST"))
		}
		return nil
	})
}

// counted writes counts in a steady order, zeros left out.
func counted(m map[string]int) string {
	var keys []string
	for k, n := range m {
		if n > 0 {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%d %s", m[k], k)
	}
	if len(keys) == 0 {
		return "-"
	}
	return strings.Join(keys, ", ")
}
