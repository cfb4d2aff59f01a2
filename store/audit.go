package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// AuditEntry is one thing that a person did, or read that not everybody may read.
type AuditEntry struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"`    // account on the collector's machine; empty: muster itself
	Action  string    `json:"action"` // the verb, "config show --raw"
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"` // never a secret
}

// insertAudit writes an entry in the transaction of what it tells of. A zero At
// means now.
func insertAudit(tx *sql.Tx, a AuditEntry) error {
	const insert = `
INSERT INTO audit (at, who, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)`
	if a.At.IsZero() {
		a.At = time.Now()
	}
	if a.Who == "" {
		a.Who = "muster"
	}
	if _, err := tx.Exec(insert, ms(a.At), a.Who, a.Action, a.Subject, a.Detail); err != nil {
		return fmt.Errorf("write audit row for %s: %w", a.Action, err)
	}
	return nil
}

// Audit writes an entry for what changes nothing in the store, such as reading
// a raw text. It returns when the entry is on disk.
func (s *Store) Audit(ctx context.Context, a AuditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error { return insertAudit(tx, a) })
}

// AuditLog returns the newest entries, newest first; an empty subject means all,
// limit 0 means 100.
func (s *Store) AuditLog(ctx context.Context, subject string, limit int) (all []AuditEntry, err error) {
	const query = `
SELECT at, who, action, subject, detail FROM audit
WHERE ?1 = '' OR subject = +?1 ORDER BY id DESC LIMIT +?2`
	if limit <= 0 {
		limit = 100
	}
	rows, err := s.read.QueryContext(ctx, query, subject, limit)
	if err != nil {
		return nil, fmt.Errorf("read audit rows: %w", damaged(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []AuditEntry{}
	for rows.Next() {
		var a AuditEntry
		var at int64
		if err := rows.Scan(&at, &a.Who, &a.Action, &a.Subject, &a.Detail); err != nil {
			return nil, fmt.Errorf("read audit rows: %w", damaged(err))
		}
		a.At = fromMs(at)
		all = append(all, a)
	}
	return all, rows.Err()
}
