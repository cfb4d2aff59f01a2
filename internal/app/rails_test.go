package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/backup"
	"muster/collector"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/lab"
	"muster/internal/secret"
)

// house is a whole muster over a simulated network, as `muster serve` runs it.
type house struct {
	t   *testing.T
	net *lab.Network
	app *App
	c   *api.Client
}

// newHouse writes settings for the network, seals its secrets and opens the
// house; extra is added to the scope.
func newHouse(t *testing.T, o lab.Options, extra string, tune ...func(*Options)) *house {
	t.Helper()
	o.SharedHostKey = true
	n, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	dir := t.TempDir()
	opts := Options{Dir: filepath.Join(dir, "data"), Config: filepath.Join(dir, "muster.yaml"), Key: filepath.Join(dir, "muster.key"), Stderr: io.Discard}
	for _, f := range tune {
		f(&opts)
	}
	devices := n.Devices()
	text := fmt.Sprintf(`credentials:
  - { name: noc, kind: ssh, user: %s, password: { secret: noc } }
  - { name: ro, kind: snmp-v2c, community: { secret: ro } }
scopes:
  - name: lab
    addresses: [%s-%s]
    credentials: [ro, noc]
    snmp: { port: %d, rate: 1000 }
    ssh: { port: %d }
%s
schedules: { reachability: off, discovery: off, backup: off }
web: off
`, lab.User, n.Addr(devices[0].Name), n.Addr(devices[len(devices)-1].Name), n.SNMPPort(), n.SSHPort(), extra)
	for name, text := range map[string][]byte{opts.Config: []byte(text), opts.Key: secret.NewKey().File()} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := &house{t: t, net: n}
	if h.app, err = Open(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.app.Close() })
	if err := h.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	path, err := socketPath(opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	h.c = api.Dial(path)
	t.Cleanup(h.c.Close)
	for name, value := range map[string]string{"noc": lab.Password, "ro": lab.Community} {
		if _, err := h.c.SetSecret(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *house) discover() {
	h.t.Helper()
	if err := h.c.Discover(h.t.Context(), api.RunRequest{}, func(api.Line) error { return nil }); err != nil {
		h.t.Fatal(err)
	}
}

// backup backs all devices up and counts outcomes and kinds.
func (h *house) backup() map[string]int {
	h.t.Helper()
	counts := map[string]int{}
	err := h.c.Backup(h.t.Context(), api.RunRequest{}, func(l api.Line) error {
		if l.Backup != nil {
			counts[string(l.Backup.Outcome)]++
			if l.Backup.Kind != "" {
				counts[string(l.Backup.Kind)]++
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return counts
}

// firing waits until an alert of a kind fires.
func (h *house) firing(kind alert.Kind) []alert.Alert {
	h.t.Helper()
	for range 100 {
		all, err := h.c.Alerts(h.t.Context(), false)
		if err != nil {
			h.t.Fatal(err)
		}
		var found []alert.Alert
		for _, a := range all {
			if a.Kind == kind {
				found = append(found, a)
			}
		}
		if len(found) > 0 {
			return found
		}
		time.Sleep(50 * time.Millisecond) // the alert follows its event on its own
	}
	h.t.Errorf("no alert %s fires", kind)
	return nil
}

// rejected counts the rejected logins of each device that saw any.
func (h *house) rejected() map[string]int {
	counts := map[string]int{}
	for _, d := range h.net.Devices() {
		for _, l := range h.net.LoginLog(d.Name) {
			if !l.Accepted && l.Method != "publickey" {
				counts[d.Name]++
			}
		}
	}
	return counts
}

// TestChangedPasswordOfOneAccountBehind200Devices: at most 3 devices are touched
// and none sees more than 2 rejected logins, over two runs; one alert says so;
// the right secret sets all of it right.
func TestChangedPasswordOfOneAccountBehind200Devices(t *testing.T) {
	t.Parallel()
	var o lab.Options
	for i := range 200 {
		o.Devices = append(o.Devices, lab.Device{Name: fmt.Sprintf("sw%03d", i+1), Platform: lab.IOS})
	}
	h := newHouse(t, o, "")
	h.discover()
	if got := h.backup(); got[string(backup.Stored)] != 200 {
		t.Fatalf("first night: %v", got)
	}
	for _, d := range h.net.Devices() {
		h.net.SetPassword(d.Name, "another-fake-password")
	}
	for night := range 2 {
		got := h.backup()
		if got[string(backup.Stored)]+got[string(backup.Unchanged)] > 0 || got[string(collector.ErrCredentialStopped)] < 197 {
			t.Errorf("night %d with the old password: %v", night+1, got)
		}
	}
	rejected := h.rejected()
	if len(rejected) == 0 || len(rejected) > 3 {
		t.Errorf("%d devices were touched, at most 3 may be: %v", len(rejected), rejected)
	}
	for name, n := range rejected {
		if n > 2 {
			t.Errorf("%s saw %d rejected logins, at most 2 may be", name, n)
		}
	}
	if alerts := h.firing(alert.CredentialStopped); len(alerts) != 1 {
		t.Errorf("%d alerts tell of one account: %+v", len(alerts), alerts)
	}
	if _, err := h.c.SetSecret(t.Context(), "noc", "another-fake-password"); err != nil {
		t.Fatal(err)
	}
	if got := h.backup(); got[string(backup.Unchanged)] != 200 {
		t.Errorf("with the new password: %v", got)
	}
}

// TestRogueServerInAScopeGetsNoPassword: an SSH server that lets anyone in and
// notes passwords stands among the devices, with an address of the scope.
func TestRogueServerInAScopeGetsNoPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOS}, {Name: "trap", Rogue: true}, {Name: "sw2", Platform: lab.EOS}}}, "")
	h.discover()
	h.discover()
	if got := h.backup(); got[string(backup.Stored)] != 2 || len(got) != 1 {
		t.Errorf("backups: %v", got)
	}
	if h.net.PasswordSeen("trap") || len(h.net.LoginLog("trap")) > 0 {
		t.Errorf("the trap was sent a password: %v", h.net.LoginLog("trap"))
	}
}

// TestChangedHostKeySendsNoPassword: the session ends before a password leaves,
// and the alert has both fingerprints.
func TestChangedHostKeySendsNoPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, lab.Options{Devices: []lab.Device{{Name: "sw1", Platform: lab.IOSXE}}}, "")
	h.discover()
	h.backup()
	old := h.net.HostKey("sw1")
	if err := h.net.Rekey("sw1"); err != nil {
		t.Fatal(err)
	}
	before := len(h.net.LoginLog("sw1"))
	if got := h.backup(); got[string(collector.ErrHostKeyChanged)] != 1 {
		t.Errorf("backup: %v", got)
	}
	if after := len(h.net.LoginLog("sw1")); after != before {
		t.Errorf("%d logins went to the device with another key", after-before)
	}
	for _, a := range h.firing(alert.HostKeyChanged) {
		for _, key := range []string{ssh.FingerprintSHA256(old), ssh.FingerprintSHA256(h.net.HostKey("sw1"))} {
			if !strings.Contains(a.Message, key) {
				t.Errorf("the alert does not name %s: %s", key, a.Message)
			}
		}
	}
	if _, err := h.c.AcceptKeys(t.Context(), []string{"sw1"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.backup(); got[string(backup.Unchanged)] != 1 {
		t.Errorf("after accept-key: %v", got)
	}
}
