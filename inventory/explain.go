package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"muster/collector"
	"muster/inventory/platform"
)

// Explained is one thing that decides what muster does at an address.
type Explained struct {
	Step    string `json:"step"`    // address, scope, credential, snmp, …, verdict
	Verdict string `json:"verdict"` // yes, no, or info: it decides nothing by itself
	Message string `json:"message"`
	Do      string `json:"do,omitempty"` // what would make it a yes
}

// explanation gathers steps.
type explanation struct {
	d     *Discovery
	n     Network
	now   time.Time
	addr  netip.Addr
	dev   Device // known, or as discovery would find it
	known bool
	scope Scope
	keys  []Key
	tried []Attempt
	steps []Explained
}

func (x *explanation) say(step, verdict, do, format string, a ...any) {
	x.steps = append(x.steps, Explained{step, verdict, fmt.Sprintf(format, a...), do})
}

// Explain says step by step what muster would do at an address (or at a device,
// by name), why, and what would change that. It asks the SNMP agent there as a
// discovery would, with each credential at most once; it opens no SSH session
// and stores nothing. excludedBy names the scope that holds an address and
// excludes it, "" where none does.
func (d *Discovery) Explain(ctx context.Context, key string, excludedBy func(netip.Addr) string) ([]Explained, error) {
	x := &explanation{d: d, n: d.o.Network().remember(newCredentials()), now: d.o.Now()}
	if err := x.find(ctx, key); err != nil {
		return nil, err
	}
	if !x.addr.IsValid() {
		do := fmt.Sprintf("Find it with muster discover, or add it where it answers now: muster device add ADDRESS, then muster device merge %s NAME", x.dev.Name)
		x.say("verdict", "no", do, "muster would ask nothing: %s has no address (%s)", x.dev.Name, x.dev.AddressReason)
		return x.steps, nil
	}
	if !x.sayScope(excludedBy) {
		return x.steps, nil
	}
	match, answered, err := x.saySNMP(ctx)
	if err != nil {
		return nil, err
	}
	if !x.known && !answered {
		x.say("verdict", "no", fmt.Sprintf("Mend what keeps the agent from answering, or add it by hand: muster device add %s", x.addr),
			"discovery would not find it: what answers no SNMP is not looked at unasked, and no password goes there")
		return x.steps, nil
	}
	x.saySSH(ctx, match)
	return x.steps, nil
}

// find looks up the address and what is known of it.
func (x *explanation) find(ctx context.Context, key string) error {
	var none error
	err := x.d.o.Store.View(ctx, func(tx Reader) error {
		dev, err := find(tx, key)
		if errors.Is(err, ErrNoDevice) {
			none = err
			return nil
		}
		if err != nil {
			return err
		}
		return x.take(tx, dev)
	})
	if err != nil {
		return err
	}
	x.addr = x.dev.Address
	// The inventory knows its names better than DNS.
	if literal, err := netip.ParseAddr(key); err == nil {
		x.addr = literal.Unmap()
	} else if none != nil {
		if x.addr, _, _, err = (&Devices{o: x.d.o, access: x.d.access}).resolve(ctx, key); err != nil {
			return fmt.Errorf("%w; nor is it an address: %w", none, err)
		}
		err := x.d.o.Store.View(ctx, func(tx Reader) error {
			dev, ok, err := deviceAt(tx, x.addr)
			if err != nil || !ok {
				return err
			}
			return x.take(tx, dev)
		})
		if err != nil {
			return err
		}
	}
	switch {
	case !x.addr.IsValid():
	case !x.known:
		x.dev = Device{Name: x.addr.String(), Address: x.addr}
		x.say("address", "info", "", "%s is in the inventory under no device", x.addr)
	case x.dev.Address != x.addr:
		x.say("address", "info", "", "%s is an address of %s, which is managed at %s (%s)", x.addr, x.dev.Name, x.dev.Address, x.dev.AddressReason)
	default:
		x.say("address", "info", "", "%s is %s (%s)", x.addr, x.dev.Name, x.dev.AddressReason)
	}
	return nil
}

// take goes on with a device of the inventory.
func (x *explanation) take(tx Reader, dev Device) error {
	st, err := readStanding(tx, dev.ID, x.now)
	x.known, x.dev, x.keys, x.tried = true, st.dev, st.keys, st.attempts
	return err
}

// sayScope says which scope holds the address; false: nothing is asked there.
func (x *explanation) sayScope(excludedBy func(netip.Addr) string) bool {
	var in bool
	if x.n.ScopeOf != nil && x.addr.IsValid() {
		x.scope, in = x.n.ScopeOf(x.addr)
	}
	add := fmt.Sprintf("Add it to the addresses of a scope, or by hand with an account: muster device add %s --credential NAME", x.addr)
	switch by := excludedBy(x.addr); {
	case x.known && x.dev.Retired:
		x.say("device", "no", "", "%s is retired", x.dev.Name)
		x.say("verdict", "no", "", "muster would ask nothing there")
		return false
	case x.known && x.dev.Disabled:
		x.say("device", "no", "muster device set "+x.dev.Name+" --enable", "a person disabled %s", x.dev.Name)
		x.say("verdict", "no", "muster device set "+x.dev.Name+" --enable", "muster would ask nothing there")
		return false
	case in:
		x.say("scope", "yes", "", "scope %s holds it", x.scope.Name)
	case by != "":
		add = fmt.Sprintf("Take it out of the exclude list of scope %s, or add it by hand with an account: muster device add %s --credential NAME", by, x.addr)
		x.say("scope", "no", add, "scope %s excludes it", by)
	default:
		x.say("scope", "no", add, "no scope holds it")
	}
	if in || x.known && x.dev.Credential != "" {
		return true
	}
	x.say("verdict", "no", add, "muster would ask nothing there")
	return false
}

// saySNMP goes through the credentials, and asks the agent with those that a
// discovery would ask with.
func (x *explanation) saySNMP(ctx context.Context) (match platform.Match, answered bool, err error) {
	names := slices.Clone(x.scope.Credentials)
	for _, own := range []string{x.dev.SNMPCredential, x.dev.Credential} {
		if own != "" && !slices.Contains(names, own) {
			names = append(names, own)
		}
	}
	var ask []collector.Credential
	for _, name := range names {
		c, err := x.n.resolve(ctx, name)
		switch {
		case err != nil:
			x.say("credential", "no", "Put its secret there", "%v", err)
		case !c.Fits(x.addr):
			x.say("credential", "no", "", "%s (%s): its for does not hold %s", name, c.Kind, x.addr)
		case c.Kind.SNMP() && x.dev.SNMPCredential != "" && x.dev.SNMPCredential != name:
			x.say("credential", "info", "", "%s (%s): not asked with, since %s works there", name, c.Kind, x.dev.SNMPCredential)
		default:
			word := "fits"
			if c.BoundTo(x.addr) {
				word = "is bound to this very address by for"
			}
			x.say("credential", "yes", "", "%s (%s): %s", name, c.Kind, word)
			if c.Kind.SNMP() {
				ask = append(ask, c)
			}
		}
	}
	if len(ask) == 0 {
		x.say("snmp", "no", "Name an SNMP credential in the scope that fits the address", "not asked: no SNMP credential fits")
		return match, false, nil
	}
	for i, c := range ask {
		at := x.dev
		at.Address = x.addr
		t := x.n.SNMPTarget(at, c)
		t.Limits.SNMPTimeout, t.Limits.SNMPRetries = time.Second, 1 // as a sweep does
		lk, err := x.d.look(ctx, t)
		if ctx.Err() != nil {
			return match, false, ctx.Err()
		}
		if err != nil {
			x.say("snmp", "no", silentDo(err), "%s: %s", c.Name, failure(err, "", t.Addr, collector.StepSystem).Error())
			continue
		}
		x.heard(ctx, c, lk, len(ask)-1-i)
		return lk.match, true, nil
	}
	return match, false, nil
}

// silentDo says what could mend an agent that did not answer.
func silentDo(err error) string {
	if errors.Is(err, collector.ErrTimedOut) {
		return "Allow this machine in the agent's access list, and compare the community or user; a wrong one looks like silence"
	}
	return ""
}

// heard tells what an agent answered, and makes of it the device that discovery
// would make.
func (x *explanation) heard(ctx context.Context, c collector.Credential, lk look, left int) {
	sys := lk.reading.System
	text := fmt.Sprintf("%s: answered as %q, sysObjectID %s", c.Name, sys.Name, first(sys.ObjectID, "none"))
	if left > 0 {
		text += "; the others are not asked with"
	}
	x.say("snmp", "yes", "", "%s", text)
	m := lk.match
	if !x.known {
		x.dev.Name = first(cleanName(sys.Name), x.addr.String())
		x.dev.Scope = x.scope.Name
	}
	x.identity(ctx, lk, c)
	x.dev.SNMPCredential, x.dev.SNMPDetail = c.Name, lk.detail
	x.dev.Identified = m.Platform != nil && m.Certain && m.Platform.HasParts()
	switch {
	case x.dev.PlatformGiven:
		x.say("platform", "yes", "", "%s: a person said so", x.dev.Platform)
	case m.Platform != nil && m.Certain:
		x.say("platform", "yes", "", "%s, by %s", m.Platform.Name, m.Reason)
		x.dev.Platform = m.Platform.Name
	case m.Platform != nil:
		x.say("platform", "info", "", "%s is a guess by %s; a proof over %s has to tell", m.Platform.Name, m.Reason, x.protocol())
		x.dev.Platform = first(x.dev.Platform, m.Platform.Name)
	default:
		x.say("platform", "info", "", "SNMP does not tell: %s; a proof over %s has to", m.Reason, x.protocol())
	}
	if def, ok := x.d.known().ByName(x.dev.Platform); ok && !x.dev.ManagedGiven {
		x.dev.Managed = x.dev.AddedByPerson || def.HasParts()
	}
}

// identity says which device of the inventory discovery would take it for, and
// goes on with what is known of that one.
func (x *explanation) identity(ctx context.Context, lk look, c collector.Credential) {
	vendor := ""
	if lk.match.Platform != nil {
		vendor = lk.match.Platform.Vendor
	}
	s, _ := x.d.sighting(lk, Candidate{Scope: x.scope.Name, Addr: x.addr, Credential: c.Name, DeviceID: x.dev.ID}, vendor)
	var dec decision
	var into Device
	taken := false
	err := x.d.o.Store.View(ctx, func(tx Reader) error {
		known, err := tx.Known(s.identifiers, s.addr, s.deviceID)
		dec = decide(s, known)
		for _, k := range known {
			if k.Device.ID == dec.into {
				into = k.Device
			}
		}
		if err != nil || x.known || into.ID == 0 {
			return err
		}
		taken = true
		return x.take(tx, into)
	})
	switch {
	case err != nil:
		x.say("identity", "no", "", "not told: %v", err)
	case dec.into == 0:
		x.say("identity", "info", "", "it would be a new device, %s", x.dev.Name)
	case taken || into.ID != x.dev.ID:
		x.say("identity", "info", "", "it would be taken for %s, which is in the inventory", into.Name)
	default:
		x.say("identity", "info", "", "it is %s", into.Name)
	}
}

// saySSH goes through what has to hold before a session is opened.
func (x *explanation) saySSH(ctx context.Context, match platform.Match) {
	dev := x.dev
	if !dev.Address.IsValid() {
		dev.Address = x.addr
	}
	sc := x.n.scope(dev)
	def, _ := x.d.o.Platforms().ByName(dev.Platform)
	if match.Platform != nil && match.Certain && !dev.PlatformGiven {
		def = match.Platform
	}
	if def != nil && !def.HasParts() && !dev.ManagedGiven {
		x.say("verdict", "no", "", "it is inventory and nothing else: %s has nothing to back up, so no session is opened: %s", def.Name, def.Unread())
		return
	}
	x.sayWayIn(dev, sc)
	creds, _, snmpKind := x.n.credentialsFor(ctx, dev)
	may, bound, why := passwordsMay(dev, sc, x.keys, snmpKind, creds)
	policy := first(sc.PasswordsTo, ToIdentified)
	if may {
		x.say("passwords", "yes", "", "passwords may go there (passwords_to: %s): %s", policy, x.because(dev, sc, bound))
	} else {
		x.say("passwords", "no", why, "no password may go there (passwords_to: %s)", policy)
	}
	if def != nil {
		if ok, why := platformMay(def, sc); !ok {
			x.say("declared", "no", why, "platform %s is only declared", def.Name)
		} else {
			x.say("declared", "yes", "", "platform %s is %s", def.Name, def.Evidence.Kind)
		}
	}
	x.sayLogins(ctx, dev, order(dev, creds, bound))
	x.sayKeys(dev, sc)
	try, err := x.d.access.may(ctx, x.n, standing{dev, x.keys, x.tried}, def)
	var e *collector.Error
	switch {
	case errors.As(err, &e):
		x.say("verdict", "no", e.Do, "no session would be opened: %s", e.Kind)
	case err != nil:
		x.say("verdict", "no", "", "no session would be opened: %v", err)
	case sc.HostKeys == collector.Strict && !slices.ContainsFunc(x.keys, func(k Key) bool { return k.State == KeyPinned }):
		x.say("verdict", "no", "muster device accept-key --known-hosts FILE "+dev.Name, "a session would end at the host key: %s", collector.ErrHostKeyUnknown)
	default:
		var names []string
		for _, c := range try {
			names = append(names, c.Name)
		}
		then := "read it"
		if def == nil || match.Platform != nil && !match.Certain && !dev.PlatformGiven {
			then = "prove what it runs"
		}
		x.say("verdict", "yes", "", "a session to %s would be opened with %s, to %s", sshAddr(dev, sc), strings.Join(names, ", then "), then)
	}
}

// sayWayIn says how a session would go there, where that is not plainly by SSH.
func (x *explanation) sayWayIn(dev Device, sc Scope) {
	through := ""
	if j := x.n.jumpOf(dev); j.Host != "" {
		through = ", through jump host " + j.Host
	}
	port := sshAddr(dev, sc).Port()
	switch {
	case sc.TelnetPort != 0:
		x.say("way in", "info", "", "Telnet on TCP port %d%s, and never SSH, since scope %s says telnet: passwords and configurations travel in clear, and nothing proves who answers", port, through, sc.Name)
	case through != "":
		x.say("way in", "info", "", "SSH on TCP port %d%s", port, through)
	}
}

// protocol is how a session goes to the address.
func (x *explanation) protocol() string {
	return collector.Target{Telnet: x.scope.TelnetPort != 0}.Protocol()
}

// because says why passwords may go to a device.
func (x *explanation) because(dev Device, sc Scope, bound bool) string {
	pinned := slices.ContainsFunc(x.keys, func(k Key) bool { return k.State == KeyPinned && k.ByPerson })
	switch {
	case sc.PasswordsTo == ToAny:
		return "they may go to whatever answers in the scope"
	case pinned:
		return "a person pinned its host key"
	case sc.PasswordsTo == ToAuthenticated:
		return "SNMPv3 authenticates it"
	case bound:
		return "but only the credentials that a person bound to it"
	case dev.AddedByPerson:
		return "a person added it"
	}
	return "SNMP proves what it is"
}

// sayLogins says which logins would be tried, and what keeps others from it.
func (x *explanation) sayLogins(ctx context.Context, dev Device, list []collector.Credential) {
	if len(list) == 0 {
		x.say("login", "no", fmt.Sprintf("Name an SSH credential in the scope, or give it one: muster device set %s --credential NAME", dev.Name), "no SSH credential may be used there")
		return
	}
	var cands []candidate
	for _, c := range list {
		digest := x.d.access.digest(c)
		cands = append(cands, candidate{c, digest})
		var st CredentialState
		err := x.d.o.Store.View(ctx, func(tx Reader) (err error) { st, err = tx.Credential(c.Name); return err })
		if err == nil && !st.StoppedAt.IsZero() && st.Digest == digest {
			x.say("login", "info", "Store the right password: "+c.SetLogin()+", then muster secret retry "+c.Name, "%s is stopped since %s: %s; it gets one login of the next run", c.Name, st.StoppedAt.UTC().Format("2006-01-02 15:04 UTC"), st.Reason)
		}
	}
	rejected := 0
	count := counted(dev, cands, x.tried, x.now)
	for _, a := range count {
		if a.At.After(x.now.Add(-rejectedCount)) {
			rejected += a.Rejected
		}
	}
	most := maxRejected
	if rejected > most { // with secrets that were changed
		most = maxOfSecrets
	}
	budget := fmt.Sprintf("%d of %d rejected logins of the last 24 hours", rejected, most)
	try, next := allowance(dev, cands, x.tried, x.now)
	if len(try) == 0 {
		_, why := refused(dev, cands, count, next)
		x.say("budget", "no", why, "%s; the next login may go out after %s", budget, forPeople(next))
		return
	}
	x.say("budget", "yes", "", "%s", budget)
}

// sayKeys says how the host key would be judged.
func (x *explanation) sayKeys(dev Device, sc Scope) {
	if sc.TelnetPort != 0 {
		x.say("host key", "info", "", "Telnet has none")
		return
	}
	pinned, pending := 0, 0
	for _, k := range x.keys {
		switch k.State {
		case KeyPinned:
			pinned++
			by := "at first use"
			if k.ByPerson {
				by = "by a person"
			}
			x.say("host key", "yes", "", "%s %s, accepted %s", k.Type, k.Fingerprint, by)
		case KeyPending:
			pending++
			x.say("host key", "no", fmt.Sprintf("Compare it at the device; then muster device accept-key %s, or muster device replace %s", dev.Name, dev.Name),
				"%s %s was shown last and is not accepted: a session ends there", k.Type, k.Fingerprint)
		}
	}
	switch {
	case pinned+pending > 0:
	case sc.HostKeys == collector.Strict:
		x.say("host key", "no", "Pin it: muster device accept-key --known-hosts FILE "+dev.Name, "none is pinned, and the scope is strict")
	default:
		x.say("host key", "info", "", "none is pinned: the first one that it shows is (host_keys: accept-new)")
	}
}
