package settings

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func read(t interface{ Fatal(...any) }, texts ...string) Addresses {
	a, err := readAddresses(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressesToAskAreTheWrittenOnesOnce(t *testing.T) {
	tests := map[string]struct {
		written, exclude string
		want             string
	}{
		"a network leaves out its ends":     {"192.0.2.0/29", "", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6"},
		"a point-to-point link has no ends": {"192.0.2.0/31", "", "192.0.2.0 192.0.2.1"},
		"a range keeps its ends":            {"192.0.2.254-192.0.3.1", "", "192.0.2.254 192.0.2.255 192.0.3.0 192.0.3.1"},
		"a short range":                     {"192.0.2.9-11", "", "192.0.2.9 192.0.2.10 192.0.2.11"},
		"a single one":                      {"192.0.2.0", "", "192.0.2.0"},
		"an end that is named":              {"192.0.2.0/30 192.0.2.3", "", "192.0.2.1 192.0.2.2 192.0.2.3"},
		"overlaps":                          {"192.0.2.4-6 192.0.2.0/29 192.0.2.5", "", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6"},
		"a hole":                            {"192.0.2.0/29", "192.0.2.3-4", "192.0.2.1 192.0.2.2 192.0.2.5 192.0.2.6"},
		"nothing left":                      {"192.0.2.0/29", "192.0.2.0/24", ""},
		"an excluded network, ends and all": {"192.0.2.0-192.0.2.4", "192.0.2.0/30", "192.0.2.4"},
		"IPv6":                              {"2001:db8::/126", "2001:db8::2", "2001:db8:: 2001:db8::1 2001:db8::3"},
		"IPv4 in IPv6 form":                 {"::ffff:192.0.2.1", "", "192.0.2.1"},
		"the last address there is":         {"255.255.255.254-255.255.255.255", "", "255.255.255.254 255.255.255.255"},
		"host names are asked for":          {"core1.example.net 192.0.2.1", "", "192.0.2.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, x := read(t, strings.Fields(tt.written)...), read(t, strings.Fields(tt.exclude)...)
			var got []string
			for addr := range a.Each(x) {
				got = append(got, addr.String())
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
			if n := a.Count(x); n != len(got) {
				t.Errorf("count is %d, want %d", n, len(got))
			}
		})
	}
}

func TestCountOfHugeSetsIsBounded(t *testing.T) {
	for _, text := range []string{"0.0.0.0/0", "2001:db8::/32", "10.0.0.0/11", "::/0"} {
		if n := read(t, text).Count(Addresses{}); n != addressesMax+1 {
			t.Errorf("%s: count is %d", text, n)
		}
	}
	if n := read(t, "10.0.0.0/12").Count(Addresses{}); n != addressesMax-2 {
		t.Errorf("a /12 has %d", n)
	}
}

// TestAddressesAgreeWithEachOther holds listing, counting, containing and the
// prefixes of random small sets against one another.
func TestAddressesAgreeWithEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "last")})
		})
		set := rapid.Custom(func(t *rapid.T) []string {
			a, b := addr.Draw(t, "a"), addr.Draw(t, "b")
			if b.Compare(a) < 0 {
				a, b = b, a
			}
			return []string{rapid.SampledFrom([]string{
				a.String(), a.String() + "-" + b.String(),
				netip.PrefixFrom(a, rapid.IntRange(25, 32).Draw(t, "bits")).Masked().String(),
			}).Draw(t, "written")}
		})
		sets := rapid.SliceOfN(set, 1, 5)
		a := read(t, slices.Concat(sets.Draw(t, "addresses")...)...)
		x := read(t, slices.Concat(sets.Draw(t, "exclude")...)...)
		listed := slices.Collect(a.Each(x))
		if !slices.IsSortedFunc(listed, netip.Addr.Compare) || len(slices.Compact(slices.Clone(listed))) != len(listed) {
			t.Fatalf("not ascending, or not once each: %v", listed)
		}
		if n := a.Count(x); n != len(listed) {
			t.Fatalf("count %d, listed %d", n, len(listed))
		}
		for i := range 256 {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			in := a.Contains(addr) && !x.Contains(addr)
			if slices.Contains(listed, addr) && !in {
				t.Fatalf("%s is listed and not contained", addr)
			}
			if in && !slices.Contains(listed, addr) && !slices.ContainsFunc(a.entries, func(e entry) bool {
				return e.prefix && (e.first == addr || e.last == addr)
			}) {
				t.Fatalf("%s is contained and not listed", addr)
			}
			if by := slices.ContainsFunc(a.prefixes(), func(p netip.Prefix) bool { return p.Contains(addr) }); by != a.Contains(addr) {
				t.Fatalf("%s: prefixes say %t", addr, by)
			}
		}
	})
}

func TestAddressBelongsToTheLongestPrefix(t *testing.T) {
	s, faults := Parse("muster.yaml", []byte(`
scopes:
  - { name: all, addresses: [192.0.2.0/24, 198.51.100.0/24], exclude: [192.0.2.77] }
  - { name: half, addresses: [192.0.2.128/25] }
  - { name: few, addresses: [192.0.2.140-192.0.2.150] }
  - { name: one, addresses: [192.0.2.141] }
  - { name: named, addresses: [core1.example.net, core2.example.net] }
`), Options{})
	if faults != nil {
		t.Fatal(faults)
	}
	lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "core1.example.net" {
			return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.130"), netip.MustParseAddr("192.0.2.141")}, nil
		}
		return nil, errors.New("no such host")
	}
	errs := s.ResolveHosts(t.Context(), lookup)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "core2.example.net") || !strings.Contains(errs[0].Error(), "scope named") {
		t.Errorf("errors %v", errs)
	}
	for addr, want := range map[string]string{
		"192.0.2.1": "all", "192.0.2.127": "all", "198.51.100.9": "all", "192.0.2.128": "half", "192.0.2.139": "half", "192.0.2.140": "few",
		"192.0.2.141": "one", "192.0.2.150": "few", "192.0.2.151": "half", "::ffff:192.0.2.141": "one", "192.0.2.130": "named",
		"192.0.2.77": "", "203.0.113.1": "", "2001:db8::1": "",
	} {
		got, ok := s.ScopeOf(netip.MustParseAddr(addr))
		if got.Name != want || ok != (want != "") {
			t.Errorf("%s belongs to %q, want %q", addr, got.Name, want)
		}
	}
	var all []string
	for addr := range s.AddressesOf("half") {
		all = append(all, addr.String())
	}
	if len(all) != 126-11-1 || slices.Contains(all, "192.0.2.145") || slices.Contains(all, "192.0.2.130") {
		t.Errorf("%d addresses of half: %v", len(all), all)
	}
	all = nil
	for addr := range s.AddressesOf("named") {
		all = append(all, addr.String())
	}
	if !slices.Equal(all, []string{"192.0.2.130"}) {
		t.Errorf("addresses of named: %v", all)
	}
	// What cannot be looked up later keeps its addresses.
	s.ResolveHosts(t.Context(), func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("down") })
	if got, _ := s.ScopeOf(netip.MustParseAddr("192.0.2.130")); got.Name != "named" {
		t.Errorf("after a failed look-up it belongs to %q", got.Name)
	}
}

func TestLengthsOfTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "15m": 15 * time.Minute, "2h": 2 * time.Hour, "7d": 7 * day, "2w": 14 * day, "1d12h": 36 * time.Hour, "0s": 0,
	} {
		got, err := Span(text)
		if err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
		if back, err := Span(SpanText(want)); err != nil || back != want {
			t.Errorf("%s is written %q", want, SpanText(want))
		}
	}
	for _, text := range []string{"", "7", "d", "-1d", "1.5h", "1 d", "7D", "1mo", "999999999w999999999w999999999w", "1d "} {
		if got, err := Span(text); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}

// readAddresses reads a set as flags and settings write it.
func readAddresses(texts ...string) (Addresses, error) {
	var a Addresses
	for _, text := range texts {
		if err := a.add(text); err != nil {
			return Addresses{}, err
		}
	}
	return a, nil
}
