package vsphere

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// feed runs a Watch and hands its batches to the test.
type feed struct {
	t       *testing.T
	batches chan Batch
	ended   chan error
	over    chan struct{}
	stop    context.CancelFunc
}

func watch(t *testing.T, c *Client) *feed {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &feed{t: t, batches: make(chan Batch, 1000), ended: make(chan error, 1), over: make(chan struct{}), stop: stop}
	go func() {
		defer close(f.over)
		f.ended <- c.Watch(ctx, func(_ context.Context, b Batch) error {
			f.batches <- b
			return nil
		})
	}()
	t.Cleanup(func() { // before the vCenter closes, which waits for the poll
		stop()
		<-f.over
	})
	return f
}

func (f *feed) next() Batch {
	f.t.Helper()
	select {
	case b := <-f.batches:
		return b
	case err := <-f.ended:
		f.t.Fatalf("the feed ended: %v", err)
	case <-time.After(20 * time.Second):
		f.t.Fatal("the feed is silent")
	}
	return Batch{}
}

// until waits for an observation of one VM.
func (f *feed) until(uuid string, want func(Observation) bool) Observation {
	f.t.Helper()
	for {
		b := f.next()
		if b.Full {
			f.t.Fatal("a second full batch")
		}
		for _, o := range b.Observations {
			if o.InstanceUUID == uuid && want(o) {
				return o
			}
		}
	}
}

func (f *feed) end() error {
	f.t.Helper()
	select {
	case err := <-f.ended:
		return err
	case <-time.After(20 * time.Second):
		f.t.Fatal("the feed does not end")
		return nil
	}
}

func TestFeedTellsAMachinesWholeLife(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	spec := cloneSpec(v.template())
	c := v.client()
	f := watch(t, c)

	first := f.next()
	if !first.Full || len(first.Observations) != 1 {
		t.Fatalf("first batch: full %v, %d VMs; want the one that is no template", first.Full, len(first.Observations))
	}
	if o := first.Observations[0]; o.Name != "DC0_C0_RP0_VM1" || o.InstanceUUID == "" || o.Host == "" || o.Power != PoweredOff {
		t.Errorf("first VM: %+v", o)
	}

	task, err := c.StartClone(t.Context(), spec)
	ref := await(t, c, task, err).Ref
	f.until(machineUUID, func(o Observation) bool { return o.Ref == ref && o.Power == PoweredOff && o.Host != "" })

	task, err = c.StartPower(t.Context(), ref, PowerOn)
	await(t, c, task, err)
	f.until(machineUUID, func(o Observation) bool {
		return o.Power == PoweredOn && o.Address == "10.20.0.5" && o.HostName == "web-1" && o.Name == spec.Name
	})

	task, err = c.StartPower(t.Context(), ref, PowerOff)
	await(t, c, task, err)
	task, err = c.StartDestroy(t.Context(), ref)
	await(t, c, task, err)
	gone := f.until(machineUUID, func(o Observation) bool { return o.Gone })
	if gone.Ref != ref || gone.Name != spec.Name {
		t.Errorf("what is gone: %+v", gone)
	}
	f.stop()
	wantCode(t, f.end(), CodeInterrupted)
}

func TestFeedEndsWithItsSessionAndLeavesNone(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	bare := v.bare()
	f := watch(t, c)
	f.next()
	if n := len(v.sessions(bare)); n != 1 {
		t.Errorf("the feed has %d sessions", n)
	}
	v.dropSessions(bare)
	wantCode(t, f.end(), CodeNotAuthenticated)

	again := watch(t, c)
	all := again.next()
	if !all.Full || len(all.Observations) != 2 {
		t.Errorf("after the session's end: %+v", all)
	}
	again.stop()
	wantCode(t, again.end(), CodeInterrupted)
	if n := len(v.sessions(bare)); n != 0 {
		t.Errorf("%d sessions left behind", n)
	}
}

func TestFailingSinkEndsTheFeed(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	broken := errors.New("database is away")
	err := v.client().Watch(t.Context(), func(context.Context, Batch) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if n := len(v.sessions(v.bare())); n != 0 {
		t.Errorf("%d sessions left behind", n)
	}
}

func TestFullBatchIsTheWholeInventoryHoweverManyPages(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	const more = 230 // the simulator's pages hold 100
	folder := v.bare()
	c := v.client()
	connect(t, c)
	place, err := c.placement(t.Context(), c.current)
	if err != nil {
		t.Fatal(err)
	}
	pool := object.NewResourcePool(folder.Client, place.pool)
	for i := range more {
		task, err := object.NewFolder(folder.Client, place.folder).CreateVM(t.Context(), types.VirtualMachineConfigSpec{
			Name:    "bulk-" + string(rune('a'+i/26)) + string(rune('a'+i%26)),
			GuestId: "otherGuest",
			Files:   &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		}, pool, nil)
		if err == nil {
			err = task.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	batch := watch(t, c).next()
	if !batch.Full || len(batch.Observations) != more+2 {
		t.Errorf("full %v, %d VMs, want %d", batch.Full, len(batch.Observations), more+2)
	}
}

func TestSightingsPutPartialUpdatesTogether(t *testing.T) {
	t.Parallel()
	change := func(name string, value any) types.PropertyChange {
		return types.PropertyChange{Name: name, Op: types.PropertyChangeOpAssign, Val: value}
	}
	update := func(kind types.ObjectUpdateKind, changes ...types.PropertyChange) *types.UpdateSet {
		return &types.UpdateSet{FilterSet: []types.PropertyFilterUpdate{{
			ObjectSet: []types.ObjectUpdate{{Kind: kind, Obj: vmRef("vm-1"), ChangeSet: changes}},
		}}}
	}
	s := newSightings()
	s.apply(update(types.ObjectUpdateKindEnter, change("name", "web"), change("config.instanceUuid", nil)))
	if got := s.take(); len(got) != 0 {
		t.Fatalf("a VM without a UUID was delivered: %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindModify, change("config.instanceUuid", "u-1"), change("guest.ipAddress", "10.0.0.1")))
	s.apply(update(types.ObjectUpdateKindModify, change("runtime.powerState", types.VirtualMachinePowerStatePoweredOn)))
	got := s.take()
	if len(got) != 1 || got[0].Name != "web" || got[0].Address != "10.0.0.1" || got[0].Power != PoweredOn {
		t.Fatalf("two changes became %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindModify, change("guest.ipAddress", nil), change("config.instanceUuid", nil)))
	if got = s.take(); len(got) != 1 || got[0].Address != "" || got[0].InstanceUUID != "u-1" {
		t.Fatalf("an unset address became %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindModify, change("config.template", true)))
	if got = s.take(); len(got) != 1 || !got[0].Gone {
		t.Fatalf("becoming a template became %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindModify, change("name", "golden")))
	if got = s.take(); len(got) != 0 {
		t.Fatalf("a template was delivered: %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindModify, change("config.template", false)))
	if got = s.take(); len(got) != 1 || got[0].Gone || got[0].Name != "golden" {
		t.Fatalf("becoming a machine again became %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindLeave))
	if got = s.take(); len(got) != 1 || !got[0].Gone || got[0].InstanceUUID != "u-1" {
		t.Fatalf("leaving became %+v", got)
	}
	s.apply(update(types.ObjectUpdateKindLeave))
	if got = s.take(); len(got) != 0 || len(s.byRef) != 0 {
		t.Fatalf("left twice: %+v", got)
	}
}
