package secret

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unique"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keySize   = 32
	keyIDSize = 8
	keyPrefix = "muster-key-1:" // what a key file's line begins with; the number is the format's

	sealVersion = 1
	sealHeader  = 1 + keyIDSize + chacha20poly1305.NonceSizeX
)

// Failures of keys and of opening what was sealed.
var (
	// ErrOtherKey: the value was sealed with another key. The key is wrong.
	ErrOtherKey = errors.New("sealed with another master key")
	// ErrDamaged: the key fits, the bytes or what they were bound to do not.
	ErrDamaged = errors.New("sealed value is damaged, or belongs to another record")
	// ErrNoKey: the text holds no key.
	ErrNoKey = errors.New("no muster key in the text")
)

// Key is the master key of one data directory: 32 random bytes. It prints as
// ‹hidden›; File gives the text to keep. The zero Key is "no key".
type Key struct {
	raw unique.Handle[string] // a handle as in Value, for the same reason; of an array %s would print the bytes
}

// NewKey makes a new random key.
func NewKey() Key {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // crypto/rand.Read never fails; it ends the program instead
	return Key{unique.Make(string(raw))}
}

// ParseKey reads a key from the text of a key file: empty lines and lines that
// begin with # are passed over, one line is the key. The error never quotes it.
func ParseKey(text []byte) (Key, error) {
	var found []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	switch {
	case len(found) == 0:
		return Key{}, ErrNoKey
	case len(found) > 1:
		return Key{}, fmt.Errorf("%w: %d lines that are no comment, and a key file has one", ErrNoKey, len(found))
	case !strings.HasPrefix(found[0], keyPrefix):
		return Key{}, fmt.Errorf("%w: the line does not begin with %s", ErrNoKey, keyPrefix)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(found[0], keyPrefix))
	if err != nil || len(raw) != keySize { // err would quote nothing useful, and perhaps the key
		return Key{}, fmt.Errorf("%w: what follows %s is not %d bytes in base64; was it cut off when it was copied?", ErrNoKey, keyPrefix, keySize)
	}
	return Key{unique.Make(string(raw))}, nil
}

// File is the text of a key file, comment included. Whoever calls it answers
// for where it goes.
func (k Key) File() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Master key %s of a muster data directory. Keep a copy away from this machine:\n", k.ID())
	fmt.Fprintf(&b, "# without it the stored secrets and raw configurations cannot be read again.\n")
	fmt.Fprintf(&b, "%s%s\n", keyPrefix, base64.StdEncoding.EncodeToString(k.bytes()))
	return b.Bytes()
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k == Key{} }

// bytes are those of the key; of "no key", zeros.
func (k Key) bytes() []byte {
	if k.IsZero() {
		return make([]byte, keySize)
	}
	return []byte(k.raw.Value())
}

// ID names the key without telling anything of it: 16 hexadecimal digits.
func (k Key) ID() string { return hex.EncodeToString(k.id()) }

func (k Key) id() []byte { return Digest(k.bytes(), []byte("muster key id"))[:keyIDSize] }

// Seal encrypts plain with XChaCha20-Poly1305. ad is the identity of the record
// that the result belongs to: Open fails for any other, so that sealed values
// cannot be exchanged for one another. The key's id is bound and readable.
func (k Key) Seal(plain, ad []byte) []byte {
	out := make([]byte, sealHeader, sealHeader+len(plain)+chacha20poly1305.Overhead)
	out[0] = sealVersion
	copy(out[1:], k.id())
	nonce := out[1+keyIDSize : sealHeader]
	_, _ = rand.Read(nonce) // 24 random bytes: no counter to keep, collisions are out of reach
	aead, err := chacha20poly1305.NewX(k.sealing())
	if err != nil {
		panic("secret: " + err.Error()) // only for a key that is not 32 bytes long
	}
	return aead.Seal(out, nonce, plain, bound(out[:1+keyIDSize], ad))
}

// Open undoes Seal. It answers ErrOtherKey where the key is not the one that
// sealed, and ErrDamaged for anything else that does not fit.
func (k Key) Open(sealed, ad []byte) ([]byte, error) {
	id, err := SealedBy(sealed)
	if err != nil {
		return nil, err
	}
	if id != k.ID() {
		return nil, fmt.Errorf("%w (%s, this one is %s)", ErrOtherKey, id, k.ID())
	}
	aead, err := chacha20poly1305.NewX(k.sealing())
	if err != nil {
		panic("secret: " + err.Error())
	}
	plain, err := aead.Open(nil, sealed[1+keyIDSize:sealHeader], sealed[sealHeader:], bound(sealed[:1+keyIDSize], ad))
	if err != nil {
		return nil, ErrDamaged // the library's error says only "message authentication failed"
	}
	return plain, nil
}

// SealedBy reads from a sealed value the ID of the key that sealed it.
func SealedBy(sealed []byte) (string, error) {
	if len(sealed) < sealHeader+chacha20poly1305.Overhead || sealed[0] != sealVersion {
		return "", ErrDamaged
	}
	return hex.EncodeToString(sealed[1 : 1+keyIDSize]), nil
}

// sealing derives the key of Seal, so that the ID and other uses of the master
// key can never weaken it (RFC 5869).
func (k Key) sealing() []byte {
	b, err := hkdf.Key(sha256.New, k.bytes(), nil, "muster seal v1", chacha20poly1305.KeySize)
	if err != nil {
		panic("secret: " + err.Error()) // only for lengths over 255 hashes
	}
	return b
}

// Derive makes a key of 32 bytes for another purpose than sealing (RFC 5869):
// the same for the same master key and purpose, and nothing can be told from one
// about the other.
func (k Key) Derive(purpose string) []byte {
	d, err := hkdf.Key(sha256.New, k.bytes(), nil, "muster "+purpose, sha256.Size)
	if err != nil {
		panic("secret: " + err.Error()) // only for lengths that HKDF cannot give
	}
	return d
}

// bound is the associated data: the header's clear part, then the record.
func bound(header, ad []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(ad)), header...), ad...)
}

// Format implements fmt.Formatter, so that no verb can print the key.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String implements fmt.Stringer.
func (k Key) String() string { return hidden }

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// Digest is HMAC-SHA-256 of the parts under key: 32 bytes that say whether two
// texts are the same to who has the key, and nothing to anybody else. Each part
// is preceded by its length, so that ("ab", "c") and ("a", "bc") differ.
func Digest(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	var n [8]byte
	for _, p := range parts {
		for i, l := 0, uint64(len(p)); i < 8; i++ {
			n[i] = byte(l >> (56 - 8*i))
		}
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)
}
