//go:build crash && linux && amd64

package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/alert"
	"muster/internal/api"
)

// crashInbox is a webhook and a mail server that write down what they are sent. A
// message of which both the id and what it is about are known is one of each.
type crashInbox struct {
	t    *testing.T
	hook string // their addresses
	smtp string

	mu      sync.Mutex // guards what is below
	refuses bool
	seen    map[string]bool     // ids that the webhook was sent while it refused
	got     map[string][]string // receiver → ids that it took, in order
	about   map[string]string   // id → "firing 7", of the webhook's
}

// newCrashInbox finds the addresses; nobody listens there before open.
func newCrashInbox(t *testing.T) *crashInbox {
	in := &crashInbox{t: t, seen: map[string]bool{}, got: map[string][]string{}, about: map[string]string{}}
	for _, addr := range []*string{&in.hook, &in.smtp} {
		ln, err := net.Listen("tcp", "127.37.255.2:0")
		if err != nil {
			t.Fatal(err)
		}
		*addr = ln.Addr().String()
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

// open begins to listen.
func (in *crashInbox) open() {
	web, err := net.Listen("tcp", in.hook)
	if err != nil {
		in.t.Fatal(err)
	}
	srv := &http.Server{Handler: in}
	go func() { _ = srv.Serve(web) }() // ends with Close
	post, err := net.Listen("tcp", in.smtp)
	if err != nil {
		in.t.Fatal(err)
	}
	go func() {
		for {
			c, err := post.Accept()
			if err != nil {
				return
			}
			go in.mail(c)
		}
	}()
	in.t.Cleanup(func() {
		_ = srv.Close()
		_ = post.Close()
	})
}

func (in *crashInbox) refuse(yes bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refuses = yes
}

func (in *crashInbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, _, ok := crashMessage(w, r)
	if !ok {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refuses {
		in.seen[m.ID] = true
		http.Error(w, "out of order", http.StatusBadGateway)
		return
	}
	in.about[m.ID] = m.Event
	for _, a := range m.Alerts {
		in.about[m.ID] += fmt.Sprint(" ", a.ID)
	}
	in.got["hook"] = append(in.got["hook"], m.ID)
}

// mail is one connection of RFC 5321.
func (in *crashInbox) mail(c net.Conn) {
	defer c.Close()
	text := textproto.NewReader(bufio.NewReader(c))
	answer := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	in.mu.Lock()
	refuses := in.refuses
	in.mu.Unlock()
	if refuses {
		answer("421 out of order")
		return
	}
	answer("220 mail.example.net ESMTP")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "DATA":
			answer("354 go on")
			head, err := text.ReadMIMEHeader()
			if err != nil {
				return
			}
			if _, err := text.ReadDotBytes(); err != nil {
				return
			}
			in.mu.Lock()
			in.got["mail"] = append(in.got["mail"], head.Get(alert.HeaderDelivery))
			in.mu.Unlock()
			answer("250 taken")
		case "QUIT":
			answer("221 bye")
			return
		default:
			answer("250 fine")
		}
	}
}

// taken are the messages that a receiver took so far.
func (in *crashInbox) taken(receiver string) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.got[receiver])
}

// TestCrashReceiver lets a webhook and a mail server be down from before the first
// alert, through two SIGKILLs and hours of the server's clock, first without
// anybody who listens, then refusing, and then be back.
func TestCrashReceiversThatWereDownGetEachMessageOnce(t *testing.T) {
	const devices = 8
	h := newCrashHouse(t, devices)
	in := newCrashInbox(t)
	h.settings("- { name: hook, kind: webhook, url: \""+h.hook.url+"\" }",
		"- { name: hook, kind: webhook, url: \"http://"+in.hook+"/hook\" }\n  - { name: mail, kind: email, to: [noc@example.net], from: muster@example.net, server: \""+in.smtp+"\", starttls: none }")
	h.settings(`cron: "* * * * *"`, `cron: "0 0 1 1 *"`)
	h.settings("- { kinds: [changed], to: [hook] }", "- { kinds: [changed], to: [hook, mail] }")

	s := h.serveAt(0)
	h.backupAll()
	h.backupAll() // every device has changed
	s.kill()
	s = h.serveAt(time.Hour) // the wait for company is over
	h.noteAlerts(s.client)
	first := 0
	for _, a := range h.alerts {
		if a.Kind == alert.Changed {
			first++
		}
	}
	if first < 3 {
		t.Fatalf("%d alerts are open, too few to see anything", first)
	}
	h.until("each alert waits for both receivers", func() bool { return h.outbox() == 2*first })
	for i := range 2 {
		if _, err := s.client.Decide(t.Context(), fmt.Sprintf("%s.%d", crashBase, i+1), "approve", api.Meant{}); err != nil {
			t.Fatal(err)
		}
	}
	h.until("the recoveries wait too", func() bool { return h.outbox() == 2*(first+2) })
	s.kill()

	in.refuse(true)
	in.open()
	s = h.serveAt(3 * time.Hour)
	h.until("the webhook was asked", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return len(in.seen) > 0
	})
	s.kill()
	if in.taken("hook")+in.taken("mail") > 0 {
		t.Fatal("a receiver that refuses all has taken some")
	}

	in.refuse(false)
	s = h.serveAt(6 * time.Hour)
	want := first + 2 // the alerts, and two that are over
	h.until("all messages arrive", func() bool { return in.taken("hook") >= want && in.taken("mail") >= want })
	s.kill()
	s = h.serveAt(9 * time.Hour) // nothing comes twice
	h.backupAll()
	h.checkAfterStart(s.client)
	h.until("nothing waits any more", func() bool { return h.outbox() == 0 })
	s.stop()
	in.check(first)
}

func (in *crashInbox) check(alerts int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.t
	last := map[string]string{} // alert → event
	for _, id := range in.got["hook"] {
		event, about, _ := strings.Cut(in.about[id], " ")
		if event == alert.MessageResolved && last[about] == "" {
			t.Errorf("the recovery of alert %s arrived before the alert", about)
		}
		last[about] = event
	}
	if len(last) < alerts {
		t.Errorf("%d alerts arrived, %d were told of", len(last), alerts)
	}
	over := 0
	for _, event := range last {
		if event == alert.MessageResolved {
			over++
		}
	}
	if over != 2 {
		t.Errorf("%d recoveries arrived, want two", over)
	}
	for receiver, ids := range in.got {
		once := map[string]bool{}
		for _, id := range ids {
			if once[id] {
				t.Errorf("%s got message %s twice", receiver, id)
			}
			once[id] = true
		}
	}
	for id := range in.seen {
		if in.about[id] == "" {
			t.Errorf("message %s was refused and never came again under this id", id)
		}
	}
	if h, m := len(in.got["hook"]), len(in.got["mail"]); h != m {
		t.Errorf("the webhook took %d messages, the mail server %d", h, m)
	}
}

// outbox counts the messages that wait for a receiver.
func (h *crashHouse) outbox() (n int) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(h.dir, "muster.db")+"?mode=ro")
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(h.t.Context(), "SELECT count(*) FROM outbox WHERE done_at IS NULL").Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// settings replaces part of the settings of a house.
func (h *crashHouse) settings(old, by string) {
	h.t.Helper()
	name := h.dir + ".yaml"
	text, err := os.ReadFile(name)
	if err != nil {
		h.t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		h.t.Fatalf("the settings have no %q", old)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte(old), []byte(by), 1), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// until waits for what others do.
func (h *crashHouse) until(what string, is func() bool) {
	h.t.Helper()
	for begun := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			h.t.Fatalf("after 20 s it is not so that %s", what)
		}
	}
}
