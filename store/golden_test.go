package store

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/secret"
	"muster/inventory"
)

// TestDatabaseOfEveryReleaseIsMigrated opens what each released schema left: the
// demo's database, kept as CONTRIBUTING.md says ("Releases").
func TestDatabaseOfEveryReleaseIsMigrated(t *testing.T) {
	files, err := filepath.Glob("testdata/schema-*.db.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no database of a release (%v)", err)
	}
	for _, file := range files {
		schema := strings.TrimSuffix(filepath.Base(file), ".db.gz")
		t.Run(schema, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "muster")
			unpack(t, file, dir)
			text, err := os.ReadFile(filepath.Join("testdata", schema+".key"))
			if err != nil {
				t.Fatal(err)
			}
			key, err := secret.ParseKey(text)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, key, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
				t.Errorf("verify found %v (%v)", found, err)
			}
			if schema < "schema-00006" { // what older texts say of their last change is still to be read
				all, err := s.Derivations(t.Context())
				if err != nil || len(all) == 0 || slices.ContainsFunc(all, func(d backup.Derivation) bool { return d.Derived != "" }) {
					t.Errorf("texts that nobody would derive anew: %v (%v)", all, err)
				}
			}
			if n := readAll(t, s); n < 10 {
				t.Errorf("%d versions were read, the demo keeps more", n)
			}
			alerts, err := s.Alerts(t.Context(), alert.Filter{})
			if err != nil || len(alerts) == 0 {
				t.Errorf("%d alerts were read (%v)", len(alerts), err)
			}
			runs, err := s.Runs(t.Context(), "", 0)
			if err != nil || len(runs) == 0 {
				t.Errorf("%d runs were read (%v)", len(runs), err)
			}
			for _, r := range runs {
				if tasks, err := s.RunTasks(t.Context(), r.ID); err != nil || len(tasks) < r.Done {
					t.Errorf("run %d has %d tasks, %d were done (%v)", r.ID, len(tasks), r.Done, err)
				}
			}
			if err := note(s, t.Context(), "goes on"); err != nil {
				t.Errorf("it cannot be written to: %v", err)
			}
		})
	}
}

// unpack makes a data directory of a packed database.
func unpack(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err := errors.Join(err, os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	overwrite(t, dir, text)
}

// readAll reads every version of every device, raw texts too.
func readAll(t *testing.T, s *Store) (n int) {
	t.Helper()
	var devices []inventory.Device
	view(t, s, func(r inventory.Reader) (err error) {
		devices, err = r.Devices()
		return err
	})
	for _, d := range devices {
		numbers, err := texts(t.Context(), s.read, "SELECT CAST(number AS TEXT) FROM version WHERE device_id = +?1", d.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range numbers {
			var number int
			if _, err := fmt.Sscan(text, &number); err != nil {
				t.Fatal(err)
			}
			v, err := s.VersionTexts(t.Context(), d.ID, number, true)
			if err != nil || len(v.Parts) == 0 || len(v.Parts[0].Raw) == 0 || len(v.Parts[0].Redacted) == 0 {
				t.Errorf("version %d of %s: %d parts (%v)", number, d.Name, len(v.Parts), err)
			}
			n++
		}
	}
	return n
}
