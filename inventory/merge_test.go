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

// What a device calls itself is pasted into commands: see muster config accept.
func TestNameIsNeitherFilterNorAnotherDevicesAddress(t *testing.T) {
	m := newMemory()
	m.poll(t, noon, polled{addr: "192.0.2.1", name: "core", serials: []string{"A1"}})
	m.poll(t, noon, polled{addr: "192.0.2.2", name: "192.0.2.1", serials: []string{"B2"}})
	m.poll(t, noon, polled{addr: "192.0.2.3", name: "is:managed", serials: []string{"C3"}})
	m.poll(t, noon, polled{addr: "192.0.2.4", name: "State:", serials: []string{"D4"}})
	m.poll(t, noon, polled{addr: "192.0.2.5", name: "rack:7", serials: []string{"E5"}})
	all, err := m.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"192.0.2.1": "core", "192.0.2.2": "192.0.2.2", "192.0.2.3": "is-managed", "192.0.2.4": "State", "192.0.2.5": "rack:7",
	} {
		dev, err := among(all, memoryTx{m}, key)
		if err != nil || dev.Name != want {
			t.Errorf("%s is %q (%v), want %q", key, dev.Name, err, want)
		}
	}
}
