package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// full is a file on a disk without room, or a pipe that nobody reads.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

// What could not be written is no result: the exit code of a verb whose output
// goes to a file is all that a script sees.
func TestUnwrittenResultsAreAFailure(t *testing.T) {
	p := newPlace(t)
	for name, tt := range map[string]struct {
		err  error
		args []string
		want int
	}{
		"status":                           {syscall.ENOSPC, []string{"status"}, exitFailed},
		"list":                             {syscall.ENOSPC, []string{"device", "list"}, exitFailed},
		"verify":                           {syscall.ENOSPC, []string{"verify"}, exitFailed},
		"commands to approve":              {syscall.ENOSPC, []string{"platform", "show", "frr", "--commands"}, exitFailed},
		"version":                          {syscall.ENOSPC, []string{"version"}, exitFailed},
		"a reader that left":               {syscall.EPIPE, []string{"status"}, exitDone},
		"it left, and a hit was not found": {syscall.EPIPE, []string{"config", "grep", "x"}, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			args := append([]string{"--dir", p.dir, "--config", p.config, "--key", p.key}, tt.args...)
			code := run(args, strings.NewReader(""), full{fmt.Errorf("write: %w", tt.err)}, &said)
			if code != tt.want || errors.Is(tt.err, syscall.ENOSPC) && !strings.Contains(said.String(), "no space left") {
				t.Errorf("exit %d, want %d: %s", code, tt.want, said.String())
			}
		})
	}
}
