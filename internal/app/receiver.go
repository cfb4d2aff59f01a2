package app

import (
	"context"
	"errors"
	"fmt"

	"muster/internal/alert"
	"muster/internal/secret"
	"muster/internal/settings"
)

// receiver is one of the settings. Its secrets are read for each message: one that
// is set, changed or rotated holds from the next attempt on, and one that is not
// there costs this receiver its messages for the time, and keeps no backup from
// running, nor "muster secret set" from mending it.
type receiver struct {
	app *App
	set settings.Receiver
}

func (r receiver) Name() string { return r.set.Name }

func (r receiver) Deliver(ctx context.Context, m alert.Message) error {
	made, err := r.app.receiver(ctx, r.set)
	if err != nil {
		return err
	}
	return made.Deliver(ctx, m)
}

// errReceiverSecret is what is wrong with a receiver only until its secret is right.
var errReceiverSecret = errors.New("its secret cannot be used")

// secretError keeps its message, which names the receiver and the mend.
type secretError struct{ error }

func (e secretError) Is(target error) bool { return target == errReceiverSecret }
func (e secretError) Unwrap() error        { return e.error }

// receiver makes a receiver with its secrets as they are now.
func (a *App) receiver(ctx context.Context, r settings.Receiver) (made alert.Receiver, err error) {
	resolve := func(ref settings.Ref) (secret.Value, error) {
		v, err := ref.Resolve(ctx, a.store.Secret)
		if err != nil {
			return v, secretError{fmt.Errorf("receiver %s: %w", r.Name, err)}
		}
		return v, nil
	}
	address, err := resolve(r.URLRef)
	if err != nil {
		return nil, err
	}
	key, err := resolve(r.SigningKey)
	if err != nil {
		return nil, err
	}
	password, err := resolve(r.Password)
	if err != nil {
		return nil, err
	}
	switch r.Kind {
	case settings.ReceiverWebhook:
		url := r.URL
		if url == "" {
			url = address.Reveal()
		}
		made, err = alert.NewWebhook(r.Name, url, alert.WebhookOptions{Key: key, Now: a.o.Now})
	case settings.ReceiverSlack:
		made, err = alert.NewSlack(r.Name, address, alert.ChatOptions{Now: a.o.Now})
	case settings.ReceiverTeams:
		made, err = alert.NewTeams(r.Name, address, alert.ChatOptions{Now: a.o.Now})
	case settings.ReceiverEmail:
		made, err = alert.NewEmail(r.Name, alert.EmailOptions{Server: r.Server, From: r.From, To: r.To, StartTLS: alert.StartTLS(r.StartTLS), User: r.User, Password: password})
	default:
		made = alert.NewLog(r.Name, a.log)
	}
	if err != nil && !r.URLRef.IsZero() {
		err = secretError{err} // an address that is none is what the secret holds
	}
	return made, err
}
