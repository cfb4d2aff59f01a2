package store

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"muster/backup"
)

// pieceMax is how large one blob gets: SQLite copies a blob whole in memory.
const pieceMax = 16 << 20

// packedText is one text on its way to its row, or one that has a row already.
type packedText struct {
	id            int64 // 0: not written yet
	kind, part    string
	text          []byte
	address, blob []byte
	base          *packedText // nil: packed against nothing
	since         int         // texts packed against it in the same refit
}

// rawIdentity is what a sealed raw text is bound to for ever.
func rawIdentity(deviceID int64, part string, address []byte) string {
	return fmt.Sprintf("text %d %s %s", deviceID, part, hex.EncodeToString(address))
}

// packedRedacted finds a redacted text of a device, or packs it against the key
// frame of its part.
func (s *Store) packedRedacted(tx *sql.Tx, deviceID int64, part backup.VersionPart) (*packedText, error) {
	t := &packedText{kind: "redacted", part: part.Part, text: part.Redacted, address: s.textAddress("redacted", part.Redacted)}
	if found, err := t.find(tx, deviceID); err != nil || found {
		return t, err
	}
	key, frame, err := s.keyframeOf(tx, deviceID, part.Part)
	if err != nil {
		return nil, err
	}
	blob, whole, err := packRedacted(frame, part.Redacted)
	if err != nil {
		return nil, err
	}
	t.blob = blob
	if !whole {
		t.base = &packedText{id: key, text: frame.Text}
	}
	return t, nil
}

// packedRaw finds a raw text of a device, or packs it against a redacted one
// (nil: against nothing) and seals it.
func (s *Store) packedRaw(tx *sql.Tx, deviceID int64, part string, raw []byte, base *packedText) (*packedText, error) {
	t := &packedText{kind: "raw", part: part, text: raw, address: s.textAddress("raw", raw), base: base}
	if found, err := t.find(tx, deviceID); err != nil || found {
		return t, err
	}
	var against []byte
	if base != nil {
		against = base.text
	}
	var err error
	t.blob, err = s.packRaw(against, raw, rawIdentity(deviceID, part, t.address))
	return t, err
}

// find looks whether the text has a row already.
func (t *packedText) find(tx *sql.Tx, deviceID int64) (bool, error) {
	const query = `SELECT id FROM text WHERE device_id = +?1 AND kind = +?2 AND part = +?3 AND address = +?4`
	err := tx.QueryRow(query, deviceID, t.kind, t.part, t.address).Scan(&t.id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// keyframeOf finds the text against which the next redacted text of a part is
// packed.
func (s *Store) keyframeOf(tx *sql.Tx, deviceID int64, part string) (id int64, frame keyframe, err error) {
	const newest = `
SELECT coalesce(base_id, id) FROM text
WHERE device_id = +?1 AND kind = 'redacted' AND part = +?2 ORDER BY id DESC LIMIT 1`
	const since = `SELECT count(*) FROM text WHERE base_id = +?1 AND kind = 'redacted'`
	err = tx.QueryRow(newest, deviceID, part).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, keyframe{}, nil
	}
	if err != nil {
		return 0, keyframe{}, err
	}
	row, err := readText(tx, id)
	if err != nil {
		return 0, keyframe{}, err
	}
	frame.Size = len(row.blob)
	if frame.Text, err = unpackRedacted(row.blob, nil); err != nil {
		return 0, keyframe{}, err
	}
	return id, frame, tx.QueryRow(since, id).Scan(&frame.Since)
}

// insert writes the text where it has no row yet.
func (t *packedText) insert(tx *sql.Tx, deviceID int64) error {
	const insert = `
INSERT INTO text (device_id, kind, part, address, base_id, size, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`
	if t.id != 0 {
		return nil
	}
	var base sql.NullInt64
	if t.base != nil {
		base = sql.NullInt64{Int64: t.base.id, Valid: true}
	}
	first, rest := cut(t.blob)
	res, err := tx.Exec(insert, deviceID, t.kind, t.part, t.address, base, len(t.text), first)
	if err != nil {
		return fmt.Errorf("write %s text of part %s: %w", t.kind, t.part, err)
	}
	if t.id, err = res.LastInsertId(); err != nil {
		return err
	}
	return insertPieces(tx, t.id, rest)
}

// insertPieces writes what of a packed text is over the first 16 MB.
func insertPieces(tx *sql.Tx, id int64, rest []byte) error {
	const piece = `INSERT INTO text_piece (text_id, n, blob) VALUES (?1, ?2, ?3)`
	for n := 1; len(rest) > 0; n++ {
		var next []byte
		next, rest = cut(rest)
		if _, err := tx.Exec(piece, id, n, next); err != nil {
			return fmt.Errorf("write piece %d of text %d: %w", n, id, err)
		}
	}
	return nil
}

func cut(blob []byte) (first, rest []byte) {
	n := min(len(blob), pieceMax)
	return blob[:n], blob[n:]
}

// textRow is a row of text with its pieces put together.
type textRow struct {
	deviceID   int64
	kind, part string
	address    []byte
	base       sql.NullInt64
	size       int
	blob       []byte
}

func readText(tx *sql.Tx, id int64) (t textRow, err error) {
	const query = `SELECT device_id, kind, part, address, base_id, size, blob FROM text WHERE id = +?1`
	const pieces = `SELECT blob FROM text_piece WHERE text_id = +?1 ORDER BY n`
	if err := tx.QueryRow(query, id).Scan(&t.deviceID, &t.kind, &t.part, &t.address, &t.base, &t.size, &t.blob); err != nil {
		return t, fmt.Errorf("read text %d: %w", id, err)
	}
	if len(t.blob) < pieceMax {
		return t, nil // whole
	}
	rows, err := tx.Query(pieces, id)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() {
		var piece []byte
		if err := rows.Scan(&piece); err != nil {
			return t, err
		}
		t.blob = append(t.blob, piece...)
	}
	return t, rows.Err()
}

// text reads a text and holds it against its address: what comes back is what
// was stored, or an error.
func (s *Store) text(tx *sql.Tx, id int64) ([]byte, error) {
	row, err := readText(tx, id)
	if err != nil {
		return nil, err
	}
	var base []byte
	if row.base.Valid {
		if base, err = s.text(tx, row.base.Int64); err != nil {
			return nil, err
		}
	}
	return s.unpack(id, row, base)
}

// unpack makes the text of a row, given the one that it is packed against, and
// holds it against its address.
func (s *Store) unpack(id int64, row textRow, base []byte) ([]byte, error) {
	text, err := s.unpackOnly(id, row, base)
	if err == nil && !bytes.Equal(s.textAddress(row.kind, text), row.address) {
		return nil, notStored(id)
	}
	return text, err
}

// unpackOnly is unpack for who has something else to hold the text against.
func (s *Store) unpackOnly(id int64, row textRow, base []byte) (text []byte, err error) {
	if row.kind == "raw" {
		text, err = s.unpackRaw(row.blob, base, rawIdentity(row.deviceID, row.part, row.address))
	} else {
		text, err = unpackRedacted(row.blob, base)
	}
	if err != nil {
		return nil, fmt.Errorf("read text %d: %w", id, err)
	}
	if len(text) != row.size {
		return nil, notStored(id)
	}
	return text, nil
}

func notStored(id int64) error {
	return refuse(ErrDamaged, "text %d is not what was stored. Restore the newest copy with muster self restore", id)
}

func sha256Hex(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
