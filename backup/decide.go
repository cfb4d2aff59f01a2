package backup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/collector"
	"muster/inventory"
)

// Why a decision is refused.
var (
	ErrNothingWaits = errors.New("nothing is in quarantine")
	ErrReplaced     = errors.New("another capture is in quarantine") // than the one that somebody looked at
	ErrOtherChange  = errors.New("its change is another one by now") // than somebody saw
)

// Held is the capture of a device that is in quarantine.
type Held struct {
	// ID is of what would become a version: a later capture with the same text has
	// the same one, any other has another.
	ID      string
	TakenAt time.Time
}

func (h Held) String() string { return h.ID + " of " + h.TakenAt.UTC().Format(time.RFC3339) }

// Approve says, for a person, that the newest version is how the device should
// be, and returns its number.
func (b *Backups) Approve(ctx context.Context, device int64, who string) (int, error) {
	return b.ApproveVersion(ctx, device, 0, who)
}

// ApproveVersion approves any version; 0 is the newest.
func (b *Backups) ApproveVersion(ctx context.Context, device int64, version int, who string) (int, error) {
	dev, err := b.device(ctx, device)
	if err != nil {
		return 0, err
	}
	return b.approve(ctx, dev, version, "", "person", who, b.o.Now())
}

// ApproveChange approves the newest version where it still differs from the
// approved one as group says ([Drift].Group): a later capture may have changed
// otherwise.
func (b *Backups) ApproveChange(ctx context.Context, device int64, group, who string) (int, error) {
	dev, err := b.device(ctx, device)
	if err != nil {
		return 0, err
	}
	return b.approve(ctx, dev, 0, group, "person", who, b.o.Now())
}

// device finds a device of the inventory.
func (b *Backups) device(ctx context.Context, id int64) (inventory.Device, error) {
	all, err := b.o.Devices(ctx)
	if err != nil {
		return inventory.Device{}, fmt.Errorf("list devices: %w", err)
	}
	for _, d := range all {
		if d.ID == id {
			return d, nil
		}
	}
	return inventory.Device{}, NotStored("device %d is not in the inventory", id)
}

// approve approves a version; group, where it is given, has to be that of the
// change that is open.
func (b *Backups) approve(ctx context.Context, dev inventory.Device, version int, group, how, who string, at time.Time) (int, error) {
	defer b.hold(dev.ID)()
	stand, version, err := b.pick(ctx, dev, version)
	if err != nil {
		return 0, err
	}
	if group != "" && !slices.ContainsFunc(stand.Drifts, func(d OpenDrift) bool { return d.Kind == DriftChanged && d.Group == group }) {
		return 0, fmt.Errorf("%s: %w, not that of group %s, and was not approved; see muster config diff %s", dev.Name, ErrOtherChange, group, dev.Name)
	}
	if version == stand.Approved {
		return version, nil
	}
	commit := Commit{At: at, DeviceID: dev.ID, Approvals: []Approval{{Number: version, How: how, Who: who}}}
	if how == "person" {
		commit.Audit = &Audit{Who: who, Action: "config approve", Subject: dev.Name, Detail: fmt.Sprintf("version %d", version)}
	}
	return version, b.redrift(ctx, dev, stand, commit)
}

// Pin makes a version the baseline of the device; version 0 is the newest. The
// pinned version is returned.
func (b *Backups) Pin(ctx context.Context, device int64, version int, who string) (int, error) {
	dev, err := b.device(ctx, device)
	if err != nil {
		return 0, err
	}
	defer b.hold(dev.ID)()
	stand, version, err := b.pick(ctx, dev, version)
	if err != nil {
		return 0, err
	}
	return version, b.redrift(ctx, dev, stand, Commit{At: b.o.Now(), DeviceID: dev.ID, Baseline: &Baseline{Number: version, Who: who},
		Audit: &Audit{Who: who, Action: "config baseline", Subject: dev.Name, Detail: fmt.Sprintf("version %d", version)}})
}

// Unpin lets the baseline of the device go.
func (b *Backups) Unpin(ctx context.Context, device int64, who string) error {
	dev, err := b.device(ctx, device)
	if err != nil {
		return err
	}
	defer b.hold(dev.ID)()
	stand, _, err := b.pick(ctx, dev, 0)
	if err != nil {
		return err
	}
	return b.redrift(ctx, dev, stand, Commit{At: b.o.Now(), DeviceID: dev.ID, Baseline: &Baseline{Who: who},
		Audit: &Audit{Who: who, Action: "config baseline", Subject: dev.Name, Detail: "none"}})
}

// pick reads how a device stands and finds the version that is meant.
func (b *Backups) pick(ctx context.Context, dev inventory.Device, version int) (Ground, int, error) {
	stand, err := b.store.BackupGround(ctx, dev.ID)
	if err != nil {
		return stand, 0, fmt.Errorf("read what stands: %w", err)
	}
	if stand.Newest == 0 {
		return stand, 0, NotStored("%s has no version yet. Take one: muster backup %s", dev.Name, dev.Name)
	}
	if version < 0 || version > stand.Newest {
		return stand, 0, NotStored("%s has no version %d; see muster config log %s", dev.Name, version, dev.Name)
	}
	if version == 0 {
		version = stand.Newest
	}
	return stand, version, nil
}

// redrift commits a decision with what it changes of the drift. Of `unsaved`
// and `pending` it says nothing: no text was read.
func (b *Backups) redrift(ctx context.Context, dev inventory.Device, stand Ground, commit Commit) error {
	rules, newest, err := b.newestToday(ctx, dev, stand)
	if err != nil {
		return err
	}
	if err := b.drift(ctx, dev, rules, stand, &commit, newest, nil); err != nil {
		return err
	}
	return b.store.CommitBackup(ctx, commit)
}

// newestToday reads the newest version under the rules of the device's platform,
// or, where there is no such definition any more, under those that it was
// stored with.
func (b *Backups) newestToday(ctx context.Context, dev inventory.Device, stand Ground) (rules, VersionTexts, error) {
	v, err := b.store.VersionTexts(ctx, dev.ID, stand.Newest, false)
	if err != nil {
		return nil, v, fmt.Errorf("read version %d: %w", stand.Newest, err)
	}
	r, ok := b.rules(v.Platform)
	if !ok {
		return nil, v, fmt.Errorf("%s: platform %q has no definition any more; bring its file back (muster platform list)", dev.Name, v.Platform)
	}
	v, err = b.today(ctx, dev.ID, stand.Newest, r)
	return r, v, err
}

// Quarantined tells which capture of a device is in quarantine.
func (b *Backups) Quarantined(ctx context.Context, device int64) (Held, error) {
	dev, err := b.device(ctx, device)
	if err != nil {
		return Held{}, err
	}
	q, err := b.waiting(ctx, dev, "")
	return q.held, err
}

// Accept makes the capture in quarantine good, for a person who looked at it: a
// version, where its text differs from the newest one. capture is the [Held].ID of
// what that person saw; empty takes what is there. The version that now stands is
// returned, and what was accepted.
func (b *Backups) Accept(ctx context.Context, device int64, capture, who string) (int, Held, error) {
	dev, err := b.device(ctx, device)
	if err != nil {
		return 0, Held{}, err
	}
	defer b.hold(dev.ID)()
	q, err := b.waiting(ctx, dev, capture)
	if err != nil {
		return 0, Held{}, err
	}
	r, err := b.accept(ctx, dev, q, who)
	return r.Version, q.held, err
}

func (b *Backups) accept(ctx context.Context, dev inventory.Device, q quarantine, who string) (Result, error) {
	stand, c, rules, parts := q.stand, q.capture, q.rules, q.parts
	at := b.o.Now()
	commit := Commit{At: at, DeviceID: dev.ID, Decision: &Decision{CaptureID: c.ID, Accepted: true, Who: who},
		Audit: &Audit{Who: who, Action: "config accept", Subject: dev.Name, Detail: "capture " + q.held.String()}}
	if len(parts) == 0 || blank(parts[0].Raw) {
		return Result{}, fmt.Errorf("%s: the capture in quarantine is empty and can only be discarded: muster config discard %s", dev.Name, dev.Name)
	}
	var previous *VersionTexts
	if stand.Newest > 0 {
		v, err := b.today(ctx, dev.ID, stand.Newest, rules)
		if err != nil {
			return Result{}, fmt.Errorf("read version %d: %w", stand.Newest, err)
		}
		previous = &v
	}
	parts = append(parts, removed(previous, c.Texts)...)
	result := Result{Device: dev.Name, Outcome: Unchanged, Version: stand.Newest, SHA256: digest(c.running()), Seconds: c.Took.Seconds(),
		Message: fmt.Sprintf("%s: the capture of %s was accepted by %s", collector.Escape(dev.Name), c.TakenAt.UTC().Format(time.RFC3339), collector.Escape(who))}
	if _, differs := compare(previous, parts); differs {
		result.Outcome, result.Version = Stored, stand.Last+1
		commit.Version = newVersion(dev.ID, result, c.TakenAt, ReasonAccepted, rules.Spec().Revision, previous, parts)
		commit.Version.FromCapture = c.ID
		commit.Version.LastChange = lastChange(rules, b.key, parts)
	}
	commit.Events = append(commit.Events, b.backupEvent(dev, at, result))
	if err := b.drift(ctx, dev, rules, stand, &commit, newest(previous, commit.Version), &c); err != nil {
		return Result{}, err
	}
	return result, b.store.CommitBackup(ctx, commit)
}

// Discard throws the capture in quarantine away, or refuses as [Backups.Accept]
// does. What stood before still stands; the device counts as failed until its next
// backup.
func (b *Backups) Discard(ctx context.Context, device int64, capture, who string) (Held, error) {
	dev, err := b.device(ctx, device)
	if err != nil {
		return Held{}, err
	}
	defer b.hold(dev.ID)()
	q, err := b.waiting(ctx, dev, capture)
	if err != nil {
		return Held{}, err
	}
	at := b.o.Now()
	taken := q.held.TakenAt.UTC().Format(time.RFC3339)
	told := Result{Device: dev.Name, Outcome: Skipped, Message: fmt.Sprintf("%s: the capture of %s was discarded by %s", collector.Escape(dev.Name), taken, collector.Escape(who))}
	return q.held, b.store.CommitBackup(ctx, Commit{At: at, DeviceID: dev.ID, Decision: &Decision{CaptureID: q.capture.ID, Who: who},
		Events: []inventory.Event{b.backupEvent(dev, at, told)},
		Audit:  &Audit{Who: who, Action: "config discard", Subject: dev.Name, Detail: "capture " + q.held.String()}})
}

// quarantine is a capture that waits, with all that a decision about it needs.
type quarantine struct {
	held    Held
	stand   Ground
	capture Capture
	rules   rules
	parts   []VersionPart // of the version that it would be
}

// waiting reads what is in quarantine. Where an id is given it has to be that one.
func (b *Backups) waiting(ctx context.Context, dev inventory.Device, id string) (q quarantine, err error) {
	if q.stand, err = b.store.BackupGround(ctx, dev.ID); err != nil {
		return q, fmt.Errorf("read what stands: %w", err)
	}
	if q.stand.Waiting == 0 {
		return q, fmt.Errorf("%s: %w; see muster config log %s", dev.Name, ErrNothingWaits, dev.Name)
	}
	if q.capture, err = b.store.CaptureTexts(ctx, q.stand.Waiting); err != nil {
		return q, fmt.Errorf("read the capture in quarantine: %w", err)
	}
	var ok bool
	if q.rules, ok = b.rules(q.capture.Platform); !ok {
		return q, fmt.Errorf("%s: platform %q has no definition any more; bring its file back (muster platform list)", dev.Name, q.capture.Platform)
	}
	q.parts = derive(q.rules, b.key, q.capture.Texts)
	q.held = Held{ID: heldID(b.key, q.parts), TakenAt: q.capture.TakenAt}
	if id != "" && id != q.held.ID {
		return q, fmt.Errorf("%s: %w than %s by now, %s; look at that one: muster config show %s --quarantined", dev.Name, ErrReplaced, collector.Escape(id), q.held, dev.Name)
	}
	return q, nil
}

// heldID is keyed, as the tokens in the texts are: it tells nothing to whom has
// not the texts.
func heldID(key []byte, parts []VersionPart) string {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(mac, "%q %d ", p.Part, len(p.Redacted))
		mac.Write(p.Redacted)
	}
	return hex.EncodeToString(mac.Sum(nil)[:6])
}

// Purge removes a version and its bytes from every place in the data directory,
// and proves it. What was approved or pinned before then holds again, if that is
// still there. Copies that people made elsewhere are theirs to remove.
func (b *Backups) Purge(ctx context.Context, device int64, version int, who string) error {
	dev, err := b.device(ctx, device)
	if err != nil {
		return err
	}
	defer b.hold(dev.ID)()
	if version < 1 {
		return fmt.Errorf("say which version of %s is to be purged; see muster config log %s", dev.Name, dev.Name)
	}
	audit := Audit{Who: who, Action: "config purge", Subject: dev.Name, Detail: fmt.Sprintf("version %d", version)}
	purged := b.store.PurgeVersion(ctx, dev.ID, version, audit, b.o.Now())
	if errors.Is(purged, ErrNotStored) {
		return versionError(dev.Name, version, purged)
	}
	stand, err := b.store.BackupGround(ctx, dev.ID)
	switch {
	case err != nil:
	case stand.Newest > 0:
		err = b.redrift(ctx, dev, stand, Commit{At: b.o.Now(), DeviceID: dev.ID})
	default: // nothing is left that could differ
		commit := Commit{At: b.o.Now(), DeviceID: dev.ID}
		for _, kind := range []DriftKind{DriftChanged, DriftOffBaseline, DriftUnsaved, DriftPending} {
			b.turn(dev, stand, &commit, kind, verdict{known: true})
		}
		err = b.store.CommitBackup(ctx, commit)
	}
	if purged != nil {
		purged = fmt.Errorf("purge version %d of %s: %w", version, dev.Name, purged)
	}
	return errors.Join(purged, err)
}

// ApproveDue approves the newest versions to which nobody objected for as long
// as the policy of their device says, and tells how many. While a change waits on
// the device nothing is approved: it may roll back. Who approves an older
// version while there is a newer one objects to that.
func (b *Backups) ApproveDue(ctx context.Context, at time.Time) (int, error) {
	devices, err := b.o.Devices(ctx)
	if err != nil {
		return 0, fmt.Errorf("list devices: %w", err)
	}
	open, err := b.store.OpenDrifts(ctx, 0)
	if err != nil {
		return 0, fmt.Errorf("list drift: %w", err)
	}
	changed, waits := map[int64]bool{}, map[int64]bool{}
	for _, d := range open {
		changed[d.DeviceID] = changed[d.DeviceID] || d.Kind == DriftChanged
		waits[d.DeviceID] = waits[d.DeviceID] || d.Kind == DriftPending
	}
	n := 0
	var failures []error
	for _, dev := range devices {
		policy := b.o.Approval(dev)
		if !changed[dev.ID] || policy.Manual || waits[dev.ID] {
			continue
		}
		stand, err := b.store.BackupGround(ctx, dev.ID)
		if err == nil && stand.Newest != stand.Approved && !stand.Objected && !stand.NewestAt.Add(policy.After).After(at) {
			if _, err = b.approve(ctx, dev, stand.Newest, "", "age", "", at); err == nil {
				n++
			}
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("approve the newest version of %s: %w", dev.Name, err))
		}
	}
	return n, errors.Join(failures...)
}
