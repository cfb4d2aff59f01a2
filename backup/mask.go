package backup

import (
	"regexp"
	"strings"

	"muster/collector"
	"muster/inventory/platform"
)

// long is what may be a key or a hash whose keyword was cut off.
var long = regexp.MustCompile(`[A-Za-z0-9+/=$._%-]{32,}`)

// mask hides secrets in what an error, a step or a note quotes of a device, by
// the step in which it was said. What SSH itself says (algorithms, fingerprints
// for people to compare) is public. What is said from a command on may be the end
// of a configuration: see [maskQuotation].
func mask(rules rules, key []byte, step collector.Step, seen string) string {
	switch step {
	case collector.StepResolve, collector.StepConnect, collector.StepKeyExchange, collector.StepHostKey:
		return seen
	case collector.StepLogin, collector.StepPrompt, collector.StepEnable:
		return string(platform.Mask([]byte(seen)))
	}
	return maskQuotation(rules, key, seen)
}

// maskQuotation hides secrets in the end of a longer text with its line ends
// escaped. Where it is as long as a quotation gets, its first line may lack the
// keyword that tells what follows, and goes; of one line alone the first half.
func maskQuotation(rules rules, key []byte, seen string) string {
	if len(seen) >= collector.SeenLimit-4 {
		_, rest, several := strings.Cut(seen, `\n`)
		if !several {
			_, rest, _ = strings.Cut(seen[len(seen)/2:], " ")
		}
		seen = rest
	}
	return maskSaid(rules, key, seen)
}

// maskNote is maskQuotation for what noteOf made.
func maskNote(rules rules, key []byte, note string) string {
	kind, seen, quotes := strings.Cut(note, ": ")
	if !quotes {
		return note
	}
	return kind + ": " + maskQuotation(rules, key, seen)
}

// maskSaid hides secrets in a text with its line ends escaped: its lines are taken
// apart again, so that the platform's rules fit them.
func maskSaid(rules rules, key []byte, said string) string {
	if said == "" {
		return ""
	}
	text := strings.ReplaceAll(said, `\n`, "\n")
	if rules != nil {
		text = string(outwardLine(rules.Redact([]byte(text), key)))
	}
	text = string(outwardLine(platform.Mask([]byte(text))))
	text = long.ReplaceAllString(text, markSecret)
	return strings.ReplaceAll(text, "\n", `\n`)
}

// maskCapture masks what the steps and the notes of a capture quote.
func maskCapture(rules rules, key []byte, c *Capture) {
	for i := range c.Steps {
		c.Steps[i].Seen = mask(rules, key, c.Steps[i].Step, c.Steps[i].Seen)
	}
	for i := range c.Texts {
		c.Texts[i].Note = maskNote(rules, key, c.Texts[i].Note)
	}
}
