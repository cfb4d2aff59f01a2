package platform

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	all []*Definition // by name

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

// Load compiles the embedded definitions and those in user (nil: none), which
// add to or override ours. All faults come back at once; the Set holds whatever
// is whole, ours in place of a faulty override.
//
// A file with like: NAME takes over the sections that it does not give itself
// from the built-in definition of that name, which may be its own.
func Load(user fs.FS) (*Set, []Fault) {
	ours, faults := builtIns()
	if user == nil {
		return newSet(ours), faults
	}
	theirs, more := loadFolder(user, "", ours)
	all := maps.Clone(ours)
	maps.Copy(all, theirs)
	return newSet(all), slices.Concat(faults, more)
}

// builtIns are our own definitions, compiled once: nobody changes a definition.
var builtIns = sync.OnceValues(func() (map[string]loaded, []Fault) {
	sub, err := fs.Sub(builtIn, "definitions")
	if err != nil {
		return nil, []Fault{{File: "definitions", Reason: err.Error()}}
	}
	return loadFolder(sub, BuiltIn, nil)
})

type loaded struct {
	tree node // with what like: took over
	def  *Definition
}

func newSet(from map[string]loaded) *Set {
	s := &Set{}
	for _, l := range from {
		s.all = append(s.all, l.def)
	}
	slices.SortFunc(s.all, func(a, b *Definition) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// loadFolder reads every .yaml and .yml file of a folder. base is where like:
// looks; nil: in the folder itself. origin "": each file's own name.
func loadFolder(fsys fs.FS, origin string, base map[string]loaded) (map[string]loaded, []Fault) {
	var faults []Fault
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []Fault{{File: "platforms", Reason: fmt.Sprintf("the folder cannot be read: %v", err)}}
	}
	trees := map[string]node{} // by file
	var files []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
			continue
		}
		src, err := readLimited(fsys, name)
		if err != nil {
			faults = append(faults, Fault{File: name, Reason: err.Error()})
			continue
		}
		n, fs := parse(name, src)
		if faults = append(faults, fs...); len(fs) == 0 {
			trees[name] = n
			files = append(files, name)
		}
	}
	out, more := compile(files, trees, origin, base)
	return out, append(faults, more...)
}

// Check compiles one definition file as Load would find it in the user's folder,
// and returns it, or all its faults.
func Check(name string, src []byte) (*Definition, []Fault) {
	if len(src) > maxFile {
		return nil, []Fault{{File: name, Reason: fmt.Sprintf("has %d bytes; a definition has at most %d", len(src), maxFile)}}
	}
	ours, _ := builtIns()
	n, faults := parse(name, src)
	if len(faults) > 0 {
		return nil, faults
	}
	out, faults := compile([]string{name}, map[string]node{name: n}, "", ours)
	for _, l := range out {
		return l.def, faults
	}
	return nil, faults
}

// compile makes definitions of files that could be parsed.
func compile(files []string, trees map[string]node, origin string, base map[string]loaded) (map[string]loaded, []Fault) {
	var faults []Fault
	find := func(platform string) (node, bool) {
		if base != nil {
			l, ok := base[platform]
			return l.tree, ok
		}
		for _, f := range files {
			if trees[f].get("name").text == platform {
				return trees[f], true
			}
		}
		return node{}, false
	}
	out, first := map[string]loaded{}, map[string]string{}
	for _, f := range files {
		d := &decoder{file: f}
		n, ok := d.like(trees[f], find)
		var def *Definition
		if ok {
			o := origin
			if o == "" {
				o = f
			}
			def = d.build(n, o)
		}
		if def != nil && first[def.Name] != "" {
			d.fault(n.get("name"), "%s defines this platform already", first[def.Name])
			def = nil
		}
		slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		faults = append(faults, d.faults...)
		if def != nil {
			out[def.Name], first[def.Name] = loaded{n, def}, f
		}
	}
	return out, faults
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
	i, ok := slices.BinarySearchFunc(s.all, name, func(d *Definition, n string) int { return strings.Compare(d.Name, n) })
	if !ok {
		return nil, false
	}
	return s.all[i], true
}

// All returns all definitions by name.
func (s *Set) All() []*Definition { return slices.Clone(s.all) }
