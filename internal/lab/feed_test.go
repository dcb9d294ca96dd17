package lab

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// follower keeps what a feed tells, as the portal's table does.
type follower struct {
	mu       sync.Mutex
	machines map[types.ManagedObjectReference]map[string]types.AnyType
	heard    chan struct{}
}

func (f *follower) hear(updates []types.ObjectUpdate) {
	f.mu.Lock()
	for _, u := range updates {
		switch u.Kind {
		case types.ObjectUpdateKindLeave:
			delete(f.machines, u.Obj)
			continue
		case types.ObjectUpdateKindEnter:
			f.machines[u.Obj] = map[string]types.AnyType{}
		case types.ObjectUpdateKindModify:
		}
		for _, c := range u.ChangeSet {
			f.machines[u.Obj][c.Name] = c.Val
		}
	}
	f.mu.Unlock()
	select {
	case f.heard <- struct{}{}:
	default:
	}
}

// until waits for the followed inventory to satisfy ok.
func (f *follower) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		f.mu.Lock()
		done := ok()
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-f.heard:
		case <-late:
			t.Fatalf("the feed never shows %s", what)
		}
	}
}

func TestFeedKeepsUpWithParallelClonesAndLookups(t *testing.T) {
	t.Parallel()
	p := startProcess(t, VCenterOptions{Dir: t.TempDir(), CloneDelay: 50 * time.Millisecond, GuestBootDelay: 20 * time.Millisecond})
	s := login(t, p.info)
	watcher := login(t, p.info)
	f := &follower{machines: map[types.ManagedObjectReference]map[string]types.AnyType{}, heard: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watcher.watch(ctx, f.hear) }()
	templates := 0
	for _, tpl := range Templates() {
		if tpl.In(CloudPublic) {
			templates++
		}
	}
	f.until(t, "the templates", func() bool { return len(f.machines) == templates })

	const count = 40
	slugs := []string{"ubuntu-24-04", "debian-12", "debian-13", "rocky-9", "alpine-3-22", "freebsd-14"}
	index := object.NewSearchIndex(s.Client.Client)
	vms := make([]*object.VirtualMachine, count)
	var clones, lookups sync.WaitGroup
	stop := make(chan struct{})
	lookups.Go(func() { // what panics the simulator by itself
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := index.FindByInventoryPath(t.Context(), PathFolder+"/nobody"); err != nil {
					t.Errorf("look up during clones: %v", err)
					return
				}
			}
		}
	})
	for i := range count {
		from := s.template(CloudPublic, slugs[i%len(slugs)])
		clones.Go(func() {
			spec := s.cloneSpec("", fmt.Sprintf("10.7.0.%d", 10+i))
			spec.PowerOn = true
			vms[i] = s.clone(from, fmt.Sprintf("par-%d", i), spec)
		})
	}
	clones.Wait()
	close(stop)
	lookups.Wait()
	f.until(t, "all machines with their addresses", func() bool {
		n := 0
		for _, m := range f.machines {
			if m["runtime.powerState"] == types.VirtualMachinePowerStatePoweredOn && m["guest.ipAddress"] != "" && m["guest.ipAddress"] != nil {
				n++
			}
		}
		return n == count
	})
	s.must(vms[0].PowerOff(t.Context()))
	f.until(t, "that a machine lost its address", func() bool {
		m := f.machines[vms[0].Reference()]
		return m["runtime.powerState"] == types.VirtualMachinePowerStatePoweredOff && (m["guest.ipAddress"] == "" || m["guest.ipAddress"] == nil)
	})
	s.must(vms[0].Destroy(t.Context()))
	f.until(t, "that a machine is gone", func() bool { return len(f.machines) == templates+count-1 })

	// The wait itself ends when it is cancelled.
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a cancelled wait goes on")
	}
}

func TestWaitEndsWithItsSession(t *testing.T) {
	t.Parallel()
	v := newTestVCenter(t, VCenterOptions{})
	watcher := login(t, v.Info())
	heard := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- watcher.watch(t.Context(), func([]types.ObjectUpdate) { heard <- struct{}{} })
	}()
	<-heard
	v.DropSessions()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the wait of a dropped session ends well")
		}
	case <-time.After(10 * time.Second):
		t.Error("the wait of a dropped session goes on")
	}
}
