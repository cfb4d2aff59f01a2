//go:build crash

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestCrashFullDiskLosesNothingAndIsOverWithoutARestart fills the file system of
// the data directory, a small one in memory, and makes room again.
func TestCrashFullDiskLosesNothingAndIsOverWithoutARestart(t *testing.T) {
	h := newCrashHouseIn(t, 40, func(dir string) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=10m,mode=0700"); err != nil {
			t.Skipf("NOT RUN: full disk, a small file system cannot be mounted: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	})
	s := h.serve()
	var failed []string
	for range 60 {
		if failed = h.backup(); len(failed) > 0 {
			break
		}
	}
	if len(failed) == 0 {
		t.Fatal("60 backups of 40 devices did not fill 10 MB")
	}
	for _, said := range failed {
		if !strings.Contains(said, "full") || !strings.Contains(said, "room") {
			t.Errorf("a full disk is called %q, want that it is full and that room is needed", said)
			break
		}
	}
	h.checkAfterStart(s.client) // reading goes on
	if err := syscall.Mount("", h.dir, "", syscall.MS_REMOUNT, "size=128m"); err != nil {
		t.Fatal(err)
	}
	if failed := h.backup(); len(failed) > 0 {
		t.Errorf("with room again %d failed, the first: %s", len(failed), failed[0])
	}
	h.checkTexts(s.client)
	s.stop()
	h.must("", "verify")
}

// backup backs all devices up once, notes what was acknowledged, and returns what
// was said of failures.
func (h *crashHouse) backup() (failed []string) {
	h.t.Helper()
	cmd := h.command("backup", "-o", "ndjson")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var v struct {
			ackedVersion
			Message string `json:"message"`
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			h.t.Fatalf("backup says %q: %v", lines.Text(), err)
		}
		if v.Outcome == "stored" {
			h.acknowledge(v.ackedVersion)
		} else {
			failed = append(failed, v.Message)
		}
	}
	if err != nil && len(failed) == 0 {
		failed = append(failed, said.String())
	}
	return failed
}
