package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"muster/collector/snmp"
	"muster/inventory"
	"muster/inventory/platform"
)

// Known implements inventory.Reader.
func (t *inventoryTx) Known(ids []inventory.Identifier, addr netip.Addr, id int64) ([]inventory.Known, error) {
	const query = `
SELECT` + deviceColumns + `, d.engine_boots, d.engine_time_s, d.engine_read_at FROM device d
WHERE d.merged_into IS NULL AND (d.id = +?1
    OR d.id IN (SELECT device_id FROM answered WHERE ip = +?2 AND until IS NULL)
    OR d.id IN (SELECT i.device_id FROM identifier i JOIN json_each(?3) j
        ON i.kind = j.value ->> 'kind' AND i.key = j.value ->> 'key' AND i.until IS NULL))
ORDER BY d.id`
	type wanted struct {
		Kind inventory.IdentifierKind `json:"kind"`
		Key  string                   `json:"key"`
	}
	wants := []wanted{}
	for _, i := range ids {
		if i.Kind != inventory.IDSysName { // half the devices may share their vendor's default
			wants = append(wants, wanted{i.Kind, i.Key()})
		}
	}
	text, err := json.Marshal(wants)
	if err != nil {
		return nil, fmt.Errorf("look for known devices: %w", err)
	}
	all, err := collect(t.tx, query, func(rows *sql.Rows, k *inventory.Known) error {
		var read sql.NullInt64
		err := scanDevice(rows, &k.Device, &k.Engine.Boots, &k.Engine.Time, &read)
		k.Engine.ReadAt = fromMsOrNull(read)
		return err
	}, id, addressText(addr), string(text))
	if err != nil {
		return nil, err
	}
	for i := range all {
		k := &all[i]
		if k.Identifiers, err = t.identifiers(k.Device.ID); err != nil {
			return nil, err
		}
		if k.Answered, err = t.answeredAt(k.Device.ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (t *inventoryTx) identifiers(id int64) ([]inventory.Identifier, error) {
	const query = `SELECT kind, value FROM identifier WHERE device_id = +?1 AND until IS NULL ORDER BY kind, value`
	return collect(t.tx, query, func(rows *sql.Rows, i *inventory.Identifier) error {
		return rows.Scan(&i.Kind, &i.Value)
	}, id)
}

func (t *inventoryTx) answeredAt(id int64) ([]netip.Addr, error) {
	const query = `SELECT ip FROM answered WHERE device_id = +?1 AND until IS NULL ORDER BY since, rowid`
	return collect(t.tx, query, scanAddr, id)
}

// Answered implements inventory.Reader.
func (t *inventoryTx) Answered() (map[netip.Addr]int64, error) {
	const query = `SELECT ip, device_id FROM answered WHERE until IS NULL`
	type one struct {
		addr netip.Addr
		id   int64
	}
	all, err := collect(t.tx, query, func(rows *sql.Rows, o *one) error {
		var text string
		err := rows.Scan(&text, &o.id)
		if err == nil {
			o.addr, err = netip.ParseAddr(text)
		}
		return err
	})
	holders := map[netip.Addr]int64{}
	for _, o := range all {
		holders[o.addr] = o.id
	}
	return holders, err
}

func scanAddr(rows *sql.Rows, a *netip.Addr) error {
	var text string
	err := rows.Scan(&text)
	if err == nil {
		*a, err = netip.ParseAddr(text)
	}
	return err
}

// Observe implements inventory.Tx.
func (t *inventoryTx) Observe(id int64, o inventory.Observation) error {
	at := ms(o.At)
	steps := []func() error{
		func() error { return t.keepAnswered(id, o.Addr, at) },
		func() error { return t.keepIdentifiers(id, o, at) },
		func() error { return t.keepEngine(id, o.Engine) },
		func() error { return t.keepFacts(id, o, at) },
		func() error { return t.keepTables(id, o, at) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("store what device %d told: %w", id, err)
		}
	}
	return nil
}

// keepAnswered opens the address for the device and ends it for any other.
func (t *inventoryTx) keepAnswered(id int64, addr netip.Addr, at int64) error {
	const end = `UPDATE answered SET until = ?3 WHERE ip = +?2 AND device_id <> ?1 AND until IS NULL`
	const begin = `INSERT INTO answered (device_id, ip, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`
	if !addr.IsValid() {
		return nil
	}
	for _, query := range []string{end, begin} {
		if _, err := t.tx.Exec(query, id, addressText(addr), at); err != nil {
			return err
		}
	}
	return nil
}

// TakeAddress implements inventory.Tx.
func (t *inventoryTx) TakeAddress(id int64, addr netip.Addr, at time.Time) error {
	const end = `UPDATE answered SET until = ?3 WHERE ip = +?2 AND device_id = +?1 AND until IS NULL`
	if _, err := t.tx.Exec(end, id, addressText(addr), ms(at)); err != nil {
		return fmt.Errorf("end address %s of device %d: %w", addr, id, err)
	}
	return nil
}

// keepIdentifiers opens what is new. A new name ends the old one, a serial told
// with vendor or context ends the same one told without, and a whole reading
// ends serials that it does not have.
func (t *inventoryTx) keepIdentifiers(id int64, o inventory.Observation, at int64) error {
	const insert = `INSERT INTO identifier (device_id, kind, value, key, since) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING`
	const endNames = `UPDATE identifier SET until = ?3 WHERE device_id = +?1 AND kind = 'sys-name' AND value <> ?2 AND until IS NULL`
	const endSerials = `
UPDATE identifier SET until = ?3 WHERE device_id = +?1 AND kind = 'serial' AND until IS NULL
AND value NOT IN (SELECT value FROM json_each(?2)) AND (?4 OR key IN (SELECT value FROM json_each(?5)))`
	var serials, keys []string
	for _, i := range o.Identifiers {
		if _, err := t.tx.Exec(insert, id, string(i.Kind), i.Value, i.Key(), at); err != nil {
			return err
		}
		switch i.Kind {
		case inventory.IDSerial:
			serials, keys = append(serials, i.Value), append(keys, i.Key())
		case inventory.IDSysName:
			if _, err := t.tx.Exec(endNames, id, i.Value, at); err != nil {
				return err
			}
		}
	}
	if len(serials) == 0 {
		return nil
	}
	values, err := json.Marshal(serials)
	if err != nil {
		return err
	}
	lookups, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	_, err = t.tx.Exec(endSerials, id, string(values), at, o.Whole, string(lookups))
	return err
}

// EndIdentifiers implements inventory.Tx.
func (t *inventoryTx) EndIdentifiers(id int64, kind inventory.IdentifierKind, at time.Time) error {
	const end = `UPDATE identifier SET until = ?3 WHERE device_id = +?1 AND kind = +?2 AND until IS NULL`
	if _, err := t.tx.Exec(end, id, string(kind), ms(at)); err != nil {
		return fmt.Errorf("end identifiers %s of device %d: %w", kind, id, err)
	}
	return nil
}

func (t *inventoryTx) keepEngine(id int64, e inventory.EngineMark) error {
	const update = `UPDATE device SET engine_boots = ?2, engine_time_s = ?3, engine_read_at = ?4 WHERE id = +?1`
	if e.ReadAt.IsZero() || e.Boots == 0 && e.Time == 0 {
		return nil
	}
	_, err := t.tx.Exec(update, id, e.Boots, e.Time, ms(e.ReadAt))
	return err
}

// keepFacts notes that facts still hold, ends those that changed, and begins new
// ones. Of two with one name the last counts. A whole reading ends what it does not
// have.
func (t *inventoryTx) keepFacts(id int64, o inventory.Observation, at int64) error {
	const end = `
UPDATE fact SET until = ?3 FROM json_each(?4) AS now
WHERE fact.device_id = +?1 AND fact.via = +?2 AND fact.name = now.key AND fact.until IS NULL
AND (fact.value, fact.source) <> (now.value ->> 'value', now.value ->> 'source')`
	const keep = `
INSERT INTO fact (device_id, via, name, value, source, since, read_at)
SELECT ?1, ?2, key, value ->> 'value', value ->> 'source', ?3, ?3 FROM json_each(?4) WHERE true
ON CONFLICT (device_id, via, name) WHERE until IS NULL DO UPDATE SET read_at = excluded.read_at`
	const endOthers = `
UPDATE fact SET until = ?3 WHERE device_id = +?1 AND via = +?2 AND name NOT IN (SELECT key FROM json_each(?4)) AND until IS NULL`
	type said struct {
		Value  string `json:"value"`
		Source string `json:"source"`
	}
	facts := make(map[string]said, len(o.Facts))
	for _, f := range o.Facts {
		facts[f.Name] = said{f.Value, f.Source}
	}
	if len(facts) == 0 {
		return nil
	}
	text, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	statements := []string{end, keep}
	if o.Whole {
		statements = append(statements, endOthers)
	}
	for _, s := range statements {
		if _, err := t.tx.Exec(s, id, string(o.Via), at, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// table is one table of rows that hold from since to until.
type table struct {
	name    string // as in inventory.Observation.Partial
	holding string // SELECT rowid and the columns of the rows that hold
	end     string
	begin   string
}

var (
	interfaceTable = table{"interfaces",
		`SELECT rowid, if_index, name, descr, type, mtu, admin, oper, mac, speed_bps, alias FROM interface WHERE device_id = +?1 AND until IS NULL ORDER BY if_index, rowid`,
		`UPDATE interface SET until = ?2 WHERE rowid = +?1`,
		`INSERT INTO interface (device_id, since, if_index, name, descr, type, mtu, admin, oper, mac, speed_bps, alias) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`}
	addressTable = table{"addresses",
		`SELECT rowid, ip, prefix, if_index FROM address WHERE device_id = +?1 AND until IS NULL ORDER BY rowid`,
		`UPDATE address SET until = ?2 WHERE rowid = +?1`,
		`INSERT INTO address (device_id, since, ip, prefix, if_index) VALUES (?1, ?2, ?3, ?4, ?5)`}
	vlanTable = table{"vlans",
		`SELECT rowid, vlan_id, name FROM vlan WHERE device_id = +?1 AND until IS NULL ORDER BY vlan_id, rowid`,
		`UPDATE vlan SET until = ?2 WHERE rowid = +?1`,
		`INSERT INTO vlan (device_id, since, vlan_id, name) VALUES (?1, ?2, ?3, ?4)`}
	componentTable = table{"components",
		`SELECT rowid, component_index, parent, class, name, descr, model, serial, firmware, software FROM component WHERE device_id = +?1 AND until IS NULL ORDER BY component_index, rowid`,
		`UPDATE component SET until = ?2 WHERE rowid = +?1`,
		`INSERT INTO component (device_id, since, component_index, parent, class, name, descr, model, serial, firmware, software) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)`}
	neighborTable = table{"neighbors",
		`SELECT rowid, protocol, local_if_index, local_port, remote_sys_name, remote_port, remote_chassis_id, remote_sys_descr FROM neighbor WHERE device_id = +?1 AND until IS NULL ORDER BY local_if_index, rowid`,
		`UPDATE neighbor SET until = ?2 WHERE rowid = +?1`,
		`INSERT INTO neighbor (device_id, since, protocol, local_if_index, local_port, remote_sys_name, remote_port, remote_chassis_id, remote_sys_descr) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`}
)

// row is one stored row; V is its value, comparable as a whole.
type row[V comparable] struct {
	id int64
	v  V
}

// keepRows makes rows those that hold: what is there already stays, what is not
// told any more ends, what is new begins. A table read in part is kept only
// where nothing better is there.
func keepRows[V comparable](t *inventoryTx, tab table, id, at int64, o inventory.Observation, rows []V, scan func(*sql.Rows, *row[V]) error, columns func(V) []any) error {
	if rows == nil {
		return nil
	}
	old, err := collect(t.tx, tab.holding, scan, id)
	if err != nil {
		return err
	}
	if o.Partial[tab.name] && len(old) > 0 {
		return nil
	}
	fresh := map[V]int{}
	for _, v := range rows {
		fresh[v]++
	}
	for _, r := range old {
		if fresh[r.v] > 0 {
			fresh[r.v]--
			continue
		}
		if _, err := t.tx.Exec(tab.end, r.id, at); err != nil {
			return err
		}
	}
	for _, v := range rows {
		if fresh[v] == 0 {
			continue
		}
		fresh[v]--
		if _, err := t.tx.Exec(tab.begin, append([]any{id, at}, columns(v)...)...); err != nil {
			return err
		}
	}
	return nil
}

func (t *inventoryTx) keepTables(id int64, o inventory.Observation, at int64) error {
	err := keepRows(t, interfaceTable, id, at, o, o.Interfaces, scanInterface, func(i snmp.Interface) []any {
		return []any{i.IfIndex, i.Name, i.Descr, i.Type, i.MTU, i.Admin, i.Oper, i.MAC, int64(min(i.SpeedBps, 1<<62)), i.Alias}
	})
	if err != nil {
		return err
	}
	err = keepRows(t, addressTable, id, at, o, o.Addresses, scanAddress, func(a snmp.Address) []any {
		return []any{addressText(a.IP), a.Prefix, a.IfIndex}
	})
	if err != nil {
		return err
	}
	err = keepRows(t, vlanTable, id, at, o, o.VLANs, scanVLAN, func(v snmp.VLAN) []any { return []any{v.ID, v.Name} })
	if err != nil {
		return err
	}
	err = keepRows(t, componentTable, id, at, o, o.Components, scanComponent, func(c snmp.Component) []any {
		return []any{c.Index, c.Parent, c.Class, c.Name, c.Descr, c.Model, c.Serial, c.Firmware, c.Software}
	})
	if err != nil {
		return err
	}
	return keepRows(t, neighborTable, id, at, o, o.Neighbors, scanNeighbor, func(n snmp.Neighbor) []any {
		return []any{n.Protocol, n.LocalIfIndex, n.LocalPort, n.RemoteSysName, n.RemotePort, n.RemoteChassisID, n.RemoteSysDescr}
	})
}

func scanInterface(rows *sql.Rows, r *row[snmp.Interface]) error {
	i := &r.v
	return rows.Scan(&r.id, &i.IfIndex, &i.Name, &i.Descr, &i.Type, &i.MTU, &i.Admin, &i.Oper, &i.MAC, &i.SpeedBps, &i.Alias)
}

func scanAddress(rows *sql.Rows, r *row[snmp.Address]) error {
	var ip string
	err := rows.Scan(&r.id, &ip, &r.v.Prefix, &r.v.IfIndex)
	if err == nil && ip != "" {
		r.v.IP, err = netip.ParseAddr(ip)
	}
	return err
}

func scanVLAN(rows *sql.Rows, r *row[snmp.VLAN]) error { return rows.Scan(&r.id, &r.v.ID, &r.v.Name) }

func scanComponent(rows *sql.Rows, r *row[snmp.Component]) error {
	c := &r.v
	return rows.Scan(&r.id, &c.Index, &c.Parent, &c.Class, &c.Name, &c.Descr, &c.Model, &c.Serial, &c.Firmware, &c.Software)
}

func scanNeighbor(rows *sql.Rows, r *row[snmp.Neighbor]) error {
	n := &r.v
	return rows.Scan(&r.id, &n.Protocol, &n.LocalIfIndex, &n.LocalPort, &n.RemoteSysName, &n.RemotePort, &n.RemoteChassisID, &n.RemoteSysDescr)
}

// values takes the values out of rows; it is never nil.
func values[V comparable](rows []row[V]) []V {
	all := []V{}
	for _, r := range rows {
		all = append(all, r.v)
	}
	return all
}

// Facts implements inventory.Reader.
func (t *inventoryTx) Facts(id int64) (f inventory.Facts, err error) {
	const query = `SELECT name, value, source, read_at FROM fact WHERE device_id = +?1 AND until IS NULL ORDER BY name, via DESC`
	f.Facts, err = collect(t.tx, query, func(rows *sql.Rows, a *inventory.FactAt) error {
		var at int64
		var p platform.Fact
		err := rows.Scan(&p.Name, &p.Value, &p.Source, &at)
		a.Fact, a.ReadAt = p, fromMs(at)
		return err
	}, id)
	if err != nil {
		return f, err
	}
	for _, a := range f.Facts {
		if a.ReadAt.After(f.ReadAt) {
			f.ReadAt = a.ReadAt
		}
	}
	interfaces, err := collect(t.tx, interfaceTable.holding, scanInterface, id)
	if err != nil {
		return f, err
	}
	addresses, err := collect(t.tx, addressTable.holding, scanAddress, id)
	if err != nil {
		return f, err
	}
	vlans, err := collect(t.tx, vlanTable.holding, scanVLAN, id)
	if err != nil {
		return f, err
	}
	components, err := collect(t.tx, componentTable.holding, scanComponent, id)
	if err != nil {
		return f, err
	}
	neighbors, err := collect(t.tx, neighborTable.holding, scanNeighbor, id)
	if err != nil {
		return f, err
	}
	f.Interfaces, f.Addresses, f.VLANs, f.Components, f.Neighbors =
		values(interfaces), values(addresses), values(vlans), values(components), values(neighbors)
	if f.Identifiers, err = t.identifiers(id); err != nil {
		return f, err
	}
	keys, err := t.Keys(id)
	for _, k := range keys {
		if k.State == inventory.KeyPinned {
			f.HostKeys = append(f.HostKeys, k.HostKey)
		}
	}
	return f, err
}

// Links implements inventory.Reader.
func (t *inventoryTx) Links() (map[int64][]inventory.Link, error) {
	const query = `SELECT device_id, remote_sys_name, remote_chassis_id FROM neighbor WHERE until IS NULL`
	type link struct {
		id int64
		l  inventory.Link
	}
	all, err := collect(t.tx, query, func(rows *sql.Rows, l *link) error {
		return rows.Scan(&l.id, &l.l.SysName, &l.l.ChassisID)
	})
	links := map[int64][]inventory.Link{}
	for _, l := range all {
		l.l.ChassisID = strings.ToLower(l.l.ChassisID)
		links[l.id] = append(links[l.id], l.l)
	}
	return links, err
}

// Chassis implements inventory.Reader.
func (t *inventoryTx) Chassis() (map[string]int64, error) {
	const query = `SELECT value, min(device_id) FROM identifier WHERE kind IN ('chassis-id', 'base-mac') AND until IS NULL GROUP BY value HAVING count(DISTINCT device_id) = 1`
	type one struct {
		value string
		id    int64
	}
	all, err := collect(t.tx, query, func(rows *sql.Rows, o *one) error { return rows.Scan(&o.value, &o.id) })
	chassis := map[string]int64{}
	for _, o := range all {
		chassis[o.value] = o.id
	}
	return chassis, err
}

// Join implements inventory.Tx.
func (t *inventoryTx) Join(from, into int64, at time.Time) error {
	steps := []string{
		`UPDATE answered SET device_id = ?2 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE identifier SET until = ?3 WHERE device_id = +?1 AND until IS NULL AND EXISTS (
    SELECT 1 FROM identifier o WHERE o.device_id = +?2 AND o.kind = identifier.kind AND o.value = identifier.value AND o.until IS NULL)`,
		`UPDATE identifier SET until = ?3 WHERE device_id = +?1 AND kind = 'sys-name' AND until IS NULL`,
		`UPDATE identifier SET device_id = ?2 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE device SET (engine_boots, engine_time_s, engine_read_at) =
    (SELECT f.engine_boots, f.engine_time_s, f.engine_read_at FROM device f WHERE f.id = +?1)
WHERE id = +?2 AND coalesce(engine_read_at, 0) < (SELECT coalesce(f.engine_read_at, 0) FROM device f WHERE f.id = +?1)`,
		`UPDATE OR IGNORE host_key SET device_id = ?2 WHERE device_id = +?1`,
		`UPDATE login_attempt SET device_id = ?2 WHERE device_id = +?1`,
		`UPDATE state_interval SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE fact SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE interface SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE address SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE vlan SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE component SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE neighbor SET until = ?3 WHERE device_id = +?1 AND until IS NULL`,
		`UPDATE device SET merged_into = ?2 WHERE id = +?1 AND ?1 <> ?2`,
	}
	for _, query := range steps {
		// Each statement binds only the parameters that it names.
		args := []any{from, into, ms(at)}
		if !strings.Contains(query, "?3") {
			args = args[:2]
		}
		if !strings.Contains(query, "?2") {
			args = []any{from, nil, ms(at)}
		}
		if _, err := t.tx.Exec(query, args...); err != nil {
			return fmt.Errorf("join device %d into %d: %w", from, into, err)
		}
	}
	return nil
}

// Reach implements inventory.Reader.
func (t *inventoryTx) Reach() (map[int64]inventory.Reach, error) {
	const query = `SELECT device_id, snmp_worked, icmp_worked, tcp_worked, knocked_at, knock_answered, lost_since, snmp_lost_since FROM reach`
	type one struct {
		id int64
		r  inventory.Reach
	}
	all, err := collect(t.tx, query, func(rows *sql.Rows, o *one) error {
		var knocked, lost, snmpLost sql.NullInt64
		err := rows.Scan(&o.id, &o.r.SNMPWorked, &o.r.ICMPWorked, &o.r.TCPWorked, &knocked, &o.r.KnockAnswered, &lost, &snmpLost)
		o.r.KnockedAt, o.r.LostSince, o.r.SNMPLostSince = fromMsOrNull(knocked), fromMsOrNull(lost), fromMsOrNull(snmpLost)
		return err
	})
	reach := map[int64]inventory.Reach{}
	for _, o := range all {
		reach[o.id] = o.r
	}
	return reach, err
}

// PutReach implements inventory.Tx.
func (t *inventoryTx) PutReach(id int64, r inventory.Reach) error {
	const upsert = `
INSERT INTO reach (device_id, snmp_worked, icmp_worked, tcp_worked, knocked_at, knock_answered, lost_since, snmp_lost_since)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (device_id) DO UPDATE SET snmp_worked = excluded.snmp_worked, icmp_worked = excluded.icmp_worked,
    tcp_worked = excluded.tcp_worked, knocked_at = excluded.knocked_at, knock_answered = excluded.knock_answered, lost_since = excluded.lost_since,
    snmp_lost_since = excluded.snmp_lost_since`
	_, err := t.tx.Exec(upsert, id, r.SNMPWorked, r.ICMPWorked, r.TCPWorked, msOrNull(r.KnockedAt), r.KnockAnswered, msOrNull(r.LostSince), msOrNull(r.SNMPLostSince))
	if err != nil {
		return fmt.Errorf("store reachability of device %d: %w", id, err)
	}
	return nil
}

// Intervals implements inventory.Reader: newest first, those that ended before
// since left out.
func (t *inventoryTx) Intervals(id int64, since time.Time) ([]inventory.Interval, error) {
	const query = `
SELECT state, since, until, behind, message FROM state_interval
WHERE device_id = +?1 AND (until IS NULL OR until >= ?2) ORDER BY since DESC, rowid DESC`
	return collect(t.tx, query, func(rows *sql.Rows, i *inventory.Interval) error {
		var begun int64
		var until sql.NullInt64
		err := rows.Scan(&i.State, &begun, &until, &i.Behind, &i.Message)
		i.Since, i.Until = fromMs(begun), fromMsOrNull(until)
		return err
	}, id, ms(since))
}

// PutState implements inventory.Tx.
func (t *inventoryTx) PutState(id int64, i inventory.Interval) error {
	const end = `UPDATE state_interval SET until = max(since, ?2) WHERE device_id = +?1 AND until IS NULL`
	const begin = `INSERT INTO state_interval (device_id, state, since, behind, message) VALUES (?1, ?2, ?3, ?4, ?5)`
	if _, err := t.tx.Exec(end, id, ms(i.Since)); err != nil {
		return fmt.Errorf("end state of device %d: %w", id, err)
	}
	if _, err := t.tx.Exec(begin, id, string(i.State), ms(i.Since), i.Behind, i.Message); err != nil {
		return fmt.Errorf("begin state of device %d: %w", id, err)
	}
	return nil
}

// PruneInventory forgets states that ended before intervals, and logins before
// attempts. Both are history only: what counts is younger.
func (s *Store) PruneInventory(ctx context.Context, intervals, attempts time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM state_interval WHERE until < ?1", ms(intervals)); err != nil {
			return fmt.Errorf("forget old states: %w", err)
		}
		if _, err := tx.Exec("DELETE FROM login_attempt WHERE at < ?1", ms(attempts)); err != nil {
			return fmt.Errorf("forget old logins: %w", err)
		}
		return nil
	})
}
