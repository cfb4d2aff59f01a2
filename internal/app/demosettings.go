package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
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
	text := fmt.Sprintf(demoSettings, d.net.Addr(demoRejected), d.net.Prefix(), d.net.SNMPPort(), d.net.SSHPort(), listen)
	return os.WriteFile(o.Config, []byte(text), 0o600)
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

// freeListen is the pages' usual address, or any free port where that is taken.
func freeListen() string {
	ln, err := net.Listen("tcp", settings.DefaultListen)
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return settings.DefaultListen
}
