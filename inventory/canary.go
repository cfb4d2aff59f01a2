package inventory

import (
	"context"
	"slices"
	"sync"
	"time"

	"muster/collector"
)

// verdict is what a login said of a credential.
type verdict int

const (
	noVerdict verdict = iota // the device was not reached, or the session ended before the login
	accepted
	rejected
)

// gate lets the logins of one credential out during one run: first one alone,
// and the others when that one was accepted. It stops the credential when a
// second device rejects it before any accepted it.
//
// A rejection where the credential worked before makes all others wait again for
// one login, alone: accepted, the fault is that one device's; rejected, the
// account's, and the credential is stopped. Five new devices in a row that reject
// it do the same. So one device with an account of its
// own gone wrong does not cost the whole night, and a changed password touches
// two devices.
type gate struct {
	mu        sync.Mutex // guards all below
	proved    bool
	stopped   bool
	doubtful  bool   // it was stopped in an earlier run: one rejection stops it again
	changed   bool   // its secret is another one since: it gets two devices like a new one
	released  bool   // it was doubtful, and a login has been accepted that is not stored yet
	testing   *trial // the login that all others wait for; nil: none, or it is silent
	rejected  []int64
	heard     []int64       // devices that were ever among rejected
	stoppedAt time.Time     // the stop, of an earlier run or another, that is known here
	streak    int           // rejections in a row by devices that it never worked at
	refused   int           // number of the newest login whose rejection counts: older ones prove nothing
	wake      chan struct{} // closed and replaced when any of the above changes
}

// trial is a login that goes out alone.
type trial struct{ out bool } // its password has left, or is next; guarded by gate.mu

// asks reports whether a login would have to go alone, or wait for one that does.
func (g *gate) asks() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.proved && !g.stopped
}

// lets reports whether a password may go out now. What enter said may be over: a
// device that takes long to show its key is waited for no longer than silentTester.
func (g *gate) lets(alone *trial) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if alone != nil && g.testing == alone {
		alone.out = true
	}
	return !g.stopped && (g.proved || alone != nil && g.testing == alone)
}

// silentTester is how long all others wait for one login. After that the next
// one is alone: a device that is silent says nothing of a credential.
const silentTester = 3 * time.Second

// enter waits until a login may go out. alone marks the one that all others wait
// for, nil: not this one. It fails with ErrCredentialStopped, or with ctx.
func (g *gate) enter(ctx context.Context) (alone *trial, err error) {
	return g.wait(ctx, &trial{}, func() bool { return g.testing == nil })
}

// again is enter for a login whose password is next. It takes the place of one that
// is still being connected to: that may take long, and there may be hundreds.
func (g *gate) again(ctx context.Context) (alone *trial, err error) {
	return g.wait(ctx, &trial{out: true}, func() bool { return g.testing == nil || !g.testing.out })
}

// wait waits until a login may go out, alone as t where it is free to.
func (g *gate) wait(ctx context.Context, t *trial, free func() bool) (alone *trial, err error) {
	for {
		g.mu.Lock()
		switch {
		case g.stopped:
			g.mu.Unlock()
			return nil, collector.ErrCredentialStopped
		case g.proved:
			g.mu.Unlock()
			return nil, nil
		case free():
			g.testing = t
			g.mu.Unlock()
			time.AfterFunc(silentTester, func() { g.leave(t) })
			return t, nil
		}
		wake := g.wake
		g.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// passed takes that a device has let login number in. The others need not wait for
// its shell: one that hangs there would hold up the whole run. A login that went out
// before one that was rejected says nothing of the password by now.
func (g *gate) passed(number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if number < g.refused {
		if !g.proved && !g.stopped { // but it worked between two rejections: they are not two in a row
			g.rejected = nil
		}
		return
	}
	g.streak = 0
	if g.stopped || g.proved {
		return
	}
	g.released = g.released || g.doubtful
	g.proved, g.doubtful, g.rejected = true, false, nil
	g.tell()
}

// streakMax is how many new devices in a row may reject a credential that others
// let in, before it is the account that is doubted.
const streakMax = 5

// said is what came of one login.
type said struct {
	verdict
	device       int64
	number       int  // of its flight
	workedBefore bool // the device let this credential in before
	own          bool // a rejection may well be the device's own matter: another credential may be meant for it
	in           bool // gate.passed was told of it: the session behind it took its time, and others may have been rejected meanwhile
	alone        bool // all others wait for it
}

// judge takes what a login said, before it is stored. stop is true where the
// credential has to be stopped now, release where it was stopped and works.
func (g *gate) judge(s said) (stop, release bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s.verdict {
	case accepted:
		if s.in || s.number < g.refused {
			release, g.released = g.released, false
			return false, release
		}
		g.streak = 0
		release = g.doubtful || g.released
		g.proved, g.doubtful, g.released, g.rejected = true, false, false, nil
	case rejected:
		if g.stopped {
			return false, false // told already
		}
		if g.proved && !s.workedBefore {
			if !s.own {
				g.streak++
				g.refused = max(g.refused, s.number)
			}
			if g.streak < streakMax {
				return false, false
			}
		}
		if !g.proved && g.streak >= streakMax && !s.workedBefore && !s.alone {
			return false, false // one more of those that gave rise to the doubt: the login that is alone decides
		}
		g.proved = false
		g.refused = max(g.refused, s.number)
		if !slices.Contains(g.rejected, s.device) {
			g.rejected, g.heard = append(g.rejected, s.device), append(g.heard, s.device)
		}
		stop = g.doubtful && !g.changed || len(g.rejected) >= 2
		g.stopped = stop
	}
	return stop, release
}

// leave lets the next ones go, after what the login said was stored.
func (g *gate) leave(alone *trial) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if alone != nil && g.testing == alone {
		g.testing = nil
	}
	g.tell()
}

// tell wakes those who wait. g.mu is held.
func (g *gate) tell() {
	close(g.wake)
	g.wake = make(chan struct{})
}

// locks hands out one lock per key; waiting for one ends with the context.
type locks[K comparable] struct {
	size int // how many hold a key at a time

	mu  sync.Mutex // guards all
	all map[K]chan struct{}
}

// take waits for the key; free gives it back and may be called more than once.
func (l *locks[K]) take(ctx context.Context, key K) (free func(), err error) {
	l.mu.Lock()
	if l.all == nil {
		l.all = map[K]chan struct{}{}
	}
	c, ok := l.all[key]
	if !ok {
		c = make(chan struct{}, l.size)
		l.all[key] = c
	}
	l.mu.Unlock()
	select {
	case c <- struct{}{}:
		var once sync.Once
		return func() { once.Do(func() { <-c }) }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
