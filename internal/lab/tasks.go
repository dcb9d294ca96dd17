package lab

import (
	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// await waits for a task of the simulator without its 10 ms polling and
// returns its result or fault.
func (v *VCenter) await(ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	task, ok := v.registry.Get(ref).(*simulator.Task)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	}
	v.mu.Lock()
	ended, shared := v.waiting[ref]
	if !shared {
		ended = make(chan struct{})
		v.waiting[ref] = ended
	}
	v.mu.Unlock()

	var info types.TaskInfo
	read := func() bool {
		ctx := v.context()
		ctx.WithLock(task, func() { info = task.Info })
		return info.State == types.TaskInfoStateSuccess || info.State == types.TaskInfoStateError
	}
	// The recorder may have heard of the end before anybody waited for it.
	if !read() {
		select {
		case <-ended:
		case <-v.closed:
			return nil, &types.RequestCanceled{}
		}
		read()
	}
	v.mu.Lock()
	delete(v.waiting, ref)
	v.mu.Unlock()
	if info.Error != nil {
		return nil, info.Error.Fault
	}
	return info.Result, nil
}

// finished wakes who awaits the task. It is called while the task's lock is
// held, so the state is published before anybody reads it.
func (v *VCenter) finished(ref types.ManagedObjectReference) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ended, ok := v.waiting[ref]; ok {
		delete(v.waiting, ref)
		close(ended)
	}
}

// startTask runs a task of the lab that locks no object by itself, shown as
// one on entity.
func (v *VCenter) startTask(
	ctx *simulator.Context, entity types.ManagedObjectReference, entityName, name string,
	run func(*simulator.Task) (types.AnyType, types.BaseMethodFault),
) types.ManagedObjectReference {
	// The simulator locks the entity for as long as the task runs; a slow
	// clone would block every reader of its template. So the task belongs to
	// a reference of its own and is relabelled once it runs.
	own := types.ManagedObjectReference{Type: "LabTask", Value: uuid.NewString()}
	task := simulator.CreateTask(own, name, func(t *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		defer v.registry.Remove(v.context(), own) // or its lock would stay for good
		return run(t)
	})
	task.Info.DescriptionId = "VirtualMachine." + name
	task.Info.EntityName = entityName
	ref := task.Run(ctx)
	lock := v.context()
	v.registry.AtomicUpdate(lock, task, []types.PropertyChange{{Name: "info.entity", Val: entity}})
	return ref
}

func (v *VCenter) updateTask(task *simulator.Task, changes ...types.PropertyChange) {
	v.registry.AtomicUpdate(v.context(), task, changes)
}
