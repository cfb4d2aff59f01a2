package backup_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/inventory"
)

// told lists the drift events since an id, as "kind opened|closed".
func (h *house) told(after int64) string {
	h.t.Helper()
	var out []string
	for _, e := range h.events(after) {
		if e.Kind != inventory.EventDrift {
			continue
		}
		var d backup.Drift
		if err := json.Unmarshal(e.Data, &d); err != nil {
			h.t.Fatal(err)
		}
		word := " opened"
		if d.Closed {
			word = " closed"
		}
		if d.Device != e.Device || !strings.HasPrefix(d.Message, d.Device+": ") {
			h.t.Errorf("event %+v tells %+v", e, d)
		}
		out = append(out, string(d.Kind)+word)
	}
	return strings.Join(out, ", ")
}

func (h *house) wantDrift(want string) {
	h.t.Helper()
	if got := h.drift(); got != want {
		h.t.Errorf("drift %q, want %q", got, want)
	}
}

func TestChangeOpensDriftAndRevertClosesIt(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("hostname r1", "interface Gi1", "interface Gi2"))
	h.wantDrift("")
	at := h.last()
	h.want(backup.Stored, 2, config("hostname r1", "interface Gi1", "interface Gi2", "ntp server 192.0.2.1"))
	opened := h.now
	h.wantDrift("changed +1 -0")
	h.want(backup.Unchanged, 2, config("hostname r1", "interface Gi1", "interface Gi2", "ntp server 192.0.2.1"))
	if got := h.told(at); got != "changed opened" {
		t.Errorf("told %s", got)
	}
	h.want(backup.Stored, 3, config("hostname r1", "interface Gi1", "interface Gi2", "ntp server 192.0.2.1", "ntp server 192.0.2.2"))
	h.wantDrift("changed +2 -0")
	d, err := h.backups.Drifts(t.Context())
	if err != nil || len(d) != 1 || !d[0].Since.Equal(opened) {
		t.Errorf("since the last change and not since the first: %+v, %v", d, err)
	}
	at = h.last()
	h.want(backup.Stored, 4, config("hostname r1", "interface Gi1", "interface Gi2"))
	h.wantDrift("")
	if got := h.told(at); got != "changed closed" {
		t.Errorf("told %s", got)
	}
	vs, err := h.backups.Versions(t.Context(), h.id())
	if err != nil || !vs[0].Approved || vs[1].Approved || vs[2].Approved || !vs[3].Approved {
		t.Errorf("a version with the approved text approves itself: %+v, %v", vs, err)
	}
	h.sound()
}

func TestApprovalByPersonAgeAndAtOnce(t *testing.T) {
	h := newHouse(t, "r1", "r2", "r3")
	policies := map[string]backup.ApprovalPolicy{"r1": {Manual: true}, "r2": {After: 7 * 24 * time.Hour}, "r3": {}}
	for i := range h.devices {
		h.policy = policies[h.devices[i].Name]
		h.takeOf(i, config("a"))
		h.takeOf(i, config("b"))
	}
	open := func() string {
		d, err := h.backups.Drifts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, x := range d {
			names = append(names, x.Device)
		}
		return strings.Join(names, ",")
	}
	if got := open(); got != "r1,r2" {
		t.Fatalf("changed: %s", got)
	}
	h.backups = backupsWith(h, func(d inventory.Device) backup.ApprovalPolicy { return policies[d.Name] })
	for _, step := range []struct {
		days, approved int
		open           string
	}{{6, 0, "r1,r2"}, {7, 1, "r1"}, {400, 0, "r1"}} {
		at := h.now.Add(-2 * 24 * time.Hour).Add(time.Duration(step.days) * 24 * time.Hour) // r2's version is two nights old
		n, err := h.backups.ApproveDue(t.Context(), at)
		if err != nil || n != step.approved || open() != step.open {
			t.Errorf("after %d days: %d approved, open %s, %v", step.days, n, open(), err)
		}
	}
	at := h.last()
	if v, err := h.backups.Approve(t.Context(), h.id(), "ops"); err != nil || v != 2 {
		t.Errorf("approve: %d, %v", v, err)
	}
	if got := open(); got != "" || h.told(at) != "changed closed" {
		t.Errorf("open %q, told %s", got, h.told(at))
	}
	log, err := h.store.AuditLog(t.Context(), "r1", 0)
	if err != nil || len(log) != 1 || log[0].Who != "ops" || log[0].Action != "config approve" || log[0].Detail != "version 2" {
		t.Errorf("audit %+v, %v", log, err)
	}
}

func TestUnsavedOpensAtOnceAndCloses(t *testing.T) {
	h := newHouse(t, "r1")
	box := h.box()
	box.answers["/startup"] = config("hostname r1")
	h.want(backup.Stored, 1, config("hostname r1"))
	h.wantDrift("")
	h.want(backup.Stored, 2, config("hostname r1", "interface Gi9"))
	h.wantDrift("changed +1 -0, unsaved +1 -0")
	var w bytes.Buffer
	if err := h.backups.DiffUnsaved(t.Context(), &w, h.id()); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(w.String(), "@@\n")
	if want := " version 7\n hostname r1\n+interface Gi9\n end\n"; got != want {
		t.Errorf("diff\n%s\nwant\n%s", got, want)
	}
	// Unreadable or empty is not known: it neither opens nor closes anything.
	at := h.last()
	box.answers["/startup"] = "\n"
	h.want(backup.Unchanged, 2, config("hostname r1", "interface Gi9"))
	delete(box.answers, "/startup")
	h.want(backup.Unchanged, 2, config("hostname r1", "interface Gi9"))
	h.wantDrift("changed +1 -0, unsaved +1 -0")
	if got := h.told(at); got != "" {
		t.Errorf("told %s", got)
	}
	if err := h.backups.DiffUnsaved(t.Context(), &w, h.id()); !errors.Is(err, backup.ErrNotStored) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("diff of what is not known: %v", err)
	}
	box.answers["/startup"] = config("hostname r1", "interface Gi9") // saved
	h.want(backup.Unchanged, 2, config("hostname r1", "interface Gi9"))
	h.wantDrift("changed +1 -0")
	if n := h.count("SELECT count(*) FROM version"); n != 2 {
		t.Errorf("%d versions: the startup part made one", n)
	}
}

func TestUnreadableStartupIsNeverUnsaved(t *testing.T) {
	for name, startup := range map[string]string{"empty": "", "blank": " \n", "not there": "-"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "r1")
			if startup != "-" {
				h.box().answers["/startup"] = startup
			}
			h.want(backup.Stored, 1, config("hostname r1"))
			h.wantDrift("")
		})
	}
}

func TestUnsavedSeesAChangedSecretAndNotAReencryptedOne(t *testing.T) {
	h := newHouse(t, "r1")
	h.box().answers["/startup"] = config("password hunter2", "enc AAA")
	h.want(backup.Stored, 1, config("password hunter2", "enc BBB"))
	h.wantDrift("")
	h.want(backup.Stored, 2, config("password hunter3", "enc CCC"))
	h.wantDrift("changed +1 -1, unsaved +1 -1")
}

func TestBaselineIsHeldUntilItIsLetGo(t *testing.T) {
	h := newHouse(t, "r1")
	h.policy = backup.ApprovalPolicy{}
	h.want(backup.Stored, 1, config("a"))
	if v, err := h.backups.Pin(t.Context(), h.id(), 0, "ops"); err != nil || v != 1 {
		t.Fatalf("pin: %d, %v", v, err)
	}
	h.wantDrift("")
	h.want(backup.Stored, 2, config("b"))
	h.wantDrift("off-baseline +1 -1")
	var w bytes.Buffer
	if err := h.backups.DiffBaseline(t.Context(), &w, h.id()); err != nil || !strings.Contains(w.String(), "-a\n+b\n") {
		t.Errorf("%s, %v", w.String(), err)
	}
	h.want(backup.Stored, 3, config("a"))
	h.wantDrift("")
	h.want(backup.Stored, 4, config("c"))
	h.wantDrift("off-baseline +1 -1")
	at := h.last()
	if err := h.backups.Unpin(t.Context(), h.id(), "ops"); err != nil {
		t.Fatal(err)
	}
	h.wantDrift("")
	if got := h.told(at); got != "off-baseline closed" {
		t.Errorf("told %s", got)
	}
	if err := h.backups.DiffBaseline(t.Context(), &w, h.id()); !errors.Is(err, backup.ErrNotStored) {
		t.Errorf("%v", err)
	}
	if _, err := h.backups.Pin(t.Context(), h.id(), 9, "ops"); !errors.Is(err, backup.ErrNotStored) {
		t.Errorf("pin what is not there: %v", err)
	}
}

func TestSameChangeOnManyDevicesIsOneGroup(t *testing.T) {
	names := []string{"r1", "r2", "r3", "r4"}
	h := newHouse(t, names...)
	for i, n := range names {
		h.takeOf(i, config("hostname "+n, "password secret-of-"+n, strings.Repeat("interface x\n", i)))
	}
	for i, n := range names {
		extra := "snmp-server contact noc"
		if n == "r4" {
			extra = "snmp-server contact me"
		}
		// A new secret each, which differs from device to device.
		h.takeOf(i, config("hostname "+n, "password newsecret-of-"+n, strings.Repeat("interface x\n", i), extra))
	}
	d, err := h.backups.Drifts(t.Context())
	if err != nil || len(d) != 4 {
		t.Fatalf("%+v, %v", d, err)
	}
	if d[0].Group == "" || d[0].Group != d[1].Group || d[1].Group != d[2].Group || d[3].Group == d[0].Group {
		t.Errorf("groups %q %q %q %q", d[0].Group, d[1].Group, d[2].Group, d[3].Group)
	}
}

func TestDiscardKeepsWhatStood(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("a"))
	h.want(backup.Quarantined, 1, "version 7\na")
	st, err := h.backups.Standings(t.Context(), h.now)
	if err != nil || st[h.id()].State != backup.QuarantineHeld {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := h.backups.Discard(t.Context(), h.id(), "", "ops"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.backups.Discard(t.Context(), h.id(), "", "ops"); !errors.Is(err, backup.ErrNothingWaits) {
		t.Errorf("discard twice: %v", err)
	}
	if n := h.count("SELECT count(*) FROM text WHERE kind = 'raw'"); n != 1 {
		t.Errorf("%d raw texts: the discarded one is still there", n)
	}
	st, err = h.backups.Standings(t.Context(), h.now)
	if err != nil || st[h.id()].State != backup.FailedLast {
		t.Errorf("%+v, %v", st, err)
	}
	h.want(backup.Unchanged, 1, config("a"))
	h.sound()
}

// Whoever accepts says what they looked at: a capture that came later is not taken
// for it, unless it says the same.
func TestDecisionTakesOnlyTheCaptureThatSomebodySaw(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("a"))
	h.want(backup.Quarantined, 1, "! time 1\nversion 7\nb\npassword old")
	seen, err := h.backups.Quarantined(t.Context(), h.id())
	if err != nil {
		t.Fatal(err)
	}
	for name, later := range map[string]string{"a line": "version 7\nb\npassword old\nc", "a secret": "version 7\nb\npassword new"} {
		h.want(backup.Quarantined, 1, later)
		var refused []error
		_, _, err := h.backups.Accept(t.Context(), h.id(), seen.ID, "ops")
		refused = append(refused, err)
		_, err = h.backups.Discard(t.Context(), h.id(), seen.ID, "ops")
		refused = append(refused, err)
		_, err = h.backups.Text(t.Context(), h.id(), backup.Which{Quarantined: true, Capture: seen.ID}, "ops")
		for _, err := range append(refused, err) {
			if !errors.Is(err, backup.ErrReplaced) || !strings.Contains(err.Error(), "muster config show r1 --quarantined") {
				t.Errorf("%s more, and the answer is %v", name, err)
			}
		}
	}
	if n := h.count("SELECT count(*) FROM quarantine WHERE decision IN ('accepted', 'discarded')"); n != 0 {
		t.Errorf("%d decisions were made", n)
	}
	h.want(backup.Quarantined, 1, "! time 2\nversion 7\nb\npassword old") // the same, read anew
	if got := h.text(backup.Which{Quarantined: true, Capture: seen.ID, Raw: true}); got != "! time 2\nversion 7\nb\npassword old" {
		t.Errorf("shown %q", got)
	}
	v, took, err := h.backups.Accept(t.Context(), h.id(), seen.ID, "ops")
	if err != nil || v != 2 || took.ID != seen.ID || !took.TakenAt.Equal(h.now) {
		t.Errorf("accepted version %d of %v, %v", v, took, err)
	}
	h.sound()
}

// A device that changed otherwise after somebody looked at a group is not approved
// with it.
func TestApprovalOfAChangeTakesNoOther(t *testing.T) {
	h := newHouse(t, "r1", "r2")
	for i := range h.devices {
		h.takeOf(i, config("a"))
		h.takeOf(i, config("a", "ntp server 192.0.2.1"))
	}
	d, err := h.backups.Drifts(t.Context())
	if err != nil || len(d) != 2 || d[0].Group != d[1].Group {
		t.Fatalf("%+v, %v", d, err)
	}
	group := d[0].Group
	h.takeOf(1, config("a", "ntp server 192.0.2.1", "no aaa"))
	if v, err := h.backups.ApproveChange(t.Context(), h.devices[0].ID, group, "ops"); err != nil || v != 2 {
		t.Errorf("approve: %d, %v", v, err)
	}
	_, err = h.backups.ApproveChange(t.Context(), h.devices[1].ID, group, "ops")
	if !errors.Is(err, backup.ErrOtherChange) || !strings.Contains(err.Error(), "muster config diff r2") {
		t.Errorf("a change that nobody saw: %v", err)
	}
	if _, err = h.backups.ApproveChange(t.Context(), h.devices[0].ID, group, "ops"); !errors.Is(err, backup.ErrOtherChange) {
		t.Errorf("what is over is approved once more: %v", err)
	}
	if d, err = h.backups.Drifts(t.Context()); err != nil || len(d) != 1 || d[0].Device != "r2" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestGoodCaptureSupersedesTheOneThatWaits(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("a"))
	h.want(backup.Quarantined, 1, "version 7\na")
	h.want(backup.Unchanged, 1, config("a"))
	if _, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); !errors.Is(err, backup.ErrNothingWaits) {
		t.Errorf("accept: %v", err)
	}
	if n := h.count("SELECT count(*) FROM quarantine WHERE decision = 'superseded'"); n != 1 {
		t.Error("it still waits")
	}
}

func TestFailureLeavesTheOneThatWaits(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Quarantined, 0, "version 7\na")
	h.box().open = errTold
	if r := h.night(0); r.Outcome != backup.Failed || !strings.Contains(r.Message, "told to fail") {
		t.Errorf("%+v", r)
	}
	if v, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); err != nil || v != 1 {
		t.Errorf("accept: %d, %v", v, err)
	}
	if got := h.text(backup.Which{Raw: true}); got != "version 7\na" {
		t.Errorf("raw %q", got)
	}
	h.sound()
}

// The newest version, whose text is the same, approves itself at the same moment.
func TestApprovalByAPersonOutlivesTheVersionThatFollowsFromIt(t *testing.T) {
	h := newHouse(t, "r1")
	h.policy = backup.ApprovalPolicy{Manual: true}
	a, b, c := config("hostname r1", "a"), config("hostname r1", "b"), config("hostname r1", "c")
	for n, text := range []string{c, b, a, b} {
		h.want(backup.Stored, n+1, text)
	}
	approve := func(n int) {
		t.Helper()
		if _, err := h.backups.ApproveVersion(t.Context(), h.id(), n, "ops"); err != nil {
			t.Fatal(err)
		}
	}
	approve(3)
	h.wantDrift("changed +1 -1")
	approve(2) // and with it 4, which says the same
	h.wantDrift("")
	if err := h.backups.Purge(t.Context(), h.id(), 4, "ops"); err != nil {
		t.Fatal(err)
	}
	h.wantDrift("changed +1 -1") // 3 is the newest again, and 2 is what a person approved last
}

// A confirmed commit that nobody confirms is gone again in the morning; that it
// was there, that it waited and that it rolled back are all seen, and nothing of
// it approves itself meanwhile.
func TestAConfirmedCommitThatRollsBackIsSeen(t *testing.T) {
	for name, policy := range map[string]backup.ApprovalPolicy{"at once": {}, "by age": {After: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "r1")
			h.policy = policy
			daemons := func(text string) { h.box().answers["show daemons"] = text }
			due := func() {
				t.Helper()
				if _, err := h.backups.ApproveDue(t.Context(), h.now.Add(48*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			daemons("none\n")
			h.want(backup.Stored, 1, config("a"))
			h.wantDrift("")
			daemons("commit confirmed, rollback in 10mins\n")
			h.want(backup.Stored, 2, config("b"))
			due()
			if got := h.driftKinds(); !slices.Equal(got, []backup.DriftKind{backup.DriftChanged, backup.DriftPending}) {
				t.Fatalf("drift while it waits: %v", got)
			}
			daemons("commit confirmed, rollback in 3mins\n") // the same one, later
			h.want(backup.Unchanged, 2, config("b"))
			if n := h.count("SELECT count(*) FROM drift WHERE kind = 'pending'"); n != 1 {
				t.Errorf("%d drifts of one commit", n)
			}
			delete(h.box().answers, "show daemons") // not read: nothing is known
			h.want(backup.Unchanged, 2, config("b"))
			if got := h.driftKinds(); len(got) != 2 {
				t.Errorf("what was not read ended it: %v", got)
			}
			daemons("none\n")
			h.want(backup.Stored, 3, config("a"))
			if got := h.driftKinds(); len(got) != 0 {
				t.Errorf("drift after the rollback: %v", got)
			}
			h.sound()
		})
	}
}

func (h *house) driftKinds() (kinds []backup.DriftKind) {
	h.t.Helper()
	all, err := h.backups.Drifts(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range all {
		kinds = append(kinds, d.Kind)
	}
	slices.Sort(kinds)
	return kinds
}
