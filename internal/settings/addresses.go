package settings

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// addressesMax is how many addresses a scope may have: a /12. Asking that many
// takes three hours at 100 a second; more is a mistake or a plan of its own.
const addressesMax = 1 << 20

// Addresses is a set of addresses as people write it: prefixes, ranges, single
// ones, and host names, which are resolved when they are needed.
type Addresses struct {
	entries []entry
	Hosts   []string
}

// entry is one written prefix, range or address: all from first to last.
type entry struct {
	first, last netip.Addr
	prefix      bool // written as a prefix: of a sweep its first and last IPv4 address are left out
	written     string
}

func (e entry) contains(a netip.Addr) bool { return e.first.Compare(a) <= 0 && a.Compare(e.last) <= 0 }
func (e entry) overlaps(f entry) bool      { return e.contains(f.first) || f.contains(e.first) }
func (e entry) equals(f entry) bool        { return e.first == f.first && e.last == f.last }
func (e entry) within(f entry) bool        { return f.contains(e.first) && f.contains(e.last) }

// Contains reports whether addr is among the written addresses. Host names are
// not looked at.
func (a Addresses) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(a.entries, func(e entry) bool { return e.contains(addr) })
}

// Empty reports whether nothing was written.
func (a Addresses) Empty() bool { return len(a.entries) == 0 && len(a.Hosts) == 0 }

// String is the set as it was written.
func (a Addresses) String() string {
	var all []string
	for _, e := range a.entries {
		all = append(all, e.written)
	}
	return strings.Join(append(all, a.Hosts...), ", ")
}

// add adds one written item; the error says what is wrong with it.
func (a *Addresses) add(text string) error {
	e, host, err := readAddress(text)
	switch {
	case err != nil:
		return err
	case host:
		a.Hosts = append(a.Hosts, strings.ToLower(strings.TrimSuffix(text, ".")))
	default:
		a.entries = append(a.entries, e)
	}
	return nil
}

// numeric is what can only be meant as addresses, never as a name.
var (
	numeric  = regexp.MustCompile(`^[0-9.]+$|[/:]|^[0-9.]+-[0-9.]+$`)
	hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`)
)

func readAddress(text string) (e entry, host bool, err error) {
	const can = "Write 192.0.2.0/24, 192.0.2.10-192.0.2.50, 192.0.2.1 or a host name"
	e.written = text
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return e, false, fmt.Errorf("%q has a zone, which other machines cannot share. Use an address that is routed", shorten(text))
		}
		e.first, e.last = addr.Unmap(), addr.Unmap()
		return e, false, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.Addr().Is4In6() {
			return e, false, fmt.Errorf("%q is an IPv4 network in IPv6 form. Write it as IPv4", shorten(text))
		}
		if p != p.Masked() {
			return e, false, fmt.Errorf("%q has bits set behind its length. Did you mean the network %s, or the address %s?", shorten(text), p.Masked(), p.Addr())
		}
		e.first, e.last, e.prefix = p.Addr(), lastOf(p), p.Bits() < p.Addr().BitLen()
		return e, false, nil
	}
	if from, to, ok := strings.Cut(text, "-"); ok {
		first, err1 := netip.ParseAddr(strings.TrimSpace(from))
		last, err2 := netip.ParseAddr(strings.TrimSpace(to))
		if n, err := strconv.ParseUint(strings.TrimSpace(to), 10, 8); err1 == nil && err2 != nil && err == nil && first.Is4() {
			b := first.As4() // 192.0.2.10-50
			b[3] = byte(n)
			last, err2 = netip.AddrFrom4(b), nil
		}
		if err1 == nil && err2 == nil {
			first, last = first.Unmap(), last.Unmap()
			switch {
			case first.Zone() != "" || last.Zone() != "" || first.BitLen() != last.BitLen():
				return e, false, fmt.Errorf("the ends of %q are not of one kind. %s", shorten(text), can)
			case first.Compare(last) > 0:
				return e, false, fmt.Errorf("%q ends before it begins. Did you mean %s-%s?", shorten(text), last, first)
			}
			e.first, e.last = first, last
			return e, false, nil
		}
		if err1 == nil || err2 == nil {
			return e, false, fmt.Errorf("%q is no range of addresses. %s", shorten(text), can)
		}
	}
	if numeric.MatchString(text) || len(text) > 253 || !hostName.MatchString(text) {
		return e, false, fmt.Errorf("%q is no address, network, range or host name. %s", shorten(text), can)
	}
	return e, true, nil
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(b) // b has the length of an address
	return last
}

// run is an inclusive row of addresses of one family.
type run struct{ first, last netip.Addr }

// runs are the addresses to ask, ascending and each once: without the first and
// last of IPv4 prefixes, and without what exclude holds.
func (a Addresses) runs(exclude Addresses) []run {
	var all []run
	for _, e := range a.entries {
		first, last := e.first, e.last
		if e.prefix && first.Is4() && last.Compare(first.Next()) > 0 { // /31 and /32 have neither (RFC 3021)
			first, last = first.Next(), last.Prev()
		}
		all = append(all, run{first, last})
	}
	slices.SortFunc(all, func(a, b run) int { return cmp.Or(a.first.Compare(b.first), a.last.Compare(b.last)) })
	var merged []run
	for _, r := range all {
		if n := len(merged); n > 0 && merged[n-1].last.BitLen() == r.first.BitLen() && r.first.Compare(merged[n-1].last) <= 0 {
			if merged[n-1].last.Compare(r.last) < 0 {
				merged[n-1].last = r.last
			}
			continue
		}
		merged = append(merged, r)
	}
	for _, x := range exclude.entries {
		var kept []run
		for _, r := range merged {
			if !x.overlaps(entry{first: r.first, last: r.last}) {
				kept = append(kept, r)
				continue
			}
			if r.first.Compare(x.first) < 0 {
				kept = append(kept, run{r.first, x.first.Prev()})
			}
			if x.last.Compare(r.last) < 0 {
				kept = append(kept, run{x.last.Next(), r.last})
			}
		}
		merged = kept
	}
	return merged
}

// Each yields the addresses to ask in ascending order, each once: the first and
// last address of an IPv4 prefix and what exclude holds are left out, and so are
// host names.
func (a Addresses) Each(exclude Addresses) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, r := range a.runs(exclude) {
			for addr := r.first; ; addr = addr.Next() {
				if !yield(addr) {
					return
				}
				if addr == r.last {
					break
				}
			}
		}
	}
}

// Count is how many addresses Each yields, at most addressesMax+1.
func (a Addresses) Count(exclude Addresses) int {
	sum := 0
	for _, r := range a.runs(exclude) {
		sum += size(r)
		if sum > addressesMax {
			return addressesMax + 1
		}
	}
	return sum
}

// size is the number of addresses of r, at most addressesMax+1.
func size(r run) int {
	a, b := r.first.As16(), r.last.As16()
	for i := range 12 { // the upper 96 bits
		if a[i] != b[i] {
			return addressesMax + 1
		}
	}
	low := func(x [16]byte) int { return int(x[12])<<24 | int(x[13])<<16 | int(x[14])<<8 | int(x[15]) }
	return min(low(b)-low(a)+1, addressesMax+1)
}

// prefixes are the written addresses as prefixes: a range becomes several.
func (a Addresses) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, e := range a.entries {
		for first := e.first; ; {
			bits := first.BitLen()
			for bits > 0 { // the largest prefix that begins here and ends in time
				p := netip.PrefixFrom(first, bits-1)
				if p.Masked().Addr() != first || lastOf(p).Compare(e.last) > 0 {
					break
				}
				bits--
			}
			p := netip.PrefixFrom(first, bits)
			all = append(all, p)
			if lastOf(p) == e.last {
				break
			}
			first = lastOf(p).Next()
		}
	}
	return all
}
