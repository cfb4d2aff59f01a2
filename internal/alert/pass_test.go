package alert

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

// scene plays events against the pure part: passes, one after another, with
// nothing stored.
type scene struct {
	t       testing.TB
	at      time.Time
	devices []inventory.Device
	alerts  []*Alert // all that there ever were, in the order of their ids
	policy  *policy
	flaps   int // earlier openings that the store would count
}

// newScene has n devices d1, d2, … of platform ios at site paris, all up.
func newScene(t testing.TB, n int) *scene {
	s := &scene{t: t, at: night, policy: &policy{company: 30 * time.Second, zone: time.UTC}}
	for i := range n {
		s.devices = append(s.devices, inventory.Device{ID: int64(i + 1), Name: fmt.Sprintf("d%d", i+1), Site: "paris", Platform: "ios", Managed: true, State: inventory.StateUp})
	}
	return s
}

// pass works events in, one pass for all of them.
func (s *scene) pass(events ...inventory.Event) {
	s.t.Helper()
	x := newPass(s.at, newWorld(s.devices), s.policy, s.alerts, func(Kind, string) int { return s.flaps })
	for _, e := range events {
		changes, err := changesOf(e, x.world)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, c := range changes {
			x.apply(c)
		}
	}
	for _, a := range x.settle() {
		if a.ID == 0 {
			a.ID = int64(len(s.alerts) + 1)
			s.alerts = append(s.alerts, a)
		}
	}
}

// on makes an event about device n.
func (s *scene) on(n int, kind inventory.EventKind, data any) inventory.Event {
	e := event(kind, data)
	e.At, e.DeviceID, e.Device = s.at, int64(n), s.devices[n-1].Name
	return e
}

// goes puts devices into a state and makes the events of it.
func (s *scene) goes(to inventory.State, ns ...int) (events []inventory.Event) {
	for _, n := range ns {
		s.devices[n-1].State, s.devices[n-1].StateSince = to, s.at
		events = append(events, s.on(n, inventory.EventState, inventory.StateChange{To: to, Since: s.at, Site: s.devices[n-1].Site, Message: "no answer"}))
	}
	return events
}

func (s *scene) fails(k collector.Kind, step collector.Step, ns ...int) (events []inventory.Event) {
	for _, n := range ns {
		events = append(events, s.on(n, inventory.EventBackup, backup.Result{Outcome: backup.Failed, Step: step, Kind: k, Message: s.devices[n-1].Name + " at output: timed out"}))
	}
	return events
}

func (s *scene) good(ns ...int) (events []inventory.Event) {
	for _, n := range ns {
		events = append(events, s.on(n, inventory.EventBackup, backup.Result{Outcome: backup.Stored}))
	}
	return events
}

func (s *scene) drifts(group string, closed bool, ns ...int) (events []inventory.Event) {
	for _, n := range ns {
		events = append(events, s.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftChanged, Since: s.at, Group: group, Closed: closed}))
	}
	return events
}

// later lets time pass.
func (s *scene) later(d time.Duration) *scene { s.at = s.at.Add(d); return s }

// told marks all that is due by now as notified, as notify does.
func (s *scene) told() {
	for _, a := range s.alerts {
		if !a.NotifyAt.IsZero() && !a.NotifyAt.After(s.at) {
			a.NotifyAt, a.Told = time.Time{}, len(a.Devices)
			if a.NotifiedAt.IsZero() {
				a.NotifiedAt = s.at
			}
		}
	}
}

// want compares the alerts: "id kind subject devices state", with "!" where a
// notification is due and "~" where it ended without a recovery.
func (s *scene) want(rows ...string) {
	s.t.Helper()
	got := []string{}
	for _, a := range s.alerts {
		row := fmt.Sprintf("%d %s [%s] %s %s", a.ID, a.Kind, a.Subject, strings.Join(a.Devices, ","), a.State)
		if !a.NotifyAt.IsZero() {
			row += " !" + a.NotifyAt.Sub(s.at).String()
		}
		if a.Merged {
			row += " ~"
		}
		got = append(got, row)
	}
	if d := cmp.Diff(rows, got); d != "" {
		s.t.Errorf("alerts (-want +got):\n%s", d)
	}
}

func TestOneFaultIsOneAlertWithOneRecovery(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.goes(inventory.StateDown, 1)...)
	s.want("1 unreachable [d1] d1 firing !30s")
	s.later(time.Minute).told()
	s.pass(s.goes(inventory.StateDown, 1)...) // told once more: nothing new
	s.want("1 unreachable [d1] d1 firing")
	s.later(time.Hour).pass(s.goes(inventory.StateUp, 1)...)
	s.want("1 unreachable [d1] d1 resolved !0s")
	if got, want := s.alerts[0].Message, "d1 answers again, after 1 h 1 min"; got != want {
		t.Errorf("recovery says %q, want %q", got, want)
	}
	s.told()
	s.pass(s.goes(inventory.StateUp, 1)...)
	s.want("1 unreachable [d1] d1 resolved")
}

func TestWhatEndedBeforeAnybodyWasToldIsNotTold(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.goes(inventory.StateDown, 1)...)
	s.later(10 * time.Second).pass(s.goes(inventory.StateUp, 1)...)
	s.want("1 unreachable [d1] d1 resolved")
}

func TestSiteThatGoesDownIsOneAlert(t *testing.T) {
	s := newScene(t, 43)
	for i := range 210 { // with the two of paris 212 answer
		s.devices = append(s.devices, inventory.Device{ID: int64(1000 + i), Name: fmt.Sprintf("lyon-%d", i), Site: "lyon", Managed: true, State: inventory.StateUp})
	}
	s.pass(s.goes(inventory.StateDown, 1)...)
	s.want("1 unreachable [d1] d1 firing !30s")
	var rest []int
	for n := 2; n <= 41; n++ {
		rest = append(rest, n)
	}
	s.later(time.Second).pass(s.goes(inventory.StateDown, rest...)...)
	if len(s.alerts) != 1 || s.alerts[0].Subject != "paris" || len(s.alerts[0].Devices) != 41 {
		t.Fatalf("alerts = %d, first about %s with %d devices, want one about paris with 41", len(s.alerts), s.alerts[0].Subject, len(s.alerts[0].Devices))
	}
	if got, want := s.alerts[0].Message, "paris: 41 of 43 down since 2026-03-01 02:14 UTC; 212 others answer."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q does not begin with %q", got, want)
	}
	s.later(time.Minute).told()
	s.later(time.Minute).pass(s.goes(inventory.StateUp, rest...)...) // d1 is still down: the alert goes on
	s.want("1 unreachable [paris] d1 firing")
	s.later(time.Minute).pass(s.goes(inventory.StateUp, 1)...)
	if a := s.alerts[0]; a.State != Resolved || a.NotifyAt.IsZero() || len(a.Devices) != 41 || !strings.Contains(a.Message, "all answer again") {
		t.Errorf("alert = %s %q with %d devices, want one recovery that names all 41", a.State, a.Message, len(a.Devices))
	}
}

func TestDevicesThatGoDownHoursApartAreNoSiteOutage(t *testing.T) {
	s := newScene(t, 20)
	for n := 1; n <= 4; n++ {
		s.later(20 * time.Minute).pass(s.goes(inventory.StateDown, n)...)
	}
	if len(s.alerts) != 4 {
		t.Errorf("%d alerts, want one for each of four devices", len(s.alerts))
	}
}

func TestCollectorIsIsolatedOnlyWhenNothingAnswersOfAtLeastFive(t *testing.T) {
	few := newScene(t, 4)
	few.pass(few.goes(inventory.StateDown, 1, 2, 3, 4)...)
	few.want("1 unreachable [paris] d1,d2,d3,d4 firing !30s")

	s := newScene(t, 6)
	s.pass(s.goes(inventory.StateDown, 1, 2, 3, 4, 5)...)
	s.want("1 unreachable [paris] d1,d2,d3,d4,d5 firing !30s")
	s.later(10 * time.Second).pass(s.goes(inventory.StateDown, 6)...)
	s.want("1 unreachable [paris] d1,d2,d3,d4,d5 resolved ~", "2 collector-isolated [collector] d1,d2,d3,d4,d5,d6 firing !30s")
	s.later(time.Minute).told()
	s.later(time.Hour).pass(s.goes(inventory.StateUp, 1, 2)...)
	// It is over; what is still down is told only if it stays so.
	s.want("1 unreachable [paris] d1,d2,d3,d4,d5 resolved ~", "2 collector-isolated [collector] d1,d2,d3,d4,d5,d6 resolved !0s",
		"3 unreachable [paris] d3,d4,d5,d6 firing !3m0s")
	s.later(30 * time.Second).pass(s.goes(inventory.StateUp, 3, 4, 5, 6)...)
	if a := s.alerts[2]; a.State != Resolved || !a.NotifyAt.IsZero() {
		t.Errorf("what came back with the rest is %s and told at %v, want resolved and not told", a.State, a.NotifyAt)
	}
}

// What muster's own machine has no way to is one alert, whatever else is down.
func TestOwnLinkIsOneAlertBesideWhatIsDown(t *testing.T) {
	s := newScene(t, 10)
	own := func(n ...int) (all []inventory.Event) {
		for _, i := range n {
			s.devices[i-1].State, s.devices[i-1].Behind = inventory.StateBehind, inventory.ThisMachine
			all = append(all, s.on(i, inventory.EventState, inventory.StateChange{From: inventory.StateUp, To: inventory.StateBehind,
				Behind: inventory.ThisMachine, Message: "SNMP: no answer, interface eth0 of this machine has no link"}))
		}
		return all
	}
	s.pass(slices.Concat(own(1, 2, 3), s.goes(inventory.StateDown, 4))...)
	s.want("1 collector-isolated [collector] d1,d2,d3 firing !30s", "2 unreachable [d4] d4 firing !30s")
	if m := s.alerts[0].Message; !strings.HasPrefix(m, "muster has no way to 3 of 10 devices since ") || !strings.Contains(m, "eth0 of this machine has no link. Check this machine's link") {
		t.Errorf("message %q", m)
	}
	s.later(time.Minute).told()
	s.later(time.Minute).pass(slices.Concat(s.goes(inventory.StateUp, 1, 2), s.goes(inventory.StateDown, 3))...)
	if a := s.alerts[0]; a.State != Resolved || a.Merged || a.NotifyAt.IsZero() {
		t.Errorf("the link is back, and its alert is %s, merged %t, told at %v", a.State, a.Merged, a.NotifyAt)
	}
	if a := s.alerts[2]; a.Kind != Unreachable || !slices.Equal(a.Devices, []string{"d3"}) {
		t.Errorf("what stayed away is %+v, want an alert of its own", a)
	}
}

// A credential that some devices reject while it works at others is never stopped,
// and one alert all the same.
func TestOneCredentialThatManyRejectIsOneAlert(t *testing.T) {
	s := newScene(t, 10)
	rejects := func(n int, credential string) {
		s.pass(s.on(n, inventory.EventLoginRejected, map[string]string{"credential": credential}))
		s.pass(s.fails(collector.ErrLoginRejected, collector.StepLogin, n)...)
	}
	rejects(1, "noc")
	rejects(2, "noc")
	rejects(9, "lab")
	s.want("1 login-rejected [d1] d1 firing !30s", "2 login-rejected [d2] d2 firing !30s", "3 login-rejected [d9] d9 firing !30s")
	rejects(3, "noc")
	rejects(4, "noc")
	s.want("1 login-rejected [noc] d1,d2,d3,d4 firing !30s", "2 login-rejected [d2] d2 resolved ~", "3 login-rejected [d9] d9 firing !30s")
	if m := s.alerts[0].Message; !strings.HasPrefix(m, "4 devices (d1, d2, d3, d4) reject credential noc since ") || !strings.Contains(m, "muster device retry") {
		t.Errorf("message %q", m)
	}
	s.later(time.Minute).told()
	s.later(time.Hour).pass(s.good(1, 2, 3)...)
	s.want("1 login-rejected [noc] d4 firing", "2 login-rejected [d2] d2 resolved ~", "3 login-rejected [d9] d9 firing")
}

func TestDeviceNamedLikeASiteOrACredentialHasItsOwnAlert(t *testing.T) {
	rejects := func(s *scene, credential string, ns ...int) (events []inventory.Event) {
		for _, n := range ns {
			events = append(events, s.on(n, inventory.EventLoginRejected, map[string]string{"credential": credential}))
		}
		return events
	}
	tests := map[string]struct {
		play func(s *scene)
		want []string
	}{
		"site, device first": {func(s *scene) {
			s.pass(s.goes(inventory.StateDown, 9)...)
			s.pass(s.goes(inventory.StateDown, 1, 2, 3)...)
			s.pass(s.goes(inventory.StateDown, 9, 4)...)
		}, []string{"1 unreachable [paris] paris firing !30s", "2 unreachable [paris] d1,d2,d3,d4 firing !30s"}},
		"site, all at once": {func(s *scene) {
			s.pass(s.goes(inventory.StateDown, 1, 2, 3, 9)...)
			s.pass(s.goes(inventory.StateUp, 9)...)
		}, []string{"1 unreachable [paris] d1,d2,d3 firing !30s", "2 unreachable [paris] paris resolved"}},
		"credential": {func(s *scene) {
			s.pass(append(rejects(s, "lab", 9), rejects(s, "paris", 1, 2, 3)...)...)
			s.pass(rejects(s, "paris", 4)...)
		}, []string{"1 login-rejected [paris] d1,d2,d3,d4 firing !30s", "2 login-rejected [paris] paris firing !30s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 10)
			s.devices[8].Name, s.devices[8].Site = "paris", "lyon"
			tt.play(s)
			s.want(tt.want...)
		})
	}
}

// A dead box is renamed while its alert is open, and the one that takes its place
// gets its name.
func TestRenamedDeviceKeepsItsAlertAndLeavesItsNameFree(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.goes(inventory.StateDown, 1)...)
	s.later(time.Minute).told()
	late := s.goes(inventory.StateDown, 1) // told once more, before the name is another
	s.devices[0].Name, s.devices[1].Name = "old", "d1"
	s.pass(s.goes(inventory.StateDown, 2)...)
	s.want("1 unreachable [old] old firing", "2 unreachable [d1] d1 firing !30s")
	s.later(time.Minute).told()
	s.pass(late...)
	s.pass(s.goes(inventory.StateUp, 2)...)
	s.want("1 unreachable [old] old firing", "2 unreachable [d1] d1 resolved !0s")
	if m := s.alerts[0].Message; !strings.Contains(m, "muster doctor old") {
		t.Errorf("message %q names another device", m)
	}
	s.pass(s.goes(inventory.StateUp, 1)...)
	s.want("1 unreachable [old] old resolved !0s", "2 unreachable [d1] d1 resolved !0s")
}

func TestDeviceBehindADeadOneHasNoAlert(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.goes(inventory.StateDown, 1, 2)...)
	s.later(time.Minute).told()
	s.pass(s.goes(inventory.StateBehind, 2)...)
	// Who was told of it is told that it is closed, which is no recovery.
	s.want("1 unreachable [d1] d1 firing", "2 unreachable [d2] d2 resolved !0s ~")
	if m := s.alerts[1].Message; strings.Contains(m, "answers again") || !strings.Contains(m, "closed") {
		t.Errorf("end says %q, want closed and no recovery", m)
	}
}

func TestFirstFailedNightIsForTheDigestTheSecondIsTold(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.fails(collector.ErrTimedOut, collector.StepOutput, 1)...)
	s.want("1 backup-failed [d1] d1 firing")
	s.later(time.Minute).pass(s.fails(collector.ErrTimedOut, collector.StepOutput, 1)...) // the second try
	s.want("1 backup-failed [d1] d1 firing")
	s.later(24 * time.Hour).pass(s.fails(collector.ErrTimedOut, collector.StepOutput, 1)...)
	s.want("1 backup-failed [d1] d1 firing !5m0s")
	if m := s.alerts[0].Message; !strings.Contains(m, "2 nights in a row") {
		t.Errorf("message %q does not tell of two nights", m)
	}
	s.later(5 * time.Minute).told()
	s.pass(s.good(1)...)
	s.want("1 backup-failed [d1] d1 resolved !0s")
}

// Its SSH port refuses night after night, and in between it is down for ten minutes.
func TestOutageEndsNoFailureOfTheNightsBefore(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.fails(collector.ErrRefused, collector.StepConnect, 1)...)
	s.later(24 * time.Hour).pass(s.fails(collector.ErrRefused, collector.StepConnect, 1)...)
	s.later(5 * time.Minute).told()
	s.later(8 * time.Hour).pass(s.goes(inventory.StateDown, 1)...)
	s.want("1 backup-failed [d1] d1 firing", "2 unreachable [d1] d1 firing !30s")
	s.later(10 * time.Minute).told()
	s.pass(s.goes(inventory.StateUp, 1)...)
	s.told()
	s.later(16 * time.Hour).pass(s.fails(collector.ErrRefused, collector.StepConnect, 1)...)
	s.want("1 backup-failed [d1] d1 firing", "2 unreachable [d1] d1 resolved")
	if m := s.alerts[0].Message; !strings.Contains(m, "3 nights in a row") {
		t.Errorf("message %q does not tell of three nights", m)
	}
	s.pass(s.good(1)...)
	s.want("1 backup-failed [d1] d1 resolved !0s", "2 unreachable [d1] d1 resolved")
}

func TestThreeFailuresOfOneCauseAreOneAlertAboutTheCause(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.fails(collector.ErrTimedOut, collector.StepOutput, 1, 2)...)
	s.want("1 backup-failed [d1] d1 firing", "2 backup-failed [d2] d2 firing")
	s.devices[3].Platform = "junos"
	s.pass(append(s.fails(collector.ErrTimedOut, collector.StepOutput, 3, 4), s.fails(collector.ErrNoPrompt, collector.StepPrompt, 5)...)...)
	s.want("1 backup-failed [ios output timed-out] d1,d2,d3 firing !5m0s", "2 backup-failed [d2] d2 resolved ~",
		"3 backup-failed [d4] d4 firing", "4 backup-failed [d5] d5 firing")
	s.later(5 * time.Minute).told()
	s.pass(s.good(1, 2)...)
	s.pass(s.fails(collector.ErrTimedOut, collector.StepOutput, 6)...) // joins, since there is one of its cause
	if a := s.alerts[0]; a.Subject != "ios output timed-out" || !slices.Equal(a.Devices, []string{"d3", "d6"}) || a.State != Firing {
		t.Errorf("group = %+v, want d3 and d6 in it", a)
	}
	s.pass(s.good(3, 6)...)
	if a := s.alerts[0]; a.State != Resolved || a.NotifyAt.IsZero() || !slices.Equal(a.Devices, []string{"d1", "d2", "d3", "d6"}) {
		t.Errorf("group = %+v, want one recovery that names all that had part in it", a)
	}
}

func TestFailureIsToldThroughOneAlertOnly(t *testing.T) {
	tests := map[string]struct {
		play func(s *scene)
		want []string
	}{
		"backup that fails on a rejected login": {func(s *scene) {
			s.pass(s.on(1, inventory.EventLoginRejected, map[string]string{"credential": "noc"}))
			s.pass(s.fails(collector.ErrLoginRejected, collector.StepLogin, 1)...)
		}, []string{"1 login-rejected [d1] d1 firing !30s"}},
		"credential that was stopped takes over": {func(s *scene) {
			s.pass(s.on(1, inventory.EventLoginRejected, map[string]string{"credential": "noc"}))
			s.pass(s.on(2, inventory.EventLoginRejected, map[string]string{"credential": "noc"}))
			stop := event(inventory.EventCredentialStopped, map[string]any{"devices": []string{"d1", "d2"}})
			stop.DeviceID, stop.Device, stop.Subject = 0, "", "noc"
			s.pass(stop)
			s.pass(append(s.fails(collector.ErrLoginRejected, collector.StepLogin, 1, 2), s.fails(collector.ErrCredentialStopped, collector.StepLogin, 3, 4, 5)...)...)
		}, []string{"1 login-rejected [d1] d1 resolved ~", "2 login-rejected [d2] d2 resolved ~", "3 credential-stopped [noc] d1,d2 firing !0s"}},
		"device that turns out to be down": {func(s *scene) {
			s.pass(s.fails(collector.ErrUnreachable, collector.StepConnect, 1)...)
			s.pass(s.goes(inventory.StateDown, 1)...)
			s.pass(s.fails(collector.ErrUnreachable, collector.StepConnect, 1)...)
		}, []string{"1 backup-failed [d1] d1 resolved ~", "2 unreachable [d1] d1 firing !30s"}},
		"devices that turn out to be behind a dead one": {func(s *scene) {
			s.pass(s.fails(collector.ErrTimedOut, collector.StepConnect, 1, 2, 3, 4, 5)...)
			s.later(4 * time.Minute).pass(append(s.goes(inventory.StateBehind, 2, 3, 4, 5, 6), s.goes(inventory.StateDown, 1)...)...)
			s.pass(s.fails(collector.ErrTimedOut, collector.StepConnect, 2, 3, 6)...) // begun before
		}, []string{"1 backup-failed [ios connect timed-out] d1,d2,d3,d4,d5 resolved ~", "2 unreachable [d1] d1 firing !30s"}},
		"host key that changed": {func(s *scene) {
			s.pass(s.on(1, inventory.EventHostKeyChanged, map[string]any{"pinned": []string{"SHA256:a"}, "shown": "SHA256:b"}))
			s.pass(s.fails(collector.ErrHostKeyChanged, collector.StepHostKey, 1)...)
		}, []string{"1 host-key-changed [d1] d1 firing !0s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 10)
			tt.play(s)
			s.want(tt.want...)
		})
	}
}

func TestFourteenSwitchesWithOneChangeAreOneAlert(t *testing.T) {
	s := newScene(t, 20)
	for n := 1; n <= 14; n++ {
		s.later(time.Second).pass(s.drifts("3f9a", false, n)...)
	}
	if len(s.alerts) != 1 || len(s.alerts[0].Devices) != 14 || s.alerts[0].Subject != "3f9a" {
		t.Fatalf("alerts = %d, first %+v, want one with 14 devices", len(s.alerts), s.alerts[0])
	}
	if due := s.alerts[0].NotifyAt; !due.Equal(night.Add(31 * time.Second)) {
		t.Errorf("notification is due at %v, want 30 s after the first device: the others must not put it off", due)
	}
	s.later(time.Minute).told()
	for n := 1; n <= 14; n++ {
		s.pass(s.drifts("3f9a", true, n)...)
	}
	if a := s.alerts[0]; a.State != Resolved || len(a.Devices) != 14 || a.NotifyAt.IsZero() {
		t.Errorf("alert = %+v, want one recovery with 14 devices", a)
	}
}

func TestChangeThatGoesOnStaysOneAlert(t *testing.T) {
	s := newScene(t, 10)
	s.pass(s.drifts("one", false, 1)...)
	s.later(time.Minute).told()
	s.pass(s.drifts("two", false, 1)...)
	s.want("1 changed [two] d1 firing !30s")
	s.later(time.Minute).told()
	s.pass(s.drifts("two", false, 2)...)
	s.pass(s.drifts("three", false, 1)...)
	s.want("1 changed [two] d2 firing !30s", "2 changed [three] d1 firing !30s")
}

func TestUnsavedIsShownAtOnceAndToldAfterItsGrace(t *testing.T) {
	s := newScene(t, 10)
	s.policy.routes = []Route{{Kinds: []Kind{Unsaved}, UnsavedAfter: 4 * time.Hour}, {Kinds: []Kind{Unsaved}, UnsavedAfter: time.Hour}}
	e := s.on(1, inventory.EventDrift, backup.Drift{Kind: backup.DriftUnsaved, Since: s.at, Group: "x"})
	s.pass(e)
	s.want("1 unsaved [x] d1 firing !1h0m0s")
}

func TestFlappingIsHeldDown(t *testing.T) {
	s := newScene(t, 10)
	s.flaps = flapsFrom
	s.pass(s.goes(inventory.StateDown, 1)...)
	s.want("1 unreachable [d1] d1 firing !15m0s")
}

func TestRemovedDeviceEndsItsAlertsWithoutARecovery(t *testing.T) {
	s := newScene(t, 10)
	s.pass(append(s.goes(inventory.StateDown, 1), s.drifts("x", false, 1, 2)...)...)
	s.later(time.Minute).told()
	s.devices[0].Disabled = true
	s.pass(s.on(1, inventory.EventDeviceRemoved, nil))
	s.want("1 unreachable [d1] d1 resolved !0s ~", "2 changed [x] d2 firing")
	s.later(time.Second).told()
	s.pass(s.goes(inventory.StateDown, 1)...) // said before it was disabled, read after
	s.want("1 unreachable [d1] d1 resolved ~", "2 changed [x] d2 firing")
}

func TestClashIsOverWhenOneDeviceIsLeft(t *testing.T) {
	s := newScene(t, 3)
	s.pass(s.on(1, inventory.EventIdentityClash, map[string]any{"identifier": "serial FAKE1", "devices": []string{"d1", "d2", "d3"}}))
	s.pass(s.on(1, inventory.EventDeviceMerged, map[string]any{"into": "d2"}))
	s.want("1 identity-clash [serial FAKE1] d2,d3 firing !0s")
	s.pass(s.on(3, inventory.EventDeviceRemoved, nil))
	s.want("1 identity-clash [serial FAKE1] d1,d2,d3 resolved")
}

func TestWhatIsNotManagedIsNotToldOf(t *testing.T) {
	s := newScene(t, 3)
	s.devices[0].Managed = false
	s.pass(append(s.goes(inventory.StateDown, 1), s.on(1, inventory.EventDeviceNew, nil))...)
	s.want("1 new-device [discovery] d1 firing !30s")
}

func TestThousandNewDevicesAreOneAlert(t *testing.T) {
	s := newScene(t, 1000)
	var events []inventory.Event
	for n := 1; n <= 1000; n++ {
		events = append(events, s.on(n, inventory.EventDeviceNew, nil))
	}
	s.pass(events...)
	if len(s.alerts) != 1 || len(s.alerts[0].Devices) != 1000 || len(s.alerts[0].Message) > 1000 {
		t.Errorf("%d alerts, first with %d devices and %d bytes of message", len(s.alerts), len(s.alerts[0].Devices), len(s.alerts[0].Message))
	}
}

func TestAlertThatGrowsIsToldAgainAndNotForEachDevice(t *testing.T) {
	s := newScene(t, 20)
	s.pass(s.drifts("x", false, 1)...)
	s.later(time.Minute).told()
	s.pass(s.drifts("x", false, 2)...)
	s.want("1 changed [x] d1,d2 firing !30s")
	s.later(time.Minute).told()
	s.pass(s.drifts("x", false, 3)...)
	s.want("1 changed [x] d1,d2,d3 firing")
	s.alerts[0].AckedAt = s.at
	s.pass(s.drifts("x", false, 4, 5, 6, 7, 8)...)
	if !s.alerts[0].NotifyAt.IsZero() {
		t.Error("an alert that somebody takes care of was told again")
	}
}

func TestSecondOutageOfASiteIsToldThoughOneDeviceNeverCameBack(t *testing.T) {
	tests := map[string]struct {
		up   time.Duration // between the end of the first outage and the second
		down int           // devices of the second
		want string
	}{
		"a week later":                   {7 * 24 * time.Hour, 34, "!30s"},
		"within the hour it has to last": {10 * time.Minute, 34, "!15m0s"},
		"new devices need not":           {10 * time.Minute, 41, "!30s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 50)
			var ns []int
			for n := 1; n <= 40; n++ {
				ns = append(ns, n)
			}
			s.pass(s.goes(inventory.StateDown, ns...)...)
			s.later(time.Minute).told()
			s.later(time.Hour).pass(s.goes(inventory.StateUp, ns[1:]...)...)
			s.want("1 unreachable [paris] d1 firing")
			ns = nil
			for n := 2; n < 2+tt.down; n++ {
				ns = append(ns, n)
			}
			s.later(tt.up).pass(s.goes(inventory.StateDown, ns...)...)
			if a := s.alerts[0]; a.NotifyAt.IsZero() || "!"+a.NotifyAt.Sub(s.at).String() != tt.want || len(a.Devices) != 1+tt.down {
				t.Errorf("%d devices are down, and it is told at %v, want %s", len(a.Devices), a.NotifyAt, tt.want)
			}
		})
	}
}

func TestMessagesCarryNoControlCharacters(t *testing.T) {
	s := newScene(t, 3)
	s.devices[0].Name = "d1\x1b[2J\nBcc: evil@example.net"
	for _, e := range []inventory.Event{
		s.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:\x1b]0;x\a"}),
		s.on(1, inventory.EventBackup, backup.Result{Outcome: backup.Quarantined, Message: "said \x1b[31m\r\n"}),
		s.on(1, inventory.EventState, inventory.StateChange{To: inventory.StateDown, Message: "\u202eevil"}),
	} {
		s.pass(e)
	}
	for _, a := range s.alerts {
		for _, text := range []string{a.Message, messageOf("id", MessageFiring, a, night).Subject} {
			if strings.ContainsAny(text, "\x1b\r\n\a\u202e") {
				t.Errorf("%s: %q carries control characters", a.Kind, text)
			}
		}
	}
}
