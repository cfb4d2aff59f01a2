package inventory

import (
	"testing"

	"muster/collector/snmp"
	"muster/inventory/platform"
)

func TestDescriptionTellsModelVersionAndSerial(t *testing.T) {
	tests := map[string]struct {
		descr string
		want  described
	}{
		"a labelled version":        {"Example OS Software, ES-48 Software, Version 7.2.1-RP3, built 2025/03/28", described{version: "7.2.1-RP3"}},
		"not the hardware's":        {"ES2800 (R) Software, Hw Version 1.0, SW V3.15.70_4 and more words than are few", described{version: "V3.15.70_4"}},
		"nor the boot loader's":     {"ES-3400 Device, Compiled Jun 17 2013  BootRom Version 4.30.8  SoftWare Version 6.2.201.11", described{version: "6.2.201.11"}},
		"model, version and kernel": {"ES-5110F System - 10XE, 5.20.0316RU6, Linux 4.14.174", described{model: "ES-5110F System - 10XE", version: "5.20.0316RU6"}},
		"a name and its version":    {"CSS-326-24G SwOS v2.18", described{model: "CSS-326-24G SwOS", version: "2.18"}},
		"with its label":            {"ES-5106SFP+ Version 1.00.07", described{model: "ES-5106SFP+", version: "1.00.07"}},
		"a name alone":              {"USG FLEX 100H", described{model: "USG FLEX 100H"}},
		"no name":                   {"24-port 10/100/1000 Gigabit Switch", described{}},
		"no digit, no model":        {"Power Management Card", described{}},
		"a long revision":           {"Example Networks, Inc. G3G124-24P Rev 06.03.08.0012", described{version: "06.03.08.0012"}},
		"a short one":               {"Example 9450g Rev.00.69 10/100/1000BASE Ethernet PrintServer", described{}},
		"a serial":                  {"Router model RS123w-4G S/N: RN9380272  SWL: BASE  Example  (c)1996 - 2019", described{serial: "RN9380272"}},
		"no serial":                 {"SN:PDU Metered PN:Device Model:P42D04M", described{}},
		"a host":                    {"Linux sw1 4.9.0-8-amd64 #1 SMP Debian 4.9.110-3+deb9u4 (2018-08-21) x86_64", described{}},
		"nothing":                   {"", described{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := readDescr(tt.descr); got != tt.want {
				t.Errorf("%q tells %+v, want %+v", tt.descr, got, tt.want)
			}
		})
	}
}

func TestStandardFactsFillOnlyWhatIsMissing(t *testing.T) {
	chassis := snmp.Component{Index: 7, Class: "chassis", Model: "ES-48", Serial: "SN12345678"}
	card := snmp.Component{Index: 8, Parent: 7, Class: "module", Software: "7.1.2"}
	descr := snmp.System{Descr: "USG FLEX 100H", Name: "fw1"}
	tests := map[string]struct {
		have []platform.Fact
		r    snmp.Reading
		want map[string]string
	}{
		"the chassis, and the one revision": {nil, snmp.Reading{Components: []snmp.Component{chassis, card}},
			map[string]string{"model": "ES-48", "serial": "SN12345678", "version": "7.1.2"}},
		"what a definition knows better": {[]platform.Fact{{Name: "model", Value: "better"}}, snmp.Reading{Components: []snmp.Component{chassis}},
			map[string]string{"serial": "SN12345678"}},
		"no revision where they differ": {nil, snmp.Reading{Components: []snmp.Component{chassis, card, {Index: 9, Parent: 8, Software: "A1"}}},
			map[string]string{"model": "ES-48", "serial": "SN12345678"}},
		"no class told": {nil, snmp.Reading{Components: []snmp.Component{{Index: 1, Model: "ES-8", Serial: "SN87654321"}}},
			map[string]string{"model": "ES-8", "serial": "SN87654321"}},
		"sysDescr":                   {nil, snmp.Reading{System: descr}, map[string]string{"model": "USG FLEX 100H"}},
		"the name that a person set": {nil, snmp.Reading{System: snmp.System{Descr: "HQ-AP02", Name: "HQ-AP02"}}, map[string]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := standardFacts(tt.have, tt.r)
			if len(got) != len(tt.want) {
				t.Errorf("facts are %+v, want %v", got, tt.want)
			}
			for _, f := range got {
				if tt.want[f.Name] != f.Value || f.Source == "" {
					t.Errorf("fact %+v, want %q and its source", f, tt.want[f.Name])
				}
			}
		})
	}
}

func TestVendorIsWhoHoldsTheEnterpriseNumber(t *testing.T) {
	for oid, want := range map[string]string{
		"1.3.6.1.4.1.25506.1.1": "H3C", "1.3.6.1.4.1.9": "Cisco", "1.3.6.1.4.1.8072.3.2.10": "", "1.3.6.1.4.1": "", "0.0": "", "": "",
	} {
		if got := vendorOf(oid); got != want {
			t.Errorf("vendorOf(%q) = %q, want %q", oid, got, want)
		}
	}
}
