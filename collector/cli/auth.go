package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// The authentication methods, as RFC 4252 and RFC 4256 name them.
const (
	methodKey         = "publickey"
	methodPassword    = "password"
	methodInteractive = "keyboard-interactive"
)

// authenticator picks the methods of one login. Devices lock accounts, so at
// most one of them ever carries the password: "password" where the device offers
// it, keyboard-interactive only where it does not. A refused key costs nothing.
//
// All of it runs on the goroutine of the handshake.
type authenticator struct {
	c       *connection
	signer  ssh.Signer // nil: the credential has no key
	current string     // method under way; empty: none yet
	keyUsed bool
	sent    bool // the password has left in this session
	partial int  // methods that the device took as one of several factors
	done    string
}

// errNoAnswer stops a keyboard-interactive round that is no password question.
var errNoAnswer = errors.New("no answer to the device's questions")

var errHungUp = errors.New("the connection ended during the login")

// signer reads the credential's key.
func (c *connection) signer() (ssh.Signer, error) {
	if c.t.Credential.Key.Empty() {
		return nil, nil
	}
	pem, pass := []byte(c.t.Credential.Key.Reveal()), c.t.Credential.Passphrase
	s, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && !pass.Empty() {
		s, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(pass.Reveal()))
	}
	switch {
	case errors.As(err, &locked):
		return nil, c.fail(collector.StepLogin, collector.ErrNeedsCredential, nil,
			fmt.Sprintf("Store the passphrase of the private key of credential %s: %s", c.credential(), c.t.Credential.Kept.Passphrase.Set()), err)
	case err != nil:
		return nil, c.fail(collector.StepLogin, collector.ErrNeedsCredential, nil,
			fmt.Sprintf("Give credential %s a private key in PEM or OpenSSH format, and its right passphrase", c.credential()), err)
	}
	if as, ok := s.(ssh.AlgorithmSigner); ok && s.PublicKey().Type() == ssh.KeyAlgoRSA {
		return ssh.NewSignerWithAlgorithms(as, allowed(c.t.SSH.Algorithms).keys)
	}
	return s, nil
}

// next is called before each attempt, the first included ("none" was refused).
func (a *authenticator) next(m *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if !a.c.hostKeyAccepted() {
		// The library asks about the host key first; a password must not depend on that.
		return nil, a.c.fail(collector.StepLogin, collector.ErrHostKeyUnknown, nil, "Report this as a defect of muster", nil)
	}
	if err := a.judge(m); err != nil {
		return nil, err
	}
	has := func(method string) bool {
		want := a.c.o.Method
		// A method that the device does not offer any more is no reason to give up:
		// nothing has left yet.
		return slices.Contains(m.AllowedMethods, method) && (want == "" || want == method || !slices.Contains(m.AllowedMethods, want))
	}
	secret := !a.c.t.Credential.Password.Empty() && !a.sent
	switch {
	case a.signer != nil && !a.keyUsed && has(methodKey):
		a.current, a.keyUsed = methodKey, true
		return ssh.PublicKeys(a.signer), nil
	case secret && has(methodPassword):
		a.current = methodPassword
		return ssh.PasswordCallback(func() (string, error) {
			a.sent = true
			return a.c.t.Credential.Password.Reveal(), nil
		}), nil
	case secret && has(methodInteractive) && (a.c.o.Method == methodInteractive || !slices.Contains(m.AllowedMethods, methodPassword)):
		a.current = methodInteractive
		return ssh.KeyboardInteractive(a.answer), nil
	}
	return nil, a.noMethod(m)
}

// judge tells what became of the attempt before.
func (a *authenticator) judge(m *ssh.ClientAuthContext) error {
	method := a.current
	if a.c.nc.broken.Load() {
		// The library goes on to the next method also when the connection has gone:
		// that is no verdict on the password.
		return errHungUp
	}
	a.current = ""
	switch {
	case method == "":
		return nil
	case len(m.PartialSuccessMethods) > a.partial:
		a.partial = len(m.PartialSuccessMethods)
		a.c.attempt(method, true)
		return nil
	case method == methodKey:
		a.c.attempt(method, false)
		return nil
	case a.sent:
		a.c.attempt(method, false)
		return a.rejected(method)
	}
	a.c.attempt(method, false) // no password has left, but the device saw a round fail
	return a.c.fail(collector.StepLogin, collector.ErrLoginRejected, []byte(a.done),
		fmt.Sprintf("Let account %s log in to %s with a single password question, or with a key", collector.Escape(a.c.t.Credential.User), a.c.name()), errNoAnswer)
}

func (a *authenticator) rejected(method string) error {
	return a.c.fail(collector.StepLogin, collector.ErrLoginRejected, []byte("refused: "+method), // what follows the word password is masked
		fmt.Sprintf("Store the right password of credential %s (%s), then run muster device retry %s", a.c.credential(), a.c.t.Credential.Kept.Password.Set(), a.c.name()), nil)
}

// noMethod tells why nothing is left to try.
func (a *authenticator) noMethod(m *ssh.ClientAuthContext) error {
	seen := []byte("login methods: " + strings.Join(m.AllowedMethods, ", "))
	do := fmt.Sprintf("Give credential %s what the device asks for (it offers %s), then run muster device retry %s",
		a.c.credential(), collector.Escape(strings.Join(m.AllowedMethods, ", ")), a.c.name())
	switch {
	case a.keyUsed && a.partial == 0:
		do = fmt.Sprintf("Add the public key of credential %s to account %s on the device, then run muster device retry %s",
			a.c.credential(), collector.Escape(a.c.t.Credential.User), a.c.name())
	case a.partial > 0:
		do = fmt.Sprintf("Let account %s log in to %s with a key or a password alone: the device wants a further factor",
			collector.Escape(a.c.t.Credential.User), a.c.name())
	}
	return a.c.fail(collector.StepLogin, collector.ErrLoginRejected, seen, do, nil)
}

// A question for a password, and what only looks like one.
var (
	passwordQuestion = regexp.MustCompile(`(?i)pass ?wor[dt]|kennwort|mot de passe|contrase|senha|密码|密碼`)
	otherQuestion    = regexp.MustCompile(`(?i)one[- ]?time|\botp\b|token|verification|passcode|\bnew\b|change|retype|again|confirm|current|\bold\b|expired`)
)

// answer is asked by keyboard-interactive. It answers one single hidden question
// that looks like one for a password, once; texts without a question need none.
func (a *authenticator) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	q := strings.Join(questions, " / ")
	a.done = q
	if a.sent || len(questions) != 1 || echos[0] || !passwordQuestion.MatchString(q) || otherQuestion.MatchString(q) {
		return nil, errNoAnswer
	}
	a.sent = true
	return []string{a.c.t.Credential.Password.Reveal()}, nil
}
