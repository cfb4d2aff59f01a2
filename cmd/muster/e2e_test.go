//go:build e2e

// End to end: the built command against routers that nobody here wrote. Run it
// with .ci/e2e, as root; it takes some minutes and real-lab.sh for itself.
package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// frr are the routers that muster has to know and to back up by itself.
var frr = []string{"core1", "dist1", "dist2", "edge1"}

// speakers are those with an SNMP agent: all but rr2.
var speakers = []string{"core1", "core2", "dist1", "dist2", "edge1", "branch1", "rr1", "host1"}

// TestRealRouters is one story: later chapters build on what earlier ones stored.
// Each is named after its promise.
func TestRealRouters(t *testing.T) {
	l := startLab(t)
	h := newHouse(t, l)
	s := &story{whole: t, l: l, h: h, writes: map[string]int{}, told: map[string]string{}}
	for _, n := range frr {
		s.writes[n] = l.writes(t, n)
	}
	for _, chapter := range []struct {
		promise string
		tell    func(*story, *testing.T)
	}{
		{"settings are accepted and secrets sealed", (*story).settings},
		{"eight SNMP speakers are found, each once", (*story).found},
		{"LLDP neighbors are those that the routers know", (*story).neighbors},
		{"FRR, BIRD and Linux are known by proof over SSH", (*story).known},
		{"others are failures of the right kind", (*story).others},
		{"old algorithms are used where their scope allows them", (*story).legacy},
		{"a host is backed up by its owner's list of files", (*story).files},
		{"rights that are missing are named", (*story).rights},
		{"what is stored is what the router prints", (*story).stored},
		{"no change makes no second version", (*story).unchanged},
		{"only reading commands are sent", (*story).readOnly},
		{"20000 more lines are stored byte for byte", (*story).large},
		{"drift is changed and unsaved, with its lines", (*story).drift},
		{"a changed secret shows and its text does not", (*story).changedSecret},
		{"a dead router is one alert and one recovery, with what is behind it", (*story).oneAlert},
		{"each fault is what it is", (*story).faults},
		{"a dead link of muster's own is one alert", (*story).ownLink},
		{"a rebuilt lab asks once for each device", (*story).rebuilt},
		{"the fault table is what the guide says", (*story).faultTable},
		{"no device sees more than 2 rejected logins", (*story).rejections},
		{"secrets are nowhere in clear", (*story).secrets},
		{"everything that is stored is whole", (*story).verified},
	} {
		if !t.Run(strings.ReplaceAll(chapter.promise, " ", "_"), func(t *testing.T) { chapter.tell(s, t) }) && t.Context().Err() != nil {
			break
		}
	}
}

// story is what the chapters share.
type story struct {
	whole   *testing.T
	l       *realLab
	h       *musterHouse
	found1  []foundRow
	writes  map[string]int    // configuring commands in FRR's log before muster came
	told    map[string]string // messages of the fault table
	serving *serving
}

func (s *story) settings(t *testing.T) {
	for _, d := range s.l.devices {
		if d.SSH.Password == "" {
			continue
		}
		if a := s.h.musterIn(t, d.SSH.Password+"\n", "secret", "set", d.Name); a.code != 0 {
			t.Errorf("secret set %s ended with %d\n%s", d.Name, a.code, a.stderr)
		}
	}
	if a := s.h.musterIn(t, "lab-oper\n", "secret", "set", "oper"); a.code != 0 {
		t.Errorf("secret set oper ended with %d\n%s", a.code, a.stderr)
	}
	s.h.must(t, nil, "check")
}

func (s *story) found(t *testing.T) {
	s.found1 = ask[[]foundRow](t, s.h, nil, "discover")
	want := map[string]string{}
	for _, n := range speakers {
		want[s.l.devices[n].Address] = n
	}
	seen := map[string]bool{}
	for _, r := range s.found1 {
		if r.Outcome == "silent" {
			continue
		}
		if r.Outcome != "new" || want[r.Address] == "" || seen[r.Address] {
			t.Errorf("%s is %s (%s: %s), want the eight speakers, each new once", r.Address, r.Outcome, r.Device, r.Message)
		}
		seen[r.Address] = true
	}
	if len(seen) != len(want) {
		t.Errorf("%d addresses answered, want %d", len(seen), len(want))
	}
	devices := ask[[]deviceRow](t, s.h, nil, "device", "list")
	if len(devices) != len(want) {
		t.Errorf("the inventory holds %d devices, want %d: %+v", len(devices), len(want), devices)
	}
	for _, d := range devices {
		if name := want[d.Address]; d.Name != name {
			t.Errorf("%s is named %q, want its sysName %q", d.Address, d.Name, name)
		}
		if got := ask[deviceRow](t, s.h, nil, "device", "show", d.Name).SNMPCredential; got != "snmp-"+d.Name {
			t.Errorf("%s answers to credential %q, want snmp-%s", d.Name, got, d.Name)
		}
	}
	for _, r := range ask[[]foundRow](t, s.h, nil, "discover") {
		if r.Outcome != "known" && r.Outcome != "silent" {
			t.Errorf("the second sweep finds %s %s, want it known", r.Address, r.Outcome)
		}
	}
	if n := len(ask[[]deviceRow](t, s.h, nil, "device", "list")); n != len(want) {
		t.Errorf("after the second sweep the inventory holds %d devices, want %d", n, len(want))
	}
}

func (s *story) neighbors(t *testing.T) {
	for _, n := range speakers {
		want := s.l.neighbors(t, n)
		if n == "edge1" { // its agent shows no LLDP-MIB
			want = nil
		}
		var got []link
		for _, r := range ask[deviceRow](t, s.h, nil, "device", "show", n).Neighbors {
			if r.Protocol == "lldp" {
				got = append(got, link{r.LocalPort, r.RemoteSysName, r.RemoteChassisID, r.RemotePort})
			}
		}
		if got = sorted(got); !slices.Equal(got, want) {
			t.Errorf("%s has the neighbors %v, its lldpd says %v", n, got, want)
		}
	}
}

func (s *story) known(t *testing.T) {
	for n, want := range map[string]struct {
		platform, proof string
		managed         bool
	}{
		"core1": {"frr", "show version", true}, "dist1": {"frr", "show version", true}, "dist2": {"frr", "show version", true},
		"edge1": {"frr", "show version", true}, "branch1": {"frr", "show version", true}, "rr1": {"bird", "birdc show status", true},
		"host1": {"linux_host", "cat /etc/os-release", false},
		"core2": {"", "", false}, // its algorithms are not allowed yet, so nothing can prove what it is
	} {
		d := ask[deviceRow](t, s.h, nil, "device", "show", n)
		if d.Platform != want.platform || d.Managed != want.managed || !strings.Contains(d.PlatformReason, want.proof) {
			t.Errorf("%s is platform %q, managed %t, because of %q; want %+v", n, d.Platform, d.Managed, d.PlatformReason, want)
		}
	}
}

func (s *story) others(t *testing.T) {
	for _, r := range s.found1 {
		switch {
		case r.Device == "core2":
			if r.Step != "key-exchange" || r.Kind != "no-common-algorithm" || !strings.Contains(r.Message, "diffie-hellman-group14-sha1") || !strings.Contains(r.Message, "--algorithms legacy") {
				t.Errorf("core2 is %+v, want no-common-algorithm at key-exchange that names what it offers and the profile that fits", r)
			}
		case r.Kind != "":
			t.Errorf("%s is %+v, want no trouble", r.Device, r)
		}
	}
	if a := s.h.must(t, []int{1}, "doctor", "core2"); !strings.Contains(a.stdout, "no-common-algorithm") {
		t.Errorf("doctor core2 says\n%s", a.stdout)
	}
	// An address where nobody is.
	s.h.must(t, nil, "device", "add", "10.99.0.77", "--name", "nobody", "--platform", "frr", "--credential", "ssh-core1")
	rows := s.h.backup(t, "rr1", "branch1", "nobody")
	if r := rows["nobody"]; r.Outcome != "failed" || !slices.Contains([]string{"unreachable", "timed-out", "needs-credential"}, r.Kind) || r.Message == "" {
		t.Errorf("nobody is %+v, want it failed since it is not there", r)
	}
	for _, n := range []string{"branch1", "rr1"} {
		if r := rows[n]; r.Outcome != "stored" {
			t.Errorf("%s is %+v, want it stored", n, r)
		} else {
			s.same(t, n)
		}
	}
	s.h.must(t, nil, "device", "delete", "nobody", "--yes")
}

// files: what the configuration of a Linux is, only its owner can say.
func (s *story) files(t *testing.T) {
	folder := filepath.Join(s.h.file("data"), "platforms")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "linux_host.yaml"), []byte(`name: linux_host
like: linux_host
evidence: { kind: lab, source: own hosts }
parts:
  - { name: again, role: witness, via: file, source: /etc/network/ip.conf }
  - { name: running, role: running, via: file, source: /etc/network/ip.conf }
  - { name: hosts, role: extra, via: file, source: /etc/hosts }
complete:
  running:
    sections: ['^addr replace ']
    outline: { part: again, match: '^.*\S' }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.h.must(t, nil, "check")
	s.h.must(t, nil, "discover", "management")
	if r := s.h.backup(t, "host1")["host1"]; r.Outcome != "stored" || r.Version != 1 {
		t.Fatalf("host1 is %+v, want version 1 stored", r)
	}
	s.same(t, "host1")
	if got, want := s.h.must(t, nil, "config", "show", "host1", "--raw", "--part", "hosts").stdout, s.l.run(t, "in", "host1", "cat", "/etc/hosts"); got != want {
		t.Errorf("host1's part hosts is %q, the file holds %q", got, want)
	}
}

// rights: accounts that may not read everything.
func (s *story) rights(t *testing.T) {
	refused := func(r backupRow, names ...string) {
		t.Helper()
		if r.Outcome != "failed" || r.Step != "command" || r.Kind != "rights-missing" {
			t.Errorf("%s is %+v, want it failed with rights-missing at command", r.Device, r)
		}
		for _, n := range names {
			if !strings.Contains(r.Message, n) {
				t.Errorf("the message of %s does not name %s: %s", r.Device, n, r.Message)
			}
		}
	}
	// rr2 has no agent: its name comes from its command line, not from the prompt "bird>".
	rr2 := s.l.devices["rr2"].Address
	s.h.must(t, nil, "device", "add", rr2)
	rows := ask[[]backupRow](t, s.h, []int{3}, "backup", rr2)
	if len(rows) != 1 {
		t.Fatalf("backup %s tells of %+v, want one device", rr2, rows)
	}
	refused(rows[0], "account backup", "/etc/bird/bird.conf")
	if d := ask[deviceRow](t, s.h, nil, "device", "show", "rr2"); d.Versions != 0 || d.Platform != "bird" {
		t.Errorf("rr2 is %s with %d versions, want bird and none", d.Platform, d.Versions)
	}
	s.h.must(t, nil, "device", "set", "core1", "--credential", "ssh-oper")
	refused(s.h.backup(t, "core1")["core1"], "account oper", "show running-config", "privileged mode")
	if d := ask[deviceRow](t, s.h, nil, "device", "show", "core1"); d.Versions != 0 {
		t.Errorf("core1 has %d versions by an account that may not read it", d.Versions)
	}
	s.h.must(t, nil, "device", "set", "core1", "--credential", "ssh-core1")
}

// same holds the newest raw text against what the router prints.
func (s *story) same(t *testing.T, name string) {
	t.Helper()
	want := s.l.config(t, name)
	got := s.h.must(t, nil, "config", "show", name, "--raw").stdout
	if got != want {
		t.Errorf("%s: %d bytes are stored, the router prints %d; the texts differ from byte %d on", name, len(got), len(want), commonPrefix(got, want))
	}
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (s *story) stored(t *testing.T) {
	rows := s.h.backup(t, frr...)
	for _, n := range frr {
		if r := rows[n]; r.Outcome != "stored" || r.Version != 1 {
			t.Errorf("%s is %+v, want version 1 stored", n, r)
			continue
		}
		s.same(t, n)
		sum := sha256.Sum256([]byte(s.l.config(t, n)))
		if got := rows[n].SHA256; got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: the backup says sha256 %s, the router's text has %x", n, got, sum)
		}
	}
}

func (s *story) unchanged(t *testing.T) {
	rows := s.h.backup(t, frr...)
	for _, n := range frr {
		if r := rows[n]; r.Outcome != "unchanged" {
			t.Errorf("%s is %+v, want unchanged", n, r)
		}
		if d := ask[deviceRow](t, s.h, nil, "device", "show", n); d.Versions != 1 || len(d.Drift) != 0 || d.BackupState != "good" {
			t.Errorf("%s has %d versions, drift %v, backup %s; want one, none and good", n, d.Versions, d.Drift, d.BackupState)
		}
	}
}

func (s *story) readOnly(t *testing.T) {
	for _, n := range frr {
		if got := s.l.writes(t, n); got != s.writes[n] {
			t.Errorf("%s has logged %d configuring commands since muster came", n, got-s.writes[n])
		}
		if log := s.l.run(t, "log", n, "frr"); !strings.Contains(log, "# do write terminal") {
			t.Errorf("%s has logged no show running-config; this proves nothing", n)
		}
	}
}

func (s *story) large(t *testing.T) {
	for _, n := range []string{"core1", "dist2"} {
		s.l.run(t, "large", n, "20000")
		if r := s.h.backup(t, n)[n]; r.Outcome != "stored" {
			t.Errorf("%s is %+v, want stored", n, r)
		}
		s.same(t, n)
		s.l.run(t, "revert", n)
	}
	// A reader that has seen enough ends nothing in the middle.
	cmd := s.h.command(t.Context(), "config", "show", "core1", "--raw")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = pipe.Read(make([]byte, 100))
	_ = pipe.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("config show into a closed pipe ends with %v", err)
	}
	if a := s.h.must(t, nil, "status"); strings.Contains(a.stderr, "not closed") {
		t.Errorf("config show into a closed pipe left the database open: %s", a.stderr)
	}
	rows := s.h.backup(t, "core1", "dist2")
	for _, n := range []string{"core1", "dist2"} {
		s.same(t, n)
		// The text is the approved one again: nothing is left to approve.
		if d := ask[deviceRow](t, s.h, nil, "device", "show", n); rows[n].Outcome != "stored" || len(d.Drift) != 0 {
			t.Errorf("%s is %+v with drift %v after the way back, want stored and none", n, rows[n], d.Drift)
		}
	}
}

// drifts are the kinds of drift of a device, with their rows.
func (s *story) drifts(t *testing.T, name string) map[string]driftRow {
	t.Helper()
	rows := map[string]driftRow{}
	for _, r := range ask[[]driftRow](t, s.h, nil, "drift", name) {
		rows[r.Kind] = r
	}
	return rows
}

func (s *story) drift(t *testing.T) {
	shows := func(n string, want []string, args ...string) {
		t.Helper()
		if got := marked(s.h.must(t, nil, append([]string{"config", "diff", n}, args...)...).stdout); !slices.Equal(got, want) {
			t.Errorf("config diff %s %v shows %d lines (%.300q), want %q", n, args, len(got), got, want)
		}
	}
	flagged := func(n string, want ...string) {
		t.Helper()
		var got []string
		for kind := range s.drifts(t, n) {
			got = append(got, kind)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has drift %v, want %v", n, got, want)
		}
	}

	want := map[string][]string{}
	for _, n := range frr {
		want[n] = s.l.drift(t, n)
	}
	s.h.backup(t, frr...)
	for _, n := range frr {
		flagged(n, "changed", "unsaved")
		for kind, r := range s.drifts(t, n) {
			if r.LinesAdded != 2 || r.LinesRemoved != 1 {
				t.Errorf("%s %s is +%d -%d lines, want +2 -1", n, kind, r.LinesAdded, r.LinesRemoved)
			}
		}
		shows(n, want[n])
		shows(n, want[n], "--unsaved")
		s.l.run(t, "revert", n)
	}
	if a := s.h.must(t, []int{4}, "drift", "--exit-code"); !strings.Contains(a.stdout, "unsaved") {
		t.Errorf("drift prints %q", a.stdout)
	}
	s.h.backup(t, frr...)
	for _, n := range frr {
		flagged(n)
	}

	for _, n := range frr {
		want[n] = s.l.drift(t, n)
		s.l.run(t, "save", n)
	}
	s.h.backup(t, frr...)
	for _, n := range frr {
		flagged(n, "changed")
		shows(n, want[n])
		shows(n, nil, "--unsaved")
	}
	s.h.must(t, nil, "config", "approve", "core1")
	flagged("core1")
}

// e2eSecrets are set on core1 by the test; the second replaces the first.
var e2eSecrets = [2]string{"Sl33perOne", "Sl33perTwo"}

func (s *story) changedSecret(t *testing.T) {
	for i, text := range e2eSecrets {
		commands := []string{"in", "core1", "vtysh", "-c", "configure terminal", "-c", "interface lo"}
		if i > 0 {
			commands = append(commands, "-c", "no ip ospf message-digest-key 1")
		}
		s.l.run(t, append(commands, "-c", "ip ospf message-digest-key 1 md5 "+text)...)
		if r := s.h.backup(t, "core1")["core1"]; r.Outcome != "stored" {
			t.Errorf("core1 is %+v, want stored", r)
		}
		s.same(t, "core1")
	}
	diff := s.h.must(t, nil, "config", "diff", "core1").stdout
	if lines := marked(diff); len(lines) != 2 || !strings.Contains(diff, "secret changed") {
		t.Errorf("config diff core1 shows %q, want one line whose secret changed", diff)
	}
	if log := s.h.must(t, nil, "config", "log", "core1").stdout; !strings.Contains(log, "secret changed") {
		t.Errorf("config log core1 gives no reason \"secret changed\":\n%s", log)
	}
}

func (s *story) oneAlert(t *testing.T) {
	s.serving = s.h.serve(t)
	s.whole.Cleanup(func() {
		s.serving.stop(s.whole)
		if s.whole.Failed() {
			s.whole.Logf("the log of muster serve:\n%s", s.serving.text())
		}
	})
	for _, n := range append([]string{"rr2"}, speakers...) {
		wait(t, 30*time.Second, n+" is up", func() bool { return s.state(t, n) == "up" })
	}

	broke := time.Now()
	s.l.run(t, "break", "edge1", "all")
	healed := false
	defer func() {
		if !healed {
			s.l.run(t, "heal", "edge1")
		}
	}()
	// down_after is 5 s: two rounds without an answer, and one that may be under way.
	wait(t, 12*time.Second, "an alert says that edge1 is unreachable", func() bool { return len(s.h.alerts(t, "unreachable", "edge1")) > 0 })
	if a := s.h.alerts(t, "unreachable", "edge1")[0]; a.State != "firing" || !slices.Equal(a.Devices, []string{"edge1"}) || !strings.Contains(a.Message, "edge1") {
		t.Errorf("the alert is %+v, want one about edge1 that fires", a)
	}
	// Receivers are told a little later, in case that others go down with it.
	told := func(what string) []string {
		return regexp.MustCompile(`(?m)^.*"`+what+`".*kind=unreachable.*$`).FindAllString(s.serving.text(), -1)
	}
	wait(t, 45*time.Second, "the receiver is told that edge1 is unreachable", func() bool { return len(told("alert opened")) > 0 })

	if d := ask[deviceRow](t, s.h, nil, "device", "show", "branch1"); d.State != "behind" || d.Behind != "edge1" {
		t.Errorf("branch1 is %s %s, want it behind edge1", d.State, d.Behind)
	}
	dark := realFaults(0, "edge1", "branch1")
	s.ill(t, dark, broke)

	s.l.run(t, "heal", "edge1")
	healed = true
	wait(t, 30*time.Second, "the alert is resolved", func() bool {
		return !slices.ContainsFunc(s.h.alerts(t, "unreachable", "edge1"), func(a alertRow) bool { return a.State != "resolved" })
	})
	s.well(t, dark, broke)
	if opened := s.opened(t, broke); len(opened) != 1 || opened[0].Kind != "unreachable" || opened[0].ResolvedAt.IsZero() {
		t.Errorf("since the cables were cut these alerts opened, want one about edge1 that is resolved: %+v", opened)
	}
	wait(t, 45*time.Second, "the receiver is told of the recovery", func() bool { return len(told("alert resolved")) > 0 })
	for _, said := range []string{"alert opened", "alert resolved"} {
		if lines := told(said); len(lines) != 1 {
			t.Errorf("the receiver was told %q of edge1 %d times, want once: %q", said, len(lines), lines)
		}
	}
}

func (s *story) rejections(t *testing.T) {
	for n := range s.l.devices {
		if got := s.l.rejected(t, n); got != 0 && n != "rr1" { // its row of the fault table counts
			t.Errorf("%s has rejected %d logins so far, and all passwords are right", n, got)
		}
	}
	passwords := map[string]string{"dist1": "n3w:dist one", "dist2": "n3w-dist2"}
	for n, password := range passwords {
		s.l.run(t, "passwd", n, password)
	}
	for range 4 {
		s.h.backup(t, "dist1", "dist2")
	}
	for n := range passwords {
		if got := s.l.rejected(t, n); got < 1 || got > 2 {
			t.Errorf("%s has rejected %d logins over four runs, want one or two", n, got)
		}
		if d := ask[deviceRow](t, s.h, nil, "device", "show", n); !slices.Contains([]string{"login-rejected", "needs-credential", "credential-stopped"}, d.ProblemKind) {
			t.Errorf("%s has the problem %q", n, d.ProblemKind)
		}
	}
	for n, password := range passwords {
		if a := s.h.musterIn(t, password, "secret", "set", n); a.code != 0 {
			t.Errorf("secret set %s ended with %d\n%s", n, a.code, a.stderr)
		}
	}
	rows := s.h.backup(t, "dist1", "dist2")
	for n := range passwords {
		if r := rows[n]; r.Outcome != "unchanged" {
			t.Errorf("%s is %+v once its secret is right, want unchanged", n, r)
		}
		if got := s.l.rejected(t, n); got > 2 {
			t.Errorf("%s has rejected %d logins", n, got)
		}
	}
}

// legacy: core2 lies by omission, its sysDescr names a plain Linux.
func (s *story) legacy(t *testing.T) {
	s.h.settings(t, "legacy")
	s.h.must(t, nil, "discover", "old")
	if d := ask[deviceRow](t, s.h, nil, "device", "show", "core2"); d.Platform != "frr" || !strings.Contains(d.PlatformReason, "show version") {
		t.Errorf("core2 is platform %q because of %q, want frr by its answer to show version", d.Platform, d.PlatformReason)
	}
	if r := s.h.backup(t, "core2")["core2"]; r.Outcome != "stored" {
		t.Errorf("core2 is %+v, want stored", r)
		return
	}
	s.same(t, "core2")
}

func (s *story) state(t *testing.T, name string) string {
	t.Helper()
	return ask[deviceRow](t, s.h, nil, "device", "show", name).State
}

// rebuilt: new host keys, salts and engine ids everywhere, as after new images.
func (s *story) rebuilt(t *testing.T) {
	before := map[string]deviceRow{}
	for _, d := range ask[[]deviceRow](t, s.h, nil, "device", "list") {
		before[d.Name] = d
	}
	begun := time.Now()
	s.l.run(t, "rebuild")
	s.l.run(t, "converge", "60")
	s.h.must(t, nil, "discover", "branches")
	var names []string
	for n := range before {
		names = append(names, n)
		wait(t, 20*time.Second, n+" is up", func() bool { return s.state(t, n) == "up" })
	}
	asked := func() []alertRow { return s.opened(t, begun) }
	row := realFaults(0, "rr1")[0]
	for range 2 { // asking again is no second question
		for n, r := range s.h.backup(t, names...) {
			if r.Outcome != row.outcome || r.Step != row.step || r.Kind != row.kind {
				t.Errorf("%s is %+v, want a question about its key", n, r)
			}
			if n == row.device {
				s.told[row.fault] = r.Message
			}
		}
	}
	wait(t, 20*time.Second, "each device is asked about", func() bool { return len(asked()) >= len(names) })
	for _, a := range asked() {
		if a.Kind != row.alerts || len(a.Devices) != 1 {
			t.Errorf("the rebuild opened %+v, want one question for each device", a)
		}
	}
	if got := len(asked()); got != len(names) {
		t.Errorf("%d questions were asked about %d devices", got, len(names))
	}
	for _, n := range names {
		if n == "core1" || n == "rr2" {
			s.h.must(t, nil, "device", "replace", n)
		} else {
			s.h.must(t, nil, "device", "accept-key", n)
		}
	}
	for n, r := range s.h.backup(t, names...) {
		if n == "rr2" && r.Kind != "rights-missing" || n != "rr2" && r.Outcome != "unchanged" {
			t.Errorf("%s is %+v once its key is accepted, want it as before", n, r)
		}
	}
	s.h.must(t, nil, "discover")
	after := ask[[]deviceRow](t, s.h, nil, "device", "list")
	if len(after) != len(before) {
		t.Errorf("after the rebuild there are %d devices, and were %d", len(after), len(before))
	}
	for _, d := range after {
		if d.Versions != before[d.Name].Versions || d.Address != before[d.Name].Address {
			t.Errorf("%s has %d versions at %s, and was %+v", d.Name, d.Versions, d.Address, before[d.Name])
		}
	}
	wait(t, 20*time.Second, "all questions are answered", func() bool {
		return !slices.ContainsFunc(asked(), func(a alertRow) bool { return a.Kind == "host-key-changed" && a.State != "resolved" })
	})
}

func (s *story) secrets(t *testing.T) {
	if s.serving == nil {
		t.Fatal("nothing serves: an earlier chapter failed")
	}
	secrets := []string{"C0reSecret", "BgpSecret1", e2eSecrets[0], e2eSecrets[1], rr1Passwords[0], rr1Passwords[1], "n3w:dist one", "n3w-dist2"}
	for _, d := range s.l.devices {
		if d.SSH.Password != "" {
			secrets = append(secrets, d.SSH.Password)
		}
		if d.SNMP != nil {
			for _, v := range []string{d.SNMP.Community, d.SNMP.AuthPassword, d.SNMP.PrivPassword} {
				if v != "" && v != "public" { // a word of every text
					secrets = append(secrets, v)
				}
			}
		}
	}
	clear := func(where, text string) {
		t.Helper()
		text = strings.ToLower(text) // as a search index may keep it
		for _, secret := range secrets {
			if strings.Contains(text, strings.ToLower(secret)) {
				t.Errorf("%s holds a secret in clear: %s", where, secret)
			}
		}
	}

	raw := s.h.must(t, nil, "config", "show", "core1", "--raw").stdout
	if !strings.Contains(raw, "C0reSecret") {
		t.Error("core1's raw text holds no C0reSecret; this proves nothing")
	}
	shown := s.h.must(t, nil, "config", "show", "core1").stdout
	if strings.Count(shown, "‹secret›") < 3 {
		t.Errorf("core1's text has %d marks of secrets, want three at least", strings.Count(shown, "‹secret›"))
	}
	s.h.must(t, nil, "config", "show", "core1", "--part", "startup")
	s.h.must(t, nil, "config", "show", "core2")
	s.h.must(t, nil, "config", "grep", "md5|password")
	if a := s.h.must(t, []int{1}, "config", "grep", "C0reSecret|BgpSecret1"); a.stdout != "" {
		t.Errorf("config grep finds a secret: %s", a.stdout)
	}
	s.h.must(t, nil, "device", "show", "core1")
	s.h.must(t, []int{0, 1}, "doctor", "core1")
	s.h.must(t, nil, "alert", "list", "--all")
	s.h.must(t, nil, "run", "list")
	s.h.must(t, nil, "status")

	export := s.h.file("export")
	s.h.must(t, nil, "config", "export", export)
	files, err := filepath.Glob(filepath.Join(export, "*"))
	if err != nil || len(files) < 5 {
		t.Errorf("config export wrote %v (%v), want a file for each device with versions", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		clear("export "+filepath.Base(f), string(text))
	}

	link := strings.TrimSpace(s.h.must(t, nil, "serve", "--link").stdout)
	if status, _ := s.h.page(t, "http://127.0.0.1:8470/devices"); status == "200" {
		t.Error("the pages open without a link")
	}
	base := "http://127.0.0.1:8470"
	if status, body := s.h.page(t, link); status != "200" || !strings.Contains(body, "core1") {
		t.Errorf("the one-time link answers %s", status)
	}
	for _, path := range []string{"/", "/devices", "/devices/core1", "/devices/core1/config/1", "/diff/core1/v1/v2", "/drift", "/alerts", "/runs", "/v1/devices/core1", "/v1/config/core1/text"} {
		status, body := s.h.page(t, base+path)
		if status != "200" {
			t.Errorf("page %s answers %s", path, status)
		}
		clear("page "+path, body)
	}
	if status, body := s.h.page(t, base+"/v1/config/core1/raw"); status == "200" || strings.Contains(body, "hostname") {
		t.Errorf("the raw text goes out over TCP: %s", status)
	}
	if err := os.Remove(s.h.file("cookies")); err != nil {
		t.Error(err)
	}
	if status, _ := s.h.page(t, link); status == "200" {
		t.Error("the one-time link works twice")
	}

	clear("the command's output", s.h.heard())
	clear("the log", s.serving.text())
	inData := func() {
		t.Helper()
		seen := 0
		err := filepath.WalkDir(s.h.file("data"), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			seen++
			clear(filepath.Base(path), string(text))
			return err
		})
		if err != nil || seen == 0 {
			t.Errorf("%d files read of the data directory: %v", seen, err)
		}
	}
	inData() // with the journal of the database
	s.serving.stop(t)
	inData()
}

func (s *story) verified(t *testing.T) {
	if s.serving != nil {
		s.serving.stop(t)
	}
	if a := s.h.must(t, nil, "verify"); !strings.Contains(a.stdout, "all whole") {
		t.Errorf("verify prints %q", a.stdout)
	}
	copied := s.h.file("copy.db")
	s.h.must(t, nil, "self", "backup", copied)
	text, err := os.ReadFile(copied)
	if err != nil || !bytes.HasPrefix(text, []byte("SQLite format 3")) {
		t.Errorf("self backup wrote no database (%v)", err)
	}
	// The texts are packed: what is redacted has to be so before that, and what is
	// sealed must not come out by unpacking alone.
	texts := unpacked(t, text)
	if !strings.Contains(texts, "hostname core1") || !strings.Contains(texts, "ip ospf message-digest-key 7 md5 ") {
		t.Error("no text of core1 was unpacked; this proves nothing")
	}
	for _, secret := range []string{"C0reSecret", "BgpSecret1", e2eSecrets[0], e2eSecrets[1]} {
		if bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(secret))) || strings.Contains(texts, secret) {
			t.Errorf("the copy of the database holds %s in clear", secret)
		}
	}
}

// unpacked is all that can be unpacked of the zstd frames in a database file, end
// to end. A frame that goes on in another page gives its beginning.
func unpacked(t *testing.T, file []byte) string {
	t.Helper()
	var all strings.Builder
	for rest := file; ; rest = rest[1:] {
		at := bytes.Index(rest, []byte{0x28, 0xb5, 0x2f, 0xfd})
		if at < 0 {
			return all.String()
		}
		rest = rest[at:]
		z, err := zstd.NewReader(bytes.NewReader(rest), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(&all, z) // ends with an error behind each frame
		z.Close()
	}
}
