//go:build faults

// The fault table: each way in which a simulated device that others wrote can fail,
// and what the built command makes of it, seen from outside. .ci/faults builds what
// it needs and runs it: MUSTER_BIN is the command, SSHFLEET the devices.
package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
)

// faultRow is what is expected of one fault. A device has a good version before
// it; next is what the first run after it makes of the device.
type faultRow struct {
	fault   string // KIND[:ARG] of sshfleet
	outcome string
	step    string
	kind    string
	state   string
	alerts  string // kinds, sorted; empty: none
	next    string // and what a person has to do first
}

// faultTable is written by hand, before the messages are looked at. Reachability
// asks a device on loopback for a whole TCP connection, so only what refuses or
// does not answer that is down; the rest is up, and its backup fails.
var faultTable = []faultRow{
	// No connection.
	{"dead", "failed", "connect", "refused", "down", "unreachable", "unchanged"},
	{"blackhole", "failed", "connect", "timed-out", "down", "unreachable", "unchanged"},
	{"refuse", "failed", "key-exchange", "closed", "up", "backup-failed", "unchanged"},
	{"max-sessions:1", "failed", "key-exchange", "closed", "up", "backup-failed", "unchanged"}, // one is open already
	// No SSH.
	{"tcp", "failed", "key-exchange", "timed-out", "up", "backup-failed", "unchanged"},
	{"garbage", "failed", "key-exchange", "closed", "up", "backup-failed", "unchanged"},
	{"ssh-banner", "failed", "key-exchange", "timed-out", "up", "backup-failed", "unchanged"},
	{"kex", "failed", "key-exchange", "timed-out", "up", "backup-failed", "unchanged"},
	{"weak", "failed", "key-exchange", "no-common-algorithm", "up", "backup-failed", "unchanged"},
	{"hostkey-changed", "failed", "host-key", "host-key-changed", "up", "host-key-changed", "unchanged"},
	// No login.
	{"auth", "failed", "login", "timed-out", "up", "backup-failed", "unchanged"}, // the password is out and counts, so there is no second try
	{"slow-auth:2", "unchanged", "", "", "up", "", "unchanged"},
	{"reject", "failed", "login", "login-rejected", "up", "login-rejected", "unchanged after `muster device retry`"},
	{"authz-login", "failed", "prompt", "rights-missing", "up", "backup-failed", "unchanged"},
	{"autocommand-login", "failed", "prompt", "command-rejected", "up", "backup-failed", "unchanged"},
	{"prompt", "failed", "prompt", "timed-out", "up", "backup-failed", "unchanged"},
	{"expiry", "failed", "prompt", "no-prompt", "up", "backup-failed", "unchanged"},
	{"enable", "failed", "enable", "enable-rejected", "up", "login-rejected", "unchanged after `muster device retry`"},
	{"banner", "unchanged", "", "", "up", "", "unchanged"},
	// No text, or not the whole of it.
	{"authz", "failed", "command", "rights-missing", "up", "backup-failed", "unchanged"},
	{"autocommand", "failed", "command", "command-rejected", "up", "backup-failed", "unchanged"},
	{"truncated-close", "failed", "output", "closed", "up", "backup-failed", "unchanged"},
	{"truncated-prompt", "quarantined", "judge", "proof-missing", "up", "quarantined", "unchanged"},
	{"mid-output", "failed", "output", "timed-out", "up", "backup-failed", "unchanged"},
	{"garbage-output", "quarantined", "judge", "proof-missing", "up", "quarantined", "unchanged"},
	{"endless:80000000", "failed", "output", "too-large", "up", "backup-failed", "unchanged"},
	{"drip:20000", "unchanged", "", "", "up", "", "unchanged"},
	// Lines like a prompt belong to the text: it has changed, and changes back.
	{"lookalike-config", "stored", "", "", "up", "changed", "stored"},
	{"lookalike-own", "stored", "", "", "up", "changed", "stored"},
}

const (
	faultPort  = "2261"
	afterRetry = " after `muster device retry`"
)

func (r faultRow) device() string { kind, _, _ := strings.Cut(r.fault, ":"); return kind }

// faultHouse is a data directory beside one simulated device for each fault.
type faultHouse struct {
	*testing.T
	bin     string
	args    []string
	control string
	address map[string]string
	lists   map[string]string // fault → what it does, in the fleet's words
}

func TestFaults(t *testing.T) {
	h := newFaultHouse(t)
	for _, r := range faultTable {
		if _, ok := h.lists[r.device()]; !ok {
			t.Errorf("the fleet knows no fault %s", r.device())
		}
		delete(h.lists, r.device())
	}
	for kind := range h.lists {
		t.Errorf("the fault %s of the fleet has no row", kind)
	}
	for name, got := range h.backup() {
		if got.Outcome != backup.Stored {
			t.Fatalf("%s is %+v before any fault, want stored", name, got)
		}
	}

	for _, r := range faultTable {
		h.fault(r.device(), r.fault)
	}
	held, err := net.Dial("tcp4", net.JoinHostPort(h.address["max-sessions"], faultPort))
	if err != nil {
		t.Fatal(err)
	}
	ill := h.backup()
	h.serve()
	h.wait("the fault table's device states", func() string {
		var wrong []string
		states := h.states()
		for _, r := range faultTable {
			if got := states[r.device()]; got != r.state {
				wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", r.device(), got, r.state))
			}
		}
		return strings.Join(wrong, "; ")
	})
	h.wait("the fault table's alerts", func() string {
		var wrong []string
		alerts := h.alerts()
		for _, r := range faultTable {
			if got := alerts[r.device()]; got != r.alerts {
				wrong = append(wrong, fmt.Sprintf("%s has %q, want %q", r.device(), got, r.alerts))
			}
		}
		return strings.Join(wrong, "; ")
	})
	for _, r := range faultTable {
		got := ill[r.device()]
		if string(got.Outcome) != r.outcome || string(got.Step) != r.step || string(got.Kind) != r.kind {
			t.Errorf("%s is %s (%s at %s), want %s (%s at %s): %s", r.fault, got.Outcome, got.Kind, got.Step, r.outcome, r.kind, r.step, got.Message)
		}
		if r.kind != "" {
			saysWhatToDo(t, r.fault, got.Message)
		}
	}

	_ = held.Close()
	for _, r := range faultTable {
		h.fault(r.device(), "")
	}
	h.wait("all devices up", func() string {
		for name, state := range h.states() {
			if state != "up" {
				return name + " is " + state
			}
		}
		return ""
	})
	well := h.backup()
	for _, r := range faultTable {
		if !strings.HasSuffix(r.next, afterRetry) {
			continue
		}
		// The login budget of the day is used up until a person says otherwise.
		if got := well[r.device()]; got.Kind != "needs-credential" || !strings.Contains(got.Message, "muster device retry "+r.device()) {
			t.Errorf("%s is %+v before a person asks for another login, want needs-credential that names the verb", r.fault, got)
		}
		h.muster(0, "device", "retry", r.device())
		maps.Copy(well, h.backup(r.device()))
	}
	for _, r := range faultTable {
		if got := well[r.device()]; string(got.Outcome) != strings.TrimSuffix(r.next, afterRetry) {
			t.Errorf("%s is %+v when the fault is over, want %s", r.fault, got, r.next)
		}
	}
	h.wait("no alert of a fault that is over", func() string {
		var wrong []string
		for name, kinds := range h.alerts() {
			if kinds != "" && kinds != "changed" { // a change ends when a person approves it
				wrong = append(wrong, name+" has "+kinds)
			}
		}
		return strings.Join(wrong, "; ")
	})
	h.docs(ill)
}

func newFaultHouse(t *testing.T) *faultHouse {
	bin, fleet := os.Getenv("MUSTER_BIN"), os.Getenv("SSHFLEET")
	if bin == "" || fleet == "" {
		t.Skip("NOT RUN: the fault table, MUSTER_BIN and SSHFLEET are not set; .ci/faults sets them")
	}
	dir := t.TempDir()
	h := &faultHouse{T: t, bin: bin, address: map[string]string{}, lists: map[string]string{},
		args: []string{"--dir", filepath.Join(dir, "data"), "--config", filepath.Join(dir, "muster.yaml"), "--key", filepath.Join(dir, "muster.key")}}
	t.Setenv("FAULTS_PASSWORD", "admin")
	t.Setenv("FAULTS_ENABLE", "enable")
	t.Setenv("NO_COLOR", "1")

	list, err := exec.Command(fleet, "fleet", "-fault", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		kind, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		h.lists[kind] = strings.TrimSpace(what)
	}

	cmd := exec.Command(fleet, "fleet", "-n", fmt.Sprint(len(faultTable)), "-base", "127.61.0.0", "-port", faultPort,
		"-platform", "ios", "-size", "20000", "-hostkeys", "each", "-control", "127.61.1.1:2200")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "control "); ok {
			h.control = url
		}
		if strings.HasPrefix(lines.Text(), "ready") {
			break
		}
	}
	if h.control == "" {
		t.Fatal("the simulated devices do not start")
	}

	// A credential for each: what one device does to an account is no other's trouble.
	var settings, devices strings.Builder
	settings.WriteString("timezone: UTC\ncredentials:\n")
	var names []string
	for i, r := range faultTable {
		name := r.device()
		names = append(names, name)
		h.address[name] = fmt.Sprintf("127.61.0.%d", i+1)
		fmt.Fprintf(&settings, "  - { name: %s, kind: ssh, user: admin, password: { env: FAULTS_PASSWORD }, enable: { env: FAULTS_ENABLE } }\n", name)
		fmt.Fprintf(&devices, "%s %s cisco_ios %s\n", h.address[name], name, name)
	}
	fmt.Fprintf(&settings, `scopes:
  - name: fleet
    addresses: [127.61.0.0/24]
    credentials: [%s]
    passwords_to: any
    approval: manual
    ssh: { port: %s, concurrency: 50 }
    timeouts: { connect: 2s, key_exchange: 3s, login: 5s, first_byte: 4s, silence: 3s, session: 60s }
schedules:
  reachability: { every: 1s, down_after: 3s, tcp_every: 1s }
web: { listen: "127.0.0.1:2264" }
`, strings.Join(names, ", "), faultPort)
	if err := os.WriteFile(filepath.Join(dir, "muster.yaml"), []byte(settings.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(devices.String()) {
		f := strings.Fields(line)
		h.muster(0, "device", "add", f[0], "--name", f[1], "--platform", f[2], "--credential", f[3])
	}
	return h
}

// muster runs one command to its end, which has to be the code.
func (h *faultHouse) muster(code int, args ...string) []byte {
	h.Helper()
	cmd := exec.CommandContext(h.Context(), h.bin, append(slices.Clone(h.args), args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code && code >= 0 {
		h.Fatalf("muster %s ended with %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout.String(), stderr.String())
	}
	return stdout.Bytes()
}

// backup runs over the devices, all where none is named; how each ended, by name.
func (h *faultHouse) backup(names ...string) map[string]backup.Result {
	h.Helper()
	all := map[string]backup.Result{}
	for line := range bytes.Lines(h.muster(-1, append([]string{"backup", "-o", "ndjson"}, names...)...)) {
		var r backup.Result
		if err := json.Unmarshal(line, &r); err != nil {
			h.Fatalf("%v in %s", err, line)
		}
		all[r.Device] = r
	}
	want := len(names)
	if want == 0 {
		want = len(faultTable)
	}
	if len(all) != want {
		h.Fatalf("backup told of %d devices, want %d", len(all), want)
	}
	return all
}

// fault gives a simulated device a fault; an empty one heals it.
func (h *faultHouse) fault(device, fault string) {
	h.Helper()
	i := slices.IndexFunc(faultTable, func(r faultRow) bool { return r.device() == device })
	answer, err := http.Post(fmt.Sprintf("%s/device?index=%d&fault=%s", h.control, i, url.QueryEscape(fault)), "", nil)
	if err != nil {
		h.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		h.Fatalf("the fault %q is refused: %s", fault, answer.Status)
	}
}

func (h *faultHouse) states() map[string]string {
	h.Helper()
	var devices []api.Device
	if err := json.Unmarshal(h.muster(0, "device", "list", "-o", "json"), &devices); err != nil {
		h.Fatal(err)
	}
	states := map[string]string{}
	for _, d := range devices {
		states[d.Name] = d.State
	}
	return states
}

// alerts are the kinds of the open alerts about each device.
func (h *faultHouse) alerts() map[string]string {
	h.Helper()
	var alerts []alert.Alert
	if err := json.Unmarshal(h.muster(0, "alert", "list", "-o", "json"), &alerts); err != nil {
		h.Fatal(err)
	}
	kinds := map[string]map[string]bool{}
	for _, a := range alerts {
		if a.Kind == alert.NewDevice { // all are
			continue
		}
		for _, d := range a.Devices {
			if kinds[d] == nil {
				kinds[d] = map[string]bool{}
			}
			kinds[d][string(a.Kind)] = true
		}
	}
	joined := map[string]string{}
	for d, k := range kinds {
		joined[d] = strings.Join(slices.Sorted(maps.Keys(k)), ", ")
	}
	return joined
}

// serve runs the house until the test ends.
func (h *faultHouse) serve() {
	h.Helper()
	cmd := exec.Command(h.bin, append(slices.Clone(h.args), "serve")...)
	said, err := os.Create(filepath.Join(h.TempDir(), "serve"))
	if err != nil {
		h.Fatal(err)
	}
	text := func() string { b, _ := os.ReadFile(said.Name()); return string(b) }
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if h.Failed() {
			h.Logf("muster serve said\n%s", text())
		}
		_ = said.Close()
	})
	// Until then a verb would take the data directory for itself.
	h.wait("muster serve prints a link to its pages", func() string {
		if strings.Contains(text(), "http://127.0.0.1:") {
			return ""
		}
		return "so far it says " + text()
	})
}

// wait asks until nothing is missing any more.
func (h *faultHouse) wait(what string, missing func() string) {
	h.Helper()
	said := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if said = missing(); said == "" {
			return
		}
	}
	h.Errorf("%s: %s", what, said)
}

// docs holds the part of docs/faults.md between its marks against this run.
func (h *faultHouse) docs(ill map[string]backup.Result) {
	h.Helper()
	var b strings.Builder
	for _, r := range faultTable {
		m := steady(ill[r.device()].Message)
		if r.step == "output" || r.step == "judge" || r.fault == "garbage" {
			m = said.ReplaceAllString(m, `said "…". `) // a piece of the configuration
		}
		b.WriteString(faultLine("`"+r.fault+"`", r.outcome, r.step, r.kind, r.state, r.alerts, r.next, m))
	}
	holdFaults(h.T, "simulated", ".ci/faults BIN TOOLS", b.String())
}
