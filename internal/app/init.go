package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/internal/secret"
	"muster/internal/settings"
	"muster/store"
)

// InitAnswers are what `muster init` was told, secrets included.
type InitAnswers struct {
	Scope, Timezone, Site string
	Addresses, Exclude    []string

	Community                                                        string
	SNMPUser, AuthProtocol, AuthPassword, PrivProtocol, PrivPassword string

	User, Password, KeyFile, Enable string
}

// Init writes muster.yaml, makes the master key and seals the secrets. It
// changes nothing that is there already.
func Init(ctx context.Context, o Options, in InitAnswers) (string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(o.Config); err == nil {
		return "", refuse("%s is there already and stays as it is; edit it, or name another with --config", o.Config)
	}
	if in.Timezone == "" {
		in.Timezone = localZone()
	}
	answers := settings.InitAnswers{
		Timezone: in.Timezone, Scope: in.Scope, Addresses: in.Addresses, Exclude: in.Exclude, Site: in.Site,
		Community: in.Community != "", SNMPUser: in.SNMPUser,
		SSHUser: in.User, Password: in.Password != "", KeyFile: in.KeyFile, Enable: in.Enable != "",
	}
	if in.SNMPUser != "" && in.AuthPassword != "" {
		answers.AuthProtocol = in.AuthProtocol
		if in.PrivPassword != "" {
			answers.PrivProtocol = in.PrivProtocol
		}
	}
	// The settings are checked before anything is made.
	if _, faults := settings.Parse(o.Config, settings.Template(answers), settings.Options{}); len(faults) > 0 {
		all := Faults{}
		for _, f := range faults {
			all = append(all, f)
		}
		return "", all
	}
	found, err := locateKey(o, "")
	if err != nil {
		return "", err
	}
	answers.Key = found.Path
	st, err := store.Open(o.Dir, found.Key, store.Options{Now: o.Now})
	if err != nil {
		return "", asUsage(err)
	}
	defer st.Close()
	for name, value := range map[string]string{
		settings.InitCommunity: in.Community, settings.InitAuth: in.AuthPassword, settings.InitPriv: in.PrivPassword,
		settings.InitPassword: in.Password, settings.InitEnable: in.Enable,
	} {
		if value == "" {
			continue
		}
		if err := st.SetSecret(ctx, name, secret.New(value), "init"); err != nil {
			return "", err
		}
	}
	if err := writeNew(o.Config, settings.Template(answers)); err != nil {
		return "", err
	}
	return said(o, found, answers), nil
}

// writeNew writes a file that is not there yet, whole or not at all.
func writeNew(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(name)
	}
	return err
}

func said(o Options, found secret.Found, a settings.InitAnswers) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Settings:   %s (comments say what else can be set)\n", o.Config)
	fmt.Fprintf(&b, "Data:       %s\n", o.Dir)
	if found.Path != "" {
		fmt.Fprintf(&b, "Master key: %s. Keep a copy elsewhere, e.g. in the password safe: without it nothing in the database can be read.\n", found.Path)
	}
	if a.Community {
		b.WriteString("SNMP v2c guards against accidents, not against attackers: whoever can answer in the device's place is taken for it. SNMPv3 does better.\n")
	}
	b.WriteString("Next: muster check, then muster discover --dry-run, muster discover, muster backup, and muster serve for the nights.")
	return b.String()
}

// localZone is this machine's time zone by name, UTC where it has none.
func localZone() string {
	if tz := os.Getenv("TZ"); tz != "" {
		if _, err := time.LoadLocation(tz); err == nil {
			return tz
		}
	}
	if target, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if _, zone, ok := strings.Cut(target, "zoneinfo/"); ok {
			if _, err := time.LoadLocation(zone); err == nil && zone != "Etc/UTC" {
				return zone
			}
		}
	}
	return "UTC"
}

// Check reads the settings and all that they refer to, and says what is good, or
// all faults at once.
func Check(ctx context.Context, o Options) ([]string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	set, err := readSettings(o.Config)
	if err != nil {
		return nil, err
	}
	defs, err := readPlatforms(o.Dir)
	if err != nil {
		return nil, err
	}
	notes := []string{fmt.Sprintf("%s: %d scopes, %d credentials, %d receivers: good", o.Config, len(set.Scopes), len(set.Credentials), len(set.Receivers))}
	for _, w := range set.Warnings {
		notes = append(notes, "warning: "+w.Error())
	}
	for _, s := range set.Scopes {
		notes = append(notes, fmt.Sprintf("scope %s: %d addresses, host names not counted", s.Name, s.Addresses.Count(s.Exclude)))
	}
	notes = append(notes, fmt.Sprintf("%d platform definitions: good", len(defs.All())))
	secrets, err := checkSecrets(ctx, o, set)
	if err != nil {
		return notes, err
	}
	return append(notes, secrets...), nil
}

// checkSecrets resolves every reference, where the data directory can be opened.
func checkSecrets(ctx context.Context, o Options, set *settings.Settings) ([]string, error) {
	if _, err := os.Stat(filepath.Join(o.Dir, "muster.db")); errors.Is(err, fs.ErrNotExist) {
		if names := set.SecretNames(); len(names) > 0 {
			return nil, refuse("%s holds no data yet, so these secrets are not set: %s; set each with muster secret set NAME", o.Dir, strings.Join(names, ", "))
		}
		return nil, nil
	}
	c, done, err := Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	defer done()
	findings, err := c.Examine(ctx)
	if err != nil {
		return nil, err
	}
	var faults Faults
	for _, f := range findings {
		if !f.Good {
			faults = append(faults, fmt.Errorf("%s: %s. %s", f.Check, f.Seen, f.Do))
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return []string{"every secret that the settings refer to is there"}, nil
}

// Unit is a hardened systemd unit for muster serve. The master key comes as a
// systemd credential, so that the account need not be able to read its file.
func Unit(o Options) (string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	key := o.Key
	if key == "" {
		key = filepath.Join(filepath.Dir(o.Config), "muster.key")
	}
	return fmt.Sprintf(unit, exe, o.Dir, o.Config, key, o.Config), nil
}

const unit = `# /etc/systemd/system/muster.service
# systemctl daemon-reload && systemctl enable --now muster
[Unit]
Description=muster, the roll call of the network
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=%[1]s --dir %[2]s --config %[3]s serve
ExecReload=/bin/kill -HUP $MAINPID
LoadCredential=muster.key:%[4]s
Restart=on-failure
TimeoutStopSec=90
DynamicUser=yes
StateDirectory=muster
StateDirectoryMode=0700
UMask=0077
# Unprivileged ICMP needs net.ipv4.ping_group_range; muster does without where it is closed.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`
