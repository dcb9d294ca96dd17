// Package web owns what stands between the network and a handler: the route
// table, who may pass, security headers, limits, errors, and the live stream.
//
//	request ─▶ log, id ─▶ headers ─▶ panics ─▶ time, size ─▶ origin ─▶ clean text ─▶ route
//	                                                                                  │
//	              ┌──────────── a door, named in the table ───────────────────────────┘
//	              ▼
//	   Anyone · SignedIn · Org(permission) · Stream(permission) · Provider(permission)
//	              │
//	              ▼
//	   handler(c, *models.Scope) ─▶ page, or an error that errors.go answers
//
// A tenant handler takes a *models.Scope and a provider one a *models.Provider:
// neither can be mounted without its door. The package refuses to know what a
// page shows or how a machine is made.
package web
