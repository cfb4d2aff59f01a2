package snmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// why says what kind of trouble a request met, as far as the next step hangs on
// it: ask again, ask for less, ask one by one, give up.
type why int

const (
	silent   why = iota // nobody answered in time
	refused             // ICMP: nothing listens there
	noRoute             // the kernel could not send, or ICMP: unreachable
	garbled             // an answer that cannot be read, or makes no sense
	unsigned            // an answer that the user's key did not sign
	status              // an answer with an error-status
	rejected            // a Report: the user, the level or a key is wrong
	renewed             // a Report or silence of keys: the engine began anew
	tooMuch             // the session's bytes are used up
	unusable            // the credential cannot be used at all
)

// trouble is why one request brought nothing.
type trouble struct {
	why    why
	status gosnmp.SNMPError // of why status
	index  int              // error-index of why status; 0: none
	report report           // of why rejected and renewed
	strays int              // datagrams that answered something else
	err    error
}

// passing reports whether asking once more may bring an answer.
func (t *trouble) passing() bool { return t.why == silent || t.why == garbled || t.why == unsigned }

// troubleOf sorts an error of the library or the socket.
func troubleOf(err error) *trouble {
	t := &trouble{why: garbled, err: shortened(err)}
	var r *reportError
	var timeout net.Error
	switch {
	case errors.As(err, &r):
		t.report = r.report
		switch r.report {
		case reportEngine, reportTime:
			t.why = renewed
		case reportUser, reportDigest, reportLevel, reportDecryption:
			t.why = rejected
		}
	case errors.Is(err, errTooMuch):
		t.why = tooMuch
	case errors.Is(err, syscall.ECONNREFUSED):
		t.why = refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EPERM),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EINVAL),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ENETDOWN):
		t.why = noRoute
	case errors.Is(err, gosnmp.ErrMaxRetriesExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &timeout) && timeout.Timeout():
		t.why = silent
	case strings.Contains(err.Error(), "is not authentic"): // gosnmp has no value for it
		t.why = unsigned
	case errors.Is(err, gosnmp.ErrNotInTimeWindow), errors.Is(err, gosnmp.ErrUnknownEngineID):
		t.why = renewed
	case errors.Is(err, gosnmp.ErrUnknownUsername):
		t.why, t.report = rejected, reportUser
	case errors.Is(err, gosnmp.ErrWrongDigest):
		t.why, t.report = rejected, reportDigest
	case errors.Is(err, gosnmp.ErrUnknownSecurityLevel):
		t.why, t.report = rejected, reportLevel
	case errors.Is(err, gosnmp.ErrDecryption):
		t.why, t.report = rejected, reportDecryption
	}
	return t
}

// shortened cuts what gosnmp 1.47 appends to some errors: a dump of the stacks
// of all goroutines.
func shortened(err error) error {
	text := err.Error()
	if i := strings.Index(text, " Stack:"); i >= 0 {
		return errors.New(text[:min(i, 200)])
	}
	if len(text) > 300 {
		return errors.New(text[:300] + "…")
	}
	return err
}

// errorAt says what t means for the operator.
func (s *Session) errorAt(step collector.Step, t *trouble) *collector.Error {
	e := &collector.Error{Device: s.target.Device, Addr: s.target.Addr, Step: step, Cause: t.err}
	name := s.target.Credential.Name
	v3 := s.target.Credential.Kind == collector.KindSNMPv3
	switch t.why {
	case silent:
		e.Kind = collector.ErrTimedOut
		e.Do = s.doAboutSilence(step, v3, name)
		if errors.Is(t.err, errTableTime) {
			e.Seen = errTableTime.Error()
			e.Do = "Look at the load of the device, and read it again later"
		} else if t.strays > 0 {
			e.Seen = fmt.Sprintf("%d datagrams that answer no question of ours", t.strays)
		}
	case refused:
		e.Kind = collector.ErrRefused
		e.Do = "Start the SNMP agent there, or correct the port: nothing listens on it"
	case noRoute:
		e.Kind = collector.ErrUnreachable
		e.Do = fmt.Sprintf("Check the route to %s, the own address to ask from, and the firewall of this machine", s.target.Addr.Addr())
	case tooMuch:
		e.Kind = collector.ErrTooLarge
		e.Do = "See which table of the agent never ends"
	case unusable:
		e.Kind = collector.ErrNeedsCredential
		e.Do = fmt.Sprintf("Correct credential %s: %v", name, t.err)
	case rejected:
		e.Kind = collector.ErrLoginRejected
		e.Seen = string(t.report)
		e.Do = map[report]string{
			reportUser:       "Create the SNMPv3 user of credential " + name + " on the device, or correct its user name",
			reportDigest:     "Correct the authentication password or protocol of credential " + name,
			reportLevel:      "Give credential " + name + " the authentication and privacy that the device asks of this user",
			reportDecryption: "Correct the privacy password or protocol of credential " + name,
		}[t.report]
	case unsigned:
		e.Kind = collector.ErrImplausible
		e.Seen = "an answer that the key of the user did not sign"
		e.Do = fmt.Sprintf("Find out what else answers for %s", s.target.Addr.Addr())
	case renewed:
		e.Kind = collector.ErrClosed
		e.Seen = string(t.report)
		e.Do = "Ask again: the SNMPv3 engine began anew during the session"
	case status:
		e.Kind = collector.ErrIncomplete
		e.Seen = "error-status " + t.status.String()
		e.Do = "See the agent's log: it could not answer, and others of its tables are right"
		if t.status == gosnmp.NoAccess || t.status == gosnmp.AuthorizationError {
			e.Kind = collector.ErrRightsMissing
			e.Do = "Widen the view that the device gives credential " + name
		}
	default:
		e.Kind = collector.ErrImplausible
		e.Do = "Update the agent, or look at what it sends: it breaks the protocol"
		if t.report != "" {
			e.Seen = string(t.report)
		} else if t.err != nil {
			e.Seen = collector.Seen([]byte(t.err.Error()), s.target.Credential.Community)
		}
	}
	return e
}

// doAboutSilence tells what usually lies behind no answer. An agent says nothing
// to a wrong community, nor to an address that its access list does not hold.
func (s *Session) doAboutSilence(step collector.Step, v3 bool, name string) string {
	from := "this machine"
	if s.wire != nil {
		if host, _, err := net.SplitHostPort(s.wire.LocalAddr().String()); err == nil {
			from = host
		}
	}
	switch {
	case step == collector.StepEngine:
		return fmt.Sprintf("Check that SNMPv3 is enabled there and that its access list admits %s: agents ignore askers outside it", from)
	case step == collector.StepSystem && v3:
		return fmt.Sprintf("Check the passwords of credential %s and the access list for %s: the engine told its ID and then ignored the user", name, from)
	case step == collector.StepSystem:
		return fmt.Sprintf("Check the community of credential %s and that the agent's access list admits %s: agents ignore askers outside it", name, from)
	}
	return "Read the device again later: the agent stopped answering"
}
