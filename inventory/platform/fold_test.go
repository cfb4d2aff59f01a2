package platform

import (
	"errors"
	"strings"
	"testing"

	"muster/collector"
)

func loadOne(t *testing.T, src string) *Definition {
	t.Helper()
	s, faults := Load(folder(map[string]string{"acme.yaml": src}))
	for _, f := range faults {
		t.Fatal(f)
	}
	d, _ := s.ByName("acme_os")
	return d
}

const folding = minimal + `secrets:
  - { class: plaintext, match: '\b(?:shared-word)=(\S+)' }
  - { class: plaintext, under: '^/snmp$', match: '\bname=(\S+)' }
syntax:
  fold: '\'
  heading: '^/'
`

// A device that folds long lines cuts values wherever the line is full.
func TestFoldedSecretIsMaskedWhole(t *testing.T) {
	d := loadOne(t, folding)
	plain := string(d.Redact([]byte("add shared-word=hunter2hunter2 name=x\n"), testKey))
	token := plain[strings.Index(plain, "‹"):strings.Index(plain, " name")]
	for text, want := range map[string]string{
		"add shared-word=\\\n    hunter2hunter2 name=x\n":             "add shared-word=\\\n    " + token + " name=x\n",
		"add shared-word=hunter2\\\n    hunter2 name=x\n":             "add shared-word=" + token + " name=x\n",
		"add shared-w\\\n    ord=hunter2hunter2 \\\n    name=x\n":     "add shared-w\\\n    ord=" + token + " \\\n    name=x\n",
		"add shared-word=h\\\n    unter2\\\n    hunter2 \\\n    a=b":  "add shared-word=" + token + " \\\n    a=b",
		"add comment=\\\n    x\nadd shared-word=hunter2hunter2 a=b\n": "add comment=\\\n    x\nadd shared-word=" + token + " a=b\n",
		"add comment=x\\\n":                  "add comment=x\\\n",
		"add shared-word=hunter2hunter2\\\n": "add shared-word=" + token + "\\\n", // cut in a fold
		"add shared-word=hunter2hunter2\\":   "add shared-word=" + string(tokenFor(testKey, []byte(`hunter2hunter2\`))),
	} {
		if got := string(d.Redact([]byte(text), testKey)); got != want {
			t.Errorf("Redact(%q)\n got %q\nwant %q", text, got, want)
		}
	}
}

// A secret of several words may hold a word that announces one.
func TestWordsInsideASecretAnnounceNothing(t *testing.T) {
	d := loadOne(t, strings.Replace(folding, `(\S+)' }`, `("[^"]+"|\S+)' }`, 1))
	if got := string(Outward(d.Redact([]byte(`set shared-word="the key" mode="dynamic"`), testKey))); got != `set shared-word=‹secret› mode="dynamic"` {
		t.Errorf("Redact() = %q", got)
	}
}

// Where sections have headings in place of an indent, a rule holds below its heading only.
func TestSecretBelowAHeading(t *testing.T) {
	d := loadOne(t, folding)
	got := string(Outward(d.Redact([]byte("/interface\nadd name=ether1\n/snmp\nset [ find ] name=fakecomm\n/ip\nadd name=pool1\n"), testKey)))
	if want := "/interface\nadd name=ether1\n/snmp\nset [ find ] name=‹secret›\n/ip\nadd name=pool1\n"; got != want {
		t.Errorf("Redact() = %q, want %q", got, want)
	}
}

// A second reading that has to be there and says nothing is no proof.
func TestSilentOutlineIsAFailureUnlessOptional(t *testing.T) {
	reading := strings.Replace(minimal, "parts:\n", "parts:\n  - { name: again, role: witness, via: shell, source: show running-config, optional: OPTIONAL }\n", 1)
	reading = strings.Replace(reading, "{ last_line: '^end$' }", "{ last_line: '^end$', outline: { part: again, match: '^[^!]' } }", 1)
	texts := func(again string) map[string][]byte {
		return map[string][]byte{"running": []byte("! now\nhostname r1\nend\n"), "again": []byte(again)}
	}
	needed, optional := loadOne(t, strings.Replace(reading, "OPTIONAL", "false", 1)), loadOne(t, strings.Replace(reading, "OPTIONAL", "true", 1))
	for again, want := range map[string][2]bool{
		"! then\nhostname r1\nend\n": {true, true},
		"":                           {false, true},
		"! then\n":                   {false, true},
		"hostname r1\n":              {false, false},
		"hostname r2\nend\n":         {false, false},
	} {
		for i, d := range []*Definition{needed, optional} {
			_, err := d.Judge(texts(again), 0)
			if (err == nil) != want[i] || err != nil && !errors.Is(err, collector.ErrProofMissing) {
				t.Errorf("second reading %q, optional %t: %v", again, i == 1, err)
			}
		}
	}
}
