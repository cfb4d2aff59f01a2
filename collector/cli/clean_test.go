package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// cleaned is text as the cleaner makes it, fed in the given pieces.
func cleaned(pieces ...string) string {
	var c cleaner
	for _, p := range pieces {
		c.feed([]byte(p))
	}
	return string(append(c.take(), c.line()...))
}

var cleanings = map[string]struct{ in, want string }{
	"plain":                         {"a\r\nb\r\n", "a\nb\n"},
	"lone line feeds":               {"a\nb\n", "a\nb\n"},
	"CR CR LF":                      {"a\r\r\nb\r\r\n", "a\nb\n"},
	"blanks at the end stay":        {"a  \r\n  \r\nb \r\n", "a  \n  \nb \n"},
	"blanks before CR CR LF stay":   {"a  \r\r\n", "a  \n"},
	"tab stays":                     {"a\tb\t\r\n", "a\tb\t\n"},
	"NUL, BEL and DEL vanish":       {"\x00a\x00b\x07c\x7f\r\x00\n", "abc\n"},
	"other control bytes stay":      {"banner \x03text\x03\r\n", "banner \x03text\x03\n"},
	"backspace overwrites":          {"shaw\b\bow run\r\n", "show run\n"},
	"erased by backspace":           {"abc\b \b\b \b\r\n", "a\n"},
	"CR overwrites":                 {"12345\rab\r\n", "ab345\n"},
	"progress on one line":          {"10%\r20%\r100%\r\n", "100%\n"},
	"redrawn with trailing blanks":  {"abc  \rabc  \r\n", "abc  \n"},
	"colours":                       {"\x1b[1;31mred\x1b[0m\r\n", "red\n"},
	"title, ended by BEL":           {"\x1b]0;title\x07text\r\n", "text\n"},
	"title, ended by ST":            {"\x1b]0;title\x1b\\text\r\n", "text\n"},
	"title never ended":             {"\x1b]0;title\r\nline\r\n", "\nline\n"},
	"device control string":         {"\x1bPq#0\x1b\\text\r\n", "text\n"},
	"character set":                 {"\x1b(Btext\x1b)0\r\n", "text\n"},
	"private modes":                 {"\x1b[?2004h\x1b[?25lx\x1b[>4;1m\r\n", "x\n"},
	"keypad":                        {"\x1b=\x1b>x\r\n", "x\n"},
	"EOS pager":                     {"a\r\n\x1b[7m --More-- \x1b[27m\r\x1b[Kb\r\n", "a\nb\n"},
	"Junos pager":                   {"a\r\n---(more)---\r" + strings.Repeat(" ", 40) + "\rb  \r\n", "a\nb  \n"},
	"FortiOS pager":                 {"a\r\n--More-- \r         \r\r\nb\r\n", "a\n\nb\n"},
	"VRP pager":                     {"a\r\n  ---- More ----\x1b[16D                \x1b[16Db\r\n", "a\nb\n"},
	"erase to the end of line":      {"abcdef\x1b[3D\x1b[K\r\n", "abc\n"},
	"erase the line":                {"abcdef\x1b[2K\rxy\r\n", "xy\n"},
	"erase to the cursor":           {"abcdef\x1b[3D\x1b[1Kx\r\n", "   xef\n"},
	"delete characters":             {"abcdef\r\x1b[2Px\r\n", "xdef\n"},
	"insert characters":             {"def\r\x1b[3@abc\r\n", "abcdef\n"},
	"erase characters":              {"abcdef\r\x1b[2X\r\n", "  cdef\n"},
	"cursor right":                  {"a\x1b[3Cb\r\n", "a   b\n"},
	"cursor right leaves no text":   {"a\x1b[30C\r\n", "a\n"},
	"cursor to a column":            {"abcdef\x1b[2Gx\r\n", "axcdef\n"},
	"cursor to a place":             {"\x1b[24;1Habc\x1b[24;1H\x1b[24;4Hd\r\n", "abcd\n"},
	"next line":                     {"ab\x1bEcd\r\n", "ab\ncd\n"},
	"save and restore":              {"ab\x1b7cd\x1b8x\r\n", "abxd\n"},
	"UTF-8 stays":                   {"description café – ok\r\n", "description café – ok\n"},
	"Latin-1 stays":                 {"caf\xe9\r\n", "caf\xe9\n"},
	"overwriting UTF-8":             {"née\rnéo\r\n", "néo\n"},
	"backspace over UTF-8":          {"né\b\be\r\n", "eé\n"},
	"C1 bytes are no control":       {"x\u009b1my\r\n", "x\u009b1my\n"},
	"an unfinished line":            {"a\r\nr1# ", "a\nr1# "},
	"prompt redrawn":                {"r1# \rr1# ", "r1# "},
	"parameters that are too large": {"a\x1b[99999999999999999D\x1b[9;9;9;9;9mb\r\n", "b\n"},
}

func TestCleaner(t *testing.T) {
	for name, tt := range cleanings {
		t.Run(name, func(t *testing.T) {
			if got := cleaned(tt.in); got != tt.want {
				t.Errorf("cleaned(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// A line editor that comes to the last column goes to the next row by a blank
// and CR. The line is one all the same.
func TestRowsOfOneLineAreOneLine(t *testing.T) {
	c := cleaner{width: 10}
	c.feed([]byte("r1# show r \running-con \rfig\r\n1234567890\r\n12345678901\rx\r\n"))
	if got, want := string(c.take()), "r1# show running-config\n1234567890\nx2345678901\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// However the bytes are cut into reads, the text is the same.
func TestCleanerSplitAtEveryPosition(t *testing.T) {
	for name, tt := range cleanings {
		whole := cleaned(tt.in)
		for i := range len(tt.in) {
			if got := cleaned(tt.in[:i], tt.in[i:]); got != whole {
				t.Errorf("%s: split at %d gives %q, whole %q", name, i, got, whole)
			}
		}
		if got := cleaned(strings.Split(tt.in, "")...); got != whole && utf8.ValidString(tt.in) {
			t.Errorf("%s: byte by byte gives %q, whole %q", name, got, whole)
		}
	}
}

// A pager leaves nothing, whatever the device does with its prompt afterwards.
func TestAnsweredPagerLeavesNothing(t *testing.T) {
	bs := func(n int) string { return strings.Repeat("\b", n) }
	sp := func(n int) string { return strings.Repeat(" ", n) }
	wipes := map[string]string{
		"backspaces, one cell short": bs(9) + sp(8) + bs(9),
		"backspaces":                 bs(10) + sp(10) + bs(10),
		"each cell by itself":        strings.Repeat("\b \b", 10),
		"CR and blanks":              "\r" + sp(10) + "\r",
		"CR and more blanks":         "\r" + sp(40) + "\r",
		"erase":                      "\r\x1b[K",
		"cursor left":                "\x1b[10D" + sp(10) + "\x1b[10D",
		"CR only":                    "\r",
	}
	lines := map[string]string{"": "", "x": "x", "two blanks behind": "!  ", "longer": "interface Ethernet1/1", "blanks before": "  shutdown"}
	for name, wipe := range wipes {
		for what, line := range lines {
			if name == "CR only" && len(line) < 10 && what != "" {
				continue // what is not overwritten stays on a real terminal too; we drop it
			}
			var c cleaner
			c.feed([]byte("a\r\n --More-- "))
			c.wipe(0, 10)
			c.feed([]byte(wipe + line + "\r\nz\r\n"))
			if got, want := string(c.take()), "a\n"+line+"\nz\n"; got != want {
				t.Errorf("%s, then %q: %q, want %q", name, line, got, want)
			}
		}
	}
	var c cleaner
	c.feed([]byte("a\r\n--More--"))
	c.wipe(0, 8)
	c.feed([]byte("\r\nb\r\n"))
	if got := string(c.take()); got != "a\nb\n" {
		t.Errorf("the pager's own line end: %q", got)
	}
}

// Sixteen times the bytes take about sixteen times as long, not the square of it.
func TestCleanerIsLinear(t *testing.T) {
	worst := map[string]string{
		"config":     strings.Repeat(" ip address 192.0.2.1 255.255.255.0\r\n", 1000),
		"one line":   strings.Repeat("x", 40000),
		"returns":    strings.Repeat("abc\r", 10000),
		"backspaces": strings.Repeat("abc\b\b\b", 6000),
		"wiped":      strings.Repeat("\b \b", 12000),
		"no end":     "\x1b]" + strings.Repeat("y", 40000),
	}
	took := func(piece string, size int) time.Duration {
		var c cleaner
		start := time.Now()
		for range size / len(piece) {
			c.feed([]byte(piece))
		}
		return time.Since(start)
	}
	for name, piece := range worst {
		small := max(took(piece, 1<<20), time.Millisecond)
		large := took(piece, 16<<20)
		for try := 0; try < 20 && large > 80*small; try++ { // the machine may have had something else to do
			large = took(piece, 16<<20)
		}
		if large > 80*small {
			t.Errorf("%s: 1 MB took %v, 16 MB %v", name, small, large)
		}
	}
}

func FuzzCleaner(f *testing.F) {
	for _, tt := range cleanings {
		f.Add([]byte(tt.in), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var whole, split cleaner
		whole.feed(in)
		if cut = max(cut, 0); cut > len(in) {
			cut = len(in)
		}
		split.feed(in[:cut])
		split.line()
		split.feed(in[cut:])
		a, b := whole.take(), split.take()
		if !bytes.Equal(a, b) || !bytes.Equal(whole.line(), split.line()) {
			t.Errorf("split at %d: %q + %q, whole %q + %q", cut, b, split.line(), a, whole.line())
		}
		for _, out := range [][]byte{a, whole.line()} {
			if bytes.ContainsAny(out, "\x00\x07\x08\x0d\x1b\x7f") {
				t.Errorf("a control byte is left in %q", out)
			}
		}
	})
}
