package inventory

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"muster/inventory/platform"
)

// flat is a row as the tests write it.
func flat(rows []importRow) []string {
	var all []string
	for _, r := range rows {
		s := fmt.Sprintf("%d %s|%s|%d|%s|%s|%s|%s", r.line, r.name, r.address, r.port, r.platform, r.site, r.cred, strings.Join(r.tags, "+"))
		if r.down {
			s += "|down"
		}
		all = append(all, s)
	}
	return all
}

func utf16Of(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func TestImportReadsWhatSpreadsheetsAndOtherToolsWrite(t *testing.T) {
	accents := "name;address;site\nr1;192.0.2.1;Orléans\n"
	orleans := []string{"2 r1|192.0.2.1|0|||Orléans|"}
	orleans[0] = "2 r1|192.0.2.1|0||Orléans||"
	tests := map[string]struct {
		file    string
		format  ImportFormat
		columns []string
		want    []string
		note    string
	}{
		"no header, the documented order": {file: "r1,192.0.2.1,2222,frr,paris,noc,core edge\n# a comment\n\nr2,192.0.2.2\n",
			want: []string{"1 r1|192.0.2.1|2222|frr|paris|noc|core+edge", "4 r2|192.0.2.2|0||||"}},
		"a header in another order, with columns of others": {file: "Site;IP address;Hostname;Enable Password;Rack\nparis;192.0.2.1;r1;hunter2;7\n",
			want: []string{"2 r1|192.0.2.1|0||paris||"}, note: "not read: Enable Password"},
		"tabs": {file: "name\taddress\tplatform\nr1\t\tfrr\n", want: []string{"2 r1||0|frr|||"}},
		"quoted fields, one over two lines": {file: "name,address,site,tags\n\"r1\",192.0.2.1,\"Paris, \"\"north\"\"\",\"a,b\"\nr2,192.0.2.2,\"two\nlines\",\nr3,192.0.2.3,,\n",
			want: []string{`2 r1|192.0.2.1|0||Paris, "north"||a+b`, "3 r2|192.0.2.2|0||two\nlines||", "5 r3|192.0.2.3|0||||"}},
		"one address a line":                {file: "192.0.2.1\nr2.example.net\n", want: []string{"1 192.0.2.1||0||||", "2 r2.example.net||0||||"}},
		"old line ends and Excel's own":     {file: "sep=;\r" + strings.ReplaceAll(accents, "\n", "\r"), want: []string{"3 r1|192.0.2.1|0||Orléans||"}},
		"cells that our own CSV made safe":  {file: "name,address\n'@r1,192.0.2.1\n", want: []string{"2 @r1|192.0.2.1|0||||"}},
		"UTF-8 with a byte order mark":      {file: "\ufeff" + accents, want: orleans},
		"UTF-16, little end first":          {file: "\xff\xfe" + utf16Of(binary.LittleEndian, accents), want: orleans, note: "UTF-16"},
		"UTF-16, big end first":             {file: "\xfe\xff" + utf16Of(binary.BigEndian, accents), want: orleans, note: "UTF-16"},
		"UTF-16 without a mark":             {file: utf16Of(binary.LittleEndian, accents), want: orleans, note: "UTF-16"},
		"Latin-1":                           {file: strings.ReplaceAll(accents, "é", "\xe9"), want: orleans, note: "Latin-1"},
		"Windows-1252":                      {file: "name;address;site\nr1;192.0.2.1;\x80\n", want: []string{"2 r1|192.0.2.1|0||€||"}, note: "Windows-1252"},
		"IPv6 addresses are no separators":  {file: "r1,2001:db8::1\nr2,2001:db8::2\n", want: []string{"1 r1|2001:db8::1|0||||", "2 r2|2001:db8::2|0||||"}},
		"Oxidized, name and model":          {file: "r1.example.net:ios\nsw1:procurve\n", want: []string{"1 r1.example.net||0|ios|||", "2 sw1||0|procurve|||"}, note: "router.db of Oxidized"},
		"Oxidized, accounts behind":         {file: "r1:ios:admin:hunter2\nr2:junos:admin:hun,ter;2\n", want: []string{"1 r1||0|ios|||", "2 r2||0|junos|||"}, note: "further columns are not read"},
		"Oxidized, commas in all passwords": {file: "r1:ios:admin:hunt,er2\nr2:junos:admin:hun,ter2\n", want: []string{"1 r1||0|ios|||", "2 r2||0|junos|||"}, note: "further columns are not read"},
		"Oxidized, name, address, model":    {file: "r1:192.0.2.1:ios:x\nr2:192.0.2.2:junos:y\n", want: []string{"1 r1|192.0.2.1|0|ios|||", "2 r2|192.0.2.2|0|junos|||"}},
		"Oxidized, an IPv6 address":         {file: "2001:db8::1:ios:admin:pw\n", want: []string{"1 2001:db8::1||0|ios|||"}},
		"Oxidized, a group that was named":  {file: "r1:ios:core\n", columns: []string{"name", "platform", "group"}, want: []string{"1 r1||0|ios|||core"}},
		"Oxidized, semicolons":              {file: "r1;ios;admin;hunter2\n", want: []string{"1 r1||0|ios|||"}, note: "router.db of Oxidized"},
		"RANCID":                            {file: "# RANCID\nr1;cisco;up\nr2;juniper;down;broken since May\n", want: []string{"2 r1||0|cisco|||", "3 r2||0|juniper||||down"}, note: "router.db of RANCID"},
		"RANCID before version 3":           {file: "r1:cisco:up\nr2:juniper:down\n", want: []string{"1 r1||0|cisco|||", "2 r2||0|juniper||||down"}, note: "router.db of RANCID"},
		"told to be CSV":                    {file: "a;192.0.2.1;;ios\n", format: ImportCSV, want: []string{"1 a|192.0.2.1|0|ios|||"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := readImport([]byte(tt.file), tt.format, tt.columns)
			if len(f.faults) > 0 {
				t.Error("faults:", f.faults)
			}
			if diff := cmp.Diff(tt.want, flat(f.rows)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			notes := strings.Join(f.notes, "\n")
			if !strings.Contains(notes, tt.note) || tt.note == "" && strings.Contains(notes, "converted") {
				t.Errorf("notes: %q", notes)
			}
			if strings.Contains(notes+fmt.Sprint(f.rows), "hun") {
				t.Errorf("a password got through: %s %v", notes, f.rows)
			}
		})
	}
}

// importBench is an inventory whose scope is 192.0.2.0/24 and whose DNS knows r9.
func importBench(t *testing.T) (*bench, *Devices) {
	b := newBench(t)
	b.credential("noc", "secret")
	return b, NewDevices(b.a.o, b.a)
}

func (b *bench) imported(d *Devices, file string, o ImportOptions) Imported {
	b.t.Helper()
	got, err := d.Import(b.t.Context(), []byte(file), o, "ops")
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func told(steps []ImportStep) []string {
	var all []string
	for _, s := range steps {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s; %s", s.Action, s.Name, s.Address, s.Platform, strings.Join(s.Changes, ", "), s.Message)))
	}
	return all
}

const importList = `name,address,port,platform,site,credential,tags
r1,192.0.2.1,,frr,paris,,core
core-sw1,192.0.2.2,,ios,,,
r3,192.0.2.3,2222,cisco_iosxe,lyon,noc,"edge,core"
r4,192.0.2.4,,alteonos,,,
`

func TestASecondImportChangesNothing(t *testing.T) {
	b, d := importBench(t)
	if _, err := d.Add(t.Context(), NewDevice{Address: "192.0.2.3", Name: "old3", Site: "paris"}, "ops"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"add r1 192.0.2.1 frr ;",
		"add core-sw1 192.0.2.2 cisco_ios ;",
		"change r3 192.0.2.3 cisco_iosxe name: old3 → r3, port: 22 → 2222, platform: none → cisco_iosxe, site: paris → lyon, credential: none → noc, tag: edge, tag: core;",
		"add r4 192.0.2.4  ; alteonos is radware_alteon, of which there is no definition yet",
	}
	seen := b.imported(d, importList, ImportOptions{})
	if diff := cmp.Diff(want, told(seen.Steps)); diff != "" || seen.Done {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	if _, err := d.Show(t.Context(), "r1"); err == nil {
		t.Error("a preview added a device")
	}
	done := b.imported(d, importList, ImportOptions{Apply: true})
	if diff := cmp.Diff(want, told(done.Steps)); diff != "" || !done.Done {
		t.Errorf("import (-want +got):\n%s", diff)
	}
	audit, events := len(b.m.audit), len(b.m.events)
	again := b.imported(d, importList, ImportOptions{Apply: true})
	for _, s := range again.Steps {
		if s.Action != ImportLeave || len(s.Changes) > 0 {
			t.Errorf("second import: %+v", s)
		}
	}
	if len(b.m.audit) != audit || len(b.m.events) != events {
		t.Error("a second import was not nothing")
	}

	r1, err := d.Show(t.Context(), "r1")
	if err != nil || !r1.AddedByPerson || !r1.Managed || !r1.PlatformGiven || r1.Site != "paris" || r1.Missing != "" {
		t.Errorf("r1: %+v %v", r1, err)
	}
	// Another tool's name is a guess: IOS-XE goes by "ios" there too.
	if sw, _ := d.Show(t.Context(), "core-sw1"); sw.PlatformGiven || sw.Vendor == "" || sw.PlatformReason != "imported as ios" {
		t.Errorf("core-sw1: %+v", sw)
	}
	if r3, _ := d.Show(t.Context(), "192.0.2.3"); r3.Name != "r3" || r3.SSHPort != 2222 || r3.Credential != "noc" || !slices.Equal(r3.Tags, []string{"edge", "core"}) {
		t.Errorf("r3: %+v", r3)
	}
}

func TestImportSaysAllFaultsAtOnceAndDoesNothing(t *testing.T) {
	b, d := importBench(t)
	for _, n := range []NewDevice{{Address: "192.0.2.50", Name: "fifty"}, {Address: "192.0.2.51", Name: "fiftyone"}} {
		if _, err := d.Add(t.Context(), n, "ops"); err != nil {
			t.Fatal(err)
		}
	}
	scope := b.scope
	b.a.o.Network = func() Network {
		n := b.network()
		n.ScopeOf = mustScope(t, "192.0.2.0/24", scope)
		return n
	}
	d = NewDevices(b.a.o, b.a)
	before := len(b.m.devices)
	file := `name,address,port,platform,site,credential,tags
good,192.0.2.1,,,,,
GOOD,192.0.2.2,,,,,
r3,192.0.2.1,,,,,
r4,192.0.2.4,,cisco_iosxxe,,,
r5,192.0.2.5,99999,,,,
r6,192.0.2.6,,,,nobody,
r 7,192.0.2.7,,,,,
r8,192.0.2.999.,,,,,
,,,,paris,,
r10,192.0.2.10,,,,,,more
r11,"192.0.2.11"x,,,,,
r12,198.51.100.1,,,,,
fifty,192.0.2.51,,,,,
`
	got := b.imported(d, file, ImportOptions{Apply: true})
	want := []string{
		"line 3: the name GOOD is in line 2 already",
		"line 4: the address 192.0.2.1 is that of line 2 already",
		`line 5: "cisco_iosxxe" is no platform; muster platform list shows all, an empty cell lets muster find out`,
		`line 6: "99999" is no port; use 1 to 65535`,
		`line 7: "nobody" is no credential; the settings have noc`,
		`line 8: "r 7" is no name for a device. Use letters, digits and - _ . @ +`,
		"line 9: 192.0.2.999. is no address, and no name that resolves to one",
		"line 10: it has neither name nor address",
		"line 11: it has 8 fields, but there are 7 columns (name, address, port, platform, site, credential, tags)",
		"line 12: a quotation mark is out of place: a field that has one is quoted as a whole, and those in it are doubled",
		"line 13: 198.51.100.1 is in no scope, so nothing says which account to use. Name one in the column credential or by --credential, or add the address to a scope",
		"line 14: 192.0.2.51 is the address of fiftyone, and fifty is another device. Where they are one: muster device merge fiftyone fifty",
	}
	var faults []string
	for _, f := range got.Faults {
		if strings.Contains(f.Message, "\n") {
			t.Errorf("a fault of several lines: %q", f.Message)
		}
		s, _, _ := strings.Cut(f.String(), ": lookup ")
		faults = append(faults, s)
	}
	for i, f := range faults { // what DNS says differs from system to system
		if strings.HasPrefix(f, "line 9: ") {
			faults[i], _, _ = strings.Cut(f, " to one:")
			faults[i] = strings.TrimSuffix(faults[i], " to one") + " to one"
		}
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if got.Done || len(b.m.devices) != before {
		t.Error("a faulty file was done in part")
	}
}

func TestImportStoresAndSaysNoPassword(t *testing.T) {
	b, d := importBench(t)
	files := map[string]string{
		"a router.db":                "192.0.2.1:ios:admin:hunter2:hunter3\n192.0.2.2:nobody-knows:admin:hunter2\n",
		"one that is taken for CSV":  "192.0.2.1:ios,admin,hunter2\nr2:ios:admin:hunter2\n",
		"CSV in an order of its own": "192.0.2.1,hunter1,hunter2,hunter3,paris,hunter4\nr1,192.0.2.1,admin,hunter2,paris,hunter4\n",
		"CSV with a password":        "name,address,password\nr1,192.0.2.1,hunter2\nr2,not an address,hunter2\n",
	}
	for name, file := range files {
		for _, format := range []ImportFormat{ImportAuto, ImportCSV, ImportOxidized, ImportRANCID} {
			got := b.imported(d, file, ImportOptions{Format: format, Apply: true})
			said, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			kept := fmt.Sprint(b.m.audit, b.m.events)
			for _, dev := range b.m.devices {
				kept += fmt.Sprintf("%+v", *dev)
			}
			if strings.Contains(string(said)+kept, "hunter") {
				t.Errorf("%s as %q: %s\n%s", name, format, said, kept)
			}
		}
	}
}

func TestImportGoesByTheNameWhereTheAddressMoved(t *testing.T) {
	b, d := importBench(t)
	b.imported(d, "r1,192.0.2.1\nr2,192.0.2.2\n", ImportOptions{Apply: true})
	got := b.imported(d, "r1;cisco;up\nr2;juniper;down\n", ImportOptions{Apply: true}) // no DNS is asked for names that are known
	want := []string{"change r1 192.0.2.1 cisco_ios platform: none → cisco_ios;", "change r2 192.0.2.2 juniper_junos platform: none → juniper_junos, disabled: no → yes;"}
	if diff := cmp.Diff(want, told(got.Steps)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = b.imported(d, "r1,192.0.2.9\n", ImportOptions{Apply: true})
	if diff := cmp.Diff([]string{"change r1 192.0.2.9 cisco_ios address: 192.0.2.1 → 192.0.2.9;"}, told(got.Steps)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r1, err := d.Show(t.Context(), "r1"); err != nil || r1.Address.String() != "192.0.2.9" {
		t.Errorf("%+v %v", r1, err)
	}
}

func TestEveryDefinitionHasTheNamesOfOtherTools(t *testing.T) {
	set, faults := platform.Load(nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	// No other tool has a name of its own for these; a Catalyst 9800 goes by those
	// of IOS-XE there, an MDS by those of NX-OS.
	known := []string{"frr", "bird", "cisco_c9800", "cisco_mds", "netgate_tnsr", "quanta_qnos", "vsol_olt",
		"lantronix_slc", "raritan_px", "ruckus_smartzone", "siemens_scalance", "westermo_weos"}
	for name := range aliases {
		known = append(known, name)
	}
	for _, def := range set.All() {
		// "mikrotik_routeros6" is an older mikrotik_routeros: no other tool tells them apart.
		if !slices.ContainsFunc(known, func(name string) bool { return strings.HasPrefix(def.Name, name) }) {
			t.Errorf("inventory/importalias.go has no names of other tools for %s", def.Name)
		}
	}
	seen := map[string]string{}
	for name, words := range aliases {
		for _, w := range strings.Fields(words) {
			if seen[w] != "" {
				t.Errorf("%s is both %s and %s", w, seen[w], name)
			}
			if aliases[w] != "" && w != name {
				t.Errorf("%s is our own name of another platform than %s", w, name)
			}
			seen[w] = name
		}
	}
}

func FuzzReadImport(f *testing.F) {
	for _, s := range []string{importList, "r1:ios:a:b\n", "r1;cisco;up\n", "\xff\xfea\x00", "\"", "sep=;\n;", "2001:db8::1:ios", "name\n\x80"} {
		f.Add([]byte(s), "")
	}
	f.Add([]byte("a:b"), "rancid")
	f.Fuzz(func(t *testing.T, data []byte, format string) {
		got := readImport(data, ImportFormat(format), nil)
		for _, r := range got.rows {
			if r.line < 1 || r.name == "" && r.address == "" {
				t.Errorf("row %+v", r)
			}
		}
		if len(got.rows) == 0 && len(got.faults) == 0 {
			t.Error("nothing was read, and nothing is wrong")
		}
	})
}

// mustScope finds the scope of the addresses of one prefix.
func mustScope(t *testing.T, prefix string, sc Scope) func(netip.Addr) (Scope, bool) {
	t.Helper()
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return func(a netip.Addr) (Scope, bool) {
		if p.Contains(a) {
			return sc, true
		}
		return Scope{}, false
	}
}
