package platform

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// marked is what stands between « and » in a fixture.
var marked = regexp.MustCompile(`(?s)«(.*?)»`)

func unmarked(s string) string { return strings.NewReplacer("«", "", "»", "").Replace(s) }

func blocks(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n\n") }

func TestRedactedConfigIsGolden(t *testing.T) {
	for _, f := range fixtures(t) {
		f.golden(t, "redacted", f.def.Redact(f.def.Normal(f.running()), testKey))
	}
}

// The value goes and nothing else does.
func TestSecretsAreReplacedExactly(t *testing.T) {
	for _, f := range fixtures(t) {
		s, _ := f.get("secrets")
		for _, b := range blocks(s) {
			want := marked.ReplaceAllString(b, mark)
			if got := string(Outward(f.def.Redact([]byte(unmarked(b)), testKey))); got != want {
				t.Errorf("%s: %s", f.def.Name, firstDifference(want, got))
			}
		}
	}
}

func TestPlainLinesAreLeftAlone(t *testing.T) {
	for _, f := range fixtures(t) {
		s, _ := f.get("plain")
		for _, b := range blocks(s) {
			if got := string(f.def.Redact([]byte(b), testKey)); got != b {
				t.Errorf("%s: %s", f.def.Name, firstDifference(b, got))
			}
		}
	}
}

// Each rule for secrets has a sample in its fixture that it finds exactly,
// without the help of the others.
func TestEverySecretRuleHasASample(t *testing.T) {
	seen := map[string]bool{} // by Revision: IOS-XE has the rules of IOS
	for _, f := range fixtures(t) {
		if seen[f.def.Revision] {
			continue
		}
		seen[f.def.Revision] = true
		secrets, _ := f.get("secrets")
		plain, _ := f.get("plain")
		for _, s := range f.def.rules.secrets {
			alone := &rules{syntax: f.def.rules.syntax, secrets: []secretRule{s}}
			words := s.match
			if words == nil {
				words = s.start
			}
			alone.secretIndex.add(0, literalsOf(words.String()))
			if s.class == classPublic {
				alone.secrets[0].class = classPlaintext // to see what it takes
			}
			hit := false
			for _, b := range append(blocks(secrets), blocks(plain)...) {
				text := unmarked(b)
				for _, x := range alone.secretsIn([]byte(text)) {
					value := "«" + text[x.start:x.end] + "»"
					hit = hit || strings.Contains(b, value) || s.class == classPublic
				}
			}
			if !hit {
				t.Errorf("%s: no sample for %s", f.def.Name, words)
			}
		}
	}
}

// Whatever stands where a secret of a fixture stands, it is gone afterwards.
func TestNoPlantedSecretSurvives(t *testing.T) {
	fs := fixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		f := fs[rapid.IntRange(0, len(fs)-1).Draw(t, "platform")]
		s, _ := f.get("secrets")
		bs := blocks(s)
		b := bs[rapid.IntRange(0, len(bs)-1).Draw(t, "block")]
		planted := rapid.StringMatching(`[A-F][0-9A-F]{9,20}`).Draw(t, "planted")
		text := marked.ReplaceAllStringFunc(b, func(v string) string {
			// Where a kind of hash tells what it is, it keeps telling.
			for _, head := range []string{"$1$", "$5$", "$6$", "$8$", "$9$", "SH2", "ENC "} {
				if strings.HasPrefix(v, "«"+head) {
					return head + planted
				}
			}
			if strings.Contains(v, " ") {
				return planted + " " + planted
			}
			return planted
		})
		text = unmarked(text)
		for name, got := range map[string][]byte{"Redact": f.def.Redact([]byte(text), testKey), "Mask": f.def.Mask([]byte(text))} {
			if bytes.Contains(got, []byte(planted)) {
				t.Fatalf("%s, %s leaves it:\n%s", f.def.Name, name, got)
			}
		}
	})
}

func TestTokenChangesWithTheSecretAndNothingElse(t *testing.T) {
	d, _ := definitions(t).ByName("arista_eos")
	redact := func(secret, key string) string {
		return string(d.Redact([]byte("username ops secret sha512 "+secret+"\n"), []byte(key)))
	}
	a, again, b, rekeyed := redact("$6$a$FAKE", "k1"), redact("$6$a$FAKE", "k1"), redact("$6$b$FAKE", "k1"), redact("$6$a$FAKE", "k2")
	if !regexp.MustCompile(`^username ops secret sha512 ‹secret [0-9a-f]{8}›\n$`).MatchString(a) {
		t.Errorf("Redact() = %q", a)
	}
	if a != again || a == b || a == rekeyed {
		t.Errorf("tokens: %q, again %q, other secret %q, other key %q", a, again, b, rekeyed)
	}
	if got := string(Outward([]byte(a))); got != "username ops secret sha512 ‹secret›\n" {
		t.Errorf("Outward() = %q", got)
	}
}

func TestReencryptedValuesHaveNoDigest(t *testing.T) {
	d, _ := definitions(t).ByName("fortinet_fortios")
	for _, line := range []string{"        set psksecret ENC AAAA\n", "        set psksecret ENC BBBB\n"} {
		if got := string(d.Redact([]byte(line), testKey)); got != "        set psksecret ENC ‹secret›\n" {
			t.Errorf("Redact(%q) = %q", line, got)
		}
	}
}

func TestRedactingTwiceChangesNothing(t *testing.T) {
	for _, f := range fixtures(t) {
		secrets, _ := f.get("secrets")
		for _, text := range append(blocks(secrets), string(f.running())) {
			once := f.def.Redact([]byte(unmarked(text)), testKey)
			if twice := f.def.Redact(once, testKey); !bytes.Equal(once, twice) {
				t.Errorf("%s: %s", f.def.Name, firstDifference(string(once), string(twice)))
			}
			out := Outward(once)
			if got := f.def.Redact(out, testKey); !bytes.Equal(out, got) {
				t.Errorf("%s, outward: %s", f.def.Name, firstDifference(string(out), string(got)))
			}
		}
	}
}
