package settings

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Hours are times of the week by the wall clock, e.g. "Mon-Fri 08:00-18:00".
type Hours struct {
	days     [7]bool // by time.Weekday, those on which it begins
	from, to int     // minutes of the day; from ≥ to: over midnight, to on the day after
}

var weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// parseHours reads "Mon-Fri 08:00-18:00", "Sat,Sun 22:00-06:00" or, for every day,
// "08:00-18:00". Days are their first three letters.
func parseHours(text string) (h Hours, err error) {
	fault := fmt.Errorf("%q are no hours. Write days and times, e.g. Mon-Fri 08:00-18:00", shorten(text))
	words := strings.Fields(text)
	switch len(words) {
	case 1:
		h.days = [7]bool{true, true, true, true, true, true, true}
	case 2:
		for part := range strings.SplitSeq(words[0], ",") {
			first, last, isRange := strings.Cut(part, "-")
			if !isRange {
				last = first
			}
			a, b := weekday(first), weekday(last)
			if a < 0 || b < 0 {
				return h, fault
			}
			for d := a; ; d = (d + 1) % 7 {
				h.days[d] = true
				if d == b {
					break
				}
			}
		}
	default:
		return h, fault
	}
	from, to, _ := strings.Cut(words[len(words)-1], "-")
	var ok1, ok2 bool
	h.from, ok1 = minuteOfDay(from)
	h.to, ok2 = minuteOfDay(to)
	if !ok1 || !ok2 || h.from == h.to || h.from == 24*60 {
		return h, fault
	}
	return h, nil
}

func weekday(name string) int {
	for i, w := range weekdays {
		if strings.EqualFold(w, name) {
			return i
		}
	}
	return -1
}

func minuteOfDay(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil
}

// until reports whether a time of the wall clock is within the hours, and when
// they end. An hour that clocks repeat is within both times.
func (h Hours) until(at time.Time) (time.Time, bool) {
	minute, today := at.Hour()*60+at.Minute(), at.Weekday()
	end := func(days int) time.Time {
		return time.Date(at.Year(), at.Month(), at.Day()+days, 0, h.to, 0, 0, at.Location())
	}
	switch {
	case h.from < h.to:
		return end(0), h.days[today] && h.from <= minute && minute < h.to
	case h.days[today] && minute >= h.from:
		return end(1), true
	}
	return end(0), h.days[(today+6)%7] && minute < h.to
}

// Blackout reports whether at is within the scope's blackout, and until when.
// Hours that adjoin are one; those that leave no gap in a week have no end.
func (s Scope) Blackout(at time.Time, zone *time.Location) (until time.Time, within bool) {
	until = at.In(zone)
	for limit := at.Add(8 * day); until.Before(limit); {
		next := until
		for _, h := range s.BlackoutHours {
			if end, in := h.until(until); in && end.After(next) {
				next = end
			}
		}
		if next.Equal(until) {
			return until, within
		}
		until, within = next, true
	}
	return time.Time{}, true
}

// blackout reads the hours of a scope.
func (r *reader) blackout(s *Scope) field {
	return func(n ast.Node, path string) {
		r.list(n, path, func(n ast.Node, path string) {
			text, ok := r.text(n, path)
			if !ok {
				return
			}
			h, err := parseHours(text)
			if err != nil {
				r.fault(n, path, "%s", err)
				return
			}
			s.BlackoutHours = append(s.BlackoutHours, h)
		})
		monday := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC) // any week would do
		if until, within := s.Blackout(monday, time.UTC); within && until.IsZero() {
			r.fault(n, path, "the blackout has no end in a week: nothing in the scope would be backed up by itself. Leave some hours out")
		}
	}
}
