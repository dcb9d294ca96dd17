package vsphere

import (
	"context"
	"testing"

	"github.com/vmware/govmomi/object"
)

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
