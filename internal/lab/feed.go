package lab

import (
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// feeds answer WaitForUpdatesEx in the simulator's place. Its own collects
// everything that a filter selects for each single change, whatever changed
// (seconds for a thousand machines), and deadlocks when a machine is made
// while somebody follows a container view: one side locks the view and wants
// the filter, the other the filter and wants the view.
//
// Here the recorder notes which objects changed, and only those are read.
type feeds struct {
	mu   sync.Mutex
	subs map[types.ManagedObjectReference]*subscription
	// filters guards the list of filters of every collector, which the
	// simulator changes without a lock.
	filters sync.Mutex
}

// subscription is one property collector that somebody waits on.
type subscription struct {
	wake chan struct{}
	end  chan struct{}
	once sync.Once

	loggedOut bool // why it ended; set before

	mu      sync.Mutex
	changed map[types.ManagedObjectReference]bool // true: gone
	order   []types.ManagedObjectReference

	// Of the one call that waits:
	known   map[types.ManagedObjectReference]map[types.ManagedObjectReference]properties // by filter, object
	backlog []types.PropertyFilterUpdate
	version int
}

type properties map[string]types.AnyType

const (
	// feedPage is how many objects one answer has at most, as in vCenter.
	feedPage = 100
	// feedPause lets changes gather into one answer.
	feedPause = 10 * time.Millisecond
)

// touched is called by the recorder for each change.
func (f *feeds) touched(ref types.ManagedObjectReference, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		s.mu.Lock()
		if _, noted := s.changed[ref]; !noted {
			s.order = append(s.order, ref)
		}
		// Destroying changes a machine's devices after it has gone.
		s.changed[ref] = gone || s.changed[ref]
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (f *feeds) open(collector types.ManagedObjectReference) *subscription {
	s := &subscription{
		wake: make(chan struct{}, 1), end: make(chan struct{}),
		changed: map[types.ManagedObjectReference]bool{},
		known:   map[types.ManagedObjectReference]map[types.ManagedObjectReference]properties{},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[types.ManagedObjectReference]*subscription{}
	}
	if old := f.subs[collector]; old != nil {
		old.stop()
	}
	f.subs[collector] = s
	return s
}

func (f *feeds) get(collector types.ManagedObjectReference) *subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.subs[collector]
}

// close ends the wait of one collector.
func (f *feeds) close(collector types.ManagedObjectReference) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.subs[collector]; s != nil {
		s.stop()
		delete(f.subs, collector)
	}
}

// logOut ends every wait, as its session ended.
func (f *feeds) logOut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ref, s := range f.subs {
		s.loggedOut = true
		s.stop()
		delete(f.subs, ref)
	}
}

func (s *subscription) stop() { s.once.Do(func() { close(s.end) }) }

func (s *subscription) take() (map[types.ManagedObjectReference]bool, []types.ManagedObjectReference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, order := s.changed, s.order
	s.changed, s.order = map[types.ManagedObjectReference]bool{}, nil
	return changed, order
}

// WaitForUpdatesEx answers with what changed in what the collector's filters
// select.
func (b *broker) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	body := &methods.WaitForUpdatesExBody{}
	refuse := func(fault types.BaseMethodFault) soap.HasFault {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	pc, ok := ctx.Session.Get(req.This).(*simulator.PropertyCollector)
	if !ok {
		return missing(req.This)
	}
	s := b.vc.feeds.get(req.This)
	first := req.Version == "" || s == nil
	if first {
		s = b.vc.feeds.open(req.This)
		for _, ref := range b.vc.filters(pc) {
			if fault := s.whole(ctx, pc, ref); fault != nil {
				return refuse(fault)
			}
		}
	}
	var expired <-chan time.Time
	if o := req.Options; o != nil && o.MaxWaitSeconds != nil {
		expired = time.After(time.Duration(*o.MaxWaitSeconds) * time.Second)
	}
	for !first && len(s.backlog) == 0 {
		ripe := expired
		if len(s.wake) > 0 {
			ripe = nil // what is known already is told even when no time is left
		}
		select {
		case <-s.wake:
			time.Sleep(feedPause)
			if fault := b.vc.gather(ctx, s, pc); fault != nil {
				return refuse(fault)
			}
		case <-ripe:
			body.Res = &types.WaitForUpdatesExResponse{}
			return body
		case <-s.end:
			if s.loggedOut {
				return refuse(&types.NotAuthenticated{})
			}
			return refuse(&types.RequestCanceled{})
		case <-b.vc.closed:
			return refuse(&types.RequestCanceled{})
		}
	}
	page := feedPage
	if o := req.Options; o != nil && o.MaxObjectUpdates > 0 {
		page = min(page, int(o.MaxObjectUpdates))
	}
	body.Res = &types.WaitForUpdatesExResponse{Returnval: s.page(page)}
	return body
}

// page cuts one answer off the backlog.
func (s *subscription) page(size int) *types.UpdateSet {
	s.version++
	set := &types.UpdateSet{Version: strconv.Itoa(s.version)}
	for len(s.backlog) > 0 && size > 0 {
		fu := &s.backlog[0]
		n := min(size, len(fu.ObjectSet))
		set.FilterSet = append(set.FilterSet, types.PropertyFilterUpdate{Filter: fu.Filter, ObjectSet: fu.ObjectSet[:n]})
		fu.ObjectSet = fu.ObjectSet[n:]
		size -= n
		if len(fu.ObjectSet) == 0 {
			s.backlog = s.backlog[1:]
		}
	}
	if len(s.backlog) > 0 {
		set.Truncated = new(true)
	}
	return set
}

func (s *subscription) queue(filter types.ManagedObjectReference, updates []types.ObjectUpdate) {
	if len(updates) > 0 {
		s.backlog = append(s.backlog, types.PropertyFilterUpdate{Filter: filter, ObjectSet: updates})
	}
}

// filters are the collector's filters of this moment.
func (v *VCenter) filters(pc *simulator.PropertyCollector) []types.ManagedObjectReference {
	v.feeds.filters.Lock()
	defer v.feeds.filters.Unlock()
	return slices.Clone(pc.Filter)
}

// CreateFilter is the simulator's own, whose collectors have no lock, with one.
func (b *broker) CreateFilter(ctx *simulator.Context, req *types.CreateFilter) soap.HasFault {
	pc, ok := ctx.Session.Get(req.This).(*simulator.PropertyCollector)
	if !ok {
		return missing(req.This)
	}
	b.vc.feeds.filters.Lock()
	defer b.vc.feeds.filters.Unlock()
	return pc.CreateFilter(ctx, req)
}

// DestroyPropertyFilter is the simulator's own, with the lock of CreateFilter.
func (b *broker) DestroyPropertyFilter(ctx *simulator.Context, req *types.DestroyPropertyFilter) soap.HasFault {
	filter, ok := ctx.Session.Get(req.This).(*simulator.PropertyFilter)
	if !ok {
		return missing(req.This)
	}
	b.vc.feeds.filters.Lock()
	defer b.vc.feeds.filters.Unlock()
	return filter.DestroyPropertyFilter(ctx, req)
}

// whole reads all that a filter selects.
func (s *subscription) whole(ctx *simulator.Context, pc *simulator.PropertyCollector, ref types.ManagedObjectReference) types.BaseMethodFault {
	filter, ok := ctx.Session.Get(ref).(*simulator.PropertyFilter)
	if !ok {
		return nil
	}
	objects, fault := read(ctx, pc, filter.Spec)
	if fault != nil {
		return fault
	}
	var updates []types.ObjectUpdate
	for _, o := range objects {
		updates = append(updates, s.compare(ref, o)...)
	}
	s.queue(ref, updates)
	return nil
}

func read(ctx *simulator.Context, pc *simulator.PropertyCollector, spec types.PropertyFilterSpec) ([]types.ObjectContent, types.BaseMethodFault) {
	body := pc.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{
		This: pc.Self, SpecSet: []types.PropertyFilterSpec{spec},
	}).(*methods.RetrievePropertiesExBody)
	if body.Fault_ != nil {
		if fault, ok := body.Fault_.VimFault().(types.BaseMethodFault); ok {
			return nil, fault
		}
		return nil, &types.SystemError{Reason: body.Fault_.String}
	}
	return body.Res.Returnval.Objects, nil
}

// gather reads again what changed since the last answer.
func (v *VCenter) gather(ctx *simulator.Context, s *subscription, pc *simulator.PropertyCollector) types.BaseMethodFault {
	changed, order := s.take()
	for _, ref := range v.filters(pc) {
		filter, ok := ctx.Session.Get(ref).(*simulator.PropertyFilter)
		if !ok {
			continue
		}
		var updates []types.ObjectUpdate
		again := false
		for _, obj := range order {
			_, known := s.known[ref][obj]
			switch {
			case changed[obj] && known:
				delete(s.known[ref], obj)
				updates = append(updates, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: obj})
			case changed[obj]:
			case !known && !wants(filter.Spec, obj):
			case known || v.selected(ctx, filter.Spec, obj, &again):
				one := filter.Spec
				one.ObjectSet = []types.ObjectSpec{{Obj: obj}}
				yes := true
				one.ReportMissingObjectsInResults = &yes // it may be gone by now
				objects, fault := read(ctx, pc, one)
				if fault != nil {
					return fault
				}
				for _, o := range objects {
					updates = append(updates, s.compare(ref, o)...)
				}
				if known && len(objects) == 0 {
					delete(s.known[ref], obj)
					updates = append(updates, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: obj})
				}
			}
		}
		s.queue(ref, updates)
		if again {
			if fault := s.whole(ctx, pc, ref); fault != nil {
				return fault
			}
		}
	}
	return nil
}

// wants tells whether a filter reads objects of that type at all.
func wants(spec types.PropertyFilterSpec, obj types.ManagedObjectReference) bool {
	return slices.ContainsFunc(spec.PropSet, func(p types.PropertySpec) bool {
		return p.Type == obj.Type || p.Type == "ManagedEntity"
	})
}

// selected tells whether an object that was not seen before is one of the
// filter's. again asks for reading all of it: how it selects is not known.
func (v *VCenter) selected(ctx *simulator.Context, spec types.PropertyFilterSpec, obj types.ManagedObjectReference, again *bool) bool {
	if obj.Type == "VirtualMachine" {
		v.mu.Lock()
		whole := v.residents[obj] != nil
		v.mu.Unlock()
		if !whole {
			return false // still being made
		}
	}
	for _, o := range spec.ObjectSet {
		if o.Obj == obj && len(o.SelectSet) == 0 {
			return true
		}
		if len(o.SelectSet) == 0 {
			continue
		}
		view, ok := ctx.Session.Get(o.Obj).(*simulator.ContainerView)
		if !ok {
			*again = true
			continue
		}
		in := false
		ctx.WithLock(view, func() { in = slices.Contains(view.View, obj) })
		if in {
			return true
		}
	}
	return false
}

// compare makes an update of what differs from what was told before.
func (s *subscription) compare(filter types.ManagedObjectReference, o types.ObjectContent) []types.ObjectUpdate {
	if s.known[filter] == nil {
		s.known[filter] = map[types.ManagedObjectReference]properties{}
	}
	before, known := s.known[filter][o.Obj]
	now := make(properties, len(o.PropSet))
	u := types.ObjectUpdate{Obj: o.Obj, Kind: types.ObjectUpdateKindEnter}
	if known {
		u.Kind = types.ObjectUpdateKindModify
	}
	for _, p := range o.PropSet {
		now[p.Name] = p.Val
		if old, had := before[p.Name]; !had || !reflect.DeepEqual(old, p.Val) {
			u.ChangeSet = append(u.ChangeSet, types.PropertyChange{Op: types.PropertyChangeOpAssign, Name: p.Name, Val: p.Val})
		}
	}
	for name, old := range before {
		if _, has := now[name]; !has && old != nil {
			u.ChangeSet = append(u.ChangeSet, types.PropertyChange{
				Op: types.PropertyChangeOpAssign, Name: name, Val: reflect.Zero(reflect.TypeOf(old)).Interface(),
			})
		}
	}
	s.known[filter][o.Obj] = now
	if known && len(u.ChangeSet) == 0 {
		return nil
	}
	return []types.ObjectUpdate{u}
}

// CancelWaitForUpdates ends the wait of a collector.
func (b *broker) CancelWaitForUpdates(req *types.CancelWaitForUpdates) soap.HasFault {
	b.vc.feeds.close(req.This)
	return &methods.CancelWaitForUpdatesBody{Res: &types.CancelWaitForUpdatesResponse{}}
}
