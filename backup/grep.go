package backup

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"runtime"
	"sync"

	"muster/inventory"
)

// Hit is one line that a search found.
type Hit struct {
	Device string `json:"device"`
	Part   string `json:"part"`
	Line   int    `json:"line"` // 1-based, in the redacted text
	Text   string `json:"text"` // redacted, without its line end
}

// Grep searches the newest version of each device for lines that match pattern
// (RE2), and calls emit with the hits of one device after another, as they are
// found; never from two goroutines at once. It ends with ctx, and with the first
// error of emit. What is secret cannot be found: only redacted texts are
// searched, without their tokens.
func (b *Backups) Grep(ctx context.Context, pattern string, devices []inventory.Device, emit func(Hit) error) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("the pattern does not read: %w. Quote what is meant literally with \\Q…\\E", err)
	}
	return b.each(ctx, devices, func(dev inventory.Device, v VersionTexts) any {
		var hits []Hit
		for _, p := range v.Parts {
			text := p.Redacted
			for n := 1; len(text) > 0; n++ {
				line, rest, _ := bytes.Cut(text, []byte{'\n'})
				text = rest
				if line = outwardLine(line); re.Match(line) {
					hits = append(hits, Hit{Device: dev.Name, Part: p.Part, Line: n, Text: string(line)})
				}
			}
		}
		return hits
	}, func(found any) error {
		for _, h := range found.([]Hit) {
			if err := emit(h); err != nil {
				return err
			}
		}
		return nil
	})
}

// each reads the newest version of every device under today's rules, a few at a
// time, works on it in parallel, and calls done with what came out, one after
// another. Devices without a version are left out.
func (b *Backups) each(ctx context.Context, devices []inventory.Device, work func(inventory.Device, VersionTexts) any, done func(any) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next, out := make(chan inventory.Device), make(chan any)
	var workers sync.WaitGroup
	for range min(len(devices), 2*runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for dev := range next {
				v, ok, err := b.newestOf(ctx, dev)
				if err != nil {
					cancel(fmt.Errorf("%s: %w", dev.Name, err))
					return
				}
				if !ok {
					continue
				}
				select {
				case out <- work(dev, v):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() { // ends with the workers, which end with next or ctx
		defer close(out)
		defer workers.Wait()
		defer close(next)
		for _, dev := range devices {
			select {
			case next <- dev:
			case <-ctx.Done():
				return
			}
		}
	}()
	for found := range out {
		if ctx.Err() != nil {
			continue // drain, so that all goroutines end before we do
		}
		if err := done(found); err != nil {
			cancel(err)
		}
	}
	return context.Cause(ctx)
}

// newestOf reads the newest version of a device; false: it has none.
func (b *Backups) newestOf(ctx context.Context, dev inventory.Device) (VersionTexts, bool, error) {
	ground, err := b.store.BackupGround(ctx, dev.ID)
	if err != nil || ground.Newest == 0 {
		return VersionTexts{}, false, err
	}
	v, err := b.store.VersionTexts(ctx, dev.ID, ground.Newest, false)
	if err != nil {
		return v, false, err
	}
	if r, ok := b.rules(v.Platform); ok && v.Derived != r.Spec().Revision {
		v, err = b.today(ctx, dev.ID, ground.Newest, r)
	}
	return v, true, err
}
