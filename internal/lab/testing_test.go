package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// TestMain makes this test binary its own lab-vcenter, with the flags that the
// real command has.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "lab-vcenter" {
		var o VCenterOptions
		parser, err := kong.New(&o)
		if err == nil {
			_, err = parser.Parse(os.Args[2:])
		}
		if err == nil {
			err = RunVCenter(context.Background(), o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// process is a vCenter in a process of its own that can be killed.
type process struct {
	cmd  *exec.Cmd
	info Info
}

func startProcess(t *testing.T, o VCenterOptions) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "lab-vcenter", "--dir", o.Dir, "--end-with-stdin",
		"--clone-delay", o.CloneDelay.String(), "--guest-boot-delay", o.GuestBootDelay.String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := json.NewDecoder(stdout).Decode(&p.info); err != nil {
		t.Fatalf("vCenter did not start: %v", err)
	}
	return p
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// session is a logged-in client with the calls that tests make.
type session struct {
	*govmomi.Client
	t      testing.TB
	folder *object.Folder
	pool   *object.ResourcePool
}

func login(tb testing.TB, i Info) *session {
	tb.Helper()
	ctx := tb.Context()
	u, err := soap.ParseURL(i.URL)
	if err != nil {
		tb.Fatal(err)
	}
	u.User = url.UserPassword(i.Username, i.Password)
	c, err := govmomi.NewClient(ctx, u, true)
	if err != nil {
		tb.Fatalf("log in: %v", err)
	}
	s := &session{Client: c, t: tb}
	index := object.NewSearchIndex(c.Client)
	s.folder = s.find(index, PathFolder).(*object.Folder)
	s.pool = s.find(index, PathPool).(*object.ResourcePool)
	return s
}

func (s *session) find(index *object.SearchIndex, path string) object.Reference {
	s.t.Helper()
	ref, err := index.FindByInventoryPath(s.t.Context(), path)
	if err != nil || ref == nil {
		s.t.Fatalf("find %s: %v, %v", path, ref, err)
	}
	return ref
}

// template finds a catalogue entry's machine the way the portal does.
func (s *session) template(cloud, slug string) *object.VirtualMachine {
	s.t.Helper()
	t, ok := TemplateBySlug(slug)
	if !ok {
		s.t.Fatalf("no template %s", slug)
	}
	return s.byUUID(t.InstanceUUID(cloud))
}

func (s *session) byUUID(id string) *object.VirtualMachine {
	s.t.Helper()
	yes := true
	ref, err := object.NewSearchIndex(s.Client.Client).FindByUuid(s.t.Context(), nil, id, true, &yes)
	if err != nil || ref == nil {
		s.t.Fatalf("find %s: %v, %v", id, ref, err)
	}
	return object.NewVirtualMachine(s.Client.Client, ref.Reference())
}

func (s *session) cloneSpec(instanceUUID, ip string) types.VirtualMachineCloneSpec {
	pool := s.pool.Reference()
	spec := types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Pool: &pool},
		Config:   &types.VirtualMachineConfigSpec{InstanceUuid: instanceUUID, NumCPUs: 2, MemoryMB: 2048},
	}
	if ip != "" {
		spec.Customization = &types.CustomizationSpec{
			Identity: &types.CustomizationLinuxPrep{HostName: &types.CustomizationFixedName{Name: "web"}},
			NicSettingMap: []types.CustomizationAdapterMapping{{Adapter: types.CustomizationIPSettings{
				Ip: &types.CustomizationFixedIp{IpAddress: ip},
			}}},
		}
	}
	return spec
}

func (s *session) clone(from *object.VirtualMachine, name string, spec types.VirtualMachineCloneSpec) *object.VirtualMachine {
	s.t.Helper()
	task, err := from.Clone(s.t.Context(), s.folder, name, spec)
	if err != nil {
		s.t.Fatalf("clone %s: %v", name, err)
	}
	info, err := task.WaitForResult(s.t.Context())
	if err != nil {
		s.t.Fatalf("clone %s: %v", name, err)
	}
	return object.NewVirtualMachine(s.Client.Client, info.Result.(types.ManagedObjectReference))
}

func (s *session) wait(task *object.Task, err error) error {
	if err != nil {
		return err
	}
	return task.Wait(s.t.Context())
}

func (s *session) must(task *object.Task, err error) {
	s.t.Helper()
	if err := s.wait(task, err); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) read(vm *object.VirtualMachine) mo.VirtualMachine {
	s.t.Helper()
	var m mo.VirtualMachine
	if err := vm.Properties(s.t.Context(), vm.Reference(), nil, &m); err != nil {
		s.t.Fatal(err)
	}
	return m
}

// until waits for a property of a machine to have a value.
func (s *session) until(vm *object.VirtualMachine, name string, ok func(any) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	err := property.Wait(ctx, property.DefaultCollector(s.Client.Client), vm.Reference(), []string{name}, func(changes []types.PropertyChange) bool {
		for _, c := range changes {
			if c.Name == name && ok(c.Val) {
				return true
			}
		}
		return false
	})
	if err != nil {
		s.t.Fatalf("waiting for %s: %v", name, err)
	}
}

// watch follows the machines as the portal's feed does, until ctx ends.
func (s *session) watch(ctx context.Context, hear func([]types.ObjectUpdate)) error {
	kind := []string{"VirtualMachine"}
	box, err := view.NewManager(s.Client.Client).CreateContainerView(ctx, s.Client.ServiceContent.RootFolder, kind, true)
	if err != nil {
		return err
	}
	filter := new(property.WaitFilter).Add(box.Reference(), kind[0],
		[]string{"runtime.powerState", "guest.ipAddress", "guest.toolsRunningStatus", "name"}, box.TraversalSpec())
	return property.WaitForUpdatesEx(ctx, property.DefaultCollector(s.Client.Client), filter, func(u []types.ObjectUpdate) bool {
		hear(u)
		return false
	})
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
