package api

import (
	"context"
	"sort"
	"strings"

	"muster/backup"
	"muster/collector"
	"muster/internal/alert"
	"muster/inventory"
)

// namesPerCause is how many device names a cause lists.
const namesPerCause = 5

// Status tells how the network stands: every managed device is either backed up
// or counted under the cause why not.
func (s *Server) Status(ctx context.Context) (Status, error) {
	st := Status{States: map[string]int{}, Backups: map[string]int{}, Drift: map[string]int{}, Causes: []Cause{}, Next: []NextRun{}}
	rows, err := s.Devices(ctx, "")
	if err != nil {
		return st, err
	}
	causes := map[reason]*Cause{}
	for _, d := range rows {
		st.Devices++
		st.States[d.State]++
		for _, k := range d.Drift {
			st.Drift[k]++
		}
		if !d.Managed {
			continue
		}
		st.Managed++
		st.Backups[string(d.BackupState)]++
		if d.BackupState == backup.Good {
			st.BackedUp++
			continue
		}
		why := reasonOf(d)
		c := causes[why]
		if c == nil {
			c = &Cause{Kind: why.kind, Step: why.step, Mend: mend(why, d)}
			causes[why] = c
		}
		if c.Count++; c.Count > 1 {
			c.Mend = mend(why, Device{}) // one that is not of the first device
		}
		if len(c.Devices) < namesPerCause {
			c.Devices = append(c.Devices, d.Name)
		}
	}
	for why, c := range causes {
		if why.unread {
			c.Mend = "muster backup"
			if c.Count == len(c.Devices) {
				c.Mend += " " + strings.Join(c.Devices, " ")
			}
		}
		st.Causes = append(st.Causes, *c)
	}
	sort.Slice(st.Causes, func(i, j int) bool {
		a, b := st.Causes[i], st.Causes[j]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Kind+a.Step < b.Kind+b.Step
	})
	alerts, err := s.Alerts(ctx, false)
	if err != nil {
		return st, err
	}
	st.Alerts = len(alerts)
	for i, c := range st.Causes {
		if message, one := onlyAlert(alerts, alert.Kind(c.Kind)); one && collector.Kind(c.Kind) == collector.ErrCredentialStopped {
			st.Causes[i].Mend = message // names the credential and its secret
		}
	}
	next, err := s.house.Next(ctx)
	if err != nil {
		return st, err
	}
	st.Next = full(next)
	if runs, err := s.runs.Runs(ctx, "backup", 1); err == nil && len(runs) == 1 {
		last := counted(runs[0])
		st.LastRun = &last
	}
	return st, nil
}

// onlyAlert is the message of the one alert of a kind; false: there is none, or
// several.
func onlyAlert(all []alert.Alert, kind alert.Kind) (message string, one bool) {
	n := 0
	for _, a := range all {
		if a.Kind == kind {
			message, n = a.Message, n+1
		}
	}
	return message, n == 1
}

// reason is what devices must have in common to be one cause.
type reason struct {
	kind, step string
	unread     bool // a person has settled it, and only a backup can tell more
}

func reasonOf(d Device) reason {
	switch {
	case d.BackupState == backup.Disabled:
		return reason{kind: "disabled"}
	case d.State == string(inventory.StateDown) || d.State == string(inventory.StateBehind):
		return reason{kind: d.State}
	case d.ProblemKind == discarded:
		return reason{kind: "discarded, not read since", unread: true}
	case d.ProblemKind == keyAccepted:
		return reason{kind: "new host key accepted, not read since", unread: true}
	case d.ProblemKind != "":
		return reason{kind: string(d.ProblemKind), step: string(d.ProblemStep)}
	case d.BackupState == backup.Stale:
		return reason{kind: "stale"}
	}
	return reason{kind: "never tried"}
}

// mend is what to do about a cause, in one sentence.
// only is the one device that has it; zero: there are several.
func mend(why reason, only Device) string {
	if collector.Kind(why.kind) == collector.ErrNeedsCredential && only.Problem != "" {
		return only.Problem // names what was rejected, and where its secret is kept
	}
	m, ok := mends[why.kind]
	if why.step == string(collector.StepEnable) && collector.Kind(why.kind) == collector.ErrNeedsCredential {
		m, ok = mends[string(collector.ErrEnableRejected)]
	}
	if !ok {
		return "muster doctor DEVICE goes through every step and says what to do."
	}
	return m
}

var mends = map[string]string{
	"disabled":            "A person switched them off: muster device set NAME --enable.",
	"down":                "Nothing answers: look at power and uplink; muster doctor DEVICE shows what was tried.",
	"behind":              "They are reached through a device that is down: mend that one first.",
	"stale":               "The last good backup is old: muster run list shows what happened since.",
	"never tried":         "muster backup takes the first one.",
	"login-rejected":      "Store the right password, then muster device retry DEVICE; muster device show DEVICE names the secret.",
	"needs-credential":    "No credential fits or is left to try: name one in the scope, or muster device set DEVICE --credential NAME; then muster device retry DEVICE. muster device show DEVICE says what it rejected.",
	"credential-stopped":  "The credential was rejected: store the right secret, then muster secret retry CREDENTIAL; muster device show DEVICE names both.",
	"needs-decision":      "No password is sent there unasked: muster device list missing:needs-decision names them with the reason, muster device allow NAME shows the host key and says yes.",
	"host-key-changed":    "Compare the fingerprints at the device; then muster device accept-key NAME, or muster device replace NAME.",
	"host-key-unknown":    "The scope is strict: pin the key with muster device accept-key --known-hosts FILE.",
	"no-common-algorithm": "The device offers only old algorithms: allow them for it (muster device set NAME --algorithms compatible or legacy).",
	"platform-unknown":    "Say what it is: muster device set NAME --platform PLATFORM (muster platform list).",
	"unreachable":         "No way to the device: look at routing, and at its management interface.",
	"refused":             "The SSH port is closed: switch SSH on at the device, or set the port of the scope, or of the device: muster device set NAME --port PORT.",
	"timed-out":           "It went silent: muster doctor DEVICE shows at which step, and how long it took.",
	"proof-missing":       "Read it (muster config show NAME --quarantined), then muster config accept or discard NAME.",
	"output-incomplete":   "The text broke off: it is read again tonight; muster doctor DEVICE shows where.",
	"output-implausible":  "Far smaller than the last good one: read it (muster config show NAME --quarantined), then accept or discard it.",
	"rights-missing":      "The account may not read everything: give it the right that the message names.",
	"command-rejected":    "The device refused a reading command: muster doctor DEVICE shows which.",
	"enable-rejected":     "They reject the enable secret, not the login: store the right one, then muster device retry DEVICE; muster device show DEVICE names it.",
	"part-missing":        "A part of the configuration could not be read; the message names it.",
	"too-large":           "Larger than muster takes (64 MB): raise the limit, or look what the device prints.",
	"closed":              "The device ended the session: it is tried again; look at its session limits.",
	"busy":                "The device was busy: it is tried again.",
	"no-prompt":           "No prompt was recognised: muster doctor DEVICE shows what the device printed.",
	"forwarding-refused":  "The jump host refuses forwarding: allow it there.",
}
