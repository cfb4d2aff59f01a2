package store

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/backup"
	"muster/internal/secret"
	"muster/inventory"
	"muster/inventory/platform"
)

// BenchmarkYear asks a store that holds a year of 10,000 devices, of which one
// in twenty changed a night (18 versions each), with their captures of 10 nights.
// It says how long the slowest but one in twenty answers take, and what a small
// change and an unchanged night cost on disk.
func BenchmarkYear(b *testing.B) {
	const devices, versions, nights, size = 10_000, 18, 10, 16 << 10
	dir := filepath.Join(b.TempDir(), "muster")
	s, err := Open(dir, secret.NewKey(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	start := time.Date(2025, 11, 26, 4, 20, 0, 0, time.UTC)
	ids := make([]int64, devices)
	err = s.Inventory().Update(b.Context(), func(tx inventory.Tx) error {
		for i := range ids {
			d := inventory.Device{Name: fmt.Sprintf("sw%05d", i), Platform: "cisco_ios"}
			if err := tx.PutDevice(&d); err != nil {
				return err
			}
			ids[i] = d.ID
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	// each commits one night of all devices, many at a time as a run does.
	each := func(do func(i int) backup.Commit) {
		var group sync.WaitGroup
		work := make(chan int)
		for range 64 {
			group.Go(func() {
				for i := range work {
					if err := s.CommitBackup(b.Context(), do(i)); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range devices {
			work <- i
		}
		close(work)
		group.Wait()
	}
	bases := make([][]byte, 64) // bulk that devices share, as they do in a network
	for i := range bases {
		bases[i] = config(size, uint64(i))
	}
	text := func(i, n int) []byte {
		t := bases[i%len(bases)]
		t = bytes.Replace(t, []byte("hostname r"), fmt.Appendf(nil, "hostname sw%05d-", i), 1)
		return changed(t, n)
	}
	commit := func(i, n int, at time.Time, outcome backup.Outcome) backup.Commit {
		raw := text(i, n)
		c := backup.Capture{DeviceID: ids[i], Device: fmt.Sprintf("sw%05d", i), Platform: "cisco_ios", TakenAt: at,
			Texts: []backup.Text{{Part: "running", Role: platform.RoleRunning, Raw: raw}}}
		out := backup.Commit{At: at, DeviceID: ids[i], Capture: &backup.Captured{Capture: c, Result: backup.Result{Outcome: outcome, Version: n}}}
		if outcome == backup.Stored {
			out.Version = &backup.NewVersion{
				Version: backup.Version{DeviceID: ids[i], Number: n, At: at, Reason: backup.ReasonChanged, Rules: "r", Parts: []string{"running"}, SHA256: sha256Hex(raw)},
				Parts:   []backup.VersionPart{{Part: "running", Role: platform.RoleRunning, Raw: raw, Redacted: raw}},
			}
		}
		return out
	}
	fileSize := func() int64 {
		b.Helper()
		var busy, frames, done int
		if err := s.w.QueryRowContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &done); err != nil {
			b.Fatal(err)
		}
		fi, err := os.Stat(filepath.Join(dir, dbName))
		if err != nil {
			b.Fatal(err)
		}
		return fi.Size()
	}
	each(func(i int) backup.Commit { return commit(i, 1, start, backup.Stored) })
	first := fileSize()
	for n := 2; n <= versions; n++ {
		each(func(i int) backup.Commit { return commit(i, n, start.AddDate(0, 0, 20*n), backup.Stored) })
	}
	grown := fileSize()
	for n := range nights {
		each(func(i int) backup.Commit { return commit(i, versions, start.AddDate(1, 0, n), backup.Unchanged) })
	}
	quietSize := fileSize()
	quiet := func() {}

	r := rand.New(rand.NewPCG(1, 1))
	p95 := func(name string, times int, before func(), do func() error) {
		took := make([]time.Duration, times)
		for k := range took {
			before()
			begun := time.Now()
			if err := do(); err != nil {
				b.Fatalf("%s: %v", name, err)
			}
			took[k] = time.Since(begun)
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[times*95/100].Microseconds())/1000, name+"-p95-ms")
	}
	list := func() error { _, err := s.Inventory().Devices(b.Context()); return err }
	standings := func() error { _, err := s.BackupStandings(b.Context()); return err }
	n := nights
	run := func() { // goes on between two lists
		for range 20 {
			if err := s.CommitBackup(b.Context(), commit(r.IntN(devices), versions, start.AddDate(1, 0, n), backup.Unchanged)); err != nil {
				b.Fatal(err)
			}
			err := s.Inventory().Update(b.Context(), func(tx inventory.Tx) error {
				d, err := tx.Device(ids[r.IntN(devices)])
				if err != nil {
					return err
				}
				d.LastSeen = start.AddDate(1, 0, n)
				return tx.PutDevice(&d)
			})
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	for b.Loop() {
		p95("first-list", 1, quiet, list)
		p95("first-standings", 1, quiet, standings)
		p95("list", 100, run, list)
		p95("standings", 100, run, standings)
		p95("history", 200, quiet, func() error { _, err := s.ConfigVersions(b.Context(), ids[r.IntN(devices)]); return err })
		p95("version", 200, quiet, func() error {
			_, err := s.VersionTexts(b.Context(), ids[r.IntN(devices)], 1+r.IntN(versions), true)
			return err
		})
		p95("diff-reads", 200, quiet, func() error {
			id := ids[r.IntN(devices)]
			for range 2 {
				if _, err := s.VersionTexts(b.Context(), id, 1+r.IntN(versions), false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	begun := time.Now()
	floor := readBare(b, s)
	bare := time.Since(begun)
	begun = time.Now()
	found, err := s.Verify(b.Context())
	whole := time.Since(begun)
	if err != nil || len(found) > 0 {
		b.Fatalf("verify: %d problems, %v", len(found), err)
	}
	b.ReportMetric(float64(floor)/(1<<20), "MB-texts")
	b.ReportMetric(whole.Seconds(), "verify-s")
	b.ReportMetric(float64(whole)/float64(bare), "verify/floor")
	b.ReportMetric(float64(grown-first)/devices/(versions-1), "B/change")
	b.ReportMetric(float64(quietSize-grown)/devices/nights, "B/unchanged-night")
	b.ReportMetric(float64(quietSize)/(1<<20), "MB")
}

// readBare is the floor of Verify: it unpacks each text once, hashes it and looks
// at nothing else. It returns how many bytes that are.
func readBare(b *testing.B, s *Store) (bytes int) {
	b.Helper()
	const query = `
SELECT id, device_id, kind, part, address, coalesce(base_id, 0), blob FROM text
ORDER BY device_id, kind DESC, base_id IS NOT NULL, id`
	rows, err := s.read.QueryContext(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // it was read to its end
	var of int64
	bases := map[int64][]byte{} // redacted texts of the device
	for rows.Next() {
		var id, base int64
		var row textRow
		if err := rows.Scan(&id, &row.deviceID, &row.kind, &row.part, &row.address, &base, &row.blob); err != nil {
			b.Fatal(err)
		}
		if row.deviceID != of {
			of = row.deviceID
			clear(bases)
		}
		var text []byte
		if row.kind == "raw" {
			text, err = s.unpackRaw(row.blob, bases[base], rawIdentity(row.deviceID, row.part, row.address))
		} else {
			text, err = unpackRedacted(row.blob, bases[base])
			bases[id] = text
		}
		if err != nil {
			b.Fatal(err)
		}
		sha256.Sum256(text)
		bytes += len(text)
	}
	if rows.Err() != nil {
		b.Fatal(rows.Err())
	}
	return bytes
}
