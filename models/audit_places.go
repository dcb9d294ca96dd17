package models

import (
	"encoding/binary"
	"math/bits"
)

// blockSize is how many events a block of the search index has. Larger blocks
// make fewer rows, and more events at the end that no block has yet, which
// every search looks through.
const blockSize = 512

// places is a set of events within a block.
type places [blockSize / 64]uint64

func (p *places) add(n int)       { p[n/64] |= 1 << (n % 64) }
func (p *places) has(n int) bool  { return p[n/64]&(1<<(n%64)) != 0 }
func (p *places) unite(o *places) { p.each(o, func(a, b uint64) uint64 { return a | b }) }
func (p *places) meet(o *places)  { p.each(o, func(a, b uint64) uint64 { return a & b }) }

func (p *places) each(o *places, fn func(a, b uint64) uint64) {
	for i := range p {
		p[i] = fn(p[i], o[i])
	}
}

func (p *places) count() (n int) {
	for _, w := range p {
		n += bits.OnesCount64(w)
	}
	return n
}

// list has the places in order.
func (p *places) list() []int {
	list := make([]int, 0, p.count())
	for n := range blockSize {
		if p.has(n) {
			list = append(list, n)
		}
	}
	return list
}

// encode writes few places as two bytes each, many as a bit for every event.
func (p *places) encode() []byte {
	if n := p.count(); n*2 < blockSize/8 {
		b := make([]byte, 0, n*2)
		for _, place := range p.list() {
			b = binary.BigEndian.AppendUint16(b, uint16(place)) // #nosec G115 -- below blockSize
		}
		return b
	}
	b := make([]byte, 0, blockSize/8)
	for _, w := range p {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}

// decodePlaces reads what encode wrote; of anything else it takes what it can.
func decodePlaces(b []byte) (p places) {
	if len(b) == blockSize/8 {
		for i := range p {
			p[i] = binary.BigEndian.Uint64(b[i*8:])
		}
		return p
	}
	for ; len(b) >= 2; b = b[2:] {
		if n := int(binary.BigEndian.Uint16(b)); n < blockSize {
			p.add(n)
		}
	}
	return p
}
