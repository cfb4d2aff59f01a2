package lab

import (
	"encoding/binary"
	"errors"
)

// Tags of RFC 3416 and X.690 as they travel.
const (
	tagInt       = 0x02
	tagOctets    = 0x04
	tagNull      = 0x05
	tagOID       = 0x06
	tagSeq       = 0x30
	tagIP        = 0x40
	tagCounter32 = 0x41
	tagGauge32   = 0x42
	tagTicks     = 0x43
	tagCounter64 = 0x46

	noSuchObject   = 0x80
	noSuchInstance = 0x81
	endOfMibView   = 0x82

	pduGet      = 0xa0
	pduNext     = 0xa1
	pduResponse = 0xa2
	pduSet      = 0xa3
	pduBulk     = 0xa5
	pduReport   = 0xa8
)

var errBER = errors.New("malformed BER")

// cursor reads TLVs one after another.
type cursor struct{ b []byte }

// next returns the tag, the content and the whole TLV.
func (c *cursor) next() (tag byte, val, whole []byte, err error) {
	b := c.b
	if len(b) < 2 {
		return 0, nil, nil, errBER
	}
	n, h := int(b[1]), 2
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 4 || len(b) < 2+k {
			return 0, nil, nil, errBER
		}
		n = 0
		for _, x := range b[2 : 2+k] {
			n = n<<8 | int(x)
		}
		h += k
	}
	if n < 0 || len(b)-h < n {
		return 0, nil, nil, errBER
	}
	c.b = b[h+n:]
	return b[0], b[h : h+n], b[:h+n], nil
}

func (c *cursor) want(tag byte) ([]byte, error) {
	t, v, _, err := c.next()
	if err == nil && t != tag {
		err = errBER
	}
	return v, err
}

func (c *cursor) integer() (int64, error) {
	v, err := c.want(tagInt)
	if err != nil {
		return 0, err
	}
	if len(v) == 0 || len(v) > 8 {
		return 0, errBER
	}
	n := int64(int8(v[0]))
	for _, x := range v[1:] {
		n = n<<8 | int64(x)
	}
	return n, nil
}

func putHead(dst []byte, tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, tag, byte(n))
	case n < 0x100:
		return append(dst, tag, 0x81, byte(n))
	case n < 0x10000:
		return append(dst, tag, 0x82, byte(n>>8), byte(n))
	}
	return append(dst, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
}

func putTLV(dst []byte, tag byte, val []byte) []byte {
	return append(putHead(dst, tag, len(val)), val...)
}

// intBytes is the shortest two's complement form of v.
func intBytes(v int64) []byte {
	n := 1
	for n < 8 && v>>(8*n-1) != 0 && v>>(8*n-1) != -1 {
		n++
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	return append([]byte(nil), b[8-n:]...)
}

// uintBytes is the shortest form of v that does not look negative.
func uintBytes(v uint64) []byte {
	if v>>63 != 0 {
		return binary.BigEndian.AppendUint64([]byte{0}, v)
	}
	return intBytes(int64(v))
}

func putInt(dst []byte, v int64) []byte { return putTLV(dst, tagInt, intBytes(v)) }

// seq wraps the joined parts in one constructed TLV.
func seq(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := putHead(make([]byte, 0, n+5), tag, n)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// arcsOf reads dotted text. The lab's own OIDs are constants: faulty text panics.
func arcsOf(s string) []uint32 {
	var out []uint32
	v, digits := uint32(0), 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			v, digits = v*10+uint32(c-'0'), digits+1
		case c == '.' && digits > 0:
			out, v, digits = append(out, v), 0, 0
		default:
			panic("lab: bad OID " + s)
		}
	}
	return append(out, v)
}

func putBase128(dst []byte, v uint64) []byte {
	for shift := 63; shift > 0; shift -= 7 {
		if v>>shift != 0 {
			dst = append(dst, byte(v>>shift)|0x80)
		}
	}
	return append(dst, byte(v)&0x7f)
}

// oidContent encodes arcs as the content of an OBJECT IDENTIFIER.
func oidContent(a []uint32) []byte {
	dst := putBase128(make([]byte, 0, len(a)+4), uint64(a[0])*40+uint64(a[1]))
	for _, x := range a[2:] {
		dst = putBase128(dst, uint64(x))
	}
	return dst
}

// oidArcs decodes the content of an OBJECT IDENTIFIER.
func oidArcs(b []byte) ([]uint32, bool) {
	var dst []uint32
	v, open := uint64(0), false
	for _, c := range b {
		v = v<<7 | uint64(c&0x7f)
		if open = c&0x80 != 0; open {
			if v > 1<<40 {
				return dst, false
			}
			continue
		}
		if len(dst) == 0 {
			first := min(v/40, 2)
			dst = append(dst, uint32(first), uint32(v-first*40))
		} else {
			dst = append(dst, uint32(v))
		}
		v = 0
	}
	return dst, len(dst) > 0 && !open && len(dst) <= 128
}
