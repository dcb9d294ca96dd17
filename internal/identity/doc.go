// Package identity owns who sits behind a request: passwords, sign-in, and the
// session cookie.
//
//	POST /sign-in ─▶ SignIn ─▶ throttled? ─▶ argon2id ─▶ session row + history
//	                              │              │
//	                              ▼              ▼
//	                         wait, then try   same answer, same work, whether
//	                                          the account exists or not
//	where a second factor is on: ─▶ challenge ─▶ /sign-in/code ─▶ session row
//	any request ─▶ Store ─▶ cookie's token, hashed ─▶ session row ─▶ SignedIn
//	Authorization: Bearer ─▶ Bearer ─▶ API token, hashed ─▶ token row ─▶ SignedIn
//
// The cookie holds a random token and nothing else; the database holds its
// hash, so that a copy of the database opens no session. Saving a session only
// ever updates a live row: one that was revoked stays dead, however late a
// response tries to save it.
//
// The package refuses to decide what a signed-in user may do: models does.
package identity
