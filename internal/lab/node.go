package lab

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// node is one running device.
type node struct {
	net     *Network
	spec    Device // defaults filled in
	index   int
	addr    netip.Addr
	ports   []*port
	dialect *dialect
	agent   *agent
	udp     *net.UDPConn

	mu         sync.Mutex // guards all below
	signer     ssh.Signer
	password   string
	listener   net.Listener
	conns      map[net.Conn]bool
	stopped    bool
	rejecting  bool
	truncating bool
	cutting    bool // connections close in mid-output
	frozen     Stage
	latency    time.Duration
	offered    bool // a password or an answer to a question arrived
	logins     []Login
	commands   []string
	answers    map[string]string // of commands that do not answer as usual
	texts      texts
}

func newNode(n *Network, index int, spec Device) (*node, error) {
	if spec.Name == "" {
		return nil, fmt.Errorf("lab: device %d has no name", index)
	}
	if spec.Platform == "" {
		spec.Platform = IOSXE
	}
	d := &node{net: n, index: index, conns: map[net.Conn]bool{}, answers: map[string]string{}, dialect: dialects[spec.Platform]}
	if d.dialect == nil {
		return nil, fmt.Errorf("lab: %s: the lab does not play platform %q", spec.Name, spec.Platform)
	}
	hardware := models[spec.Platform]
	orElse(&spec.Model, hardware.model)
	orElse(&spec.Version, hardware.version)
	orElse(&spec.Serial, fmt.Sprintf(hardware.serial, index+1))
	orElse(&spec.User, User)
	orElse(&spec.Password, Password)
	if len(spec.SNMPUsers) == 0 {
		orElse(&spec.Community, Community)
	}
	if len(spec.Auth) == 0 {
		spec.Auth = []string{"password", "keyboard-interactive"}
		if len(spec.Keys) > 0 || spec.Rogue {
			spec.Auth = append(spec.Auth, "publickey")
		}
	}
	for _, m := range spec.Auth {
		if m != "password" && m != "keyboard-interactive" && m != "publickey" {
			return nil, fmt.Errorf("lab: %s: unknown authentication method %q", spec.Name, m)
		}
	}
	for _, u := range spec.SNMPUsers {
		newHash, _ := authHash(u.Auth)
		switch {
		case u.Auth != "" && newHash == nil, u.Priv != "" && privKeyLen(u.Priv) == 0, u.Auth == "" && u.Priv != "":
			return nil, fmt.Errorf("lab: %s: SNMP user %s: unknown protocols %q, %q", spec.Name, u.Name, u.Auth, u.Priv)
		case u.Auth != "" && u.AuthPassword == "", u.Priv != "" && u.PrivPassword == "":
			return nil, fmt.Errorf("lab: %s: SNMP user %s has no password", spec.Name, u.Name)
		}
	}
	d.spec, d.password = spec, spec.Password
	d.makePorts()
	d.texts.start(n.started, index)
	d.agent = &agent{node: d, engine: d.engineID()}
	return d, nil
}

func orElse(s *string, usual string) {
	if *s == "" {
		*s = usual
	}
}

// randomBase picks a /24 of 127.64.0.0/10 for a network.
func randomBase() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(64 + mrand.IntN(64)), byte(mrand.IntN(256)), 0})
}

// randomPort picks a port below those that the kernel gives to clients.
func randomPort() uint16 { return uint16(20000 + mrand.IntN(12000)) }

func newHostKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// bind takes the device's two sockets.
func (d *node) bind() error {
	ip := net.IP(d.addr.AsSlice())
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip, Port: int(d.net.snmpPort)})
	if err != nil {
		return err
	}
	d.udp = udp
	return d.listen()
}

func (d *node) listen() error {
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IP(d.addr.AsSlice()), Port: int(d.net.sshPort)})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listener = tcp
	return nil
}

// unbind closes sockets and sessions.
func (d *node) unbind() {
	if d.udp != nil {
		_ = d.udp.Close()
	}
	d.disconnect()
}

// disconnect closes the listener and all sessions.
func (d *node) disconnect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
	}
	for c := range d.conns {
		_ = c.Close()
	}
}

// serve answers on both sockets until they are closed.
func (d *node) serve() {
	d.net.wg.Go(d.serveSNMP)
	d.serveSSH()
}

func (d *node) serveSSH() {
	d.mu.Lock()
	l := d.listener
	d.mu.Unlock()
	if l == nil {
		return
	}
	d.net.wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // a client that left before it was taken
				continue
			}
			if !d.admit(c) {
				_ = c.Close()
				continue
			}
			d.net.wg.Go(func() {
				defer d.drop(c)
				d.connection(c)
			})
		}
	})
}

// admit notes a connection, so that disconnect finds it.
func (d *node) admit(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener == nil || d.net.ctx.Err() != nil {
		return false
	}
	d.conns[c] = true
	return true
}

func (d *node) drop(c net.Conn) {
	_ = c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

func (d *node) serveSNMP() {
	buf := make([]byte, 65536)
	for {
		size, from, err := d.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP error of an earlier answer
			continue
		}
		d.mu.Lock()
		silent, wait := d.stopped, d.latency
		d.mu.Unlock()
		if silent {
			continue
		}
		answer, delay := d.agent.answer(buf[:size])
		if answer == nil {
			continue
		}
		if wait += delay; wait == 0 {
			_, _ = d.udp.WriteToUDPAddrPort(answer, from)
			continue
		}
		d.net.wg.Go(func() {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
				_, _ = d.udp.WriteToUDPAddrPort(answer, from)
			case <-d.net.ctx.Done():
			}
		})
	}
}

// is reads one of the node's flags.
func (d *node) is(flag *bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *flag
}

func (d *node) frozenAt(s Stage) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen == s
}

func (d *node) latencyNow() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.latency
}
