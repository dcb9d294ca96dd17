package lab

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Size of the text screen in cells: a firmware that is smaller than the
// system, so that viewers see a change of mode at boot as from real machines.
const (
	firmwareColumns, firmwareRows = 64, 20
	systemColumns, systemRows     = 80, 25
)

// cell is one character with its colours, indexes into the palette.
type cell struct {
	ch     rune
	fg, bg uint8
}

// hooks are what a guest can do to its machine.
type hooks struct {
	powerOff func()
	reboot   func()
	cd       func() string     // the ISO file in the drive, "" for none
	lockDoor func(locked bool) // of the drive: a mounted CD can't be taken out
}

// screen is the text console of one machine. It belongs to the machine: all
// viewers see the same, and it stays when they leave. Nothing runs while
// nobody types and nothing boots.
type screen struct {
	hooks    hooks
	machine  Machine
	template Template

	mu         sync.Mutex
	cols, rows int
	cells      []cell
	row, col   int
	fg, bg     uint8
	cursorOn   bool
	escape     []byte // a colour sequence that is not complete yet
	viewers    map[*viewer]struct{}
	halted     bool

	boots  int // counts boots, so that a late step of an earlier one stops
	bootAt time.Time
	shell  shell
}

func newScreen(m Machine, h hooks) *screen {
	t, _ := TemplateBySlug(m.Template)
	s := &screen{hooks: h, machine: m, template: t, viewers: map[*viewer]struct{}{}}
	s.resize(systemColumns, systemRows)
	return s
}

// attach adds a viewer; false: the machine has gone off meanwhile.
func (s *screen) attach(v *viewer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted {
		return false
	}
	s.viewers[v] = struct{}{}
	v.damage.all(s.rows)
	return true
}

func (s *screen) detach(v *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.viewers, v)
}

// disconnect closes every viewer; the screen keeps its text.
func (s *screen) disconnect() {
	s.mu.Lock()
	var open []*viewer
	for v := range s.viewers {
		open = append(open, v)
	}
	s.mu.Unlock()
	for _, v := range open {
		v.close()
	}
}

// cut takes every viewer's connection away; the screen keeps its text.
func (s *screen) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.viewers {
		_ = v.ws.NetConn().Close()
	}
}

// halt ends the screen for good: the machine is off.
func (s *screen) halt() {
	s.mu.Lock()
	s.halted = true
	s.boots++
	s.mu.Unlock()
	s.disconnect()
}

// frame is what a viewer paints from.
type frame struct {
	cols, rows int
	cells      []cell
	row, col   int
	cursorOn   bool
}

// snapshot hands a viewer its damage and what to paint it from.
func (s *screen) snapshot(v *viewer) (frame, damage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := v.damage
	v.damage.clear()
	if d.empty() {
		return frame{cols: s.cols, rows: s.rows}, d
	}
	return frame{
		cols: s.cols, rows: s.rows, cells: append([]cell(nil), s.cells...),
		row: s.row, col: s.col, cursorOn: s.cursorOn,
	}, d
}

// write puts text on the screen: line feed, carriage return, backspace, form
// feed (clear) and colours (ESC [ n m) are understood. Callers hold s.mu.
func (s *screen) write(text string) {
	s.touch(s.row, s.col) // where the cursor was
	for _, r := range text {
		switch {
		case s.escape != nil:
			s.escape = utf8.AppendRune(s.escape, r)
			if r != '[' && (r < '0' || r > '9') && r != ';' {
				s.colour(string(s.escape))
				s.escape = nil
			}
		case r == 0x1b:
			s.escape = []byte{}
		case r == '\n':
			s.row, s.col = s.row+1, 0
		case r == '\r':
			s.col = 0
		case r == '\b':
			s.col = max(0, s.col-1)
		case r == '\f':
			s.clear()
		case r == '\t':
			s.col = min(s.cols-1, (s.col/8+1)*8)
		case r >= ' ':
			if s.col == s.cols {
				s.row, s.col = s.row+1, 0
				s.scroll()
			}
			s.cells[s.row*s.cols+s.col] = cell{r, s.fg, s.bg}
			s.touch(s.row, s.col)
			s.col++
		}
		s.scroll()
	}
	s.touch(s.row, s.col)
	s.wake()
}

func (s *screen) colour(seq string) {
	for p := range strings.SplitSeq(strings.Trim(seq, "[m"), ";") {
		n, _ := strconv.Atoi(p)
		switch {
		case n == 0:
			s.fg, s.bg = colourText, colourBack
		case n == 1:
			s.fg |= 8
		case n >= 30 && n <= 37:
			s.fg = s.fg&8 | uint8(n-30)
		case n >= 40 && n <= 47:
			s.bg = uint8(n - 40)
		case n >= 90 && n <= 97:
			s.fg = 8 | uint8(n-90)
		}
	}
}

func (s *screen) scroll() {
	for s.row >= s.rows {
		copy(s.cells, s.cells[s.cols:])
		for i := (s.rows - 1) * s.cols; i < len(s.cells); i++ {
			s.cells[i] = cell{' ', colourText, colourBack}
		}
		s.row--
		s.touchAll()
	}
}

func (s *screen) clear() {
	for i := range s.cells {
		s.cells[i] = cell{' ', colourText, colourBack}
	}
	s.row, s.col = 0, 0
	s.fg, s.bg = colourText, colourBack
	s.touchAll()
}

func (s *screen) resize(cols, rows int) {
	if s.cols != cols || s.rows != rows {
		s.cols, s.rows, s.cells = cols, rows, make([]cell, cols*rows)
	}
	s.clear()
}

func (s *screen) touch(row, col int) {
	if row >= s.rows {
		return
	}
	for v := range s.viewers {
		v.damage.add(row, min(col, s.cols-1))
	}
}

func (s *screen) touchAll() {
	for v := range s.viewers {
		v.damage.all(s.rows)
	}
}

func (s *screen) wake() {
	for v := range s.viewers {
		v.signal()
	}
}

// text returns the lines of the screen, for tests.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for r := range s.rows {
		line := make([]rune, s.cols)
		for c := range s.cols {
			line[c] = s.cells[r*s.cols+c].ch
		}
		b.WriteString(strings.TrimRight(string(line), " \x00"))
		b.WriteByte('\n')
	}
	return b.String()
}

// maxRows bounds the rows of any mode.
const maxRows = 32

// damage is what changed since a viewer was last sent something: one span of
// columns per row, so that any number of changes between two requests
// becomes a few rectangles.
type damage struct {
	from, to [maxRows]uint8 // to is exclusive; to == 0: nothing
	any      bool
}

func (d *damage) add(row, col int) {
	c := uint8(col) //nolint:gosec // below 100
	if d.to[row] == 0 {
		d.from[row], d.to[row] = c, c+1
	} else {
		d.from[row], d.to[row] = min(d.from[row], c), max(d.to[row], c+1)
	}
	d.any = true
}

func (d *damage) all(rows int) {
	for r := range rows {
		d.from[r], d.to[r] = 0, 0xff
	}
	d.any = true
}

func (d *damage) clear()      { *d = damage{} }
func (d *damage) empty() bool { return !d.any }

// area is a rectangle of cells.
type area struct{ col, row, cols, rows int }

// areas merges neighbouring rows with the same span.
func (d *damage) areas(f frame) []area {
	var out []area
	for r := range f.rows {
		if d.to[r] == 0 {
			continue
		}
		from, to := int(d.from[r]), min(int(d.to[r]), f.cols)
		if from >= to {
			continue
		}
		if n := len(out); n > 0 && out[n-1].col == from && out[n-1].cols == to-from && out[n-1].row+out[n-1].rows == r {
			out[n-1].rows++
			continue
		}
		out = append(out, area{from, r, to - from, 1})
	}
	return out
}
