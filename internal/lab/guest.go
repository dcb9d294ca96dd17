package lab

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// boot is where a machine's guest is on its way up.
type boot struct {
	// run counts power-ons and reboots, so that a late timer of an earlier
	// one does nothing.
	run   int
	at    time.Time
	up    bool // tools running, address known
	timer *time.Timer
}

// powerChanged lets the guest follow the machine. The caller holds the
// machine's lock.
func (v *VCenter) powerChanged(ctx *simulator.Context, vm *mo.VirtualMachine, res *resident, was types.VirtualMachinePowerState) {
	if v.quiet.Load() {
		return
	}
	switch vm.Runtime.PowerState {
	case types.VirtualMachinePowerStatePoweredOn:
		v.startGuest(vm.Self, res, was == types.VirtualMachinePowerStateSuspended)
	case types.VirtualMachinePowerStateSuspended:
		v.pauseGuest(res)
		ctx.Update(vm, guestGone())
	default:
		v.stopGuest(res)
		ctx.Update(vm, guestGone())
	}
}

// startGuest boots the guest; resumed ones come back faster and keep their
// screen.
func (v *VCenter) startGuest(ref types.ManagedObjectReference, res *resident, resumed bool) {
	delay := v.options.GuestBootDelay
	if resumed {
		delay /= 4
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	res.boot.run++
	run := res.boot.run
	if !resumed || res.boot.at.IsZero() {
		res.boot.at = time.Now()
	}
	res.boot.up = false
	if !resumed {
		res.doorLocked.Store(false)
	}
	if res.boot.timer != nil {
		res.boot.timer.Stop()
	}
	res.boot.timer = time.AfterFunc(delay, func() { v.guestUp(ref, run) })
	if res.screen != nil && !resumed {
		res.screen.boot(res.boot.at, v.options.GuestBootDelay)
	}
}

// guestUp is the moment at which VMware Tools report.
func (v *VCenter) guestUp(ref types.ManagedObjectReference, run int) {
	v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		v.mu.Lock()
		res := v.residents[ref]
		current := res != nil && res.boot.run == run && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		if current {
			res.boot.up = true
		}
		v.mu.Unlock()
		if current {
			ctx.Update(vm, v.guestRunning(vm, res))
		}
	})
}

func (v *VCenter) pauseGuest(res *resident) {
	v.mu.Lock()
	res.boot.run++
	res.boot.up = false
	if res.boot.timer != nil {
		res.boot.timer.Stop()
	}
	s := res.screen
	v.mu.Unlock()
	if s != nil {
		s.disconnect()
	}
}

// stopGuest ends the guest of a machine that is off or gone.
func (v *VCenter) stopGuest(res *resident) {
	v.pauseGuest(res)
	res.doorLocked.Store(false)
	v.mu.Lock()
	s := res.screen
	res.screen, res.boot.at = nil, time.Time{}
	v.mu.Unlock()
	if s != nil {
		s.halt()
	}
}

// reboot restarts the guest; the machine stays on all the while.
func (v *VCenter) reboot(ref types.ManagedObjectReference) {
	v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		v.mu.Lock()
		res := v.residents[ref]
		v.mu.Unlock()
		if res == nil || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			return
		}
		ctx.Update(vm, append(guestGone(), types.PropertyChange{Name: "summary.runtime.bootTime", Val: time.Now()}))
		v.startGuest(ref, res, false)
	})
}

// powerOff turns a machine off as its guest does at the end of a shutdown.
func (v *VCenter) powerOff(ref types.ManagedObjectReference) {
	var task types.ManagedObjectReference
	v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			body := vm.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: ref}).(*methods.PowerOffVM_TaskBody)
			task = body.Res.Returnval
		}
	})
	if task.Value != "" {
		v.await(task)
	}
}

// shutdownDelay is how long a guest takes to go down.
func (v *VCenter) shutdownDelay() time.Duration { return v.options.GuestBootDelay / 3 }

// guestRunning is what a machine shows once its tools run.
func (v *VCenter) guestRunning(vm *simulator.VirtualMachine, res *resident) []types.PropertyChange {
	name := res.hostName
	if name == "" {
		name = vm.Name
	}
	addresses := res.addresses
	nics := slices.Clone(vm.Guest.Net)
	for i := range nics {
		if i >= len(addresses) {
			addresses = append(slices.Clone(addresses), lease(nics[i].MacAddress))
		}
		nics[i].IpAddress = []string{addresses[i]}
		nics[i].Connected = true
		nics[i].IpConfig = &types.NetIpConfigInfo{IpAddress: []types.NetIpConfigInfoIpAddress{{
			IpAddress: addresses[i], PrefixLength: 24, State: string(types.NetIpConfigInfoIpAddressStatusPreferred),
		}}}
	}
	first := ""
	if len(addresses) > 0 {
		first = addresses[0]
	}
	tools := string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	return []types.PropertyChange{
		{Name: "guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsOk},
		{Name: "guest.toolsRunningStatus", Val: tools},
		{Name: "guest.toolsVersion", Val: "12389"},
		{Name: "guest.guestState", Val: string(types.VirtualMachineGuestStateRunning)},
		{Name: "guest.hostName", Val: name},
		{Name: "guest.ipAddress", Val: first},
		{Name: "guest.net", Val: nics},
		{Name: "summary.guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsOk},
		{Name: "summary.guest.toolsRunningStatus", Val: tools},
		{Name: "summary.guest.hostName", Val: name},
		{Name: "summary.guest.ipAddress", Val: first},
	}
}

// guestGone is what a machine shows without a running guest.
func guestGone() []types.PropertyChange {
	tools := string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	return []types.PropertyChange{
		{Name: "guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsNotRunning},
		{Name: "guest.toolsRunningStatus", Val: tools},
		{Name: "guest.guestState", Val: string(types.VirtualMachineGuestStateNotRunning)},
		{Name: "guest.hostName", Val: ""},
		{Name: "guest.ipAddress", Val: ""},
		{Name: "summary.guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsNotRunning},
		{Name: "summary.guest.toolsRunningStatus", Val: tools},
		{Name: "summary.guest.hostName", Val: ""},
		{Name: "summary.guest.ipAddress", Val: ""},
	}
}

// lease is the address that the lab's network gives a card without a fixed
// one: the same at each boot.
func lease(mac string) string {
	h := sha256.Sum256([]byte(mac))
	return fmt.Sprintf("192.168.%d.%d", 100+h[0]%100, 2+h[1]%250)
}

// withMachine runs f under the machine's lock, if there is such a machine.
func (v *VCenter) withMachine(ref types.ManagedObjectReference, f func(*simulator.Context, *simulator.VirtualMachine)) bool {
	vm, ok := v.registry.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return false
	}
	ctx := v.context()
	ctx.WithLock(vm, func() { f(ctx, vm) })
	return true
}

func (v *VCenter) residentRefs() []types.ManagedObjectReference {
	v.mu.Lock()
	defer v.mu.Unlock()
	refs := make([]types.ManagedObjectReference, 0, len(v.residents))
	for ref := range v.residents {
		refs = append(refs, ref)
	}
	return refs
}
