package collector

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"muster/internal/secret"
)

func TestErrorTellsDeviceStepSightAndMend(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.7:22")
	tests := map[string]struct {
		err  Error
		want string
	}{
		"all of it": {
			Error{Device: "edge-r1", Addr: addr, Step: StepEnable, Kind: ErrTimedOut, Seen: "Password: ", Do: "Store an enable secret: muster secret set noc-enable"},
			`edge-r1 (192.0.2.7:22) at enable: timed out; the device said "Password: ". Store an enable secret: muster secret set noc-enable`,
		},
		"no name yet":          {Error{Addr: addr, Step: StepConnect, Kind: ErrRefused}, "192.0.2.7:22 at connect: refused"},
		"name only":            {Error{Device: "r1", Step: StepLogin, Kind: ErrCredentialStopped}, "r1 at login: credential stopped"},
		"nothing known":        {Error{Step: "ifTable", Kind: ErrTimedOut}, "device at ifTable: timed out"},
		"IPv6":                 {Error{Addr: netip.MustParseAddrPort("[2001:db8::1]:22"), Step: StepConnect, Kind: ErrUnreachable}, "[2001:db8::1]:22 at connect: unreachable"},
		"a name from a device": {Error{Device: "r1\x1b[2J", Step: StepPrompt, Kind: ErrNoPrompt}, `r1\x1b[2J at prompt: no prompt`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() =\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestKindIsAskedByValue(t *testing.T) {
	err := fmt.Errorf("read startup config: %w", &Error{Step: StepOutput, Kind: ErrClosed, Cause: io.ErrUnexpectedEOF})
	if !errors.Is(err, ErrClosed) || errors.Is(err, ErrTimedOut) {
		t.Errorf("errors.Is does not follow the kind of %v", err)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	for name, tt := range map[string]struct {
		err  error
		want Kind
	}{
		"an Error":      {err, ErrClosed},
		"a bare kind":   {fmt.Errorf("dial: %w", ErrTimedOut), ErrTimedOut},
		"another error": {io.EOF, ""},
		"none":          {nil, ""},
	} {
		if got := KindOf(tt.err); got != tt.want {
			t.Errorf("%s: KindOf = %q, want %q", name, got, tt.want)
		}
	}
}

func TestErrorSurvivesJSON(t *testing.T) {
	in := Error{Device: "r1", Addr: netip.MustParseAddrPort("192.0.2.7:22"), Step: StepLogin, Kind: ErrLoginRejected, Seen: "x", Do: "y", Cause: errors.New("of the library")}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Error
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if in.Cause = nil; out != in {
		t.Errorf("%+v, want %+v", out, in)
	}
	if strings.Contains(string(b), "of the library") {
		t.Errorf("the cause is in %s", b)
	}
}

func TestSeen(t *testing.T) {
	pw := secret.New("hunter2")
	long := strings.Repeat("x", 300)
	tests := map[string]struct {
		text    string
		secrets []secret.Value
		want    string
	}{
		"short":                     {"Password: ", nil, "Password:"},
		"empty":                     {"", nil, ""},
		"the last bytes":            {long + "end", nil, strings.Repeat("x", SeenLimit-3) + "end"},
		"escapes":                   {"a\x1b[2J\r\nb\x00", nil, `a\x1b[2J\r\nb\x00`},
		"masked":                    {"user hunter2 hunter2", []secret.Value{pw}, "user ‹secret› ‹secret›"},
		"masked before the cut":     {"hunter2" + strings.Repeat("x", SeenLimit-3), []secret.Value{pw}, strings.Repeat("x", SeenLimit-3)},
		"no half rune at the start": {"é" + strings.Repeat("x", SeenLimit-1), nil, strings.Repeat("x", SeenLimit-1)},
		"an empty secret":           {"abc", []secret.Value{{}}, "abc"},
		"one letter is no secret":   {"abc", []secret.Value{secret.New("b")}, "abc"},
		"invalid UTF-8":             {"caf\xe9", nil, `caf\xe9`},
		// Whoever masks it has to see that its first line is the end of one.
		"cut before blank lines":  {long + "end\n\n\n\n\n\n", nil, strings.Repeat("x", SeenLimit-3) + "end"},
		"cut before an indent":    {long + strings.Repeat(" ", SeenLimit-3) + "end", nil, strings.Repeat(" ", SeenLimit-3) + "end"},
		"cut in what is no UTF-8": {long + strings.Repeat("\xb0", 9) + strings.Repeat("x", SeenLimit-9), nil, strings.Repeat(`\xb0`, 6) + strings.Repeat("x", SeenLimit-9)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Seen([]byte(tt.text), tt.secrets...)
			if name == "masked before the cut" {
				if strings.Contains(got, "hunter2") || strings.Contains(got, "unter2") {
					t.Errorf("half a secret is left: %q", got)
				}
				return
			}
			if got != tt.want {
				t.Errorf("Seen = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":         "plain text",
		"café – 東京":          "café – 東京",
		"a\tb\r\nc":          `a\tb\r\nc`,
		"\x07\x7f":           `\x07\x7f`,
		"\u202eevil\u2066":   `\u202eevil\u2066`,
		"\u009b31m":          `\u009b31m`,
		"\xff\xfe":           `\xff\xfe`,
		"\u2028\ufeff\u00a0": `\u2028\ufeff\u00a0`,
		"":                   "",
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSeen(f *testing.F) {
	f.Add([]byte("Password: hunter2\x1b[2J"), "hunter2")
	f.Add([]byte("\xe2\x80"), "é")
	f.Add([]byte(strings.Repeat("é", 200)), "")
	f.Fuzz(func(t *testing.T, text []byte, pw string) {
		got := Seen(text, secret.New(pw))
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q holds %q", got, r)
			}
		}
		if plain := Escape(pw); len(pw) >= 2 && plain == pw && !strings.Contains("‹secret›", pw) && !strings.ContainsAny(pw, `\x`) &&
			strings.Count(string(text), pw) == 1 && strings.Contains(got, pw) && !strings.Contains(strings.ReplaceAll(string(text), pw, "‹secret›"), pw) {
			t.Errorf("the secret %q is in %q", pw, got)
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;x\x07\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("Escape(%q) holds %q", s, r)
			}
		}
		if Escape(got) != got {
			t.Errorf("Escape is not stable on %q", got)
		}
	})
}
