package vsphere

import (
	"context"
	"maps"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// CloneSpec describes a VM to be made from a template.
type CloneSpec struct {
	InstanceUUID string // ours, chosen before: it finds the VM again
	Name         string // vSphere name, ^[a-z0-9][a-z0-9-]{0,62}$
	TemplateUUID string // instance UUID of the template
	// OrgFolder names the org's folder and resource pool, made when absent;
	// same pattern as Name. Empty: the cloud's own.
	OrgFolder string

	VCPUs      int // 0: the template's
	MemoryMiB  int // 0: the template's
	Annotation string

	// Network is the port group of the first network card. Empty: the cloud's
	// default, else the template's.
	Network string
	// VLAN makes that port group where it isn't there. 0: it has to be.
	VLAN int

	// The guest's own settings. Without HostName nothing is customised;
	// without Address the guest asks DHCP.
	HostName     string
	Domain       string // empty: "internal"
	Address      string // IPv4
	PrefixLength int    // of Address: 24
	Gateway      string
	DNS          []string

	// ExtraConfig keys come from a fixed list: see allowedExtraConfig.
	ExtraConfig map[string]string
}

// AcquireCloneSlot waits for room to run a clone in: at most ClonesPerCloud at
// once, and no more than the cluster's hosts take at ClonesPerHost each. Hold
// the slot from StartClone to the end of Await. CodeBusy when ctx ends first.
func (c *Client) AcquireCloneSlot(ctx context.Context) (release func(), err error) {
	release, err = c.clones.acquire(ctx)
	if err != nil {
		return nil, &Error{Code: CodeBusy, Op: "wait for a clone slot", Err: err}
	}
	return release, nil
}

// StartClone submits the clone; the VM stays powered off. Look the instance
// UUID up by FindVM first: StartClone does not, and vCenter would make a
// second VM. CodeDuplicateName is the second guard.
func (c *Client) StartClone(ctx context.Context, spec CloneSpec) (TaskRef, error) {
	op := "clone " + spec.Name
	if err := spec.validate(); err != nil {
		return "", newError(ctx, op, err)
	}
	var task TaskRef
	clone := func(ctx context.Context, conn *connection) error {
		var err error
		task, err = c.submitClone(ctx, conn, spec)
		return err
	}
	err := c.do(ctx, op, clone)
	if CodeOf(err) == CodeNotFound && exactly[types.ManagedObjectNotFound](err) {
		// A reference from the cache names something that was removed. What
		// was refused for that has not been done.
		c.forgetInventory()
		err = c.do(ctx, op, clone)
	}
	return task, err
}

func (c *Client) submitClone(ctx context.Context, conn *connection, spec CloneSpec) (TaskRef, error) {
	place, err := c.placement(ctx, conn)
	if err != nil {
		return "", err
	}
	org, err := c.orgPlace(ctx, conn, place, spec.OrgFolder)
	if err != nil {
		return "", err
	}
	template, err := c.template(ctx, conn, spec.TemplateUUID)
	if err != nil {
		return "", err
	}
	request, err := c.cloneRequest(ctx, conn, spec, template)
	if err != nil {
		return "", err
	}
	request.Location.Pool = &org.pool
	request.Location.Datastore = &place.datastore

	host := ""
	if !place.drs { // without DRS vCenter refuses to choose
		chosen, ok := c.hosts.take(place.candidates())
		if !ok {
			return "", refuse(CodeBusy, "every usable host runs %d clones", c.config.ClonesPerHost)
		}
		host = chosen
		request.Location.Host = &types.ManagedObjectReference{Type: kindHost, Value: host}
	}
	submitted, err := object.NewVirtualMachine(conn.vim, vmRef(template.Ref)).
		Clone(ctx, object.NewFolder(conn.vim, org.folder), spec.Name, request)
	if err != nil {
		if host != "" {
			c.hosts.giveBack(host)
		}
		return "", err
	}
	task := TaskRef(submitted.Reference().Value)
	if host != "" {
		c.hosts.started(host, task)
	}
	return task, nil
}

func (c *Client) template(ctx context.Context, conn *connection, uuid string) (Template, error) {
	return remembered(ctx, c, "template "+uuid,
		func(i *inventoryCache) (Template, bool) { t, ok := i.templates[uuid]; return t, ok },
		func(ctx context.Context) (Template, error) {
			ref, err := findByUUID(ctx, conn, uuid)
			if err != nil {
				return Template{}, err
			}
			return readTemplate(ctx, conn, ref)
		},
		func(i *inventoryCache, t Template) { i.templates[uuid] = t })
}

func (c *Client) cloneRequest(ctx context.Context, conn *connection, spec CloneSpec, template Template) (types.VirtualMachineCloneSpec, error) {
	request := types.VirtualMachineCloneSpec{
		PowerOn:  false,
		Template: false,
		Config: &types.VirtualMachineConfigSpec{
			InstanceUuid: spec.InstanceUUID,
			NumCPUs:      int32(spec.VCPUs), //nolint:gosec // validated
			MemoryMB:     int64(spec.MemoryMiB),
			Annotation:   spec.Annotation,
		},
	}
	for _, key := range slices.Sorted(maps.Keys(spec.ExtraConfig)) {
		request.Config.ExtraConfig = append(request.Config.ExtraConfig,
			&types.OptionValue{Key: key, Value: spec.ExtraConfig[key]})
	}
	network := spec.Network
	if network == "" {
		network = c.config.Network
	}
	if network != "" {
		change, err := c.connectFirstCard(ctx, conn, template.cards, network, spec.VLAN, true)
		if err != nil {
			return request, err
		}
		if change != nil {
			request.Location.DeviceChange = []types.BaseVirtualDeviceConfigSpec{change}
		}
	}
	if spec.HostName != "" {
		customisation, err := spec.customisation(template)
		if err != nil {
			return request, err
		}
		request.Customization = customisation
	}
	return request, nil
}
