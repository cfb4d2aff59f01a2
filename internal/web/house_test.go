package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/backup"
	"muster/collector"
	"muster/collector/snmp"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
	"muster/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

// clock is what the pages and the gate take for now.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// The fakes have what a page shows; what a page must not call is nil.

type fakeDevices struct {
	api.Devices
	list  []inventory.Device
	facts inventory.Facts
}

func (f *fakeDevices) List(_ context.Context, filter inventory.Filter) ([]inventory.Device, error) {
	var out []inventory.Device
	for _, d := range f.list {
		if filter.Match(d) {
			out = append(out, d)
		}
	}
	return out, nil
}

func (f *fakeDevices) Show(_ context.Context, key string) (inventory.Device, error) {
	for _, d := range f.list {
		if d.Name == key || d.Serial == key {
			return d, nil
		}
	}
	return inventory.Device{}, fmt.Errorf("%w: %s", inventory.ErrNoDevice, collector.Escape(key))
}

func (f *fakeDevices) FactsOf(context.Context, int64) (inventory.Facts, error) { return f.facts, nil }

type fakeConfigs struct {
	api.Configs
	versions  []backup.Version // of every device
	drifts    []backup.Drift
	standings map[int64]backup.Standing
	texts     map[string]string // by version, part or "quarantined"
	diff      string
}

func (f *fakeConfigs) Text(_ context.Context, _ int64, w backup.Which, _ string) ([]byte, error) {
	key := w.Part
	switch {
	case w.Raw:
		panic("a page asked for raw text")
	case w.Quarantined:
		key = "quarantined"
	case w.Version > 0:
		key = fmt.Sprint(w.Version)
	}
	text, ok := f.texts[key]
	if !ok && w.Quarantined {
		return nil, backup.ErrNothingWaits
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, backup.ErrNotStored)
	}
	return []byte(text), nil
}

func (f *fakeConfigs) Quarantined(context.Context, int64) (backup.Held, error) {
	return backup.Held{ID: "5eed0fba5eba", TakenAt: noon}, nil
}

func (f *fakeConfigs) Versions(context.Context, int64) ([]backup.Version, error) {
	return f.versions, nil
}

func (f *fakeConfigs) Drifts(context.Context) ([]backup.Drift, error) { return f.drifts, nil }

func (f *fakeConfigs) Standings(context.Context, time.Time) (map[int64]backup.Standing, error) {
	return f.standings, nil
}

func (f *fakeConfigs) Diff(_ context.Context, w io.Writer, _ int64, a, b int) error {
	if a > len(f.versions) || b > len(f.versions) {
		return fmt.Errorf("no version %d: %w", max(a, b), backup.ErrNotStored)
	}
	_, err := io.WriteString(w, f.diff)
	return err
}

func (f *fakeConfigs) DiffUnsaved(_ context.Context, w io.Writer, _ int64) error {
	_, err := io.WriteString(w, f.diff)
	return err
}

func (f *fakeConfigs) DiffBaseline(context.Context, io.Writer, int64) error {
	return fmt.Errorf("there is no baseline: %w", backup.ErrNotStored)
}

func (f *fakeConfigs) WritePending(context.Context, io.Writer, int64) error {
	return backup.ErrNotStored
}

func (f *fakeConfigs) Grep(context.Context, string, []inventory.Device, func(backup.Hit) error) error {
	return nil
}

func (f *fakeConfigs) Export(context.Context, []inventory.Device, func(backup.File) error) error {
	return nil
}

type fakeAlerts struct {
	api.Alerts
	mu   sync.Mutex // guards list
	list []alert.Alert
}

func (f *fakeAlerts) List(_ context.Context, filter alert.Filter) ([]alert.Alert, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []alert.Alert
	for _, a := range f.list {
		if filter.State == "" || a.State == filter.State {
			out = append(out, a)
		}
	}
	return out, nil
}

func (f *fakeAlerts) add(a alert.Alert) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, a)
}

type fakeHouse struct {
	api.House
	set *platform.Set
}

func (f *fakeHouse) Platforms() *platform.Set { return f.set }
func (f *fakeHouse) Next(context.Context) ([]api.NextRun, error) {
	return []api.NextRun{{Job: "backup", At: noon.Add(5 * time.Hour)}}, nil
}
func (f *fakeHouse) LastEvent(context.Context) (int64, error) { return 1, nil }

// work is a job whose tasks end as the test says.
type work struct {
	name     string
	outcomes []schedule.Outcome
	wait     chan struct{} // nil: at once
}

func (w *work) Name() string                     { return w.name }
func (w *work) Begin(schedule.Run) schedule.Work { return w }
func (w *work) Plan(_ context.Context, feed *schedule.Feed) error {
	for i, o := range w.outcomes {
		if err := feed.Add(schedule.Spec{Subject: o.Subject, DeviceID: o.DeviceID, Args: fmt.Append(nil, i)}); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) Do(ctx context.Context, s schedule.Spec, step func(string)) schedule.Outcome {
	var i int
	_, _ = fmt.Sscan(string(s.Args), &i)
	if w.wait != nil && i > 0 {
		step("login")
		select {
		case <-w.wait:
		case <-ctx.Done():
		}
	}
	return w.outcomes[i]
}

// house is the pages over fakes, listening on loopback.
type house struct {
	t       *testing.T
	clock   clock
	devices fakeDevices
	configs fakeConfigs
	alerts  fakeAlerts
	runner  *schedule.Runner
	api     *api.Server
	site    *site
	gate    *Gate
	server  *httptest.Server
	client  *http.Client // follows nothing
	cookie  *http.Cookie
}

func newHouse(t *testing.T, jobs ...schedule.Job) *house {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	st, err := store.Open(t.TempDir(), secret.NewKey(), store.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	set, faults := platform.Load(nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h := &house{t: t, clock: clock{at: noon}}
	h.runner = schedule.New(st, jobs, schedule.Options{Log: quiet, Grace: -1, Now: h.clock.now})
	h.api = api.New(&h.devices, &h.configs, &h.alerts, h.runner, &fakeHouse{set: set}, h.clock.now)
	h.gate = NewGate(h.clock.now)
	h.server = httptest.NewUnstartedServer(nil)
	h.site, err = newSite(h.api, Options{Gate: h.gate, Listen: h.server.Listener.Addr().String(), Version: "v9.9.9", Now: h.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	h.site.pace = 10 * time.Millisecond
	if h.server.Config.Handler, err = h.site.handler(); err != nil {
		t.Fatal(err)
	}
	h.server.Start()
	h.client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() { h.client.CloseIdleConnections(); h.server.Close(); h.runner.Close(); st.Close() })
	return h
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

// ask sends one request; change may alter it first.
func (h *house) ask(method, target string, change ...func(*http.Request)) answer {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second) // the live stream has no end
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, h.server.URL+target, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	resp, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// in is a request of the browser that was let in.
func (h *house) in(r *http.Request) {
	if h.cookie == nil {
		h.cookie = h.enter(h.link())
	}
	r.AddCookie(h.cookie)
}

// link is a fresh one, without the listener's base.
func (h *house) link() string { return strings.TrimPrefix(h.gate.Link(h.server.URL), h.server.URL) }

// enter opens a link and returns the cookie that it gives; nil: none.
func (h *house) enter(link string) *http.Cookie {
	h.t.Helper()
	a := h.ask("GET", link)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		return c
	}
	return nil
}

// page reads one as the browser that was let in.
func (h *house) page(target string) answer { return h.ask("GET", target, h.in) }

// run does a job to its end and returns the run's number.
func (h *house) run(job string) int64 {
	h.t.Helper()
	r, err := h.runner.Start(h.t.Context(), job, schedule.Request{})
	if err == nil {
		r, err = h.runner.Wait(h.t.Context(), r.ID)
	}
	if err != nil || r.State != schedule.Done {
		h.t.Fatalf("run: %s, %v", r.State, err)
	}
	return r.ID
}

// furnish gives the house two devices, versions, drift, alerts.
func (h *house) furnish() {
	h.devices.list = []inventory.Device{
		{ID: 1, Name: "core-1", Address: netip.MustParseAddr("192.0.2.1"), AddressReason: "answered first", Vendor: "Cisco", Platform: "cisco_iosxe",
			PlatformReason: "sysObjectID 1.3.6.1.4.1.9.1.1", Model: "C9300-24P", Version: "17.9.4a", Serial: "FAK1", Site: "paris", Managed: true,
			State: inventory.StateUp, StateSince: noon.Add(-26 * time.Hour), SNMPCredential: "v3", SSHCredential: "noc", LastSeen: noon.Add(-time.Minute), FirstSeen: noon.AddDate(0, 0, -40)},
		{ID: 2, Name: "edge-2.example.net", Address: netip.MustParseAddr("192.0.2.2"), Platform: "frr", Managed: true, State: inventory.StateDown, StateSince: noon.Add(-5 * time.Hour)},
		{ID: 3, Name: "printer", Address: netip.MustParseAddr("192.0.2.3"), State: inventory.StateUnknown},
	}
	h.devices.facts = inventory.Facts{
		ReadAt: noon.Add(-3 * time.Hour),
		Facts:  []inventory.FactAt{{Fact: platform.Fact{Name: "sys_descr", Value: "Cisco IOS XE", Source: "SNMPv2-MIB::sysDescr.0"}, ReadAt: noon.Add(-3 * time.Hour)}},
		Interfaces: []snmp.Interface{
			{IfIndex: 1, Name: "Gi1/0/1", Admin: "up", Oper: "up", SpeedBps: 1e9, Alias: "uplink"},
			{IfIndex: 2, Name: "Gi1/0/2", Admin: "up", Oper: "down", Alias: "to server 7"},
			{IfIndex: 3, Name: "Gi1/0/3", Admin: "up", Oper: "down"},
			{IfIndex: 4, Name: "Gi1/0/4", Admin: "down", Oper: "down", Alias: "spare"},
		},
		Addresses: []snmp.Address{{IP: netip.MustParseAddr("192.0.2.1"), Prefix: 24, IfIndex: 1}},
		VLANs:     []snmp.VLAN{{ID: 10, Name: "users"}},
		Neighbors: []snmp.Neighbor{{Protocol: "lldp", LocalPort: "Gi1/0/1", RemoteSysName: "edge-2", RemotePort: "eth0"}, {Protocol: "lldp", LocalPort: "Gi1/0/9", RemoteSysName: "stranger"}},
		HostKeys:  []collector.HostKey{{Type: "ssh-ed25519", Fingerprint: "SHA256:abc"}},
	}
	h.configs.standings = map[int64]backup.Standing{
		1: {State: backup.Good, LastGood: noon.Add(-7 * time.Hour), Versions: 2, Drift: []backup.DriftKind{backup.DriftChanged}},
		2: {State: backup.FailedLast, Kind: collector.ErrTimedOut, Step: collector.StepOutput, Message: "edge-2.example.net at output: timed out. Look at its load.", At: noon},
	}
	h.configs.versions = []backup.Version{
		{Number: 2, At: noon.Add(-7 * time.Hour), Reason: backup.ReasonChanged, LinesAdded: 1, LinesRemoved: 1, LastChange: "04:58:12 UTC by ops", Rules: "r"},
		{Number: 1, At: noon.AddDate(0, 0, -9), Reason: backup.ReasonFirst, Approved: true, Rules: "r"},
	}
	h.configs.texts = map[string]string{
		"1":       "hostname core-1\ninterface Gi1/0/1\n description old\nend\n",
		"2":       "hostname core-1\ninterface Gi1/0/1\n description new\nusername noc secret 9 ‹secret›\nend\n",
		"":        "hostname core-1\ninterface Gi1/0/1\n description new\nusername noc secret 9 ‹secret›\nend\n",
		"startup": "hostname core-1\nend\n", "quarantined": "hostname co",
	}
	h.configs.diff = "--- v1\n+++ v2\n@@ -1,4 +1,5 @@\n hostname core-1\n interface Gi1/0/1\n- description old\n+ description new\n+username noc secret 9 ‹secret changed›\n end\n"
	h.configs.drifts = []backup.Drift{
		{Device: "core-1", Kind: backup.DriftChanged, Since: noon.Add(-7 * time.Hour), LinesAdded: 2, LinesRemoved: 1, Group: "g1"},
	}
	h.alerts.list = []alert.Alert{
		{ID: 3, Kind: alert.Unreachable, Subject: "edge-2.example.net", Devices: []string{"edge-2.example.net"}, State: alert.Firing, OpenedAt: noon.Add(-5 * time.Hour), Message: "edge-2.example.net does not answer. Check its power"},
		{ID: 2, Kind: alert.NewDevice, Subject: "new", Devices: []string{"core-1", "printer"}, State: alert.Firing, OpenedAt: noon.AddDate(0, 0, -40), Message: "2 devices are new"},
		{ID: 1, Kind: alert.Unsaved, Subject: "core-1", Devices: []string{"core-1"}, State: alert.Resolved, OpenedAt: noon.AddDate(0, 0, -3), ResolvedAt: noon.AddDate(0, 0, -2), Message: "the configuration of core-1 is saved"},
	}
}

// pagesOfAll are addresses of every page of a furnished house with a run.
func (h *house) pagesOfAll() []string {
	return []string{
		"/", "/devices", "/devices?q=core", "/devices?q=colour:red", "/devices/core-1", "/devices/edge-2.example.net", "/devices/printer",
		"/devices/core-1/config/1", "/devices/core-1/config/v2", "/devices/core-1/config/startup", "/devices/core-1/config/quarantined",
		"/diff/core-1/v1/v2", "/diff/core-1/approved/newest", "/diff/core-1/startup/running", "/drift", "/alerts", "/alerts?all=1", "/runs", "/runs/1",
	}
}

// addresses are one of every route: pages and the public API.
func (h *house) addresses() []string {
	fill := strings.NewReplacer("{$}", "", "{name}", "core-1", "{version}", "1", "{a}", "v1", "{b}", "v2", "{id}", "1", "{verb}", "approve")
	var out []string
	for _, r := range h.site.routes() {
		out = append(out, fill.Replace(r.pattern))
	}
	public, _ := h.api.Patterns()
	for _, p := range public {
		_, path, _ := strings.Cut(p, " ")
		out = append(out, fill.Replace(path))
	}
	return out
}

func (*fakeDevices) Telnet(inventory.Device) bool { return false }
func (*fakeDevices) Port(inventory.Device) uint16 { return 22 }
