package backup

import (
	"context"
	"fmt"
	"time"
)

// Standings tells how the devices that ever had an attempt stand at a time.
// Whether a device is disabled is the inventory's to say.
func (b *Backups) Standings(ctx context.Context, at time.Time) (map[int64]Standing, error) {
	all, err := b.store.BackupStandings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read how backups stand: %w", err)
	}
	for id, s := range all {
		s.State = s.state(at, b.o.StaleAfter)
		all[id] = s
	}
	return all, nil
}

// state is how a device stands. A capture that waits for a person is told before
// anything that happened after it; a failure is told before its age.
func (s Standing) state(at time.Time, staleAfter time.Duration) State {
	switch {
	case s.Waiting:
		return QuarantineHeld
	case s.Outcome == Failed, s.Outcome == Quarantined: // the latter was discarded
		return FailedLast
	case s.LastGood.IsZero():
		return Never
	case at.Sub(s.LastGood) > staleAfter:
		return Stale
	}
	return Good
}
