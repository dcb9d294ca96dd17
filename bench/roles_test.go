package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is measured has a process to itself, or its memory and its seconds
// could not be told from the load's. The benchmark's own program plays it,
// when this variable names a role.
const roleVariable = "MILLWRIGHT_BENCH_ROLE"

var roles = map[string]func(context.Context, json.RawMessage) (any, error){
	"screen": playScreen,
	"portal": playPortal,
	"relay":  playRelay,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		if code, done := inOwnNetwork(); done {
			os.Exit(code)
		}
		if os.Getenv(insideVariable) != "" {
			if err := prepareNetwork(); err != nil {
				fmt.Fprintln(os.Stderr, "a network of its own:", err)
				os.Exit(1)
			}
		}
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	told, err := roles[role](ctx, json.RawMessage(os.Getenv(roleVariable+"_OPTIONS")))
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	text, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR1)
	go func() {
		for range collect {
			debug.FreeOSMemory() // what pools lend goes at the second time
			debug.FreeOSMemory()
		}
	}()
	fmt.Println(string(text)) // ready
	<-ctx.Done()
	stop()
}

// play starts a role in its own process, until the benchmark ends, and reads
// what it tells once it is ready.
func play(b *testing.B, role string, options, told any) *exec.Cmd {
	b.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, roleVariable+"_OPTIONS="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		b.Fatalf("%s did not start: %v", role, err)
	}
	if err := json.Unmarshal(line, told); err != nil {
		b.Fatalf("%s: %s", role, line)
	}
	return cmd
}

// cpuSeconds is what a process and its children have used so far, the ended
// ones included. Source: proc(5), stat.
func cpuSeconds(b *testing.B, pid int) float64 {
	b.Helper()
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux
	stats := map[int][]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.Fatal(err)
	}
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
		stats[id] = strings.Fields(rest)
	}
	ticks := func(id int, fields ...int) (sum float64) {
		for _, f := range fields {
			n, err := strconv.ParseFloat(stats[id][f-3], 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += n
		}
		return sum
	}
	total := ticks(pid, 14, 15, 16, 17)
	for id := range stats {
		if stats[id][1] == strconv.Itoa(pid) {
			total += ticks(id, 14, 15)
		}
	}
	return total / ticksPerSecond
}

// residentKiB is the process's resident memory. Source: proc(5), status.
func residentKiB(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// eventually waits for what has no signal of its own: another program's start.
func eventually(b *testing.B, what string, holds func() bool) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never happened: %s", what)
		}
	}
}

func median[T cmp.Ordered](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
