//go:build e2e

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// realLab drives real-lab.sh, which builds routers out of FRR, BIRD, net-snmp and
// OpenSSH. It is the truth that muster is held against.
type realLab struct {
	tool    string
	devices map[string]labDevice
}

// labDevice is one entry of "real-lab.sh list".
type labDevice struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	SSH     struct {
		User     string   `json:"user"`
		Password string   `json:"password"`
		KeyFile  string   `json:"key_file"`
		HostKeys []string `json:"host_keys"`
	} `json:"ssh"`
	SNMP *struct {
		Version      string `json:"version"`
		Community    string `json:"community"`
		User         string `json:"user"`
		AuthProtocol string `json:"auth_protocol"`
		AuthPassword string `json:"auth_password"`
		PrivProtocol string `json:"priv_protocol"`
		PrivPassword string `json:"priv_password"`
	} `json:"snmp"`
}

// startLab boots a fresh lab and takes it down when the test ends, however it
// ends; a lab that is up already belongs to an earlier run and goes first.
func startLab(t *testing.T) *realLab {
	t.Helper()
	l := &realLab{tool: os.Getenv("REAL_LAB"), devices: map[string]labDevice{}}
	if l.tool == "" {
		t.Fatal("REAL_LAB does not name real-lab.sh; run .ci/e2e, which sets it")
	}
	down := sync.OnceFunc(func() {
		if out, err := exec.Command(l.tool, "down").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "real-lab.sh down: %v\n%s", err, out)
		}
	})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		select {
		case <-signals:
			down()
			os.Exit(130)
		case <-ended:
		}
	}()
	t.Cleanup(func() { signal.Stop(signals); close(ended); down() })
	l.run(t, "down")
	l.run(t, "up")
	l.run(t, "converge", "60")
	l.list(t)
	return l
}

// run runs one command of the lab and returns what it printed.
func (l *realLab) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.tool, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("real-lab.sh %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func (l *realLab) list(t *testing.T) {
	t.Helper()
	var all struct {
		Devices []labDevice `json:"devices"`
	}
	if err := json.Unmarshal([]byte(l.run(t, "list")), &all); err != nil {
		t.Fatalf("real-lab.sh list: %v", err)
	}
	for _, d := range all.Devices {
		l.devices[d.Name] = d
	}
}

// config is what the device would print, read from inside.
func (l *realLab) config(t *testing.T, name string) string {
	t.Helper()
	return strings.ReplaceAll(l.run(t, "config", name), "\r\n", "\n")
}

// drift changes the running config and returns the lines that changed, with
// their marks, in order.
func (l *realLab) drift(t *testing.T, name string) []string {
	t.Helper()
	return marked(l.run(t, "drift", name))
}

// marked are the lines of a diff that were added or removed.
func marked(diff string) []string {
	var lines []string
	for line := range strings.Lines(diff) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "---") || strings.HasPrefix(line, "+++") {
			continue
		}
		if strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+") {
			lines = append(lines, line)
		}
	}
	return lines
}

// rejected is how often the device's SSH server refused a password, by its own log.
func (l *realLab) rejected(t *testing.T, name string) int {
	t.Helper()
	return len(regexp.MustCompile(`(?m)Failed (?:password|keyboard-interactive/pam) for `).FindAllString(l.run(t, "log", name), -1))
}

// writes is how many configuring commands FRR has logged.
func (l *realLab) writes(t *testing.T, name string) int {
	t.Helper()
	return strings.Count(l.run(t, "log", name, "frr"), "(config")
}

// link is a neighbor: the port here, who is at the other end, and at which port.
type link struct{ port, name, chassis, remote string }

// neighbors are the device's LLDP neighbors, as its own lldpd knows them.
func (l *realLab) neighbors(t *testing.T, name string) []link {
	t.Helper()
	type ports map[string]struct {
		Chassis map[string]struct {
			ID struct{ Value string }
		}
		Port struct {
			ID struct{ Value string }
		}
	}
	var said struct {
		LLDP struct{ Interface json.RawMessage }
	}
	text := []byte(l.run(t, "lldp", name))
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatalf("real-lab.sh lldp %s: %v", name, err)
	}
	var all []ports // lldpcli prints a list, and one alone without it
	if err := json.Unmarshal(said.LLDP.Interface, &all); err != nil {
		var one ports
		if err := json.Unmarshal(said.LLDP.Interface, &one); err != nil {
			t.Fatalf("real-lab.sh lldp %s: %v", name, err)
		}
		all = []ports{one}
	}
	var links []link
	for _, p := range all {
		for port, n := range p {
			for remote, c := range n.Chassis {
				links = append(links, link{port, remote, c.ID.Value, n.Port.ID.Value})
			}
		}
	}
	return sorted(links)
}

func sorted(links []link) []link {
	slices.SortFunc(links, func(a, b link) int { return strings.Compare(a.port+a.name, b.port+b.name) })
	return links
}

// musterHouse is one data directory with its settings, and everything that
// muster printed while working on it.
type musterHouse struct {
	bin  string
	dir  string // of settings, key, data
	lab  *realLab
	env  []string
	mu   sync.Mutex // guards said
	said strings.Builder
}

func newHouse(t *testing.T, l *realLab) *musterHouse {
	t.Helper()
	h := &musterHouse{bin: os.Getenv("MUSTER_BIN"), dir: t.TempDir(), lab: l, env: os.Environ()}
	if h.bin == "" {
		t.Fatal("MUSTER_BIN does not name the built muster; run .ci/e2e, which sets it")
	}
	h.settings(t, "modern")
	return h
}

func (h *musterHouse) file(name string) string { return filepath.Join(h.dir, name) }

// settings writes the one settings file: the management network as a scope, core2
// and branch1's in-band address as scopes of their own, the lab's credentials in
// order, those of SSH bound to their address. Secrets are referred to in each way
// that there is. core2's scope allows the algorithms of a profile.
func (h *musterHouse) settings(t *testing.T, algorithms string) {
	t.Helper()
	names := []string{"core1", "core2", "dist1", "dist2", "edge1", "branch1", "rr1", "rr2", "host1"}
	var credentials []string
	order := map[string][]string{} // by scope
	scopeOf := func(device string) string {
		switch device {
		case "core2":
			return "old"
		case "branch1":
			return "branches"
		}
		return "management"
	}
	proto := map[string]string{"SHA": "sha", "AES": "aes", "SHA-256": "sha256", "AES-256": "aes256"}
	write := func(name, text string) string {
		if err := os.WriteFile(h.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, v3 := range []bool{true, false} {
		for _, n := range names {
			s := h.lab.devices[n].SNMP
			if s == nil || (s.Version == "3") != v3 {
				continue
			}
			name := "snmp-" + n
			order[scopeOf(n)] = append(order[scopeOf(n)], name)
			if v3 {
				credentials = append(credentials, fmt.Sprintf("  - { name: %s, kind: snmp-v3, user: %s, auth: { protocol: %s, password: { file: %s } }, priv: { protocol: %s, password: { file: %s } } }",
					name, s.User, proto[s.AuthProtocol], write(n+".auth", s.AuthPassword), proto[s.PrivProtocol], write(n+".priv", s.PrivPassword)))
				continue
			}
			variable := "MUSTER_E2E_" + strings.ToUpper(n)
			h.env = append(h.env, variable+"="+s.Community)
			credentials = append(credentials, fmt.Sprintf("  - { name: %s, kind: snmp-v2c, community: { env: %s } }", name, variable))
		}
	}
	for _, n := range names {
		d := h.lab.devices[n]
		name, how := "ssh-"+n, fmt.Sprintf("password: { secret: %s }", n)
		if d.SSH.KeyFile != "" {
			how = fmt.Sprintf("key: { file: %s }", d.SSH.KeyFile)
		}
		order[scopeOf(n)] = append(order[scopeOf(n)], name)
		credentials = append(credentials, fmt.Sprintf("  - { name: %s, kind: ssh, user: %s, %s, for: [%s] }", name, d.SSH.User, how, d.Address))
	}
	credentials = append(credentials, "  - { name: ssh-oper, kind: ssh, user: oper, password: { secret: oper }, for: ["+h.lab.devices["core1"].Address+"] }")
	write("muster.yaml", `timezone: UTC
key: muster.key
credentials:
`+strings.Join(credentials, "\n")+`
scopes:
  - name: management
    addresses: [10.99.0.0/24]
    credentials: [`+strings.Join(order["management"], ", ")+`]
    site: lab
    snmp: { rate: 1000 }
    timeouts: { connect: 4s, key_exchange: 6s }
  - name: old
    addresses: [`+h.lab.devices["core2"].Address+`]
    credentials: [`+strings.Join(order["old"], ", ")+`]
    site: lab
    ssh: { algorithms: `+algorithms+` }
    timeouts: { connect: 4s, key_exchange: 6s }
  - name: branches
    addresses: [`+h.lab.devices["branch1"].Address+`]
    credentials: [`+strings.Join(order["branches"], ", ")+`]
    site: branch
    timeouts: { connect: 4s, key_exchange: 6s }
schedules:
  reachability: { every: 1s, down_after: 5s, tcp_every: 5s }
receivers:
  - { name: journal, kind: log }
alerts:
  - { kinds: all, to: [journal] }
web: { listen: "127.0.0.1:8470" }
`)
}

// command prepares a muster command inside the lab's management namespace.
func (h *musterHouse) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"exec", h.bin, "--dir", h.file("data"), "--config", h.file("muster.yaml")}, args...)
	cmd := exec.CommandContext(ctx, h.lab.tool, all...)
	cmd.Env = h.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// answer is how a command ended.
type answer struct {
	stdout, stderr string
	code           int
}

// muster runs one command to its end.
func (h *musterHouse) muster(t *testing.T, args ...string) answer {
	t.Helper()
	return h.musterIn(t, "", args...)
}

func (h *musterHouse) musterIn(t *testing.T, stdin string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("muster %s: %v", strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		t.Fatalf("muster %s did not end\n%s%s", strings.Join(args, " "), stdout.String(), stderr.String())
	}
	h.hear(stderr.String())
	if !slices.Contains(args, "--raw") {
		h.hear(stdout.String())
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// hear keeps what was printed, for the search for secrets.
func (h *musterHouse) hear(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said.WriteString(text)
}

func (h *musterHouse) heard() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.String()
}

// must runs a command that has to end with one of the codes (none: 0).
func (h *musterHouse) must(t *testing.T, codes []int, args ...string) answer {
	t.Helper()
	a := h.muster(t, args...)
	if len(codes) == 0 {
		codes = []int{0}
	}
	if !slices.Contains(codes, a.code) {
		t.Fatalf("muster %s ended with %d, not %v\n%s%s", strings.Join(args, " "), a.code, codes, a.stdout, a.stderr)
	}
	return a
}

// ask runs a command and decodes its JSON.
func ask[T any](t *testing.T, h *musterHouse, codes []int, args ...string) T {
	t.Helper()
	a := h.must(t, codes, append(args, "-o", "json")...)
	var v T
	if err := json.Unmarshal([]byte(a.stdout), &v); err != nil {
		t.Fatalf("muster %s prints no JSON: %v\n%s", strings.Join(args, " "), err, a.stdout)
	}
	return v
}

// The stable calls' JSON, as a script would read it.
type (
	foundRow struct {
		Address, Outcome, Device, Platform, Step, Kind, Message string
	}
	deviceRow struct {
		Name, Address, Platform, State string
		Versions                       int
		Managed                        bool
		Drift                          []string
		Neighbors                      []neighborRow
		BackupState                    string `json:"backup_state"`
		ProblemKind                    string `json:"problem_kind"`
		Behind                         string
		PlatformReason                 string `json:"platform_reason"`
		SNMPCredential                 string `json:"snmp_credential"`
	}
	neighborRow struct {
		Protocol        string
		LocalPort       string `json:"local_port"`
		RemoteSysName   string `json:"remote_sys_name"`
		RemotePort      string `json:"remote_port"`
		RemoteChassisID string `json:"remote_chassis_id"`
	}
	backupRow struct {
		Device, Outcome, Step, Kind, Message, SHA256 string
		Version                                      int
	}
	driftRow struct {
		Device, Kind string
		LinesAdded   int `json:"lines_added"`
		LinesRemoved int `json:"lines_removed"`
	}
	alertRow struct {
		ID                   int64
		Kind, State, Message string
		Devices              []string
		OpenedAt             time.Time `json:"opened_at"`
		ResolvedAt           time.Time `json:"resolved_at"`
	}
)

// backup backs the devices up and returns the rows by device.
func (h *musterHouse) backup(t *testing.T, names ...string) map[string]backupRow {
	t.Helper()
	rows := map[string]backupRow{}
	for _, r := range ask[[]backupRow](t, h, []int{0, 3}, append([]string{"backup"}, names...)...) {
		if _, twice := rows[r.Device]; twice {
			t.Errorf("backup tells of %s twice", r.Device)
		}
		rows[r.Device] = r
	}
	for _, n := range names {
		if _, ok := rows[n]; !ok {
			t.Fatalf("backup does not tell of %s", n)
		}
	}
	return rows
}

// alerts are those about a device of a kind, resolved ones too.
func (h *musterHouse) alerts(t *testing.T, kind, device string) []alertRow {
	t.Helper()
	return slices.DeleteFunc(ask[[]alertRow](t, h, nil, "alert", "list", "--all"), func(a alertRow) bool {
		return a.Kind != kind || !slices.Contains(a.Devices, device)
	})
}

// wait asks until it is so.
func wait(t *testing.T, limit time.Duration, what string, so func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !so() {
		if time.Since(begun) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(begun)
}

// serving is a muster that serves inside the lab.
type serving struct {
	cmd   *exec.Cmd
	ended chan error
	mu    sync.Mutex // guards log
	log   bytes.Buffer
}

func (s *serving) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *serving) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// serve starts muster serve and waits until it answers. Whoever calls it stops it.
func (h *musterHouse) serve(t *testing.T) *serving {
	t.Helper()
	s := &serving{ended: make(chan error, 1)}
	s.cmd = h.command(context.WithoutCancel(t.Context()), "serve")
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	wait(t, 30*time.Second, "muster serve prints a link to its pages", func() bool {
		select {
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("muster serve ended: %v\n%s", err, s.text())
		default:
		}
		return strings.Contains(s.text(), "http://127.0.0.1:8470/")
	})
	return s
}

// stop ends it as systemd would; it has to end well.
func (s *serving) stop(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	cmd := s.cmd
	s.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("muster serve ended with %v after SIGTERM\n%s", err, s.text())
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Errorf("muster serve did not end within 30 s of SIGTERM\n%s", s.text())
	}
}

// page fetches a page inside the lab with curl, following one-time links, and
// returns its status and text.
func (h *musterHouse) page(t *testing.T, url string) (status, body string) {
	t.Helper()
	jar := h.file("cookies")
	cmd := exec.CommandContext(t.Context(), h.lab.tool, "exec", "curl", "-sS", "-L", "--max-time", "20", "-c", jar, "-b", jar, "-w", "\n%{http_code}", url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl %s: %v\n%s", url, err, out)
	}
	at := bytes.LastIndexByte(out, '\n')
	return string(out[at+1:]), string(out[:at])
}
