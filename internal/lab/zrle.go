package lab

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
)

// pixelFormat is how a viewer wants its colours (RFB 3.8, 7.4).
type pixelFormat struct {
	BitsPerPixel, Depth, BigEndian, TrueColour uint8
	RedMax, GreenMax, BlueMax                  uint16
	RedShift, GreenShift, BlueShift            uint8
	_                                          [3]uint8
}

// ownFormat is what the server offers: 32 bits, blue first.
func ownFormat() pixelFormat {
	return pixelFormat{
		BitsPerPixel: 32, Depth: 24, TrueColour: 1,
		RedMax: 255, GreenMax: 255, BlueMax: 255, RedShift: 16, GreenShift: 8,
	}
}

func (p *pixelFormat) usable() bool {
	return p.TrueColour != 0 && (p.BitsPerPixel == 8 || p.BitsPerPixel == 16 || p.BitsPerPixel == 32)
}

// value converts 0xRRGGBB.
func (p *pixelFormat) value(rgb uint32) uint32 {
	r := (rgb >> 16 & 0xff) * uint32(p.RedMax) / 255 << p.RedShift
	g := (rgb >> 8 & 0xff) * uint32(p.GreenMax) / 255 << p.GreenShift
	b := (rgb & 0xff) * uint32(p.BlueMax) / 255 << p.BlueShift
	return r | g | b
}

// put appends a whole pixel.
func (p *pixelFormat) put(out []byte, rgb uint32) []byte {
	n := p.value(rgb)
	switch {
	case p.BitsPerPixel == 8:
		return append(out, byte(n)) // #nosec G115 -- 8 bits by the format
	case p.BitsPerPixel == 16 && p.BigEndian != 0:
		return binary.BigEndian.AppendUint16(out, uint16(n)) //nolint:gosec // 16 bits by the format
	case p.BitsPerPixel == 16:
		return binary.LittleEndian.AppendUint16(out, uint16(n)) //nolint:gosec // 16 bits by the format
	case p.BigEndian != 0:
		return binary.BigEndian.AppendUint32(out, n)
	}
	return binary.LittleEndian.AppendUint32(out, n)
}

// putShort appends a pixel as ZRLE has it: of 32 bits only the three bytes
// that carry colour, if they are the lower or the upper three.
func (p *pixelFormat) putShort(out []byte, rgb uint32) []byte {
	if p.BitsPerPixel != 32 || p.Depth > 24 {
		return p.put(out, rgb)
	}
	used := uint32(p.RedMax)<<p.RedShift | uint32(p.GreenMax)<<p.GreenShift | uint32(p.BlueMax)<<p.BlueShift
	n := p.value(rgb)
	switch {
	case used&0xff000000 == 0:
	case used&0xff == 0:
		n >>= 8
	default:
		return p.put(out, rgb)
	}
	if p.BigEndian != 0 {
		return append(out, byte(n>>16), byte(n>>8), byte(n)) // #nosec G115 -- byte by byte
	}
	return append(out, byte(n), byte(n>>8), byte(n>>16)) // #nosec G115 -- byte by byte
}

// zrle is the compressor of one connection: its zlib stream spans all
// rectangles that the connection is sent.
type zrle struct {
	out  bytes.Buffer
	zlib *zlib.Writer
	raw  []byte
}

const zrleTile = 64

// encode appends length and data of one rectangle.
func (z *zrle) encode(dst []byte, pixels []uint32, width, height int, p *pixelFormat) ([]byte, error) {
	if z.zlib == nil {
		w, err := zlib.NewWriterLevel(&z.out, zlib.BestSpeed)
		if err != nil {
			return dst, err
		}
		z.zlib = w
	}
	z.raw = z.raw[:0]
	for y := 0; y < height; y += zrleTile {
		for x := 0; x < width; x += zrleTile {
			z.tile(pixels, width, x, y, min(zrleTile, width-x), min(zrleTile, height-y), p)
		}
	}
	z.out.Reset()
	if _, err := z.zlib.Write(z.raw); err != nil {
		return dst, err
	}
	if err := z.zlib.Flush(); err != nil {
		return dst, err
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(z.out.Len())) //nolint:gosec // a screen
	return append(dst, z.out.Bytes()...), nil
}

// tile encodes 64 by 64 pixels: one colour, a packed palette of up to 16, or
// plain pixels.
func (z *zrle) tile(pixels []uint32, stride, x, y, w, h int, p *pixelFormat) {
	var colours [17]uint32
	n := 0
	index := func(c uint32) int {
		for i := range n {
			if colours[i] == c {
				return i
			}
		}
		if n < len(colours) {
			colours[n] = c
		}
		n++
		return n - 1
	}
scan:
	for r := range h {
		row := pixels[(y+r)*stride+x:][:w]
		last := ^row[0]
		for _, c := range row {
			if c == last {
				continue
			}
			last = c
			if index(c); n > 16 {
				break scan
			}
		}
	}
	switch {
	case n == 1:
		z.raw = p.putShort(append(z.raw, 1), colours[0])
	case n <= 16:
		z.packed(pixels, stride, x, y, w, h, colours[:n], index, p)
	default:
		z.raw = append(z.raw, 0)
		for r := range h {
			for _, c := range pixels[(y+r)*stride+x:][:w] {
				z.raw = p.putShort(z.raw, c)
			}
		}
	}
}

func (z *zrle) packed(pixels []uint32, stride, x, y, w, h int, colours []uint32, index func(uint32) int, p *pixelFormat) {
	bits := 4
	switch n := len(colours); {
	case n == 2:
		bits = 1
	case n <= 4:
		bits = 2
	}
	z.raw = append(z.raw, byte(len(colours))) // #nosec G115 -- at most 16
	for _, c := range colours {
		z.raw = p.putShort(z.raw, c)
	}
	for r := range h {
		var acc byte
		used := 0
		for _, c := range pixels[(y+r)*stride+x:][:w] {
			acc = acc<<bits | byte(index(c)) //nolint:gosec // below 16
			if used += bits; used == 8 {
				z.raw = append(z.raw, acc)
				acc, used = 0, 0
			}
		}
		if used > 0 {
			z.raw = append(z.raw, acc<<(8-used))
		}
	}
}
