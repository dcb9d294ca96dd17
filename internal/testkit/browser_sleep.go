package testkit

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
)

// Sleep stops every process of the browser, as a laptop's sleep does: nothing
// runs, no timer fires, and whoever talks to it hears nothing. Meanwhile is
// called once it sleeps.
func (b *Browser) Sleep(d time.Duration, meanwhile func()) {
	b.t.Helper()
	first := chromedp.FromContext(b.ctx).Browser.Process()
	if first == nil {
		b.t.Fatal("the browser has no process")
		return
	}
	all := descendants(first.Pid)
	tell := func(s syscall.Signal) {
		for _, pid := range all {
			if err := syscall.Kill(pid, s); err != nil {
				b.t.Logf("%s to %d of the browser: %v", s, pid, err) // a helper that has ended by itself
			}
		}
	}
	tell(syscall.SIGSTOP)
	defer tell(syscall.SIGCONT)
	meanwhile()
	time.Sleep(d)
}

// descendants lists a process and all that it started, at any remove.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // gone meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ") // the name may hold spaces
		if f := strings.Fields(rest); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], id)
		}
	}
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}
