package platform

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
	"muster/collector/snmp"
)

// fakeAgent answers cells by OID and columns by prefix; a nil one fails.
type fakeAgent struct {
	cells   map[string]string
	columns map[string]map[string]string
	fail    error
}

func (a fakeAgent) Get(_ context.Context, oids ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, o := range oids {
		if v, ok := a.cells[o]; ok {
			out[o] = v
		}
	}
	return out, a.fail
}

func (a fakeAgent) Column(_ context.Context, oid string) (map[string]string, error) {
	return a.columns[oid], a.fail
}

const (
	entClass  = "1.3.6.1.2.1.47.1.1.1.1.5"
	entSerial = "1.3.6.1.2.1.47.1.1.1.1.11"
	entModel  = "1.3.6.1.2.1.47.1.1.1.1.13"
)

func TestFactsOfEachPlatform(t *testing.T) {
	s := definitions(t)
	for name, tt := range map[string]struct {
		platform string
		sys      snmp.System
		agent    fakeAgent
		want     map[string]string
	}{
		"a stack of two": {
			"cisco_iosxe",
			snmp.System{Descr: "Cisco IOS Software [Dublin], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 17.12.4, RELEASE SOFTWARE (fc4)"},
			fakeAgent{columns: map[string]map[string]string{
				entClass:  {"1": "11", "1000": "3", "2000": "3", "1001": "9", "10000": "3"},
				entSerial: {"1": "", "1000": "FOC1111AAAA", "2000": "FOC2222BBBB", "1001": "PSU3", "10000": "FOC1111AAAA"},
				entModel:  {"1": "c93xx Stack", "1000": "C9300-48P ", "2000": "C9300-24P", "1001": "PWR"},
			}},
			map[string]string{"model": "C9300-48P", "version": "17.12.4", "serial": "FOC1111AAAA", "serials": "FOC1111AAAA,FOC2222BBBB"},
		},
		"a view without classes": {
			"cisco_ios",
			snmp.System{},
			fakeAgent{columns: map[string]map[string]string{entSerial: {"1001": "FOC1111AAAA", "1002": "PSU1"}, entModel: {"1001": "", "1002": "PWR"}}},
			map[string]string{"serial": "FOC1111AAAA", "serials": "FOC1111AAAA"},
		},
		"an old image without serials": {
			"cisco_ios",
			snmp.System{Descr: "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 12.2(55)SE7, RELEASE SOFTWARE (fc1)"},
			fakeAgent{},
			map[string]string{"model": "C2960", "version": "12.2(55)SE7"},
		},
		"an EOS leaf": {
			"arista_eos",
			snmp.System{Descr: "Arista Networks EOS version 4.28.6.1M running on an Arista Networks DCS-7050QX-32S"},
			fakeAgent{cells: map[string]string{entSerial + ".1": "JPE11112222"}, columns: map[string]map[string]string{entClass: {"1": "3"}, entModel: {"1": "DCS-7050QX-32S"}}},
			map[string]string{"model": "DCS-7050QX-32S", "version": "4.28.6.1M", "serial": "JPE11112222"},
		},
		"a pfSense that does not tell its host name": {
			"pfsense", snmp.System{Descr: "pfSense 2.3.2-RELEASE pfSense FreeBSD 10.3-RELEASE-p5 amd64"}, fakeAgent{}, map[string]string{"version": "2.3.2-RELEASE"},
		},
		"a ZXR10 with the version of its ROS": {
			"zte_zxr10",
			snmp.System{Descr: "ZXR10 ROS Version V4.08.23 ZXR10_5928 Software, Version ZXR10 5900 V2.8.23.A.19.P02 Copyright (c) 2000-2011 by ZTE Corporation"},
			fakeAgent{}, map[string]string{"model": "5928", "version": "V2.8.23.A.19.P02"},
		},
		"a virtual EOS": {
			"arista_eos",
			snmp.System{Descr: "Arista Networks EOS version 4.32.0F running on an Arista vEOS-lab"},
			fakeAgent{cells: map[string]string{entSerial + ".1": "N/A"}},
			map[string]string{"model": "vEOS-lab", "version": "4.32.0F"},
		},
		"a Junos virtual chassis": {
			"juniper_junos",
			snmp.System{Descr: "Juniper Networks, Inc. ex4200-48p internet router, kernel JUNOS 11.4R1.6 #0: 2011-11-15 11:14:01 UTC"},
			fakeAgent{
				cells:   map[string]string{"1.3.6.1.4.1.2636.3.1.2.0": "Virtual Chassis Ethernet Switch", "1.3.6.1.4.1.2636.3.1.3.0": "BM0011112222"},
				columns: map[string]map[string]string{"1.3.6.1.4.1.2636.3.40.1.4.1.1.1.2": {"0": "BM0011112222", "1": "BM0033334444"}},
			},
			map[string]string{"model": "ex4200-48p", "version": "11.4R1.6", "serial": "BM0011112222", "serials": "BM0011112222,BM0033334444"},
		},
		"a Junos router": {
			"juniper_junos",
			snmp.System{Descr: "core router"},
			fakeAgent{cells: map[string]string{"1.3.6.1.4.1.2636.3.1.2.0": "Juniper MX480 Internet Backbone Router", "1.3.6.1.4.1.2636.3.1.3.0": "JN1111AAAA"},
				columns: map[string]map[string]string{"1.3.6.1.2.1.25.6.3.1.2": {"1": "Online Documentation [x]", "2": "JUNOS Software Release [12.1X46-D86]"}}},
			map[string]string{"model": "Juniper MX480 Internet Backbone Router", "version": "12.1X46-D86", "serial": "JN1111AAAA"},
		},
		"a virtual chassis with words of its own for sysDescr": {
			"juniper_junos",
			snmp.System{Descr: "access stack"},
			fakeAgent{columns: map[string]map[string]string{"1.3.6.1.4.1.2636.3.40.1.4.1.1.1.5": {"0": "20.2R3.9", "1": "20.2R3.9"}}},
			map[string]string{"version": "20.2R3.9"},
		},
		"a Nexus with a fabric extender": {
			"cisco_nxos",
			snmp.System{Descr: "Cisco NX-OS(tm) n9000, Software (n9000-dk9), Version 7.0(3)I7(6), RELEASE SOFTWARE Copyright (c) 2002-2019"},
			fakeAgent{
				cells: map[string]string{entSerial + ".149": "FDO11112222", entModel + ".149": "N9K-C93180YC-EX"},
				columns: map[string]map[string]string{
					entClass:  {"22": "9", "149": "3", "300000003": "3"},
					entSerial: {"149": "FDO11112222", "300000003": "FOX33334444"},
				},
			},
			map[string]string{"model": "N9K-C93180YC-EX", "version": "7.0(3)I7(6)", "serial": "FDO11112222"},
		},
		"an ASA": {
			"cisco_asa",
			snmp.System{Descr: "Cisco Adaptive Security Appliance Version 9.16(4)"},
			fakeAgent{columns: map[string]map[string]string{
				entClass: {"1": "3", "2": "6"}, entSerial: {"1": "JMX11112222", "2": "PSU1"}, entModel: {"1": "ASA5516", "2": "PWR"},
			}},
			map[string]string{"model": "ASA5516", "version": "9.16(4)", "serial": "JMX11112222"},
		},
		"a RouterBOARD": {
			"mikrotik_routeros",
			snmp.System{Descr: "RouterOS RB4011iGS+"},
			fakeAgent{cells: map[string]string{"1.3.6.1.4.1.14988.1.1.4.4.0": "7.15.2", "1.3.6.1.4.1.14988.1.1.7.3.0": "HE611112222"}},
			map[string]string{"model": "RB4011iGS+", "version": "7.15.2", "serial": "HE611112222"},
		},
		"an AOS-CX switch": {
			"aruba_aoscx",
			snmp.System{Descr: "HPE ANW JL658A 6300M 24SFP+ 4SFP56 Swch FL.10.16.1006"},
			fakeAgent{columns: map[string]map[string]string{entClass: {"1": "3", "2": "3"}, entSerial: {"1": "SG11AAAA", "2": "SG22BBBB"}}},
			map[string]string{"model": "JL658A", "version": "FL.10.16.1006", "serial": "SG11AAAA", "serials": "SG11AAAA,SG22BBBB"},
		},
		"an AOS-CX stack that has no serial of its own": {
			"aruba_aoscx",
			snmp.System{Descr: "Aruba JL658A 6300M 24SFP+ 4SFP56 Swch FL.10.07.0010"},
			fakeAgent{columns: map[string]map[string]string{entClass: {"1": "3"}, entSerial: {"1": ""},
				"1.3.6.1.4.1.47196.4.1.1.3.15.1.2.1.7": {"1": "SG11AAAA", "2": "SG22BBBB"}}},
			map[string]string{"model": "JL658A", "version": "FL.10.07.0010", "serial": "SG11AAAA", "serials": "SG11AAAA,SG22BBBB"},
		},
		"a ProCurve switch": {
			"hp_procurve",
			snmp.System{Descr: "HP J9146A E2910al-24G-PoE Switch, revision W.15.08.0012, ROM W.14.06 (/ws/swbuildm/x)"},
			fakeAgent{cells: map[string]string{"1.3.6.1.4.1.11.2.36.1.1.2.9.0": "SG11AAAA00   "}},
			map[string]string{"model": "J9146A", "version": "W.15.08.0012", "serial": "SG11AAAA00"},
		},
		"an IOS XR router": {
			"cisco_iosxr",
			snmp.System{Descr: "Cisco IOS XR Software (Cisco ASR9K Series),  Version 5.3.4[Default]\r\nCopyright (c) 2017"},
			fakeAgent{columns: map[string]map[string]string{entClass: {"8384513": "3", "8384518": "9"}, entSerial: {"8384513": "FOC1111AAAA", "8384518": "SAD2"}}},
			map[string]string{"model": "ASR9K", "version": "5.3.4", "serial": "FOC1111AAAA"},
		},
		"a Catalyst 1200": {
			"cisco_smb",
			snmp.System{Descr: "Catalyst 1200 Series Smart Switch, 8-port GE, Desktop, Ext PS, PoE Input (C1200-8T-D)"},
			fakeAgent{columns: map[string]map[string]string{
				entClass: {"67109120": "3"}, entSerial: {"67109120": "PSZ1111AAAA"}, "1.3.6.1.2.1.47.1.1.1.1.10": {"67109120": "4.1.6.53"},
			}},
			map[string]string{"model": "C1200-8T-D", "version": "4.1.6.53", "serial": "PSZ1111AAAA", "serials": "PSZ1111AAAA"},
		},
		"a Cisco CBS without ENTITY-MIB": {
			"cisco_smb",
			snmp.System{ObjectID: "1.3.6.1.4.1.9.6.1.1005.24.5", Descr: "CBS250-24P-4X 24-Port Gigabit PoE Smart Switch with 10G Uplinks"},
			fakeAgent{columns: map[string]map[string]string{
				"1.3.6.1.4.1.9.6.1.101.53.14.1.2": {"1": "3.3.0.16"}, "1.3.6.1.4.1.9.6.1.101.53.14.1.5": {"1": "PSZ1111AAAB", "2": "PSZ1111AAAC"},
				"1.3.6.1.4.1.9.6.1.101.53.14.1.11": {"1": "CBS250-24P-4X"},
			}},
			map[string]string{"model": "CBS250-24P-4X", "version": "3.3.0.16", "serial": "PSZ1111AAAB", "serials": "PSZ1111AAAB,PSZ1111AAAC"},
		},
		"a FortiGate pair": {
			"fortinet_fortios",
			snmp.System{},
			fakeAgent{
				cells: map[string]string{
					entModel + ".1": "FGT_60F", "1.3.6.1.4.1.12356.101.4.1.1.0": "v7.2.5,build1517,230606", "1.3.6.1.4.1.12356.100.1.1.1.0": "FGT60F0000000001",
				},
				columns: map[string]map[string]string{"1.3.6.1.4.1.12356.101.13.2.1.1.2": {"2": "FGT60F0000000002", "1": "FGT60F0000000001"}},
			},
			map[string]string{"model": "FGT_60F", "version": "7.2.5", "serial": "FGT60F0000000001", "ha_serials": "FGT60F0000000001,FGT60F0000000002"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := s.ByName(tt.platform)
			facts, err := d.Facts(t.Context(), tt.agent, tt.sys)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, f := range facts {
				got[f.Name] = f.Value
				if f.Source == "" {
					t.Errorf("%s has no source", f.Name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Facts() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFactsNameTheCellTheyCameFrom(t *testing.T) {
	d, _ := definitions(t).ByName("cisco_ios")
	facts, _ := d.Facts(t.Context(), fakeAgent{columns: map[string]map[string]string{entClass: {"1001": "3"}, entSerial: {"1001": "FOC1"}}}, snmp.System{})
	want := []Fact{
		{Name: "serial", Value: "FOC1", Source: "ENTITY-MIB::entPhysicalSerialNum.1001"},
		{Name: "serials", Value: "FOC1", Source: "ENTITY-MIB::entPhysicalSerialNum"},
	}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Error(diff)
	}
}

// An agent that withholds a table is passed over; a session that is over ends it.
func TestFactsGoOnWithoutATable(t *testing.T) {
	d, _ := definitions(t).ByName("cisco_ios")
	sys := snmp.System{Descr: "Cisco IOS Software, C2960 Software (C), Version 12.2(55)SE7, RELEASE"}
	facts, err := d.Facts(t.Context(), fakeAgent{fail: &collector.Error{Kind: collector.ErrIncomplete}}, sys)
	if err != nil || len(facts) != 2 {
		t.Errorf("Facts() = %v, %v", facts, err)
	}
	if _, err := d.Facts(t.Context(), fakeAgent{fail: &collector.Error{Kind: collector.ErrTimedOut}}, sys); !errors.Is(err, collector.ErrTimedOut) {
		t.Errorf("Facts() after a timeout: %v", err)
	}
	if _, err := d.Facts(t.Context(), fakeAgent{fail: context.Canceled}, sys); !errors.Is(err, context.Canceled) {
		t.Errorf("Facts() after a stop: %v", err)
	}
}

func TestFactsOfTheAgentsOfFixtures(t *testing.T) {
	for _, f := range fixtures(t) {
		f.each("agent", func(name, data string) {
			head, rest, _ := strings.Cut(data, "\n")
			oid, descr, _ := strings.Cut(head, " ")
			sys := snmp.System{ObjectID: oid, Descr: strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(descr)}
			want, ask := map[string]string{}, rows{}
			for l := range strings.Lines(rest) {
				key, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
				if key == "fact" {
					key, value, _ = strings.Cut(value, " ")
					want[key] = value
				} else {
					ask[key] = value
				}
			}
			if m := definitions(t).Identify(sys, nil); m.Platform == nil || m.Platform.Name != f.def.Name || !m.Certain {
				t.Errorf("%s/%s: Identify() = %+v", f.def.Name, name, m)
			}
			facts, err := f.def.Facts(t.Context(), ask, sys)
			got := map[string]string{}
			for _, x := range facts {
				got[x.Name] = x.Value
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s/%s: %v %s", f.def.Name, name, err, diff)
			}
		})
	}
}

// rows is an agent that answers OIDs from a table.
type rows map[string]string

func (r rows) Get(_ context.Context, oids ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, oid := range oids {
		if v, ok := r[oid]; ok {
			out[oid] = v
		}
	}
	return out, nil
}

func (r rows) Column(_ context.Context, oid string) (map[string]string, error) {
	out := map[string]string{}
	for k, v := range r {
		if idx, ok := strings.CutPrefix(k, oid+"."); ok {
			out[idx] = v
		}
	}
	return out, nil
}

func TestAnonymousValuesAreNoFacts(t *testing.T) {
	for _, v := range []string{"", " ", "0", "N/A", "n/a", "Not Specified", "unknown", "None", "00000000", "--", "BUILTIN", "To be filled by O.E.M.", "\x00\x00"} {
		if got := Telling(v); got != "" {
			t.Errorf("Telling(%q) = %q", v, got)
		}
	}
	if got := Telling(" FOC1111AAAA\x00"); got != "FOC1111AAAA" {
		t.Errorf("Telling() = %q", got)
	}
}

func TestFactsFromTexts(t *testing.T) {
	for _, f := range fixtures(t) {
		got := map[string]string{}
		for _, x := range f.def.TextFacts(f.parts) {
			got[x.Name] = x.Value
		}
		want := map[string]string{}
		for _, l := range f.lines("facts") {
			name, value, _ := strings.Cut(l, " ")
			want[name] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", f.def.Name, diff)
		}
	}
}
