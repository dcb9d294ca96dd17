package vsphere

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCircuitLetsOneProbeThrough(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	c := &circuit{now: func() time.Time { return now }}
	leave, err := c.enter()
	if err != nil {
		t.Fatal(err)
	}
	leave(unreachable, errors.New("connection refused"))
	if _, err = c.enter(); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Fatalf("open circuit says %v", err)
	}
	for pause := circuitFirstPause; ; pause = min(2*pause, circuitLongestPause) {
		now = now.Add(pause)
		probe, err := c.enter()
		if err != nil {
			t.Fatalf("after %s: %v", pause, err)
		}
		if _, err := c.enter(); err == nil {
			t.Fatal("two probes at once")
		}
		if pause < circuitLongestPause {
			probe(unanswered, nil)
			continue
		}
		probe(unknown, nil) // the probe's caller gave up: the next one probes
		probe, err = c.enter()
		if err != nil {
			t.Fatal(err)
		}
		probe(answered, nil)
		break
	}
	if _, err := c.enter(); err != nil {
		t.Errorf("an answer must close the circuit: %v", err)
	}
}

func TestSingleSlowCallsDoNotOpenTheCircuit(t *testing.T) {
	t.Parallel()
	c := &circuit{now: time.Now}
	for range 10 {
		for range circuitSlowLimit - 1 {
			leave, err := c.enter()
			if err != nil {
				t.Fatal(err)
			}
			leave(unanswered, nil)
		}
		leave, err := c.enter()
		if err != nil {
			t.Fatal(err)
		}
		leave(answered, nil)
	}
}

func TestSlotsNeverExceedTheLimitAndLoseNone(t *testing.T) {
	t.Parallel()
	s := newSlots(4)
	var running, most atomic.Int32
	var work sync.WaitGroup
	for i := range 200 {
		work.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				cancel() // gives up while others wait
			}
			release, err := s.acquire(ctx)
			if err != nil {
				return
			}
			n := running.Add(1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			running.Add(-1)
			release()
		})
	}
	work.Wait()
	if most.Load() > 4 || s.used != 0 || s.waiting.Len() != 0 {
		t.Errorf("%d at once, %d in use and %d waiting afterwards", most.Load(), s.used, s.waiting.Len())
	}
}

func TestShrunkSlotsAreTakenBackOnRelease(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	first, _ := s.acquire(t.Context())
	second, _ := s.acquire(t.Context())
	s.resize(1)
	first()
	gaveUp, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.acquire(gaveUp); err == nil {
		t.Error("the second slot is still there")
	}
	second()
	if _, err := s.acquire(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClonesSpreadOverHosts(t *testing.T) {
	t.Parallel()
	h := newHostLoad(2)
	var got []string
	for range 4 {
		host, ok := h.take([]string{"a", "b"})
		if !ok {
			t.Fatal("no host")
		}
		got = append(got, host)
	}
	if strings.Join(got, "") != "abab" {
		t.Errorf("took %v", got)
	}
	if _, ok := h.take([]string{"a", "b"}); ok {
		t.Error("took a fifth")
	}
	h.started("a", "task-1")
	h.ended("task-1")
	h.ended("task-1") // awaited twice
	h.giveBack("b")
	for range 2 {
		if _, ok := h.take([]string{"a", "b"}); !ok {
			t.Error("what ended was not given back")
		}
	}
	if _, ok := h.take([]string{"a", "b"}); ok {
		t.Error("given back twice")
	}
}

func TestForgottenClonesFreeTheirHost(t *testing.T) {
	t.Parallel()
	h := newHostLoad(1)
	host, _ := h.take([]string{"a"})
	h.started(host, "task-1")
	h.tasks["task-1"] = hostClone{host: "a", started: time.Now().Add(-2 * forgottenAfter)}
	if _, ok := h.take([]string{"a"}); !ok {
		t.Error("a clone that another node took over blocks the host for ever")
	}
}
