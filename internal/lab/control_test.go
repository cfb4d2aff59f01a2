package lab

import (
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
	"golang.org/x/crypto/ssh"
)

// still is a text without the lines in which vendors put times, sizes and
// counters, and without what is encrypted anew.
func still(text string) []string {
	volatile := regexp.MustCompile(`(?m)^(! (Last conf|NVRAM|Time:|Startup-config)|Current conf|Using |## Last commit|#conf_file_ver|.*ENC |FAKE\w{60}$|! Command).*\n`)
	return strings.Split(volatile.ReplaceAllString(text, ""), "\n")
}

// added gives the lines that only b has.
func added(a, b string) (lines []string) {
	have := still(a)
	for _, l := range still(b) {
		if !slices.Contains(have, l) {
			lines = append(lines, l)
		}
	}
	return lines
}

// ofEach plays one device of each platform, named after it.
func ofEach(t *testing.T) *Network {
	o := Options{}
	for _, p := range []Platform{IOSXE, IOS, EOS, Junos, FortiOS, FRR} {
		o.Devices = append(o.Devices, Device{Name: string(p), Platform: p})
	}
	return start(t, o)
}

func TestChangeIsSavedAndRevertTakesItBack(t *testing.T) {
	n := ofEach(t)
	for _, d := range n.Devices() {
		before, stored := capture(t, n, d.Name), n.Startup(d.Name)
		n.Change(d.Name)
		changed := capture(t, n, d.Name)
		if lines := added(before, changed); len(lines) < 2 || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "198.51.100.1") }) {
			t.Errorf("%s: the change is %q", d.Name, lines)
		}
		if stored != "" && len(added(stored, n.Startup(d.Name))) < 2 {
			t.Errorf("%s: the change is not saved", d.Name)
		}
		n.Change(d.Name)
		if lines := added(changed, n.Config(d.Name)); len(lines) < 1 {
			t.Errorf("%s: a second change is none", d.Name)
		}
		n.Revert(d.Name)
		if again := n.Config(d.Name); !slices.Equal(still(before), still(again)) {
			t.Errorf("%s: reverted: %q, %q", d.Name, added(before, again), added(again, before))
		}
	}
}

func TestUnsavedIsInRunningOnlyUntilSaved(t *testing.T) {
	n := ofEach(t)
	for _, d := range n.Devices() {
		if d.Platform == Junos || d.Platform == FortiOS {
			if n.Startup(d.Name) != "" || panics(func() { n.Unsaved(d.Name) }) == false {
				t.Errorf("%s has a startup config", d.Name)
			}
			continue
		}
		running, startup := n.Config(d.Name), n.Startup(d.Name)
		n.Unsaved(d.Name)
		if lines := added(running, capture(t, n, d.Name)); len(lines) != 1 || !strings.Contains(lines[0], "198.51.100.200") {
			t.Errorf("%s: unsaved is %q", d.Name, lines)
		}
		if !slices.Equal(still(startup), still(n.Startup(d.Name))) {
			t.Errorf("%s: startup changed", d.Name)
		}
		n.Save(d.Name)
		if lines := added(startup, n.Startup(d.Name)); len(lines) != 1 {
			t.Errorf("%s: saved is %q", d.Name, lines)
		}
		n.Revert(d.Name)
		if !slices.Equal(still(startup), still(n.Startup(d.Name))) || !slices.Equal(still(running), still(n.Config(d.Name))) {
			t.Errorf("%s: something is left of it", d.Name)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestShowStartupPrintsWhatIsSaved(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "sw1"}}})
	n.Unsaved("sw1")
	x := shellOf(t, dial(t, n, "sw1"))
	x.until("sw1#")
	x.run("terminal length 0", "sw1#")
	if got, want := x.run("show startup-config", "sw1#"), n.Startup("sw1"); got != want {
		t.Error(firstDifference(got, want))
	}
	if running := n.Config("sw1"); !strings.Contains(running, "\tquit") || strings.Contains(n.Startup("sw1"), "\tquit") {
		t.Error("the certificate is not hexadecimal in running and a file name in startup")
	}
}

func TestEditsSetExactlyWhatIsShown(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "e1", Platform: EOS}}})
	n.Edit("e1", func(string) string { return "hostname e1\nend\n" })
	n.Edit("e1", func(s string) string { return strings.Replace(s, "end", "snmp-server community x\nend", 1) })
	if got := capture(t, n, "e1"); got != "hostname e1\nsnmp-server community x\nend\n" {
		t.Errorf("running is %q", got)
	}
	n.EditStartup("e1", func(string) string { return "end\n" })
	if got := n.Startup("e1"); got != "end\n" {
		t.Errorf("startup is %q", got)
	}
	n.Save("e1")
	if got := n.Startup("e1"); got != n.Config("e1") {
		t.Errorf("saved: %q", got)
	}
	n.Revert("e1")
	if len(n.Config("e1")) < 2000 || len(n.Startup("e1")) < 2000 {
		t.Error("the edits stayed")
	}
}

func TestAnswersCanBeSetAndGivenBack(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR}}})
	c := dial(t, n, "r1")
	usual := request(t, c, "show daemons")
	n.Answer("r1", "show daemons", " zebra staticd\n")
	n.Answer("r1", "show nothing", "")
	if got := request(t, c, "show  daemons\nshow nothing"); got != " zebra staticd\n" {
		t.Errorf("got %q", got)
	}
	n.Answered("r1", "show daemons")
	if got := request(t, c, "show daemons"); got != usual {
		t.Errorf("afterwards %q", got)
	}
}

func TestStoppedDeviceIsDeadUntilResumed(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR}, {Name: "r2", Platform: FRR}}})
	c := dial(t, n, "r1")
	n.Stop("r1")
	if err := c.Wait(); err == nil {
		t.Error("the session ended in peace")
	}
	if _, err := net.DialTimeout("tcp", n.SSH("r1").String(), time.Second); err == nil {
		t.Error("SSH is open")
	}
	g := client(t, n, "r1", &gosnmp.GoSNMP{Timeout: 50 * time.Millisecond})
	if _, err := g.Get([]string{"1.3.6.1.2.1.1.5.0"}); err == nil {
		t.Error("the agent answers")
	}
	capture(t, n, "r2") // the others live
	for range 2 {
		if err := n.Resume("r1"); err != nil {
			t.Fatal(err)
		}
	}
	capture(t, n, "r1")
	if _, err := client(t, n, "r1", &gosnmp.GoSNMP{}).Get([]string{"1.3.6.1.2.1.1.5.0"}); err != nil {
		t.Error(err)
	}
}

func TestLoginIsRejectedUntilAccepted(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "sw1"}}})
	refused := func(password string) bool {
		c, err := tryDial(n, "sw1", ssh.Password(password))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}
	n.RejectLogin("sw1", true)
	if !refused(Password) {
		t.Error("rejecting: let in")
	}
	n.RejectLogin("sw1", false)
	if refused(Password) {
		t.Error("accepting: refused")
	}
	n.SetPassword("sw1", "another")
	if !refused(Password) || refused("another") {
		t.Error("the password did not change")
	}
	n.SetPassword("sw1", Password)
	if refused(Password) {
		t.Error("the password did not change back")
	}
	var got []bool
	for _, l := range n.LoginLog("sw1") {
		got = append(got, l.Accepted)
	}
	if !slices.Equal(got, []bool{false, true, false, true, true}) {
		t.Errorf("logged %v", got)
	}
}

func TestTruncatedOutputEndsInThePrompt(t *testing.T) {
	n := ofEach(t)
	for _, d := range n.Devices() {
		n.Truncate(d.Name, true)
		whole := n.Config(d.Name)
		got := capture(t, n, d.Name)
		if cut := strings.TrimRight(got, "\n"); !strings.HasPrefix(whole, cut) || len(cut) > len(whole)/2 || len(cut) < len(whole)/3 {
			t.Errorf("%s: %d of %d bytes were printed", d.Name, len(got), len(whole))
		}
		n.Truncate(d.Name, false)
		if got := capture(t, n, d.Name); got != n.Shown(d.Name) {
			t.Errorf("%s: still not whole", d.Name)
		}
	}
}

func TestConnectionClosesInMidOutput(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR, Size: 60000}}})
	n.CloseMidOutput("r1", true)
	s, err := dial(t, n, "r1").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Output("show running-config")
	var missing *ssh.ExitMissingError
	if !errors.As(err, &missing) || len(out) == 0 || len(out) > 31000 {
		t.Errorf("got %d bytes and %v", len(out), err)
	}
	n.CloseMidOutput("r1", false)
	capture(t, n, "r1")
}

func TestFrozenDeviceIsSilentFromItsStage(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR}}})
	// reached says how far a client gets within 80 ms.
	reached := func() Stage {
		c, err := net.Dial("tcp", n.SSH("r1").String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		at := AtTCP
		_ = c.SetDeadline(time.Now().Add(80 * time.Millisecond))
		var first [4]byte
		if _, err := io.ReadFull(c, first[:]); err != nil {
			return at
		}
		at = AtBanner
		read := &replayed{Conn: c, first: first[:]}
		cfg := &ssh.ClientConfig{User: User, HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { at = AtAuth; return nil }}
		cfg.Auth = []ssh.AuthMethod{ssh.Password(Password)}
		cc, chans, reqs, err := ssh.NewClientConn(read, "r1", cfg)
		if err != nil {
			if at == AtBanner && read.bytes > 200 {
				at = AtKex
			}
			return at
		}
		s, err := ssh.NewClient(cc, chans, reqs).NewSession()
		if err != nil {
			return AtPrompt
		}
		out, _ := s.StdoutPipe()
		if err := s.Start("show running-config"); err != nil {
			return AtPrompt
		}
		text, _ := io.ReadAll(out)
		switch {
		case len(text) == 0:
			return AtPrompt
		case !strings.HasSuffix(string(text), "end\n\n") && !strings.HasSuffix(string(text), "end\n"):
			return AtOutput
		}
		return Thawed
	}
	for _, at := range []Stage{AtTCP, AtBanner, AtKex, AtAuth, AtPrompt, AtOutput, Thawed} {
		n.Freeze("r1", at)
		if got := reached(); got != at {
			t.Errorf("frozen at %q, silent at %q", at, got)
		}
	}
}

// replayed gives back the first bytes and counts what comes.
type replayed struct {
	net.Conn
	first []byte
	bytes int
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	n, err := r.Conn.Read(b)
	r.bytes += n
	return n, err
}

func TestRekeyedDeviceHasAnotherHostKey(t *testing.T) {
	n := start(t, Options{SharedHostKey: true, Devices: []Device{{Name: "r1", Platform: FRR}, {Name: "r2", Platform: FRR}}})
	old := n.HostKey("r1")
	if string(old.Marshal()) != string(n.HostKey("r2").Marshal()) {
		t.Error("the host key is not shared")
	}
	if err := n.Rekey("r1"); err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ClientConfig{User: User, Auth: []ssh.AuthMethod{ssh.Password(Password)}, HostKeyCallback: ssh.FixedHostKey(old)}
	if _, err := ssh.Dial("tcp", n.SSH("r1").String(), cfg); err == nil || n.PasswordSeen("r1") {
		t.Errorf("the old key: %v, password seen %t", err, n.PasswordSeen("r1"))
	}
	capture(t, n, "r1")
	capture(t, n, "r2")
}

func TestLatencyDelaysAnswers(t *testing.T) {
	n := start(t, Options{Devices: []Device{{Name: "r1", Platform: FRR}}})
	g := client(t, n, "r1", &gosnmp.GoSNMP{})
	const wait = 60 * time.Millisecond
	took := func() (snmp, cli time.Duration) {
		at := time.Now()
		if _, err := g.Get([]string{"1.3.6.1.2.1.1.5.0"}); err != nil {
			t.Fatal(err)
		}
		snmp = time.Since(at)
		at = time.Now()
		capture(t, n, "r1")
		return snmp, time.Since(at)
	}
	n.Latency("r1", wait)
	if snmp, cli := took(); snmp < wait || cli < wait {
		t.Errorf("answers took %s and %s", snmp, cli)
	}
	n.Latency("r1", 0)
	if snmp, _ := took(); snmp >= wait {
		t.Errorf("an answer took %s afterwards", snmp)
	}
}

func TestHeldFaultsAndRecoveriesDoNotHappen(t *testing.T) {
	play := func(hold ...Fault) *Network {
		return start(t, Options{Hold: hold, Devices: []Device{{Name: "sw1"}}})
	}
	alive := func(n *Network) bool {
		c, err := tryDial(n, "sw1", ssh.Password(Password))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	has := func(n *Network, what string) bool { return strings.Contains(n.Config("sw1"), what) }
	tests := map[Fault]func(n *Network) (happened bool){
		FaultChange:  func(n *Network) bool { n.Change("sw1"); return has(n, "permit 198.51.100.1\n") },
		FaultRevert:  func(n *Network) bool { n.Change("sw1"); n.Revert("sw1"); return !has(n, "permit 198.51.100.1\n") },
		FaultUnsaved: func(n *Network) bool { n.Unsaved("sw1"); return has(n, "198.51.100.200") },
		FaultSave: func(n *Network) bool {
			n.Unsaved("sw1")
			n.Save("sw1")
			return strings.Contains(n.Startup("sw1"), "198.51.100.200")
		},
		FaultStop:     func(n *Network) bool { n.Stop("sw1"); return !alive(n) },
		FaultResume:   func(n *Network) bool { n.Stop("sw1"); return n.Resume("sw1") == nil && alive(n) },
		FaultReject:   func(n *Network) bool { n.RejectLogin("sw1", true); return !alive(n) },
		FaultAccept:   func(n *Network) bool { n.RejectLogin("sw1", true); n.RejectLogin("sw1", false); return alive(n) },
		FaultTruncate: func(n *Network) bool { n.Truncate("sw1", true); return len(capture(t, n, "sw1")) < 4000 },
		FaultWhole: func(n *Network) bool {
			n.Truncate("sw1", true)
			n.Truncate("sw1", false)
			return len(capture(t, n, "sw1")) > 4000
		},
	}
	for fault, happened := range tests {
		if !happened(play()) {
			t.Errorf("%s does not happen", fault)
		}
		if happened(play(fault)) {
			t.Errorf("%s happens although it is held", fault)
		}
	}
}
