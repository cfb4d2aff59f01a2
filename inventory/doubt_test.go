package inventory

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/collector"
)

// A run for each device (doctor, or a backup by name) sees no second device reject the
// credential. What was rejected is held against it over runs, also over a restart.
func TestRunsOfOneDeviceEachStopTheCredential(t *testing.T) {
	for name, begin := range map[string]func(*Access) *Run{"looks": (*Access).BeginLook, "runs": (*Access).Begin} {
		for _, worked := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, worked before %t", name, worked), func(t *testing.T) {
				b := newBench(t)
				b.credential("noc", "wrong")
				b.accepts = func(string, collector.Credential) bool { return false }
				for i := range 40 {
					if i%10 == 1 {
						b.a = b.access()
					}
					b.now = b.now.Add(30 * time.Second)
					_ = b.kind(begin(b.a), b.device(fmt.Sprint("sw", i), func(d *Device) {
						if worked {
							d.SSHCredential, d.SSHMethod = "noc", "password"
						}
					}))
				}
				most := 2 // and a stopped one is tried again a few times an hour
				if name == "runs" {
					most = triesAnHour
				}
				if len(b.logins) != most {
					t.Errorf("%d devices rejected the password, want %d", len(b.logins), most)
				}
				if n := b.m.count(EventCredentialStopped); n != 1 {
					t.Errorf("%d events credential-stopped, want 1", n)
				}
				b.accepts = func(string, collector.Credential) bool { return true }
				b.now = b.now.Add(time.Hour)
				if err := b.try(b.a.Begin(), b.device("later", nil)); err != nil {
					t.Errorf("an hour later: %v", err)
				}
				if n := b.m.count(EventCredentialWorks); n != 1 {
					t.Errorf("%d events credential-works, want 1", n)
				}
			})
		}
	}
}

// Nor does it help to begin all those runs at once, or to store another wrong secret.
func TestRunsBegunAtOnceStopTheCredential(t *testing.T) {
	for _, secrets := range [][]string{{"wrong"}, {"wrong", "wrong too"}} {
		b := newBench(t)
		b.accepts = func(string, collector.Credential) bool { return false }
		for n, secret := range secrets {
			b.credential("noc", secret)
			before := len(b.rejected)
			var group sync.WaitGroup
			for i := range 100 {
				d := b.device(fmt.Sprint("sw", n, "-", i), nil)
				group.Go(func() { _ = b.try(b.a.Begin(), d) })
			}
			group.Wait()
			if got := len(b.rejected) - before; got > triesAnHour+flightsPerCredential {
				t.Errorf("secret %d: %d devices rejected the password, want at most %d", n+1, got, triesAnHour+flightsPerCredential)
			}
		}
	}
}

// A login that is accepted, in whichever run, outweighs a rejection from before.
func TestALoginInAnotherRunEndsTheDoubt(t *testing.T) {
	b := newBench(t)
	b.credential("noc", "right")
	b.accepts = func(d string, _ collector.Credential) bool { return strings.HasPrefix(d, "good") }
	night := b.a.Begin()
	if err := b.try(night, b.device("good", nil)); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"bad1", "bad2", "bad3"} {
		if got := b.kind(b.a.Begin(), b.device(name, nil)); got != collector.ErrLoginRejected {
			t.Errorf("%s: kind %q, want login-rejected", name, got)
		}
		run := night
		if i == 1 {
			run = b.a.Begin()
		}
		if err := b.try(run, b.device("good-"+name, nil)); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if n := b.m.count(EventCredentialStopped); n != 0 {
		t.Errorf("%d events credential-stopped, want none", n)
	}
}

// A run that goes on while another stops the credential finds out by one login.
func TestAStopByAnotherRunIsSettledByOneLogin(t *testing.T) {
	for _, works := range []bool{true, false} {
		b := newBench(t)
		b.credential("noc", "right")
		b.accepts = func(d string, _ collector.Credential) bool { return d == "good" || works && d[0] == 'g' }
		night := b.a.Begin()
		if err := b.try(night, b.device("good", nil)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bad1", "bad2"} {
			_ = b.kind(b.a.Begin(), b.device(name, nil))
		}
		if n := b.m.count(EventCredentialStopped); n != 1 {
			t.Fatalf("%d events credential-stopped, want 1", n)
		}
		want := []collector.Kind{"", ""}
		if !works {
			want = []collector.Kind{collector.ErrLoginRejected, collector.ErrCredentialStopped}
		}
		for i, kind := range want {
			if got := b.kind(night, b.device(fmt.Sprint("g", i), nil)); got != kind {
				t.Errorf("works %t, device %d: kind %q, want %q", works, i, got, kind)
			}
		}
		if n := b.m.count(EventCredentialWorks); n != map[bool]int{true: 1}[works] {
			t.Errorf("works %t: %d events credential-works", works, n)
		}
	}
}
