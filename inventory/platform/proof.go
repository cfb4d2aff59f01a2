package platform

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"muster/collector"
)

// counted holds the text against the size that its header tells. The header's
// number may differ by a few bytes from what is printed, so it is a question of
// plausibility: much less than it says is not the whole text.
func (j *judgement) counted(part string, c completeRules, text []byte, lines []line) error {
	if c.count == nil {
		return nil
	}
	for _, l := range lines[:min(headLines, len(lines))] {
		m := c.count.FindSubmatch(l.of(text))
		if m == nil || l.inside {
			continue
		}
		told, err := strconv.Atoi(string(m[1]))
		if err != nil {
			return j.fail(part, collector.ErrImplausible, "the size in its header is no number of bytes")
		}
		have := len(text) - next(text, l.end)
		if have < told*c.least/100 {
			return j.fail(part, collector.ErrImplausible, "it has %d bytes, its header says %d", have, told)
		}
		j.proved(part, "byte count", fmt.Sprintf("%d bytes, its header tells %d; %d %% are enough", have, told, c.least))
		return nil
	}
	return j.fail(part, collector.ErrProofMissing, "the line that tells its size is not there")
}

// balanced checks that every block that was opened is closed.
func (j *judgement) balanced(part string, c completeRules, text []byte, lines []line) error {
	if c.braces[0] != 0 {
		if err := j.braces(part, c.braces, text); err != nil {
			return err
		}
	}
	if len(c.blocks) == 0 {
		return nil
	}
	type opened struct {
		block *block
		takes bool
	}
	var stack []opened
	n := 0
	for i, l := range lines {
		if l.inside {
			continue
		}
		b := l.of(text)
		for k := range c.blocks {
			bl := &c.blocks[k]
			if bl.open.Match(b) {
				stack = append(stack, opened{bl, bl.takes != nil && bl.takes.Match(b)})
				n++
				break
			}
			if !bl.close.Match(b) {
				continue
			}
			top := len(stack) - 1
			if top > 0 && stack[top].block != bl && stack[top-1].block == bl && stack[top-1].takes {
				top-- // this close ends what is open inside as well
			}
			if top < 0 || stack[top].block != bl {
				return j.fail(part, collector.ErrProofMissing, "line %d closes what is not open", i+1)
			}
			stack = stack[:top]
			break
		}
	}
	if last := lines[len(lines)-1]; len(stack) > 0 || last.open {
		return j.fail(part, collector.ErrProofMissing, "%d blocks are still open at its end", len(stack))
	}
	if n == 0 {
		return j.fail(part, collector.ErrProofMissing, "it holds no block at all")
	}
	j.proved(part, "balance", fmt.Sprintf("%d blocks, all closed", n))
	return nil
}

func (j *judgement) braces(part string, pair [2]byte, text []byte) error {
	depth, n := 0, 0
	quoted, comment := false, false
	s := &j.r.syntax
	for i, l := range splitLines(text) {
		plain := make([]byte, l.end-l.start)
		quoted, comment = s.scan(l.of(text), quoted, comment, plain)
		if quoted && !s.manyLines {
			return j.fail(part, collector.ErrProofMissing, "line %d ends inside a quoted value", i+1)
		}
		for _, c := range plain {
			switch c {
			case pair[0]:
				depth++
				n++
			case pair[1]:
				if depth--; depth < 0 {
					return j.fail(part, collector.ErrProofMissing, "line %d closes what is not open", i+1)
				}
			}
		}
	}
	if depth > 0 || quoted || comment {
		return j.fail(part, collector.ErrProofMissing, "%d blocks are still open at its end", depth)
	}
	j.proved(part, "balance", fmt.Sprintf("%d blocks, all closed", n))
	return nil
}

func (j *judgement) sections(part string, c completeRules, text []byte, lines []line) error {
	for k, re := range c.sections {
		if _, ok := firstMatch(re, text, lines); !ok {
			return j.fail(part, collector.ErrProofMissing, "the %s section that every device has is not there", ordinal(k))
		}
	}
	if n := len(c.sections); n > 0 {
		j.proved(part, "sections", fmt.Sprintf("all %d", n))
	}
	return nil
}

func ordinal(i int) string {
	names := []string{"first", "second", "third", "fourth", "fifth"}
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%dth", i+1)
}

// contexts demands that every context that the head lists has its section.
func (j *judgement) contexts(part string, c completeRules, text []byte, lines []line) error {
	r := c.contexts
	if r == nil {
		return nil
	}
	if _, several := firstMatch(r.when, text, lines[:min(headLines, len(lines))]); !several {
		return nil
	}
	var listed []string
	found := map[string]bool{}
	open := false
	for i := 0; i < len(lines); i++ {
		b := lines[i].of(text)
		switch {
		case lines[i].inside:
		case r.opener.Match(b):
			open = true
		case !open:
		case r.closer.Match(b):
			open = false
		default:
			m := r.name.FindSubmatch(b)
			if m == nil {
				open = false
				continue
			}
			if k := i + 1; k < len(lines) && (r.stub.Match(lines[k].of(text)) || r.closer.Match(lines[k].of(text))) {
				listed = append(listed, string(m[1]))
				if r.stub.Match(lines[k].of(text)) {
					i = k
				}
			} else {
				found[string(m[1])] = true
				open = false
			}
		}
	}
	if len(listed) == 0 {
		return j.failRights(part, "the list of all contexts is not shown.", r.do)
	}
	for _, name := range listed {
		if !found[name] {
			return j.fail(part, collector.ErrProofMissing, "the context %q is listed and has no section", name)
		}
	}
	for _, re := range r.also {
		if _, ok := firstMatch(re, text, lines); !ok {
			return j.failRights(part, "the settings that all contexts share are not shown.", r.do)
		}
	}
	j.proved(part, "contexts", strings.Join(listed, " "))
	return nil
}

// answered demands that all that should run has answered, before and after.
func (j *judgement) answered(part string, c completeRules) error {
	r := c.answered
	if r == nil {
		return nil
	}
	want := slices.Clone(r.always)
	file, ok := j.texts[r.file]
	if !ok || len(bytes.TrimSpace(file)) == 0 {
		return j.failProof(part, fmt.Sprintf("part %s, which says what should run, could not be read.", r.file), r.do)
	}
	for _, l := range splitLines(file[:min(len(file), maxFile)]) { // a list of daemons is a page
		if m := r.enabled.FindSubmatch(l.of(file)); m != nil && !slices.Contains(want, string(m[1])) {
			want = append(want, string(m[1]))
		}
	}
	for _, p := range r.parts {
		got := strings.Fields(string(j.texts[p]))
		for _, w := range want {
			if !slices.Contains(got, w) {
				return j.failProof(part, fmt.Sprintf("%s should run and did not answer (part %s): what it knows is missing.", collector.Escape(w), p), "Start it again, or switch it off where it is configured.")
			}
		}
	}
	j.proved(part, "daemons", strings.Join(want, " "))
	return nil
}

func (j *judgement) failProof(part, what, do string) error {
	return j.refusal(collector.ErrProofMissing, part, what, do)
}

// outline compares the lines that match with those of an outline that the
// device printed apart, or of a second reading: a text without end line that was
// cut between two of its blocks looks whole otherwise. An outline that is
// optional and was not read, or that the device does not know, proves nothing and
// is left out; any other has to say something.
func (j *judgement) outline(part string, c completeRules, text []byte, lines []line) error {
	r := c.outline
	if r == nil {
		return nil
	}
	out, ok := j.texts[r.part]
	if !ok {
		return nil
	}
	pick := func(text []byte) (picked []string) {
		for _, l := range splitLines(text) {
			if b := l.of(text); r.match.Match(b) && !matchesAny(j.r.cli.command, b) && !matchesAny(j.r.cli.denied, b) && !matchesAny(j.r.cli.busy, b) {
				picked = append(picked, strings.TrimRight(string(b), " "))
			}
		}
		return picked
	}
	want, have := pick(out), pick(text)
	optional := slices.ContainsFunc(j.d.Parts, func(p Part) bool { return p.Name == r.part && p.Optional })
	switch {
	case len(want) == 0 && optional:
		return nil
	case len(want) == 0:
		return j.fail(part, collector.ErrProofMissing, "part %s, which it is held against, says nothing", r.part)
	case len(want) != len(have):
		return j.fail(part, collector.ErrProofMissing, "it has %d of the %d lines that the device gave for the part %s just before", len(have), len(want), r.part)
	case !slices.Equal(want, have):
		return j.fail(part, collector.ErrProofMissing, "it has other lines than the device gave for the part %s just before", r.part)
	}
	j.proved(part, "outline", fmt.Sprintf("%d lines", len(want)))
	return nil
}
