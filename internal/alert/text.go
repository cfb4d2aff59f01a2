package alert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/collector"
	"muster/inventory"
)

// describe is the message of an alert: which devices, what, since when, what was
// seen, what to do; of a resolved one how long it lasted. Texts of devices are
// escaped.
func (x *pass) describe(a *Alert) string {
	if a.State == Resolved {
		return x.recovery(a)
	}
	var (
		who     = list(a.Devices)
		one     = len(a.Devices) == 1
		dev     = first(a.Devices)
		subject = collector.Escape(a.Subject)
		since   = " since " + x.clock(a.Since)
		on      = " (seen " + x.clock(a.Since) + ")"
	)
	// unless is the advice where what was seen does not name its command already.
	unless := func(named, do string) string {
		if strings.Contains(seen(a), named) {
			return ""
		}
		return do
	}
	switch a.Kind {
	case Unreachable, CollectorIsolated:
		return x.describeReach(a)
	case LoginRejected:
		if a.Group {
			return say(who+plural(one, " rejects", " reject")+" credential "+subject+since, "",
				"If they have an account of their own, bind a credential to them by for; else mend the account there, then: muster device retry "+dev+plural(one, "", " and the others"))
		}
		return say(who+" rejects our login"+since, seen(a),
			unless("device retry", "Mend the account or its secret, then: muster device retry "+dev))
	case CredentialStopped:
		by := ""
		if who != "" {
			by = who + " rejected it"
		}
		return say("credential "+subject+" is stopped"+since+", before it locks the account", by,
			"Mend the account or set the secret ("+kept(a)+"), then: muster secret retry "+subject)
	case HostKeyChanged:
		return say(who+" shows another host key"+since+"; no password was sent", seen(a),
			unless("accept-key", "Compare the fingerprint at the device, then: muster device accept-key "+dev+", or muster device replace "+dev))
	case BackupFailed:
		return say(who+" could not be backed up"+since+nights(a), seen(a), "See every step: muster doctor "+dev)
	case Quarantined:
		return say(who+plural(one, " sent a configuration that cannot be trusted", " sent configurations that cannot be trusted")+on, seen(a),
			unless("--quarantined", "Look at it: muster config show "+dev+" --quarantined; then muster config accept or discard "+dev))
	case BackupOverdue:
		return say(who+plural(one, " was", " were")+" not backed up"+since, "", "See why: muster status, muster doctor "+dev)
	case Changed:
		return say(who+" changed"+plural(one, "", " in the same way")+on, seen(a), "See: muster config diff "+dev+"; then muster config approve "+dev)
	case Unsaved:
		return say(who+plural(one, " runs", " run")+" a configuration that is not saved"+since, seen(a),
			"See: muster config diff "+dev+" --unsaved; then save it on the device")
	case Pending:
		return say(who+plural(one, " has", " have")+" a change that is not committed or not confirmed"+since, seen(a), "Commit or discard it on the device")
	case OffBaseline:
		return say(who+plural(one, " is", " are")+" off the baseline"+since, seen(a), "See: muster config diff "+dev+" --baseline")
	case DeviceReplaced:
		return say(who+" looks like another box"+since, seen(a), "Confirm it: muster device replace "+dev)
	case NewDevice:
		return say(who+plural(one, " is", " are")+" new"+since, "", "See: muster device show "+dev)
	case IdentityClash:
		return say(subject+" belongs to several devices"+since, who, "If they are one: muster device merge")
	case ReceiverDown:
		return say("receiver "+subject+" takes no messages"+since+"; they wait for it", seen(a), "See: muster receiver test "+subject)
	case StoreProblem:
		return say("the store has a problem"+since, seen(a), "Run muster verify, and keep a copy of the data directory")
	}
	return who + since
}

// say puts a message together: what is so, what was seen, what to do.
func say(what, seen, do string) string {
	if seen != "" {
		what += ": " + strings.TrimRight(seen, ". ")
	}
	return strings.TrimSuffix(what+". "+do, " ")
}

// describeReach tells of devices that do not answer, and of how many do.
func (x *pass) describeReach(a *Alert) string {
	since := " since " + x.clock(a.Since)
	switch {
	case a.Kind == CollectorIsolated:
		const do = "Check this machine's link, address and gateway"
		r := x.count(func(inventory.Device) bool { return true })
		if slices.ContainsFunc(a.Members, func(m Member) bool { return m.Cause == ownLink }) {
			return say(fmt.Sprintf("muster has no way to %d of %d devices%s", len(a.Devices), r.all, since), seen(a), do)
		}
		return say(fmt.Sprintf("none of %d devices answers%s", r.all, since), "muster itself is probably cut off", do)
	case a.Group:
		here := x.count(siteOf(a.Subject))
		all := x.count(func(inventory.Device) bool { return true })
		return fmt.Sprintf("%s: %d of %d down%s; %d others answer. Down: %s. Check the site's uplink and power",
			collector.Escape(a.Subject), len(a.Devices), max(here.all, len(a.Devices)), since, all.answering, list(a.Devices))
	}
	what := list(a.Devices) + " does not answer" + since
	if len(a.Devices) == 1 {
		if n := x.behind[a.Devices[0]]; n > 0 {
			what += fmt.Sprintf("; %d behind it %s not reached", n, plural(n == 1, "is", "are"))
		}
	}
	return say(what, seen(a), "Check its power and uplink: muster doctor "+first(a.Devices))
}

// recovery tells how a fault ended and how long it lasted.
func (x *pass) recovery(a *Alert) string {
	lasted := ", after " + span(a.ResolvedAt.Sub(a.Since))
	who := list(a.Devices)
	one := len(a.Devices) == 1
	if a.Merged && a.Kind == ReceiverDown {
		return "receiver " + collector.Escape(a.Subject) + ": closed" + lasted + ", since it is gone from muster.yaml"
	}
	if a.Merged {
		return cmp.Or(who, collector.Escape(a.Subject)) + ": closed" + lasted + ", since another alert tells of it or the device is no longer watched"
	}
	switch a.Kind {
	case Unreachable:
		if a.Group {
			return fmt.Sprintf("%s: all answer again%s; %d were down: %s", collector.Escape(a.Subject), lasted, len(a.Devices), who)
		}
		return who + " answers again" + lasted
	case CollectorIsolated:
		return "devices answer again" + lasted
	case LoginRejected:
		return who + plural(one, " accepts", " accept") + " our login again" + lasted
	case CredentialStopped:
		return "credential " + collector.Escape(a.Subject) + " works again" + lasted
	case HostKeyChanged:
		return "the host key of " + who + " is accepted" + lasted
	case BackupFailed, BackupOverdue:
		return who + plural(one, " is", " are") + " backed up again" + lasted
	case Quarantined:
		return who + ": no capture waits in quarantine any more" + lasted
	case Changed:
		return who + plural(one, " is", " are") + " as approved again" + lasted
	case Unsaved:
		return "the configuration of " + who + " is saved" + lasted
	case Pending:
		return "no change waits on " + who + " any more" + lasted
	case OffBaseline:
		return who + plural(one, " is", " are") + " as the baseline says again" + lasted
	case NewDevice, DeviceReplaced, IdentityClash:
		return cmp.Or(who, collector.Escape(a.Subject)) + ": noted" + lasted
	case ReceiverDown:
		return "receiver " + collector.Escape(a.Subject) + " takes messages again" + lasted
	case StoreProblem:
		return "the store is well again" + lasted
	}
	return cmp.Or(who, collector.Escape(a.Subject)) + ": over" + lasted
}

// seen is the event's own sentence, of the first device that has one.
func seen(a *Alert) string {
	for _, m := range a.Members {
		s := collector.Escape(strings.TrimSpace(m.Seen))
		if s == "" {
			continue
		}
		if name := collector.Escape(m.Device); len(a.Devices) > 1 && name != "" && !strings.HasPrefix(s, name) {
			s = name + ": " + s
		}
		return s
	}
	return ""
}

// kept says how the secret of a stopped credential is stored.
func kept(a *Alert) string {
	for _, m := range a.Members {
		if m.Seen != "" {
			return collector.Escape(m.Seen)
		}
	}
	return "muster secret set NAME" // stopped by an older muster
}

func nights(a *Alert) string {
	most := 0
	for _, m := range a.Members {
		most = max(most, m.Fails)
	}
	if most < 2 {
		return ""
	}
	return fmt.Sprintf(", %d nights in a row", most)
}

// listed is how many devices a message names.
const listed = 10

// list names devices: all of a few, the number and the first of many.
func list(devices []string) string {
	shown := make([]string, 0, listed)
	for _, d := range devices[:min(len(devices), listed)] {
		shown = append(shown, collector.Escape(d))
	}
	switch n := len(devices); {
	case n <= 1:
		return strings.Join(shown, "")
	case n <= listed:
		return fmt.Sprintf("%d devices (%s)", n, strings.Join(shown, ", "))
	default:
		return fmt.Sprintf("%d devices (%s and %d more)", n, strings.Join(shown, ", "), n-listed)
	}
}

func first(devices []string) string {
	if len(devices) == 0 {
		return ""
	}
	return collector.Escape(devices[0])
}

func plural(one bool, singular, many string) string {
	if one {
		return singular
	}
	return many
}

// clock is a time as messages show it.
func (x *pass) clock(t time.Time) string { return t.In(x.policy.zone).Format("2006-01-02 15:04 MST") }

// span is a duration as people say it.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
