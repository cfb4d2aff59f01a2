package backup

// Rules lets tests stand in for a platform whose rules they can change.
type Rules = rules

// UseRules makes b take the rules of platforms from find.
func (b *Backups) UseRules(find func(name string) (Rules, bool)) { b.rules = find }
