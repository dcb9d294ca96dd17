// Package jobs is the queue behind every Task: River on the portal's own
// database, so that an intent and the work on it are committed together.
//
//	handler ─ Scope.Change ─┬ Machine, Task, AuditEvent
//	                        └ Enqueue(ctx, w.Tx(), args) ── one commit ──▶ river_job
//	                                                                        │
//	node A, B, … ── Start ── workers of a lane ◀── notified or polled ──────┘
//	                            │
//	                            ├ nil      done
//	                            ├ Snooze   again later; costs no attempt
//	                            └ error    logged, again after a growing pause
//
// Two lanes keep the slow from holding up the quick: orders wait for clones in
// one, power, deletes and sweeps run in the other.
//
// What it promises: a job whose node was killed runs again within
// milliseconds of that node's next start, and within RescueAfter on another
// node if it never starts again. A job is never given up; the Task that it
// works for decides when to stop trying.
//
// What it refuses: to know Tasks or vSphere, to keep a job's id for anybody,
// and to keep jobs from running twice. Workers are written to be run again.
package jobs
