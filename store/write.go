package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mattn/go-sqlite3"
)

const (
	batchMax   = 50                     // writes a commit; more would make the first one wait long for its acknowledgement
	batchTime  = 200 * time.Millisecond // after it a batch takes no further write
	walMax     = 16 << 20               // bytes; a longer WAL is folded back: every reader has to look through it
	walBackoff = time.Second            // between two attempts to fold, while a reader holds on to the WAL
)

// request is one write on its way to the writer goroutine.
type request struct {
	ctx   context.Context
	do    func(*sql.Tx) error                  // inside a batch
	alone func(context.Context, *sql.DB) error // or outside any transaction
	err   error                                // of do or alone
	done  chan struct{}                        // closed when err is final
}

// write runs do in a transaction that it shares with other writes, and returns
// after the commit: nil means that it is on disk. Where do returns an error or
// panics, its own changes are taken back and nobody else's, and write returns
// that error.
//
// A ctx that ends before do was started means that do never runs; afterwards it
// changes nothing. Inside do use only tx, and its methods without a context:
// SQLite answers an interrupted statement by rolling back the whole batch. do
// must close its rows, must not end tx, and must not compress, encrypt or wait.
func (s *Store) write(ctx context.Context, do func(tx *sql.Tx) error) error {
	return s.hand(&request{ctx: ctx, do: do, done: make(chan struct{})})
}

// deleteAtOnce is how many rows without others below them one write deletes: some
// milliseconds.
const deleteAtOnce = 1000

// deleteRows deletes the rows whose ids query finds, and returns how many they
// were; del takes ids as a JSON array. Each part of atOnce rows is a write of its own,
// so that others come in between. A row must not begin to be needed after it was found.
func (s *Store) deleteRows(ctx context.Context, atOnce int, del, query string, args ...any) (n int64, err error) {
	var ids []int64
	err = s.view(ctx, func(tx *sql.Tx) (err error) {
		ids, err = idsOf(tx, query, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(ids, atOnce) {
		list, err := json.Marshal(part)
		if err != nil {
			return n, err
		}
		err = s.write(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec(del, string(list))
			return err
		})
		if err != nil {
			return n, err
		}
		n += int64(len(part))
	}
	return n, nil
}

// alone runs do on the writing connection outside any transaction, for what
// SQLite wants so: VACUUM, checkpoints. All writes wait meanwhile.
func (s *Store) alone(ctx context.Context, do func(ctx context.Context, db *sql.DB) error) error {
	return s.hand(&request{ctx: ctx, alone: do, done: make(chan struct{})})
}

// hand gives r to the writer and waits for its answer. The queue has no buffer:
// what the writer took, it answers, and what it did not take has not begun.
func (s *Store) hand(r *request) error {
	select {
	case <-s.quit:
		return ErrClosed
	default:
	}
	select {
	case s.queue <- r:
		<-r.done
		return r.err
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case <-s.quit:
		return ErrClosed
	}
}

// writer is the one goroutine that writes. It ends after Close.
func (s *Store) writer() {
	defer close(s.done)
	var next *request
	var folded time.Time
	for {
		if next == nil {
			select {
			case next = <-s.queue:
			case <-s.quit:
				return
			}
		}
		if next.alone != nil {
			next.err = s.contain(func() error { return next.alone(next.ctx, s.w) })
			s.tell()
			close(next.done)
			next = nil
			continue
		}
		next = s.batch(next)
		if time.Since(folded) > walBackoff && s.walSize() > walMax {
			folded = time.Now()
			s.fold()
		}
	}
}

// batch commits first and what waits behind it, acknowledges all, and returns
// the request that ended the batch because it must run alone.
func (s *Store) batch(first *request) (next *request) {
	begun := time.Now()
	// Not the context of any request: a batch belongs to all of them.
	tx, err := s.w.BeginTx(context.Background(), nil)
	if err != nil {
		first.err = s.unwritten(err)
		close(first.done)
		return nil
	}
	ran := []*request{first}
	whole := s.part(tx, first)
	yielded := false
collect:
	for whole == nil && len(ran) < batchMax && time.Since(begun) < batchTime {
		select {
		case r := <-s.queue:
			if r.alone != nil {
				next = r
				break collect
			}
			ran = append(ran, r)
			whole = s.part(tx, r)
			yielded = false
		default:
			// Whoever is about to write gets a processor first: this costs nothing
			// where nobody is, and makes one commit of many where all are busy.
			if yielded {
				break collect
			}
			runtime.Gosched()
			yielded = true
		}
	}
	if whole == nil {
		whole = tx.Commit()
		s.commits.Add(1)
	} else {
		_ = tx.Rollback() // it may have happened already; whole says why
	}
	for _, r := range ran {
		if whole != nil && r.err == nil {
			r.err = s.unwritten(whole)
		}
	}
	if whole != nil {
		s.log.Error("nothing of a batch was stored", "writes", len(ran), "err", whole)
	}
	s.tell()
	s.announce() // before the acknowledgements, so that who was acknowledged sees readers awake
	for _, r := range ran {
		close(r.done)
	}
	return next
}

// unwritten says why a batch was not stored, and what helps where that is known.
// The next write tries again.
func (s *Store) unwritten(err error) error {
	mend := ""
	if e, ok := errors.AsType[sqlite3.Error](err); ok {
		switch e.Code {
		case sqlite3.ErrFull:
			mend = ". Make room on the disk of " + s.dir + "; muster goes on by itself"
		case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrCantOpen:
			mend = ". Let muster write in " + s.dir + "; it goes on by itself"
		case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
			return fmt.Errorf("write to %s: %w", dbName, damaged(err))
		case sqlite3.ErrIoErr:
			mend = ". Look at the disk of " + s.dir + " and its free room, then run muster verify"
		}
	}
	return fmt.Errorf("write to %s: %w%s", dbName, err, mend)
}

// part runs one request under a savepoint of its own. Its result is an error of
// the whole batch: the transaction is gone or cannot be trusted any more.
func (s *Store) part(tx *sql.Tx, r *request) error {
	if r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
		return nil
	}
	if _, err := tx.Exec("SAVEPOINT part"); err != nil {
		return err
	}
	if r.err = s.contain(func() error { return r.do(tx) }); r.err != nil {
		// A full disk or an interrupt has rolled everything back by itself; then
		// there is no savepoint to return to.
		if _, err := tx.Exec("ROLLBACK TO part"); err != nil {
			return errors.Join(r.err, err)
		}
	}
	_, err := tx.Exec("RELEASE part")
	return err
}

// contain turns a panic into an error: one caller's mistake must not end the
// writer and with it everybody's acknowledgements. The error is shown to people;
// where it happened is for the log.
func (s *Store) contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a write panicked", "err", p, "seen", string(debug.Stack()))
			err = fmt.Errorf("muster's own fault, please report it: a write panicked: %v", p)
		}
	}()
	return f()
}

// announce wakes whoever waits for a commit.
func (s *Store) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.committed)
	s.committed = make(chan struct{})
}

// nextCommit returns a channel that is closed after the next commit.
func (s *Store) nextCommit() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed
}

func (s *Store) walSize() int64 {
	st, err := os.Stat(filepath.Join(s.dir, dbName+"-wal"))
	if err != nil {
		return 0 // no WAL, nothing to fold
	}
	return st.Size()
}

// fold writes the WAL back into the database and cuts it to nothing, which
// SQLite's own checkpoints never do. A reader in the way is not waited for: the
// next commit tries again.
func (s *Store) fold() {
	ctx := context.Background()
	conn, err := s.w.Conn(ctx)
	if err != nil {
		s.log.Warn("write-ahead log was not folded", "err", err)
		return
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool
	for _, pragma := range []string{
		"PRAGMA busy_timeout = 20",
		"PRAGMA wal_checkpoint(TRUNCATE)",
		fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout),
	} {
		if _, err := conn.ExecContext(ctx, pragma); err != nil {
			s.log.Warn("write-ahead log was not folded", "err", err)
		}
	}
}

// ms is how times are stored: Unix milliseconds, UTC.
func ms(t time.Time) int64 { return t.UnixMilli() }

// fromMs undoes ms.
func fromMs(v int64) time.Time { return time.UnixMilli(v).UTC() }

// msOrNull is ms with NULL for the zero time.
func msOrNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// fromMsOrNull undoes msOrNull.
func fromMsOrNull(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return fromMs(v.Int64)
}
