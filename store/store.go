// Package store keeps what muster knows in one directory: the SQLite database
// muster.db, with devices, versions of their configurations, runs, alerts, events
// and sealed secrets.
//
// Its promises, each with a test of its name:
//
//   - What was acknowledged is on disk: a write returns after the commit and its
//     fsync, and survives SIGKILL.
//   - One process owns a directory; a second one is told who holds it.
//   - One goroutine writes and groups commits; readers never wait for it. A write
//     that fails takes back its own part and nobody else's.
//   - A database that is not muster's, or that a newer muster made, is refused
//     untouched; an older one is copied before it is migrated.
//   - Secrets and raw texts can be read with the master key only. A wrong key is
//     refused before anything is written.
//
// There is one file per owner: inventory.go implements the interfaces that
// package inventory declares, backup.go those of backup, and so on. What they
// share is here, in write.go (the writer), event.go, sealed.go and text.go.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"

	"muster/internal/secret"
)

const (
	dbName = "muster.db"

	// applicationID marks a database as muster's in its header ("Mstr"), see
	// https://www.sqlite.org/pragma.html#pragma_application_id.
	applicationID = 0x4d737472

	pageSize    = 8192 // bytes; most texts of versions fit one page
	busyTimeout = 5000 // ms; only self-made readers of the file ever make us wait
)

// Refusals of Open and of writes. errors.Is tells which one it is; the message
// is a sentence of its own.
var (
	ErrLocked      = errors.New("data directory is in use")
	ErrNotOurs     = errors.New("not a muster database")
	ErrNewerSchema = errors.New("database of a newer muster")
	ErrWrongKey    = errors.New("wrong master key")
	ErrNoKey       = errors.New("master key is missing")
	ErrDamaged     = errors.New("database is damaged")
	ErrClosed      = errors.New("store is closed")
	ErrNotFound    = errors.New("not in the store")
)

// refusal is an error whose text is a whole sentence and whose kind can be asked for.
type refusal struct {
	kind error
	text string
}

func refuse(kind error, format string, a ...any) error {
	return &refusal{kind, fmt.Sprintf(format, a...)}
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

// Options tunes a store. The zero value is right for use.
type Options struct {
	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // for the times of creation and of sealed values; nil: time.Now
}

// Store is an open data directory. Its methods may be called from any goroutine.
type Store struct {
	dir string
	id  string
	key secret.Key
	log *slog.Logger
	now func() time.Time

	redaction []byte // key of the tokens in redacted texts; never changes
	address   []byte // key of the addresses of texts, derived from redaction

	w     *sql.DB  // the writer goroutine's one connection; nobody else touches it
	read  *sql.DB  // read-only, several connections
	file  *os.File // the database, to be searched; see fileHolds
	tries int      // how often cutLog asks for a log in use, 100 ms apart
	lock  *lock
	queue chan *request
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed by the writer when it has ended

	watching bool      // the writing connection has its triggers
	noted    []touched // by the triggers, in this batch
	lists    lists

	commits  atomic.Int64 // batches so far
	closing  sync.Once
	closeErr error

	mu        sync.Mutex    // guards committed
	committed chan struct{} // closed and replaced after each commit
}

// Open opens the data directory dir, makes it where there is none, brings the
// schema up to date and starts the writer. The key must be the one that the
// directory was made with. See [Prepare] for how the key is found.
func Open(dir string, key secret.Key, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	id, fresh, err := Prepare(dir)
	if err != nil {
		return nil, err
	}
	if key.IsZero() {
		return nil, refuse(ErrNoKey, "%s cannot be opened without its master key. Give its file with --key", dir)
	}
	held, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, id: id, key: key, log: o.Log, now: o.Now, lock: held,
		queue: make(chan *request), quit: make(chan struct{}), done: make(chan struct{}),
		committed: make(chan struct{}), tries: 100,
	}
	if err := s.open(context.Background(), fresh); err != nil {
		_ = s.closeFiles() // err says already why it is not open
		held.release(false)
		return nil, err
	}
	go s.writer()
	return s, nil
}

// open does what Open does under the lock. What it opened stays in s for
// closeFiles, also where it fails.
func (s *Store) open(ctx context.Context, fresh bool) error {
	path := filepath.Join(s.dir, dbName)
	if fresh {
		if err := createDatabase(ctx, path); err != nil {
			return err
		}
	}
	if err := fileIsWhole(path); err != nil {
		return err
	}
	var err error
	if s.file, err = os.Open(path); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	s.w = sql.OpenDB(writerConnector{s, dsn(path, writerParams())})
	s.w.SetMaxOpenConns(1)
	if err := checkBuild(ctx, s.w, path); err != nil {
		return err
	}
	if s.lock.unclean && !fresh {
		s.log.WarnContext(ctx, "database was not closed when muster last stopped; checking it", "path", path)
		if err := quickCheck(ctx, s.w, path); err != nil {
			return err
		}
	}
	// The key is tried before the migrations, so that a wrong one changes nothing.
	if err := s.tryKey(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.w, path, steps(), s.log); err != nil {
		return err
	}
	if err := s.openSealed(ctx); err != nil {
		return err
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	s.read, err = sql.Open("sqlite3", dsn(path, readerParams()))
	if err != nil {
		return fmt.Errorf("open %s for reading: %w", path, err)
	}
	s.read.SetMaxOpenConns(8)
	s.read.SetMaxIdleConns(8)
	if err := s.read.PingContext(ctx); err != nil {
		return fmt.Errorf("open %s for reading: %w", path, err)
	}
	return nil
}

// Close waits for the write that is being committed, refuses all others with
// ErrClosed, and gives the directory back. It may be called more than once.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.quit)
		<-s.done
		s.closeErr = s.closeFiles()
		s.lock.release(s.closeErr == nil)
	})
	return s.closeErr
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.w != nil { // the last connection folds the WAL into the database
		errs = append(errs, s.w.Close())
	}
	if s.file != nil { // after SQLite's own: it would take their locks along
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// Dir is the data directory.
func (s *Store) Dir() string { return s.dir }

// ID is the identity of the data directory: 16 hexadecimal digits, made once.
func (s *Store) ID() string { return s.id }

// A parameter that is compared for equality, or is a limit, is written +?1 in all
// statements. SQLite looks at the value of a bare one, since a small number may want
// another plan, and so compiles the statement anew each time that it is used
// (sqlite3_reoptimize, 3.54): a prepared one was worth nothing.

// writerParams are the settings of the writing connection. They stand in the
// DSN, since a PRAGMA reaches one connection of a pool only; the driver ignores
// keys that it does not know, hence [checkBuild].
func writerParams() url.Values {
	return url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // the build's default for WAL loses acknowledged commits at power loss
		"_foreign_keys": {"on"},
		"_busy_timeout": {fmt.Sprint(busyTimeout)},
		"_txlock":       {"immediate"},
		"_mutex":        {"no"}, // database/sql lets one goroutine at a time use a connection
		// Parsing SQL took a fifth of the store's time.
		"_stmt_cache_size": {"64"},
	}
}

func readerParams() url.Values {
	return url.Values{
		"mode": {"ro"}, "_foreign_keys": {"on"}, "_busy_timeout": {fmt.Sprint(busyTimeout)}, "_mutex": {"no"}, "_stmt_cache_size": {"64"},
	}
}

// dsn makes the driver's name of a database file. SQLite undoes the escapes.
func dsn(path string, params url.Values) string {
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + path + "?" + params.Encode()
}

// createDatabase makes an empty database that says whose it is. Page size and
// application id come before WAL, which fixes the one and would keep the other
// out of the file for a while.
func createDatabase(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make the database: %w. Give a directory that you may write with --dir", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"_synchronous": {"FULL"}}))
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA page_size = %d", pageSize),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	} {
		if _, err := db.ExecContext(ctx, pragma); err != nil {
			return errors.Join(fmt.Errorf("make the database %s: %w", path, err), db.Close())
		}
	}
	return db.Close()
}

// checkBuild reads back what the DSN asked for, and looks for the parts of
// SQLite that the build may lack.
func checkBuild(ctx context.Context, db *sql.DB, path string) error {
	for _, want := range []struct{ query, value string }{
		{"PRAGMA journal_mode", "wal"},
		{"PRAGMA synchronous", "2"}, // FULL
		{"PRAGMA foreign_keys", "1"},
		{"PRAGMA busy_timeout", fmt.Sprint(busyTimeout)},
		{"PRAGMA page_size", fmt.Sprint(pageSize)},
	} {
		var got string
		if err := db.QueryRowContext(ctx, want.query).Scan(&got); err != nil {
			return fmt.Errorf("open %s: %s: %w", path, want.query, err)
		}
		if got != want.value {
			return refuse(ErrDamaged, "%s: %s is %s and must be %s. Is the directory on a network file system? SQLite needs a local one", path, want.query, got, want.value)
		}
	}
	var fts5 bool
	if err := db.QueryRowContext(ctx, "SELECT sqlite_compileoption_used('ENABLE_FTS5')").Scan(&fts5); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if !fts5 {
		return errors.New("this muster was built without full-text search. Build it with make build, or with -tags sqlite_fts5")
	}
	return nil
}

// quickCheck reads the whole database once: 2.4 s for 391 MB.
func quickCheck(ctx context.Context, db *sql.DB, path string) error {
	var said string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if said != "ok" {
		return refuse(ErrDamaged, "%s is damaged (%s). Restore the newest copy with muster self restore", path, said)
	}
	return nil
}

// damaged adds what to do where SQLite has come upon pages that make no sense, in a
// file that it could open.
func damaged(err error) error {
	e, ok := errors.AsType[sqlite3.Error](err)
	if !ok || e.Code != sqlite3.ErrCorrupt && e.Code != sqlite3.ErrNotADB || errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w. muster verify says where; then restore the newest copy with muster self restore", ErrDamaged, err)
}

// unreadable is what SQLite says of a file whose pages make no sense.
func unreadable(path string, err error) error {
	return refuse(ErrDamaged, "%s cannot be read: %v. Restore the newest copy with muster self restore", path, err)
}
