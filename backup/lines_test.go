package backup

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// patch applies a unified diff to a text, strictly: what the diff says must be
// what is there.
func patch(a, diff []byte) ([]byte, error) {
	src, out := splitLines(a), [][]byte(nil)
	at := 0
	lines := splitLines(diff)
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if i < 2 && (bytes.HasPrefix(l, []byte("--- ")) || bytes.HasPrefix(l, []byte("+++ "))) {
			continue
		}
		if bytes.HasPrefix(l, []byte("@@ -")) {
			span, _, _ := strings.Cut(string(l[4:]), " ")
			from, count, counted := strings.Cut(span, ",")
			start, err := strconv.Atoi(from)
			if err != nil {
				return nil, err
			}
			if !counted || count != "0" {
				start--
			}
			if start < at || start > len(src) {
				return nil, fmt.Errorf("hunk starts at line %d after %d of %d", start, at, len(src))
			}
			out = append(out, src[at:start]...)
			at = start
			continue
		}
		text := l[1:]
		if i+1 < len(lines) && lines[i+1][0] == '\\' {
			text = bytes.TrimSuffix(text, []byte{'\n'})
			i++
		}
		if l[0] != '+' {
			if at >= len(src) || !bytes.Equal(src[at], text) {
				return nil, fmt.Errorf("line %d is not %q", at, text)
			}
			at++
		}
		if l[0] != '-' {
			out = append(out, text)
		}
	}
	return bytes.Join(append(out, src[at:]...), nil), nil
}

func asIs(l []byte) []byte { return l }

func unified(t testing.TB, a, b []byte) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := newDifference(a, b).writeTo(&w, "a", "b", nil, asIs); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// config makes a text of n lines as a configuration has them: blocks whose
// inner lines repeat.
func config(r *rand.Rand, n int) [][]byte {
	lines := make([][]byte, 0, n)
	for len(lines) < n {
		switch r.IntN(6) {
		case 0:
			lines = append(lines, fmt.Appendf(nil, "interface Gi1/0/%d\n", r.IntN(n)))
		case 1:
			lines = append(lines, []byte("!\n"))
		default:
			lines = append(lines, fmt.Appendf(nil, " word %d\n", r.IntN(1+n/10)))
		}
	}
	return lines
}

// edited changes about edits places of lines.
func edited(r *rand.Rand, lines [][]byte, edits int) [][]byte {
	out := make([][]byte, 0, len(lines)+edits)
	for i, l := range lines {
		if r.IntN(len(lines)-i) >= edits {
			out = append(out, l)
			continue
		}
		edits--
		switch r.IntN(3) {
		case 0: // removed
		case 1:
			out = append(out, fmt.Appendf(nil, " changed %d\n", r.IntN(50)))
		default:
			out = append(out, l, fmt.Appendf(nil, " word %d\n", r.IntN(50)))
		}
	}
	return out
}

func TestPatchOfDiffGivesTheOtherText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		lines := config(r, 1+r.IntN(300))
		a := bytes.Join(lines, nil)
		b := bytes.Join(edited(r, lines, r.IntN(40)), nil)
		if r.IntN(4) == 0 {
			a = bytes.TrimSuffix(a, []byte{'\n'})
		}
		if r.IntN(4) == 0 {
			b = bytes.TrimSuffix(b, []byte{'\n'})
		}
		diff := unified(t, a, b)
		got, err := patch(a, diff)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("pair %d: patch(a, diff) is not b: %v\n%s", i, err, diff)
		}
		if bytes.Equal(a, b) != (len(diff) == 0) {
			t.Fatalf("pair %d: equal %t, diff of %d bytes", i, bytes.Equal(a, b), len(diff))
		}
	}
}

// The search that is given up for its cost is still right.
func TestDiffOfUnrelatedTextsIsRightAndEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var a, b bytes.Buffer
	for range 30000 {
		fmt.Fprintf(&a, "line %d\n", r.IntN(40))
		fmt.Fprintf(&b, "line %d\n", r.IntN(40))
	}
	got, err := patch(a.Bytes(), unified(t, a.Bytes(), b.Bytes()))
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Fatalf("patch(a, diff) is not b: %v", err)
	}
}

func TestDiffIsAboutAsShortAsGNUDiff(t *testing.T) {
	gnu, err := exec.LookPath("diff")
	if err != nil {
		t.Log("no diff(1) here: only our own bound is tested")
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, size := range []struct{ lines, edits int }{{50, 5}, {2000, 500}, {20000, 500}, {20000, 4000}} {
		lines := config(r, size.lines)
		a, b := bytes.Join(lines, nil), bytes.Join(edited(r, lines, size.edits), nil)
		d := newDifference(a, b)
		_, removed := d.counts()
		if removed > size.edits {
			t.Errorf("%d lines, %d edits: %d removed lines", size.lines, size.edits, removed)
		}
		if gnu == "" {
			continue
		}
		dir := t.TempDir()
		fa, fb := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		if err := os.WriteFile(fa, a, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fb, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), gnu, "-u", fa, fb).Output()
		if len(out) == 0 {
			t.Fatalf("diff: %v", err)
		}
		theirs := 0
		for _, l := range splitLines(out)[2:] {
			if l[0] == '-' {
				theirs++
			}
		}
		if float64(removed) > 1.05*float64(theirs) {
			t.Errorf("%d lines, %d edits: %d removed lines, diff(1) has %d", size.lines, size.edits, removed, theirs)
		}
		// And diff(1) reads ours as its sibling patch(1) would.
		if got, err := patch(a, out); err != nil || !bytes.Equal(got, b) {
			t.Errorf("our reader of patches does not read diff(1): %v", err)
		}
	}
}

func TestAddedBlockIsShownFromItsHead(t *testing.T) {
	a := "interface Gi1\n mtu 9000\n exit\n!\ninterface Gi3\n mtu 9000\n exit\n!\n"
	b := "interface Gi1\n mtu 9000\n exit\n!\ninterface Gi2\n mtu 9000\n exit\n!\ninterface Gi3\n mtu 9000\n exit\n!\n"
	want := "--- a\n+++ b\n@@ -2,6 +2,10 @@\n  mtu 9000\n  exit\n !\n+interface Gi2\n+ mtu 9000\n+ exit\n+!\n interface Gi3\n  mtu 9000\n  exit\n"
	if got := string(unified(t, []byte(a), []byte(b))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSecretsInDiffs(t *testing.T) {
	tests := map[string]struct{ a, b, want string }{
		"changed alone": {
			"user ops ‹secret aa11›\n", "user ops ‹secret bb22›\n",
			"-user ops ‹secret changed›\n+user ops ‹secret changed›\n"},
		"same beside a change": {
			"neighbor x password ‹secret aa11› a\n", "neighbor x password ‹secret aa11› b\n",
			"-neighbor x password ‹secret same› a\n+neighbor x password ‹secret same› b\n"},
		"without digest it is not known": {
			"set key ‹secret› a\n", "set key ‹secret› b\n",
			"-set key ‹secret› a\n+set key ‹secret› b\n"},
		"added": {"x\n", "x\nuser new ‹secret cc33›\n", " x\n+user new ‹secret›\n"},
		"unchanged beside a change": {
			"user ops ‹secret aa11›\nx\n", "user ops ‹secret aa11›\ny\n",
			" user ops ‹secret›\n-x\n+y\n"},
		"order of lines does not mix secrets up": {
			"user a ‹secret aa11›\nuser b ‹secret bb22›\n", "user b ‹secret cc33›\nuser a ‹secret dd44›\n",
			"-user a ‹secret changed›\n-user b ‹secret changed›\n+user b ‹secret changed›\n+user a ‹secret changed›\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var w bytes.Buffer
			err := newDifference([]byte(tt.a), []byte(tt.b)).writeTo(&w, "a", "b", remark, outwardLine)
			if err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(w.String(), "@@\n")
			if got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte("a\nb\nc\n"), []byte("a\nc\nd"))
	f.Add([]byte(""), []byte("x"))
	f.Add([]byte("a\nb\na\nb\na\n"), []byte("b\na\nb\na\nb\n"))
	f.Add([]byte("\n\n\n"), []byte("\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got, err := patch(a, unified(t, a, b))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("patch(%q, diff) = %q, %v, want %q", a, got, err, b)
		}
	})
}
