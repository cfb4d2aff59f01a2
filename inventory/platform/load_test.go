package platform

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// minimal is the smallest definition that can be loaded.
const minimal = `name: acme_os
vendor: Acme
evidence: { kind: declared, source: guide }
identify:
  - sysObjectID: 1.3.6.1.4.1.99999.1
cli:
  prompt: '^\S+# $'
parts:
  - { name: running, role: running, via: shell, source: show running-config }
complete:
  running: { last_line: '^end$' }
`

func folder(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestOwnDefinitionsAreWhole(t *testing.T) {
	s := definitions(t)
	want := []string{"arista_eos", "cisco_ios", "cisco_iosxe", "fortinet_fortios", "frr", "juniper_junos"}
	for _, name := range want {
		d, ok := s.ByName(name)
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if d.Origin != BuiltIn || d.Vendor == "" || d.Family == "" || d.Restorable.Text == "" || d.Restorable.Why == "" || d.Revision == "" || !d.HasParts() {
			t.Errorf("%s is incomplete: %+v", name, d)
		}
	}
	files, err := os.ReadDir("definitions")
	if err != nil {
		t.Fatal(err)
	}
	yaml := slices.DeleteFunc(files, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) != ".yaml" })
	if len(s.All()) != len(yaml) || s.Len() != len(yaml) {
		t.Errorf("All() has %d, Len() is %d, there are %d files", len(s.All()), s.Len(), len(yaml))
	}
	if !slices.IsSortedFunc(s.All(), func(a, b *Definition) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("All() is not in order")
	}
	if _, ok := s.ByName("no_such"); ok {
		t.Error("an unknown platform is found")
	}
}

func TestAPlatformWithoutPartsSaysWhy(t *testing.T) {
	bare := strings.NewReplacer("parts:\n  - { name: running, role: running, via: shell, source: show running-config }\n", "",
		"complete:\n  running: { last_line: '^end$' }\n", "").Replace(minimal)
	s, faults := Load(folder(map[string]string{"a.yaml": minimal, "b.yaml": strings.Replace(bare, "acme_os", "acme_bare", 1),
		"c.yaml": strings.Replace(bare, "acme_os", "acme_card", 1) + "restorable: { text: 'no', why: a file that no command prints }\n"}))
	for _, f := range faults {
		t.Error(f)
	}
	for name, want := range map[string]string{"acme_os": "", "acme_bare": "its definition lists no parts", "acme_card": "a file that no command prints"} {
		if d, _ := s.ByName(name); d.Unread() != want {
			t.Errorf("%s: Unread() = %q, want %q", name, d.Unread(), want)
		}
	}
	for _, d := range s.All() {
		if (d.Unread() == "") != d.HasParts() {
			t.Errorf("%s: Unread() = %q", d.Name, d.Unread())
		}
	}
}

func TestUserDefinitionAddsAndOverrides(t *testing.T) {
	s, faults := Load(folder(map[string]string{
		"acme.yaml":  minimal,
		"my_frr.yml": "name: frr\nlike: frr\nevidence: { kind: lab, source: mine }\nvolatile:\n  - { match: '^! ours ' }\n",
		"README.txt": "not read: {",
	}))
	for _, f := range faults {
		t.Error(f)
	}
	acme, ok := s.ByName("acme_os")
	if !ok || acme.Origin != "acme.yaml" || !acme.HasParts() {
		t.Fatalf("acme_os: %+v", acme)
	}
	ours, _ := definitions(t).ByName("frr")
	mine, _ := s.ByName("frr")
	if mine.Origin != "my_frr.yml" || mine.Revision == ours.Revision || len(mine.Parts) != len(ours.Parts) {
		t.Errorf("frr is not overridden: %+v", mine)
	}
	if got := string(mine.Normal([]byte("! ours 1\nfrr version 8\n"))); got != "frr version 8\n" {
		t.Errorf("Normal() = %q: the section was not replaced", got)
	}
}

func TestFaultyOverrideLeavesOursInForce(t *testing.T) {
	s, faults := Load(folder(map[string]string{"frr.yaml": "name: frr\nvendro: x\n"}))
	if len(faults) == 0 {
		t.Error("no fault is told")
	}
	if d, ok := s.ByName("frr"); !ok || d.Origin != BuiltIn {
		t.Errorf("frr: %+v", d)
	}
}

func TestFaultsTellPlaceAndMend(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(minimal, old) {
			panic(old)
		}
		return strings.Replace(minimal, old, new, 1)
	}
	tests := map[string]struct {
		text string
		want []string // "line:column: part of the reason", in order
	}{
		"misspelt key":                   {change("vendor:", "vendro:"), []string{"vendor is missing", "2:1: did you mean vendor?"}},
		"misspelt key inside":            {change("prompt:", "promt:"), []string{"7:3: did you mean prompt?", "prompt is missing"}},
		"unknown key":                    {minimal + "zzz: 1\n", []string{"12:1: unknown key"}},
		"a key twice":                    {minimal + "name: other\n", []string{"12:1: a second time; the first is in line 1"}},
		"a number for text":              {change("vendor: Acme", "vendor: 12"), []string{"2:9: write it in quotes"}},
		"a list for a mapping":           {change("cli:\n  prompt: '^\\S+# $'", "cli: [a]"), []string{"cli is a list, it has to be a mapping"}},
		"no evidence":                    {change("evidence: { kind: declared, source: guide }\n", ""), []string{"evidence is missing"}},
		"unknown evidence":               {change("kind: declared", "kind: sworn"), []string{"one of recorded, lab, declared"}},
		"bad name":                       {change("acme_os", "Acme OS"), []string{"1:7: small letters"}},
		"bad RE2":                        {change(`'^\S+# $'`, `'^(\S+# $'`), []string{"7:11: no valid RE2 pattern: missing closing )"}},
		"lookahead":                      {change(`'^\S+# $'`, `'^(?!x)# $'`), []string{"no valid RE2 pattern"}},
		"prompt not anchored":            {change(`'^\S+# $'`, `'\S+# $'`), []string{"begin with ^"}},
		"prompt with open end":           {change(`'^\S+# $'`, `'^\S+# '`), []string{"end with $"}},
		"one branch not anchored":        {change(`'^\S+# $'`, `'^a# $|b# $'`), []string{"in each of its branches"}},
		"last line not anchored":         {change(`'^end$'`, `'end'`), []string{"11:25: begin with ^"}},
		"command that changes":           {change("show running-config }", "write memory }"), []string{"9:57: not on the list"}},
		"command with redirection":       {change("show running-config }", `"show run | redirect flash:x" }`), []string{"not on the list"}},
		"file with ..":                   {change("via: shell, source: show running-config", "via: file, source: /etc/../etc/shadow"), []string{"absolute path"}},
		"file that is a secret":          {change("via: shell, source: show running-config", "via: file, source: /etc/shadow"), []string{"absolute path"}},
		"paging by configuration":        {change("cli:\n", "cli:\n  paging: { off: [config system console] }\n"), []string{"not on the list"}},
		"answer that is a short command": {change("cli:\n", "cli:\n  login: [{ when: 'sw1#', send: wr, why: y }]\n"), []string{"an answer may be"}}, // write memory
		"answer that is a command":       {change("cli:\n", "cli:\n  login: [{ when: 'go on?', send: 'reload now', why: y }]\n"), []string{"an answer may be"}},
		"a line end of its own":          {change("cli:\n", "cli:\n  enter: crlf\n"), []string{"7:10: one of cr"}},
		"no running part":                {change("role: running", "role: extra"), []string{"one with the role running"}},
		"optional running part":          {change("show running-config }", "show running-config, optional: true }"), []string{"not optional"}},
		"two parts of one name":          {change("complete:", "  - { name: running, role: extra, via: shell, source: show version }\ncomplete:"), []string{"10:13: this name already"}},
		"no proof":                       {change("complete:\n  running: { last_line: '^end$' }\n", ""), []string{"no proof for the part running"}},
		"empty proof":                    {change("{ last_line: '^end$' }", "{}"), []string{"at least one proof"}},
		"proof of another part":          {change("complete:\n  running:", "complete:\n  runing:"), []string{"no proof for the part running", "no part of this name; there are running"}},
		"startup without unsaved":        {change("complete:", "  - { name: startup, role: startup, via: shell, source: show startup-config }\ncomplete:"), []string{"unsaved is missing"}},
		"short sysObjectID":              {change("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1"), []string{"vendor's number at least"}},
		"sysObjectID of Net-SNMP":        {change("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.8072.3.2.10"), []string{"proves nothing"}},
		"sysObjectID no numbers":         {change("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.x.y.z"), []string{"dotted whole numbers"}},
		"identify nothing":               {change("sysObjectID: 1.3.6.1.4.1.99999.1", "why: x"), []string{"needs sysObjectID"}},
		"proof without command":          {change("sysObjectID: 1.3.6.1.4.1.99999.1", "match: '^Acme'"), []string{"command and match belong together"}},
		"secret without group":           {minimal + "secrets:\n  - { class: plaintext, match: '^password \\S+' }\n", []string{"13:32: has 0 groups, it has to have 1"}},
		"secret without text":            {minimal + "secrets:\n  - { class: plaintext, match: '^(\\S+)$' }\n", []string{"no fixed text"}},
		"secret of no class":             {minimal + "secrets:\n  - { class: hidden, match: '^password (\\S+)' }\n", []string{"one of public, hash"}},
		"block without end":              {minimal + "secrets:\n  - { class: plaintext, start: '^key \"' }\n", []string{"start and end"}},
		"volatile not anchored":          {minimal + "volatile:\n  - { match: 'Time: ' }\n", []string{"begin with ^"}},
		"volatile everything":            {minimal + "volatile:\n  - { match: '^' }\n", []string{"no fixed text"}},
		"unknown MIB object":             {minimal + "facts: { serial: [{ scalar: 'ACME-MIB::serial.0' }] }\n", []string{"not known; give its number"}},
		"two sources in one":             {minimal + "facts: { serial: [{ scalar: 1.3.6.1.2.1.1.5.0, sysDescr: '^(x)' }] }\n", []string{"one of scalar, below, column"}},
		"fact of no part":                {minimal + "facts: { version: [{ part: nothing, match: '^(x)' }] }\n", []string{"no part of this name"}},
		"like nobody":                    {"name: x_y\nlike: nobody\n", []string{"2:7: built-in platform"}},
		"an anchor":                      {change("vendor: Acme", "vendor: &v Acme"), []string{"anchors"}},
		"a tab":                          {change("  prompt", "\tprompt"), []string{"not valid YAML"}},
		"an open quote":                  {change("'^end$'", "'^end$"), []string{"not valid YAML"}},
		"two documents":                  {minimal + "---\n" + minimal, []string{"more than one YAML document"}},
		"an empty file":                  {"# nothing\n", []string{"empty"}},
		"a list":                         {"- a\n", []string{"the definition is a list"}},
		"all faults at once": {strings.NewReplacer("vendor:", "vendro:", `'^\S+# $'`, `'\S+#'`, "show running-config", "reload").Replace(minimal),
			[]string{"vendor is missing", "2:1: did you mean vendor?", "7:11: begin with ^", "9:57: not on the list"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, faults := Load(folder(map[string]string{"x.yaml": tt.text}))
			if _, ok := s.ByName("acme_os"); ok {
				t.Error("it is loaded all the same")
			}
			if len(faults) != len(tt.want) {
				t.Fatalf("%d faults, want %d: %v", len(faults), len(tt.want), faults)
			}
			for i, f := range faults {
				place, reason, _ := strings.Cut(tt.want[i], ": ")
				if strings.Count(place, ":") != 1 || strings.Contains(place, " ") {
					place, reason = "", tt.want[i]
				}
				if got := fmt.Sprintf("%d:%d", f.Line, f.Column); place != "" && got != place {
					t.Errorf("fault %d is at %s, want %s (%s)", i, got, place, f.Reason)
				}
				if !strings.Contains(f.Reason, reason) || f.File != "x.yaml" {
					t.Errorf("fault %d = %v, want %q", i, f, reason)
				}
			}
		})
	}
}

// A file may hold what nobody should read in a log.
func TestFaultsQuoteNothingOfTheFile(t *testing.T) {
	for _, text := range []string{
		minimal + "hunter2: hunter2\n",
		strings.Replace(minimal, "show running-config", "hunter2", 1),
		strings.Replace(minimal, `'^\S+# $'`, `'^(hunter2'`, 1),
		strings.Replace(minimal, "declared", "hunter2", 1),
		minimal + "secrets: [ { class: hunter2, match: 'hunter2' }\n",
		minimal + "hunter2\n",
		minimal + "x: \"hunter2\n",
		minimal + "x: *hunter2\n",
		minimal + "x: !!hunter2 y\n",
		minimal + "facts: { hunter2: [{ scalar: hunter2, match: 'hunter2(' }] }\n",
		"\thunter2: x\n",
	} {
		_, faults := Load(folder(map[string]string{"x.yaml": text}))
		if len(faults) == 0 {
			t.Errorf("no fault in %q", text)
		}
		for _, f := range faults {
			if strings.Contains(f.Error(), "hunter2") {
				t.Errorf("the fault quotes the file: %v", f)
			}
		}
	}
}

func TestRevisionFollowsTheRulesAndNothingElse(t *testing.T) {
	revision := func(text string) string {
		s, faults := Load(folder(map[string]string{"x.yaml": text}))
		d, ok := s.ByName("acme_os")
		if !ok {
			t.Fatal(faults)
		}
		return d.Revision
	}
	was := revision(minimal)
	for name, text := range map[string]string{
		"a comment":                  "# why\n" + minimal,
		"other quoting":              strings.Replace(minimal, `'^end$'`, `"^end$"`, 1),
		"another name of the vendor": strings.Replace(minimal, "Acme", "ACME", 1),
		"how it is identified":       strings.Replace(minimal, "99999.1", "99999.2", 1),
	} {
		if revision(text) != was {
			t.Errorf("%s changes the revision", name)
		}
	}
	for name, text := range map[string]string{
		"another proof":   strings.Replace(minimal, `'^end$'`, `'^End$'`, 1),
		"a volatile line": minimal + "volatile: [{ match: '^! Time' }]\n",
		"a secret":        minimal + "secrets: [{ class: hash, match: '^pw (\\S+)' }]\n",
	} {
		if revision(text) == was {
			t.Errorf("%s leaves the revision", name)
		}
	}
}

func TestCheckSaysWhatAFileWouldBe(t *testing.T) {
	good := []byte("name: my_eos\nlike: arista_eos\nevidence: { kind: declared, source: 'our own switches' }\n")
	d, faults := Check("mine.yaml", good)
	if len(faults) > 0 || d == nil || d.Name != "my_eos" || d.Origin != "mine.yaml" || !d.HasParts() || len(d.Commands()) == 0 {
		t.Errorf("a good file is %+v, faults %v", d, faults)
	}
	for name, text := range map[string]string{
		"an unknown key":    string(good) + "colour: blue\n",
		"a writing command": string(good) + "parts:\n  - { name: running, role: running, via: shell, source: write memory }\n",
		"no YAML":           "name: [\n",
	} {
		if d, faults := Check("mine.yaml", []byte(text)); len(faults) == 0 {
			t.Errorf("%s passes as %+v", name, d)
		}
	}
}
