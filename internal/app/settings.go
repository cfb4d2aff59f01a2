package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
	"muster/internal/settings"
	"muster/inventory"
	"muster/inventory/platform"
)

// readSettings reads muster.yaml; what is wrong with it comes as Faults.
func readSettings(file string) (*settings.Settings, error) {
	s, err := settings.Load(file, settingsOptions())
	var faults settings.Faults
	switch {
	case errors.As(err, &faults):
		all := Faults{}
		for _, f := range faults {
			all = append(all, f)
		}
		return nil, all
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("%s is not there; muster init writes one, or name yours with --config", file)
	case err != nil:
		return nil, &api.Error{Message: err.Error(), Exit: 2}
	}
	return s, nil
}

// settingsOptions is what settings need to know of the other rooms.
func settingsOptions() settings.Options {
	return settings.Options{
		CheckCron: schedule.Check, CronTimes: schedule.NextTimes, AlertKinds: kindNames(),
		CheckFilter: func(text string) error { _, err := inventory.ParseFilter(text); return err },
	}
}

func kindNames() []string {
	var names []string
	for _, k := range alert.Kinds() {
		names = append(names, string(k))
	}
	return names
}

// loadPlatforms compiles our definitions and the user's; faulty ones change
// nothing.
func (a *App) loadPlatforms() error {
	set, err := readPlatforms(a.o.Dir)
	if err != nil {
		return err
	}
	a.platforms.Store(set)
	return nil
}

func readPlatforms(dir string) (*platform.Set, error) {
	var user fs.FS
	folder := filepath.Join(dir, "platforms")
	if st, err := os.Stat(folder); err == nil && st.IsDir() {
		user = os.DirFS(folder)
	}
	set, faults := platform.Load(user)
	if len(faults) > 0 {
		all := Faults{}
		for _, f := range faults {
			all = append(all, f)
		}
		return nil, all
	}
	return set, nil
}

// use puts settings in force: whoever asks for the network from now on sees it.
func (a *App) use(set *settings.Settings) {
	a.settings.Store(set)
	n := networkOf(set, a.store.Secret)
	a.network.Store(&n)
}

// networkOf turns settings into what the inventory needs of them.
func networkOf(set *settings.Settings, sealed settings.Sealed) inventory.Network {
	n := inventory.Network{
		DownAfter: set.Schedules.Reachability.DownAfter,
		TCPEvery:  set.Schedules.Reachability.TCPEvery,
	}
	scopes := map[string]inventory.Scope{}
	for _, s := range set.Scopes {
		sc := scopeOf(set, s)
		scopes[s.Name] = sc
		n.Scopes = append(n.Scopes, sc)
	}
	n.ScopeOf = func(addr netip.Addr) (inventory.Scope, bool) {
		s, ok := set.ScopeOf(addr)
		return scopes[s.Name], ok
	}
	n.Credential = func(ctx context.Context, name string) (collector.Credential, error) {
		c, ok := set.Credential(name)
		if !ok {
			return collector.Credential{}, fmt.Errorf("there is no credential %s in %s (any more)", name, set.File)
		}
		return c.Resolve(ctx, sealed)
	}
	for _, c := range set.Credentials {
		n.Names = append(n.Names, c.Name)
	}
	return n
}

func scopeOf(set *settings.Settings, s settings.Scope) inventory.Scope {
	return inventory.Scope{
		Name: s.Name, Credentials: s.Credentials, Site: s.Site,
		PasswordsTo: inventory.PasswordsTo(s.PasswordsTo), Declared: s.Declared,
		Approval: s.Approval.Mode, ApprovalAge: s.Approval.Age, Source: s.Source,
		SNMPPort: s.SNMP.Port, SNMPRate: s.SNMP.Rate,
		SSHPort: s.SSH.Port, TelnetPort: s.Telnet, Algorithms: s.SSH.Algorithms, HostKeys: s.SSH.HostKeys, Concurrency: s.SSH.Concurrency,
		Limits: s.Timeouts, Jump: inventory.JumpHost(s.SSH.Via),
		Contains: func(addr netip.Addr) bool {
			owner, ok := set.ScopeOf(addr)
			return ok && owner.Name == s.Name
		},
		Addresses: func(ctx context.Context) ([]netip.Addr, error) {
			// A name that has no address at the moment keeps its last ones; the
			// sweep goes on with those.
			_ = set.ResolveHosts(ctx, lookup)
			var all []netip.Addr
			for addr := range set.AddressesOf(s.Name) {
				all = append(all, addr)
			}
			return all, ctx.Err()
		},
	}
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// runLimit lets a run work on 50 devices at a time, and on more where somebody
// allowed that in one scope.
func (a *App) runLimit() int {
	limit := 50
	for _, s := range a.settings.Load().Scopes {
		limit = max(limit, s.SSH.Concurrency)
	}
	return limit
}

func (a *App) scopeLimit(scope string) int {
	s, _ := a.settings.Load().Scope(scope)
	return s.SSH.Concurrency
}

// entries are what runs by itself.
func (a *App) entries(set *settings.Settings) []schedule.Entry {
	var all []schedule.Entry
	cron := func(job string, e settings.CronEntry) {
		if e.Cron != "" {
			all = append(all, schedule.Entry{Name: job, Job: job, Cron: e.Cron, Zone: set.Timezone, Splay: e.Splay})
		}
	}
	cron(schedule.JobDiscovery, set.Schedules.Discovery)
	cron(schedule.JobBackup, set.Schedules.Backup)
	cron(jobHousekeeping, set.Schedules.Housekeeping)
	if every := set.Schedules.Reachability.Every; every > 0 {
		all = append(all, schedule.Entry{Name: "reachability", Every: every, Do: func(ctx context.Context) error {
			return a.reach.Round(ctx, a.o.Now())
		}})
	}
	// Also where no scope has one (any more): a device may wait from before a reload.
	all = append(all, schedule.Entry{Name: "after blackout", Every: time.Minute, Do: a.afterBlackout})
	return append(all, a.extra...)
}

// configureAlerts says who is told of what.
func (a *App) configureAlerts(ctx context.Context, set *settings.Settings) error {
	var receivers []alert.Receiver
	for _, r := range set.Receivers {
		if _, err := a.receiver(ctx, r); err != nil && !errors.Is(err, errReceiverSecret) {
			return &api.Error{Message: err.Error(), Exit: 2}
		}
		var made alert.Receiver = receiver{a, r}
		if r.Diff == "redacted" {
			made = alert.WithDiff(made)
		}
		receivers = append(receivers, made)
	}
	var routes []alert.Route
	for _, r := range set.Alerts {
		route := alert.Route{To: r.To, Digest: r.Digest == "daily", UnsavedAfter: r.UnsavedAfter}
		for _, k := range r.Kinds {
			route.Kinds = append(route.Kinds, alert.Kind(k))
		}
		if len(route.Kinds) == 0 {
			route.Kinds = alert.Kinds()
		}
		routes = append(routes, route)
	}
	if err := a.alerts.Set(routes, receivers); err != nil {
		return &api.Error{Message: err.Error(), Exit: 2}
	}
	a.alerts.SetWindows(windows(set))
	a.alerts.SetZone(set.Timezone)
	return nil
}

// windows are the times in which nobody is told of what is being worked on.
func windows(set *settings.Settings) (all []alert.Window) {
	for _, m := range set.Maintenance {
		filter, _ := inventory.ParseFilter(m.Filter) // checked where the settings were read
		all = append(all, alert.Window{
			Name: m.Name,
			Covers: func(d inventory.Device) bool {
				return (len(m.Scopes) == 0 || slices.Contains(m.Scopes, d.Scope)) &&
					(len(m.Sites) == 0 || slices.Contains(m.Sites, d.Site)) && (m.Filter == "" || filter.Match(d))
			},
			Open: func(at time.Time) (time.Time, bool) {
				if m.Cron == "" {
					return m.End, !at.Before(m.Start) && at.Before(m.End)
				}
				until, open, _ := schedule.Within(m.Cron, set.Timezone, m.Duration, at) // as above
				return until, open
			},
		})
	}
	return all
}

// overdue lists managed devices whose newest good backup is older than before.
func (a *App) overdue(ctx context.Context, before time.Time) ([]alert.Overdue, error) {
	devs, err := a.devices.List(ctx, inventory.Filter{})
	if err != nil {
		return nil, err
	}
	standings, err := a.backups.Standings(ctx, a.o.Now())
	if err != nil {
		return nil, err
	}
	var late []alert.Overdue
	for _, d := range devs {
		last := standings[d.ID].LastGood
		if last.IsZero() {
			last = d.FirstSeen
		}
		if d.Managed && !d.Disabled && !d.Retired && last.Before(before) {
			late = append(late, alert.Overdue{DeviceID: d.ID, Device: d.Name, LastGood: last})
		}
	}
	return late, nil
}

// diff writes what an alert about drift is about, as `muster config diff` does.
func (a *App) diff(ctx context.Context, w io.Writer, kind alert.Kind, device int64) error {
	switch kind {
	case alert.Changed:
		return a.backups.DiffApproved(ctx, w, device)
	case alert.Unsaved:
		return a.backups.DiffUnsaved(ctx, w, device)
	case alert.OffBaseline:
		return a.backups.DiffBaseline(ctx, w, device)
	}
	return nil
}

// recheck reads devices again at the end of the grace of unsaved.
func (a *App) recheck(ctx context.Context, ids []int64) {
	var names []string
	for _, id := range ids {
		if d, err := a.devices.ByID(ctx, id); err == nil {
			names = append(names, byName(d))
		}
	}
	if len(names) == 0 {
		return
	}
	if _, err := a.runner.Start(ctx, schedule.JobBackup, schedule.Request{By: schedule.BySchedule, Devices: names}); err != nil && !errors.Is(err, schedule.ErrClosed) {
		a.log.WarnContext(ctx, "unsaved devices were not read again", "err", err)
	}
}

// byName is the word that selects a device by its name, which alone may read like
// another filter or an address.
func byName(d inventory.Device) string { return "name:" + d.Name }

// notRetired is what backup and alert mean by all devices.
func (a *App) notRetired(ctx context.Context) ([]inventory.Device, error) {
	all, err := a.devices.List(ctx, inventory.Filter{})
	kept := all[:0]
	for _, d := range all {
		if !d.Retired {
			kept = append(kept, d)
		}
	}
	return kept, err
}

// learn hands what the texts of a good capture say of a device to the inventory.
func (a *App) learn(ctx context.Context, dev inventory.Device, facts []platform.Fact, _ time.Time) error {
	return a.devices.Learn(ctx, dev.ID, facts)
}

func (a *App) approval(d inventory.Device) backup.ApprovalPolicy {
	sc, _ := a.network.Load().ScopeOf(d.Address)
	return backup.ParseApproval(sc.Approval, sc.ApprovalAge)
}

// hangUps are the SIGHUPs of this process.
type hangUps struct{ c chan os.Signal }

func onHangUp() hangUps {
	h := hangUps{make(chan os.Signal, 1)}
	signal.Notify(h.c, syscall.SIGHUP)
	return h
}

func (h hangUps) stop() { signal.Stop(h.c) }
