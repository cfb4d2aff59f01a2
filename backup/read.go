package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"muster/inventory/platform"
)

// Which selects a text of a device.
type Which struct {
	Version     int    // 0: the newest
	Part        string // empty: the first part
	Quarantined bool   // the capture that waits
	Capture     string // only if it is this one that waits; empty: any
	Raw         bool   // as the device sent it, secrets and all
}

// Text returns one stored text; redacted ones have gone through
// platform.Outward. by is who asks, for the audit row of a raw text.
//
// The newest raw text is that of the last good capture, also where only ignored
// things differ from the newest version: what is restored is never older than
// last night.
func (b *Backups) Text(ctx context.Context, device int64, w Which, by string) ([]byte, error) {
	raw, platformName, stored, err := b.find(ctx, device, w)
	if err != nil {
		return nil, err
	}
	if w.Raw {
		detail := fmt.Sprintf("version %d", w.Version)
		switch {
		case w.Quarantined:
			detail = "the capture in quarantine"
		case w.Version == 0:
			detail = "the newest capture"
		}
		if w.Part != "" {
			detail += ", part " + w.Part
		}
		// On disk before the text goes out.
		if err := b.store.AuditRawRead(ctx, b.o.Now(), by, b.nameOf(ctx, device), detail); err != nil {
			return nil, fmt.Errorf("write down who reads the raw text: %w", err)
		}
		return raw, nil
	}
	rules, ok := b.rules(platformName)
	switch {
	case ok && (stored == nil || stored.derived != rules.Spec().Revision):
		return outwardLine(redacted(rules, b.key, raw)), nil // today's rules hide what older ones did not know
	case stored != nil:
		return outwardLine(stored.text), nil
	}
	return outwardLine(platform.Mask(raw)), nil
}

// storedText is a redacted text with the rules that made it.
type storedText struct {
	derived string
	text    []byte
}

// find reads the raw text that w means, and the redacted one where it is stored.
func (b *Backups) find(ctx context.Context, device int64, w Which) (raw []byte, platformName string, stored *storedText, err error) {
	ground, err := b.store.BackupGround(ctx, device)
	if err != nil {
		return nil, "", nil, fmt.Errorf("read what stands: %w", err)
	}
	name := b.nameOf(ctx, device)
	if w.Quarantined {
		if ground.Waiting == 0 {
			return nil, "", nil, fmt.Errorf("%s: %w", name, ErrNothingWaits)
		}
		if w.Capture != "" {
			dev, err := b.device(ctx, device)
			if err != nil {
				return nil, "", nil, err
			}
			q, err := b.waiting(ctx, dev, w.Capture)
			if err != nil {
				return nil, "", nil, err
			}
			raw, err = partOf(name, q.capture, w.Part)
			return raw, q.capture.Platform, nil, err
		}
		c, err := b.store.CaptureTexts(ctx, ground.Waiting)
		if err != nil {
			return nil, "", nil, fmt.Errorf("read the capture in quarantine: %w", err)
		}
		raw, err = partOf(name, c, w.Part)
		return raw, c.Platform, nil, err
	}
	if ground.Newest == 0 && ground.Waiting != 0 {
		return nil, "", nil, NotStored("%s has no version yet; a capture waits in quarantine: muster config show %s --quarantined", name, name)
	}
	if ground.Newest == 0 {
		return nil, "", nil, NotStored("%s has no version yet. Take one: muster backup %s", name, name)
	}
	v, err := b.store.VersionTexts(ctx, device, w.Version, true)
	if err != nil {
		return nil, "", nil, versionError(name, w.Version, err)
	}
	newest := w.Version == 0 || w.Version == ground.Newest
	for i, p := range v.Parts {
		if p.Part != w.Part && (w.Part != "" || i != 0) {
			continue
		}
		raw, stored = p.Raw, &storedText{v.Derived, p.Redacted}
		if w.Version == 0 && w.Raw {
			c, err := b.store.CaptureTexts(ctx, ground.LastGood)
			if err != nil {
				return nil, "", nil, fmt.Errorf("read the newest capture: %w", err)
			}
			for _, t := range c.Texts {
				if t.Part == p.Part && t.Raw != nil {
					raw = t.Raw
				}
			}
		}
		return raw, v.Platform, stored, nil
	}
	if newest { // a part that is no part of versions: what the device boots with, a witness
		c, err := b.store.CaptureTexts(ctx, ground.LastGood)
		if err != nil {
			return nil, "", nil, fmt.Errorf("read the newest capture: %w", err)
		}
		raw, err = partOf(name, c, w.Part)
		return raw, c.Platform, nil, err
	}
	return nil, "", nil, NotStored("%s: version %d has no part %q, only %s", name, v.Number, w.Part, strings.Join(v.Version.Parts, ", "))
}

func partOf(name string, c Capture, part string) ([]byte, error) {
	var have []string
	for _, t := range c.Texts {
		if t.Part == part || part == "" && t.Role == platform.RoleRunning {
			if t.Raw == nil {
				return nil, NotStored("%s: part %q was not read: %s", name, t.Part, t.Note)
			}
			return t.Raw, nil
		}
		have = append(have, t.Part)
	}
	return nil, NotStored("%s: there is no part %q, only %s", name, part, strings.Join(have, ", "))
}

func versionError(name string, number int, err error) error {
	if errors.Is(err, ErrNotStored) {
		return NotStored("%s has no version %d; see muster config log %s", name, number, name)
	}
	return fmt.Errorf("read version %d of %s: %w", number, name, err)
}

// nameOf is the name of a device for messages.
func (b *Backups) nameOf(ctx context.Context, id int64) string {
	if b.o.Devices != nil {
		if d, err := b.device(ctx, id); err == nil {
			return d.Name
		}
	}
	return fmt.Sprintf("device %d", id)
}

// Versions lists the versions of a device, newest first.
func (b *Backups) Versions(ctx context.Context, device int64) ([]Version, error) {
	v, err := b.store.ConfigVersions(ctx, device)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	return v, nil
}

// Diff writes the unified diff of two versions of a device, redacted; a changed
// secret shows as "secret changed". a or c 0: the version before the newest, the
// newest.
func (b *Backups) Diff(ctx context.Context, w io.Writer, device int64, a, c int) error {
	ground, err := b.store.BackupGround(ctx, device)
	if err != nil {
		return fmt.Errorf("read what stands: %w", err)
	}
	name := b.nameOf(ctx, device)
	if c == 0 {
		c = ground.Newest
	}
	if a == 0 {
		versions, err := b.store.ConfigVersions(ctx, device)
		if err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		for _, v := range versions {
			if v.Number < c {
				a = v.Number
				break
			}
		}
	}
	if a == 0 {
		return NotStored("%s has no version before %d; a diff needs two", name, c)
	}
	return b.diffVersions(ctx, w, device, name, a, c)
}

// DiffBaseline writes what differs between the baseline (−) and the newest
// version (+).
func (b *Backups) DiffBaseline(ctx context.Context, w io.Writer, device int64) error {
	ground, err := b.store.BackupGround(ctx, device)
	if err != nil {
		return fmt.Errorf("read what stands: %w", err)
	}
	name := b.nameOf(ctx, device)
	if ground.Baseline == 0 {
		return NotStored("%s has no baseline. Pin one: muster config baseline %s", name, name)
	}
	return b.diffVersions(ctx, w, device, name, ground.Baseline, ground.Newest)
}

// DiffApproved writes what differs between the approved version (−) and the
// newest one (+): what the drift `changed` is about.
func (b *Backups) DiffApproved(ctx context.Context, w io.Writer, device int64) error {
	ground, err := b.store.BackupGround(ctx, device)
	if err != nil {
		return fmt.Errorf("read what stands: %w", err)
	}
	name := b.nameOf(ctx, device)
	if ground.Approved == 0 {
		return NotStored("%s has no version yet", name)
	}
	return b.diffVersions(ctx, w, device, name, ground.Approved, ground.Newest)
}

// diffVersions compares under today's rules of the newer version's platform, so
// that both sides hide and ignore the same.
func (b *Backups) diffVersions(ctx context.Context, w io.Writer, device int64, name string, a, c int) error {
	newer, err := b.store.VersionTexts(ctx, device, c, false)
	if err != nil {
		return versionError(name, c, err)
	}
	rules, ok := b.rules(newer.Platform)
	if !ok {
		return fmt.Errorf("%s: platform %q has no definition any more; bring its file back (muster platform list)", name, newer.Platform)
	}
	if newer, err = b.today(ctx, device, c, rules); err != nil {
		return versionError(name, c, err)
	}
	older, err := b.today(ctx, device, a, rules)
	if err != nil {
		return versionError(name, a, err)
	}
	label := func(part string, v VersionTexts) string {
		return fmt.Sprintf("%s version %d\t%s", part, v.Number, v.At.UTC().Format(time.RFC3339))
	}
	texts := map[string][]byte{}
	for _, p := range older.Parts {
		texts[p.Part] = p.Redacted
	}
	for _, p := range newer.Parts {
		d := newDifference(texts[p.Part], p.Redacted)
		delete(texts, p.Part)
		if err := d.writeTo(w, label(p.Part, older), label(p.Part, newer), remark, outwardLine); err != nil {
			return err
		}
	}
	for _, p := range older.Parts {
		if text, gone := texts[p.Part]; gone {
			d := newDifference(text, nil)
			if err := d.writeTo(w, label(p.Part, older), label(p.Part, newer), remark, outwardLine); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastGood reads the last good capture of a device, with the name of the device
// and the rules of the platform that it was then.
func (b *Backups) lastGood(ctx context.Context, device int64) (name string, c Capture, rules rules, err error) {
	ground, err := b.store.BackupGround(ctx, device)
	if err != nil {
		return "", c, nil, fmt.Errorf("read what stands: %w", err)
	}
	name = b.nameOf(ctx, device)
	if ground.LastGood == 0 {
		return name, c, nil, NotStored("%s has no good backup yet. Take one: muster backup %s", name, name)
	}
	if c, err = b.store.CaptureTexts(ctx, ground.LastGood); err != nil {
		return name, c, nil, fmt.Errorf("read the newest capture: %w", err)
	}
	rules, ok := b.rules(c.Platform)
	if !ok {
		return name, c, nil, fmt.Errorf("%s: platform %q has no definition any more; bring its file back (muster platform list)", name, c.Platform)
	}
	return name, c, rules, nil
}

// DiffUnsaved writes what differs between startup (−) and running (+), as the
// last good capture read them.
func (b *Backups) DiffUnsaved(ctx context.Context, w io.Writer, device int64) error {
	name, c, rules, err := b.lastGood(ctx, device)
	if err != nil {
		return err
	}
	running, startup := savedTexts(c.Texts)
	d, known := savedForms(rules, b.key, running, startup)
	if !known {
		return NotStored("%s: what the device boots with is not known: its platform %s keeps no text of its own, or the text could not be read", name, c.Platform)
	}
	return d.writeTo(w, "startup\t"+c.TakenAt.UTC().Format(time.RFC3339), "running\t"+c.TakenAt.UTC().Format(time.RFC3339), remark, outwardLine)
}

// WritePending writes what the last good capture read of changes that wait for a
// commit or its confirmation, redacted.
func (b *Backups) WritePending(ctx context.Context, w io.Writer, device int64) error {
	name, c, rules, err := b.lastGood(ctx, device)
	if err != nil {
		return err
	}
	texts, shown := c.read(), false
	for _, part := range rules.WaitingParts() {
		text, ok := texts[part]
		if !ok {
			continue
		}
		shown = true
		if _, err := fmt.Fprintf(w, "# %s at %s\n%s", part, c.TakenAt.UTC().Format(time.RFC3339), outwardLine(rules.Redact(text, b.key))); err != nil {
			return err
		}
	}
	if !shown {
		return NotStored("%s: nothing on %s shows muster a change that waits", name, c.Platform)
	}
	return nil
}
