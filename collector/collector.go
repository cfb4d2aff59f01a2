// Package collector holds the words that everything which opens a socket to a
// device shares: the Target to talk to, the Credential to use, the Step that a
// session is in, the Kind of a failure and the Error that tells of one.
//
// A session is a row of steps; each has a deadline of its own and fails with a
// kind. Retry, state and alert hang on the kind, never on text. What is kept of
// a session is decided elsewhere: collector and its children know devices'
// protocols and no store.
package collector

import (
	"net/netip"
	"time"

	"muster/internal/secret"
)

// Target is one device as a session needs it: where it is, who we are there and
// how politely to behave. It is a value that can be sent to another process.
type Target struct {
	Device     string         // name in the inventory; empty before it is known
	Addr       netip.AddrPort // address and port of the protocol that the session speaks
	Source     netip.Addr     // own address to ask from; invalid: the kernel's choice
	Scope      string         // name of the scope that the address belongs to
	Credential Credential
	SSH        SSHPolicy
	Telnet     bool // by Telnet and not by SSH: neither is ever tried after the other
	Limits     Limits
}

// Protocol is what the command line is reached by, for people.
func (t Target) Protocol() string {
	if t.Telnet {
		return "Telnet"
	}
	return "SSH"
}

// CredentialKind is the protocol that a credential is for, as in muster.yaml.
type CredentialKind string

// The kinds of credentials.
const (
	KindSSH     CredentialKind = "ssh"
	KindSNMPv1  CredentialKind = "snmp-v1"
	KindSNMPv2c CredentialKind = "snmp-v2c"
	KindSNMPv3  CredentialKind = "snmp-v3"
)

// SNMP reports whether the kind is one of SNMP's.
func (k CredentialKind) SNMP() bool { return k == KindSNMPv1 || k == KindSNMPv2c || k == KindSNMPv3 }

// Credential is one account or community, resolved: its secrets are here.
type Credential struct {
	Name string // as in muster.yaml; the only part that may be shown or logged
	Kind CredentialKind
	User string // SSH user, or SNMPv3 securityName

	// SSH. Empty means: this credential has none, the method is not offered.
	Password   secret.Value
	Key        secret.Value // private key, PEM or OpenSSH format
	Passphrase secret.Value // of Key
	Enable     secret.Value // for the platform's privilege step

	// SNMP v1 and v2c.
	Community secret.Value

	// SNMPv3 (RFC 3414, RFC 7860, RFC 3826).
	AuthProtocol string // md5 sha sha224 sha256 sha384 sha512; empty: noAuthNoPriv
	Auth         secret.Value
	PrivProtocol string // des aes aes192 aes256 aes192c aes256c; empty: authNoPriv
	Priv         secret.Value

	Kept Kept // where the secrets are, for messages

	// For limits the credential to these addresses. Empty: everywhere in the
	// scopes that name it. A prefix of one address binds the credential to that
	// device (see passwords_to).
	For []netip.Prefix
}

// Kept says where a person keeps each secret of a credential.
type Kept struct{ Password, Key, Passphrase, Enable Place }

// Place is where a person keeps a secret, as muster.yaml names it: one of the
// fields is set, or none where nobody told.
type Place struct {
	Secret  string // name of a sealed secret
	Env     string // environment variable
	File    string
	Command string // program
}

// Set says how the right value gets there, to stand behind "Store it: " or in
// brackets.
func (p Place) Set() string {
	switch {
	case p.Secret != "":
		return "muster secret set " + Escape(p.Secret)
	case p.Env != "":
		return "in the environment variable " + Escape(p.Env) + " of muster, which is then started anew"
	case p.File != "":
		return "in the file " + Escape(p.File)
	case p.Command != "":
		return "where the command " + Escape(p.Command) + " reads it"
	}
	return "muster secret set NAME"
}

// SetLogin is Set of what a device rejects at login.
func (c Credential) SetLogin() string {
	if c.Password.Empty() && !c.Key.Empty() {
		return c.Kept.Key.Set()
	}
	return c.Kept.Password.Set()
}

// Fits reports whether the credential may be used at addr.
func (c Credential) Fits(addr netip.Addr) bool {
	if len(c.For) == 0 {
		return true
	}
	for _, p := range c.For {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// BoundTo reports whether the credential names this very address in For: a
// person has said that the password belongs to whatever answers there.
func (c Credential) BoundTo(addr netip.Addr) bool {
	for _, p := range c.For {
		if p.IsSingleIP() && p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// Algorithms names a set of SSH algorithms; docs/ssh.md lists what each allows.
type Algorithms string

// The profiles, from the strictest on.
const (
	Modern     Algorithms = "modern"
	Compatible Algorithms = "compatible"
	Legacy     Algorithms = "legacy"
)

// HostKeyPolicy says what happens to a host key that nobody has accepted yet.
type HostKeyPolicy string

const (
	// AcceptNew pins the first key that a device shows; any other later stops
	// the session before a password leaves.
	AcceptNew HostKeyPolicy = "accept-new"
	// Strict opens no session unless the key was pinned beforehand.
	Strict HostKeyPolicy = "strict"
)

// HostKey is an SSH public host key.
type HostKey struct {
	Type        string `json:"type"`        // "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", …
	Blob        []byte `json:"blob"`        // wire format (RFC 4253 §6.6)
	Fingerprint string `json:"fingerprint"` // "SHA256:…" as OpenSSH prints it
}

// SSHPolicy is how SSH behaves towards one device.
type SSHPolicy struct {
	Algorithms Algorithms    // empty: modern
	HostKeys   HostKeyPolicy // empty: accept-new
	Pinned     []HostKey     // keys accepted for the device; several types, several engines
}

// Limits are the deadlines of steps. Zero means the default beside it.
type Limits struct {
	Connect     time.Duration // TCP connect; 10 s
	KeyExchange time.Duration // SSH transport handshake; 20 s
	Login       time.Duration // each of authentication, first prompt and enable; 30 s
	FirstByte   time.Duration // first byte of a command's answer; 120 s
	Silence     time.Duration // pause inside an answer; 30 s
	Session     time.Duration // everything together; 15 min
	MaxBytes    int64         // largest answer; 64 MiB. Beyond it the answer is too-large

	SNMPTimeout time.Duration // wait for one SNMP answer; 2 s (sweep: 1 s)
	SNMPRetries int           // further attempts after the first; 2 (sweep: 1). Negative: none
}

// WithDefaults returns l with zero fields filled.
func (l Limits) WithDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&l.Connect, 10*time.Second)
	def(&l.KeyExchange, 20*time.Second)
	def(&l.Login, 30*time.Second)
	def(&l.FirstByte, 120*time.Second)
	def(&l.Silence, 30*time.Second)
	def(&l.Session, 15*time.Minute)
	def(&l.SNMPTimeout, 2*time.Second)
	if l.SNMPRetries == 0 {
		l.SNMPRetries = 2
	}
	if l.MaxBytes == 0 {
		l.MaxBytes = 64 << 20
	}
	return l
}

// StepTime is one step of a session as it went: what `doctor` shows and a
// capture keeps.
type StepTime struct {
	Step   Step   `json:"step"`
	Detail string `json:"detail,omitempty"` // the command, the credential's name, the negotiated algorithms
	TookMs int64  `json:"took_ms"`
	Kind   Kind   `json:"kind,omitempty"` // empty: the step went well
	Seen   string `json:"seen,omitempty"` // what the device said, escaped, secrets masked
	Do     string `json:"do,omitempty"`   // what the operator can do, where it failed
}
