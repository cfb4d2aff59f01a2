package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKeyFileGivesTheKeyBack(t *testing.T) {
	k := NewKey()
	if k.IsZero() || (Key{}).IsZero() == false {
		t.Error("a new key counts as none, or none as one")
	}
	got, err := ParseKey(k.File())
	if err != nil || got != k {
		t.Fatalf("key file is not read back: %v", err)
	}
	windows := bytes.ReplaceAll(k.File(), []byte("\n"), []byte("\r\n"))
	if got, err := ParseKey(windows); err != nil || got != k {
		t.Errorf("line ends of another system: %v", err)
	}
	if !strings.Contains(string(k.File()), k.ID()) || len(k.ID()) != 16 {
		t.Errorf("the file does not name the key %s", k.ID())
	}
	if NewKey().ID() == k.ID() {
		t.Error("two keys have one ID")
	}
}

// keyLine is the line of a key file that is the key.
func keyLine(k Key) string {
	text := string(k.File())
	return strings.TrimSpace(text[strings.Index(text, keyPrefix):])
}

func TestBadKeyTextIsRefusedWithoutQuotingIt(t *testing.T) {
	line := keyLine(NewKey())
	body := strings.TrimPrefix(line, keyPrefix)
	for name, text := range map[string]string{
		"empty":          "",
		"comments only":  "# key\n\n",
		"no prefix":      body,
		"cut off":        line[:len(line)-5],
		"one byte less":  keyPrefix + body[4:],
		"not base64":     keyPrefix + "!" + body[1:],
		"two keys":       line + "\n" + line,
		"another format": "muster-key-9:" + body,
	} {
		_, err := ParseKey([]byte(text))
		if !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v, want ErrNoKey", name, err)
		} else if strings.Contains(err.Error(), body[4:20]) {
			t.Errorf("%s: the message quotes the key", name)
		}
	}
}

func TestSealedValueOpensWithItsKeyForItsRecordOnly(t *testing.T) {
	k, plain := NewKey(), []byte("FAKE-hunter2")
	sealed := k.Seal(plain, []byte("noc"))
	if bytes.Contains(sealed, plain) {
		t.Error("the sealed value shows the text")
	}
	if bytes.Equal(sealed, k.Seal(plain, []byte("noc"))) {
		t.Error("sealing twice gives the same bytes")
	}
	got, err := k.Open(sealed, []byte("noc"))
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("opened %q (%v)", got, err)
	}
	if id, err := SealedBy(sealed); err != nil || id != k.ID() {
		t.Errorf("sealed by %s (%v), want %s", id, err, k.ID())
	}
	if _, err := k.Open(sealed, []byte("enable")); !errors.Is(err, ErrDamaged) {
		t.Errorf("another record: %v", err)
	}
	if _, err := NewKey().Open(sealed, []byte("noc")); !errors.Is(err, ErrOtherKey) || !strings.Contains(err.Error(), k.ID()) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x80
		if _, err := k.Open(bad, []byte("noc")); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", i)
		}
		if _, err := k.Open(sealed[:i], []byte("noc")); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if got, err := k.Open(k.Seal(nil, nil), nil); err != nil || len(got) != 0 {
		t.Errorf("nothing, sealed: %q (%v)", got, err)
	}
}

func TestNeitherKeyNorValueIsEverPrinted(t *testing.T) {
	k, v := NewKey(), New("FAKE-hunter2")
	type holder struct {
		K Key
		V Value
	}
	h := holder{k, v}
	// What carries a secret in a field that is not exported: fmt asks nobody how to
	// print those.
	type carrier struct {
		h     holder
		value Value
		many  []Value
		key   *holder
	}
	c := carrier{h, v, []Value{v}, &h}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb, h)
		fmt.Fprintf(&b, verb, &h)
		fmt.Fprintf(&b, verb, c)
		fmt.Fprintf(&b, verb, &c)
		fmt.Fprintf(&b, verb, []carrier{c})
		fmt.Fprintf(&b, verb, k)
		fmt.Fprintf(&b, verb, v)
	}
	text, err := json.Marshal(map[string]any{"h": h, "p": &h})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&b, nil)), slog.New(slog.NewJSONHandler(&b, nil))} {
		log.Info("printed", "h", h, "c", c, "k", k, "v", v, "kp", &k, "err", fmt.Errorf("with %v: %w", v, errors.New("x")))
	}
	raw := fmt.Sprint(k.bytes())
	for _, leak := range []string{"hunter2", raw[1 : len(raw)-1], fmt.Sprintf("%x", k.bytes()), fmt.Sprintf("%X", "FAKE-hunter2"), fmt.Sprintf("%x", "FAKE-hunter2")} {
		if strings.Contains(b.String(), leak) {
			t.Errorf("printed: %s", b.String())
		}
	}
	if v != New("FAKE-hunter2") || v == New("FAKE-other") || New("") != (Value{}) {
		t.Error("values are not the same where their texts are")
	}
}

func TestDigestDependsOnKeyTextAndTheBordersOfParts(t *testing.T) {
	a := Digest([]byte("k"), []byte("ab"), []byte("c"))
	if !bytes.Equal(a, Digest([]byte("k"), []byte("ab"), []byte("c"))) || len(a) != 32 {
		t.Error("a digest is not the same twice, or not 32 bytes")
	}
	for name, other := range map[string][]byte{
		"key":     Digest([]byte("l"), []byte("ab"), []byte("c")),
		"text":    Digest([]byte("k"), []byte("ab"), []byte("d")),
		"borders": Digest([]byte("k"), []byte("a"), []byte("bc")),
		"number":  Digest([]byte("k"), []byte("abc")),
	} {
		if bytes.Equal(a, other) {
			t.Errorf("another %s gives the same digest", name)
		}
	}
}
