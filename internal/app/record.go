package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"muster/collector"
	"muster/internal/api"
	"muster/inventory/platform"
)

// Record is a dialogue with a device, to be looked at and played without it.
// Secrets are hidden in it; names and addresses are not.
type Record struct {
	Version  string // of muster
	Device   string
	Platform string // empty: not known
	Steps    []collector.StepTime
	Said     []api.Said // the first is the prompt
}

// Write writes a record in the form in which the tests of Oxidized keep theirs
// (init_prompt, commands), which simulators play, with the steps as comments.
func (r Record) Write(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# A dialogue with %s, by muster %s.\n", r.Device, r.Version)
	b.WriteString("# Secrets are hidden; names and addresses of your network are not. Read it before you send it.\n#\n")
	for _, s := range r.Steps {
		mark := "ok"
		if s.Kind != "" {
			mark = string(s.Kind)
		}
		fmt.Fprintf(b, "# %-12s %s %s\n", s.Step, mark, strings.TrimSpace(collector.Escape(s.Detail)))
		if s.Seen != "" {
			fmt.Fprintf(b, "#              seen: %s\n", collector.Escape(s.Seen))
		}
	}
	fmt.Fprintf(b, "#\nplatform: %s\n", quoted(r.Platform))
	prompt := ""
	if len(r.Said) > 0 && r.Said[0].Command == "" {
		prompt = r.Said[0].Answer
	}
	fmt.Fprintf(b, "init_prompt: %s\ncommands:\n", quoted(prompt))
	for _, s := range r.Said {
		if s.Command != "" {
			fmt.Fprintf(b, "  - %s: %s\n", quoted(s.Command+"\n"), quoted(s.Command+"\n"+s.Answer+prompt))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quoted is s as YAML: a text in JSON is one.
func quoted(s string) string {
	b := &strings.Builder{}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// ReadRecord reads what Write wrote.
func ReadRecord(file string) (Record, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return Record{}, refuse("the record cannot be read: %v", err)
	}
	var v struct {
		Platform string              `yaml:"platform"`
		Prompt   string              `yaml:"init_prompt"`
		Commands []map[string]string `yaml:"commands"`
	}
	if err := yaml.Unmarshal(src, &v); err != nil || len(v.Commands) == 0 {
		return Record{}, refuse("%s is no record of a dialogue; muster doctor DEVICE --bundle FILE writes one", file)
	}
	r := Record{Platform: v.Platform, Said: []api.Said{{Answer: v.Prompt}}}
	for _, c := range v.Commands {
		for command, answer := range c {
			_, answer, _ = strings.Cut(answer, "\n") // the echo
			r.Said = append(r.Said, api.Said{Command: strings.TrimSuffix(command, "\n"), Answer: strings.TrimSuffix(answer, v.Prompt)})
		}
	}
	return r, nil
}

// Play holds a recorded dialogue against a definition, as a backup would, and
// says what it came to. A command that was sent more than once is answered in the
// order of the record: two readings of a text need not be alike.
func (r Record) Play(d *platform.Definition) ([]string, error) {
	answers := map[string][]string{}
	for _, s := range r.Said {
		answers[s.Command] = append(answers[s.Command], s.Answer)
	}
	texts := map[string][]byte{}
	var said []string
	for _, p := range d.Parts {
		readings, _, err := p.Readings(texts)
		if err != nil {
			return said, err
		}
		for _, reading := range readings {
			commands := []string{reading.Source}
			switch {
			case p.Via == platform.ViaFile:
				commands[0] = "sftp " + reading.Source
			case reading.Else != "":
				commands = append(commands, reading.Else)
			}
			for _, command := range commands {
				left := answers[command]
				if len(left) == 0 {
					said = append(said, fmt.Sprintf("%s: %q is not in the record", reading.Name, command))
					continue
				}
				answer := left[0]
				answers[command] = left[1:]
				why := d.Dialogue().Errors.Refusal([]byte(answer))
				if why == "" {
					texts[reading.Name] = []byte(answer)
					said = append(said, fmt.Sprintf("%s: %d bytes", reading.Name, len(answer)))
					break
				}
				said = append(said, fmt.Sprintf("%s: the device refused %q: %s", reading.Name, command, why))
			}
		}
	}
	proofs, err := d.Judge(texts, 0)
	for _, p := range proofs {
		said = append(said, fmt.Sprintf("%s: %s (%s)", p.Part, p.Rule, p.Seen))
	}
	var e *collector.Error
	if errors.As(err, &e) {
		return said, refuse("the capture would wait in quarantine: %s. %s", e.Kind, e.Do)
	}
	return append(said, "The capture would become a version."), err
}
