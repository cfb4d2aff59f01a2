package app

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/lab"
	"muster/inventory"
)

// posts is a server that keeps what is posted to it, by path.
type posts struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string][]string
}

func newPosts(t *testing.T) *posts {
	p := &posts{got: map[string][]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got[r.URL.Path] = append(p.got[r.URL.Path], string(body))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *posts) to(path string) []string { p.mu.Lock(); defer p.mu.Unlock(); return p.got[path] }

// TestDiffOfAnAlertReachesTheChatsWithoutSecrets changes a line and adds a
// community to a device: who wants the diff is shown both, the community masked.
func TestDiffOfAnAlertReachesTheChatsWithoutSecrets(t *testing.T) {
	t.Parallel()
	server := newPosts(t)
	var ahead atomic.Int64 // of the clock
	dir := t.TempDir()
	receivers := "receivers:\n"
	var names []string
	for _, r := range []struct{ name, kind, diff string }{{"chat", "slack", "redacted"}, {"team", "teams", "redacted"}, {"hook", "webhook", "redacted"}, {"quiet", "slack", "none"}} {
		if err := os.WriteFile(filepath.Join(dir, r.name), []byte(server.URL+"/"+r.name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		receivers += fmt.Sprintf("  - { name: %s, kind: %s, diff: %s, url: { file: %s } }\n", r.name, r.kind, r.diff, filepath.Join(dir, r.name))
		names = append(names, r.name)
	}
	receivers += "alerts: [{ kinds: [changed], to: [" + strings.Join(names, ", ") + "] }]"
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, receivers, func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	for _, name := range names {
		if err := h.c.TestReceiver(t.Context(), name); err != nil {
			t.Errorf("receiver test %s: %v", name, err)
		}
	}
	h.discover()
	if got := h.backup(); got[string(backup.Stored)] != 1 {
		t.Fatalf("first night: %v", got)
	}
	h.net.Edit("sw1", func(text string) string {
		return strings.Replace(text, "\nend", "\nsnmp-server community FAKE-hunter2 RO\nsnmp-server location hall-7\nend", 1)
	})
	if got := h.backup(); got[string(backup.Stored)] != 1 {
		t.Fatalf("second night: %v", got)
	}
	h.firing(alert.Changed)
	ahead.Add(int64(time.Minute)) // what comes in numbers waits for company
	if _, _, err := h.app.alerts.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for range 200 {
			if len(server.to("/"+name)) >= 2 {
				break
			}
			time.Sleep(50 * time.Millisecond) // deliveries follow on their own
		}
		got := server.to("/" + name)
		if len(got) != 2 || !strings.Contains(got[1], "sw1") {
			t.Fatalf("%s got %d messages: %v", name, len(got), got)
		}
		if shown := strings.Contains(got[1], "+snmp-server location hall-7"); shown != (name != "quiet") {
			t.Errorf("%s is shown the diff: %t\n%s", name, shown, got[1])
		}
		if strings.Contains(got[1], "hunter2") {
			t.Errorf("%s is shown a secret:\n%s", name, got[1])
		}
		if name != "quiet" && !strings.Contains(got[1], "+snmp-server community ‹secret") {
			t.Errorf("%s is not shown that a community came:\n%s", name, got[1])
		}
	}
}

// TestDriftOfADeviceThatIsWatchedAgainIsTold: its alerts ended when it was disabled,
// and what is not approved still is not when it comes back.
func TestDriftOfADeviceThatIsWatchedAgainIsTold(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // of the clock
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, "", func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	h.discover()
	h.backup()
	h.net.Edit("sw1", func(text string) string {
		return strings.Replace(text, "\nend", "\nsnmp-server location hall-7\nend", 1)
	})
	h.backup()
	was := h.firing(alert.Changed)
	for _, disabled := range []bool{true, false} {
		if _, err := h.app.devices.Set(t.Context(), "sw1", inventory.Change{Disabled: &disabled}, "test"); err != nil {
			t.Fatal(err)
		}
		ahead.Add(int64(time.Hour))
		if _, _, err := h.app.alerts.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := h.app.alerts.List(t.Context(), alert.Filter{State: alert.Firing, Kind: alert.Changed})
		if err != nil || (len(all) == 0) != disabled {
			t.Fatalf("disabled %t: alerts %+v (%v)", disabled, all, err)
		}
		for _, a := range all {
			if a.ID == was[0].ID || a.Subject != was[0].Subject || a.NotifyAt.IsZero() {
				t.Errorf("alert %+v, want another one about the same change, to be told", a)
			}
		}
	}
	if got := h.backup(); got[string(backup.Unchanged)] != 1 {
		t.Errorf("next night: %v", got)
	}
	if all := h.firing(alert.Changed); len(all) != 1 || all[0].ID == was[0].ID {
		t.Errorf("alerts after the next night: %+v, want the one", all)
	}
}

// TestSecretOfAReceiverMayComeLater: what a receiver lacks keeps nobody out, and
// holds from the next message on.
func TestSecretOfAReceiverMayComeLater(t *testing.T) {
	t.Parallel()
	server := newPosts(t)
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}},
		"receivers: [{ name: chat, kind: slack, url: { secret: slack-hook } }]\nalerts: [{ kinds: all, to: [chat] }]")
	test := func(says string) {
		t.Helper()
		err := h.c.TestReceiver(t.Context(), "chat")
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "FAKE")) {
			t.Errorf("receiver test: %v, want %q", err, says)
		}
	}
	set := func(value string) {
		t.Helper()
		if _, err := h.c.SetSecret(t.Context(), "slack-hook", value); err != nil {
			t.Fatal(err)
		}
	}
	test("muster secret set slack-hook")
	h.discover()
	if got := h.backup(); got[string(backup.Stored)] != 1 {
		t.Errorf("backups beside a receiver without its secret: %v", got)
	}
	set("hooks.example.net/FAKE")
	test("no http or https address")
	secrets, err := h.c.Secrets(t.Context())
	if i := slices.IndexFunc(secrets, func(s api.Secret) bool { return s.Name == "slack-hook" }); err != nil || i < 0 || !slices.Equal(secrets[i].UsedBy, []string{"chat"}) {
		t.Errorf("secret list is %+v (%v), want slack-hook used by chat", secrets, err)
	}
	if _, err := h.c.Reload(t.Context()); err != nil {
		t.Errorf("reload beside a receiver with a wrong secret: %v", err)
	}
	set(server.URL + "/one")
	test("")
	set(server.URL + "/two")
	test("")
	if len(server.to("/one")) != 1 || len(server.to("/two")) != 1 {
		t.Errorf("posted %d and %d, want one each: a changed secret holds at once", len(server.to("/one")), len(server.to("/two")))
	}
}

// TestReloadMovesTheTimesOfAlerts: what a changed timezone moves for schedules it
// moves for messages and the digest as well.
func TestReloadMovesTheTimesOfAlerts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, "timezone: UTC")
	text, err := os.ReadFile(h.app.o.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.app.o.Config, []byte(strings.Replace(string(text), "timezone: UTC", "timezone: Asia/Tokyo", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.discover()
	for _, al := range h.firing(alert.NewDevice) {
		if !strings.Contains(al.Message, " JST") {
			t.Errorf("the alert says %q, want its time in the zone of the reload", al.Message)
		}
	}
}
