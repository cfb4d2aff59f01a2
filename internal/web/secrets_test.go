package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"muster/backup"
	"muster/internal/api"
	"muster/internal/app"
	"muster/internal/lab"
)

// yaml is a network of a few simulated devices.
const yaml = `credentials:
  - { name: noc, kind: ssh, user: %s, password: { env: MUSTER_WEB_PASSWORD }, enable: { env: MUSTER_WEB_ENABLE } }
  - { name: ro, kind: snmp-v2c, community: { env: MUSTER_WEB_COMMUNITY } }
scopes:
  - { name: lab, addresses: [%s], credentials: [ro, noc], snmp: { port: %d, rate: 1000 }, ssh: { port: %d } }
schedules: { discovery: off, backup: off, reachability: off, housekeeping: off }
web: { listen: "127.0.0.1:0" }
`

// said collects what serve prints for people.
type said struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *said) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.text, format+"\n", args...)
}

func (s *said) link(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	link := regexp.MustCompile(`http://\S+/open\?k=\S+`).FindString(s.text.String())
	if link == "" {
		t.Fatalf("serve printed no link: %s", s.text.String())
	}
	return link
}

// The whole house, from real sessions to pages: no secret of a configuration and
// none of ours shows on any page or public route, before and after a change of
// one, in quarantine, in a diff, in an error.
func TestNoSecretReachesAPage(t *testing.T) {
	t.Setenv("MUSTER_WEB_PASSWORD", lab.Password)
	t.Setenv("MUSTER_WEB_ENABLE", lab.Enable)
	t.Setenv("MUSTER_WEB_COMMUNITY", lab.Community)
	net, err := lab.Start(t.Context(), lab.Options{
		Devices: []lab.Device{{Name: "ios", Platform: lab.IOSXE, Enable: lab.Enable}, {Name: "eos", Platform: lab.EOS}, {Name: "junos", Platform: lab.Junos}, {Name: "fw", Platform: lab.FortiOS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()

	dir := t.TempDir()
	config := filepath.Join(dir, "muster.yaml")
	var addresses []string
	for _, d := range net.Devices() {
		addresses = append(addresses, net.Addr(d.Name).String())
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, yaml, lab.User, strings.Join(addresses, ", "), net.SNMPPort(), net.SSHPort()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out said
	a, err := app.Open(t.Context(), app.Options{Dir: filepath.Join(dir, "data"), Config: config, Key: filepath.Join(dir, "key"), Stderr: io.Discard, Say: out.say})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	c, done, err := app.Connect(t.Context(), app.Options{Dir: filepath.Join(dir, "data"), Config: config, Key: filepath.Join(dir, "key"), Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer done()

	planted := map[string]bool{lab.Password: true, lab.Enable: true}
	plant := func() {
		for _, d := range net.Devices() {
			for _, s := range net.Secrets(d.Name) {
				planted[s] = true
			}
		}
	}
	backUp := func() {
		t.Helper()
		if err := c.Backup(t.Context(), api.RunRequest{}, func(api.Line) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	plant()
	if err := c.Discover(t.Context(), api.RunRequest{}, func(api.Line) error { return nil }); err != nil {
		t.Fatal(err)
	}
	backUp()
	const fresh = "brand-new-secret-4711"
	planted[fresh] = true
	net.Edit("ios", func(text string) string {
		return strings.Replace(text, "\nend", "\nsnmp-server community "+fresh+" RO\nsnmp-server host 192.0.2.9 version 2c "+fresh+"\nend", 1)
	})
	net.Unsaved("eos")
	net.Truncate("junos", true)
	net.RejectLogin("fw", true)
	backUp()
	plant()
	if len(planted) < 8 {
		t.Fatalf("only %d secrets are planted", len(planted))
	}

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: &http.Transport{}}
	defer browser.CloseIdleConnections()
	link := out.link(t)
	base, _, _ := strings.Cut(link, "/open")
	get := func(target string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s %.200s", target, resp.Status, b)
		}
		return string(b)
	}
	get(link)

	targets := []string{"/", "/devices", "/drift", "/alerts", "/alerts?all=1", "/runs", "/runs/1", "/runs/2", "/runs/3",
		"/devices/ios/config/2", "/diff/ios/v1/v2", "/diff/ios/approved/newest", "/diff/eos/startup/running", "/devices/eos/config/startup", "/devices/junos/config/quarantined",
		"/v1/status", "/v1/devices", "/v1/drift", "/v1/alerts?all=true", "/v1/runs", "/v1/runs/3", "/v1/grep?pattern=.", "/v1/export", "/v1/platforms", "/v1/config/ios/diff",
		"/v1/config/eos/diff?against=unsaved", "/v1/config/junos/text?quarantined=true", "/v1/config/eos/text?part=startup"}
	for _, d := range net.Devices() {
		targets = append(targets, "/devices/"+d.Name, "/devices/"+d.Name+"/config/1", "/v1/devices/"+d.Name, "/v1/config/"+d.Name+"/text", "/v1/config/"+d.Name+"/log")
	}
	for _, target := range targets {
		body := get(base + target)
		for s := range planted {
			if strings.Contains(body, s) {
				t.Errorf("GET %s shows the secret %.6s…", target, s)
			}
		}
		if strings.Contains(body, "‹secret ") && !strings.Contains(body, "‹secret changed›") && !strings.Contains(body, "‹secret same›") {
			t.Errorf("GET %s shows the token of a secret", target)
		}
	}

	// Are they there at all? The raw text, over the socket, has them.
	r, err := c.Text(t.Context(), "ios", backup.Which{Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if raw, err := io.ReadAll(r); err != nil || !bytes.Contains(raw, []byte(fresh)) {
		t.Errorf("the raw text lacks the planted secret: %v", err)
	}
	// And the pages have the texts, with their secrets marked.
	for target, want := range map[string]string{
		"/diff/ios/v1/v2": "snmp-server community", "/devices/junos/config/quarantined": "host-name junos", "/diff/eos/startup/running": "startup → running",
		"/devices/fw": "login rejected", "/devices/ios/config/2": `<span class="chip">‹secret›</span>`,
	} {
		if !strings.Contains(get(base+target), want) {
			t.Errorf("GET %s lacks %q", target, want)
		}
	}
}
