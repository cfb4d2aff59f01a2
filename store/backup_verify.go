package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
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
	name    string            // of the device, for people
	packed  map[int64][]int64 // by text: those that are packed against it
	digests map[int64]string  // SHA-256 of raw texts by text; "": it is not asked for
	bad     map[int64]error   // by text
	read    map[int64]bool
}

func (s *Store) verifyDevice(tx *sql.Tx, device int64, name string) ([]Problem, error) {
	v := &verifier{s: s, tx: tx, name: name, packed: map[int64][]int64{}, digests: map[int64]string{}, bad: map[int64]error{}, read: map[int64]bool{}}
	const texts = `SELECT id, coalesce(base_id, 0) FROM text WHERE device_id = ?1 ORDER BY id`
	const first = `SELECT p.raw_id, 0 FROM version v JOIN version_part p ON p.version_id = v.id AND p.n = (SELECT min(n) FROM version_part WHERE version_id = v.id) WHERE v.device_id = ?1`
	var all []int64
	err := eachPair(tx, texts, device, func(id, base int64) {
		all = append(all, id)
		v.packed[base] = append(v.packed[base], id)
	})
	if err != nil {
		return nil, err
	}
	if err := eachPair(tx, first, device, func(raw, _ int64) { v.digests[raw] = "" }); err != nil {
		return nil, err
	}
	for _, id := range v.packed[0] {
		v.check(id, nil)
	}
	for _, id := range all {
		if !v.read[id] && v.bad[id] == nil {
			v.bad[id] = fmt.Errorf("read text %d: the text that it is packed against cannot be read", id)
		}
	}
	found, err := v.versions(device)
	if err != nil {
		return found, err
	}
	more, err := v.captures(device)
	return append(found, more...), err
}

// check reads a text and, while it is at hand, all that are packed against it.
func (v *verifier) check(id int64, base []byte) {
	row, err := readText(v.tx, id)
	var text []byte
	if err == nil {
		text, err = v.s.unpack(id, row, base)
	}
	if err != nil {
		v.bad[id] = err
		return
	}
	v.read[id] = true
	if _, asked := v.digests[id]; asked {
		v.digests[id] = sha256Hex(text)
	}
	for _, next := range v.packed[id] {
		v.check(next, text)
	}
}

// versions says which versions of the device cannot be read as they were told.
func (v *verifier) versions(device int64) (found []Problem, err error) {
	const query = `
SELECT v.number, v.digest, coalesce(p.part, ''), coalesce(p.redacted_id, 0), coalesce(p.raw_id, 0)
FROM version v LEFT JOIN version_part p ON p.version_id = v.id WHERE v.device_id = ?1 ORDER BY v.number, p.n`
	rows, err := v.tx.Query(query, device)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	last := 0
	for rows.Next() {
		var number int
		var digest []byte
		var part string
		var redacted, raw int64
		if err := rows.Scan(&number, &digest, &part, &redacted, &raw); err != nil {
			return found, err
		}
		seen := ""
		if raw == 0 {
			seen = "it has no text"
		} else if err := cmp.Or(v.wrong(redacted), v.wrong(raw)); err != nil {
			seen = fmt.Sprintf("part %s: %s", part, err)
		} else if number != last {
			seen = v.digest(device, number, digest, raw)
		}
		if last = number; seen != "" {
			found = append(found, Problem{What: "version", Of: fmt.Sprintf("%s, number %d", v.name, number), Seen: seen})
		}
	}
	return found, rows.Err()
}

// wrong says what is wrong with a text; nil: nothing.
func (v *verifier) wrong(id int64) error {
	if v.bad[id] == nil && !v.read[id] {
		return fmt.Errorf("text %d is not one of this device", id)
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
	const query = `SELECT c.id, p.raw_id FROM capture c JOIN capture_part p ON p.capture_id = c.id WHERE c.device_id = ?1 AND p.raw_id IS NOT NULL ORDER BY c.id, p.n`
	err = eachPair(v.tx, query, device, func(capture, raw int64) {
		if err := v.wrong(raw); err != nil {
			found = append(found, Problem{What: "version", Of: fmt.Sprintf("capture %d", capture), Seen: err.Error()})
		}
	})
	return found, err
}

// eachPair calls f with each row of a query of two number columns.
func eachPair(tx *sql.Tx, query string, device int64, f func(a, b int64)) (err error) {
	rows, err := tx.Query(query, device)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a, b int64
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		f(a, b)
	}
	return rows.Err()
}
