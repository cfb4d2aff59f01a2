package platform

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed definitions/*.yaml
var builtIn embed.FS

// BuiltIn is the Origin of a definition that came with muster.
const BuiltIn = "built in"

// Set is all definitions that are in force.
type Set struct {
	names  []string               // of all, in order
	theirs map[string]*Definition // the user's; the others are ours

	probe         sync.Once // makes the two of all definitions
	prompt, pager *regexp.Regexp
}

// Fault is what is wrong with a definition file.
type Fault struct {
	File   string
	Line   int // 1-based; 0: the file as a whole
	Column int
	Reason string // what is wrong and the nearest right thing, without the line's text
}

func (f Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Reason)
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Reason)
}

// maxFile is the largest definition file that is read, in bytes.
const maxFile = 1 << 20

// Load puts the definitions in user (nil: none) over the embedded ones, to which
// they add or which they override. All faults come back at once; the Set holds
// whatever is whole, ours in place of a faulty override.
//
// A file with like: NAME takes over the sections that it does not give itself
// from the built-in definition of that name, which may be its own.
func Load(user fs.FS) (*Set, []Fault) {
	if user == nil {
		return &Set{names: own.names()}, nil
	}
	theirs, faults := loadFolder(user)
	s := &Set{names: own.names(), theirs: theirs}
	for name := range theirs {
		if i, ours := slices.BinarySearch(s.names, name); !ours {
			s.names = slices.Insert(s.names, i, name)
		}
	}
	return s, faults
}

// own is our own definitions.
var own library

// library is the embedded definitions, each in a file of its name and read when it
// is first asked for: all of them take 0.1 s, and few commands need more than one.
type library struct {
	mu   sync.Mutex
	raw  map[string]node // as the files say, by name
	read map[string]loaded
}

type loaded struct {
	tree node // with what like: took over
	def  *Definition
}

// names lists all definitions, in order.
func (l *library) names() []string {
	entries, err := builtIn.ReadDir("definitions")
	if err != nil {
		panic(err) // the folder is in the binary
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names) // a.yaml comes behind a_b.yaml, a before a_b
	return names
}

// get returns the definition of that name. A fault in one of our own files, which
// the tests load all, is a panic.
func (l *library) get(name string) (loaded, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, ok := l.read[name]; ok {
		return found, true
	}
	file := name + ".yaml"
	n, ok := l.parsed(name)
	if !ok {
		return loaded{}, false
	}
	found, faults := compile(file, n, BuiltIn, l.parsed)
	if len(faults) > 0 {
		panic(faults[0])
	}
	if found.def.Name != name {
		panic(Fault{File: file, Reason: "defines " + found.def.Name})
	}
	if l.read == nil {
		l.read = map[string]loaded{}
	}
	l.read[name] = found
	return found, true
}

// parsed is what the file of a definition says. l.mu is held.
func (l *library) parsed(name string) (node, bool) {
	if n, ok := l.raw[name]; ok {
		return n, true
	}
	src, err := builtIn.ReadFile("definitions/" + name + ".yaml")
	if err != nil {
		return node{}, false
	}
	n, faults := parse(name+".yaml", src)
	if len(faults) > 0 {
		panic(faults[0])
	}
	if l.raw == nil {
		l.raw = map[string]node{}
	}
	l.raw[name] = n
	return n, true
}

// tree is what a definition says, with what like: took over.
func (l *library) tree(name string) (node, bool) {
	found, ok := l.get(name)
	return found.tree, ok
}

// loadFolder reads every .yaml and .yml file of a user's folder.
func loadFolder(fsys fs.FS) (map[string]*Definition, []Fault) {
	var faults []Fault
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []Fault{{File: "platforms", Reason: fmt.Sprintf("the folder cannot be read: %v", err)}}
	}
	out, first := map[string]*Definition{}, map[string]string{}
	for _, e := range entries {
		file := e.Name()
		if e.IsDir() || strings.HasPrefix(file, ".") || path.Ext(file) != ".yaml" && path.Ext(file) != ".yml" {
			continue
		}
		src, err := readLimited(fsys, file)
		if err != nil {
			faults = append(faults, Fault{File: file, Reason: err.Error()})
			continue
		}
		found, more := check(file, src)
		faults = append(faults, more...)
		switch def := found.def; {
		case def == nil:
		case first[def.Name] != "":
			d := decoder{file: file}
			d.fault(found.tree.get("name"), "%s defines this platform already", first[def.Name])
			faults = append(faults, d.faults...)
		default:
			out[def.Name], first[def.Name] = def, file
		}
	}
	return out, faults
}

// Check compiles one definition file as Load would find it in the user's folder,
// and returns it, or all its faults.
func Check(file string, src []byte) (*Definition, []Fault) {
	found, faults := check(file, src)
	return found.def, faults
}

func check(file string, src []byte) (loaded, []Fault) {
	if len(src) > maxFile {
		return loaded{}, []Fault{{File: file, Reason: fmt.Sprintf("has %d bytes; a definition has at most %d", len(src), maxFile)}}
	}
	n, faults := parse(file, src)
	if len(faults) > 0 {
		return loaded{}, faults
	}
	return compile(file, n, file, own.tree)
}

// compile makes a definition of a file that could be parsed; find gives what its
// like: means.
func compile(file string, n node, origin string, find func(platform string) (node, bool)) (loaded, []Fault) {
	d := &decoder{file: file}
	merged, ok := d.like(n, find)
	if !ok {
		return loaded{}, d.faults
	}
	found := loaded{merged, d.build(merged, origin)}
	slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return found, d.faults
}

func readLimited(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no plain file")
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("has %d bytes; a definition has at most %d", info.Size(), maxFile)
	}
	return fs.ReadFile(fsys, name)
}

// like puts the sections of the named definition under n's own.
func (d *decoder) like(n node, find func(string) (node, bool)) (node, bool) {
	l := n.get("like")
	if n.kind != isMapping || l.kind == isNothing {
		return n, true
	}
	if !d.is(l, "like", isString) {
		return n, false
	}
	parent, ok := find(l.text)
	if !ok || parent.get("like").kind != isNothing && parent.get("name").text != n.get("name").text {
		d.fault(l, "like has to name a built-in platform that stands for itself")
		return n, false
	}
	merged := node{kind: isMapping, line: n.line, col: n.col}
	for _, p := range n.pairs {
		if p.key != "like" {
			merged.pairs = append(merged.pairs, p)
		}
	}
	for _, p := range parent.pairs {
		own := p.key == "like" || p.key == "evidence" // trust is not taken over
		if !own && !n.has(p.key) {
			merged.pairs = append(merged.pairs, pair{key: p.key, value: p.value.placeless()})
		}
	}
	return merged, true
}

// ByName returns the definition with that name.
func (s *Set) ByName(name string) (*Definition, bool) {
	if d := s.theirs[name]; d != nil {
		return d, true
	}
	found, ok := own.get(name)
	return found.def, ok
}

// Len is the number of all definitions.
func (s *Set) Len() int { return len(s.names) }

// All returns all definitions by name.
func (s *Set) All() []*Definition { return slices.Collect(s.each) }

// each yields all definitions by name.
func (s *Set) each(yield func(*Definition) bool) {
	for _, name := range s.names {
		if d, ok := s.ByName(name); ok && !yield(d) {
			return
		}
	}
}
