package platform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"muster/collector"
	"muster/collector/cli"
	"muster/collector/snmp"
)

func TestAgentsAreIdentified(t *testing.T) {
	s := definitions(t)
	for name, tt := range map[string]struct {
		oid, descr string
		want       string
		certain    bool
	}{
		"IOS":                    {"1.3.6.1.4.1.9.1.716", "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 12.2(55)SE7, RELEASE SOFTWARE (fc1)", "cisco_ios", true},
		"old IOS":                {".1.3.6.1.4.1.9.1.186", "Cisco Internetwork Operating System Software \nIOS (tm) C2600 Software (C2600-I-M), Version 12.2(8)T5", "cisco_ios", true},
		"IOS-XE":                 {"1.3.6.1.4.1.9.1.2494", "Cisco IOS Software [Dublin], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 17.12.4, RELEASE SOFTWARE (fc4)", "cisco_iosxe", true},
		"IOS-XE of a word":       {"1.3.6.1.4.1.9.1.1707", "Cisco IOS Software, ISR Software (X86_64_LINUX_IOSD-UNIVERSALK9-M), Version 15.5(3)S, RELEASE SOFTWARE (fc6)", "cisco_iosxe", true},
		"IOS-XE 3":               {"1.3.6.1.4.1.9.1.1208", "Cisco IOS Software, IOS-XE Software (PPC_LINUX_IOSD-ADVENTERPRISEK9-M), Version 15.1(3)S2, RELEASE SOFTWARE (fc1)", "cisco_iosxe", true},
		"IOS XR":                 {"1.3.6.1.4.1.9.1.1762", "Cisco IOS XR Software (Cisco ASR9K Series),  Version 6.1.2[Default]", "cisco_iosxr", true},
		"IOS XR in quotes":       {"1.3.6.1.4.1.9.1.1018", "\"Cisco IOS XR Software (Cisco ASR9K Series),  Version 5.3.4[Default]\nCopyright (c) 2017 by Cisco Systems, Inc.\"", "cisco_iosxr", true},
		"AOS-CX":                 {"1.3.6.1.4.1.47196.4.1.1.1.50", "Aruba JL635A 8325 GL.10.04.2000", "aruba_aoscx", true},
		"AOS-CX, own text":       {"1.3.6.1.4.1.47196.4.1.1.1.100", "access switch", "aruba_aoscx", true},
		"ProCurve":               {"1.3.6.1.4.1.11.2.3.7.11.139", "HP J9775A 2530-48G Switch, revision YA.16.11.0014, ROM YA.15.20 (/ws/swbuildm/rel)) (Formerly ProCurve)", "hp_procurve", true},
		"ProCurve stack":         {"1.3.6.1.4.1.11.2.3.7.8.5.2", "HP Stack, revision KA.15.03.3004, ROM KA.15.05 (/sw/code/build/tam(KA_15_03))", "hp_procurve", true},
		"1810 is not":            {"1.3.6.1.4.1.11.2.3.7.11.151", "HP 1810-24G, PL.1.9, eCos-3.0, 1_12_8-customized-h", "", false},
		"a CBS switch":           {"1.3.6.1.4.1.9.6.1.1004.28.5", "CBS350-24P-4G 24-Port Gigabit PoE Managed Switch", "cisco_smb", true},
		"a Catalyst 1200":        {"1.3.6.1.4.1.9.1.3210", "Catalyst 1200 Series Smart Switch, 8-port GE, Desktop, Ext PS, PoE Input (C1200-8T-D)", "cisco_smb", true},
		"a Cisco access point":   {"1.3.6.1.4.1.9.6.1.32.321.1", "Linux 2.6.21.5-lvl7-dev, Cisco Systems, Inc WAP321 (WAP321-E-K9), Version 1.0.6.5", "", false},
		"RouterOS":               {"1.3.6.1.4.1.14988.1", "RouterOS RB4011iGS+", "mikrotik_routeros", true},
		"SwOS is not":            {"1.3.6.1.4.1.14988.2", "CSS326-24G-2S+ SwOS v2.18", "", false},
		"ASA":                    {"1.3.6.1.4.1.9.1.1194", "Cisco Adaptive Security Appliance Version 9.8(2)", "cisco_asa", true},
		"another number space":   {"1.3.6.1.4.1.9.12.3.1.3.1", "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 12.2", "", false},
		"NX-OS":                  {"1.3.6.1.4.1.9.12.3.1.3.1955", "Cisco NX-OS(tm) nxos.9.3.8.bin, Software (nxos), Version 9.3(8), RELEASE SOFTWARE Copyright (c) 2002-2021", "cisco_nxos", true},
		"NX-OS of a Nexus 6000":  {"1.3.6.1.4.1.9.12.3.1.3.1237", "Cisco NX-OS n6000, Software (n6000-uk9), Version 7.3(2)N1(1), RELEASE SOFTWARE", "cisco_nxos", true},
		"NX-OS with usage text":  {"1.3.6.1.4.1.9.12.3.1.3.2030", "Usage: sysdescr [options]", "cisco_nxos", true},
		"NX-OS of ciscoProducts": {"1.3.6.1.4.1.9.1.1216", "Cisco NX-OS(tm) n7000, Software (n7000-s1-dk9), Version 6.2(10), RELEASE SOFTWARE", "cisco_nxos", true},
		"SAN-OS is not":          {"1.3.6.1.4.1.9.12.3.1.3.587", "Cisco SAN-OS(tm) m9100, Software (m9100-s2ek9-mz), Version 3.3(2), RELEASE SOFTWARE (fc2)", "", false},
		"EOS":                    {"1.3.6.1.4.1.30065.1.3011.7050.3282.32", "Arista Networks EOS version 4.28.6.1M running on an Arista Networks DCS-7050QX-32S", "arista_eos", true},
		"EOS whatever it says":   {"1.3.6.1.4.1.30065.1.2759", "", "arista_eos", true},
		"Junos":                  {"1.3.6.1.4.1.2636.1.1.1.2.25", "Juniper Networks, Inc. mx480 internet router, kernel JUNOS 20.4R3-S2.6, Build date: 2022-01-01 00:00:00 UTC", "juniper_junos", true},
		"Junos, own description": {"1.3.6.1.4.1.2636.1.1.1.4.82.8", "core of the campus", "juniper_junos", true},
		"FortiGate":              {"1.3.6.1.4.1.12356.101.1.9001", "", "fortinet_fortios", true},
		"FortiManager":           {"1.3.6.1.4.1.12356.103.1.10006", "", "fortinet_fortimanager", true},
		"FortiGate, a prefix":    {"1.3.6.1.4.1.12356.101.10", "", "", false},
		"FRR says so":            {"1.3.6.1.4.1.8072.3.2.10", "FRRouting 8 on core1 (Debian)", "frr", false},
		"FRR under any number":   {"1.3.6.1.4.1.64512.1.7", "runs FRRouting", "frr", false},
		"Linux":                  {"1.3.6.1.4.1.8072.3.2.10", "Linux web1 6.1.0-26-amd64 #1 SMP Debian x86_64", "", false},
		"FreeBSD":                {"1.3.6.1.4.1.8072.3.2.8", "FreeBSD fw 14.0", "", false},
		"nothing at all":         {"0.0", "", "", false},
		"Cisco's text at 0.0":    {"0.0", "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 12.2", "", false},
		"Cisco's text at Linux":  {"1.3.6.1.4.1.8072.3.2.10", "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 12.2", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.Identify(snmp.System{ObjectID: tt.oid, Descr: tt.descr}, nil)
			got := ""
			if m.Platform != nil {
				got = m.Platform.Name
			}
			if got != tt.want || m.Certain != tt.certain || m.Reason == "" {
				t.Errorf("Identify() = %q, certain %t, %q; want %q, certain %t", got, m.Certain, m.Reason, tt.want, tt.certain)
			}
		})
	}
}

// What recorded agents say of themselves, and what devices answer to the proof.
func TestFixturesAreIdentified(t *testing.T) {
	s := definitions(t)
	for _, f := range fixtures(t) {
		for _, l := range f.lines("agents") {
			oid, descr, _ := strings.Cut(l, " ")
			descr = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(descr)
			m := s.Identify(snmp.System{ObjectID: oid, Descr: descr}, nil)
			if m.Platform == nil || m.Platform.Name != f.def.Name || !m.Certain {
				t.Errorf("%s: Identify(%q) = %+v", f.def.Name, l, m)
			}
		}
		f.each("proof", func(command, answer string) {
			m, err := s.Prove(t.Context(), &fakeTalker{answers: map[string]string{command: answer}})
			if err != nil || m.Platform == nil || m.Platform.Name != f.def.Name {
				t.Errorf("%s: Prove() = %+v, %v, where %q is answered", f.def.Name, m, err, command)
			}
		})
	}
}

// RouterOS has one sysObjectID for all: the version that the agent tells decides.
func TestRouterOSIsToldByItsVersion(t *testing.T) {
	s := definitions(t)
	for version, want := range map[string]string{"7.15.2": "mikrotik_routeros", "6.49.10": "mikrotik_routeros6", "": "mikrotik_routeros"} {
		values := map[string]string{}
		if version != "" {
			values["1.3.6.1.4.1.14988.1.1.4.4.0"] = version
		}
		if m := s.Identify(snmp.System{ObjectID: "1.3.6.1.4.1.14988.1", Descr: "RouterOS CHR"}, values); m.Platform == nil || m.Platform.Name != want {
			t.Errorf("version %q: %+v, want %s", version, m, want)
		}
	}
}

func acme(identify string, name string) string {
	s := strings.Replace(minimal, "  - sysObjectID: 1.3.6.1.4.1.99999.1", identify, 1)
	return strings.Replace(s, "acme_os", name, 1)
}

func TestLongestPrefixThenDescrThenValueWins(t *testing.T) {
	s, faults := Load(folder(map[string]string{
		"a.yaml": acme("  - sysObjectID: 1.3.6.1.4.1.99999", "acme_any"),
		"b.yaml": acme("  - sysObjectID: 1.3.6.1.4.1.99999.7", "acme_seven"),
		"c.yaml": acme("  - { sysObjectID: 1.3.6.1.4.1.99999.7, sysDescr: '^Fast' }", "acme_fast"),
		"d.yaml": acme("  - { sysObjectID: 1.3.6.1.4.1.99999.8, oid: 1.3.6.1.4.1.99999.9.1.0, value: '^v9' }", "acme_nine"),
		"e.yaml": acme("  - { oid: 'ENTITY-MIB::entPhysicalModelName.1', value: '^Box' }", "acme_box"),
		"f.yaml": acme("  - { sysObjectID: 1.3.6.1.4.1.99998 }", "twin_one"),
		"g.yaml": acme("  - { sysObjectID: 1.3.6.1.4.1.99998 }", "twin_two"),
	}))
	for _, f := range faults {
		t.Error(f)
	}
	asks := fmt.Sprint(s.Asks())
	for _, oid := range []string{"1.3.6.1.4.1.99999.9.1.0", "1.3.6.1.2.1.47.1.1.1.1.13.1"} {
		if !strings.Contains(asks, oid) {
			t.Errorf("Asks() = %s lacks %s", asks, oid)
		}
	}
	values := map[string]string{"1.3.6.1.4.1.99999.9.1.0": "v9.1"}
	for name, tt := range map[string]struct {
		oid, descr string
		values     map[string]string
		want       string
	}{
		"prefix":          {"1.3.6.1.4.1.99999.1.2", "", nil, "acme_any"},
		"longer prefix":   {"1.3.6.1.4.1.99999.7.2", "", nil, "acme_seven"},
		"with sysDescr":   {"1.3.6.1.4.1.99999.7.2", "Fast 9", nil, "acme_fast"},
		"with value":      {"1.3.6.1.4.1.99999.8.2", "", values, "acme_nine"},
		"without value":   {"1.3.6.1.4.1.99999.8.2", "", nil, "acme_any"},
		"value alone":     {"0.0", "", map[string]string{"1.3.6.1.2.1.47.1.1.1.1.13.1": "Box 3"}, "acme_box"},
		"two fit alike":   {"1.3.6.1.4.1.99998.1", "", nil, ""},
		"no whole number": {"1.3.6.1.4.1.999990.1", "", nil, ""},
	} {
		m := s.Identify(snmp.System{ObjectID: tt.oid, Descr: tt.descr}, tt.values)
		got := ""
		if m.Platform != nil {
			got = m.Platform.Name
		}
		if got != tt.want {
			t.Errorf("%s: Identify() = %q (%s), want %q", name, got, m.Reason, tt.want)
		}
	}
}

// fakeTalker answers commands from a table and rejects others; it notes all.
type fakeTalker struct {
	answers map[string]string
	fail    error
	sent    []string
}

func (f *fakeTalker) Run(_ context.Context, command string) (cli.Output, error) {
	f.sent = append(f.sent, command)
	if f.fail != nil {
		return cli.Output{}, f.fail
	}
	text, ok := f.answers[command]
	if !ok {
		return cli.Output{}, &collector.Error{Step: collector.StepCommand, Kind: collector.ErrCommandRejected}
	}
	return cli.Output{Text: []byte(text), ExitStatus: -1}, nil
}

func (f *fakeTalker) Exec(context.Context, string) (cli.Output, error) {
	return cli.Output{}, errors.New("a proof needs no exec request")
}

func (f *fakeTalker) File(context.Context, string) ([]byte, error) {
	return nil, errors.New("a proof needs no file")
}

const frrVersion = "FRRouting 8.4.4 (core1) on Linux(6.1.0-18-amd64).\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\n"

func TestPlatformIsProvedOverSSH(t *testing.T) {
	s := definitions(t)
	for name, tt := range map[string]struct {
		answers map[string]string
		want    string
	}{
		"vtysh":             {map[string]string{"show version": frrVersion}, "frr"},
		"bash with vtysh":   {map[string]string{"show version": "bash: show: command not found\n", "vtysh -c 'show version'": frrVersion}, "frr"},
		"bash without":      {map[string]string{"show version": "bash: show: command not found\n", "vtysh -c 'show version'": "bash: vtysh: command not found\n"}, ""},
		"FRR in a banner":   {map[string]string{"show version": "Welcome to FRRouting 8\n"}, ""},
		"IOS":               {map[string]string{"show version": "Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(7)E4, RELEASE SOFTWARE (fc2)\n"}, "cisco_ios"},
		"IOS-XE":            {map[string]string{"show version": "Cisco IOS XE Software, Version 17.09.04a\nCisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 17.9.4a, RELEASE SOFTWARE (fc3)\n"}, "cisco_iosxe"},
		"IOS-XE 3":          {map[string]string{"show version": "Cisco IOS Software, IOS-XE Software, Catalyst L3 Switch Software (CAT3K_CAA-UNIVERSALK9-M), Version 03.06.08E\n"}, "cisco_iosxe"},
		"AOS-CX":            {map[string]string{"show version": "-----------------\nArubaOS-CX\n(c) Copyright 2017-2023 Hewlett Packard Enterprise Development LP\n"}, "aruba_aoscx"},
		"ProCurve":          {map[string]string{"show version": "\nImage stamp:    /ws/swbuildm/rel_yakima_qaoff/code/build/lakes\n                Jul 31 2020 11:39:53\n                YA.16.04.0008\n"}, "hp_procurve"},
		"IOS XR":            {map[string]string{"show version": "Tue Nov 24 02:00:00.123 UTC\nCisco IOS XR Software, Version 7.4.1\nCopyright (c) 2013-2021 by Cisco Systems, Inc.\n"}, "cisco_iosxr"},
		"RouterOS":          {map[string]string{"/system resource print": "                   uptime: 14w1d19h\n                  version: 7.15.2 (stable)\n"}, "mikrotik_routeros"},
		"RouterOS 6":        {map[string]string{"/system resource print": "             uptime: 1w\n            version: 6.49.10 (long-term)\n"}, "mikrotik_routeros6"},
		"ASA":               {map[string]string{"show version": "\nCisco Adaptive Security Appliance Software Version 9.12(4)67 \nSSP Operating System Version 2.6(1.272)\n"}, "cisco_asa"},
		"NX-OS":             {map[string]string{"show version": "Cisco Nexus Operating System (NX-OS) Software\nHardware\n  cisco Nexus9300 C93180YC-FX3H Chassis \n"}, "cisco_nxos"},
		"EOS":               {map[string]string{"show version": "Arista DCS-7050SX3-48YC8\nHardware version:      11.02\n"}, "arista_eos"},
		"Junos":             {map[string]string{"show version": "Hostname: mx1\nModel: mx480\nJunos: 22.4R3-S2.11\n"}, "juniper_junos"},
		"FortiOS":           {map[string]string{"get system status": "Version: FortiGate-60F v7.4.4,build2662,240514 (GA.F)\n"}, "fortinet_fortios"},
		"OpenWrt":           {map[string]string{"cat /etc/os-release": "NAME=\"OpenWrt\"\nID=\"openwrt\"\n", "cat /etc/openwrt_release": "DISTRIB_ID='OpenWrt'\n"}, "openwrt"},
		"OPNsense":          {map[string]string{"cat /etc/os-release": "NAME=FreeBSD\nID=freebsd\n", "cat /usr/local/opnsense/version/core": "    \"product_name\": \"OPNsense\",\n"}, "opnsense"},
		"FreeBSD":           {map[string]string{"cat /etc/os-release": "NAME=FreeBSD\nVERSION=\"14.1-RELEASE-p5\"\nID=freebsd\n"}, "freebsd"},
		"Debian":            {map[string]string{"cat /etc/os-release": "NAME=\"Debian GNU/Linux\"\nID=debian\n"}, "linux_host"},
		"nothing we know":   {map[string]string{"show version": "AcmeOS 1\n"}, ""},
		"everything denied": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeTalker{answers: tt.answers}
			m, err := s.Prove(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if m.Platform != nil {
				got = m.Platform.Name
			}
			if got != tt.want || m.Reason == "" || m.Certain != (tt.want != "") {
				t.Errorf("Prove() = %q, certain %t (%s), want %q", got, m.Certain, m.Reason, tt.want)
			}
			seen := map[string]bool{}
			for _, c := range f.sent {
				if seen[c] || !Allowed(c) {
					t.Errorf("%q was sent twice or is not allowed: %q", c, f.sent)
				}
				seen[c] = true
			}
		})
	}
}

func TestProofEndsWithTheSession(t *testing.T) {
	f := &fakeTalker{fail: &collector.Error{Step: collector.StepOutput, Kind: collector.ErrClosed}}
	m, err := definitions(t).Prove(t.Context(), f)
	if !errors.Is(err, collector.ErrClosed) || m.Platform != nil || len(f.sent) != 1 {
		t.Errorf("Prove() = %v, %v after %q", m, err, f.sent)
	}
}

func TestProbeDialogueTakesEveryPromptAndAssumesNothing(t *testing.T) {
	d := definitions(t).ProbeDialogue()
	if d.Exit != "" || len(d.Paging) > 0 || d.Enable.When != nil {
		t.Errorf("it would send something: %+v", d)
	}
	for _, q := range d.Login {
		if q.Send != "" {
			t.Errorf("it would answer %q", q.Send)
		}
	}
	for _, f := range fixtures(t) {
		for _, p := range f.lines("prompts") {
			if !d.Prompt.MatchString(p) {
				t.Errorf("%s: %q is no prompt", f.def.Name, p)
			}
		}
		for _, p := range f.lines("pagers") {
			if !d.Pager.MatchString(p) {
				t.Errorf("%s: %q is no pager", f.def.Name, p)
			}
		}
	}
	for _, p := range []string{"[admin@MikroTik] > ", "<sw1>", "backup@host1:~$ ", "bird> ", "RP/0/RSP0/CPU0:asr9k#", "$ ", "# "} {
		if !d.Prompt.MatchString(p) {
			t.Errorf("%q is no prompt", p)
		}
	}
	for _, p := range []string{"", "dist1# configure terminal", "Password:", "Last maintainer wrote:", "a --More-- is no pager here"} {
		if d.Prompt.MatchString(p) || d.Pager.MatchString(p) {
			t.Errorf("%q is a prompt or a pager", p)
		}
	}
}

func TestDialogueTakesItsPromptsOnly(t *testing.T) {
	for _, f := range fixtures(t) {
		d := f.def.Dialogue()
		for _, p := range f.lines("prompts") {
			if !d.Prompt.MatchString(p) {
				t.Errorf("%s: %q is no prompt", f.def.Name, p)
			}
		}
		for _, p := range f.lines("no-prompts") {
			if d.Prompt.MatchString(p) {
				t.Errorf("%s: %q is a prompt", f.def.Name, p)
			}
		}
		for _, p := range f.lines("pagers") {
			if d.Pager == nil || !d.Pager.MatchString(p) {
				t.Errorf("%s: %q is no pager", f.def.Name, p)
			}
		}
		for _, l := range f.def.rules.syntax.lines(f.running()) {
			if b := l.of(f.running()); !l.inside && d.Prompt.Match(b) { // a banner may say anything
				t.Errorf("%s: the line %q of its config looks like a prompt", f.def.Name, b)
			}
		}
	}
}

func TestWhoseShellAsksForALogin(t *testing.T) {
	for _, d := range definitions(t).All() {
		if got, want := d.Dialogue().AsksLogin, d.Name == "cisco_aireos" || d.Name == "cisco_smb"; got != want {
			t.Errorf("%s: asks in the shell: %t, want %t", d.Name, got, want)
		}
	}
}

func TestLineEndIsTheDialogues(t *testing.T) {
	s := definitions(t)
	for name, want := range map[string]string{"digi_transport": "\r", "cisco_ios": ""} {
		d, _ := s.ByName(name)
		if got := d.Dialogue().Enter; got != want {
			t.Errorf("%s: a line ends with %q, want %q", name, got, want)
		}
	}
}

// Where a fixture has messages, each pattern that waits for one has a sample, and
// each sample is known for what it is.
func TestEveryMessageIsKnown(t *testing.T) {
	for _, f := range fixtures(t) {
		samples := map[string][]string{}
		for _, l := range f.lines("messages") {
			kind, text, _ := strings.Cut(l, " ")
			samples[kind] = append(samples[kind], strings.ReplaceAll(text, `\n`, "\n"))
		}
		if len(samples) == 0 {
			continue
		}
		d := f.def.Dialogue()
		patterns := map[string][]*regexp.Regexp{
			"command": d.Errors.Command, "denied": d.Errors.Denied, "busy": d.Errors.Busy, "noise": d.Errors.Noise, "fails": d.Enable.Fails,
		}
		for _, q := range d.Login {
			patterns["question"] = append(patterns["question"], q.When)
		}
		for kind, texts := range samples {
			for _, text := range texts {
				if !slices.ContainsFunc(patterns[kind], func(re *regexp.Regexp) bool { return re.MatchString(text) }) {
					t.Errorf("%s: no pattern of %s knows %q", f.def.Name, kind, text)
				}
			}
		}
		for kind, list := range patterns {
			for _, re := range list {
				if !slices.ContainsFunc(samples[kind], re.MatchString) {
					t.Errorf("%s: no sample of %s for %s", f.def.Name, kind, re)
				}
			}
		}
	}
}

func TestCommandsListsAllThatMayBeSent(t *testing.T) {
	d, _ := definitions(t).ByName("frr")
	got := strings.Join(d.Commands(), "\n")
	for _, want := range []string{"show running-config", "show daemons", "file /etc/frr/frr.conf", "terminal length 0", "vtysh -c 'show version'", "exit", "at a pager"} {
		if !strings.Contains(got, want) {
			t.Errorf("Commands() lacks %q:\n%s", want, got)
		}
	}
}
