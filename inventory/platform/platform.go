// Package platform reads platform definitions and is the one evaluator of their
// rules: how a platform is recognised, logged in to, read, judged and redacted.
//
// A definition is data (YAML under definitions/, and a user's own under
// platforms/ of the data directory). No platform's name stands in Go: where a
// vendor needs something new, the evaluator learns it for all.
//
// A capture's texts go through it in this order: [Definition.Judge] holds them
// against the proofs of completeness and the marks of missing rights,
// [Definition.Normal] takes out what changes by itself, [Definition.Redact] puts
// tokens in the place of secrets, [Outward] makes the tokens unreadable for
// people. [Definition.SavedForm] evens out running and startup config before
// they are compared. definitions/README.md tells the keys of a file.
package platform

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
	Else     string // the command where the device does not know Source; empty: none
	Optional bool   // true: a refusal or a missing file is noted, not a failure

	// Before and After are session commands around the reading, such as those that
	// go into a context and come back. The prompt may be another behind each.
	Before, After []string

	when *condition // nil: always read
	each *condition // nil: read once; else for each name that its group takes
}

// Definition is one platform, compiled. It is read-only and safe for concurrent use.
type Definition struct {
	Name       string
	Vendor     string
	Family     string
	Evidence   Evidence
	Restorable Restorable
	// Pending says, for people, how a change that waits for a commit or its
	// confirmation can be seen; empty: there is none.
	Pending string
	Parts   []Part
	// Revision is a digest of the rules that judge, normalise and redact. Texts
	// that were derived under another one are derived again before comparing.
	Revision string
	// Origin is BuiltIn or the name of the user's file.
	Origin string

	rules *rules
	looks map[*byte]*look // by the first byte of the text; nil: nothing is remembered
}

// HasParts reports whether there is something to back up: such platforms are
// managed unless a person says otherwise.
func (d *Definition) HasParts() bool { return len(d.Parts) > 0 }

// Unread says why nothing of such a device is backed up; empty where something is.
func (d *Definition) Unread() string {
	switch {
	case d.HasParts():
		return ""
	case d.Restorable.Why == "":
		return "its definition lists no parts"
	}
	return d.Restorable.Why
}

// part returns the part with the role.
func (d *Definition) part(role Role) (Part, bool) {
	for _, p := range d.Parts {
		if p.Role == role {
			return p, true
		}
	}
	return Part{}, false
}

// r is d's rules; a Definition that was not loaded has none.
func (d *Definition) r() *rules {
	if d.rules == nil {
		return &rules{}
	}
	return d.rules
}

// Fact is something that a device said of itself.
type Fact struct {
	Name   string `json:"name"`   // model, version, serial, hostname, serials, …
	Value  string `json:"value"`  // several are joined by a comma
	Source string `json:"source"` // "ENTITY-MIB::entPhysicalSerialNum.1", "show version"
}
