package vsphere

import (
	"cmp"
	"context"
	"slices"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const bytesPerMiB = 1 << 20

// Capacity is what the hosts of the cloud's cluster have, and have left.
// Hosts that are disconnected or in maintenance count only in Hosts.
type Capacity struct {
	Hosts       int
	HostsUsable int

	Cores           int
	CPUMHzTotal     int
	CPUMHzFree      int
	MemoryMiBTotal  int
	MemoryMiBFree   int
	StorageGiBTotal int // the cloud's datastore; all usable ones if none is named
	StorageGiBFree  int
}

// Capacity asks vCenter each time; callers that ask often keep the answer.
func (c *Client) Capacity(ctx context.Context) (Capacity, error) {
	var capacity Capacity
	err := c.do(ctx, "read capacity", func(ctx context.Context, conn *connection) error {
		known, err := c.placement(ctx, conn)
		if err != nil {
			return err
		}
		fresh := &placement{compute: known.compute}
		if err := fresh.readCompute(ctx, conn); err != nil {
			return err
		}
		capacity = fresh.capacity(c.config.Datastore)
		return nil
	})
	return capacity, err
}

func (p *placement) capacity(datastoreName string) Capacity {
	sum := Capacity{Hosts: len(p.hosts)}
	for _, h := range p.hosts {
		if !h.usable {
			continue
		}
		sum.HostsUsable++
		sum.Cores += h.cores
		sum.CPUMHzTotal += h.cpuMHz
		sum.CPUMHzFree += max(0, h.cpuMHz-h.cpuMHzUsed)
		sum.MemoryMiBTotal += h.memoryMiB
		sum.MemoryMiBFree += max(0, h.memoryMiB-h.memoryMiBUse)
	}
	var total, free int64
	for _, d := range p.datastores {
		if d.usable && (datastoreName == "" || d.isNamed(datastoreName)) {
			total += d.capacity
			free += d.free
		}
	}
	sum.StorageGiBTotal, sum.StorageGiBFree = int(total/bytesPerGiB), int(free/bytesPerGiB)
	return sum
}

// readCompute reads hosts, datastores and the DRS switch of the cluster (or
// lone host) that the machines go to.
func (p *placement) readCompute(ctx context.Context, conn *connection) error {
	collector := property.DefaultCollector(conn.vim)
	var compute mo.ComputeResource
	if err := collector.RetrieveOne(ctx, p.compute, []string{"host", "datastore"}, &compute); err != nil {
		return err
	}
	p.drs = p.compute.Type != "ClusterComputeResource" // a lone host has nothing to choose
	if !p.drs {
		var cluster mo.ClusterComputeResource
		if err := collector.RetrieveOne(ctx, p.compute, []string{"configurationEx"}, &cluster); err != nil {
			return err
		}
		config, ok := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
		p.drs = ok && config.DrsConfig.Enabled != nil && *config.DrsConfig.Enabled
	}
	if err := p.readHosts(ctx, collector, compute.Host); err != nil {
		return err
	}
	return p.readDatastores(ctx, collector, compute.Datastore)
}

func (p *placement) readHosts(ctx context.Context, collector *property.Collector, refs []types.ManagedObjectReference) error {
	if len(refs) == 0 {
		return refuse(CodeNoCapacity, "the cluster has no hosts")
	}
	var loaded []mo.HostSystem
	properties := []string{"summary.hardware", "summary.quickStats", "runtime.connectionState", "runtime.inMaintenanceMode"}
	if err := collector.Retrieve(ctx, refs, properties, &loaded); err != nil {
		return err
	}
	for _, one := range loaded {
		h := host{
			ref: one.Self,
			usable: one.Runtime.ConnectionState == types.HostSystemConnectionStateConnected &&
				!one.Runtime.InMaintenanceMode,
			cpuMHzUsed:   int(one.Summary.QuickStats.OverallCpuUsage),
			memoryMiBUse: int(one.Summary.QuickStats.OverallMemoryUsage),
		}
		if hardware := one.Summary.Hardware; hardware != nil {
			h.cores = int(hardware.NumCpuCores)
			h.cpuMHz = int(hardware.NumCpuCores) * int(hardware.CpuMhz)
			h.memoryMiB = int(hardware.MemorySize / bytesPerMiB)
		}
		p.hosts = append(p.hosts, h)
	}
	return nil
}

func (p *placement) readDatastores(ctx context.Context, collector *property.Collector, refs []types.ManagedObjectReference) error {
	if len(refs) == 0 {
		return refuse(CodeNoCapacity, "the cluster has no datastore")
	}
	var loaded []mo.Datastore
	if err := collector.Retrieve(ctx, refs, []string{"summary"}, &loaded); err != nil {
		return err
	}
	for _, one := range loaded {
		s := one.Summary
		p.datastores = append(p.datastores, datastore{
			ref:      one.Self,
			name:     s.Name,
			capacity: s.Capacity,
			free:     s.FreeSpace,
			usable:   s.Accessible && (s.MaintenanceMode == "" || s.MaintenanceMode == "normal"),
			shared:   s.MultipleHostAccess != nil && *s.MultipleHostAccess,
		})
	}
	return nil
}

// chooseDatastore takes the named one, else prefers those that several hosts
// reach (a machine on a local disk can't move), then the most free space.
func (p *placement) chooseDatastore(name string) error {
	usable := slices.DeleteFunc(slices.Clone(p.datastores), func(d datastore) bool {
		return !d.usable || (name != "" && !d.isNamed(name))
	})
	if len(usable) == 0 {
		if name != "" {
			return refuse(CodeNotFound, "the cluster has no usable datastore %q", name)
		}
		return refuse(CodeNoCapacity, "the cluster has no usable datastore")
	}
	best := slices.MinFunc(usable, func(a, b datastore) int {
		if a.shared != b.shared {
			if a.shared {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.free, a.free), cmp.Compare(a.name, b.name))
	})
	p.datastore = best.ref
	return nil
}
