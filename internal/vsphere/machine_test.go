package vsphere

import (
	"context"
	"strings"
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const machineUUID = "0195f3a0-0000-7000-8000-00000000bbbb"

func cloneSpec(template string) CloneSpec {
	return CloneSpec{
		InstanceUUID: machineUUID,
		Name:         "web-1-0195f3a0",
		TemplateUUID: template,
		OrgFolder:    "acme",
		VCPUs:        4,
		MemoryMiB:    2048,
		Annotation:   "made by Millwright",
		HostName:     "web-1",
		Address:      "10.20.0.5",
		PrefixLength: 24,
		Gateway:      "10.20.0.1",
		DNS:          []string{"10.20.0.2"},
		ExtraConfig:  map[string]string{"guestinfo.millwright.machine": machineUUID},
	}
}

func await(t *testing.T, c *Client, task TaskRef, err error) TaskResult {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Await(t.Context(), task, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func look(t *testing.T, c *Client, uuid string) VM {
	t.Helper()
	vm, err := c.FindVM(t.Context(), uuid)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func TestMachineLivesFromCloneToDestroy(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	template := v.template()
	c := v.client()
	ctx := t.Context()

	_, err := c.FindVM(ctx, machineUUID)
	wantCode(t, err, CodeNotFound)

	task, err := c.StartClone(ctx, cloneSpec(template))
	ref := await(t, c, task, err).Ref
	vm := look(t, c, machineUUID)
	if vm.Ref != ref || vm.Power != PoweredOff || vm.VCPUs != 4 || vm.MemoryMiB != 2048 || vm.Name != "web-1-0195f3a0" {
		t.Errorf("the clone is %+v, its task made %q", vm, ref)
	}

	task, err = c.StartReconfigure(ctx, ref, DeviceSpec{DiskGiB: 40, Annotation: "acme"})
	await(t, c, task, err)
	if vm = look(t, c, machineUUID); vm.DiskGiB != 40 || vm.Annotation != "acme" {
		t.Errorf("after the change: %+v", vm)
	}
	task, err = c.StartReconfigure(ctx, ref, DeviceSpec{DiskGiB: 20, Annotation: "acme"})
	if task != "" || err != nil {
		t.Errorf("nothing was to be changed, got task %q, %v", task, err)
	}

	task, err = c.StartPower(ctx, ref, PowerOn)
	await(t, c, task, err)
	v.startTools(ref)
	vm, err = c.WaitGuest(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	if vm.Address != "10.20.0.5" || vm.HostName != "web-1" || vm.Host == "" || !vm.ToolsRunning {
		t.Errorf("the guest is %+v", vm)
	}
	if task, err = c.StartPower(ctx, ref, PowerOn); task != "" || err != nil {
		t.Errorf("powering on a running machine: task %q, %v", task, err)
	}
	task, err = c.StartDestroy(ctx, ref)
	if err == nil {
		_, err = c.Await(ctx, task, nil)
	}
	wantCode(t, err, CodeInvalidState) // still powered on

	if _, err = c.StartPower(ctx, ref, ShutdownGuest); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitPower(ctx, ref, PoweredOff); err != nil {
		t.Fatal(err)
	}
	task, err = c.StartDestroy(ctx, ref)
	await(t, c, task, err)
	_, err = c.FindVM(ctx, machineUUID)
	wantCode(t, err, CodeNotFound)
	_, err = c.StartDestroy(ctx, ref)
	wantCode(t, err, CodeNotFound)
}

func TestOrgsHaveTheirOwnFolderAndPool(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	spec := cloneSpec(v.template())
	c := v.client()
	task, err := c.StartClone(t.Context(), spec)
	await(t, c, task, err)

	// Another node, with nothing remembered, uses what is there.
	spec.InstanceUUID, spec.Name = "0195f3a0-0000-7000-8000-00000000cccc", "web-2-0195f3a0"
	other := v.client()
	task, err = other.StartClone(t.Context(), spec)
	await(t, other, task, err)
	if n := v.count("CreateFolder") + v.count("CreateResourcePool"); n != 2 {
		t.Errorf("folder and pool were made by %d calls, want one each", n)
	}

	bare := v.bare()
	for _, uuid := range []string{machineUUID, spec.InstanceUUID} {
		path := "/DC0/vm/acme/" + look(t, c, uuid).Name
		found, err := object.NewSearchIndex(bare.Client).FindByInventoryPath(t.Context(), path)
		if err != nil || found == nil {
			t.Errorf("not at %s: %v", path, err)
			continue
		}
		vm, ok := found.(*object.VirtualMachine)
		if !ok {
			t.Fatalf("%s is no VM", path)
		}
		pool, err := vm.ResourcePool(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if name, _ := pool.ObjectName(t.Context()); name != "acme" {
			t.Errorf("%s is in pool %q", path, name)
		}
	}
}

func TestFolderMadeByAnotherNodeMeanwhileIsUsed(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	connect(t, c)
	conn := c.current
	place, err := c.placement(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	made, err := object.NewFolder(conn.vim, place.folder).CreateFolder(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	_, err = object.NewFolder(conn.vim, place.folder).CreateFolder(t.Context(), "acme")
	got, err := existing(err, "Folder")
	if err != nil || got != made.Reference() {
		t.Errorf("got %v, %v; want %v", got, err, made.Reference())
	}
}

func TestTakenNameIsRefused(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	spec := cloneSpec(v.template())
	c := v.client()
	task, err := c.StartClone(t.Context(), spec)
	await(t, c, task, err)
	spec.InstanceUUID = "0195f3a0-0000-7000-8000-00000000cccc"
	task, err = c.StartClone(t.Context(), spec)
	if err == nil {
		_, err = c.Await(t.Context(), task, nil)
	}
	wantCode(t, err, CodeDuplicateName)
}

func TestCloneConnectsToTheNamedNetworkAndLeavesTheTemplateAlone(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	spec := cloneSpec(v.template())
	spec.Network = "DC0_DVPG0"
	c := v.client()
	task, err := c.StartClone(t.Context(), spec)
	ref := await(t, c, task, err).Ref
	task, err = c.StartReconfigure(t.Context(), ref, DeviceSpec{Network: "DC0_DVPG0"})
	if err != nil || task != "" {
		t.Errorf("already connected, got task %q, %v", task, err)
	}
	task, err = c.StartReconfigure(t.Context(), ref, DeviceSpec{Network: "VM Network", DiskGiB: 30})
	await(t, c, task, err)
	if vm := look(t, c, machineUUID); vm.DiskGiB != 30 {
		t.Errorf("disk of %d GiB", vm.DiskGiB)
	}
	task, err = c.StartReconfigure(t.Context(), ref, DeviceSpec{Network: "VM Network"})
	if err != nil || task != "" {
		t.Errorf("already moved, got task %q, %v", task, err)
	}
	template, err := c.TemplateVM(t.Context(), spec.TemplateUUID)
	if err != nil || template.DiskGiB >= 30 {
		t.Errorf("the template grew: %+v, %v", template, err)
	}
	_, err = c.StartReconfigure(t.Context(), ref, DeviceSpec{Network: "no such network"})
	wantCode(t, err, CodeNotFound)
}

// An org's network gets its port group with the first machine in it: on the
// distributed switch, or on every host where there is none.
func TestPortGroupIsMadeWithTheNetworksVLAN(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	spec := cloneSpec(v.template())
	spec.Network, spec.VLAN = "millwright-123-net", 123
	task, err := c.StartClone(t.Context(), spec)
	ref := await(t, c, task, err).Ref
	finder := find.NewFinder(v.bare().Client)
	network, err := finder.Network(t.Context(), "/DC0/network/millwright-123-net")
	if err != nil {
		t.Fatal(err)
	}
	var group mo.DistributedVirtualPortgroup
	if err := property.DefaultCollector(v.bare().Client).RetrieveOne(t.Context(), network.Reference(), []string{"config.defaultPortConfig"}, &group); err != nil {
		t.Fatal(err)
	}
	setting, _ := group.Config.DefaultPortConfig.(*types.VMwareDVSPortSetting)
	if tag, ok := setting.Vlan.(*types.VmwareDistributedVirtualSwitchVlanIdSpec); !ok || tag.VlanId != 123 {
		t.Errorf("the port group has %+v", setting.Vlan)
	}
	// It is found the next time, whoever made it.
	c.forgetInventory()
	task, err = c.StartReconfigure(t.Context(), ref, DeviceSpec{Network: "millwright-123-net", VLAN: 123})
	if err != nil || task != "" {
		t.Errorf("already connected, got task %q, %v", task, err)
	}
	place, conn := placementOf(t, c)
	for range 2 { // without a distributed switch
		if err := c.addToHosts(t.Context(), conn, place, "millwright-124-net", 124); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := finder.Network(t.Context(), "/DC0/network/millwright-124-net"); err != nil {
		t.Error(err)
	}
	// It goes from every host, once. (Of the simulator's port groups none knows
	// who is connected, so that one in use can't be tried here.)
	if removed, err := c.RemovePortGroup(t.Context(), "millwright-124-net"); err != nil || !removed {
		t.Errorf("removed %v, %v", removed, err)
	}
	if _, err := finder.Network(t.Context(), "/DC0/network/millwright-124-net"); err == nil {
		t.Error("the port group is still there")
	}
	if removed, err := c.RemovePortGroup(t.Context(), "millwright-124-net"); err != nil || removed {
		t.Errorf("once more: removed %v, %v", removed, err)
	}
}

// placementOf is the placement with a connection to use it by.
func placementOf(t *testing.T, c *Client) (*placement, *connection) {
	t.Helper()
	var place *placement
	var used *connection
	err := c.do(t.Context(), "test", func(ctx context.Context, conn *connection) error {
		var err error
		used = conn
		place, err = c.placement(ctx, conn)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return place, used
}

func TestRemovedPoolIsFoundOutAndMadeAgain(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	spec := cloneSpec(v.template())
	c := v.client()
	task, err := c.StartClone(t.Context(), spec)
	ref := await(t, c, task, err).Ref
	task, err = c.StartDestroy(t.Context(), ref)
	await(t, c, task, err)
	folder := object.NewFolder(v.bare().Client, c.inventory.orgs["acme"].folder)
	task2, err := folder.Destroy(t.Context())
	if err == nil {
		err = task2.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	v.answer("CloneVM_Task", v.objectGone(folder.Reference()))
	task, err = c.StartClone(t.Context(), spec)
	await(t, c, task, err)
}

func TestTemplatesAreFoundByUUIDNameAndPath(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	uuid := v.template()
	c := v.client()
	for _, key := range []string{uuid, strings.ToUpper(uuid), "DC0_C0_RP0_VM0", "/DC0/vm/DC0_C0_RP0_VM0"} {
		template, err := c.TemplateVM(t.Context(), key)
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if template.InstanceUUID != uuid || !template.IsTemplate || template.DiskGiB < 1 || template.NetworkCards != 1 {
			t.Errorf("%s: %+v", key, template)
		}
	}
	for _, key := range []string{"no-such-template", "/DC0/vm/none", machineUUID, ""} {
		_, err := c.TemplateVM(t.Context(), key)
		wantCode(t, err, CodeNotFound)
	}
}

func TestTemplateCantBeDestroyed(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	v.template()
	_, err := v.client().StartDestroy(t.Context(), v.anyVM().Self.Value)
	wantCode(t, err, CodeInvalidState)
}

func TestPowerOperationsThatAreDoneAlreadySucceed(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	ref := v.otherVM().Self.Value
	ctx := t.Context()
	for _, op := range []PowerOp{PowerOff, ShutdownGuest} {
		if task, err := c.StartPower(ctx, ref, op); task != "" || err != nil {
			t.Errorf("%s on a machine that is off: %q, %v", op, task, err)
		}
	}
	task, err := c.StartPower(ctx, ref, PowerOn)
	await(t, c, task, err)
	task, err = c.StartPower(ctx, ref, Reset)
	await(t, c, task, err)
	task, err = c.StartPower(ctx, ref, Suspend)
	await(t, c, task, err)
	if task, err = c.StartPower(ctx, ref, Suspend); task != "" || err != nil {
		t.Errorf("suspended twice: %q, %v", task, err)
	}
	task, err = c.StartPower(ctx, ref, PowerOff)
	await(t, c, task, err)
	// The same said by the task, when someone else was quicker.
	late, err := object.NewVirtualMachine(v.bare().Client, vmRef(ref)).PowerOff(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Await(ctx, TaskRef(late.Reference().Value), nil); err != nil {
		t.Errorf("already powered off: %v", err)
	}
	// Must be on to be suspended: that is another state, not "already there".
	late, err = object.NewVirtualMachine(v.bare().Client, vmRef(ref)).Suspend(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Await(ctx, TaskRef(late.Reference().Value), nil)
	wantCode(t, err, CodeInvalidState)
	_, err = c.StartPower(ctx, ref, "explode")
	wantCode(t, err, CodeInvalidSpec)
	_, err = c.StartPower(ctx, "vm-999999", PowerOn)
	wantCode(t, err, CodeNotFound)
}
