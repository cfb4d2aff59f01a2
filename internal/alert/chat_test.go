package alert

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"muster/internal/secret"
	"muster/inventory"
)

// chats makes a receiver of each kind of chat.
var chats = map[string]func(name string, address secret.Value, o ChatOptions) (Receiver, error){
	"slack": func(name string, a secret.Value, o ChatOptions) (Receiver, error) { return NewSlack(name, a, o) },
	"teams": func(name string, a secret.Value, o ChatOptions) (Receiver, error) { return NewTeams(name, a, o) },
}

// hostile is what a device may call itself.
const hostile = "<!channel> & <https://evil.example|login> *b* `c` [x](https://evil.example) <at>all</at> :joy: \x1b[2J"

// largeMessage tells of many devices with such names.
func largeMessage(n int, name string) Message {
	a := &Alert{ID: 7, Kind: Unreachable, Subject: name, State: Firing, Message: "they do not answer"}
	for i := range n {
		a.Devices = append(a.Devices, fmt.Sprintf("%s %d", name, i))
	}
	return messageOf("DELIVERY1", MessageFiring, a, night)
}

func TestChatsAreSentWhatTheyTake(t *testing.T) {
	wants := map[string][]string{
		"slack": {`"text":"[muster] unreachable: edge-r1"`, `"type":"header"`, `"text":"edge-r1 does not answer\n\nAlert 7, unreachable. See: muster alert list"`, "firing, delivery DELIVERY1", `"mrkdwn":false`},
		"teams": {`"type":"message"`, `"contentType":"application/vnd.microsoft.card.adaptive","contentUrl":null`, `"type":"AdaptiveCard","version":"1.4"`, `"text":"edge-r1 does not answer"`, "firing, delivery DELIVERY1"},
	}
	for kind, open := range chats {
		t.Run(kind, func(t *testing.T) {
			h := newHook(t, true)
			roots := x509.NewCertPool()
			roots.AddCert(h.Certificate())
			r, err := open("ops", secret.New(h.URL+"/services/T0/B0/FAKE\n"), ChatOptions{Roots: roots})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Deliver(t.Context(), testMessage()); err != nil {
				t.Fatal(err)
			}
			got := h.requests()[0]
			if !json.Valid(got.body) || got.header.Get("Content-Type") != "application/json" || got.header.Get(HeaderDelivery) != "DELIVERY1" {
				t.Errorf("sent %v\n%s", got.header, got.body)
			}
			for _, want := range wants[kind] {
				if !strings.Contains(string(got.body), want) {
					t.Errorf("body has no %s:\n%s", want, got.body)
				}
			}
		})
	}
}

// slackLimits says what Slack would refuse a payload for.
func slackLimits(p slackPayload) error {
	length := func(s string) int { return len(utf16.Encode([]rune(s))) }
	if len(p.Blocks) > 50 || p.Text == "" {
		return fmt.Errorf("%d blocks, text %q", len(p.Blocks), p.Text)
	}
	whole := 0
	for _, b := range p.Blocks {
		texts := b.Elements
		if b.Text != nil {
			texts = append(texts, *b.Text)
		}
		for _, text := range texts {
			most := 3000
			if b.Type == "header" {
				most = 150
			}
			n := length(text.Text)
			whole += n
			if n < 1 || n > most {
				return fmt.Errorf("a %s has %d characters", b.Type, n)
			}
			if inner, boxed := strings.CutPrefix(text.Text, "```\n"); boxed && text.Type == "mrkdwn" {
				if inner, boxed = strings.CutSuffix(inner, "\n```"); !boxed || strings.Contains(inner, "```") {
					return fmt.Errorf("a box that ends early: %q", text.Text)
				}
			} else if text.Type != "plain_text" {
				return fmt.Errorf("markup outside a box: %q", text.Text)
			}
			bare := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(text.Text)
			if strings.ContainsAny(bare, "<>&\x1b") {
				return fmt.Errorf("a %s is not escaped: %q", b.Type, text.Text)
			}
		}
	}
	if whole > 13_000 {
		return fmt.Errorf("%d characters in all blocks", whole)
	}
	return nil
}

func TestSlackMessagesAreEscapedAndWithinTheLimits(t *testing.T) {
	tests := map[string]Message{
		"hostile name":           largeMessage(1, hostile),
		"a thousand devices":     largeMessage(1000, "access-switch"),
		"a thousand hostile":     largeMessage(1000, hostile),
		"one endless line":       {Event: MessageDigest, ID: "X", Subject: strings.Repeat("&", 500), Text: strings.Repeat("&", 100_000)},
		"characters of 4 bytes":  {Event: MessageDigest, ID: "X", Subject: strings.Repeat("𝕏", 500), Text: strings.Repeat(strings.Repeat("𝕏", 700)+"\n", 50)},
		"nothing but line ends":  {Event: MessageDigest, ID: "X", Subject: "x", Text: "\n\n\n"},
		"with a diff":            withTestDiff(largeMessage(1, "edge-r1"), "-a\n+b\n"),
		"a diff like markup":     withTestDiff(largeMessage(1000, hostile), strings.Repeat("+```````<!channel>```\n", 60)),
		"a diff as wide as can":  withTestDiff(largeMessage(1000, hostile), strings.Repeat("+"+strings.Repeat("&", 199)+"\n", 60)),
		"a test":                 {Event: MessageTest, ID: "X", Subject: "[muster] test", Text: "This is a test: messages of muster arrive here.\n"},
		"text that is not UTF-8": {Event: MessageDigest, ID: "X", Subject: "\xff", Text: "\xff\x00\n"},
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			if err := slackLimits(slackMessage(m)); err != nil {
				t.Error(err)
			}
		})
	}
	p := slackMessage(largeMessage(1000, "access-switch"))
	if last := p.Blocks[len(p.Blocks)-2].Text.Text; !strings.Contains(last, "and 800 more") && !strings.Contains(last, "more lines") {
		t.Errorf("what was left out is not said: %q", last)
	}
}

// teamsLimits says what Teams would refuse a message for, or read as markup.
func teamsLimits(m Message) error {
	p, err := teamsMessage(m)
	if err != nil {
		return err
	}
	body, err := toJSON(p)
	if err != nil {
		return err
	}
	if len(body) > teamsMax {
		return fmt.Errorf("%d bytes", len(body))
	}
	lines := p.Attachments[0].Content.Body
	if len(lines) < 2 || !strings.Contains(string(lines[len(lines)-1]), "delivery "+m.ID) {
		return fmt.Errorf("%d lines, the last without the delivery", len(lines))
	}
	for _, line := range lines {
		var l teamsLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		if l.Type != "RichTextBlock" || len(l.Inlines) != 1 || l.Inlines[0].Type != "TextRun" || strings.Contains(l.Inlines[0].Text, "\x1b") {
			return fmt.Errorf("a line that could be markup: %s", line)
		}
	}
	return nil
}

func TestTeamsMessagesAreNoMarkupAndWithinTheLimit(t *testing.T) {
	tests := map[string]Message{
		"hostile name":          largeMessage(1, hostile),
		"a thousand devices":    largeMessage(1000, "access-switch"),
		"a thousand hostile":    largeMessage(1000, hostile),
		"one endless line":      {Event: MessageDigest, ID: "X", Subject: strings.Repeat(`"`, 5000), Text: strings.Repeat(`"`, 100_000)},
		"characters of 4 bytes": {Event: MessageDigest, ID: "X", Subject: strings.Repeat("𝕏", 5000), Text: strings.Repeat(strings.Repeat("𝕏", 700)+"\n", 50)},
		"with a diff":           withTestDiff(largeMessage(1, "edge-r1"), "-a\n+b\n"),
		"a diff as wide as can": withTestDiff(largeMessage(1000, hostile), strings.Repeat("+"+strings.Repeat("𝕏", 199)+"\n", 60)),
		"a test":                {Event: MessageTest, ID: "X", Subject: "[muster] test", Text: "This is a test: messages of muster arrive here.\n"},
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			if err := teamsLimits(m); err != nil {
				t.Error(err)
			}
		})
	}
	body, err := teamsMessage(largeMessage(1000, hostile))
	if err != nil {
		t.Fatal(err)
	}
	lines := body.Attachments[0].Content.Body
	if last := string(lines[len(lines)-2]); !strings.Contains(last, "more lines") {
		t.Errorf("what was left out is not said: %s", last)
	}
}

func withTestDiff(m Message, text string) Message {
	m.Diff = &Diff{Device: m.Alerts[0].Devices[0], Kind: Changed, Text: text, More: 7, Others: len(m.Alerts[0].Devices) - 1}
	return m
}

func FuzzChatMessages(f *testing.F) {
	f.Add("edge-r1", "edge-r1 does not answer\n\nDevices:\n  a\n")
	f.Add(hostile, strings.Repeat("&<>", 2000))
	f.Add("\xff\u202e", strings.Repeat("𝕏\x00", 1500))
	f.Fuzz(func(t *testing.T, subject, text string) {
		m := Message{ID: "X", Event: MessageFiring, Subject: "[muster] " + subject, Text: text, Diff: &Diff{Device: subject, Text: text + "\n"}}
		if err := slackLimits(slackMessage(m)); err != nil {
			t.Error("slack:", err)
		}
		if err := teamsLimits(m); err != nil {
			t.Error("teams:", err)
		}
	})
}

func TestAddressOfAChatIsKeptSecretAndEncrypted(t *testing.T) {
	for kind, open := range chats {
		for _, address := range []string{"", "hooks.example.net/FAKE-token", "http://hooks.example.net/FAKE-token", "ftp://127.0.0.1/FAKE-token", "https://u:FAKE-token@x/%zz"} {
			_, err := open("ops", secret.New(address), ChatOptions{})
			if err == nil || !strings.Contains(err.Error(), "muster secret set NAME") || strings.Contains(err.Error(), "FAKE-token") {
				t.Errorf("%s at %q = %v, want the mend and no address", kind, address, err)
			}
		}
		h := newHook(t, true)
		h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the handshake that we break off
		r, err := open("ops", secret.New(h.URL+"/FAKE-token?sig=FAKE-signature"), ChatOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Deliver(t.Context(), testMessage())
		if err == nil || len(h.requests()) != 0 || strings.Contains(err.Error(), "FAKE") {
			t.Errorf("%s with a certificate of an unknown authority = %v with %d requests, want an error without the path and none", kind, err, len(h.requests()))
		}
	}
}

func TestRefusalOfAChatShowsNoPartOfItsAddress(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "invalid_token: "+r.URL.String()+" sig "+r.URL.Query().Get("sig")+" of "+r.URL.Path[len("/services/T0/"):])
	}))
	t.Cleanup(server.Close)
	for kind, open := range chats {
		r, err := open("ops", secret.New(server.URL+"/services/T0/FAKE-token-0001?sig=FAKE%2Bsignature"), ChatOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Deliver(t.Context(), testMessage())
		if err == nil || !strings.Contains(err.Error(), "invalid_token") || strings.Contains(err.Error(), "FAKE") {
			t.Errorf("%s: %v, want what was said and no address", kind, err)
		}
	}
}

func TestWaitThatAReceiverAsksForIsReadFromItsAnswer(t *testing.T) {
	tests := map[string]struct {
		status int
		header string
		want   time.Duration
	}{
		"seconds":             {429, "30", 30 * time.Second},
		"a date":              {429, night.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		"closed for a while":  {503, "120", 2 * time.Minute},
		"days":                {429, "864000", time.Hour},
		"more than fits":      {429, "99999999999999999999", 0},
		"a date in the past":  {429, night.Add(-time.Hour).Format(http.TimeFormat), 0},
		"nothing":             {429, "", 0},
		"nonsense":            {429, "soon", 0},
		"of another refusal":  {400, "30", 0},
		"negative":            {429, "-5", 0},
		"a fraction":          {429, "1.5", 0},
		"seconds with spaces": {429, " 7 ", 7 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.header)
				w.WriteHeader(tt.status)
			}))
			defer server.Close()
			for kind, open := range chats {
				r, err := open("ops", secret.New(server.URL), ChatOptions{Now: func() time.Time { return night }})
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Deliver(t.Context(), testMessage()); err == nil || asked(fmt.Errorf("deliver: %w", err)) != tt.want {
					t.Errorf("%s: %v asks for %s, want %s", kind, err, asked(err), tt.want)
				}
			}
		})
	}
}

func TestReceiverThatAsksForAWaitIsLeftAloneForAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		ids := map[string]bool{}
		begun := time.Now()
		busy := pickyReceiver{func(m Message) error {
			at = append(at, time.Now())
			if time.Since(begun) < 6*time.Minute {
				return &busyError{errors.New("429"), 4 * time.Minute}
			}
			ids[m.ID] = true
			return nil
		}}
		h := newHouse(t, 3, Options{})
		h.run(to("picky"), busy)
		h.on(1, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"})
		after(time.Minute)
		h.on(2, inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"}) // the wait is the receiver's, not a message's
		after(time.Minute)
		if err := h.alerts.Set(to("picky"), []Receiver{busy}); err != nil { // a reload does not end it
			t.Fatal(err)
		}
		after(time.Hour)
		h.end()
		var waits []string
		for _, t := range at {
			waits = append(waits, t.Sub(begun).Truncate(time.Minute).String())
		}
		if got, want := strings.Join(waits, " "), "0s 4m0s 8m0s 8m0s"; got != want || len(ids) != 2 {
			t.Errorf("attempts at %s with %d taken, want %s and both", got, len(ids), want)
		}
	})
}

func TestChatIsTestedPastTheOutbox(t *testing.T) {
	for kind, open := range chats {
		h := newHook(t, false)
		r, err := open("ops", secret.New(h.URL+"/x"), ChatOptions{})
		if err != nil {
			t.Fatal(err)
		}
		a := New(newMemStore(), Options{})
		if err := a.Set(nil, []Receiver{r}); err != nil {
			t.Fatal(err)
		}
		if err := a.Test(context.Background(), "ops"); err != nil || len(h.requests()) != 1 || !strings.Contains(string(h.requests()[0].body), "messages of muster arrive here") {
			t.Errorf("%s: Test = %v with %d requests", kind, err, len(h.requests()))
		}
	}
}
