package secret

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirstNamedPlaceOfTheKeyCounts(t *testing.T) {
	dir := t.TempDir()
	put := func(name string) (string, Key) {
		key := NewKey()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeKey(path, key); err != nil {
			t.Fatal(err)
		}
		return path, key
	}
	flag, flagKey := put("flag.key")
	env, envKey := put("env.key")
	settings, settingsKey := put("settings.key")
	_, credKey := put("creds/" + CredentialName)
	_, ownKey := put("config/0123456789abcdef.key")
	itself := NewKey()

	p := Places{ConfigDir: filepath.Join(dir, "config"), ID: "0123456789abcdef", Dir: "/data"}
	steps := []struct {
		name string
		add  func()
		want Key
	}{
		{"user's settings", func() {}, ownKey},
		{"credentials without ours", func() { p.Credentials = dir }, ownKey},
		{"credentials", func() { p.Credentials = filepath.Join(dir, "creds") }, credKey},
		{"muster.yaml", func() { p.Settings = settings }, settingsKey},
		{"MUSTER_KEY, a file", func() { p.Env = env }, envKey},
		{"MUSTER_KEY, the key itself", func() { p.Env = keyLine(itself) }, itself},
		{"--key", func() { p.Flag = flag }, flagKey},
	}
	for _, s := range steps {
		s.add()
		got, err := Locate(p)
		if err != nil || got.Key != s.want || got.Made {
			t.Errorf("%s: from %q, made %t (%v)", s.name, got.From, got.Made, err)
		}
	}
}

func TestKeyIsMadeForANewDirectoryOnly(t *testing.T) {
	for name, place := range map[string]func(p *Places, dir string) string{
		"--key":      func(p *Places, dir string) string { p.Flag = filepath.Join(dir, "k"); return p.Flag },
		"MUSTER_KEY": func(p *Places, dir string) string { p.Env = filepath.Join(dir, "k"); return p.Env },
		"key:":       func(p *Places, dir string) string { p.Settings = filepath.Join(dir, "k"); return p.Settings },
		"user's settings": func(p *Places, dir string) string {
			p.ConfigDir = filepath.Join(dir, "new", "muster")
			return filepath.Join(p.ConfigDir, p.ID+".key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := Places{ID: "0123456789abcdef", Dir: "/data"}
			path := place(&p, t.TempDir())
			_, err := Locate(p)
			if !errors.Is(err, ErrKeyLost) {
				t.Fatalf("existing directory: %v, want ErrKeyLost", err)
			}
			for _, part := range []string{path, "/data", "--key", "copy"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("message %q does not say %q", err, part)
				}
			}
			if exists(path) {
				t.Fatal("a key was made for an existing directory")
			}
			p.Fresh = true
			made, err := Locate(p)
			if err != nil || !made.Made || made.Path != path {
				t.Fatalf("new directory: %+v, %v", made, err)
			}
			st, err := os.Stat(path)
			if err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("key file is %v (%v), want 0600", st.Mode(), err)
			}
			again, err := Locate(p) // the first start was cut short after the key was made
			if err != nil || again.Made || again.Key != made.Key {
				t.Errorf("second time: made %t (%v)", again.Made, err)
			}
		})
	}
}

func TestBadKeyFileIsOneSentence(t *testing.T) {
	tests := map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"open to everybody": {string(NewKey().File()), 0o644, "chmod 600"},
		"not a key":         {"FAKE-hunter2\n", 0o600, "no muster key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := errors.Join(os.WriteFile(path, []byte(tt.text), 0o600), os.Chmod(path, tt.mode)); err != nil {
				t.Fatal(err)
			}
			_, err := Locate(Places{Flag: path, Dir: "/data", Fresh: true})
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the message quotes the file")
			}
		})
	}
	if _, err := Locate(Places{Dir: "/data", Fresh: true}); err == nil || !strings.Contains(err.Error(), "--key") {
		t.Errorf("no place at all: %v", err)
	}
	dir := t.TempDir()
	if _, err := Locate(Places{Flag: dir, Fresh: true}); err == nil {
		t.Error("a directory was taken for a key file")
	}
}
