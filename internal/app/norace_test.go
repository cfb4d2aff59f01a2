//go:build !race

package app

import "time"

// Demos mostly wait: many at once take no longer than one.
const (
	demosAtOnce  = 10
	demoPatience = 8 * time.Second
)
