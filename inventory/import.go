package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/collector"
)

// ImportOptions says how a file is read and what is done with it. The zero value
// finds out the format and does nothing.
type ImportOptions struct {
	Apply      bool // do it; else only tell what would be done
	Format     ImportFormat
	Columns    []string // of a file without a header line; none: the format's
	Credential string   // of devices that are added and that the file names none for
	Site       string   // likewise
}

// ImportAction is what an import does about one line of its file.
type ImportAction string

// The actions.
const (
	ImportAdd    ImportAction = "add"
	ImportChange ImportAction = "change"
	ImportLeave  ImportAction = "leave" // it is there, as the file says
)

// ImportStep is what an import does, or would do, about one line.
type ImportStep struct {
	Line       int          `json:"line"`
	Action     ImportAction `json:"action"`
	Name       string       `json:"name"`
	Address    string       `json:"address,omitempty"`
	Port       uint16       `json:"port,omitempty"` // absent: the scope's
	Platform   string       `json:"platform,omitempty"`
	Site       string       `json:"site,omitempty"`
	Credential string       `json:"credential,omitempty"`
	Tags       []string     `json:"tags"`
	Changes    []string     `json:"changes"` // "site: paris → lyon"
	Message    string       `json:"message,omitempty"`
}

// Imported is what an import did, or would do. With faults it did nothing.
type Imported struct {
	Steps  []ImportStep  `json:"steps"`
	Faults []ImportFault `json:"faults"`
	Notes  []string      `json:"notes"` // how the file was read
	Done   bool          `json:"done"`
}

// Import adds and changes the devices that a file lists: a CSV file, or a
// router.db of Oxidized or RANCID. A device that is there, by address or by name,
// is changed where a cell says something else; empty cells change nothing, and
// tags are only added. All of it is one transaction: with a fault in any line
// nothing is done. A person vouches for what is added, as with Add.
func (d *Devices) Import(ctx context.Context, data []byte, o ImportOptions, by string) (Imported, error) {
	n := d.o.Network()
	if err := d.checkWords(ctx, n, "", o.Credential); err != nil {
		return Imported{}, err
	}
	f := readImport(data, o.Format, o.Columns)
	places, err := d.resolveRows(ctx, f.rows)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Steps: []ImportStep{}, Notes: append([]string{}, f.notes...)}
	var work []*importWork
	plan := func(tx Reader) error {
		p := importPlan{d: d, n: n, o: o, file: f, places: places}
		if err := p.make(tx); err != nil {
			return err
		}
		work, out.Faults = p.work, append([]ImportFault{}, p.file.faults...)
		slices.SortStableFunc(out.Faults, func(a, b ImportFault) int { return a.Line - b.Line })
		return nil
	}
	if o.Apply {
		err = d.o.Store.Update(ctx, func(tx Tx) error {
			if err := plan(tx); err != nil || len(out.Faults) > 0 {
				return err
			}
			for _, w := range work {
				if err := w.do(d, tx, n, by); err != nil {
					return fmt.Errorf("line %d: %w", w.step.Line, err)
				}
			}
			return nil
		})
	} else {
		err = d.o.Store.View(ctx, plan)
	}
	if err != nil || len(out.Faults) > 0 {
		return out, err
	}
	out.Done = o.Apply
	n = n.remember(newCredentials()) // secrets may come from commands: once is enough
	for _, w := range work {
		out.Steps = append(out.Steps, w.step)
		if o.Apply && w.step.Action != ImportLeave {
			if err := d.access.review(ctx, n, w.dev.ID); err != nil {
				return out, fmt.Errorf("all is imported; find out what stands in the way of %s: %w", w.dev.Name, err)
			}
		}
	}
	return out, nil
}

// place is where a row's device is.
type place struct {
	addr    netip.Addr
	port    uint16
	literal bool // the file has the address itself, not a name that resolves to it
	err     error
}

// resolveLimit bounds one question to DNS, lookups how many are open at a time.
const (
	resolveLimit = 10 * time.Second
	lookups      = 16
)

// resolveRows finds the addresses of the rows, in their order. The name of a
// device that is known needs no DNS.
func (d *Devices) resolveRows(ctx context.Context, rows []importRow) ([]place, error) {
	known := map[string]bool{}
	err := d.o.Store.View(ctx, func(tx Reader) error {
		all, err := tx.Devices()
		for _, dev := range all {
			known[strings.ToLower(dev.Name)] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	places := make([]place, len(rows))
	free := make(chan struct{}, lookups)
	var wait sync.WaitGroup
	for i, r := range rows {
		text := first(r.address, r.name)
		if r.address == "" && known[strings.ToLower(r.name)] {
			continue
		}
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(ctx, resolveLimit)
			defer cancel()
			addr, port, given, err := d.resolve(ctx, text)
			places[i] = place{addr, port, given == "", err}
		})
	}
	wait.Wait()
	return places, ctx.Err()
}

// importPlan decides what is done about each row.
type importPlan struct {
	d      *Devices
	n      Network
	o      ImportOptions
	file   importFile // its faults grow
	places []place

	work   []*importWork
	byName map[string]Device
	owner  map[int64]int // device: the line that is about it
	names  map[string]int
	addrs  map[netip.Addr]int
}

// importWork is what is done about one row.
type importWork struct {
	step     ImportStep
	dev      Device
	change   Change
	addr     netip.Addr // of change.Address
	port     uint16
	platform string // a guess by another tool's name: discovery may know better
	why      string
	manage   bool
}

func (p *importPlan) make(tx Reader) error {
	p.byName, p.owner, p.names, p.addrs = map[string]Device{}, map[int64]int{}, map[string]int{}, map[netip.Addr]int{}
	all, err := tx.Devices()
	if err != nil {
		return err
	}
	for _, dev := range all {
		p.byName[strings.ToLower(dev.Name)] = dev
	}
	p.file.faults = slices.Clone(p.file.faults)
	for i, r := range p.file.rows {
		w, err := p.row(tx, r, p.places[i])
		if err != nil {
			return err
		}
		if w != nil {
			p.work = append(p.work, w)
		}
	}
	return nil
}

// row decides about one row; nil: it has a fault.
func (p *importPlan) row(tx Reader, r importRow, at place) (*importWork, error) {
	before := len(p.file.faults)
	named, isNamed := p.byName[strings.ToLower(r.name)]
	if r.name != "" && !isAddr(r.name) && cleanName(r.name) != r.name {
		p.file.fault(r.line, "%q is no name for a device. Use letters, digits and - _ . @ +", r.name)
	}
	if at.err != nil {
		p.file.fault(r.line, "%v", at.err)
	}
	if at.port != 0 && r.port != 0 && at.port != r.port {
		p.file.fault(r.line, "the address has port %d, the column %d", at.port, r.port)
	}
	at.port = first(at.port, r.port)
	p.once(r, at)
	if r.cred != "" && !slices.Contains(p.n.Names, r.cred) {
		p.file.fault(r.line, "%s is no credential; the settings have %s", p.file.quoted(r.cred, "credential"), strings.Join(p.n.Names, ", "))
	}
	platformName, given, word := p.platform(r)
	if len(p.file.faults) > before {
		return nil, nil
	}
	dev, found, answers := named, isNamed, false
	if at.addr.IsValid() {
		here, ok, err := deviceAt(tx, at.addr)
		if err != nil {
			return nil, err
		}
		if ok && isNamed && here.ID != named.ID {
			p.file.fault(r.line, "%s is the address of %s, and %s is another device. Where they are one: muster device merge %s %s",
				at.addr, here.Name, named.Name, here.Name, named.Name)
			return nil, nil
		}
		if ok {
			dev, found, answers = here, true, true
		}
	}
	if !found {
		return p.add(r, at, platformName, given, word), nil
	}
	if line := p.owner[dev.ID]; line != 0 {
		p.file.fault(r.line, "it is %s, like line %d", dev.Name, line)
		return nil, nil
	}
	p.owner[dev.ID] = r.line
	return p.compare(r, at, dev, answers, platformName, given, word), nil
}

// once faults names and addresses that the file has twice.
func (p *importPlan) once(r importRow, at place) {
	if name := strings.ToLower(r.name); name != "" {
		if line := p.names[name]; line != 0 {
			p.file.fault(r.line, "the name %s is in line %d already", collector.Escape(r.name), line)
			return
		}
		p.names[name] = r.line
	}
	if at.addr.IsValid() {
		if line := p.addrs[at.addr]; line != 0 {
			p.file.fault(r.line, "the address %s is that of line %d already", at.addr, line)
			return
		}
		p.addrs[at.addr] = r.line
	}
}

// platform reads what a row says of the platform. given: in our own word, in a
// file of our own format, so that it holds; else discovery may know better.
func (p *importPlan) platform(r importRow) (name string, given bool, word string) {
	if r.platform == "" {
		return "", false, ""
	}
	own := strings.ToLower(r.platform)
	if _, ok := p.d.o.Platforms().ByName(own); ok && p.file.format == ImportCSV {
		return own, true, ""
	}
	known := first(aliasOf(r.platform), own)
	switch _, ok := p.d.o.Platforms().ByName(known); {
	case ok:
		return known, false, ""
	case aliases[known] != "":
		return "", false, fmt.Sprintf("%s is %s, of which there is no definition yet", collector.Escape(r.platform), known)
	case p.file.format == ImportCSV:
		p.file.fault(r.line, "%s is no platform; muster platform list shows all, an empty cell lets muster find out", p.file.quoted(r.platform, "platform"))
		return "", false, ""
	}
	return "", false, fmt.Sprintf("the model %s says nothing to muster; it finds out by itself", collector.Escape(r.platform))
}

// deviceAt returns the device that is managed at addr, else one that answers there.
func deviceAt(tx Reader, addr netip.Addr) (Device, bool, error) {
	known, err := tx.Known(nil, addr, 0)
	if err != nil || len(known) == 0 {
		return Device{}, false, err
	}
	for _, k := range known {
		if k.Device.Address == addr {
			return k.Device, true, nil
		}
	}
	return known[0].Device, true, nil
}

// add plans a new device.
func (p *importPlan) add(r importRow, at place, platformName string, given bool, word string) *importWork {
	if !at.addr.IsValid() { // it was known by name a moment ago
		p.file.fault(r.line, "it has no address")
		return nil
	}
	now := p.d.o.Now()
	dev := Device{Name: r.name, NameGiven: true, Address: at.addr, AddressReason: addressConfigured, SSHPort: at.port,
		Platform: platformName, PlatformGiven: given, Site: first(r.site, p.o.Site), Credential: first(r.cred, p.o.Credential), Tags: r.tags,
		Managed: true, ManagedGiven: true, AddedByPerson: true, Disabled: r.down, State: StateUnknown, StateSince: now, FirstSeen: now}
	if isAddr(r.name) || r.name == "" {
		dev.Name, dev.NameGiven = first(r.name, at.addr.String()), false
		if !at.literal {
			dev.Name = first(cleanName(hostOf(r.address)), dev.Name)
		}
		if _, taken := p.byName[strings.ToLower(dev.Name)]; taken {
			p.file.fault(r.line, "the name %s is taken; write one into the file", dev.Name)
			return nil
		}
	}
	dev.SiteGiven = dev.Site != ""
	if def, ok := p.d.o.Platforms().ByName(platformName); ok {
		dev.Vendor, dev.PlatformReason = def.Vendor, p.said(r, given)
	}
	sc := p.n.scope(dev)
	dev.Scope = sc.Name
	if !dev.SiteGiven {
		dev.Site = sc.Site
	}
	if sc.Name == "" && dev.Credential == "" {
		p.file.fault(r.line, "%s is in no scope, so nothing says which account to use. Name one in the column credential or by --credential, or add the address to a scope", at.addr)
		return nil
	}
	if r.down {
		word = strings.TrimPrefix(word+"; RANCID does not ask it, so it is added disabled (muster device set NAME --enable)", "; ")
	}
	p.byName[strings.ToLower(dev.Name)] = dev
	return &importWork{dev: dev, step: stepOf(r.line, ImportAdd, dev, word)}
}

func hostOf(address string) string {
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		return address[:i]
	}
	return address
}

// said is the reason that is shown for a platform.
func (p *importPlan) said(r importRow, given bool) string {
	if given {
		return "a person said so"
	}
	return "imported as " + collector.Escape(r.platform)
}

func stepOf(line int, action ImportAction, dev Device, message string) ImportStep {
	s := ImportStep{Line: line, Action: action, Name: dev.Name, Port: dev.SSHPort, Platform: dev.Platform, Site: dev.Site,
		Credential: dev.Credential, Tags: append([]string{}, dev.Tags...), Changes: []string{}, Message: message}
	if dev.Address.IsValid() {
		s.Address = dev.Address.String()
	}
	return s
}

// compare plans what a row changes at a device that is there. answers: it does at
// the row's address, so its management address stays as it is.
func (p *importPlan) compare(r importRow, at place, dev Device, answers bool, platformName string, given bool, word string) *importWork {
	if dev.Retired {
		return &importWork{dev: dev, step: stepOf(r.line, ImportLeave, dev, "it is retired")}
	}
	w := &importWork{dev: dev}
	after := dev
	var changes []string
	differ := func(field, was, is string) bool {
		if is == "" || is == was {
			return false
		}
		changes = append(changes, fmt.Sprintf("%s: %s → %s", field, first(was, "none"), is))
		return true
	}
	// A name that only served to find the address names nothing.
	if (r.address != "" || strings.EqualFold(r.name, dev.Name)) && !isAddr(r.name) && differ("name", dev.Name, r.name) {
		after.Name, w.change.Name = r.name, &r.name
	}
	switch here := dev.Address == at.addr; {
	case !at.literal || !at.addr.IsValid():
	case here && at.port != 0 && at.port != sshAddr(dev, p.n.scope(dev)).Port():
		differ("port", fmt.Sprint(sshAddr(dev, p.n.scope(dev)).Port()), fmt.Sprint(at.port))
		w.addr, w.port = at.addr, at.port
	case !here && !answers:
		was := ""
		if dev.Address.IsValid() {
			was = dev.Address.String()
		}
		differ("address", was, at.addr.String())
		w.addr, w.port = at.addr, first(at.port, dev.SSHPort)
	}
	if w.addr.IsValid() {
		text := w.addr.String()
		after.Address, after.SSHPort, w.change.Address = w.addr, w.port, &text
	}
	switch {
	case given && differ("platform", dev.Platform, platformName):
		after.Platform, w.change.Platform = platformName, &platformName
	case dev.Platform == "" && differ("platform", "", platformName):
		after.Platform, w.platform, w.why = platformName, platformName, p.said(r, given)
	}
	if differ("site", dev.Site, r.site) {
		after.Site, w.change.Site = r.site, &r.site
	}
	if differ("credential", dev.Credential, r.cred) {
		after.Credential, w.change.Credential = r.cred, &r.cred
	}
	for _, t := range r.tags {
		if !slices.Contains(after.Tags, t) {
			after.Tags = append(slices.Clone(after.Tags), t)
			changes = append(changes, "tag: "+t)
			w.change.Tags = &after.Tags
		}
	}
	if !dev.Managed && !dev.ManagedGiven {
		changes, w.manage = append(changes, "managed: no → yes"), true
	}
	if r.down && !dev.Disabled {
		yes := true
		changes, w.change.Disabled = append(changes, "disabled: no → yes"), &yes
	}
	action := ImportLeave
	if len(changes) > 0 {
		action = ImportChange
	}
	w.step = stepOf(r.line, action, after, word)
	w.step.Changes = append(w.step.Changes, changes...)
	return w
}

// do writes what was planned.
func (w *importWork) do(d *Devices, tx Tx, n Network, by string) error {
	switch w.step.Action {
	case ImportAdd:
		return d.enter(tx, &w.dev, by, "device import")
	case ImportLeave:
		return nil
	}
	subject := w.dev.Name
	if _, err := d.apply(tx, &w.dev, w.change, n, w.addr, w.port); err != nil {
		return err
	}
	if w.platform != "" {
		w.dev.Platform, w.dev.PlatformReason = w.platform, w.why
		if def, ok := d.o.Platforms().ByName(w.platform); ok {
			w.dev.Vendor = def.Vendor
		}
	}
	if w.manage {
		w.dev.Managed, w.dev.ManagedGiven = true, true
	}
	if err := tx.PutDevice(&w.dev); err != nil {
		return err
	}
	return tx.Audit(d.o.Now(), by, "device import", subject, strings.Join(w.step.Changes, ", "))
}
