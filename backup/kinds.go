package backup

import "muster/collector"

// Ruling is what a kind of failure means for a device's backup.
type Ruling struct {
	Outcome Outcome // Quarantined needs a text: where none was read the outcome is Failed
	State   State   // of the device, until a later attempt ends otherwise
	Alert   string  // kind of the alert that tells of it; empty: `status` lists it and backup-overdue follows
	Retry   bool    // a passing fault: the schedule tries once more, later in the same run
	Mend    string  // what the operator can do, for `status`; the message of the failure itself is more exact
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
	collector.ErrUnreachable:       {Failed, FailedLast, "backup-failed", false, "Check the path to the device, its address and its access lists: muster doctor NAME"},
	collector.ErrRefused:           {Failed, FailedLast, "backup-failed", false, "Turn SSH on at the device, or set its port: muster device set NAME --port"},
	collector.ErrTimedOut:          {Failed, FailedLast, "backup-failed", true, "See which step is slow: muster doctor NAME; give it longer: muster device set NAME --timeout"},
	collector.ErrNoCommonAlgorithm: {Failed, FailedLast, "backup-failed", false, "Allow what the device offers: muster device set NAME --algorithms compatible"},
	collector.ErrHostKeyUnknown:    {Failed, FailedLast, "host-key-changed", false, "Compare the fingerprint at the device, then: muster device accept-key NAME"},
	collector.ErrHostKeyChanged:    {Failed, FailedLast, "host-key-changed", false, "Compare the fingerprint at the device, then: muster device accept-key NAME, or muster device replace NAME"},
	collector.ErrLoginRejected:     {Failed, FailedLast, "login-rejected", false, "Mend the account or its secret, then: muster device retry NAME"},
	collector.ErrNoPrompt:          {Failed, FailedLast, "backup-failed", false, "See what the device said: muster doctor NAME"},
	collector.ErrEnableRejected:    {Failed, FailedLast, "login-rejected", false, "Mend the enable secret (muster secret set), then: muster device retry NAME"},
	collector.ErrCommandRejected:   {Failed, FailedLast, "backup-failed", false, "Check that the platform is right: muster device show NAME, muster platform show"},
	collector.ErrRightsMissing:     {Quarantined, QuarantineHeld, "quarantined", false, "Give the account the right to read the whole configuration"},
	collector.ErrIncomplete:        {Failed, FailedLast, "backup-failed", true, "See where the output ends: muster doctor NAME"},
	collector.ErrImplausible:       {Quarantined, QuarantineHeld, "quarantined", false, "Look at it: muster config show NAME --quarantined; then muster config accept or discard NAME"},
	collector.ErrProofMissing:      {Quarantined, QuarantineHeld, "quarantined", false, "Look at it: muster config show NAME --quarantined; then muster config accept or discard NAME"},
	collector.ErrPartMissing:       {Quarantined, QuarantineHeld, "quarantined", false, "Give the account the right to read that part, or look at the rest: muster config show NAME --quarantined"},
	collector.ErrTooLarge:          {Failed, FailedLast, "backup-failed", false, "Look at what the device prints; captures over 64 MB are not kept"},
	collector.ErrClosed:            {Failed, FailedLast, "backup-failed", true, "Look for a limit of sessions at the device: muster doctor NAME"},
	collector.ErrBusy:              {Failed, FailedLast, "backup-failed", true, "Wait until the other session at the device has ended"},
	collector.ErrPlatformUnknown:   {Failed, FailedLast, "", false, "Say what it runs: muster device set NAME --platform"},
	collector.ErrNeedsCredential:   {Failed, FailedLast, "", false, "Give it a credential that works: muster device set NAME --credential, then muster device retry NAME"},
	collector.ErrCredentialStopped: {Failed, FailedLast, "credential-stopped", false, "Mend the account or its secret, then: muster secret retry"},
	collector.ErrNeedsDecision:     {Failed, FailedLast, "", false, "Decide whether passwords may go there: passwords_to and declared in muster.yaml, or muster device add ADDRESS"},
	collector.ErrForwardingRefused: {Failed, FailedLast, "backup-failed", false, "Allow forwarding on the jump host"},
}

// Rule returns the ruling on a kind. A kind that the table does not know, which
// a newer collector may send, is a failure that is told and not repeated.
func Rule(kind collector.Kind) Ruling {
	if r, ok := Rulings[kind]; ok {
		return r
	}
	return Ruling{Outcome: Failed, State: FailedLast, Alert: "backup-failed", Mend: "See every step: muster doctor NAME"}
}

// Retryable reports whether a failure of this kind may pass by itself, so that
// one further try later in the same run makes sense.
func Retryable(kind collector.Kind) bool { return Rule(kind).Retry }
