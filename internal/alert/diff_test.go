package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muster/backup"
	"muster/inventory"
)

func TestDiffInAMessageIsBoundedAndFitToBeShown(t *testing.T) {
	tests := map[string]struct {
		written []string
		want    string
		more    int
	}{
		"lines":                       {[]string{"--- a\tx\n+++ b\n", "+interface Gi1\n"}, "--- a    x\n+++ b\n+interface Gi1\n", 0},
		"written in pieces":           {[]string{"+inter", "face", "\n", "-x\n"}, "+interface\n-x\n", 0},
		"without a last line end":     {[]string{"+a\n-b"}, "+a\n-b\n", 0},
		"line ends of two characters": {[]string{"+a\r\n"}, "+a\n", 0},
		"control characters":          {[]string{"+banner \x1b[2J\u202e\n"}, "+banner \\x1b[2J\\u202e\n", 0},
		"a token of the store":        {[]string{"+secret ‹sec", "ret 3f9a21c4›\n"}, "+secret ‹secret›\n", 0},
		"many lines":                  {[]string{strings.Repeat("+a\n", diffLines+40)}, strings.Repeat("+a\n", diffLines), 40},
		"an endless line":             {[]string{"+" + strings.Repeat("ü", 5000) + "\n"}, "+" + strings.Repeat("ü", diffWidth-2) + "…\n", 0},
		"nothing":                     {nil, "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var w diffText
			for _, p := range tt.written {
				if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
			}
			w.end()
			if w.text.String() != tt.want || w.more != tt.more {
				t.Errorf("kept %q and %d more, want %q and %d", w.text.String(), w.more, tt.want, tt.more)
			}
		})
	}
}

func (h *house) drifts(kind string, closed bool, ns ...int) {
	for _, n := range ns {
		h.on(n, inventory.EventDrift, backup.Drift{Kind: backup.DriftKind(kind), Group: "x", Closed: closed, LinesAdded: 1})
	}
}

func TestDiffGoesToReceiversThatWantItAndNowhereElse(t *testing.T) {
	for _, kind := range []Kind{Changed, Unsaved, OffBaseline} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chat, mail := &inbox{name: "chat"}, &inbox{name: "mail"}
				var asked []string
				h := newHouse(t, 5, Options{Diff: func(_ context.Context, w io.Writer, k Kind, device int64) error {
					asked = append(asked, fmt.Sprintf("%s of %d", k, device))
					_, err := io.WriteString(w, "-no ip http server\n+ip http server\n")
					return err
				}})
				h.run(to("chat", "mail"), WithDiff(chat), mail)
				h.drifts(string(kind), false, 2, 3)
				after(3 * time.Hour)
				h.goes(inventory.StateDown, 1)
				after(time.Minute)
				h.drifts(string(kind), true, 2, 3)
				after(time.Minute)
				h.end()
				want := fmt.Sprintf("%s: 2 devices; unreachable: d1; resolved: %s: 2 devices", kind, kind)
				if chat.subjects() != want || mail.subjects() != want {
					t.Fatalf("arrived: %s; %s, want %s at both", chat.subjects(), mail.subjects(), want)
				}
				for i, m := range chat.got {
					if (m.Diff != nil) != (i == 0) {
						t.Errorf("%s has the diff %v, want one with the first only", m.Subject, m.Diff)
					}
				}
				if d := chat.got[0].Diff; d == nil || *d != (Diff{Device: "d2", Text: "-no ip http server\n+ip http server\n", Others: 1, Kind: kind}) {
					t.Errorf("diff = %+v", d)
				}
				for _, m := range mail.got {
					if m.Diff != nil {
						t.Errorf("%s has a diff, and its receiver wants none", m.Subject)
					}
				}
				if got := strings.Join(asked, ", "); got != fmt.Sprintf("%s of 2", kind) {
					t.Errorf("asked for the diff of %s", got)
				}
				for _, d := range h.store.outbox {
					if strings.Contains(string(d.Body), "http server") {
						t.Errorf("the outbox keeps configuration: %s", d.Body)
					}
				}
			})
		})
	}
}

func TestMessageGoesWithoutADiffThatCannotBeMade(t *testing.T) {
	tests := map[string]func(context.Context, io.Writer) error{
		"an error": func(context.Context, io.Writer) error { return errors.New("no version") },
		"a panic":  func(context.Context, io.Writer) error { panic("nil map") },
		"nothing":  func(context.Context, io.Writer) error { return nil },
		"no end":   func(ctx context.Context, _ io.Writer) error { <-ctx.Done(); return context.Cause(ctx) },
		"half of it": func(_ context.Context, w io.Writer) error {
			_, _ = io.WriteString(w, "+a\n")
			return errors.New("closed")
		},
	}
	for name, diff := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chat := &inbox{name: "chat"}
				h := newHouse(t, 5, Options{Diff: func(ctx context.Context, w io.Writer, _ Kind, _ int64) error { return diff(ctx, w) }})
				h.run(to("chat"), WithDiff(chat))
				h.drifts("changed", false, 1)
				after(time.Minute)
				h.end()
				if got := chat.subjects(); got != "changed: d1" || chat.got[0].Diff != nil || chat.seen != 1 {
					t.Errorf("arrived: %s in %d attempts, want it once and without a diff", got, chat.seen)
				}
			})
		})
	}
}

func TestDiffOfWhatIsOverIsNotShownLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := &inbox{name: "chat", down: true}
		h := newHouse(t, 5, Options{Diff: func(_ context.Context, w io.Writer, _ Kind, _ int64) error {
			_, err := io.WriteString(w, "+of another change\n")
			return err
		}})
		h.run(to("chat"), WithDiff(chat))
		h.drifts("changed", false, 1)
		after(time.Minute)
		h.drifts("changed", true, 1)
		after(time.Minute)
		chat.set(false)
		after(time.Hour)
		h.end()
		if got := chat.subjects(); got != "changed: d1; resolved: changed: d1" || chat.got[0].Diff != nil {
			t.Errorf("arrived: %s, the first with %+v", got, chat.got[0].Diff)
		}
	})
}

func TestDiffIsShownByEachKindOfReceiver(t *testing.T) {
	a := &Alert{ID: 7, Kind: OffBaseline, Subject: "x", Devices: []string{"edge-r1", "edge-r2"}, State: Firing, Message: "they are off the baseline"}
	m := messageOf("DELIVERY1", MessageFiring, a, night)
	m.Diff = &Diff{Device: "edge-r1", Text: "--- a\n+++ b\n-no shutdown\n+shutdown ```<!channel>\n", More: 3, Others: 1, Kind: OffBaseline}
	slack, err := toJSON(slackMessage(m))
	if err != nil {
		t.Fatal(err)
	}
	card, err := teamsMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	teams, err := toJSON(card)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEmail("mail", EmailOptions{Server: "mail.example.net:587", From: "muster@example.net", To: []string{"noc@example.net"}})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := e.compose(m)
	if err != nil {
		t.Fatal(err)
	}
	var mail strings.Builder
	if _, err := msg.WriteTo(&mail); err != nil {
		t.Fatal(err)
	}
	const rest = "and 3 more lines: muster config diff edge-r1 --baseline"
	tests := map[string]struct {
		got  string
		want []string
	}{
		"slack":   {string(slack), []string{"What differs on edge-r1 (and 1 more with the same change):", `"type":"mrkdwn","text":"` + "```" + `\n--- a\n+++ b\n-no shutdown\n+shutdown ˋˋˋ&lt;!channel&gt;\n` + "```" + `","verbatim":true`, rest}},
		"teams":   {string(teams), []string{"What differs on edge-r1", `"text":"-no shutdown","color":"Attention","fontType":"Monospace"`, `"text":"+shutdown ` + "```" + `<!channel>","color":"Good"`, rest}},
		"webhook": {string(hook), []string{`"diff":{"device":"edge-r1","text":"--- a\n+++ b\n-no shutdown`, `"more":3,"others":1,"kind":"off-baseline"`}},
		"email":   {strings.ReplaceAll(mail.String(), "=\r\n", ""), []string{"What differs on edge-r1", "-no shutdown", "and 3 more lines"}},
	}
	for name, tt := range tests {
		for _, want := range tt.want {
			if !strings.Contains(tt.got, want) {
				t.Errorf("%s does not show %q:\n%s", name, want, tt.got)
			}
		}
	}
}
