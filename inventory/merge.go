package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode"

	"muster/collector"
	"muster/inventory/platform"
)

// profile is what a reading says of a device beside its identity. Empty fields
// were not told and change nothing.
type profile struct {
	scope          Scope
	platform       *platform.Definition
	platformReason string
	identified     bool // SNMP by itself proved the platform
	vendor         string
	facts          []platform.Fact
	snmpCredential string
	snmpDetail     string
	resolved       []netip.Addr // what DNS says of the sysName; nil: not asked
}

// settle decides which device a sighting is and stores the sighting there, with
// the events that tell of it, in the transaction of tx.
func settle(tx Tx, s sighting, o Observation, p profile) (Device, decision, error) {
	known, err := tx.Known(s.identifiers, s.addr, s.deviceID)
	if err != nil {
		return Device{}, decision{}, err
	}
	d := decide(s, known)
	byID := map[int64]Known{}
	for _, k := range known {
		byID[k.Device.ID] = k
	}
	for _, id := range d.takes {
		if err := takeAddress(tx, byID[id], s); err != nil {
			return Device{}, d, err
		}
	}
	dev := Device{State: StateUnknown, StateSince: s.at, FirstSeen: s.at}
	before := byID[d.into]
	if d.into != 0 {
		dev = before.Device
	}
	oldSerial := dev.Serial
	fill(&dev, s, p)
	if err := chooseName(tx, &dev, s); err != nil {
		return Device{}, d, err
	}
	if d.into == 0 {
		dev.Address, dev.AddressReason = s.addr, "answered first"
		if err := tx.PutDevice(&dev); err != nil {
			return Device{}, d, err
		}
		if err := emit(tx, s.at, EventDeviceNew, dev, "", nil); err != nil {
			return Device{}, d, err
		}
	}
	if before.Device.Managed && !dev.Managed { // its new platform has nothing to back up
		if err := rest(tx, &dev, s.at, notManaged); err != nil {
			return Device{}, d, err
		}
	}
	for _, id := range d.join {
		if err := join(tx, byID[id].Device, dev, s.at); err != nil {
			return Device{}, d, err
		}
	}
	if err := endReplaced(tx, &dev, d, s, before, oldSerial); err != nil {
		return Device{}, d, err
	}
	if err := reportClashes(tx, dev, d, s, before, known); err != nil {
		return Device{}, d, err
	}
	if err := tx.Observe(dev.ID, o); err != nil {
		return Device{}, d, err
	}
	answered := append(slices.Clone(before.Answered), s.addr)
	for _, id := range d.join {
		answered = append(answered, byID[id].Answered...)
	}
	dev.Address, dev.AddressReason = manageAt(dev, answered, p.resolved)
	return dev, d, tx.PutDevice(&dev)
}

// fill takes over what a reading told.
func fill(dev *Device, s sighting, p profile) {
	dev.LastSeen = s.at
	if p.scope.Name != "" {
		dev.Scope = p.scope.Name
		if !dev.SiteGiven {
			dev.Site = p.scope.Site
		}
	}
	if p.platform != nil && !dev.PlatformGiven {
		dev.Platform, dev.PlatformReason = p.platform.Name, p.platformReason
		if !dev.ManagedGiven {
			dev.Managed = dev.AddedByPerson || p.platform.HasParts()
		}
	}
	if p.snmpCredential != "" {
		dev.Identified = p.identified
		dev.SNMPCredential = p.snmpCredential
	}
	set := func(field *string, value string) {
		if value != "" {
			*field = value
		}
	}
	set(&dev.SNMPDetail, p.snmpDetail)
	set(&dev.Vendor, p.vendor)
	set(&dev.Model, factOf(p.facts, "model"))
	set(&dev.Version, factOf(p.facts, "version"))
	set(&dev.Serial, factOf(p.facts, "serial"))
}

// chooseName gives the device its sysName, or follows a changed one, unless a
// person has named it. A device that tells none is called by its address.
func chooseName(tx Tx, dev *Device, s sighting) error {
	base := cleanName(s.sysName)
	if base == "" {
		base = s.addr.String()
		if dev.Name != "" {
			return nil
		}
	}
	if dev.NameGiven || dev.Name != "" && sameBase(dev.Name, base) {
		return nil
	}
	var err error
	dev.Name, err = uniqueName(tx, base, dev.ID)
	return err
}

// sameBase reports whether name is base, or base made unique.
func sameBase(name, base string) bool {
	head, tail, cut := strings.Cut(name, "~")
	return strings.EqualFold(name, base) || cut && strings.EqualFold(head, base) && strings.Trim(tail, "0123456789") == ""
}

// uniqueName returns base, or base~N with an N that is free. Where hundreds have
// their vendor's default name, N is looked for in ever longer steps and then in
// between: asking for each in turn would take longer with each device.
func uniqueName(tx Tx, base string, id int64) (string, error) {
	numbered := func(n int) string {
		if n == 1 {
			return base
		}
		return fmt.Sprintf("%s~%d", base, n)
	}
	var failed error
	free := func(n int) bool {
		taken, err := tx.NameTaken(numbered(n), id)
		failed = errors.Join(failed, err)
		return !taken
	}
	most := 1
	for !free(most) && failed == nil {
		most *= 2
	}
	lowest := most/2 + 1 // most/2 was taken
	n := lowest + sort.Search(most-lowest, func(i int) bool { return free(lowest + i) })
	return numbered(n), failed
}

// cleanName makes a name of what a device calls itself: one word that is safe in
// a path and on a terminal, at most 100 characters. What reads as words of a filter
// is none ("is:managed", pasted from an alert, would accept what all devices hold),
// and an address is the name of whoever lives there.
func cleanName(sysName string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(strings.ToValidUTF8(sysName, "?")) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:@+", r) {
			b.WriteRune(r)
		} else {
			b.WriteRune('-')
		}
		if b.Len() >= 100 {
			break
		}
	}
	name := strings.Trim(b.String(), "-.")
	if isAddr(name) {
		return ""
	}
	if field, rest, ok := strings.Cut(name, ":"); ok && IsField(field) {
		name = strings.Trim(field+"-"+rest, "-.")
	}
	return name
}

// manageAt is the rule for the management address: what a person configured;
// what the sysName resolves to, where it answered; the one that answered first.
func manageAt(dev Device, answered, resolved []netip.Addr) (netip.Addr, string) {
	if dev.AddressReason == addressConfigured {
		return dev.Address, dev.AddressReason
	}
	for _, a := range resolved {
		if slices.Contains(answered, a) {
			return a, "sysName resolves to it"
		}
	}
	if slices.Contains(answered, dev.Address) {
		if dev.AddressReason == "" || !dev.Address.IsValid() {
			return dev.Address, "answered first"
		}
		return dev.Address, dev.AddressReason
	}
	if len(answered) > 0 {
		return answered[0], "answered first of those that it still has"
	}
	return dev.Address, dev.AddressReason
}

const addressConfigured = "configured"

// takeAddress ends that a device answers at the sighting's address, because
// something else does. Where it has no other it keeps its record without one:
// absence is a state, not an end.
func takeAddress(tx Tx, k Known, s sighting) error {
	if err := tx.TakeAddress(k.Device.ID, s.addr, s.at); err != nil {
		return err
	}
	dev := k.Device
	if dev.Address != s.addr {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(k.Answered), func(a netip.Addr) bool { return a == s.addr })
	dev.Address, dev.AddressReason = netip.Addr{}, "another device answers at "+s.addr.String()
	if len(rest) > 0 {
		dev.Address, dev.AddressReason = rest[0], "answered first of those that it still has"
	}
	return tx.PutDevice(&dev)
}

// join makes from a part of into and says so.
func join(tx Tx, from, into Device, at time.Time) error {
	if err := tx.Join(from.ID, into.ID, at); err != nil {
		return err
	}
	return emit(tx, at, EventDeviceMerged, from, "", map[string]string{"into": into.Name})
}

// endReplaced ends what the old chassis was known by, or the engine ID of an agent
// that was set up anew while all else stayed.
func endReplaced(tx Tx, dev *Device, d decision, s sighting, before Known, oldSerial string) error {
	if d.verb == verbKnown && differ(IDEngine, s.identifiers, before.Identifiers) {
		if err := tx.EndIdentifiers(dev.ID, IDEngine, s.at); err != nil {
			return err
		}
	}
	if d.verb != verbReplaced {
		return nil
	}
	for _, kind := range []IdentifierKind{IDSerial, IDEngine, IDBaseMAC, IDChassis} {
		if err := tx.EndIdentifiers(dev.ID, kind, s.at); err != nil {
			return err
		}
	}
	if dev.Serial == oldSerial { // told by a component, not as the device's fact
		for _, i := range s.identifiers {
			if i.Kind == IDSerial {
				_, dev.Serial, _ = serialParts(i.Value)
				break
			}
		}
	}
	dev.Question = fmt.Sprintf("the serial changed from %s to %s on %s; confirm that the device was replaced: muster device replace %s",
		oldSerial, dev.Serial, s.at.UTC().Format("2006-01-02"), dev.Name)
	return emit(tx, s.at, EventDeviceReplaced, *dev, "", map[string]string{"old_serial": oldSerial, "new_serial": dev.Serial})
}

// reportClashes tells of strong identifiers that the sighting brings to a device
// while another living one holds them: from now on they are no evidence.
func reportClashes(tx Tx, dev Device, d decision, s sighting, before Known, known []Known) error {
	for _, i := range s.identifiers {
		if !i.Kind.strong() || d.into != 0 && d.verb != verbReplaced && holds(before.Identifiers, i) {
			continue
		}
		names := []string{dev.Name}
		for _, k := range known {
			if k.Device.ID != dev.ID && !slices.Contains(d.join, k.Device.ID) && !k.Device.Retired && holds(k.Identifiers, i) &&
				!sameBox(s.identifiers, k.Identifiers) && !memberOf(i, dev, k.Device) {
				names = append(names, k.Device.Name)
			}
		}
		if len(names) == 1 {
			continue
		}
		slices.Sort(names)
		err := emit(tx, s.at, EventIdentityClash, dev, string(i.Kind)+" "+i.Value, map[string]any{
			"identifier": string(i.Kind) + " " + i.Value, "devices": names})
		if err != nil {
			return err
		}
	}
	return nil
}

// memberOf reports whether a serial that two devices tell is another member's to
// one of them: each half of an HA pair that has an address of its own lists both
// chassis, and speaks for its own alone.
func memberOf(i Identifier, a, b Device) bool {
	if i.Kind != IDSerial {
		return false
	}
	_, serial, _ := serialParts(i.Value)
	return a.Serial != "" && b.Serial != "" && !(strings.EqualFold(a.Serial, serial) && strings.EqualFold(b.Serial, serial))
}

// sameBox reports whether two devices are contexts of one chassis, which share
// what belongs to the chassis.
func sameBox(a, b []Identifier) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Kind != IDSerial || y.Kind != IDSerial {
				continue
			}
			vx, sx, cx := serialParts(x.Value)
			vy, sy, cy := serialParts(y.Value)
			if sx == sy && agree(vx, vy) && cx != cy && cx != "" && cy != "" {
				return true
			}
		}
	}
	return false
}

// emit writes an event about a device.
func emit(tx Tx, at time.Time, kind EventKind, dev Device, subject string, data any) error {
	e := Event{At: at, Kind: kind, DeviceID: dev.ID, Device: dev.Name, Subject: subject}
	if data != nil {
		text, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("write event %s of %s: %w", kind, dev.Name, err)
		}
		e.Data = text
	}
	return tx.Emit(e)
}

// failure is the *collector.Error of err, made where it is another error.
func failure(err error, dev string, addr netip.AddrPort, step collector.Step) *collector.Error {
	var e *collector.Error
	if errors.As(err, &e) {
		out := *e
		if out.Device == "" {
			out.Device = dev
		}
		return &out
	}
	kind := collector.KindOf(err)
	if kind == "" {
		kind = collector.ErrUnreachable
		if errors.Is(err, context.DeadlineExceeded) {
			kind = collector.ErrTimedOut
		}
	}
	return &collector.Error{Device: dev, Addr: addr, Step: step, Kind: kind, Cause: err}
}
