package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"muster/collector"
)

// Filter chooses devices. The zero Filter chooses all that are not retired.
//
// A filter is written as words that must all hold: a name, with * and ? as in a
// shell, an address, or FIELD:VALUE with the same wildcards. Several words of
// one field choose what any of them does: "site:paris platform:cisco_* platform:frr".
type Filter struct {
	words map[string][]string // lower case, by field
}

// The fields of a filter and what they are held against.
var filterFields = map[string]func(Device) []string{
	"name":     func(d Device) []string { return []string{d.Name} },
	"address":  func(d Device) []string { return []string{d.Address.String()} },
	"platform": func(d Device) []string { return []string{d.Platform} },
	"vendor":   func(d Device) []string { return []string{d.Vendor} },
	"model":    func(d Device) []string { return []string{d.Model} },
	"version":  func(d Device) []string { return []string{d.Version} },
	"serial":   func(d Device) []string { return []string{d.Serial} },
	"site":     func(d Device) []string { return []string{d.Site} },
	"scope":    func(d Device) []string { return []string{d.Scope} },
	"state":    func(d Device) []string { return []string{string(cmp.Or(d.State, StateUnknown))} },
	"missing":  func(d Device) []string { return []string{string(d.Missing)} },
	"tag":      func(d Device) []string { return d.Tags },
	"is": func(d Device) []string {
		var is []string
		for word, holds := range map[string]bool{"managed": d.Managed, "disabled": d.Disabled, "retired": d.Retired,
			"unmanaged": !d.Managed, "added": d.AddedByPerson} {
			if holds {
				is = append(is, word)
			}
		}
		return is
	},
}

// closedFields are the fields that take no other values than these.
var closedFields = map[string][]string{
	"state":   {string(StateBehind), string(StateDegraded), string(StateDown), string(StateUnknown), string(StateUp)},
	"missing": {string(collector.ErrNeedsCredential), string(collector.ErrNeedsDecision), string(collector.ErrPlatformUnknown)},
	"is":      {"added", "disabled", "managed", "retired", "unmanaged"},
}

// ParseFilter reads the words of a filter. A value that no device can have is
// no fault to it, or settings that were good once would keep muster from
// starting: see [Filter.Check].
func ParseFilter(words ...string) (Filter, error) {
	f := Filter{words: map[string][]string{}}
	for _, w := range words {
		for _, word := range strings.Fields(w) {
			field, value, ok := strings.Cut(word, ":")
			if _, err := netip.ParseAddr(word); err == nil {
				field, value = "address", word
			} else if !ok {
				field, value = "name", word
			}
			field = strings.ToLower(field)
			if _, known := filterFields[field]; !known {
				return Filter{}, fmt.Errorf("there is no field %q to filter by; use one of %s", field, strings.Join(filterNames(), ", "))
			}
			value = strings.ToLower(value)
			if _, err := path.Match(value, ""); err != nil {
				return Filter{}, fmt.Errorf("%q is no pattern: a [ needs its ]", word)
			}
			f.words[field] = append(f.words[field], value)
		}
	}
	return f, nil
}

// Check names the first value that no device can ever have, and those that there
// are: a person who types it has mistyped it.
func (f Filter) Check() error {
	for _, field := range slices.Sorted(maps.Keys(f.words)) {
		can, closed := closedFields[field]
		for _, p := range f.words[field] {
			if closed && p != "" && !slices.ContainsFunc(can, func(v string) bool { return wild(p, v) }) {
				return fmt.Errorf("there is no %s:%s; %s is one of %s", field, collector.Escape(p), field, strings.Join(can, ", "))
			}
		}
	}
	return nil
}

// IsField reports whether devices can be filtered by a field.
func IsField(name string) bool {
	_, known := filterFields[strings.ToLower(name)]
	return known
}

func filterNames() []string {
	var names []string
	for name := range filterFields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Match reports whether the filter chooses d. Retired devices are chosen only by
// a filter that asks for them.
func (f Filter) Match(d Device) bool {
	if d.Retired && !slices.Contains(f.words["is"], "retired") {
		return false
	}
	for field, patterns := range f.words {
		values := filterFields[field](d)
		if !slices.ContainsFunc(patterns, func(p string) bool {
			return slices.ContainsFunc(values, func(v string) bool { return wild(p, strings.ToLower(v)) })
		}) {
			return false
		}
	}
	return true
}

// wild is path.Match in which * goes over slashes too.
func wild(pattern, value string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(value, "/", slash))
	return ok && err == nil
}
