package lab

import (
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// broker answers the calls that the simulator lacks, or does in a way that a
// vCenter doesn't. Calls are redirected to it by the interceptor; the request
// still names the object that was meant.
//
// It embeds an mo type because the simulator looks into every object it
// holds, and is its own (empty) lock so that a slow call blocks nobody.
type broker struct {
	mo.SearchIndex
	vc *VCenter
}

// Lock opts out of the simulator's object lock.
func (*broker) Lock() {}

// Unlock opts out of the simulator's object lock.
func (*broker) Unlock() {}

var brokerRef = types.ManagedObjectReference{Type: "LabBroker", Value: "broker"}

// redirected are the methods that the broker answers, by type of the object.
var redirected = map[string][]string{
	"CloneVM_Task":        {"VirtualMachine"},
	"CreateVM_Task":       {"Folder"},
	"CreateFolder":        {"Folder"},
	"ImportVApp":          {"ResourcePool"},
	"Rename_Task":         {"VirtualMachine", "Folder"},
	"FindByInventoryPath": {"SearchIndex"},
	"FindChild":           {"SearchIndex"},
	"AcquireTicket":       {"VirtualMachine"},
	"CustomizeVM_Task":    {"VirtualMachine"},
	"ShutdownGuest":       {"VirtualMachine"},
	"RebootGuest":         {"VirtualMachine"},
	"ResetVM_Task":        {"VirtualMachine"},
	"AnswerVM":            {"VirtualMachine"},

	"WaitForUpdatesEx":     {"PropertyCollector"},
	"CancelWaitForUpdates": {"PropertyCollector"},

	"CreateFilter":          {"PropertyCollector"},
	"DestroyPropertyFilter": {"PropertyFilter"},
}

// intercept sees each call before the simulator does.
func (v *VCenter) intercept(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if fault := v.faults.onCall(m.Name, v.nameOf(m.This)); fault != nil {
		return nil, fault
	}
	switch m.Name {
	case "LoginByToken", "LoginExtensionByCertificate", "ImpersonateUser":
		return nil, &types.InvalidLogin{} // the simulator believes any
	}
	if ctx.Session == nil {
		return nil, nil // the simulator answers NotAuthenticated
	}
	if fault := v.refuse(m.Body); fault != nil {
		return nil, fault
	}
	if m.Name == "DestroyPropertyCollector" {
		v.feeds.close(m.This)
	}
	if m.Name == "CancelTask" && v.clones.stop(m.This) {
		m.This = brokerRef
		return nil, nil
	}
	if failable(m.Name) {
		if fault := v.faults.onTask(m.Name, v.nameOf(m.This)); fault != nil {
			m.Body = &failingCall{method: m.Name, entity: m.This, fault: fault}
			m.Name, m.This = "FailTask", brokerRef
			return nil, nil
		}
	}
	if change, ok := m.Body.(*types.ReconfigVM_Task); ok && changesCD(&change.Spec) {
		m.This = brokerRef
		return nil, nil
	}
	for _, kind := range redirected[m.Name] {
		if m.This.Type == kind {
			m.This = brokerRef
		}
	}
	return nil, nil
}

func (v *VCenter) nameOf(ref types.ManagedObjectReference) string {
	if ref.Type != "VirtualMachine" {
		return ""
	}
	vm, ok := v.registry.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return ""
	}
	return vm.Name
}

// refuse turns down what would reach out of the lab, or panic it.
func (v *VCenter) refuse(body types.AnyType) types.BaseMethodFault {
	var spec *types.VirtualMachineConfigSpec
	switch b := body.(type) {
	case *types.ReconfigVM_Task:
		spec = &b.Spec
	case *types.CreateVM_Task:
		spec = &b.Config
	case *types.CloneVM_Task:
		spec = b.Spec.Config
	case *types.ImportVApp:
		if s, ok := b.Spec.(*types.VirtualMachineImportSpec); ok {
			spec = &s.ConfigSpec
		}
	case *types.CreateFolder:
		if !validName(b.Name) {
			return &types.InvalidName{Name: b.Name}
		}
	case *types.Rename_Task:
		if !validName(b.NewName) {
			return &types.InvalidName{Name: b.NewName}
		}
	case *types.InstantClone_Task, *types.RegisterVM_Task:
		return &types.NotSupported{}
	}
	if spec == nil {
		return nil
	}
	if spec.Name != "" && !validName(spec.Name) {
		return &types.InvalidName{Name: spec.Name}
	}
	for _, o := range spec.ExtraConfig {
		key := o.GetOptionValue().Key
		if strings.HasPrefix(key, "RUN.") || strings.HasPrefix(key, "SET.") || key == "ip0" {
			return &types.InvalidArgument{InvalidProperty: "configSpec.extraConfig." + key}
		}
	}
	for _, c := range spec.DeviceChange {
		card, ok := c.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		if b, ok := card.GetVirtualEthernetCard().Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok && !v.hasNetwork(b.DeviceName) {
			return &types.InvalidDeviceBacking{}
		}
	}
	return nil
}

// CloneVMTask makes a machine from a template, slowly if so configured.
func (b *broker) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	// The task can be cancelled from the moment that its client knows it.
	known := make(chan (<-chan struct{}), 1)
	ref := b.vc.startTask(ctx, req.This, b.vc.nameOf(req.This), "clone",
		func(t *simulator.Task) (types.AnyType, types.BaseMethodFault) { return b.vc.clone(t, req, <-known) })
	known <- b.vc.clones.open(ref)
	return &methods.CloneVM_TaskBody{Res: &types.CloneVM_TaskResponse{Returnval: ref}}
}

// CancelTask answers for a clone that was told to stop.
func (b *broker) CancelTask(*types.CancelTask) soap.HasFault {
	return &methods.CancelTaskBody{Res: &types.CancelTaskResponse{}}
}

// CreateVMTask is the simulator's own, one at a time.
func (b *broker) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	return b.guard(ctx, req.This, func(target mo.Reference) soap.HasFault {
		body := target.(*simulator.Folder).CreateVMTask(ctx, req).(*methods.CreateVM_TaskBody)
		b.vc.await(body.Res.Returnval) // while nobody looks for names
		return body
	})
}

// ImportVApp is the simulator's own, one at a time.
func (b *broker) ImportVApp(ctx *simulator.Context, req *types.ImportVApp) soap.HasFault {
	return b.guard(ctx, req.This, func(target mo.Reference) soap.HasFault {
		return target.(*simulator.ResourcePool).ImportVApp(ctx, req)
	})
}

// CreateFolder is the simulator's own, one at a time.
func (b *broker) CreateFolder(ctx *simulator.Context, req *types.CreateFolder) soap.HasFault {
	return b.guard(ctx, req.This, func(target mo.Reference) (body soap.HasFault) {
		ctx.WithLock(target, func() { body = target.(*simulator.Folder).CreateFolder(ctx, req) })
		return body
	})
}

// RenameTask is the simulator's own, one at a time.
func (b *broker) RenameTask(ctx *simulator.Context, req *types.Rename_Task) soap.HasFault {
	return b.guard(ctx, req.This, func(target mo.Reference) soap.HasFault {
		var body *methods.Rename_TaskBody
		ctx.WithLock(target, func() {
			r, ok := target.(interface {
				RenameTask(*simulator.Context, *types.Rename_Task) soap.HasFault
			})
			if ok {
				body = r.RenameTask(ctx, req).(*methods.Rename_TaskBody)
			}
		})
		if body == nil {
			return &methods.Rename_TaskBody{Fault_: simulator.Fault("", &types.NotSupported{})}
		}
		b.vc.await(body.Res.Returnval)
		return body
	})
}

// FindByInventoryPath is the simulator's own, while no machine is being made.
func (b *broker) FindByInventoryPath(ctx *simulator.Context, req *types.FindByInventoryPath) soap.HasFault {
	b.vc.inventory.Lock()
	defer b.vc.inventory.Unlock()
	return ctx.Map.SearchIndex().FindByInventoryPath(ctx, req)
}

// FindChild is the simulator's own, while no machine is being made.
func (b *broker) FindChild(ctx *simulator.Context, req *types.FindChild) soap.HasFault {
	b.vc.inventory.Lock()
	defer b.vc.inventory.Unlock()
	return ctx.Map.SearchIndex().FindChild(ctx, req)
}

func (b *broker) guard(_ *simulator.Context, this types.ManagedObjectReference, call func(mo.Reference) soap.HasFault) soap.HasFault {
	b.vc.inventory.Lock()
	defer b.vc.inventory.Unlock()
	target := b.vc.registry.Get(this)
	if target == nil {
		return missing(this)
	}
	return call(target)
}

// faultBody is a fault as the answer to any call.
type faultBody struct{ fault *soap.Fault }

// Fault returns it.
func (b *faultBody) Fault() *soap.Fault { return b.fault }

func missing(ref types.ManagedObjectReference) soap.HasFault {
	return &faultBody{simulator.Fault("managed object not found: "+ref.String(), &types.ManagedObjectNotFound{Obj: ref})}
}

// CustomizeVMTask sets what the guest takes at its next boot.
func (b *broker) CustomizeVMTask(ctx *simulator.Context, req *types.CustomizeVM_Task) soap.HasFault {
	v := b.vc
	ref := v.startTask(ctx, req.This, v.nameOf(req.This), "customize", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) { //nolint:misspell // as vSphere spells it
		var fault types.BaseMethodFault
		found := v.withMachine(req.This, func(lock *simulator.Context, vm *simulator.VirtualMachine) {
			if s := vm.Runtime.PowerState; s != types.VirtualMachinePowerStatePoweredOff {
				fault = &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: s}
				return
			}
			v.mu.Lock()
			res := v.residents[vm.Self]
			v.mu.Unlock()
			if res == nil {
				fault = &types.InvalidState{}
				return
			}
			if fault = customise(&res.hostName, &res.addresses, &req.Spec, len(vm.Guest.Net)); fault == nil {
				v.note(lock, &vm.VirtualMachine)
			}
		})
		if !found {
			fault = &types.ManagedObjectNotFound{Obj: req.This}
		}
		return nil, fault
	})
	return &methods.CustomizeVM_TaskBody{Res: &types.CustomizeVM_TaskResponse{Returnval: ref}}
}

// ShutdownGuest asks the guest to go down: it takes a moment and needs tools.
func (b *broker) ShutdownGuest(_ *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	v := b.vc
	if fault := v.needTools(req.This); fault != nil {
		return &methods.ShutdownGuestBody{Fault_: simulator.Fault("", fault)}
	}
	time.AfterFunc(v.shutdownDelay(), func() { v.powerOff(req.This) })
	return &methods.ShutdownGuestBody{Res: &types.ShutdownGuestResponse{}}
}

// RebootGuest asks the guest to restart.
func (b *broker) RebootGuest(_ *simulator.Context, req *types.RebootGuest) soap.HasFault {
	v := b.vc
	if fault := v.needTools(req.This); fault != nil {
		return &methods.RebootGuestBody{Fault_: simulator.Fault("", fault)}
	}
	time.AfterFunc(v.shutdownDelay(), func() { v.reboot(req.This) })
	return &methods.RebootGuestBody{Res: &types.RebootGuestResponse{}}
}

// ResetVMTask restarts the machine; unlike the simulator's it stays on
// meanwhile, so that its screen stays open.
func (b *broker) ResetVMTask(ctx *simulator.Context, req *types.ResetVM_Task) soap.HasFault {
	v := b.vc
	ref := v.startTask(ctx, req.This, v.nameOf(req.This), "reset", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if fault := v.needPower(req.This); fault != nil {
			return nil, fault
		}
		v.reboot(req.This)
		return nil, nil
	})
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: ref}}
}

func (v *VCenter) needPower(ref types.ManagedObjectReference) (fault types.BaseMethodFault) {
	found := v.withMachine(ref, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
		if s := vm.Runtime.PowerState; s != types.VirtualMachinePowerStatePoweredOn {
			fault = &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: s}
		}
	})
	if !found {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	return fault
}

func (v *VCenter) needTools(ref types.ManagedObjectReference) types.BaseMethodFault {
	if fault := v.needPower(ref); fault != nil {
		return fault
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if res := v.residents[ref]; res == nil || !res.boot.up {
		return &types.ToolsUnavailable{}
	}
	return nil
}
