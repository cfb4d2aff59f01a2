package inventory

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muster/collector"
	"muster/collector/cli"
)

// frozen makes logins at some devices hang behind the password for a deadline.
func (b *bench) frozen(hangs func(device string) bool) {
	open := b.a.open
	b.a.open = func(ctx context.Context, t collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		time.Sleep(50 * time.Millisecond)
		if !hangs(t.Device) {
			return open(ctx, t, d, o)
		}
		if err := o.MayLogIn(ctx); err != nil {
			return opened{}, err
		}
		time.Sleep(30 * time.Second)
		return opened{}, &collector.Error{Device: t.Device, Step: collector.StepLogin, Kind: collector.ErrTimedOut}
	}
}

// Devices that freeze at the login hold up neither the first login of a run nor
// the places of the others.
func TestFrozenLoginsHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("noc", "right")
		b.frozen(func(device string) bool { return device[len(device)-1] == '0' }) // one in ten, the first among them
		var all []Device
		for i := range 200 {
			all = append(all, b.device(fmt.Sprint("d", i), nil))
		}
		run, begun := b.a.Begin(), time.Now()
		var group sync.WaitGroup
		var mu sync.Mutex
		var last time.Duration
		for i, d := range all {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond) // in order
				if b.try(run, d) == nil {
					mu.Lock()
					last = max(last, time.Since(begun))
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if last > 65*time.Second { // held up by all 20, it would be two minutes
			t.Errorf("the last healthy device was let in after %s; a frozen login lasts 30 s", last)
		}
		if len(b.logins) != 180 {
			t.Errorf("%d devices let muster in, want 180", len(b.logins))
		}
	})
}

// Where the server behind all devices hangs, nobody is overtaken: no more
// passwords are out than ever.
func TestHangingServerKeepsLoginsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("noc", "right")
		var mu sync.Mutex
		out, most := 0, 0
		slow := time.Duration(0)
		b.a.open = func(ctx context.Context, tg collector.Target, _ cli.Dialogue, o cli.Options) (opened, error) {
			if err := o.MayLogIn(ctx); err != nil {
				return opened{}, err
			}
			mu.Lock()
			out++
			most = max(most, out)
			wait := slow
			slow = 20 * time.Second // from the second login on
			mu.Unlock()
			time.Sleep(wait)
			mu.Lock()
			out--
			mu.Unlock()
			o.Attempt("password", true)
			return opened{method: "password"}, nil
		}
		run := b.a.Begin()
		var group sync.WaitGroup
		for i := range 40 {
			d := b.device(fmt.Sprint("d", i), nil)
			group.Go(func() { _ = b.try(run, d) })
		}
		group.Wait()
		if most > flightsPerCredential {
			t.Errorf("%d logins were out at a time, want at most %d", most, flightsPerCredential)
		}
	})
}

// On a busy machine any login may be overtaken: only one that is out for long, too,
// gives its place away.
func TestALoginThatIsOvertakenAtOnceKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		start := func() *flight {
			x, err := f.start(t.Context(), "noc")
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		start() // it stays out
		for range 2 * overtaken {
			start().end(true)
		}
		for range flightsPerCredential - 1 {
			start()
		}
		begun := time.Now()
		start()
		if waited := time.Since(begun); waited < heldUp || waited > 2*heldUp {
			t.Errorf("one more was let out after %v, want it to wait until the overtaken one is out for %v", waited, heldUp)
		}
	})
}

// Sessions that were let in before the password changed go on: that their shells
// open says nothing of the password.
func TestASessionThatGoesOnDoesNotProveThePassword(t *testing.T) {
	g := &gate{wake: make(chan struct{})}
	g.passed(1)
	for device := range int64(streakMax) {
		if g.asks() {
			t.Fatalf("the account is doubted after %d rejections in a row, want %d", device, streakMax)
		}
		g.judge(said{verdict: accepted, device: 100 + device, number: 2, in: true})
		g.judge(said{verdict: rejected, device: device, number: 10 + int(device)})
	}
	if !g.asks() {
		t.Errorf("%d devices in a row reject the account, and it is not doubted", streakMax)
	}
	g.judge(said{verdict: accepted, device: 200, number: 3, in: true})
	if !g.asks() {
		t.Error("a session that was let in before ended the doubt")
	}
	g.passed(20)
	if g.asks() {
		t.Error("a new login was accepted, and the account is still doubted")
	}
}

// A password that was taken back may still have been sent to a slow device: that it
// lets the login in late does not begin the count of rejections anew.
func TestALoginFromBeforeDoesNotProveThePassword(t *testing.T) {
	g := &gate{wake: make(chan struct{})}
	g.passed(1)
	for n := range streakMax {
		g.passed(2) // it went out before all that were rejected
		g.judge(said{verdict: rejected, device: int64(n), number: 3 + n})
	}
	if !g.asks() {
		t.Errorf("%d devices in a row reject the account, and it is not doubted", streakMax)
	}
	g.passed(2)
	if !g.asks() {
		t.Error("a login from before the rejections ended the doubt")
	}
}

// A slow login that is let in between two rejections shows that these are the two
// devices' own matter.
func TestALoginBetweenTwoRejectionsKeepsTheCredential(t *testing.T) {
	g := &gate{wake: make(chan struct{})}
	g.judge(said{verdict: rejected, device: 2, number: 2, alone: true}) // login 1 was silent too long to be waited for
	g.passed(1)
	if stop, _ := g.judge(said{verdict: rejected, device: 3, number: 3, alone: true}); stop {
		t.Error("the credential is stopped, and a device accepted it between the two rejections")
	}
}

// Of new devices in a row that reject a credential some more are out when it comes
// into doubt: the login that goes out alone then decides, not they.
func TestNewDevicesInARowDoNotStopTheCredential(t *testing.T) {
	g := &gate{wake: make(chan struct{})}
	g.passed(1)
	for n := range streakMax + flightsPerCredential - 1 {
		if stop, _ := g.judge(said{verdict: rejected, device: int64(10 + n), number: 2 + n}); stop {
			t.Fatalf("stopped by rejection %d of a new device, before the login that is to decide went out", n+1)
		}
	}
	if !g.asks() {
		t.Error("the credential is not in doubt")
	}
	if stop, _ := g.judge(said{verdict: rejected, device: 99, number: 99, alone: true}); !stop {
		t.Error("the login that was to decide was rejected, and the credential is not stopped")
	}
}

// delayed makes a device take its time for the verdict.
func (b *bench) delayed(took func(device string) time.Duration) {
	b.a.open = func(ctx context.Context, tg collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
		if err := o.MayLogIn(ctx); err != nil {
			return opened{}, err
		}
		time.Sleep(took(tg.Device))
		o.MayLogIn = nil
		s, err := b.open(ctx, tg, d, o)
		if err == nil {
			o.Progress(collector.StepPrompt, "")
		}
		return s, err
	}
}

// A new site of eight devices with an account of their own does not cost all others
// the night, also where they reject faster than the others accept.
func TestANewSiteDoesNotStopTheCredentialOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("noc", "right")
		ofSite := func(device string) bool { return strings.HasPrefix(device, "new") }
		b.accepts = func(device string, _ collector.Credential) bool { return !ofSite(device) }
		b.delayed(func(device string) time.Duration {
			if ofSite(device) {
				return 300 * time.Millisecond
			}
			return 800 * time.Millisecond
		})
		works := func(d *Device) { d.SSHCredential, d.SSHMethod = "noc", "password" }
		var all []Device
		for i := range 128 {
			if 20 <= i && i < 28 {
				all = append(all, b.device(fmt.Sprint("new", i), nil))
			} else {
				all = append(all, b.device(fmt.Sprint("sw", i), works))
			}
		}
		run, slots := b.a.Begin(), make(chan bool, 20)
		var mu sync.Mutex
		var group sync.WaitGroup
		good := 0
		for _, d := range all {
			slots <- true
			group.Go(func() {
				err := b.try(run, d)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				}
				<-slots
			})
			time.Sleep(time.Millisecond) // in order
		}
		group.Wait()
		if good != 120 {
			t.Errorf("%d devices let muster in, want 120", good)
		}
	})
}

// A password that changes after a first doubt about it was over touches as few devices
// as one that changes without: who waited looks again.
func TestASecondDoubtHoldsBackAsTheFirstDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("noc", "right")
		changed := time.Now().Add(4500 * time.Millisecond)
		b.accepts = func(device string, _ collector.Credential) bool {
			return time.Now().Before(changed) && device != "d1"
		}
		b.delayed(func(string) time.Duration { return 900 * time.Millisecond })
		works := func(d *Device) { d.SSHCredential, d.SSHMethod = "noc", "password" }
		run := b.a.Begin()
		if err := b.try(run, b.device("d0", works)); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 40 {
			d := b.device(fmt.Sprint("d", i+1), works)
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond) // in order
				_ = b.try(run, d)
			})
		}
		group.Wait()
		if n := len(b.rejected); n < 3 || n > 1+2+flightsPerCredential {
			t.Errorf("%d devices rejected the password, want d1 and at most %d more", n, 2+flightsPerCredential)
		}
	})
}

// Devices that take long to show their key are connected to one after the other. The
// one login that all wait for is alone when its password goes out, and none goes out
// after the credential was stopped.
func TestSlowKeyExchangesDoNotSendAStoppedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("noc", "wrong")
		b.accepts = func(string, collector.Credential) bool { return false }
		b.a.open = func(ctx context.Context, tg collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
			time.Sleep(18 * time.Second)
			return b.open(ctx, tg, d, o)
		}
		run := b.a.Begin()
		var group sync.WaitGroup
		for i := range 40 {
			d := b.device(fmt.Sprint("d", i), nil)
			group.Go(func() { _ = b.try(run, d) })
		}
		group.Wait()
		if n := len(b.rejected); n != 2 {
			t.Errorf("%d devices rejected the password, want 2", n)
		}
		if n := b.m.count(EventCredentialStopped); n != 1 {
			t.Errorf("%d events credential-stopped, want 1", n)
		}
	})
}

// Nor does it wait for those that are only being connected to: a run over many slow
// devices would else give each of them its turn before the first password goes out.
func TestSlowKeyExchangesKeepNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.credential("noc", "right")
		b.a.open = func(ctx context.Context, tg collector.Target, d cli.Dialogue, o cli.Options) (opened, error) {
			time.Sleep(5 * time.Second)
			s, err := b.open(ctx, tg, d, o)
			if err == nil {
				o.Progress(collector.StepPrompt, "")
			}
			return s, err
		}
		run, begun := b.a.Begin(), time.Now()
		var group sync.WaitGroup
		for i := range 200 {
			d := b.device(fmt.Sprint("d", i), nil)
			group.Go(func() {
				if err := b.try(run, d); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("200 devices that show their key after 5 s took %s", took)
		}
	})
}
