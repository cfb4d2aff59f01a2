package lab

import (
	"fmt"
	"strings"
)

// iosxrStamp comes before each output until the session turns it off; the lab prints it
// before what settings answer, not before a configuration.
const iosxrStamp = "Mon Nov 23 09:12:44.317 UTC\n"

// Cisco's routers of service providers and switches of small businesses.
var (
	iosxr = withText(IOSXR, dialect{
		version: "SSH-2.0-Cisco-2.0", newline: "\r\n", noSaving: true,
		pager:  pager{prompt: " --More-- ", wipe: "\r          \r", rows: 24},
		motd:   func(*node) string { return "\n\n" },
		prompt: iosxrPrompt,
		session: map[string]string{
			"terminal length 0": iosxrStamp, "terminal width 0": iosxrStamp, "terminal exec prompt no-timestamp": iosxrStamp,
		},
		unpaged: []string{"terminal length 0"},
		running: []string{"show running-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Cisco IOS XR Software, Version %s[Default]\nCopyright (c) 2020 by Cisco Systems, Inc.\n\nROM: System Bootstrap, Version 2.04(20140424:063844) [ASR9K ROMMON],  \n\n%s uptime is 14 weeks, 2 days, 5 hours, 12 minutes\n\n", d.spec.Version, d.spec.Name)
		}},
		unknown: func(s *shell, line string, words []string, good int) string {
			if good >= len(words) {
				return "% Incomplete command.\n"
			}
			return strings.Repeat(" ", len(iosxrPrompt(s))+caret(line, words, good)) + "^\n% Invalid input detected at '^' marker.\n"
		},
	})
	smb = withText(SMB, dialect{
		version: "SSH-2.0-OpenSSH_7.3p1.RL", levels: true, newline: "\r\n", badEnable: "% bad password\n",
		pager:   pager{prompt: "More: <space>,  Quit: q or CTRL+Z, One line: <return> ", wipe: "\r" + strings.Repeat(" ", 54) + "\r", rows: 23, pty: true},
		motd:    func(*node) string { return "\n\n" },
		prompt:  ciscoPrompt,
		session: map[string]string{"terminal datadump": "", "terminal width 0": ""},
		unpaged: []string{"terminal datadump"},
		running: []string{"show running-config"},
		startup: []string{"show startup-config"},
		answers: map[string]func(*node) string{"show version": func(d *node) string {
			return fmt.Sprintf("Active-image: flash://system/images/image_tesla_Sx350_Release_%[1]s.bin\n  Version: %[1]s\n  MD5 Digest: fade00fade00fade00fade00fade00fa\n  Date: 14-Nov-2022\n  Time: 09:12:44\n", d.spec.Version)
		}},
		unknown: func(_ *shell, _ string, words []string, good int) string {
			if good >= len(words) {
				return "% Incomplete command\n"
			}
			return "% Unrecognized command\n"
		},
	})
)

func iosxrPrompt(s *shell) string { return "RP/0/RSP0/CPU0:" + s.d.spec.Name + "#" }

// Hex is a value in the capitals of Cisco's type 7.
func (p paper) Hex(label string, n int) string { return p.w.hex(label, n) }
