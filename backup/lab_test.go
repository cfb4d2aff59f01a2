package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/collector/cli"
	"muster/internal/lab"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
)

// network is a store with the real definitions and real sessions to a simulated
// network: one device of each platform.
type network struct {
	*house
	lab *lab.Network
}

func newNetwork(t *testing.T, devices ...lab.Device) *network {
	t.Helper()
	n, err := lab.Start(t.Context(), lab.Options{Devices: devices, SharedHostKey: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	set, faults := platform.Load(nil)
	for _, f := range faults {
		t.Fatalf("%s: %s", f.File, f.Reason)
	}
	names := make([]string, len(devices))
	for i, d := range devices {
		names[i] = d.Name
	}
	h := newHouse(t, names...)
	for i, d := range devices {
		h.devices[i].Platform = string(d.Platform)
		h.devices[i].Address = n.Addr(d.Name)
	}
	h.backups = backup.New(h.store, h.store.RedactionKey(), backup.Options{
		Definitions: func() *platform.Set { return set },
		Devices:     func(context.Context) ([]inventory.Device, error) { return h.devices, nil },
		Open: func(ctx context.Context, _ *inventory.Run, dev inventory.Device, d cli.Dialogue, o cli.Options) (backup.Session, string, []collector.StepTime, error) {
			s, err := cli.Open(ctx, collector.Target{
				Device: dev.Name, Addr: n.SSH(dev.Name),
				Credential: collector.Credential{Name: "noc", Kind: collector.KindSSH, User: lab.User, Password: secret.New(lab.Password), Enable: secret.New(lab.Enable)},
				Limits:     collector.Limits{FirstByte: 5 * time.Second, Silence: 2 * time.Second},
			}, d, o)
			if err != nil {
				return nil, "", nil, err
			}
			return s, "noc", s.Steps(), nil
		},
		Log: h.logger(), Now: func() time.Time { return h.now },
	})
	return &network{house: h, lab: n}
}

// first takes the first backup of a device. That of a platform that is known
// from documents only waits for a person.
func (n *network) first(i int) {
	n.t.Helper()
	r := n.night(i)
	if r.Outcome == backup.Quarantined && strings.Contains(r.Message, "known from documents only") {
		v, _, err := n.backups.Accept(n.t.Context(), n.devices[i].ID, "", "ops")
		if err != nil || v != 1 {
			n.t.Fatalf("accept: %d, %v", v, err)
		}
		return
	}
	if r.Outcome != backup.Stored || r.Version != 1 {
		n.t.Fatalf("first backup: %+v", r)
	}
}

var platforms = []lab.Device{
	{Name: "acc-1", Platform: lab.IOSXE, Enable: lab.Enable},
	{Name: "old-1", Platform: lab.IOS},
	{Name: "dist-1", Platform: lab.EOS},
	{Name: "core-1", Platform: lab.Junos},
	{Name: "fw-1", Platform: lab.FortiOS},
	{Name: "edge-1", Platform: lab.FRR},
	{Name: "dc-1", Platform: lab.NXOS},
	{Name: "vpn-1", Platform: lab.ASA, Enable: lab.Enable},
	{Name: "br-1", Platform: lab.RouterOS},
	{Name: "flr-1", Platform: lab.ProCurve, Enable: lab.Enable},
	{Name: "cx-1", Platform: lab.AOSCX},
	{Name: "dist-2", Platform: lab.VRP},
	{Name: "pa-1", Platform: lab.PANOS},
	{Name: "pe-1", Platform: lab.IOSXR},
	{Name: "smb-1", Platform: lab.SMB, Enable: lab.Enable},
	{Name: "vy-1", Platform: lab.VyOS},
	{Name: "lb-1", Platform: lab.TMOS},
	{Name: "leaf-1", Platform: lab.OS10},
	{Name: "x-1", Platform: lab.EXOS},
	{Name: "spine-1", Platform: lab.Onyx, Enable: lab.Enable},
	{Name: "olt-1", Platform: lab.VSOL, Enable: lab.Enable},
	{Name: "sw-1", Platform: lab.SonicOS},
	{Name: "tor-1", Platform: lab.QNOS, Enable: lab.Enable},
}

func TestEveryPlatformIsBackedUpQuietlyAndItsChangesAreSeen(t *testing.T) {
	for _, d := range platforms {
		t.Run(string(d.Platform), func(t *testing.T) {
			t.Parallel() // most of it is waiting for devices to have nothing more to say
			n, i := newNetwork(t, d), 0
			saves := !slices.Contains([]lab.Platform{lab.Junos, lab.FortiOS, lab.RouterOS, lab.PANOS, lab.IOSXR, lab.VyOS, lab.TMOS, lab.EXOS, lab.Onyx, lab.VSOL, lab.SonicOS}, d.Platform)
			want := func(outcome backup.Outcome, version int, drift ...string) {
				t.Helper()
				r := n.night(i)
				if r.Outcome != outcome || r.Version != version {
					t.Fatalf("took %+v, want %s, version %d", r, outcome, version)
				}
				if r.SHA256 == "" {
					t.Error("no digest")
				}
				got, kinds := n.drift(), []string{}
				for _, k := range strings.Split(got, ", ") {
					kind, _, _ := strings.Cut(k, " ")
					kinds = append(kinds, kind)
				}
				if strings.Join(kinds, " ") != strings.Join(drift, " ") {
					t.Errorf("drift %q, want %q", got, drift)
				}
			}
			n.first(i)
			raw, err := n.backups.Text(t.Context(), n.devices[i].ID, backup.Which{Raw: true}, "ops")
			if err != nil || string(raw) != n.lab.Shown(d.Name) {
				t.Errorf("what is stored is not what was shown: %d bytes, %d shown, %v", len(raw), len(n.lab.Shown(d.Name)), err)
			}
			want(backup.Unchanged, 1, "") // timestamps, re-encrypted values: quiet
			want(backup.Unchanged, 1, "")
			n.lab.Change(d.Name)
			want(backup.Stored, 2, "changed")
			version := 2
			if saves {
				n.lab.Unsaved(d.Name)
				want(backup.Stored, 3, "changed", "unsaved")
				n.lab.Save(d.Name)
				want(backup.Unchanged, 3, "changed")
				version = 3
			}
			n.lab.Truncate(d.Name, true)
			if r := n.night(i); r.Outcome != backup.Quarantined || r.Step != collector.StepJudge || r.Version != version {
				t.Errorf("truncated: %+v", r)
			}
			n.lab.Truncate(d.Name, false)
			n.lab.CloseMidOutput(d.Name, true)
			if r := n.night(i); r.Outcome != backup.Failed || r.Kind != collector.ErrClosed || !backup.Retryable(r.Step, r.Kind) {
				t.Errorf("closed in the middle: %+v", r)
			}
			n.lab.CloseMidOutput(d.Name, false)
			n.lab.Revert(d.Name)
			want(backup.Stored, version+1, "")
			n.sound()
		})
	}
}

func TestSecretsNowhereInClearInDatabaseFile(t *testing.T) {
	n := newNetwork(t, platforms...)
	plain := []string{lab.Password, lab.Enable}
	var shown bytes.Buffer
	for i, d := range platforms {
		n.first(i)
		n.lab.Change(d.Name)
		n.night(i)
		n.lab.Truncate(d.Name, true)
		shown.WriteString(n.night(i).Message)
		n.lab.CloseMidOutput(d.Name, true)
		shown.WriteString(n.night(i).Message)
		plain = append(plain, n.lab.Secrets(d.Name)...)
		for _, w := range []backup.Which{{}, {Version: 1}, {Quarantined: true}} {
			text, err := n.backups.Text(t.Context(), n.devices[i].ID, w, "ops")
			if err != nil {
				t.Fatal(err)
			}
			shown.Write(text)
		}
		if err := n.backups.Diff(t.Context(), &shown, n.devices[i].ID, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := n.backups.Grep(t.Context(), ".", n.devices, func(hit backup.Hit) error { shown.WriteString(hit.Text + "\n"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := n.backups.ExportTo(t.Context(), dir, n.devices, true); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"what was shown": shown.Bytes(), "the log": n.log.Bytes()}
	for _, pattern := range []string{filepath.Join(n.dir, "*"), filepath.Join(dir, "*")} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if files[name], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(plain) < 20 || len(files) < 8 {
		t.Fatalf("%d secrets, %d files: this proves nothing", len(plain), len(files))
	}
	// zstd keeps short runs of bytes as they are, so what is stored in the clear
	// is looked at unpacked as well: every redacted text is in what was shown.
	for name, text := range files {
		for _, s := range plain {
			if len(s) >= 6 && bytes.Contains(text, []byte(s)) {
				t.Errorf("%s tells %q", name, s)
			}
		}
	}
}

func TestManySessionsAtOnceAreEachTheirOwn(t *testing.T) {
	var devices []lab.Device
	for i := range 12 {
		devices = append(devices, lab.Device{Name: fmt.Sprintf("r-%d", i), Platform: lab.FRR})
	}
	n := newNetwork(t, devices...)
	results := make(chan backup.Result)
	for _, dev := range n.devices {
		go func() { results <- n.backups.Take(t.Context(), nil, 1, dev, nil) }()
	}
	for range n.devices {
		if r := <-results; r.Outcome != backup.Stored {
			t.Errorf("%+v", r)
		}
	}
	for _, dev := range n.devices {
		text, err := n.backups.Text(t.Context(), dev.ID, backup.Which{}, "ops")
		if err != nil || !bytes.Contains(text, []byte("\nhostname "+dev.Name+"\n")) {
			t.Errorf("%s has another's text: %v", dev.Name, err)
		}
	}
	n.sound()
}
