package platform

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"muster/collector"
	"muster/collector/cli"
	"muster/collector/snmp"
)

// Match is what Identify thinks an agent is.
type Match struct {
	Platform *Definition // nil: nothing matched
	// Certain is false where the evidence proves nothing by itself (Net-SNMP's
	// sysObjectID, a free-text sysDescr): a proof over SSH has to confirm it.
	Certain bool
	Reason  string // "sysObjectID 1.3.6.1.4.1.9.1.…", for people
}

// provesNothing reports whether a sysObjectID is one that anything may answer:
// none at all, or Net-SNMP's own for the system that it was built on
// (1.3.6.1.4.1.8072.3.2.10 is Linux, .8 FreeBSD, …).
func provesNothing(objectID string) bool {
	return objectID == "" || objectID == "0.0" || hasPrefix(objectID, "1.3.6.1.4.1.8072.3.2")
}

// hasPrefix compares whole numbers: 1.3.6.1.4.1.9.1 is no prefix of …9.12.
func hasPrefix(oid, prefix string) bool {
	return oid == prefix || strings.HasPrefix(oid, prefix+".")
}

// Asks lists OIDs beyond the system group whose values Identify wants.
func (s *Set) Asks() []string {
	var out []string
	for d := range s.each {
		for _, id := range d.r().identify {
			if id.oid != "" && !slices.Contains(out, id.oid) {
				out = append(out, id.oid)
			}
		}
	}
	return out
}

// Identify tells the platform by what SNMP said: the longest sysObjectID prefix,
// then sysDescr, then values (OID → text) of Asks.
func (s *Set) Identify(sys snmp.System, values map[string]string) Match {
	oid := strings.TrimPrefix(sys.ObjectID, ".")
	var best Match
	var bestRank int
	var also *Definition
	for d := range s.each {
		for _, id := range d.r().identify {
			m, rank := id.snmp(oid, sys.Descr, values)
			switch {
			case rank == 0:
			case rank > bestRank:
				best, bestRank, also = m, rank, nil
				best.Platform = d
			case rank == bestRank && best.Platform != d:
				also = d
			}
		}
	}
	switch {
	case also != nil:
		return Match{Reason: fmt.Sprintf("%s fits %s and %s alike", best.Reason, best.Platform.Name, also.Name)}
	case best.Platform == nil && provesNothing(oid):
		return Match{Reason: "the agent names no platform"}
	case best.Platform == nil:
		return Match{Reason: fmt.Sprintf("no platform is known for sysObjectID %s and this sysDescr", collector.Escape(oid))}
	}
	return best
}

// snmp tells how well the entry fits, 0: not at all.
func (id *identity) snmp(oid, descr string, values map[string]string) (Match, int) {
	if id.command != "" && id.objectID == "" && id.descr == nil && id.oid == "" {
		return Match{}, 0
	}
	var m Match
	var reasons []string
	rank := 0
	if id.objectID != "" {
		if provesNothing(oid) || !hasPrefix(oid, id.objectID) {
			return m, 0
		}
		m.Certain = true
		rank += (1 + strings.Count(id.objectID, ".")) << 4
		reasons = append(reasons, "sysObjectID "+collector.Escape(oid))
	}
	if id.notDescr != nil && id.notDescr.MatchString(descr) {
		return m, 0
	}
	if id.descr != nil {
		if !id.descr.MatchString(descr) {
			return m, 0
		}
		rank += 2
		reasons = append(reasons, "sysDescr")
	}
	if id.oid != "" {
		v, ok := values[id.oid]
		if !ok || !id.value.MatchString(v) {
			return m, 0
		}
		m.Certain = true
		rank++
		reasons = append(reasons, "the value of "+id.oid)
	}
	m.Reason = strings.Join(reasons, " and ")
	return m, rank
}

// Talker is what a proof and a capture need of a session; *cli.Session is one.
type Talker interface {
	Run(ctx context.Context, command string) (cli.Output, error)
	Exec(ctx context.Context, command string) (cli.Output, error)
	File(ctx context.Context, path string) ([]byte, error)
}

var (
	// anyPrompt is the shape of the prompts of all the sheets: core1#, R1(config)#,
	// ops@web1:~$, admin@mx1>, FGT-01 (global) #, [admin@MikroTik] >, <sw1>,
	// HRP_M<fw1>, * sw1.3 # with a change that is not saved.
	// What a session really waits for is the one prompt that it has learned.
	anyPrompt = regexp.MustCompile(`^(?:(?:[!*] ?){0,2}[<\[(]?[\w.\-][\w.\-@:~/()\[\]+< ]{0,120}[#>$%\]]|[#$%>]) ?$`)
	anyKey    = regexp.MustCompile(`(?i)press any key to continue`)
	anyPager  = regexp.MustCompile(`^ {0,2}(?:<?-{1,4} ?\(?(?i:(?:less|more)(?: \d+%)?)\)? ?-{1,4}>?(?:, next page: Space, .{0,60})?|lines \d+-\d+|Press <SPACE> to continue or <Q> to quit:?|-- (?:MORE --, next page: .{1,60}|\[Q quit\|.{1,60}\])|More: <space>, .{1,60}|\(END\)|:) ?$`)
)

// ProbeDialogue is the dialogue to open a session with at a device whose
// platform is not known: it takes every definition's prompts and pagers, and sends
// nothing but what Prove sends, and a line end where a notice waits for any key.
func (s *Set) ProbeDialogue() cli.Dialogue {
	s.probe.Do(func() {
		prompts, pagers := []*regexp.Regexp{anyPrompt}, []*regexp.Regexp{anyPager}
		for d := range s.each {
			prompts = append(prompts, d.r().cli.prompt)
			pagers = append(pagers, d.r().cli.pager)
		}
		s.prompt, s.pager = oneOfAll(prompts), oneOfAll(pagers)
	})
	return cli.Dialogue{Prompt: s.prompt, Pager: s.pager, PagerKey: " ", Login: []cli.Question{
		{When: anyKey, Send: "", Why: "a notice in front of the first prompt"},
	}}
}

// oneOfAll matches what one of the patterns does; nil ones match nothing. It has
// no groups, since they would count over all patterns.
func oneOfAll(list []*regexp.Regexp) *regexp.Regexp {
	seen := map[string]bool{}
	var all []string
	for _, re := range list {
		if re == nil || seen[re.String()] {
			continue
		}
		seen[re.String()] = true
		tree, err := syntax.Parse(re.String(), syntax.Perl)
		if err != nil {
			continue // regexp.Compile took the same text
		}
		all = append(all, ungrouped(tree).String())
	}
	return regexp.MustCompile("(?:" + strings.Join(all, ")|(?:") + ")")
}

func ungrouped(re *syntax.Regexp) *syntax.Regexp {
	for i, sub := range re.Sub {
		re.Sub[i] = ungrouped(sub)
	}
	if re.Op == syntax.OpCapture {
		return re.Sub[0]
	}
	return re
}

// Prove runs the proof commands of the definitions that have one, at most once
// each, and returns the definition whose proof matched (nil: none), with the
// reason. All commands are on the allow-list.
//
// A command that the device rejects proves nothing and the next is tried; an
// error ends the proof and is the session's.
func (s *Set) Prove(ctx context.Context, t Talker) (Match, error) {
	answers := map[string][]byte{}
	for _, command := range s.proofCommands() {
		out, err := t.Run(ctx, command)
		switch collector.KindOf(err) {
		case collector.ErrCommandRejected, collector.ErrRightsMissing:
			err = nil
		}
		if err != nil {
			return Match{}, fmt.Errorf("prove the platform with %q: %w", command, err)
		}
		answers[command] = out.Text
		if m := s.proved(command, answers[command]); m.Platform != nil {
			return m, nil
		}
	}
	return Match{Reason: "no platform was recognised by what its commands answer"}, nil
}

// proofCommands are the commands of all proofs, those that prove the most
// platforms first and files last: a file of the host tells what the host is, which
// says nothing of the router that runs on it. The very last is what every host has,
// the product that was built on another system included.
func (s *Set) proofCommands() []string {
	count := map[string]int{}
	var out []string
	for d := range s.each {
		for _, id := range d.r().identify {
			if id.command == "" {
				continue
			}
			if count[id.command]++; count[id.command] == 1 {
				out = append(out, id.command)
			}
		}
	}
	file := func(command string) int {
		switch {
		case command == "cat /etc/os-release":
			return 2
		case strings.HasPrefix(command, "cat "):
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Or(file(a)-file(b), count[b]-count[a]) })
	return out
}

// proved looks for a definition whose proof is a line of the answer, and that has
// no line of a sibling's.
func (s *Set) proved(command string, answer []byte) Match {
	lines := splitLines(answer)
	holds := func(re *regexp.Regexp) bool {
		return re != nil && slices.ContainsFunc(lines, func(l line) bool { return re.Match(l.of(answer)) })
	}
	for d := range s.each {
		for _, id := range d.r().identify {
			if id.command == command && holds(id.proof) && !holds(id.notDescr) {
				return Match{Platform: d, Certain: true, Reason: fmt.Sprintf("the answer to %q", command)}
			}
		}
	}
	return Match{}
}
