//go:build crash

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCrashNoAcknowledgementLeavesBeforeItsFsync reads a trace of the server's
// system calls. At each acknowledgement that goes out it makes the files as a
// power cut at that moment would leave them at worst, without anything that no
// fsync has confirmed, and looks whether the version is there.
func TestCrashNoAcknowledgementLeavesBeforeItsFsync(t *testing.T) {
	h := newCrashHouse(t, 12)
	s := h.serve()
	h.must("", "backup") // caches are warm, and the files have their size
	s.stop()
	db := filepath.Join(h.dir, "muster.db")
	start, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}

	s = h.serve()
	trace := filepath.Join(t.TempDir(), "trace")
	tracer := exec.Command("strace", "-f", "-p", fmt.Sprint(s.cmd.Process.Pid), "-y", "-xx", "-s", "200000", "-o", trace,
		"-e", "trace=pwrite64,fsync,fdatasync,ftruncate,write")
	attached, err := tracer.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(attached)
	if !said.Scan() || !strings.Contains(said.Text(), "attached") {
		t.Fatalf("strace says %q", said.Text())
	}
	go func() {
		for said.Scan() {
		}
	}()
	for range 4 {
		h.must("", "backup", "-o", "ndjson")
	}
	if err := tracer.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = tracer.Wait() // the signal is its error
	s.kill()

	seen, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	wal := db + "-wal"
	disk := map[string]*traced{db: {synced: start}, wal: {}}
	calls := readTrace(t, string(seen))
	checked := 0
	for _, c := range calls {
		f := disk[c.path]
		switch {
		case f != nil:
			f.take(c)
		case c.begin == nil && c.name == "write" && strings.HasPrefix(c.path, "socket:"):
			for _, v := range acknowledged(c.data) {
				checked++
				h.checkImage(disk[db].synced, disk[wal].synced, v)
			}
		}
	}
	t.Logf("%d system calls, %d acknowledgements held against what was synced before each", len(calls), checked)
	if checked < 40 {
		t.Errorf("the trace shows %d acknowledgements, want those of 4 backups of 12 devices, some of them in one write", checked)
	}
}

// traced is a file as the trace shows it.
type traced struct {
	synced  []byte   // what an fsync has confirmed
	pending []syscal // writes since
}

// syscal is one system call of a trace. It has two lines where another thread's
// came between: it begins and ends.
type syscal struct {
	name   string
	path   string
	data   []byte
	number int64   // offset of a write, length of a truncation
	begin  *syscal // where this is the end: its begin
	seen   int     // at the begin of an fsync: how many writes had ended
}

func (f *traced) take(c *syscal) {
	switch {
	case c.begin == nil && strings.Contains(c.name, "sync"):
		c.seen = len(f.pending)
	case c.begin != nil && strings.Contains(c.name, "sync"):
		for _, w := range f.pending[:c.begin.seen] {
			f.synced = w.apply(f.synced)
		}
		f.pending = f.pending[c.begin.seen:]
	case c.begin != nil:
		f.pending = append(f.pending, *c)
	}
}

func (c *syscal) end() *syscal {
	e := *c
	e.begin = c
	return &e
}

func (c *syscal) apply(file []byte) []byte {
	if c.name == "ftruncate" {
		return append(file, make([]byte, max(0, int(c.number)-len(file)))...)[:c.number]
	}
	if need := int(c.number) + len(c.data); need > len(file) {
		file = append(file, make([]byte, need-len(file))...)
	}
	copy(file[c.number:], c.data)
	return file
}

var (
	callLine = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<([^>]*)>(?:, "((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?)?(?:, (\d+))?(?:, (\d+))?(.*)$`)
	restLine = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.*= (-?\d+|\?)`)
)

// readTrace returns the begins and ends of calls in their order; a call that
// failed has no end.
func readTrace(t *testing.T, trace string) (all []*syscal) {
	open := map[string]*syscal{} // by thread
	for line := range strings.Lines(trace) {
		line = strings.TrimRight(line, "\n")
		if m := restLine.FindStringSubmatch(line); m != nil {
			if c := open[m[1]]; c != nil && m[3] != "?" && m[3] != "-1" {
				all = append(all, c.end())
			}
			delete(open, m[1])
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := strings.ReplaceAll(m[3], `\x`, "")
		path, err := hex.DecodeString(name)
		if err != nil || name == m[3] {
			path = []byte(m[3])
		}
		data, err := hex.DecodeString(strings.ReplaceAll(m[4], `\x`, ""))
		if err != nil {
			t.Fatalf("trace: %v in %.200q", err, line)
		}
		c := &syscal{name: m[2], path: string(path), data: data}
		number := m[6]
		if c.name == "ftruncate" {
			number = m[5]
		}
		c.number, _ = strconv.ParseInt(number, 10, 64) // an fsync has none
		all = append(all, c)
		switch {
		case strings.Contains(m[7], "<unfinished"):
			open[m[1]] = c
		case !strings.Contains(m[7], "= -1"):
			all = append(all, c.end())
		}
	}
	return all
}

// acknowledged reads the versions out of what went to a client.
func acknowledged(data []byte) (all []ackedVersion) {
	for line := range bytes.Lines(data) {
		var l struct{ Backup *ackedVersion }
		if json.Unmarshal(line, &l) == nil && l.Backup != nil && l.Backup.Outcome == "stored" {
			all = append(all, *l.Backup)
		}
	}
	return all
}

// checkImage opens the files that a power cut would have left.
func (h *crashHouse) checkImage(db, wal []byte, v ackedVersion) {
	h.t.Helper()
	dir := h.t.TempDir()
	for name, text := range map[string][]byte{"muster.db": db, "muster.db-wal": wal} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(h.bin, append([]string{"--dir", dir}, append(slices.Clone(h.args[2:]), "config", "show", v.Device, "--raw", "--version", fmt.Sprint(v.Version))...)...)
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	sum := sha256.Sum256(text)
	if got := hex.EncodeToString(sum[:]); err != nil || got != v.SHA256 {
		h.t.Errorf("version %d of %s was acknowledged as %s before it was synced: a power cut leaves %s (%v) %s", v.Version, v.Device, v.SHA256, got, err, said.String())
	}
}
