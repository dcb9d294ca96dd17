package lab

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// facts is what the simulator does not keep about a machine.
type facts struct {
	key       string
	template  string
	hostName  string
	addresses []string
	catalogue bool // a template of ours: made at each start, never journalled
}

// resident is a machine that exists now.
type resident struct {
	facts
	line  []byte // its last line in the journal
	power types.VirtualMachinePowerState
	boot  boot
	wire  *wire // listens while the guest runs
	// screen is made when somebody looks at it first.
	screen *screen
	// cd is the file in the drive, and doorLocked says that the guest uses it:
	// read by the guest's shell, which must wait for no lock of the machine's.
	cd         atomic.Pointer[string]
	doorLocked atomic.Bool
	question   chan string // non-nil: what the machine asks waits for an answer
}

// recorder hears of every change in the simulator, in the goroutine that
// makes it and before the task that makes it succeeds.
type recorder struct {
	vc *VCenter
}

// Reference makes the recorder an object that the registry takes as a handler.
func (*recorder) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "LabRecorder", Value: "recorder"}
}

// PutObject hears of new folders and pools. A machine is new only when its
// name is set, which UpdateObject hears.
func (r *recorder) PutObject(_ *simulator.Context, obj mo.Reference) {
	v := r.vc
	defer v.feeds.touched(obj.Reference(), false)
	switch o := obj.(type) {
	case *simulator.Folder:
		if p, ok := v.below(o, v.place.vmFolder); ok {
			v.pathMade(o.Self, p, "folder", "unfolder")
		}
	case *simulator.ResourcePool:
		if p, ok := v.below(o, v.place.pool); ok {
			v.pathMade(o.Self, p, "pool", "unpool")
		}
	}
}

// UpdateObject hears of machines and of tasks that end.
func (r *recorder) UpdateObject(ctx *simulator.Context, obj mo.Reference, changes []types.PropertyChange) {
	defer r.vc.feeds.touched(obj.Reference(), false)
	switch o := obj.(type) {
	case *mo.Task:
		if o.Info.State == types.TaskInfoStateSuccess || o.Info.State == types.TaskInfoStateError {
			r.vc.finished(o.Self)
		}
	case *mo.VirtualMachine:
		r.machine(ctx, o, changes)
	case *mo.Folder, *mo.ResourcePool:
		if slices.ContainsFunc(changes, func(c types.PropertyChange) bool { return c.Name == "name" }) {
			// Every path below it is another one now.
			go r.vc.noteAll()
		}
	}
}

func (r *recorder) machine(ctx *simulator.Context, vm *mo.VirtualMachine, changes []types.PropertyChange) {
	v := r.vc
	v.mu.Lock()
	res := v.residents[vm.Self]
	if res == nil {
		named := slices.ContainsFunc(changes, func(c types.PropertyChange) bool { return c.Name == "name" })
		if !named || vm.Runtime.Host == nil {
			v.mu.Unlock()
			return // still being made
		}
		res = &resident{power: types.VirtualMachinePowerStatePoweredOff}
		if f, ok := v.builds.Load(ctx); ok {
			res.facts = f.(facts)
		} else {
			res.key = uuid.NewString()
		}
		v.residents[vm.Self] = res
	}
	v.mu.Unlock()
	v.note(ctx, vm)
	if now := vm.Runtime.PowerState; now != res.power && now != "" {
		was := res.power
		res.power = now
		v.powerChanged(ctx, vm, res, was)
	}
	v.plug(vm)
}

// RemoveObject hears of what is destroyed.
func (r *recorder) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	v := r.vc
	defer v.feeds.touched(ref, true)
	v.mu.Lock()
	res := v.residents[ref]
	if res != nil {
		res.unplug()
	}
	delete(v.residents, ref)
	gone, isPath := v.paths[ref]
	delete(v.paths, ref)
	if res != nil {
		for mac, owner := range v.macs {
			if owner == res.key {
				delete(v.macs, mac)
			}
		}
	}
	v.mu.Unlock()
	switch {
	case res != nil:
		if !res.catalogue {
			v.journal.append(entry{Op: "gone", Key: res.key})
		}
		v.stopGuest(res)
	case isPath:
		v.journal.append(gone)
	}
}

// note writes a machine to the journal if anything worth remembering changed.
// The caller holds the machine's lock.
func (v *VCenter) note(_ *simulator.Context, vm *mo.VirtualMachine) {
	v.mu.Lock()
	res := v.residents[vm.Self]
	v.mu.Unlock()
	if res == nil || res.catalogue {
		return
	}
	m := v.describe(vm, res.facts)
	res.cd.Store(&m.CD)
	line, err := json.Marshal(m)
	if err != nil || bytes.Equal(line, res.line) {
		return
	}
	res.line = line
	if !v.quiet.Load() {
		v.journal.append(entry{Op: "machine", Key: res.key, Machine: &m})
	}
}

func (v *VCenter) noteAll() {
	for _, ref := range v.residentRefs() {
		v.withMachine(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) { v.note(ctx, &vm.VirtualMachine) })
	}
}

// below returns the path of a folder or pool under root, if it is there.
func (v *VCenter) below(e mo.Entity, root types.ManagedObjectReference) (string, bool) {
	for top := e; top.Reference() != root; {
		parent := top.Entity().Parent
		if parent == nil {
			return "", false
		}
		up, ok := v.registry.Get(*parent).(mo.Entity)
		if !ok {
			return "", false
		}
		top = up
	}
	p := v.pathOf(e.Reference(), root)
	return p, p != "" && p != templateFolder
}

func (v *VCenter) pathMade(ref types.ManagedObjectReference, p, made, gone string) {
	v.mu.Lock()
	v.paths[ref] = entry{Op: gone, Path: p}
	v.mu.Unlock()
	if !v.quiet.Load() {
		v.journal.append(entry{Op: made, Path: p})
	}
}
