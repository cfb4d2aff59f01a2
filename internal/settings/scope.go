package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"muster/collector"
)

// Approval says what becomes of a changed configuration by itself.
type Approval struct {
	Mode string        // "manual", "after", "at-once"
	Age  time.Duration // of "after"
}

// SNMP is how a scope is asked by SNMP.
type SNMP struct {
	Port uint16
	Rate int // packets a second over the whole scope
}

// SSH is how a scope's devices are logged in to.
type SSH struct {
	Port        uint16
	Algorithms  collector.Algorithms
	HostKeys    collector.HostKeyPolicy
	Concurrency int // sessions at a time
	Via         Via
}

// Via is the jump host of a scope; the zero value is none.
type Via struct {
	Host       string // its name in the inventory, or its address
	Credential string // for an address; empty: the jump host is a device of the inventory
}

// Scope is a named set of addresses with what holds there.
type Scope struct {
	Name        string
	Addresses   Addresses
	Exclude     Addresses
	Credentials []string // names, in the order in which they are tried
	Site        string
	PasswordsTo string // "identified", "authenticated", "any"
	Declared    bool   // platforms that are only declared may be opened
	Approval    Approval
	Source      netip.Addr // own address to ask from; invalid: the kernel's choice
	SNMP        SNMP
	SSH         SSH
	Telnet      uint16           // TCP port; devices are read by Telnet instead of SSH. 0: they are not
	Timeouts    collector.Limits // zero fields: the default, or the platform's

	BlackoutHours []Hours // in which nothing that is scheduled opens a session; see [Scope.Blackout]
}

// Contains reports whether addr was written into the scope and not excluded. To
// which scope it belongs where several contain it: [Settings.ScopeOf].
func (s Scope) Contains(addr netip.Addr) bool {
	return s.Addresses.Contains(addr) && !s.Exclude.Contains(addr)
}

// TelnetWarning is what who says telnet has to know.
func (s Scope) TelnetWarning() string {
	return fmt.Sprintf("scope %s says telnet: passwords and configurations travel in clear to its devices, and nothing proves who answers", s.Name)
}

// Defaults of a scope, as the template shows them.
const (
	defaultApprovalAge = 7 * day
	defaultRate        = 100
	defaultConcurrency = 20
)

func (r *reader) scope(n ast.Node, path string) Scope {
	s := Scope{
		PasswordsTo: "identified",
		Approval:    Approval{Mode: "after", Age: defaultApprovalAge},
		SNMP:        SNMP{Port: 161, Rate: defaultRate},
		SSH:         SSH{Port: 22, Algorithms: collector.Modern, HostKeys: collector.AcceptNew, Concurrency: defaultConcurrency},
	}
	before := len(r.faults)
	declared := "refuse"
	if !r.mapping(n, path, map[string]field{
		"name": func(n ast.Node, path string) { r.name(n, path, &s.Name) },
		"addresses": func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) { r.address(n, path, &s.Addresses) })
		},
		"exclude": func(n ast.Node, path string) {
			r.list(n, path, r.numericAddress(&s.Exclude, "a name can change its address, and what is excluded must stay so"))
		},
		"credentials": func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				if text, ok := r.text(n, path); ok {
					s.Credentials = append(s.Credentials, text)
				}
			})
		},
		"site":         r.textInto(&s.Site),
		"passwords_to": func(n ast.Node, path string) { r.oneOf(n, path, &s.PasswordsTo, "identified", "authenticated", "any") },
		"declared":     func(n ast.Node, path string) { r.oneOf(n, path, &declared, "refuse", "allow") },
		"approval":     r.approval(&s.Approval),
		"source": func(n ast.Node, path string) {
			text, ok := r.text(n, path)
			if !ok {
				return
			}
			addr, err := netip.ParseAddr(text)
			if err != nil {
				r.fault(n, path, "%q is no address. Write an own address of this machine, e.g. 192.0.2.250", shorten(text))
				return
			}
			s.Source = addr.Unmap()
		},
		"snmp": func(n ast.Node, path string) {
			r.mapping(n, path, map[string]field{
				"port": r.port(&s.SNMP.Port),
				"rate": func(n ast.Node, path string) { r.number(n, path, &s.SNMP.Rate, 1, 100_000) },
			})
		},
		"ssh": func(n ast.Node, path string) {
			var algorithms, hostKeys string
			r.mapping(n, path, map[string]field{
				"port": r.port(&s.SSH.Port),
				"algorithms": func(n ast.Node, path string) {
					r.oneOf(n, path, &algorithms, string(collector.Modern), string(collector.Compatible), string(collector.Legacy))
				},
				"host_keys": func(n ast.Node, path string) {
					r.oneOf(n, path, &hostKeys, string(collector.AcceptNew), string(collector.Strict))
				},
				"concurrency": func(n ast.Node, path string) { r.number(n, path, &s.SSH.Concurrency, 1, 1000) },
				"via":         func(n ast.Node, path string) { r.via(n, path, &s.SSH.Via) },
			})
			if algorithms != "" {
				s.SSH.Algorithms = collector.Algorithms(algorithms)
			}
			if hostKeys != "" {
				s.SSH.HostKeys = collector.HostKeyPolicy(hostKeys)
			}
		},
		"telnet": func(n ast.Node, path string) {
			s.Telnet = 23
			r.mapping(n, path, map[string]field{"port": r.port(&s.Telnet)})
		},
		"timeouts": r.timeouts(&s.Timeouts),
		"blackout": r.blackout(&s),
	}) {
		r.missing(n, path, before, "a scope is a map with name and addresses")
		return s
	}
	s.Declared = declared == "allow"
	if s.Telnet != 0 && s.SSH.HostKeys == collector.Strict {
		r.fault(n, path+".telnet", "the scope says telnet and host_keys: strict, and Telnet has no host keys. Leave one of them out")
	}
	if s.Name == "" {
		r.missing(n, path, before, "the scope has no name")
	}
	if s.Addresses.Empty() {
		r.missing(n, path, before, "the scope has no addresses")
	}
	if s.Addresses.Count(s.Exclude) > addressesMax {
		r.fault(n, path, "the scope has over %d addresses, which no sweep gets through in a night. Write the networks where devices are", addressesMax)
	}
	return s
}

func (r *reader) address(n ast.Node, path string, into *Addresses) {
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	if err := into.add(text); err != nil {
		if r.quiet {
			r.fault(n, path, "this is no address, network or range. Write 192.0.2.0/24, 192.0.2.10-192.0.2.50 or 192.0.2.1")
			return
		}
		r.fault(n, path, "%s", err)
	}
}

// numericAddress reads a network, range or address where a name is refused.
func (r *reader) numericAddress(into *Addresses, why string) field {
	return func(n ast.Node, path string) {
		if r.address(n, path, into); len(into.Hosts) > 0 {
			r.fault(n, path, "this must be a network, a range or an address, and no host name: %s", why)
			into.Hosts = nil
		}
	}
}

func (r *reader) port(into *uint16) field {
	return func(n ast.Node, path string) {
		i := int(*into)
		r.number(n, path, &i, 1, 65535)
		*into = uint16(i) //nolint:gosec // number has checked the range
	}
}

func (r *reader) approval(into *Approval) field {
	return func(n ast.Node, path string) {
		text, ok := r.text(n, path)
		if !ok {
			return
		}
		mode, age, _ := strings.Cut(text, " ")
		switch {
		case text == "manual" || text == "at-once":
			*into = Approval{Mode: text}
			return
		case mode == "after":
			d, err := Span(strings.TrimSpace(age))
			if err == nil && d > 0 && d <= 3650*day {
				*into = Approval{Mode: mode, Age: d}
				return
			}
		}
		r.fault(n, path, "%q is no approval. Write manual, after 7d or at-once", shorten(text))
	}
}

// via is a device of the inventory, or an address with an account for it.
func (r *reader) via(n ast.Node, path string, into *Via) {
	if _, ok := r.value(n, path).(ast.MapNode); ok {
		before := len(r.faults)
		var v Via
		r.mapping(n, path, map[string]field{
			"address": func(n ast.Node, path string) {
				text, ok := r.text(n, path)
				if !ok {
					return
				}
				addr, err := netip.ParseAddr(text)
				if err != nil {
					r.fault(n, path, "this is no address. Write the jump host's, e.g. 192.0.2.1")
					return
				}
				v.Host = addr.Unmap().String()
			},
			"credential": r.textInto(&v.Credential),
		})
		if len(r.faults) > before {
			return
		}
		if v.Host == "" || v.Credential == "" {
			r.missing(n, path, before, "a jump host that is no device of the inventory needs both: { address: 192.0.2.1, credential: NAME }")
		}
		*into = v
		return
	}
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	if text == "" || strings.ContainsAny(text, " \t\n@") {
		r.fault(n, path, "%q is no name or address of a device. Write the jump host's, without a user", shorten(text))
		return
	}
	into.Host = text
}

// timeouts reads the deadlines that differ from the defaults of package collector.
func (r *reader) timeouts(into *collector.Limits) field {
	const least, most = 100 * time.Millisecond, time.Hour
	return func(n ast.Node, path string) {
		r.mapping(n, path, map[string]field{
			"connect":      r.spanInto(&into.Connect, least, most),
			"key_exchange": r.spanInto(&into.KeyExchange, least, most),
			"login":        r.spanInto(&into.Login, least, most),
			"first_byte":   r.spanInto(&into.FirstByte, least, most),
			"silence":      r.spanInto(&into.Silence, least, most),
			"session":      r.spanInto(&into.Session, least, 24*time.Hour),
			"snmp":         r.spanInto(&into.SNMPTimeout, least, most),
			"snmp_retries": func(n ast.Node, path string) {
				retries := -1
				r.number(n, path, &retries, 0, 10)
				if into.SNMPRetries = retries; retries == 0 {
					into.SNMPRetries = -1 // none; 0 is collector's default
				}
			},
		})
	}
}

// ScopeOf finds the scope that an address belongs to: of those that contain it,
// the one with the smallest network or range around it. Host names count once
// they are resolved, see [Settings.ResolveHosts].
func (s *Settings) ScopeOf(addr netip.Addr) (Scope, bool) {
	at := s.ownerOf(addr)
	if at < 0 {
		return Scope{}, false
	}
	return s.Scopes[at], true
}

// ownerOf is the number of the scope that an address belongs to, -1 for none.
func (s *Settings) ownerOf(addr netip.Addr) int {
	addr = addr.Unmap().WithZone("")
	best, at := entry{}, -1
	for i := range s.Scopes {
		scope := &s.Scopes[i]
		for _, e := range scope.Addresses.entries {
			if !e.contains(addr) || at >= 0 && !e.within(best) || scope.Exclude.Contains(addr) {
				continue
			}
			best, at = e, i
		}
	}
	if at < 0 || best.first != best.last { // a name is as exact as an address
		s.hosts.Lock()
		defer s.hosts.Unlock()
		if byHost, ok := s.hosts.scopes[addr]; ok {
			at = byHost
		}
	}
	return at
}

// clashes notes networks that two scopes have alike, and ranges that cross: the
// address would belong to both, or to the one that was read last.
func (r *reader) clashes(scopes []Scope, nodes []ast.Node) {
	type owned struct {
		entry
		scope int
	}
	var all []owned
	for i, s := range scopes {
		for _, e := range s.Addresses.entries {
			all = append(all, owned{e, i})
		}
	}
	slices.SortStableFunc(all, func(a, b owned) int { return a.first.Compare(b.first) })
	for i, a := range all {
		for _, b := range all[i+1:] {
			if b.first.Compare(a.last) > 0 || len(r.faults) > 100 { // a whole list that is there twice is told often enough
				break
			}
			if a.scope == b.scope || !a.overlaps(b.entry) {
				continue
			}
			earlier, later := a, b
			if a.scope > b.scope {
				earlier, later = b, a
			}
			switch {
			case a.equals(b.entry):
				r.fault(nodes[later.scope], "scopes", "%s is in scope %s and in scope %s. An address has one scope: take it out of one of them", later.written, scopes[earlier.scope].Name, scopes[later.scope].Name)
			case !a.within(b.entry) && !b.within(a.entry):
				r.fault(nodes[later.scope], "scopes", "%s in scope %s and %s in scope %s cross. An address has one scope: let one of them end where the other begins", later.written, scopes[later.scope].Name, earlier.written, scopes[earlier.scope].Name)
			}
		}
	}
}
