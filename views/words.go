package views

import (
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// currency is what prices are shown in.
const currency = "€"

func machineLook(s models.MachineState) ui.Look {
	switch s {
	case models.MachineBuilding:
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Building", Spin: true}
	case models.MachineRunning:
		return ui.Look{Tone: ui.Good, Icon: "player-play", Label: "Running"}
	case models.MachineStopped:
		return ui.Look{Tone: ui.Idle, Icon: "player-stop", Label: "Stopped"}
	case models.MachineSuspended:
		return ui.Look{Tone: ui.Warn, Icon: "player-pause", Label: "Suspended"}
	case models.MachineMissing:
		return ui.Look{Tone: ui.Warn, Icon: "question-mark", Label: "Missing"}
	case models.MachineFailed:
		return ui.Look{Tone: ui.Bad, Icon: "alert-circle", Label: "Failed"}
	case models.MachineDeleting:
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Deleting", Spin: true}
	default:
		return ui.Look{Tone: ui.Idle, Icon: "trash", Label: "Deleted"}
	}
}

func taskLook(s models.TaskState) ui.Look {
	switch s {
	case models.TaskQueued:
		return ui.Look{Tone: ui.Idle, Icon: "hourglass", Label: "Queued"}
	case models.TaskRunning:
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Running", Spin: true}
	case models.TaskCancelling:
		return ui.Look{Tone: ui.Warn, Icon: "loader-2", Label: "Cancelling", Spin: true}
	case models.TaskSucceeded:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Succeeded"}
	case models.TaskFailed:
		return ui.Look{Tone: ui.Bad, Icon: "alert-circle", Label: "Failed"}
	default:
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Cancelled"}
	}
}

func outcomeLook(o models.Outcome) ui.Look {
	switch o {
	case models.OutcomeAccepted:
		return ui.Look{Tone: ui.Busy, Icon: "hourglass", Label: "Accepted"}
	case models.OutcomeSucceeded:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Succeeded"}
	case models.OutcomeCancelled:
		return ui.Look{Tone: ui.Warn, Icon: "x", Label: "Cancelled"}
	case models.OutcomeRefused:
		return ui.Look{Tone: ui.Warn, Icon: "ban", Label: "Refused"}
	default:
		return ui.Look{Tone: ui.Bad, Icon: "alert-circle", Label: "Failed"}
	}
}

func cloudLook(s models.CloudStatus) ui.Look {
	switch s {
	case models.CloudConnected:
		return ui.Look{Tone: ui.Good, Icon: "plug", Label: "Connected"}
	case models.CloudConnecting:
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Connecting", Spin: true}
	case models.CloudDisabled:
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Disabled"}
	default:
		return ui.Look{Tone: ui.Bad, Icon: "wifi-off", Label: "Unreachable"}
	}
}

// bytesText is an amount of data in its largest whole unit.
func bytesText(n int64) string {
	const step = 1024
	unit, v := "B", float64(n)
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < step {
			break
		}
		v, unit = v/step, u
	}
	digits := 0
	if unit != "B" && v < 10 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + unit
}

// actionWords says an action in the past tense, after the actor's name.
var actionWords = with(map[models.Action]string{
	models.ActionSignIn: "signed in", models.ActionSignInRefused: "was refused at sign-in", models.ActionSignOut: "signed out",
	models.ActionSessionRevoke: "ended sessions of", models.ActionFactorOn: "turned on the second factor of", models.ActionFactorOff: "turned off the second factor of",
	models.ActionRecoveryUse: "used a recovery code of", models.ActionTokenCreate: "made the API token", models.ActionTokenRevoke: "revoked the API token",
	models.ActionInvite: "invited", models.ActionInviteResend: "sent the invitation again to", models.ActionInviteEnd: "withdrew the invitation of",
	models.ActionMemberJoin: "joined", models.ActionMemberRole: "changed the role of", models.ActionMemberDisable: "disabled",
	models.ActionMemberEnable: "enabled", models.ActionMemberRemove: "removed", models.ActionAccountLink: "connected single sign-on to", models.ActionAccountUnlink: "disconnected single sign-on from",
	models.ActionAccountDisable: "disabled everywhere the account of", models.ActionAccountEnable: "enabled the account of",
	models.ActionMachineCreate: "ordered", models.ActionMachinePower: "changed the power of", models.ActionMachineDelete: "deleted",
	models.ActionMachineState: "saw a change of", models.ActionTaskCancel: "cancelled the task of", models.ActionTaskRetry: "retried the task of",
	models.ActionConsoleTicket: "asked for the console of", models.ActionConsoleOpen: "opened the console of",
	models.ActionConsoleClose: "closed the console of", models.ActionConsoleRefuse: "was refused the console of",
	models.ActionConsoleEnd: "ended somebody's console of", models.ActionConsoleVMRC: "asked for a VMRC link to", models.ActionMachineMedia: "changed the virtual CD of",
	models.ActionAccessRefused: "was refused", models.ActionSiteRefused: "was refused, coming from another site,", models.ActionEdgeRefused: "was refused as",
	models.ActionTokenRefused: "was refused with", models.ActionInviteRefused: "was refused with the invitation of",
	models.ActionPasswordSet: "set the password of", models.ActionConfigChange: "changed the settings of",
	models.ActionQuotaRepair:  "set right the quota of",
	models.ActionCloudDisable: "disabled the cloud", models.ActionCloudEnable: "enabled the cloud",
	models.ActionCloudDrain: "drained the cloud", models.ActionCloudUndrain: "opened for new machines the cloud", models.ActionCloudTest: "tested the connection to",
	models.ActionOrgCreate: "created the org", models.ActionQuotaChange: "changed name or quotas of", models.ActionOrgSuspend: "suspended", models.ActionOrgResume: "resumed",
	models.ActionLookStart: "began to look into", models.ActionLookEnd: "ended the look into", models.ActionLookExpire: "had the look run out into",
	models.ActionHistoryExport: "exported", models.ActionHistoryVerify: "verified", models.ActionHistoryArchive: "archived", models.ActionHistoryFault: "found a fault in",
}, networkWords)

// actionNames name an action in menus; in tables too, but for eventName.
var actionNames = with(map[models.Action]string{
	models.ActionSignIn: "Sign in", models.ActionSignInRefused: "Sign-in refused", models.ActionSignOut: "Sign out",
	models.ActionSessionRevoke: "End sessions", models.ActionFactorOn: "Second factor on", models.ActionFactorOff: "Second factor off",
	models.ActionRecoveryUse: "Recovery code used", models.ActionTokenCreate: "Make API token", models.ActionTokenRevoke: "Revoke API token",
	models.ActionInvite: "Invite", models.ActionInviteResend: "Invite again", models.ActionInviteEnd: "Withdraw invitation",
	models.ActionMemberJoin: "Join the org", models.ActionMemberRole: "Change role", models.ActionMemberDisable: "Disable member",
	models.ActionMemberEnable: "Enable member", models.ActionMemberRemove: "Remove member", models.ActionAccountLink: "Connect single sign-on", models.ActionAccountUnlink: "Disconnect single sign-on",
	models.ActionAccountDisable: "Disable account", models.ActionAccountEnable: "Enable account",
	models.ActionMachineCreate: "Order machine", models.ActionMachinePower: "Change power", models.ActionMachineDelete: "Delete machine",
	models.ActionMachineState: "State seen", models.ActionTaskCancel: "Cancel task", models.ActionTaskRetry: "Retry task",
	models.ActionConsoleTicket: "Console ticket", models.ActionConsoleOpen: "Open console",
	models.ActionConsoleClose: "Close console", models.ActionConsoleRefuse: "Console refused",
	models.ActionConsoleEnd: "End somebody's console", models.ActionConsoleVMRC: "VMRC link", models.ActionMachineMedia: "Change virtual CD",
	models.ActionAccessRefused: "Access refused", models.ActionSiteRefused: "Other site refused", models.ActionEdgeRefused: "Gateway refused",
	models.ActionTokenRefused: "API token refused", models.ActionInviteRefused: "Invitation refused",
	models.ActionPasswordSet: "Set password", models.ActionConfigChange: "Change settings",
	models.ActionQuotaRepair:  "Set quota right",
	models.ActionCloudDisable: "Disable cloud", models.ActionCloudEnable: "Enable cloud",
	models.ActionCloudDrain: "Drain cloud", models.ActionCloudUndrain: "Undrain cloud", models.ActionCloudTest: "Test connection",
	models.ActionOrgCreate: "Create org", models.ActionQuotaChange: "Change quotas", models.ActionOrgSuspend: "Suspend org", models.ActionOrgResume: "Resume org",
	models.ActionLookStart: "Look into org", models.ActionLookEnd: "End look", models.ActionLookExpire: "Look ran out",
	models.ActionHistoryExport: "Export history", models.ActionHistoryVerify: "Verify history", models.ActionHistoryArchive: "Archive history", models.ActionHistoryFault: "Fault in history",
}, networkNames)

var actionIcons = map[string]string{
	"session": "key", "machine": "server-2", "task": "list-check", "console": "terminal-2", "access": "ban", "provider": "adjustments-horizontal",
	"user": "user", "token": "key", "member": "user", "history": "history",
	"network": "network", "public_ip": "world", "service": "world-share", "node": "server-2", "firewall": "shield", "vpn": "shield-lock", "edge": "router",
	"cloud": "cloud", "org": "building", "look": "search",
}

func actionName(a models.Action) string {
	if name, ok := actionNames[a]; ok {
		return name
	}
	return string(a)
}

func actionIcon(a models.Action) string {
	room, _, _ := strings.Cut(string(a), ".")
	if icon, ok := actionIcons[room]; ok {
		return icon
	}
	return "activity"
}

func taskTitle(t models.Task) string { return taskWords(t.Kind, t.Op) }

func taskWords(kind models.TaskKind, op models.PowerOp) string {
	switch kind {
	case models.TaskCreate:
		return "Create"
	case models.TaskDelete:
		return "Delete"
	case models.TaskMedia:
		return "Change CD of"
	case models.TaskRetire:
		return "Scale in"
	case models.TaskClear:
		return "Clear up after"
	default:
		return powerName(op)
	}
}

func powerName(op models.PowerOp) string {
	switch op {
	case models.PowerStart:
		return "Start"
	case models.PowerStop:
		return "Power off"
	case models.PowerShutdown:
		return "Shut down"
	case models.PowerReset:
		return "Reset"
	case models.PowerSuspend:
		return "Suspend"
	case models.PowerResume:
		return "Resume"
	default:
		return string(op)
	}
}

func powerIcon(op models.PowerOp) string {
	switch op {
	case models.PowerStart, models.PowerResume:
		return "player-play"
	case models.PowerSuspend:
		return "player-pause"
	case models.PowerReset:
		return "rotate-clockwise"
	case models.PowerShutdown:
		return "power"
	default:
		return "bolt"
	}
}

// harsh ops pull the plug: they are asked about first.
func harsh(op models.PowerOp) bool { return op == models.PowerStop || op == models.PowerReset }

// RoleName is what people call a role.
func RoleName(r models.Role) string { return roleName(r) }

func roleName(r models.Role) string {
	switch r {
	case models.RoleAdmin:
		return "Administrator"
	case models.RoleUser:
		return "User"
	case models.RoleAuditor:
		return "Auditor"
	case models.RoleOperator:
		return "Operator"
	case models.RoleProviderAuditor:
		return "Provider auditor"
	default:
		return ""
	}
}

func resourceName(r models.Resource) string {
	switch r {
	case models.ResourceMachines:
		return "Machines"
	case models.ResourceVCPUs:
		return "vCPUs"
	case models.ResourceMemory:
		return "Memory"
	case models.ResourceStorage:
		return "Storage"
	case models.ResourcePublicIPs:
		return "Public IPs"
	case models.ResourceTasks:
		return "Running tasks"
	case models.ResourceConsoles:
		return "Open consoles"
	default:
		return string(r)
	}
}

// amount is a number of a resource in the reader's unit.
func amount(r models.Resource, n int64) string {
	switch r {
	case models.ResourceMemory:
		return memory(int(n))
	case models.ResourceStorage:
		return strconv.FormatInt(n, 10) + " GiB"
	default:
		return strconv.FormatInt(n, 10)
	}
}

// amountOf names the unit once where both have the same.
func amountOf(r models.Resource, n, ceiling int64) string {
	part, whole := amount(r, n), amount(r, ceiling)
	if number, unit, ok := strings.Cut(part, " "); ok && strings.HasSuffix(whole, " "+unit) {
		part = number
	}
	return part + " of " + whole
}

// memory shows MiB as GiB where that is round enough to be read.
func memory(mib int) string {
	if mib < 1024 {
		return strconv.Itoa(mib) + " MiB"
	}
	return strings.TrimSuffix(strconv.FormatFloat(float64(mib)/1024, 'f', 1, 64), ".0") + " GiB"
}

// storage shows GiB as TiB from 10 TiB on, where the difference is no longer read.
func storage(gib int64) string {
	if gib < 10*1024 {
		return strconv.FormatInt(gib, 10) + " GiB"
	}
	return strings.TrimSuffix(strconv.FormatFloat(float64(gib)/1024, 'f', 1, 64), ".0") + " TiB"
}

func vcpus(n int) string { return strconv.Itoa(n) + " vCPU" }

func size(vcpu, memoryMiB, diskGiB int) string {
	return vcpus(vcpu) + " · " + memory(memoryMiB) + " · " + strconv.Itoa(diskGiB) + " GiB"
}

// hourlyPrice has four digits: the smallest size costs less than a cent an hour.
func hourlyPrice(micros int64) string {
	return currency + strconv.FormatFloat(float64(micros)/1e6, 'f', 4, 64)
}

func monthlyPrice(microsPerHour int64) string {
	return currency + strconv.FormatFloat(float64(microsPerHour)*models.HoursPerMonth/1e6, 'f', 2, 64)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
