package inventory

import (
	"context"
	"slices"
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
	out      map[*flight]struct{}
	started  int
	boarding []*passenger // wait in board, in order
	starting []*passenger // wait in start, in order
}

// passenger waits for its turn. Only who can go on is woken: hundreds may wait, and
// something changes with every login.
type passenger struct {
	turn chan struct{} // closed when it has come
	x    *flight       // of one that waited in start, once its turn has come
}

type flight struct {
	f      *flights
	a      *airport
	number int // of its start
	since  time.Time
	behind int // later ones that a device let in meanwhile
}

func (f *flights) of(credential string) *airport {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.all[credential]
	if a == nil {
		if f.all == nil {
			f.all = map[string]*airport{}
		}
		a = &airport{out: map[*flight]struct{}{}}
		f.all[credential] = a
	}
	return a
}

// admit lets on whose turn it is. flights.mu is held.
func (f *flights) admit(a *airport) {
	for len(a.starting) > 0 && a.counted() < flightsPerCredential {
		p := a.starting[0]
		a.starting = a.starting[1:]
		a.started++
		p.x = &flight{f: f, a: a, number: a.started, since: time.Now()}
		a.out[p.x] = struct{}{}
		close(p.turn)
	}
	for len(a.boarding) > 0 && len(a.starting) < boardingMax {
		close(a.boarding[0].turn)
		a.boarding = a.boarding[1:]
	}
}

// counted is how many of those that are out take a place.
func (a *airport) counted() int {
	n := 0
	for o := range a.out {
		if o.behind < overtaken || time.Since(o.since) < heldUp {
			n++
		}
	}
	return n
}

// queue stands in line, which is one of a's, until it is p's turn or ctx ends.
func (f *flights) queue(ctx context.Context, a *airport, line *[]*passenger) (*passenger, error) {
	p := &passenger{turn: make(chan struct{})}
	f.mu.Lock()
	*line = append(*line, p)
	f.admit(a)
	f.mu.Unlock()
	for {
		select {
		case <-p.turn:
			return p, nil
		case <-time.After(heldUp): // one that is out may not count any more
			f.mu.Lock()
			f.admit(a)
			f.mu.Unlock()
		case <-ctx.Done():
			f.mu.Lock()
			defer f.mu.Unlock()
			i := slices.Index(*line, p)
			if i < 0 {
				return p, nil // its turn came in this moment
			}
			*line = slices.Delete(*line, i, i+1)
			f.admit(a)
			return nil, context.Cause(ctx)
		}
	}
}

// board waits until a connection is worth opening: not too many others stand at
// their login already.
func (f *flights) board(ctx context.Context, credential string) error {
	a := f.of(credential)
	_, err := f.queue(ctx, a, &a.boarding)
	return err
}

// start waits for one of the places and takes it, right before a password may be
// sent.
func (f *flights) start(ctx context.Context, credential string) (*flight, error) {
	a := f.of(credential)
	p, err := f.queue(ctx, a, &a.starting)
	if err != nil {
		return nil, err
	}
	return p.x, nil
}

// order tells which start it was, counted from 1; 0: it never started.
func (x *flight) order() int {
	if x == nil {
		return 0
	}
	return x.number
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
	x.f.admit(x.a)
}
