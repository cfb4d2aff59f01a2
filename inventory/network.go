package inventory

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/collector"
	"muster/inventory/platform"
)

// Options is what Access, Discovery, Devices and Reachability are built from.
type Options struct {
	Store     Store                // required
	Network   func() Network       // required: the settings in force now
	Platforms func() *platform.Set // required
	Now       func() time.Time     // nil: time.Now
	Log       *slog.Logger         // nil: slog.Default()

	// DigestKey keys the digests of rejected secrets in the store (any 16 bytes or
	// more that stay the same over restarts and are not in the store): with
	// another key, every secret looks changed and all counts begin anew. Required.
	DigestKey []byte

	// Resolve asks DNS for the addresses of a name; nil: the system's resolver for
	// what people type, and none for what devices call themselves.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
}

// WithDefaults returns o with what may be left out filled.
func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// scope finds what holds for a device: the scope of its address, else the one
// that it was found in. Outside every scope the zero Scope holds, which has no
// credentials.
func (n Network) scope(dev Device) Scope {
	if n.ScopeOf != nil && dev.Address.IsValid() {
		if sc, ok := n.ScopeOf(dev.Address); ok {
			return sc
		}
	}
	return Scope{}
}

// named returns the scope with that name.
func (n Network) named(name string) (Scope, bool) {
	for _, sc := range n.Scopes {
		if sc.Name == name {
			return sc, true
		}
	}
	return Scope{}, false
}

// resolve reads one credential with its secrets.
func (n Network) resolve(ctx context.Context, name string) (collector.Credential, error) {
	if n.Credential == nil {
		return collector.Credential{}, errors.New("no credentials are configured")
	}
	c, err := n.Credential(ctx, name)
	if err != nil {
		return collector.Credential{}, err // names the credential
	}
	c.Name = name
	return c, nil
}

// remember returns n with credentials that are read once and then known: their
// secrets may come from a command, which must not run once a device.
func (n Network) remember(m *credentials) Network {
	read := n.Credential
	if read == nil {
		return n
	}
	n.Credential = func(ctx context.Context, name string) (collector.Credential, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if k, ok := m.known[name]; ok {
			return k.c, k.err
		}
		c, err := read(ctx, name)
		if ctx.Err() == nil {
			m.known[name] = knownCredential{c, err}
		}
		return c, err
	}
	return n
}

// credentials are those that were read in one run.
type credentials struct {
	mu    sync.Mutex // guards known; held while a secret is read, so that it is read once
	known map[string]knownCredential
}

type knownCredential struct {
	c   collector.Credential
	err error
}

func newCredentials() *credentials { return &credentials{known: map[string]knownCredential{}} }

// changed takes over a credential that was read again.
func (m *credentials) changed(c collector.Credential) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[c.Name] = knownCredential{c: c}
}

// Port is the TCP port where sessions with dev are opened.
func (n Network) Port(dev Device) uint16 { return sshAddr(dev, n.scope(dev)).Port() }

// Telnet reports whether dev is read by Telnet, since its scope says so.
func (n Network) Telnet(dev Device) bool { return n.scope(dev).TelnetPort != 0 }

// SSHTarget is where and how to open a session at dev with a credential: by SSH,
// or by Telnet where the scope says so.
func (n Network) SSHTarget(dev Device, c collector.Credential, keys []Key) collector.Target {
	sc := n.scope(dev)
	t := n.target(dev, sc, c)
	t.Addr, t.Telnet = sshAddr(dev, sc), sc.TelnetPort != 0
	t.SSH = collector.SSHPolicy{Algorithms: sc.Algorithms, HostKeys: sc.HostKeys}
	if dev.Algorithms != "" {
		t.SSH.Algorithms = dev.Algorithms
	}
	for _, k := range keys {
		if k.State == KeyPinned {
			t.SSH.Pinned = append(t.SSH.Pinned, k.HostKey)
		}
	}
	return t
}

// SNMPTarget is where and how to ask dev's agent with a credential.
func (n Network) SNMPTarget(dev Device, c collector.Credential) collector.Target {
	sc := n.scope(dev)
	if c.Kind == collector.KindSNMPv3 && c.PrivProtocol != "" && strings.TrimSuffix(dev.SNMPDetail, "c") == c.PrivProtocol {
		c.PrivProtocol = dev.SNMPDetail // the form of key extension that this agent understood
	}
	t := n.target(dev, sc, c)
	t.Addr = netip.AddrPortFrom(dev.Address, first(sc.SNMPPort, 161))
	return t
}

func (n Network) target(dev Device, sc Scope, c collector.Credential) collector.Target {
	t := collector.Target{Device: dev.Name, Source: sc.Source, Scope: sc.Name, Credential: c, Limits: sc.Limits}
	if t.Source.IsValid() && t.Source.Unmap().Is4() != dev.Address.Unmap().Is4() {
		t.Source = netip.Addr{} // an address of the other family cannot ask
	}
	if dev.Timeout > 0 {
		t.Limits.FirstByte, t.Limits.Silence = dev.Timeout, dev.Timeout
		// A device that is slow to answer is slow to let in; less than the usual is
		// no use there, since a login that got no answer counts as a rejected one.
		t.Limits.Login = max(t.Limits.WithDefaults().Login, dev.Timeout)
	}
	return t
}

// first returns the first that is not zero.
func first[T comparable](all ...T) T {
	var zero T
	i := slices.IndexFunc(all, func(v T) bool { return v != zero })
	if i < 0 {
		return zero
	}
	return all[i]
}
