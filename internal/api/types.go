// Package api is muster's JSON API: its types, its handlers and the client that
// the command uses. Command, pages and other programs see the same answers,
// since all of them come from here.
//
// Whatever acts, and whatever shows a secret, is served on the Unix socket of
// the data directory only ([Server.Local]); a TCP listener gets [Server.Public],
// which is read-only and redacted, and nothing else.
//
// JSON is snake_case; times are RFC 3339 in UTC; what is not known is absent;
// lists are always there, empty ones too. Long work answers with a stream of
// JSON lines ([Line]), one for each thing that was committed.
package api

import (
	"time"

	"muster/backup"
	"muster/collector"
	"muster/collector/snmp"
	"muster/internal/schedule"
	"muster/inventory"
	"muster/inventory/platform"
)

// Device is one row of `device list`. A stable call.
type Device struct {
	Name        string       `json:"name"`
	Address     string       `json:"address,omitempty"`
	Vendor      string       `json:"vendor,omitempty"`
	Platform    string       `json:"platform,omitempty"`
	Model       string       `json:"model,omitempty"`
	Version     string       `json:"version,omitempty"`
	Serial      string       `json:"serial,omitempty"`
	Site        string       `json:"site,omitempty"`
	State       string       `json:"state"`
	BackupState backup.State `json:"backup_state"`
	Drift       []string     `json:"drift"`
	LastBackup  *time.Time   `json:"last_backup,omitempty"` // newest good capture
	Versions    int          `json:"versions"`

	Scope      string     `json:"scope,omitempty"`
	Managed    bool       `json:"managed"`
	StateSince *time.Time `json:"state_since,omitempty"`
	// Problem says why the device is not backed up, in one line with the mend.
	Problem     string         `json:"problem,omitempty"`
	ProblemKind collector.Kind `json:"problem_kind,omitempty"`
	ProblemStep collector.Step `json:"problem_step,omitempty"`
}

// DeviceDetail is `device show`. A stable call.
type DeviceDetail struct {
	Device
	AddressReason  string              `json:"address_reason,omitempty"`
	PlatformReason string              `json:"platform_reason,omitempty"`
	Tags           []string            `json:"tags"`
	Credential     string              `json:"credential,omitempty"`      // the SSH credential that worked last
	SNMPCredential string              `json:"snmp_credential,omitempty"` // the only one that is asked with
	Algorithms     string              `json:"algorithms,omitempty"`      // SSH profile that a person set; empty: the scope's
	Telnet         bool                `json:"telnet,omitempty"`          // read by Telnet, in clear, since its scope says so
	Port           uint16              `json:"port,omitempty"`            // TCP, where its sessions are opened
	FirstSeen      *time.Time          `json:"first_seen,omitempty"`
	LastSeen       *time.Time          `json:"last_seen,omitempty"`
	ReadAt         *time.Time          `json:"read_at,omitempty"`  // when facts and tables were read last
	Behind         string              `json:"behind,omitempty"`   // with state "behind": through what it is reached
	Unread         string              `json:"unread,omitempty"`   // why it is inventory and nothing else
	Question       string              `json:"question,omitempty"` // what a person has to confirm, with the mend
	Facts          []inventory.FactAt  `json:"facts"`
	Interfaces     []snmp.Interface    `json:"interfaces"`
	Addresses      []snmp.Address      `json:"addresses"`
	VLANs          []snmp.VLAN         `json:"vlans"`
	Components     []snmp.Component    `json:"components"`
	Neighbors      []snmp.Neighbor     `json:"neighbors"`
	HostKeys       []collector.HostKey `json:"host_keys"`
}

// DeviceAdd is the body of `device add`: one device that a person names.
type DeviceAdd struct {
	Address    string `json:"address"` // ADDRESS[:PORT], host name or IP address
	Name       string `json:"name,omitempty"`
	Platform   string `json:"platform,omitempty"`
	Credential string `json:"credential,omitempty"`
	Site       string `json:"site,omitempty"`
}

// ImportLimit is how large a file to import may be, in bytes: as base64 it has to
// fit into a body.
const ImportLimit = 4 << 20

// Import is the body of `device import`.
type Import struct {
	File       []byte   `json:"file"`
	Format     string   `json:"format,omitempty"`     // csv, oxidized or rancid; empty: found out
	Columns    []string `json:"columns,omitempty"`    // of a file without a header line
	Credential string   `json:"credential,omitempty"` // of devices that are added, where the file has none
	Site       string   `json:"site,omitempty"`       // likewise
	Apply      bool     `json:"apply,omitempty"`      // do it; else only tell
}

// DeviceSet is the body of `device set`; nil fields stay as they are.
type DeviceSet struct {
	Name       *string   `json:"name,omitempty"`
	Site       *string   `json:"site,omitempty"`
	Platform   *string   `json:"platform,omitempty"`
	Credential *string   `json:"credential,omitempty"` // "" takes it back
	Algorithms *string   `json:"algorithms,omitempty"`
	Timeout    *string   `json:"timeout,omitempty"` // a duration, e.g. "5m"
	Port       *uint16   `json:"port,omitempty"`    // 0: the scope's again
	Tags       *[]string `json:"tags,omitempty"`
	Managed    *bool     `json:"managed,omitempty"`
	Disabled   *bool     `json:"disabled,omitempty"`
}

// Version is one row of `config log`. A stable call.
type Version struct {
	Version      int           `json:"version"`
	At           time.Time     `json:"at"`
	Reason       backup.Reason `json:"reason"`
	Approved     bool          `json:"approved"`
	LinesAdded   int           `json:"lines_added"`
	LinesRemoved int           `json:"lines_removed"`
	LastChange   string        `json:"last_change,omitempty"` // in the device's own words: when, and by whom
	Rules        string        `json:"rules"`
}

// Status is `status`: how the whole network stands.
type Status struct {
	Devices  int            `json:"devices"` // all in the inventory
	Managed  int            `json:"managed"`
	BackedUp int            `json:"backed_up"` // managed ones whose newest attempt was good
	States   map[string]int `json:"states"`
	Backups  map[string]int `json:"backup_states"`      // managed devices by backup state
	Drift    map[string]int `json:"drift"`              // devices by kind of drift
	Alerts   int            `json:"alerts"`             // firing
	Causes   []Cause        `json:"causes"`             // why managed devices are not backed up
	Next     []NextRun      `json:"next"`               // what is due when
	LastRun  *schedule.Run  `json:"last_run,omitempty"` // newest backup run
}

// Cause groups devices that are not backed up for one reason.
type Cause struct {
	Kind    string   `json:"kind"` // a collector.Kind, or "never tried", "down", …
	Step    string   `json:"step,omitempty"`
	Count   int      `json:"count"`
	Devices []string `json:"devices"` // the first few names
	Mend    string   `json:"mend"`
}

// NextRun is when a schedule is due.
type NextRun struct {
	Job string    `json:"job"`
	At  time.Time `json:"at"`
}

// RunDetail is `run show`: a run with its tasks in the order of the plan.
type RunDetail struct {
	schedule.Run
	Tasks []schedule.Task `json:"tasks"`
}

// Platform is one row of `platform list`.
type Platform struct {
	Name       string              `json:"name"`
	Vendor     string              `json:"vendor"`
	Family     string              `json:"family,omitempty"`
	Evidence   platform.Evidence   `json:"evidence"`
	Restorable platform.Restorable `json:"restorable"`
	Parts      []string            `json:"parts"`
	Origin     string              `json:"origin"`
	Devices    int                 `json:"devices"`
	Commands   []string            `json:"commands,omitempty"` // of platform show
	Revision   string              `json:"revision,omitempty"`
}

// Secret is one row of `secret list`: a name, never the value.
type Secret struct {
	Name    string    `json:"name"`
	SetAt   time.Time `json:"set_at"`
	UsedBy  []string  `json:"used_by"` // credentials and receivers that name it
	Stopped bool      `json:"stopped"` // its credential was stopped
}

// SecretUse says who uses a secret that was set.
type SecretUse struct {
	UsedBy  []string `json:"used_by"`           // credentials and receivers of the settings file that name it
	Config  string   `json:"config,omitempty"`  // where nobody does: the settings file
	Nearest string   `json:"nearest,omitempty"` // likewise: the name in it that was probably meant
}

// Finding is one row of `doctor` without a device, and of `check`.
type Finding struct {
	Check string `json:"check"`
	Good  bool   `json:"good"`
	Seen  string `json:"seen"`
	Do    string `json:"do,omitempty"`
}

// Verified is the verdict of `verify`.
type Verified struct {
	Versions int      `json:"versions"` // how many there are
	Faults   []string `json:"faults"`
}

// Hello says who holds the data directory.
type Hello struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Dir     string `json:"dir"`
	Config  string `json:"config"` // absolute path of its settings file
	Listen  string `json:"listen,omitempty"`
}

// Line is one line of a stream: exactly one field is set.
type Line struct {
	Run      *schedule.Run       `json:"run,omitempty"`      // once at the start, and when it ends
	Progress *Progress           `json:"progress,omitempty"` // may be dropped
	Backup   *backup.Result      `json:"backup,omitempty"`   // after its commit
	Found    *inventory.Result   `json:"found,omitempty"`    // after its commit
	Step     *collector.StepTime `json:"step,omitempty"`     // of doctor
	Said     *Said               `json:"said,omitempty"`     // of doctor, where a record was asked for
	Hit      *Hit                `json:"hit,omitempty"`      // of config grep
	File     *File               `json:"file,omitempty"`     // of config export
	Note     string              `json:"note,omitempty"`     // a sentence for people
	Error    *Error              `json:"error,omitempty"`    // the work as a whole failed; last line
	End      bool                `json:"end,omitempty"`      // the last line of work that ended as it should
}

// Said is one command of a session and all that came of it, secrets hidden. The
// first of a session has no command: its answer is the prompt.
type Said struct {
	Command string `json:"command"`
	Answer  string `json:"answer"`
}

// RunRequest starts a run.
type RunRequest struct {
	Filter []string `json:"filter"` // backup: device names or filter words; discover: scopes. None: all
	DryRun bool     `json:"dry_run,omitempty"`
}

// Allow is the body of `device allow`.
type Allow struct {
	Filter []string          `json:"filter"`
	Keys   map[string]string `json:"keys,omitempty"` // fingerprints that a person saw, by device
	Apply  bool              `json:"apply,omitempty"`
}

// AcceptKeys is the body of accept-keys: a filter, or known_hosts lines.
type AcceptKeys struct {
	Filter     []string `json:"filter"`
	KnownHosts string   `json:"known_hosts,omitempty"`
}

// Decided tells what a decision about a configuration did.
type Decided struct {
	Device  string `json:"device"`
	Version int    `json:"version,omitempty"`
	Capture string `json:"capture,omitempty"` // id of the one that was accepted or discarded
	Note    string `json:"note"`
	Failed  bool   `json:"failed,omitempty"` // of many: this one was not done, Note says why
}

// Meant says what a decision is about; the zero one takes the newest version, and
// whatever is in quarantine.
type Meant struct {
	Version int    // of baseline and purge
	Capture string // of accept and discard: [Held].Capture of what somebody looked at
}

// Held is the capture of a device that is in quarantine.
type Held struct {
	Device  string    `json:"device"`
	Capture string    `json:"capture"` // its id; another text has another one
	TakenAt time.Time `json:"taken_at"`
}

// SecretValue carries a secret to the socket of the data directory.
type SecretValue struct {
	Value string `json:"value"`
}

// Progress tells how far a run is.
type Progress struct {
	Done    int    `json:"done"`
	Total   int    `json:"total"`
	Running string `json:"running,omitempty"` // a device and its step
}

// Hit is one line that `config grep` found.
type Hit struct {
	Device string `json:"device"`
	Line   int    `json:"line"` // 1-based
	Text   string `json:"text"` // redacted
}

// File is one file of `config export`.
type File struct {
	Name string `json:"name"` // safe as a file name
	Text []byte `json:"text"` // redacted
}

// Error is a refusal: one sentence that names the thing and the mend.
type Error struct {
	Message string         `json:"message"`
	Kind    collector.Kind `json:"kind,omitempty"`
	Exit    int            `json:"exit"` // exit code of the command: 1 failed, 2 wrong usage or settings
}

func (e *Error) Error() string { return e.Message }
