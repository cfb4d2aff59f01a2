package lab

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"text/template"
)

// Configurations of the platforms that need no code: one text each, named after
// the platform, with what differs from device to device in the braces of
// text/template. Its part "bulk" is repeated to fill a text to Device.Size.
//
//go:embed platforms/*.txt
var platformTexts embed.FS

// written gives the two writers of a platform whose configuration is a text.
func written(p Platform) (config func(*pen), bulk func(*rand.Rand, int) string) {
	page := sync.OnceValues(func() (whole, bulk *template.Template) {
		text, err := platformTexts.ReadFile("platforms/" + string(p) + ".txt")
		if err != nil {
			panic(err) // the text is part of the program
		}
		whole = template.Must(template.New(string(p)).Parse(strings.TrimRight(string(text), "\n")))
		return whole, whole.Lookup("bulk")
	})
	config = func(w *pen) {
		whole, _ := page()
		if err := whole.Execute(w, paper{w}); err != nil {
			panic(fmt.Sprintf("lab: %s: %v", p, err))
		}
	}
	bulk = func(r *rand.Rand, n int) string {
		_, part := page()
		return fill(n, func(b *strings.Builder, i int) {
			if err := part.Execute(b, row{i + 100, randomIP(r)}); err != nil {
				panic(fmt.Sprintf("lab: %s: %v", p, err))
			}
		})
	}
	return config, bulk
}

// row is one of several alike lines: a change, or a part of the bulk.
type row struct {
	Number int
	Host   netip.Addr
}

// paper is what a text may ask for.
type paper struct{ w *pen }

func (p paper) Name() string     { return p.w.d.spec.Name }
func (p paper) Model() string    { return p.w.d.spec.Model }
func (p paper) Version() string  { return p.w.d.spec.Version }
func (p paper) Serial() string   { return p.w.d.spec.Serial }
func (p paper) User() string     { return p.w.d.spec.User }
func (p paper) Location() string { return p.w.d.location() }
func (p paper) Number() string   { return fmt.Sprintf("%04d", p.w.d.index+1) }
func (p paper) RouterID() string { return fmt.Sprintf("10.255.0.%d", p.w.d.index+1) }
func (p paper) EngineID() string { return strings.ToUpper(hex.EncodeToString(p.w.d.agent.engine)) }
func (p paper) Startup() bool    { return p.w.startup }
func (p paper) Bulk() string     { return p.w.d.texts.bulk }
func (p paper) Vlans() []vlan    { return vlans }
func (p paper) Paired() bool     { return p.w.d.twin() != nil }
func (p paper) IP() netip.Addr   { return p.w.d.addr }
func (p paper) Mask() netip.Addr { return mask4(netip.PrefixFrom(p.w.d.addr, 24)) }

// Community is empty where the agent speaks v3 alone.
func (p paper) Community() string {
	if p.w.d.spec.Community == "" {
		return ""
	}
	return p.w.known(p.w.d.spec.Community)
}

// Now, Changed and Saved print the time of the display, of the last change and of
// the last saving in a layout of package time.
func (p paper) Now(layout string) string     { return p.w.now().Format(layout) }
func (p paper) Changed(layout string) string { return p.w.d.texts.changedAt.Format(layout) }
func (p paper) Saved(layout string) string   { return p.w.d.texts.savedAt.Format(layout) }

func (p paper) Base64(label string, n int) string   { return p.w.secret(label, n, base64Set[:62]) }
func (p paper) Lower(label string, n int) string    { return p.w.secret(label, n, lowerSet) }
func (p paper) LowerHex(label string, n int) string { return p.w.lowerHex(label, n) }

// Crypt is a hash of crypt(3) with MD5.
func (p paper) Crypt(label string) string {
	return p.w.known("$1$fakefake$" + p.w.secret(label, 22, base64Set[:62]))
}

// Checksum follows from all that a change can touch, as that of an ASA does.
func (p paper) Checksum() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", p.w.d.spec.Name, p.w.changes, p.w.unsaved))
	return hex.EncodeToString(sum[:16])
}

func (p paper) Changes() []row { return rows(p.w.changes, 0) }
func (p paper) Unsaved() []row { return rows(p.w.unsaved, 200) }

func rows(n, above int) []row {
	out := make([]row, n)
	for i := range out {
		out[i] = row{20 + 10*i, netip.AddrFrom4([4]byte{198, 51, 100, byte(above + i + 1)})}
	}
	return out
}

// account is an SNMPv3 user as the configuration has it.
type account struct{ Name, AuthKey, PrivKey string }

func (p paper) Users() []account {
	var out []account
	for _, u := range p.w.d.spec.SNMPUsers {
		out = append(out, account{u.Name, p.w.lowerHex("auth"+u.Name, 20), p.w.lowerHex("priv"+u.Name, 16)})
	}
	return out
}

// socket is a port as the configuration has it.
type socket struct {
	Name, Descr, Alias        string
	Slot                      int    // from 0, of the ports before it
	IP, Mask, Prefix          string // of the first IPv4 address; empty: none
	Mgmt, Virtual, Linked, HA bool
}

func (p paper) Ports() []socket {
	var out []socket
	for i, port := range p.w.d.ports {
		s := socket{Name: port.name, Descr: port.descr, Alias: port.alias(), Slot: i, Mgmt: port.mgmt, Virtual: port.kind != ifEthernet, Linked: port.peer != nil, HA: port.name == haPort(p.w.d)}
		if a, ok := p.w.d.first4(port); ok {
			s.IP, s.Mask, s.Prefix = a.Addr().String(), mask4(a).String(), a.String()
		}
		out = append(out, s)
	}
	return out
}

// vlan is one that the demo's switches know.
type vlan struct {
	ID   uint32
	Name string
}

var vlans = []vlan{{10, "management"}, {20, "office"}, {30, "voice"}}
