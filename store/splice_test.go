package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// unlike are texts as they are packed against base in the course of a night.
func unlike(base []byte) map[string][]byte {
	lines := strings.SplitAfter(string(base), "\n")
	join := func(parts ...[]string) []byte {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(strings.Join(p, ""))
		}
		return []byte(b.String())
	}
	mid := len(lines) / 2
	return map[string][]byte{
		"the same":            base,
		"a header in front":   append([]byte("Using 65012 out of 524288 bytes\n!\n! Last configuration change\n"), base...),
		"the first lines off": join(lines[3:]),
		"lines off":           join(lines[:mid], lines[mid+7:]),
		"lines more":          join(lines[:mid], []string{"!\n", "vlan 17\n", " name lab\n", "!\n"}, lines[mid:]),
		"a word changed":      bytes.Replace(base, []byte(lines[mid]), []byte(strings.Replace(lines[mid], " ", " other ", 1)), 1),
		"the end off":         join(lines[:len(lines)-4]),
		"cut in a line":       base[:len(base)-5],
		"more at the end":     append(bytes.Clone(base), "ntp server 192.0.2.1\nend"...),
	}
}

func TestSpliceGivesTheTextBack(t *testing.T) {
	t.Parallel()
	base := config(65<<10, 1)
	for name, text := range unlike(base) {
		blob, ok, err := splice(base, text)
		if err != nil || !ok {
			t.Errorf("%s: it is no splice (%v)", name, err)
			continue
		}
		if len(blob) > 300 {
			t.Errorf("%s takes %d bytes", name, len(blob))
		}
		if got, err := unsplice(base, blob); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: the text is not what it was (%v)", name, err)
		}
		for i := range blob[1:] { // its mark tells what it is
			bad := bytes.Clone(blob)
			bad[i+1] ^= 0x15
			if got, err := unsplice(base, bad); err == nil && !bytes.Equal(got, text) {
				t.Errorf("%s: byte %d was changed and nobody noticed", name, i+1)
			}
			if _, err := unsplice(base, blob[:i+1]); err == nil {
				t.Errorf("%s: it was cut at byte %d and nobody noticed", name, i+1)
			}
		}
		if _, err := unsplice(config(65<<10, 2), blob); err == nil {
			t.Errorf("%s: a wrong base gave a text", name)
		}
	}
}

// What has little to do with its base is left to zstd; a hundred secrets are not.
func TestSpliceIsShortOrNone(t *testing.T) {
	t.Parallel()
	base := config(65<<10, 1)
	if _, ok, err := splice(base, config(65<<10, 2)); ok || err != nil {
		t.Errorf("another device's text is a splice (%v)", err)
	}
	hidden := bytes.ReplaceAll(base, []byte("no ip redirects"), []byte("key ‹secret 3f9a21c4›"))
	shown := hidden
	for n := range 100 {
		shown = bytes.Replace(shown, []byte("‹secret 3f9a21c4›"), fmt.Appendf(nil, "FAKE-%d-0123456789abcdef", n), 1)
	}
	blob, ok, err := splice(hidden, shown)
	if err != nil || !ok || len(blob) > 1500 {
		t.Errorf("a hundred secrets take %d bytes, a splice %t (%v)", len(blob), ok, err)
	}
	if got, err := unsplice(hidden, blob); err != nil || !bytes.Equal(got, shown) {
		t.Errorf("the text is not what it was (%v)", err)
	}
}

func FuzzSplice(f *testing.F) {
	base := config(2000, 1)
	for _, text := range unlike(base) {
		f.Add(base, text)
	}
	f.Add([]byte("!\n!\n!\n"), []byte("!\n!\n"))
	f.Add([]byte("a\nb"), []byte("b"))
	f.Add([]byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, base, text []byte) {
		blob, ok, err := splice(base, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unsplice(base, blob); ok && (err != nil || !bytes.Equal(got, text)) {
			t.Errorf("%q is not what it was (%v)", got, err)
		}
		_, _ = unsplice(base, text) // any bytes: a text or an error
	})
}

func BenchmarkSplice(b *testing.B) {
	for _, size := range []int{65 << 10, 20 << 20} {
		base := config(size, 1)
		text := unlike(base)["a header in front"]
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, ok, err := splice(base, text); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
