package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/api"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/internal/settings"
	"muster/inventory"
	"muster/inventory/platform"
	"muster/store"
)

// What api needs of the house as a whole (see api.House).

// Hello says who holds the data directory.
func (a *App) Hello() api.Hello {
	listen, _ := a.listening.Load().(string)
	return api.Hello{Version: a.o.Version, PID: os.Getpid(), Dir: a.o.Dir, Config: a.o.Config, Listen: listen}
}

// Platforms are the definitions in force.
func (a *App) Platforms() *platform.Set { return a.platforms.Load() }

// Next lists when each schedule is due. Nothing is due where nobody serves.
func (a *App) Next(ctx context.Context) ([]api.NextRun, error) {
	all, err := a.scheduler.Next(ctx, 1)
	next := []api.NextRun{}
	for _, u := range all {
		if len(u.Next) > 0 && u.Job != jobHousekeeping {
			next = append(next, api.NextRun{Job: u.Job, At: u.Next[0]})
		}
	}
	return next, err
}

// SetSecret seals a secret; credentials that use it start a new count of
// rejected logins, since a changed secret has another digest.
func (a *App) SetSecret(ctx context.Context, name string, v secret.Value, by string) error {
	if v.Empty() {
		return refuse("an empty secret is no secret; nothing was changed")
	}
	if err := a.store.SetSecret(ctx, name, v, by); err != nil {
		return err
	}
	for _, c := range a.Credentials(name) {
		if err := a.devices.RetryCredential(ctx, c, by); err != nil {
			return err
		}
	}
	return nil
}

// Secrets lists the names of sealed secrets, and of those that the settings
// refer to.
func (a *App) Secrets(ctx context.Context) ([]api.Secret, error) {
	names, err := a.store.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	stopped, err := a.devices.Stopped(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Secret{}
	for _, n := range names {
		s := api.Secret{Name: n.Name, SetAt: n.SetAt.UTC(), UsedBy: []string{}}
		for _, c := range a.Credentials(n.Name) {
			s.UsedBy = append(s.UsedBy, c)
			s.Stopped = s.Stopped || slices.Contains(stopped, c)
		}
		for _, r := range a.settings.Load().Receivers {
			if slices.ContainsFunc(r.Refs(), func(ref settings.Ref) bool { return ref.Secret == n.Name }) {
				s.UsedBy = append(s.UsedBy, r.Name)
			}
		}
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Credentials lists the credentials that use a secret.
func (a *App) Credentials(name string) []string { return credentialsUsing(a.settings.Load(), name) }

// Verify reads everything that is stored and checks it.
func (a *App) Verify(ctx context.Context) (api.Verified, error) {
	problems, err := a.store.Verify(ctx)
	if err != nil {
		return api.Verified{}, err
	}
	standings, err := a.backups.Standings(ctx, a.o.Now())
	v := api.Verified{Faults: []string{}}
	for _, st := range standings {
		v.Versions += st.Versions
	}
	for _, p := range problems {
		v.Faults = append(v.Faults, fmt.Sprintf("%s of %s: %s", p.What, p.Of, p.Seen))
	}
	if errors.Is(err, store.ErrDamaged) {
		v.Faults, err = append(v.Faults, err.Error()), nil
	}
	return v, err
}

// credentialsUsing lists the credentials that name a secret.
func credentialsUsing(set *settings.Settings, name string) []string {
	var names []string
	for _, c := range set.Credentials {
		if slices.ContainsFunc(c.Refs(), func(r settings.Ref) bool { return r.Secret == name }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// SelfBackup writes a checked copy of the database to file.
func (a *App) SelfBackup(ctx context.Context, file string) error {
	if file == "" {
		return refuse("name the file to write: muster self backup FILE")
	}
	if _, err := os.Lstat(file); err == nil {
		return refuse("%s exists; give a new name", file)
	}
	return a.store.Backup(ctx, file)
}

// LastEvent is the id of the newest event.
func (a *App) LastEvent(ctx context.Context) (int64, error) { return a.store.LastEvent(ctx) }

// OpenLink makes a one-time link to the pages.
func (a *App) OpenLink() (string, error) {
	listen, _ := a.listening.Load().(string)
	if listen == "" {
		return "", refuse("no pages are served; muster serve does, where web: listen: is set in %s", a.o.Config)
	}
	return a.gate.Link("http://" + listen), nil
}

// Reload reads settings and platform files again, and says what whoever asked for it
// has to know. Where they are faulty, what is in force stays, and all faults are said.
func (a *App) Reload(ctx context.Context) (string, error) {
	note, warnings, err := a.reload(ctx)
	for _, w := range warnings { // on the terminal of serve too, where it runs on
		a.o.Say("%s", w)
	}
	return strings.Join(append([]string{note}, warnings...), "\n"), err
}

func (a *App) reload(ctx context.Context) (note string, warnings []string, err error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	set, err := readSettings(a.o.Config)
	if err != nil {
		var faults Faults
		if errors.As(err, &faults) {
			return "", nil, refuse("the settings are faulty, the old ones stay in force: %v", err)
		}
		return "", nil, err
	}
	defs, err := readPlatforms(a.o.Dir)
	if err != nil {
		return "", nil, refuse("a platform file is faulty, the old ones stay in force: %v", err)
	}
	if err := a.configureAlerts(ctx, set); err != nil {
		return "", nil, err
	}
	before := a.settings.Load()
	a.platforms.Store(defs)
	a.use(set)
	if err := a.access.Review(ctx); err != nil {
		return "", nil, err
	}
	if a.serving.Load() {
		if err := a.scheduler.Set(a.entries(set)); err != nil {
			return "", nil, err
		}
	}
	note = "settings are reloaded"
	if listen, _ := a.listening.Load().(string); listen != "" && listen != set.Web.Listen {
		note += "; the pages stay on " + listen + " until muster serve starts again"
	}
	return note, telnetWarnings(before, set), nil
}

// telnetWarnings are those about the scopes that say telnet and did not before; nil:
// there was nothing before.
func telnetWarnings(before, set *settings.Settings) (all []string) {
	for _, s := range set.Scopes {
		said := before != nil && slices.ContainsFunc(before.Scopes, func(b settings.Scope) bool { return b.Name == s.Name && b.Telnet != 0 })
		if s.Telnet != 0 && !said {
			all = append(all, "warning: "+s.TelnetWarning())
		}
	}
	return all
}

// desk is where people decide about devices. A platform or credential that does
// not exist is wrong usage, whatever else is wrong.
type desk struct {
	*inventory.Devices
	a *App
}

// Add puts a device into the inventory that a person names.
func (d desk) Add(ctx context.Context, n inventory.NewDevice, by string) (inventory.Device, error) {
	if err := d.there(n.Platform, n.Credential); err != nil {
		return inventory.Device{}, err
	}
	return d.Devices.Add(ctx, n, by)
}

// Import adds and changes the devices that a file lists.
func (d desk) Import(ctx context.Context, file []byte, o inventory.ImportOptions, by string) (inventory.Imported, error) {
	if err := d.there("", o.Credential); err != nil {
		return inventory.Imported{}, err
	}
	return d.Devices.Import(ctx, file, o, by)
}

// Set stores what a person decides about one device.
func (d desk) Set(ctx context.Context, key string, c inventory.Change, by string) (inventory.Device, error) {
	var platformName, credential string
	if c.Platform != nil {
		platformName = *c.Platform
	}
	if c.Credential != nil {
		credential = *c.Credential
	}
	if err := d.there(platformName, credential); err != nil {
		return inventory.Device{}, err
	}
	return d.Devices.Set(ctx, key, c, by)
}

func (d desk) there(platformName, credential string) error {
	if _, ok := d.a.platforms.Load().ByName(platformName); platformName != "" && !ok {
		return refuse("there is no platform %q; muster platform list shows all", collector.Escape(platformName))
	}
	set := d.a.settings.Load()
	if _, ok := set.Credential(credential); credential != "" && !ok {
		return refuse("there is no credential %q in %s; it has %s", collector.Escape(credential), set.File, strings.Join(d.a.network.Load().Names, ", "))
	}
	return nil
}

// selector finds the devices that a backup run is about.
type selector struct{ devices *inventory.Devices }

// Select lists the managed devices that a request means. What a person names is
// taken though it is not managed. The words are a filter as everywhere: site and
// platform both hold. One that fits nothing is an error.
func (s selector) Select(ctx context.Context, req schedule.Request) ([]inventory.Device, error) {
	if len(req.Devices) == 0 {
		all, err := s.devices.List(ctx, inventory.Filter{})
		if err != nil {
			return nil, err
		}
		var managed []inventory.Device
		for _, d := range all {
			if d.Managed && !d.Disabled && !d.Retired {
				managed = append(managed, d)
			}
		}
		return managed, nil
	}
	f, err := api.Filter(ctx, s.devices, req.Devices...)
	if err != nil {
		return nil, err
	}
	fits, err := s.devices.List(ctx, f)
	if err != nil {
		return nil, err
	}
	fits = slices.DeleteFunc(slices.Clone(fits), func(d inventory.Device) bool { return d.Retired })
	if len(fits) == 0 {
		return nil, fmt.Errorf("no device fits %s", collector.Escape(strings.Join(req.Devices, " ")))
	}
	return fits, nil
}

// Device reads one device as it is now.
func (s selector) Device(ctx context.Context, id int64) (inventory.Device, error) {
	return s.devices.ByID(ctx, id)
}

// prover takes backups. A device that a person added without saying what it runs
// is examined first: nobody else looks at it before the next discovery. Where that
// fails, its failure is the backup's: a platform is unknown only where a login
// worked and no definition fits.
type prover struct{ a *App }

// Take is what the backup job asks for.
func (p prover) Take(ctx context.Context, run *inventory.Run, runID int64, dev inventory.Device, progress func(string)) backup.Result {
	if dev.Platform != "" || dev.Disabled || dev.Retired {
		return p.a.backups.Take(ctx, run, runID, dev, progress)
	}
	progress("examine")
	begun := p.a.o.Now()
	seen := p.a.discovery.Examine(ctx, run, inventory.Candidate{Scope: dev.Scope, Addr: dev.Address, DeviceID: dev.ID}, false)
	if now, err := p.a.devices.ByID(ctx, dev.ID); err == nil {
		dev = now
	}
	if dev.Platform == "" && seen.Why != nil { // and this is why it could not be found out
		return p.a.backups.Fail(ctx, runID, dev, begun, seen.Proof, seen.Why)
	}
	return p.a.backups.Take(ctx, run, runID, dev, progress)
}

const (
	jobHousekeeping = "housekeeping"
	// keptGap is how far the time by which things are let go goes on in one night.
	keptGap = 48 * time.Hour
)

// housekeeping approves what is due, and lets go what is older than is kept.
func (a *App) housekeeping(ctx context.Context, step func(string)) (string, error) {
	now, keep := a.o.Now(), a.settings.Load().Retention
	// By a clock that has jumped ahead all is old, and every change approved by age.
	last, err := a.store.ScheduleMark(ctx, jobHousekeeping)
	if err != nil {
		return "", err
	}
	if until := last.Due.Add(keptGap); !last.Due.IsZero() && until.Before(now) {
		now = until
	}
	step("approve")
	approved, err := a.backups.ApproveDue(ctx, now)
	if err != nil {
		return "", err
	}
	step("runs")
	runs, err := a.store.DeleteRuns(ctx, now.Add(-keep.Runs))
	if err != nil {
		return "", err
	}
	step("captures")
	captures, err := a.store.PruneCaptures(ctx, now.Add(-keep.Runs))
	if err != nil {
		return "", err
	}
	step("states")
	if err := a.store.PruneInventory(ctx, now.Add(-keep.Events), now.Add(-keep.Runs)); err != nil {
		return "", err
	}
	step("alerts")
	alerts, err := a.store.DeleteAlerts(ctx, now.Add(-keep.Events))
	if err != nil {
		return "", err
	}
	step("events")
	events, err := a.store.DeleteEvents(ctx, now.Add(-keep.Events))
	if err != nil {
		return "", err
	}
	// What better rules know to be secret must not stay in clear in old texts.
	step("rules")
	derived, err := a.backups.Rederive(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d versions approved by age; %d runs, %d captures, %d alerts and %d events let go; %d versions redacted by newer rules",
		approved, runs, captures, alerts, events, derived), nil
}
