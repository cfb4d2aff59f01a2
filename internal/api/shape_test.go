package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/collector/snmp"
	"muster/internal/alert"
	"muster/internal/schedule"
	"muster/inventory"
	"muster/inventory/platform"
)

// get calls a route and decodes its answer.
func get(t *testing.T, h http.Handler, target string) any {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", target, w.Code, w.Body)
	}
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("GET %s: %v in %s", target, err, w.Body)
	}
	return v
}

// keys are those of an object that a path leads to: names, or 0 for the first of
// a list.
func keys(t *testing.T, v any, path ...any) []string {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			list, _ := v.([]any)
			if len(list) <= p {
				t.Fatalf("%v: no entry %d in %v", path, p, v)
			}
			v = list[p]
		}
	}
	var out []string
	for k := range v.(map[string]any) {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func without(have []string, want string) (missing []string) {
	for _, k := range strings.Fields(want) {
		if !slices.Contains(have, k) {
			missing = append(missing, k)
		}
	}
	return missing
}

// full1 is a house in which everything is known.
func full1(t *testing.T) *house {
	h := newHouse(t)
	h.devices.list = []inventory.Device{router1()}
	h.devices.facts = inventory.Facts{
		ReadAt:     noon,
		Facts:      []inventory.FactAt{{Fact: platform.Fact{Name: "serial", Value: "FAK1", Source: "ENTITY-MIB::entPhysicalSerialNum.1"}, ReadAt: noon}},
		Interfaces: []snmp.Interface{{IfIndex: 1, Name: "Gi1/0/1", Descr: "GigabitEthernet1/0/1", Type: "ethernetCsmacd", MTU: 1500, Admin: "up", Oper: "up", MAC: "02:00:00:00:00:01", SpeedBps: 1e9, Alias: "to r2"}},
		Addresses:  []snmp.Address{{IP: netip.MustParseAddr("192.0.2.1"), Prefix: 24, IfIndex: 1}},
		VLANs:      []snmp.VLAN{{ID: 10, Name: "users"}},
		Components: []snmp.Component{{Index: 1, Class: "chassis", Name: "Switch 1", Model: "C9300-24P", Serial: "FAK1"}},
		Neighbors:  []snmp.Neighbor{{Protocol: "lldp", LocalIfIndex: 1, LocalPort: "Gi1/0/1", RemoteSysName: "r2", RemotePort: "Gi1/0/2", RemoteChassisID: "02:00:00:00:00:02"}},
		HostKeys:   []collector.HostKey{{Type: "ssh-ed25519", Fingerprint: "SHA256:x"}},
	}
	h.configs.standings = map[int64]backup.Standing{1: {State: backup.Good, LastGood: noon, Versions: 2, Drift: []backup.DriftKind{backup.DriftChanged}}}
	h.configs.versions = []backup.Version{{Number: 2, At: noon, Reason: backup.ReasonChanged, LinesAdded: 1, LastChange: "09:12:44 UTC by ops", Rules: "abc"}}
	h.configs.drifts = []backup.Drift{{Device: "r1", Kind: backup.DriftChanged, Since: noon, LinesAdded: 1, Group: "g"}}
	h.alerts.list = []alert.Alert{{ID: 1, Kind: alert.Changed, Subject: "g", Devices: []string{"r1"}, State: alert.Resolved, OpenedAt: noon, ResolvedAt: noon, Message: "m"}}
	return h
}

const deviceKeys = "name address vendor platform model version serial site state backup_state drift last_backup versions"

// The keys of the stable calls are a promise: to be added to, never renamed.
func TestStableCallsHaveTheirKeys(t *testing.T) {
	h := full1(t).server.Public()
	shown := get(t, h, "/v1/devices/r1")
	tests := map[string]struct {
		keys []string
		want string
	}{
		"device list":             {keys(t, get(t, h, "/v1/devices"), 0), deviceKeys},
		"device show":             {keys(t, shown), deviceKeys + " facts interfaces addresses vlans components neighbors"},
		"device show facts":       {keys(t, shown, "facts", 0), "name value source read_at"},
		"device show interfaces":  {keys(t, shown, "interfaces", 0), "if_index name descr type mtu admin oper mac speed_bps alias"},
		"device show addresses":   {keys(t, shown, "addresses", 0), "ip prefix if_index"},
		"device show vlans":       {keys(t, shown, "vlans", 0), "id name"},
		"device show components":  {keys(t, shown, "components", 0), "index parent class name model serial"},
		"device show neighbors":   {keys(t, shown, "neighbors", 0), "protocol local_if_index local_port remote_sys_name remote_port remote_chassis_id"},
		"config log":              {keys(t, get(t, h, "/v1/config/r1/log"), 0), "version at reason approved lines_added lines_removed rules"},
		"drift":                   {keys(t, get(t, h, "/v1/drift"), 0), "device kind since lines_added lines_removed group"},
		"alert list":              {keys(t, get(t, h, "/v1/alerts?all=true"), 0), "id kind subject devices state opened_at resolved_at message"},
		"status":                  {keys(t, get(t, h, "/v1/status")), "devices managed backed_up states backup_states drift alerts causes next"},
		"platform list (in part)": {keys(t, get(t, h, "/v1/platforms"), 0), "name vendor evidence parts devices"},
	}
	snake := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	for name, tt := range tests {
		if missing := without(tt.keys, tt.want); missing != nil {
			t.Errorf("%s lacks %v; it has %v", name, missing, tt.keys)
		}
		for _, k := range tt.keys {
			if !snake.MatchString(k) {
				t.Errorf("%s: the key %q is not snake_case", name, k)
			}
		}
	}
	if at := shown.(map[string]any)["last_backup"]; at != "2026-11-03T12:00:00Z" {
		t.Errorf("last_backup is %v, want RFC 3339 in UTC", at)
	}
}

// A device of a platform of which nothing is read says why that is.
func TestADeviceThatIsInventorySaysWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		platform string
		managed  bool
		want     string
	}{
		"a card in a UPS":                 {"apc_nmc", false, "config.ini"},
		"one that a person wants managed": {"apc_nmc", true, ""}, // its failed backup says it
		"a router that is not managed":    {"cisco_iosxe", false, ""},
		"an unknown device":               {"", false, ""},
	} {
		h := newHouse(t)
		dev := router1()
		dev.Platform, dev.Managed = tt.platform, tt.managed
		h.devices.list = []inventory.Device{dev}
		got, _ := get(t, h.server.Public(), "/v1/devices/r1").(map[string]any)["unread"].(string)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: unread is %q, want %q in it", name, got, tt.want)
		}
	}
}

// Lists are there when they are empty; what is not known is not there at all.
func TestEmptyListsAreThereAndUnknownsAreNot(t *testing.T) {
	h := newHouse(t)
	p := h.server.Public()
	for _, target := range []string{"/v1/devices", "/v1/drift", "/v1/alerts", "/v1/alerts?all=true", "/v1/runs", "/v1/devices?q=site:nowhere"} {
		if list, ok := get(t, p, target).([]any); !ok || len(list) != 0 {
			t.Errorf("GET %s of an empty house is not []", target)
		}
	}
	status := get(t, p, "/v1/status").(map[string]any)
	for _, k := range []string{"causes", "next"} {
		if _, ok := status[k].([]any); !ok {
			t.Errorf("status: %s is %v, want a list", k, status[k])
		}
	}

	h.devices.list = []inventory.Device{{ID: 1, Name: "r1"}}
	h.alerts.list = []alert.Alert{{ID: 1, Kind: alert.ReceiverDown, Subject: "ops", State: alert.Firing, OpenedAt: noon}}
	if list, ok := get(t, p, "/v1/drift?q=r1").([]any); !ok || len(list) != 0 {
		t.Errorf("the drift of a device that has none is %v, want []", list)
	}
	row := get(t, p, "/v1/devices").([]any)[0].(map[string]any)
	want := map[string]any{"name": "r1", "state": "unknown", "backup_state": "never", "drift": []any{}, "versions": 0.0, "managed": false}
	if len(row) != len(want) {
		t.Errorf("a device of which nothing is known has %v, want %v", row, want)
	}
	for k, v := range want {
		if list, ok := v.([]any); ok {
			if got, ok := row[k].([]any); !ok || len(got) != len(list) {
				t.Errorf("%s is %v, want []", k, row[k])
			}
		} else if row[k] != v {
			t.Errorf("%s is %v, want %v", k, row[k], v)
		}
	}
	shown := get(t, p, "/v1/devices/r1").(map[string]any)
	for _, k := range []string{"facts", "interfaces", "addresses", "vlans", "components", "neighbors", "host_keys", "tags", "drift"} {
		if _, ok := shown[k].([]any); !ok {
			t.Errorf("device show: %s is %v, want a list", k, shown[k])
		}
	}
	if log, ok := get(t, p, "/v1/config/r1/log").([]any); !ok || len(log) != 0 {
		t.Errorf("config log without versions is %v", log)
	}
	fired := get(t, p, "/v1/alerts").([]any)[0].(map[string]any)
	if _, ok := fired["devices"].([]any); !ok {
		t.Errorf("an alert about no device has devices %v, want a list", fired["devices"])
	}
	if _, ok := fired["resolved_at"]; ok {
		t.Error("an alert that fires has a resolved_at")
	}
}

// job is a kind of work that answers what the test wants.
type job struct {
	name     string
	subjects []string
	do       func(subject string) schedule.Outcome
	wait     <-chan struct{} // tasks end when it is closed; nil: at once
}

func (j *job) Name() string                     { return j.name }
func (j *job) Begin(schedule.Run) schedule.Work { return j }

func (j *job) Plan(_ context.Context, feed *schedule.Feed) error {
	for _, s := range j.subjects {
		if err := feed.Add(schedule.Spec{Subject: s}); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) Do(ctx context.Context, s schedule.Spec, step func(string)) schedule.Outcome {
	step("login")
	if j.wait != nil {
		select {
		case <-j.wait:
		case <-ctx.Done():
			return schedule.Outcome{Outcome: "failed", Failed: true, Message: "stopped"}
		}
	}
	return j.do(s.Subject)
}

func TestBackupResultsHaveTheirKeys(t *testing.T) {
	h := newHouse(t, &job{name: schedule.JobBackup, subjects: []string{"good", "bad"}, do: func(s string) schedule.Outcome {
		if s == "bad" {
			// a task without a result of its own still makes a row
			return schedule.Outcome{Outcome: "failed", Failed: true, Step: collector.StepLogin, Kind: collector.ErrLoginRejected, Message: "bad at login: login rejected"}
		}
		return schedule.Outcome{Outcome: "stored", Result: backup.Result{Device: s, Outcome: backup.Stored, Version: 1, SHA256: "00ff", Seconds: 1.5}}
	}})
	rows := map[string]map[string]any{}
	var run *schedule.Run
	err := dial(t, h.server.Local()).Backup(t.Context(), RunRequest{}, func(l Line) error {
		if l.Backup != nil {
			b, err := json.Marshal(l.Backup)
			if err != nil {
				return err
			}
			row := map[string]any{}
			rows[l.Backup.Device] = row
			return json.Unmarshal(b, &row)
		}
		if l.Run != nil {
			run = l.Run
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"good": "device outcome version sha256 seconds", "bad": "device outcome step kind message seconds"} {
		if missing := without(keys(t, rows[name]), want); missing != nil {
			t.Errorf("backup of %s lacks %v: %v", name, missing, rows[name])
		}
	}
	for _, k := range []string{"step", "kind", "message"} {
		if v, ok := rows["good"][k]; ok {
			t.Errorf("a good backup has %s %v", k, v)
		}
	}
	if run == nil || run.State != schedule.Done || run.Failed != 1 {
		t.Errorf("the last run line is %+v, want done with one failed", run)
	}
}

func TestDiscoverResultsHaveTheirKeys(t *testing.T) {
	h := newHouse(t, &job{name: schedule.JobDiscovery, subjects: []string{"192.0.2.1"}, do: func(string) schedule.Outcome {
		return schedule.Outcome{Outcome: "new", Result: inventory.Result{Address: netip.MustParseAddr("192.0.2.1"), Outcome: inventory.OutcomeNew, Device: "r1",
			Platform: "frr", Step: collector.StepLogin, Kind: collector.ErrTimedOut, Message: "m"}}
	}})
	var have []string
	err := dial(t, h.server.Local()).Discover(t.Context(), RunRequest{DryRun: true}, func(l Line) error {
		if l.Found == nil {
			return nil
		}
		b, err := json.Marshal(l.Found)
		if err != nil {
			return err
		}
		var row any
		err = json.Unmarshal(b, &row)
		have = keys(t, row)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if missing := without(have, "address outcome device platform step kind message"); missing != nil {
		t.Errorf("a result of discover lacks %v: %v", missing, have)
	}
}

// Who asked for a run and goes away takes it with him.
func TestRunEndsWithItsCaller(t *testing.T) {
	wait := make(chan struct{})
	defer close(wait)
	h := newHouse(t, &job{name: schedule.JobBackup, subjects: []string{"r1", "r2"}, wait: wait, do: func(string) schedule.Outcome { return schedule.Outcome{Outcome: "stored"} }})
	c := dial(t, h.server.Local())
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Backup(ctx, RunRequest{}, func(l Line) error {
		if l.Progress != nil && l.Progress.Running != "" {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the call ended with %v", err)
	}
	within, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	run, err := h.runner.Wait(within, 1)
	if err != nil || run.State != schedule.Stopped {
		t.Errorf("the run is %s, %v; want stopped", run.State, err)
	}
}

// Raw text comes from the one route that leaves an audit row, and from no other.
func TestPublicTextIsNeverRaw(t *testing.T) {
	h := newHouse(t)
	h.devices.list = []inventory.Device{router1()}
	h.configs.text = "text"
	for target, want := range map[string]string{
		"/v1/config/r1/text":                     "text",
		"/v1/config/r1/text?raw=true&Raw=1":      "text",
		"/v1/config/r1/text?part=running&raw=on": "text",
	} {
		w := httptest.NewRecorder()
		h.server.Public().ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if got := w.Body.String(); got != want || w.Code != http.StatusOK {
			t.Errorf("GET %s: %d %q, want %q", target, w.Code, got, want)
		}
	}
	if b, err := h.server.Text(t.Context(), "r1", backup.Which{Raw: true}); err != nil || string(b) != "text" {
		t.Errorf("what pages call gave %q, %v", b, err)
	}
	r, err := dial(t, h.server.Local()).Text(t.Context(), "r1", backup.Which{Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, _ := io.ReadAll(r); string(b) != "raw text" {
		t.Errorf("the raw text is %q", b)
	}
}

// An alert follows its event a moment later, and is taken without one: both must
// move the mark, or an open page misses them.
func TestMarkFollowsEventsAlertsAndRuns(t *testing.T) {
	h := newHouse(t, &job{name: schedule.JobBackup, do: func(string) schedule.Outcome { return schedule.Outcome{} }})
	last := ""
	moved := func(what string, want bool) {
		t.Helper()
		m, err := h.server.Mark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if (m != last) != want {
			t.Errorf("%s: the mark moved: %t", what, m != last)
		}
		last = m
	}
	moved("at the start", true)
	moved("nothing happened", false)
	h.house.last = 1
	moved("an event", true)
	h.alerts.list = []alert.Alert{{ID: 1, Kind: alert.Unreachable, State: alert.Firing}}
	moved("an alert", true)
	h.alerts.list[0].AckedBy = "noc"
	moved("somebody took it", true)
	run, err := h.runner.Start(t.Context(), schedule.JobBackup, schedule.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.runner.Wait(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	moved("a run", true)
	moved("nothing happened", false)
}
