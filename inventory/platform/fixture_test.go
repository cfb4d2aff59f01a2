package platform

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files of testdata")
	only   = flag.String("only", "", "test the fixtures of the platforms that match")
)

// Fixtures spell the mark of a private key with an underscore, so that nobody who
// looks for keys in the repository finds one that is made up.
const (
	keySpelled = "PRIVATE_KEY-----"
	keyMark    = "PRIVATE " + "KEY-----"
)

// testKey keys the tokens of all golden texts.
var testKey = []byte("a key for tests")

// fixture is testdata/NAME.txtar: what a device of the platform prints (parts/…),
// and what has to come of it. Everything in it is invented.
//
//	errors     lines KIND TEXT: command, denied, busy, noise, or enable that fails
//	facts      lines NAME VALUE, what TextFacts finds in the parts
//	agents     lines SYSOBJECTID SYSDESCR that have to be this platform for certain
//	agent/…    one agent: its line as in agents, then lines OID VALUE, then lines
//	           "fact NAME VALUE", all that Facts has to find
//	proof/…    what the command answers that proves the platform
//	prompts, no-prompts, pagers   lines that the dialogue takes for such, or not
//	messages   lines KIND LINE, of which each pattern of the dialogue matches one: command,
//	           denied, busy, noise (errors), fails (enable), question (login)
//	secrets    text with each value that has to be masked in «»; blocks apart
//	plain      text in which nothing may be masked
//	broken/…   the kind of failure, then a change of the parts that has to cause it
//	whole/…    a change of the parts that other models or releases have, and that is whole
//	same/…     a change of the running config, or of an extra part, that is none
//	differs/…  one that is
//	unsaved/…  one that the startup config has to show
//	unknown/…  a startup config that tells nothing
//	waiting/…  a change of the parts that says that a change waits on the device
//	changed    golden: what the running config says of its last change; none: nothing
//	redacted   golden: what Redact makes of the running config's Normal
//
// A change is lines "- OLD" and "+ NEW" (the first line equal to OLD is taken
// out, NEW put in its place), "cut LINE" (nothing behind it), "part NAME" (the
// part that is meant), "without PART"; "then" parts two replacements.
type fixture struct {
	file  string
	def   *Definition
	why   string // first line
	files []file
	parts map[string][]byte
}

type file struct{ name, data string }

// unpack reads the txtar format: a comment, then files behind "-- NAME --".
func unpack(src string) (why string, files []file) {
	for l := range strings.Lines(src) {
		name, isName := strings.CutPrefix(l, "-- ")
		name, ends := strings.CutSuffix(name, " --\n")
		switch {
		case isName && ends:
			files = append(files, file{name: name})
		case len(files) == 0:
			why += l
		default:
			files[len(files)-1].data += l
		}
	}
	return why, files
}

func (f *fixture) pack() string {
	s := f.why
	for _, x := range f.files {
		s += "-- " + x.name + " --\n" + x.data
	}
	return s
}

func definitions(t testing.TB) *Set {
	t.Helper()
	s, faults := Load(nil)
	for _, f := range faults {
		t.Error(f)
	}
	return s
}

func fixtures(t testing.TB) []*fixture {
	t.Helper()
	var out []*fixture
	meant := regexp.MustCompile(*only)
	for _, d := range definitions(t).All() {
		if !meant.MatchString(d.Name) {
			continue
		}
		f := &fixture{file: filepath.Join("testdata", d.Name+".txtar"), def: d, parts: map[string][]byte{}}
		src, err := os.ReadFile(f.file)
		src = bytes.ReplaceAll(src, []byte(keySpelled), []byte(keyMark))
		if err != nil {
			t.Fatalf("every platform has a fixture: %v", err)
		}
		f.why, f.files = unpack(string(src))
		f.each("parts", func(name, data string) { f.parts[name] = []byte(data) })
		out = append(out, f)
	}
	// Of platforms with the same rules the fullest fixture stands for all.
	slices.SortStableFunc(out, func(a, b *fixture) int { return len(b.files) - len(a.files) })
	return out
}

func (f *fixture) get(name string) (string, bool) {
	for _, x := range f.files {
		if x.name == name {
			return x.data, true
		}
	}
	return "", false
}

func (f *fixture) lines(name string) []string {
	s, _ := f.get(name)
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// each calls do for every file below a folder of the archive.
func (f *fixture) each(folder string, do func(name, data string)) {
	for _, x := range f.files {
		if name, ok := strings.CutPrefix(x.name, folder+"/"); ok {
			do(name, x.data)
		}
	}
}

func (f *fixture) running() []byte {
	p, _ := f.def.part(RoleRunning)
	return f.parts[p.Name]
}

// golden compares with a file of the archive, or rewrites it.
func (f *fixture) golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if i := slices.IndexFunc(f.files, func(x file) bool { return x.name == name }); i >= 0 {
			f.files[i].data = string(got)
		} else if len(got) > 0 {
			f.files = append(f.files, file{name, string(got)})
		}
		if err := os.WriteFile(f.file, []byte(strings.ReplaceAll(f.pack(), keyMark, keySpelled)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, _ := f.get(name)
	if string(got) != want {
		t.Errorf("%s: %s differs (go test -update rewrites it):\n%s", f.file, name, firstDifference(want, string(got)))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := 0; i < len(w) || i < len(g); i++ {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return "- " + a + "\n+ " + b
		}
	}
	return ""
}

// changed carries out a change on copies of the parts.
func (f *fixture) changed(t *testing.T, script string) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	for k, v := range f.parts {
		texts[k] = v
	}
	run, _ := f.def.part(RoleRunning)
	part := run.Name
	var out, in []string
	apply := func() {
		if len(out)+len(in) == 0 {
			return
		}
		old, new := joined(out), joined(in)
		text := string(texts[part])
		i := 0
		if old != "" {
			if i = strings.Index("\n"+text, "\n"+old); i < 0 {
				t.Fatalf("there is no %q in %s", old, part)
			}
		}
		texts[part] = []byte(text[:i] + new + text[i+len(old):])
		out, in = nil, nil
	}
	for l := range strings.Lines(script) {
		l = strings.TrimSuffix(l, "\n")
		if !strings.HasPrefix(l, "+ ") {
			if !strings.HasPrefix(l, "- ") || len(in) > 0 {
				apply()
			}
		}
		op, arg, _ := strings.Cut(l, " ")
		switch op {
		case "-":
			out = append(out, arg)
		case "+":
			in = append(in, arg)
		case "then":
		case "part":
			part = arg
		case "without":
			delete(texts, arg)
		case "cut":
			i := strings.Index("\n"+string(texts[part]), "\n"+arg+"\n")
			if i < 0 {
				t.Fatalf("there is no line %q in %s", arg, part)
			}
			texts[part] = bytes.Clone(texts[part][:i+len(arg)+1])
		default:
			t.Fatalf("unknown operation in %q", l)
		}
	}
	apply()
	return texts
}

func joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
