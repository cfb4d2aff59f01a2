package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// texts is what a device's configurations follow from.
type texts struct {
	changes  int // changes that running and startup both hold
	unsaved  int // further ones that only running holds
	saved    int // those of unsaved that were saved since
	writes   int // times that anything was stored
	runEdits []func(string) string
	sttEdits []func(string) string

	changedAt, savedAt time.Time
	began              time.Time

	shows   int    // displays of the running config so far
	shown   string // what the last of them printed
	bulk    string // the part that fills the text up to Device.Size
	bulkSet bool
	secrets map[string]bool
}

func (t *texts) start(at time.Time, index int) {
	t.began = at.UTC().Truncate(time.Second)
	t.changedAt = t.began.Add(-26*time.Hour - time.Duration(index)*7*time.Minute)
	t.savedAt = t.changedAt.Add(2 * time.Minute)
	t.secrets = map[string]bool{}
}

// touch moves the times of the header lines.
func (t *texts) touch(saved bool) {
	t.changedAt = time.Now().UTC().Truncate(time.Second)
	if saved {
		t.savedAt = t.changedAt
		t.writes++
	}
}

// pen writes one configuration text.
type pen struct {
	strings.Builder
	d       *node
	startup bool
	show    int // number of this display
	changes int
	unsaved int
}

func (w *pen) f(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// now is the time of the display. The lab's clock goes on 41 s with each, so
// that what the next display prints is known beforehand.
func (w *pen) now() time.Time {
	return w.d.texts.began.Add(time.Duration(w.show) * 41 * time.Second)
}

const (
	base64Set = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./"
	lowerSet  = "abcdefghijkmnpqrstuvwxyz23456789"
)

// stream is the device's own random source for one purpose, the same in every run.
func (d *node) stream(label string) *rand.Rand {
	return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(d.spec.Name + "\x00" + label))))
}

// secret makes up a value of n characters that says FAKE, the same at each display.
func (w *pen) secret(label string, n int, set string) string {
	r := w.d.stream(label)
	b := []byte("FAKE")
	for len(b) < n {
		b = append(b, set[r.IntN(len(set))])
	}
	return w.known(string(b[:n]))
}

// lowerHex makes up a secret of n bytes and a few more in hexadecimal.
func (w *pen) lowerHex(label string, n int) string {
	sum := sha256.Sum256([]byte(w.d.spec.Name + "\x00" + label))
	return w.known("00fade" + hex.EncodeToString(sum[:n]))
}

// hex does the same in the capitals of Cisco's type 7.
func (w *pen) hex(label string, n int) string {
	return w.known(strings.ToUpper(w.lowerHex(label, n)))
}

// enc is FortiOS's ENC value, encrypted anew at each display.
func (w *pen) enc(label string, n int) string {
	return "ENC " + w.secret(fmt.Sprintf("%s/%d", label, w.show), n, base64Set) + "=="
}

// known notes a value as a secret of this device.
func (w *pen) known(value string) string {
	w.d.texts.secrets[value] = true
	return value
}

// running gives what display number show of the running config prints. d.mu is held.
func (d *node) running(show int) string {
	t := &d.texts
	text := d.write(&pen{d: d, show: show, changes: t.changes, unsaved: t.unsaved})
	for _, f := range t.runEdits {
		text = f(text)
	}
	return text
}

// startup gives what a display of the saved text prints. d.mu is held.
func (d *node) startup() string {
	t := &d.texts
	text := d.write(&pen{d: d, startup: true, show: t.shows, changes: t.changes, unsaved: t.saved})
	for _, f := range t.sttEdits {
		text = f(text)
	}
	return text
}

func (d *node) write(w *pen) string {
	if d.spec.Size > 0 && !d.texts.bulkSet {
		d.texts.bulkSet = true
		bare := d.write(&pen{d: d})
		if n := d.spec.Size - len(bare); n > 0 {
			d.texts.bulk = d.dialect.bulk(d.stream("bulk"), n)
		}
	}
	d.dialect.config(w)
	return w.String()
}

// show takes the next display of the running config.
func (d *node) show() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.texts.shows++
	d.texts.shown = d.running(d.texts.shows)
	return d.texts.shown
}

// fill repeats part until n bytes are there.
func fill(n int, part func(b *strings.Builder, i int)) string {
	var b strings.Builder
	b.Grow(n + 1024)
	for i := 0; b.Len() < n; i++ {
		part(&b, i)
	}
	return b.String()
}

func randomIP(r *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(r.IntN(250) + 1), byte(r.IntN(250)), byte(r.IntN(250) + 1)})
}

func pick(r *rand.Rand, s ...string) string { return s[r.IntN(len(s))] }

// hexBlock lays certificate bytes out the way IOS does.
func hexBlock(r *rand.Rand, n int) string {
	var b strings.Builder
	for left := n; left > 0; {
		b.WriteString("  ")
		for w := 0; w < 8 && left > 0; w++ {
			fmt.Fprintf(&b, "%08X ", r.Uint32())
			left -= 4
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func pemBlock(r *rand.Rand, kind string, lines int) string {
	var b strings.Builder
	b.WriteString("-----BEGIN " + kind + "-----\n")
	for range lines {
		b.WriteString("FAKE")
		for range 60 {
			b.WriteByte(base64Set[r.IntN(62)])
		}
		b.WriteByte('\n')
	}
	b.WriteString("-----END " + kind + "-----")
	return b.String()
}

func mask4(p netip.Prefix) netip.Addr {
	v := ^uint32(0) << (32 - p.Bits())
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// first4 is the port's first IPv4 address.
func (d *node) first4(p *port) (netip.Prefix, bool) {
	for _, a := range d.addresses(p) {
		if a.Addr().Is4() {
			return a, true
		}
	}
	return netip.Prefix{}, false
}

// location is where the device stands, as sysLocation and the configuration tell.
func (d *node) location() string {
	site := "lab"
	if d.spec.Site != "" {
		site = d.spec.Site
	}
	return fmt.Sprintf("%s, rack %d", site, d.index+1)
}
