package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Most texts are their base but for a few lines: a night's change, the secrets that
// redaction took out, the header that a startup config has not. To tell such a text
// by what it takes from its base costs a comparison, a fortieth of what zstd takes
// with the base as its dictionary, and is shorter.
//
// A splice is its mark, the CRC-32C of the text, and a body of runs. A run is the
// number of its literal bytes, those bytes, how far the place in the base moves from
// the end of the run before, and the number of bytes that are taken from there.

// The marks of a splice; a zstd frame begins with 0x28.
const (
	spliceMark       = 0x01
	packedSpliceMark = 0x02 // the body is a zstd frame
)

const (
	spliceAhead   = 24  // lines that are looked ahead for where base and text go on alike
	spliceStretch = 64  // bytes that tell the place where they do from others
	splicePlain   = 256 // bytes of a body that is not worth packing
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errSplice  = errors.New("it does not fit the text that it was packed against")
)

// splice packs text against base. ok is false where too much of it is new, or
// stands elsewhere: that is zstd's part.
func splice(base, text []byte) (blob []byte, ok bool, err error) {
	var body []byte
	most := splicePlain + len(text)/16
	i, j := 0, 0         // where base and text are looked at
	end, told := 0, 0    // the end of the run before, in base; of what the runs make, in text
	run := func(n int) { // takes n bytes of base at i for those of text at j
		body = append(binary.AppendUvarint(body, uint64(j-told)), text[told:j]...)
		body = binary.AppendUvarint(binary.AppendVarint(body, int64(i-end)), uint64(n))
		i, j = i+n, j+n
		end, told = i, j
	}
	for j < len(text) {
		if n := commonStart(base[i:], text[j:]); n > 0 {
			run(n)
			continue
		}
		if i, j, ok = alikeAgain(base, text, i, j); !ok || len(body)+j-told > most {
			return nil, false, nil
		}
	}
	if told < j {
		run(0)
	}
	mark := byte(spliceMark)
	if len(body) > splicePlain {
		mark = packedSpliceMark
		if body, err = compress(nil, body); err != nil {
			return nil, false, err
		}
	}
	return append(binary.LittleEndian.AppendUint32([]byte{mark}, crc32.Checksum(text, castagnoli)), body...), true, nil
}

// unsplice undoes splice.
func unsplice(base, blob []byte) ([]byte, error) {
	if len(blob) < 5 {
		return nil, errSplice
	}
	sum, body := binary.LittleEndian.Uint32(blob[1:]), blob[5:]
	if blob[0] == packedSpliceMark {
		var err error
		if body, err = decompress(nil, body); err != nil {
			return nil, err
		}
	}
	number := func() int { // at most textMax, or it is none
		n, size := binary.Uvarint(body)
		body = body[max(size, 0):]
		if size <= 0 || n > textMax {
			return -1
		}
		return int(n)
	}
	text := make([]byte, 0, min(len(base)+len(body), textMax))
	for from := 0; len(body) > 0; {
		literal := number()
		if literal < 0 || literal > len(body) {
			return nil, errSplice
		}
		text = append(text, body[:literal]...)
		body = body[literal:]
		moved, size := binary.Varint(body)
		body = body[max(size, 0):]
		n := number()
		if size <= 0 || n < 0 || moved < -int64(from) || moved > int64(len(base)-from) {
			return nil, errSplice
		}
		if from += int(moved); n > len(base)-from || len(text)+n > textMax {
			return nil, errSplice
		}
		text = append(text, base[from:from+n]...)
		from += n
	}
	if crc32.Checksum(text, castagnoli) != sum {
		return nil, errSplice
	}
	return text, nil
}

// alikeAgain finds where base and text, which differ from i and j on, go on alike:
// of the next lines the first two that begin a long stretch, or else the longest.
func alikeAgain(base, text []byte, i, j int) (next, then int, found bool) {
	if i == len(base) {
		return i, len(text), true
	}
	a, b := ahead(base, i), ahead(text, j)
	first := 0
	if j > 0 && text[j-1] != '\n' {
		first = 1 // in the middle of a line
	}
	best, p, q := 0, 0, 0
	for sum := 1; sum < spliceAhead && best < spliceStretch; sum++ {
		for k := first; k <= sum-first && k < len(a); k++ {
			if sum-k >= len(b) {
				continue
			}
			if n := commonStart(within(base, a[k].start), within(text, b[sum-k].start)); n > best {
				best, p, q = n, k, sum-k
			}
		}
	}
	switch {
	case best == 0:
		return i, len(text), len(b) < spliceAhead
	case p != 1 || q != 1:
		return a[p].start, b[q].start, true
	}
	// One line is another: what differs in it ends before what they end with.
	la, lb, n := a[0].of(base), b[0].of(text), 0
	for n < len(la) && n < len(lb) && la[len(la)-1-n] == lb[len(lb)-1-n] {
		n++
	}
	return a[0].end - n, b[0].end - n, true
}

// within is as much of text from i on as tells one stretch from another.
func within(text []byte, i int) []byte { return text[i:min(len(text), i+spliceStretch)] }

// extent is a line of a text with its line feed.
type extent struct{ start, end int }

func (e extent) of(text []byte) []byte { return text[e.start:e.end] }

// ahead are the next lines of text; the first is what is left of the one at i.
func ahead(text []byte, i int) []extent {
	lines := make([]extent, 0, spliceAhead)
	for len(lines) < spliceAhead && i < len(text) {
		end := len(text)
		if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
			end = i + n + 1
		}
		lines = append(lines, extent{i, end})
		i = end
	}
	return lines
}

// commonStart is how many bytes a and b have in common at their starts.
func commonStart(a, b []byte) int {
	const step = 256
	n := 0
	for limit := min(len(a), len(b)); n+step <= limit && bytes.Equal(a[n:n+step], b[n:n+step]); {
		n += step
	}
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
