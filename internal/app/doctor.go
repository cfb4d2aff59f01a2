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
	"muster/inventory"
	"muster/inventory/platform"
)

// Doctor goes through every step with a device and stores nothing: its agent,
// then the very session that a backup would have. said, where it is not nil, gets
// every command of that session with its answer, secrets hidden.
func (a *App) Doctor(ctx context.Context, dev inventory.Device, each func(collector.StepTime), said func(command, answer string)) error {
	net := a.network.Load()
	detail := describe(dev)
	if net.Telnet(dev) {
		detail += ", read by telnet"
	}
	each(collector.StepTime{Step: collector.StepResolve, Detail: detail})
	if dev.SNMPCredential == "" {
		each(collector.StepTime{Step: collector.StepSystem, Detail: "no SNMP credential is known to work; not asked"})
	} else {
		cred, err := net.Credential(ctx, dev.SNMPCredential)
		if err != nil {
			return err
		}
		a.agent(ctx, net.SNMPTarget(dev, cred), each)
	}
	run := a.access.BeginLook()
	each = sayUnopened(each)
	if dev.Platform == "" {
		return a.probe(ctx, run, dev, each, said)
	}
	steps, err := a.backups.Rehearse(ctx, run, dev, said)
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
func (a *App) probe(ctx context.Context, run *inventory.Run, dev inventory.Device, each func(collector.StepTime), said func(command, answer string)) error {
	set := a.platforms.Load()
	hooks := cli.Options{}
	if said != nil {
		hooks.Said = func(command string, answer []byte) { said(command, string(platform.Mask(answer))) }
	}
	s, steps, err := run.Open(ctx, dev, set.ProbeDialogue(), hooks)
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

// sayUnopened says of a step that failed for a rule of ours that nothing was sent.
func sayUnopened(each func(collector.StepTime)) func(collector.StepTime) {
	return func(s collector.StepTime) {
		switch s.Kind {
		case collector.ErrNeedsCredential, collector.ErrNeedsDecision, collector.ErrCredentialStopped:
			if s.TookMs == 0 {
				s.Detail = strings.TrimPrefix(s.Detail+"; no session was opened", "; ")
			}
		}
		each(s)
	}
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
