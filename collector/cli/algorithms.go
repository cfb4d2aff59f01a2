package cli

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// algorithms are the names that one profile allows, in order of preference.
// x/crypto drops a name that it does not know without a word, so a test holds
// all of these against its lists.
type algorithms struct {
	kex, ciphers, macs []string
	hostKeys           []string // signature algorithms of host keys
	keys               []string // signature algorithms of our own RSA key
}

// Old names stand last, so that they are taken only where nothing else fits.
var (
	modern = algorithms{
		kex: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
			ssh.KeyExchangeDH14SHA256, ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDHGEXSHA256,
		},
		ciphers: []string{
			ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
		},
		macs: []string{
			ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512, ssh.HMACSHA1,
		},
		hostKeys: []string{
			ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
		},
		keys: []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
	}
	compatible = algorithms{
		kex:     slices.Concat(modern.kex, []string{ssh.InsecureKeyExchangeDH14SHA1}),
		ciphers: modern.ciphers,
		macs:    slices.Concat(modern.macs, []string{ssh.InsecureHMACSHA196}),
		//nolint:staticcheck // SA1019: some switches have a DSA key and no other
		hostKeys: slices.Concat(modern.hostKeys, []string{ssh.KeyAlgoRSA, ssh.InsecureKeyAlgoDSA}),
		keys:     slices.Concat(modern.keys, []string{ssh.KeyAlgoRSA}),
	}
	legacy = algorithms{
		kex:      slices.Concat(compatible.kex, []string{ssh.InsecureKeyExchangeDHGEXSHA1, ssh.InsecureKeyExchangeDH1SHA1}),
		ciphers:  slices.Concat(compatible.ciphers, []string{ssh.InsecureCipherAES128CBC, ssh.InsecureCipherTripleDESCBC}),
		macs:     compatible.macs,
		hostKeys: compatible.hostKeys,
		keys:     compatible.keys,
	}
)

// profiles are the profiles from the strictest on, by their names.
var profiles = []struct {
	name  collector.Algorithms
	allow *algorithms
}{
	{collector.Modern, &modern},
	{collector.Compatible, &compatible},
	{collector.Legacy, &legacy},
}

// allowed are the algorithms of a profile; an unknown or empty one is modern.
func allowed(name collector.Algorithms) *algorithms {
	for _, p := range profiles {
		if p.name == name {
			return p.allow
		}
	}
	return &modern
}

// hostKeyAlgorithms puts the algorithms of the pinned types first: a device that
// still has the pinned key then shows that one, and a key of another type is
// never taken for an attack. The others follow, so that a device whose keys were
// all replaced is told from one without a common algorithm.
func (a *algorithms) hostKeyAlgorithms(pinned []collector.HostKey) []string {
	var first, rest []string
	for _, algo := range a.hostKeys {
		if slices.ContainsFunc(pinned, func(k collector.HostKey) bool { return k.Type == keyType(algo) }) {
			first = append(first, algo)
		} else {
			rest = append(rest, algo)
		}
	}
	return append(first, rest...)
}

// keyType is the type of key that a signature algorithm works with.
func keyType(algo string) string {
	switch algo {
	case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
		return ssh.KeyAlgoRSA
	}
	return algo
}

// negotiated says in our words what the two sides agreed on.
func negotiated(conn ssh.Conn) Negotiated {
	m, ok := conn.(ssh.AlgorithmsConnMetadata)
	if !ok {
		return Negotiated{}
	}
	a := m.Algorithms()
	n := Negotiated{KeyExchange: a.KeyExchange, HostKey: a.HostKey, Cipher: a.Write.Cipher, MAC: a.Write.MAC}
	n.Weak = !slices.Contains(modern.kex, strings.TrimSuffix(a.KeyExchange, "@libssh.org")) ||
		!slices.Contains(modern.hostKeys, a.HostKey)
	for _, d := range []ssh.DirectionAlgorithms{a.Read, a.Write} {
		// An AEAD cipher has no MAC of its own.
		n.Weak = n.Weak || !slices.Contains(modern.ciphers, d.Cipher) || d.MAC != "" && !slices.Contains(modern.macs, d.MAC)
	}
	return n
}
