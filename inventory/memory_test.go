package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// memory is a Store without a disk, for tests of what is decided. That the real
// one keeps what it is given is tested in package store.
type memory struct {
	mu          sync.Mutex // guards all
	last        int64
	devices     map[int64]*Device
	merged      map[int64]int64
	identifiers map[int64][]Identifier
	addresses   map[int64][]netip.Addr
	engines     map[int64]EngineMark
	facts       map[int64]Facts
	keys        map[int64][]Key
	attempts    []Attempt
	credentials map[string]CredentialState
	intervals   map[int64][]Interval
	reach       map[int64]Reach
	links       map[int64][]Link
	events      []Event
	audit       []string
}

func newMemory() *memory {
	return &memory{devices: map[int64]*Device{}, merged: map[int64]int64{}, identifiers: map[int64][]Identifier{},
		addresses: map[int64][]netip.Addr{}, engines: map[int64]EngineMark{}, facts: map[int64]Facts{}, keys: map[int64][]Key{},
		credentials: map[string]CredentialState{}, intervals: map[int64][]Interval{}, reach: map[int64]Reach{}, links: map[int64][]Link{}}
}

func (m *memory) View(ctx context.Context, f func(Reader) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f(memoryTx{m})
}

func (m *memory) Devices(context.Context) ([]Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return memoryTx{m}.Devices()
}

func (m *memory) Update(ctx context.Context, f func(Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f(memoryTx{m})
}

// memoryTx is a Tx over a locked memory. It takes nothing back.
type memoryTx struct{ *memory }

func (m memoryTx) Devices() ([]Device, error) {
	var all []Device
	for _, d := range m.devices {
		all = append(all, *d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

func (m memoryTx) Device(id int64) (Device, error) {
	for m.merged[id] != 0 {
		id = m.merged[id]
	}
	if d, ok := m.devices[id]; ok {
		return *d, nil
	}
	return Device{}, ErrNoDevice
}

func (m memoryTx) Facts(id int64) (Facts, error)      { return m.facts[id], nil }
func (m memoryTx) Keys(id int64) ([]Key, error)       { return slices.Clone(m.keys[id]), nil }
func (m memoryTx) Links() (map[int64][]Link, error)   { return m.links, nil }
func (m memoryTx) Reach() (map[int64]Reach, error)    { return m.reach, nil }
func (m memoryTx) Chassis() (map[string]int64, error) { return map[string]int64{}, nil }
func (m memoryTx) Answered() (map[netip.Addr]int64, error) {
	all := map[netip.Addr]int64{}
	for id, addrs := range m.addresses {
		for _, a := range addrs {
			all[a] = id
		}
	}
	return all, nil
}
func (m memoryTx) PutReach(id int64, r Reach) error { m.reach[id] = r; return nil }
func (m memoryTx) PutState(id int64, i Interval) error {
	m.intervals[id] = append(m.intervals[id], i)
	return nil
}
func (m memoryTx) Emit(e Event) error { m.memory.events = append(m.memory.events, e); return nil }
func (m memoryTx) PutAttempt(a Attempt) error {
	m.memory.attempts = append(m.memory.attempts, a)
	return nil
}
func (m memoryTx) PutCredential(c CredentialState) error { m.credentials[c.Name] = c; return nil }

func (m memoryTx) Credential(name string) (CredentialState, error) {
	c := m.credentials[name]
	c.Name = name
	return c, nil
}

func (m memoryTx) Intervals(id int64, since time.Time) ([]Interval, error) {
	return m.intervals[id], nil
}

func (m memoryTx) Attempts(id int64, since time.Time) ([]Attempt, error) {
	var all []Attempt
	for _, a := range m.attempts {
		if a.DeviceID == id && !a.At.Before(since) {
			all = append(all, a)
		}
	}
	return all, nil
}

func (m memoryTx) Known(ids []Identifier, addr netip.Addr, id int64) ([]Known, error) {
	var all []Known
	for _, d := range m.devices {
		hit := d.ID == id || slices.Contains(m.addresses[d.ID], addr)
		for _, i := range ids {
			hit = hit || i.Kind != IDSysName && slices.ContainsFunc(m.identifiers[d.ID], func(j Identifier) bool { return i.Kind == j.Kind && i.Key() == j.Key() })
		}
		if hit {
			all = append(all, Known{*d, slices.Clone(m.identifiers[d.ID]), slices.Clone(m.addresses[d.ID]), m.engines[d.ID]})
		}
	}
	return all, nil
}

func (m memoryTx) NameTaken(name string, id int64) (bool, error) {
	for _, d := range m.devices {
		if strings.EqualFold(d.Name, name) && d.ID != id {
			return true, nil
		}
	}
	return false, nil
}

func (m memoryTx) PutDevice(d *Device) error {
	if d.ID == 0 {
		m.memory.last++
		d.ID = m.memory.last
	} else if m.devices[d.ID] == nil {
		return fmt.Errorf("device %d: %w", d.ID, ErrNoDevice)
	}
	if taken, _ := m.NameTaken(d.Name, d.ID); taken || d.Name == "" {
		return fmt.Errorf("name %q is taken or none", d.Name)
	}
	c := *d
	m.devices[d.ID] = &c
	return nil
}

func (m memoryTx) DeleteDevice(id int64) error { delete(m.devices, id); return nil }

func (m memoryTx) Observe(id int64, o Observation) error {
	if o.Addr.IsValid() {
		for other := range m.devices {
			if other != id {
				_ = m.TakeAddress(other, o.Addr, o.At)
			}
		}
		if !slices.Contains(m.addresses[id], o.Addr) {
			m.addresses[id] = append(m.addresses[id], o.Addr)
		}
	}
	var serials bool
	for _, i := range o.Identifiers {
		if i.Kind == IDSysName {
			_ = m.EndIdentifiers(id, IDSysName, o.At)
		}
		if !slices.Contains(m.identifiers[id], i) {
			m.identifiers[id] = append(m.identifiers[id], i)
		}
		serials = serials || i.Kind == IDSerial
	}
	m.identifiers[id] = slices.DeleteFunc(m.identifiers[id], func(i Identifier) bool {
		if i.Kind != IDSerial || slices.Contains(o.Identifiers, i) || !serials {
			return false
		}
		return o.Whole || slices.ContainsFunc(o.Identifiers, func(j Identifier) bool { return j.Kind == IDSerial && j.Key() == i.Key() })
	})
	if o.Engine.Boots != 0 || o.Engine.Time != 0 {
		m.engines[id] = o.Engine
	}
	f := m.facts[id]
	for _, x := range o.Facts {
		f.Facts = append(f.Facts, FactAt{x, o.At})
	}
	if o.Interfaces != nil {
		f.Interfaces = o.Interfaces
	}
	m.facts[id] = f
	return nil
}

func (m memoryTx) TakeAddress(id int64, addr netip.Addr, _ time.Time) error {
	m.addresses[id] = slices.DeleteFunc(m.addresses[id], func(a netip.Addr) bool { return a == addr })
	return nil
}

func (m memoryTx) EndIdentifiers(id int64, kind IdentifierKind, _ time.Time) error {
	m.identifiers[id] = slices.DeleteFunc(m.identifiers[id], func(i Identifier) bool { return i.Kind == kind })
	return nil
}

func (m memoryTx) Join(from, into int64, _ time.Time) error {
	m.addresses[into] = append(m.addresses[into], m.addresses[from]...)
	for _, i := range m.identifiers[from] {
		if i.Kind != IDSysName && !slices.Contains(m.identifiers[into], i) {
			m.identifiers[into] = append(m.identifiers[into], i)
		}
	}
	if m.engines[from].ReadAt.After(m.engines[into].ReadAt) {
		m.engines[into] = m.engines[from]
	}
	delete(m.addresses, from)
	delete(m.identifiers, from)
	delete(m.devices, from)
	m.merged[from] = into
	return nil
}

func (m memoryTx) PutKey(id int64, k Key) error {
	for i, old := range m.keys[id] {
		if sameHostKey(old.HostKey, k.HostKey) {
			m.keys[id][i] = k
			return nil
		}
	}
	m.keys[id] = append(m.keys[id], k)
	return nil
}

func (m memoryTx) Forgive(id int64, credential string) error {
	for i, a := range m.attempts {
		if (id == 0 || a.DeviceID == id) && (credential == "" || a.Credential == credential) {
			m.attempts[i].Forgiven = true
		}
	}
	return nil
}

func (m memoryTx) Recount(credential string) error {
	m.memory.attempts = slices.DeleteFunc(m.attempts, func(a Attempt) bool { return a.Rejected > 0 && a.Credential == credential })
	return nil
}

func (m memoryTx) Audit(_ time.Time, who, action, subject, detail string) error {
	m.memory.audit = append(m.memory.audit, strings.Join([]string{who, action, subject, detail}, " "))
	return nil
}

// kinds lists the kinds of the events so far.
func (m *memory) kinds() []EventKind {
	m.mu.Lock()
	defer m.mu.Unlock()
	kinds := []EventKind{}
	for _, e := range m.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (m *memory) count(kind EventKind) int {
	n := 0
	for _, k := range m.kinds() {
		if k == kind {
			n++
		}
	}
	return n
}
