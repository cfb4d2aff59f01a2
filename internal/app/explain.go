package app

import (
	"context"
	"net/netip"

	"muster/inventory"
)

// Explain says what muster would do at an address or a device, and why.
func (a *App) Explain(ctx context.Context, key string) ([]inventory.Explained, error) {
	set := a.settings.Load()
	return a.discovery.Explain(ctx, key, func(addr netip.Addr) string {
		for _, sc := range set.Scopes {
			if sc.Addresses.Contains(addr) && sc.Exclude.Contains(addr) {
				return sc.Name
			}
		}
		return ""
	})
}
