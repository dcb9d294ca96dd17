package lab

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// replay makes again what the journal remembers, before anybody can connect:
// half-made machines too, exactly as they were.
func (v *VCenter) replay(inv inventory) error {
	for _, p := range inv.folders {
		if _, err := v.folderAt(p); err != nil {
			return err
		}
	}
	for _, p := range inv.pools {
		if _, err := v.poolAt(p); err != nil {
			return err
		}
	}
	// One after the other: several at once gain little (it is a millisecond
	// each) and race inside the simulator.
	for _, m := range inv.machines {
		if err := v.restore(m); err != nil {
			return err
		}
	}
	return nil
}

func (v *VCenter) restore(m Machine) error {
	ref, fault := v.build(m, false)
	if fault != nil {
		return fmt.Errorf("lab: replay %s: %T", m.Name, fault)
	}
	if m.Power == "" || m.Power == string(types.VirtualMachinePowerStatePoweredOff) {
		return nil
	}
	v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		state := types.VirtualMachinePowerState(m.Power)
		changes := []types.PropertyChange{
			{Name: "runtime.powerState", Val: state},
			{Name: "summary.runtime.powerState", Val: state},
		}
		if m.BootedAt != nil {
			changes = append(changes, types.PropertyChange{Name: "summary.runtime.bootTime", Val: *m.BootedAt})
		}
		v.mu.Lock()
		res := v.residents[ref]
		v.mu.Unlock()
		if res != nil && state == types.VirtualMachinePowerStatePoweredOn {
			changes = append(changes, v.guestRunning(vm, res)...)
			v.mu.Lock()
			res.boot.up = true
			if m.BootedAt != nil {
				res.boot.at = *m.BootedAt
			}
			v.mu.Unlock()
		}
		ctx.Update(vm, changes)
	})
	return nil
}
