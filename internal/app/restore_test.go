package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/api"
	"muster/internal/secret"
	"muster/store"
)

// A machine dies, its muster.db is moved away, and what SQLite kept beside it is
// not: played into the copy it made a malformed database.
func TestRestoreGoesNowhereBesideAnotherDatabasesFiles(t *testing.T) {
	top := t.TempDir()
	key, keyFile, copied := secret.NewKey(), filepath.Join(top, "key"), filepath.Join(top, "copy.db")
	if err := os.WriteFile(keyFile, key.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(top, "old"), key, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		left string // in the directory; empty: nothing
		says string
	}{
		"nothing":          {"", ""},
		"the database":     {"muster.db", "move it away first"},
		"its log":          {"muster.db-wal", "move it away too"},
		"its index":        {"muster.db-shm", "move it away too"},
		"rollback journal": {"muster.db-journal", "move it away too"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			left := filepath.Join(dir, tt.left)
			if tt.left != "" {
				if err := os.WriteFile(left, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			said, err := Restore(t.Context(), Options{Dir: dir, Key: keyFile, Config: filepath.Join(top, "none.yaml")}, copied)
			if tt.left == "" {
				if err != nil || !strings.Contains(said, "checked and whole") {
					t.Errorf("Restore = %q, %v, want the copy in its place", said, err)
				}
				return
			}
			e, ok := errors.AsType[*api.Error](err)
			if !ok || e.Exit != 2 || !strings.Contains(e.Message, left+" is there") || !strings.Contains(e.Message, tt.says) {
				t.Errorf("Restore = %q, %v, want a refusal that names %s and says %q", said, err, left, tt.says)
			}
			all, err := os.ReadDir(dir)
			if err != nil || len(all) != 1 {
				t.Errorf("the directory holds %v, %v, want only %s", all, err, tt.left)
			}
		})
	}
}
