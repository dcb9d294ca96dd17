package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/render"
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
	h.serving, h.stop = context.WithCancel(context.Background())
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
		o.health = newHealth(o.ns, func() { h.turned(o) })
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
	failed, err := h.apply(ctx, o, want)
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
	if v := want.Org().VPN; v != nil {
		if _, err := h.tunnel(key, o).ensure(ctx); err != nil {
			return nil, err
		}
	}
	_, failed, err := h.linked(want.Org())
	if err != nil {
		return nil, err
	}
	want = without(want, failed)
	failed, p, err := h.prepare(ctx, o, want, failed)
	if err != nil {
		return nil, err
	}
	if err := h.commit(ctx, o, p); err != nil {
		return nil, err
	}
	o.applied, o.down = p.org, p.down
	if v := p.org.VPN; v != nil {
		if _, err := h.tunnel(key, o).settle(ctx, *v); err != nil {
			return nil, err
		}
	} else {
		o.ns.end(h.tunnel(key, o).socket)
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

// prepared is a state that both programs accepted.
type prepared struct {
	org     edge.Org
	down    map[string]bool
	haproxy render.HAProxyConfig
	nft     render.Ruleset
	serves  bool // there is something for HAProxy to do
}

// prepare renders and has both programs check, leaving out one by one what
// they complain of.
func (h *Host) prepare(ctx context.Context, o *org, want gateway.Checked, failed []edge.Blame) ([]edge.Blame, prepared, error) {
	refuse, err := ownAddresses()
	if err != nil {
		return nil, prepared{}, err
	}
	refuse = slices.Concat(refuse, h.options.Refuse)
	rules, proxy := h.nft(o), h.haproxy(want.Key(), o)
	live, err := rules.counters()
	if err != nil {
		return nil, prepared{}, err
	}
	names := make([]string, 0, len(live))
	for name := range live {
		names = append(names, name)
	}
	slices.Sort(names)
	epoch := rules.epoch(ctx)
	for range retries {
		p := prepared{org: want.Org(), down: o.health.down()}
		p.haproxy = render.HAProxy(p.org, proxy.options())
		p.nft = render.NFT(p.org, render.NFTOptions{Epoch: epoch, Down: p.down, Live: names, Refuse: disjoint(refuse)})
		p.serves = slices.ContainsFunc(p.org.Services, render.HasHAProxy)
		blame, complaint := h.check(ctx, o, p)
		if complaint == nil {
			return failed, p, nil
		}
		if blame.ID == "" {
			return nil, p, complaint
		}
		failed = append(failed, blame)
		want = want.Without(map[string]bool{blame.ID: true})
	}
	return nil, prepared{}, errors.New("too many objects are refused")
}

// check asks both programs at the same time, and finds the object that one of
// them complains of. What is refused is kept for who looks into it.
func (h *Host) check(ctx context.Context, o *org, p prepared) (blame edge.Blame, complaint error) {
	rules, proxy := h.nft(o), h.haproxy(p.org.Key, o)
	refused := make(chan error, 1)
	go func() { refused <- rules.check(ctx, p.nft.Text) }()
	var haproxyError error
	if p.serves && p.haproxy.Structure != o.structure {
		fresh := proxy.config() + ".check"
		if haproxyError = os.WriteFile(fresh, []byte(p.haproxy.Text), 0o600); haproxyError == nil {
			haproxyError = proxy.check(ctx, fresh)
		}
		if haproxyError != nil {
			_ = os.Rename(fresh, proxy.config()+".failed")
		} else {
			_ = os.Remove(fresh)
		}
	}
	nftError := <-refused
	if nftError != nil {
		_ = os.WriteFile(filepath.Join(o.dir, "rules.nft.failed"), []byte(p.nft.Text), 0o600)
		blame.ID, blame.Text = blamed(nftError, nftLine, p.nft.Text)
		complaint = nftError
	}
	if haproxyError != nil {
		blame.ID, blame.Text = blamed(haproxyError, haproxyLine, p.haproxy.Text)
		complaint = haproxyError
	}
	return blame, complaint
}

// disjoint drops ranges that lie within another.
func disjoint(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for i, p := range list {
		if !slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Bits() < p.Bits() && q.Overlaps(p) }) && !slices.Contains(list[:i], p) {
			out = append(out, p)
		}
	}
	return out
}

// commit makes a prepared state run. HAProxy comes first, because it can be
// put back: where the kernel then refuses the rules, which it accepted a
// moment ago, both are as they were.
func (h *Host) commit(ctx context.Context, o *org, p prepared) error {
	rules, proxy := h.nft(o), h.haproxy(p.org.Key, o)
	running, is := proxy.running(ctx)
	before, err := os.ReadFile(proxy.config())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	reload := p.serves && (!is || running.structure != p.haproxy.Structure)
	if p.serves && !bytes.Equal(before, []byte(p.haproxy.Text)) {
		if err := gateway.WriteFile(proxy.config(), []byte(p.haproxy.Text)); err != nil {
			return err
		}
	}
	undo := func() {
		if before == nil {
			proxy.stop(ctx)
			_ = os.Remove(proxy.config())
			return
		}
		if err := gateway.WriteFile(proxy.config(), before); err != nil {
			h.log.Error("HAProxy's last good configuration was not put back", "org", p.org.Key, "error", err)
			return
		}
		if now, running := proxy.running(ctx); !reload || o.structure == "" || running && now.structure == o.structure {
			return
		}
		if err := proxy.start(ctx, o.structure); err != nil {
			h.log.Error("HAProxy was not put back", "org", p.org.Key, "error", err)
		}
	}
	if reload {
		if err := proxy.cut(ctx, p.org); err != nil {
			h.log.Warn("connections of what is gone were not ended", "org", p.org.Key, "error", err)
		}
		if err := proxy.start(ctx, p.haproxy.Structure); err != nil {
			undo()
			return err
		}
	}
	if p.serves {
		if _, err := proxy.settle(ctx, p.org); err != nil {
			undo()
			return err
		}
	}
	listing, generation, err := h.load(ctx, o, rules, p)
	if err != nil {
		undo()
		return err
	}
	o.listing, o.generation = listing, generation
	o.structure = ""
	if p.serves {
		o.structure = p.haproxy.Structure
	} else if is {
		proxy.stop(ctx)
	}
	return nil
}

// load gives the rules to the kernel and reads them back from it.
func (h *Host) load(ctx context.Context, o *org, rules nft, p prepared) (string, uint32, error) {
	if err := gateway.WriteFile(filepath.Join(o.dir, "rules.nft"), []byte(p.nft.Text)); err != nil {
		return "", 0, err
	}
	if err := rules.load(ctx, p.nft.Text); err != nil {
		return "", 0, err
	}
	generation, err := rules.generation()
	if err != nil {
		return "", 0, err
	}
	listing, err := rules.list(ctx)
	if err != nil {
		return "", 0, err
	}
	if hash, _ := stamp(listing); hash != p.nft.Hash {
		return "", 0, fmt.Errorf("the kernel has other rules (%s) than it was given (%s)", hash, p.nft.Hash)
	}
	return listing, generation, nil
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
	refuse, err := ownAddresses()
	if err != nil {
		return err
	}
	rules, down := h.nft(o), o.health.down()
	p := prepared{org: o.applied, down: down}
	p.nft = render.NFT(p.org, render.NFTOptions{Epoch: rules.epoch(h.serving), Down: down, Refuse: disjoint(slices.Concat(refuse, h.options.Refuse))})
	listing, generation, err := h.load(h.serving, o, rules, p)
	if err != nil {
		return err
	}
	o.listing, o.generation, o.down = listing, generation, down
	return sweep(o.ns, o.applied, down)
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
