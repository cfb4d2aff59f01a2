package alert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/collector"
)

// What a message tells.
const (
	MessageFiring   = "firing"   // an alert opened
	MessageUpdated  = "updated"  // it grew, or changed
	MessageResolved = "resolved" // it is over
	MessageDigest   = "digest"   // what the day brought
	MessageTest     = "test"     // somebody asked whether messages arrive
)

// Message is one notification as it goes to a receiver; its JSON is the body of
// a webhook. ID is the same on every attempt: a receiver that has seen it can
// drop it.
type Message struct {
	ID      string    `json:"id"`
	Event   string    `json:"event"`
	At      time.Time `json:"at"`
	Subject string    `json:"subject"` // one line
	Text    string    `json:"text"`    // plain text, lines
	Alerts  []Alert   `json:"alerts"`
	Diff    *Diff     `json:"diff,omitempty"` // only for receivers that want it, see WithDiff
}

// textDevices is how many devices a text lists; the JSON has all.
const textDevices = 200

// messageOf tells of one alert.
func messageOf(id, event string, a *Alert, at time.Time) Message {
	m := Message{ID: id, Event: event, At: at.UTC(), Alerts: []Alert{*a}}
	about := collector.Escape(cmp.Or(first(a.Devices), a.Subject))
	if n := len(a.Devices); n > 1 {
		about = fmt.Sprintf("%d devices", n)
		if a.Group && (a.Kind == Unreachable) {
			about = collector.Escape(a.Subject) + ": " + about
		}
	}
	m.Subject = fmt.Sprintf("[muster] %s: %s", a.Kind, about)
	switch event {
	case MessageResolved:
		m.Subject = fmt.Sprintf("[muster] resolved: %s: %s", a.Kind, about)
	case MessageUpdated:
		m.Subject = fmt.Sprintf("[muster] update: %s: %s", a.Kind, about)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", a.Message)
	if len(a.Devices) > 1 {
		b.WriteString("Devices:\n")
		for _, d := range a.Devices[:min(len(a.Devices), textDevices)] {
			fmt.Fprintf(&b, "  %s\n", collector.Escape(d))
		}
		if n := len(a.Devices) - textDevices; n > 0 {
			fmt.Fprintf(&b, "  and %d more\n", n)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Alert %d, %s. See: muster alert list\n", a.ID, a.Kind)
	m.Text = b.String()
	return m
}

// digest tells what a day brought: fresh alerts, ones that are over, and how many
// of before still fire. Nothing fresh and nothing over is no message.
func digest(id string, fresh, over []Alert, open int, at time.Time) (Message, bool) {
	if len(fresh)+len(over) == 0 {
		return Message{}, false
	}
	m := Message{ID: id, Event: MessageDigest, At: at.UTC(), Alerts: append(slices.Clone(fresh), over...),
		Subject: fmt.Sprintf("[muster] digest: %d new, %d over, %d still open", len(fresh), len(over), open)}
	var b strings.Builder
	for _, part := range []struct {
		title  string
		alerts []Alert
	}{{"New", fresh}, {"Over", over}} {
		if len(part.alerts) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", part.title)
		for _, a := range part.alerts {
			fmt.Fprintf(&b, "  %s: %s\n", a.Kind, a.Message)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%d of before still open. See: muster alert list\n", open)
	m.Text = b.String()
	return m, true
}

// delivery is a message on its way to one receiver.
func delivery(m Message, receiver string, alertID int64) (Delivery, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return Delivery{}, fmt.Errorf("write message: %w", err)
	}
	return Delivery{ID: m.ID, Receiver: receiver, Event: m.Event, AlertID: alertID, Body: body, At: m.At, NextAt: m.At}, nil
}
