package alert

import (
	"slices"
	"time"
)

// Route says who is told of which kinds.
type Route struct {
	Kinds        []Kind
	To           []string      // receivers
	Digest       bool          // once a day instead of at once
	UnsavedAfter time.Duration // grace of unsaved; 0: 2 h
}

// routes reports whether a route is for a kind.
func (r Route) routes(k Kind) bool { return slices.Contains(r.Kinds, k) }

const (
	// notByItself as a wait means that only the digest tells.
	notByItself time.Duration = -1
	// secondTries is how many times longer failed backups wait for company: until
	// the second tries of their run are through.
	secondTries = 10
	// afterSplit is the wait of what is left when a large alert ends: most of it
	// recovers with the rest.
	afterSplit = 3 * time.Minute
	// flapsFrom openings within an hour are flapping; its alert has to hold for
	// flapHold before it is told of again. So are devices of a group that are back in
	// it within flapsWithin.
	flapsFrom   = 3
	flapHold    = 15 * time.Minute
	flapsWithin = time.Hour
	// unsavedAfter is the grace of unsaved where no route says another.
	unsavedAfter = 2 * time.Hour
)

// policy is who is told of what, and when.
type policy struct {
	routes  []Route
	company time.Duration // wait of kinds that come in numbers
	zone    *time.Location
}

// wait says how long the notification of an alert waits. Alerts themselves never
// do.
func (p *policy) wait(a *Alert) time.Duration {
	switch a.Kind {
	case Unsaved:
		return p.grace()
	case BackupFailed:
		if !a.Group && !slices.ContainsFunc(a.Members, func(m Member) bool { return m.Fails > 1 }) {
			return notByItself // the first night
		}
		return secondTries * p.company
	case Unreachable, CollectorIsolated, Quarantined, Changed, Pending, OffBaseline, NewDevice, BackupOverdue, LoginRejected:
		return p.company
	}
	return 0
}

// longest is the longest that the notification of an alert waits for its time.
func (p *policy) longest(a *Alert) time.Duration {
	return max(p.wait(a), afterSplit, flapHold, recheckWait)
}

// grace is the shortest one that a route has for unsaved.
func (p *policy) grace() time.Duration {
	var shortest time.Duration
	for _, r := range p.routes {
		g := r.UnsavedAfter
		if g <= 0 {
			g = unsavedAfter
		}
		if r.routes(Unsaved) && (shortest == 0 || g < shortest) {
			shortest = g
		}
	}
	if shortest == 0 {
		return unsavedAfter
	}
	return shortest
}

// receivers lists who is told of a kind: at once, or in the digest. One that is
// told at once is not told again in the digest.
func (p *policy) receivers(k Kind, digest bool) (all []string) {
	for _, r := range p.routes {
		if !r.routes(k) || r.Digest != digest {
			continue
		}
		for _, to := range r.To {
			if !slices.Contains(all, to) && (!digest || !slices.Contains(p.receivers(k, false), to)) {
				all = append(all, to)
			}
		}
	}
	return all
}

// routed reports whether anybody is told of a kind.
func (p *policy) routed(k Kind) bool {
	return slices.ContainsFunc(p.routes, func(r Route) bool { return r.routes(k) && len(r.To) > 0 })
}
