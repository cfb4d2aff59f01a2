package inventory

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"muster/collector/snmp"
	"muster/inventory/platform"
)

// sighting is what one look at one address said, as identity needs it.
type sighting struct {
	addr        netip.Addr
	at          time.Time
	identifiers []Identifier // evidence only: what many devices share is left out
	engine      EngineMark
	sysName     string // as told; empty: not told
	deviceID    int64  // the device that was asked there; 0: an address of a sweep
}

// serialID is the identifier of one chassis. Contexts (VDC, ASA context) of one
// chassis differ in context and are devices of their own.
func serialID(vendor, serial, context string) Identifier {
	clean := func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "/", "_") }
	return Identifier{IDSerial, clean(strings.ToLower(vendor)) + "/" + clean(strings.ToUpper(serial)) + "/" + clean(context)}
}

// serialParts undoes serialID.
func serialParts(value string) (vendor, serial, context string) {
	p := strings.SplitN(value, "/", 3)
	for len(p) < 3 {
		p = append(p, "")
	}
	return p[0], p[1], p[2]
}

// Key is what holders of an identifier are looked up by. A serial is looked up
// without vendor and context, since either may not have been told.
func (i Identifier) Key() string {
	if i.Kind == IDSerial {
		_, serial, _ := serialParts(i.Value)
		return serial
	}
	return i.Value
}

// strong reports whether an identifier of the kind says by itself which device it is.
func (k IdentifierKind) strong() bool {
	switch k {
	case IDSerial, IDEngine, IDBaseMAC, IDChassis, IDHostKey:
		return true
	}
	return false
}

// noSerial are values in serial number fields that many devices share: what
// vendors ship, and what hypervisors and boards say when nobody wrote a serial.
var noSerial = map[string]bool{
	"": true, "0": true, "N/A": true, "NA": true, "NONE": true, "NULL": true, "UNKNOWN": true, "DEFAULT": true,
	"NOT SPECIFIED": true, "NOT AVAILABLE": true, "NOT APPLICABLE": true, "NOTSET": true, "NOT SET": true,
	"TO BE FILLED BY O.E.M.": true, "DEFAULT STRING": true, "SYSTEM SERIAL NUMBER": true, "SERIAL NUMBER": true,
	"0123456789": true, "1234567890": true, "123456789": true, "12345678": true, "EMPTY": true, "UNDEFINED": true,
	"CHASSIS SERIAL NUMBER": true, "INVALID": true, "TBD": true, "XXXXXXXXXXX": true,
}

// serialTells reports whether a serial can be evidence.
func serialTells(s string) bool {
	s = strings.ToUpper(strings.TrimSpace(s))
	if noSerial[s] || len(s) < 4 || !strings.ContainsAny(s, "0123456789") || strings.ContainsAny(s, "<>*") {
		return false // a serial has a digit; "<private>" and "****1234" were put in its place
	}
	return strings.Trim(s, s[:1]) != "" // one character repeated: "00000000", "FFFFFFFF", "--------"
}

// mac returns s as "00:11:22:33:44:55", or "" where it is no MAC address that
// one device alone has: group addresses, and those that gateways share by HSRP
// (RFC 2281), VRRP (RFC 5798 §7.3) and GLBP.
func mac(s string) string {
	raw, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(s))
	if err != nil || len(raw) != 6 || raw[0]&1 == 1 {
		return ""
	}
	var parts []string
	for _, b := range raw {
		parts = append(parts, hex.EncodeToString([]byte{b}))
	}
	text := strings.Join(parts, ":")
	if strings.Trim(strings.ReplaceAll(text, ":", ""), "0") == "" {
		return ""
	}
	for _, shared := range []string{"00:00:0c:07:ac:", "00:00:0c:9f:f", "00:00:5e:00:01:", "00:00:5e:00:02:", "00:07:b4:00:"} {
		if strings.HasPrefix(text, shared) {
			return ""
		}
	}
	return text
}

// noName are names that devices have before somebody names them.
var noName = map[string]bool{
	"": true, "localhost": true, "localhost.localdomain": true, "localhost6": true, "switch": true, "router": true, "firewall": true,
	"(none)": true, "none": true, "unknown": true, "default": true, "hostname": true, "linux": true, "ubuntu": true, "debian": true,
	"host": true, "noname": true, "not specified": true, "n/a": true, "sysname": true, "ciscoasa": true, "fortigate": true,
	"mikrotik": true, "openwrt": true, "amnesiac": true, "ubnt": true, "hp": true, "procurve": true,
}

// nameTells reports whether two devices with this sysName are more likely one
// than two.
func nameTells(name string) bool { return !noName[strings.ToLower(strings.TrimSpace(name))] }

// engineTells reports whether an SNMP engine ID can be evidence: RFC 3411 §5 has
// 5 to 32 bytes, and some agents ship with an empty rest.
func engineTells(id []byte) bool {
	if len(id) < 5 || len(id) > 32 {
		return false
	}
	// Byte by byte: strings.Trim takes 0xff for a broken letter.
	rest := bytes.Trim(id[4:], "\x00")
	return len(bytes.ReplaceAll(rest, []byte{0xff}, nil)) > 0
}

// evidence gathers what a reading says of a device's identity.
func evidence(vendor string, r snmp.Reading, facts []platform.Fact) []Identifier {
	var ids []Identifier
	seen := map[Identifier]bool{}
	add := func(i Identifier) {
		if i.Value != "" && !seen[i] {
			seen[i] = true
			ids = append(ids, i)
		}
	}
	context := factOf(facts, "context")
	serials := strings.FieldsFunc(factOf(facts, "ha_serials")+","+factOf(facts, "stack_serials"), func(c rune) bool {
		return c == ',' || c == ';' || c == ' '
	})
	serials = append([]string{factOf(facts, "serial")}, serials...)
	for _, c := range r.Components {
		if c.Class == "chassis" {
			serials = append(serials, c.Serial)
		}
	}
	for _, s := range serials {
		if serialTells(s) {
			add(serialID(vendor, s, context))
		}
	}
	if engineTells(r.System.EngineID) {
		add(Identifier{IDEngine, hex.EncodeToString(r.System.EngineID)})
	}
	add(Identifier{IDBaseMAC, mac(r.BaseMAC)})
	// A chassis id that is no MAC address may be a name or an interface: anybody's.
	add(Identifier{IDChassis, mac(r.LocalChassisID)})
	if nameTells(r.System.Name) {
		add(Identifier{IDSysName, strings.ToLower(r.System.Name) + "|" + r.System.ObjectID})
	}
	return ids
}

// factOf returns a fact's value, "" where it was not told.
func factOf(facts []platform.Fact, name string) string {
	for _, f := range facts {
		if f.Name == name {
			return strings.TrimSpace(f.Value)
		}
	}
	return ""
}

// sameSerial reports whether two serial identifiers name one device. Vendor and
// context that were not told agree with any.
func sameSerial(a, b string) bool {
	va, sa, ca := serialParts(a)
	vb, sb, cb := serialParts(b)
	return sa == sb && agree(va, vb) && agree(ca, cb)
}

func agree(a, b string) bool { return a == "" || b == "" || a == b }

// serialsDisagree reports whether both sides told serials and have none in common.
func serialsDisagree(a, b []Identifier) bool {
	var told [2]bool
	for _, x := range a {
		told[0] = told[0] || x.Kind == IDSerial
	}
	for _, y := range b {
		told[1] = told[1] || y.Kind == IDSerial
	}
	if !told[0] || !told[1] {
		return false
	}
	for _, x := range a {
		for _, y := range b {
			if x.Kind == IDSerial && y.Kind == IDSerial && sameSerial(x.Value, y.Value) {
				return false
			}
		}
	}
	return true
}

// differ reports whether both sides told identifiers of the kind and have none
// in common.
func differ(kind IdentifierKind, a, b []Identifier) bool {
	var x, y bool
	for _, i := range a {
		if i.Kind != kind {
			continue
		}
		x = true
		if holds(b, i) {
			return false
		}
	}
	for _, i := range b {
		y = y || i.Kind == kind
	}
	return x && y
}

// holds reports whether ids have i, serials compared as sameSerial does.
func holds(ids []Identifier, i Identifier) bool {
	for _, j := range ids {
		if i.Kind == j.Kind && (i.Value == j.Value || i.Kind == IDSerial && sameSerial(i.Value, j.Value)) {
			return true
		}
	}
	return false
}

// clockSlack is how far two readings of one engine's clock may be apart: answers
// take time and clocks of routers drift.
const clockSlack = 10 * time.Second

// sameClock reports whether two readings can come from one engine: cloned images
// share the engine ID, not the moment of their boots (RFC 3414 §2.2). sure is
// false where a side did not tell.
func sameClock(a, b EngineMark) (same, sure bool) {
	if a.ReadAt.IsZero() || b.ReadAt.IsZero() || a.Boots == 0 && a.Time == 0 || b.Boots == 0 && b.Time == 0 {
		return false, false
	}
	if a.ReadAt.After(b.ReadAt) {
		a, b = b, a
	}
	bootA := a.ReadAt.Add(-time.Duration(a.Time) * time.Second)
	bootB := b.ReadAt.Add(-time.Duration(b.Time) * time.Second)
	slack := clockSlack + b.ReadAt.Sub(a.ReadAt)/500 // 0.2 % drift
	switch {
	case a.Boots == b.Boots:
		return bootB.Sub(bootA).Abs() <= slack, true
	case b.Boots > a.Boots: // it booted after a was read
		return bootB.After(a.ReadAt.Add(-slack)), true
	}
	return false, true // boots never go back by themselves
}
