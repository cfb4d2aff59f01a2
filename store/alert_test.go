package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/alert"
	"muster/inventory"
)

// testAlert is a firing alert about one device.
func testAlert(kind alert.Kind, subject string) *alert.Alert {
	return &alert.Alert{Kind: kind, Subject: subject, State: alert.Firing, Devices: []string{subject}, OpenedAt: night, Message: subject + " is not well",
		Detail: alert.Detail{Members: []alert.Member{{DeviceID: 1, Device: subject, Since: night}}, Since: night, NotifyAt: night.Add(time.Minute)}}
}

func addEvent(t *testing.T, s *Store) int64 {
	t.Helper()
	var id int64
	err := s.write(t.Context(), func(tx *sql.Tx) (err error) {
		id, err = insertEvent(tx, inventory.Event{At: night, Kind: inventory.EventDeviceNew, Device: "sw1"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAlertComesBackAsStored(t *testing.T) {
	s := openNew(t)
	a := testAlert(alert.Unreachable, "sw1")
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{a}}); err != nil {
		t.Fatal(err)
	}
	a.State, a.ResolvedAt, a.AckedBy, a.AckedAt, a.AckNote = alert.Resolved, night.Add(time.Hour), "ops", night.Add(time.Minute), "seen"
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{a}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.AlertOf(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*a, got); d != "" {
		t.Errorf("alert (-want +got):\n%s", d)
	}
	if _, err := s.AlertOf(t.Context(), 99); !errors.Is(err, alert.ErrNoAlert) {
		t.Errorf("AlertOf(99) = %v, want ErrNoAlert", err)
	}
}

func TestAlertsAreSelectedByStateKindAndDevice(t *testing.T) {
	s := openNew(t)
	down, failed := testAlert(alert.Unreachable, "sw1"), testAlert(alert.BackupFailed, "sw2")
	over := testAlert(alert.Unreachable, "sw3")
	over.State, over.ResolvedAt, over.NotifyAt = alert.Resolved, night, time.Time{}
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{down, failed, over}}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		f    alert.Filter
		want []int64
	}{
		"all, newest first": {alert.Filter{}, []int64{over.ID, failed.ID, down.ID}},
		"firing":            {alert.Filter{State: alert.Firing}, []int64{failed.ID, down.ID}},
		"of a kind":         {alert.Filter{Kind: alert.Unreachable}, []int64{over.ID, down.ID}},
		"of a device":       {alert.Filter{Device: "sw2"}, []int64{failed.ID}},
		"limited":           {alert.Filter{Limit: 1}, []int64{over.ID}},
		"none":              {alert.Filter{Device: "moon"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			all, err := s.Alerts(t.Context(), tt.f)
			if err != nil || all == nil {
				t.Fatalf("Alerts = %v, %v, want a list", all, err)
			}
			var ids []int64
			for _, a := range all {
				ids = append(ids, a.ID)
			}
			if d := cmp.Diff(tt.want, ids); d != "" {
				t.Errorf("ids (-want +got):\n%s", d)
			}
		})
	}
	live, err := s.LiveAlerts(t.Context())
	if err != nil || len(live) != 2 {
		t.Errorf("LiveAlerts = %v, %v, want the two that fire", live, err)
	}
	if n, err := s.OpenedSince(t.Context(), alert.Unreachable, "sw1", night); err != nil || n != 1 {
		t.Errorf("OpenedSince = %d, %v, want 1", n, err)
	}
}

func TestEventsAlertsAndMessagesAreOneTransaction(t *testing.T) {
	s := openNew(t)
	id := addEvent(t, s)
	message := alert.Delivery{ID: "D1", Receiver: "ops", Event: alert.MessageFiring, Body: json.RawMessage(`{}`), At: night, NextAt: night}
	b := alert.Batch{From: 0, To: id, Alerts: []*alert.Alert{testAlert(alert.NewDevice, "sw1")}, Deliveries: []alert.Delivery{message}}
	if err := s.CommitAlerts(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	// The same events a second time: the cursor has moved, nothing is stored.
	again := alert.Batch{From: 0, To: id, Alerts: []*alert.Alert{testAlert(alert.NewDevice, "sw2")},
		Deliveries: []alert.Delivery{{ID: "D2", Receiver: "ops", Body: json.RawMessage(`{}`)}}}
	if err := s.CommitAlerts(t.Context(), again); err == nil {
		t.Error("events were worked on twice")
	}
	// A message that cannot be stored takes cursor and alerts along.
	next := addEvent(t, s)
	half := alert.Batch{From: id, To: next, Alerts: []*alert.Alert{testAlert(alert.NewDevice, "sw3")}, Deliveries: []alert.Delivery{message}}
	if err := s.CommitAlerts(t.Context(), half); err == nil || half.Alerts[0].ID != 0 {
		t.Errorf("a second message with one id = %v, alert %d, want an error and no id", err, half.Alerts[0].ID)
	}
	if at, err := s.Cursor(t.Context(), alert.CursorName); err != nil || at != id {
		t.Errorf("cursor = %d, %v, want %d", at, err, id)
	}
	all, err := s.Alerts(t.Context(), alert.Filter{})
	if err != nil || len(all) != 1 {
		t.Errorf("alerts = %v, %v, want the first only", all, err)
	}
	waiting, err := s.Outbox(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]alert.Delivery{message}, waiting); d != "" {
		t.Errorf("outbox (-want +got):\n%s", d)
	}
}

func TestOneAlertOfAKindAndSubjectFiresAtATime(t *testing.T) {
	s := openNew(t)
	a, b := testAlert(alert.Changed, "one"), testAlert(alert.Changed, "two")
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{a, b}}); err != nil {
		t.Fatal(err)
	}
	again := testAlert(alert.Changed, "one")
	err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{again}})
	if no, ok := errors.AsType[*alert.Unstorable](err); !ok || no.Alert != again {
		t.Errorf("a second firing alert of one kind and subject: %v, want that it can never be stored", err)
	}
	again.Group = true // a site that is called like the device
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{again}}); err != nil {
		t.Errorf("a group called like a device: %v", err)
	}
	a.Subject, b.Subject = "two", "one" // both diffs went on: they exchange subjects
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{a, b}}); err != nil {
		t.Errorf("exchange of subjects: %v", err)
	}
	// One gives its subject up and a new one takes it, in one transaction.
	a.State, a.ResolvedAt = alert.Resolved, night
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: []*alert.Alert{testAlert(alert.Changed, "two"), a}}); err != nil {
		t.Errorf("subject taken over: %v", err)
	}
}

// A group that an older muster stored is one for the index too, and fires on.
func TestStoredGroupsAreGroupsAfterTheMigration(t *testing.T) {
	older := fstest.MapFS{}
	for n := 1; n <= 7; n++ {
		names, err := fs.Glob(steps(), fmt.Sprintf("%05d_*.sql", n))
		if err != nil || len(names) != 1 {
			t.Fatalf("migration %d is %v (%v)", n, names, err)
		}
		text, err := fs.ReadFile(steps(), names[0])
		if err != nil {
			t.Fatal(err)
		}
		older[names[0]] = &fstest.MapFile{Data: text}
	}
	path := filepath.Join(t.TempDir(), dbName)
	db, err := sql.Open("sqlite3", dsn(path, writerParams()))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	log := slog.New(slog.DiscardHandler)
	if err := migrate(t.Context(), db, path, older, log); err != nil {
		t.Fatal(err)
	}
	const insert = `
INSERT INTO alert (kind, subject, state, opened_at, message, devices, detail)
VALUES ('unreachable', 'paris', 'firing', 1, '', '[]', '{"group":true}'), ('unreachable', 'd1', 'firing', 1, '', '[]', '{}')`
	if _, err := db.ExecContext(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), db, path, steps(), log); err != nil {
		t.Fatal(err)
	}
	var groups, others string
	const query = `SELECT group_concat(subject) FILTER (WHERE is_group), group_concat(subject) FILTER (WHERE NOT is_group) FROM alert WHERE state = 'firing'`
	if err := db.QueryRowContext(t.Context(), query).Scan(&groups, &others); err != nil || groups != "paris" || others != "d1" {
		t.Errorf("groups are %q, others %q (%v), want paris and d1", groups, others, err)
	}
}

func TestMessagesWaitUntilTheyAreTakenInTheirOrder(t *testing.T) {
	s := openNew(t)
	var all []alert.Delivery
	for _, id := range []string{"B", "A", "C"} {
		all = append(all, alert.Delivery{ID: id, Receiver: "ops", Event: alert.MessageFiring, AlertID: 4, Body: json.RawMessage(`{}`), At: night, NextAt: night})
	}
	if err := s.CommitAlerts(t.Context(), alert.Batch{Deliveries: all, Marks: map[string]time.Time{"digest ops": night}}); err != nil {
		t.Fatal(err)
	}
	all[0].Attempts, all[0].DoneAt = 1, night
	all[1].Attempts, all[1].NextAt, all[1].Error = 1, night.Add(time.Minute), "no answer"
	for _, d := range all[:2] {
		if err := s.SaveDelivery(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	waiting, err := s.Outbox(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(all[1:], waiting); d != "" {
		t.Errorf("outbox (-want +got):\n%s", d)
	}
	other := alert.Delivery{ID: "D", Receiver: "mail", Event: alert.MessageFiring, Body: json.RawMessage(`{}`), At: night, NextAt: night}
	if err := s.CommitAlerts(t.Context(), alert.Batch{Deliveries: []alert.Delivery{other}}); err != nil {
		t.Fatal(err)
	}
	if waiting, err = s.Outbox(t.Context(), 1); err != nil || len(waiting) != 2 || waiting[0].ID != "A" || waiting[1].ID != "D" {
		t.Errorf("one message of each receiver = %+v, %v, want A and D", waiting, err)
	}
	if at, err := s.AlertMark(t.Context(), "digest ops"); err != nil || !at.Equal(night) {
		t.Errorf("mark = %v, %v, want %v", at, err, night)
	}
	if at, err := s.AlertMark(t.Context(), "digest moon"); err != nil || !at.IsZero() {
		t.Errorf("mark that was never set = %v, %v, want zero", at, err)
	}
	if _, err := s.DeleteAlerts(t.Context(), night.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if waiting, err = s.Outbox(t.Context(), 10); err != nil || len(waiting) != 3 {
		t.Errorf("after the clearing %d messages wait, %v, want 3", len(waiting), err)
	}
}

func TestOldAlertsGoThatAreOver(t *testing.T) {
	s := openNew(t)
	before := night.Add(time.Hour)
	alertOf := func(subject string, state alert.State, resolved, notify time.Time) *alert.Alert {
		a := testAlert(alert.Unreachable, subject)
		a.State, a.ResolvedAt, a.NotifyAt = state, resolved, notify
		return a
	}
	all := []*alert.Alert{
		alertOf("old", alert.Resolved, night, time.Time{}),
		alertOf("fires since long", alert.Firing, time.Time{}, time.Time{}),
		alertOf("its end is yet to be told", alert.Resolved, night, night),
		alertOf("over since short", alert.Resolved, before, time.Time{}),
	}
	if err := s.CommitAlerts(t.Context(), alert.Batch{Alerts: all}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.DeleteAlerts(t.Context(), before); err != nil || n != 1 {
		t.Errorf("DeleteAlerts = %d, %v, want 1", n, err)
	}
	left, err := s.Alerts(t.Context(), alert.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, a := range left {
		subjects = append(subjects, a.Subject)
	}
	if d := cmp.Diff([]string{"over since short", "its end is yet to be told", "fires since long"}, subjects); d != "" {
		t.Errorf("alerts that stay (-want +got):\n%s", d)
	}
}

func TestOldEventsGoThatAlertsHaveRead(t *testing.T) {
	s := openNew(t)
	ids := map[string]int64{}
	err := s.write(t.Context(), func(tx *sql.Tx) (err error) {
		for _, e := range []struct {
			name string
			at   time.Time
		}{{"old", night}, {"young", night.Add(time.Hour)}, {"old, later", night}, {"old, not read", night}, {"newest", night}} {
			if ids[e.name], err = insertEvent(tx, inventory.Event{At: e.at, Kind: inventory.EventDeviceNew, Device: e.name}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var from int64
	for _, step := range []struct {
		why  string
		read string // up to which the alerts have read; empty: none yet
		want []string
	}{
		{"nobody has read any", "", []string{"old", "young", "old, later", "old, not read", "newest"}},
		{"three are read", "old, later", []string{"young", "old, not read", "newest"}},
		{"all are read", "newest", []string{"young", "newest"}},
	} {
		if to := ids[step.read]; to != 0 {
			if err := s.CommitAlerts(t.Context(), alert.Batch{From: from, To: to}); err != nil {
				t.Fatal(err)
			}
			from = to
		}
		if _, err := s.DeleteEvents(t.Context(), night.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		left, err := s.Events(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range left {
			names = append(names, e.Device)
		}
		if d := cmp.Diff(step.want, names); d != "" {
			t.Errorf("%s: events that stay (-want +got):\n%s", step.why, d)
		}
	}
}

// All writes share one writer: what was kept for a year must not hold it.
func TestManyOldEventsGoInSeveralWrites(t *testing.T) {
	s := openNew(t)
	const many = 2*deleteAtOnce + 1
	var last int64
	err := s.write(t.Context(), func(tx *sql.Tx) (err error) {
		for range many + 1 {
			if last, err = insertEvent(tx, inventory.Event{At: night, Kind: inventory.EventDeviceNew}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CommitAlerts(t.Context(), alert.Batch{To: last}); err != nil {
		t.Fatal(err)
	}
	before := s.commits.Load()
	if n, err := s.DeleteEvents(t.Context(), night.Add(time.Hour)); err != nil || n != many {
		t.Errorf("DeleteEvents = %d, %v, want %d", n, err, many)
	}
	if n := s.commits.Load() - before; n != 3 {
		t.Errorf("it took %d writes, want 3 of %d rows at most", n, deleteAtOnce)
	}
}
