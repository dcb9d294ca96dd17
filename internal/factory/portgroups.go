package factory

import (
	"context"

	"github.com/millwright/millwright/models"
)

// clearNetworks removes the port groups of networks that were deleted. What
// can't be removed yet, because vCenter is away or a VM that isn't ours hangs
// on it, waits for the next sweep.
func (f *Factory) clearNetworks(ctx context.Context, c *cloud) {
	list, err := f.system.AbandonedNetworks(ctx, c.id)
	if err != nil {
		if ctx.Err() == nil {
			f.log.WarnContext(ctx, "looking for port groups of deleted networks failed", "cloud", c.id, "error", err)
		}
		return
	}
	for _, n := range list {
		if err := f.clearNetwork(ctx, c, n); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "the port group of a deleted network could not be removed", "cloud", c.id, "port group", n.PortGroup, "error", err)
		}
	}
}

func (f *Factory) clearNetwork(ctx context.Context, c *cloud, n models.AbandonedNetwork) error {
	ctx, cancel := context.WithTimeout(ctx, f.options.VisitFor)
	defer cancel()
	removed, err := c.RemovePortGroup(ctx, n.PortGroup)
	if err != nil {
		return err
	}
	return f.system.PortGroupGone(ctx, n, removed)
}
