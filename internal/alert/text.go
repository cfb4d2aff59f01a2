package alert

import (
	"cmp"
	"fmt"
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
	who := list(a.Devices)
	since := " since " + x.clock(a.Since)
	text := ""
	one := len(a.Devices) == 1
	switch a.Kind {
	case Unreachable, CollectorIsolated:
		return x.describeReach(a)
	case LoginRejected:
		text = who + " rejects our login" + since + ". Mend the account or its secret, then: muster device retry " + first(a.Devices)
	case CredentialStopped:
		text = "credential " + collector.Escape(a.Subject) + " is stopped" + since + ", before it locks the account"
		if len(a.Devices) > 0 {
			text += ": " + who + " rejected it"
		}
		text += ". Mend the account or set the secret (muster secret set), then: muster secret retry " + collector.Escape(a.Subject)
	case HostKeyChanged:
		text = who + " shows another host key" + since + "; no password was sent. Compare the fingerprint at the device, then: muster device accept-key " + first(a.Devices) + ", or muster device replace " + first(a.Devices)
	case BackupFailed:
		text = who + plural(one, " has", " have") + " no backup" + since + nights(a) + ". See every step: muster doctor " + first(a.Devices)
	case Quarantined:
		text = who + plural(one, " sent a configuration that cannot be trusted", " sent configurations that cannot be trusted") + since +
			". Look at it: muster config show " + first(a.Devices) + " --quarantined; then muster config accept or discard " + first(a.Devices)
	case BackupOverdue:
		text = who + " was not backed up since " + x.clock(a.Since) + ". See why: muster status, muster doctor " + first(a.Devices)
	case Changed:
		text = who + " changed" + plural(one, "", " in the same way") + since + ". See: muster config diff " + first(a.Devices) + "; then muster config approve"
	case Unsaved:
		text = who + plural(one, " runs", " run") + " a configuration that is not saved" + since + ". See: muster config diff " + first(a.Devices) + " --unsaved; then save it on the device"
	case Pending:
		text = who + plural(one, " has", " have") + " a change that is not committed or not confirmed" + since + ". Commit or discard it on the device"
	case OffBaseline:
		text = who + plural(one, " is", " are") + " off the baseline" + since + ". See: muster config diff " + first(a.Devices) + " --baseline"
	case DeviceReplaced:
		text = who + " looks like another box" + since + ". Confirm it: muster device replace " + first(a.Devices)
	case NewDevice:
		text = who + plural(one, " is", " are") + " new" + since + ". See: muster device show " + first(a.Devices)
	case IdentityClash:
		text = collector.Escape(a.Subject) + " belongs to several devices" + since + ": " + who + ". If they are one: muster device merge"
	case ReceiverDown:
		text = "receiver " + collector.Escape(a.Subject) + " takes no messages" + since + "; they wait for it. See: muster receiver test " + collector.Escape(a.Subject)
	case StoreProblem:
		text = "the store has a problem" + since + ". Run muster verify, and keep a copy of the data directory"
	}
	return text + seen(a)
}

// describeReach tells of devices that do not answer, and of how many do.
func (x *pass) describeReach(a *Alert) string {
	since := " since " + x.clock(a.Since)
	switch {
	case a.Kind == CollectorIsolated:
		r := x.count(func(inventory.Device) bool { return true })
		return fmt.Sprintf("none of %d devices answers%s: muster itself is probably cut off. Check this machine's link, address and gateway", r.all, since)
	case a.Group:
		here := x.count(siteOf(a.Subject))
		there := x.count(func(d inventory.Device) bool { return d.Site != a.Subject })
		return fmt.Sprintf("%s: %d of %d down%s; %d others answer. Down: %s. Check the site's uplink and power",
			collector.Escape(a.Subject), len(a.Devices), max(here.all, len(a.Devices)), since, there.answering, list(a.Devices))
	}
	return list(a.Devices) + " does not answer" + since + seen(a) + ". Check its power and uplink: muster doctor " + first(a.Devices)
}

// recovery tells how a fault ended and how long it lasted.
func (x *pass) recovery(a *Alert) string {
	lasted := ", after " + span(a.ResolvedAt.Sub(a.Since))
	who := list(a.Devices)
	one := len(a.Devices) == 1
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
		return who + " accepts our login again" + lasted
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

// seen adds the event's own sentence where the alert is about one device, and
// the first device's where it is about many.
func seen(a *Alert) string {
	for _, m := range a.Members {
		if m.Seen == "" {
			continue
		}
		s := collector.Escape(strings.TrimSpace(m.Seen))
		if len(a.Devices) > 1 && m.Device != "" && !strings.HasPrefix(s, m.Device) {
			s = collector.Escape(m.Device) + ": " + s
		}
		return " (" + s + ")"
	}
	return ""
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
