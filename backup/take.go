package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster/collector"
	"muster/collector/cli"
	"muster/inventory"
	"muster/inventory/platform"
)

// Take backs up one device: session, proofs, judgement, version. It returns when
// the outcome is committed, with its events. progress may be nil.
//
// A ctx that ends while the session is under way stores nothing. What was read
// to its end is judged and committed in any case.
func (b *Backups) Take(ctx context.Context, run *inventory.Run, runID int64, dev inventory.Device, progress func(step string)) Result {
	begun := b.o.Now()
	if progress == nil {
		progress = func(string) {}
	}
	switch {
	case dev.Retired:
		return skipped(dev, "is retired")
	case dev.Disabled:
		return skipped(dev, "is disabled. To back it up again: muster device set "+dev.Name+" --enable")
	case !b.enter(dev.ID):
		return skipped(dev, "is being backed up already")
	}
	defer b.leave(dev.ID)

	c := Capture{DeviceID: dev.ID, Device: dev.Name, Platform: dev.Platform, RunID: runID, TakenAt: begun}
	rules, err := b.rulesOf(dev)
	if err == nil {
		err = b.read(ctx, run, dev, rules, &c, progress, nil)
	}
	c.Took = b.o.Now().Sub(begun)
	progress("judge")
	return b.end(ctx, dev, rules, c, err)
}

// Fail keeps that a backup of a device has failed before it could begin: why is of
// the session that was to find out what the device runs, begun its start, and steps
// what was done in it. It is told, kept and alerted about like a failure of Take.
func (b *Backups) Fail(ctx context.Context, runID int64, dev inventory.Device, begun time.Time, steps []collector.StepTime, why *collector.Error) Result {
	c := Capture{DeviceID: dev.ID, Device: dev.Name, Platform: dev.Platform, RunID: runID, TakenAt: begun, Took: b.o.Now().Sub(begun), Steps: steps}
	return b.end(ctx, dev, nil, c, why)
}

// end makes a result of what a session brought, or of the failure that ended it.
func (b *Backups) end(ctx context.Context, dev inventory.Device, rules rules, c Capture, err error) Result {
	if err != nil && ctx.Err() != nil {
		// Stopped from above: not the device's fault, and nothing to be kept.
		return Result{Device: dev.Name, Outcome: Failed, Seconds: c.Took.Seconds(),
			Message: fmt.Sprintf("%s: stopped before it was done (%v); nothing was stored", collector.Escape(dev.Name), context.Cause(ctx))}
	}
	if r, ok := asleep(dev, err, c.Took); ok {
		return r
	}
	return b.settle(context.WithoutCancel(ctx), dev, rules, c, err)
}

func skipped(dev inventory.Device, why string) Result {
	return Result{Device: dev.Name, Outcome: Skipped, Message: collector.Escape(dev.Name) + " " + why}
}

// asleep is the result for a device that reachability knows to be down already, was
// asked all the same and does not answer: it is skipped, never failed.
func asleep(dev inventory.Device, err error, took time.Duration) (Result, bool) {
	if dev.State != inventory.StateDown && dev.State != inventory.StateBehind {
		return Result{}, false
	}
	var e *collector.Error
	if !errors.As(err, &e) || (e.Step != collector.StepConnect && e.Step != collector.StepResolve) {
		return Result{}, false
	}
	if e.Kind != collector.ErrUnreachable && e.Kind != collector.ErrTimedOut && e.Kind != collector.ErrRefused {
		return Result{}, false
	}
	r := skipped(dev, fmt.Sprintf("is %s since %s and does not answer now either (%s: %s). %s",
		dev.State, dev.StateSince.UTC().Format("2006-01-02 15:04 MST"), e.Step, strings.ReplaceAll(string(e.Kind), "-", " "), e.Do))
	r.Step, r.Kind, r.Seconds = e.Step, e.Kind, took.Seconds()
	return r, true
}

// rulesOf finds the rules of a device's platform.
func (b *Backups) rulesOf(dev inventory.Device) (rules, error) {
	if dev.Platform == "" {
		return nil, &collector.Error{Device: dev.Name, Step: collector.StepResolve, Kind: collector.ErrPlatformUnknown,
			Do: "Say what it runs: muster device set " + dev.Name + " --platform NAME"}
	}
	r, ok := b.rules(dev.Platform)
	if !ok {
		return nil, &collector.Error{Device: dev.Name, Step: collector.StepResolve, Kind: collector.ErrPlatformUnknown,
			Do: fmt.Sprintf("There is no definition %q (any more); see muster platform list", dev.Platform)}
	}
	if !r.Spec().HasParts() {
		return nil, &collector.Error{Device: dev.Name, Step: collector.StepResolve, Kind: collector.ErrPlatformUnknown,
			Do: fmt.Sprintf("Platform %q has nothing to back up: %s. Keep the device as inventory: muster device set %s --no-managed; or say what else it runs: --platform NAME", dev.Platform, r.Spec().Unread(), dev.Name)}
	}
	return r, nil
}

// read opens a session, reads all parts in order, and closes it. c gets what
// came back, also where the error says that it is not whole.
func (b *Backups) read(ctx context.Context, run *inventory.Run, dev inventory.Device, rules rules, c *Capture, progress func(string), said func(command string, answer []byte)) error {
	s, credential, steps, err := b.o.Open(ctx, run, dev, rules.Dialogue(), cli.Options{
		Said:     said,
		Progress: func(step collector.Step, _ string) { progress(string(step)) },
	})
	c.Steps, c.Credential = steps, credential
	if err != nil {
		return err
	}
	defer func() {
		// The texts are here; how the session ends cannot change them.
		if cerr := s.Close(); cerr != nil {
			b.o.Log.DebugContext(ctx, "session did not end politely", "device", dev.Name, "err", cerr)
		}
		if all := s.Steps(); len(all) >= len(c.Steps) {
			c.Steps = all
		}
	}()
	c.Method = s.Method()
	if n := s.Negotiated(); n.Weak {
		c.Weak = fmt.Sprintf("%s, %s, %s, %s", n.KeyExchange, n.HostKey, n.Cipher, n.MAC)
	}
	return readParts(ctx, s, dev, rules, c, progress)
}

// readParts reads the texts of a backup in the order of the definition. A
// refusal of a part other than the running config is noted: whether the capture
// can be trusted without it is judged later.
func readParts(ctx context.Context, s reader, dev inventory.Device, rules rules, c *Capture, progress func(string)) error {
	shell := !rules.Dialogue().ExecOnly
	for _, p := range rules.Spec().Parts {
		readings, _, err := p.Readings(c.read())
		if err != nil {
			continue // the judgement finds the same and says it
		}
		for _, r := range readings {
			progress("command " + r.Name)
			raw, err := readIn(ctx, s, dev, r, shell)
			t := Text{Part: r.Name, Role: p.Role, Raw: raw}
			if err != nil {
				if p.Role == platform.RoleRunning && !p.Optional || !refusal(err) {
					return fmt.Errorf("read part %s: %w", r.Name, err)
				}
				t.Raw, t.Note = nil, noteOf(err)
			}
			c.Texts = append(c.Texts, t)
		}
	}
	return nil
}

// read is the texts that were read, by part.
func (c *Capture) read() map[string][]byte {
	texts := map[string][]byte{}
	for _, t := range c.Texts {
		if t.Note == "" {
			texts[t.Part] = t.Raw
		}
	}
	return texts
}

// readIn goes to where a text is read, reads it, and comes back. A session that
// does not come back is lost: what is read after that would be of another context.
func readIn(ctx context.Context, s reader, dev inventory.Device, r platform.Reading, shell bool) ([]byte, error) {
	for i, command := range r.Before {
		if err := s.Switch(ctx, command); err != nil {
			if i > 0 && refusal(err) {
				err = errors.Join(err, back(ctx, s, r))
			}
			return nil, err
		}
	}
	raw, err := readPart(ctx, s, dev, r, shell)
	if err != nil && !refusal(err) {
		return nil, err
	}
	if lost := back(ctx, s, r); lost != nil {
		return nil, lost
	}
	return raw, err
}

func back(ctx context.Context, s reader, r platform.Reading) error {
	for _, command := range r.After {
		if err := s.Switch(ctx, command); err != nil {
			return &collector.Error{Step: collector.StepCommand, Kind: collector.ErrIncomplete, Cause: err,
				Do: fmt.Sprintf("%q did not lead back from %s; run it by hand with the same account", command, r.Name)}
		}
	}
	return nil
}

// readPart reads one part by its way. Where a device does not do exec requests
// and there is a shell, the command goes there.
func readPart(ctx context.Context, s platform.Talker, dev inventory.Device, p platform.Reading, shell bool) ([]byte, error) {
	switch p.Part.Via {
	case platform.ViaFile:
		return s.File(ctx, p.Source)
	case platform.ViaExec:
		out, err := s.Exec(ctx, p.Source)
		kind := collector.KindOf(err)
		if shell && ctx.Err() == nil && (kind == collector.ErrCommandRejected || kind == collector.ErrTimedOut) {
			break
		}
		if err == nil && out.ExitStatus > 0 {
			err = &collector.Error{Device: dev.Name, Step: collector.StepCommand, Kind: collector.ErrCommandRejected,
				Seen: collector.Seen(append(out.Text[:len(out.Text):len(out.Text)], out.Stderr...)),
				Do:   fmt.Sprintf("%q ended with status %d; run it by hand with the same account", p.Source, out.ExitStatus)}
		}
		return out.Text, err
	}
	out, err := s.Run(ctx, p.Source)
	if p.Else != "" && collector.KindOf(err) == collector.ErrCommandRejected {
		out, err = s.Run(ctx, p.Else)
	}
	return out.Text, err
}

// refusal reports whether the device answered that it will not show a part: the
// session goes on, unlike after a timeout.
func refusal(err error) bool {
	switch collector.KindOf(err) {
	case collector.ErrCommandRejected, collector.ErrRightsMissing, collector.ErrPartMissing:
		return true
	}
	return false
}

// noteOf is the note about a part that was refused.
func noteOf(err error) string {
	var e *collector.Error
	if errors.As(err, &e) && e.Seen != "" {
		return fmt.Sprintf("%s: %s", e.Kind, e.Seen)
	}
	return string(collector.KindOf(err))
}

// running is the text that a capture is judged, hashed and shown by: the first
// running config.
func (c *Capture) running() []byte {
	for _, t := range c.Texts {
		if t.Role == platform.RoleRunning {
			return t.Raw
		}
	}
	return nil
}

// blank reports whether a text says nothing. It can never be a good capture.
func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }
