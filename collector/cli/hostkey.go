package cli

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// hostKey is a key of the library in our words.
func hostKey(k ssh.PublicKey) collector.HostKey {
	return collector.HostKey{Type: k.Type(), Blob: k.Marshal(), Fingerprint: ssh.FingerprintSHA256(k)}
}

func sameKey(a, b collector.HostKey) bool { return a.Type == b.Type && bytes.Equal(a.Blob, b.Blob) }

// checkHostKey decides about a key that the device has proved to hold. Nothing
// of the credential has left before it says nil.
func (c *connection) checkHostKey(key collector.HostKey) error {
	if c.o.Shown != nil {
		c.o.Shown(key)
	}
	for _, p := range c.t.SSH.Pinned {
		if sameKey(p, key) {
			return c.sameUnit(key)
		}
	}
	if len(c.t.SSH.Pinned) > 0 {
		pinned := make([]string, 0, len(c.t.SSH.Pinned))
		for _, p := range c.t.SSH.Pinned {
			pinned = append(pinned, p.Type+" "+p.Fingerprint)
		}
		return c.fail(collector.StepHostKey, collector.ErrHostKeyChanged,
			fmt.Appendf(nil, "%s %s; pinned: %s", key.Type, key.Fingerprint, strings.Join(pinned, ", ")),
			fmt.Sprintf("Compare the fingerprint %s with the device's own, then run muster device accept-key %s, or muster device replace %s where it is another device", key.Fingerprint, c.name(), c.name()), nil)
	}
	if c.t.SSH.HostKeys == collector.Strict {
		return c.fail(collector.StepHostKey, collector.ErrHostKeyUnknown,
			fmt.Appendf(nil, "%s %s", key.Type, key.Fingerprint),
			fmt.Sprintf("Compare the fingerprint %s with the device's own, then run muster device accept-key %s", key.Fingerprint, c.name()), nil)
	}
	if c.o.HostKey == nil {
		return nil
	}
	if err := c.o.HostKey(key); err != nil {
		kind := collector.KindOf(err)
		if kind == "" {
			kind = collector.ErrHostKeyUnknown
		}
		return c.fail(collector.StepHostKey, kind,
			fmt.Appendf(nil, "%s %s", key.Type, key.Fingerprint),
			fmt.Sprintf("Run muster device accept-key %s once the fingerprint is known to be the device's", c.name()), err)
	}
	return nil
}

// sameUnit refuses the key of another unit of the device (an HA pair, routing
// engines) where a session has begun with the first: half a capture would be of each.
func (c *connection) sameUnit(key collector.HostKey) error {
	if first := c.o.first; first.Type == "" || sameKey(first, key) {
		return nil
	}
	return c.fail(collector.StepHostKey, collector.ErrIncomplete, fmt.Appendf(nil, "%s %s", key.Type, key.Fingerprint),
		fmt.Sprintf("Read %s again: another of its units answers now, as after a failover; its key is accepted", c.name()), nil)
}
