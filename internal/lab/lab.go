// Package lab plays a network on loopback: SNMP agents and SSH command lines of
// the platforms below, for the demo and for tests.
//
// One more platform is a text in platforms/, an entry of models and one of dialects.
//
// A [Network] is started from a list of [Device] and torn down by Close. Each
// device has an address of its own in one 127.x.y.0/24, and every device uses the
// same two ports. While it runs, controls change what a device says or how it
// fails ([Network.Change], [Network.Stop], [Network.Freeze], …), each with its
// reverse, and questions tell the truth from inside ([Network.Config],
// [Network.LoginLog], [Network.Commands]), past SSH and SNMP.
//
// lab imports nothing of muster's own: code shared with the program under test
// would agree with its mistakes. It has its own BER, USM and shells. All secrets
// in it are made up and say so.
//
// Misuse in a test (a device that does not exist, an unsaved change where commit
// is save) panics with a sentence that names it.
package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Platform is what a device runs, by the names of muster's platform definitions.
type Platform string

// The platforms that the lab plays.
const (
	IOSXE   Platform = "cisco_iosxe"
	IOS     Platform = "cisco_ios"
	EOS     Platform = "arista_eos"
	Junos   Platform = "juniper_junos"
	FortiOS Platform = "fortinet_fortios"
	FRR     Platform = "frr"

	NXOS     Platform = "cisco_nxos"
	ASA      Platform = "cisco_asa"
	RouterOS Platform = "mikrotik_routeros"
	ProCurve Platform = "hp_procurve"
	AOSCX    Platform = "aruba_aoscx"
	VRP      Platform = "huawei_vrp"
	PANOS    Platform = "paloalto_panos"
	IOSXR    Platform = "cisco_iosxr"
	SMB      Platform = "cisco_smb"
	VyOS     Platform = "vyos"
	TMOS     Platform = "f5_tmos"
	OS10     Platform = "dell_os10"
	EXOS     Platform = "extreme_exos"
	Onyx     Platform = "mellanox_onyx"
	VSOL     Platform = "vsol_olt"
	SonicOS  Platform = "sonicwall_sonicos"
	QNOS     Platform = "quanta_qnos"
)

// What a Device has where its fields are empty, and what Demo gives its devices.
const (
	User      = "backup"
	Password  = "fake-login-password"
	Enable    = "fake-enable-password" // only where Device.Enable says so
	Community = "fake-community"
)

// Options says what network to play.
type Options struct {
	// Base is the address below the first device's: device i (from 0) has the
	// i-th usable address above it. Zero: a free 127.64.0.0…127.127.255.0 block.
	Base              netip.Addr
	SNMPPort, SSHPort uint16 // 0: a free one; the same for all devices
	Devices           []Device
	Links             []Link // LLDP tells of them at both ends
	SharedHostKey     bool   // one host key for all: starts hundreds of devices faster
	Hold              []Fault
}

// Device is the specification of one device. The zero value of every field but
// Name is usable.
type Device struct {
	Name     string   // host name, sysName and prompt; unique in the network
	Platform Platform // empty: IOSXE

	Model, Version, Serial string // empty: usual ones of the platform; serials are unique

	User, Password string // empty: the constants User and Password
	// Enable is the password of the privileged level (IOS, IOS-XE, EOS, ASA, ProCurve).
	// Empty: logins are privileged at once, and enable on EOS and ASA asks nothing.
	Enable string
	// Auth are the SSH methods offered, of password, keyboard-interactive and
	// publickey. Empty: the first two, and publickey where Keys are given.
	Auth   []string
	Keys   []ssh.PublicKey // accepted for User
	Banner string          // SSH banner, sent before authentication; LF line ends
	Motd   string          // printed after login, before the first prompt; LF line ends
	Legacy bool            // offers only diffie-hellman-group14-sha1, aes128-cbc, hmac-sha1

	// Community is answered over v1 and v2c. Empty: the constant Community,
	// unless SNMPUsers are given: then v3 alone is answered.
	Community string
	SNMPUsers []SNMPUser
	NoSNMP    bool // SNMP is never answered
	// SysDescr and SysObjectID replace the platform's, for agents that give no hint.
	SysDescr, SysObjectID string

	// Site is told as sysLocation's first word. Empty: lab.
	Site string
	// Members are the switches of a stack (IOS-XE): each has a chassis and a serial
	// of its own. 0: one.
	Members int

	Size int // bytes of running config to grow to, about; 0: as the interfaces make it, 3…10 kB

	// Rogue makes an SSH server that lets anyone in and notes whether a password
	// reached it (see Network.PasswordSeen). It answers no SNMP.
	Rogue bool
}

// SNMPUser is one USM user. Auth is one of "", md5, sha, sha224, sha256, sha384,
// sha512; Priv one of "", des, aes, aes192, aes256 (keys extended as
// draft-blumenthal-aes-usm-04 says), aes192c, aes256c (as draft-reeder does, Cisco's).
type SNMPUser struct {
	Name, Auth, AuthPassword, Priv, PrivPassword string
}

// Link is a cable between ports (ifName) of two devices.
type Link struct {
	A, APort string
	B, BPort string
}

// Network is a running lab. All methods may be called from any goroutine.
type Network struct {
	opt      Options
	base     netip.Addr
	snmpPort uint16
	sshPort  uint16
	nodes    []*node
	byName   map[string]*node
	started  time.Time
	passKeys *passwordKeys

	ctx       context.Context // ends with the network
	cancel    context.CancelFunc
	stopAfter func() bool // takes the hook off the caller's context
	wg        sync.WaitGroup
	closeOnce sync.Once

	mu      sync.Mutex // guards held and closing
	held    map[Fault]bool
	closing bool
}

// Start plays the network until ctx ends or Close is called. Close is to be
// called in either case: it waits until nothing of the network is left.
func Start(ctx context.Context, o Options) (*Network, error) {
	n := &Network{opt: o, byName: map[string]*node{}, held: map[Fault]bool{}, started: time.Now(), passKeys: &passwordKeys{}}
	for _, f := range o.Hold {
		n.Hold(f)
	}
	if err := n.plan(); err != nil {
		return nil, err
	}
	n.ctx, n.cancel = context.WithCancel(ctx)
	if err := n.open(); err != nil {
		n.Close()
		return nil, err
	}
	n.stopAfter = context.AfterFunc(ctx, n.hangUp)
	return n, nil
}

// plan makes the nodes of the specifications; addresses come later.
func (n *Network) plan() error {
	var shared ssh.Signer
	for i, spec := range n.opt.Devices {
		d, err := newNode(n, i, spec)
		if err != nil {
			return err
		}
		if n.byName[d.spec.Name] != nil {
			return fmt.Errorf("lab: two devices named %q", d.spec.Name)
		}
		if shared == nil || !n.opt.SharedHostKey {
			if shared, err = newHostKey(); err != nil {
				return err
			}
		}
		d.signer = shared
		n.nodes = append(n.nodes, d)
		n.byName[d.spec.Name] = d
	}
	for i, l := range n.opt.Links {
		a, b := n.byName[l.A], n.byName[l.B]
		if a == nil || b == nil {
			return fmt.Errorf("lab: link %s %s to %s %s: no such device", l.A, l.APort, l.B, l.BPort)
		}
		pa, pb := a.port(l.APort), b.port(l.BPort)
		if pa == nil || pb == nil {
			return fmt.Errorf("lab: link %s %s to %s %s: no such port", l.A, l.APort, l.B, l.BPort)
		}
		pa.peer, pa.peerPort, pb.peer, pb.peerPort = b, pb, a, pa
		addressLinks(i, pa, pb, a, b)
	}
	return nil
}

// open finds addresses and ports that are free and binds all devices to them.
func (n *Network) open() error {
	var last error
	for range 50 {
		n.base, n.snmpPort, n.sshPort = n.opt.Base, n.opt.SNMPPort, n.opt.SSHPort
		if !n.base.IsValid() {
			n.base = randomBase()
		}
		if n.snmpPort == 0 {
			n.snmpPort = randomPort()
		}
		if n.sshPort == 0 {
			n.sshPort = randomPort()
		}
		if last = n.bind(); last == nil {
			for _, d := range n.nodes {
				d.serve()
			}
			return nil
		}
		for _, d := range n.nodes {
			d.unbind()
		}
		if n.opt.Base.IsValid() && n.opt.SNMPPort != 0 && n.opt.SSHPort != 0 {
			break
		}
	}
	return fmt.Errorf("lab: %w", last)
}

func (n *Network) bind() error {
	addr := n.base
	for _, d := range n.nodes {
		for {
			addr = addr.Next()
			if last := addr.As4()[3]; last != 0 && last != 255 {
				break
			}
		}
		if !addr.IsLoopback() {
			return fmt.Errorf("%s is no loopback address", addr)
		}
		d.addr = addr
		if err := d.bind(); err != nil {
			return err
		}
	}
	return nil
}

// hangUp ends all that runs without waiting for it.
func (n *Network) hangUp() {
	n.mu.Lock()
	n.closing = true
	n.mu.Unlock()
	n.cancel()
	for _, d := range n.nodes {
		d.unbind()
	}
}

// Close ends the network: sockets are closed, sessions die, and no goroutine is
// left when it returns. It may be called more than once.
func (n *Network) Close() error {
	n.closeOnce.Do(func() {
		if n.stopAfter != nil {
			n.stopAfter()
		}
		n.hangUp()
		n.wg.Wait()
	})
	return nil
}

// Devices tells what is played, defaults filled in, in the order of the addresses.
func (n *Network) Devices() []Device {
	out := make([]Device, len(n.nodes))
	for i, d := range n.nodes {
		out[i] = d.spec
	}
	return out
}

// Prefix is the block that holds the devices' addresses: a /24, or a shorter
// prefix when there are more devices than it holds.
func (n *Network) Prefix() netip.Prefix {
	last := n.base
	if len(n.nodes) > 0 {
		last = n.nodes[len(n.nodes)-1].addr
	}
	for bits := 24; ; bits-- {
		p, err := n.base.Prefix(bits)
		if err != nil || p.Contains(last) {
			return p
		}
	}
}

// SNMPPort is the UDP port of all devices.
func (n *Network) SNMPPort() uint16 { return n.snmpPort }

// SSHPort is the TCP port of all devices.
func (n *Network) SSHPort() uint16 { return n.sshPort }

// Addr is the device's address.
func (n *Network) Addr(name string) netip.Addr { return n.node(name).addr }

// SSH is where the device's SSH server listens.
func (n *Network) SSH(name string) netip.AddrPort {
	return netip.AddrPortFrom(n.node(name).addr, n.sshPort)
}

// SNMP is where the device's agent listens.
func (n *Network) SNMP(name string) netip.AddrPort {
	return netip.AddrPortFrom(n.node(name).addr, n.snmpPort)
}

func (n *Network) node(name string) *node {
	d := n.byName[name]
	if d == nil {
		panic(fmt.Sprintf("lab: there is no device named %q", name))
	}
	return d
}
