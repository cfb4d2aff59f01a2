package lab

import (
	"fmt"
	"strings"
)

// Platforms that print neither an end line nor a size, so that they are read twice.
var (
	vyos = withText(VyOS, dialect{
		version: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", newline: "\r\n", exact: true, multiple: true, noSaving: true,
		pager: pager{prompt: ":", wipe: "\r\x1b[K", rows: 23, pty: true},
		motd: func(*node) string {
			return "Welcome to VyOS!\n\nCheck out project news at https://blog.vyos.io\nLast login: Mon Nov 23 09:12:44 2026 from 192.0.2.9\n"
		},
		prompt:  func(s *shell) string { return s.user + "@" + s.d.spec.Name + ":~$ " },
		session: map[string]string{"set terminal length 0": ""},
		unpaged: []string{"set terminal length 0"},
		running: []string{"show configuration commands"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Version:          VyOS %s\nRelease train:    sagitta\n\nBuilt by:         autobuild@vyos.net\nSystem type:      KVM guest\n", d.spec.Version)
		}},
		unknown: func(_ *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "\n  Incomplete command: " + line + "\n\n"
			}
			return "\n  Invalid command: " + strings.Join(words[:good], " ") + " [" + words[good] + "]\n\n"
		},
	})
	tmos = withText(TMOS, dialect{
		version: "SSH-2.0-OpenSSH_7.4", newline: "\r\n", exact: true, plainLF: true, multiple: true, noSaving: true,
		motd:    func(*node) string { return "Last login: Mon Nov 23 09:12:44 2026 from 192.0.2.9\n" },
		prompt:  func(s *shell) string { return "[" + s.user + "@" + s.d.spec.Name + ":Active:Standalone] ~ # " },
		running: []string{`tmsh -q -c "cd /; list recursive"`},
		answers: map[string]func(*node) string{"tmsh -q show sys version": func(d *node) string {
			return fmt.Sprintf("\nSys::Version\nMain Package\n  Product     BIG-IP\n  Version     %s\n  Build       0.0.5\n\n", d.spec.Version)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good > 0 && words[0] == "tmsh" {
				return fmt.Sprintf("Syntax Error: unexpected argument %q\n", words[min(good, len(words)-1)])
			}
			return "-bash: " + words[0] + ": command not found\n"
		},
	})
	os10 = withText(OS10, dialect{
		version: "SSH-2.0-OpenSSH_7.9p1 Debian-10+deb10u2", newline: "\r\n", multiple: true,
		pager: pager{prompt: "--more--", wipe: "\r        \r", rows: 23, pty: true},
		motd: func(*node) string {
			return "Linux leaf 4.9.189 #1 SMP Debian 4.9.189-3+deb9u2 x86_64\n\n-* Copyright (C) 1999-2021 by Dell Inc. All Rights Reserved. *-\n"
		},
		prompt:  func(s *shell) string { return s.d.spec.Name + "# " },
		session: map[string]string{"terminal length 0": ""},
		unpaged: []string{"terminal length 0"},
		running: []string{"show running-configuration"},
		startup: []string{"show startup-configuration"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Dell EMC Networking OS10 Enterprise\nCopyright (c) 1999-2022 by Dell Inc. All Rights Reserved.\nOS Version: %s\nBuild Version: 10.5.3.4.122\nSystem Type: %s\nArchitecture: x86_64\n", d.spec.Version, d.spec.Model)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "% Error: Incomplete command.\n"
			}
			return "% Error: Unrecognized command.\n"
		},
	})
	exos = withText(EXOS, dialect{
		version: "SSH-2.0-OpenSSH_6.5", newline: "\r\n", multiple: true, noSaving: true,
		pager: pager{prompt: "Press <SPACE> to continue or <Q> to quit:", wipe: "\r" + strings.Repeat(" ", 41) + "\r", rows: 23, pty: true},
		motd: func(*node) string {
			return "\nExtremeXOS\nCopyright (C) 1996-2019 Extreme Networks. All rights reserved.\n==============================================================================\n\nYou are connected to a switch.\n\n"
		},
		prompt:  func(s *shell) string { return fmt.Sprintf("* %s.%d # ", s.d.spec.Name, s.prompts) },
		session: map[string]string{"disable clipaging session": ""},
		unpaged: []string{"disable clipaging session"},
		running: []string{"show configuration"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Switch      : 800474-00-03 %[1]s Rev 3.0 BootROM: 1.0.2.1    IMG: %[2]s\nPSU-1       : Internal PSU-1\n\nImage   : ExtremeXOS version %[2]s by release-manager\n          on Tue Aug 20 09:12:44 EDT 2019\nBootROM : 1.0.2.1\n", d.spec.Serial, d.spec.Version)
		}},
		unknown: func(s *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "%% Incomplete command\n"
			}
			return strings.Repeat(" ", caret(line, words, good)) + "^\n%% Invalid input detected at '^' marker.\n"
		},
	})
)

// Anew is a secret that is encrypted anew at each display.
func (p paper) Anew(label string, n int) string {
	return p.w.secret(fmt.Sprintf("%s/%d", label, p.w.show), n, base64Set[:62])
}
