package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"muster/internal/schedule"
	"muster/inventory"
)

func (w *site) runs(r *http.Request) (string, view, error) {
	d, err := w.api.Runs(r.Context(), 50)
	return "runs", view{Title: "Runs", Nav: "runs", Data: d}, err
}

// runRows is how many tasks a page shows; what went wrong comes first.
const runRows = 500

type runData struct {
	schedule.Run
	Causes []cause // of what failed, where several failed alike
	Tasks  []task
	More   int
}

// cause is why tasks failed, with those that did.
type cause struct {
	Kind, Step string
	Devices    []string
	Message    string // of the first
}

// task is one with the page of its device.
type task struct {
	schedule.Task
	Device string // name; empty: it is no device of ours
	Found  string // platform that discovery saw
}

// shown is what a task's row says of how it stands: the outcome once there is one.
func (t task) Shown() string {
	if t.Outcome != "" {
		return t.Outcome
	}
	return string(t.State)
}

func (w *site) run(r *http.Request) (string, view, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return "", view{}, schedule.ErrNoRun
	}
	detail, err := w.api.Run(r.Context(), id)
	if err != nil {
		return "", view{}, err
	}
	d := runData{Run: detail.Run}
	tasks := make([]task, 0, len(detail.Tasks))
	at := map[[2]string]int{}
	failed := 0
	for _, t := range detail.Tasks {
		tasks = append(tasks, taskOf(d.Job, t))
		if t.State != schedule.Done || !t.Failed {
			continue
		}
		failed++
		kind := string(t.Kind)
		if kind == "" {
			kind = t.Outcome
		}
		i, ok := at[[2]string{kind, t.Step}]
		if !ok {
			i = len(d.Causes)
			at[[2]string{kind, t.Step}] = i
			d.Causes = append(d.Causes, cause{Kind: kind, Step: t.Step, Message: t.Message})
		}
		d.Causes[i].Devices = append(d.Causes[i].Devices, t.Subject)
	}
	if failed == len(d.Causes) { // each its own: the list of tasks says it all
		d.Causes = nil
	}
	slices.SortStableFunc(d.Causes, func(a, b cause) int { return len(b.Devices) - len(a.Devices) })
	slices.SortStableFunc(tasks, func(a, b task) int { return turn(a) - turn(b) })
	d.Tasks, d.More = head(tasks, runRows)
	return "run", view{Title: "Run " + r.PathValue("id"), Nav: "runs", Data: d}, nil
}

// turn orders tasks: what went wrong, what is at work, the rest.
func turn(t task) int {
	switch {
	case t.Failed:
		return 0
	case t.State == schedule.Running:
		return 1
	}
	return 2
}

func taskOf(job string, t schedule.Task) task {
	out := task{Task: t}
	if t.DeviceID != 0 {
		out.Device = t.Subject
	}
	if job != schedule.JobDiscovery || len(t.Result) == 0 {
		return out
	}
	var r inventory.Result
	if json.Unmarshal(t.Result, &r) == nil { // another version's result is only not shown
		out.Device, out.Found = r.Device, r.Platform
	}
	return out
}
