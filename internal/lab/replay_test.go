package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// machinesOf reads /lab/machines, as crash tests do.
func machinesOf(ctx context.Context, i Info) ([]Machine, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(i.URL, "/sdk")+"/lab/machines", nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(i.Username, i.Password)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: insecure()}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var list []Machine
	return list, json.NewDecoder(res.Body).Decode(&list)
}

func inventoryOf(t *testing.T, i Info) []Machine {
	t.Helper()
	list, err := machinesOf(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestKillLosesNothingThatWasAnswered(t *testing.T) {
	t.Parallel()
	o := VCenterOptions{Dir: t.TempDir(), CloneDelay: 100 * time.Millisecond}
	p := startProcess(t, o)
	s := login(t, p.info)
	org, err := s.folder.CreateFolder(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.folder.CreateFolder(t.Context(), "empty"); err != nil {
		t.Fatal(err)
	}
	s.folder = org
	done := map[string]string{} // instance UUID → name
	var mu sync.Mutex
	var wg sync.WaitGroup
	slugs := []string{"ubuntu-24-04", "debian-12", "rocky-9", "alpine-3-22"}
	for i := range 12 {
		template := s.template(CloudPublic, slugs[i%len(slugs)])
		wg.Go(func() {
			id, name := uuid.NewString(), fmt.Sprintf("m-%d", i)
			spec := s.cloneSpec(id, fmt.Sprintf("10.1.0.%d", 10+i))
			task, err := template.Clone(t.Context(), s.folder, name, spec)
			if err != nil {
				t.Errorf("clone: %v", err)
				return
			}
			info, err := task.WaitForResult(t.Context())
			if err != nil {
				t.Errorf("clone: %v", err)
				return
			}
			vm := object.NewVirtualMachine(s.Client.Client, info.Result.(types.ManagedObjectReference))
			if i%3 == 0 { // half-made: stays off
				mu.Lock()
				defer mu.Unlock()
				done[id] = name + " poweredOff"
				return
			}
			if on, err := vm.PowerOn(t.Context()); err != nil || on.Wait(t.Context()) != nil {
				t.Errorf("power on %s: %v", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done[id] = name + " poweredOn"
		})
	}
	wg.Wait()
	before := inventoryOf(t, p.info)
	p.kill()

	again := startProcess(t, o)
	if again.info.URL != p.info.URL || again.info.Password != p.info.Password || again.info.InstanceUUID != p.info.InstanceUUID {
		t.Errorf("after the crash %+v, before %+v", again.info, p.info)
	}
	after := inventoryOf(t, again.info)
	a, _ := json.Marshal(before)
	b, _ := json.Marshal(after)
	if string(a) != string(b) {
		t.Errorf("inventory changed by a crash:\n%s\n%s", a, b)
	}
	macs := map[string]bool{}
	for _, m := range after {
		if done[m.InstanceUUID] != m.Name+" "+m.Power {
			t.Errorf("%s is %s, answered was %q", m.Name, m.Power, done[m.InstanceUUID])
		}
		if m.Folder != "acme" || m.Template == "" || macs[m.NICs[0].MAC] {
			t.Errorf("%s: folder %q, template %q, address %s", m.Name, m.Folder, m.Template, m.NICs[0].MAC)
		}
		macs[m.NICs[0].MAC] = true
	}
	if len(after) != len(done) {
		t.Errorf("%d machines after the crash, %d were answered", len(after), len(done))
	}
	s = login(t, again.info)
	s.find(object.NewSearchIndex(s.Client.Client), PathFolder+"/empty")
	for id, is := range done {
		if m := s.read(s.byUUID(id)); strings.HasSuffix(is, "poweredOn") && m.Guest.IpAddress == "" {
			t.Errorf("%s is on and has no address", m.Name)
		}
	}
}

func TestTornLastLineIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines := `{"op":"machine","key":"a","machine":{"key":"a","name":"one"}}
{"op":"machine","key":"b","machine":{"key":"b","name":"two"}}
{"op":"gone","key":"a"}
{"op":"machine","key":"c","mach`
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, err := readJournal(filepath.Join(dir, journalName))
	if err != nil || len(inv.machines) != 1 || inv.machines[0].Name != "two" {
		t.Errorf("read %+v, %v", inv, err)
	}
}

func TestSeedIsUsedOnce(t *testing.T) {
	t.Parallel()
	seeds := make([]SeedMachine, 200)
	for i := range seeds {
		seeds[i] = SeedMachine{
			InstanceUUID: uuid.NewString(), Name: fmt.Sprintf("seed-%d", i), Folder: []string{"acme", "globex", "initech"}[i%3],
			Template: Templates()[i%8].Slug, VCPUs: 2, MemoryMiB: 2048, DiskGiB: 20, IP: fmt.Sprintf("10.9.%d.%d", i/200, 10+i%200),
		}
		if i%5 == 0 {
			seeds[i].Power = "poweredOff"
		}
	}
	b, err := json.Marshal(seeds)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	seed := filepath.Join(dir, "seed.json")
	if err := os.WriteFile(seed, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := VCenterOptions{Dir: filepath.Join(dir, "vc"), Seed: seed}
	began := time.Now()
	v, err := NewVCenter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("200 seeded machines in %s", time.Since(began))
	s := login(t, v.Info())
	if m := s.read(s.byUUID(seeds[1].InstanceUUID)); m.Guest.IpAddress != seeds[1].IP || m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		t.Errorf("seeded machine is %s at %q", m.Runtime.PowerState, m.Guest.IpAddress)
	}
	s.must(s.byUUID(seeds[0].InstanceUUID).Destroy(t.Context()))
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = newTestVCenter(t, o)
	if n := len(v.Machines()); n != len(seeds)-1 {
		t.Errorf("%d machines after the second start", n)
	}
}

func TestSlowCloneCanBeCancelled(t *testing.T) {
	t.Parallel()
	v := newTestVCenter(t, VCenterOptions{CloneDelay: time.Minute})
	s := login(t, v.Info())
	task, err := s.template(CloudPublic, "debian-12").Clone(t.Context(), s.folder, "slow", s.cloneSpec("", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Cancel(t.Context()); err != nil {
		t.Errorf("cancel: %v", err)
	}
	err = task.Wait(t.Context())
	if !fault.Is(err, &types.RequestCanceled{}) {
		t.Errorf("cancelled clone ends with %v", err)
	}
	if n := len(v.Machines()); n != 0 {
		t.Errorf("%d machines are left over", n)
	}
	v.SetCloneDelay(0)
	s.clone(s.template(CloudPublic, "debian-12"), "slow", s.cloneSpec("", ""))
}

func TestDroppedSessionIsNotAuthenticated(t *testing.T) {
	t.Parallel()
	v := newTestVCenter(t, VCenterOptions{})
	s := login(t, v.Info())
	if _, err := methods.GetCurrentTime(t.Context(), s.Client.Client); err != nil {
		t.Fatal(err)
	}
	v.DropSessions()
	_, err := methods.GetCurrentTime(t.Context(), s.Client.Client)
	if !fault.Is(err, &types.NotAuthenticated{}) {
		t.Errorf("call after the drop: %v", err)
	}
}

func TestChosenCallsAndTasksFail(t *testing.T) {
	t.Parallel()
	v, s, vm := running(t, VCenterOptions{})
	v.Fail(Fault{Method: "PowerOffVM_Task", Nth: 1, Type: "NotAuthenticated"})
	v.Fail(Fault{Method: "PowerOffVM_Task", Task: true, Type: "TaskInProgress"})
	v.Fail(Fault{Method: "CloneVM_Task", Task: true, Name: "bad-*", Type: "InsufficientResourcesFault"})
	if _, err := vm.PowerOff(t.Context()); !fault.Is(err, &types.NotAuthenticated{}) {
		t.Errorf("first call: %v", err)
	}
	if err := s.wait(vm.PowerOff(t.Context())); !fault.Is(err, &types.TaskInProgress{}) {
		t.Errorf("second call's task: %v", err)
	}
	s.must(vm.PowerOff(t.Context()))
	template := s.template(CloudPublic, "debian-12")
	if err := s.wait(template.Clone(t.Context(), s.folder, "bad-1", s.cloneSpec("", ""))); !fault.Is(err, &types.InsufficientResourcesFault{}) {
		t.Errorf("chosen clone: %v", err)
	}
	s.clone(template, "good-1", s.cloneSpec("", ""))
}

func TestHangEnds(t *testing.T) {
	t.Parallel()
	v := newTestVCenter(t, VCenterOptions{})
	s := login(t, v.Info())
	const pause = 300 * time.Millisecond
	v.Hang(pause)
	began := time.Now()
	if _, err := methods.GetCurrentTime(t.Context(), s.Client.Client); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < pause/2 {
		t.Errorf("answered after %s", took)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if _, err := NewVCenter(VCenterOptions{Dir: t.TempDir(), Addr: "0.0.0.0:0"}); err == nil {
		t.Error("serves on every address")
	}
	dir := t.TempDir()
	v, s, vm := running(t, VCenterOptions{Dir: dir})
	if _, err := NewVCenter(VCenterOptions{Dir: dir}); err == nil {
		t.Error("two vCenters share a folder")
	}
	for _, key := range []string{"RUN.container", "SET.guest.ipAddress"} {
		err := s.wait(vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{
			ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: key, Value: "x"}},
		}))
		if !fault.Is(err, &types.InvalidArgument{}) {
			t.Errorf("%s: %v", key, err)
		}
	}
	template := s.template(CloudPublic, "debian-12")
	if err := s.wait(template.Clone(t.Context(), s.folder, "../../x", s.cloneSpec("", ""))); !fault.Is(err, &types.InvalidName{}) {
		t.Errorf("name that leaves the folder: %v", err)
	}
	if err := s.wait(template.Clone(t.Context(), s.folder, "screen-1", s.cloneSpec("", ""))); !fault.Is(err, &types.DuplicateName{}) {
		t.Errorf("name that is taken: %v", err)
	}
	wrong := v.Info()
	wrong.Password = "guess"
	for path, auth := range map[string]bool{"/lab/machines": true, "/folder/x?dcPath=dc1&dsName=datastore1": false} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(v.URL(), "/sdk")+path, nil)
		if auth {
			req.SetBasicAuth(wrong.Username, wrong.Password)
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: insecure()}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestTwoMachinesWithOneUUIDStayVisible(t *testing.T) {
	t.Parallel()
	v := newTestVCenter(t, VCenterOptions{})
	s := login(t, v.Info())
	id := uuid.NewString()
	s.clone(s.template(CloudPublic, "debian-12"), "one", s.cloneSpec(id, ""))
	s.clone(s.template(CloudPublic, "rocky-9"), "two", s.cloneSpec(id, ""))
	list := v.Machines()
	if len(list) != 2 || list[0].InstanceUUID != id || list[1].InstanceUUID != id {
		t.Errorf("machines: %+v", list)
	}
}

func TestDiskGrowsWithoutTheTemplates(t *testing.T) {
	t.Parallel()
	v := newTestVCenter(t, VCenterOptions{})
	s := login(t, v.Info())
	template := s.template(CloudPublic, "debian-12")
	devices, err := template.Device(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	disk := devices.SelectByType((*types.VirtualDisk)(nil))[0].(*types.VirtualDisk)
	disk.CapacityInKB, disk.CapacityInBytes = 30*kibPerGiB, 0
	spec := s.cloneSpec("", "")
	spec.Config.DeviceChange = []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: disk},
	}
	vm := s.clone(template, "grown", spec)

	grow := func(gib int64) {
		devices, err := vm.Device(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := devices.SelectByType((*types.VirtualDisk)(nil))[0].(*types.VirtualDisk)
		d.CapacityInKB, d.CapacityInBytes = gib*kibPerGiB, gib*kibPerGiB*1024
		s.must(vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{
			Annotation: "grown",
			DeviceChange: []types.BaseVirtualDeviceConfigSpec{
				&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: d},
			},
		}))
	}
	if got := v.Machines()[0].diskGiB(); got != 30 {
		t.Errorf("clone has %d GiB", got)
	}
	grow(40)
	if m := v.Machines()[0]; m.diskGiB() != 40 || m.Annotation != "grown" {
		t.Errorf("reconfigured machine has %d GiB, notes %q", m.diskGiB(), m.Annotation)
	}
	after, err := template.Device(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := after.SelectByType((*types.VirtualDisk)(nil))[0].(*types.VirtualDisk)
	if old.CapacityInKB != 8*kibPerGiB {
		t.Errorf("the template's disk has %d KiB now", old.CapacityInKB)
	}
}
