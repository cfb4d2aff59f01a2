package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/alert"
	"muster/internal/secret"
	"muster/inventory"
)

// inbox keeps what it takes; while it is down it refuses.
type inbox struct {
	mu   sync.Mutex
	down bool
	ids  []string
	came chan struct{} // a token per message taken
}

func (*inbox) Name() string { return "ops" }

func (i *inbox) Deliver(_ context.Context, m alert.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return errors.New("no answer")
	}
	i.ids = append(i.ids, m.ID)
	i.came <- struct{}{}
	return nil
}

// A process that wrote alerts and messages and ended before it delivered any
// leaves them to the next one, which works on no event again.
func TestMessagesWrittenBeforeTheEndAreDeliveredByTheNextProcess(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "muster"), secret.NewKey()
	routes := []alert.Route{{Kinds: alert.Kinds(), To: []string{"ops"}}}
	box := &inbox{came: make(chan struct{}, 10)}
	o := alert.Options{Log: slog.New(slog.DiscardHandler), Company: -1}

	s, err := Open(dir, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), func(tx *sql.Tx) error {
		for _, name := range []string{"sw1", "sw2"} {
			data := json.RawMessage(`{"to":"down","message":"no answer"}`)
			if _, err := insertEvent(tx, inventory.Event{Kind: inventory.EventState, Device: name, Data: data}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a := alert.New(s, o)
	if err := a.Set(routes, []alert.Receiver{box}); err != nil {
		t.Fatal(err)
	}
	if at, _, err := a.Step(t.Context()); err != nil || at != 2 { // as far as the outbox, and no further
		t.Fatalf("Step = %d, %v, want the cursor at 2", at, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err = Open(dir, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a = alert.New(s, o)
	if err := a.Set(routes, []alert.Receiver{box}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	for range 2 {
		select {
		case <-box.came:
		case <-time.After(30 * time.Second):
			t.Error("a message did not arrive within 30 s")
		}
	}
	// An event of the running process is worked on at once.
	err = s.write(t.Context(), func(tx *sql.Tx) error {
		_, err := insertEvent(tx, inventory.Event{Kind: inventory.EventState, Device: "sw1", Data: json.RawMessage(`{"to":"up"}`)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-box.came:
	case <-time.After(30 * time.Second):
		t.Error("the recovery did not arrive within 30 s")
	}
	cancel()
	<-done
	if box.ids[0] == box.ids[1] || len(box.ids) != 3 {
		t.Errorf("delivered ids = %v, want three different ones", box.ids)
	}
	if all, err := a.List(t.Context(), alert.Filter{}); err != nil || len(all) != 2 {
		t.Errorf("alerts = %+v, %v, want two", all, err)
	}
	if left, err := s.Outbox(t.Context(), 10); err != nil || len(left) != 0 {
		t.Errorf("outbox = %+v, %v, want it empty", left, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A site, and a device elsewhere that is called like it, are down: their alerts
// are two, and what happens afterwards is worked on.
func TestSiteAndDeviceOfOneNameStopNoAlerts(t *testing.T) {
	s := openNew(t)
	a := alert.New(s, alert.Options{Log: slog.New(slog.DiscardHandler), Devices: s.Inventory().Devices})
	down := func(d inventory.Device) {
		t.Helper()
		err := s.write(t.Context(), func(tx *sql.Tx) error {
			_, err := insertEvent(tx, inventory.Event{At: night, Kind: inventory.EventState, DeviceID: d.ID, Device: d.Name, Data: json.RawMessage(`{"to":"down","message":"no answer"}`)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var last inventory.Device
	for _, d := range []inventory.Device{{Name: "a1", Site: "paris"}, {Name: "a2", Site: "paris"}, {Name: "a3", Site: "paris"}, {Name: "paris", Site: "lyon"}, {Name: "b1", Site: "lyon"}} {
		d.Managed, d.State = true, inventory.StateUp
		update(t, s, func(tx inventory.Tx) error { return tx.PutDevice(&d) })
		if last = d; d.Name != "b1" {
			down(d)
		}
	}
	if at, _, err := a.Step(t.Context()); err != nil || at != 4 {
		t.Errorf("Step = %d, %v, want the cursor at 4", at, err)
	}
	down(last)
	if at, _, err := a.Step(t.Context()); err != nil || at != 5 {
		t.Errorf("the next Step = %d, %v, want the cursor at 5", at, err)
	}
	got := []string{}
	all, err := a.List(t.Context(), alert.Filter{State: alert.Firing})
	for _, al := range all {
		got = append(got, fmt.Sprintf("%s: %d", al.Subject, len(al.Devices)))
	}
	if d := cmp.Diff([]string{"b1: 1", "paris: 1", "paris: 3"}, got); d != "" || err != nil {
		t.Errorf("alerts (-want +got):\n%s%v", d, err)
	}
}
