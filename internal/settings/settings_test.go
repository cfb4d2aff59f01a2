package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
)

// example is the file of the plan: its keys are promised to users.
const example = `timezone: Europe/Paris
key: /etc/muster/master.key             # where init put it
credentials:
  - name: noc
    kind: ssh                            # ssh, snmp-v1, snmp-v2c, snmp-v3
    user: backup
    password: { secret: noc }
    key: { file: noc_ed25519 }
    passphrase: { secret: noc-key }
    enable: { secret: noc-enable }
    for: [192.0.2.0/25]
  - name: ro
    kind: snmp-v2c
    community: { secret: ro }
  - name: v3
    kind: snmp-v3
    user: muster
    auth: { protocol: sha256, password: { secret: v3-auth } }
    priv: { protocol: aes256, password: { secret: v3-priv } }
scopes:
  - name: campus
    addresses: [192.0.2.0/24, 198.51.100.10-198.51.100.50, core1.example.net]
    exclude: [192.0.2.128/25]
    credentials: [v3, ro, noc]
    site: paris
    passwords_to: identified
    declared: refuse
    approval: after 7d
    source: 192.0.2.250
    snmp: { port: 161, rate: 100 }
    ssh: { port: 22, algorithms: modern, host_keys: accept-new, concurrency: 20, via: bastion }
schedules:
  discovery: { cron: "20 3 * * 0" }
  reachability: { every: 1m, down_after: 5m, tcp_every: 5m }
  backup: { cron: "20 4 * * *", splay: 15m }
receivers:
  - { name: ops, kind: webhook, url: "https://hooks.example.net/muster", signing_key: { secret: ops-hook } }
  - { name: mail, kind: email, to: [noc@example.net], from: muster@example.net, server: "mail.example.net:587", starttls: required }
alerts:
  - { kinds: [unreachable, backup-failed, host-key-changed, login-rejected], to: [ops] }
  - { kinds: [changed, unsaved, off-baseline], to: [mail], digest: daily, unsaved_after: 2h }
web: { listen: "127.0.0.1:8470" }
`

func TestExampleOfThePlanIsReadWhole(t *testing.T) {
	s, faults := Parse("/etc/muster/muster.yaml", []byte(example), Options{})
	if faults != nil {
		t.Fatal(faults)
	}
	if s.Timezone.String() != "Europe/Paris" || s.Key != "/etc/muster/master.key" {
		t.Errorf("time zone %s, key %s", s.Timezone, s.Key)
	}
	wantCredentials := []Credential{
		{
			Name: "noc", Kind: collector.KindSSH, User: "backup", Password: Ref{Secret: "noc"}, Key: Ref{File: "/etc/muster/noc_ed25519"},
			Passphrase: Ref{Secret: "noc-key"}, Enable: Ref{Secret: "noc-enable"}, For: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")},
		},
		{Name: "ro", Kind: collector.KindSNMPv2c, Community: Ref{Secret: "ro"}},
		{
			Name: "v3", Kind: collector.KindSNMPv3, User: "muster", AuthProtocol: "sha256", Auth: Ref{Secret: "v3-auth"},
			PrivProtocol: "aes256", Priv: Ref{Secret: "v3-priv"},
		},
	}
	addrs := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if d := cmp.Diff(wantCredentials, s.Credentials, addrs); d != "" {
		t.Errorf("credentials (-want +got):\n%s", d)
	}
	if len(s.Scopes) != 1 {
		t.Fatalf("%d scopes", len(s.Scopes))
	}
	scope := s.Scopes[0]
	if got := scope.Addresses.String(); got != "192.0.2.0/24, 198.51.100.10-198.51.100.50, core1.example.net" {
		t.Errorf("addresses %s", got)
	}
	if got := scope.Exclude.String(); got != "192.0.2.128/25" {
		t.Errorf("exclude %s", got)
	}
	scope.Addresses, scope.Exclude = Addresses{}, Addresses{}
	wantScope := Scope{
		Name: "campus", Credentials: []string{"v3", "ro", "noc"}, Site: "paris", PasswordsTo: "identified",
		Approval: Approval{Mode: "after", Age: 7 * 24 * time.Hour}, Source: netip.MustParseAddr("192.0.2.250"), SNMP: SNMP{Port: 161, Rate: 100},
		SSH: SSH{Port: 22, Algorithms: collector.Modern, HostKeys: collector.AcceptNew, Concurrency: 20, Via: Via{Host: "bastion"}},
	}
	if d := cmp.Diff(wantScope, scope, cmp.AllowUnexported(Addresses{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("scope (-want +got):\n%s", d)
	}
	wantSchedules := DefaultSchedules() // the example shows the defaults
	if d := cmp.Diff(wantSchedules, s.Schedules); d != "" {
		t.Errorf("schedules (-want +got):\n%s", d)
	}
	wantReceivers := []Receiver{
		{Name: "ops", Kind: ReceiverWebhook, URL: "https://hooks.example.net/muster", SigningKey: Ref{Secret: "ops-hook"}, StartTLS: "required", Diff: "none"},
		{Name: "mail", Kind: ReceiverEmail, To: []string{"noc@example.net"}, From: "muster@example.net", Server: "mail.example.net:587", StartTLS: "required", Diff: "none"},
	}
	if d := cmp.Diff(wantReceivers, s.Receivers); d != "" {
		t.Errorf("receivers (-want +got):\n%s", d)
	}
	wantAlerts := []AlertRule{
		{Kinds: []string{"unreachable", "backup-failed", "host-key-changed", "login-rejected"}, To: []string{"ops"}, Digest: "none", UnsavedAfter: 2 * time.Hour},
		{Kinds: []string{"changed", "unsaved", "off-baseline"}, To: []string{"mail"}, Digest: "daily", UnsavedAfter: 2 * time.Hour},
	}
	if d := cmp.Diff(wantAlerts, s.Alerts); d != "" {
		t.Errorf("alerts (-want +got):\n%s", d)
	}
	if s.Web.Listen != "127.0.0.1:8470" {
		t.Errorf("web %+v", s.Web)
	}
	if got := s.SecretNames(); !slices.Equal(got, []string{"noc", "noc-key", "noc-enable", "ro", "v3-auth", "v3-priv", "ops-hook"}) {
		t.Errorf("secrets %v", got)
	}
	if len(s.Warnings) != 0 {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestAddressOfAChatIsAReference(t *testing.T) {
	s, faults := Parse("/etc/muster/muster.yaml", []byte(`receivers:
  - { name: chat, kind: slack, url: { secret: slack-hook } }
  - { url: { file: teams-hook }, name: team, kind: teams, diff: redacted }
`), Options{})
	if faults != nil {
		t.Fatal(faults)
	}
	want := []Receiver{
		{Name: "chat", Kind: ReceiverSlack, URLRef: Ref{Secret: "slack-hook"}, StartTLS: "required", Diff: "none"},
		{Name: "team", Kind: ReceiverTeams, URLRef: Ref{File: "/etc/muster/teams-hook"}, StartTLS: "required", Diff: "redacted"},
	}
	if d := cmp.Diff(want, s.Receivers); d != "" {
		t.Errorf("receivers (-want +got):\n%s", d)
	}
	if got := s.SecretNames(); !slices.Equal(got, []string{"slack-hook"}) {
		t.Errorf("secrets %v", got)
	}
}

func TestEmptyFileMeansDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "scopes:\ncredentials:\nalerts:\n"} {
		s, faults := Parse("muster.yaml", []byte(text), Options{})
		if faults != nil {
			t.Fatalf("%q: %v", text, faults)
		}
		if s.Timezone != time.UTC || s.Web.Listen != DefaultListen || s.Schedules != DefaultSchedules() || s.Retention.Runs != 90*day {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

func TestWhatCanBeOffIsOff(t *testing.T) {
	s, faults := Parse("muster.yaml", []byte("schedules: { discovery: off, backup: off, reachability: off, housekeeping: off }\nweb: off\n"), Options{})
	if faults != nil {
		t.Fatal(faults)
	}
	if s.Schedules != (Schedules{}) || s.Web.Listen != "" {
		t.Errorf("%+v, %+v", s.Schedules, s.Web)
	}
}

func TestAnchorsAndAliasesAreFollowed(t *testing.T) {
	s, faults := Parse("muster.yaml", []byte(`
scopes:
  - { name: a, addresses: [192.0.2.0/25], ssh: &ssh { algorithms: legacy, concurrency: 3 } }
  - { name: b, addresses: [192.0.2.128/25], ssh: *ssh }
`), Options{})
	if faults != nil {
		t.Fatal(faults)
	}
	if s.Scopes[1].SSH != s.Scopes[0].SSH || s.Scopes[1].SSH.Concurrency != 3 {
		t.Errorf("%+v", s.Scopes[1].SSH)
	}
}

func TestAllFaultsAreToldAtOnceInOrder(t *testing.T) {
	_, faults := Parse("muster.yaml", []byte(`timezone: Mars/Olympus
scopes:
  - name: a
    adresses: [192.0.2.0/24]
    snmp: { port: 70000, rate: fast }
  - name: a
    addresses: [192.0.2.0/33]
web: { listen: "0.0.0.0:80" }
`), Options{})
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Path))
	}
	want := []string{
		"1:11 timezone", "4:5 scopes[0]", "5:19 scopes[0].snmp.port", "5:32 scopes[0].snmp.rate",
		"6:5 scopes[1].name", "7:17 scopes[1].addresses[0]", "8:16 web.listen",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("faults (-want +got):\n%s\n%s", d, faults)
	}
	if !strings.Contains(faults.Error(), "muster.yaml:4:5: scopes[0]: unknown key \"adresses\". Did you mean addresses?") {
		t.Errorf("message:\n%s", faults)
	}
}

func TestTemplateIsReadWithoutFaults(t *testing.T) {
	tests := map[string]InitAnswers{
		"nothing but addresses": {Addresses: []string{"192.0.2.0/24"}},
		"everything": {
			Timezone: "Europe/Paris", Key: "/etc/muster/master.key", Scope: "campus", Addresses: []string{"192.0.2.0/24", "198.51.100.10-198.51.100.50", "core1.example.net", "2001:db8::1"},
			Exclude: []string{"192.0.2.128/25"}, Site: "paris", Community: true, SNMPUser: "muster", AuthProtocol: "sha256", PrivProtocol: "aes",
			SSHUser: "backup", Password: true, KeyFile: "/etc/muster/noc key", Passphrase: true, Enable: true,
		},
		"odd texts": {
			Scope: "022", Addresses: []string{"192.0.2.1"}, Site: `a "quoted": # site`, SNMPUser: "null", SSHUser: "1.10", KeyFile: "C:\\no\tway",
		},
	}
	for name, a := range tests {
		t.Run(name, func(t *testing.T) {
			text := Template(a)
			s, faults := Parse("/etc/muster/muster.yaml", text, Options{})
			if faults != nil {
				t.Fatalf("%v\n%s", faults, text)
			}
			scope := s.Scopes[0]
			want, err := readAddresses(a.Addresses...)
			if err != nil || scope.Addresses.String() != want.String() {
				t.Errorf("addresses %s, want %s (%v)", scope.Addresses, want, err)
			}
			if scope.Site != a.Site || a.Scope != "" && scope.Name != a.Scope {
				t.Errorf("scope %q, site %q", scope.Name, scope.Site)
			}
			for _, c := range s.Credentials {
				if c.Kind == collector.KindSSH && (c.User != a.SSHUser || c.Key.File == "" != (a.KeyFile == "")) {
					t.Errorf("ssh credential %+v", c)
				}
				if c.Kind == collector.KindSNMPv3 && (c.User != a.SNMPUser || c.AuthProtocol != a.AuthProtocol || c.PrivProtocol != a.PrivProtocol) {
					t.Errorf("snmp-v3 credential %+v", c)
				}
			}
			if name == "everything" {
				if got := s.SecretNames(); !slices.Equal(got, []string{InitAuth, InitPriv, InitCommunity, InitPassword, InitPassphrase, InitEnable}) {
					t.Errorf("secrets %v", got)
				}
			}
		})
	}
}

// TestTemplateShowsEveryKeyWithItsDefault uncomments all that the template
// shows: it must be valid, and change nothing but what only an example can say.
func TestTemplateShowsEveryKeyWithItsDefault(t *testing.T) {
	text := string(Template(InitAnswers{Addresses: []string{"192.0.2.0/24"}, Community: true, SSHUser: "backup", Password: true}))
	bare, faults := Parse("/etc/muster/muster.yaml", []byte(text), Options{})
	if faults != nil {
		t.Fatal(faults)
	}
	head, body, _ := strings.Cut(text, "\n\n")
	uncommented := head + "\n\n" + regexp.MustCompile(`(?m)^( *)# ( *(- \{ )?[a-z_]+:)`).ReplaceAllString(body, "$1$2")
	shown, faults := Parse("/etc/muster/muster.yaml", []byte(uncommented), Options{})
	if faults != nil {
		t.Fatalf("%v\n%s", faults, uncommented)
	}
	if shown.Key == "" || len(shown.Receivers) != 5 || len(shown.Alerts) != 2 || len(shown.Maintenance) != 2 || shown.Scopes[0].Site == "" || len(shown.Credentials[1].For) == 0 || !shown.Scopes[0].Source.IsValid() {
		t.Errorf("not all keys were uncommented:\n%s", uncommented)
	}
	if shown.Scopes[0].Timeouts.WithDefaults() != (collector.Limits{}).WithDefaults() {
		t.Errorf("timeouts %+v are not the defaults", shown.Scopes[0].Timeouts)
	}
	a, b := bare.Scopes[0], shown.Scopes[0]
	if shown.Schedules != bare.Schedules || shown.Web != bare.Web || shown.Retention != bare.Retention || a.SSH != b.SSH || a.SNMP != b.SNMP ||
		a.Approval != b.Approval || a.PasswordsTo != b.PasswordsTo || a.Declared != b.Declared {
		t.Error("a default that the template shows is not the default")
	}
}

func TestLoadSaysWhatToDoWithoutAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.yaml")
	_, err := Load(path, Options{})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "muster init") {
		t.Errorf("error is %v", err)
	}
	if err := os.WriteFile(path, []byte("timezoen: UTC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(path, Options{})
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || faults[0].File != path {
		t.Errorf("error is %v", err)
	}
	if err := os.WriteFile(path, []byte("timezone: UTC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, Options{}); err != nil {
		t.Errorf("a good file: %v", err)
	}
}

func TestTelnetIsSaid(t *testing.T) {
	s, faults := Parse("/etc/muster/muster.yaml", []byte(`credentials: [{ name: ro, kind: snmp-v2c, community: { env: C } }, { name: noc, kind: ssh, user: u, password: { env: P } }]
scopes:
  - { name: new, addresses: [192.0.2.0/25], credentials: [ro, noc] }
  - { name: old, addresses: [192.0.2.128/26], credentials: [ro, noc], telnet: {} }
  - { name: odd, addresses: [192.0.2.192/26], credentials: [ro, noc], telnet: { port: 2323 } }
`), Options{})
	if len(faults) != 0 {
		t.Fatal(faults)
	}
	for i, want := range []uint16{0, 23, 2323} {
		if got := s.Scopes[i].Telnet; got != want {
			t.Errorf("scope %s: telnet port %d, want %d", s.Scopes[i].Name, got, want)
		}
	}
	if len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0].Error(), "scope old says telnet: passwords and configurations travel in clear") {
		t.Errorf("warnings %v", s.Warnings)
	}
}
