package alert

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// recheckWait is what a second reading of both texts gets before unsaved is told.
const recheckWait = 15 * time.Minute

// notify turns the notifications of live alerts that are due into deliveries; what
// is being worked on waits. recheck are devices whose texts are to be read again
// before it is told that they are not saved. It is pure but for the random ids.
func notify(p *policy, alive []*Alert, at time.Time, w works, canRecheck bool) (b Batch, recheck []int64, err error) {
	for _, a := range alive {
		if by, held := w.holds(a); held {
			if a.HeldFrom.IsZero() {
				a.HeldFrom = at
			}
			if !by.until.Equal(a.HeldUntil) || a.HeldBy != by.Name {
				a.HeldUntil, a.HeldBy = by.until, by.Name
				b.Alerts = append(b.Alerts, a)
			}
			continue
		}
		// One that would wait longer than any does was written when the clock was ahead.
		if wait := a.NotifyAt.Sub(at); a.NotifyAt.IsZero() || wait > 0 && wait <= p.longest(a) {
			continue
		}
		if a.Kind == Unsaved && a.State == Firing && canRecheck && !a.Rechecked && p.routed(Unsaved) {
			a.Rechecked, a.NotifyAt = true, at.Add(recheckWait)
			for _, m := range a.Members {
				if m.DeviceID != 0 {
					recheck = append(recheck, m.DeviceID)
				}
			}
			b.Alerts = append(b.Alerts, a)
			continue
		}
		event := MessageFiring
		switch {
		case a.State == Resolved:
			event = MessageResolved
		case !a.NotifiedAt.IsZero():
			event = MessageUpdated
		}
		a.NotifyAt, a.Told = time.Time{}, len(a.Devices)
		if a.NotifiedAt.IsZero() {
			a.NotifiedAt = at
		}
		if a.State == Firing {
			a.LastToldAt = at
		}
		for _, to := range p.receivers(a.Kind, false) {
			if a.Kind == ReceiverDown && a.Subject == to {
				continue // it would not arrive
			}
			d, err := delivery(messageOf(rand.Text(), event, a, at), to, a.ID)
			if err != nil {
				return Batch{}, nil, err
			}
			b.Deliveries = append(b.Deliveries, d)
		}
		b.Alerts = append(b.Alerts, a)
	}
	return b, recheck, nil
}

// digestMark names the time up to which a receiver has had its digests.
func digestMark(receiver string) string { return "digest " + receiver }

// nextDigest is when the digest after last is due: at is the time of day, in zone.
func nextDigest(last time.Time, at time.Duration, zone *time.Location) time.Time {
	l := last.In(zone)
	for day := 0; ; day++ {
		due := time.Date(l.Year(), l.Month(), l.Day()+day, 0, int(at.Minutes()), 0, 0, zone)
		if due.After(last) {
			return due
		}
	}
}

// digests writes the digests that are due into a batch and returns when the next
// one is.
func (a *Alerts) digests(ctx context.Context, p *policy, receivers []string, at time.Time) (b Batch, next time.Time, err error) {
	b.Marks = map[string]time.Time{}
	var all []Alert
	for _, to := range receivers {
		last, err := a.store.AlertMark(ctx, digestMark(to))
		if err != nil {
			return b, next, err
		}
		due := nextDigest(last, a.o.DigestAt, p.zone)
		if last.IsZero() || last.After(at) { // after: the clock was ahead
			b.Marks[digestMark(to)] = at // the first one tells of the first day
			due = nextDigest(at, a.o.DigestAt, p.zone)
		} else if !due.After(at) {
			if all == nil {
				if all, err = a.store.Alerts(ctx, Filter{Limit: 10_000}); err != nil {
					return b, next, err
				}
			}
			fresh, over, open := forDigest(p, to, all, last, at)
			if m, ok := digest(rand.Text(), fresh, over, open, at); ok {
				d, err := delivery(m, to, 0)
				if err != nil {
					return b, next, err
				}
				b.Deliveries = append(b.Deliveries, d)
			}
			b.Marks[digestMark(to)] = at
			due = nextDigest(at, a.o.DigestAt, p.zone)
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return b, next, nil
}

// forDigest selects what a receiver's digest tells: of kinds that it gets in the
// digest all that was due since the last one, what grew or became another change
// too, and of kinds that it is told of at once what was not worth that, a first
// failed night.
func forDigest(p *policy, receiver string, all []Alert, last, at time.Time) (fresh, over []Alert, open int) {
	within := func(t time.Time) bool { return t.After(last) && !t.After(at) }
	for _, a := range slices.Backward(all) { // oldest first
		inDigest := slices.Contains(p.receivers(a.Kind, true), receiver)
		atOnce := slices.Contains(p.receivers(a.Kind, false), receiver)
		quiet := a.Kind == BackupFailed && a.NotifiedAt.IsZero() && !a.Merged
		// Of what was worked on only that is told which held when the work was over,
		// in the digest after: also where the last one came in the middle of the work.
		fromBefore := !a.HeldFrom.IsZero() && !a.HeldFrom.After(last) && within(a.HeldUntil)
		if a.HeldUntil.After(at) || a.State == Resolved && a.HeldUntil.After(a.ResolvedAt) {
			quiet = false
		}
		switch {
		case !inDigest && (!atOnce || !quiet):
		case a.State == Resolved && inDigest && !a.NotifiedAt.IsZero() && !a.Merged && within(a.ResolvedAt):
			over = append(over, a)
		case quiet && (within(a.OpenedAt) || fromBefore), inDigest && (within(a.NotifiedAt) || within(a.LastToldAt)) && !a.Merged:
			fresh = append(fresh, a)
		case a.State == Firing && inDigest && !a.NotifiedAt.IsZero():
			open++
		}
	}
	return fresh, over, open
}

// check says what is wrong with routes, all faults at once.
func check(routes []Route, receivers []Receiver) (faults []error) {
	known := map[string]bool{}
	for _, r := range receivers {
		if known[r.Name()] {
			faults = append(faults, fmt.Errorf("receiver %s is there twice", r.Name()))
		}
		known[r.Name()] = true
	}
	for _, r := range routes {
		for _, k := range r.Kinds {
			if !slices.Contains(Kinds(), k) {
				faults = append(faults, fmt.Errorf("there is no kind of alert %q. The kinds are: %v", k, Kinds()))
			}
		}
		for _, to := range r.To {
			if !known[to] {
				faults = append(faults, fmt.Errorf("there is no receiver %q", to))
			}
		}
	}
	return faults
}
