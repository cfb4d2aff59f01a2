package cli

import (
	"errors"
	"sync"
	"time"

	"muster/collector"
)

// journal keeps the steps of a session as they went.
type journal struct {
	progress func(collector.Step, string)

	mu    sync.Mutex // guards steps: a host key is checked on another goroutine
	steps []collector.StepTime
}

// begin notes the start of a step; what it returns notes the end.
func (j *journal) begin(step collector.Step, detail string) func(error) {
	if j.progress != nil {
		j.progress(step, detail)
	}
	start := time.Now()
	return func(err error) {
		s := collector.StepTime{Step: step, Detail: detail, TookMs: time.Since(start).Milliseconds()}
		var e *collector.Error
		if errors.As(err, &e) {
			s.Step, s.Kind, s.Seen, s.Do = e.Step, e.Kind, e.Seen, e.Do
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.steps = append(j.steps, s)
	}
}

// note adds to the last step what its start could not know.
func (j *journal) note(detail string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.steps); n > 0 {
		j.steps[n-1].Detail = detail
	}
}

func (j *journal) all() []collector.StepTime {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]collector.StepTime(nil), j.steps...)
}
