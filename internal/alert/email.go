package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"muster/collector"
	"muster/internal/secret"
)

// StartTLS says whether mail may go out unencrypted.
type StartTLS string

// The values of `starttls:`.
const (
	StartTLSRequired      StartTLS = "required"      // the default
	StartTLSOpportunistic StartTLS = "opportunistic" // encrypted where the server offers it
	StartTLSNone          StartTLS = "none"
)

// EmailOptions says where mail goes.
type EmailOptions struct {
	Server   string         // host:port; without a port 587 (465: TLS from the first byte)
	From     string         // one address
	To       []string       // at least one
	StartTLS StartTLS       // empty: required
	User     string         // empty: no login. A password never goes out unencrypted
	Password secret.Value   //
	Roots    *x509.CertPool // who may sign the server's certificate; nil: the system's
	Hello    string         // name in EHLO; empty: this machine's
}

// Email is a receiver that sends plain text by SMTP.
type Email struct {
	name string
	o    EmailOptions
	host string
	port int
}

// NewEmail makes a receiver that mails. The addresses are checked here, so that
// no line end of theirs can become a header.
func NewEmail(name string, o EmailOptions) (*Email, error) {
	e := &Email{name: name, o: o, host: o.Server, port: 587}
	if host, port, err := net.SplitHostPort(o.Server); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("receiver %s: server %q has no port number. Write HOST:PORT", name, o.Server)
		}
		e.host, e.port = host, int(n)
	}
	if e.host == "" || strings.ContainsAny(e.host, " \r\n") {
		return nil, fmt.Errorf("receiver %s: server %q is no host. Write HOST:PORT", name, o.Server)
	}
	switch o.StartTLS {
	case "":
		e.o.StartTLS = StartTLSRequired
	case StartTLSRequired, StartTLSOpportunistic, StartTLSNone:
	default:
		return nil, fmt.Errorf("receiver %s: starttls: %q is not known. Write required, opportunistic or none", name, o.StartTLS)
	}
	if len(o.To) == 0 {
		return nil, fmt.Errorf("receiver %s: to: names nobody", name)
	}
	for _, a := range append([]string{o.From}, o.To...) {
		if _, err := netmail.ParseAddress(a); err != nil || strings.ContainsAny(a, "\r\n") {
			return nil, fmt.Errorf("receiver %s: %q is no mail address. Write NAME@DOMAIN", name, a)
		}
	}
	if o.User != "" && e.o.StartTLS == StartTLSNone {
		return nil, fmt.Errorf("receiver %s: a password would go out unencrypted. Set starttls: required", name)
	}
	return e, nil
}

// Name is the receiver's name in the settings.
func (e *Email) Name() string { return e.name }

// Deliver sends one mail to all addresses.
func (e *Email) Deliver(ctx context.Context, m Message) error {
	msg, err := e.compose(m)
	if err != nil {
		return err
	}
	// The library leaves its connection open where the dialogue fails, and knows
	// the context only while it connects: the connection is ours to close.
	var l link
	defer l.close()
	client, err := mail.NewClient(e.host, e.options(ctx, &l)...)
	if err != nil {
		return fmt.Errorf("receiver %s: mail client: %w", e.name, err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return e.fail(ctx, "at the beginning", err)
	}
	err = client.SendWithSMTPClient(session, msg)
	var some error
	if no, ok := errors.AsType[*mail.SendError](err); ok && no.Reason == mail.ErrSMTPRcptTo {
		// The library sends it to nobody then.
		if takes, refused := willing(session, msg); len(takes) > 0 && refused != nil && msg.To(takes...) == nil {
			some = &someError{fmt.Errorf("receiver %s: %s did not take the mail for all, the others have it: %w. Take who is refused out of its to", e.name, e.address(), refused)}
			err = client.SendWithSMTPClient(session, msg)
		}
	}
	if err != nil {
		return e.fail(ctx, "while it was sent", err)
	}
	// Taken: what fails now would only make it come twice.
	_ = client.CloseWithSMTPClient(session)
	return some
}

// willing asks the server again, address by address, for whom it takes a mail, where
// it never will for one of them (an account that is gone). Nobody where it may later:
// then the next attempt is for all, and repeats it for none.
func willing(c *smtp.Client, msg *mail.Msg) (takes []string, refused error) {
	from, err := msg.GetSender(false)
	all, allErr := msg.GetRecipients()
	if err = errors.Join(err, allErr); err != nil {
		return nil, err
	}
	if err := c.Mail(from); err != nil {
		return nil, err
	}
	for _, to := range all {
		err := c.Rcpt(to)
		no, answered := errors.AsType[*textproto.Error](err)
		switch {
		case err == nil:
			takes = append(takes, to)
		case !answered || no.Code/100 != 5:
			return nil, err
		default:
			refused = errors.Join(refused, fmt.Errorf("%s: %d %s", to, no.Code, collector.Escape(no.Msg)))
		}
	}
	return takes, errors.Join(refused, c.Reset())
}

func (e *Email) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// link is the connection of one mail.
type link struct {
	conn net.Conn
	stop func() bool
}

// dial connects; the connection ends with ctx.
func (l *link) dial(ctx, whole context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.conn, l.stop = c, context.AfterFunc(whole, func() { _ = c.Close() })
	return c, nil
}

func (l *link) close() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close() // again, where it was closed in order
	}
}

func (e *Email) options(whole context.Context, l *link) []mail.Option {
	policy := map[StartTLS]mail.TLSPolicy{
		StartTLSRequired: mail.TLSMandatory, StartTLSOpportunistic: mail.TLSOpportunistic, StartTLSNone: mail.NoTLS,
	}[e.o.StartTLS]
	limit := 30 * time.Second
	if d, ok := whole.Deadline(); ok {
		limit = max(time.Until(d), time.Second)
	}
	config := &tls.Config{ServerName: e.host, MinVersion: tls.VersionTLS12, RootCAs: e.o.Roots}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := l.dial(ctx, whole, network, address)
		if err != nil || e.port != 465 {
			return c, err
		}
		t := tls.Client(c, config)
		return t, t.HandshakeContext(ctx)
	}
	o := []mail.Option{
		mail.WithPort(e.port), mail.WithTimeout(limit), mail.WithTLSConfig(config), mail.WithDialContextFunc(dial),
		mail.WithoutNoop(),
	}
	if e.port == 465 {
		policy = mail.NoTLS // it is encrypted already
	}
	o = append(o, mail.WithTLSPolicy(policy))
	if e.o.Hello != "" {
		o = append(o, mail.WithHELO(e.o.Hello))
	}
	if e.o.User != "" {
		o = append(o, mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin),
			mail.WithUsername(e.o.User), mail.WithPassword(e.o.Password.Reveal()))
	}
	return o
}

// compose makes the mail. The subject carries text of devices: control
// characters are escaped before the library encodes it.
func (e *Email) compose(m Message) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(e.o.From), msg.To(e.o.To...)); err != nil {
		return nil, fmt.Errorf("receiver %s: %w", e.name, err)
	}
	msg.Subject(collector.Escape(m.Subject))
	msg.SetDateWithValue(m.At)
	domain := e.o.From[strings.LastIndexByte(e.o.From, '@')+1:]
	msg.SetMessageIDWithValue(m.ID + "@" + strings.Trim(domain, "> "))
	msg.SetGenHeader(HeaderDelivery, m.ID)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	text := m.Text
	if m.Diff != nil {
		text += "\n" + m.Diff.String()
	}
	msg.SetBodyString(mail.TypeTextPlain, text)
	return msg, nil
}

// fail makes an error that says what the server said.
func (e *Email) fail(ctx context.Context, when string, err error) error {
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return fmt.Errorf("receiver %s: %s did not take the mail, %s: %w", e.name, e.address(), when, err)
}
