package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"muster/collector"
	"muster/collector/cli"
	"muster/collector/snmp"
	"muster/inventory/platform"
)

// Examine reads one candidate (facts, tables), finds its platform (by SNMP, else
// by proof over SSH where passwords may go), and merges it. dry: nothing is
// stored and no SSH session is opened; the result says what would be.
func (d *Discovery) Examine(ctx context.Context, run *Run, c Candidate, dry bool) Result {
	res := Result{Address: c.Addr, DeviceID: c.DeviceID}
	dev, err := d.device(ctx, c.DeviceID)
	if err != nil {
		return failed(res, err, collector.StepResolve)
	}
	res.Device, res.Platform = dev.Name, dev.Platform
	switch {
	case c.Excluded:
		res.Outcome, res.Message = OutcomeExcluded, "its address is in no scope's addresses any more"
		return res
	case c.Silent:
		res.Outcome = OutcomeSilent
		res.Message = fmt.Sprintf("it did not answer SNMP with credential %s, which worked before", c.Credential)
		return res
	case c.Credential == "" && c.DeviceID == 0:
		res.Outcome, res.Message = OutcomeSilent, "it did not answer SNMP"
		return res
	case c.Credential == "":
		return d.examineSSH(ctx, run, dev, res, platform.Match{}, dry)
	}
	return d.examineSNMP(ctx, run, c, dev, res, dry)
}

func (d *Discovery) device(ctx context.Context, id int64) (dev Device, err error) {
	if id == 0 {
		return dev, nil
	}
	err = d.o.Store.View(ctx, func(tx Reader) (err error) {
		dev, err = tx.Device(id)
		return err
	})
	return dev, err
}

// failed makes the result of what did not work.
func failed(res Result, err error, step collector.Step) Result {
	e := failure(err, res.Device, netip.AddrPort{}, step)
	res.Outcome = OutcomeFailed
	return because(res, e)
}

// because adds to a result what kept it from being more.
func because(res Result, e *collector.Error) Result {
	res.Step, res.Kind, res.Message, res.Why = e.Step, e.Kind, e.Error(), e
	if e.Cause != nil && e.Seen == "" && e.Do == "" {
		why := *e
		why.Do = collector.Escape(e.Cause.Error())
		res.Message += ": " + e.Cause.Error()
		res.Why = &why
	}
	return res
}

// look is what SNMP said at one address.
type look struct {
	reading snmp.Reading
	match   platform.Match
	facts   []platform.Fact
	hints   []platform.Fact // what the vendor's MIBs told beside; no evidence of identity
	whole   bool            // nothing that identity hangs on was lost
	said    string          // for people; empty: all is well
	detail  string
}

// examineSNMP reads an agent, stores what it told, and proves the platform over
// SSH where that told too little.
func (d *Discovery) examineSNMP(ctx context.Context, run *Run, c Candidate, dev Device, res Result, dry bool) Result {
	n := run.network()
	cred, err := n.resolve(ctx, c.Credential)
	if err != nil {
		return failed(res, err, collector.StepSend)
	}
	at := dev
	at.Address = c.Addr
	lk, err := d.look(ctx, n.SNMPTarget(at, cred))
	if err != nil {
		return failed(res, err, collector.StepSystem)
	}
	sc, _ := n.named(c.Scope)
	if own, ok := n.ScopeOf(c.Addr); ok {
		sc = own
	}
	p := profile{scope: sc, facts: slices.Concat(lk.facts, lk.hints), snmpCredential: c.Credential, snmpDetail: lk.detail,
		identified: lk.match.Platform != nil && lk.match.Certain && lk.match.Platform.HasParts()}
	vendor := "" // of serials: only a definition's, which says it the same way each time
	p.vendor = vendorOf(lk.reading.System.ObjectID)
	if lk.match.Platform != nil {
		vendor = lk.match.Platform.Vendor
		p.vendor = vendor
		// A guess does not take the place of what a proof has found.
		if lk.match.Certain || dev.Platform == "" {
			p.platform, p.platformReason = lk.match.Platform, lk.match.Reason
		}
	}
	if d.o.Resolve != nil && nameTells(lk.reading.System.Name) {
		p.resolved, _ = d.o.Resolve(ctx, lk.reading.System.Name) // a name that DNS does not know is no fault
	}
	s, o := d.sighting(lk, c, vendor)
	dev, res, err = d.place(ctx, s, o, p, res, dry)
	if err != nil {
		return failed(res, fmt.Errorf("store what %s told: %w", c.Addr, err), collector.StepEnd)
	}
	res.Message = lk.said
	if lk.match.Platform != nil && lk.match.Certain || dev.PlatformGiven {
		return d.reviewed(ctx, run, dev, res, dry)
	}
	return d.examineSSH(ctx, run, dev, res, lk.match, dry)
}

// look asks one agent everything.
func (d *Discovery) look(ctx context.Context, t collector.Target) (lk look, err error) {
	s, err := d.ask(ctx, t)
	if err != nil {
		return lk, err
	}
	defer func() { _ = s.Close() }() // a UDP socket: nothing is lost
	known := d.known()
	sys := s.System()
	values, err := s.Get(ctx, known.Asks()...)
	if err != nil {
		if ctx.Err() != nil {
			return lk, err
		}
		values = map[string]string{} // agents may refuse what they do not know; the system group is there
		lk.said = "it did not answer what would tell its platform: " + err.Error()
	}
	lk.match = known.Identify(sys, values)
	lk.whole = true
	if lk.match.Platform != nil {
		if lk.facts, err = lk.match.Platform.Facts(ctx, s, sys); err != nil {
			if ctx.Err() != nil {
				return lk, err
			}
			lk.whole = false
			lk.said = "some facts were not told: " + err.Error()
		}
	}
	hints, err := platform.VendorFacts(ctx, s, sys, lk.facts)
	if err != nil && ctx.Err() != nil {
		return lk, err
	}
	lk.hints = slices.DeleteFunc(hints, func(f platform.Fact) bool { return f.Name == "serial" && !serialTells(f.Value) })
	if lk.reading, err = s.Read(ctx); err != nil {
		return lk, err
	}
	if lk.reading.System.ObjectID == "" && lk.reading.System.Name == "" {
		lk.reading.System = sys
	}
	lk.facts = append(lk.facts, standardFacts(slices.Concat(lk.facts, lk.hints), lk.reading)...)
	lk.detail = s.PrivProtocol()
	var tables []string
	for _, f := range lk.reading.Faults {
		tables = append(tables, fmt.Sprintf("%s (%s)", f.Step, f.Kind))
		if tableOf(f.Step) == "components" || tableOf(f.Step) == "" {
			lk.whole = false
		}
	}
	if len(tables) > 0 {
		lk.said = strings.TrimPrefix(lk.said+"; read in part: "+strings.Join(tables, ", "), "; ")
	}
	return lk, nil
}

// tableOf says to which of our tables an SNMP step belongs; "": to none.
func tableOf(step collector.Step) string {
	for _, t := range [][2]string{{"if", "interfaces"}, {"ip", "addresses"}, {"ent", "components"}, {"lldp", "neighbors"}, {"cdp", "neighbors"},
		{"dot1q", "vlans"}, {"ieee8021Q", "vlans"}, {"vtp", "vlans"}} {
		if strings.HasPrefix(string(step), t[0]) {
			return t[1]
		}
	}
	return ""
}

// sighting makes of a look what identity decides by and what is stored.
func (d *Discovery) sighting(lk look, c Candidate, vendor string) (sighting, Observation) {
	r, now := lk.reading, d.o.Now()
	mark := EngineMark{Boots: r.System.EngineBoots, Time: r.System.EngineTime, ReadAt: now}
	s := sighting{addr: c.Addr, at: now, engine: mark, sysName: r.System.Name, deviceID: c.DeviceID,
		identifiers: evidence(vendor, r, lk.facts)}
	o := Observation{At: now, Via: ViaSNMP, Addr: c.Addr, Identifiers: s.identifiers, Whole: lk.whole, Engine: mark,
		Facts: slices.Concat(systemFacts(r.System), lk.facts, lk.hints), Interfaces: notNil(r.Interfaces), Addresses: notNil(r.Addresses),
		VLANs: notNil(r.VLANs), Components: notNil(r.Components), Neighbors: notNil(r.Neighbors), Partial: map[string]bool{}}
	for _, f := range r.Faults {
		o.Partial[tableOf(f.Step)] = true
	}
	return s, o
}

func notNil[T any](rows []T) []T {
	if rows == nil {
		return []T{}
	}
	return rows
}

// systemFacts are the texts of the system group that every agent has.
func systemFacts(sys snmp.System) []platform.Fact {
	var facts []platform.Fact
	for _, f := range []platform.Fact{
		{Name: "sys_descr", Value: sys.Descr, Source: "SNMPv2-MIB::sysDescr.0"},
		{Name: "sys_object_id", Value: sys.ObjectID, Source: "SNMPv2-MIB::sysObjectID.0"},
		{Name: "sys_name", Value: sys.Name, Source: "SNMPv2-MIB::sysName.0"},
		{Name: "sys_location", Value: sys.Location, Source: "SNMPv2-MIB::sysLocation.0"},
		{Name: "sys_contact", Value: sys.Contact, Source: "SNMPv2-MIB::sysContact.0"},
	} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	return facts
}

// place decides which device a sighting is and, unless dry, stores it.
func (d *Discovery) place(ctx context.Context, s sighting, o Observation, p profile, res Result, dry bool) (Device, Result, error) {
	var dev Device
	var dec decision
	var err error
	if dry {
		err = d.o.Store.View(ctx, func(tx Reader) error {
			known, err := tx.Known(s.identifiers, s.addr, s.deviceID)
			if err != nil {
				return err
			}
			dec = decide(s, known)
			for _, k := range known {
				if k.Device.ID == dec.into {
					dev = k.Device
				}
			}
			fill(&dev, s, p)
			return nil
		})
		if dev.Name == "" {
			dev.Name = first(cleanName(s.sysName), s.addr.String())
		}
	} else {
		err = d.o.Store.Update(ctx, func(tx Tx) error {
			dev, dec, err = settle(tx, s, o, p)
			return err
		})
	}
	if err != nil {
		return dev, res, err
	}
	switch dec.verb {
	case verbNew:
		res.Outcome = OutcomeNew
	case verbMerged:
		res.Outcome = OutcomeMerged
	default:
		res.Outcome = OutcomeKnown
	}
	res.Device, res.Platform, res.DeviceID = dev.Name, dev.Platform, dev.ID
	if dry {
		res.DeviceID = 0
	}
	return dev, res, nil
}

// reviewed keeps at the device what stands in the way of opening it, and says so
// where it is a question for people.
func (d *Discovery) reviewed(ctx context.Context, run *Run, dev Device, res Result, dry bool) Result {
	if dry || dev.ID == 0 {
		return res
	}
	now, _, err := d.access.bar(ctx, run.network(), dev.ID)
	if err != nil {
		return failed(res, fmt.Errorf("review %s: %w", dev.Name, err), collector.StepEnd)
	}
	if now.Missing != "" && res.Message == "" {
		res.Step, res.Kind = collector.StepLogin, now.Missing
		res.Message = strings.ReplaceAll(string(now.Missing), "-", " ") + ": " + now.MissingReason
	}
	return res
}

// examineSSH proves over SSH what a device runs, where passwords may go, and
// reads the facts that only its command line tells.
func (d *Discovery) examineSSH(ctx context.Context, run *Run, dev Device, res Result, guess platform.Match, dry bool) Result {
	noSNMP := res.Outcome == "" // nothing else has said that it is there
	if dry {
		if noSNMP {
			res.Outcome = OutcomeKnown
		}
		res.Message = strings.TrimPrefix(res.Message+"; what it runs would be proved over SSH", "; ")
		return res
	}
	bar, err := d.barred(ctx, run, dev, res.Outcome == OutcomeNew)
	if err != nil {
		return failed(res, fmt.Errorf("review %s: %w", dev.Name, err), collector.StepEnd)
	}
	if bar != nil && bar.Kind == collector.ErrNeedsDecision {
		return unproved(res, bar, noSNMP)
	}
	match, facts, err := d.prove(ctx, run, dev)
	res.Proof = facts.steps
	if err != nil {
		e := failure(err, dev.Name, netip.AddrPort{}, collector.StepConnect)
		res = unproved(res, e, noSNMP)
		if noSNMP {
			return res
		}
		return d.reviewed(ctx, run, dev, res, false)
	}
	now := d.o.Now()
	p := profile{facts: facts.facts}
	if match.Platform != nil {
		p.platform, p.platformReason, p.vendor = match.Platform, match.Reason, match.Platform.Vendor
	}
	if sc, ok := d.o.Network().ScopeOf(dev.Address); ok {
		p.scope = sc
	}
	name := first(factOf(facts.facts, "hostname"), facts.hostname)
	s := sighting{addr: dev.Address, at: now, deviceID: dev.ID, sysName: name,
		identifiers: evidence(p.vendor, snmp.Reading{System: snmp.System{Name: name}}, facts.facts)}
	if dev.SNMPCredential != "" {
		s.sysName = "" // sysName is the name that identity goes by
		s.identifiers = evidence(p.vendor, snmp.Reading{}, facts.facts)
	}
	for _, k := range facts.keys {
		s.identifiers = append(s.identifiers, Identifier{IDHostKey, k.Fingerprint})
	}
	o := Observation{At: now, Via: ViaSSH, Addr: dev.Address, Identifiers: s.identifiers, Facts: facts.facts}
	outcome := res.Outcome
	if dev, res, err = d.place(ctx, s, o, p, res, false); err != nil {
		return failed(res, fmt.Errorf("store what %s told: %w", dev.Name, err), collector.StepEnd)
	}
	if !noSNMP {
		res.Outcome = outcome
	}
	if match.Platform == nil && !dev.PlatformGiven && guess.Platform == nil {
		return d.reviewed(ctx, run, dev, because(res, &collector.Error{Device: dev.Name, Step: collector.StepCommand, Kind: collector.ErrPlatformUnknown,
			Do: fmt.Sprintf("It could be opened, but no definition knows it. Tell what it runs: muster device set %s --platform NAME", dev.Name)}), false)
	}
	return d.reviewed(ctx, run, dev, res, false)
}

// barred says what stands in the way of opening a device; nil: nothing. One that
// was stored a moment ago has neither keys nor logins that would have to be read.
func (d *Discovery) barred(ctx context.Context, run *Run, dev Device, fresh bool) (bar *collector.Error, err error) {
	if fresh {
		_, bar, err = d.access.barOf(ctx, run.network(), standing{dev: dev})
	} else {
		_, bar, err = d.access.bar(ctx, run.network(), dev.ID)
	}
	return bar, err
}

// unproved is the result for a device at which no session of proof could be had:
// where SNMP has found it, only what it runs is not known.
func unproved(res Result, why *collector.Error, noSNMP bool) Result {
	if noSNMP {
		res.Outcome = OutcomeFailed
	}
	return because(res, why)
}

// proofFacts is what a session of proof brought beside the platform.
type proofFacts struct {
	facts    []platform.Fact
	hostname string
	keys     []collector.HostKey
	steps    []collector.StepTime
}

// prove opens a session that sends the commands of proofs only.
func (d *Discovery) prove(ctx context.Context, run *Run, dev Device) (m platform.Match, f proofFacts, err error) {
	dialogue := d.o.Platforms().ProbeDialogue()
	if def, ok := d.known().ByName(dev.Platform); ok && dev.PlatformGiven {
		dialogue = def.Dialogue()
	}
	s, steps, err := run.Open(ctx, dev, dialogue, cli.Options{})
	f.steps = steps
	if err != nil {
		return m, f, err
	}
	defer func() { _ = s.Close() }() // what it was opened for is done, or has failed already
	defer func() {
		if s.Session != nil {
			f.steps = s.Steps()
		}
	}()
	heard := &listener{Talker: s, said: map[string][]byte{}}
	if m, err = d.known().Prove(ctx, heard); err != nil {
		return m, f, err
	}
	if s.Session != nil {
		f.hostname = s.Hostname()
		if k := s.HostKey(); k.Type != "" { // Telnet has none
			f.keys = []collector.HostKey{k}
		}
	}
	def := m.Platform
	if own, ok := d.known().ByName(dev.Platform); ok && dev.PlatformGiven {
		def = own
	}
	if def != nil {
		texts := map[string][]byte{}
		for _, part := range def.Parts {
			if text, ok := heard.answer(part.Source); ok && part.Via != platform.ViaFile {
				texts[part.Name] = text
			}
		}
		f.facts = def.TextFacts(texts)
		if strings.EqualFold(f.hostname, def.Name) {
			f.hostname = "" // the prompt names the program ("bird>"), not the device
		}
	}
	return m, f, nil
}

// listener keeps what a device answered to the commands of a proof, since a
// platform may find facts in it.
type listener struct {
	platform.Talker
	said map[string][]byte
	last string // command that was answered
}

// answer is what was answered to a command, or to the same one in its other form:
// from the shell of the host ("/usr/sbin/birdc show status") or in the program.
func (l *listener) answer(command string) ([]byte, bool) {
	// The last one is what proved the platform; its other form was no command there.
	if strings.HasSuffix(command, "/birdc "+l.last) || l.last == "vtysh -c '"+command+"'" {
		command = l.last
	}
	text, ok := l.said[command]
	return text, ok
}

// Run implements platform.Talker.
func (l *listener) Run(ctx context.Context, command string) (cli.Output, error) {
	out, err := l.Talker.Run(ctx, command)
	if err == nil {
		l.said[command], l.last = out.Text, command
	}
	return out, err
}

// Exec implements platform.Talker.
func (l *listener) Exec(ctx context.Context, command string) (cli.Output, error) {
	out, err := l.Talker.Exec(ctx, command)
	if err == nil {
		l.said[command], l.last = out.Text, command
	}
	return out, err
}
