package alert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	crand "crypto/rand"
)

// maxBackoff is the longest wait between two attempts at a receiver.
const maxBackoff = 10 * time.Minute

// outbox hands what waits to receivers: each receiver one message at a time, in
// order, and no receiver waiting for another.
type outbox struct {
	a  *Alerts
	wg sync.WaitGroup

	mu        sync.Mutex          // guards what follows
	receivers map[string]Receiver // nil before the first set: nobody is gone yet
	lines     map[string]*line
	unsaved   map[string]unsaved // by the delivery's ID
	kick      chan struct{}      // capacity 1
}

// unsaved is a message that is through, which the store has not taken yet. It is not
// delivered again meanwhile: with a full disk that would be as fast as it is taken.
type unsaved struct {
	d     Delivery
	again time.Time // when it is stored next
}

// line is how it stands with one receiver.
type line struct {
	busy     bool
	fails    int       // attempts in a row that failed
	since    time.Time // of the first of them
	notUntil time.Time // pause after the last of them
	asked    bool      // the receiver itself asked for the pause
	told     bool      // that it is down: its first success says that it is over; true at the start too, since an earlier process may have told
	opened   bool      // told by this process, in this outage
}

func newOutbox(a *Alerts) *outbox {
	return &outbox{a: a, lines: map[string]*line{}, unsaved: map[string]unsaved{}, kick: make(chan struct{}, 1)}
}

// set replaces the receivers. Their pauses end, since a new setting may have mended
// one; not those that a receiver has asked for.
func (o *outbox) set(receivers []Receiver) {
	o.mu.Lock()
	o.receivers = map[string]Receiver{}
	for _, r := range receivers {
		o.receivers[r.Name()] = r
		if l := o.lines[r.Name()]; l != nil {
			if !l.asked {
				l.notUntil = time.Time{}
			}
		} else {
			o.lines[r.Name()] = &line{told: true}
		}
	}
	for name, l := range o.lines {
		if o.receivers[name] == nil { // its alert ends; should it come back and fail, that is another outage
			l.fails, l.opened = 0, false
		}
	}
	o.mu.Unlock()
	o.poke()
}

func (o *outbox) poke() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends.
func (o *outbox) run(ctx context.Context) {
	defer o.wg.Wait()
	for {
		wait, err := o.round(ctx)
		if err != nil {
			if ctx.Err() == nil {
				o.a.o.Log.ErrorContext(ctx, "outbox was not read", "err", err)
			}
			wait = storeWait
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-o.kick:
		case <-ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// outboxLimit is how many messages of each receiver are looked at in a round.
const outboxLimit = 200

// round gives every idle receiver what is due and returns how long there is
// nothing to do unless somebody pokes.
func (o *outbox) round(ctx context.Context) (time.Duration, error) {
	busy := o.busy() // before the reading: it may show as waiting what is taken meanwhile
	waiting, err := o.a.store.Outbox(ctx, outboxLimit)
	if err != nil {
		return 0, err
	}
	now := o.a.o.Now()
	wait := housekeep
	due := map[string][]Delivery{}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.receivers == nil {
		return wait, nil
	}
	for _, d := range firsts(waiting) {
		l := o.lines[d.Receiver]
		if l == nil { // the receiver is gone from the settings
			l = &line{}
			o.lines[d.Receiver] = l
		}
		if busy[d.Receiver] {
			continue // pokes when it is through
		}
		next := o.nextAt(d, l, now)
		if next.After(now) {
			wait = min(wait, next.Sub(now))
			continue
		}
		due[d.Receiver] = append(due[d.Receiver], d)
	}
	for name, ds := range due {
		l := o.lines[name]
		l.busy = true
		r := o.receivers[name]
		o.wg.Go(func() {
			o.serve(ctx, name, r, ds)
			o.mu.Lock()
			l.busy = false
			o.mu.Unlock()
			o.poke()
		})
	}
	return wait, nil
}

// busy lists the receivers that are being served. Only round makes one busy.
func (o *outbox) busy() map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]bool{}
	for name, l := range o.lines {
		all[name] = l.busy
	}
	return all
}

// nextAt is when there is something to do about a message. o.mu is held. A time
// that is too far ahead is no pause: the clock was ahead when it was written.
func (o *outbox) nextAt(d Delivery, l *line, now time.Time) time.Time {
	if u, through := o.unsaved[d.ID]; through {
		if u.again.Sub(now) > storeWait {
			return now
		}
		return u.again
	}
	next := d.NextAt
	if d.Attempts == 0 || next.Sub(now) > busyMax {
		next = now
	}
	if l.notUntil.After(next) {
		next = l.notUntil
	}
	return next
}

// firsts leaves of each receiver the first message about each alert, since a
// recovery must not arrive before its alert, and puts those that were refused
// behind those that nobody has tried, since one that a receiver never takes must
// not keep the others from it.
func firsts(waiting []Delivery) []Delivery {
	type about struct {
		receiver string
		alert    int64
	}
	seen := map[about]bool{}
	var all []Delivery
	for _, d := range waiting {
		k := about{d.Receiver, d.AlertID}
		if d.AlertID == 0 || !seen[k] {
			all = append(all, d)
		}
		seen[k] = true
	}
	slices.SortStableFunc(all, func(a, b Delivery) int { return cmp.Compare(a.Attempts, b.Attempts) })
	return all
}

// serve hands messages to one receiver until one fails.
func (o *outbox) serve(ctx context.Context, name string, r Receiver, ds []Delivery) {
	for _, d := range ds {
		if ctx.Err() != nil {
			return
		}
		if !o.one(ctx, name, r, d) {
			return
		}
	}
}

// one makes one attempt, or stores that the message is through where that is still
// to be done; false: the receiver gets a pause.
func (o *outbox) one(ctx context.Context, name string, r Receiver, d Delivery) (went bool) {
	o.mu.Lock()
	u, through := o.unsaved[d.ID]
	o.mu.Unlock()
	if through {
		o.save(ctx, u.d)
		return true
	}
	var err error
	if r == nil {
		err = fmt.Errorf("there is no receiver %s any more", name)
	} else {
		err = o.attempt(ctx, r, d)
	}
	if err != nil && ctx.Err() != nil {
		return false // stopped from above: not the receiver's fault
	}
	if some, ok := errors.AsType[*someError](err); ok {
		o.a.o.Log.WarnContext(ctx, "message was not delivered to all", "task", name, "err", some)
		err = nil
	}
	now := o.a.o.Now().UTC()
	d.Attempts++
	switch {
	case err == nil:
		d.DoneAt, d.Error = now, ""
	case r == nil || now.Sub(d.At) >= o.a.o.KeepTrying && d.Attempts >= int(o.a.o.KeepTrying/busyMax): // a clock that jumps ahead ends nothing
		d.DoneAt, d.Error = now, err.Error()
		o.a.o.Log.ErrorContext(ctx, "message was given up", "task", name, "err", err)
	default:
		d.NextAt, d.Error = now.Add(max(backoff(o.a.o.Backoff, d.Attempts), asked(err))), err.Error()
	}
	o.save(ctx, d)
	if r != nil {
		o.account(ctx, name, err, now)
	}
	return err == nil || r == nil
}

// save stores how an attempt went. That a message is through is kept in memory until
// it can be stored; when the process ends before, it goes out again with the same id.
// A failed attempt needs no memory: the receiver's pause keeps the next one off.
func (o *outbox) save(ctx context.Context, d Delivery) {
	err := o.a.store.SaveDelivery(context.WithoutCancel(ctx), d)
	o.mu.Lock()
	defer o.mu.Unlock()
	_, known := o.unsaved[d.ID]
	switch {
	case err == nil:
		delete(o.unsaved, d.ID)
		return
	case !d.DoneAt.IsZero():
		o.unsaved[d.ID] = unsaved{d, o.a.o.Now().Add(storeWait)}
	}
	if !known { // a full disk must not fill the log as well
		o.a.o.Log.ErrorContext(ctx, "delivery was not stored", "task", d.Receiver, "err", err)
	}
}

// attempt hands one message over, within its time; a panic is the receiver's
// failure.
func (o *outbox) attempt(ctx context.Context, r Receiver, d Delivery) (err error) {
	ctx, cancel := context.WithTimeout(ctx, o.a.o.Attempt)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("muster's own fault, please report it: panic: %v", p)
		}
	}()
	var m Message
	if err := json.Unmarshal(d.Body, &m); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	if _, wants := r.(withDiff); wants && differs(m) {
		m.Diff = o.a.diffOf(ctx, d.AlertID)
	}
	return r.Deliver(ctx, m)
}

// backoff is the wait after the nth failed attempt, a fifth more or less.
func backoff(base time.Duration, n int) time.Duration {
	d := base << min(n-1, 16)
	if d > maxBackoff || d <= 0 {
		d = maxBackoff
	}
	return d - d/5 + rand.N(2*d/5+1)
}

// account notes how an attempt went: it sets the pause, and opens or resolves the
// alert about the receiver.
func (o *outbox) account(ctx context.Context, name string, err error, now time.Time) {
	o.mu.Lock()
	l := o.lines[name]
	tell := false
	var since time.Time
	if err == nil {
		tell = l.told
		*l = line{busy: l.busy}
	} else {
		if l.fails++; l.fails == 1 {
			l.since = now
		}
		l.notUntil = now.Add(max(backoff(o.a.o.Backoff, l.fails), asked(err)))
		l.asked = asked(err) > 0
		since = l.since
		if !l.opened && now.Sub(l.since) >= o.a.o.DownAfter {
			l.opened, l.told, tell = true, true, true
		}
		o.a.o.Log.WarnContext(ctx, "message was not delivered", "task", name, "err", err)
	}
	o.mu.Unlock()
	switch {
	case tell && err == nil:
		o.a.receiverDown(name, closes, now, "")
	case tell:
		o.a.receiverDown(name, opens, since, err.Error())
	}
}

// Test sends a message to one receiver now, past the outbox, and returns how that
// went.
func (a *Alerts) Test(ctx context.Context, receiver string) error {
	a.outbox.mu.Lock()
	r := a.outbox.receivers[receiver]
	a.outbox.mu.Unlock()
	if r == nil {
		return fmt.Errorf("there is no receiver %q. Add it under receivers: in muster.yaml", receiver)
	}
	now := a.o.Now().UTC()
	m := Message{ID: crand.Text(), Event: MessageTest, At: now, Alerts: []Alert{},
		Subject: "[muster] test", Text: "This is a test: messages of muster arrive here.\n"}
	d, err := delivery(m, receiver, 0)
	if err != nil {
		return err
	}
	return a.outbox.attempt(ctx, r, d)
}
