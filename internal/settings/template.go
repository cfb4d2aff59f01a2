package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// InitAnswers are what "muster init" has learned. Secrets are not among them:
// the template names them by the constants below, and whoever calls stores them
// under these names.
type InitAnswers struct {
	Timezone  string // empty: UTC
	Key       string // file of the master key; empty: where muster finds it by itself
	Scope     string // empty: "network"
	Addresses []string
	Exclude   []string
	Site      string
	SNMPPort  uint16 // 0: 161
	SSHPort   uint16 // 0: 22

	Community    bool   // there is a community, for SNMP v2c
	SNMPUser     string // SNMPv3 securityName; empty: none
	AuthProtocol string // empty: no authentication
	PrivProtocol string // empty: no privacy

	SSHUser    string // empty: nothing is backed up yet
	Password   bool
	KeyFile    string // private key; empty: none
	Passphrase bool
	Enable     bool
}

// The names under which the secrets of a new settings file are stored.
const (
	InitCommunity  = "snmp-community"
	InitAuth       = "snmp-auth"
	InitPriv       = "snmp-priv"
	InitPassword   = "ssh-password"
	InitPassphrase = "ssh-key-passphrase"
	InitEnable     = "ssh-enable"
)

// Template writes the first muster.yaml: what was answered, and every other key
// as a comment with its default.
func Template(a InitAnswers) []byte {
	if a.Timezone == "" {
		a.Timezone = "UTC"
	}
	if a.Scope == "" {
		a.Scope = "network"
	}
	var b bytes.Buffer
	if err := firstSettings.Execute(&b, a); err != nil {
		panic("settings: " + err.Error()) // only for a template that does not fit InitAnswers
	}
	return b.Bytes()
}

// OtherSNMPPort reports whether the scope's port is to be written down.
func (a InitAnswers) OtherSNMPPort() bool { return a.SNMPPort != 0 && a.SNMPPort != 161 }

// OtherSSHPort reports the same of the SSH port.
func (a InitAnswers) OtherSSHPort() bool { return a.SSHPort != 0 && a.SSHPort != 22 }

// plain is what YAML reads as the text it is, wherever it stands.
var plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./@-]*$`)

// quoted writes a text so that YAML reads it back: JSON's texts are YAML's.
func quoted(text string) (string, error) {
	words := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
	if plain.MatchString(text) && !slices.Contains(words, strings.ToLower(text)) {
		return text, nil
	}
	b, err := json.Marshal(text)
	return string(b), err
}

var firstSettings = template.Must(template.New("muster.yaml").Funcs(template.FuncMap{
	"q": quoted,
	"list": func(texts []string) (string, error) {
		all := make([]string, len(texts))
		for i, text := range texts {
			var err error
			if all[i], err = quoted(text); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(all, ", ") + "]", nil
	},
	"names": func(a InitAnswers) string {
		var all []string
		for _, c := range []struct {
			there bool
			name  string
		}{{a.SNMPUser != "", "snmp-v3"}, {a.Community, "snmp-v2c"}, {a.SSHUser != "", "ssh"}} {
			if c.there {
				all = append(all, c.name)
			}
		}
		return "[" + strings.Join(all, ", ") + "]"
	},
	"secret": func(name string) string { return fmt.Sprintf("{ secret: %s }", name) },
}).Parse(`# Settings of muster. They hold no secrets, so that they can live in git: a secret
# is { secret: NAME } (stored by "muster secret set NAME"), { env: NAME },
# { file: PATH } or { command: [PROGRAM, ARGUMENT] }.
# "muster check" says what is wrong in here, "muster reload" makes a running muster
# read it again. Lines that begin with # show keys with their defaults.

timezone: {{ q .Timezone }}
{{ if .Key }}key: {{ q .Key }}   # the master key: keep a copy of it away from this machine
{{ else }}# key: /etc/muster/master.key   # the master key; else named by the data directory, in the user's settings
{{ end }}
credentials:
{{- if not (or .SNMPUser .Community .SSHUser) }} []
{{- end }}
{{- if .SNMPUser }}
  - name: snmp-v3
    kind: snmp-v3                # ssh, snmp-v1, snmp-v2c, snmp-v3
    user: {{ q .SNMPUser }}
{{- if .AuthProtocol }}
    auth: { protocol: {{ q .AuthProtocol }}, password: {{ secret "snmp-auth" }} }   # md5 sha sha224 sha256 sha384 sha512
{{- end }}
{{- if .PrivProtocol }}
    priv: { protocol: {{ q .PrivProtocol }}, password: {{ secret "snmp-priv" }} }   # des aes aes192 aes256 aes192c aes256c
{{- end }}
{{- end }}
{{- if .Community }}
  - name: snmp-v2c
    kind: snmp-v2c               # whoever can listen on the way can read the community
    community: {{ secret "snmp-community" }}
{{- end }}
{{- if .SSHUser }}
  - name: ssh
    kind: ssh
    user: {{ q .SSHUser }}
{{- if .Password }}
    password: {{ secret "ssh-password" }}
{{- end }}
{{- if .KeyFile }}
    key: { file: {{ q .KeyFile }} }
{{- end }}
{{- if .Passphrase }}
    passphrase: {{ secret "ssh-key-passphrase" }}
{{- end }}
{{- if .Enable }}
    enable: {{ secret "ssh-enable" }}
{{- end }}
    # for: [192.0.2.0/25]        # only there; left out: everywhere in the scopes that name it
{{- end }}

scopes:
  - name: {{ q .Scope }}
    addresses: {{ list .Addresses }}   # networks, ranges (192.0.2.10-192.0.2.50), addresses, host names
{{- if .Exclude }}
    exclude: {{ list .Exclude }}
{{- else }}
    # exclude: []
{{- end }}
    credentials: {{ names . }}   # tried in this order, the last that worked first
{{- if .Site }}
    site: {{ q .Site }}
{{- else }}
    # site: paris
{{- end }}
    # passwords_to: identified   # SSH passwords only go to devices that SNMP knows, or a person added;
    #                            # authenticated: only after SNMPv3 or to a pinned host key; any: to whatever answers
    # declared: refuse           # allow: also open platforms whose definition nobody has proved yet
    # approval: after 7d         # of a changed configuration: manual, after AGE, at-once
    # source: 192.0.2.250        # own address to ask from; left out: the kernel's choice
{{- if .OtherSNMPPort }}
    snmp: { port: {{ .SNMPPort }} }
{{- end }}
{{- if .OtherSSHPort }}
    ssh: { port: {{ .SSHPort }} }
{{- end }}
    # snmp: { port: 161, rate: 100 }   # rate: packets a second
    # ssh: { port: 22, algorithms: modern, host_keys: accept-new, concurrency: 20 }
    #                            # algorithms: modern, compatible, legacy; host_keys: accept-new, strict;
    #                            # concurrency: sessions at a time (a run has 50, or as many as the largest scope may)
    # telnet: { port: 23 }       # by Telnet instead of SSH, where devices know nothing better: passwords travel in clear
    # blackout: ["Mon-Fri 08:00-18:00"]   # hours in which nothing scheduled opens a session
    # timeouts: { connect: 10s, key_exchange: 20s, login: 30s, first_byte: 2m, silence: 30s, session: 15m, snmp: 2s, snmp_retries: 2 }

# schedules:                     # each can be off
#   discovery: { cron: "20 3 * * 0" }
#   backup: { cron: "20 4 * * *", splay: 15m }
#   housekeeping: { cron: "50 5 * * *" }
#   reachability: { every: 1m, down_after: 5m, tcp_every: 5m }

# receivers:                     # left out: alerts are listed by "muster alert list" and nobody is told
#   - { name: journal, kind: log }
#   - { name: ops, kind: webhook, url: "https://hooks.example.net/muster", signing_key: { secret: ops-hook } }
#   - { name: mail, kind: email, to: [noc@example.net], from: muster@example.net, server: "mail.example.net:587", starttls: required }
#   - { name: chat, kind: slack, url: { secret: slack-hook } }    # an incoming webhook; its address is a secret
#   - { name: team, kind: teams, url: { secret: teams-hook } }    # a workflow: When a Teams webhook request is received
#                                # diff: redacted (of all but log): messages about drift carry the diff; none

# alerts:
#   - { kinds: [unreachable, backup-failed, host-key-changed, login-rejected], to: [ops] }
#   - { kinds: [changed, unsaved, off-baseline], to: [mail], digest: daily, unsaved_after: 2h }

# maintenance:                   # alerts open, and who is told waits for the end; what still holds is told then
#   - { name: patch-night, cron: "0 22 * * 2", duration: 4h, sites: [paris] }     # duration: as time passes
#   - { name: move, start: "2026-12-05 20:00", end: "2026-12-06 04:00", scopes: [{{ q .Scope }}], filter: "tag:rack7" }

# web: { listen: "127.0.0.1:8470" }   # on loopback only; off: no pages

# retention: { runs: 90d, events: 400d }   # versions are kept for ever
`))
