// Package e2e holds journeys through the real portal: the built binary, a
// simulated vCenter in a process of its own, and a real browser.
package e2e
