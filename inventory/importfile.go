package inventory

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"muster/collector"
)

// ImportFormat is how a file lists devices.
type ImportFormat string

// The formats.
const (
	ImportAuto     ImportFormat = ""         // found out
	ImportCSV      ImportFormat = "csv"      // separated by comma, semicolon or tab
	ImportOxidized ImportFormat = "oxidized" // name:model, or name:address:model
	ImportRANCID   ImportFormat = "rancid"   // name;type;state
)

// ImportColumns are the columns of a file without a header line, in this order,
// and the names that a header line gives them.
var ImportColumns = []string{"name", "address", "port", "platform", "site", "credential", "tags"}

// ImportFault is what is wrong in one line of a file.
type ImportFault struct {
	Line    int    `json:"line"` // 1-based; 0: the file as a whole
	Message string `json:"message"`
}

func (f ImportFault) String() string {
	if f.Line == 0 {
		return f.Message
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Message)
}

// importRow is one device as a file lists it.
type importRow struct {
	line     int
	name     string
	address  string
	port     uint16
	platform string // our name, or that of another tool
	site     string
	cred     string
	tags     []string
	down     bool // RANCID's file says that it is not to be asked
}

// importFile is what a file lists, with what is wrong in it and what a person
// should know of how it was read.
type importFile struct {
	format ImportFormat
	headed bool // a header line, or a person, says what the columns are
	rows   []importRow
	faults []ImportFault
	notes  []string
}

func (f *importFile) fault(line int, format string, a ...any) {
	f.faults = append(f.faults, ImportFault{line, fmt.Sprintf(format, a...)})
}

// quoted shows a cell, where it is sure what the column holds: the fourth of a
// file without a header line may well be the password of the third.
func (f *importFile) quoted(cell, column string) string {
	if f.headed {
		return strconv.Quote(cell)
	}
	return fmt.Sprintf("field %d (%s, where no header line says otherwise)", slices.Index(ImportColumns, column)+1, column)
}

func (f *importFile) note(format string, a ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, a...))
}

// headerNames are the columns as people and other tools head them.
var headerNames = map[string]string{
	"name": "name", "hostname": "name", "host": "name", "device": "name", "device_name": "name", "sysname": "name",
	"address": "address", "ip": "address", "ip_address": "address", "ipaddress": "address", "mgmt_ip": "address",
	"management_ip": "address", "management_address": "address", "primary_ip": "address", "primary_ip4": "address",
	"port": "port", "ssh_port": "port",
	"platform": "platform", "os": "platform", "device_type": "platform",
	"site": "site", "location": "site", "credential": "credential",
	"tags": "tags", "tag": "tags", "group": "tags", "groups": "tags",
	"_": "-", // a column that is left out
}

// secretColumn tells columns whose cells are nobody's to see.
var secretColumn = regexp.MustCompile(`(?i)pass|secret|enable|community|key|token`)

// readImport reads a file. columns names them in their order where the file has
// no header line; none: the order of the format. Cells of columns that are not
// named are read by nobody: in a router.db they are accounts and passwords.
func readImport(data []byte, format ImportFormat, columns []string) importFile {
	f := importFile{format: format}
	text, ok := f.decode(data)
	if !ok {
		return f
	}
	lines := dataLines(text)
	if len(lines) == 0 {
		f.fault(0, "it lists no device")
		return f
	}
	named, ok := f.columns(columns)
	if !ok {
		return f
	}
	sep, header := f.shape(lines)
	f.headed = header || len(named) > 0
	if f.format == ImportCSV {
		f.readCSV(text, sep, header, named)
	} else {
		f.readRouterDB(lines, sep, named)
	}
	if len(f.rows) == 0 && len(f.faults) == 0 {
		f.fault(0, "it lists no device")
	}
	return f
}

// decode makes UTF-8 of what spreadsheets write.
func (f *importFile) decode(data []byte) (string, bool) {
	var text string
	switch order, bom := utf16Order(data); {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) && utf8.Valid(data[3:]):
		text = string(data[3:])
	case order != nil:
		units := make([]uint16, 0, len(data)/2)
		for i := bom; i+1 < len(data); i += 2 {
			units = append(units, order.Uint16(data[i:]))
		}
		text = string(utf16.Decode(units))
		f.note("the file is UTF-16 and was converted")
	case utf8.Valid(data):
		text = string(data)
	default:
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
			if b >= 0x80 && b < 0xa0 {
				runes[i] = windows1252[b-0x80]
			}
		}
		text = string(runes)
		f.note("the file is no UTF-8: it was taken for Latin-1 (Windows-1252) and converted; look at the names with accents")
	}
	if strings.ContainsRune(text, 0) {
		f.fault(0, "it is no text file. Write it as CSV, in UTF-8")
		return "", false
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	if strings.HasPrefix(text, "sep=") { // for Excel alone
		text = "#" + text
	}
	return text, true
}

// windows1252 are the characters that Windows-1252 has where Latin-1 has control
// characters (WHATWG encoding standard, index windows-1252).
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

// utf16Order tells UTF-16 by its mark, or by the zeros that names and addresses
// have in it; nil: it is none.
func utf16Order(data []byte) (order binary.ByteOrder, bom int) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		return binary.LittleEndian, 2
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		return binary.BigEndian, 2
	}
	head := data[:min(len(data), 512)&^1]
	var zero [2]int
	for i, b := range head {
		if b == 0 {
			zero[i%2]++
		}
	}
	switch half := len(head) / 2; {
	case half > 0 && zero[1]*10 > half*8 && zero[0]*10 < half:
		return binary.LittleEndian, 0
	case half > 0 && zero[0]*10 > half*8 && zero[1]*10 < half:
		return binary.BigEndian, 0
	}
	return nil, 0
}

// numbered is one line of a file.
type numbered struct {
	n    int
	text string
}

// dataLines are the lines that are neither empty nor comments.
func dataLines(text string) []numbered {
	var lines []numbered
	for i, l := range strings.Split(text, "\n") {
		if t := strings.TrimSpace(l); t != "" && !strings.HasPrefix(t, "#") {
			lines = append(lines, numbered{i + 1, l})
		}
	}
	return lines
}

// columns reads the names that a person gave the columns.
func (f *importFile) columns(given []string) ([]string, bool) {
	var named []string
	for _, c := range given {
		name, ok := headerNames[headerKey(c)]
		switch {
		case !ok:
			f.fault(0, "there is no column %q; use %s, or - for one that is left out", c, strings.Join(ImportColumns, ", "))
		case name != "-" && slices.Contains(named, name):
			f.fault(0, "the column %s is named twice", name)
		}
		named = append(named, name)
	}
	return named, len(f.faults) == 0
}

// headerKey is a cell as headerNames has it: "IP address" is ip_address.
func headerKey(cell string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(cell)))
}

// shape finds out format and separator, and whether the first line is a header.
func (f *importFile) shape(lines []numbered) (sep rune, header bool) {
	best, most := ',', 0
	for _, s := range []rune{',', ';', '\t'} {
		n := 0
		for _, l := range lines {
			if strings.ContainsRune(l.text, s) {
				n++
			}
		}
		if isHeader(lines[0].text, s) && (f.format == ImportAuto || f.format == ImportCSV) {
			f.format = ImportCSV
			return s, true
		}
		if n > most {
			best, most = s, n
		}
	}
	whole := func(s string) bool { // every line has it
		return !slices.ContainsFunc(lines, func(l numbered) bool { return !strings.Contains(l.text, s) })
	}
	switch {
	case f.format == ImportCSV:
		return best, false
	case whole(":") && (f.format == ImportAuto && (most < len(lines) || models(lines, ':')) || f.format != ImportAuto && !whole(";")):
		best = ':'
	}
	states := !slices.ContainsFunc(lines, func(l numbered) bool {
		c := splitLine(l.text, best)
		return len(c) < 3 || !slices.Contains([]string{"up", "down"}, strings.ToLower(c[2]))
	})
	switch {
	case f.format != ImportAuto:
	case states && best != '\t':
		f.format = ImportRANCID
	case best == ':', best == ';' && models(lines, ';'):
		f.format = ImportOxidized
	default:
		f.format = ImportCSV
	}
	return best, false
}

// models reports whether the second field of all lines is what another tool calls
// a platform.
func models(lines []numbered, sep rune) bool {
	return !slices.ContainsFunc(lines, func(l numbered) bool {
		c := splitLine(l.text, sep)
		return len(c) < 2 || aliasOf(c[1]) == ""
	})
}

// isHeader reports whether a line heads columns: it names one of ours, and
// nothing in it is an address.
func isHeader(line string, sep rune) bool {
	named := false
	for _, c := range strings.Split(line, string(sep)) {
		c = strings.Trim(strings.TrimSpace(c), `"`)
		if isAddr(c) {
			return false
		}
		name := headerNames[headerKey(c)]
		named = named || name == "name" || name == "address"
	}
	return named
}

// splitLine splits a line of a router.db. An IPv6 address at its beginning is one
// field, whatever the separator.
func splitLine(line string, sep rune) []string {
	first, rest := "", line
	if sep == ':' {
		for i := len(line) - 1; i > 0; i-- {
			if line[i] != ':' {
				continue
			}
			if a, err := netip.ParseAddr(line[:i]); err == nil && a.Is6() {
				first, rest = line[:i], line[i+1:]
				break
			}
		}
	}
	cells := strings.Split(rest, string(sep))
	if first != "" {
		cells = append([]string{first}, cells...)
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// readCSV reads lines with quoted fields.
func (f *importFile) readCSV(text string, sep rune, header bool, columns []string) {
	switch {
	case header:
		columns = nil
	case len(columns) == 0:
		columns = ImportColumns
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = sep, '#', -1, sep != '\t'
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			f.fault(bad.StartLine, "a quotation mark is out of place: a field that has one is quoted as a whole, and those in it are doubled")
			continue
		case err != nil:
			f.fault(0, "it cannot be read: %v", err)
			return
		}
		line, _ := r.FieldPos(0)
		if columns == nil {
			if columns = f.header(line, cells); columns == nil {
				return
			}
			continue
		}
		f.row(line, cells, columns)
	}
}

// header reads a header line; nil: it is not to be understood.
func (f *importFile) header(line int, cells []string) []string {
	var columns, other, secret []string
	for _, c := range cells {
		name := headerNames[headerKey(c)]
		switch {
		case name != "" && name != "-" && slices.Contains(columns, name):
			f.fault(line, "two columns are %s", name)
			return nil
		case name == "" && secretColumn.MatchString(c):
			secret = append(secret, collector.Escape(c))
		case name == "" && strings.TrimSpace(c) != "":
			other = append(other, collector.Escape(c))
		}
		columns = append(columns, name)
	}
	if len(other) > 0 {
		f.note("left out: %s", strings.Join(other, ", "))
	}
	if len(secret) > 0 {
		f.note("not read: %s. muster keeps secrets sealed and under a credential's name: muster secret set NAME", strings.Join(secret, ", "))
	}
	return columns
}

// readRouterDB reads Oxidized's and RANCID's lists.
func (f *importFile) readRouterDB(lines []numbered, sep rune, columns []string) {
	byHand := len(columns) > 0
	switch {
	case byHand:
	case f.format == ImportRANCID:
		columns = []string{"name", "platform", "state"}
	case !slices.ContainsFunc(lines, func(l numbered) bool {
		c := splitLine(l.text, sep)
		return len(c) < 3 || !isAddr(c[1])
	}):
		columns = []string{"name", "address", "platform"}
	default:
		columns = []string{"name", "platform"}
	}
	more := false
	for _, l := range lines {
		cells := splitLine(l.text, sep)
		more = more || len(cells) > len(columns) || slices.Contains(columns, "-")
		f.row(l.n, cells[:min(len(cells), len(columns))], columns)
	}
	f.note("read as a router.db of %s: %s", map[ImportFormat]string{ImportOxidized: "Oxidized", ImportRANCID: "RANCID"}[f.format], strings.Join(columns, string(sep)))
	if more && f.format == ImportOxidized {
		f.note("further columns are not read, since accounts and passwords stand there: muster keeps those sealed (muster secret set NAME). " +
			"Where the third one is a group, --columns name,platform,tags makes it a tag")
	}
}

// row makes a device of the cells of one line.
func (f *importFile) row(line int, cells, columns []string) {
	r := importRow{line: line}
	empty := true
	for i, c := range cells {
		c = strings.TrimSpace(c)
		// What our own CSV does so that a spreadsheet takes nothing for a formula.
		if len(c) > 1 && c[0] == '\'' && strings.ContainsRune("=+-@", rune(c[1])) {
			c = c[1:]
		}
		if i >= len(columns) {
			if c != "" {
				f.fault(line, "it has %d fields, but there are %d columns (%s)", len(cells), len(columns), strings.Join(columns, ", "))
				return
			}
			continue
		}
		empty = empty && c == ""
		f.cell(&r, columns[i], c)
	}
	switch {
	case empty:
	case strings.Contains(r.name, ":") && !isAddr(r.name):
		// Its text is not repeated: the line may be one with a password in it.
		f.fault(line, "a name has no colon. Where this is a router.db: --format oxidized or --format rancid")
	case !f.headed && isAddr(r.name) && r.address != "" && !isAddr(r.address):
		// Nor is DNS asked for what may be a password.
		f.fault(line, "the address stands first: without a header line the columns are %s", strings.Join(columns, ", "))
	case r.name == "" && r.address == "":
		f.fault(line, "it has neither name nor address")
	default:
		f.rows = append(f.rows, r)
	}
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func (f *importFile) cell(r *importRow, column, c string) {
	switch column {
	case "name":
		r.name = c
	case "address":
		r.address = c
	case "platform":
		r.platform = c
	case "site":
		r.site = c
	case "credential":
		r.cred = c
	case "tags":
		r.tags = strings.FieldsFunc(c, func(c rune) bool { return strings.ContainsRune(",;| \t", c) })
	case "state":
		r.down = !strings.EqualFold(c, "up")
	case "port":
		if c == "" {
			return
		}
		p, err := strconv.ParseUint(c, 10, 16)
		if err != nil || p == 0 {
			f.fault(r.line, "%s is no port; use 1 to 65535", f.quoted(c, "port"))
		}
		r.port = uint16(p)
	}
}
