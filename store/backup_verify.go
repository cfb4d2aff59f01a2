package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
)

// verifyVersions reads every text that is kept, once, and then says which
// versions and captures suffer from those that are wrong. It holds the raw texts
// of versions against the digests that were shown to people.
func (s *Store) verifyVersions(ctx context.Context) (found []Problem, err error) {
	const devices = `
SELECT t.device_id, coalesce(d.name, 'device ' || t.device_id)
FROM (SELECT device_id FROM text UNION SELECT device_id FROM version UNION SELECT device_id FROM capture) t
LEFT JOIN device d ON d.id = t.device_id ORDER BY t.device_id`
	type device struct {
		id   int64
		name string
	}
	var all []device
	err = s.view(ctx, func(tx *sql.Tx) (err error) {
		all, err = collect(tx, devices, func(rows *sql.Rows, d *device) error { return rows.Scan(&d.id, &d.name) })
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		// One transaction each: a long one would keep the WAL from being folded.
		err := s.view(ctx, func(tx *sql.Tx) error {
			more, err := s.verifyDevice(tx, d.id, d.name)
			found = append(found, more...)
			return err
		})
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// verifier checks the texts of one device.
type verifier struct {
	s       *Store
	tx      *sql.Tx
	rows    map[int64]textRow
	packed  map[int64][]int64 // by text: those that are packed against it
	digests map[int64]string  // SHA-256 of the raw texts of which it was told
	bad     map[int64]error   // by text
	read    map[int64]bool
}

// keptPart is a part of a version as it is kept.
type keptPart struct {
	number        int
	digest        []byte // sealed; of the first part
	part          string
	redacted, raw int64
}

func (s *Store) verifyDevice(tx *sql.Tx, device int64, name string) ([]Problem, error) {
	v := &verifier{s: s, tx: tx, rows: map[int64]textRow{}, packed: map[int64][]int64{}, digests: map[int64]string{}, bad: map[int64]error{}, read: map[int64]bool{}}
	parts, err := keptParts(tx, device)
	if err != nil {
		return nil, err
	}
	last := 0
	for _, p := range parts {
		if p.number != last {
			v.digests[p.raw] = ""
		}
		last = p.number
	}
	if err := v.texts(device); err != nil {
		return nil, err
	}
	found := v.versions(device, name, parts)
	more, err := v.captures(device)
	return append(found, more...), err
}

// keptParts reads the parts of all versions of a device, those of a version next
// to each other; of a version without any, one that has no texts.
func keptParts(tx *sql.Tx, device int64) ([]keptPart, error) {
	const query = `
SELECT v.number, v.digest, coalesce(p.part, ''), coalesce(p.redacted_id, 0), coalesce(p.raw_id, 0)
FROM version v LEFT JOIN version_part p ON p.version_id = v.id WHERE v.device_id = +?1 ORDER BY v.number, p.n`
	return collect(tx, query, func(rows *sql.Rows, p *keptPart) error {
		return rows.Scan(&p.number, &p.digest, &p.part, &p.redacted, &p.raw)
	}, device)
}

// withRow is how large a packed text may be to be read along with its row; the
// others are read when it is their turn.
const withRow = 64 << 10

// texts reads all texts of the device.
func (v *verifier) texts(device int64) error {
	const query = `
SELECT id, kind, part, address, base_id, size, CASE WHEN length(blob) <= ?2 THEN blob END FROM text WHERE device_id = +?1 ORDER BY id`
	type one struct {
		id  int64
		row textRow
	}
	all, err := collect(v.tx, query, func(rows *sql.Rows, o *one) error {
		o.row.deviceID = device
		return rows.Scan(&o.id, &o.row.kind, &o.row.part, &o.row.address, &o.row.base, &o.row.size, &o.row.blob)
	}, device, withRow)
	if err != nil {
		return err
	}
	for _, o := range all {
		v.rows[o.id] = o.row
		v.packed[o.row.base.Int64] = append(v.packed[o.row.base.Int64], o.id)
	}
	for _, id := range v.packed[0] {
		v.check(id, nil)
	}
	return nil
}

// check reads a text and, while it is at hand, all that are packed against it.
func (v *verifier) check(id int64, base []byte) {
	row, err := v.rows[id], error(nil)
	if row.blob == nil {
		row, err = readText(v.tx, id)
	}
	unpack := v.s.unpack
	_, told := v.digests[id]
	if told { // one hash of it is enough
		unpack = v.s.unpackOnly
	}
	var text []byte
	if err == nil {
		text, err = unpack(id, row, base)
	}
	if err != nil {
		v.bad[id] = err
		return
	}
	v.read[id] = true
	if told {
		v.digests[id] = sha256Hex(text)
	}
	for _, next := range v.packed[id] {
		v.check(next, text)
	}
}

// versions says which versions of the device cannot be read as they were told.
func (v *verifier) versions(device int64, name string, parts []keptPart) (found []Problem) {
	last := 0
	for _, p := range parts {
		seen := ""
		if p.raw == 0 {
			seen = "it has no text"
		} else if err := cmp.Or(v.wrong(p.redacted), v.wrong(p.raw)); err != nil {
			seen = fmt.Sprintf("part %s: %s", p.part, err)
		} else if p.number != last {
			seen = v.digest(device, p.number, p.digest, p.raw)
		}
		if last = p.number; seen != "" {
			found = append(found, Problem{What: "version", Of: fmt.Sprintf("%s, number %d", name, p.number), Seen: seen})
		}
	}
	return found
}

// wrong says what is wrong with a text; nil: nothing.
func (v *verifier) wrong(id int64) error {
	if v.bad[id] == nil && !v.read[id] {
		return fmt.Errorf("text %d, or the one that it is packed against, is none of this device", id)
	}
	return v.bad[id]
}

// digest says what is wrong with the digest of a version's first part; "": nothing.
func (v *verifier) digest(device int64, number int, sealed []byte, raw int64) string {
	told, err := v.s.openDigest(device, number, sealed)
	switch {
	case err != nil:
		return err.Error()
	case told != v.digests[raw]:
		return "its raw text has another SHA-256 than was told when it was stored"
	}
	return ""
}

// captures says which captures of the device have a text that is wrong.
func (v *verifier) captures(device int64) (found []Problem, err error) {
	const query = `
SELECT c.id, p.raw_id FROM capture c JOIN capture_part p ON p.capture_id = c.id
WHERE c.device_id = +?1 AND p.raw_id IS NOT NULL ORDER BY c.id, p.n`
	type use struct{ capture, raw int64 }
	all, err := collect(v.tx, query, func(rows *sql.Rows, u *use) error { return rows.Scan(&u.capture, &u.raw) }, device)
	for _, u := range all {
		if err := v.wrong(u.raw); err != nil {
			found = append(found, Problem{What: "version", Of: fmt.Sprintf("capture %d", u.capture), Seen: err.Error()})
		}
	}
	return found, err
}
