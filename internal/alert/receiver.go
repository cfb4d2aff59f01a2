package alert

import (
	"context"
	"log/slog"
)

// Receiver is where messages go. Deliver returns nil when the message was taken
// for good; it may be called again with the same ID. It ends with its context,
// and its error says what was seen, without a secret. A *someError is of a message
// that was taken, though not for everybody.
type Receiver interface {
	Name() string
	Deliver(ctx context.Context, m Message) error
}

// someError says that a message was taken, and for whom it was not: another attempt
// would only repeat it for the others.
type someError struct{ error }

func (e *someError) Unwrap() error { return e.error }

// Log is a receiver that writes a line per alert.
type Log struct {
	name string
	log  *slog.Logger
}

// NewLog makes a receiver that writes to a log; nil: slog.Default.
func NewLog(name string, log *slog.Logger) *Log {
	if log == nil {
		log = slog.Default()
	}
	return &Log{name, log}
}

// Name is the receiver's name in the settings.
func (l *Log) Name() string { return l.name }

// Deliver writes the lines.
func (l *Log) Deliver(ctx context.Context, m Message) error {
	if len(m.Alerts) == 0 {
		l.log.InfoContext(ctx, "message sent", "task", l.name, "kind", m.Event, "seen", m.Subject)
	}
	for _, a := range m.Alerts {
		level, msg := slog.LevelWarn, "alert opened"
		switch {
		case a.State == Resolved:
			level, msg = slog.LevelInfo, "alert resolved"
		case m.Event == MessageUpdated:
			msg = "alert updated"
		}
		l.log.Log(ctx, level, msg, "kind", string(a.Kind), "device", a.Devices, "alert", a.ID, "seen", a.Message)
	}
	return nil
}
