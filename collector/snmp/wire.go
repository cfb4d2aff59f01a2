package snmp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// wire is the socket of a session, under the library. It lets through only what
// answers the question that was asked last, counts bytes, ends a wait when the
// context ends, and keeps the library from what it would do wrong:
//
//   - gosnmp 1.47 accepts an answer with request-id 0 to any request;
//   - gosnmp 1.47 derives keys anew for whatever engine ID an answer names. We
//     give it keys, not passwords, so it would derive them from nothing, and
//     anybody could sign for a made-up engine;
//   - gosnmp 1.47 discards Reports in clear as "not authentic" once it knows the
//     engine, so a wrong user looks like silence.
type wire struct {
	net.Conn
	pace    func() error  // waits until a packet may be sent; nil: at once
	timeout time.Duration // for an answer, after pace

	version  int    // of the messages let through
	engineID []byte // v3: of the answers let through

	msgID, requestID uint32 // of the question asked last

	bytes, maxBytes int64
	strays          int // datagrams dropped since the last question

	mu          sync.Mutex // guards what follows and every deadline set
	interrupted bool       // no wait may begin until resume
}

var errTooMuch = errors.New("more bytes than a session may bring")

// reportError is a Report in clear: the engine did not process the question.
type reportError struct {
	report      report
	engineID    []byte
	boots, time uint32
}

func (e *reportError) Error() string { return fmt.Sprintf("report %s", e.report) }

// Write notes which answer is waited for and sends.
func (w *wire) Write(p []byte) (int, error) {
	if m, ok := peek(p); ok {
		w.msgID, w.requestID = m.msgID, m.requestID
	}
	w.strays = 0
	if w.pace != nil {
		if err := w.pace(); err != nil {
			return 0, err
		}
		// The deadline was set before; the agent is owed all of it.
		if err := w.SetDeadline(time.Now().Add(w.timeout)); err != nil {
			return 0, err
		}
	}
	return w.Conn.Write(p)
}

// Read waits for the answer. What answers another question, or comes from
// another engine, is dropped; what cannot be read at all is left to the library,
// which says so at once.
func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		if err != nil {
			return 0, err
		}
		w.bytes += int64(n)
		if w.bytes > w.maxBytes {
			return 0, errTooMuch
		}
		m, ok := peek(p[:n])
		if !ok {
			return n, nil
		}
		switch {
		case m.version != w.version:
		case m.version != 3:
			if m.pdu == pduResponse && m.requestID == w.requestID {
				return n, nil
			}
		case m.msgID != w.msgID:
		case m.pdu == pduReport && m.flags&flagAuthenticated == 0:
			return 0, &reportError{m.report, bytes.Clone(m.engineID), m.boots, m.time}
		case bytes.Equal(m.engineID, w.engineID):
			return n, nil
		}
		w.strays++
	}
}

// SetDeadline sets the deadline unless the wire was interrupted: the library
// looks at its context before it sets the next deadline, not after.
func (w *wire) SetDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupted {
		t = time.Unix(1, 0)
	}
	return w.Conn.SetDeadline(t)
}

// interrupt ends a wait that is under way, and all later ones until resume.
func (w *wire) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = true
	_ = w.Conn.SetDeadline(time.Unix(1, 0)) // fails on a closed socket only, where nobody waits
}

// resume allows waits again.
func (w *wire) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = false
}
