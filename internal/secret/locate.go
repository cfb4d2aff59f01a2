package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// CredentialName is the name of the master key among the credentials of a
// systemd unit (LoadCredential=muster.key:…).
const CredentialName = "muster.key"

// ErrKeyLost: the data directory was made with a key, and there is none where it
// was looked for. Nothing is made in its place: it could not open anything.
var ErrKeyLost = errors.New("the master key is lost")

// Places are where the master key of a data directory may be, in this order. The
// first that is named counts, also when nothing is there: a key elsewhere would
// be another one.
type Places struct {
	Flag     string // --key: a file
	Env      string // MUSTER_KEY: a file, or the key itself
	Settings string // key: in muster.yaml: a file

	Credentials string // $CREDENTIALS_DIRECTORY of a systemd unit; counts where it holds CredentialName
	ConfigDir   string // muster's own directory among the user's settings; the file there is named by ID

	Dir   string // the data directory, for messages
	ID    string // its identity
	Fresh bool   // it holds nothing yet: a missing key may be made
}

// Found is a master key and where it came from.
type Found struct {
	Key  Key
	Path string // "" where MUSTER_KEY held the key itself
	From string // the place, for people: "--key", "MUSTER_KEY", "key: in muster.yaml", …
	Made bool   // it is new: tell people to keep a copy
}

// Locate finds the master key, and makes it for a new data directory.
func Locate(p Places) (Found, error) {
	if strings.HasPrefix(strings.TrimSpace(p.Env), keyPrefix) && p.Flag == "" {
		key, err := ParseKey([]byte(p.Env))
		if err != nil {
			return Found{}, fmt.Errorf("MUSTER_KEY: %w", err)
		}
		return Found{Key: key, From: "MUSTER_KEY"}, nil
	}
	f := Found{}
	switch credential := filepath.Join(p.Credentials, CredentialName); {
	case p.Flag != "":
		f.Path, f.From = p.Flag, "--key"
	case p.Env != "":
		f.Path, f.From = p.Env, "MUSTER_KEY"
	case p.Settings != "":
		f.Path, f.From = p.Settings, "key: in muster.yaml"
	case p.Credentials != "" && exists(credential):
		f.Path, f.From = credential, "systemd credential"
	case p.ConfigDir != "" && p.ID != "":
		f.Path, f.From = filepath.Join(p.ConfigDir, p.ID+".key"), "the user's settings"
	default:
		return Found{}, fmt.Errorf("%s: no place for a master key is known. Name its file with --key", p.Dir)
	}
	var err error
	f.Key, err = readKey(f.Path)
	if p.Fresh {
		f.Key, err = settle(f.Path, f.Key, err)
	}
	if err == nil {
		return f, nil
	}
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return Found{}, fmt.Errorf("master key (%s): %w", f.From, err)
	case !p.Fresh:
		return Found{}, &lost{fmt.Sprintf("master key (%s): %s is not there, and %s cannot be opened without the key that it was made with. Bring the file back from its copy, or name it with --key", f.From, f.Path, p.Dir)}
	}
	if f.From == "the user's settings" {
		if err := os.MkdirAll(p.ConfigDir, 0o700); err != nil {
			return Found{}, fmt.Errorf("make a place for the master key: %w. Name a file that you may write with --key", err)
		}
	}
	f.Key, f.Made = NewKey(), true
	err = writeKey(f.Path, f.Key)
	if errors.Is(err, fs.ErrExist) {
		f.Made = false
		f.Key, err = settle(f.Path, Key{}, err)
	}
	if err != nil {
		return Found{}, fmt.Errorf("make the master key (%s): %w. Name a file that you may write with --key", f.From, err)
	}
	return f, nil
}

// settle reads a key file again for a short while where another process may be
// making it at this moment: its key counts.
func settle(path string, key Key, err error) (Key, error) {
	for range 20 {
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, ErrNoKey) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		key, err = readKey(path)
	}
	return key, err
}

// lost is ErrKeyLost with a sentence of its own.
type lost struct{ text string }

func (l *lost) Error() string { return l.text }
func (l *lost) Unwrap() error { return ErrKeyLost }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readKey reads a key file that only its owner, or a group, may read.
func readKey(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, err
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return Key{}, err
	}
	switch {
	case !st.Mode().IsRegular():
		return Key{}, fmt.Errorf("%s is no file", path)
	case st.Mode().Perm()&0o007 != 0:
		return Key{}, fmt.Errorf("%s may be used by everybody (%#o). Close it: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return Key{}, err
	}
	key, err := ParseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// writeKey writes a new key file and returns when it is on disk: what is sealed
// from now on depends on it. It never replaces a file.
func writeKey(path string, key Key) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(key.File())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path) // half a key helps nobody
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
