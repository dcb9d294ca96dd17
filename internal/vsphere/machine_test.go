package vsphere

import (
	"context"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
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

func TestUnsafeCloneSpecIsRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	c := New(Config{URL: "https://127.0.0.1:1"})
	for name, change := range map[string]func(*CloneSpec){
		"climbing name":      func(s *CloneSpec) { s.Name = "../../etc" },
		"upper case":         func(s *CloneSpec) { s.Name = "Web" },
		"long name":          func(s *CloneSpec) { s.Name = strings.Repeat("a", 64) },
		"climbing folder":    func(s *CloneSpec) { s.OrgFolder = "a/../b" },
		"no UUID":            func(s *CloneSpec) { s.InstanceUUID = "" },
		"braced UUID":        func(s *CloneSpec) { s.InstanceUUID = "{" + machineUUID + "}" },
		"template by name":   func(s *CloneSpec) { s.TemplateUUID = "debian" },
		"container":          func(s *CloneSpec) { s.ExtraConfig = map[string]string{"RUN.container": "nginx"} },
		"isolation":          func(s *CloneSpec) { s.ExtraConfig = map[string]string{"isolation.tools.copy.disable": "false"} },
		"disguised key":      func(s *CloneSpec) { s.ExtraConfig = map[string]string{"guestinfo.millwright.a\nb": "x"} },
		"big value":          func(s *CloneSpec) { s.ExtraConfig["guestinfo.userdata"] = strings.Repeat("x", 70_000) },
		"host name":          func(s *CloneSpec) { s.HostName = "web 1; rm" },
		"host name's end":    func(s *CloneSpec) { s.HostName = "web-" },
		"domain":             func(s *CloneSpec) { s.Domain = "a b" },
		"address":            func(s *CloneSpec) { s.Address = "10.0.0.256" },
		"IPv6 address":       func(s *CloneSpec) { s.Address = "fd00::1" },
		"prefix":             func(s *CloneSpec) { s.PrefixLength = 0 },
		"gateway":            func(s *CloneSpec) { s.Gateway = "gw" },
		"name server":        func(s *CloneSpec) { s.DNS = []string{"dns.example"} },
		"address, no name":   func(s *CloneSpec) { s.HostName = "" },
		"negative CPUs":      func(s *CloneSpec) { s.VCPUs = -1 },
		"too much memory":    func(s *CloneSpec) { s.MemoryMiB = 1 << 40 },
		"enormous CPU count": func(s *CloneSpec) { s.VCPUs = 1 << 33 },
	} {
		spec := cloneSpec(machineUUID)
		change(&spec)
		if _, err := c.StartClone(t.Context(), spec); CodeOf(err) != CodeInvalidSpec {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCustomisationFitsTheTemplate(t *testing.T) {
	t.Parallel()
	spec := cloneSpec(machineUUID)
	spec.HostName = "a-name-longer-than-netbios"
	made, err := spec.customisation(Template{GuestID: "windows2022srvNext_64Guest", NetworkCards: 2})
	if err != nil {
		t.Fatal(err)
	}
	sysprep, ok := made.Identity.(*types.CustomizationSysprep)
	if !ok {
		t.Fatalf("identity is %T", made.Identity)
	}
	if name, _ := sysprep.UserData.ComputerName.(*types.CustomizationFixedName); name == nil || name.Name != "a-name-longer-t" {
		t.Errorf("computer name %+v", sysprep.UserData.ComputerName)
	}
	if len(made.NicSettingMap) != 2 {
		t.Fatalf("%d adapters for 2 cards", len(made.NicSettingMap))
	}
	if mask := made.NicSettingMap[0].Adapter.SubnetMask; mask != "255.255.255.0" {
		t.Errorf("netmask %s", mask)
	}
	if _, ok := made.NicSettingMap[1].Adapter.Ip.(*types.CustomizationDhcpIpGenerator); !ok {
		t.Error("the second card must ask DHCP")
	}
	_, err = spec.customisation(Template{NetworkCards: 0})
	wantCode(t, err, CodeInvalidSpec)
}

func TestHostIsChosenWhereVCenterDoesNot(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	spec := cloneSpec(v.template())
	c := v.client(func(cfg *Config) { cfg.ClonesPerHost = 1 })
	connect(t, c)
	place, err := c.placement(t.Context(), c.current)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	manual := *place
	manual.drs = false
	c.inventory.placement = &manual
	c.mu.Unlock()

	var tasks []TaskRef
	for i, name := range []string{"a", "b", "c"} {
		spec.Name = name
		spec.InstanceUUID = machineUUID[:len(machineUUID)-1] + string(rune('0'+i))
		task, err := c.StartClone(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
		// The simulator can't take two clones at once.
		if err := object.NewTask(c.current.vim, task.reference()).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	hosts := map[string]bool{}
	for i := range tasks {
		hosts[look(t, c, machineUUID[:len(machineUUID)-1]+string(rune('0'+i))).Host] = true
	}
	if len(hosts) != 3 {
		t.Errorf("3 clones went to %v", hosts)
	}
	spec.Name, spec.InstanceUUID = "d", machineUUID
	_, err = c.StartClone(t.Context(), spec)
	wantCode(t, err, CodeBusy)
	if _, err := c.Await(t.Context(), tasks[0], nil); err != nil {
		t.Fatal(err)
	}
	task, err := c.StartClone(t.Context(), spec)
	await(t, c, task, err)
}

func TestCloneSlotsAreNoMoreThanTheHostsTake(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client(func(cfg *Config) { cfg.ClonesPerHost, cfg.ClonesPerCloud = 1, 10 })
	if _, err := c.Capacity(t.Context()); err != nil { // looks the hosts up
		t.Fatal(err)
	}
	var releases []func()
	for range 3 {
		release, err := c.AcquireCloneSlot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.AcquireCloneSlot(ctx)
	wantCode(t, err, CodeBusy)
	releases[0]()
	releases[0]() // a second release must not make a second slot
	if _, err := c.AcquireCloneSlot(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.AcquireCloneSlot(ctx)
	wantCode(t, err, CodeBusy)
}

func TestCapacityAddsUpTheCluster(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	got, err := v.client().Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Hosts != 3 || got.HostsUsable != 3 || got.CPUMHzTotal <= 0 || got.MemoryMiBTotal <= 0 || got.StorageGiBTotal <= 0 {
		t.Errorf("%+v", got)
	}
	if got.CPUMHzFree > got.CPUMHzTotal || got.MemoryMiBFree > got.MemoryMiBTotal || got.StorageGiBFree > got.StorageGiBTotal {
		t.Errorf("more free than there is: %+v", got)
	}
}

func TestNamedInventoryIsUsed(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	named := v.client(func(cfg *Config) {
		cfg.Datacenter, cfg.Folder, cfg.ResourcePool, cfg.Datastore = "DC0", "/DC0/vm", "DC0_C0", "LocalDS_0"
	})
	if _, err := named.Capacity(t.Context()); err != nil {
		t.Error(err)
	}
	pool := v.client(func(cfg *Config) { cfg.ResourcePool = "/DC0/host/DC0_C0/Resources" })
	if _, err := pool.Capacity(t.Context()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"datacenter": func(cfg *Config) { cfg.Datacenter = "DC9" },
		"folder":     func(cfg *Config) { cfg.Folder = "none" },
		"pool":       func(cfg *Config) { cfg.ResourcePool = "none" },
		"datastore":  func(cfg *Config) { cfg.Datastore = "none" },
	} {
		if _, err := v.client(change).Capacity(t.Context()); CodeOf(err) != CodeNotFound {
			t.Errorf("unknown %s: %v", name, err)
		}
	}
}
