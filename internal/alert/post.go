package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/collector"
	"muster/internal/secret"
)

// poster posts JSON to one address. Redirects are not followed: what was meant
// for one place goes to no other.
type poster struct {
	name   string
	url    *url.URL
	hide   []secret.Value // masked in what is told of answers
	now    func() time.Time
	client *http.Client
}

// newPoster takes an http or https address, which its errors never quote.
func newPoster(name, address string, roots *x509.CertPool, now func() time.Time) (*poster, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("receiver %s: its url cannot be read. Write https://HOST/PATH", name)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("receiver %s: its url is no http or https address. Write https://HOST/PATH", name)
	}
	if now == nil {
		now = time.Now
	}
	return &poster{name: name, url: u, now: now, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			DisableKeepAlives:      true, // one message now and then: nothing to keep open
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}, nil
}

// ChatOptions tunes a receiver that posts to a chat. The zero value is right for
// use.
type ChatOptions struct {
	Roots *x509.CertPool   // who may sign the server's certificate; nil: the system's
	Now   func() time.Time // nil: time.Now
}

// newChat makes a poster to a chat's webhook. Whoever has its address can write
// there, so it is a secret and goes over TLS; plain http is for this machine only.
func newChat(name, chat string, address secret.Value, o ChatOptions) (*poster, error) {
	p, err := newPoster(name, strings.TrimSpace(address.Reveal()), o.Roots, o.Now)
	if err != nil {
		return nil, fmt.Errorf("%w, and store the address that %s shows: muster secret set NAME", err, chat)
	}
	if p.url.Scheme != "https" && !loopback(p.url.Hostname()) {
		return nil, fmt.Errorf("receiver %s: its url begins with http:, and would be read on the way. Store the https address that %s shows: muster secret set NAME", name, chat)
	}
	p.hide = []secret.Value{address, secret.New(strings.TrimPrefix(p.url.EscapedPath(), "/")), secret.New(p.url.RawQuery)}
	parts := strings.Split(p.url.Path, "/")
	for _, values := range p.url.Query() {
		parts = append(parts, values...)
	}
	for _, part := range parts { // an answer may tell them one by one
		if len(part) >= keyLength {
			p.hide = append(p.hide, secret.New(part))
		}
	}
	return p, nil
}

// keyLength is from which length on a part of an address is taken for a key, in
// bytes: shorter ones are words like "services" and "manual".
const keyLength = 12

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Name is the receiver's name in the settings.
func (p *poster) Name() string { return p.name }

// answerMax is how much of an answer is read, in bytes; it is only for the error.
const answerMax = 4 << 10

// post sends one body; any 2xx takes it. A receiver that is busy (429, 503) and
// says until when gets its wait.
func (p *poster) post(ctx context.Context, m Message, body []byte, more http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url.String(), bytes.NewReader(body))
	if err != nil {
		return p.fail(err)
	}
	for key, values := range more {
		req.Header[key] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "muster")
	req.Header.Set(HeaderDelivery, m.ID)
	req.Header.Set(HeaderEvent, m.Event)
	resp, err := p.client.Do(req)
	if err != nil {
		return p.fail(err)
	}
	defer func() { _ = resp.Body.Close() }() // the status says whether it was taken
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("receiver %s: %s answered %s and points elsewhere, which is not followed. Set its url to the new place", p.name, p.url.Host, resp.Status)
	}
	err = fmt.Errorf("receiver %s: %s answered %s: %q", p.name, p.url.Host, collector.Escape(resp.Status), collector.Seen(answer, p.hide...))
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if wait := retryAfter(resp.Header.Get("Retry-After"), p.now()); wait > 0 {
			return &busyError{err, wait}
		}
	}
	return err
}

// fail makes an error that names the host only: paths of webhooks are secrets.
func (p *poster) fail(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("receiver %s: post to %s: %w%s", p.name, p.url.Host, err, mendCertificate(err))
}

// mendCertificate says what to do about a certificate that is not trusted; it is
// never a switch that stops looking at it.
func mendCertificate(err error) string {
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) {
		return ""
	}
	var wrongHost x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &wrongHost):
		return ". Write the name that its certificate is for, or renew it there"
	case errors.As(err, &unknown):
		return ". Let the server send its whole chain, or add its authority to those of this machine (or to the file that SSL_CERT_FILE names)"
	}
	return ". Renew it there"
}

// busyError is a refusal with the time for which the receiver wants to be left
// alone.
type busyError struct {
	cause error
	wait  time.Duration
}

func (e *busyError) Error() string { return e.cause.Error() + "; it asks to wait " + span(e.wait) }
func (e *busyError) Unwrap() error { return e.cause }

// busyMax is the longest wait that a receiver may ask for: one that answers
// nonsense must not keep its messages for days.
const busyMax = time.Hour

// retryAfter reads the header of that name: seconds, or a date (RFC 9110 §10.2.3);
// 0: it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	var wait time.Duration
	if s, err := strconv.ParseUint(strings.TrimSpace(header), 10, 31); err == nil {
		wait = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(header); err == nil {
		wait = t.Sub(now)
	}
	return min(max(wait, 0), busyMax)
}

// asked is the wait that an error of a receiver brings, 0 where it brings none.
func asked(err error) time.Duration {
	var b *busyError
	if errors.As(err, &b) {
		return b.wait
	}
	return 0
}

// toJSON writes a chat's message. Escapes for HTML (\u003c) would cost up to five
// times the size, and nobody reads it as HTML.
func toJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// lineMax is where a line that goes to a chat is broken, in runes.
const lineMax = 500

// linesOf are the lines of a text, without control characters, long ones broken.
func linesOf(text string) (all []string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		r := []rune(collector.Escape(line))
		for len(r) > lineMax {
			all, r = append(all, string(r[:lineMax])), r[lineMax:]
		}
		all = append(all, string(r))
	}
	return all
}
