package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
