package lab

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
)

// The usmStats counters that a Report carries (RFC 3414 §5).
const (
	statsLevel   = "1.3.6.1.6.3.15.1.1.1.0"
	statsWindow  = "1.3.6.1.6.3.15.1.1.2.0"
	statsUser    = "1.3.6.1.6.3.15.1.1.3.0"
	statsEngine  = "1.3.6.1.6.3.15.1.1.4.0"
	statsDigest  = "1.3.6.1.6.3.15.1.1.5.0"
	statsDecrypt = "1.3.6.1.6.3.15.1.1.6.0"
)

const (
	flagAuth       = 1
	flagPriv       = 2
	flagReportable = 4
)

// v3Message is the outside of an SNMPv3 message (RFC 3412 §6, RFC 3414 §2.4).
type v3Message struct {
	id, user, mac, salt, engine []byte
	flags                       byte
	peerMax, boots, time        int64
	dataTag                     byte
	data, dataWhole             []byte
}

func readV3(c *cursor) (m v3Message, err error) {
	head, err := c.want(tagSeq)
	if err != nil {
		return m, err
	}
	params, err := c.want(tagOctets)
	if err != nil {
		return m, err
	}
	if m.dataTag, m.data, m.dataWhole, err = c.next(); err != nil {
		return m, err
	}
	h := cursor{head}
	var e [10]error
	var flags []byte
	var model int64
	m.id, e[0] = h.want(tagInt)
	m.peerMax, e[1] = h.integer()
	flags, e[2] = h.want(tagOctets)
	model, e[3] = h.integer()
	p := cursor{params}
	params, err = p.want(tagSeq)
	p = cursor{params}
	m.engine, e[4] = p.want(tagOctets)
	m.boots, e[5] = p.integer()
	m.time, e[6] = p.integer()
	m.user, e[7] = p.want(tagOctets)
	m.mac, e[8] = p.want(tagOctets)
	m.salt, e[9] = p.want(tagOctets)
	if err != nil || e != [10]error{} || len(flags) != 1 || model != 3 {
		return m, errBER
	}
	m.flags = flags[0]
	return m, nil
}

// usm answers a version 3 message; whole is the datagram as it came.
func (a *agent) usm(c *cursor, whole []byte) []byte {
	if len(a.node.spec.SNMPUsers) == 0 {
		return nil
	}
	m, err := readV3(c)
	if err != nil {
		return nil
	}
	secs := int64(a.engineTime())
	report := func(oid string, level byte, u *SNMPUser) []byte {
		if oid != statsEngine && oid != statsWindow {
			a.count.WrongCredential++
		}
		if m.flags&flagReportable == 0 {
			return nil
		}
		id := []byte{0}
		if m.dataTag == tagSeq { // the request-id, where it can be read
			if p, _, err := scoped(m.data); err == nil {
				id = p.id
			}
		}
		vb := makeVarbind(oidContent(arcsOf(oid)), putTLV(nil, tagCounter32, uintBytes(uint64(a.count.Answers+1))))
		return a.v3Answer(&m, u, level, nil, seq(pduReport, putTLV(nil, tagInt, id), []byte{tagInt, 1, 0, tagInt, 1, 0}, seq(tagSeq, vb)))
	}
	if !bytes.Equal(m.engine, a.engine) {
		return report(statsEngine, 0, nil)
	}
	u := a.user(string(m.user))
	if u == nil {
		return report(statsUser, 0, nil)
	}
	if (m.flags&flagAuth != 0) != (u.Auth != "") || (m.flags&flagPriv != 0) != (u.Priv != "") {
		return report(statsLevel, 0, nil)
	}
	keys := a.userKeys(u)
	if u.Auth != "" {
		if !authentic(u, keys.auth, &m, whole) {
			return report(statsDigest, 0, nil)
		}
		// RFC 3414 §3.2 7: outside 150 s the message is not timely.
		if m.boots != engineBoots || m.time < secs-150 || m.time > secs+150 {
			return report(statsWindow, flagAuth, u)
		}
	}
	if u.Priv != "" {
		if m.dataTag != tagOctets {
			return report(statsDecrypt, 0, nil)
		}
		plain, err := crypt(u.Priv, keys.priv, uint32(m.boots), uint32(m.time), m.salt, m.data, true)
		if err != nil {
			return report(statsDecrypt, 0, nil)
		}
		sc := cursor{plain}
		if m.data, err = sc.want(tagSeq); err != nil {
			return report(statsDecrypt, 0, nil)
		}
	} else if m.dataTag != tagSeq {
		return nil
	}
	p, context, err := scoped(m.data)
	if err != nil || len(context) > 0 {
		return nil
	}
	room := min(maxMessage, int(min(max(m.peerMax, 484), 65507))) - 90 - 2*len(a.engine) - len(m.user) - len(m.mac)
	out := a.respond(&p, 3, room)
	if out == nil {
		return nil
	}
	return a.v3Answer(&m, u, m.flags&(flagAuth|flagPriv), context, out)
}

func (a *agent) user(name string) *SNMPUser {
	for i := range a.node.spec.SNMPUsers {
		if u := &a.node.spec.SNMPUsers[i]; u.Name == name {
			return u
		}
	}
	return nil
}

func (a *agent) userKeys(u *SNMPUser) usmKeys {
	k, ok := a.keys[u.Name]
	if !ok {
		if a.keys == nil {
			a.keys = map[string]usmKeys{}
		}
		k = a.node.net.passKeys.user(*u, a.engine)
		a.keys[u.Name] = k
	}
	return k
}

// authentic checks the digest, which was made while its own place held zeroes.
func authentic(u *SNMPUser, key []byte, m *v3Message, whole []byte) bool {
	if _, size := authHash(u.Auth); len(m.mac) != size {
		return false
	}
	at := bytes.LastIndex(whole[:len(whole)-len(m.dataWhole)], m.mac)
	if at < 0 {
		return false
	}
	zeroed := bytes.Clone(whole)
	clear(zeroed[at : at+len(m.mac)])
	return hmac.Equal(sign(u.Auth, key, zeroed), m.mac)
}

// scoped reads the content of a ScopedPDU.
func scoped(b []byte) (p pdu, context []byte, err error) {
	c := cursor{b}
	if _, err = c.want(tagOctets); err != nil {
		return p, nil, err
	}
	if context, err = c.want(tagOctets); err != nil {
		return p, nil, err
	}
	t, body, _, err := c.next()
	if err != nil {
		return p, nil, err
	}
	p, err = readPDU(t, body)
	return p, context, err
}

// v3Answer wraps a PDU in a message that answers m, encrypted and signed as level asks.
func (a *agent) v3Answer(m *v3Message, u *SNMPUser, level byte, context, pdu []byte) []byte {
	secs := a.engineTime()
	data := seq(tagSeq, putTLV(nil, tagOctets, a.engine), putTLV(nil, tagOctets, context), pdu)
	var keys usmKeys
	if u != nil {
		keys = a.userKeys(u)
	}
	var salt, mac []byte
	if level&flagPriv != 0 {
		a.salt++
		if u.Priv == "des" {
			salt = binary.BigEndian.AppendUint32(nil, engineBoots)
			salt = binary.BigEndian.AppendUint32(salt, uint32(a.salt))
		} else {
			salt = binary.BigEndian.AppendUint64(nil, a.salt)
		}
		enc, err := crypt(u.Priv, keys.priv, engineBoots, secs, salt, data, false)
		if err != nil {
			return nil
		}
		data = putTLV(nil, tagOctets, enc)
	}
	if level&flagAuth != 0 {
		_, size := authHash(u.Auth)
		mac = make([]byte, size)
	}
	saltTLV := putTLV(nil, tagOctets, salt)
	params := seq(tagSeq, putTLV(nil, tagOctets, a.engine), putInt(nil, engineBoots), putInt(nil, int64(secs)),
		putTLV(nil, tagOctets, m.user), putTLV(nil, tagOctets, mac), saltTLV)
	head := seq(tagSeq, putTLV(nil, tagInt, m.id), putInt(nil, 65507), []byte{tagOctets, 1, level}, []byte{tagInt, 1, 3})
	out := seq(tagSeq, []byte{tagInt, 1, 3}, head, putTLV(nil, tagOctets, params), data)
	if level&flagAuth != 0 {
		at := len(out) - len(data) - len(saltTLV) - len(mac)
		copy(out[at:], sign(u.Auth, keys.auth, out))
	}
	return out
}
