package alert

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

var update = flag.Bool("update", false, "rewrite what is wanted in testdata")

// The messages of all kinds, as a tired engineer reads them: testdata/messages.txt
// holds them, one alert and its end a paragraph.
func TestMessagesSayWhoWhatSinceWhenAndWhatToDo(t *testing.T) {
	s := newScene(t, 60)
	s.devices[58].State, s.devices[58].Behind = inventory.StateBehind, "d1"
	one := func(o backup.Outcome, k collector.Kind, step collector.Step, text string) inventory.Event {
		return s.on(1, inventory.EventBackup, backup.Result{Outcome: o, Kind: k, Step: step, Message: text})
	}
	drift := func(k backup.DriftKind, closed bool, ns ...int) (all []inventory.Event) {
		for _, n := range ns {
			all = append(all, s.on(n, inventory.EventDrift, backup.Drift{Kind: k, Since: s.at, Group: "3f9a21c4", LinesAdded: 12, LinesRemoved: 3, Closed: closed}))
		}
		return all
	}
	stopped := event(inventory.EventCredentialStopped, map[string]any{"devices": []string{"d1", "d2"}, "set": "muster secret set noc-password"})
	stopped.DeviceID, stopped.Device, stopped.Subject = 0, "", "noc"
	works := stopped
	works.Kind = inventory.EventCredentialWorks
	many := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}

	var b strings.Builder
	type evs = []inventory.Event
	play := func(title string, begin, end func() evs) {
		s.alerts = nil
		s.pass(begin()...)
		fmt.Fprintf(&b, "# %s\n", title)
		for _, a := range s.alerts {
			fmt.Fprintf(&b, "%s\n", a.Message)
		}
		s.later(3*time.Hour + 12*time.Minute).pass(end()...)
		for _, a := range s.alerts {
			if a.State == Resolved {
				fmt.Fprintf(&b, "%s\n", a.Message)
			}
		}
		b.WriteString("\n")
		s.at = night
		for i := range s.devices {
			if s.devices[i].State == inventory.StateDown {
				s.devices[i].State = inventory.StateUp
			}
		}
	}
	play("unreachable, with one behind it",
		func() evs { return s.goes(inventory.StateDown, 1) },
		func() evs { return s.goes(inventory.StateUp, 1) })
	play("unreachable, a site",
		func() evs { return s.goes(inventory.StateDown, many...) },
		func() evs { return s.goes(inventory.StateUp, many...) })
	play("login-rejected",
		func() evs { return evs{s.on(1, inventory.EventLoginRejected, map[string]string{"credential": "noc"})} },
		func() evs { return evs{s.on(1, inventory.EventLoginAccepted, nil)} })
	play("login-rejected, seen by a backup that says what to do",
		func() evs {
			return evs{one(backup.Failed, collector.ErrLoginRejected, collector.StepLogin, "d1 (192.0.2.1:22) at login: login rejected. Store the right password of credential noc (muster secret set), then run muster device retry d1")}
		},
		func() evs { return s.good(1) })
	play("credential-stopped",
		func() evs { return evs{stopped} },
		func() evs { return evs{works} })
	play("host-key-changed",
		func() evs {
			return evs{s.on(1, inventory.EventHostKeyChanged, map[string]any{"pinned": []string{"SHA256:aaaa"}, "shown": "SHA256:bbbb"})}
		},
		func() evs { return evs{s.on(1, inventory.EventHostKeyAccepted, nil)} })
	play("backup-failed",
		func() evs {
			return evs{one(backup.Failed, collector.ErrTimedOut, collector.StepOutput, `d1 (192.0.2.1:22) at output: timed out; the device said "interface Et1". Give it longer with muster device set d1 --timeout`)}
		},
		func() evs { return s.good(1) })
	play("backup-failed, many",
		func() evs { return s.fails(collector.ErrTimedOut, collector.StepOutput, many...) },
		func() evs { return s.good(many...) })
	play("quarantined",
		func() evs {
			return evs{one(backup.Quarantined, collector.ErrProofMissing, collector.StepJudge, "d1: the last line is not end")}
		},
		func() evs { return s.good(1) })
	play("quarantined, seen by a backup that says what to do",
		func() evs {
			return evs{one(backup.Quarantined, collector.ErrProofMissing, collector.StepJudge, "d1: the last line is not end. Look at it with muster config show d1 --quarantined, then muster config accept d1")}
		},
		func() evs { return s.good(1) })
	play("changed",
		func() evs { return drift(backup.DriftChanged, false, 1) },
		func() evs { return drift(backup.DriftChanged, true, 1) })
	play("changed, many",
		func() evs { return drift(backup.DriftChanged, false, many...) },
		func() evs { return drift(backup.DriftChanged, true, many...) })
	play("unsaved",
		func() evs { return drift(backup.DriftUnsaved, false, 1) },
		func() evs { return drift(backup.DriftUnsaved, true, 1) })
	play("pending",
		func() evs { return drift(backup.DriftPending, false, 1, 2) },
		func() evs { return drift(backup.DriftPending, true, 1, 2) })
	play("off-baseline",
		func() evs { return drift(backup.DriftOffBaseline, false, 1) },
		func() evs { return drift(backup.DriftOffBaseline, true, 1) })
	play("device-replaced",
		func() evs {
			return evs{s.on(1, inventory.EventDeviceReplaced, map[string]string{"old_serial": "FAKE1", "new_serial": "FAKE2"})}
		},
		func() evs { return nil })
	play("new-device",
		func() evs { return evs{s.on(1, inventory.EventDeviceNew, nil), s.on(2, inventory.EventDeviceNew, nil)} },
		func() evs { return nil })
	play("identity-clash",
		func() evs {
			return evs{s.on(1, inventory.EventIdentityClash, map[string]any{"identifier": "serial FAKE1", "devices": []string{"d1", "d2"}})}
		},
		func() evs { return nil })
	play("store-problem",
		func() evs {
			return evs{event(inventory.EventStore, map[string]string{"message": "no space left on device"})}
		},
		func() evs { return evs{event(inventory.EventStoreGood, nil)} })
	for i := range s.devices {
		s.devices[i].State = inventory.StateDown
	}
	play("collector-isolated",
		func() evs { return s.goes(inventory.StateDown, many...) },
		func() evs { return s.goes(inventory.StateUp, many...) })

	const file = "testdata/messages.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("messages (-want +got), rewritten by -update:\n%s", d)
	}
}
