//go:build crash

// Nothing that was acknowledged is lost, shown from outside: the built command,
// simulated devices that others wrote and whose configurations change at every
// look, a receiver that fails, and SIGKILL. .ci/crash builds what it needs and
// runs it: MUSTER_BIN is the command, SSHFLEET the devices. It takes root or the
// right to trace, for strace.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
)

const (
	crashRounds  = 50
	crashInside  = 20 // at least so many kills inside a commit
	crashAcked   = 2000
	crashDevices = 120
	crashBase    = "127.37.0"
	crashPort    = "2237"
)

// version is one that muster said it has.
type ackedVersion struct {
	Device  string `json:"device"`
	Outcome string `json:"outcome"`
	Version int    `json:"version"`
	SHA256  string `json:"sha256"`
}

// crashHouse is a data directory whose servers are killed.
type crashHouse struct {
	t    *testing.T
	bin  string
	dir  string
	args []string
	hook *crashHook

	acked  map[string]map[int]string // device → version → hash
	alerts map[int64]alert.Alert     // as the API told of them
	open   map[int64]bool            // runs that were under way when the server was killed
}

// TestCrashLosesNothingAcknowledged is the promise of the store's package comment,
// kept by the whole program.
func TestCrashLosesNothingAcknowledged(t *testing.T) {
	h := newCrashHouse(t, crashDevices)

	inside, torn := 0, 0
	for round := range crashRounds {
		s := h.serve()
		h.checkAfterStart(s.client)
		h.decide(s.client, round)
		in, left := h.killDuringBackup(s, round%5 != 4)
		if in {
			inside++
		}
		if left {
			torn++
		}
	}
	total := 0
	for _, versions := range h.acked {
		total += len(versions)
	}
	t.Logf("%d versions acknowledged in %d rounds, %d kills inside a commit, %d of them left part of one in the log; the receiver took %d messages, %d more than once",
		total, crashRounds, inside, torn, h.hook.taken(), h.hook.repeated())
	if total < crashAcked {
		t.Errorf("%d versions were acknowledged, at least %d make the test one", total, crashAcked)
	}
	if inside < crashInside {
		t.Errorf("%d kills hit inside a commit, at least %d make the test one", inside, crashInside)
	}
	if torn == 0 {
		t.Error("no kill left part of a commit in the log")
	}
	if h.hook.taken() == 0 {
		t.Error("the receiver took no message between the kills, so none was under way when the server died")
	}

	s := h.serve()
	h.checkAfterStart(s.client)
	h.checkDoneAgain(s.client)
	h.checkTexts(s.client)
	h.checkAlerts(s.client)
	s.stop()
	h.must("", "verify")
}

func newCrashHouse(t *testing.T, devices int) *crashHouse {
	return newCrashHouseIn(t, devices, func(string) {})
}

// newCrashHouseIn lets prepare make the data directory.
func newCrashHouseIn(t *testing.T, devices int, prepare func(dir string)) *crashHouse {
	bin, fleet := os.Getenv("MUSTER_BIN"), os.Getenv("SSHFLEET")
	if bin == "" || fleet == "" {
		t.Skip("NOT RUN: crashes, MUSTER_BIN and SSHFLEET are not set; .ci/crash sets them")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("NOT RUN: crashes, there is no strace to see from outside where a commit is")
	}
	h := &crashHouse{t: t, bin: bin, dir: filepath.Join(t.TempDir(), "d"), hook: newCrashHook(t),
		acked: map[string]map[int]string{}, alerts: map[int64]alert.Alert{}, open: map[int64]bool{}}
	prepare(h.dir)
	config := h.dir + ".yaml"
	h.args = []string{"--dir", h.dir, "--config", config, "--key", h.dir + ".key"}
	text := fmt.Sprintf(`timezone: UTC
credentials:
  - { name: noc, kind: ssh, user: admin, password: { env: MUSTER_CRASH_PASSWORD } }
scopes:
  - { name: fleet, addresses: [%s.0/24], credentials: [noc], approval: manual, ssh: { port: %s, algorithms: legacy, concurrency: 20 } }
schedules:
  backup: { cron: "* * * * *", splay: 0s }
receivers:
  - { name: hook, kind: webhook, url: "%s" }
alerts:
  - { kinds: [changed], to: [hook] }
web: { listen: "127.37.255.1:8470" }
`, crashBase, crashPort, h.hook.url)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MUSTER_CRASH_PASSWORD", "admin")

	h.fleet(fleet, devices)
	return h
}

// fleet starts devices whose configurations change between any two looks, and
// makes them known.
func (h *crashHouse) fleet(bin string, devices int) {
	t := h.t
	cmd := exec.Command(bin, "fleet", "-n", fmt.Sprint(devices), "-base", crashBase+".0", "-port", crashPort,
		"-platform", "ios", "-size", "6000", "-change", "1", "-privileged")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed: that is its error
	})
	said := bufio.NewScanner(out)
	for said.Scan() && !strings.HasPrefix(said.Text(), "ready") {
	}
	go func() { // the pipe must not fill
		_, _ = io.Copy(io.Discard, out)
	}()
	var addresses strings.Builder
	for i := range devices {
		fmt.Fprintf(&addresses, "%s.%d\n", crashBase, i+1)
	}
	h.must(addresses.String(), "device", "add", "-", "--platform", "cisco_ios")
}

// command is muster with the house's files.
func (h *crashHouse) command(args ...string) *exec.Cmd {
	return exec.Command(h.bin, append(slices.Clone(h.args), args...)...)
}

func (h *crashHouse) must(stdin string, args ...string) string {
	h.t.Helper()
	cmd := h.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	said, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("muster %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

// crashServer is one process that serves.
type crashServer struct {
	h      *crashHouse
	cmd    *exec.Cmd
	log    bytes.Buffer
	client *api.Client
}

func (h *crashHouse) serve() *crashServer {
	h.t.Helper()
	return h.serveBy(func(cmd *exec.Cmd) {
		if err := cmd.Start(); err != nil {
			h.t.Fatal(err)
		}
	})
}

// serveBy lets start begin the server.
func (h *crashHouse) serveBy(start func(*exec.Cmd)) *crashServer {
	h.t.Helper()
	s := &crashServer{h: h, cmd: h.command("serve"), client: api.Dial(filepath.Join(h.dir, "muster.sock"))}
	s.cmd.Stderr = &s.log
	start(s.cmd)
	h.t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // where the test ended early
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		hello, err := s.client.Hello(h.t.Context())
		if err == nil && hello.PID == s.cmd.Process.Pid {
			return s
		}
		if time.Since(begun) > 20*time.Second {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
			h.t.Fatalf("muster serve does not answer: %v\n%s", err, s.log.String())
		}
	}
}

func (s *crashServer) kill() {
	_ = s.cmd.Process.Kill() // it may be dead already
	_ = s.cmd.Wait()
	s.client.Close()
}

func (s *crashServer) stop() {
	s.h.t.Helper()
	s.client.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.h.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.h.t.Errorf("muster serve ended with %v\n%s", err, s.log.String())
	}
}

// killDuringBackup backs up until so many are acknowledged and kills the server,
// by itself or inside a commit. It reports whether the kill hit inside one, and
// whether part of that one is in the write-ahead log.
func (h *crashHouse) killDuringBackup(s *crashServer, aim bool) (inside, torn bool) {
	t := h.t
	wal := filepath.Join(h.dir, "muster.db-wal")
	trace := filepath.Join(t.TempDir(), "trace")
	want := 20 + rand.IntN(50)
	got := 0
	var tracer *exec.Cmd
	dead := false
	for begun := time.Now(); !dead; {
		if time.Since(begun) > 20*time.Second {
			seen, _ := os.ReadFile(trace)
			t.Fatalf("the server was not hit within 20 s; strace saw\n%s", tail(string(seen), 1000))
		}
		cmd := h.command("backup", "-o", "ndjson")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				break // half a line acknowledges nothing
			}
			var v ackedVersion
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatalf("backup says %q: %v", line, err)
			}
			if v.Outcome == "stored" {
				h.acknowledge(v)
			}
			if got++; got != want {
				continue
			}
			h.noteOpen(s.client)
			if !aim {
				_ = s.cmd.Process.Kill()
				dead = true
				continue // what was said before the signal counts
			}
			tracer = h.aim(s.cmd.Process.Pid, wal, trace)
		}
		_ = cmd.Wait() // the server is dead: that is its error
		dead = dead || s.cmd.Process.Signal(syscall.Signal(0)) != nil || gone(s.cmd.Process.Pid)
	}
	s.kill()
	if tracer == nil {
		return false, false
	}
	_ = tracer.Wait() // ends with its tracee
	seen, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	inside = killedInside(string(seen))
	log, err := os.ReadFile(wal)
	if errors.Is(err, fs.ErrNotExist) {
		return inside, false // a backup that began right after the kill has opened the database and taken it in
	}
	if err != nil {
		t.Fatal(err)
	}
	return inside, inside && framesAfterCommit(log) > 0
}

// gone reports whether a process is dead and waits to be reaped.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// aim lets strace kill the server at one of its next writes into the write-ahead
// log, or as one of them is to be synced: on the way into the system call, so
// that what came before is done and this one is not.
func (h *crashHouse) aim(pid int, wal, trace string) *exec.Cmd {
	call, nth := "pwrite64", 1+rand.IntN(60)
	if rand.IntN(4) == 0 {
		call, nth = "fsync,fdatasync", 1+rand.IntN(3)
	}
	cmd := exec.Command("strace", "-f", "-p", fmt.Sprint(pid), "-y", "-s", "0", "-o", trace, "-P", wal,
		"-e", "trace=pwrite64,fsync,fdatasync", "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d+", call, nth))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		h.t.Fatalf("strace: %v", err)
	}
	return cmd
}

var completed = regexp.MustCompile(`= \d+$`)

// killedInside reads strace's log of the write-ahead log: inside a commit is
// after its first write and before its fsync has returned.
func killedInside(trace string) bool {
	written, died := 0, false
	for line := range strings.Lines(trace) {
		write := strings.Contains(line, "pwrite64")
		switch {
		case !write && !strings.Contains(line, "sync"): // the end of a thread
		case !completed.MatchString(strings.TrimRight(line, "\n")):
			died = true
		case write:
			written, died = written+1, false
		default:
			written, died = 0, false
		}
	}
	return died && written > 0
}

// framesAfterCommit counts the good frames behind the last commit: part of one
// that was being written. https://www.sqlite.org/fileformat.html#the_wal_file
func framesAfterCommit(wal []byte) int {
	if len(wal) < 32 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	if binary.BigEndian.Uint32(wal)&1 == 1 {
		order = binary.BigEndian
	}
	page := int(binary.BigEndian.Uint32(wal[8:]))
	salts := wal[16:24]
	var s0, s1 uint32
	sum := func(b []byte) {
		for i := 0; i+8 <= len(b); i += 8 {
			s0 += order.Uint32(b[i:]) + s1
			s1 += order.Uint32(b[i+4:]) + s0
		}
	}
	sum(wal[:24])
	after := 0
	for at := 32; at+24+page <= len(wal); at += 24 + page {
		head := wal[at : at+24]
		sum(head[:8])
		sum(wal[at+24 : at+24+page])
		if !bytes.Equal(head[8:16], salts) || binary.BigEndian.Uint32(head[16:]) != s0 || binary.BigEndian.Uint32(head[20:]) != s1 {
			break
		}
		after++
		if binary.BigEndian.Uint32(head[4:]) != 0 {
			after = 0
		}
	}
	return after
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

func (h *crashHouse) acknowledge(v ackedVersion) {
	if h.acked[v.Device] == nil {
		h.acked[v.Device] = map[int]string{}
	}
	if was, twice := h.acked[v.Device][v.Version]; twice {
		h.t.Errorf("version %d of %s was acknowledged twice: %s, %s", v.Version, v.Device, was, v.SHA256)
	}
	h.acked[v.Device][v.Version] = v.SHA256
}

// noteOpen notes what the API tells of runs and alerts shortly before a kill.
func (h *crashHouse) noteOpen(cl *api.Client) {
	runs, err := cl.Runs(h.t.Context(), 10)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range runs {
		if r.State == schedule.Running {
			h.open[r.ID] = true
		}
	}
	h.noteAlerts(cl)
}

func (h *crashHouse) noteAlerts(cl *api.Client) {
	alerts, err := cl.Alerts(h.t.Context(), true)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range alerts {
		h.alerts[a.ID] = a
	}
}

// checkAfterStart looks for all that was acknowledged before.
func (h *crashHouse) checkAfterStart(cl *api.Client) {
	t := h.t
	for device, versions := range h.acked {
		stored, err := cl.Versions(t.Context(), device)
		if err != nil {
			t.Fatal(err)
		}
		have := map[int]bool{}
		for _, v := range stored {
			have[v.Version] = true
		}
		for n := range versions {
			if !have[n] {
				t.Errorf("version %d of %s was acknowledged and is lost", n, device)
			}
		}
	}
	for id := range h.open {
		r, err := cl.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		// A run may have ended between the look and the kill.
		if r.State == schedule.Running {
			t.Errorf("run %d, killed, is still said to be running", id)
		}
		for _, task := range r.Tasks {
			if task.State == schedule.Running || task.State == schedule.Waiting {
				t.Errorf("task %s of run %d, killed, is %s", task.Subject, id, task.State)
			}
		}
	}
	clear(h.open)
	now := map[int64]alert.Alert{}
	alerts, err := cl.Alerts(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		now[a.ID] = a
	}
	for id, a := range h.alerts {
		if b, ok := now[id]; !ok || b.Kind != a.Kind || a.State == alert.Resolved && b.State != alert.Resolved {
			t.Errorf("alert %d (%s, %s) is lost: it is %q %s now", id, a.Kind, a.State, b.Kind, b.State)
		}
	}
	h.alerts = now
}

// decide approves some versions, so that alerts resolve and open again; the others
// are old enough, after 30 s, to be told of amid the kills.
func (h *crashHouse) decide(cl *api.Client, round int) {
	for i := range 2 {
		device := fmt.Sprintf("%s.%d", crashBase, (round*2+i)%crashDevices+1)
		versions, err := cl.Versions(h.t.Context(), device)
		if err != nil || len(versions) == 0 {
			continue // none yet in the first rounds
		}
		if _, err := cl.Decide(h.t.Context(), device, "approve", api.Meant{}); err != nil {
			h.t.Fatalf("approve %s: %v", device, err)
		}
	}
}

// checkDoneAgain waits until the schedule has caught up with what the kills
// interrupted.
func (h *crashHouse) checkDoneAgain(cl *api.Client) {
	t := h.t
	var interrupted, done schedule.Run
	for begun := time.Now(); time.Since(begun) < 90*time.Second; time.Sleep(200 * time.Millisecond) {
		runs, err := cl.Runs(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		interrupted, done = schedule.Run{}, schedule.Run{}
		for _, r := range runs { // newest first
			if r.Job != "backup" || r.By == schedule.ByCommand {
				continue
			}
			if r.State == schedule.Interrupted && interrupted.ID == 0 {
				interrupted = r
			}
			if r.State == schedule.Done && done.ID == 0 {
				done = r
			}
		}
		if done.ID > interrupted.ID && interrupted.ID > 0 {
			if done.Total != crashDevices || done.Counts["stored"]+done.Counts["unchanged"] != crashDevices {
				t.Errorf("run %d, which did run %d again, ended with %v of %d", done.ID, interrupted.ID, done.Counts, done.Total)
			}
			return
		}
	}
	t.Errorf("run %d, interrupted, was not done again (last done: %d)", interrupted.ID, done.ID)
}

// checkTexts reads every acknowledged version and holds it against its hash.
func (h *crashHouse) checkTexts(cl *api.Client) {
	for device, versions := range h.acked {
		for n, want := range versions {
			text, err := cl.Text(h.t.Context(), device, backup.Which{Version: n, Raw: true})
			if err != nil {
				h.t.Errorf("version %d of %s: %v", n, device, err)
				continue
			}
			sum := sha256.New()
			_, err = io.Copy(sum, text)
			text.Close()
			if got := hex.EncodeToString(sum.Sum(nil)); err != nil || got != want {
				h.t.Errorf("version %d of %s is %s, and %s was acknowledged (%v)", n, device, got, want, err)
			}
		}
	}
}

// checkAlerts: what differs is an alert, every alert was delivered, and each of
// its messages under one id, however often.
func (h *crashHouse) checkAlerts(cl *api.Client) {
	t := h.t
	var missing []string
	for begun := time.Now(); time.Since(begun) < 3*time.Minute; time.Sleep(200 * time.Millisecond) { // a refusal holds a receiver up
		missing = missing[:0]
		alerts, err := cl.Alerts(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		alarmed := map[string]bool{}
		for _, a := range alerts {
			if a.Kind != alert.Changed {
				continue
			}
			for _, d := range a.Devices {
				alarmed[d] = true
			}
			if !h.hook.told(a.ID) {
				missing = append(missing, fmt.Sprintf("alert %d was not delivered", a.ID))
			}
		}
		drift, err := cl.Drift(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range drift {
			if d.Kind == "changed" && !alarmed[d.Device] {
				missing = append(missing, d.Device+" has changed, and there is no alert")
			}
		}
		if h.hook.repeated() == 0 {
			missing = append(missing, "no delivery was repeated, so that nothing shows of its id")
		}
		if len(missing) == 0 {
			break
		}
	}
	for _, m := range missing {
		t.Error(m)
	}
	h.hook.check(t)
}

// crashHook is a receiver that takes its time, refuses some messages, and writes
// down all that it was sent.
type crashHook struct {
	url string

	mu     sync.Mutex // guards what is below
	bodies map[string][]string
	events map[string]map[string]bool // what a message is about → its ids
	alerts map[int64]bool
	n      int
}

func newCrashHook(t *testing.T) *crashHook {
	k := &crashHook{bodies: map[string][]string{}, events: map[string]map[string]bool{}, alerts: map[int64]bool{}}
	ln, err := net.Listen("tcp", "127.37.255.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k.url = "http://" + ln.Addr().String() + "/hook"
	srv := &http.Server{Handler: k}
	go func() { _ = srv.Serve(ln) }() // ends with Close
	t.Cleanup(func() { _ = srv.Close() })
	return k
}

// crashMessage reads a message that was delivered; it answers what is none.
func crashMessage(w http.ResponseWriter, r *http.Request) (m alert.Message, body []byte, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil || m.ID != r.Header.Get(alert.HeaderDelivery) {
		http.Error(w, "no message", http.StatusBadRequest)
		return m, nil, false
	}
	return m, body, true
}

func (k *crashHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, body, ok := crashMessage(w, r)
	if !ok {
		return
	}
	k.mu.Lock()
	k.n++
	n := k.n
	k.bodies[m.ID] = append(k.bodies[m.ID], string(body))
	about := fmt.Sprint(m.Event, " ", m.At)
	for _, a := range m.Alerts {
		k.alerts[a.ID] = true
		about += fmt.Sprint(" ", a.ID)
	}
	if k.events[about] == nil {
		k.events[about] = map[string]bool{}
	}
	k.events[about][m.ID] = true
	k.mu.Unlock()
	// Some are in the receiver's hands when the server dies, and some it refuses.
	select {
	case <-time.After(time.Duration(n%4) * 20 * time.Millisecond):
	case <-r.Context().Done():
	}
	if n%25 == 0 {
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
}

func (k *crashHook) told(id int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.alerts[id]
}

// taken is how many messages came, each counted once.
func (k *crashHook) taken() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.bodies)
}

func (k *crashHook) repeated() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.bodies {
		if len(b) > 1 {
			n++
		}
	}
	return n
}

func (k *crashHook) check(t *testing.T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, bodies := range k.bodies {
		for _, b := range bodies[1:] {
			if b != bodies[0] {
				t.Errorf("delivery %s said two things:\n%s\n%s", id, bodies[0], b)
			}
		}
	}
	for about, ids := range k.events {
		if len(ids) > 1 {
			t.Errorf("one message (%s) came under %d ids", about, len(ids))
		}
	}
}
