package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/render"
)

// lastGood is what an org goes back to when a change of it fails.
type lastGood struct {
	org     edge.Org // without a key: there was nothing
	down    map[string]bool
	haproxy []byte // the configuration, as it was written
	serves  bool
	alive   []string // monitored servers that were up
}

// before remembers how an org stands.
func (h *Host) before(ctx context.Context, o *org, key string) (lastGood, error) {
	g := lastGood{org: o.applied, down: o.down}
	g.serves = slices.ContainsFunc(g.org.Services, render.HasHAProxy)
	if g.org.Key == "" || !g.serves {
		return g, nil
	}
	proxy := h.haproxy(key, o)
	text, err := os.ReadFile(proxy.config())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return g, err
	}
	if text == nil { // another hand took it away
		text = []byte(render.HAProxy(g.org, proxy.options()).Text)
	}
	g.haproxy = text
	stats, err := proxy.stats(ctx)
	if err != nil {
		return g, nil //nolint:nilerr // it does not run: nobody's health is known
	}
	for i := range g.org.Services {
		s := &g.org.Services[i]
		if !render.HasHAProxy(*s) || s.Monitor == nil {
			continue
		}
		for _, n := range s.Nodes {
			if at := render.Proxy(*s) + "/" + render.Server(n); strings.HasPrefix(stats[at].status, "UP") {
				g.alive = append(g.alive, at)
			}
		}
	}
	return g, nil
}

// undoPatience bounds the way back as a whole.
const undoPatience = time.Minute

// back puts an org's last good state back, whichever part of a change was done
// when it failed: links, HAProxy and rules as they were. What stands as it
// should is left alone. An org that had nothing has nothing again.
func (h *Host) back(ctx context.Context, o *org, key string, to lastGood) error {
	ctx, cancel := context.WithTimeout(ctx, undoPatience)
	defer cancel()
	proxy := h.haproxy(key, o)
	if to.org.Key == "" {
		endWhere("", proxy.config(), h.tunnel(key, o).socket)
		o.listing, o.structure, o.generation = "", "", 0
		if err := os.Remove(proxy.config()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return o.ns.remove()
	}
	var errs []error
	// A VPN that does not come back must not keep the rest from it.
	if v := to.org.VPN; v != nil {
		t := h.tunnel(key, o)
		_, err := t.ensure(ctx)
		if err == nil {
			_, err = t.settle(ctx, *v)
		}
		errs = append(errs, err)
	} else {
		o.ns.end(h.tunnel(key, o).socket)
	}
	_, failed, err := h.linked(to.org, true)
	errs = append(errs, err)
	for _, b := range failed {
		errs = append(errs, fmt.Errorf("%s: %s", b.ID, b.Text))
	}
	errs = append(errs, h.serveAgain(ctx, o, to), h.loadAgain(ctx, o, to))
	return errors.Join(errs...)
}

// serveAgain has HAProxy run its last good configuration.
func (h *Host) serveAgain(ctx context.Context, o *org, to lastGood) error {
	proxy := h.haproxy(to.org.Key, o)
	if !to.serves {
		proxy.stop(ctx)
		if err := os.Remove(proxy.config()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		o.structure = ""
		return nil
	}
	if err := gateway.WriteFile(proxy.config(), to.haproxy); err != nil {
		return err
	}
	structure := structureOf(to.haproxy)
	if now, running := proxy.running(ctx); !running || now.structure != structure {
		if err := proxy.start(ctx, structure); err != nil {
			return err
		}
	}
	o.structure = structure
	if _, err := proxy.settle(ctx, to.org); err != nil {
		return err
	}
	// One that was switched off meanwhile would be down until it has been asked
	// again, which takes seconds. What died meanwhile is found out as ever.
	var commands strings.Builder
	stats, err := proxy.stats(ctx)
	if err != nil {
		return err
	}
	for _, at := range to.alive {
		if strings.HasPrefix(stats[at].status, "DOWN") {
			fmt.Fprintf(&commands, "set server %s health up;", at)
		}
	}
	return proxy.tell(ctx, commands.String())
}

// loadAgain gives the kernel the last good rules, unless it has them: a
// transaction that it refused changed nothing.
func (h *Host) loadAgain(ctx context.Context, o *org, to lastGood) error {
	rules := h.nft(o)
	generation, err := rules.generation()
	if err != nil {
		return err
	}
	if o.listing != "" && generation == o.generation {
		return nil
	}
	p, err := h.rules(ctx, o, to.org, to.down)
	if err != nil {
		return err
	}
	if listing, err := rules.list(ctx); err == nil && o.listing != "" && listing == o.listing {
		o.generation = generation
		return nil
	}
	o.listing, o.generation, err = h.load(ctx, o, rules, p)
	return err
}

// memory is what is written down of an org, so that an agent that comes later
// knows what to go back to, and which nodes were dead.
type memory struct {
	Org  edge.Org        `json:"org"`
	Down map[string]bool `json:"down,omitempty"`
}

func (o *org) memory() string { return filepath.Join(o.dir, "applied.json") }

func (o *org) remember() error {
	text, err := json.Marshal(memory{Org: o.applied, Down: o.down}) // #nosec G117 -- the VPN's key is needed to go back to it; 0600 in 0700
	if err != nil {
		return err
	}
	return gateway.WriteFile(o.memory(), text)
}

func (o *org) recall() error {
	text, err := os.ReadFile(o.memory())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m memory
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	o.applied, o.down = m.Org, m.Down
	return nil
}
