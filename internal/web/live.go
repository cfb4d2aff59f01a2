package web

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// livePace is the least time between two words on the stream; a run's tasks
	// change faster than anybody reads.
	livePace = time.Second
	// heartbeat is how many paces go by before the mark is said again, also where
	// it has not moved. After three that did not come app.js says "not live".
	heartbeat = 5
)

// live says the API's mark, at once, whenever it moves, and as a heartbeat. A
// page knows the mark that it was made at; where they differ the browser asks for
// the page again, so that what may be shown is decided in one place. Nothing is
// missed between page and stream, nor while the stream was away.
func (w *site) live(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	flush := http.NewResponseController(rw)
	pace := time.NewTicker(w.pace)
	defer pace.Stop()
	said := ""
	for beat := 0; ; beat++ {
		mark, err := w.api.Mark(r.Context())
		if err != nil {
			return
		}
		if mark != said || beat%heartbeat == 0 {
			if _, err := fmt.Fprintf(rw, "event: mark\ndata: %s\n\n", mark); err != nil || flush.Flush() != nil {
				return
			}
			said = mark
		}
		select {
		case <-r.Context().Done():
			return
		case <-pace.C:
		}
	}
}
