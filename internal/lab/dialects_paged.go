package lab

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// Platforms whose pager cannot be turned off, or not everywhere, and one more that
// is read twice. What they print in versions and logins is worded as recordings
// and other makers of the same software have it.
var (
	onyx = withText(Onyx, dialect{
		version: "SSH-2.0-OpenSSH_7.9", levels: true, newline: "\r\n", multiple: true, noSaving: true, badEnable: "% Wrong password\n",
		pager: pager{prompt: "lines 1-23 ", wipe: "\r\x1b[K", rows: 23, pty: true},
		motd: func(*node) string {
			return "NVIDIA Onyx Switch Management\n\nLast login: Mon Nov 23 09:12:44 2026 from 192.0.2.9\n\n"
		},
		prompt: func(s *shell) string {
			return s.d.spec.Name + " [standalone: master] " + mark(s.privileged) + " "
		},
		running: []string{"show running-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Product name:      Onyx\nProduct release:   %s\nBuild ID:          #1-dev\nTarget arch:       x86_64\nProduct model:     x86onie\nSystem serial num: %s\n", d.spec.Version, d.spec.Serial)
		}},
		unknown: func(_ *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return fmt.Sprintf("%% Incomplete command %q.\nType %q for help.\n", line, line+" ?")
			}
			return fmt.Sprintf("%% Unrecognized command %q.\nType %q for help.\n", words[good], "?")
		},
	})
	vsol = withText(VSOL, dialect{
		version: "SSH-2.0-dropbear_2019.78", levels: true, freely: true, newline: "\r\n", noSaving: true, badEnable: "Bad password\n",
		pager:   pager{prompt: " --More-- ", wipe: strings.Repeat("\b", 10) + strings.Repeat(" ", 10) + strings.Repeat("\b", 10), rows: 23, pty: true},
		motd:    func(*node) string { return "\n" },
		prompt:  func(s *shell) string { return s.d.spec.Name + mark(s.privileged) + " " },
		running: []string{"show running-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Olt Serial Number: %s\nOlt Device Model: %s\nHardware Version: V1.0\nSoftware Version: %s\n", d.spec.Serial, d.spec.Model, d.spec.Version)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "% Command incomplete.\n"
			}
			return "% Unknown command.\n"
		},
	})
	sonicos = withText(SonicOS, dialect{
		version: "SSH-2.0-SonicOS", newline: "\r\n", exact: true, noSaving: true,
		pager: pager{prompt: "--MORE--", wipe: "\r        \r", rows: 23, pty: true},
		motd: func(d *node) string {
			return "\nCopyright (c) 2022 SonicWall, Inc.\n\nUsing username '" + d.spec.User + "'.\n\n"
		},
		prompt:  func(s *shell) string { return s.user + "@" + s.d.spec.Serial + "> " },
		running: []string{"show current-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("firmware-version \"SonicOS %s\"\nmodel %q\nserial-number %s\n", d.spec.Version, d.spec.Model, d.spec.Serial)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "% Incomplete command\n"
			}
			return "% Unrecognized command: " + words[good] + "\n"
		},
	})
	qnos = withText(QNOS, dialect{
		version: "SSH-2.0-OpenSSH_6.1", levels: true, newline: "\r\n", badEnable: "Incorrect Password!\n",
		pager:   pager{prompt: "--More-- or (q)uit", wipe: "\r                  \r", rows: 23, pty: true},
		motd:    func(*node) string { return "\n" },
		prompt:  func(s *shell) string { return "(" + s.d.spec.Name + ") " + mark(s.privileged) },
		session: map[string]string{"terminal length 0": ""},
		unpaged: []string{"terminal length 0"},
		running: []string{"show running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("\nSwitch: 1\n\nSystem Description............................. Quanta %[1]s\nMachine Model.................................. %[1]s\nSerial Number.................................. %[2]s\nSoftware Version............................... %[3]s\n\n", d.spec.Model, d.spec.Serial, d.spec.Version)
		}},
		unknown: func(s *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "\nCommand not found / Incomplete command. Use ? to list commands.\n\n"
			}
			return strings.Repeat(" ", len(s.d.spec.Name)+4+caret(line, words, good)) + "^\n% Invalid input detected at '^' marker.\n\n"
		},
	})
)

// mark ends a prompt.
func mark(privileged bool) string {
	if privileged {
		return "#"
	}
	return ">"
}

// Sum follows from all that a change can touch, as that of SonicOS does.
func (p paper) Sum() uint32 { return crc32.ChecksumIEEE([]byte(p.Checksum())) }
