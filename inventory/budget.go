package inventory

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"muster/collector"
)

// The budget of rejected logins at one device: many lock an account, or the
// asking address, after three.
const (
	maxRejected   = 2
	maxOfSecrets  = 2 * maxRejected // a day, whatever the secrets were: a command may give another one each time
	rejectedCount = 24 * time.Hour
	slowPace      = 24 * time.Hour // between two logins at a device that needs a credential
)

// candidate is a credential that could be tried, with the digest of its secrets.
type candidate struct {
	collector.Credential
	digest string
}

// counted is the logins that count at a device: those since a person said retry,
// with the secrets as they are now. A secret that was changed is tried anew, unless
// so many were rejected of late that it has been changed too often.
func counted(dev Device, list []candidate, attempts []Attempt, now time.Time) (count []Attempt) {
	digests := map[string]string{}
	for _, c := range list {
		digests[c.Name] = c.digest
	}
	var all []Attempt
	rejected := 0
	for _, a := range attempts {
		if a.At.Before(dev.CountFrom) {
			continue
		}
		all = append(all, a)
		if a.At.After(now.Add(-rejectedCount)) {
			rejected += a.Rejected
		}
		if d, ok := digests[a.Credential]; !ok || d == a.Digest {
			count = append(count, a)
		}
	}
	if rejected >= maxOfSecrets {
		return all
	}
	return count
}

// allowance says which of the candidates may be tried at a device now, in order,
// given its logins so far. When none may, next is when one may again; zero: only
// when something changes.
//
// What was rejected is not tried again, and never more than maxRejected a day.
// At a device where nothing has worked since, one further of the list is tried a
// day, and when all were, the one that waited longest.
func allowance(dev Device, list []candidate, attempts []Attempt, now time.Time) (try []candidate, next time.Time) {
	var inWindow, sinceGood int
	var newest time.Time
	rejected := map[string]time.Time{} // when last, of those not to be tried again
	for _, a := range counted(dev, list, attempts, now) {
		if a.Accepted {
			sinceGood, rejected = 0, map[string]time.Time{}
		}
		if a.Rejected == 0 {
			continue // keys that were refused cost nothing
		}
		if a.At.After(now.Add(-rejectedCount)) {
			inWindow += a.Rejected
			newest = a.At
		}
		if !a.Forgiven && !a.Accepted {
			sinceGood += a.Rejected
			rejected[a.Credential] = a.At
		}
	}
	if inWindow >= maxRejected {
		return nil, newest.Add(slowPace)
	}
	var fresh []candidate
	for _, c := range list {
		if _, was := rejected[c.Name]; !was {
			fresh = append(fresh, c)
		}
	}
	_, lastRejected := rejected[dev.SSHCredential]
	switch slow := sinceGood >= maxRejected || len(fresh) == 0 || lastRejected; {
	case len(list) == 0:
		return nil, time.Time{}
	case slow && inWindow > 0:
		return nil, newest.Add(slowPace)
	case slow && len(fresh) > 0:
		return fresh[:1], time.Time{}
	case slow:
		oldest := list[0]
		for _, c := range list {
			if rejected[c.Name].Before(rejected[oldest.Name]) {
				oldest = c
			}
		}
		return []candidate{oldest}, time.Time{}
	case fresh[0].Name == dev.SSHCredential:
		return fresh[:1], time.Time{} // the one that works is tried alone
	}
	return fresh[:min(len(fresh), maxRejected-inWindow)], time.Time{}
}

// digest tells whether a credential's secrets are the ones that were rejected,
// without telling what they are. It is keyed: digests of weak passwords in a
// stolen database must not be guessable.
func (a *Access) digest(c collector.Credential) string {
	h := hmac.New(sha256.New, a.o.DigestKey)
	for _, part := range []string{c.Name, c.User, c.Password.Reveal(), c.Key.Reveal(), c.Passphrase.Reveal(), c.Enable.Reveal()} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
