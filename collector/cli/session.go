// Package cli talks to a device's command line: SSH transport, host keys,
// algorithms, login, the dialogue with its prompt and pager, exec requests and
// files by SFTP.
//
// A [Session] ends when its context ends; whatever a device does, no goroutine
// and no socket stays behind. What comes back is the exact text that the device
// printed, without echo, prompt, pager and escapes, or a [collector.Error].
package cli

import (
	"context"
	"errors"

	"muster/collector"
)

// Options are the hooks by which a session tells its caller what happens.
// The zero value is fine.
type Options struct {
	// HostKey is called with a key that the device proved to have and that is not
	// pinned, where the policy is accept-new and nothing is pinned yet. An error
	// refuses the key. nil: accepted for this session only.
	HostKey func(key collector.HostKey) error
	// Progress is called at the start of every step.
	Progress func(step collector.Step, detail string)
}

// Output is a command's answer.
type Output struct {
	Text       []byte // as the device printed it, LF line ends; no echo, prompt, pager, escapes
	ExitStatus int    // of an exec request; -1: not told, or a shell
}

// Negotiated is what the two sides agreed on, and whether any of it is weak.
type Negotiated struct {
	KeyExchange string `json:"key_exchange"`
	HostKey     string `json:"host_key"`
	Cipher      string `json:"cipher"`
	MAC         string `json:"mac"`
	Weak        bool   `json:"weak"` // true: the modern profile would not have it
}

// Session is one authenticated connection to one device. It is used from one
// goroutine; Close may be called from any.
type Session struct{}

// Open connects to t, checks its host key, logs in with t.Credential and, unless
// d.ExecOnly, opens a shell, learns the prompt, gets the privilege and turns
// paging off. ctx bounds the whole session, not only Open.
//
// The error is a *collector.Error. Passwords leave only after the host key was
// accepted.
func Open(ctx context.Context, t collector.Target, d Dialogue, o Options) (*Session, error) {
	return nil, errors.New("not built yet")
}

// Run sends one command and returns its whole answer.
func (s *Session) Run(ctx context.Context, command string) (Output, error) {
	return Output{}, errors.New("not built yet")
}

// Exec sends one command as an exec request on a channel of its own.
func (s *Session) Exec(ctx context.Context, command string) (Output, error) {
	return Output{}, errors.New("not built yet")
}

// File reads one file by SFTP, at most t.Limits.MaxBytes.
func (s *Session) File(ctx context.Context, path string) ([]byte, error) {
	return nil, errors.New("not built yet")
}

// Hostname is the name in the learned prompt; empty before one was learned.
func (s *Session) Hostname() string { return "" }

// Steps are the steps so far, in order, with their times.
func (s *Session) Steps() []collector.StepTime { return nil }

// Negotiated tells the algorithms of the connection.
func (s *Session) Negotiated() Negotiated { return Negotiated{} }

// Method is the authentication method that worked: "publickey", "password" or
// "keyboard-interactive".
func (s *Session) Method() string { return "" }

// Close ends the session: politely where the shell is at its prompt, in any case
// at once. It is idempotent.
func (s *Session) Close() error { return nil }
