package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/collector"
	"muster/internal/secret"
)

// controller is a shell that asks for user and password, behind SSH that lets
// everybody in; a wrong answer is asked for again.
func controller(right string) func(*tty) {
	return func(t *tty) {
		t.puts("\r\n(Cisco Controller) \r\n")
		for {
			t.puts("User: ")
			user, ok := t.line()
			if !ok {
				return
			}
			t.puts("Password:")
			password, ok := t.silent()
			if !ok {
				return
			}
			t.puts("********\r\n")
			if user == "backup" && password == right {
				prompting("(wlc1) >", map[string]string{"show sysinfo": "\nProduct Version.. 8.10\n \n"})(t)
				return
			}
		}
	}
}

func TestLoginInsideTheShell(t *testing.T) {
	hangUp := func(said string) func(*tty) {
		return func(t *tty) {
			t.puts("User: ")
			_, _ = t.line()
			t.puts("Password:")
			_, _ = t.silent()
			t.puts(said)
			t.end(1)
		}
	}
	for name, tt := range map[string]struct {
		shell    func(*tty)
		user     string
		attempts string
		kind     collector.Kind
		do       string
		sent     int // passwords
	}{
		"user and password":        {controller(testPassword), "backup", "none+ password+", "", "", 1},
		"a wrong password":         {controller("another"), "backup", "none+ password-", collector.ErrLoginRejected, "muster secret set NAME), then run muster device retry edge-r1", 1},
		"asked for the user twice": {func(t *tty) { t.puts("User: "); _, _ = t.line(); t.puts("User: "); t.freeze() }, "backup", "none+ password-", collector.ErrLoginRejected, "muster device retry", 0},
		"no and hung up":           {hangUp("\r\nAccess denied\r\n"), "backup", "none+ password-", collector.ErrLoginRejected, "muster device retry", 1},
		"hung up without a word":   {hangUp("\r\n"), "backup", "none+ password-", collector.ErrClosed, "Look in the log", 1},
		"nothing is asked":         {prompting("(wlc1) >", map[string]string{"show sysinfo": "Product Version.. 8.10\n"}), "backup", "none+", "", "", 0},
		"another question":         {func(t *tty) { t.puts("New password:"); t.freeze() }, "backup", "none+", collector.ErrTimedOut, "", 0},
		"a user of two lines":      {controller(testPassword), "back\nup", "none+", collector.ErrNeedsCredential, "of one line each", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &device{shell: tt.shell, config: func(c *ssh.ServerConfig) { c.NoClientAuth = true }}
			d.start(t)
			target := d.target()
			target.Credential.User, target.Limits.Login = tt.user, 4*time.Second
			dialogue := plainDialogue()
			dialogue.Prompt, dialogue.AsksLogin = regexp.MustCompile(`^\([\w.\- ]{1,64}\) > ?$`), true
			dialogue.Errors.Noise = patterns(`^\s*$`)
			var attempts, steps []string
			s, err := Open(context.Background(), target, dialogue, Options{
				Attempt:  func(m string, ok bool) { attempts = append(attempts, m+map[bool]string{true: "+", false: "-"}[ok]) },
				Progress: func(step collector.Step, _ string) { steps = append(steps, string(step)) },
			})
			if got := strings.Join(attempts, " "); got != tt.attempts {
				t.Errorf("attempts %q, want %q", got, tt.attempts)
			}
			if n := d.did("> " + testPassword); n != tt.sent {
				t.Errorf("the password was sent %d times: %q", n, d.log)
			}
			if tt.kind != "" {
				if e := wantError(t, err, collector.StepLogin, tt.kind); !strings.Contains(e.Do, tt.do) {
					t.Errorf("Do = %q, want %q in it", e.Do, tt.do)
				}
				if slices.Contains(steps, string(collector.StepPrompt)) {
					t.Errorf("it counts as let in: %q", steps)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if out, err := s.Run(context.Background(), "show sysinfo"); err != nil || string(out.Text) != "Product Version.. 8.10\n" {
				t.Errorf("Run = %q, %v", out.Text, err)
			}
		})
	}
}

func TestAShellThatAsksGetsNothingUnlessThePlatformIsKnownToAsk(t *testing.T) {
	d := &device{shell: controller(testPassword), config: func(c *ssh.ServerConfig) { c.NoClientAuth = true }}
	d.start(t)
	target := d.target()
	target.Limits.Login = 2 * time.Second
	_, err := Open(context.Background(), target, plainDialogue(), Options{})
	_ = wantError(t, err, collector.StepPrompt, collector.ErrNoPrompt)
	if d.did("> "+testPassword) != 0 || d.did("> backup") != 0 {
		t.Errorf("it was answered: %q", d.log)
	}
}

func TestLoginInsideTheShellNeedsAPassword(t *testing.T) {
	d := &device{shell: controller(testPassword), config: func(c *ssh.ServerConfig) { c.NoClientAuth = true }}
	d.start(t)
	target := d.target()
	target.Credential.Password = secret.New("")
	dialogue := plainDialogue()
	dialogue.AsksLogin = true
	_, err := Open(context.Background(), target, dialogue, Options{})
	if e := wantError(t, err, collector.StepLogin, collector.ErrNeedsCredential); !strings.Contains(e.Do, fmt.Sprintf("the shell of %s asks for one", target.Device)) {
		t.Errorf("Do = %q", e.Do)
	}
}

func TestALoginWithoutAPasswordGoesOnWhereTheShellAsksNothing(t *testing.T) {
	d := &device{
		shell:  prompting("edge-r1#", map[string]string{"show sysinfo": "Product Version.. 8.10\n"}),
		config: func(c *ssh.ServerConfig) { c.NoClientAuth = true },
	}
	d.start(t)
	target := d.target()
	target.Credential.Password, target.Limits.Login = secret.New(""), 4*time.Second
	dialogue := plainDialogue()
	dialogue.AsksLogin = true
	s, err := Open(context.Background(), target, dialogue, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if out, err := s.Run(context.Background(), "show sysinfo"); err != nil || string(out.Text) != "Product Version.. 8.10\n" {
		t.Errorf("Run = %q, %v", out.Text, err)
	}
}
