package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const helpText = `This guest is simulated. It knows:
  help  hostname  ip  uptime  uname  whoami  id  ls  cat /etc/os-release
  free  df  nproc  mount  umount  echo  date  history  clear  exit
  reboot  poweroff`

// answer is what a command prints.
func (s *screen) answer(words []string, line string) string {
	m, t := s.machine, s.template
	switch words[0] {
	case "help", "?":
		return helpText
	case "hostname":
		return m.hostName()
	case "whoami":
		return s.shell.user
	case "id":
		if s.shell.user == "root" {
			return "uid=0(root) gid=0(root) groups=0(root)"
		}
		return fmt.Sprintf("uid=1000(%[1]s) gid=1000(%[1]s) groups=1000(%[1]s),27(sudo)", s.shell.user)
	case "ip", "ifconfig", "ipconfig":
		return fmt.Sprintf("1: lo: <LOOPBACK,UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n"+
			"2: ens192: <BROADCAST,MULTICAST,UP> mtu 1500\n    link/ether %s\n    inet %s/24 scope global ens192",
			m.mac(), m.address())
	case "uptime":
		up := s.uptime()
		return fmt.Sprintf(" %s up %d:%02d:%02d,  1 user,  load average: 0.00, 0.01, 0.00",
			time.Now().Format("15:04:05"), int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60)
	case "uname", "ver":
		return uname(t, m.hostName(), slices.Contains(words, "-a"))
	case "ls", "dir":
		return "\x1b[1;34mbackup\x1b[0m  \x1b[1;34mbin\x1b[0m  notes.txt"
	case "cat", "type":
		return s.cat(words[1:])
	case "echo":
		return strings.TrimSpace(strings.TrimPrefix(line, "echo"))
	case "date":
		return time.Now().UTC().Format("Mon Jan _2 15:04:05 UTC 2006")
	case "nproc":
		return strconv.Itoa(int(m.VCPUs))
	case "free":
		total := m.MemoryMiB
		used := total/8 + 60
		return fmt.Sprintf("               total        used        free\nMem:    %8d Mi %8d Mi %8d Mi\nSwap:          0 Mi        0 Mi        0 Mi",
			total, used, max(0, total-used))
	case "df":
		gib := m.diskGiB()
		return fmt.Sprintf("Filesystem      Size  Used Avail Use%% Mounted on\n/dev/sda1    %6dG  1.9G %4dG %3d%% /", gib, max(0, gib-2), 200/max(2, gib))
	case "history":
		var b strings.Builder
		for i, h := range s.shell.history {
			fmt.Fprintf(&b, "%4d  %s\n", i+1, h)
		}
		return b.String()
	case "pwd":
		return "/home/" + s.shell.user
	case "mount":
		return s.mount()
	case "umount", "eject":
		return s.unmount()
	case "true", "cd":
		return ""
	}
	if t.boot == bootWindows {
		return "'" + words[0] + "' is not recognized as an internal or external command." //nolint:misspell // as Windows spells it
	}
	return "-bash: " + words[0] + ": command not found"
}

func uname(t Template, host string, all bool) string {
	system := "Linux"
	switch t.boot {
	case bootSystemd, bootOpenRC: // both are Linux
	case bootFreeBSD:
		system = "FreeBSD"
	case bootWindows:
		return "Microsoft Windows [Version " + t.kernel + "]"
	}
	if !all {
		return system
	}
	return fmt.Sprintf("%s %s %s x86_64", system, host, t.kernel)
}

func (s *screen) cat(files []string) string {
	if len(files) == 0 {
		return ""
	}
	t := s.template
	number, word, _ := strings.Cut(t.Version, " ")
	switch files[0] {
	case "/etc/os-release":
		return fmt.Sprintf("PRETTY_NAME=\"%s %s\"\nNAME=\"%s\"\nVERSION_ID=\"%s\"\nVERSION=\"%s\"\nID=%s",
			t.OS, t.Version, t.OS, number, strings.TrimSpace(number+" "+word), t.OSFamily)
	case "/etc/hostname":
		return s.machine.hostName()
	case "/etc/machine-id", "/sys/class/dmi/id/product_uuid":
		return strings.ReplaceAll(s.machine.InstanceUUID, "-", "")
	case "notes.txt":
		return "Change the admin password.\nOpen the firewall for the new service.\nBackups run at 02:00."
	}
	return "cat: " + files[0] + ": No such file or directory"
}
