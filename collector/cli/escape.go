package cli

import (
	"bytes"
	"unicode/utf8"
)

// States of the escape parser.
const (
	inText = iota
	inEsc
	inInter // ESC and an intermediate byte: one final byte follows
	inCSI
	inString // OSC, DCS, SOS, PM, APC: ends at BEL or ST
	inStringEsc
)

// escape takes one byte of an escape sequence.
func (c *cleaner) escape(b byte) {
	switch c.state {
	case inEsc:
		c.state = inText
		switch {
		case b == '[':
			c.state, c.esc, c.escN, c.escPri = inCSI, [2]int{}, 0, false
		case b == ']' || b == 'P' || b == 'X' || b == '^' || b == '_':
			c.state, c.skip = inString, 0
		case b >= 0x20 && b <= 0x2f:
			c.state = inInter
		case b == 'E' || b == 'D':
			c.newline()
		case b == '7':
			c.saved = c.cell()
		case b == '8':
			c.act()
			c.column(c.saved)
		case b == 'c':
			c.act()
			c.erase(0, len(c.out)-c.start)
		case b == 0x1b:
			c.state = inEsc
		case b < 0x20:
			c.feed([]byte{b}) // a control inside acts; the sequence is over
		}
	case inInter:
		if b < 0x20 || b > 0x2f {
			c.state = inText
		}
	case inCSI:
		c.csi(b)
	case inString, inStringEsc:
		c.skip++
		switch {
		case b == 0x07 || c.state == inStringEsc && b == '\\':
			c.state = inText
		case b == '\n' || c.skip > maxString:
			// Never closed: it must not swallow the answer.
			c.state = inText
			if b == '\n' {
				c.newline()
			}
		case b == 0x1b:
			c.state = inStringEsc
		default:
			c.state = inString
		}
	}
}

// csi takes one byte of a control sequence and acts on the last.
func (c *cleaner) csi(b byte) {
	switch {
	case b >= '0' && b <= '9':
		if c.escN < len(c.esc) {
			c.esc[c.escN] = min(c.esc[c.escN]*10+int(b-'0'), maxColumn)
		}
		return
	case b == ';':
		c.escN++
		return
	case b >= 0x3a && b <= 0x3f || b >= 0x20 && b <= 0x2f:
		c.escPri = true
		return
	case b == 0x1b:
		c.state = inEsc
		return
	case b < 0x20:
		c.state = inText
		c.feed([]byte{b})
		if c.state == inText {
			c.state = inCSI
		}
		if b == '\n' {
			c.state = inText
		}
		return
	}
	c.state = inText
	if c.escPri || b == 'm' {
		return
	}
	c.act()
	n, end := max(c.esc[0], 1), len(c.out)-c.start
	switch b {
	case 'C', 'a':
		c.column(c.cell() + n)
	case 'D':
		c.left(n)
	case 'G', '`':
		c.column(n - 1)
	case 'H', 'f':
		c.column(max(c.esc[1], 1) - 1)
	case 'E', 'F':
		c.column(0)
	case 'J', 'K':
		switch c.esc[0] {
		case 0:
			c.erase(c.pos, end)
		case 1:
			c.erase(0, min(c.pos+1, end))
		default:
			c.erase(0, end)
		}
	case 'P', 'X', '@':
		c.edit(b, n)
	}
}

// edit deletes, erases or inserts n cells at the cursor.
func (c *cleaner) edit(what byte, n int) {
	if c.long() {
		return
	}
	switch what {
	case 'P':
		c.cut(c.pos, c.after(n))
	case 'X':
		c.erase(c.pos, c.after(n))
	default:
		c.voids()
		ins := bytes.Repeat([]byte(" "), min(n, maxColumn-min(c.pos, maxColumn)))
		c.out = append(c.out[:c.start+c.pos], append(ins, c.out[c.start+c.pos:]...)...)
		c.void = append(c.void[:c.pos], append(make([]bool, len(ins)), c.void[c.pos:]...)...)
	}
}

// after is the offset n cells behind the cursor.
func (c *cleaner) after(n int) int {
	line, to := c.out[c.start:], c.pos
	for ; n > 0 && to < len(line); n-- {
		_, size := utf8.DecodeRune(line[to:])
		to += size
	}
	return to
}
