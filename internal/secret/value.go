// Package secret keeps what must not be read: the master key, values sealed with
// it, and [Value], the type that every password, community and private key has
// from the moment it is read until the moment it goes out on a wire.
//
// secret imports nothing of ours, so that everybody may import it.
package secret

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// hidden is what a Value prints as, wherever it is printed.
const hidden = "‹hidden›"

// Value is a secret text. It prints as ‹hidden› under every verb, in JSON, YAML
// and logs; only Reveal gives the text. The zero Value is "no secret". Values of
// the same text are equal.
//
// The text is behind a handle: in a field that is not exported fmt asks no method
// and prints what is there, which is an address then.
type Value struct{ text unique.Handle[string] }

// New makes a Value of text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{text: unique.Make(text)}
}

// Reveal returns the text itself. Whoever calls it answers for where it goes:
// a wire or a sealed store, never an error, a log or a page.
func (v Value) Reveal() string {
	if v.Empty() {
		return ""
	}
	return v.text.Value()
}

// Empty reports whether there is no secret.
func (v Value) Empty() bool { return v == Value{} }

// Equal reports whether two secrets are the same text.
func (v Value) Equal(w Value) bool { return v == w }

// Format implements fmt.Formatter, so that no verb can print the text.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String implements fmt.Stringer.
func (v Value) String() string { return hidden }

// MarshalText implements encoding.TextMarshaler for JSON and YAML.
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(hidden) }
