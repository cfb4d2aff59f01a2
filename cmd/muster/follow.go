package main

import (
	"muster/collector"
	"muster/internal/api"
	"muster/internal/schedule"
)

// streaming is the flag of verbs that start a run.
type streaming struct {
	Output string `short:"o" enum:"table,json,ndjson" default:"table" help:"table, json, or ndjson: one line a device as it is committed."`
}

// following is how a verb shows the run that it started. R is its result for one
// device.
type following[R any] struct {
	what string                                // what the progress bar says
	call func(each func(api.Line) error) error // starts the run and hands out its lines
	pick func(api.Line) *R                     // the result in a line; nil: there is none
	row  func(p *progress, r R)                // prints a result in a table
}

// follow shows a run as it goes, each result in the form that was asked for, and
// returns all of them. What was committed is printed also where the run fails.
func (f following[R]) follow(s *session, o streaming) ([]R, error) {
	p := newProgress(s.stderr, f.what)
	all := []R{}
	var run schedule.Run
	err := f.call(func(l api.Line) error {
		switch r := f.pick(l); {
		case l.Progress != nil:
			p.show(*l.Progress)
		case l.Run != nil:
			run = *l.Run
		case l.Note != "":
			p.note(collector.Escape(l.Note))
		case r != nil:
			all = append(all, *r)
			switch o.Output {
			case "ndjson":
				return printLine(s.stdout, *r)
			case "table":
				f.row(p, *r)
			}
		}
		return nil
	})
	if err == nil {
		err = stopped(run)
	}
	p.end(s.stderr, err)
	if o.Output == "json" {
		if err := printJSON(s.stdout, all); err != nil {
			return all, err
		}
	}
	return all, err
}
