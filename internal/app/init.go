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
	SNMPPort, SSHPort     uint16 // 0: the usual one

	Community                                                        string
	SNMPUser, AuthProtocol, AuthPassword, PrivProtocol, PrivPassword string

	User, Password, KeyFile, Passphrase, Enable string
}

// InitPlan is a muster init that may begin: nothing is there yet that it would
// have to change.
type InitPlan struct{ o Options }

// PlanInit refuses where there are settings already.
func PlanInit(o Options) (InitPlan, error) {
	o, err := o.withDefaults()
	if err != nil {
		return InitPlan{}, err
	}
	if _, err := os.Lstat(o.Config); err == nil {
		return InitPlan{}, refuse("%s is there already and stays as it is; edit it, or name another with --config", o.Config)
	}
	return InitPlan{o}, nil
}

// Do writes muster.yaml, makes the master key and seals the secrets. What it
// says is for people. Where it fails, there are no settings, and what else it
// made is used by the next try.
func (p InitPlan) Do(ctx context.Context, in InitAnswers) (string, error) {
	o := p.o
	answers := in.settings()
	if err := in.check(o, answers); err != nil {
		return "", err
	}
	draft, err := newDraft(o.Config)
	if err != nil {
		return "", err
	}
	defer draft.discard()
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
		settings.InitPassword: in.Password, settings.InitPassphrase: in.Passphrase, settings.InitEnable: in.Enable,
	} {
		if value == "" {
			continue
		}
		if err := st.SetSecret(ctx, name, secret.New(value), "init"); err != nil {
			return "", err
		}
	}
	if err := draft.keep(settings.Template(answers)); err != nil {
		return "", err
	}
	return said(o, found, answers), nil
}

// Check looks at the answers that there are so far, before more is asked: the file
// of settings that they would make must have no fault. A secret that is still to be
// asked for is "-".
func (p InitPlan) Check(in InitAnswers) error {
	if len(in.Addresses) == 0 {
		in.Addresses = []string{"192.0.2.1"} // for now
	}
	if in.User != "" && in.Password == "" && in.KeyFile == "" {
		in.Password = "-"
	}
	a := in.settings()
	if err := in.checkKeyFile(); err != nil {
		return err
	}
	return checkTemplate(p.o, a)
}

// settings are the answers as far as they go into muster.yaml.
func (in InitAnswers) settings() settings.InitAnswers {
	if in.Timezone == "" {
		in.Timezone = localZone()
	}
	a := settings.InitAnswers{
		Timezone: in.Timezone, Scope: in.Scope, Addresses: in.Addresses, Exclude: in.Exclude, Site: in.Site,
		SNMPPort: in.SNMPPort, SSHPort: in.SSHPort,
		Community: in.Community != "", SNMPUser: in.SNMPUser,
		SSHUser: in.User, Password: in.Password != "", KeyFile: in.KeyFile, Passphrase: in.Passphrase != "", Enable: in.Enable != "",
	}
	if in.SNMPUser != "" && in.AuthPassword != "" {
		a.AuthProtocol = in.AuthProtocol
		if in.PrivPassword != "" {
			a.PrivProtocol = in.PrivProtocol
		}
	}
	return a
}

// check looks at the answers before anything is made: as flags, since the file
// that they would stand in is not there.
func (in InitAnswers) check(o Options, a settings.InitAnswers) error {
	switch {
	case in.PrivPassword != "" && in.AuthPassword == "" && in.SNMPUser != "":
		return refuse("SNMPv3 has no privacy without authentication; give --auth-pass too")
	case in.SNMPUser == "" && in.AuthPassword != "":
		return refuse("--auth-pass is an SNMPv3 user's; give --snmp-user too")
	case in.User == "" && (in.Password != "" || in.KeyFile != ""):
		return refuse("an SSH password or key needs its user; give --user")
	case in.User != "" && in.Password == "" && in.KeyFile == "":
		return refuse("%s needs a password or a key to log in with; give --password - or --key-file FILE", in.User)
	}
	if err := in.checkKeyFile(); err != nil {
		return err
	}
	return checkTemplate(o, a)
}

func (in InitAnswers) checkKeyFile() error {
	if in.KeyFile == "" {
		return nil
	}
	if _, err := os.Stat(in.KeyFile); err != nil {
		return refuse("the SSH private key %s cannot be read (%v); name its file with --key-file", in.KeyFile, errors.Unwrap(err))
	}
	return nil
}

func checkTemplate(o Options, a settings.InitAnswers) error {
	_, faults := settings.Parse(o.Config, settings.Template(a), settings.Options{})
	all := Faults{}
	for _, f := range faults {
		all = append(all, errors.New(strings.TrimPrefix(f.Path, "scopes[0].")+": "+f.Reason))
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

// draft is a file that is not there yet. It is kept whole or not at all, and
// never in place of another.
type draft struct {
	name string
	f    *os.File
}

func newDraft(name string) (*draft, error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, refuse("make the folder of the settings: %v; name a file in a folder that you may write with --config", err)
	}
	f, err := os.CreateTemp(dir, ".muster-*.yaml") // 0600
	if err != nil {
		return nil, refuse("write the settings: %v; name a file in a folder that you may write with --config", err)
	}
	return &draft{name: name, f: f}, nil
}

func (d *draft) keep(text []byte) error {
	_, err := d.f.Write(text)
	if err = errors.Join(err, d.f.Sync(), d.f.Close()); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	err = os.Link(d.f.Name(), d.name) // unlike a rename, it replaces nothing
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(d.f.Name(), d.name) // a file system without links
	}
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

func (d *draft) discard() {
	_ = d.f.Close()
	_ = os.Remove(d.f.Name())
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
