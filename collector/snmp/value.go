package snmp

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gosnmp/gosnmp"
)

// shape is what a value is, whatever the agent should have sent.
type shape uint8

const (
	absent shape = iota // noSuchObject, noSuchInstance, endOfMibView
	number
	octets
	object  // an OID
	address // IpAddress
	decimal // Opaque float or double
	strange // NULL, or a type that does not decode
)

func (s shape) String() string {
	return [...]string{"nothing", "a number", "an octet string", "an OID", "an IP address", "a floating-point number", "of no known type"}[s]
}

// value is one value as the agent sent it, free of the library.
type value struct {
	shape shape
	num   uint64 // number: two's complement where negative
	neg   bool
	text  string // octets: the bytes; object: dotted, no leading dot; address, decimal: as text
}

// valueOf takes a value out of the library's hands. It asserts nothing: what a
// value is decides the agent.
func valueOf(v gosnmp.SnmpPDU) value {
	switch v.Type {
	case gosnmp.NoSuchObject, gosnmp.NoSuchInstance, gosnmp.EndOfMibView:
		return value{}
	}
	signed := func(n int64) value { return value{shape: number, num: uint64(n), neg: n < 0} }
	switch x := v.Value.(type) {
	case int:
		return signed(int64(x))
	case int32:
		return signed(int64(x))
	case int64:
		return signed(x)
	case uint:
		return value{shape: number, num: uint64(x)}
	case uint32:
		return value{shape: number, num: uint64(x)}
	case uint64:
		return value{shape: number, num: x}
	case float32:
		return value{shape: decimal, text: strconv.FormatFloat(float64(x), 'g', -1, 32)}
	case float64:
		return value{shape: decimal, text: strconv.FormatFloat(x, 'g', -1, 64)}
	case []byte:
		return value{shape: octets, text: string(x)}
	case string:
		switch v.Type {
		case gosnmp.ObjectIdentifier:
			return value{shape: object, text: strings.TrimPrefix(x, ".")}
		case gosnmp.IPAddress:
			return value{shape: address, text: x}
		}
		return value{shape: octets, text: x}
	}
	return value{shape: strange}
}

// plain is the value as text, for facts: numbers decimal, OIDs dotted, octet
// strings as text where they are some, else as lower-case hex with colons.
func (v value) plain() string {
	switch v.shape {
	case number:
		if v.neg {
			return strconv.FormatInt(int64(v.num), 10)
		}
		return strconv.FormatUint(v.num, 10)
	case octets:
		trimmed := strings.TrimRight(v.text, "\x00")
		if printable(trimmed) {
			return trimmed
		}
		return hexColons(v.text)
	case object, address, decimal:
		return v.text
	}
	return ""
}

// printable reports whether s is UTF-8 text without control characters other
// than white space.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
	}
	return true
}

// legible makes text of octets: trailing NULs go (agents with fixed buffers send
// them), and bytes that are no UTF-8 become U+FFFD, the mark of a conversion.
func legible(s string) string {
	return strings.ToValidUTF8(strings.TrimRight(s, "\x00"), "\uFFFD")
}

// hexColons writes bytes as "00:11:22".
func hexColons(s string) string {
	const digits = "0123456789abcdef"
	if s == "" {
		return ""
	}
	b := make([]byte, 0, 3*len(s)-1)
	for i := range len(s) {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[s[i]>>4], digits[s[i]&0xf])
	}
	return string(b)
}

// macText writes a hardware address. Some agents send it as text already.
func macText(s string) string {
	if len(s) >= 11 && len(s) <= 17 && printable(s) {
		parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '-' || r == ' ' })
		if len(parts) == 6 {
			mac := make([]byte, 6)
			for i, p := range parts {
				n, err := strconv.ParseUint(p, 16, 8)
				if err != nil {
					return hexColons(s)
				}
				mac[i] = byte(n)
			}
			return hexColons(string(mac))
		}
	}
	return hexColons(s)
}

// ownMAC is macText of an address that stands for the whole device: zeros are
// what agents without one send.
func ownMAC(s string) string {
	if strings.Trim(s, "\x00") == "" {
		return ""
	}
	return macText(s)
}

// ticks converts TimeTicks, hundredths of a second.
func ticks(n uint64) time.Duration { return time.Duration(n) * 10 * time.Millisecond }

// subIDs splits an OID or index without leading dot. False where it is none.
func subIDs(s string) ([]uint32, bool) {
	if s == "" {
		return nil, false
	}
	ids := make([]uint32, 0, strings.Count(s, ".")+1)
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, false
		}
		ids = append(ids, uint32(n))
	}
	return ids, true
}

// addressOf makes an address of sub-identifiers that are bytes each.
func addressOf(ids []uint32) (netip.Addr, bool) {
	b := make([]byte, len(ids))
	for i, n := range ids {
		if n > 255 {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFromSlice(b)
}

// compareOIDs orders dotted numbers as an agent must: by sub-identifier.
func compareOIDs(a, b string) int {
	for a != "" && b != "" {
		i, j := strings.IndexByte(a, '.'), strings.IndexByte(b, '.')
		x, y := a, b
		if i >= 0 {
			x, a = a[:i], a[i+1:]
		} else {
			a = ""
		}
		if j >= 0 {
			y, b = b[:j], b[j+1:]
		} else {
			b = ""
		}
		if len(x) != len(y) { // no leading zeros: the longer one is larger
			return cmp.Compare(len(x), len(y))
		}
		if x != y {
			return strings.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// named gives the name of an enumerated value; the number where it has none.
func named(names []string, n int64) string {
	if n > 0 && n < int64(len(names)) && names[n] != "" && names[n] != "-" {
		return names[n]
	}
	return fmt.Sprint(n)
}
