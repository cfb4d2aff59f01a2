package api

import (
	"context"
	"strings"

	"muster/collector"
	"muster/inventory"
)

func (s *Server) filter(ctx context.Context, words ...string) (inventory.Filter, error) {
	return Filter(ctx, s.devices, words...)
}

// Filter reads the words of a filter as a person means them: a word that names
// one device must name one that there is, if by its serial or another of its
// addresses, and a value must be one that devices can have. A mistyped name that
// chose nothing would make every verb say that all is well.
func Filter(ctx context.Context, devices interface {
	Show(ctx context.Context, key string) (inventory.Device, error)
}, words ...string) (inventory.Filter, error) {
	words = strings.Fields(strings.Join(words, " "))
	for i, word := range words {
		// A name may have a colon, as a hardware address has.
		if single(word) && strings.Contains(word, ":") {
			if d, err := devices.Show(ctx, word); err == nil {
				words[i] = "name:" + d.Name
			}
		}
	}
	f, err := inventory.ParseFilter(words...)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		return f, &Error{Message: err.Error(), Exit: 2}
	}
	for i, word := range words {
		if !single(word) {
			continue
		}
		d, err := devices.Show(ctx, word)
		if err != nil {
			return f, err
		}
		words[i] = "name:" + d.Name
	}
	return inventory.ParseFilter(words...)
}

const wildcards = `*?[\`

// single reports whether a word of a filter is the name, address or serial of one
// device.
func single(word string) bool {
	if field, _, ok := strings.Cut(word, ":"); ok && inventory.IsField(field) {
		return false
	}
	return !strings.ContainsAny(word, wildcards)
}

// named lists the devices that a filter fits. None is an answer: nothing is down.
func (s *Server) named(ctx context.Context, filter string) ([]Device, error) {
	f, err := s.filter(ctx, filter)
	if err != nil {
		return nil, err
	}
	devs, err := s.devices.List(ctx, f)
	if err != nil {
		return nil, err
	}
	return s.rows(ctx, devs)
}

// chosen selects the devices that something is to be done with, or said of. None
// is a refusal: "no drift" of no device is no good news.
func (s *Server) chosen(ctx context.Context, filter string) ([]inventory.Device, error) {
	f, err := s.filter(ctx, filter)
	if err != nil {
		return nil, err
	}
	devs, err := s.devices.List(ctx, f)
	if err == nil && len(devs) == 0 && strings.TrimSpace(filter) != "" {
		err = noneFits(filter)
	}
	return devs, err
}

// noneFits is a filter that fits no device.
type noneFits string

func (f noneFits) Error() string { return "no device fits " + collector.Escape(string(f)) }

func (f noneFits) Is(target error) bool { return target == inventory.ErrNoDevice }
