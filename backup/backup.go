package backup

import (
	"context"
	"errors"
	"io"

	"muster/inventory"
)

// Backups takes backups and answers for what is stored.
type Backups struct{}

// Take backs up one device: session, proofs, judgement, version. It returns when
// the outcome is committed. progress may be nil.
func (b *Backups) Take(ctx context.Context, run *inventory.Run, runID int64, dev inventory.Device, progress func(step string)) Result {
	return Result{Device: dev.Name, Outcome: Failed}
}

// Which selects a text of a device.
type Which struct {
	Version     int    // 0: the newest
	Part        string // empty: the first part
	Quarantined bool   // the capture that waits
	Raw         bool   // as the device sent it, secrets and all
}

// Text returns one stored text; redacted ones have gone through
// platform.Outward. by is who asks, for the audit row of a raw text.
func (b *Backups) Text(ctx context.Context, device int64, w Which, by string) ([]byte, error) {
	return nil, errors.New("not built yet")
}

// Versions lists the versions of a device, newest first.
func (b *Backups) Versions(ctx context.Context, device int64) ([]Version, error) {
	return nil, errors.New("not built yet")
}

// Diff writes the unified diff of two versions of a device, redacted; a changed
// secret shows as "secret changed". a or c 0: the version before the newest, the
// newest.
func (b *Backups) Diff(ctx context.Context, w io.Writer, device int64, a, c int) error {
	return errors.New("not built yet")
}

// DiffUnsaved writes what differs between startup (−) and running (+).
func (b *Backups) DiffUnsaved(ctx context.Context, w io.Writer, device int64) error {
	return errors.New("not built yet")
}
