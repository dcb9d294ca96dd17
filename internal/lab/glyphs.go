package lab

import (
	"image"
	"image/draw"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Size of a character in pixels, and of the font that fills it.
const (
	cellWidth, cellHeight = 10, 20
	fontSize              = 16.66 // Go Mono is 0.6 em wide
	baseline              = 15
)

// Colours of the palette by their terminal numbers.
const (
	colourBack = 0
	colourText = 7
)

// palette is 0xRRGGBB; the upper half is drawn in bold.
var palette = [16]uint32{
	0x11151c, 0xe06c75, 0x98c379, 0xd8a657, 0x61afef, 0xc678dd, 0x56b6c2, 0xc8ccd4,
	0x5c6370, 0xf28b94, 0xb5e890, 0xf0c674, 0x82c7ff, 0xdd9df0, 0x7fdbe6, 0xffffff,
}

// shades is to how many steps the edges of a character are rounded: few
// enough for a whole screen to fit a small palette when compressed.
const shades = 4

// glyphs draws characters and keeps what it has drawn.
type glyphs struct {
	mu     sync.Mutex
	faces  [2]font.Face // regular, bold
	masks  map[glyph]*mask
	blends [16][16][shades + 1]uint32
}

type glyph struct {
	ch   rune
	bold bool
}

// mask is the coverage of each pixel, 0 to shades.
type mask [cellWidth * cellHeight]uint8

func newGlyphs() *glyphs {
	g := &glyphs{masks: map[glyph]*mask{}}
	for i, ttf := range [][]byte{gomono.TTF, gomonobold.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			continue // a screen without letters is still a screen
		}
		face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: fontSize, DPI: 72, Hinting: font.HintingFull})
		if err == nil {
			g.faces[i] = face
		}
	}
	for fg := range palette {
		for bg := range palette {
			for s := range shades + 1 {
				g.blends[fg][bg][s] = blend(palette[fg], palette[bg], s)
			}
		}
	}
	return g
}

func blend(fg, bg uint32, s int) uint32 {
	var out uint32
	for shift := 0; shift < 24; shift += 8 {
		f, b := int(fg>>shift&0xff), int(bg>>shift&0xff)
		out |= uint32(b+(f-b)*s/shades) << shift //nolint:gosec // 0 to 255
	}
	return out
}

func (g *glyphs) mask(k glyph) *mask {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m, ok := g.masks[k]; ok {
		return m
	}
	m := new(mask)
	face := g.faces[0]
	if k.bold {
		face = g.faces[1]
	}
	if face != nil && k.ch > ' ' {
		img := image.NewAlpha(image.Rect(0, 0, cellWidth, cellHeight))
		d := font.Drawer{Dst: alphaImage{img}, Src: image.White, Face: face, Dot: fixed.P(0, baseline)}
		d.DrawString(string(k.ch))
		for i, a := range img.Pix {
			m[i] = uint8((int(a)*shades + 127) / 255) //nolint:gosec // 0 to shades
		}
	}
	g.masks[k] = m
	return m
}

// alphaImage lets the drawer paint into an alpha mask.
type alphaImage struct{ *image.Alpha }

var _ draw.Image = alphaImage{}

// paint draws an area of cells as pixels 0xRRGGBB, row by row.
func (g *glyphs) paint(f frame, a area) []uint32 {
	width := a.cols * cellWidth
	out := make([]uint32, width*a.rows*cellHeight)
	for r := range a.rows {
		for c := range a.cols {
			row, col := a.row+r, a.col+c
			ce := f.cells[row*f.cols+col]
			fg, bg := ce.fg&15, ce.bg&15
			m := g.mask(glyph{ce.ch, fg >= 8})
			colours := &g.blends[fg][bg]
			at := r*cellHeight*width + c*cellWidth
			for y := range cellHeight {
				for x := range cellWidth {
					out[at+y*width+x] = colours[m[y*cellWidth+x]]
				}
			}
			if f.cursorOn && row == f.row && col == min(f.col, f.cols-1) {
				for y := cellHeight - 4; y < cellHeight-1; y++ {
					for x := range cellWidth {
						out[at+y*width+x] = palette[colourText]
					}
				}
			}
		}
	}
	return out
}
