package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
	"muster/inventory/platform"
)

func TestFirstCaptureIsTheFirstVersion(t *testing.T) {
	h := newHouse(t, "r1")
	var steps []string
	dev := h.devices[0]
	r := h.backups.Take(t.Context(), nil, 7, dev, func(s string) { steps = append(steps, s) })
	if r.Outcome != backup.Stored || r.Version != 1 || r.SHA256 == "" || r.Message != "" {
		t.Fatalf("took %+v", r)
	}
	if got, want := strings.Join(steps, ","), "login,command running,command vlans,command startup,command daemons,judge"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	vs, err := h.backups.Versions(t.Context(), dev.ID)
	if err != nil || len(vs) != 1 || vs[0].Reason != backup.ReasonFirst || !vs[0].Approved || vs[0].Rules != "1" {
		t.Errorf("versions %+v, %v", vs, err)
	}
	if got := h.text(backup.Which{}); got != config("hostname r1") {
		t.Errorf("text %q", got)
	}
	if h.box().closed != 1 {
		t.Errorf("session closed %d times", h.box().closed)
	}
	if len(h.facts) != 2 || h.facts[0].Value != "7" || h.facts[1].Value != "r1" {
		t.Errorf("facts %v", h.facts)
	}
	e := h.events(0)
	var told backup.Result
	if len(e) != 1 || e[0].Kind != inventory.EventBackup || e[0].Device != "r1" || json.Unmarshal(e[0].Data, &told) != nil || told.Version != 1 {
		t.Errorf("events %+v", e)
	}
	h.sound()
}

func TestUnchangedNightMakesNoVersionAndCostsNoText(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("hostname r1"))
	texts := h.count("SELECT count(*) FROM text")
	h.want(backup.Unchanged, 1, config("hostname r1"))
	h.want(backup.Unchanged, 1, config("hostname r1"))
	if n := h.count("SELECT count(*) FROM text"); n != texts {
		t.Errorf("%d texts after, %d before", n, texts)
	}
	if n := h.count("SELECT count(*) FROM capture"); n != 3 {
		t.Errorf("%d captures noted, want 3", n)
	}
	h.sound()
}

func TestNewestRawTextIsLastNights(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("! time 1", "hostname r1"))
	for _, line := range []string{"! time 2", "! time 3"} {
		r := h.want(backup.Unchanged, 1, config(line, "hostname r1"))
		if got := h.text(backup.Which{Raw: true}); got != config(line, "hostname r1") || r.SHA256 == "" {
			t.Errorf("newest raw %q", got)
		}
	}
	if got := h.text(backup.Which{Raw: true, Version: 1}); got != config("! time 1", "hostname r1") {
		t.Errorf("raw of version 1 %q", got)
	}
	if n := h.count("SELECT count(*) FROM text WHERE kind = 'raw'"); n != 2 {
		t.Errorf("%d raw texts, want those of version 1 and of last night", n)
	}
	h.sound()
}

func TestTruncatedConfigIsNoVersion(t *testing.T) {
	h := newHouse(t, "r1")
	whole := config("hostname r1", "interface Gi1", " password hunter2", "interface Gi2")
	h.want(backup.Stored, 1, whole)
	for cut := range len(whole) - 1 {
		r := h.take(whole[:cut])
		if r.Outcome != backup.Quarantined && r.Outcome != backup.Failed || r.Version > 1 {
			t.Fatalf("cut at %d: %+v", cut, r)
		}
		if strings.Contains(r.Message, "hunter2") {
			t.Fatalf("cut at %d: the message tells the password: %s", cut, r.Message)
		}
	}
	if got := h.text(backup.Which{Raw: true}); got != whole {
		t.Errorf("newest raw text %q", got)
	}
	h.sound()
}

func TestQuarantineSaysWhichProofAndWhatToDo(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("hostname r1"))
	r := h.want(backup.Quarantined, 1, "version 7\nhostname r1\ninterf")
	if r.Kind != collector.ErrProofMissing || r.Step != collector.StepJudge {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"r1 at judge: proof missing", `last line is not "end"`, "muster config show r1 --quarantined", "muster config accept r1", "muster config discard r1"} {
		if !strings.Contains(r.Message, want) {
			t.Errorf("message %q lacks %q", r.Message, want)
		}
	}
	if got := h.text(backup.Which{Quarantined: true}); got != "version 7\nhostname r1\ninterf" {
		t.Errorf("quarantined text %q", got)
	}
}

func TestBelowHalfTheLastGoodSizeIsQuarantined(t *testing.T) {
	h := newHouse(t, "r1")
	long := config(strings.Repeat("interface Gi1\n", 100))
	h.want(backup.Stored, 1, long)
	r := h.want(backup.Quarantined, 1, config("hostname r1"))
	if r.Kind != collector.ErrImplausible || !strings.Contains(r.Message, "bytes") {
		t.Errorf("%+v", r)
	}
	// A person says that it is right: then it is what the next one is held against.
	if v, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); err != nil || v != 2 {
		t.Fatalf("accept: %d, %v", v, err)
	}
	h.want(backup.Unchanged, 2, config("hostname r1"))
}

func TestTheWayBackToTheApprovedTextIsPlausibleHoweverMuchSmaller(t *testing.T) {
	h := newHouse(t, "r1")
	small, large := config("hostname r1", "interface Gi1"), config("hostname r1", "interface Gi1", strings.Repeat("bulk\n", 200))
	h.want(backup.Stored, 1, small)
	h.want(backup.Stored, 2, large)
	h.want(backup.Stored, 3, small)
	h.wantDrift("")
	h.want(backup.Stored, 4, large)
	// Another small text is not the way back, and neither is a part of the approved one.
	for _, text := range []string{config("hostname r1"), config("hostname r1", "interface Gi2"), strings.TrimSuffix(small, "end\n")} {
		h.want(backup.Quarantined, 4, text)
	}
	h.sound()
}

func TestEmptyTextIsNeverGood(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "blanks": " \n\t\n", "line ends": "\n\n\n"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "r1")
			r := h.want(backup.Failed, 0, text)
			if r.Kind != collector.ErrImplausible {
				t.Errorf("%+v", r)
			}
			if _, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); !errors.Is(err, backup.ErrNothingWaits) {
				t.Errorf("accept: %v", err)
			}
		})
	}
}

func TestReducedRightsAreQuarantined(t *testing.T) {
	h := newHouse(t, "r1")
	r := h.want(backup.Quarantined, 0, config("! reduced view"))
	if r.Kind != collector.ErrRightsMissing || !strings.Contains(r.Message, "level 15") {
		t.Errorf("%+v", r)
	}
}

func TestFirstCaptureOfADeclaredPlatformWaitsForAPerson(t *testing.T) {
	h := newHouse(t, "r1")
	h.rules.evidence = platform.Declared
	r := h.want(backup.Quarantined, 0, config("hostname r1"))
	if r.Kind != collector.ErrProofMissing || !strings.Contains(r.Message, "documents only") {
		t.Errorf("%+v", r)
	}
	h.want(backup.Quarantined, 0, config("hostname r1")) // again: still no person looked
	if n := h.count("SELECT count(*) FROM quarantine WHERE decided_at IS NULL"); n != 1 {
		t.Errorf("%d captures wait", n)
	}
	if v, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); err != nil || v != 1 {
		t.Fatalf("accept: %d, %v", v, err)
	}
	vs, err := h.backups.Versions(t.Context(), h.id())
	if err != nil || len(vs) != 1 || vs[0].Reason != backup.ReasonAccepted || !vs[0].Approved {
		t.Errorf("versions %+v, %v", vs, err)
	}
	h.want(backup.Unchanged, 1, config("hostname r1"))
	h.want(backup.Stored, 2, config("hostname r2"))
	h.sound()
}

func TestKindsMapToOutcomeRowByRow(t *testing.T) {
	// Each row is said once more here, so that nobody changes one by accident.
	tests := map[collector.Kind]struct {
		outcome backup.Outcome
		state   backup.State
		alert   string
		retry   bool
	}{
		collector.ErrUnreachable:       {backup.Failed, backup.FailedLast, "backup-failed", false},
		collector.ErrRefused:           {backup.Failed, backup.FailedLast, "backup-failed", false},
		collector.ErrTimedOut:          {backup.Failed, backup.FailedLast, "backup-failed", true},
		collector.ErrNoCommonAlgorithm: {backup.Failed, backup.FailedLast, "backup-failed", false},
		collector.ErrHostKeyUnknown:    {backup.Failed, backup.FailedLast, "host-key-changed", false},
		collector.ErrHostKeyChanged:    {backup.Failed, backup.FailedLast, "host-key-changed", false},
		collector.ErrLoginRejected:     {backup.Failed, backup.FailedLast, "login-rejected", false},
		collector.ErrNoPrompt:          {backup.Failed, backup.FailedLast, "backup-failed", false},
		collector.ErrEnableRejected:    {backup.Failed, backup.FailedLast, "login-rejected", false},
		collector.ErrCommandRejected:   {backup.Failed, backup.FailedLast, "backup-failed", false},
		collector.ErrRightsMissing:     {backup.Quarantined, backup.QuarantineHeld, "quarantined", false},
		collector.ErrIncomplete:        {backup.Failed, backup.FailedLast, "backup-failed", true},
		collector.ErrImplausible:       {backup.Quarantined, backup.QuarantineHeld, "quarantined", false},
		collector.ErrProofMissing:      {backup.Quarantined, backup.QuarantineHeld, "quarantined", false},
		collector.ErrPartMissing:       {backup.Quarantined, backup.QuarantineHeld, "quarantined", false},
		collector.ErrTooLarge:          {backup.Failed, backup.FailedLast, "backup-failed", false},
		collector.ErrClosed:            {backup.Failed, backup.FailedLast, "backup-failed", true},
		collector.ErrBusy:              {backup.Failed, backup.FailedLast, "backup-failed", true},
		collector.ErrPlatformUnknown:   {backup.Failed, backup.FailedLast, "", false},
		collector.ErrNeedsCredential:   {backup.Failed, backup.FailedLast, "", false},
		collector.ErrCredentialStopped: {backup.Failed, backup.FailedLast, "credential-stopped", false},
		collector.ErrNeedsDecision:     {backup.Failed, backup.FailedLast, "", false},
		collector.ErrForwardingRefused: {backup.Failed, backup.FailedLast, "backup-failed", false},
	}
	if len(tests) != len(backup.Rulings) {
		t.Errorf("%d rows here, %d in the table", len(tests), len(backup.Rulings))
	}
	for kind, tt := range tests {
		t.Run(string(kind), func(t *testing.T) {
			r := backup.Rule(kind)
			if r.Outcome != tt.outcome || r.State != tt.state || r.Alert != tt.alert || r.Retry != tt.retry || backup.Retryable(collector.StepCommand, kind) != tt.retry {
				t.Errorf("%+v", r)
			}
			// And what the table says is what happens: in the session, and at the judge.
			h := newHouse(t, "r1")
			h.box().open = &collector.Error{Step: collector.StepLogin, Kind: kind, Do: "Do this"}
			if got := h.night(0); got.Outcome != backup.Failed || got.Kind != kind || got.Message != "r1 at login: "+strings.ReplaceAll(string(kind), "-", " ")+". Do this" {
				t.Errorf("in a session: %+v", got)
			}
			st, err := h.backups.Standings(t.Context(), h.now)
			if err != nil || st[h.id()].State != backup.FailedLast || st[h.id()].Kind != kind {
				t.Errorf("standing %+v, %v", st, err)
			}
		})
	}
}

func TestOptionalPartsMayBeRefused(t *testing.T) {
	h := newHouse(t, "r1")
	h.box().errs["show vlan"] = &collector.Error{Step: collector.StepCommand, Kind: collector.ErrRightsMissing, Seen: "% Authorization failed"}
	h.want(backup.Stored, 1, config("hostname r1"))
	if n := h.count("SELECT count(*) FROM capture_part WHERE part = 'vlans' AND note LIKE 'rights-missing%' AND raw_id IS NULL"); n != 1 {
		t.Error("the refusal was not noted")
	}
	// It shows once: a version has it. It is refused again: not known, no difference.
	delete(h.box().errs, "show vlan")
	h.box().answers["show vlan"] = "1 default\n"
	h.want(backup.Stored, 2, config("hostname r1"))
	delete(h.box().answers, "show vlan")
	h.want(backup.Unchanged, 2, config("hostname r1"))
	if got := h.text(backup.Which{Part: "vlans"}); got != "1 default\n" {
		t.Errorf("vlans %q", got)
	}
	// An account that has lost the right makes no shorter version, until a person says so.
	h.box().errs["show vlan"] = &collector.Error{Step: collector.StepCommand, Kind: collector.ErrRightsMissing, Seen: "% Authorization failed"}
	if r := h.want(backup.Quarantined, 2, config("hostname r2")); r.Kind != collector.ErrRightsMissing || !strings.Contains(r.Message, `"vlans" any more, which version 2 has: rights-missing: % Authorization failed`) {
		t.Errorf("%+v", r)
	}
	if _, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); err != nil {
		t.Fatal(err)
	}
	h.want(backup.Unchanged, 3, config("hostname r2"))
}

// A file that somebody has removed is a change; one that was never there is none.
func TestAFileThatIsGoneIsAChange(t *testing.T) {
	h := newHouse(t, "r1")
	gone := &collector.Error{Step: collector.StepCommand, Kind: collector.ErrPartMissing, Do: "Check that r1 has the file"}
	h.box().errs["show vlan"] = gone
	h.want(backup.Stored, 1, config("hostname r1"))
	delete(h.box().errs, "show vlan")
	h.box().answers["show vlan"] = "1 default\n2 guests\n"
	h.want(backup.Stored, 2, config("hostname r1"))
	h.box().errs["show vlan"] = gone
	h.want(backup.Stored, 3, config("hostname r1"))
	h.wantDrift("changed +0 -2")
	h.want(backup.Unchanged, 3, config("hostname r1"))
	if got := h.text(backup.Which{Part: "vlans"}) + h.text(backup.Which{Part: "vlans", Raw: true}); got != "" {
		t.Errorf("vlans %q", got)
	}
	var diff bytes.Buffer
	if err := h.backups.Diff(t.Context(), &diff, h.id(), 0, 0); err != nil || !strings.Contains(diff.String(), "\n-2 guests\n") {
		t.Errorf("%v\n%s", err, diff.String())
	}
	delete(h.box().errs, "show vlan")
	h.want(backup.Stored, 4, config("hostname r1"))
	h.sound()
}

// A router with a switch module does not know "show vlan": the other command is
// asked, and only where the first is not known.
func TestACommandThatTheDeviceDoesNotKnowHasAnother(t *testing.T) {
	h := newHouse(t, "r1")
	h.rules.parts[1].Optional, h.rules.parts[1].Else = false, "show vlan-switch"
	h.box().answers["show vlan-switch"] = "1 default\n"
	h.want(backup.Stored, 1, config("hostname r1"))
	if got := h.text(backup.Which{Part: "vlans"}); got != "1 default\n" {
		t.Errorf("vlans %q", got)
	}
	h.box().answers["show vlan"] = "2 other\n"
	h.want(backup.Stored, 2, config("hostname r1"))
	if got := h.text(backup.Which{Part: "vlans"}); got != "2 other\n" {
		t.Errorf("vlans %q, want those of the command that it knows", got)
	}
	h.box().errs["show vlan"] = &collector.Error{Step: collector.StepCommand, Kind: collector.ErrRightsMissing}
	if r := h.want(backup.Quarantined, 2, config("hostname r1")); !strings.Contains(r.Message, "rights-missing") {
		t.Errorf("a right that is missing has no other command: %+v", r)
	}
}

func TestRequiredPartThatIsRefusedIsQuarantined(t *testing.T) {
	h := newHouse(t, "r1")
	h.rules.parts[1].Optional = false
	r := h.want(backup.Quarantined, 0, config("hostname r1"))
	if r.Kind != collector.ErrPartMissing || !strings.Contains(r.Message, `part "vlans" (show vlan): command-rejected`) {
		t.Errorf("%+v", r)
	}
}

func TestNothingHalfWrittenWhenCancelled(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("hostname r1"))
	before, events := h.count("SELECT count(*) FROM capture"), h.last()
	for _, source := range []string{"show running-config", "show vlan", "/startup"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		h.box().during = func(s string) {
			if s == source {
				cancel(errTold)
			}
		}
		h.box().answers["show running-config"] = config("hostname other")
		r := h.backups.Take(ctx, nil, 2, h.devices[0], nil)
		if r.Outcome != backup.Failed || !strings.Contains(r.Message, "stopped before it was done (told to fail)") {
			t.Errorf("stopped at %s: %+v", source, r)
		}
		if n := h.count("SELECT count(*) FROM capture"); n != before || h.last() != events {
			t.Errorf("stopped at %s: something was stored", source)
		}
	}
	h.box().during = nil
	if h.box().opened != h.box().closed {
		t.Errorf("%d sessions opened, %d closed", h.box().opened, h.box().closed)
	}
	h.want(backup.Stored, 2, config("hostname other")) // and the device is free again
	h.sound()
}

func TestDownDeviceIsSkippedAndDisabledOneNotTried(t *testing.T) {
	h := newHouse(t, "r1")
	dev := h.devices[0]
	dev.State, dev.StateSince = inventory.StateDown, h.now
	h.box().open = &collector.Error{Step: collector.StepConnect, Kind: collector.ErrTimedOut, Do: "Check its power"}
	if r := h.backups.Take(t.Context(), nil, 1, dev, nil); r.Outcome != backup.Skipped || r.Step != collector.StepConnect ||
		!strings.Contains(r.Message, "r1 is down since 2026-01-05") || !strings.Contains(r.Message, "(connect: timed out). Check its power") {
		t.Errorf("down: %+v", r)
	}
	h.box().open = nil
	if r := h.backups.Take(t.Context(), nil, 1, dev, nil); r.Outcome != backup.Stored {
		t.Errorf("it answers, whatever reachability says: %+v", r)
	}
	dev.Disabled = true
	if r := h.backups.Take(t.Context(), nil, 1, dev, nil); r.Outcome != backup.Skipped || h.box().opened != 1 {
		t.Errorf("disabled: %+v, %d sessions", r, h.box().opened)
	}
}

func TestOneSessionPerDevice(t *testing.T) {
	h := newHouse(t, "r1")
	var second backup.Result
	h.box().during = func(source string) {
		if source == "show running-config" {
			second = h.backups.Take(t.Context(), nil, 1, h.devices[0], nil)
		}
	}
	if r := h.night(0); r.Outcome != backup.Stored || second.Outcome != backup.Skipped {
		t.Errorf("first %+v, second %+v", r, second)
	}
}

func TestUnknownPlatformSaysWhatToDo(t *testing.T) {
	h := newHouse(t, "r1")
	for _, name := range []string{"", "nosuch"} {
		dev := h.devices[0]
		dev.Platform = name
		r := h.backups.Take(t.Context(), nil, 1, dev, nil)
		if r.Outcome != backup.Failed || r.Kind != collector.ErrPlatformUnknown || !strings.Contains(r.Message, "muster") {
			t.Errorf("platform %q: %+v", name, r)
		}
	}
}

func TestAFailureBeforeThePlatformIsKnownIsKeptAsItWas(t *testing.T) {
	h := newHouse(t, "r1")
	dev := h.devices[0]
	dev.Platform = ""
	why := &collector.Error{Device: "r1", Step: collector.StepConnect, Kind: collector.ErrRefused, Do: "Switch SSH on at r1"}
	steps := []collector.StepTime{{Step: collector.StepConnect, Kind: collector.ErrRefused}}
	r := h.backups.Fail(t.Context(), 1, dev, h.now, steps, why)
	if r.Outcome != backup.Failed || r.Step != collector.StepConnect || r.Kind != collector.ErrRefused || r.Message != why.Error() {
		t.Errorf("%+v", r)
	}
	all, err := h.backups.Standings(t.Context(), h.now)
	if err != nil {
		t.Fatal(err)
	}
	st := all[dev.ID]
	if st.State != backup.FailedLast || st.Kind != collector.ErrRefused || st.Step != collector.StepConnect || st.Message != why.Error() {
		t.Errorf("it stands as %+v", st)
	}
	dev.State = inventory.StateDown
	if r := h.backups.Fail(t.Context(), 1, dev, h.now, steps, why); r.Outcome != backup.Skipped || !strings.Contains(r.Message, "Switch SSH on") {
		t.Errorf("down: %+v", r)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	dev.State = inventory.StateUnknown
	if r := h.backups.Fail(ctx, 1, dev, h.now, steps, why); r.Kind != "" || !strings.Contains(r.Message, "nothing was stored") {
		t.Errorf("stopped: %+v", r)
	}
}

func TestAPlatformThatIsInventorySaysWhy(t *testing.T) {
	h := newHouse(t, "r1")
	h.rules.parts = nil
	r := h.backups.Take(t.Context(), nil, 1, h.devices[0], nil)
	if r.Outcome != backup.Failed || r.Kind != collector.ErrPlatformUnknown || !strings.Contains(r.Message, "has nothing to back up: its definition lists no parts. Keep the device as inventory: muster device set r1 --no-managed") {
		t.Errorf("%+v", r)
	}
}

func TestRuleUpgradeMakesNoVersion(t *testing.T) {
	h := newHouse(t, "r1")
	text := config("hostname r1", "uptime 5", "community public1", "password hunter2")
	h.want(backup.Stored, 1, text)
	if got := h.text(backup.Which{}); !strings.Contains(got, "public1") {
		t.Fatalf("the old rules hide it already: %q", got)
	}
	// Better rules: one more volatile line, one more secret.
	h.rules.revision, h.rules.volatile, h.rules.secrets = "2", []string{"! time", "uptime"}, []string{"password", "community"}
	if got := h.text(backup.Which{}); strings.Contains(got, "public1") || strings.Contains(got, "uptime") {
		t.Errorf("an old version is shown under its old rules: %q", got)
	}
	events := h.last()
	h.want(backup.Unchanged, 1, config("hostname r1", "uptime 6", "community public1", "password hunter2"))
	for _, e := range h.events(events) {
		if e.Kind != inventory.EventBackup {
			t.Errorf("event %+v", e)
		}
	}
	if d := h.drift(); d != "" {
		t.Errorf("drift %s", d)
	}
	// A change is one all the same, and only that.
	r := h.want(backup.Stored, 2, config("hostname r1", "uptime 7", "community public2", "password hunter2"))
	vs, err := h.backups.Versions(t.Context(), h.id())
	if err != nil || vs[0].Reason != backup.ReasonSecretChanged || vs[0].LinesAdded != 1 || vs[0].LinesRemoved != 1 {
		t.Errorf("%+v: %+v, %v", r, vs, err)
	}
	h.sound()
}

func TestChangedSecretIsAVersionAndReencryptedOneIsNot(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("password hunter2", "enc AAAA"))
	for _, enc := range []string{"BBBB", "CCCC", "DDDD"} {
		h.want(backup.Unchanged, 1, config("password hunter2", "enc "+enc))
	}
	h.want(backup.Stored, 2, config("password hunter3", "enc EEEE"))
	vs, err := h.backups.Versions(t.Context(), h.id())
	if err != nil || vs[0].Reason != backup.ReasonSecretChanged {
		t.Errorf("%+v, %v", vs, err)
	}
	var w bytes.Buffer
	if err := h.backups.Diff(t.Context(), &w, h.id(), 0, 0); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(w.String(), "@@\n")
	if want := " version 7\n-password ‹secret changed›\n+password ‹secret changed›\n enc ‹secret›\n end\n"; got != want {
		t.Errorf("diff\n%s\nwant\n%s", got, want)
	}
	h.want(backup.Stored, 3, config("password hunter3", "enc EEEE", "enc new"))
	if vs, err = h.backups.Versions(t.Context(), h.id()); err != nil || vs[0].Reason != backup.ReasonChanged {
		t.Errorf("%+v, %v", vs, err)
	}
}

func TestSeenIsMaskedInResultsStepsAndEvents(t *testing.T) {
	h := newHouse(t, "r1")
	h.box().errs["show running-config"] = &collector.Error{Step: collector.StepOutput, Kind: collector.ErrIncomplete,
		Seen: `half of a keyw\npassword hunter2\nenc 9f8e7d\nusername x key AAAAB3NzaC1yc2EAAAADAQABAAABgQCqqqq` + strings.Repeat("x", 120), Do: "Try again"}
	r := h.night(0)
	if r.Outcome != backup.Failed || r.Kind != collector.ErrIncomplete || !strings.Contains(r.Message, `password ‹secret›`) {
		t.Errorf("%+v", r)
	}
	for _, secret := range []string{"hunter2", "9f8e7d", "AAAAB3NzaC1yc2E", "half of a keyw"} {
		if strings.Contains(r.Message, secret) {
			t.Errorf("message tells %q: %s", secret, r.Message)
		}
	}
	if n := h.count("SELECT count(*) FROM event WHERE data LIKE '%hunter2%' OR data LIKE '%9f8e7d%'"); n != 0 {
		t.Error("an event tells the password")
	}
}

// Wherever a quotation begins, what is left of the line that it begins in is no
// secret without its keyword.
func TestACutQuotationShowsNoSecret(t *testing.T) {
	h := newHouse(t, "r1")
	for name, text := range map[string]string{
		"blank lines at the end":      "password hunter2\n" + strings.Repeat("x", collector.SeenLimit-15) + "\n\n\n\n\n\n",
		"one long line":               "password hunter2 " + strings.Repeat("x y ", (collector.SeenLimit-8)/4),
		"a gap before the value":      "password" + strings.Repeat(" ", 20) + "hunter2\n" + strings.Repeat("x", collector.SeenLimit-20),
		"what is no UTF-8 in between": strings.Repeat("\xb0", 9) + " hunter2\n" + strings.Repeat("x", collector.SeenLimit-16),
	} {
		h.box().errs["show running-config"] = &collector.Error{Step: collector.StepOutput, Kind: collector.ErrIncomplete, Seen: collector.Seen([]byte(text)), Do: "Try again"}
		if r := h.night(0); r.Outcome != backup.Failed || strings.Contains(r.Message, "hunter2") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// What is said before the quotation stays.
	delete(h.box().errs, "show running-config")
	h.box().errs["show vlan"] = &collector.Error{Step: collector.StepCommand, Kind: collector.ErrRightsMissing,
		Seen: "password hunter2 " + strings.Repeat("x y ", collector.SeenLimit/4)}
	h.want(backup.Stored, 1, config("hostname r1"))
	if n := h.count("SELECT count(*) FROM capture_part WHERE part = 'vlans' AND note LIKE 'rights-missing: %x y%' AND note NOT LIKE '%hunter2%'"); n != 1 {
		t.Error("the note does not tell why the part was refused")
	}
}

func TestFingerprintsAndAlgorithmsStayReadable(t *testing.T) {
	h := newHouse(t, "r1")
	const shown, pinned = "SHA256:2rMlDh3kABYpFjjXSptLlKxMoMIMiHlH/moNvcTvrvI", "SHA256:iqVsRNEXL62KHqu3DmcJiCy/x8VaPfOmoOuL8i9WvVk"
	h.box().errs["show running-config"] = &collector.Error{Step: collector.StepHostKey, Kind: collector.ErrHostKeyChanged,
		Seen: "ssh-ed25519 " + shown + "; pinned: ssh-ed25519 " + pinned, Do: "Compare them"}
	if r := h.night(0); !strings.Contains(r.Message, shown) || !strings.Contains(r.Message, pinned) {
		t.Errorf("the message does not tell both: %s", r.Message)
	}
	const offers = "diffie-hellman-group-exchange-sha256, diffie-hellman-group14-sha1"
	h.box().open = &collector.Error{Step: collector.StepKeyExchange, Kind: collector.ErrNoCommonAlgorithm, Seen: offers}
	if r := h.night(0); !strings.Contains(r.Message, offers) {
		t.Errorf("the message does not tell what the device offers: %s", r.Message)
	}
}

// A password that got no answer may have been counted, so no second one goes out
// in the same run, and the next night has one left.
func TestNoSecondTryOfALogin(t *testing.T) {
	for _, kind := range []collector.Kind{collector.ErrTimedOut, collector.ErrClosed} {
		if backup.Retryable(collector.StepLogin, kind) || !backup.Retryable(collector.StepPrompt, kind) {
			t.Errorf("%s: tried again at login %t, at prompt %t; want it behind the login only", kind, backup.Retryable(collector.StepLogin, kind), backup.Retryable(collector.StepPrompt, kind))
		}
	}
}

func TestFailedNightKeepsWhatStood(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("hostname r1"))
	good := h.now
	h.box().errs["show running-config"] = &collector.Error{Step: collector.StepOutput, Kind: collector.ErrClosed}
	r := h.night(0)
	if r.Outcome != backup.Failed || !backup.Retryable(r.Step, r.Kind) {
		t.Errorf("%+v", r)
	}
	st, err := h.backups.Standings(t.Context(), h.now)
	if got := st[h.id()]; err != nil || got.State != backup.FailedLast || !got.LastGood.Equal(good) || got.Versions != 1 || got.Kind != collector.ErrClosed || got.Step != collector.StepOutput {
		t.Errorf("standing %+v, %v", st, err)
	}
	delete(h.box().errs, "show running-config")
	h.want(backup.Unchanged, 1, config("hostname r1"))
	st, err = h.backups.Standings(t.Context(), h.now.Add(4*24*time.Hour))
	if err != nil || st[h.id()].State != backup.Stale {
		t.Errorf("standing %+v, %v", st, err)
	}
}

// Cloned devices share their host key: only the text tells that an address moved
// from one to the other.
func TestAnotherDevicesTextIsNoVersionOfThisOne(t *testing.T) {
	h := newHouse(t, "r1")
	of := func(name, net string) string {
		lines := []string{"hostname " + name}
		for i := range 40 {
			lines = append(lines, fmt.Sprintf("interface Gi%d", i), fmt.Sprintf("address 10.%s.%d.1", net, i), "mtu 9000", "cdp", "up")
		}
		return config(lines...)
	}
	h.want(backup.Stored, 1, of("r1", "1"))
	r := h.want(backup.Quarantined, 1, of("r2", "2"))
	if r.Kind != collector.ErrImplausible || !strings.Contains(r.Message, "calls itself r2, version 1 was of r1") || !strings.Contains(r.Message, "--quarantined") {
		t.Errorf("%+v", r)
	}
	// Renamed it is the same device, and so is one that changed much under its name.
	h.want(backup.Stored, 2, of("core-1", "1"))
	h.want(backup.Stored, 3, of("core-1", "3"))
	h.want(backup.Quarantined, 3, of("r2", "2"))
	if v, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); err != nil || v != 4 {
		t.Fatalf("accept: %d, %v", v, err)
	}
	h.want(backup.Unchanged, 4, of("r2", "2"))
	h.sound()
}

func TestRehearsalJudgesAsABackupDoes(t *testing.T) {
	bulk := strings.Repeat("bulk\n", 200)
	small, large := config("hostname r1", "interface Gi1"), config("hostname r1", "interface Gi1", bulk)
	tests := map[string]struct {
		before []string
		change func(*house)
		text   string
		want   collector.Kind
	}{
		"good":                         {nil, nil, small, ""},
		"cut":                          {nil, nil, strings.TrimSuffix(small, "end\n"), collector.ErrProofMissing},
		"nothing":                      {nil, nil, "\n", collector.ErrImplausible},
		"an extra part is refused":     {[]string{small}, func(h *house) { delete(h.box().answers, "show vlan") }, small, ""},
		"an extra part is blank":       {nil, func(h *house) { h.rules.parts[1].Optional = false; h.box().answers["show vlan"] = "\n" }, small, collector.ErrPartMissing},
		"known from documents only":    {nil, func(h *house) { h.rules.evidence = platform.Declared }, small, collector.ErrProofMissing},
		"much smaller":                 {[]string{large}, nil, small, collector.ErrImplausible},
		"the way back to the approved": {[]string{small, large}, nil, small, ""},
		"another device's":             {[]string{large}, nil, config("hostname r2", "interface Gi2", strings.Repeat("other\n", 200)), collector.ErrImplausible},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "r1")
			for _, text := range tt.before {
				h.want(backup.Stored, h.versions()+1, text)
			}
			if tt.change != nil {
				tt.change(h)
			}
			h.box().answers["show running-config"] = tt.text
			steps, err := h.backups.Rehearse(t.Context(), nil, h.devices[0], nil)
			if got := collector.KindOf(err); got != tt.want || steps[len(steps)-1].Kind != tt.want {
				t.Errorf("rehearsed: kind %q, steps %+v; want %q", got, steps, tt.want)
			}
			if r := h.take(tt.text); r.Kind != tt.want {
				t.Errorf("took %+v, want kind %q", r, tt.want)
			}
		})
	}
}

// What a device printed where it refused a part is quoted by what is missing.
func TestRehearsalQuotesNoSecret(t *testing.T) {
	h := newHouse(t, "r1")
	h.rules.parts[1].Optional = false
	h.box().answers["show running-config"] = config("hostname r1")
	h.box().errs["show vlan"] = &collector.Error{Step: collector.StepCommand, Kind: collector.ErrCommandRejected, Seen: `% Unknown command\npassword hunter2`}
	steps, err := h.backups.Rehearse(t.Context(), nil, h.devices[0], nil)
	if !errors.Is(err, collector.ErrPartMissing) || !strings.Contains(err.Error(), "% Unknown command") || strings.Contains(fmt.Sprint(err, steps), "hunter2") {
		t.Errorf("%v\n%+v", err, steps)
	}
}

func (h *house) versions() int { return h.count("SELECT count(*) FROM version") }
