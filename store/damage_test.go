package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/secret"
)

// TestDamagedFileNeverGivesAWrongVersion flips bytes all over a database and cuts
// it: it is refused, or verify says what is wrong, or every version is as it was.
func TestDamagedFileNeverGivesAWrongVersion(t *testing.T) {
	text, err := os.ReadFile("testdata/schema-00005.key")
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(t.TempDir(), "muster")
	unpack(t, "testdata/schema-00005.db.gz", first)
	whole, err := os.ReadFile(filepath.Join(first, dbName))
	if err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, file []byte, unclean bool) (*Store, error) {
		dir := filepath.Join(t.TempDir(), "muster")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		overwrite(t, dir, file)
		if unclean {
			if err := os.WriteFile(filepath.Join(dir, lockName), []byte("1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return Open(dir, key, Options{Log: slog.New(slog.DiscardHandler)})
	}
	s, err := open(t, whole, false)
	if err != nil {
		t.Fatal(err)
	}
	want := versionsSum(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	damages := map[string][]byte{}
	for i := range 48 {
		at := (i*2 + 1) * len(whole) / 96
		file := append([]byte(nil), whole...)
		file[at] ^= 1 << (i % 8)
		damages[fmt.Sprintf("bit %d of byte %d", i%8, at)] = file
	}
	for _, at := range []int{0, 60, 100, pageSize, len(whole) / 2, len(whole) - pageSize, len(whole) - 1} {
		damages[fmt.Sprintf("cut after %d bytes", at)] = whole[:at]
	}
	refused, found := 0, 0
	for name, file := range damages {
		for _, unclean := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unclean %t", name, unclean), func(t *testing.T) {
				s, err := open(t, file, unclean)
				if err != nil {
					refused++
					if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), dbName) {
						t.Errorf("refused without clear words: %v", err)
					}
					return
				}
				defer func() { _ = s.Close() }() // what it says of a damaged file is beside the point
				problems, err := s.Verify(t.Context())
				switch {
				case err != nil:
					t.Errorf("verify does not tell, it ends with: %v", err)
				case len(problems) > 0:
					found++
				case len(file) == 0: // a new database
				case versionsSum(t, s) != want:
					t.Error("verify finds nothing, and the versions are others")
				}
			})
		}
	}
	t.Logf("%d damages: %d times refused, %d times found by verify", len(damages), refused, found)
	if refused == 0 || found == 0 {
		t.Error("the damages do not reach what they are to show")
	}
}

// versionsSum is a digest of all versions, or why they cannot be read.
func versionsSum(t *testing.T, s *Store) string {
	t.Helper()
	sum := sha256.New()
	ids, err := texts(t.Context(), s.read, "SELECT device_id || ' ' || number FROM version ORDER BY 1")
	if err != nil {
		return err.Error()
	}
	for _, id := range ids {
		var device int64
		var number int
		if _, err := fmt.Sscan(id, &device, &number); err != nil {
			t.Fatal(err)
		}
		v, err := s.VersionTexts(t.Context(), device, number, true)
		if err != nil {
			return err.Error()
		}
		for _, p := range v.Parts {
			fmt.Fprintf(sum, "%s %s %q %q\n", id, p.Part, p.Raw, p.Redacted)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}
