package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"muster/backup"
	"muster/inventory/platform"
)

// CommitBackup implements backup.Store.
func (s *Store) CommitBackup(ctx context.Context, c backup.Commit) error {
	p, err := s.pack(ctx, c)
	if err != nil {
		return fmt.Errorf("pack the texts: %w", err)
	}
	return s.write(ctx, func(tx *sql.Tx) error { return p.commit(tx) })
}

// packing is a commit with all its texts packed and sealed.
type packing struct {
	backup.Commit
	redacted []*packedText          // of the parts of Version, in order
	raw      []*packedText          // the same
	captured map[string]*packedText // raw texts of Capture by part
	digest   []byte                 // of Version, sealed
	texts    []*packedText          // all of them, each after what it is packed against
}

// pack does what is slow before the transaction.
func (s *Store) pack(ctx context.Context, c backup.Commit) (*packing, error) {
	p := &packing{Commit: c, captured: map[string]*packedText{}}
	err := s.view(ctx, func(tx *sql.Tx) error {
		bases := map[string]*packedText{} // part → redacted text to pack raw ones against
		first := ""
		if v := c.Version; v != nil {
			p.digest = s.seal("version", versionIdentity(c.DeviceID, v.Number), []byte(v.SHA256))
			for i, part := range v.Parts {
				red, err := s.packedRedacted(tx, c.DeviceID, part)
				if err != nil {
					return err
				}
				raw, err := s.packedRaw(tx, c.DeviceID, part.Part, part.Raw, red)
				if err != nil {
					return err
				}
				p.redacted, p.raw, p.texts = append(p.redacted, red), append(p.raw, raw), append(p.texts, red, raw)
				p.captured[part.Part], bases[part.Part] = raw, red
				if i == 0 {
					first = part.Part
				}
			}
		}
		if c.Capture == nil {
			return nil
		}
		if c.Version == nil {
			var err error
			if first, err = s.newestRedacted(tx, c.DeviceID, bases); err != nil {
				return err
			}
		}
		for _, t := range c.Capture.Texts {
			if t.Raw == nil || p.captured[t.Part] != nil {
				continue
			}
			base := bases[t.Part]
			if base == nil {
				base = bases[first] // what the device boots with is close to what it runs
			}
			raw, err := s.packedRaw(tx, c.DeviceID, t.Part, t.Raw, base)
			if err != nil {
				return err
			}
			p.captured[t.Part], p.texts = raw, append(p.texts, raw)
		}
		return nil
	})
	return p, err
}

// newestRedacted reads the redacted texts of the newest version, by part, and
// tells which part is the first. None yet: "".
func (s *Store) newestRedacted(tx *sql.Tx, deviceID int64, into map[string]*packedText) (first string, err error) {
	const query = `
SELECT p.part, p.redacted_id FROM version_part p
WHERE p.version_id = (SELECT id FROM version WHERE device_id = +?1 ORDER BY number DESC LIMIT 1) ORDER BY p.n`
	rows, err := tx.Query(query, deviceID)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var part string
		var id int64
		if err := rows.Scan(&part, &id); err != nil {
			return "", err
		}
		if first == "" {
			first = part
		}
		into[part] = &packedText{id: id}
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	for _, t := range into {
		if t.text, err = s.text(tx, t.id); err != nil {
			return "", err
		}
	}
	return first, nil
}

// commit writes everything. It runs inside the writer.
func (p *packing) commit(tx *sql.Tx) error {
	for _, t := range p.texts {
		if err := t.insert(tx, p.DeviceID); err != nil {
			return err
		}
	}
	var captureID int64
	if p.Capture != nil {
		var err error
		if captureID, err = p.insertCapture(tx); err != nil {
			return fmt.Errorf("write capture: %w", err)
		}
	}
	if err := p.decide(tx, captureID); err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	if p.Version != nil {
		if p.Version.FromCapture != 0 {
			captureID = p.Version.FromCapture
		}
		if err := p.insertVersion(tx, captureID); err != nil {
			return fmt.Errorf("write version %d: %w", p.Version.Number, err)
		}
	}
	if err := p.standing(tx); err != nil {
		return err
	}
	for _, d := range p.Drifts {
		if err := writeDrift(tx, p.Commit, d); err != nil {
			return fmt.Errorf("write drift %s: %w", d.Kind, err)
		}
	}
	if p.Audit != nil {
		if err := insertAudit(tx, AuditEntry{At: p.At, Who: p.Audit.Who, Action: p.Audit.Action, Subject: p.Audit.Subject, Detail: p.Audit.Detail}); err != nil {
			return err
		}
	}
	if err := eventsOf(tx, p.Events); err != nil {
		return err
	}
	return dropTexts(tx, p.DeviceID)
}

func (p *packing) insertCapture(tx *sql.Tx) (int64, error) {
	const insert = `
INSERT INTO capture (device_id, run_id, platform, rules, taken_at, took_ms, outcome, step, kind, message,
                     credential, method, weak, size, steps, proofs)
VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)`
	c, r := p.Capture, p.Capture.Result
	size := 0
	for i := len(c.Texts) - 1; i >= 0; i-- {
		if c.Texts[i].Role == platform.RoleRunning {
			size = len(c.Texts[i].Raw)
		}
	}
	steps, err := json.Marshal(orNone(c.Steps))
	if err != nil {
		return 0, err
	}
	proofs, err := json.Marshal(orNone(c.Proofs))
	if err != nil {
		return 0, err
	}
	res, err := tx.Exec(insert, p.DeviceID, c.RunID, c.Platform, c.Rules, ms(c.TakenAt), c.Took.Milliseconds(), r.Outcome, r.Step, r.Kind, r.Message,
		c.Credential, c.Method, c.Weak, size, string(steps), string(proofs))
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, err
	}
	if len(c.Texts) == 0 {
		return id, nil
	}
	parts, args := "INSERT INTO capture_part (capture_id, n, part, role, note, raw_id) VALUES", []any{}
	for n, t := range c.Texts {
		var raw sql.NullInt64
		if packed := p.captured[t.Part]; packed != nil && t.Raw != nil {
			raw = sql.NullInt64{Int64: packed.id, Valid: true}
		}
		if n > 0 {
			parts += ","
		}
		parts, args = parts+" (?, ?, ?, ?, ?, ?)", append(args, id, n, t.Part, t.Role, t.Note, raw)
	}
	_, err = tx.Exec(parts, args...)
	return id, err
}

// orNone makes JSON of an empty list where there is none.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// decide writes what becomes of the capture that waits, and puts a new one there.
func (p *packing) decide(tx *sql.Tx, captureID int64) error {
	const decided = `UPDATE quarantine SET decided_at = ?2, decision = ?3, who = ?4 WHERE capture_id = +?1 AND decided_at IS NULL`
	const superseded = `UPDATE quarantine SET decided_at = ?2, decision = 'superseded', who = 'muster' WHERE device_id = +?1 AND decided_at IS NULL`
	const waits = `INSERT INTO quarantine (capture_id, device_id, kind, missing) VALUES (?1, ?2, ?3, ?4)`
	if d := p.Decision; d != nil {
		decision := "discarded"
		if d.Accepted {
			decision = "accepted"
		}
		res, err := tx.Exec(decided, d.CaptureID, ms(p.At), decision, orMuster(d.Who))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("capture %d waits no more: %w", d.CaptureID, backup.ErrNothingWaits)
		}
	}
	if p.Capture == nil || p.Capture.Result.Outcome == backup.Failed {
		return nil
	}
	if _, err := tx.Exec(superseded, p.DeviceID, ms(p.At)); err != nil {
		return err
	}
	if p.Capture.Result.Outcome != backup.Quarantined {
		return nil
	}
	_, err := tx.Exec(waits, captureID, p.DeviceID, p.Capture.Result.Kind, p.Capture.Result.Message)
	return err
}

func orMuster(who string) string {
	if who == "" {
		return "muster"
	}
	return who
}

func (p *packing) insertVersion(tx *sql.Tx, captureID int64) error {
	const insert = `
INSERT INTO version (device_id, number, capture_id, at, reason, lines_added, lines_removed, last_change, rules, derived, digest)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)`
	const part = `INSERT INTO version_part (version_id, n, part, role, redacted_id, raw_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`
	v := p.Version
	res, err := tx.Exec(insert, p.DeviceID, v.Number, captureID, ms(v.At), v.Reason, v.LinesAdded, v.LinesRemoved, v.LastChange, v.Rules, p.digest)
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return err
	}
	for n, t := range v.Parts {
		if _, err := tx.Exec(part, id, n, t.Part, t.Role, p.redacted[n].id, p.raw[n].id); err != nil {
			return err
		}
	}
	return nil
}

// standing writes approval and baseline.
func (p *packing) standing(tx *sql.Tx) error {
	const approve = `
INSERT INTO approval (device_id, version_id, at, knowing, how, who)
SELECT device_id, id, ?3, (SELECT max(number) FROM version WHERE device_id = +?1), ?4, ?5 FROM version WHERE device_id = +?1 AND number = +?2`
	const unpin = `UPDATE baseline SET until = max(since, ?2) WHERE device_id = +?1 AND until IS NULL`
	const pin = `
INSERT INTO baseline (device_id, version_id, since, who)
SELECT device_id, id, ?3, ?4 FROM version WHERE device_id = +?1 AND number = +?2`
	for _, a := range p.Approvals {
		res, err := tx.Exec(approve, p.DeviceID, a.Number, ms(p.At), a.How, orMuster(a.Who))
		if err != nil {
			return fmt.Errorf("write approval: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("approve version %d: %w", a.Number, backup.ErrNotStored)
		}
	}
	if b := p.Baseline; b != nil {
		if _, err := tx.Exec(unpin, p.DeviceID, ms(p.At)); err != nil {
			return fmt.Errorf("write baseline: %w", err)
		}
		if b.Number == 0 {
			return nil
		}
		res, err := tx.Exec(pin, p.DeviceID, b.Number, ms(p.At), orMuster(b.Who))
		if err != nil {
			return fmt.Errorf("write baseline: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("pin version %d: %w", b.Number, backup.ErrNotStored)
		}
	}
	return nil
}

func writeDrift(tx *sql.Tx, c backup.Commit, d backup.DriftChange) error {
	const over = `UPDATE drift SET until = max(since, ?3) WHERE device_id = +?1 AND kind = +?2 AND until IS NULL`
	const open = `
INSERT INTO drift (device_id, kind, since, lines_added, lines_removed, fingerprint, message)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (device_id, kind) WHERE until IS NULL DO UPDATE SET
    lines_added = excluded.lines_added, lines_removed = excluded.lines_removed,
    fingerprint = excluded.fingerprint, message = excluded.message`
	if d.Closed {
		_, err := tx.Exec(over, c.DeviceID, d.Kind, ms(c.At))
		return err
	}
	_, err := tx.Exec(open, c.DeviceID, d.Kind, ms(d.Since), d.LinesAdded, d.LinesRemoved, d.Group, d.Message)
	return err
}

// dropTexts lets go the raw texts of captures that are neither the newest good
// one nor wait, and removes the texts that nothing needs any more.
func dropTexts(tx *sql.Tx, deviceID int64) error {
	unlink := `
UPDATE capture_part SET raw_id = NULL
WHERE raw_id IS NOT NULL AND capture_id IN (SELECT id FROM capture WHERE device_id = +?1)
  AND capture_id <> ` + goodCapture("+?1") + `
  AND capture_id NOT IN (SELECT capture_id FROM quarantine WHERE device_id = +?1 AND decided_at IS NULL)`
	res, err := tx.Exec(unlink, deviceID)
	if err != nil {
		return fmt.Errorf("let old raw texts go: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return sweepTexts(tx, deviceID)
}

// sweepTexts removes the texts of a device that nothing needs any more.
func sweepTexts(tx *sql.Tx, deviceID int64) error {
	const sweep = `
DELETE FROM text WHERE device_id = +?1
  AND NOT EXISTS (SELECT 1 FROM capture_part WHERE raw_id = text.id)
  AND NOT EXISTS (SELECT 1 FROM version_part WHERE raw_id = text.id)
  AND NOT EXISTS (SELECT 1 FROM version_part WHERE redacted_id = text.id)
  AND NOT EXISTS (SELECT 1 FROM text AS other WHERE other.base_id = text.id)`
	if _, err := tx.Exec(sweep, deviceID); err != nil {
		return fmt.Errorf("remove texts that nothing needs: %w", err)
	}
	return nil
}
