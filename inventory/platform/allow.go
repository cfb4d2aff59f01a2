package platform

import (
	"regexp"
	"strings"
)

// The list of commands that muster may ever send. It holds for our own
// definitions and for users' alike, and a definition that names anything else
// is not loaded. Each expression has to match the whole command. What is not
// here is refused, so a new reading command of a new vendor is a line here and
// a row in the test, never a wildcard.
var allowedCommands = compileWhole(
	// Reading. What may follow is narrowed by plainArguments and filters below.
	`(?:show|display|get)(?: [^|]*)?(?:\|[^|]+)*`,
	`diagnose sys ha (?:checksum (?:show|cluster)|status)`, // FortiOS; most of diagnose debugs, tests and kills
	`diagnose sys config-transaction status`,
	`diagnose autoupdate versions`,
	`more (?:system:running-config|nvram:startup-config)`, // no other file: more reads over the network, too
	`admin display-config`,
	`vtysh -c (?:'show [^'"|]+'|"show [^'"|]+")`,
	`cat /[\w./+@-]+`, // see allowedPath
	`/usr/sbin/birdc show [a-z ]+`,
	// RouterOS: what else follows export may write a file.
	`/export(?: (?:show-sensitive|hide-sensitive))?`,
	`/system (?:resource|routerboard|identity|package) print`,
	`/system history print`,              // RouterOS: what safe mode would undo
	`check pending-changes`,              // PAN-OS: yes or no
	`nv config show(?: --color off)?`,    // Cumulus NVUE; what else follows nv sets and applies
	`configuration show(?: brief)?`,      // SAOS; what else follows configuration saves or resets
	`configShow -all`,                    // Fabric OS: prints; configUpload and configDownload are other commands
	`export config to console`,           // Fireware: prints it; to anything else, it sends it away
	`uci export`,                         // OpenWrt; without a package: all of them
	`info flat from (?:running|startup)`, // SR Linux; what else follows "info" may write a file
	`admin show configuration(?: bof)?`,  // SR OS, model-driven; what else follows admin saves or reboots
	`config -g config`,                   // Opengear: gets a branch; -s, -d, -r and the others write

	// The terminal of this session; each is forgotten at its end.
	`terminal (?:length|width) \d{1,5}`,
	`terminal pager (?:lines )?\d{1,5}`,
	`no terminal paginate`,
	`terminal datadump`,
	`terminal exec prompt no-timestamp`,
	`set cli (?:screen-length|screen-width) \d{1,5}`,
	`set cli complete-on-space (?:on|off)`,
	`set cli (?:pager off|scripting-mode on)`,
	`set terminal (?:length|width) \d{1,5}`,
	`disable clipaging session`, // without "session" it is configuration
	`screen-length \d{1,5} temporary`,
	`screen-length disable`,
	`skip-page-display`,
	`no page`,
	`no paging`,
	`no cli pager session`,         // SonicOS; without "session" it is configuration
	`no cli session paging enable`, // Onyx
	`set session more off`,         // SAOS 10
	`environment no more`,
	`environment more false`, // SR OS, model-driven

	// Into another context of the device and back, for this session only.
	`changeto (?:system|context [\w.-]{1,64})`, // ASA
	`switchto vdc [\w.-]{1,64}`,                // NX-OS
	`switchback`,

	// Coming and going.
	`enable(?: \d{1,2})?`,
	`cli`,
	`vtysh`,
	`exit|quit|logout`,
)

// verbatim are commands that are allowed as a whole and in no other form, since
// they hold what separates commands elsewhere, or begin with a word that writes
// in all its other forms.
var verbatim = map[string]bool{
	`tmsh -q -c "cd /; list recursive"`:  true, // F5: "cd" goes to the folder of all partitions, for this process only
	`copy running-configuration display`: true, // Siklu: prints it; to and from anything else it writes
	`config show json`:                   true, // ePMP: prints it; what else follows config sets, saves and imports
	`config c show`:                      true, // TransPort: what is in force …
	`config 0 show`:                      true, // … and what is stored; "config 0 save" writes it
	`list_configuration`:                 true, // ACS: prints it as lines for its CLI
	`sort /tmp/system.cfg`:               true, // airOS, whose lines change their order; of options, -o writes
	`showconfig`:                         true, // AsyncOS: prints it; saveconfig, loadconfig and mailconfig are other commands
}

// filters are what a reading command may be piped into: they write nothing and
// run nothing. redirect, append, tee, save, request and the shells are not here.
var filters = compileWhole(
	` ?(?:no-more|nomore|count) ?`,
	` ?(?:include|exclude|begin|section|match|except|grep) (?:-[ivn] )?[^-].*`,
	` ?display (?:set|omit|inheritance|xml|json|commands) ?`,
)

var (
	// plainText holds no character that separates commands, redirects, expands,
	// asks for help in mid-line (?) or moves the cursor.
	plainText = regexp.MustCompile(`^[A-Za-z0-9 _./:,+@*"'^()\[\]{}=%~|-]+$`)

	// acting are words that have no business in a reading command, whatever the
	// vendor: "show tech-support" writes files on some, "display diagnostic-information"
	// asks for a file on others, "… clear" resets counters.
	acting = regexp.MustCompile(`(?:^|[ /:"'])(?:clear|reset|delete|erase|format|copy|write|save|reboot|reload|restart|redirect|append|tee|configure|config|commit|rollback|request|debug|undebug|test|ping|traceroute|tech|tech-support|diagnostic-information|upload|execute|install|upgrade|start|stop|kill|bash|shell|run-script|python|tclsh)(?:$|[ "'])`)
)

// readsNothingElse are exceptions to acting: the word is an object there.
var readsNothingElse = regexp.MustCompile(`^(?:show archive config(?: |$)|show (?:configuration )?commit(?: |$)|show system (?:commit|rollback \d+ compare)(?: |$)|show config(?: |$)|show running config$|show system configuration rescue$|get config(?: saved)?$)`)

func compileWhole(exprs ...string) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(exprs))
	for i, e := range exprs {
		out[i] = regexp.MustCompile(`^(?:` + e + `)$`)
	}
	return out
}

func matchesOne(list []*regexp.Regexp, s string) bool {
	for _, re := range list {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

// Allowed reports whether command only reads, or only sets up the terminal of
// the session it is sent in.
func Allowed(command string) bool {
	if verbatim[command] {
		return true
	}
	if len(command) > 256 || strings.TrimSpace(command) != command || strings.Contains(command, "  ") {
		return false
	}
	if !plainText.MatchString(command) || strings.Contains(command, "//") ||
		strings.Count(command, `"`)%2 != 0 || strings.Count(command, `'`)%2 != 0 {
		return false
	}
	if !matchesOne(allowedCommands, command) {
		return false
	}
	if path, ok := strings.CutPrefix(command, "cat "); ok {
		return allowedPath(path)
	}
	verb, _, _ := strings.Cut(command, " ")
	if verb != "show" && verb != "display" && verb != "get" && verb != "vtysh" {
		return true
	}
	// A | inside a quoted pattern counts as a pipe as well: what stands behind
	// it then has to be a filter, so nothing slips through by quoting.
	stages := strings.Split(command, "|")
	what := strings.TrimSpace(stages[0])
	if acting.MatchString(what) && !readsNothingElse.MatchString(what) {
		return false
	}
	for _, f := range stages[1:] {
		if !matchesOne(filters, f) {
			return false
		}
	}
	return true
}

// secretPlaces are files that hold keys or password hashes of the system, and
// places that are no files: a backup has no business there.
var secretPlaces = regexp.MustCompile(`(?i)^/(?:proc|sys|dev|run|var/run)(?:/|$)|/(?:g?shadow|master\.passwd|sudoers|opasswd)(?:[.-].*)?$|/\.ssh(?:/|$)|/(?:id_[^/]*|ssh_host_[^/]*_key)$|\.(?:key|keytab|p12|pfx|jks)$|[.-]secrets$|/private(?:/|$)`)

var plainPath = regexp.MustCompile(`^(?:/[A-Za-z0-9_+@-][A-Za-z0-9_.+@-]*)+$`)

// allowedPath reports whether a file may be read: absolute, no .. and no hidden
// parts, no pattern characters, and nothing that is a secret as a whole.
func allowedPath(path string) bool {
	return len(path) <= 256 && plainPath.MatchString(path) && !strings.Contains(path, "..") && !secretPlaces.MatchString(path)
}
