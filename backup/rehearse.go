package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/collector"
	"muster/inventory"
	"muster/inventory/platform"
)

// Rehearse goes through a whole backup of a device and stores nothing: the
// session, the parts, the proofs, each as a step with what was seen. It is what
// `doctor` shows. The error is the one that Take would have met; the step that
// failed is then the last one. said, where it is not nil, gets every command with
// its answer, secrets hidden.
func (b *Backups) Rehearse(ctx context.Context, run *inventory.Run, dev inventory.Device, said func(command, answer string)) ([]collector.StepTime, error) {
	rules, err := b.rulesOf(dev)
	if err != nil {
		return []collector.StepTime{stepOf(err)}, err
	}
	if !b.enter(dev.ID) {
		err := &collector.Error{Device: dev.Name, Step: collector.StepConnect, Kind: collector.ErrBusy, Do: "A backup of the device is under way; try again when it has ended"}
		return []collector.StepTime{stepOf(err)}, err
	}
	defer b.leave(dev.ID)
	c := Capture{DeviceID: dev.ID, Device: dev.Name, Platform: dev.Platform, TakenAt: b.o.Now()}
	var heard func(command string, answer []byte)
	if said != nil {
		heard = func(command string, answer []byte) {
			said(command, string(outwardLine(platform.Mask(rules.Redact(answer, b.key)))))
		}
	}
	err = b.read(ctx, run, dev, rules, &c, func(string) {}, heard)
	maskCapture(rules, b.key, &c)
	if err != nil {
		if e, known := b.masked(dev, rules, err); known {
			err = e
		}
		if n := len(c.Steps); n == 0 || c.Steps[n-1].Kind == "" {
			c.Steps = append(c.Steps, stepOf(err))
		}
		return c.Steps, err
	}
	ground, err := b.store.BackupGround(ctx, dev.ID)
	if err != nil {
		return c.Steps, err
	}
	begun := time.Now()
	err = b.trust(ctx, rules, ground, &c)
	parts, size := 0, 0
	for _, t := range c.Texts {
		if t.Note == "" {
			parts, size = parts+1, size+len(t.Raw)
		}
	}
	judged := collector.StepTime{Step: collector.StepJudge, TookMs: time.Since(begun).Milliseconds(), Detail: fmt.Sprintf("%d bytes in %s", size, counted(parts, "part"))}
	for _, p := range c.Proofs {
		judged.Detail += fmt.Sprintf("; %s: %s (%s)", p.Part, p.Rule, collector.Escape(p.Seen))
	}
	if !errors.Is(err, collector.ErrPartMissing) { // a part that is missed may be that of the command
		excuse(rules, &c)
	}
	if err != nil {
		if e, known := b.masked(dev, rules, err); known {
			err = e
		}
		failed := stepOf(err)
		judged.Kind, judged.Seen, judged.Do = failed.Kind, failed.Seen, failed.Do
	}
	return append(c.Steps, judged), err
}

// excuse makes no failure of a command that the device does not know and that a
// capture can do without, or for which another one was answered. That the capture
// is not trusted has other reasons, which are told.
func excuse(rules rules, c *Capture) {
	missing := map[string]bool{}
	for _, t := range c.Texts {
		missing[t.Part] = t.Note != ""
	}
	for _, p := range rules.Spec().Parts {
		for i := range c.Steps {
			s := &c.Steps[i]
			spared := p.Optional && missing[p.Name] || p.Else != "" && !missing[p.Name]
			if spared && s.Detail == p.Source && s.Kind == collector.ErrCommandRejected {
				*s = collector.StepTime{Step: s.Step, Detail: s.Detail + "; the device does not know it, which is no failure", TookMs: s.TookMs}
			}
		}
	}
}

// trust says, as a backup would, whether a capture can be trusted; its proofs are
// kept in c.
func (b *Backups) trust(ctx context.Context, rules rules, stand Ground, c *Capture) (err error) {
	if err := b.allowWayBack(ctx, rules, &stand, c); err != nil {
		return err
	}
	if c.Proofs, err = judge(rules, stand, c); err != nil || stand.Newest == 0 {
		return err
	}
	previous, err := b.today(ctx, c.DeviceID, stand.Newest, rules)
	if err != nil {
		return fmt.Errorf("read version %d: %w", stand.Newest, err)
	}
	if e := lost(rules, &previous, c); e != nil {
		return e
	}
	if e := swapped(rules, c.Device, &previous, derive(rules, b.key, c.Texts)); e != nil {
		return e
	}
	return nil
}

// stepOf is a failure as a step of its own.
func stepOf(err error) collector.StepTime {
	var e *collector.Error
	if errors.As(err, &e) {
		return collector.StepTime{Step: e.Step, Kind: e.Kind, Seen: e.Seen, Do: e.Do}
	}
	return collector.StepTime{Step: collector.StepEnd, Kind: collector.KindOf(err), Seen: collector.Escape(err.Error())}
}

func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
