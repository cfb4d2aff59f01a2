// Command muster finds the routers, switches and firewalls of a network, backs
// up their configurations, keeps every version and says what drifted.
//
// Every verb is one file here: it parses, makes one call of the API and prints.
// Nothing is decided here.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"muster/internal/api"
	"muster/internal/app"
)

// Exit codes, a stable call.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong usage or settings
	exitSomeFailed  = 3 // done, but some devices failed
	exitDrift       = 4 // drift found, with --exit-code
	exitInterrupted = 130
)

// exitCode ends the command with a code and nothing more to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// globals are the flags that every verb has.
type globals struct {
	Dir    string `help:"Data directory: muster.db, lock and socket." placeholder:"DIR" env:"MUSTER_DIR"`
	Config string `help:"Settings file; left out: muster.yaml in --dir, where there is one." placeholder:"FILE" env:"MUSTER_CONFIG"`
	Key    string `help:"Master key file ($MUSTER_KEY: the file, or the key itself)." placeholder:"FILE"`
}

type command struct {
	globals

	Demo     demoCmd     `cmd:"" help:"Show it all on a simulated network of 44 devices."`
	Init     initCmd     `cmd:"" help:"Ask a few questions and write muster.yaml and the master key."`
	Check    checkCmd    `cmd:"" help:"Check the settings, all faults at once."`
	Serve    serveCmd    `cmd:"" help:"Run the schedules, serve the pages and the API."`
	Reload   reloadCmd   `cmd:"" help:"Make the running process read its settings again."`
	Status   statusCmd   `cmd:"" help:"How many devices are backed up, and why the others are not."`
	Discover discoverCmd `cmd:"" help:"Sweep the scopes and find out what answers."`
	Device   deviceCmd   `cmd:"" help:"The inventory, and what people decide about single devices."`
	Backup   backupCmd   `cmd:"" help:"Back up running configurations now."`
	Cfg      configCmd   `cmd:"" name:"config" help:"Read, compare, search and export stored configurations."`
	Drift    driftCmd    `cmd:"" help:"What changed, is unsaved or is off its baseline."`
	Alert    alertCmd    `cmd:"" help:"What is wrong now."`
	Receiver receiverCmd `cmd:"" help:"Where alerts go."`
	Run      runCmd      `cmd:"" help:"Discoveries and backups, live and past."`
	Platform platformCmd `cmd:"" help:"The platforms that muster knows, and what it sends to them."`
	Secret   secretCmd   `cmd:"" help:"Secrets that muster.yaml refers to."`
	Doctor   doctorCmd   `cmd:"" help:"Go through every step with one device, or check the installation."`
	Verify   verifyCmd   `cmd:"" help:"Read everything that is stored and check it."`
	Self     selfCmd     `cmd:"" help:"Back up muster's own database."`
	Version  versionCmd  `cmd:"" help:"Which muster this is."`

	Completion kongcompletion.Completion `cmd:"" help:"How to switch on tab completion for your shell."`
	Man        manCmd                    `cmd:"" help:"Print the manual page." hidden:""`
}

// session is what a verb gets to work with.
type session struct {
	globals
	args   []string // as they were typed
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func (s *session) options() app.Options {
	// A verb says itself how its work went, so nothing of it is logged.
	return app.Options{Dir: s.Dir, Config: s.Config, Key: s.Key, Version: version, Typed: s.args, Stderr: s.stderr, Log: slog.LevelError + 1}
}

// client connects to the process that holds the data directory, or becomes it
// for as long as f runs. The directory must hold data: of a new one, which a slip
// in --dir would make, a verb could only say that all is well.
func (s *session) client(f func(ctx context.Context, c *api.Client) error) error {
	o := s.options()
	o.Begun = true
	return connected(s.ctx, o, f)
}

// begin is client for verbs with which an installation may begin.
func (s *session) begin(f func(ctx context.Context, c *api.Client) error) error {
	return connected(s.ctx, s.options(), f)
}

func connected(ctx context.Context, o app.Options, f func(ctx context.Context, c *api.Client) error) error {
	c, done, err := app.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	return f(ctx, c)
}

func main() {
	// Nearly all that a session allocates is garbage soon. Collecting it less often
	// costs 20 MB while 200 devices are read at once, and saves 5 % of the CPU.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(150)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main for tests: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	var cmd command
	code = -1
	parser, err := kong.New(&cmd,
		kong.Name("muster"),
		kong.Description("Finds the routers, switches and firewalls of a network by SNMP, backs up their configurations over SSH, keeps every version and says which device drifted."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) {
			if code < 0 {
				code = n
			}
		}),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "muster:", err)
		return exitFailed
	}
	kongcompletion.Register(parser)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if code >= 0 { // --help has printed
		return code
	}
	if err != nil {
		fmt.Fprintln(stderr, "muster: "+err.Error()+" (muster --help lists the verbs)")
		return exitUsage
	}
	if what := empty(k); what != "" {
		fmt.Fprintln(stderr, "muster: "+what+" is empty: is a variable of the shell not set? Nothing was done")
		return exitUsage
	}
	// "muster … | head" must not end us between two writes: the error of the write
	// does, once all is closed.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once, grace or not
		select {
		case <-ended:
		case <-time.After(time.Second):
			fmt.Fprintln(stderr, "muster: stopping; sessions at work get some seconds to end as they should, a second Ctrl-C ends all at once")
		}
	}()
	results := &noted{w: stdout}
	s := &session{globals: cmd.globals, args: args, ctx: ctx, stdin: stdin, stdout: results, stderr: stderr}
	err = k.Run(s)
	var found exitCode
	if results.err != nil && !errors.Is(results.err, syscall.EPIPE) && (err == nil || errors.As(err, &found)) {
		err = results.err
	}
	return s.ended(err)
}

// noted is standard output that remembers what could not be written: half of a
// list in a file on a full disk must not pass for all of it.
type noted struct {
	w   io.Writer
	mu  sync.Mutex // guards err
	err error
}

func (n *noted) Write(p []byte) (int, error) {
	done, err := n.w.Write(p)
	if err != nil {
		n.mu.Lock()
		n.err = cmp.Or(n.err, err)
		n.mu.Unlock()
	}
	return done, err
}

// empty names an argument, or a flag with the tag "filled", that is there and
// empty, as "$NAME" is where nobody has set it. As a word of a filter it would
// choose all devices, and a flag that makes the verb do less would not count.
func empty(k *kong.Context) string {
	for _, p := range k.Path {
		var v *kong.Value
		name := ""
		switch {
		case p.Positional != nil && !p.Positional.Tag.Has("any"):
			v, name = p.Positional, "<"+p.Positional.Name+">"
		case p.Flag != nil && p.Flag.Tag.Has("filled"):
			v, name = p.Flag.Value, "--"+p.Flag.Name
		default:
			continue
		}
		words, ok := v.Target.Interface().([]string)
		if !ok {
			words = []string{fmt.Sprint(v.Target.Interface())}
		}
		if slices.ContainsFunc(words, func(w string) bool { return strings.TrimSpace(w) == "" }) {
			return name
		}
	}
	return ""
}

// ended says what went wrong, in one sentence, and gives the exit code.
func (s *session) ended(err error) int {
	var code exitCode
	var refused *api.Error
	var faults app.Faults
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &refused):
		fmt.Fprintln(s.stderr, "muster: "+refused.Message)
		if refused.Exit != 0 {
			return refused.Exit
		}
		return exitFailed
	case errors.As(err, &faults):
		for _, f := range faults {
			fmt.Fprintln(s.stderr, "muster: "+f.Error())
		}
		return exitUsage
	case errors.Is(err, context.Canceled) && s.ctx.Err() != nil:
		fmt.Fprintln(s.stderr, "muster: stopped; what was finished is stored")
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE):
		return exitDone // the reader has seen enough
	}
	fmt.Fprintln(s.stderr, "muster: "+strings.TrimSpace(err.Error()))
	return exitFailed
}
