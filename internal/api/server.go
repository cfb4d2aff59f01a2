package api

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/alert"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
)

// Devices is what the API needs of the inventory; *inventory.Devices has it. key
// is a name, an address or a serial.
type Devices interface {
	List(ctx context.Context, f inventory.Filter) ([]inventory.Device, error)
	Show(ctx context.Context, key string) (inventory.Device, error)
	FactsOf(ctx context.Context, id int64) (inventory.Facts, error)
	KeysOf(ctx context.Context, id int64) ([]inventory.Key, error)
	Telnet(dev inventory.Device) bool
	Port(dev inventory.Device) uint16
	Add(ctx context.Context, n inventory.NewDevice, by string) (inventory.Device, error)
	Import(ctx context.Context, file []byte, o inventory.ImportOptions, by string) (inventory.Imported, error)
	Set(ctx context.Context, key string, c inventory.Change, by string) (inventory.Device, error)
	Retry(ctx context.Context, key, by string) (inventory.Device, error)
	Replace(ctx context.Context, key, by string) (inventory.Device, error)
	Merge(ctx context.Context, into, from, by string) (inventory.Device, error)
	Retire(ctx context.Context, key, by string) (inventory.Device, error)
	Delete(ctx context.Context, key, by string) (inventory.Device, error)
	Allow(ctx context.Context, f inventory.Filter, o inventory.AllowOptions, by string) ([]inventory.Allowed, error)
	AcceptKey(ctx context.Context, f inventory.Filter, by string) ([]inventory.Accepted, error)
	AcceptKnownHosts(ctx context.Context, f inventory.Filter, file io.Reader, by string) ([]inventory.Accepted, error)
	RetryCredential(ctx context.Context, name, by string) error
}

// Configs is what the API needs of backups; backup.Backups has it.
type Configs interface {
	Text(ctx context.Context, device int64, w backup.Which, by string) ([]byte, error)
	Versions(ctx context.Context, device int64) ([]backup.Version, error)
	Diff(ctx context.Context, w io.Writer, device int64, a, c int) error
	DiffUnsaved(ctx context.Context, w io.Writer, device int64) error
	DiffBaseline(ctx context.Context, w io.Writer, device int64) error
	WritePending(ctx context.Context, w io.Writer, device int64) error
	Grep(ctx context.Context, pattern string, devices []inventory.Device, emit func(backup.Hit) error) error
	Export(ctx context.Context, devices []inventory.Device, emit func(backup.File) error) error
	Approve(ctx context.Context, device int64, by string) (int, error)
	ApproveChange(ctx context.Context, device int64, group, by string) (int, error)
	Quarantined(ctx context.Context, device int64) (backup.Held, error)
	Accept(ctx context.Context, device int64, capture, by string) (int, backup.Held, error)
	Discard(ctx context.Context, device int64, capture, by string) (backup.Held, error)
	Pin(ctx context.Context, device int64, version int, by string) (int, error)
	Unpin(ctx context.Context, device int64, by string) error
	Purge(ctx context.Context, device int64, version int, by string) error
	Drifts(ctx context.Context) ([]backup.Drift, error)
	Standings(ctx context.Context, at time.Time) (map[int64]backup.Standing, error)
}

// Alerts is what the API needs of alerts; alert.Alerts has it.
type Alerts interface {
	List(ctx context.Context, f alert.Filter) ([]alert.Alert, error)
	Ack(ctx context.Context, id int64, by, note string) (alert.Alert, error)
	Test(ctx context.Context, receiver string) error
}

// House is what the API needs of the house as a whole; the app fills it.
type House interface {
	Hello() Hello
	Platforms() *platform.Set
	// Next lists when each schedule is due.
	Next(ctx context.Context) ([]NextRun, error)
	SetSecret(ctx context.Context, name string, v secret.Value, by string) error
	Secrets(ctx context.Context) ([]Secret, error)
	// SecretUse tells who uses a secret.
	SecretUse(name string) SecretUse
	// Credentials lists the credentials that use a secret.
	Credentials(secretName string) []string
	// Explain says what muster would do at an address or a device, and why.
	Explain(ctx context.Context, key string) ([]inventory.Explained, error)
	Doctor(ctx context.Context, dev inventory.Device, each func(collector.StepTime), said func(command, answer string)) error
	Examine(ctx context.Context) []Finding
	Verify(ctx context.Context) (Verified, error)
	SelfBackup(ctx context.Context, file string) error
	Reload(ctx context.Context) (note string, err error)
	LastEvent(ctx context.Context) (int64, error)
	// OpenLink makes a one-time link to the pages.
	OpenLink() (string, error)
}

// Server answers the API's questions. Its methods are what handlers and pages
// share; they may be called from any goroutine.
type Server struct {
	devices Devices
	configs Configs
	alerts  Alerts
	runs    *schedule.Runner
	house   House
	now     func() time.Time
}

// New makes a Server of the parts.
func New(d Devices, c Configs, a Alerts, r *schedule.Runner, h House, now func() time.Time) *Server {
	return &Server{devices: d, configs: c, alerts: a, runs: r, house: h, now: now}
}

// Devices lists devices with their backups and drift.
func (s *Server) Devices(ctx context.Context, filter string) ([]Device, error) {
	devs, err := s.list(ctx, filter)
	if err != nil {
		return nil, err
	}
	return s.rows(ctx, devs)
}

// list selects devices; a filter is words joined by blanks. A word that is the
// name of no device chooses none: see [Server.chosen].
func (s *Server) list(ctx context.Context, filter string) ([]inventory.Device, error) {
	f, err := inventory.ParseFilter(strings.Fields(filter)...)
	if err != nil {
		return nil, &Error{Message: err.Error(), Exit: 2}
	}
	return s.devices.List(ctx, f)
}

func (s *Server) rows(ctx context.Context, devs []inventory.Device) ([]Device, error) {
	standings, err := s.configs.Standings(ctx, s.now())
	if err != nil {
		return nil, err
	}
	rows := make([]Device, 0, len(devs))
	for _, d := range devs {
		r, err := s.row(ctx, d, standings[d.ID])
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// row is what is known of a device, with why it is not backed up. What a person
// has settled since its newest attempt is no reason any more.
func (s *Server) row(ctx context.Context, d inventory.Device, st backup.Standing) (Device, error) {
	r := row(d, st)
	if r.ProblemKind != collector.ErrHostKeyChanged && r.ProblemKind != collector.ErrHostKeyUnknown {
		return r, nil
	}
	keys, err := s.devices.KeysOf(ctx, d.ID)
	if err != nil {
		return r, err
	}
	if keySettled(keys, st.At) {
		r.ProblemKind, r.ProblemStep, r.Problem = keyAccepted, "", notRead("new host key accepted", d.Name)
	}
	return r, nil
}

// keySettled reports whether a person has decided about the host key that an
// attempt met: the new one is accepted, or the old one is dropped.
func keySettled(keys []inventory.Key, attempt time.Time) bool {
	settled := false
	for _, k := range keys {
		switch {
		case k.State == inventory.KeyPending:
			return false
		case k.ByPerson || k.State == inventory.KeyDropped:
			settled = settled || k.At.After(attempt)
		}
	}
	return settled
}

// What a person has decided and no session has shown yet.
const (
	discarded   collector.Kind = "discarded"    // the capture in quarantine
	keyAccepted collector.Kind = "key-accepted" // the host key that was another one
)

func notRead(what, name string) string {
	return what + ", not read since. muster backup " + name
}

func row(d inventory.Device, st backup.Standing) Device {
	r := Device{
		Name: d.Name, Vendor: d.Vendor, Platform: d.Platform, Model: d.Model, Version: d.Version, Serial: d.Serial,
		Site: d.Site, State: string(d.State), Scope: d.Scope, Managed: d.Managed, StateSince: known(d.StateSince),
		BackupState: st.State, Drift: []string{}, LastBackup: known(st.LastGood), Versions: st.Versions,
	}
	if d.Address.IsValid() {
		r.Address = d.Address.String()
	}
	for _, k := range st.Drift {
		r.Drift = append(r.Drift, string(k))
	}
	if r.State == "" {
		r.State = string(inventory.StateUnknown)
	}
	if r.BackupState == "" {
		r.BackupState = backup.Never
	}
	if d.Disabled || d.Retired {
		r.BackupState = backup.Disabled
	}
	switch {
	case r.BackupState == backup.Good:
	case d.Missing == collector.ErrPlatformUnknown && d.Platform == "" && st.Message != "":
		// Why it could not be found out says more: it may be dead.
		r.ProblemKind, r.ProblemStep, r.Problem = st.Kind, st.Step, st.Message
	case d.Missing != "":
		r.ProblemKind, r.Problem = d.Missing, d.MissingReason
		if d.Missing == collector.ErrNeedsCredential && st.Step == collector.StepEnable {
			r.ProblemStep = st.Step // the login is not what it rejects
		}
	case !d.Managed:
	case st.Outcome == backup.Quarantined && !st.Waiting:
		r.ProblemKind, r.Problem = discarded, notRead("discarded", d.Name)
	case st.Message != "":
		r.ProblemKind, r.ProblemStep, r.Problem = st.Kind, st.Step, st.Message
	}
	return r
}

// known is a time that is not the zero one.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Device shows all that is known of one, by name, address or serial.
func (s *Server) Device(ctx context.Context, name string) (DeviceDetail, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return DeviceDetail{}, err
	}
	f, err := s.devices.FactsOf(ctx, d.ID)
	if err != nil {
		return DeviceDetail{}, err
	}
	standings, err := s.configs.Standings(ctx, s.now())
	if err != nil {
		return DeviceDetail{}, err
	}
	unread := ""
	if def, ok := s.house.Platforms().ByName(d.Platform); ok && !d.Managed {
		unread = def.Unread()
	}
	r, err := s.row(ctx, d, standings[d.ID])
	if err != nil {
		return DeviceDetail{}, err
	}
	return DeviceDetail{
		Device:        r,
		AddressReason: d.AddressReason, PlatformReason: d.PlatformReason, Tags: full(d.Tags),
		Credential: d.SSHCredential, SNMPCredential: d.SNMPCredential, Algorithms: string(d.Algorithms), Telnet: s.devices.Telnet(d), Port: s.devices.Port(d),
		FirstSeen: known(d.FirstSeen), LastSeen: known(d.LastSeen),
		ReadAt: known(f.ReadAt), Behind: d.Behind, Unread: unread, Question: d.Question,
		Facts: full(f.Facts), Interfaces: full(f.Interfaces), Addresses: full(f.Addresses), VLANs: full(f.VLANs),
		Components: full(f.Components), Neighbors: full(f.Neighbors), HostKeys: full(f.HostKeys),
	}, nil
}

// full makes a list that is there, also where it is empty.
func full[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Versions lists the versions of a device, newest first.
func (s *Server) Versions(ctx context.Context, name string) ([]Version, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	vs, err := s.configs.Versions(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Version, 0, len(vs))
	for _, v := range vs {
		out = append(out, Version{Version: v.Number, At: v.At.UTC(), Reason: v.Reason, Approved: v.Approved, LinesAdded: v.LinesAdded, LinesRemoved: v.LinesRemoved, LastChange: v.LastChange, Rules: v.Rules})
	}
	return out, nil
}

// Quarantined tells which capture of a device is in quarantine.
func (s *Server) Quarantined(ctx context.Context, name string) (Held, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return Held{}, err
	}
	held, err := s.configs.Quarantined(ctx, d.ID)
	return Held{Device: d.Name, Capture: held.ID, TakenAt: held.TakenAt}, err
}

// Text returns a stored text, redacted. Raw texts are [Server.raw]'s alone.
func (s *Server) Text(ctx context.Context, name string, w backup.Which) ([]byte, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	w.Raw = false
	return s.configs.Text(ctx, d.ID, w, "")
}

// raw returns a text as the device sent it and leaves an audit row.
func (s *Server) raw(ctx context.Context, name string, w backup.Which, by string) ([]byte, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	w.Raw = true
	return s.configs.Text(ctx, d.ID, w, by)
}

// Diff writes a unified diff, redacted: versions a and b (0, 0: the newest two),
// or against "unsaved" or "baseline"; "pending" is what the device says of changes
// that wait, which is no diff.
func (s *Server) Diff(ctx context.Context, w io.Writer, name string, a, b int, against string) error {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return err
	}
	switch against {
	case "":
		return s.configs.Diff(ctx, w, d.ID, a, b)
	case "unsaved":
		return s.configs.DiffUnsaved(ctx, w, d.ID)
	case "baseline":
		return s.configs.DiffBaseline(ctx, w, d.ID)
	case "pending":
		return s.configs.WritePending(ctx, w, d.ID)
	}
	return &Error{Message: "a diff is against two versions, unsaved, baseline or pending, not " + against, Exit: 2}
}

// Drift lists what drifted, of the devices that a filter fits; see [Server.chosen].
func (s *Server) Drift(ctx context.Context, filter string) ([]backup.Drift, error) {
	all, err := s.configs.Drifts(ctx)
	if err != nil || filter == "" {
		return full(all), err
	}
	devs, err := s.chosen(ctx, filter)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, d := range devs {
		wanted[d.Name] = true
	}
	out := []backup.Drift{}
	for _, d := range all {
		if wanted[d.Device] {
			out = append(out, d)
		}
	}
	return out, nil
}

// Alerts lists alerts: the firing ones, or all.
func (s *Server) Alerts(ctx context.Context, all bool) ([]alert.Alert, error) {
	f := alert.Filter{}
	if !all {
		f.State = alert.Firing
	}
	list, err := s.alerts.List(ctx, f)
	a := slices.Clone(list)
	for i := range a {
		a[i].Devices = full(a[i].Devices)
	}
	return full(a), err
}

// Runs lists the newest runs.
func (s *Server) Runs(ctx context.Context, limit int) ([]schedule.Run, error) {
	r, err := s.runs.Runs(ctx, "", limit)
	for i := range r {
		r[i] = counted(r[i])
	}
	return full(r), err
}

// counted is a run whose counts are there, also where nothing has ended yet.
func counted(r schedule.Run) schedule.Run {
	if r.Counts == nil {
		r.Counts = map[string]int{}
	}
	return r
}

// Run shows one run with its tasks; 0: the newest.
func (s *Server) Run(ctx context.Context, id int64) (RunDetail, error) {
	if id == 0 {
		newest, err := s.runs.Runs(ctx, "", 1)
		if err != nil {
			return RunDetail{}, err
		}
		if len(newest) == 0 {
			return RunDetail{}, &Error{Message: "there was no run yet; muster backup starts one", Exit: 1}
		}
		id = newest[0].ID
	}
	r, err := s.runs.Run(ctx, id)
	if err != nil {
		return RunDetail{}, err
	}
	t, err := s.runs.Tasks(ctx, id)
	return RunDetail{Run: counted(r), Tasks: full(t)}, err
}

// Platforms lists the definitions in force.
func (s *Server) Platforms(ctx context.Context) ([]Platform, error) {
	devs, err := s.list(ctx, "")
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, d := range devs {
		count[d.Platform]++
	}
	out := []Platform{}
	for _, d := range s.house.Platforms().All() {
		p := describe(d)
		p.Devices = count[d.Name]
		out = append(out, p)
	}
	return out, nil
}

// Platform shows one, with every command that may ever be sent.
func (s *Server) Platform(_ context.Context, name string) (Platform, error) {
	d, ok := s.house.Platforms().ByName(name)
	if !ok {
		return Platform{}, &Error{Message: "there is no platform " + collector.Escape(name) + "; muster platform list names them", Exit: 2}
	}
	p := describe(d)
	p.Commands = d.Commands()
	return p, nil
}

func describe(d *platform.Definition) Platform {
	p := Platform{Name: d.Name, Vendor: d.Vendor, Family: d.Family, Evidence: d.Evidence, Restorable: d.Restorable, Origin: d.Origin, Revision: d.Revision, Parts: []string{}}
	for _, part := range d.Parts {
		if part.Role != platform.RoleWitness {
			p.Parts = append(p.Parts, part.Name)
		}
	}
	return p
}

// refusal turns what the rooms say into an answer: the sentence, its kind, the
// exit code.
func refusal(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Message: "stopped before it was done; what was finished is stored", Exit: 1}
	}
	return &Error{Message: err.Error(), Kind: collector.KindOf(err), Exit: 1}
}

// Mark changes whenever something happened that a page could show: a stored
// event, an alert (which follows its event a little later), or progress of a run
// that is at work.
func (s *Server) Mark(ctx context.Context) (string, error) {
	last, err := s.house.LastEvent(ctx)
	if err != nil {
		return "", err
	}
	alerts, err := s.alerts.List(ctx, alert.Filter{State: alert.Firing})
	if err != nil {
		return "", err
	}
	runs, err := s.runs.Runs(ctx, "", 3)
	if err != nil {
		return "", err
	}
	mark := fnv.New64a()
	fmt.Fprint(mark, last)
	for _, a := range alerts {
		fmt.Fprint(mark, " ", a.ID, a.Message, a.AckedBy, a.AckNote)
	}
	for _, r := range runs {
		fmt.Fprint(mark, " ", r.ID, r.State, r.Done, r.Total)
	}
	return strconv.FormatUint(mark.Sum64(), 36), nil
}
