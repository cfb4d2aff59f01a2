package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/backup"
	"muster/collector"
	"muster/internal/alert"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
	"muster/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

// The fakes answer what the tests ask; a call that none of them expects is a nil
// dereference, and a failed test.

type fakeDevices struct {
	Devices
	list  []inventory.Device
	facts inventory.Facts
}

func (f *fakeDevices) List(_ context.Context, filter inventory.Filter) ([]inventory.Device, error) {
	var out []inventory.Device
	for _, d := range f.list {
		if filter.Match(d) {
			out = append(out, d)
		}
	}
	return out, nil
}

func (f *fakeDevices) Show(_ context.Context, key string) (inventory.Device, error) {
	for _, d := range f.list {
		if d.Name == key {
			return d, nil
		}
	}
	return inventory.Device{}, fmt.Errorf("%w: %s", inventory.ErrNoDevice, key)
}

func (f *fakeDevices) FactsOf(context.Context, int64) (inventory.Facts, error) { return f.facts, nil }

func (f *fakeDevices) Retry(_ context.Context, key, _ string) (inventory.Device, error) {
	return f.Show(context.Background(), key)
}

type fakeConfigs struct {
	Configs
	versions  []backup.Version
	drifts    []backup.Drift
	standings map[int64]backup.Standing
	text      string
	diff      string
	diffErr   error // after diff was written
}

func (f *fakeConfigs) Text(_ context.Context, _ int64, w backup.Which, _ string) ([]byte, error) {
	if w.Raw {
		return []byte("raw " + f.text), nil
	}
	return []byte(f.text), nil
}

func (f *fakeConfigs) Versions(context.Context, int64) ([]backup.Version, error) {
	return f.versions, nil
}

func (f *fakeConfigs) Drifts(context.Context) ([]backup.Drift, error) { return f.drifts, nil }

func (f *fakeConfigs) Standings(context.Context, time.Time) (map[int64]backup.Standing, error) {
	return f.standings, nil
}

func (f *fakeConfigs) Diff(_ context.Context, w io.Writer, _ int64, _, _ int) error {
	if _, err := io.WriteString(w, f.diff); err != nil {
		return err
	}
	return f.diffErr
}

func (f *fakeConfigs) Grep(_ context.Context, pattern string, devs []inventory.Device, emit func(backup.Hit) error) error {
	if pattern == "(" {
		return errors.New("the pattern is no regular expression")
	}
	for _, d := range devs {
		if err := emit(backup.Hit{Device: d.Name, Line: 1, Text: f.text}); err != nil {
			return err
		}
	}
	return nil
}

type fakeAlerts struct {
	Alerts
	list []alert.Alert
}

func (f *fakeAlerts) List(_ context.Context, filter alert.Filter) ([]alert.Alert, error) {
	var out []alert.Alert
	for _, a := range f.list {
		if filter.State == "" || a.State == filter.State {
			out = append(out, a)
		}
	}
	return out, nil
}

func (f *fakeAlerts) Ack(context.Context, int64, string, string) (alert.Alert, error) {
	return alert.Alert{}, fmt.Errorf("alert 9: %w", alert.ErrNoAlert)
}

type fakeHouse struct {
	House
	set  *platform.Set
	last int64
}

func (f *fakeHouse) Platforms() *platform.Set                  { return f.set }
func (f *fakeHouse) Next(context.Context) ([]NextRun, error)   { return nil, nil }
func (f *fakeHouse) LastEvent(context.Context) (int64, error)  { return f.last, nil }
func (f *fakeHouse) Hello() Hello                              { return Hello{Version: "test", PID: 1} }
func (f *fakeHouse) Reload(context.Context) (string, error)    { return "", refuseWith(2) }
func (f *fakeHouse) Verify(context.Context) (Verified, error)  { return Verified{}, refuseWith(1) }
func (f *fakeHouse) Secrets(context.Context) ([]Secret, error) { return []Secret{}, nil }
func (f *fakeHouse) Doctor(context.Context, inventory.Device, func(collector.StepTime), func(command, answer string)) error {
	return &collector.Error{Device: "r1", Step: collector.StepLogin, Kind: collector.ErrLoginRejected, Do: "Store the right password."}
}

func refuseWith(exit int) error {
	return &Error{Message: fmt.Sprintf("refused with %d", exit), Exit: exit}
}

// house is a Server of fakes with a real runner, served on a Unix socket.
type house struct {
	devices fakeDevices
	configs fakeConfigs
	alerts  fakeAlerts
	house   fakeHouse
	server  *Server
	runner  *schedule.Runner
}

func newHouse(t *testing.T, jobs ...schedule.Job) *house {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	st, err := store.Open(t.TempDir(), secret.NewKey(), store.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	set, faults := platform.Load(nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h := &house{house: fakeHouse{set: set}, runner: schedule.New(st, jobs, schedule.Options{Log: quiet, Grace: -1})}
	h.server = New(&h.devices, &h.configs, &h.alerts, h.runner, &h.house, func() time.Time { return noon })
	t.Cleanup(func() { h.runner.Close(); st.Close() })
	return h
}

// dial serves h on a Unix socket and returns a client of it.
func dial(t *testing.T, h http.Handler) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // ends with http.ErrServerClosed
	}()
	c := Dial(path)
	t.Cleanup(func() { c.Close(); srv.Close(); <-done })
	return c
}

// router1 is a device of which everything is known.
func router1() inventory.Device {
	return inventory.Device{
		ID: 1, Name: "r1", Address: netip.MustParseAddr("192.0.2.1"), Vendor: "Cisco", Platform: "cisco_iosxe", Model: "C9300-24P",
		Version: "17.9.4a", Serial: "FAK1", Site: "paris", Managed: true, State: inventory.StateUp, StateSince: noon.Add(-time.Hour),
	}
}

func (*fakeDevices) Telnet(inventory.Device) bool { return false }
func (*fakeDevices) Port(inventory.Device) uint16 { return 22 }
