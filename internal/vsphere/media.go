package vsphere

import (
	"context"
	"slices"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// libraryFolder is the part of the cloud's datastore that holds ISO files: one
// folder per org, and one for all.
const libraryFolder = "iso"

// ISO is a file of the library. Its name is folder and file, "acme/debian.iso":
// the datastore it lies on is nobody's business.
type ISO struct {
	Name      string
	SizeBytes int64
}

// Media is what is in a machine's CD drive.
type Media struct {
	HasDrive bool
	ISO      string // as ISO.Name; the datastore's path for one from elsewhere; "" when empty
}

// ISOs lists the library's files in the given folders, by name. A folder that
// isn't there has none.
func (c *Client) ISOs(ctx context.Context, folders []string) ([]ISO, error) {
	var list []ISO
	err := c.do(ctx, "list the ISO library", func(ctx context.Context, conn *connection) error {
		list = nil
		datastore, err := c.library(ctx, conn)
		if err != nil {
			return err
		}
		browser, err := datastore.Browser(ctx)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			found, err := searchFolder(ctx, browser, datastore.Path(libraryFolder+"/"+folder))
			if err != nil {
				return err
			}
			for _, file := range found {
				info := file.GetFileInfo()
				list = append(list, ISO{Name: folder + "/" + info.Path, SizeBytes: info.FileSize})
			}
		}
		slices.SortFunc(list, func(a, b ISO) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	return list, err
}

func searchFolder(ctx context.Context, browser *object.HostDatastoreBrowser, path string) ([]types.BaseFileInfo, error) {
	search, err := browser.SearchDatastore(ctx, path, &types.HostDatastoreBrowserSearchSpec{
		Query:        []types.BaseFileQuery{&types.IsoImageFileQuery{}},
		Details:      &types.FileQueryFlags{FileType: true, FileSize: true},
		MatchPattern: []string{"*.iso"},
	})
	if err != nil {
		return nil, err
	}
	info, err := search.WaitForResult(ctx, nil)
	if isMissingFile(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, _ := info.Result.(types.HostDatastoreBrowserSearchResults)
	return found.File, nil
}

func isMissingFile(err error) bool {
	failed, ok := err.(interface{ Fault() types.BaseMethodFault })
	if !ok {
		return false
	}
	_, missing := failed.Fault().(*types.FileNotFound)
	return missing
}

// library is the datastore that holds the ISO files: the cloud's own, or the
// first where none is named.
func (c *Client) library(ctx context.Context, conn *connection) (*object.Datastore, error) {
	finder, err := c.finder(ctx, conn)
	if err != nil {
		return nil, err
	}
	if c.config.Datastore != "" {
		return finder.Datastore(ctx, c.config.Datastore)
	}
	return firstDatastore(ctx, finder)
}

func firstDatastore(ctx context.Context, finder *find.Finder) (*object.Datastore, error) {
	all, err := finder.DatastoreList(ctx, "*")
	if err != nil {
		return nil, err
	}
	return firstByPath(all, func(d *object.Datastore) string { return d.InventoryPath }), nil
}

// Media looks into a machine's CD drive.
func (c *Client) Media(ctx context.Context, instanceUUID string) (Media, error) {
	var media Media
	err := c.do(ctx, "look into the CD drive of VM "+instanceUUID, func(ctx context.Context, conn *connection) error {
		ref, err := findByUUID(ctx, conn, instanceUUID)
		if err != nil {
			return err
		}
		drive, err := cdDrive(ctx, conn, ref)
		if err != nil {
			return err
		}
		media = Media{HasDrive: drive != nil, ISO: insertedISO(drive)}
		return nil
	})
	return media, err
}

// StartMedia inserts a file of the library, or ejects with "". The TaskRef is
// empty when there is nothing to change.
func (c *Client) StartMedia(ctx context.Context, ref, iso string) (TaskRef, error) {
	var task TaskRef
	err := c.do(ctx, "change the CD of "+ref, func(ctx context.Context, conn *connection) error {
		drive, err := cdDrive(ctx, conn, vmRef(ref))
		if err != nil {
			return err
		}
		switch {
		case drive == nil && iso == "", drive != nil && insertedISO(drive) == iso:
			return nil
		case drive == nil:
			return refuse(CodeInvalidSpec, "there is no CD drive")
		}
		changed := *drive
		changed.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true, StartConnected: iso != "", Connected: iso != ""}
		changed.Backing = &types.VirtualCdromRemotePassthroughBackingInfo{}
		changed.DeviceInfo = nil // vCenter's words for what was in it
		if iso != "" {
			datastore, err := c.library(ctx, conn)
			if err != nil {
				return err
			}
			backing := &types.VirtualCdromIsoBackingInfo{}
			backing.FileName = datastore.Path(libraryFolder + "/" + iso)
			changed.Backing = backing
		}
		submitted, err := object.NewVirtualMachine(conn.vim, vmRef(ref)).Reconfigure(ctx, types.VirtualMachineConfigSpec{
			DeviceChange: []types.BaseVirtualDeviceConfigSpec{
				&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: &changed},
			},
		})
		if err != nil {
			return err
		}
		task = TaskRef(submitted.Reference().Value)
		return nil
	})
	return task, err
}

// AnswerEject answers what a machine asks while its CD is taken out under a
// guest that has locked the drive: yes, take it out. It says whether there was
// such a question; the vSphere task that waits for it goes on then.
func (c *Client) AnswerEject(ctx context.Context, ref string) (bool, error) {
	answered := false
	err := c.do(ctx, "answer a question of "+ref, func(ctx context.Context, conn *connection) error {
		var loaded mo.VirtualMachine
		if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, vmRef(ref), []string{"runtime.question"}, &loaded); err != nil {
			return err
		}
		question := loaded.Runtime.Question
		if question == nil || !asksForEject(question) {
			return nil
		}
		answered = true
		return object.NewVirtualMachine(conn.vim, vmRef(ref)).Answer(ctx, question.Id, yesOf(question))
	})
	return answered, err
}

// asksForEject knows the question by its message id, and by its words where an
// old host sends no id. Nothing else is answered.
func asksForEject(q *types.VirtualMachineQuestionInfo) bool {
	for _, m := range q.Message {
		if strings.HasPrefix(m.Id, "msg.cdromdisconnect.locked") {
			return true
		}
	}
	return strings.Contains(q.Text, "msg.cdromdisconnect.locked") || strings.Contains(q.Text, "locked the CD-ROM door")
}

// yesOf is the key of the answer "Yes", by its label where it is English, else
// the first: vSphere offers Yes before No.
func yesOf(q *types.VirtualMachineQuestionInfo) string {
	for _, choice := range q.Choice.ChoiceInfo {
		d := choice.GetElementDescription()
		if strings.EqualFold(strings.TrimSpace(d.Label), "yes") || strings.HasSuffix(d.Label, ".yes") {
			return d.Key
		}
	}
	if len(q.Choice.ChoiceInfo) > 0 {
		return q.Choice.ChoiceInfo[0].GetElementDescription().Key
	}
	return "0"
}

func cdDrive(ctx context.Context, conn *connection, ref types.ManagedObjectReference) (*types.VirtualCdrom, error) {
	var loaded mo.VirtualMachine
	if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, ref, []string{"config.hardware.device"}, &loaded); err != nil {
		return nil, err
	}
	if loaded.Config == nil {
		return nil, refuse(CodeInvalidState, "the configuration of %s can't be read", ref.Value)
	}
	for _, d := range object.VirtualDeviceList(loaded.Config.Hardware.Device).SelectByType((*types.VirtualCdrom)(nil)) {
		if drive, ok := d.(*types.VirtualCdrom); ok {
			return drive, nil
		}
	}
	return nil, nil //nolint:nilnil // a machine without one is nothing wrong
}

// insertedISO names the file in the drive, "" when it is empty.
func insertedISO(drive *types.VirtualCdrom) string {
	if drive == nil {
		return ""
	}
	backing, ok := drive.Backing.(*types.VirtualCdromIsoBackingInfo)
	if !ok || drive.Connectable != nil && !drive.Connectable.StartConnected {
		return ""
	}
	var path object.DatastorePath
	if path.FromString(backing.FileName) {
		if name, ours := strings.CutPrefix(path.Path, libraryFolder+"/"); ours {
			return name
		}
	}
	return backing.FileName
}
