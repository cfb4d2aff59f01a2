package alert

import (
	"context"
	"fmt"
	"strings"

	"muster/internal/secret"
)

// Slack's limits. A text object holds 3,000 characters, a header 150, and what all
// blocks hold together is refused from about 13,000 on (msg_blocks_too_long,
// which no page of theirs names: slackapi/bolt-js#2509). Ours are counted in
// bytes after escaping, which is never less than their characters.
const (
	slackHeader = 150
	slackPart   = 2900
	slackWhole  = 10_000
	slackDiff   = 5_000 // of them, where there is a diff
)

// Slack is a receiver that posts Block Kit messages to an incoming webhook.
type Slack struct{ *poster }

// NewSlack makes a receiver that posts to the address of an incoming webhook,
// which is a secret: whoever has it can write to the channel.
func NewSlack(name string, address secret.Value, o ChatOptions) (*Slack, error) {
	p, err := newChat(name, "Slack", address, o)
	if err != nil {
		return nil, err
	}
	return &Slack{p}, nil
}

// Deliver posts the message.
func (s *Slack) Deliver(ctx context.Context, m Message) error {
	body, err := toJSON(slackMessage(m))
	if err != nil {
		return err
	}
	return s.post(ctx, m, body, nil)
}

type slackText struct {
	Type     string `json:"type"` // plain_text: *, _ and ` of a device's text mean nothing; or mrkdwn
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`    // of plain_text: ":aa:" in a MAC address stays as it is
	Verbatim bool   `json:"verbatim,omitempty"` // of mrkdwn: no links made of names and addresses
}

type slackBlock struct {
	Type     string      `json:"type"` // header, section, context
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

// slackPayload is what an incoming webhook takes: blocks are shown, text stands in
// notifications.
type slackPayload struct {
	Text        string       `json:"text"`
	Markup      bool         `json:"mrkdwn"` // of text
	Blocks      []slackBlock `json:"blocks"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
}

func slackPlain(text string) slackText {
	emoji := false
	return slackText{Type: "plain_text", Text: text, Emoji: &emoji}
}

// slackCode is a text in a box, as configurations are read. Nothing is markup in
// there but the box's own end, which slackBoxed takes out.
func slackCode(text string) slackText {
	return slackText{Type: "mrkdwn", Text: "```\n" + text + "\n```", Verbatim: true}
}

var slackBoxed = strings.NewReplacer("```", "ˋˋˋ")

func slackMessage(m Message) slackPayload {
	subject := slackCut(m.Subject, slackHeader)
	title := slackPlain(subject)
	p := slackPayload{Text: subject, Blocks: []slackBlock{{Type: "header", Text: &title}}}
	add := func(text slackText) { p.Blocks = append(p.Blocks, slackBlock{Type: "section", Text: &text}) }
	most := slackWhole
	if m.Diff != nil {
		most -= slackDiff
	}
	parts, left := slackParts(m.Text, most)
	for _, part := range parts {
		add(slackPlain(part))
	}
	if left > 0 {
		add(slackPlain(fmt.Sprintf("… and %d more lines", left)))
	}
	if m.Diff != nil {
		add(slackPlain(slackCut(m.Diff.title(), slackHeader)))
		parts, left := slackParts(slackBoxed.Replace(m.Diff.Text), slackDiff)
		for _, part := range parts {
			add(slackCode(part))
		}
		if rest := m.Diff.rest(left); rest != "" {
			add(slackPlain(slackCut(rest, slackHeader)))
		}
	}
	p.Blocks = append(p.Blocks, slackBlock{Type: "context", Elements: []slackText{slackPlain(slackCut(m.Event+", delivery "+m.ID, slackHeader))}})
	return p
}

// slackEscapes are the three characters with which Slack's own markup begins
// (mentions, links, entities); nothing else is to be escaped.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackCut escapes a line and keeps of it what fits into so many bytes.
func slackCut(line string, most int) string {
	var b strings.Builder
	for _, r := range strings.Join(linesOf(line), " ") {
		e := slackEscapes.Replace(string(r))
		if b.Len()+len(e)+len("…") > most {
			b.WriteString("…")
			break
		}
		b.WriteString(e)
	}
	return b.String()
}

// slackParts escapes a text and breaks it between lines into parts that fit into
// a block each. What is over most bytes is left out: so many lines are left. A
// broken line has 2,500 bytes at most (500 runes, of five bytes each), so that it
// fits.
func slackParts(text string, most int) (parts []string, left int) {
	var part strings.Builder
	whole := 0
	next := func() {
		if s := strings.Trim(part.String(), "\n"); s != "" {
			parts = append(parts, s)
		}
		part.Reset()
	}
	lines := linesOf(text)
	for i, line := range lines {
		line = slackEscapes.Replace(line)
		if whole += len(line) + 1; whole > most {
			next()
			return parts, len(lines) - i
		}
		if part.Len()+len(line)+1 > slackPart {
			next()
		}
		part.WriteString(line + "\n")
	}
	next()
	return parts, 0
}
