package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"muster/internal/alert"
)

var _ alert.Store = (*Store)(nil)

const alertColumns = `id, kind, subject, state, opened_at, resolved_at, message, devices, acked_by, acked_at, ack_note, detail`

// Alerts lists what a filter selects, newest first.
func (s *Store) Alerts(ctx context.Context, f alert.Filter) ([]alert.Alert, error) {
	const query = `
SELECT ` + alertColumns + ` FROM alert
WHERE (?1 = '' OR state = +?1) AND (?2 = '' OR kind = +?2)
  AND (?3 = '' OR EXISTS (SELECT 1 FROM json_each(alert.devices) WHERE value = +?3))
ORDER BY id DESC LIMIT +?4`
	if f.Limit <= 0 {
		f.Limit = 500
	}
	found, err := s.alerts(ctx, query, f.State, f.Kind, f.Device, f.Limit)
	all := make([]alert.Alert, len(found))
	for i, a := range found {
		all[i] = *a
	}
	return all, err
}

// AlertOf returns one alert.
func (s *Store) AlertOf(ctx context.Context, id int64) (alert.Alert, error) {
	found, err := s.alerts(ctx, `SELECT `+alertColumns+` FROM alert WHERE id = +?1`, id)
	switch {
	case err != nil:
		return alert.Alert{}, err
	case len(found) == 0:
		return alert.Alert{}, alert.ErrNoAlert
	}
	return *found[0], nil
}

// LiveAlerts lists all that fire and all with a notification that is due.
func (s *Store) LiveAlerts(ctx context.Context) ([]*alert.Alert, error) {
	return s.alerts(ctx, `SELECT `+alertColumns+` FROM alert WHERE state = 'firing' OR notify_at IS NOT NULL ORDER BY id`)
}

func (s *Store) alerts(ctx context.Context, query string, args ...any) (all []*alert.Alert, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", damaged(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		a := &alert.Alert{}
		var opened int64
		var resolved, acked sql.NullInt64
		var devices, detail string
		err := rows.Scan(&a.ID, &a.Kind, &a.Subject, &a.State, &opened, &resolved, &a.Message, &devices, &a.AckedBy, &acked, &a.AckNote, &detail)
		if err == nil {
			err = errors.Join(json.Unmarshal([]byte(devices), &a.Devices), json.Unmarshal([]byte(detail), &a.Detail))
		}
		if err != nil {
			return nil, fmt.Errorf("read alerts: %w", damaged(err))
		}
		a.OpenedAt, a.ResolvedAt, a.AckedAt = fromMs(opened), fromMsOrNull(resolved), fromMsOrNull(acked)
		all = append(all, a)
	}
	return all, rows.Err()
}

// OpenedSince counts the alerts of a kind and subject that were opened since a time.
func (s *Store) OpenedSince(ctx context.Context, k alert.Kind, subject string, since time.Time) (n int, err error) {
	const query = `SELECT count(*) FROM alert WHERE kind = +?1 AND subject = +?2 AND opened_at >= ?3`
	if err = s.read.QueryRowContext(ctx, query, k, subject, ms(since)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count alerts: %w", err)
	}
	return n, nil
}

// CommitAlerts stores alerts, messages and marks, and moves the cursor, in one
// transaction. New alerts get their ids when all of it is on disk.
func (s *Store) CommitAlerts(ctx context.Context, b alert.Batch) error {
	rows, err := alertRows(b.Alerts)
	if err != nil {
		return err
	}
	ids := make([]int64, len(b.Alerts))
	err = s.write(ctx, func(tx *sql.Tx) error {
		if b.To != 0 {
			at, err := cursor(tx, alert.CursorName)
			if err != nil {
				return err
			}
			if at != b.From {
				return fmt.Errorf("events after %d were worked on by somebody else, who is at %d", b.From, at)
			}
			if err := setCursor(tx, alert.CursorName, b.To); err != nil {
				return err
			}
		}
		if err := putAlerts(tx, b.Alerts, rows, ids); err != nil {
			return err
		}
		for _, d := range b.Deliveries {
			if err := putDelivery(tx, d); err != nil {
				return err
			}
		}
		for name, at := range b.Marks {
			const upsert = `INSERT INTO alert_mark (name, at) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET at = excluded.at`
			if _, err := tx.Exec(upsert, name, ms(at)); err != nil {
				return fmt.Errorf("store mark %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, a := range b.Alerts {
		a.ID = ids[i]
	}
	return nil
}

// alertRow is what of an alert is JSON in its row.
type alertRow struct{ devices, detail string }

// alertRows makes the JSON of alerts, outside of the transaction.
func alertRows(alerts []*alert.Alert) ([]alertRow, error) {
	rows := make([]alertRow, len(alerts))
	for i, a := range alerts {
		if a.Devices == nil {
			a.Devices = []string{}
		}
		devices, err := json.Marshal(a.Devices)
		if err != nil {
			return nil, fmt.Errorf("store alert: %w", err)
		}
		detail, err := json.Marshal(a.Detail)
		if err != nil {
			return nil, fmt.Errorf("store alert: %w", err)
		}
		rows[i] = alertRow{string(devices), string(detail)}
	}
	return rows, nil
}

// putAlerts writes resolved alerts before firing ones: a subject that one gives
// up may be another's in the same transaction.
func putAlerts(tx *sql.Tx, alerts []*alert.Alert, rows []alertRow, ids []int64) error {
	const (
		insert = `
INSERT INTO alert (kind, subject, state, opened_at, resolved_at, message, devices, acked_by, acked_at, ack_note, notify_at, detail, is_group)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`
		update = `
UPDATE alert SET subject = ?2, state = ?3, resolved_at = ?5, message = ?6, devices = ?7, acked_by = ?8, acked_at = ?9, ack_note = ?10,
    notify_at = ?11, detail = ?12, is_group = ?13, kind = ?1, opened_at = ?4
WHERE id = +?14`
		// Two alerts may exchange subjects; none has this one.
		vacate = `UPDATE alert SET subject = 'moving ' || id WHERE id = +?1 AND state = 'firing'`
	)
	for _, a := range alerts {
		if a.ID != 0 {
			if _, err := tx.Exec(vacate, a.ID); err != nil {
				return fmt.Errorf("store alert %d: %w", a.ID, err)
			}
		}
	}
	for i, a := range alerts {
		args := []any{a.Kind, a.Subject, a.State, ms(a.OpenedAt), msOrNull(a.ResolvedAt), a.Message, rows[i].devices,
			a.AckedBy, msOrNull(a.AckedAt), a.AckNote, msOrNull(a.NotifyAt), rows[i].detail, a.Group}
		if a.ID != 0 {
			ids[i] = a.ID
			if _, err := tx.Exec(update, append(args, a.ID)...); err != nil {
				return unstorable(a, err)
			}
			continue
		}
		res, err := tx.Exec(insert, args...)
		if err != nil {
			return unstorable(a, err)
		}
		if ids[i], err = res.LastInsertId(); err != nil {
			return err
		}
	}
	return nil
}

// unstorable tells an alert that breaks a constraint from a store that is ill.
func unstorable(a *alert.Alert, err error) error {
	if e, ok := errors.AsType[sqlite3.Error](err); ok && e.Code == sqlite3.ErrConstraint {
		return &alert.Unstorable{Alert: a, Cause: err}
	}
	return fmt.Errorf("store alert %s of %s: %w", a.Kind, a.Subject, err)
}

func putDelivery(tx *sql.Tx, d alert.Delivery) error {
	const insert = `
INSERT INTO outbox (id, seq, receiver, event, alert_id, body, created_at, attempts, next_at, error, done_at)
VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM outbox), ?2, ?3, nullif(?4, 0), ?5, ?6, ?7, ?8, ?9, ?10)`
	if _, err := tx.Exec(insert, d.ID, d.Receiver, d.Event, d.AlertID, string(d.Body), ms(d.At), d.Attempts, ms(d.NextAt), d.Error, msOrNull(d.DoneAt)); err != nil {
		return fmt.Errorf("store message for %s: %w", d.Receiver, err)
	}
	return nil
}

// AlertMark returns a time that alerting kept; zero: never.
func (s *Store) AlertMark(ctx context.Context, name string) (time.Time, error) {
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT at FROM alert_mark WHERE name = +?1`, name).Scan(&at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("read mark %s: %w", name, damaged(err))
	}
	return fromMs(at), nil
}

// Outbox lists messages that wait, of each receiver up to limit of the oldest, so
// that those for one that is down do not hide the others.
func (s *Store) Outbox(ctx context.Context, limit int) (all []alert.Delivery, err error) {
	const query = `
SELECT id, receiver, event, coalesce(alert_id, 0), body, created_at, attempts, next_at, error
FROM (SELECT *, row_number() OVER (PARTITION BY receiver ORDER BY seq) AS place FROM outbox WHERE done_at IS NULL)
WHERE place <= ?1 ORDER BY seq`
	rows, err := s.read.QueryContext(ctx, query, limit)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", damaged(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []alert.Delivery{}
	for rows.Next() {
		var d alert.Delivery
		var at, next int64
		var body string
		if err := rows.Scan(&d.ID, &d.Receiver, &d.Event, &d.AlertID, &body, &at, &d.Attempts, &next, &d.Error); err != nil {
			return nil, fmt.Errorf("read outbox: %w", damaged(err))
		}
		d.Body, d.At, d.NextAt = json.RawMessage(body), fromMs(at), fromMs(next)
		all = append(all, d)
	}
	return all, rows.Err()
}

// SaveDelivery stores how an attempt went.
func (s *Store) SaveDelivery(ctx context.Context, d alert.Delivery) error {
	const update = `UPDATE outbox SET attempts = ?2, next_at = ?3, error = ?4, done_at = ?5 WHERE id = +?1`
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(update, d.ID, d.Attempts, ms(d.NextAt), d.Error, msOrNull(d.DoneAt)); err != nil {
			return fmt.Errorf("store delivery to %s: %w", d.Receiver, err)
		}
		return nil
	})
}

// DeleteAlerts removes resolved alerts and messages that are through, both from
// before a time, and returns how many alerts they were.
func (s *Store) DeleteAlerts(ctx context.Context, before time.Time) (n int64, err error) {
	const (
		messages   = `SELECT seq FROM outbox WHERE done_at < ?1`
		delMessage = `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?1))`
		alerts     = `SELECT id FROM alert WHERE resolved_at < ?1 AND notify_at IS NULL`
		delAlert   = `DELETE FROM alert WHERE id IN (SELECT value FROM json_each(?1))`
	)
	if _, err := s.deleteRows(ctx, deleteAtOnce, delMessage, messages, ms(before)); err != nil {
		return 0, fmt.Errorf("delete old messages: %w", err)
	}
	if n, err = s.deleteRows(ctx, deleteAtOnce, delAlert, alerts, ms(before)); err != nil {
		err = fmt.Errorf("delete old alerts: %w", err)
	}
	return n, err
}
