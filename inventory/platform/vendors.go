package platform

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"muster/collector/snmp"
)

//go:embed vendors.yaml
var vendorFile []byte

// vendorMIB is what one vendor's own MIB tells of all its devices, whatever they run.
type vendorMIB struct {
	under []string       // sysObjectIDs, or what they begin with in whole numbers; none: any
	descr *regexp.Regexp // of sysDescr; nil: any
	facts []factRule
}

// vendorMIBs are those of vendors.yaml, in its order. They are compiled when a
// device asks for them first; a fault in the file, which a test loads, is a panic.
var vendorMIBs = sync.OnceValue(func() []vendorMIB {
	all, faults := loadVendors("vendors.yaml", vendorFile)
	if len(faults) > 0 {
		panic(faults[0])
	}
	return all
})

func loadVendors(file string, src []byte) ([]vendorMIB, []Fault) {
	n, faults := parse(file, src)
	if len(faults) > 0 {
		return nil, faults
	}
	d := &decoder{file: file}
	var all []vendorMIB
	d.keys(n, "the file", "vendors")
	for _, it := range d.list(n.get("vendors")) {
		if !d.keys(it, "a vendor", "sysObjectID", "sysDescr", "facts", "why") {
			continue
		}
		var def Definition // without parts: a fact from a text is a fault
		def.rules = &rules{}
		d.factRules(it.get("facts"), &def)
		v := vendorMIB{descr: d.pattern(it.get("sysDescr"), "sysDescr", demand{groups: 0}), facts: def.rules.facts}
		for _, under := range d.list(it.get("sysObjectID")) {
			oid := d.text(under, "sysObjectID")
			if !oidRE.MatchString(oid) {
				d.fault(under, "sysObjectID has to be dotted whole numbers such as 1.3.6.1.4.1.9.1")
			}
			v.under = append(v.under, oid)
		}
		all = append(all, v)
	}
	return all, d.faults
}

func (v *vendorMIB) fits(sys snmp.System) bool {
	if v.descr != nil && !v.descr.MatchString(sys.Descr) {
		return false
	}
	id := strings.TrimPrefix(sys.ObjectID, ".")
	return len(v.under) == 0 || slices.ContainsFunc(v.under, func(under string) bool { return hasPrefix(id, under) })
}

// VendorFacts reads those facts that are not known of a device from the MIBs of its
// vendor, then from those that every kind of device may have. All scalars are one
// question; the error is the session's, with the facts that were read until then.
func VendorFacts(ctx context.Context, ask Asker, sys snmp.System, known []Fact) ([]Fact, error) {
	return vendorFacts(ctx, vendorMIBs(), ask, sys, known)
}

func vendorFacts(ctx context.Context, mibs []vendorMIB, ask Asker, sys snmp.System, known []Fact) ([]Fact, error) {
	told := func(facts []Fact, name string) bool {
		return slices.ContainsFunc(facts, func(f Fact) bool { return f.Name == name })
	}
	var open []factRule // of all that fit, in their order
	for _, v := range mibs {
		if !v.fits(sys) {
			continue
		}
		for _, f := range v.facts {
			if !told(known, f.name) {
				open = append(open, f)
			}
		}
	}
	if scalars := scalarsOf(open, sys); len(scalars) > 1 {
		if _, err := ask.Get(ctx, scalars...); passable(err) != nil { // the session remembers the answers
			return nil, fmt.Errorf("read facts: %w", err)
		}
	}
	var out []Fact
	for _, f := range open {
		if told(out, f.name) {
			continue
		}
		got, err := readFacts(ctx, []factRule{f}, ask, sys)
		out = append(out, got...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// scalarsOf lists what the sources of facts ask of single objects.
func scalarsOf(rules []factRule, sys snmp.System) (oids []string) {
	for _, f := range rules {
		for _, s := range f.sources {
			if oid := s.scalar(sys); oid != "" && !slices.Contains(oids, oid) {
				oids = append(oids, oid)
			}
		}
	}
	return oids
}
