package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// notYours is the refusal of a data directory that belongs to another account; nil:
// err is about something else. To name another directory would be the wrong advice:
// that one would be a second, empty muster.
func notYours(o Options, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return nil
	}
	owner, known := ownerOf(o.Dir)
	if !known || owner == os.Getuid() {
		return nil
	}
	return whose(o, accountOf(owner), accountOf(os.Getuid()))
}

func whose(o Options, owner, me string) error {
	sudo := []string{"sudo"}
	if owner != "root" {
		sudo = append(sudo, "-u", owner)
	}
	sudo = append(sudo, "muster")
	// What the environment says does not pass sudo.
	if !slices.ContainsFunc(o.Typed, func(a string) bool { return a == "--dir" || strings.HasPrefix(a, "--dir=") }) {
		sudo = append(sudo, "--dir", o.Dir)
	}
	for _, a := range o.Typed {
		sudo = append(sudo, typed(a))
	}
	return refuse("%s belongs to %s and you are %s: run it as %s (%s)", o.Dir, owner, me, owner, strings.Join(sudo, " "))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// typed is a word as a shell takes it.
func typed(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ownerOf is the account of a directory that is there; of one below a directory
// that is closed to us, the account of that one.
func ownerOf(dir string) (uid int, known bool) {
	for {
		info, err := os.Stat(dir)
		if err == nil {
			st, ok := info.Sys().(*syscall.Stat_t)
			return int(st.Uid), ok
		}
		if !errors.Is(err, fs.ErrPermission) || dir == filepath.Dir(dir) {
			return 0, false
		}
		dir = filepath.Dir(dir)
	}
}

func accountOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", uid)
}
