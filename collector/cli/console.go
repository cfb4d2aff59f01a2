package cli

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/scrapli/scrapligo/channel"
)

// console is a terminal with a dialogue on it: what was printed since the last
// line that we sent, and waiting for it to become something to act on.
type console struct {
	t     *terminal
	ch    *channel.Channel
	enter string // ends a line that is sent
	lines []byte // finished lines since the last send; the first begins with the prompt
	line  []byte // the line that is being written
}

// verdict is what the text on the console is.
type verdict int

const (
	unfinished verdict = iota
	atPrompt
	atPager
	atQuestion
	atPassword // the question for the enable password
)

// Reasons for which wait ends without a verdict.
type waitEnd int

const (
	found waitEnd = iota
	silent
	closedByDevice
	overLimit
	stopped // the context ended
)

// patience says how long wait waits.
type patience struct {
	first   time.Duration // for the first byte of an answer
	silence time.Duration // for the next ones
	answers func() bool   // whether the answer has begun; nil: it has
	settle  func(verdict) time.Duration
}

// drain takes what is in scrapligo's queue.
func (c *console) drain() {
	for {
		b, err := c.ch.Read()
		if err != nil || b == nil {
			return
		}
		text := c.t.text()
		if c.lines == nil && len(text) > 0 {
			c.lines = text
		} else {
			if free := cap(c.lines) - len(c.lines); free < len(text) { // append grows by a quarter: a large text would be copied five times
				c.lines = slices.Grow(c.lines, max(len(text), len(c.lines)))
			}
			c.lines = append(c.lines, text...)
		}
		c.line = b[1:]
	}
}

// send writes one line in one piece and begins a new text with the line that
// stands there.
func (c *console) send(line string) error {
	c.lines = nil
	c.t.began()
	return c.t.Write([]byte(line + c.enter))
}

// wait waits until judge finds something to act on and nothing more has come for
// its settle time, or until it is clear that it will not.
func (c *console) wait(ctx context.Context, p patience, judge func() verdict) (verdict, waitEnd) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due time.Time // when a verdict will have stood long enough; zero: none stands
	stalled := false  // it was looked at far too late once
	for {
		// First the time: who is held up between these lines waits longer, not less.
		// A chunk that comes between them is not judged yet.
		now, before := time.Now(), c.t.status().pending
		c.drain()
		st := c.t.status()
		st.pending = st.pending || before
		if st.tooLarge {
			return unfinished, overLimit
		}
		v := judge()
		var again time.Duration
		switch {
		case st.ended && !st.pending:
			// Also at a prompt: a line that only looks like one may have been cut there.
			return unfinished, closedByDevice
		case v != unfinished && !st.pending:
			settle := p.settle(v)
			again = settle - now.Sub(st.last)
			if again <= 0 && !due.IsZero() && !stalled && now.Sub(due) > settle {
				// The whole process may have stood still, as a virtual machine does while it
				// is moved: what came meanwhile waits in the kernel.
				stalled, again = true, settle
			}
			if again <= 0 {
				return v, found
			}
			due = now.Add(again)
		default:
			due = time.Time{}
			if p.answers == nil || p.answers() {
				again = p.silence - now.Sub(later(st.last, start))
			} else {
				// Whatever comes first within the next silence is noticed in time.
				again = min(p.first-now.Sub(start), p.silence)
			}
			if again <= 0 && !st.pending {
				return v, silent
			}
			if again <= 0 {
				c.t.flush()
				again = ripeSilence
			}
		}
		timer.Reset(again)
		select {
		case <-ctx.Done():
			c.drain()
			return unfinished, stopped
		case <-c.t.wake:
		case <-timer.C:
			if v == unfinished {
				c.t.flush()
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tail is the end of all that was printed since the last send.
func (c *console) tail(n int) []byte {
	b := append(bytes.Clone(c.lines[max(0, len(c.lines)-n):]), c.line...)
	return b[max(0, len(b)-n):]
}
