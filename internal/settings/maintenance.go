package settings

import (
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Maintenance is a time in which work is done on devices: alerts about them open,
// and nobody is told before it is over. It comes again (Cron and Duration), or
// once (Start and End).
type Maintenance struct {
	Name     string
	Cron     string        // begins, in the settings' time zone; empty: once
	Duration time.Duration // of each, as time passes; 0: once
	Start    time.Time     // zero: it comes again
	End      time.Time

	// Which devices: those that fit all three. Empty ones fit every device.
	Scopes []string
	Sites  []string
	Filter string // as of muster device list
}

const (
	maintenanceMin = time.Minute
	maintenanceMax = 31 * day // a slip of the pen must not silence a year
)

func (r *reader) maintenance(n ast.Node, path string, s *Settings, o Options) Maintenance {
	var v Maintenance
	before := len(r.faults)
	given := make(map[string]ast.Node)
	keep := func(key string, read field) field {
		return func(n ast.Node, path string) {
			given[key] = n
			read(n, path)
		}
	}
	texts := func(into *[]string, check field) field {
		return func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				if text, ok := r.text(n, path); ok {
					*into = append(*into, text)
					check(n, path)
				}
			})
		}
	}
	var known []string
	for _, scope := range s.Scopes {
		known = append(known, scope.Name)
	}
	if !r.mapping(n, path, map[string]field{
		"name": func(n ast.Node, path string) { r.name(n, path, &v.Name) },
		"cron": keep("cron", func(n ast.Node, path string) {
			if text, ok := r.text(n, path); ok {
				if err := o.CheckCron(text); err != nil {
					r.fault(n, path, "%s", err)
					return
				}
				v.Cron = text
			}
		}),
		"duration": keep("duration", r.spanInto(&v.Duration, maintenanceMin, maintenanceMax)),
		"start":    keep("start", r.wallClock(&v.Start, s.Timezone, false)),
		"end":      keep("end", r.wallClock(&v.End, s.Timezone, true)),
		"scopes": texts(&v.Scopes, func(n ast.Node, path string) {
			r.named(n, path, "scope", v.Scopes[len(v.Scopes)-1], known)
		}),
		"sites": texts(&v.Sites, func(ast.Node, string) {}),
		"filter": func(n ast.Node, path string) {
			if text, ok := r.text(n, path); ok {
				if err := o.CheckFilter(text); err != nil {
					r.fault(n, path, "%s", err)
				}
				v.Filter = text
			}
		},
	}) {
		r.missing(n, path, before, "a maintenance is a map with name, and cron and duration, or start and end")
		return v
	}
	if v.Name == "" {
		r.missing(n, path, before, "the maintenance has no name")
	}
	if len(r.faults) == before {
		r.maintenanceTimes(n, path, &v, given, o)
	}
	return v
}

// maintenanceTimes holds the times of a maintenance against each other.
func (r *reader) maintenanceTimes(n ast.Node, path string, v *Maintenance, given map[string]ast.Node, o Options) {
	switch {
	case v.Cron != "" && (!v.Start.IsZero() || !v.End.IsZero()):
		key := "start"
		if v.Start.IsZero() {
			key = "end"
		}
		r.fault(given[key], path+"."+key, "a maintenance comes again (cron and duration) or once (start and end), not both")
	case v.Cron != "" && v.Duration == 0:
		r.fault(n, path, "a maintenance with cron needs duration: how long each lasts")
	case v.Cron != "":
		r.maintenanceEnds(given["duration"], path+".duration", v, o)
	case v.Start.IsZero():
		r.fault(n, path, "the maintenance has no times. Write cron and duration, or start and end")
	case v.Duration == 0 && v.End.IsZero():
		r.fault(n, path, "a maintenance with start needs end or duration")
	case v.Duration != 0 && !v.End.IsZero():
		r.fault(given["duration"], path+".duration", "the maintenance has an end already. Write end or duration")
	case v.Duration != 0:
		v.End, v.Duration = v.Start.Add(v.Duration), 0
	case !v.End.After(v.Start):
		r.fault(given["end"], path+".end", "the maintenance ends before it begins")
	case v.End.Sub(v.Start) > maintenanceMax:
		r.fault(given["end"], path+".end", "the maintenance lasts %d days, and nobody would be told for as long. It can be %s at most", int(v.End.Sub(v.Start)/day), SpanText(maintenanceMax))
	}
}

// maintenanceEnds refuses one that begins again before it is over: nobody would
// ever be told.
func (r *reader) maintenanceEnds(n ast.Node, path string, v *Maintenance, o Options) {
	if o.CronTimes == nil {
		return
	}
	from := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC) // any time would do
	// In UTC: where a begin comes twice as clocks go back, once a year, two are one.
	times, err := o.CronTimes(v.Cron, time.UTC, from, 100)
	if err != nil {
		return // CheckCron says what is wrong with it
	}
	shortest := time.Duration(0)
	for i := 1; i < len(times); i++ {
		if gap := times[i].Sub(times[i-1]); shortest == 0 || gap < shortest {
			shortest = gap
		}
	}
	if shortest != 0 && v.Duration >= shortest {
		r.fault(n, path, "the maintenance lasts %s and begins again after %s: it would not end before the next one. Make it shorter", SpanText(v.Duration), SpanText(shortest))
	}
}

// The shapes of a time that comes once: of the wall clock in the settings' time
// zone, or with its own offset.
var (
	wallShapes   = []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"}
	offsetShapes = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05Z07:00"}
)

// wallClock reads a time. One that comes twice when clocks go back is the first
// where something begins and the second where it ends, so that both are within.
func (r *reader) wallClock(into *time.Time, zone *time.Location, ends bool) field {
	return func(n ast.Node, path string) {
		text, ok := r.text(n, path)
		if !ok {
			return
		}
		for _, shape := range offsetShapes {
			if t, err := time.Parse(shape, text); err == nil {
				*into = t.UTC()
				return
			}
		}
		for _, shape := range wallShapes {
			wall, err := time.Parse(shape, text)
			if err != nil {
				continue
			}
			times := instants(wall, zone)
			switch {
			case len(times) == 0:
				r.fault(n, path, "%s does not exist in %s on that day, when clocks go forward. Choose another hour", wall.Format("15:04"), zone)
			case ends:
				*into = times[len(times)-1]
			default:
				*into = times[0]
			}
			return
		}
		r.fault(n, path, "%q is no time. Write 2026-12-05 20:00, in the time zone of these settings", shorten(text))
	}
}

// instants are the times at which clocks of a zone show the wall clock's time:
// one, two when they go back over it, none when they jump over it.
func instants(wall time.Time, zone *time.Location) (all []time.Time) {
	for _, around := range []time.Duration{-day, day} {
		_, offset := wall.Add(around).In(zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second)
		if shown := t.In(zone); shown.Format(time.DateTime) == wall.Format(time.DateTime) && !slices.ContainsFunc(all, t.Equal) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}
