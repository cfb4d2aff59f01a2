package inventory

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"muster/collector"
)

// pin accepts the first host key that a device has ever shown, before anything
// secret goes there.
func (l *login) pin(ctx context.Context, k collector.HostKey) error {
	at := l.a.o.Now()
	err := l.a.o.Store.Update(ctx, func(tx Tx) error {
		keys, err := tx.Keys(l.st.dev.ID)
		if err != nil {
			return err
		}
		for _, p := range keys {
			if p.State == KeyPinned && !sameHostKey(p.HostKey, k) {
				return fmt.Errorf("another key was pinned meanwhile: %w", collector.ErrHostKeyChanged)
			}
		}
		if err := tx.PutKey(l.st.dev.ID, Key{HostKey: k, State: KeyPinned, At: at}); err != nil {
			return err
		}
		if err := knowByKey(tx, l.st.dev.ID, k, at); err != nil {
			return err
		}
		return emit(tx, at, EventHostKeyAccepted, l.st.dev, "", map[string]string{"fingerprint": k.Fingerprint, "by": "first use"})
	})
	if err != nil {
		return fmt.Errorf("pin the host key: %w", err)
	}
	l.st.keys = append(l.st.keys, Key{HostKey: k, State: KeyPinned, At: at})
	return nil
}

// askAboutKey keeps a key that was refused, so that a person can accept exactly
// that one, and tells of it once.
func (l *login) askAboutKey(ctx context.Context, shown collector.HostKey) error {
	if shown.Type == "" {
		return nil // the session ended before the device had proved a key
	}
	at := l.a.o.Now()
	return l.a.o.Store.Update(ctx, func(tx Tx) error {
		keys, err := tx.Keys(l.st.dev.ID)
		if err != nil {
			return err
		}
		pinned := []string{}
		for _, k := range keys {
			if k.State == KeyPending && sameHostKey(k.HostKey, shown) {
				return nil
			}
			if k.State == KeyPinned {
				pinned = append(pinned, k.Fingerprint)
			}
		}
		if err := tx.PutKey(l.st.dev.ID, Key{HostKey: shown, State: KeyPending, At: at}); err != nil {
			return err
		}
		return emit(tx, at, EventHostKeyChanged, l.st.dev, "", map[string]any{"pinned": pinned, "shown": shown.Fingerprint})
	})
}

// dropPending ends the question about keys that a device has shown, now that it
// has shown an accepted one again. It reports whether there was a question.
func dropPending(tx Tx, id int64, at time.Time) (asked bool, err error) {
	keys, err := tx.Keys(id)
	if err != nil {
		return false, err
	}
	for _, k := range keys {
		if k.State != KeyPending {
			continue
		}
		asked = true
		k.State, k.At = KeyDropped, at
		if err := tx.PutKey(id, k); err != nil {
			return asked, err
		}
	}
	return asked, nil
}

// knowByKey makes an accepted key evidence of the device's identity.
func knowByKey(tx Tx, id int64, k collector.HostKey, at time.Time) error {
	return tx.Observe(id, Observation{At: at, Via: ViaSSH, Identifiers: []Identifier{{IDHostKey, k.Fingerprint}}})
}

func sameHostKey(a, b collector.HostKey) bool { return a.Type == b.Type && bytes.Equal(a.Blob, b.Blob) }
