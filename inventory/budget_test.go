package inventory

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"muster/collector"
	"muster/collector/cli"
)

// unanswered makes every login one that takes the password and then ends as kind,
// without a verdict.
func (b *bench) unanswered(kind collector.Kind) {
	open := b.a.open
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		if _, err := open(ctx, t, d, cli.Options{Progress: o.Progress, Attempt: func(string, bool) {}}); err != nil {
			return opened{}, err
		}
		o.Attempt("password", false)
		return opened{}, &collector.Error{Device: t.Device, Step: collector.StepLogin, Kind: kind}
	}
}

func TestLoginWithoutAnAnswerIsOneOfTheTwoOfTheDay(t *testing.T) {
	for _, kind := range []collector.Kind{collector.ErrClosed, collector.ErrTimedOut} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBench(t)
			b.credential("noc", "right")
			works := func(d *Device) { d.SSHCredential, d.SSHMethod = "noc", "password" }
			d := b.device("d", works)
			b.unanswered(kind)
			var got []collector.Kind
			for range 3 {
				got = append(got, b.kind(b.a.Begin(), d))
			}
			if got[0] != kind || got[1] != kind || got[2] != collector.ErrNeedsCredential || len(b.logins) != 2 {
				t.Errorf("kinds %v after %d logins; want two tries, and none until tomorrow", got, len(b.logins))
			}
			if why := b.stored(d).MissingReason; !strings.Contains(why, "did not answer logins with credential noc") {
				t.Errorf("the reason is %q; nothing was rejected for sure", why)
			}
			if n := b.m.count(EventLoginRejected) + b.m.count(EventCredentialStopped); n != 0 {
				t.Errorf("%d events say that a password was rejected", n)
			}
			// It is no reason to distrust the password: a day later all is as before.
			b.now = b.now.Add(25 * time.Hour)
			b.a = b.access()
			if err := b.try(b.a.Begin(), d); err != nil {
				t.Errorf("the next day: %v", err)
			}
		})
	}
}

func TestSecretChangedInMidLoginIsTheLastTryOfTheDay(t *testing.T) {
	b := newBench(t)
	b.credential("one", "old")
	b.credential("two", "wrong")
	d := b.device("d", nil)
	b.accepts = func(_ string, c collector.Credential) bool {
		if c.Name == "one" {
			b.credential("one", c.Password.Reveal()+"+") // somebody changes it while it is tried
		}
		return false
	}
	if err := b.try(b.a.Begin(), d); !errors.Is(err, collector.ErrLoginRejected) {
		t.Errorf("%v, want login-rejected", err)
	}
	if b.rejected["d"] != 2 {
		t.Errorf("the device rejected %d logins (%v), want 2", b.rejected["d"], b.logins)
	}
}

func TestShellThatHangsAfterTheFirstLoginHoldsNobodyUp(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	hangs, good := b.device("hangs", nil), b.device("good", nil)
	in, open := make(chan struct{}), b.a.open
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		s, err := open(ctx, t, d, o)
		if err != nil || t.Device != "hangs" {
			return s, err
		}
		o.Progress(collector.StepPrompt, "")
		close(in)
		<-ctx.Done()
		return opened{}, &collector.Error{Device: t.Device, Step: collector.StepPrompt, Kind: collector.ErrTimedOut}
	}
	run := b.a.Begin()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := run.Open(ctx, hangs, cli.Dialogue{}, cli.Options{})
		ended <- err
	}()
	<-in
	if err := b.try(run, good); err != nil {
		t.Errorf("the others: %v", err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the shell that hangs made a session")
	}
}

func TestStoppedCredentialIsReleasedByALoginWhoseShellFails(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "wrong")
	b.accepts = func(_ string, c collector.Credential) bool { return c.Password.Reveal() == "right" }
	run := b.a.Begin()
	for _, name := range []string{"a", "b"} {
		_ = b.kind(run, b.device(name, nil))
	}
	if n := b.m.count(EventCredentialStopped); n != 1 {
		t.Fatalf("%d events credential-stopped, want 1", n)
	}
	b.credential("noc", "right")
	open := b.a.open
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		if _, err := open(ctx, t, d, o); err != nil {
			return opened{}, err
		}
		o.Progress(collector.StepPrompt, "")
		return opened{}, &collector.Error{Device: t.Device, Step: collector.StepPrompt, Kind: collector.ErrNoPrompt}
	}
	if got := b.kind(b.a.Begin(), b.device("c", nil)); got != collector.ErrNoPrompt {
		t.Errorf("kind %q, want no-prompt", got)
	}
	if n := b.m.count(EventCredentialWorks); n != 1 {
		t.Errorf("%d events credential-works, want 1: the login was taken", n)
	}
}

// The advice of a login that timed out names `device set --timeout`.
func TestTimeoutOfADeviceRaisesItsLoginDeadline(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 5 * time.Second: 30 * time.Second, 2 * time.Minute: 2 * time.Minute} {
		got := (Network{}).SSHTarget(Device{Address: at1, Timeout: given}, collector.Credential{}, nil).Limits.WithDefaults()
		if got.Login != want {
			t.Errorf("a timeout of %s: login has %s, want %s", given, got.Login, want)
		}
	}
}

func TestDevicesThatDoNotAnswerKeepNobodyWaiting(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	var dead []Device
	for _, name := range []string{"dead1", "dead2", "dead3"} {
		dead = append(dead, b.device(name, nil))
	}
	good := b.device("good", nil)
	begun, freed := make(chan struct{}, len(dead)), make(chan struct{})
	b.a.reach = func(_ context.Context, t collector.Target) error {
		if t.Device == "good" {
			return nil
		}
		begun <- struct{}{}
		<-freed
		return &collector.Error{Device: t.Device, Step: collector.StepConnect, Kind: collector.ErrTimedOut}
	}
	run := b.a.Begin()
	ended := make(chan collector.Kind, len(dead))
	for _, d := range dead {
		go func() {
			_, _, err := run.Open(t.Context(), d, cli.Dialogue{}, cli.Options{})
			ended <- collector.KindOf(err)
		}()
	}
	for range dead {
		<-begun // all at once: none of them holds the token
	}
	if err := b.try(run, good); err != nil {
		t.Errorf("the device that answers: %v", err)
	}
	close(freed)
	for range dead {
		if kind := <-ended; kind != collector.ErrTimedOut {
			t.Errorf("kind %q, want timed-out", kind)
		}
	}
	if len(b.logins) != 1 {
		t.Errorf("logins %v, want one", b.logins)
	}
}

// A device that offers no way in for the credential has seen no password.
func TestLoginThatSentNothingIsNoRejectedPassword(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	b.a.open = func(_ context.Context, t collector.Target, _ cli.Dialogue, o cli.Options) (opened, error) {
		b.logins = append(b.logins, t.Device)
		o.Attempt("publickey", false)
		return opened{}, &collector.Error{Device: t.Device, Step: collector.StepLogin, Kind: collector.ErrLoginRejected}
	}
	for range 3 {
		run := b.a.Begin()
		for _, name := range []string{"a", "b"} {
			dev, known := Device{}, false
			for _, d := range b.m.devices {
				if d.Name == name {
					dev, known = *d, true
				}
			}
			if !known {
				dev = b.device(name, nil)
			}
			if got := b.kind(run, dev); got != collector.ErrLoginRejected {
				t.Errorf("%s: kind %q, want login-rejected", name, got)
			}
		}
	}
	if n := b.m.count(EventCredentialStopped); n != 0 || len(b.logins) != 6 {
		t.Errorf("%d events credential-stopped after %d logins; want none after 6", n, len(b.logins))
	}
}

func TestSecretThatTheFirstLoginFoundChangedIsUsedByThoseThatWaited(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "old")
	first, second := b.device("first", nil), b.device("second", nil)
	begun, waits := make(chan struct{}), make(chan struct{})
	b.a.reach = func(_ context.Context, t collector.Target) error {
		if t.Device == "second" {
			close(waits) // it has its credential, and goes to the gate now
		}
		return nil
	}
	b.accepts = func(device string, c collector.Credential) bool {
		if c.Password.Reveal() == "new" {
			return true
		}
		if device == "first" {
			close(begun)
			<-waits
			b.credential("noc", "new")
		}
		return false
	}
	run := b.a.Begin()
	ended := make(chan error)
	go func() {
		s, _, err := run.Open(t.Context(), first, cli.Dialogue{}, cli.Options{})
		if s != nil {
			_ = s.Close()
		}
		ended <- err
	}()
	<-begun
	if err := b.try(run, second); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if b.rejected["first"] != 1 || b.rejected["second"] != 0 {
		t.Errorf("rejected %v, want the first login alone", b.rejected)
	}
}

// A clock that was ahead when a person started a new count, or when a device rejected
// a login, neither ends the counting nor makes the next new count worth nothing.
func TestAClockThatWasAheadKeepsTheBudget(t *testing.T) {
	for _, what := range []string{"device retry", "the rejections"} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t)
			b.credential("noc", "wrong")
			b.credential("ops", "wrong")
			b.accepts = func(string, collector.Credential) bool { return false }
			d := b.device("d", nil)
			devices := NewDevices(b.a.o, b.a)
			b.now = noon.AddDate(1, 0, 0)
			if what == "the rejections" {
				_ = b.kind(b.a.Begin(), d)
			} else if _, err := devices.Retry(t.Context(), "d", "ops"); err != nil {
				t.Fatal(err)
			}
			b.now = noon
			for range 5 {
				b.now = b.now.Add(time.Hour)
				_ = b.kind(b.a.Begin(), d)
			}
			if n := b.rejected["d"]; n != 2 {
				t.Errorf("the device rejected %d logins, want 2", n)
			}
			if got := b.kind(b.a.Begin(), d); got != collector.ErrNeedsCredential || !strings.Contains(b.stored(d).MissingReason, "rejected credential noc and ops") {
				t.Errorf("kind %q: %s", got, b.stored(d).MissingReason)
			}
			if _, err := devices.Retry(t.Context(), "d", "ops"); err != nil {
				t.Fatal(err)
			}
			b.accepts = func(string, collector.Credential) bool { return true }
			if err := b.try(b.a.Begin(), d); err != nil {
				t.Errorf("after device retry: %v", err)
			}
			if n := b.m.count(EventLoginAccepted); n != 1 {
				t.Errorf("%d events login-accepted, want 1", n)
			}
		})
	}
}
