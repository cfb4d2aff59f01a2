package alert

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"muster/internal/secret"
)

func email(t *testing.T, o EmailOptions) *Email {
	t.Helper()
	o.From, o.To, o.Hello = "muster@example.net", []string{"noc@example.net", "Second <b@example.net>"}, "collector"
	e, err := NewEmail("mail", o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// parsed reads a mail as its reader's program does.
func parsed(t *testing.T, text string) (head netmail.Header, subject, body string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	r := m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, subject, strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestMailArrivesAsPlainTextOverStartTLS(t *testing.T) {
	config, roots := testCertificate(t)
	s := newSink(t, sinkOptions{config: config, login: "muster hunter2"})
	e := email(t, EmailOptions{Server: s.addr(), User: "muster", Password: secret.New("hunter2"), Roots: roots})
	if err := e.Deliver(t.Context(), testMessage()); err != nil {
		t.Fatal(err)
	}
	got := s.taken()
	if len(got) != 1 || !got[0].encrypted || got[0].user != "muster" || len(got[0].to) != 2 {
		t.Fatalf("taken = %+v, want one, encrypted, logged in, for two", got)
	}
	head, subject, body := parsed(t, got[0].text)
	if subject != "[muster] unreachable: edge-r1" || !strings.HasPrefix(body, "edge-r1 does not answer\n") {
		t.Errorf("subject %q, body %q", subject, body)
	}
	if head.Get("Message-Id") != "<DELIVERY1@example.net>" || head.Get("Auto-Submitted") != "auto-generated" || !strings.HasPrefix(head.Get("Content-Type"), "text/plain") {
		t.Errorf("headers = %v", head)
	}
	if strings.Contains(got[0].text, "hunter2") {
		t.Error("the password is in the mail")
	}
}

func TestUnencryptedMailNeedsToBeAllowed(t *testing.T) {
	config, roots := testCertificate(t)
	tests := map[string]struct {
		offers    bool
		policy    StartTLS
		encrypted bool
		err       string
	}{
		"required and not offered":      {false, "", false, "does not support STARTTLS"},
		"required and offered":          {true, StartTLSRequired, true, ""},
		"opportunistic and not offered": {false, StartTLSOpportunistic, false, ""},
		"opportunistic and offered":     {true, StartTLSOpportunistic, true, ""},
		"none":                          {true, StartTLSNone, false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := sinkOptions{}
			if tt.offers {
				o.config = config
			}
			s := newSink(t, o)
			err := email(t, EmailOptions{Server: s.addr(), StartTLS: tt.policy, Roots: roots}).Deliver(t.Context(), testMessage())
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(s.taken()) != 0 {
					t.Errorf("Deliver = %v, %d taken, want %q and none", err, len(s.taken()), tt.err)
				}
				return
			}
			if got := s.taken(); err != nil || len(got) != 1 || got[0].encrypted != tt.encrypted {
				t.Errorf("Deliver = %v, taken %+v, want encrypted %t", err, got, tt.encrypted)
			}
		})
	}
}

func TestMailServerThatFailsIsAnErrorAndLeavesNothingOpen(t *testing.T) {
	config, roots := testCertificate(t)
	_, others := testCertificate(t)
	tests := map[string]struct {
		sink sinkOptions
		o    EmailOptions
		says string
	}{
		"sender refused":         {sinkOptions{refuse: "MAIL"}, EmailOptions{StartTLS: StartTLSOpportunistic}, "550"},
		"login rejected":         {sinkOptions{config: config, login: "muster other"}, EmailOptions{Roots: roots, User: "muster", Password: secret.New("hunter2")}, "535"},
		"no login offered":       {sinkOptions{config: config}, EmailOptions{Roots: roots, User: "muster", Password: secret.New("hunter2")}, "AUTH"},
		"recipient refused":      {sinkOptions{refuse: "RCPT"}, EmailOptions{StartTLS: StartTLSOpportunistic}, "550"},
		"text refused":           {sinkOptions{refuse: "DATA"}, EmailOptions{StartTLS: StartTLSOpportunistic}, "550"},
		"unknown authority":      {sinkOptions{config: config}, EmailOptions{Roots: others}, "certificate"},
		"frozen at the greeting": {sinkOptions{freeze: "EHLO"}, EmailOptions{StartTLS: StartTLSOpportunistic}, "deadline"},
		"frozen at the text":     {sinkOptions{freeze: "DATA"}, EmailOptions{StartTLS: StartTLSOpportunistic}, "deadline"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t, tt.sink)
			tt.o.Server = s.addr()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if tt.sink.freeze != "" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
			}
			defer cancel()
			err := email(t, tt.o).Deliver(ctx, testMessage())
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), s.addr()) {
				t.Errorf("Deliver = %v, want an error with %q and the server", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v carries the password", err)
			}
			if len(s.taken()) != 0 {
				t.Error("a mail was taken")
			}
			waitFor(t, "the connection's end", s.ended)
		})
	}
}

// One of the addresses is of somebody who has left.
func TestMailGoesToTheOthersWhereOneAddressIsRefused(t *testing.T) {
	tests := map[string]struct {
		sink  sinkOptions
		taken string // by whom
		some  bool
		says  string
	}{
		"for good":                     {sinkOptions{gone: "b@example.net"}, "TO:<noc@example.net>", true, "b@example.net>: 550 no such user"},
		"the first":                    {sinkOptions{gone: "noc@example.net"}, "TO:<b@example.net>", true, "noc@example.net>: 550 no such user"},
		"both":                         {sinkOptions{gone: "@example.net"}, "", false, "no such user"},
		"for now":                      {sinkOptions{later: "b@example.net"}, "", false, "greylisted"},
		"one for good and one for now": {sinkOptions{gone: "noc@example.net", later: "b@example.net"}, "", false, "greylisted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, tt.sink)
			err := email(t, EmailOptions{Server: s.addr(), StartTLS: StartTLSNone}).Deliver(t.Context(), testMessage())
			_, some := errors.AsType[*someError](err)
			if err == nil || some != tt.some || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), s.addr()) {
				t.Errorf("Deliver = %v, some have it: %t, want %t and %q", err, some, tt.some, tt.says)
			}
			if some && strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%q carries control characters", err)
			}
			var taken []string
			for _, m := range s.taken() {
				taken = append(taken, m.to...)
			}
			if got := strings.Join(taken, " "); got != tt.taken {
				t.Errorf("taken for %q, want %q", got, tt.taken)
			}
			waitFor(t, "the connection's end", s.ended)
		})
	}
}

func TestMailEndsAtOnceWithItsContext(t *testing.T) {
	for _, at := range []string{"EHLO", "MAIL", "DATA"} {
		t.Run("frozen at "+at, func(t *testing.T) {
			t.Parallel()
			s := newSink(t, sinkOptions{freeze: at})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan error, 1)
			begun := time.Now()
			go func() {
				result <- email(t, EmailOptions{Server: s.addr(), StartTLS: StartTLSNone}).Deliver(ctx, testMessage())
			}()
			waitFor(t, "the freeze", s.frozen)
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) || time.Since(begun) > 10*time.Second {
				t.Errorf("Deliver = %v after %s, want its context's end at once", err, time.Since(begun))
			}
			waitFor(t, "the connection's end", s.ended)
		})
	}
}

func TestServerThatFailsAfterTakingTheMailGetsItOnce(t *testing.T) {
	s := newSink(t, sinkOptions{refuse: "QUIT"})
	if err := email(t, EmailOptions{Server: s.addr(), StartTLS: StartTLSNone}).Deliver(t.Context(), testMessage()); err != nil {
		t.Errorf("Deliver = %v, want nil: it was taken", err)
	}
}

func TestDeviceTextCannotBecomeAHeader(t *testing.T) {
	s := newSink(t, sinkOptions{})
	a := &Alert{ID: 1, Kind: Changed, Subject: "x", State: Firing, OpenedAt: night,
		Devices: []string{"sw1\r\nBcc: evil@example.net\r\n\r\nhello"}, Message: "sw1 changed\r\n.\r\nMAIL FROM:<evil@example.net>\r\n"}
	m := messageOf("ID1", MessageFiring, a, night)
	m.Subject += "\r\nX-Injected: yes"
	if err := email(t, EmailOptions{Server: s.addr(), StartTLS: StartTLSNone}).Deliver(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := s.taken()
	if len(got) != 1 || len(got[0].to) != 2 {
		t.Fatalf("taken = %+v, want one for the two that the settings name", got)
	}
	head, subject, body := parsed(t, got[0].text)
	if head.Get("Bcc") != "" || head.Get("X-Injected") != "" || strings.ContainsAny(subject, "\r\n") {
		t.Errorf("headers = %v", head)
	}
	if !strings.Contains(body, "MAIL FROM:<evil@example.net>") {
		t.Errorf("body %q was cut at the dot", body)
	}
}

func TestFaultyMailSettingsAreRefused(t *testing.T) {
	good := EmailOptions{Server: "mail.example.net:587", From: "muster@example.net", To: []string{"noc@example.net"}}
	tests := map[string]struct {
		edit func(*EmailOptions)
		says string
	}{
		"no server":               {func(o *EmailOptions) { o.Server = "" }, "HOST:PORT"},
		"no port number":          {func(o *EmailOptions) { o.Server = "mail:smtp" }, "HOST:PORT"},
		"nobody to write to":      {func(o *EmailOptions) { o.To = nil }, "names nobody"},
		"no address":              {func(o *EmailOptions) { o.To = []string{"noc"} }, "NAME@DOMAIN"},
		"header in an address":    {func(o *EmailOptions) { o.From = "a@example.net\r\nBcc: b@example.net" }, "NAME@DOMAIN"},
		"unknown policy":          {func(o *EmailOptions) { o.StartTLS = "maybe" }, "opportunistic"},
		"password without cipher": {func(o *EmailOptions) { o.StartTLS, o.User = StartTLSNone, "muster" }, "unencrypted"},
	}
	if _, err := NewEmail("mail", good); err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good
			tt.edit(&o)
			if _, err := NewEmail("mail", o); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("NewEmail = %v, want %q", err, tt.says)
			}
		})
	}
}

func TestLogReceiverWritesALineAnAlert(t *testing.T) {
	var b strings.Builder
	l := NewLog("log", newTextLog(&b))
	if err := l.Deliver(t.Context(), testMessage()); err != nil {
		t.Fatal(err)
	}
	m := testMessage()
	m.Event, m.Alerts[0].State, m.Alerts[0].ResolvedAt = MessageResolved, Resolved, night
	if err := l.Deliver(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := l.Deliver(t.Context(), Message{Event: MessageTest, Subject: "[muster] test"}); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{`level=WARN msg="alert opened" kind=unreachable`, `level=INFO msg="alert resolved"`, `seen="[muster] test"`} {
		if !strings.Contains(got, want) {
			t.Errorf("log %q lacks %q", got, want)
		}
	}
}
