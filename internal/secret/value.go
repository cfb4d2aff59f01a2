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
)

// hidden is what a Value prints as, wherever it is printed.
const hidden = "‹hidden›"

// Value is a secret text. It prints as ‹hidden› under every verb, in JSON, YAML
// and logs; only Reveal gives the text. The zero Value is "no secret".
type Value struct{ text string }

// New makes a Value of text.
func New(text string) Value { return Value{text: text} }

// Reveal returns the text itself. Whoever calls it answers for where it goes:
// a wire or a sealed store, never an error, a log or a page.
func (v Value) Reveal() string { return v.text }

// Empty reports whether there is no secret.
func (v Value) Empty() bool { return v.text == "" }

// Equal reports whether two secrets are the same text.
func (v Value) Equal(w Value) bool { return v.text == w.text }

// Format implements fmt.Formatter, so that no verb can print the text.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String implements fmt.Stringer.
func (v Value) String() string { return hidden }

// MarshalText implements encoding.TextMarshaler for JSON and YAML.
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(hidden) }
