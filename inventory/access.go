package inventory

import (
	"context"
	"errors"

	"muster/collector"
	"muster/collector/cli"
	"muster/inventory/platform"
)

// Access is the one door to a device's command line. It knows which credentials
// may be tried, in which order and how often, where passwords may go, and which
// host keys are pinned; nobody else opens a cli.Session.
//
//   - No device sees more than 2 rejected logins in 24 h, over all credentials,
//     keyboard-interactive rounds and enable counted.
//   - Every run begins with one login of each credential, alone, before the
//     others go out; a rejection where it worked before, or of that first login
//     on a second device too, stops the credential for the run.
//   - At most 5 logins are in flight per credential.
type Access struct{}

// Run is the memory of one run: which credentials have proved themselves in it
// and which were stopped. Safe for concurrent use.
type Run struct{}

// Begin starts the memory of a run.
func (a *Access) Begin() *Run { return &Run{} }

// Session is an open session with what opening it taught.
type Session struct {
	*cli.Session
	Credential string // name of the one that worked
}

// Open opens a session at dev with dialogue d, trying the credentials that the
// rules allow. What it learns (the credential and method that work, host keys,
// rejections) is stored before it returns, with the events that tell of it.
//
// The error is a *collector.Error; kinds of its own are needs-decision (no
// password may go there), needs-credential (none fits, or the budget is used
// up), credential-stopped and platform-unknown. steps are what was done, also
// where it failed.
func (r *Run) Open(ctx context.Context, dev Device, d cli.Dialogue, o cli.Options) (s *Session, steps []collector.StepTime, err error) {
	return nil, nil, errors.New("not built yet")
}

// Allowed reports whether a session may be opened at dev at all, without opening
// one: nil, or the *collector.Error that Open would return at once.
func (a *Access) Allowed(ctx context.Context, dev Device, def *platform.Definition) error {
	return errors.New("not built yet")
}
