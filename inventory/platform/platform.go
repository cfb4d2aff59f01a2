// Package platform reads platform definitions and is the one evaluator of their
// rules: how a platform is recognised, logged in to, read, judged and redacted.
//
// A definition is data (YAML under definitions/, and a user's own under
// platforms/ of the data directory). No platform's name stands in Go: where a
// vendor needs something new, the evaluator learns it for all.
package platform

import (
	"context"
	"errors"
	"io/fs"

	"muster/collector"
	"muster/collector/cli"
	"muster/collector/snmp"
)

// EvidenceKind says how well a definition is proved.
type EvidenceKind string

// The kinds of evidence, from the strongest on.
const (
	Recorded EvidenceKind = "recorded" // played against recordings of real devices
	Lab      EvidenceKind = "lab"      // run against real software in a lab
	Declared EvidenceKind = "declared" // from documents only; no session without the scope's `declared: allow`
)

// Evidence is why a definition may be trusted, and how far.
type Evidence struct {
	Kind   EvidenceKind `json:"kind"`
	Source string       `json:"source"`
}

// Restorable says whether the running config can be loaded back as it is.
type Restorable struct {
	Text string `json:"text"` // yes, partly, no
	Why  string `json:"why"`  // and what is missing
}

// Role is what a part of a backup is for.
type Role string

// The roles of parts.
const (
	RoleRunning Role = "running" // the configuration in force; first part of a version
	RoleStartup Role = "startup" // what the next boot loads; serves `unsaved`, never makes a version
	RoleExtra   Role = "extra"   // another text that belongs to the version
	RoleWitness Role = "witness" // read for a proof or a fact only, kept with the capture, never in a version
)

// Via is the way that a part is read.
type Via string

// The ways.
const (
	ViaShell Via = "shell" // a command at the prompt
	ViaExec  Via = "exec"  // an exec request on a channel of its own
	ViaFile  Via = "file"  // a file by SFTP
)

// Part is one text of a backup, in the order in which a session reads them.
type Part struct {
	Name     string // "running", "startup", "daemons", …; unique within the definition
	Role     Role
	Via      Via
	Source   string // the command, or the file's path
	Optional bool   // true: a refusal or a missing file is noted, not a failure
}

// Definition is one platform, compiled. It is read-only and safe for concurrent use.
type Definition struct {
	Name       string
	Vendor     string
	Family     string
	Evidence   Evidence
	Restorable Restorable
	Parts      []Part
	// Revision is a digest of the rules that judge, normalise and redact. Texts
	// that were derived under another one are derived again before comparing.
	Revision string
	// Origin is "built in" or the path of the user's file.
	Origin string
}

// HasParts reports whether there is something to back up: such platforms are
// managed unless a person says otherwise.
func (d *Definition) HasParts() bool { return len(d.Parts) > 0 }

// Set is all definitions that are in force.
type Set struct{}

// Fault is what is wrong with a definition file.
type Fault struct {
	File   string
	Line   int // 1-based; 0: the file as a whole
	Column int
	Reason string // what is wrong and the nearest right thing, without the line's text
}

func (f Fault) Error() string { return f.Reason }

// Load compiles the embedded definitions and those in user (nil: none), which
// add to or override ours. All faults come back at once; the Set holds whatever
// is whole, ours in place of a faulty override.
func Load(user fs.FS) (*Set, []Fault) { return nil, []Fault{{Reason: "not built yet"}} }

// ByName returns the definition with that name.
func (s *Set) ByName(name string) (*Definition, bool) { return nil, false }

// All returns all definitions by name.
func (s *Set) All() []*Definition { return nil }

// Asks lists OIDs beyond the system group whose values Identify wants.
func (s *Set) Asks() []string { return nil }

// Match is what Identify thinks an agent is.
type Match struct {
	Platform *Definition // nil: nothing matched
	// Certain is false where the evidence proves nothing by itself (Net-SNMP's
	// sysObjectID, a free-text sysDescr): a proof over SSH has to confirm it.
	Certain bool
	Reason  string // "sysObjectID 1.3.6.1.4.1.9.1.…", for people
}

// Identify tells the platform by what SNMP said: the longest sysObjectID prefix,
// then sysDescr, then values (OID → text) of Asks.
func (s *Set) Identify(sys snmp.System, values map[string]string) Match { return Match{} }

// Talker is what a proof and a capture need of a session; *cli.Session is one.
type Talker interface {
	Run(ctx context.Context, command string) (cli.Output, error)
	Exec(ctx context.Context, command string) (cli.Output, error)
	File(ctx context.Context, path string) ([]byte, error)
}

// ProbeDialogue is the dialogue to open a session with at a device whose
// platform is not known: it makes no assumption but a prompt, and sends nothing
// but what Prove sends.
func (s *Set) ProbeDialogue() cli.Dialogue { return cli.Dialogue{} }

// Prove runs the proof commands of the definitions that have one, at most once
// each, and returns the definition whose proof matched (nil: none), with the
// reason. All commands are on the allow-list.
func (s *Set) Prove(ctx context.Context, t Talker) (Match, error) {
	return Match{}, errors.New("not built yet")
}

// Asker is what facts need of an SNMP session; *snmp.Session is one.
type Asker interface {
	Get(ctx context.Context, oids ...string) (map[string]string, error)
	Column(ctx context.Context, oid string) (map[string]string, error)
}

// Fact is something that a device said of itself.
type Fact struct {
	Name   string `json:"name"` // model, version, serial, hostname, ha_serials, …
	Value  string `json:"value"`
	Source string `json:"source"` // "ENTITY-MIB::entPhysicalSerialNum.1", "show version"
}

// Facts reads the facts that SNMP tells, the first source that answers winning.
func (d *Definition) Facts(ctx context.Context, ask Asker, sys snmp.System) ([]Fact, error) {
	return nil, errors.New("not built yet")
}

// TextFacts takes facts from what a session read: texts maps a part's name to
// its text.
func (d *Definition) TextFacts(texts map[string][]byte) []Fact { return nil }

// Dialogue is how to talk to the platform.
func (d *Definition) Dialogue() cli.Dialogue { return cli.Dialogue{} }

// Commands lists every command and file that may ever be sent or read, for
// `platform show --commands`.
func (d *Definition) Commands() []string { return nil }

// Proof is one reason to believe that a capture is whole.
type Proof struct {
	Part string `json:"part"`
	Rule string `json:"rule"` // "last line", "byte count", "balance", "sections", "daemons", "rights", …
	Seen string `json:"seen"` // what satisfied it: "end", "65012 of 65012 bytes"
}

// Judge holds the texts of a capture (by part name) against the platform's
// proofs and rights. lastSize is the size of the last good running config in
// bytes, 0: none; a text below half of it is implausible. The error is a
// *collector.Error at StepJudge with kind proof-missing, rights-missing,
// output-implausible or part-missing: the capture is then for quarantine.
func (d *Definition) Judge(texts map[string][]byte, lastSize int) ([]Proof, error) {
	return nil, &collector.Error{Step: collector.StepJudge, Kind: collector.ErrProofMissing}
}

// Normal is raw without what changes by itself (the volatile rules). The result
// is what a change is judged by; raw stays as it is.
func (d *Definition) Normal(raw []byte) []byte { return raw }

// Redact replaces every secret in text by a token ‹secret DIGEST›, keyed with
// key so that an equal secret has an equal token and none can be guessed from
// one; a value that the device re-encrypts at each display, and what it is not
// safe to digest, gets ‹secret›. What the platform's rules do not know, the
// generic scanner masks after unknown keywords.
func (d *Definition) Redact(text []byte, key []byte) []byte { return text }

// Outward turns the tokens of a redacted text into plain ‹secret› marks. All
// text that leaves muster has gone through it.
func Outward(redacted []byte) []byte { return redacted }

// Mask hides what looks like a secret in any text, with the generic scanner
// only. It is for text of an unknown platform.
func Mask(text []byte) []byte { return text }

// Volatile tells facts kept aside from the ignored lines, such as who changed
// the configuration last. (Name → value.)
func (d *Definition) Volatile(raw []byte) []Fact { return nil }

// SavedForm turns a running config and a startup config into the two texts that
// `unsaved` compares: headers that only one of them has, and forms that differ
// without a difference (an IOS certificate as hex or as file name), are evened
// out. known is false where the platform keeps no startup of its own or the
// stored text is empty or unreadable: then nothing is known, never a difference.
func (d *Definition) SavedForm(running, startup []byte) (r, s []byte, known bool) {
	return running, startup, false
}
