package settings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml/ast"

	"muster/collector"
	"muster/internal/secret"
)

const (
	commandLimit = 10 * time.Second // for a command that prints a secret
	secretMax    = 64 << 10         // bytes of a secret; private keys are the largest
)

// Sealed opens a secret that "muster secret set NAME" sealed in the store.
type Sealed = func(ctx context.Context, name string) (secret.Value, error)

// Ref says where a secret is; it never holds one, so that settings can live in
// git. One of its fields is set; the zero Ref is "no secret".
type Ref struct {
	Secret  string   // name in the store
	Env     string   // environment variable
	File    string   // path, absolute or from the settings file's directory
	Command []string // program and arguments; no shell
}

// IsZero reports whether there is no secret.
func (r Ref) IsZero() bool {
	return r.Secret == "" && r.Env == "" && r.File == "" && len(r.Command) == 0
}

// Rereadable reports whether the secret may have changed without muster knowing:
// it is read once more before a rejection counts.
func (r Ref) Rereadable() bool { return r.File != "" || len(r.Command) > 0 }

// String says where the secret is. Of a command it names the program only.
func (r Ref) String() string {
	switch {
	case r.Secret != "":
		return "{ secret: " + r.Secret + " }"
	case r.Env != "":
		return "{ env: " + r.Env + " }"
	case r.File != "":
		return "{ file: " + r.File + " }"
	case len(r.Command) > 0:
		return "{ command: [" + r.Command[0] + ", …] }"
	}
	return "no secret"
}

// place is where the secret is, for messages. Of a command it names the program.
func (r Ref) place() collector.Place {
	p := collector.Place{Secret: r.Secret, Env: r.Env, File: r.File}
	if len(r.Command) > 0 {
		p.Command = r.Command[0]
	}
	return p
}

// Resolve reads the secret now. One line end at its end is taken off. Its errors
// name the reference and never the value, nor what a command printed.
func (r Ref) Resolve(ctx context.Context, sealed Sealed) (secret.Value, error) {
	var text []byte
	var err error
	switch {
	case r.Secret != "":
		if sealed == nil {
			return secret.Value{}, fmt.Errorf("%s: the store is not open", r)
		}
		v, err := sealed(ctx, r.Secret)
		if err != nil {
			return secret.Value{}, err // names the secret and the mend
		}
		return v, nil
	case r.Env != "":
		v, ok := os.LookupEnv(r.Env)
		if !ok {
			return secret.Value{}, fmt.Errorf("%s: the variable is not set in muster's environment", r)
		}
		text = []byte(v)
	case r.File != "":
		text, err = readSecretFile(r.File)
	case len(r.Command) > 0:
		text, err = r.run(ctx)
	default:
		return secret.Value{}, nil
	}
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", r, err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		return secret.Value{}, fmt.Errorf("%s: the secret is empty", r)
	}
	return secret.New(string(text)), nil
}

// readSecretFile reads a regular file; a pipe could keep us waiting for ever.
func readSecretFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, secretMax+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(text) > secretMax {
		return nil, fmt.Errorf("the file is over %d bytes, and no secret is", secretMax)
	}
	return text, nil
}

// bare takes the path out of an error: the reference names it already.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// run runs the command under a deadline and returns what it printed to stdout.
// What it printed to stderr may hold the secret and is dropped.
func (r Ref) run(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandLimit, fmt.Errorf("the command did not end within %s", SpanText(commandLimit)))
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Command[0], r.Command[1:]...)
	// Its own group, so that children which keep stdout open end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &limited{}
	cmd.Stdout = out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case out.over:
		return nil, fmt.Errorf("the command printed over %d bytes, and no secret is that long", secretMax)
	case errors.As(err, &exit):
		return nil, fmt.Errorf("the command ended with %s. Run it by hand to see why", exit.ProcessState)
	case err != nil:
		return nil, bareExec(err)
	}
	return out.kept, nil
}

func bareExec(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return bare(err)
}

// limited keeps up to secretMax bytes and lets the program go on. The buffer is
// no embedded one: its ReadFrom would go round Write.
type limited struct {
	kept []byte
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	if len(l.kept)+len(p) > secretMax {
		l.over = true
	} else {
		l.kept = append(l.kept, p...)
	}
	return len(p), nil
}

var (
	envShape    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	refExamples = "{ secret: NAME }, { env: NAME }, { file: PATH } or { command: [PROGRAM, ARGUMENT] }"
)

// ref reads a reference to a secret. Where the value itself was written, it is
// not quoted.
func (r *reader) ref(into *Ref) field {
	return func(n ast.Node, path string) {
		v := r.value(n, path)
		if v == nil {
			return
		}
		if _, ok := v.(ast.MapNode); !ok {
			r.fault(v, path, "a secret is never written here itself. Store it with \"muster secret set NAME\" and write { secret: NAME } (or %s)", strings.TrimPrefix(refExamples, "{ secret: NAME }, "))
			return
		}
		was := r.quiet
		r.quiet = true
		defer func() { r.quiet = was }()
		before := len(r.faults)
		var got Ref
		ok := r.mapping(v, path, map[string]field{
			"secret": func(n ast.Node, path string) { r.name(n, path, &got.Secret) },
			"env": func(n ast.Node, path string) {
				text, ok := r.text(n, path)
				if ok && !envShape.MatchString(text) {
					r.fault(n, path, "this is no name of an environment variable. It names the variable that holds the secret, never the secret")
					return
				}
				got.Env = text
			},
			"file": func(n ast.Node, path string) {
				text, ok := r.text(n, path)
				if ok && strings.ContainsAny(text, "\n\x00") {
					r.fault(n, path, "this is no path of a file. It names the file that holds the secret, never the secret")
					return
				}
				if got.File = text; text != "" && !filepath.IsAbs(text) {
					got.File = filepath.Join(filepath.Dir(r.file), text)
				}
			},
			"command": func(n ast.Node, path string) {
				r.list(n, path, func(n ast.Node, path string) {
					if text, ok := r.text(n, path); ok {
						got.Command = append(got.Command, text)
					}
				})
			},
		})
		if !ok || len(r.faults) > before {
			return
		}
		set := 0
		for _, there := range []bool{got.Secret != "", got.Env != "", got.File != "", len(got.Command) > 0} {
			if there {
				set++
			}
		}
		if set != 1 || len(got.Command) > 0 && got.Command[0] == "" {
			r.fault(v, path, "a secret is at one place. Write %s", refExamples)
			return
		}
		*into = got
	}
}
