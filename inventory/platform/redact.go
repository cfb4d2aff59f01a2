package platform

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
)

// mark is what stands where a secret was, for people.
const mark = "‹secret›"

// find is one secret in a text.
type find struct {
	span
	class secretClass
}

// Redact replaces every secret in text by a token ‹secret DIGEST›, keyed with
// key so that an equal secret has an equal token and none can be guessed from
// one; a value that the device re-encrypts at each display, and what it is not
// safe to digest, gets ‹secret›. What the platform's rules do not know, the
// generic scanner masks after unknown keywords. Redacting twice changes nothing.
func (d *Definition) Redact(text []byte, key []byte) []byte {
	return replace(text, d.r().secretsIn(text), func(class secretClass, value []byte) string {
		if class == classReencrypted {
			return mark
		}
		return tokenFor(key, value)
	})
}

// Mask hides every secret that the platform's rules and the generic scanner
// find. It is for what a device said, in errors and logs.
func (d *Definition) Mask(text []byte) []byte {
	return replace(text, d.r().secretsIn(text), func(secretClass, []byte) string { return mark })
}

// Mask hides what looks like a secret in any text, with the generic scanner
// only. It is for text of an unknown platform.
func Mask(text []byte) []byte {
	return (&Definition{rules: scannerOnly}).Mask(text)
}

var scannerOnly = func() *rules {
	r := &rules{}
	r.secretIndex.add(0, scannerWords)
	return r
}()

// tokenFor is ‹secret › with a keyed digest of 32 bits: enough that two values
// rarely share one, too little to test guesses against without the key.
func tokenFor(key, value []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write(value)
	return "‹secret " + hex.EncodeToString(h.Sum(nil)[:4]) + "›"
}

// tokens are what Redact writes. cli calls a hidden value ‹hidden›.
var tokens = regexp.MustCompile(`‹secret [0-9a-f]{8}›`)

// Outward turns the tokens of a redacted text into plain ‹secret› marks. All
// text that leaves muster has gone through it.
func Outward(redacted []byte) []byte {
	if !bytes.Contains(redacted, []byte("‹secret ")) {
		return redacted
	}
	return tokens.ReplaceAll(redacted, []byte(mark))
}

func replace(text []byte, finds []find, by func(secretClass, []byte) string) []byte {
	if len(finds) == 0 {
		return text
	}
	out := make([]byte, 0, len(text)+16*len(finds))
	at := 0
	for _, f := range finds {
		out = append(out, text[at:f.start]...)
		out = append(out, by(f.class, text[f.start:f.end])...)
		at = f.end
	}
	return append(out, text[at:]...)
}

// secretsIn finds all secrets, in order and without overlap.
func (r *rules) secretsIn(text []byte) []find {
	if len(text) == 0 {
		return nil
	}
	lines := splitLines(text)
	candidates := r.secretIndex.candidates(lowerASCII(text), lines)
	if len(candidates) == 0 {
		return nil
	}
	var all []find
	var up, upPlain []int32
	busyUntil := -1 // the last line of a block that is masked as a whole
	numbers := make([]int, 0, len(candidates))
	for n := range candidates {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, i := range numbers {
		if i <= busyUntil {
			continue
		}
		l := lines[i]
		var here []find
		scan := false
		for _, n := range candidates[i] {
			if n == len(r.secrets) {
				scan = true
				continue
			}
			s := &r.secrets[n]
			if s.start != nil {
				if f, last, ok := s.blockAt(text, lines, i); ok {
					here, busyUntil = append(here, f), last
				}
				continue
			}
			found := s.match.FindAllSubmatchIndex(l.of(text), -1)
			if found == nil {
				continue
			}
			if s.under != nil {
				// A quote that is never closed would hide all structure behind it:
				// then the indent alone has to do.
				if up == nil {
					up, upPlain = parents(text, (&r.syntax).lines(text)), parents(text, lines)
				}
				if !below(text, lines, up, i, s.under) && !below(text, lines, upPlain, i, s.under) {
					continue
				}
			}
			for _, m := range found {
				if m[2] >= 0 && m[3] > m[2] {
					here = append(here, find{span{l.start + m[2], l.start + m[3]}, s.class})
				}
			}
		}
		if scan && busyUntil < i {
			var last int
			here, last = scanLine(text, lines, i, here)
			busyUntil = max(busyUntil, last)
		}
		all = append(all, here...)
	}
	return settle(text, all)
}

// blockAt finds a secret that begins behind s.start in line i and ends before
// s.end, in the same line or a later one. Where the end is missing the text was
// cut, and all the rest may be secret.
func (s *secretRule) blockAt(text []byte, lines []line, i int) (find, int, bool) {
	l := lines[i]
	m := s.start.FindIndex(l.of(text))
	if m == nil {
		return find{}, 0, false
	}
	begin := l.start + m[1]
	at := begin
	for j := i; j < len(lines); j++ {
		if e := s.end.FindIndex(text[at:lines[j].end]); e != nil {
			return find{span{begin, at + e[0]}, s.class}, j, true
		}
		at = next(text, lines[j].end)
	}
	return find{span{begin, len(text)}, s.class}, len(lines) - 1, true
}

// settle sorts the finds and makes one of those that overlap. Where two rules
// take the same text the stronger class wins; whatever one of them takes is
// masked, but for what a rule calls public.
func settle(text []byte, all []find) []find {
	slices.SortStableFunc(all, func(a, b find) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	var public []span
	for _, f := range all {
		if f.class == classPublic {
			public = append(public, f.span)
		}
	}
	out := all[:0:0]
	for _, f := range all {
		if f.class == classPublic || slices.ContainsFunc(public, func(p span) bool { return p.start <= f.start && f.end <= p.end }) {
			continue
		}
		if f.end <= f.start || isToken(text, f.start) {
			continue
		}
		if n := len(out); n > 0 && f.start < out[n-1].end {
			out[n-1].end = max(out[n-1].end, f.end)
			out[n-1].class = min(out[n-1].class, f.class)
			continue
		}
		out = append(out, f)
	}
	return out
}

// isToken reports whether a mark stands where the secret would begin, or begins
// in one: it is hidden already. A token holds a blank and the word secret, so the
// value itself does not tell.
func isToken(text []byte, start int) bool {
	if head := []byte("‹secret "); bytes.HasSuffix(text[:start], head) {
		start -= len(head)
	}
	m := alreadyHidden.FindIndex(text[start:min(len(text), start+32)])
	return m != nil && m[0] == 0
}

var alreadyHidden = regexp.MustCompile(`‹(?:secret(?: [0-9a-f]{8})?|hidden)›`)
