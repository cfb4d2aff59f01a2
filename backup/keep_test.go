package backup_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/inventory"
	"muster/store"
)

func TestVerifyFindsADamagedText(t *testing.T) {
	damage := map[string]string{
		"a redacted text":          `UPDATE text SET blob = randomblob(length(blob)) WHERE kind = 'redacted'`,
		"a raw text":               `UPDATE text SET blob = randomblob(length(blob)) WHERE kind = 'raw'`,
		"two raw texts swapped":    `UPDATE text SET blob = (SELECT blob FROM text AS o WHERE o.kind = 'raw' AND o.id <> text.id LIMIT 1) WHERE kind = 'raw'`,
		"a digest":                 `UPDATE version SET digest = (SELECT digest FROM version ORDER BY id DESC LIMIT 1)`,
		"the parts of a version":   `DELETE FROM version_part WHERE version_id = 1`,
		"a text that is not there": `UPDATE version_part SET raw_id = 999 WHERE version_id = 1`,
	}
	for name, query := range damage {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "r1")
			h.want(backup.Stored, 1, config("password one", "a"))
			h.want(backup.Stored, 2, config("password two", "b"))
			h.sound()
			if _, err := h.database().ExecContext(t.Context(), "PRAGMA foreign_keys = off"); err != nil {
				t.Fatal(err)
			}
			if _, err := h.database().ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
			found, err := h.store.Verify(t.Context())
			if err != nil || len(found) == 0 {
				t.Errorf("verify found %v, %v", found, err)
			}
			for _, p := range found {
				if p.What == "" || p.Of == "" || p.Seen == "" || strings.Contains(p.Seen, "password") {
					t.Errorf("problem %+v", p)
				}
			}
		})
	}
}

func TestNothingOfAFailedCommitIsStored(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("a"))
	tables := []string{"capture", "capture_part", "text", "version", "version_part", "quarantine", "approval", "baseline", "drift", "event", "audit"}
	counts := func() (out string) {
		for _, table := range tables {
			out += fmt.Sprintf("%s %d, ", table, h.count("SELECT count(*) FROM "+table))
		}
		return out
	}
	before := counts()
	commit := backup.Commit{
		At: h.now, DeviceID: h.id(),
		Capture: &backup.Captured{Capture: backup.Capture{DeviceID: h.id(), Texts: []backup.Text{{Part: "running", Role: "running", Raw: []byte("new")}}},
			Result: backup.Result{Outcome: backup.Stored}},
		Version: &backup.NewVersion{Version: backup.Version{Number: 2, Reason: backup.ReasonChanged},
			Parts: []backup.VersionPart{{Part: "running", Role: "running", Raw: []byte("new"), Redacted: []byte("new")}}},
		Drifts: []backup.DriftChange{{OpenDrift: backup.OpenDrift{Kind: backup.DriftChanged}}},
		Audit:  &backup.Audit{Action: "test", Subject: "r1"},
	}
	faults := map[string]func(c *backup.Commit){
		"an approval of nothing":    func(c *backup.Commit) { c.Approvals = []backup.Approval{{Number: 99, How: "person"}} },
		"a baseline of nothing":     func(c *backup.Commit) { c.Baseline = &backup.Baseline{Number: 99} },
		"a decision about nothing":  func(c *backup.Commit) { c.Decision = &backup.Decision{CaptureID: 99} },
		"a number that is taken":    func(c *backup.Commit) { v := *c.Version; v.Number = 1; c.Version = &v },
		"an event that is no JSON":  func(c *backup.Commit) { c.Events = []inventory.Event{{Kind: "x", Data: []byte("{")}} },
		"a device that is not here": func(c *backup.Commit) { c.DeviceID = 99 },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			c := commit
			fault(&c)
			if err := h.store.CommitBackup(t.Context(), c); err == nil {
				t.Error("it was taken")
			}
			if after := counts(); after != before {
				t.Errorf("after:  %s\nbefore: %s", after, before)
			}
		})
	}
	if err := h.store.CommitBackup(t.Context(), commit); err != nil {
		t.Errorf("without a fault: %v", err)
	}
}

func TestOldCapturesGoAndWhatCountsStays(t *testing.T) {
	h := newHouse(t, "r1", "r2")
	h.want(backup.Stored, 1, config("a"))
	for range 5 {
		h.want(backup.Unchanged, 1, config("a"))
	}
	h.want(backup.Stored, 2, config("b"))
	h.want(backup.Stored, 3, config("a")) // its drift is over
	h.takeOf(1, "version 7\nwaits")
	for range 3 {
		h.want(backup.Unchanged, 3, config("a"))
	}
	n, err := h.store.PruneCaptures(t.Context(), h.now.Add(time.Hour))
	if err != nil || n != 7 {
		t.Errorf("%d captures went, want 5 and 2 unchanged nights: %v", n, err)
	}
	if n := h.count("SELECT count(*) FROM drift"); n != 0 {
		t.Errorf("%d drifts that are over are left", n)
	}
	if got := h.text(backup.Which{Raw: true}); got != config("a") {
		t.Errorf("newest %q", got)
	}
	h.devices[0], h.devices[1] = h.devices[1], h.devices[0]
	if got := h.text(backup.Which{Quarantined: true}); got != "version 7\nwaits" {
		t.Errorf("quarantined %q", got)
	}
	h.sound()
	a, err := h.store.Attempts(t.Context(), h.devices[1].ID, 2)
	if err != nil || len(a) != 2 || a[0].Outcome != backup.Unchanged {
		t.Errorf("attempts %+v, %v", a, err)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("a"))
	h.want(backup.Stored, 2, config("b", "password hunter2"))
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.openStore()
	h.sound()
	h.wantDrift("changed +2 -1")
	h.want(backup.Unchanged, 2, config("b", "password hunter2")) // the redaction key is the same
}

func TestRemovedDeviceTakesItsTextsAlong(t *testing.T) {
	h := newHouse(t, "r1", "r2")
	h.want(backup.Stored, 1, config("a"))
	h.want(backup.Stored, 2, config("b"))
	h.want(backup.Quarantined, 2, "version 7\nb")
	h.takeOf(1, config("c"))
	if _, err := h.database().ExecContext(t.Context(), "DELETE FROM device WHERE id = ?", h.id()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"capture", "text", "version", "quarantine", "approval", "drift"} {
		if n := h.count("SELECT count(*) FROM "+table+" WHERE device_id = ?", h.id()); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	h.sound()
	if _, err := h.store.BackupGround(t.Context(), h.devices[1].ID); err != nil || errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
