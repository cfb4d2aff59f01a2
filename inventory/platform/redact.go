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
	value []byte // without the marks of folded lines; nil: as it stands
}

// Redact replaces every secret in text by a token ‹secret DIGEST›, keyed with
// key so that an equal secret has an equal token and none can be guessed from
// one; a value that the device re-encrypts at each display, and what it is not
// safe to digest, gets ‹secret›. What the platform's rules do not know, the
// generic scanner masks after unknown keywords. Redacting twice changes nothing.
func (d *Definition) Redact(text []byte, key []byte) []byte {
	out := replace(text, d.r().secretsIn(text), func(class secretClass, value []byte) string {
		if class == classReencrypted {
			return mark
		}
		return tokenFor(key, value)
	})
	if d.looks != nil && len(out) > 0 && &out[0] == &text[0] {
		return bytes.Clone(out) // text may be one that Normal gave out
	}
	return out
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
		value := f.value
		if value == nil {
			value = text[f.start:f.end]
		}
		out = append(out, by(f.class, value)...)
		at = f.end
	}
	return append(out, text[at:]...)
}

// secretsIn finds all secrets, in order and without overlap. Where the platform
// folds long lines a value may be cut anywhere, so the lines are joined before.
func (r *rules) secretsIn(text []byte) []find {
	joined, folds := r.syntax.unfold(text)
	finds := r.secretsOf(joined)
	if folds == nil {
		return finds
	}
	for i := range finds {
		f := &finds[i]
		f.value = joined[f.start:f.end]
		f.span = span{folds.start(f.start), folds.end(f.end)}
	}
	return finds
}

func (r *rules) secretsOf(text []byte) []find {
	if len(text) == 0 {
		return nil
	}
	l := borrow() // the finds are places in text and keep nothing of it
	defer l.giveBack()
	l.lines = splitInto(l.lines, text)
	if l.may = r.secretIndex.candidates(text, l.lines, l.may.of); l.may.of == nil {
		return nil
	}
	f := secretFinder{r: r, text: text, lines: l.lines}
	for i := 0; i < len(l.lines); i++ {
		if set := l.may.at(i); !set.empty() {
			i = f.line(i, set)
		}
	}
	return settle(text, f.all)
}

// secretFinder is one pass over one text.
type secretFinder struct {
	r            *rules
	text         []byte
	lines        []line
	all          []find
	above, plain *ancestry // with and without regard to quotes; nil until a rule asks
}

// line looks at line i with the rules of set, and returns the last line that is
// masked as a whole.
func (f *secretFinder) line(i int, set *ruleSet) (last int) {
	l := f.lines[i]
	b := l.of(f.text)
	from := len(f.all)
	last = i
	lower := lowerASCII(b)
	set.each(func(n int) bool {
		if n == len(f.r.secrets) { // the generic scanner comes behind the rules
			if last == i {
				f.all, last = scanLine(f.text, f.lines, i, f.all, from)
			}
			return true
		}
		s := &f.r.secrets[n]
		if !s.guard.passes(lower) {
			return true
		}
		if s.start != nil {
			if x, end, ok := s.blockAt(f.text, f.lines, i); ok {
				f.all, last = append(f.all, x), max(last, end)
			}
			return true
		}
		found := s.match.FindAllSubmatchIndex(b, -1)
		if found == nil || s.under != nil && !f.under(i, s.under) {
			return true
		}
		for _, m := range found {
			if m[2] >= 0 && m[3] > m[2] {
				f.all = append(f.all, find{span: span{l.start + m[2], l.start + m[3]}, class: s.class})
			}
		}
		return true
	})
	return last
}

// under reports whether line i is below a line that matches. A quote that is
// never closed would hide all structure behind it: then the indent alone has to
// do, since a secret too many is better masked than one too few.
func (f *secretFinder) under(i int, re *regexp.Regexp) bool {
	if f.above == nil {
		sx := &f.r.syntax
		f.above, f.plain = sx.ancestry(f.text, sx.lines(f.text)), sx.ancestry(f.text, f.lines)
	}
	return f.above.below(i, re) || f.plain.below(i, re)
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
			return find{span: span{begin, at + e[0]}, class: s.class}, j, true
		}
		at = next(text, lines[j].end)
	}
	return find{span: span{begin, len(text)}, class: s.class}, len(lines) - 1, true
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
	all = withoutPublic(all)
	out := all[:0:0]
	for _, f := range all {
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

// withoutPublic drops the finds that lie inside of public text. all is sorted by
// start.
func withoutPublic(all []find) []find {
	end := -1
	return slices.DeleteFunc(all, func(f find) bool {
		if f.class == classPublic {
			end = max(end, f.end)
			return true
		}
		return f.end <= end
	})
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
