package schedule

import "time"

// windowBatch is how many times of an expression are looked at in one go.
const windowBatch = 16

// Within reports whether at is within a window that begins at the times of an
// expression in the zone and lasts so long, and until when. last is time that
// passes, not time of the wall clock: a window of 4 h over a change of clocks is
// 4 h long. A begin that the change leaves out opens none, one that comes twice
// opens it twice.
func Within(expr string, zone *time.Location, last time.Duration, at time.Time) (until time.Time, within bool, err error) {
	for from := at.Add(-last); ; {
		times, err := NextTimes(expr, zone, from, windowBatch)
		if err != nil {
			return time.Time{}, false, err
		}
		for _, t := range times {
			if t.After(at) {
				return until, within, nil
			}
			until, within, from = t.Add(last), true, t
		}
		if len(times) < windowBatch {
			return until, within, nil
		}
	}
}
