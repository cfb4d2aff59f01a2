package collector

import (
	"net/netip"
	"testing"
	"time"
)

func TestCredentialFits(t *testing.T) {
	addr := netip.MustParseAddr
	pfx := func(ss ...string) (out []netip.Prefix) {
		for _, s := range ss {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	tests := map[string]struct {
		limit       []netip.Prefix
		addr        netip.Addr
		fits, bound bool
	}{
		"everywhere":               {nil, addr("192.0.2.1"), true, false},
		"inside":                   {pfx("192.0.2.0/24"), addr("192.0.2.1"), true, false},
		"outside":                  {pfx("192.0.2.0/24"), addr("198.51.100.1"), false, false},
		"its very address":         {pfx("192.0.2.1/32"), addr("192.0.2.1"), true, true},
		"the second of two":        {pfx("198.51.100.0/24", "192.0.2.1/32"), addr("192.0.2.1"), true, true},
		"another address":          {pfx("192.0.2.1/32"), addr("192.0.2.2"), false, false},
		"IPv6":                     {pfx("2001:db8::1/128"), addr("2001:db8::1"), true, true},
		"IPv4 in IPv6":             {pfx("192.0.2.1/32"), addr("::ffff:192.0.2.1"), true, true},
		"IPv4 is not all of IPv6":  {pfx("::/0"), addr("192.0.2.1"), false, false},
		"a network is not bound":   {pfx("192.0.2.0/31"), addr("192.0.2.1"), true, false},
		"the zero address fits no": {pfx("192.0.2.0/24"), netip.Addr{}, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := Credential{For: tt.limit}
			if got := c.Fits(tt.addr); got != tt.fits {
				t.Errorf("Fits = %t, want %t", got, tt.fits)
			}
			if got := c.BoundTo(tt.addr); got != tt.bound {
				t.Errorf("BoundTo = %t, want %t", got, tt.bound)
			}
		})
	}
}

func TestCredentialKinds(t *testing.T) {
	for kind, want := range map[CredentialKind]bool{KindSSH: false, KindSNMPv1: true, KindSNMPv2c: true, KindSNMPv3: true, "": false, "telnet": false} {
		if got := kind.SNMP(); got != want {
			t.Errorf("%q.SNMP() = %t, want %t", kind, got, want)
		}
	}
}

// The defaults are those of the plan; what is set stays.
func TestLimitsWithDefaults(t *testing.T) {
	want := Limits{
		Connect: 10 * time.Second, KeyExchange: 20 * time.Second, Login: 30 * time.Second,
		FirstByte: 120 * time.Second, Silence: 30 * time.Second, Session: 15 * time.Minute,
		MaxBytes: 64 << 20, SNMPTimeout: 2 * time.Second, SNMPRetries: 2,
	}
	if got := (Limits{}).WithDefaults(); got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	set := Limits{Connect: 1, KeyExchange: 2, Login: 3, FirstByte: 4, Silence: 5, Session: 6, MaxBytes: 7, SNMPTimeout: 8, SNMPRetries: -1}
	if got := set.WithDefaults(); got != set {
		t.Errorf("%+v became %+v", set, got)
	}
}
