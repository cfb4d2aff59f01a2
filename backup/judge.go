package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"time"

	"muster/collector"
	"muster/inventory"
	"muster/inventory/platform"
)

// settle judges what a session brought back, compares it with the newest
// version, and commits the outcome with its events. failure is why the session
// did not get to its end, nil: it did.
func (b *Backups) settle(ctx context.Context, dev inventory.Device, rules rules, c Capture, failure error) Result {
	release := b.hold(dev.ID)
	defer release()
	forget := func() {}
	if d, ok := rules.(definition); ok { // what a test puts in its place remembers nothing
		d = definition{d.ForCapture()}
		rules, forget = d, d.Forget
	}

	commit := Commit{At: c.TakenAt, DeviceID: dev.ID, Capture: &Captured{Capture: c}}
	result, err := b.compute(ctx, dev, rules, &commit, failure)
	// All that the rules have to say is asked before the commit: what they remember of
	// the texts is several times their size, and hundreds may wait for the disk.
	var facts []platform.Fact
	if b.o.Facts != nil && (result.Outcome == Stored || result.Outcome == Unchanged) {
		facts = append(rules.TextFacts(c.read()), rules.Volatile(c.running())...)
	}
	forget()
	if err == nil {
		commit.Capture.Result = result
		commit.Events = append([]inventory.Event{b.backupEvent(dev, commit.At, result)}, commit.Events...)
		err = b.store.CommitBackup(ctx, commit)
	}
	if err != nil {
		// muster cannot do its own work; what stood before still stands.
		b.o.Log.ErrorContext(ctx, "backup was not stored", "run", c.RunID, "device", dev.Name, "err", err)
		return Result{Device: dev.Name, Outcome: Failed, Seconds: c.Took.Seconds(),
			Message: fmt.Sprintf("%s: the backup was not stored: %v", collector.Escape(dev.Name), err)}
	}
	b.tell(ctx, c, result)
	if len(facts) > 0 { // the backup stands without them
		if err := b.o.Facts(ctx, dev, facts, c.TakenAt); err != nil {
			b.o.Log.WarnContext(ctx, "facts from a configuration were not kept", "device", dev.Name, "err", err)
		}
	}
	return result
}

// compute fills commit. Its error means that muster could not do its own work:
// read the store, or evaluate rules. Nothing is committed then.
func (b *Backups) compute(ctx context.Context, dev inventory.Device, rules rules, commit *Commit, failure error) (result Result, err error) {
	defer func() { // a text that breaks an evaluator must not end the process, nor be quoted by the panic
		if p := recover(); p != nil {
			b.o.Log.ErrorContext(ctx, "judging a capture panicked", "device", dev.Name, "stack", string(debug.Stack()))
			err = errors.New("the rules of its platform broke on this text; this is muster's fault, please report it")
		}
	}()
	c := commit.Capture
	result = Result{Device: dev.Name, Seconds: c.Took.Seconds()}
	maskCapture(rules, b.key, &c.Capture)
	if failure != nil {
		c.Texts = nil // a text without its end is nothing to look at
		e, known := b.masked(dev, rules, failure)
		if !known {
			result.Outcome = Failed
			result.Message = fmt.Sprintf("%s: %s", collector.Escape(dev.Name), maskSaid(rules, b.key, failure.Error()))
			return result, nil
		}
		return failed(result, e), nil
	}
	spec := rules.Spec()
	c.Rules = spec.Revision
	result.SHA256 = digest(c.running())

	stand, err := b.store.BackupGround(ctx, dev.ID)
	if err != nil {
		return result, fmt.Errorf("read what stands: %w", err)
	}
	if err := b.allowWayBack(ctx, rules, &stand, &c.Capture); err != nil {
		return result, err
	}
	if c.Proofs, err = judge(rules, stand, &c.Capture); err != nil {
		e, known := b.masked(dev, rules, err)
		if !known {
			return result, fmt.Errorf("judge: %w", err)
		}
		if Rule(e.Kind).Outcome != Quarantined || blank(c.running()) {
			c.Texts = nil
			return failed(result, e), nil
		}
		return quarantined(result, stand, e), nil
	}

	parts := derive(rules, b.key, c.Texts)
	var previous *VersionTexts
	if stand.Newest > 0 {
		v, err := b.today(ctx, dev.ID, stand.Newest, rules)
		if err != nil {
			return result, fmt.Errorf("read version %d: %w", stand.Newest, err)
		}
		previous = &v
	}
	if e := lost(rules, previous, &c.Capture); e != nil {
		e.Device = dev.Name
		return quarantined(result, stand, e), nil
	}
	if e := swapped(rules, dev.Name, previous, parts); e != nil {
		return quarantined(result, stand, e), nil
	}
	result.Version = stand.Newest
	result.Outcome = Unchanged
	parts = append(parts, removed(previous, c.Texts)...)
	if reason, differs := compare(previous, parts); differs {
		result.Outcome = Stored
		result.Version = stand.Last + 1
		commit.Version = newVersion(dev.ID, result, c.TakenAt, reason, spec.Revision, previous, parts)
		commit.Version.LastChange = lastChange(rules, b.key, parts)
	}
	return result, b.drift(ctx, dev, rules, stand, commit, newest(previous, commit.Version), &c.Capture)
}

// allowWayBack takes the size of the last good text out of the judgement where a
// much smaller one is, line by line, the approved version: someone took back a
// large change, and no text that was cut looks like that. All proofs stay.
func (b *Backups) allowWayBack(ctx context.Context, rules rules, stand *Ground, c *Capture) error {
	if stand.Approved == 0 || len(c.running()) >= (stand.LastGoodSize+1)/2 || blank(c.running()) {
		return nil
	}
	approved, err := b.today(ctx, c.DeviceID, stand.Approved, rules)
	if err != nil {
		return fmt.Errorf("read the approved version %d: %w", stand.Approved, err)
	}
	if parts := derive(rules, b.key, c.Texts); len(parts) > 0 && !differ(approved.Parts, parts).differs {
		stand.LastGoodSize = len(c.running())
	}
	return nil
}

// judge holds a capture against its platform's proofs and against what stands.
func judge(rules rules, stand Ground, c *Capture) ([]platform.Proof, error) {
	running := c.running()
	if blank(running) {
		return nil, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrImplausible,
			Do: "The device printed nothing; check the rights of the account with muster doctor " + c.Device}
	}
	texts := c.read()
	for _, p := range rules.Spec().Parts {
		readings, _, err := p.Readings(texts)
		if err != nil {
			return nil, err
		}
		for _, r := range readings {
			text, there := texts[r.Name]
			if p.Optional && r.Name == p.Name || there && (p.Role != platform.RoleExtra || !blank(text)) {
				continue
			}
			return nil, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrPartMissing,
				Do: fmt.Sprintf("The device did not show part %q (%s)%s", r.Name, r.Source, noted(c.Texts, r.Name))}
		}
	}
	proofs, err := rules.Judge(texts, stand.LastGoodSize)
	if err != nil {
		return proofs, err
	}
	if !proved(proofs) {
		return proofs, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrProofMissing,
			Do: fmt.Sprintf("Nothing in the definition of %s proves that a text is whole", rules.Spec().Name)}
	}
	// The evaluator knows this rule too. It stands here once more because no
	// definition may be able to switch it off.
	if last := stand.LastGoodSize; len(running) < (last+1)/2 {
		return proofs, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrImplausible,
			Do: fmt.Sprintf("It has %d bytes and the last good one had %d", len(running), last)}
	}
	if spec := rules.Spec(); spec.Evidence.Kind == platform.Declared && stand.Newest == 0 {
		return proofs, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrProofMissing,
			Do: fmt.Sprintf("Platform %s is known from documents only, so a person has to look at the first capture", spec.Name)}
	}
	return proofs, nil
}

// lost finds a part that the newest version has and that the account may not read
// any more, or of which nothing says any more whether the device has it.
func lost(rules rules, previous *VersionTexts, c *Capture) *collector.Error {
	if previous == nil {
		return nil
	}
	for _, t := range c.Texts {
		refused := strings.HasPrefix(t.Note, string(collector.ErrRightsMissing))
		if refused && slices.ContainsFunc(previous.Parts, func(was VersionPart) bool { return was.Part == t.Part }) {
			return &collector.Error{Step: collector.StepJudge, Kind: collector.ErrRightsMissing,
				Do: fmt.Sprintf("The account may not read part %q any more, which version %d has: %s", t.Part, previous.Number, t.Note)}
		}
	}
	texts := c.read()
	for _, p := range rules.Spec().Parts {
		if _, known, err := p.Readings(texts); known || err != nil {
			continue
		}
		for _, was := range previous.Parts {
			if p.Owns(was.Part) {
				return &collector.Error{Step: collector.StepJudge, Kind: collector.ErrPartMissing,
					Do: fmt.Sprintf("Part %q of version %d is not there: the device did not show part %q, which tells of it%s", was.Part, previous.Number, p.Deciding(), noted(c.Texts, p.Deciding()))}
			}
		}
	}
	return nil
}

// proved reports whether one of the proofs says that a text is whole: full
// rights and a likely size alone do not.
func proved(proofs []platform.Proof) bool {
	for _, p := range proofs {
		if p.Rule != "rights" && p.Rule != "size" {
			return true
		}
	}
	return false
}

func noted(texts []Text, part string) string {
	for _, t := range texts {
		if t.Part == part && t.Note != "" {
			return ": " + t.Note
		}
	}
	return ""
}

// derive makes the parts of a version: the texts that belong to it, the running
// config first, each with its redacted form.
func derive(rules rules, key []byte, texts []Text) []VersionPart {
	var parts []VersionPart
	for _, t := range texts {
		if t.Note != "" || (t.Role != platform.RoleRunning && t.Role != platform.RoleExtra) {
			continue
		}
		parts = append(parts, VersionPart{Part: t.Part, Role: t.Role, Raw: t.Raw, Redacted: redacted(rules, key, t.Raw)})
	}
	sort.SliceStable(parts, func(i, j int) bool {
		return parts[i].Role == platform.RoleRunning && parts[j].Role != platform.RoleRunning
	})
	return parts
}

// removed are the parts of the version before that the device says it has no more:
// a file is not there. Each is an empty text from then on.
func removed(previous *VersionTexts, texts []Text) (parts []VersionPart) {
	for _, t := range texts {
		missing := t.Role == platform.RoleExtra && strings.HasPrefix(t.Note, string(collector.ErrPartMissing))
		if missing && previous != nil && slices.ContainsFunc(previous.Parts, func(was VersionPart) bool { return was.Part == t.Part }) {
			parts = append(parts, VersionPart{Part: t.Part, Role: t.Role, Raw: []byte{}, Redacted: []byte{}})
		}
	}
	return parts
}

func redacted(rules rules, key, raw []byte) []byte { return rules.Redact(rules.Normal(raw), key) }

// today reads a version with its texts as today's rules derive them: better
// rules alone must neither make a version nor an alert.
func (b *Backups) today(ctx context.Context, device int64, number int, rules rules) (VersionTexts, error) {
	v, err := b.store.VersionTexts(ctx, device, number, false)
	if err != nil || (v.Derived == rules.Spec().Revision && v.Platform == rules.Spec().Name) {
		return v, err
	}
	if v, err = b.store.VersionTexts(ctx, device, number, true); err != nil {
		return v, err
	}
	for i := range v.Parts {
		v.Parts[i].Redacted = redacted(rules, b.key, v.Parts[i].Raw)
	}
	v.Derived = rules.Spec().Revision
	return v, nil
}

// compare says whether parts differ from the version before, and how. A part
// that could not be read this time is not known, which is no difference.
func compare(previous *VersionTexts, parts []VersionPart) (Reason, bool) {
	if previous == nil {
		return ReasonFirst, true
	}
	old := map[string][]byte{}
	for _, p := range previous.Parts {
		old[p.Part] = p.Redacted
	}
	reason, differs := ReasonSecretChanged, false
	for _, p := range parts {
		was, there := old[p.Part]
		if there && bytes.Equal(was, p.Redacted) {
			continue
		}
		differs = true
		if !there || !bytes.Equal(outwardLine(was), outwardLine(p.Redacted)) {
			reason = ReasonChanged
		}
	}
	if len(gone(previous.Parts, parts)) > 0 {
		return ReasonChanged, true
	}
	return reason, differs
}

// contextOf tells which part a text is of one context of; empty: of none.
func contextOf(part string) string {
	if name, _, one := strings.Cut(part, ":"); one {
		return name
	}
	return ""
}

// gone are the texts of contexts that the device has no more. That it lists those
// that it has was proved before.
func gone(was, now []VersionPart) (all []VersionPart) {
	for _, p := range was {
		if contextOf(p.Part) != "" && !slices.ContainsFunc(now, func(n VersionPart) bool { return n.Part == p.Part }) {
			all = append(all, p)
		}
	}
	return all
}

// came are the texts of contexts that are new on a device which had others: where
// it had none, its contexts may only not have been read then.
func came(was, now []VersionPart) (all []VersionPart) {
	for _, p := range gone(now, was) {
		if slices.ContainsFunc(was, func(w VersionPart) bool { return contextOf(w.Part) == contextOf(p.Part) }) {
			all = append(all, p)
		}
	}
	return all
}

func newVersion(device int64, r Result, at time.Time, reason Reason, rules string, previous *VersionTexts, parts []VersionPart) *NewVersion {
	n := &NewVersion{Version: Version{DeviceID: device, Number: r.Version, At: at, Reason: reason, Rules: rules, SHA256: r.SHA256}, Parts: parts}
	for _, p := range parts {
		n.Version.Parts = append(n.Version.Parts, p.Part)
	}
	if previous != nil {
		n.LinesAdded, n.LinesRemoved, _ = between(previous.Parts, parts)
	}
	return n
}

// lastChange is what the running config of a version says of its last change, as
// the device wrote it: when, and by whom. No more than collector.SeenLimit bytes.
func lastChange(rules rules, key []byte, parts []VersionPart) string {
	if len(parts) == 0 {
		return ""
	}
	for _, f := range rules.Volatile(parts[0].Raw) {
		if f.Name != platform.FactChanged {
			continue
		}
		said := maskSaid(rules, key, collector.Escape(f.Value))
		if len(said) > collector.SeenLimit {
			said = strings.ToValidUTF8(said[:collector.SeenLimit], "")
		}
		return said
	}
	return ""
}

// newest is the version that will stand after the commit.
func newest(previous *VersionTexts, made *NewVersion) VersionTexts {
	if made != nil {
		return VersionTexts{Version: made.Version, Parts: made.Parts}
	}
	return *previous
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// failed fills in a result from its error.
func failed(r Result, e *collector.Error) Result {
	r.Outcome, r.Step, r.Kind, r.Message = Failed, e.Step, e.Kind, e.Error()
	return r
}

// quarantined fills in a result whose capture waits for a person.
func quarantined(r Result, stand Ground, e *collector.Error) Result {
	told := *e
	told.Do = sentence(e.Do, fmt.Sprintf("Look at it with muster config show %s --quarantined, then muster config accept %s or muster config discard %s", r.Device, r.Device, r.Device))
	r = failed(r, &told)
	r.Outcome, r.Version = Quarantined, stand.Newest
	return r
}

// masked is err as the Error of this device, with no secret in what was seen;
// known is false where it is no step's failure.
func (b *Backups) masked(dev inventory.Device, rules rules, err error) (masked *collector.Error, known bool) {
	var e *collector.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	out := *e
	out.Device = dev.Name
	out.Seen = mask(rules, b.key, e.Step, e.Seen)
	return &out, true
}

func sentence(first, second string) string {
	switch {
	case first == "":
		return second
	case first[len(first)-1] == '.':
		return first + " " + second
	}
	return first + ". " + second
}

func (b *Backups) backupEvent(dev inventory.Device, at time.Time, r Result) inventory.Event {
	r.SHA256 = "" // events are not sealed: guessed secrets could be tried against it
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return inventory.Event{At: at, Kind: inventory.EventBackup, DeviceID: dev.ID, Device: dev.Name, Data: data}
}

// tell logs an outcome.
func (b *Backups) tell(ctx context.Context, c Capture, r Result) {
	log := b.o.Log.With("run", c.RunID, "device", c.Device, "platform", c.Platform, "took_ms", c.Took.Milliseconds())
	switch r.Outcome {
	case Stored, Unchanged:
		log.InfoContext(ctx, "capture finished", "version", r.Version, "bytes", len(c.running()), "outcome", r.Outcome)
	default:
		log.WarnContext(ctx, "capture failed", "step", r.Step, "kind", r.Kind, "outcome", r.Outcome, "message", r.Message)
	}
}
