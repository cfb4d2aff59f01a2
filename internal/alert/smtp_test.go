package alert

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// sinkOptions are a mail server's manners.
type sinkOptions struct {
	config *tls.Config // nil: it offers no STARTTLS
	login  string      // "user password"; empty: it asks for none
	refuse string      // the command that it refuses, e.g. "RCPT"
	gone   string      // the address for which it takes nothing
	later  string      // the address for which it may take something later
	freeze string      // the command that it never answers
}

// sink is a mail server on loopback that keeps what it takes.
type sink struct {
	sinkOptions
	listener net.Listener

	mu    sync.Mutex
	mails []mailTaken
	conns []net.Conn
	froze bool
	open  int // connections that the client has not ended
	wg    sync.WaitGroup
}

type mailTaken struct {
	encrypted bool
	user      string
	from      string
	to        []string
	text      string
}

// newSink starts a server; it ends with the test.
func newSink(t *testing.T, o sinkOptions) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{sinkOptions: o, listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.open++
			s.mu.Unlock()
			s.wg.Go(func() {
				s.serve(c)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.open--
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *sink) addr() string { return s.listener.Addr().String() }

func (s *sink) taken() []mailTaken { s.mu.Lock(); defer s.mu.Unlock(); return s.mails }

// frozen reports whether a client has come to where it gets no answer.
func (s *sink) frozen() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.froze }

// ended reports whether there was a connection and none is left open.
func (s *sink) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0 && s.open == 0
}

// serve speaks SMTP (RFC 5321) as far as a client of ours needs.
func (s *sink) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	say := func(format string, a ...any) { _, _ = fmt.Fprintf(c, format+"\r\n", a...) }
	var m mailTaken
	say("220 sink ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if verb == s.freeze {
			s.mu.Lock()
			s.froze = true
			s.mu.Unlock()
			_, _ = in.ReadString('\n') // until the client hangs up
			return
		}
		if verb == s.refuse {
			say("550 not for you \x1b[31m")
			continue
		}
		switch verb {
		case "EHLO", "HELO":
			say("250-sink greets %s", rest)
			if s.config != nil && !m.encrypted {
				say("250-STARTTLS")
			}
			if s.login != "" {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			t := tls.Server(c, s.config)
			if t.Handshake() != nil {
				return
			}
			c, in = t, bufio.NewReader(t)
			m.encrypted = true
		case "AUTH":
			_, word, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(word)
			parts := strings.Split(string(plain), "\x00")
			if len(parts) != 3 || parts[1]+" "+parts[2] != s.login {
				say("535 rejected")
				continue
			}
			m.user = parts[1]
			say("235 welcome")
		case "MAIL":
			m.from = rest
			say("250 ok")
		case "RSET":
			m.from, m.to = "", nil
			say("250 ok")
		case "RCPT":
			if s.gone != "" && strings.Contains(rest, s.gone) {
				say("550 no such user \x1b[31m")
				continue
			}
			if s.later != "" && strings.Contains(rest, s.later) {
				say("450 greylisted")
				continue
			}
			m.to = append(m.to, rest)
			say("250 ok")
		case "DATA":
			say("354 go ahead")
			var text strings.Builder
			for {
				l, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(l, "."))
			}
			m.text = text.String()
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default: // NOOP
			say("250 ok")
		}
	}
}

// testCertificate makes a server's certificate for 127.0.0.1 and who trusts it.
func testCertificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}
