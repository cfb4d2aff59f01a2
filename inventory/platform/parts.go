package platform

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"muster/collector"
)

// condition is a line of another part, read before, on which the reading of a
// part depends.
type condition struct {
	part  string
	match *regexp.Regexp
}

// Reading is one text that a session reads: a part, or that part of one context.
type Reading struct {
	Part          Part   // as the definition has it
	Name          string // of the text: "running", "context:dmz"
	Source        string // the command, or the file's path
	Else          string // the command where the device does not know Source
	Before, After []string
}

// maxContexts is how often one part may be repeated. A device with more has not
// been seen; a list that is none would keep a session busy all night.
const maxContexts = 250

// nameMark stands in a command for the name that a part is repeated for.
const nameMark = "{name}"

func named(command, name string) string { return strings.ReplaceAll(command, nameMark, name) }

// contextName is a name that may stand in a command: nothing in it separates,
// expands or quotes.
var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Deciding is the name of the part whose text decides whether, or how often, p is
// read; empty: p is read once in any case.
func (p Part) Deciding() string {
	switch {
	case p.each != nil:
		return p.each.part
	case p.when != nil:
		return p.when.part
	}
	return ""
}

// Owns reports whether a text of that name is p's, or p's of one context.
func (p Part) Owns(name string) bool {
	return name == p.Name || p.each != nil && strings.HasPrefix(name, p.Name+":")
}

// Readings tells what is to be read for p, by the texts that were read before it
// (by name). None: this device has nothing of the kind, or the text that decides
// was not read, which known tells. The error is a *collector.Error: the device
// lists a name that no command may hold.
func (p Part) Readings(texts map[string][]byte) (all []Reading, known bool, err error) {
	if p.when != nil {
		text, ok := texts[p.when.part]
		if !ok || !slices.ContainsFunc(splitLines(text), func(l line) bool { return p.when.match.Match(l.of(text)) }) {
			return nil, ok, nil
		}
	}
	if p.each == nil {
		return []Reading{{Part: p, Name: p.Name, Source: p.Source, Else: p.Else, Before: p.Before, After: p.After}}, true, nil
	}
	text, ok := texts[p.each.part]
	if !ok {
		return nil, false, nil
	}
	seen := map[string]bool{}
	for _, l := range splitLines(text) {
		m := p.each.match.FindSubmatch(l.of(text))
		if m == nil || seen[string(m[1])] {
			continue
		}
		name := string(m[1])
		seen[name] = true
		if !contextName.MatchString(name) || len(all) == maxContexts {
			return nil, true, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrPartMissing, Seen: collector.Seen(bytes.TrimSpace(l.of(text))),
				Cause: errors.New("a context has a name that no command may hold"),
				Do:    fmt.Sprintf("Part %s cannot be read for %q, which part %s lists: at most %d names of letters, digits, _ . and - can be asked for", p.Name, collector.Escape(name), p.each.part, maxContexts)}
		}
		r := Reading{Part: p, Name: p.Name + ":" + name, Source: named(p.Source, name), Else: named(p.Else, name)}
		for _, c := range p.Before {
			r.Before = append(r.Before, named(c, name))
		}
		for _, c := range p.After {
			r.After = append(r.After, named(c, name))
		}
		all = append(all, r)
	}
	return all, true, nil
}

// repeated reads what tells when, how often and from where a part is read.
func (d *decoder) repeated(it node, p *Part, def *Definition) {
	cond := func(key string, want demand) *condition {
		n := it.get(key)
		if n.kind == isNothing || !d.keys(n, key, "part", "match", "why") {
			return nil
		}
		c := &condition{part: d.needText(n.get("part"), n, key+".part"), match: d.pattern(n.get("match"), key+".match", want)}
		if c.part != "" {
			d.partNamed(c.part, n.get("part"), def) // of those before this one
		}
		if c.match == nil && n.get("match").kind == isNothing {
			d.fault(n, "%s needs part and match", key)
		}
		return c
	}
	p.when = cond("when", demand{start: true, groups: 0})
	p.each = cond("each", demand{start: true, groups: 1})
	commands := func(key string) (out []string) {
		for _, c := range d.list(it.get(key)) {
			if s := d.command(c, key, p.each != nil); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	p.Before, p.After = commands("before"), commands("after")
	if len(p.Before)+len(p.After) > 0 && p.Via != ViaShell {
		d.fault(it, "before and after are commands of a shell: via has to be shell")
	}
	if p.each == nil {
		return
	}
	if p.Role == RoleRunning || p.Role == RoleStartup {
		d.fault(it.get("each"), "only an extra part or a witness can be read for each name of a list")
	}
	if !strings.Contains(strings.Join(append(append([]string{p.Source}, p.Before...), p.After...), "\n"), nameMark) {
		d.fault(it.get("each"), "neither source nor before holds %s, the place of the name", nameMark)
	}
}

// pending reads how a change that waits is seen: a text for people, or with the
// lines that tell of it.
func (d *decoder) pending(n node, def *Definition) {
	if n.kind != isMapping {
		def.Pending = d.text(n, "pending")
		return
	}
	if !d.keys(n, "pending", "see", "marks") {
		return
	}
	def.Pending = d.needText(n.get("see"), n, "pending.see")
	if n.get("marks").kind == isNothing {
		d.fault(n, "pending needs marks: the lines that say that a change waits")
	}
	for _, it := range d.list(n.get("marks")) {
		if !d.keys(it, "a mark of pending", "part", "match", "says", "why") {
			continue
		}
		r := pendingRule{
			part:  d.needText(it.get("part"), it, "part"),
			match: d.pattern(it.get("match"), "match", demand{start: true, groups: 0}),
			says:  d.needText(it.get("says"), it, "says"),
		}
		if r.part != "" {
			d.partNamed(r.part, it.get("part"), def)
		}
		if r.match == nil && it.get("match").kind == isNothing {
			d.fault(it, "a mark of pending needs part, match and says")
		}
		def.rules.pending = append(def.rules.pending, r)
	}
}

// Waiting tells what waits on the device for a commit or its confirmation, each
// said once, in the order of the definition. known is false where none of the
// parts that would show it was read.
func (d *Definition) Waiting(texts map[string][]byte) (says []string, known bool) {
	for _, r := range d.r().pending {
		text, ok := texts[r.part]
		if !ok {
			continue
		}
		known = true
		for _, l := range splitLines(text) {
			if r.match.Match(l.of(text)) && !slices.Contains(says, r.says) {
				says = append(says, r.says)
			}
		}
	}
	return says, known
}

// WaitingParts names the parts that show what waits.
func (d *Definition) WaitingParts() []string {
	var parts []string
	for _, r := range d.r().pending {
		if !slices.Contains(parts, r.part) {
			parts = append(parts, r.part)
		}
	}
	return parts
}
