package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"muster/collector"
)

// Telnet's commands and options (RFC 854, 857, 858, 1073, 1091).
const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWill = 251
	telnetWont = 252
	telnetDo   = 253
	telnetDont = 254
	telnetIAC  = 255

	optionEcho  = 1
	optionSGA   = 3 // suppress go-ahead
	optionTType = 24
	optionNAWS  = 31 // window size

	telnetRows = 255 // as the SSH shell asks for
	maxOption  = 256 // bytes of one subnegotiation that are kept
)

// telnet is the text of a Telnet connection: Read gives what the device printed,
// without commands and options, which it answers itself.
type telnet struct {
	net.Conn
	width int
	again []byte // what the login has read and the terminal is to see

	raw   [32 << 10]byte
	state func(*telnet, byte) (data bool)
	verb  byte   // WILL, WONT, DO or DONT whose option comes next
	sub   []byte // the subnegotiation under way
	cr    bool   // the byte before was CR
	reply []byte // answers that are still to be sent

	theirs, ours [256]bool // options that are on
}

func (t *telnet) Read(b []byte) (int, error) {
	if len(t.again) > 0 {
		n := copy(b, t.again)
		t.again = t.again[n:]
		return n, nil
	}
	for {
		n, err := t.Conn.Read(t.raw[:min(len(b), len(t.raw))])
		out := b[:0]
		for _, c := range t.raw[:n] {
			if t.state(t, c) {
				out = append(out, c)
			}
		}
		if len(t.reply) > 0 {
			_, werr := t.Conn.Write(t.reply)
			t.reply = t.reply[:0]
			err = errors.Join(err, werr)
		}
		if len(out) > 0 || err != nil || len(b) == 0 {
			return len(out), err
		}
	}
}

// Write sends text: a line ends with CR LF, and IAC is doubled (RFC 854).
func (t *telnet) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b)+2)
	for _, c := range b {
		switch c {
		case '\n':
			out = append(out, '\r', '\n')
		case telnetIAC:
			out = append(out, telnetIAC, telnetIAC)
		default:
			out = append(out, c)
		}
	}
	if _, err := t.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (t *telnet) text(c byte) bool {
	cr := t.cr
	t.cr = c == '\r'
	switch {
	case c == telnetIAC:
		t.state = (*telnet).command
		return false
	case c == 0 && cr:
		return false // CR NUL is a CR alone
	}
	return true
}

func (t *telnet) command(c byte) bool {
	t.state = (*telnet).text
	switch c {
	case telnetIAC:
		return true
	case telnetWill, telnetWont, telnetDo, telnetDont:
		t.verb, t.state = c, (*telnet).option
	case telnetSB:
		t.sub, t.state = t.sub[:0], (*telnet).subnegotiation
	}
	return false
}

// option answers an offer or a wish. What is on already is not confirmed again,
// or two sides could do so for ever (RFC 854).
func (t *telnet) option(o byte) bool {
	t.state = (*telnet).text
	switch t.verb {
	case telnetWill:
		if o != optionEcho && o != optionSGA {
			t.say(telnetDont, o)
		} else if !t.theirs[o] {
			t.theirs[o] = true
			t.say(telnetDo, o)
		}
	case telnetWont:
		if t.theirs[o] {
			t.theirs[o] = false
			t.say(telnetDont, o)
		}
	case telnetDo:
		if o != optionSGA && o != optionTType && o != optionNAWS {
			t.say(telnetWont, o)
			return false
		}
		if t.ours[o] {
			return false
		}
		t.ours[o] = true
		t.say(telnetWill, o)
		if o == optionNAWS {
			t.inform(optionNAWS, byte(t.width>>8), byte(t.width), telnetRows>>8, telnetRows&0xff)
		}
	case telnetDont:
		if t.ours[o] {
			t.ours[o] = false
			t.say(telnetWont, o)
		}
	}
	return false
}

func (t *telnet) subnegotiation(c byte) bool {
	if c == telnetIAC {
		t.state = (*telnet).subCommand
	} else if len(t.sub) < maxOption {
		t.sub = append(t.sub, c)
	}
	return false
}

func (t *telnet) subCommand(c byte) bool {
	const is, send = 0, 1
	t.state = (*telnet).subnegotiation
	switch {
	case c == telnetIAC && len(t.sub) < maxOption:
		t.sub = append(t.sub, c)
	case c == telnetSE:
		t.state = (*telnet).text
		if bytes.Equal(t.sub, []byte{optionTType, send}) && t.ours[optionTType] {
			t.inform(optionTType, append([]byte{is}, "VT100"...)...)
		}
	}
	return false
}

func (t *telnet) say(verb, option byte) { t.reply = append(t.reply, telnetIAC, verb, option) }

func (t *telnet) inform(option byte, value ...byte) {
	t.reply = append(t.reply, telnetIAC, telnetSB, option)
	t.reply = append(t.reply, bytes.ReplaceAll(value, []byte{telnetIAC}, []byte{telnetIAC, telnetIAC})...)
	t.reply = append(t.reply, telnetIAC, telnetSE)
}

// What a device asks at a Telnet login, or in a shell that asks for one, and what
// it says when it does not like the answer.
var (
	userQuestion = regexp.MustCompile(`(?i)(?:user ?name|user(?: ?id)?|log ?in(?: as| name)?|account) ?[:>]\s*$`)
	questionEnd  = regexp.MustCompile(`[:>]\s*$`)
	lastLogin    = regexp.MustCompile(`(?i)\blast\b`) // "Last login: …", on its way
	refusal      = regexp.MustCompile(`(?i)incorrect|invalid|denied|fail|\bbad\b|wrong|reject|not authori[sz]ed|错误|失败`)
)

func asksPassword(line []byte) bool {
	return passwordQuestion.Match(line) && questionEnd.Match(line) && !otherQuestion.Match(line)
}

func asksUser(line []byte) bool { return userQuestion.Match(line) && !lastLogin.Match(line) }

// telnetLogin answers the questions before the first prompt: the user's name and
// the password, each once.
type telnetLogin struct {
	d Dialogue

	c     *connection
	clean cleaner
	raw   []byte // what came since the last answer, for the terminal
	user  bool   // the name has left
	sent  bool   // the password has left
}

// dial connects and logs in by Telnet. There is no host key: whoever answers gets
// the password, and whoever listens reads it. That is why the scope has to say so.
func (l *telnetLogin) dial(ctx context.Context, t collector.Target, o Options, j *journal) (*connection, error) {
	c := &connection{t: t, lim: t.Limits.WithDefaults(), o: o, j: j}
	l.c = c
	if err := l.possible(); err != nil {
		j.begin(collector.StepLogin, t.Credential.Name)(err)
		return nil, err
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	c.nc.opening.end() // SSH's offer of algorithms does not come
	width := l.d.Width
	if width == 0 {
		width = defaultWidth
	}
	c.telnet = &telnet{Conn: c.nc, width: width, state: (*telnet).text}
	if o.MayLogIn != nil {
		if err := o.MayLogIn(ctx); err != nil {
			c.close()
			return nil, err
		}
	}
	now := c.phase(ctx, collector.StepLogin, t.Credential.Name, c.lim.Login)
	err := l.run()
	var e *collector.Error
	if err != nil && !errors.As(err, &e) {
		err = l.ended(ctx, now, err)
	}
	if err == nil && now.ctx.Err() != nil {
		err = l.ended(ctx, now, context.Cause(now.ctx))
	}
	if err == nil {
		c.method = "none"
		if l.sent {
			c.method = methodPassword
		}
		c.attempt(c.method, true)
		c.telnet.again = l.raw
	}
	now.end(err)
	if err != nil {
		c.close()
		return nil, err
	}
	j.note(fmt.Sprintf("%s by telnet, in clear", t.Credential.Name))
	return c, nil
}

// possible says what needs no connection to be known.
func (l *telnetLogin) possible() error {
	cr := l.c.t.Credential
	switch {
	case l.d.ExecOnly:
		return l.c.telnetLacks()
	case cr.Password.Empty():
		return l.c.fail(collector.StepLogin, collector.ErrNeedsCredential, nil,
			fmt.Sprintf("Give credential %s a password: scope %s says telnet, which knows no keys", l.c.credential(), collector.Escape(l.c.t.Scope)), nil)
	}
	return l.c.ofOneLine()
}

// ofOneLine refuses what cannot be typed as an answer of one line.
func (c *connection) ofOneLine() error {
	if cr := c.t.Credential; strings.ContainsAny(cr.User+cr.Password.Reveal(), "\r\n\x00") {
		return c.fail(collector.StepLogin, collector.ErrNeedsCredential, nil,
			fmt.Sprintf("Store a user and a password of one line each for credential %s: both are typed, and end with the line", c.credential()), nil)
	}
	return nil
}

// telnetLacks is the failure of what only SSH has.
func (c *connection) telnetLacks() error {
	return c.fail(collector.StepCommand, collector.ErrCommandRejected, nil,
		fmt.Sprintf("Read %s by SSH, in a scope without telnet: Telnet has neither exec requests nor files", c.name()), nil)
}

// run reads until the device has let us in.
func (l *telnetLogin) run() error {
	l.clean = cleaner{width: defaultWidth}
	buf := make([]byte, 4096)
	for {
		act, settle := l.judge()
		until := time.Time{}
		if act != nil {
			until = time.Now().Add(settle)
		}
		if err := l.c.nc.SetReadDeadline(until); err != nil {
			return err
		}
		n, err := l.c.telnet.Read(buf)
		if n > 0 {
			l.raw = append(l.raw, buf[:n]...)
			l.clean.feed(buf[:n])
			if len(l.raw) > maxOpening {
				if l.sent {
					l.c.attempt(methodPassword, false) // no verdict came: it may have been a refusal
				}
				return l.c.fail(collector.StepLogin, collector.ErrTooLarge, l.seen(), tooLong(maxOpening), nil)
			}
		}
		switch {
		case err == nil:
		case act != nil && n == 0 && errors.Is(err, os.ErrDeadlineExceeded):
			if in, err := act(); in || err != nil {
				return errors.Join(err, l.c.nc.SetReadDeadline(time.Time{}))
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return err
		}
	}
}

const maxOpening = 1 << 20 // bytes of banners before a login is done

// judge says what the line under way is to be answered with, and after how long
// a silence; nil: nothing yet.
func (l *telnetLogin) judge() (act func() (in bool, err error), settle time.Duration) {
	line := l.clean.line()
	switch {
	case len(bytes.TrimSpace(line)) == 0 || len(line) > lookBack:
		return nil, 0
	case asksPassword(line):
		return l.password, questionSettle
	case asksUser(line):
		return l.name, questionSettle
	case l.looksIn(line) && l.sent:
		return func() (bool, error) { return true, nil }, questionSettle
	case l.looksIn(line):
		// A device without a login. A banner may stop at such a line for a moment.
		return func() (bool, error) { return true, nil }, wakeUp
	}
	return nil, 0
}

// looksIn reports whether a line only comes to who is logged in.
func (l *telnetLogin) looksIn(line []byte) bool {
	if l.d.Prompt != nil && l.d.Prompt.Match(line) || l.d.Prompt == nil && anyPrompt.Match(line) {
		return true
	}
	for _, q := range l.d.Login {
		if l.sent && q.When.Match(line) {
			return true
		}
	}
	return l.d.Pager != nil && l.sent && l.d.Pager.Match(line)
}

func (l *telnetLogin) name() (bool, error) {
	if l.user || l.sent {
		return false, l.rejected()
	}
	l.user = true
	return false, l.answer(l.c.t.Credential.User)
}

func (l *telnetLogin) password() (bool, error) {
	if l.sent {
		return false, l.rejected()
	}
	l.sent = true
	return false, l.answer(l.c.t.Credential.Password.Reveal())
}

func (l *telnetLogin) answer(text string) error {
	l.clean, l.raw = cleaner{width: defaultWidth}, nil
	_, err := l.c.telnet.Write([]byte(text + "\n"))
	return err
}

// rejected is a question that comes again: the device did not like the answer.
func (l *telnetLogin) rejected() error {
	l.c.attempt(methodPassword, false)
	return (&authenticator{c: l.c}).rejected("telnet")
}

// ended says why a login that got no verdict is over. A password that is out may
// have been counted by the device: so do we.
func (l *telnetLogin) ended(ctx context.Context, now *phase, err error) error {
	stopped := l.c.stopped(ctx, now.ctx)
	if stopped == nil && l.sent && refusal.Match(l.seen()) {
		return l.rejected() // it said no and hung up
	}
	if l.sent {
		l.c.attempt(methodPassword, false)
	}
	switch {
	case stopped != nil && !errors.Is(stopped, collector.ErrTimedOut):
		return stopped
	case stopped != nil && len(l.seen()) > 0:
		return l.c.fail(collector.StepLogin, collector.ErrTimedOut, l.seen(),
			fmt.Sprintf("Log in to %[1]s by hand once and see what it waits for, or raise the login deadline: muster device set %[1]s --timeout 5m", l.c.name()), err)
	case stopped != nil:
		return l.c.fail(collector.StepLogin, collector.ErrTimedOut, nil,
			"Check the device's load and its authentication servers (TACACS+, RADIUS): it accepts connections but does not go on", err)
	}
	return l.c.fail(collector.StepLogin, collector.ErrClosed, l.seen(), hungUpTelnet(l.c), err)
}

// hungUpTelnet is what to do about a device that ends a Telnet session before the
// login is over.
func hungUpTelnet(c *connection) string {
	return fmt.Sprintf("Look in the log of %s for why it ends Telnet sessions", c.name())
}

func (l *telnetLogin) seen() []byte {
	return bytes.Clone(l.clean.all())
}
