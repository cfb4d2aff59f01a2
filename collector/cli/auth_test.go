package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
	"muster/internal/secret"
)

// privateKey is an ed25519 key as OpenSSH writes it.
func privateKey(t *testing.T, seed byte, passphrase string) (secret.Value, ssh.PublicKey) {
	t.Helper()
	k := ed25519.NewKeyFromSeed(bytesOf(seed))
	block, err := ssh.MarshalPrivateKey(k, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(k, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(pem.EncodeToMemory(block))), pub
}

// asking answers keyboard-interactive with these rounds; an answer to the first
// question decides.
func asking(rounds ...[]string) func(ssh.KeyboardInteractiveChallenge) error {
	return func(ask ssh.KeyboardInteractiveChallenge) error {
		for _, questions := range rounds {
			echos := make([]bool, len(questions))
			for i, q := range questions {
				echos[i] = strings.HasPrefix(q, "+")
				questions[i] = strings.TrimPrefix(q, "+")
			}
			answers, err := ask("", "", questions, echos)
			if err != nil {
				return err
			}
			if len(answers) > 0 && answers[0] != testPassword {
				return errDenied
			}
		}
		return nil
	}
}

func TestLogin(t *testing.T) {
	key, pub := privateKey(t, 7, "")
	locked, lockedPub := privateKey(t, 8, "open sesame")
	_, otherPub := privateKey(t, 9, "")
	type creds struct {
		password bool
		key      secret.Value
		pass     string
		method   string
	}
	pw := creds{password: true}
	wrong := func(string) error { return errDenied }
	tests := map[string]struct {
		device   *device
		creds    creds
		method   string
		attempts string
		kind     collector.Kind
		do       string
	}{
		"password":                           {&device{password: true}, pw, "password", "password+", "", ""},
		"password rejected":                  {&device{password: true, verdict: wrong}, pw, "", "password-", collector.ErrLoginRejected, "muster secret set NAME), then run muster device retry edge-r1"},
		"one attempt where both are offered": {&device{password: true, verdict: wrong, asks: asking([]string{"Password: "})}, pw, "", "password-", collector.ErrLoginRejected, "muster device retry"},
		"hung up on the password":            {&device{password: true, verdict: wrong, config: func(c *ssh.ServerConfig) { c.MaxAuthTries = 1 }}, pw, "", "password-", collector.ErrLoginRejected, "muster device retry"},
		"no password to give":                {&device{password: true}, creds{}, "", "", collector.ErrLoginRejected, "it offers password"},
		"key":                                {&device{users: pub}, creds{key: key}, "publickey", "publickey+", "", ""},
		"key with passphrase":                {&device{users: lockedPub}, creds{key: locked, pass: "open sesame"}, "publickey", "publickey+", "", ""},
		"key refused":                        {&device{users: otherPub}, creds{key: key}, "", "publickey-", collector.ErrLoginRejected, "Add the public key of credential noc to account backup"},
		"key refused, then password":         {&device{users: otherPub, password: true}, creds{key: key, password: true}, "password", "publickey- password+", "", ""},
		"key first":                          {&device{users: pub, password: true}, creds{key: key, password: true}, "publickey", "publickey+", "", ""},
		"only the method that worked":        {&device{users: pub, password: true}, creds{key: key, password: true, method: "password"}, "password", "password+", "", ""},
		"the method is not offered any more": {&device{users: pub}, creds{key: key, password: true, method: "password"}, "publickey", "publickey+", "", ""},
		"the way of the password changed":    {&device{asks: asking([]string{"Password: "})}, creds{password: true, method: "password"}, "keyboard-interactive", "keyboard-interactive+", "", ""},
		"the key is not asked for any more":  {&device{password: true, asks: asking([]string{"Password: "})}, creds{key: key, password: true, method: "publickey"}, "password", "password+", "", ""},
		"the key that worked is refused":     {&device{users: otherPub, password: true}, creds{key: key, password: true, method: "publickey"}, "", "publickey-", collector.ErrLoginRejected, "Add the public key"},
		"passphrase missing":                 {&device{users: lockedPub}, creds{key: locked}, "", "", collector.ErrNeedsCredential, "passphrase"},
		"passphrase wrong":                   {&device{users: lockedPub}, creds{key: locked, pass: "nope"}, "", "", collector.ErrNeedsCredential, "passphrase"},
		"no key at all":                      {&device{users: pub}, creds{key: secret.New("garbage")}, "", "", collector.ErrNeedsCredential, "PEM or OpenSSH"},
		"keyboard-interactive":               {&device{asks: asking([]string{"Password: "})}, pw, "keyboard-interactive", "keyboard-interactive+", "", ""},
		"with a text before and after":       {&device{asks: asking(nil, []string{"(backup@r1) Password: "}, nil)}, pw, "keyboard-interactive", "keyboard-interactive+", "", ""},
		"rejected": {&device{asks: func(ask ssh.KeyboardInteractiveChallenge) error {
			_, _ = ask("", "", []string{"Password: "}, []bool{false})
			return errDenied
		}}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "muster device retry"},
		"asked a second time": {&device{asks: asking([]string{"Password: "}, []string{"Password: "})}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "muster device retry"},
		"several questions":   {&device{asks: asking([]string{"Password: ", "Token: "})}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "single password question"},
		"an echoing question": {&device{asks: asking([]string{"+Password: "})}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "single password question"},
		"another question":    {&device{asks: asking([]string{"Verification code: "})}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "single password question"},
		"a one-time password": {&device{asks: asking([]string{"One-time password (OATH): "})}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "single password question"},
		"a new password":      {&device{asks: asking([]string{"New password: "})}, pw, "", "keyboard-interactive-", collector.ErrLoginRejected, "single password question"},
		"none":                {&device{config: func(c *ssh.ServerConfig) { c.NoClientAuth = true }}, pw, "none", "none+", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.device.shell = prompting("r1# ", nil)
			tt.device.start(t)
			target := tt.device.target()
			target.Credential = collector.Credential{Name: "noc", User: "backup", Key: tt.creds.key, Passphrase: secret.New(tt.creds.pass)}
			if tt.creds.password {
				target.Credential.Password = secret.New(testPassword)
			}
			var attempts []string
			s, err := Open(context.Background(), target, plainDialogue(), Options{Method: tt.creds.method, Attempt: func(m string, ok bool) {
				attempts = append(attempts, m+map[bool]string{true: "+", false: "-"}[ok])
			}})
			if got := strings.Join(attempts, " "); got != tt.attempts {
				t.Errorf("attempts %q, want %q", got, tt.attempts)
			}
			if n := tt.device.did("password"); n > 1 || n+tt.device.did("keyboard-interactive") > 1 {
				t.Errorf("more than one login with a password: %v", tt.device.log)
			}
			if tt.kind != "" {
				if e := wantError(t, err, collector.StepLogin, tt.kind); !strings.Contains(e.Do, tt.do) {
					t.Errorf("Do = %q, want %q in it", e.Do, tt.do)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if s.Method() != tt.method {
				t.Errorf("method %q, want %q", s.Method(), tt.method)
			}
		})
	}
}

func pinned(s ssh.Signer) collector.HostKey { return hostKey(s.PublicKey()) }

// A key that is not the pinned one stops the session before a password leaves,
// with both fingerprints; so does a rogue server under strict, and one that the
// caller refuses.
func TestNoPasswordBeforeTheHostKeyIsAccepted(t *testing.T) {
	right, rogue, third := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.NewSignerFromKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		shows  ssh.Signer
		more   ssh.Signer
		policy collector.SSHPolicy
		hook   error
		kind   collector.Kind
		text   []string
		asked  int
	}{
		"pinned":              {shows: right, policy: collector.SSHPolicy{Pinned: []collector.HostKey{pinned(right)}}},
		"pinned and strict":   {shows: right, policy: collector.SSHPolicy{HostKeys: collector.Strict, Pinned: []collector.HostKey{pinned(right)}}},
		"two of one type":     {shows: rogue, policy: collector.SSHPolicy{Pinned: []collector.HostKey{pinned(right), pinned(rogue)}}},
		"pinned type of two":  {shows: right, more: other, policy: collector.SSHPolicy{Pinned: []collector.HostKey{pinned(other)}}},
		"accepted new":        {shows: right, asked: 1},
		"changed":             {shows: rogue, policy: collector.SSHPolicy{Pinned: []collector.HostKey{pinned(right), pinned(third)}}, kind: collector.ErrHostKeyChanged, text: []string{pinned(right).Fingerprint, pinned(third).Fingerprint, pinned(rogue).Fingerprint, "muster device accept-key edge-r1", "muster device replace edge-r1"}},
		"changed to a type":   {shows: other, policy: collector.SSHPolicy{Pinned: []collector.HostKey{pinned(right)}}, kind: collector.ErrHostKeyChanged, text: []string{pinned(other).Fingerprint}},
		"changed, strict":     {shows: rogue, policy: collector.SSHPolicy{HostKeys: collector.Strict, Pinned: []collector.HostKey{pinned(right)}}, kind: collector.ErrHostKeyChanged},
		"unknown, strict":     {shows: rogue, policy: collector.SSHPolicy{HostKeys: collector.Strict}, kind: collector.ErrHostKeyUnknown, text: []string{pinned(rogue).Fingerprint, "accept-key"}},
		"refused by the hook": {shows: rogue, hook: fmt.Errorf("known from another device"), kind: collector.ErrHostKeyUnknown, asked: 1},
		"a hook with a kind":  {shows: rogue, hook: collector.ErrNeedsDecision, kind: collector.ErrNeedsDecision, asked: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &device{key: tt.shows, password: true, asks: asking([]string{"Password: "}), shell: prompting("r1# ", nil)}
			if tt.more != nil {
				d.config = func(c *ssh.ServerConfig) { c.AddHostKey(tt.more) }
			}
			d.start(t)
			target := d.target()
			target.SSH = tt.policy
			asked := 0
			s, err := Open(context.Background(), target, plainDialogue(), Options{HostKey: func(k collector.HostKey) error {
				asked++
				if !sameKey(k, pinned(tt.shows)) {
					t.Errorf("asked about %v", k)
				}
				return tt.hook
			}})
			if asked != tt.asked {
				t.Errorf("the hook was asked %d times, want %d", asked, tt.asked)
			}
			if tt.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				if want := pinned(tt.shows); tt.more == nil && !sameKey(s.HostKey(), want) {
					t.Errorf("host key %v, want %v", s.HostKey(), want)
				}
				return
			}
			e := wantError(t, err, collector.StepHostKey, tt.kind)
			for _, text := range tt.text {
				if !strings.Contains(e.Error(), text) {
					t.Errorf("%q is not in %v", text, e)
				}
			}
			if n := d.did("password") + d.did("keyboard-interactive"); n > 0 {
				t.Errorf("a password was sent: %v", d.log)
			}
		})
	}
}

// The second connection of a session takes no other key than the first.
func TestSecondConnectionHoldsTheHostKey(t *testing.T) {
	d := (&device{key: newKey(t, 1), shell: prompting("r1# ", nil), exec: func(tt *tty, _ string) int { tt.puts("x\n"); return 0 }}).start(t)
	s := mustOpen(t, d.target(), plainDialogue(), Options{})
	d.mu.Lock()
	d.key = newKey(t, 2)
	d.mu.Unlock()
	_, err := s.Exec(context.Background(), "show version")
	_ = wantError(t, err, collector.StepHostKey, collector.ErrHostKeyChanged)
	if n := d.did("password"); n != 1 {
		t.Errorf("%d passwords sent, want 1", n)
	}
}

// A failover in the middle of a session: the other unit's key is accepted, so that
// nobody has to look at it, but its text is not put to the first one's.
func TestAnotherUnitOfTheDeviceIsNoChangedKey(t *testing.T) {
	d := (&device{key: newKey(t, 1), shell: prompting("r1# ", nil), exec: func(tt *tty, _ string) int { tt.puts("x\n"); return 0 }}).start(t)
	target := d.target()
	target.SSH.Pinned = []collector.HostKey{pinned(newKey(t, 1)), pinned(newKey(t, 2))}
	s := mustOpen(t, target, plainDialogue(), Options{})
	d.mu.Lock()
	d.key = newKey(t, 2)
	d.mu.Unlock()
	_, err := s.Exec(context.Background(), "show version")
	if e := wantError(t, err, collector.StepHostKey, collector.ErrIncomplete); !strings.Contains(e.Do, "failover") || !strings.Contains(e.Seen, pinned(newKey(t, 2)).Fingerprint) {
		t.Errorf("%v", e)
	}
	if n := d.did("password"); n != 1 {
		t.Errorf("%d passwords sent, want 1", n)
	}
}

// Every name of a profile is one that the library knows, in the order that the
// profile promises: it drops unknown names without a word.
func TestProfilesNameKnownAlgorithms(t *testing.T) {
	good, bad := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	lists := func(a *algorithms) [][]string { return [][]string{a.kex, a.ciphers, a.macs, a.hostKeys, a.keys} }
	known := [][][]string{{good.KeyExchanges, bad.KeyExchanges}, {good.Ciphers, bad.Ciphers}, {good.MACs, bad.MACs}, {good.HostKeys, bad.HostKeys}, {good.PublicKeyAuths, bad.PublicKeyAuths}}
	for _, p := range profiles {
		for i, list := range lists(p.allow) {
			old := false
			for _, name := range list {
				supported, insecure := slices.Contains(known[i][0], name), slices.Contains(known[i][1], name)
				if !supported && !insecure {
					t.Errorf("%s: the library does not know %s", p.name, name)
				}
				if insecure && p.name == collector.Modern {
					t.Errorf("modern allows %s", name)
				}
				if supported && old {
					t.Errorf("%s: %s stands behind an old name", p.name, name)
				}
				old = old || insecure
			}
		}
	}
	if allowed("") != &modern || allowed("nonsense") != &modern || allowed(collector.Legacy) != &legacy {
		t.Error("wrong profile")
	}
}

func TestAlgorithms(t *testing.T) {
	old := func(c *ssh.ServerConfig) {
		c.KeyExchanges, c.Ciphers, c.MACs = []string{ssh.InsecureKeyExchangeDH14SHA1}, []string{ssh.CipherAES128CTR}, []string{ssh.HMACSHA1}
	}
	older := func(c *ssh.ServerConfig) {
		c.KeyExchanges, c.Ciphers, c.MACs = []string{ssh.InsecureKeyExchangeDH1SHA1}, []string{ssh.InsecureCipherAES128CBC}, []string{ssh.HMACSHA1}
	}
	tests := map[string]struct {
		config  func(*ssh.ServerConfig)
		profile collector.Algorithms
		weak    bool
		do      string
	}{
		"today's":             {nil, collector.Modern, false, ""},
		"old, modern":         {old, "", false, "muster device set edge-r1 --algorithms compatible"},
		"old, compatible":     {old, collector.Compatible, true, ""},
		"older, compatible":   {older, collector.Compatible, false, "muster device set edge-r1 --algorithms legacy"},
		"older, legacy":       {older, collector.Legacy, true, ""},
		"cipher only, modern": {func(c *ssh.ServerConfig) { c.Ciphers = []string{ssh.InsecureCipherAES128CBC} }, collector.Modern, false, "--algorithms legacy"},
		// Its key exchange alone would fit compatible; its cipher does not.
		"old and older, modern": {func(c *ssh.ServerConfig) {
			c.KeyExchanges, c.Ciphers, c.MACs = []string{ssh.InsecureKeyExchangeDH14SHA1}, []string{ssh.InsecureCipherAES128CBC}, []string{ssh.HMACSHA1}
		}, collector.Modern, false, "muster device set edge-r1 --algorithms legacy"},
		"unknown to all": {func(c *ssh.ServerConfig) { c.Ciphers = []string{ssh.InsecureCipherRC4} }, collector.Legacy, false, "is in no profile"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := (&device{config: tt.config, shell: prompting("r1# ", nil)}).start(t)
			target := d.target()
			target.SSH.Algorithms = tt.profile
			s, err := Open(context.Background(), target, plainDialogue(), Options{})
			if tt.do != "" {
				e := wantError(t, err, collector.StepKeyExchange, collector.ErrNoCommonAlgorithm)
				if !strings.Contains(e.Do, tt.do) || e.Seen == "" {
					t.Errorf("error %v, want %q in it", e, tt.do)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if n := s.Negotiated(); n.Weak != tt.weak || n.KeyExchange == "" || n.Cipher == "" || n.HostKey == "" {
				t.Errorf("negotiated %+v, want weak %t", n, tt.weak)
			}
		})
	}
}

// A device that prints the password that it was given does not get it into an
// error.
func TestPasswordIsInNoError(t *testing.T) {
	t.Parallel()
	d := (&device{shell: func(tt *tty) { tt.puts("login " + testPassword + " " + testEnable + "\r\n$"); tt.freeze() }}).start(t)
	target := d.target()
	target.Limits.Login = 4 * time.Second // until it has said so, however busy the machine is
	_, err := Open(context.Background(), target, plainDialogue(), Options{})
	if e := wantError(t, err, collector.StepPrompt, collector.ErrNoPrompt); !strings.Contains(e.Seen, "login ‹secret› ‹secret›") {
		t.Errorf("Seen = %q", e.Seen)
	}
}

// A passphrase in a wrong key, a device that hangs up: nothing of the library's
// types is needed to tell.
func TestHungUpDuringTheLogin(t *testing.T) {
	t.Parallel()
	var conn net.Conn
	d := &device{password: true, wrap: func(nc net.Conn) net.Conn { conn = nc; return nc }}
	d.verdict = func(string) error { _ = conn.Close(); return errDenied }
	d.start(t)
	var attempts []string
	_, err := Open(context.Background(), d.target(), plainDialogue(), Options{Attempt: func(m string, ok bool) { attempts = append(attempts, fmt.Sprint(m, ok)) }})
	_ = wantError(t, err, collector.StepLogin, collector.ErrClosed)
	if len(attempts) != 1 || attempts[0] != "passwordfalse" {
		t.Errorf("attempts %v: what may have been a refusal has to count", attempts)
	}
}

// Devices lock accounts, so a password that got no answer may have been a refusal.
func TestSecretWithoutAnAnswerCountsAsRefused(t *testing.T) {
	count := func(attempts *[]string) Options {
		return Options{Attempt: func(m string, ok bool) { *attempts = append(*attempts, fmt.Sprint(m, ok)) }}
	}
	silent := func(t *testing.T) *device {
		over := make(chan struct{})
		d := &device{password: true, verdict: func(string) error { <-over; return errDenied }}
		d.start(t)
		t.Cleanup(func() { close(over) })
		return d
	}
	t.Run("until the deadline", func(t *testing.T) {
		t.Parallel()
		target := silent(t).target()
		target.Limits.Login = 2 * time.Second
		var attempts []string
		_, err := Open(context.Background(), target, plainDialogue(), count(&attempts))
		_ = wantError(t, err, collector.StepLogin, collector.ErrTimedOut)
		if len(attempts) != 1 || attempts[0] != "passwordfalse" {
			t.Errorf("attempts %v", attempts)
		}
	})
	t.Run("until somebody stops it", func(t *testing.T) {
		t.Parallel()
		d := silent(t)
		ctx, cancel := context.WithCancel(context.Background())
		verdict := d.verdict
		d.verdict = func(p string) error { cancel(); return verdict(p) }
		var attempts []string
		if _, err := Open(ctx, d.target(), plainDialogue(), count(&attempts)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the cause of the context", err)
		}
		if len(attempts) != 1 || attempts[0] != "passwordfalse" {
			t.Errorf("attempts %v", attempts)
		}
	})
	t.Run("for enable", func(t *testing.T) {
		t.Parallel()
		d := (&device{shell: func(tt *tty) {
			tt.puts("r1>")
			tt.line()
			tt.puts("r1>")
			tt.line()
			tt.puts("Password: ")
			tt.line()
			tt.freeze()
		}}).start(t)
		dialogue := plainDialogue()
		dialogue.Enable = Enable{When: patterns(`>$`)[0], Command: "enable", Asks: patterns(`^Password: $`)[0]}
		target := d.target()
		target.Limits.Login = 2 * time.Second
		var attempts []string
		_, err := Open(context.Background(), target, dialogue, count(&attempts))
		_ = wantError(t, err, collector.StepEnable, collector.ErrTimedOut)
		if len(attempts) != 2 || attempts[1] != "enablefalse" {
			t.Errorf("attempts %v", attempts)
		}
	})
}

func FuzzReadOffer(f *testing.F) {
	f.Add([]byte("welcome\r\nSSH-2.0-old\r\n\x00\x00\x00\x20\x04\x14cookiecookiecookie\x00\x00\x00\x01a"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if o, ok := readOffer(b); ok {
			_ = o.String()
			_ = o.fits(&legacy)
		}
	})
}
