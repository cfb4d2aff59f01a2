package alert

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memStore keeps everything in memory. (package store has the real one)
type memStore struct {
	mu        sync.Mutex
	events    []inventory.Event
	more      chan struct{} // closed and replaced at every event
	cursor    int64
	alerts    []Alert
	outbox    []Delivery
	marks     map[string]time.Time
	refuses   string        // alerts of this subject are not stored; empty: all are
	reading   time.Duration // what it takes until the caller has what was read from the outbox
	full      bool          // no alerts are stored
	loseSaves int           // so many deliveries are made and not stored: killed in between
}

func newMemStore() *memStore {
	return &memStore{more: make(chan struct{}), marks: map[string]time.Time{}}
}

// fill makes the store refuse alerts, or take them again.
func (s *memStore) fill(full bool) { s.mu.Lock(); defer s.mu.Unlock(); s.full = full }

// happens stores events, as the others do with their facts.
func (s *memStore) happens(events ...inventory.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		e.ID = int64(len(s.events) + 1)
		s.events = append(s.events, e)
	}
	close(s.more)
	s.more = make(chan struct{})
}

func (s *memStore) Events(_ context.Context, after int64, limit int) ([]inventory.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.events[after:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (s *memStore) WaitEvents(ctx context.Context, after int64) error {
	for {
		s.mu.Lock()
		n, more := int64(len(s.events)), s.more
		s.mu.Unlock()
		if n > after {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *memStore) Cursor(context.Context, string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor, nil
}

// copyOf keeps an alert's slices apart from the caller's.
func copyOf(a Alert) Alert {
	a.Devices, a.Members, a.Past = slices.Clone(a.Devices), slices.Clone(a.Members), slices.Clone(a.Past)
	return a
}

func (s *memStore) Alerts(_ context.Context, f Filter) ([]Alert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Alert{}
	for _, a := range slices.Backward(s.alerts) {
		if (f.State == "" || a.State == f.State) && (f.Kind == "" || a.Kind == f.Kind) && (f.Device == "" || slices.Contains(a.Devices, f.Device)) {
			all = append(all, copyOf(a))
		}
	}
	return all, nil
}

func (s *memStore) AlertOf(_ context.Context, id int64) (Alert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || int(id) > len(s.alerts) {
		return Alert{}, ErrNoAlert
	}
	return copyOf(s.alerts[id-1]), nil
}

func (s *memStore) LiveAlerts(context.Context) (all []*Alert, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alerts {
		if a.State == Firing || !a.NotifyAt.IsZero() {
			c := copyOf(a)
			all = append(all, &c)
		}
	}
	return all, nil
}

func (s *memStore) OpenedSince(_ context.Context, k Kind, subject string, since time.Time) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alerts {
		if a.Kind == k && a.Subject == subject && !a.OpenedAt.Before(since) {
			n++
		}
	}
	return n, nil
}

func (s *memStore) CommitAlerts(_ context.Context, b Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errors.New("disk is full")
	}
	if err := s.storable(b.Alerts); err != nil {
		return err
	}
	if b.To != 0 {
		if s.cursor != b.From {
			return errors.New("somebody else has worked on the events")
		}
		s.cursor = b.To
	}
	for _, a := range b.Alerts {
		if a.ID == 0 {
			a.ID = int64(len(s.alerts) + 1)
			s.alerts = append(s.alerts, copyOf(*a))
			continue
		}
		s.alerts[a.ID-1] = copyOf(*a)
	}
	s.outbox = append(s.outbox, b.Deliveries...)
	for name, at := range b.Marks {
		s.marks[name] = at.Truncate(time.Millisecond)
	}
	return nil
}

// storable holds a batch against what fires: of a kind, subject and group one.
func (s *memStore) storable(batch []*Alert) error {
	type key struct {
		kind    Kind
		subject string
		group   bool
	}
	fires := map[key]bool{}
	for _, a := range s.alerts {
		if a.State == Firing && !slices.ContainsFunc(batch, func(b *Alert) bool { return b.ID == a.ID }) {
			fires[key{a.Kind, a.Subject, a.Group}] = true
		}
	}
	for _, a := range batch {
		k := key{a.Kind, a.Subject, a.Group}
		if a.State == Firing && (fires[k] || s.refuses != "" && a.Subject == s.refuses) {
			return &Unstorable{a, errors.New("it fires already")}
		}
		fires[k] = fires[k] || a.State == Firing
	}
	return nil
}

func (s *memStore) AlertMark(_ context.Context, name string) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[name], nil
}

func (s *memStore) Outbox(_ context.Context, limit int) ([]Delivery, error) {
	defer time.Sleep(s.reading)
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Delivery{}
	n := map[string]int{}
	for _, d := range s.outbox {
		if d.DoneAt.IsZero() && n[d.Receiver] < limit {
			n[d.Receiver]++
			all = append(all, d)
		}
	}
	return all, nil
}

func (s *memStore) SaveDelivery(_ context.Context, d Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loseSaves > 0 {
		s.loseSaves--
		return errors.New("killed before it was stored")
	}
	i := slices.IndexFunc(s.outbox, func(o Delivery) bool { return o.ID == d.ID })
	s.outbox[i] = d
	return nil
}
