package platform

import "muster/collector/cli"

// setMask tells a session how to mask what a device says before it is kept.
func setMask(d *cli.Dialogue, mask func([]byte) []byte) { _, _ = d, mask }
