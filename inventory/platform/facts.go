package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"muster/collector"
	"muster/collector/snmp"
)

// Asker is what facts need of an SNMP session; *snmp.Session is one.
type Asker interface {
	Get(ctx context.Context, oids ...string) (map[string]string, error)
	Column(ctx context.Context, oid string) (map[string]string, error)
}

func (d *decoder) factRules(n node, def *Definition) {
	if n.kind == isNothing || !d.is(n, "facts", isMapping) {
		return
	}
	for _, p := range n.pairs {
		f := factRule{name: p.key}
		if !nameRE.MatchString(p.key) {
			d.fault(node{line: p.line, col: p.col}, "a fact's name has to be small letters, digits and _, 2 to 40 characters")
		}
		for _, it := range d.list(p.value) {
			if s, ok := d.factSource(it, def); ok {
				f.sources = append(f.sources, s)
			}
		}
		def.rules.facts = append(def.rules.facts, f)
	}
}

func (d *decoder) factSource(it node, def *Definition) (factSource, bool) {
	var s factSource
	if !d.keys(it, "a source of a fact", "scalar", "below", "column", "where", "all", "sysDescr", "sysObjectID", "part", "match", "why") {
		return s, false
	}
	var kinds []string
	for _, k := range []string{"scalar", "below", "column", "sysDescr", "sysObjectID", "part"} {
		if it.get(k).kind != isNothing {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) != 1 {
		d.fault(it, "a source of a fact is one of scalar, below, column, sysDescr, sysObjectID and part")
		return s, false
	}
	resolve := func(n node) string {
		name := d.text(n, kinds[0])
		if oid, ok := oidOf(name); ok {
			return oid
		}
		if !oidRE.MatchString(name) {
			d.fault(n, "this object is not known; give its number, or one of %s", strings.Join(mibNames(), ", "))
		}
		return name
	}
	src := it.get(kinds[0])
	s.match = d.pattern(it.get("match"), "match", demand{groups: 1})
	s.all = d.truth(it.get("all"), "all")
	switch kinds[0] {
	case "scalar":
		s.kind, s.oid, s.from = fromScalar, resolve(src), src.text
	case "below":
		s.kind, s.from, s.oid = fromBelow, "sysObjectID", d.text(src, "below")
		if !oidRE.MatchString(enterprisesOID + "." + s.oid) {
			d.fault(src, "below has to be dotted whole numbers, what stands behind the sysObjectID")
		}
	case "column":
		s.kind, s.oid, s.from = fromColumn, resolve(src), src.text
		d.where(it.get("where"), &s)
	case "sysDescr":
		s.kind, s.from = fromDescr, "sysDescr"
		s.match = d.pattern(src, "sysDescr", demand{groups: 1})
	case "sysObjectID":
		s.kind, s.from, s.objects = fromObjectID, "sysObjectID", map[string]string{}
		if d.is(src, "sysObjectID", isMapping) {
			for _, p := range src.pairs {
				if !oidRE.MatchString(p.key) {
					d.fault(node{line: p.line, col: p.col}, "sysObjectID has to be dotted whole numbers")
				}
				s.objects[p.key] = d.text(p.value, "the value of a sysObjectID")
			}
		}
	case "part":
		s.kind, s.part = fromPart, d.text(src, "part")
		d.partNamed(s.part, src, def)
		for _, p := range def.Parts {
			if p.Name == s.part {
				s.from = p.Source
			}
		}
		if it.get("match").kind == isNothing {
			d.fault(it, "a fact from a part's text needs match")
		}
	}
	return s, true
}

func (d *decoder) where(n node, s *factSource) {
	if n.kind == isNothing || !d.is(n, "where", isMapping) {
		return
	}
	if len(n.pairs) != 1 {
		d.fault(n, "where takes one column and its value")
		return
	}
	p := n.pairs[0]
	name := p.key
	if !strings.Contains(name, "::") {
		mib, _, _ := strings.Cut(s.from, "::")
		name = mib + "::" + name
	}
	oid, ok := oidOf(name)
	if !ok {
		d.fault(node{line: p.line, col: p.col}, "this column is not known; known are %s", strings.Join(mibNames(), ", "))
		return
	}
	s.whereOID, s.where = oid, d.text(p.value, "where")
	if v, ok := enumerations[name][s.where]; ok {
		s.where = v
	}
}

// Facts reads the facts that SNMP tells, the first source that answers winning.
// A source that the agent does not answer is passed over; the error is the
// session's (closed, timed out), with the facts that were read until then.
func (d *Definition) Facts(ctx context.Context, ask Asker, sys snmp.System) ([]Fact, error) {
	return readFacts(ctx, d.r().facts, ask, sys)
}

func readFacts(ctx context.Context, rules []factRule, ask Asker, sys snmp.System) ([]Fact, error) {
	var out []Fact
	for _, f := range rules {
		for _, s := range f.sources {
			value, from, err := s.snmp(ctx, ask, sys)
			if err != nil {
				return out, fmt.Errorf("read fact %s: %w", f.name, err)
			}
			if value != "" {
				out = append(out, Fact{Name: f.name, Value: value, Source: from})
				break
			}
		}
	}
	return out, nil
}

func (s *factSource) snmp(ctx context.Context, ask Asker, sys snmp.System) (value, from string, err error) {
	switch s.kind {
	case fromDescr:
		return s.take(sys.Descr), s.from, nil
	case fromObjectID:
		return Telling(s.objects[strings.TrimPrefix(sys.ObjectID, ".")]), s.from, nil
	case fromScalar, fromBelow:
		oid := s.scalar(sys)
		if oid == "" {
			return "", "", nil
		}
		got, err := ask.Get(ctx, oid)
		if err != nil {
			return "", "", passable(err)
		}
		from = s.from
		if s.kind == fromBelow {
			from = oid
		}
		return s.take(got[oid]), from, nil
	case fromColumn:
		return s.column(ctx, ask)
	}
	return "", "", nil
}

// scalar is the object that is asked for; empty: none. What is below a sysObjectID
// has to be so of one that tells a model.
func (s *factSource) scalar(sys snmp.System) string {
	switch s.kind {
	case fromScalar:
		return s.oid
	case fromBelow:
		if id := strings.TrimPrefix(sys.ObjectID, "."); hasPrefix(id, enterprisesOID) {
			return id + "." + s.oid
		}
	}
	return ""
}

// enterprisesOID is what all sysObjectIDs of vendors begin with (RFC 1155 §3.1.4).
const enterprisesOID = "1.3.6.1.4.1"

func (s *factSource) column(ctx context.Context, ask Asker) (value, from string, err error) {
	var where map[string]string
	if s.whereOID != "" {
		if where, err = ask.Column(ctx, s.whereOID); passable(err) != nil {
			return "", "", err
		}
	}
	rows, err := ask.Column(ctx, s.oid)
	if err != nil {
		return "", "", passable(err)
	}
	var values []string
	for i, idx := range slices.SortedFunc(maps.Keys(rows), compareOID) {
		switch {
		case s.whereOID == "" || where[idx] == s.where:
		case len(where) == 0 && i == 0:
			// A view without the column that tells rows apart: the first row is
			// the outermost thing, any other might be a power supply.
		default:
			continue
		}
		v := s.take(rows[idx])
		if v == "" || slices.Contains(values, v) {
			continue
		}
		if values = append(values, v); !s.all {
			return v, s.from + "." + idx, nil
		}
	}
	return strings.Join(values, ","), s.from, nil
}

// passable lets the next source answer where the agent only lacks or withholds
// an object. A session that is over, or a caller who has stopped, ends it all.
func passable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch collector.KindOf(err) {
	case collector.ErrUnreachable, collector.ErrRefused, collector.ErrTimedOut, collector.ErrClosed:
		return err
	}
	return nil
}

// TextFacts takes facts from what a session read: texts maps a part's name to
// its text.
func (d *Definition) TextFacts(texts map[string][]byte) []Fact {
	var out []Fact
	for _, f := range d.r().facts {
		for _, s := range f.sources {
			if s.kind != fromPart {
				continue
			}
			if v := s.line(texts[s.part]); v != "" {
				out = append(out, Fact{Name: f.name, Value: v, Source: s.from})
				break
			}
		}
	}
	return out
}

// line takes the value from the first line that matches.
func (s *factSource) line(text []byte) string {
	if s.match == nil {
		return ""
	}
	for l := range bytes.Lines(text) {
		if v := s.take(string(bytes.TrimSuffix(l, []byte{'\n'}))); v != "" {
			return v
		}
	}
	return ""
}

// take applies match and drops what tells nothing.
func (s *factSource) take(v string) string {
	if s.match != nil {
		m := s.match.FindStringSubmatch(v)
		if m == nil {
			return ""
		}
		v = m[1]
	}
	return Telling(v)
}

// anonymous are values that vendors put where they have none. Many devices share
// them, so they must never identify one.
var anonymous = map[string]bool{
	"0": true, "n/a": true, "na": true, "none": true, "null": true, "unknown": true, "default": true, "builtin": true,
	"not specified": true, "not available": true, "not applicable": true, "unspecified": true,
	"to be filled by o.e.m.": true, "system serial number": true, "chassis serial number": true, "serial number": true,
	"123456789": true, "1234567890": true, "0123456789": true,
}

// Telling returns v without padding, or "" where it says nothing: what vendors put
// where they have no value.
func Telling(v string) string {
	v = strings.Trim(strings.TrimSpace(v), "\x00 ")
	if anonymous[strings.ToLower(v)] || strings.Trim(v, "0.-_xX ") == "" {
		return ""
	}
	return v
}

// compareOID orders dotted numbers by value.
func compareOID(a, b string) int {
	for a != "" && b != "" {
		x, restA, _ := strings.Cut(a, ".")
		y, restB, _ := strings.Cut(b, ".")
		i, _ := strconv.ParseUint(x, 10, 64)
		j, _ := strconv.ParseUint(y, 10, 64)
		if i != j {
			if i < j {
				return -1
			}
			return 1
		}
		a, b = restA, restB
	}
	return strings.Compare(a, b)
}
