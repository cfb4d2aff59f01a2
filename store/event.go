package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"muster/inventory"
)

// insertEvent writes an event in the transaction of the facts that show it, and
// returns its id. A zero At means now; empty Data means {}.
func insertEvent(tx *sql.Tx, e inventory.Event) (int64, error) {
	const insert = `
INSERT INTO event (at, kind, device_id, device, subject, data)
VALUES (?1, ?2, nullif(?3, 0), ?4, ?5, ?6)`
	if e.At.IsZero() {
		e.At = time.Now()
	}
	data := string(e.Data)
	if data == "" {
		data = "{}"
	}
	res, err := tx.Exec(insert, ms(e.At), e.Kind, e.DeviceID, e.Device, e.Subject, data)
	if err != nil {
		return 0, fmt.Errorf("write event %s: %w", e.Kind, err)
	}
	return res.LastInsertId()
}

// Events returns up to limit events after the one with the id after, oldest
// first; limit 0 means 1,000.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]inventory.Event, error) {
	const query = `
SELECT id, at, kind, coalesce(device_id, 0), device, subject, data
FROM event WHERE id > ?1 ORDER BY id LIMIT +?2`
	if limit <= 0 {
		limit = 1000
	}
	return events(ctx, s.read, query, after, limit)
}

// EventsOf returns the newest events of a device, newest first; limit 0 means 100.
func (s *Store) EventsOf(ctx context.Context, deviceID int64, limit int) ([]inventory.Event, error) {
	const query = `
SELECT id, at, kind, coalesce(device_id, 0), device, subject, data
FROM event WHERE device_id = +?1 ORDER BY id DESC LIMIT +?2`
	if limit <= 0 {
		limit = 100
	}
	return events(ctx, s.read, query, deviceID, limit)
}

func events(ctx context.Context, db *sql.DB, query string, args ...any) (all []inventory.Event, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", damaged(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []inventory.Event{}
	for rows.Next() {
		var e inventory.Event
		var at int64
		var data string
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.DeviceID, &e.Device, &e.Subject, &data); err != nil {
			return nil, fmt.Errorf("read events: %w", damaged(err))
		}
		e.At, e.Data = fromMs(at), json.RawMessage(data)
		all = append(all, e)
	}
	return all, rows.Err()
}

// LastEvent returns the id of the newest event, 0 where there was none yet.
func (s *Store) LastEvent(ctx context.Context) (int64, error) {
	var id int64
	err := s.read.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM event").Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("read the newest event: %w", damaged(err))
	}
	return id, nil
}

// NewestEvent returns the latest time of the newest events, zero where there was
// none yet.
func (s *Store) NewestEvent(ctx context.Context) (time.Time, error) {
	const query = `SELECT max(at) FROM (SELECT at FROM event ORDER BY id DESC LIMIT 100)`
	var at sql.NullInt64
	if err := s.read.QueryRowContext(ctx, query).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read the newest event: %w", damaged(err))
	}
	return fromMsOrNull(at), nil
}

// DeleteEvents removes events from before a time that every reader has worked on,
// and returns how many they were. The newest stays: pages and alerts tell by its
// id whether anything has happened.
func (s *Store) DeleteEvents(ctx context.Context, before time.Time) (n int64, err error) {
	const (
		old = `
SELECT id FROM event
WHERE at < ?1 AND id <= (SELECT coalesce(min(last_id), 0) FROM event_cursor) AND id < (SELECT max(id) FROM event)`
		del = `DELETE FROM event WHERE id IN (SELECT value FROM json_each(?1))`
	)
	if n, err = s.deleteRows(ctx, deleteAtOnce, del, old, ms(before)); err != nil {
		err = fmt.Errorf("delete old events: %w", err)
	}
	return n, err
}

// WaitEvents returns when there is an event after the one with the id after. It
// ends with ctx, and with ErrClosed when the store is closed.
func (s *Store) WaitEvents(ctx context.Context, after int64) error {
	for {
		next := s.nextCommit() // before looking, so that no commit falls in between
		last, err := s.LastEvent(ctx)
		if err != nil || last > after {
			return err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.quit:
			return ErrClosed
		}
	}
}

// cursor returns the id of the last event that the named reader has worked on,
// 0 where it has not begun.
func cursor(tx *sql.Tx, name string) (int64, error) {
	var id int64
	err := tx.QueryRow("SELECT last_id FROM event_cursor WHERE name = +?1", name).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read event cursor %s: %w", name, damaged(err))
	}
	return id, nil
}

// setCursor says, in the transaction that stores what the reader made of them,
// that the events up to id are worked on.
func setCursor(tx *sql.Tx, name string, id int64) error {
	const upsert = `
INSERT INTO event_cursor (name, last_id) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET last_id = excluded.last_id`
	if _, err := tx.Exec(upsert, name, id); err != nil {
		return fmt.Errorf("move event cursor %s: %w", name, err)
	}
	return nil
}

// Cursor is cursor outside a transaction, for showing how far a reader is.
func (s *Store) Cursor(ctx context.Context, name string) (int64, error) {
	var id int64
	err := s.read.QueryRowContext(ctx, "SELECT last_id FROM event_cursor WHERE name = +?1", name).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read event cursor %s: %w", name, damaged(err))
	}
	return id, nil
}
