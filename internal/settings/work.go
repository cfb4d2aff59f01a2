package settings

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// CronEntry starts a job at times of the wall clock, in the settings' time zone.
type CronEntry struct {
	Cron  string        // five fields, or @daily and the like; empty: never by itself
	Splay time.Duration // the start is put off by a random part of it
}

// Reachability is how often and how devices are asked whether they are there.
type Reachability struct {
	Every     time.Duration // 0: never
	DownAfter time.Duration // a device is down when nothing answered for so long
	TCPEvery  time.Duration // least time between two knocks on a CLI port
}

// Schedules are what muster does by itself.
type Schedules struct {
	Discovery    CronEntry
	Backup       CronEntry
	Housekeeping CronEntry
	Reachability Reachability
}

// DefaultSchedules hold where the file says nothing.
func DefaultSchedules() Schedules {
	return Schedules{
		Discovery:    CronEntry{Cron: "20 3 * * 0"},
		Backup:       CronEntry{Cron: "20 4 * * *", Splay: 15 * time.Minute},
		Housekeeping: CronEntry{Cron: "50 5 * * *"},
		Reachability: Reachability{Every: time.Minute, DownAfter: 5 * time.Minute, TCPEvery: 5 * time.Minute},
	}
}

// Retention is how long the past is kept. Versions are kept for ever.
type Retention struct {
	Runs   time.Duration // runs, tasks and captures
	Events time.Duration // events, alerts that are over and intervals of states
}

// The kinds of receivers.
const (
	ReceiverLog     = "log"
	ReceiverWebhook = "webhook"
	ReceiverEmail   = "email"
	ReceiverSlack   = "slack"
	ReceiverTeams   = "teams"
)

// receiverKinds are all of them.
func receiverKinds() []string {
	return []string{ReceiverLog, ReceiverWebhook, ReceiverEmail, ReceiverSlack, ReceiverTeams}
}

// Receiver is where alerts are delivered.
type Receiver struct {
	Name string
	Kind string

	URL        string // webhook; empty where URLRef says it
	URLRef     Ref    // of an address that is a secret itself; a chat's always is
	SigningKey Ref    // of the HMAC of what is sent; zero: unsigned

	Diff string // of messages about drift: "none", or "redacted"; not for log

	To       []string // email
	From     string
	Server   string // host:port
	StartTLS string // "required", "opportunistic", "none"
	User     string // empty: no login
	Password Ref
}

// Refs are the receiver's references to secrets.
func (v Receiver) Refs() []Ref {
	return slices.DeleteFunc([]Ref{v.URLRef, v.SigningKey, v.Password}, Ref.IsZero)
}

// AlertRule says who is told of which alerts.
type AlertRule struct {
	Kinds        []string // empty: all
	To           []string // names of receivers
	Digest       string   // "none": at once; "daily": once a day together
	UnsavedAfter time.Duration
}

// AlertKinds are the kinds of alerts, as the plan lists them.
func AlertKinds() []string {
	return []string{
		"unreachable", "login-rejected", "credential-stopped", "host-key-changed", "backup-failed", "quarantined",
		"backup-overdue", "changed", "unsaved", "pending", "off-baseline", "device-replaced", "new-device",
		"identity-clash", "collector-isolated", "receiver-down", "store-problem",
	}
}

// Web is where the pages are served.
type Web struct {
	Listen string // address and port on loopback; empty: nowhere
}

// DefaultListen is where the pages are where the file says nothing.
const DefaultListen = "127.0.0.1:8470"

const (
	defaultUnsavedAfter = 2 * time.Hour
	defaultRunsKept     = 90 * day
	defaultEventsKept   = 400 * day
)

// off reads the word off in place of a map.
func (r *reader) off(n ast.Node) bool {
	s, ok := r.value(n, "").(*ast.StringNode)
	return ok && s.Value == "off"
}

func (r *reader) cronEntry(into *CronEntry, check func(string) error) field {
	return func(n ast.Node, path string) {
		if r.off(n) {
			*into = CronEntry{}
			return
		}
		r.mapping(n, path, map[string]field{
			"cron": func(n ast.Node, path string) {
				text, ok := r.text(n, path)
				if !ok {
					return
				}
				if err := check(text); err != nil {
					r.fault(n, path, "%s", err)
					return
				}
				into.Cron = text
			},
			"splay": r.spanInto(&into.Splay, 0, 12*time.Hour),
		})
	}
}

func (r *reader) schedules(into *Schedules, check func(string) error) field {
	return func(n ast.Node, path string) {
		r.mapping(n, path, map[string]field{
			"discovery":    r.cronEntry(&into.Discovery, check),
			"backup":       r.cronEntry(&into.Backup, check),
			"housekeeping": r.cronEntry(&into.Housekeeping, check),
			"reachability": func(n ast.Node, path string) {
				if r.off(n) {
					into.Reachability = Reachability{}
					return
				}
				v := &into.Reachability
				before := len(r.faults)
				r.mapping(n, path, map[string]field{
					"every":      r.spanInto(&v.Every, time.Second, day),
					"down_after": r.spanInto(&v.DownAfter, time.Second, 7*day),
					"tcp_every":  r.spanInto(&v.TCPEvery, time.Second, 7*day),
				})
				if len(r.faults) == before && v.DownAfter < v.Every {
					r.fault(n, path, "down_after (%s) is shorter than every (%s): a device would be down before it was asked again", SpanText(v.DownAfter), SpanText(v.Every))
				}
			},
		})
	}
}

// receiverTakes are the keys of each kind of receiver, besides name and kind; the
// first needs of them are what it cannot do without.
var receiverTakes = map[string]struct {
	keys  []string
	needs int
}{
	ReceiverLog:     {nil, 0},
	ReceiverWebhook: {[]string{"url", "signing_key", "diff"}, 1},
	ReceiverEmail:   {[]string{"to", "from", "server", "starttls", "user", "password", "diff"}, 3},
	ReceiverSlack:   {[]string{"url", "diff"}, 1},
	ReceiverTeams:   {[]string{"url", "diff"}, 1},
}

func (r *reader) receiver(n ast.Node, path string) Receiver {
	r.quiet = true
	defer func() { r.quiet = false }()
	v := Receiver{StartTLS: "required", Diff: "none"}
	before := len(r.faults)
	given := make(map[string]ast.Node)
	keep := func(key string, read field) field {
		return func(n ast.Node, path string) {
			given[key] = n
			read(n, path)
		}
	}
	if !r.mapping(n, path, map[string]field{
		"name":        func(n ast.Node, path string) { r.name(n, path, &v.Name) },
		"kind":        func(n ast.Node, path string) { r.oneOf(n, path, &v.Kind, receiverKinds()...) },
		"url":         keep("url", func(ast.Node, string) {}), // read below: what it may be hangs on kind
		"signing_key": keep("signing_key", r.ref(&v.SigningKey)),
		"diff":        keep("diff", func(n ast.Node, path string) { r.oneOf(n, path, &v.Diff, "none", "redacted") }),
		"to": keep("to", func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				var one string
				if r.mailAddress(n, path, &one); one != "" {
					v.To = append(v.To, one)
				}
			})
		}),
		"from":     keep("from", func(n ast.Node, path string) { r.mailAddress(n, path, &v.From) }),
		"server":   keep("server", r.server(&v.Server)),
		"starttls": keep("starttls", func(n ast.Node, path string) { r.oneOf(n, path, &v.StartTLS, "required", "opportunistic", "none") }),
		"user":     keep("user", r.textInto(&v.User)),
		"password": keep("password", r.ref(&v.Password)),
	}) {
		r.missing(n, path, before, "a receiver is a map with name and kind")
		return v
	}
	if at, ok := given["url"]; ok {
		if r.receiverURL(at, path+".url", &v); r.value(at, path) == nil {
			delete(given, "url") // nothing was written
		}
	}
	if v.Name == "" {
		r.missing(n, path, before, "the receiver has no name")
	}
	takes, ok := receiverTakes[v.Kind]
	if !ok {
		r.missing(n, path, before, "the receiver has no kind. It can be "+words(receiverKinds()))
		return v
	}
	for key, at := range given {
		if !slices.Contains(takes.keys, key) {
			r.fault(at, path+"."+key, "a receiver of kind %s has no %s. It takes name, kind%s", v.Kind, key, listed(takes.keys))
		}
	}
	for _, key := range takes.keys[:takes.needs] {
		if _, ok := given[key]; !ok {
			r.missing(n, path, before, fmt.Sprintf("a receiver of kind %s needs %s", v.Kind, key))
		}
	}
	if at, ok := given["password"]; ok && v.User == "" && v.Kind == ReceiverEmail && given["user"] == nil {
		r.fault(at, path+".password", "a password is of a user, and there is none here")
	}
	return v
}

func listed(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return ", " + words(keys)
}

// receiverURL reads an address, or a reference to one. That of a chat's webhook is
// always a reference: whoever knows it can write there. It is never quoted.
func (r *reader) receiverURL(n ast.Node, path string, v *Receiver) {
	chat := v.Kind == ReceiverSlack || v.Kind == ReceiverTeams
	if _, ok := r.value(n, path).(ast.MapNode); ok {
		r.ref(&v.URLRef)(n, path)
		return
	}
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	u, err := url.Parse(text)
	switch {
	case chat:
		r.fault(n, path, "whoever knows this address can write to the channel, so it is a secret. Store it with \"muster secret set NAME\" and write url: { secret: NAME }")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		r.fault(n, path, "this is no address of a web server. Write https://host/path")
	case u.User != nil:
		r.fault(n, path, "this address holds a password. Write url: { secret: NAME } and store the whole address with \"muster secret set NAME\"")
	default:
		v.URL = text
	}
}

func (r *reader) mailAddress(n ast.Node, path string, into *string) {
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" {
		r.fault(n, path, "this is no mail address. Write noc@example.net")
		return
	}
	*into = a.Address
}

// server reads host:port.
func (r *reader) server(into *string) field {
	return func(n ast.Node, path string) {
		text, ok := r.text(n, path)
		if !ok {
			return
		}
		host, port, err := net.SplitHostPort(text)
		if p, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || p == 0 || host == "" {
			r.fault(n, path, "this is no host and port. Write mail.example.net:587")
			return
		}
		*into = text
	}
}

func (r *reader) alertRule(n ast.Node, path string, kinds, receivers []string) AlertRule {
	v := AlertRule{Digest: "none", UnsavedAfter: defaultUnsavedAfter}
	before := len(r.faults)
	all := false
	if !r.mapping(n, path, map[string]field{
		"kinds": func(n ast.Node, path string) {
			if s, ok := r.value(n, path).(*ast.StringNode); ok && s.Value == "all" {
				all = true
				return
			}
			r.list(n, path, func(n ast.Node, path string) {
				var kind string
				if r.oneOf(n, path, &kind, kinds...); kind != "" {
					v.Kinds = append(v.Kinds, kind)
				}
			})
		},
		"to": func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				if text, ok := r.text(n, path); ok {
					r.named(n, path, "receiver", text, receivers)
					v.To = append(v.To, text)
				}
			})
		},
		"digest":        func(n ast.Node, path string) { r.oneOf(n, path, &v.Digest, "none", "daily") },
		"unsaved_after": r.spanInto(&v.UnsavedAfter, 0, 30*day),
	}) {
		r.missing(n, path, before, "an alert rule is a map with kinds and to")
		return v
	}
	if len(v.Kinds) == 0 && !all {
		r.missing(n, path, before, "the rule has no kinds. Write kinds: all, or some of "+words(kinds))
	}
	if len(v.To) == 0 {
		r.missing(n, path, before, "the rule has no receivers (to)")
	}
	return v
}

// named notes a name that nothing has.
func (r *reader) named(n ast.Node, path, what, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	switch meant := nearest(name, known); {
	case meant != "":
		r.fault(n, path, "there is no %s %q. Did you mean %s?", what, shorten(name), meant)
	case len(known) == 0:
		r.fault(n, path, "there is no %s %q, nor any other", what, shorten(name))
	default:
		r.fault(n, path, "there is no %s %q. There are %s", what, shorten(name), words(known))
	}
}

// listen reads where the pages are: on loopback only, since nothing but a
// one-time link stands before them.
func (r *reader) listen(n ast.Node, path string, into *string) {
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	if text == "off" {
		*into = ""
		return
	}
	at, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		r.fault(n, path, "%q is no address and port. Write %s, or off", shorten(text), DefaultListen)
	case !at.Addr().IsLoopback():
		r.fault(n, path, "%s can be reached by others, and the pages are served on loopback only. Write %s and come to it by SSH: ssh -L 8470:%s HOST", text, DefaultListen, DefaultListen)
	default:
		*into = text
	}
}
