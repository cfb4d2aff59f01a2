package settings

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	sizeMax   = 1 << 20 // bytes of a settings file
	nestMax   = 30      // maps and lists in one another; the parser takes the square of it
	visitsMax = 200_000 // values, those that aliases repeat included
)

// reader walks the syntax tree of a settings file and notes all faults. The
// library's own strict decoding stops at the first one, quotes the source, turns
// 1.10 into 1.1 and 022 into 18; here a value keeps the text it was written as.
type reader struct {
	file    string
	faults  Faults
	anchors map[string]ast.Node
	visits  int
	quiet   bool // inside credentials and receivers: do not quote what was written
}

// field reads the value of one key. path names it in messages.
type field func(n ast.Node, path string)

// parse returns the top of the tree, nil where there is none.
func (r *reader) parse(data []byte) (top ast.Node) {
	defer func() {
		if p := recover(); p != nil { // the library's parser has panicked on odd input before
			r.at(1, 1, "", "this is no YAML that can be read")
			top = nil
		}
	}()
	if len(data) > sizeMax {
		r.at(1, 1, "", "the file has %d bytes, and settings have at most %d", len(data), sizeMax)
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !r.shallow(tokens) {
		return nil
	}
	// Duplicate keys are looked for here: the library's message quotes them.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d == nil || d.Body == nil })
	if len(docs) == 0 {
		return nil
	}
	if len(docs) > 1 {
		r.fault(docs[1].Body, "", "a second document begins here (---), and a settings file is one")
	}
	ast.Walk(anchors(r.anchors), docs[0].Body)
	return docs[0].Body
}

// anchors collects the values that aliases (*name) stand for.
type anchors map[string]ast.Node

func (a anchors) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		a[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}

// shallow refuses what would keep the parser busy for minutes.
func (r *reader) shallow(tokens token.Tokens) bool {
	depth, inLine, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			inLine, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			inLine++
		}
		if depth > nestMax || inLine > nestMax || t.Position != nil && t.Position.Column > 100*nestMax && t.Type == token.SequenceEntryType {
			r.at(line, 1, "", "lists and maps are nested deeper than settings can be")
			return false
		}
	}
	return true
}

// syntax notes an error of the library by its message and place, never by the
// line that it would quote.
func (r *reader) syntax(err error) {
	said, line, column := "this is no YAML", 1, 1
	var e interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &e) {
		if t := e.GetToken(); t != nil && t.Position != nil {
			line, column = t.Position.Line, t.Position.Column
		}
		if m := e.GetMessage(); m != "" && !strings.ContainsAny(m, "\"\n") {
			said += ": " + m
		}
	}
	r.at(line, column, "", "%s. Look at the indentation, at missing colons and brackets, and quote texts with signs in them", said)
}

func (r *reader) at(line, column int, path, format string, a ...any) {
	r.faults = append(r.faults, Fault{File: r.file, Line: line, Column: column, Path: path, Reason: fmt.Sprintf(format, a...)})
}

func (r *reader) fault(n ast.Node, path, format string, a ...any) {
	line, column := place(n)
	r.at(line, column, path, format, a...)
}

// place is where a value begins: of a block map its first key, since the
// library's own token is the colon behind it.
func place(n ast.Node) (line, column int) {
	if n == nil {
		return 1, 1
	}
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return place(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return place(m.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 1, 1
}

// value looks through anchors and aliases. It returns nil for what is absent or
// null, and for what it had to refuse.
func (r *reader) value(n ast.Node, path string) ast.Node {
	for range nestMax {
		if r.visits++; r.visits > visitsMax {
			if r.visits == visitsMax+1 {
				r.fault(n, path, "the file says more than settings can, with its aliases counted")
			}
			return nil
		}
		switch v := n.(type) {
		case nil:
			return nil
		case *ast.NullNode:
			return nil
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			to, ok := r.anchors[v.Value.GetToken().Value]
			if !ok {
				r.fault(v, path, "an alias (*) to a name that no anchor (&) has. Quote the text if it begins with *")
				return nil
			}
			n = to
		case *ast.TagNode:
			r.fault(v, path, "tags (!) are not used in settings. Quote the text if it begins with !")
			return nil
		default:
			return n
		}
	}
	r.fault(n, path, "anchors and aliases that lead to each other")
	return nil
}

// mapping reads a map: each key once, none that is not known. It reports whether
// it was one.
func (r *reader) mapping(n ast.Node, path string, fields map[string]field) bool {
	v := r.value(n, path)
	if v == nil {
		return false
	}
	m, ok := v.(ast.MapNode)
	if !ok {
		r.fault(v, path, "this must be a map of keys and values: %s", words(keysOf(fields)))
		return false
	}
	seen := make(map[string]bool)
	for it := m.MapRange(); it.Next(); {
		key, child := it.Key(), it.Value()
		name := ""
		if t := key.GetToken(); t != nil && !key.IsMergeKey() {
			name = t.Value
		}
		read, known := fields[name]
		switch {
		case key.IsMergeKey():
			r.fault(key, path, "merge keys (<<) are not used in settings. Use an alias for a whole value")
		case !known:
			r.unknown(key, path, name, keysOf(fields))
		case seen[name]:
			r.fault(key, join(path, name), "the key is there twice")
		default:
			seen[name] = true
			read(child, join(path, name))
		}
	}
	return true
}

// unknown says which key was probably meant. Where secrets are near, a key that
// resembles none may be one that slipped, and is not quoted.
func (r *reader) unknown(key ast.Node, path, name string, known []string) {
	meant := nearest(name, known)
	switch {
	case meant != "":
		r.fault(key, path, "unknown key %q. Did you mean %s?", shorten(name), meant)
	case r.quiet:
		r.fault(key, path, "unknown key. Known here: %s", words(known))
	default:
		r.fault(key, path, "unknown key %q. Known here: %s", shorten(name), words(known))
	}
}

// list reads a list, or one value as a list of it.
func (r *reader) list(n ast.Node, path string, each field) {
	v := r.value(n, path)
	if v == nil {
		return
	}
	s, ok := v.(*ast.SequenceNode)
	if !ok {
		r.fault(v, path, "this must be a list: [one, two], or a line beginning with - for each")
		return
	}
	for i, item := range s.Values {
		each(item, fmt.Sprintf("%s[%d]", path, i))
	}
}

// text reads a text. What YAML takes for a number or a truth value is refused:
// 1.10 and 022 would not be what was written.
func (r *reader) text(n ast.Node, path string) (string, bool) {
	switch v := r.value(n, path).(type) {
	case nil:
		return "", false
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if r.quiet {
			r.fault(v, path, "this must be a text, and YAML takes it for a number or a truth value. Put it in quotes")
		} else {
			r.fault(v, path, "%s must be a text, and YAML takes it for a number or a truth value. Put it in quotes: %q", v.GetToken().Value, v.GetToken().Value)
		}
	default:
		r.fault(v, path, "this must be a text")
	}
	return "", false
}

// name reads the name of something: what can stand in a command line and a file.
func (r *reader) name(n ast.Node, path string, into *string) {
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	if !nameShape.MatchString(text) {
		r.fault(n, path, "this is no name. Use letters, digits, dots, hyphens and underscores, beginning with a letter or digit, 64 at most")
		return
	}
	*into = text
}

var nameShape = regexp.MustCompile(`^[\pL\pN][\pL\pN._-]{0,63}$`)

func (r *reader) textInto(into *string) field {
	return func(n ast.Node, path string) {
		if text, ok := r.text(n, path); ok {
			*into = text
		}
	}
}

// oneOf reads one of a few words.
func (r *reader) oneOf(n ast.Node, path string, into *string, allowed ...string) {
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	if slices.Contains(allowed, text) {
		*into = text
		return
	}
	switch meant := nearest(text, allowed); {
	case meant != "":
		r.fault(n, path, "%q is not known. Did you mean %s?", shorten(text), meant)
	case r.quiet:
		r.fault(n, path, "this is not known. It can be %s", words(allowed))
	default:
		r.fault(n, path, "%q is not known. It can be %s", shorten(text), words(allowed))
	}
}

// number reads a whole number as written in decimal.
func (r *reader) number(n ast.Node, path string, into *int, from, to int) {
	v := r.value(n, path)
	if v == nil {
		return
	}
	written := ""
	if i, ok := v.(*ast.IntegerNode); ok {
		written = i.Token.Value
	}
	if !decimal.MatchString(written) {
		r.fault(v, path, "this must be a whole number from %d to %d, written in decimal and without quotes", from, to)
		return
	}
	i, err := strconv.Atoi(written)
	if err != nil || i < from || i > to {
		r.fault(v, path, "%s is out of range. It can be %d to %d", written, from, to)
		return
	}
	*into = i
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// span reads a length of time: 500ms, 30s, 15m, 2h, 7d, 1w, 1d12h.
func (r *reader) span(n ast.Node, path string, into *time.Duration, from, to time.Duration) {
	v := r.value(n, path)
	if v == nil {
		return
	}
	if _, ok := v.(*ast.IntegerNode); ok {
		r.fault(v, path, "a length of time needs a unit: 30s, 15m, 2h, 7d")
		return
	}
	text, ok := r.text(n, path)
	if !ok {
		return
	}
	d, err := Span(text)
	switch {
	case err != nil:
		r.fault(v, path, "%s", err)
	case d < from || d > to:
		r.fault(v, path, "%s is out of range. It can be %s to %s", text, SpanText(from), SpanText(to))
	default:
		*into = d
	}
}

func (r *reader) spanInto(into *time.Duration, from, to time.Duration) field {
	return func(n ast.Node, path string) { r.span(n, path, into, from, to) }
}

const (
	day  = 24 * time.Hour
	week = 7 * day
)

var (
	spanShape = regexp.MustCompile(`^([0-9]{1,9}(ms|[smhdw]))+$`)
	spanParts = regexp.MustCompile(`([0-9]+)(ms|[smhdw])`)
	spanUnits = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day, "w": week}
)

// Span reads a length of time as settings and flags write it: 500ms, 30s, 15m,
// 2h, 7d, 1w, or several in a row. A day is 24 hours.
func Span(text string) (time.Duration, error) {
	if !spanShape.MatchString(text) {
		return 0, fmt.Errorf("%q is no length of time. Write 30s, 15m, 2h, 7d", shorten(text))
	}
	var sum time.Duration
	for _, part := range spanParts.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(part[1])
		unit := spanUnits[part[2]]
		if err != nil || time.Duration(n) > (1<<62)/unit || sum > 1<<61 {
			return 0, fmt.Errorf("%q is longer than can be reckoned with", shorten(text))
		}
		sum += time.Duration(n) * unit
	}
	return sum, nil
}

// SpanText writes d the way Span reads it, in its largest whole unit.
func SpanText(d time.Duration) string {
	for _, u := range []string{"w", "d", "h", "m", "s"} {
		if d != 0 && d%spanUnits[u] == 0 && !(u == "w" && d < 2*week) {
			return fmt.Sprintf("%d%s", d/spanUnits[u], u)
		}
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}

func keysOf(fields map[string]field) []string {
	keys := make([]string, 0, len(fields))
	for k := range fields {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// words is a list in a sentence.
func words(all []string) string {
	return strings.Join(all, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// shorten keeps a message a line.
func shorten(text string) string {
	if r := []rune(text); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return text
}
