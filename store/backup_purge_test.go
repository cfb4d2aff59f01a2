package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/backup"
)

// visitPath tells the test binary, started again, to look into this database as
// any other program does, and to end.
const visitPath = "MUSTER_TEST_VISIT"

func visit(path string) error {
	db, err := sql.Open("sqlite3", dsn(path, url.Values{}))
	if err != nil {
		return err
	}
	if _, err := db.Exec("SELECT count(*) FROM audit"); err != nil {
		return err
	}
	return db.Close()
}

// A purge reads the files of the database to search them. Where it closed them
// again, SQLite's locks would be gone, and the next program that looked into the
// database would take the write-ahead log away from under this process.
func TestPurgeKeepsTheLocksOfTheDatabase(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "r1", "192.0.2.1")
	for n := range 3 {
		attempt(t, s, d.ID, n+1, backup.Stored, time.Now())
	}
	if err := s.PurgeVersion(t.Context(), d.ID, 1, backup.Audit{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := note(s, t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.Dir(), dbName+"-wal")
	before, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), visitPath+"="+filepath.Join(s.Dir(), dbName))
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	after, err := os.Stat(log)
	if err != nil || !os.SameFile(before, after) {
		t.Fatalf("another program that looked took the write-ahead log along: %v", err)
	}
}

// A copy that was made before better rules came, as the one before a migration is,
// holds the texts packed in another way.
func TestPurgeFindsACopyFromBeforeItsTextsWerePackedAnew(t *testing.T) {
	s := openNew(t)
	d, other := newDevice(t, s, "r1", "192.0.2.1"), newDevice(t, s, "r2", "192.0.2.2")
	for n := range 3 {
		attempt(t, s, d.ID, n+1, backup.Stored, time.Now())
	}
	// Another device may say the same, and so may the startup config of this one.
	same := attemptAt(other.ID, 1, backup.Stored, time.Now())
	same.Version.Parts[0].Raw = fmt.Appendf(nil, "hostname r%d\nversion 1\nend\n", d.ID)
	same.Capture.Texts[0].Raw = same.Version.Parts[0].Raw
	if err := s.CommitBackup(t.Context(), same); err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(s.Dir(), dbName+".schema-00007")
	if err := s.Backup(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	var versions []backup.VersionTexts
	for n := range 3 {
		v, err := s.VersionTexts(t.Context(), d.ID, n+1, false)
		if err != nil {
			t.Fatal(err)
		}
		v.Derived, v.Parts[0].Redacted = "better", append(v.Parts[0].Redacted, "! by better rules\n"...)
		versions = append(versions, v)
	}
	if err := s.PutDerived(t.Context(), d.ID, versions); err != nil {
		t.Fatal(err)
	}
	err := s.PurgeVersion(t.Context(), d.ID, 2, backup.Audit{}, time.Now())
	if err == nil || !strings.Contains(err.Error(), beside+" still holds bytes") {
		t.Errorf("a copy beside the database has version 2, and the purge says: %v", err)
	}
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} {
		if err := s.PurgeVersion(t.Context(), d.ID, n, backup.Audit{}, time.Now()); err != nil {
			t.Errorf("nothing has version %d any more, and the purge says: %v", n, err)
		}
	}
}

// What a purge that could not rewrite the file tells to do has to work.
func TestPurgeIsFinishedByPurgingAgain(t *testing.T) {
	s := openNew(t)
	d := newDevice(t, s, "r1", "192.0.2.1")
	for n := range 2 {
		attempt(t, s, d.ID, n+1, backup.Stored, time.Now())
	}
	beside := filepath.Join(s.Dir(), "monday")
	if err := s.Backup(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	reader, err := s.read.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow("SELECT count(*) FROM version").Scan(&n); err != nil {
		t.Fatal(err)
	}
	s.tries = 2
	err = s.PurgeVersion(t.Context(), d.ID, 1, backup.Audit{}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "Purge again") || !strings.Contains(err.Error(), beside+" still holds") {
		t.Errorf("with a reader and a copy the purge says: %v", err)
	}
	if err != nil && strings.Contains(err.Error(), dbName+" still holds") {
		t.Errorf("somebody is told to remove the database: %v", err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.PurgeVersion(t.Context(), d.ID, 1, backup.Audit{}, time.Now()); err != nil {
		t.Errorf("purging again says: %v", err)
	}
	if mark, err := s.owed(t.Context()); err != nil || mark != "" {
		t.Errorf("a rewrite is owed still (%v)", err)
	}
	if err := s.PurgeVersion(t.Context(), d.ID, 1, backup.Audit{}, time.Now()); !errors.Is(err, backup.ErrNotStored) {
		t.Errorf("once it is done: %v, want ErrNotStored", err)
	}
}
