package platform

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"muster/collector"
)

// Proof is one reason to believe that a capture is whole.
type Proof struct {
	Part string `json:"part"`
	Rule string `json:"rule"` // "last line", "byte count", "balance", "sections", "daemons", "rights", …
	Seen string `json:"seen"` // what satisfied it: "end", "65012 of 65012 bytes"
}

// Judge holds the texts of a capture (by part name) against the platform's
// proofs and rights; a part that is read for each context is one text for each,
// "context:dmz". lastSize is the size of the last good running config in
// bytes, 0: none; a text below half of it is implausible. The error is a
// *collector.Error at StepJudge with kind proof-missing, rights-missing,
// output-implausible or part-missing: the capture is then for quarantine. The
// proofs that did hold come back with it.
func (d *Definition) Judge(texts map[string][]byte, lastSize int) ([]Proof, error) {
	j := judgement{d: d, r: d.r(), texts: texts}
	if len(d.Parts) == 0 {
		return nil, j.fail("", collector.ErrProofMissing, "the platform %s has nothing to back up", d.Name)
	}
	var all []Reading
	for _, p := range d.Parts {
		readings, _, err := p.Readings(texts)
		if err != nil {
			return nil, err
		}
		for _, r := range readings {
			if _, ok := texts[r.Name]; !ok && (!p.Optional || p.each != nil) {
				return nil, j.fail(r.Name, collector.ErrPartMissing, "it was not read")
			}
		}
		all = append(all, readings...)
	}
	for _, r := range all {
		c, ok := j.r.complete[r.Part.Name]
		text, read := texts[r.Name]
		if !ok || !read {
			continue
		}
		p := r.Part
		p.Name = r.Name
		if err := j.part(p, c, text, lastSize); err != nil {
			return j.proofs, err
		}
	}
	return j.proofs, nil
}

// judgement is one call of Judge.
type judgement struct {
	d      *Definition
	r      *rules
	texts  map[string][]byte
	proofs []Proof
}

func (j *judgement) proved(part, rule, seen string) {
	j.proofs = append(j.proofs, Proof{Part: part, Rule: rule, Seen: collector.Escape(string(j.d.Mask([]byte(seen))))})
}

// fail makes the error. What is wrong goes into the cause and, with the mend,
// into Do: that is the sentence that people read.
func (j *judgement) fail(part string, kind collector.Kind, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if part != "" {
		what = fmt.Sprintf("part %s: %s", part, what)
	}
	return &collector.Error{
		Step: collector.StepJudge, Kind: kind,
		Seen:  j.tail(part),
		Do:    sentence(what) + " " + mend[kind],
		Cause: errors.New(what),
	}
}

var mend = map[collector.Kind]string{
	collector.ErrProofMissing: "Read it again with muster backup; where it is the same again, accept it only if it is whole.",
	collector.ErrPartMissing:  "Give the account the right to read it, then run muster backup again.",
	collector.ErrImplausible:  "Compare it with the last version; accept it if the device really has so little now.",
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// tailBytes is how much of a failed text is masked for its end to be quoted. A key
// block that begins further up than that is no longer known as one.
const tailBytes = 1 << 20

// tail is the end of what was read, masked before it is cut so that no half of a
// secret is left.
func (j *judgement) tail(part string) string {
	text := j.texts[part]
	if len(text) > tailBytes {
		text = text[len(text)-tailBytes:]
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	return collector.Seen(j.d.Mask(text))
}

// headLines is how far from the top of a text its header may be.
const headLines = 10

func (j *judgement) part(p Part, c completeRules, text []byte, lastSize int) error {
	look := j.d.look(text)
	lines := look.lines
	if len(bytes.TrimSpace(text)) == 0 {
		return j.fail(p.Name, collector.ErrProofMissing, "it is empty")
	}
	for _, check := range []func() error{
		func() error { return j.noMessages(p.Name, look) },
		func() error { return j.ends(p.Name, c, text, lines) },
		func() error { return j.counted(p.Name, c, text, lines) },
		func() error { return j.balanced(p.Name, c, text, lines) },
		func() error { return j.rights(p.Name, text, lines) },
		func() error { return j.sections(p.Name, c, text, lines) },
		func() error { return j.contexts(p.Name, c, text, lines) },
		func() error { return j.answered(p.Name, c) },
		func() error { return j.outline(p.Name, c, text, lines) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if p.Role == RoleRunning && lastSize > 0 {
		if len(text) < lastSize/2 {
			return j.fail(p.Name, collector.ErrImplausible, "it has %d bytes, the last good one had %d", len(text), lastSize)
		}
		j.proved(p.Name, "size", fmt.Sprintf("%d bytes after %d", len(text), lastSize))
	}
	return nil
}

// noMessages refuses a text with an error message or a pager in it, whatever its
// last line says. Free text (banners) may hold both.
func (j *judgement) noMessages(part string, l *look) error {
	for i := l.marked(0); i < len(l.may.of); i = l.marked(i + 1) {
		var err error
		l.each(i, j.r.statements.messages, j.r.statements.unknown, func(n int) bool {
			m := &j.r.messages[n]
			if !m.match.Match(l.lines[i].of(l.text)) {
				return true
			}
			switch m.kind {
			case messagePager:
				err = j.fail(part, collector.ErrProofMissing, "line %d is what a pager prints", i+1)
			case messageDenied:
				err = j.failRights(part, fmt.Sprintf("line %d is a refusal.", i+1), "Give the account the right to read the whole configuration.")
			default:
				err = j.fail(part, collector.ErrProofMissing, "line %d is an error message", i+1)
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *judgement) failRights(part, what, do string) error {
	return j.refusal(collector.ErrRightsMissing, part, what, do)
}

// refusal says what is wrong with a part, and what mends it.
func (j *judgement) refusal(kind collector.Kind, part, what, do string) error {
	return &collector.Error{
		Step: collector.StepJudge, Kind: kind,
		Seen: j.tail(part), Do: fmt.Sprintf("Part %s: %s %s", part, what, do), Cause: errors.New(what),
	}
}

// ends checks the first and the last line.
func (j *judgement) ends(part string, c completeRules, text []byte, lines []line) error {
	if c.start != nil {
		seen, ok := firstMatch(c.start, text, lines[:min(headLines, len(lines))])
		if !ok {
			return j.fail(part, collector.ErrProofMissing, "it does not begin as it should")
		}
		j.proved(part, "first line", seen)
	}
	if c.lastLine == nil {
		return nil
	}
	last, ok := lastLine(text, lines)
	if !ok || last.inside || last.open || !c.lastLine.Match(last.of(text)) {
		return j.fail(part, collector.ErrProofMissing, "it does not end as it should")
	}
	j.proved(part, "last line", string(last.of(text)))
	return nil
}

func (j *judgement) rights(part string, text []byte, lines []line) error {
	held := false
	base, _, _ := strings.Cut(part, ":") // what holds for a part holds for that of each context
	for _, r := range j.r.rights {
		if r.part != base {
			continue
		}
		for _, mark := range r.marks {
			for i, l := range lines {
				if b := l.of(text); !l.inside && mark.Match(j.unquoted(b)) {
					return j.failRights(part, fmt.Sprintf("line %d says that something is hidden.", i+1), r.do)
				}
			}
		}
		for _, re := range r.demands {
			if _, ok := firstMatch(re, text, lines); !ok {
				return j.failRights(part, "a section that every device has is not shown.", r.do)
			}
		}
		held = true
	}
	if held {
		j.proved(part, "rights", "all marks of full rights")
	}
	return nil
}

// unquoted is a line with the text of its quoted values blanked, comments left.
func (j *judgement) unquoted(b []byte) []byte {
	s := syntaxRules{quote: j.r.syntax.quote, escape: j.r.syntax.escape}
	if s.quote == 0 || bytes.IndexByte(b, s.quote) < 0 {
		return b
	}
	plain := make([]byte, len(b))
	s.scan(b, false, false, plain)
	return plain
}

func matchesAny(list []*regexp.Regexp, b []byte) bool {
	for _, re := range list {
		if re.Match(b) {
			return true
		}
	}
	return false
}

// firstMatch finds the first statement that matches.
func firstMatch(re *regexp.Regexp, text []byte, lines []line) (string, bool) {
	prefix, _ := re.LiteralPrefix() // most lines do not hold it
	held := []byte(prefix)
	for _, l := range lines {
		if b := l.of(text); !l.inside && bytes.Contains(b, held) && re.Match(b) {
			return string(b), true
		}
	}
	return "", false
}

// lastLine is the last line that is not blank.
func lastLine(text []byte, lines []line) (line, bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		if len(bytes.TrimSpace(lines[i].of(text))) > 0 {
			return lines[i], true
		}
	}
	return line{}, false
}
