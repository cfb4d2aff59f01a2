package main

import (
	"context"
	"fmt"
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
			text("state", func(a alert.Alert) string { return string(a.State) }),
			moment("opened", func(a alert.Alert) *time.Time { return &a.OpenedAt }).keyed("opened_at"),
			sentence("message", func(a alert.Alert) string {
				if a.WaitsUntil.IsZero() {
					return a.Message
				}
				return fmt.Sprintf("%s (nobody is told before maintenance %s ends, %s)", a.Message, a.WaitsFor, a.WaitsUntil.Local().Format("2006-01-02 15:04 MST"))
			}),
		)
	})
}

type alertAckCmd struct {
	ID   int64  `arg:"" help:"Id of the alert."`
	Note string `required:"" help:"Why, or what is being done."`
}

func (c *alertAckCmd) Run(s *session) error {
	return s.client(func(ctx context.Context, cl *api.Client) error {
		if err := cl.AckAlert(ctx, c.ID, c.Note); err != nil {
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
