package backup_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/collector/cli"
	"muster/inventory"
	"muster/inventory/platform"
)

// asa is a firewall with contexts: what it prints hangs on where the session is.
type asa struct {
	*box
	in       string
	contexts map[string]string // name → what its text holds
	shut     string            // the context that the account may not go to
	stay     bool              // it may not leave the context that it logs in to
}

func (a *asa) refuse() error {
	return &collector.Error{Step: collector.StepCommand, Kind: collector.ErrRightsMissing, Seen: "Command authorization failed"}
}

func (a *asa) Switch(_ context.Context, command string) error {
	name := strings.TrimPrefix(strings.TrimPrefix(command, "changeto "), "context ")
	if a.stay || name == a.shut {
		return a.refuse()
	}
	a.in = name
	return nil
}

func (a *asa) Run(_ context.Context, command string) (cli.Output, error) {
	text := ""
	switch command {
	case "show mode":
		text = "Security context mode: multiple \n"
	case "show context":
		text = "Context Name      Class      Interfaces           Mode         URL\n"
		for name := range a.contexts {
			text += " " + name + "  default  Gi0/1  Routed disk0:/x.cfg\n"
		}
		text += "Total active Security Contexts: 2\n"
	case "more system:running-config":
		what := "<context>"
		if a.in == "system" {
			what = "<system>"
		}
		text = ": Saved\nASA Version 9.16(4) " + what + "\nhostname " + a.in + "\n" + a.contexts[a.in] + "Cryptochecksum:00ff\n: end\n"
	default:
		return cli.Output{}, &collector.Error{Step: collector.StepCommand, Kind: collector.ErrCommandRejected}
	}
	return cli.Output{Text: []byte(text), ExitStatus: -1}, nil
}

func TestEachContextIsAPartOfItsOwn(t *testing.T) {
	set, faults := platform.Load(nil)
	for _, f := range faults {
		t.Fatal(f)
	}
	h := newHouse(t, "fw1")
	h.devices[0].Platform = "cisco_asa"
	dev := &asa{box: h.box(), in: "admin", contexts: map[string]string{"admin": "name 192.0.2.1 a\n", "dmz": "name 192.0.2.2 b\n"}}
	h.backups = backup.New(h.store, h.store.RedactionKey(), backup.Options{
		Definitions: func() *platform.Set { return set },
		Devices:     func(context.Context) ([]inventory.Device, error) { return h.devices, nil },
		Open: func(context.Context, *inventory.Run, inventory.Device, cli.Dialogue, cli.Options) (backup.Session, string, []collector.StepTime, error) {
			dev.in = "admin"
			return dev, "noc", nil, nil
		},
		Log: h.logger(), Now: func() time.Time { return h.now },
	})
	want := func(outcome backup.Outcome, version int, kind collector.Kind, says string) {
		t.Helper()
		if r := h.night(0); r.Outcome != outcome || r.Version != version || r.Kind != kind || !strings.Contains(r.Message, says) {
			t.Fatalf("took %+v, want %s, version %d, %q", r, outcome, version, says)
		}
	}
	want(backup.Stored, 1, "", "")
	if got := h.text(backup.Which{}); !strings.Contains(got, "<system>") {
		t.Errorf("the running config is not the system's: %s", got)
	}
	if got := h.text(backup.Which{Part: "context:dmz"}); !strings.Contains(got, "192.0.2.2") || strings.Contains(got, "192.0.2.1 a") {
		t.Errorf("context dmz: %s", got)
	}
	want(backup.Unchanged, 1, "", "")

	dev.shut = "dmz"
	want(backup.Quarantined, 1, collector.ErrPartMissing, "context:dmz")
	dev.shut, dev.stay = "", true // never a shorter version
	want(backup.Quarantined, 1, collector.ErrPartMissing, "context:")
	dev.stay = false

	dev.contexts["dmz"] = "name 192.0.2.3 c\n"
	want(backup.Stored, 2, "", "")
	h.wantDrift("changed +1 -1")
	delete(dev.contexts, "dmz")
	want(backup.Stored, 3, "", "")
	dev.contexts["dmz"] = "name 192.0.2.2 b\n"
	want(backup.Stored, 4, "", "")
	h.wantDrift("")
	h.sound()
}
