package lab

import (
	"encoding/base64"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
	"gopkg.in/yaml.v3"
)

// clones are the clones under way.
type clones struct {
	mu     sync.Mutex
	names  map[string]bool // folder and name taken by a clone that is not there yet
	cancel map[types.ManagedObjectReference]chan struct{}
}

func (c *clones) take(p string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names[p] {
		return false
	}
	if c.names == nil {
		c.names = map[string]bool{}
	}
	c.names[p] = true
	return true
}

func (c *clones) give(p string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, p)
}

func (c *clones) open(task types.ManagedObjectReference) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel == nil {
		c.cancel = map[types.ManagedObjectReference]chan struct{}{}
	}
	stop := make(chan struct{})
	c.cancel[task] = stop
	return stop
}

// stop cancels a clone that can still be cancelled.
func (c *clones) stop(task types.ManagedObjectReference) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop, ok := c.cancel[task]
	if ok {
		delete(c.cancel, task)
		close(stop)
	}
	return ok
}

// commit ends the time in which a clone can be cancelled; false: it was.
func (c *clones) commit(task types.ManagedObjectReference) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.cancel[task]
	delete(c.cancel, task)
	return ok
}

// clone runs one clone: it waits without a lock, then makes the machine.
func (v *VCenter) clone(task *simulator.Task, req *types.CloneVM_Task, stop <-chan struct{}) (types.AnyType, types.BaseMethodFault) {
	defer v.clones.commit(task.Self)
	m, fault := v.planClone(req)
	if fault != nil {
		return nil, fault
	}
	where := path.Join(m.Folder, m.Name)
	if !v.clones.take(where) {
		return nil, &types.DuplicateName{Name: m.Name, Object: req.Folder}
	}
	defer v.clones.give(where)
	if fault := v.nameFree(req.Folder, m.Name); fault != nil {
		return nil, fault
	}
	v.updateTask(task, types.PropertyChange{Name: "info.cancelable", Val: true})
	if fault := v.copyDisks(task, stop, m.Name); fault != nil {
		return nil, fault
	}
	if !v.clones.commit(task.Self) {
		return nil, v.cancelled(task)
	}
	v.inventory.Lock()
	fault = v.nameFreeLocked(req.Folder, m.Name)
	var ref types.ManagedObjectReference
	if fault == nil {
		ref, fault = v.build(m, false)
	}
	v.inventory.Unlock()
	if fault != nil {
		return nil, fault
	}
	if others := otherDevices(req); len(others) > 0 {
		if fault := v.reconfigure(ref, others); fault != nil {
			return nil, fault
		}
	}
	if req.Spec.PowerOn && !m.IsTemplate {
		if fault := v.powerOn(ref); fault != nil {
			return nil, fault
		}
	}
	return ref, nil
}

// copyDisks is the slow part: progress in tenths, a place to fail, a place to
// be cancelled.
func (v *VCenter) copyDisks(task *simulator.Task, stop <-chan struct{}, name string) types.BaseMethodFault {
	const steps = 10
	delay := v.faults.cloneDelay()
	for i := range steps {
		if i == steps/2 {
			if fault := v.faults.onTask("CloneVM_Task", name); fault != nil {
				return fault
			}
		}
		if delay <= 0 {
			continue
		}
		select {
		case <-stop:
			return v.cancelled(task)
		case <-v.closed:
			return &types.RequestCanceled{}
		case <-time.After(delay / steps):
		}
		v.updateTask(task, types.PropertyChange{Name: "info.progress", Val: int32((i + 1) * 100 / steps)})
	}
	return nil
}

func (v *VCenter) cancelled(task *simulator.Task) types.BaseMethodFault {
	v.updateTask(task, types.PropertyChange{Name: "info.cancelled", Val: true})
	return &types.RequestCanceled{}
}

// planClone describes the machine that a clone asks for.
func (v *VCenter) planClone(req *types.CloneVM_Task) (Machine, types.BaseMethodFault) {
	var m Machine
	if !validName(req.Name) {
		return m, &types.InvalidName{Name: req.Name}
	}
	folder, ok := v.registry.Get(req.Folder).(*simulator.Folder)
	if !ok || !slices.Contains(folder.ChildType, "VirtualMachine") {
		return m, &types.ManagedObjectNotFound{Obj: req.Folder}
	}
	isTemplate := false
	found := v.withMachine(req.This, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
		v.mu.Lock()
		res := v.residents[vm.Self]
		v.mu.Unlock()
		if res != nil {
			m = v.describe(&vm.VirtualMachine, facts{template: res.template})
		}
		isTemplate = vm.Config.Template
	})
	if !found || m.Name == "" {
		return m, &types.ManagedObjectNotFound{Obj: req.This}
	}
	spec := req.Spec
	pool := spec.Location.Pool
	if pool == nil && isTemplate {
		return m, &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
	}
	m.Name, m.IsTemplate, m.Power, m.BootedAt = req.Name, spec.Template, "", nil
	m.InstanceUUID, m.BIOSUUID, m.Host, m.Annotation, m.ExtraConfig = "", "", "", "", nil
	m.Folder = v.pathOf(req.Folder, v.place.vmFolder)
	if pool != nil {
		if _, ok := v.registry.Get(*pool).(mo.Entity); !ok {
			return m, &types.ManagedObjectNotFound{Obj: *pool}
		}
		m.Pool = v.pathOf(*pool, v.place.pool)
	}
	if h := spec.Location.Host; h != nil {
		m.Host = v.place.hostNames[*h]
	}
	for i := range m.NICs {
		m.NICs[i].MAC = "" // its own, not the template's
	}
	if c := spec.Config; c != nil {
		applySpec(&m, c)
	}
	v.applyDevices(&m, spec.Location.DeviceChange)
	if spec.Config != nil {
		v.applyDevices(&m, spec.Config.DeviceChange)
	}
	if c := spec.Customization; c != nil {
		if fault := customise(&m.HostName, &m.Addresses, c, len(m.NICs)); fault != nil {
			return m, fault
		}
	}
	return m, nil
}

func applySpec(m *Machine, c *types.VirtualMachineConfigSpec) {
	set(&m.InstanceUUID, c.InstanceUuid)
	set(&m.BIOSUUID, c.Uuid)
	set(&m.VCPUs, c.NumCPUs)
	set(&m.MemoryMiB, c.MemoryMB)
	set(&m.Annotation, c.Annotation)
	for _, o := range c.ExtraConfig {
		ov := o.GetOptionValue()
		if s, ok := ov.Value.(string); ok {
			if m.ExtraConfig == nil {
				m.ExtraConfig = map[string]string{}
			}
			m.ExtraConfig[ov.Key] = s
		}
	}
}

func set[T comparable](dst *T, src T) {
	var zero T
	if src != zero {
		*dst = src
	}
}

// applyDevices takes over edits of the template's disks and cards. A disk in
// the specification names the template's file, so only its size is taken.
func (v *VCenter) applyDevices(m *Machine, changes []types.BaseVirtualDeviceConfigSpec) {
	for _, c := range changes {
		spec := c.GetVirtualDeviceConfigSpec()
		if spec.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			continue
		}
		switch d := spec.Device.(type) {
		case *types.VirtualDisk:
			for i := range m.Disks {
				if m.Disks[i].Key == d.Key {
					m.Disks[i].CapacityKiB = max(m.Disks[i].CapacityKiB, d.CapacityInKB, d.CapacityInBytes/1024)
				}
			}
		case types.BaseVirtualEthernetCard:
			card := d.GetVirtualEthernetCard()
			for i := range m.NICs {
				if m.NICs[i].Key == card.Key {
					set(&m.NICs[i].Network, v.networkOf(card.Backing))
					if card.AddressType == string(types.VirtualEthernetCardMacTypeManual) {
						m.NICs[i].MAC = card.MacAddress
					}
				}
			}
		}
	}
}

// otherDevices are changes that are no edits of what the template has.
func otherDevices(req *types.CloneVM_Task) []types.BaseVirtualDeviceConfigSpec {
	changes := slices.Clone(req.Spec.Location.DeviceChange)
	if req.Spec.Config != nil {
		changes = append(changes, req.Spec.Config.DeviceChange...)
	}
	return slices.DeleteFunc(changes, func(c types.BaseVirtualDeviceConfigSpec) bool {
		return c.GetVirtualDeviceConfigSpec().Operation == types.VirtualDeviceConfigSpecOperationEdit
	})
}

func (v *VCenter) nameFree(folder types.ManagedObjectReference, name string) types.BaseMethodFault {
	v.inventory.Lock()
	defer v.inventory.Unlock()
	return v.nameFreeLocked(folder, name)
}

func (v *VCenter) nameFreeLocked(folder types.ManagedObjectReference, name string) types.BaseMethodFault {
	f, ok := v.registry.Get(folder).(*simulator.Folder)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: folder}
	}
	ctx := v.context()
	var taken mo.Entity
	ctx.WithLock(f, func() { taken = v.registry.FindByName(name, f.ChildEntity) })
	if taken != nil {
		return &types.DuplicateName{Name: name, Object: taken.Reference()}
	}
	return nil
}

func (v *VCenter) reconfigure(ref types.ManagedObjectReference, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	var task types.ManagedObjectReference
	v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		task = vm.ReconfigVMTask(ctx, &types.ReconfigVM_Task{
			This: ref, Spec: types.VirtualMachineConfigSpec{DeviceChange: changes},
		}).(*methods.ReconfigVM_TaskBody).Res.Returnval
	})
	_, fault := v.await(task)
	return fault
}

func (v *VCenter) powerOn(ref types.ManagedObjectReference) types.BaseMethodFault {
	var task types.ManagedObjectReference
	v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		task = vm.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: ref}).(*methods.PowerOnVM_TaskBody).Res.Returnval
	})
	_, fault := v.await(task)
	return fault
}

// customise reads host name and fixed addresses out of a customisation.
func customise(hostName *string, addresses *[]string, c *types.CustomizationSpec, nics int) types.BaseMethodFault {
	cloudInit, isCloudInit := c.Identity.(*types.CustomizationCloudinitPrep)
	if len(c.NicSettingMap) != nics && (!isCloudInit || len(c.NicSettingMap) != 0) {
		return &types.NicSettingMismatch{
			NumberOfNicsInSpec: int32(len(c.NicSettingMap)), NumberOfNicsInVM: int32(nics), //nolint:gosec // a handful
		}
	}
	var ips []string
	for _, n := range c.NicSettingMap {
		if fixed, ok := n.Adapter.Ip.(*types.CustomizationFixedIp); ok {
			ips = append(ips, fixed.IpAddress)
		}
	}
	var name string
	switch id := c.Identity.(type) {
	case *types.CustomizationLinuxPrep:
		name = fixedName(id.HostName)
	case *types.CustomizationSysprep:
		name = fixedName(id.UserData.ComputerName)
	}
	if isCloudInit {
		name, ips = cloudInitFacts(cloudInit.Metadata)
	}
	set(hostName, name)
	if len(ips) > 0 {
		*addresses = ips
	}
	return nil
}

func fixedName(n types.BaseCustomizationName) string {
	if f, ok := n.(*types.CustomizationFixedName); ok {
		return f.Name
	}
	return "" // the machine's own name
}

// cloudInitFacts reads the little of cloud-init's metadata that shows.
func cloudInitFacts(metadata string) (name string, ips []string) {
	if plain, err := base64.StdEncoding.DecodeString(metadata); err == nil {
		metadata = string(plain)
	}
	var md struct {
		Hostname      string `yaml:"hostname"`
		LocalHostname string `yaml:"local-hostname"`
		Network       struct {
			Ethernets map[string]struct {
				Addresses []string `yaml:"addresses"`
			} `yaml:"ethernets"`
		} `yaml:"network"`
	}
	if yaml.Unmarshal([]byte(metadata), &md) != nil {
		return "", nil
	}
	cards := make([]string, 0, len(md.Network.Ethernets))
	for card := range md.Network.Ethernets {
		cards = append(cards, card)
	}
	slices.Sort(cards)
	for _, card := range cards {
		for _, a := range md.Network.Ethernets[card].Addresses[:min(1, len(md.Network.Ethernets[card].Addresses))] {
			ip, _, _ := strings.Cut(a, "/")
			ips = append(ips, ip)
		}
	}
	if md.LocalHostname != "" {
		return md.LocalHostname, ips
	}
	return md.Hostname, ips
}
