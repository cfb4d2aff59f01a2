package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Problem is one thing that Verify found wrong.
type Problem struct {
	What string `json:"what"` // "integrity", "reference", "secret", "version", …
	Of   string `json:"of"`   // whose: a table and row, or a device and version
	Seen string `json:"seen"` // what is wrong, for people
}

// verifiers are the checks of Verify beyond SQLite's own. Each owner's file has
// its own check and a line here. A check answers what it found wrong; an error
// means that it could not look.
var verifiers = []func(*Store, context.Context) ([]Problem, error){
	(*Store).verifySealed,
	(*Store).verifyVersions,
}

// Verify reads everything that the store keeps and says what is wrong: pages
// and indexes, references, sealed values, texts. It only reads, takes as long as
// the database is large, and keeps nobody from writing.
func (s *Store) Verify(ctx context.Context) ([]Problem, error) {
	found := []Problem{}
	checks := append([]func(*Store, context.Context) ([]Problem, error){
		(*Store).verifyPages, (*Store).verifyReferences,
	}, verifiers...)
	for _, check := range checks {
		more, err := check(s, ctx)
		if errors.Is(damaged(err), ErrDamaged) { // that it cannot look is what is wrong
			found = append(append(found, more...), Problem{What: "integrity", Of: dbName, Seen: err.Error()})
			continue
		}
		if err != nil {
			return found, fmt.Errorf("verify %s: %w", dbName, err)
		}
		found = append(found, more...)
	}
	return found, nil
}

func (s *Store) verifyPages(ctx context.Context) ([]Problem, error) {
	said, err := texts(ctx, s.read, "PRAGMA integrity_check(100)")
	if err != nil {
		return nil, err
	}
	var found []Problem
	for _, line := range said {
		if line != "ok" {
			found = append(found, Problem{What: "integrity", Of: dbName, Seen: line})
		}
	}
	return found, nil
}

func (s *Store) verifyReferences(ctx context.Context) ([]Problem, error) {
	said, err := texts(ctx, s.read, `SELECT "table" || ' row ' || coalesce(rowid, '?') || ' names a missing ' || parent FROM pragma_foreign_key_check`)
	if err != nil {
		return nil, err
	}
	var found []Problem
	for _, line := range said {
		found = append(found, Problem{What: "reference", Of: dbName, Seen: line})
	}
	return found, nil
}

// texts reads a query of one text column.
func texts(ctx context.Context, db *sql.DB, query string, args ...any) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// Backup writes a whole, checked copy of the database to path, which appears
// only when it is complete and on disk. An existing file there is replaced. The
// copy is sealed with the same master key, which is not in it.
func (s *Store) Backup(ctx context.Context, path string) error {
	return s.apart(func(db *sql.DB) error { return backupTo(ctx, db, path) })
}

// apart runs do with a connection of its own, for what goes over the whole database:
// it keeps what does not fit into memory in files.
func (s *Store) apart(do func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite3", dsn(filepath.Join(s.dir, dbName), url.Values{"_synchronous": {"FULL"}, "_busy_timeout": {fmt.Sprint(busyTimeout)}}))
	if err != nil {
		return fmt.Errorf("open %s: %w", dbName, err)
	}
	db.SetMaxOpenConns(1)
	return errors.Join(do(db), db.Close())
}

// backupTo is VACUUM INTO (twice as fast as SQLite's backup interface, and the
// copy has no holes), then quick_check, fsync and rename.
func backupTo(ctx context.Context, db *sql.DB, path string) error {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier copy left: %w", err)
	}
	// SQLite takes an empty file for its target: made here, nobody else can read it.
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make the copy: %w", err)
	}
	err = func() error {
		if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
			return fmt.Errorf("copy to %s: %w. Is there room for a second database?", part, err)
		}
		made, err := sql.Open("sqlite3", dsn(part, url.Values{"mode": {"ro"}}))
		if err != nil {
			return fmt.Errorf("open the copy: %w", err)
		}
		if err := errors.Join(quickCheck(ctx, made, part), made.Close()); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync the copy: %w", err)
		}
		return nil
	}()
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(part) // half a copy helps nobody; err says what happened
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("put the copy in its place: %w", err)
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes a rename or a new file in dir last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
