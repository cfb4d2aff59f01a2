package platform

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
	"muster/collector/snmp"
)

const vendorsForTest = `vendors:
  - sysObjectID: 1.3.6.1.4.1.99.7
    facts:
      model: [ { below: '1.2.0', match: '^([A-Z]+-\w+)$' } ]
      version: [ { below: '1.4.0' }, { scalar: 1.3.6.1.4.1.99.1.0 } ]
  - sysObjectID: [ 1.3.6.1.4.1.98, 1.3.6.1.4.1.99 ]
    sysDescr: '^Box'
    facts:
      version: [ { scalar: 1.3.6.1.4.1.99.2.0 } ]
      serial: [ { scalar: 1.3.6.1.4.1.99.3.0 } ]
  - facts:
      serial: [ { scalar: 1.3.6.1.4.1.97.3.0 } ]
`

// counted counts the questions for single objects that were not asked before.
type counted struct {
	fakeAgent
	asked map[string]bool
	gets  int
}

func (c *counted) Get(ctx context.Context, oids ...string) (map[string]string, error) {
	fresh := false
	for _, o := range oids {
		fresh = fresh || !c.asked[o]
		c.asked[o] = true
	}
	if fresh {
		c.gets++
	}
	return c.fakeAgent.Get(ctx, oids...)
}

func TestVendorFacts(t *testing.T) {
	all, faults := loadVendors("test.yaml", []byte(vendorsForTest))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for name, tt := range map[string]struct {
		sys   snmp.System
		known []Fact
		cells map[string]string
		want  []Fact
		gets  int
	}{
		"below the model's own number": {
			sys:   snmp.System{ObjectID: ".1.3.6.1.4.1.99.7.142", Descr: "switch"},
			cells: map[string]string{"1.3.6.1.4.1.99.7.142.1.2.0": "EDS-528E", "1.3.6.1.4.1.99.7.142.1.4.0": "V6.4"},
			want: []Fact{{Name: "model", Value: "EDS-528E", Source: "1.3.6.1.4.1.99.7.142.1.2.0"},
				{Name: "version", Value: "V6.4", Source: "1.3.6.1.4.1.99.7.142.1.4.0"}},
			gets: 1,
		},
		"the next source, and the next entry that fits": {
			sys:   snmp.System{ObjectID: "1.3.6.1.4.1.99.7", Descr: "Box 1"},
			cells: map[string]string{"1.3.6.1.4.1.99.7.1.2.0": "24", "1.3.6.1.4.1.99.2.0": "2.1", "1.3.6.1.4.1.99.3.0": "S1", "1.3.6.1.4.1.97.3.0": "S2"},
			want: []Fact{{Name: "version", Value: "2.1", Source: "1.3.6.1.4.1.99.2.0"},
				{Name: "serial", Value: "S1", Source: "1.3.6.1.4.1.99.3.0"}},
			gets: 1,
		},
		"a number is no prefix of a longer one": {
			sys:   snmp.System{ObjectID: "1.3.6.1.4.1.99.70", Descr: "switch"},
			cells: map[string]string{"1.3.6.1.4.1.99.70.1.2.0": "EDS-528E", "1.3.6.1.4.1.99.3.0": "S1"},
			gets:  1, // what may be anywhere
		},
		"what is known is not asked": {
			sys: snmp.System{ObjectID: "1.3.6.1.4.1.99.7", Descr: "Box 1"},
			known: []Fact{{Name: "model", Value: "M"}, {Name: "version", Value: "1"},
				{Name: "serial", Value: "S"}},
			cells: map[string]string{"1.3.6.1.4.1.99.2.0": "2.1"},
		},
		"no number of a vendor": {
			sys:   snmp.System{ObjectID: "0.0", Descr: "Box 1"},
			cells: map[string]string{"1.3.6.1.4.1.97.3.0": "S2"},
			want:  []Fact{{Name: "serial", Value: "S2", Source: "1.3.6.1.4.1.97.3.0"}},
			gets:  1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			agent := &counted{fakeAgent: fakeAgent{cells: tt.cells}, asked: map[string]bool{}}
			got, err := vendorFacts(context.Background(), all, agent, tt.sys, tt.known)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("facts (-want +got), %v:\n%s", err, diff)
			}
			if agent.gets != tt.gets {
				t.Errorf("%d questions, want %d", agent.gets, tt.gets)
			}
		})
	}

	t.Run("an agent that refuses, and one that is gone", func(t *testing.T) {
		sys := snmp.System{ObjectID: "1.3.6.1.4.1.99.7", Descr: "Box 1"}
		refuses := fakeAgent{fail: &collector.Error{Kind: collector.ErrRightsMissing}}
		if got, err := vendorFacts(context.Background(), all, refuses, sys, nil); err != nil || len(got) > 0 {
			t.Errorf("%v, %v; want nothing", got, err)
		}
		gone := fakeAgent{fail: collector.ErrTimedOut}
		if _, err := vendorFacts(context.Background(), all, gone, sys, nil); !errors.Is(err, collector.ErrTimedOut) {
			t.Errorf("%v, want timed out", err)
		}
	})
}

func TestVendorFileIsWhole(t *testing.T) {
	all, faults := loadVendors("vendors.yaml", vendorFile)
	for _, f := range faults {
		t.Error(f)
	}
	if len(all) == 0 {
		t.Error("no vendor")
	}
}

// What the file says of some devices, in the vendors' own forms.
func TestVendorFile(t *testing.T) {
	for name, tt := range map[string]struct {
		sys     snmp.System
		cells   map[string]string
		columns map[string]map[string]string
		want    map[string]string
	}{
		"FortiSwitch": {
			sys:   snmp.System{ObjectID: "1.3.6.1.4.1.12356.106.1.1241"},
			cells: map[string]string{"1.3.6.1.4.1.12356.106.4.1.1.0": "FortiSwitch-124F-POE v7.2.5,build0453,230606 (GA)", "1.3.6.1.4.1.12356.100.1.1.1.0": "S124FPTF22000001"},
			want:  map[string]string{"model": "FortiSwitch-124F-POE", "version": "7.2.5", "serial": "S124FPTF22000001"},
		},
		"Moxa, a MIB for each model": {
			sys:   snmp.System{ObjectID: "1.3.6.1.4.1.8691.7.69", Descr: "EDS-408A"},
			cells: map[string]string{"1.3.6.1.4.1.8691.7.69.1.4.0": "V3.11 build 22110118", "1.3.6.1.4.1.8691.7.69.1.78.0": "TBZZZ0000001"},
			want:  map[string]string{"version": "V3.11 build 22110118", "serial": "TBZZZ0000001"},
		},
		"a NAS behind net-snmp": {
			sys:   snmp.System{ObjectID: "1.3.6.1.4.1.8072.3.2.10", Descr: "Linux nas1 4.4.302+ #42962 SMP x86_64"},
			cells: map[string]string{"1.3.6.1.4.1.6574.1.5.1.0": "DS920+", "1.3.6.1.4.1.6574.1.5.2.0": "2040SBR000001", "1.3.6.1.4.1.6574.1.5.3.0": "DSM 7.2-64570"},
			want:  map[string]string{"model": "DS920+", "version": "DSM 7.2-64570", "serial": "2040SBR000001"},
		},
		"a management processor, by its table": {
			sys:     snmp.System{ObjectID: "1.3.6.1.4.1.9.1.2180", Descr: "Cisco Integrated Management Controller(Cisco IMC) [UCS C240 M5], Firmware Version 4.1"},
			columns: map[string]map[string]string{"1.3.6.1.4.1.9.9.719.1.9.35.1.32": {"1": "UCSC-C240-M5SX"}},
			want:    map[string]string{"model": "UCSC-C240-M5SX"},
		},
		"a description alone": {
			sys:  snmp.System{ObjectID: "1.3.6.1.4.1.5624.2.1.140", Descr: "Extreme Networks, Inc. B5G124-24 Rev 06.81.02.0007"},
			want: map[string]string{"model": "B5G124-24"},
		},
		"a printer": {
			sys:   snmp.System{ObjectID: "1.3.6.1.4.1.2435.2.3.9.1", Descr: "NC-8300h"},
			cells: map[string]string{"1.3.6.1.2.1.25.3.2.1.3.1": "Brother HL-L5100DN", "1.3.6.1.2.1.43.5.1.1.17.1": "E00000A1B000001"},
			want:  map[string]string{"model": "Brother HL-L5100DN", "serial": "E00000A1B000001"},
		},
		"a UPS of nobody's": {
			sys:   snmp.System{ObjectID: "1.3.6.1.2.1.33"},
			cells: map[string]string{"1.3.6.1.2.1.33.1.1.2.0": "SMART 3000", "1.3.6.1.2.1.33.1.1.4.0": "2.4"},
			want:  map[string]string{"model": "SMART 3000", "version": "2.4"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			facts, err := VendorFacts(context.Background(), fakeAgent{cells: tt.cells, columns: tt.columns}, tt.sys, nil)
			got := map[string]string{}
			for _, f := range facts {
				got[f.Name] = f.Value
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("facts (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}
