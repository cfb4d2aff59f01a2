package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

// The names of the jobs of this package.
const (
	JobBackup    = "backup"
	JobDiscovery = "discovery"
)

// beginner starts the memory of a run: inventory.Access.
type beginner interface{ Begin() *inventory.Run }

// taker backs up one device: backup.Backups.
type taker interface {
	Take(ctx context.Context, run *inventory.Run, runID int64, dev inventory.Device, progress func(step string)) backup.Result
}

// Devices finds devices for the backup job. The app fills it from the inventory.
type Devices interface {
	// Select lists what a request means: the managed devices, of these the ones
	// that Request.Devices names and Request.Scopes holds. A name that fits none
	// is an error that says so.
	Select(ctx context.Context, req Request) ([]inventory.Device, error)
	// Device reads one device as it is now.
	Device(ctx context.Context, id int64) (inventory.Device, error)
}

// Backup is the job that takes a backup of every device it is asked for. A
// device that is disabled is skipped; so is one that is down, unless a person
// named it: then it is tried, since they may know better.
type Backup struct {
	Access  beginner
	Backups taker
	Devices Devices
	// Hold reports whether a device is in its blackout, and until when; nil: there
	// is none. It is asked by runs that no person started, at each session. Who
	// fills it sees to it that the device has its turn when the blackout is over.
	Hold func(inventory.Device) (until time.Time, held bool)
}

// Name is JobBackup.
func (b *Backup) Name() string { return JobBackup }

// Begin starts a run's memory of credentials.
func (b *Backup) Begin(run Run) Work { return &backupWork{b, run, b.Access.Begin()} }

type backupWork struct {
	*Backup
	run    Run
	memory *inventory.Run
}

func (w *backupWork) Plan(ctx context.Context, feed *Feed) error {
	devices, err := w.Devices.Select(ctx, w.run.Request)
	if err != nil {
		return fmt.Errorf("select devices: %w", err)
	}
	specs := make([]Spec, 0, len(devices))
	for _, d := range devices {
		if !d.Retired {
			specs = append(specs, Spec{Subject: d.Name, DeviceID: d.ID, Scope: d.Scope})
		}
	}
	return feed.Add(specs...)
}

func (w *backupWork) Do(ctx context.Context, spec Spec, step func(string)) Outcome {
	dev, err := w.Devices.Device(ctx, spec.DeviceID) // as it is now: the plan may be an hour old
	if err != nil {
		return Outcome{Outcome: string(backup.Failed), Failed: true, Message: fmt.Sprintf("%s: read the device: %s", spec.Subject, err)}
	}
	var res backup.Result
	switch {
	case dev.Disabled:
		res = backup.Result{Outcome: backup.Skipped, Message: fmt.Sprintf("%s is disabled. To back it up again: muster device set %s --enable", collector.Escape(dev.Name), collector.Escape(dev.Name))}
	case (dev.State == inventory.StateDown || dev.State == inventory.StateBehind) && (w.run.By != ByCommand || len(w.run.Request.Devices) == 0):
		res = backup.Result{Outcome: backup.Skipped, Kind: collector.ErrUnreachable, Message: notTried(dev)}
	default:
		if w.run.By != ByCommand && w.Hold != nil {
			if until, held := w.Hold(dev); held {
				res = backup.Result{Outcome: backup.Skipped, Message: fmt.Sprintf("%s is in the blackout of scope %s until %s and is backed up after it", collector.Escape(dev.Name), collector.Escape(dev.Scope), clock(until))}
				break
			}
		}
		res = w.Backups.Take(ctx, w.memory, w.run.ID, dev, step)
	}
	if res.Device == "" {
		res.Device = dev.Name
	}
	return Outcome{
		Outcome: string(res.Outcome), Failed: res.Outcome == backup.Failed || res.Outcome == backup.Quarantined,
		Step: res.Step, Kind: res.Kind, Message: res.Message, Result: res,
		Again: res.Outcome == backup.Failed && backup.Retryable(res.Step, res.Kind),
	}
}

// notTried says why a run left out a device that does not answer, and what to do.
func notTried(dev inventory.Device) string {
	name, since := collector.Escape(dev.Name), clock(dev.StateSince.UTC())
	if dev.Behind == inventory.ThisMachine {
		return fmt.Sprintf("%s is not reached since %s, as this machine has no way there, and was not tried. Check this machine's link, address and gateway", name, since)
	}
	if dev.State == inventory.StateBehind {
		front := collector.Escape(dev.Behind)
		return fmt.Sprintf("%s is not reached since %s, as %s in front of it does not answer, and was not tried. Look at %s first", name, since, front, front)
	}
	return fmt.Sprintf("%s is down since %s and was not tried. Check its power and uplink, or try it by name: muster backup %s", name, since, name)
}

// clock writes a time for people, in its own zone.
func clock(at time.Time) string { return at.Format("2006-01-02 15:04 MST") }

// sweeper finds what answers and reads it: inventory.Discovery.
type sweeper interface {
	Sweep(ctx context.Context, scopes []string, progress func(sent, total, answered int), found func(inventory.Candidate)) (inventory.SweepSummary, error)
	Examine(ctx context.Context, run *inventory.Run, c inventory.Candidate, dry bool) inventory.Result
}

// Discovery is the job that sweeps scopes and reads what answers, while the
// sweep goes on.
type Discovery struct {
	Access    beginner
	Discovery sweeper
	// Closed reports whether a scope is in its blackout, and until when; nil: never.
	// Runs that no person started open no session there. What answers the sweep is
	// left to the next run.
	Closed func(scope string) (until time.Time, closed bool)
}

// Name is JobDiscovery.
func (d *Discovery) Name() string { return JobDiscovery }

// Begin starts a run's memory of credentials.
func (d *Discovery) Begin(run Run) Work { return &discoveryWork{d, run, d.Access.Begin()} }

type discoveryWork struct {
	*Discovery
	run    Run
	memory *inventory.Run
}

func (w *discoveryWork) Plan(ctx context.Context, feed *Feed) error {
	progress := func(sent, total, answered int) {
		feed.Say(fmt.Sprintf("asked %d of %d addresses, %d answered", sent, total, answered))
	}
	var addErr error
	sum, err := w.Discovery.Discovery.Sweep(ctx, w.run.Request.Scopes, progress, func(c inventory.Candidate) {
		args, err := json.Marshal(c)
		if err == nil {
			err = feed.Add(Spec{Subject: c.Addr.String(), DeviceID: c.DeviceID, Scope: c.Scope, Args: args})
		}
		if err != nil && addErr == nil {
			addErr = err
		}
	})
	if err == nil {
		err = addErr
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if sum.Message == "" {
		sum.Message = fmt.Sprintf("asked %d addresses, %d answered, %d excluded", sum.Asked, sum.Answered, sum.Excluded)
	}
	feed.Say(sum.Message)
	return nil
}

func (w *discoveryWork) Do(ctx context.Context, spec Spec, step func(string)) Outcome {
	var c inventory.Candidate
	if err := json.Unmarshal(spec.Args, &c); err != nil {
		return Outcome{Outcome: string(inventory.OutcomeFailed), Failed: true, Message: fmt.Sprintf("%s: read the task: %s", spec.Subject, err)}
	}
	if w.run.By != ByCommand && w.Closed != nil {
		if until, closed := w.Closed(c.Scope); closed {
			res := inventory.Result{Address: c.Addr, Outcome: inventory.OutcomeSkipped,
				Message: fmt.Sprintf("%s is in the blackout of scope %s until %s and is left to the next discovery", c.Addr, collector.Escape(c.Scope), clock(until))}
			return Outcome{Outcome: string(res.Outcome), Message: res.Message, Result: res}
		}
	}
	step("examine")
	res := w.Discovery.Discovery.Examine(ctx, w.memory, c, w.run.Request.Dry)
	return Outcome{
		Outcome: string(res.Outcome), Failed: res.Outcome == inventory.OutcomeFailed,
		Step: res.Step, Kind: res.Kind, Message: res.Message, Result: res,
		Again: res.Outcome == inventory.OutcomeFailed && backup.Retryable(res.Step, res.Kind),
	}
}

// Single is a job of one task that is about no device: housekeeping, verify.
func Single(name string, do func(ctx context.Context, step func(string)) (message string, err error)) Job {
	return single{name, do}
}

type single struct {
	name string
	do   func(ctx context.Context, step func(string)) (string, error)
}

func (s single) Name() string   { return s.name }
func (s single) Begin(Run) Work { return s }

func (s single) Plan(_ context.Context, feed *Feed) error {
	return feed.Add(Spec{Subject: s.name})
}

func (s single) Do(ctx context.Context, _ Spec, step func(string)) Outcome {
	message, err := s.do(ctx, step)
	if err != nil {
		return Outcome{Outcome: "failed", Failed: true, Message: err.Error()}
	}
	return Outcome{Outcome: "done", Message: message}
}
