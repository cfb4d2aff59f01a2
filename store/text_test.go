package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/secret"
)

// config makes a configuration of about n bytes that compresses as real ones
// do; seed makes it another device's.
func config(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	fmt.Fprintf(&b, "hostname r%d\n", seed)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "interface GigabitEthernet%d/0/%d\n description to %x port %d\n ip address 10.%d.%d.%d 255.255.255.0\n service-policy output shape-%d\n no ip redirects\n!\n",
			i/48, i%48, r.Uint32(), r.IntN(48), r.IntN(255), r.IntN(255), r.IntN(255), r.IntN(20))
	}
	return b.Bytes()
}

// changed replaces one line in the middle and adds one.
func changed(text []byte, n int) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	at := (len(lines)/3 + 97*n) % len(lines)
	lines[at] = fmt.Sprintf(" description changed in night %d\n", n)
	return []byte(strings.Join(lines, "") + fmt.Sprintf("ntp server 192.0.2.%d\n", n))
}

func TestSmallChangeCostsUnderOneKilobyteAndTwoWithRaw(t *testing.T) {
	s := openNew(t)
	for size, nights := range map[int]int{65 << 10: keyframeEvery, 1 << 20: 3} {
		redacted := bytes.ReplaceAll(config(size, 1), []byte("no ip redirects"), []byte("key ‹secret 3f9a21c4›"))
		blob, whole, err := packRedacted(keyframe{}, redacted)
		if err != nil || !whole {
			t.Fatalf("first text: whole %t, %v", whole, err)
		}
		frame := keyframe{Text: redacted, Size: len(blob)}
		for night := 1; night <= nights; night++ {
			redacted = changed(redacted, night)
			blob, whole, err := packRedacted(frame, redacted)
			if err != nil || whole {
				t.Fatalf("night %d: whole %t, %v", night, whole, err)
			}
			// Five secrets and a line with the time are what raw has more.
			raw := append([]byte("! Last configuration change at 04:20:11 UTC\n"), redacted...)
			for i := range 5 {
				raw = bytes.Replace(raw, []byte("‹secret 3f9a21c4›"), fmt.Appendf(nil, "FAKE-%d-0123456789abcdef", i), 1)
			}
			sealed, err := s.packRaw(redacted, raw, "17")
			if err != nil {
				t.Fatal(err)
			}
			// After 30 nights of changes the difference to the key frame is no small one.
			if limit := 1000 * (night + 9) / 10; night == 1 && (len(blob) >= 1000 || len(blob)+len(sealed) >= 2000) || len(blob) > limit {
				t.Errorf("%d bytes, night %d: redacted takes %d bytes, raw %d", size, night, len(blob), len(sealed))
			}
			if night == 1 {
				t.Logf("%d bytes, one line changed and one added: redacted %d, raw with five secrets %d, key frame %d", size, len(blob), len(sealed), frame.Size)
			}
			got, err := unpackRedacted(blob, frame.Text)
			if err != nil || !bytes.Equal(got, redacted) {
				t.Fatalf("redacted text is not what it was (%v)", err)
			}
			got, err = s.unpackRaw(sealed, redacted, "17")
			if err != nil || !bytes.Equal(got, raw) {
				t.Fatalf("raw text is not what it was (%v)", err)
			}
			frame.Since++
		}
		frame.Since = keyframeEvery
		if _, whole, err := packRedacted(frame, changed(redacted, 99)); err != nil || !whole {
			t.Errorf("text %d against one key frame: whole %t, %v", frame.Since+1, whole, err)
		}
		if _, whole, err := packRedacted(keyframe{Text: frame.Text, Size: frame.Size}, config(size, 2)); err != nil || !whole {
			t.Errorf("another configuration altogether: whole %t, %v", whole, err)
		}
	}
}

func TestEmptyAndOddTextsSurvive(t *testing.T) {
	s := openNew(t)
	for name, text := range map[string][]byte{
		"empty": {}, "one byte": {0}, "no line end": []byte("end"), "binary": {0xff, 0, 0x80, '\n', 0},
	} {
		for baseName, base := range map[string][]byte{"alone": nil, "tiny base": []byte("x"), "base": []byte("hostname r1\nend\n")} {
			blob, whole, err := packRedacted(keyframe{Text: base, Size: 1 << 20}, text)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, baseName, err)
			}
			against := base
			if whole {
				against = nil
			}
			got, err := unpackRedacted(blob, against)
			if err != nil || !bytes.Equal(got, text) || got == nil {
				t.Errorf("%s, %s: %q (%v)", name, baseName, got, err)
			}
			sealed, err := s.packRaw(base, text, "1")
			if err != nil {
				t.Fatal(err)
			}
			if got, err = s.unpackRaw(sealed, base, "1"); err != nil || !bytes.Equal(got, text) {
				t.Errorf("raw of %s, %s: %q (%v)", name, baseName, got, err)
			}
		}
	}
}

func TestRawTextOpensForItsOwnRowOnly(t *testing.T) {
	s := openNew(t)
	raw := []byte("username noc password FAKE-hunter2\n")
	sealed, err := s.packRaw(nil, raw, "17")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("FAKE-hunter2")) {
		t.Error("the sealed text shows the password")
	}
	if _, err := s.unpackRaw(sealed, nil, "18"); !errors.Is(err, secret.ErrDamaged) {
		t.Errorf("another row opened it: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := s.unpackRaw(bad, nil, "17"); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", i)
		}
	}
}

func TestWrongKeyFrameIsNoticed(t *testing.T) {
	base := config(20000, 1)
	blob, whole, err := packRedacted(keyframe{Text: base, Size: 1 << 20}, changed(base, 1))
	if err != nil || whole {
		t.Fatalf("whole %t, %v", whole, err)
	}
	if _, err := unpackRedacted(blob, config(20000, 2)); err == nil {
		t.Error("a wrong key frame gave a text")
	}
	if _, err := unpackRedacted(blob, nil); err == nil {
		t.Error("no key frame gave a text")
	}
}

func TestFrameThatClaimsTooMuchIsRefused(t *testing.T) {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := e.EncodeAll(make([]byte, textMax+1), nil)
	if _, err := unpackRedacted(bomb, nil); !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		t.Errorf("%d bytes gave over %d: %v", len(bomb), textMax, err)
	}
	if _, err := compress(nil, make([]byte, textMax+1)); err == nil {
		t.Error("a text over the limit was packed")
	}
}

func TestAddressTellsTextsApartAndNothingElse(t *testing.T) {
	s, other := openNew(t), openNew(t)
	a := s.textAddress("redacted", []byte("x"))
	if !bytes.Equal(a, s.textAddress("redacted", []byte("x"))) {
		t.Error("one text has two addresses")
	}
	for name, b := range map[string][]byte{
		"another text":      s.textAddress("redacted", []byte("y")),
		"another kind":      s.textAddress("raw", []byte("x")),
		"another directory": other.textAddress("redacted", []byte("x")),
	} {
		if bytes.Equal(a, b) {
			t.Errorf("%s has the same address", name)
		}
	}
}
