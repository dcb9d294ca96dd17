// Package models owns the records, who may see them, how they may change, and
// every query: it is the only package that speaks to the database.
//
// There are four ways in, and no fifth:
//
//	Scope     one user in one org, made from a session and the org in the URL
//	Provider  an operator or provider auditor, across orgs
//	System    background work: workers, the inventory feed, sign-in
//	Edge      a gateway (not needed yet)
//
// Each opens a transaction and hands out a Reader or a Writer:
//
//	Scope.Read ───▶ Reader ─┐
//	Scope.Change ─▶ Writer ─┤ every statement carries org_id = ?   (OrgID's clauses)
//	System.Within ▶ Writer ─┘ and, on PostgreSQL, row-level security repeats it
//
// A Writer that recorded no audit event does not commit, and whatever it
// touched is announced to the pages that watch (live.go) when it does.
//
// The package refuses to know HTTP, vSphere or the job queue: a caller that
// has to enqueue work in the same transaction gets it from Writer.Tx.
package models
