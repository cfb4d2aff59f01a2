package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"muster/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"muster": main})
}

// TestScripts runs our main as a user would, against a simulated network where
// the script starts one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("XDG_STATE_HOME", "")
			e.Setenv("XDG_CONFIG_HOME", "")
			e.Setenv("M", "muster --dir "+e.WorkDir+"/data --config "+e.WorkDir+"/muster.yaml --key "+e.WorkDir+"/muster.key")
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lab":   labCmd,
			"exits": exitsCmd,
		},
	})
}

// labCmd: lab start [NAME=PLATFORM …] starts a simulated network; lab CONTROL
// NAME [ARG] changes it. The addresses are in $NAME, the ports in $SNMP_PORT and
// $SSH_PORT, the whole network in $PREFIX.
func labCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: lab start|CONTROL …")
	}
	if args[0] == "start" {
		o := lab.Options{SharedHostKey: true}
		for _, a := range args[1:] {
			name, platform, _ := strings.Cut(a, "=")
			d := lab.Device{Name: name, Platform: lab.Platform(platform)}
			switch platform {
			case "rogue":
				d.Platform, d.Rogue = lab.IOSXE, true
			case "nosnmp":
				d.Platform, d.NoSNMP = lab.FRR, true
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
		return
	}
	v, _ := labs.Load(ts)
	n := v.(*lab.Network)
	name := args[1]
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
		n.Truncate(name, args[2] == "on")
	case "reject":
		n.RejectLogin(name, args[2] == "on")
	case "rekey":
		ts.Check(n.Rekey(name))
	case "config": // writes what the device would show to a file
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(n.Shown(name)), 0o600))
	case "secrets": // none of the device's secrets is in the file
		text := ts.ReadFile(args[2])
		for _, s := range n.Secrets(name) {
			if strings.Contains(text, s) {
				ts.Fatalf("%s holds a secret of %s in clear", args[2], name)
			}
		}
	case "untouched":
		if n.PasswordSeen(name) {
			ts.Fatalf("%s was sent a password", name)
		}
	case "rejections": // at most so many
		most, err := strconv.Atoi(args[2])
		ts.Check(err)
		rejected := 0
		for _, l := range n.LoginLog(name) {
			if !l.Accepted && l.Method != "none" && l.Method != "publickey" {
				rejected++
			}
		}
		if rejected > most {
			ts.Fatalf("%s saw %d rejected logins, at most %d are allowed", name, rejected, most)
		}
	default:
		ts.Fatalf("unknown control %s", args[0])
	}
}

// labs are the networks of the scripts, by *testscript.TestScript: scripts run
// side by side.
var labs sync.Map

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
