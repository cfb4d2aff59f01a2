//go:build race

package app

import "time"

// The race detector makes everything ten times slower, and two cores have to do.
const (
	demosAtOnce  = 3
	demoPatience = 25 * time.Second
)
