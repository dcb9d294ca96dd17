package lab

import (
	"fmt"
	"strings"
	"time"
)

// bootStyle is how a system looks while it starts.
type bootStyle int

const (
	bootSystemd bootStyle = iota
	bootOpenRC
	bootFreeBSD
	bootWindows
)

// bootSteps is in how many bites a boot is shown.
const bootSteps = 24

// boot shows the start of the guest, which began at a given time: from where
// it should be by now. One timer runs until the login prompt is there.
func (s *screen) boot(at time.Time, duration time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted {
		return
	}
	s.boots++
	s.bootAt = at
	if at.IsZero() {
		s.bootAt = time.Now()
	}
	s.shell = shell{}
	s.cursorOn = false
	s.resize(firmwareColumns, firmwareRows)
	s.write(firmware(s.machine))
	s.bootStep(s.boots, 0, bootLines(s.template, s.machine), duration)
}

// bootStep shows what is due, then waits for the next bite. The caller holds
// s.mu.
func (s *screen) bootStep(run, shown int, lines []string, duration time.Duration) {
	due := len(lines)
	if gone := time.Since(s.bootAt); gone < duration {
		due = int(int64(len(lines)) * int64(gone) / int64(duration))
	}
	if due > 0 && shown == 0 {
		s.resize(systemColumns, systemRows)
	}
	for ; shown < due; shown++ {
		s.write(lines[shown] + "\n")
	}
	if shown == len(lines) {
		s.login()
		return
	}
	time.AfterFunc(max(duration/bootSteps, 10*time.Millisecond), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.boots == run && !s.halted {
			s.bootStep(run, shown, lines, duration)
		}
	})
}

func firmware(m Machine) string {
	return fmt.Sprintf("\n  \x1b[1;37mNorthwind Virtual Platform\x1b[0m  firmware 6.00\n\n"+
		"  Processors  %d\n  Memory      %d MiB\n  Disk 0      %d GiB  pvscsi\n  Network 0   %s  vmxnet3\n\n"+
		"  Booting from disk 0 ...\n", m.VCPUs, m.MemoryMiB, m.diskGiB(), m.mac())
}

func (m Machine) diskGiB() int64 {
	var kib int64
	for _, d := range m.Disks {
		kib += d.CapacityKiB
	}
	return kib / kibPerGiB
}

func (m Machine) mac() string {
	if len(m.NICs) == 0 {
		return "none"
	}
	return m.NICs[0].MAC
}

func (m Machine) address() string {
	if len(m.Addresses) == 0 {
		return "0.0.0.0"
	}
	return m.Addresses[0]
}

func (m Machine) hostName() string {
	if m.HostName != "" {
		return m.HostName
	}
	return m.Name
}

const (
	okMark    = "[\x1b[32m  OK  \x1b[0m] "
	greenStar = " \x1b[32m*\x1b[0m "
)

func bootLines(t Template, m Machine) []string {
	var lines []string
	switch t.boot {
	case bootOpenRC:
		lines = append(kernelLines(t, m), "", "   \x1b[1;36mOpenRC 0.62\x1b[0m is starting up Linux "+t.kernel+" (x86_64)", "")
		for _, s := range []string{
			"Mounting /proc", "Mounting /run", "Mounting /dev", "Mounting security filesystem",
			"Checking local filesystems", "Remounting root filesystem read/write", "Setting hostname " + m.hostName(),
			"Configuring network eth0 " + m.address(), "Seeding random number generator", "Starting busybox syslog",
			"Starting open-vm-tools", "Starting cloud-init", "Starting chronyd", "Starting sshd",
		} {
			lines = append(lines, greenStar+s+strings.Repeat(" ", max(1, 66-len(s)))+"[ \x1b[32mok\x1b[0m ]")
		}
	case bootFreeBSD:
		lines = []string{
			"Loading kernel...", "/boot/kernel/kernel text=0x1a7a10 data=0x1d2000", "---<<BOOT>>---",
			"Copyright (c) 1992-2025 The FreeBSD Project.",
			"FreeBSD " + t.kernel + " GENERIC amd64", "VT(efifb): resolution 800x500",
			fmt.Sprintf("CPU: Northwind Virtual CPU (%d cores)", m.VCPUs),
			fmt.Sprintf("real memory  = %d (%d MB)", m.MemoryMiB<<20, m.MemoryMiB),
			"pvscsi0: <VMware PVSCSI> at device 0.0 on pci3",
			fmt.Sprintf("da0: %d GB (thin)", m.diskGiB()),
			"vmx0: <VMware VMXNET3 Ethernet Adapter> " + m.mac(), "vmx0: link state changed to UP",
			"Trying to mount root from zfs:zroot/ROOT/default []...", "Setting hostname: " + m.hostName() + ".",
			"Starting Network: lo0 vmx0.", "vmx0: inet " + m.address() + " netmask 0xffffff00",
			"Starting devd.", "Starting nuageinit.", "Starting vmware_guestd.", "Starting sshd.", "Starting cron.",
		}
	case bootWindows:
		lines = []string{
			"", "      \x1b[1;36m██\x1b[1;34m██\x1b[0m", "      \x1b[1;34m██\x1b[1;36m██\x1b[0m   \x1b[1;37mWindows Server 2025\x1b[0m", "",
			"      Getting devices ready", "      pvscsi   ready", "      vmxnet3  " + m.mac(),
			"      Getting ready", "      Applying computer settings", "      Name     " + strings.ToUpper(m.hostName()),
			"      Address  " + m.address(), "      VMware Tools started", "      OpenSSH Server started", "",
		}
	default:
		lines = kernelLines(t, m)
		for _, s := range []string{
			"Created slice \x1b[1msystem-getty.slice\x1b[0m - Slice /system/getty.", "Reached target \x1b[1mlocal-fs.target\x1b[0m - Local File Systems.",
			"Started \x1b[1msystemd-journald.service\x1b[0m - Journal Service.", "Finished \x1b[1msystemd-udev-trigger.service\x1b[0m - Coldplug All udev Devices.",
			"Finished \x1b[1mcloud-init-local.service\x1b[0m - cloud-init (local).", "Reached target \x1b[1mnetwork-pre.target\x1b[0m - Preparation for Network.",
			"Started \x1b[1msystemd-networkd.service\x1b[0m - Network Configuration.", "ens192: configured " + m.address() + "/24",
			"Reached target \x1b[1mnetwork-online.target\x1b[0m - Network is Online.", "Finished \x1b[1mcloud-init.service\x1b[0m - cloud-init.",
			"Started \x1b[1mopen-vm-tools.service\x1b[0m - VMware Guest Services.", "Started \x1b[1mchrony.service\x1b[0m - NTP client/server.",
			"Started \x1b[1mssh.service\x1b[0m - OpenBSD Secure Shell server.",
		} {
			lines = append(lines, okMark+s)
		}
		if strings.HasPrefix(t.Slug, "postgresql") {
			lines = append(lines, okMark+"Started \x1b[1mpostgresql@17-main.service\x1b[0m - PostgreSQL Cluster.", okMark+"Started \x1b[1mpgbouncer.service\x1b[0m - Connection pooler.")
		}
		lines = append(lines, okMark+"Reached target \x1b[1mmulti-user.target\x1b[0m - Multi-User System.")
	}
	return lines
}

func kernelLines(t Template, m Machine) []string {
	kernel := t.kernel
	if kernel == "" {
		kernel = "6.12.0"
	}
	stamp := func(at float64, s string) string { return fmt.Sprintf("[\x1b[32m%12.6f\x1b[0m] %s", at, s) }
	return []string{
		stamp(0, "Linux version "+kernel+" (build@northwind)"),
		stamp(0, "Command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet"),
		stamp(0.004211, "DMI: Northwind Virtual Platform, BIOS 6.00"),
		stamp(0.018874, fmt.Sprintf("Memory: %dK/%dK available", m.MemoryMiB*1004, m.MemoryMiB*1024)),
		stamp(0.104530, fmt.Sprintf("smp: Brought up 1 node, %d CPUs", m.VCPUs)),
		stamp(0.412766, "vmw_pvscsi: using MSI-X"),
		stamp(0.431190, fmt.Sprintf("sd 0:0:0:0: [sda] %d GiB thin disk", m.diskGiB())),
		stamp(0.518004, "vmxnet3 0000:0b:00.0 ens192: "+m.mac()),
		stamp(0.902113, "EXT4-fs (sda1): mounted filesystem with ordered data mode"),
	}
}
