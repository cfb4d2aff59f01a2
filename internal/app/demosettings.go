package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"muster/internal/lab"
	"muster/internal/secret"
	"muster/internal/settings"
)

// emptyFolder makes the folder that a demo is to stay in. What is there already
// is never replaced, a master key least of all.
func emptyFolder(dir string) error {
	for _, name := range []string{"muster.db", "muster.yaml", "muster.key"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return refuse("%s holds a %s already, or is no folder; give --keep a new one", dir, name)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return refuse("the demo cannot be kept in %s (%v); give --keep a folder that you may write", dir, err)
	}
	return nil
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
	scopes := ""
	for _, site := range d.sites() {
		scopes += fmt.Sprintf(demoScope, site.name, site.first, site.last, d.net.SNMPPort(), d.net.SSHPort())
	}
	text := fmt.Sprintf(demoSettings, d.net.Addr(demoRejected), scopes, listen)
	return os.WriteFile(o.Config, []byte(text), 0o600)
}

// demoSite is one of the places where the network stands.
type demoSite struct {
	name        string
	first, last netip.Addr
	devices     int
}

// sites are those of the simulated network. Their addresses follow one another.
func (d *demo) sites() []demoSite {
	var out []demoSite
	for _, dev := range d.net.Devices() {
		addr := d.net.Addr(dev.Name)
		if n := len(out); n == 0 || out[n-1].name != dev.Site {
			out = append(out, demoSite{name: dev.Site, first: addr})
		}
		site := &out[len(out)-1]
		site.last = addr
		site.devices++
	}
	return out
}

// demoSettings is the muster.yaml of the demo. The account of one firewall is a
// credential of its own, as in a network where firewalls are another team's.
const demoSettings = `# Settings of a muster demo. The network that they speak of is gone.
timezone: UTC
key: muster.key
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
%sschedules:
  reachability: { every: 1s, down_after: 3s, tcp_every: 1s }
receivers:
  - { name: console, kind: log }
alerts:
  - { kinds: [unreachable, login-rejected, credential-stopped, quarantined, backup-failed, changed, unsaved], to: [console], unsaved_after: 0s }
web: { listen: "%s" }
`

// demoScope is one site. FRR tells by SNMP neither what it is nor a serial, so
// SNMPv3 says who may have a password; some platforms are known from documents only.
const demoScope = `  - name: %[1]s
    site: %[1]s
    addresses: [%[2]s-%[3]s]
    credentials: [v3, firewall, noc]
    passwords_to: authenticated
    declared: allow
    snmp: { port: %[4]d, rate: 400 }
    ssh: { port: %[5]d }
`

var demoSecrets = map[string]string{
	"noc": lab.Password, "firewall": lab.Password, "noc-enable": lab.Enable,
	"v3-auth": lab.AuthPassword, "v3-priv": lab.PrivPassword,
}

// freeListen is the pages' usual address, or any free port where that is taken.
func freeListen() string {
	ln, err := net.Listen("tcp", settings.DefaultListen)
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return settings.DefaultListen
}
