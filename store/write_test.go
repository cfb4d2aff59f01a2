package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"muster/internal/secret"
)

// together opens a store, keeps its writer inside a write, starts all the others
// and lets go when every one of them waits: they share batches as far as these
// go. It returns their errors.
func together(t *testing.T, s *Store, writes ...func(tx *sql.Tx) error) []error {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	errs := make([]error, len(writes))
	var all sync.WaitGroup
	all.Go(func() {
		err := s.write(t.Context(), func(*sql.Tx) error {
			close(in)
			<-out
			return nil
		})
		if err != nil {
			t.Logf("the write that held the writer: %v", err)
		}
	})
	<-in
	for i, do := range writes {
		all.Go(func() { errs[i] = s.write(t.Context(), do) })
	}
	synctest.Wait()
	close(out)
	all.Wait()
	return errs
}

// bubble runs f with a new store whose goroutines synctest can see.
func bubble(t *testing.T, f func(t *testing.T, s *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, openNew(t)) })
}

func inserts(action string) func(*sql.Tx) error {
	return func(tx *sql.Tx) error { return insertAudit(tx, AuditEntry{Action: action, Subject: "test"}) }
}

func TestWritesThatWaitShareCommits(t *testing.T) {
	for _, n := range []int{1, batchMax - 1, 2*batchMax + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *Store) {
				writes := make([]func(*sql.Tx) error, n)
				for i := range writes {
					writes[i] = inserts(fmt.Sprint(i))
				}
				before := s.commits.Load()
				for i, err := range together(t, s, writes...) {
					if err != nil {
						t.Errorf("write %d: %v", i, err)
					}
				}
				want := int64((n + 1 + batchMax - 1) / batchMax) // the holding write is one too
				if got := s.commits.Load() - before; got != want {
					t.Errorf("%d writes took %d commits, want %d", n+1, got, want)
				}
				if got := len(noted(t, s)); got != n {
					t.Errorf("%d of %d are stored", got, n)
				}
			})
		})
	}
}

func TestFailedWriteTakesBackItsOwnPartOnly(t *testing.T) {
	bubble(t, func(t *testing.T, s *Store) {
		broken := errors.New("broken on purpose")
		errs := together(t, s,
			inserts("good-1"),
			func(tx *sql.Tx) error { return errors.Join(inserts("fails")(tx), broken) },
			func(tx *sql.Tx) error { _ = inserts("panics")(tx); panic("on purpose") },
			func(tx *sql.Tx) error { _, err := tx.Exec("INSERT INTO nowhere VALUES (1)"); return err },
			inserts("good-2"),
		)
		if errs[0] != nil || errs[4] != nil {
			t.Errorf("the good writes answer %v and %v", errs[0], errs[4])
		}
		if !errors.Is(errs[1], broken) {
			t.Errorf("the failed write answers %v", errs[1])
		}
		if errs[2] == nil || !strings.Contains(errs[2].Error(), "on purpose") || strings.Contains(errs[2].Error(), "\n") {
			t.Errorf("the write that panicked answers %v, want one line for people", errs[2])
		}
		if errs[3] == nil {
			t.Error("the write to a missing table was acknowledged")
		}
		got := noted(t, s)
		slices.Sort(got)
		if !slices.Equal(got, []string{"good-1", "good-2"}) {
			t.Errorf("stored are %v", got)
		}
	})
}

func TestBatchThatIsLostAcknowledgesNobody(t *testing.T) {
	bubble(t, func(t *testing.T, s *Store) {
		errs := together(t, s,
			inserts("good-1"),
			func(tx *sql.Tx) error { // as SQLite does by itself when the disk is full
				_, err := tx.Exec("ROLLBACK")
				return errors.Join(errors.New("disk full"), err)
			},
			inserts("good-2"),
		)
		// Who wrote in the lost batch was not acknowledged; who came after it was.
		acknowledged := 0
		for _, err := range errs {
			if err == nil {
				acknowledged++
			}
		}
		if errs[1] == nil {
			t.Error("the write that lost its transaction was acknowledged")
		}
		if got := len(noted(t, s)); got != acknowledged {
			t.Errorf("%d were acknowledged, %d are stored", acknowledged, got)
		}
		if err := note(s, t.Context(), "after"); err != nil {
			t.Errorf("the writer does not go on: %v", err)
		}
	})
}

func TestContextThatEndedBeforeMeansNeverRun(t *testing.T) {
	s := openNew(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	err := s.write(ctx, func(*sql.Tx) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("ran %t, %v", ran, err)
	}
}

func TestContextThatEndsAfterTheStartDoesNotUndo(t *testing.T) {
	s := openNew(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, func(tx *sql.Tx) error {
		cancel()
		return insertAudit(tx, AuditEntry{Action: "begun", Subject: "test"})
	})
	if err != nil || !slices.Equal(noted(t, s), []string{"begun"}) {
		t.Errorf("answer %v, stored %v", err, noted(t, s))
	}
}

func TestReadersDoNotWaitForAWriter(t *testing.T) {
	s := openNew(t)
	if err := note(s, t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	err := s.write(t.Context(), func(tx *sql.Tx) error {
		if err := inserts("inside")(tx); err != nil {
			return err
		}
		if got := noted(t, s); !slices.Equal(got, []string{"before"}) {
			t.Errorf("a reader sees %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := noted(t, s); !slices.Equal(got, []string{"before", "inside"}) {
		t.Errorf("after the acknowledgement a reader sees %v", got)
	}
}

func TestCloseAnswersEveryWrite(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "muster"), secret.NewKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var answered sync.WaitGroup
	started := make(chan struct{}, 20)
	for i := range 20 {
		answered.Go(func() {
			for {
				err := note(s, context.Background(), fmt.Sprint(i))
				select {
				case started <- struct{}{}:
				default:
				}
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("write during Close: %v", err)
					}
					return
				}
			}
		})
	}
	<-started
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	answered.Wait()
}

func TestLargeBlobsDoNotStayInTheLog(t *testing.T) {
	s := openNew(t)
	err := s.write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ('big', hex(zeroblob(?1)))", walMax)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// The log is folded by the writer after the acknowledgement: the next thing
	// that it answers comes later.
	if err := s.alone(t.Context(), func(context.Context, *sql.DB) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n := s.walSize(); n > walMax {
		t.Errorf("write-ahead log is still %d bytes", n)
	}
}

// TestWritesUseNoContextInside reads the source: a statement with a context
// inside a batch lets one caller's cancelled request roll back everybody's.
func TestWritesUseNoContextInside(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			on, ok := sel.X.(*ast.Ident)
			if ok && on.Name == "tx" && strings.HasSuffix(sel.Sel.Name, "Context") {
				t.Errorf("%s: tx.%s takes a context inside a batch", set.Position(call.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}
