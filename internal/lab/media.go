package lab

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// library is the ISO files on the lab's datastore, by their real sizes; there
// is nothing in them.
var library = map[string]int64{
	"iso/shared/debian-13.4.0-amd64-netinst.iso":      790 << 20,
	"iso/shared/ubuntu-24.04.3-live-server-amd64.iso": 3226 << 20,
	"iso/shared/virtio-win-0.1.285.iso":               753 << 20,
	"iso/shared/systemrescue-12.03-amd64.iso":         1190 << 20,
	"iso/acme/acme-appliance-4.2.iso":                 612 << 20,
	"iso/globex/globex-rescue-1.0.iso":                288 << 20,
	"iso/initech/tps-reports-2026.iso":                44 << 20,
}

// stockLibrary lays the files out below the datastore's folder. They take no
// room: a file may be longer than what is stored of it.
func stockLibrary(dir string) error {
	for name, size := range library {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return fmt.Errorf("lab: ISO library: %w", err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return fmt.Errorf("lab: ISO library: %w", err)
		}
		if err := os.Truncate(file, size); err != nil {
			return fmt.Errorf("lab: ISO library: %w", err)
		}
	}
	return nil
}

// cdOfSpec is the drive that a change is about, or nil.
func cdOfSpec(spec *types.VirtualMachineConfigSpec) *types.VirtualCdrom {
	for _, c := range spec.DeviceChange {
		change := c.GetVirtualDeviceConfigSpec()
		if cd, ok := change.Device.(*types.VirtualCdrom); ok && change.Operation == types.VirtualDeviceConfigSpecOperationEdit {
			return cd
		}
	}
	return nil
}

func changesCD(spec *types.VirtualMachineConfigSpec) bool { return cdOfSpec(spec) != nil }

// missingISO refuses a file that isn't there; the simulator takes any name.
func (v *VCenter) missingISO(spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	backing, ok := cdOfSpec(spec).Backing.(*types.VirtualCdromIsoBackingInfo)
	if !ok {
		return nil
	}
	var p object.DatastorePath
	if p.FromString(backing.FileName) && p.Datastore == datastoreName && !strings.Contains(p.Path, "..") {
		if _, err := os.Stat(filepath.Join(v.scratch, datastoreName, filepath.FromSlash(p.Path))); err == nil {
			return nil
		}
	}
	return &types.FileNotFound{FileFault: types.FileFault{File: backing.FileName}}
}

// ReconfigVMTask changes what is in the drive. A guest that has locked it is
// asked for first, as vSphere does.
func (b *broker) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	v := b.vc
	ref := v.startTask(ctx, req.This, v.nameOf(req.This), "reconfigure", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if fault := v.missingISO(&req.Spec); fault != nil {
			return nil, fault
		}
		if door := v.doorLocked(req.This); door.Load() {
			if v.ask(req.This) != answerYes {
				return nil, &types.InvalidState{}
			}
			door.Store(false)
		}
		var inner types.ManagedObjectReference
		found := v.withMachine(req.This, func(lock *simulator.Context, vm *simulator.VirtualMachine) {
			inner = vm.ReconfigVMTask(lock, req).(*methods.ReconfigVM_TaskBody).Res.Returnval
		})
		if !found {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		return v.await(inner)
	})
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: ref}}
}

const (
	doorQuestion = "msg.cdromdisconnect.locked"
	answerYes    = "0"
	answerNo     = "1"
)

// ask puts vSphere's question and waits for its answer.
func (v *VCenter) ask(ref types.ManagedObjectReference) string {
	answers := make(chan string, 1)
	v.mu.Lock()
	res := v.residents[ref]
	if res != nil {
		res.question = answers
	}
	v.mu.Unlock()
	if res == nil {
		return answerNo
	}
	text := "The guest operating system has locked the CD-ROM door and is probably using the CD-ROM, " +
		"which can prevent the guest from recognizing media changes. Disconnect anyway and override the lock?" //nolint:misspell // as vSphere spells it
	put := func(q *types.VirtualMachineQuestionInfo) {
		// Not by an update, which takes no nil; nobody waits for this property.
		v.withMachine(ref, func(_ *simulator.Context, vm *simulator.VirtualMachine) { vm.Runtime.Question = q })
	}
	put(&types.VirtualMachineQuestionInfo{
		Id: doorQuestion, Text: text, Message: []types.VirtualMachineMessage{{Id: doorQuestion, Text: text}},
		Choice: types.ChoiceOption{ChoiceInfo: []types.BaseElementDescription{
			&types.ElementDescription{Key: answerYes, Description: types.Description{Label: "Yes", Summary: "Yes"}},
			&types.ElementDescription{Key: answerNo, Description: types.Description{Label: "No", Summary: "No"}},
		}},
	})
	answer := answerNo
	select {
	case answer = <-answers:
	case <-v.closed:
	}
	v.mu.Lock()
	res.question = nil
	v.mu.Unlock()
	put(nil)
	return answer
}

// AnswerVM answers the question.
func (b *broker) AnswerVM(_ *simulator.Context, req *types.AnswerVM) soap.HasFault {
	v := b.vc
	v.mu.Lock()
	defer v.mu.Unlock()
	res := v.residents[req.This]
	if res == nil || res.question == nil || req.QuestionId != doorQuestion {
		return &methods.AnswerVMBody{Fault_: simulator.Fault("", &types.InvalidArgument{InvalidProperty: "questionId"})}
	}
	select {
	case res.question <- req.AnswerChoice:
	default: // somebody was quicker
	}
	return &methods.AnswerVMBody{Res: &types.AnswerVMResponse{}}
}

// doorLocked says whether the machine's guest uses the CD.
func (v *VCenter) doorLocked(ref types.ManagedObjectReference) *atomic.Bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if res := v.residents[ref]; res != nil {
		return &res.doorLocked
	}
	return new(atomic.Bool)
}

// inserted is the file in the machine's drive, "" for none.
func (r *resident) inserted() string {
	if cd := r.cd.Load(); cd != nil {
		return *cd
	}
	return ""
}

// mount uses the CD, which locks its drive.
func (s *screen) mount() string {
	file := s.hooks.cd()
	if file == "" {
		return "mount: /media/cdrom: no medium found on /dev/sr0."
	}
	s.hooks.lockDoor(true)
	return "mount: /media/cdrom: " + path.Base(file) + " mounted read-only."
}

func (s *screen) unmount() string {
	s.hooks.lockDoor(false)
	return "/media/cdrom unmounted."
}
