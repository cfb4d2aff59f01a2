package settings

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"muster/collector"
	"muster/internal/secret"
)

// Credential is one account or community as the settings name it: where its
// secrets are, not what they are.
type Credential struct {
	Name string
	Kind collector.CredentialKind
	User string

	Password, Key, Passphrase, Enable Ref // ssh
	Community                         Ref // snmp-v1, snmp-v2c

	AuthProtocol string // snmp-v3; empty: noAuthNoPriv
	Auth         Ref
	PrivProtocol string // empty: authNoPriv
	Priv         Ref

	For []netip.Prefix // only there; empty: everywhere in the scopes that name it
}

// Refs are the credential's references to secrets.
func (c Credential) Refs() []Ref {
	return slices.DeleteFunc([]Ref{c.Password, c.Key, c.Passphrase, c.Enable, c.Community, c.Auth, c.Priv}, Ref.IsZero)
}

// Rereadable reports whether one of its secrets may have changed meanwhile.
func (c Credential) Rereadable() bool { return slices.ContainsFunc(c.Refs(), Ref.Rereadable) }

// Resolve reads the credential's secrets now.
func (c Credential) Resolve(ctx context.Context, sealed Sealed) (collector.Credential, error) {
	got := collector.Credential{
		Name: c.Name, Kind: c.Kind, User: c.User,
		AuthProtocol: c.AuthProtocol, PrivProtocol: c.PrivProtocol, For: slices.Clone(c.For),
	}
	for _, part := range []struct {
		key  string
		from Ref
		into *secret.Value
		kept *collector.Place
	}{
		{"password", c.Password, &got.Password, &got.Kept.Password},
		{"key", c.Key, &got.Key, &got.Kept.Key},
		{"passphrase", c.Passphrase, &got.Passphrase, &got.Kept.Passphrase},
		{"enable", c.Enable, &got.Enable, &got.Kept.Enable},
		{"community", c.Community, &got.Community, nil},
		{"auth.password", c.Auth, &got.Auth, nil},
		{"priv.password", c.Priv, &got.Priv, nil},
	} {
		v, err := part.from.Resolve(ctx, sealed)
		if err != nil {
			return collector.Credential{}, fmt.Errorf("credential %s: %s: %w", c.Name, part.key, err)
		}
		*part.into = v
		if part.kept != nil {
			*part.kept = part.from.place()
		}
	}
	return got, nil
}

// credentialKind is what a kind of credential takes, and of that what it cannot
// do without.
type credentialKind struct {
	kind         collector.CredentialKind
	takes, needs []string
}

var credentialKinds = []credentialKind{
	{collector.KindSSH, []string{"user", "password", "key", "passphrase", "enable"}, []string{"user"}},
	{collector.KindSNMPv1, []string{"community"}, []string{"community"}},
	{collector.KindSNMPv2c, []string{"community"}, []string{"community"}},
	{collector.KindSNMPv3, []string{"user", "auth", "priv"}, []string{"user"}},
}

var (
	authProtocols = []string{"md5", "sha", "sha224", "sha256", "sha384", "sha512"}
	privProtocols = []string{"des", "aes", "aes192", "aes256", "aes192c", "aes256c"}
)

func (r *reader) credential(n ast.Node, path string) Credential {
	r.quiet = true
	defer func() { r.quiet = false }()
	var c Credential
	var kind string
	before := len(r.faults)
	given := make(map[string]ast.Node) // keys of some kinds only
	keep := func(key string, read field) field {
		return func(n ast.Node, path string) {
			given[key] = n
			read(n, path)
		}
	}
	usm := func(protocol *string, protocols []string, password *Ref) field {
		return func(n ast.Node, path string) {
			at := len(r.faults)
			if r.mapping(n, path, map[string]field{
				"protocol": func(n ast.Node, path string) { r.oneOf(n, path, protocol, protocols...) },
				"password": r.ref(password),
			}) && len(r.faults) == at && (*protocol == "" || password.IsZero()) {
				r.fault(n, path, "this needs a protocol (%s) and a password", words(protocols))
			}
		}
	}
	kinds := make([]string, len(credentialKinds))
	for i, k := range credentialKinds {
		kinds[i] = string(k.kind)
	}
	if !r.mapping(n, path, map[string]field{
		"name":       func(n ast.Node, path string) { r.name(n, path, &c.Name) },
		"kind":       func(n ast.Node, path string) { r.oneOf(n, path, &kind, kinds...) },
		"user":       keep("user", r.textInto(&c.User)),
		"password":   keep("password", r.ref(&c.Password)),
		"key":        keep("key", r.ref(&c.Key)),
		"passphrase": keep("passphrase", r.ref(&c.Passphrase)),
		"enable":     keep("enable", r.ref(&c.Enable)),
		"community":  keep("community", r.ref(&c.Community)),
		"auth":       keep("auth", usm(&c.AuthProtocol, authProtocols, &c.Auth)),
		"priv":       keep("priv", usm(&c.PrivProtocol, privProtocols, &c.Priv)),
		"for":        r.prefixes(&c.For),
	}) {
		r.missing(n, path, before, "a credential is a map with name and kind")
		return c
	}
	c.Kind = collector.CredentialKind(kind)
	if c.Name == "" {
		r.missing(n, path, before, "the credential has no name")
	}
	if kind == "" {
		r.missing(n, path, before, "the credential has no kind. It can be "+words(kinds))
		return c
	}
	r.fields(n, path, before, c, given)
	return c
}

// fields holds what a credential has against what its kind takes and needs. What
// it lacks is told only where nothing in it was misread: the key may be there,
// misspelt.
func (r *reader) fields(n ast.Node, path string, before int, c Credential, given map[string]ast.Node) {
	i := slices.IndexFunc(credentialKinds, func(k credentialKind) bool { return k.kind == c.Kind })
	k := credentialKinds[i]
	for key, at := range given {
		if !slices.Contains(k.takes, key) {
			r.fault(at, path+"."+key, "a credential of kind %s has no %s. It takes %s", c.Kind, key, words(k.takes))
		}
	}
	for _, key := range k.needs {
		if _, ok := given[key]; !ok {
			r.missing(n, path, before, fmt.Sprintf("a credential of kind %s needs %s", c.Kind, key))
		}
	}
	has := func(key string) bool { _, ok := given[key]; return ok }
	switch {
	case c.Kind == collector.KindSSH && !has("password") && !has("key"):
		r.missing(n, path, before, "a credential of kind ssh needs a password or a key")
	case has("passphrase") && !has("key") && c.Kind == collector.KindSSH:
		r.fault(given["passphrase"], path+".passphrase", "a passphrase is of a key, and there is none here")
	case has("priv") && !has("auth") && c.Kind == collector.KindSNMPv3:
		r.fault(given["priv"], path+".priv", "SNMPv3 has no privacy without authentication (RFC 3411). Add auth, or take priv out")
	}
}

// missing notes that something is not there, unless a fault since before says
// already why.
func (r *reader) missing(n ast.Node, path string, before int, reason string) {
	if len(r.faults) == before {
		r.fault(n, path, "%s", reason)
	}
}

// prefixes reads networks, ranges and addresses, of which names make no sense.
func (r *reader) prefixes(into *[]netip.Prefix) field {
	return func(n ast.Node, path string) {
		var all Addresses
		r.list(n, path, r.numericAddress(&all, "it decides where a password may go"))
		*into = all.prefixes()
	}
}
