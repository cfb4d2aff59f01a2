package lab

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // RFC 3414 has nothing better
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // usmHMACMD5AuthProtocol
	"crypto/sha1" //nolint:gosec // usmHMACSHAAuthProtocol
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"sync"
)

// authHash gives the hash of an authentication protocol and how many bytes of
// the digest travel (RFC 3414 §6.3, RFC 7860 §4.1).
func authHash(protocol string) (newHash func() hash.Hash, mac int) {
	switch protocol {
	case "md5":
		return md5.New, 12
	case "sha":
		return sha1.New, 12
	case "sha224":
		return sha256.New224, 16
	case "sha256":
		return sha256.New, 24
	case "sha384":
		return sha512.New384, 32
	case "sha512":
		return sha512.New, 48
	}
	return nil, 0
}

// privKeyLen gives the key bytes of a privacy protocol; 0: unknown. DES takes 8
// of key and 8 of initial vector.
func privKeyLen(protocol string) int {
	switch protocol {
	case "des", "aes":
		return 16
	case "aes192", "aes192c":
		return 24
	case "aes256", "aes256c":
		return 32
	}
	return 0
}

// passwordKeys remembers the megabyte hash of RFC 3414 §A.2, so that two hundred
// agents with one user cost it once.
type passwordKeys struct {
	mu   sync.Mutex // guards keys
	keys map[string][]byte
}

func (p *passwordKeys) key(auth string, pass []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := auth + "\x00" + string(pass)
	if k := p.keys[id]; k != nil {
		return k
	}
	newHash, _ := authHash(auth)
	h := newHash()
	block := bytes.Repeat(pass, 1+4096/len(pass))
	whole := len(block) - len(block)%len(pass)
	for done := 0; done < 1<<20; {
		k := min(whole, 1<<20-done)
		h.Write(block[:k])
		done += k
	}
	if p.keys == nil {
		p.keys = map[string][]byte{}
	}
	p.keys[id] = h.Sum(nil)
	return p.keys[id]
}

func localize(auth string, ku, engine []byte) []byte {
	newHash, _ := authHash(auth)
	h := newHash()
	h.Write(ku)
	h.Write(engine)
	h.Write(ku)
	return h.Sum(nil)
}

// usmKeys are one user's localized keys at one engine.
type usmKeys struct{ auth, priv []byte }

func (p *passwordKeys) user(u SNMPUser, engine []byte) usmKeys {
	var k usmKeys
	if u.Auth == "" {
		return k
	}
	k.auth = localize(u.Auth, p.key(u.Auth, []byte(u.AuthPassword)), engine)
	if u.Priv == "" {
		return k
	}
	key := localize(u.Auth, p.key(u.Auth, []byte(u.PrivPassword)), engine)
	for tail := key; len(key) < privKeyLen(u.Priv); key = append(bytes.Clone(key), tail...) {
		if u.Priv == "aes192c" || u.Priv == "aes256c" { // draft-reeder-snmpv3-usm-3desede §2.1
			tail = localize(u.Auth, p.key(u.Auth, tail), engine)
			continue
		}
		newHash, _ := authHash(u.Auth) // draft-blumenthal-aes-usm-04 §3.1.2.1
		h := newHash()
		h.Write(key)
		tail = h.Sum(nil)
	}
	k.priv = key[:privKeyLen(u.Priv)]
	return k
}

// cfb is AES in 128-bit cipher feedback mode (RFC 3826 §3.1.3).
func cfb(key, iv, in []byte, decrypt bool) ([]byte, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(in))
	reg := bytes.Clone(iv)
	var pad [16]byte
	for i := 0; i < len(in); i += 16 {
		b.Encrypt(pad[:], reg)
		n := min(16, len(in)-i)
		for j := range n {
			out[i+j] = in[i+j] ^ pad[j]
		}
		if n == 16 {
			if decrypt {
				copy(reg, in[i:])
			} else {
				copy(reg, out[i:i+16])
			}
		}
	}
	return out, nil
}

func crypt(priv string, key []byte, boots, secs uint32, salt, in []byte, decrypt bool) ([]byte, error) {
	if len(salt) != 8 {
		return nil, errBER
	}
	if priv != "des" {
		iv := binary.BigEndian.AppendUint32(nil, boots)
		iv = append(binary.BigEndian.AppendUint32(iv, secs), salt...)
		return cfb(key, iv, in, decrypt)
	}
	b, err := des.NewCipher(key[:8]) //nolint:gosec // RFC 3414 §8
	if err != nil {
		return nil, err
	}
	iv := make([]byte, 8)
	for i := range iv {
		iv[i] = key[8+i] ^ salt[i]
	}
	if decrypt {
		if len(in)%8 != 0 {
			return nil, errBER
		}
		out := make([]byte, len(in))
		cipher.NewCBCDecrypter(b, iv).CryptBlocks(out, in)
		return out, nil
	}
	out := append(bytes.Clone(in), make([]byte, (8-len(in)%8)%8)...)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(out, out)
	return out, nil
}

func sign(auth string, key, message []byte) []byte {
	newHash, size := authHash(auth)
	m := hmac.New(newHash, key)
	m.Write(message)
	return m.Sum(nil)[:size]
}
