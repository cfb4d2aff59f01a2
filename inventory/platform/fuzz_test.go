package platform

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// Whatever a device prints: nothing panics, nothing is proved that is not, Normal
// and Redact are stable, and a secret behind a plain keyword never survives.
func FuzzTexts(f *testing.F) {
	s := definitions(f)
	for _, x := range fixtures(f) {
		f.Add(x.running())
		f.Add(x.running()[:len(x.running())/2])
		secrets, _ := x.get("secrets")
		f.Add([]byte(unmarked(secrets)))
	}
	f.Add([]byte("\"\\\" /* { \n*/ banner motd ^C\n\x00\xff"))
	f.Add([]byte("‹secret 00000000› password ‹secret› key ‹hidden›"))
	f.Fuzz(func(t *testing.T, text []byte) {
		planted := []byte("Pl4ntedSecretValue")
		for _, d := range s.All() {
			texts := map[string][]byte{}
			for _, p := range d.Parts {
				texts[p.Name] = text
			}
			if _, err := d.Judge(texts, 0); err == nil && len(bytes.TrimSpace(text)) == 0 {
				t.Errorf("%s: nothing is proved", d.Name)
			}
			normal := d.Normal(text)
			if len(normal) > len(text) {
				t.Errorf("%s: Normal adds something", d.Name)
			}
			once := d.Redact(normal, testKey)
			if twice := d.Redact(once, testKey); !bytes.Equal(once, twice) {
				t.Errorf("%s: redacting twice: %q, then %q", d.Name, once, twice)
			}
			with := append(append(bytes.Clone(text), "\n password 7 "...), planted...)
			if bytes.Contains(d.Redact(with, testKey), planted) && !bytes.Contains(text, planted) {
				t.Errorf("%s: the planted secret survives behind %q", d.Name, text)
			}
			d.SavedForm(text, text)
			d.Volatile(text)
			d.TextFacts(texts)
		}
	})
}

// A definition file is a person's text, and may be anything.
func FuzzLoad(f *testing.F) {
	f.Add(minimal)
	entries, err := os.ReadDir("definitions")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("definitions/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		theirs, faults := loadFolder(folder(map[string]string{"x.yaml": text}))
		if len(theirs) == 0 && len(faults) == 0 {
			t.Error("neither a definition nor a fault")
		}
		for _, x := range faults {
			if x.Reason == "" || x.File != "x.yaml" || strings.Contains(x.Reason, "\n") {
				t.Errorf("fault %#v", x)
			}
		}
	})
}

// bulky is about 65 kB of a switch's configuration.
func bulky(b *testing.B) (*Definition, []byte) {
	for _, f := range fixtures(b) {
		if f.def.Name == "cisco_ios" {
			port := "interface GigabitEthernet1/0/1\n description to access switch\n switchport trunk allowed vlan 10-20\n switchport mode trunk\n spanning-tree portfast\n!\n"
			// One secret in 650 bytes: a hundred of them.
			block := strings.Repeat(port, 4) + "interface Vlan10\n ip address 192.0.2.1 255.255.255.0\n ip ospf message-digest-key 1 md5 7 00FADE33\n!\n"
			return f.def, append(bytes.Repeat([]byte(block), 64_000/len(block)), f.running()...)
		}
	}
	b.Fatal("no fixture")
	return nil, nil
}

// Floor: under 5 ms for 65 kB (a plain loop over all patterns took 70 to 80).
func BenchmarkRedact65k(b *testing.B) {
	d, text := bulky(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		d.Redact(text, testKey)
	}
}

func BenchmarkNormal65k(b *testing.B) {
	d, text := bulky(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		d.Normal(text)
	}
}

func BenchmarkJudge65k(b *testing.B) {
	d, text := bulky(b)
	texts := map[string][]byte{"running": text}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = d.Judge(texts, 0)
	}
}
