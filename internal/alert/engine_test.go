package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

// inboxes is a receiver that keeps what it takes, and refuses while it is down.
type inbox struct {
	name string
	mu   sync.Mutex
	down bool
	hang bool          // it never answers
	slow time.Duration // what a message takes
	got  []Message
	at   []time.Time
	seen int // attempts
}

func (i *inbox) Name() string { return i.name }

func (i *inbox) Deliver(ctx context.Context, m Message) error {
	i.mu.Lock()
	hang := i.hang
	i.mu.Unlock()
	if hang {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	time.Sleep(i.slow)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen++
	if i.down {
		return errors.New("no answer")
	}
	i.got = append(i.got, m)
	i.at = append(i.at, time.Now())
	return nil
}

func (i *inbox) set(down bool) { i.mu.Lock(); defer i.mu.Unlock(); i.down = down }

// attempts counts what was handed over or refused.
func (i *inbox) attempts() int { i.mu.Lock(); defer i.mu.Unlock(); return i.seen }

// subjects lists what arrived.
func (i *inbox) subjects() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []string
	for _, m := range i.got {
		all = append(all, strings.TrimPrefix(m.Subject, "[muster] "))
	}
	return strings.Join(all, "; ")
}

// house is a store with alerts running on it and n managed devices d1, d2, ….
type house struct {
	t       *testing.T
	store   *memStore
	alerts  *Alerts
	devices []inventory.Device
	cancel  context.CancelFunc
	done    chan struct{}
}

func newHouse(t *testing.T, n int, o Options) *house {
	h := &house{t: t, store: newMemStore()}
	for i := range n {
		h.devices = append(h.devices, inventory.Device{ID: int64(i + 1), Name: fmt.Sprintf("d%d", i+1), Platform: "ios", Managed: true, State: inventory.StateUp})
	}
	o.Devices = func(context.Context) ([]inventory.Device, error) { return h.devices, nil }
	o.Log = slog.New(slog.DiscardHandler)
	h.alerts = New(h.store, o)
	return h
}

// run starts the process; end ends it.
func (h *house) run(routes []Route, receivers ...Receiver) {
	h.t.Helper()
	if err := h.alerts.Set(routes, receivers); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.done = cancel, make(chan struct{})
	go func() { defer close(h.done); h.alerts.Run(ctx) }()
}

func (h *house) end() {
	h.cancel()
	<-h.done
}

// restart makes what runs next another process, which remembers nothing.
func (h *house) restart() { h.alerts = New(h.store, h.alerts.o) }

func (h *house) on(n int, kind inventory.EventKind, data any) {
	e := event(kind, data)
	e.At, e.DeviceID, e.Device = time.Now(), int64(n), fmt.Sprintf("d%d", n)
	h.store.happens(e)
}

func (h *house) goes(to inventory.State, n int) {
	h.on(n, inventory.EventState, inventory.StateChange{To: to, Since: time.Now(), Message: "no answer"})
}

// move makes several devices go into a state.
func (h *house) move(to inventory.State, ns ...int) {
	for _, n := range ns {
		h.goes(to, n)
	}
}

// after lets time pass and everything that it brings come to rest.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func to(receivers ...string) []Route { return []Route{{Kinds: Kinds(), To: receivers}} }

func TestFaultAndRecoveryArriveOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops"), ops)
		after(time.Minute)
		begun := time.Now()
		h.goes(inventory.StateDown, 1)
		synctest.Wait()
		if all, err := h.alerts.List(t.Context(), Filter{State: Firing}); err != nil || len(all) != 1 || !all[0].OpenedAt.Equal(begun) {
			t.Errorf("firing = %+v, %v, want one that opened at once", all, err)
		}
		after(time.Minute)
		if got := ops.at; len(got) != 1 || got[0].Sub(begun) != 30*time.Second {
			t.Errorf("told at %v, want once after 30 s", got)
		}
		after(2 * time.Hour)
		h.goes(inventory.StateUp, 1)
		after(time.Minute)
		if got, want := ops.subjects(), "unreachable: d1; resolved: unreachable: d1"; got != want {
			t.Errorf("arrived: %s, want %s", got, want)
		}
		if text := ops.got[1].Text; !strings.Contains(text, "d1 answers again, after 2 h 1 min") {
			t.Errorf("recovery says %q", text)
		}
		h.end()
	})
}

func TestEventsAreWorkedOnOnceOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops"), ops)
		for n := 1; n <= 3; n++ {
			h.on(n, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
			synctest.Wait()
			h.end()
			h.run(to("ops"), ops)
		}
		after(time.Hour)
		h.end()
		if got, want := ops.subjects(), "host-key-changed: d1; host-key-changed: d2; host-key-changed: d3"; got != want {
			t.Errorf("arrived: %s, want %s", got, want)
		}
	})
}

func TestNotificationThatWaitsSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops"), ops)
		h.goes(inventory.StateDown, 1)
		after(10 * time.Second)
		h.end() // before it was told
		after(time.Hour)
		h.run(to("ops"), ops)
		after(time.Second)
		h.end()
		if got := ops.subjects(); got != "unreachable: d1" {
			t.Errorf("arrived: %s, want it told once", got)
		}
	})
}

func TestRepeatedDeliveryCarriesTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.store.loseSaves = 1
		h.run(to("ops"), ops)
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		synctest.Wait()
		h.end() // delivered, and killed before that was stored
		h.restart()
		h.run(to("ops"), ops)
		after(time.Minute)
		h.end()
		if len(ops.got) != 2 || ops.got[0].ID != ops.got[1].ID || ops.got[0].ID == "" {
			t.Errorf("arrived %d times with ids %+v, want twice with one id", len(ops.got), ops.got)
		}
	})
}

// The outbox is read while a message is on its way, and shows it as waiting when it
// has arrived.
func TestMessageIsNotRepeatedSinceItWasOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops", slow: 500 * time.Millisecond}
		h := newHouse(t, 10, Options{})
		h.store.reading = time.Second
		h.run(to("ops"), ops)
		after(time.Minute)
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(1200 * time.Millisecond) // read, and not yet taken
		h.on(2, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(time.Minute)
		if got, want := ops.subjects(), "host-key-changed: d1; host-key-changed: d2"; got != want {
			t.Errorf("arrived: %s, want %s", got, want)
		}
		h.end()
	})
}

// With a full disk nothing can be stored about a delivery for a long time.
func TestDeliveryThatCannotBeStoredIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.alerts.o.Log = newTextLog(&log)
		h.run(to("ops"), ops)
		h.store.mu.Lock()
		h.store.loseSaves = 100
		h.store.mu.Unlock()
		for n := 1; n <= 2; n++ {
			h.on(n, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
			after(time.Minute)
		}
		if got, want := ops.subjects(), "host-key-changed: d1; host-key-changed: d2"; got != want {
			t.Errorf("while nothing is stored there arrived: %s, want %s", got, want)
		}
		if waiting, _ := h.store.Outbox(t.Context(), 10); len(waiting) != 2 {
			t.Errorf("%d messages wait in the store, want both", len(waiting))
		}
		after(time.Hour)
		if waiting, _ := h.store.Outbox(t.Context(), 10); len(waiting) != 0 || len(ops.got) != 2 {
			t.Errorf("there is room again: %d messages wait, and %d arrived, want none and 2", len(waiting), len(ops.got))
		}
		h.end()
		if n := strings.Count(log.String(), "delivery was not stored"); n != 2 {
			t.Errorf("the log tells %d times that a delivery was not stored, want once for each", n)
		}
	})
}

// A failed attempt that cannot be stored is followed by the same pauses.
func TestReceiverThatIsDownGetsItsPausesWhileNothingIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops", down: true}
		h := newHouse(t, 10, Options{})
		h.run(to("ops"), ops)
		h.store.mu.Lock()
		h.store.loseSaves = 100
		h.store.mu.Unlock()
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(time.Hour)
		if ops.seen > 20 || ops.seen < 5 {
			t.Errorf("%d attempts within an hour, want backoff", ops.seen)
		}
		ops.set(false)
		after(time.Hour)
		if got, want := ops.subjects(), "host-key-changed: d1"; got != want {
			t.Errorf("there arrived: %s, want %s", got, want)
		}
		h.end()
	})
}

func TestReceiverThatStaysDownIsAnAlertAndGetsEverythingLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops, mail := &inbox{name: "ops", down: true}, &inbox{name: "mail"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops", "mail"), ops, mail)
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(time.Minute)
		if got := mail.subjects(); got != "host-key-changed: d1" {
			t.Errorf("the other receiver has %s: it waited", got)
		}
		h.on(1, inventory.EventHostKeyAccepted, map[string]any{})
		after(time.Hour)
		if got, want := mail.subjects(), "host-key-changed: d1; resolved: host-key-changed: d1; receiver-down: ops"; got != want {
			t.Errorf("the other receiver has %s, want %s", got, want)
		}
		if ops.seen > 20 || ops.seen < 5 {
			t.Errorf("%d attempts within an hour, want backoff", ops.seen)
		}
		h.end()
		after(time.Hour)
		ops.set(false)
		h.run(to("ops", "mail"), ops, mail) // another process: it knows of the fault from the store
		after(30 * time.Minute)
		if got, want := ops.subjects(), "host-key-changed: d1; resolved: host-key-changed: d1"; got != want {
			t.Errorf("the receiver has %s, want both, the alert before its recovery", got)
		}
		if got := mail.subjects(); !strings.HasSuffix(got, "; resolved: receiver-down: ops") || strings.Count(got, "receiver-down") != 2 {
			t.Errorf("the other receiver has %s, want one recovery of ops", got)
		}
		h.end()
	})
}

// The process after the one that told of the fault tries once more in vain before
// the receiver takes messages again; then it is down another time.
func TestReceiverThatIsBackSoonAfterARestartIsNoLongerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops, mail := &inbox{name: "ops", down: true}, &inbox{name: "mail"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops", "mail"), ops, mail)
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(30 * time.Minute)
		h.end()
		h.restart()
		before := ops.attempts()
		h.run(to("ops", "mail"), ops, mail)
		for ops.attempts() == before {
			after(time.Second)
		}
		ops.set(false)
		after(30 * time.Minute)
		ops.set(true)
		h.on(2, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(30 * time.Minute)
		want := "host-key-changed: d1; receiver-down: ops; resolved: receiver-down: ops; host-key-changed: d2; receiver-down: ops"
		if got := mail.subjects(); got != want {
			t.Errorf("the other receiver has %s, want %s", got, want)
		}
		h.end()
	})
}

func TestReceiverThatIsGoneFromTheSettingsIsNoLongerDown(t *testing.T) {
	tests := map[string]func(h *house, mail *inbox){
		"by a reload": func(h *house, mail *inbox) {
			if err := h.alerts.Set(to("mail"), []Receiver{mail}); err != nil {
				h.t.Error(err)
			}
		},
		"while muster did not run": func(h *house, mail *inbox) {
			h.end()
			h.restart()
			h.run(to("mail"), mail)
		},
	}
	for name, goes := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ops, mail := &inbox{name: "ops", down: true}, &inbox{name: "mail"}
				h := newHouse(t, 10, Options{})
				h.run(to("ops", "mail"), ops, mail)
				h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
				after(30 * time.Minute)
				goes(h, mail)
				after(time.Minute)
				if got, want := mail.subjects(), "host-key-changed: d1; receiver-down: ops; resolved: receiver-down: ops"; got != want {
					t.Errorf("the other receiver has %s, want %s", got, want)
				}
				if text := mail.got[len(mail.got)-1].Text; !strings.Contains(text, "receiver ops: closed") || !strings.Contains(text, "gone from muster.yaml") {
					t.Errorf("its end says %q", text)
				}
				// It comes back, and is down as before.
				if err := h.alerts.Set(to("ops", "mail"), []Receiver{ops, mail}); err != nil {
					t.Error(err)
				}
				h.on(2, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
				after(30 * time.Minute)
				if got, want := mail.subjects(), "host-key-changed: d2; receiver-down: ops"; !strings.HasSuffix(got, want) {
					t.Errorf("the other receiver has %s, want at its end %s", got, want)
				}
				h.end()
			})
		})
	}
}

// The store takes nothing while a receiver goes down, or while it comes back.
func TestReceiverIsToldOfThoughTheStoreWasFullAtThatTime(t *testing.T) {
	for name, full := range map[string]func(h *house, back bool){
		"as it is down": func(h *house, back bool) { h.store.fill(!back) },
		"as it is back": func(h *house, back bool) { h.store.fill(back) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ops, mail := &inbox{name: "ops", down: true}, &inbox{name: "mail"}
				h := newHouse(t, 10, Options{})
				h.run(to("ops", "mail"), ops, mail)
				h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
				after(time.Minute)
				full(h, false)
				after(30 * time.Minute)
				h.store.fill(false)
				after(30 * time.Minute)
				if got, want := mail.subjects(), "host-key-changed: d1; receiver-down: ops"; got != want {
					t.Errorf("the other receiver has %s, want %s", got, want)
				}
				full(h, true)
				ops.set(false)
				after(30 * time.Minute)
				h.store.fill(false)
				after(30 * time.Minute)
				if got, want := mail.subjects(), "host-key-changed: d1; receiver-down: ops; resolved: receiver-down: ops"; got != want {
					t.Errorf("the other receiver has %s, want %s", got, want)
				}
				h.end()
			})
		})
	}
}

func TestHangingReceiverHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops, mail := &inbox{name: "ops", hang: true}, &inbox{name: "mail"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops", "mail"), ops, mail)
		for n := 1; n <= 5; n++ {
			h.on(n, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
			after(time.Second)
		}
		if len(mail.got) != 5 {
			t.Errorf("the other receiver has %s, want all five", mail.subjects())
		}
		h.end() // returns: the hanging attempt ends with it
	})
}

func TestMessageThatAReceiverNeverTakesHoldsUpNoOtherAndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		picky := pickyReceiver{func(m Message) error {
			if strings.Contains(m.Subject, "d1") {
				return errors.New("422 Unprocessable")
			}
			got = append(got, m.Subject)
			return nil
		}}
		h := newHouse(t, 10, Options{})
		h.run(to("picky"), picky)
		for n := 1; n <= 3; n++ {
			h.on(n, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		}
		after(5 * time.Minute)
		if len(got) != 2 {
			t.Errorf("%v arrived, want the two others", got)
		}
		after(8 * 24 * time.Hour)
		if waiting, _ := h.store.Outbox(t.Context(), 10); len(waiting) != 0 {
			t.Errorf("%d messages wait after eight days, want none", len(waiting))
		}
		h.end()
	})
}

func TestMessageThatSomeHaveIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		n := 0
		h := newHouse(t, 10, Options{})
		h.alerts.o.Log = newTextLog(&log)
		h.run(to("picky"), pickyReceiver{func(Message) error { n++; return &someError{errors.New("550 for one of them")} }})
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(time.Hour)
		h.end()
		if waiting, _ := h.store.Outbox(t.Context(), 10); n != 1 || len(waiting) != 0 || !strings.Contains(log.String(), "550 for one of them") {
			t.Errorf("delivered %d times, %d wait, want once and none; the log says %s", n, len(waiting), log.String())
		}
		if all, _ := h.alerts.List(t.Context(), Filter{}); len(all) != 1 {
			t.Errorf("alerts = %+v, want none about the receiver", all)
		}
	})
}

func TestOutboxGivesFirstTriesTheirTurnAndKeepsTheOrderOfAnAlert(t *testing.T) {
	got := ""
	for _, d := range firsts([]Delivery{
		{ID: "refused", Receiver: "ops", AlertID: 1, Attempts: 3}, {ID: "its-recovery", Receiver: "ops", AlertID: 1},
		{ID: "fresh", Receiver: "ops", AlertID: 2}, {ID: "elsewhere", Receiver: "mail", AlertID: 1},
		{ID: "digest-1", Receiver: "mail"}, {ID: "digest-2", Receiver: "mail"},
	}) {
		got += d.ID + " "
	}
	if want := "fresh elsewhere digest-1 digest-2 refused "; got != want {
		t.Errorf("order = %s, want %s", got, want)
	}
}

type pickyReceiver struct{ take func(Message) error }

func (pickyReceiver) Name() string                                 { return "picky" }
func (p pickyReceiver) Deliver(_ context.Context, m Message) error { return p.take(m) }

func TestDigestTellsOnceADayWhatWasNotWorthANote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight; the digest is at 08:00
		ops, mail := &inbox{name: "ops"}, &inbox{name: "mail"}
		h := newHouse(t, 10, Options{})
		h.run([]Route{{Kinds: []Kind{BackupFailed, Unreachable}, To: []string{"ops"}}, {Kinds: []Kind{Changed}, To: []string{"mail"}, Digest: true}}, ops, mail)
		after(4 * time.Hour)
		h.on(1, inventory.EventBackup, backup.Result{Outcome: backup.Failed, Step: collector.StepOutput, Kind: collector.ErrTimedOut})
		for n := 2; n <= 5; n++ {
			h.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: "x"})
		}
		after(3 * time.Hour)
		if ops.subjects()+mail.subjects() != "" {
			t.Errorf("told before the digest: %s %s", ops.subjects(), mail.subjects())
		}
		after(2 * time.Hour)
		if got := ops.subjects(); got != "digest: 1 new, 0 over, 0 still open" {
			t.Errorf("ops has %s, want the first failed night", got)
		}
		if got := mail.subjects(); got != "digest: 1 new, 0 over, 0 still open" || !strings.Contains(mail.got[0].Text, "4 devices") {
			t.Errorf("mail has %s, want one change of four devices", got)
		}
		for n := 2; n <= 5; n++ {
			h.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: "x", Closed: true})
		}
		after(72 * time.Hour)
		if got, want := mail.subjects(), "digest: 1 new, 0 over, 0 still open; digest: 0 new, 1 over, 0 still open"; got != want {
			t.Errorf("mail has %s, want %s and nothing on quiet days", got, want)
		}
		if len(ops.got) != 1 {
			t.Errorf("ops has %s, want the failed night told once", ops.subjects())
		}
		for _, at := range slices.Concat(ops.at, mail.at) {
			if at.UTC().Hour() != 8 || at.Minute() != 0 {
				t.Errorf("a digest came at %s, want 08:00", at.UTC())
			}
		}
		h.end()
	})
}

func TestDigestFollowsAChangedTimeZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight UTC
		mail := &inbox{name: "mail"}
		h := newHouse(t, 10, Options{})
		h.run([]Route{{Kinds: []Kind{Changed}, To: []string{"mail"}, Digest: true}}, mail)
		for n, zone := range []*time.Location{time.UTC, time.FixedZone("UTC+2", 2*60*60), time.FixedZone("UTC-3", -3*60*60)} {
			h.alerts.SetZone(zone)
			h.on(n+1, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: fmt.Sprint(n)})
			after(24 * time.Hour)
		}
		h.end()
		var got []string
		for _, at := range mail.at {
			got = append(got, at.UTC().Format("02 15:04"))
		}
		if want := "01 08:00, 02 06:00, 03 11:00"; strings.Join(got, ", ") != want {
			t.Errorf("digests came at %s UTC, want %s", strings.Join(got, ", "), want)
		}
	})
}

// What grew, or became another change, is news for the digest as for everybody.
func TestDigestTellsWhatIsToldAgain(t *testing.T) {
	type drift struct {
		n     int
		group string
	}
	tests := map[string]struct {
		first, second []drift
		want          string
	}{
		"another change":      {[]drift{{1, "x"}}, []drift{{1, "y"}}, "digest: 1 new, 0 over, 0 still open; digest: 1 new, 0 over, 0 still open"},
		"group that doubled":  {[]drift{{1, "x"}}, []drift{{2, "x"}}, "digest: 1 new, 0 over, 0 still open; digest: 1 new, 0 over, 0 still open"},
		"nothing that is new": {[]drift{{1, "x"}}, []drift{{1, "x"}}, "digest: 1 new, 0 over, 0 still open"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // begins at midnight; the digest is at 08:00
				mail := &inbox{name: "mail"}
				h := newHouse(t, 10, Options{})
				h.run([]Route{{Kinds: Kinds(), To: []string{"mail"}, Digest: true}}, mail)
				after(time.Hour)
				for _, drifts := range [][]drift{tt.first, tt.second} {
					for _, d := range drifts {
						h.on(d.n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: d.group})
					}
					after(48 * time.Hour)
				}
				if got := mail.subjects(); got != tt.want {
					t.Errorf("arrived: %s, want %s", got, tt.want)
				}
				h.end()
			})
		})
	}
}

// The store keeps milliseconds, and what becomes due in the step of a digest was
// told by that one.
func TestDigestTellsOnceWhatBecameDueInItsStep(t *testing.T) {
	clock := time.Date(2026, 3, 1, 12, 0, 0, 123_456, time.UTC)
	work := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) // its end; the digest is due then
	h := newHouse(t, 1, Options{Company: -1, Now: func() time.Time { return clock }})
	if err := h.alerts.Set([]Route{{Kinds: Kinds(), To: []string{"mail"}, Digest: true}}, []Receiver{&inbox{name: "mail"}}); err != nil {
		t.Fatal(err)
	}
	h.alerts.SetWindows([]Window{{Name: "work", Covers: func(inventory.Device) bool { return true },
		Open: func(at time.Time) (time.Time, bool) { return work, at.Before(work) }}})
	step := func(at time.Time) {
		t.Helper()
		clock = at
		if _, _, err := h.alerts.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step(clock)
	h.goes(inventory.StateDown, 1)
	step(clock.Add(time.Hour))
	for day := range 3 {
		step(work.Add(time.Duration(day)*24*time.Hour + 2_345_678))
	}
	waiting, err := h.store.Outbox(t.Context(), 10)
	if err != nil || len(waiting) != 1 || !strings.Contains(string(waiting[0].Body), "1 new") {
		t.Errorf("%d digests (%v), want one, that tells of it", len(waiting), err)
	}
}

// A command that ends soon makes one step: what does not wait is told by that one.
func TestWhatDoesNotWaitIsToldInItsStep(t *testing.T) {
	clock := time.Date(2026, 3, 1, 12, 0, 0, 999_999, time.UTC)
	h := newHouse(t, 1, Options{Now: func() time.Time { return clock }})
	if err := h.alerts.Set(to("ops"), []Receiver{&inbox{name: "ops"}}); err != nil {
		t.Fatal(err)
	}
	h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
	if _, _, err := h.alerts.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waiting, err := h.store.Outbox(t.Context(), 10); err != nil || len(waiting) != 1 {
		t.Errorf("%d messages wait (%v), want one", len(waiting), err)
	}
}

func TestUnsavedIsReadAgainBeforeItIsTold(t *testing.T) {
	for name, saved := range map[string]bool{"saved meanwhile": true, "still unsaved": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ops := &inbox{name: "ops"}
				var h *house
				var reread []int64
				h = newHouse(t, 10, Options{Recheck: func(_ context.Context, devices []int64) {
					reread = append(reread, devices...)
					if saved {
						go h.on(1, inventory.EventDrift, backup.Drift{Kind: backup.DriftUnsaved, Group: "x", Closed: true})
					}
				}})
				h.run(to("ops"), ops)
				begun := time.Now()
				h.on(1, inventory.EventDrift, backup.Drift{Kind: backup.DriftUnsaved, Group: "x"})
				after(5 * time.Hour)
				if !slices.Equal(reread, []int64{1}) {
					t.Errorf("read again: %v, want device 1 once", reread)
				}
				switch {
				case saved && len(ops.got) != 0:
					t.Errorf("told: %s, want nothing", ops.subjects())
				case !saved && (len(ops.got) != 1 || ops.at[0].Sub(begun) != 2*time.Hour+recheckWait):
					t.Errorf("told: %s at %v, want once after the grace", ops.subjects(), ops.at)
				}
				h.end()
			})
		})
	}
}

func TestAcknowledgedAlertIsTornNoMoreButItsRecoveryIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops"), ops)
		h.on(1, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: "x"})
		after(time.Minute)
		a, err := h.alerts.Ack(t.Context(), 1, "ops", "planned work")
		if err != nil || a.AckedBy != "ops" || a.AckNote != "planned work" || a.State != Firing {
			t.Fatalf("Ack = %+v, %v", a, err)
		}
		for n := 2; n <= 5; n++ {
			h.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: "x"})
		}
		after(time.Hour)
		for n := 1; n <= 5; n++ {
			h.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: "x", Closed: true})
		}
		after(time.Minute)
		if got, want := ops.subjects(), "changed: d1; resolved: changed: 5 devices"; got != want {
			t.Errorf("arrived: %s, want %s", got, want)
		}
		if _, err := h.alerts.Ack(t.Context(), 1, "ops", ""); err == nil || !strings.Contains(err.Error(), "is over since") {
			t.Errorf("Ack of what is over = %v", err)
		}
		if _, err := h.alerts.Ack(t.Context(), 9, "ops", ""); !errors.Is(err, ErrNoAlert) {
			t.Errorf("Ack of nothing = %v, want ErrNoAlert", err)
		}
		h.on(7, inventory.EventDeviceNew, nil)
		synctest.Wait()
		if a, err = h.alerts.Ack(t.Context(), 2, "ops", "known"); err != nil || a.State != Resolved {
			t.Errorf("Ack of a new device = %+v, %v, want it over", a, err)
		}
		h.end()
	})
}

// Days after three dead switches were acknowledged.
func TestAcknowledgementCoversWhatWasSeen(t *testing.T) {
	const days = 48 * time.Hour
	all := func(from, to int) (ns []int) {
		for n := from; n <= to; n++ {
			ns = append(ns, n)
		}
		return ns
	}
	threeDown := func(h *house) { h.move(inventory.StateDown, 1, 2, 3) }
	change := func(group string, ns ...int) func(h *house) {
		return func(h *house) {
			for _, n := range ns {
				h.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Group: group})
			}
		}
	}
	tests := map[string]struct {
		seen, then func(h *house)
		want       string // what is told after it was acknowledged
	}{
		"a group that has doubled": {threeDown, func(h *house) { h.move(inventory.StateDown, all(4, 50)...) }, "update: unreachable: paris: 50 devices"},
		"a group that has not":     {threeDown, func(h *house) { h.move(inventory.StateDown, 4, 5) }, ""},
		"devices that flap": {threeDown, func(h *house) {
			for range 3 {
				h.move(inventory.StateUp, 2, 3)
				after(10 * time.Minute)
				h.move(inventory.StateDown, 2, 3)
				after(3 * time.Hour)
			}
			h.move(inventory.StateDown, 4, 5)
		}, ""},
		"the next outage of the site": {threeDown, func(h *house) {
			h.move(inventory.StateUp, 2, 3)
			after(days)
			h.move(inventory.StateDown, 2, 3)
		}, "update: unreachable: paris: 3 devices"},
		"a device that was alone":                     {func(h *house) { h.move(inventory.StateDown, 1) }, func(h *house) { h.move(inventory.StateDown, all(2, 40)...) }, "update: unreachable: paris: 40 devices"},
		"another change of the device":                {change("x", 1), change("y", 1), "update: changed: d1"},
		"the same change on many":                     {change("x", 1), change("x", all(2, 50)...), ""},
		"another change of one of several, by itself": {change("x", 1, 2, 3), change("y", 3), "changed: d3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ops := &inbox{name: "ops"}
				h := newHouse(t, 60, Options{})
				for i := range 50 {
					h.devices[i].Site = "paris"
				}
				h.run(to("ops"), ops)
				tt.seen(h)
				after(10 * time.Minute)
				if _, err := h.alerts.Ack(t.Context(), 1, "ops", "known"); err != nil {
					t.Fatal(err)
				}
				before := ops.subjects()
				after(days)
				tt.then(h)
				after(time.Hour)
				if got := strings.TrimPrefix(strings.TrimPrefix(ops.subjects(), before), "; "); got != tt.want {
					t.Errorf("after %q was acknowledged there arrived %q, want %q", before, got, tt.want)
				}
				a, err := h.store.AlertOf(t.Context(), 1)
				if over := strings.HasPrefix(tt.want, "update: "); err != nil || a.AckedAt.IsZero() != over || (a.AckedBy == "") != over {
					t.Errorf("alert is acknowledged by %q (%v), want that it is over: %t", a.AckedBy, err, over)
				}
				h.end()
			})
		})
	}
}

func TestNewDevicesAreNewForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		h := newHouse(t, 10, Options{})
		h.run(to("ops"), ops)
		h.on(1, inventory.EventDeviceNew, nil)
		after(25 * time.Hour)
		if a, _ := h.store.AlertOf(t.Context(), 1); a.State != Resolved || ops.subjects() != "new-device: d1" {
			t.Errorf("alert is %s and arrived: %s, want it over without a word", a.State, ops.subjects())
		}
		h.end()
	})
}

func TestOverdueBackupIsToldAndResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := &inbox{name: "ops"}
		overdue := []Overdue{{1, "d1", time.Now().Add(-80 * time.Hour)}}
		var mu sync.Mutex
		h := newHouse(t, 10, Options{Overdue: func(_ context.Context, before time.Time) ([]Overdue, error) {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(before) != 72*time.Hour {
				t.Errorf("asked for what is older than %s, want 72 h", time.Since(before))
			}
			return overdue, nil
		}})
		h.run(to("ops"), ops)
		after(time.Hour)
		mu.Lock()
		overdue = nil
		mu.Unlock()
		after(time.Hour)
		if got, want := ops.subjects(), "backup-overdue: d1; resolved: backup-overdue: d1"; got != want {
			t.Errorf("arrived: %s, want %s", got, want)
		}
		h.end()
	})
}

// TestClockThatJumpsLosesAndHoldsNoMessage: a clock that was a day ahead, and one
// that is a month ahead for a while.
func TestClockThatJumpsLosesAndHoldsNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())).Round(0) }
		const day = 24 * time.Hour
		ops := &inbox{name: "ops", down: true}
		h := newHouse(t, 10, Options{Now: clock})
		ahead.Store(int64(day))
		h.run(to("ops"), ops)
		h.goes(inventory.StateDown, 1)
		after(time.Minute) // refused for the first time
		h.goes(inventory.StateDown, 2)
		after(time.Second) // waits for company
		ahead.Store(0)
		h.end()

		ops.set(false) // before anything is tried
		h.run(to("ops"), ops)
		after(15 * time.Minute)
		// Which of the two the outbox finds first is no matter.
		arrived := func() string {
			all := strings.Split(ops.subjects(), "; ")
			slices.Sort(all)
			return strings.Join(all, "; ")
		}
		if got, want := arrived(), "unreachable: d1; unreachable: d2"; got != want {
			t.Errorf("set back by a day, after 15 minutes there arrived %q, want %q", got, want)
		}
		ops.set(true)
		h.goes(inventory.StateUp, 1)
		after(time.Minute)
		ahead.Store(int64(30 * day))
		after(time.Hour)
		ahead.Store(0)
		h.end()

		ops.set(false) // before anything is tried
		h.run(to("ops"), ops)
		after(15 * time.Minute)
		if got, want := arrived(), "resolved: unreachable: d1; unreachable: d1; unreachable: d2"; got != want {
			t.Errorf("set ahead by a month for an hour, there arrived %q, want %q", got, want)
		}
		h.end()
	})
}

func TestFaultyRoutesChangeNothingAndAreAllNamed(t *testing.T) {
	h := newHouse(t, 1, Options{})
	err := h.alerts.Set([]Route{{Kinds: []Kind{"unreachabel"}, To: []string{"moon"}}}, []Receiver{&inbox{name: "a"}, &inbox{name: "a"}})
	for _, says := range []string{`"unreachabel"`, `"moon"`, "a is there twice"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Set = %v, want it to name %s", err, says)
		}
	}
}

func TestTestMessageGoesAtOnceAndSaysHowItWent(t *testing.T) {
	ops := &inbox{name: "ops"}
	h := newHouse(t, 1, Options{})
	if err := h.alerts.Set(nil, []Receiver{ops}); err != nil {
		t.Fatal(err)
	}
	if err := h.alerts.Test(t.Context(), "ops"); err != nil || ops.subjects() != "test" {
		t.Errorf("Test = %v, arrived: %s", err, ops.subjects())
	}
	ops.set(true)
	if err := h.alerts.Test(t.Context(), "ops"); err == nil || err.Error() != "no answer" {
		t.Errorf("Test of one that is down = %v, want what it said", err)
	}
	if err := h.alerts.Test(t.Context(), "moon"); err == nil || !strings.Contains(err.Error(), "receivers:") {
		t.Errorf("Test of none = %v, want the mend", err)
	}
}

func TestUnreadableEventStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, 10, Options{})
		h.run(nil)
		e := event(inventory.EventState, nil)
		e.Data = []byte(`[`)
		h.store.happens(e)
		h.goes(inventory.StateDown, 2)
		synctest.Wait()
		if all, _ := h.alerts.List(t.Context(), Filter{}); len(all) != 1 || all[0].Subject != "d2" {
			t.Errorf("alerts = %+v, want the one after the unreadable event", all)
		}
		h.end()
	})
}

// A cursor that stands before it for ever would be the end of all alerts.
func TestAlertThatCannotBeStoredStopsNoOther(t *testing.T) {
	var log strings.Builder
	h := newHouse(t, 10, Options{})
	h.alerts.o.Log = newTextLog(&log)
	h.store.refuses = "d2"
	for n := 1; n <= 3; n++ {
		h.goes(inventory.StateDown, n)
	}
	at, _, err := h.alerts.Step(t.Context())
	all, _ := h.alerts.List(t.Context(), Filter{})
	if err != nil || at != 3 || len(all) != 2 || all[0].Subject != "d3" || all[1].Subject != "d1" {
		t.Errorf("cursor at %d (%v), alerts = %+v, want those of d1 and d3", at, err, all)
	}
	for _, says := range []string{"level=ERROR", "kind=unreachable", "d2 does not answer"} {
		if strings.Count(log.String(), says) != 1 {
			t.Errorf("log %q does not say %s once", log.String(), says)
		}
	}
}

func TestDigestTimeIsThatOfTheWallClock(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	last := time.Date(2026, 3, 28, 8, 0, 0, 0, zone) // clocks go forward in the night after
	if got := nextDigest(last, 8*time.Hour, zone); got.Sub(last) != 23*time.Hour || got.Hour() != 8 {
		t.Errorf("next digest = %v, want 08:00 of the next day", got)
	}
	if got := nextDigest(last.Add(-time.Minute), 8*time.Hour, zone); !got.Equal(last) {
		t.Errorf("next digest = %v, want one minute later", got)
	}
}

func newTextLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// A process that ended with a panic would meet the same event at every start.
func TestPanicInAStepIsAnErrorAndLeavesTheNextOneFree(t *testing.T) {
	store, broken := newMemStore(), true
	a := New(store, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Devices: func(context.Context) ([]inventory.Device, error) {
		if broken {
			panic("on purpose")
		}
		return nil, nil
	}})
	store.happens(event(inventory.EventDeviceNew, nil))
	if _, _, err := a.Step(t.Context()); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want an error in one line", err)
	}
	broken = false
	if at, _, err := a.Step(t.Context()); err != nil || at != 1 {
		t.Errorf("the next step: cursor %d, %v", at, err)
	}
}
