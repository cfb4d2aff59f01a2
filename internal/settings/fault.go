package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong in a settings file. It never quotes a value
// that could be a secret.
type Fault struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1
	Path   string `json:"path"`   // "scopes[0].addresses[1]"; empty: the file as a whole
	Reason string `json:"reason"` // what is wrong and the nearest right thing
}

// Error is one line: file:line:column: path: reason.
func (f Fault) Error() string {
	where := fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Path != "" {
		where += f.Path + ": "
	}
	return where + f.Reason
}

// Faults are all that is wrong in a file, in its order.
type Faults []Fault

// Error is one line a fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Err is f as an error, nil where there is no fault.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

func (f Faults) sort() {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// nearest returns the known word that was probably meant, "" where none is near.
func nearest(word string, known []string) string {
	best, bestAt := "", 3 // two slips of the finger at most
	for _, k := range known {
		d := distance(strings.ToLower(word), k)
		if d < bestAt && d < len(k) && d < len(word) {
			best, bestAt = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove, replace or swap with
// their neighbour between a and b.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
