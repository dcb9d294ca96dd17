package vsphere

import (
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func TestUnsafeCloneSpecIsRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	c := New(Config{URL: "https://127.0.0.1:1"})
	for name, change := range map[string]func(*CloneSpec){
		"climbing name":      func(s *CloneSpec) { s.Name = "../../etc" },
		"upper case":         func(s *CloneSpec) { s.Name = "Web" },
		"long name":          func(s *CloneSpec) { s.Name = strings.Repeat("a", 64) },
		"climbing folder":    func(s *CloneSpec) { s.OrgFolder = "a/../b" },
		"no UUID":            func(s *CloneSpec) { s.InstanceUUID = "" },
		"braced UUID":        func(s *CloneSpec) { s.InstanceUUID = "{" + machineUUID + "}" },
		"template by name":   func(s *CloneSpec) { s.TemplateUUID = "debian" },
		"container":          func(s *CloneSpec) { s.ExtraConfig = map[string]string{"RUN.container": "nginx"} },
		"isolation":          func(s *CloneSpec) { s.ExtraConfig = map[string]string{"isolation.tools.copy.disable": "false"} },
		"disguised key":      func(s *CloneSpec) { s.ExtraConfig = map[string]string{"guestinfo.millwright.a\nb": "x"} },
		"big value":          func(s *CloneSpec) { s.ExtraConfig["guestinfo.userdata"] = strings.Repeat("x", 70_000) },
		"host name":          func(s *CloneSpec) { s.HostName = "web 1; rm" },
		"host name's end":    func(s *CloneSpec) { s.HostName = "web-" },
		"domain":             func(s *CloneSpec) { s.Domain = "a b" },
		"address":            func(s *CloneSpec) { s.Address = "10.0.0.256" },
		"IPv6 address":       func(s *CloneSpec) { s.Address = "fd00::1" },
		"prefix":             func(s *CloneSpec) { s.PrefixLength = 0 },
		"gateway":            func(s *CloneSpec) { s.Gateway = "gw" },
		"name server":        func(s *CloneSpec) { s.DNS = []string{"dns.example"} },
		"address, no name":   func(s *CloneSpec) { s.HostName = "" },
		"negative CPUs":      func(s *CloneSpec) { s.VCPUs = -1 },
		"too much memory":    func(s *CloneSpec) { s.MemoryMiB = 1 << 40 },
		"enormous CPU count": func(s *CloneSpec) { s.VCPUs = 1 << 33 },
	} {
		spec := cloneSpec(machineUUID)
		change(&spec)
		if _, err := c.StartClone(t.Context(), spec); CodeOf(err) != CodeInvalidSpec {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCustomisationFitsTheTemplate(t *testing.T) {
	t.Parallel()
	spec := cloneSpec(machineUUID)
	spec.HostName = "a-name-longer-than-netbios"
	made, err := spec.customisation(Template{GuestID: "windows2022srvNext_64Guest", NetworkCards: 2})
	if err != nil {
		t.Fatal(err)
	}
	sysprep, ok := made.Identity.(*types.CustomizationSysprep)
	if !ok {
		t.Fatalf("identity is %T", made.Identity)
	}
	if name, _ := sysprep.UserData.ComputerName.(*types.CustomizationFixedName); name == nil || name.Name != "a-name-longer-t" {
		t.Errorf("computer name %+v", sysprep.UserData.ComputerName)
	}
	if len(made.NicSettingMap) != 2 {
		t.Fatalf("%d adapters for 2 cards", len(made.NicSettingMap))
	}
	if mask := made.NicSettingMap[0].Adapter.SubnetMask; mask != "255.255.255.0" {
		t.Errorf("netmask %s", mask)
	}
	if _, ok := made.NicSettingMap[1].Adapter.Ip.(*types.CustomizationDhcpIpGenerator); !ok {
		t.Error("the second card must ask DHCP")
	}
	_, err = spec.customisation(Template{NetworkCards: 0})
	wantCode(t, err, CodeInvalidSpec)
}
