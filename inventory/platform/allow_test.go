package platform

import (
	"strings"
	"testing"
)

func TestReadingCommandsAreAllowed(t *testing.T) {
	for _, c := range strings.Split(`show running-config
show running-config view full
show startup-config
show version
show
show | grep ^config
show full-configuration
show configuration | display omit
show configuration | display set | no-more
show configuration | display omit | match "^[a-z]"
show running-config | include ^hostname
show interfaces | section Vlan1
show archive config differences nvram:startup-config system:running-config
show system rollback 1 compare
show system commit
show daemons
display current-configuration
display saved-configuration
get system status
get hardware status
diagnose sys ha checksum show
diagnose autoupdate versions
/export
/export show-sensitive
/export hide-sensitive
/system resource print
terminal exec prompt no-timestamp
terminal datadump
no page
more system:running-config
more nvram:startup-config
terminal length 0
terminal width 32767
terminal pager 0
no terminal paginate
set cli screen-length 0
set cli screen-width 0
set cli complete-on-space off
set cli pager off
set cli scripting-mode on
set terminal length 0
disable clipaging session
tmsh -q -c "cd /; list recursive"
screen-length 0 temporary
enable
enable 15
cli
vtysh
vtysh -c 'show version'
/usr/sbin/birdc show status
vtysh -c "show running-config"
no cli pager session
configShow -all
configuration show
no cli session paging enable
set session more off
nv config show
nv config show --color off
export config to console
info flat from running
uci export
copy running-configuration display
sort /tmp/system.cfg
config show json
config c show
config 0 show
list_configuration
info flat from startup
admin show configuration
admin show configuration bof
environment more false
show config | display commands
config -g config
showconfig
get config
get config saved
show running config
exit
quit
logout
changeto system
changeto context dmz-1
switchto vdc VDC_2
switchback
/system history print
check pending-changes
cat /etc/frr/daemons
cat /etc/network/interfaces`, "\n") {
		if !Allowed(c) {
			t.Errorf("%q is refused", c)
		}
	}
}

// Whoever can write a definition must not be able to change a device with it.
func TestChangingCommandsAreRefused(t *testing.T) {
	for _, c := range []string{
		// configure, copy, delete, reboot
		"configure terminal", "conf t", "config system console", "system-view", "edit", "set system host-name x",
		"set output standard", "configUpload -all", "configShow -all > x", "configuration save", "configuration reset-to-factory", "end", "write memory", "wr", "copy running-config startup-config", "copy run tftp://192.0.2.1/x",
		"delete flash:x", "erase startup-config", "format flash:", "reload", "reboot", "request system reboot", "commit",
		"execute reboot", "execute ha manage 1 admin", "execute cfg save", "clear counters", "clear ip bgp *", "undebug all", "debug all",
		"ping 192.0.2.1", "traceroute 192.0.2.1", "telnet 192.0.2.1", "ssh host", "tclsh", "bash", "bash sudo su", "start shell", "shell", "run-script x",
		"terminal monitor", "no shutdown", "interface Vlan1", "disable", "do show run", "lock", "kill 1", "admin save",
		// several at once
		"show run\nreload", "show run\r\nreload", "show version; reload", "get x; reboot", "show version && reboot", "show x & reboot",
		"show version | no-more ; conf t", "show `reboot`", "show $(reboot)", "show ${IFS}", "vtysh -c 'show version' -c 'conf t'",
		"/usr/sbin/birdc configure", "/usr/sbin/birdc disable all", "/usr/sbin/birdc show status; id", "/usr/sbin/birdc down", "vtysh -c 'conf t'", "vtysh -c 'write memory'", "vtysh -c \"show version\" -c \"write\"", "vtysh -c 'show x\"' \"", "vtysh -b", "vtysh -C",
		"vtysh -c 'show run | tee /tmp/x'", "exit; reboot", "enable; reload", "cat /etc/hosts /etc/shadow", "cat /etc/hosts; id", "cat /etc/hosts | sh",
		// pipes and redirections that write, send or run
		"show run | redirect flash:x", "show run | redirect tftp://192.0.2.1/x", "show x | append flash:x", "show tech | tee flash:x", "show x | tee /tmp/y",
		"show run > flash:x", "show run >> x", "show x < y", "show configuration | save x", "show configuration | request message all",
		"show run | bash", "show run | sh", "show run | vsh", "show x | file x", "show x | ftp", "show x | exec rm", "show x | no-more | save y",
		"show x | include a | redirect b", "show x | include \"a | redirect b\"", "show x | email a@example.net", "display current-configuration > x",
		"show x | display set | save y", "show x | grep -f /etc/shadow x", "show x | grep --help",
		// reading that acts
		"show tech-support", "show tech", "display diagnostic-information", "get execute reboot", "show log clear", "show counters reset", "show interfaces clear", "get test", "get system reboot", "show debug",
		"diagnose debug enable", "diagnose sys kill 9 1", "diagnose sniffer packet any", "diagnose test application x 1", "diagnose sys ha reset-uptime", "diagnose",
		"/export file=x", "/export show-sensitive file=x", "/export show-sensitive file=x.rsc show-sensitive", "/export compact file=x", "/export /ip", "export", "/export\n/system reboot", "/export;/quit", "/import x",
		"/system reboot", "/system resource print file=x", "/system resource print;/system reboot", "/system backup save", "/system identity set name=x", "/user print", "/tool fetch url=http://192.0.2.1/", "/quit",
		"terminal exec prompt timestamp", "terminal exec prompt no-timestamp x", "terminal monitor disable",
		// reading from elsewhere
		"more tftp://192.0.2.1/x", "more flash:x", "show file tftp://192.0.2.1/x", "more /etc/shadow", "get http://192.0.2.1/",
		// files that are secrets or no files
		"cat /etc/shadow", "cat /etc/shadow-", "cat /etc/../etc/shadow", "cat /root/.ssh/id_rsa", "cat /home/ops/.ssh/authorized_keys", "cat /etc/ssh/ssh_host_rsa_key",
		"cat /dev/mem", "cat /proc/kcore", "cat /sys/power/state", "cat -n /etc/hosts", "cat etc/hosts", "cat /etc/*", "cat /etc/ssl/private/x.pem", "cat /etc/ssl/x.key", "cat ~/x", "cat /",
		// into contexts, and nothing on the way
		"changeto", "changeto context", "changeto context a b", "changeto context {name}", "changeto system config", "switchto vdc", "switchto vdc a reload", "switchback x",
		"/system history print file=x", "/system history", "check", "check pending-changes x",
		// tricks of the line
		"", " show version", "show version ", "show  version", "show\tversion", "show version\x00", "show vers?", "show \x1b[A", "show x \\", "show x !$", "SHOW RUN\x07",
		"show \u202eversion", "show “x”", "show 'x", "show \"x", strings.Repeat("show ", 100) + "x", "terminal length 0 | redirect x", "terminal length 99999999", "terminal length -1",
		"set cli screen-length 0; request system reboot", "set cli idle-timeout 0",
		"set cli pager off; request restart system", "set cli config-output-format set", "set clipper on", "set terminal", "set terminal length 0 x", "set system setting target-vsys vsys2",
		`tmsh -q -c "cd /; list recursive; delete ltm pool x"`, `tmsh -q -c "cd /; delete recursive"`, `tmsh -q -c "cd /; list recursive" x`, `tmsh -q -c "cd /; list recursive" `, "tmsh", "tmsh -q list",
		"tmsh save sys config", "tmsh -q -c 'cd /; list recursive'", "bash -c 'tmsh list'",
		"copy running-configuration startup-configuration", "copy startup-configuration display", "copy running-configuration display x", "copy running-configuration", "copy x running-configuration", "copy running-configuration display | tee x",
		"sort", "sort /etc/shadow", "sort /etc/passwd", "sort -o /tmp/x /tmp/system.cfg", "sort /tmp/system.cfg -o /tmp/system.cfg", "sort /tmp/system.cfg > /tmp/x", "sort /tmp/system.cfg; reboot", "sort  /tmp/system.cfg", "sort /tmp/system.cfg ",
		"config", "config show", "config show json x", "config show json | save x", "config show json > x", "config show json; reboot", "config show  json", "config show json ", "config save", "config apply", "config import http://192.0.2.1/x",
		"config c save", "config 0 save", "config 1 save", "config 0 powerup", "config c show > x", "config 0 show\rconfig 0 save", "config 0 show ", "config c show x", "config 0 0 show", "type config.da0", "type pwds.da0",
		"list_configuration x", "list_configuration | sh", "list_configuration > x", "list_configuration; reboot", "list_configuration ", "saveconf", "restoreconf x",
		"no cli pager", "no cli pager session x", "no cli session paging", "cli session paging enable", "set session more on", "set session more off x", "set session",
		"nv config apply", "nv config save", "nv config show --rev 1 apply", "nv config diff", "nv set system hostname x", "nv show", "export config to tftp://192.0.2.1/x", "export config to console x", "info flat from running \u003e x", "info from running", "uci export network", "uci commit", "uci import", "info flat from running | as json", "get config tftp 192.0.2.1", "get config x", "show running config x", "show running config | tee x",
		"admin show configuration | no-more", "admin show configuration > cf3:\\x", "admin show", "admin show configuration x", "admin save", "admin reboot now", "admin show configuration bof; admin save", "environment more true", "environment more false x", "environment", "info", "edit-config", "configure global",
		"config -g", "config -g config.users", "config -s config.x=y", "config -d config.x", "config -r all", "config -a", "config -g config -s config.x=y", "config -g config > /tmp/x", "config", "config export x", "config -g config; reboot",
		"showconfig x", "showconfig\n2", "showconfig > x", "showconfig | tee x", "saveconfig", "loadconfig", "mailconfig a@example.net", "resetconfig", "commit", "showconfigs",
		"show config | display commands | save x", "show config | display commands x", "set -f cli-config cli-columns 65535",
		"disable clipaging", "disable clipaging session x", "disable ports 1", "disable ssh2", "enable clipaging", "enable ports 1", "enable 15 0", "enable secret x", "cli -c 'request system reboot'", "showrun", "shower on",
	} {
		if Allowed(c) {
			t.Errorf("%q is allowed", c)
		}
	}
}

func TestFilesAreReadByPlainPathsOnly(t *testing.T) {
	for path, want := range map[string]bool{
		"/etc/frr/frr.conf": true, "/etc/frr/daemons": true, "/etc/bird/bird.conf": true, "/etc/netplan/01-x.yaml": true,
		"etc/frr/frr.conf": false, "/etc/frr/../shadow": false, "/etc/frr/./frr.conf": false, "/etc//frr": false, "/etc/frr/": false, "": false, "/": false,
		"/etc/.hidden": false, "/etc/frr.conf\n": false, "/etc/fr r": false, "/etc/$HOME": false, "/etc/frr*": false, "~/x": false,
		"/etc/shadow": false, "/etc/master.passwd": false, "/etc/frr/vpn.key": false, "/etc/ipsec.secrets": false, "/etc/ppp/chap-secrets": false, "/etc/krb5.keytab": false, "/home/ops/id_ed25519": false, "/etc/ssh/ssh_host_ed25519_key": false, "/proc/1/environ": false, "/var/run/x": false,
	} {
		if got := allowedPath(path); got != want {
			t.Errorf("allowedPath(%q) = %t, want %t", path, got, want)
		}
	}
}

func TestEveryCommandOfOursIsAllowed(t *testing.T) {
	for _, d := range definitions(t).All() {
		c := d.rules.cli
		all := append([]string{c.exit}, c.paging...)
		if c.enable != nil {
			all = append(all, c.enable.command)
		}
		for _, p := range d.Parts {
			if p.Via == ViaFile {
				if !allowedPath(p.Source) {
					t.Errorf("%s: the file %s", d.Name, p.Source)
				}
				continue
			}
			all = append(all, p.Source)
		}
		for _, id := range d.rules.identify {
			if id.command != "" {
				all = append(all, id.command)
			}
		}
		for _, cmd := range all {
			if !Allowed(cmd) {
				t.Errorf("%s: %q", d.Name, cmd)
			}
		}
	}
}
