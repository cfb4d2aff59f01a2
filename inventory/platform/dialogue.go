package platform

import (
	"fmt"
	"slices"

	"muster/collector/cli"
)

// Dialogue is how to talk to the platform.
func (d *Definition) Dialogue() cli.Dialogue {
	c := d.r().cli
	out := cli.Dialogue{
		Prompt: c.prompt, Pager: c.pager, PagerKey: c.pagerKey,
		Paging: slices.Clone(c.paging),
		Errors: cli.Errors{Command: c.command, Denied: c.denied, Right: c.right, Busy: c.busy, Noise: c.noise},
		NoEcho: c.noEcho, Enter: c.enter, AsksLogin: c.asksLogin, ExecOnly: c.execOnly, Exit: c.exit, Width: c.width, Settle: c.settle,
	}
	for _, q := range c.questions {
		out.Login = append(out.Login, cli.Question{When: q.when, Send: q.send, Stop: q.stop, Why: q.why})
	}
	if e := c.enable; e != nil {
		out.Enable = cli.Enable{When: e.when, Command: e.command, Asks: e.asks, Fails: e.fails}
	}
	return out
}

// Commands lists every command and file that may ever be sent or read, for
// `platform show --commands`.
func (d *Definition) Commands() []string {
	r := d.r()
	var out []string
	add := func(s string) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, id := range r.identify {
		add(id.command)
	}
	if r.cli.enable != nil {
		add(r.cli.enable.command)
	}
	for _, p := range r.cli.paging {
		add(p)
	}
	for _, p := range d.Parts {
		for _, c := range p.Before {
			add(c)
		}
		if p.Via == ViaFile {
			add("file " + p.Source)
		} else {
			add(p.Source)
			add(p.Else)
		}
		for _, c := range p.After {
			add(c)
		}
	}
	for _, q := range r.cli.questions {
		if !q.stop {
			add(fmt.Sprintf("%q, when asked: %s", q.send, q.why))
		}
	}
	if r.cli.pager != nil {
		key := r.cli.pagerKey
		if key == "" {
			key = " "
		}
		add(fmt.Sprintf("%q, at a pager", key))
	}
	add(r.cli.exit)
	return out
}
