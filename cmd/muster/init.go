package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"muster/internal/api"
	"muster/internal/app"
)

type initCmd struct {
	Addresses []string `help:"Management addresses: CIDRs, ranges, single ones, host names." placeholder:"ADDRESS"`
	Exclude   []string `help:"Addresses to leave out." placeholder:"ADDRESS"`
	Scope     string   `help:"Name of the scope." default:"network"`
	Site      string   `help:"Site of its devices."`
	Timezone  string   `help:"Time zone of the schedules, e.g. Europe/Paris; left out: this machine's." placeholder:"ZONE"`
	SNMPPort  uint16   `name:"snmp-port" help:"UDP port of the SNMP agents." default:"161" placeholder:"PORT"`
	SSHPort   uint16   `name:"ssh-port" help:"TCP port of the SSH servers." default:"22" placeholder:"PORT"`

	Community string `help:"SNMP v2c community; - asks for it." env:"MUSTER_INIT_COMMUNITY" placeholder:"-"`
	SNMPUser  string `name:"snmp-user" help:"SNMPv3 user." placeholder:"USER"`
	AuthProto string `help:"SNMPv3 authentication: ${enum}." enum:"md5,sha,sha224,sha256,sha384,sha512" default:"sha256"`
	AuthPass  string `help:"SNMPv3 authentication password; - asks for it." env:"MUSTER_INIT_AUTH" placeholder:"-"`
	PrivProto string `help:"SNMPv3 privacy: ${enum}." enum:"des,aes,aes192,aes256,aes192c,aes256c" default:"aes"`
	PrivPass  string `help:"SNMPv3 privacy password; - asks for it." env:"MUSTER_INIT_PRIV" placeholder:"-"`

	User       string `help:"SSH user."`
	Password   string `help:"SSH password; - asks for it." env:"MUSTER_INIT_PASSWORD" placeholder:"-"`
	KeyFile    string `help:"SSH private key file." placeholder:"FILE" type:"path"`
	Passphrase string `help:"Passphrase of the private key; - asks for it." env:"MUSTER_INIT_PASSPHRASE" placeholder:"-"`
	Enable     string `help:"Enable password; - asks for it." env:"MUSTER_INIT_ENABLE" placeholder:"-"`

	Systemd bool `help:"Print a hardened systemd unit and do nothing else."`
}

func (c *initCmd) Run(s *session) error {
	if c.Systemd {
		unit, err := app.Unit(s.options())
		if err != nil {
			return err
		}
		_, err = io.WriteString(s.stdout, unit)
		return err
	}
	plan, err := app.PlanInit(s.options()) // before anybody answers questions in vain
	if err != nil {
		return err
	}
	if err := plan.Check(c.answers()); err != nil {
		return err
	}
	in := bufio.NewReader(s.stdin)
	if len(c.Addresses) == 0 {
		if err := c.ask(s, in, plan); err != nil {
			return err
		}
	}
	for _, v := range []struct {
		value *string
		what  string
	}{
		{&c.Community, "SNMP community"},
		{&c.AuthPass, "SNMPv3 authentication password"}, {&c.PrivPass, "SNMPv3 privacy password (empty: none)"},
		{&c.Password, "SSH password"}, {&c.Passphrase, "Passphrase of the private key (empty: none)"}, {&c.Enable, "Enable password (empty: none)"},
	} {
		if *v.value == "-" {
			if *v.value, err = askSecret(s, in, v.what); err != nil {
				return err
			}
		}
	}
	said, err := plan.Do(s.ctx, c.answers())
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, said)
	return nil
}

func (c *initCmd) answers() app.InitAnswers {
	return app.InitAnswers{
		Scope: c.Scope, Addresses: c.Addresses, Exclude: c.Exclude, Site: c.Site, Timezone: c.Timezone,
		SNMPPort: c.SNMPPort, SSHPort: c.SSHPort,
		Community: c.Community, SNMPUser: c.SNMPUser, AuthProtocol: c.AuthProto, AuthPassword: c.AuthPass, PrivProtocol: c.PrivProto, PrivPassword: c.PrivPass,
		User: c.User, Password: c.Password, KeyFile: c.KeyFile, Passphrase: c.Passphrase, Enable: c.Enable,
	}
}

// ask asks for what the flags left open. A wrong answer is told at once: on a
// terminal the question comes again, lines from elsewhere belong to the next one.
func (c *initCmd) ask(s *session, in *bufio.Reader, plan app.InitPlan) error {
	question := func(text string, into *string) error {
		if *into != "" {
			return nil
		}
		fmt.Fprint(s.stderr, text)
		line, err := s.answer(func() (string, error) { return in.ReadString('\n') })
		if errors.Is(err, io.EOF) && line == "" {
			fmt.Fprintln(s.stderr)
			return &api.Error{Message: "no answer to \"" + strings.TrimSpace(text) + "\"; give --addresses and the other flags (muster init --help)", Exit: exitUsage}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		*into = strings.TrimSpace(line)
		return nil
	}
	fmt.Fprintln(s.stderr, "An empty answer leaves a thing out. Secrets are sealed in the data directory; muster.yaml only names them.")
	checked := func(text string, into *string, use func()) error {
		for *into == "" {
			if err := question(text, into); err != nil {
				return err
			}
			use()
			err := plan.Check(c.answers())
			if err == nil {
				return nil
			}
			if !onTerminal(s.stdin) {
				return err
			}
			*into = ""
			s.ended(err)
		}
		return nil
	}
	var addresses string
	err := checked("Management addresses (e.g. 192.0.2.0/24, 198.51.100.10-198.51.100.50): ", &addresses, func() {
		c.Addresses = strings.FieldsFunc(addresses, func(r rune) bool { return r == ',' || r == ' ' })
	})
	if err != nil {
		return err
	}
	if len(c.Addresses) == 0 {
		return &api.Error{Message: "muster needs at least one management address to look for devices; run muster init again", Exit: exitUsage}
	}
	if c.Community == "" {
		if err := checked("SNMPv3 user (empty: v2c with a community): ", &c.SNMPUser, func() {}); err != nil {
			return err
		}
		switch {
		case c.SNMPUser == "":
			c.Community = "-"
		default:
			c.AuthPass, c.PrivPass = orAsk(c.AuthPass), orAsk(c.PrivPass)
		}
	}
	if err := checked("SSH user (empty: find devices, back up nothing): ", &c.User, func() {}); err != nil || c.User == "" {
		return err
	}
	if c.Password == "" {
		if err := checked("SSH private key file (empty: a password): ", &c.KeyFile, func() {}); err != nil {
			return err
		}
		if c.KeyFile == "" {
			c.Password = "-"
		} else {
			c.Passphrase = orAsk(c.Passphrase)
		}
	}
	c.Enable = orAsk(c.Enable)
	return nil
}

// orAsk is a secret that was given, or the sign to ask for it.
func orAsk(given string) string {
	if given == "" {
		return "-"
	}
	return given
}
