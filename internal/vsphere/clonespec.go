package vsphere

import (
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	defaultDomain = "internal"
	// netBIOSLength is how long a Windows computer name may be.
	netBIOSLength = 15
	// extraConfigValueMax keeps guest data inside what the VMX file takes.
	extraConfigValueMax = 64 << 10

	vcpusMax     = 768            // vSphere 8's own limits
	memoryMiBMax = 24 << 10 << 10 // 24 TiB
)

var (
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// allowedExtraConfig is the whole list. ExtraConfig reaches into the VMX file:
// other keys turn off isolation or map the host's devices.
func allowedExtraConfig(key string) bool {
	switch key {
	case "guestinfo.metadata", "guestinfo.metadata.encoding",
		"guestinfo.userdata", "guestinfo.userdata.encoding",
		"guestinfo.vendordata", "guestinfo.vendordata.encoding":
		return true // cloud-init
	}
	rest, ours := strings.CutPrefix(key, "guestinfo.millwright.")
	return ours && namePattern.MatchString(rest)
}

func isUUID(text string) bool {
	_, err := uuid.Parse(text)
	return err == nil && len(text) == 36
}

func (s CloneSpec) validate() error {
	switch {
	case !isUUID(s.InstanceUUID):
		return refuse(CodeInvalidSpec, "instance UUID %q", s.InstanceUUID)
	case !isUUID(s.TemplateUUID):
		return refuse(CodeInvalidSpec, "template UUID %q", s.TemplateUUID)
	case !namePattern.MatchString(s.Name):
		return refuse(CodeInvalidSpec, "VM name %q", s.Name)
	case s.OrgFolder != "" && !namePattern.MatchString(s.OrgFolder):
		return refuse(CodeInvalidSpec, "folder name %q", s.OrgFolder)
	case s.VCPUs < 0 || s.VCPUs > vcpusMax:
		return refuse(CodeInvalidSpec, "%d virtual CPUs", s.VCPUs)
	case s.MemoryMiB < 0 || s.MemoryMiB > memoryMiBMax:
		return refuse(CodeInvalidSpec, "%d MiB of memory", s.MemoryMiB)
	}
	for key, value := range s.ExtraConfig {
		if !allowedExtraConfig(key) {
			return refuse(CodeInvalidSpec, "extra configuration key %q is not allowed", key)
		}
		if len(value) > extraConfigValueMax || strings.ContainsRune(value, 0) {
			return refuse(CodeInvalidSpec, "the value of %s can't be stored", key)
		}
	}
	return s.validateGuest()
}

func (s CloneSpec) validateGuest() error {
	if s.HostName == "" {
		if s.Address != "" {
			return refuse(CodeInvalidSpec, "an address needs a host name")
		}
		return nil
	}
	if !namePattern.MatchString(s.HostName) || strings.HasSuffix(s.HostName, "-") {
		return refuse(CodeInvalidSpec, "host name %q", s.HostName)
	}
	if s.Domain != "" && !domainPattern.MatchString(s.Domain) {
		return refuse(CodeInvalidSpec, "domain %q", s.Domain)
	}
	for _, server := range s.DNS {
		if _, err := netip.ParseAddr(server); err != nil {
			return refuse(CodeInvalidSpec, "name server %q", server)
		}
	}
	if s.Address == "" {
		return nil
	}
	if address, err := netip.ParseAddr(s.Address); err != nil || !address.Is4() {
		return refuse(CodeInvalidSpec, "IPv4 address %q", s.Address)
	}
	if s.PrefixLength < 1 || s.PrefixLength > 32 {
		return refuse(CodeInvalidSpec, "prefix length %d", s.PrefixLength)
	}
	if gateway, err := netip.ParseAddr(s.Gateway); s.Gateway != "" && (err != nil || !gateway.Is4()) {
		return refuse(CodeInvalidSpec, "gateway %q", s.Gateway)
	}
	return nil
}

// customisation is what vSphere does inside the guest at its first start. The
// first network card gets our address, any other asks DHCP: vSphere insists on
// one entry per card.
func (s CloneSpec) customisation(template Template) (*types.CustomizationSpec, error) {
	if template.NetworkCards == 0 && s.Address != "" {
		return nil, refuse(CodeInvalidSpec, "template %s has no network card to give an address to", template.Name)
	}
	spec := &types.CustomizationSpec{
		Identity:         s.identity(template.GuestID),
		GlobalIPSettings: types.CustomizationGlobalIPSettings{DnsServerList: s.DNS},
	}
	for card := range template.NetworkCards {
		adapter := types.CustomizationIPSettings{Ip: &types.CustomizationDhcpIpGenerator{}}
		if card == 0 && s.Address != "" {
			adapter = types.CustomizationIPSettings{
				Ip:            &types.CustomizationFixedIp{IpAddress: s.Address},
				SubnetMask:    net.IP(net.CIDRMask(s.PrefixLength, 32)).String(),
				DnsServerList: s.DNS,
			}
			if s.Gateway != "" {
				adapter.Gateway = []string{s.Gateway}
			}
		}
		spec.NicSettingMap = append(spec.NicSettingMap, types.CustomizationAdapterMapping{Adapter: adapter})
	}
	return spec, nil
}

func (s CloneSpec) identity(guestID string) types.BaseCustomizationIdentitySettings {
	if strings.HasPrefix(strings.ToLower(guestID), "win") {
		name := strings.TrimRight(s.HostName[:min(len(s.HostName), netBIOSLength)], "-")
		return &types.CustomizationSysprep{
			GuiUnattended: types.CustomizationGuiUnattended{TimeZone: 85}, // GMT; the image may set its own
			UserData: types.CustomizationUserData{
				FullName:     "Administrator",
				OrgName:      "Millwright",
				ComputerName: &types.CustomizationFixedName{Name: name},
			},
			Identification: types.CustomizationIdentification{JoinWorkgroup: "WORKGROUP"},
		}
	}
	domain := s.Domain
	if domain == "" {
		domain = defaultDomain
	}
	return &types.CustomizationLinuxPrep{
		HostName:   &types.CustomizationFixedName{Name: s.HostName},
		Domain:     domain,
		HwClockUTC: new(true),
	}
}
