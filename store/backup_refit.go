package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"muster/backup"
)

// refit takes texts of a device away that others are packed against.
type refit struct {
	device int64
	doomed map[int64]bool         // texts that go
	fresh  []*packedText          // texts that come, each after its base
	anew   map[int64]*packedText  // texts that stay and are packed against another base
	frames map[string]*packedText // part → key frame of what is packed here
}

func newRefit(device int64) refit {
	return refit{device: device, doomed: map[int64]bool{}, anew: map[int64]*packedText{}, frames: map[string]*packedText{}}
}

// repackHanging packs anew what stays and is packed against a doomed text.
func (s *Store) repackHanging(tx *sql.Tx, f *refit) error {
	const hanging = `SELECT id FROM text WHERE base_id = +?1 ORDER BY id`
	doomed := make([]int64, 0, len(f.doomed))
	for id := range f.doomed {
		doomed = append(doomed, id)
	}
	slices.Sort(doomed)
	for _, id := range doomed {
		ids, err := idsOf(tx, hanging, id)
		if err != nil {
			return err
		}
		for _, h := range ids {
			if f.doomed[h] || f.anew[h] != nil {
				continue
			}
			if err := s.repack(tx, f, h); err != nil {
				return fmt.Errorf("pack text %d anew: %w", h, err)
			}
		}
	}
	return nil
}

// repack packs a text anew: a redacted one against the key frame of the refit,
// a raw one against nothing.
func (s *Store) repack(tx *sql.Tx, f *refit, id int64) error {
	row, err := readText(tx, id)
	if err != nil {
		return err
	}
	t := &packedText{id: id, kind: row.kind, part: row.part, address: row.address}
	if t.text, err = s.text(tx, id); err != nil {
		return err
	}
	f.anew[id] = t
	if row.kind == "raw" {
		t.blob, err = s.packRaw(nil, t.text, rawIdentity(row.deviceID, row.part, row.address))
		return err
	}
	return f.packAgainstFrame(t)
}

// packAgainstFrame packs a redacted text against the key frame of its part in
// this refit, and makes it that where there is none.
func (f *refit) packAgainstFrame(t *packedText) error {
	var key keyframe
	frame := f.frames[t.part]
	if frame != nil {
		key = keyframe{Text: frame.text, Size: len(frame.blob), Since: frame.since}
	}
	blob, whole, err := packRedacted(key, t.text)
	if err != nil {
		return err
	}
	t.blob = blob
	if whole {
		f.frames[t.part] = t
		return nil
	}
	t.base = frame
	frame.since++
	return nil
}

// write stores what comes and what is packed anew. It runs inside the writer.
func (f *refit) write(tx *sql.Tx) error {
	const again = `UPDATE text SET blob = ?2, base_id = ?3 WHERE id = +?1`
	const pieces = `DELETE FROM text_piece WHERE text_id = +?1`
	for _, t := range f.fresh {
		if err := t.insert(tx, f.device); err != nil {
			return err
		}
	}
	for id, t := range f.anew {
		var base sql.NullInt64
		if t.base != nil {
			base = sql.NullInt64{Int64: t.base.id, Valid: true}
		}
		first, rest := cut(t.blob)
		if _, err := tx.Exec(again, id, first, base); err != nil {
			return err
		}
		if _, err := tx.Exec(pieces, id); err != nil {
			return err
		}
		if err := insertPieces(tx, id, rest); err != nil {
			return err
		}
	}
	return nil
}

// drop removes the doomed texts, of which nothing may hang on any more, leaves
// first: they may be packed against each other.
func (f *refit) drop(tx *sql.Tx) error {
	const needed = `SELECT EXISTS (SELECT 1 FROM text WHERE base_id = +?1)`
	const remove = `DELETE FROM text WHERE id = +?1`
	for left := len(f.doomed); left > 0; left = len(f.doomed) {
		for id := range f.doomed {
			var is bool
			if err := tx.QueryRow(needed, id).Scan(&is); err != nil {
				return err
			}
			if is {
				continue
			}
			if _, err := tx.Exec(remove, id); err != nil {
				return err
			}
			delete(f.doomed, id)
		}
		if len(f.doomed) == left {
			return fmt.Errorf("%d texts that were to go are needed by others", left)
		}
	}
	if err := sweepTexts(tx, f.device); err != nil {
		return err
	}
	return oweRewrite(tx)
}

// rewriteOwed is the row of meta that says that free pages may hold what was
// removed: rows are deleted first, and a process may end before the file is
// rewritten. Its value is another one each time.
const rewriteOwed = "rewrite_owed"

func oweRewrite(tx *sql.Tx) error {
	const upsert = `
INSERT INTO meta (name, value) VALUES (?1, hex(randomblob(8)))
ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	_, err := tx.Exec(upsert, rewriteOwed)
	return err
}

// owed is the value of rewriteOwed, empty where no rewrite is owed.
func (s *Store) owed(ctx context.Context) (mark string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = +?1", rewriteOwed).Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return mark, damaged(err)
}

// Derivations implements backup.Store.
func (s *Store) Derivations(ctx context.Context) (all []backup.Derivation, err error) {
	const query = `
SELECT v.device_id, c.platform, v.derived, min(v.number)
FROM version v JOIN capture c ON c.id = v.capture_id
GROUP BY v.device_id, c.platform, v.derived ORDER BY v.device_id, min(v.number)`
	rows, err := s.read.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d backup.Derivation
		if err := rows.Scan(&d.DeviceID, &d.Platform, &d.Derived, &d.First); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// PutDerived implements backup.Store.
func (s *Store) PutDerived(ctx context.Context, deviceID int64, versions []backup.VersionTexts) error {
	const derived = `UPDATE version SET derived = ?3, last_change = ?4 WHERE device_id = +?1 AND number = +?2`
	const linked = `
UPDATE version_part SET redacted_id = ?4
WHERE version_id = (SELECT id FROM version WHERE device_id = +?1 AND number = +?2) AND part = +?3`
	f := newRefit(deviceID)
	links := map[int]map[string]*packedText{} // version → part → its redacted text
	if err := s.view(ctx, func(tx *sql.Tx) error { return s.planDerived(tx, &f, versions, links) }); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := f.write(tx); err != nil {
			return err
		}
		for _, v := range versions {
			if _, err := tx.Exec(derived, deviceID, v.Number, v.Derived, v.LastChange); err != nil {
				return err
			}
			for part, t := range links[v.Number] {
				if _, err := tx.Exec(linked, deviceID, v.Number, part, t.id); err != nil {
					return err
				}
			}
		}
		return f.drop(tx)
	})
}

func (s *Store) planDerived(tx *sql.Tx, f *refit, versions []backup.VersionTexts, links map[int]map[string]*packedText) error {
	const ids = `SELECT id FROM version WHERE device_id = +?1 AND number = +?2`
	const others = `SELECT EXISTS (SELECT 1 FROM version_part p JOIN version v ON v.id = p.version_id WHERE p.redacted_id = +?1 AND NOT (v.device_id = +?2 AND v.number IN (SELECT value FROM json_each(?3))))`
	byAddress := map[string]*packedText{} // what is new here
	kept := map[int64]bool{}
	type rawOf struct {
		id  int64
		red *packedText
	}
	var raws []rawOf
	var old []int64
	numbers := "["
	for i, v := range versions {
		if i > 0 {
			numbers += ","
		}
		numbers += fmt.Sprint(v.Number)
	}
	numbers += "]"
	for _, v := range versions {
		var id int64
		if err := tx.QueryRow(ids, f.device, v.Number).Scan(&id); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				err = backup.ErrNotStored
			}
			return fmt.Errorf("version %d: %w", v.Number, err)
		}
		stored, err := versionParts(tx, id)
		if err != nil {
			return err
		}
		links[v.Number] = map[string]*packedText{}
		for i, p := range v.Parts {
			if i >= len(stored) || stored[i].Part != p.Part {
				return fmt.Errorf("version %d has other parts", v.Number)
			}
			t := &packedText{kind: "redacted", part: p.Part, text: p.Redacted, address: s.textAddress("redacted", p.Redacted)}
			found, err := t.find(tx, f.device)
			if err != nil {
				return err
			}
			key := p.Part + "\x00" + string(t.address)
			switch {
			case found:
				kept[t.id] = true
			case byAddress[key] != nil:
				t = byAddress[key]
			default:
				if err := f.packAgainstFrame(t); err != nil {
					return err
				}
				byAddress[key] = t
				f.fresh = append(f.fresh, t)
			}
			links[v.Number][p.Part] = t
			old = append(old, stored[i].redacted)
			raws = append(raws, rawOf{stored[i].raw, t})
		}
	}
	for _, id := range old {
		var needed bool
		if err := tx.QueryRow(others, id, f.device, numbers).Scan(&needed); err != nil {
			return err
		}
		if !needed && !kept[id] {
			f.doomed[id] = true
		}
	}
	for _, r := range raws {
		row, err := readText(tx, r.id)
		if err != nil {
			return err
		}
		if !row.base.Valid || !f.doomed[row.base.Int64] || f.anew[r.id] != nil {
			continue
		}
		t := &packedText{id: r.id, kind: row.kind, part: row.part, address: row.address, base: r.red}
		if t.text, err = s.text(tx, r.id); err != nil {
			return err
		}
		if t.blob, err = s.packRaw(r.red.text, t.text, rawIdentity(row.deviceID, row.part, row.address)); err != nil {
			return err
		}
		f.anew[r.id] = t
	}
	return s.repackHanging(tx, f)
}

// Rewrite implements backup.Store.
func (s *Store) Rewrite(ctx context.Context) error {
	if mark, err := s.owed(ctx); err != nil || mark == "" {
		return err
	}
	return s.rewrite(ctx)
}
