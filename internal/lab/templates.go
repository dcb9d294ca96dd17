package lab

import (
	"slices"

	"crypto/sha256"
	"github.com/google/uuid"
)

// The two clouds of the demo.
const (
	CloudPublic  = "public"
	CloudPrivate = "private"
)

// Template is one entry of the catalogue that the simulated vCenters offer.
type Template struct {
	Slug         string
	Name         string
	OS           string
	OSFamily     string // key of an icon
	Version      string
	Description  string
	GuestID      string // vSphere's name for the guest system
	MinVCPUs     int
	MinMemoryMiB int
	MinDiskGiB   int
	Clouds       []string // where it exists

	boot   bootStyle
	kernel string
}

// templateNamespace makes instance UUIDs that are the same on every computer,
// so that a portal finds its templates again after the lab was thrown away.
var templateNamespace = uuid.MustParse("3f1c7a52-52f5-4a49-9a0e-0c6d6e6f7a31")

// InstanceUUID identifies the template's virtual machine in one cloud.
func (t Template) InstanceUUID(cloud string) string {
	return derived([]byte(cloud + "/" + t.Slug))
}

// derived is a UUID that follows from the name. SHA-256: enforced FIPS 140-3
// refuses the SHA-1 of the usual ones.
func derived(name []byte) string {
	const custom = 8 // RFC 9562
	return uuid.NewHash(sha256.New(), templateNamespace, name, custom).String()
}

// In tells whether the cloud has the template. Clouds with other names than
// the demo's (in tests) have all of them.
func (t Template) In(cloud string) bool {
	if cloud != CloudPublic && cloud != CloudPrivate {
		return true
	}
	return slices.Contains(t.Clouds, cloud)
}

// TemplateBySlug returns one entry of the catalogue.
func TemplateBySlug(slug string) (Template, bool) {
	for _, t := range Templates() {
		if t.Slug == slug {
			return t, true
		}
	}
	return Template{}, false
}

// Templates is the catalogue, in the order in which a menu shows it.
func Templates() []Template {
	both := []string{CloudPublic, CloudPrivate}
	return []Template{
		{
			Slug: "ubuntu-24-04", Name: "Ubuntu 24.04 LTS", OS: "Ubuntu", OSFamily: "ubuntu", Version: "24.04.3 LTS",
			Description: "Noble Numbat, server install with cloud-init and open-vm-tools. Standard support until 2029.",
			GuestID:     "ubuntu64Guest", MinVCPUs: 1, MinMemoryMiB: 1024, MinDiskGiB: 10, Clouds: both,
			boot: bootSystemd, kernel: "6.8.0-84-generic",
		},
		{
			Slug: "debian-13", Name: "Debian 13", OS: "Debian GNU/Linux", OSFamily: "debian", Version: "13.1 trixie",
			Description: "The current stable release, minimal install with cloud-init. A good default for services.",
			GuestID:     "debian13_64Guest", MinVCPUs: 1, MinMemoryMiB: 512, MinDiskGiB: 8, Clouds: both,
			boot: bootSystemd, kernel: "6.12.48+deb13-amd64",
		},
		{
			Slug: "debian-12", Name: "Debian 12", OS: "Debian GNU/Linux", OSFamily: "debian", Version: "12.12 bookworm",
			Description: "The previous stable release, for software that is not ready for trixie.",
			GuestID:     "debian12_64Guest", MinVCPUs: 1, MinMemoryMiB: 512, MinDiskGiB: 8, Clouds: both,
			boot: bootSystemd, kernel: "6.1.0-40-amd64",
		},
		{
			Slug: "rocky-9", Name: "Rocky Linux 9", OS: "Rocky Linux", OSFamily: "rocky", Version: "9.6 Blue Onyx",
			Description: "Binary compatible with RHEL 9; SELinux enforcing, firewalld on, cloud-init ready.",
			GuestID:     "rockylinux_64Guest", MinVCPUs: 1, MinMemoryMiB: 1024, MinDiskGiB: 10, Clouds: both,
			boot: bootSystemd, kernel: "5.14.0-570.el9.x86_64",
		},
		{
			Slug: "almalinux-9", Name: "AlmaLinux 9", OS: "AlmaLinux", OSFamily: "almalinux", Version: "9.6 Sage Margay",
			Description: "Community enterprise Linux, hardened by the CIS level 1 profile.",
			GuestID:     "almalinux_64Guest", MinVCPUs: 1, MinMemoryMiB: 1024, MinDiskGiB: 10, Clouds: []string{CloudPublic},
			boot: bootSystemd, kernel: "5.14.0-570.el9.x86_64",
		},
		{
			Slug: "windows-server-2025", Name: "Windows Server 2025", OS: "Windows Server", OSFamily: "windows", Version: "2025 Standard",
			Description: "Server Core with OpenSSH, sysprepped. The licence is part of the price.",
			GuestID:     "windows2022srvNext_64Guest", MinVCPUs: 2, MinMemoryMiB: 4096, MinDiskGiB: 40, Clouds: both,
			boot: bootWindows, kernel: "10.0.26100",
		},
		{
			Slug: "freebsd-14", Name: "FreeBSD 14", OS: "FreeBSD", OSFamily: "freebsd", Version: "14.3-RELEASE",
			Description: "ZFS root, open-vm-tools and nuageinit. For network appliances and storage.",
			GuestID:     "freebsd14_64Guest", MinVCPUs: 1, MinMemoryMiB: 1024, MinDiskGiB: 10, Clouds: both,
			boot: bootFreeBSD, kernel: "14.3-RELEASE",
		},
		{
			Slug: "alpine-3-22", Name: "Alpine Linux 3.22", OS: "Alpine Linux", OSFamily: "alpine", Version: "3.22.1",
			Description: "Boots in a second and needs next to nothing: musl, BusyBox and OpenRC.",
			GuestID:     "other6xLinux64Guest", MinVCPUs: 1, MinMemoryMiB: 256, MinDiskGiB: 2, Clouds: both,
			boot: bootOpenRC, kernel: "6.12.31-0-virt",
		},
		{
			Slug: "postgresql-17", Name: "PostgreSQL 17 on Debian", OS: "Debian GNU/Linux", OSFamily: "debian", Version: "17.6",
			Description: "Appliance: PostgreSQL 17 with nightly base backups and pgBouncer, ready after first boot.",
			GuestID:     "debian12_64Guest", MinVCPUs: 2, MinMemoryMiB: 4096, MinDiskGiB: 40, Clouds: []string{CloudPrivate},
			boot: bootSystemd, kernel: "6.1.0-40-amd64",
		},
	}
}
