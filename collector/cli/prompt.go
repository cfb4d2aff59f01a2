package cli

import (
	"bytes"
	"regexp"
	"strings"
)

// prompt is the one prompt of one device, learned at login. A general pattern
// takes a line of a banner or a configuration for the end of the answer; this
// one only the device's own: what it begins with, a mode in parentheses that may
// come and go, how it ends.
type prompt struct {
	line string // as learned, without blanks at its end
	base string // before the modes
	end  string // the last character
	gap  bool   // a blank stands behind it: without, a line that only begins like the prompt was cut there
	name string // of the device
	// counts: digits stand between base and end that count commands, so they are
	// others each time.
	counts bool
}

// promptEnds are the characters that a prompt may end in.
const promptEnds = "#>$%]:"

var (
	modes    = regexp.MustCompile(`(?: ?\([^()]{1,64}\))+$`)
	hostPart = regexp.MustCompile(`[\w][\w.\-]*`)
)

// learn makes a prompt of the line that showed it.
func learn(line []byte) prompt {
	p := prompt{line: strings.TrimRight(string(line), " ")}
	if p.line == "" {
		return p
	}
	p.gap = len(p.line) < len(line)
	p.base = p.line
	if last := p.line[len(p.line)-1]; strings.IndexByte(promptEnds, last) >= 0 {
		p.base, p.end = p.line[:len(p.line)-1], string(last)
	}
	p.base = strings.TrimRight(p.base, " ")
	p.base = modes.ReplaceAllString(p.base, "")
	p.name = hostName(p.base)
	if !p.is(line) {
		p.base, p.end, p.gap = string(line), "", false
	}
	return p
}

// learnAs is learn for a platform whose prompts have a shape. Its group, if there
// is one, takes the number by which the prompt counts commands ("sw1.4 # ").
func learnAs(line []byte, shape *regexp.Regexp) prompt {
	p := learn(line)
	if shape == nil || shape.NumSubexp() != 1 {
		return p
	}
	m := shape.FindSubmatchIndex(line)
	if m == nil || m[2] < 0 || countOf(line[m[2]:]) != m[3]-m[2] {
		return p
	}
	counting := p
	counting.base, counting.counts = string(line[:m[2]]), true
	if words := hostPart.FindAllString(counting.base, -1); len(words) > 0 {
		counting.name = strings.TrimRight(words[len(words)-1], ".")
	}
	if !counting.is(line) {
		return p
	}
	return counting
}

// countOf is the number of digits that line begins with.
func countOf(line []byte) int { return len(line) - len(bytes.TrimLeft(line, "0123456789")) }

// hostName is the device's name in "name", "user@name", "user@domain@name",
// "RP/0/CPU0:name", "[user@name]", "<name>" and "HRP_M<name>".
func hostName(base string) string {
	if i := strings.LastIndexAny(base, "@<"); i >= 0 {
		return hostPart.FindString(base[i+1:])
	}
	words := hostPart.FindAllString(base, -1)
	if len(words) == 0 {
		return ""
	}
	if strings.Contains(base, ":") {
		return words[len(words)-1]
	}
	return words[0]
}

// length is the length of the prompt at the start of line, 0 where there is
// none. What follows it is a command, or a log message that broke in.
func (p prompt) length(line []byte) int {
	if p.line == "" || !bytes.HasPrefix(line, []byte(p.base)) {
		return 0
	}
	n := len(p.base)
	if p.counts {
		digits := countOf(line[n:])
		if digits == 0 {
			return 0
		}
		n += digits
	}
	for n < len(line) {
		rest := line[n:]
		open := 0
		if rest[0] == ' ' {
			open = 1
		}
		if open >= len(rest) || rest[open] != '(' {
			break
		}
		end := bytes.IndexByte(rest, ')')
		if end < 0 || end > 66 {
			return 0
		}
		n += end + 1
	}
	if p.end != "" {
		if n < len(line) && line[n] == ' ' {
			n++
		}
		if n >= len(line) || line[n] != p.end[0] {
			return 0
		}
		n++
	}
	switch {
	case n < len(line) && line[n] == ' ':
		n++
	case p.gap:
		return 0
	}
	return n
}

// is reports whether the whole line is the prompt.
func (p prompt) is(line []byte) bool { n := p.length(line); return n > 0 && n == len(line) }

// anyPrompt is the shape of a prompt where the dialogue gives none.
var anyPrompt = regexp.MustCompile(`^[^\s#>$%]\S{0,62}(?: \([^()]{1,64}\))? ?[#>$%] ?$`)
