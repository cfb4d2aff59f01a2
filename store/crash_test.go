package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"muster/internal/secret"
)

// crashDir tells the test binary, started again, to write into this directory
// until it is killed.
const crashDir, crashKey = "MUSTER_TEST_CRASH_DIR", "MUSTER_TEST_CRASH_KEY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	if path := os.Getenv(visitPath); path != "" {
		if err := visit(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// writeUntilKilled writes from many goroutines and prints what was acknowledged.
func writeUntilKilled(dir string) error {
	key, err := secret.ParseKey([]byte(os.Getenv(crashKey)))
	if err != nil {
		return err
	}
	s, err := Open(dir, key, Options{})
	if err != nil {
		return err
	}
	acknowledged := make(chan string)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				action := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := note(s, context.Background(), action); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				acknowledged <- action
			}
		}()
	}
	for action := range acknowledged {
		if _, err := fmt.Println(action); err != nil {
			return err
		}
	}
	return nil
}

func TestAcknowledgedWritesSurviveSIGKILL(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "muster"), secret.NewKey()
	acknowledged := make(map[string]bool)
	for _, lines := range []int{1, 300, 1000} { // killed early, and in full run
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir, crashKey+"="+string(key.File()))
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		read := bufio.NewScanner(out)
		for n := 0; read.Scan(); n++ {
			if n == lines {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
			// What it said after the signal was sent counts as well.
			acknowledged[read.Text()] = true
		}
		if err := cmd.Wait(); err == nil || said.Len() > 0 {
			t.Fatalf("child ended with %v and said %q", err, said.String())
		}

		s, err := Open(dir, key, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !s.lock.unclean {
			t.Error("the unclean stop was not noticed")
		}
		stored := make(map[string]bool)
		for _, action := range noted(t, s) {
			stored[action] = true
		}
		for action := range acknowledged {
			if !stored[action] {
				t.Errorf("%s was acknowledged and is lost", action)
			}
		}
		if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
			t.Errorf("verify found %v (%v)", found, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 1300 {
		t.Errorf("only %d writes were acknowledged before the kills", len(acknowledged))
	}
}

func TestBackupIsWholeAndReplacesAtOnce(t *testing.T) {
	s := openNew(t)
	if err := s.SetSecret(t.Context(), "noc", secret.New("FAKE-open-sesame"), ""); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "back?up#100%41") // names that a URI would read otherwise
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, dbName)
	if err := os.WriteFile(path, []byte("an older copy"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("copy is %v (%v), want 0600", st.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "FAKE-open-sesame") {
		t.Errorf("the copy shows a secret (%v)", err)
	}
	copied, err := Open(dir, s.key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := copied.Secret(t.Context(), "noc")
	if err != nil || v.Reveal() != "FAKE-open-sesame" || copied.ID() != s.ID() {
		t.Errorf("copy %s of %s: %v", copied.ID(), s.ID(), err)
	}
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, path+"-2"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled copy answers %v", err)
	}
	if left, err := filepath.Glob(path + "-2*"); err != nil || len(left) > 0 {
		t.Errorf("a cancelled copy left %v (%v)", left, err)
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	tests := map[string]struct{ damage, what string }{
		"a damaged secret":       {"UPDATE sealed SET blob = zeroblob(80) WHERE purpose = 'secret'", "secret"},
		"a secret moved to name": {"UPDATE sealed SET name = 'other' WHERE purpose = 'secret'", "secret"},
		"a row without its parent": {
			"PRAGMA foreign_keys = off; CREATE TABLE child (p INTEGER REFERENCES event (id)); INSERT INTO child VALUES (7)", "reference",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, key := filepath.Join(t.TempDir(), "muster"), secret.NewKey()
			s, err := Open(dir, key, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SetSecret(t.Context(), "noc", secret.New("FAKE"), ""); err != nil {
				t.Fatal(err)
			}
			if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
				t.Fatalf("a good store: %v (%v)", found, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			sqlIn(t, dir, tt.damage)
			if s, err = Open(dir, key, Options{}); err != nil {
				t.Fatal(err)
			}
			found, err := s.Verify(t.Context())
			if err != nil || len(found) != 1 || found[0].What != tt.what {
				t.Errorf("found %v (%v), want one %s", found, err, tt.what)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
