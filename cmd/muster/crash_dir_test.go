//go:build crash

package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/backup"
)

// refused runs a verb that has to fail, and returns what it says.
func (h *crashHouse) refused(args ...string) string {
	h.t.Helper()
	cmd := h.command(args...)
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }) // a server that starts after all
	defer late.Stop()
	said, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code < 0 {
		h.t.Errorf("muster %s goes on, want that it fails", strings.Join(args, " "))
	}
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		h.t.Errorf("muster %s ended with %v, want that it fails\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

// says looks for all words in what was said.
func says(t *testing.T, what, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%s is told as %q, want %q in it", what, said, w)
		}
	}
}

// backupAll backs all devices up, which has to work.
func (h *crashHouse) backupAll() {
	h.t.Helper()
	if failed := h.backup(); len(failed) > 0 {
		h.t.Fatalf("%d of the backups failed, the first: %s", len(failed), failed[0])
	}
}

// TestCrashReadOnlyDirectory starts muster where it may not write.
func TestCrashReadOnlyDirectoryIsToldInClearWords(t *testing.T) {
	h := newCrashHouse(t, 4)
	h.backupAll()
	if err := syscall.Mount(h.dir, h.dir, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("NOT RUN: read-only directory, it cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(h.dir, syscall.MNT_DETACH) }) // it may be gone already
	if err := syscall.Mount("", h.dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, verb := range [][]string{{"serve"}, {"status"}, {"verify"}, {"backup"}, {"self", "backup", h.dir + ".copy"}} {
		said := h.refused(verb...)
		says(t, "a read-only directory", said, h.dir, "read-only", "--dir")
		if strings.Contains(said, "self restore") {
			t.Errorf("muster %s: nothing is wrong with the database, and it says %q", verb[0], said)
		}
	}
	if err := syscall.Unmount(h.dir, 0); err != nil {
		t.Fatal(err)
	}
	h.backupAll()
	h.must("", "verify")
}

// TestCrashFileSystemThatTurnsReadOnly lets the kernel answer the server's writes as
// a file system does that was made read-only by a fault of its disk. An orderly
// remount is refused as long as files are open for writing, so strace gives the
// answers.
func TestCrashFileSystemThatTurnsReadOnlyIsOverWithoutARestart(t *testing.T) {
	h := newCrashHouse(t, 8)
	s := h.serve()
	h.backupAll()
	db := filepath.Join(h.dir, "muster.db")
	strace := exec.Command("strace", "-f", "-p", fmt.Sprint(s.cmd.Process.Pid), "-o", os.DevNull,
		"-P", db, "-P", db+"-wal", "-P", db+"-journal", "-P", h.dir,
		"-e", "trace=pwrite64,write,ftruncate,fsync,fdatasync,openat,unlink", "-e", "inject=pwrite64,write,ftruncate,fsync,fdatasync,openat,unlink:error=EROFS")
	h.attach(strace)
	failed := h.backup()
	if len(failed) == 0 {
		t.Error("a backup on a read-only file system does not fail")
	}
	for _, said := range failed {
		says(t, "a read-only file system", said, h.dir, "disk")
	}
	h.checkAfterStart(s.client) // reading goes on
	h.must("", "status")
	if err := strace.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = strace.Wait() // it was interrupted: that is its error
	h.backupAll()
	h.checkTexts(s.client)
	s.stop()
	h.must("", "verify")
}

// attach starts strace and returns when it has the process.
func (h *crashHouse) attach(strace *exec.Cmd) {
	h.t.Helper()
	said, err := strace.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := strace.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = strace.Process.Kill() }) // where the test ended early
	line := make([]byte, 200)
	n, err := said.Read(line)
	if err != nil || !bytes.Contains(line[:n], []byte("attached")) {
		h.t.Fatalf("strace says %q (%v)", line[:n], err)
	}
	go func() {
		for err == nil { // the pipe must not fill
			_, err = said.Read(line)
		}
	}()
}

// TestCrashSecondServer starts a second server on one directory, and verbs beside
// the first.
func TestCrashSecondServerIsRefusedAndTheFirstUnharmed(t *testing.T) {
	h := newCrashHouse(t, 8)
	s := h.serve()
	h.backupAll()
	pid := fmt.Sprint(s.cmd.Process.Pid)
	for range 3 {
		says(t, "a second server", h.refused("serve"), h.dir, pid, "socket", "--dir")
	}
	other := slices.Clone(h.args)
	other[3] = filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other[3], []byte("timezone: UTC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(h.bin, append(other, "status")...).CombinedOutput()
	if err == nil {
		t.Error("a verb with other settings than the server's is answered")
	}
	says(t, "a verb with other settings", string(said), pid, h.args[3], other[3])

	// Verbs go through the server, several at a time; what one acknowledges it has.
	h.backupAll()
	h.checkAfterStart(s.client)
	hello, err := s.client.Hello(t.Context())
	if err != nil || hello.PID != s.cmd.Process.Pid {
		t.Errorf("the first server answers %+v (%v)", hello, err)
	}
	if said, err := os.ReadFile(filepath.Join(h.dir, "muster.lock")); err != nil || strings.TrimSpace(string(said)) != pid {
		t.Errorf("the lock names %q (%v), want %s", said, err, pid)
	}
	h.checkTexts(s.client)
	s.stop()
	h.must("", "verify")
}

// TestCrashDamagedDatabase cuts the database of a stopped server, and flips bytes.
func TestCrashDamagedDatabaseIsToldAndTheRestGoesOn(t *testing.T) {
	h := newCrashHouse(t, 6)
	for range 3 {
		h.backupAll()
	}
	copied := h.dir + ".copy"
	h.must("", "self", "backup", copied)
	db := filepath.Join(h.dir, "muster.db")
	whole, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file []byte) {
		t.Helper()
		for _, name := range []string{db + "-wal", db + "-shm", db} {
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(db, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	// Cut: nothing begins, and it says what to do.
	for _, at := range []int{len(whole) / 2, len(whole) - 1} {
		write(whole[:at])
		for _, verb := range []string{"serve", "status", "verify"} {
			says(t, fmt.Sprintf("a database cut to %d of %d bytes, by %s,", at, len(whole), verb), h.refused(verb), db, "self restore")
		}
	}

	// Bytes of the pages' heads: whatever stumbles says what to do, verify at least.
	stumbled := 0
	for i := range 16 {
		flipped := slices.Clone(whole)
		flipped[(2*i+1)*len(whole)/32/8192*8192+i%8] ^= 0xff
		write(flipped)
		for _, verb := range []string{"status", "verify"} {
			said, err := h.command(verb).CombinedOutput()
			if err != nil {
				stumbled++
				says(t, "a damaged page, by "+verb+",", string(said), "muster.db", "self restore")
			}
		}
	}
	if stumbled < 8 {
		t.Errorf("%d verbs stumbled over 16 damaged pages, too few to see anything", stumbled)
	}

	// A byte of one sealed text: verify names the version, and nothing else is hurt.
	device := crashBase + ".3"
	flipped := slices.Clone(whole)
	blob := h.blobsOf(copied, device, 2)[0]
	at := bytes.Index(flipped, blob[:min(len(blob), 64)])
	if at < 0 {
		t.Fatal("the text is not in the file")
	}
	flipped[at+40] ^= 1
	write(flipped)
	said := h.refused("verify")
	says(t, "a flipped byte", said, "version of "+device+", number 2", "1 fault", "self restore")
	s := h.serve()
	h.backupAll()
	for name, versions := range h.acked {
		for n := range versions {
			text, err := s.client.Text(t.Context(), name, backup.Which{Version: n, Raw: true})
			if err == nil {
				text.Close()
			}
			if hurt := name == device && n == 2; hurt != (err != nil) {
				t.Errorf("version %d of %s: %v", n, name, err)
			}
		}
	}
	delete(h.acked[device], 2)
	h.checkTexts(s.client)
	s.stop()

	// And what it says to do works.
	if err := os.Rename(h.dir, h.dir+".broken"); err != nil {
		t.Fatal(err)
	}
	said = h.must("", "self", "restore", copied)
	says(t, "a restore", said, "checked and whole")
	h.must("", "verify")
}

// blobsOf reads the sealed texts of a version from a copy, as they stand in the file.
func (h *crashHouse) blobsOf(copied, device string, number int) (blobs [][]byte) {
	h.t.Helper()
	const query = `
SELECT t.blob FROM version v
JOIN device d ON d.id = v.device_id
JOIN version_part p ON p.version_id = v.id
JOIN text t ON t.id = p.raw_id
WHERE d.name = ?1 AND v.number = ?2`
	db, err := sql.Open("sqlite3", "file:"+copied+"?mode=ro")
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(h.t.Context(), query, device, number)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var blob []byte
		if err := rows.Scan(&blob); err != nil {
			h.t.Fatal(err)
		}
		blobs = append(blobs, blob)
	}
	if err := rows.Err(); err != nil || len(blobs) == 0 {
		h.t.Fatalf("version %d of %s has %d sealed texts (%v)", number, device, len(blobs), err)
	}
	return blobs
}

// TestCrashRestore makes a copy in the middle of a backup and carries it, with the
// key alone, to a machine where there is nothing.
func TestCrashCopyOfTheMiddleOfARunIsRestoredWithTheKeyAlone(t *testing.T) {
	h := newCrashHouse(t, 60)
	s := h.serve()
	h.backupAll()
	copied := h.dir + ".copy"
	run := h.command("backup", "-o", "ndjson")
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	before := map[string]map[int]string{}
	lines := json.NewDecoder(out)
	n := 0
	for lines.More() {
		var v ackedVersion
		if err := lines.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v.Outcome == "stored" {
			h.acknowledge(v)
		}
		if n++; n == 10 {
			for device, versions := range h.acked {
				before[device] = map[int]string{}
				for number, sum := range versions {
					before[device][number] = sum
				}
			}
			h.must("", "self", "backup", copied)
		}
	}
	if err := run.Wait(); err != nil || n != 60 {
		t.Fatalf("the backup under way ended with %v and %d of 60 devices", err, n)
	}
	s.stop()

	empty := t.TempDir()
	there := *h
	there.dir = filepath.Join(empty, "data")
	there.args = []string{"--dir", there.dir, "--config", filepath.Join(empty, "none.yaml"), "--key", filepath.Join(empty, "key")}
	key, err := os.ReadFile(h.dir + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(empty, "key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{h.dir, h.dir + ".key", h.dir + ".yaml"} { // the old machine is gone
		if err := os.Rename(old, old+".gone"); err != nil {
			t.Fatal(err)
		}
	}
	says(t, "a restore", there.must("", "self", "restore", copied), "checked and whole", "muster init")
	left, err := os.ReadDir(there.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if f.Name() != "muster.db" && f.Name() != "muster.id" {
			t.Errorf("the restore left %s", f.Name())
		}
	}
	settings, err := os.ReadFile(h.dir + ".yaml.gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(there.args[3], settings, 0o600); err != nil {
		t.Fatal(err)
	}
	there.must("", "verify")
	there.acked = before
	s = there.serve()
	there.checkAfterStart(s.client)
	there.checkTexts(s.client)
	there.acked = map[string]map[int]string{} // numbers after the copy's begin anew
	there.backupAll()
	s.stop()
	there.must("", "verify")
}

// TestCrashPurge looks through all files of the data directory for what was purged.
func TestCrashPurgedBytesAreNowhere(t *testing.T) {
	h := newCrashHouse(t, 4)
	s := h.serve()
	for range 4 {
		h.backupAll()
	}
	device := crashBase + ".2"
	copied := h.dir + ".copy"
	h.must("", "self", "backup", copied)
	blobs := h.blobsOf(copied, device, 2)
	traces := piecesOf(blobs)
	if !h.holds(traces) {
		t.Fatal("the search does not find what is there")
	}
	beside := filepath.Join(h.dir, "copies", "monday")
	if err := os.Mkdir(filepath.Dir(beside), 0o700); err != nil {
		t.Fatal(err)
	}
	says(t, "a copy in the data directory", h.must("", "self", "backup", beside), beside)
	says(t, "a purge with a copy beside the database", h.refused("config", "purge", device, "--version", "2", "--yes"), beside, "remove it")
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	device3 := crashBase + ".3"
	traces = append(traces, piecesOf(h.blobsOf(copied, device3, 4))...) // the newest
	says(t, "a purge", h.must("", "config", "purge", device3, "--version", "4", "--yes"), "copies and exports made before are yours to remove")
	if h.holds(traces) {
		t.Error("the data directory of a running server holds purged bytes")
	}
	for name, n := range map[string]int{device: 2, device3: 4} {
		delete(h.acked[name], n)
		says(t, "a purged version", h.refused("config", "show", name, "--raw", "--version", fmt.Sprint(n)), fmt.Sprint(n))
	}
	h.checkTexts(s.client)
	s.kill() // nothing of it comes back from the log either
	s = h.serve()
	h.checkTexts(s.client)
	h.backupAll()
	s.stop()
	if h.holds(traces) {
		t.Error("the data directory holds purged bytes")
	}
	h.must("", "verify")
}

// holds reports whether a file below the data directory has any of the traces.
func (h *crashHouse) holds(traces [][]byte) bool {
	h.t.Helper()
	held := false
	err := filepath.WalkDir(h.dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		for _, trace := range traces {
			held = held || bytes.Contains(text, trace)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return held
}

// piecesOf cuts sealed texts into pieces, as pages of a file divide them anywhere.
func piecesOf(blobs [][]byte) (pieces [][]byte) {
	for _, b := range blobs {
		for at := 0; at+32 <= len(b); at += 32 {
			pieces = append(pieces, b[at:at+32])
		}
	}
	return pieces
}
