package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/render"
)

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
	for range retries {
		p, err := h.rules(ctx, o, want.Org(), o.health.down())
		if err != nil {
			return nil, p, err
		}
		p.haproxy = render.HAProxy(p.org, h.haproxy(want.Key(), o).options())
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

// rules renders those of a state, for the kernel as it is.
func (h *Host) rules(ctx context.Context, o *org, state edge.Org, down map[string]bool) (prepared, error) {
	refuse, err := ownAddresses()
	if err != nil {
		return prepared{}, err
	}
	rules := h.nft(o)
	live, err := rules.counters()
	if err != nil {
		return prepared{}, err
	}
	p := prepared{org: state, down: down}
	options := render.NFTOptions{Epoch: rules.epoch(ctx), Down: down, Live: slices.Sorted(maps.Keys(live)), Refuse: disjoint(slices.Concat(refuse, h.options.Refuse))}
	p.nft = render.NFT(state, options)
	generation, err := rules.generation()
	if err != nil || o.listing != "" && generation == o.generation {
		return p, err // all that is there is ours
	}
	beside, err := rules.foreign(ctx, p.nft.Chains)
	if err != nil || len(beside) == 0 {
		return p, err
	}
	for _, f := range beside {
		h.log.Warn("other hands' rules are taken away", "org", state.Key, "what", f.words)
		options.Foreign = append(options.Foreign, f.statement)
	}
	p.nft = render.NFT(state, options)
	return p, nil
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
		blame = blamed(nftError, p.nft.Text)
		complaint = nftError
	}
	if haproxyError != nil {
		blame = blamed(haproxyError, p.haproxy.Text)
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

// change brings an org to what is wanted. All of it is checked before anything
// is touched; then come the tunnel and the links, of which nothing is taken
// away yet, HAProxy and the rules. An object that the host turns out not to
// carry is left out, and what remains is checked again.
func (h *Host) change(ctx context.Context, o *org, want gateway.Checked) (failed []edge.Blame, p prepared, err error) {
	for range retries {
		if failed, p, err = h.prepare(ctx, o, want, failed); err != nil {
			return nil, p, err
		}
		refused, err := h.connect(ctx, o, p.org)
		if err != nil {
			return nil, p, err
		}
		if len(refused) == 0 {
			return failed, p, h.commit(ctx, o, p)
		}
		failed = append(failed, refused...)
		want = without(want, failed)
	}
	return nil, p, errors.New("too many objects are refused")
}

// connect makes what an org hangs on: tunnel, interfaces, addresses, routes.
func (h *Host) connect(ctx context.Context, o *org, state edge.Org) (failed []edge.Blame, err error) {
	if v := state.VPN; v != nil {
		t := h.tunnel(state.Key, o)
		_, err := t.ensure(ctx)
		if err == nil {
			_, err = t.settle(ctx, *v)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() // nobody's fault
		}
		if err != nil {
			return []edge.Blame{{ID: v.ID, Text: "the VPN does not run: " + err.Error()}}, nil //nolint:nilerr // the VPN is blamed, alone
		}
	}
	_, failed, err = h.linked(state, false)
	return failed, err
}

// commit makes a prepared state run. HAProxy comes before the rules, because a
// listener that nobody may reach yet does no harm; what is wanted no more goes
// last, when all the rest stands.
func (h *Host) commit(ctx context.Context, o *org, p prepared) error {
	if err := h.serve(ctx, o, p); err != nil {
		return err
	}
	listing, generation, err := h.load(ctx, o, h.nft(o), p)
	if err != nil {
		return err
	}
	if _, _, err := h.linked(p.org, true); err != nil {
		return err
	}
	proxy := h.haproxy(p.org.Key, o)
	o.listing, o.generation, o.structure = listing, generation, p.haproxy.Structure
	if !p.serves {
		o.structure = ""
		proxy.stop(ctx)
		if err := os.Remove(proxy.config()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if p.org.VPN == nil {
		o.ns.end(h.tunnel(p.org.Key, o).socket)
	}
	return nil
}

// serve has HAProxy run what was prepared, and asks the process itself that it
// does.
func (h *Host) serve(ctx context.Context, o *org, p prepared) error {
	if !p.serves {
		return nil
	}
	proxy := h.haproxy(p.org.Key, o)
	if before, err := os.ReadFile(proxy.config()); err != nil || !bytes.Equal(before, []byte(p.haproxy.Text)) {
		if err := gateway.WriteFile(proxy.config(), []byte(p.haproxy.Text)); err != nil {
			return err
		}
	}
	if running, is := proxy.running(ctx); !is || running.structure != p.haproxy.Structure {
		if err := proxy.start(ctx, p.haproxy.Structure); err != nil {
			return err
		}
	}
	_, err := proxy.settle(ctx, p.org)
	return err
}

// load gives the rules to the kernel and reads them back from it.
func (h *Host) load(ctx context.Context, o *org, rules nft, p prepared) (string, uint32, error) {
	if err := rules.load(ctx, p.nft.Text); err != nil {
		_ = os.WriteFile(filepath.Join(o.dir, "rules.nft.failed"), []byte(p.nft.Text), 0o600)
		return "", 0, err
	}
	if err := gateway.WriteFile(filepath.Join(o.dir, "rules.nft"), []byte(p.nft.Text)); err != nil {
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
