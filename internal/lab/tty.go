package lab

import (
	"bytes"
	"errors"
	"io"
	"time"
)

var (
	errLineKilled = errors.New("line killed")  // Ctrl-C
	errLogout     = errors.New("end of input") // Ctrl-D on an empty line
)

// tty is the device's side of a terminal. Output is collected and sent when the
// device is about to wait for input, so an answer is one or two packets.
type tty struct {
	rw     io.ReadWriter
	gone   <-chan struct{} // closed when the connection has ended
	rbuf   []byte
	rpos   int
	rn     int
	lastCR bool
	out    []byte
	err    error
}

func newTTY(rw io.ReadWriter, gone <-chan struct{}) *tty {
	return &tty{rw: rw, gone: gone, rbuf: make([]byte, 1024)}
}

// sleep waits for d or until the connection has ended; false: it has.
func (t *tty) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t.flush()
	tm := time.NewTimer(d)
	defer tm.Stop()
	select {
	case <-tm.C:
		return true
	case <-t.gone:
		return false
	}
}

func (t *tty) flush() {
	if len(t.out) > 0 && t.err == nil {
		_, t.err = t.rw.Write(t.out)
	}
	t.out = t.out[:0]
}

// write queues b; large pieces go out directly, without being copied.
func (t *tty) write(b []byte) {
	if len(b) < 4096 {
		t.out = append(t.out, b...)
		return
	}
	t.flush()
	if t.err == nil {
		_, t.err = t.rw.Write(b)
	}
}

func (t *tty) puts(s string) { t.out = append(t.out, s...) }

// key returns the next byte typed; CR LF counts as one CR.
func (t *tty) key() (byte, error) {
	for {
		if t.rpos == t.rn {
			t.flush()
			if t.err != nil {
				return 0, t.err
			}
			n, err := t.rw.Read(t.rbuf)
			if t.rpos, t.rn = 0, n; n == 0 {
				if err == nil {
					err = io.EOF
				}
				return 0, err
			}
		}
		c := t.rbuf[t.rpos]
		t.rpos++
		if c == '\n' && t.lastCR {
			t.lastCR = false
			continue
		}
		t.lastCR = c == '\r'
		return c, nil
	}
}

// readLine reads a line up to CR, LF or CR LF. With echo it echoes what is typed
// as it arrives; the line end itself is not echoed.
func (t *tty) readLine(echo bool) (string, error) {
	var line []byte
	for {
		c, err := t.key()
		if err != nil {
			return string(line), err
		}
		switch {
		case c == '\r' || c == '\n':
			return string(line), nil
		case c == 0x08 || c == 0x7f:
			if len(line) > 0 {
				line = line[:len(line)-1]
				if echo {
					t.puts("\b \b")
				}
			}
		case c == 0x15: // Ctrl-U
			if echo {
				t.out = append(t.out, bytes.Repeat([]byte("\b \b"), len(line))...)
			}
			line = line[:0]
		case c == 0x03:
			return "", errLineKilled
		case c == 0x04:
			if len(line) == 0 {
				return "", errLogout
			}
		case c >= 0x20:
			line = append(line, c)
			if echo {
				t.out = append(t.out, c)
			}
		}
	}
}

// pager is a platform's pager.
type pager struct {
	prompt string // shown at the end of a page
	wipe   string // sent after a key, before the text goes on
	rows   int    // lines in a page where the terminal's size does not say
	pty    bool   // the terminal's size says how many lines make a page
	anyEnd bool   // any key but space and return ends the output
}

// page writes text (CR LF lines) a page at a time. The user may end it early.
func (t *tty) page(text []byte, p pager) error {
	left := p.rows
	for len(text) > 0 {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			t.write(text)
			return nil
		}
		t.write(text[:i+1])
		text = text[i+1:]
		if left--; left > 0 || len(text) == 0 {
			continue
		}
		t.puts(p.prompt)
		for left == 0 {
			c, err := t.key()
			switch {
			case err != nil:
				return err
			case c == ' ' || c == 'f':
				left = p.rows
			case c == '\r' || c == '\n':
				left = 1
			case c == 'q' || c == 'Q' || c == 0x03 || p.anyEnd:
				t.puts(p.wipe)
				return nil
			}
		}
		t.puts(p.wipe)
	}
	return nil
}

// crlf turns LF line ends into CR LF.
func crlf(s string) []byte { return bytes.ReplaceAll([]byte(s), []byte("\n"), []byte("\r\n")) }
