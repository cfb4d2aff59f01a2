package snmp

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	_ "crypto/md5"  // HMAC-MD5-96 (RFC 3414)
	_ "crypto/sha1" // HMAC-SHA-96 (RFC 3414)
	_ "crypto/sha512"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// authProtocols are the names of muster.yaml. The library's number says how
// messages are signed; keys we derive ourselves with the hash.
var authProtocols = map[string]struct {
	lib  gosnmp.SnmpV3AuthProtocol
	hash crypto.Hash
}{
	"":       {gosnmp.NoAuth, 0},
	"md5":    {gosnmp.MD5, crypto.MD5},
	"sha":    {gosnmp.SHA, crypto.SHA1},
	"sha224": {gosnmp.SHA224, crypto.SHA224},
	"sha256": {gosnmp.SHA256, crypto.SHA256},
	"sha384": {gosnmp.SHA384, crypto.SHA384},
	"sha512": {gosnmp.SHA512, crypto.SHA512},
}

// privProtocols are the names of muster.yaml. "aes192" and "aes256" begin with
// Blumenthal's extension of the key; variants says what else they stand for.
var privProtocols = map[string]struct {
	lib    gosnmp.SnmpV3PrivProtocol
	bytes  int // of the key
	reeder bool
}{
	"":        {gosnmp.NoPriv, 0, false},
	"des":     {gosnmp.DES, 16, false}, // 8 of key, 8 of the initial vector's half
	"aes":     {gosnmp.AES, 16, false},
	"aes192":  {gosnmp.AES192, 24, false},
	"aes256":  {gosnmp.AES256, 32, false},
	"aes192c": {gosnmp.AES192, 24, true},
	"aes256c": {gosnmp.AES256, 32, true},
}

// variants lists the privacy protocols to try for the credential, in order. Two
// extensions of short keys to AES-192 and AES-256 are in use and nothing on the
// wire tells which: draft-blumenthal-aes-usm-04, and Cisco's, taken over from
// draft-reeder-snmpv3-usm-3desede. They are the same where the hash is long
// enough.
func variants(c collector.Credential) []string {
	other := map[string]string{"aes192": "aes192c", "aes256": "aes256c"}[c.PrivProtocol]
	hash := authProtocols[c.AuthProtocol].hash
	if other == "" || hash == 0 || hash.Size() >= privProtocols[c.PrivProtocol].bytes {
		return []string{c.PrivProtocol}
	}
	return []string{c.PrivProtocol, other}
}

// passwordKeys remembers what passwords hash to: a megabyte of hashing each
// (RFC 3414 A.2), which would be most of what a session costs. It is shared by
// all sessions because they share the passwords, and holds nothing that the
// credentials in memory do not.
var passwordKeys = keyCache{keys: map[[sha256.Size]byte][]byte{}}

// keyCacheLimit bounds the cache: Cisco's extension adds an entry per engine.
const keyCacheLimit = 10_000

type keyCache struct {
	mu   sync.Mutex // guards keys
	keys map[[sha256.Size]byte][]byte
}

// passwordKey is RFC 3414 A.2's Ku: the hash of a megabyte of the password.
func (c *keyCache) passwordKey(h crypto.Hash, password string) []byte {
	id := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(password), uint32(h)))
	c.mu.Lock()
	key := c.keys[id]
	c.mu.Unlock()
	if key != nil {
		return key
	}
	const total = 1 << 20
	chunk := make([]byte, 0, 4096+len(password))
	for len(chunk) < 4096 {
		chunk = append(chunk, password...)
	}
	sum := h.New()
	for left := total; left > 0; left -= len(chunk) {
		sum.Write(chunk[:min(left, len(chunk))])
	}
	key = sum.Sum(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= keyCacheLimit {
		clear(c.keys)
	}
	c.keys[id] = key
	return key
}

// localized is RFC 3414 §2.6's Kul: the password's key for one engine.
func localized(h crypto.Hash, password string, engineID []byte) []byte {
	ku := passwordKeys.passwordKey(h, password)
	sum := h.New()
	sum.Write(ku)
	sum.Write(engineID)
	sum.Write(ku)
	return sum.Sum(nil)
}

// privKey is the localized privacy key, extended where the hash is too short.
func privKey(h crypto.Hash, protocol, password string, engineID []byte) []byte {
	p := privProtocols[protocol]
	key := localized(h, password, engineID)
	if len(key) < p.bytes {
		if p.reeder {
			key = append(key, localized(h, string(key), engineID)...)
		} else {
			sum := h.New()
			sum.Write(key)
			key = sum.Sum(key)
		}
	}
	return key[:p.bytes]
}

// engine is an SNMPv3 engine as it told of itself, unauthenticated.
type engine struct {
	id          []byte
	boots, time uint32
}

// valid reports whether the ID has a size that RFC 3411 §5 allows.
func (e engine) valid() bool { return len(e.id) >= 5 && len(e.id) <= 32 }

// discoveryProbe is the message that asks an engine for its ID (RFC 3414 §4).
func discoveryProbe(msgID uint32) ([]byte, error) {
	p := gosnmp.SnmpPacket{
		Version:            gosnmp.Version3,
		MsgFlags:           gosnmp.Reportable,
		SecurityModel:      gosnmp.UserSecurityModel,
		SecurityParameters: &gosnmp.UsmSecurityParameters{},
		PDUType:            gosnmp.GetRequest,
		MsgID:              msgID,
		RequestID:          msgID,
	}
	return p.MarshalMsg()
}

// checkCredential says what is wrong with a credential's SNMP part, or nil.
func checkCredential(c collector.Credential) error {
	switch c.Kind {
	case collector.KindSNMPv1, collector.KindSNMPv2c:
		if n := len(c.Community.Reveal()); n == 0 || n > 127 {
			return fmt.Errorf("a community has 1 to 127 bytes, this one %d", n) // gosnmp writes a one-byte length
		}
		return nil
	case collector.KindSNMPv3:
	default:
		return fmt.Errorf("kind %q is not one of SNMP's", c.Kind)
	}
	_, auth := authProtocols[c.AuthProtocol]
	_, priv := privProtocols[c.PrivProtocol]
	switch {
	case c.User == "" || len(c.User) > 32:
		return fmt.Errorf("an SNMPv3 user has 1 to 32 bytes, this one %d", len(c.User))
	case !auth:
		return fmt.Errorf("authentication protocol %q is not known", c.AuthProtocol)
	case !priv:
		return fmt.Errorf("privacy protocol %q is not known", c.PrivProtocol)
	case c.AuthProtocol == "" && c.PrivProtocol != "":
		return fmt.Errorf("privacy without authentication does not exist (RFC 3411 §3.4.3)")
	case c.AuthProtocol != "" && c.Auth.Empty():
		return fmt.Errorf("the authentication password is empty")
	case c.PrivProtocol != "" && c.Priv.Empty():
		return fmt.Errorf("the privacy password is empty")
	}
	return nil
}
