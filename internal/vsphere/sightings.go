package vsphere

import (
	"github.com/vmware/govmomi/vim25/types"
)

// sightings puts the collector's partial updates together: vCenter sends only
// what changed, and of a removed VM nothing but its reference.
type sightings struct {
	byRef     map[string]*sighting
	changed   []string // references, in the order of their first change
	hostNames map[string]string
}

type sighting struct {
	Observation

	host      *types.ManagedObjectReference
	template  bool
	delivered bool // the sink knows of it
	pending   bool // in changed
}

func newSightings() *sightings {
	return &sightings{byRef: map[string]*sighting{}}
}

func (s *sightings) apply(set *types.UpdateSet) {
	for _, filter := range set.FilterSet {
		for _, update := range filter.ObjectSet {
			if update.Obj.Type == kindVM {
				s.update(update)
			}
		}
	}
}

func (s *sightings) update(update types.ObjectUpdate) {
	ref := update.Obj.Value
	one, ok := s.byRef[ref]
	if !ok {
		if update.Kind == types.ObjectUpdateKindLeave {
			return
		}
		one = &sighting{Observation: Observation{Ref: ref}}
		s.byRef[ref] = one
	}
	if !one.pending {
		one.pending = true
		s.changed = append(s.changed, ref)
	}
	one.Gone = update.Kind == types.ObjectUpdateKindLeave
	for _, change := range update.ChangeSet {
		one.set(change)
	}
}

// set takes one property. A nil value means that it is unset now.
func (o *sighting) set(change types.PropertyChange) {
	text, _ := change.Val.(string)
	switch change.Name {
	case "name":
		o.Name = text
	case "config.instanceUuid":
		if text != "" { // unset while the configuration can't be read: keep what was known
			o.InstanceUUID = text
		}
	case "config.template":
		o.template, _ = change.Val.(bool)
	case "runtime.powerState":
		state, _ := change.Val.(types.VirtualMachinePowerState)
		o.Power = powerOf(state)
	case "runtime.host":
		o.host = nil
		if ref, ok := change.Val.(types.ManagedObjectReference); ok {
			o.host = &ref
		}
	case "guest.ipAddress":
		o.Address = text
	case "guest.hostName":
		o.HostName = text
	case "guest.toolsRunningStatus":
		o.ToolsRunning = toolsRunning(text)
	}
}

// hosts are the hosts of what changed.
func (s *sightings) hosts() []types.ManagedObjectReference {
	seen := map[string]bool{}
	var refs []types.ManagedObjectReference
	for _, ref := range s.changed {
		if host := s.byRef[ref].host; host != nil && !seen[host.Value] {
			seen[host.Value] = true
			refs = append(refs, *host)
		}
	}
	return refs
}

// take returns what is to be delivered and forgets what is gone. VMs without
// an instance UUID are being made and wait; templates are left out, and what
// became a template is gone as a machine.
func (s *sightings) take() []Observation {
	out := make([]Observation, 0, len(s.changed))
	for _, ref := range s.changed {
		one := s.byRef[ref]
		one.pending = false
		if one.host != nil {
			one.Host = s.hostNames[one.host.Value]
		}
		seen := one.Observation
		seen.Gone = one.Gone || one.template
		if one.Gone {
			delete(s.byRef, ref)
		}
		if seen.InstanceUUID == "" || (seen.Gone && !one.delivered) {
			continue
		}
		one.delivered = !seen.Gone
		out = append(out, seen)
	}
	s.changed = s.changed[:0]
	return out
}
