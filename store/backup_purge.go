package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"muster/backup"
)

// PurgeVersion implements backup.Store.
//
// Texts that are packed against a purged one hold none of its secrets but need
// it to be read: they are packed anew first. Then the rows go, the file is
// rewritten without its free pages and the write-ahead log is cut, and all files
// of the database in the directory are searched for what was there. Where the file
// could not be rewritten, the next call does it.
func (s *Store) PurgeVersion(ctx context.Context, deviceID int64, number int, audit backup.Audit, at time.Time) error {
	p := &purge{refit: newRefit(deviceID), number: number}
	if err := s.view(ctx, func(tx *sql.Tx) error { return s.planPurge(tx, p) }); err != nil {
		return err
	}
	if p.version == 0 {
		return s.rewriteAfterPurge(ctx)
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		if err := p.apply(tx, audit.Who, at); err != nil {
			return err
		}
		return insertAudit(tx, AuditEntry{At: at, Who: audit.Who, Action: audit.Action, Subject: audit.Subject, Detail: audit.Detail})
	})
	if err != nil {
		return err
	}
	if err := s.rewriteAfterPurge(ctx); err != nil { // copies are searched now: the next call knows no traces
		database := filepath.Join(s.dir, dbName)
		return errors.Join(err, s.proveGone(ctx, p.traces, database, database+"-wal"))
	}
	return s.proveGone(ctx, p.traces)
}

func (s *Store) rewriteAfterPurge(ctx context.Context) error {
	if err := s.rewrite(ctx); err != nil {
		return fmt.Errorf("the version is gone, but its bytes may still be in free pages of the file: %w. Purge again when nothing else reads", err)
	}
	return nil
}

// purge is what a purge will do.
type purge struct {
	refit
	number  int
	version int64    // 0: it is gone, and the file is to be rewritten
	capture int64    // whose texts go with the version; 0: none
	traces  [][]byte // pieces of what must not be found any more
}

func (s *Store) planPurge(tx *sql.Tx, p *purge) error {
	const version = `SELECT id FROM version WHERE device_id = +?1 AND number = +?2`
	const begun = `
SELECT EXISTS (SELECT 1 FROM purged_version WHERE device_id = +?1 AND number = +?2) AND EXISTS (SELECT 1 FROM meta WHERE name = +?3)`
	const newest = `SELECT max(number) FROM version WHERE device_id = +?1`
	const alike = `SELECT id FROM text WHERE address = +?1` // of any device and part
	// Texts that only this version, and the capture that goes with it, need.
	const doomed = `
SELECT DISTINCT t.id FROM text t
WHERE t.device_id = +?1
  AND (t.id IN (SELECT redacted_id FROM version_part WHERE version_id = +?2)
    OR t.id IN (SELECT raw_id FROM version_part WHERE version_id = +?2)
    OR t.id IN (SELECT raw_id FROM capture_part WHERE capture_id = +?3))
  AND NOT EXISTS (SELECT 1 FROM version_part v WHERE v.version_id <> ?2 AND (v.redacted_id = t.id OR v.raw_id = t.id))
  AND NOT EXISTS (SELECT 1 FROM capture_part c WHERE c.capture_id <> ?3 AND c.raw_id = t.id)`
	err := tx.QueryRow(version, p.device, p.number).Scan(&p.version)
	if errors.Is(err, sql.ErrNoRows) {
		var unfinished bool
		err := tx.QueryRow(begun, p.device, p.number, rewriteOwed).Scan(&unfinished)
		if err == nil && !unfinished {
			err = fmt.Errorf("version %d of device %d: %w", p.number, p.device, backup.ErrNotStored)
		}
		return err
	}
	if err != nil {
		return err
	}
	var last int
	if err := tx.QueryRow(newest, p.device).Scan(&last); err != nil {
		return err
	}
	if last == p.number { // the newest good capture says the same, with other volatile lines
		if err := tx.QueryRow("SELECT "+goodCapture("+?1"), p.device).Scan(&p.capture); err != nil {
			return err
		}
	}
	ids, err := idsOf(tx, doomed, p.device, p.version, p.capture)
	if err != nil {
		return err
	}
	for _, id := range ids {
		p.doomed[id] = true
	}
	var shared [][]byte // traces of redacted texts
	for _, id := range ids {
		row, err := readText(tx, id)
		if err != nil {
			return err
		}
		// A copy may have the text packed in another way, and then its address only.
		if others, err := idsOf(tx, alike, row.address); err != nil {
			return err
		} else if !slices.ContainsFunc(others, p.stays) {
			p.traces = append(p.traces, row.address)
		}
		if row.kind == "raw" { // sealed: its bytes are nowhere else
			p.traces = append(p.traces, traces(row.blob)...)
		} else {
			shared = append(shared, traces(row.blob)...)
		}
	}
	if err := s.repackHanging(tx, &p.refit); err != nil {
		return err
	}
	for _, t := range shared {
		lives, err := p.lives(tx, t)
		if err != nil {
			return err
		}
		if !lives {
			p.traces = append(p.traces, t)
		}
	}
	return nil
}

// stays reports whether a text is not among those that go.
func (p *purge) stays(id int64) bool { return !p.doomed[id] }

// lives reports whether a text that stays has the trace too: lines that are the
// same are often packed to the same bytes, and prove nothing.
func (p *purge) lives(tx *sql.Tx, trace []byte) (bool, error) {
	const texts = `SELECT id FROM text WHERE kind = 'redacted' AND instr(blob, ?1) > 0`
	const pieces = `SELECT DISTINCT text_id FROM text_piece WHERE instr(blob, ?1) > 0`
	for _, r := range p.anew {
		if bytes.Contains(r.blob, trace) {
			return true, nil
		}
	}
	for _, query := range []string{texts, pieces} {
		ids, err := idsOf(tx, query, trace)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			if !p.doomed[id] && p.anew[id] == nil {
				return true, nil
			}
		}
	}
	return false, nil
}

// apply runs inside the writer.
func (p *purge) apply(tx *sql.Tx, who string, at time.Time) error {
	const unlink = `UPDATE capture_part SET raw_id = NULL WHERE capture_id IN (?1, (SELECT capture_id FROM version WHERE id = +?2))`
	const version = `DELETE FROM version WHERE id = +?1`
	const noted = `INSERT INTO purged_version (device_id, number, at, who) VALUES (?1, ?2, ?3, ?4)`
	if err := p.write(tx); err != nil {
		return err
	}
	if _, err := tx.Exec(unlink, p.capture, p.version); err != nil {
		return err
	}
	if _, err := tx.Exec(version, p.version); err != nil {
		return err
	}
	if _, err := tx.Exec(noted, p.device, p.number, ms(at), orMuster(who)); err != nil {
		return err
	}
	return p.drop(tx)
}

// rewrite copies the database over itself without free pages, cuts the write-ahead
// log, and is owed no more.
func (s *Store) rewrite(ctx context.Context) error {
	const paid = `DELETE FROM meta WHERE name = +?1 AND value = +?2`
	mark, err := s.owed(ctx) // before: what is removed meanwhile wants a rewrite of its own
	if err != nil {
		return err
	}
	err = s.alone(ctx, func(ctx context.Context, _ *sql.DB) error {
		return s.apart(func(db *sql.DB) error {
			_, err := db.ExecContext(ctx, "VACUUM")
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := s.cutLog(ctx); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(paid, rewriteOwed, mark)
		return err
	})
}

// cutLog folds the write-ahead log back and cuts it to nothing.
func (s *Store) cutLog(ctx context.Context) error {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for range s.tries { // a reader that is under way keeps the log
		var busy bool
		err := s.alone(ctx, func(ctx context.Context, db *sql.DB) error {
			var frames, done int
			return db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &done)
		})
		if err != nil || !busy {
			return err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errors.New("the write-ahead log is in use")
}

// traceLen is long enough that a piece is not found by chance.
const traceLen = 40

// traces cuts pieces out of a packed text: enough that one is found wherever
// pages of the file divide it.
func traces(blob []byte) (all [][]byte) {
	if len(blob) <= traceLen {
		if len(blob) >= 12 {
			all = append(all, blob)
		}
		return all
	}
	for i := range 8 {
		at := i * (len(blob) - traceLen) / 7
		all = append(all, bytes.Clone(blob[at:at+traceLen]))
	}
	return all
}

// proveGone searches all files of the data directory for traces, copies too,
// wherever somebody has put one there, but for files named in except.
func (s *Store) proveGone(ctx context.Context, traces [][]byte, except ...string) error {
	own, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	var found []error
	err = filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // the log may go at any time
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !d.Type().IsRegular(), slices.Contains(except, name), name == filepath.Join(s.dir, dbName+"-shm"): // which has numbers of pages only
			return nil
		}
		holds, err := s.fileHolds(name, d, own, traces)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			found = append(found, fmt.Errorf("search %s for the purged bytes: %w", name, err))
		case holds:
			found = append(found, fmt.Errorf("%s still holds bytes of the purged version. If it is a copy of the database, remove it", name))
		}
		return nil
	})
	return errors.Join(append(found, err)...)
}

// fileHolds searches one file. The database itself, under whatever name, is read
// from a file that stays open: whoever closes one takes all locks of his process on
// it along (https://www.sqlite.org/howtocorrupt.html, 2.2). The next program that
// looked into the database would then take itself for the only one and remove the
// write-ahead log under us, with all that is acknowledged from there on.
func (s *Store) fileHolds(name string, d fs.DirEntry, own fs.FileInfo, traces [][]byte) (bool, error) {
	st, err := d.Info()
	if err != nil {
		return false, err
	}
	if os.SameFile(st, own) {
		return holds(io.NewSectionReader(s.file, 0, math.MaxInt64), traces)
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return holds(f, traces)
}

// holds reports whether one of the traces is in r.
func holds(r io.Reader, traces [][]byte) (bool, error) {
	chunk := make([]byte, 4<<20)
	kept := 0 // bytes of the chunk before, so that nothing hides between two
	for {
		n, err := io.ReadFull(r, chunk[kept:])
		text := chunk[:kept+n]
		for _, t := range traces {
			if bytes.Contains(text, t) {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(chunk, text[len(text)-traceLen:])
	}
}

// idsOf reads a query of one number column inside a transaction.
func idsOf(tx *sql.Tx, query string, args ...any) (all []int64, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, rows.Err()
}
