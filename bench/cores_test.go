package bench

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// apart gives the measured process a core and both ends another, as they stand
// in different machines in use, until the returned function is called. Where the
// kernel may choose, a process and its peers share a core or don't, for as long
// as it lives, and a wake-up on the same core takes a quarter of the time.
func apart(b *testing.B, pid int, ends ...int) (together func()) {
	b.Helper()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		b.Fatal(err)
	}
	var cores []int
	for core := range len(all) * 64 {
		if all.IsSet(core) {
			cores = append(cores, core)
		}
	}
	if len(cores) < 2 {
		return func() {}
	}
	one := func(core int) *unix.CPUSet {
		var set unix.CPUSet
		set.Set(core)
		return &set
	}
	for _, end := range ends {
		place(b, end, one(cores[0]))
	}
	place(b, pid, one(cores[1]))
	return func() {
		for _, id := range append(ends, pid) {
			place(b, id, &all)
		}
	}
}

// place says where a process's threads may run. Those that it starts later
// have their starter's place.
func place(b *testing.B, pid int, cores *unix.CPUSet) {
	b.Helper()
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		b.Fatal(err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, cores); err != nil && !errors.Is(err, unix.ESRCH) {
			b.Fatal(err)
		}
	}
}
