//go:build unix

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCrashedCloudComesBackAsItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	l, err := Start(t.Context(), StartOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("two clouds ready in %s", time.Since(began))
	defer l.Close()
	clouds := l.Clouds()
	if len(clouds) != 2 || clouds[0].InstanceUUID == clouds[1].InstanceUUID || clouds[0].URL == clouds[1].URL {
		t.Fatalf("clouds: %+v", clouds)
	}
	info := l.children[0].current()
	s := login(t, info)
	s.clone(s.template(CloudPublic, "debian-12"), "survivor", s.cloneSpec("", ""))

	if err := syscall.Kill(lockHolder(t, filepath.Join(dir, CloudPublic)), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if m, err := machinesOf(t.Context(), info); err == nil {
			if len(m) != 1 || m[0].Name != "survivor" {
				t.Errorf("after the crash: %+v", m)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the cloud does not come back")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if again := l.Clouds(); again[0] != clouds[0] {
		t.Errorf("after the crash %+v, before %+v", again[0], clouds[0])
	}
}

// lockHolder finds the process that has a vCenter's folder open.
func lockHolder(t *testing.T, dir string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil || len(links) == 0 {
		t.Skip("needs /proc")
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == filepath.Join(dir, "lock") {
			if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	t.Fatal("no process holds the lock")
	return 0
}

func TestCloudsEndWithTheirSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Start(t.Context(), StartOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	// Free folders are the proof that nothing runs in them any more.
	for _, slug := range []string{CloudPublic, CloudPrivate} {
		unlock, err := lockDir(filepath.Join(dir, slug))
		if err != nil {
			t.Error(err)
			continue
		}
		unlock()
	}
}

func TestCatalogueDiffersByCloud(t *testing.T) {
	t.Parallel()
	l, err := Start(t.Context(), StartOptions{Dir: t.TempDir(), InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i, c := range l.Clouds() {
		s := login(t, l.children[i].current())
		for _, template := range Templates() {
			if template.In(c.Slug) {
				if m := s.read(s.template(c.Slug, template.Slug)); !m.Config.Template {
					t.Errorf("%s in %s is no template", template.Slug, c.Slug)
				}
			}
		}
	}
	if a, _ := TemplateBySlug("postgresql-17"); a.In(CloudPublic) || !a.In(CloudPrivate) {
		t.Error("the appliance is in the wrong cloud")
	}
}
