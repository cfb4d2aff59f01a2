package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// checkFrom is where Check begins to look: any fixed time would do. It is the
// first day of a leap year, since "0 0 29 2 *" is a fine schedule.
var checkFrom = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// Check says what is wrong with a cron expression (five fields, or @daily and
// the like), nil where it is fine.
func Check(expr string) error {
	_, err := parse(expr, time.UTC)
	return err
}

// parse reads an expression for a time zone. The library's parser panics on
// some texts ("CRON_TZ=UTC" alone) and accepts dates that never come ("0 0 31 2 *").
func parse(expr string, zone *time.Location) (next cron.Schedule, err error) {
	defer func() {
		if p := recover(); p != nil {
			next, err = nil, fmt.Errorf("%q is no cron expression. Write five fields, e.g. %q for 04:20 every day", expr, "20 4 * * *")
		}
	}()
	switch {
	case strings.Contains(expr, "TZ="):
		return nil, fmt.Errorf("%q names a time zone. Set timezone: for all schedules instead", expr)
	case strings.HasPrefix(strings.TrimSpace(expr), "@every"):
		return nil, fmt.Errorf("%q has no times of the day, so that nothing missed could be noticed. Write five fields, e.g. %q for every four hours", expr, "0 */4 * * *")
	}
	s, err := cron.ParseStandard(expr)
	if err != nil {
		return nil, fmt.Errorf("%q is no cron expression: %w. Write five fields (minute, hour, day, month, weekday), e.g. %q for 04:20 every day", expr, err, "20 4 * * *")
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q is no cron expression with times of the day", expr)
	}
	spec.Location = time.UTC
	if spec.Next(checkFrom).IsZero() {
		return nil, fmt.Errorf("%q names a day that never comes", expr)
	}
	if zone != nil {
		spec.Location = zone
	}
	return spec, nil
}

// NextTimes lists the next n times of an expression after from, in the zone.
func NextTimes(expr string, zone *time.Location, from time.Time, n int) ([]time.Time, error) {
	s, err := parse(expr, zone)
	if err != nil {
		return nil, err
	}
	times := make([]time.Time, 0, n)
	for range n {
		from = s.Next(from)
		if from.IsZero() {
			break
		}
		times = append(times, from.In(zone))
	}
	return times, nil
}

// Warnings says, a sentence each, what is surprising about a schedule in its
// zone: a time that is left out when clocks go forward and comes twice when they
// go back. It looks one year ahead of at.
func Warnings(expr string, zone *time.Location, at time.Time) ([]string, error) {
	if _, err := parse(expr, zone); err != nil {
		return nil, err
	}
	if !daily(expr) {
		return nil, nil // several times a day: one more or less does not matter
	}
	utc, err := parse(expr, time.UTC) // the same wall clock times, without any gap
	if err != nil {
		return nil, err
	}
	wall := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	}
	var all []string
	from := wall(at.In(zone))
	for due := utc.Next(from); !due.IsZero() && due.Before(from.AddDate(1, 0, 0)); due = utc.Next(due) {
		local := time.Date(due.Year(), due.Month(), due.Day(), due.Hour(), due.Minute(), 0, 0, zone)
		switch {
		case !wall(local).Equal(due):
			all = append(all, fmt.Sprintf("%s does not exist in %s on %s, when clocks go forward: %q is left out that day. Choose another hour",
				due.Format("15:04"), zone, due.Format(time.DateOnly), expr))
		case wall(local.Add(-time.Hour)).Equal(due) || wall(local.Add(time.Hour)).Equal(due):
			all = append(all, fmt.Sprintf("%s comes twice in %s on %s, when clocks go back: %q runs at the first one only. Choose another hour",
				due.Format("15:04"), zone, due.Format(time.DateOnly), expr))
		}
	}
	return all, nil
}

// daily reports whether an expression is due at most once a day.
func daily(expr string) bool {
	s, err := parse(expr, time.UTC)
	if err != nil {
		return false
	}
	last := s.Next(checkFrom)
	for range 8 {
		next := s.Next(last)
		if next.IsZero() {
			return true
		}
		if next.Sub(last) < 24*time.Hour {
			return false
		}
		last = next
	}
	return true
}

// catchUpAge is how long ago something may have been due to be caught up on.
const catchUpAge = 7 * 24 * time.Hour

// latest returns the newest due time in (after, now], zero where there is none.
func latest(s cron.Schedule, after, now time.Time) (due time.Time) {
	if oldest := now.Add(-catchUpAge); after.Before(oldest) {
		after = oldest
	}
	for next := s.Next(after); !next.IsZero() && !next.After(now); next = s.Next(next) {
		due = next
	}
	return due
}

// errEntry is what every refusal of an entry wraps.
var errEntry = errors.New("schedule")

// cronLog gives the library's messages to our log: only what went wrong.
type cronLog struct{ warn func(msg string, err error) }

func (cronLog) Info(string, ...any) {}

func (l cronLog) Error(err error, msg string, _ ...any) { l.warn(msg, err) }
