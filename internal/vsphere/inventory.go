package vsphere

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// placementFor is how long the resolved placement is used before vCenter is
// asked again: hosts come, go, and fill up.
const placementFor = time.Minute

// placement is where this cloud's machines go: the Config's names resolved.
type placement struct {
	datacenter *object.Datacenter
	folder     types.ManagedObjectReference // parent of the orgs' folders
	pool       types.ManagedObjectReference // parent of the orgs' pools
	compute    types.ManagedObjectReference
	datastore  types.ManagedObjectReference
	datastores []datastore
	hosts      []host
	drs        bool // vCenter picks the host, and pools may have children
	resolved   time.Time
}

type datastore struct {
	ref            types.ManagedObjectReference
	name           string
	capacity, free int64 // bytes
	usable         bool  // accessible, not in maintenance
	shared         bool  // several hosts reach it
}

// isNamed takes a bare name or an inventory path.
func (d datastore) isNamed(nameOrPath string) bool {
	return d.name == nameOrPath || d.name == path.Base(nameOrPath)
}

type host struct {
	ref                     types.ManagedObjectReference
	usable                  bool // connected, not in maintenance
	cores                   int
	cpuMHz, cpuMHzUsed      int
	memoryMiB, memoryMiBUse int
}

// candidates are the usable hosts, the one with the most free memory first.
func (p *placement) candidates() []string {
	usable := slices.DeleteFunc(slices.Clone(p.hosts), func(h host) bool { return !h.usable })
	slices.SortStableFunc(usable, func(a, b host) int {
		return cmp.Compare(b.memoryMiB-b.memoryMiBUse, a.memoryMiB-a.memoryMiBUse)
	})
	refs := make([]string, len(usable))
	for i, h := range usable {
		refs[i] = h.ref.Value
	}
	return refs
}

// orgPlace is an org's own corner of the inventory.
type orgPlace struct {
	folder types.ManagedObjectReference
	pool   types.ManagedObjectReference
}

// inventoryCache holds references that outlive a session but not the objects
// they name: a ManagedObjectNotFound empties it. Guarded by Client.mu.
type inventoryCache struct {
	placement *placement
	orgs      map[string]orgPlace
	templates map[string]Template
	networks  map[string]types.BaseVirtualDeviceBackingInfo
	hostNames map[string]string
}

func newInventoryCache() inventoryCache {
	return inventoryCache{
		orgs:      map[string]orgPlace{},
		templates: map[string]Template{},
		networks:  map[string]types.BaseVirtualDeviceBackingInfo{},
		hostNames: map[string]string{},
	}
}

func (c *Client) forgetInventory() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inventory = newInventoryCache()
}

// remembered reads a cache or fills it, once for all who ask.
func remembered[T any](
	ctx context.Context, c *Client, key string,
	read func(*inventoryCache) (T, bool), fetch func(context.Context) (T, error), write func(*inventoryCache, T),
) (T, error) {
	c.mu.Lock()
	value, ok := read(&c.inventory)
	c.mu.Unlock()
	if ok {
		return value, nil
	}
	return single(ctx, c, key, func(ctx context.Context) (T, error) {
		value, err := fetch(ctx)
		if err != nil {
			return value, err
		}
		c.mu.Lock()
		write(&c.inventory, value)
		c.mu.Unlock()
		return value, nil
	})
}

func (c *Client) placement(ctx context.Context, conn *connection) (*placement, error) {
	return remembered(ctx, c, "placement",
		func(i *inventoryCache) (*placement, bool) {
			return i.placement, i.placement != nil && time.Since(i.placement.resolved) < placementFor
		},
		func(ctx context.Context) (*placement, error) {
			p, err := c.resolvePlacement(ctx, conn)
			if err != nil {
				return nil, err
			}
			if hosts := len(p.candidates()); hosts > 0 {
				c.clones.resize(min(c.config.ClonesPerCloud, hosts*c.config.ClonesPerHost))
			}
			return p, nil
		},
		func(i *inventoryCache, p *placement) { i.placement = p })
}

func (c *Client) resolvePlacement(ctx context.Context, conn *connection) (*placement, error) {
	finder := find.NewFinder(conn.vim, false)
	datacenter, err := c.datacenter(ctx, finder)
	if err != nil {
		return nil, err
	}
	finder.SetDatacenter(datacenter)
	p := &placement{datacenter: datacenter, resolved: time.Now()}
	if p.folder, err = c.parentFolder(ctx, finder, datacenter); err != nil {
		return nil, err
	}
	if p.pool, p.compute, err = c.parentPool(ctx, conn, finder); err != nil {
		return nil, err
	}
	if err := p.readCompute(ctx, conn); err != nil {
		return nil, err
	}
	return p, p.chooseDatastore(c.config.Datastore)
}

func (c *Client) finder(ctx context.Context, conn *connection) (*find.Finder, error) {
	finder := find.NewFinder(conn.vim, false)
	datacenter, err := c.datacenter(ctx, finder)
	if err != nil {
		return nil, err
	}
	return finder.SetDatacenter(datacenter), nil
}

func (c *Client) datacenter(ctx context.Context, finder *find.Finder) (*object.Datacenter, error) {
	if c.config.Datacenter != "" {
		return finder.Datacenter(ctx, c.config.Datacenter)
	}
	all, err := finder.DatacenterList(ctx, "*")
	if err != nil {
		return nil, err
	}
	return firstByPath(all, func(d *object.Datacenter) string { return d.InventoryPath }), nil
}

// firstByPath makes "the first one" mean the same on every node.
func firstByPath[T any](all []T, pathOf func(T) string) T {
	return slices.MinFunc(all, func(a, b T) int { return cmp.Compare(pathOf(a), pathOf(b)) })
}

func (c *Client) parentFolder(ctx context.Context, finder *find.Finder, datacenter *object.Datacenter) (types.ManagedObjectReference, error) {
	if c.config.Folder == "" {
		folders, err := datacenter.Folders(ctx)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return folders.VmFolder.Reference(), nil
	}
	folder, err := finder.Folder(ctx, c.config.Folder)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	return folder.Reference(), nil
}

// parentPool finds the pool that the orgs' pools are children of, and the
// cluster or host that it belongs to.
func (c *Client) parentPool(ctx context.Context, conn *connection, finder *find.Finder) (pool, compute types.ManagedObjectReference, err error) {
	collector := property.DefaultCollector(conn.vim)
	if c.config.ResourcePool != "" {
		found, err := finder.ResourcePool(ctx, c.config.ResourcePool)
		if err == nil {
			var loaded mo.ResourcePool
			err = collector.RetrieveOne(ctx, found.Reference(), []string{"owner"}, &loaded)
			return found.Reference(), loaded.Owner, err
		}
		if _, ok := errors.AsType[*find.NotFoundError](err); !ok {
			return pool, compute, err
		}
	}
	resource, err := c.computeResource(ctx, finder)
	if err != nil {
		return pool, compute, err
	}
	var loaded mo.ComputeResource
	if err := collector.RetrieveOne(ctx, resource, []string{"resourcePool"}, &loaded); err != nil {
		return pool, compute, err
	}
	if loaded.ResourcePool == nil {
		return pool, compute, refuse(CodeNotFound, "%s has no resource pool", resource.Value)
	}
	return *loaded.ResourcePool, resource, nil
}

// computeResource prefers a cluster to a lone host.
func (c *Client) computeResource(ctx context.Context, finder *find.Finder) (types.ManagedObjectReference, error) {
	if name := c.config.ResourcePool; name != "" {
		found, err := finder.ComputeResource(ctx, name)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return found.Reference(), nil
	}
	all, err := finder.ComputeResourceList(ctx, "*")
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	clusters := slices.DeleteFunc(slices.Clone(all), func(r *object.ComputeResource) bool {
		return r.Reference().Type != "ClusterComputeResource"
	})
	if len(clusters) > 0 {
		all = clusters
	}
	return firstByPath(all, func(r *object.ComputeResource) string { return r.InventoryPath }).Reference(), nil
}

// hostNames maps references to names. Names are kept: hosts are rarely
// renamed, and VMs mention them all the time.
func (c *Client) hostNames(ctx context.Context, conn *connection, refs []types.ManagedObjectReference) (map[string]string, error) {
	names := map[string]string{}
	var missing []types.ManagedObjectReference
	c.mu.Lock()
	for _, ref := range refs {
		if name, ok := c.inventory.hostNames[ref.Value]; ok {
			names[ref.Value] = name
		} else {
			missing = append(missing, ref)
		}
	}
	c.mu.Unlock()
	if len(missing) == 0 {
		return names, nil
	}
	var hosts []mo.HostSystem
	if err := property.DefaultCollector(conn.vim).Retrieve(ctx, missing, []string{"name"}, &hosts); err != nil {
		return nil, err
	}
	fetched := make(map[string]string, len(hosts))
	for _, h := range hosts {
		fetched[h.Self.Value] = h.Name
	}
	c.mu.Lock()
	maps.Copy(c.inventory.hostNames, fetched)
	c.mu.Unlock()
	maps.Copy(names, fetched)
	return names, nil
}
