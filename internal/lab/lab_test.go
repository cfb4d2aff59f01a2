package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start plays a network that ends with the test and leaves no goroutine.
func start(t *testing.T, o Options) *Network {
	t.Helper()
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// dial logs in with the device's account.
func dial(t *testing.T, n *Network, name string) *ssh.Client {
	t.Helper()
	c, err := tryDial(n, name, ssh.Password(Password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func tryDial(n *Network, name string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", n.SSH(name).String(), &ssh.ClientConfig{
		User: User, Auth: auth, HostKeyCallback: ssh.FixedHostKey(n.HostKey(name)), Timeout: 5 * time.Second,
	})
}

// terminal is a person at the device's command line.
type terminal struct {
	t    *testing.T
	in   io.Writer
	out  io.Reader
	seen string
}

func shellOf(t *testing.T, c *ssh.Client) *terminal {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := errors.Join(s.RequestPty("vt100", 24, 200, ssh.TerminalModes{}), s.Shell()); err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, in: in, out: out}
}

// until reads up to one of the ends and gives what came before it.
func (x *terminal) until(ends ...string) (before, end string) {
	x.t.Helper()
	buf := make([]byte, 65536)
	for {
		for _, e := range ends {
			if rest, ok := strings.CutSuffix(x.seen, e); ok {
				x.seen = ""
				return rest, e
			}
		}
		n, err := x.out.Read(buf)
		x.seen += string(buf[:n])
		if n == 0 && err != nil {
			x.t.Fatalf("waited for %q; the device said %q, then %v", ends, x.seen, err)
		}
	}
}

// run types a line and gives the answer up to the prompt, with LF line ends.
func (x *terminal) run(line, prompt string) string {
	x.t.Helper()
	_, _ = io.WriteString(x.in, line+"\n")
	out, _ := x.until(prompt)
	_, out, _ = strings.Cut(out, "\r\n")
	return strings.ReplaceAll(out, "\r\n", "\n")
}

// capture reads the running config as a client should that knows the platform.
func capture(t *testing.T, n *Network, name string) string {
	t.Helper()
	c := dial(t, n, name)
	defer c.Close()
	switch d := n.node(name); d.spec.Platform {
	case Junos, FRR, RouterOS:
		out := request(t, c, d.dialect.running[0])
		if d.dialect.plainLF {
			return out
		}
		return strings.ReplaceAll(out, "\r\n", "\n")
	case FortiOS:
		x := shellOf(t, c)
		prompt := name + " # "
		x.until(prompt)
		_, _ = io.WriteString(x.in, "show\n")
		out := ""
		for {
			part, end := x.until("--More-- ", prompt)
			out += part
			if end == prompt {
				out = strings.ReplaceAll(out, "\r         \r", "")
				_, out, _ = strings.Cut(out, "\r\n")
				return strings.ReplaceAll(out, "\r\n", "\n")
			}
			_, _ = io.WriteString(x.in, " ")
		}
	default:
		x := shellOf(t, c)
		if d.dialect.anyKey != "" {
			x.until(d.dialect.anyKey)
			_, _ = io.WriteString(x.in, " ")
		}
		user := &shell{d: d, user: User}
		privileged := &shell{d: d, user: User, privileged: true}
		prompt := d.dialect.prompt(privileged)
		if low := d.dialect.prompt(user); low != prompt {
			if _, end := x.until(low, prompt); end == low {
				_, _ = io.WriteString(x.in, "enable\n")
				if d.spec.Enable != "" {
					x.until("Password: ")
					_, _ = io.WriteString(x.in, d.spec.Enable+"\n")
				}
				x.until(prompt)
			}
		} else {
			x.until(prompt)
		}
		x.run(d.dialect.unpaged[0], prompt)
		return x.run(d.dialect.running[0], prompt)
	}
}

func request(t *testing.T, c *ssh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func TestDemoConfigurationsArePrintedAsConfigSays(t *testing.T) {
	n := start(t, Demo())
	for _, d := range n.Devices() {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			want := n.Config(d.Name)
			if got := capture(t, n, d.Name); got != want || n.Shown(d.Name) != want {
				t.Errorf("printed %d bytes, Config has %d:\n%s", len(got), len(want), firstDifference(got, want))
			}
			if len(want) < 700 || len(want) > 11000 {
				t.Errorf("%d bytes are not what the demo promises", len(want))
			}
		})
	}
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return fmt.Sprintf("line %d: %q, want %q", i+1, la[i], lb[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(la), len(lb))
}

func TestCloseLeavesNothingAndEndsSessions(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := Start(ctx, Options{Devices: []Device{{Name: "r1"}, {Name: "r2", Platform: FRR}}})
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	c := dial(t, n, "r2")
	x := shellOf(t, c)
	x.until("r2# ")
	n.Freeze("r1", AtAuth)
	stuck := make(chan error, 1)
	go func() {
		_, err := tryDial(n, "r1", ssh.Password(Password))
		stuck <- err
	}()
	for !n.PasswordSeen("r1") {
		time.Sleep(time.Millisecond) // the state is inside the server: there is nothing to wait on
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-stuck; err == nil {
		t.Error("the frozen login succeeded")
	}
	if err := c.Wait(); err == nil {
		t.Error("the open session ended in peace")
	}
	if err := n.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	again, err := Start(t.Context(), Options{Base: n.base, SNMPPort: n.SNMPPort(), SSHPort: n.SSHPort(), Devices: []Device{{Name: "r1"}}})
	if err != nil {
		t.Fatalf("the sockets are still taken: %v", err)
	}
	_ = again.Close()
	goleak.VerifyNone(t, before)
}

func TestNetworkEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n, err := Start(ctx, Options{Devices: []Device{{Name: "r1", Platform: FRR}}})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, n, "r1")
	cancel()
	if err := c.Wait(); err == nil {
		t.Error("the session ended in peace")
	}
	_ = n.Close()
}

func TestTwoHundredDevicesStartInWellUnderASecond(t *testing.T) {
	o := Options{}
	for i := range 200 {
		o.Devices = append(o.Devices, Device{Name: fmt.Sprintf("sw-%d", i), Platform: []Platform{IOSXE, EOS, FRR}[i%3], Size: 65000})
	}
	began := time.Now()
	n := start(t, o)
	if took := time.Since(began); took > 700*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	if n.Addr("sw-199") != n.base.Next() && !n.Prefix().Contains(n.Addr("sw-199")) || n.Prefix().Bits() != 24 {
		t.Errorf("sw-199 is at %s, outside %s", n.Addr("sw-199"), n.Prefix())
	}
	if got := capture(t, n, "sw-199"); got != n.Shown("sw-199") || len(got) < 64000 || len(got) > 67000 {
		t.Errorf("sw-199 printed %d bytes", len(got))
	}
}

func TestFaultySpecificationsAreRefused(t *testing.T) {
	tests := map[string]struct {
		o    Options
		want string
	}{
		"no name":        {Options{Devices: []Device{{}}}, "has no name"},
		"two of a name":  {Options{Devices: []Device{{Name: "a"}, {Name: "a"}}}, `two devices named "a"`},
		"platform":       {Options{Devices: []Device{{Name: "a", Platform: "vms"}}}, `platform "vms"`},
		"method":         {Options{Devices: []Device{{Name: "a", Auth: []string{"gss"}}}}, `method "gss"`},
		"no auth":        {Options{Devices: []Device{{Name: "a", SNMPUsers: []SNMPUser{{Name: "u", Priv: "aes"}}}}}, "unknown protocols"},
		"empty password": {Options{Devices: []Device{{Name: "a", SNMPUsers: []SNMPUser{{Name: "u", Auth: "sha"}}}}}, "has no password"},
		"link's device":  {Options{Devices: []Device{{Name: "a"}}, Links: []Link{{"a", "Gi1/0/1", "b", "x"}}}, "no such device"},
		"link's port":    {Options{Devices: []Device{{Name: "a"}, {Name: "b"}}, Links: []Link{{"a", "Gi1/0/1", "b", "x"}}}, "no such port"},
		"no loopback":    {Options{Base: netip.MustParseAddr("192.0.2.0"), SNMPPort: 1, SSHPort: 1, Devices: []Device{{Name: "a"}}}, "no loopback"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := Start(t.Context(), tt.o)
			if err == nil {
				_ = n.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
