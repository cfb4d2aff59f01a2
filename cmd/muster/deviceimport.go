package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"muster/collector"
	"muster/internal/api"
	"muster/inventory"
)

type deviceImportCmd struct {
	File       string   `arg:"" help:"CSV file (columns name, address, port, platform, site, credential, tags: by a header line, else in this order), or router.db of Oxidized or RANCID; - reads standard input."`
	Yes        bool     `help:"Do it; without, show what would be done and, on a terminal, ask."`
	Format     string   `enum:"auto,csv,oxidized,rancid" default:"auto" help:"${enum}."`
	Columns    []string `help:"What the columns are, where no header line says it; - leaves one out." placeholder:"NAME,…"`
	Credential string   `help:"Credential of muster.yaml for devices that are added and have none in the file."`
	Site       string   `help:"Site of devices that are added and have none in the file."`
	listing
}

func (c *deviceImportCmd) Run(s *session) error {
	file, err := c.read(s)
	if err != nil {
		return err
	}
	in := api.Import{File: file, Columns: c.Columns, Credential: c.Credential, Site: c.Site, Apply: c.Yes}
	if c.Format != "auto" {
		in.Format = c.Format
	}
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		done, err := cl.Import(ctx, in)
		if err != nil {
			return err
		}
		for _, n := range done.Notes {
			fmt.Fprintln(s.stderr, "muster: "+collector.Escape(n))
		}
		if len(done.Faults) > 0 {
			return c.faulty(s, done.Faults)
		}
		if err := c.print(s, done.Steps); err != nil {
			return err
		}
		work, said := countSteps(done.Steps)
		switch {
		case done.Done:
			fmt.Fprintln(s.stderr, said[0]+"; next: muster discover, then muster backup")
			return nil
		case work == 0:
			fmt.Fprintln(s.stderr, "nothing to do: all of it is in the inventory as the file says")
			return nil
		case c.File == "-" || !s.asks(c.listing):
			fmt.Fprintln(s.stderr, said[1]+"; nothing was done yet: the same with --yes does it")
			return nil
		}
		if said, err := s.saysYes(said[1]); err != nil || !said {
			return err
		}
		in.Apply = true
		if done, err = cl.Import(ctx, in); err != nil {
			return err
		}
		if len(done.Faults) > 0 { // something was changed since the preview
			return c.faulty(s, done.Faults)
		}
		_, said = countSteps(done.Steps)
		fmt.Fprintln(s.stderr, said[0]+"; next: muster discover, then muster backup")
		return nil
	})
}

// read reads the file, which is nowhere near the limit where it lists devices.
func (c *deviceImportCmd) read(s *session) ([]byte, error) {
	from := s.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, &api.Error{Message: err.Error(), Exit: exitUsage}
		}
		defer f.Close()
		from = f
	}
	b, err := s.answer(func() (string, error) {
		b, err := io.ReadAll(io.LimitReader(from, api.ImportLimit+1))
		return string(b), err
	})
	switch {
	case err != nil:
		return nil, err
	case len(b) > api.ImportLimit:
		return nil, &api.Error{Message: fmt.Sprintf("%s is larger than %d MB, which no list of devices is; split it", c.File, api.ImportLimit>>20), Exit: exitUsage}
	}
	return []byte(b), nil
}

// asks reports whether there is somebody to ask.
func (s *session) asks(o listing) bool {
	return o.Output == "table" && onTerminal(s.stdin)
}

// saysYes asks whether to do what was shown.
func (s *session) saysYes(what string) (bool, error) {
	fmt.Fprint(s.stderr, what+". Type yes to do it: ")
	answer, err := s.answer(func() (string, error) { return bufio.NewReader(s.stdin).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "yes" && a != "y" {
		fmt.Fprintln(s.stderr, "nothing was done")
		return false, nil
	}
	return true, nil
}

func (c *deviceImportCmd) faulty(s *session, faults []inventory.ImportFault) error {
	for _, f := range faults {
		fmt.Fprintf(s.stderr, "muster: %s: %s\n", c.File, collector.Escape(f.String()))
	}
	fmt.Fprintln(s.stderr, "muster: "+plural(len(faults), "fault")+"; nothing was done")
	return exitCode(exitUsage)
}

func (c *deviceImportCmd) print(s *session, steps []inventory.ImportStep) error {
	type row = inventory.ImportStep
	return list(s, c.listing, steps, "",
		text("line", func(r row) string { return fmt.Sprint(r.Line) }),
		text("action", func(r row) string { return string(r.Action) }),
		text("name", func(r row) string { return r.Name }),
		text("address", func(r row) string { return r.Address }),
		text("port", func(r row) string {
			if r.Port == 0 {
				return ""
			}
			return fmt.Sprint(r.Port)
		}).optional(),
		text("platform", func(r row) string { return r.Platform }),
		text("site", func(r row) string { return r.Site }).optional(),
		text("credential", func(r row) string { return r.Credential }).optional(),
		text("tags", func(r row) string { return strings.Join(r.Tags, ",") }).optional(),
		sentence("changes", func(r row) string { return strings.Join(r.Changes, ", ") }),
		sentence("message", func(r row) string { return r.Message }),
	)
}

// countSteps says how many steps change something, and what was or would be done.
func countSteps(steps []inventory.ImportStep) (work int, said [2]string) {
	n := map[inventory.ImportAction]int{}
	for _, st := range steps {
		n[st.Action]++
	}
	add, change, leave := n[inventory.ImportAdd], n[inventory.ImportChange], n[inventory.ImportLeave]
	return add + change, [2]string{
		fmt.Sprintf("%d added, %d changed, %d left as they are", add, change, leave),
		fmt.Sprintf("would add %d, change %d, leave %d as they are", add, change, leave),
	}
}
