package topology

import "strconv"

// All lengths are in the picture's own units: pixels at 100 %.
const (
	BoxWidth  = 152
	BoxHeight = 44
	gapX      = 32 // between columns: room for the lines
	gapY      = 10 // between boxes
	margin    = 12
	heading   = 26 // of a column, above the boxes
	lane      = 40 // between the picture and what stands aside
	framePad  = 8
	// lowest is how far below the top of its band a thing may stand: in a tall
	// picture the beginning of everything is in view at once.
	lowest = 140
)

// Item is one thing. Under names the item that it hangs under, which comes
// before it; one without stands by itself.
type Item struct {
	Key    string
	Column int
	Under  string
	// Across lays what hangs under it over so many columns, row by row, within
	// one frame that the line from it leads to; its children have no children.
	Across int
}

// Link is a line between two items, from left to right.
type Link struct{ From, To string }

// Plan is what is to be placed: two groups of trees beside each other, and one
// below both.
type Plan struct {
	Left, Right, Aside []Item
	Links              []Link
}

// Box is where a thing stands.
type Box struct {
	Key        string
	X, Y, W, H int
}

// Line is a link with its ends, on the border of a box or frame each.
type Line struct {
	Link
	X1, Y1, X2, Y2 int
}

// Picture is the plan, placed. Boxes and frames are in the plan's order.
type Picture struct {
	Width, Height int
	Boxes         []Box
	Frames        []Box // by the key of the item whose children are in it
	Lines         []Line
}

// ColumnX is the left edge of a column.
func ColumnX(column int) int { return margin + column*(BoxWidth+gapX) }

// Place places the plan.
func Place(p Plan) Picture {
	var pic Picture
	left, right, aside := newForest(p.Left), newForest(p.Right), newForest(p.Aside)
	top := margin + heading
	tall := max(left.height(), right.height())
	left.place(&pic, top+middle(tall, left.height()))
	right.place(&pic, top+middle(tall, right.height()))
	pic.Height = top + tall + margin
	if len(p.Aside) > 0 {
		aside.place(&pic, top+tall+lane)
		pic.Height = top + tall + lane + aside.height() + margin
	}
	for _, b := range append(append([]Box{}, pic.Boxes...), pic.Frames...) {
		pic.Width = max(pic.Width, b.X+b.W+margin)
	}
	pic.lines(p.Links)
	return pic
}

// middle is where a thing begins that is centred in a band.
func middle(band, height int) int { return min((band-height)/2, lowest) }

// lines leads each link from the right border of the one to the left border of
// the other; into a frame, where the other is in one that hangs under the
// first: once for all of it.
func (pic *Picture) lines(links []Link) {
	boxes, frames := map[string]Box{}, map[string]Box{}
	for _, b := range pic.Boxes {
		boxes[b.Key] = b
	}
	for _, f := range pic.Frames {
		frames[f.Key] = f
	}
	drawn := map[string]bool{}
	for _, l := range links {
		from, ok := boxes[l.From]
		to, also := boxes[l.To]
		if !ok || !also {
			continue
		}
		if f, framed := frames[l.From]; framed && f.holds(to) {
			if drawn[l.From] {
				continue
			}
			drawn[l.From] = true
			to = f
		}
		pic.Lines = append(pic.Lines, Line{Link: l, X1: from.X + from.W, Y1: from.Y + from.H/2, X2: to.X, Y2: to.Y + to.H/2})
	}
}

func (b Box) holds(o Box) bool {
	return o.X >= b.X && o.Y >= b.Y && o.X+o.W <= b.X+b.W && o.Y+o.H <= b.Y+b.H
}

// Path is the line as SVG has it: a curve that leaves and arrives level.
func (l Line) Path() string {
	middle := strconv.Itoa((l.X1 + l.X2) / 2)
	y1, y2 := strconv.Itoa(l.Y1), strconv.Itoa(l.Y2)
	return "M" + strconv.Itoa(l.X1) + " " + y1 + "C" + middle + " " + y1 + " " + middle + " " + y2 + " " + strconv.Itoa(l.X2) + " " + y2
}

// forest is one group of trees.
type forest struct {
	roots []Item
	under map[string][]Item
}

func newForest(items []Item) forest {
	f := forest{under: map[string][]Item{}}
	known := map[string]bool{}
	for _, i := range items {
		known[i.Key] = true
		if known[i.Under] && i.Under != "" {
			f.under[i.Under] = append(f.under[i.Under], i)
		} else {
			f.roots = append(f.roots, i)
		}
	}
	return f
}

func (f forest) height() int { return f.stack(f.roots) }

// stack is the height of trees below each other.
func (f forest) stack(items []Item) int {
	tall := 0
	for n, i := range items {
		if n > 0 {
			tall += gapY
		}
		tall += f.extent(i)
	}
	return tall
}

// extent is the height of the band that the item and all under it need.
func (f forest) extent(i Item) int {
	children := f.under[i.Key]
	if i.Across > 1 && len(children) > 0 {
		rows := (len(children) + i.Across - 1) / i.Across
		return max(BoxHeight, rows*(BoxHeight+gapY)-gapY+2*framePad)
	}
	return max(BoxHeight, f.stack(children))
}

func (f forest) place(pic *Picture, top int) {
	for _, i := range f.roots {
		f.tree(pic, i, top)
		top += f.extent(i) + gapY
	}
}

func (f forest) tree(pic *Picture, i Item, top int) {
	band := f.extent(i)
	pic.Boxes = append(pic.Boxes, Box{Key: i.Key, X: ColumnX(i.Column), Y: top + middle(band, BoxHeight), W: BoxWidth, H: BoxHeight})
	children := f.under[i.Key]
	if i.Across > 1 && len(children) > 0 {
		f.grid(pic, i, children, top, band)
		return
	}
	for _, c := range children {
		f.tree(pic, c, top)
		top += f.extent(c) + gapY
	}
}

func (f forest) grid(pic *Picture, i Item, children []Item, top, band int) {
	left := ColumnX(children[0].Column)
	wide := min(i.Across, len(children))
	pic.Frames = append(pic.Frames, Box{Key: i.Key, X: left - framePad, Y: top, W: wide*(BoxWidth+gapY) - gapY + 2*framePad, H: band})
	for n, c := range children {
		pic.Boxes = append(pic.Boxes, Box{Key: c.Key, X: left + n%i.Across*(BoxWidth+gapY), Y: top + framePad + n/i.Across*(BoxHeight+gapY), W: BoxWidth, H: BoxHeight})
	}
}
