package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// offer is what a device can do, as its SSH_MSG_KEXINIT lists it (RFC 4253 §7.1).
// The library tells of the first class only in which nothing is common; what a
// device needs is known from all of them.
type offer struct {
	kex, hostKeys, ciphers, macs []string
}

// overheardMax is how much of what a device sends is looked at for its offer, bytes.
const overheardMax = 16 << 10

// overheard keeps the beginning of what the device sends, until it is let go.
type overheard struct {
	mu    sync.Mutex // guards what follows
	seen  []byte
	ended bool
}

func (o *overheard) note(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := overheardMax - len(o.seen); !o.ended && room > 0 {
		o.seen = append(o.seen, b[:min(len(b), room)]...)
	}
}

func (o *overheard) offer() (offer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return readOffer(o.seen)
}

// foreign is what came from something that is no SSH server: bytes without the
// version line that has to come first (RFC 4253 §4.2). Nil: nothing came, or SSH.
func (o *overheard) foreign() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if bytes.HasPrefix(o.seen, []byte("SSH-")) || bytes.Contains(o.seen, []byte("\nSSH-")) {
		return nil
	}
	return bytes.Clone(o.seen[:min(len(o.seen), collector.SeenLimit)])
}

// end lets go of what was kept: the handshake is over.
func (o *overheard) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen, o.ended = nil, true
}

// readOffer finds the first KEXINIT behind the version line. What comes before
// that line is the server's own words (RFC 4253 §4.2).
func readOffer(b []byte) (offer, bool) {
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return offer{}, false
		}
		b = rest
		if bytes.HasPrefix(line, []byte("SSH-")) {
			break
		}
	}
	const head = 4 + 1 // length of the packet, length of its padding
	if len(b) < head {
		return offer{}, false
	}
	size, padding := binary.BigEndian.Uint32(b), uint32(b[4])
	if size > overheardMax || uint32(len(b)-4) < size || size < padding+1 {
		return offer{}, false
	}
	payload := b[head : 4+size-padding]
	const msgKexInit, cookie = 20, 16
	if len(payload) < 1+cookie || payload[0] != msgKexInit {
		return offer{}, false
	}
	payload = payload[1+cookie:]
	var lists [6][]string // kex, host keys, ciphers there and back, MACs there and back
	for i := range lists {
		if len(payload) < 4 {
			return offer{}, false
		}
		n := binary.BigEndian.Uint32(payload)
		if uint32(len(payload)-4) < n {
			return offer{}, false
		}
		if n > 0 {
			lists[i] = strings.Split(string(payload[4:4+n]), ",")
		}
		payload = payload[4+n:]
	}
	// Names such as kex-strict-s-v00@openssh.com are signals, not methods.
	signal := func(name string) bool {
		return strings.HasPrefix(name, "kex-strict-") || strings.HasPrefix(name, "ext-info-")
	}
	return offer{kex: slices.DeleteFunc(lists[0], signal), hostKeys: lists[1], ciphers: lists[2], macs: lists[4]}, true
}

// fits reports whether a profile has something in common with the device in
// every class. A cipher that authenticates needs no MAC.
func (o offer) fits(a *algorithms) bool {
	common := func(x, y []string) bool {
		return slices.ContainsFunc(x, func(name string) bool { return slices.Contains(y, name) })
	}
	aead := slices.ContainsFunc(a.ciphers, func(name string) bool {
		return slices.Contains(o.ciphers, name) && (strings.Contains(name, "gcm") || strings.Contains(name, "poly1305"))
	})
	return common(a.kex, o.kex) && common(a.hostKeys, o.hostKeys) && common(a.ciphers, o.ciphers) && (aead || common(a.macs, o.macs))
}

// String lists what is offered, by class.
func (o offer) String() string {
	var parts []string
	for _, c := range []struct {
		what string
		of   []string
	}{{"key exchange", o.kex}, {"host key", o.hostKeys}, {"cipher", o.ciphers}, {"MAC", o.macs}} {
		parts = append(parts, c.what+": "+strings.Join(c.of, ", "))
	}
	return strings.Join(parts, "; ")
}

// noCommon tells of a handshake that found no common algorithm: what the device
// offers, and the strictest profile that would fit. of is the device's own list;
// without it only the class that failed is known.
func noCommon(err error, of offer, known bool, device string) (seen, do string, ok bool) {
	var e *ssh.AlgorithmNegotiationError
	if !errors.As(err, &e) {
		return "", "", false
	}
	if !known {
		return fmt.Sprintf("%s: %s", e.What, strings.Join(e.RequestedAlgorithms, ", ")),
			fmt.Sprintf("Allow older algorithms: muster device set %s --algorithms compatible, or legacy", device), true
	}
	seen = of.String()
	for _, p := range profiles {
		if of.fits(p.allow) {
			return seen, fmt.Sprintf("Allow what the device offers: muster device set %s --algorithms %s", device, p.name), true
		}
	}
	return seen, fmt.Sprintf("Give the device a newer %s: what it offers is in no profile (docs/ssh.md)", e.What), true
}
