package vsphere

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// portGroupPorts is what a new distributed port group begins with; it grows by
// itself.
const portGroupPorts = 8

// ensureNetwork finds the port group of that name, or makes it with the VLAN:
// on the cloud's distributed switch where it has one, else on every usable
// host's first switch. Without a VLAN nothing is made: a network of that kind
// is the operator's. Two nodes may come at once; the second finds the first's.
func (c *Client) ensureNetwork(ctx context.Context, conn *connection, finder *find.Finder, name string, vlan int) (object.NetworkReference, error) {
	network, err := finder.Network(ctx, name)
	var absent *find.NotFoundError
	if !errors.As(err, &absent) || vlan == 0 {
		return network, err
	}
	place, err := c.placement(ctx, conn)
	if err != nil {
		return nil, err
	}
	made, err := c.addToDistributed(ctx, conn, place, name, vlan)
	if err == nil && !made {
		err = c.addToHosts(ctx, conn, place, name, vlan)
	}
	if err != nil {
		return nil, err
	}
	return finder.Network(ctx, name)
}

// addToDistributed makes a distributed port group; false where there is no
// distributed switch.
func (c *Client) addToDistributed(ctx context.Context, conn *connection, place *placement, name string, vlan int) (bool, error) {
	kinds := []string{"DistributedVirtualSwitch"}
	all, err := view.NewManager(conn.vim).CreateContainerView(ctx, place.datacenter.Reference(), kinds, true)
	if err != nil {
		return false, err
	}
	defer func() { _ = all.Destroy(context.WithoutCancel(ctx)) }()
	var switches []mo.DistributedVirtualSwitch
	if err := all.Retrieve(ctx, kinds, []string{"name"}, &switches); err != nil || len(switches) == 0 {
		return false, err
	}
	task, err := object.NewDistributedVirtualSwitch(conn.vim, switches[0].Self).AddPortgroup(ctx, []types.DVPortgroupConfigSpec{{
		Name: name, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding), NumPorts: portGroupPorts, AutoExpand: new(true),
		DefaultPortConfig: &types.VMwareDVSPortSetting{Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: int32(vlan)}}, // #nosec G115 -- 1 to 4094
	}})
	if err != nil {
		return false, err
	}
	return true, unlessThere(task.Wait(ctx))
}

// addToHosts makes a port group of the same name on each usable host: to
// vCenter they are one network.
func (c *Client) addToHosts(ctx context.Context, conn *connection, place *placement, name string, vlan int) error {
	for _, h := range place.hosts {
		if !h.usable {
			continue
		}
		system, err := object.NewHostSystem(conn.vim, h.ref).ConfigManager().NetworkSystem(ctx)
		if err != nil {
			return err
		}
		var has mo.HostNetworkSystem
		if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, system.Reference(), []string{"networkInfo.vswitch"}, &has); err != nil {
			return err
		}
		if has.NetworkInfo == nil || len(has.NetworkInfo.Vswitch) == 0 {
			return refuse(CodeInvalidSpec, "a host of the cloud has no switch to make the port group %s on", name)
		}
		err = unlessThere(system.AddPortGroup(ctx, types.HostPortGroupSpec{
			Name: name, VlanId: int32(vlan), VswitchName: has.NetworkInfo.Vswitch[0].Name, // #nosec G115 -- 1 to 4094
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// unlessThere takes "it is there already" for success.
func unlessThere(err error) error {
	if fault.Is(err, &types.DuplicateName{}) || fault.Is(err, &types.AlreadyExists{}) {
		return nil
	}
	return err
}

// RemovePortGroup removes the port group of that name, from the distributed
// switch or from every host; false where there is none. One that a VM is
// connected to stays.
func (c *Client) RemovePortGroup(ctx context.Context, name string) (removed bool, err error) {
	err = c.do(ctx, "remove port group "+name, func(ctx context.Context, conn *connection) error {
		removed = false
		place, err := c.placement(ctx, conn)
		if err != nil {
			return err
		}
		finder := find.NewFinder(conn.vim)
		finder.SetDatacenter(place.datacenter)
		network, err := finder.Network(ctx, name)
		var absent *find.NotFoundError
		if errors.As(err, &absent) {
			return nil
		}
		if err != nil {
			return err
		}
		var used mo.Network
		if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, network.Reference(), []string{"vm"}, &used); err != nil {
			return err
		}
		if len(used.Vm) > 0 {
			return refuse(CodeInvalidState, "%d VMs are connected to the port group %s", len(used.Vm), name)
		}
		if group, ok := network.(*object.DistributedVirtualPortgroup); ok {
			task, err := group.Destroy(ctx)
			if err == nil {
				err = task.Wait(ctx)
			}
			removed = err == nil
			return err
		}
		for _, h := range place.hosts {
			system, err := object.NewHostSystem(conn.vim, h.ref).ConfigManager().NetworkSystem(ctx)
			if err != nil {
				return err
			}
			switch err := system.RemovePortGroup(ctx, name); {
			case err == nil:
				removed = true
			case fault.Is(err, &types.NotFound{}):
			default:
				return err
			}
		}
		return nil
	})
	return removed, err
}
