package vsphere

import (
	"net/url"
	"testing"
)

func TestVMRCLinkNamesMachineAndTicket(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	vm := v.otherVM()
	link, err := v.client().VMRCLink(t.Context(), vm.Config.InstanceUuid)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "vmrc" || u.User.Username() != "clone" || u.Query().Get("moid") != vm.Self.Value {
		t.Errorf("the link is %q (%v)", link, err)
	}
	if ticket, _ := u.User.Password(); ticket == "" {
		t.Error("it has no ticket")
	}
}
