package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"muster/internal/api"
	"muster/inventory"
)

// Examine checks the installation.
func (a *App) Examine(ctx context.Context) []api.Finding {
	var out []api.Finding
	add := func(check, seen string, err error, do string) {
		f := api.Finding{Check: check, Good: err == nil, Seen: seen}
		if err != nil {
			f.Seen, f.Do = err.Error(), do
		}
		out = append(out, f)
	}
	add("directory", a.o.Dir+" is held by this process", nil, "")
	room, err := a.room()
	add("room", room, err, "Make room on the disk of "+a.o.Dir+": a copy and a migration need as much as the database once more")
	newest, err := a.store.NewestEvent(ctx)
	add("database", "answers", err, "muster verify tells more")
	add("key", a.key.Key.ID()+" from "+a.key.From+" opens what is sealed; keep a copy of it elsewhere", nil, "")
	files, err := a.files()
	add("open files", files, err, "Raise the limit (LimitNOFILE= in the unit, ulimit -n in a shell), or lower ssh: concurrency")
	if err := inventory.MayPing(); err != nil {
		out = append(out, api.Finding{Check: "ping", Good: true, Seen: "not allowed: reachability asks by SNMP and TCP only",
			Do: "To allow it: sysctl net.ipv4.ping_group_range, or the capability CAP_NET_RAW"})
	} else {
		add("ping", "allowed", nil, "")
	}
	set := a.settings.Load()
	add("settings", fmt.Sprintf("%s: %s, %s, %s", a.o.Config, counted(len(set.Scopes), "scope"), counted(len(set.Credentials), "credential"), counted(len(set.Receivers), "receiver")), nil, "")
	for _, c := range set.Credentials {
		_, err = a.network.Load().Credential(ctx, c.Name)
		add("credential", c.Name+" has its secrets", err, "Put it there, or mend what muster.yaml refers to")
	}
	for _, r := range set.Receivers {
		_, err = a.receiver(ctx, r)
		add("receiver", r.Name+" has its secrets", err, "Then try it: muster receiver test "+r.Name)
	}
	wrong, err := a.access.CheckJumps(ctx)
	if err != nil {
		add("jump hosts", "", err, "muster verify tells more")
	}
	for _, w := range wrong {
		add("jump host", "", errors.New(w), "What holds is in docs/ssh.md, Jump hosts")
	}
	add("platforms", counted(a.platforms.Load().Len(), "definition"), nil, "")
	now := a.o.Now()
	add("clock", now.Format(time.RFC3339), clock(now, newest), "Set the clock: SNMPv3, schedules and all times hang on it")
	next, err := a.Next(ctx)
	if err != nil {
		add("schedules", "", err, "muster verify tells more")
	}
	for _, n := range next {
		add("schedule", n.Job+" is due "+n.At.Format("2006-01-02 15:04 MST"), nil, "")
	}
	return out
}

// clock says what is wrong with the time; newest is that of the newest event.
func clock(now, newest time.Time) error {
	switch {
	case now.Year() < 2026:
		return fmt.Errorf("the clock says %s", now.Format(time.RFC3339))
	case newest.After(now.Add(time.Minute)):
		return fmt.Errorf("the clock says %s, and the newest event is of %s: it has gone back, or was ahead then", now.Format(time.RFC3339), newest.In(now.Location()).Format(time.RFC3339))
	}
	return nil
}

// roomLeft is what must be free beside a second copy of the database, in bytes.
const roomLeft = 64 << 20

func (a *App) room() (string, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(a.o.Dir, &fs); err != nil {
		return "", fmt.Errorf("look at the disk: %w", err)
	}
	st, err := os.Stat(filepath.Join(a.o.Dir, "muster.db"))
	if err != nil {
		return "", fmt.Errorf("look at the database: %w", err)
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	seen := fmt.Sprintf("%d MB free, the database has %d MB", free>>20, st.Size()>>20)
	if free < st.Size()+roomLeft {
		return "", fmt.Errorf("%s", seen)
	}
	return seen, nil
}

// files holds the limit of open files against what a run may need: two for each
// session, and some for the database, pages and receivers.
func (a *App) files() (string, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return "", fmt.Errorf("read the limit: %w", err)
	}
	need := uint64(2*a.runLimit() + 100)
	seen := fmt.Sprintf("%d allowed, %d needed at most", limit.Cur, need)
	if limit.Cur < need {
		return "", fmt.Errorf("%s", seen)
	}
	return seen, nil
}
