package inventory

import (
	"fmt"
	"strings"
	"testing"
)

// countingTx counts the questions for names.
type countingTx struct {
	memoryTx
	asked *int
}

func (c countingTx) NameTaken(name string, id int64) (bool, error) {
	*c.asked++
	return c.memoryTx.NameTaken(name, id)
}

// A thousand switches may have their vendor's default name.
func TestNameIsUniqueAmongManyAtFewQuestions(t *testing.T) {
	m := newMemory()
	for i := range 1000 {
		asked := 0
		name, err := uniqueName(countingTx{memoryTx{m}, &asked}, "switch", 0)
		if err != nil {
			t.Fatal(err)
		}
		want := "switch"
		if i > 0 {
			want = fmt.Sprintf("switch~%d", i+1)
		}
		if name != want || asked > 25 {
			t.Fatalf("device %d is called %s after %d questions, want %s after few", i+1, name, asked, want)
		}
		if err := (memoryTx{m}).PutDevice(&Device{Name: strings.ToUpper(name)}); err != nil {
			t.Fatal(err)
		}
	}
}
