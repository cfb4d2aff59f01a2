package platform

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// decoder turns nodes into rules and collects every fault on the way, so that
// the author of a file sees all of them at once.
type decoder struct {
	file   string
	faults []Fault
}

func (d *decoder) fault(n node, format string, args ...any) {
	d.faults = append(d.faults, Fault{File: d.file, Line: n.line, Column: n.col, Reason: fmt.Sprintf(format, args...)})
}

// is reports whether n has the kind; where it has another one, that is a fault.
func (d *decoder) is(n node, what string, kind nodeKind) bool {
	if n.kind == kind {
		return true
	}
	if kind == isString && (n.kind == isNumber || n.kind == isBool) {
		d.fault(n, "%s is %s here; write it in quotes", what, n.kind)
	} else {
		d.fault(n, "%s is %s, it has to be %s", what, n.kind, kind)
	}
	return false
}

// keys refuses the keys of a mapping that are not known.
func (d *decoder) keys(n node, what string, known ...string) bool {
	if !d.is(n, what, isMapping) {
		return false
	}
	for _, p := range n.pairs {
		if !slices.Contains(known, p.key) {
			at := node{line: p.line, col: p.col}
			d.fault(at, "unknown key in %s; %s", what, nearest(p.key, known))
		}
	}
	return true
}

// nearest names the known key that is most like key.
func nearest(key string, known []string) string {
	best, dist := "", 1<<30
	for _, k := range known {
		if n := distance(strings.ToLower(key), strings.ToLower(k)); n < dist {
			best, dist = k, n
		}
	}
	if dist <= 1+len(best)/3 {
		return "did you mean " + best + "?"
	}
	return "known are " + strings.Join(known, ", ")
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}

func (d *decoder) text(n node, what string) string {
	if n.kind == isNothing {
		return ""
	}
	d.is(n, what, isString)
	return n.text
}

func (d *decoder) needText(n node, at node, what string) string {
	if n.kind == isNothing || n.kind == isString && n.text == "" {
		d.fault(at, "%s is missing", what)
		return ""
	}
	return d.text(n, what)
}

func (d *decoder) oneOf(n, at node, what string, values ...string) string {
	s := d.needText(n, at, what)
	if s != "" && !slices.Contains(values, s) {
		d.fault(n, "%s has to be one of %s", what, strings.Join(values, ", "))
	}
	return s
}

func (d *decoder) truth(n node, what string) bool {
	return n.kind != isNothing && d.is(n, what, isBool) && n.text == "true"
}

func (d *decoder) number(n node, what string, low, high int) int {
	if n.kind == isNothing || !d.is(n, what, isNumber) {
		return 0
	}
	v, err := strconv.Atoi(n.text)
	if err != nil || v < low || v > high {
		d.fault(n, "%s has to be a whole number from %d to %d", what, low, high)
		return 0
	}
	return v
}

// list returns the items of a sequence; one item may stand without brackets.
func (d *decoder) list(n node) []node {
	switch n.kind {
	case isNothing:
		return nil
	case isSequence:
		return n.items
	}
	return []node{n}
}

// demand is what a pattern has to be like beside being valid RE2.
type demand struct {
	start   bool // begins with ^ in every branch: device text may quote anything in mid-line
	end     bool // ends with $ in every branch
	groups  int  // number of groups; -1: none or one
	literal bool // holds fixed text, by which lines are found before any pattern is tried
}

func (d *decoder) pattern(n node, what string, want demand) *regexp.Regexp {
	if n.kind == isNothing || !d.is(n, what, isString) {
		return nil
	}
	re, err := regexp.Compile(n.text)
	if err != nil {
		reason := "it cannot be compiled"
		if se := (*syntax.Error)(nil); errors.As(err, &se) {
			reason = se.Code.String() // without the expression itself
		}
		d.fault(n, "%s is no valid RE2 pattern: %s", what, reason)
		return nil
	}
	tree, err := syntax.Parse(n.text, syntax.Perl)
	if err != nil {
		d.fault(n, "%s is no valid RE2 pattern", what)
		return nil
	}
	switch {
	case want.start && !anchored(tree, false):
		d.fault(n, "%s has to begin with ^ in each of its branches: unanchored, it would match what other text quotes", what)
	case want.end && !anchored(tree, true):
		d.fault(n, "%s has to end with $ in each of its branches", what)
	case want.groups >= 0 && re.NumSubexp() != want.groups:
		d.fault(n, "%s has %d groups, it has to have %d; write (?:…) for a group that takes nothing", what, re.NumSubexp(), want.groups)
	case want.groups < 0 && re.NumSubexp() > 1:
		d.fault(n, "%s has %d groups, it may have one", what, re.NumSubexp())
	case want.literal && literals(tree) == nil:
		d.fault(n, "%s holds no fixed text: it would be tried on every line", what)
	default:
		return re
	}
	return nil
}

func (d *decoder) patterns(n node, what string, want demand) []*regexp.Regexp {
	if len(d.list(n)) > maxRules/4 { // an index holds up to four lists
		d.fault(n, "more than %d patterns in %s", maxRules/4, what)
		return nil
	}
	var out []*regexp.Regexp
	for _, it := range d.list(n) {
		if re := d.pattern(it, what, want); re != nil {
			out = append(out, re)
		}
	}
	return out
}

// anchored reports whether every match of re begins at the start of the text
// (or, with end, ends at its end).
func anchored(re *syntax.Regexp, end bool) bool {
	switch re.Op {
	case syntax.OpBeginText, syntax.OpBeginLine:
		return !end
	case syntax.OpEndText, syntax.OpEndLine:
		return end
	case syntax.OpCapture:
		return anchored(re.Sub[0], end)
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !anchored(s, end) {
				return false
			}
		}
		return true
	case syntax.OpConcat:
		i := 0
		if end {
			i = len(re.Sub) - 1
		}
		return len(re.Sub) > 0 && anchored(re.Sub[i], end)
	}
	return false
}

// command checks a command against the allow-list. Where it is sent for each name
// of a list, {name} stands for that.
func (d *decoder) command(n node, what string, each ...bool) string {
	s := d.text(n, what)
	if s == "" {
		return ""
	}
	sent := s
	if len(each) > 0 && each[0] {
		sent = named(s, "x")
	}
	if !Allowed(sent) {
		d.fault(n, "%s is not on the list of commands that read or set up the session; show, display and get without redirection are", what)
		return ""
	}
	return s
}

// path checks the path of a file that is read.
func (d *decoder) path(n node, what string) string {
	s := d.text(n, what)
	if s == "" {
		return ""
	}
	if !allowedPath(s) {
		d.fault(n, "%s has to be an absolute path of plain characters without .. and not a secret place of the system", what)
		return ""
	}
	return s
}
