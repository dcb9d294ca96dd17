// Package factory makes machines: it plans an order, places it, accepts it, and
// has workers carry it out in vSphere.
//
//	handler ─▶ Plan                    reads the database only
//	        ─▶ Order, Power, Delete    one transaction: quota, name, address,
//	        ─▶ Cancel, Retry           Machine, Task, AuditEvent, job
//	                                        │
//	jobs ──────▶ visit ── walks the Task's steps ──▶ vsphere.Client
//	               │ each step: is its effect there already?
//	               │            submit, store what it waits for, wait
//	               ├ done      next step; the last one ends the Task
//	               ├ away      says so in Task.Waiting, comes again later
//	               ├ cancelled undoes, ends the Task
//	               └ failed    undoes, ends the Task with why and what to do
//
//	vCenter ──▶ feed ──▶ models.System.Observe      one node per cloud
//
// A visit lasts at most 45 seconds and may end at any point, by a kill as
// well: whatever it does is written to be done again, by any node. Identity is
// the instance UUID, which is the machine's own id, so that a clone whose
// answer was lost is found, not made twice; the VM's name carries the id too,
// and DuplicateName is the second guard. What a lost clone brings up after its
// Task has ended is removed by the feed's sweep.
//
// The package refuses to ask vCenter while somebody waits for a page, to give
// a tenant vSphere's own words, and to give up because a cloud is away.
package factory
