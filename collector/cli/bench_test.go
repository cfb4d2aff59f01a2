package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scrapli/scrapligo/driver/generic"
	"github.com/scrapli/scrapligo/driver/options"
	"golang.org/x/crypto/ssh"
)

// benchDevice makes the test binary a device of its own process, so that the
// benchmark counts the client's CPU alone.
const benchDevice = "MUSTER_BENCH_DEVICE"

func benchConfig() string {
	var b strings.Builder
	for i := 0; b.Len() < 65000; i++ {
		fmt.Fprintf(&b, "interface Ethernet%d\n description port %d\n ip address 192.0.2.%d 255.255.255.0\n!\n", i, i, i%256)
	}
	return b.String() + "end\n"
}

// serveBenchDevice serves until standard input ends.
func serveBenchDevice() {
	config := crlf(benchConfig())
	d := &device{shell: func(t *tty) {
		// scrapligo's driver sends the line end only once it has seen the echo.
		buf := make([]byte, 1024)
		line := ""
		t.puts("r1# ")
		for {
			n, err := t.ch.Read(buf)
			if err != nil {
				return
			}
			answer := strings.ReplaceAll(string(buf[:n]), "\n", "\r\n")
			for _, c := range string(buf[:n]) {
				if c != '\n' {
					line += string(c)
					continue
				}
				switch line {
				case "exit":
					return
				case "show running-config":
					answer += config
				}
				answer, line = answer+"r1# ", ""
			}
			t.puts(answer)
		}
	}}
	d.start(&testing.B{})
	fmt.Println(d.addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareBackup is the floor: login, three commands, the configuration, exit, with
// nothing but x/crypto/ssh.
func bareBackup(addr string) (int, error) {
	client, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: "backup", Auth: []ssh.AuthMethod{ssh.Password(testPassword)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	s, err := client.NewSession()
	if err != nil {
		return 0, err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := s.RequestPty("vt100", 255, 511, nil); err != nil {
		return 0, err
	}
	if err := s.Shell(); err != nil {
		return 0, err
	}
	buf := make([]byte, 32<<10)
	read := func() (n int, err error) {
		var tail []byte
		for {
			m, err := out.Read(buf)
			if n += m; err != nil {
				return n, err
			}
			if tail = append(tail, buf[:m]...); len(tail) > 16 {
				tail = append(tail[:0], tail[len(tail)-16:]...)
			}
			if bytes.HasSuffix(tail, []byte("r1# ")) {
				return n, nil
			}
		}
	}
	if _, err := read(); err != nil {
		return 0, err
	}
	n := 0
	for _, command := range []string{"terminal length 0", "terminal width 0", "show version", "show running-config"} {
		if _, err := io.WriteString(in, command+"\n"); err != nil {
			return 0, err
		}
		if n, err = read(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func musterBackup(addr string, d Dialogue) (int, error) {
	t := targetAt(netip.MustParseAddrPort(addr))
	s, err := Open(context.Background(), t, d, Options{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Run(context.Background(), "show version"); err != nil {
		return 0, err
	}
	out, err := s.Run(context.Background(), "show running-config")
	return len(out.Text), err
}

func stockBackup(addr string) (int, error) {
	a := netip.MustParseAddrPort(addr)
	d, err := generic.NewDriver(a.Addr().String(), options.WithPort(int(a.Port())), options.WithAuthNoStrictKey(),
		options.WithAuthUsername("backup"), options.WithAuthPassword(testPassword), options.WithTransportType("standard"))
	if err != nil {
		return 0, err
	}
	if err := d.Open(); err != nil {
		return 0, err
	}
	defer func() { _ = d.Close() }()
	n := 0
	for _, command := range []string{"terminal length 0", "terminal width 0", "show version", "show running-config"} {
		r, err := d.SendCommand(command)
		if err != nil {
			return 0, err
		}
		n = len(r.Result)
	}
	return n, nil
}

// BenchmarkBackup65kB takes the client's CPU for a login, three commands and a
// configuration of 65 kB: with x/crypto/ssh alone, with this package, and with
// scrapligo's stock driver. Only the ratios mean anything; above 2 it fails.
func BenchmarkBackup65kB(b *testing.B) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), benchDevice+"=1")
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = child.Wait() }()
	var addr string
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		b.Fatal(err)
	}
	perOp := map[string]time.Duration{}
	dialogue := plainDialogue()
	dialogue.Paging = []string{"terminal length 0", "terminal width 0"}
	for _, way := range []struct {
		name   string
		backup func(string) (int, error)
	}{{"bare", bareBackup}, {"muster", func(addr string) (int, error) { return musterBackup(addr, dialogue) }}, {"scrapligo", stockBackup}} {
		b.Run(way.name, func(b *testing.B) {
			b.SetParallelism(50)
			start := cpu()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if n, err := way.backup(addr); err != nil || n < 65000 {
						b.Errorf("%d bytes, %v", n, err)
						return
					}
				}
			})
			perOp[way.name] = (cpu() - start) / time.Duration(b.N)
			b.ReportMetric(float64(perOp[way.name].Microseconds())/1000, "cpu-ms/op")
			if bare := perOp["bare"]; bare > 0 {
				b.ReportMetric(float64(perOp[way.name])/float64(bare), "×bare")
			}
		})
	}
	if bare, ours := perOp["bare"], perOp["muster"]; bare > 0 && ours > 2*bare {
		b.Errorf("%v of CPU a backup, %.1f times the bare client's %v: more than 2", ours, float64(ours)/float64(bare), bare)
	}
}
