package platform

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// A device may print what it likes: the work grows with the text, not with its
// square. Each of these took minutes with a loop in a loop; it is below a second
// now, and the limit leaves room for a busy machine.
func TestHostileTextIsReadInTime(t *testing.T) {
	s := definitions(t)
	const limit = 20 * time.Second
	many := func(platform string, lines ...string) (string, string) {
		return platform, strings.Repeat(strings.Join(lines, ""), 300_000/len(strings.Join(lines, "")))
	}
	for name, build := range map[string]func() (string, string){
		"one line of keywords":  func() (string, string) { return many("cisco_ios", "password 7 AAAA key 7 BBBB secret://x:y@ $1$zzz ") },
		"blocks that never end": func() (string, string) { return many("fortinet_fortios", "config firewall internet-service-name\n") },
		"values that never end": func() (string, string) { return many("fortinet_fortios", "set comments \"(Error\n\"\n") },
		"siblings without the sought": func() (string, string) {
			p, x := many("cisco_ios", " tunnel mpls traffic-eng bandwidth 1\n")
			return p, "interface Tunnel1\n" + x
		},
		"public keys": func() (string, string) {
			return many("juniper_junos", "ssh-rsa \"ssh-rsa AAAA x@y\"; ## SECRET-DATA\n")
		},
		"private keys that never end": func() (string, string) { return many("frr", "-----BEGIN "+keyMark+"\n") },
		"quotes in quotes":            func() (string, string) { return many("juniper_junos", "\"\\\"{ /* # ") },
		"braces":                      func() (string, string) { return many("juniper_junos", "a {\n") },
		"blocks in blocks":            func() (string, string) { return many("fortinet_fortios", "config x\nedit 1\n") },
		"contexts": func() (string, string) {
			p, x := many("fortinet_fortios", "edit a\nnext\n")
			return p, "#config-version=x:vdom=1\nconfig vdom\n" + x
		},
		"deeper and deeper":             func() (string, string) { return "fortinet_fortios", stairs(2000) },
		"lines that look like messages": func() (string, string) { return many("cisco_ios", "% x Invalid input detected\n") },
		"empty lines":                   func() (string, string) { return many("cisco_ios", "\n") },
	} {
		t.Run(name, func(t *testing.T) {
			platform, text := build()
			d, _ := s.ByName(platform)
			texts := map[string][]byte{}
			for _, p := range d.Parts {
				texts[p.Name] = []byte(text)
			}
			start := cpu(t)
			_, _ = d.Judge(texts, 0)
			d.Redact(d.Normal([]byte(text)), testKey)
			d.SavedForm([]byte(text), []byte(text))
			if took := cpu(t) - start; took > limit {
				t.Errorf("it took %s of processor time", took)
			}
		})
	}
}

// cpu is the processor time that the process has used: unlike the wall clock, it
// does not run faster on a busy machine.
func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stairs is a text in which every line is below all lines before it.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "set name \"x\"\n")
	}
	return b.String()
}
