package inventory

import (
	"context"
	"slices"
	"time"
)

// triesAnHour is how many devices may reject a stopped credential in an hour, all
// runs together: each run has one login for it, and there may be a run a device.
const triesAnHour = flightsPerCredential

// weigh takes what runs have stored of a credential, right before its password goes
// out: with a run for each device, no run would see a second one reject it.
func (l *login) weigh(ctx context.Context, g *gate, c candidate) error {
	var st CredentialState
	tries, now := 0, l.a.o.Now()
	err := l.a.o.Store.View(ctx, func(tx Reader) (err error) {
		if st, err = tx.Credential(c.Name); err != nil || st.StoppedAt.IsZero() || st.Digest != c.digest {
			return err
		}
		for _, id := range st.RejectedBy {
			attempts, err := tx.Attempts(id, now.Add(-time.Hour))
			if err != nil {
				return err
			}
			for _, a := range attempts {
				// One that is yet to come is of a clock that was ahead.
				if a.Credential == c.Name && a.Digest == c.digest && a.Rejected > 0 && !a.Accepted && !a.At.After(now) {
					tries++
				}
			}
		}
		return nil
	})
	l.doubted = err == nil && st.Digest == c.digest && st.StoppedAt.IsZero() && len(st.RejectedBy) > 0
	switch {
	case err != nil || st.Digest != c.digest:
		return err
	case st.StoppedAt.IsZero():
		g.hear(st.RejectedBy)
	default:
		g.hearStopped(st.StoppedAt, !l.r.look && tries < triesAnHour)
	}
	return nil
}

// doubt stores that a device rejected a credential which goes on: the next device
// that does, in whichever run, stops it.
func (l *login) doubt(tx Tx, c candidate) error {
	st, err := tx.Credential(c.Name)
	if err != nil {
		return err
	}
	if st.Digest != c.digest {
		st.Digest, st.RejectedBy = c.digest, nil
	}
	if !slices.Contains(st.RejectedBy, l.st.dev.ID) {
		st.RejectedBy = append(st.RejectedBy, l.st.dev.ID)
	}
	return tx.PutCredential(st)
}

// believe ends what doubt stored. The login that was accepted went out after it.
func (l *login) believe(tx Tx, c candidate) error {
	st, err := tx.Credential(c.Name)
	if err != nil || st.Digest != c.digest || !st.StoppedAt.IsZero() {
		return err
	}
	return tx.PutCredential(CredentialState{Name: c.Name, Digest: c.digest})
}

// hear takes devices that rejected the credential, in this run or another, and that
// no login has outweighed. What this one knows already it has weighed itself.
func (g *gate) hear(rejected []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range rejected {
		if slices.Contains(g.heard, id) {
			continue
		}
		g.heard = append(g.heard, id)
		if !g.proved {
			g.rejected = append(g.rejected, id)
		}
	}
}

// hearStopped takes that the credential is stopped: where this run did not know, one
// login decides anew. mayTry is false where not even that one may go out.
func (g *gate) hearStopped(at time.Time, mayTry bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.stopped:
	case !mayTry:
		g.stopped = true
		g.tell()
	case !at.Equal(g.stoppedAt):
		g.stoppedAt, g.proved, g.doubtful, g.changed = at, false, true, false
	}
}

// doubts reports whether a rejection by the device counts against the credential,
// which goes on.
func (g *gate) doubts(device int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.stopped && slices.Contains(g.rejected, device)
}
