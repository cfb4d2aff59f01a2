// Package app puts the parts of muster together for the command, the tests and
// the demo, and starts and stops them. It is the only package that knows
// everybody; nothing is decided here that a part could decide itself.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/internal/settings"
	"muster/internal/web"
	"muster/inventory"
	"muster/inventory/platform"
	"muster/store"
)

// Options say where muster's files are. The zero value is the places of the
// account that muster runs as.
type Options struct {
	Dir     string   // data directory; empty: the account's
	Config  string   // settings file; empty: muster.yaml in a Dir that was given, else the account's
	Key     string   // master key file; empty: see secret.Locate
	Typed   []string // the arguments of the command, for advice that repeats them
	Begun   bool     // refuse a data directory that holds no data yet, instead of making it one
	Version string
	Stderr  io.Writer                        // for the log; nil: os.Stderr
	Log     slog.Level                       // what is logged at all; the zero value is Info
	Say     func(format string, args ...any) // sentences for people while serving; nil: nobody listens
	Now     func() time.Time                 // the one place where a clock comes in; nil: time.Now
}

func (o Options) withDefaults() (Options, error) {
	root, beside := os.Getuid() == 0, o.Dir
	if o.Dir == "" {
		switch state := os.Getenv("XDG_STATE_HOME"); {
		case root:
			o.Dir = "/var/lib/muster"
		case state != "":
			o.Dir = filepath.Join(state, "muster")
		default:
			home, err := os.UserHomeDir()
			if err != nil {
				return o, refuse("there is no home directory for the data; give one with --dir")
			}
			o.Dir = filepath.Join(home, ".local", "state", "muster")
		}
	}
	if o.Config == "" && beside != "" {
		// A demo that was kept, or a house whose settings live with its data.
		if name := filepath.Join(beside, "muster.yaml"); isFile(name) {
			o.Config = name
		}
	}
	if o.Config == "" {
		dir, err := configDir()
		if err != nil {
			return o, err
		}
		o.Config = filepath.Join(dir, "muster.yaml")
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	if o.Config, err = filepath.Abs(o.Config); err != nil {
		return o, err
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "development"
	}
	return o, nil
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// configDir is muster's directory among the account's settings.
func configDir() (string, error) {
	if os.Getuid() == 0 {
		return "/etc/muster", nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", refuse("there is no directory for the settings; give a file with --config")
	}
	return filepath.Join(dir, "muster"), nil
}

// refuse is a refusal that is the caller's to mend: exit code 2.
func refuse(format string, args ...any) error {
	return &api.Error{Message: fmt.Sprintf(format, args...), Exit: 2}
}

// Faults are all that is wrong with the settings, one sentence each.
type Faults []error

func (f Faults) Error() string { return errors.Join(f...).Error() }

// App is muster, put together: it holds the data directory and serves its socket.
type App struct {
	o   Options
	log *slog.Logger
	key secret.Found

	store     *store.Store
	settings  atomic.Pointer[settings.Settings]
	network   atomic.Pointer[inventory.Network]
	platforms atomic.Pointer[platform.Set]

	access    *inventory.Access
	devices   *inventory.Devices
	discovery *inventory.Discovery
	reach     *inventory.Reachability
	backups   *backup.Backups
	runner    *schedule.Runner
	scheduler *schedule.Scheduler
	alerts    *alert.Alerts
	server    *api.Server
	gate      *web.Gate

	socket *listener
	pages  *listener // nil: the pages are not served

	listening atomic.Value     // string: where the pages are; unset: nowhere
	serving   atomic.Bool      // what runs by itself does
	extra     []schedule.Entry // of the demo
	reloading sync.Mutex       // one reload at a time
	held      heldBack         // devices that wait for the end of a blackout
	stop      context.CancelFunc
	work      sync.WaitGroup
}

// Open takes the data directory and puts muster together. Schedules do not run
// yet: see [App.Start]. Close gives everything back.
func Open(ctx context.Context, o Options) (*App, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	set, err := readSettings(o.Config)
	if err != nil {
		return nil, err
	}
	found, err := locateKey(o, set.Key)
	if err != nil {
		return nil, err
	}
	a := &App{o: o, key: found, log: slog.New(slog.NewTextHandler(o.Stderr, &slog.HandlerOptions{Level: o.Log}))}
	if a.store, err = store.Open(o.Dir, found.Key, store.Options{Log: a.log, Now: o.Now}); err != nil {
		return nil, asUsage(err)
	}
	if err := a.build(ctx, set, found.Key); err != nil {
		a.store.Close()
		return nil, err
	}
	if found.Made {
		o.Say("A master key was made: %s. Keep a copy elsewhere; without it nothing in the database can be read.", found.Path)
	}
	return a, nil
}

// asUsage gives refusals that the caller mends by other arguments or files the
// exit code 2.
func asUsage(err error) error {
	for _, kind := range []error{store.ErrNotOurs, store.ErrNewerSchema, store.ErrWrongKey, store.ErrNoKey, secret.ErrKeyLost} {
		if errors.Is(err, kind) {
			return &api.Error{Message: err.Error(), Exit: 2}
		}
	}
	return err
}

// noRights reports whether a directory cannot be one for muster's data.
func noRights(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EROFS)
}

// locateKey finds the master key of the data directory, and makes it for a new one.
func locateKey(o Options, fromSettings string) (secret.Found, error) {
	id, fresh, err := store.Prepare(o.Dir)
	if whose := notYours(o, err); whose != nil {
		return secret.Found{}, whose
	}
	if noRights(err) {
		return secret.Found{}, &api.Error{Message: err.Error(), Exit: 2}
	}
	if err != nil {
		return secret.Found{}, asUsage(err)
	}
	dir, err := configDir()
	if err != nil {
		dir = filepath.Dir(o.Config)
	}
	if fromSettings != "" && !filepath.IsAbs(fromSettings) {
		fromSettings = filepath.Join(filepath.Dir(o.Config), fromSettings)
	}
	found, err := secret.Locate(secret.Places{
		Flag: o.Key, Env: os.Getenv("MUSTER_KEY"), Settings: fromSettings,
		Credentials: os.Getenv("CREDENTIALS_DIRECTORY"), ConfigDir: dir,
		Dir: o.Dir, ID: id, Fresh: fresh,
	})
	if err != nil {
		return found, &api.Error{Message: err.Error(), Exit: 2}
	}
	return found, nil
}

// build makes the parts on an open store.
func (a *App) build(ctx context.Context, set *settings.Settings, key secret.Key) error {
	if err := a.loadPlatforms(); err != nil {
		return err
	}
	a.use(set)
	inv := inventory.Options{
		Store: a.store.Inventory(), Network: func() inventory.Network { return *a.network.Load() },
		Platforms: a.platforms.Load, Now: a.o.Now, Log: a.log,
		DigestKey: key.Derive("rejected secrets"),
	}
	a.access = inventory.NewAccess(inv)
	a.devices = inventory.NewDevices(inv, a.access)
	a.discovery = inventory.NewDiscovery(inv, a.access)
	a.reach = inventory.NewReachability(inv)
	a.backups = backup.New(a.store, a.store.RedactionKey(), backup.Options{
		Definitions: a.platforms.Load, Approval: a.approval, Devices: a.notRetired, Facts: a.learn, Log: a.log, Now: a.o.Now,
	})
	a.runner = schedule.New(a.store, []schedule.Job{
		&schedule.Backup{Access: a.access, Backups: prover{a}, Devices: selector{a.devices}, Hold: a.hold},
		&schedule.Discovery{Access: a.access, Discovery: a.discovery, Closed: a.closed},
		schedule.Single(jobHousekeeping, a.housekeeping),
	}, schedule.Options{Log: a.log, Now: a.o.Now, RunLimit: a.runLimit, ScopeLimit: a.scopeLimit})
	// Whoever holds the directory is the only one: what is said to be running is not.
	if _, err := a.runner.Recover(ctx); err != nil {
		return err
	}
	a.scheduler = schedule.NewScheduler(a.runner)
	a.alerts = alert.New(a.store, alert.Options{
		Log: a.log, Now: a.o.Now, Devices: a.notRetired, Overdue: a.overdue, Drifts: a.backups.Drifts, Recheck: a.recheck, Diff: a.diff,
	})
	if err := a.configureAlerts(ctx, set); err != nil {
		return err
	}
	if err := a.access.Review(ctx); err != nil {
		return err
	}
	a.gate = web.NewGate(a.o.Now)
	a.server = api.New(desk{a.devices, a}, a.backups, bell{a.alerts, a}, a.runner, a, a.o.Now)

	path, err := socketPath(a.o.Dir)
	if err != nil {
		return err
	}
	a.socket, err = listenUnix(path, a.server.Local())
	return err
}

// Start begins what runs by itself: schedules, reachability, alerts, pages.
func (a *App) Start(ctx context.Context) error {
	ctx, a.stop = context.WithCancel(ctx)
	a.serving.Store(true)
	// First what may be refused: then nothing has begun.
	if err := a.servePages(); err != nil {
		return err
	}
	a.work.Go(func() { a.alerts.Run(ctx) })
	if err := a.scheduler.Set(a.entries(a.settings.Load())); err != nil {
		return &api.Error{Message: err.Error(), Exit: 2}
	}
	return nil
}

// servePages listens on the address of the settings.
func (a *App) servePages() error {
	listen := a.settings.Load().Web.Listen
	if listen == "" {
		return nil
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return refuse("the pages cannot listen on %s (%v); set another address at web: listen: in %s", listen, errors.Unwrap(err), a.o.Config)
	}
	h, err := web.New(a.server, web.Options{Gate: a.gate, Listen: ln.Addr().String(), Version: a.o.Version, Now: a.o.Now})
	if err != nil {
		ln.Close()
		return err
	}
	a.pages = serve(ln, h)
	a.o.Say("Pages: %s (this link works once; muster serve --link makes another)", a.gate.Link("http://"+ln.Addr().String()))
	a.listening.Store(ln.Addr().String())
	return nil
}

// Close stops everything: no new work, what runs gets its grace, what was
// finished is committed.
func (a *App) Close() error {
	a.scheduler.Close()
	a.runner.Close()
	a.access.Close()
	if a.stop != nil {
		a.stop()
	}
	a.work.Wait()
	if a.pages != nil {
		a.pages.close(time.Second)
	}
	a.socket.close(5 * time.Second)
	return a.store.Close()
}
