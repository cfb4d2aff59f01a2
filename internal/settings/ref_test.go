package settings

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sealed is a store with one secret.
func sealed(_ context.Context, name string) (secret.Value, error) {
	if name == "noc" {
		return secret.New("FAKE-hunter2\n"), nil
	}
	return secret.Value{}, fmt.Errorf("secret %q is not set. Set it: muster secret set %s", name, name)
}

func TestReferenceGivesTheSecretWithoutItsLineEnd(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("FAKE-hunter2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MUSTER_TEST_SECRET", "FAKE-hunter2")
	for name, tt := range map[string]struct {
		ref  Ref
		want string
		read bool
	}{
		"sealed, as it was set":  {Ref{Secret: "noc"}, "FAKE-hunter2\n", false},
		"environment":            {Ref{Env: "MUSTER_TEST_SECRET"}, "FAKE-hunter2", false},
		"file":                   {Ref{File: file}, "FAKE-hunter2", true},
		"command":                {Ref{Command: []string{"printf", "%s\\n", "FAKE-hunter2"}}, "FAKE-hunter2", true},
		"only one line end":      {Ref{Command: []string{"printf", "FAKE-hunter2\\n\\n"}}, "FAKE-hunter2\n", true},
		"no shell looks at them": {Ref{Command: []string{"echo", "$HOME; FAKE"}}, "$HOME; FAKE", true},
		"none":                   {Ref{}, "", false},
	} {
		got, err := tt.ref.Resolve(t.Context(), sealed)
		if err != nil || got.Reveal() != tt.want {
			t.Errorf("%s: %q (%v)", name, got.Reveal(), err)
		}
		if tt.ref.Rereadable() != tt.read {
			t.Errorf("%s: rereadable is %t", name, tt.ref.Rereadable())
		}
	}
}

func TestFailedReferenceNamesItselfAndNeverTheValue(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("MUSTER_TEST_SECRET", "")
	for name, tt := range map[string]struct {
		ref  Ref
		says []string
	}{
		"not set":            {Ref{Secret: "enable"}, []string{"enable", "muster secret set enable"}},
		"no variable":        {Ref{Env: "MUSTER_TEST_NOT_THERE"}, []string{"{ env: MUSTER_TEST_NOT_THERE }", "not set"}},
		"empty variable":     {Ref{Env: "MUSTER_TEST_SECRET"}, []string{"{ env: MUSTER_TEST_SECRET }", "empty"}},
		"no file":            {Ref{File: filepath.Join(dir, "none")}, []string{"{ file: " + dir, "no such file"}},
		"empty file":         {Ref{File: write("empty", "\n")}, []string{"empty"}},
		"directory":          {Ref{File: dir}, []string{"no regular file"}},
		"huge file":          {Ref{File: write("huge", strings.Repeat("x", secretMax+1))}, []string{"65536"}},
		"no program":         {Ref{Command: []string{"muster-test-no-such-program", "FAKE-hunter2"}}, []string{"{ command: [muster-test-no-such-program, …] }"}},
		"command that fails": {Ref{Command: []string{"sh", "-c", "echo FAKE-hunter2; echo FAKE-hunter2 >&2; exit 3"}}, []string{"{ command: [sh, …] }", "exit status 3"}},
		"endless output":     {Ref{Command: []string{"head", "-c", "100000", "/dev/zero"}}, []string{"65536"}},
	} {
		v, err := tt.ref.Resolve(t.Context(), sealed)
		if err == nil || !v.Empty() {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, part := range tt.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the message quotes the secret: %v", name, err)
		}
	}
}

func TestCommandThatHangsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	// The shell's child keeps stdout open after the shell was killed.
	_, err := Ref{Command: []string{"sh", "-c", "sleep 30 & wait"}}.Resolve(ctx, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCredentialResolvesEverySecretItNames(t *testing.T) {
	t.Setenv("MUSTER_TEST_SECRET", "FAKE-hunter2")
	env := Ref{Env: "MUSTER_TEST_SECRET"}
	c := Credential{
		Name: "c", Kind: "snmp-v3", User: "u", Password: env, Key: env, Passphrase: env, Enable: env, Community: env,
		AuthProtocol: "sha", Auth: env, PrivProtocol: "aes", Priv: env,
	}
	got, err := c.Resolve(t.Context(), sealed)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]secret.Value{
		"password": got.Password, "key": got.Key, "passphrase": got.Passphrase, "enable": got.Enable, "community": got.Community, "auth": got.Auth, "priv": got.Priv,
	} {
		if v.Reveal() != "FAKE-hunter2" {
			t.Errorf("%s is missing", name)
		}
	}
	if got.Name != "c" || got.Kind != "snmp-v3" || got.User != "u" || got.AuthProtocol != "sha" || got.PrivProtocol != "aes" {
		t.Errorf("%+v", got)
	}
	c.Enable = Ref{Secret: "enable"}
	_, err = c.Resolve(t.Context(), sealed)
	if err == nil || !strings.Contains(err.Error(), "credential c: enable: secret \"enable\" is not set. Set it: muster secret set enable") {
		t.Errorf("error is %v", err)
	}
}
