package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Another account's directory is named as that, with the command that works; a
// directory of one's own is not, whatever the rights.
func TestDirectoryOfAnotherAccountNamesItsOwner(t *testing.T) {
	tests := map[string]struct {
		owner string
		typed []string
		want  string
	}{
		"root's":      {"root", []string{"--dir", "/d", "status"}, "/d belongs to root and you are ann: run it as root (sudo muster --dir /d status)"},
		"a service's": {"noc", []string{"--dir=/d", "config", "grep", "ntp server"}, "/d belongs to noc and you are ann: run it as noc (sudo -u noc muster --dir=/d config grep 'ntp server')"},
		"by $MUSTER_DIR, which does not pass sudo": {"root", []string{"status"}, "/d belongs to root and you are ann: run it as root (sudo muster --dir /d status)"},
	}
	for name, tt := range tests {
		if got := whose(Options{Dir: "/d", Typed: tt.typed}, tt.owner, "ann").Error(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	dir := t.TempDir()
	if uid, known := ownerOf(dir); !known || uid != os.Getuid() {
		t.Errorf("%s belongs to %d (%t), want us", dir, uid, known)
	}
	for _, o := range []Options{{Dir: dir}, {Dir: filepath.Join(dir, "none")}} {
		if err := notYours(o, fs.ErrPermission); err != nil {
			t.Errorf("our own %s, or none: %v", o.Dir, err)
		}
	}
}
