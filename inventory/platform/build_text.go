package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// evaluator is the version of how rules are carried out. It goes up when the
// same rules give another judgement, normal or redacted text than before.
const evaluator = "4"

// judged are the sections that decide what is proved, ignored and masked.
var judged = []string{"complete", "rights", "volatile", "secrets", "syntax", "unsaved"}

func revision(n node) string {
	var b strings.Builder
	b.WriteString(evaluator)
	for _, key := range judged {
		b.WriteString("\n" + key + " ")
		n.get(key).canonical(&b)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:6])
}

func (d *decoder) syntax(n node) syntaxRules {
	var s syntaxRules
	if n.kind == isNothing || !d.keys(n, "syntax", "quote", "escape", "quoted_lines", "fold", "heading", "comments", "block_comment", "texts") {
		return s
	}
	char := func(key string) byte {
		v := d.text(n.get(key), key)
		if len(v) > 1 {
			d.fault(n.get(key), "%s has to be one character", key)
		}
		if v == "" {
			return 0
		}
		return v[0]
	}
	s.quote, s.escape = char("quote"), char("escape")
	s.manyLines = d.truth(n.get("quoted_lines"), "quoted_lines")
	s.fold = char("fold")
	s.heading = d.pattern(n.get("heading"), "heading", demand{start: true, groups: 0})
	for _, it := range d.list(n.get("comments")) {
		if t := d.text(it, "comments"); t != "" {
			s.comments = append(s.comments, t)
		}
	}
	if b := d.list(n.get("block_comment")); len(b) == 2 {
		s.blockComments = [2]string{d.text(b[0], "block_comment"), d.text(b[1], "block_comment")}
		if len(s.blockComments[0]) != 2 || len(s.blockComments[1]) != 2 {
			d.fault(n.get("block_comment"), "block_comment has to be two marks of two characters")
		}
	} else if len(b) > 0 {
		d.fault(n.get("block_comment"), "block_comment has to be two marks, the opening and the closing one")
	}
	if len(d.list(n.get("texts"))) > maxRules/4 {
		d.fault(n.get("texts"), "more than %d free texts", maxRules/4)
		return s
	}
	for _, it := range d.list(n.get("texts")) {
		if !d.keys(it, "texts", "start", "end", "why") {
			continue
		}
		f := freeText{
			start: d.pattern(it.get("start"), "texts.start", demand{start: true, groups: -1, literal: true}),
			end:   d.pattern(it.get("end"), "texts.end", demand{start: true, groups: 0}),
		}
		if f.start == nil {
			if it.get("start").kind == isNothing {
				d.fault(it, "start is missing in texts")
			}
			continue
		}
		if (f.end == nil) == (f.start.NumSubexp() == 0) {
			d.fault(it, "free text ends either by end, or by the delimiter that a group of start takes")
			continue
		}
		s.texts.add(f)
	}
	return s
}

// partNamed checks that a section speaks of a part that there is.
func (d *decoder) partNamed(name string, at node, def *Definition) {
	for _, p := range def.Parts {
		if p.Name == name {
			return
		}
	}
	var names []string
	for _, p := range def.Parts {
		names = append(names, p.Name)
	}
	d.fault(at, "there is no part of this name; there are %s", strings.Join(names, ", "))
}

func (d *decoder) complete(n, top node, def *Definition) {
	def.rules.complete = map[string]completeRules{}
	run, ok := def.part(RoleRunning)
	if ok && n.get(run.Name).kind == isNothing {
		d.fault(top, "complete has no proof for the part %s: without one nothing can become a version", run.Name)
	}
	if n.kind == isNothing || !d.is(n, "complete", isMapping) {
		return
	}
	for _, p := range n.pairs {
		d.partNamed(p.key, node{line: p.line, col: p.col}, def)
		v := p.value
		if !d.keys(v, "complete."+p.key, "start", "last_line", "count", "braces", "blocks", "sections", "contexts", "answered", "outline") {
			continue
		}
		if len(v.pairs) == 0 {
			d.fault(v, "a part under complete needs at least one proof")
		}
		whole := demand{start: true, groups: 0}
		c := completeRules{
			start:    d.pattern(v.get("start"), "start", whole),
			lastLine: d.pattern(v.get("last_line"), "last_line", demand{start: true, end: true, groups: 0}),
			sections: d.patterns(v.get("sections"), "sections", whole),
		}
		if b := d.text(v.get("braces"), "braces"); len(b) == 2 {
			c.braces = [2]byte{b[0], b[1]}
		} else if b != "" {
			d.fault(v.get("braces"), "braces has to be the two characters that open and close")
		}
		for _, it := range d.list(v.get("blocks")) {
			if d.keys(it, "blocks", "open", "close", "takes", "why") {
				b := block{
					open:  d.pattern(it.get("open"), "blocks.open", whole),
					close: d.pattern(it.get("close"), "blocks.close", demand{start: true, end: true, groups: 0}),
					takes: d.pattern(it.get("takes"), "blocks.takes", whole),
				}
				if it.get("open").kind == isNothing || it.get("close").kind == isNothing {
					d.fault(it, "blocks need open and close")
				}
				c.blocks = append(c.blocks, b)
			}
		}
		if it := v.get("count"); it.kind != isNothing && d.keys(it, "count", "match", "least") {
			c.count = d.pattern(it.get("match"), "count.match", demand{start: true, groups: 1})
			if c.least = d.number(it.get("least"), "count.least", 1, 100); c.least == 0 {
				d.fault(it, "count needs match and least, the per cent of the count that have to be there")
			}
		}
		d.witnessed(v, &c, def)
		def.rules.complete[p.key] = c
	}
	for _, p := range def.Parts {
		if p.each != nil && p.Role == RoleExtra && n.get(p.Name).kind == isNothing {
			d.fault(n, "complete has no proof for the part %s: what is read for each context needs one of its own", p.Name)
		}
	}
}

// witnessed reads the proofs that hold one part against others.
func (d *decoder) witnessed(v node, c *completeRules, def *Definition) {
	if it := v.get("contexts"); it.kind != isNothing && d.keys(it, "contexts", "when", "opener", "name", "stub", "closer", "also", "do") {
		line := demand{start: true, groups: 0}
		c.contexts = &contextRules{
			when:   d.pattern(it.get("when"), "contexts.when", line),
			opener: d.pattern(it.get("opener"), "contexts.opener", line),
			name:   d.pattern(it.get("name"), "contexts.name", demand{start: true, end: true, groups: 1}),
			stub:   d.pattern(it.get("stub"), "contexts.stub", line),
			closer: d.pattern(it.get("closer"), "contexts.closer", line),
			also:   d.patterns(it.get("also"), "contexts.also", line),
			do:     d.text(it.get("do"), "contexts.do"),
		}
		for _, key := range []string{"when", "opener", "name", "stub", "closer"} {
			if it.get(key).kind == isNothing {
				d.fault(it, "contexts need %s", key)
			}
		}
	}
	if it := v.get("answered"); it.kind != isNothing && d.keys(it, "answered", "parts", "file", "enabled", "always", "do") {
		a := &answeredRules{
			file:    d.needText(it.get("file"), it, "answered.file"),
			enabled: d.pattern(it.get("enabled"), "answered.enabled", demand{start: true, groups: 1}),
			do:      d.needText(it.get("do"), it, "answered.do"),
		}
		for _, p := range d.list(it.get("parts")) {
			name := d.text(p, "answered.parts")
			d.partNamed(name, p, def)
			a.parts = append(a.parts, name)
		}
		for _, w := range d.list(it.get("always")) {
			a.always = append(a.always, d.text(w, "answered.always"))
		}
		if a.file != "" {
			d.partNamed(a.file, it.get("file"), def)
		}
		if len(a.parts) == 0 || it.get("enabled").kind == isNothing {
			d.fault(it, "answered needs parts, file and enabled")
		}
		c.answered = a
	}
	if it := v.get("outline"); it.kind != isNothing && d.keys(it, "outline", "part", "match") {
		o := &outlineRules{
			part:  d.needText(it.get("part"), it, "outline.part"),
			match: d.pattern(it.get("match"), "outline.match", demand{start: true, groups: 0}),
		}
		if o.part != "" {
			d.partNamed(o.part, it.get("part"), def)
		}
		if it.get("match").kind == isNothing {
			d.fault(it, "outline needs part and match")
		}
		c.outline = o
	}
}

func (d *decoder) rights(n node, def *Definition) {
	for _, it := range d.list(n) {
		if !d.keys(it, "rights", "part", "demand", "never", "do") {
			continue
		}
		line := demand{start: true, groups: 0}
		r := rightsRule{
			part:    d.needText(it.get("part"), it, "rights.part"),
			demands: d.patterns(it.get("demand"), "rights.demand", line),
			marks:   d.patterns(it.get("never"), "rights.never", line),
			do:      d.needText(it.get("do"), it, "rights.do"),
		}
		if r.part != "" {
			d.partNamed(r.part, it.get("part"), def)
		}
		if it.get("demand").kind == isNothing && it.get("never").kind == isNothing {
			d.fault(it, "rights need demand (lines that full rights show) or never (marks of what is hidden)")
		}
		def.rules.rights = append(def.rules.rights, r)
	}
}

func (d *decoder) volatile(n node, r *rules) {
	for _, it := range d.list(n) {
		if !d.keys(it, "volatile", "match", "until", "under", "with", "fact", "keep", "why") {
			continue
		}
		v := volatileRule{
			match: d.pattern(it.get("match"), "volatile.match", demand{groups: -1, literal: true}),
			until: d.pattern(it.get("until"), "volatile.until", demand{groups: 0}),
			under: d.pattern(it.get("under"), "volatile.under", demand{start: true, groups: 0}),
			with:  d.pattern(it.get("with"), "volatile.with", demand{start: true, groups: 0}),
			fact:  d.text(it.get("fact"), "volatile.fact"),
			keep:  d.pattern(it.get("keep"), "volatile.keep", demand{groups: 1}),
		}
		if v.match == nil {
			if it.get("match").kind == isNothing {
				d.fault(it, "match is missing in volatile")
			}
			continue
		}
		if v.match.NumSubexp() == 0 && !strings.HasPrefix(v.match.String(), "^") {
			d.fault(it.get("match"), "a rule that ignores whole lines has to begin with ^")
		}
		if (v.fact == "") != (it.get("keep").kind == isNothing) {
			d.fault(it, "fact and keep belong together")
		}
		r.volatile = append(r.volatile, v)
	}
}

var classes = map[string]secretClass{
	"public": classPublic, "hash": classHash, "reversible": classReversible,
	"reencrypted": classReencrypted, "plaintext": classPlaintext,
}

func (d *decoder) secrets(n node, r *rules) {
	if len(d.list(n)) >= maxRules { // the scanner is one more
		d.fault(n, "more than %d rules", maxRules-1)
		return
	}
	for _, it := range d.list(n) {
		if !d.keys(it, "secrets", "class", "match", "under", "start", "end", "why") {
			continue
		}
		class := d.oneOf(it.get("class"), it, "class", "public", "hash", "reversible", "reencrypted", "plaintext")
		s := secretRule{
			class: classes[class],
			match: d.pattern(it.get("match"), "secrets.match", demand{groups: 1, literal: true}),
			under: d.pattern(it.get("under"), "secrets.under", demand{start: true, groups: 0}),
			start: d.pattern(it.get("start"), "secrets.start", demand{start: true, groups: 0, literal: true}),
			end:   d.pattern(it.get("end"), "secrets.end", demand{groups: 0}),
		}
		hasMatch, hasStart, hasEnd := it.get("match").kind != isNothing, it.get("start").kind != isNothing, it.get("end").kind != isNothing
		if hasMatch == hasStart || hasStart != hasEnd {
			d.fault(it, "a secret is either match with one group, or start and end of a block")
			continue
		}
		var words []string
		switch {
		case s.match != nil:
			words, s.guard = literalsOf(s.match.String()), guardOf(s.match.String())
		case s.start != nil:
			words, s.guard = literalsOf(s.start.String()), guardOf(s.start.String())
		default:
			continue
		}
		r.secretIndex.add(len(r.secrets), words)
		r.secrets = append(r.secrets, s)
	}
	r.secretIndex.add(len(r.secrets), scannerWords) // the generic scanner comes last
}

func (d *decoder) unsaved(n node, def *Definition) {
	_, keeps := def.part(RoleStartup)
	if n.kind == isNothing {
		if keeps {
			d.fault(node{}, "unsaved is missing: there is a startup part, and nothing says how it is held against the running config")
		}
		return
	}
	if !d.keys(n, "unsaved", "running", "startup", "both", "unknown", "last_line") {
		return
	}
	if !keeps {
		d.fault(n, "unsaved needs a part with the role startup")
	}
	u := &unsavedRules{
		running:  d.even(n.get("running"), "unsaved.running"),
		startup:  d.even(n.get("startup"), "unsaved.startup"),
		both:     d.even(n.get("both"), "unsaved.both"),
		unknown:  d.patterns(n.get("unknown"), "unsaved.unknown", demand{start: true, groups: 0}),
		lastLine: d.pattern(n.get("last_line"), "unsaved.last_line", demand{start: true, end: true, groups: 0}),
	}
	u.put()
	def.rules.unsaved = u
}

func (d *decoder) even(n node, what string) evenRules {
	var e evenRules
	if n.kind == isNothing || !d.keys(n, what, "through", "drop", "fold") {
		return e
	}
	e.through = d.pattern(n.get("through"), what+".through", demand{start: true, end: true, groups: 0})
	e.drop = d.patterns(n.get("drop"), what+".drop", demand{start: true, groups: 0})
	if len(d.list(n.get("fold"))) > maxRules/8 {
		d.fault(n.get("fold"), "more than %d rules in %s.fold", maxRules/8, what)
		return e
	}
	for _, it := range d.list(n.get("fold")) {
		if d.keys(it, what+".fold", "match", "while", "why") {
			f := fold{
				match: d.pattern(it.get("match"), what+".fold.match", demand{start: true, groups: 1}),
				while: d.pattern(it.get("while"), what+".fold.while", demand{start: true, end: true, groups: 0}),
			}
			if f.match != nil {
				e.fold = append(e.fold, f)
			}
		}
	}
	return e
}
