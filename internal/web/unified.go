package web

import (
	"strconv"
	"strings"
)

// hunk is one group of lines of a unified diff.
type hunk struct {
	Head   string
	Parent string // the blocks that its first change is in, "a › b"; empty: top level, or not known
	Lines  []diffLine
}

// diffLine is one line: Mark is "+", "-", " ", or "\" for a remark of the diff
// itself; A and B are line numbers, 0: not on that side.
type diffLine struct {
	Mark string
	A, B int
	Text string
}

// parseUnified reads the diff that the API prints, for showing it as a table.
func parseUnified(text string) []hunk {
	var hunks []hunk
	a, b := 0, 0
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(l, "@@ "):
			hunks = append(hunks, hunk{Head: l})
			a, b = begins(l)
		case len(hunks) == 0 || l == "":
			// the header's two lines
		default:
			h := &hunks[len(hunks)-1]
			d := diffLine{Mark: l[:1], Text: l[1:]}
			switch d.Mark {
			case "+":
				d.B = b
				b++
			case "-":
				d.A = a
				a++
			case " ":
				d.A, d.B = a, b
				a++
				b++
			}
			h.Lines = append(h.Lines, d)
		}
	}
	return hunks
}

// begins reads the first line numbers of "@@ -A,n +B,m @@".
func begins(head string) (a, b int) {
	for _, f := range strings.Fields(head) {
		n, _ := strconv.Atoi(strings.SplitN(strings.TrimLeft(f, "+-"), ",", 2)[0])
		switch {
		case strings.HasPrefix(f, "-"):
			a = n
		case strings.HasPrefix(f, "+"):
			b = n
		}
	}
	return a, b
}

// cut leaves n lines of a diff, and tells how many it took away.
func cut(hunks []hunk, n int) (left []hunk, gone int) {
	for _, h := range hunks {
		switch {
		case n <= 0:
			gone += len(h.Lines)
			continue
		case len(h.Lines) > n:
			gone += len(h.Lines) - n
			h.Lines = h.Lines[:n]
		}
		n -= len(h.Lines)
		left = append(left, h)
	}
	return left, gone
}

// addParents names the blocks that each hunk is in: lines of less indent above
// its first change, in the text of the new side. Where that text is not the one
// that the diff counts lines of, no parent is better than a wrong one.
func addParents(hunks []hunk, text []string) {
	for i := range hunks {
		h := &hunks[i]
		first := -1
		fits := true
		for j, l := range h.Lines {
			if l.Mark != " " && l.Mark != "\\" && first < 0 {
				first = j
			}
			// Secrets are marked in another way in changed lines of a diff.
			if l.Mark == " " && (l.B < 1 || l.B > len(text) || text[l.B-1] != l.Text) {
				fits = false
			}
		}
		if first < 0 || !fits {
			continue
		}
		h.Parent = strings.Join(parents(text, above(h, first), indent(h.Lines[first].Text)), " › ")
	}
}

// above is how many lines of the new side's text come before line i of a hunk.
func above(h *hunk, i int) int {
	for _, l := range h.Lines[i:] {
		if l.B > 0 {
			return l.B - 1
		}
	}
	for j := i - 1; j >= 0; j-- {
		if h.Lines[j].B > 0 {
			return h.Lines[j].B
		}
	}
	return 0
}

// parents walks up from line n (counted from 0, not looked at itself).
func parents(text []string, n, depth int) []string {
	var path []string
	for i := min(n, len(text)) - 1; i >= 0 && depth > 0; i-- {
		line := strings.TrimSpace(text[i])
		if line == "" || strings.Trim(line, "!#{}[]();") == "" || indent(text[i]) >= depth {
			continue
		}
		depth = indent(text[i])
		path = append([]string{strings.TrimRight(line, " {")}, path...)
	}
	return path
}

// indent is how far a line is moved in, in bytes.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
