package platform

import (
	"regexp"
	"slices"
)

// rules is a definition as the evaluator uses it. Each type is one section of
// the file; build.go makes them from YAML.
type rules struct {
	identify []identity
	facts    []factRule
	cli      cliRules
	complete map[string]completeRules // by part
	rights   []rightsRule
	volatile []volatileRule
	secrets  []secretRule
	syntax   syntaxRules
	unsaved  *unsavedRules // nil: the platform keeps no startup of its own
	pending  []pendingRule

	secretIndex index // of secrets, and of the generic scanner behind them
	messages    []message
	statements  statements // index of all that is looked for in a text as it was read
}

// identity is one way to recognise the platform: all that it names has to hold.
type identity struct {
	objectID string         // dotted prefix of whole numbers, without a final dot
	descr    *regexp.Regexp // of sysDescr
	notDescr *regexp.Regexp // sysDescr (or a line of the proof's answer) of a sibling that the others fit as well
	oid      string         // a further scalar …
	value    *regexp.Regexp // … and what it has to say
	command  string         // proof over SSH …
	proof    *regexp.Regexp // … and the line that its answer has to hold
}

// factRule is the ordered sources of one fact.
type factRule struct {
	name    string
	sources []factSource
}

type factSource struct {
	from     string // as in the file, for Fact.Source
	kind     sourceKind
	oid      string            // scalar or column; what stands behind the sysObjectID
	whereOID string            // column that narrows the rows; empty: all
	where    string            // value of whereOID
	all      bool              // every row, joined by a comma; else the first in index order
	objects  map[string]string // sysObjectID → value
	part     string            // of text sources
	match    *regexp.Regexp    // one group; nil: the value as it is
}

type sourceKind int

const (
	fromScalar sourceKind = iota
	fromBelow
	fromColumn
	fromDescr
	fromObjectID
	fromPart
	fromVolatile
)

type cliRules struct {
	questions []question
	prompt    *regexp.Regexp
	enable    *enableRules
	paging    []string
	pager     *regexp.Regexp
	pagerKey  string
	command   []*regexp.Regexp
	denied    []*regexp.Regexp
	right     string // what a line of denied says is missing, for people
	busy      []*regexp.Regexp
	noise     []*regexp.Regexp
	noEcho    bool
	enter     string // what ends a line that is sent; empty: a line feed
	asksLogin bool   // the shell asks for user and password once more
	execOnly  bool
	exit      string
	width     int
	settle    int
}

// message is a line that has no business in an answer.
type message struct {
	match *regexp.Regexp
	kind  messageKind
}

type messageKind int

const (
	messagePager messageKind = iota
	messageDenied
	messageError
)

type question struct {
	when *regexp.Regexp
	send string
	stop bool
	why  string
}

type enableRules struct {
	when    *regexp.Regexp
	command string
	asks    *regexp.Regexp
	fails   []*regexp.Regexp
}

// completeRules are the proofs that one part is whole; all that are given have
// to hold.
type completeRules struct {
	start    *regexp.Regexp // a line among the first headLines
	lastLine *regexp.Regexp // the last line that is not blank, outside of free text
	count    *regexp.Regexp // a header that tells the size in bytes of what follows
	least    int            // per cent of count that have to be there
	braces   [2]byte        // characters that have to be balanced outside of quotes; 0: none
	blocks   []block        // blocks of lines that have to be closed
	sections []*regexp.Regexp
	contexts *contextRules
	answered *answeredRules
	outline  *outlineRules
}

// block is a pair of lines that opens and closes a block.
type block struct {
	open, close *regexp.Regexp
	takes       *regexp.Regexp // where the opening line is such a one, close ends what is open inside as well
}

// contextRules demand that every context that the head lists comes again with
// content, such as the VDOMs of FortiOS.
type contextRules struct {
	when   *regexp.Regexp   // a header line that says that there are several
	opener *regexp.Regexp   // the line that opens the list, and each section
	name   *regexp.Regexp   // one group: the name, behind an opener
	stub   *regexp.Regexp   // the line behind name where there is no content
	closer *regexp.Regexp   // the end of the list
	also   []*regexp.Regexp // lines that have to be there as well
	do     string
}

// answeredRules demand that all daemons that should run did answer.
type answeredRules struct {
	parts   []string       // each has to name them all
	file    string         // part that says which should run
	enabled *regexp.Regexp // one group: a daemon that is switched on in file
	always  []string
	do      string
}

// outlineRules hold the text against an outline that the device printed apart.
type outlineRules struct {
	part  string
	match *regexp.Regexp // lines of text and outline to compare
}

// rightsRule tells that the account saw less than all.
type rightsRule struct {
	part    string
	demands []*regexp.Regexp // each has to match a line
	marks   []*regexp.Regexp // none may match
	do      string
}

// volatileRule is what changes by itself.
type volatileRule struct {
	match *regexp.Regexp // no group: the line; one group: only its text
	until *regexp.Regexp // the lines after it up to and including this one, too
	under *regexp.Regexp // only below such a line
	with  *regexp.Regexp // only where the same block holds such a line
	fact  string         // name under which group 1 of keep is a fact
	keep  *regexp.Regexp
}

type secretClass int

// The classes in the order in which they win.
const (
	classPublic secretClass = iota // looks like a secret and is none
	classHash
	classReversible
	classReencrypted // differs at each display: no digest
	classPlaintext
)

// secretRule is one place where a secret stands: a group in a line, or what is
// between start and end.
type secretRule struct {
	class      secretClass
	match      *regexp.Regexp
	under      *regexp.Regexp
	start, end *regexp.Regexp
	guard      guard // of match or start
}

type syntaxRules struct {
	quote         byte           // 0: none
	escape        byte           // 0: none
	manyLines     bool           // a quoted value may run over lines
	fold          byte           // at the end of a line: it goes on in the next one; 0: lines are not folded
	heading       *regexp.Regexp // lines that all up to the next such line stands below; nil: the indent tells
	comments      []string
	blockComments [2]string
	texts         freeTexts
}

// freeTexts are the passages of free text, with an index of where they begin.
type freeTexts struct {
	list  []freeText
	index index
}

func (t *freeTexts) add(f freeText) {
	t.index.add(len(t.list), literalsOf(f.start.String()))
	t.list = append(t.list, f)
}

// freeText is a passage in which anything may stand: a banner, a script.
type freeText struct {
	start *regexp.Regexp // group 1, if there is one: the delimiter that ends it
	end   *regexp.Regexp // a line that ends it
}

// pendingRule is a line of a part that says that a change waits.
type pendingRule struct {
	part  string
	match *regexp.Regexp
	says  string // what waits, for people
}

type unsavedRules struct {
	running  evenRules
	startup  evenRules
	both     evenRules
	unknown  []*regexp.Regexp // a stored text with such a line, or with a message, tells nothing
	lastLine *regexp.Regexp   // of a stored text that is whole

	ofRunning, ofStartup evening // of running and startup, each with both
}

// put makes what is carried out from the rules.
func (u *unsavedRules) put() {
	u.ofRunning, u.ofStartup = u.running.with(&u.both), u.startup.with(&u.both)
}

// evenRules are what one text is freed of before it is compared.
type evenRules struct {
	through *regexp.Regexp // everything to this line
	drop    []*regexp.Regexp
	fold    []fold
}

type fold struct {
	match *regexp.Regexp // group 1 is what stays of the line
	while *regexp.Regexp // the lines after it go as long as they match
}

// evening is evenRules as they are carried out.
type evening struct {
	through *regexp.Regexp
	rules   patternSet // drops, then the matches of folds
	folds   []fold
}

func (e *evenRules) with(both *evenRules) evening {
	v := evening{through: e.through, folds: slices.Concat(e.fold, both.fold)}
	list := slices.Concat(e.drop, both.drop)
	for _, f := range v.folds {
		list = append(list, f.match)
	}
	v.rules = newPatternSet(list...)
	return v
}
