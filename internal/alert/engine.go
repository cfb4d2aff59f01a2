package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"muster/backup"
	"muster/inventory"
)

// Options tunes Alerts. The zero value is right for use, but for Devices.
type Options struct {
	Log  *slog.Logger     // nil: slog.Default
	Now  func() time.Time // nil: time.Now
	Zone *time.Location   // of times in messages and of DigestAt, until SetZone; nil: UTC

	// Devices lists all devices as they are now: sites, platforms, who is managed,
	// how many answer.
	Devices func(ctx context.Context) ([]inventory.Device, error)
	// Overdue lists managed devices whose newest good backup is older than a time;
	// nil: backup-overdue is not told.
	Overdue func(ctx context.Context, before time.Time) ([]Overdue, error)
	// Drifts lists all drift that is open; nil: only what events tell of is known.
	Drifts func(ctx context.Context) ([]backup.Drift, error)
	// Recheck starts reading the texts of devices again, at the end of the grace of
	// unsaved; nil: unsaved is told as it was read first.
	Recheck func(ctx context.Context, devices []int64)
	// Diff writes what differs on a device, redacted, for an alert of kind changed,
	// unsaved or off-baseline; nil: no message carries a diff.
	Diff func(ctx context.Context, w io.Writer, k Kind, device int64) error

	Company      time.Duration // wait of notifications that come in numbers, so that they go out as one; 0: 30 s. Negative: none
	DigestAt     time.Duration // time of day of the digest; 0: 8 h, i.e. 08:00
	OverdueAfter time.Duration // 0: 72 h
	DownAfter    time.Duration // a receiver that fails for as long is an alert; 0: 5 min
	Backoff      time.Duration // wait after the first failed delivery, doubled each time up to 10 min; 0: 10 s
	KeepTrying   time.Duration // a delivery older than this is given up; 0: 7 days
	Attempt      time.Duration // one attempt takes at most as long; 0: 30 s
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Devices == nil {
		o.Devices = func(context.Context) ([]inventory.Device, error) { return nil, nil }
	}
	def(&o.Company, 30*time.Second)
	o.Company = max(o.Company, 0)
	def(&o.DigestAt, 8*time.Hour)
	def(&o.OverdueAfter, 72*time.Hour)
	def(&o.DownAfter, 5*time.Minute)
	def(&o.Backoff, 10*time.Second)
	def(&o.KeepTrying, 7*24*time.Hour)
	def(&o.Attempt, 30*time.Second)
	return o
}

// Overdue is a device that was not backed up for too long.
type Overdue struct {
	DeviceID int64
	Device   string
	LastGood time.Time // zero: never; then the time since it is managed, or leave the device out
}

const (
	batchSize  = 500              // events in one transaction
	housekeep  = 10 * time.Minute // between two looks at what only time brings
	storeWait  = 5 * time.Second  // after an error of the store
	noveltyAge = 24 * time.Hour   // a new device is none any more
)

// Alerts turns events into alerts and messages. Its methods may be called from
// any goroutine.
type Alerts struct {
	store  Store
	o      Options
	outbox *outbox

	mu        sync.Mutex // one step at a time; guards what follows
	routes    []Route
	receivers []Receiver // nil before the first Set: nobody is gone yet
	windows   []Window
	zone      *time.Location
	looked    time.Time // when housekeep was last
	said      []change  // of receivers, by the outbox; for the next step

	waking sync.Mutex // guards what follows
	wake   context.CancelFunc
	asked  bool // a wake that came while nobody waited
}

// New makes Alerts. Nothing is told before Set has said to whom.
func New(store Store, o Options) *Alerts {
	a := &Alerts{store: store, o: o.withDefaults()}
	a.zone = a.o.Zone
	a.outbox = newOutbox(a)
	return a
}

// Set says who is told of what, at the start and at every reload. Where something
// is wrong with it nothing changes and all faults are said.
func (a *Alerts) Set(routes []Route, receivers []Receiver) error {
	if faults := check(routes, receivers); len(faults) > 0 {
		return errors.Join(faults...)
	}
	a.mu.Lock()
	a.routes, a.receivers = slices.Clone(routes), append([]Receiver{}, receivers...)
	a.looked = time.Time{} // at once: an alert may be about a receiver that is gone
	a.mu.Unlock()
	a.outbox.set(receivers)
	a.poke()
	return nil
}

// SetZone says where times in messages and the digest's hour are of, at the start
// and at every reload.
func (a *Alerts) SetZone(zone *time.Location) {
	a.mu.Lock()
	a.zone = zone
	a.mu.Unlock()
	a.poke()
}

// Run works on events and delivers messages until ctx ends, and returns when
// nothing of it goes on. What was not delivered waits for the next Run.
func (a *Alerts) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.outbox.run(ctx) })
	var said string
	for ctx.Err() == nil {
		at, next, err := a.Step(ctx)
		if err != nil && ctx.Err() == nil {
			if err.Error() != said {
				a.o.Log.Error("alerts were not brought up to date", "err", err)
				said = err.Error()
			}
			pause(ctx, storeWait)
			continue
		}
		said = ""
		a.await(ctx, at, next)
	}
}

// await waits for an event after the given one, for a poke, or until a time.
func (a *Alerts) await(ctx context.Context, after int64, until time.Time) {
	ctx, cancel := context.WithTimeout(ctx, max(until.Sub(a.o.Now()), 0))
	defer cancel()
	a.waking.Lock()
	a.wake = cancel
	if a.asked {
		cancel()
	}
	a.asked = false
	a.waking.Unlock()
	if err := a.store.WaitEvents(ctx, after); err != nil && ctx.Err() == nil {
		pause(ctx, storeWait) // the store is ill or closed; Step will say so
	}
	a.waking.Lock()
	a.wake = nil
	a.waking.Unlock()
}

// poke makes Run look again.
func (a *Alerts) poke() {
	a.waking.Lock()
	defer a.waking.Unlock()
	if a.wake == nil {
		a.asked = true
		return
	}
	a.wake()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Step works on all events that there are and on all notifications that are due,
// once. It returns the last event that was worked on and when the next step is
// due at the latest. Run calls it; a command that ends soon calls it once.
func (a *Alerts) Step(ctx context.Context) (at int64, next time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { // a mistake here must not end backups, nor come again at every start
		if p := recover(); p != nil {
			a.o.Log.ErrorContext(ctx, "alerts panicked", "err", p, "seen", string(debug.Stack()))
			err = fmt.Errorf("muster's own fault, please report it: panic: %v", p)
		}
	}()
	if len(a.said) > 0 {
		if err := a.change(ctx, a.said...); err != nil {
			return at, next, err
		}
		a.said = nil
	}
	for {
		n, err := a.work(ctx, &at)
		if err != nil {
			return at, next, err
		}
		if n < batchSize {
			break
		}
	}
	if now := a.o.Now(); now.Sub(a.looked) >= housekeep {
		if err := a.timely(ctx, now); err != nil {
			return at, next, err
		}
		a.looked = now
	}
	next, err = a.tell(ctx)
	return at, next, err
}

// now is the time as the store keeps it, in milliseconds: a time that was stored and
// one that was not yet must not differ by less, or what falls into one step with a
// digest is new in the next one too.
func (a *Alerts) now() time.Time { return a.o.Now().UTC().Truncate(time.Millisecond) }

func (a *Alerts) policy() *policy {
	return &policy{routes: a.routes, company: a.o.Company, zone: a.zone}
}

// work turns one batch of events into alerts. at is set to the cursor.
func (a *Alerts) work(ctx context.Context, at *int64) (n int, err error) {
	from, err := a.store.Cursor(ctx, CursorName)
	if err != nil {
		return 0, err
	}
	*at = from
	events, err := a.store.Events(ctx, from, batchSize)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	x, err := a.pass(ctx)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		changes, err := changesOf(e, x.world)
		if err != nil { // it will not become readable: going on without it loses one alert, stopping all
			a.o.Log.ErrorContext(ctx, "event was not understood", "task", "alert", "device", e.Device, "kind", string(e.Kind), "err", err)
			continue
		}
		for _, c := range changes {
			x.apply(c)
		}
	}
	to := events[len(events)-1].ID
	if err := a.commit(ctx, Batch{From: from, To: to, Alerts: x.settle()}); err != nil {
		return 0, err
	}
	*at = to
	return len(events), nil
}

// commit stores what a pass has made. An alert that can never be stored is left
// out, loudly: the cursor would stand before its event for ever, and no alert
// would be told any more.
func (a *Alerts) commit(ctx context.Context, b Batch) error {
	for {
		err := a.store.CommitAlerts(ctx, b)
		no, ok := errors.AsType[*Unstorable](err)
		if !ok || !slices.Contains(b.Alerts, no.Alert) {
			return err
		}
		a.o.Log.ErrorContext(ctx, "alert was left out, please report it", "task", "alert", "kind", string(no.Alert.Kind), "seen", no.Alert.Message, "err", err)
		b.Alerts = slices.DeleteFunc(slices.Clone(b.Alerts), func(al *Alert) bool { return al == no.Alert })
	}
}

// pass begins a pass over what is in the store now.
func (a *Alerts) pass(ctx context.Context) (*pass, error) {
	devices, err := a.o.Devices(ctx)
	if err != nil {
		return nil, fmt.Errorf("read devices: %w", err)
	}
	alive, err := a.store.LiveAlerts(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	opened := func(k Kind, subject string) int {
		n, err := a.store.OpenedSince(ctx, k, subject, now.Add(-time.Hour))
		if err != nil {
			a.o.Log.WarnContext(ctx, "earlier alerts were not counted", "kind", string(k), "err", err)
		}
		return n
	}
	return newPass(now, newWorld(devices), a.policy(), alive, opened), nil
}

// change works changes in that no event brought.
func (a *Alerts) change(ctx context.Context, changes ...change) error {
	x, err := a.pass(ctx)
	if err != nil {
		return err
	}
	for _, c := range changes {
		x.apply(c)
	}
	if alerts := x.settle(); len(alerts) > 0 {
		return a.commit(ctx, Batch{Alerts: alerts})
	}
	return nil
}

// timely works in what no event brings: backups that are overdue, drift of devices
// that are watched again, new devices that are new no more, and receivers that are
// gone from the settings.
func (a *Alerts) timely(ctx context.Context, now time.Time) error {
	alive, err := a.store.LiveAlerts(ctx)
	if err != nil {
		return err
	}
	var changes []change
	var overdue []Overdue
	if a.o.Overdue != nil {
		if overdue, err = a.o.Overdue(ctx, now.Add(-a.o.OverdueAfter)); err != nil {
			return fmt.Errorf("read overdue backups: %w", err)
		}
	}
	for _, o := range overdue {
		changes = append(changes, change{opens, BackupOverdue, Member{DeviceID: o.DeviceID, Device: o.Device, Since: o.LastGood}})
	}
	drifts, err := a.untold(ctx, alive)
	if err != nil {
		return err
	}
	changes = append(changes, drifts...)
	for _, al := range alive {
		for _, m := range al.Members {
			switch {
			case al.State != Firing:
			case al.Kind == NewDevice && now.Sub(m.Since) >= noveltyAge:
				changes = append(changes, change{moves, NewDevice, m})
			case al.Kind == BackupOverdue && !slices.ContainsFunc(overdue, func(o Overdue) bool { return o.DeviceID == m.DeviceID }):
				changes = append(changes, change{closes, BackupOverdue, m})
			case al.Kind == ReceiverDown && a.receivers != nil && !slices.ContainsFunc(a.receivers, func(r Receiver) bool { return r.Name() == m.Subject }):
				changes = append(changes, change{moves, ReceiverDown, m})
			}
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return a.change(ctx, changes...)
}

// untold opens the drift that no alert tells of: a device that was disabled or not
// managed lost its alerts, and that it has drifted before is no event when it is
// watched again.
func (a *Alerts) untold(ctx context.Context, alive []*Alert) (changes []change, err error) {
	if a.o.Drifts == nil {
		return nil, nil
	}
	drifts, err := a.o.Drifts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read drift: %w", err)
	}
	devices, err := a.o.Devices(ctx)
	if err != nil {
		return nil, fmt.Errorf("read devices: %w", err)
	}
	type about struct {
		kind   Kind
		device int64
	}
	told := map[about]bool{}
	for _, al := range alive {
		for _, m := range al.Members {
			told[about{al.Kind, m.DeviceID}] = told[about{al.Kind, m.DeviceID}] || al.State == Firing
		}
	}
	w := newWorld(devices)
	for _, d := range drifts {
		on := Member{DeviceID: w.byName[d.Device], Device: d.Device}
		if c := drifted(d, on); on.DeviceID != 0 && w.tells(c.kind, c.m) && !told[about{c.kind, on.DeviceID}] {
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// tell puts what is due into the outbox and returns when something is due next.
func (a *Alerts) tell(ctx context.Context) (next time.Time, err error) {
	now := a.now()
	alive, err := a.store.LiveAlerts(ctx)
	if err != nil {
		return next, err
	}
	p := a.policy()
	at, err := a.worksAt(ctx, now)
	if err != nil {
		return next, err
	}
	b, recheck, err := notify(p, alive, now, at, a.o.Recheck != nil)
	if err != nil {
		return next, err
	}
	if len(b.Alerts) > 0 {
		if err := a.store.CommitAlerts(ctx, b); err != nil {
			return next, err
		}
	}
	if len(recheck) > 0 {
		a.o.Recheck(ctx, recheck)
	}
	var to []string
	for _, r := range a.receivers {
		to = append(to, r.Name())
	}
	daily, due, err := a.digests(ctx, p, to, now)
	if err != nil {
		return next, err
	}
	if len(daily.Marks) > 0 {
		if err := a.store.CommitAlerts(ctx, daily); err != nil {
			return next, err
		}
	}
	if len(b.Deliveries)+len(daily.Deliveries) > 0 {
		a.outbox.poke()
	}
	next = now.Add(housekeep)
	if !due.IsZero() && due.Before(next) {
		next = due
	}
	for _, al := range alive {
		due := al.NotifyAt
		if by, held := at.holds(al); held && !due.IsZero() && due.Before(by.until) {
			due = by.until
		}
		if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	return next, nil
}

// List returns alerts, newest first.
func (a *Alerts) List(ctx context.Context, f Filter) ([]Alert, error) {
	all, err := a.store.Alerts(ctx, f)
	now := a.o.Now()
	for i := range all {
		if al := &all[i]; al.State == Firing && al.NotifiedAt.IsZero() && al.AckedAt.IsZero() && al.HeldUntil.After(now) {
			al.WaitsFor, al.WaitsUntil = al.HeldBy, al.HeldUntil
		}
	}
	return all, err
}

// Ack says that somebody has seen an alert and takes care of it: no further
// notification but the recovery, while it is what was seen (see [pass.acked]). What does not end by itself (a new device, a
// clash) ends with it.
func (a *Alerts) Ack(ctx context.Context, id int64, by, note string) (Alert, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	al, err := a.store.AlertOf(ctx, id)
	if err != nil {
		return Alert{}, fmt.Errorf("alert %d: %w", id, err)
	}
	if al.State == Resolved {
		return al, fmt.Errorf("alert %d is over since %s", id, al.ResolvedAt.UTC().Format(time.RFC3339))
	}
	now := a.now()
	al.AckedBy, al.AckedAt, al.AckNote, al.NotifyAt = by, now, note, time.Time{}
	al.Told = len(al.Devices)
	if !lasting(al.Kind) {
		al.State, al.ResolvedAt = Resolved, now
	}
	if err := a.store.CommitAlerts(ctx, Batch{Alerts: []*Alert{&al}}); err != nil {
		return Alert{}, err
	}
	return al, nil
}

// receiverDown tells of a receiver that takes no messages, or takes them again. The
// next step works it in, and the one after that where it cannot be stored: nobody
// says it a second time.
func (a *Alerts) receiverDown(receiver string, v verb, since time.Time, seen string) {
	a.mu.Lock()
	a.said = append(a.said, change{v, ReceiverDown, Member{Subject: receiver, Since: since, Seen: seen}})
	a.mu.Unlock()
	a.poke()
}
