package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"muster/backup"
	"muster/collector"
	"muster/internal/schedule"
	"muster/inventory"
)

// start begins a run and streams it until it ends.
func (s *Server) start(job string, ask func(RunRequest) schedule.Request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req RunRequest
		if err := body(r, &req); err != nil {
			refuse(w, err)
			return
		}
		run, err := s.runs.Start(r.Context(), job, ask(req))
		if err != nil {
			refuse(w, err)
			return
		}
		st := lines(w)
		st.end(s.follow(r.Context(), run.ID, st))
		// Whoever asked has gone: what he started ends with him, politely.
		if r.Context().Err() != nil {
			_ = s.runs.Stop(context.WithoutCancel(r.Context()), run.ID)
		}
	}
}

// follow sends a run's progress and results as lines.
func (s *Server) follow(ctx context.Context, id int64, st *stream) error {
	var last schedule.Run
	said := ""
	for item, err := range s.runs.Watch(ctx, id) {
		if err != nil {
			return err
		}
		if item.Run != nil {
			last = *item.Run
			st.send(Line{Progress: &Progress{Done: last.Done, Total: last.Total}})
			if last.Message != "" && last.Message != said {
				said = last.Message
				st.send(Line{Note: said})
			}
		}
		if item.Task != nil {
			switch t := *item.Task; item.Kind {
			case schedule.ItemStarted, schedule.ItemStep:
				st.send(Line{Progress: &Progress{Done: last.Done, Total: last.Total, Running: t.Subject + " " + t.Step}})
			case schedule.ItemFinished:
				l, err := result(last.Job, t)
				if err != nil {
					return err
				}
				st.send(l)
			}
		}
		if st.err != nil {
			return st.err
		}
	}
	st.send(Line{Run: &last})
	if last.State == schedule.Failed {
		return &Error{Message: "run " + strconv.FormatInt(id, 10) + " failed: " + last.Message, Exit: 1}
	}
	return nil
}

// result is the line of a task that ended, from the job's own JSON.
func result(job string, t schedule.Task) (Line, error) {
	var l Line
	var into any
	switch job {
	case "discovery":
		l.Found = new(inventory.Result)
		into = l.Found
	default:
		l.Backup = &backup.Result{Device: t.Subject, Outcome: backup.Outcome(t.Outcome), Step: collector.Step(t.Step), Kind: t.Kind, Message: t.Message, Seconds: float64(t.TookMs) / 1000}
		into = l.Backup
	}
	if len(t.Result) == 0 {
		return l, nil
	}
	return l, json.Unmarshal(t.Result, into)
}

// stream writes lines as they come.
type stream struct {
	w   http.ResponseWriter
	enc *json.Encoder
	err error // the reader has gone
}

func lines(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &stream{w: w, enc: e}
}

func (s *stream) send(l Line) {
	if s.err != nil {
		return
	}
	if s.err = s.enc.Encode(l); s.err == nil {
		if f, ok := s.w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

// end says how the work as a whole ended.
func (s *stream) end(err error) {
	if err != nil {
		s.send(Line{Error: refusal(err)})
		return
	}
	s.send(Line{End: true})
}

// late writes the header of a good answer with the first byte of it.
type late struct {
	w     http.ResponseWriter
	begun bool
}

func (l *late) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		l.w.Header().Set("Cache-Control", "no-store")
	}
	return l.w.Write(p)
}
