package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// dialect is how a platform talks on its command line.
type dialect struct {
	version  string // SSH identification
	levels   bool   // there is a user level below the privileged one
	freely   bool   // logins start at the user level also where enable asks nothing
	pager    pager
	newline  string // what the device sends when a command line is finished
	gap      string // sent between the output of a command in a shell and the prompt
	exact    bool   // no abbreviated commands
	plainLF  bool   // exec requests print LF line ends
	multiple bool   // a connection carries more than one session

	motd      func(d *node) string // LF line ends
	anyKey    string               // asks for a key before the first prompt; empty: does not
	prompt    func(s *shell) string
	session   map[string]string // settings of the session and what they print
	unpaged   []string          // those that turn the pager off
	running   []string
	startup   []string
	answers   map[string]func(d *node) string // further commands
	badEnable string                          // what a third wrong password for the privileged level brings
	unknown   func(s *shell, line string, words []string, good int) string
	denied    string // the user level asks for a configuration; empty: unknown says it
	config    func(w *pen)
	bulk      func(r *rand.Rand, n int) string
	noSaving  bool // what is changed is stored at once
}

func ciscoPrompt(s *shell) string {
	if s.privileged {
		return s.d.spec.Name + "#"
	}
	return s.d.spec.Name + ">"
}

func nothing(*node) string { return "" }

// caret gives the column of the first word that is wrong.
func caret(line string, words []string, good int) int {
	off := 0
	for i := 0; i < good && i < len(words); i++ {
		off += strings.Index(line[off:], words[i]) + len(words[i])
	}
	for off < len(line) && line[off] == ' ' {
		off++
	}
	return off
}

func privilege(*node) string { return "Current privilege level is 15\n" }

// dialects is the list of the platforms that the lab plays. It never changes.
var dialects = map[Platform]*dialect{
	IOS: cisco, IOSXE: cisco, EOS: eos, Junos: junos, FortiOS: fortios, FRR: frr,
	NXOS: nxos, ASA: asa, RouterOS: routeros, ProCurve: procurve, AOSCX: aoscx, VRP: vrp, PANOS: panos,
	IOSXR: iosxr, SMB: smb, VyOS: vyos, TMOS: tmos, OS10: os10, EXOS: exos,
	Onyx: onyx, VSOL: vsol, SonicOS: sonicos, QNOS: qnos,
}

var (
	cisco = &dialect{
		version: "SSH-2.0-Cisco-1.25", levels: true, newline: "\r\n", badEnable: "% Bad secrets\n\n",
		pager:  pager{prompt: " --More-- ", wipe: strings.Repeat("\b", 9) + strings.Repeat(" ", 8) + strings.Repeat("\b", 9), rows: 24, anyEnd: true},
		motd:   func(*node) string { return "\n" },
		prompt: ciscoPrompt,
		session: map[string]string{
			"terminal length 0": "", "terminal width 0": "", "terminal width 511": "", "terminal width 512": "",
		},
		unpaged: []string{"terminal length 0"},
		running: []string{"show running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{
			"show version": ciscoVersion, "show privilege": privilege, "show inventory": ciscoInventory,
			"show parser view": func(*node) string { return "No view is active ! Currently in Privilege Level Context\n" },
		},
		unknown: func(s *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "% Incomplete command.\n\n"
			}
			return strings.Repeat(" ", len(ciscoPrompt(s))+caret(line, words, good)) + "^\n% Invalid input detected at '^' marker.\n\n"
		},
		config: ciscoConfig, bulk: ciscoBulk,
	}
	eos = &dialect{
		version: "SSH-2.0-OpenSSH_8.7", levels: true, freely: true, newline: "\r\n", multiple: true, badEnable: "% Bad secret\n",
		pager:  pager{prompt: "\x1b[7m --More-- \x1b[27m", wipe: "\r\x1b[K", rows: 23, pty: true},
		motd:   func(*node) string { return "Last login: Mon Nov 23 09:12:44 2026 from 192.0.2.9\n" },
		prompt: ciscoPrompt,
		session: map[string]string{
			"terminal length 0": "Pagination disabled.\n", "terminal width 32767": "Width set to 32767 columns.\n",
		},
		unpaged: []string{"terminal length 0"},
		running: []string{"show running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{
			"show version": eosVersion, "show privilege": privilege, "show configuration sessions": nothing,
		},
		denied: "% Invalid input (privileged mode required)\n",
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "% Incomplete command\n"
			}
			return "% Invalid input\n"
		},
		config: eosConfig, bulk: eosBulk,
	}
	junos = &dialect{
		version: "SSH-2.0-OpenSSH_7.5", newline: " \r\n", gap: "\r\n", plainLF: true, multiple: true, noSaving: true,
		pager: pager{prompt: "---(more)---", wipe: "\r" + strings.Repeat(" ", 40) + "\r", rows: 23, pty: true},
		motd: func(d *node) string {
			return "Last login: Mon Nov 23 09:12:44 2026 from 192.0.2.9\n--- JUNOS " + d.spec.Version + " Kernel 64-bit\n"
		},
		prompt: func(s *shell) string { return s.user + "@" + s.d.spec.Name + "> " },
		session: map[string]string{
			"set cli screen-length 0": "Screen length set to 0\n", "set cli screen-width 0": "Screen width set to 0\n",
			"set cli complete-on-space off": "Disabling complete-on-space\n",
		},
		unpaged: []string{"set cli screen-length 0"},
		running: []string{"show configuration"},
		answers: map[string]func(*node) string{
			"show version": junosVersion, "show cli authorization": junosRights, "show system commit": junosCommits,
			"show chassis hardware": func(d *node) string {
				return fmt.Sprintf("Hardware inventory:\nItem             Version  Part number  Serial number     Description\nChassis                                %-18s%s\n", d.spec.Serial, strings.ToUpper(d.spec.Model))
			},
		},
		unknown: func(s *shell, line string, words []string, good int) string {
			if s.exec {
				return "error: unknown command: " + words[min(good, len(words)-1)] + "\n"
			}
			mark := strings.Repeat(" ", len(s.user)+len(s.d.spec.Name)+3+caret(line, words, good)) + "^\n"
			if good > 0 {
				return mark + "syntax error, expecting <command>.\n"
			}
			return mark + "unknown command.\n"
		},
		config: junosConfig, bulk: junosBulk,
	}
	fortios = &dialect{
		version: "SSH-2.0-FortiSSH_1", newline: "\r\n", gap: "\r\n", exact: true, noSaving: true,
		pager:   pager{prompt: "--More-- ", wipe: "\r         \r", rows: 23},
		motd:    nothing,
		prompt:  func(s *shell) string { return s.d.spec.Name + " # " },
		running: []string{"show"},
		answers: map[string]func(*node) string{
			"get system status": fortiosStatus, "get system ha status": fortiosHA,
			"get system admin list": func(d *node) string {
				return fmt.Sprintf("username        local     device                   vdom        profile         remote\n%-15s ssh       mgmt:192.0.2.1:22        root        super_admin_readonly 192.0.2.9:40022\n", d.spec.User)
			},
		},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good == 0 {
				return "Unknown action 0\n"
			}
			return "\ncommand parse error before '" + words[min(good, len(words)-1)] + "'\nCommand fail. Return code -61\n"
		},
		config: fortiosConfig, bulk: fortiosBulk,
	}
	frr = &dialect{
		version: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2", newline: "\r\n", plainLF: true, multiple: true,
		pager: pager{prompt: "--More--", wipe: "\r        \r", rows: 23, pty: true},
		motd: func(d *node) string {
			return "\nHello, this is FRRouting (version " + d.spec.Version + ").\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\n\n"
		},
		prompt:  func(s *shell) string { return s.d.spec.Name + "# " },
		session: map[string]string{"terminal length 0": "", "no terminal paginate": ""},
		unpaged: []string{"terminal length 0", "no terminal paginate"},
		running: []string{"show running-config"},
		answers: map[string]func(*node) string{
			"show version": frrVersion, "show startup-config": nothing,
			"show daemons": func(*node) string { return " zebra ospfd bgpd staticd\n" },
		},
		unknown: func(_ *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "% Command incomplete: " + line + "\n"
			}
			return "% Unknown command: " + line + "\n"
		},
		config: frrConfig, bulk: frrBulk,
	}
)

// match says whether words are the command pat, words of which may be
// abbreviated to two letters or more, and how many leading words fit.
func match(pat string, words []string, exact bool) (whole bool, good int) {
	want := strings.Fields(pat)
	for good < len(want) && good < len(words) {
		w := strings.ToLower(words[good])
		if w != want[good] && (exact || len(w) < 2 || !strings.HasPrefix(want[good], w)) {
			break
		}
		good++
	}
	return good == len(want) && good == len(words), good
}
