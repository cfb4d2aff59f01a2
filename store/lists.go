package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mattn/go-sqlite3"

	"muster/backup"
	"muster/inventory"
)

// A list of 10,000 devices is 410,000 columns, which took 116 ms to read, and how
// they stand 138 ms more. Both are therefore kept in memory, device by device, and
// only what was written since is read again. SQLite itself tells what that is: the
// writing connection has triggers of its own on the tables that the lists are made
// of, which also see what a foreign key removes.

// lists is what lists of all devices are made of.
type lists struct {
	devices   kept[*inventory.Device]
	standings kept[backup.Standing]
}

func (l *lists) touchAll() {
	l.devices.touchAll()
	l.standings.touchAll()
}

// touched notes that a row of a device was written.
type touched struct {
	standing bool // or the device itself
	device   int64
}

// kept is one value for each device that has one.
type kept[T any] struct {
	reading sync.Mutex // one reads, the others wait for it
	rows    map[int64]T

	mu    sync.Mutex // guards what follows; never held while anything waits
	stale map[int64]bool
	all   bool // everything is stale
}

// fewStale is up to how many devices are read one by one; more of them are read
// with all others in one go.
const fewStale = 500

func (k *kept[T]) touch(device int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stale == nil {
		k.stale = map[int64]bool{}
	}
	k.stale[device] = true
}

func (k *kept[T]) touchAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = true
}

// current reads again what is stale and gives f the values, which f must not keep.
// read reads one device, or all of them where the id is 0. It does so in a
// transaction that begins after what is stale was asked for, and thus sees all
// that was acknowledged.
func (k *kept[T]) current(ctx context.Context, s *Store, read func(tx *sql.Tx, device int64) (map[int64]T, error), f func(map[int64]T)) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	k.mu.Lock()
	stale, all := k.stale, k.all || k.rows == nil || len(k.stale) > fewStale
	k.stale, k.all = nil, false
	k.mu.Unlock()
	if all || len(stale) > 0 {
		err := s.view(ctx, func(tx *sql.Tx) error {
			if all {
				rows, err := read(tx, 0)
				if err == nil {
					k.rows = rows
				}
				return err
			}
			for id := range stale {
				rows, err := read(tx, id)
				if err != nil {
					return err
				}
				if v, there := rows[id]; there {
					k.rows[id] = v
				} else {
					delete(k.rows, id)
				}
			}
			return nil
		})
		if err != nil {
			k.touchAll()
			return err
		}
	}
	f(k.rows)
	return nil
}

// Devices implements inventory.Store.
func (i inventoryStore) Devices(ctx context.Context) (all []inventory.Device, err error) {
	var kept []*inventory.Device // none of them is ever changed
	err = i.s.lists.devices.current(ctx, i.s, readDevices, func(rows map[int64]*inventory.Device) { kept = slices.Collect(maps.Values(rows)) })
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	slices.SortFunc(kept, func(a, b *inventory.Device) int {
		if n := compareNoCase(a.Name, b.Name); n != 0 {
			return n
		}
		return cmp.Compare(a.ID, b.ID)
	})
	all = make([]inventory.Device, len(kept))
	for n, d := range kept {
		all[n] = *d
		all[n].Tags = slices.Clone(d.Tags)
	}
	return all, nil
}

// readDevices reads one device, or with id 0 all of them.
func readDevices(tx *sql.Tx, id int64) (map[int64]*inventory.Device, error) {
	query, args := `SELECT`+deviceColumns+` FROM device d WHERE d.merged_into IS NULL`, []any{}
	if id != 0 {
		query, args = query+` AND d.id = +?1`, []any{id}
	}
	rows, err := collect(tx, query, plainDevice, args...)
	byID := make(map[int64]*inventory.Device, len(rows))
	for n := range rows {
		byID[rows[n].ID] = &rows[n]
	}
	return byID, err
}

// BackupStandings implements backup.Store.
func (s *Store) BackupStandings(ctx context.Context) (all map[int64]backup.Standing, err error) {
	err = s.lists.standings.current(ctx, s, readStandings, func(rows map[int64]backup.Standing) { all = maps.Clone(rows) })
	for id, st := range all {
		if st.Drift != nil {
			st.Drift = slices.Clone(st.Drift)
			all[id] = st
		}
	}
	return all, err
}

// compareNoCase orders names as SQLite's NOCASE does, which folds ASCII alone.
func compareNoCase(a, b string) int {
	lower := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// tell hands what the triggers noted of a batch to the lists. It comes before the
// acknowledgements, so that who was acknowledged finds it in every list.
func (s *Store) tell() {
	for _, c := range s.noted {
		if c.standing {
			s.lists.standings.touch(c.device)
		} else {
			s.lists.devices.touch(c.device)
		}
	}
	s.noted = s.noted[:0]
}

// writerConnector opens the writing connection with the function that its triggers
// call. The driver makes a new connection where it gave one up.
type writerConnector struct {
	s   *Store
	dsn string
}

func (c writerConnector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		note := func(kind string, device int64) int {
			c.s.noted = append(c.s.noted, touched{kind == "standing", device})
			return 0
		}
		if err := conn.RegisterFunc("muster_note", note, false); err != nil || !c.s.watching {
			return err
		}
		c.s.lists.touchAll() // nobody knows what was noted before
		_, err := conn.Exec(noting, nil)
		return err
	}}
}

func (c writerConnector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

// watch makes the triggers, once the tables are there.
func (s *Store) watch(ctx context.Context) error {
	s.watching = true
	if _, err := s.w.ExecContext(ctx, noting); err != nil {
		return fmt.Errorf("watch the tables of %s: %w", dbName, err)
	}
	return nil
}

// noting makes the triggers of the writing connection. What SQLite keeps for a
// savepoint then stays in memory: it went through a file in /var/tmp otherwise, which
// was 86 of 100 writes to files. A migration sorts indexes of any size and has that
// file still; a VACUUM has a connection of its own.
var noting = func() string {
	var sql strings.Builder
	sql.WriteString("PRAGMA temp_store = MEMORY;\n") // drops what is temporary, so first
	for _, t := range []struct{ table, id, kind string }{
		{"device", "id", "device"}, {"capture", "device_id", "standing"}, {"quarantine", "device_id", "standing"},
		{"version", "device_id", "standing"}, {"drift", "device_id", "standing"},
	} {
		for _, when := range []struct{ what, note string }{
			{"INSERT", "SELECT muster_note('%[1]s', NEW.%[2]s);"},
			{"UPDATE", "SELECT muster_note('%[1]s', NEW.%[2]s); SELECT muster_note('%[1]s', OLD.%[2]s) WHERE OLD.%[2]s IS NOT NEW.%[2]s;"},
			{"DELETE", "SELECT muster_note('%[1]s', OLD.%[2]s);"},
		} {
			fmt.Fprintf(&sql, "CREATE TEMP TRIGGER note_%[3]s_%[4]s AFTER %[4]s ON main.%[3]s BEGIN "+when.note+" END;\n", t.kind, t.id, t.table, when.what)
		}
	}
	return sql.String()
}()
