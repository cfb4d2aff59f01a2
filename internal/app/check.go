package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/internal/schedule"
	"muster/internal/settings"
)

// Check reads the settings and all that they refer to, and says what is good, or
// all faults at once. It makes nothing: what is not there yet is said.
func Check(ctx context.Context, o Options) ([]string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	var faults Faults
	set, err := readSettings(o.Config)
	if err != nil && !errors.As(err, &faults) {
		return nil, err
	}
	defs, err := readPlatforms(o.Dir)
	var more Faults
	switch {
	case errors.As(err, &more):
		faults = append(faults, more...)
	case err != nil:
		return nil, err
	}
	if len(faults) > 0 {
		return nil, faults
	}
	notes := []string{fmt.Sprintf("%s is good: %s, %s, %s; %s", o.Config, counted(len(set.Scopes), "scope"), counted(len(set.Credentials), "credential"),
		counted(len(set.Receivers), "receiver"), counted(defs.Len(), "platform definition"))}
	for _, s := range set.Scopes {
		notes = append(notes, describeScope(set, s))
	}
	for _, m := range set.Maintenance {
		notes = append(notes, describeMaintenance(set, m, o.Now()))
	}
	for _, w := range set.Warnings {
		notes = append(notes, "warning: "+w.Error())
	}
	for _, e := range []settings.CronEntry{set.Schedules.Discovery, set.Schedules.Backup, set.Schedules.Housekeeping} {
		if e.Cron == "" {
			continue
		}
		surprises, err := schedule.Warnings(e.Cron, set.Timezone, o.Now())
		if err != nil {
			return notes, err
		}
		for _, w := range surprises {
			notes = append(notes, "warning: "+w)
		}
	}
	notes = append(notes, checkBlackouts(set, o.Now())...)
	secrets, err := checkSecrets(ctx, o, set)
	return append(notes, secrets...), err
}

// describeScope says what a scope covers, and to whom passwords go there.
func describeScope(set *settings.Settings, s settings.Scope) string {
	text := fmt.Sprintf("scope %s: %s", s.Name, counted(s.Addresses.Count(s.Exclude), "address"))
	if n := len(s.Addresses.Hosts); n > 0 {
		text += " and " + counted(n, "host name")
	}
	switch s.PasswordsTo {
	case "authenticated":
		text += "; SSH passwords only go to devices that answer SNMPv3, or whose host key was pinned"
	case "any":
		text += "; SSH passwords go to whatever answers SSH there, a stranger's trap too (passwords_to: any)"
	default:
		text += "; SSH passwords only go to devices that SNMP knows as a router, switch or firewall, and to those that a person added"
		for _, name := range s.Credentials {
			if c, ok := set.Credential(name); ok && c.Kind.SNMP() && c.Kind != "snmp-v3" {
				text += ". Over " + string(c.Kind) + " that guards against accidents, not against attackers"
				break
			}
		}
	}
	return text
}

// describeMaintenance says when a window is open next.
func describeMaintenance(set *settings.Settings, m settings.Maintenance, now time.Time) string {
	clock := func(t time.Time) string { return t.In(set.Timezone).Format("Mon 2006-01-02 15:04 MST") }
	begin, end, over := m.Start, m.End, !m.End.After(now)
	if m.Cron != "" {
		times, err := schedule.NextTimes(m.Cron, set.Timezone, now.Add(-m.Duration), 1)
		if err != nil || len(times) == 0 {
			return fmt.Sprintf("maintenance %s: never comes again", m.Name)
		}
		begin, end, over = times[0], times[0].Add(m.Duration), false
	}
	switch {
	case over:
		return fmt.Sprintf("maintenance %s: is over since %s and can be taken out", m.Name, clock(end))
	case begin.After(now):
		return fmt.Sprintf("maintenance %s: next from %s to %s", m.Name, clock(begin), clock(end))
	}
	return fmt.Sprintf("maintenance %s: open since %s, until %s", m.Name, clock(begin), clock(end))
}

// checkSecrets resolves every reference, where the data directory can be opened.
func checkSecrets(ctx context.Context, o Options, set *settings.Settings) ([]string, error) {
	if _, err := os.Stat(filepath.Join(o.Dir, "muster.db")); errors.Is(err, fs.ErrNotExist) {
		if names := set.SecretNames(); len(names) > 0 {
			return nil, refuse("%s holds no data yet, so these secrets are not set: %s; set each with muster secret set NAME", o.Dir, strings.Join(names, ", "))
		}
		return nil, nil
	}
	c, done, err := Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	defer done()
	findings, err := c.Examine(ctx)
	if err != nil {
		return nil, err
	}
	var faults Faults
	for _, f := range findings {
		if !f.Good {
			faults = append(faults, fmt.Errorf("%s: %s. %s", f.Check, f.Seen, f.Do))
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return []string{"every secret that the settings refer to is there"}, nil
}

// counted is "1 scope", "2 scopes", "3 addresses".
func counted(n int, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "s"):
		one += "e"
	}
	return fmt.Sprintf("%d %ss", n, one)
}
