package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
)

// Host is the applier of a gateway host.
type Host struct {
	options Options
	log     *slog.Logger
	changed chan struct{}
	serving context.Context //nolint:containedctx // health is asked from Apply to Remove, beyond any one call
	stop    context.CancelFunc

	mu       sync.Mutex
	orgs     map[string]*org
	features []edge.Feature
}

// org is what is known of one org here.
type org struct {
	mu         sync.Mutex // one change at a time: the loop's, or one of health
	ns         namespace
	dir        string
	applied    edge.Org
	listing    string // the kernel's rules, as they were right after they were applied
	generation uint32 // of those
	structure  string // HAProxy's
	down       map[string]bool
	health     *health
}

// New looks for what it needs; Check says what is missing.
func New(o Options) (*Host, error) {
	if o.Run == "" {
		o.Run = filepath.Join(o.Dir, "run")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, dir := range []string{filepath.Join(o.Dir, "orgs"), o.Run} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if o.Run, err = filepath.Abs(o.Run); err != nil {
		return nil, err
	}
	if len(o.Run) > 80 {
		return nil, fmt.Errorf("the path of the sockets' folder is too long: %s", o.Run)
	}
	h := &Host{options: o, log: o.Logger, changed: make(chan struct{}, 1), orgs: map[string]*org{}}
	h.serving, h.stop = context.WithCancel(patient(context.Background(), o.Patience))
	return h, nil
}

// Limits are the trunks.
func (h *Host) Limits() gateway.Limits {
	trunks := map[string]bool{}
	for cloud := range h.options.Trunks {
		trunks[cloud] = true
	}
	return gateway.Limits{Trunks: trunks}
}

// Changed tells of nodes that went or came.
func (h *Host) Changed() <-chan struct{} { return h.changed }

// Kept lists the orgs that have a folder here.
func (h *Host) Kept() ([]string, error) {
	list, err := os.ReadDir(filepath.Join(h.options.Dir, "orgs"))
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(list))
	for _, e := range list {
		keys = append(keys, e.Name())
	}
	return keys, nil
}

// Close ends what asks for health. All that carries traffic goes on.
func (h *Host) Close() error {
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.orgs {
		o.health.close()
	}
	return nil
}

func (h *Host) org(key string) *org {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.orgs[key]
	if o == nil {
		o = &org{ns: namespaceOf(key), dir: filepath.Join(h.options.Dir, "orgs", key)}
		if err := o.recall(); err != nil {
			h.log.Warn("what was applied last can't be read", "org", key, "error", err)
		}
		o.health = newHealth(o.ns, maps.Clone(o.down), func() { h.turned(o) })
		h.orgs[key] = o
	}
	return o
}

func (h *Host) nft(o *org) nft { return nft{ns: o.ns, program: h.options.NFT} }

func (h *Host) haproxy(key string, o *org) haproxy {
	return haproxy{ns: o.ns, key: key, program: h.options.HAProxy, dir: o.dir, socket: filepath.Join(h.options.Run, key+".sock")}
}

func (h *Host) tunnel(key string, o *org) tunnel {
	return tunnel{ns: o.ns, executable: h.options.Executable, socket: filepath.Join(h.options.Run, key+".wg"), log: filepath.Join(o.dir, "tunnel.log")}
}

// Apply brings an org to what is wanted.
func (h *Host) Apply(ctx context.Context, want gateway.Checked) ([]edge.Blame, error) {
	o := h.org(want.Key())
	o.mu.Lock()
	defer o.mu.Unlock()
	failed, err := h.apply(patient(ctx, h.options.Patience), o, want)
	if err != nil {
		return nil, err
	}
	// A new state may be without nodes that were dead.
	o.health.follow(h.serving, o.applied) //nolint:contextcheck // health is asked beyond this call
	return failed, nil
}

// retries bounds how many objects of one state may turn out bad one by one.
const retries = 50

func (h *Host) apply(ctx context.Context, o *org, want gateway.Checked) ([]edge.Blame, error) {
	key := want.Key()
	if err := os.MkdirAll(filepath.Join(o.dir, "empty"), 0o700); err != nil {
		return nil, err
	}
	made, err := o.ns.ensure()
	if err != nil {
		return nil, err
	}
	if made {
		// What ran in one that was taken away would hand its sockets on, and
		// answer on the uplink for the org's addresses.
		endWhere("", h.haproxy(key, o).config(), h.tunnel(key, o).socket)
		o.listing, o.structure, o.generation = "", "", 0
	}
	if _, err := o.ns.settle(); err != nil {
		return nil, err
	}
	before, err := h.before(ctx, o, key)
	if err != nil {
		return nil, err
	}
	failed, p, err := h.change(ctx, o, want)
	if err != nil {
		// Also where the agent is told to end: half a change must not stay.
		if undone := h.back(context.WithoutCancel(ctx), o, key, before); undone != nil {
			h.log.Error("the last good state was not put back; it is tried again", "org", key, "error", undone)
			return nil, fmt.Errorf("%w; and the last good state was not put back: %w", err, undone)
		}
		return nil, err
	}
	o.applied, o.down = p.org, p.down
	if err := o.remember(); err != nil {
		return nil, err
	}
	if err := hangUp(o.ns, before.org, p.org); err != nil {
		h.log.Warn("connections of what is gone were not ended", "org", key, "error", err)
	}
	return failed, sweep(o.ns, p.org, p.down)
}

func without(want gateway.Checked, failed []edge.Blame) gateway.Checked {
	ids := map[string]bool{}
	for _, b := range failed {
		ids[b.ID] = true
	}
	return want.Without(ids)
}

// turned applies what health found: dead UDP nodes go out of the rules.
func (h *Host) turned(o *org) {
	// Not here: the caller is a watcher, which a change of state may wait for.
	go func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if h.serving.Err() != nil || o.applied.Key == "" {
			return
		}
		if err := h.withoutDead(o); err != nil {
			h.log.Error("a dead node was not taken out", "org", o.applied.Key, "error", err)
		}
		select {
		case h.changed <- struct{}{}:
		default:
		}
	}()
}

func (h *Host) withoutDead(o *org) error {
	rules, down := h.nft(o), o.health.down()
	p, err := h.rules(h.serving, o, o.applied, down)
	if err != nil {
		return err
	}
	listing, generation, err := h.load(h.serving, o, rules, p)
	if err != nil {
		return err
	}
	o.listing, o.generation, o.down = listing, generation, down
	return errors.Join(o.remember(), sweep(o.ns, o.applied, down))
}

// Remove takes an org away: processes, namespace with all in it, files.
func (h *Host) Remove(_ context.Context, key string) error {
	o := h.org(key)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.health.close()
	endWhere("", h.haproxy(key, o).config(), h.tunnel(key, o).socket)
	if err := o.ns.remove(); err != nil {
		return err
	}
	for _, path := range []string{o.dir, h.haproxy(key, o).socket, h.tunnel(key, o).socket} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.orgs, key)
	return nil
}
