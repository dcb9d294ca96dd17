package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// memoryFiles is where Linux keeps files in memory. The simulator makes five
// files per machine; on a busy disk that is most of what a start costs.
const memoryFiles = "/dev/shm"

const scratchPrefix = "millwright-lab-"

// makeScratch gives a vCenter a folder for its datastores, which hold nothing
// that the journal does not: in memory if that can be had, else in dir.
func makeScratch(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("lab: folder of vCenter: %w", err)
	}
	own := filepath.Join(dir, "scratch")
	if err := os.RemoveAll(own); err != nil {
		return "", fmt.Errorf("lab: clear scratch folder: %w", err)
	}
	sweepScratch(dir)
	if fast, err := os.MkdirTemp(memoryFiles, scratchPrefix); err == nil {
		if err := os.WriteFile(filepath.Join(fast, "owner"), []byte(dir), 0o600); err == nil {
			return fast, nil
		}
		_ = os.RemoveAll(fast)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return "", fmt.Errorf("lab: scratch folder: %w", err)
	}
	return own, nil
}

// sweepScratch removes what killed vCenters left in memory: this one's own
// and those that nobody runs.
func sweepScratch(dir string) {
	left, err := filepath.Glob(filepath.Join(memoryFiles, scratchPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		b, err := os.ReadFile(filepath.Join(path, "owner"))
		if err != nil {
			// Killed in between making the folder and claiming it.
			if i, err := os.Stat(path); err == nil && time.Since(i.ModTime()) > time.Minute {
				_ = os.RemoveAll(path)
			}
			continue
		}
		owner := strings.TrimSpace(string(b))
		if owner != dir && inUse(owner) {
			continue
		}
		_ = os.RemoveAll(path)
	}
}

func inUse(dir string) bool {
	if _, err := os.Stat(dir); err != nil { // #nosec G703 -- only looks whether it is there
		return false
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return true
	}
	unlock()
	return false
}
