package alert

import (
	"testing"
	"time"

	"muster/inventory"
)

// BenchmarkTenThousandDevicesGoDown is the worst night: every device goes down,
// in batches of events, and comes back.
func BenchmarkTenThousandDevicesGoDown(b *testing.B) {
	for b.Loop() {
		s := newScene(b, 10_000)
		for _, to := range []inventory.State{inventory.StateDown, inventory.StateUp} {
			for from := 1; from <= 10_000; from += batchSize {
				var ns []int
				for n := from; n < from+batchSize; n++ {
					ns = append(ns, n)
				}
				s.later(time.Second).pass(s.goes(to, ns...)...)
			}
		}
		if n := len(s.alerts); n < 1 || n > 3 {
			b.Fatalf("%d alerts, want one or two", n)
		}
	}
}
