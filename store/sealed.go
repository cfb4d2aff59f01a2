package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"muster/internal/secret"
)

// The purposes of sealed values, as the schema lists them.
const (
	sealedTest      = "test"      // tells a wrong master key from a damaged database
	sealedRedaction = "redaction" // key of the tokens in redacted texts
	sealedSecret    = "secret"    // set by "muster secret set"
)

const testText = "muster master key test"

// sealedIdentity is what a sealed value is bound to: moved to another name, or
// to another directory, it cannot be opened.
func (s *Store) sealedIdentity(purpose, name string) []byte {
	return []byte(s.id + "\x00" + purpose + "\x00" + name)
}

// tryKey opens the test value, where there is one already.
func (s *Store) tryKey(ctx context.Context) error {
	path := filepath.Join(s.dir, dbName)
	var there int
	if err := s.w.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sealed'").Scan(&there); err != nil {
		return unreadable(path, err)
	}
	if there == 0 {
		return nil
	}
	var blob []byte
	err := s.w.QueryRowContext(ctx, "SELECT blob FROM sealed WHERE purpose = +?1 AND name = ''", sealedTest).Scan(&blob)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil // the first start was cut short; openSealed goes on
	case err != nil:
		return unreadable(path, err)
	}
	plain, err := s.key.Open(blob, s.sealedIdentity(sealedTest, ""))
	switch {
	case errors.Is(err, secret.ErrOtherKey):
		by, _ := secret.SealedBy(blob) // it was just read
		return refuse(ErrWrongKey, "the master key given is %s, but %s was made with %s. Give the file of that key with --key; nothing else opens it", s.key.ID(), path, by)
	case err != nil || string(plain) != testText:
		return refuse(ErrDamaged, "the test value in %s cannot be opened although the master key fits. Restore the newest copy with muster self restore", path)
	}
	return nil
}

// openSealed reads what the store itself keeps sealed, and makes it in a new
// directory, in one transaction with the directory's identity.
func (s *Store) openSealed(ctx context.Context) error {
	var blob []byte
	err := s.w.QueryRowContext(ctx, "SELECT blob FROM sealed WHERE purpose = +?1 AND name = ''", sealedRedaction).Scan(&blob)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := s.makeSealed(ctx); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("read the redaction key: %w", err)
	default:
		if s.redaction, err = s.key.Open(blob, s.sealedIdentity(sealedRedaction, "")); err != nil {
			return fmt.Errorf("open the redaction key: %w. Restore the newest copy with muster self restore", err)
		}
	}
	s.address = secret.Digest(s.redaction, []byte("muster text address"))
	return nil
}

func (s *Store) makeSealed(ctx context.Context) (err error) {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin the new database: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // err is what matters
		}
	}()
	now := s.now()
	for _, meta := range [][2]string{{"id", s.id}, {"created_at", fmt.Sprint(ms(now))}} {
		if _, err := tx.Exec("INSERT INTO meta (name, value) VALUES (?1, ?2)", meta[0], meta[1]); err != nil {
			return fmt.Errorf("begin the new database: %w", err)
		}
	}
	s.redaction = make([]byte, 32)
	_, _ = rand.Read(s.redaction) // never fails
	for purpose, plain := range map[string][]byte{sealedTest: []byte(testText), sealedRedaction: s.redaction} {
		if err := s.putSealed(tx, purpose, "", s.seal(purpose, "", plain), now); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *Store) seal(purpose, name string, plain []byte) []byte {
	return s.key.Seal(plain, s.sealedIdentity(purpose, name))
}

func (s *Store) putSealed(tx *sql.Tx, purpose, name string, blob []byte, at time.Time) error {
	const upsert = `
INSERT INTO sealed (purpose, name, blob, set_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (purpose, name) DO UPDATE SET blob = excluded.blob, set_at = excluded.set_at`
	if _, err := tx.Exec(upsert, purpose, name, blob, ms(at)); err != nil {
		return fmt.Errorf("store sealed value %s: %w", name, err)
	}
	return nil
}

// RedactionKey returns the key of the tokens in redacted texts: 32 bytes, the
// same for the life of the directory. The caller gets a copy.
func (s *Store) RedactionKey() []byte { return append([]byte(nil), s.redaction...) }

// SetSecret seals v under name, in place of what was there, with an audit row.
func (s *Store) SetSecret(ctx context.Context, name string, v secret.Value, who string) error {
	if name == "" || v.Empty() {
		return errors.New("a secret needs a name and a value")
	}
	blob, now := s.seal(sealedSecret, name, []byte(v.Reveal())), s.now()
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := s.putSealed(tx, sealedSecret, name, blob, now); err != nil {
			return err
		}
		return insertAudit(tx, AuditEntry{At: now, Who: who, Action: "secret set", Subject: name})
	})
}

// Secret opens the secret of that name; ErrNotFound where none was set.
func (s *Store) Secret(ctx context.Context, name string) (secret.Value, error) {
	var blob []byte
	err := s.read.QueryRowContext(ctx, "SELECT blob FROM sealed WHERE purpose = +?1 AND name = +?2", sealedSecret, name).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return secret.Value{}, refuse(ErrNotFound, "secret %q is not set. Set it: muster secret set %s", name, name)
	}
	if err != nil {
		return secret.Value{}, fmt.Errorf("read secret %q: %w", name, err)
	}
	plain, err := s.key.Open(blob, s.sealedIdentity(sealedSecret, name))
	if err != nil {
		return secret.Value{}, fmt.Errorf("open secret %q: %w. Set it again: muster secret set %s", name, err, name)
	}
	return secret.New(string(plain)), nil
}

// SecretName is a secret that was set, without its value.
type SecretName struct {
	Name  string    `json:"name"`
	SetAt time.Time `json:"set_at"`
}

// Secrets lists the secrets that were set, by name.
func (s *Store) Secrets(ctx context.Context) (all []SecretName, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT name, set_at FROM sealed WHERE purpose = +?1 ORDER BY name", sealedSecret)
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []SecretName{}
	for rows.Next() {
		var n SecretName
		var at int64
		if err := rows.Scan(&n.Name, &at); err != nil {
			return nil, fmt.Errorf("list secrets: %w", err)
		}
		n.SetAt = fromMs(at)
		all = append(all, n)
	}
	return all, rows.Err()
}

// verifySealed opens every sealed value.
func (s *Store) verifySealed(ctx context.Context) (found []Problem, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT purpose, name, blob FROM sealed")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var purpose, name string
		var blob []byte
		if err := rows.Scan(&purpose, &name, &blob); err != nil {
			return nil, err
		}
		if _, err := s.key.Open(blob, s.sealedIdentity(purpose, name)); err != nil {
			found = append(found, Problem{What: "secret", Of: purpose + " " + name, Seen: err.Error()})
		}
	}
	return found, rows.Err()
}
