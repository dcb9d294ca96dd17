// Package audit makes the history prove itself. It owns the chain's hash, the
// sealer that links events, the signed checkpoints, the export and the
// verifier, which is one and the same for a database and for an export.
//
//	writer ─▶ audit_events ─▶ sealer ─▶ audit_links ─▶ verifier ─▶ checkpoint ─┬▶ audit_checkpoints
//	                          (≤ 1 s)                 (from the last one)      └▶ a file outside
//
// An event is written in the transaction of what it tells and gets its link
// afterwards, so that writers never wait for one another. It refuses to sign
// what it has not verified, and to change or remove anything: what it finds
// broken stays as it is and is named.
package audit
