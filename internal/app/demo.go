package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/backup"
	"muster/internal/api"
	"muster/internal/lab"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/inventory"
)

// DemoOptions tune the demo.
type DemoOptions struct {
	For    time.Duration // end by itself after this long; 0: when ctx ends
	Keep   string        // folder to keep the files in; empty: nothing stays
	Stdout io.Writer
	Stderr io.Writer
	Hold   []lab.Fault // what the simulated network leaves out, for the test that the verdict can fail
	// Progress is shown what a run does; nil: nobody looks.
	Progress func(what string, p api.Progress)
	Listen   string // of the pages; empty: 127.0.0.1:8470, or a free port where that is taken
}

// Who suffers what in the demo.
const (
	demoChanged   = "access-2"
	demoUnsaved   = "dist-1"
	demoStopped   = "access-4"
	demoRejected  = "fw-2"
	demoTruncated = "core-2"
)

// demo is one showing.
type demo struct {
	o     DemoOptions
	net   *lab.Network
	app   *App
	c     *api.Client
	watch *watch
	begun time.Time
}

// Demo shows muster on a simulated network: it is found, backed up and watched;
// five things go wrong and are mended. With o.For it ends by itself, with an
// error unless all of that was seen through the API.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	d := &demo{o: o, begun: time.Now()}
	dir := o.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "muster-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := emptyFolder(dir); err != nil {
		return err
	}
	network := lab.Demo()
	network.Hold = o.Hold
	if d.net, err = lab.Start(ctx, network); err != nil {
		return fmt.Errorf("start the simulated network: %w", err)
	}
	defer d.net.Close()
	d.say("A simulated network of %d devices lives on %s: cores, distribution, access and a firewall pair, linked by LLDP.", len(d.net.Devices()), d.net.Prefix())

	opts := Options{Dir: dir, Config: filepath.Join(dir, "muster.yaml"), Key: filepath.Join(dir, "muster.key"), Say: d.say}
	opts.Stderr = io.Discard // the demo tells what happens in its own words
	if err := d.settings(opts); err != nil {
		return err
	}
	if d.app, err = Open(ctx, opts); err != nil {
		return err
	}
	defer d.app.Close()
	path, err := socketPath(dir)
	if err != nil {
		return err
	}
	d.c = api.Dial(path)
	defer d.c.Close()

	end := ctx
	if o.For > 0 {
		var cancel context.CancelFunc
		end, cancel = context.WithDeadlineCause(ctx, d.begun.Add(o.For), errDemoOver)
		defer cancel()
	}
	err = d.show(end, dir)
	switch {
	case o.For > 0 && (err == nil || errors.Is(context.Cause(end), errDemoOver)) && ctx.Err() == nil:
		return d.watch.verdict(d.o.Stdout)
	case ctx.Err() != nil: // Ctrl-C is how a demo without an end ends
		d.say("Stopped. Nothing of it stays%s.", map[bool]string{true: " but " + o.Keep, false: ""}[o.Keep != ""])
		return nil
	}
	return err
}

var errDemoOver = errors.New("the demo is over")

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.o.Stdout, format+"\n", args...) }

// backupNow runs a backup of all managed devices to its end.
func (a *App) backupNow(ctx context.Context) error {
	run, err := a.runner.Start(ctx, schedule.JobBackup, schedule.Request{By: schedule.BySchedule})
	if err != nil {
		return err
	}
	_, err = a.runner.Wait(ctx, run.ID)
	return err
}

func emptyFolder(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "muster.db")); err == nil {
		return refuse("%s holds a muster.db already; give --keep a new folder", dir)
	}
	return os.MkdirAll(dir, 0o700)
}

// settings writes what `muster init` would, for the simulated network: its
// schedules are those of an impatient network engineer.
func (d *demo) settings(o Options) error {
	key := secret.NewKey()
	if err := os.WriteFile(o.Key, key.File(), 0o600); err != nil {
		return err
	}
	listen := d.o.Listen
	if listen == "" {
		listen = freeListen()
	}
	text := fmt.Sprintf(demoSettings, d.net.Addr(demoRejected), d.net.Prefix(), d.net.SNMPPort(), d.net.SSHPort(), listen)
	return os.WriteFile(o.Config, []byte(text), 0o600)
}

// demoSettings is the muster.yaml of the demo. The account of one firewall is a
// credential of its own, as in a network where firewalls are another team's.
const demoSettings = `# Settings of a muster demo. The network that they speak of is gone.
timezone: UTC
credentials:
  - name: firewall
    kind: ssh
    user: ` + lab.User + `
    password: { secret: firewall }
    for: [%s/32]
  - name: noc
    kind: ssh
    user: ` + lab.User + `
    password: { secret: noc }
    enable: { secret: noc-enable }
  - name: v3
    kind: snmp-v3
    user: ` + lab.SNMPUserName + `
    auth: { protocol: sha256, password: { secret: v3-auth } }
    priv: { protocol: aes256, password: { secret: v3-priv } }
scopes:
  - name: demo
    site: demo
    addresses: [%s]
    credentials: [v3, firewall, noc]
    snmp: { port: %d, rate: 400 }
    ssh: { port: %d }
schedules:
  reachability: { every: 1s, down_after: 3s, tcp_every: 1s }
receivers:
  - { name: console, kind: log }
alerts:
  - { kinds: [unreachable, login-rejected, credential-stopped, quarantined, backup-failed, changed, unsaved], to: [console], unsaved_after: 0s }
web: { listen: "%s" }
`

var demoSecrets = map[string]string{
	"noc": lab.Password, "firewall": lab.Password, "noc-enable": lab.Enable,
	"v3-auth": lab.AuthPassword, "v3-priv": lab.PrivPassword,
}

// show goes through the acts.
func (d *demo) show(ctx context.Context, dir string) error {
	for name, value := range demoSecrets {
		if err := d.c.SetSecret(ctx, name, value); err != nil {
			return err
		}
	}
	d.watch = newWatch(d.c)
	if err := d.discover(ctx); err != nil {
		return err
	}
	if err := d.backup(ctx); err != nil {
		return err
	}
	// Nobody watches a demo until the small hours: a backup begins every few seconds.
	d.app.extra = []schedule.Entry{{Name: "impatience", Every: 4 * time.Second, Do: d.app.backupNow}}
	if err := d.app.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	flags := fmt.Sprintf("--dir %s --config %s --key %s", dir, filepath.Join(dir, "muster.yaml"), filepath.Join(dir, "muster.key"))
	d.say("\nmuster goes on serving. In another terminal:\n"+
		"  alias m='./muster %s'\n"+
		"  m status\n  m drift\n  m alert list\n  m config diff %s\n  m config diff %s --unsaved\n  m device show %s\n  m config grep ntp\n",
		flags, demoChanged, demoUnsaved, demoRejected)
	if err := d.faults(ctx); err != nil {
		return err
	}
	if err := d.recoveries(ctx); err != nil {
		return err
	}
	d.say("\nAll of it was seen, and that it ended.%s", map[bool]string{true: " Ctrl-C ends the demo.", false: ""}[d.o.For == 0])
	if d.o.For > 0 {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (d *demo) discover(ctx context.Context) error {
	d.say("\nmuster discover: asking every address by SNMPv3 (SHA-256, AES-256)")
	found := 0
	err := d.c.Discover(ctx, api.RunRequest{}, func(l api.Line) error {
		if l.Progress != nil {
			d.progress("sweeping", *l.Progress)
		}
		if l.Found != nil && (l.Found.Outcome == inventory.OutcomeNew || l.Found.Outcome == inventory.OutcomeMerged) {
			found++
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows, err := d.c.Devices(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		d.say("  %-10s %-13s %-9s %-16s %-22s %-18s %s", r.Name, r.Address, r.Vendor, r.Platform, r.Model, r.Version, r.Serial)
	}
	d.watch.found(rows, len(d.net.Devices()))
	return nil
}

func (d *demo) backup(ctx context.Context) error {
	d.say("\nmuster backup: reading every running configuration by SSH")
	results := []backup.Result{}
	err := d.c.Backup(ctx, api.RunRequest{}, func(l api.Line) error {
		if l.Progress != nil {
			d.progress("backing up", *l.Progress)
		}
		if l.Backup != nil {
			results = append(results, *l.Backup)
			if l.Backup.Outcome != backup.Stored {
				d.say("  %s: %s: %s", l.Backup.Device, l.Backup.Outcome, l.Backup.Message)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	st, err := d.c.Status(ctx)
	if err != nil {
		return err
	}
	d.say("  %d of %d devices backed up, %.0f s after the start", st.BackedUp, st.Managed, time.Since(d.begun).Seconds())
	d.watch.backedUp(results, len(d.net.Devices()))
	return nil
}

func (d *demo) progress(what string, p api.Progress) {
	if d.o.Progress != nil {
		d.o.Progress(what, p)
	}
}

// faults makes five things go wrong, unasked, and waits until each is flagged
// for what it is.
func (d *demo) faults(ctx context.Context) error {
	d.say("Now five things go wrong in the network, and nobody tells muster:")
	d.net.Change(demoChanged)
	d.net.Unsaved(demoUnsaved)
	d.net.Stop(demoStopped)
	d.net.RejectLogin(demoRejected, true)
	d.net.Truncate(demoTruncated, true)
	return d.await(ctx, flagged)
}

// recoveries mends them and waits until that is said, too.
func (d *demo) recoveries(ctx context.Context) error {
	d.say("\nAnd now they are mended:")
	d.net.Revert(demoChanged)
	d.net.Save(demoUnsaved)
	if err := d.net.Resume(demoStopped); err != nil {
		return err
	}
	d.net.RejectLogin(demoRejected, false)
	d.net.Truncate(demoTruncated, false)
	// A rejected login is never tried again unasked beyond its budget: a person
	// says that the account is right again.
	d.say("  running: muster device retry %s", demoRejected)
	if err := d.c.RetryDevice(ctx, demoRejected); err != nil {
		return err
	}
	return d.await(ctx, mended)
}

// await asks the API until every sign of a phase was seen, and says each as it
// comes.
func (d *demo) await(ctx context.Context, p phase) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		news, err := d.watch.look(ctx, p)
		if err != nil {
			return err
		}
		for _, n := range news {
			d.say("  %s  %s", time.Now().UTC().Format("15:04:05"), n)
		}
		if d.watch.all(p) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// oneLine makes a message fit for one line of the terminal.
func oneLine(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
