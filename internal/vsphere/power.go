package vsphere

import (
	"context"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
)

// PowerOp is a change of power state.
type PowerOp string

const (
	PowerOn       PowerOp = "power_on"       // also resumes a suspended VM
	PowerOff      PowerOp = "power_off"      // pulls the plug
	Suspend       PowerOp = "suspend"        // keeps the memory on disk
	Reset         PowerOp = "reset"          // presses the button
	ShutdownGuest PowerOp = "shutdown_guest" // asks the guest; needs running tools
)

// wanted is the power state that makes an operation unnecessary.
func (op PowerOp) wanted() (Power, bool) {
	switch op {
	case PowerOn:
		return PoweredOn, true
	case PowerOff, ShutdownGuest:
		return PoweredOff, true
	case Suspend:
		return Suspended, true
	default:
		return "", false
	}
}

// StartPower submits a change of power state. The TaskRef is empty when the VM
// is in that state already, and for ShutdownGuest, which has no task: wait for
// it by WaitPower.
func (c *Client) StartPower(ctx context.Context, ref string, op PowerOp) (TaskRef, error) {
	var task TaskRef
	err := c.do(ctx, string(op)+" "+ref, func(ctx context.Context, conn *connection) error {
		vm := object.NewVirtualMachine(conn.vim, vmRef(ref))
		if want, ok := op.wanted(); ok {
			power, err := readPower(ctx, conn, ref)
			if err != nil || power == want {
				return err
			}
		}
		submitted, err := submitPower(ctx, vm, op)
		if err != nil {
			if alreadyThere(err) {
				return nil
			}
			return err
		}
		if submitted != nil {
			task = TaskRef(submitted.Reference().Value)
		}
		return nil
	})
	return task, err
}

func submitPower(ctx context.Context, vm *object.VirtualMachine, op PowerOp) (*object.Task, error) {
	switch op {
	case PowerOn:
		return vm.PowerOn(ctx)
	case PowerOff:
		return vm.PowerOff(ctx)
	case Suspend:
		return vm.Suspend(ctx)
	case Reset:
		return vm.Reset(ctx)
	case ShutdownGuest:
		return nil, vm.ShutdownGuest(ctx)
	default:
		return nil, refuse(CodeInvalidSpec, "unknown power operation %q", string(op))
	}
}

func readPower(ctx context.Context, conn *connection, ref string) (Power, error) {
	var loaded mo.VirtualMachine
	err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, vmRef(ref), []string{"runtime.powerState"}, &loaded)
	return powerOf(loaded.Runtime.PowerState), err
}

// StartDestroy submits the removal of one VM and its files. It must be powered
// off. Templates are refused. CodeNotFound: it is gone already.
func (c *Client) StartDestroy(ctx context.Context, ref string) (TaskRef, error) {
	var task TaskRef
	err := c.do(ctx, "destroy "+ref, func(ctx context.Context, conn *connection) error {
		var loaded mo.VirtualMachine
		err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, vmRef(ref), []string{"config.template"}, &loaded)
		if err != nil {
			return err
		}
		if loaded.Config != nil && loaded.Config.Template {
			return refuse(CodeInvalidState, "%s is a template", ref)
		}
		submitted, err := object.NewVirtualMachine(conn.vim, vmRef(ref)).Destroy(ctx)
		if err != nil {
			return err
		}
		task = TaskRef(submitted.Reference().Value)
		return nil
	})
	return task, err
}
