package topology

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// random is a plan as an org might have it: addresses, services, nodes on the
// left; networks with their machines, some of them in a frame, on the right;
// devices aside.
func random(r *rand.Rand) Plan {
	p := Plan{Left: []Item{{Key: "internet"}}}
	for i := range r.IntN(5) {
		ip := fmt.Sprintf("ip%d", i)
		p.Left = append(p.Left, Item{Key: ip, Column: 1, Under: "internet"})
		p.Links = append(p.Links, Link{"internet", ip})
		for j := range r.IntN(5) {
			service := fmt.Sprintf("%s-s%d", ip, j)
			p.Left = append(p.Left, Item{Key: service, Column: 2, Under: ip})
			p.Links = append(p.Links, Link{ip, service})
			for k := range r.IntN(7) {
				node := fmt.Sprintf("%s-n%d", service, k)
				p.Left = append(p.Left, Item{Key: node, Column: 3, Under: service})
				p.Links = append(p.Links, Link{service, node}, Link{node, "net0"})
			}
		}
	}
	for i := range r.IntN(6) {
		network := fmt.Sprintf("net%d", i)
		across := r.IntN(4)
		p.Right = append(p.Right, Item{Key: network, Column: 4, Across: across})
		for j := range r.IntN(20) {
			machine := fmt.Sprintf("%s-m%d", network, j)
			p.Right = append(p.Right, Item{Key: machine, Column: 5, Under: network})
			p.Links = append(p.Links, Link{network, machine})
		}
	}
	if r.IntN(2) == 0 {
		p.Aside = append(p.Aside, Item{Key: "vpn", Column: 2})
		for i := range r.IntN(8) {
			device := fmt.Sprintf("d%d", i)
			p.Aside = append(p.Aside, Item{Key: device, Under: "vpn"})
			p.Links = append(p.Links, Link{device, "vpn"})
		}
	}
	p.Links = append(p.Links, Link{"ip0", "vpn"}, Link{"gone", "net0"})
	return p
}

func overlap(a, b Box) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func TestNothingOverlapsAndEveryLineHasItsEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		plan := random(rand.New(rand.NewPCG(seed, 1)))
		pic := Place(plan)
		if again := Place(plan); !reflect.DeepEqual(pic, again) {
			t.Fatalf("seed %d: the same plan, another picture", seed)
		}
		if want := len(plan.Left) + len(plan.Right) + len(plan.Aside); len(pic.Boxes) != want {
			t.Fatalf("seed %d: %d boxes of %d things", seed, len(pic.Boxes), want)
		}
		at := map[string]Box{}
		for i, a := range pic.Boxes {
			at[a.Key] = a
			if a.X < margin || a.Y < margin+heading || a.X+a.W > pic.Width-margin || a.Y+a.H > pic.Height-margin {
				t.Fatalf("seed %d: %+v leaves the picture of %d by %d", seed, a, pic.Width, pic.Height)
			}
			for _, b := range pic.Boxes[i+1:] {
				if overlap(a, b) {
					t.Fatalf("seed %d: %+v and %+v overlap", seed, a, b)
				}
			}
		}
		under := map[string]string{}
		for _, i := range append(append(plan.Left, plan.Right...), plan.Aside...) {
			under[i.Key] = i.Under
		}
		frames := map[string]Box{}
		for i, f := range pic.Frames {
			frames[f.Key] = f
			for _, b := range pic.Boxes {
				if inside := under[b.Key] == f.Key; inside != f.holds(b) || (!inside && overlap(f, b)) {
					t.Fatalf("seed %d: the frame of %s and %+v", seed, f.Key, b)
				}
			}
			for _, g := range pic.Frames[i+1:] {
				if overlap(f, g) {
					t.Fatalf("seed %d: frames %+v and %+v overlap", seed, f, g)
				}
			}
		}
		reached := map[string]bool{}
		for _, l := range pic.Lines {
			from, to := at[l.From], at[l.To]
			if f, ok := frames[l.From]; ok && under[l.To] == l.From {
				to = f
				for key, parent := range under {
					reached[key] = reached[key] || parent == l.From
				}
			}
			reached[l.To] = true
			if l.X1 != from.X+from.W || l.Y1 <= from.Y || l.Y1 >= from.Y+from.H || l.X2 != to.X || l.Y2 <= to.Y || l.Y2 >= to.Y+to.H {
				t.Fatalf("seed %d: %+v leads from %+v to %+v", seed, l, from, to)
			}
		}
		for _, l := range plan.Links {
			if _, ok := at[l.From]; ok && at[l.To].W > 0 && !reached[l.To] {
				t.Fatalf("seed %d: no line to %s", seed, l.To)
			}
		}
	}
}

func TestOrderIsTheCallers(t *testing.T) {
	t.Parallel()
	pic := Place(Plan{Right: []Item{{Key: "n", Column: 4}, {Key: "b", Column: 5, Under: "n"}, {Key: "a", Column: 5, Under: "n"}, {Key: "o", Column: 4}}})
	var keys []string
	for _, b := range pic.Boxes {
		keys = append(keys, b.Key)
	}
	if fmt.Sprint(keys) != "[n b a o]" || pic.Boxes[1].Y >= pic.Boxes[2].Y || pic.Boxes[2].Y >= pic.Boxes[3].Y {
		t.Errorf("%+v", pic.Boxes)
	}
	if n := pic.Boxes[0]; n.Y <= pic.Boxes[1].Y || n.Y >= pic.Boxes[2].Y {
		t.Errorf("%+v isn't in the middle of what hangs under it", n)
	}
}
