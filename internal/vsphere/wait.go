package vsphere

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/types"
)

// waitVM waits, without polling, until enough has been seen of a VM's
// properties. CodeNotFound if the VM goes away meanwhile.
func waitVM(ctx context.Context, conn *connection, ref string, properties []string, enough func(name string, value any) bool) error {
	filter := new(property.WaitFilter).Add(vmRef(ref), kindVM, properties)
	gone, met := false, false
	err := property.WaitForUpdates(ctx, property.DefaultCollector(conn.vim), filter, func(updates []types.ObjectUpdate) bool {
		for _, update := range updates {
			if update.Kind == types.ObjectUpdateKindLeave {
				gone = true
				return true
			}
			for _, change := range update.ChangeSet {
				met = enough(change.Name, change.Val) || met
			}
		}
		return met
	})
	switch {
	case gone:
		return refuse(CodeNotFound, "VM %s was removed meanwhile", ref)
	case err != nil:
		return err
	case !met && ctx.Err() != nil:
		// govmomi reports a cancelled wait as the success of the cancelling.
		return ctx.Err()
	}
	return nil
}

// WaitPower waits until the VM is in the wanted power state: for a guest that
// shuts itself down there is no task to await.
func (c *Client) WaitPower(ctx context.Context, ref string, want Power) error {
	return c.do(ctx, "wait until "+ref+" is "+string(want), func(ctx context.Context, conn *connection) error {
		return waitVM(ctx, conn, ref, []string{"runtime.powerState"}, func(_ string, value any) bool {
			state, ok := value.(types.VirtualMachinePowerState)
			return ok && powerOf(state) == want
		})
	})
}

// WaitGuest waits until the guest's tools run and report an address.
func (c *Client) WaitGuest(ctx context.Context, ref string) (VM, error) {
	var vm VM
	err := c.do(ctx, "wait for the guest of "+ref, func(ctx context.Context, conn *connection) error {
		tools, address := false, false
		err := waitVM(ctx, conn, ref, []string{"guest.toolsRunningStatus", "guest.ipAddress"}, func(name string, value any) bool {
			text, _ := value.(string)
			switch name {
			case "guest.toolsRunningStatus":
				tools = toolsRunning(text)
			case "guest.ipAddress":
				address = isGuestAddress(text)
			}
			return tools && address
		})
		if err != nil {
			return err
		}
		vm, err = c.readVM(ctx, conn, vmRef(ref))
		return err
	})
	return vm, err
}

// isGuestAddress rules out what a guest shows before it has its real address.
func isGuestAddress(address string) bool {
	return address != "" && !strings.HasPrefix(address, "169.254.") && !strings.HasPrefix(strings.ToLower(address), "fe80:")
}
