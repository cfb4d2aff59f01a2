package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

// Store implements backup.Store.
var _ backup.Store = (*Store)(nil)

// goodCapture is the newest capture that counts as a backup of the device that an
// SQL expression names, 0 for none.
func goodCapture(device string) string {
	return strings.ReplaceAll(`
(SELECT max(
    coalesce((SELECT max(id) FROM capture WHERE device_id = DEVICE AND outcome = 'stored'), 0),
    coalesce((SELECT max(id) FROM capture WHERE device_id = DEVICE AND outcome = 'unchanged'), 0),
    coalesce((SELECT max(capture_id) FROM quarantine WHERE device_id = DEVICE AND decision = 'accepted'), 0)))`, "DEVICE", device)
}

// BackupGround implements backup.Store.
func (s *Store) BackupGround(ctx context.Context, deviceID int64) (g backup.Ground, err error) {
	query := `
SELECT
    coalesce((SELECT max(number) FROM version WHERE device_id = +?1), 0),
    coalesce((SELECT max(number) FROM purged_version WHERE device_id = +?1), 0),
    (SELECT at FROM version WHERE device_id = +?1 ORDER BY number DESC LIMIT 1),
    coalesce((SELECT v.number FROM approval a JOIN version v ON v.id = a.version_id
              WHERE a.device_id = +?1 ORDER BY a.id DESC LIMIT 1), 0),
    coalesce((SELECT a.how = 'person' AND a.knowing >= v.number AND a.version_id <> v.id
              FROM approval a, version v WHERE a.device_id = +?1 AND v.device_id = +?1
              ORDER BY a.id DESC, v.number DESC LIMIT 1), 0),
    coalesce((SELECT v.number FROM baseline b JOIN version v ON v.id = b.version_id
              WHERE b.device_id = +?1 AND b.until IS NULL), 0),
    coalesce((SELECT capture_id FROM quarantine WHERE device_id = +?1 AND decided_at IS NULL), 0),
    coalesce(good.id, 0), coalesce(good.size, 0)
FROM (SELECT ` + goodCapture("+?1") + ` AS id) newest LEFT JOIN capture good ON good.id = newest.id`
	err = s.view(ctx, func(tx *sql.Tx) error {
		var at sql.NullInt64
		err := tx.QueryRow(query, deviceID).Scan(&g.Newest, &g.Last, &at, &g.Approved, &g.Objected, &g.Baseline, &g.Waiting, &g.LastGood, &g.LastGoodSize)
		if err != nil {
			return err
		}
		g.NewestAt, g.Last = fromMsOrNull(at), max(g.Last, g.Newest)
		g.Drifts, err = openDrifts(tx, deviceID)
		return err
	})
	if err != nil {
		return g, fmt.Errorf("read backups of device %d: %w", deviceID, err)
	}
	return g, nil
}

// view runs f on one state of the database. Inside f, methods without a context
// do: reading never waits.
func (s *Store) view(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return damaged(f(tx))
}

// readStandings reads how one device stands, or with id 0 all of them.
func readStandings(tx *sql.Tx, id int64) (map[int64]backup.Standing, error) {
	// One seek in an index for each device and question: the number of captures
	// that are kept does not count.
	query, args := `
SELECT d.id, c.outcome, c.taken_at, c.step, c.kind, c.message, coalesce(q.decision, ''),
    (SELECT taken_at FROM capture WHERE id = `+goodCapture("d.id")+`),
    (SELECT count(*) FROM version WHERE device_id = d.id),
    EXISTS (SELECT 1 FROM quarantine WHERE device_id = d.id AND decided_at IS NULL)
FROM device d
JOIN capture c ON c.id = (SELECT max(id) FROM capture WHERE device_id = d.id)
LEFT JOIN quarantine q ON q.capture_id = c.id`, []any{}
	if id != 0 {
		query, args = query+` WHERE d.id = +?1`, []any{id}
	}
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[int64]backup.Standing{}
	for rows.Next() {
		var id, at int64
		var st backup.Standing
		var decision string
		var good sql.NullInt64
		if err := rows.Scan(&id, &st.Outcome, &at, &st.Step, &st.Kind, &st.Message, &decision, &good, &st.Versions, &st.Waiting); err != nil {
			return nil, err
		}
		st.At, st.LastGood = fromMs(at), fromMsOrNull(good)
		if decision == "accepted" {
			st.Outcome, st.Step, st.Kind, st.Message = backup.Stored, "", "", ""
		}
		all[id] = st
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	open, err := openDrifts(tx, id)
	for _, d := range open {
		st := all[d.DeviceID]
		st.Drift = append(st.Drift, d.Kind)
		all[d.DeviceID] = st
	}
	return all, err
}

// ConfigVersions implements backup.Store.
func (s *Store) ConfigVersions(ctx context.Context, deviceID int64) (all []backup.Version, err error) {
	const query = `
SELECT v.number, v.at, v.reason, v.lines_added, v.lines_removed, v.last_change, v.rules, v.digest,
    EXISTS (SELECT 1 FROM approval a WHERE a.version_id = v.id),
    (SELECT json_group_array(part ORDER BY n) FROM version_part WHERE version_id = v.id)
FROM version v WHERE v.device_id = +?1 ORDER BY v.number DESC`
	rows, err := s.read.QueryContext(ctx, query, deviceID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all = []backup.Version{}
	for rows.Next() {
		v := backup.Version{DeviceID: deviceID}
		var at int64
		var parts string
		var digest []byte
		if err := rows.Scan(&v.Number, &at, &v.Reason, &v.LinesAdded, &v.LinesRemoved, &v.LastChange, &v.Rules, &digest, &v.Approved, &parts); err != nil {
			return nil, err
		}
		if v.SHA256, err = s.openDigest(deviceID, v.Number, digest); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(parts), &v.Parts); err != nil {
			return nil, fmt.Errorf("read the parts of version %d: %w", v.Number, err)
		}
		v.At = fromMs(at)
		all = append(all, v)
	}
	return all, rows.Err()
}

// versionIdentity is what the sealed digest of a version is bound to.
func versionIdentity(deviceID int64, number int) string {
	return fmt.Sprintf("%d %d", deviceID, number)
}

func (s *Store) openDigest(deviceID int64, number int, blob []byte) (string, error) {
	digest, err := s.key.Open(blob, s.sealedIdentity("version", versionIdentity(deviceID, number)))
	if err != nil {
		return "", fmt.Errorf("open the digest of version %d of device %d: %w", number, deviceID, err)
	}
	return string(digest), nil
}

// VersionTexts implements backup.Store.
func (s *Store) VersionTexts(ctx context.Context, deviceID int64, number int, raw bool) (v backup.VersionTexts, err error) {
	const query = `
SELECT v.id, v.number, v.at, v.reason, v.lines_added, v.lines_removed, v.last_change, v.rules, v.derived, v.digest, c.platform,
    EXISTS (SELECT 1 FROM approval a WHERE a.version_id = v.id)
FROM version v JOIN capture c ON c.id = v.capture_id
WHERE v.device_id = +?1 AND (v.number = +?2 OR ?2 = 0) ORDER BY v.number DESC LIMIT 1`
	err = s.view(ctx, func(tx *sql.Tx) error {
		var id, at int64
		var digest []byte
		err := tx.QueryRow(query, deviceID, number).Scan(&id, &v.Number, &at, &v.Reason, &v.LinesAdded, &v.LinesRemoved, &v.LastChange, &v.Rules, &v.Derived, &digest, &v.Platform, &v.Approved)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("version %d of device %d: %w", number, deviceID, backup.ErrNotStored)
		}
		if err != nil {
			return err
		}
		v.DeviceID, v.At = deviceID, fromMs(at)
		if v.SHA256, err = s.openDigest(deviceID, v.Number, digest); err != nil {
			return err
		}
		parts, err := versionParts(tx, id)
		if err != nil {
			return err
		}
		for _, p := range parts {
			part := backup.VersionPart{Part: p.Part, Role: p.Role}
			if part.Redacted, err = s.text(tx, p.redacted); err != nil {
				return fmt.Errorf("part %s of version %d: %w", p.Part, v.Number, err)
			}
			if raw {
				if part.Raw, err = s.text(tx, p.raw); err != nil {
					return fmt.Errorf("part %s of version %d: %w", p.Part, v.Number, err)
				}
			}
			v.Parts, v.Version.Parts = append(v.Parts, part), append(v.Version.Parts, p.Part)
		}
		return nil
	})
	return v, err
}

// versionPart is a part of a version with where its texts are.
type versionPart struct {
	backup.VersionPart
	redacted, raw int64
}

func versionParts(tx *sql.Tx, version int64) (all []versionPart, err error) {
	const query = `SELECT part, role, redacted_id, raw_id FROM version_part WHERE version_id = +?1 ORDER BY n`
	rows, err := tx.Query(query, version)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p versionPart
		if err := rows.Scan(&p.Part, &p.Role, &p.redacted, &p.raw); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// CaptureTexts implements backup.Store.
func (s *Store) CaptureTexts(ctx context.Context, captureID int64) (c backup.Capture, err error) {
	const query = `
SELECT device_id, coalesce(run_id, 0), platform, taken_at, took_ms, credential, method, weak, steps, proofs
FROM capture WHERE id = +?1`
	const parts = `SELECT part, role, note, raw_id FROM capture_part WHERE capture_id = +?1 ORDER BY n`
	err = s.view(ctx, func(tx *sql.Tx) error {
		var at, took int64
		var steps, proofs string
		err := tx.QueryRow(query, captureID).Scan(&c.DeviceID, &c.RunID, &c.Platform, &at, &took, &c.Credential, &c.Method, &c.Weak, &steps, &proofs)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("capture %d: %w", captureID, backup.ErrNotStored)
		}
		if err != nil {
			return err
		}
		c.ID, c.TakenAt, c.Took = captureID, fromMs(at), time.Duration(took)*time.Millisecond
		if err := errors.Join(json.Unmarshal([]byte(steps), &c.Steps), json.Unmarshal([]byte(proofs), &c.Proofs)); err != nil {
			return err
		}
		ids, err := captureParts(tx, parts, &c)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if !id.Valid {
				continue
			}
			if c.Texts[i].Raw, err = s.text(tx, id.Int64); err != nil {
				return fmt.Errorf("part %s of capture %d: %w", c.Texts[i].Part, captureID, err)
			}
		}
		return nil
	})
	return c, err
}

func captureParts(tx *sql.Tx, query string, c *backup.Capture) (ids []sql.NullInt64, err error) {
	rows, err := tx.Query(query, c.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t backup.Text
		var id sql.NullInt64
		if err := rows.Scan(&t.Part, &t.Role, &t.Note, &id); err != nil {
			return nil, err
		}
		c.Texts, ids = append(c.Texts, t), append(ids, id)
	}
	return ids, rows.Err()
}

// OpenDrifts implements backup.Store.
func (s *Store) OpenDrifts(ctx context.Context, deviceID int64) (all []backup.OpenDrift, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = openDrifts(tx, deviceID)
		return err
	})
	return all, err
}

func openDrifts(tx *sql.Tx, deviceID int64) (all []backup.OpenDrift, err error) {
	const query = `
SELECT device_id, kind, since, lines_added, lines_removed, fingerprint, message
FROM drift WHERE until IS NULL AND (device_id = +?1 OR ?1 = 0) ORDER BY since, id`
	rows, err := tx.Query(query, deviceID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d backup.OpenDrift
		var since int64
		if err := rows.Scan(&d.DeviceID, &d.Kind, &since, &d.LinesAdded, &d.LinesRemoved, &d.Group, &d.Message); err != nil {
			return nil, err
		}
		d.Since = fromMs(since)
		all = append(all, d)
	}
	return all, rows.Err()
}

// AuditRawRead implements backup.Store.
func (s *Store) AuditRawRead(ctx context.Context, at time.Time, who, device, detail string) error {
	return s.Audit(ctx, AuditEntry{At: at, Who: who, Action: "config show --raw", Subject: device, Detail: detail})
}

// Attempt is one attempt to back up a device, without its texts.
type Attempt struct {
	TakenAt time.Time
	Took    time.Duration
	Outcome backup.Outcome
	Kind    collector.Kind
	Message string
	Steps   []collector.StepTime
}

// Attempts lists the newest attempts at a device, newest first.
func (s *Store) Attempts(ctx context.Context, deviceID int64, limit int) (all []Attempt, err error) {
	const query = `
SELECT taken_at, took_ms, outcome, kind, message, steps
FROM capture WHERE device_id = +?1 ORDER BY id DESC LIMIT +?2`
	rows, err := s.read.QueryContext(ctx, query, deviceID, limit)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	defer rows.Close()
	all = []Attempt{}
	for rows.Next() {
		var a Attempt
		var at, took int64
		var steps string
		if err := rows.Scan(&at, &took, &a.Outcome, &a.Kind, &a.Message, &steps); err != nil {
			return nil, err
		}
		a.TakenAt, a.Took = fromMs(at), time.Duration(took)*time.Millisecond
		if err := json.Unmarshal([]byte(steps), &a.Steps); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// PruneCaptures removes captures, and drift that is over, from before a time.
// What a version was made of, what waits, and the newest good capture of each
// device stay. The number of captures is returned.
func (s *Store) PruneCaptures(ctx context.Context, before time.Time) (n int64, err error) {
	const (
		old = `
SELECT id FROM capture WHERE taken_at < ?1
  AND NOT EXISTS (SELECT 1 FROM version WHERE capture_id = capture.id)
  AND NOT EXISTS (SELECT 1 FROM capture_part WHERE capture_id = capture.id AND raw_id IS NOT NULL)
  AND id <> (SELECT max(id) FROM capture c WHERE c.device_id = capture.device_id)`
		captures = `DELETE FROM capture WHERE id IN (SELECT value FROM json_each(?1))`
		drifts   = `DELETE FROM drift WHERE until < ?1`
	)
	if n, err = s.deleteRows(ctx, deleteAtOnce, captures, old, ms(before)); err != nil {
		return n, fmt.Errorf("remove old captures: %w", err)
	}
	return n, s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(drifts, ms(before))
		return err
	})
}

// eventsOf writes the events of a commit.
func eventsOf(tx *sql.Tx, events []inventory.Event) error {
	for _, e := range events {
		if _, err := insertEvent(tx, e); err != nil {
			return err
		}
	}
	return nil
}
