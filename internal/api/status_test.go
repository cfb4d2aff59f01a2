package api

import (
	"testing"
	"time"

	"muster/collector"
	"muster/inventory"
)

// A host key that a person accepted after the attempt that met it is settled; one
// that was accepted before, or another one that came since, is not.
func TestHostKeyIsSettledByADecisionAfterTheAttempt(t *testing.T) {
	key := func(state inventory.KeyState, byPerson bool, after time.Duration) inventory.Key {
		return inventory.Key{HostKey: collector.HostKey{Type: "ssh-ed25519"}, State: state, ByPerson: byPerson, At: noon.Add(after)}
	}
	tests := map[string]struct {
		keys []inventory.Key
		want bool
	}{
		"accepted since":                {[]inventory.Key{key(inventory.KeyPinned, true, time.Minute)}, true},
		"dropped since":                 {[]inventory.Key{key(inventory.KeyDropped, false, time.Minute)}, true},
		"accepted before":               {[]inventory.Key{key(inventory.KeyPinned, true, -time.Minute)}, false},
		"waits":                         {[]inventory.Key{key(inventory.KeyPinned, false, -time.Hour), key(inventory.KeyPending, false, 0)}, false},
		"accepted, and another waits":   {[]inventory.Key{key(inventory.KeyPinned, true, time.Minute), key(inventory.KeyPending, false, time.Hour)}, false},
		"none, and a strict scope asks": {nil, false},
	}
	for name, tt := range tests {
		if got := keySettled(tt.keys, noon); got != tt.want {
			t.Errorf("%s: settled %t, want %t", name, got, tt.want)
		}
	}
}
