package lab

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func TestPagersStopEachScreen(t *testing.T) {
	tests := map[Platform]struct{ prompt, off string }{
		IOSXE: {" --More-- ", "terminal length 0"},
		EOS:   {"\x1b[7m --More-- \x1b[27m", "terminal length 0"},
		Junos: {"---(more)---", "set cli screen-length 0"},
		FRR:   {"--More--", "no terminal paginate"},
	}
	for platform, tt := range tests {
		t.Run(string(platform), func(t *testing.T) {
			n := start(t, Options{Devices: []Device{{Name: "r1", Platform: platform, Size: 5000}}})
			x := shellOf(t, dial(t, n, "r1"))
			prompt := "r1# "
			command := "show running-config"
			switch platform {
			case IOSXE:
				prompt = "r1#"
			case EOS:
				x.until("r1>")
				_, _ = io.WriteString(x.in, "enable\n")
				prompt = "r1#"
			case Junos:
				prompt, command = User+"@r1> ", "show configuration"
			}
			x.until(prompt)
			_, _ = io.WriteString(x.in, command+"\n")
			first, _ := x.until(tt.prompt)
			if lines := strings.Count(first, "\r\n"); lines < 20 || lines > 26 {
				t.Errorf("the first screen has %d lines", lines)
			}
			_, _ = io.WriteString(x.in, "\r")
			if one, _ := x.until(tt.prompt); strings.Count(one, "\r\n") != 1 {
				t.Errorf("return gave %q", one)
			}
			_, _ = io.WriteString(x.in, "q")
			x.until(prompt)
			x.run(tt.off, prompt)
			out := x.run(command, prompt)
			want := n.Shown("r1")
			if platform == Junos {
				want += "\n" // the gap before the prompt of a shell
			}
			if out != want {
				t.Errorf("unpaged: %s", firstDifference(out, want))
			}
		})
	}
}

func TestEchoComesAsTypedAndErrorsAreThePlatforms(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "sw1", Enable: Enable}, {Name: "e1", Platform: EOS}, {Name: "j1", Platform: Junos}, {Name: "f1", Platform: FortiOS}, {Name: "r1", Platform: FRR}}})
	tests := map[string]struct{ prompt, line, want string }{
		"IOS-XE, unknown":     {"sw1>", "shw", "    ^\n% Invalid input detected at '^' marker.\n\n"},
		"IOS-XE, user level":  {"sw1>", "show running-config", "         ^\n% Invalid input detected at '^' marker.\n\n"},
		"EOS, user level":     {"e1>", "show running-config", "% Invalid input (privileged mode required)\n"},
		"EOS, unknown":        {"e1>", "shw", "% Invalid input\n"},
		"Junos, unknown":      {User + "@j1> ", "shw", "           ^\nunknown command.\n\n"},
		"FortiOS, unknown":    {"f1 # ", "shw", "Unknown action 0\n\n"},
		"FortiOS, no such":    {"f1 # ", "get system nothing", "\ncommand parse error before 'nothing'\nCommand fail. Return code -61\n\n"},
		"FRR, unknown":        {"r1# ", "shw", "% Unknown command: shw\n"},
		"FRR, saved is empty": {"r1# ", "show startup-config", ""},
		"IOS-XE, abbreviated": {"sw1>", "sh priv", "Current privilege level is 15\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			device := regexp.MustCompile(`\w+\d`).FindString(strings.TrimPrefix(tt.prompt, User+"@"))
			x := shellOf(t, dial(t, n, device))
			x.until(tt.prompt)
			_, _ = io.WriteString(x.in, tt.line)
			x.until(tt.line) // before the line has ended
			out := x.run("", tt.prompt)
			want := tt.want
			if strings.HasPrefix(name, "IOS-XE") && strings.Contains(want, "^") {
				want = strings.Replace(want, "         ^", strings.Repeat(" ", len("sw1>show "))+"^", 1)
			}
			if out != want {
				t.Errorf("the device said %q, want %q", out, want)
			}
		})
	}
	if got := n.Commands("r1"); len(got) != 2 {
		t.Errorf("r1 noted the commands %q", got)
	}
}

func TestEnableAsksAndJudges(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "sw1", Enable: Enable}, {Name: "e1", Platform: EOS, Enable: Enable}, {Name: "sw2"}}})
	for _, name := range []string{"sw1", "e1"} {
		x := shellOf(t, dial(t, n, name))
		x.until(name + ">")
		_, _ = io.WriteString(x.in, "enable\n")
		for range 3 {
			x.until("Password: ")
			_, _ = io.WriteString(x.in, "wrong\n")
		}
		if out, _ := x.until(name + ">"); !strings.Contains(out, "% Bad secret") || strings.Contains(out, "wrong") {
			t.Errorf("%s said %q", name, out)
		}
		_, _ = io.WriteString(x.in, "enable\n")
		x.until("Password: ")
		_, _ = io.WriteString(x.in, Enable+"\n")
		x.until(name + "#")
		var said []string
		for _, l := range n.LoginLog(name) {
			said = append(said, fmt.Sprintf("%s %t", l.Method, l.Accepted))
		}
		if got := strings.Join(said, ", "); got != "password true, enable false, enable false, enable false, enable true" {
			t.Errorf("%s logged %s", name, got)
		}
	}
	x := shellOf(t, dial(t, n, "sw2"))
	x.until("sw2#")
}

func TestExecRequestsEndWithAStatus(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "j1", Platform: Junos}, {Name: "r1", Platform: FRR}, {Name: "sw1"}}})
	j := dial(t, n, "j1")
	if got, want := request(t, j, "show configuration | no-more"), n.Shown("j1"); got != want {
		t.Errorf("j1: %s", firstDifference(got, want))
	}
	for range 3 { // one command a channel, many channels a connection
		request(t, j, "show version")
	}
	s, err := j.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Output("show nothing")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 1 || string(out) != "error: unknown command: nothing\n" {
		t.Errorf("an unknown command gave %q, %v", out, err)
	}
	const zebra = " zebra ospfd bgpd staticd\n"
	got := request(t, dial(t, n, "r1"), "show daemons\nshow running-config\nshow daemons")
	if want := zebra + n.Shown("r1") + zebra; got != want {
		t.Errorf("r1: %s", firstDifference(got, want))
	}
	c := dial(t, n, "sw1")
	if got, want := request(t, c, "show running-config"), n.Shown("sw1"); strings.ReplaceAll(got, "\r\n", "\n") != want {
		t.Errorf("sw1: %s", firstDifference(got, want))
	}
	if err := c.Wait(); err == nil {
		t.Error("sw1 kept the connection after its session")
	}
}

func TestFRRServesItsFilesReadOnly(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR}, {Name: "sw1"}}})
	c, err := sftp.NewClient(dial(t, n, "r1"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := func(path string) (string, error) {
		f, err := c.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		return string(b), err
	}
	saved, err := read("/etc/frr/frr.conf")
	if err != nil || saved != n.Startup("r1") {
		t.Errorf("frr.conf: %v, %s", err, firstDifference(saved, n.Startup("r1")))
	}
	if want := strings.TrimPrefix(strings.TrimSuffix(n.Config("r1"), "end\n"), "Building configuration...\n\nCurrent configuration:\n!\n"); saved != want {
		t.Errorf("frr.conf against running: %s", firstDifference(saved, want))
	}
	if daemons, err := read("/etc/frr/daemons"); err != nil || !strings.Contains(daemons, "\nospfd=yes\n") {
		t.Errorf("daemons: %q, %v", daemons, err)
	}
	if _, err := read("/etc/shadow"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another file: %v", err)
	}
	if _, err := c.Create("/etc/frr/frr.conf"); err == nil {
		t.Error("the file could be written")
	}
	if _, err := sftp.NewClient(dial(t, n, "sw1")); err == nil {
		t.Error("sw1 serves SFTP")
	}
}

func TestLoginMethodsAreThoseOfTheSpecification(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, Options{Devices: []Device{
		{Name: "pw", Platform: FRR, Auth: []string{"password"}, Banner: "one\ntwo\n"},
		{Name: "ki", Platform: FRR, Auth: []string{"keyboard-interactive"}, Motd: "r1# \nPassword:\n"},
		{Name: "key", Platform: FRR, Auth: []string{"publickey"}, Keys: []ssh.PublicKey{signer.PublicKey()}},
		{Name: "old", Legacy: true},
	}})
	methods := map[string]ssh.AuthMethod{
		"password":             ssh.Password(Password),
		"keyboard-interactive": ssh.KeyboardInteractive(func(_, _ string, q []string, _ []bool) ([]string, error) { return []string{Password}[:len(q)], nil }),
		"publickey":            ssh.PublicKeys(signer),
	}
	for name, fits := range map[string]string{"pw": "password", "ki": "keyboard-interactive", "key": "publickey"} {
		for method, auth := range methods {
			c, err := tryDial(n, name, auth)
			if (err == nil) != (method == fits) {
				t.Errorf("%s with %s: %v", name, method, err)
			}
			if err == nil {
				_ = c.Close()
			}
		}
		if l := n.LoginLog(name); len(l) != 1 || l[0].Method != fits || !l[0].Accepted || l[0].User != User {
			t.Errorf("%s logged %v", name, l)
		}
	}
	if n.PasswordSeen("key") || !n.PasswordSeen("pw") || !n.PasswordSeen("ki") {
		t.Error("passwords were seen where none was sent, or none where one was")
	}
	var negotiation *ssh.AlgorithmNegotiationError
	if _, err := tryDialModern(n, "old"); !errors.As(err, &negotiation) {
		t.Errorf("the old device: %v", err)
	}
}

func tryDialModern(n *Network, name string) (*ssh.Client, error) {
	cfg := &ssh.ClientConfig{User: User, Auth: []ssh.AuthMethod{ssh.Password(Password)}, HostKeyCallback: ssh.FixedHostKey(n.HostKey(name))}
	cfg.KeyExchanges = ssh.SupportedAlgorithms().KeyExchanges
	return ssh.Dial("tcp", n.SSH(name).String(), cfg)
}

func TestRogueTakesAnyLoginAndTellsOfPasswords(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "rogue", Rogue: true}}})
	if _, err := tryDial(n, "rogue"); err == nil || n.PasswordSeen("rogue") {
		t.Errorf("without a password: %v, seen %t", err, n.PasswordSeen("rogue"))
	}
	c, err := tryDial(n, "rogue", ssh.Password("anything"))
	if err != nil || !n.PasswordSeen("rogue") {
		t.Fatalf("with one: %v, seen %t", err, n.PasswordSeen("rogue"))
	}
	defer c.Close()
	shellOf(t, c).until("rogue#")
}

var cisco2 = regexp.MustCompile(`(?m)^(?:Current configuration : (\d+) bytes|Using (\d+) out of \d+ bytes)\n`)

func TestCountInTheFirstLinesIsRight(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "sw1"}, {Name: "sw2", Platform: IOS, Size: 20000}}})
	n.Change("sw1")
	for _, name := range []string{"sw1", "sw2"} {
		for what, text := range map[string]string{"running": n.Config(name), "startup": n.Startup(name)} {
			m := cisco2.FindStringSubmatchIndex(text)
			if m == nil {
				t.Fatalf("%s, %s: no count", name, what)
			}
			count := cisco2.FindStringSubmatch(text)
			want, _ := strconv.Atoi(count[1] + count[2])
			if got := strings.LastIndex(text, "end\n") + len("end\n") - m[1]; got != want {
				t.Errorf("%s, %s: the line says %d, the text has %d", name, what, want, got)
			}
		}
	}
}

func TestSecretsAreInTheTextsAndSayFake(t *testing.T) {
	o := Demo()
	o.Devices = append(o.Devices, Device{Name: "r1", Platform: FRR}, Device{Name: "sw9", Platform: IOS})
	n := start(t, o)
	for _, d := range n.Devices() {
		text, found := n.Config(d.Name), 0
		for _, s := range n.Secrets(d.Name) {
			if strings.Contains(text, s) {
				found++
			}
			if !regexp.MustCompile(`(?i)^00fade|fake`).MatchString(s) {
				t.Errorf("%s: %q does not say that it is made up", d.Name, s)
			}
		}
		if found < 3 {
			t.Errorf("%s: %d secrets in the text", d.Name, found)
		}
	}
}

func TestFortiOSEncryptsAnewAndKeepsHashes(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "f1", Platform: FortiOS}}})
	first := capture(t, n, "f1")
	second := capture(t, n, "f1")
	enc := regexp.MustCompile(`ENC \S+|FAKE\S{60}`)
	if first == second {
		t.Error("two displays are the same")
	}
	if a, b := enc.ReplaceAllString(first, ""), enc.ReplaceAllString(second, ""); a != b {
		t.Errorf("more than ENC values differ: %s", firstDifference(a, b))
	}
	hash := regexp.MustCompile(`ENC SH2\S+`)
	if a, b := hash.FindAllString(first, -1), hash.FindAllString(second, -1); len(a) != 2 || strings.Join(a, " ") != strings.Join(b, " ") {
		t.Errorf("the administrators' hashes are %q and %q", a, b)
	}
	if !bytes.Contains([]byte(first), []byte("\n    set buffer \"Authorised use only.\n\nWhat")) {
		t.Error("the blank line inside a quoted value is gone")
	}
}
