package backup

import (
	"bytes"
	"fmt"

	"muster/collector"
	"muster/inventory/platform"
)

// What may differ where a device calls itself by another name: renaming one
// changes a handful of lines.
const (
	renamedLines = 5
	renamedShare = 10 // per cent of its lines
)

// swapped finds a text that is another device's: it calls itself by another name
// than the newest version, and much else is not as it was either. Cloned devices
// share their host key, so that nothing before this notices an address that moved
// from one to the other. Nobody must restore the one from the other's text;
// whether it was renamed and set up anew is for a person to say.
func swapped(rules rules, device string, previous *VersionTexts, parts []VersionPart) *collector.Error {
	if previous == nil {
		return nil
	}
	was, now := hostname(rules, previous.Parts), hostname(rules, parts)
	if was == "" || now == "" || was == now {
		return nil
	}
	added, removed, _ := between(previous.Parts, parts)
	lines := 0
	for _, p := range parts {
		lines += bytes.Count(p.Redacted, []byte("\n"))
	}
	if n := max(added, removed); n <= renamedLines || n*100 <= lines*renamedShare {
		return nil
	}
	return &collector.Error{Device: device, Step: collector.StepJudge, Kind: collector.ErrImplausible,
		Do: fmt.Sprintf("It calls itself %s, version %d was of %s, and %d of its %d lines are new. Check which device answers there; accept it only if this one was renamed and set up anew",
			collector.Escape(now), previous.Number, collector.Escape(was), added, lines)}
}

// hostname is the name that the texts of a version give to their device.
func hostname(rules rules, parts []VersionPart) string {
	texts := map[string][]byte{}
	for _, p := range parts {
		if p.Role == platform.RoleRunning {
			texts[p.Part] = p.Redacted
		}
	}
	for _, f := range rules.TextFacts(texts) {
		if f.Name == "hostname" {
			return f.Value
		}
	}
	return ""
}
