package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"muster/internal/api"
	"muster/internal/secret"
	"muster/store"
)

// Restore makes a copy that [App.SelfBackup] wrote the database of a directory
// that has none. The copy is checked with the master key before it counts; where
// it does not fit, the directory is as it was.
func Restore(ctx context.Context, o Options, file string) (string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return "", err
	}
	database := filepath.Join(o.Dir, "muster.db")
	if _, err := os.Lstat(database); !errors.Is(err, fs.ErrNotExist) {
		return "", refuse("%s is there already; move it away first, with muster.db-wal and muster.db-shm beside it, or give another --dir", database)
	}
	// SQLite would play the log of the old database into the copy, which is neither then.
	for _, log := range []string{database + "-wal", database + "-shm", database + "-journal"} {
		if _, err := os.Lstat(log); !errors.Is(err, fs.ErrNotExist) {
			return "", refuse("%s is there still and belongs to another muster.db; move it away too, or give another --dir", log)
		}
	}
	// On an empty machine there are none yet; all that counts of them is the key's place.
	keyAt, next := "", fmt.Sprintf("put your settings at %s, or write new ones with muster init", o.Config)
	if isFile(o.Config) {
		set, err := readSettings(o.Config)
		if err != nil {
			return "", err
		}
		keyAt, next = set.Key, "muster status"
	}
	// Tried beside the directory's place, so that what is wrong stays outside.
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return "", refuse("%v; give a directory that you may write with --dir", err)
	}
	trial, err := os.MkdirTemp(o.Dir, ".restore-")
	if err != nil {
		return "", refuse("%v; give a directory that you may write with --dir", err)
	}
	defer os.RemoveAll(trial)
	if err := copyFile(filepath.Join(trial, "muster.db"), file); err != nil {
		return "", err
	}
	there := o
	there.Dir = trial
	found, err := locateKey(there, keyAt)
	if err != nil {
		return "", err
	}
	if found.Made { // an empty file is no copy; its key is of no use
		_ = os.Remove(found.Path)
		return "", refuse("%s is no copy of a muster database; muster self backup writes one", file)
	}
	if err := tryCopy(ctx, trial, found.Key, o); err != nil {
		return "", err
	}
	if err := os.Link(filepath.Join(trial, "muster.db"), database); err != nil { // unlike a rename, it replaces nothing
		return "", fmt.Errorf("put the copy in its place: %w", err)
	}
	if err := store.SyncDir(o.Dir); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is the database of %s now, checked and whole; next: %s", file, o.Dir, next), nil
}

// tryCopy opens a copy with its key, reads all of it and closes it again.
func tryCopy(ctx context.Context, dir string, key secret.Key, o Options) error {
	st, err := store.Open(dir, key, store.Options{Now: o.Now})
	if err != nil {
		return asUsage(err)
	}
	problems, err := st.Verify(ctx)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	if len(problems) > 0 {
		p := problems[0]
		return &api.Error{Message: fmt.Sprintf("the copy is not whole (%s of %s: %s, and %s in all); use another", p.What, p.Of, p.Seen, counted(len(problems), "fault")), Exit: 1}
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return refuse("%v; name a copy that muster self backup wrote", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return nil
}
