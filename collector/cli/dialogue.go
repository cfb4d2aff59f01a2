package cli

import (
	"bytes"
	"regexp"

	"muster/collector"
)

// Dialogue is what a session has to know of a platform to talk to it. It is
// declared here and filled by inventory/platform from a definition; nothing in
// this package knows a platform's name.
type Dialogue struct {
	Login    []Question     // questions between authentication and the first prompt, and inside commands
	Prompt   *regexp.Regexp // the general shape of a prompt, matched on the last line; the session learns the exact one. A group takes the number in it that counts commands
	Enable   Enable
	Paging   []string       // settings of the session that turn paging off, in order; all are sent
	Pager    *regexp.Regexp // what a pager prints, matched on the last line; nil: the platform has none
	PagerKey string         // what answers the pager; " " where empty
	Errors   Errors
	NoEcho   bool   // the device does not echo commands
	Enter    string // what ends a line that is sent over SSH; "\n" where empty
	// AsksLogin: SSH lets everybody in, and the shell asks for user and password, as
	// Telnet does.
	AsksLogin bool
	ExecOnly  bool   // no shell is needed: all commands go out as exec requests
	Exit      string // command that ends the session politely; empty: just close
	Width     int    // columns of the terminal that is asked for; 0: 511
	Settle    int    // ms without bytes after a prompt before it counts as the end of a configuration; 0: 30
}

// Question is something that a device asks and that is no prompt.
type Question struct {
	When *regexp.Regexp // on the last line, or on the text since the last line end that we sent
	Send string         // the answer, a line end is added; empty with Stop
	Stop bool           // do not answer: end the session and report Why
	Why  string
}

// Enable is the step from a user's prompt to the one that may read everything.
type Enable struct {
	When    *regexp.Regexp   // a prompt that lacks the right; nil: there is no such step
	Command string           // "enable"
	Asks    *regexp.Regexp   // the question for the password; may not come
	Fails   []*regexp.Regexp // refusals
}

// Errors are patterns of lines by which a device refuses. They are looked for in
// the first lines of an answer only, since a banner may quote them.
type Errors struct {
	Command []*regexp.Regexp // not understood → command-rejected
	Denied  []*regexp.Regexp // no right → rights-missing
	Right   string           // which right that is, for people; empty: the right to the command
	Busy    []*regexp.Regexp // try later → busy
	Noise   []*regexp.Regexp // lines of the session that are no part of an answer, taken out
}

// Refusal is the kind of failure that the first lines of an answer tell of; empty:
// none.
func (e Errors) Refusal(answer []byte) collector.Kind {
	for line := range bytes.Lines(firstLines(answer)) {
		if k := e.kind(bytes.TrimRight(line, "\n")); k != "" {
			return k
		}
	}
	return ""
}

func (e Errors) kind(line []byte) collector.Kind {
	switch {
	case matches(e.Denied, line):
		return collector.ErrRightsMissing
	case matches(e.Busy, line):
		return collector.ErrBusy
	case matches(e.Command, line):
		return collector.ErrCommandRejected
	}
	return ""
}
