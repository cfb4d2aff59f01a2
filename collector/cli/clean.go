package cli

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// cleaner turns the bytes of a terminal into the text that a person would have
// read on an endless one, in one pass and whatever way the bytes were cut.
//
// It is a terminal of one line: LF ends the line, CR, BS and the cursor
// sequences move in it, what is printed there overwrites, erasing erases.
// Colours, titles and all other escapes, NUL, BEL and DEL vanish; tabs, other
// bytes and blanks at the end of a line stay, since the device printed them.
//
// What a device wipes off (a pager's prompt, mostly) leaves nothing: blanks that
// only cover something else are not text. That is why a line knows which of its
// cells are void.
//
// libs.md §1: scrapligo drops every CR, leaves escapes that were split and
// breaks OSC; so it gets to see only what comes out here.
type cleaner struct {
	width int    // columns that the device was told; 0: not told
	out   []byte // finished lines, then the line that is being written
	start int    // where that line begins in out
	pos   int    // cursor: offset in the line, at the start of a rune
	void  []bool // per byte of the line: wiped; nil: no byte is

	// A pass is what is printed between two movements to the left.
	passFrom  int  // offset where the pass began
	passBlank bool // nothing but blanks so far
	passOver  bool // it began over a cell that was there
	passText  bool // at least one of the covered cells was text
	marked    bool // the line held a pager that was answered: blanks wipe it
	wiped     bool // a pass of blanks has done so
	fresh     bool // marked, and nothing has come since: a line end would be the pager's
	crs       int  // CRs whose movement waits for what follows: a LF takes one of them

	state  byte   // of the escape parser
	esc    [2]int // parameters of a CSI sequence
	escN   int
	escPri bool // a private marker or an intermediate byte: not ours to act on
	skip   int  // bytes of a string sequence (OSC, DCS, …) so far
	saved  int  // column of DECSC
}

const (
	maxString = 4096 // a string sequence longer than this is none
	maxColumn = 1024 // how far the cursor may be sent behind the end of a line
	maxMoves  = 4096 // in a line longer than this the cursor stays at the end: moving would cost the square
)

// plain says which bytes need no thought.
var plain = func() (t [256]bool) {
	for i := range t {
		t[i] = i >= 0x20 && i != 0x7f || i == '\t'
	}
	for _, c := range []byte{1, 2, 3, 4, 5, 6, 0x0b, 0x0c, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1c, 0x1d, 0x1e, 0x1f} {
		t[c] = true
	}
	return t
}()

// feed takes the next bytes, however they were cut.
func (c *cleaner) feed(b []byte) {
	c.out = slices.Grow(c.out, len(b))
	for i := 0; i < len(b); {
		if c.state != inText {
			c.escape(b[i])
			i++
			continue
		}
		if plain[b[i]] {
			j := i + 1
			for j < len(b) && plain[b[j]] {
				j++
			}
			c.print(b[i:j])
			i = j
			continue
		}
		switch b[i] {
		case '\n':
			c.crs = max(c.crs-1, 0) // its own CR
			c.newline()
		case '\r':
			// The usual line end needs no thought about the cursor.
			if i+1 < len(b) && b[i+1] == '\n' {
				i++
				c.newline()
				break
			}
			c.crs++
		case '\b':
			c.act()
			c.left(1)
		case 0x1b:
			c.state = inEsc
		}
		i++
	}
}

// line is the line that is being written, without what was wiped off its end.
func (c *cleaner) line() []byte { return c.out[c.start : c.start+c.visible()] }

// all is every line, with the one that is being written.
func (c *cleaner) all() []byte { return c.out[:c.start+c.visible()] }

// finished are the bytes of finished lines that nobody has taken.
func (c *cleaner) finished() int { return c.start }

// take gives the finished lines away. The cleaner keeps its memory, which has grown
// to the size of the longest answer.
func (c *cleaner) take() []byte {
	b := bytes.Clone(c.out[:c.start:c.start])
	c.out = append(c.out[:0], c.out[c.start:]...)
	c.start = 0
	return b
}

// wipe makes the bytes [from, to) of the current line void: the pager's prompt,
// once it is answered.
func (c *cleaner) wipe(from, to int) {
	c.voids()
	for i := max(from, 0); i < min(to, len(c.void)); i++ {
		c.void[i] = true
	}
	c.marked, c.wiped, c.fresh = true, false, true
	c.newPass()
}

// breakAt ends the line at byte n; what stood behind it is the next one.
func (c *cleaner) breakAt(n int) {
	rest := bytes.Clone(c.line()[n:])
	c.out, c.pos = c.out[:c.start+n], n
	c.void = c.void[:min(n, len(c.void))]
	c.newline()
	c.feed(rest)
}

// visible is the length of the line without void cells at its end.
func (c *cleaner) visible() int {
	n := len(c.out) - c.start
	for n > 0 && n <= len(c.void) && c.void[n-1] {
		n--
	}
	return n
}

// voids makes void as long as the line.
func (c *cleaner) voids() {
	for n := len(c.out) - c.start; len(c.void) < n; {
		c.void = append(c.void, false)
	}
}

func (c *cleaner) newline() {
	// A pass of blanks that ends here is text, unless the cursor went back first
	// or the pager is not wiped yet.
	if c.crs > 0 || c.marked && !c.wiped {
		c.endPass()
	}
	n := c.visible()
	if c.fresh && n == 0 && c.crs == 0 {
		// The pager's own line end behind its prompt: no line of the answer.
		c.out = c.out[:c.start]
	} else {
		for i := range min(n, len(c.void)) {
			if c.void[i] {
				c.out[c.start+i] = ' '
			}
		}
		c.out = append(c.out[:c.start+n], '\n')
		c.start = len(c.out)
	}
	c.pos, c.void, c.crs = 0, c.void[:0], 0
	c.marked, c.wiped, c.fresh = false, false, false
	c.newPass()
}

// act does what a CR stands for, once it is clear that no LF follows it.
func (c *cleaner) act() {
	if c.crs == 0 {
		return
	}
	c.crs = 0
	if end := len(c.out) - 1; c.width > 0 && c.pos > c.width && c.out[end] == ' ' && c.start+c.pos == end+1 && c.cell()%c.width == 1 {
		// A line editor's way into the next row: a blank behind the last column, CR.
		c.out, c.pos = c.out[:end], c.pos-1
		return
	}
	c.moveTo(0)
}

// print writes a run of plain bytes at the cursor.
func (c *cleaner) print(b []byte) {
	c.act()
	c.fresh = false
	if c.pos == len(c.out)-c.start {
		c.passBlank = c.passBlank && blank(b)
		c.out = append(c.out, b...)
		c.pos += len(b)
		return
	}
	c.voids()
	for _, ch := range b {
		c.overwrite(ch)
	}
}

func blank(b []byte) bool {
	for _, ch := range b {
		if ch != ' ' {
			return false
		}
	}
	return true
}

// overwrite puts one byte over the cell at the cursor. A cell is a rune: the
// byte that begins one takes the place of a whole one, the bytes that follow in
// it are inserted.
func (c *cleaner) overwrite(ch byte) {
	at := c.start + c.pos
	if ch != ' ' {
		c.passBlank = false
	}
	switch {
	case at == len(c.out):
		c.out = append(c.out, ch)
		c.void = append(c.void, false)
	case ch&0xc0 == 0x80 && !c.long():
		c.out = append(c.out, 0)
		copy(c.out[at+1:], c.out[at:])
		c.out[at] = ch
		c.void = append(c.void, false)
		copy(c.void[c.pos+1:], c.void[c.pos:])
		c.void[c.pos] = false
	default:
		if !c.void[c.pos] {
			c.passText = true
		}
		if _, n := utf8.DecodeRune(c.out[at:]); n > 1 {
			c.cut(c.pos+1, c.pos+n)
		}
		c.out[at] = ch
		c.void[c.pos] = false
	}
	c.pos++
}

// cut removes the bytes [from, to) of the line.
func (c *cleaner) cut(from, to int) {
	n := len(c.out) - c.start
	from, to = min(from, n), min(to, n)
	if from >= to {
		return
	}
	c.voids()
	c.out = append(c.out[:c.start+from], c.out[c.start+to:]...)
	c.void = append(c.void[:from], c.void[to:]...)
}

// endPass decides whether what was printed since the last movement was text, or
// only blanks that wiped something off.
func (c *cleaner) endPass() {
	if c.pos > c.passFrom && c.passBlank && c.passOver && (c.passText || c.marked) {
		c.voids()
		for i := c.passFrom; i < c.pos; i++ {
			c.void[i] = true
		}
		c.wiped = true
	}
}

func (c *cleaner) newPass() {
	c.passFrom, c.passBlank, c.passText = c.pos, true, false
	c.passOver = c.pos < len(c.out)-c.start
}

// moveTo puts the cursor at byte offset to of the line.
func (c *cleaner) moveTo(to int) {
	if c.long() {
		return
	}
	c.endPass()
	c.fresh = false
	c.pos = to
	c.newPass()
}

// long says that the line is too long for a terminal's tricks.
func (c *cleaner) long() bool { return len(c.out)-c.start > maxMoves }

// left moves the cursor n cells to the left.
func (c *cleaner) left(n int) {
	to := c.pos
	for ; n > 0 && to > 0; n-- {
		_, size := utf8.DecodeLastRune(c.out[c.start : c.start+to])
		to -= size
	}
	c.moveTo(to)
}

// column moves the cursor to cell n, counted from 0; behind the end of the line
// it goes over void cells.
func (c *cleaner) column(n int) {
	if c.long() {
		return
	}
	n = min(n, maxColumn)
	to := 0
	line := c.out[c.start:]
	for ; n > 0 && to < len(line); n-- {
		_, size := utf8.DecodeRune(line[to:])
		to += size
	}
	if n > 0 {
		c.voids()
	}
	for ; n > 0; n-- {
		c.out = append(c.out, ' ')
		c.void = append(c.void, true)
		to++
	}
	c.moveTo(to)
}

// cell is the number of the cell at the cursor, counted from 0.
func (c *cleaner) cell() int {
	if c.long() {
		return maxColumn
	}
	return utf8.RuneCount(c.out[c.start : c.start+c.pos])
}

// erase removes the line's bytes [from, to): off its end for good, before the
// cursor by making them void.
func (c *cleaner) erase(from, to int) {
	if c.long() {
		return
	}
	c.voids()
	c.endPass()
	c.fresh = false
	n := len(c.out) - c.start
	from, to = min(from, n), min(to, n)
	for i := from; i < to; i++ {
		c.void[i] = true
	}
	if keep := max(from, min(c.pos, n)); to == n {
		c.out, c.void = c.out[:c.start+keep], c.void[:keep]
	}
	c.newPass()
}
