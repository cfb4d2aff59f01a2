package backup

import (
	"context"
	"errors"
	"fmt"
)

// rederiveBytes is how much raw text is worked on at once.
const rederiveBytes = 64 << 20

// Rederive brings the redacted texts of all versions under today's rules: what
// better rules know to be secret is then in the clear nowhere in the file. What
// the texts say of their last change is read anew with them. It
// changes no version, no drift and no event. The number of versions that were
// derived anew is returned; it costs little where there are none.
func (b *Backups) Rederive(ctx context.Context) (int, error) {
	all, err := b.store.Derivations(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the rules of versions: %w", err)
	}
	n := 0
	var failures []error
	for _, d := range all {
		rules, ok := b.rules(d.Platform)
		if !ok || rules.Spec().Revision == d.Derived {
			continue // without its definition a text stays as it is, and is shown so
		}
		done, err := b.rederive(ctx, d, rules)
		n += done
		if err != nil {
			failures = append(failures, fmt.Errorf("derive the versions of device %d anew: %w", d.DeviceID, err))
		}
		if ctx.Err() != nil {
			return n, errors.Join(failures...)
		}
	}
	// Also where there was nothing: it may be owed since a night that was cut short.
	if err := b.store.Rewrite(ctx); err != nil {
		failures = append(failures, fmt.Errorf("free the file of old texts: %w", err))
	}
	if n > 0 {
		b.o.Log.InfoContext(ctx, "redacted texts were derived under new rules", "versions", n)
	}
	return n, errors.Join(failures...)
}

func (b *Backups) rederive(ctx context.Context, d Derivation, rules rules) (n int, err error) {
	defer b.hold(d.DeviceID)()
	versions, err := b.store.ConfigVersions(ctx, d.DeviceID)
	if err != nil {
		return 0, err
	}
	var batch []VersionTexts
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := b.store.PutDerived(ctx, d.DeviceID, batch)
		if err == nil {
			n += len(batch)
		}
		batch, size = nil, 0
		return err
	}
	for i := len(versions) - 1; i >= 0; i-- { // oldest first, as key frames go
		v, err := b.store.VersionTexts(ctx, d.DeviceID, versions[i].Number, true)
		if err != nil {
			return n, err
		}
		if v.Derived != d.Derived || v.Platform != d.Platform {
			continue
		}
		v.LastChange = lastChange(rules, b.key, v.Parts)
		for j := range v.Parts {
			v.Parts[j].Redacted = redacted(rules, b.key, v.Parts[j].Raw)
			size += len(v.Parts[j].Raw)
			v.Parts[j].Raw = nil
		}
		v.Derived = rules.Spec().Revision
		batch = append(batch, v)
		if size > rederiveBytes {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}
