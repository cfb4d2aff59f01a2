package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"muster/collector"
	"muster/inventory/platform"
)

// Devices is what people do with devices: look, add, change, retire. Its methods
// are safe for concurrent use; each change is one transaction with its audit row,
// in which by is the account of who does it.
type Devices struct {
	o      Options
	access *Access
}

// NewDevices builds the verbs.
func NewDevices(o Options, a *Access) *Devices { return &Devices{o: o.withDefaults(), access: a} }

// List returns the devices that a filter chooses, by name.
func (d *Devices) List(ctx context.Context, f Filter) ([]Device, error) {
	all, err := d.o.Store.Devices(ctx)
	chosen := []Device{}
	for _, dev := range all {
		if f.Match(dev) {
			chosen = append(chosen, dev)
		}
	}
	return chosen, err
}

// Show returns one device by its name, an address of it, or its serial. The
// error is ErrNoDevice with the nearest names.
func (d *Devices) Show(ctx context.Context, key string) (dev Device, err error) {
	all, err := d.o.Store.Devices(ctx)
	if err != nil {
		return dev, err
	}
	err = d.o.Store.View(ctx, func(tx Reader) error {
		dev, err = among(all, tx, key)
		return err
	})
	return dev, err
}

// ByID returns one device; ErrNoDevice. The id of a device that was merged leads
// to the one that it is part of.
func (d *Devices) ByID(ctx context.Context, id int64) (dev Device, err error) {
	err = d.o.Store.View(ctx, func(tx Reader) error {
		dev, err = tx.Device(id)
		return err
	})
	return dev, err
}

// FactsOf returns everything else that is known of a device.
func (d *Devices) FactsOf(ctx context.Context, id int64) (f Facts, err error) {
	err = d.o.Store.View(ctx, func(tx Reader) error {
		f, err = tx.Facts(id)
		return err
	})
	return f, err
}

// KeysOf returns the host keys of a device, the pending ones too.
func (d *Devices) KeysOf(ctx context.Context, id int64) (keys []Key, err error) {
	err = d.o.Store.View(ctx, func(tx Reader) error {
		keys, err = tx.Keys(id)
		return err
	})
	return keys, err
}

// StatesOf returns the states that a device was in since then, newest first.
func (d *Devices) StatesOf(ctx context.Context, id int64, since time.Time) (all []Interval, err error) {
	err = d.o.Store.View(ctx, func(tx Reader) error {
		all, err = tx.Intervals(id, since)
		return err
	})
	return all, err
}

// find looks for a device by name, address or serial.
func find(tx Reader, key string) (Device, error) {
	all, err := tx.Devices()
	if err != nil {
		return Device{}, err
	}
	return among(all, tx, key)
}

// among is find for a list of all devices.
func among(all []Device, tx Reader, key string) (Device, error) {
	var serial []Device
	for _, dev := range all {
		if strings.EqualFold(dev.Name, key) {
			return dev, nil
		}
		if dev.Serial != "" && strings.EqualFold(dev.Serial, key) {
			serial = append(serial, dev)
		}
	}
	if addr, err := netip.ParseAddr(key); err == nil {
		for _, dev := range all {
			if dev.Address == addr.Unmap() {
				return dev, nil
			}
		}
		known, err := tx.Known(nil, addr.Unmap(), 0)
		if err != nil {
			return Device{}, err
		}
		if len(known) > 0 {
			return known[0].Device, nil
		}
	}
	if len(serial) == 1 {
		return serial[0], nil
	}
	if len(serial) > 1 {
		return Device{}, fmt.Errorf("serial %s is that of %d devices, %s among them; name one: %w", key, len(serial), serial[0].Name, ErrNoDevice)
	}
	if len(all) == 0 {
		return Device{}, fmt.Errorf("%s: %w; the inventory is empty, run muster discover", collector.Escape(key), ErrNoDevice)
	}
	if near := nearest(key, all); near != "" {
		return Device{}, fmt.Errorf("%s: %w; did you mean %s?", collector.Escape(key), ErrNoDevice, near)
	}
	return Device{}, fmt.Errorf("%s: %w; muster device list shows all", collector.Escape(key), ErrNoDevice)
}

// nearest returns the name that key is most likely meant to be.
func nearest(key string, all []Device) string {
	key = strings.ToLower(key)
	for _, match := range []func(name string) bool{
		func(name string) bool { return strings.HasPrefix(name, key) },
		func(name string) bool { return strings.Contains(name, key) },
		func(name string) bool { return oneEdit(name, key) },
	} {
		for _, dev := range all {
			if match(strings.ToLower(dev.Name)) {
				return dev.Name
			}
		}
	}
	return ""
}

// oneEdit reports whether one character more, less or another makes a into b.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i == len(a) || a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}

// NewDevice is a device that a person adds.
type NewDevice struct {
	Address    string // ADDRESS, NAME, ADDRESS:PORT, NAME:PORT or [ADDRESS]:PORT; the port is that of SSH
	Name       string // empty: what the address was given as
	Platform   string // empty: found out by discovery
	Credential string // empty: the scope's
	Site       string // empty: the scope's
}

// Add adds a device that a person vouches for: passwords may go there, and it is
// never merged into another unasked. It takes the scope of its address; outside
// every scope it needs a credential. An address at which a device is known is
// refused with its name.
func (d *Devices) Add(ctx context.Context, n NewDevice, by string) (Device, error) {
	addr, port, given, err := d.resolve(ctx, n.Address)
	if err != nil {
		return Device{}, err
	}
	net := d.o.Network()
	dev := Device{Address: addr, AddressReason: addressConfigured, SSHPort: port, Managed: true, ManagedGiven: true, AddedByPerson: true,
		Credential: n.Credential, Platform: n.Platform, PlatformGiven: n.Platform != "", Site: n.Site, SiteGiven: n.Site != "",
		State: StateUnknown, StateSince: d.o.Now(), FirstSeen: d.o.Now()}
	if err := d.checkWords(ctx, net, n.Platform, n.Credential); err != nil {
		return Device{}, err
	}
	if def, ok := d.o.Platforms().ByName(n.Platform); ok {
		dev.Vendor, dev.PlatformReason = def.Vendor, "a person said so"
	}
	sc := net.scope(dev)
	dev.Scope = sc.Name
	if !dev.SiteGiven {
		dev.Site = sc.Site
	}
	if sc.Name == "" && n.Credential == "" {
		return Device{}, fmt.Errorf("%s is in no scope, so nothing says which account to use. Name one (--credential NAME), or add the address to a scope", addr)
	}
	err = d.o.Store.Update(ctx, func(tx Tx) error {
		known, err := tx.Known(nil, addr, 0)
		if err != nil {
			return err
		}
		if len(known) > 0 {
			return fmt.Errorf("%s is known as %s already. To change it: muster device set %s", addr, known[0].Device.Name, known[0].Device.Name)
		}
		base := first(cleanName(n.Name), cleanName(given), addr.String())
		dev.NameGiven = n.Name != ""
		if dev.NameGiven {
			if taken, err := tx.NameTaken(base, 0); err != nil || taken {
				return errors.Join(err, fmt.Errorf("the name %s is taken. Choose another (--name NAME)", base))
			}
		}
		if dev.Name, err = uniqueName(tx, base, 0); err != nil {
			return err
		}
		return d.enter(tx, &dev, by, "device add")
	})
	if err != nil {
		return Device{}, err
	}
	return d.reviewed(ctx, dev.ID)
}

// enter puts a device into the inventory that a person names.
func (d *Devices) enter(tx Tx, dev *Device, by, action string) error {
	if err := tx.PutDevice(dev); err != nil {
		return err
	}
	if err := tx.Observe(dev.ID, Observation{At: d.o.Now(), Via: ViaSSH, Addr: dev.Address}); err != nil {
		return err
	}
	if err := emit(tx, d.o.Now(), EventDeviceNew, *dev, "", nil); err != nil {
		return err
	}
	return tx.Audit(d.o.Now(), by, action, dev.Name, dev.Address.String())
}

// reviewed returns a device after finding out what stands in its way.
func (d *Devices) reviewed(ctx context.Context, id int64) (Device, error) {
	if err := d.access.review(ctx, d.o.Network(), id); err != nil {
		return Device{}, err
	}
	return d.ByID(ctx, id)
}

// checkWords refuses platforms and credentials that do not exist.
func (d *Devices) checkWords(ctx context.Context, n Network, platformName, credential string) error {
	if platformName != "" {
		if _, ok := d.o.Platforms().ByName(platformName); !ok {
			return fmt.Errorf("there is no platform %q; muster platform list shows all", platformName)
		}
	}
	if credential == "" {
		return nil
	}
	for _, name := range n.Names {
		if name == credential {
			return nil
		}
	}
	return fmt.Errorf("there is no credential %q; the settings have %s", credential, strings.Join(n.Names, ", "))
}

// resolve reads an address as people write it. given is the host part where it
// was a name.
func (d *Devices) resolve(ctx context.Context, text string) (addr netip.Addr, port uint16, given string, err error) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap(), 0, "", nil
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap(), ap.Port(), "", nil
	}
	host, service, err := net.SplitHostPort(text)
	if err != nil {
		host, service = text, ""
	}
	if service != "" {
		p, err := net.LookupPort("tcp", service)
		if err != nil || p == 0 {
			return addr, 0, "", fmt.Errorf("%q is no port. Write ADDRESS or ADDRESS:PORT", service)
		}
		port = uint16(p)
	}
	look := d.o.Resolve
	if look == nil {
		look = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	if host == "" {
		return addr, 0, "", fmt.Errorf("%q is no address. Write ADDRESS or ADDRESS:PORT", text)
	}
	found, err := look(ctx, host)
	if err != nil || len(found) == 0 {
		if err == nil {
			err = errors.New("DNS knows no address of it")
		}
		return addr, 0, "", fmt.Errorf("%s is no address, and no name that resolves to one: %w (%w)", collector.Escape(host), err, collector.ErrUnreachable)
	}
	return found[0].Unmap(), port, host, nil
}

// Learn keeps facts that a session read from texts (platform.Definition.TextFacts),
// such as backup's.
func (d *Devices) Learn(ctx context.Context, id int64, facts []platform.Fact) error {
	if len(facts) == 0 {
		return nil
	}
	return d.o.Store.Update(ctx, func(tx Tx) error {
		dev, err := tx.Device(id)
		if err != nil {
			return err
		}
		at := d.o.Now()
		before := dev
		set := func(field *string, name string) {
			if v := factOf(facts, name); v != "" {
				*field = v
			}
		}
		set(&dev.Version, "version")
		set(&dev.Model, "model")
		if dev.Serial == "" {
			set(&dev.Serial, "serial")
		}
		if before.Version != dev.Version || before.Model != dev.Model || before.Serial != dev.Serial {
			if err := tx.PutDevice(&dev); err != nil {
				return err
			}
		}
		return tx.Observe(dev.ID, Observation{At: at, Via: ViaSSH, Facts: facts})
	})
}

// Port is the TCP port where sessions with dev are opened.
func (d *Devices) Port(dev Device) uint16 { return d.o.Network().Port(dev) }

// Telnet reports whether dev is read by Telnet, since its scope says so.
func (d *Devices) Telnet(dev Device) bool { return d.o.Network().Telnet(dev) }
