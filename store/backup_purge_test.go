package store

import (
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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
