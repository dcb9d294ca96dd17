package main

import (
	"context"

	"github.com/millwright/millwright/internal/lab"
)

// labVCenterCommand runs one simulated vCenter. The demo's supervisor starts
// two; crash tests start their own, so that it outlives the portal.
type labVCenterCommand struct{ lab.VCenterOptions }

func (l labVCenterCommand) Run(ctx context.Context) error {
	return lab.RunVCenter(ctx, l.VCenterOptions)
}
