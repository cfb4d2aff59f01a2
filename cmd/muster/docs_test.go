package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestDocsNameVerbsThatExist looks up every `muster VERB [VERB] --flag` of README
// and guide in the command itself.
func TestDocsNameVerbsThatExist(t *testing.T) {
	parser, err := kong.New(&command{}, kong.Name("muster"))
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile("[`]muster ([^`\n#]+)")
	for _, name := range []string{"../../README.md", "../../docs/guide.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := call.FindAllStringSubmatch(string(text), -1)
		if len(found) < 5 {
			t.Errorf("%s names %d verbs", name, len(found))
		}
		for _, m := range found {
			node := parser.Model.Node
			for _, word := range strings.Fields(m[1]) {
				if flag, ok := strings.CutPrefix(word, "--"); ok {
					if !has(node, flag) {
						t.Errorf("%s: muster %s: no flag %s", name, m[1], word)
					}
					continue
				}
				if next := child(node, word); next != nil {
					node = next
				}
			}
			if node == parser.Model.Node && m[1] != "VERB --help" {
				t.Errorf("%s: muster %s: no such verb", name, m[1])
			}
		}
	}
}

func child(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func has(n *kong.Node, name string) bool {
	for _, group := range n.AllFlags(false) {
		for _, f := range group {
			if f.Name == name {
				return true
			}
		}
	}
	return name == "help"
}
