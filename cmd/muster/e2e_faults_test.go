//go:build e2e

package main_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// realFault is what is expected of one way in which a router can be ill. It has a
// good version before. The backup is one over all devices, as at night.
type realFault struct {
	fault   string // as docs/faults.md names it
	round   int    // faults of one round hold side by side; 0: another chapter brings it about
	device  string
	outcome string
	step    string
	kind    string
	state   string
	alerts  string // kinds, sorted; empty: none
	next    string // the next good run, and what a person has to do first
	// begin brings it about and returns what ends it; nil: the lab's own fault of
	// this name.
	begin func(*story, *testing.T) (end func(*testing.T))
}

// realTable is written by hand, before the messages are looked at.
var realTable = []realFault{
	{fault: "`all`: every cable of a router", device: "edge1", outcome: "skipped", kind: "unreachable", state: "down", alerts: "unreachable", next: "unchanged"},
	{fault: "a router that is reached over that one", device: "branch1", outcome: "skipped", kind: "unreachable", state: "behind", next: "unchanged"},
	{fault: "`mgmt`", round: 2, device: "dist2", outcome: "skipped", kind: "unreachable", state: "down", alerts: "unreachable", next: "unchanged"},
	{fault: "`eth1` of a router that is reached over it", round: 2, device: "branch1", outcome: "skipped", kind: "unreachable", state: "down", alerts: "unreachable", next: "unchanged", begin: broken("branch1", "eth1")},
	{fault: "`eth2`, a data link", round: 3, device: "dist2", outcome: "unchanged", state: "up", next: "unchanged", begin: broken("dist2", "eth2")},
	{fault: "`snmpd`", round: 1, device: "dist1", outcome: "unchanged", state: "degraded", next: "unchanged"},
	{fault: "`snmpd-hang`", round: 1, device: "host1", outcome: "unchanged", state: "degraded", next: "unchanged"},
	{fault: "`sshd`", round: 1, device: "rr1", outcome: "failed", step: "connect", kind: "refused", state: "up", alerts: "backup-failed", next: "unchanged"},
	{fault: "`freeze`", round: 1, device: "dist2", outcome: "failed", step: "key-exchange", kind: "timed-out", state: "up", alerts: "backup-failed", next: "unchanged"},
	{fault: "`ospfd`", round: 1, device: "core2", outcome: "quarantined", step: "judge", kind: "proof-missing", state: "up", alerts: "quarantined", next: "unchanged"},
	{fault: "`power`", round: 2, device: "rr1", outcome: "skipped", kind: "unreachable", state: "down", alerts: "unreachable", next: "unchanged"},
	{fault: "`kick` in mid-answer, twice", round: 2, device: "core1", outcome: "failed", step: "output", kind: "closed", state: "up", alerts: "backup-failed", next: "unchanged", begin: (*story).kicked},
	{fault: "`passwd`", round: 3, device: "rr1", outcome: "failed", step: "login", kind: "login-rejected", state: "up", alerts: "login-rejected", next: "unchanged after `muster secret set`", begin: (*story).otherPassword},
	{fault: "`rekey`", round: 3, device: "core1", outcome: "failed", step: "host-key", kind: "host-key-changed", state: "up", alerts: "host-key-changed", next: "unchanged after `muster device accept-key`", begin: (*story).rekeyed},
	{fault: "wrong key: the router does not know ours any more", round: 2, device: "edge1", outcome: "failed", step: "login", kind: "login-rejected", state: "up", alerts: "login-rejected", next: "unchanged", begin: (*story).unknownKey},
	{fault: "wrong algorithms: old ones only, the scope says `modern`", round: 2, device: "core2", outcome: "failed", step: "key-exchange", kind: "no-common-algorithm", state: "up", alerts: "backup-failed", next: "unchanged once the scope allows `legacy`", begin: (*story).modern},
	{fault: "idle close: a daemon hangs, the router ends the silent session", round: 1, device: "branch1", outcome: "failed", step: "prompt", kind: "closed", state: "up", alerts: "backup-failed", next: "unchanged", begin: (*story).silentDaemon},
	{fault: "an account without the right", round: 1, device: "core1", outcome: "failed", step: "command", kind: "rights-missing", state: "up", alerts: "backup-failed", next: "unchanged with an account that has it", begin: (*story).operator},
	{fault: "`rebuild`: new keys everywhere", device: "rr1", outcome: "failed", step: "host-key", kind: "host-key-changed", state: "up", alerts: "host-key-changed", next: "unchanged after `muster device accept-key` or `replace`"},
}

// realFaults are the rows that hold of a round; of another chapter's those of its devices.
func realFaults(round int, devices ...string) (rows []realFault) {
	for _, f := range realTable {
		if f.round == round && (round > 0 || slices.Contains(devices, f.device)) {
			rows = append(rows, f)
		}
	}
	return rows
}

// broken is a fault of the lab that ends when it is healed.
func broken(device, name string) func(*story, *testing.T) func(*testing.T) {
	return func(s *story, t *testing.T) func(*testing.T) {
		s.l.run(t, "break", device, name)
		return func(t *testing.T) { s.l.run(t, "heal", device, name) }
	}
}

func (s *story) faults(t *testing.T) {
	for round := 1; len(realFaults(round)) > 0; round++ {
		rows := realFaults(round)
		begun := time.Now()
		var ends []func(*testing.T)
		for _, f := range rows {
			begin := f.begin
			if begin == nil {
				begin = broken(f.device, strings.Trim(f.fault, "`"))
			}
			ends = append(ends, begin(s, t))
		}
		s.ill(t, rows, begun)
		for _, end := range ends {
			end(t)
		}
		s.well(t, rows, begun)
	}
}

// opened are the alerts that opened since a time.
func (s *story) opened(t *testing.T, since time.Time) []alertRow {
	t.Helper()
	return slices.DeleteFunc(ask[[]alertRow](t, s.h, nil, "alert", "list", "--all"), func(a alertRow) bool { return a.OpenedAt.Before(since) })
}

// night backs everything up. Who is not ill is well, but for rr2, which nobody may read.
func (s *story) night(t *testing.T, ill []realFault) map[string]backupRow {
	t.Helper()
	rows := s.h.backup(t)
	for n, r := range rows {
		switch {
		case slices.ContainsFunc(ill, func(f realFault) bool { return f.device == n }):
		case n == "rr2" && r.Kind == "rights-missing", r.Outcome == "unchanged":
		default:
			t.Errorf("%s is %+v beside the ill ones, want it as before", n, r)
		}
	}
	return rows
}

// ill holds the rows of faults that hold now, and keeps their messages.
func (s *story) ill(t *testing.T, faults []realFault, begun time.Time) {
	t.Helper()
	for _, f := range faults {
		wait(t, 20*time.Second, f.device+" with "+f.fault+" is "+f.state, func() bool { return s.state(t, f.device) == f.state })
	}
	rows := s.night(t, faults)
	for _, f := range faults {
		r := rows[f.device]
		if r.Outcome != f.outcome || r.Step != f.step || r.Kind != f.kind {
			t.Errorf("%s with %s is %+v, want %s (%s at %s)", f.device, f.fault, r, f.outcome, f.kind, f.step)
		}
		if f.kind != "" {
			saysWhatToDo(t, f.fault, r.Message)
		}
		s.told[f.fault] = r.Message
	}
	kinds := func(device string) string {
		var all []string
		for _, a := range s.opened(t, begun) {
			if slices.Equal(a.Devices, []string{device}) {
				all = append(all, a.Kind)
			}
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	for _, f := range faults {
		wait(t, 20*time.Second, f.device+" with "+f.fault+" has the alert "+f.alerts, func() bool { return f.alerts == "" || kinds(f.device) != "" })
	}
	for _, f := range faults {
		if got := s.state(t, f.device); got != f.state {
			t.Errorf("%s with %s is %s, want %s", f.device, f.fault, got, f.state)
		}
		if got := kinds(f.device); got != f.alerts {
			t.Errorf("%s with %s has the alerts %q, want %q", f.device, f.fault, got, f.alerts)
		}
	}
	for _, a := range s.opened(t, begun) {
		if len(a.Devices) != 1 || !slices.ContainsFunc(faults, func(f realFault) bool { return f.device == a.Devices[0] }) {
			t.Errorf("beside the faults this alert opened: %+v", a)
		}
	}
}

// well holds what the first run makes of the faults that are over.
func (s *story) well(t *testing.T, faults []realFault, begun time.Time) {
	t.Helper()
	s.l.run(t, "converge", "60")
	for _, f := range faults {
		wait(t, 30*time.Second, f.device+" is up again", func() bool { return s.state(t, f.device) == "up" })
	}
	rows := s.night(t, faults)
	for _, f := range faults {
		want, _, _ := strings.Cut(f.next, " ")
		if r := rows[f.device]; r.Outcome != want {
			t.Errorf("%s is %+v after %s, want %s", f.device, r, f.fault, want)
		}
	}
	wait(t, 20*time.Second, "the alerts of the faults are over", func() bool {
		return !slices.ContainsFunc(s.opened(t, begun), func(a alertRow) bool { return a.State != "resolved" })
	})
}

// faultTable holds docs/faults.md against all that was told.
func (s *story) faultTable(t *testing.T) {
	var b strings.Builder
	for _, f := range realTable {
		m, ok := s.told[f.fault]
		if !ok {
			t.Fatalf("nobody told of %s: an earlier chapter failed", f.fault)
		}
		m = steady(m)
		if f.step == "output" || f.step == "judge" {
			m = said.ReplaceAllString(m, `said "…". `) // a piece of the configuration
		}
		b.WriteString(faultLine(f.fault, f.outcome, f.step, f.kind, f.state, f.alerts, f.next, m))
	}
	holdFaults(t, "real", ".ci/e2e BIN TOOLS", b.String())
}

// kicked: core1 ends the session in the middle of its text, twice, since what
// broke off is tried once more.
func (s *story) kicked(t *testing.T) func(*testing.T) {
	s.l.run(t, "save", "core1") // what revert goes back to
	s.l.run(t, "large", "core1", "60000")
	kicks := make(chan error, 1)
	go func() {
		for range 2 {
			if err := exec.CommandContext(t.Context(), s.l.tool, "kick", "core1", "100").Run(); err != nil {
				kicks <- err
				return
			}
		}
		kicks <- nil
	}()
	return func(t *testing.T) {
		if err := <-kicks; err != nil {
			t.Error(err)
		}
		s.l.run(t, "revert", "core1")
	}
}

// rr1Passwords are those of rr1 before and after it changed.
var rr1Passwords = [2]string{"lab-rr1", "n3w-rr1"}

func (s *story) otherPassword(t *testing.T) func(*testing.T) {
	s.l.run(t, "passwd", "rr1", rr1Passwords[1])
	return func(t *testing.T) {
		if n := s.l.rejected(t, "rr1"); n != 1 {
			t.Errorf("rr1 has rejected %d logins in one run, want one", n)
		}
		if a := s.h.musterIn(t, rr1Passwords[1], "secret", "set", "rr1"); a.code != 0 {
			t.Errorf("secret set rr1 ended with %d\n%s", a.code, a.stderr)
		}
	}
}

// rekeyed: no password goes to whoever shows another key.
func (s *story) rekeyed(t *testing.T) func(*testing.T) {
	keys := func() []string {
		s.l.list(t)
		var prints []string
		for _, k := range s.l.devices["core1"].SSH.HostKeys {
			prints = append(prints, strings.Fields(k)[0])
		}
		return prints
	}
	logins := func() int {
		return len(regexp.MustCompile(`(?m)^(?:Failed|Accepted|Postponed) `).FindAllString(s.l.run(t, "log", "core1"), -1))
	}
	names := func(text string, prints []string) bool {
		return slices.ContainsFunc(prints, func(p string) bool { return strings.Contains(text, p) })
	}
	old := keys()
	s.l.run(t, "rekey", "core1")
	fresh, before := keys(), logins()
	return func(t *testing.T) {
		if m := s.told["`rekey`"]; !names(m, old) || !names(m, fresh) {
			t.Errorf("the message names not both fingerprints, of %v and %v: %s", old, fresh, m)
		}
		if got := logins(); got != before {
			t.Errorf("core1's SSH server has logged %d logins after its key had changed", got-before)
		}
		if a := s.h.must(t, nil, "device", "accept-key", "core1"); !names(a.stdout, fresh) {
			t.Errorf("accept-key prints %q, want the new fingerprint", a.stdout)
		}
	}
}

func (s *story) unknownKey(t *testing.T) func(*testing.T) {
	const list = "/home/backup/.ssh/authorized_keys"
	s.l.run(t, "in", "edge1", "mv", list, list+".away")
	return func(t *testing.T) { s.l.run(t, "in", "edge1", "mv", list+".away", list) }
}

func (s *story) modern(t *testing.T) func(*testing.T) {
	s.h.settings(t, "modern")
	s.h.must(t, nil, "reload")
	return func(t *testing.T) {
		s.h.settings(t, "legacy")
		s.h.must(t, nil, "reload")
	}
}

// silentDaemon: vtysh waits for ever for a daemon that hangs, and branch1 closes a
// channel on which nothing was said for 5 s.
func (s *story) silentDaemon(t *testing.T) func(*testing.T) {
	signal := func(t *testing.T, name string) {
		s.l.run(t, "in", "branch1", "sh", "-c", "kill -"+name+" $(cat /run/frr/bgpd.pid)")
	}
	signal(t, "STOP")
	return func(t *testing.T) { signal(t, "CONT") }
}

func (s *story) operator(t *testing.T) func(*testing.T) {
	s.h.must(t, nil, "device", "set", "core1", "--credential", "ssh-oper")
	return func(t *testing.T) { s.h.must(t, nil, "device", "set", "core1", "--credential", "ssh-core1") }
}

// ownLink: where muster's own machine has no way, nothing is said of the devices.
func (s *story) ownLink(t *testing.T) {
	begun := time.Now()
	s.l.run(t, "exec", "ip", "link", "set", "br0", "down")
	devices := ask[[]deviceRow](t, s.h, nil, "device", "list")
	for _, d := range devices {
		wait(t, 20*time.Second, d.Name+" is not reached", func() bool { return s.state(t, d.Name) == "behind" })
		if got := ask[deviceRow](t, s.h, nil, "device", "show", d.Name).Behind; got != "this machine" {
			t.Errorf("%s is behind %q, want this machine", d.Name, got)
		}
	}
	for n, r := range s.h.backup(t) {
		if r.Outcome != "skipped" || !strings.Contains(r.Message, "this machine has no way there") {
			t.Errorf("%s is %+v, want it skipped since there is no way to it", n, r)
		}
	}
	s.l.run(t, "exec", "ip", "link", "set", "br0", "up")
	s.l.run(t, "exec", "ip", "route", "add", s.l.devices["branch1"].Address, "via", s.l.devices["edge1"].Address)
	s.l.run(t, "exec", "ip", "addr", "replace", "fd99::1/64", "dev", "br0", "nodad")
	for _, d := range devices {
		wait(t, 30*time.Second, d.Name+" is up again", func() bool { return s.state(t, d.Name) == "up" })
	}
	wait(t, 20*time.Second, "the alert is over", func() bool {
		a := s.opened(t, begun)
		return len(a) == 1 && a[0].State == "resolved"
	})
	if a := s.opened(t, begun)[0]; a.Kind != "collector-isolated" || len(a.Devices) != len(devices) {
		t.Errorf("the alert was %+v, want collector-isolated with all devices", a)
	}
}
