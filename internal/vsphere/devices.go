package vsphere

import (
	"reflect"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	bytesPerKiB = 1 << 10
	bytesPerGiB = 1 << 30
)

func firstDisk(devices []types.BaseVirtualDevice) *types.VirtualDisk {
	disks := object.VirtualDeviceList(devices).SelectByType((*types.VirtualDisk)(nil))
	if len(disks) == 0 {
		return nil
	}
	disk, _ := disks[0].(*types.VirtualDisk)
	return disk
}

func diskBytes(disk *types.VirtualDisk) int64 {
	if disk == nil {
		return 0
	}
	if disk.CapacityInBytes > 0 {
		return disk.CapacityInBytes
	}
	return disk.CapacityInKB * bytesPerKiB
}

func firstDiskGiB(devices []types.BaseVirtualDevice) int {
	return int(diskBytes(firstDisk(devices)) / bytesPerGiB)
}

func firstDiskGiBRoundedUp(devices []types.BaseVirtualDevice) int {
	return int((diskBytes(firstDisk(devices)) + bytesPerGiB - 1) / bytesPerGiB)
}

func networkCards(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
	return object.VirtualDeviceList(devices).SelectByType((*types.VirtualEthernetCard)(nil))
}

// grownDisk is the change that makes a disk bigger; the file stays.
func grownDisk(disk *types.VirtualDisk, sizeGiB int) *types.VirtualDeviceConfigSpec {
	grown := *disk
	grown.CapacityInBytes = int64(sizeGiB) * bytesPerGiB
	grown.CapacityInKB = grown.CapacityInBytes / bytesPerKiB
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: &grown}
}

// movedCard is the change that connects a network card to another network. It
// works on a copy, because templates are shared between callers.
func movedCard(card types.BaseVirtualDevice, backing types.BaseVirtualDeviceBackingInfo, ofClone bool) *types.VirtualDeviceConfigSpec {
	original := reflect.ValueOf(card).Elem()
	changed := reflect.New(original.Type())
	changed.Elem().Set(original)
	device, ok := changed.Interface().(types.BaseVirtualEthernetCard)
	if !ok {
		return nil
	}
	ethernet := device.GetVirtualEthernetCard()
	ethernet.Backing = backing
	if ofClone && ethernet.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
		ethernet.MacAddress = "" // the template's; vCenter gives the clone its own
	}
	ethernet.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true}
	moved, ok := device.(types.BaseVirtualDevice)
	if !ok {
		return nil
	}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: moved}
}

// sameNetwork reports whether a card is connected to what backing names.
func sameNetwork(card types.BaseVirtualDevice, backing types.BaseVirtualDeviceBackingInfo) bool {
	switch want := backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		have, ok := card.GetVirtualDevice().Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo)
		return ok && have.Port.PortgroupKey == want.Port.PortgroupKey && have.Port.SwitchUuid == want.Port.SwitchUuid
	case *types.VirtualEthernetCardNetworkBackingInfo:
		have, ok := card.GetVirtualDevice().Backing.(*types.VirtualEthernetCardNetworkBackingInfo)
		return ok && have.DeviceName == want.DeviceName
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
		have, ok := card.GetVirtualDevice().Backing.(*types.VirtualEthernetCardOpaqueNetworkBackingInfo)
		return ok && have.OpaqueNetworkId == want.OpaqueNetworkId
	default:
		return false
	}
}
