package web

import (
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"regexp"
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

var (
	tag   = regexp.MustCompile(`<[^>]*>`)
	blank = regexp.MustCompile(`\s+`)
)

// text is what one reads of a page's main part, in one line.
func text(body string) string {
	s := tag.ReplaceAllString(strings.NewReplacer("</td", " </td", "</th", " </th").Replace(main(body)), "")
	return blank.ReplaceAllString(html.UnescapeString(s), " ")
}

func (h *house) wantText(target string, want ...string) {
	h.t.Helper()
	a := h.page(target)
	got := text(a.body)
	if a.code != http.StatusOK {
		h.t.Errorf("GET %s: %d", target, a.code)
	}
	for _, w := range want {
		if !strings.Contains(got, w) {
			h.t.Errorf("GET %s does not say %q:\n%s", target, w, got)
		}
	}
}

func (h *house) lacksText(target string, unwanted ...string) {
	h.t.Helper()
	got := text(h.page(target).body)
	for _, w := range unwanted {
		if strings.Contains(got, w) {
			h.t.Errorf("GET %s says %q:\n%s", target, w, got)
		}
	}
}

func TestPagesSayWhatStands(t *testing.T) {
	h := newHouse(t, &work{name: schedule.JobBackup, outcomes: []schedule.Outcome{
		{Subject: "core-1", DeviceID: 1, Outcome: "stored"},
		{Subject: "edge-2.example.net", DeviceID: 2, Outcome: "failed", Failed: true, Step: collector.StepOutput, Kind: collector.ErrTimedOut, Message: "edge-2 at output: timed out. Look at its load."},
	}})
	h.furnish()
	h.run(schedule.JobBackup)
	h.wantText("/",
		"1 of 2 managed devices are backed up", "1 down", "1 up",
		"1 down edge-2.example.net Nothing answers: look at power and uplink", // cause, which, what to do
		"✕unreachable edge-2.example.net edge-2.example.net does not answer. Check its power 5 h 07:00",
		"Δchanged core-1 +2 −1 diff As it should be? muster config approve core-1. If not, put it back on the device. 7 h 05:00",
		"next backup in 5 h", "1 backup ✓done 2 of 2 ✕1 failed, 1 stored")
	h.wantText("/devices",
		"Devices3", "core-1 ✓up ✓good Δchanged 7 h 05:00 192.0.2.1 paris cisco_iosxe C9300-24P 17.9.4a FAK1 2",
		"edge-2.example.net ✕down ✕failed timed out never", "printer ?unknown inventory only")
	h.wantText("/devices/core-1",
		"core-1✓up since 26 h Mon 2 Nov", "changed since 7 h 05:00: 2 lines added, 1 removed. As it should be? muster config approve core-1. If not, put it back on the device. Open diff",
		"last good backup 7 h ago", "v2 changed04:58:12 UTC by ops +1 −1 Δno what changed 7 h 05:00", "v1 first yes",
		"Gi1/0/1 ✓up 1G uplink", "Gi1/0/2 ✕down", "Gi1/0/3 –down", "Gi1/0/4 –shut", "2 down, 1 shut, 1 up; ✕1 in use is down; read 3 h ago",
		"sysDescr Cisco IOS XESNMPv2-MIB::sysDescr.0 3 h 09:00", "platform cisco_iosxesysObjectID 1.3.6.1.4.1.9.1.1", "192.0.2.1answered first",
		"Gi1/0/1 edge-2 eth0 lldp", "credential v3", "ssh-ed25519 SHA256:abc", "Last answer1 min ago", "192.0.2.1/24 Gi1/0/1", "10 users")
	h.wantText("/devices/edge-2.example.net",
		"unreachable since 5 h 07:00: edge-2.example.net does not answer", "not backed up: edge-2.example.net at output: timed out. Look at its load.",
		"no good backup yet", "SSHnot opened yet", "SNMPnone works")
	h.lacksText("/devices/core-1", "new device") // it says when it was first seen
	h.wantText("/devices/printer", "Inventory only: not backed up, not checked, no alerts", "muster device set printer --managed", "not backed up")
	h.wantText("/devices/core-1/config/2", "version 2, the newest, taken 7 h ago, changed, Δnot approved; its text says: changed 04:58:12 UTC by ops", "5 lines; secrets stand as ‹secret›", "description new", "username noc secret 9 ‹secret›")
	h.wantText("/devices/core-1/config/v1", "version 1, taken 9 d ago, first, approved", "description old")
	h.wantText("/devices/core-1/config/quarantined", "quarantined: not trusted, not a version", "muster config accept core-1 --capture 5eed0fba5eba", "muster config discard core-1 --capture 5eed0fba5eba", "hostname co")
	h.wantText("/diff/core-1/v1/v2", "core-1v1 → v2+2 −1", "interface Gi1/0/1 @@ -1,4 +1,5 @@", "3 removed description old", "3 added description new", "‹secret changed›", "muster config diff core-1 1 2")
	h.wantText("/diff/core-1/approved/newest", "v1 → v2")
	h.wantText("/diff/core-1/startup/running", "startup → running", "muster config diff core-1 --unsaved", "the next reload loses it")
	h.wantText("/diff/core-1/v2/v2", "Identical")
	h.wantText("/drift", "Δchanged 1 core-1 +2 −1 diff")
	h.wantText("/alerts", "3 ✕unreachable edge-2.example.net", "2 +new device core-1, printer")
	h.lacksText("/alerts", "is saved", "never")
	h.wantText("/alerts?all=1", "1 ✓unsaved core-1 the configuration of core-1 is saved 3 d Sat 31 Oct 2 d Sun 1 Nov")
	h.wantText("/runs", "1 backup ✓done command 2 of 2 ✕1 failed, 1 stored")
	h.wantText("/runs/1", "backup, by command", "✓done 2 of 2: ✕1 failed, 1 stored", "edge-2.example.net ✕failed timed out output edge-2 at output: timed out. Look at its load.", "core-1 Δstored")
}

func TestEmptyHouseSaysWhatComesNext(t *testing.T) {
	h := newHouse(t)
	h.wantText("/", "No devices yet.", "muster discover", "Nothing is wrong that muster knows of", "nothing can drift", "No run yet")
	h.wantText("/devices", "No devices yet.", "muster discover finds them; muster device add ADDRESS adds one")
	h.wantText("/drift", "No version yet.")
	h.wantText("/alerts", "No alert fires.")
	h.wantText("/alerts?all=1", "There was no alert yet.")
	h.wantText("/runs", "No run yet.")
	h.lacksText("/", "Nothing needs a person", "0 of 0")
}

// Of a house that is well nothing is coloured, and one sentence says so.
func TestWellHouseIsQuiet(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.devices.list = h.devices.list[:1]
	h.devices.facts.Interfaces[1].Alias = "" // nobody's port is down
	h.configs.standings[1] = backup.Standing{State: backup.Good, LastGood: noon, Versions: 1}
	h.configs.versions = h.configs.versions[1:]
	h.configs.drifts, h.alerts.list = nil, nil
	h.wantText("/", "Nothing needs a person. 1 of 1 managed devices are backed up")
	colour := regexp.MustCompile(`class="[^"]*\b(bad|warn|info)\b[^"]*"`)
	for _, target := range []string{"/", "/devices", "/devices/core-1", "/drift", "/alerts", "/devices/core-1/config/1"} {
		if m := colour.FindString(main(strings.ReplaceAll(h.page(target).body, `class="note warn" id=`, ""))); m != "" {
			t.Errorf("%s has %s", target, m)
		}
	}
}

func TestSearchFindsPartsOfNames(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	tests := map[string]struct{ query, want, lack string }{
		"a name":         {"core-1", "core-1", "edge-2"},
		"a part of it":   {"edge", "edge-2.example.net", "core-1"},
		"an address":     {"192.0.2.3", "printer", "core-1"},
		"a serial":       {"FAK1", "core-1", "edge-2"},
		"a field":        {"platform:frr", "edge-2.example.net", "core-1"},
		"with wildcards": {"*e*", "edge-2.example.net", "No device fits"},
		"two words":      {"edge state:down", "edge-2.example.net", "core-1 "},
		"nothing":        {"zzz", "No device fits", "core-1"},
		"no field":       {"colour:red", `there is no field "colour"`, "No device fits"},
		"no pattern":     {"[", "needs its ]", "No device fits"},
		"blanks":         {"  ", "Devices3", "No device fits"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			target := "/devices?q=" + strings.NewReplacer(" ", "%20", "[", "%5B").Replace(tt.query)
			h.wantText(target, tt.want)
			h.lacksText(target, tt.lack)
		})
	}
}

// Names and texts are what devices say of themselves: an enemy may have written
// them.
func TestTextOfDevicesIsEscaped(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	const name = `a/b?c#d%2e<script>alert(1)</script>`
	h := newHouse(t, &work{name: schedule.JobBackup, outcomes: []schedule.Outcome{{Subject: name, DeviceID: 1, Outcome: evil, Failed: true, Message: evil, Kind: evil, Step: evil}}},
		&work{name: schedule.JobDiscovery, outcomes: []schedule.Outcome{{Subject: evil, Outcome: "new", Result: inventory.Result{Device: name, Platform: evil, Address: netip.MustParseAddr("192.0.2.1")}}}})
	h.devices.list = []inventory.Device{{
		ID: 1, Name: name, Address: netip.MustParseAddr("192.0.2.1"), AddressReason: evil, Vendor: evil, Platform: evil, PlatformReason: evil, Model: evil, Version: evil,
		Serial: evil, Site: evil, Tags: []string{evil}, Managed: true, State: evil, Behind: evil, Question: evil, Missing: evil, MissingReason: evil, Scope: evil, SSHCredential: evil, SNMPCredential: evil,
	}}
	h.devices.facts = inventory.Facts{
		Facts:      []inventory.FactAt{{Fact: platform.Fact{Name: evil, Value: evil, Source: evil}, ReadAt: noon}},
		Interfaces: []snmp.Interface{{IfIndex: 1, Name: evil, Alias: evil, Admin: evil, Oper: evil, MAC: evil}},
		Addresses:  []snmp.Address{{IP: netip.MustParseAddr("192.0.2.1"), IfIndex: 1}},
		VLANs:      []snmp.VLAN{{ID: 1, Name: evil}}, Components: []snmp.Component{{Class: evil, Name: evil, Model: evil, Serial: evil}},
		Neighbors: []snmp.Neighbor{{Protocol: evil, LocalPort: evil, RemoteSysName: evil, RemotePort: evil}, {RemoteSysName: name}, {RemoteChassisID: evil}},
		HostKeys:  []collector.HostKey{{Type: evil, Fingerprint: evil}},
	}
	h.configs.standings = map[int64]backup.Standing{1: {State: evil, Message: evil, Kind: evil, Step: evil, Drift: []backup.DriftKind{evil}}}
	h.configs.versions = []backup.Version{{Number: 2, Reason: evil, LastChange: evil}, {Number: 1, Reason: evil, Approved: true}}
	h.configs.texts = map[string]string{"": evil, "1": evil, "2": evil, "startup": evil, "quarantined": evil + "\x1b[31m\x00"}
	h.configs.diff = "--- a\n+++ b\n@@ -1 +1,2 @@ " + evil + "\n-" + evil + "\n+" + evil + "\n+ x" + evil + "‹secret changed›\n"
	h.configs.drifts = []backup.Drift{{Device: name, Kind: evil, Group: evil}, {Device: name, Kind: backup.DriftUnsaved}, {Device: name, Kind: backup.DriftChanged}}
	h.alerts.list = []alert.Alert{{ID: 1, Kind: evil, Subject: evil, Devices: []string{name}, State: alert.Firing, Message: evil, AckedBy: evil, AckNote: evil, OpenedAt: noon, WaitsFor: evil, WaitsUntil: noon}, {ID: 2, Kind: alert.ReceiverDown, Subject: evil, State: alert.Firing, OpenedAt: noon}}
	h.run(schedule.JobBackup)
	h.run(schedule.JobDiscovery)

	const path = "a%2Fb%3Fc%23d%252e%3Cscript%3Ealert%281%29%3C%2Fscript%3E"
	pages := []string{"/", "/devices", "/devices?q=" + "%3Cscript%3Ealert(1)%3C/script%3E", "/devices/" + path, "/devices/" + path + "/config/2", "/devices/" + path + "/config/startup",
		"/devices/" + path + "/config/quarantined", "/diff/" + path + "/v1/v2", "/diff/" + path + "/approved/newest", "/diff/" + path + "/startup/running", "/drift", "/alerts?all=1", "/runs", "/runs/1", "/runs/2",
		"/devices/%3Cscript%3Ealert(1)%3C/script%3E", "/%3Cscript%3Ealert(1)%3C/script%3E"}
	for _, target := range pages {
		a := h.page(target)
		if a.code != http.StatusOK && a.code != http.StatusNotFound {
			t.Errorf("GET %s: %d", target, a.code)
		}
		for _, raw := range []string{"<script>alert", "<img", "onerror=alert(2)>", `"'>`} {
			if strings.Contains(a.body, raw) {
				t.Errorf("GET %s holds %s unescaped", target, raw)
			}
		}
		// Every link to the device leads to it.
		for _, m := range regexp.MustCompile(`href="(/(?:devices|diff)/[^"]*)"`).FindAllStringSubmatch(a.body, -1) {
			link := html.UnescapeString(m[1])
			if !strings.HasPrefix(link, "/devices/"+path) && !strings.HasPrefix(link, "/diff/"+path) {
				t.Errorf("GET %s: the link %s does not lead to the device", target, link)
			}
		}
	}
	h.wantText("/devices/"+path, name, evil)
	// The JSON is no page, also where a browser is made to open it.
	if a := h.page("/v1/devices"); !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") || strings.Contains(a.body, "<script>") {
		t.Errorf("JSON as %s holds a tag", a.header.Get("Content-Type"))
	}
	if a := h.page("/v1/config/" + path + "/text"); !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("a text comes as %s", a.header.Get("Content-Type"))
	}
}

func TestAlertsSayWhichMaintenanceHoldsThemBack(t *testing.T) {
	h := newHouse(t)
	h.alerts.list = []alert.Alert{{ID: 1, Kind: alert.Unreachable, Subject: "edge-1", State: alert.Firing, OpenedAt: noon, WaitsFor: "tuesdays", WaitsUntil: noon.Add(3 * time.Hour)}}
	for _, target := range []string{"/", "/alerts"} {
		h.wantText(target, "Nobody is told before maintenance tuesdays ends, in 3 h.")
	}
	h.alerts.list[0].WaitsFor, h.alerts.list[0].WaitsUntil = "", time.Time{}
	if a := h.page("/alerts"); strings.Contains(a.body, "Nobody is told") {
		t.Error("an alert that nothing holds back is said to be held back")
	}
}

func TestRunPageGroupsCausesAndShowsProgress(t *testing.T) {
	var outcomes []schedule.Outcome
	outcomes = append(outcomes, schedule.Outcome{Subject: "ok", DeviceID: 1, Outcome: "unchanged"})
	for i := range 7 {
		outcomes = append(outcomes, schedule.Outcome{Subject: fmt.Sprintf("sw-%d", i), DeviceID: int64(i + 2), Outcome: "failed", Failed: true, Step: collector.StepConnect, Kind: collector.ErrRefused, Message: "refused. Switch SSH on."})
	}
	outcomes = append(outcomes, schedule.Outcome{Subject: "odd", DeviceID: 10, Outcome: "failed", Failed: true, Step: collector.StepLogin, Kind: collector.ErrLoginRejected, Message: "rejected."})
	w := &work{name: schedule.JobBackup, outcomes: outcomes, wait: make(chan struct{})}
	h := newHouse(t, w)
	run, err := h.runner.Start(t.Context(), schedule.JobBackup, schedule.Request{})
	if err != nil {
		t.Fatal(err)
	}
	atWork := fmt.Sprintf("/runs/%d", run.ID)
	var a answer
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a = h.page(atWork)
		if got := text(a.body); strings.Contains(got, "▸running 1 of 9") && strings.Contains(got, "▸running login") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the page shows no progress: %s", got)
		}
	}
	if !strings.Contains(a.body, `aria-label="11 percent"`) {
		t.Errorf("no bar: %s", text(a.body))
	}
	if rail := a.body; !strings.Contains(rail, `Runs<span class="n">1/9</span>`) {
		t.Error("the rail does not show the run")
	}
	close(w.wait)
	if _, err := h.runner.Wait(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	h.wantText(atWork, "✕8 failed, 1 unchanged", "7 refused at connect", "and 2 more", "1 login rejected at login odd rejected.")
	got := text(h.page(atWork).body)
	if strings.Index(got, "odd ✕failed") > strings.Index(got, "ok ✓unchanged") {
		t.Error("what went wrong does not come first")
	}
	if strings.Contains(h.page(atWork).body, "<svg") {
		t.Error("a run that has ended shows a bar")
	}
}

// A text of many lines is laid out in blocks, each line has its address, and
// what is too much for a page is said.
func TestLongTextsComeInBlocks(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.configs.texts["2"] = strings.Repeat("line\n", textLines+3)
	a := h.page("/devices/core-1/config/2")
	if n := strings.Count(a.body, `<div class="blk many">`); n != textLines/blockLines {
		t.Errorf("%d blocks, want %d", n, textLines/blockLines)
	}
	for _, want := range []string{`id="L1"`, `href="#L501"`, fmt.Sprintf(`id="L%d"`, textLines), "3 more lines are not shown here; all of it: muster config show core-1 --version 2"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	h.configs.diff = "--- a\n+++ b\n@@ -0,0 +1,6000 @@\n" + strings.Repeat("+x\n", diffLines+7)
	h.wantText("/diff/core-1/v1/v2", fmt.Sprintf("+%d −0", diffLines+7), "7 more lines are not shown here; all of it: muster config diff core-1 1 2")
}
