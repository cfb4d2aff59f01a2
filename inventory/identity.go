package inventory

import (
	"fmt"
	"slices"
	"strings"
)

// verb is what a sighting means for the inventory.
type verb string

const (
	verbNew      verb = "new"      // a device that nobody knew
	verbKnown    verb = "known"    // the device that is known at this address
	verbMerged   verb = "merged"   // another address of a device that is known
	verbReplaced verb = "replaced" // another chassis in the place of a known one
)

// decision is what a sighting is decided to be.
type decision struct {
	verb verb
	into int64   // the device; 0: a new one
	join []int64 // further devices that the sighting shows to be the same one
	// takes are devices that lose the address: something else answers there.
	takes []int64
	why   string
}

// decide says which device a sighting is, given all devices that share anything
// with it. It is a pure function; what it decides does not depend on the order
// of candidates.
func decide(s sighting, candidates []Known) decision {
	candidates = slices.Clone(candidates)
	slices.SortFunc(candidates, func(a, b Known) int { return cmpDevices(a.Device, b.Device) })

	var here *Known
	var matches []Known // devices that strong evidence says are this one
	reasons := map[int64]string{}
	for i, c := range candidates {
		if c.Device.ID == s.deviceID && s.deviceID != 0 || here == nil && slices.Contains(c.Answered, s.addr) {
			here = &candidates[i]
		}
		if why, ok := matchOf(s, c, candidates); ok {
			matches = append(matches, c)
			reasons[c.Device.ID] = why
		}
	}
	if here == nil {
		return decideElsewhere(s, matches, reasons)
	}
	return decideHere(s, *here, matches, reasons)
}

// decideElsewhere is for an address at which no device is known.
func decideElsewhere(s sighting, matches []Known, reasons map[int64]string) decision {
	if len(matches) == 0 {
		return decision{verb: verbNew, why: "nothing that is known has its identifiers"}
	}
	first := matches[0]
	return decision{verb: verbMerged, into: first.Device.ID, join: joinable(first, matches), why: reasons[first.Device.ID]}
}

// decideHere is for an address at which a device is known.
func decideHere(s sighting, here Known, matches []Known, reasons map[int64]string) decision {
	for _, m := range matches {
		if m.Device.ID == here.Device.ID {
			first := here
			if len(matches) > 0 && !here.Device.AddedByPerson && !matches[0].Device.AddedByPerson &&
				!serialsDisagree(here.Identifiers, matches[0].Identifiers) {
				first = matches[0] // the oldest keeps its name
			}
			return decision{verb: verbKnown, into: first.Device.ID, join: joinable(first, matches), why: reasons[here.Device.ID]}
		}
	}
	named := sameName(s.sysName, here)
	switch {
	case here.Device.AddedByPerson && slices.Contains(here.Answered, s.addr) || here.Device.ID == s.deviceID && here.Device.AddedByPerson:
		// A person said that this address is this device.
		if serialsDisagree(s.identifiers, here.Identifiers) {
			return decision{verb: verbReplaced, into: here.Device.ID, why: "another serial answers where a person put the device"}
		}
		return decision{verb: verbKnown, into: here.Device.ID, why: "a person put the device here"}

	case len(matches) > 0:
		// The address is known to be another device's. Either that device was made
		// from a poll that had lost its evidence, or the address moved.
		first := matches[0]
		d := decision{verb: verbMerged, into: first.Device.ID, join: joinable(first, matches), why: reasons[first.Device.ID]}
		if contradicts(s, here, named) || serialsDisagree(here.Identifiers, first.Identifiers) || first.Device.AddedByPerson {
			d.takes = []int64{here.Device.ID}
			return d
		}
		all := append([]Known{here}, matches...)
		slices.SortFunc(all, func(a, b Known) int { return cmpDevices(a.Device, b.Device) })
		d.into, d.join = all[0].Device.ID, joinable(all[0], all)
		return d

	case serialsDisagree(s.identifiers, here.Identifiers) && here.Device.Retired:
		return decision{verb: verbNew, takes: []int64{here.Device.ID}, why: "the device that was here is retired, and this has another serial"}

	case serialsDisagree(s.identifiers, here.Identifiers) && named:
		return decision{verb: verbReplaced, into: here.Device.ID, why: "the serial changed while address and name stayed"}

	case contradicts(s, here, named):
		return decision{verb: verbNew, takes: []int64{here.Device.ID}, why: "another device answers at this address"}
	}
	return decision{verb: verbKnown, into: here.Device.ID, why: "it answers at this address as before"}
}

// contradicts reports whether a sighting at a device's address cannot be that
// device. A changed name alone is a renaming, a changed engine ID alone a reset
// agent; both together are another device.
func contradicts(s sighting, here Known, named bool) bool {
	if serialsDisagree(s.identifiers, here.Identifiers) {
		return true
	}
	if named {
		return false
	}
	for _, kind := range []IdentifierKind{IDEngine, IDBaseMAC, IDChassis} {
		if differ(kind, s.identifiers, here.Identifiers) && s.sysName != "" {
			return true
		}
	}
	return false
}

// matchOf says whether strong evidence makes the sighting the candidate, and
// which. A value that two living devices hold is none.
func matchOf(s sighting, c Known, candidates []Known) (string, bool) {
	if serialsDisagree(s.identifiers, c.Identifiers) {
		return "", false
	}
	named := sameName(s.sysName, c)
	for _, i := range s.identifiers {
		if !i.Kind.strong() || !holds(c.Identifiers, i) || holders(i, candidates) > 1 {
			continue
		}
		switch i.Kind {
		case IDEngine:
			same, sure := sameClock(s.engine, c.Engine)
			if !same && (sure || !named) || otherName(s.sysName, c) || otherHardware(s, c) {
				continue
			}
		case IDHostKey:
			if !named || otherHardware(s, c) || differ(IDEngine, s.identifiers, c.Identifiers) {
				continue
			}
		case IDBaseMAC, IDChassis:
			// Contexts of one chassis may share its MAC; their names and engines differ.
			if otherName(s.sysName, c) || differ(IDEngine, s.identifiers, c.Identifiers) {
				continue
			}
		case IDSerial:
			// Contexts whose name was not told differ in all else that they tell.
			if otherName(s.sysName, c) && differ(IDEngine, s.identifiers, c.Identifiers) && otherHardware(s, c) {
				continue
			}
		}
		return fmt.Sprintf("%s %s", i.Kind, i.Value), true
	}
	return "", false
}

// otherHardware reports whether base MAC or chassis id speak against the
// candidate. In a stack they follow the master: alone they decide nothing.
func otherHardware(s sighting, c Known) bool {
	return differ(IDBaseMAC, s.identifiers, c.Identifiers) || differ(IDChassis, s.identifiers, c.Identifiers)
}

// holders counts the living devices that hold i.
func holders(i Identifier, candidates []Known) int {
	n := 0
	for _, c := range candidates {
		if !c.Device.Retired && holds(c.Identifiers, i) {
			n++
		}
	}
	return n
}

// joinable are the devices of all, apart from first, that are one with it: no
// serial of theirs disagrees, and no person added either of them.
func joinable(first Known, all []Known) []int64 {
	var ids []int64
	serials := first.Identifiers
	for _, k := range all {
		if k.Device.ID == first.Device.ID || first.Device.AddedByPerson || k.Device.AddedByPerson ||
			k.Device.Retired != first.Device.Retired || serialsDisagree(serials, k.Identifiers) {
			continue
		}
		ids = append(ids, k.Device.ID)
		serials = append(slices.Clone(serials), k.Identifiers...)
	}
	return ids
}

// sameName reports whether the sighting's sysName is the one that the device
// told, and one that devices do not share before they are named.
func sameName(sysName string, c Known) bool {
	if !nameTells(sysName) {
		return false
	}
	for _, i := range c.Identifiers {
		if i.Kind == IDSysName {
			name, _, _ := strings.Cut(i.Value, "|")
			if name == strings.ToLower(sysName) {
				return true
			}
		}
	}
	return false
}

// otherName reports whether both sides told a name and the names differ.
func otherName(sysName string, c Known) bool {
	if !nameTells(sysName) || sameName(sysName, c) {
		return false
	}
	return slices.ContainsFunc(c.Identifiers, func(i Identifier) bool { return i.Kind == IDSysName })
}

// cmpDevices orders devices by their claim to be the one that others join: those
// that were opened (they have a history), then the oldest.
func cmpDevices(a, b Device) int {
	opened := func(d Device) int {
		if d.SSHCredential != "" {
			return 0
		}
		return 1
	}
	if c := opened(a) - opened(b); c != 0 {
		return c
	}
	return int(a.ID - b.ID)
}
