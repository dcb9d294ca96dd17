package console

import (
	"context"
	"fmt"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Screens gives one-time ways to machines' screens.
type Screens interface {
	AcquireScreen(ctx context.Context, cloud models.CloudID, instanceUUID string) (vsphere.Screen, error)
}

// Clients is Screens over the portal's vSphere clients: it returns a cloud's
// client, or nil where the portal has none.
type Clients func(models.CloudID) *vsphere.Client

// AcquireScreen asks the machine's cloud.
func (c Clients) AcquireScreen(ctx context.Context, cloud models.CloudID, instanceUUID string) (vsphere.Screen, error) {
	client := c(cloud)
	if client == nil {
		return vsphere.Screen{}, &vsphere.Error{Code: vsphere.CodeUnreachable, Op: fmt.Sprintf("find the cloud %s", cloud)}
	}
	return client.AcquireScreen(ctx, instanceUUID)
}
