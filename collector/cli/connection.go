package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// connection is one authenticated connection, by SSH or Telnet. Whatever happens,
// closing its socket ends everything that waits for it; that is the only way a
// deadline or a cancelled context takes effect.
type connection struct {
	t   collector.Target
	lim collector.Limits
	o   Options
	j   *journal

	nc     *link
	client *ssh.Client
	telnet *telnet // instead of client, where the target is read by Telnet
	method string

	mu    sync.Mutex
	key   collector.HostKey // accepted; Type is empty before
	cause error             // why the socket was closed from our side
}

// link is a socket that remembers whether reading from it has failed.
type link struct {
	net.Conn
	in      *bufio.Reader // x/crypto asks for the line with its version byte by byte
	broken  atomic.Bool
	ended   atomic.Bool // broken, and the library knows: a channel that ends from now on was cut
	closing chan struct{}
	once    sync.Once
	opening overheard
}

func newLink(c net.Conn) *link {
	return &link{Conn: c, in: bufio.NewReader(c), closing: make(chan struct{})}
}

// lookBefore is how long the end of a connection is held back. What came before it
// is looked at meanwhile: a channel that the device closed and one that ended with
// its connection are the same to x/crypto.
const lookBefore = 200 * time.Millisecond

func (l *link) Read(b []byte) (int, error) {
	n, err := l.in.Read(b)
	l.opening.note(b[:n])
	if err != nil {
		l.broken.Store(true)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			select {
			case <-l.closing:
			case <-time.After(lookBefore):
			}
		}
		l.ended.Store(true)
	}
	return n, err
}

// Close ends the connection, and what Read holds back.
func (l *link) Close() error {
	l.once.Do(func() { close(l.closing) })
	return l.Conn.Close()
}

// dial connects, checks the host key and logs in. ctx bounds that; who keeps the
// connection ends it by kill or close.
func dial(ctx context.Context, t collector.Target, o Options, j *journal) (*connection, error) {
	c := &connection{t: t, lim: t.Limits.WithDefaults(), o: o, j: j}
	signer, err := c.signer()
	if err != nil {
		j.begin(collector.StepLogin, t.Credential.Name)(err)
		return nil, err
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if err := c.handshake(ctx, &authenticator{c: c, signer: signer}); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// Reach connects to t and hangs up at once: nil, or the error that Open would
// have at the step connect.
func Reach(ctx context.Context, t collector.Target) error {
	c := &connection{t: t, lim: t.Limits.WithDefaults(), j: &journal{}}
	if err := c.connect(ctx); err != nil {
		return err
	}
	return c.nc.Close()
}

// hungUp is what to do about a device that ends a connection before anything else.
const hungUp = "Check that an SSH server listens there, that its access list and session limit let this address in, and its log for why it ended the session"

// slow is what to do about a device that went silent in the middle of an answer.
func slow(c *connection) string {
	return fmt.Sprintf("Check the device's load, or raise the deadline: muster device set %s --timeout 5m", c.name())
}

func (c *connection) connect(ctx context.Context) error {
	done := c.j.begin(collector.StepConnect, c.t.Addr.String())
	dctx, cancel := context.WithTimeoutCause(ctx, c.lim.Connect, collector.ErrTimedOut)
	defer cancel()
	nc, err := c.dialer()(dctx, c.t.Addr)
	if err == nil {
		c.nc = newLink(nc)
		done(nil)
		return nil
	}
	var ofJump *collector.Error
	switch {
	case errors.As(err, &ofJump):
		named := *ofJump
		named.Device = c.t.Device
		err = &named
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), collector.ErrTimedOut):
		err = context.Cause(ctx)
	case dctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT):
		err = c.fail(collector.StepConnect, collector.ErrTimedOut, nil,
			fmt.Sprintf("Check that %s is up and that no filter drops TCP port %d from here", c.name(), c.t.Addr.Port()), err)
	case errors.Is(err, syscall.ECONNREFUSED):
		err = c.fail(collector.StepConnect, collector.ErrRefused, nil,
			fmt.Sprintf("Switch %[1]s on at %[2]s, or set its port (muster device set %[2]s --port PORT): nothing listens on TCP port %[3]d", c.t.Protocol(), c.name(), c.t.Addr.Port()), err)
	case errors.Is(err, syscall.ECONNRESET):
		// The device took the connection, or the kernel would call it refused, and
		// ended it before we looked.
		done(nil)
		step, do := collector.StepKeyExchange, hungUp
		if c.t.Telnet {
			step, do = collector.StepLogin, hungUpTelnet(c)
		}
		err = c.fail(step, collector.ErrClosed, nil, do, err)
		c.j.begin(step, "")(err)
		return err
	case errors.Is(err, syscall.EADDRNOTAVAIL) && c.t.Source.IsValid():
		err = c.fail(collector.StepConnect, collector.ErrUnreachable, nil,
			fmt.Sprintf("Correct the scope's source: this machine has no address %s", c.t.Source), err)
	default:
		err = c.fail(collector.StepConnect, collector.ErrUnreachable, nil,
			fmt.Sprintf("Check the route to %s and that the device is up", c.t.Addr.Addr()), err)
	}
	done(err)
	return err
}

// dialer is the way to the device: through its jump host, or directly.
func (c *connection) dialer() func(context.Context, netip.AddrPort) (net.Conn, error) {
	if c.o.Dial != nil {
		return c.o.Dial
	}
	var d net.Dialer
	if c.t.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: c.t.Source.AsSlice(), Zone: c.t.Source.Zone()}
	}
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", to.String())
	}
}

// phase is one of the two steps that the library's handshake runs through in a
// single call; each has a deadline of its own.
type phase struct {
	step collector.Step
	ctx  context.Context
	end  func(error) // stops the deadline and notes the step
}

func (c *connection) phase(ctx context.Context, step collector.Step, detail string, limit time.Duration) *phase {
	done := c.j.begin(step, detail)
	pctx, cancel := context.WithTimeoutCause(ctx, limit, collector.ErrTimedOut)
	stop := context.AfterFunc(pctx, func() { _ = c.nc.Close() })
	var once sync.Once
	return &phase{step, pctx, func(err error) { once.Do(func() { stop(); cancel(); done(err) }) }}
}

// handshake exchanges keys, checks the host key and authenticates.
func (c *connection) handshake(ctx context.Context, a *authenticator) error {
	algos := allowed(c.t.SSH.Algorithms)
	var (
		mu      sync.Mutex // the host key is checked on a goroutine of the library
		now     = c.phase(ctx, collector.StepKeyExchange, "", c.lim.KeyExchange)
		refused error
		banner  []byte
	)
	config := &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: algos.kex, Ciphers: algos.ciphers, MACs: algos.macs},
		User:              c.t.Credential.User,
		ClientVersion:     "SSH-2.0-muster",
		HostKeyAlgorithms: algos.hostKeyAlgorithms(c.t.SSH.Pinned),
		AuthCallback:      a.next,
		BannerCallback: func(text string) error {
			banner = append(banner[:0], text...)
			return nil
		},
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			key := hostKey(k)
			if accepted := c.hostKey(); accepted.Type != "" {
				// A key exchange later in the session: the device stays the same.
				if sameKey(accepted, key) {
					return nil
				}
				return collector.ErrHostKeyChanged
			}
			mu.Lock()
			defer mu.Unlock()
			now.end(nil)
			done := c.j.begin(collector.StepHostKey, key.Type+" "+key.Fingerprint)
			refused = c.checkHostKey(key)
			done(refused)
			if refused == nil && c.o.MayLogIn != nil {
				refused = c.o.MayLogIn(ctx)
			}
			if refused != nil {
				return refused
			}
			c.acceptHostKey(key)
			now = c.phase(ctx, collector.StepLogin, c.t.Credential.Name, c.lim.Login)
			return nil
		},
	}
	conn, chans, reqs, err := ssh.NewClientConn(c.nc, c.t.Addr.String(), config)
	mu.Lock()
	defer mu.Unlock()
	defer c.nc.opening.end()
	if err != nil {
		if refused != nil {
			return refused
		}
		err = c.handshakeError(ctx, now, a, banner, err)
		now.end(err)
		return err
	}
	c.method = a.current
	if c.method == "" {
		c.method = "none"
	}
	c.attempt(c.method, true)
	now.end(nil)
	n := negotiated(conn)
	c.j.note(fmt.Sprintf("%s by %s; %s, %s, %s %s", c.t.Credential.Name, c.method, n.KeyExchange, n.HostKey, n.Cipher, n.MAC))
	c.client = ssh.NewClient(conn, chans, reqs)
	return nil
}

// handshakeError says in our words why the library's handshake ended.
func (c *connection) handshakeError(ctx context.Context, now *phase, a *authenticator, banner []byte, err error) error {
	var ours *collector.Error
	if errors.As(err, &ours) {
		return ours
	}
	of, known := c.nc.opening.offer()
	if seen, do, ok := noCommon(err, of, known, c.name()); ok {
		return c.fail(collector.StepKeyExchange, collector.ErrNoCommonAlgorithm, []byte(seen[:min(len(seen), collector.SeenLimit)]), do, err)
	}
	said := banner
	noSSH := ""
	if foreign := c.nc.opening.foreign(); len(foreign) > 0 {
		said, noSSH = foreign, fmt.Sprintf("Set the SSH port of %s: what answers on TCP port %d is no SSH server", c.name(), c.t.Addr.Port())
	}
	unanswered := a.sent && a.current != ""
	if unanswered {
		// The password is out and no verdict has come. The device may well have
		// counted a failure, and devices lock accounts: so do we.
		c.attempt(a.current, false)
	}
	if stopped := c.stopped(ctx, now.ctx); stopped != nil {
		if !errors.Is(stopped, collector.ErrTimedOut) {
			return stopped
		}
		do := "Check the device's load and its SSH server: it accepts connections but does not go on"
		if now.step == collector.StepLogin {
			do = fmt.Sprintf("Check the device's authentication servers (TACACS+, RADIUS), or raise the login deadline: muster device set %s --timeout 5m", c.name())
		}
		return c.fail(now.step, collector.ErrTimedOut, said, cmp.Or(noSSH, do), err)
	}
	kind, do := collector.ErrClosed, cmp.Or(noSSH, hungUp)
	if now.step == collector.StepLogin {
		reason, told := disconnected(err)
		if unanswered && told {
			return a.rejected(a.current) // it hung up on the password and said why
		}
		do = fmt.Sprintf("Look in the log of %s for why it ends sessions of account %s", c.name(), collector.Escape(c.t.Credential.User))
		if told && reason == disconnectTooMany {
			kind, do = collector.ErrBusy, "Wait for other sessions to end, or allow more sessions on the device"
		}
	}
	return c.fail(now.step, kind, said, do, err)
}

// disconnectTooMany is SSH_DISCONNECT_TOO_MANY_CONNECTIONS (RFC 4253 §11.1).
const disconnectTooMany = 12

// disconnected reads the reason of a disconnect message. x/crypto v0.58.0 keeps
// the type to itself, so this is the one place that reads an error's text.
func disconnected(err error) (reason int, said bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if n, _ := fmt.Sscanf(err.Error(), "ssh: disconnect, reason %d:", &reason); n == 1 {
			return reason, true
		}
	}
	return 0, false
}

// stopped says why our side ended what was under way: ErrTimedOut for a deadline
// (of the step or the session), the cause of a cancelled context otherwise, nil
// where it was the device.
func (c *connection) stopped(ctxs ...context.Context) error {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	if cause != nil {
		return cause
	}
	for _, ctx := range ctxs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// kill ends the connection from our side.
func (c *connection) kill(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	_ = c.nc.Close()
}

// close ends the connection and waits for the library's goroutines.
func (c *connection) close() {
	_ = c.nc.Close()
	if c.client != nil {
		_ = c.client.Close()
		_ = c.client.Wait()
	}
}

func (c *connection) hostKey() collector.HostKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key
}

func (c *connection) acceptHostKey(k collector.HostKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key = k
}

func (c *connection) hostKeyAccepted() bool { return c.hostKey().Type != "" }

// attempt tells the caller of a login that was taken or refused.
func (c *connection) attempt(method string, accepted bool) {
	if c.o.Attempt != nil {
		c.o.Attempt(method, accepted)
	}
}

// name is how commands of ours call the device.
func (c *connection) name() string {
	if c.t.Device != "" {
		return collector.Escape(c.t.Device)
	}
	return c.t.Addr.Addr().String()
}

func (c *connection) credential() string { return collector.Escape(c.t.Credential.Name) }

// fail makes the error of a step. What the device said is masked: some print a
// password that they were given.
func (c *connection) fail(step collector.Step, kind collector.Kind, seen []byte, do string, cause error) *collector.Error {
	cr := c.t.Credential
	if kind == collector.ErrClosed && c.nc != nil {
		if way, ok := c.nc.Conn.(*tunnel); ok && !way.j.Alive() {
			do = way.j.endedDo()
		}
	}
	return &collector.Error{
		Device: c.t.Device, Addr: c.t.Addr, Step: step, Kind: kind, Do: do, Cause: cause,
		Seen: collector.Seen(seen, cr.Password, cr.Enable, cr.Passphrase),
	}
}
