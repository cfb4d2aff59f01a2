package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"muster/inventory"
)

// Inventory is the store as package inventory wants it.
func (s *Store) Inventory() inventory.Store { return inventoryStore{s} }

type inventoryStore struct{ s *Store }

// View implements inventory.Store.
func (i inventoryStore) View(ctx context.Context, f func(inventory.Reader) error) error {
	tx, err := i.s.read.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the inventory: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has changed nothing
	return damaged(f(&inventoryTx{tx}))
}

// Update implements inventory.Store.
func (i inventoryStore) Update(ctx context.Context, f func(inventory.Tx) error) error {
	return i.s.write(ctx, func(tx *sql.Tx) error { return f(&inventoryTx{tx}) })
}

// inventoryTx is one transaction over the inventory's tables.
type inventoryTx struct{ tx *sql.Tx }

// collect runs a query and scans each row into a T.
func collect[T any](tx *sql.Tx, query string, scan func(*sql.Rows, *T) error, args ...any) (all []T, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = []T{}
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, fmt.Errorf("read the inventory: %w", err)
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

const deviceColumns = `
d.id, d.name, d.name_given, d.address, d.address_reason, d.ssh_port, d.scope, d.site, d.site_given, d.tags,
d.platform, d.platform_reason, d.platform_given, d.identified, d.vendor, d.model, d.version, d.serial,
d.managed, d.managed_given, d.added_by_person, d.disabled, d.retired,
d.snmp_credential, d.snmp_detail, d.ssh_credential, d.ssh_method, d.credential, d.algorithms, d.timeout_ms,
d.state, d.state_since, d.behind, d.first_seen, d.last_seen, d.missing, d.missing_reason, d.question, d.count_from`

// scanDevice reads deviceColumns; more are the columns behind them.
func scanDevice(rows *sql.Rows, d *inventory.Device, more ...any) error {
	var address, tags string
	var timeout int64
	var since, first, last, count sql.NullInt64
	into := []any{
		&d.ID, &d.Name, &d.NameGiven, &address, &d.AddressReason, &d.SSHPort, &d.Scope, &d.Site, &d.SiteGiven, &tags,
		&d.Platform, &d.PlatformReason, &d.PlatformGiven, &d.Identified, &d.Vendor, &d.Model, &d.Version, &d.Serial,
		&d.Managed, &d.ManagedGiven, &d.AddedByPerson, &d.Disabled, &d.Retired,
		&d.SNMPCredential, &d.SNMPDetail, &d.SSHCredential, &d.SSHMethod, &d.Credential, &d.Algorithms, &timeout,
		&d.State, &since, &d.Behind, &first, &last, &d.Missing, &d.MissingReason, &d.Question, &count,
	}
	if err := rows.Scan(append(into, more...)...); err != nil {
		return err
	}
	d.Timeout = time.Duration(timeout) * time.Millisecond
	d.StateSince, d.FirstSeen, d.LastSeen, d.CountFrom = fromMsOrNull(since), fromMsOrNull(first), fromMsOrNull(last), fromMsOrNull(count)
	if address != "" {
		var err error
		if d.Address, err = netip.ParseAddr(address); err != nil {
			return err
		}
	}
	return json.Unmarshal([]byte(tags), &d.Tags)
}

func plainDevice(rows *sql.Rows, d *inventory.Device) error { return scanDevice(rows, d) }

// Devices implements inventory.Reader.
func (t *inventoryTx) Devices() ([]inventory.Device, error) {
	const query = `SELECT` + deviceColumns + ` FROM device d WHERE d.merged_into IS NULL ORDER BY d.name COLLATE NOCASE, d.id`
	return collect(t.tx, query, plainDevice)
}

// Device implements inventory.Reader. The id of a device that was merged leads to
// the one that it is part of.
func (t *inventoryTx) Device(id int64) (inventory.Device, error) {
	const query = `
WITH RECURSIVE path (id, into_id) AS (
    SELECT id, merged_into FROM device WHERE id = +?1
    UNION SELECT d.id, d.merged_into FROM device d JOIN path ON d.id = path.into_id
)
SELECT` + deviceColumns + ` FROM device d JOIN path ON path.id = d.id AND path.into_id IS NULL`
	all, err := collect(t.tx, query, plainDevice, id)
	if err != nil {
		return inventory.Device{}, err
	}
	if len(all) == 0 {
		return inventory.Device{}, fmt.Errorf("device %d: %w", id, inventory.ErrNoDevice)
	}
	return all[0], nil
}

// NameTaken implements inventory.Reader.
func (t *inventoryTx) NameTaken(name string, id int64) (taken bool, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM device WHERE name = +?1 COLLATE NOCASE AND id <> ?2 AND merged_into IS NULL)`
	if err := t.tx.QueryRow(query, name, id).Scan(&taken); err != nil {
		return false, fmt.Errorf("look for name %s: %w", name, err)
	}
	return taken, nil
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// PutDevice implements inventory.Tx.
func (t *inventoryTx) PutDevice(d *inventory.Device) error {
	const insert = `
INSERT INTO device (name, name_given, address, address_reason, ssh_port, scope, site, site_given, tags,
    platform, platform_reason, platform_given, identified, vendor, model, version, serial,
    managed, managed_given, added_by_person, disabled, retired,
    snmp_credential, snmp_detail, ssh_credential, ssh_method, credential, algorithms, timeout_ms,
    state, state_since, behind, first_seen, last_seen, missing, missing_reason, question, count_from)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38)`
	const update = `
UPDATE device SET name = ?1, name_given = ?2, address = ?3, address_reason = ?4, ssh_port = ?5, scope = ?6, site = ?7,
    site_given = ?8, tags = ?9, platform = ?10, platform_reason = ?11, platform_given = ?12, identified = ?13, vendor = ?14,
    model = ?15, version = ?16, serial = ?17, managed = ?18, managed_given = ?19, added_by_person = ?20, disabled = ?21,
    retired = ?22, snmp_credential = ?23, snmp_detail = ?24, ssh_credential = ?25, ssh_method = ?26, credential = ?27,
    algorithms = ?28, timeout_ms = ?29, state = ?30, state_since = ?31, behind = ?32, first_seen = ?33, last_seen = ?34,
    missing = ?35, missing_reason = ?36, question = ?37, count_from = ?38
WHERE id = +?39 AND merged_into IS NULL`
	if d.Tags == nil {
		d.Tags = []string{}
	}
	if d.State == "" {
		d.State = inventory.StateUnknown
	}
	tags, err := json.Marshal(d.Tags)
	if err != nil {
		return fmt.Errorf("store device %s: %w", d.Name, err)
	}
	args := []any{d.Name, d.NameGiven, addressText(d.Address), d.AddressReason, d.SSHPort, d.Scope, d.Site, d.SiteGiven, string(tags),
		d.Platform, d.PlatformReason, d.PlatformGiven, d.Identified, d.Vendor, d.Model, d.Version, d.Serial,
		d.Managed, d.ManagedGiven, d.AddedByPerson, d.Disabled, d.Retired,
		d.SNMPCredential, d.SNMPDetail, d.SSHCredential, d.SSHMethod, d.Credential, string(d.Algorithms), d.Timeout.Milliseconds(),
		string(d.State), msOrNull(d.StateSince), d.Behind, msOrNull(d.FirstSeen), msOrNull(d.LastSeen),
		string(d.Missing), d.MissingReason, d.Question, msOrNull(d.CountFrom)}
	if d.ID != 0 {
		res, err := t.tx.Exec(update, append(args, d.ID)...)
		if err != nil {
			return fmt.Errorf("store device %s: %w", d.Name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("store device %s: %w", d.Name, inventory.ErrNoDevice))
		}
		return nil
	}
	res, err := t.tx.Exec(insert, args...)
	if err != nil {
		return fmt.Errorf("store device %s: %w", d.Name, err)
	}
	d.ID, err = res.LastInsertId()
	return err
}

// DeleteDevice implements inventory.Tx.
func (t *inventoryTx) DeleteDevice(id int64) error {
	_, err := t.tx.Exec("DELETE FROM device WHERE id = +?1", id)
	if err != nil {
		return fmt.Errorf("delete device %d: %w", id, err)
	}
	return nil
}

// Keys implements inventory.Reader.
func (t *inventoryTx) Keys(id int64) ([]inventory.Key, error) {
	const query = `SELECT type, blob, fingerprint, state, by_person, at FROM host_key WHERE device_id = +?1 ORDER BY at, fingerprint`
	return collect(t.tx, query, func(rows *sql.Rows, k *inventory.Key) error {
		var at int64
		err := rows.Scan(&k.Type, &k.Blob, &k.Fingerprint, &k.State, &k.ByPerson, &at)
		k.At = fromMs(at)
		return err
	}, id)
}

// PutKey implements inventory.Tx.
func (t *inventoryTx) PutKey(id int64, k inventory.Key) error {
	const upsert = `
INSERT INTO host_key (device_id, type, blob, fingerprint, state, by_person, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (device_id, blob) DO UPDATE SET state = excluded.state, by_person = excluded.by_person, at = excluded.at`
	if _, err := t.tx.Exec(upsert, id, k.Type, k.Blob, k.Fingerprint, string(k.State), k.ByPerson, ms(k.At)); err != nil {
		return fmt.Errorf("store host key %s: %w", k.Fingerprint, err)
	}
	return nil
}

// Attempts implements inventory.Reader.
func (t *inventoryTx) Attempts(id int64, since time.Time) ([]inventory.Attempt, error) {
	const query = `
SELECT device_id, credential, method, digest, accepted, rejected, forgiven, at
FROM login_attempt WHERE device_id = +?1 AND at >= ?2 ORDER BY at, id`
	return collect(t.tx, query, func(rows *sql.Rows, a *inventory.Attempt) error {
		var at int64
		err := rows.Scan(&a.DeviceID, &a.Credential, &a.Method, &a.Digest, &a.Accepted, &a.Rejected, &a.Forgiven, &at)
		a.At = fromMs(at)
		return err
	}, id, ms(since))
}

// PutAttempt implements inventory.Tx. An accepted login takes the place of the
// accepted ones before it that no rejection follows: nothing counts them.
func (t *inventoryTx) PutAttempt(a inventory.Attempt) error {
	const prune = `
DELETE FROM login_attempt WHERE device_id = +?1 AND accepted AND rejected = 0
AND id > coalesce((SELECT max(id) FROM login_attempt WHERE device_id = +?1 AND NOT accepted), 0)`
	const insert = `
INSERT INTO login_attempt (device_id, credential, method, digest, accepted, rejected, forgiven, at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`
	if a.Accepted {
		if _, err := t.tx.Exec(prune, a.DeviceID); err != nil {
			return fmt.Errorf("store login of credential %s: %w", a.Credential, err)
		}
	}
	if _, err := t.tx.Exec(insert, a.DeviceID, a.Credential, a.Method, a.Digest, a.Accepted, a.Rejected, a.Forgiven, ms(a.At)); err != nil {
		return fmt.Errorf("store login of credential %s: %w", a.Credential, err)
	}
	return nil
}

// Forgive implements inventory.Tx.
func (t *inventoryTx) Forgive(id int64, credential string) error {
	const update = `
UPDATE login_attempt SET forgiven = 1
WHERE rejected > 0 AND (?1 = 0 OR device_id = +?1) AND (?2 = '' OR credential = +?2)`
	if _, err := t.tx.Exec(update, id, credential); err != nil {
		return fmt.Errorf("forgive rejected logins of credential %s: %w", credential, err)
	}
	return nil
}

// Recount implements inventory.Tx.
func (t *inventoryTx) Recount(credential string) error {
	if _, err := t.tx.Exec("DELETE FROM login_attempt WHERE rejected > 0 AND credential = +?1", credential); err != nil {
		return fmt.Errorf("count logins of credential %s anew: %w", credential, err)
	}
	return nil
}

// Credential implements inventory.Reader.
func (t *inventoryTx) Credential(name string) (inventory.CredentialState, error) {
	const query = `SELECT digest, stopped_at, reason, rejected_by FROM credential_state WHERE name = +?1`
	c := inventory.CredentialState{Name: name}
	var stopped sql.NullInt64
	var by string
	err := t.tx.QueryRow(query, name).Scan(&c.Digest, &stopped, &c.Reason, &by)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err == nil {
		c.StoppedAt = fromMsOrNull(stopped)
		err = json.Unmarshal([]byte(by), &c.RejectedBy)
	}
	if err != nil {
		return c, fmt.Errorf("read state of credential %s: %w", name, err)
	}
	return c, nil
}

// PutCredential implements inventory.Tx.
func (t *inventoryTx) PutCredential(c inventory.CredentialState) error {
	const upsert = `
INSERT INTO credential_state (name, digest, stopped_at, reason, rejected_by) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, stopped_at = excluded.stopped_at,
    reason = excluded.reason, rejected_by = excluded.rejected_by`
	by, err := json.Marshal(append([]int64{}, c.RejectedBy...))
	if err == nil {
		_, err = t.tx.Exec(upsert, c.Name, c.Digest, msOrNull(c.StoppedAt), c.Reason, string(by))
	}
	if err != nil {
		return fmt.Errorf("store state of credential %s: %w", c.Name, err)
	}
	return nil
}

// Emit implements inventory.Tx.
func (t *inventoryTx) Emit(e inventory.Event) error {
	_, err := insertEvent(t.tx, e)
	return err
}

// Audit implements inventory.Tx.
func (t *inventoryTx) Audit(at time.Time, who, action, subject, detail string) error {
	return insertAudit(t.tx, AuditEntry{At: at, Who: who, Action: action, Subject: subject, Detail: detail})
}

var _ inventory.Tx = (*inventoryTx)(nil)
