package vsphere

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Power is a VM's power state.
type Power string

const (
	PoweredOn  Power = "on"
	PoweredOff Power = "off"
	Suspended  Power = "suspended"
)

func powerOf(state types.VirtualMachinePowerState) Power {
	switch state {
	case types.VirtualMachinePowerStatePoweredOn:
		return PoweredOn
	case types.VirtualMachinePowerStatePoweredOff:
		return PoweredOff
	case types.VirtualMachinePowerStateSuspended:
		return Suspended
	default:
		return ""
	}
}

// VM is a virtual machine as vCenter describes it at this moment.
type VM struct {
	Ref          string // managed object reference, "vm-42": for the next call, not an identity
	InstanceUUID string
	Name         string
	Power        Power
	Address      string // first address that the guest reports; "" without tools
	HostName     string // the guest's
	Host         string // the ESXi host's name
	ToolsRunning bool
	VCPUs        int
	MemoryMiB    int
	DiskGiB      int // the first disk, rounded down
	Annotation   string
}

const (
	kindVM   = "VirtualMachine"
	kindHost = "HostSystem"
	kindTask = "Task"
)

func vmRef(ref string) types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: kindVM, Value: ref}
}

// vmProperties is what a VM or Template is made of.
func vmProperties() []string {
	return []string{
		"name", "config.instanceUuid", "config.annotation", "config.template", "config.guestId",
		"config.hardware.numCPU", "config.hardware.memoryMB", "config.hardware.device",
		"runtime.powerState", "runtime.host",
		"guest.ipAddress", "guest.hostName", "guest.toolsRunningStatus",
	}
}

// FindVM looks a VM up by its instance UUID, wherever it is in the inventory
// and whatever its name. CodeNotFound if there is none.
func (c *Client) FindVM(ctx context.Context, instanceUUID string) (VM, error) {
	var vm VM
	err := c.do(ctx, "find VM "+instanceUUID, func(ctx context.Context, conn *connection) error {
		ref, err := findByUUID(ctx, conn, instanceUUID)
		if err != nil {
			return err
		}
		vm, err = c.readVM(ctx, conn, ref)
		return err
	})
	return vm, err
}

// ReadVM reads a VM by its reference.
func (c *Client) ReadVM(ctx context.Context, ref string) (VM, error) {
	var vm VM
	err := c.do(ctx, "read VM "+ref, func(ctx context.Context, conn *connection) error {
		var err error
		vm, err = c.readVM(ctx, conn, vmRef(ref))
		return err
	})
	return vm, err
}

// findByUUID asks vCenter's search index, which templates are in as well.
func findByUUID(ctx context.Context, conn *connection, instanceUUID string) (types.ManagedObjectReference, error) {
	var none types.ManagedObjectReference
	if instanceUUID == "" {
		return none, refuse(CodeNotFound, "no instance UUID given")
	}
	found, err := object.NewSearchIndex(conn.vim).FindByUuid(ctx, nil, strings.ToLower(instanceUUID), true, new(true))
	if err != nil {
		return none, err
	}
	if found == nil {
		return none, refuse(CodeNotFound, "no VM has the instance UUID %s", instanceUUID)
	}
	return found.Reference(), nil
}

func loadVM(ctx context.Context, conn *connection, ref types.ManagedObjectReference) (mo.VirtualMachine, error) {
	var loaded mo.VirtualMachine
	err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, ref, vmProperties(), &loaded)
	return loaded, err
}

func (c *Client) readVM(ctx context.Context, conn *connection, ref types.ManagedObjectReference) (VM, error) {
	loaded, err := loadVM(ctx, conn, ref)
	if err != nil {
		return VM{}, err
	}
	vm := VM{Ref: ref.Value, Name: loaded.Name, Power: powerOf(loaded.Runtime.PowerState)}
	if config := loaded.Config; config != nil {
		vm.InstanceUUID = config.InstanceUuid
		vm.Annotation = config.Annotation
		vm.VCPUs = int(config.Hardware.NumCPU)
		vm.MemoryMiB = int(config.Hardware.MemoryMB)
		vm.DiskGiB = firstDiskGiB(config.Hardware.Device)
	}
	if guest := loaded.Guest; guest != nil {
		vm.Address = guest.IpAddress
		vm.HostName = guest.HostName
		vm.ToolsRunning = toolsRunning(guest.ToolsRunningStatus)
	}
	if host := loaded.Runtime.Host; host != nil {
		names, err := c.hostNames(ctx, conn, []types.ManagedObjectReference{*host})
		if err != nil {
			return VM{}, err
		}
		vm.Host = names[host.Value]
	}
	return vm, nil
}

func toolsRunning(status string) bool {
	return status == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
}

// Template is what a machine can be cloned from.
type Template struct {
	Ref          string
	InstanceUUID string
	Name         string
	GuestID      string // vSphere's name of the guest system, "debian12_64Guest"
	VCPUs        int
	MemoryMiB    int
	DiskGiB      int // the first disk, rounded up: no clone can have less
	IsTemplate   bool
	NetworkCards int

	cards []types.BaseVirtualDevice
}

// TemplateVM looks up a template by instance UUID, by inventory path or by
// name. A plain VM is found too; IsTemplate tells.
func (c *Client) TemplateVM(ctx context.Context, uuidNameOrPath string) (Template, error) {
	var template Template
	err := c.do(ctx, "find template "+uuidNameOrPath, func(ctx context.Context, conn *connection) error {
		ref, err := c.findTemplate(ctx, conn, uuidNameOrPath)
		if err != nil {
			return err
		}
		template, err = readTemplate(ctx, conn, ref)
		return err
	})
	return template, err
}

func (c *Client) findTemplate(ctx context.Context, conn *connection, key string) (types.ManagedObjectReference, error) {
	if isUUID(key) {
		return findByUUID(ctx, conn, key)
	}
	if strings.Contains(key, "/") {
		finder, err := c.finder(ctx, conn)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		vm, err := finder.VirtualMachine(ctx, key)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return vm.Reference(), nil
	}
	return findByName(ctx, conn, key)
}

// findByName walks all VMs once; templates win over machines of that name.
func findByName(ctx context.Context, conn *connection, name string) (types.ManagedObjectReference, error) {
	var none types.ManagedObjectReference
	all, err := view.NewManager(conn.vim).CreateContainerView(ctx, conn.vim.ServiceContent.RootFolder, []string{kindVM}, true)
	if err != nil {
		return none, err
	}
	defer func() { _ = all.Destroy(ctx) }()
	var vms []mo.VirtualMachine
	if err := all.Retrieve(ctx, []string{kindVM}, []string{"name", "config.template"}, &vms); err != nil {
		return none, err
	}
	found := none
	for _, vm := range vms {
		if vm.Name != name {
			continue
		}
		if vm.Config != nil && vm.Config.Template {
			return vm.Self, nil
		}
		found = vm.Self
	}
	if found == none {
		return none, refuse(CodeNotFound, "no VM or template is called %q", name)
	}
	return found, nil
}

func readTemplate(ctx context.Context, conn *connection, ref types.ManagedObjectReference) (Template, error) {
	loaded, err := loadVM(ctx, conn, ref)
	if err != nil {
		return Template{}, err
	}
	config := loaded.Config
	if config == nil {
		return Template{}, refuse(CodeInvalidState, "the configuration of %s can't be read", loaded.Name)
	}
	cards := networkCards(config.Hardware.Device)
	return Template{
		Ref:          ref.Value,
		InstanceUUID: config.InstanceUuid,
		Name:         loaded.Name,
		GuestID:      config.GuestId,
		VCPUs:        int(config.Hardware.NumCPU),
		MemoryMiB:    int(config.Hardware.MemoryMB),
		DiskGiB:      firstDiskGiBRoundedUp(config.Hardware.Device),
		IsTemplate:   config.Template,
		NetworkCards: len(cards),
		cards:        cards,
	}, nil
}
