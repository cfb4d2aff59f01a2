package store

import (
	"bytes"
	"fmt"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"

	"muster/internal/secret"
)

const (
	keyframeEvery = 30       // versions against one key frame; then a new one, so that a drift away from it ends
	textMax       = 64 << 20 // bytes of the largest text: the largest capture that is taken
	dictID        = 1        // of the one dictionary of a frame; 0 would mean "none" in its header
	smallWindow   = 256 << 10
)

// keyframe is the text against which the next texts of a device are packed. The
// zero keyframe means that there is none yet.
type keyframe struct {
	Text  []byte
	Size  int // bytes of its own blob
	Since int // texts packed against it so far
}

// textAddress is the keyed hash by which a text is found again: equal for equal
// texts of one kind ("redacted", "raw"), and useless without the master key,
// under which alone a guessed password could be tried against it.
func (s *Store) textAddress(kind string, text []byte) []byte {
	return secret.Digest(s.address, []byte(kind), text)
}

// packRedacted compresses a redacted text against base, the key frame of the
// same device. It answers a whole frame, the device's next key frame, where
// there is none yet, where 30 texts hang on it, or where the difference is over
// a quarter of it. Any text is thus two frames away, never a chain.
func packRedacted(base keyframe, text []byte) (blob []byte, whole bool, err error) {
	if base.Text != nil && base.Since < keyframeEvery {
		blob, err := packAgainst(base.Text, text)
		if err != nil {
			return nil, false, err
		}
		if len(blob) <= base.Size/4 {
			return blob, false, nil
		}
	}
	blob, err = compress(nil, text)
	return blob, true, err
}

// unpackRedacted undoes packRedacted; base is the key frame's text, nil for a
// whole frame.
func unpackRedacted(blob, base []byte) ([]byte, error) { return unpackAgainst(base, blob) }

// packRaw compresses a raw text against its own redacted one, of which it
// differs by volatile lines and secrets, and seals the result. id names the
// row that it belongs to, for ever: sealed for one, it opens for no other.
func (s *Store) packRaw(redacted, raw []byte, id string) ([]byte, error) {
	packed, err := packAgainst(redacted, raw)
	if err != nil {
		return nil, err
	}
	return s.key.Seal(packed, s.sealedIdentity("raw", id)), nil
}

// unpackRaw undoes packRaw.
func (s *Store) unpackRaw(blob, redacted []byte, id string) ([]byte, error) {
	packed, err := s.key.Open(blob, s.sealedIdentity("raw", id))
	if err != nil {
		return nil, fmt.Errorf("open the raw text: %w", err)
	}
	return unpackAgainst(redacted, packed)
}

// packAgainst packs text against base, nil: by itself.
func packAgainst(base, text []byte) ([]byte, error) {
	if len(base) > 0 && len(text) <= textMax {
		if blob, ok, err := splice(base, text); ok || err != nil {
			return blob, err
		}
	}
	return compress(base, text)
}

// unpackAgainst undoes packAgainst.
func unpackAgainst(base, blob []byte) ([]byte, error) {
	if len(blob) > 0 && (blob[0] == spliceMark || blob[0] == packedSpliceMark) {
		return unsplice(base, blob)
	}
	return decompress(base, blob)
}

// compress makes one zstd frame with a checksum of its content, which also tells
// a wrong dictionary from the right one.
func compress(dict, text []byte) ([]byte, error) {
	if len(text) > textMax {
		return nil, fmt.Errorf("text of %d bytes is over the limit of %d", len(text), textMax)
	}
	// The window must reach over text and dictionary, or what lies behind it is
	// not found; the smallest that does costs 1.3 MB an encoder instead of 11.
	window := smallWindow
	if need := len(dict) + len(text); need > window {
		window = 1 << bits.Len(uint(need-1))
	}
	pool := &encoders[0]
	var options []zstd.EOption
	if len(dict) > 0 {
		pool, options = &encoders[1], []zstd.EOption{zstd.WithEncoderDictRaw(dictID, dict)}
	}
	if window > smallWindow {
		e, err := newEncoder(window, options...)
		if err != nil {
			return nil, err
		}
		return e.EncodeAll(text, nil), e.Close()
	}
	// A new encoder costs more than what it does with a text of usual size.
	e, _ := pool.Get().(*zstd.Encoder)
	var err error
	if e == nil {
		e, err = newEncoder(smallWindow, options...)
	} else if options != nil {
		err = e.ResetWithOptions(nil, options...)
	}
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	defer pool.Put(e)
	scratch, _ := scratches.Get().([]byte)
	scratch = e.EncodeAll(text, scratch[:0])
	defer scratches.Put(scratch) //nolint:staticcheck // a slice's header is small beside a text
	return bytes.Clone(scratch), nil
}

// scratches are for frames while they grow: most are far smaller than their text.
var scratches sync.Pool

// encoders are for texts that fit the small window, without and with a
// dictionary: one kind cannot become the other for nothing.
var encoders [2]sync.Pool

func newEncoder(window int, more ...zstd.EOption) (*zstd.Encoder, error) {
	e, err := zstd.NewWriter(nil, append([]zstd.EOption{
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true), // else its history is twice the window: 128 MB for a text of 20 MB
	}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return e, nil
}

// decoders are for whole frames; one with a dictionary is made for each text.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, decoderOptions...)
	if err != nil {
		panic("store: " + err.Error()) // only for options that do not fit together
	}
	return d
}}

// decoderOptions bound what a damaged frame can claim: 33 kB can ask for 300 MB.
var decoderOptions = []zstd.DOption{
	zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(textMax),
	zstd.WithDecoderMaxWindow(4 * textMax),
}

func decompress(dict, blob []byte) ([]byte, error) {
	var d *zstd.Decoder
	if len(dict) == 0 {
		d = decoders.Get().(*zstd.Decoder)
		defer decoders.Put(d)
	} else {
		var err error
		d, err = zstd.NewReader(nil, append(decoderOptions[:len(decoderOptions):len(decoderOptions)], zstd.WithDecoderDictRaw(dictID, dict))...)
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		defer d.Close()
	}
	text, err := d.DecodeAll(blob, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if text == nil {
		text = []byte{} // an empty text is a text; nil would be NULL in a column
	}
	return text, nil
}
