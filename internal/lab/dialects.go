package lab

import (
	"fmt"
	"strings"
)

// The dialects whose configuration is a text in platforms/.
var (
	nxos = withText(NXOS, dialect{
		version: "SSH-2.0-OpenSSH_8.3 PKIX[12.5.1]", newline: "\r\n", multiple: true,
		pager: pager{prompt: "--More--", wipe: "\r        \r", rows: 23, pty: true},
		motd: func(*node) string {
			return "Cisco Nexus Operating System (NX-OS) Software\nTAC support: http://www.cisco.com/tac\nCopyright (C) 2002-2023, Cisco and/or its affiliates.\nAll rights reserved.\n"
		},
		prompt:  func(s *shell) string { return s.d.spec.Name + "# " },
		session: map[string]string{"terminal length 0": "", "terminal width 511": ""},
		unpaged: []string{"terminal length 0"},
		running: []string{"show running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Cisco Nexus Operating System (NX-OS) Software\n\nSoftware\n  BIOS: version 05.47\n  NXOS: version %s\n\nHardware\n  cisco Nexus9000 C93180YC-FX Chassis \n  Processor Board ID %s\n  Device name: %s\n\n", d.spec.Version, d.spec.Serial, d.spec.Name)
		}},
		unknown: func(s *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "% Incomplete command at '^' marker.\n"
			}
			return strings.Repeat(" ", len(s.d.spec.Name)+2+caret(line, words, good)) + "^\n% Invalid command at '^' marker.\n"
		},
	})
	asa = withText(ASA, dialect{
		version: "SSH-2.0-Cisco-1.25", levels: true, freely: true, newline: "\r\n", badEnable: "Access denied.\n",
		pager: pager{prompt: "<--- More --->", wipe: "\r              \r", rows: 24},
		motd: func(d *node) string {
			return "User " + d.spec.User + " logged in to " + d.spec.Name + "\nLogins over the last 1 days: 3.  Last login: 09:12:44 UTC Nov 23 2026 from 192.0.2.9\nFailed logins since the last login: 0.  \nType help or '?' for a list of available commands.\n"
		},
		prompt:  func(s *shell) string { return ciscoPrompt(s) + " " },
		session: map[string]string{"terminal pager 0": ""},
		unpaged: []string{"terminal pager 0"},
		running: []string{"more system:running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("\nCisco Adaptive Security Appliance Software Version %s \n\nHardware:   %s, 8192 MB RAM, CPU Lynnfield 2394 MHz, 1 CPU (4 cores)\n\nSerial Number: %s\n", d.spec.Version, d.spec.Model, d.spec.Serial)
		}},
		unknown: func(s *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "ERROR: % Incomplete command\n"
			}
			return strings.Repeat(" ", len(s.d.spec.Name)+2+caret(line, words, good)) + "^\nERROR: % Invalid input detected at '^' marker.\n"
		},
	})
	routeros = withText(RouterOS, dialect{
		version: "SSH-2.0-ROSSSH", newline: "\r\n", exact: true, multiple: true, noSaving: true,
		pager: pager{prompt: "-- [Q quit|D dump|right|down]", wipe: "\r\x1b[K", rows: 23, pty: true},
		motd: func(d *node) string {
			return "\n\n  MikroTik RouterOS " + d.spec.Version + " (c) 1999-2024       https://www.mikrotik.com/\n\n"
		},
		prompt:  func(s *shell) string { return "[" + s.user + "@" + s.d.spec.Name + "] > " },
		running: []string{"/export show-sensitive"},
		answers: map[string]func(*node) string{"/system resource print": func(d *node) string {
			return fmt.Sprintf("                   uptime: 14w2d5h12m\n                  version: %s (stable)\n               board-name: %s\n                 platform: MikroTik\n", d.spec.Version, d.spec.Model)
		}},
		unknown: func(_ *shell, line string, words []string, good int) string {
			return fmt.Sprintf("bad command name %s (line 1 column %d)\n", strings.TrimPrefix(words[min(good, len(words)-1)], "/"), caret(line, words, good)+1)
		},
	})
	procurve = withText(ProCurve, dialect{
		version: "SSH-2.0-Mocana SSH 6.3", levels: true, newline: "\r\n", badEnable: "Unable to verify password\n",
		pager: pager{prompt: "-- MORE --, next page: Space, next line: Enter, quit: Control-C", wipe: "\r" + strings.Repeat(" ", 63) + "\r", rows: 23, pty: true},
		motd: func(d *node) string {
			return "Aruba " + d.spec.Model + " 2930F-48G-PoE+-4SFP+ Switch\nSoftware revision " + d.spec.Version + "\n\n(C) Copyright 2023 Hewlett Packard Enterprise Development LP\n                        RESTRICTED RIGHTS LEGEND\n\n"
		},
		anyKey:  "Press any key to continue",
		prompt:  func(s *shell) string { return ciscoPrompt(s) + " " },
		session: map[string]string{"no page": ""},
		unpaged: []string{"no page"},
		running: []string{"show running-config"},
		startup: []string{"show config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("\nImage stamp:    /ws/swbuildm/rel_ajanta/code/build/lvm(swbuildm_rel_ajanta)\n                Mar 10 2023 09:12:44\n                %s\n                540\nBoot Image:     Primary\n\n", d.spec.Version)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "Incomplete input: " + words[len(words)-1] + "\n"
			}
			return "Invalid input: " + words[good] + "\n"
		},
	})
	aoscx = withText(AOSCX, dialect{
		version: "SSH-2.0-OpenSSH_9.3", newline: "\r\n", multiple: true,
		pager: pager{prompt: "-- MORE --, next page: Space, next line: Enter, quit: q", wipe: "\r\x1b[K", rows: 23, pty: true},
		motd: func(*node) string {
			return "Last login: 2026-11-23 09:12:44 from 192.0.2.9\nUser \"backup\" has logged in 3 times in the past 30 days\n"
		},
		prompt:  func(s *shell) string { return s.d.spec.Name + "# " },
		session: map[string]string{"no page": ""},
		unpaged: []string{"no page"},
		running: []string{"show running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("-----------------------------------------------------------------------------\nArubaOS-CX\n(c) Copyright 2017-2023 Hewlett Packard Enterprise Development LP\n-----------------------------------------------------------------------------\nVersion      : %s\nActive Image : primary\n\n", d.spec.Version)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "% Command incomplete.\n"
			}
			return "Invalid input: " + words[good] + "\n"
		},
	})
	vrp = withText(VRP, dialect{
		version: "SSH-2.0--", newline: "\r\n",
		pager: pager{prompt: "  ---- More ----", wipe: "\x1b[16D                \x1b[16D", rows: 23, pty: true},
		motd: func(*node) string {
			return "\nInfo: The max number of VTY users is 5, and the number\n      of current VTY users on line is 1.\n      The current login time is 2026-11-23 09:12:44+00:00.\n"
		},
		prompt:  func(s *shell) string { return "<" + s.d.spec.Name + ">" },
		session: map[string]string{"screen-length 0 temporary": "Info: The configuration takes effect on the current user terminal interface only.\n"},
		unpaged: []string{"screen-length 0 temporary"},
		running: []string{"display current-configuration"},
		startup: []string{"display saved-configuration"},
		answers: map[string]func(*node) string{"display version": func(d *node) string {
			return fmt.Sprintf("Huawei Versatile Routing Platform Software\nVRP (R) software, Version 5.170 (S5720 %s)\nCopyright (C) 2000-2020 HUAWEI TECH CO., LTD\nHUAWEI %s Routing Switch uptime is 14 weeks, 2 days, 5 hours, 12 minutes\n", d.spec.Version, d.spec.Model)
		}},
		unknown: func(_ *shell, line string, words []string, good int) string {
			what := "Unrecognized"
			if good >= len(words) {
				what = "Incomplete"
			}
			return strings.Repeat(" ", caret(line, words, good)) + "^\nError: " + what + " command found at '^' position.\n"
		},
	})
	panos = withText(PANOS, dialect{
		version: "SSH-2.0-OpenSSH_8.0", newline: "\r\n", gap: "\r\n", noSaving: true,
		pager: pager{prompt: "lines 1-23 ", wipe: "\r\x1b[K", rows: 23, pty: true},
		motd: func(*node) string {
			return "Last login: Mon Nov 23 09:12:44 2026 from 192.0.2.9\n\n\nNumber of failed attempts since last successful login: 0\n\n\n"
		},
		prompt: func(s *shell) string {
			if s.d.twin() != nil {
				return s.user + "@" + s.d.spec.Name + "(" + s.d.role() + ")> "
			}
			return s.user + "@" + s.d.spec.Name + "> "
		},
		session: map[string]string{"set cli scripting-mode on": "", "set cli pager off": ""},
		unpaged: []string{"set cli pager off"},
		running: []string{"show config running"},
		answers: map[string]func(*node) string{"show system info": func(d *node) string {
			return fmt.Sprintf("\nhostname: %s\nmodel: %s\nserial: %s\nsw-version: %s\n\n", d.spec.Name, d.spec.Model, d.spec.Serial, d.spec.Version)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "\nInvalid syntax.\n\n"
			}
			return "\nUnknown command: " + strings.Join(words, " ") + "\n\n"
		},
	})
)

// withText adds the writers of the platform's text.
func withText(p Platform, d dialect) *dialect {
	d.config, d.bulk = written(p)
	return &d
}
