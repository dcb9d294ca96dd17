// Package bench measures what the portal promises of its speed, each figure
// beside something else that does the same work in the same run. Run it with
// `task bench`; results and their commands stand in README.md here.
package bench
