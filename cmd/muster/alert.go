package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"muster/internal/alert"
	"muster/internal/api"
)

type alertCmd struct {
	List alertListCmd `cmd:"" help:"List alerts that are firing."`
	Ack  alertAckCmd  `cmd:"" help:"Say that you have taken one."`
}

type alertListCmd struct {
	All bool `help:"Resolved ones, too."`
	listing
}

func (c *alertListCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		alerts, err := cl.Alerts(ctx, c.All)
		if err != nil {
			return err
		}
		return list(s, c.listing, alerts, "no alert is firing",
			text("id", func(a alert.Alert) string { return fmt.Sprint(a.ID) }),
			text("kind", func(a alert.Alert) string { return string(a.Kind) }),
			text("subject", func(a alert.Alert) string { return a.Subject }).hidden(),
			text("devices", func(a alert.Alert) string { return strings.Join(a.Devices, ",") }).clipped(40),
			text("state", func(a alert.Alert) string { return string(a.State) }).shown(func(a alert.Alert) string {
				if a.State == alert.Firing && a.AckedBy != "" {
					return "taken"
				}
				return string(a.State)
			}),
			moment("opened", func(a alert.Alert) *time.Time { return &a.OpenedAt }).keyed("opened_at"),
			sentence("message", func(a alert.Alert) string {
				if a.WaitsUntil.IsZero() {
					return a.Message
				}
				return fmt.Sprintf("%s (nobody is told before maintenance %s ends, %s)", a.Message, a.WaitsFor, a.WaitsUntil.Local().Format("2006-01-02 15:04 MST"))
			}),
			sentence("acked by", func(a alert.Alert) string { return a.AckedBy }).shown(taken),
		)
	})
}

// taken says who has taken an alert, when, and why.
func taken(a alert.Alert) string {
	at, layout := a.AckedAt.Local(), "2006-01-02 15:04"
	if at.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		layout = "15:04"
	}
	said := "taken " + at.Format(layout) + " by " + a.AckedBy
	if a.AckNote != "" {
		said += ": " + a.AckNote
	}
	return said
}

type alertAckCmd struct {
	ID   int64  `arg:"" help:"Id of the alert."`
	Note string `help:"Why, or what is being done."`
}

// whoAmI is the account of the person who types, for people to read: nobody but
// the owner of the data directory, and root, gets as far as to say it.
func whoAmI() string {
	if name := os.Getenv("SUDO_USER"); name != "" && os.Getuid() == 0 {
		return name
	}
	u, err := user.Current()
	if err != nil {
		return "" // then it is the command
	}
	return u.Username
}

func (c *alertAckCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := cl.AckAlert(ctx, c.ID, whoAmI(), c.Note); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "alert %d is taken; it resolves by itself when it is over\n", c.ID)
		return nil
	})
}

type receiverCmd struct {
	Test receiverTestCmd `cmd:"" help:"Deliver a test message."`
}

type receiverTestCmd struct {
	Name string `arg:"" help:"Receiver of muster.yaml."`
}

func (c *receiverTestCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := cl.TestReceiver(ctx, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s took the test message\n", c.Name)
		return nil
	})
}
