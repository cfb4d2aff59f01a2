package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

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
	*poster
	o WebhookOptions
}

// NewWebhook makes a receiver that posts to an http or https address.
func NewWebhook(name, address string, o WebhookOptions) (*Webhook, error) {
	p, err := newPoster(name, address, o.Roots, o.Now)
	if err != nil {
		return nil, err
	}
	p.hide = []secret.Value{o.Key}
	return &Webhook{p, o}, nil
}

// Deliver posts the message; any 2xx takes it.
func (w *Webhook) Deliver(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	more := http.Header{}
	if !w.o.Key.Empty() {
		more.Set(HeaderSignature, Sign(w.o.Key, w.now(), body))
	}
	return w.post(ctx, m, body, more)
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
