package store

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"muster/collector"
	"muster/collector/snmp"
	"muster/inventory"
	"muster/inventory/platform"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// update runs f in one transaction of the inventory.
func update(t *testing.T, s *Store, f func(inventory.Tx) error) {
	t.Helper()
	if err := s.Inventory().Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, s *Store, f func(inventory.Reader) error) {
	t.Helper()
	if err := s.Inventory().View(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// newDevice stores a device of which only the name matters.
func newDevice(t *testing.T, s *Store, name, addr string) inventory.Device {
	t.Helper()
	d := inventory.Device{Name: name, Address: netip.MustParseAddr(addr)}
	update(t, s, func(tx inventory.Tx) error { return tx.PutDevice(&d) })
	return d
}

func TestDeviceComesBackAsItWasStored(t *testing.T) {
	s := openNew(t)
	want := inventory.Device{
		Name: "core1", NameGiven: true, Address: netip.MustParseAddr("192.0.2.1"), AddressReason: "configured", SSHPort: 2222,
		Scope: "campus", Site: "paris", SiteGiven: true, Tags: []string{"a", "b"},
		Platform: "arista_eos", PlatformReason: "sysObjectID", PlatformGiven: true, Identified: true,
		Vendor: "Arista", Model: "7050", Version: "4.30", Serial: "ABC123",
		Managed: true, ManagedGiven: true, AddedByPerson: true, Disabled: true, Retired: true,
		SNMPCredential: "v3", SNMPDetail: "aes256c", SSHCredential: "noc", SSHMethod: "password", Credential: "noc",
		Algorithms: collector.Legacy, Timeout: time.Minute, State: inventory.StateBehind, StateSince: noon, Behind: "dist1",
		FirstSeen: noon, LastSeen: noon.Add(time.Hour), Missing: collector.ErrNeedsDecision, MissingReason: "because", Question: "is it?", CountFrom: noon,
	}
	update(t, s, func(tx inventory.Tx) error { return tx.PutDevice(&want) })
	view(t, s, func(tx inventory.Reader) error {
		got, err := tx.Device(want.ID)
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("device differs (-want +got):\n%s", diff)
		}
		return err
	})
	want.Name, want.Disabled = "core2", false
	update(t, s, func(tx inventory.Tx) error { return tx.PutDevice(&want) })
	view(t, s, func(tx inventory.Reader) error {
		all, err := tx.Devices()
		if diff := cmp.Diff([]inventory.Device{want}, all, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("devices differ (-want +got):\n%s", diff)
		}
		return err
	})
}

func TestNamesAreUniqueWhateverTheirCase(t *testing.T) {
	s := openNew(t)
	newDevice(t, s, "core1", "192.0.2.1")
	d := inventory.Device{Name: "CORE1", Address: netip.MustParseAddr("192.0.2.2")}
	if err := s.Inventory().Update(t.Context(), func(tx inventory.Tx) error { return tx.PutDevice(&d) }); err == nil {
		t.Error("a second device took the name")
	}
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	s := openNew(t)
	wrong := errors.New("wrong")
	err := s.Inventory().Update(t.Context(), func(tx inventory.Tx) error {
		if err := tx.PutDevice(&inventory.Device{Name: "x"}); err != nil {
			return err
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("Update = %v, want %v", err, wrong)
	}
	view(t, s, func(tx inventory.Reader) error {
		all, err := tx.Devices()
		if len(all) != 0 {
			t.Errorf("%d devices are there, want none", len(all))
		}
		return err
	})
}

// observation is a reading with one row of everything.
func observation(at time.Time, version, oper string) inventory.Observation {
	return inventory.Observation{
		At: at, Via: inventory.ViaSNMP, Addr: netip.MustParseAddr("192.0.2.1"), Whole: true,
		Identifiers: []inventory.Identifier{{Kind: inventory.IDSerial, Value: "arista/ABC1/"}, {Kind: inventory.IDSysName, Value: "core1|1.2"}},
		Engine:      inventory.EngineMark{Boots: 3, Time: 100, ReadAt: at},
		Facts:       []platform.Fact{{Name: "version", Value: version, Source: "s"}, {Name: "model", Value: "m", Source: "s"}},
		Interfaces:  []snmp.Interface{{IfIndex: 1, Name: "Et1", Oper: oper, SpeedBps: 400e9}, {IfIndex: 2, Name: "Et2"}},
		Addresses:   []snmp.Address{{IP: netip.MustParseAddr("192.0.2.1"), Prefix: 24, IfIndex: 1}},
		VLANs:       []snmp.VLAN{{ID: 7, Name: "seven"}},
		Components:  []snmp.Component{{Index: 1, Class: "chassis", Serial: "ABC1"}},
		Neighbors:   []snmp.Neighbor{{Protocol: "lldp", LocalPort: "Et1", RemoteSysName: "dist1", RemoteChassisID: "00:11:22:33:44:55"}},
	}
}

func TestFactsThatChangeKeepSinceAndUntil(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "core1", "192.0.2.1")
	later := noon.Add(time.Hour)
	update(t, s, func(tx inventory.Tx) error { return tx.Observe(d.ID, observation(noon, "4.30", "up")) })
	update(t, s, func(tx inventory.Tx) error { return tx.Observe(d.ID, observation(later, "4.31", "down")) })
	view(t, s, func(tx inventory.Reader) error {
		f, err := tx.Facts(d.ID)
		if err != nil {
			return err
		}
		want := []inventory.FactAt{
			{Fact: platform.Fact{Name: "model", Value: "m", Source: "s"}, ReadAt: later},
			{Fact: platform.Fact{Name: "version", Value: "4.31", Source: "s"}, ReadAt: later},
		}
		if diff := cmp.Diff(want, f.Facts); diff != "" {
			t.Errorf("facts differ (-want +got):\n%s", diff)
		}
		o := observation(later, "", "down")
		if diff := cmp.Diff(o.Interfaces, f.Interfaces); diff != "" {
			t.Errorf("interfaces differ (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(o.Neighbors, f.Neighbors); diff != "" {
			t.Errorf("neighbors differ (-want +got):\n%s", diff)
		}
		if len(f.Addresses) != 1 || len(f.VLANs) != 1 || len(f.Components) != 1 {
			t.Errorf("addresses, VLANs, components: %v %v %v, want one of each", f.Addresses, f.VLANs, f.Components)
		}
		return nil
	})
	history, err := texts(t.Context(), s.read, `
SELECT name || ' ' || value || ' ' || since || '-' || coalesce(until, '') FROM fact ORDER BY name, since`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"model m 1772366400000-", "version 4.30 1772366400000-1772370000000", "version 4.31 1772370000000-"}
	if diff := cmp.Diff(want, history); diff != "" {
		t.Errorf("history differs (-want +got):\n%s", diff)
	}
	rows, err := texts(t.Context(), s.read, `SELECT name || ' ' || oper || ' ' || (until IS NULL) FROM interface ORDER BY name, since`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Et1 up 0", "Et1 down 1", "Et2  1"}, rows); diff != "" {
		t.Errorf("an interface that did not change has a second row, or a changed one has none (-want +got):\n%s", diff)
	}
}

// A reading in part ends nothing that it does not name, a whole one does, and neither
// what was read in another way. Of two facts with one name the last counts.
func TestAReadingEndsOnlyTheFactsItMayEnd(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "core1", "192.0.2.1")
	odd := "15.2(4)\"E\" <b>&\\ \n‹ü›"
	at := noon
	for _, reading := range []struct {
		via   inventory.Via
		whole bool
		facts []string // name=value
		holds []string
	}{
		{inventory.ViaSNMP, true, []string{"version=1", "model=m"}, []string{"snmp model m", "snmp version 1"}},
		{inventory.ViaSSH, false, []string{"version=2", "version=3"}, []string{"snmp model m", "snmp version 1", "ssh version 3"}},
		{inventory.ViaSSH, false, []string{"serial=" + odd}, []string{"snmp model m", "snmp version 1", "ssh serial " + odd, "ssh version 3"}},
		{inventory.ViaSNMP, true, []string{"version=1"}, []string{"snmp version 1", "ssh serial " + odd, "ssh version 3"}},
		{inventory.ViaSNMP, true, nil, []string{"snmp version 1", "ssh serial " + odd, "ssh version 3"}}, // it read nothing
		{inventory.ViaSSH, true, []string{"version="}, []string{"snmp version 1", "ssh version "}},
	} {
		at = at.Add(time.Hour)
		o := inventory.Observation{At: at, Via: reading.via, Whole: reading.whole}
		for _, f := range reading.facts {
			name, value, _ := strings.Cut(f, "=")
			o.Facts = append(o.Facts, platform.Fact{Name: name, Value: value, Source: "s"})
		}
		update(t, s, func(tx inventory.Tx) error { return tx.Observe(d.ID, o) })
		holds, err := texts(t.Context(), s.read, `SELECT via || ' ' || name || ' ' || value FROM fact WHERE until IS NULL ORDER BY via, name`)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reading.holds, holds); diff != "" {
			t.Errorf("after %q by %s, whole %t (-want +got):\n%s", reading.facts, reading.via, reading.whole, diff)
		}
	}
	begun, err := texts(t.Context(), s.read, `SELECT value || ' ' || (since < read_at) FROM fact WHERE via = 'snmp' AND name = 'version'`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1 1"}, begun); diff != "" {
		t.Errorf("a fact that still holds was begun anew, or not read again (-want +got):\n%s", diff)
	}
}

func TestPartialTableDoesNotReplaceAWholeOne(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "core1", "192.0.2.1")
	update(t, s, func(tx inventory.Tx) error { return tx.Observe(d.ID, observation(noon, "4.30", "up")) })
	part := observation(noon.Add(time.Hour), "4.30", "up")
	part.Interfaces, part.Partial = part.Interfaces[:1], map[string]bool{"interfaces": true}
	update(t, s, func(tx inventory.Tx) error { return tx.Observe(d.ID, part) })
	view(t, s, func(tx inventory.Reader) error {
		f, err := tx.Facts(d.ID)
		if len(f.Interfaces) != 2 {
			t.Errorf("%d interfaces hold, want 2", len(f.Interfaces))
		}
		return err
	})
}

func TestAnAddressIsOneDevicesAtATime(t *testing.T) {
	s := openNew(t)
	a, b := newDevice(t, s, "a", "192.0.2.1"), newDevice(t, s, "b", "192.0.2.1")
	addr := netip.MustParseAddr("192.0.2.9")
	for _, d := range []inventory.Device{a, b} {
		update(t, s, func(tx inventory.Tx) error {
			return tx.Observe(d.ID, inventory.Observation{At: noon, Via: inventory.ViaSNMP, Addr: addr})
		})
	}
	view(t, s, func(tx inventory.Reader) error {
		known, err := tx.Known(nil, addr, 0)
		if len(known) != 1 || known[0].Device.ID != b.ID {
			t.Errorf("Known(%s) = %v, want b alone", addr, known)
		}
		return err
	})
}

func TestHoldersAreFoundBySerialWithoutVendorAndContext(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "core1", "192.0.2.1")
	update(t, s, func(tx inventory.Tx) error { return tx.Observe(d.ID, observation(noon, "1", "up")) })
	view(t, s, func(tx inventory.Reader) error {
		known, err := tx.Known([]inventory.Identifier{{Kind: inventory.IDSerial, Value: "/ABC1/vdc2"}}, netip.Addr{}, 0)
		if len(known) != 1 || known[0].Engine.Boots != 3 || len(known[0].Identifiers) != 2 || len(known[0].Answered) != 1 {
			t.Errorf("Known = %+v, want core1 with its evidence", known)
		}
		return err
	})
}

func TestJoinedDeviceLeadsToTheOneItIsPartOf(t *testing.T) {
	s := openNew(t)
	a, b := newDevice(t, s, "a", "192.0.2.1"), newDevice(t, s, "b", "192.0.2.2")
	update(t, s, func(tx inventory.Tx) error { return tx.Observe(b.ID, observation(noon, "1", "up")) })
	update(t, s, func(tx inventory.Tx) error {
		if err := tx.PutAttempt(inventory.Attempt{DeviceID: b.ID, Credential: "noc", Rejected: 1, At: noon}); err != nil {
			return err
		}
		return tx.Join(b.ID, a.ID, noon.Add(time.Hour))
	})
	view(t, s, func(tx inventory.Reader) error {
		got, err := tx.Device(b.ID)
		if err != nil || got.ID != a.ID {
			t.Errorf("Device(b) = %v, %v; want a", got.Name, err)
		}
		all, err := tx.Devices()
		if err != nil || len(all) != 1 {
			t.Errorf("%d devices, %v; want 1", len(all), err)
		}
		known, err := tx.Known([]inventory.Identifier{{Kind: inventory.IDSerial, Value: "arista/ABC1/"}}, netip.Addr{}, 0)
		if err != nil || len(known) != 1 || known[0].Device.ID != a.ID || known[0].Engine.Boots != 3 {
			t.Errorf("the serial leads to %+v, %v; want a with the engine's clock", known, err)
		}
		attempts, err := tx.Attempts(a.ID, noon)
		if len(attempts) != 1 {
			t.Errorf("%d rejected logins moved, want 1", len(attempts))
		}
		return err
	})
	newDevice(t, s, "b", "192.0.2.3") // the name is free again
}

func TestDeletedDeviceTakesItsRowsAlong(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "a", "192.0.2.1")
	update(t, s, func(tx inventory.Tx) error {
		for _, f := range []func() error{
			func() error { return tx.Observe(d.ID, observation(noon, "1", "up")) },
			func() error { return tx.PutReach(d.ID, inventory.Reach{SNMPWorked: true}) },
			func() error { return tx.PutState(d.ID, inventory.Interval{State: inventory.StateUp, Since: noon}) },
			func() error {
				return tx.PutKey(d.ID, inventory.Key{HostKey: collector.HostKey{Type: "x", Blob: []byte("b")}, State: inventory.KeyPinned, At: noon})
			},
			func() error {
				return tx.PutAttempt(inventory.Attempt{DeviceID: d.ID, Credential: "c", Rejected: 1, At: noon})
			},
			func() error { return tx.DeleteDevice(d.ID) },
		} {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	})
	for _, table := range []string{"identifier", "answered", "fact", "interface", "address", "vlan", "component", "neighbor", "state_interval", "reach", "host_key", "login_attempt"} {
		left, err := texts(t.Context(), s.read, "SELECT device_id FROM "+table)
		if err != nil || len(left) != 0 {
			t.Errorf("%s keeps %d rows, %v; want none", table, len(left), err)
		}
	}
}

func TestStatesAreIntervalsWithoutGaps(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "a", "192.0.2.1")
	for i, st := range []inventory.State{inventory.StateUp, inventory.StateDown, inventory.StateUp} {
		update(t, s, func(tx inventory.Tx) error {
			return tx.PutState(d.ID, inventory.Interval{State: st, Since: noon.Add(time.Duration(i) * time.Hour), Message: "m"})
		})
	}
	view(t, s, func(tx inventory.Reader) error {
		got, err := tx.Intervals(d.ID, noon.Add(90*time.Minute))
		want := []inventory.Interval{
			{State: inventory.StateUp, Since: noon.Add(2 * time.Hour), Message: "m"},
			{State: inventory.StateDown, Since: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour), Message: "m"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("intervals differ (-want +got):\n%s", diff)
		}
		return err
	})
}

func TestRejectedLoginsOutliveAcceptedOnes(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "a", "192.0.2.1")
	put := func(a inventory.Attempt) {
		update(t, s, func(tx inventory.Tx) error { return tx.PutAttempt(a) })
	}
	put(inventory.Attempt{DeviceID: d.ID, Credential: "noc", Rejected: 1, At: noon})
	for i := range 5 {
		put(inventory.Attempt{DeviceID: d.ID, Credential: "noc", Accepted: true, At: noon.Add(time.Duration(i+1) * time.Hour)})
	}
	view(t, s, func(tx inventory.Reader) error {
		got, err := tx.Attempts(d.ID, noon.Add(-time.Hour))
		if len(got) != 2 || got[0].Rejected != 1 || !got[1].Accepted {
			t.Errorf("attempts %+v, want the rejected and the newest accepted one", got)
		}
		return err
	})
}

func TestCredentialStateSurvives(t *testing.T) {
	s := openNew(t)
	want := inventory.CredentialState{Name: "noc", Digest: "d", StoppedAt: noon, Reason: "r", RejectedBy: []int64{1, 2}}
	update(t, s, func(tx inventory.Tx) error { return tx.PutCredential(want) })
	view(t, s, func(tx inventory.Reader) error {
		got, err := tx.Credential("noc")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("state differs (-want +got):\n%s", diff)
		}
		return err
	})
}

func TestInventoryStopsWithItsContext(t *testing.T) {
	s := openNew(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Inventory().Update(ctx, func(inventory.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want cancelled", err)
	}
	if err := s.Inventory().View(ctx, func(inventory.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View = %v, want cancelled", err)
	}
}
