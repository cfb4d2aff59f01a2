//go:build crash && linux && amd64

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/alert"
	"muster/internal/schedule"
)

// crashClock is the wall clock of one process, set apart from everybody else's.
//
// Go asks the vDSO for the time, so that neither a preloaded library nor a trace
// of system calls can tell it another one, a time namespace moves the monotonic
// clocks only, and the machine's clock is not the test's to set. So the process's
// own copy of the vDSO is written over: its clock_gettime makes the system call
// and adds a number to CLOCK_REALTIME. The monotonic clock goes on as it is, which
// is what a clock that is set looks like.
type crashClock struct {
	mem *os.File
	at  int64 // where the number is, in the process's memory
}

// vdsoClock is for clock_gettime(edi: which clock, rsi: *timespec).
var vdsoClock = []byte{
	0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi (0: CLOCK_REALTIME)
	0x75, 0x0a, // jne end
	0x48, 0x8b, 0x0d, 4, 0, 0, 0, // mov rcx, [number]
	0x48, 0x01, 0x0e, // add [rsi], rcx
	0xc3,                   // end: ret
	0, 0, 0, 0, 0, 0, 0, 0, // number, in seconds
}

// startWithClock starts cmd with a wall clock of its own, ahead of the machine's.
func startWithClock(t *testing.T, cmd *exec.Cmd, ahead time.Duration) *crashClock {
	t.Helper()
	// Whoever traces is a thread, not a process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("NOT RUN: clock, the process cannot be traced: %v", err)
	}
	pid := cmd.Process.Pid
	var stopped syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &stopped, 0, nil); err != nil || !stopped.Stopped() {
		t.Fatalf("the process did not stop at its exec: %v, %v", stopped, err)
	}
	c, err := patchClock(pid)
	if err != nil {
		_ = cmd.Process.Kill()
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.mem.Close() })
	c.set(t, ahead)
	if err := syscall.PtraceDetach(pid); err != nil {
		t.Fatal(err)
	}
	return c
}

// patchClock writes vdsoClock over the vDSO's function in a process that is stopped
// before its first instruction.
func patchClock(pid int) (*crashClock, error) {
	base, err := vdsoBase(pid)
	if err != nil {
		return nil, err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	image, err := elf.NewFile(io.NewSectionReader(mem, base, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	symbols, err := image.DynamicSymbols()
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name != "__vdso_clock_gettime" {
			continue
		}
		at := base + int64(s.Value)
		if _, err := mem.WriteAt(vdsoClock, at); err != nil {
			return nil, fmt.Errorf("write into the vDSO: %w", err)
		}
		return &crashClock{mem, at + int64(len(vdsoClock)) - 8}, nil
	}
	return nil, fmt.Errorf("the vDSO of process %d has no clock", pid)
}

// vdsoBase is where the kernel has put the vDSO: AT_SYSINFO_EHDR of getauxval(3).
func vdsoBase(pid int) (int64, error) {
	auxv, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	for r := bytes.NewReader(auxv); ; {
		var pair [2]uint64
		if err := binary.Read(r, binary.LittleEndian, &pair); err != nil {
			return 0, fmt.Errorf("process %d has no vDSO", pid)
		}
		if pair[0] == 33 {
			return int64(pair[1]), nil
		}
	}
}

// set puts the clock so far ahead of the machine's; negative: behind it.
func (c *crashClock) set(t *testing.T, ahead time.Duration) {
	t.Helper()
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(ahead/time.Second))
	if _, err := c.mem.WriteAt(number[:], c.at); err != nil {
		t.Fatalf("set the clock of the process: %v", err)
	}
}

// serveAt serves with a wall clock that is ahead of the machine's.
func (h *crashHouse) serveAt(ahead time.Duration) *crashServer {
	h.t.Helper()
	s, _ := h.serveClock(ahead)
	return s
}

func (h *crashHouse) serveClock(ahead time.Duration) (s *crashServer, c *crashClock) {
	h.t.Helper()
	s = h.serveBy(func(cmd *exec.Cmd) { c = startWithClock(h.t, cmd, ahead) })
	return s, c
}

// TestCrashClock sets the clock of a running server days ahead and days back. What
// looks at it every minute is asked to look at once, by a reload.
func TestCrashClockThatJumpsBothWaysStopsAndLosesNothing(t *testing.T) {
	const devices, days = 6, 500 * 24 * time.Hour
	h := newCrashHouse(t, devices)
	// Everything is older than is kept, for housekeeping that comes in between; it
	// is at least some hours away by the right time.
	h.settings("schedules:\n", fmt.Sprintf("schedules:\n  housekeeping: { cron: \"50 %d * * *\" }\n", (time.Now().UTC().Hour()+12)%24))
	s, clock := h.serveClock(toMinute(0))
	h.backupAll()
	h.backupAll() // every device has changed
	page := h.page(s)
	before, err := s.client.Runs(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}

	clock.set(t, toMinute(days))
	begun := time.Now().Add(days - time.Minute)
	h.must("", "reload")
	h.until("a backup runs days ahead", func() bool { return h.done(s, schedule.JobBackup, begun) > 0 })
	h.until("what is old is let go", func() bool { return h.done(s, "housekeeping", begun) > 0 })
	for _, r := range before {
		if _, err := s.client.Run(t.Context(), r.ID); err != nil {
			t.Errorf("run %d of before the jump: %v", r.ID, err)
		}
	}
	h.must("", "config", "approve", "platform:cisco_ios")
	h.backupAll() // every device has changed again, as of a day that is yet to come
	if status := page(); status != http.StatusOK {
		t.Errorf("days ahead a browser that was let in gets %d", status)
	}
	h.noteAlerts(s.client)

	// Those alerts wait for company still, and the mark of the schedule is of that day.
	clock.set(t, toMinute(-days))
	begun = time.Now().Add(-days - time.Minute)
	h.must("", "reload")
	h.until("a backup runs days back", func() bool { return h.done(s, schedule.JobBackup, begun) > 0 })
	h.backupAll()
	if status := page(); status != http.StatusOK {
		t.Errorf("days back a browser that was let in gets %d", status)
	}
	h.until("all alerts of the wrong time are told", func() bool {
		for id, a := range h.alerts {
			if a.Kind == alert.Changed && !h.hook.told(id) {
				return false
			}
		}
		return true
	})
	runs, err := s.client.Runs(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(runs); n > 20 { // one for all that was missed, not one for each
		t.Errorf("two jumps made %d runs", n)
	}
	for device := range h.acked { // the newest is the one stored last, whatever the clock said
		versions, err := s.client.Versions(t.Context(), device)
		if err != nil {
			t.Fatal(err)
		}
		newest := fmt.Sprint(len(versions))
		if h.must("", "config", "show", device, "--raw") != h.must("", "config", "show", device, "--raw", "--version", newest) {
			t.Errorf("the newest configuration of %s is not that of version %s", device, newest)
		}
	}
	h.checkTexts(s.client)
	h.checkAfterStart(s.client)
	s.kill()
	s = h.serve() // the right time, after a start
	h.checkAfterStart(s.client)
	h.backupAll()
	h.checkTexts(s.client)
	s.stop()
	h.must("", "verify")
}

// toMinute is about so far ahead that a minute of the server's clock ends in 3 s.
func toMinute(ahead time.Duration) time.Duration {
	return ahead + time.Duration(57-time.Now().Second())*time.Second
}

// done counts the runs of a scheduled job that began in the hour after a time and ended.
func (h *crashHouse) done(s *crashServer, job string, from time.Time) (n int) {
	h.t.Helper()
	runs, err := s.client.Runs(h.t.Context(), 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range runs {
		if r.Job == job && r.By != schedule.ByCommand && r.State == schedule.Done && r.StartedAt.After(from) && r.StartedAt.Before(from.Add(time.Hour)) {
			n++
		}
	}
	return n
}

// page lets a browser in and returns how it gets the first page.
func (h *crashHouse) page(s *crashServer) func() int {
	h.t.Helper()
	link, err := s.client.OpenLink(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	get := func(address string) int {
		resp, err := browser.Get(address)
		if err != nil {
			h.t.Fatal(err)
		}
		_ = resp.Body.Close() // the status is all that counts
		return resp.StatusCode
	}
	if status := get(link); status != http.StatusOK {
		h.t.Fatalf("the link to the pages gives %d", status)
	}
	address, _, _ := strings.Cut(link, "/open")
	return func() int { return get(address + "/") }
}
