package inventory

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
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
	"state":    func(d Device) []string { return []string{string(d.State)} },
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

// ParseFilter reads the words of a filter.
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
