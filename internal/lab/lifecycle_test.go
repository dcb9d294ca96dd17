package lab

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"
)

func newTestVCenter(t *testing.T, o VCenterOptions) *VCenter {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	v, err := NewVCenter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return v
}

func TestMachineLivesThroughItsWholeLife(t *testing.T) {
	t.Parallel()
	p := startProcess(t, VCenterOptions{Dir: t.TempDir(), GuestBootDelay: 50 * time.Millisecond})
	s := login(t, p.info)
	if s.ServiceContent.About.InstanceUuid != p.info.InstanceUUID {
		t.Errorf("instance UUID of the vCenter is %s, announced %s", s.ServiceContent.About.InstanceUuid, p.info.InstanceUUID)
	}
	template := s.template(CloudPublic, "ubuntu-24-04")
	id := uuid.NewString()
	vm := s.clone(template, "web-1", s.cloneSpec(id, "10.20.0.5"))

	m := s.read(vm)
	if m.Config.InstanceUuid != id || m.Config.Hardware.NumCPU != 2 || m.Config.Hardware.MemoryMB != 2048 {
		t.Errorf("clone has uuid %s, %d CPUs, %d MB", m.Config.InstanceUuid, m.Config.Hardware.NumCPU, m.Config.Hardware.MemoryMB)
	}
	if m.Guest.IpAddress != "" {
		t.Errorf("a machine that is off shows the address %s", m.Guest.IpAddress)
	}
	s.must(vm.PowerOn(t.Context()))
	s.until(vm, "guest.ipAddress", func(v any) bool { return v == "10.20.0.5" })
	if m := s.read(vm); m.Guest.HostName != "web" || m.Guest.ToolsRunningStatus != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning) {
		t.Errorf("running guest is %q with tools %q", m.Guest.HostName, m.Guest.ToolsRunningStatus)
	}
	if err := s.wait(vm.Reset(t.Context())); err != nil {
		t.Errorf("reset: %v", err)
	}
	s.until(vm, "guest.ipAddress", func(v any) bool { return v == "10.20.0.5" })
	s.must(vm.Suspend(t.Context()))
	s.must(vm.PowerOn(t.Context()))
	s.until(vm, "guest.ipAddress", func(v any) bool { return v == "10.20.0.5" })
	if err := vm.ShutdownGuest(t.Context()); err != nil {
		t.Errorf("shut down guest: %v", err)
	}
	s.until(vm, "runtime.powerState", func(v any) bool { return v == types.VirtualMachinePowerStatePoweredOff })
	if m := s.read(vm); m.Guest.IpAddress != "" {
		t.Errorf("a machine that went off shows the address %s", m.Guest.IpAddress)
	}
	s.must(vm.Destroy(t.Context()))
}
