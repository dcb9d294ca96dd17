package main

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// records are made-up rows, all told from one moment.
type records struct{ now time.Time }

func (r records) ago(d time.Duration) time.Time { return r.now.Add(-d) }

func (r records) at(d time.Duration) *time.Time {
	t := r.ago(d)
	return &t
}

func (r records) frame() views.Frame {
	acme := models.Org{Slug: "acme", Name: "Acme Robotics"}
	return views.Frame{
		User: models.User{Name: "Ada Administrator", Email: "admin@acme.example"},
		Org:  acme, Role: models.RoleAdmin, ActiveTasks: 3, Lab: true,
		Memberships: []models.Membership{
			{Org: acme, Role: models.RoleAdmin},
			{Org: models.Org{Slug: "initech", Name: "Initech"}, Role: models.RoleAuditor},
		},
	}
}

func (r records) templates() []models.Template {
	row := func(slug, name, os, icon, version, text string, cpu, mem, disk int) models.Template {
		return models.Template{ID: models.TemplateID("t-" + slug), Slug: slug, Name: name, OS: os, Icon: icon, Version: version,
			Description: text, MinVCPUs: cpu, MinMemoryMiB: mem, MinDiskGiB: disk}
	}
	return []models.Template{
		row("ubuntu-24-04", "Ubuntu 24.04 LTS", "Ubuntu", "ubuntu", "24.04.3 LTS", "General-purpose server with cloud-init, OpenSSH and unattended security updates.", 1, 1024, 10),
		row("debian-13", "Debian 13", "Debian GNU/Linux", "debian", "13.1 trixie", "Small and steady. The base that most of our services run on.", 1, 512, 8),
		row("rocky-9", "Rocky Linux 9", "Rocky Linux", "rocky", "9.6 Blue Onyx", "For software that is certified on enterprise Linux.", 1, 1024, 10),
		row("windows-server-2025", "Windows Server 2025", "Windows Server", "windows", "2025 Standard", "With remote desktop, PowerShell 7 and the guest tools. The licence is part of the price.", 2, 4096, 40),
		row("freebsd-14", "FreeBSD 14", "FreeBSD", "freebsd", "14.3-RELEASE", "ZFS on root, pf, jails.", 1, 1024, 10),
		row("alpine-3-22", "Alpine Linux 3.22", "Alpine Linux", "alpine", "3.22.1", "Boots in a breath; for appliances and jump hosts.", 1, 256, 2),
		row("postgresql-17", "PostgreSQL 17 on Debian", "Debian GNU/Linux", "postgresql", "17.6", "Ready to accept connections, with backups to object storage prepared.", 2, 4096, 40),
	}
}

func (r records) types() []models.InstanceType {
	row := func(slug, name string, cpu, mem, disk int, price int64) models.InstanceType {
		return models.InstanceType{ID: models.InstanceTypeID("i-" + slug), Slug: slug, Name: name, VCPUs: cpu, MemoryMiB: mem, DiskGiB: disk, PricePerHourMicros: price}
	}
	return []models.InstanceType{
		row("nano", "Nano", 1, 512, 10, 4200), row("small", "Small", 1, 2048, 20, 12000), row("medium", "Medium", 2, 4096, 40, 24000),
		row("large", "Large", 4, 8192, 80, 48000), row("xlarge", "Extra large", 8, 16384, 160, 96000), row("memory", "Memory large", 4, 32768, 80, 124000),
	}
}

func (r records) clouds() []models.Cloud {
	return []models.Cloud{
		{ID: "c-public", Slug: "public", Name: "Frankfurt", Class: models.CloudPublic, PriceFactorPercent: 100, Status: models.CloudConnected, URL: "https://vcenter-a.provider.example",
			StatusSince: r.ago(71 * time.Hour), SeenAt: r.at(4 * time.Second), Hosts: 12, FreeVCPUs: 412, FreeMemoryMiB: 1900544, FreeStorageGiB: 88200},
		{ID: "c-private", Slug: "private", Name: "Acme private", Class: models.CloudPrivate, PriceFactorPercent: 140, Status: models.CloudUnreachable, URL: "https://vcenter-b.provider.example",
			StatusText: "dial tcp: connection refused", StatusSince: r.ago(3 * time.Minute), SeenAt: r.at(3 * time.Minute), Hosts: 3, FreeVCPUs: 38, FreeMemoryMiB: 190054, FreeStorageGiB: 8200},
	}
}

func (r records) networks() []models.Network {
	return []models.Network{
		{ID: "n-1", CloudID: "c-public", Name: "default", CIDR: "10.20.0.0/22", IsDefault: true},
		{ID: "n-2", CloudID: "c-private", Name: "default", CIDR: "10.60.0.0/24", IsDefault: true},
	}
}

func (r records) quotas() []models.Quota {
	row := func(res models.Resource, used, ceiling int64) models.Quota {
		return models.Quota{Resource: res, Used: used, Ceiling: ceiling}
	}
	return []models.Quota{
		row(models.ResourceMachines, 14, 50), row(models.ResourceVCPUs, 86, 100), row(models.ResourceMemory, 98304, 262144),
		row(models.ResourceStorage, 2000, 2000), row(models.ResourcePublicIPs, 0, 8), row(models.ResourceTasks, 3, 200), row(models.ResourceConsoles, 1, 20),
	}
}

func (r records) machine(i int, name string, state models.MachineState) models.MachineRow {
	t, size, cloud := r.templates()[i%7], r.types()[i%6], r.clouds()[i%5/4]
	owners := []string{"Ada Administrator", "Uma User", "Otto Oldham"}
	return models.MachineRow{
		Machine: models.Machine{
			ID: models.MachineID(fmt.Sprintf("0199a4c2-71e0-7c3a-9d1b-%012d", i)), Name: name, State: state,
			VCPUs: size.VCPUs, MemoryMiB: size.MemoryMiB, DiskGiB: size.DiskGiB, PricePerHourMicros: size.PricePerHourMicros,
			Address: fmt.Sprintf("10.20.0.%d", 10+i), ObservedAddress: fmt.Sprintf("10.20.0.%d", 10+i), ToolsRunning: state == models.MachineRunning,
			PlacementReason: "Cheapest cloud with room: 412 vCPU and 1.8 TiB of memory free.", ObservedAt: r.at(4 * time.Second),
			CreatedAt: r.ago(time.Duration(i*i*7+1) * time.Hour),
		},
		TemplateName: t.Name, TemplateIcon: t.Icon, TemplateOS: t.OS, InstanceTypeName: size.Name,
		CloudName: cloud.Name, CloudClass: cloud.Class, CloudStatus: cloud.Status, CloudSeenAt: cloud.SeenAt,
		NetworkName: "default", OwnerName: owners[i%3],
	}
}

func (r records) machines() []models.MachineRow {
	building := r.machine(1, "build-agent-7", models.MachineBuilding)
	building.TaskID, building.TaskKind, building.TaskState, building.TaskPercent = "task-create", models.TaskCreate, models.TaskRunning, 62
	stopping := r.machine(2, "staging-db", models.MachineRunning)
	stopping.TaskID, stopping.TaskKind, stopping.TaskOp, stopping.TaskState, stopping.TaskPercent = "task-power", models.TaskPower, models.PowerShutdown, models.TaskRunning, 40
	waiting := r.machine(4, "edge-cache-2", models.MachineStopped)
	waiting.TaskID, waiting.TaskKind, waiting.TaskOp, waiting.TaskState = "task-wait", models.TaskPower, models.PowerStart, models.TaskQueued
	waiting.TaskWaiting = "The cloud can't be reached. This goes on by itself as soon as it answers."
	return []models.MachineRow{
		building, stopping, waiting,
		r.machine(3, "web-1", models.MachineRunning), r.machine(5, "web-2", models.MachineRunning), r.machine(6, "reporting", models.MachineStopped),
		r.machine(7, "jump-host", models.MachineSuspended), r.machine(8, "old-crm", models.MachineMissing), r.machine(10, "load-test-44", models.MachineFailed),
		r.machine(11, "a-machine-with-quite-a-long-name-for-a-host", models.MachineRunning), r.machine(12, "scratch", models.MachineDeleting),
	}
}

func (r records) task(id string, kind models.TaskKind, op models.PowerOp, state models.TaskState, name string, percent int, began time.Duration) models.Task {
	t := models.Task{
		ID: models.TaskID(id), Kind: kind, Op: op, State: state, MachineID: "0199a4c2-71e0-7c3a-9d1b-000000000001", MachineName: name, Percent: percent,
		ActorName: "Uma User", Source: "203.0.113.40", CreatedAt: r.ago(began), StartedAt: r.at(began - time.Second),
	}
	if !state.Active() {
		t.FinishedAt = r.at(began - 48*time.Second)
	}
	return t
}

func (r records) tasks() []models.Task {
	waiting := r.task("task-wait", models.TaskPower, models.PowerStart, models.TaskQueued, "edge-cache-2", 0, 3*time.Minute)
	waiting.Waiting = "The cloud can't be reached. This goes on by itself as soon as it answers."
	return []models.Task{
		r.task("task-create", models.TaskCreate, "", models.TaskRunning, "build-agent-7", 62, 34*time.Second),
		r.task("task-power", models.TaskPower, models.PowerShutdown, models.TaskCancelling, "staging-db", 40, 70*time.Second),
		waiting,
		r.task("task-4", models.TaskDelete, "", models.TaskSucceeded, "scratch-3", 100, 2*time.Hour),
		r.task("task-5", models.TaskCreate, "", models.TaskFailed, "load-test-44", 35, 5*time.Hour),
		r.task("task-6", models.TaskPower, models.PowerReset, models.TaskCancelled, "web-2", 10, 30*time.Hour),
	}
}

// retiring is a policy's scale-in that waits for connections.
func (r records) retiring() models.TaskDetail {
	d := models.TaskDetail{Task: r.task("task-retire", models.TaskRetire, "", models.TaskRunning, "shop-p3", 27, 80*time.Second)}
	d.ActorName, d.Source = "policy of shop", ""
	d.Waiting = "3 connections are still open; it goes at 14:32:10 UTC at the latest."
	d.Log = []models.TaskLog{{At: r.ago(80 * time.Second), Text: "5 connections are still open; it goes at 14:32:10 UTC at the latest."}}
	for i, title := range []string{"Drain the node", "Wait for its connections", "Remove the node", "Power off", "Destroy", "Give back quota and address"} {
		d.Steps = append(d.Steps, models.TaskStep{Position: i, Title: title, State: models.StepPending})
	}
	d.Steps[0].State, d.Steps[0].StartedAt, d.Steps[0].FinishedAt = models.StepDone, r.at(80*time.Second), r.at(80*time.Second)
	d.Steps[1].State, d.Steps[1].Percent, d.Steps[1].StartedAt = models.StepRunning, 27, r.at(79*time.Second)
	return d
}

// clearing is what is left of a deleted network, which something hangs on.
func (r records) clearing() models.TaskDetail {
	d := models.TaskDetail{Task: r.task("task-clear", models.TaskClear, "", models.TaskFailed, "backend", 0, 4*time.Minute)}
	d.MachineID, d.NetworkID, d.ActorName, d.Source = "", "net-gone", "Millwright", ""
	d.ErrorText = "The network's port group could not be removed: East does not let the portal do this. Your provider has to look at it."
	d.Steps = []models.TaskStep{{Title: "Remove its port group", State: models.StepFailed, StartedAt: r.at(4 * time.Minute), FinishedAt: r.at(3 * time.Minute)}}
	return d
}

func (r records) steps(current int, state models.StepState) []models.TaskStep {
	titles := []string{"Reserve", "Place", "Clone the template", "Set size and address", "Connect the network", "Power on", "Wait for the system"}
	steps := make([]models.TaskStep, len(titles))
	for i, title := range titles {
		steps[i] = models.TaskStep{Position: i, Title: title, State: models.StepPending}
		if i < current {
			steps[i].State = models.StepDone
			steps[i].StartedAt, steps[i].FinishedAt = r.at(time.Duration(33-i*3)*time.Second), r.at(time.Duration(31-i*3)*time.Second)
		}
	}
	steps[current].State, steps[current].Percent, steps[current].StartedAt = state, 71, r.at(14*time.Second)
	return steps
}

func (r records) log() []models.TaskLog {
	return []models.TaskLog{
		{At: r.ago(33 * time.Second), Text: "Reserved 2 vCPU, 4 GiB, 40 GiB and address 10.20.0.11."},
		{At: r.ago(31 * time.Second), Text: "Placed in Frankfurt: the cheapest cloud with room."},
		{At: r.ago(28 * time.Second), Text: "Cloning from Ubuntu 24.04 LTS, version 24.04.3 LTS."},
		{At: r.ago(9 * time.Second), Text: "Clone at 71 %."},
	}
}

func (r records) running() *models.TaskDetail {
	return &models.TaskDetail{Task: r.tasks()[0], Steps: r.steps(2, models.StepRunning), Log: r.log()}
}

func (r records) failed() *models.TaskDetail {
	t := models.TaskDetail{Task: r.tasks()[4], Steps: r.steps(4, models.StepFailed), Log: r.log()}
	t.ErrorText = "The network “default” is not there any more in this cloud. Choose another network and order again, or ask your provider."
	t.Undone = true
	return &t
}

// sealed is every event but the newest.
func (r records) sealed() map[models.EventID]bool {
	sealed := map[models.EventID]bool{}
	for _, e := range r.events()[1:] {
		sealed[e.ID] = true
	}
	return sealed
}

// whole is an event with all that one can have.
func (r records) whole() models.AuditEvent {
	e := r.events()[2]
	e.ID, e.OrgID, e.SessionID, e.RequestID = "0199a4c2-71e0-7c3a-9d1b-000000000077", "0199a4c2-71e0-7c3a-9d1b-000000000002", "0199a4c2-71e0-7c3a-9d1b-000000000055", "7f3a9c21d04b4c8e9a60c1f2b7d85e34"
	e.Before, e.After = `{"cloud":"Frankfurt","state":"stopped"}`, `{"cloud":"Frankfurt","op":"start","state":"running"}`
	e.Body = `{"action":"machine.power","actor":{"id":"","kind":"user","name":"Uma User"},"after":` + e.After + `,"before":` + e.Before + `,"id":"` + string(e.ID) + `","outcome":"succeeded"}`
	return e
}

func hash(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func (r records) events() []models.AuditEvent {
	row := func(i int, actor string, kind models.ActorKind, action models.Action, object models.Object, outcome models.Outcome, before, after string) models.AuditEvent {
		source := "203.0.113.40"
		if kind != models.ActorUser {
			source = ""
		}
		return models.AuditEvent{ID: models.EventID(fmt.Sprintf("e-%d", i)), At: r.ago(time.Duration(i*i*i) * 40 * time.Second), ActorKind: kind, ActorName: actor, Source: source,
			Action: action, ObjectKind: object.Kind, ObjectID: object.ID, ObjectName: object.Name, Outcome: outcome, Before: before, After: after}
	}
	web := models.Object{Kind: "machine", ID: "0199a4c2-71e0-7c3a-9d1b-000000000003", Name: "web-1"}
	agent := models.Object{Kind: "machine", ID: "0199a4c2-71e0-7c3a-9d1b-000000000001", Name: "build-agent-7"}
	gone := models.Object{Kind: "machine", ID: "0199a4c2-71e0-7c3a-9d1b-000000000099", Name: "scratch-3"}
	session := models.Object{Kind: "session", ID: "s-1", Name: "session"}
	return []models.AuditEvent{
		row(0, "Uma User", models.ActorUser, models.ActionMachineCreate, agent, models.OutcomeAccepted, "", `{"cloud":"Frankfurt","memory_mib":4096,"name":"build-agent-7","vcpus":2}`),
		row(1, "Ada Administrator", models.ActorUser, models.ActionConsoleOpen, web, models.OutcomeSucceeded, "", `{"mode":"operate"}`),
		row(2, "Uma User", models.ActorUser, models.ActionMachinePower, web, models.OutcomeSucceeded, `{"state":"stopped"}`, `{"op":"start","state":"running"}`),
		row(3, "vSphere", models.ActorVSphere, models.ActionMachineState, web, models.OutcomeSucceeded, `{"state":"running"}`, `{"state":"stopped"}`),
		row(4, "Otto Oldham", models.ActorUser, models.ActionSignInRefused, session, models.OutcomeRefused, "", ""),
		row(5, "Ada Administrator", models.ActorUser, models.ActionMachineDelete, gone, models.OutcomeSucceeded, `{"state":"stopped"}`, `{"state":"deleted"}`),
		row(6, "Uma User", models.ActorUser, models.ActionMachineCreate, models.Object{Kind: "machine", ID: "m-9", Name: "load-test-44"}, models.OutcomeFailed, "", `{"error":"network_missing"}`),
		row(7, "Ada Administrator", models.ActorUser, models.ActionSignIn, session, models.OutcomeSucceeded, "", ""),
	}
}
