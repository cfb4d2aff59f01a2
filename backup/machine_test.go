package backup_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/backup"
	"muster/inventory"
)

// model is what a device's versions and drift must be, said in the simplest way.
type model struct {
	versions []string   // text of version n at n-1; "" where it was purged
	approved []approved // the last one whose version is still there holds
	baseline int
	waiting  string // text in quarantine
	unsaved  bool   // as far as it was ever known
}

type approved struct {
	number  int
	person  bool
	knowing int // how many versions there had been
}

func (m *model) newest() int {
	for n := len(m.versions); n > 0; n-- {
		if m.versions[n-1] != "" {
			return n
		}
	}
	return 0
}

func (m *model) last() approved {
	for i := len(m.approved) - 1; i >= 0; i-- {
		if a := m.approved[i]; m.versions[a.number-1] != "" {
			return a
		}
	}
	return approved{}
}

func (m *model) holds() int { return m.last().number }

// objected: a person approved an older version, knowing the newest one.
func (m *model) objected() bool {
	a := m.last()
	return a.person && a.number != m.newest() && a.knowing >= m.newest()
}

func (m *model) text(n int) string { return m.versions[n-1] }

func (m *model) approve(n int, person bool) {
	if m.holds() != n {
		m.approved = append(m.approved, approved{n, person, len(m.versions)})
	}
}

// settle is what every commit with a newest version brings with it.
func (m *model) settle() {
	n := m.newest()
	if n == 0 {
		return
	}
	if h := m.holds(); h == 0 || m.text(h) == m.text(n) {
		m.approve(n, false)
	}
}

func (m *model) good(text, startup string, atOnce bool) {
	if n := m.newest(); n == 0 || m.text(n) != text {
		m.versions = append(m.versions, text)
		if atOnce {
			m.approve(m.newest(), false)
		}
	}
	if startup != "" {
		m.unsaved = startup != text
	}
	m.settle()
}

func (m *model) drift() map[backup.DriftKind]bool {
	d := map[backup.DriftKind]bool{}
	n := m.newest()
	if n == 0 {
		return d
	}
	if h := m.holds(); m.text(h) != m.text(n) {
		d[backup.DriftChanged] = true
	}
	if m.baseline != 0 && m.text(m.baseline) != m.text(n) {
		d[backup.DriftOffBaseline] = true
	}
	if m.unsaved {
		d[backup.DriftUnsaved] = true
	}
	return d
}

func TestDriftAndApprovalFollowTheModel(t *testing.T) {
	h := newHouse(t)
	texts := []string{config("a"), config("b"), config("c"), config("b", "password x")}
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		dev := h.addDevice(fmt.Sprintf("r%d", runs))
		h.devices, h.boxes = []inventory.Device{dev}, map[int64]*box{dev.ID: h.boxes[dev.ID]}
		m, begun := &model{}, h.last()
		text := rapid.SampledFrom(texts)
		someVersion := func(r *rapid.T) int {
			if len(m.versions) == 0 {
				return 1
			}
			return rapid.IntRange(1, len(m.versions)).Draw(r, "version")
		}
		there := func(n int) bool { return n <= len(m.versions) && m.versions[n-1] != "" }
		mayFail := func(r *rapid.T, err error, ok bool) {
			if (err == nil) != ok {
				r.Fatalf("error %v, and it was to work: %t", err, ok)
			}
			if err != nil && !errors.Is(err, backup.ErrNotStored) && !errors.Is(err, backup.ErrNothingWaits) {
				r.Fatal(err)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"night": func(r *rapid.T) {
				running, startup := text.Draw(r, "running"), rapid.SampledFrom(append(texts, "", "\n")).Draw(r, "startup")
				if startup == "" {
					delete(h.box().answers, "/startup")
				} else {
					h.box().answers["/startup"] = startup
				}
				res := h.take(running)
				m.waiting = ""
				m.good(running, strings.TrimSpace(startup)+strings.Repeat("\n", min(1, len(strings.TrimSpace(startup)))), h.policy == backup.ApprovalPolicy{})
				if res.Version != m.newest() {
					r.Fatalf("%+v, want version %d", res, m.newest())
				}
			},
			"truncated": func(r *rapid.T) {
				whole := text.Draw(r, "running")
				delete(h.box().answers, "/startup")
				m.waiting = strings.TrimSuffix(whole, "end\n")
				if res := h.take(m.waiting); res.Outcome != backup.Quarantined {
					r.Fatalf("%+v", res)
				}
			},
			"failed": func(r *rapid.T) {
				h.box().open = errTold
				if res := h.night(0); res.Outcome != backup.Failed {
					r.Fatalf("%+v", res)
				}
				h.box().open = nil
			},
			"accept": func(r *rapid.T) {
				_, _, err := h.backups.Accept(t.Context(), h.id(), "", "ops")
				mayFail(r, err, m.waiting != "")
				if m.waiting != "" {
					m.good(m.waiting, "", h.policy == backup.ApprovalPolicy{})
					m.waiting = ""
				}
			},
			"discard": func(r *rapid.T) {
				_, err := h.backups.Discard(t.Context(), h.id(), "", "ops")
				mayFail(r, err, m.waiting != "")
				m.waiting = ""
			},
			"approve": func(r *rapid.T) {
				n := someVersion(r)
				_, err := h.backups.ApproveVersion(t.Context(), h.id(), n, "ops")
				mayFail(r, err, there(n))
				if there(n) && n != m.holds() {
					m.approve(n, true)
					m.settle()
				}
			},
			"policy": func(*rapid.T) {
				h.policy = rapid.SampledFrom([]backup.ApprovalPolicy{{Manual: true}, {}, {After: 7 * 24 * time.Hour}}).Draw(r, "policy")
			},
			"due": func(r *rapid.T) {
				n, err := h.backups.ApproveDue(t.Context(), h.now.Add(8*24*time.Hour))
				if err != nil {
					r.Fatal(err)
				}
				if due := m.drift()[backup.DriftChanged] && !h.policy.Manual && !m.objected(); due != (n == 1) {
					r.Fatalf("%d approved, due: %t", n, due)
				} else if due {
					m.approve(m.newest(), false)
				}
			},
			"pin": func(r *rapid.T) {
				n := someVersion(r)
				_, err := h.backups.Pin(t.Context(), h.id(), n, "ops")
				mayFail(r, err, there(n))
				if there(n) {
					m.baseline = n
					m.settle()
				}
			},
			"unpin": func(r *rapid.T) {
				mayFail(r, h.backups.Unpin(t.Context(), h.id(), "ops"), m.newest() > 0)
				m.baseline = 0
				m.settle()
			},
			"purge": func(r *rapid.T) {
				n := someVersion(r)
				if rapid.IntRange(0, 3).Draw(r, "seldom") > 0 {
					r.Skip("a purge rewrites the file")
				}
				err := h.backups.Purge(t.Context(), h.id(), n, "ops")
				mayFail(r, err, there(n))
				if err != nil {
					return
				}
				m.versions[n-1] = ""
				if m.baseline == n {
					m.baseline = 0
				}
				m.unsaved = m.unsaved && m.newest() > 0
				m.settle()
			},
			"": func(r *rapid.T) {
				open, err := h.backups.Drifts(t.Context())
				if err != nil {
					r.Fatal(err)
				}
				got := map[backup.DriftKind]bool{}
				for _, d := range open {
					got[d.Kind] = true
				}
				if want := m.drift(); !maps.Equal(got, want) {
					r.Fatalf("drift %v, want %v (%+v)", got, want, m)
				}
				// Who reads only the events knows the same.
				heard := map[backup.DriftKind]bool{}
				for _, e := range h.events(begun) {
					var d backup.Drift
					if e.Kind != inventory.EventDrift {
						continue
					}
					if err := json.Unmarshal(e.Data, &d); err != nil {
						r.Fatal(err)
					}
					if d.Closed {
						if !heard[d.Kind] {
							r.Fatalf("%s closed, and it was not open", d.Kind)
						}
						delete(heard, d.Kind)
					} else {
						heard[d.Kind] = true
					}
				}
				if !maps.Equal(heard, got) {
					r.Fatalf("heard %v, open %v", heard, got)
				}
				vs, err := h.backups.Versions(t.Context(), h.id())
				if err != nil || len(vs) > 0 && vs[0].Number != m.newest() {
					r.Fatalf("versions %+v, %v, want %d newest", vs, err, m.newest())
				}
			},
		})
	})
	h.sound()
}
