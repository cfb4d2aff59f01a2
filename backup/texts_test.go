package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

func TestRawTextLeavesAnAuditRowAndRedactedDoesNot(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("password hunter2"))
	if got := h.text(backup.Which{}); got != config("password ‹secret›") {
		t.Errorf("redacted %q", got)
	}
	if log, err := h.store.AuditLog(t.Context(), "r1", 0); err != nil || len(log) != 0 {
		t.Errorf("audit %+v, %v", log, err)
	}
	if got := h.text(backup.Which{Raw: true, Version: 1}); got != config("password hunter2") {
		t.Errorf("raw %q", got)
	}
	log, err := h.store.AuditLog(t.Context(), "r1", 0)
	if err != nil || len(log) != 1 || log[0].Who != "ops" || log[0].Action != "config show --raw" || log[0].Detail != "version 1" {
		t.Errorf("audit %+v, %v", log, err)
	}
}

func TestWhatIsNotStoredSaysSo(t *testing.T) {
	h := newHouse(t, "r1")
	for _, w := range []backup.Which{{}, {Version: 3}, {Quarantined: true}, {Part: "nosuch"}} {
		if _, err := h.backups.Text(t.Context(), h.id(), w, ""); err == nil || !strings.Contains(err.Error(), "r1") {
			t.Errorf("%+v before the first backup: %v", w, err)
		}
	}
	h.want(backup.Stored, 1, config("a"))
	for _, w := range []backup.Which{{Version: 3}, {Part: "nosuch"}, {Version: 1, Part: "startup"}} {
		if _, err := h.backups.Text(t.Context(), h.id(), w, ""); !errors.Is(err, backup.ErrNotStored) || !strings.Contains(err.Error(), "r1") {
			t.Errorf("%+v: %v", w, err)
		}
	}
	if err := h.backups.Diff(t.Context(), &bytes.Buffer{}, h.id(), 0, 0); !errors.Is(err, backup.ErrNotStored) {
		t.Errorf("diff of one version: %v", err)
	}
}

func TestGuessedSecretCannotBeTriedAgainstWhatIsNotSealed(t *testing.T) {
	h := newHouse(t, "r1")
	r := h.want(backup.Stored, 1, config("password hunter2"))
	sum := sha256.Sum256([]byte(config("password hunter2")))
	if r.SHA256 != hex.EncodeToString(sum[:]) {
		t.Fatalf("told %s", r.SHA256)
	}
	vs, err := h.backups.Versions(t.Context(), h.id())
	if err != nil || vs[0].SHA256 != r.SHA256 {
		t.Errorf("%+v, %v", vs, err)
	}
	names, err := filepath.Glob(filepath.Join(h.dir, "*"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for what, clear := range map[string][]byte{"digest": []byte(r.SHA256), "binary digest": sum[:], "password": []byte("hunter2")} {
			if bytes.Contains(text, clear) {
				t.Errorf("%s holds the %s of the raw text", name, what)
			}
		}
	}
}

func TestLargestCaptureIsStoredAndReadBack(t *testing.T) {
	h := newHouse(t, "r1")
	line := make([]byte, 0, 128)
	var text bytes.Buffer
	text.WriteString("version 7\n")
	for i := 0; text.Len() < 64<<20-200; i++ { // hashes do not compress: several pieces
		sum := sha256.Sum256(fmt.Appendf(nil, "%d", i))
		line = fmt.Appendf(line[:0], "%x\n", sum)
		text.Write(line)
	}
	text.WriteString("end\n")
	h.want(backup.Stored, 1, text.String())
	if n := h.count("SELECT count(*) FROM text_piece"); n == 0 {
		t.Error("one blob holds it all")
	}
	if got := h.text(backup.Which{Raw: true}); got != text.String() {
		t.Errorf("%d bytes came back, %d went in", len(got), text.Len())
	}
}

func TestGrepFindsLinesOfTheNewestVersionsAndNoSecret(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("r%d", i))
	}
	h := newHouse(t, append(names, "never")...)
	for i, n := range names {
		h.takeOf(i, config("hostname old-"+n))
		h.takeOf(i, config("hostname "+n, "password hunter2"))
	}
	grep := func(pattern string) (hits []string) {
		t.Helper()
		err := h.backups.Grep(t.Context(), pattern, h.devices, func(hit backup.Hit) error {
			hits = append(hits, fmt.Sprintf("%s:%s:%d:%s", hit.Device, hit.Part, hit.Line, hit.Text))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(hits)
		return hits
	}
	if got := grep("^hostname r1$"); len(got) != 1 || got[0] != "r1:running:2:hostname r1" {
		t.Errorf("%v", got)
	}
	if got := grep("^hostname"); len(got) != 20 {
		t.Errorf("%d hits", len(got))
	}
	for _, pattern := range []string{"hunter2", "[0-9a-f]{8}›", "old-"} {
		if got := grep(pattern); len(got) != 0 {
			t.Errorf("%q found %v", pattern, got)
		}
	}
	if err := h.backups.Grep(t.Context(), "(", h.devices, nil); err == nil || !strings.Contains(err.Error(), "pattern") {
		t.Errorf("a bad pattern: %v", err)
	}
	n := 0
	err := h.backups.Grep(t.Context(), "hostname", h.devices, func(backup.Hit) error { n++; return errTold })
	if !errors.Is(err, errTold) || n != 1 {
		t.Errorf("after an error of emit: %d hits, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.backups.Grep(ctx, "hostname", h.devices, func(backup.Hit) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestExportIsStableAndLeavesOthersFilesAlone(t *testing.T) {
	h := newHouse(t, "r1", "other", "../../etc/passwd", ".git", "con", "gone")
	h.devices[1].Name = "R1" // the inventory would not have it beside r1
	for i := range h.devices {
		h.takeOf(i, config("hostname x", "password hunter2"))
	}
	dir := filepath.Join(t.TempDir(), "out")
	read := func() map[string]string {
		t.Helper()
		files := map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(text)
		}
		return files
	}
	export := func(all bool) error {
		_, err := h.backups.ExportTo(t.Context(), dir, h.devices, all)
		return err
	}
	if err := export(true); err != nil {
		t.Fatal(err)
	}
	first := read()
	for name, text := range first {
		if name != ".muster-export.json" && text != config("hostname x", "password ‹secret›") {
			t.Errorf("%s: %q", name, text)
		}
	}
	for _, want := range []string{"%2E%2E%2F..%2Fetc%2Fpasswd.cfg", "%2Egit.cfg", "_con.cfg", "gone.cfg"} {
		if want = strings.Replace(want, "%2E%2E", "%2E.", 1); first[want] == "" {
			t.Errorf("no %s in %v", want, keys(first))
		}
	}
	folded := map[string]bool{}
	for name := range first {
		folded[strings.ToLower(name)] = true
	}
	if len(first) != 7 || len(folded) != 7 {
		t.Errorf("files %v", keys(first))
	}
	// Another night without a change: the same bytes, and not even written.
	h.takeOf(0, config("hostname x", "password hunter2"))
	if err := export(true); err != nil {
		t.Fatal(err)
	}
	if again := read(); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("an unchanged network is exported otherwise: %v", keys(again))
	}
	// What others put there stays, also under a device's name.
	mine := filepath.Join(dir, "README")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.devices = slices.DeleteFunc(h.devices, func(d inventory.Device) bool { return d.Name == "gone" || d.Name == "con" })
	if err := os.WriteFile(filepath.Join(dir, "_con.cfg"), []byte("edited by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := export(false); err != nil {
		t.Fatal(err)
	}
	if got := read(); got["gone.cfg"] == "" {
		t.Error("a part of the devices was exported, and another's file is gone")
	}
	if err := export(true); err != nil {
		t.Fatal(err)
	}
	if got := read(); got["gone.cfg"] != "" || got["README"] != "mine" || got["_con.cfg"] != "edited by hand" {
		t.Errorf("after a device is gone: %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "new.cfg"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.devices[0].Name = "new"
	if err := export(true); err == nil || !strings.Contains(err.Error(), "new.cfg was not written by an export") {
		t.Errorf("over a stranger's file: %v", err)
	}
	if got := read(); got["new.cfg"] != "not ours" {
		t.Error("a stranger's file was overwritten")
	}
}

func keys(m map[string]string) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestExportDirTakesNoPath(t *testing.T) {
	d, err := backup.OpenExportDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/b", `a\b`, ".hidden", manifest} {
		if err := d.Put(backup.File{Name: name, Text: []byte("x")}); err == nil {
			t.Errorf("%q was written", name)
		}
	}
}

const manifest = ".muster-export.json"

func TestPurgeLeavesNoBytes(t *testing.T) {
	h := newHouse(t, "r1")
	lines := func(word string) string {
		var b strings.Builder
		for i := range 300 {
			sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", word, i))
			fmt.Fprintf(&b, "line %x\n", sum)
		}
		return b.String()
	}
	// Version 2 is the key frame of those after it, and version 4 says the same
	// as version 3.
	h.want(backup.Stored, 1, config("a", lines("one")))
	h.want(backup.Stored, 2, config("b", lines("two"), "password hunter2"))
	h.want(backup.Stored, 3, config("b", lines("two"), "password hunter3"))
	h.want(backup.Stored, 4, config("b", lines("two"), "password hunter4", "ntp"))
	h.want(backup.Stored, 5, config("b", lines("two"), "password hunter3"))
	want := map[int]string{}
	for _, v := range []int{1, 3, 4, 5} {
		want[v] = h.text(backup.Which{Version: v, Raw: true})
	}
	if err := h.backups.Purge(t.Context(), h.id(), 2, "ops"); err != nil {
		t.Fatal(err)
	}
	h.sound()
	for v, text := range want {
		if got := h.text(backup.Which{Version: v, Raw: true}); got != text {
			t.Errorf("version %d is another one after the purge", v)
		}
	}
	if _, err := h.backups.Text(t.Context(), h.id(), backup.Which{Version: 2}, ""); !errors.Is(err, backup.ErrNotStored) {
		t.Errorf("version 2: %v", err)
	}
	var w bytes.Buffer
	if err := h.backups.Diff(t.Context(), &w, h.id(), 0, 3); err != nil || !strings.Contains(w.String(), "running version 1\t") {
		t.Errorf("the version before 3 is 1 now: %v", err)
	}
	// The newest one: with it go the texts of the newest capture, and its number
	// is not used again.
	if err := h.backups.Purge(t.Context(), h.id(), 5, "ops"); err != nil {
		t.Fatal(err)
	}
	h.sound()
	if got := h.text(backup.Which{Raw: true}); got != want[4] {
		t.Error("the newest is not version 4")
	}
	h.want(backup.Stored, 6, config("b", lines("two"), "password hunter5"))
	for _, v := range []int{1, 3, 4, 6} {
		if err := h.backups.Purge(t.Context(), h.id(), v, "ops"); err != nil {
			t.Fatal(err)
		}
	}
	h.sound()
	if n := h.count("SELECT count(*) FROM text"); n != 0 {
		t.Errorf("%d texts are left", n)
	}
	h.wantDrift("")
	h.want(backup.Stored, 7, config("c", lines("three")))
	log, err := h.store.AuditLog(t.Context(), "r1", 0)
	if n := 0; err == nil {
		for _, l := range log {
			if l.Action == "config purge" {
				n++
			}
		}
		if n != 6 {
			t.Errorf("%d audit rows of purges", n)
		}
	}
}

func TestPurgeNamesTheCopyThatStillHoldsTheBytes(t *testing.T) {
	h := newHouse(t, "r1")
	h.want(backup.Stored, 1, config("hostname r1", "password hunter2"))
	if err := h.store.Backup(t.Context(), filepath.Join(h.dir, "muster.db.before-00009")); err != nil {
		t.Fatal(err)
	}
	err := h.backups.Purge(t.Context(), h.id(), 1, "ops")
	if err == nil || !strings.Contains(err.Error(), "muster.db.before-00009 still holds bytes") {
		t.Errorf("%v", err)
	}
	if _, err := h.backups.Text(t.Context(), h.id(), backup.Which{}, ""); !errors.Is(err, backup.ErrNotStored) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestSmallChangeCostsLittle(t *testing.T) {
	h := newHouse(t, "r1")
	text := func(i int) string {
		var b strings.Builder
		for j := range 1000 {
			fmt.Fprintf(&b, "interface GigabitEthernet1/0/%d\n description %x\n switchport access vlan %d\n!\n", j, sha256.Sum256(fmt.Appendf(nil, "%d", j)), j%100)
		}
		return config(b.String(), fmt.Sprintf("ntp server 192.0.2.%d", i), fmt.Sprintf("password secret%d", i))
	}
	h.want(backup.Stored, 1, text(1))
	before := h.count("SELECT sum(length(blob)) FROM text")
	for i := 2; i <= 11; i++ {
		h.want(backup.Stored, i, text(i))
	}
	if each := (h.count("SELECT sum(length(blob)) FROM text") - before) / 10; each > 2000 {
		t.Errorf("%d bytes a small change, redacted and raw", each)
	}
	h.sound()
}

func TestBetterRulesHideWhatOlderOnesStoredInTheClear(t *testing.T) {
	h := newHouse(t, "r1", "r2")
	h.box().answers["/startup"] = config("a", "community public-one")
	for i := range 35 { // over one key frame
		h.want(backup.Stored, i+1, config("a", "community public-one", fmt.Sprintf("ntp server 192.0.2.%d", i), strings.Repeat("interface x\n", 50)))
	}
	h.want(backup.Stored, 36, config("a", "community public-two", "ntp", strings.Repeat("interface x\n", 50)))
	h.takeOf(1, config("nothing to hide"))
	want, log := map[int]string{}, h.logOf()
	for v := 1; v <= 36; v++ {
		want[v] = h.text(backup.Which{Version: v, Raw: true})
	}
	drift, last := h.drift(), h.last()

	h.rules.revision, h.rules.secrets = "2", []string{"password", "community"}
	n, err := h.backups.Rederive(t.Context())
	if err != nil || n != 37 {
		t.Fatalf("%d versions, %v", n, err)
	}
	h.sound()
	for v, text := range want {
		if got := h.text(backup.Which{Version: v, Raw: true}); got != text {
			t.Errorf("the raw text of version %d is another one", v)
		}
		stored, err := h.store.VersionTexts(t.Context(), h.id(), v, false)
		if err != nil || bytes.Contains(stored.Parts[0].Redacted, []byte("public")) {
			t.Errorf("version %d is stored as %q, %v", v, stored.Parts[0].Redacted, err)
		}
	}
	if h.last() != last || h.drift() != drift || h.logOf() != log {
		t.Errorf("it made events, drift or versions: %s, was %s", h.logOf(), log)
	}
	if n, err := h.backups.Rederive(t.Context()); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	h.want(backup.Unchanged, 36, config("a", "community public-two", "ntp", strings.Repeat("interface x\n", 50)))
	h.sound()
}

// endsBeforeRewrite is the store of a process that ends when old texts are gone
// from the tables, and not yet from the file.
type endsBeforeRewrite struct{ backup.Store }

func (endsBeforeRewrite) Rewrite(context.Context) error { return errTold }

func TestOldTextsLeaveTheFileThoughANightWasCutShort(t *testing.T) {
	h := newHouse(t, "r1")
	for i := range 4 {
		lines := []string{"community public"}
		for j := range 500 { // nothing that packs: some pages each
			lines = append(lines, fmt.Sprintf("key %x", sha256.Sum256(fmt.Appendf(nil, "%d %d", i, j))))
		}
		h.want(backup.Stored, i+1, config(lines...))
	}
	h.rules.revision, h.rules.secrets = "2", []string{"password", "community"}
	cut := backup.New(endsBeforeRewrite{h.store}, h.store.RedactionKey(), backup.Options{Log: h.logger()})
	cut.UseRules(func(string) (backup.Rules, bool) { return h.rules, true })
	if _, err := cut.Rederive(t.Context()); !errors.Is(err, errTold) {
		t.Fatalf("the night that is cut short: %v", err)
	}
	if h.count("PRAGMA freelist_count") == 0 {
		t.Fatal("old texts left no free pages; the test needs more of them")
	}
	if n, err := h.backups.Rederive(t.Context()); err != nil || n != 0 {
		t.Errorf("the next night: %d versions, %v, want none", n, err)
	}
	if n := h.count("PRAGMA freelist_count"); n != 0 {
		t.Errorf("the file has %d free pages with old texts", n)
	}
	rewritten := h.count("PRAGMA schema_version") // VACUUM counts it up
	if _, err := h.backups.Rederive(t.Context()); err != nil {
		t.Error(err)
	}
	if h.count("PRAGMA schema_version") != rewritten {
		t.Error("the file is rewritten each night")
	}
	h.sound()
}

// logOf is what config log tells of the first device.
func (h *house) logOf() string {
	h.t.Helper()
	vs, err := h.backups.Versions(h.t.Context(), h.id())
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprint(vs)
}

// What a text says of its last change stands with the version that it made, is
// bounded and holds no secret, and makes no version by itself.
func TestLastChangeStandsWithTheVersion(t *testing.T) {
	h := newHouse(t, "r1")
	said := func() (all []string) {
		t.Helper()
		vs, err := h.backups.Versions(t.Context(), h.id())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range vs {
			all = append(all, v.LastChange)
		}
		return all
	}
	h.want(backup.Stored, 1, "! time 09:12 by ops\n"+config("a"))
	h.want(backup.Unchanged, 1, "! time 10:00 by other\n"+config("a"))
	h.want(backup.Stored, 2, "! time 11:00 by x\x07y\n"+config("b"))
	h.want(backup.Stored, 3, config("c, and it says nothing"))
	h.want(backup.Quarantined, 3, "! time 12:00 by password hunter2\nversion 7\nd\n")
	if _, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops"); err != nil {
		t.Fatal(err)
	}
	h.want(backup.Stored, 5, "! time 13:00 by "+strings.Repeat("é ", 300)+"\n"+config("e"))
	got := said()
	if len(got[0]) > collector.SeenLimit || !utf8.ValidString(got[0]) || !strings.HasPrefix(got[0], "13:00 by é") {
		t.Errorf("said %q", got[0])
	}
	want := []string{"12:00 by password ‹secret›", "", `11:00 by x\x07y`, "09:12 by ops"}
	if d := cmp.Diff(want, got[1:]); d != "" {
		t.Error(d)
	}
	// Versions that were stored before muster kept it say it as well.
	if _, err := h.database().ExecContext(t.Context(), "UPDATE version SET last_change = '', derived = ''"); err != nil {
		t.Fatal(err)
	}
	if n, err := h.backups.Rederive(t.Context()); err != nil || n != 5 {
		t.Errorf("derived %d anew, %v", n, err)
	}
	if d := cmp.Diff(got, said()); d != "" {
		t.Error(d)
	}
	h.sound()
}
