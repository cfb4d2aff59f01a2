package app

import (
	"context"

	"muster/internal/alert"
)

// bell is the API's view of alerts: where nobody serves, what has happened since
// is worked on before anybody looks.
type bell struct {
	*alert.Alerts
	a *App
}

// List lists alerts as they stand now.
func (b bell) List(ctx context.Context, f alert.Filter) ([]alert.Alert, error) {
	if !b.a.serving.Load() {
		if _, _, err := b.Step(ctx); err != nil {
			return nil, err
		}
	}
	return b.Alerts.List(ctx, f)
}
