// Package testkit gives tests what they stand on: a database of their own (on
// either kind), two orgs with people in them, a whole portal over a simulated
// vCenter, and a browser. Nothing here is linked into the portal.
package testkit
