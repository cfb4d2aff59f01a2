// Package settings reads muster.yaml into typed values.
//
// The file is the truth for scopes, credentials, schedules, receivers and the
// pages. It can live in git, since a secret is a reference ([Ref]) and never
// written out. Reading is strict: an unknown key, a value of the wrong kind, a
// name that nothing has and addresses that two scopes claim are faults, all told
// at once, each with its line and column, what is wrong and the nearest right
// thing. A message never quotes what could be a secret.
//
// YAML stops here: what the rest of the program gets are [Settings] and package
// collector's types.
package settings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "time/tzdata" // machines without zone files know them all

	"github.com/goccy/go-yaml/ast"
)

// Settings are one muster.yaml, with defaults filled in.
type Settings struct {
	File        string         // where it was read from
	Timezone    *time.Location // of schedules and of times shown to people; UTC where the file says nothing
	Key         string         // file of the master key, absolute; empty: found elsewhere
	Credentials []Credential
	Scopes      []Scope
	Schedules   Schedules
	Receivers   []Receiver
	Alerts      []AlertRule
	Maintenance []Maintenance
	Web         Web
	Retention   Retention

	// Warnings are what is allowed and probably not meant. Nothing is refused for
	// their sake.
	Warnings Faults

	hosts hosts
}

// hosts are the addresses that host names in scopes were last resolved to.
type hosts struct {
	sync.Mutex // guards all below
	scopes     map[netip.Addr]int
	addrs      map[string][]netip.Addr
}

// Options are what reading needs from packages above this one.
type Options struct {
	// CheckCron says what is wrong with a cron expression; nil: nothing is looked at.
	CheckCron func(expr string) error
	// AlertKinds are the kinds of alerts that exist; nil: those of AlertKinds.
	AlertKinds []string
	// CheckFilter says what is wrong with a filter of devices; nil: nothing is looked at.
	CheckFilter func(text string) error
	// CronTimes lists the next times of a cron expression; nil: what hangs on them
	// is not looked at.
	CronTimes func(expr string, zone *time.Location, from time.Time, n int) ([]time.Time, error)
}

// Load reads a settings file. Its error is Faults where the file is faulty.
func Load(file string, o Options) (*Settings, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("settings %s: %w", file, err)
	}
	data, err := os.ReadFile(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("settings: %s is not there: %w. Write one with muster init, or name yours with --config", file, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("settings: %w", err)
	}
	s, faults := Parse(abs, data, o)
	return s, faults.Err()
}

// Parse reads the text of a settings file; file names it in messages, and
// relative paths in it count from its directory. Where there is a fault, there
// are no settings.
func Parse(file string, data []byte, o Options) (*Settings, Faults) {
	if o.CheckCron == nil {
		o.CheckCron = func(string) error { return nil }
	}
	if o.CheckFilter == nil {
		o.CheckFilter = func(string) error { return nil }
	}
	if o.AlertKinds == nil {
		o.AlertKinds = AlertKinds()
	}
	r := &reader{file: file, anchors: make(map[string]ast.Node)}
	s := r.settings(r.parse(data), o)
	if len(r.faults) > 0 {
		r.faults.sort()
		return nil, r.faults
	}
	return s, nil
}

func (r *reader) settings(top ast.Node, o Options) *Settings {
	s := &Settings{
		File: r.file, Timezone: time.UTC, Schedules: DefaultSchedules(), Web: Web{Listen: DefaultListen},
		Retention: Retention{Runs: defaultRunsKept, Events: defaultEventsKept},
	}
	var scopes, rules, works []ast.Node
	var rulePaths, workPaths []string
	names := make(map[string]bool)
	once := func(what, name string, n ast.Node, path string) {
		if name != "" && names[what+" "+name] {
			r.fault(n, path+".name", "a second %s has the name %s", what, name)
		}
		names[what+" "+name] = true
	}
	r.mapping(top, "", map[string]field{
		"timezone": r.timezone(&s.Timezone),
		"key": func(n ast.Node, path string) {
			if r.textInto(&s.Key)(n, path); s.Key != "" && !filepath.IsAbs(s.Key) {
				s.Key = filepath.Join(filepath.Dir(r.file), s.Key)
			}
		},
		"credentials": func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				c := r.credential(n, path)
				once("credential", c.Name, n, path)
				s.Credentials = append(s.Credentials, c)
			})
		},
		"scopes": func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				c := r.scope(n, path)
				once("scope", c.Name, n, path)
				s.Scopes, scopes = append(s.Scopes, c), append(scopes, n)
			})
		},
		"schedules": r.schedules(&s.Schedules, o.CheckCron),
		"receivers": func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				v := r.receiver(n, path)
				once("receiver", v.Name, n, path)
				s.Receivers = append(s.Receivers, v)
			})
		},
		"alerts": func(n ast.Node, path string) { // after the receivers, wherever they stand
			r.list(n, path, func(n ast.Node, path string) { rules, rulePaths = append(rules, n), append(rulePaths, path) })
		},
		"maintenance": func(n ast.Node, path string) { // after the scopes and the time zone
			r.list(n, path, func(n ast.Node, path string) { works, workPaths = append(works, n), append(workPaths, path) })
		},
		"web": func(n ast.Node, path string) {
			if r.off(n) {
				s.Web = Web{}
				return
			}
			r.mapping(n, path, map[string]field{
				"listen": func(n ast.Node, path string) { r.listen(n, path, &s.Web.Listen) },
			})
		},
		"retention": func(n ast.Node, path string) {
			r.mapping(n, path, map[string]field{
				"runs":   r.spanInto(&s.Retention.Runs, day, 36500*day),
				"events": r.spanInto(&s.Retention.Events, day, 36500*day),
			})
		},
	})
	for i, n := range scopes {
		r.scopeCredentials(s, i, n)
	}
	r.clashes(s.Scopes, scopes)
	var receivers []string
	for _, v := range s.Receivers {
		receivers = append(receivers, v.Name)
	}
	for i, n := range rules {
		s.Alerts = append(s.Alerts, r.alertRule(n, rulePaths[i], o.AlertKinds, receivers))
	}
	for i, n := range works {
		m := r.maintenance(n, workPaths[i], s, o)
		once("maintenance", m.Name, n, workPaths[i])
		s.Maintenance = append(s.Maintenance, m)
	}
	return s
}

func (r *reader) timezone(into **time.Location) field {
	return func(n ast.Node, path string) {
		text, ok := r.text(n, path)
		if !ok {
			return
		}
		zone, err := time.LoadLocation(text)
		if err != nil || text == "" || text == "Local" {
			r.fault(n, path, "%q is no time zone. Write a name such as Europe/Paris or UTC", shorten(text))
			return
		}
		*into = zone
	}
}

// scopeCredentials holds the credentials that a scope names against those that
// there are, and notes what is probably not meant.
func (r *reader) scopeCredentials(s *Settings, i int, n ast.Node) {
	scope, path := s.Scopes[i], fmt.Sprintf("scopes[%d]", i)
	var known []string
	for _, c := range s.Credentials {
		known = append(known, c.Name)
	}
	snmp, ssh := false, false
	for j, name := range scope.Credentials {
		r.named(credentialNode(r, n, j), fmt.Sprintf("%s.credentials[%d]", path, j), "credential", name, known)
		if slices.Index(scope.Credentials, name) < j {
			r.fault(credentialNode(r, n, j), fmt.Sprintf("%s.credentials[%d]", path, j), "credential %s is named twice", shorten(name))
		}
		if c, ok := s.Credential(name); ok {
			snmp, ssh = snmp || c.Kind.SNMP(), ssh || !c.Kind.SNMP()
		}
	}
	line, column := place(n)
	warn := func(format string, a ...any) {
		s.Warnings = append(s.Warnings, Fault{File: r.file, Line: line, Column: column, Path: path, Reason: fmt.Sprintf(format, a...)})
	}
	switch {
	case !snmp && !ssh:
		warn("scope %s names no credential: nothing can be found or backed up there", scope.Name)
	case !snmp:
		warn("scope %s names no SNMP credential: devices are found only when someone adds them (muster device add)", scope.Name)
	case !ssh:
		warn("scope %s names no SSH credential: devices are found and not backed up", scope.Name)
	}
	if scope.Telnet != 0 {
		warn("%s", scope.TelnetWarning())
	}
	if name := scope.SSH.Via.Credential; name != "" {
		r.named(n, path+".ssh.via.credential", "credential", name, known)
		if c, ok := s.Credential(name); ok && c.Kind.SNMP() {
			r.fault(n, path+".ssh.via.credential", "credential %s is one for SNMP. A jump host is logged in to by SSH", shorten(name))
		}
	}
}

// credentialNode finds where a scope names its j-th credential.
func credentialNode(r *reader, scope ast.Node, j int) ast.Node {
	m, ok := r.value(scope, "").(ast.MapNode)
	if !ok {
		return scope
	}
	for it := m.MapRange(); it.Next(); {
		if t := it.Key().GetToken(); t == nil || t.Value != "credentials" {
			continue
		}
		if list, ok := r.value(it.Value(), "").(*ast.SequenceNode); ok && j < len(list.Values) {
			return list.Values[j]
		}
	}
	return scope
}

// Credential finds a credential by name.
func (s *Settings) Credential(name string) (Credential, bool) {
	i := slices.IndexFunc(s.Credentials, func(c Credential) bool { return c.Name == name })
	if i < 0 {
		return Credential{}, false
	}
	return s.Credentials[i], true
}

// Scope finds a scope by name.
func (s *Settings) Scope(name string) (Scope, bool) {
	i := slices.IndexFunc(s.Scopes, func(c Scope) bool { return c.Name == name })
	if i < 0 {
		return Scope{}, false
	}
	return s.Scopes[i], true
}

// SecretNames are the names of secrets in the store that the settings refer to,
// each once, in their order.
func (s *Settings) SecretNames() []string {
	var all []string
	note := func(refs []Ref) {
		for _, ref := range refs {
			if ref.Secret != "" && !slices.Contains(all, ref.Secret) {
				all = append(all, ref.Secret)
			}
		}
	}
	for _, c := range s.Credentials {
		note(c.Refs())
	}
	for _, v := range s.Receivers {
		note(v.Refs())
	}
	return all
}

// NearestSecret is the name among [Settings.SecretNames] that was probably meant
// by another one; empty: none is near.
func (s *Settings) NearestSecret(name string) string { return nearest(name, s.SecretNames()) }

// ResolveHosts looks up the host names of all scopes, so that ScopeOf and
// HostAddresses know them. What could not be looked up keeps its last addresses
// and is told of in the result, a sentence each.
func (s *Settings) ResolveHosts(ctx context.Context, lookup func(ctx context.Context, host string) ([]netip.Addr, error)) []error {
	var errs []error
	scopes, addrs := make(map[netip.Addr]int), make(map[string][]netip.Addr)
	for i, scope := range s.Scopes {
		for _, host := range scope.Addresses.Hosts {
			found, err := lookup(ctx, host)
			if err == nil && len(found) == 0 {
				err = errors.New("none in the answer")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("scope %s: host name %s has no address: %w. Correct it in %s, or write the address", scope.Name, host, err, s.File))
				found = s.HostAddresses(host)
			}
			var kept []netip.Addr
			for _, addr := range found {
				addr = addr.Unmap().WithZone("")
				if scope.Exclude.Contains(addr) {
					continue
				}
				kept = append(kept, addr)
				if _, taken := scopes[addr]; !taken {
					scopes[addr] = i
				}
			}
			addrs[host] = kept
		}
	}
	s.hosts.Lock()
	defer s.hosts.Unlock()
	s.hosts.scopes, s.hosts.addrs = scopes, addrs
	return errs
}

// HostAddresses are the addresses that a host name of a scope was last resolved to.
func (s *Settings) HostAddresses(host string) []netip.Addr {
	s.hosts.Lock()
	defer s.hosts.Unlock()
	return slices.Clone(s.hosts.addrs[strings.ToLower(host)])
}

// AddressesOf lists the addresses to ask in a scope: those of its networks and
// ranges that belong to no other scope, then its host names' as they were last
// resolved, each once. A stop before the end is a return of yield.
func (s *Settings) AddressesOf(name string) func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		at := slices.IndexFunc(s.Scopes, func(sc Scope) bool { return sc.Name == name })
		if at < 0 {
			return
		}
		scope := &s.Scopes[at]
		for addr := range scope.Addresses.Each(scope.Exclude) {
			if s.ownerOf(addr) == at && !yield(addr) {
				return
			}
		}
		seen := make(map[netip.Addr]bool)
		for _, host := range scope.Addresses.Hosts {
			for _, addr := range s.HostAddresses(host) {
				if seen[addr] || scope.Addresses.Contains(addr) {
					continue
				}
				seen[addr] = true
				if s.ownerOf(addr) == at && !yield(addr) {
					return
				}
			}
		}
	}
}
