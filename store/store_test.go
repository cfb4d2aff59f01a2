package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"muster/internal/secret"
	"muster/inventory"
)

// openNew opens a new data directory that is closed at the end of the test.
func openNew(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "muster"), secret.NewKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// note writes an audit row that stands for a write in these tests.
func note(s *Store, ctx context.Context, action string) error {
	return s.Audit(ctx, AuditEntry{Action: action, Subject: "test"})
}

// noted returns the actions of the audit rows, oldest first.
func noted(t *testing.T, s *Store) []string {
	t.Helper()
	all, err := texts(t.Context(), s.read, "SELECT action FROM audit ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNewDirectoryIsPrivateAndSetUpAsPromised(t *testing.T) {
	s := openNew(t)
	st, err := os.Stat(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o700 {
		t.Errorf("directory is %#o, want 0700", st.Mode().Perm())
	}
	if err := note(s, t.Context(), "makes the WAL"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dbName, dbName + "-wal", dbName + "-shm", lockName, idName} {
		st, err := os.Stat(filepath.Join(s.Dir(), name))
		if err != nil {
			t.Error(err)
		} else if st.Mode().Perm() != 0o600 {
			t.Errorf("%s is %#o, want 0600", name, st.Mode().Perm())
		}
	}
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "page_size": "8192",
		"busy_timeout": "5000", "application_id": fmt.Sprint(applicationID), "temp_store": "2", // MEMORY
	} {
		var got string
		err := s.alone(t.Context(), func(ctx context.Context, db *sql.DB) error {
			return db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got)
		})
		if err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
		}
	}
	if _, err := s.read.ExecContext(t.Context(), "DELETE FROM meta"); err == nil {
		t.Error("a reader could write")
	}
}

func TestTablesAreStrict(t *testing.T) {
	s := openNew(t)
	loose, err := texts(t.Context(), s.read, `SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type = 'table' AND NOT strict AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	if err != nil {
		t.Fatal(err)
	}
	if len(loose) > 0 {
		t.Errorf("not STRICT: %v", loose)
	}
}

func TestWhatWasWrittenIsThereAfterReopening(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "muster"), secret.NewKey()
	s, err := Open(dir, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetSecret(t.Context(), "noc", secret.New("FAKE-open-sesame"), "someone"); err != nil {
		t.Fatal(err)
	}
	id, redaction := s.ID(), s.RedactionKey()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, dbName+"-wal")); err == nil {
		t.Error("a clean stop left its write-ahead log")
	}
	if err := note(s, t.Context(), "late"); !errors.Is(err, ErrClosed) {
		t.Errorf("write after Close: %v, want ErrClosed", err)
	}
	s, err = Open(dir, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.lock.unclean {
		t.Error("a clean stop counts as unclean")
	}
	if s.ID() != id || string(s.RedactionKey()) != string(redaction) {
		t.Error("identity or redaction key changed")
	}
	v, err := s.Secret(t.Context(), "noc")
	if err != nil || v.Reveal() != "FAKE-open-sesame" {
		t.Errorf("secret is lost: %v", err)
	}
	names, err := s.Secrets(t.Context())
	if err != nil || len(names) != 1 || names[0].Name != "noc" || names[0].SetAt.IsZero() {
		t.Errorf("secrets are %v (%v)", names, err)
	}
	log, err := s.AuditLog(t.Context(), "noc", 0)
	if err != nil || len(log) != 1 || log[0].Who != "someone" || log[0].Action != "secret set" {
		t.Errorf("audit is %v (%v)", log, err)
	}
}

func TestMissingSecretSaysHowToSetIt(t *testing.T) {
	s := openNew(t)
	_, err := s.Secret(t.Context(), "noc")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "muster secret set noc") {
		t.Errorf("error is %v", err)
	}
}

// TestOpenRefuses has one row for each directory that cannot be opened: the
// refusal has its kind, names the thing and the mend, and changes nothing.
func TestOpenRefuses(t *testing.T) {
	key := secret.NewKey()
	tests := map[string]struct {
		prepare func(t *testing.T, dir string) // dir holds a closed store of key
		key     secret.Key
		want    error
		says    []string
	}{
		"a second process": {
			prepare: func(t *testing.T, dir string) {
				first, err := Open(dir, key, Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = first.Close() })
			},
			key: key, want: ErrLocked, says: []string{fmt.Sprintf("process %d", os.Getpid()), "--dir"},
		},
		"a text file": {
			prepare: func(t *testing.T, dir string) { overwrite(t, dir, []byte("not a database, but a letter")) },
			key:     key, want: ErrNotOurs, says: []string{dbName, "not a muster database", "--dir"},
		},
		"another program's database": {
			prepare: func(t *testing.T, dir string) { sqlIn(t, dir, "PRAGMA application_id = 7") },
			key:     key, want: ErrNotOurs, says: []string{dbName, "--dir"},
		},
		"a newer schema": {
			prepare: func(t *testing.T, dir string) {
				sqlIn(t, dir, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
			},
			key: key, want: ErrNewerSchema, says: []string{"newer muster", "99999"},
		},
		"a wrong key": {key: secret.NewKey(), want: ErrWrongKey, says: []string{key.ID(), "--key"}},
		"no key":      {want: ErrNoKey, says: []string{"--key"}},
		"a damaged page, seen after an unclean stop": {prepare: damage, key: key, want: ErrDamaged, says: []string{"self restore"}},
		"a sealed test cut":                          {prepare: func(t *testing.T, dir string) { sqlIn(t, dir, "UPDATE sealed SET blob = substr(blob, 1, 60)") }, key: key, want: ErrDamaged, says: []string{"self restore"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "muster")
			s, err := Open(dir, key, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if tt.prepare != nil {
				tt.prepare(t, dir)
			}
			before, err := os.ReadFile(filepath.Join(dir, dbName))
			if err != nil {
				t.Fatal(err)
			}
			s, err = Open(dir, tt.key, Options{})
			if err == nil {
				_ = s.Close()
				t.Fatal("was opened")
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want kind %v", err, tt.want)
			}
			for _, part := range append(tt.says, dir) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			after, err := os.ReadFile(filepath.Join(dir, dbName))
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("the refused database was changed")
			}
		})
	}
}

func overwrite(t *testing.T, dir string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, dbName), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sqlIn changes a closed database behind muster's back.
func sqlIn(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// damage breaks the chain of pages of a large value, which nothing reads at a
// start, and leaves the traces of an unclean stop, after which all is checked.
func damage(t *testing.T, dir string) {
	t.Helper()
	sqlIn(t, dir, "INSERT INTO meta (name, value) VALUES ('large', hex(randomblob(100000)))")
	text, err := os.ReadFile(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	for page := len(text) - 10*pageSize; page < len(text); page += pageSize {
		copy(text[page:], "\xff\xff\xff\xff") // number of the next page of the value
	}
	overwrite(t, dir, text)
	if err := os.WriteFile(filepath.Join(dir, lockName), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryWithoutRightsIsOneSentence(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		s   *Store
		err error
	}
	got := make(chan answer)
	go func() {
		// Root may write everywhere. Only this thread becomes somebody else, and
		// it ends with the goroutine, since it is never unlocked.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		}
		s, err := Open(filepath.Join(dir, "muster"), secret.NewKey(), Options{})
		got <- answer{s, err}
	}()
	a := <-got
	if a.err == nil {
		_ = a.s.Close()
		t.Fatal("was opened")
	}
	if !errors.Is(a.err, os.ErrPermission) || !strings.Contains(a.err.Error(), "--dir") || !strings.Contains(a.err.Error(), dir) {
		t.Errorf("error is %v", a.err)
	}
}

func TestWideDirectoryOfOthersIsRefusedAndOursClosed(t *testing.T) {
	tests := map[string]struct {
		file   string
		opened bool
	}{
		"empty":              {"", true},
		"with our settings":  {"muster.yaml", true},
		"with others' files": {"letter.txt", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.file), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(dir, secret.NewKey(), Options{})
			st, statErr := os.Stat(dir)
			if statErr != nil {
				t.Fatal(statErr)
			}
			if tt.opened {
				if err != nil {
					t.Fatal(err)
				}
				_ = s.Close()
				if st.Mode().Perm() != 0o700 {
					t.Errorf("directory stayed %#o", st.Mode().Perm())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "chmod 700") {
				t.Errorf("error is %v", err)
			}
			if st.Mode().Perm() != 0o755 {
				t.Errorf("others' directory became %#o", st.Mode().Perm())
			}
		})
	}
}

func TestPrepareSaysWhichKeyFileAndWhetherItMayBeMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "muster")
	id, fresh, err := Prepare(dir)
	if err != nil || !fresh || len(id) != 16 {
		t.Fatalf("new directory: %q, %t, %v", id, fresh, err)
	}
	again, fresh, err := Prepare(dir)
	if err != nil || !fresh || again != id {
		t.Fatalf("a start that was cut short: %q, %t, %v, want %q", again, fresh, err, id)
	}
	s, err := Open(dir, secret.NewKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if pid, err := Holder(dir); err != nil || pid != os.Getpid() {
		t.Errorf("holder is %d (%v)", pid, err)
	}
	// The database knows better than the file, which a copy does not have.
	if err := os.Remove(filepath.Join(dir, idName)); err != nil {
		t.Fatal(err)
	}
	again, fresh, err = Prepare(dir)
	if err != nil || fresh || again != id {
		t.Errorf("existing directory, held by another: %q, %t, %v, want %q", again, fresh, err, id)
	}
}

func TestFirstStartsAtOnceAgreeOnIdentityAndKey(t *testing.T) {
	dir, config := filepath.Join(t.TempDir(), "muster"), filepath.Join(t.TempDir(), "config")
	type start struct {
		id, key string
		made    bool
		err     error
	}
	starts := make([]start, 8)
	var all sync.WaitGroup
	for i := range starts {
		all.Go(func() {
			s := &starts[i]
			var fresh bool
			if s.id, fresh, s.err = Prepare(dir); s.err != nil {
				return
			}
			var found secret.Found
			found, s.err = secret.Locate(secret.Places{ConfigDir: config, Dir: dir, ID: s.id, Fresh: fresh})
			s.key, s.made = found.Key.ID(), found.Made
		})
	}
	all.Wait()
	made := 0
	for _, s := range starts {
		if s.err != nil || s.id != starts[0].id || s.key != starts[0].key {
			t.Errorf("%+v, the first one %+v", s, starts[0])
		}
		if s.made {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d of them made the key", made)
	}
}

func TestOlderDatabaseIsCopiedBeforeItsMigration(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "muster"), secret.NewKey()
	s, err := Open(dir, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(note(s, t.Context(), "kept"), s.Close()); err != nil {
		t.Fatal(err)
	}
	known := fstest.MapFS{}
	names, err := fs.Glob(steps(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(steps(), name)
		if err != nil {
			t.Fatal(err)
		}
		known[name] = &fstest.MapFile{Data: text}
	}
	good := "-- +goose Up\nALTER TABLE audit ADD COLUMN added TEXT;\n"
	for name, tt := range map[string]struct {
		step string
		ok   bool
	}{
		"a step that fails is taken back whole": {good + "INSERT INTO nowhere VALUES (1);\n", false},
		"a step that works":                     {good, true},
	} {
		known["99998_next.sql"] = &fstest.MapFile{Data: []byte(tt.step)}
		path := filepath.Join(dir, dbName)
		db, err := sql.Open("sqlite3", dsn(path, writerParams()))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		if err := migrate(t.Context(), db, path, known, slog.New(slog.DiscardHandler)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		var columns int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM pragma_table_info('audit') WHERE name = 'added'").Scan(&columns); err != nil || (columns == 1) != tt.ok {
			t.Errorf("%s: %d new columns (%v)", name, columns, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if tt.ok {
			break
		}
	}
	copies, err := filepath.Glob(filepath.Join(dir, dbName+".schema-*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies are %v (%v)", copies, err)
	}
	// The copy is a database that this muster opens, with all that was in it.
	back := filepath.Join(t.TempDir(), "back")
	if err := errors.Join(os.Mkdir(back, 0o700), os.Rename(copies[0], filepath.Join(back, dbName))); err != nil {
		t.Fatal(err)
	}
	s, err = Open(back, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := noted(t, s); len(got) != 1 || got[0] != "kept" {
		t.Errorf("the copy holds %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreReadInOrderByACursor(t *testing.T) {
	s := openNew(t)
	at := time.Date(2024, 5, 6, 7, 8, 9, 123e6, time.UTC)
	write := func(e inventory.Event) error {
		return s.write(t.Context(), func(tx *sql.Tx) error {
			_, err := insertEvent(tx, e)
			return err
		})
	}
	waited := make(chan error, 1)
	go func() { waited <- s.WaitEvents(t.Context(), 0) }()
	e := inventory.Event{At: at, Kind: inventory.EventDeviceNew, DeviceID: 7, Device: "core1", Subject: "x", Data: json.RawMessage(`{"a":1}`)}
	if err := write(e); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if err := write(inventory.Event{Kind: inventory.EventStore}); err != nil {
		t.Fatal(err)
	}
	if err := write(inventory.Event{Kind: "bad", Data: json.RawMessage("{")}); err == nil {
		t.Error("an event with broken data was stored")
	}
	got, err := s.Events(t.Context(), 0, 0)
	if err != nil || len(got) != 2 {
		t.Fatalf("events are %v (%v)", got, err)
	}
	if g := got[0]; g.ID != 1 || !g.At.Equal(at) || g.Device != "core1" || g.DeviceID != 7 || string(g.Data) != `{"a":1}` {
		t.Errorf("first event is %+v", g)
	}
	if g := got[1]; g.DeviceID != 0 || g.At.IsZero() || string(g.Data) != "{}" {
		t.Errorf("second event is %+v", g)
	}
	of, err := s.EventsOf(t.Context(), 7, 0)
	if err != nil || len(of) != 1 {
		t.Errorf("events of the device are %v (%v)", of, err)
	}
	err = s.write(t.Context(), func(tx *sql.Tx) error {
		from, err := cursor(tx, "alert")
		if err != nil || from != 0 {
			t.Errorf("new cursor is %d (%v)", from, err)
		}
		return setCursor(tx, "alert", got[1].ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	if at, err := s.Cursor(t.Context(), "alert"); err != nil || at != got[1].ID {
		t.Errorf("cursor is %d (%v), want %d", at, err, got[1].ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { waited <- s.WaitEvents(ctx, got[1].ID) }()
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v", err)
	}
}

// See writerParams: the statement cache helps only where SQLite has no reason to
// compile a statement again.
func TestComparedParametersLeaveStatementsCompiled(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	bare := regexp.MustCompile(`(?:\b(?:WHERE|AND|OR|ON|WHEN)\b|\()\s*\(?[\w.]+(?: COLLATE NOCASE)? (?:=|IS) \?\d|LIMIT \?\d`)
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range bare.FindAllIndex(src, -1) {
			t.Errorf("%s:%d: %q: write +? for a parameter that is compared", file, 1+bytes.Count(src[:at[1]], []byte("\n")), src[at[0]:at[1]])
		}
	}
}

// Whatever is let go every night, what hangs on it is found by an index: reading
// all of a table for each row is nothing with ten devices and hours with ten thousand.
func TestWhatHangsOnARowIsFoundByAnIndex(t *testing.T) {
	s := openNew(t)
	const keys = `
SELECT t.name || '.' || k."from" FROM pragma_table_list t, pragma_foreign_key_list(t.name) k
WHERE t.schema = 'main' AND t.type = 'table' AND k."table" IN ('capture', 'version', 'text', 'run')`
	all, err := texts(t.Context(), s.read, keys)
	if err != nil || len(all) < 10 {
		t.Fatalf("%d references (%v)", len(all), err)
	}
	for _, key := range all {
		table, column, _ := strings.Cut(key, ".")
		var id, parent, unused int
		var plan string
		err := s.read.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN SELECT 1 FROM "+table+" WHERE "+column+" = +?1", 1).Scan(&id, &parent, &unused, &plan)
		if err != nil || !strings.HasPrefix(plan, "SEARCH") {
			t.Errorf("%s: %s (%v)", key, plan, err)
		}
	}
}
