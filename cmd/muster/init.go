package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"muster/internal/api"
	"muster/internal/app"
)

type initCmd struct {
	Addresses []string `help:"Management addresses: CIDRs, ranges, single ones." placeholder:"CIDR"`
	Exclude   []string `help:"Addresses to leave out."`
	Scope     string   `help:"Name of the scope." default:"network"`
	Timezone  string   `help:"Time zone of the schedules; empty: this machine's."`

	Community string `help:"SNMP v2c community; - asks for it." env:"MUSTER_INIT_COMMUNITY"`
	SNMPUser  string `help:"SNMPv3 user."`
	AuthProto string `help:"SNMPv3 authentication: md5 sha sha224 sha256 sha384 sha512." default:"sha256"`
	AuthPass  string `help:"SNMPv3 authentication password; - asks for it." env:"MUSTER_INIT_AUTH"`
	PrivProto string `help:"SNMPv3 privacy: des aes aes192 aes256 aes192c aes256c." default:"aes"`
	PrivPass  string `help:"SNMPv3 privacy password; - asks for it." env:"MUSTER_INIT_PRIV"`

	User     string `help:"SSH user."`
	Password string `help:"SSH password; - asks for it." env:"MUSTER_INIT_PASSWORD"`
	KeyFile  string `help:"SSH private key file." placeholder:"FILE" type:"path"`
	Enable   string `help:"Enable password; - asks for it." env:"MUSTER_INIT_ENABLE"`

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
	in := bufio.NewReader(s.stdin)
	if len(c.Addresses) == 0 {
		if err := c.ask(s, in); err != nil {
			return err
		}
	}
	for _, v := range []struct {
		value *string
		what  string
	}{{&c.Community, "SNMP community"}, {&c.AuthPass, "SNMPv3 authentication password"}, {&c.PrivPass, "SNMPv3 privacy password"}, {&c.Password, "SSH password"}, {&c.Enable, "enable password"}} {
		if *v.value == "-" {
			text, err := askSecret(s, in, v.what)
			if err != nil {
				return err
			}
			*v.value = text
		}
	}
	said, err := app.Init(s.ctx, s.options(), app.InitAnswers{
		Scope: c.Scope, Addresses: c.Addresses, Exclude: c.Exclude, Timezone: c.Timezone,
		Community: c.Community, SNMPUser: c.SNMPUser, AuthProtocol: c.AuthProto, AuthPassword: c.AuthPass, PrivProtocol: c.PrivProto, PrivPassword: c.PrivPass,
		User: c.User, Password: c.Password, KeyFile: c.KeyFile, Enable: c.Enable,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, said)
	return nil
}

// ask asks for what the flags left open.
func (c *initCmd) ask(s *session, in *bufio.Reader) error {
	question := func(text string) (string, error) {
		fmt.Fprint(s.stderr, text)
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return "", &api.Error{Message: "no answer to \"" + strings.TrimSpace(text) + "\"; give --addresses and the other flags (muster init --help)", Exit: exitUsage}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimSpace(line), nil
	}
	if f, ok := s.stdin.(*os.File); !ok || term.IsTerminal(int(f.Fd())) {
		fmt.Fprintln(s.stderr, "Four questions; an empty answer leaves a thing out. Secrets are sealed in the data directory, muster.yaml only names them.")
	}
	addresses, err := question("Management addresses (e.g. 192.0.2.0/24, 198.51.100.10-198.51.100.50): ")
	if err != nil {
		return err
	}
	c.Addresses = strings.FieldsFunc(addresses, func(r rune) bool { return r == ',' || r == ' ' })
	if len(c.Addresses) == 0 {
		return &api.Error{Message: "muster needs at least one management address to look for devices; run muster init again", Exit: exitUsage}
	}
	if c.SNMPUser == "" && c.Community == "" {
		if c.SNMPUser, err = question("SNMPv3 user (empty: v2c with a community): "); err != nil {
			return err
		}
		if c.SNMPUser == "" {
			c.Community = "-"
		} else {
			c.AuthPass, c.PrivPass = "-", "-"
		}
	}
	if c.User == "" {
		if c.User, err = question("SSH user: "); err != nil {
			return err
		}
		if c.User != "" && c.Password == "" && c.KeyFile == "" {
			if c.KeyFile, err = question("SSH private key file (empty: a password): "); err != nil {
				return err
			}
			if c.KeyFile == "" {
				c.Password = "-"
			}
		}
	}
	return nil
}
