package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"muster/collector"
	"muster/internal/api"
	"muster/inventory"
)

type deviceCmd struct {
	List      deviceListCmd    `cmd:"" help:"List devices."`
	Show      deviceShowCmd    `cmd:"" help:"Show all that is known of one."`
	Add       deviceAddCmd     `cmd:"" help:"Add a device by its address, e.g. one without SNMP."`
	Import    deviceImportCmd  `cmd:"" help:"Add and change the devices of a CSV file, or of a router.db."`
	Set       deviceSetCmd     `cmd:"" help:"Decide something about one device."`
	Allow     deviceAllowCmd   `cmd:"" help:"Say yes to passwords at devices that SNMP does not prove, by the host keys that they show."`
	AcceptKey deviceAcceptCmd  `cmd:"" help:"Accept the SSH host keys that devices showed last."`
	Retry     deviceRetryCmd   `cmd:"" help:"Forget rejected logins, so that the credentials are tried again."`
	Replace   deviceReplaceCmd `cmd:"" help:"Say that the hardware was replaced: new serial and keys, same history."`
	Merge     deviceMergeCmd   `cmd:"" help:"Say that two devices of the inventory are one."`
	Retire    deviceRetireCmd  `cmd:"" help:"Take a device out of service; its history stays."`
	Delete    deviceDeleteCmd  `cmd:"" help:"Delete a device with its history."`
}

type deviceListCmd struct {
	Filter []string `arg:"" optional:"" help:"Filter words: a name (core*), platform:frr, site:paris, state:down, vendor:…, missing:needs-decision (those that wait for a yes, with the reason)"`
	listing
}

func (c *deviceListCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		devices, err := cl.Devices(ctx, c.Filter...)
		if err != nil {
			return err
		}
		columns := []column[api.Device]{
			text("name", func(d api.Device) string { return d.Name }),
			text("address", func(d api.Device) string { return d.Address }),
			text("vendor", func(d api.Device) string { return d.Vendor }),
			text("platform", func(d api.Device) string { return d.Platform }),
			text("model", func(d api.Device) string { return d.Model }).clipped(24),
			text("version", func(d api.Device) string { return d.Version }).clipped(24),
			text("serial", func(d api.Device) string { return d.Serial }),
			text("site", func(d api.Device) string { return d.Site }).optional(),
			text("state", func(d api.Device) string { return d.State }),
			text("backup", func(d api.Device) string { return string(d.BackupState) }).keyed("backup_state"),
			text("drift", func(d api.Device) string { return strings.Join(d.Drift, ",") }).optional(),
			aged("last backup", func(d api.Device) *time.Time { return d.LastBackup }),
			text("versions", func(d api.Device) string { return fmt.Sprint(d.Versions) }),
		}
		if slices.ContainsFunc(c.Filter, func(w string) bool { return strings.HasPrefix(w, "missing:") }) {
			columns = append(columns, sentence("problem", func(d api.Device) string { return d.Problem }))
		}
		none := "no devices; muster discover finds them, muster device add ADDRESS adds one"
		if len(c.Filter) > 0 {
			none = "no device fits " + strings.Join(c.Filter, " ")
		}
		return list(s, c.listing, devices, none, columns...)
	})
}

type deviceShowCmd struct {
	Name   string `arg:"" help:"Name, address or serial."`
	Output string `short:"o" enum:"text,json" default:"text" help:"text or json."`
}

func (c *deviceShowCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		d, err := cl.Device(ctx, c.Name)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return printJSON(s.stdout, d)
		}
		row := func(name, value string) {
			if value != "" {
				fmt.Fprintf(s.stdout, "%-12s %s\n", name, collector.Escape(value))
			}
		}
		row("name", d.Name)
		row("address", strings.TrimSpace(d.Address+"  "+d.AddressReason))
		row("platform", strings.TrimSpace(d.Platform+"  "+d.PlatformReason))
		row("vendor", d.Vendor)
		row("model", d.Model)
		row("version", d.Version)
		row("serial", d.Serial)
		row("site", d.Site)
		row("tags", strings.Join(d.Tags, ", "))
		state := d.State
		if d.StateSince != nil {
			state += " since " + when(d.StateSince)
		}
		row("state", state)
		saved := string(d.BackupState)
		if d.Unread != "" {
			saved = "none, inventory only: " + d.Unread
		}
		if d.LastBackup != nil {
			saved += ", last good " + when(d.LastBackup) + ", " + plural(d.Versions, "version")
		}
		row("backup", saved)
		row("drift", strings.Join(d.Drift, ", "))
		row("problem", d.Problem)
		row("credential", d.Credential)
		row("algorithms", d.Algorithms)
		if usual := map[bool]uint16{false: 22, true: 23}[d.Telnet]; d.Port != 0 && d.Port != usual {
			row("port", fmt.Sprint(d.Port))
		}
		if d.Telnet {
			row("read by", "telnet: passwords travel in clear")
		}
		row("last seen", when(d.LastSeen))
		for _, k := range d.HostKeys {
			row("host key", k.Type+" "+k.Fingerprint)
		}
		row("question", d.Question)
		if len(d.Facts) > 0 {
			fmt.Fprintln(s.stdout, "\nfacts")
			w := tabwriter.NewWriter(s.stdout, 0, 4, 2, ' ', 0)
			for _, f := range d.Facts {
				fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", collector.Escape(f.Name), collector.Escape(f.Value), collector.Escape(f.Source), age(time.Since(f.ReadAt)))
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if len(d.Neighbors) > 0 {
			fmt.Fprintln(s.stdout, "\nneighbors")
			w := tabwriter.NewWriter(s.stdout, 0, 4, 2, ' ', 0)
			for _, n := range d.Neighbors {
				fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", collector.Escape(n.LocalPort), collector.Escape(n.RemoteSysName), collector.Escape(n.RemotePort), n.Protocol)
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
		fmt.Fprintf(s.stdout, "\n%s, %s, %s; -o json lists them\n", plural(len(d.Interfaces), "interface"), plural(len(d.Components), "component"), plural(len(d.Addresses), "IP address"))
		return nil
	})
}

type deviceAddCmd struct {
	Address    string `arg:"" help:"ADDRESS[:PORT], or - to read one a line (ADDRESS [NAME [PLATFORM]]) from standard input."`
	Name       string `help:"Name in the inventory."`
	Platform   string `help:"Platform, where muster need not find it out (muster platform list)."`
	Credential string `help:"Credential of muster.yaml, the only one that is tried."`
	Site       string `help:"Site."`
}

func (c *deviceAddCmd) Run(s *session) error {
	return s.begin(func(ctx context.Context, cl *api.Client) error {
		if c.Address != "-" {
			return c.add(ctx, s, cl, api.DeviceAdd{Address: c.Address, Name: c.Name, Platform: c.Platform, Credential: c.Credential, Site: c.Site})
		}
		if c.Name != "" {
			return &api.Error{Message: "--name is for one device; with - write the name behind each address", Exit: exitUsage}
		}
		failed := 0
		in := bufio.NewReader(s.stdin)
		ended := false
		for n := 1; !ended; n++ {
			line, err := s.answer(func() (string, error) { return in.ReadString('\n') })
			if ended = errors.Is(err, io.EOF); err != nil && !ended {
				return err
			}
			f := strings.Fields(strings.SplitN(line, "#", 2)[0])
			if len(f) == 0 {
				continue
			}
			a := api.DeviceAdd{Address: f[0], Platform: c.Platform, Credential: c.Credential, Site: c.Site}
			if len(f) > 1 {
				a.Name = f[1]
			}
			if len(f) > 2 {
				a.Platform = f[2]
			}
			if err := c.add(ctx, s, cl, a); err != nil {
				var refused *api.Error
				if !errors.As(err, &refused) {
					return err
				}
				failed++
				fmt.Fprintf(s.stderr, "muster: line %d: %s\n", n, refused.Message)
			}
		}
		if failed > 0 {
			return exitCode(exitFailed)
		}
		return nil
	})
}

func (c *deviceAddCmd) add(ctx context.Context, s *session, cl *api.Client, a api.DeviceAdd) error {
	d, err := cl.AddDevice(ctx, a)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%s added at %s; next: muster backup %s\n", collector.Escape(d.Name), d.Address, collector.Escape(d.Name))
	return nil
}

type deviceSetCmd struct {
	Device     string   `arg:"" help:"Name, address or serial."`
	Name       *string  `help:"New name; history and versions go with it."`
	Site       *string  `help:"Site."`
	Platform   *string  `help:"Platform."`
	Credential *string  `help:"The only credential that is tried; empty: the scope's again. Starts a new count of rejected logins."`
	Algorithms *string  `help:"SSH algorithms: modern, compatible or legacy; empty: the scope's again."`
	Timeout    *string  `help:"Wait for the first byte of an answer and inside one, e.g. 5m; empty: the scope's again."`
	Port       *uint16  `help:"TCP port of its SSH or Telnet server; 0: the scope's again."`
	Tag        []string `help:"Tags, replacing the ones there are."`
	Managed    *bool    `negatable:"" help:"Back it up, check it, alert about it."`
	Disable    bool     `xor:"enable" help:"Leave it alone: no backup, no check, no alert."`
	Enable     bool     `xor:"enable" help:"Take it in again."`
}

func (c *deviceSetCmd) Run(s *session) error {
	set := api.DeviceSet{Name: c.Name, Site: c.Site, Platform: c.Platform, Credential: c.Credential, Algorithms: c.Algorithms, Timeout: c.Timeout, Port: c.Port, Managed: c.Managed}
	if c.Disable || c.Enable {
		set.Disabled = &c.Disable
	}
	if c.Tag != nil {
		set.Tags = &c.Tag
	}
	if set == (api.DeviceSet{}) {
		return &api.Error{Message: "say what is to be set, e.g. --site paris (muster device set --help)", Exit: exitUsage}
	}
	return s.client(func(ctx context.Context, cl *api.Client) error {
		d, err := cl.SetDevice(ctx, c.Device, set)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s set\n", collector.Escape(d.Name))
		return nil
	})
}

type deviceAcceptCmd struct {
	Filter     []string `arg:"" optional:"" help:"Device names or filter words."`
	KnownHosts string   `filled:"" help:"Pin the keys of this OpenSSH known_hosts file instead." placeholder:"FILE"`
}

func (c *deviceAcceptCmd) Run(s *session) error {
	if len(c.Filter) == 0 && c.KnownHosts == "" {
		return &api.Error{Message: "name the devices whose new keys you accept, or give --known-hosts FILE", Exit: exitUsage}
	}
	return s.client(func(ctx context.Context, cl *api.Client) error {
		var known []byte
		if c.KnownHosts != "" {
			b, err := os.ReadFile(c.KnownHosts)
			if err != nil {
				return err
			}
			known = b
		}
		accepted, err := cl.AcceptKeys(ctx, c.Filter, known)
		if err != nil {
			return err
		}
		for _, a := range accepted {
			fmt.Fprintf(s.stdout, "%s: accepted %s %s\n", collector.Escape(a.Device), a.Type, a.Fingerprint)
		}
		if next := names(accepted); len(next) > 0 && c.KnownHosts == "" {
			fmt.Fprintf(s.stdout, "next: muster backup %s\n", collector.Escape(strings.Join(next, " ")))
		}
		if len(accepted) == 0 {
			fmt.Fprintln(s.stderr, "no device of these has shown a key that waits to be accepted")
		}
		return nil
	})
}

// names lists the devices of accepted keys, each once.
func names(accepted []inventory.Accepted) []string {
	var all []string
	for _, a := range accepted {
		if !slices.Contains(all, a.Device) {
			all = append(all, a.Device)
		}
	}
	return all
}

// deviceAct is a verb with one device and one sentence.
type deviceAct struct {
	Name string `arg:"" help:"Name, address or serial."`
}

func (c deviceAct) run(s *session, said string, f func(*api.Client, context.Context, string) error) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := f(cl, ctx, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, said+"\n", collector.Escape(c.Name))
		return nil
	})
}

type deviceRetryCmd struct{ deviceAct }

func (c *deviceRetryCmd) Run(s *session) error {
	return c.run(s, "%[1]s: the count of rejected logins starts anew; next: muster backup %[1]s", (*api.Client).RetryDevice)
}

type deviceReplaceCmd struct{ deviceAct }

func (c *deviceReplaceCmd) Run(s *session) error {
	return c.run(s, "%s: serial and host keys are taken anew at the next look; the history stays", (*api.Client).ReplaceDevice)
}

type deviceMergeCmd struct {
	deviceAct
	Other string `arg:"" help:"The one that goes: its addresses and versions are the first one's from now on."`
}

func (c *deviceMergeCmd) Run(s *session) error {
	return c.run(s, "%s: "+strings.ReplaceAll(collector.Escape(c.Other), "%", "%%")+" is a part of it from now on", func(cl *api.Client, ctx context.Context, name string) error {
		return cl.MergeDevice(ctx, name, c.Other)
	})
}

type deviceRetireCmd struct{ deviceAct }

func (c *deviceRetireCmd) Run(s *session) error {
	return c.run(s, "%s retired; its versions stay", (*api.Client).RetireDevice)
}

type deviceDeleteCmd struct {
	deviceAct
	Yes bool `help:"Delete the history too, without a question." required:""`
}

func (c *deviceDeleteCmd) Run(s *session) error {
	return c.run(s, "%s deleted", (*api.Client).DeleteDevice)
}
