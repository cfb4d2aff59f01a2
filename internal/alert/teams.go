package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"muster/internal/secret"
)

// teamsMax is how large a message becomes, in bytes. Teams takes about 28 kB, and
// says so only after the workflow has answered 202; others have seen it refuse
// from 21 kB on (the Ruby library msteams_hermes).
const teamsMax = 20_000

// Teams is a receiver that posts Adaptive Cards to a webhook of Workflows
// ("When a Teams webhook request is received").
type Teams struct{ *poster }

// NewTeams makes a receiver that posts to the address of a workflow, which is a
// secret: its signature stands in it.
func NewTeams(name string, address secret.Value, o ChatOptions) (*Teams, error) {
	p, err := newChat(name, "Teams", address, o)
	if err != nil {
		return nil, err
	}
	return &Teams{p}, nil
}

// Deliver posts the message.
func (t *Teams) Deliver(ctx context.Context, m Message) error {
	card, err := teamsMessage(m)
	if err != nil {
		return err
	}
	body, err := toJSON(card)
	if err != nil {
		return err
	}
	return t.post(ctx, m, body, nil)
}

// A card's body are RichTextBlocks, one for each line: their runs know no Markdown
// (Adaptive Cards, TextRun: "Markdown is not supported"), so that a device's text
// needs no escaping and can make neither links nor mentions. A TextBlock would
// read Markdown, for which Teams has no dependable escape.
type (
	teamsPayload struct {
		Type        string            `json:"type"` // message
		Attachments []teamsAttachment `json:"attachments"`
	}
	teamsAttachment struct {
		ContentType string    `json:"contentType"`
		ContentURL  *string   `json:"contentUrl"` // null: the card is in content
		Content     teamsCard `json:"content"`
	}
	teamsCard struct {
		Schema   string            `json:"$schema"`
		Type     string            `json:"type"`
		Version  string            `json:"version"`
		Fallback string            `json:"fallbackText"`
		MSTeams  map[string]string `json:"msteams"`
		Body     []json.RawMessage `json:"body"`
	}
	teamsLine struct {
		Type    string     `json:"type"`
		Spacing string     `json:"spacing,omitempty"`
		Inlines []teamsRun `json:"inlines"`
	}
	teamsRun struct {
		Type   string `json:"type"`
		Text   string `json:"text"`
		Size   string `json:"size,omitempty"`
		Weight string `json:"weight,omitempty"`
		Color  string `json:"color,omitempty"`
		Font   string `json:"fontType,omitempty"`
		Subtle bool   `json:"isSubtle,omitempty"`
	}
)

func teamsMessage(m Message) (teamsPayload, error) {
	subject := linesOf(m.Subject)[0]
	card := teamsCard{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		Fallback: subject, MSTeams: map[string]string{"width": "Full"},
	}
	color := map[string]string{MessageFiring: "Attention", MessageUpdated: "Attention", MessageResolved: "Good"}[m.Event]
	foot := teamsRun{Text: linesOf(m.Event + ", delivery " + m.ID)[0], Size: "Small", Subtle: true}
	// What the frame, the foot and the note of what was left out take is set aside.
	room := teamsMax - 2000 - 2*len(subject) - len(foot.Text)
	add := func(run teamsRun, spacing string) (bool, error) {
		run.Type = "TextRun"
		line, err := toJSON(teamsLine{"RichTextBlock", spacing, []teamsRun{run}})
		if err != nil || len(line)+1 > room {
			return false, err
		}
		room -= len(line) + 1
		card.Body = append(card.Body, line)
		return true, nil
	}
	if _, err := add(teamsRun{Text: subject, Size: "Medium", Weight: "Bolder", Color: color}, ""); err != nil {
		return teamsPayload{}, err
	}
	// list adds lines until there is no more room, and returns how many were left.
	list := func(text string, style func(line string) teamsRun) (left int, err error) {
		lines, spacing := linesOf(text), ""
		for i, line := range lines {
			if strings.TrimSpace(line) == "" {
				spacing = "" // a gap before the next line, as a blank one would be
				continue
			}
			if fits, err := add(style(line), spacing); err != nil || !fits {
				return len(lines) - i, err
			}
			spacing = "None"
		}
		return 0, nil
	}
	left, err := list(m.Text, func(line string) teamsRun { return teamsRun{Text: line} })
	if err != nil {
		return teamsPayload{}, err
	}
	note := ""
	if left > 0 {
		note = fmt.Sprintf("… and %d more lines", left)
	}
	if m.Diff != nil {
		if left, err = list(m.Diff.title()+"\n"+m.Diff.Text, teamsDiffLine); err != nil {
			return teamsPayload{}, err
		}
		if rest := m.Diff.rest(left); rest != "" {
			note = strings.TrimPrefix(note+"; "+rest, "; ")
		}
	}
	room += 1000
	if note != "" {
		if _, err := add(teamsRun{Text: note, Subtle: true}, ""); err != nil {
			return teamsPayload{}, err
		}
	}
	if _, err := add(foot, ""); err != nil {
		return teamsPayload{}, err
	}
	return teamsPayload{"message", []teamsAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: card}}}, nil
}

// teamsDiffLine shows a line of a diff as people know it.
func teamsDiffLine(line string) teamsRun {
	run := teamsRun{Text: line, Font: "Monospace"}
	switch line[0] {
	case '+':
		run.Color = "Good"
	case '-':
		run.Color = "Attention"
	}
	return run
}
