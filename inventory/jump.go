package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"muster/collector"
	"muster/collector/cli"
)

// JumpHost says through which host the devices of a scope are logged in to. The
// zero value is none.
type JumpHost struct {
	Host string // name of a device in the inventory, or its address
	// Credential is the account for an address that need not be in the inventory;
	// empty: the jump host is a device like others, with the account of its own.
	Credential string
}

const (
	jumpIdle   = 30 * time.Second // a connection to a jump host that nobody uses is kept so long
	jumpPlaces = 50               // sessions through one jump host at a time
	jumpRest   = time.Minute      // a run does not ask again so long after a jump host failed
)

// jumpConn is a connection to a jump host; *cli.Jump is the real one.
type jumpConn interface {
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Alive() bool
	Close() error
}

func openJump(ctx context.Context, t collector.Target, o cli.Options) (opened, error) {
	j, err := cli.OpenJump(ctx, t, o)
	if err != nil {
		return opened{}, err
	}
	return opened{jump: j, method: j.Method(), steps: j.Steps()}, nil
}

// jumps are the connections to jump hosts, one each for all sessions of all runs,
// by the id of the jump host.
type jumps struct {
	idle    time.Duration
	opening locks[int64] // one opens, the others wait for what it opened
	places  locks[int64]

	mu   sync.Mutex // guards all, and users and timer of each
	all  map[int64]*sharedJump
	ends sync.WaitGroup // of connections that are being closed
}

type sharedJump struct {
	conn  jumpConn
	users int
	timer *time.Timer // closes it; nil while it is used
	under *passage    // the jump host before this one; nil: none
}

// passage is a session's share of a connection to a jump host.
type passage struct {
	host Device
	conn jumpConn
	free func() // may be called more than once
}

func (p *passage) leave() {
	if p != nil {
		p.free()
	}
}

// join takes a share of a connection that stands; nil: there is none.
func (j *jumps) join(host Device, place func()) *passage {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.all[host.ID]
	if s == nil {
		return nil
	}
	if !s.conn.Alive() {
		j.drop(host.ID, s)
		return nil
	}
	return j.share(host, s, place)
}

// share is called with mu held.
func (j *jumps) share(host Device, s *sharedJump, place func()) *passage {
	s.users++
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	var once sync.Once
	return &passage{host: host, conn: s.conn, free: func() {
		once.Do(func() {
			place()
			j.mu.Lock()
			defer j.mu.Unlock()
			if s.users--; s.users > 0 || j.all[host.ID] != s {
				return
			}
			var timer *time.Timer
			timer = time.AfterFunc(j.idle, func() {
				j.mu.Lock()
				defer j.mu.Unlock()
				if s.timer == timer && j.all[host.ID] == s {
					j.drop(host.ID, s)
				}
			})
			s.timer = timer
		})
	}}
}

// drop ends a connection; it is called with mu held.
func (j *jumps) drop(id int64, s *sharedJump) {
	delete(j.all, id)
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	j.ends.Go(func() {
		_ = s.conn.Close() // it has ended, or nobody uses it
		s.under.leave()
	})
}

func (j *jumps) close() {
	j.mu.Lock()
	for id, s := range j.all {
		j.drop(id, s)
	}
	j.mu.Unlock()
	j.ends.Wait()
	j.mu.Lock()
	for id, s := range j.all { // those that only the others used
		j.drop(id, s)
	}
	j.mu.Unlock()
	j.ends.Wait()
}

// Close ends the connections to jump hosts. Sessions through them end with them.
func (a *Access) Close() { a.jumps.close() }

// jumpOf is the jump host that a device is reached through. The jump
// host of a scope that it lies in itself is reached directly.
func (n Network) jumpOf(dev Device) JumpHost {
	j := n.scope(dev).Jump
	if j.Host == "" || strings.EqualFold(j.Host, dev.Name) || dev.Address.IsValid() && j.Host == dev.Address.String() {
		return JumpHost{}
	}
	return j
}

// findJump looks a jump host up in the inventory; ErrNoDevice: it is not there.
func findJump(tx Reader, j JumpHost) (Device, error) {
	all, err := tx.Devices()
	if err != nil {
		return Device{}, err
	}
	addr, _ := netip.ParseAddr(j.Host)
	for _, d := range all {
		if !d.Retired && (strings.EqualFold(d.Name, j.Host) || addr.IsValid() && d.Address == addr.Unmap()) {
			return d, nil
		}
	}
	return Device{}, ErrNoDevice
}

// jumpDevice is the device that a jump host is. One that is given by address and
// account becomes one, not managed: its key and its rejected logins are kept
// there.
func (a *Access) jumpDevice(ctx context.Context, j JumpHost) (dev Device, err error) {
	err = a.o.Store.View(ctx, func(tx Reader) (err error) {
		dev, err = findJump(tx, j)
		return err
	})
	if !errors.Is(err, ErrNoDevice) || j.Credential == "" {
		return dev, err
	}
	addr, err := netip.ParseAddr(j.Host)
	if err != nil {
		return Device{}, ErrNoDevice
	}
	err = a.o.Store.Update(ctx, func(tx Tx) (err error) {
		if dev, err = findJump(tx, j); !errors.Is(err, ErrNoDevice) {
			return err
		}
		now := a.o.Now()
		dev = Device{Address: addr.Unmap(), AddressReason: addressConfigured, ManagedGiven: true, Credential: j.Credential, State: StateUnknown, StateSince: now, FirstSeen: now}
		if dev.Name, err = uniqueName(tx, addr.String(), 0); err != nil {
			return err
		}
		if err := tx.PutDevice(&dev); err != nil {
			return err
		}
		if err := tx.Observe(dev.ID, Observation{At: now, Via: ViaSSH, Addr: dev.Address}); err != nil {
			return err
		}
		return emit(tx, now, EventDeviceNew, dev, "", nil)
	})
	return dev, err
}

// through takes a share of the connection to the jump host before dev, opening
// that where it does not stand; nil: dev is reached directly. The error is one of
// dev's step connect, and names the jump host.
func (r *Run) through(ctx context.Context, dev Device) (*passage, error) {
	return r.pass(ctx, dev, nil)
}

// pass is through for a device that stands before those of behind.
func (r *Run) pass(ctx context.Context, dev Device, behind []Device) (*passage, error) {
	n := r.network()
	j := n.jumpOf(dev)
	if j.Host == "" {
		return nil, nil
	}
	fail := func(kind collector.Kind, do string, cause error) error {
		return &collector.Error{Device: dev.Name, Addr: sshAddr(dev, n.scope(dev)), Step: collector.StepConnect, Kind: kind, Do: do, Cause: cause}
	}
	host, err := r.access.jumpDevice(ctx, j)
	switch {
	case errors.Is(err, ErrNoDevice):
		return nil, fail(collector.ErrUnreachable, fmt.Sprintf("There is no jump host %s in the inventory, as scope %s wants it. Add it: muster device add ADDRESS --name %s",
			j.Host, n.scope(dev).Name, j.Host), nil)
	case err != nil:
		return nil, err
	case host.ID == dev.ID:
		return nil, nil
	}
	behind = append(behind, dev)
	for _, d := range behind {
		if d.ID == host.ID {
			return nil, fail(collector.ErrUnreachable, loopDo(append(behind, host)), nil)
		}
	}
	if j.Credential != "" {
		host.Credential = j.Credential
	}
	p, err := r.jump(ctx, host, behind, j.Credential != "")
	var e *collector.Error
	if !errors.As(err, &e) {
		return p, err
	}
	kind := e.Kind
	switch kind {
	case collector.ErrUnreachable, collector.ErrRefused, collector.ErrTimedOut, collector.ErrBusy, collector.ErrForwardingRefused:
	default: // what is wrong with the jump host says nothing of the device
		kind = collector.ErrUnreachable
	}
	return nil, fail(kind, fmt.Sprintf("Jump host %s is not usable, at %s: %s. %s", host.Name, e.Step, strings.ReplaceAll(string(e.Kind), "-", " "), e.Do), err)
}

func loopDo(ring []Device) string {
	var names []string
	for _, d := range ring {
		names = append(names, d.Name)
	}
	return fmt.Sprintf("Take one of these out of a scope with ssh.via, since each is to be reached through the next: %s", strings.Join(names, ", "))
}

// jump takes a share of the connection to host. One opens it; those that waited
// for it share its luck, and so does the rest of the run for a while: a jump host
// that is down would cost every device behind it a timeout.
func (r *Run) jump(ctx context.Context, host Device, behind []Device, direct bool) (p *passage, err error) {
	a := r.access
	place, err := a.jumps.places.take(ctx, host.ID)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p == nil {
			place()
		}
	}()
	free, err := a.jumps.opening.take(ctx, host.ID)
	if err != nil {
		return nil, err
	}
	defer free()
	if p := a.jumps.join(host, place); p != nil {
		return p, nil
	}
	r.mu.Lock()
	failed, ok := r.failedJumps[host.ID]
	r.mu.Unlock()
	if ok && a.o.Now().Sub(failed.at) < jumpRest {
		return nil, failed.err
	}
	var under *passage
	if !direct {
		if under, err = r.pass(ctx, host, behind); err != nil {
			return nil, err
		}
	}
	s, err := r.openJump(ctx, host, under)
	if err != nil {
		under.leave()
		if ctx.Err() == nil {
			r.mu.Lock()
			r.failedJumps[host.ID] = failedJump{a.o.Now(), err}
			r.mu.Unlock()
		}
		return nil, err
	}
	a.jumps.mu.Lock()
	defer a.jumps.mu.Unlock()
	shared := &sharedJump{conn: s, under: under}
	if a.jumps.all == nil {
		a.jumps.all = map[int64]*sharedJump{}
	}
	a.jumps.all[host.ID] = shared
	return a.jumps.share(host, shared, place), nil
}

type failedJump struct {
	at  time.Time
	err error
}

// openJump logs in to a jump host by the rules that hold for every login.
func (r *Run) openJump(ctx context.Context, host Device, under *passage) (jumpConn, error) {
	free, err := r.access.sessions.take(ctx, host.ID)
	if err != nil {
		return nil, err
	}
	defer free()
	l := &login{r: r, a: r.access, net: r.network(), way: under, isJump: true, credential: host.Credential}
	s, err := l.open(ctx, host.ID)
	if err != nil {
		return nil, err
	}
	return s.jump, nil
}

// CheckJumps says, a sentence each, which scopes have a jump host that is not
// there, or one that is to be reached through itself.
func (a *Access) CheckJumps(ctx context.Context) ([]string, error) {
	n := a.o.Network()
	var wrong []string
	err := a.o.Store.View(ctx, func(tx Reader) error {
		for _, sc := range n.Scopes {
			if sc.Jump.Host == "" || sc.Jump.Credential != "" {
				continue
			}
			host, err := findJump(tx, sc.Jump)
			if errors.Is(err, ErrNoDevice) {
				wrong = append(wrong, fmt.Sprintf("scope %s: there is no jump host %s in the inventory. Add it: muster device add ADDRESS --name %s", sc.Name, sc.Jump.Host, sc.Jump.Host))
				continue
			}
			if err != nil {
				return err
			}
			ring := []Device{host}
			for at := host; ; {
				j := n.jumpOf(at)
				if j.Host == "" || j.Credential != "" {
					break
				}
				next, err := findJump(tx, j)
				if errors.Is(err, ErrNoDevice) || err == nil && next.ID == at.ID {
					break
				}
				if err != nil {
					return err
				}
				ring = append(ring, next)
				if next.ID == host.ID {
					wrong = append(wrong, fmt.Sprintf("scope %s: %s", sc.Name, loopDo(ring)))
					break
				}
				if len(ring) > len(n.Scopes)+1 {
					break // a ring further on, which its own scope tells of
				}
				at = next
			}
		}
		return nil
	})
	return wrong, err
}
