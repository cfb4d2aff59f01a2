package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
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
	case Junos:
		return request(t, c, "show configuration")
	case FRR:
		return request(t, c, "show running-config")
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
		if _, end := x.until(name+">", name+"#"); end == name+">" {
			_, _ = io.WriteString(x.in, "enable\n")
			if d.spec.Enable != "" {
				x.until("Password: ")
				_, _ = io.WriteString(x.in, d.spec.Enable+"\n")
			}
			x.until(name + "#")
		}
		x.run("terminal length 0", name+"#")
		return x.run("show running-config", name+"#")
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
			if len(want) < 2500 || len(want) > 11000 {
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

func client(n *Network, name string) *gosnmp.GoSNMP {
	at := n.SNMP(name)
	return &gosnmp.GoSNMP{
		Target: at.Addr().String(), Port: at.Port(), Version: gosnmp.Version2c, Community: Community,
		Timeout: 2 * time.Second, Retries: 1, MaxOids: 60,
	}
}

func TestEveryDeviceAnswersSNMP(t *testing.T) {
	n := start(t, Demo())
	for _, d := range n.Devices() {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			g := client(n, d.Name)
			if err := g.Connect(); err != nil {
				t.Fatal(err)
			}
			defer g.Conn.Close()
			p, err := g.Get([]string{"1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.2.0"})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(p.Variables[0].Value.([]byte)); got != d.Name {
				t.Errorf("sysName is %q", got)
			}
			rows, err := g.BulkWalkAll("1.3.6.1.2.1.2.2.1.2")
			if err != nil || len(rows) != len(n.node(d.Name).ports) {
				t.Errorf("%d rows of ifDescr, %v", len(rows), err)
			}
		})
	}
}

var _ = []any{context.Background, netip.Addr{}, os.Args, slices.Sort[[]int]}
