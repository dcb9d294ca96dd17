package lab

import (
	"net"
	"net/http"
	"path"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Fault makes a chosen call or task fail.
type Fault struct {
	// Method is vSphere's name, such as "PowerOnVM_Task"; "*" is any.
	Method string `json:"method"`
	// Name is a pattern (path.Match) for the machine's name, of a clone the
	// new one's; empty is any.
	Name string `json:"name,omitempty"`
	// Nth is the first matching call that fails, counted from now; 0 and 1
	// are the next one.
	Nth int `json:"nth,omitempty"`
	// Times is how many calls fail from then on; 0 is one, -1 all.
	Times int `json:"times,omitempty"`
	// Task lets the call succeed and its task fail.
	Task bool `json:"task,omitempty"`
	// Type is a vSphere fault such as "NotAuthenticated"; empty is
	// "SystemError".
	Type string `json:"type,omitempty"`
}

// faults is all that can be made to go wrong, changeable while it runs.
type faults struct {
	mu    sync.Mutex
	slow  time.Duration
	clone time.Duration
	hang  chan struct{} // not nil while nothing is answered; closed when it ends
	rules []*rule
	conns map[net.Conn]struct{}
}

type rule struct {
	Fault
	seen, hit int
}

func (f *faults) setCloneDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clone = d
}

func (f *faults) cloneDelay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clone
}

// onCall delays a call and decides whether it fails.
func (f *faults) onCall(method, name string) types.BaseMethodFault {
	f.mu.Lock()
	slow := f.slow
	fault := f.match(method, name, false)
	f.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	return fault
}

// onTask decides whether a task fails.
func (f *faults) onTask(method, name string) types.BaseMethodFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.match(method, name, true)
}

func (f *faults) match(method, name string, task bool) types.BaseMethodFault {
	for _, r := range f.rules {
		if r.Task != task || (r.Method != "*" && r.Method != method) {
			continue
		}
		if ok, err := path.Match(r.Name, name); r.Name != "" && (err != nil || !ok) {
			continue
		}
		r.seen++
		if r.seen < r.Nth || (r.Times >= 0 && r.hit >= max(1, r.Times)) {
			continue
		}
		r.hit++
		return faultOf(r.Type)
	}
	return nil
}

func faultOf(name string) types.BaseMethodFault {
	if kind, ok := types.TypeFunc()(name); ok {
		if fault, ok := reflect.New(kind).Interface().(types.BaseMethodFault); ok {
			return fault
		}
	}
	return &types.SystemError{Reason: "made by the lab"}
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow, f.rules = 0, nil
	if f.hang != nil {
		close(f.hang)
		f.hang = nil
	}
}

func (f *faults) hanging() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hang
}

func (f *faults) connState(c net.Conn, s http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch s {
	case http.StateNew:
		if f.conns == nil {
			f.conns = map[net.Conn]struct{}{}
		}
		f.conns[c] = struct{}{}
	case http.StateActive, http.StateIdle: // known since it was new
	case http.StateClosed, http.StateHijacked:
		delete(f.conns, c)
	}
}

// Slow delays each call by d; 0 ends it.
func (v *VCenter) Slow(d time.Duration) {
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	v.faults.slow = d
}

// SetCloneDelay changes how long clones take that start from now on.
func (v *VCenter) SetCloneDelay(d time.Duration) { v.faults.setCloneDelay(d) }

// Hang stops all answers for d: connections are taken, calls wait.
func (v *VCenter) Hang(d time.Duration) {
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	if v.faults.hang != nil {
		return
	}
	end := make(chan struct{})
	v.faults.hang = end
	time.AfterFunc(d, func() {
		v.faults.mu.Lock()
		defer v.faults.mu.Unlock()
		if v.faults.hang == end {
			close(end)
			v.faults.hang = nil
		}
	})
}

// Fail makes calls or tasks fail.
func (v *VCenter) Fail(f Fault) {
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	v.faults.rules = append(v.faults.rules, &rule{Fault: f})
}

// ClearFaults ends slowness, hanging and failing.
func (v *VCenter) ClearFaults() { v.faults.clear() }

// DropSessions logs everybody out: the next call is NotAuthenticated.
func (v *VCenter) DropSessions() {
	ctx := v.context()
	manager := v.registry.SessionManager()
	view, ok := ctx.Session.Get(manager.Self).(*simulator.SessionManager)
	if !ok {
		return
	}
	for _, s := range view.SessionList {
		manager.TerminateSession(ctx, &types.TerminateSession{This: manager.Self, SessionId: []string{s.Key}})
	}
	v.feeds.logOut() // a session's waits end with it
}

// DropConnections cuts every open connection, screens excepted.
func (v *VCenter) DropConnections() {
	v.faults.mu.Lock()
	var open []net.Conn
	for c := range v.faults.conns {
		open = append(open, c)
	}
	v.faults.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// DropScreens cuts every open screen without a word, as a host does whose
// agents restart or whose machines move to another.
func (v *VCenter) DropScreens() {
	v.mu.Lock()
	var open []*screen
	for _, res := range v.residents {
		if res.screen != nil {
			open = append(open, res.screen)
		}
	}
	v.mu.Unlock()
	for _, s := range open {
		s.cut()
	}
}

// failingCall is a call whose task shall fail.
type failingCall struct {
	method string
	entity types.ManagedObjectReference
	fault  types.BaseMethodFault
}

// FailTask answers a call with a task that fails.
func (b *broker) FailTask(ctx *simulator.Context, c *failingCall) soap.HasFault {
	ref := b.vc.startTask(ctx, c.entity, b.vc.nameOf(c.entity), c.method,
		func(*simulator.Task) (types.AnyType, types.BaseMethodFault) { return nil, c.fault })
	switch c.method {
	case "PowerOnVM_Task":
		return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: ref}}
	case "PowerOffVM_Task":
		return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: ref}}
	case "SuspendVM_Task":
		return &methods.SuspendVM_TaskBody{Res: &types.SuspendVM_TaskResponse{Returnval: ref}}
	case "ResetVM_Task":
		return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: ref}}
	case "ReconfigVM_Task":
		return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: ref}}
	case "CustomizeVM_Task":
		return &methods.CustomizeVM_TaskBody{Res: &types.CustomizeVM_TaskResponse{Returnval: ref}}
	case "Destroy_Task":
		return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: ref}}
	case "CreateVM_Task":
		return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: ref}}
	case "Rename_Task":
		return &methods.Rename_TaskBody{Res: &types.Rename_TaskResponse{Returnval: ref}}
	}
	return &faultBody{simulator.Fault("", c.fault)}
}

// failable are the tasks that FailTask can answer for.
func failable(method string) bool {
	return slices.Contains([]string{
		"PowerOnVM_Task", "PowerOffVM_Task", "SuspendVM_Task", "ResetVM_Task", "ReconfigVM_Task",
		"CustomizeVM_Task", "Destroy_Task", "CreateVM_Task", "Rename_Task",
	}, method)
}
