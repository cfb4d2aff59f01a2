package lab

import (
	"fmt"
	"slices"
	"time"
)

// Fault is the name of a control that Hold can make a no-op.
type Fault string

// The five faults of the demo and their five recoveries.
const (
	FaultChange   Fault = "change"
	FaultUnsaved  Fault = "unsaved"
	FaultStop     Fault = "stop"
	FaultReject   Fault = "reject"
	FaultTruncate Fault = "truncate"

	FaultRevert Fault = "revert" // of change
	FaultSave   Fault = "save"   // of unsaved
	FaultResume Fault = "resume" // of stop
	FaultAccept Fault = "accept" // of reject
	FaultWhole  Fault = "whole"  // of truncate
)

// Hold makes a control do nothing from now on, for tests that a check fails
// when a fault or a recovery does not happen.
func (n *Network) Hold(f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held[f] = true
}

// control runs f on the device under its lock, unless the fault is held.
func (n *Network) control(name string, fault Fault, f func(d *node)) {
	d := n.node(name)
	n.mu.Lock()
	held := n.held[fault]
	n.mu.Unlock()
	if held {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// Change changes the configuration, running and saved, by a line and a
// description. Each call adds another line.
func (n *Network) Change(name string) {
	n.control(name, FaultChange, func(d *node) {
		d.texts.changes++
		d.texts.touch(true)
	})
}

// Revert takes Change, Unsaved, Save and the edits back, in running and startup.
func (n *Network) Revert(name string) {
	n.control(name, FaultRevert, func(d *node) {
		t := &d.texts
		t.changes, t.unsaved, t.saved, t.runEdits, t.sttEdits = 0, 0, 0, nil, nil
		t.touch(true)
	})
}

// Unsaved changes running and leaves the startup config (IOS, IOS-XE, EOS, FRR)
// as it is. Each call adds another line.
func (n *Network) Unsaved(name string) {
	n.control(name, FaultUnsaved, func(d *node) {
		if d.dialect.noSaving {
			panic(fmt.Sprintf("lab: %s: %s knows no unsaved change", name, d.spec.Platform))
		}
		d.texts.unsaved++
		d.texts.touch(false)
	})
}

// Save makes running the startup config.
func (n *Network) Save(name string) {
	n.control(name, FaultSave, func(d *node) {
		d.texts.saved, d.texts.sttEdits = d.texts.unsaved, d.texts.runEdits
		d.texts.savedAt = time.Now().UTC().Truncate(time.Second)
		d.texts.writes++
	})
}

// Edit lets f change what every later display of the running config prints. f
// gets the text as it would be (LF line ends) and may ignore it. Edits add up,
// in order, until Revert. f is called with the device locked: it must not ask n.
func (n *Network) Edit(name string, f func(text string) string) {
	n.control(name, "", func(d *node) { d.texts.runEdits = append(slices.Clone(d.texts.runEdits), f) })
}

// EditStartup does the same to the startup config.
func (n *Network) EditStartup(name string, f func(text string) string) {
	n.control(name, "", func(d *node) { d.texts.sttEdits = append(slices.Clone(d.texts.sttEdits), f) })
}

// Answer makes a command print text (LF line ends) and nothing else, also one that
// the platform does not know. Answered is its reverse.
func (n *Network) Answer(name, command, text string) {
	n.control(name, "", func(d *node) { d.answers[command] = text })
}

// Answered gives a command its usual answer back.
func (n *Network) Answered(name, command string) {
	n.control(name, "", func(d *node) { delete(d.answers, command) })
}

// Stop makes the device dead: SNMP silent, SSH refused, sessions cut.
func (n *Network) Stop(name string) {
	n.control(name, FaultStop, func(d *node) { d.stopped = true })
	if d := n.node(name); d.is(&d.stopped) {
		d.disconnect()
	}
}

// Resume ends Stop.
func (n *Network) Resume(name string) error {
	d := n.node(name)
	resumed := false
	n.control(name, FaultResume, func(d *node) { resumed, d.stopped = d.stopped, false })
	if !resumed || !n.enter() {
		return nil
	}
	defer n.wg.Done()
	if err := d.listen(); err != nil {
		return fmt.Errorf("lab: %s: %w", name, err)
	}
	if n.ctx.Err() != nil { // closed meanwhile, perhaps before there was a listener to close
		d.disconnect()
		return nil
	}
	d.serveSSH()
	return nil
}

// enter counts the caller as a goroutine of the network, if that still runs.
func (n *Network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.wg.Add(1)
	return true
}

// RejectLogin makes the device refuse its account (password and keys), or lets it in again.
func (n *Network) RejectLogin(name string, reject bool) {
	f := FaultAccept
	if reject {
		f = FaultReject
	}
	n.control(name, f, func(d *node) { d.rejecting = reject })
}

// Truncate cuts the running config about the middle, each display a little
// elsewhere, the prompt coming as usual; or prints it whole again.
func (n *Network) Truncate(name string, truncate bool) {
	f := FaultWhole
	if truncate {
		f = FaultTruncate
	}
	n.control(name, f, func(d *node) { d.truncating = truncate })
}

// CloseMidOutput ends connections in the middle of the running config, or no longer.
func (n *Network) CloseMidOutput(name string, on bool) {
	n.control(name, "", func(d *node) { d.cutting = on })
}

// Stage is a point of an SSH session from which a device can be silent.
type Stage string

// The stages of Freeze. Thawed is the reverse; a session that froze stays so.
const (
	Thawed   Stage = ""
	AtTCP    Stage = "tcp"    // no identification after the connection
	AtBanner Stage = "banner" // nothing after the identification
	AtKex    Stage = "kex"    // nothing after the key exchange proposal
	AtAuth   Stage = "auth"   // no verdict on a password or key
	AtPrompt Stage = "prompt" // no prompt, and nothing to an exec request
	AtOutput Stage = "output" // half the running config, then nothing
)

// Freeze makes the device silent from a stage on.
func (n *Network) Freeze(name string, at Stage) {
	n.control(name, "", func(d *node) { d.frozen = at })
}

// SetPassword changes the account's login password; Device.Password is its reverse.
func (n *Network) SetPassword(name, password string) {
	n.control(name, "", func(d *node) { d.password = password })
}

// Rekey gives the device a new host key.
func (n *Network) Rekey(name string) error {
	key, err := newHostKey()
	if err != nil {
		return err
	}
	n.control(name, "", func(d *node) { d.signer = key })
	return nil
}

// Latency makes every prompt, answer of the CLI and answer of the agent wait; 0 ends it.
func (n *Network) Latency(name string, wait time.Duration) {
	n.control(name, "", func(d *node) { d.latency = wait })
}

// SetAgentFault makes the SNMP agent misbehave; AgentHealthy ends it.
func (n *Network) SetAgentFault(name string, f AgentFault) {
	a := n.node(name).agent
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = f
}
