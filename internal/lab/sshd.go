package lab

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

var (
	errDenied     = errors.New("permission denied")
	errUnanswered = errors.New("no answer") // the client left the question open
)

// watched tells when a connection has ended: the SSH library reads ahead, so its
// reads see that first, also while the server keeps the client waiting.
type watched struct {
	net.Conn
	gone chan struct{}
	once sync.Once
	left int // writes that still go out; below 0: all of them
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.once.Do(func() { close(w.gone) })
	}
	return n, err
}

// Write swallows all but the first writes of a server that falls silent in the
// key exchange.
func (w *watched) Write(b []byte) (int, error) {
	if w.left == 0 {
		return len(b), nil
	}
	w.left--
	return w.Conn.Write(b)
}

// connection serves one client until it leaves or is thrown out.
func (d *node) connection(c net.Conn) {
	w := &watched{Conn: c, gone: make(chan struct{}), left: -1}
	hang := func() { _, _ = io.Copy(io.Discard, c) }
	switch {
	case d.frozenAt(AtTCP):
		hang()
		return
	case d.frozenAt(AtBanner):
		_, _ = io.WriteString(c, d.dialect.version+"\r\n")
		hang()
		return
	case d.frozenAt(AtKex):
		w.left = 2 // identification and key exchange proposal
	}
	sc, channels, requests, err := ssh.NewServerConn(w, d.serverConfig(w))
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer sc.Close()
	wg.Go(func() { ssh.DiscardRequests(requests) })
	for nc := range channels {
		if nc.ChannelType() != "session" {
			_ = nc.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { d.session(sc, ch, reqs, w.gone, &wg) })
	}
}

// serverConfig says how the device lets people in.
func (d *node) serverConfig(w *watched) *ssh.ServerConfig {
	d.mu.Lock()
	signer := d.signer
	d.mu.Unlock()
	cfg := &ssh.ServerConfig{ServerVersion: d.dialect.version, MaxAuthTries: 3}
	cfg.AddHostKey(signer)
	if d.spec.Legacy {
		cfg.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1}
		cfg.Ciphers = []string{ssh.InsecureCipherAES128CBC}
		cfg.MACs = []string{ssh.HMACSHA1}
	}
	if d.spec.Banner != "" {
		cfg.BannerCallback = func(ssh.ConnMetadata) string { return d.spec.Banner }
	}
	verdict := func(good bool) (*ssh.Permissions, error) {
		if d.frozenAt(AtAuth) {
			<-w.gone
		}
		if good {
			return nil, nil
		}
		return nil, errDenied
	}
	if slices.Contains(d.spec.Auth, "password") {
		cfg.PasswordCallback = func(m ssh.ConnMetadata, pw []byte) (*ssh.Permissions, error) {
			return verdict(d.knows(m.User(), string(pw)))
		}
	}
	if slices.Contains(d.spec.Auth, "keyboard-interactive") {
		cfg.KeyboardInteractiveCallback = func(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errUnanswered
			}
			return verdict(d.knows(m.User(), answers[0]))
		}
	}
	if slices.Contains(d.spec.Auth, "publickey") {
		cfg.PublicKeyCallback = func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			return verdict(d.knowsKey(m.User(), k))
		}
	}
	cfg.AuthLogCallback = func(m ssh.ConnMetadata, method string, err error) {
		if method != "none" && !errors.Is(err, errUnanswered) {
			d.logLogin(Login{At: time.Now().UTC(), Method: method, User: m.User(), Accepted: err == nil})
		}
	}
	return cfg
}

// session serves one channel. What it leaves running is counted in wg and ends
// with the connection.
func (d *node) session(sc *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request, gone <-chan struct{}, wg *sync.WaitGroup) {
	defer ch.Close()
	rows := 0
	for r := range reqs {
		text := ""
		if len(r.Payload) >= 4 {
			if n := int(binary.BigEndian.Uint32(r.Payload)); n <= len(r.Payload)-4 {
				text = string(r.Payload[4 : 4+n])
			}
		}
		starts := r.Type == "shell" || r.Type == "exec" || (r.Type == "subsystem" && text == "sftp" && d.spec.Platform == FRR)
		if r.WantReply {
			_ = r.Reply(starts || r.Type == "pty-req", nil)
		}
		if at := 4 + len(text) + 4; r.Type == "pty-req" && len(r.Payload) >= at+4 { // RFC 4254 §6.2
			rows = int(binary.BigEndian.Uint32(r.Payload[at:]))
		}
		if !starts {
			continue
		}
		wg.Go(func() { ssh.DiscardRequests(reqs) })
		if r.Type == "subsystem" {
			d.files(ch)
			return
		}
		s := d.newShell(newTTY(ch, gone), sc.User(), rows)
		status := uint32(0)
		if r.Type == "exec" {
			status = s.request(text)
		} else {
			s.dialogue()
		}
		s.flush()
		if s.cut {
			_ = sc.Close()
			return
		}
		_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, status))
		_ = ch.CloseWrite()
		_ = ch.Close()
		if !d.dialect.multiple {
			if s.exec { // the client takes the exit status and leaves first
				s.sleep(time.Second)
			}
			_ = sc.Close()
		}
		return
	}
}

func (d *node) knows(user, password string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offered = true
	return d.spec.Rogue || (!d.rejecting && user == d.spec.User && password == d.password)
}

func (d *node) knowsKey(user string, k ssh.PublicKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spec.Rogue || (!d.rejecting && user == d.spec.User && slices.ContainsFunc(d.spec.Keys, func(have ssh.PublicKey) bool {
		return string(have.Marshal()) == string(k.Marshal())
	}))
}

// enabled judges an enable password and logs it like a login.
func (d *node) enabled(password string) bool {
	d.mu.Lock()
	ok := d.spec.Rogue || (!d.rejecting && password == d.spec.Enable)
	d.offered = true
	d.mu.Unlock()
	d.logLogin(Login{At: time.Now().UTC(), Method: MethodEnable, User: d.spec.User, Accepted: ok})
	return ok
}

func (d *node) logLogin(l Login) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logins = append(d.logins, l)
}

// note records a command line as it was typed.
func (d *node) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commands = append(d.commands, strings.TrimSpace(line))
}

// answer gives what a test wants a command to print.
func (d *node) answer(command string) (text string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, ok = d.answers[command]
	return text, ok
}
