package vsphere

import (
	"context"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// DeviceSpec is what a machine shall have. Zero values leave things as they
// are.
type DeviceSpec struct {
	DiskGiB    int    // the first disk grows to at least this; it never shrinks
	Network    string // port group of the first network card
	VLAN       int    // makes that port group where it is absent; 0: it has to be there
	Annotation string
}

// StartReconfigure submits the changes that are still to be made; when there
// are none the TaskRef is empty.
func (c *Client) StartReconfigure(ctx context.Context, ref string, want DeviceSpec) (TaskRef, error) {
	var task TaskRef
	err := c.do(ctx, "reconfigure "+ref, func(ctx context.Context, conn *connection) error {
		var loaded mo.VirtualMachine
		properties := []string{"config.hardware.device", "config.annotation"}
		if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, vmRef(ref), properties, &loaded); err != nil {
			return err
		}
		if loaded.Config == nil {
			return refuse(CodeInvalidState, "the configuration of %s can't be read", ref)
		}
		change, needed, err := c.changes(ctx, conn, loaded.Config, want)
		if err != nil || !needed {
			return err
		}
		submitted, err := object.NewVirtualMachine(conn.vim, vmRef(ref)).Reconfigure(ctx, change)
		if err != nil {
			return err
		}
		task = TaskRef(submitted.Reference().Value)
		return nil
	})
	return task, err
}

func (c *Client) changes(ctx context.Context, conn *connection, have *types.VirtualMachineConfigInfo, want DeviceSpec) (types.VirtualMachineConfigSpec, bool, error) {
	var change types.VirtualMachineConfigSpec
	if want.Annotation != "" && want.Annotation != have.Annotation {
		change.Annotation = want.Annotation
	}
	if want.DiskGiB > 0 {
		disk := firstDisk(have.Hardware.Device)
		if disk == nil {
			return change, false, refuse(CodeInvalidSpec, "there is no disk to grow")
		}
		if diskBytes(disk) < int64(want.DiskGiB)*bytesPerGiB {
			change.DeviceChange = append(change.DeviceChange, grownDisk(disk, want.DiskGiB))
		}
	}
	if want.Network != "" {
		moved, err := c.connectFirstCard(ctx, conn, networkCards(have.Hardware.Device), want.Network, want.VLAN, false)
		if err != nil {
			return change, false, err
		}
		if moved != nil {
			change.DeviceChange = append(change.DeviceChange, moved)
		}
	}
	return change, change.Annotation != "" || len(change.DeviceChange) > 0, nil
}

// connectFirstCard is the change that connects the first card to a network, or
// nil when it is connected to it already.
func (c *Client) connectFirstCard(ctx context.Context, conn *connection, cards []types.BaseVirtualDevice, network string, vlan int, ofClone bool) (*types.VirtualDeviceConfigSpec, error) {
	if len(cards) == 0 {
		return nil, refuse(CodeInvalidSpec, "there is no network card to connect to %s", network)
	}
	backing, err := c.networkBacking(ctx, conn, network, vlan)
	if err != nil {
		return nil, err
	}
	if sameNetwork(cards[0], backing) {
		return nil, nil //nolint:nilnil // no change is the answer
	}
	return movedCard(cards[0], backing, ofClone), nil
}

func (c *Client) networkBacking(ctx context.Context, conn *connection, name string, vlan int) (types.BaseVirtualDeviceBackingInfo, error) {
	return remembered(ctx, c, "network "+name,
		func(i *inventoryCache) (types.BaseVirtualDeviceBackingInfo, bool) {
			b, ok := i.networks[name]
			return b, ok
		},
		func(ctx context.Context) (types.BaseVirtualDeviceBackingInfo, error) {
			finder, err := c.finder(ctx, conn)
			if err != nil {
				return nil, err
			}
			network, err := c.ensureNetwork(ctx, conn, finder, name, vlan)
			if err != nil {
				return nil, err
			}
			return network.EthernetCardBackingInfo(ctx)
		},
		func(i *inventoryCache, b types.BaseVirtualDeviceBackingInfo) { i.networks[name] = b })
}
