package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"muster/collector"
)

// Change is what a person sets at a device; nil fields stay as they are. An
// empty string gives the decision back to muster.
type Change struct {
	Name       *string
	Address    *string // ADDRESS or ADDRESS:PORT
	Platform   *string
	Credential *string // the only one to try; starts a new count of rejected logins
	Site       *string
	Tags       *[]string
	Algorithms *collector.Algorithms
	Timeout    *time.Duration
	Port       *uint16 // TCP, of SSH or Telnet; 0: the scope's again
	Managed    *bool
	Disabled   *bool
}

// Set changes what people decide about one device.
func (d *Devices) Set(ctx context.Context, key string, c Change, by string) (Device, error) {
	n := d.o.Network()
	var addr netip.Addr
	var port uint16
	if c.Address != nil {
		var err error
		if addr, port, _, err = d.resolve(ctx, *c.Address); err != nil {
			return Device{}, err
		}
	}
	if err := d.checkWords(ctx, n, value(c.Platform), value(c.Credential)); err != nil {
		return Device{}, err
	}
	if c.Algorithms != nil && !slices.Contains([]collector.Algorithms{"", collector.Modern, collector.Compatible, collector.Legacy}, *c.Algorithms) {
		return Device{}, fmt.Errorf("there are no algorithms %q; use modern, compatible or legacy", *c.Algorithms)
	}
	if c.Timeout != nil && *c.Timeout < 0 {
		return Device{}, fmt.Errorf("a timeout of %s cannot be; use a time like 60s, or 0 for the scope's", *c.Timeout)
	}
	return d.change(ctx, key, by, "device set", func(tx Tx, dev *Device) (string, error) {
		return d.apply(tx, dev, c, n, addr, port)
	})
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// apply makes the changes of Set and tells them for the audit row.
func (d *Devices) apply(tx Tx, dev *Device, c Change, n Network, addr netip.Addr, port uint16) (string, error) {
	var done []string
	note := func(field, format string, a ...any) { done = append(done, field+"="+fmt.Sprintf(format, a...)) }
	managed, disabled := dev.Managed, dev.Disabled
	if c.Name != nil {
		name := cleanName(*c.Name)
		if name != *c.Name || name == "" {
			return "", fmt.Errorf("%q is no name for a device. Use letters, digits and - _ . : @ +, no address and no field of a filter (site:…)", *c.Name)
		}
		if taken, err := tx.NameTaken(name, dev.ID); err != nil || taken {
			return "", firstError(err, fmt.Errorf("the name %s is taken", name))
		}
		dev.Name, dev.NameGiven = name, true
		note("name", "%s", name)
	}
	if c.Address != nil {
		known, err := tx.Known(nil, addr, 0)
		if err != nil {
			return "", err
		}
		for _, k := range known {
			if k.Device.ID != dev.ID && slices.Contains(k.Answered, addr) {
				return "", fmt.Errorf("%s is the address of %s", addr, k.Device.Name)
			}
		}
		dev.Address, dev.AddressReason, dev.SSHPort = addr, addressConfigured, port
		if err := tx.Observe(dev.ID, Observation{At: d.o.Now(), Via: ViaSSH, Addr: addr}); err != nil {
			return "", err
		}
		dev.Scope = n.scope(*dev).Name
		note("address", "%s", *c.Address)
	}
	if c.Platform != nil {
		dev.Platform, dev.PlatformGiven, dev.PlatformReason = *c.Platform, *c.Platform != "", "a person said so"
		if def, ok := d.o.Platforms().ByName(dev.Platform); ok {
			dev.Vendor = def.Vendor
			if !dev.ManagedGiven {
				dev.Managed = def.HasParts()
			}
		}
		note("platform", "%s", *c.Platform)
	}
	if c.Credential != nil {
		dev.Credential, dev.CountFrom = *c.Credential, d.o.Now()
		if err := tx.Forgive(dev.ID, ""); err != nil {
			return "", err
		}
		note("credential", "%s", *c.Credential)
	}
	if c.Site != nil {
		dev.Site, dev.SiteGiven = *c.Site, *c.Site != ""
		if !dev.SiteGiven {
			dev.Site = n.scope(*dev).Site
		}
		note("site", "%s", *c.Site)
	}
	if c.Tags != nil {
		dev.Tags = slices.Clone(*c.Tags)
		note("tags", "%s", strings.Join(*c.Tags, ","))
	}
	if c.Algorithms != nil {
		dev.Algorithms = *c.Algorithms
		note("algorithms", "%s", *c.Algorithms)
	}
	if c.Timeout != nil {
		dev.Timeout = *c.Timeout
		note("timeout", "%s", *c.Timeout)
	}
	if c.Port != nil {
		dev.SSHPort = *c.Port
		note("port", "%d", *c.Port)
	}
	if c.Managed != nil {
		dev.Managed, dev.ManagedGiven = *c.Managed, true
		note("managed", "%t", *c.Managed)
	}
	if c.Disabled != nil {
		dev.Disabled = *c.Disabled
		note("disabled", "%t", *c.Disabled)
	}
	if managed && !dev.Managed {
		if err := rest(tx, dev, d.o.Now(), notManaged); err != nil {
			return "", err
		}
	}
	if dev.Disabled && !disabled {
		if err := rest(tx, dev, d.o.Now(), "disabled"); err != nil {
			return "", err
		}
	}
	return strings.Join(done, " "), nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// change does one thing to one device, with its audit row.
func (d *Devices) change(ctx context.Context, key, by, action string, f func(tx Tx, dev *Device) (detail string, err error)) (Device, error) {
	var dev Device
	err := d.o.Store.Update(ctx, func(tx Tx) error {
		var err error
		if dev, err = find(tx, key); err != nil {
			return err
		}
		subject := dev.Name
		detail, err := f(tx, &dev)
		if err != nil {
			return err
		}
		if err := tx.PutDevice(&dev); err != nil {
			return err
		}
		return tx.Audit(d.o.Now(), by, action, subject, detail)
	})
	if err != nil {
		return Device{}, err
	}
	return d.reviewed(ctx, dev.ID)
}

// notManaged is why a device rests that a person, or a platform without anything to
// back up, has taken out.
const notManaged = "not managed any more"

// rest ends that a device is watched: its alerts end, and its state is not known
// until it is asked again.
func rest(tx Tx, dev *Device, at time.Time, why string) error {
	if err := emit(tx, at, EventDeviceRemoved, *dev, "", map[string]string{"why": why}); err != nil {
		return err
	}
	if dev.State == StateUnknown || dev.State == "" {
		return nil
	}
	dev.State, dev.StateSince, dev.Behind = StateUnknown, at, ""
	reach, err := tx.Reach()
	if err != nil {
		return err
	}
	m := reach[dev.ID]
	m.LostSince, m.SNMPLostSince = time.Time{}, time.Time{}
	if err := tx.PutReach(dev.ID, m); err != nil {
		return err
	}
	return tx.PutState(dev.ID, Interval{State: StateUnknown, Since: at, Message: why})
}

// Retire ends that a device is worked on; what is known of it stays.
func (d *Devices) Retire(ctx context.Context, key, by string) (Device, error) {
	return d.change(ctx, key, by, "device retire", func(tx Tx, dev *Device) (string, error) {
		if dev.Retired {
			return "it was retired already", nil
		}
		dev.Retired = true
		return "", rest(tx, dev, d.o.Now(), "retired")
	})
}

// Delete removes a device with all that hangs on it.
func (d *Devices) Delete(ctx context.Context, key, by string) (Device, error) {
	var dev Device
	err := d.o.Store.Update(ctx, func(tx Tx) error {
		var err error
		if dev, err = find(tx, key); err != nil {
			return err
		}
		if err := emit(tx, d.o.Now(), EventDeviceRemoved, dev, "", map[string]string{"why": "deleted"}); err != nil {
			return err
		}
		if err := tx.DeleteDevice(dev.ID); err != nil {
			return err
		}
		return tx.Audit(d.o.Now(), by, "device delete", dev.Name, dev.Address.String())
	})
	return dev, err
}

// Merge makes one device of two, the way that two sightings of one are: from
// becomes part of into. It is how a person merges what is never merged unasked.
func (d *Devices) Merge(ctx context.Context, into, from, by string) (Device, error) {
	return d.change(ctx, into, by, "device merge", func(tx Tx, dev *Device) (string, error) {
		other, err := find(tx, from)
		if err != nil {
			return "", err
		}
		if other.ID == dev.ID {
			return "", fmt.Errorf("%s and %s are the same device already", into, from)
		}
		dev.AddedByPerson = dev.AddedByPerson || other.AddedByPerson
		return "from " + other.Name, join(tx, other, *dev, d.o.Now())
	})
}

// Retry starts a new count of rejected logins at a device, so that it is tried
// again in the next run.
func (d *Devices) Retry(ctx context.Context, key, by string) (Device, error) {
	return d.change(ctx, key, by, "device retry", func(tx Tx, dev *Device) (string, error) {
		dev.CountFrom = d.o.Now()
		return "", tx.Forgive(dev.ID, "")
	})
}

// Stopped lists the credentials that are stopped, of the settings in force.
func (d *Devices) Stopped(ctx context.Context) (names []string, err error) {
	err = d.o.Store.View(ctx, func(tx Reader) error {
		for _, name := range d.o.Network().Names {
			c, err := tx.Credential(name)
			if err != nil {
				return err
			}
			if !c.StoppedAt.IsZero() {
				names = append(names, name)
			}
		}
		return nil
	})
	return names, err
}

// RetryCredential starts a new count for a credential at all devices, and lets
// it out again like one that was never stopped.
func (d *Devices) RetryCredential(ctx context.Context, name, by string) error {
	if err := d.checkWords(ctx, d.o.Network(), "", name); err != nil {
		return err
	}
	err := d.o.Store.Update(ctx, func(tx Tx) error {
		st, err := tx.Credential(name)
		if err != nil {
			return err
		}
		st.Digest = "" // of no secret: the alert stays until a login works, the stop is not held against it
		if err := tx.PutCredential(st); err != nil {
			return err
		}
		if err := tx.Recount(name); err != nil {
			return err
		}
		return tx.Audit(d.o.Now(), by, "secret retry", name, "")
	})
	if err != nil {
		return err
	}
	return d.access.Review(ctx)
}

// Replace says that a device was replaced on purpose: the keys that it shows now
// take the place of the old ones, its question is answered, and logins count anew.
func (d *Devices) Replace(ctx context.Context, key, by string) (Device, error) {
	return d.change(ctx, key, by, "device replace", func(tx Tx, dev *Device) (string, error) {
		keys, err := tx.Keys(dev.ID)
		if err != nil {
			return "", err
		}
		for _, k := range keys {
			if k.State == KeyPinned {
				k.State, k.At = KeyDropped, d.o.Now()
				if err := tx.PutKey(dev.ID, k); err != nil {
					return "", err
				}
			}
		}
		if err := tx.EndIdentifiers(dev.ID, IDHostKey, d.o.Now()); err != nil {
			return "", err
		}
		var accepted []Accepted
		if err := d.acceptPending(tx, *dev, by, "device replace", &accepted); err != nil {
			return "", err
		}
		if len(accepted) == 0 {
			// It has shown none yet: the next one is the first, and ends the question.
			if err := emit(tx, d.o.Now(), EventHostKeyAccepted, *dev, "", map[string]string{"by": by}); err != nil {
				return "", err
			}
		}
		dev.Question, dev.CountFrom, dev.SSHMethod = "", d.o.Now(), ""
		return fmt.Sprintf("%d keys accepted", len(accepted)), tx.Forgive(dev.ID, "")
	})
}
