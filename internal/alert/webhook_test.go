package alert

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/secret"
	"muster/inventory"
)

// hook is a webhook's server: it answers with status and keeps what it was sent.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []request
}

type request struct {
	header http.Header
	body   []byte
}

func newHook(t *testing.T, encrypted bool) *hook {
	h := &hook{status: http.StatusNoContent}
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, request{r.Header.Clone(), body})
		if h.status >= 300 && h.status < 400 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(h.status)
		if h.status >= 400 {
			_, _ = io.WriteString(w, strings.Repeat("no\x1b[31m ", 100_000)) // more than anybody wants to read
		}
	})
	if encrypted {
		h.Server = httptest.NewTLSServer(serve)
	} else {
		h.Server = httptest.NewServer(serve)
	}
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answers(status int) { h.mu.Lock(); defer h.mu.Unlock(); h.status = status }

func (h *hook) requests() []request { h.mu.Lock(); defer h.mu.Unlock(); return h.got }

func testMessage() Message {
	a := &Alert{ID: 7, Kind: Unreachable, Subject: "edge-r1", Devices: []string{"edge-r1"}, State: Firing, OpenedAt: night, Message: "edge-r1 does not answer"}
	return messageOf("DELIVERY1", MessageFiring, a, night)
}

func TestWebhookSendsSignedJSONWithItsDeliveryID(t *testing.T) {
	for name, encrypted := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t, encrypted)
			o := WebhookOptions{Key: secret.New("signing-key"), Now: func() time.Time { return night }}
			if encrypted {
				o.Roots = x509.NewCertPool()
				o.Roots.AddCert(h.Certificate())
			}
			w, err := NewWebhook("ops", h.URL+"/muster", o)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Deliver(t.Context(), testMessage()); err != nil {
				t.Fatal(err)
			}
			r := h.requests()[0]
			var m Message
			if err := json.Unmarshal(r.body, &m); err != nil {
				t.Fatal(err)
			}
			if m.ID != "DELIVERY1" || m.Event != MessageFiring || len(m.Alerts) != 1 || m.Alerts[0].ID != 7 || m.Alerts[0].Devices[0] != "edge-r1" {
				t.Errorf("body = %s", r.body)
			}
			if r.header.Get(HeaderDelivery) != "DELIVERY1" || r.header.Get(HeaderEvent) != MessageFiring || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers = %v", r.header)
			}
			sig := r.header.Get(HeaderSignature)
			checks := map[string]struct {
				key  string
				body []byte
				now  time.Time
				want bool
			}{
				"as it was sent": {"signing-key", r.body, night, true},
				"another key":    {"other", r.body, night, false},
				"another body":   {"signing-key", bytes.Replace(r.body, []byte("edge"), []byte("core"), 1), night, false},
				"replayed later": {"signing-key", r.body, night.Add(10 * time.Minute), false},
			}
			for name, c := range checks {
				if got := Verify(secret.New(c.key), sig, c.body, c.now, 5*time.Minute); got != c.want {
					t.Errorf("%s: Verify = %t, want %t", name, got, c.want)
				}
			}
			if strings.Contains(string(r.body)+sig, "signing-key") {
				t.Error("the key went out")
			}
		})
	}
}

func TestWebhookWithoutAKeyIsNotSigned(t *testing.T) {
	h := newHook(t, false)
	w, err := NewWebhook("ops", h.URL, WebhookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Deliver(t.Context(), testMessage()); err != nil {
		t.Fatal(err)
	}
	if sig := h.requests()[0].header.Get(HeaderSignature); sig != "" {
		t.Errorf("signature = %q, want none", sig)
	}
}

func TestWebhookThatIsNotTakenSaysWhyWithoutItsPath(t *testing.T) {
	tests := map[string]struct {
		status int
		says   string
	}{
		"server fault":       {500, "answered 500"},
		"not found":          {404, "answered 404"},
		"redirect":           {302, "not followed"},
		"permanent redirect": {308, "not followed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHook(t, false)
			h.answers(tt.status)
			w, err := NewWebhook("ops", h.URL+"/token-in-the-path", WebhookOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = w.Deliver(t.Context(), testMessage())
			if err == nil || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("Deliver = %v, want %q, short and escaped", err, tt.says)
			}
			if strings.Contains(err.Error(), "token-in-the-path") {
				t.Errorf("%v names the path", err)
			}
			if n := len(h.requests()); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
	w, err := NewWebhook("ops", "http://127.0.0.1:1/token-in-the-path", WebhookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Deliver(t.Context(), testMessage()); err == nil || strings.Contains(err.Error(), "token-in-the-path") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("Deliver to nobody = %v, want host and no path", err)
	}
}

func TestWebhookOfAnUnknownAuthorityIsRefused(t *testing.T) {
	h := newHook(t, true)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the handshake that we break off
	w, err := NewWebhook("ops", h.URL, WebhookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Deliver(t.Context(), testMessage()); err == nil || len(h.requests()) != 0 {
		t.Errorf("Deliver = %v with %d requests, want an error and none", err, len(h.requests()))
	}
}

func TestFaultyWebhookAddressesAreRefused(t *testing.T) {
	for _, address := range []string{"", "hooks.example.net", "ftp://hooks.example.net", "https://", "https://user:pa ss@x/%zz"} {
		_, err := NewWebhook("ops", address, WebhookOptions{})
		if err == nil || !strings.Contains(err.Error(), "https://HOST/PATH") || strings.Contains(err.Error(), "pa ss") {
			t.Errorf("NewWebhook(%q) = %v, want the mend and no password", address, err)
		}
	}
}

// waitFor waits until a state is reached; a minute is for ever.
func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func TestWebhookThatFailsAndRecoversGetsEachMessageWithOneID(t *testing.T) {
	h := newHook(t, false)
	h.answers(http.StatusInternalServerError)
	w, err := NewWebhook("ops", h.URL, WebhookOptions{Key: secret.New("k")})
	if err != nil {
		t.Fatal(err)
	}
	s := newMemStore()
	a := New(s, Options{Log: slog.New(slog.DiscardHandler), Backoff: 5 * time.Millisecond})
	if err := a.Set([]Route{{Kinds: []Kind{HostKeyChanged}, To: []string{"ops"}}}, []Receiver{w}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended atomic.Bool
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx); ended.Store(true) }()
	s.happens(event(inventory.EventHostKeyChanged, map[string]any{"shown": "SHA256:b"}))
	waitFor(t, "three attempts", func() bool { return len(h.requests()) >= 3 })
	h.answers(http.StatusOK)
	waitFor(t, "an empty outbox", func() bool { left, _ := s.Outbox(ctx, 1); return len(left) == 0 })
	cancel()
	<-done
	ids := map[string]bool{}
	for _, r := range h.requests() {
		ids[r.header.Get(HeaderDelivery)] = true
	}
	if len(ids) != 1 {
		t.Errorf("attempts carry ids %v, want one", ids)
	}
}
