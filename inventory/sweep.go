package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"muster/collector"
	"muster/collector/snmp"
)

// scopeSweep is the part of a sweep that is one scope's.
type scopeSweep struct {
	scope   Scope
	targets []snmp.SweepTarget
	known   map[netip.Addr]Device // by the address that is asked
	faults  []string              // credentials that cannot be read
}

// Sweep asks all addresses of the scopes (names; none: all) and the known
// devices of them with the credential that works for each. found is called for
// each answer as it comes, and at the end for known devices that were silent or
// do not speak SNMP; never from two goroutines at once. The message of the
// summary tells, when nothing answered, that agents often ignore askers outside
// their access list, and from which address was asked.
func (d *Discovery) Sweep(ctx context.Context, scopes []string, progress func(sent, total, answered int), found func(Candidate)) (SweepSummary, error) {
	n := d.o.Network().remember(newCredentials())
	chosen, err := n.choose(scopes)
	if err != nil {
		return SweepSummary{}, err
	}
	var all []Device
	var holders map[netip.Addr]int64
	err = d.o.Store.View(ctx, func(tx Reader) (err error) {
		if all, err = tx.Devices(); err != nil {
			return err
		}
		holders, err = tx.Answered()
		return err
	})
	if err != nil {
		return SweepSummary{}, err
	}
	var sum SweepSummary
	var parts []*scopeSweep
	for _, sc := range chosen {
		p, err := n.plan(ctx, sc, all, holders)
		if err != nil {
			return SweepSummary{}, fmt.Errorf("list the addresses of scope %s: %w", sc.Name, err)
		}
		parts = append(parts, p)
	}
	answered, err := d.sweepAll(ctx, parts, &sum, progress, found)
	if err != nil {
		return sum, err
	}
	d.report(parts, all, chosen, answered, &sum, found)
	sum.Message = message(parts, sum)
	return sum, nil
}

// choose returns the scopes with these names, all where there are none.
func (n Network) choose(names []string) ([]Scope, error) {
	if len(names) == 0 {
		return n.Scopes, nil
	}
	var chosen []Scope
	for _, name := range names {
		sc, ok := n.named(name)
		if !ok {
			var have []string
			for _, s := range n.Scopes {
				have = append(have, s.Name)
			}
			return nil, fmt.Errorf("there is no scope %q; the settings have %s", name, strings.Join(have, ", "))
		}
		chosen = append(chosen, sc)
	}
	return chosen, nil
}

// plan lists whom to ask in a scope, and with which credentials: a known device
// only with the one that works for it, so that nobody's log fills with wrong ones.
func (n Network) plan(ctx context.Context, sc Scope, all []Device, holders map[netip.Addr]int64) (*scopeSweep, error) {
	p := &scopeSweep{scope: sc, known: map[netip.Addr]Device{}}
	byID := map[int64]Device{}
	addrs, err := sc.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	var creds []collector.Credential
	for _, name := range sc.Credentials {
		c, err := n.resolve(ctx, name)
		if err != nil {
			p.faults = append(p.faults, err.Error())
			continue
		}
		if c.Kind.SNMP() {
			creds = append(creds, c)
		}
	}
	for _, dev := range all {
		byID[dev.ID] = dev
		if dev.Address.IsValid() && n.scope(dev).Name == sc.Name && (sc.Contains == nil || sc.Contains(dev.Address)) {
			p.known[dev.Address] = dev
			if !slices.Contains(addrs, dev.Address) && len(addrs) < 1<<20 {
				addrs = append(addrs, dev.Address) // a device that was added is asked too
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, addr := range slices.Compact(addrs) {
		use := creds
		dev, ok := p.known[addr]
		if !ok { // a further address of a device
			dev, ok = byID[holders[addr]]
		}
		if ok {
			if dev.Disabled {
				continue // by a person: not asked
			}
			if dev.SNMPCredential != "" {
				if c, err := n.resolve(ctx, dev.SNMPCredential); err == nil {
					use = []collector.Credential{n.SNMPTarget(dev, c).Credential}
				}
			}
		}
		fit := use // by far the most: all addresses share one list
		if misfit := func(c collector.Credential) bool { return !c.Fits(addr) }; slices.ContainsFunc(use, misfit) {
			fit = slices.DeleteFunc(slices.Clone(use), misfit)
		}
		if len(fit) > 0 {
			p.targets = append(p.targets, snmp.SweepTarget{Addr: netip.AddrPortFrom(addr, first(sc.SNMPPort, 161)), Credentials: fit})
		}
	}
	return p, nil
}

// sweepAll sweeps the scopes side by side, each at its own rate, and returns the
// addresses that answered.
func (d *Discovery) sweepAll(ctx context.Context, parts []*scopeSweep, sum *SweepSummary, progress func(sent, total, answered int), found func(Candidate)) (map[netip.Addr]bool, error) {
	var mu sync.Mutex // guards answered, sum, counts, and calls of found and progress
	answered := map[netip.Addr]bool{}
	counts := make([][3]int, len(parts))
	for i, p := range parts {
		counts[i][1] = len(p.targets)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range parts {
		if len(p.targets) == 0 {
			continue
		}
		group.Go(func() error {
			o := snmp.SweepOptions{Source: p.scope.Source, Rate: p.scope.SNMPRate, Progress: func(sent, total, got int) {
				mu.Lock()
				defer mu.Unlock()
				counts[i] = [3]int{sent, total, got}
				if progress == nil {
					return
				}
				var all [3]int
				for _, c := range counts {
					for k := range all {
						all[k] += c[k]
					}
				}
				progress(all[0], all[1], all[2])
			}}
			res, err := d.sweep(ctx, p.targets, o, func(a snmp.Answer) {
				mu.Lock()
				defer mu.Unlock()
				addr := a.Addr.Addr().Unmap()
				answered[addr] = true
				found(Candidate{Scope: p.scope.Name, Addr: addr, Credential: a.Credential, DeviceID: p.known[addr].ID})
			})
			if err != nil {
				return fmt.Errorf("sweep scope %s: %w", p.scope.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.Asked += res.Asked
			sum.Answered += res.Answered
			if res.From.IsValid() && !slices.Contains(sum.From, res.From) {
				sum.From = append(sum.From, res.From)
			}
			return nil
		})
	}
	return answered, group.Wait()
}

// report names the known devices that the sweep did not hear of.
func (d *Discovery) report(parts []*scopeSweep, all []Device, chosen []Scope, answered map[netip.Addr]bool, sum *SweepSummary, found func(Candidate)) {
	asked := map[int64]bool{}
	for _, p := range parts {
		for _, addr := range sortedAddrs(p.known) {
			dev := p.known[addr]
			asked[dev.ID] = true
			if !answered[addr] && !dev.Disabled && !dev.Retired {
				found(Candidate{Scope: p.scope.Name, Addr: addr, Credential: dev.SNMPCredential, DeviceID: dev.ID, Silent: dev.SNMPCredential != ""})
			}
		}
	}
	for _, dev := range all {
		in := slices.ContainsFunc(chosen, func(sc Scope) bool { return sc.Name == dev.Scope })
		if asked[dev.ID] || !in || dev.Retired || dev.Disabled || !dev.Address.IsValid() {
			continue
		}
		sum.Excluded++
		found(Candidate{Scope: dev.Scope, Addr: dev.Address, DeviceID: dev.ID, Excluded: true})
	}
}

func sortedAddrs(m map[netip.Addr]Device) []netip.Addr {
	var all []netip.Addr
	for a := range m {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// message tells what is odd about a sweep.
func message(parts []*scopeSweep, sum SweepSummary) string {
	var said []string
	for _, p := range parts {
		if len(p.faults) > 0 {
			said = append(said, fmt.Sprintf("scope %s: not asked with %s", p.scope.Name, strings.Join(p.faults, "; ")))
		}
		if len(p.targets) == 0 {
			said = append(said, fmt.Sprintf("scope %s: nobody was asked; name an SNMP credential that fits its addresses", p.scope.Name))
		}
	}
	if sum.Asked > 0 && sum.Answered == 0 {
		var from []string
		for _, a := range sum.From {
			from = append(from, a.String())
		}
		own := "this machine"
		if len(from) > 0 {
			own = strings.Join(from, " and ")
		}
		said = append(said, fmt.Sprintf("none of %d addresses answered. SNMP agents often ignore askers outside their access list: "+
			"allow %s there, and check the communities and users of the scope", sum.Asked, own))
	}
	return strings.Join(said, "; ")
}
