package settings

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBadInputIsOneClearSentence has a row for each way in which a settings file
// can be wrong: one fault at the right place, which names the thing and the mend.
func TestBadInputIsOneClearSentence(t *testing.T) {
	const (
		scope = "scopes:\n  - name: a\n    addresses: [192.0.2.0/24]\n" // lines 1 to 3
		cred  = "credentials:\n  - name: c\n"                           // lines 1 and 2
	)
	tests := map[string]struct {
		text   string
		line   int
		column int
		path   string
		says   []string
	}{
		"unknown key":                {"scops: []\n", 1, 1, "", []string{`"scops"`, "Did you mean scopes?"}},
		"unknown key, nothing near":  {"frobnicate: 1\n", 1, 1, "", []string{`"frobnicate"`, "credentials", "timezone"}},
		"unknown key deep inside":    {scope + "    ssh: { algorithm: legacy }\n", 4, 12, "scopes[0].ssh", []string{"Did you mean algorithms?"}},
		"key twice":                  {"timezone: UTC\ntimezone: UTC\n", 2, 1, "timezone", []string{"twice"}},
		"not a map":                  {"- a\n", 1, 1, "", []string{"must be a map", "scopes"}},
		"not a list":                 {"scopes: campus\n", 1, 9, "scopes", []string{"must be a list"}},
		"a list item that is no map": {"scopes: [campus]\n", 1, 10, "scopes[0]", []string{"must be a map", "addresses"}},
		"broken YAML":                {"scopes: [a\n", 1, 9, "", []string{"no YAML", "brackets"}},
		"indentation":                {"web:\n  listen: \"127.0.0.1:1\"\n bad: x\n", 3, 2, "", []string{"no YAML"}},
		"two documents":              {"timezone: UTC\n---\ntimezone: UTC\n", 3, 1, "", []string{"second document"}},
		"alias without anchor":       {scope + "    site: *paris\n", 4, 11, "scopes[0].site", []string{"alias", "Quote"}},
		"tag":                        {scope + "    site: !env SITE\n", 4, 11, "scopes[0].site", []string{"tags", "Quote"}},
		"merge key":                  {"scopes:\n  - &a { name: a, addresses: [192.0.2.0/24] }\n  - <<: *a\n    name: b\n    addresses: [198.51.100.0/24]\n", 3, 5, "scopes[1]", []string{"merge keys"}},

		"number for a text":       {scope + "    site: 022\n", 4, 11, "scopes[0].site", []string{"022", "quotes", `"022"`}},
		"version-like text":       {scope + "    site: 1.10\n", 4, 11, "scopes[0].site", []string{"1.10", `"1.10"`}},
		"truth for a text":        {scope + "    site: true\n", 4, 11, "scopes[0].site", []string{"quotes"}},
		"text for a number":       {scope + "    snmp: { rate: \"100\" }\n", 4, 19, "scopes[0].snmp.rate", []string{"without quotes"}},
		"octal number":            {scope + "    snmp: { port: 0161 }\n", 4, 19, "scopes[0].snmp.port", []string{"decimal"}},
		"fraction":                {scope + "    snmp: { rate: 1.5 }\n", 4, 19, "scopes[0].snmp.rate", []string{"whole number"}},
		"port too high":           {scope + "    ssh: { port: 65536 }\n", 4, 18, "scopes[0].ssh.port", []string{"65536", "1 to 65535"}},
		"port zero":               {scope + "    ssh: { port: 0 }\n", 4, 18, "scopes[0].ssh.port", []string{"1 to 65535"}},
		"rate negative":           {scope + "    snmp: { rate: -1 }\n", 4, 19, "scopes[0].snmp.rate", []string{"-1", "out of range"}},
		"concurrency zero":        {scope + "    ssh: { concurrency: 0 }\n", 4, 25, "scopes[0].ssh.concurrency", []string{"1 to 1000"}},
		"time zone":               {"timezone: Europe/Pariss\n", 1, 11, "timezone", []string{`"Europe/Pariss"`, "Europe/Paris"}},
		"time zone of the reader": {"timezone: Local\n", 1, 11, "timezone", []string{"Local"}},

		"CIDR too long":             {"scopes: [{ name: a, addresses: [192.0.2.0/33] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"192.0.2.0/33", "192.0.2.0/24"}},
		"CIDR with host bits":       {"scopes: [{ name: a, addresses: [192.0.2.5/24] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"Did you mean the network 192.0.2.0/24"}},
		"address with 300":          {"scopes: [{ name: a, addresses: [192.0.2.300] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"192.0.2.300"}},
		"address cut short":         {"scopes: [{ name: a, addresses: [\"192.0.2\"] }]\n", 1, 33, "scopes[0].addresses[0]", []string{`"192.0.2"`}},
		"range backwards":           {"scopes: [{ name: a, addresses: [192.0.2.50-192.0.2.10] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"Did you mean 192.0.2.10-192.0.2.50?"}},
		"range of two families":     {"scopes: [{ name: a, addresses: [\"192.0.2.50-2001:db8::1\"] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"not of one kind"}},
		"range without its end":     {"scopes: [{ name: a, addresses: [192.0.2.50-x] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"no range"}},
		"host name with spaces":     {"scopes: [{ name: a, addresses: [\"core 1\"] }]\n", 1, 33, "scopes[0].addresses[0]", []string{"host name"}},
		"host name in exclude":      {scope + "    exclude: [core1]\n", 4, 15, "scopes[0].exclude[0]", []string{"no host name"}},
		"scope too large":           {"scopes: [{ name: a, addresses: [10.0.0.0/8] }]\n", 1, 10, "scopes[0]", []string{"1048576"}},
		"IPv6 network":              {"scopes: [{ name: a, addresses: [\"2001:db8::/64\"] }]\n", 1, 10, "scopes[0]", []string{"1048576"}},
		"same network in two":       {"scopes:\n  - { name: a, addresses: [192.0.2.0/24] }\n  - { name: b, addresses: [192.0.2.0/24] }\n", 3, 5, "scopes", []string{"192.0.2.0/24", "scope a", "scope b", "take it out"}},
		"ranges that cross":         {"scopes:\n  - { name: a, addresses: [192.0.2.1-192.0.2.9] }\n  - { name: b, addresses: [192.0.2.5-192.0.2.20] }\n", 3, 5, "scopes", []string{"cross"}},
		"a range as a network":      {"scopes:\n  - { name: a, addresses: [192.0.2.0/24] }\n  - { name: b, addresses: [192.0.2.0-192.0.2.255] }\n", 3, 5, "scopes", []string{"take it out"}},
		"scope without a name":      {"scopes: [{ addresses: [192.0.2.0/24] }]\n", 1, 10, "scopes[0]", []string{"no name"}},
		"scope without addresses":   {"scopes: [{ name: a }]\n", 1, 10, "scopes[0]", []string{"no addresses"}},
		"two scopes of one name":    {scope + "  - { name: a, addresses: [198.51.100.0/24] }\n", 4, 5, "scopes[1].name", []string{"second scope", "a"}},
		"name with a space":         {"scopes: [{ name: a b, addresses: [192.0.2.0/24] }]\n", 1, 18, "scopes[0].name", []string{"no name"}},
		"unknown credential":        {"credentials: [{ name: noc, kind: snmp-v2c, community: { env: C } }]\n" + scope + "    credentials: [nco]\n", 5, 19, "scopes[0].credentials[0]", []string{`"nco"`, "Did you mean noc?"}},
		"credential, none at all":   {scope + "    credentials: [noc]\n", 4, 19, "scopes[0].credentials[0]", []string{`"noc"`, "nor any other"}},
		"credential twice in scope": {"credentials: [{ name: noc, kind: snmp-v2c, community: { env: C } }]\n" + scope + "    credentials: [noc, noc]\n", 5, 24, "scopes[0].credentials[1]", []string{"twice"}},
		"passwords_to":              {scope + "    passwords_to: everyone\n", 4, 19, "scopes[0].passwords_to", []string{`"everyone"`, "identified, authenticated, any"}},
		"declared":                  {scope + "    declared: yes\n", 4, 15, "scopes[0].declared", []string{"refuse, allow"}},
		"approval word":             {scope + "    approval: sometime\n", 4, 15, "scopes[0].approval", []string{`"sometime"`, "manual, after 7d or at-once"}},
		"approval without age":      {scope + "    approval: after\n", 4, 15, "scopes[0].approval", []string{"after 7d"}},
		"approval with bad age":     {scope + "    approval: after 7\n", 4, 15, "scopes[0].approval", []string{"after 7d"}},
		"source":                    {scope + "    source: eth0\n", 4, 13, "scopes[0].source", []string{`"eth0"`, "own address"}},
		"algorithms":                {scope + "    ssh: { algorithms: modren }\n", 4, 24, "scopes[0].ssh.algorithms", []string{"Did you mean modern?"}},
		"host keys":                 {scope + "    ssh: { host_keys: no }\n", 4, 23, "scopes[0].ssh.host_keys", []string{"accept-new, strict"}},
		"via with a user":           {scope + "    ssh: { via: root@bastion }\n", 4, 17, "scopes[0].ssh.via", []string{"without a user"}},
		"via without an account":    {scope + "    ssh: { via: { address: 192.0.2.1 } }\n", 4, 17, "scopes[0].ssh.via", []string{"needs both"}},
		"via by a name and account": {scope + "    ssh: { via: { address: bastion, credential: noc } }\n", 4, 28, "scopes[0].ssh.via.address", []string{"no address"}},
		"via, account unknown":      {scope + "    ssh: { via: { address: 192.0.2.1, credential: noc } }\n", 2, 5, "scopes[0].ssh.via.credential", []string{`"noc"`}},
		"telnet with strict keys":   {scope + "    telnet: {}\n    ssh: { host_keys: strict }\n", 2, 5, "scopes[0].telnet", []string{"no host keys"}},
		"telnet without a map":      {scope + "    telnet: allow\n", 4, 13, "scopes[0].telnet", []string{"map", "port"}},
		"timeout without unit":      {scope + "    timeouts: { login: 30 }\n", 4, 24, "scopes[0].timeouts.login", []string{"unit", "30s"}},
		"timeout too long":          {scope + "    timeouts: { login: 2d }\n", 4, 24, "scopes[0].timeouts.login", []string{"2d", "out of range", "1h"}},
		"timeout that is none":      {scope + "    timeouts: { login: soon }\n", 4, 24, "scopes[0].timeouts.login", []string{`"soon"`, "15m"}},

		"credential kind":           {cred + "    kind: telnett\n", 3, 11, "credentials[0].kind", []string{"ssh, snmp-v1, snmp-v2c, snmp-v3"}},
		"credential kind, near":     {cred + "    kind: snmp-v4\n", 3, 11, "credentials[0].kind", []string{"Did you mean snmp-v1?"}},
		"credential without kind":   {cred, 2, 5, "credentials[0]", []string{"no kind"}},
		"credential without name":   {"credentials: [{ kind: snmp-v2c, community: { env: C } }]\n", 1, 15, "credentials[0]", []string{"no name"}},
		"two credentials, one name": {"credentials:\n  - { name: c, kind: snmp-v2c, community: { env: C } }\n  - { name: c, kind: snmp-v2c, community: { env: C } }\n", 3, 5, "credentials[1].name", []string{"second credential"}},
		"ssh without user":          {cred + "    kind: ssh\n    password: { env: P }\n", 2, 5, "credentials[0]", []string{"needs user"}},
		"ssh without secret":        {cred + "    kind: ssh\n    user: u\n", 2, 5, "credentials[0]", []string{"a password or a key"}},
		"ssh with community":        {cred + "    kind: ssh\n    user: u\n    password: { env: P }\n    community: { env: C }\n", 6, 16, "credentials[0].community", []string{"kind ssh has no community", "password"}},
		"passphrase without key":    {cred + "    kind: ssh\n    user: u\n    password: { env: P }\n    passphrase: { env: C }\n", 6, 17, "credentials[0].passphrase", []string{"of a key"}},
		"v2c without community":     {cred + "    kind: snmp-v2c\n", 2, 5, "credentials[0]", []string{"needs community"}},
		"v3 without user":           {cred + "    kind: snmp-v3\n", 2, 5, "credentials[0]", []string{"needs user"}},
		"v3 priv without auth":      {cred + "    kind: snmp-v3\n    user: u\n    priv: { protocol: aes, password: { env: P } }\n", 5, 11, "credentials[0].priv", []string{"without authentication"}},
		"v3 auth without protocol":  {cred + "    kind: snmp-v3\n    user: u\n    auth: { password: { env: P } }\n", 5, 11, "credentials[0].auth", []string{"protocol", "sha256"}},
		"v3 protocol":               {cred + "    kind: snmp-v3\n    user: u\n    auth: { protocol: sha-256, password: { env: P } }\n", 5, 23, "credentials[0].auth.protocol", []string{"Did you mean sha256?"}},
		"for with a host name":      {cred + "    kind: snmp-v2c\n    community: { env: C }\n    for: [core1]\n", 5, 11, "credentials[0].for[0]", []string{"no host name"}},
		"for that is no network":    {cred + "    kind: snmp-v2c\n    community: { env: C }\n    for: [192.0.2.0/40]\n", 5, 11, "credentials[0].for[0]", []string{"no address, network or range"}},
		"literal secret":            {cred + "    kind: snmp-v2c\n    community: FAKE-hunter2\n", 4, 16, "credentials[0].community", []string{"muster secret set", "{ secret: NAME }"}},
		"literal number":            {cred + "    kind: snmp-v2c\n    community: 12345678\n", 4, 16, "credentials[0].community", []string{"muster secret set"}},
		"empty reference":           {cred + "    kind: snmp-v2c\n    community: {}\n", 4, 16, "credentials[0].community", []string{"at one place"}},
		"two references":            {cred + "    kind: snmp-v2c\n    community: { env: A, secret: b }\n", 4, 16, "credentials[0].community", []string{"at one place"}},
		"secret that is no name":    {cred + "    kind: snmp-v2c\n    community: { secret: \"FAKE hunter2\" }\n", 4, 26, "credentials[0].community.secret", []string{"no name"}},
		"env that is no variable":   {cred + "    kind: snmp-v2c\n    community: { env: \"FAKE-hunter2\" }\n", 4, 23, "credentials[0].community.env", []string{"environment variable"}},
		"command as a text":         {cred + "    kind: snmp-v2c\n    community: { command: \"vault FAKE-hunter2\" }\n", 4, 27, "credentials[0].community.command", []string{"must be a list"}},
		"reference misspelt":        {cred + "    kind: snmp-v2c\n    community: { secrt: ro }\n", 4, 18, "credentials[0].community", []string{"Did you mean secret?"}},
		"a secret for a key":        {cred + "    kind: snmp-v2c\n    community: { FAKE-hunter2 }\n", 4, 18, "credentials[0].community", []string{"unknown key. Known here: command, env, file, secret"}},
		"a secret behind a key":     {"credentials: [{ name: c, kind: snmp-v2c, community FAKE-hunter2 }]\n", 1, 42, "credentials[0]", []string{"unknown key. Known here"}},

		"cron":                        {"schedules: { backup: { cron: \"20 25 * * *\" } }\n", 1, 30, "schedules.backup.cron", []string{"20 25 * * *", "five fields"}},
		"schedule word":               {"schedules: { backup: never }\n", 1, 22, "schedules.backup", []string{"must be a map"}},
		"blackout":                    {"scopes: [{ name: a, addresses: [192.0.2.0/24], blackout: [\"8-18\"] }]\n", 1, 59, "scopes[0].blackout[0]", []string{"8-18", "Mon-Fri 08:00-18:00"}},
		"blackout as a text":          {"scopes: [{ name: a, addresses: [192.0.2.0/24], blackout: \"08:00-18:00\" }]\n", 1, 58, "scopes[0].blackout", []string{"must be a list"}},
		"blackout without end":        {"scopes: [{ name: a, addresses: [192.0.2.0/24], blackout: [\"00:00-12:00\", \"Mon-Sun 12:00-24:00\"] }]\n", 1, 58, "scopes[0].blackout", []string{"no end in a week"}},
		"splay":                       {"schedules: { backup: { splay: 13h } }\n", 1, 31, "schedules.backup.splay", []string{"12h"}},
		"down before asked":           {"schedules: { reachability: { every: 10m, down_after: 5m } }\n", 1, 28, "schedules.reachability", []string{"10m", "5m"}},
		"receiver kind":               {"receivers: [{ name: a, kind: pager }]\n", 1, 30, "receivers[0].kind", []string{"log, webhook, email, slack, teams"}},
		"slack without url":           {"receivers: [{ name: a, kind: slack }]\n", 1, 13, "receivers[0]", []string{"kind slack needs url"}},
		"slack with empty url":        {"receivers: [{ name: a, kind: slack, url: null }]\n", 1, 13, "receivers[0]", []string{"kind slack needs url"}},
		"slack, literal url":          {"receivers: [{ name: a, kind: slack, url: \"https://hooks.slack.example/FAKE-hunter2\" }]\n", 1, 42, "receivers[0].url", []string{"is a secret", "url: { secret: NAME }"}},
		"slack, url before kind":      {"receivers: [{ url: \"https://hooks.slack.example/FAKE-hunter2\", name: a, kind: slack }]\n", 1, 20, "receivers[0].url", []string{"is a secret"}},
		"teams, literal url":          {"receivers: [{ name: a, kind: teams, url: \"FAKE-hunter2\" }]\n", 1, 42, "receivers[0].url", []string{"muster secret set NAME"}},
		"teams, empty reference":      {"receivers: [{ name: a, kind: teams, url: {} }]\n", 1, 42, "receivers[0].url", []string{"at one place"}},
		"slack with signing key":      {"receivers: [{ name: a, kind: slack, url: { secret: s }, signing_key: { secret: k } }]\n", 1, 70, "receivers[0].signing_key", []string{"kind slack has no signing_key"}},
		"diff with secrets":           {"receivers: [{ name: a, kind: slack, url: { secret: s }, diff: raw }]\n", 1, 63, "receivers[0].diff", []string{"none, redacted"}},
		"diff misspelt":               {"receivers: [{ name: a, kind: webhook, url: \"https://x.example/\", diff: redactd }]\n", 1, 72, "receivers[0].diff", []string{"Did you mean redacted?"}},
		"diff into the log":           {"receivers: [{ name: a, kind: log, diff: redacted }]\n", 1, 41, "receivers[0].diff", []string{"kind log has no diff"}},
		"slack misspelt":              {"receivers: [{ name: a, kind: slakc, url: { secret: s } }]\n", 1, 30, "receivers[0].kind", []string{"Did you mean slack?"}},
		"receiver without kind":       {"receivers: [{ name: a }]\n", 1, 13, "receivers[0]", []string{"no kind"}},
		"receiver without name":       {"receivers: [{ kind: log }]\n", 1, 13, "receivers[0]", []string{"no name"}},
		"two receivers":               {"receivers: [{ name: a, kind: log }, { name: a, kind: log }]\n", 1, 37, "receivers[1].name", []string{"second receiver"}},
		"webhook without url":         {"receivers: [{ name: a, kind: webhook }]\n", 1, 13, "receivers[0]", []string{"needs url"}},
		"webhook with a mail":         {"receivers: [{ name: a, kind: webhook, url: \"https://x.example/\", to: [a@b.example] }]\n", 1, 70, "receivers[0].to", []string{"no to"}},
		"url that is none":            {"receivers: [{ name: a, kind: webhook, url: \"hooks FAKE-hunter2\" }]\n", 1, 44, "receivers[0].url", []string{"https://"}},
		"url with a password":         {"receivers: [{ name: a, kind: webhook, url: \"https://u:FAKE-hunter2@x.example/\" }]\n", 1, 44, "receivers[0].url", []string{"{ secret: NAME }"}},
		"literal signing key":         {"receivers: [{ name: a, kind: webhook, url: \"https://x.example/\", signing_key: FAKE-hunter2 }]\n", 1, 79, "receivers[0].signing_key", []string{"muster secret set"}},
		"mail without server":         {"receivers: [{ name: a, kind: email, to: [a@b.example], from: a@b.example }]\n", 1, 13, "receivers[0]", []string{"needs server"}},
		"mail address":                {"receivers: [{ name: a, kind: email, to: [nobody], from: a@b.example, server: \"m:25\" }]\n", 1, 42, "receivers[0].to[0]", []string{"noc@example.net"}},
		"mail server":                 {"receivers: [{ name: a, kind: email, to: [a@b.example], from: a@b.example, server: m }]\n", 1, 83, "receivers[0].server", []string{"mail.example.net:587"}},
		"starttls":                    {"receivers: [{ name: a, kind: email, to: [a@b.example], from: a@b.example, server: \"m:25\", starttls: yes }]\n", 1, 101, "receivers[0].starttls", []string{"required, opportunistic, none"}},
		"password without user":       {"receivers: [{ name: a, kind: email, to: [a@b.example], from: a@b.example, server: \"m:25\", password: { env: P } }]\n", 1, 101, "receivers[0].password", []string{"of a user"}},
		"alert kind":                  {"receivers: [{ name: a, kind: log }]\nalerts: [{ kinds: [backup-faild], to: [a] }]\n", 2, 20, "alerts[0].kinds[0]", []string{"Did you mean backup-failed?"}},
		"alert without kinds":         {"receivers: [{ name: a, kind: log }]\nalerts: [{ to: [a] }]\n", 2, 10, "alerts[0]", []string{"no kinds", "all"}},
		"alert without receiver":      {"alerts: [{ kinds: all }]\n", 1, 10, "alerts[0]", []string{"no receivers"}},
		"unknown receiver":            {"alerts: [{ kinds: all, to: [opps] }]\nreceivers: [{ name: ops, kind: log }]\n", 1, 29, "alerts[0].to[0]", []string{`"opps"`, "Did you mean ops?"}},
		"digest":                      {"receivers: [{ name: a, kind: log }]\nalerts: [{ kinds: all, to: [a], digest: hourly }]\n", 2, 41, "alerts[0].digest", []string{"none, daily"}},
		"maintenance, no map":         {"maintenance: [tonight]\n", 1, 15, "maintenance[0]", []string{"must be a map", "cron"}},
		"maintenance, a list of none": {"maintenance: tonight\n", 1, 14, "maintenance", []string{"must be a list"}},
		"maintenance without a name":  {"maintenance: [{ cron: \"0 22 * * 2\", duration: 4h }]\n", 1, 15, "maintenance[0]", []string{"no name"}},
		"two of one name":             {"maintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 4h }, { name: w, cron: \"0 22 * * 3\", duration: 4h }]\n", 1, 62, "maintenance[1].name", []string{"second maintenance"}},
		"maintenance without times":   {"maintenance: [{ name: w, sites: [paris] }]\n", 1, 15, "maintenance[0]", []string{"no times", "cron and duration", "start and end"}},
		"maintenance key":             {"maintenance: [{ name: w, cron: \"0 22 * * 2\", druation: 4h }]\n", 1, 46, "maintenance[0]", []string{"Did you mean duration?"}},
		"maintenance cron":            {"maintenance: [{ name: w, cron: \"20 25 * * *\", duration: 4h }]\n", 1, 32, "maintenance[0].cron", []string{"five fields"}},
		"cron without duration":       {"maintenance: [{ name: w, cron: \"0 22 * * 2\" }]\n", 1, 15, "maintenance[0]", []string{"needs duration"}},
		"cron and end":                {"maintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 4h, end: \"2026-12-06 04:00\" }]\n", 1, 65, "maintenance[0].end", []string{"not both"}},
		"cron and start":              {"maintenance: [{ name: w, cron: \"0 22 * * 2\", start: \"2026-12-06 04:00\" }]\n", 1, 53, "maintenance[0].start", []string{"not both"}},
		"start alone":                 {"maintenance: [{ name: w, start: \"2026-12-06 04:00\" }]\n", 1, 15, "maintenance[0]", []string{"needs end or duration"}},
		"end and duration":            {"maintenance: [{ name: w, start: \"2026-12-05 20:00\", end: \"2026-12-06 04:00\", duration: 8h }]\n", 1, 88, "maintenance[0].duration", []string{"end or duration"}},
		"end before start":            {"maintenance: [{ name: w, start: \"2026-12-05 20:00\", end: \"2026-12-05 04:00\" }]\n", 1, 58, "maintenance[0].end", []string{"ends before it begins"}},
		"end in another year":         {"maintenance: [{ name: w, start: \"2026-12-05 20:00\", end: \"2027-12-06 04:00\" }]\n", 1, 58, "maintenance[0].end", []string{"365 days", "31d"}},
		"start that is no time":       {"maintenance: [{ name: w, start: \"Saturday evening\", duration: 4h }]\n", 1, 33, "maintenance[0].start", []string{"Saturday evening", "2026-12-05 20:00"}},
		"start without a time of day": {"maintenance: [{ name: w, start: \"2026-12-05\", duration: 4h }]\n", 1, 33, "maintenance[0].start", []string{"no time"}},
		"start that does not exist":   {"timezone: Europe/Paris\nmaintenance: [{ name: w, start: \"2026-03-29 02:30\", duration: 4h }]\n", 2, 33, "maintenance[0].start", []string{"02:30", "does not exist in Europe/Paris"}},
		"maintenance too short":       {"maintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 30s }]\n", 1, 56, "maintenance[0].duration", []string{"out of range"}},
		"maintenance too long":        {"maintenance: [{ name: w, cron: \"0 22 1 1 *\", duration: 32d }]\n", 1, 56, "maintenance[0].duration", []string{"out of range", "31d"}},
		"maintenance without end":     {"maintenance: [{ name: w, cron: \"0 22 * * *\", duration: 1d }]\n", 1, 56, "maintenance[0].duration", []string{"begins again after 1d"}},
		"duration without a unit":     {"maintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 4 }]\n", 1, 56, "maintenance[0].duration", []string{"unit"}},
		"scope of a maintenance":      {"scopes:\n  - name: a\n    addresses: [192.0.2.0/24]\nmaintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 4h, scopes: [b] }]\n", 4, 69, "maintenance[0].scopes[0]", []string{"no scope \"b\""}},
		"filter of a maintenance":     {"maintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 4h, filter: \"rack:7\" }]\n", 1, 68, "maintenance[0].filter", []string{"no field \"rack\""}},
		"sites as a text":             {"maintenance: [{ name: w, cron: \"0 22 * * 2\", duration: 4h, sites: paris }]\n", 1, 67, "maintenance[0].sites", []string{"must be a list"}},
		"web for everybody":           {"web: { listen: \"0.0.0.0:8470\" }\n", 1, 16, "web.listen", []string{"loopback", "ssh -L"}},
		"web without port":            {"web: { listen: \"127.0.0.1\" }\n", 1, 16, "web.listen", []string{"127.0.0.1:8470"}},
		"retention":                   {"retention: { runs: 1h }\n", 1, 20, "retention.runs", []string{"out of range"}},
		"nested too deep":             {"scopes: " + strings.Repeat("[", 5000) + "\n", 1, 1, "", []string{"nested deeper"}},
		"too large":                   {"# " + strings.Repeat("x", sizeMax), 1, 1, "", []string{"bytes"}},
	}
	cron := func(expr string) error {
		if expr == "20 25 * * *" {
			return fmt.Errorf("%q is no cron expression. Write five fields", expr)
		}
		return nil
	}
	filter := func(text string) error {
		if field, _, _ := strings.Cut(text, ":"); field == "rack" {
			return fmt.Errorf("there is no field %q to filter by", field)
		}
		return nil
	}
	daily := func(_ string, _ *time.Location, from time.Time, n int) (all []time.Time, _ error) {
		for i := range n {
			all = append(all, from.AddDate(0, 0, i))
		}
		return all, nil
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, faults := Parse("muster.yaml", []byte(tt.text), Options{CheckCron: cron, CheckFilter: filter, CronTimes: daily})
			if s != nil {
				t.Fatal("was accepted")
			}
			if len(faults) != 1 {
				t.Fatalf("%d faults, want 1:\n%v", len(faults), faults)
			}
			f := faults[0]
			if f.Line != tt.line || f.Column != tt.column || f.Path != tt.path || f.File != "muster.yaml" {
				t.Errorf("fault is at %d:%d %q, want %d:%d %q: %s", f.Line, f.Column, f.Path, tt.line, tt.column, tt.path, f.Reason)
			}
			for _, part := range tt.says {
				if !strings.Contains(f.Reason, part) {
					t.Errorf("reason %q does not say %q", f.Reason, part)
				}
			}
			if strings.Contains(faults.Error(), "hunter2") || strings.Contains(faults.Error(), "12345678") {
				t.Errorf("the message quotes a secret: %v", faults)
			}
			if strings.Contains(f.Error(), "\n") {
				t.Errorf("the message is more than a line: %q", f.Error())
			}
			if !errors.As(faults.Err(), new(Faults)) {
				t.Error("faults are no error")
			}
		})
	}
}

func TestNoFaultsAreNoError(t *testing.T) {
	_, faults := Parse("muster.yaml", nil, Options{})
	if err := faults.Err(); err != nil {
		t.Errorf("error is %v", err)
	}
}

// FuzzParse looks for a panic, for faults without a place, and for a message
// that quotes what stands where a secret could be written by mistake.
func FuzzParse(f *testing.F) {
	f.Add(example, "FAKE-hunter2-0123")
	f.Add("a: &a [*a]\nscopes: *a\n", `"FAKE-hunter2-0123"`)
	f.Add("credentials: [{? a : b}]", "{ secret: FAKE-hunter2-0123 }")
	f.Add("---\n...\n%YAML 1.2\n---\n", "[FAKE-hunter2-0123, x]")
	f.Add("scopes:\n  - <<: {a: b}\n    name: |\n      x\n", "{ FAKE-hunter2-0123: x }")
	f.Add("key: !!binary x\nweb: 1e400", "!FAKE-hunter2-0123 x")
	f.Add("\x00\xff", "&FAKE-hunter2-0123 *x")
	places := []string{
		"credentials:\n  - name: c\n    kind: ssh\n    user: u\n    password: %s\n",
		"credentials: [{ name: c, kind: snmp-v2c, community: %s }]\n",
		"credentials:\n  - name: c\n    kind: snmp-v3\n    user: u\n    auth: { protocol: sha, password: %s }\n",
		"credentials: [{ name: c, kind: snmp-v2c, community: { secret: %s } }]\n",
		"credentials: [{ name: c, kind: snmp-v2c, community: { command: %s } }]\n",
		"credentials: [{ name: c, kind: snmp-v2c, community: { env: %s } }]\n",
		"receivers: [{ name: c, kind: webhook, url: %s }]\n",
		"receivers: [{ name: c, kind: slack, url: %s }]\n",
		"receivers: [{ name: c, kind: teams, url: { env: %s } }]\n",
		"receivers: [{ name: c, kind: webhook, url: \"https://x.example\", signing_key: %s }]\n",
	}
	f.Fuzz(func(t *testing.T, text, literal string) {
		s, faults := Parse("muster.yaml", []byte(text), Options{})
		if (s == nil) == (len(faults) == 0) {
			t.Fatalf("settings %t with %d faults", s != nil, len(faults))
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Reason == "" {
				t.Errorf("a fault without a place or reason: %+v", fault)
			}
		}
		const marker = "FAKE-hunter2-0123"
		if !strings.Contains(literal, marker) || strings.ContainsAny(literal, "\n\r") {
			return // structure of its own may put the marker where it is quoted by right
		}
		for _, place := range places {
			_, faults := Parse("muster.yaml", fmt.Appendf(nil, place, literal), Options{})
			if strings.Contains(faults.Error(), marker) {
				t.Errorf("a secret is quoted:\n%s%v", fmt.Sprintf(place, literal), faults)
			}
		}
	})
}
