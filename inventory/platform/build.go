package platform

import (
	"regexp"
	"slices"
	"strings"
)

// The keys of a definition file. A key that is not here is refused, so what a
// file says is what the evaluator does.
var topKeys = []string{
	"name", "like", "vendor", "family", "evidence", "restorable", "pending",
	"identify", "facts", "cli", "parts", "complete", "rights",
	"volatile", "secrets", "syntax", "unsaved",
}

var nameRE = regexp.MustCompile(`^[a-z][a-z0-9_]{1,39}$`)

// build makes a definition of a file's tree. It returns nil where there are
// faults, which are in d.
func (d *decoder) build(n node, origin string) *Definition {
	before := len(d.faults)
	if !d.keys(n, "the definition", topKeys...) {
		return nil
	}
	def := &Definition{
		Name:   d.needText(n.get("name"), n, "name"),
		Vendor: d.needText(n.get("vendor"), n, "vendor"),
		Family: d.text(n.get("family"), "family"),
		Origin: origin,
		rules:  &rules{},
	}
	if def.Name != "" && !nameRE.MatchString(def.Name) {
		d.fault(n.get("name"), "name has to be small letters, digits and _, 2 to 40 characters")
	}
	d.evidence(n, def)
	r := def.rules
	d.identify(n.get("identify"), r)
	d.parts(n.get("parts"), def)
	d.cli(n.get("cli"), n, def)
	r.syntax = d.syntax(n.get("syntax"))
	d.complete(n.get("complete"), n, def)
	d.rights(n.get("rights"), def)
	d.volatile(n.get("volatile"), r)
	d.secrets(n.get("secrets"), r)
	d.unsaved(n.get("unsaved"), def)
	d.pending(n.get("pending"), def)
	d.factRules(n.get("facts"), def)
	if len(d.faults) > before {
		return nil
	}
	if !r.gather() {
		d.fault(n, "more than %d rules in errors, volatile, syntax.texts and unsaved.unknown together", maxRules)
		return nil
	}
	def.Revision = revision(n)
	return def
}

func (d *decoder) evidence(n node, def *Definition) {
	e := n.get("evidence")
	if e.kind == isNothing {
		d.fault(n, "evidence is missing; write evidence: { kind: declared, source: … }")
	} else if d.keys(e, "evidence", "kind", "source") {
		def.Evidence.Kind = EvidenceKind(d.oneOf(e.get("kind"), e, "evidence.kind", string(Recorded), string(Lab), string(Declared)))
		def.Evidence.Source = d.needText(e.get("source"), e, "evidence.source")
	}
	if r := n.get("restorable"); r.kind != isNothing && d.keys(r, "restorable", "text", "why") {
		def.Restorable.Text = d.oneOf(r.get("text"), r, "restorable.text", "yes", "partly", "no")
		def.Restorable.Why = d.needText(r.get("why"), r, "restorable.why")
	}
}

var oidRE = regexp.MustCompile(`^[0-2](?:\.(?:0|[1-9]\d{0,9})){1,63}$`)

func (d *decoder) identify(n node, r *rules) {
	for _, it := range d.list(n) {
		if !d.keys(it, "identify", "sysObjectID", "sysDescr", "not", "oid", "value", "command", "match", "why") {
			continue
		}
		id := identity{
			objectID: strings.TrimSuffix(d.text(it.get("sysObjectID"), "sysObjectID"), "."),
			descr:    d.pattern(it.get("sysDescr"), "sysDescr", demand{groups: 0}),
			notDescr: d.pattern(it.get("not"), "not", demand{groups: 0}),
			oid:      d.text(it.get("oid"), "oid"),
			value:    d.pattern(it.get("value"), "value", demand{groups: 0}),
			command:  d.command(it.get("command"), "command"),
			proof:    d.pattern(it.get("match"), "match", demand{start: true, groups: 0}),
		}
		if id.objectID != "" {
			switch {
			case !oidRE.MatchString(id.objectID):
				d.fault(it.get("sysObjectID"), "sysObjectID has to be dotted whole numbers such as 1.3.6.1.4.1.9.1")
			case strings.Count(id.objectID, ".") < 6:
				d.fault(it.get("sysObjectID"), "sysObjectID has to reach to the vendor's number at least, 1.3.6.1.4.1.N")
			case provesNothing(id.objectID):
				d.fault(it.get("sysObjectID"), "Net-SNMP's own sysObjectID proves nothing; identify it by sysDescr or by a proof over SSH (command and match)")
			}
		}
		if id.oid != "" && !oidRE.MatchString(id.oid) {
			if oid, ok := oidOf(id.oid); ok {
				id.oid = oid
			} else {
				d.fault(it.get("oid"), "oid has to be dotted whole numbers, or a name that muster knows: %s", strings.Join(mibNames(), ", "))
			}
		}
		switch {
		case (it.get("oid").kind == isNothing) != (it.get("value").kind == isNothing):
			d.fault(it, "oid and value belong together")
		case (it.get("command").kind == isNothing) != (it.get("match").kind == isNothing):
			d.fault(it, "command and match belong together")
		case it.get("sysObjectID").kind+it.get("sysDescr").kind+it.get("oid").kind+it.get("command").kind == isNothing:
			d.fault(it, "an entry of identify needs sysObjectID, sysDescr, oid with value, or command with match")
		}
		r.identify = append(r.identify, id)
	}
}

func (d *decoder) parts(n node, def *Definition) {
	for _, it := range d.list(n) {
		if !d.keys(it, "a part", "name", "role", "via", "source", "else", "optional", "when", "each", "before", "after", "why") {
			continue
		}
		p := Part{
			Name:     d.needText(it.get("name"), it, "a part's name"),
			Role:     Role(d.oneOf(it.get("role"), it, "role", string(RoleRunning), string(RoleStartup), string(RoleExtra), string(RoleWitness))),
			Via:      Via(d.oneOf(it.get("via"), it, "via", string(ViaShell), string(ViaExec), string(ViaFile))),
			Optional: d.truth(it.get("optional"), "optional"),
		}
		src := it.get("source")
		if d.needText(src, it, "source") != "" {
			if p.Via == ViaFile {
				p.Source = d.path(src, "source")
			} else {
				p.Source = d.command(src, "source", it.get("each").kind != isNothing)
			}
		}
		if alt := it.get("else"); alt.kind != isNothing {
			p.Else = d.command(alt, "else", it.get("each").kind != isNothing)
			if p.Via != ViaShell {
				d.fault(alt, "else is a command of a shell: via has to be shell")
			}
		}
		d.repeated(it, &p, def)
		if p.Name != "" && !nameRE.MatchString(p.Name) {
			d.fault(it.get("name"), "a part's name has to be small letters, digits and _, 2 to 40 characters")
		}
		for _, q := range def.Parts {
			if q.Name == p.Name {
				d.fault(it.get("name"), "another part has this name already")
			}
			if q.Role == p.Role && (p.Role == RoleRunning || p.Role == RoleStartup) {
				d.fault(it.get("role"), "there can be one part with the role %s only", p.Role)
			}
		}
		def.Parts = append(def.Parts, p)
	}
	if run, ok := def.part(RoleRunning); len(def.Parts) > 0 && (!ok || run.Optional) {
		d.fault(n, "parts need one with the role running that is not optional")
	}
}

func (d *decoder) cli(n, top node, def *Definition) {
	if n.kind == isNothing {
		if len(def.Parts) > 0 {
			d.fault(top, "cli is missing: parts cannot be read without it")
		}
		return
	}
	if !d.keys(n, "cli", "login", "prompt", "enable", "paging", "errors", "no_echo", "enter", "asks_login", "exec_only", "exit", "width", "settle_ms") {
		return
	}
	c := &def.rules.cli
	c.prompt = d.pattern(n.get("prompt"), "prompt", demand{start: true, end: true, groups: -1})
	if n.get("prompt").kind == isNothing {
		d.fault(n, "prompt is missing in cli")
	}
	for _, it := range d.list(n.get("login")) {
		if !d.keys(it, "a question of login", "when", "send", "stop", "why") {
			continue
		}
		q := question{
			when: d.pattern(it.get("when"), "when", demand{groups: 0, literal: true}),
			send: d.text(it.get("send"), "send"),
			stop: d.truth(it.get("stop"), "stop"),
			why:  d.needText(it.get("why"), it, "why"),
		}
		switch {
		case q.when == nil && it.get("when").kind == isNothing:
			d.fault(it, "when is missing in a question of login")
		case q.stop && q.send != "":
			d.fault(it, "a question is either answered (send) or ends the session (stop)")
		case !answerRE.MatchString(q.send):
			d.fault(it.get("send"), "an answer may be one letter, yes, no, or empty for a bare line end")
		}
		c.questions = append(c.questions, q)
	}
	if e := n.get("enable"); e.kind != isNothing && d.keys(e, "enable", "when", "command", "asks", "fails") {
		c.enable = &enableRules{
			when:    d.pattern(e.get("when"), "enable.when", demand{end: true, groups: 0}),
			command: d.command(e.get("command"), "enable.command"),
			asks:    d.pattern(e.get("asks"), "enable.asks", demand{groups: 0}),
			fails:   d.patterns(e.get("fails"), "enable.fails", demand{start: true, groups: 0}),
		}
		if e.get("when").kind == isNothing || e.get("command").kind == isNothing {
			d.fault(e, "enable needs when and command")
		}
	}
	if p := n.get("paging"); p.kind != isNothing && d.keys(p, "paging", "off", "marker", "key") {
		for _, it := range d.list(p.get("off")) {
			if s := d.command(it, "paging.off"); s != "" {
				c.paging = append(c.paging, s)
			}
		}
		c.pager = d.pattern(p.get("marker"), "paging.marker", demand{start: true, end: true, groups: -1})
		if c.pagerKey = d.text(p.get("key"), "paging.key"); !slices.Contains([]string{"", " ", "q"}, c.pagerKey) {
			d.fault(p.get("key"), "paging.key has to be a blank or q")
		}
	}
	if e := n.get("errors"); e.kind != isNothing && d.keys(e, "errors", "command", "denied", "right", "busy", "noise") {
		line := demand{start: true, groups: 0}
		c.command = d.patterns(e.get("command"), "errors.command", line)
		c.denied = d.patterns(e.get("denied"), "errors.denied", line)
		if c.right = d.text(e.get("right"), "errors.right"); c.right != "" && len(c.denied) == 0 {
			d.fault(e.get("right"), "right says what a line of denied misses, and there is none")
		}
		c.busy = d.patterns(e.get("busy"), "errors.busy", line)
		c.noise = d.patterns(e.get("noise"), "errors.noise", line)
	}
	c.noEcho = d.truth(n.get("no_echo"), "no_echo")
	if e := n.get("enter"); e.kind != isNothing && d.oneOf(e, n, "enter", "cr") != "" {
		c.enter = "\r"
	}
	c.asksLogin = d.truth(n.get("asks_login"), "asks_login")
	c.execOnly = d.truth(n.get("exec_only"), "exec_only")
	c.exit = d.command(n.get("exit"), "exit")
	c.width = d.number(n.get("width"), "width", 80, 32767)
	c.settle = d.number(n.get("settle_ms"), "settle_ms", 1, 10000)
	for i, p := range def.Parts {
		if c.execOnly && p.Via == ViaShell {
			d.fault(d.list(top.get("parts"))[i], "this part is read in a shell, but cli says exec_only")
		}
	}
}

// gatherMessages puts together what an answer must not hold.
func (r *rules) gatherMessages() {
	r.messages = nil
	add := func(kind messageKind, patterns ...*regexp.Regexp) {
		for _, re := range patterns {
			if re != nil {
				r.messages = append(r.messages, message{re, kind})
			}
		}
	}
	add(messagePager, r.cli.pager)
	add(messageDenied, r.cli.denied...)
	add(messageError, r.cli.command...)
	add(messageError, r.cli.busy...)
}

// answerRE is what a definition may answer to a question: nothing by which a
// device is told to do anything but go on.
var answerRE = regexp.MustCompile(`^(?:[a-zA-Z]?|yes|no)$`)
