package vsphere

import (
	"context"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/types"
)

// orgPlace finds or makes the org's folder and pool. Two nodes may do so at
// the same time: the one that comes second is told the first one's reference.
func (c *Client) orgPlace(ctx context.Context, conn *connection, place *placement, name string) (orgPlace, error) {
	if name == "" {
		return orgPlace{folder: place.folder, pool: place.pool}, nil
	}
	return remembered(ctx, c, "org "+name,
		func(i *inventoryCache) (orgPlace, bool) { p, ok := i.orgs[name]; return p, ok },
		func(ctx context.Context) (orgPlace, error) {
			folder, err := ensureFolder(ctx, conn, place.folder, name)
			if err != nil {
				return orgPlace{}, err
			}
			pool := place.pool
			// Without DRS a cluster's pool can't have children.
			if place.drs {
				if pool, err = ensurePool(ctx, conn, place.pool, name); err != nil {
					return orgPlace{}, err
				}
			}
			return orgPlace{folder: folder, pool: pool}, nil
		},
		func(i *inventoryCache, p orgPlace) { i.orgs[name] = p })
}

func ensureFolder(ctx context.Context, conn *connection, parent types.ManagedObjectReference, name string) (types.ManagedObjectReference, error) {
	found, err := childNamed(ctx, conn, parent, "childEntity", "Folder", name)
	if err != nil || found != nil {
		return deref(found), err
	}
	made, err := object.NewFolder(conn.vim, parent).CreateFolder(ctx, name)
	if err == nil {
		return made.Reference(), nil
	}
	return existing(err, "Folder")
}

func ensurePool(ctx context.Context, conn *connection, parent types.ManagedObjectReference, name string) (types.ManagedObjectReference, error) {
	found, err := childNamed(ctx, conn, parent, "resourcePool", "ResourcePool", name)
	if err != nil || found != nil {
		return deref(found), err
	}
	made, err := object.NewResourcePool(conn.vim, parent).Create(ctx, name, types.DefaultResourceConfigSpec())
	if err == nil {
		return made.Reference(), nil
	}
	return existing(err, "ResourcePool")
}

// existing takes the reference out of a DuplicateName. Another kind of object
// of that name (a VM in place of a folder) stays an error.
func existing(err error, kind string) (types.ManagedObjectReference, error) {
	var duplicate *types.DuplicateName
	if _, ok := fault.As(err, &duplicate); ok && duplicate.Object.Type == kind {
		return duplicate.Object, nil
	}
	return types.ManagedObjectReference{}, err
}

func deref(ref *types.ManagedObjectReference) types.ManagedObjectReference {
	if ref == nil {
		return types.ManagedObjectReference{}
	}
	return *ref
}

// childNamed reads the names of one kind of children in one call. A look-up by
// inventory path would make vCenter walk from the root.
func childNamed(ctx context.Context, conn *connection, parent types.ManagedObjectReference, path, kind, name string) (*types.ManagedObjectReference, error) {
	res, err := property.DefaultCollector(conn.vim).RetrieveProperties(ctx, types.RetrieveProperties{
		SpecSet: []types.PropertyFilterSpec{{
			ObjectSet: []types.ObjectSpec{{
				Obj:       parent,
				Skip:      new(true),
				SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: parent.Type, Path: path}},
			}},
			PropSet: []types.PropertySpec{{Type: kind, PathSet: []string{"name"}}},
		}},
	})
	if err != nil {
		return nil, err
	}
	for _, child := range res.Returnval {
		for _, found := range child.PropSet {
			if found.Val == name {
				return &child.Obj, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // none is an answer here: it will be made
}
