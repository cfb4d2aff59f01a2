package lab

import (
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config is the running config as its next display prints it: LF line ends,
// without echo and prompt, whole also while the device truncates.
func (n *Network) Config(name string) string {
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running(d.texts.shows + 1)
}

// Shown is the running config as the last display had it; empty: there was none.
func (n *Network) Shown(name string) string {
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.texts.shown
}

// Startup is the saved configuration: what show startup-config prints, on FRR
// /etc/frr/frr.conf. Empty on Junos and FortiOS.
func (n *Network) Startup(name string) string {
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dialect.noSaving {
		return ""
	}
	return d.startup()
}

// Secrets are all secret values that the device's texts showed so far or are
// about to show, sorted: none of them may be seen outside sealed raw text.
func (n *Network) Secrets(name string) []string {
	_ = n.Config(name)
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]string, 0, len(d.texts.secrets))
	for s := range d.texts.secrets {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// MethodEnable is the Login.Method of a password for the privileged level.
const MethodEnable = "enable"

// Login is one judged attempt to log in. Keyboard-interactive questions left
// open and the method none are no attempts.
type Login struct {
	At       time.Time
	Method   string // password, keyboard-interactive, publickey or MethodEnable
	User     string
	Accepted bool
}

// LoginLog is every attempt to log in, oldest first.
func (n *Network) LoginLog(name string) []Login {
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.logins)
}

// Commands is every command line and exec request that the device received,
// oldest first, and "sftp PATH" for every file asked for.
func (n *Network) Commands(name string) []string {
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.commands)
}

// PasswordSeen says whether a password, an answer to a keyboard-interactive
// question or an enable password ever reached the device.
func (n *Network) PasswordSeen(name string) bool {
	d := n.node(name)
	return d.is(&d.offered)
}

// HostKey is the device's present host key.
func (n *Network) HostKey(name string) ssh.PublicKey {
	d := n.node(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.signer.PublicKey()
}

// AgentCount is what the device's SNMP agent has seen.
func (n *Network) AgentCount(name string) AgentCount {
	a := n.node(name).agent
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}
