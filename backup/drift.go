package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"muster/collector"
	"muster/inventory"
	"muster/inventory/platform"
)

// drift computes, for the version that will stand, whether it approves itself
// and how the device then differs from how it should be, and puts what changes
// into commit, with the events that tell of it. Without a capture nothing is said
// of `unsaved` and `pending`.
func (b *Backups) drift(ctx context.Context, dev inventory.Device, rules rules, stand Ground, commit *Commit, now VersionTexts, c *Capture) error {
	var unsaved, pending verdict
	if c != nil {
		running, startup := savedTexts(c.Texts)
		unsaved = b.unsaved(rules, running, startup)
		unsaved.message = fmt.Sprintf("the running config is not what the device boots with. See muster config diff %s --unsaved, then save it on the device", dev.Name)
		pending = waiting(rules, c)
		pending.message += fmt.Sprintf(". See muster config diff %s --pending, then commit, confirm or drop it on the device", dev.Name)
	}
	approved := stand.Approved
	if n := len(commit.Approvals); n > 0 {
		approved = commit.Approvals[n-1].Number
	}
	approve := func(how string) { commit.Approvals = append(commit.Approvals, Approval{Number: now.Number, How: how}) }
	changed := verdict{known: true}
	switch {
	case approved == 0:
		approve("first")
	case approved != now.Number:
		was, err := b.today(ctx, dev.ID, approved, rules)
		if err != nil {
			return fmt.Errorf("read the approved version %d: %w", approved, err)
		}
		changed = differ(was.Parts, now.Parts)
		switch {
		case !changed.differs:
			approve("same text")
		case commit.Version != nil && !pending.differs && b.o.Approval(dev) == (ApprovalPolicy{}):
			approve("at once")
			changed = verdict{known: true}
		}
		changed.message = fmt.Sprintf("the configuration is not version %d, which was approved last. See muster config diff %s, then muster config approve %s", approved, dev.Name, dev.Name)
	}

	pinned := stand.Baseline
	if commit.Baseline != nil {
		pinned = commit.Baseline.Number
	}
	off := verdict{known: true}
	if pinned != 0 && pinned != now.Number {
		base, err := b.today(ctx, dev.ID, pinned, rules)
		if err != nil {
			return fmt.Errorf("read the baseline, version %d: %w", pinned, err)
		}
		off = differ(base.Parts, now.Parts)
		off.message = fmt.Sprintf("the configuration is not its baseline, version %d. See muster config diff %s --baseline", pinned, dev.Name)
	}

	b.turn(dev, stand, commit, DriftChanged, changed)
	b.turn(dev, stand, commit, DriftOffBaseline, off)
	b.turn(dev, stand, commit, DriftUnsaved, unsaved)
	b.turn(dev, stand, commit, DriftPending, pending)
	return nil
}

// waiting is what the parts that show it say of a change that waits. Its group is
// what waits, whatever the minutes that are left: one thing on many devices.
func waiting(rules rules, c *Capture) verdict {
	says, known := rules.Waiting(c.read())
	v := verdict{known: known, differs: len(says) > 0}
	if v.differs {
		v.message = strings.Join(says, "; ")
		sum := sha256.Sum256([]byte(v.message))
		v.group = hex.EncodeToString(sum[:8])
	}
	return v
}

// verdict is whether a device differs in one way. What is not known changes
// nothing: neither opens nor closes it a drift.
type verdict struct {
	known, differs bool
	added, removed int
	group          string
	message        string
}

// turn puts into commit what a verdict changes of the drift of a kind.
func (b *Backups) turn(dev inventory.Device, stand Ground, commit *Commit, kind DriftKind, v verdict) {
	var open *OpenDrift
	for i := range stand.Drifts {
		if stand.Drifts[i].Kind == kind {
			open = &stand.Drifts[i]
		}
	}
	if !v.known || (open == nil && !v.differs) {
		return
	}
	next := OpenDrift{DeviceID: dev.ID, Kind: kind, Since: commit.At, LinesAdded: v.added, LinesRemoved: v.removed, Group: v.group, Message: v.message}
	if open != nil {
		next.Since = open.Since
		if v.differs && open.Group == v.group && open.LinesAdded == v.added && open.LinesRemoved == v.removed {
			return
		}
	}
	if !v.differs {
		next.LinesAdded, next.LinesRemoved, next.Group = open.LinesAdded, open.LinesRemoved, open.Group
		next.Message = overMessage[kind]
	}
	commit.Drifts = append(commit.Drifts, DriftChange{OpenDrift: next, Closed: !v.differs})
	commit.Events = append(commit.Events, driftEvent(dev, commit.At, next, !v.differs))
}

var overMessage = map[DriftKind]string{
	DriftChanged:     "the configuration is the approved one again",
	DriftUnsaved:     "the running config is saved",
	DriftPending:     "no change waits for a commit or its confirmation any more",
	DriftOffBaseline: "the configuration is its baseline, or nothing is pinned any more",
}

func driftEvent(dev inventory.Device, at time.Time, d OpenDrift, closed bool) inventory.Event {
	data, err := json.Marshal(d.shown(dev.Name, closed))
	if err != nil {
		panic(err) // strings and numbers only
	}
	return inventory.Event{At: at, Kind: inventory.EventDrift, DeviceID: dev.ID, Device: dev.Name, Data: data}
}

func (d OpenDrift) shown(device string, closed bool) Drift {
	return Drift{Device: device, Kind: d.Kind, Since: d.Since.UTC(), LinesAdded: d.LinesAdded, LinesRemoved: d.LinesRemoved,
		Group: d.Group, Closed: closed, Message: collector.Escape(device) + ": " + d.Message}
}

// differ holds the parts of two versions against each other. A part that one of
// them lacks was not read there, and is no difference; a context is.
func differ(was, now []VersionPart) verdict {
	v := verdict{known: true}
	v.added, v.removed, v.group = between(was, now)
	v.differs = v.added+v.removed > 0
	return v
}

// between counts the lines that differ between two versions and makes the
// fingerprint of the difference.
func between(was, now []VersionPart) (added, removed int, group string) {
	old := map[string][]byte{}
	for _, p := range was {
		old[p.Part] = p.Redacted
	}
	var all []difference
	for _, p := range now {
		text, there := old[p.Part]
		if !there || bytes.Equal(text, p.Redacted) {
			continue
		}
		d := newDifference(text, p.Redacted)
		a, r := d.counts()
		added, removed = added+a, removed+r
		all = append(all, d)
	}
	for _, p := range came(was, now) {
		d := newDifference(nil, p.Redacted)
		a, _ := d.counts()
		added, all = added+a, append(all, d)
	}
	for _, p := range gone(was, now) {
		d := newDifference(p.Redacted, nil)
		_, r := d.counts()
		removed, all = removed+r, append(all, d)
	}
	return added, removed, fingerprint(all...)
}

// fingerprint is the same for the same change on many devices: it is made of the
// changed lines alone, without their place, their order, blanks at their ends,
// and what is secret in them, which differs from device to device. Empty: no
// difference.
func fingerprint(ds ...difference) string {
	var lines []string
	for _, d := range ds {
		for _, c := range d.changes {
			for _, l := range d.a[c.aFrom:c.aTo] {
				lines = append(lines, "-"+plainLine(l))
			}
			for _, l := range d.b[c.bFrom:c.bTo] {
				lines = append(lines, "+"+plainLine(l))
			}
		}
	}
	if len(lines) == 0 {
		return ""
	}
	sort.Strings(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

func plainLine(l []byte) string { return strings.TrimRight(string(outwardLine(l)), " \t\r\n") }

// savedTexts picks the raw texts that `unsaved` is judged by.
func savedTexts(texts []Text) (running, startup []byte) {
	for _, t := range texts {
		switch {
		case t.Note != "":
		case t.Role == platform.RoleRunning && running == nil:
			running = t.Raw
		case t.Role == platform.RoleStartup && startup == nil:
			startup = t.Raw
		}
	}
	return running, startup
}

// savedForms are the redacted texts that `unsaved` compares. A stored text that
// is empty or was not read is not known.
func savedForms(rules rules, key, running, startup []byte) (saved difference, known bool) {
	if blank(running) || blank(startup) {
		return difference{}, false
	}
	r, s, known := rules.SavedForm(running, startup)
	if !known || bytes.Equal(r, s) {
		return difference{}, known
	}
	return newDifference(redacted(rules, key, s), redacted(rules, key, r)), true
}

func (b *Backups) unsaved(rules rules, running, startup []byte) verdict {
	d, known := savedForms(rules, b.key, running, startup)
	if !known {
		return verdict{}
	}
	v := verdict{known: true, group: fingerprint(d)}
	v.added, v.removed = d.counts()
	v.differs = v.added+v.removed > 0
	return v
}

// Drifts lists how the devices of the inventory drifted, oldest first.
func (b *Backups) Drifts(ctx context.Context) ([]Drift, error) {
	devices, err := b.o.Devices(ctx)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	names := map[int64]string{}
	for _, d := range devices {
		names[d.ID] = d.Name
	}
	open, err := b.store.OpenDrifts(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("list drift: %w", err)
	}
	out := []Drift{}
	for _, d := range open {
		if name, ok := names[d.DeviceID]; ok {
			out = append(out, d.shown(name, false))
		}
	}
	return out, nil
}
