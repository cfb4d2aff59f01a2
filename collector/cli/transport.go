package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/scrapli/scrapligo/channel"
	"github.com/scrapli/scrapligo/driver/options"
	"github.com/scrapli/scrapligo/logging"
	"github.com/scrapli/scrapligo/transport"
	"golang.org/x/crypto/ssh"
)

// terminal is scrapligo's transport over a shell on our own connection.
//
// A pump takes the device's bytes as they come and cleans them; Read hands on
// what is ripe: up to the line that is being written, when that line is one to
// act on (a prompt, a pager, a question) or when the device has been silent in
// the middle of it. Text that ends in a newline is never ripe: more will come.
// So one answer is one chunk, nobody polls, and since scrapligo sees no CR and
// no escape it changes nothing (libs.md §1: it drops and breaks both).
//
// A chunk is a NUL (the cleaner lets none through; scrapligo drops empty chunks) and
// the line that is being written, which the next chunk's takes the place of. The
// finished lines before it wait in texts: scrapligo would copy a configuration twice.
type terminal struct {
	rw   io.ReadWriter
	side io.Reader     // a second stream of the device, as SSH has; nil: none
	wake chan struct{} // to the console: all chunks so far are in scrapligo's queue
	more chan struct{} // to Read: look again
	done chan struct{} // closed by Close
	once sync.Once
	wg   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	clean    cleaner
	act      func(line, lines []byte) bool // a line to act on: the one being written, with the end of the text before it
	limit    int64                         // bytes of finished lines that an answer may have
	got      int64                         // bytes of the answer so far, as received
	handed   int64                         // bytes of finished lines handed on since the answer began
	texts    [][]byte                      // of each chunk that is on its way or in scrapligo's queue, in order
	last     time.Time                     // when the last byte came
	fresh    bool                          // bytes came since the last chunk
	inFlight bool                          // a chunk is on its way into scrapligo's queue
	force    bool                          // hand on what is there
	armed    bool                          // Read has a timer running
	ended    bool                          // the device closed the channel
	tooLarge bool
}

const (
	ripeSilence = 100 * time.Millisecond // silence after which an unfinished line is handed on
	handOn      = 256 << 10              // finished bytes that are handed on without waiting
	lookBack    = 1000                   // bytes before the line that act gets to see
)

// memory is slices that one session after the other uses: what the garbage
// collector would have to find and clear again is as large as what was read.
type memory struct{ pool sync.Pool }

var (
	grown   memory // of cleaners
	packets memory // of pumps
)

func (m *memory) get() []byte {
	b, _ := m.pool.Get().(*[]byte)
	if b == nil {
		return nil
	}
	return (*b)[:0]
}

// put takes memory that nobody looks at any more. A small one is not worth it; a
// very large one is rare and is better given back.
func (m *memory) put(b []byte) {
	if cap(b) > smallest && cap(b) <= 1<<20 {
		m.pool.Put(&b)
	}
}

const smallest = 4 << 10

func newTerminal(rw io.ReadWriter, side io.Reader, width int, limit int64) *terminal {
	return &terminal{
		rw: rw, side: side, limit: limit, last: time.Now(), clean: cleaner{width: width},
		wake: make(chan struct{}, 1), more: make(chan struct{}, 1), done: make(chan struct{}),
		act: func([]byte, []byte) bool { return false },
	}
}

// over puts scrapligo's channel over the terminal and starts both.
func (t *terminal) over() (*channel.Channel, error) {
	log, err := logging.NewInstance()
	if err != nil {
		return nil, err
	}
	tr, err := transport.NewTransport(log, "", "", options.WithCustomTransport(t))
	if err != nil {
		return nil, err
	}
	ch, err := channel.NewChannel(log, tr, options.WithAuthBypass())
	if err != nil {
		return nil, err
	}
	return ch, ch.Open()
}

// Open starts the pumps; the shell is there already.
func (t *terminal) Open(*transport.Args) error {
	t.wg.Go(func() { t.pump(t.rw, true) })
	if t.side != nil {
		t.wg.Go(func() { t.pump(t.side, false) })
	}
	return nil
}

// Close ends Read. The pumps end with the connection.
func (t *terminal) Close() error {
	t.once.Do(func() { close(t.done) })
	signal(t.wake)
	return nil
}

// release gives the memory back, once the pumps have ended.
func (t *terminal) release() {
	t.wg.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	grown.put(t.clean.out)
	t.clean = cleaner{}
	t.fresh = false
}

// IsAlive is asked by nobody here; scrapligo's interface wants it.
func (t *terminal) IsAlive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.ended
}

// Write sends b to the device.
func (t *terminal) Write(b []byte) error {
	_, err := t.rw.Write(b)
	return err
}

// pump cleans what the device sends until the channel ends. Unread, a device's
// standard error would fill the window that the main stream needs.
func (t *terminal) pump(r io.Reader, main bool) {
	buf := make([]byte, 1<<10)
	if main {
		const most = 32 << 10 // what x/crypto takes from one packet at most
		buf = slices.Grow(packets.get(), most)[:most]
		defer packets.put(buf)
	}
	for {
		n, err := r.Read(buf)
		t.mu.Lock()
		if n > 0 {
			t.last, t.fresh = time.Now(), true
			t.got += int64(n)
			// Beyond the limit bytes are counted and dropped: the answer has failed.
			// What is wiped off counts too, or it could go on for ever.
			if !t.tooLarge {
				t.makeRoom(n)
				t.clean.feed(buf[:n])
			}
			t.tooLarge = t.tooLarge || t.handed+int64(len(t.clean.out)) > t.limit || t.got > 4*t.limit+1<<20
		}
		if err != nil && main {
			t.ended = true
		}
		look := t.ended || t.ripe() || len(t.clean.line()) > 0 && !t.armed
		t.mu.Unlock()
		if look {
			signal(t.more)
		}
		if err != nil {
			return
		}
	}
}

// ripe says whether what is there should be handed on now. t.mu is held.
func (t *terminal) ripe() bool {
	switch {
	case t.inFlight:
		return false
	case t.force:
		return true
	case !t.fresh:
		return false
	case t.ended, t.tooLarge, t.clean.finished() >= handOn:
		return true
	}
	lines := t.clean.out[:t.clean.start]
	return t.act(t.clean.line(), lines[max(0, len(lines)-lookBack):])
}

// Read gives scrapligo one ripe chunk. That it is called again means that the
// chunk before is in scrapligo's queue: the console is woken. The end of the
// stream is held back until Close, since scrapligo drops what is queued once
// its reader has ended (193 of 200 answers lost).
func (t *terminal) Read(int) ([]byte, error) {
	t.mu.Lock()
	if t.inFlight {
		t.inFlight = false
		signal(t.wake)
	}
	t.mu.Unlock()
	for {
		t.mu.Lock()
		silent := ripeSilence - time.Since(t.last)
		if t.ripe() || t.fresh && len(t.clean.line()) > 0 && silent <= 0 {
			chunk := t.chunk()
			t.mu.Unlock()
			return chunk, nil
		}
		if t.ended {
			signal(t.wake)
		}
		var timer <-chan time.Time
		if t.armed = t.fresh && len(t.clean.line()) > 0; t.armed {
			timer = time.After(silent)
		}
		t.mu.Unlock()
		select {
		case <-t.done:
			return nil, io.EOF
		case <-t.more:
		case <-timer:
		}
	}
}

// makeRoom gets memory for n more bytes, which an answer holds while it comes and not
// between answers: most of a session's time passes there. t.mu is held.
func (t *terminal) makeRoom(n int) {
	out := t.clean.out
	if cap(out)-len(out) >= n {
		return
	}
	if b := grown.get(); cap(b) >= len(out)+n {
		t.clean.out = append(b, out...)
		grown.put(out)
	}
}

// chunk takes what is there. t.mu is held.
func (t *terminal) chunk() []byte {
	text := t.clean.take()
	if out := t.clean.out; cap(out) > smallest && len(out) < smallest {
		t.clean.out = append(make([]byte, 0, len(out)+128), out...)
		grown.put(out)
	}
	t.handed += int64(len(text))
	t.texts = append(t.texts, text)
	t.fresh, t.force, t.inFlight = false, false, true
	line := t.clean.line()
	return append(append(make([]byte, 0, 1+len(line)), 0), line...)
}

// text is the finished lines of the oldest chunk whose lines nobody has.
func (t *terminal) text() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.texts[0]
	t.texts[0] = nil
	t.texts = t.texts[1:]
	return text
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// expect says which lines are to be acted on from now.
func (t *terminal) expect(act func(line, lines []byte) bool) {
	t.mu.Lock()
	t.act = act
	t.mu.Unlock()
	signal(t.more)
}

// began starts the count of a new answer.
func (t *terminal) began() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got, t.handed, t.last = 0, 0, time.Now()
}

// flush makes Read hand on what is there, ripe or not.
func (t *terminal) flush() {
	t.mu.Lock()
	t.force = t.fresh
	t.mu.Unlock()
	signal(t.more)
}

// unseen is the end of what nobody was handed yet, with the line under way; nil
// where the console has it all.
func (t *terminal) unseen(n int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.fresh {
		return nil
	}
	return bytes.Clone(t.clean.out[max(0, len(t.clean.out)-n):])
}

// status is what the console has to know beside the text.
type status struct {
	got      int64
	last     time.Time
	pending  bool // there is more text on its way to the console
	ended    bool
	tooLarge bool
}

func (t *terminal) status() status {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := status{t.got, t.last, t.fresh || t.inFlight, t.ended, t.tooLarge}
	select {
	case <-t.done: // Close: nothing is handed on any more
		st.ended, st.pending = true, false
	default:
	}
	return st
}

// wiping makes the pager void that the console is about to answer. It is false
// where the line has changed since the console saw it.
func (t *terminal) wiping(line []byte, from, to int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh || !bytes.Equal(t.clean.line(), line) {
		return false
	}
	t.clean.wipe(from, to)
	return true
}

// breakAt ends the line under way at byte n, where it is still the one that the
// console saw: the device has not returned a line end that was sent.
func (t *terminal) breakAt(line []byte, n int) {
	t.mu.Lock()
	if !t.fresh && bytes.Equal(t.clean.line(), line) {
		t.clean.breakAt(n)
		t.fresh, t.force = true, true
	}
	t.mu.Unlock()
	signal(t.more)
}

// shell asks for a terminal and a shell on a channel.
func shell(ch ssh.Channel, width int) error {
	// TERM vt100 keeps readline from bracketed paste and most colours; 255 rows
	// is what scrapligo asks for, so devices know it. Echo stays on: the answer is
	// held against it.
	var modes []byte
	for _, m := range [][2]uint32{{ssh.ECHO, 1}, {ssh.TTY_OP_ISPEED, 38400}, {ssh.TTY_OP_OSPEED, 38400}} {
		modes = binary.BigEndian.AppendUint32(append(modes, byte(m[0])), m[1])
	}
	pty := ssh.Marshal(struct {
		Term                      string
		Columns, Rows, Wide, High uint32
		Modes                     string
	}{"vt100", uint32(width), 255, 0, 0, string(append(modes, 0))})
	if _, err := ch.SendRequest("pty-req", true, pty); err != nil {
		return err // a refusal is none: what counts is that a prompt comes
	}
	switch ok, err := ch.SendRequest("shell", true, nil); {
	case err != nil:
		return err
	case !ok:
		return errNoShell
	}
	return nil
}

var errNoShell = errors.New("the device refused to start a shell")
