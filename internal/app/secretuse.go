package app

import (
	"slices"

	"muster/internal/api"
	"muster/internal/settings"
)

// SecretUse tells who uses a secret by the settings file as it is now: a
// credential that was just written there is in force only after a reload, and its
// secret is set before.
func (a *App) SecretUse(name string) api.SecretUse {
	set, err := readSettings(a.o.Config)
	if err != nil {
		set = a.settings.Load() // the faults of the file are for muster check
	}
	use := api.SecretUse{UsedBy: append([]string{}, credentialsUsing(set, name)...)}
	for _, r := range set.Receivers {
		if slices.ContainsFunc(r.Refs(), func(ref settings.Ref) bool { return ref.Secret == name }) {
			use.UsedBy = append(use.UsedBy, r.Name)
		}
	}
	if len(use.UsedBy) == 0 {
		use.Config, use.Nearest = a.o.Config, set.NearestSecret(name)
	}
	return use
}
