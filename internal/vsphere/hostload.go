package vsphere

import (
	"sync"
	"time"
)

// forgottenAfter is how long a clone counts against its host when nobody here
// awaits it to its end (another node may have taken the work over).
const forgottenAfter = time.Hour

// hostLoad counts the clones that this process has running on each host it
// chose itself. Where DRS chooses, vCenter does the counting.
type hostLoad struct {
	perHost int

	mu      sync.Mutex
	running map[string]int // by host reference
	tasks   map[TaskRef]hostClone
}

type hostClone struct {
	host    string
	started time.Time
}

func newHostLoad(perHost int) *hostLoad {
	return &hostLoad{perHost: perHost, running: map[string]int{}, tasks: map[TaskRef]hostClone{}}
}

// take picks the candidate with the fewest clones; the candidates' own order
// breaks ties. The clone must be given a task by started or given back.
func (h *hostLoad) take(candidates []string) (host string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget()
	for _, candidate := range candidates {
		if h.running[candidate] >= h.perHost {
			continue
		}
		if !ok || h.running[candidate] < h.running[host] {
			host, ok = candidate, true
		}
	}
	if ok {
		h.running[host]++
	}
	return host, ok
}

func (h *hostLoad) started(host string, task TaskRef) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks[task] = hostClone{host: host, started: time.Now()}
}

func (h *hostLoad) giveBack(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(host)
}

// ended is told of every task that is over; most are no clones.
func (h *hostLoad) ended(task TaskRef) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if clone, ok := h.tasks[task]; ok {
		delete(h.tasks, task)
		h.drop(clone.host)
	}
}

func (h *hostLoad) forget() {
	for task, clone := range h.tasks {
		if time.Since(clone.started) > forgottenAfter {
			delete(h.tasks, task)
			h.drop(clone.host)
		}
	}
}

func (h *hostLoad) drop(host string) {
	h.running[host]--
	if h.running[host] <= 0 {
		delete(h.running, host)
	}
}
