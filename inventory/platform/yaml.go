package platform

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a piece of a definition file with its place. goccy's own strict
// decoder stops at the first fault and quotes the source line in it; a user's
// file may hold what nobody should see in a log, and one fault at a time is
// tedious. So only its parser is used, and the tree is read by decoder.
type node struct {
	kind  nodeKind
	text  string // of a scalar
	pairs []pair // of a mapping, in order
	items []node // of a sequence
	line  int    // 1-based
	col   int
}

type nodeKind int

const (
	isNothing nodeKind = iota // null, or left out
	isString
	isNumber
	isBool
	isMapping
	isSequence
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "text", "a number", "true or false", "a mapping", "a list"}[k]
}

type pair struct {
	key   string
	line  int
	col   int
	value node
}

// has reports whether a mapping has the key, be it with nothing.
func (n node) has(key string) bool {
	return slices.ContainsFunc(n.pairs, func(p pair) bool { return p.key == key })
}

// placeless is n without its places: they are those of another file.
func (n node) placeless() node {
	out := node{kind: n.kind, text: n.text}
	for _, p := range n.pairs {
		out.pairs = append(out.pairs, pair{key: p.key, value: p.value.placeless()})
	}
	for _, i := range n.items {
		out.items = append(out.items, i.placeless())
	}
	return out
}

// get returns the value of a key, or a node of kind isNothing.
func (n node) get(key string) node {
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return node{}
}

// canonical writes the tree so that equal rules give equal text: comments,
// places, quoting and the reasons given for people do not count.
func (n node) canonical(b *strings.Builder) {
	switch n.kind {
	case isMapping:
		b.WriteByte('{')
		for _, p := range n.pairs {
			if p.key == "why" || p.key == "do" {
				continue
			}
			b.WriteString(strconv.Quote(p.key))
			b.WriteByte(':')
			p.value.canonical(b)
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case isSequence:
		b.WriteByte('[')
		for _, it := range n.items {
			it.canonical(b)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	default:
		b.WriteString(strconv.Quote(n.text))
	}
}

// parse reads one YAML document. The faults it finds carry places, never text
// of the file.
func parse(file string, src []byte) (n node, faults []Fault) {
	defer func() { // the parser has panicked on odd input before; a user's file must not end muster
		if r := recover(); r != nil {
			n, faults = node{}, []Fault{{File: file, Reason: "not valid YAML: the parser gave up on it"}}
		}
	}()
	f, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		fault := Fault{File: file, Reason: "not valid YAML"}
		var ye yaml.Error
		if errors.As(err, &ye) {
			fault.Reason += ": " + withoutQuotes(ye.GetMessage())
			if t := ye.GetToken(); t != nil && t.Position != nil {
				fault.Line, fault.Column = t.Position.Line, t.Position.Column
			}
		}
		return node{}, []Fault{fault}
	}
	var bodies []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return node{}, []Fault{{File: file, Reason: "the file is empty; a definition begins with name:"}}
	case 1:
	default:
		return node{}, []Fault{{File: file, Reason: "more than one YAML document; one file is one platform"}}
	}
	c := converter{file: file}
	n = c.node(bodies[0])
	return n, c.faults
}

// withoutQuotes cuts what a parser message quotes from the file.
func withoutQuotes(s string) string {
	for _, q := range []string{`"`, "'", "`"} {
		for {
			i := strings.Index(s, q)
			if i < 0 {
				break
			}
			j := strings.Index(s[i+1:], q)
			if j < 0 {
				s = s[:i]
				break
			}
			s = s[:i] + "…" + s[i+1+j+1:]
		}
	}
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i]
	}
	return s
}

type converter struct {
	file   string
	faults []Fault
	depth  int
}

func (c *converter) fault(t *token.Token, format string, args ...any) {
	f := Fault{File: c.file, Reason: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	c.faults = append(c.faults, f)
}

func (c *converter) node(a ast.Node) node {
	if a == nil {
		return node{}
	}
	if c.depth++; c.depth > 50 {
		c.fault(a.GetToken(), "nested too deeply")
		return node{}
	}
	defer func() { c.depth-- }()
	t := a.GetToken()
	n := node{}
	if t != nil && t.Position != nil {
		n.line, n.col = t.Position.Line, t.Position.Column
	}
	switch a := a.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		n.kind, n.text = isString, a.Value
	case *ast.LiteralNode:
		n.kind, n.text = isString, a.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = isNumber, t.Value
	case *ast.BoolNode:
		n.kind, n.text = isBool, strconv.FormatBool(a.Value)
	case *ast.MappingNode:
		n.kind = isMapping
		for _, v := range a.Values {
			c.pair(&n, v)
		}
	case *ast.MappingValueNode:
		n.kind = isMapping
		c.pair(&n, a)
	case *ast.SequenceNode:
		n.kind = isSequence
		for _, v := range a.Values {
			n.items = append(n.items, c.node(v))
		}
	default:
		c.fault(t, "anchors, aliases, tags and merges are not read here; write it out, or take over another platform's section with like:")
	}
	if n.kind == isMapping && len(n.pairs) > 0 {
		n.line, n.col = n.pairs[0].line, n.pairs[0].col
	}
	return n
}

func (c *converter) pair(n *node, v *ast.MappingValueNode) {
	kt := v.Key.GetToken()
	if kt == nil || kt.Position == nil {
		c.fault(v.GetToken(), "a key is missing")
		return
	}
	p := pair{key: kt.Value, line: kt.Position.Line, col: kt.Position.Column}
	if v.Key.IsMergeKey() {
		c.fault(kt, "anchors, aliases, tags and merges are not read here; write it out, or take over another platform's section with like:")
		return
	}
	for _, q := range n.pairs {
		if q.key == p.key {
			c.fault(kt, "the key stands here a second time; the first is in line %d", q.line)
			return
		}
	}
	p.value = c.node(v.Value)
	if p.value.line == 0 {
		p.value.line, p.value.col = p.line, p.col
	}
	n.pairs = append(n.pairs, p)
}
