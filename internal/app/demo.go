package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muster/backup"
	"muster/internal/api"
	"muster/internal/lab"
	"muster/internal/schedule"
	"muster/inventory/platform"
)

// DemoOptions tune the demo.
type DemoOptions struct {
	For    time.Duration // end by itself after this long; 0: when ctx ends
	Keep   string        // folder to keep the files in; empty: nothing stays
	Stdout io.Writer
	Hold   []lab.Fault // what the simulated network leaves out, for the test that the verdict can fail
	// Progress is shown what a run does; nil: nobody looks.
	Progress func(what string, p api.Progress)
	// Patience is how long the demo waits after the last news for the one thing
	// that is missing before it goes on, and for several things five times as long;
	// 0: 20 s.
	Patience time.Duration
	Listen   string // of the pages; empty: the usual address, or a free port where that is taken
	// Brisk leaves out the time in which people look around, and ends as soon as
	// the verdict is known.
	Brisk bool
}

// Who suffers what in the demo.
const (
	demoChanged   = "par-acc-2"
	demoUnsaved   = "par-dist-1"
	demoStopped   = "lyo-acc-4"
	demoRejected  = "lyo-fw-2"
	demoTruncated = "par-core-2"
)

// demo is one showing.
type demo struct {
	o     DemoOptions
	net   *lab.Network
	app   *App
	c     *api.Client
	watch *watch
	begun time.Time
	end   time.Time // zero: nobody knows
}

// Demo shows muster on a simulated network: it is found, backed up and watched;
// five things go wrong and are mended. With o.For it ends by itself, with an
// error unless all of that was seen through the API.
func Demo(ctx context.Context, o DemoOptions) error {
	if o.Patience == 0 {
		o.Patience = 20 * time.Second
	}
	d := &demo{o: o, begun: time.Now()}
	err := d.run(ctx)
	if ctx.Err() == nil {
		return err
	}
	// Ctrl-C is how a demo without an end ends, wherever it is.
	if o.Keep != "" {
		d.say("\nStopped. The network is gone; %s stays:\n  %s alert list --all", o.Keep, d.command(o.Keep))
	} else {
		d.say("\nStopped. Nothing of it stays.")
	}
	return nil
}

// run is the demo in its folder; when it returns, all that is not to be kept has
// gone.
func (d *demo) run(ctx context.Context) (err error) {
	o := d.o
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
	// The network outlives ctx: sessions that run at Ctrl-C end as they should.
	if d.net, err = lab.Start(context.WithoutCancel(ctx), network); err != nil {
		return fmt.Errorf("start the simulated network: %w", err)
	}
	defer d.net.Close()
	d.say("A simulated network of %d devices lives on %s. They tell of each other by LLDP and CDP:", len(d.net.Devices()), d.net.Prefix())
	for _, site := range d.sites() {
		d.say("  %-6s %2d devices, %s to %s", site.name, site.devices, site.first, site.last)
	}

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
	d.watch = newWatch(d.c)

	showing := ctx
	if o.For > 0 {
		d.end = d.begun.Add(o.For)
		var cancel context.CancelFunc
		showing, cancel = context.WithDeadlineCause(ctx, d.end, errDemoOver)
		defer cancel()
	}
	err = d.show(showing, dir)
	if o.For > 0 && ctx.Err() == nil && (err == nil || errors.Is(context.Cause(showing), errDemoOver)) {
		return d.watch.verdict(d.o.Stdout)
	}
	return err
}

var errDemoOver = errors.New("the demo is over")

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.o.Stdout, format+"\n", args...) }

// now is how long the demo runs, as it is printed before what happened.
func (d *demo) now() string { return fmt.Sprintf("%4.0f s", time.Since(d.begun).Seconds()) }

// command is how the command is called for this demo in another terminal.
func (d *demo) command(dir string) string {
	name := "muster"
	if exe, err := os.Executable(); err == nil {
		name = exe
		if here, err := os.Getwd(); err == nil && filepath.Dir(exe) == here {
			name = "./" + filepath.Base(exe)
		}
	}
	return name + " --dir " + dir
}

// show goes through the acts.
func (d *demo) show(ctx context.Context, dir string) error {
	for name, value := range demoSecrets {
		if _, err := d.c.SetSecret(ctx, name, value); err != nil {
			return err
		}
	}
	if err := d.discover(ctx); err != nil {
		return err
	}
	if err := d.backup(ctx); err != nil {
		return err
	}
	// Nobody watches a demo until the small hours: a backup begins every few seconds.
	d.app.extra = []schedule.Entry{{Name: "impatience", Every: 4 * time.Second, Do: d.app.backupNow}}
	d.say("")
	if err := d.app.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	d.say("muster goes on serving. Type in another terminal:")
	for _, verb := range []string{"status", "drift", "alert list", "config diff " + demoChanged, "config diff " + demoUnsaved + " --unsaved", "device show " + demoRejected, "config grep ntp"} {
		d.say("  %s %s", d.command(dir), verb)
	}
	if err := d.faults(ctx); err != nil {
		return err
	}
	if err := d.recoveries(ctx); err != nil {
		return err
	}
	if d.watch.missing(flagged)+d.watch.missing(mended) == 0 {
		d.say("\nAll five were flagged, and all five recoveries were said.")
	}
	switch {
	case d.o.Brisk:
		return nil
	case d.end.IsZero():
		d.say("muster goes on serving; Ctrl-C ends the demo.")
	default:
		d.say("muster goes on serving until the %.0f s are over.", d.o.For.Seconds())
	}
	<-ctx.Done()
	return ctx.Err()
}

func (d *demo) discover(ctx context.Context) error {
	d.say("\nmuster discover: asking every address by SNMPv3 (SHA-256, AES-256)")
	err := d.c.Discover(ctx, api.RunRequest{}, func(l api.Line) error {
		d.progress("sweeping", l.Progress)
		return nil
	})
	if err != nil {
		return err
	}
	rows, err := d.c.Devices(ctx)
	if err != nil {
		return err
	}
	d.tellFound(rows)
	d.watch.found(rows, len(d.net.Devices()))
	return nil
}

// tellFound lists what was found, one line for each kind of device at a site:
// nobody reads forty lines that differ in a digit.
func (d *demo) tellFound(rows []api.Device) {
	type kind struct{ site, vendor, platform, model, version string }
	names := map[kind][]string{}
	var kinds []kind
	for _, r := range rows {
		k := kind{r.Site, r.Vendor, r.Platform, r.Model, r.Version}
		if names[k] == nil {
			kinds = append(kinds, k)
		}
		names[k] = append(names[k], r.Name)
	}
	slices.SortStableFunc(kinds, func(a, b kind) int {
		return cmp.Or(strings.Compare(a.site, b.site), strings.Compare(a.platform, b.platform))
	})
	for _, k := range kinds {
		d.say("  %-6s %2d × %-18s %-17s %-18s %-18s %s", k.site, len(names[k]), oneLine(k.vendor, 18), k.platform, oneLine(k.model, 18), oneLine(k.version, 18), series(names[k]))
	}
	d.say("  %d devices of %d platforms; muster device list shows each with address and serial", len(rows), len(platformsOf(rows)))
}

// platformsOf are the platforms of the devices.
func platformsOf(rows []api.Device) map[string]bool {
	out := map[string]bool{}
	for _, r := range rows {
		out[r.Platform] = true
	}
	return out
}

// series shortens names in order to the first and the last.
func series(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return names[0] + " … " + names[len(names)-1]
}

func (d *demo) backup(ctx context.Context) error {
	d.say("\nmuster backup: reading every running configuration over SSH")
	results := []backup.Result{}
	err := d.c.Backup(ctx, api.RunRequest{}, func(l api.Line) error {
		d.progress("backing up", l.Progress)
		if l.Backup != nil {
			results = append(results, *l.Backup)
			if l.Backup.Outcome != backup.Stored && l.Backup.Outcome != backup.Quarantined {
				d.say("  %s: %s: %s", l.Backup.Device, l.Backup.Outcome, l.Backup.Message)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.accept(ctx, results); err != nil {
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

// accept says yes to first captures of platforms that muster knows from documents
// only, as a person has to. What waits for another reason goes on waiting.
func (d *demo) accept(ctx context.Context, results []backup.Result) error {
	platforms, err := d.c.Platforms(ctx)
	if err != nil {
		return err
	}
	rows, err := d.c.Devices(ctx)
	if err != nil {
		return err
	}
	declared, of := map[string]bool{}, map[string]string{}
	for _, p := range platforms {
		declared[p.Name] = p.Evidence.Kind == platform.Declared
	}
	for _, r := range rows {
		of[r.Name] = r.Platform
	}
	var names []string
	for i := range results {
		r := &results[i]
		if r.Outcome != backup.Quarantined {
			continue
		}
		if !declared[of[r.Device]] {
			d.say("  %s: %s: %s", r.Device, r.Outcome, r.Message)
			continue
		}
		if _, err := d.c.Decide(ctx, r.Device, "accept", api.Meant{}); err != nil {
			return err
		}
		r.Outcome = backup.Stored
		names = append(names, r.Device)
	}
	if len(names) > 0 {
		slices.Sort(names)
		d.say("  %s of platforms that are known from documents only, so a person looks at the first text", counted(len(names), "device"))
		d.say("  %s  running: muster config accept %s", d.now(), strings.Join(names, " "))
	}
	return nil
}

func (d *demo) progress(what string, p *api.Progress) {
	if d.o.Progress != nil && p != nil {
		d.o.Progress(what, *p)
	}
}

// faults makes five things go wrong, unasked, waits until each is flagged for
// what it is, and leaves people some time to look at them.
func (d *demo) faults(ctx context.Context) error {
	d.say("\nNow five things go wrong in the network, and nobody tells muster:")
	d.net.Change(demoChanged)
	d.net.Unsaved(demoUnsaved)
	d.net.Stop(demoStopped)
	d.net.RejectLogin(demoRejected, true)
	d.net.Truncate(demoTruncated, true)
	if err := d.await(ctx, flagged); err != nil {
		return err
	}
	pause := 20 * time.Second
	switch {
	case d.o.Brisk:
		return nil
	case !d.end.IsZero():
		pause = min(pause, time.Until(d.end)/3) // the recoveries take their time, too
	}
	d.say("  (%.0f s to look at them)", pause.Seconds())
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
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
	d.say("  %s  running: muster device retry %s", d.now(), demoRejected)
	if err := d.c.RetryDevice(ctx, demoRejected); err != nil {
		return err
	}
	// What was saved is a change as well; a person says that it is right.
	d.say("  %s  running: muster config approve %s", d.now(), demoUnsaved)
	if _, err := d.c.Decide(ctx, demoUnsaved, "approve", api.Meant{}); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return d.await(ctx, mended)
}

// await asks the API until every sign of a phase was seen, and says each as it
// comes. It gives up when nothing new came for too long (o.Patience).
func (d *demo) await(ctx context.Context, p phase) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for {
		news, err := d.watch.look(ctx, p)
		if err != nil {
			return err
		}
		for _, n := range news {
			last = time.Now()
			d.say("  %s  %s", d.now(), n)
		}
		missing := d.watch.missing(p)
		if missing == 0 {
			return nil
		}
		patience := d.o.Patience
		if missing > 1 {
			patience *= 5
		}
		if time.Since(last) > patience {
			d.say("  %s  no more news", d.now())
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// backupNow runs a backup of all managed devices to its end.
func (a *App) backupNow(ctx context.Context) error {
	run, err := a.runner.Start(ctx, schedule.JobBackup, schedule.Request{By: schedule.BySchedule})
	if err != nil {
		return err
	}
	_, err = a.runner.Wait(ctx, run.ID)
	return err
}
