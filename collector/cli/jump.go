package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// Jump is one connection to a jump host. What lies behind it is reached by
// channels in that connection (direct-tcpip, RFC 4254 §7.2). It is safe for
// concurrent use.
type Jump struct {
	c    *connection
	ctx  context.Context // ends with the connection; its cause is ErrJumpGone
	wait func()          // until the connection has ended
	open sync.WaitGroup  // what dials and copies

	mu     sync.Mutex // guards closed, and that nothing joins open behind it
	closed bool
}

// ErrJumpGone is the cause where the connection to the jump host itself has ended
// before a session began: nothing has been sent through it, and a new one may help.
var ErrJumpGone = errors.New("the connection to the jump host has ended")

// OpenJump connects to the jump host t and logs in as [Open] does, without a
// shell. ctx bounds the opening only.
func OpenJump(ctx context.Context, t collector.Target, o Options) (*Jump, error) {
	j := &journal{progress: o.Progress}
	if t.Telnet {
		c := &connection{t: t}
		err := c.fail(collector.StepConnect, collector.ErrForwardingRefused, nil,
			fmt.Sprintf("Take %s out of scope %s, which says telnet: a jump host is logged in to by SSH only", c.name(), collector.Escape(t.Scope)), nil)
		j.begin(collector.StepConnect, t.Addr.String())(err)
		return nil, err
	}
	c, err := dial(ctx, t, o, j)
	if err != nil {
		return nil, err
	}
	jump := &Jump{c: c}
	gone, end := context.WithCancelCause(context.Background())
	jump.ctx = gone
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.client.Wait(); end(ErrJumpGone) })
	jump.wait = wg.Wait
	return jump, nil
}

// Alive reports whether the connection stands, as far as is known here.
func (j *Jump) Alive() bool { return j.ctx.Err() == nil }

// Method is the authentication method that worked.
func (j *Jump) Method() string { return j.c.method }

// Steps are the steps of the opening.
func (j *Jump) Steps() []collector.StepTime { return j.c.j.all() }

// Close ends the connection and all that goes through it.
func (j *Jump) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.c.close()
	j.wait()
	j.open.Wait()
	return nil
}

// enter keeps Close from returning until open.Done is called.
func (j *Jump) enter() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || !j.Alive() {
		return false
	}
	j.open.Add(1)
	return true
}

// Dial has the jump host connect to an address behind it. The error is a
// *collector.Error that names the jump host, or the cause of ctx.
func (j *Jump) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if !j.enter() {
		return nil, j.gone(to)
	}
	defer j.open.Done()
	type result struct {
		ch  ssh.Channel
		err error
	}
	opened := make(chan result)
	given := make(chan struct{}) // nobody waits for the result any more
	defer close(given)
	j.open.Go(func() {
		// RFC 4254 §7.2: where to, and who asks.
		ch, reqs, err := j.c.client.OpenChannel("direct-tcpip", ssh.Marshal(struct {
			Host     string
			Port     uint32
			From     string
			FromPort uint32
		}{to.Addr().String(), uint32(to.Port()), "127.0.0.1", 0}))
		if err == nil {
			j.open.Go(func() { ssh.DiscardRequests(reqs) })
		}
		select {
		case opened <- result{ch, err}:
		case <-given:
			if err == nil {
				_ = ch.Close()
			}
		}
	})
	select {
	case r := <-opened:
		if r.err != nil {
			return nil, j.refused(to, r.err)
		}
		return j.tunnel(r.ch), nil
	case <-j.ctx.Done():
		return nil, j.gone(to)
	case <-ctx.Done():
	}
	if !errors.Is(context.Cause(ctx), collector.ErrTimedOut) {
		return nil, context.Cause(ctx)
	}
	if !j.answers() {
		_ = j.c.nc.Close()
		return nil, j.gone(to)
	}
	return nil, j.failure(to, collector.ErrTimedOut,
		fmt.Sprintf("Check that jump host %s reaches %s: it waits for an answer from there", j.c.name(), to), context.Cause(ctx))
}

// answers asks the jump host itself for a sign of life. Whatever it replies will
// do: RFC 4254 §4 has it refuse a request that it does not know.
func (j *Jump) answers() bool {
	ctx, cancel := context.WithTimeoutCause(j.ctx, j.c.lim.Connect, collector.ErrTimedOut)
	defer cancel()
	replied := make(chan error, 1)
	j.open.Go(func() {
		_, _, err := j.c.client.SendRequest("keepalive@openssh.com", true, nil)
		replied <- err
	})
	select {
	case err := <-replied:
		return err == nil
	case <-ctx.Done():
		return false
	}
}

func (j *Jump) failure(to netip.AddrPort, kind collector.Kind, do string, cause error) *collector.Error {
	return &collector.Error{Addr: to, Step: collector.StepConnect, Kind: kind, Do: do, Cause: cause}
}

func (j *Jump) gone(to netip.AddrPort) *collector.Error {
	return j.failure(to, collector.ErrUnreachable, j.endedDo(), ErrJumpGone)
}

func (j *Jump) endedDo() string {
	return fmt.Sprintf("Look at jump host %s (%s): the connection to it ended, and all sessions through it with it", j.c.name(), j.c.t.Addr)
}

// refused says what the jump host's refusal of a channel means.
func (j *Jump) refused(to netip.AddrPort, err error) error {
	var e *ssh.OpenChannelError
	if !errors.As(err, &e) {
		return j.gone(to)
	}
	name, said := j.c.name(), fmt.Sprintf("%q", collector.Seen([]byte(e.Message), j.c.t.Credential.Password))
	switch e.Reason {
	case ssh.ConnectionFailed:
		// The jump host's own words for what its connect(2) said.
		if strings.Contains(strings.ToLower(e.Message), "refused") {
			return j.failure(to, collector.ErrRefused,
				fmt.Sprintf("Switch on what should listen at %s, or set its port: jump host %s says %s", to, name, said), err)
		}
		return j.failure(to, collector.ErrUnreachable,
			fmt.Sprintf("Check that %s is up and that jump host %s has a route to it, which says %s", to, name, said), err)
	case ssh.ResourceShortage:
		return j.failure(to, collector.ErrBusy,
			fmt.Sprintf("Allow more sessions on jump host %s, which says %s, or lower the scope's ssh.concurrency", name, said), err)
	}
	return j.failure(to, collector.ErrForwardingRefused,
		fmt.Sprintf("Let jump host %s forward TCP to %s for account %s (OpenSSH: AllowTcpForwarding, PermitOpen); it says %s",
			name, to, collector.Escape(j.c.t.Credential.User), said), err)
}

// tunnel makes a connection of a channel. A channel knows no deadline and its
// Close waits for the other side; the pipe before it has both, so a jump host
// that freezes holds up no session.
func (j *Jump) tunnel(ch ssh.Channel) net.Conn {
	near, far := net.Pipe()
	closed := make(chan struct{}) // by us: what ends after it is nobody's fault
	j.open.Go(func() {
		switch _, err := io.Copy(ch, far); {
		case err == nil:
			close(closed)
		case !errors.Is(err, io.ErrClosedPipe): // else the other half has found out
			j.blame()
		}
		_ = far.Close()
		_ = ch.Close()
	})
	j.open.Go(func() {
		_, _ = io.Copy(far, ch)
		select {
		case <-closed:
		default:
			j.blame()
		}
		_ = far.Close()
	})
	j.open.Go(func() { _, _ = io.Copy(io.Discard, ch.Stderr()) })
	return &tunnel{Conn: near, j: j}
}

// blame finds out, before the session that a channel's end takes along is told of
// it, whether the device hung up or the jump host has gone: the latter is not Alive
// any more on return.
func (j *Jump) blame() {
	if !j.answers() {
		_ = j.c.nc.Close()
		<-j.ctx.Done()
	}
}

// tunnel is a connection through a jump host.
type tunnel struct {
	net.Conn
	j *Jump
}
