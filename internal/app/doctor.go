package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster/collector"
	"muster/collector/cli"
	"muster/collector/snmp"
	"muster/internal/api"
	"muster/inventory"
	"muster/inventory/platform"
)

// Doctor goes through every step with a device and stores nothing: its agent,
// then the very session that a backup would have.
func (a *App) Doctor(ctx context.Context, dev inventory.Device, each func(collector.StepTime)) error {
	net := a.network.Load()
	each(collector.StepTime{Step: collector.StepResolve, Detail: describe(dev)})
	if dev.SNMPCredential == "" {
		each(collector.StepTime{Step: collector.StepSystem, Detail: "no SNMP credential is known to work; not asked"})
	} else {
		cred, err := net.Credential(ctx, dev.SNMPCredential)
		if err != nil {
			return err
		}
		a.agent(ctx, net.SNMPTarget(dev, cred), each)
	}
	run := a.access.Begin()
	if dev.Platform == "" {
		return a.probe(ctx, run, dev, each)
	}
	steps, err := a.backups.Rehearse(ctx, run, dev)
	for _, s := range steps {
		each(s)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// A failure that no step shows yet: the session was not begun, or the texts
	// were not trusted.
	var e *collector.Error
	if errors.As(err, &e) && (len(steps) == 0 || steps[len(steps)-1].Kind == "") {
		each(collector.StepTime{Step: e.Step, Kind: e.Kind, Seen: e.Seen, Do: e.Do})
		return nil
	}
	if e == nil {
		return err
	}
	return nil
}

// probe logs in to a device of which nobody knows what it runs, and asks it: as
// discovery does, under the same rules for passwords and logins.
func (a *App) probe(ctx context.Context, run *inventory.Run, dev inventory.Device, each func(collector.StepTime)) error {
	set := a.platforms.Load()
	s, steps, err := run.Open(ctx, dev, set.ProbeDialogue(), cli.Options{})
	shown := len(steps)
	for _, st := range steps {
		each(st)
	}
	if err != nil {
		var e *collector.Error
		if !errors.As(err, &e) {
			return err
		}
		if shown == 0 || steps[shown-1].Kind == "" {
			each(collector.StepTime{Step: e.Step, Kind: e.Kind, Seen: e.Seen, Do: e.Do})
		}
		return nil
	}
	defer s.Close()
	match, err := set.Prove(ctx, s)
	for _, st := range s.Steps()[min(shown, len(s.Steps())):] {
		st.Seen = string(platform.Mask([]byte(st.Seen)))
		each(st)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && match.Platform != nil:
		each(collector.StepTime{Step: collector.StepJudge, Detail: match.Platform.Name + " (" + match.Reason + "); muster discover makes it so"})
	default:
		each(collector.StepTime{Step: collector.StepJudge, Kind: collector.ErrPlatformUnknown, Do: "No definition knows it. Tell what it runs: muster device set " + dev.Name + " --platform NAME (muster platform list)"})
	}
	return nil
}

func describe(dev inventory.Device) string {
	s := fmt.Sprintf("%s at %s", dev.Name, dev.Address)
	if dev.Platform != "" {
		s += fmt.Sprintf(", %s (%s)", dev.Platform, dev.PlatformReason)
	} else {
		s += ", platform not known"
	}
	if dev.Scope != "" {
		s += ", scope " + dev.Scope
	}
	return s
}

// agent asks the device's SNMP agent for its tables.
func (a *App) agent(ctx context.Context, t collector.Target, each func(collector.StepTime)) {
	begun := time.Now()
	failed := func(err error) {
		st := collector.StepTime{Step: collector.StepSystem, Detail: "credential " + t.Credential.Name, TookMs: time.Since(begun).Milliseconds(), Kind: collector.KindOf(err)}
		var e *collector.Error
		if errors.As(err, &e) {
			st.Step, st.Seen, st.Do = e.Step, e.Seen, e.Do
		}
		each(st)
	}
	s, err := snmp.Open(ctx, t)
	if err != nil {
		failed(err)
		return
	}
	defer s.Close()
	each(collector.StepTime{Step: collector.StepSystem, TookMs: time.Since(begun).Milliseconds(), Detail: fmt.Sprintf("credential %s; sysName %s, sysObjectID %s", t.Credential.Name, s.System().Name, s.System().ObjectID)})
	begun = time.Now()
	r, err := s.Read(ctx)
	if err != nil {
		failed(err)
		return
	}
	for _, f := range r.Faults {
		each(collector.StepTime{Step: f.Step, Kind: f.Kind, Seen: f.Seen, Do: f.Do})
	}
	each(collector.StepTime{Step: "tables", TookMs: time.Since(begun).Milliseconds(), Detail: strings.Join([]string{counted(len(r.Interfaces), "interface"), counted(len(r.Addresses), "address"), counted(len(r.Components), "component"), counted(len(r.Neighbors), "neighbor")}, ", ")})
}

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
	_, err := a.store.LastEvent(ctx)
	add("database", "answers", err, "muster verify tells more")
	set := a.settings.Load()
	add("settings", fmt.Sprintf("%s: %s, %s, %s", a.o.Config, counted(len(set.Scopes), "scope"), counted(len(set.Credentials), "credential"), counted(len(set.Receivers), "receiver")), nil, "")
	for _, c := range set.Credentials {
		_, err = a.network.Load().Credential(ctx, c.Name)
		add("credential", c.Name+" has its secrets", err, "muster secret set NAME, or mend what muster.yaml refers to")
	}
	for _, r := range set.Receivers {
		_, err = a.receiver(ctx, r)
		add("receiver", r.Name+" has its secrets", err, "Then try it: muster receiver test "+r.Name)
	}
	add("platforms", counted(len(a.platforms.Load().All()), "definition"), nil, "")
	now := a.o.Now()
	if now.Year() < 2026 {
		add("clock", "", fmt.Errorf("the clock says %s", now.Format(time.RFC3339)), "set the clock: SNMPv3 and all times hang on it")
	} else {
		add("clock", now.Format(time.RFC3339), nil, "")
	}
	next, err := a.Next(ctx)
	if err != nil {
		add("schedules", "", err, "muster verify tells more")
	}
	for _, n := range next {
		add("schedule", n.Job+" is due "+n.At.Format("2006-01-02 15:04 MST"), nil, "")
	}
	return out
}
