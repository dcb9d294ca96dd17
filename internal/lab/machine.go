package lab

import (
	"cmp"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Machine is all that the lab remembers of one virtual machine: enough to
// make it again after a crash.
type Machine struct {
	Key          string            `json:"key"` // ours; survives restarts, unlike the moref
	Name         string            `json:"name"`
	Folder       string            `json:"folder"` // below the datacenter's vm folder
	Pool         string            `json:"pool"`   // below the cluster's root pool
	Host         string            `json:"host"`
	InstanceUUID string            `json:"instance_uuid"`
	BIOSUUID     string            `json:"bios_uuid"`
	Template     string            `json:"template,omitempty"` // slug of what it was cloned from
	IsTemplate   bool              `json:"is_template,omitempty"`
	GuestID      string            `json:"guest_id"`
	VCPUs        int32             `json:"vcpus"`
	MemoryMiB    int64             `json:"memory_mib"`
	Disks        []Disk            `json:"disks"`
	NICs         []NIC             `json:"nics"`
	CD           string            `json:"cd,omitempty"` // the ISO file in the drive, as the datastore names it
	Power        string            `json:"power"`        // poweredOn, poweredOff, suspended
	Annotation   string            `json:"annotation,omitempty"`
	ExtraConfig  map[string]string `json:"extra_config,omitempty"`
	HostName     string            `json:"host_name,omitempty"` // from customisation
	Addresses    []string          `json:"addresses,omitempty"` // from customisation
	BootedAt     *time.Time        `json:"booted_at,omitempty"`
}

// Disk is one virtual disk.
type Disk struct {
	Key         int32 `json:"key"`
	Unit        int32 `json:"unit"`
	CapacityKiB int64 `json:"capacity_kib"`
}

// NIC is one virtual network card.
type NIC struct {
	Key     int32  `json:"key"`
	MAC     string `json:"mac"`
	Network string `json:"network"`
}

// SeedMachine is one entry of a seed file.
type SeedMachine struct {
	InstanceUUID string `json:"instance_uuid"`
	Name         string `json:"name"`
	HostName     string `json:"host_name"` // of the guest; the name where empty
	Folder       string `json:"folder"`    // the org's folder
	Template     string `json:"template"`
	VCPUs        int    `json:"vcpus"`
	MemoryMiB    int    `json:"memory_mib"`
	DiskGiB      int    `json:"disk_gib"`
	IP           string `json:"ip"`
	Power        string `json:"power"` // poweredOn (the default), poweredOff, suspended
}

const kibPerGiB = 1 << 20

func (s SeedMachine) machine() Machine {
	m := Machine{
		Name: s.Name, Folder: s.Folder, InstanceUUID: s.InstanceUUID, Template: s.Template,
		GuestID: "otherLinux64Guest", MemoryMiB: int64(s.MemoryMiB),
		VCPUs: int32(s.VCPUs), // #nosec G115 -- a handful
		Disks: []Disk{{Key: firstDiskKey, CapacityKiB: int64(s.DiskGiB) * kibPerGiB}},
		NICs:  []NIC{{Key: firstNICKey, Network: networkName}},
		Power: s.Power, HostName: cmp.Or(s.HostName, s.Name),
	}
	if t, ok := TemplateBySlug(s.Template); ok {
		m.GuestID = t.GuestID
	}
	if s.IP != "" {
		m.Addresses = []string{s.IP}
	}
	if m.Power == "" {
		m.Power = string(types.VirtualMachinePowerStatePoweredOn)
	}
	return m
}

// describe reads a machine's remembered state out of the simulator's object.
// The caller holds the object's lock, or is the one that just made it.
func (v *VCenter) describe(vm *mo.VirtualMachine, f facts) Machine {
	m := Machine{
		Key: f.key, Template: f.template, HostName: f.hostName, Addresses: f.addresses,
		Name: vm.Name, Power: string(vm.Runtime.PowerState), BootedAt: vm.Summary.Runtime.BootTime,
	}
	if vm.Parent != nil {
		m.Folder = v.pathOf(*vm.Parent, v.place.vmFolder)
	}
	if vm.ResourcePool != nil {
		m.Pool = v.pathOf(*vm.ResourcePool, v.place.pool)
	}
	if vm.Runtime.Host != nil {
		m.Host = v.place.hostNames[*vm.Runtime.Host]
	}
	if vm.Config == nil {
		return m
	}
	c := vm.Config
	m.InstanceUUID, m.BIOSUUID, m.IsTemplate = c.InstanceUuid, c.Uuid, c.Template
	m.GuestID, m.Annotation = c.GuestId, c.Annotation
	m.VCPUs, m.MemoryMiB = c.Hardware.NumCPU, int64(c.Hardware.MemoryMB)
	for _, o := range c.ExtraConfig {
		ov := o.GetOptionValue()
		if s, ok := ov.Value.(string); ok && ov.Key != "govcsim" {
			if m.ExtraConfig == nil {
				m.ExtraConfig = map[string]string{}
			}
			m.ExtraConfig[ov.Key] = s
		}
	}
	for _, d := range c.Hardware.Device {
		switch d := d.(type) {
		case *types.VirtualDisk:
			disk := Disk{Key: d.Key, CapacityKiB: d.CapacityInKB}
			if d.UnitNumber != nil {
				disk.Unit = *d.UnitNumber
			}
			m.Disks = append(m.Disks, disk)
		case *types.VirtualCdrom:
			if b, ok := d.Backing.(*types.VirtualCdromIsoBackingInfo); ok && d.Connectable != nil && d.Connectable.StartConnected {
				m.CD = b.FileName
			}
		case types.BaseVirtualEthernetCard:
			card := d.GetVirtualEthernetCard()
			m.NICs = append(m.NICs, NIC{Key: card.Key, MAC: card.MacAddress, Network: v.networkOf(card.Backing)})
		}
	}
	return m
}

func (v *VCenter) networkOf(backing types.BaseVirtualDeviceBackingInfo) string {
	switch b := backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return b.Port.PortgroupKey
	}
	return ""
}

// validName refuses what would leave the machine's folder on the datastore.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 80 &&
		!strings.ContainsAny(name, "/\\%\x00") && !strings.HasPrefix(name, "..")
}
