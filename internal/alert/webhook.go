package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/collector"
	"muster/internal/secret"
)

// Headers of a webhook.
const (
	// HeaderDelivery is the id of the message, the same on every attempt.
	HeaderDelivery = "Muster-Delivery"
	// HeaderEvent is the message's event.
	HeaderEvent = "Muster-Event"
	// HeaderSignature is "t=UNIX,v1=HEX": the time of the attempt in seconds, and
	// the HMAC-SHA-256 with the signing key over the time, a dot and the body.
	// See [Verify].
	HeaderSignature = "Muster-Signature"
)

// WebhookOptions tunes a webhook.
type WebhookOptions struct {
	Key   secret.Value     // signs each request; empty: requests are not signed
	Roots *x509.CertPool   // who may sign the server's certificate; nil: the system's
	Now   func() time.Time // nil: time.Now
}

// Webhook is a receiver that posts each message as JSON.
type Webhook struct {
	name   string
	url    *url.URL
	o      WebhookOptions
	client *http.Client
}

// NewWebhook makes a receiver that posts to an http or https address. Redirects
// are not followed: what was signed for one place goes to no other.
func NewWebhook(name, address string, o WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("receiver %s: its url cannot be read. Write https://HOST/PATH", name)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("receiver %s: its url is no http or https address. Write https://HOST/PATH", name)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Webhook{name: name, url: u, o: o, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			DisableKeepAlives:      true, // one message now and then: nothing to keep open
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}, nil
}

// Name is the receiver's name in the settings.
func (w *Webhook) Name() string { return w.name }

// answerMax is how much of an answer is read, in bytes; it is only for the error.
const answerMax = 4 << 10

// Deliver posts the message; any 2xx takes it.
func (w *Webhook) Deliver(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return w.fail(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "muster")
	req.Header.Set(HeaderDelivery, m.ID)
	req.Header.Set(HeaderEvent, m.Event)
	if !w.o.Key.Empty() {
		req.Header.Set(HeaderSignature, Sign(w.o.Key, w.o.Now(), body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return w.fail(err)
	}
	defer func() { _ = resp.Body.Close() }() // the status says whether it was taken
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("receiver %s: %s answered %s and points elsewhere, which is not followed. Set its url to the new place", w.name, w.url.Host, resp.Status)
	}
	return fmt.Errorf("receiver %s: %s answered %s: %q", w.name, w.url.Host, collector.Escape(resp.Status), collector.Seen(answer, w.o.Key))
}

// fail makes an error that names the host only: paths of webhooks are secrets.
func (w *Webhook) fail(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("receiver %s: post to %s: %w", w.name, w.url.Host, err)
}

// Sign makes the value of HeaderSignature.
func Sign(key secret.Value, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(key, t, body))
}

func mac(key secret.Value, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write([]byte(t))
	h.Write([]byte("."))
	h.Write(body)
	return h.Sum(nil)
}

// Verify reports whether a signature fits a body and is at most age old or early:
// what a receiver does. It is here so that there is one that is tested.
func Verify(key secret.Value, signature string, body []byte, now time.Time, age time.Duration) bool {
	t, v1, ok := strings.Cut(signature, ",v1=")
	t, timed := strings.CutPrefix(t, "t=")
	unix, err := strconv.ParseInt(t, 10, 64)
	sum, hexErr := hex.DecodeString(v1)
	if !ok || !timed || err != nil || hexErr != nil || now.Sub(time.Unix(unix, 0)).Abs() > age {
		return false
	}
	return hmac.Equal(sum, mac(key, t, body))
}
