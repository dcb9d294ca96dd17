package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Names of what every vCenter of the lab has.
const (
	datacenterName = "dc1"
	clusterName    = "compute"
	networkName    = "VM Network"
	datastoreName  = "datastore1"
	templateFolder = "templates"

	// PathDatacenter, PathFolder, PathPool and PathDatastore are inventory
	// paths as govmomi's finder takes them.
	PathDatacenter = "/" + datacenterName
	PathFolder     = PathDatacenter + "/vm"
	PathPool       = PathDatacenter + "/host/" + clusterName + "/Resources"
	PathDatastore  = PathDatacenter + "/datastore/" + datastoreName
	PathNetwork    = PathDatacenter + "/network/" + networkName
	PathTemplates  = PathFolder + "/" + templateFolder
)

// Size of one simulated host.
const (
	hostCores     = 64
	hostMemoryMiB = 512 << 10
	datastoreTiB  = 200
)

// place is the fixed part of the inventory.
type place struct {
	datacenter types.ManagedObjectReference
	vmFolder   types.ManagedObjectReference
	pool       types.ManagedObjectReference
	datastore  types.ManagedObjectReference
	hosts      []types.ManagedObjectReference
	hostNames  map[types.ManagedObjectReference]string
}

// layOut makes datacenter, cluster, hosts and datastore in a fresh simulator.
func (v *VCenter) layOut(ctx context.Context) error {
	client, err := vim25.NewClient(ctx, v.service)
	if err != nil {
		return fmt.Errorf("lab: in-process client: %w", err)
	}
	dc, err := object.NewRootFolder(client).CreateDatacenter(ctx, datacenterName)
	if err != nil {
		return fmt.Errorf("lab: create datacenter: %w", err)
	}
	folders, err := dc.Folders(ctx)
	if err != nil {
		return fmt.Errorf("lab: folders of datacenter: %w", err)
	}
	cluster, err := folders.HostFolder.CreateCluster(ctx, clusterName, types.ClusterConfigSpecEx{})
	if err != nil {
		return fmt.Errorf("lab: create cluster: %w", err)
	}
	v.place = place{
		datacenter: dc.Reference(), vmFolder: folders.VmFolder.Reference(),
		hostNames: map[types.ManagedObjectReference]string{},
	}
	dir := filepath.Join(v.scratch, datastoreName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("lab: folder of datastore: %w", err)
	}
	if err := stockLibrary(dir); err != nil {
		return err
	}
	crew := v.registry.Get(cluster.Reference()).(*simulator.ClusterComputeResource)
	for i := range v.options.Hosts {
		if err := v.addHost(crew, fmt.Sprintf("esx-%02d.%s.lab", i+1, v.options.Name), dir); err != nil {
			return err
		}
	}
	v.place.pool = *crew.ResourcePool
	return nil
}

func (v *VCenter) addHost(cluster *simulator.ClusterComputeResource, name, dir string) error {
	ctx := v.context()
	res := cluster.AddHostTask(ctx, &types.AddHost_Task{
		This: cluster.Self, AsConnected: true, Spec: types.HostConnectSpec{HostName: name},
	}).(*methods.AddHost_TaskBody)
	result, fault := v.await(res.Res.Returnval)
	if fault != nil {
		return fmt.Errorf("lab: add host %s: %T", name, fault)
	}
	ref := result.(types.ManagedObjectReference)
	host := v.registry.Get(ref).(*simulator.HostSystem)
	host.Summary.Hardware.NumCpuCores = hostCores
	host.Summary.Hardware.NumCpuThreads = 2 * hostCores
	host.Summary.Hardware.MemorySize = hostMemoryMiB << 20
	host.Summary.Hardware.Vendor, host.Summary.Hardware.Model = "Northwind", "NW-2640"

	system := v.registry.Get(*host.ConfigManager.DatastoreSystem).(*simulator.HostDatastoreSystem)
	made := system.CreateLocalDatastore(ctx, &types.CreateLocalDatastore{Name: datastoreName, Path: dir}).(*methods.CreateLocalDatastoreBody)
	if made.Fault_ != nil {
		return fmt.Errorf("lab: datastore on %s: %s", name, made.Fault_.String)
	}
	if v.place.datastore == (types.ManagedObjectReference{}) {
		v.place.datastore = made.Res.Returnval
	}
	// The simulator gives each host a terabyte of it; thousands of machines
	// would make its free space negative.
	if ds, ok := v.registry.Get(v.place.datastore).(*simulator.Datastore); ok {
		ds.Summary.Capacity, ds.Summary.FreeSpace = datastoreTiB<<40, datastoreTiB<<40
	}
	v.place.hosts = append(v.place.hosts, ref)
	v.place.hostNames[ref] = name
	return nil
}

// pathOf names an entity by the way from root down to it; root itself is "".
func (v *VCenter) pathOf(ref, root types.ManagedObjectReference) string {
	var names []string
	for ref != root {
		e, ok := v.registry.Get(ref).(mo.Entity)
		if !ok || e.Entity().Parent == nil {
			break
		}
		names = append([]string{e.Entity().Name}, names...)
		ref = *e.Entity().Parent
	}
	return path.Join(names...)
}

var errNoEntity = errors.New("lab: no such folder or pool")

// folderAt returns the machine folder with that path, made if need be. The
// caller holds v.inventory, or nobody else is there yet.
func (v *VCenter) folderAt(p string) (*simulator.Folder, error) {
	folder, _ := v.registry.Get(v.place.vmFolder).(*simulator.Folder)
	for _, name := range split(p) {
		if child, ok := v.registry.FindByName(name, folder.ChildEntity).(*simulator.Folder); ok {
			folder = child
			continue
		}
		ctx := v.context()
		var body *methods.CreateFolderBody
		ctx.WithLock(folder, func() {
			body = folder.CreateFolder(ctx, &types.CreateFolder{This: folder.Self, Name: name}).(*methods.CreateFolderBody)
		})
		if body.Fault_ != nil {
			return nil, fmt.Errorf("%w: %q", errNoEntity, p)
		}
		folder = v.registry.Get(body.Res.Returnval).(*simulator.Folder)
	}
	return folder, nil
}

// poolAt returns the resource pool with that path, made if need be.
func (v *VCenter) poolAt(p string) (types.ManagedObjectReference, error) {
	ref := v.place.pool
	for _, name := range split(p) {
		pool, ok := v.registry.Get(ref).(*simulator.ResourcePool)
		if !ok {
			return ref, fmt.Errorf("%w: %q", errNoEntity, p)
		}
		if child := v.registry.FindByName(name, pool.ResourcePool.ResourcePool); child != nil {
			ref = child.Reference()
			continue
		}
		ctx := v.context()
		var body *methods.CreateResourcePoolBody
		ctx.WithLock(pool, func() {
			body = pool.CreateResourcePool(ctx, &types.CreateResourcePool{
				This: pool.Self, Name: name, Spec: types.DefaultResourceConfigSpec(),
			}).(*methods.CreateResourcePoolBody)
		})
		if body.Fault_ != nil {
			return ref, fmt.Errorf("%w: %q", errNoEntity, p)
		}
		ref = body.Res.Returnval
	}
	return ref, nil
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// hasNetwork tells whether machines can be plugged into a network of that
// name; the simulator panics on one that is not there.
func (v *VCenter) hasNetwork(name string) bool {
	dc, ok := v.registry.Get(v.place.datacenter).(*simulator.Datacenter)
	return ok && v.registry.FindByName(name, dc.Network) != nil
}
