package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/forward"
	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
)

// labGuests finds the lab's guests by org: their folders have the orgs' slugs.
type labGuests struct {
	system *models.System
	guests *lab.Guests

	mu    sync.Mutex
	slugs map[string]string // by org
}

func (g *labGuests) Locate(ctx context.Context, org, proto string, at netip.AddrPort) (string, error) {
	slug, err := g.slug(ctx, org)
	if err != nil {
		return "", err
	}
	return g.guests.Locate(ctx, slug, proto, at)
}

func (g *labGuests) Forget(org string, address netip.Addr) {
	g.mu.Lock()
	slug := g.slugs[org]
	g.mu.Unlock()
	g.guests.Forget(slug, address)
}

func (g *labGuests) slug(ctx context.Context, org string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slug := g.slugs[org]; slug != "" {
		return slug, nil
	}
	err := g.system.Look(ctx, models.OrgID(org), func(r *models.Reader) error {
		o, err := r.OrgRecord()
		g.slugs[org] = o.Slug
		return err
	})
	return g.slugs[org], err
}

// labTick is short: the pages show traffic as it goes.
const labTick = 2 * time.Second

// labGateway carries the demo's orgs in this process until ctx ends.
func labGateway(ctx context.Context, system *models.System, edges *network.Service, guests *lab.Guests, dir string, oneAddress bool, log *slog.Logger) (run func(), err error) {
	source, err := edges.Lab(ctx)
	if err != nil {
		return nil, err
	}
	applier := forward.New(&labGuests{system: system, guests: guests, slugs: map[string]string{}}, forward.Options{OneAddress: oneAddress, Logger: log})
	loop, err := gateway.NewLoop(source, applier, gateway.Options{Dir: filepath.Join(dir, "gateway"), Version: version, Tick: labTick, Logger: log})
	if err != nil {
		return nil, errors.Join(err, applier.Close())
	}
	return func() {
		if err := errors.Join(loop.Run(ctx), applier.Close()); err != nil {
			log.Error("the lab's gateway ended", "error", err)
		}
	}, nil
}
