package inventory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // hashed host names of OpenSSH's known_hosts are HMAC-SHA1
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// Accepted is one host key that was accepted.
type Accepted struct {
	Device      string `json:"device"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
}

// AcceptKey accepts, at each device that the filter chooses, exactly the keys
// that it has shown and that wait for a decision. Keys accepted before stay.
func (d *Devices) AcceptKey(ctx context.Context, f Filter, by string) ([]Accepted, error) {
	chosen, err := d.List(ctx, f)
	if err != nil {
		return nil, err
	}
	accepted := []Accepted{}
	for _, dev := range chosen {
		var some []Accepted
		err := d.o.Store.Update(ctx, func(tx Tx) error {
			some = nil // Update runs it once; so it stays right if that changes
			return d.acceptPending(tx, dev, by, "device accept-key", &some)
		})
		if err != nil {
			return accepted, fmt.Errorf("accept the key of %s: %w", dev.Name, err)
		}
		if len(some) > 0 {
			accepted = append(accepted, some...)
			if err := d.access.review(ctx, d.o.Network(), dev.ID); err != nil {
				return accepted, err
			}
		}
	}
	return accepted, nil
}

func (d *Devices) acceptPending(tx Tx, dev Device, by, action string, accepted *[]Accepted) error {
	keys, err := tx.Keys(dev.ID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.State != KeyPending {
			continue
		}
		if err := d.accept(tx, dev, k.HostKey, by, action, accepted); err != nil {
			return err
		}
	}
	return nil
}

// accept pins one key on a person's word.
func (d *Devices) accept(tx Tx, dev Device, k collector.HostKey, by, action string, accepted *[]Accepted) error {
	at := d.o.Now()
	if err := tx.PutKey(dev.ID, Key{HostKey: k, State: KeyPinned, ByPerson: true, At: at}); err != nil {
		return err
	}
	if err := knowByKey(tx, dev.ID, k, at); err != nil {
		return err
	}
	*accepted = append(*accepted, Accepted{dev.Name, k.Type, k.Fingerprint})
	if err := emit(tx, at, EventHostKeyAccepted, dev, "", map[string]string{"fingerprint": k.Fingerprint, "by": by}); err != nil {
		return err
	}
	return tx.Audit(at, by, action, dev.Name, k.Type+" "+k.Fingerprint)
}

// AcceptKnownHosts pins the keys of a known_hosts file (OpenSSH's format, hashed
// names too) at the devices that the filter chooses, by name and address. Lines
// that name none of them, or that are revoked or of a certificate authority, are
// left out.
func (d *Devices) AcceptKnownHosts(ctx context.Context, f Filter, file io.Reader, by string) ([]Accepted, error) {
	lines, err := knownHosts(file)
	if err != nil {
		return nil, err
	}
	chosen, err := d.List(ctx, f)
	if err != nil {
		return nil, err
	}
	n := d.o.Network()
	accepted := []Accepted{}
	for _, dev := range chosen {
		port := sshAddr(dev, n.scope(dev)).Port()
		var some []Accepted
		err := d.o.Store.Update(ctx, func(tx Tx) error {
			some = nil
			for _, l := range lines {
				if l.names(dev.Name, port) || dev.Address.IsValid() && l.names(dev.Address.String(), port) {
					if err := d.accept(tx, dev, l.key, by, "device accept-key --known-hosts", &some); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return accepted, fmt.Errorf("accept keys of %s: %w", dev.Name, err)
		}
		if len(some) > 0 {
			accepted = append(accepted, some...)
			if err := d.access.review(ctx, d.o.Network(), dev.ID); err != nil {
				return accepted, err
			}
		}
	}
	return accepted, nil
}

// knownLine is one line of a known_hosts file.
type knownLine struct {
	hosts []string
	key   collector.HostKey
}

func knownHosts(file io.Reader) ([]knownLine, error) {
	var lines []knownLine
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, 1<<20)
	for number := 1; scan.Scan(); number++ {
		text := bytes.TrimSpace(scan.Bytes())
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		marker, hosts, key, _, _, err := ssh.ParseKnownHosts(text)
		if err != nil {
			return nil, fmt.Errorf("line %d of the known_hosts file is none: %w", number, err)
		}
		if marker == "" {
			lines = append(lines, knownLine{hosts, collector.HostKey{Type: key.Type(), Blob: key.Marshal(), Fingerprint: ssh.FingerprintSHA256(key)}})
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read the known_hosts file: %w", err)
	}
	return lines, nil
}

// names reports whether the line is about a host at a port. Patterns with * and
// ? are left out: a key for many hosts is no key of one device.
func (l knownLine) names(host string, port uint16) bool {
	want := strings.ToLower(host)
	if port != 22 {
		want = fmt.Sprintf("[%s]:%d", want, port)
	}
	for _, h := range l.hosts {
		if strings.EqualFold(h, want) || hashedName(h, want) {
			return true
		}
	}
	return false
}

// hashedName holds a name against "|1|SALT|HASH".
func hashedName(hash, name string) bool {
	parts := strings.Split(hash, "|")
	if len(parts) != 4 || parts[0] != "" || parts[1] != "1" {
		return false
	}
	salt, err1 := base64.StdEncoding.DecodeString(parts[2])
	sum, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil {
		return false
	}
	h := hmac.New(sha1.New, salt)
	h.Write([]byte(name))
	return hmac.Equal(h.Sum(nil), sum)
}
