package backup

import "muster/collector"

// Ruling is what a kind of failure means for a device's backup.
type Ruling struct {
	Outcome Outcome // Quarantined needs a text: where none was read the outcome is Failed
	State   State   // of the device, until a later attempt ends otherwise
	Alert   string  // kind of the alert that tells of it; empty: `status` lists it and backup-overdue follows
	Retry   bool    // a passing fault: the schedule tries once more, later in the same run
}

// Rulings says for every kind of failure how the backup ends, how the device
// then stands, which alert tells of it, and whether it is tried once more. There
// is no other such table; [Rule] reads it.
//
// A quarantined capture was read up to its prompt and cannot be trusted; a
// failed one brought nothing that could be looked at. What another alert already
// tells (a rejected login, a changed host key, a stopped credential) opens no
// second one: one fault, one alert.
var Rulings = map[collector.Kind]Ruling{
	collector.ErrUnreachable:       {Failed, FailedLast, "backup-failed", false},
	collector.ErrRefused:           {Failed, FailedLast, "backup-failed", false},
	collector.ErrTimedOut:          {Failed, FailedLast, "backup-failed", true},
	collector.ErrNoCommonAlgorithm: {Failed, FailedLast, "backup-failed", false},
	collector.ErrHostKeyUnknown:    {Failed, FailedLast, "host-key-changed", false},
	collector.ErrHostKeyChanged:    {Failed, FailedLast, "host-key-changed", false},
	collector.ErrLoginRejected:     {Failed, FailedLast, "login-rejected", false},
	collector.ErrNoPrompt:          {Failed, FailedLast, "backup-failed", false},
	collector.ErrEnableRejected:    {Failed, FailedLast, "login-rejected", false},
	collector.ErrCommandRejected:   {Failed, FailedLast, "backup-failed", false},
	collector.ErrRightsMissing:     {Quarantined, QuarantineHeld, "quarantined", false},
	collector.ErrIncomplete:        {Failed, FailedLast, "backup-failed", true},
	collector.ErrImplausible:       {Quarantined, QuarantineHeld, "quarantined", false},
	collector.ErrProofMissing:      {Quarantined, QuarantineHeld, "quarantined", false},
	collector.ErrPartMissing:       {Quarantined, QuarantineHeld, "quarantined", false},
	collector.ErrTooLarge:          {Failed, FailedLast, "backup-failed", false},
	collector.ErrClosed:            {Failed, FailedLast, "backup-failed", true},
	collector.ErrBusy:              {Failed, FailedLast, "backup-failed", true},
	collector.ErrPlatformUnknown:   {Failed, FailedLast, "", false},
	collector.ErrNeedsCredential:   {Failed, FailedLast, "", false},
	collector.ErrCredentialStopped: {Failed, FailedLast, "credential-stopped", false},
	collector.ErrNeedsDecision:     {Failed, FailedLast, "", false},
	collector.ErrForwardingRefused: {Failed, FailedLast, "backup-failed", false},
}

// Rule returns the ruling on a kind. A kind that the table does not know, which
// a newer collector may send, is a failure that is told and not repeated.
func Rule(kind collector.Kind) Ruling {
	if r, ok := Rulings[kind]; ok {
		return r
	}
	return Ruling{Outcome: Failed, State: FailedLast, Alert: "backup-failed"}
}

// Retryable reports whether a failure may pass by itself, so that one further try
// later in the same run makes sense. Behind a login that got no answer it does not:
// the device may have counted that password, and a second one in the same outage
// would use up the two of the day, and with them the next night. (A device that is
// busy at login has not looked at it.)
func Retryable(step collector.Step, kind collector.Kind) bool {
	return Rule(kind).Retry && (step != collector.StepLogin || kind == collector.ErrBusy)
}
