package vsphere

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/lab"
)

// startLab starts a simulated vCenter with slow clones, screens and faults.
func startLab(t *testing.T, cloneDelay time.Duration) (*lab.VCenter, *Client) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	l, err := lab.NewVCenter(lab.VCenterOptions{
		Dir: t.TempDir(), Name: "test", CloneDelay: cloneDelay, GuestBootDelay: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, labClient(t, l)
}

func labClient(t *testing.T, l *lab.VCenter) *Client {
	t.Helper()
	info := l.Info()
	c := New(Config{
		Slug: "test", URL: info.URL, Username: info.Username, Password: info.Password,
		ThumbprintSHA256: info.ThumbprintSHA256, ExpectInstanceUUID: info.InstanceUUID,
		CallTimeout: 10 * time.Second,
	})
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func labSpec() CloneSpec {
	return cloneSpec(lab.Templates()[0].InstanceUUID("test"))
}

func TestProgressOfASlowCloneGrowsToTheEnd(t *testing.T) {
	t.Parallel()
	_, c := startLab(t, 500*time.Millisecond)
	task, err := c.StartClone(t.Context(), labSpec())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []int
	result, err := c.Await(t.Context(), task, func(percent int) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, percent)
	})
	if err != nil || result.Ref == "" {
		t.Fatalf("%+v, %v", result, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) < 2 {
		t.Errorf("progress was %v", seen)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i] <= seen[i-1] {
			t.Errorf("progress went back: %v", seen)
		}
	}
	if again, err := c.Await(t.Context(), task, nil); err != nil || again != result {
		t.Errorf("awaited again: %+v, %v", again, err)
	}
}

func TestTaskOutlivesItsWaiter(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, 400*time.Millisecond)
	task, err := c.StartClone(t.Context(), labSpec())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Await(ctx, task, nil)
	wantCode(t, err, CodeTimeout)
	if !IsTransient(err) {
		t.Error("a waiter's deadline must be transient")
	}
	stopped, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	_, err = c.Await(stopped, task, nil)
	wantCode(t, err, CodeInterrupted) // not CodeCancelled: the task goes on

	// Another process takes over with nothing but the stored reference.
	result, err := labClient(t, l).Await(t.Context(), task, nil)
	if err != nil || result.Ref != look(t, c, machineUUID).Ref {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestCancelledCloneSaysSoAndLeavesNothing(t *testing.T) {
	t.Parallel()
	_, c := startLab(t, 30*time.Second)
	task, err := c.StartClone(t.Context(), labSpec())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CancelTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	_, err = c.Await(t.Context(), task, nil)
	wantCode(t, err, CodeCancelled)
	if IsTransient(err) {
		t.Error("a cancelled task must be final")
	}
	_, err = c.FindVM(t.Context(), machineUUID)
	wantCode(t, err, CodeNotFound)
	for _, over := range []TaskRef{task, "task-999999", ""} {
		if err := c.CancelTask(t.Context(), over); err != nil {
			t.Errorf("cancelling %q, which is over: %v", over, err)
		}
	}
}

func TestForgottenTaskIsGone(t *testing.T) {
	t.Parallel()
	_, c := startLab(t, 0)
	_, err := c.Await(t.Context(), "task-999999", nil)
	wantCode(t, err, CodeTaskGone)
	if result, err := c.Await(t.Context(), "", nil); err != nil || result.Ref != "" {
		t.Errorf("nothing to await: %+v, %v", result, err)
	}
}

func TestSessionLostWhileWaitingIsNotNoticed(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, 600*time.Millisecond)
	task, err := c.StartClone(t.Context(), labSpec())
	if err != nil {
		t.Fatal(err)
	}
	reported := make(chan struct{})
	var once sync.Once
	go func() {
		<-reported
		l.DropSessions()
	}()
	_, err = c.Await(t.Context(), task, func(int) { once.Do(func() { close(reported) }) })
	if err != nil {
		t.Error(err)
	}
	if _, err := c.FindVM(t.Context(), machineUUID); err != nil {
		t.Error(err)
	}
}

func TestFailedTaskKeepsVSpheresReason(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, 0)
	l.Fail(lab.Fault{Method: "CloneVM_Task", Task: true, Type: "NoDiskSpace"})
	task, err := c.StartClone(t.Context(), labSpec())
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Await(t.Context(), task, nil)
	wantCode(t, err, CodeNoCapacity)

	l.Fail(lab.Fault{Method: "CloneVM_Task", Type: "NotAuthenticated"})
	task, err = c.StartClone(t.Context(), labSpec()) // made up for by a new session
	await(t, c, task, err)
}

func TestDroppedConnectionsAndOutagesPass(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, 0)
	connect(t, c)
	l.DropConnections()
	recovers(t, c)
	l.Slow(20 * time.Millisecond)
	connect(t, c)
	l.Slow(0)

	f := watch(t, c)
	f.next()
	l.DropConnections()
	wantCode(t, f.end(), CodeUnreachable)
	recovers(t, c)
	if !watch(t, c).next().Full {
		t.Error("a new feed must begin with everything")
	}
}

func TestThirtyMachinesAtOnceEachExistOnce(t *testing.T) {
	t.Parallel()
	_, c := startLab(t, 50*time.Millisecond)
	var orders sync.WaitGroup
	uuid := func(i int) string {
		return machineUUID[:len(machineUUID)-2] + string(rune('0'+i/10)) + string(rune('0'+i%10))
	}
	for i := range 30 {
		orders.Go(func() {
			release, err := c.AcquireCloneSlot(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			spec := labSpec()
			spec.InstanceUUID = uuid(i)
			spec.Name = "m-" + uuid(i)
			spec.Address = "10.20.0." + string(rune('1'+i/10)) + string(rune('0'+i%10))
			task, err := c.StartClone(t.Context(), spec)
			if err != nil {
				t.Error(err)
				return
			}
			result, err := c.Await(t.Context(), task, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if task, err = c.StartPower(t.Context(), result.Ref, PowerOn); err == nil {
				_, err = c.Await(t.Context(), task, nil)
			}
			if err != nil {
				t.Error(err)
				return
			}
			vm, err := c.WaitGuest(t.Context(), result.Ref)
			if err != nil || vm.Address != spec.Address {
				t.Errorf("%s: %+v, %v", spec.Name, vm, err)
			}
		})
	}
	orders.Wait()
	all := map[string]int{}
	for _, o := range watch(t, c).next().Observations {
		all[o.InstanceUUID]++
	}
	for i := range 30 {
		if all[uuid(i)] != 1 {
			t.Errorf("machine %d exists %d times", i, all[uuid(i)])
		}
	}
}

func TestLabScreenOpensByItsTicket(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, 0)
	task, err := c.StartClone(t.Context(), labSpec())
	ref := await(t, c, task, err).Ref
	_, err = c.AcquireScreen(t.Context(), machineUUID)
	wantCode(t, err, CodeInvalidState)
	task, err = c.StartPower(t.Context(), ref, PowerOn)
	await(t, c, task, err)
	screen, err := c.AcquireScreen(t.Context(), machineUUID)
	if err != nil {
		t.Fatal(err)
	}
	if len(screen.ThumbprintsSHA256) != 1 || screen.ThumbprintsSHA256[0] != l.Info().ThumbprintSHA256 || screen.Port == 0 {
		t.Errorf("%s with %v", screen, screen.ThumbprintsSHA256)
	}
}
