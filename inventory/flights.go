package inventory

import (
	"context"
	"sync"
	"time"
)

const (
	flightsPerCredential = 5           // logins that may be out without a verdict
	overtaken            = 5           // logins let in after one that is still out show that the delay is that device's own,
	heldUp               = time.Second // where it has been out as long: on a busy machine any may be overtaken
	boardingMax          = 20          // devices that may be connected and wait for their login; they have a limit for that, too
)

// flights counts, per credential, the logins that are out without a verdict: so
// many devices at most see a wrong password. A login that is out for a second and
// that five later ones have overtaken is held up by its device, not by an
// authentication server, and is not counted any more: devices that freeze would
// otherwise take all places.
type flights struct {
	mu  sync.Mutex // guards all, and each airport
	all map[string]*airport
}

// airport is what is out of one credential.
type airport struct {
	out     map[*flight]struct{}
	waiting int // between board and start
	started int
	wake    chan struct{} // closed and replaced when any of the above changes
}

type flight struct {
	f      *flights
	a      *airport
	number int // of its start
	since  time.Time
	behind int // later ones that a device let in meanwhile
}

func (f *flights) of(credential string) *airport {
	a := f.all[credential]
	if a == nil {
		if f.all == nil {
			f.all = map[string]*airport{}
		}
		a = &airport{out: map[*flight]struct{}{}, wake: make(chan struct{})}
		f.all[credential] = a
	}
	return a
}

// wait blocks until ready, which is called with f.mu held, or ctx ends.
func (f *flights) wait(ctx context.Context, credential string, ready func(a *airport) bool) error {
	for {
		f.mu.Lock()
		a := f.of(credential)
		if ready(a) {
			f.mu.Unlock()
			return nil
		}
		wake := a.wake
		f.mu.Unlock()
		select {
		case <-wake:
		case <-time.After(heldUp): // one that is out may not count any more
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// board waits until a connection is worth opening: not too many others stand at
// their login already.
func (f *flights) board(ctx context.Context, credential string) error {
	return f.wait(ctx, credential, func(a *airport) bool { return a.waiting < boardingMax })
}

// start waits for one of the places and takes it, right before a password may be
// sent.
func (f *flights) start(ctx context.Context, credential string) (*flight, error) {
	f.change(credential, func(a *airport) { a.waiting++ })
	defer f.change(credential, func(a *airport) { a.waiting-- })
	var x *flight
	err := f.wait(ctx, credential, func(a *airport) bool {
		counted := 0
		for o := range a.out {
			if o.behind < overtaken || time.Since(o.since) < heldUp {
				counted++
			}
		}
		if counted >= flightsPerCredential {
			return false
		}
		a.started++
		x = &flight{f: f, a: a, number: a.started, since: time.Now()}
		a.out[x] = struct{}{}
		return true
	})
	return x, err
}

func (f *flights) change(credential string, do func(a *airport)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.of(credential)
	do(a)
	a.tell()
}

// end gives the place back; in: the device let the login in. Only the first call
// counts. A nil flight never started.
func (x *flight) end(in bool) {
	if x == nil {
		return
	}
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if _, out := x.a.out[x]; !out {
		return
	}
	delete(x.a.out, x)
	if in {
		for o := range x.a.out {
			if o.number < x.number {
				o.behind++
			}
		}
	}
	x.a.tell()
}

// tell wakes those who wait. flights.mu is held.
func (a *airport) tell() {
	close(a.wake)
	a.wake = make(chan struct{})
}
