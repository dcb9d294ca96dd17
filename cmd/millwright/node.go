package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/millwright/millwright/models"
)

// beatEvery is how often a node says that it serves.
const beatEvery = 10 * time.Second

// node is this process as the operators' health page shows it.
func (o portalOptions) node(addr net.Addr) models.PortalNode {
	return models.PortalNode{ID: o.config.Portal.Node, Address: addr.String(), Version: version, StartedAt: models.Now()}
}

// beat says that this node serves until ctx ends, and then that it has ended.
func beat(ctx context.Context, system *models.System, log *slog.Logger, n models.PortalNode) {
	round := time.NewTicker(beatEvery)
	defer round.Stop()
	for {
		if err := system.BeatNode(ctx, n); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "this node's heartbeat was not stored", "error", err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := system.StopNode(last, n.ID); err != nil {
				log.WarnContext(last, "this node's end was not stored", "error", err)
			}
			return
		case <-round.C:
		}
	}
}
