package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	lockName = "muster.lock"
	idName   = "muster.id"

	writable = 0x2 | 0x1 // W_OK and X_OK of access(2)
)

// Prepare makes the data directory where there is none and returns its identity,
// by which the master key's file is named, and whether it holds no database yet:
// only then may a key be made. It may be called while another process holds the
// directory.
func Prepare(dir string) (id string, fresh bool, err error) {
	if err := makeDir(dir); err != nil {
		return "", false, err
	}
	path := filepath.Join(dir, dbName)
	fresh, err = headerFits(path)
	if err != nil {
		return "", false, err
	}
	if !fresh {
		id, err := readID(path)
		if err != nil {
			return "", false, err
		}
		if id != "" {
			return id, false, nil
		}
		// The first start was cut short between the file and its schema: begin again.
		fresh = true
	}
	id, err = keepID(filepath.Join(dir, idName))
	return id, fresh, err
}

// Begun reports whether a directory holds a database; it makes nothing.
func Begun(dir string) (bool, error) {
	fresh, err := headerFits(filepath.Join(dir, dbName))
	return !fresh, err
}

// makeDir makes dir with 0700, or makes it so. A wider directory that holds
// other people's files is refused: closing it could break what uses them.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w. Give a directory that you may write with --dir", err)
	}
	// Before SQLite looks: of a directory in which it may make no file beside the
	// database it says only that it cannot open it.
	if err := syscall.Access(dir, writable); err != nil {
		return fmt.Errorf("%s cannot be written: %w. Let muster write there (is the file system mounted read-only?), or give another directory with --dir", dir, err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if st.Mode().Perm()&0o077 == 0 {
		return nil
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	ours := len(names) == 0
	for _, n := range names {
		// muster init has begun its settings there: .muster-….yaml.
		ours = ours || strings.HasPrefix(n.Name(), "muster.") || strings.HasPrefix(n.Name(), ".muster-")
	}
	if !ours {
		return fmt.Errorf("%s holds other files and may be read by others (%#o). Give muster a directory of its own with --dir, or close this one: chmod 700 %s", dir, st.Mode().Perm(), dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("%s may be read by others (%#o), and closing it did not work: %w", dir, st.Mode().Perm(), err)
	}
	return nil
}

// headerFits looks at the first bytes of a file before SQLite does, so that a
// foreign one is not touched. An absent or empty file is fresh.
// https://www.sqlite.org/fileformat.html#the_database_header
func headerFits(path string) (fresh bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the database: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	var header [100]byte
	n, err := io.ReadFull(f, header[:])
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return true, nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return false, fmt.Errorf("read the database: %w", err)
	case !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")),
		binary.BigEndian.Uint32(header[68:72]) != applicationID:
		return false, refuse(ErrNotOurs, "%s is not a muster database. Give another directory with --dir, or move the file away", path)
	}
	return false, nil
}

// fileIsWhole holds the size of a database against what its header says: SQLite
// opens one that was cut, and misses the end only when it comes to it. As long as
// there is a write-ahead log, pages may be there alone.
// https://www.sqlite.org/fileformat.html#in_header_database_size
func fileIsWhole(path string) error {
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); errors.Is(err, io.EOF) {
		return nil // empty: it is made now
	} else if err != nil {
		return unreadable(path, err)
	}
	valid := bytes.Equal(header[24:28], header[92:96])
	want := int64(binary.BigEndian.Uint32(header[28:])) * int64(binary.BigEndian.Uint16(header[16:]))
	if valid && st.Size() < want {
		return refuse(ErrDamaged, "%s is damaged: it has %d bytes of %d, the rest was cut off. Restore the newest copy with muster self restore", path, st.Size(), want)
	}
	return nil
}

// readID reads the identity from an existing database; "" where its first
// migration has not happened.
func readID(path string) (string, error) {
	db, err := sql.Open("sqlite3", dsn(path, readerParams()))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = db.Close() }() // only read
	var there int
	if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'").Scan(&there); err != nil {
		return "", unreadable(path, err)
	}
	if there == 0 {
		return "", nil
	}
	var id string
	err = db.QueryRowContext(context.Background(), "SELECT value FROM meta WHERE name = 'id'").Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", unreadable(path, err)
	}
	return id, nil
}

// keepID reads the identity of a directory that has no database yet, or makes
// it. The file lets a first start that was cut short find the key that it made.
func keepID(path string) (string, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	id := hex.EncodeToString(b[:])
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(id + "\n")
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path) // half an identity is none
			return "", fmt.Errorf("write the directory's identity: %w", err)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("write the directory's identity: %w. Give a directory that you may write with --dir", err)
	}
	for range 20 { // another process may be writing it at this moment
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the directory's identity: %w", err)
		}
		id := strings.TrimSpace(string(text))
		if _, err := hex.DecodeString(id); err == nil && len(id) == 2*len(b) {
			return id, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", refuse(ErrDamaged, "%s holds no identity of a data directory. Remove the file: there is no database yet that it could belong to", path)
}

// lock is the hold of one process on a directory: flock(2) on a file that says
// who holds it. The kernel lets go when the process ends, however it ends; the
// pid that stays in the file then tells of an unclean stop.
type lock struct {
	f       *os.File
	unclean bool
}

// takeLock takes the directory or answers ErrLocked with the holder's pid.
func takeLock(dir string) (*lock, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w. Give a directory that you may write with --dir", err)
	}
	said, readErr := io.ReadAll(io.LimitReader(f, 32))
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for range 5 { // Holder, in another process, takes the lock for an instant to look
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		time.Sleep(5 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, refuse(ErrLocked, "%s is in use by the process %s. Commands reach it over its socket; to start another server, stop that one or give another --dir", dir, holder(said))
		}
		return nil, fmt.Errorf("lock %s: %w. The data directory must be on a local file system", path, err)
	}
	// Read again under the lock: the holder may have ended in between.
	if _, err := f.Seek(0, io.SeekStart); err == nil {
		said, readErr = io.ReadAll(io.LimitReader(f, 32))
	}
	l := &lock{f: f, unclean: len(said) > 0 || readErr != nil}
	if err := l.say(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l, nil
}

// Holder returns the pid of the process that holds dir, and 0 where none does.
func Holder(dir string) (int, error) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at the lock of the data directory: %w", err)
	}
	defer func() { _ = f.Close() }() // only read; lets a shared lock go as well
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return 0, nil
	}
	said, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, fmt.Errorf("read the lock of the data directory: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(said)))
	if err != nil {
		return -1, nil // held, by somebody who has not said who yet
	}
	return pid, nil
}

func holder(said []byte) string {
	if pid := strings.TrimSpace(string(said)); pid != "" {
		return pid
	}
	return "that is just starting"
}

func (l *lock) say(text string) error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(text), 0)
	return err
}

// release gives the directory back; clean says that nothing needs a check.
func (l *lock) release(clean bool) {
	if clean || !l.unclean {
		_ = l.say("") // a pid that stays costs one quick_check, nothing more
	}
	_ = l.f.Close() // lets the lock go
}
