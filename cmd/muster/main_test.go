package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"muster/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"muster": recorded})
}

// recorded is main; what it prints is also added to the file $RECORD, so that a
// script can look for secrets in all of it.
func recorded() {
	name := os.Getenv("RECORD")
	if name == "" {
		main()
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	os.Exit(run(os.Args[1:], os.Stdin, io.MultiWriter(os.Stdout, f), io.MultiWriter(os.Stderr, f)))
}

// TestScripts runs our main as a user would, against a simulated network where
// the script starts one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for k, v := range map[string]string{
				"HOME": e.WorkDir + "/home", "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": "",
				"MUSTER_DIR": e.WorkDir + "/data", "MUSTER_CONFIG": e.WorkDir + "/muster.yaml", "MUSTER_KEY": e.WorkDir + "/muster.key",
				// The lab's secrets, for flags that take a secret from the environment.
				"COMMUNITY": lab.Community, "PASSWORD": lab.Password, "ENABLE": lab.Enable,
				"SNMP_USER": lab.SNMPUserName, "AUTH": lab.AuthPassword, "PRIV": lab.PrivPassword, "USER": lab.User,
				"NO_COLOR": "1", "RECORD": e.WorkDir + "/.said",
			} {
				e.Setenv(k, v)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lab":    labCmd,
			"exits":  exitsCmd,
			"await":  awaitCmd,
			"signal": signalCmd,
			"listen": listenCmd,
			"fill":   fillCmd,
			"save":   saveCmd,
		},
	})
}

// labs are the networks of the scripts, by *testscript.TestScript: scripts run
// side by side.
var labs sync.Map

// labCmd: lab start [NAME=PLATFORM …] starts a simulated network; PLATFORM may
// also be rogue, nosnmp (FRR without an agent) and v3 (IOS-XE that speaks SNMPv3
// only, with an enable password). lab CONTROL NAME [ARG] changes it. Addresses
// are in $NAME, the ports in $SNMP_PORT and $SSH_PORT, the network in
// $PREFIX, the devices' own addresses in $RANGE.
func labCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: lab start|CONTROL …")
	}
	if args[0] == "start" {
		startLab(ts, args[1:])
		return
	}
	v, ok := labs.Load(ts)
	if !ok || len(args) < 2 {
		ts.Fatalf("usage: lab start, then lab CONTROL NAME [ARG]")
	}
	n, name := v.(*lab.Network), args[1]
	on := len(args) > 2 && args[2] == "on"
	switch args[0] {
	case "change":
		n.Change(name)
	case "revert":
		n.Revert(name)
	case "unsaved":
		n.Unsaved(name)
	case "save":
		n.Save(name)
	case "stop":
		n.Stop(name)
	case "resume":
		ts.Check(n.Resume(name))
	case "truncate":
		n.Truncate(name, on)
	case "reject":
		n.RejectLogin(name, on)
	case "rekey":
		ts.Check(n.Rekey(name))
	case "latency":
		wait, err := time.ParseDuration(args[2])
		ts.Check(err)
		n.Latency(name, wait)
	case "freeze":
		n.Freeze(name, lab.Stage(args[2]))
	case "shown": // writes what the device printed last to a file
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(n.Shown(name)), 0o600))
	case "silent": // nobody logged in, and nobody sent a password
		if logins := n.LoginLog(name); len(logins) > 0 || n.PasswordSeen(name) {
			ts.Fatalf("%s was logged in to: %v", name, logins)
		}
	case "logins": // exactly so many, rejected ones too
		if got := strconv.Itoa(len(n.LoginLog(name))); got != args[2] {
			ts.Fatalf("%s saw %s logins, not %s: %v", name, got, args[2], n.LoginLog(name))
		}
	case "rejections": // at most so many
		rejected := 0
		for _, l := range n.LoginLog(name) {
			if !l.Accepted && l.Method != "publickey" {
				rejected++
			}
		}
		if most, err := strconv.Atoi(args[2]); err != nil || rejected == 0 || rejected > most {
			ts.Fatalf("%s saw %d rejected logins, 1 to %s are right", name, rejected, args[2])
		}
	case "secrets": // nothing of it is in clear in these files or folders
		secrets := append(n.Secrets(name), lab.Password, lab.Enable, lab.Community, lab.AuthPassword, lab.PrivPassword)
		for _, place := range args[2:] {
			noSecrets(ts, ts.MkAbs(place), secrets)
		}
	default:
		ts.Fatalf("unknown control %s", args[0])
	}
}

func startLab(ts *testscript.TestScript, specs []string) {
	o := lab.Options{SharedHostKey: true}
	for _, spec := range specs {
		name, platform, _ := strings.Cut(spec, "=")
		d := lab.Device{Name: name, Platform: lab.Platform(platform)}
		switch platform {
		case "rogue":
			d.Platform, d.Rogue = lab.IOSXE, true
		case "nosnmp":
			d.Platform, d.NoSNMP = lab.FRR, true
		case "v3":
			d.Platform, d.Enable = lab.IOSXE, lab.Enable
			d.SNMPUsers = []lab.SNMPUser{{Name: lab.SNMPUserName, Auth: "sha256", AuthPassword: lab.AuthPassword, Priv: "aes", PrivPassword: lab.PrivPassword}}
		}
		o.Devices = append(o.Devices, d)
	}
	n, err := lab.Start(context.Background(), o)
	ts.Check(err)
	ts.Defer(func() { _ = n.Close() })
	labs.Store(ts, n)
	for _, d := range n.Devices() {
		ts.Setenv(d.Name, n.Addr(d.Name).String())
	}
	ts.Setenv("SNMP_PORT", strconv.Itoa(int(n.SNMPPort())))
	ts.Setenv("SSH_PORT", strconv.Itoa(int(n.SSHPort())))
	ts.Setenv("PREFIX", n.Prefix().String())
	if d := n.Devices(); len(d) > 0 { // sweeping a whole /24 politely takes seconds
		ts.Setenv("RANGE", n.Addr(d[0].Name).String()+"-"+n.Addr(d[len(d)-1].Name).String())
	}
}

// noSecrets looks through a file, or all files of a folder.
func noSecrets(ts *testscript.TestScript, place string, secrets []string) {
	files := 0
	ts.Check(filepath.WalkDir(place, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		for _, s := range secrets {
			if bytes.Contains(text, []byte(s)) {
				return fmt.Errorf("%s holds the secret %q in clear", name, s)
			}
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("%s holds no file to look through", place)
	}
}

// exitsCmd: exits CODE PROGRAM ARG… runs it and checks the code.
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(fmt.Sprint(err), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s exits with %s, not %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// awaitCmd: await REGEXP PROGRAM ARG… runs the program until its standard output
// matches. await pid:DIR waits until a process serves the data directory.
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await pid:DIR, or await REGEXP PROGRAM ARG…")
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if dir, ok := strings.CutPrefix(args[0], "pid:"); ok {
			conn, err := net.Dial("unix", filepath.Join(ts.MkAbs(dir), "muster.sock"))
			if err == nil {
				_ = conn.Close()
				return
			}
		} else {
			_ = ts.Exec(args[1], args[2:]...)
			if regexp.MustCompile(args[0]).MatchString(ts.ReadFile("stdout")) {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never came", strings.Join(args, " "))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// signalCmd: signal NAME HUP|TERM|INT sends a signal to the process of a data
// directory, found by its lock file.
func signalCmd(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal DIR HUP|TERM|INT|KILL")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(filepath.Join(args[0], "muster.lock"))))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signals[args[1]]))
}

// listenCmd: listen VAR takes a free port of 127.0.0.1 until the script ends and
// puts its address in $VAR.
func listenCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen VAR")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

// fillCmd: fill FROM TO writes a file with $VARIABLES filled in.
func fillCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FROM TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// saveCmd: save REGEXP VAR puts what the first group of an expression finds in
// what the last program printed in $VAR.
func saveCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: save REGEXP VAR")
	}
	m := regexp.MustCompile(args[0]).FindStringSubmatch(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	if len(m) < 2 {
		ts.Fatalf("the output does not match %s", args[0])
	}
	ts.Setenv(args[1], m[1])
}
