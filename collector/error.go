package collector

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"muster/internal/secret"
)

// Step is the part of a session in which something happened.
type Step string

// The steps of a CLI session, in order, and those of an SNMP session. A step of
// SNMP that reads a table is named after the table ("ifTable").
const (
	StepResolve     Step = "resolve"
	StepConnect     Step = "connect"
	StepKeyExchange Step = "key-exchange"
	StepHostKey     Step = "host-key"
	StepLogin       Step = "login"
	StepPrompt      Step = "prompt"
	StepEnable      Step = "enable"
	StepPaging      Step = "paging"
	StepCommand     Step = "command"
	StepOutput      Step = "output"
	StepEnd         Step = "end"

	StepSend   Step = "send"
	StepEngine Step = "engine"
	StepSystem Step = "system"

	// StepJudge is where a capture that was read is held against its proofs.
	StepJudge Step = "judge"
)

// Kind is why a step failed. It is a string so that it survives JSON and SQLite,
// and an error so that errors.Is(err, collector.ErrTimedOut) asks for it.
type Kind string

func (k Kind) Error() string { return string(k) }

// The kinds of failures.
const (
	ErrUnreachable       Kind = "unreachable"         // no route, host down, nothing answers
	ErrRefused           Kind = "refused"             // the port is closed
	ErrTimedOut          Kind = "timed-out"           // the step's deadline passed
	ErrNoCommonAlgorithm Kind = "no-common-algorithm" // SSH: the profile allows nothing that the device offers
	ErrHostKeyUnknown    Kind = "host-key-unknown"
	ErrHostKeyChanged    Kind = "host-key-changed"
	ErrLoginRejected     Kind = "login-rejected" // never retried with the same credential
	ErrNoPrompt          Kind = "no-prompt"
	ErrEnableRejected    Kind = "enable-rejected"
	ErrCommandRejected   Kind = "command-rejected"
	ErrRightsMissing     Kind = "rights-missing"
	ErrIncomplete        Kind = "output-incomplete"
	ErrImplausible       Kind = "output-implausible"
	ErrProofMissing      Kind = "proof-missing"
	ErrPartMissing       Kind = "part-missing"
	ErrTooLarge          Kind = "too-large"
	ErrClosed            Kind = "closed" // the device ended the session
	ErrBusy              Kind = "busy"
	ErrPlatformUnknown   Kind = "platform-unknown"
	ErrNeedsCredential   Kind = "needs-credential"
	ErrCredentialStopped Kind = "credential-stopped"
	ErrNeedsDecision     Kind = "needs-decision"
	ErrForwardingRefused Kind = "forwarding-refused"
)

// Error is one failed step against one device.
type Error struct {
	Device string         // name in the inventory; empty before it is known
	Addr   netip.AddrPort // where we connected
	Step   Step
	Kind   Kind
	Seen   string // last 200 bytes from the device, escaped, secrets masked
	Do     string // one sentence, imperative, for the operator
	Cause  error  `json:"-"` // the library's error, for the log; may be nil
}

// Error tells, in this order, which device, which step, why, what was seen and
// what to do.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Device != "" && e.Addr.IsValid():
		fmt.Fprintf(&b, "%s (%s)", Escape(e.Device), e.Addr)
	case e.Device != "":
		b.WriteString(Escape(e.Device))
	case e.Addr.IsValid():
		b.WriteString(e.Addr.String())
	default:
		b.WriteString("device")
	}
	fmt.Fprintf(&b, " at %s: %s", e.Step, strings.ReplaceAll(string(e.Kind), "-", " "))
	if e.Seen != "" {
		fmt.Fprintf(&b, `; the device said "%s"`, e.Seen)
	}
	if e.Do != "" {
		b.WriteString(". ")
		b.WriteString(e.Do)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrTimedOut) and the like true.
func (e *Error) Is(target error) bool { return target == error(e.Kind) }

// Unwrap gives the library's error.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of err, or "" where it is no device's failure.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return ""
}

// SeenLimit is how much of what a device said an Error keeps, in bytes.
const SeenLimit = 200

// Seen makes the last SeenLimit bytes of what a device said fit for an Error:
// control characters and invalid UTF-8 escaped, the given secrets masked
// (before cutting, so that no half of one remains).
func Seen(text []byte, secrets ...secret.Value) string {
	s := string(text)
	for _, v := range secrets {
		if len(v.Reveal()) >= 2 {
			s = strings.ReplaceAll(s, v.Reveal(), "‹secret›")
		}
	}
	s = strings.TrimSpace(s)
	if len(s) > SeenLimit {
		// From here on it loses half a rune at most: that it was cut is told by its length.
		s = s[len(s)-SeenLimit:]
		for n := 1; n < utf8.UTFMax && !utf8.RuneStart(s[0]); n++ {
			s = s[1:]
		}
	}
	return Escape(s)
}

// Escape makes device text safe for a terminal and a log: line ends, control
// characters, direction marks and invalid UTF-8 become visible escapes.
func Escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case !unicode.IsPrint(r):
			if r < 0x80 {
				fmt.Fprintf(&b, `\x%02x`, r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}
