package snmp

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gosnmp/gosnmp"
)

// mostChanges is how often an engine may begin anew under one session. Real ones
// do once, at a restart or failover.
const mostChanges = 10

// discover asks the engine for its ID, boots and time. What it tells is not
// authenticated; what is signed with keys made for it is.
func (s *Session) discover(ctx context.Context) *trouble {
	var last *trouble
	for range s.limits.SNMPRetries + 1 {
		e, t := s.probe(ctx)
		if t == nil {
			s.engine = e
			s.wire.engineID = e.id
			return nil
		}
		last = t
		if ctx.Err() != nil || t.why == noRoute || t.why == refused {
			break
		}
	}
	return last
}

// probe is one attempt at discovery, past the library: there is nothing in it to
// sign, and the library would go on with keys of its own making.
func (s *Session) probe(ctx context.Context) (engine, *trouble) {
	id := rand.Uint32()&0x3fffffff | 0x01000000
	packet, err := discoveryProbe(id)
	if err != nil {
		return engine{}, &trouble{why: unusable, err: err}
	}
	if err := ctx.Err(); err != nil {
		return engine{}, &trouble{why: silent, err: err}
	}
	if err := s.wire.SetDeadline(time.Now().Add(s.limits.SNMPTimeout)); err != nil {
		return engine{}, troubleOf(err)
	}
	if _, err := s.wire.Write(packet); err != nil {
		return engine{}, troubleOf(err)
	}
	buf := make([]byte, 2048)
	for {
		_, err := s.wire.Read(buf)
		var r *reportError
		switch {
		case errors.As(err, &r):
			e := engine{bytes.Clone(r.engineID), r.boots, r.time}
			if e.valid() {
				return e, nil
			}
			s.wire.strays++
		case err != nil:
			t := troubleOf(err)
			t.strays = s.wire.strays
			return engine{}, t
		default:
			s.wire.strays++ // no Report: answers nothing that we asked
		}
	}
}

// arm gives the library the keys for the engine that was discovered.
func (s *Session) arm() *trouble {
	c := s.target.Credential
	auth := authProtocols[c.AuthProtocol]
	priv := privProtocols[s.priv]
	usm := &gosnmp.UsmSecurityParameters{
		UserName:                 c.User,
		AuthoritativeEngineID:    string(s.engine.id),
		AuthoritativeEngineBoots: s.engine.boots,
		AuthoritativeEngineTime:  s.engine.time,
		AuthenticationProtocol:   auth.lib,
		PrivacyProtocol:          priv.lib,
	}
	s.lib.MsgFlags = gosnmp.Reportable
	if auth.hash != 0 {
		s.lib.MsgFlags |= gosnmp.AuthNoPriv
		usm.SecretKey = localized(auth.hash, c.Auth.Reveal(), s.engine.id)
	}
	if priv.bytes != 0 {
		s.lib.MsgFlags |= gosnmp.AuthPriv
		usm.PrivacyKey = privKey(auth.hash, s.priv, c.Priv.Reveal(), s.engine.id)
	}
	s.lib.Version = gosnmp.Version3
	s.lib.SecurityModel = gosnmp.UserSecurityModel
	s.lib.SecurityParameters = usm
	s.lib.ContextEngineID = string(s.engine.id)
	// Encoding validates the parameters and seeds the salts, which Connect does
	// only where the version is v3 from the start.
	if _, err := s.lib.SnmpEncodePacket(gosnmp.GetRequest, nil, 0, 0); err != nil {
		return &trouble{why: unusable, err: shortened(err)}
	}
	return nil
}

// renew starts anew with an engine that is not the one we have keys for: it
// restarted, or another unit has taken its address over.
func (s *Session) renew(ctx context.Context) *trouble {
	s.changes++
	if s.changes > mostChanges {
		return &trouble{why: garbled, err: errors.New("the engine ID or boots changed again and again")}
	}
	if t := s.discover(ctx); t != nil {
		return t
	}
	return s.arm()
}

// engineClock tells boots and time (s) of the engine as of its last answer.
func (s *Session) engineClock() (boots, time int64) {
	if usm, ok := s.lib.SecurityParameters.(*gosnmp.UsmSecurityParameters); ok {
		return int64(usm.AuthoritativeEngineBoots), int64(usm.AuthoritativeEngineTime)
	}
	return int64(s.engine.boots), int64(s.engine.time)
}
