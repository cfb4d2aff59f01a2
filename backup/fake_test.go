package backup_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/collector/cli"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
	"muster/store"
)

// acme is a platform whose rules a test can change: texts end with "end", "!
// time" lines are volatile, "password X" is a secret and "enc X" is encrypted
// anew at each display.
type acme struct {
	revision string
	evidence platform.EvidenceKind
	volatile []string // prefixes
	secrets  []string // keywords
	parts    []platform.Part
}

func newAcme() *acme {
	return &acme{
		revision: "1", evidence: platform.Lab, volatile: []string{"! time"}, secrets: []string{"password"},
		parts: []platform.Part{
			{Name: "running", Role: platform.RoleRunning, Via: platform.ViaShell, Source: "show running-config"},
			{Name: "vlans", Role: platform.RoleExtra, Via: platform.ViaExec, Source: "show vlan", Optional: true},
			{Name: "startup", Role: platform.RoleStartup, Via: platform.ViaFile, Source: "/startup", Optional: true},
			{Name: "daemons", Role: platform.RoleWitness, Via: platform.ViaShell, Source: "show daemons", Optional: true},
		},
	}
}

func (a *acme) Spec() *platform.Definition {
	return &platform.Definition{Name: "acme", Revision: a.revision, Parts: a.parts, Evidence: platform.Evidence{Kind: a.evidence}}
}

func (a *acme) Dialogue() cli.Dialogue { return cli.Dialogue{Prompt: regexp.MustCompile(`#$`)} }

func (a *acme) Judge(texts map[string][]byte, lastSize int) ([]platform.Proof, error) {
	running := texts["running"]
	if bytes.Contains(running, []byte("! reduced view\n")) {
		return nil, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrRightsMissing, Do: "Give the account level 15"}
	}
	if !bytes.HasSuffix(running, []byte("\nend\n")) {
		return nil, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrProofMissing, Seen: collector.Seen(running), Do: `The last line is not "end"`}
	}
	return []platform.Proof{{Part: "running", Rule: "last line", Seen: "end"}}, nil
}

func (a *acme) Normal(raw []byte) []byte {
	var out []byte
next:
	for _, l := range bytes.SplitAfter(raw, []byte("\n")) {
		for _, v := range a.volatile {
			if bytes.HasPrefix(l, []byte(v)) {
				continue next
			}
		}
		out = append(out, l...)
	}
	return out
}

func (a *acme) Redact(text, key []byte) []byte {
	for _, word := range a.secrets {
		text = regexp.MustCompile(`(?m)(`+word+` )(\S+)`).ReplaceAllFunc(text, func(m []byte) []byte {
			kept, value, _ := strings.Cut(string(m), " ")
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(value))
			return []byte(kept + " ‹secret " + hex.EncodeToString(mac.Sum(nil)[:4]) + "›")
		})
	}
	return regexp.MustCompile(`(?m)(enc )\S+`).ReplaceAll(text, []byte("$1‹secret›"))
}

func (a *acme) SavedForm(running, startup []byte) (r, s []byte, known bool) {
	return running, startup, len(bytes.TrimSpace(startup)) > 0
}

func (a *acme) TextFacts(texts map[string][]byte) []platform.Fact {
	var facts []platform.Fact
	for _, name := range []string{"version", "hostname"} {
		if m := regexp.MustCompile(`(?m)^` + name + ` (\S+)`).FindSubmatch(texts["running"]); m != nil {
			facts = append(facts, platform.Fact{Name: name, Value: string(m[1]), Source: "running"})
		}
	}
	return facts
}

func (a *acme) Volatile(raw []byte) []platform.Fact {
	if m := regexp.MustCompile(`(?m)^! time (.+ by .+)$`).FindSubmatch(raw); m != nil {
		return []platform.Fact{{Name: platform.FactChanged, Value: string(m[1]), Source: "header"}}
	}
	return nil
}

func (a *acme) Waiting(texts map[string][]byte) (says []string, known bool) {
	text, known := texts["daemons"]
	if bytes.Contains(text, []byte("rollback in")) {
		says = []string{"a commit waits for its confirmation"}
	}
	return says, known
}

func (a *acme) WaitingParts() []string { return []string{"daemons"} }

// box is a device: what it answers to commands and files.
type box struct {
	mu      sync.Mutex
	answers map[string]string
	errs    map[string]error
	during  func(source string) // called while a part is read
	open    error
	opened  int
	closed  int
}

func (x *box) answer(ctx context.Context, source string) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.during != nil {
		x.during(source)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := x.errs[source]; err != nil {
		return nil, err
	}
	text, ok := x.answers[source]
	if !ok {
		return nil, &collector.Error{Step: collector.StepCommand, Kind: collector.ErrCommandRejected, Seen: "% Invalid input"}
	}
	return []byte(text), nil
}

func (x *box) Run(ctx context.Context, command string) (cli.Output, error) {
	text, err := x.answer(ctx, command)
	return cli.Output{Text: text, ExitStatus: -1}, err
}

func (x *box) Switch(ctx context.Context, command string) error {
	_, err := x.answer(ctx, command)
	return err
}

func (x *box) Exec(ctx context.Context, command string) (cli.Output, error) {
	text, err := x.answer(ctx, command)
	return cli.Output{Text: text}, err
}

func (x *box) File(ctx context.Context, path string) ([]byte, error) { return x.answer(ctx, path) }

func (x *box) Steps() []collector.StepTime {
	return []collector.StepTime{{Step: collector.StepLogin, Detail: "noc"}}
}
func (x *box) Negotiated() cli.Negotiated { return cli.Negotiated{} }
func (x *box) Method() string             { return "password" }
func (x *box) Close() error               { x.closed++; return nil }

// house is a store with devices whose boxes can be told what to print.
type house struct {
	t       testing.TB
	dir     string
	key     secret.Key
	store   *store.Store
	backups *backup.Backups
	rules   *acme
	boxes   map[int64]*box
	devices []inventory.Device
	now     time.Time
	policy  backup.ApprovalPolicy
	facts   []platform.Fact
	log     bytes.Buffer // what was logged
	slog    *slog.Logger
	db      *sql.DB // see database
}

// logger writes into h.log, under the lock of its one handler.
func (h *house) logger() *slog.Logger {
	if h.slog == nil {
		h.slog = slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return h.slog
}

func newHouse(t testing.TB, names ...string) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "muster"), key: secret.NewKey(), rules: newAcme(), boxes: map[int64]*box{},
		now: time.Date(2026, 1, 5, 4, 20, 0, 0, time.UTC), policy: backup.ApprovalPolicy{After: 7 * 24 * time.Hour}}
	h.openStore()
	t.Cleanup(func() {
		if err := h.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for _, n := range names {
		h.devices = append(h.devices, h.addDevice(n))
	}
	return h
}

// addDevice puts a device into the inventory, and its box beside it.
func (h *house) addDevice(name string) inventory.Device {
	h.t.Helper()
	res, err := h.database().ExecContext(h.t.Context(), "INSERT INTO device (name, state) VALUES (?, 'up')", name)
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		h.t.Fatal(err)
	}
	h.boxes[id] = &box{answers: map[string]string{"show running-config": config("hostname " + name)}, errs: map[string]error{}}
	return inventory.Device{ID: id, Name: name, Platform: "acme", Managed: true, State: inventory.StateUp}
}

// config is a whole text of acme with the lines in it.
func config(lines ...string) string {
	return "version 7\n" + strings.Join(lines, "\n") + "\nend\n"
}

func (h *house) openStore() {
	h.t.Helper()
	s, err := store.Open(h.dir, h.key, store.Options{Log: h.logger()})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = s
	h.backups = backupsWith(h, func(inventory.Device) backup.ApprovalPolicy { return h.policy })
}

func backupsWith(h *house, approval func(inventory.Device) backup.ApprovalPolicy) *backup.Backups {
	b := backup.New(h.store, h.store.RedactionKey(), backup.Options{
		Approval: approval,
		Devices:  func(context.Context) ([]inventory.Device, error) { return h.devices, nil },
		Facts: func(_ context.Context, _ inventory.Device, f []platform.Fact, _ time.Time) error {
			h.facts = f
			return nil
		},
		Open: func(_ context.Context, _ *inventory.Run, dev inventory.Device, _ cli.Dialogue, o cli.Options) (backup.Session, string, []collector.StepTime, error) {
			x := h.boxes[dev.ID]
			o.Progress(collector.StepLogin, "")
			if x.open != nil {
				return nil, "", []collector.StepTime{{Step: collector.StepLogin, Kind: collector.KindOf(x.open)}}, x.open
			}
			x.opened++
			return x, "noc", nil, nil
		},
		Log: h.logger(),
		Now: func() time.Time { return h.now },
	})
	b.UseRules(func(name string) (backup.Rules, bool) { return h.rules, name == "acme" })
	return b
}

// database opens the file beside the store, as the sqlite3 command would. The
// driver comes with the store.
func (h *house) database() *sql.DB {
	h.t.Helper()
	if h.db != nil {
		return h.db
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(h.dir, "muster.db")+"?_foreign_keys=on&_busy_timeout=5000")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close() })
	h.db = db
	return db
}

func (h *house) count(query string, args ...any) (n int) {
	h.t.Helper()
	if err := h.database().QueryRow(query, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// take lets a night pass and backs up the first device, which prints running.
func (h *house) take(running string) backup.Result {
	h.t.Helper()
	return h.takeOf(0, running)
}

func (h *house) takeOf(i int, running string) backup.Result {
	h.t.Helper()
	dev := h.devices[i]
	h.boxes[dev.ID].answers["show running-config"] = running
	return h.night(i)
}

func (h *house) night(i int) backup.Result {
	h.t.Helper()
	h.now = h.now.Add(24 * time.Hour)
	return h.backups.Take(h.t.Context(), nil, 1, h.devices[i], nil)
}

// want is take with the outcome that it must have.
func (h *house) want(outcome backup.Outcome, version int, running string) backup.Result {
	h.t.Helper()
	r := h.take(running)
	if r.Outcome != outcome || r.Version != version {
		h.t.Fatalf("took %+v, want %s, version %d", r, outcome, version)
	}
	return r
}

func (h *house) box() *box { return h.boxes[h.devices[0].ID] }

func (h *house) id() int64 { return h.devices[0].ID }

func (h *house) text(w backup.Which) string {
	h.t.Helper()
	text, err := h.backups.Text(h.t.Context(), h.id(), w, "ops")
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// drift lists what is open for the first device, as "kind +a -r".
func (h *house) drift() string {
	h.t.Helper()
	all, err := h.backups.Drifts(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, d := range all {
		if d.Device == h.devices[0].Name {
			out = append(out, fmt.Sprintf("%s +%d -%d", d.Kind, d.LinesAdded, d.LinesRemoved))
		}
	}
	return strings.Join(out, ", ")
}

// events lists the kinds of events with their data since an id.
func (h *house) events(after int64) (all []inventory.Event) {
	h.t.Helper()
	all, err := h.store.Events(h.t.Context(), after, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *house) last() int64 {
	h.t.Helper()
	id, err := h.store.LastEvent(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// sound checks the whole store.
func (h *house) sound() {
	h.t.Helper()
	found, err := h.store.Verify(h.t.Context())
	if err != nil || len(found) > 0 {
		h.t.Errorf("verify: %v, %v", found, err)
	}
}

var errTold = errors.New("told to fail")
