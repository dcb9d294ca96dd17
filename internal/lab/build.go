package lab

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// Keys of the devices of a machine, as vSphere numbers them.
const (
	scsiKey      = 1000
	firstDiskKey = 2000
	firstNICKey  = 4000
	ideKey       = 200
	cdKey        = 3000
)

// build makes a machine as described: for a clone, for a template and for
// what the journal remembers. It leaves the machine powered off.
//
// The simulator's own clone is not used: it shares the template's MAC address
// and disk file, and waits for itself by polling. The caller holds
// v.inventory, or nobody can look anything up yet.
func (v *VCenter) build(m Machine, catalogue bool) (types.ManagedObjectReference, types.BaseMethodFault) {
	var none types.ManagedObjectReference
	folder, err := v.folderAt(m.Folder)
	if err != nil {
		return none, &types.InvalidFolder{Target: v.place.vmFolder}
	}
	pool, err := v.poolAt(m.Pool)
	if err != nil {
		return none, &types.InvalidArgument{InvalidProperty: "pool"}
	}
	v.complete(&m)
	host := v.place.hosts[0]
	for ref, name := range v.place.hostNames {
		if name == m.Host {
			host = ref
		}
	}

	ctx := v.context()
	v.builds.Store(ctx, facts{
		key: m.Key, template: m.Template, hostName: m.HostName, addresses: m.Addresses, catalogue: catalogue,
	})
	defer v.builds.Delete(ctx)
	body := folder.CreateVMTask(ctx, &types.CreateVM_Task{
		This: folder.Self, Config: v.configSpec(m), Pool: pool, Host: &host,
	}).(*methods.CreateVM_TaskBody)
	result, fault := v.await(body.Res.Returnval)
	if fault != nil {
		return none, fault
	}
	ref := result.(types.ManagedObjectReference)
	if m.IsTemplate {
		vm := v.registry.Get(ref).(*simulator.VirtualMachine)
		lock := v.context()
		lock.WithLock(vm, func() {
			vm.MarkAsTemplate(&types.MarkAsTemplate{This: ref})
			v.note(lock, &vm.VirtualMachine)
		})
	}
	return ref, nil
}

// complete fills in what a description may leave open.
func (v *VCenter) complete(m *Machine) {
	if m.Key == "" {
		m.Key = uuid.NewString()
	}
	if m.InstanceUUID == "" {
		m.InstanceUUID = uuid.NewString()
	}
	if m.BIOSUUID == "" {
		m.BIOSUUID = uuid.NewString()
	}
	if m.Host == "" {
		n := int(v.nextHost.Add(1)) % len(v.place.hosts)
		m.Host = v.place.hostNames[v.place.hosts[n]]
	}
	m.NICs = slices.Clone(m.NICs)
	for i := range m.NICs {
		if !v.hasNetwork(m.NICs[i].Network) {
			m.NICs[i].Network = networkName
		}
		m.NICs[i].MAC = v.claimMAC(m.Key, i, m.NICs[i].MAC)
	}
}

// claimMAC gives each network card an address of its own, in the range that
// vCenter assigns from, the same one at each start.
func (v *VCenter) claimMAC(key string, nic int, want string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for salt := 0; ; salt++ {
		if want == "" {
			h := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", key, nic, salt))
			want = fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80|h[0]&0x3f, h[1], h[2])
		}
		if owner, taken := v.macs[want]; !taken || owner == key {
			v.macs[want] = key
			return want
		}
		want = ""
	}
}

func (v *VCenter) configSpec(m Machine) types.VirtualMachineConfigSpec {
	spec := types.VirtualMachineConfigSpec{
		Name: m.Name, GuestId: m.GuestID, InstanceUuid: m.InstanceUUID, Uuid: m.BIOSUUID,
		NumCPUs: m.VCPUs, MemoryMB: m.MemoryMiB, Annotation: m.Annotation,
		Files: &types.VirtualMachineFileInfo{VmPathName: "[" + datastoreName + "]"},
	}
	for _, key := range sortedKeys(m.ExtraConfig) {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: key, Value: m.ExtraConfig[key]})
	}
	add := func(d types.BaseVirtualDevice, op types.VirtualDeviceConfigSpecFileOperation) {
		spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: op, Device: d,
		})
	}
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.SharedBus = scsiKey, types.VirtualSCSISharingNoSharing
	add(scsi, "")
	for i, disk := range m.Disks {
		d := &types.VirtualDisk{CapacityInKB: disk.CapacityKiB}
		d.Key, d.ControllerKey, d.UnitNumber = disk.Key, scsiKey, new(int32(i))
		d.Backing = &types.VirtualDiskFlatVer2BackingInfo{
			DiskMode: string(types.VirtualDiskModePersistent), ThinProvisioned: new(true),
		}
		add(d, types.VirtualDeviceConfigSpecFileOperationCreate)
	}
	for _, nic := range m.NICs {
		d := &types.VirtualVmxnet3{}
		d.Key, d.MacAddress, d.AddressType = nic.Key, nic.MAC, string(types.VirtualEthernetCardMacTypeAssigned)
		backing := &types.VirtualEthernetCardNetworkBackingInfo{}
		backing.DeviceName = nic.Network
		d.Backing = backing
		d.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true}
		add(d, "")
	}
	ide := &types.VirtualIDEController{}
	ide.Key = ideKey
	add(ide, "")
	cd := &types.VirtualCdrom{}
	cd.Key, cd.ControllerKey, cd.UnitNumber = cdKey, ideKey, new(int32(0))
	cd.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: m.CD != "", Connected: m.CD != "", AllowGuestControl: true}
	cd.Backing = &types.VirtualCdromRemotePassthroughBackingInfo{}
	if m.CD != "" {
		backing := &types.VirtualCdromIsoBackingInfo{}
		backing.FileName = m.CD
		cd.Backing = backing
	}
	add(cd, "")
	return spec
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// addTemplates puts the catalogue's machines into the templates folder.
func (v *VCenter) addTemplates() error {
	for _, t := range Templates() {
		if !t.In(v.options.Name) {
			continue
		}
		m := Machine{
			Key: "template/" + t.Slug, Name: t.Slug, Folder: templateFolder, Template: t.Slug, IsTemplate: true,
			InstanceUUID: t.InstanceUUID(v.options.Name), GuestID: t.GuestID,
			BIOSUUID: derived([]byte("bios/" + v.options.Name + "/" + t.Slug)),
			VCPUs:    int32(t.MinVCPUs), MemoryMiB: int64(t.MinMemoryMiB), //nolint:gosec // small constants
			Annotation: t.Name + "\n" + t.Description,
			Disks:      []Disk{{Key: firstDiskKey, CapacityKiB: int64(t.MinDiskGiB) * kibPerGiB}},
			NICs:       []NIC{{Key: firstNICKey, Network: networkName}},
		}
		if _, fault := v.build(m, true); fault != nil {
			return fmt.Errorf("lab: template %s: %T", t.Slug, fault)
		}
	}
	return nil
}
